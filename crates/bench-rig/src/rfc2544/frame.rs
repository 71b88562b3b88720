//! Test frames: Ethernet, a VLAN tag if wanted, IPv4, UDP, and a stamp that tells where and when it was sent.
//!
//! The stamp's 14 octets are what a tagged frame of 64 octets has left: magic (2), trial (1), flow (2, the two highest
//! bits its direction and whether it is a learning frame), sequence number (4), time stamp in ticks (5).

use super::size::FrameSize;
use crate::ethernet::FCS_LEN;
use datapath::FrameTx;
use secy::FrameBuf;
use wire::MacAddr;

/// Flows that there can be.
pub(crate) const MAX_FLOWS: u16 = 1 << 14;
/// Bits of a time stamp: seven minutes of a counter at 2.6 GHz.
const TICK_BITS: u32 = 40;
/// Where the generator's station and the receiver's are, unless somebody says otherwise: addresses of nobody.
pub(crate) const DEFAULT_MACS: [MacAddr; 2] =
    [MacAddr([0x02, 0x52, 0x46, 0x43, 0x00, 0x01]), MacAddr([0x02, 0x52, 0x46, 0x43, 0x00, 0x02])];

const MAGIC: [u8; 2] = *b"MG";
const REVERSE: u16 = 1 << 15;
const LEARNING: u16 = 1 << 14;

const ETHERNET: usize = 14;
const VLAN_TAG: usize = 4;
const IPV4: usize = 20;
const UDP: usize = 8;
/// Octets of the stamp before the sequence number.
const STAMP_HEAD: usize = 5;
const STAMP: usize = STAMP_HEAD + 4 + TICK_BITS as usize / 8;
/// Octets that are copied from a flow's template: the smallest frame.
const HEAD: usize = 60;
const _: () = assert!(ETHERNET + VLAN_TAG + IPV4 + UDP + STAMP == HEAD);

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_C_TAG: [u8; 2] = [0x81, 0x00];
const ETHERTYPE_S_TAG: [u8; 2] = [0x88, 0xa8];
const PROTOCOL_UDP: u8 = 17;
/// Echo, as RFC 2544 has it (appendix C.2.6.4).
const UDP_PORT: [u8; 2] = [0, 7];
/// The first source port; that of a flow is as much higher as its number.
const FIRST_SOURCE_PORT: u16 = 0xc000;

/// What the frames of a run have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Where frames come from; in reverse, where they go to.
    pub(crate) src: MacAddr,
    /// Where frames go to; in reverse, where they come from.
    pub(crate) dst: MacAddr,
    /// 1 to [`MAX_FLOWS`]. Flows differ in both IP addresses and in the UDP source port.
    pub(crate) flows: u16,
    /// VLANs that the flows are dealt to in turn; 0 for frames without a tag.
    pub(crate) vlans: u16,
    /// The first VLAN's identifier.
    pub(crate) vlan_base: u16,
}

impl Default for Shape {
    fn default() -> Self {
        let [src, dst] = DEFAULT_MACS;
        Shape { src, dst, flows: 1, vlans: 0, vlan_base: 100 }
    }
}

/// The frames of one trial in one direction, ready but for sequence number and time.
pub(crate) struct Templates {
    flows: usize,
    /// Of a class all flows, one after another.
    heads: Vec<[u8; HEAD]>,
    /// A frame of each class.
    bodies: Vec<Vec<u8>>,
    stamp_at: usize,
}

impl Templates {
    pub(crate) fn new(shape: &Shape, size: FrameSize, reverse: bool, trial: u8) -> Self {
        let classes = size.classes();
        let stamp_at = if shape.vlans > 0 { HEAD - STAMP } else { HEAD - STAMP - VLAN_TAG };
        let heads = classes.iter().flat_map(|&octets| {
            (0..shape.flows).map(move |flow| head(shape, octets - FCS_LEN, reverse, trial, flow))
        });
        let body = |octets: usize| (0..octets - FCS_LEN).map(|i| i as u8).collect();
        Templates {
            flows: shape.flows.into(),
            heads: heads.collect(),
            bodies: classes.iter().map(|&octets| body(octets)).collect(),
            stamp_at,
        }
    }

    /// A frame of a flow, without its time. `None` when there is no memory for it now.
    #[inline]
    pub(crate) fn make<T: FrameTx>(
        &self,
        tx: &mut T,
        class: usize,
        flow: usize,
        sequence: u32,
        learning: bool,
    ) -> Option<T::Frame> {
        let mut frame = tx.make_frame(&self.bodies[class])?;
        let octets = frame.head_mut().first_chunk_mut::<HEAD>()?;
        *octets = self.heads[class * self.flows + flow];
        let stamp = &mut octets[self.stamp_at..];
        if learning {
            stamp[3] |= (LEARNING >> 8) as u8;
        }
        stamp[STAMP_HEAD..STAMP_HEAD + 4].copy_from_slice(&sequence.to_be_bytes());
        Some(frame)
    }

    /// Says in a frame when it is sent, in ticks.
    #[inline]
    pub(crate) fn stamp(&self, frame: &mut impl FrameBuf, now: u64) {
        let at = self.stamp_at + STAMP_HEAD + 4;
        if let Some(time) = frame.head_mut().get_mut(at..).and_then(|rest| rest.first_chunk_mut::<5>()) {
            let [_, _, _, ticks @ ..] = now.to_be_bytes();
            *time = ticks;
        }
    }
}

/// The first octets of a flow's frames of `len` octets, without FCS.
fn head(shape: &Shape, len: usize, reverse: bool, trial: u8, flow: u16) -> [u8; HEAD] {
    let mut octets = Vec::with_capacity(HEAD);
    let (from, to) = if reverse { (shape.dst, shape.src) } else { (shape.src, shape.dst) };
    octets.extend(to.0);
    octets.extend(from.0);
    if shape.vlans > 0 {
        octets.extend(ETHERTYPE_C_TAG);
        octets.extend((shape.vlan_base + flow % shape.vlans).to_be_bytes());
    }
    octets.extend(ETHERTYPE_IPV4);
    let ip_len = (len - octets.len()) as u16;
    // RFC 2544, appendix C.2.2: 198.18.0.0/15 is for such tests. A host of each half, never its first address.
    let host = |half: u8| {
        let [high, low] = (flow + 1).to_be_bytes();
        [198, half, high, low]
    };
    let (source, target) = if reverse { (19, 18) } else { (18, 19) };
    let mut ip = [0; IPV4];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&ip_len.to_be_bytes());
    ip[6] = 0x40; // not to be fragmented
    ip[8] = 64;
    ip[9] = PROTOCOL_UDP;
    ip[12..16].copy_from_slice(&host(source));
    ip[16..20].copy_from_slice(&host(target));
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    octets.extend(ip);
    octets.extend((FIRST_SOURCE_PORT + flow).to_be_bytes());
    octets.extend(UDP_PORT);
    octets.extend((ip_len - IPV4 as u16).to_be_bytes());
    octets.extend([0, 0]); // no checksum
    octets.extend(MAGIC);
    octets.push(trial);
    octets.extend((flow | if reverse { REVERSE } else { 0 }).to_be_bytes());
    // Sequence number, time, and what an untagged frame has left.
    octets.resize(HEAD, 0);
    octets.try_into().unwrap_or([0; HEAD])
}

/// Of an IPv4 header (RFC 791).
fn checksum(header: &[u8; IPV4]) -> u16 {
    let words = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !(folded as u16 + (folded >> 16) as u16)
}

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) trial: u8,
    pub(crate) reverse: bool,
    pub(crate) learning: bool,
    pub(crate) flow: u16,
    pub(crate) sequence: u32,
    /// When it was sent, in ticks, as far as its bits go.
    ticks: u64,
}

impl Stamp {
    /// Ticks from when it was sent until `now`. Two cores' counters may differ by a little; no frame arrives
    /// before it was sent.
    #[inline]
    pub(crate) fn age(&self, now: u64) -> u64 {
        let age = now.wrapping_sub(self.ticks) & ((1 << TICK_BITS) - 1);
        if age >> (TICK_BITS - 1) == 0 { age } else { 0 }
    }
}

/// What a received frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Ours(Stamp),
    /// A test frame that is shorter than it says.
    Damaged,
    /// Somebody else's.
    Foreign,
}

/// Reads a received frame, however many VLAN tags it has by now.
#[inline]
pub(crate) fn read(frame: &impl FrameBuf) -> Read {
    let octets = frame.head();
    let mut at = ETHERNET;
    while octets.get(at - 2..at).is_some_and(|t| t == ETHERTYPE_C_TAG || t == ETHERTYPE_S_TAG) {
        at += VLAN_TAG;
    }
    let Some(packet) = octets.get(at..).and_then(|rest| rest.first_chunk::<{ IPV4 + UDP + STAMP }>()) else {
        return Read::Foreign;
    };
    let stamp = &packet[IPV4 + UDP..];
    let ours = octets[at - 2..at] == ETHERTYPE_IPV4
        && packet[0] == 0x45
        && packet[9] == PROTOCOL_UDP
        && packet[IPV4 + 2..IPV4 + 4] == UDP_PORT
        && stamp[..2] == MAGIC;
    if !ours {
        return Read::Foreign;
    }
    if at + usize::from(u16::from_be_bytes([packet[2], packet[3]])) > frame.len() {
        return Read::Damaged;
    }
    let flow = u16::from_be_bytes([stamp[3], stamp[4]]);
    Read::Ours(Stamp {
        trial: stamp[2],
        reverse: flow & REVERSE != 0,
        learning: flow & LEARNING != 0,
        flow: flow & (MAX_FLOWS - 1),
        sequence: u32::from_be_bytes([stamp[5], stamp[6], stamp[7], stamp[8]]),
        ticks: u64::from_be_bytes([0, 0, 0, stamp[9], stamp[10], stamp[11], stamp[12], stamp[13]]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use datapath::wire;
    use proptest::prelude::*;
    use secy::MemFrame;

    const SENT: u64 = 0xff_ffff_fff0;

    fn made(shape: &Shape, size: FrameSize, class: usize, flow: u16, reverse: bool) -> MemFrame {
        let templates = Templates::new(shape, size, reverse, 9);
        let mut frame = templates.make(&mut wire(1).0, class, flow.into(), 0xfedc_ba98, false).unwrap();
        templates.stamp(&mut frame, SENT);
        frame
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            octets in 64_usize..9000, vlans in 0_u16..9, flows in 9_u16..=MAX_FLOWS, flow in 0_u16..9, reverse: bool,
        ) {
            let shape = Shape { flows, vlans, ..Shape::default() };
            let frame = made(&shape, FrameSize::Octets(octets), 0, flow, reverse);
            prop_assert_eq!(frame.len(), octets - FCS_LEN);
            let Read::Ours(stamp) = read(&frame) else { panic!("foreign") };
            prop_assert_eq!((stamp.trial, stamp.flow, stamp.reverse, stamp.learning), (9, flow, reverse, false));
            prop_assert_eq!(stamp.sequence, 0xfedc_ba98);
            // Over the end of the stamp's bits.
            prop_assert_eq!(stamp.age(SENT + 0x20), 0x20);
            prop_assert_eq!(stamp.age(SENT - 1), 0);
        }

        #[test]
        fn no_octets_do_harm(octets: Vec<u8>) {
            let _ = read(&MemFrame::new(&octets));
        }
    }

    #[test]
    fn a_tagged_frame_of_64_octets_is_full_to_the_last() {
        let shape = Shape { flows: 4, vlans: 2, vlan_base: 4000, ..Shape::default() };
        let octets = made(&shape, FrameSize::Octets(64), 0, 3, false).to_vec();
        assert_eq!(octets[..6], [0x02, 0x52, 0x46, 0x43, 0x00, 0x02]);
        assert_eq!(octets[6..12], [0x02, 0x52, 0x46, 0x43, 0x00, 0x01]);
        assert_eq!(octets[12..18], [0x81, 0x00, 0x0f, 0xa1, 0x08, 0x00]);
        // Total length 42 of the 60 octets; the header sums up.
        assert_eq!(octets[18..22], [0x45, 0, 0, 42]);
        let sum: u32 = octets[18..38].chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        assert_eq!(octets[30..38], [198, 18, 0, 4, 198, 19, 0, 4]);
        assert_eq!(octets[38..46], [0xc0, 0x03, 0, 7, 0, 22, 0, 0]);
        assert_eq!(octets[46..51], [b'M', b'G', 9, 0, 3]);
        assert_eq!(octets[51..60], [0xfe, 0xdc, 0xba, 0x98, 0xff, 0xff, 0xff, 0xff, 0xf0]);
    }

    #[test]
    fn the_way_back_has_the_addresses_exchanged() {
        let octets = made(&Shape::default(), FrameSize::Octets(64), 0, 0, true).to_vec();
        assert_eq!(octets[..12], [2, 0x52, 0x46, 0x43, 0, 1, 2, 0x52, 0x46, 0x43, 0, 2]);
        assert_eq!(octets[26..34], [198, 19, 0, 1, 198, 18, 0, 1]);
    }

    #[test]
    fn tags_that_were_added_or_taken_away_do_not_matter() {
        let octets = made(&Shape::default(), FrameSize::Octets(64), 0, 0, false).to_vec();
        let tagged = [&octets[..12], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8], &octets[12..]].concat();
        assert_eq!(read(&MemFrame::new(&tagged)), read(&MemFrame::new(&octets)));
        // Padding is no harm, and a cut is.
        let padded = [&octets[..], &[0; 8]].concat();
        assert_eq!(read(&MemFrame::new(&padded)), read(&MemFrame::new(&octets)));
        let long = made(&Shape::default(), FrameSize::Octets(1518), 0, 0, false).to_vec();
        assert_eq!(read(&MemFrame::new(&long[..1513])), Read::Damaged);
    }

    #[test]
    fn others_are_told_apart() {
        let octets = made(&Shape::default(), FrameSize::Octets(64), 0, 0, false).to_vec();
        for at in [12, 14, 23, 36, 42] {
            let mut other = octets.clone();
            other[at] ^= 0xff;
            assert_eq!(read(&MemFrame::new(&other)), Read::Foreign, "{at}");
        }
        assert_eq!(read(&MemFrame::new(&[])), Read::Foreign);
    }

    #[test]
    fn a_mix_has_frames_of_each_class() {
        let templates = Templates::new(&Shape { flows: 2, ..Shape::default() }, FrameSize::Imix, false, 0);
        for (class, octets) in FrameSize::Imix.classes().iter().enumerate() {
            let frame = templates.make(&mut wire(1).0, class, 1, 5, true).unwrap();
            assert_eq!(frame.len(), octets - FCS_LEN);
            let Read::Ours(stamp) = read(&frame) else { panic!("foreign") };
            assert_eq!((stamp.flow, stamp.sequence, stamp.learning), (1, 5, true));
        }
    }
}
