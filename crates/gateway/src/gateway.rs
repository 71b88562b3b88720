//! A gateway that runs: workers, links, packet numbers.

use crate::link::{self, Assembled, LinkError, LinkWatch};
use crate::report::Row;
use crate::{OpenPort, Ports, StateDir, StateError};
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
    state: StateDir,
}

impl Gateway {
    /// Opens ports, reserves packet numbers and starts workers.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start<P: Ports>(config: &config::Config, ports: &mut P) -> Result<Self, StartError> {
        let state = StateDir::open(&config.gateway.state_dir)?;
        let mut tasks: BTreeMap<usize, Vec<NamedTask>> = BTreeMap::new();
        let (mut opened, mut scis) = (Vec::new(), Vec::new());
        for link in &config.links {
            let [plain, line] = [&config.ports[link.plain], &config.ports[link.line]];
            let plain_port = ports.open(plain, plain.mtu).map_err(StartError::Port)?;
            let line_port = open_line(ports, link, line, plain_port.mtu).map_err(StartError::Port)?;
            link::check_mtu(link, [plain, line], plain_port.mtu, line_port.mtu)?;
            scis.push(link::transmit_sci(link, line_port.mac));
            opened.push((link, [plain, line], plain_port, line_port));
        }
        config.check_nonces(&scis)?;
        // From here on packet numbers are reserved: whatever fails, they are given back.
        let mut gateway = Gateway { workers: Vec::new(), links: Vec::new(), state };
        for (link, names, plain, line) in opened {
            match link::assemble(link, names, plain, line, &mut gateway.state) {
                Ok(Assembled { protect, verify, watch }) => {
                    tasks.entry(link.protect_core).or_default().push((link.name.clone(), protect));
                    tasks.entry(link.verify_core).or_default().push((link.name.clone(), verify));
                    gateway.links.push(watch);
                }
                Err(e) => return Err(gateway.give_up(e.into())),
            }
        }
        let idle = match config.gateway.poll {
            config::Poll::Busy => IdlePolicy::Busy,
            config::Poll::Adaptive => IdlePolicy::Adaptive,
        };
        for (core, tasks) in tasks {
            let (links, tasks) = tasks.into_iter().unzip();
            let setup = WorkerSetup { core: Some(core), idle, thread_setup: ports.thread_setup(), tasks };
            match Worker::start(setup) {
                Ok(handle) => gateway.workers.push(RunningWorker { core, handle, links }),
                Err(e) => return Err(gateway.give_up(e.into())),
            }
        }
        Ok(gateway)
    }

    /// Undoes a start that failed.
    fn give_up(self, error: StartError) -> StartError {
        if let (_, _, Err(e)) = self.stop() {
            tracing::warn!("{e}");
        }
        error
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
    /// Hands out the last counters, whether all workers ended well, and how it went with the state directory; an error
    /// there wastes packet numbers, nothing worse.
    pub fn stop(mut self) -> (Vec<Row>, bool, Result<(), StateError>) {
        // All at once, so that the time to drain is one worker's.
        self.workers.iter().for_each(|w| w.handle.request_stop());
        let mut well = true;
        for worker in self.workers.drain(..) {
            well &= worker.handle.stop();
        }
        let rows = self.rows();
        // Each of them, whatever becomes of the others.
        let outcome = self.links.into_iter().map(LinkWatch::finish).fold(Ok(()), Result::and);
        (rows, well, outcome)
    }
}

/// Opens a line port for what the plain port may bring: with VLAN tags if the device can, else at least without.
fn open_line<P: Ports>(
    ports: &mut P,
    link: &config::Link,
    line: &config::Port,
    plain_mtu: Option<u16>,
) -> anyhow::Result<OpenPort<P::Rx, P::Tx>> {
    let (None, Some(plain_mtu)) = (line.mtu, plain_mtu) else { return ports.open(line, line.mtu) };
    let least = plain_mtu.saturating_add(link::growth(link));
    match ports.open(line, Some(least.saturating_add(link::VLAN_TAGS))) {
        Ok(port) => Ok(port),
        Err(_) => ports.open(line, Some(least)),
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
