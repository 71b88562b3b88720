//! The generator: one direction's frames, at their pace.

use super::frame::Templates;
use super::pace::Pacer;
use super::size::FrameSize;
use super::task::{Course, Task, Ticks, ticks};
use datapath::FrameTx;
use secy::Burst;

/// Frames that are handed to the port at once.
pub(crate) const BURST: usize = 32;
/// Learning frames a second: few enough for anyone.
const LEARNING_FPS: f64 = 50_000.0;
/// Learning frames at least, which also bring caches and drivers to life.
const LEARNING_LEAST: u64 = 64;
/// How long a port that takes no more frames is waited for, in seconds, where a trial has no length of its own.
const STUCK: f64 = 10.0;

/// How much is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Length {
    Seconds(f64),
    Frames(u64),
    /// Learning frames alone.
    Nothing,
}

/// What a generator is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    pub(crate) size: FrameSize,
    /// Frames a second; none for as fast as can be.
    pub(crate) fps: Option<f64>,
    pub(crate) length: Length,
    /// Flows that learning frames are sent of, from the first on.
    pub(crate) learning: u64,
    /// Between learning frames and those that count, in seconds.
    pub(crate) settle: f64,
    /// Which of the trial's directions it is; learning frames alone are none of them.
    pub(crate) direction: usize,
}

enum Phase {
    Waiting,
    Learning(Pacer),
    Settling,
    Running(Pacer),
    Done,
}

/// Sends the learning frames and then those that count.
pub(crate) struct Generator<'a, T: FrameTx, C> {
    tx: &'a mut T,
    clock: &'a C,
    course: &'a Course,
    templates: Templates,
    sending: Sending,
    phase: Phase,
    /// Frames that the port has not taken yet.
    frames: Burst<T::Frame>,
    made: u64,
    sent: u64,
    start: u64,
    end: u64,
    /// When the port last took some.
    taken: u64,
    /// The place in the order of sizes, and where this round over all flows began there: each begins one further, or sizes
    /// and flows would go together.
    place: usize,
    first: usize,
    flow: usize,
    /// Of each flow the next number.
    sequences: Vec<u32>,
}

impl<'a, T: FrameTx, C: Ticks> Generator<'a, T, C> {
    pub(crate) fn new(
        tx: &'a mut T,
        clock: &'a C,
        course: &'a Course,
        templates: Templates,
        flows: u16,
        sending: Sending,
    ) -> Self {
        Generator {
            tx,
            clock,
            course,
            templates,
            sending,
            phase: Phase::Waiting,
            frames: Burst::new(),
            made: 0,
            sent: 0,
            start: 0,
            end: 0,
            taken: 0,
            place: 0,
            first: 0,
            flow: 0,
            sequences: vec![0; flows.into()],
        }
    }

    /// Frames that the port took, and the seconds in which it did.
    pub(crate) fn outcome(&self) -> (u64, f64) {
        (self.sent, self.end.saturating_sub(self.start) as f64 / self.clock.per_second())
    }

    /// Learning frames a second.
    fn learning_fps(&self) -> f64 {
        self.sending.fps.unwrap_or(LEARNING_FPS).min(LEARNING_FPS)
    }

    /// Makes up to `count` frames and offers what there is to the port.
    #[inline]
    fn send(&mut self, count: usize, learning: bool) {
        if self.frames.is_empty() {
            let pattern = self.sending.size.pattern();
            for _ in 0..count {
                let class = usize::from(pattern[self.place]);
                let sequence = self.sequences[self.flow];
                let made = self.templates.make(self.tx, class, self.flow, sequence, learning);
                // Out of memory: the port holds it all, and will give some back.
                let Some(frame) = made else { break };
                self.frames.push(frame);
                self.made += 1;
                self.sequences[self.flow] = sequence.wrapping_add(1);
                let after = |place: usize| if place + 1 == pattern.len() { 0 } else { place + 1 };
                (self.place, self.flow) = (after(self.place), self.flow + 1);
                if self.flow == self.sequences.len() {
                    self.first = after(self.first);
                    (self.place, self.flow) = (self.first, 0);
                }
            }
        }
        if !self.frames.is_empty() {
            let now = self.clock.now();
            self.frames.iter_mut().for_each(|frame| self.templates.stamp(frame, now));
            let before = self.frames.len();
            self.tx.tx_burst(&mut self.frames);
            if self.frames.len() < before {
                self.sent += (before - self.frames.len()) as u64;
                self.taken = now;
            }
        }
    }

    /// Begins to count anew.
    fn count_from(&mut self, start: u64) {
        self.frames.clear();
        (self.made, self.sent, self.start, self.end, self.taken) = (0, 0, start, start, start);
        (self.place, self.first, self.flow) = (0, 0, 0);
        self.sequences.fill(0);
    }

    /// Sends what is due. Whether that was all.
    #[inline]
    fn run(&mut self, pacer: &mut Pacer) -> bool {
        let now = self.clock.now();
        let (end, left) = match self.sending.length {
            Length::Seconds(seconds) => (self.start + ticks(self.clock, seconds), BURST as u64),
            Length::Frames(frames) => {
                // Such a trial ends with its frames, unless the port takes no more.
                let apart = self.sending.fps.map_or(0.0, |fps| BURST as f64 / fps);
                (self.taken + ticks(self.clock, apart + STUCK), frames - self.made)
            }
            Length::Nothing => (0, 0),
        };
        if now >= end {
            self.end = end;
            return true;
        }
        let most = left.min(BURST as u64) as usize;
        let count = pacer.due(now, self.made, most);
        if count > 0 || !self.frames.is_empty() {
            self.send(count, false);
        }
        if matches!(self.sending.length, Length::Frames(frames) if self.sent == frames) {
            self.end = self.clock.now();
            return true;
        }
        false
    }
}

impl<T: FrameTx, C: Ticks> Task for Generator<'_, T, C> {
    fn turn(&mut self) -> bool {
        // What is left in its place is never seen.
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Waiting if self.course.ready() => {
                let now = self.clock.now();
                self.count_from(now);
                let fps = self.learning_fps();
                self.phase = Phase::Learning(Pacer::new(now, Some(fps), self.clock.per_second()));
            }
            Phase::Waiting => self.phase = Phase::Waiting,
            Phase::Learning(mut pacer) => {
                // One of each flow, and at a usual rate some more. A port that takes none does not keep the trial from
                // beginning.
                let needed = self.sending.learning;
                let wanted = needed.max(LEARNING_LEAST);
                let now = self.clock.now();
                let after = |seconds| now > self.start.saturating_add(ticks(self.clock, seconds));
                let longest = 1.0 + 2.0 * needed as f64 / self.learning_fps();
                if self.sent >= wanted || self.sent >= needed && after(1.0) || after(longest) {
                    let begun = self.clock.now() + ticks(self.clock, self.sending.settle);
                    self.course.learned(begun);
                    self.phase = Phase::Settling;
                } else {
                    let most = (wanted - self.made).min(BURST as u64) as usize;
                    let count = pacer.due(now, self.made, most);
                    self.send(count, true);
                    self.phase = Phase::Learning(pacer);
                }
            }
            Phase::Settling => match self.course.start().filter(|&start| start <= self.clock.now()) {
                Some(_) if self.sending.length == Length::Nothing => {}
                Some(start) => {
                    self.count_from(start);
                    let fps = self.sending.fps;
                    self.phase = Phase::Running(Pacer::new(start, fps, self.clock.per_second()));
                }
                None => self.phase = Phase::Settling,
            },
            Phase::Running(mut pacer) => {
                if self.run(&mut pacer) {
                    self.frames.clear();
                    self.course.finish(self.sending.direction, self.sent, self.end);
                } else {
                    self.phase = Phase::Running(pacer);
                }
            }
            Phase::Done => {}
        }
        matches!(self.phase, Phase::Done)
    }
}
