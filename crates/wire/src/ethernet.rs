//! Ethernet header and the VLAN tags that may stand between the addresses and what follows.

use crate::{ParseMacError, Sci};
use core::fmt;
use core::str::FromStr;

/// Octets of one VLAN tag: ethertype and tag control.
pub const VLAN_TAG_LEN: usize = 4;
/// VLAN tags that [`L2Header::parse`] can step over.
pub const MAX_VLAN_TAGS: usize = 2;

/// Six octets of a MAC address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Whether the group bit is set.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacAddr({self})")
    }
}

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut mac = [0; 6];
        let mut parts = s.split(':');
        for octet in &mut mac {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *octet = u8::from_str_radix(part.ok_or(ParseMacError)?, 16).map_err(|_| ParseMacError)?;
        }
        if parts.next().is_some() { Err(ParseMacError) } else { Ok(MacAddr(mac)) }
    }
}

/// An ethertype, open: any value may be on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// MACsec.
    pub const MACSEC: EtherType = EtherType(0x88e5);
    /// EAPOL, which carries MKA.
    pub const EAPOL: EtherType = EtherType(0x888e);
    /// Customer VLAN tag.
    pub const CVLAN: EtherType = EtherType(0x8100);
    /// Service VLAN tag.
    pub const SVLAN: EtherType = EtherType(0x88a8);

    /// Whether this announces a VLAN tag.
    pub const fn is_vlan(self) -> bool {
        matches!(self, EtherType::CVLAN | EtherType::SVLAN)
    }
}

mod field {
    use core::ops::Range;

    pub(super) const DST: Range<usize> = 0..6;
    pub(super) const SRC: Range<usize> = 6..12;
    pub(super) const ETHERTYPE: Range<usize> = 12..14;
}

/// View of a frame that holds at least an Ethernet header.
#[derive(Debug)]
pub struct Ethernet<T>(T);

impl<T: AsRef<[u8]>> Ethernet<T> {
    /// Octets of the two addresses.
    pub const ADDRESSES_LEN: usize = 12;
    /// Octets of addresses and ethertype.
    pub const HEADER_LEN: usize = 14;

    /// Checks that the header is there. `None` for a shorter frame.
    pub fn new_checked(frame: T) -> Option<Self> {
        (frame.as_ref().len() >= Self::HEADER_LEN).then_some(Ethernet(frame))
    }

    fn octets<const N: usize>(&self, at: core::ops::Range<usize>) -> [u8; N] {
        self.0.as_ref().get(at).and_then(|s| s.try_into().ok()).unwrap_or([0; N])
    }

    /// Destination address.
    pub fn dst(&self) -> MacAddr {
        MacAddr(self.octets(field::DST))
    }

    /// Source address.
    pub fn src(&self) -> MacAddr {
        MacAddr(self.octets(field::SRC))
    }

    /// What follows the addresses: a tag or the payload's protocol.
    pub fn ethertype(&self) -> EtherType {
        EtherType(u16::from_be_bytes(self.octets(field::ETHERTYPE)))
    }

    /// SCI of an end station that left it out of the SecTAG: its address and `port` (802.1AE clause 9.9).
    pub fn implicit_sci(&self, port: u16) -> Sci {
        Sci::new(self.src(), port)
    }
}

/// Where addresses and stepped-over VLAN tags end, and what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L2Header {
    /// Octets before `ethertype`: 12, 16 or 20.
    pub len: usize,
    /// The ethertype at offset `len`.
    pub ethertype: EtherType,
}

impl L2Header {
    /// Steps over at most `max_tags` VLAN tags, 0 to [`MAX_VLAN_TAGS`].
    ///
    /// `None` when the octets end before an ethertype that is to be read. A VLAN tag beyond `max_tags` is
    /// left as the payload it then is.
    #[inline(always)]
    pub fn parse(frame: &[u8], max_tags: usize) -> Option<Self> {
        let mut len = Ethernet::<&[u8]>::ADDRESSES_LEN;
        let mut tags = max_tags.min(MAX_VLAN_TAGS);
        loop {
            let ethertype = EtherType(u16::from_be_bytes(frame.get(len..len + 2)?.try_into().ok()?));
            if tags == 0 || !ethertype.is_vlan() {
                return Some(L2Header { len, ethertype });
            }
            tags -= 1;
            len += VLAN_TAG_LEN;
        }
    }

    /// Octets of the VLAN tags that were stepped over: 0, 4 or 8.
    pub const fn vlan_len(&self) -> usize {
        self.len - Ethernet::<&[u8]>::ADDRESSES_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;
    use std::vec::Vec;

    fn frame(types: &[u16]) -> Vec<u8> {
        let mut f = hex::decode("d609b1f056637a0d46df998d").unwrap();
        for (i, t) in types.iter().enumerate() {
            f.extend_from_slice(&t.to_be_bytes());
            if i + 1 < types.len() {
                f.extend_from_slice(&[0x20, 0x07]);
            }
        }
        f
    }

    #[test]
    fn addresses_and_ethertype() {
        let e = Ethernet::new_checked(frame(&[0x88e5])).unwrap();
        assert_eq!(e.dst().to_string(), "d6:09:b1:f0:56:63");
        assert_eq!(e.src().to_string(), "7a:0d:46:df:99:8d");
        assert_eq!(e.ethertype(), EtherType::MACSEC);
        assert_eq!(e.implicit_sci(1).to_string(), "7a0d46df998d0001");
        assert!(Ethernet::new_checked([0u8; 13]).is_none());
    }

    #[test]
    fn vlan_tags_are_stepped_over_up_to_the_limit() {
        let two = frame(&[0x88a8, 0x8100, 0x88e5]);
        let at = |n| L2Header::parse(&two, n).map(|h| (h.len, h.ethertype.0));
        assert_eq!(at(0), Some((12, 0x88a8)));
        assert_eq!(at(1), Some((16, 0x8100)));
        assert_eq!(at(2), Some((20, 0x88e5)));
        assert_eq!(at(9), Some((20, 0x88e5)));
        assert_eq!(L2Header::parse(&two[..20], 2), None);
        assert_eq!(L2Header::parse(&frame(&[0x88e5]), 2).unwrap().vlan_len(), 0);
    }

    proptest! {
        #[test]
        fn parsing_never_reads_past_the_end(octets in proptest::collection::vec(any::<u8>(), 0..64), tags in 0usize..4) {
            if let Some(h) = L2Header::parse(&octets, tags) {
                prop_assert!(h.len + 2 <= octets.len());
                prop_assert!(h.vlan_len() <= tags * VLAN_TAG_LEN);
            }
        }

        #[test]
        fn mac_text_round_trips(octets: [u8; 6]) {
            prop_assert_eq!(MacAddr(octets).to_string().parse(), Ok(MacAddr(octets)));
        }
    }
}
