//! Frames of more blocks than there are powers.

use super::expanded;
use super::ghash::{close, hash_bulk, products, reduce_all};
use super::key::{ExpandedKey, POWERS};
use super::pass::Pass;
use super::vector::{Vector, octets};
use crate::burst::Op;
use core::arch::x86_64::*;

/// A frame of more blocks than there are powers: piece by piece, each reduced and carried into the next.
pub(super) struct Long {
    /// The hash so far, from the AAD on.
    pub(super) hash: __m128i,
    /// Octets of payload that are done.
    pub(super) done: usize,
}

impl Long {
    /// Hashes the AAD.
    #[inline(always)]
    pub(super) unsafe fn begin<V: Vector>(&mut self, key: &ExpandedKey, aad: &[u8]) {
        // SAFETY: the caller has the instructions; a piece has no more blocks than there are powers.
        unsafe {
            for piece in aad.chunks(16 * POWERS) {
                let blocks = piece.len().div_ceil(16);
                let mut sums = [V::zero(); 3];
                hash_bulk(key, POWERS - blocks, piece.as_ptr(), piece.len(), &mut sums);
                self.add(key, blocks, sums);
            }
        }
    }

    /// Makes `pass` one over the next piece, and says how many blocks that has; none at the end.
    #[inline(always)]
    pub(super) unsafe fn next<V: Vector>(&mut self, op: &mut Op<'_>, pass: &mut Pass<'_, V>) -> usize {
        // SAFETY: the caller has the instructions.
        unsafe {
            // Counts may wrap in 32 bits, as the standard has it, for payloads that no frame has.
            let count = (self.done / 16 + 2) as u32;
            let nonce = *op.padded_nonce();
            let rest = &mut op.payload_mut()[self.done..];
            // As many as have counts that differ in the last octet alone.
            let now = rest.len().min(16 * (256 - count as usize % 256).min(POWERS));
            let blocks = now.div_ceil(16);
            self.done += now;
            pass.at = rest.as_mut_ptr();
            pass.registers = blocks.div_ceil(V::BLOCKS);
            pass.last = octets(now - 16 * V::BLOCKS * pass.registers.saturating_sub(1));
            pass.first = if pass.registers == 1 { pass.last } else { u64::MAX };
            let nonces = [counter_block(&nonce, count & !0xff); 4];
            pass.nonces = Pass::first_round(pass.key, V::join(&nonces[..V::BLOCKS]));
            pass.counts = pass.key.counts_at(false, count as usize % 256);
            pass.powers = POWERS - blocks;
            pass.carry = V::zero();
            blocks
        }
    }

    /// Adds a piece of so many blocks.
    #[inline(always)]
    pub(super) unsafe fn add<V: Vector>(&mut self, key: &ExpandedKey, blocks: usize, sums: [V; 3]) {
        // SAFETY: the caller has the instructions; there are no more blocks than powers.
        unsafe {
            let (h, k) = key.powers_at(POWERS - blocks);
            let before = reduce_all(products(self.hash, Vector::load(h), Vector::load(k)));
            self.hash = _mm_xor_si128(before, close(sums));
        }
    }

    /// What is left to reduce, and E(J0).
    #[inline(always)]
    pub(super) unsafe fn end<V: Vector, const ROUNDS: usize>(&self, op: &Op<'_>) -> ([V; 3], __m128i) {
        // SAFETY: the caller has the instructions.
        unsafe {
            let key = expanded(op);
            let lengths =
                _mm_set_epi64x((op.lengths().aad() as i64) << 3, (op.lengths().payload() as i64) << 3);
            let (h, k) = key.powers_at(POWERS - 1);
            let last = products(_mm_xor_si128(self.hash, lengths), Vector::load(h), Vector::load(k));
            let mut sums = [V::zero(); 3];
            for (sum, last) in sums.iter_mut().zip(last) {
                let mut blocks = [_mm_setzero_si128(); 4];
                blocks[0] = last;
                *sum = V::join(&blocks[..V::BLOCKS]);
            }
            let mut j0: __m128i = counter_block(op.padded_nonce(), 1).xor(Vector::load(key.round_key(0)));
            let rounds = key.rounds_of::<ROUNDS>();
            for round in 1..rounds {
                j0 = j0.round(Vector::load(key.round_key(round)));
            }
            (sums, j0.last_round(Vector::load(key.round_key(rounds))))
        }
    }
}

/// The nonce with a count.
#[inline(always)]
pub(super) unsafe fn counter_block(nonce: &[u8; 16], count: u32) -> __m128i {
    // SAFETY: the caller has SSE4.1; the nonce has sixteen octets.
    unsafe { _mm_insert_epi32::<3>(_mm_loadu_si128(nonce.as_ptr().cast()), count.swap_bytes() as i32) }
}
