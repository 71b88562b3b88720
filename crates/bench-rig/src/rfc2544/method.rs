//! The tests: which trials they are made of.

use super::generator::Length;
use super::results::{Asked, Test, Trial, rows};
use super::search::{BurstSearch, RateSearch, Verdict};
use super::size::FrameSize;
use super::tables::frames;
use super::trial::{Measured, Spec, Tester, TrialError};

/// How long the generator's own rate is measured at most, in seconds.
const CALIBRATION: f64 = 0.5;
/// Trials without loss, one after another, that end a test of loss (RFC 2544, clause 26.3).
const ENOUGH_LOSSLESS: usize = 2;

/// How often a trial is repeated that says nothing of the device.
const AGAIN: usize = 2;

/// What is to be tested. Shares are of 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) sizes: Vec<FrameSize>,
    pub(crate) tests: Vec<Test>,
    /// The line's rate in Gbit/s; none for what the generator reaches.
    pub(crate) gbit: Option<f64>,
    /// Of a trial.
    pub(crate) seconds: f64,
    /// Share of frames that may be lost.
    pub(crate) tolerance: f64,
    /// Share of the line's rate to which a throughput is known, and share of a burst.
    pub(crate) resolution: f64,
    /// Share of the line's rate between trials of loss.
    pub(crate) step: f64,
    /// Shares of the throughput at which latency is taken.
    pub(crate) latency_shares: Vec<f64>,
    /// Trials of latency at each of these, and searches for a burst.
    pub(crate) repetitions: u32,
}

/// Whoever looks on.
pub(crate) trait Watcher {
    /// A test of a frame size begins.
    fn test(&mut self, size: FrameSize, test: Test);

    /// A trial begins.
    fn trial(&mut self, what: &str);

    /// Something that the numbers do not say.
    fn remark(&mut self, line: &str);

    /// Rows that a test found.
    ///
    /// # Errors
    /// They cannot be shown.
    fn found(&mut self, rows: &[Trial]) -> anyhow::Result<()>;
}

/// Carries out a plan.
pub(crate) struct Method<'a, T, W> {
    pub(crate) tester: &'a mut T,
    pub(crate) plan: &'a Plan,
    pub(crate) watcher: &'a mut W,
    /// Everything so far, steps on the way to a result among it.
    pub(crate) trials: Vec<Trial>,
}

impl<T: Tester, W: Watcher> Method<'_, T, W> {
    /// All tests of all sizes. What was found before an error is kept.
    ///
    /// # Errors
    /// [`TrialError`]; what was found cannot be shown.
    pub(crate) fn run(&mut self) -> anyhow::Result<()> {
        for &size in &self.plan.sizes {
            let wanted = |test| self.plan.tests.contains(&test);
            let (throughput, latency) = (wanted(Test::Throughput), wanted(Test::Latency));
            let (loss, bursts) = (wanted(Test::Loss), wanted(Test::BackToBack));
            let line_fps = self.line_fps(size)?;
            if throughput || latency {
                let share = self.throughput(size, line_fps, throughput)?;
                if latency {
                    self.latency(size, line_fps, share)?;
                }
            }
            if loss {
                self.loss(size, line_fps)?;
            }
            if bursts {
                self.back_to_back(size, line_fps)?;
            }
        }
        Ok(())
    }

    /// Frames a second that 100 % stand for, in each direction.
    fn line_fps(&mut self, size: FrameSize) -> anyhow::Result<f64> {
        if let Some(gbit) = self.plan.gbit {
            return Ok(size.line_fps(gbit));
        }
        self.watcher.test(size, self.plan.tests.first().copied().unwrap_or(Test::Throughput));
        self.watcher.trial("what the generator reaches");
        let length = Length::Seconds(self.plan.seconds.min(CALIBRATION));
        let measured = self.tester.trial(&Spec { size, fps: None, length })?;
        let fps = measured.iter().map(|measured| measured.offered_fps()).fold(f64::INFINITY, f64::min);
        if !(fps.is_finite() && fps > 0.0) {
            anyhow::bail!("the port --tx takes no frames of {size} octets");
        }
        Ok(fps)
    }

    /// One trial, again where it says nothing of the device.
    fn attempt(&mut self, asked: &Asked, spec: &Spec) -> Result<Vec<Measured>, TrialError> {
        let mut measured = self.tester.trial(spec)?;
        for _ in 0..AGAIN {
            let rows = rows(asked, &measured);
            if !(came_too_slowly(&rows) || missed_by_rig(&rows) || nothing_sent(&rows)) {
                break;
            }
            measured = self.tester.trial(spec)?;
        }
        Ok(measured)
    }

    /// So many trials of the plan's length at a share of the line's rate, taken as one; where one has no outcome, those before.
    fn at(
        &mut self,
        test: Test,
        size: FrameSize,
        line_fps: f64,
        share: f64,
        repetitions: u32,
    ) -> (Vec<Trial>, Result<(), TrialError>) {
        let length = Length::Seconds(self.plan.seconds);
        let spec = Spec { size, fps: Some(share * line_fps), length };
        let tolerance = self.plan.tolerance;
        let asked = Asked { test, size, line_fps, share: Some(share), burst: None, tolerance };
        let mut measured: Vec<Measured> = Vec::new();
        for number in 0..repetitions {
            self.watcher.trial(&format!("{:.2} %{}", share * 100.0, of_all(number, repetitions)));
            let one = match self.attempt(&asked, &spec) {
                Ok(one) => one,
                Err(e) => return (rows(&asked, &measured), Err(e)),
            };
            if measured.is_empty() {
                measured = one;
            } else {
                measured.iter_mut().zip(&one).for_each(|(all, one)| all.add(one));
            }
        }
        (rows(&asked, &measured), Ok(()))
    }

    /// Keeps rows, as a result or as a step on the way there.
    fn keep(&mut self, mut rows: Vec<Trial>, is_result: bool) -> anyhow::Result<()> {
        rows.iter_mut().for_each(|row| row.is_result = is_result);
        let shown = if is_result { self.watcher.found(&rows) } else { Ok(()) };
        self.trials.extend(rows);
        shown
    }

    /// Keeps what a test found until it ended, which may be before it had all.
    fn keep_found(&mut self, mut rows: Vec<Trial>, ended: Result<(), TrialError>) -> anyhow::Result<()> {
        rows.iter_mut().for_each(|row| row.interrupted = ended.is_err());
        self.keep(rows, true)?;
        Ok(ended?)
    }

    /// The greatest share of the line's rate that passes; 0 where none does.
    fn throughput(&mut self, size: FrameSize, line_fps: f64, is_asked_for: bool) -> anyhow::Result<f64> {
        self.watcher.test(size, Test::Throughput);
        let mut search = RateSearch::new(self.plan.resolution);
        let (mut best, mut found, mut ended, mut lowest) = (0.0, Vec::new(), Ok(()), 1.0_f64);
        while let Some(share) = search.next() {
            let rows;
            (rows, ended) = self.at(Test::Throughput, size, line_fps, share, 1);
            if ended.is_err() {
                break;
            }
            let offered = rows.iter().map(|row| row.offered_share).fold(share, f64::min);
            let passed = rows.iter().all(|row| row.passed);
            search.tell(share, if passed { Verdict::Passed(offered) } else { Verdict::Failed });
            lowest = lowest.min(share);
            if passed && offered > best {
                best = offered;
                found = rows.clone();
            } else if best == 0.0 {
                // Where nothing passes, this is how much is lost at the least.
                found = rows.clone();
            }
            self.keep(rows, false)?;
        }
        match ended {
            // Something might have passed yet.
            Err(_) if best == 0.0 => found.clear(),
            Ok(()) if best == 0.0 => self.watcher.remark(&format!(
                "{}: nothing passes, down to {:.4} % of the line's rate, {:.0} frames a second",
                frames(size),
                lowest * 100.0,
                lowest * line_fps
            )),
            _ => {}
        }
        match is_asked_for {
            true => self.keep_found(found, ended)?,
            false => ended?,
        }
        Ok(best)
    }

    fn latency(&mut self, size: FrameSize, line_fps: f64, throughput: f64) -> anyhow::Result<()> {
        self.watcher.test(size, Test::Latency);
        if throughput == 0.0 {
            self.watcher.remark(&format!("{}: without a throughput there is no latency", frames(size)));
            return Ok(());
        }
        for share in self.plan.latency_shares.clone() {
            let repetitions = self.plan.repetitions;
            let (rows, ended) = self.at(Test::Latency, size, line_fps, throughput * share, repetitions);
            self.keep_found(rows, ended)?;
        }
        Ok(())
    }

    fn loss(&mut self, size: FrameSize, line_fps: f64) -> anyhow::Result<()> {
        self.watcher.test(size, Test::Loss);
        let mut lossless = 0;
        for step in 0.. {
            let share = 1.0 - f64::from(step) * self.plan.step;
            // Not at nothing, nor at what rounding makes of nothing.
            if share < self.plan.step / 2.0 || lossless == ENOUGH_LOSSLESS {
                break;
            }
            let (rows, ended) = self.at(Test::Loss, size, line_fps, share, 1);
            lossless = if rows.iter().all(|row| row.lost == 0) { lossless + 1 } else { 0 };
            self.keep_found(rows, ended)?;
        }
        Ok(())
    }

    fn back_to_back(&mut self, size: FrameSize, line_fps: f64) -> anyhow::Result<()> {
        self.watcher.test(size, Test::BackToBack);
        let repetitions = self.plan.repetitions;
        let (mut found, mut too_slow, mut ended) = (Vec::new(), None::<u64>, Ok(()));
        for number in 0..repetitions {
            let search = self.longest_burst(size, line_fps, &of_all(number, repetitions))?;
            ended = search.ended;
            // One that did not come to its end counts only where there is no other.
            if ended.is_ok() || (found.is_empty() && search.rows.iter().all(|row| row.passed)) {
                found.push(search.rows);
                too_slow = too_slow.into_iter().chain(search.too_slow).min();
            }
            if ended.is_err() {
                break;
            }
        }
        if let Some(longest) = too_slow {
            self.watcher.remark(&format!(
                "{}: bursts of more than {longest} frames could not be sent at the line's rate, so that the generator was \
                 the limit, not the device",
                frames(size)
            ));
        }
        self.keep_found(mean_burst(found), ended)
    }

    /// One search; `of_all` says which.
    fn longest_burst(&mut self, size: FrameSize, line_fps: f64, of_all: &str) -> anyhow::Result<Searched> {
        let most = (line_fps * self.plan.seconds) as u64;
        let mut search = BurstSearch::new(most, self.plan.resolution);
        let (mut found, mut longest, mut too_slow, mut ended) = (Vec::new(), 0, false, Ok(()));
        while let Some(frames) = search.next() {
            self.watcher.trial(&format!("{frames} frames{of_all}"));
            // The line's own rate where it is known; otherwise as fast as can be, which is what 100 % stand for.
            let share = self.plan.gbit.map(|_| 1.0);
            let fps = share.map(|share| share * line_fps);
            let (test, tolerance) = (Test::BackToBack, self.plan.tolerance);
            let asked = Asked { test, size, line_fps, share, burst: Some(frames), tolerance };
            let measured = match self.attempt(&asked, &Spec { size, fps, length: Length::Frames(frames) }) {
                Ok(measured) => measured,
                Err(e) => {
                    ended = Err(e);
                    break;
                }
            };
            let rows = rows(&asked, &measured);
            let passed = rows.iter().all(|row| row.passed);
            search.tell(frames, passed);
            // The last to fail is the shortest.
            match passed {
                true => longest = frames,
                false => too_slow = came_too_slowly(&rows),
            }
            if passed || longest == 0 {
                found = rows.clone();
            }
            self.keep(rows, false)?;
        }
        let unbounded = Some(search.is_unbounded());
        found.iter_mut().for_each(|row| row.burst_unbounded = unbounded);
        Ok(Searched { rows: found, too_slow: too_slow.then_some(longest), ended })
    }
}

/// What a search for a burst came to.
struct Searched {
    /// Of the longest that passed; where none did, of the shortest.
    rows: Vec<Trial>,
    /// The longest that passed, in frames, where longer ones came too slowly.
    too_slow: Option<u64>,
    ended: Result<(), TrialError>,
}

/// Whether a burst lost nothing, and was not sent at its rate.
fn came_too_slowly(rows: &[Trial]) -> bool {
    rows.iter().all(|row| row.lossless) && rows.iter().any(|row| !row.passed)
}

/// Whether the generator had no moment of a trial to send in. A burst waits for its frames, and longer than this is worth.
fn nothing_sent(rows: &[Trial]) -> bool {
    rows.iter().any(|row| row.sent == 0 && row.burst_frames.is_none())
}

/// Whether frames were lost, some of them by the rig itself.
fn missed_by_rig(rows: &[Trial]) -> bool {
    rows.iter().any(|row| row.lost > 0 && row.rig_missed > 0)
}

/// Which of several repetitions one is.
fn of_all(number: u32, repetitions: u32) -> String {
    if repetitions == 1 { String::new() } else { format!(", {} of {repetitions}", number + 1) }
}

/// What several searches for a burst found, each in rows of its own: the mean of their lengths (RFC 2544, clause 26.4), and
/// else the rows of the one nearest to it. A search that found none counts as nothing.
fn mean_burst(found: Vec<Vec<Trial>>) -> Vec<Trial> {
    let length = |rows: &[Trial]| match rows {
        [first, ..] if rows.iter().all(|row| row.passed) => first.burst_frames.unwrap_or(0),
        _ => 0,
    };
    let lengths: Vec<_> = found.iter().map(|rows| length(rows)).collect();
    let mean = (lengths.iter().sum::<u64>() as f64 / lengths.len().max(1) as f64).round() as u64;
    let unbounded = found.iter().flatten().all(|row| row.burst_unbounded == Some(true));
    // Those that found one come first.
    let nearest = found.into_iter().min_by_key(|rows| (length(rows) == 0, length(rows).abs_diff(mean)));
    let mut rows = nearest.unwrap_or_default();
    if length(&rows) > 0 {
        for row in &mut rows {
            (row.burst_frames, row.burst_unbounded) = (Some(mean), Some(unbounded));
        }
    }
    rows
}

#[cfg(test)]
#[path = "method_tests.rs"]
mod tests;
