//! Slices of a millisecond, in which paths and engine alternate.

use super::Stop;
use super::case::{Case, Path};
use super::lab::{EngineAlone, Lab, Runner, Split, plain_frames};
use super::stations::Keying;
use crate::clock::{Clock, median, median_ratio};
use anyhow::Result;

/// Length of a slice, in nanoseconds.
const SLICE: f64 = 1e6;
/// Passes for each slice in which parts of a round are watched.
const SPLITS: usize = 5;

/// A path that was measured.
pub(crate) struct Measured {
    pub(crate) path: Path,
    /// Ticks of the clock a frame.
    pub(crate) ticks: f64,
    /// What the loop without crypto takes, as a part of that, at the same time.
    pub(crate) clear: f64,
    /// The same of the engine alone; none where there is no crypto.
    pub(crate) engine: Option<f64>,
    /// The same of a forwarder that does nothing to frames; none where there is none.
    pub(crate) io: Option<f64>,
    /// Ticks of each part; all paths but clear.
    pub(crate) split: Option<[f64; 5]>,
}

struct Entrant<'r> {
    runner: &'r mut dyn Runner,
    passes: usize,
    /// Ticks a frame, in each slice.
    slices: Vec<f64>,
}

/// Measures paths on frames of a case, with so many slices of each, or as many as there were when the end was asked for. None
/// when there were none.
///
/// # Errors
/// The work of one is wrong.
pub(crate) fn measure(
    clock: &Clock,
    case: &Case,
    paths: &[Path],
    slices: usize,
    stop: &Stop,
) -> Result<Option<Vec<Measured>>> {
    let keying = Keying::new(case.suite)?;
    let plain = plain_frames(case);
    let mut labs = Vec::new();
    for path in Path::ALL {
        if path == Path::Clear || paths.contains(&path) {
            labs.push((path, Lab::new(&keying, path, &plain)?));
        }
    }
    let mut engines = [EngineAlone::new(&keying, false, &plain)?, EngineAlone::new(&keying, true, &plain)?];

    let runners = labs.iter_mut().map(|(_, lab)| lab as &mut dyn Runner);
    let runners = runners.chain(engines.iter_mut().map(|e| e as &mut dyn Runner));
    let mut entrants: Vec<Entrant<'_>> =
        runners.map(|runner| Entrant { runner, passes: 1, slices: Vec::new() }).collect();
    for entrant in &mut entrants {
        let mut shortest = u64::MAX;
        for _ in 0..5 {
            shortest = shortest.min(entrant.runner.pass(clock)?);
        }
        entrant.passes = (clock.ticks(SLICE) / shortest as f64).clamp(1.0, 1e6) as usize;
    }
    rounds(clock, &mut entrants, plain.len(), slices, stop)?;
    let all: Vec<Vec<f64>> = entrants.into_iter().map(|entrant| entrant.slices).collect();
    // Rounds are whole, so that all have as many.
    let slices = all[0].len();
    if slices == 0 {
        return Ok(None);
    }
    let (seal, open) = (&all[labs.len()], &all[labs.len() + 1]);
    let mut measured = Vec::new();
    for ((path, lab), taken) in labs.iter_mut().zip(&all).filter(|((path, _), _)| paths.contains(path)) {
        let path = *path;
        let (clear, engine) = (median_ratio(&all[0], taken), engine_of(path, seal, open, taken));
        let split = match path {
            Path::Clear => None,
            _ => Some(split(clock, lab, slices, plain.len(), stop)?),
        };
        measured.push(Measured { path, ticks: median(taken.clone()), clear, engine, io: None, split });
    }
    Ok(Some(measured))
}

/// Lets all have their slices in turns, round after round, until the end is asked for. The first round does not count.
fn rounds(
    clock: &Clock,
    entrants: &mut [Entrant<'_>],
    frames: usize,
    slices: usize,
    stop: &Stop,
) -> Result<()> {
    for round in 0..=slices {
        if stop.asked() {
            break;
        }
        // There and back, so that nobody always comes after the same one.
        let order: Vec<usize> = match round % 2 {
            0 => (0..entrants.len()).collect(),
            _ => (0..entrants.len()).rev().collect(),
        };
        for i in order {
            let Entrant { runner, passes, slices } = &mut entrants[i];
            let mut ticks = 0;
            for _ in 0..*passes {
                ticks += runner.pass(clock)?;
            }
            if round > 0 {
                slices.push(ticks as f64 / (*passes * frames) as f64);
            }
        }
    }
    Ok(())
}

/// What of the engine's work a path has in it, as a part of what it takes.
pub(crate) fn engine_of(path: Path, seal: &[f64], open: &[f64], taken: &[f64]) -> Option<f64> {
    match path {
        Path::Clear => None,
        Path::Protect => Some(median_ratio(seal, taken)),
        Path::Verify => Some(median_ratio(open, taken)),
        Path::Both => {
            let both: Vec<f64> = seal.iter().zip(open).map(|(seal, open)| seal + open).collect();
            Some(median_ratio(&both, taken))
        }
    }
}

/// What parts of a round take: receive, first pass, crypto, third pass, transmit; medians of passes over all frames.
fn split(clock: &Clock, lab: &mut Lab, slices: usize, frames: usize, stop: &Stop) -> Result<[f64; 5]> {
    let mut parts: [Vec<f64>; 5] = Default::default();
    for pass in 0..slices * SPLITS {
        if pass >= SPLITS && stop.asked() {
            break;
        }
        let mut split = Split::default();
        lab.split(clock, &mut split)?;
        for (part, ticks) in parts.iter_mut().zip(split.parts()) {
            part.push(ticks as f64 / frames as f64);
        }
    }
    Ok(parts.map(median))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    /// Takes as many ticks as it was asked for passes, and asks for the end at one of them.
    struct Impatient {
        passes: u64,
        last: u64,
        stop: Stop,
    }

    impl Runner for Impatient {
        fn pass(&mut self, _: &Clock) -> Result<u64> {
            self.passes += 1;
            if self.passes == self.last {
                self.stop.0.store(true, Ordering::Relaxed);
            }
            Ok(self.passes)
        }
    }

    #[test]
    fn an_end_leaves_whole_rounds() {
        for (last, rounds_left) in [(1, 0), (2, 1), (3, 2), (100, 4)] {
            let stop = Stop::default();
            let mut runners =
                [u64::MAX, last, u64::MAX].map(|last| Impatient { passes: 0, last, stop: stop.clone() });
            let entrant = |runner| Entrant { runner, passes: 1, slices: Vec::new() };
            let mut entrants: Vec<_> =
                runners.iter_mut().map(|runner| entrant(runner as &mut dyn Runner)).collect();
            rounds(&Clock::new(), &mut entrants, 2, 4, &stop).unwrap();
            for entrant in &entrants {
                // The first does not count, and there are two frames in each.
                assert_eq!(entrant.slices, [1.0, 1.5, 2.0, 2.5][..rounds_left], "{last}");
            }
        }
    }

    #[test]
    fn an_end_before_the_first_round_leaves_nothing() {
        use crate::gateway_bench::FrameSize;
        let stop = Stop::default();
        let case = Case { suite: wire::CipherSuite::ALL[0], size: FrameSize::Octets(64) };
        let measured = measure(&Clock::new(), &case, &[Path::Protect], 1, &stop).unwrap().unwrap();
        assert!(measured.len() == 1 && measured[0].ticks > 0.0 && measured[0].split.is_some());
        stop.0.store(true, Ordering::Relaxed);
        assert!(measure(&Clock::new(), &case, &[Path::Protect], 1, &stop).unwrap().is_none());
    }
}
