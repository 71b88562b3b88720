//! Frames of pcapng files.

use super::{CaptureError, Captured, Found, Source, check_link_type, without_fcs};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::packet::PacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::path::Path;
use std::time::Duration;

/// A frame as its block has it.
struct Recorded {
    ticks: u64,
    octets: Vec<u8>,
    /// Octets on the wire.
    original: u32,
    /// The number of its interface in the section.
    interface: usize,
    /// Whether its octets are followed by others up to the end of the block.
    padded: bool,
    /// What is said of this frame alone.
    flags: u32,
}

/// The bits of a frame's flags that say how many octets of FCS it ends with; zero where that is not known.
const FLAGS_FCS: u32 = 0x1e0;

/// The next frame; `None` at the end.
pub(super) fn next(path: &Path, reader: &mut PcapNgReader<Source>) -> Result<Option<Found>, CaptureError> {
    loop {
        let little = reader.section().endianness.is_little();
        let mut frame = match reader.next_block() {
            None => return Ok(None),
            Some(Err(e)) => return Ok(Some(Err(e))),
            Some(Ok(Block::EnhancedPacket(p))) => Recorded {
                // The reader takes the counter for nanoseconds, whatever the interface says it counts.
                ticks: p.timestamp.as_nanos() as u64,
                octets: p.data.into_owned(),
                original: p.original_len,
                interface: p.interface_id as usize,
                padded: false,
                flags: flags(&p.options, |o| match o {
                    EnhancedPacketOption::Flags(flags) => Some(*flags),
                    _ => None,
                }),
            },
            Some(Ok(Block::Packet(p))) => Recorded {
                // The upper half comes first in either byte order, which the reader does not know of these blocks.
                ticks: if little { p.timestamp.rotate_left(32) } else { p.timestamp },
                octets: p.data.into_owned(),
                original: p.original_len,
                interface: p.interface_id.into(),
                padded: false,
                flags: flags(&p.options, |o| match o {
                    PacketOption::Flags(flags) => Some(*flags),
                    _ => None,
                }),
            },
            Some(Ok(Block::SimplePacket(p))) => Recorded {
                ticks: 0,
                octets: p.data.into_owned(),
                original: p.original_len,
                interface: 0,
                padded: true,
                flags: 0,
            },
            Some(Ok(_)) => continue,
        };
        let Some(interface) = reader.interfaces().get(frame.interface) else {
            let what = format!("a frame of interface {}, which the file does not describe", frame.interface);
            return Err(CaptureError::Format { path: path.into(), what });
        };
        check_link_type(path, interface.linktype)?;
        if frame.padded {
            let captured = match interface.snaplen {
                0 => frame.original,
                limit => frame.original.min(limit),
            };
            frame.octets.truncate(captured as usize);
        }
        let resolution = interface.options.iter().find_map(|o| match o {
            InterfaceDescriptionOption::IfTsResol(r) => Some(*r),
            _ => None,
        });
        let fcs = match (frame.flags & FLAGS_FCS) >> 5 {
            0 => fcs_of(interface),
            octets => octets,
        };
        let time = shifted(ticks_to_time(frame.ticks, resolution.unwrap_or(6)), interface);
        let frame = (Captured { time, octets: frame.octets }, frame.original as usize);
        return Ok(Some(Ok(without_fcs(path, frame, fcs)?)));
    }
}

fn flags<O>(options: &[O], flags: fn(&O) -> Option<u32>) -> u32 {
    options.iter().find_map(flags).unwrap_or(0)
}

/// The time of a frame by the seconds that the times of its interface lack.
fn shifted(time: Duration, interface: &InterfaceDescriptionBlock<'_>) -> Duration {
    let offset = interface.options.iter().find_map(|o| match o {
        InterfaceDescriptionOption::IfTsOffset(offset) => Some(*offset as i64),
        _ => None,
    });
    let seconds = time.as_secs().saturating_add_signed(offset.unwrap_or(0));
    Duration::new(seconds, time.subsec_nanos())
}

/// Octets of FCS that the frames of an interface end with.
fn fcs_of(interface: &InterfaceDescriptionBlock<'_>) -> u32 {
    let len = interface.options.iter().find_map(|o| match o {
        InterfaceDescriptionOption::IfFcsLen(len) => Some(*len),
        _ => None,
    });
    match len.unwrap_or(0).into() {
        // In bits, by the text of the format; its example, and what other programs make of it, is in octets.
        32 => 4,
        octets => octets,
    }
}

/// Time of a pcapng counter whose unit is 10^-`resolution` s, or 2^-n s with the high bit set.
fn ticks_to_time(ticks: u64, resolution: u8) -> Duration {
    let exponent = u32::from(resolution & 0x7f);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    let nanos =
        base.checked_pow(exponent).map_or(0, |per_second| u128::from(ticks) * 1_000_000_000 / per_second);
    Duration::from_nanos(nanos.min(u64::MAX.into()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcap::CaptureReader;

    /// A file of `blocks`, each a type and its body, in either byte order.
    struct Blocks {
        little: bool,
        octets: Vec<u8>,
    }

    impl Blocks {
        /// Begins with a section header.
        fn new(little: bool) -> Self {
            Blocks { little, octets: Vec::new() }.section()
        }

        fn section(self) -> Self {
            let body = [self.u32(0x1a2b_3c4d), self.u16(1), self.u16(0), vec![0xff; 8]].concat();
            self.block(0x0a0d_0d0a, &body)
        }

        fn u16(&self, n: u16) -> Vec<u8> {
            if self.little { n.to_le_bytes() } else { n.to_be_bytes() }.to_vec()
        }

        fn u32(&self, n: u32) -> Vec<u8> {
            if self.little { n.to_le_bytes() } else { n.to_be_bytes() }.to_vec()
        }

        fn block(mut self, block: u32, body: &[u8]) -> Self {
            let body = padded(body);
            let len = self.u32(body.len() as u32 + 12);
            let block = [self.u32(block), len.clone(), body, len].concat();
            self.octets.extend(block);
            self
        }

        /// An interface with options, each a number and its octets.
        fn interface(self, link_type: u16, snaplen: u32, options: &[(u16, &[u8])]) -> Self {
            let mut body = [self.u16(link_type), self.u16(0), self.u32(snaplen)].concat();
            body.extend(self.options(options));
            self.block(1, &body)
        }

        fn options(&self, options: &[(u16, &[u8])]) -> Vec<u8> {
            let one = |(number, octets): &(u16, &[u8])| {
                [self.u16(*number), self.u16(octets.len() as u16), padded(octets)].concat()
            };
            let end = if options.is_empty() { vec![] } else { vec![0; 4] };
            [options.iter().flat_map(one).collect(), end].concat()
        }

        fn enhanced(self, interface: u32, ticks: u64, frame: &[u8], options: &[(u16, &[u8])]) -> Self {
            let len = frame.len() as u32;
            let words = [interface, (ticks >> 32) as u32, ticks as u32, len, len];
            let head: Vec<u8> = words.into_iter().flat_map(|n| self.u32(n)).collect();
            let body = [head, padded(frame), self.options(options)].concat();
            self.block(6, &body)
        }

        fn obsolete(self, interface: u16, ticks: u64, frame: &[u8], original: u32) -> Self {
            self.obsolete_with(interface, ticks, frame, original, &[])
        }

        fn obsolete_with(
            self,
            interface: u16,
            ticks: u64,
            frame: &[u8],
            original: u32,
            options: &[(u16, &[u8])],
        ) -> Self {
            let mut body = [self.u16(interface), self.u16(7)].concat();
            let words = [(ticks >> 32) as u32, ticks as u32, frame.len() as u32, original];
            body.extend(words.into_iter().flat_map(|n| self.u32(n)));
            body.extend(padded(frame));
            body.extend(self.options(options));
            self.block(2, &body)
        }

        fn simple(self, original: u32, captured: &[u8]) -> Self {
            let body = [self.u32(original), captured.to_vec()].concat();
            self.block(3, &body)
        }

        /// What is read of it: nanoseconds and octets of each frame, up to the end or an error.
        fn read(&self) -> (Vec<(u128, Vec<u8>)>, Option<String>) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.pcapng");
            std::fs::write(&path, &self.octets).unwrap();
            let mut reader = CaptureReader::open(&path).unwrap();
            let mut frames = Vec::new();
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => frames.push((frame.time.as_nanos(), frame.octets)),
                    Ok(None) => return (frames, None),
                    Err(e) => return (frames, Some(e.to_string())),
                }
            }
        }

        #[track_caller]
        fn assert_refused(&self, says: &[&str]) {
            let (_, error) = self.read();
            let error = error.unwrap();
            assert!(says.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    /// To a multiple of four, with what is no zero so that it is seen.
    fn padded(octets: &[u8]) -> Vec<u8> {
        let mut octets = octets.to_vec();
        octets.resize(octets.len().next_multiple_of(4), 0xee);
        octets
    }

    fn frame(len: u8) -> Vec<u8> {
        (0..len).collect()
    }

    const ETHERNET: u16 = 1;
    const IF_TSRESOL: u16 = 9;
    const IF_FCSLEN: u16 = 13;
    const IF_TSOFFSET: u16 = 14;
    const FLAGS: u16 = 2;

    #[test]
    fn all_kinds_of_packet_blocks_are_read() {
        for little in [true, false] {
            let ticks = 1_700_000_000_123_456_789;
            let blocks = Blocks::new(little)
                .interface(ETHERNET, 0, &[(IF_TSRESOL, &[9])])
                .interface(ETHERNET, 0, &[])
                .enhanced(0, ticks, &frame(61), &[])
                .obsolete(0, ticks + 1, &frame(62), 62)
                .obsolete(1, 5, &frame(60), 60)
                .simple(63, &frame(63));
            let frames = vec![
                (ticks.into(), frame(61)),
                (u128::from(ticks) + 1, frame(62)),
                (5000, frame(60)),
                (0, frame(63)),
            ];
            assert_eq!(blocks.read(), (frames, None), "little endian: {little}");
        }
    }

    #[test]
    fn a_section_of_the_other_byte_order_has_interfaces_of_its_own() {
        let mut blocks = Blocks::new(true).interface(ETHERNET, 0, &[]).enhanced(0, 1, &frame(60), &[]);
        blocks.little = false;
        let blocks = blocks.section().interface(ETHERNET, 0, &[(IF_TSRESOL, &[9])]);
        let blocks = blocks.obsolete(0, 1 << 32, &frame(61), 61);
        assert_eq!(blocks.read(), (vec![(1000, frame(60)), (1 << 32, frame(61))], None));
        blocks.section().simple(60, &frame(60)).assert_refused(&["interface 0, which the file does not"]);
    }

    #[test]
    fn a_simple_block_has_as_many_octets_as_were_captured() {
        for (original, snaplen) in [(60, 0), (61, 61), (62, 100), (63, 65535)] {
            let blocks = Blocks::new(true).interface(ETHERNET, snaplen, &[]);
            let blocks = blocks.simple(original, &frame(original as u8));
            assert_eq!(blocks.read(), (vec![(0, frame(original as u8))], None));
        }
        // What is there to fill the block up is no part of the frame.
        let blocks = Blocks::new(false).interface(ETHERNET, 61, &[]).simple(63, &frame(61));
        blocks.assert_refused(&["a.pcapng: frame 1 was cut to 61 of 63 octets", "tcpdump -s 0"]);
    }

    #[test]
    fn frames_that_were_cut_are_refused() {
        let blocks = Blocks::new(true).interface(ETHERNET, 0, &[]).obsolete(0, 0, &frame(60), 61);
        blocks.assert_refused(&["frame 1 was cut to 60 of 61 octets"]);
    }

    #[test]
    fn the_offset_of_times_is_added() {
        for (little, offset, nanos) in
            [(true, 7i64, 10_500_000_000), (false, -2, 1_500_000_000), (true, -9, 500_000_000)]
        {
            let octets = if little { offset.to_le_bytes() } else { offset.to_be_bytes() };
            let blocks = Blocks::new(little).interface(ETHERNET, 0, &[(IF_TSOFFSET, &octets)]);
            assert_eq!(
                blocks.enhanced(0, 3_500_000, &frame(60), &[]).read(),
                (vec![(nanos, frame(60))], None)
            );
        }
    }

    #[test]
    fn the_fcs_is_cut_off() {
        for little in [true, false] {
            let none = Blocks::new(little);
            let flags = |octets: u32| none.u32(octets << 5 | 0b10);
            let whole = frame(64);
            for len in [4, 32] {
                let blocks = Blocks::new(little)
                    .interface(ETHERNET, 0, &[(IF_FCSLEN, &[len])])
                    .interface(ETHERNET, 0, &[(IF_FCSLEN, &[0])])
                    .enhanced(0, 0, &whole, &[])
                    .enhanced(0, 0, &whole, &[(FLAGS, &flags(0))])
                    .obsolete(0, 0, &whole, 64)
                    .simple(64, &whole)
                    .enhanced(1, 0, &whole, &[(FLAGS, &flags(4))])
                    .obsolete_with(1, 0, &whole, 64, &[(FLAGS, &flags(4))])
                    .enhanced(1, 0, &whole, &[])
                    .enhanced(1, 0, &whole, &[(FLAGS, &flags(0))]);
                let frames = [60, 60, 60, 60, 60, 60, 64, 64].map(|len| (0, frame(len)));
                assert_eq!(blocks.read(), (frames.to_vec(), None), "little endian: {little}");
            }
            let says = ["a.pcapng: frames that end with an FCS of 2 octets", "4 are Ethernet's", "without"];
            let blocks = Blocks::new(little).interface(ETHERNET, 0, &[(IF_FCSLEN, &[2])]);
            blocks.enhanced(0, 0, &whole, &[]).assert_refused(&says);
            let blocks = Blocks::new(little).interface(ETHERNET, 0, &[]);
            blocks.enhanced(0, 0, &whole, &[(FLAGS, &flags(2))]).assert_refused(&says);
            let blocks = Blocks::new(little).interface(ETHERNET, 0, &[(IF_FCSLEN, &[4])]);
            blocks.simple(3, &frame(3)).assert_refused(&["frame", "shorter than its FCS"]);
            let blocks = Blocks::new(little).interface(ETHERNET, 60, &[(IF_FCSLEN, &[4])]);
            blocks.simple(64, &frame(60)).assert_refused(&["frame 1 was cut to 60 of 64 octets"]);
        }
    }

    #[test]
    fn other_links_than_ethernet_are_refused_once_they_have_frames() {
        let blocks = Blocks::new(true).interface(ETHERNET, 0, &[]).interface(105, 0, &[]);
        let blocks = blocks.enhanced(0, 0, &frame(60), &[]);
        assert_eq!(blocks.read(), (vec![(0, frame(60))], None));
        blocks.obsolete(1, 0, &frame(60), 60).assert_refused(&["link type IEEE802_11", "Ethernet is needed"]);
    }

    #[test]
    fn units_of_time() {
        let time = |ticks, resolution| ticks_to_time(ticks, resolution).as_nanos();
        assert_eq!(time(1_500_000, 6), 1_500_000_000);
        assert_eq!(time(1_500_000, 9), 1_500_000);
        assert_eq!(time(3, 0x81), 1_500_000_000);
        assert_eq!(time(u64::MAX, 0), u128::from(u64::MAX));
        assert_eq!(time(1, 0x7f), 0);
    }
}
