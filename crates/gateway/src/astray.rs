//! Receive SAs that lost the high half of their packet numbers.
//!
//! Under an XPN suite a frame carries the low half of its packet number, and who missed 2^31 or more completes it wrongly
//! from then on (802.1AE clause 10.6.2): no frame is authentic any more. Under key agreement that cannot last, but with keys
//! set by hand nobody tells the high half. So while frames come and none of them is authentic, copies of some are verified
//! here, as if one number after the other were the lowest acceptable. With the right one a copy is authentic, and the SA is
//! told. What comes meanwhile is not touched.

use crate::link::{rx_config, xpn};
use datapath::SamplePort;
use secy::{
    Burst, Command, Engine, MemFrame, RxConfig, RxProgress, RxSa, RxSaCounters, RxSc, RxSecY, SaParams,
    ValidateFrames,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{An, Sci};

/// How long frames fail before anything is tried.
const FAILING: Duration = Duration::from_secs(1);
/// From any number on, so many are completed as they should be.
const REACH_BITS: u32 = 31;
/// Numbers that a copy is verified under, at most: forty days at ten million frames a second.
const NUMBERS: u64 = 1 << 14;
/// Those of them that there is time for at once: some 300 µs.
const AT_ONCE: u64 = 200;

/// The SAs of a link, and where copies come from.
pub(crate) struct Astray {
    samples: SamplePort,
    sas: Vec<Watched>,
    /// What is being verified, by place of its SA, and under how many numbers it was.
    trial: Option<(usize, Trial, u64)>,
}

/// An SA whose numbers were found.
pub(crate) struct Found {
    pub(crate) sci: Sci,
    pub(crate) an: An,
    /// Packet numbers that were missed.
    pub(crate) missed: u64,
}

struct Watched {
    key: config::RxKey,
    config: RxConfig,
    offset: wire::ConfidentialityOffset,
    progress: Arc<RxProgress>,
    counters: Arc<RxSaCounters>,
    /// Frames that were delivered, and that were not.
    counted: (u64, u64),
    /// Since when the latter alone come.
    failing_since: Option<Instant>,
}

/// A copy, and an SA of its own for it.
struct Trial {
    frame: Vec<u8>,
    rx: RxSecY,
    engine: Engine,
    progress: Arc<RxProgress>,
    counters: Arc<RxSaCounters>,
    next_pn: u64,
}

impl Astray {
    /// Without SAs.
    pub(crate) fn new(samples: SamplePort) -> Self {
        Astray { samples, sas: Vec::new(), trial: None }
    }

    /// Watches the SA that has this key of a link.
    pub(crate) fn watch(
        &mut self,
        link: &config::Link,
        key: &config::RxKey,
        progress: Arc<RxProgress>,
        counters: Arc<RxSaCounters>,
    ) {
        self.sas.push(Watched {
            key: key.clone(),
            config: RxConfig { validate_frames: ValidateFrames::Strict, ..rx_config(link) },
            offset: link.confidentiality_offset,
            progress,
            counters,
            counted: (0, 0),
            failing_since: None,
        });
    }

    /// What is to be done every few milliseconds.
    pub(crate) fn maintain(&mut self, now: Instant) -> Option<Found> {
        let mut lost = false;
        for sa in &mut self.sas {
            lost |= sa.is_lost(now);
        }
        if !lost {
            self.trial = None;
            return None;
        }
        if self.trial.is_none() {
            let Some(frame) = self.samples.take() else {
                self.samples.ask();
                return None;
            };
            let lost = self.sas.iter().enumerate().filter(|(_, sa)| sa.failing_for(now) >= FAILING);
            let mut trials = lost.filter_map(|(place, sa)| Some((place, Trial::new(sa, &frame)?, 0)));
            self.trial = trials.next();
        }
        let (place, trial, tried) = self.trial.as_mut()?;
        for _ in 0..AT_ONCE {
            *tried += 1;
            if *tried > NUMBERS {
                self.trial = None;
                return None;
            }
            if let Some(next_pn) = trial.passes(trial.next_pn.checked_add(*tried << REACH_BITS)?) {
                let missed = next_pn - 1 - trial.next_pn;
                let sa = self.sas.get_mut(*place)?;
                sa.progress.recover_from(next_pn - 1);
                sa.failing_since = None;
                self.trial = None;
                return Some(Found { sci: sa.key.sci, an: sa.key.an, missed });
            }
        }
        None
    }
}

impl Watched {
    /// Looks at the counters. Whether frames have failed for long, and none was delivered.
    fn is_lost(&mut self, now: Instant) -> bool {
        let RxSaCounters { in_pkts_ok, in_pkts_delayed, in_pkts_unchecked, .. } = &*self.counters;
        let RxSaCounters { in_pkts_invalid, in_pkts_late, in_pkts_not_valid, .. } = &*self.counters;
        let delivered = in_pkts_ok.get() + in_pkts_delayed.get() + in_pkts_unchecked.get();
        let failed = in_pkts_invalid.get() + in_pkts_late.get() + in_pkts_not_valid.get();
        if delivered != self.counted.0 {
            self.failing_since = None;
        } else if failed != self.counted.1 {
            self.failing_since.get_or_insert(now);
        }
        self.counted = (delivered, failed);
        self.failing_for(now) >= FAILING
    }

    fn failing_for(&self, now: Instant) -> Duration {
        self.failing_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

impl Trial {
    /// `None` where the frame is none of this SA.
    fn new(watched: &Watched, frame: &[u8]) -> Option<Self> {
        let config::RxKey { sci, an, ref sak, xpn: parameters, .. } = watched.key;
        let next_pn = watched.progress.next_pn();
        let (suite, offset) = (watched.config.suite, watched.offset);
        let params = SaParams { suite, sak, sci, xpn: xpn(parameters), offset, first_pn: 1 };
        let mut sa = RxSa::new(&params).ok()?;
        sa.resume(next_pn);
        let (progress, counters) = (sa.progress(), sa.counters());
        let mut rx = RxSecY::new(watched.config.clone());
        rx.apply(Command::AddRxSc(RxSc::new(sci)));
        rx.apply(Command::InstallRxSa { sci, an, sa: Box::new(sa) });
        let engine = Engine::new();
        let mut trial = Trial { frame: frame.to_vec(), rx, engine, progress, counters, next_pn };
        // Under no other number than the SecY takes it for, to see whose it is.
        let lost = trial.passes(0).is_none() && trial.counters.values().any(|(_, n)| n > 0);
        lost.then_some(trial)
    }

    /// Whether it is authentic with a lowest acceptable number of `lowest`: one more than its number then.
    fn passes(&mut self, lowest: u64) -> Option<u64> {
        self.progress.recover_from(lowest);
        let mut burst: Burst<MemFrame> = std::iter::once(MemFrame::new(&self.frame)).collect();
        self.rx.verify(&mut self.engine, &mut burst, &mut Burst::new());
        (!burst.is_empty()).then(|| self.progress.next_pn())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datapath::{FrameRx, FrameTx, MemoryRx, MemoryTx, Task, Verify, sample_port, wire as memory_wire};
    use keys::{Sak, Salt};
    use secy::{SciMode, TxConfig, TxSa, TxSecY};
    use wire::{CipherSuite, Ssci};

    const TICK: Duration = Duration::from_millis(5);

    /// A receiver, and a sender whose packet numbers are what one likes.
    struct Site {
        line: MemoryTx,
        verify: Verify<MemoryRx, MemoryTx>,
        plain: MemoryRx,
        progress: Arc<RxProgress>,
        astray: Astray,
        now: Instant,
        missed: Option<u64>,
    }

    fn key() -> config::RxKey {
        config::RxKey {
            sci: "0200000000010001".parse().unwrap(),
            an: An::ALL[1],
            sak: Sak::from_octets(&[0x5a; 16]).unwrap(),
            xpn: Some(config::XpnParams { ssci: Ssci(1), salt: Salt([7; 12]) }),
            next_pn: 1,
        }
    }

    fn params(key: &config::RxKey, first_pn: u64) -> SaParams<'_> {
        let (suite, offset) = (CipherSuite::GcmAesXpn128, wire::ConfidentialityOffset::None);
        SaParams { suite, sak: &key.sak, sci: key.sci, xpn: xpn(key.xpn), offset, first_pn }
    }

    /// A frame with this packet number.
    fn sealed(pn: u64) -> MemFrame {
        let key = key();
        let mut tx = TxSecY::new(TxConfig {
            sci: key.sci,
            protect_frames: true,
            encrypt: true,
            sci_mode: SciMode::Explicit,
            clear_vlan_tags: 0,
            max_frame: 1522,
        });
        let sa = Box::new(TxSa::new(&params(&key, pn), u64::MAX).unwrap());
        tx.apply(Command::InstallTxSa { an: key.an, sa });
        tx.apply(Command::EncodeWith(Some(key.an)));
        let mut burst: Burst<MemFrame> = std::iter::once(MemFrame::new(&[2; 60])).collect();
        tx.protect(&mut Engine::new(), &mut burst);
        burst.pop().unwrap()
    }

    impl Site {
        /// That has received all below this number.
        fn new(next_pn: u64, replay_window: u64) -> Self {
            let (key, suite) = (key(), CipherSuite::GcmAesXpn128);
            let config = RxConfig {
                suite,
                validate_frames: ValidateFrames::Strict,
                replay_protect: true,
                replay_window,
                clear_vlan_tags: 0,
            };
            let mut rx = RxSecY::new(config.clone());
            let mut sa = RxSa::new(&params(&key, 1)).unwrap();
            sa.resume(next_pn);
            let (progress, counters) = (sa.progress(), sa.counters());
            rx.apply(Command::AddRxSc(RxSc::new(key.sci)));
            rx.apply(Command::InstallRxSa { sci: key.sci, an: key.an, sa: Box::new(sa) });
            let (samples, inlet) = sample_port();
            let mut astray = Astray::new(samples);
            astray.sas.push(Watched {
                key,
                config,
                offset: wire::ConfidentialityOffset::None,
                progress: progress.clone(),
                counters,
                counted: (0, 0),
                failing_since: None,
            });
            let ((line, from_line), (to_plain, plain)) = (memory_wire(64), memory_wire(64));
            let verify = Verify::new(from_line, rx, to_plain, 1518).with_samples(inlet);
            Site { line, verify, plain, progress, astray, now: Instant::now(), missed: None }
        }

        fn tick(&mut self) {
            self.now += TICK;
            self.missed = self.missed.or(self.astray.maintain(self.now).map(|found| found.missed));
        }

        /// Whether a frame with this number is delivered.
        fn receives(&mut self, pn: u64) -> bool {
            self.line.tx_burst(&mut std::iter::once(sealed(pn)).collect());
            self.verify.poll(&mut Engine::new());
            let mut burst = Burst::<MemFrame>::new();
            self.plain.rx_burst(&mut burst);
            !burst.is_empty()
        }

        /// Frames with numbers from `pn` on, one in so many ticks, until one is delivered: how long that took.
        fn finds(&mut self, pn: u64, ticks: u32) -> Duration {
            let start = self.now;
            for next in pn.. {
                if self.receives(next) {
                    break;
                }
                (0..ticks).for_each(|_| self.tick());
                assert!(self.now - start < Duration::from_secs(60), "{next:x}");
            }
            self.now - start
        }
    }

    #[test]
    fn whatever_was_missed_is_found() {
        let start = [2, 1 << 31, (1 << 32) - 3, (7 << 32) + (1 << 31) + 5];
        let missed =
            [1 << 31, (1 << 31) + 100, (1 << 32) - 1, 1 << 32, (5 << 32) + 17, (4000 << 32) + (1 << 31)];
        for (next_pn, missed) in start.into_iter().flat_map(|start| missed.map(|missed| (start, missed))) {
            for window in [0, 64] {
                let mut site = Site::new(next_pn, window);
                assert!(site.receives(next_pn));
                site.tick();
                let took = site.finds(next_pn + missed, 1);
                assert!(took < Duration::from_secs(2), "{next_pn:x} + {missed:x} took {took:?}");
                // In the half of the numbers that is recovered without help, none is wanted.
                assert_eq!(site.missed.is_some(), took > Duration::ZERO, "{next_pn:x} + {missed:x}");
                let told = site.missed.unwrap_or(missed);
                assert!((missed - 1..missed + 500).contains(&told), "{next_pn:x} + {missed:x}: {told:x}");
                // All after it, also without more help, and none before it.
                let next = site.progress.next_pn();
                assert!((next..next + 100).all(|pn| site.receives(pn)));
                assert!(!site.receives(next + 1) && !site.receives(next_pn));
            }
        }
    }

    #[test]
    fn slow_senders_are_found_by_their_third_frame() {
        // One to see that it fails, one a second later to be looked at.
        let took = Site::new(1, 0).finds((3 << 32) + 1, 210);
        assert!(took < Duration::from_secs(4), "{took:?}");
    }

    #[test]
    fn a_sender_is_found_among_forged_frames() {
        let mut site = Site::new(1, 0);
        let forged = |tick: u64| {
            let mut frame = sealed(1 + tick).to_vec();
            frame[40] ^= 1;
            MemFrame::new(&frame)
        };
        let found = (0..5000).find(|tick| {
            let mut burst: Burst<MemFrame> =
                [forged(*tick), forged(*tick), sealed((9 << 32) + tick)].into_iter().collect();
            site.line.tx_burst(&mut burst);
            site.verify.poll(&mut Engine::new());
            site.tick();
            site.plain.rx_burst(&mut burst);
            !burst.is_empty()
        });
        assert!(
            found.is_some() && site.missed == Some((9 << 32) + found.unwrap() - 2),
            "{found:?} {:?}",
            site.missed
        );
    }

    #[test]
    fn frames_in_time_are_not_lost_for_those_that_fail() {
        // Old frames, once and for all or again and again, and long silence.
        for (old, old_every, new_every) in [(1, 1, 60), (1, 1, 400), (20, 400, 410), (8, 300, 1000)] {
            let (mut site, mut pn) = (Site::new(1, 0), 1);
            for tick in 0..4000 {
                if tick % old_every == 0 && pn > 1 {
                    assert!((0..old).all(|_| !site.receives(pn - 1)));
                }
                if tick % new_every == 0 {
                    assert!(site.receives(pn), "tick {tick} of {old} {old_every} {new_every}");
                    pn += 1;
                }
                site.tick();
            }
            assert_eq!(site.missed, None);
        }
    }
}
