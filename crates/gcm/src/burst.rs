//! Operations and bursts of them.

use crate::{Key, NONCE_LEN, TAG_LEN};
use arrayvec::ArrayVec;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{self, NonNull};

/// Operations in a burst at most.
pub const MAX_BURST: usize = 64;
/// Segments beyond the first that all AADs and payloads of one burst have at most, 16 an operation.
pub const MAX_SEGMENTS: usize = 16 * MAX_BURST;

/// Octets of AAD, and of payload, at most: no frame comes near.
const MAX_OCTETS: usize = (1 << 31) - 1;

/// The burst has no room for the operation, or its AAD or payload has 2 GiB or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the burst is full: {MAX_BURST} operations and {MAX_SEGMENTS} segments, less than 2 GiB each of AAD and payload"
)]
pub struct Full;

/// One message to seal or open in place, in one cache line.
///
/// The AAD is what `aad` points to followed by the burst's segments `aad_more`, the payload what `payload` points to
/// followed by `payload_more`. Both ranges are empty for a frame in one piece.
#[repr(C, align(64))]
pub struct Op<'a> {
    pub(crate) key: &'a Key,
    lengths: Lengths,
    aad: NonNull<u8>,
    payload: NonNull<u8>,
    pub(crate) tag: &'a mut [u8; TAG_LEN],
    pub(crate) aad_more: Range<u16>,
    pub(crate) payload_more: Range<u16>,
    nonce: Nonce,
    pieces: PhantomData<(&'a [u8], &'a mut [u8])>,
}

const _: () = assert!(size_of::<Op<'_>>() == 64 || cfg!(not(target_pointer_width = "64")));

/// Octets of AAD and payload, in the first pieces of both, in one number, so that they are compared at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lengths(u64);

impl Lengths {
    /// Of no message, since each is longer than [`MAX_OCTETS`].
    pub(crate) const NONE: Lengths = Lengths(u64::MAX);

    #[inline(always)]
    fn new(aad: usize, payload: usize) -> Option<Self> {
        // Both at once: the most is all ones.
        if aad | payload <= MAX_OCTETS { Some(Lengths((aad as u64) << 32 | payload as u64)) } else { None }
    }

    #[inline(always)]
    pub(crate) fn aad(self) -> usize {
        (self.0 >> 32) as usize
    }

    #[inline(always)]
    pub(crate) fn payload(self) -> usize {
        self.0 as u32 as usize
    }

    /// A number of so many bits that looks random.
    #[inline(always)]
    pub(crate) fn hash(self, bits: u32) -> usize {
        // 2^64 over the golden ratio.
        (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
    }
}

/// A nonce, then zeroes, where counts go. On x86-64 it is written at once: what is written in pieces and read whole
/// soon after has to wait until it is in the cache.
#[derive(Clone, Copy)]
struct Nonce(
    #[cfg(target_arch = "x86_64")] core::arch::x86_64::__m128i,
    #[cfg(not(target_arch = "x86_64"))] [u64; 2],
);

impl Nonce {
    #[inline(always)]
    fn new(nonce: [u8; NONCE_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = nonce;
        let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let high = u64::from(u32::from_le_bytes(rest));
        #[cfg(target_arch = "x86_64")]
        {
            // SAFETY: SSE2 is part of x86-64.
            Nonce(unsafe { core::arch::x86_64::_mm_set_epi64x(high as i64, low as i64) })
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            Nonce([low.to_le(), high.to_le()])
        }
    }
}

impl<'a> Op<'a> {
    /// A message in one piece, or the first pieces of one; none where one is longer than [`MAX_OCTETS`].
    #[inline(always)]
    pub(crate) fn new(
        key: &'a Key,
        nonce: [u8; NONCE_LEN],
        aad: &'a [u8],
        payload: &'a mut [u8],
        tag: &'a mut [u8; TAG_LEN],
    ) -> Option<Self> {
        Some(Op {
            key,
            lengths: Lengths::new(aad.len(), payload.len())?,
            aad: NonNull::from(aad).cast(),
            payload: NonNull::from(payload).cast(),
            tag,
            aad_more: 0..0,
            payload_more: 0..0,
            nonce: Nonce::new(nonce),
            pieces: PhantomData,
        })
    }

    #[inline(always)]
    pub(crate) fn lengths(&self) -> Lengths {
        self.lengths
    }

    /// The first piece of the AAD.
    #[inline(always)]
    pub(crate) fn aad(&self) -> &'a [u8] {
        // SAFETY: made of a slice of this length that is borrowed for as long.
        unsafe { std::slice::from_raw_parts(self.aad.as_ptr(), self.lengths.aad()) }
    }

    /// The first piece of the payload.
    #[inline(always)]
    pub(crate) fn payload(&self) -> &[u8] {
        // SAFETY: made of a slice of this length that is borrowed for longer.
        unsafe { std::slice::from_raw_parts(self.payload.as_ptr(), self.lengths.payload()) }
    }

    /// The first piece of the payload.
    #[inline(always)]
    pub(crate) fn payload_mut(&mut self) -> &mut [u8] {
        // SAFETY: made of a slice of this length that is borrowed mutably for longer, by this operation alone.
        unsafe { std::slice::from_raw_parts_mut(self.payload.as_ptr(), self.lengths.payload()) }
    }

    /// Where the AAD begins.
    #[inline(always)]
    pub(crate) fn aad_at(&self) -> *const u8 {
        self.aad.as_ptr()
    }

    /// Where the payload begins. Whoever writes there has the operation to itself.
    #[inline(always)]
    pub(crate) fn payload_at(&self) -> *mut u8 {
        self.payload.as_ptr()
    }

    /// The nonce, then zeroes.
    #[inline(always)]
    pub(crate) fn padded_nonce(&self) -> &[u8; 16] {
        // SAFETY: it is sixteen octets without padding.
        unsafe { &*ptr::from_ref(&self.nonce.0).cast() }
    }

    /// The nonce.
    pub(crate) fn nonce(&self) -> [u8; NONCE_LEN] {
        let [nonce @ .., _, _, _, _] = *self.padded_nonce();
        nonce
    }

    /// Whether the message is in several pieces.
    #[inline(always)]
    pub(crate) fn is_scattered(&self) -> bool {
        !(self.aad_more.is_empty() && self.payload_more.is_empty())
    }
}

impl fmt::Debug for Op<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Lengths only: on seal the payload is plaintext.
        f.debug_struct("Op")
            .field("aad_octets", &self.lengths.aad())
            .field("payload_octets", &self.lengths.payload())
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
        self.append().push(key, nonce, aad, payload, tag)
    }

    /// Appends operations one by one, faster than [`push`](Self::push), which counts them in memory.
    #[inline(always)]
    pub fn append(&mut self) -> Append<'_, 'a> {
        Append { len: self.ops.len(), ops: &mut self.ops }
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
            let all = self.segments[start..].iter().map(|s| s.len()).fold(first.len(), usize::saturating_add);
            if all > MAX_OCTETS {
                return Err(Full);
            }
            Ok((first, start as u16..self.segments.len() as u16))
        };
        let pushed = gather(&mut aad.into_iter()).and_then(|(aad, aad_more)| {
            let (payload, payload_more) = gather(&mut payload.into_iter())?;
            let op = Op::new(key, nonce, aad, payload, tag).ok_or(Full)?;
            self.ops.try_push(Op { aad_more, payload_more, ..op }).map_err(|_| Full)
        });
        if pushed.is_err() {
            self.segments.truncate(mark);
        }
        pushed
    }
}

/// Appends operations to a burst, which has them when this is dropped, and not before: never where it is forgotten.
#[derive(Debug)]
#[must_use]
pub struct Append<'b, 'a> {
    /// Of `ops`, those that are written: while nobody else has a look at it, it stays in a register.
    len: usize,
    ops: &'b mut ArrayVec<Op<'a>, MAX_BURST>,
}

impl<'a> Append<'_, 'a> {
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
        let op = Op::new(key, nonce, aad, payload, tag).ok_or(Full)?;
        if self.len >= MAX_BURST {
            return Err(Full);
        }
        // SAFETY: below the capacity.
        unsafe { self.ops.as_mut_ptr().add(self.len).write(op) };
        self.len += 1;
        Ok(())
    }
}

impl Drop for Append<'_, '_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: so many were there or are written, and none was taken away meanwhile.
        unsafe { self.ops.set_len(self.len) };
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

    /// Whether all of these operations were authentic.
    #[inline(always)]
    pub fn are_authentic(&self, operations: Range<usize>) -> bool {
        let Range { start, end } = operations;
        let wanted = match end.checked_sub(start) {
            None | Some(0) => return true,
            Some(count) if end <= MAX_BURST => u64::MAX >> (MAX_BURST - count) << start,
            Some(_) => return false,
        };
        self.0 & wanted == wanted
    }

    /// Whether the operation at `index` was authentic.
    #[inline(always)]
    pub fn is_authentic(&self, index: usize) -> bool {
        index < MAX_BURST && self.0 >> index & 1 == 1
    }
}

const _: () = assert!(MAX_BURST == u64::BITS as usize, "a verdict a bit");
const _: () = assert!(MAX_SEGMENTS <= u16::MAX as usize);
