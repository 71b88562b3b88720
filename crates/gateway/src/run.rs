//! `macsec-gw run`.

use crate::dpdk_ports::DpdkPorts;
use crate::signals::Signals;
use crate::{BadUsage, Gateway, LinkError, StartError, write_rows};
use anyhow::{Context, Result, bail};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often packet numbers, events and signals are looked at.
const TICK: Duration = Duration::from_millis(10);

/// Runs a gateway until SIGTERM or SIGINT.
///
/// # Errors
/// [`BadUsage`] for what the configuration has wrong, anything else for what happened.
pub fn run(file: &Path, counters: Option<PathBuf>) -> Result<()> {
    let signals = Signals::listen().context("listening to signals")?;
    let config = config::Config::load(file).map_err(|e| BadUsage(e.to_string()))?;
    for link in config.links.iter().filter(|l| l.policy == config::Policy::ShouldSecure) {
        tracing::warn!(link = link.name, "policy should-secure: frames without MACsec pass in the clear");
    }
    for link in config.links.iter().filter(|l| !l.protect_frames) {
        tracing::warn!(link = link.name, "protect_frames is off: everything is sent in the clear");
    }
    let mut ports = DpdkPorts::new(&config)?;
    let mut gateway = Gateway::start(&config, &mut ports).map_err(|e| match e {
        StartError::Config(_)
        | StartError::Worker(datapath::StartError::Core(_))
        | StartError::Link(LinkError::Mtu { .. } | LinkError::Sa { .. } | LinkError::Channel { .. }) => {
            BadUsage(e.to_string()).into()
        }
        other => anyhow::Error::new(other),
    })?;
    // Not eprintln, here and elsewhere: when nobody reads standard error any more, it panics.
    let _ = writeln!(
        io::stderr(),
        "READY {}",
        config.links.iter().map(|l| &l.name[..]).collect::<Vec<_>>().join(" ")
    );
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    let mut alive = true;
    while alive && !signals.stop() {
        std::thread::sleep(TICK);
        alive = gateway.tick(Instant::now());
        if signals.take_reload() {
            tracing::warn!("SIGHUP: reloading comes in a later release; restart to take a new configuration");
        }
        if signals.take_report() {
            report(&gateway, counters.as_deref());
        }
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    for (link, summary) in gateway.summaries() {
        tracing::info!(link, "stopping: {summary}");
    }
    let (rows, well, outcome) = gateway.stop();
    if let Some(path) = &counters {
        write_rows(path, &rows).with_context(|| format!("writing counters to {}", path.display()))?;
    }
    outcome?;
    if !(alive && well) {
        bail!("a worker ended by itself; its last words are above");
    }
    Ok(())
}

fn report(gateway: &Gateway, counters: Option<&Path>) {
    for (link, summary) in gateway.summaries() {
        tracing::info!(link, "{summary}");
    }
    if let Some(path) = counters
        && let Err(e) = write_rows(path, &gateway.rows())
    {
        tracing::error!("writing counters to {}: {e}", path.display());
    }
}
