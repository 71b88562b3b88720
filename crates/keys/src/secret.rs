//! The keys themselves.

use sha2::{Digest, Sha256};
use std::fmt;
use wire::CipherSuite;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A text that is not the hex form of what was asked for. Says nothing of the text but its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// Some character is not a hex digit.
    #[error("not hex: only the digits 0-9 and a-f may stand here")]
    NotHex,
    /// Hex, but of the wrong length.
    #[error("{found} octet{} ({} hex digits) where {expected} are needed", if *found == 1 { "" } else { "s" }, found * 2)]
    Length {
        /// Octets found; an odd digit counts as one more.
        found: usize,
        /// What would be right.
        expected: &'static str,
    },
}

/// The operating system gave no random octets.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no random octets from the operating system: {0}")]
pub struct RandomError(String);

fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, HexError> {
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(HexError::NotHex);
    }
    hex::decode(text)
        .map(Zeroizing::new)
        .map_err(|_| HexError::Length { found: text.len().div_ceil(2), expected: "a whole number of octets" })
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, RandomError> {
    let mut octets = Zeroizing::new([0; N]);
    getrandom::fill(octets.as_mut()).map_err(|e| RandomError(e.to_string()))?;
    Ok(octets)
}

/// A key of 16 or 32 octets.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) enum Key {
    Aes128([u8; 16]),
    Aes256([u8; 32]),
}

impl Key {
    pub(crate) fn from_octets(octets: &[u8]) -> Result<Self, HexError> {
        if let Ok(k) = octets.try_into() {
            Ok(Key::Aes128(k))
        } else if let Ok(k) = octets.try_into() {
            Ok(Key::Aes256(k))
        } else {
            Err(HexError::Length { found: octets.len(), expected: "16 or 32" })
        }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        match self {
            Key::Aes128(k) => k,
            Key::Aes256(k) => k,
        }
    }
}

macro_rules! redacted_key {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Clone, ZeroizeOnDrop)]
        pub struct $name(pub(crate) Key);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} bits, redacted)"), self.0.octets().len() * 8)
            }
        }
    };
}

/// A key that comes from outside: a file, an operator, another station.
macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        redacted_key! {
            $(#[$doc])*
            #[derive(PartialEq, Eq)]
            $name
        }

        impl $name {
            /// Takes 16 or 32 octets.
            ///
            /// # Errors
            /// [`HexError::Length`] for any other number.
            pub fn from_octets(octets: &[u8]) -> Result<Self, HexError> {
                Key::from_octets(octets).map($name)
            }

            /// Takes 32 or 64 hex digits.
            ///
            /// # Errors
            /// [`HexError`], which does not repeat the text.
            pub fn from_hex(text: &str) -> Result<Self, HexError> {
                Self::from_octets(&decode(text)?)
            }

            /// The 16 or 32 octets.
            pub fn octets(&self) -> &[u8] {
                self.0.octets()
            }

            /// The hex form, for writing a key file.
            pub fn to_hex(&self) -> Zeroizing<String> {
                Zeroizing::new(hex::encode(self.octets()))
            }

            /// A fresh key of 16 octets, or of 32 when `long`.
            ///
            /// # Errors
            /// [`RandomError`] when the operating system has no randomness to give.
            pub fn generate(long: bool) -> Result<Self, RandomError> {
                Ok($name(if long { Key::Aes256(*random()?) } else { Key::Aes128(*random()?) }))
            }
        }
    };
}

secret_key! {
    /// Secure Association Key: what frames are protected with (802.1AE clause 7.1.3).
    Sak
}

secret_key! {
    /// Connectivity Association Key: what a pair or group of stations shares (802.1X clause 6.2).
    Cak
}

redacted_key! {
    /// ICV Key: what MKPDUs are authenticated with. Made by [`Cak::ick`] alone (802.1X clause 9.3.3).
    Ick
}

redacted_key! {
    /// Key Encrypting Key: what SAKs and CAKs are wrapped with. Made by [`Cak::kek`] alone (802.1X clause 9.3.3).
    Kek
}

impl Sak {
    /// Whether the length is that of `suite`.
    pub fn fits(&self, suite: CipherSuite) -> bool {
        self.octets().len() == suite.sak_len()
    }

    /// Identifies this SAK together with `context`, which names the nonces that are used with it.
    ///
    /// A one-way digest: it may be stored and printed.
    pub fn id(&self, context: &[u8]) -> KeyId {
        let mut hash = Sha256::new();
        hash.update(b"macsec-gw SAK identity 1\0");
        hash.update([self.octets().len() as u8]);
        hash.update(self.octets());
        hash.update(context);
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        KeyId(id)
    }
}

/// Digest of a key and the nonces used with it. Not secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 16]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Salt of an XPN SAK: 12 octets, not secret (802.1AE clause 10.7.13).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 12]);

impl Salt {
    /// Takes 24 hex digits.
    ///
    /// # Errors
    /// [`HexError`].
    pub fn from_hex(text: &str) -> Result<Self, HexError> {
        let octets = decode(text)?;
        let found = octets.len();
        octets.as_slice().try_into().map(Salt).map_err(|_| HexError::Length { found, expected: "12" })
    }

    /// A fresh salt.
    ///
    /// # Errors
    /// [`RandomError`].
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Salt(*random()?))
    }
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salt({self})")
    }
}

/// Connectivity association Key Name, 1 to 32 octets, not secret (802.1X clause 9.3.1).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ckn(pub(crate) Vec<u8>);

impl Ckn {
    /// Takes 2 to 64 hex digits.
    ///
    /// # Errors
    /// [`HexError`].
    pub fn from_hex(text: &str) -> Result<Self, HexError> {
        Self::from_octets(&decode(text)?)
    }

    /// Takes 1 to 32 octets.
    ///
    /// # Errors
    /// [`HexError::Length`] for any other number.
    pub fn from_octets(octets: &[u8]) -> Result<Self, HexError> {
        match octets.len() {
            1..=32 => Ok(Ckn(octets.to_vec())),
            found => Err(HexError::Length { found, expected: "1 to 32" }),
        }
    }

    /// A fresh name of 32 octets.
    ///
    /// # Errors
    /// [`RandomError`].
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Ckn(random::<32>()?.to_vec()))
    }

    /// The 1 to 32 octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Ckn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Ckn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ckn({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn debug_and_errors_say_nothing_of_the_key() {
        let sak = Sak::from_hex("000102030405060708090a0b0c0d0e0f").unwrap();
        assert_eq!(format!("{sak:?}"), "Sak(128 bits, redacted)");
        let cak = Cak::from_octets(&[0xab; 32]).unwrap();
        assert_eq!(format!("{cak:?}"), "Cak(256 bits, redacted)");
        for bad in ["abcdef", "abcdefa", "zz0102030405060708090a0b0c0d0e0f"] {
            let error = Sak::from_hex(bad).unwrap_err();
            assert!(!error.to_string().contains(bad), "{error}");
            assert!(!format!("{error:?}").contains(bad), "{error:?}");
        }
        assert_eq!(
            Sak::from_hex("abcdef").unwrap_err().to_string(),
            "3 octets (6 hex digits) where 16 or 32 are needed"
        );
    }

    #[test]
    fn key_id_depends_on_key_and_context() {
        let a = Sak::from_octets(&[1; 16]).unwrap();
        let b = Sak::from_octets(&[2; 16]).unwrap();
        assert_eq!(a.id(b"x"), a.id(b"x"));
        assert_ne!(a.id(b"x"), a.id(b"y"));
        assert_ne!(a.id(b"x"), b.id(b"x"));
    }

    #[test]
    fn generated_keys_differ() {
        assert_ne!(Sak::generate(true).unwrap().octets(), Sak::generate(true).unwrap().octets());
        assert!(Sak::generate(false).unwrap().fits(CipherSuite::GcmAesXpn128));
        assert_ne!(Ckn::generate().unwrap(), Ckn::generate().unwrap());
    }

    proptest! {
        #[test]
        fn only_16_and_32_octets_are_keys(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            let key = Sak::from_hex(&hex::encode(&octets));
            prop_assert_eq!(key.is_ok(), octets.len() == 16 || octets.len() == 32);
            if let Ok(key) = key {
                prop_assert_eq!(key.octets(), &octets[..]);
                let text = key.to_hex();
                prop_assert_eq!(text.as_str(), hex::encode(&octets));
            }
        }

        #[test]
        fn names_have_1_to_32_octets(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(Ckn::from_hex(&hex::encode(&octets)).is_ok(), (1..=32).contains(&octets.len()));
        }
    }
}
