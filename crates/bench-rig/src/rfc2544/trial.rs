//! One trial: generators and receivers put together, run, and asked.

use super::frame::{Shape, Templates};
use super::generator::{Generator, Length, Sending};
use super::receiver::{Arrived, Expected, Receiver, Sink};
use super::size::FrameSize;
use super::task::{Course, Task, Ticks};
use datapath::{FrameRx, FrameTx};
use hdrhistogram::Histogram;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spec {
    pub(crate) size: FrameSize,
    /// Frames a second in each direction; none for as many as can be.
    pub(crate) fps: Option<f64>,
    pub(crate) length: Length,
}

impl Spec {
    /// How many of so many flows have a frame in the trial.
    fn flows_used(&self, flows: u16) -> u64 {
        let flows = u64::from(flows);
        match (self.length, self.fps) {
            // The frame that would be due at the end is none of it.
            (Length::Seconds(seconds), Some(fps)) => {
                flows.min(((seconds * fps).ceil() as u64).saturating_sub(1))
            }
            (Length::Frames(frames), _) => flows.min(frames),
            (Length::Seconds(_), None) | (Length::Nothing, _) => flows,
        }
    }
}

/// What became of one direction's frames.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Frames that the port took.
    pub(crate) sent: u64,
    /// How long sending took.
    pub(crate) seconds: f64,
    pub(crate) arrived: Arrived,
    /// Frames that the receiving port itself missed while the trial ran; those of others among them.
    pub(crate) rig_missed: u64,
    /// In ticks.
    pub(crate) latency: Histogram<u64>,
    /// How long a tick is.
    pub(crate) ns_per_tick: f64,
}

impl Measured {
    /// Adds what became of the frames of another direction, or of another trial.
    pub(crate) fn add(&mut self, other: &Measured) {
        self.sent += other.sent;
        self.seconds += other.seconds;
        self.arrived.add(&other.arrived);
        self.rig_missed += other.rig_missed;
        // All have the same bounds, so that it is never refused.
        let _ = self.latency.add(&other.latency);
    }

    /// Frames that did not arrive.
    pub(crate) fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.arrived.frames)
    }

    /// Frames a second that the generator offered.
    pub(crate) fn offered_fps(&self) -> f64 {
        if self.seconds > 0.0 { self.sent as f64 / self.seconds } else { 0.0 }
    }
}

/// Why there is no outcome of a trial.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrialError {
    /// Somebody asked for the end.
    #[error("interrupted")]
    Interrupted,
    /// A thread could not do its work.
    #[error("{0}")]
    Thread(String),
}

/// Whoever carries out trials.
pub(crate) trait Tester {
    /// Carries one out, and says what became of each direction.
    ///
    /// # Errors
    /// [`TrialError`].
    fn trial(&mut self, spec: &Spec) -> Result<Vec<Measured>, TrialError>;
}

/// Tasks that one thread does in turns.
pub(crate) type Group<'a> = Vec<&'a mut dyn Task>;

/// Whoever runs tasks.
pub(crate) trait Executor {
    /// How many threads there will be.
    fn threads(&self) -> usize;

    /// Runs each group on a thread of its own, until all their tasks have come to their ends.
    ///
    /// # Errors
    /// [`TrialError`].
    fn run(&self, groups: Vec<Group<'_>>, course: &Course) -> Result<(), TrialError>;
}

/// How all trials of a run go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) shape: Shape,
    /// Between learning frames and those that count, in seconds.
    pub(crate) settle: f64,
    /// How long stragglers are waited for, in seconds.
    pub(crate) drain: f64,
    /// Traffic both ways.
    pub(crate) bidirectional: bool,
}

/// Ports, and who runs traffic between them.
pub(crate) struct Rig<R, T, C, E, M> {
    /// Of each way a receive queue, at its end.
    pub(crate) rxs: Vec<R>,
    /// Of each way a transmit queue, at its beginning. The way back is used for learning frames at least.
    pub(crate) txs: Vec<T>,
    /// How many frames the port at the end of a way has missed so far.
    pub(crate) missed: M,
    pub(crate) clock: C,
    pub(crate) executor: E,
    pub(crate) habits: Habits,
    /// The number of the next trial, as frames name it.
    pub(crate) number: u8,
}

impl<R: FrameRx, T: FrameTx, C: Ticks, E: Executor, M: Fn(usize) -> u64> Tester for Rig<R, T, C, E, M> {
    fn trial(&mut self, spec: &Spec) -> Result<Vec<Measured>, TrialError> {
        let Habits { shape, settle, drain, bidirectional } = self.habits;
        let trial = self.number;
        self.number = self.number.wrapping_add(1);
        let ways = if bidirectional { self.rxs.len() } else { 1 };
        let clock = &self.clock;
        let threads = self.executor.threads().clamp(1, 2 * ways);
        let course = Course::new(threads, self.txs.len(), ways);
        let generator = |(direction, tx)| {
            let length = if direction < ways { spec.length } else { Length::Nothing };
            let learning = spec.flows_used(shape.flows);
            let sending = Sending { size: spec.size, fps: spec.fps, length, learning, settle, direction };
            let templates = Templates::new(&shape, spec.size, direction == 1, trial);
            Generator::new(tx, clock, &course, templates, shape.flows, sending)
        };
        let mut generators: Vec<_> = self.txs.iter_mut().enumerate().map(generator).collect();
        let receiver = |(direction, rx)| {
            let expected = Expected { direction, trial, flows: shape.flows, drain };
            Receiver::new(rx, clock, &course, expected)
        };
        let (counted, others) = self.rxs.split_at_mut(ways);
        let mut receivers: Vec<_> = counted.iter_mut().enumerate().map(receiver).collect();
        let mut sinks: Vec<_> = others.iter_mut().map(Sink::new).collect();
        let receiving = tasks(&mut receivers).chain(tasks(&mut sinks));
        let groups = dealt(threads, tasks(&mut generators), receiving);
        let missed_before: Vec<_> = (0..ways).map(&self.missed).collect();
        self.executor.run(groups, &course)?;
        let sent: Vec<_> = generators.iter().map(Generator::outcome).collect();
        let missed = missed_before.iter().enumerate();
        let missed = missed.map(|(way, before)| (self.missed)(way).saturating_sub(*before));
        let ns_per_tick = 1e9 / clock.per_second();
        let outcomes = receivers.into_iter().map(Receiver::outcome).zip(sent).zip(missed);
        let measured = outcomes.map(|(((arrived, latency), (sent, seconds)), rig_missed)| Measured {
            sent,
            seconds,
            arrived,
            rig_missed,
            latency,
            ns_per_tick,
        });
        Ok(measured.collect())
    }
}

fn tasks<T: Task>(tasks: &mut [T]) -> impl Iterator<Item = &mut dyn Task> {
    tasks.iter_mut().map(|task| task as &mut dyn Task)
}

/// Deals tasks to threads: with one it has all; with two, one has the generators and the other the receivers; with
/// more the generators have threads of their own, and then the receivers.
fn dealt<'a>(
    threads: usize,
    generators: impl Iterator<Item = &'a mut dyn Task>,
    receivers: impl Iterator<Item = &'a mut dyn Task>,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = (0..threads).map(|_| Vec::new()).collect();
    let sending = threads.div_ceil(2);
    for (i, task) in generators.enumerate() {
        groups[i % sending].push(task);
    }
    let first = if threads == 1 { 0 } else { sending };
    for (i, task) in receivers.enumerate() {
        groups[first + i % (threads - first)].push(task);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named;

    impl Task for Named {
        fn turn(&mut self) -> bool {
            true
        }
    }

    fn dealt_to(threads: usize, generators: usize, receivers: usize) -> Vec<usize> {
        let mut generators: Vec<_> = (0..generators).map(|_| Named).collect();
        let mut receivers: Vec<_> = (0..receivers).map(|_| Named).collect();
        dealt(threads, tasks(&mut generators), tasks(&mut receivers)).iter().map(Vec::len).collect()
    }

    #[test]
    fn every_task_has_a_thread() {
        assert_eq!(dealt_to(1, 1, 1), [2]);
        assert_eq!(dealt_to(1, 2, 2), [4]);
        assert_eq!(dealt_to(2, 2, 1), [2, 1]);
        assert_eq!(dealt_to(3, 2, 2), [1, 1, 2]);
        assert_eq!(dealt_to(4, 2, 2), [1, 1, 1, 1]);
    }
}
