//! Searches: which rate, or which burst, to try next. They know nothing of frames or time.

/// How a trial at a rate went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Without loss, or with less than is tolerated; the share that was offered.
    Passed(f64),
    /// With loss.
    Failed,
}

/// Binary search for the greatest share of the line's rate that passes.
#[derive(Clone, Debug)]
pub(crate) struct RateSearch {
    low: f64,
    high: f64,
    resolution: f64,
    begun: bool,
}

/// The least share that is tried where nothing passes.
const LEAST_RATE: f64 = 1e-4;

impl RateSearch {
    /// Until it is known to `resolution`, a share of the line's rate; where nothing has passed then, until something does.
    pub(crate) fn new(resolution: f64) -> Self {
        RateSearch { low: 0.0, high: 1.0, resolution, begun: false }
    }

    /// The share to try next; none when it is known.
    pub(crate) fn next(&self) -> Option<f64> {
        match self.begun {
            false => Some(self.high),
            true if self.high - self.low > self.resolution => Some((self.low + self.high) / 2.0),
            true => Some(self.high / 2.0).filter(|half| self.low == 0.0 && *half >= LEAST_RATE),
        }
    }

    /// How the trial at `share` went.
    pub(crate) fn tell(&mut self, share: f64, verdict: Verdict) {
        self.begun = true;
        match verdict {
            Verdict::Failed => self.high = share,
            Verdict::Passed(offered) => {
                // A generator that was held up by chance may do better next time; one that did no better than before will
                // not.
                let fell_short = offered < share - self.resolution / 4.0;
                let better = if fell_short { self.resolution } else { 0.0 };
                if offered <= self.low + better {
                    self.high = share;
                }
                self.low = self.low.max(offered.min(share));
            }
        }
    }
}

/// Search for the longest burst that passes, in frames: ever longer ones until one fails, then between the two.
#[derive(Clone, Debug)]
pub(crate) struct BurstSearch {
    passed: u64,
    failed: Option<u64>,
    most: u64,
    resolution: f64,
}

/// The first burst that is tried, in frames.
const FIRST_BURST: u64 = 64;

impl BurstSearch {
    /// Bursts of up to `most` frames, known to `resolution`, a share of the burst, or to the frame.
    pub(crate) fn new(most: u64, resolution: f64) -> Self {
        BurstSearch { passed: 0, failed: None, most: most.max(1), resolution }
    }

    /// The burst to try next; none when it is known.
    pub(crate) fn next(&self) -> Option<u64> {
        match self.failed {
            None if self.passed == self.most => None,
            None => Some((self.passed * 4).max(FIRST_BURST).min(self.most)),
            Some(failed) => {
                let enough = ((failed as f64 * self.resolution) as u64).max(1);
                (failed - self.passed > enough).then(|| self.passed + (failed - self.passed) / 2)
            }
        }
    }

    /// How the burst of `frames` went.
    pub(crate) fn tell(&mut self, frames: u64, passed: bool) {
        match passed {
            true => self.passed = frames,
            false => self.failed = Some(frames),
        }
    }

    /// Whether no burst was long enough to fail.
    pub(crate) fn is_unbounded(&self) -> bool {
        self.failed.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Finds what a device and a generator with these limits do; how many trials it took.
    fn find(device: f64, generator: f64, resolution: f64) -> (f64, usize) {
        let mut search = RateSearch::new(resolution);
        let (mut best, mut trials) = (0.0_f64, 0);
        while let Some(share) = search.next() {
            let offered = share.min(generator);
            let verdict = if offered > device { Verdict::Failed } else { Verdict::Passed(offered) };
            if verdict != Verdict::Failed {
                best = best.max(offered);
            }
            search.tell(share, verdict);
            trials += 1;
        }
        (best, trials)
    }

    /// Halves from all to the resolution, or, where nothing passes that is not finer, to the least that is tried.
    fn steps(limit: f64, resolution: f64) -> usize {
        let finest = if limit <= resolution { LEAST_RATE } else { resolution };
        (1.0 / finest).log2().ceil() as usize
    }

    proptest! {
        #[test]
        fn it_finds_something_below_the_resolution(limit in LEAST_RATE * 2.0..0.1, resolution in 0.0005..0.1) {
            let (found, _) = find(limit, 2.0, resolution);
            prop_assert!(found > 0.0 && found <= limit, "{}", found);
            prop_assert!(found >= limit / 2.0 || found >= limit - resolution, "{}", found);
        }

        #[test]
        fn it_finds_the_limit_of_the_device(limit in 0.0..1.2, resolution in 0.0005..0.1) {
            let (found, trials) = find(limit, 2.0, resolution);
            prop_assert!(found <= limit && found >= limit.min(1.0) - resolution, "{}", found);
            prop_assert!(trials <= 1 + steps(limit, resolution));
        }

        #[test]
        fn it_finds_the_limit_of_the_generator(limit in 0.0..1.2, own in 0.01..1.0, resolution in 0.0005..0.1) {
            let (found, trials) = find(limit, own, resolution);
            let least = limit.min(own);
            prop_assert!(found <= least && found >= least - resolution, "{}", found);
            prop_assert!(trials <= 3 + steps(least, resolution), "{}", trials);
        }

        /// However verdicts come, the search ends.
        #[test]
        fn it_ends(verdicts in proptest::collection::vec((0_u8..3, 0.0..1.0), 200)) {
            let mut search = RateSearch::new(0.01);
            for (kind, part) in verdicts {
                let Some(share) = search.next() else { return Ok(()) };
                prop_assert!(share > 0.0 && share <= 1.0);
                search.tell(share, match kind {
                    0 => Verdict::Passed(f64::max(share - 0.0025 * part, 0.0)),
                    1 => Verdict::Failed,
                    _ => Verdict::Passed(share * part),
                });
            }
            prop_assert!(search.next().is_none(), "it goes on");
        }

        #[test]
        fn it_finds_the_longest_burst(limit in 0_u64..1 << 40, most in 1_u64..1 << 40, resolution in 0.001..0.1) {
            let mut search = BurstSearch::new(most, resolution);
            let (mut best, mut trials) = (0, 0);
            while let Some(frames) = search.next() {
                prop_assert!(frames >= 1 && frames <= most);
                best = if frames <= limit { frames } else { best };
                search.tell(frames, frames <= limit);
                trials += 1;
                prop_assert!(trials < 100);
            }
            let longest = limit.min(most);
            prop_assert_eq!(search.is_unbounded(), limit >= most);
            prop_assert!(best <= longest);
            prop_assert!(longest - best <= ((best * 4).max(64) as f64 * resolution) as u64 + 1, "{} {}", best, longest);
        }
    }

    #[test]
    fn a_generator_held_up_once_is_asked_again() {
        let mut search = RateSearch::new(0.01);
        search.tell(1.0, Verdict::Failed);
        assert_eq!(search.next(), Some(0.5));
        search.tell(0.5, Verdict::Passed(0.4));
        // Not the end at 0.5.
        assert_eq!(search.next(), Some(0.7));
        // What passed is what was offered, not what was asked for.
        search.tell(0.7, Verdict::Passed(0.698));
        assert_eq!(search.next(), Some(0.849));
    }
}
