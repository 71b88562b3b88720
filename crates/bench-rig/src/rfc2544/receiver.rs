//! The receiver: which frames of one direction arrived, in which order, and how old they were.

use super::frame::{Read, read};
use super::sequence::{Arrival, Tracker};
use super::task::{Course, Task, Ticks, ticks};
use crate::ethernet::FCS_LEN;
use datapath::FrameRx;
use hdrhistogram::Histogram;
use secy::{Burst, FrameBuf};

/// Decimal digits to which latency is kept.
const DIGITS: u8 = 3;
/// How long nothing must have come after the last frame was there, in seconds: for duplicates.
const QUIET: f64 = 0.003;

/// Counts of what arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Frames, each once.
    pub(crate) frames: u64,
    /// Octets of `frames`, with FCS.
    pub(crate) octets: u64,
    /// Those that arrived again.
    pub(crate) duplicates: u64,
    /// Of `frames`, those that a later one overtook.
    pub(crate) reordered: u64,
    /// Those that came so much later than others that nobody knows whether it was again; in none of the above.
    pub(crate) stale: u64,
    /// Of `frames`, those that came when all were sent.
    pub(crate) late: u64,
    /// Frames that were cut on the way.
    pub(crate) damaged: u64,
    /// Frames of others, or of another trial.
    pub(crate) foreign: u64,
    /// Learning frames.
    pub(crate) learning: u64,
}

impl Arrived {
    /// Adds other counts.
    pub(crate) fn add(&mut self, other: &Arrived) {
        let Arrived { frames, octets, duplicates, reordered, stale, late, damaged, foreign, learning } =
            other;
        self.frames += frames;
        self.octets += octets;
        self.duplicates += duplicates;
        self.reordered += reordered;
        self.stale += stale;
        self.late += late;
        self.damaged += damaged;
        self.foreign += foreign;
        self.learning += learning;
    }
}

/// What is known of the frames of one direction so far.
struct Ledger {
    direction: usize,
    trial: u8,
    /// Of each flow.
    trackers: Vec<Tracker>,
    arrived: Arrived,
    /// In ticks.
    latency: Histogram<u64>,
}

impl Ledger {
    /// Enters a frame that arrived at `now`; `late` when all were sent by then.
    #[inline]
    fn enter(&mut self, frame: &impl FrameBuf, now: u64, late: bool) {
        let stamp = match read(frame) {
            Read::Ours(stamp) if stamp.trial == self.trial && stamp.reverse == (self.direction == 1) => stamp,
            Read::Damaged => return self.arrived.damaged += 1,
            _ => return self.arrived.foreign += 1,
        };
        if stamp.learning {
            return self.arrived.learning += 1;
        }
        let Some(tracker) = self.trackers.get_mut(usize::from(stamp.flow)) else {
            return self.arrived.foreign += 1;
        };
        match tracker.arrive(stamp.sequence) {
            Arrival::New => {}
            Arrival::Reordered => self.arrived.reordered += 1,
            Arrival::Duplicate => return self.arrived.duplicates += 1,
            Arrival::Stale => return self.arrived.stale += 1,
        }
        self.arrived.frames += 1;
        self.arrived.octets += (frame.len() + FCS_LEN) as u64;
        self.arrived.late += u64::from(late);
        self.latency.saturating_record(stamp.age(now));
    }
}

/// Receives until all frames are there, or until nothing more is to be expected.
pub(crate) struct Receiver<'a, R: FrameRx, C> {
    rx: &'a mut R,
    clock: &'a C,
    course: &'a Course,
    /// How long stragglers are waited for, in ticks.
    drain: u64,
    quiet: u64,
    frames: Burst<R::Frame>,
    ledger: Ledger,
    /// In ticks.
    last_arrival: u64,
}

/// What a receiver is to expect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Which of the trial's directions.
    pub(crate) direction: usize,
    /// The trial, as its frames name it.
    pub(crate) trial: u8,
    pub(crate) flows: u16,
    /// How long stragglers are waited for, in seconds.
    pub(crate) drain: f64,
}

impl<'a, R: FrameRx, C: Ticks> Receiver<'a, R, C> {
    pub(crate) fn new(rx: &'a mut R, clock: &'a C, course: &'a Course, expected: Expected) -> Self {
        let Expected { direction, trial, flows, drain } = expected;
        let ledger = Ledger {
            direction,
            trial,
            trackers: vec![Tracker::one_of(flows.into()); flows.into()],
            arrived: Arrived::default(),
            latency: latencies(),
        };
        Receiver {
            rx,
            clock,
            course,
            drain: ticks(clock, drain),
            quiet: ticks(clock, drain.min(QUIET)),
            frames: Burst::new(),
            ledger,
            last_arrival: 0,
        }
    }

    /// What arrived, and the latency of the frames in ticks.
    pub(crate) fn outcome(self) -> (Arrived, Histogram<u64>) {
        (self.ledger.arrived, self.ledger.latency)
    }
}

/// No latencies yet, of up to as many ticks as a stamp can tell.
pub(crate) fn latencies() -> Histogram<u64> {
    // Only bounds out of order and more digits than five are refused.
    Histogram::new_with_bounds(1, 1 << 40, DIGITS).unwrap_or_else(|_| unreachable!())
}

impl<R: FrameRx, C: Ticks> Task for Receiver<'_, R, C> {
    fn turn(&mut self) -> bool {
        // Asked before receiving, so that what was there by then is not late.
        let finished = self.course.finished(self.ledger.direction);
        self.rx.rx_burst(&mut self.frames);
        let now = self.clock.now();
        if !self.frames.is_empty() {
            let foreign = self.ledger.arrived.foreign;
            let came = self.frames.len() as u64;
            for frame in self.frames.drain(..) {
                self.ledger.enter(&frame, now, finished.is_some());
            }
            // What others send does not say that more of the trial is to come.
            if self.ledger.arrived.foreign - foreign < came {
                self.last_arrival = now;
            }
        }
        let Some((sent, end)) = finished else { return false };
        let quiet = now.saturating_sub(self.last_arrival.max(end)) >= self.quiet;
        (self.ledger.arrived.frames >= sent && quiet) || now.saturating_sub(end) >= self.drain
    }
}

/// Takes what arrives where nothing is counted, such as learning frames of the way back: left there, it would be lost
/// at the device, and in its counters.
pub(crate) struct Sink<'a, R: FrameRx> {
    rx: &'a mut R,
    frames: Burst<R::Frame>,
}

impl<'a, R: FrameRx> Sink<'a, R> {
    pub(crate) fn new(rx: &'a mut R) -> Self {
        Sink { rx, frames: Burst::new() }
    }
}

impl<R: FrameRx> Task for Sink<'_, R> {
    fn turn(&mut self) -> bool {
        self.rx.rx_burst(&mut self.frames);
        self.frames.clear();
        // Nobody waits for it.
        true
    }
}
