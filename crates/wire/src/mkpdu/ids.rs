//! What MKA names members and keys by.

use crate::octets::Hex;
use core::fmt;
use core::ops::Deref;

/// Member Identifier (MI): 96 random bits that name a participant until it starts anew (802.1X clause 9.4.2).
///
/// All zeros, its default, where a frame names nobody.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub [u8; 12]);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberId({self})")
    }
}

/// A number of octets that no CAK name has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidCkn(pub usize);

impl fmt::Display for InvalidCkn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a CKN has 1 to {} octets, not {}", CknRef::MAX_LEN, self.0)
    }
}

impl core::error::Error for InvalidCkn {}

/// Name of a CAK (CKN) within a frame: 1 to 32 octets (802.1X clause 9.3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CknRef<'a>(&'a [u8]);

impl<'a> CknRef<'a> {
    /// Octets of the longest.
    pub const MAX_LEN: usize = 32;

    /// Checks the length.
    ///
    /// # Errors
    /// [`InvalidCkn`] with the length.
    pub const fn new(octets: &'a [u8]) -> Result<Self, InvalidCkn> {
        match octets.len() {
            1..=CknRef::MAX_LEN => Ok(CknRef(octets)),
            other => Err(InvalidCkn(other)),
        }
    }

    /// The octets.
    pub const fn octets(self) -> &'a [u8] {
        self.0
    }
}

impl Deref for CknRef<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl fmt::Display for CknRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(self.0).fmt(f)
    }
}

impl fmt::Debug for CknRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CknRef({self})")
    }
}

/// Name of a CAK, kept.
// Zeros after the name, so that equal names are equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CknBuf {
    len: u8,
    octets: [u8; CknRef::MAX_LEN],
}

impl CknBuf {
    /// Checks the length.
    ///
    /// # Errors
    /// [`InvalidCkn`] with the length.
    pub fn new(octets: &[u8]) -> Result<Self, InvalidCkn> {
        CknRef::new(octets).map(CknBuf::from)
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.len.into()]
    }

    /// The same, as frames have it.
    pub fn as_ckn(&self) -> CknRef<'_> {
        CknRef(self.octets())
    }
}

impl From<CknRef<'_>> for CknBuf {
    fn from(ckn: CknRef<'_>) -> Self {
        let mut octets = [0; CknRef::MAX_LEN];
        octets[..ckn.len()].copy_from_slice(&ckn);
        CknBuf { len: ckn.len() as u8, octets }
    }
}

impl fmt::Display for CknBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ckn().fmt(f)
    }
}

impl fmt::Debug for CknBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CknBuf({self})")
    }
}

/// A number of octets that no wrapped SAK or CAK has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidWrappedKey(pub usize);

impl fmt::Display for InvalidWrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a wrapped key has 24 or 40 octets, not {}", self.0)
    }
}

impl core::error::Error for InvalidWrappedKey {}

/// A SAK or CAK under AES Key Wrap, which adds 8 octets: 24 or 40 (802.1X clause 9.8.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WrappedKey<'a>(&'a [u8]);

impl<'a> WrappedKey<'a> {
    /// Octets that wrapping adds to a key.
    pub const OVERHEAD: usize = 8;

    /// Checks the length.
    ///
    /// # Errors
    /// [`InvalidWrappedKey`] with the length.
    pub const fn new(octets: &'a [u8]) -> Result<Self, InvalidWrappedKey> {
        match octets.len() {
            24 | 40 => Ok(WrappedKey(octets)),
            other => Err(InvalidWrappedKey(other)),
        }
    }

    /// The octets.
    pub const fn octets(self) -> &'a [u8] {
        self.0
    }

    /// Octets of the key within: 16 or 32.
    pub const fn key_len(self) -> usize {
        self.0.len() - WrappedKey::OVERHEAD
    }
}

impl Deref for WrappedKey<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl fmt::Display for WrappedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(self.0).fmt(f)
    }
}

impl fmt::Debug for WrappedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn identifiers_are_shown_in_hex() {
        let mi = MemberId([0xfd, 0x6f, 0x60, 0x59, 0xa5, 0x68, 0xbd, 0xe2, 0x44, 0x37, 0x03, 0x17]);
        assert_eq!(mi.to_string(), "fd6f6059a568bde244370317");
        assert_eq!(CknBuf::new(&[0x0a, 0xb0]).unwrap().to_string(), "0ab0");
    }

    proptest! {
        #[test]
        fn a_ckn_has_1_to_32_octets(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
            let valid = (1..=32).contains(&octets.len());
            prop_assert_eq!(CknRef::new(&octets).is_ok(), valid);
            match CknBuf::new(&octets) {
                Ok(ckn) => prop_assert_eq!(ckn.as_ckn().octets(), &octets[..]),
                Err(e) => prop_assert_eq!(e, InvalidCkn(octets.len())),
            }
        }

        #[test]
        fn a_wrapped_key_has_24_or_40_octets(len in 0usize..64) {
            let octets = [0; 64];
            let wrapped = WrappedKey::new(&octets[..len]);
            prop_assert_eq!(wrapped.is_ok(), len == 24 || len == 40);
            prop_assert!(wrapped.is_ok_and(|w| w.key_len() + 8 == len) || ![24, 40].contains(&len));
        }
    }
}
