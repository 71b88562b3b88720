//! Keys wrapped for the way to other members (AES Key Wrap, RFC 3394; 802.1X clause 9.8).

use crate::secret::{Cak, Kek, Key, Sak};
use aes_kw::{KeyInit, KwAes128, KwAes256};
use std::fmt;
use zeroize::Zeroizing;

/// Octets that wrapping adds.
const ADDED: usize = 8;

/// A wrapped key: 24 or 40 octets, not secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WrappedKey {
    octets: [u8; 32 + ADDED],
    len: usize,
}

impl AsRef<[u8]> for WrappedKey {
    fn as_ref(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({})", hex::encode(self))
    }
}

/// What came from a peer is not a key wrapped with this KEK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// No key of MACsec has this length when wrapped.
    #[error("{found} octets where a wrapped key has 24 or 40")]
    Length {
        /// Octets found.
        found: usize,
    },
    /// Changed on the way, or wrapped with another KEK.
    #[error("the wrapped key is damaged, or was wrapped with another KEK")]
    Integrity,
}

impl Kek {
    /// Wraps a SAK.
    pub fn wrap_sak(&self, sak: &Sak) -> WrappedKey {
        self.wrap(&sak.0)
    }

    /// Unwraps a SAK.
    ///
    /// # Errors
    /// [`UnwrapError`].
    pub fn unwrap_sak(&self, wrapped: &[u8]) -> Result<Sak, UnwrapError> {
        self.unwrap(wrapped).map(Sak)
    }

    /// Wraps a CAK.
    pub fn wrap_cak(&self, cak: &Cak) -> WrappedKey {
        self.wrap(&cak.0)
    }

    /// Unwraps a CAK.
    ///
    /// # Errors
    /// [`UnwrapError`].
    pub fn unwrap_cak(&self, wrapped: &[u8]) -> Result<Cak, UnwrapError> {
        self.unwrap(wrapped).map(Cak)
    }

    fn wrap(&self, key: &Key) -> WrappedKey {
        let mut octets = [0; 32 + ADDED];
        let len = key.octets().len() + ADDED;
        self.wrap_octets(key.octets(), &mut octets[..len]).expect("room for a whole number of blocks");
        WrappedKey { octets, len }
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Key, UnwrapError> {
        let length = UnwrapError::Length { found: wrapped.len() };
        let len = wrapped.len().checked_sub(ADDED).ok_or(length)?;
        let mut octets = Zeroizing::new([0; 32]);
        let octets = octets.get_mut(..len).ok_or(length)?;
        // Key wrap would take other lengths too.
        Key::from_octets(octets).map_err(|_| length)?;
        self.unwrap_octets(wrapped, octets).map_err(|_| UnwrapError::Integrity)?;
        Key::from_octets(octets).map_err(|_| length)
    }

    /// Wraps any whole number of 8 octets.
    pub(crate) fn wrap_octets(&self, key: &[u8], out: &mut [u8]) -> Result<(), aes_kw::Error> {
        match &self.0 {
            Key::Aes128(kek) => KwAes128::new(kek.into()).wrap_key(key, out),
            Key::Aes256(kek) => KwAes256::new(kek.into()).wrap_key(key, out),
        }
        .map(drop)
    }

    /// Unwraps into 8 octets less than were wrapped; they are zeros after an error.
    pub(crate) fn unwrap_octets(&self, wrapped: &[u8], out: &mut [u8]) -> Result<(), aes_kw::Error> {
        match &self.0 {
            Key::Aes128(kek) => KwAes128::new(kek.into()).unwrap_key(wrapped, out),
            Key::Aes256(kek) => KwAes256::new(kek.into()).unwrap_key(wrapped, out),
        }
        .map(drop)
    }
}
