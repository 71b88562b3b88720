//! Pace: how many frames are due by now.

/// Deals out frames at an even rate. Who falls behind by more than a moment does not catch up, as that would be a burst
/// above the rate; the frames are not sent then, and the offered load is less than what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    start: u64,
    /// Frames a tick, times 2^64. None: as fast as can be.
    per_tick: Option<u64>,
    most_behind: u64,
    skipped: u64,
}

/// Frames that may be sent at once however low the rate is.
const LEAST_BEHIND: f64 = 64.0;
/// How long a generator may be away before it leaves frames out, in seconds.
const MOMENT: f64 = 20e-6;

impl Pacer {
    /// From `start` on, in ticks, `fps` frames a second, or as many as can be.
    pub(crate) fn new(start: u64, fps: Option<f64>, ticks_per_second: f64) -> Self {
        // Conversion to an integer saturates at a frame a tick, which nobody reaches.
        let per_tick = fps.map(|fps| (fps / ticks_per_second * 2_f64.powi(64)) as u64);
        let most_behind = (fps.unwrap_or(0.0) * MOMENT).max(LEAST_BEHIND) as u64;
        Pacer { start, per_tick, most_behind, skipped: 0 }
    }

    /// Catches up with no more than so many frames.
    #[must_use]
    pub(crate) fn at_most_behind(self, frames: u64) -> Self {
        Pacer { most_behind: frames, ..self }
    }

    /// Frames due at `now`, when `made` were made so far, but no more than `most`.
    #[inline]
    pub(crate) fn due(&mut self, now: u64, made: u64, most: usize) -> usize {
        let Some(per_tick) = self.per_tick else { return most };
        let ticks = now.saturating_sub(self.start);
        let all = ((u128::from(ticks) * u128::from(per_tick)) >> 64) as u64;
        let behind = all.saturating_sub(self.skipped + made);
        if behind > self.most_behind {
            self.skipped += behind - self.most_behind;
        }
        behind.min(self.most_behind).min(most as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn who_keeps_looking_sends_all(fps in 1e3..1e8, start: u32, step in 1_u64..500) {
            let start = u64::from(start);
            let mut pacer = Pacer::new(start, Some(fps), 1e9);
            let (mut made, mut now) = (0, start);
            while now < start + 1_000_000 {
                made += pacer.due(now, made, 64) as u64;
                now += step;
            }
            let all = (now - step - start) as f64 * fps / 1e9;
            prop_assert!((made as f64 - all).abs() <= 1.0, "{} of {}", made, all);
        }

        #[test]
        fn what_may_be_caught_up_with_can_be_said(fps in 1e6..1e8, away in 100_000_u64..1 << 40) {
            let mut pacer = Pacer::new(0, Some(fps), 1e9).at_most_behind(5);
            prop_assert_eq!(pacer.due(away, 0, 32), 5);
            prop_assert_eq!(pacer.due(away, 5, 32), 0);
        }

        #[test]
        fn who_was_away_does_not_catch_up(fps in 1e3..1e8, away in 100_000_u64..1 << 40) {
            let mut pacer = Pacer::new(0, Some(fps), 1e9);
            let most = 64_u64.max((fps * 20e-6) as u64);
            let mut made = 0;
            loop {
                match pacer.due(away, made, 32) {
                    0 => break,
                    due => made += due as u64,
                }
            }
            prop_assert!(made <= most);
            // And from then on the rate is the same.
            let later: u64 = (1..=1000).map(|i| {
                let due = pacer.due(away + i * 1000, made, 1000) as u64;
                made += due;
                due
            }).sum();
            prop_assert!((later as f64 - fps * 1e-3).abs() <= 2.0, "{}", later);
        }
    }

    #[test]
    fn without_a_rate_there_is_no_end() {
        let mut pacer = Pacer::new(5, None, 1e9);
        assert_eq!((pacer.due(0, 0, 32), pacer.due(5, 1 << 40, 7)), (32, 7));
        // Nothing is due before the start.
        assert_eq!(Pacer::new(5, Some(1e6), 1e9).due(0, 0, 32), 0);
    }
}
