//! A burst, frame by frame, each in wide registers, and four at a time at their ends.
//!
//! - AES wants eight registers in flight, and GHASH runs on other ports of the core: where a frame has more than eight
//!   registers, the eight before (on open: the same ones) are hashed while the next are encrypted. What is shorter
//!   overlaps by itself: frames do not depend on each other.
//! - The counter blocks of a frame are packed from J0 on where the last register has a block to spare: the mask of
//!   the tag costs nothing then, and the last block of AAD is hashed in the place that J0 leaves.
//! - GHASH multiplies each block by its own power of H, so that a frame is one sum without a reduction inside.
//! - What is left of a frame, a few blocks of AAD, the length block, the reduction and at times J0, is done for four
//!   frames together, a block of each in one register.
//! - Frames of more blocks than there are powers are hashed in pieces, each carried into the next.
//! - What follows from lengths alone is a [`Shape`], which frames of one length share.
//!
//! All unsafe functions ask of their caller that the CPU has the instructions of `V`. They are inlined into the entry
//! points of the back ends. Closures that a library function calls are not inlined for certain, and without that lack
//! the instructions: there are none with vectors in them.

use super::key::{ExpandedKey, POLY, POWERS};
use super::shape::{BIG, Counts, Group, Shape, Shapes};
use super::vector::{Vector, WIDTH, octets};
use crate::Key;
use crate::backend::{expanded, like};
use crate::burst::Op;
use core::arch::asm;
use core::arch::x86_64::*;
use core::marker::PhantomData;
use core::mem::{self, MaybeUninit};
use core::{ptr, slice};

/// Blocks times powers, which are given with the sums of their halves: low, middle, high.
#[inline(always)]
unsafe fn products<V: Vector>(blocks: V, h: V, k: V) -> [V; 3] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let halves = blocks.xor(blocks.swap());
        [blocks.multiply::<0x00>(h), halves.multiply::<0x00>(k), blocks.multiply::<0x11>(h)]
    }
}

/// Adds blocks times powers.
#[inline(always)]
unsafe fn accumulate<V: Vector>(sums: &mut [V; 3], blocks: V, h: V, k: V) {
    // SAFETY: the caller has the instructions.
    unsafe {
        for (sum, product) in sums.iter_mut().zip(products(blocks, h, k)) {
            *sum = sum.xor(product);
        }
    }
}

/// Adds two products, all three at once where the CPU can.
#[inline(always)]
unsafe fn accumulate_pair<V: Vector>(sums: &mut [V; 3], a: [V; 3], b: [V; 3]) {
    // SAFETY: the caller has the instructions.
    unsafe {
        for (sum, (a, b)) in sums.iter_mut().zip(a.into_iter().zip(b)) {
            *sum = sum.xor(a.xor(b));
        }
    }
}

/// What products stand for, times x^-128, for each block.
#[inline(always)]
unsafe fn reduce_all<V: Vector>([low, middle, high]: [V; 3]) -> V {
    const POLYS: [u64; 2] = [POLY, 0];
    // SAFETY: the caller has the instructions; the constant has sixteen octets.
    unsafe {
        let poly = V::repeat(POLYS.as_ptr().cast());
        let times_x_to_minus_64 = |v: V| v.swap().xor(v.multiply::<0x00>(poly));
        let middle = middle.xor(low).xor(high);
        let low = low.xor(middle.raise());
        let high = high.xor(middle.lower());
        times_x_to_minus_64(times_x_to_minus_64(low)).xor(high)
    }
}

/// Consecutive registers of payload.
struct Pass<'k, V> {
    key: &'k ExpandedKey,
    /// Where the first register begins: before the payload, where J0 leads.
    at: *mut u8,
    registers: usize,
    first: u64,
    last: u64,
    /// The nonce in every block, already with the first round key; and the counts that belong there.
    nonces: V,
    counts: *const u8,
    /// Where the power of its first block stands.
    powers: usize,
    /// Hashed with the first register.
    carry: V,
}

impl<V: Vector> Pass<'_, V> {
    /// Works on registers `z..z + W`; of these the first may be the payload's first, and the last its last. On open
    /// they are hashed too. On seal `PREVIOUS` registers are hashed, those before, which are `pending`; then these are.
    #[inline(always)]
    unsafe fn batch<
        const ROUNDS: usize,
        const SEAL: bool,
        const W: usize,
        const PREVIOUS: usize,
        const FIRST: bool,
        const LAST: bool,
    >(
        &mut self,
        z: usize,
        pending: &mut [V; WIDTH],
        sums: &mut [V; 3],
    ) -> V {
        // SAFETY: the caller has the instructions; the masks, and the number of registers, keep loads and stores
        // within the payload that `at` was made from.
        unsafe {
            let (key, step) = (self.key, 16 * V::BLOCKS);
            let at = self.at.wrapping_add(z * step);
            let (first, last) = (self.first, self.last);
            let mask = |w: usize| match (FIRST && w == 0, LAST && w == W - 1) {
                (true, _) => Some(first),
                (false, true) => Some(last),
                (false, false) => None,
            };
            let load = |w: usize| match mask(w) {
                Some(mask) => V::load_part(at.wrapping_add(w * step), mask),
                None => V::load(at.wrapping_add(w * step)),
            };
            let round_key = |round: usize| V::load(key.round_key(round));
            let mut state = [V::zero(); WIDTH];
            for (w, state) in state.iter_mut().enumerate().take(W) {
                *state = self.nonces.xor(V::load(self.counts.wrapping_add((z + w) * step)));
            }
            if !SEAL {
                for (w, pending) in pending.iter_mut().enumerate().take(W) {
                    *pending = load(w);
                }
            }
            let from = if SEAL { (z * V::BLOCKS).wrapping_sub(PREVIOUS * V::BLOCKS) } else { z * V::BLOCKS };
            let (h, k) = key.powers_at(self.powers.wrapping_add(from));
            let hashed = if SEAL { PREVIOUS } else { W };
            // Unrolled by hand: left to itself the compiler keeps the loop, or gathers all of one kind.
            macro_rules! rounds {
                ($($round:literal)*) => {$(
                    if $round < ROUNDS {
                        let k = round_key($round);
                        for state in &mut state[..W] {
                            *state = state.round(k);
                        }
                        hashes!($round: 0 1 2 3 4 5 6 7);
                        if W == WIDTH {
                            V::fence(&mut state, sums);
                        }
                    }
                )*};
            }
            let block = |pending: &[V; WIDTH], i: usize| {
                let blocks = if !SEAL && FIRST && i == 0 { pending[0].xor(self.carry) } else { pending[i] };
                blocks.reverse()
            };
            let power = |at: *const u8, i: usize| V::load(at.wrapping_add(i * step));
            macro_rules! hashes {
                ($round:literal: $($i:literal)*) => {$(
                    // Two at a time, so that three are added up at once; the last may be alone.
                    if $i < hashed && $i * (ROUNDS - 1) / WIDTH + 1 == $round {
                        if $i % 2 == 1 {
                            let a = products(block(pending, $i - 1), power(h, $i - 1), power(k, $i - 1));
                            let b = products(block(pending, $i), power(h, $i), power(k, $i));
                            accumulate_pair(sums, a, b);
                        } else if $i + 1 == hashed {
                            accumulate(sums, block(pending, $i), power(h, $i), power(k, $i));
                        }
                    }
                )*};
            }
            rounds!(1 2 3 4 5 6 7 8 9 10 11 12 13);
            let last_key = round_key(ROUNDS);
            let mut lead = V::zero();
            for w in 0..W {
                let data = if SEAL { load(w) } else { pending[w] };
                let mut out = state[w].last_round(last_key.xor(data));
                match mask(w) {
                    Some(mask) => out.store_part(at.wrapping_add(w * step), mask),
                    None => out.store(at.wrapping_add(w * step)),
                }
                if w == 0 {
                    lead = out;
                }
                if SEAL {
                    if let Some(mask) = mask(w) {
                        out = out.keep(mask);
                    }
                    if FIRST && w == 0 {
                        out = out.xor(self.carry);
                    }
                    pending[w] = out;
                }
            }
            if SEAL && LAST {
                let (h, k) = key.powers_at(self.powers + z * V::BLOCKS);
                for w in 0..W {
                    let power = |at: *const u8, w: usize| V::load(at.wrapping_add(w * step));
                    if w % 2 == 1 {
                        let a = products(pending[w - 1].reverse(), power(h, w - 1), power(k, w - 1));
                        let b = products(pending[w].reverse(), power(h, w), power(k, w));
                        accumulate_pair(sums, a, b);
                    } else if w + 1 == W {
                        accumulate(sums, pending[w].reverse(), power(h, w), power(k, w));
                    }
                }
            }
            lead
        }
    }

    /// All registers of a frame that has more than [`WIDTH`], or of a piece of one. Hands out what became of the first,
    /// whose first block is E(J0) where that leads.
    #[inline(always)]
    unsafe fn run<const ROUNDS: usize, const SEAL: bool>(&mut self, sums: &mut [V; 3]) -> V {
        // SAFETY: as for `batch`.
        unsafe {
            let mut pending = [V::zero(); WIDTH];
            let p = &mut pending;
            if self.registers <= WIDTH {
                // The end of a long frame, one at a time: there are few.
                for z in 0..self.registers {
                    self.first = if z + 1 == self.registers { self.last } else { u64::MAX };
                    self.batch::<ROUNDS, SEAL, 1, 0, true, true>(z, p, sums);
                    self.carry = V::zero();
                }
                return V::zero();
            }
            let lead = self.batch::<ROUNDS, SEAL, 8, 0, true, false>(0, p, sums);
            let mut z = 8;
            while z + 8 < self.registers {
                self.batch::<ROUNDS, SEAL, 8, 8, false, false>(z, p, sums);
                z += 8;
            }
            match self.registers - z {
                1 => self.batch::<ROUNDS, SEAL, 1, 8, false, true>(z, p, sums),
                2 => self.batch::<ROUNDS, SEAL, 2, 8, false, true>(z, p, sums),
                3 => self.batch::<ROUNDS, SEAL, 3, 8, false, true>(z, p, sums),
                4 => self.batch::<ROUNDS, SEAL, 4, 8, false, true>(z, p, sums),
                5 => self.batch::<ROUNDS, SEAL, 5, 8, false, true>(z, p, sums),
                6 => self.batch::<ROUNDS, SEAL, 6, 8, false, true>(z, p, sums),
                7 => self.batch::<ROUNDS, SEAL, 7, 8, false, true>(z, p, sums),
                _ => self.batch::<ROUNDS, SEAL, 8, 8, false, true>(z, p, sums),
            };
            lead
        }
    }
}

const _: () = assert!(WIDTH == 8, "batches are unrolled for eight");

/// One frame of so many registers, or of more where that is [`BIG`]: its sums over all blocks of the registers, still to
/// be added up, without what [`finish`] adds; and E(J0), where that leads. Of a long frame the sums are all there is to
/// reduce, in the first block.
#[inline(always)]
unsafe fn frame<V: Vector, const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
    shape: &Shape,
    key: &ExpandedKey,
    op: &mut Op<'_>,
) -> ([V; 3], __m128i) {
    // SAFETY: the caller has the instructions; the shape is that of the operation's lengths.
    unsafe {
        let mut sums = [V::zero(); 3];
        if shape.bulk > 0 {
            let octets = shape.aad_octets.min(16 * shape.bulk);
            hash_bulk(key, shape.aad_powers, op.aad_at(), octets, &mut sums);
        }
        if REGISTERS == 0 {
            return (sums, _mm_setzero_si128());
        }
        let mut pass = Pass {
            key,
            at: op.payload_at().wrapping_sub(shape.before),
            registers: shape.registers,
            first: shape.first,
            last: shape.last,
            nonces: V::repeat(op.padded_nonce().as_ptr()).xor(V::load(key.round_key(0))),
            counts: Counts::at(shape.packed, if shape.packed { 1 } else { 2 }),
            powers: shape.powers,
            carry: if shape.packed {
                V::first(op.aad_at().wrapping_add(shape.lead_at), shape.lead)
            } else {
                V::zero()
            },
        };
        if REGISTERS < BIG {
            let mut pending = [V::zero(); WIDTH];
            let p = &mut pending;
            let lead = match REGISTERS {
                1 => pass.batch::<ROUNDS, SEAL, 1, 0, true, true>(0, p, &mut sums),
                2 => pass.batch::<ROUNDS, SEAL, 2, 0, true, true>(0, p, &mut sums),
                3 => pass.batch::<ROUNDS, SEAL, 3, 0, true, true>(0, p, &mut sums),
                4 => pass.batch::<ROUNDS, SEAL, 4, 0, true, true>(0, p, &mut sums),
                5 => pass.batch::<ROUNDS, SEAL, 5, 0, true, true>(0, p, &mut sums),
                6 => pass.batch::<ROUNDS, SEAL, 6, 0, true, true>(0, p, &mut sums),
                7 => pass.batch::<ROUNDS, SEAL, 7, 0, true, true>(0, p, &mut sums),
                _ => pass.batch::<ROUNDS, SEAL, 8, 0, true, true>(0, p, &mut sums),
            };
            return (sums, lead.low());
        }
        let mut long = Long { hash: _mm_setzero_si128(), done: 0 };
        if shape.long {
            long.begin::<V>(key, op.aad());
        }
        // Once, but for long frames. They share this call: `run` is much code.
        loop {
            let blocks = if shape.long { long.next(op, &mut pass) } else { 0 };
            if shape.long && blocks == 0 {
                return long.end::<V, ROUNDS>(op);
            }
            let lead = pass.run::<ROUNDS, SEAL>(&mut sums);
            if !shape.long {
                return (sums, lead.low());
            }
            long.add(key, blocks, mem::replace(&mut sums, [V::zero(); 3]));
        }
    }
}

/// A frame of more blocks than there are powers: piece by piece, each reduced and carried into the next.
struct Long {
    /// The hash so far, from the AAD on.
    hash: __m128i,
    /// Octets of payload that are done.
    done: usize,
}

/// Hashes AAD, whole registers but at the end.
#[inline(always)]
unsafe fn hash_bulk<V: Vector>(
    key: &ExpandedKey,
    powers: usize,
    mut at: *const u8,
    octets: usize,
    sums: &mut [V; 3],
) {
    // SAFETY: the caller has the instructions and vouches for the octets, for each block of which there is a power.
    unsafe {
        let step = 16 * V::BLOCKS;
        let (mut h, mut k) = key.powers_at(powers);
        for _ in 0..octets / (2 * step) {
            let a = products(V::load(at).reverse(), V::load(h), V::load(k));
            let (h_b, k_b) = (h.wrapping_add(step), k.wrapping_add(step));
            let b = products(V::load(at.add(step)).reverse(), V::load(h_b), V::load(k_b));
            accumulate_pair(sums, a, b);
            (at, h, k) = (at.add(2 * step), h.wrapping_add(2 * step), k.wrapping_add(2 * step));
        }
        let mut left = octets % (2 * step);
        while left > 0 {
            let blocks = V::load_part(at, self::octets(left.min(step)));
            accumulate(sums, blocks.reverse(), V::load(h), V::load(k));
            left = left.saturating_sub(step);
            (at, h, k) = (at.wrapping_add(step), h.wrapping_add(step), k.wrapping_add(step));
        }
    }
}

impl Long {
    /// Hashes the AAD.
    #[inline(always)]
    unsafe fn begin<V: Vector>(&mut self, key: &ExpandedKey, aad: &[u8]) {
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
    unsafe fn next<V: Vector>(&mut self, op: &mut Op<'_>, pass: &mut Pass<'_, V>) -> usize {
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
            pass.nonces = V::join(&nonces[..V::BLOCKS]).xor(V::load(pass.key.round_key(0)));
            pass.counts = Counts::at(false, count as usize % 256);
            pass.powers = POWERS - blocks;
            pass.carry = V::zero();
            blocks
        }
    }

    /// Adds a piece of so many blocks.
    #[inline(always)]
    unsafe fn add<V: Vector>(&mut self, key: &ExpandedKey, blocks: usize, sums: [V; 3]) {
        // SAFETY: the caller has the instructions; there are no more blocks than powers.
        unsafe {
            let (h, k) = key.powers_at(POWERS - blocks);
            let before = reduce_all(products(self.hash, Vector::load(h), Vector::load(k)));
            self.hash = _mm_xor_si128(before, close(sums));
        }
    }

    /// What is left to reduce, and E(J0).
    #[inline(always)]
    unsafe fn end<V: Vector, const ROUNDS: usize>(&self, op: &Op<'_>) -> ([V; 3], __m128i) {
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
            for round in 1..ROUNDS {
                j0 = j0.round(Vector::load(key.round_key(round)));
            }
            (sums, j0.last_round(Vector::load(key.round_key(ROUNDS))))
        }
    }
}

/// The nonce with a count.
#[inline(always)]
unsafe fn counter_block(nonce: &[u8; 16], count: u32) -> __m128i {
    // SAFETY: the caller has SSE4.1; the nonce has sixteen octets.
    unsafe { _mm_insert_epi32::<3>(_mm_loadu_si128(nonce.as_ptr().cast()), count.swap_bytes() as i32) }
}

/// What the sums over all blocks of registers stand for.
#[inline(always)]
unsafe fn close<V: Vector>(sums: [V; 3]) -> __m128i {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut folded = [[V::zero(); 4]; 3];
        for (folded, sum) in folded.iter_mut().zip(sums) {
            *folded = V::fold([sum, V::zero(), V::zero(), V::zero()]);
        }
        reduce_all([folded[0][0], folded[1][0], folded[2][0]]).low()
    }
}

/// A block of each of four frames, side by side.
#[inline(always)]
unsafe fn gather<V: Vector>(blocks: [__m128i; 4]) -> [V; 4] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut quad = [V::zero(); 4];
        for (i, v) in quad.iter_mut().enumerate().take(4 / V::BLOCKS) {
            *v = V::join(&blocks[i * V::BLOCKS..(i + 1) * V::BLOCKS]);
        }
        quad
    }
}

/// A block from each of four places.
#[inline(always)]
unsafe fn load_four<T>([a, b, c, d]: [*const T; 4]) -> [__m128i; 4] {
    const { assert!(size_of::<T>() == 16) };
    // SAFETY: SSE2 is part of x86-64; the caller vouches for the places.
    unsafe {
        [
            _mm_loadu_si128(a.cast()),
            _mm_loadu_si128(b.cast()),
            _mm_loadu_si128(c.cast()),
            _mm_loadu_si128(d.cast()),
        ]
    }
}

/// Undoes [`gather`].
#[inline(always)]
unsafe fn split<V: Vector>(quad: [V; 4]) -> [__m128i; 4] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut blocks = [_mm_setzero_si128(); 4];
        for (i, v) in quad.into_iter().enumerate().take(4 / V::BLOCKS) {
            v.split(&mut blocks[i * V::BLOCKS..(i + 1) * V::BLOCKS]);
        }
        blocks
    }
}

/// Four frames, a block of each in one register. `ALIKE` are frames of one shape and key.
struct Four<'a, V, const ALIKE: bool> {
    shapes: [&'a Shape; 4],
    keys: [&'a ExpandedKey; 4],
    ops: [&'a Op<'a>; 4],
    register: PhantomData<V>,
}

impl<V: Vector, const ALIKE: bool> Four<'_, V, ALIKE> {
    /// Adds the AAD that does not fill registers.
    #[inline(always)]
    unsafe fn rest_of_aad(&self, sums: &mut [[V; 4]; 3]) {
        // SAFETY: the caller has the instructions; the shapes are those of the operations.
        unsafe {
            let Four { shapes, keys, ops, .. } = self;
            let most = if ALIKE {
                shapes[0].left
            } else {
                shapes[0].left.max(shapes[1].left).max(shapes[2].left).max(shapes[3].left)
            };
            for number in 0..most {
                let mut places = [0; 4];
                let mut blocks = [_mm_setzero_si128(); 4];
                for i in 0..4 {
                    let shape = if ALIKE { shapes[0] } else { shapes[i] };
                    if ALIKE || number < shape.left {
                        let before = shape.bulk + number;
                        places[i] = shape.aad_powers + before;
                        blocks[i] =
                            V::block(ops[i].aad_at().add(16 * before), shape.aad_octets - 16 * before);
                    }
                }
                let mut blocks: [V; 4] = gather(blocks);
                for blocks in blocks.iter_mut().take(4 / V::BLOCKS) {
                    *blocks = blocks.reverse();
                }
                accumulate_four::<V, ALIKE>(sums, *keys, places, blocks);
            }
        }
    }

    /// Adds the length blocks.
    #[inline(always)]
    unsafe fn lengths(&self, sums: &mut [[V; 4]; 3]) {
        // SAFETY: the caller has the instructions.
        unsafe {
            let Four { shapes, keys, .. } = self;
            let lengths = if ALIKE {
                [V::repeat(shapes[0].lengths.as_ptr().cast()); 4]
            } else {
                let [a, b, c, d] = shapes;
                gather(load_four([&a.lengths, &b.lengths, &c.lengths, &d.lengths]))
            };
            accumulate_four::<V, ALIKE>(sums, *keys, [POWERS - 1; 4], lengths);
        }
    }

    /// Makes E(J0) where that does not lead.
    #[inline(always)]
    unsafe fn masks<const ROUNDS: usize>(&self, masks: &mut [__m128i; 4]) {
        // SAFETY: the caller has the instructions.
        unsafe {
            let Four { shapes, keys, ops, .. } = self;
            let all_packed = if ALIKE {
                shapes[0].packed
            } else {
                shapes[0].packed && shapes[1].packed && shapes[2].packed && shapes[3].packed
            };
            if all_packed {
                return;
            }
            const ONE: [u8; 16] = 1u128.to_be_bytes();
            let mut states: [V; 4] = gather(load_four([
                ops[0].padded_nonce(),
                ops[1].padded_nonce(),
                ops[2].padded_nonce(),
                ops[3].padded_nonce(),
            ]));
            for state in &mut states {
                *state = state.xor(V::repeat(ONE.as_ptr()));
            }
            for round in 0..=ROUNDS {
                let round_keys = if ALIKE {
                    [V::load(keys[0].round_key(round)); 4]
                } else {
                    let [a, b, c, d] = keys;
                    let key = |key: &ExpandedKey| key.round_key(round).cast::<[u8; 16]>();
                    gather(load_four([key(a), key(b), key(c), key(d)]))
                };
                for (state, key) in states.iter_mut().zip(round_keys).take(4 / V::BLOCKS) {
                    *state = match round {
                        0 => state.xor(key),
                        _ if round == ROUNDS => state.last_round(key),
                        _ => state.round(key),
                    };
                }
            }
            for (i, block) in split(states).into_iter().enumerate() {
                if ALIKE || !shapes[i].packed {
                    masks[i] = block;
                }
            }
        }
    }
}

/// Of four frames all that there is to reduce, and E(J0).
struct Ends<V> {
    sums: [[V; 4]; 3],
    masks: [__m128i; 4],
}

impl<V: Vector> Ends<V> {
    /// Writes those registers that have blocks.
    #[inline(always)]
    unsafe fn write(this: *mut Self, ends: Self) {
        // SAFETY: the caller vouches for the pointer.
        unsafe {
            for (product, sums) in ends.sums.iter().enumerate() {
                for (i, sum) in sums.iter().enumerate().take(4 / V::BLOCKS) {
                    (&raw mut (*this).sums[product][i]).write(*sum);
                }
            }
            (&raw mut (*this).masks).write(ends.masks);
        }
    }

    /// Reads what [`write`](Self::write) wrote.
    #[inline(always)]
    unsafe fn read(this: *const Self) -> Self {
        // SAFETY: the caller has the instructions, and vouches for the pointer.
        unsafe {
            let mut ends = Ends { sums: [[V::zero(); 4]; 3], masks: (&raw const (*this).masks).read() };
            for (product, sums) in ends.sums.iter_mut().enumerate() {
                for (i, sum) in sums.iter_mut().enumerate().take(4 / V::BLOCKS) {
                    *sum = (&raw const (*this).sums[product][i]).read();
                }
            }
            ends
        }
    }

    #[inline(always)]
    unsafe fn tags(&self) -> [__m128i; 4] {
        // SAFETY: the caller has the instructions.
        unsafe {
            let [low, middle, high] = self.sums;
            let mut hashes = [V::zero(); 4];
            for i in 0..4 / V::BLOCKS {
                hashes[i] = reduce_all([low[i], middle[i], high[i]]).reverse();
            }
            let mut tags = split(hashes);
            for (tag, mask) in tags.iter_mut().zip(self.masks) {
                *tag = _mm_xor_si128(*tag, mask);
            }
            tags
        }
    }

    /// Writes the tags of these operations, or compares them; where they are wrong, the payload is
    /// overwritten. A bit says which are right.
    #[inline(always)]
    unsafe fn close<const SEAL: bool>(&self, group: &Group, ops: *mut Op<'_>) -> u64 {
        // SAFETY: the caller has the instructions, and vouches for the places.
        unsafe {
            let mut authentic = 0;
            for (i, tag) in self.tags().into_iter().enumerate() {
                if i >= group.len() {
                    break;
                }
                let place = group.place(i);
                let op = &mut *ops.add(place);
                let at = op.tag.as_mut_ptr();
                if SEAL {
                    _mm_storeu_si128(at.cast(), tag);
                } else {
                    let wrong = _mm_xor_si128(tag, _mm_loadu_si128(at.cast()));
                    let right = _mm_testz_si128(wrong, wrong) == 1;
                    authentic |= u64::from(right) << place;
                    if !right {
                        op.payload_mut().fill(0);
                    }
                }
            }
            authentic
        }
    }
}

/// Four short frames of one shape and key, of so many registers each, side by side.
///
/// `lengths` is what the length block adds to each. Such frames are mostly beginning and end. Here nothing waits for anything else of another frame, and what they have
/// in common is loaded once.
#[inline(always)]
unsafe fn quad<V: Vector, const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
    shape: &Shape,
    key: &ExpandedKey,
    lengths: [V; 3],
    ops: [*mut Op<'_>; 4],
) -> Ends<V> {
    // SAFETY: the caller has the instructions; the shape is that of the operations' lengths, and has so many registers.
    unsafe {
        let step = 16 * V::BLOCKS;
        let mut sums = [[lengths[0]; 4], [lengths[1]; 4], [lengths[2]; 4]];
        let mut masks = [_mm_setzero_si128(); 4];
        let mut leads = [V::zero(); 4];
        // All loads of AAD come before the stores of payload, which might lie on the same octets for all that the core
        // can tell.
        {
            let four = Four::<V, true> {
                shapes: [shape; 4],
                keys: [key; 4],
                ops: [&*ops[0], &*ops[1], &*ops[2], &*ops[3]],
                register: PhantomData,
            };
            for number in 0..shape.bulk / V::BLOCKS {
                let mut blocks = [V::zero(); 4];
                // Not a whole register, where that is the end.
                let octets = shape.aad_octets - number * step;
                for (blocks, op) in blocks.iter_mut().zip(four.ops) {
                    let at = op.aad_at().add(number * step);
                    let aad =
                        if octets >= step { V::load(at) } else { V::load_part(at, self::octets(octets)) };
                    *blocks = aad.reverse();
                }
                accumulate_across(&mut sums, key, shape.aad_powers + number * V::BLOCKS, blocks);
            }
            four.rest_of_aad(&mut sums);
            four.masks::<ROUNDS>(&mut masks);
            if REGISTERS > 0 && shape.packed {
                for (lead, op) in leads.iter_mut().zip(four.ops) {
                    *lead = V::first(op.aad_at().wrapping_add(shape.lead_at), shape.lead);
                }
            }
        }
        if REGISTERS == 0 {
            return Ends { sums, masks };
        }
        let mask = |register: usize| match register {
            0 => Some(shape.first),
            _ if register == REGISTERS - 1 => Some(shape.last),
            _ => None,
        };
        let mut at = [ptr::null_mut::<u8>(); 4];
        let mut states = [[V::zero(); 4]; REGISTERS];
        let counts = Counts::at(shape.packed, if shape.packed { 1 } else { 2 });
        for i in 0..4 {
            at[i] = (*ops[i]).payload_at().wrapping_sub(shape.before);
        }
        for (register, states) in states.iter_mut().enumerate() {
            let counts = V::load(counts.wrapping_add(register * step)).xor(V::load(key.round_key(0)));
            for (state, op) in states.iter_mut().zip(ops) {
                *state = V::repeat((*op).padded_nonce().as_ptr()).xor(counts);
            }
        }
        for round in 1..ROUNDS {
            let round_key = V::load(key.round_key(round));
            for state in states.as_flattened_mut() {
                *state = state.round(round_key);
            }
        }
        let round_key = V::load(key.round_key(ROUNDS));
        for (register, states) in states.into_iter().enumerate() {
            let mut blocks = [V::zero(); 4];
            for i in 0..4 {
                let place = at[i].wrapping_add(register * step);
                let data = match mask(register) {
                    Some(mask) => V::load_part(place, mask),
                    None => V::load(place),
                };
                let out = states[i].last_round(round_key.xor(data));
                match mask(register) {
                    Some(mask) => out.store_part(place, mask),
                    None => out.store(place),
                }
                if register == 0 && shape.packed {
                    masks[i] = out.low();
                }
                let mut hashed = if SEAL { out } else { data };
                if SEAL && let Some(mask) = mask(register) {
                    hashed = hashed.keep(mask);
                }
                if register == 0 {
                    hashed = hashed.xor(leads[i]);
                }
                blocks[i] = hashed.reverse();
            }
            accumulate_across(&mut sums, key, shape.powers + register * V::BLOCKS, blocks);
        }
        Ends { sums, masks }
    }
}

/// Adds a register of each of four frames, times the powers that stand from this place on.
#[inline(always)]
unsafe fn accumulate_across<V: Vector>(
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

/// Adds a block for each of four frames, times the power that stands at its place.
#[inline(always)]
unsafe fn accumulate_four<V: Vector, const ALIKE: bool>(
    sums: &mut [[V; 4]; 3],
    keys: [&ExpandedKey; 4],
    places: [usize; 4],
    blocks: [V; 4],
) {
    // SAFETY: the caller has the instructions and vouches for the places.
    unsafe {
        let (h, k) = if ALIKE {
            let (h, k) = keys[0].powers_at(places[0]);
            ([V::repeat(h); 4], [V::repeat(k); 4])
        } else {
            let mut h = [ptr::null::<[u8; 16]>(); 4];
            let mut k = h;
            for i in 0..4 {
                let at = keys[i].powers_at(places[i]);
                (h[i], k[i]) = (at.0.cast(), at.1.cast());
            }
            (gather(load_four(h)), gather(load_four(k)))
        };
        for i in 0..4 / V::BLOCKS {
            for (sum, product) in sums.iter_mut().zip(products(blocks[i], h[i], k[i])) {
                sum[i] = sum[i].xor(product);
            }
        }
    }
}

/// Up to four frames with less in common than [`quad`] asks for, between their two halves. What is missing of four has
/// nothing to do.
struct Loose<V> {
    shapes: [*const Shape; 4],
    keys: [*const ExpandedKey; 4],
    ops: [*const Op<'static>; 4],
    sums: [[V; 4]; 3],
    masks: [__m128i; 4],
}

impl<V: Vector> Loose<V> {
    /// Writes what a group of fewer than four lacks.
    #[inline(always)]
    unsafe fn begin(this: *mut Self, group: &Group, ops: *mut Op<'_>) {
        // SAFETY: the caller has the instructions, and vouches for the pointers and the group.
        unsafe {
            if group.len() < 4 {
                let first = ops.add(group.place(0));
                (&raw mut (*this).shapes).write([Shape::IDLE; 4]);
                (&raw mut (*this).keys).write([expanded(&*first); 4]);
                (&raw mut (*this).ops).write([first.cast(); 4]);
                (&raw mut (*this).sums).write([[V::zero(); 4]; 3]);
                (&raw mut (*this).masks).write([_mm_setzero_si128(); 4]);
            }
        }
    }

    /// Writes a frame's first half.
    #[inline(always)]
    unsafe fn set(
        this: *mut Self,
        i: usize,
        shape: &Shape,
        key: &ExpandedKey,
        op: *const Op<'_>,
        [low, middle, high]: [V; 3],
        mask: __m128i,
    ) {
        // SAFETY: the caller vouches for the pointer.
        unsafe {
            (&raw mut (*this).shapes[i]).write(shape);
            (&raw mut (*this).keys[i]).write(key);
            (&raw mut (*this).ops[i]).write(op.cast());
            (&raw mut (*this).sums[0][i]).write(low);
            (&raw mut (*this).sums[1][i]).write(middle);
            (&raw mut (*this).sums[2][i]).write(high);
            (&raw mut (*this).masks[i]).write(mask);
        }
    }

    #[inline(always)]
    unsafe fn finish<const ROUNDS: usize>(&self) -> Ends<V> {
        let Loose { shapes: s, keys: k, .. } = self;
        let alike = ptr::eq(s[0], s[1])
            && ptr::eq(s[0], s[2])
            && ptr::eq(s[0], s[3])
            && ptr::eq(k[0], k[1])
            && ptr::eq(k[0], k[2])
            && ptr::eq(k[0], k[3]);
        // SAFETY: the caller has the instructions.
        unsafe {
            if alike { self.finish_four::<ROUNDS, true>() } else { self.finish_four::<ROUNDS, false>() }
        }
    }

    /// Adds up, and adds what is left of each.
    #[inline(always)]
    unsafe fn finish_four<const ROUNDS: usize, const ALIKE: bool>(&self) -> Ends<V> {
        // SAFETY: the caller has the instructions; the pointers are those of operations of these shapes.
        unsafe {
            let Loose { shapes, keys, ops, sums: unfolded, mut masks } = *self;
            let four = Four::<V, ALIKE> {
                shapes: [&*shapes[0], &*shapes[1], &*shapes[2], &*shapes[3]],
                keys: [&*keys[0], &*keys[1], &*keys[2], &*keys[3]],
                ops: [&*ops[0], &*ops[1], &*ops[2], &*ops[3]],
                register: PhantomData,
            };
            let mut sums = [[V::zero(); 4]; 3];
            for (sum, unfolded) in sums.iter_mut().zip(unfolded) {
                *sum = V::fold(unfolded);
            }
            four.rest_of_aad(&mut sums);
            four.lengths(&mut sums);
            four.masks::<ROUNDS>(&mut masks);
            Ends { sums, masks }
        }
    }
}

/// Seals or opens the first operation, whose key has `ROUNDS`, and those after it up to one of another kind. Hands out how
/// many these are, and a bit each that says whether it was authentic; all that were sealed are. `whole` says that no
/// operation is scattered.
#[inline(always)]
pub(crate) unsafe fn run<V: Vector, const ROUNDS: usize, const SEAL: bool>(
    shapes: &mut Shapes,
    ops: &mut [Op<'_>],
    whole: bool,
) -> (usize, u64) {
    let Some(first) = ops.first() else { return (0, 0) };
    let (lengths, key) = (first.lengths(), ptr::from_ref(first.key));
    shapes.prepare(V::BLOCKS, V::SHORT);
    let place = Shapes::place(lengths);
    // As long as each four are like the first, there is nothing to plan.
    let short = whole && shapes.at(place).short && shapes.at(place).is_of(lengths);
    let mut plan = None;
    let mut done = 0;
    let mut authentic = 0;
    // SAFETY: the caller has the instructions. Groups consist of places of operations, each in one group. Of a loose
    // group is read what was written: all of it, for one of fewer than four.
    unsafe {
        let (all, count) = (ops.as_mut_ptr(), ops.len());
        // One that is worked on, and the one before.
        let mut pending = [const { MaybeUninit::<Pending<V>>::uninit() }; 2];
        let pending = pending.as_mut_ptr().cast::<Pending<V>>();
        let mut worker = Worker::<V>::new();
        for number in 0.. {
            let in_turn = short && plan.is_none() && count - done >= 4 && {
                let like_first = |i: usize| {
                    let op = &*all.add(done + i);
                    op.lengths() == lengths && ptr::eq(op.key, key)
                };
                like_first(0) && like_first(1) && like_first(2) && like_first(3)
            };
            let group = if in_turn {
                done += 4;
                Some(Group::in_turn(shapes.at(place).class.into(), done - 4, 4))
            } else {
                if plan.is_none() {
                    let ops = slice::from_raw_parts(all, count);
                    let kind = ops[done..].iter().position(|op| !like(&ops[0], op));
                    let end = kind.map_or(count, |kind| done + kind);
                    plan = Some(end);
                    shapes.plan(&ops[..end], done);
                }
                shapes.next()
            };
            let next = pending.add(number % 2);
            if let Some(group) = group {
                let alike = in_turn || worker.alike(&group, shapes, all);
                (&raw mut (*next).group).write(group);
                (&raw mut (*next).alike).write(alike);
                if alike {
                    let op = |i| all.add(group.place(i));
                    let four = [op(0), op(1), op(2), op(3)];
                    worker.meet(
                        if in_turn { place } else { shapes.place_of(group.place(0)) },
                        &*four[0],
                        shapes,
                    );
                    let ends = match group.class {
                        0 => worker.quad::<ROUNDS, SEAL, 0>(four),
                        1 => worker.quad::<ROUNDS, SEAL, 1>(four),
                        _ => worker.quad::<ROUNDS, SEAL, 2>(four),
                    };
                    Ends::write(&raw mut (*next).ends, ends);
                } else {
                    let loose = &raw mut (*next).loose;
                    Loose::begin(loose, &group, all);
                    for i in 0..group.len() {
                        let place = group.place(i);
                        let op = &mut *all.add(place);
                        let (shape, key) = worker.look_up(shapes.place_of(place), op, shapes);
                        let (sums, mask) = match group.class {
                            0 => frame::<V, ROUNDS, SEAL, 0>(shape, key, op),
                            1 => frame::<V, ROUNDS, SEAL, 1>(shape, key, op),
                            2 => frame::<V, ROUNDS, SEAL, 2>(shape, key, op),
                            3 => frame::<V, ROUNDS, SEAL, 3>(shape, key, op),
                            4 => frame::<V, ROUNDS, SEAL, 4>(shape, key, op),
                            5 => frame::<V, ROUNDS, SEAL, 5>(shape, key, op),
                            6 => frame::<V, ROUNDS, SEAL, 6>(shape, key, op),
                            7 => frame::<V, ROUNDS, SEAL, 7>(shape, key, op),
                            8 => frame::<V, ROUNDS, SEAL, 8>(shape, key, op),
                            _ => frame::<V, ROUNDS, SEAL, BIG>(shape, key, op),
                        };
                        Loose::set(loose, i, shape, key, op, sums, mask);
                    }
                }
            }
            // When the next are under way, there is nothing to wait for in these.
            if number > 0 {
                let last = pending.add((number + 1) % 2);
                if !(*last).alike {
                    Ends::write(&raw mut (*last).ends, (*last).loose.finish::<ROUNDS>());
                }
                authentic |= Ends::read(&raw const (*last).ends).close::<SEAL>(&(*last).group, all);
            }
            if group.is_none() {
                break;
            }
        }
    }
    shapes.learn();
    (plan.unwrap_or(done), if SEAL { u64::MAX } else { authentic })
}

/// A group of which the tags are left to do.
struct Pending<V> {
    group: Group,
    /// They were worked on by [`quad`]; else they are in `loose`, and `ends` is not yet written.
    alike: bool,
    ends: Ends<V>,
    loose: Loose<V>,
}

/// What frames that come after each other mostly share.
///
/// It is compared before it is used, not loaded anew: so the core foresees where the comparison leads and goes on with
/// what it has, in place of waiting for one load after the other before it can begin with a frame.
struct Worker<V> {
    /// Where the shape is.
    place: usize,
    shape: *const Shape,
    key: *const Key,
    expanded: *const ExpandedKey,
    /// The length block times H, of which shape and key.
    lengths_of: (usize, *const Key),
    lengths: [V; 3],
}

/// Keeps the compiler from computing what a branch leads to without the branch.
#[inline(always)]
fn by_branch<T>(pointer: *const T) -> *const T {
    let mut address = pointer.addr();
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {} */", inout(reg) address, options(nomem, nostack, preserves_flags)) };
    pointer.with_addr(address)
}

impl<V: Vector> Worker<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller has the instructions.
        let zero = unsafe { V::zero() };
        Worker {
            place: usize::MAX,
            shape: Shape::IDLE,
            key: ptr::null(),
            expanded: ptr::null(),
            lengths_of: (usize::MAX, ptr::null()),
            lengths: [zero; 3],
        }
    }

    /// The shape and the key of an operation.
    #[inline(always)]
    unsafe fn look_up<'a>(
        &mut self,
        place: usize,
        op: &Op<'a>,
        shapes: &'a Shapes,
    ) -> (&'a Shape, &'a ExpandedKey) {
        if self.place != place {
            (self.place, self.shape) = (place, by_branch(shapes.at(place)));
        }
        if !ptr::eq(self.key, op.key) {
            (self.key, self.expanded) = (op.key, by_branch(expanded(op)));
        }
        // SAFETY: they point to what was last looked up.
        unsafe { (&*self.shape, &*self.expanded) }
    }

    /// Makes the shape and the key of this operation the shared ones of quads.
    #[inline(always)]
    unsafe fn meet(&mut self, place: usize, op: &Op<'_>, shapes: &Shapes) {
        // SAFETY: the caller has the instructions.
        unsafe {
            let (shape, key) = self.look_up(place, op, shapes);
            if self.lengths_of != (place, ptr::from_ref(op.key)) {
                self.lengths_of = (place, op.key);
                let lengths = V::repeat(shape.lengths.as_ptr().cast());
                let (h, k) = key.powers_at(POWERS - 1);
                self.lengths = products(lengths, V::repeat(h), V::repeat(k));
            }
        }
    }

    /// Whether these are operations for [`quad`].
    #[inline(always)]
    unsafe fn alike(&self, group: &Group, shapes: &Shapes, ops: *mut Op<'_>) -> bool {
        let shape = |i| shapes.place_of(group.place(i));
        // SAFETY: the caller vouches for the places.
        let key = |i| unsafe { ptr::from_ref((*ops.add(group.place(i))).key) };
        let has = |i| shape(i) == shape(0) && ptr::eq(key(i), key(0));
        group.len() == 4 && shapes.at(shape(0)).short && has(1) && has(2) && has(3)
    }

    #[inline(always)]
    unsafe fn quad<const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
        &self,
        ops: [*mut Op<'_>; 4],
    ) -> Ends<V> {
        const { assert!(V::SHORT <= 2, "quads of more registers have no code") };
        if REGISTERS > V::SHORT {
            unreachable!("not a short frame");
        }
        // SAFETY: the caller has the instructions, and met one of the operations, which are alike.
        unsafe { quad::<V, ROUNDS, SEAL, REGISTERS>(&*self.shape, &*self.expanded, self.lengths, ops) }
    }
}
