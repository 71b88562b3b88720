//! AES-GCM over bursts of frames, in place.
//!
//! The unit of work is a [`Burst`]: up to [`MAX_BURST`] operations, each with a key, nonce, AAD, payload and tag
//! of its own. An [`Engine`] seals or opens a whole burst in one call, so that a back end may interleave the
//! operations and pack them into wide registers. Frames may be scattered over several segments.
//!
//! Nothing here knows frames or nonces: that a nonce is never used twice under one key is what `secy` is for.

mod burst;
mod portable;

pub use burst::{Burst, Full, MAX_BURST, MAX_SEGMENTS, Op, Verdicts};

use std::fmt;

/// Octets of a nonce.
pub const NONCE_LEN: usize = 12;
/// Octets of a tag.
pub const TAG_LEN: usize = 16;

/// A key of a length that AES-GCM here does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an AES-GCM key of {0} octets; it has 16 or 32")]
pub struct KeyLength(pub usize);

/// A key with everything that is computed from it once. Wiped when dropped.
pub struct Key(portable::PortableKey);

impl Key {
    /// Expands 16 or 32 octets.
    ///
    /// # Errors
    /// [`KeyLength`] for any other number.
    pub fn new(octets: &[u8]) -> Result<Self, KeyLength> {
        portable::PortableKey::new(octets).map(Key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// A back end and its scratch memory. Each worker has its own.
#[derive(Debug)]
pub struct Engine {
    scratch: portable::Scratch,
}

impl Engine {
    /// The best back end that this CPU has.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Engine { scratch: portable::Scratch::new() }
    }

    /// Name of the back end.
    pub fn name(&self) -> &'static str {
        "portable"
    }

    /// Encrypts each operation's payload in place and writes its tag.
    pub fn seal(&mut self, burst: &mut Burst<'_>) {
        portable::seal(&mut self.scratch, burst);
    }

    /// Checks each operation's tag and, where it is right, decrypts the payload in place.
    ///
    /// Where it is wrong the payload is left without a trace of plaintext.
    pub fn open(&mut self, burst: &mut Burst<'_>) -> Verdicts {
        portable::open(&mut self.scratch, burst)
    }
}

#[cfg(test)]
mod tests;
