//! Four short frames of one shape and key, side by side.

use super::each;
use super::four::{Ends, Four, accumulate_four, lead_block};
use super::key::ExpandedKey;
use super::pass::Pass;
use super::shape::{Shape, first_counts};
use super::vector::{Vector, octets};
use crate::burst::Op;
use core::arch::x86_64::*;
use core::marker::PhantomData;
use core::ptr;

/// Four short frames of one shape and key, of so many registers each: these are left to be hashed.
///
/// Such frames are mostly beginning and end. Here nothing waits for anything of another frame, and what they have in
/// common is loaded once.
#[derive(Clone, Copy)]
pub(super) struct Quad<V, const SEAL: bool, const REGISTERS: usize> {
    registers: [[V; 4]; REGISTERS],
    sums: [[V; 4]; 3],
    masks: [__m128i; 4],
}

impl<V: Vector, const SEAL: bool, const REGISTERS: usize> Quad<V, SEAL, REGISTERS> {
    #[inline(always)]
    pub(super) unsafe fn none() -> Self {
        // SAFETY: the caller has the instructions.
        unsafe {
            let zero = V::zero();
            Quad { registers: [[zero; 4]; REGISTERS], sums: [[zero; 4]; 3], masks: [_mm_setzero_si128(); 4] }
        }
    }

    /// Whether hashing is left for later: others are under way then, and it does not wait for what these become. On open it
    /// waits for nothing in any case, and with more than one register each there would only be more to keep.
    const LATE: bool = REGISTERS == 1 || SEAL && REGISTERS > 0;

    /// Encrypts or decrypts them, side by side.
    #[inline(always)]
    pub(super) unsafe fn begin<const ROUNDS: usize>(
        shape: &Shape,
        key: &ExpandedKey,
        lengths: [V; 3],
        ops: [*mut Op<'_>; 4],
    ) -> Self {
        // SAFETY: the caller has the instructions; the shape is that of the operations' lengths, and has so many
        // registers.
        unsafe {
            let step = 16 * V::BLOCKS;
            let mut this = Self::none();
            if !Self::LATE {
                this.hash_aad::<ROUNDS>(shape, key, lengths, ops.map(|op| op.cast_const()));
            }
            if REGISTERS == 0 {
                return this;
            }
            let Quad { mut registers, mut sums, mut masks } = this;
            let mut leads = [V::zero(); 4];
            if shape.packed {
                for (lead, op) in leads.iter_mut().zip(ops) {
                    *lead = lead_block(shape, &*op);
                }
            }
            let mask = |register: usize| match register {
                0 => Some(shape.first),
                _ if register == REGISTERS - 1 => Some(shape.last),
                _ => None,
            };
            let mut at = [ptr::null_mut::<u8>(); 4];
            let mut states = [[V::zero(); 4]; REGISTERS];
            for i in 0..4 {
                at[i] = (*ops[i]).payload_at().wrapping_sub(shape.before);
            }
            // One round for all registers of a frame; for one it is nothing saved.
            let shared = REGISTERS > 1;
            let counts = if shared { key.counts_of_frame(shape.packed) } else { first_counts(shape.packed) };
            for (i, op) in ops.into_iter().enumerate() {
                let nonce = V::repeat((*op).padded_nonce().as_ptr());
                let nonce = if shared { Pass::first_round(key, nonce) } else { nonce };
                for (register, states) in states.iter_mut().enumerate() {
                    let counts = V::load(counts.wrapping_add(register * step));
                    let counts = if shared { counts } else { counts.xor(V::load(key.round_key(0))) };
                    states[i] = nonce.xor(counts);
                }
            }
            let rounds = key.rounds_of::<ROUNDS>();
            for round in 1 + usize::from(shared)..rounds {
                let round_key = V::load(key.round_key(round));
                for state in states.as_flattened_mut() {
                    *state = state.round(round_key);
                }
            }
            let round_key = V::load(key.round_key(rounds));
            each!(register < REGISTERS; {
                let first = register == 0;
                each!(i in 0 1 2 3; {
                    let place = at[i].wrapping_add(register * step);
                    let data = match mask(register) {
                        Some(mask) if first => V::load_part(place, mask),
                        Some(mask) => V::load_end(place, mask),
                        None => V::load(place),
                    };
                    let out = states[register][i].last_round(round_key.xor(data));
                    match mask(register) {
                        Some(mask) if first => out.store_part(place, mask),
                        Some(mask) => out.store_end(place, mask),
                        None => out.store(place),
                    }
                    if first && shape.packed {
                        masks[i] = out.low();
                    }
                    let mut hashed = if SEAL { out } else { data };
                    if SEAL && let Some(mask) = mask(register) {
                        hashed = hashed.keep(mask);
                    }
                    if first {
                        hashed = hashed.xor(leads[i]);
                    }
                    registers[register][i] = hashed.reverse();
                });
                if !Self::LATE {
                    let place = shape.powers + register * V::BLOCKS;
                    accumulate_across(&mut sums, key, place, registers[register]);
                }
            }; 0 1);
            Quad { registers, sums, masks }
        }
    }

    /// Hashes what [was left for later](Self::LATE).
    #[inline(always)]
    pub(super) unsafe fn end<const ROUNDS: usize>(
        mut self,
        shape: &Shape,
        key: &ExpandedKey,
        lengths: [V; 3],
        ops: [*const Op<'_>; 4],
    ) -> Ends<V> {
        // SAFETY: as for `begin`.
        unsafe {
            if Self::LATE {
                self.hash_aad::<ROUNDS>(shape, key, lengths, ops);
                for (register, blocks) in self.registers.into_iter().enumerate() {
                    accumulate_across(&mut self.sums, key, shape.powers + register * V::BLOCKS, blocks);
                }
            }
            Ends { sums: self.sums, masks: self.masks }
        }
    }

    /// Hashes their AAD and lengths, and makes E(J0) where that does not lead.
    #[inline(always)]
    unsafe fn hash_aad<const ROUNDS: usize>(
        &mut self,
        shape: &Shape,
        key: &ExpandedKey,
        lengths: [V; 3],
        ops: [*const Op<'_>; 4],
    ) {
        // SAFETY: as for `begin`.
        unsafe {
            let step = 16 * V::BLOCKS;
            let mut sums = [[lengths[0]; 4], [lengths[1]; 4], [lengths[2]; 4]];
            let ops = [&*ops[0], &*ops[1], &*ops[2], &*ops[3]];
            for number in 0..shape.bulk / V::BLOCKS {
                let mut blocks = [V::zero(); 4];
                // Not a whole register, where that is the end.
                let octets = shape.aad_octets - number * step;
                for (blocks, op) in blocks.iter_mut().zip(ops) {
                    let at = op.aad_at().add(number * step);
                    let aad =
                        if octets >= step { V::load(at) } else { V::load_part(at, self::octets(octets)) };
                    *blocks = aad.reverse();
                }
                accumulate_across(&mut sums, key, shape.aad_powers + number * V::BLOCKS, blocks);
            }
            let four =
                Four::<V, true, true> { shapes: [shape; 4], keys: [key; 4], ops, register: PhantomData };
            four.rest_of_aad(&mut sums);
            four.masks::<ROUNDS>(&mut self.masks);
            self.sums = sums;
        }
    }
}

/// Adds a register of each of four frames, times the powers that stand from this place on.
#[inline(always)]
pub(super) unsafe fn accumulate_across<V: Vector>(
    sums: &mut [[V; 4]; 3],
    key: &ExpandedKey,
    place: usize,
    registers: [V; 4],
) {
    // SAFETY: the caller has the instructions and vouches for the place.
    unsafe {
        for (block, blocks) in V::transpose(registers).into_iter().enumerate().take(V::BLOCKS) {
            accumulate_four::<V, true>(sums, [key; 4], [place + block; 4], blocks);
        }
    }
}
