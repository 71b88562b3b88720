//! `[[port]]`: the devices that frames come from and go to.

use crate::Device;
use crate::fields::Fields;

/// A port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in this file.
    pub name: String,
    /// What it is made of.
    pub device: Device,
    /// Octets of the largest frame's payload; `None` leaves it to the device.
    pub mtu: Option<u16>,
    /// Frames that the receive queue holds.
    pub rx_descriptors: u16,
    /// Frames that the transmit queue holds.
    pub tx_descriptors: u16,
}

/// A port as far as it could be read, so that links can be checked against its name.
pub(crate) struct PortRead {
    pub(crate) name: Option<String>,
    line: Option<usize>,
    device: Option<Device>,
    pub(crate) port: Option<Port>,
}

impl PortRead {
    fn shown(&self) -> String {
        let name = self.name.as_deref().map_or_else(String::new, |name| format!(" \"{name}\""));
        let line = self.line.map_or_else(String::new, |line| format!(" at line {line}"));
        format!("port{name}{line}")
    }
}

/// Reads `[[port]]`.
pub(crate) fn read_all(root: &mut Fields<'_>) -> Vec<PortRead> {
    const REMEDY: &str = "write two of them: one for the plain side, one for the line side";
    let mut ports: Vec<PortRead> = Vec::new();
    for fields in root.tables("port", REMEDY) {
        let port = read(fields, &ports);
        ports.push(port);
    }
    if ports.len() == 1 {
        root.fail("port", "there is only one [[port]]", REMEDY);
    }
    ports
}

fn read(mut fields: Fields<'_>, before: &[PortRead]) -> PortRead {
    let example = "name = \"plain0\"";
    let mut name = fields.required("name", example).and_then(|v| Some(v.identifier(example)?.to_owned()));
    if let Some(text) = &name {
        fields.rename(format!("port \"{text}\": "));
        if let Some(other) = before.iter().find(|p| p.name.as_ref() == Some(text)) {
            let what = format!("{text:?} is already the name of the {}", other.shown());
            fields.fail("name", what, "give each port a name of its own");
            name = None;
        }
    }
    let device = fields
        .required("device", "device = \"0000:3b:00.0\", or device = \"net_af_packet0,iface=veth0\"")
        .and_then(|v| Device::read(&v));
    let mut fit = true;
    for other in before {
        let conflict = device.as_ref().zip(other.device.as_ref()).and_then(|(a, b)| a.conflict(b));
        if let Some(what) = conflict {
            let what = format!("{what} already belongs to the {}", other.shown());
            fields.fail("device", what, "give each port a device of its own");
            fit = false;
        }
    }
    let mtu = fields.optional("mtu", |v| v.whole(68..=9600, "mtu = 1500"));
    let rx = fields.or("rx_descriptors", 1024, |v| v.whole(32..=32768, "rx_descriptors = 1024"));
    let tx = fields.or("tx_descriptors", 1024, |v| v.whole(32..=32768, "tx_descriptors = 1024"));
    let line = fields.line(fields.at());
    fields.finish();
    let port = || {
        Some(Port {
            name: name.clone()?,
            device: device.clone().filter(|_| fit)?,
            mtu: mtu?.map(|n| n as u16),
            rx_descriptors: rx? as u16,
            tx_descriptors: tx? as u16,
        })
    };
    PortRead { port: port(), name, line, device }
}
