//! Device strings: what they name, whether it is there, and getting a driver to take it.

use std::ffi::{CStr, CString, c_int};
use std::path::Path;
use std::ptr::NonNull;

use super::error::PortError;
use super::interface;
use crate::eal::Eal;
use crate::log;
use crate::reason;

/// Kernel drivers that hand a PCI device to user space.
const HANDOVER_DRIVERS: &[&str] = &["vfio-pci", "uio_pci_generic", "igb_uio"];

/// Kernel drivers beside which DPDK's work: the device stays with them.
const SHARING_DRIVERS: &[&str] = &["mlx4_core", "mlx5_core", "mana"];

/// Arguments of virtual devices that name an existing network interface, by driver.
const INTERFACE_ARGUMENTS: &[(&str, &[&str])] = &[
    ("net_af_packet", &["iface"]),
    ("net_af_xdp", &["iface"]),
    ("net_pcap", &["iface", "rx_iface", "rx_iface_in", "tx_iface"]),
];

/// A device string, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// A function on the PCI bus.
    Pci {
        /// In full: `0000:3b:00.0`, lower case.
        address: String,
        /// `key=value,…`, possibly empty.
        args: String,
    },
    /// A device that only its driver makes exist.
    Virtual {
        /// Driver and instance: `net_af_packet0`.
        name: String,
        /// `key=value,…`, possibly empty.
        args: String,
    },
}

impl Device {
    pub(crate) fn parse(device: &str) -> Result<Self, PortError> {
        let bad = |reason| Err(PortError::BadDevice { device: device.to_owned(), reason });
        let (name, args) = device.split_once(',').unwrap_or((device, ""));
        let args = args.to_owned();
        if args.contains(char::is_control) {
            return bad("the arguments contain a control character");
        }
        if name.is_empty() {
            return bad("it is empty");
        }
        if let Some(address) = pci_address(name) {
            return Ok(Self::Pci { address, args });
        }
        if name.contains(':') {
            return bad("a PCI address has the form domain:bus:device.function, in hexadecimal");
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(word) {
            return bad("a virtual device's name has letters, digits and underscores");
        }
        if name.starts_with("eth_") {
            // An alias that is not looked for wherever a driver matters.
            return bad("drivers' names begin with net_, where they once began with eth_");
        }
        // RTE_DEV_NAME_MAX_LEN, less the NUL.
        if name.len() > 63 {
            return bad("the name has more than 63 characters");
        }
        Ok(Self::Virtual { name: name.to_owned(), args })
    }

    /// The name DPDK knows the device by.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Pci { address, .. } => address,
            Self::Virtual { name, .. } => name,
        }
    }

    /// The value of argument `key`.
    pub(crate) fn arg(&self, key: &str) -> Option<&str> {
        let (Self::Pci { args, .. } | Self::Virtual { args, .. }) = self;
        args.split(',').find_map(|arg| arg.split_once('=').filter(|(k, _)| *k == key).map(|(_, value)| value))
    }

    /// Adds argument `key`.
    pub(crate) fn push_arg(&mut self, key: &str, value: impl std::fmt::Display) {
        let (Self::Pci { args, .. } | Self::Virtual { args, .. }) = self;
        if !args.is_empty() {
            args.push(',');
        }
        args.push_str(&format!("{key}={value}"));
    }

    /// Whether this is a virtual device of `driver`.
    pub(crate) fn is_virtual(&self, driver: &str) -> bool {
        match self {
            Self::Virtual { name, .. } => name
                .strip_prefix(driver)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')),
            Self::Pci { .. } => false,
        }
    }

    /// Finds out what stands in the way before DPDK is asked, as it does not tell.
    pub(crate) fn precheck(&self, device: &str, eal: &Eal) -> Result<(), PortError> {
        match self {
            Self::Pci { address, .. } => {
                let sysfs = Path::new("/sys/bus/pci/devices").join(address);
                if !sysfs.exists() {
                    return Err(PortError::PciNotFound { device: device.to_owned() });
                }
                if !eal.allows_pci(address) {
                    return Err(PortError::PciNotAllowed { device: device.to_owned() });
                }
            }
            Self::Virtual { .. } => {
                let keys = INTERFACE_ARGUMENTS.iter().filter(|(driver, _)| self.is_virtual(driver));
                for value in keys.flat_map(|(_, keys)| *keys).filter_map(|key| self.arg(key)) {
                    if !interface::exists(value) {
                        return Err(PortError::InterfaceMissing {
                            device: device.to_owned(),
                            interface: value.to_owned(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Has a driver take the device, unless one did when the EAL started, and returns its port number.
    pub(crate) fn probe(&self, device: &str) -> Result<u16, PortError> {
        if let Some(port) = find_port(self.name()) {
            return Ok(port);
        }
        let (bus, name, args) = match self {
            Self::Pci { address, args } => (c"pci", address, args),
            Self::Virtual { name, args } => (c"vdev", name, args),
        };
        let unencodable =
            |_| PortError::BadDevice { device: device.to_owned(), reason: "it contains a NUL character" };
        let name = CString::new(name.as_str()).map_err(unencodable)?;
        let args = CString::new(args.as_str()).map_err(unencodable)?;
        // SAFETY: the EAL is initialised, as the caller has an `Eal`, and the strings are NUL-terminated.
        let (rc, captured) = log::capture(|| unsafe {
            dpdk_sys::rte_eal_hotplug_add(bus.as_ptr(), name.as_ptr(), args.as_ptr())
        });
        let port = find_port(self.name());
        if let (0, Some(port)) = (rc, port) {
            captured.replay();
            return Ok(port);
        }
        Err(self.probe_error(device, rc, &captured.problems()))
    }

    fn probe_error(&self, device: &str, rc: c_int, problems: &str) -> PortError {
        let device = device.to_owned();
        if let Self::Pci { address, .. } = self {
            let driver = kernel_driver(address);
            if is_to_be_bound(driver.as_deref()) {
                return PortError::NotBound { device, driver };
            }
        }
        // A name that no driver on the bus claims does not parse; a PCI id that none claims is not supported.
        if rc == -libc::EFAULT || (rc == -libc::ENOTSUP && matches!(self, Self::Pci { .. })) {
            return PortError::NoDriver { device };
        }
        let reason = match problems {
            "" if rc == 0 => "it offers no Ethernet port".to_owned(),
            // Drivers of virtual devices return -1 for anything; as an error number it would mislead.
            "" if rc == -1 => "it does not say why; its arguments may be wrong".to_owned(),
            "" => reason::describe(rc),
            problems => problems.to_owned(),
        };
        PortError::ProbeFailed { device, reason }
    }
}

/// `name` as a PCI address in full, if it is one.
fn pci_address(name: &str) -> Option<String> {
    let (rest, function) = name.rsplit_once('.')?;
    let mut parts = rest.rsplit(':');
    let device = parts.next()?;
    let bus = parts.next()?;
    let domain = parts.next().unwrap_or("0000");
    let hex = |part: &str, digits: std::ops::RangeInclusive<usize>, max: u32| {
        let fits = digits.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(part, 16).ok().filter(|value| fits && *value <= max)
    };
    let domain = hex(domain, 4..=8, u32::MAX)?;
    let bus = hex(bus, 2..=2, 0xff)?;
    let device = hex(device, 2..=2, 0x1f)?;
    let function = hex(function, 1..=1, 7)?;
    parts.next().is_none().then(|| format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}"))
}

/// Whether DPDK cannot have a device as long as this kernel driver has it.
fn is_to_be_bound(driver: Option<&str>) -> bool {
    !driver.is_some_and(|driver| HANDOVER_DRIVERS.contains(&driver) || SHARING_DRIVERS.contains(&driver))
}

/// The kernel driver that has the PCI device.
fn kernel_driver(address: &str) -> Option<String> {
    let link = std::fs::read_link(Path::new("/sys/bus/pci/devices").join(address).join("driver")).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

/// The port of the device that DPDK calls `name`. A device with several gives its first.
fn find_port(name: &str) -> Option<u16> {
    let mut port: u16 = 0;
    loop {
        // SAFETY: takes any number; the EAL is initialised whenever devices are looked for.
        port = unsafe { dpdk_sys::rte_eth_find_next(port) };
        if port >= dpdk_sys::DPDK_SYS_MAX_ETHPORTS {
            return None;
        }
        if device_of(port).is_some_and(|device| is_named(device, name)) {
            return Some(port);
        }
        port += 1;
    }
}

fn is_named(device: NonNull<dpdk_sys::rte_device>, name: &str) -> bool {
    // SAFETY: the device is behind a port, so it is plugged and has a NUL-terminated name, only compared here.
    let actual = unsafe { CStr::from_ptr(dpdk_sys::rte_dev_name(device.as_ptr())) };
    actual.to_bytes() == name.as_bytes()
}

/// What DPDK knows about a port.
pub(crate) fn info(port: u16) -> Result<dpdk_sys::rte_eth_dev_info, c_int> {
    // SAFETY: a struct of integers, pointers and arrays of them, for which zero is a value.
    let mut info: dpdk_sys::rte_eth_dev_info = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is writable; DPDK checks the port number.
    match unsafe { dpdk_sys::rte_eth_dev_info_get(port, &mut info) } {
        0 => Ok(info),
        rc => Err(rc),
    }
}

/// The device behind a port.
pub(crate) fn device_of(port: u16) -> Option<NonNull<dpdk_sys::rte_device>> {
    NonNull::new(info(port).ok()?.device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_are_written_in_full() {
        let address = |s: &str| Device::parse(s).map(|d| d.name().to_owned());
        assert_eq!(address("0000:3b:00.0"), Ok("0000:3b:00.0".into()));
        assert_eq!(address("3B:1f.7,key=value"), Ok("0000:3b:1f.7".into()));
        assert_eq!(address("10000:01:00.1"), Ok("10000:01:00.1".into()));
        for bad in ["0000:3b:20.0", "0000:3b:00.8", "0000:3b:00", "3b:00.0.0", "1:0000:3b:00.0", "0:3b:00.0"]
        {
            assert!(matches!(Device::parse(bad), Err(PortError::BadDevice { .. })), "{bad}");
        }
    }

    #[test]
    fn a_device_that_the_kernel_shares_is_not_taken_from_it() {
        assert!(is_to_be_bound(None) && is_to_be_bound(Some("ixgbe")));
        assert!(!is_to_be_bound(Some("vfio-pci")) && !is_to_be_bound(Some("mlx5_core")));
    }

    #[test]
    fn virtual_devices_have_a_name_and_arguments() {
        let device = Device::parse("net_af_packet0,iface=veth0,qpairs=2").expect("valid");
        assert_eq!(device.name(), "net_af_packet0");
        assert_eq!(device.arg("iface"), Some("veth0"));
        assert_eq!(device.arg("qpairs"), Some("2"));
        assert_eq!(device.arg("framesz"), None);
        assert!(device.is_virtual("net_af_packet"));
        assert!(!device.is_virtual("net_af"));
        for bad in
            ["", ",iface=x", "eth_af_packet0,iface=veth0", "net null0", "0net", "ねっと0", "net_null0,a=\n"]
        {
            assert!(matches!(Device::parse(bad), Err(PortError::BadDevice { .. })), "{bad:?}");
        }
    }

    #[test]
    fn an_argument_is_added_behind_the_others() {
        let mut device = Device::parse("net_af_packet0").expect("valid");
        device.push_arg("iface", "veth0");
        device.push_arg("framesz", 4096);
        assert_eq!(device, Device::parse("net_af_packet0,iface=veth0,framesz=4096").expect("valid"));
    }
}
