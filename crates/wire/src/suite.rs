//! Cipher suites and confidentiality offsets.

use core::fmt;
use core::str::FromStr;

/// A GCM-AES cipher suite (802.1AE clause 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum CipherSuite {
    /// GCM-AES-128: 32-bit packet numbers. The default suite of the standard.
    #[default]
    GcmAes128,
    /// GCM-AES-256: 32-bit packet numbers.
    GcmAes256,
    /// GCM-AES-XPN-128: 64-bit packet numbers, salted nonces.
    GcmAesXpn128,
    /// GCM-AES-XPN-256: 64-bit packet numbers, salted nonces.
    GcmAesXpn256,
}

impl CipherSuite {
    /// All four, weakest first.
    pub const ALL: [CipherSuite; 4] = [
        CipherSuite::GcmAes128,
        CipherSuite::GcmAes256,
        CipherSuite::GcmAesXpn128,
        CipherSuite::GcmAesXpn256,
    ];

    /// The 64-bit identifier of 802.1AE Table 14-1.
    pub const fn id(self) -> u64 {
        0x0080_c200_0100_0001 + self as u64
    }

    /// The suite with this identifier. The older identifier of GCM-AES-128 that deployed peers send counts too.
    pub const fn from_id(id: u64) -> Option<Self> {
        Some(match id {
            0x0080_c200_0100_0001 | 0x0080_0200_0100_0001 => CipherSuite::GcmAes128,
            0x0080_c200_0100_0002 => CipherSuite::GcmAes256,
            0x0080_c200_0100_0003 => CipherSuite::GcmAesXpn128,
            0x0080_c200_0100_0004 => CipherSuite::GcmAesXpn256,
            _ => return None,
        })
    }

    /// Octets of a SAK: 16 or 32.
    pub const fn sak_len(self) -> usize {
        match self {
            CipherSuite::GcmAes128 | CipherSuite::GcmAesXpn128 => 16,
            CipherSuite::GcmAes256 | CipherSuite::GcmAesXpn256 => 32,
        }
    }

    /// Whether packet numbers have 64 bits and nonces are salted.
    pub const fn is_xpn(self) -> bool {
        matches!(self, CipherSuite::GcmAesXpn128 | CipherSuite::GcmAesXpn256)
    }

    /// The name as configurations write it.
    pub const fn name(self) -> &'static str {
        match self {
            CipherSuite::GcmAes128 => "gcm-aes-128",
            CipherSuite::GcmAes256 => "gcm-aes-256",
            CipherSuite::GcmAesXpn128 => "gcm-aes-xpn-128",
            CipherSuite::GcmAesXpn256 => "gcm-aes-xpn-256",
        }
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSuite;

impl fmt::Display for UnknownSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cipher suite is gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128 or gcm-aes-xpn-256")
    }
}

impl core::error::Error for UnknownSuite {}

impl FromStr for CipherSuite {
    type Err = UnknownSuite;

    /// The standard's spelling in any case: `GCM-AES-XPN-256`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        CipherSuite::ALL.into_iter().find(|c| c.name().eq_ignore_ascii_case(s)).ok_or(UnknownSuite)
    }
}

/// Octets of user data that stay in the clear in an encrypted frame (802.1AE clause 10.7.25).
///
/// Only the suites with 32-bit packet numbers know offsets other than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ConfidentialityOffset {
    /// Everything is encrypted.
    #[default]
    None,
    /// The first 30 octets are in the clear: enough for IPv4 addresses.
    Octets30,
    /// The first 50 octets are in the clear: enough for IPv6 addresses.
    Octets50,
}

impl ConfidentialityOffset {
    /// 0, 30 or 50.
    pub const fn octets(self) -> usize {
        match self {
            ConfidentialityOffset::None => 0,
            ConfidentialityOffset::Octets30 => 30,
            ConfidentialityOffset::Octets50 => 50,
        }
    }
}

/// A number of octets that is no confidentiality offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownOffset(pub u64);

impl fmt::Display for UnknownOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not a confidentiality offset; it is 0, 30 or 50 octets", self.0)
    }
}

impl core::error::Error for UnknownOffset {}

impl TryFrom<u64> for ConfidentialityOffset {
    type Error = UnknownOffset;

    fn try_from(octets: u64) -> Result<Self, UnknownOffset> {
        match octets {
            0 => Ok(ConfidentialityOffset::None),
            30 => Ok(ConfidentialityOffset::Octets30),
            50 => Ok(ConfidentialityOffset::Octets50),
            other => Err(UnknownOffset(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_lead_back_to_the_suite() {
        for suite in CipherSuite::ALL {
            assert_eq!(suite.name().parse(), Ok(suite));
            assert_eq!(CipherSuite::from_id(suite.id()), Some(suite));
        }
        assert_eq!("GCM-AES-XPN-256".parse(), Ok(CipherSuite::GcmAesXpn256));
        assert_eq!(CipherSuite::GcmAesXpn256.id(), 0x0080_c200_0100_0004);
        assert_eq!(CipherSuite::from_id(0x0080_0200_0100_0001), Some(CipherSuite::GcmAes128));
        assert_eq!("aes".parse::<CipherSuite>(), Err(UnknownSuite));
    }
}
