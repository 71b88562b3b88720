//! Identifiers of secure channels and associations.

use crate::MacAddr;
use core::fmt;
use core::str::FromStr;

/// Secure Channel Identifier: a MAC address and a port identifier (802.1AE clause 9.9).
///
/// Written as 16 hex digits, MAC first. Ordered as the unsigned number the octets spell, which is the order
/// that XPN assigns SSCIs by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sci(u64);

impl Sci {
    /// Port identifier of a station that is not attached to several virtual ports (802.1AE clause 9.9).
    pub const PORT_END_STATION: u16 = 1;
    /// Port identifier of the single copy broadcast channel of an EPON (802.1AE clause 9.9).
    pub const PORT_SINGLE_COPY_BROADCAST: u16 = 0;

    /// Joins a MAC address and a port identifier.
    pub const fn new(mac: MacAddr, port: u16) -> Self {
        let m = mac.0;
        Sci(u64::from_be_bytes([m[0], m[1], m[2], m[3], m[4], m[5], (port >> 8) as u8, port as u8]))
    }

    /// The SCI with these eight octets, in wire order.
    pub const fn from_bytes(octets: [u8; 8]) -> Self {
        Sci(u64::from_be_bytes(octets))
    }

    /// The eight octets in wire order.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The MAC address part.
    pub const fn mac(self) -> MacAddr {
        let b = self.to_bytes();
        MacAddr([b[0], b[1], b[2], b[3], b[4], b[5]])
    }

    /// The port identifier part.
    pub const fn port(self) -> u16 {
        self.0 as u16
    }

    /// The octets as one number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Sci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Sci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sci({self})")
    }
}

/// A text that is not an SCI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseSciError;

impl fmt::Display for ParseSciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an SCI is 16 hex digits, MAC address then port, such as 0200000000010001")
    }
}

impl core::error::Error for ParseSciError {}

impl FromStr for Sci {
    type Err = ParseSciError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s.len() != 16 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ParseSciError);
        }
        u64::from_str_radix(s, 16).map(Sci).map_err(|_| ParseSciError)
    }
}

/// A text that is not a MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseMacError;

impl fmt::Display for ParseMacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MAC address is six hex octets, such as 02:00:00:00:00:01")
    }
}

impl core::error::Error for ParseMacError {}

/// Association Number, 0 to 3: which of a channel's four associations (802.1AE clause 7.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct An(u8);

impl An {
    /// Associations that a channel can hold at once.
    pub const COUNT: usize = 4;
    /// All four, in order.
    pub const ALL: [An; An::COUNT] = [An(0), An(1), An(2), An(3)];

    /// Checks that `value` is 0 to 3.
    ///
    /// # Errors
    /// [`InvalidAn`] with the offending value.
    pub const fn new(value: u8) -> Result<Self, InvalidAn> {
        if value < 4 { Ok(An(value)) } else { Err(InvalidAn(value)) }
    }

    /// The AN in the two low bits of a TCI octet.
    pub const fn from_tci_bits(octet: u8) -> Self {
        An(octet & 3)
    }

    /// 0 to 3.
    pub const fn as_u8(self) -> u8 {
        self.0
    }

    /// 0 to 3, for indexing four associations. Masked so that the compiler knows the bound.
    pub const fn index(self) -> usize {
        (self.0 & 3) as usize
    }

    /// The AN that follows, 3 wrapping to 0.
    pub const fn next(self) -> Self {
        An((self.0 + 1) & 3)
    }
}

impl fmt::Display for An {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u8> for An {
    type Error = InvalidAn;

    fn try_from(value: u8) -> Result<Self, InvalidAn> {
        An::new(value)
    }
}

/// A number that is not an association number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidAn(pub u8);

impl fmt::Display for InvalidAn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not an association number; it is 0, 1, 2 or 3", self.0)
    }
}

impl core::error::Error for InvalidAn {}

/// Short SCI of an XPN cipher suite: 32 bits that stand for the SCI in the nonce (802.1AE clause 10.7.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssci(pub u32);

impl fmt::Display for Ssci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn sci_is_mac_then_port() {
        let sci: Sci = "12153524c0895e81".parse().unwrap();
        assert_eq!(sci.mac(), MacAddr([0x12, 0x15, 0x35, 0x24, 0xc0, 0x89]));
        assert_eq!(sci.port(), 0x5e81);
        assert_eq!(Sci::new(sci.mac(), sci.port()), sci);
    }

    #[test]
    fn sci_refuses_what_is_not_sixteen_digits() {
        for bad in ["", "1", "12153524c0895e8", "12153524c0895e811", "12153524c0895e8g", "+2153524c0895e81"] {
            assert_eq!(bad.parse::<Sci>(), Err(ParseSciError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn sci_text_and_octets_round_trip(n: u64) {
            let sci = Sci::from_bytes(n.to_be_bytes());
            prop_assert_eq!(sci.to_string().parse::<Sci>().unwrap(), sci);
            prop_assert_eq!(sci.as_u64(), n);
        }

        #[test]
        fn an_is_below_four(n: u8) {
            prop_assert_eq!(An::new(n).is_ok(), n < 4);
            prop_assert_eq!(An::from_tci_bits(n).as_u8(), n % 4);
        }
    }
}
