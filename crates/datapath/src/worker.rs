//! Worker threads.

use crate::Task;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use secy::{Command, Engine, Event};
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Commands and events that are on their way at most, each way.
const RING_LEN: usize = 1024;
/// Cores that a thread's affinity can name.
const MAX_CORES: usize = 1024;
/// Empty rounds before an adaptive worker sleeps: some ten microseconds.
const IDLE_ROUNDS: u32 = 512;
/// How long an adaptive worker sleeps. Far below what a queue of 1024 descriptors bridges at 1 Gbit/s.
const IDLE_SLEEP: Duration = Duration::from_micros(50);
/// How long a worker that is to stop goes on bringing out what its queues hold, unless it is told otherwise.
const DRAIN_TIME: Duration = Duration::from_millis(200);
/// How long crypto workers may take for what they have: far less, unless they are dead.
const SETTLING_TIME: Duration = Duration::from_secs(1);

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IdlePolicy {
    /// Polls on: the least latency, a whole core.
    #[default]
    Busy,
    /// Sleeps for moments.
    Adaptive,
}

/// The place of a task in its worker.
pub type TaskId = usize;

/// A command for one of a worker's tasks.
#[derive(Debug)]
pub struct TaskCommand {
    /// Which task.
    pub task: TaskId,
    /// What to do.
    pub command: Command,
}

/// An event of one of a worker's tasks.
#[derive(Debug)]
pub struct TaskEvent {
    /// Which task.
    pub task: TaskId,
    /// What happened.
    pub event: Event,
}

/// Prepares the new thread, such as by registering it with DPDK. What it returns lives as long as the thread.
pub type ThreadSetup = Box<dyn FnOnce() -> Result<Box<dyn Any>, String> + Send>;

/// What makes a worker.
pub struct WorkerSetup {
    /// What its thread is called, before the number of its core.
    pub name: &'static str,
    /// The core to stay on; `None` leaves it to the system.
    pub core: Option<usize>,
    /// When idle.
    pub idle: IdlePolicy,
    /// How long it goes on bringing out what its queues hold when it is to stop.
    pub drain_time: Duration,
    /// Run on the thread before anything else.
    pub thread_setup: Option<ThreadSetup>,
    /// What it does, in turns.
    pub tasks: Vec<Box<dyn Task>>,
}

impl Default for WorkerSetup {
    fn default() -> Self {
        WorkerSetup {
            name: "worker",
            core: None,
            idle: IdlePolicy::default(),
            drain_time: DRAIN_TIME,
            thread_setup: None,
            tasks: Vec::new(),
        }
    }
}

impl fmt::Debug for WorkerSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerSetup").field("core", &self.core).field("tasks", &self.tasks.len()).finish()
    }
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread.
    #[error("no thread for a worker: {0}")]
    Thread(#[from] io::Error),
    /// The core does not exist or may not be used.
    #[error(
        "worker core {0} does not exist, or this process may not use it; `nproc --all` and `taskset -p $$` tell which do"
    )]
    Core(usize),
    /// The thread's setup failed.
    #[error("{0}")]
    Setup(String),
}

/// A worker: its loop and everything it owns.
pub struct Worker {
    tasks: Vec<Box<dyn Task>>,
    engine: Engine,
    idle: IdlePolicy,
    drain_time: Duration,
    stop: Arc<AtomicBool>,
    commands: Consumer<TaskCommand>,
    /// One whose task has bursts on their way. Those after it wait too, since their order counts.
    held: Option<TaskCommand>,
    /// Commands that were carried out.
    applied: Arc<AtomicU64>,
    events: Producer<TaskEvent>,
    /// Events that found the ring full. Rare, and only then is memory allocated.
    unsent: VecDeque<TaskEvent>,
}

/// The controller's end of a running worker. Dropping it stops the worker.
pub struct WorkerHandle {
    stop: Arc<AtomicBool>,
    commands: Producer<TaskCommand>,
    sent: u64,
    applied: Arc<AtomicU64>,
    events: Consumer<TaskEvent>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a worker and waits until it runs on its core.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(setup: WorkerSetup) -> Result<WorkerHandle, StartError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (command_tx, commands) = RingBuffer::new(RING_LEN);
        let (events, event_rx) = RingBuffer::new(RING_LEN);
        let (ready_tx, ready) = std::sync::mpsc::channel();
        let WorkerSetup { name, core, idle, drain_time, thread_setup, tasks } = setup;
        let applied = Arc::new(AtomicU64::new(0));
        let worker = Worker {
            tasks,
            engine: Engine::new(),
            idle,
            drain_time,
            stop: stop.clone(),
            commands,
            held: None,
            applied: applied.clone(),
            events,
            unsent: VecDeque::new(),
        };
        let name = match core {
            Some(core) => format!("{name}-{core}"),
            None => name.to_owned(),
        };
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let prepared = prepare(core, thread_setup);
            let (guard, outcome) = match prepared {
                Ok(guard) => (Some(guard), Ok(())),
                Err(e) => (None, Err(e)),
            };
            // The receiver waits for exactly this message.
            let _ = ready_tx.send(outcome);
            if guard.is_some() {
                worker.run();
            }
        })?;
        let handle = WorkerHandle {
            stop,
            commands: command_tx,
            sent: 0,
            applied,
            events: event_rx,
            thread: Some(thread),
        };
        match ready.recv() {
            Ok(Ok(())) => Ok(handle),
            Ok(Err(e)) => Err(e),
            Err(_) => Err(StartError::Setup("the worker's thread ended before it was ready".into())),
        }
    }

    fn run(mut self) {
        let mut idle_rounds = 0u32;
        while !self.stop.load(Ordering::Relaxed) {
            if self.round() > 0 {
                idle_rounds = 0;
                continue;
            }
            idle_rounds = idle_rounds.saturating_add(1);
            if self.idle == IdlePolicy::Adaptive && idle_rounds >= IDLE_ROUNDS {
                std::thread::sleep(IDLE_SLEEP);
            } else {
                std::hint::spin_loop();
            }
        }
        let end = Instant::now() + self.drain_time;
        while self.round() > 0 && Instant::now() < end {}
        // Where that did not come to an end nothing more is received, and what crypto workers have still comes out.
        let end = Instant::now() + SETTLING_TIME;
        while !self.settle() && Instant::now() < end {
            std::hint::spin_loop();
        }
    }

    /// Whether nothing of any task is on its way. Each has its turn, whether others are settled or not.
    fn settle(&mut self) -> bool {
        let Worker { tasks, engine, .. } = self;
        let mut settled = true;
        for task in tasks {
            settled &= task.settle(engine);
        }
        settled
    }

    /// One turn of all tasks. Says how many frames there were.
    #[inline]
    fn round(&mut self) -> usize {
        let held = self.held.is_some() || !self.commands.is_empty();
        let settling = if held { self.apply_commands() } else { None };
        let mut frames = 0;
        for task in 0..self.tasks.len() {
            if settling == Some(task) {
                // It waits for what is on its way.
                frames += 1;
                continue;
            }
            frames += self.tasks[task].poll(&mut self.engine);
            while let Some(event) = self.tasks[task].poll_event() {
                self.tell(TaskEvent { task, event });
            }
        }
        if !self.unsent.is_empty() {
            self.tell_unsent();
        }
        frames
    }

    /// Carries out commands, as far as their tasks are ready for them. Names the task that is not.
    #[cold]
    fn apply_commands(&mut self) -> Option<TaskId> {
        while let Some(TaskCommand { task, command }) = self.held.take().or_else(|| self.commands.pop().ok())
        {
            if !self.tasks.get_mut(task).is_none_or(|t| t.settle(&mut self.engine)) {
                self.held = Some(TaskCommand { task, command });
                return Some(task);
            }
            let event = match self.tasks.get_mut(task) {
                Some(t) => t.apply(command),
                None => Some(Event::Refused(command)),
            };
            if let Some(event) = event {
                self.tell(TaskEvent { task, event });
            }
            // Whoever reads it sees what the command did.
            self.applied.fetch_add(1, Ordering::Release);
        }
        None
    }

    #[cold]
    fn tell(&mut self, event: TaskEvent) {
        self.unsent.push_back(event);
        self.tell_unsent();
    }

    fn tell_unsent(&mut self) {
        while let Some(event) = self.unsent.pop_front() {
            if let Err(PushError::Full(event)) = self.events.push(event) {
                self.unsent.push_front(event);
                break;
            }
        }
    }
}

fn prepare(core: Option<usize>, setup: Option<ThreadSetup>) -> Result<Box<dyn Any>, StartError> {
    if let Some(core) = core {
        // Not looked up first: the list of cores is the starting thread's, which may be pinned to its own.
        if core >= MAX_CORES || !core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
            return Err(StartError::Core(core));
        }
    }
    match setup {
        Some(setup) => setup().map_err(StartError::Setup),
        None => Ok(Box::new(())),
    }
}

impl WorkerHandle {
    /// Sends a command. Handed back when the ring is full.
    ///
    /// # Errors
    /// The command, for a later try.
    #[allow(clippy::result_large_err)]
    pub fn send(&mut self, command: TaskCommand) -> Result<(), TaskCommand> {
        self.commands.push(command).map_err(|PushError::Full(command)| command)?;
        self.sent += 1;
        Ok(())
    }

    /// Commands that were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Commands that were carried out, in the order in which they were sent.
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<TaskEvent> {
        self.events.pop().ok()
    }

    /// Whether the thread has ended, which before [`stop`](Self::stop) means that it panicked.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Asks the worker to bring out what its queues hold and end.
    pub fn request_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Stops the worker and waits for its end. Says whether it ended well.
    pub fn stop(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        self.request_stop();
        self.thread.take().is_none_or(|t| t.join().is_ok())
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle").field("ended", &self.has_ended()).finish_non_exhaustive()
    }
}
