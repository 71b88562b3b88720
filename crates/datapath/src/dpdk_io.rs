//! DPDK queues as ports of the frame path.

use crate::{FrameRx, FrameTx, RECEIVED_AT_ONCE};
use dpdk::{Mbuf, Pool, RxQueue, TxQueue};
use secy::{Burst, FrameBuf};
use wire::{EtherType, VLAN_TAG_LEN};

/// An mbuf as the SecY sees it.
#[derive(Debug)]
#[repr(transparent)]
pub struct DpdkFrame(Mbuf);

impl From<Mbuf> for DpdkFrame {
    #[inline(always)]
    fn from(mbuf: Mbuf) -> Self {
        DpdkFrame(mbuf)
    }
}

impl From<DpdkFrame> for Mbuf {
    #[inline(always)]
    fn from(frame: DpdkFrame) -> Self {
        frame.0
    }
}

/// A [`DpdkFrame`] in one piece and where its octets are.
#[derive(Debug)]
pub struct LocatedDpdkFrame(dpdk::Located);

impl AsRef<[u8]> for LocatedDpdkFrame {
    #[inline(always)]
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl AsMut<[u8]> for LocatedDpdkFrame {
    #[inline(always)]
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.as_mut()
    }
}

impl From<LocatedDpdkFrame> for DpdkFrame {
    #[inline(always)]
    fn from(located: LocatedDpdkFrame) -> Self {
        DpdkFrame(located.0.into())
    }
}

impl FrameBuf for DpdkFrame {
    type Located = LocatedDpdkFrame;

    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn head(&self) -> &[u8] {
        self.0.data()
    }

    #[inline(always)]
    fn head_mut(&mut self) -> &mut [u8] {
        self.0.data_mut()
    }

    fn segments_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.0.segments_mut()
    }

    #[inline(always)]
    fn is_contiguous(&self) -> bool {
        self.0.is_contiguous()
    }

    #[inline(always)]
    fn prepend(&mut self, octets: usize) -> bool {
        self.0.prepend(octets)
    }

    #[inline(always)]
    fn append(&mut self, octets: usize) -> bool {
        self.0.append(octets)
    }

    #[inline(always)]
    fn has_room(&self, front: usize, back: usize) -> bool {
        self.0.has_room(front, back)
    }

    #[inline(always)]
    fn grow(&mut self, front: usize, back: usize) -> &mut [u8] {
        self.0.grow(front, back)
    }

    #[inline(always)]
    fn narrow(&mut self, front: usize, len: usize) -> &mut [u8] {
        self.0.narrow(front, len)
    }

    #[inline(always)]
    fn trim_front(&mut self, octets: usize) -> bool {
        self.0.trim_front(octets)
    }

    #[inline(always)]
    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    #[inline(always)]
    fn expect(&self) {
        self.0.expect();
    }

    #[inline(always)]
    fn locate(self) -> Result<LocatedDpdkFrame, Self> {
        self.0.locate().map(LocatedDpdkFrame).map_err(DpdkFrame)
    }
}

/// A DPDK receive queue.
pub struct DpdkRx {
    queue: RxQueue,
    limit: usize,
    /// Frames are written by the core that receives them, if at all.
    copies: bool,
}

impl DpdkRx {
    /// Takes the queue over.
    pub fn new(queue: RxQueue) -> Self {
        let copies = is_virtual(queue.device());
        DpdkRx { queue, limit: RECEIVED_AT_ONCE, copies }
    }
}

/// Whether a device is no hardware, which has a bus address.
fn is_virtual(device: &str) -> bool {
    device.starts_with("net_")
}

/// Puts an outer VLAN tag back that the port handed over beside the frame, as AF_PACKET does.
#[inline(always)]
fn restore_vlan(frame: &mut DpdkFrame) {
    if let Some(tci) = frame.0.take_stripped_vlan() {
        insert_vlan(frame, tci);
    }
}

#[cold]
fn insert_vlan(frame: &mut DpdkFrame, tci: u16) {
    const ADDRESSES: usize = 12;
    if frame.0.data().len() < ADDRESSES || !frame.0.prepend(VLAN_TAG_LEN) {
        // Without its tag it would be in another VLAN. Emptied, it is refused and counted.
        frame.0.truncate(0);
        return;
    }
    let head = frame.0.data_mut();
    head.copy_within(VLAN_TAG_LEN..VLAN_TAG_LEN + ADDRESSES, 0);
    // The kind of tag is not handed over; C-tags are what hosts and switches send.
    head[ADDRESSES..ADDRESSES + 2].copy_from_slice(&EtherType::CVLAN.0.to_be_bytes());
    head[ADDRESSES + 2..ADDRESSES + 4].copy_from_slice(&tci.to_be_bytes());
}

impl FrameRx for DpdkRx {
    type Frame = DpdkFrame;

    #[inline(always)]
    fn rx_burst(&mut self, frames: &mut Burst<DpdkFrame>) {
        let before = frames.len();
        self.queue.rx_burst_up_to(self.limit, frames);
        frames[before..].iter_mut().for_each(restore_vlan);
    }

    #[inline(always)]
    fn limit(&mut self, frames: usize) {
        // What a NIC wrote is in no cache of this core's before it is worked on: a short burst would be but dearer.
        if self.copies {
            self.limit = frames;
        }
    }
}

/// Octets of the shortest frame on a wire, without FCS.
const SHORTEST: usize = 60;

/// Appends zeroes to a frame that is shorter than any on a wire, as bridges do: of the shortest that come out of MACsec some
/// NICs take none, and with them none of what follows.
#[cold]
fn pad(frame: &mut impl FrameBuf) {
    let missing = SHORTEST.saturating_sub(frame.len());
    if frame.append(missing)
        && let Some(last) = frame.segments_mut().last()
    {
        let end = last.len();
        last[end.saturating_sub(missing)..].fill(0);
    }
}

/// A DPDK transmit queue.
pub struct DpdkTx {
    queue: TxQueue,
    pool: Pool,
    /// It is hardware's, which may take no frames that are too short for a wire.
    pads: bool,
}

impl DpdkTx {
    /// Takes the queue over. Frames that are made here come from `pool`.
    pub fn new(queue: TxQueue, pool: Pool) -> Self {
        let pads = !is_virtual(queue.device());
        DpdkTx { queue, pool, pads }
    }
}

impl FrameTx for DpdkTx {
    type Frame = DpdkFrame;

    #[inline(always)]
    fn tx_burst(&mut self, frames: &mut Burst<DpdkFrame>) {
        if self.pads {
            frames.iter_mut().filter(|frame| frame.len() < SHORTEST).for_each(pad);
        }
        self.queue.tx_burst(frames);
    }

    fn make_frame(&mut self, octets: &[u8]) -> Option<DpdkFrame> {
        let mut mbuf = self.pool.alloc()?;
        mbuf.extend_from_slice(octets).then(|| mbuf.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_frames_are_padded() {
        use secy::MemFrame;
        for (pieces, len) in [(vec![&[7u8; 14][..]], 14), (vec![&[7; 59]], 59), (vec![&[7; 40], &[7; 4]], 44)]
        {
            let mut frame = MemFrame::scattered(pieces);
            pad(&mut frame);
            let octets = frame.to_vec();
            assert!(octets.len() == SHORTEST && octets[..len].iter().all(|octet| *octet == 7), "{len}");
            assert!(octets[len..].iter().all(|octet| *octet == 0), "{len}");
        }
    }

    #[test]
    fn hardware_has_a_bus_address() {
        assert!(is_virtual("net_af_packet0,iface=veth0") && is_virtual("net_pcap1,rx_pcap=a"));
        assert!(!is_virtual("0000:3b:00.1") && !is_virtual("0000:3b:00.1,representor=0"));
    }
}
