//! Slices, in which the numbers of crypto workers alternate.

use super::case::Case;
use super::team::{SliceError, Team};
use crate::clock::{Clock, median};
use anyhow::Result;
use datapath::IdlePolicy;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Length of a slice, and what goes before it, while caches warm up and crypto workers wake, in nanoseconds.
const SLICE: f64 = 10e6;
const BEFORE: f64 = 2e6;

/// Slices of each number of crypto workers at most: 32-bit packet numbers last for them at 300 million frames a second.
pub(super) const MOST_SLICES: u32 = 1000;

/// How it is measured.
pub(super) struct Method<'a> {
    /// The owner's, and one for each of the others.
    pub(super) cores: &'a [usize],
    /// Crypto workers at most, if there are cores for them.
    pub(super) workers: usize,
    /// Slices that count, of each number of crypto workers; one more goes before.
    pub(super) slices: usize,
    pub(super) clock: &'a Arc<Clock>,
    /// Whether somebody asked for the end.
    pub(super) stop: &'a AtomicBool,
}

impl Method<'_> {
    /// Frames a second with no crypto worker, with one, and so on.
    ///
    /// # Errors
    /// [`SliceError`].
    pub(super) fn measure(&self, case: &Case) -> Result<Vec<f64>> {
        let most = case.way.most_workers(self.cores.len()).unwrap_or(0).min(self.workers);
        let counts = most + 1;
        let directions = (0..counts).map(|workers| case.direction(workers, most)).collect::<Result<_>>()?;
        let team = Team::start(case.way, directions, self.cores, IdlePolicy::Busy, self.clock)?;
        let mut rates = vec![Vec::new(); counts];
        for round in 0..=self.slices {
            // There and back, so that nobody always comes after the same one.
            let order: Vec<usize> = match round % 2 {
                0 => (0..counts).collect(),
                _ => (0..counts).rev().collect(),
            };
            for workers in order {
                let rate = team.slice(workers, BEFORE, SLICE, self.stop)?;
                if round > 0 {
                    rates[workers].push(rate);
                }
            }
        }
        Ok(rates.into_iter().map(median).collect())
    }
}

/// Whether it is the end that somebody asked for.
pub(super) fn is_interruption(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(SliceError::Interrupted))
}
