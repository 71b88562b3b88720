//! Operations and bursts of them.

use crate::{Key, NONCE_LEN, TAG_LEN};
use arrayvec::ArrayVec;
use std::fmt;
use std::ops::Range;

/// Operations in a burst at most.
pub const MAX_BURST: usize = 64;
/// Segments beyond the first that all AADs and payloads of one burst have at most, 16 an operation.
pub const MAX_SEGMENTS: usize = 16 * MAX_BURST;

/// The burst has no room for the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the burst is full: {MAX_BURST} operations and {MAX_SEGMENTS} segments")]
pub struct Full;

/// One message to seal or open in place.
///
/// The AAD is `aad` followed by the burst's segments `aad_more`, the payload `payload` followed by
/// `payload_more`. Both ranges are empty for a frame in one piece.
pub struct Op<'a> {
    pub(crate) key: &'a Key,
    /// The nonce, then zeroes, where counts go.
    pub(crate) nonce: [u8; 16],
    pub(crate) aad: &'a [u8],
    pub(crate) payload: &'a mut [u8],
    pub(crate) tag: &'a mut [u8; TAG_LEN],
    pub(crate) aad_more: Range<u16>,
    pub(crate) payload_more: Range<u16>,
}

#[inline(always)]
fn padded(nonce: [u8; NONCE_LEN]) -> [u8; 16] {
    let mut padded = [0; 16];
    padded[..NONCE_LEN].copy_from_slice(&nonce);
    padded
}

impl Op<'_> {
    /// The nonce.
    pub(crate) fn nonce(&self) -> [u8; NONCE_LEN] {
        *self.nonce.first_chunk().expect("twelve of sixteen octets")
    }
}

impl fmt::Debug for Op<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Lengths only: on seal the payload is plaintext.
        f.debug_struct("Op")
            .field("aad_octets", &self.aad.len())
            .field("payload_octets", &self.payload.len())
            .field("aad_more", &self.aad_more)
            .field("payload_more", &self.payload_more)
            .finish_non_exhaustive()
    }
}

/// Up to [`MAX_BURST`] operations, which may mix keys and lengths. Lives on the stack; allocates nothing.
#[derive(Debug, Default)]
pub struct Burst<'a> {
    pub(crate) ops: ArrayVec<Op<'a>, MAX_BURST>,
    pub(crate) segments: ArrayVec<&'a mut [u8], MAX_SEGMENTS>,
}

impl<'a> Burst<'a> {
    /// An empty burst.
    #[inline(always)]
    pub fn new() -> Self {
        Burst { ops: ArrayVec::new_const(), segments: ArrayVec::new_const() }
    }

    /// Operations in the burst.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Appends an operation on a message in one piece.
    ///
    /// # Errors
    /// [`Full`].
    #[inline(always)]
    pub fn push(
        &mut self,
        key: &'a Key,
        nonce: [u8; NONCE_LEN],
        aad: &'a [u8],
        payload: &'a mut [u8],
        tag: &'a mut [u8; TAG_LEN],
    ) -> Result<(), Full> {
        let nonce = padded(nonce);
        let op = Op { key, nonce, aad, payload, tag, aad_more: 0..0, payload_more: 0..0 };
        self.ops.try_push(op).map_err(|_| Full)
    }

    /// Appends an operation on a message whose AAD and payload are in several pieces, in order.
    ///
    /// # Errors
    /// [`Full`]; the burst is then as it was.
    pub fn push_scattered(
        &mut self,
        key: &'a Key,
        nonce: [u8; NONCE_LEN],
        aad: impl IntoIterator<Item = &'a mut [u8]>,
        payload: impl IntoIterator<Item = &'a mut [u8]>,
        tag: &'a mut [u8; TAG_LEN],
    ) -> Result<(), Full> {
        let mark = self.segments.len();
        let mut gather = |pieces: &mut dyn Iterator<Item = &'a mut [u8]>| {
            let first = pieces.next().unwrap_or_default();
            let start = self.segments.len();
            for piece in pieces {
                self.segments.try_push(piece).map_err(|_| Full)?;
            }
            // MAX_SEGMENTS fits 16 bits.
            Ok((first, start as u16..self.segments.len() as u16))
        };
        let pushed = gather(&mut aad.into_iter()).and_then(|(aad, aad_more)| {
            let (payload, payload_more) = gather(&mut payload.into_iter())?;
            let nonce = padded(nonce);
            let op = Op { key, nonce, aad, payload, tag, aad_more, payload_more };
            self.ops.try_push(op).map_err(|_| Full)
        });
        if pushed.is_err() {
            self.segments.truncate(mark);
        }
        pushed
    }
}

/// Which operations of an opened burst were authentic, by their place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Verdicts(u64);

impl Verdicts {
    /// Adds the verdicts of operations from `place` on, the first in the lowest bit.
    #[inline(always)]
    pub(crate) fn merge(&mut self, place: usize, bits: u64) {
        debug_assert!(place < MAX_BURST);
        self.0 |= bits << (place & (MAX_BURST - 1));
    }

    /// Whether the operation at `index` was authentic.
    #[inline(always)]
    pub fn is_authentic(&self, index: usize) -> bool {
        index < MAX_BURST && self.0 >> index & 1 == 1
    }
}

const _: () = assert!(MAX_BURST == u64::BITS as usize, "a verdict a bit");
const _: () = assert!(MAX_SEGMENTS <= u16::MAX as usize);
