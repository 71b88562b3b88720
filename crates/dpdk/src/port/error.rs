//! What can go wrong with a port.

/// Why a port did not open, or did not answer. Every variant names the device as it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// Neither a PCI address nor the name of a virtual device.
    #[error(
        "{device:?} is neither a PCI address (0000:3b:00.0) nor a virtual device (net_af_packet0,iface=eth0): {reason}"
    )]
    BadDevice {
        /// The offending device string.
        device: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Another port of this process has the device.
    #[error("{device} is in use by another port of this process")]
    AlreadyInUse {
        /// The device.
        device: String,
    },
    /// The system has no such PCI device.
    #[error("{device}: there is no such PCI device; `dpdk-devbind.py --status-dev net` lists them")]
    PciNotFound {
        /// The device.
        device: String,
    },
    /// The device was not among those the EAL was initialised with.
    #[error("{device} was not named when DPDK was initialised, so it may not be touched")]
    PciNotAllowed {
        /// The device.
        device: String,
    },
    /// The device is with a kernel driver, or none, instead of one that hands it to DPDK.
    #[error(
        "{device} is {}; bind it with `dpdk-devbind.py --bind=vfio-pci {device}`",
        match driver { Some(driver) => format!("bound to the kernel driver {driver}"), None => "not bound to any driver".into() }
    )]
    NotBound {
        /// The device.
        device: String,
        /// The kernel driver that has it.
        driver: Option<String>,
    },
    /// DPDK has no driver for the device, or its plugin is not installed.
    #[error("{device}: DPDK has no driver for this device, or the driver's plugin is not installed")]
    NoDriver {
        /// The device.
        device: String,
    },
    /// The device string names a network interface that does not exist.
    #[error("{device}: there is no network interface {interface:?}")]
    InterfaceMissing {
        /// The device.
        device: String,
        /// The missing interface.
        interface: String,
    },
    /// The driver would not take the device.
    #[error("{device}: the driver could not take the device: {reason}")]
    ProbeFailed {
        /// The device.
        device: String,
        /// DPDK's reason, or its error number where it gave none.
        reason: String,
    },
    /// More queues than the device has.
    #[error("{device}: {requested} {direction} queues asked for, the device has {max}")]
    TooManyQueues {
        /// The device.
        device: String,
        /// `"receive"` or `"transmit"`.
        direction: &'static str,
        /// Queues asked for.
        requested: u16,
        /// Queues there are.
        max: u16,
    },
    /// The device cannot carry frames that large. Devices to which an MTU means nothing do not give this; see
    /// [`MtuOutcome`](super::MtuOutcome).
    #[error("{device}: MTU {requested} refused, the device allows up to {max}")]
    MtuRefused {
        /// The device.
        device: String,
        /// MTU asked for, in octets.
        requested: u16,
        /// Largest MTU the device takes, in octets.
        max: u16,
    },
    /// The network interface behind the device has a smaller MTU, and is not ours to change.
    #[error(
        "{device}: MTU {requested} asked for, but interface {interface} has {mtu}; \
         `ip link set dev {interface} mtu {requested}` raises it"
    )]
    InterfaceMtu {
        /// The device.
        device: String,
        /// The interface.
        interface: String,
        /// MTU asked for, in octets.
        requested: u16,
        /// MTU of the interface, in octets.
        mtu: u32,
    },
    /// The pool's buffers are too small for this device, which cannot spread a frame over several.
    #[error("{device}: buffers of {needed} octets are needed, the pool has {data_room}")]
    DataRoomTooSmall {
        /// The device.
        device: String,
        /// Octets per buffer needed, headroom included.
        needed: u32,
        /// Octets per buffer in the pool, headroom included.
        data_room: u16,
    },
    /// A step of bringing the device up failed.
    #[error("{device}: {step} failed: {reason}")]
    Setup {
        /// The device.
        device: String,
        /// What was being done.
        step: &'static str,
        /// DPDK's reason.
        reason: String,
    },
    /// The open port did not answer a query.
    #[error("{device}: {query} failed: {reason}")]
    Query {
        /// The device.
        device: String,
        /// What was asked.
        query: &'static str,
        /// DPDK's reason.
        reason: String,
    },
}
