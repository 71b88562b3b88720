//! DPDK's ports.

use crate::{BadUsage, OpenPort, Ports};
use anyhow::{Context, Result};
use datapath::{DpdkRx, DpdkTx, ThreadSetup, bursts_on_their_way};
use dpdk::{
    DEFAULT_DATA_ROOM, Eal, EalError, EalOptions, HEADROOM, LogLevel, MtuOutcome, Pool, Port, PortConfig,
    PortError, free_hugepages_mib,
};
use std::cell::Cell;
use std::sync::Arc;
use tracing::level_filters::LevelFilter;
use wire::MacAddr;

/// Ethernet header, two VLAN tags, FCS.
const L2_OVERHEAD: u16 = 14 + 8 + 4;
/// Frames that are on their way through a worker, and in caches, beside those in descriptor rings and with crypto workers.
const IN_FLIGHT: u32 = 2048;
/// Frames that each core keeps to itself.
const POOL_CACHE: u32 = 256;

/// DPDK and the ports opened on it.
pub(crate) struct DpdkPorts {
    eal: Eal,
    largest_ring: u32,
    /// Frames of a direction that are with crypto workers, at most.
    with_crypto_workers: u32,
    /// Pools so far.
    pools: Cell<u32>,
}

impl DpdkPorts {
    /// Brings DPDK up.
    pub(crate) fn new(config: &config::Config) -> Result<Self> {
        let allowed_pci = config.ports.iter().filter_map(|p| match &p.device {
            config::Device::Pci(address) => Some(address.clone()),
            config::Device::Virtual(_) => None,
        });
        check_memory(&config.dpdk)?;
        let eal = Eal::init(EalOptions {
            hugepages: config.dpdk.hugepages,
            memory_mib: config.dpdk.memory_mib,
            control_core: config.gateway.control_core,
            allowed_pci: allowed_pci.collect(),
            extra_args: config.dpdk.eal_args.clone(),
            log_level: log_level(),
            log_sink: Some(to_log),
        })
        .map_err(|e| match e {
            EalError::BadCore { .. } => BadUsage(format!("gateway.control_core: {e}")).into(),
            EalError::Init { .. } if !config.dpdk.eal_args.is_empty() => {
                anyhow::Error::new(e).context("are dpdk.eal_args right?")
            }
            other => other.into(),
        })?;
        // A frame received on one port may wait in the transmit ring of another.
        let rings = config.ports.iter().map(|p| u32::from(p.rx_descriptors) + u32::from(p.tx_descriptors));
        let crypto_workers =
            config.links.iter().map(|l| l.protect_crypto_cores.len().max(l.verify_crypto_cores.len()));
        let bursts = bursts_on_their_way(crypto_workers.max().unwrap_or(0));
        Ok(DpdkPorts {
            eal,
            largest_ring: rings.max().unwrap_or(0),
            with_crypto_workers: (bursts * secy::MAX_BURST) as u32,
            pools: Cell::new(0),
        })
    }

    fn open_with_room(
        &self,
        port: &config::Port,
        mtu: Option<u16>,
        data_room: u16,
    ) -> Result<(Port, Pool), PortError> {
        let setup = |error: dpdk::PoolError| {
            let remedy = match error {
                dpdk::PoolError::NoMemory { .. } => {
                    "; raise dpdk.memory_mib, or lower the ports' rx_descriptors and tx_descriptors"
                }
                _ => "",
            };
            let reason = format!("{error}{remedy}");
            PortError::Setup { device: port.device.to_string(), step: "making room for frames", reason }
        };
        // One less than a power of two fills the ring behind the pool.
        let frames = 2 * self.largest_ring + self.with_crypto_workers + IN_FLIGHT;
        let count = frames.next_power_of_two() - 1;
        // Not by the port's name, which may be longer than a pool's.
        self.pools.set(self.pools.get() + 1);
        let name = format!("frames-{}", self.pools.get());
        let pool = Pool::new(&self.eal, &name, count, POOL_CACHE, data_room, None).map_err(setup)?;
        let config = PortConfig {
            rx_descriptors: port.rx_descriptors,
            tx_descriptors: port.tx_descriptors,
            mtu,
            ..PortConfig::new(port.device.as_str())
        };
        Port::open(&self.eal, &config, &pool).map(|p| (p, pool))
    }
}

/// Refuses to ask for more memory than there is: DPDK would take long to find out, and say something else.
fn check_memory(dpdk: &config::Dpdk) -> Result<()> {
    let Some(wanted) = dpdk.memory_mib else { return Ok(()) };
    let (free, kind) = if dpdk.hugepages {
        (free_hugepages_mib(), "free hugepages")
    } else {
        let meminfo = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
        let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = total.and_then(|total| total.split_whitespace().next()?.parse::<u64>().ok());
        (kib.map(|kib| kib / 1024), "memory")
    };
    match free {
        // None at all has a message of its own.
        Some(free) if free > 0 && u64::from(wanted) > free => {
            let text =
                format!("dpdk.memory_mib: {wanted} MiB asked for, {free} MiB of {kind} there are; lower it");
            Err(BadUsage(text).into())
        }
        _ => Ok(()),
    }
}

/// Octets of a buffer that holds a frame of `mtu`, so that most frames are in one piece.
fn data_room(mtu: Option<u16>) -> u16 {
    let frame = mtu.unwrap_or(0).saturating_add(L2_OVERHEAD + secy::MAX_OVERHEAD as u16);
    DEFAULT_DATA_ROOM.max(frame.saturating_add(HEADROOM).next_multiple_of(64))
}

impl Ports for DpdkPorts {
    type Rx = DpdkRx;
    type Tx = DpdkTx;

    fn open(&mut self, port: &config::Port, mtu: Option<u16>) -> Result<OpenPort<DpdkRx, DpdkTx>> {
        let mut opened = self.open_with_room(port, mtu, data_room(mtu));
        if let Err(PortError::DataRoomTooSmall { needed, .. }) = &opened {
            // The device has its own idea of a buffer and says so only now.
            let room = u16::try_from(needed.next_multiple_of(64)).unwrap_or(u16::MAX);
            opened = self.open_with_room(port, mtu, room);
        }
        let named = || format!("port {:?}", port.name);
        let (opened, pool) = opened.map_err(needs_root).with_context(named)?;
        let queue = |q: Option<&str>| format!("port {:?}: no {} queue", port.name, q.unwrap_or("free"));
        let rx = opened.take_rx_queue(0).with_context(|| queue(Some("receive")))?;
        let tx = opened.take_tx_queue(0).with_context(|| queue(Some("transmit")))?;
        let mac = MacAddr(opened.mac().with_context(named)?);
        let mtu = match opened.mtu_outcome() {
            MtuOutcome::NotSettable => None,
            MtuOutcome::Set => mtu,
            MtuOutcome::Unasked => Some(opened.mtu().with_context(named)?),
        };
        let opened = Arc::new(opened);
        let counters = Box::new(move || {
            let s = opened.stats().unwrap_or_default();
            let counters = [
                ("rx_frames", Some(s.ipackets)),
                ("tx_frames", Some(s.opackets)),
                ("rx_octets", Some(s.ibytes)),
                ("tx_octets", Some(s.obytes)),
                ("rx_missed", s.imissed),
                ("rx_errors", Some(s.ierrors)),
                ("tx_errors", Some(s.oerrors)),
                ("rx_no_buffer", Some(s.rx_nombuf)),
            ];
            counters.into_iter().filter_map(|(name, count)| Some((name, count?))).collect()
        });
        Ok(OpenPort { rx: DpdkRx::new(rx), tx: DpdkTx::new(tx, pool), mac, mtu, counters })
    }

    fn thread_setup(&self) -> Option<ThreadSetup> {
        let eal = self.eal.clone();
        Some(Box::new(move || match eal.register_thread() {
            Ok(guard) => Ok(Box::new(guard)),
            Err(e) => Err(e.to_string()),
        }))
    }
}

/// How much of DPDK's log there is to be. Errors tell its warnings as their reasons, and at its start it says much that
/// concerns nobody.
fn log_level() -> LogLevel {
    match LevelFilter::current() {
        LevelFilter::TRACE => LogLevel::Debug,
        LevelFilter::DEBUG => LogLevel::Info,
        _ => LogLevel::Warning,
    }
}

/// DPDK's log is the program's: whoever logs waits for nobody that is to read it.
fn to_log(level: LogLevel, line: &str) {
    match level {
        LogLevel::Error => tracing::error!(target: "dpdk", "{line}"),
        LogLevel::Warning => tracing::warn!(target: "dpdk", "{line}"),
        LogLevel::Notice | LogLevel::Info => tracing::info!(target: "dpdk", "{line}"),
        LogLevel::Debug => tracing::debug!(target: "dpdk", "{line}"),
    }
}

/// A port that did not open for somebody other than root most likely needed root.
fn needs_root(error: PortError) -> anyhow::Error {
    let rights =
        matches!(error, PortError::ProbeFailed { .. } | PortError::Setup { .. } | PortError::NotBound { .. });
    if rights && !rustix::process::geteuid().is_root() {
        let hint = "this process is not root: run it as root, or give it CAP_NET_RAW and CAP_NET_ADMIN";
        return anyhow::Error::new(error).context(hint);
    }
    error.into()
}
