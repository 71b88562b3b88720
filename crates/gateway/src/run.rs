//! `macsec-gw run`.

use crate::check::accepted;
use crate::dpdk_ports::DpdkPorts;
use crate::output::{Output, REMEDY};
use crate::signals::Signals;
use crate::{BadUsage, Gateway, LinkError, StartError, StateError, write_rows};
use anyhow::{Context, Result, bail};
use control::{Ask, ControlSocket, Request, SocketError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// How often links, events and signals are looked at.
const TICK: Duration = Duration::from_millis(5);
/// How long an end may take before it is said that it waits. One Ctrl-C may come as several signals; they are within this.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Runs a gateway until SIGTERM or SIGINT. That it is ready it says to `log`, behind what was logged before.
///
/// # Errors
/// [`BadUsage`] for what the configuration has wrong, anything else for what happened.
pub fn run(file: &Path, counters: Option<PathBuf>, mut log: impl Write) -> Result<()> {
    let signals = Signals::listen().context("listening to signals")?;
    let start = Wait::watch(signals.clone(), START_WAITS);
    let config = config::Config::load(file).map_err(|e| BadUsage(e.to_string()))?;
    // Hours of counters are not to be lost to a name that was wrong all the time.
    if let Some(path) = &counters {
        Output::check(path).map_err(|e| BadUsage(format!("--counters {}: {e}; {REMEDY}", path.display())))?;
    }
    for link in &config.links {
        if let Some(others) = accepted(link.validate_frames) {
            tracing::warn!(link = link.name, "policy should-secure: {others}");
        }
    }
    for link in config.links.iter().filter(|l| !l.protect_frames) {
        tracing::warn!(link = link.name, "protect_frames is off: everything is sent in the clear");
    }
    let mut ports = DpdkPorts::new(&config)?;
    if let Some(core) = config.gateway.control_core
        && !core_affinity::set_for_current(core_affinity::CoreId { id: core })
    {
        let text =
            format!("gateway.control_core: core {core} does not exist, or this process may not use it");
        return Err(BadUsage(text).into());
    }
    let socket = control_socket(&config)?;
    let mut gateway = Gateway::start(&config, &mut ports).map_err(|e| match e {
        StartError::Config(_)
        | StartError::State(StateError::NotADirectory { .. })
        | StartError::Worker(datapath::StartError::Core(_))
        | StartError::Link(LinkError::Mtu { .. } | LinkError::Sa { .. } | LinkError::Channel { .. }) => {
            BadUsage(e.to_string()).into()
        }
        other => anyhow::Error::new(other),
    })?;
    let names: Vec<_> = config.links.iter().map(|l| &l.name[..]).collect();
    // In one piece, since others write there, too. When nobody reads it any more, there is nobody to tell.
    let _ = log.write_all(format!("READY {}\n", names.join(" ")).as_bytes());
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("starting the control core")?;
    let mut reports = Reports { path: counters.clone(), wanted: false, writing: None };
    drop(start);
    let alive = runtime.block_on(drive(&mut gateway, &signals, socket.as_ref(), &mut reports));
    drop(socket);
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    signals.set_stop(true);
    let _end = Wait::watch(signals, END_WAITS);
    for (link, summary) in gateway.summaries() {
        tracing::info!(link, "stopping: {summary}");
    }
    let (rows, well, outcome) = gateway.stop();
    reports.end();
    // All of them: none is to hide another.
    let mut wrong = Vec::new();
    if !(alive && well) {
        wrong.push("a worker ended by itself; its last words are above".to_owned());
    }
    wrong.extend(outcome.err().map(|e| e.to_string()));
    if let Some(path) = &counters {
        wrong.extend(write_rows(path, &rows).err().map(|e| unwritten(path, &e)));
    }
    if !wrong.is_empty() {
        bail!(wrong.join("\n"));
    }
    Ok(())
}

/// A start or an end that lasts as long as this. It waits for files, and a disk may never answer.
struct Wait {
    /// Gone once it is over.
    lasts: Option<Sender<()>>,
    watch: Option<JoinHandle<()>>,
}

/// What is said when it takes long after SIGTERM or SIGINT.
const START_WAITS: &str = "asked to stop, but the start waits for a file or a device; does the disk answer? Another SIGINT \
    or SIGTERM ends it at once: no packet number is used twice, some may be passed over";
const END_WAITS: &str = "the end waits for packet numbers and counters to be written; does the disk answer? Another SIGINT \
    or SIGTERM ends it at once: no packet number is used twice, some are passed over, the last counters are lost";

impl Wait {
    /// Says so when it takes long from the moment on that the process was to stop. Then a signal ends the process as it is,
    /// which costs no more than a crash: numbers are reserved before they are used.
    fn watch(signals: Signals, what: &'static str) -> Self {
        let (lasts, over) = channel::<()>();
        let watch = move || {
            let goes_on = |time| over.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            while !signals.stop() {
                if !goes_on(TICK) {
                    return;
                }
            }
            if !goes_on(AT_ONCE) {
                return;
            }
            signals.set_stop(false);
            tracing::warn!("{what}");
            while goes_on(TICK) {
                if signals.stop() {
                    // Nothing is cleaned up: that, too, might wait.
                    signal_hook::low_level::exit(1);
                }
            }
            signals.set_stop(true);
        };
        let watch = thread::Builder::new().name("wait".to_owned()).spawn(watch);
        let watch = watch.inspect_err(|e| tracing::warn!("no signal will cut this short: {e}"));
        Wait { lasts: Some(lasts), watch: watch.ok() }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.lasts = None;
        // What it was to stop for still holds then. It does not panic.
        let _ = self.watch.take().map(JoinHandle::join);
    }
}

fn unwritten(path: &Path, reason: &io::Error) -> String {
    format!("writing counters to {}: {reason}; {REMEDY}", path.display())
}

/// The control core: runs links, answers questions and minds signals until it is to stop. Whether all workers are alive.
async fn drive(
    gateway: &mut Gateway,
    signals: &Signals,
    socket: Option<&ControlSocket>,
    reports: &mut Reports,
) -> bool {
    let (requests, mut asked) = mpsc::channel(16);
    let serve = async {
        if let Some(socket) = socket
            && let Err(e) = socket.serve(requests).await
        {
            tracing::error!("control socket {}: {e}; nothing can be asked any more", socket.path().display());
        }
        std::future::pending::<()>().await;
    };
    tokio::pin!(serve);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !signals.stop() {
        tokio::select! {
            // Links first: no question keeps key agreement waiting.
            biased;
            _ = tick.tick() => {
                if !gateway.tick(Instant::now()) {
                    return false;
                }
                if signals.take_reload() {
                    tracing::warn!("SIGHUP: reloading comes in a later release; restart to take a new configuration");
                }
                reports.look(gateway, signals.take_report());
            }
            Some(request) = asked.recv() => answer(gateway, request),
            () = &mut serve => {}
        }
    }
    true
}

fn answer(gateway: &mut Gateway, request: Request) {
    let now = Instant::now();
    match request.ask.clone() {
        Ask::Status => request.answer(Ok(gateway.status(now))),
        Ask::Rekey { link } => request.answer(gateway.rekey(now, link.as_deref())),
    }
}

/// The socket that was asked for; where none was, the usual one if it is to be had.
fn control_socket(config: &config::Config) -> Result<Option<ControlSocket>> {
    let Some(path) = &config.gateway.control_socket else {
        return match ControlSocket::bind(Path::new(config::CONTROL_SOCKET)) {
            Ok(socket) => Ok(Some(socket)),
            Err(e) => {
                tracing::warn!("{e}; this gateway goes without, so `macsec-gw status` cannot ask it");
                Ok(None)
            }
        };
    };
    match ControlSocket::bind(path) {
        Ok(socket) => Ok(Some(socket)),
        Err(e @ SocketError::Taken(_)) => Err(e.into()),
        Err(e) => Err(BadUsage(e.to_string()).into()),
    }
}

/// The counters that SIGUSR1 asks for.
struct Reports {
    path: Option<PathBuf>,
    /// Somebody asked while the file of before was still being written.
    wanted: bool,
    writing: Option<JoinHandle<()>>,
}

impl Reports {
    /// One where it is `asked` for. The file is written by another thread: a disk may take longer than stations wait.
    fn look(&mut self, gateway: &Gateway, asked: bool) {
        if asked {
            for (link, summary) in gateway.summaries() {
                tracing::info!(link, "{summary}");
            }
        }
        self.wanted |= asked;
        if self.wanted && self.writing.as_ref().is_none_or(JoinHandle::is_finished) {
            self.wanted = false;
            self.writing = self.path.as_ref().and_then(|path| {
                let (to, rows) = (path.clone(), gateway.rows());
                let write = move || {
                    if let Err(e) = write_rows(&to, &rows) {
                        tracing::error!("{}", unwritten(&to, &e));
                    }
                };
                let begun = thread::Builder::new().name("counters".to_owned()).spawn(write);
                begun.inspect_err(|e| tracing::error!("writing counters to {}: {e}", path.display())).ok()
            });
        }
    }

    /// Waits for the last, which another one is to replace.
    fn end(&mut self) {
        if let Some(writing) = self.writing.take() {
            // It does not panic.
            let _ = writing.join();
        }
    }
}
