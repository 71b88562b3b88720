//! Four frames of one shape and key, one after the other.

use super::four::{Ends, Four};
use super::ghash::hash_bulk;
use super::key::ExpandedKey;
use super::pass::Pass;
use super::shape::{BIG, Counts, Shape};
use super::vector::{Vector, WIDTH};
use crate::burst::Op;
use core::arch::x86_64::*;
use core::marker::PhantomData;

/// Four frames of one shape and key, of so many registers each, or more where that is [`BIG`], one after the other; `ops`
/// are theirs and one whose payload comes next.
///
/// `lengths` is what the length block adds to each. On seal each frame is hashed while the next one is encrypted: the
/// core cannot look so far ahead as to find that by itself.
#[inline(always)]
pub(super) unsafe fn row<V: Vector, const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
    shape: &Shape,
    key: &ExpandedKey,
    lengths: [V; 3],
    ops: [*mut Op<'_>; 5],
    ends: *mut Ends<V>,
) {
    // SAFETY: the caller has the instructions, and vouches for the pointers; the shape is that of the operations'
    // lengths, and has so many registers.
    unsafe {
        let counts = Counts::at(shape.packed, if shape.packed { 1 } else { 2 });
        let mut masks = [_mm_setzero_si128(); 4];
        let mut unfolded = [[V::zero(); 4]; 3];
        let mut pending = [V::zero(); WIDTH];
        let mut sums = [V::zero(); 3];
        for i in 0..4 {
            let op = ops[i];
            let mut pass = Pass {
                key,
                at: (*op).payload_at().wrapping_sub(shape.before),
                registers: shape.registers,
                first: shape.first,
                last: shape.last,
                nonces: V::repeat((*op).padded_nonce().as_ptr()).xor(V::load(key.round_key(0))),
                counts,
                powers: shape.powers,
                carry: if shape.packed {
                    V::first((*op).aad_at().wrapping_add(shape.lead_at), shape.lead)
                } else {
                    V::zero()
                },
                next: (*ops[i + 1]).payload_at(),
            };
            let p = &mut pending;
            let begin = |sums: &mut [V; 3]| {
                if shape.bulk > 0 {
                    let octets = shape.aad_octets.min(16 * shape.bulk);
                    hash_bulk(key, shape.aad_powers, (*op).aad_at(), octets, sums);
                }
            };
            let lead = if REGISTERS == BIG {
                if SEAL {
                    let lead = pass.follow::<ROUNDS>(i > 0, p, &mut sums, |sums| {
                        if i > 0 {
                            keep(&mut unfolded, i - 1, sums);
                        }
                        begin(sums);
                    });
                    if i == 3 {
                        pass.hash_last(p, &mut sums);
                    }
                    lead
                } else {
                    begin(&mut sums);
                    pass.run::<ROUNDS, SEAL>(&mut sums)
                }
            } else {
                let lead = if SEAL && i > 0 {
                    pass.batch::<ROUNDS, SEAL, REGISTERS, REGISTERS, true, true, true>(0, p, &mut sums)
                } else {
                    pass.batch::<ROUNDS, SEAL, REGISTERS, 0, true, true, true>(0, p, &mut sums)
                };
                if SEAL && i > 0 {
                    keep(&mut unfolded, i - 1, &mut sums);
                }
                begin(&mut sums);
                if SEAL && i == 3 {
                    pass.hash::<REGISTERS>(0, p, &mut sums);
                }
                lead
            };
            masks[i] = lead.low();
            if !SEAL || i == 3 {
                keep(&mut unfolded, i, &mut sums);
            }
        }
        let mut sums = [[V::zero(); 4]; 3];
        for ((sum, unfolded), lengths) in sums.iter_mut().zip(unfolded).zip(lengths) {
            *sum = V::fold(unfolded);
            for sum in sum.iter_mut().take(4 / V::BLOCKS) {
                *sum = sum.xor(lengths);
            }
        }
        let four = Four::<V, true> {
            shapes: [shape; 4],
            keys: [key; 4],
            ops: [&*ops[0], &*ops[1], &*ops[2], &*ops[3]],
            register: PhantomData,
        };
        four.rest_of_aad(&mut sums);
        four.masks::<ROUNDS>(&mut masks);
        Ends::write(ends, Ends { sums, masks });
    }
}

/// Puts sums in their place, and begins new ones.
#[inline(always)]
unsafe fn keep<V: Vector>(unfolded: &mut [[V; 4]; 3], i: usize, sums: &mut [V; 3]) {
    for (all, sum) in unfolded.iter_mut().zip(sums) {
        // SAFETY: the caller has the instructions.
        all[i] = std::mem::replace(sum, unsafe { V::zero() });
    }
}
