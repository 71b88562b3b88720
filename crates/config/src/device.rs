//! What a port is made of: a NIC or a virtual device.

use crate::value::Value;
use std::fmt;

/// A device as DPDK names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// PCI address with its domain, in lower case: `0000:3b:00.0`.
    Pci(String),
    /// Name and arguments of a virtual device: `net_af_packet0,iface=veth0`.
    Virtual(String),
}

const EXAMPLE: &str =
    "a PCI address, device = \"0000:3b:00.0\", or a virtual device, device = \"net_af_packet0,iface=veth0\"";

impl Device {
    /// The text that EAL takes.
    pub fn as_str(&self) -> &str {
        match self {
            Device::Pci(text) | Device::Virtual(text) => text,
        }
    }

    pub(crate) fn read(value: &Value<'_>) -> Option<Device> {
        let text = value.text(EXAMPLE)?;
        if let Some(address) = pci(text) {
            return Some(Device::Pci(address));
        }
        if let Some(rest) = text.strip_prefix("eth_") {
            // What is known of drivers is known by their names of today.
            let what = format!("{} begins with what drivers were called once", value.shown());
            return value.fail(what, format!("write device = \"net_{rest}\""));
        }
        if !text.starts_with("net_") {
            return value.wrong("a device", EXAMPLE);
        }
        let name = text.split(',').next().unwrap_or(text);
        let named = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !name.bytes().all(named) || name.len() > 63 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return value.wrong("the name and arguments of a virtual device", EXAMPLE);
        }
        let device = Device::Virtual(text.to_owned());
        let driver = name.get(4..).unwrap_or("");
        if ["af_packet", "af_xdp"].iter().any(|d| driver.starts_with(d)) && device.argument("iface").is_none()
        {
            let what = format!("{} does not say which network interface it uses", value.shown());
            return value.fail(what, format!("write device = \"{name},iface=veth0\""));
        }
        Some(device)
    }

    /// Why this and `other` cannot both be opened.
    pub(crate) fn conflict(&self, other: &Device) -> Option<String> {
        match (self, other) {
            (Device::Pci(a), Device::Pci(b)) if a == b => Some(format!("the PCI device {a}")),
            (Device::Virtual(_), Device::Virtual(_)) => {
                let name = self.virtual_name();
                if name == other.virtual_name() {
                    return Some(format!("the device name {name:?}"));
                }
                let iface = self.argument("iface")?;
                (other.argument("iface") == Some(iface)).then(|| format!("the network interface {iface:?}"))
            }
            _ => None,
        }
    }

    fn virtual_name(&self) -> &str {
        self.as_str().split(',').next().unwrap_or("")
    }

    fn argument(&self, key: &str) -> Option<&str> {
        let pairs = self.as_str().split(',').skip(1).filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(k, value)| *k == key && !value.is_empty()).map(|(_, value)| value)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `[domain:]bus:device.function` in its one full form.
fn pci(text: &str) -> Option<String> {
    let hex = |text: &str, digits: usize, max: u32| {
        let fit = (1..=digits).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(text, 16).ok().filter(|n| fit && *n <= max)
    };
    let (rest, function) = text.rsplit_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
    let domain = hex(domain, 8, u32::MAX)?;
    let bus = hex(bus, 2, 0xff)?;
    let device = hex(device, 2, 0x1f)?;
    let function = hex(function, 1, 7)?;
    Some(format!("{domain:04x}:{bus:02x}:{device:02x}.{function}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_have_one_full_form() {
        for text in ["0000:3b:00.1", "3b:00.1", "3B:0.1", "0:3b:00.1", "00000000:3b:00.1"] {
            assert_eq!(pci(text).as_deref(), Some("0000:3b:00.1"), "{text}");
        }
        assert_eq!(pci("10000:01:1f.7").as_deref(), Some("10000:01:1f.7"));
        for text in
            ["", "3b", "3b:00", "3b:20.0", "3b:00.8", "1:2:3:0.0", "100:00.0", "g:00.0", "+b:00.0", ":0.0"]
        {
            assert_eq!(pci(text), None, "{text}");
        }
    }
}
