//! The way from a plugged device to a started port, and back.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_int};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use super::device::Device;
use super::error::PortError;
use super::{MtuOutcome, OPEN, PortConfig, af_packet, device, interface, lock, queue};
use crate::eal::Eal;
use crate::mbuf::Mbuf;
use crate::pool::{HEADROOM, Pool};
use crate::{log, reason};

/// Ethernet header, two VLAN tags and FCS: what may come on top of the MTU.
const L2_OVERHEAD: u32 = 14 + 2 * 4 + 4;

/// A device that a driver has taken. Closes it and gives it back on drop.
pub(super) struct Plugged {
    id: u16,
    /// Keeps DPDK up until the device is closed.
    _eal: Eal,
}

impl Plugged {
    pub(super) fn new(id: u16, eal: Eal) -> Self {
        Self { id, _eal: eal }
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        let device = device::device_of(self.id);
        // SAFETY: the port is stopped or was never started, and nothing uses it any more.
        unsafe { dpdk_sys::rte_eth_dev_close(self.id) };
        if let Some(device) = device {
            // SAFETY: the device was plugged, and closing its port does not unplug it.
            unsafe { dpdk_sys::rte_dev_remove(device.as_ptr()) };
        }
    }
}

/// How long a port that stops may go on sending what is in its queues: what 1024 descriptors take at 100 Mbit/s, nearly.
const SENDING_TIME: Duration = Duration::from_millis(100);
/// Between two looks at what it has sent. In this time a port that has something sends some of it.
const SENDING_LOOK: Duration = Duration::from_millis(1);

/// Frames in several segments may be sent.
const MULTI_SEGS: u64 = dpdk_sys::DPDK_SYS_ETH_TX_OFFLOAD_MULTI_SEGS;

/// A started port. Stops it on drop, then closes it.
pub(super) struct Started {
    plugged: Option<Plugged>,
    /// The name under which it is in [`OPEN`].
    name: Option<String>,
    rx_queues: u16,
    /// Undo what promiscuous mode did to the interface.
    unpromiscuous: bool,
    /// Free what is in the receive queues, as `net_ring` drops its rings without.
    drain: bool,
}

impl Started {
    /// Enters the device into the list of open ones, [`OPEN`]; dropping this takes it out.
    pub(super) fn enter(&mut self, open: &mut BTreeSet<String>, name: &str) {
        open.insert(name.to_owned());
        self.name = Some(name.to_owned());
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let Some(plugged) = self.plugged.take() else { return };
        // An unregistered port is being abandoned by `Port::open`, which holds the lock.
        let mut open = self.name.is_some().then(|| lock(&OPEN));
        if self.drain {
            for queue in 0..self.rx_queues {
                drain(plugged.id, queue);
            }
        }
        if self.unpromiscuous {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_eth_promiscuous_disable(plugged.id) };
        }
        let_out(plugged.id);
        // SAFETY: the port is started, and its queue handles are gone, as each holds what holds this.
        unsafe { dpdk_sys::rte_eth_dev_stop(plugged.id) };
        drop(plugged);
        if let (Some(open), Some(name)) = (&mut open, &self.name) {
            open.remove(name);
        }
    }
}

/// Waits until a started port sends nothing any more: stopping it discards what is in its transmit queues.
fn let_out(port: u16) {
    let end = Instant::now() + SENDING_TIME;
    let mut before = sent(port);
    while before.is_some() && Instant::now() < end {
        std::thread::sleep(SENDING_LOOK);
        let now = sent(port);
        if now == before {
            return;
        }
        before = now;
    }
}

/// Frames that a started port has sent, if it says.
fn sent(port: u16) -> Option<u64> {
    super::counters(port).ok().map(|counters| counters.opackets)
}

/// Frees what a receive queue holds.
fn drain(port: u16, queue: u16) {
    let mut slots = [std::ptr::null_mut(); 32];
    loop {
        // SAFETY: the port is started, has the queue, and no handle to it is left.
        let received =
            unsafe { queue::Ops::new(port, queue).receive(slots.as_mut_ptr(), slots.len() as u16) };
        for raw in slots.iter().take(usize::from(received)).filter_map(|raw| NonNull::new(*raw)) {
            // SAFETY: the driver handed the mbuf over.
            drop(unsafe { Mbuf::from_raw(raw) });
        }
        if received == 0 {
            return;
        }
    }
}

/// The steps between a plugged device and a started port.
pub(super) struct Setup<'a> {
    id: u16,
    config: &'a PortConfig,
    pool: &'a Pool,
    /// The network interface behind a `net_af_packet`, which decides about the MTU.
    interface: Option<&'a str>,
    ring: bool,
    pcap: bool,
    pci: bool,
}

impl<'a> Setup<'a> {
    pub(super) fn new(id: u16, config: &'a PortConfig, pool: &'a Pool, device: &'a Device) -> Self {
        let interface = af_packet::interface_of(device);
        let pci = matches!(device, Device::Pci { .. });
        let [ring, pcap] = ["net_ring", "net_pcap"].map(|driver| device.is_virtual(driver));
        Self { id, config, pool, interface, ring, pcap, pci }
    }

    fn failed(&self, step: &'static str, reason: impl ToString) -> PortError {
        PortError::Setup { device: self.config.device.clone(), step, reason: reason.to_string() }
    }

    /// Makes a DPDK call; where it fails, what it logged is the reason.
    fn step(&self, step: &'static str, call: impl FnOnce() -> c_int) -> Result<(), PortError> {
        let (rc, captured) = log::capture(call);
        if rc == 0 {
            captured.replay();
            return Ok(());
        }
        let problems = captured.problems();
        Err(self.failed(step, if problems.is_empty() { reason::describe(rc) } else { problems }))
    }

    pub(super) fn info(&self) -> Result<dpdk_sys::rte_eth_dev_info, PortError> {
        let info = device::info(self.id)
            .map_err(|rc| self.failed("reading the capabilities", reason::describe(rc)))?;
        for (direction, requested, max) in [
            ("receive", self.config.rx_queues, info.max_rx_queues),
            ("transmit", self.config.tx_queues, info.max_tx_queues),
        ] {
            if requested > max {
                let device = self.config.device.clone();
                return Err(PortError::TooManyQueues { device, direction, requested, max });
            }
        }
        Ok(info)
    }

    pub(super) fn configure(&self, info: &dpdk_sys::rte_eth_dev_info) -> Result<(), PortError> {
        let device = || self.config.device.clone();
        let mtu = self.config.mtu.filter(|_| self.interface.is_none());
        if let Some(requested) = mtu.filter(|mtu| *mtu > max_mtu(info)) {
            return Err(PortError::MtuRefused { device: device(), requested, max: max_mtu(info) });
        }
        // SAFETY: a struct of integers, arrays of them, enumerations with a zero, and pointers.
        let mut conf: dpdk_sys::rte_eth_conf = unsafe { std::mem::zeroed() };
        conf.rxmode.mtu = u32::from(mtu.unwrap_or(0));
        conf.txmode.offloads = info.tx_offload_capa & MULTI_SEGS;
        let frame = u32::from(mtu.unwrap_or(1500)) + L2_OVERHEAD;
        if frame > u32::from(self.pool.data_room() - HEADROOM) {
            conf.rxmode.offloads = info.rx_offload_capa & dpdk_sys::DPDK_SYS_ETH_RX_OFFLOAD_SCATTER;
            if conf.rxmode.offloads == 0 && self.pci {
                return Err(PortError::DataRoomTooSmall {
                    device: device(),
                    needed: frame + u32::from(HEADROOM),
                    data_room: self.pool.data_room(),
                });
            }
        }
        let spread = info.flow_type_rss_offloads
            & (dpdk_sys::DPDK_SYS_ETH_RSS_IP
                | dpdk_sys::DPDK_SYS_ETH_RSS_TCP
                | dpdk_sys::DPDK_SYS_ETH_RSS_UDP);
        if self.config.rx_queues > 1 && spread != 0 {
            conf.rxmode.mq_mode = dpdk_sys::RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = spread;
        }
        // SAFETY: the port is open and not started, and `conf` is only read during the call.
        self.step("configuring the device", || unsafe {
            dpdk_sys::rte_eth_dev_configure(self.id, self.config.rx_queues, self.config.tx_queues, &conf)
        })
    }

    /// Whether frames may be in several segments: as the device says, but that `net_pcap` takes them, too.
    pub(super) fn sends_chains(&self, info: &dpdk_sys::rte_eth_dev_info) -> bool {
        info.tx_offload_capa & MULTI_SEGS != 0 || self.pcap
    }

    pub(super) fn mtu(&self, max: u16) -> Result<MtuOutcome, PortError> {
        let Some(requested) = self.config.mtu else { return Ok(MtuOutcome::Unasked) };
        if self.interface.is_some() {
            return Ok(MtuOutcome::Set);
        }
        // SAFETY: the port is open, configured and not started.
        let (rc, captured) = log::capture(|| unsafe { dpdk_sys::rte_eth_dev_set_mtu(self.id, requested) });
        match -rc {
            0 => {
                captured.replay();
                Ok(MtuOutcome::Set)
            }
            libc::ENOTSUP => Ok(MtuOutcome::NotSettable),
            libc::EINVAL => Err(PortError::MtuRefused {
                device: self.config.device.clone(),
                requested,
                max: max.min(requested.saturating_sub(1)),
            }),
            errno => Err(self.failed("setting the MTU", reason::describe(errno))),
        }
    }

    pub(super) fn queues(&self) -> Result<(), PortError> {
        let (mut rx, mut tx) = (self.config.rx_descriptors, self.config.tx_descriptors);
        // SAFETY: the port is open, and both counts are writable.
        self.step("choosing queue sizes", || unsafe {
            dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(self.id, &mut rx, &mut tx)
        })?;
        let socket = socket_of(self.id).unwrap_or(dpdk_sys::DPDK_SYS_SOCKET_ID_ANY.cast_unsigned());
        for queue in 0..self.config.rx_queues {
            // SAFETY: the port is configured and not started; the pool outlives it, as it holds a handle. Null
            // asks for the driver's defaults.
            self.step("setting up a receive queue", || unsafe {
                dpdk_sys::rte_eth_rx_queue_setup(
                    self.id,
                    queue,
                    rx,
                    socket,
                    std::ptr::null(),
                    self.pool.as_ptr(),
                )
            })?;
        }
        for queue in 0..self.config.tx_queues {
            // SAFETY: the port is configured and not started. Null asks for the driver's defaults.
            self.step("setting up a transmit queue", || unsafe {
                dpdk_sys::rte_eth_tx_queue_setup(self.id, queue, tx, socket, std::ptr::null())
            })?;
        }
        Ok(())
    }

    pub(super) fn start(&self, plugged: Plugged) -> Result<Started, PortError> {
        // Starting turns promiscuous mode off on the interface, whoever turned it on.
        let already = self.interface.map(|name| interface::promiscuous(name).unwrap_or(false));
        // SAFETY: the port is configured and its queues are set up.
        self.step("starting the device", || unsafe { dpdk_sys::rte_eth_dev_start(self.id) })?;
        let started = Started {
            plugged: Some(plugged),
            name: None,
            rx_queues: self.config.rx_queues,
            unpromiscuous: already == Some(false),
            drain: self.ring,
        };
        if self.config.promiscuous || already == Some(true) {
            self.step("enabling promiscuous mode", || {
                // SAFETY: the port is started.
                match unsafe { dpdk_sys::rte_eth_promiscuous_enable(self.id) } {
                    // Devices without an address filter have nothing to turn off.
                    rc if rc == -libc::ENOTSUP && !self.pci => 0,
                    rc => rc,
                }
            })?;
        }
        Ok(started)
    }
}

/// Drivers that leave `imissed` at zero, whatever is lost.
const MISSED_NOT_COUNTED: [&CStr; 12] = [
    c"net_af_packet",
    c"net_e1000_igb_vf",
    c"net_ixgbe_vf",
    c"net_memif",
    c"net_null",
    c"net_ring",
    c"net_tap",
    c"net_tun",
    c"net_txgbe_vf",
    c"net_vhost",
    c"net_virtio",
    c"net_virtio_user",
];

/// Whether the driver counts frames for which no descriptor was free.
pub(super) fn counts_missed(info: &dpdk_sys::rte_eth_dev_info) -> bool {
    // SAFETY: DPDK points to a string that is there as long as the driver, or to nothing.
    let driver = (!info.driver_name.is_null()).then(|| unsafe { CStr::from_ptr(info.driver_name) });
    driver.is_some_and(|driver| !MISSED_NOT_COUNTED.contains(&driver))
}

/// Largest MTU that a device takes, by the reckoning of `rte_eth_dev_set_mtu`.
pub(super) fn max_mtu(info: &dpdk_sys::rte_eth_dev_info) -> u16 {
    let overhead = if info.max_mtu != u16::MAX && info.max_rx_pktlen > u32::from(info.max_mtu) {
        info.max_rx_pktlen - u32::from(info.max_mtu)
    } else {
        // Ethernet header and FCS.
        18
    };
    let by_frame = info.max_rx_pktlen.saturating_sub(overhead);
    info.max_mtu.min(u16::try_from(by_frame).unwrap_or(u16::MAX))
}

pub(super) fn socket_of(port: u16) -> Option<u32> {
    // SAFETY: takes any port number.
    u32::try_from(unsafe { dpdk_sys::rte_eth_dev_socket_id(port) }).ok()
}
