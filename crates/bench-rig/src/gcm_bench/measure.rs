//! Slices of a millisecond, in which the contenders alternate.

use super::case::{Case, Direction};
use super::check::{FIRST_PN, Reference, open_all, seal_all};
use super::contender::{Contender, Kind};
use super::frames::{Frame, Pool};
use super::port_limit::{Costs, LimitSlices, Registers};
use crate::clock::{Clock, median};
use anyhow::{Context, Result, bail};
use gcm::limit::PortLoops;
use std::sync::atomic::{AtomicBool, Ordering};

/// Length of a slice, in nanoseconds.
const SLICE: f64 = 1e6;
/// Keys that are set up between two looks at the clock.
const KEYS_AT_ONCE: usize = 64;

/// How it is measured.
pub(crate) struct Method<'a> {
    pub(crate) kinds: &'a [Kind],
    pub(crate) loops: Option<PortLoops>,
    pub(crate) clock: &'a Clock,
    /// Slices that count, of each contender; one more goes before.
    pub(crate) slices: usize,
    /// Frames in a burst.
    pub(crate) burst: usize,
    /// Whether somebody asked for the end.
    pub(crate) stop: &'a AtomicBool,
}

/// Somebody asked for the end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// What came out for a case.
pub(crate) struct Measured {
    /// Nanoseconds a frame, for each contender.
    pub(crate) ns: Vec<f64>,
    /// Nanoseconds a frame that the ports allow, where the CPU has loops to tell.
    pub(crate) limit: Option<f64>,
    /// Octets a frame that rates are of: of payload, or of AAD where nothing else is there.
    pub(crate) octets: f64,
}

struct Entrant {
    contender: Box<dyn Contender>,
    /// Passes over all frames in a slice.
    passes: usize,
    /// The next packet number to seal with.
    pn: u32,
    /// Nanoseconds a frame, in each slice.
    slices: Vec<f64>,
}

impl Method<'_> {
    fn go_on(&self) -> Result<(), Interrupted> {
        if self.stop.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }

    /// Measures one case.
    ///
    /// # Errors
    /// A contender's work is wrong; [`Interrupted`].
    pub(crate) fn measure(&self, case: &Case) -> Result<Measured> {
        let keys = keys(case.suite.key_len(), case.keys, 0);
        let mut pool = Pool::new(case, self.burst);
        let payloads = pool.payloads().to_vec();
        let mut frames = pool.frames();
        let reference = Reference::new(case, &keys, &mut frames, self.burst);
        let mut entrants = Vec::new();
        for kind in self.kinds {
            let mut contender = kind.with_keys(case.suite, &keys);
            reference
                .check(kind.name(), &mut *contender, &mut frames, self.burst)
                .with_context(|| case.to_string())?;
            let pn = FIRST_PN.wrapping_add(frames.len() as u32);
            let mut entrant = Entrant { contender, passes: 1, pn, slices: Vec::new() };
            let mut shortest = f64::INFINITY;
            for _ in 0..3 {
                shortest = shortest.min(self.slice(case, &mut entrant, &mut frames, &reference)?);
            }
            entrant.passes = (SLICE / (shortest * frames.len() as f64)).clamp(1.0, 1e6) as usize;
            entrants.push(entrant);
        }
        let mut limit = self.loops.map(|loops| LimitSlices::new(loops, case.suite, self.clock, SLICE));
        for round in 0..=self.slices {
            // There and back, so that nobody always comes after the same one.
            let order: Vec<usize> = match round % 2 {
                0 => (0..entrants.len()).collect(),
                _ => (0..entrants.len()).rev().collect(),
            };
            for i in order {
                self.go_on()?;
                let ns = self.slice(case, &mut entrants[i], &mut frames, &reference)?;
                if round > 0 {
                    entrants[i].slices.push(ns);
                }
            }
            if let Some(limit) = &mut limit {
                limit.slice(self.clock, round > 0);
            }
        }
        let mean = payloads.iter().sum::<usize>() as f64 / payloads.len() as f64;
        let costs: Option<Costs> = limit.map(LimitSlices::costs);
        Ok(Measured {
            ns: entrants.into_iter().map(|e| median(e.slices)).collect(),
            limit: self
                .loops
                .zip(costs)
                .map(|(loops, costs)| Registers::new(case, &payloads, loops.register_octets()).limit(costs)),
            octets: if mean > 0.0 { mean } else { case.aad_len() as f64 },
        })
    }

    /// Nanoseconds a frame over one slice.
    fn slice(
        &self,
        case: &Case,
        entrant: &mut Entrant,
        frames: &mut [Frame<'_>],
        reference: &Reference,
    ) -> Result<f64> {
        let contender = &mut *entrant.contender;
        let mut ticks = 0;
        match case.direction {
            Direction::Seal => {
                let start = self.clock.now();
                for _ in 0..entrant.passes {
                    entrant.pn = seal_all(contender, frames, self.burst, entrant.pn);
                }
                ticks += self.clock.now() - start;
            }
            Direction::Open => {
                for _ in 0..entrant.passes {
                    // Only what is authentic is opened; putting it back is not measured.
                    reference.sealed.restore(frames);
                    let start = self.clock.now();
                    let authentic = open_all(contender, frames, self.burst);
                    ticks += self.clock.now() - start;
                    if authentic != frames.len() {
                        bail!("{case}: only {authentic} of {} frames were authentic", frames.len());
                    }
                }
            }
        }
        Ok(self.clock.ns(ticks as f64) / (entrant.passes * frames.len()) as f64)
    }

    /// Nanoseconds that setting up a key takes each contender.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub(crate) fn key_setup(&self, suite: super::case::Suite) -> Result<Vec<f64>, Interrupted> {
        let mut slices = vec![Vec::new(); self.kinds.len()];
        let mut seed = 0;
        for round in 0..=self.slices {
            for (kind, slices) in self.kinds.iter().zip(&mut slices) {
                self.go_on()?;
                let (mut ticks, mut count) = (0, 0);
                while self.clock.ns(ticks as f64) < SLICE {
                    seed += 1;
                    let keys = keys(suite.key_len(), KEYS_AT_ONCE, seed);
                    ticks += kind.set_up(suite, &keys, self.clock);
                    count += keys.len();
                }
                if round > 0 {
                    slices.push(self.clock.ns(ticks as f64) / count as f64);
                }
            }
        }
        Ok(slices.into_iter().map(median).collect())
    }
}

/// Keys that are all different.
fn keys(len: usize, count: usize, seed: u64) -> Vec<Vec<u8>> {
    let key = |i: usize| {
        let mut key = vec![0x5c; len];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        key[8] = i as u8;
        key
    };
    (0..count).map(key).collect()
}
