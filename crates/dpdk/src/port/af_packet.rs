//! What `net_af_packet` does not do by itself: respect the interface's MTU, both ways.
//!
//! The driver reports MTU 1500 whatever the interface has and cuts frames that are longer than its ring's slots,
//! silently. So the slots are sized for the interface here, and the interface is asked what it can carry. What is longer
//! than that nevertheless, such as segments that the kernel has put together, is not received: it may have been cut.

use super::device::Device;
use super::error::PortError;
use super::{PortConfig, interface};
use crate::pool::{HEADROOM, Pool};

/// Slot octets that the kernel keeps in front of a received frame: TPACKET_V2's header and address, padded.
const RX_OVERHEAD: u32 = 66;

/// Ethernet header and two VLAN tags.
const L2_OVERHEAD: u32 = 14 + 2 * 4;

/// Slot octets by which the driver undercuts when it compares slots with buffers.
const DRIVER_OVERHEAD: u32 = 32;

/// Slots the driver makes by default, in octets.
const DEFAULT_SLOT: u32 = 2048;

/// The interface behind the device, if the driver is `net_af_packet`.
pub(crate) fn interface_of(device: &Device) -> Option<&str> {
    device.is_virtual("net_af_packet").then(|| device.arg("iface")).flatten()
}

/// What an interface sends: of longer frames the kernel lets go, and tells the driver that they were sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sends {
    /// Octets of the longest frame.
    longest: u32,
}

impl Sends {
    const HEADER: u32 = 14;
    const VLAN_TAG: usize = 4;
    const CVLAN: [u8; 2] = [0x81, 0x00];

    fn with_mtu(mtu: u32) -> Self {
        Self { longest: mtu.saturating_add(Self::HEADER) }
    }

    /// Whether it sends a frame of so many octets that begins like that: one 802.1Q tag is allowed for, and no other.
    pub(crate) fn takes(self, len: usize, head: &[u8]) -> bool {
        let longest = self.longest as usize;
        len <= longest || len <= longest + Self::VLAN_TAG && head.get(12..14) == Some(&Self::CVLAN)
    }
}

/// Checks the interface's MTU against the one asked for, and asks the driver for slots that fit it. Hands out the octets
/// of the longest frame that is received, which is shorter than a slot, and what is sent; none for other drivers.
pub(crate) fn prepare(
    parsed: &mut Device,
    config: &PortConfig,
    pool: &Pool,
) -> Result<Option<(u32, Sends)>, PortError> {
    let Some(interface) = interface_of(parsed) else { return Ok(None) };
    let device = || config.device.clone();
    let mtu = interface::mtu(interface).map_err(|error| PortError::Setup {
        device: device(),
        step: "reading the interface's MTU",
        reason: error.to_string(),
    })?;
    if let Some(requested) = config.mtu.filter(|requested| u32::from(*requested) > mtu) {
        return Err(PortError::InterfaceMtu {
            device: device(),
            interface: interface.to_owned(),
            requested,
            mtu,
        });
    }
    let sends = Sends::with_mtu(mtu);
    let longest = config.mtu.map_or(mtu, u32::from).saturating_add(L2_OVERHEAD);
    let slot = slot_for(longest);
    let slot = match parsed.arg("framesz").map(str::parse::<u32>) {
        Some(Ok(given)) if given < least_slot(longest) => {
            return Err(PortError::BadDevice {
                device: device(),
                reason: "framesz is too small for the MTU; without it a fitting one is chosen",
            });
        }
        Some(Ok(given)) => given,
        // The driver has the better message.
        Some(Err(_)) => return Ok(Some((longest, sends))),
        None => {
            if slot > DEFAULT_SLOT {
                parsed.push_arg("framesz", slot);
                if parsed.arg("blocksz").is_none() {
                    parsed.push_arg("blocksz", block_for(slot));
                }
            }
            slot
        }
    };
    let needed = slot - DRIVER_OVERHEAD + u32::from(HEADROOM);
    if needed > u32::from(pool.data_room()) {
        return Err(PortError::DataRoomTooSmall { device: device(), needed, data_room: pool.data_room() });
    }
    Ok(Some((longest, sends)))
}

/// Octets of a slot for frames of so many, and one more, by which those are told that were cut.
fn least_slot(longest: u32) -> u32 {
    longest.saturating_add(1 + RX_OVERHEAD)
}

/// A slot size for frames of up to so many octets.
fn slot_for(longest: u32) -> u32 {
    least_slot(longest).next_multiple_of(1024).max(DEFAULT_SLOT)
}

/// A block size, in whole pages, that slots divide evenly: the driver takes them for one array across blocks.
fn block_for(slot: u32) -> u32 {
    // SAFETY: asks for a constant of the system.
    let page = u32::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    slot * (page / 1024).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_fit_the_mtu_and_divide_blocks() {
        let slot = |mtu: u32| slot_for(mtu + L2_OVERHEAD);
        assert_eq!((slot(1500), slot(1959), slot(1960), slot(9000)), (2048, 2048, 3072, 9216));
        assert_eq!(block_for(9216) % 9216, 0);
        assert_eq!(block_for(9216) % 4096, 0);
    }
}
