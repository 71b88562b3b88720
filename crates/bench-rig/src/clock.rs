//! Time: the time stamp counter where there is one, held against the system's clock.

use std::time::{Duration, Instant};

/// How long the counter is held against the system's clock.
const CALIBRATION: Duration = Duration::from_millis(50);

/// A clock in ticks.
pub(crate) struct Clock {
    start: Instant,
    ticks_per_ns: f64,
}

impl Clock {
    /// Finds out how long a tick is.
    pub(crate) fn new() -> Self {
        let mut clock = Clock { start: Instant::now(), ticks_per_ns: 1.0 };
        let first = clock.now();
        let begun = Instant::now();
        while begun.elapsed() < CALIBRATION {
            std::hint::spin_loop();
        }
        let ticks = clock.now() - first;
        clock.ticks_per_ns = ticks as f64 / begun.elapsed().as_nanos() as f64;
        clock
    }

    #[inline(always)]
    pub(crate) fn now(&self) -> u64 {
        gcm::limit::tsc().unwrap_or_else(|| self.start.elapsed().as_nanos() as u64)
    }

    /// Nanoseconds that ticks take.
    pub(crate) fn ns(&self, ticks: f64) -> f64 {
        ticks / self.ticks_per_ns
    }

    /// Ticks of so many nanoseconds.
    pub(crate) fn ticks(&self, ns: f64) -> f64 {
        ns * self.ticks_per_ns
    }

    /// Cycles of the time stamp counter that nanoseconds take, where there is such a counter.
    pub(crate) fn cycles(&self, ns: f64) -> Option<f64> {
        gcm::limit::tsc().map(|_| self.ticks(ns))
    }
}

/// A clock in ticks that all threads read.
pub(crate) trait Ticks: Sync {
    /// Now.
    fn now(&self) -> u64;

    /// Ticks in a second.
    fn per_second(&self) -> f64;
}

impl Ticks for Clock {
    #[inline(always)]
    fn now(&self) -> u64 {
        Clock::now(self)
    }

    fn per_second(&self) -> f64 {
        self.ticks(1e9)
    }
}

/// The middle of some numbers, or of the two in the middle; 0 of none.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers[..] {
        [] => 0.0,
        _ if numbers.len() % 2 == 1 => numbers[middle],
        _ => (numbers[middle - 1] + numbers[middle]) / 2.0,
    }
}

/// The median of `theirs` over `ours`, pair by pair: of slices that came soon after each other, so that what slows a
/// machine for a while slows both.
pub(crate) fn median_ratio(theirs: &[f64], ours: &[f64]) -> f64 {
    median(theirs.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds() {
        let clock = Clock { start: Instant::now(), ticks_per_ns: 2.5 };
        assert_eq!((clock.ns(250.0), clock.ticks(100.0)), (100.0, 250.0));
        assert_eq!(clock.cycles(100.0), gcm::limit::tsc().map(|_| 250.0));
        let clock = Clock::new();
        let (first, later) = (clock.now(), clock.now());
        assert!(first <= later && clock.ticks_per_ns > 0.0);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
        // Twice as much in each pair, whatever the machine did.
        assert_eq!(median_ratio(&[2.0, 2.0, 6.0, 8.0], &[1.0, 1.0, 3.0, 4.0]), 2.0);
    }
}
