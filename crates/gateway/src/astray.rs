//! Receive SAs that lost the high half of their packet numbers.
//!
//! Under an XPN suite a frame carries the low half of its packet number, and who missed 2^31 or more completes it wrongly
//! from then on (802.1AE clause 10.6.2): no frame is authentic any more. Under key agreement that cannot last, but with keys
//! set by hand nobody tells the high half. So while frames come and none of them is authentic, one number after the other is
//! tried for the lowest acceptable, for a moment each. With the right one frames are authentic, and reception goes on from
//! them.

use secy::{RxProgress, RxSaCounters};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long, and how many, frames fail before anything is tried.
const FAILING: (Duration, u64) = (Duration::from_secs(1), 8);
/// How long a number is tried, at least.
const TRIAL: Duration = Duration::from_millis(10);
/// How long none is tried then, at least: frames that need none would fail meanwhile.
const REST: Duration = Duration::from_millis(30);
/// From any number on, so many are completed as they should be.
const REACH_BITS: u32 = 31;

/// Watches one receive SA.
pub(crate) struct Astray {
    progress: Arc<RxProgress>,
    counters: Arc<RxSaCounters>,
    /// Frames that were delivered.
    delivered: u64,
    /// Since nothing was delivered any more.
    failing: Option<Failing>,
}

struct Failing {
    since: Instant,
    /// Frames that had failed by then.
    failed: u64,
    next_pn: u64,
    attempts: u64,
    step: Step,
}

/// Each lasts until so long, and until a frame failed in it.
struct Step {
    tries: bool,
    until: Instant,
    failed: u64,
}

impl Astray {
    /// Of an SA under an XPN suite.
    pub(crate) fn new(progress: Arc<RxProgress>, counters: Arc<RxSaCounters>) -> Self {
        Astray { progress, counters, delivered: 0, failing: None }
    }

    /// What is to be done every few milliseconds. Packet numbers that were missed, once it is known how many.
    pub(crate) fn maintain(&mut self, now: Instant) -> Option<u64> {
        let RxSaCounters { in_pkts_ok, in_pkts_delayed, in_pkts_unchecked, .. } = &*self.counters;
        let RxSaCounters { in_pkts_invalid, in_pkts_late, in_pkts_not_valid, .. } = &*self.counters;
        let delivered = in_pkts_ok.get() + in_pkts_delayed.get() + in_pkts_unchecked.get();
        let failed = in_pkts_invalid.get() + in_pkts_late.get() + in_pkts_not_valid.get();
        if delivered != self.delivered {
            self.delivered = delivered;
            self.progress.recover_from(0);
            let Failing { next_pn, attempts, .. } = self.failing.take()?;
            let missed = self.progress.next_pn().saturating_sub(next_pn);
            return (attempts > 0 && missed >> REACH_BITS > 0).then_some(missed);
        }
        let begin = || Failing {
            since: now,
            failed,
            next_pn: self.progress.next_pn(),
            attempts: 0,
            step: Step { tries: false, until: now, failed },
        };
        let failing = self.failing.get_or_insert_with(begin);
        if failing.failed == failed {
            // Silence is no failure.
            failing.since = now;
        }
        let lately = now.duration_since(failing.since) < FAILING.0 || failed - failing.failed < FAILING.1;
        if lately || now < failing.step.until || failing.step.failed == failed {
            return None;
        }
        let tries = !failing.step.tries;
        let (from, lasts) = if tries {
            failing.attempts += 1;
            (failing.next_pn.saturating_add(distance(failing.attempts) << REACH_BITS), TRIAL)
        } else {
            (0, REST)
        };
        self.progress.recover_from(from);
        failing.step = Step { tries, until: now + lasts, failed };
        None
    }
}

/// 1; 1, 2; 1, 2, 3, 4; 1 to 8 and so on: what did not succeed for want of the sender's frames is tried again.
fn distance(attempt: u64) -> u64 {
    let round = 1 << attempt.ilog2();
    attempt - round + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::{Sak, Salt};
    use secy::{
        Burst, Command, MemFrame, RxConfig, RxSa, RxSc, RxSecY, SaParams, SciMode, TxConfig, TxSa, TxSecY,
        ValidateFrames, Xpn,
    };
    use wire::{An, CipherSuite, ConfidentialityOffset, Sci, Ssci};

    const TICK: Duration = Duration::from_millis(5);

    /// A receiver, and a sender whose packet numbers are what one likes.
    struct Site {
        rx: RxSecY,
        astray: Astray,
        now: Instant,
        missed: Option<u64>,
    }

    fn params(sak: &Sak, first_pn: u64) -> SaParams<'_> {
        let xpn = Some(Xpn { ssci: Ssci(1), salt: Salt([7; 12]) });
        let offset = ConfidentialityOffset::None;
        SaParams { suite: CipherSuite::GcmAesXpn128, sak, sci: sci(), xpn, offset, first_pn }
    }

    fn sci() -> Sci {
        "0200000000010001".parse().unwrap()
    }

    fn sak() -> Sak {
        Sak::from_octets(&[0x5a; 16]).unwrap()
    }

    /// A frame with this packet number.
    fn sealed(pn: u64) -> MemFrame {
        let config = TxConfig {
            sci: sci(),
            protect_frames: true,
            encrypt: true,
            sci_mode: SciMode::Explicit,
            clear_vlan_tags: 0,
            max_frame: 1522,
        };
        let mut tx = TxSecY::new(config);
        tx.apply(Command::InstallTxSa {
            an: An::ALL[0],
            sa: Box::new(TxSa::new(&params(&sak(), pn), u64::MAX).unwrap()),
        });
        tx.apply(Command::EncodeWith(Some(An::ALL[0])));
        let mut burst: Burst<MemFrame> = std::iter::once(MemFrame::new(&[2; 60])).collect();
        tx.protect(&mut gcm::Engine::new(), &mut burst);
        burst.pop().unwrap()
    }

    impl Site {
        /// That has received up to this number.
        fn new(next_pn: u64, replay_window: u64) -> Self {
            let mut rx = RxSecY::new(RxConfig {
                suite: CipherSuite::GcmAesXpn128,
                validate_frames: ValidateFrames::Strict,
                replay_protect: true,
                replay_window,
                clear_vlan_tags: 0,
            });
            let mut sa = RxSa::new(&params(&sak(), 1)).unwrap();
            sa.resume(next_pn);
            let astray = Astray::new(sa.progress(), sa.counters());
            rx.apply(Command::AddRxSc(RxSc::new(sci())));
            rx.apply(Command::InstallRxSa { sci: sci(), an: An::ALL[0], sa: Box::new(sa) });
            Site { rx, astray, now: Instant::now(), missed: None }
        }

        fn tick(&mut self) {
            self.now += TICK;
            self.missed = self.missed.or(self.astray.maintain(self.now));
        }

        /// Whether a frame with this number is delivered.
        fn receives(&mut self, pn: u64) -> bool {
            let mut burst: Burst<MemFrame> = std::iter::once(sealed(pn)).collect();
            self.rx.verify(&mut gcm::Engine::new(), &mut burst, &mut Burst::new());
            !burst.is_empty()
        }

        /// Frames a second apart at most, a tick at least, until one is delivered: how long that took.
        fn finds(&mut self, pn: u64, ticks: u32) -> Duration {
            let start = self.now;
            for next in pn.. {
                if self.receives(next) {
                    self.tick();
                    break;
                }
                (0..ticks).for_each(|_| self.tick());
                assert!(self.now - start < Duration::from_secs(3600));
            }
            self.now - start
        }
    }

    #[test]
    fn distances_are_tried_again_and_again() {
        let first: Vec<u64> = (1..=15).map(distance).collect();
        assert_eq!(first, [1, 1, 2, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn whatever_was_missed_is_found() {
        let start = [2, 1 << 31, (1 << 32) - 3, (7 << 32) + (1 << 31) + 5];
        let missed =
            [1 << 31, (1 << 31) + 100, (1 << 32) - 1, 1 << 32, (5 << 32) + 17, (40 << 32) + (1 << 31)];
        for (next_pn, missed) in start.into_iter().flat_map(|start| missed.map(|missed| (start, missed))) {
            for window in [0, 64] {
                let mut site = Site::new(next_pn, window);
                assert!(site.receives(next_pn));
                site.tick();
                let took = site.finds(next_pn + missed, 1);
                assert!(took < Duration::from_secs(20), "{next_pn:x} + {missed:x} took {took:?}");
                // In the half of the numbers that is recovered without help, none is wanted.
                assert_eq!(site.missed.is_some(), took > TICK, "{next_pn:x} + {missed:x}");
                // All after it, and none before it.
                let next = site.rx.channels()[0].sa(An::ALL[0]).unwrap().progress().next_pn();
                assert!((next..next + 100).all(|pn| site.receives(pn)));
                assert!(!site.receives(next + 1));
            }
        }
    }

    #[test]
    fn slow_senders_are_found_too() {
        assert!(Site::new(1, 0).finds((3 << 32) + 1, 200) < Duration::from_secs(120));
    }

    #[test]
    fn frames_in_time_are_not_lost_for_those_that_fail() {
        let mut site = Site::new(1, 0);
        let mut pn = 1;
        for tick in 0..4000 {
            // Old frames, far more than new ones, of which there is one in 900 ms.
            assert!(tick == 0 || !site.receives(pn - 1));
            if tick % 180 == 0 {
                assert!(site.receives(pn), "tick {tick}");
                pn += 1;
            }
            site.tick();
        }
        assert_eq!(site.missed, None);
    }

    #[test]
    fn few_failures_and_silence_have_nothing_tried() {
        let mut site = Site::new(1, 0);
        assert!(site.receives(1));
        for _ in 0..7 {
            assert!(!site.receives(1));
            (0..1000).for_each(|_| site.tick());
        }
        assert!(site.receives(2));
        for hour in 0..3 {
            (0..200).for_each(|_| site.tick());
            // All at once.
            (0..100).for_each(|_| assert!(!site.receives(1)));
            site.tick();
            assert!(site.receives(3 + hour));
        }
    }
}
