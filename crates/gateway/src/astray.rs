//! Receive SAs that lost the high half of their packet numbers.
//!
//! Under an XPN suite a frame carries the low half of its packet number, and who missed 2^31 or more completes it wrongly
//! from then on (802.1AE clause 10.6.2): no frame is authentic any more. Under key agreement that cannot last, but with keys
//! set by hand nobody tells the high half. So while frames fail, copies of some are verified here, as if one number after the
//! other were the lowest acceptable. With the right one a copy is authentic, and the SA is told. What comes meanwhile is not
//! touched.

use crate::link::{rx_config, xpn};
use datapath::SamplePort;
use secy::{
    Burst, Command, Engine, MemFrame, RxConfig, RxProgress, RxSa, RxSaCounters, RxSc, RxSecY, SaParams,
    ValidateFrames,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{An, L2Header, Sci, SecTag};

/// Frames are counted for so long before it is said whether they fail.
const LOOK: Duration = Duration::from_secs(1);
/// That is so where one in so many does: others that come may be of before.
const ONE_IN: u64 = 16;
/// From any number on, so many are completed as they should be, and at most twice as many.
const REACH: u64 = 1 << 31;
/// Twice as many are between two numbers that a copy is verified under.
const STEP: u64 = 2 * REACH;
/// How many these are at most: forty days at ten million frames a second.
const NUMBERS: u64 = 1 << 13;
/// How long they take at once, and after how many the clock is looked at.
const AT_ONCE: (Duration, u64) = (Duration::from_micros(300), 16);
/// Between a copy that was of no use and the next: longer and longer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(640));

/// The SAs of a link, and where copies come from.
pub(crate) struct Astray {
    samples: SamplePort,
    sas: Vec<Watched>,
    trial: Option<Trial>,
    pause: Duration,
    next_sample: Option<Instant>,
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
    /// One more than the number of the last copy that was authentic.
    found: u64,
    /// Frames that were delivered, and that were not, by the last look.
    counted: (u64, u64),
    next_look: Option<Instant>,
    failing: bool,
}

/// A copy, and an SA of its own for it.
struct Trial {
    /// The place of whose it is.
    place: usize,
    frame: Vec<u8>,
    rx: RxSecY,
    engine: Engine,
    progress: Arc<RxProgress>,
    counters: Arc<RxSaCounters>,
    next_pn: u64,
    /// Under so many numbers it was verified.
    tried: u64,
}

/// What became of a trial.
enum Outcome {
    /// It is authentic: one more than its number.
    Found(u64),
    GoesOn,
    InVain,
}

impl Astray {
    /// Without SAs.
    pub(crate) fn new(samples: SamplePort) -> Self {
        Astray { samples, sas: Vec::new(), trial: None, pause: PAUSES.0, next_sample: None }
    }

    /// Watches the SA that has this key of a link.
    pub(crate) fn watch(
        &mut self,
        link: &config::Link,
        key: &config::RxKey,
        progress: Arc<RxProgress>,
        counters: Arc<RxSaCounters>,
    ) {
        let config = RxConfig { validate_frames: ValidateFrames::Strict, ..rx_config(link) };
        self.sas.push(Watched::new(key.clone(), config, link.confidentiality_offset, progress, counters));
    }

    /// What is to be done every few milliseconds.
    pub(crate) fn maintain(&mut self, now: Instant) -> Option<Found> {
        let mut failing = false;
        for sa in &mut self.sas {
            sa.look(now);
            failing |= sa.failing;
        }
        if !failing {
            if self.next_sample.take().is_some() {
                (self.trial, self.pause) = (None, PAUSES.0);
                self.samples.want(false);
            }
            return None;
        }
        if self.trial.is_none() {
            if *self.next_sample.get_or_insert(now) > now {
                return None;
            }
            let Astray { samples, sas, .. } = self;
            let failing = sas.iter().enumerate().filter(|(_, sa)| sa.failing);
            let read = samples.read(|frame| {
                let mut may_be = failing.filter(|(_, sa)| sa.has(frame)).peekable();
                let is_other = may_be.peek().is_none();
                (is_other, may_be.find_map(|(place, sa)| Trial::new(place, sa, frame)))
            });
            match read {
                Some((_, Some(trial))) => self.trial = Some(trial),
                Some((false, None)) => return self.wait(now),
                // Of another SA, or none has come yet.
                Some((true, None)) | None => {
                    self.samples.want(true);
                    return None;
                }
            }
        }
        let trial = self.trial.as_mut()?;
        match trial.go_on() {
            Outcome::GoesOn => None,
            Outcome::InVain => self.wait(now),
            Outcome::Found(next_pn) => {
                let (place, missed) = (trial.place, next_pn.saturating_sub(1).saturating_sub(trial.next_pn));
                (self.trial, self.pause) = (None, PAUSES.0);
                let sa = self.sas.get_mut(place)?;
                (sa.found, sa.failing) = (next_pn, false);
                sa.progress.recover_from(next_pn - 1);
                Some(Found { sci: sa.key.sci, an: sa.key.an, missed })
            }
        }
    }

    /// For the next copy.
    fn wait(&mut self, now: Instant) -> Option<Found> {
        self.trial = None;
        self.next_sample = Some(now + self.pause);
        self.pause = (2 * self.pause).min(PAUSES.1);
        None
    }
}

impl Watched {
    fn new(
        key: config::RxKey,
        config: RxConfig,
        offset: wire::ConfidentialityOffset,
        progress: Arc<RxProgress>,
        counters: Arc<RxSaCounters>,
    ) -> Self {
        let (counted, next_look) = ((0, 0), None);
        Watched { key, config, offset, progress, counters, found: 0, counted, next_look, failing: false }
    }

    /// Looks at the counters, when it is time.
    fn look(&mut self, now: Instant) {
        if self.next_look.is_some_and(|at| now < at) {
            return;
        }
        self.next_look = Some(now + LOOK);
        let RxSaCounters { in_pkts_ok, in_pkts_delayed, .. } = &*self.counters;
        let RxSaCounters { in_pkts_invalid, in_pkts_late, in_pkts_not_valid, .. } = &*self.counters;
        let delivered = in_pkts_ok.get() + in_pkts_delayed.get();
        let failed = in_pkts_invalid.get() + in_pkts_late.get() + in_pkts_not_valid.get();
        let (delivered_before, failed_before) = std::mem::replace(&mut self.counted, (delivered, failed));
        // What was so stays so in silence: the next frame may be one in a while.
        if (delivered, failed) != (delivered_before, failed_before) {
            self.failing = (failed - failed_before).saturating_mul(ONE_IN) > delivered - delivered_before;
        }
    }

    /// Whether a frame may be of this SA: it says so, or does not say whose it is.
    fn has(&self, frame: &[u8]) -> bool {
        let header = L2Header::parse(frame, self.config.clear_vlan_tags);
        let tag = header.and_then(|header| SecTag::new_checked(frame.get(header.len..)?).ok());
        tag.is_some_and(|tag| tag.an() == self.key.an && tag.sci().is_none_or(|sci| sci == self.key.sci))
    }
}

impl Trial {
    /// `None` where the frame is none of this SA, or does not fail.
    fn new(place: usize, watched: &Watched, frame: &[u8]) -> Option<Self> {
        let config::RxKey { sci, an, ref sak, xpn: parameters, .. } = watched.key;
        // Not below what was found, which the worker may have yet to receive: of what somebody kept from before nothing is
        // learnt.
        let next_pn = watched.progress.next_pn().max(watched.found);
        let (suite, offset) = (watched.config.suite, watched.offset);
        let params = SaParams { suite, sak, sci, xpn: xpn(parameters), offset, first_pn: 1 };
        let mut sa = RxSa::new(&params).ok()?;
        sa.resume(next_pn);
        let (progress, counters) = (sa.progress(), sa.counters());
        let mut rx = RxSecY::new(watched.config.clone());
        rx.apply(Command::AddRxSc(RxSc::new(sci)));
        rx.apply(Command::InstallRxSa { sci, an, sa: Box::new(sa) });
        let (frame, engine) = (frame.to_vec(), Engine::new());
        let mut trial = Trial { place, frame, rx, engine, progress, counters, next_pn, tried: 0 };
        // As the worker takes it.
        let fails = trial.verify().is_none() && trial.counters.values().any(|(_, n)| n > 0);
        fails.then_some(trial)
    }

    /// Verifies it under some more numbers.
    fn go_on(&mut self) -> Outcome {
        let start = Instant::now();
        while self.tried < NUMBERS {
            // The number that it is completed to is greater than any that was received: it lies beyond the first.
            self.progress.recover_from(self.next_pn.saturating_add(REACH + self.tried * STEP));
            self.tried += 1;
            if let Some(next_pn) = self.verify() {
                return Outcome::Found(next_pn);
            }
            if self.tried.is_multiple_of(AT_ONCE.1) && start.elapsed() > AT_ONCE.0 {
                return Outcome::GoesOn;
            }
        }
        Outcome::InVain
    }

    /// One more than its number, where it is authentic.
    fn verify(&mut self) -> Option<u64> {
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
        sealed_of(pn, 60)
    }

    fn sealed_of(pn: u64, octets: usize) -> MemFrame {
        let key = key();
        let mut tx = TxSecY::new(TxConfig {
            sci: key.sci,
            protect_frames: true,
            encrypt: true,
            sci_mode: SciMode::Explicit,
            clear_vlan_tags: 0,
            max_frame: 1600,
        });
        let sa = Box::new(TxSa::new(&params(&key, pn), u64::MAX).unwrap());
        tx.apply(Command::InstallTxSa { an: key.an, sa });
        tx.apply(Command::EncodeWith(Some(key.an)));
        let mut burst: Burst<MemFrame> = std::iter::once(MemFrame::new(&vec![2; octets])).collect();
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
            let (samples, inlet) = sample_port(1600);
            let mut astray = Astray::new(samples);
            let none = wire::ConfidentialityOffset::None;
            astray.sas.push(Watched::new(key, config, none, progress.clone(), counters));
            let ((line, from_line), (to_plain, plain)) = (memory_wire(64), memory_wire(64));
            let verify = Verify::new(from_line, rx, to_plain, 1600).with_samples(inlet);
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
                assert!(took < Duration::from_secs(10), "{next_pn:x} + {missed:x} took {took:?}");
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
        // One to see that it fails, one to be looked at.
        for ticks in [210, 1000, 5000] {
            let took = Site::new(1, 0).finds((3 << 32) + 1, ticks);
            assert_eq!(took, 2 * ticks * TICK);
        }
    }

    #[test]
    fn a_sender_is_found_among_forged_frames() {
        let mut site = Site::new(1, 0);
        let forged = |tick: u64| {
            let mut frame = sealed(1 + tick).to_vec();
            frame[40] ^= 1;
            MemFrame::new(&frame)
        };
        let start = 9 << 32;
        let found = (0..20_000).find(|tick| {
            // Longer than a plain one.
            let mut burst: Burst<MemFrame> =
                [forged(*tick), forged(*tick), sealed_of(start + tick, 1550)].into_iter().collect();
            site.line.tx_burst(&mut burst);
            site.verify.poll(&mut Engine::new());
            site.tick();
            site.plain.rx_burst(&mut burst);
            !burst.is_empty()
        });
        let missed = site.missed.unwrap();
        assert!(
            found.is_some() && (start - 1..start + found.unwrap()).contains(&missed),
            "{found:?} {missed:x}"
        );
    }

    /// Frames that somebody kept while the line was cut come before the first that is delivered again, and after it.
    #[test]
    fn frames_of_before_lead_nobody_astray_again() {
        let mut site = Site::new(1, 0);
        let (kept, now) = ((2 << 32) + 5, (8 << 32) + 7);
        for pn in [now, now + 1] {
            assert!(!site.receives(pn));
            (0..300).for_each(|_| site.tick());
        }
        assert_eq!(site.missed.take(), Some(now));
        for tick in 0..3000 {
            site.receives(kept);
            site.tick();
            assert!(tick % 700 != 699 || site.receives(now + 2 + tick), "{tick}");
        }
        assert_eq!(site.missed, None);
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
