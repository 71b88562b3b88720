//! Ports: Ethernet devices, physical or virtual.

mod af_packet;
mod device;
mod error;
mod filter;
mod interface;
mod queue;
mod setup;

use std::collections::BTreeSet;
use std::ffi::c_int;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use device::Device;
pub use error::PortError;
pub use queue::{RxQueue, TxQueue};
use setup::{Plugged, Setup, Started, counts_missed, max_mtu, socket_of};

use crate::eal::Eal;
use crate::pool::Pool;
use crate::reason;

/// Names of the devices that have a port in this process. Its lock also keeps opening and closing apart, which
/// DPDK leaves to its callers.
static OPEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// What to open and how.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// A PCI address (`0000:3b:00.0`) or a virtual device (`net_af_packet0,iface=veth0`), with driver arguments
    /// after commas.
    pub device: String,
    /// Receive queues. With more than one, IP frames are spread over them by their addresses if the device can;
    /// all others, such as MACsec, arrive on one.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Receive descriptors per queue, in frames; adjusted to what the device can do.
    pub rx_descriptors: u16,
    /// Transmit descriptors per queue, in frames; adjusted to what the device can do.
    pub tx_descriptors: u16,
    /// Largest payload of an Ethernet frame to carry, in octets. `None`: what the device comes up with.
    pub mtu: Option<u16>,
    /// Receive frames for any station, as a device that stands in the wire must.
    pub promiscuous: bool,
}

impl PortConfig {
    /// One queue each way, 1024 descriptors, the device's own MTU, promiscuous.
    pub fn new(device: impl Into<String>) -> Self {
        Self {
            device: device.into(),
            rx_queues: 1,
            tx_queues: 1,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            mtu: None,
            promiscuous: true,
        }
    }
}

/// What became of [`PortConfig::mtu`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MtuOutcome {
    /// None was asked for.
    Unasked,
    /// The device carries frames of that size.
    Set,
    /// The device has no MTU to set. Virtual ones without a wire behind them (`net_ring`, `net_pcap`) carry whatever
    /// fits their buffers.
    NotSettable,
}

/// A port's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether frames can pass.
    pub up: bool,
    /// In Mbit/s, if known. Virtual devices name what they please.
    pub speed_mbps: Option<u32>,
    /// Whether both directions can be used at once.
    pub full_duplex: bool,
}

/// A port's counters since it opened, as far as its driver keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames received.
    pub ipackets: u64,
    /// Frames transmitted.
    pub opackets: u64,
    /// Octets received.
    pub ibytes: u64,
    /// Octets transmitted.
    pub obytes: u64,
    /// Frames lost by the device because no descriptor was free: receive was polled too slowly. None where the driver does
    /// not count them: virtual devices, mostly, `net_af_packet` and virtio among them.
    pub imissed: Option<u64>,
    /// Frames received in error; on `net_af_packet` those that are longer than the MTU allows, too.
    pub ierrors: u64,
    /// Frames whose transmission failed, or that were in more segments than the device takes; on `net_af_packet` those that
    /// are longer than the interface sends, too.
    pub oerrors: u64,
    /// Times that receive found the pool exhausted.
    pub rx_nombuf: u64,
}

/// An open, started port. It stops and closes, and gives its device back, when it and all of its queues are
/// dropped; frames still in them are freed.
pub struct Port {
    inner: Arc<Inner>,
    rx_left: Mutex<BTreeSet<u16>>,
    tx_left: Mutex<BTreeSet<u16>>,
}

struct Inner {
    id: u16,
    device: String,
    /// The network interface that `net_af_packet` sits on.
    interface: Option<String>,
    /// Octets of the longest frame that is received, where the driver lets longer ones in.
    longest: Option<u32>,
    /// Frames that were longer.
    too_long: AtomicU64,
    /// What the interface sends, where the driver does not say that it did not.
    sends: Option<af_packet::Sends>,
    /// Whether the driver counts frames for which no descriptor was free.
    counts_missed: bool,
    /// Whether frames may be in several segments.
    sends_chains: bool,
    /// Frames that were, and had to be in one, and those that the interface does not send.
    not_sent: AtomicU64,
    max_mtu: u16,
    mtu_outcome: MtuOutcome,
    /// DPDK's control calls on one port may not overlap.
    control: Mutex<()>,
    /// Stops and closes the port on drop.
    _started: Started,
    /// Where received frames come from. Declared, and so dropped, after the port that allocates from it.
    _pool: Pool,
}

impl Port {
    /// Opens, configures and starts a device; received frames are taken from `pool`.
    ///
    /// # Errors
    ///
    /// A [`PortError`]; the device is then as before.
    pub fn open(eal: &Eal, config: &PortConfig, pool: &Pool) -> Result<Self, PortError> {
        let mut parsed = Device::parse(&config.device)?;
        let mut open = lock(&OPEN);
        if open.contains(parsed.name()) {
            return Err(PortError::AlreadyInUse { device: config.device.clone() });
        }
        parsed.precheck(&config.device, eal)?;
        let (longest, sends) = af_packet::prepare(&mut parsed, config, pool)?.unzip();
        let interface = af_packet::interface_of(&parsed).map(str::to_owned);

        let id = parsed.probe(&config.device)?;
        let plugged = Plugged::new(id, eal.clone());
        let setup = Setup::new(id, config, pool, &parsed);
        let info = setup.info()?;
        setup.configure(&info)?;
        let mtu_outcome = setup.mtu(max_mtu(&info))?;
        setup.queues()?;
        let mut started = setup.start(plugged)?;
        started.enter(&mut open, parsed.name());

        let inner = Inner {
            id,
            device: config.device.clone(),
            interface,
            longest,
            too_long: AtomicU64::new(0),
            sends,
            counts_missed: counts_missed(&info),
            sends_chains: setup.sends_chains(&info),
            not_sent: AtomicU64::new(0),
            max_mtu: max_mtu(&info),
            mtu_outcome,
            control: Mutex::new(()),
            _started: started,
            _pool: pool.clone(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            rx_left: Mutex::new((0..config.rx_queues).collect()),
            tx_left: Mutex::new((0..config.tx_queues).collect()),
        })
    }

    /// The device string that the port was opened with.
    pub fn name(&self) -> &str {
        &self.inner.device
    }

    /// Receive queue `index`; `None` if there is none or it was taken before.
    pub fn take_rx_queue(&self, index: u16) -> Option<RxQueue> {
        // SAFETY: the set had the queues that were configured, and gives each out once.
        lock(&self.rx_left).remove(&index).then(|| unsafe { RxQueue::new(self.inner.clone(), index) })
    }

    /// Transmit queue `index`; `None` if there is none or it was taken before.
    pub fn take_tx_queue(&self, index: u16) -> Option<TxQueue> {
        // SAFETY: the set had the queues that were configured, and gives each out once.
        lock(&self.tx_left).remove(&index).then(|| unsafe { TxQueue::new(self.inner.clone(), index) })
    }

    /// The port's MAC address.
    ///
    /// # Errors
    ///
    /// [`PortError::Query`] if the device does not answer.
    pub fn mac(&self) -> Result<[u8; 6], PortError> {
        let _control = lock(&self.inner.control);
        // SAFETY: an array of octets, for which zero is a value.
        let mut address: dpdk_sys::rte_ether_addr = unsafe { std::mem::zeroed() };
        // SAFETY: the port is open and `address` is writable.
        let rc = unsafe { dpdk_sys::rte_eth_macaddr_get(self.inner.id, &mut address) };
        self.inner.answer(rc, "reading the MAC address")?;
        Ok(address.addr_bytes)
    }

    /// Largest Ethernet payload carried at present, in octets. On `net_af_packet` the interface's, where others may
    /// change it.
    ///
    /// # Errors
    ///
    /// [`PortError::Query`] if the device does not answer.
    pub fn mtu(&self) -> Result<u16, PortError> {
        if let Some(interface) = &self.inner.interface {
            let mtu =
                interface::mtu(interface).map_err(|error| self.inner.unanswered("reading the MTU", error))?;
            return Ok(u16::try_from(mtu).unwrap_or(u16::MAX));
        }
        let _control = lock(&self.inner.control);
        let mut mtu = 0;
        // SAFETY: the port is open and `mtu` is writable.
        let rc = unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.inner.id, &mut mtu) };
        self.inner.answer(rc, "reading the MTU")?;
        Ok(mtu)
    }

    /// Largest MTU the device could be opened with, in octets. On `net_af_packet` the present MTU of the interface,
    /// which is not changed from here.
    ///
    /// # Errors
    ///
    /// [`PortError::Query`] if the device does not answer.
    pub fn max_mtu(&self) -> Result<u16, PortError> {
        if self.inner.interface.is_some() { self.mtu() } else { Ok(self.inner.max_mtu) }
    }

    /// What became of the MTU in the port's configuration.
    pub fn mtu_outcome(&self) -> MtuOutcome {
        self.inner.mtu_outcome
    }

    /// The link as last seen, without waiting.
    ///
    /// # Errors
    ///
    /// [`PortError::Query`] if the device does not answer.
    pub fn link(&self) -> Result<Link, PortError> {
        let _control = lock(&self.inner.control);
        // SAFETY: a struct of integers, for which zero is a value.
        let mut link: dpdk_sys::rte_eth_link = unsafe { std::mem::zeroed() };
        // SAFETY: the port is open and `link` is writable.
        let rc = unsafe { dpdk_sys::rte_eth_link_get_nowait(self.inner.id, &mut link) };
        self.inner.answer(rc, "reading the link status")?;
        // SAFETY: accessors of an initialised struct.
        let (mut up, speed, full_duplex) = unsafe {
            (
                dpdk_sys::dpdk_sys_link_up(&link) != 0,
                dpdk_sys::dpdk_sys_link_speed(&link),
                dpdk_sys::dpdk_sys_link_full_duplex(&link) != 0,
            )
        };
        if let Some(interface) = &self.inner.interface {
            // The driver of 22.11 reports up from start to stop.
            up = interface::running(interface).unwrap_or(false);
        }
        let unknown = [dpdk_sys::DPDK_SYS_ETH_SPEED_NUM_NONE, dpdk_sys::DPDK_SYS_ETH_SPEED_NUM_UNKNOWN];
        Ok(Link { up, speed_mbps: (!unknown.contains(&speed)).then_some(speed), full_duplex })
    }

    /// The port's counters.
    ///
    /// # Errors
    ///
    /// [`PortError::Query`] if the device does not answer.
    pub fn stats(&self) -> Result<PortStats, PortError> {
        let _control = lock(&self.inner.control);
        let stats = counters(self.inner.id)
            .map_err(|rc| self.inner.unanswered("reading the counters", reason::describe(rc)))?;
        Ok(PortStats {
            ipackets: stats.ipackets,
            opackets: stats.opackets,
            ibytes: stats.ibytes,
            obytes: stats.obytes,
            imissed: self.inner.counts_missed.then_some(stats.imissed),
            ierrors: stats.ierrors + self.inner.too_long.load(Ordering::Relaxed),
            oerrors: stats.oerrors + self.inner.not_sent.load(Ordering::Relaxed),
            rx_nombuf: stats.rx_nombuf,
        })
    }

    /// The NUMA node that the device is on; `None` for virtual ones, mostly, or where there is one node.
    pub fn numa_socket(&self) -> Option<u32> {
        socket_of(self.inner.id)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("device", &self.inner.device).field("id", &self.inner.id).finish()
    }
}

impl Inner {
    fn answer(&self, rc: c_int, query: &'static str) -> Result<(), PortError> {
        if rc == 0 { Ok(()) } else { Err(self.unanswered(query, reason::describe(rc))) }
    }

    fn unanswered(&self, query: &'static str, reason: impl ToString) -> PortError {
        PortError::Query { device: self.device.clone(), query, reason: reason.to_string() }
    }
}

/// What an open port has counted, or the error number.
fn counters(port: u16) -> Result<dpdk_sys::rte_eth_stats, c_int> {
    // SAFETY: a struct of integers and arrays of them, for which zero is a value.
    let mut stats: dpdk_sys::rte_eth_stats = unsafe { std::mem::zeroed() };
    // SAFETY: `stats` is writable, and DPDK answers with an error where there is no such port.
    let rc = unsafe { dpdk_sys::rte_eth_stats_get(port, &mut stats) };
    if rc == 0 { Ok(stats) } else { Err(rc) }
}

/// Locks, whatever happened to earlier holders: what these mutexes guard is valid at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
