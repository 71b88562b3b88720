//! Frames of one shape and key that have no payload, as where nothing is encrypted: four side by side.

use super::four::{Ends, Four, accumulate_four};
use super::key::ExpandedKey;
use super::shape::{Group, Shape};
use super::vector::{Vector, octets, unforeseen};
use crate::burst::Op;
use core::arch::x86_64::*;
use core::marker::PhantomData;

/// So many frames of one shape and key, a multiple of four, at these places; there is nothing to encrypt. A bit each says
/// which are authentic.
#[inline(always)]
pub(super) unsafe fn bare<V: Vector, const ROUNDS: usize, const SEAL: bool>(
    shape: &Shape,
    key: &ExpandedKey,
    lengths: [V; 3],
    all: *mut Op<'_>,
    places: *const u8,
    count: usize,
) -> u64 {
    // SAFETY: the caller has the instructions, and vouches for the places and for the shape.
    unsafe {
        let mut authentic = 0;
        let mut last = Ends { sums: [[V::zero(); 4]; 3], masks: [_mm_setzero_si128(); 4] };
        for n in (0..count + 4).step_by(4) {
            let mut next = last;
            if n < count {
                let op = |i: usize| &*all.add((*places.add(n + i)).into());
                let (shape, key) = (&*unforeseen(shape), &*unforeseen(key));
                next = ends::<V, ROUNDS>(shape, key, lengths, [op(0), op(1), op(2), op(3)]);
            }
            // When the next are under way, there is nothing to wait for in these.
            if n > 0 {
                authentic |= last.close::<SEAL>(&Group::of(places.add(n - 4), 4), all);
            }
            last = next;
        }
        authentic
    }
}

/// Hashes their AAD and lengths, and makes E(J0).
#[inline(always)]
unsafe fn ends<V: Vector, const ROUNDS: usize>(
    shape: &Shape,
    key: &ExpandedKey,
    lengths: [V; 3],
    ops: [&Op<'_>; 4],
) -> Ends<V> {
    // SAFETY: as for `bare`.
    unsafe {
        let step = 16 * V::BLOCKS;
        let [low, middle, high] = lengths;
        let mut sums = [[low; 4], [middle; 4], [high; 4]];
        for number in 0..shape.bulk / V::BLOCKS {
            let mut blocks = [V::zero(); 4];
            // Not a whole register, where that is the end.
            let octets = shape.aad_octets - number * step;
            for (blocks, op) in blocks.iter_mut().zip(ops) {
                let at = op.aad_at().add(number * step);
                let aad = if octets >= step { V::load(at) } else { V::load_part(at, self::octets(octets)) };
                *blocks = aad.reverse();
            }
            let place = shape.aad_powers + number * V::BLOCKS;
            for (block, blocks) in V::transpose(blocks).into_iter().enumerate().take(V::BLOCKS) {
                accumulate_four::<V, true>(&mut sums, [key; 4], [place + block; 4], blocks);
            }
        }
        let four = Four::<V, true, true> { shapes: [shape; 4], keys: [key; 4], ops, register: PhantomData };
        four.rest_of_aad(&mut sums);
        let mut masks = [_mm_setzero_si128(); 4];
        four.masks::<ROUNDS>(&mut masks);
        Ends { sums, masks }
    }
}
