//! The threads: an owner and its crypto workers, which carry out slices of several directions in turn.
//!
//! All directions of a case, each with another number of crypto workers, live side by side, and one of them at a time has
//! frames. So slices can alternate without threads that end and start.

use super::case::{Direction, Way};
use super::ports::{Fault, Tally};
use crate::clock::Clock;
use datapath::{IdlePolicy, StartError, Task, Worker, WorkerHandle, WorkerSetup};
use secy::{Command, Engine, Event};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long a crypto worker sleeps that has no part in the present slice: it would slow a core down that shares its
/// caches, or its execution units, with the owner's. Far below what goes before a slice.
const REST: Duration = Duration::from_micros(100);
/// How often is looked whether all threads are well, and whether somebody asked for the end.
const LOOK: Duration = Duration::from_millis(50);
/// How long what left this owner may take to come out, in nanoseconds.
const WAIT: f64 = 5e9;
/// How long a slice may take longer than it should: threads that have no core of their own wait for each other.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a slice did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum SliceError {
    /// Somebody asked for the end.
    #[error("interrupted")]
    Interrupted,
    /// A worker did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A frame is not where it should be.
    #[error("{way} with {workers} crypto workers: {fault}", way = .way.name())]
    Fault { way: Way, workers: usize, fault: Fault },
    /// Some did not come out.
    #[error("{way} with {workers} crypto workers: of {given} frames {taken} came out", way = .way.name())]
    Lost { way: Way, workers: usize, given: u64, taken: u64 },
    /// A thread is gone.
    #[error("{way} with {workers} crypto workers: a thread ended", way = .way.name())]
    Ended { way: Way, workers: usize },
    /// Frames do not come back.
    #[error(
        "{way} with {workers} crypto workers: nothing came back from these for {} s; has each a core of its own?",
        PATIENCE.as_secs(),
        way = .way.name()
    )]
    Stuck { way: Way, workers: usize },
}

/// What a slice is: first so many ticks that do not count, then so many that do. Where the source is spent before, it is
/// opened again, and so on; of each such pass some frames do not count, and those that come out behind its end.
#[derive(Clone, Copy, Debug)]
struct Order {
    direction: usize,
    before: u64,
    ticks: u64,
}

/// What came of a slice.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    frames: u64,
    ticks: u64,
    given: u64,
    taken: u64,
    fault: Option<Fault>,
}

/// Where a slice is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Before {
        until: u64,
    },
    Counting {
        from: u64,
        frames: u64,
    },
    /// The source is closed, and what is on its way comes out.
    After {
        since: u64,
    },
}

/// Whether a slice is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    GoesOn,
    Over,
}

/// A slice that runs.
#[derive(Clone, Copy, Debug)]
struct Slice {
    order: Order,
    phase: Phase,
    /// Frames that had been given when the source was opened last.
    first: u64,
    uncounted: u64,
    /// Frames and ticks that count, of passes that are over.
    frames: u64,
    ticks: u64,
}

/// The owner's task.
struct Owner {
    /// Without what others do.
    directions: Vec<Direction>,
    active: Arc<AtomicUsize>,
    clock: Arc<Clock>,
    orders: Receiver<Order>,
    outcomes: Sender<Outcome>,
    running: Option<Slice>,
    /// For what is on its way beyond this owner, in ticks.
    patience: u64,
}

impl Owner {
    fn begin(&mut self) -> Option<Slice> {
        let order = self.orders.try_recv().ok()?;
        self.active.store(order.direction, Relaxed);
        let Direction { tally, uncounted, .. } = self.directions.get(order.direction)?;
        Some(Slice::begin(order, tally, *uncounted, self.clock.now()))
    }
}

impl Slice {
    fn begin(order: Order, tally: &Tally, uncounted: u64, now: u64) -> Self {
        tally.open(true);
        let phase = Phase::Before { until: now + order.before };
        Slice { order, phase, first: tally.given(), uncounted, frames: 0, ticks: 0 }
    }

    /// Goes on, after a poll that found so many frames, to what comes next.
    fn advance(&mut self, tally: &Tally, now: u64, patience: u64, polled: usize) -> Progress {
        let wrong = tally.fault().is_some();
        let (given, written) = (tally.given() - self.first, tally.written());
        match self.phase {
            Phase::Before { until } => {
                // What is written may be used up before the time would be.
                let out = tally.taken().saturating_sub(self.first);
                let is_warm = if written > 0 { out >= self.uncounted } else { now >= until };
                if is_warm || wrong {
                    self.phase = Phase::Counting { from: now, frames: tally.taken() };
                }
            }
            Phase::Counting { from, frames } => {
                let is_spent = written > 0 && given >= written;
                if is_spent || wrong || self.ticks + (now - from) >= self.order.ticks {
                    tally.open(false);
                    self.frames += tally.taken() - frames;
                    self.ticks += now - from;
                    self.phase = Phase::After { since: now };
                }
            }
            // Nothing is on its way any more, also behind the next owner; or it is lost.
            Phase::After { since } if polled == 0 => {
                let is_lost = wrong || now - since > patience;
                if is_lost || tally.given() == tally.taken() {
                    if is_lost || self.ticks >= self.order.ticks {
                        return Progress::Over;
                    }
                    *self = Slice {
                        frames: self.frames,
                        ticks: self.ticks,
                        ..Slice::begin(self.order, tally, self.uncounted, now)
                    };
                }
            }
            Phase::After { .. } => {}
        }
        Progress::GoesOn
    }
}

impl Task for Owner {
    fn poll(&mut self, engine: &mut Engine) -> usize {
        let Some(slice) = &mut self.running else {
            self.running = self.begin();
            return usize::from(self.running.is_some());
        };
        let Some(direction) = self.directions.get_mut(slice.order.direction) else { return 0 };
        let Direction { owner, tally, .. } = direction;
        let frames = owner.poll(engine);
        if slice.advance(tally, self.clock.now(), self.patience, frames) == Progress::Over {
            let (given, taken, fault) = (tally.given(), tally.taken(), tally.fault());
            // Nobody waits for it any more where the run ends.
            let _ =
                self.outcomes.send(Outcome { frames: slice.frames, ticks: slice.ticks, given, taken, fault });
            self.running = None;
        }
        // The worker does not take it for idle, also where it has to wait.
        frames.max(1)
    }

    fn apply(&mut self, command: Command) -> Option<Event> {
        Some(Event::Refused(command))
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }
}

/// A task of a crypto worker, or of a second owner: its part in each direction, of those that have one for it.
struct CryptoWorker {
    lanes: Vec<Option<Box<dyn Task>>>,
    active: Arc<AtomicUsize>,
}

impl Task for CryptoWorker {
    fn poll(&mut self, engine: &mut Engine) -> usize {
        match self.lanes.get_mut(self.active.load(Relaxed)) {
            Some(Some(lane)) => lane.poll(engine),
            _ => {
                std::thread::sleep(REST);
                0
            }
        }
    }

    fn apply(&mut self, command: Command) -> Option<Event> {
        Some(Event::Refused(command))
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }
}

/// An owner and crypto workers at work on directions, of which the first has no crypto worker, the next one, and so on.
pub(super) struct Team {
    way: Way,
    owner: WorkerHandle,
    crypto: Vec<WorkerHandle>,
    clock: Arc<Clock>,
    orders: Sender<Order>,
    outcomes: Receiver<Outcome>,
}

impl Team {
    /// Starts threads: the owner and then the crypto workers on these cores, each where the system wants without.
    ///
    /// # Errors
    /// [`SliceError::Start`].
    pub(super) fn start(
        way: Way,
        directions: Vec<Direction>,
        cores: &[usize],
        idle: IdlePolicy,
        clock: &Arc<Clock>,
    ) -> Result<Self, SliceError> {
        // None of them.
        let active = Arc::new(AtomicUsize::new(usize::MAX));
        let most = directions.iter().map(|direction| direction.lanes.len()).max().unwrap_or(0);
        let mut lanes: Vec<Vec<Option<Box<dyn Task>>>> = (0..most).map(|_| Vec::new()).collect();
        let mut owned = Vec::new();
        for mut direction in directions {
            let mut own = std::mem::take(&mut direction.lanes).into_iter();
            lanes.iter_mut().for_each(|lanes| lanes.push(own.next()));
            owned.push(direction);
        }
        let start = |name, place: usize, task: Box<dyn Task>| {
            let core = cores.get(place).copied();
            Worker::start(WorkerSetup { name, core, idle, tasks: vec![task], ..WorkerSetup::default() })
        };
        let mut crypto = Vec::new();
        for (number, lanes) in lanes.into_iter().enumerate() {
            let task = CryptoWorker { lanes, active: active.clone() };
            crypto.push(start("crypto", number + 1, Box::new(task))?);
        }
        let ((orders, received), (sender, outcomes)) = (channel(), channel());
        let owner = Owner {
            directions: owned,
            active,
            clock: clock.clone(),
            orders: received,
            outcomes: sender,
            running: None,
            patience: clock.ticks(WAIT) as u64,
        };
        let owner = start("owner", 0, Box::new(owner))?;
        Ok(Team { way, owner, crypto, clock: clock.clone(), orders, outcomes })
    }

    /// Frames a second that came out in a slice with so many crypto workers. Both lengths are in nanoseconds; the first
    /// goes before and does not count.
    ///
    /// # Errors
    /// [`SliceError`].
    pub(super) fn slice(
        &self,
        workers: usize,
        before: f64,
        length: f64,
        stop: &AtomicBool,
    ) -> Result<f64, SliceError> {
        let way = self.way;
        let ticks = |ns| self.clock.ticks(ns) as u64;
        let order = Order { direction: workers, before: ticks(before), ticks: ticks(length) };
        self.orders.send(order).map_err(|_| SliceError::Ended { way, workers })?;
        let end = Instant::now() + PATIENCE + Duration::from_nanos((before + length) as u64);
        let outcome = loop {
            match self.outcomes.recv_timeout(LOOK) {
                Ok(outcome) => break outcome,
                Err(RecvTimeoutError::Disconnected) => return Err(SliceError::Ended { way, workers }),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if stop.load(Relaxed) {
                return Err(SliceError::Interrupted);
            }
            if self.owner.has_ended() || self.crypto.iter().any(WorkerHandle::has_ended) {
                return Err(SliceError::Ended { way, workers });
            }
            if Instant::now() > end {
                return Err(SliceError::Stuck { way, workers });
            }
        };
        let Outcome { frames, ticks, given, taken, fault } = outcome;
        if let Some(fault) = fault {
            return Err(SliceError::Fault { way, workers, fault });
        }
        if given != taken || taken == 0 {
            return Err(SliceError::Lost { way, workers, given, taken });
        }
        if stop.load(Relaxed) {
            return Err(SliceError::Interrupted);
        }
        Ok(frames as f64 / self.clock.ns(ticks as f64) * 1e9)
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        // The owner first, so that crypto workers are there for what it has to bring out.
        self.owner.request_stop();
        while !self.owner.has_ended() {
            std::thread::sleep(REST);
        }
        self.crypto.iter().for_each(WorkerHandle::request_stop);
    }
}
