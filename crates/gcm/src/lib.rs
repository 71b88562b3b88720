//! AES-GCM over bursts of frames, in place.
//!
//! The unit of work is a [`Burst`]: up to [`MAX_BURST`] operations, each with a key, nonce, AAD, payload and tag
//! of its own. An [`Engine`] seals or opens a whole burst in one call, so that a back end may interleave the
//! operations and pack them into wide registers. Frames may be scattered over several segments.
//!
//! A [`Backend`] does the work: on x86-64 one that is written for bursts, in registers as wide as the CPU has them
//! (AVX-512, AVX2 with VAES and VPCLMULQDQ, or AES-NI and PCLMULQDQ), on all others RustCrypto's. `MACSEC_GW_GCM` names
//! a lesser one than the best, for tests and comparisons.
//!
//! Nothing here knows frames or nonces: that a nonce is never used twice under one key is what `secy` is for.

mod backend;
// What the back ends alone ask of it.
#[cfg_attr(not(all(target_arch = "x86_64", not(portable_only))), allow(dead_code))]
mod burst;
pub mod limit;
mod portable;
// A build without them, and without their code, shows what other CPUs get: `--cfg portable_only`.
#[cfg(all(target_arch = "x86_64", not(portable_only)))]
mod x86;
#[cfg(not(all(target_arch = "x86_64", not(portable_only))))]
#[path = "no_x86.rs"]
mod x86;

pub use backend::{Backend, BackendError};
pub use burst::{Append, Burst, Full, MAX_BURST, MAX_SEGMENTS, Op, Verdicts};

use backend::{Expanded, Memory};
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
pub struct Key(Expanded);

impl Key {
    /// Expands 16 or 32 octets for the process's [`Backend`].
    ///
    /// # Errors
    /// [`KeyLength`] for any other number.
    pub fn new(octets: &[u8]) -> Result<Self, KeyLength> {
        Self::with_backend(Backend::get(), octets)
    }

    /// Expands 16 or 32 octets for a given back end.
    ///
    /// # Errors
    /// [`KeyLength`] for any other number.
    pub fn with_backend(backend: Backend, octets: &[u8]) -> Result<Self, KeyLength> {
        if matches!(octets.len(), 16 | 32) {
            Ok(Key(backend.expand(octets)?))
        } else {
            Err(KeyLength(octets.len()))
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// Seals and opens bursts. Each worker has its own, for the memory in it.
///
/// The keys decide which back end does the work; a burst may even mix them.
#[derive(Debug)]
pub struct Engine {
    memory: Memory,
}

impl Engine {
    /// An engine that has seen nothing yet.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Engine { memory: Memory::new() }
    }

    /// Encrypts each operation's payload in place and writes its tag.
    pub fn seal(&mut self, burst: &mut Burst<'_>) {
        backend::seal(&mut self.memory, burst);
    }

    /// Checks each operation's tag and, where it is right, decrypts the payload in place.
    ///
    /// Where it is wrong the payload is left without a trace of plaintext.
    pub fn open(&mut self, burst: &mut Burst<'_>) -> Verdicts {
        backend::open(&mut self.memory, burst)
    }
}

/// Asks the CPU to have the beginning of this near soon. No more than a hint.
#[inline(always)]
pub fn prefetch<T: ?Sized>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch of any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Asks the CPU to have all of this to itself soon, to be written: what another core had last takes long to come, and one
/// store waits for the one before. No more than a hint.
#[inline(always)]
pub fn prefetch_to_write<T: ?Sized>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    for at in (0..size_of_val(value)).step_by(CACHE_LINE) {
        x86::prefetch_to_write(start.wrapping_add(at));
    }
}

/// Asks the CPU to move all of this out of the caches that are this core's alone, to where all cores have the same way to it.
/// No more than a hint, which not all CPUs take.
pub fn leave_to_all<T: ?Sized>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    // From the beginning of its first line, or its last one could be left out.
    let before = start.addr() % CACHE_LINE;
    for at in (0..before + size_of_val(value)).step_by(CACHE_LINE) {
        x86::leave_to_all(start.wrapping_sub(before).wrapping_add(at));
    }
}

/// Octets of a cache line.
const CACHE_LINE: usize = 64;
