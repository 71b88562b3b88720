//! A gateway that runs: workers, links, packet numbers.

use crate::link::{self, Assembled, LinkError, LinkWatch};
use crate::report::Row;
use crate::{OpenPort, Ports, StateDir, StateError};
use control::{LinkStatus, TaskAddress, Workers};
use datapath::{IdlePolicy, Task, Worker, WorkerSetup};
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

/// A running gateway. Dropping it stops it, but only [`stop`](Self::stop) gives unused packet numbers back.
pub struct Gateway {
    workers: Workers,
    links: Vec<LinkWatch>,
    state: StateDir,
}

impl Gateway {
    /// Opens ports, reserves packet numbers, starts workers and key agreement.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start<P: Ports>(config: &config::Config, ports: &mut P) -> Result<Self, StartError> {
        Self::start_with(config, ports, mka::Times::default())
    }

    /// The same, with other times for key agreement than the standard's.
    pub(crate) fn start_with<P: Ports>(
        config: &config::Config,
        ports: &mut P,
        times: mka::Times,
    ) -> Result<Self, StartError> {
        let state = StateDir::open(&config.gateway.state_dir)?;
        let mut tasks: BTreeMap<usize, Vec<Box<dyn Task>>> = BTreeMap::new();
        let (mut opened, mut scis) = (Vec::new(), Vec::new());
        for link in &config.links {
            let [plain, line] = [&config.ports[link.plain], &config.ports[link.line]];
            let plain_port = ports.open(plain, plain.mtu).map_err(StartError::Port)?;
            let line_port = open_line(ports, link, line, plain_port.mtu).map_err(StartError::Port)?;
            link::check_mtu(link, [plain, line], plain_port.mtu, line_port.mtu)?;
            scis.push(link::transmit_sci(link, line_port.mac));
            opened.push((link, [plain, line], plain_port, line_port));
            tasks.entry(link.protect_core).or_default();
            tasks.entry(link.verify_core).or_default();
        }
        config.check_nonces(&scis)?;
        let cores: Vec<usize> = tasks.keys().copied().collect();
        let mut place = |core: usize, task: Box<dyn Task>| {
            let tasks = tasks.entry(core).or_default();
            tasks.push(task);
            let worker = cores.iter().position(|c| *c == core).unwrap_or(usize::MAX);
            TaskAddress { worker, task: tasks.len() - 1 }
        };
        // From here on packet numbers are reserved: whatever fails, they are given back.
        let mut gateway = Gateway { workers: Workers::default(), links: Vec::new(), state };
        let mut crypto_tasks = Vec::new();
        for (link, names, plain, line) in opened {
            match link::assemble(link, names, plain, line, times, &mut gateway.state) {
                Ok(Assembled { protect, verify, crypto, mut watch, control }) => {
                    crypto_tasks.extend(crypto);
                    let tasks = [place(link.protect_core, protect), place(link.verify_core, verify)];
                    watch.tasks = tasks;
                    if let Some(control) = control {
                        watch.agreement = Some(control.begin(&link.name, tasks, &gateway.state));
                    }
                    gateway.links.push(watch);
                }
                Err(e) => return Err(gateway.give_up(e.into())),
            }
        }
        let idle = match config.gateway.poll {
            config::Poll::Busy => IdlePolicy::Busy,
            config::Poll::Adaptive => IdlePolicy::Adaptive,
        };
        let start = |name, core, tasks| {
            let thread_setup = ports.thread_setup();
            let core = Some(core);
            Worker::start(WorkerSetup { name, core, idle, thread_setup, tasks, ..WorkerSetup::default() })
        };
        for (core, task) in crypto_tasks {
            match start("crypto", core, vec![task]) {
                Ok(handle) => gateway.workers.add_crypto(core, handle),
                Err(e) => return Err(gateway.give_up(e.into())),
            }
        }
        for (core, tasks) in tasks {
            match start("worker", core, tasks) {
                Ok(handle) => gateway.workers.add(core, handle),
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
        let Gateway { workers, links, .. } = self;
        workers.flush();
        while let Some((task, event)) = workers.poll_event() {
            if let Some(link) = links.iter_mut().find(|link| link.tasks.contains(&task)) {
                link.handle_event(now, workers, event);
            }
        }
        for link in links {
            link.maintain(now, workers);
        }
        let mut alive = true;
        for core in workers.ended() {
            tracing::error!(core, "a worker has ended; the gateway stops");
            alive = false;
        }
        alive
    }

    /// Asks for a new SAK, of one link or of all. Names those that make one.
    ///
    /// # Errors
    /// Why the one that was named does not.
    pub fn rekey(&mut self, now: Instant, name: Option<&str>) -> Result<Vec<String>, String> {
        let Gateway { workers, links, .. } = self;
        let names: Vec<String> = links.iter().map(|link| link.name.clone()).collect();
        let mut made = Vec::new();
        for link in links.iter_mut().filter(|link| name.is_none_or(|name| name == link.name)) {
            match link.rekey(now, workers) {
                Ok(()) => made.push(link.name.clone()),
                Err(why) if name.is_some() => return Err(format!("link {:?}: {why}", link.name)),
                Err(_) => {}
            }
        }
        match name {
            Some(name) if made.is_empty() => {
                Err(format!("no link is named {name:?}; links here: {}", names.join(", ")))
            }
            _ => Ok(made),
        }
    }

    /// All links at a glance.
    pub fn status(&self, now: Instant) -> Vec<LinkStatus> {
        self.links.iter().map(|link| link.status(now)).collect()
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
        let well = self.workers.stop();
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
