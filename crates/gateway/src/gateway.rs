//! A gateway that runs: workers, links, packet numbers.

use crate::link::{self, Assembled, LinkError, LinkWatch};
use crate::report::Row;
use crate::{Ports, StateDir, StateError};
use datapath::{IdlePolicy, Task, TaskEvent, Worker, WorkerHandle, WorkerSetup};
use secy::Event;
use std::collections::BTreeMap;
use std::time::Instant;

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration asks for what cannot be.
    #[error("{0}")]
    Config(#[from] config::Errors),
    /// A port.
    #[error("{0:#}")]
    Port(anyhow::Error),
    /// A link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// A worker.
    #[error(transparent)]
    Worker(#[from] datapath::StartError),
}

struct RunningWorker {
    core: usize,
    handle: WorkerHandle,
    /// Names of the links that its tasks belong to.
    links: Vec<String>,
}

/// A task and the link it belongs to.
type NamedTask = (String, Box<dyn Task>);

/// A running gateway. Dropping it stops it, but only [`stop`](Self::stop) gives unused packet numbers back.
pub struct Gateway {
    workers: Vec<RunningWorker>,
    links: Vec<LinkWatch>,
    _state: StateDir,
}

impl Gateway {
    /// Opens ports, reserves packet numbers and starts workers.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start<P: Ports>(config: &config::Config, ports: &mut P) -> Result<Self, StartError> {
        let mut state = StateDir::open(&config.gateway.state_dir)?;
        let mut tasks: BTreeMap<usize, Vec<NamedTask>> = BTreeMap::new();
        let (mut links, mut scis) = (Vec::new(), Vec::new());
        let mut opened = Vec::new();
        for link in &config.links {
            let [plain, line] = [&config.ports[link.plain], &config.ports[link.line]];
            let plain_port = ports.open(plain, plain.mtu).map_err(StartError::Port)?;
            // The line carries what the plain port may bring, unless told otherwise.
            let wanted = line.mtu.or(plain_port.mtu.map(|mtu| mtu.saturating_add(link::growth(link))));
            let line_port = ports.open(line, wanted).map_err(StartError::Port)?;
            scis.push(link::transmit_sci(link, line_port.mac));
            opened.push((link, [plain, line], plain_port, line_port));
        }
        config.check_nonces(&scis)?;
        for (link, names, plain, line) in opened {
            let Assembled { protect, verify, watch } = link::assemble(link, names, plain, line, &mut state)?;
            tasks.entry(link.protect_core).or_default().push((link.name.clone(), protect));
            tasks.entry(link.verify_core).or_default().push((link.name.clone(), verify));
            links.push(watch);
        }
        let idle = match config.gateway.poll {
            config::Poll::Busy => IdlePolicy::Busy,
            config::Poll::Adaptive => IdlePolicy::Adaptive,
        };
        let mut workers = Vec::new();
        for (core, tasks) in tasks {
            let (links, tasks) = tasks.into_iter().unzip();
            let setup = WorkerSetup { core: Some(core), idle, thread_setup: ports.thread_setup(), tasks };
            workers.push(RunningWorker { core, handle: Worker::start(setup)?, links });
        }
        Ok(Gateway { workers, links, _state: state })
    }

    /// What the controller does every few milliseconds. Says whether all workers are alive.
    pub fn tick(&mut self, now: Instant) -> bool {
        for link in &mut self.links {
            link.maintain(now);
        }
        let mut alive = true;
        for worker in &mut self.workers {
            while let Some(TaskEvent { task, event }) = worker.handle.poll_event() {
                tell(worker.links.get(task).map_or("?", String::as_str), &event);
            }
            if worker.handle.has_ended() {
                tracing::error!(core = worker.core, "a worker has ended; the gateway stops");
                alive = false;
            }
        }
        alive
    }

    /// All counters.
    pub fn rows(&self) -> Vec<Row> {
        self.links.iter().flat_map(LinkWatch::rows).collect()
    }

    /// A line of text for each link: its name and what it did.
    pub fn summaries(&self) -> Vec<(&str, String)> {
        self.links.iter().map(|l| (l.name.as_str(), l.summary())).collect()
    }

    /// Brings out what the queues hold, ends the workers and gives unused packet numbers back.
    ///
    /// The last counters are handed out. Says whether all workers ended well.
    ///
    /// # Errors
    /// [`StateError`]; packet numbers are wasted then, nothing worse.
    pub fn stop(mut self) -> Result<(Vec<Row>, bool), StateError> {
        // All at once, so that the time to drain is one worker's.
        self.workers.iter().for_each(|w| w.handle.request_stop());
        let mut well = true;
        for worker in self.workers.drain(..) {
            well &= worker.handle.stop();
        }
        let rows = self.rows();
        self.links.into_iter().try_for_each(LinkWatch::finish)?;
        Ok((rows, well))
    }
}

fn tell(link: &str, event: &Event) {
    match event {
        Event::PnPending(an) => {
            tracing::warn!(
                link,
                an = an.as_u8(),
                "three quarters of the SAK's packet numbers are used: renew it"
            );
        }
        Event::PnExhausted(an) => {
            tracing::error!(
                link,
                an = an.as_u8(),
                "the SAK's packet numbers are used up: nothing is sent any more"
            );
        }
        Event::Retired(_) => {}
        Event::Refused(command) => tracing::error!(link, ?command, "a SecY refused a command"),
    }
}
