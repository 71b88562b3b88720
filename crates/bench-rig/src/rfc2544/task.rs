//! What the generator and the receiver of a trial share: the clock, and how far the trial has come.

pub(crate) use crate::clock::Ticks;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Ticks in so many seconds.
pub(crate) fn ticks(clock: &impl Ticks, seconds: f64) -> u64 {
    (seconds * clock.per_second()) as u64
}

/// Something that a thread does in turns with others.
pub(crate) trait Task: Send {
    /// Takes a turn. Says whether it has come to its end, after which it may still be called.
    fn turn(&mut self) -> bool;
}

/// How far a trial has come.
#[derive(Debug)]
pub(crate) struct Course {
    /// Threads that are not yet on their cores.
    threads_missing: AtomicUsize,
    /// Generators whose learning frames are not out.
    learning: AtomicUsize,
    /// When frames begin to count, in ticks; 0 until that is known.
    start: AtomicU64,
    /// Of each direction.
    sent: Vec<Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    frames: AtomicU64,
    /// When the last was sent, in ticks.
    end: AtomicU64,
    done: AtomicBool,
}

impl Course {
    pub(crate) fn new(threads: usize, generators: usize, directions: usize) -> Self {
        Course {
            threads_missing: threads.into(),
            learning: generators.into(),
            start: 0.into(),
            sent: (0..directions).map(|_| Sent::default()).collect(),
        }
    }

    /// A thread is on its core.
    pub(crate) fn thread_ready(&self) {
        self.threads_missing.fetch_sub(1, Ordering::Release);
    }

    /// Whether all threads are on their cores.
    pub(crate) fn ready(&self) -> bool {
        self.threads_missing.load(Ordering::Acquire) == 0
    }

    /// A generator's learning frames are out. The last one to say so decides that frames count from `start` on.
    pub(crate) fn learned(&self, start: u64) {
        if self.learning.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.start.store(start.max(1), Ordering::Release);
        }
    }

    /// When frames begin to count, in ticks.
    pub(crate) fn start(&self) -> Option<u64> {
        Some(self.start.load(Ordering::Acquire)).filter(|&start| start != 0)
    }

    /// All frames of a direction are out.
    pub(crate) fn finish(&self, direction: usize, frames: u64, end: u64) {
        let sent = &self.sent[direction];
        sent.frames.store(frames, Ordering::Relaxed);
        sent.end.store(end, Ordering::Relaxed);
        sent.done.store(true, Ordering::Release);
    }

    /// Frames of a direction, and when the last of them was sent, once all are out.
    pub(crate) fn finished(&self, direction: usize) -> Option<(u64, u64)> {
        let sent = &self.sent[direction];
        let done = sent.done.load(Ordering::Acquire);
        done.then(|| (sent.frames.load(Ordering::Relaxed), sent.end.load(Ordering::Relaxed)))
    }
}
