//! Frames of one shape and key, one after the other.

use super::four::{Ends, Four, lead_block};
use super::ghash::hash_bulk;
use super::key::ExpandedKey;
use super::pass::Pass;
use super::shape::{BIG, BIG_SHARED, Group, Shape};
use super::vector::{Vector, WIDTH, unforeseen};
use crate::burst::Op;
use core::arch::x86_64::*;
use core::marker::PhantomData;
use core::mem;

/// Frames of one shape and key, of so many registers each, or more where that is [`BIG`] or [`BIG_SHARED`], one after
/// the other: `count` of them, which is a multiple of four, at these places. A bit each says which are authentic.
///
/// `lengths` is what the length block adds to each. On seal each frame is hashed while the next one is encrypted: the
/// core cannot look so far ahead as to find that by itself. At their ends they are four at a time.
#[inline(always)]
pub(super) unsafe fn row<V: Vector, const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
    shape: &Shape,
    key: &ExpandedKey,
    lengths: [V; 3],
    all: *mut Op<'_>,
    places: *const u8,
    count: usize,
) -> u64 {
    // SAFETY: the caller has the instructions, and vouches for the places; the shape is that of the operations' lengths,
    // and has so many registers.
    unsafe {
        let op = |n: usize| all.add((*places.add(n)).into());
        let mut authentic = 0;
        let mut masks = [_mm_setzero_si128(); 4];
        let mut unfolded = [[V::zero(); 4]; 3];
        // Of the frame before. Before the first there is nothing to hash: zeroes.
        let (mut pending, mut before) = ([V::zero(); WIDTH], [V::zero(); 3]);
        for n in 0..count + 1 {
            let (i, key) = (n % 4, &*unforeseen(key));
            let of = |n: usize| Pass {
                key,
                at: (*op(n)).payload_at().wrapping_sub(shape.before),
                registers: shape.registers,
                first: shape.first,
                last: shape.last,
                nonces: V::zero(),
                counts: unforeseen(key.counts_of_frame(shape.packed)),
                powers: shape.powers,
                carry: V::zero(),
                next: (*op((n + 1).min(count - 1))).payload_at(),
            };
            let mut sums = [V::zero(); 3];
            let mut lead = V::zero();
            if n < count {
                let op = &*op(n);
                if shape.bulk > 0 {
                    let octets = shape.aad_octets.min(16 * shape.bulk);
                    hash_bulk(key, shape.aad_powers, op.aad_at(), octets, &mut sums);
                }
                let mut pass = of(n);
                pass.nonces = Pass::first_round(key, V::repeat(op.padded_nonce().as_ptr()));
                if shape.packed {
                    pass.carry = lead_block(shape, op);
                }
                let p = &mut pending;
                lead = match (SEAL, REGISTERS) {
                    (_, BIG) => pass.run::<ROUNDS, SEAL>(n > 0, &mut before, p, &mut sums),
                    (_, BIG_SHARED) => pass.run_shared::<ROUNDS>(n > 0, &mut before, p, &mut sums),
                    (true, _) => {
                        pass.batch::<ROUNDS, true, REGISTERS, REGISTERS, true, true, true>(0, p, &mut before)
                    }
                    (false, _) => {
                        pass.batch::<ROUNDS, false, REGISTERS, 0, true, true, true>(0, p, &mut sums)
                    }
                };
            } else if SEAL {
                let pass = of(n - 1);
                match REGISTERS {
                    BIG => pass.hash_last(&pending, &mut before),
                    BIG_SHARED => pass.hash_last_shared(&pending, &mut before),
                    _ => pass.hash::<REGISTERS>(0, &pending, &mut before),
                }
            }
            if SEAL {
                put(&mut unfolded, (i + 3) % 4, mem::replace(&mut before, sums));
            }
            // When the next are under way, there is nothing to wait for in these.
            if i == 0 && n > 0 {
                let ops = [&*op(n - 4), &*op(n - 3), &*op(n - 2), &*op(n - 1)];
                let ends = ends::<V, ROUNDS>(shape, key, lengths, ops, &unfolded, &masks);
                authentic |= ends.close::<SEAL>(&Group::of(places.add(n - 4), 4), all);
            }
            if n < count {
                masks[i] = lead.low();
            }
            if !SEAL {
                put(&mut unfolded, i, sums);
            }
        }
        authentic
    }
}

/// Puts sums in their place.
#[inline(always)]
fn put<V: Copy>(unfolded: &mut [[V; 4]; 3], i: usize, sums: [V; 3]) {
    for (all, sum) in unfolded.iter_mut().zip(sums) {
        all[i] = sum;
    }
}

/// Adds up, and adds what is left of four.
#[inline(always)]
unsafe fn ends<V: Vector, const ROUNDS: usize>(
    shape: &Shape,
    key: &ExpandedKey,
    lengths: [V; 3],
    ops: [&Op<'_>; 4],
    unfolded: &[[V; 4]; 3],
    masks: &[__m128i; 4],
) -> Ends<V> {
    // SAFETY: the caller has the instructions; the shape is that of the operations' lengths.
    unsafe {
        let (mut sums, mut masks) = ([[V::zero(); 4]; 3], *masks);
        for ((sum, unfolded), lengths) in sums.iter_mut().zip(unfolded).zip(lengths) {
            *sum = V::fold(*unfolded);
            for sum in sum.iter_mut().take(4 / V::BLOCKS) {
                *sum = sum.xor(lengths);
            }
        }
        let four = Four::<V, true, true> { shapes: [shape; 4], keys: [key; 4], ops, register: PhantomData };
        four.rest_of_aad(&mut sums);
        four.masks::<ROUNDS>(&mut masks);
        Ends { sums, masks }
    }
}
