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
use super::vector::{Vector, WIDTH, octets};
use crate::backend::expanded;
use crate::burst::Op;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;
use core::ptr;

/// Shapes that are remembered. A power of two.
const SHAPES: usize = 256;

/// What follows from lengths alone.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Shape {
    /// What makes nonces counter blocks of the first register.
    counts: [[u8; 16]; 4],
    aad: usize,
    payload: usize,
    /// Blocks of a register.
    blocks: usize,
    /// Registers of payload, with J0 before it where that leads.
    registers: usize,
    /// The octets of the first and of the last register that are payload. The same where there is one register.
    first: u64,
    last: u64,
    /// Where the power of the first register's first block stands.
    powers: usize,
    /// J0 leads.
    packed: bool,
    /// More blocks than there are powers.
    long: bool,
    /// The AAD's last block, where J0 leads: its octets, a bit each, and where it is.
    lead: u16,
    lead_at: usize,
    /// Octets of the other AAD: blocks of it that fill registers, and those that do not.
    aad_octets: usize,
    bulk: usize,
    left: usize,
    /// Where the power of the first block of AAD stands.
    aad_powers: usize,
    /// The length block, reversed.
    lengths: [u64; 2],
}

impl Shape {
    /// Nothing at all.
    const IDLE: Shape = Shape {
        counts: [[0; 16]; 4],
        aad: usize::MAX,
        payload: usize::MAX,
        blocks: 0,
        registers: 0,
        first: 0,
        last: 0,
        powers: 0,
        packed: true,
        long: false,
        lead: 0,
        lead_at: 0,
        aad_octets: 0,
        bulk: 0,
        left: 0,
        aad_powers: 0,
        lengths: [0; 2],
    };

    #[inline(always)]
    fn fits(&self, register: usize, op: &Op<'_>) -> bool {
        self.payload == op.payload.len() && self.aad == op.aad.len() && self.blocks == register
    }

    /// With so many blocks in a register.
    #[inline(never)]
    fn of(register: usize, aad: usize, payload: usize) -> Self {
        let (aad_blocks, blocks) = (aad.div_ceil(16), payload.div_ceil(16));
        // Room for J0, whose place takes a power, and for the length block.
        if aad_blocks + blocks + 2 > POWERS {
            return Shape { aad, payload, blocks: register, long: true, ..Shape::IDLE };
        }
        let packed = !blocks.is_multiple_of(register);
        let lead = usize::from(packed);
        let in_lead = usize::from(packed && aad_blocks > 0);
        let head = aad_blocks - in_lead;
        let registers = (blocks + lead).div_ceil(register);
        let step = 16 * register;
        let (first, last) = (
            u64::MAX << (16 * lead),
            octets((payload + 16 * lead).saturating_sub(step * registers.saturating_sub(1))),
        );
        let mut counts = [[0; 16]; 4];
        for (i, block) in counts.iter_mut().enumerate() {
            block[15] = (2 - lead + i) as u8;
        }
        Shape {
            counts,
            aad,
            payload,
            blocks: register,
            registers,
            first: if registers == 1 { first & last } else { first },
            last: if registers == 1 { first & last } else { last },
            powers: POWERS - 1 - blocks - lead,
            packed,
            long: false,
            lead: if in_lead == 1 { octets(aad - 16 * head) as u16 } else { 0 },
            lead_at: 16 * head * in_lead,
            aad_octets: aad.min(16 * head),
            bulk: head - head % register,
            left: head % register,
            aad_powers: POWERS - 1 - aad_blocks - blocks,
            lengths: [(payload as u64) << 3, (aad as u64) << 3],
        }
    }
}

const _: () = assert!(POWERS <= 256, "the last octet of a count does not overflow within a frame");

static IDLE: &Shape = &Shape::IDLE;

/// Shapes by their lengths: traffic has few, and comes back to them.
pub(crate) struct Shapes([Shape; SHAPES]);

impl std::fmt::Debug for Shapes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shapes")
    }
}

impl Shapes {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Shapes([Shape::IDLE; SHAPES]))
    }

    #[inline(always)]
    fn place(aad: usize, payload: usize) -> usize {
        // 2^64 over the golden ratio.
        let hash = (payload as u64 ^ (aad as u64) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> (64 - SHAPES.trailing_zeros())) as usize
    }

    /// Where the shape of these lengths is, if it is there.
    #[inline(always)]
    fn get(&self, op: &Op<'_>) -> &Shape {
        &self.0[Self::place(op.aad.len(), op.payload.len())]
    }

    /// Remembers the shapes of these operations.
    #[cold]
    #[inline(never)]
    fn learn(&mut self, register: usize, ops: &[Op<'_>]) {
        for op in ops {
            let (aad, payload) = (op.aad.len(), op.payload.len());
            let shape = &mut self.0[Self::place(aad, payload)];
            if !shape.fits(register, op) {
                *shape = Shape::of(register, aad, payload);
            }
        }
    }
}

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
    /// The first register's counter blocks.
    counters: V,
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
            let whiten = round_key(0);
            let mut state = [V::zero(); WIDTH];
            for state in &mut state[..W] {
                *state = self.counters.xor(whiten);
                // As if the numbers were little-endian, which does while their last octets do not overflow.
                self.counters = self.counters.add(V::stride());
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
            macro_rules! hashes {
                ($round:literal: $($i:literal)*) => {$(
                    if $i < hashed && $i * (ROUNDS - 1) / WIDTH + 1 == $round {
                        let mut blocks = pending[$i];
                        if !SEAL && FIRST && $i == 0 {
                            blocks = blocks.xor(self.carry);
                        }
                        let (h, k) = (V::load(h.wrapping_add($i * step)), V::load(k.wrapping_add($i * step)));
                        accumulate(sums, blocks.reverse(), h, k);
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
                for (w, blocks) in pending.iter().enumerate().take(W) {
                    let (h, k) = (V::load(h.wrapping_add(w * step)), V::load(k.wrapping_add(w * step)));
                    accumulate(sums, blocks.reverse(), h, k);
                }
            }
            lead
        }
    }

    /// All registers, of which there is one at least. Hands out what became of the first, whose first block is E(J0)
    /// where that leads.
    #[inline(always)]
    unsafe fn run<const ROUNDS: usize, const SEAL: bool>(&mut self, sums: &mut [V; 3]) -> V {
        // SAFETY: as for `batch`.
        unsafe {
            let mut pending = [V::zero(); WIDTH];
            let p = &mut pending;
            match self.registers {
                1 => return self.batch::<ROUNDS, SEAL, 1, 0, true, true>(0, p, sums),
                2 => return self.batch::<ROUNDS, SEAL, 2, 0, true, true>(0, p, sums),
                3 => return self.batch::<ROUNDS, SEAL, 3, 0, true, true>(0, p, sums),
                4 => return self.batch::<ROUNDS, SEAL, 4, 0, true, true>(0, p, sums),
                5 => return self.batch::<ROUNDS, SEAL, 5, 0, true, true>(0, p, sums),
                6 => return self.batch::<ROUNDS, SEAL, 6, 0, true, true>(0, p, sums),
                7 => return self.batch::<ROUNDS, SEAL, 7, 0, true, true>(0, p, sums),
                8 => return self.batch::<ROUNDS, SEAL, 8, 0, true, true>(0, p, sums),
                _ => {}
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

/// One frame: its sums over all blocks of the registers, still to be added up, without what [`finish`] adds; and
/// E(J0), where that leads. Of a long frame the sums are all there is to reduce, in the first block.
#[inline(always)]
unsafe fn frame<V: Vector, const ROUNDS: usize, const SEAL: bool>(
    shape: &Shape,
    op: &mut Op<'_>,
) -> ([V; 3], __m128i) {
    // SAFETY: the caller has the instructions; the shape is that of the operation's lengths.
    unsafe {
        let key = expanded(op);
        let mut sums = [V::zero(); 3];
        if shape.bulk > 0 {
            let octets = shape.aad_octets.min(16 * shape.bulk);
            hash_bulk(key, shape.aad_powers, op.aad.as_ptr(), octets, &mut sums);
        }
        if shape.registers == 0 && !shape.long {
            return (sums, _mm_setzero_si128());
        }
        let (mut at, mut carry) = (op.payload.as_mut_ptr(), V::zero());
        if shape.packed {
            at = at.wrapping_sub(16);
            carry = V::first(op.aad.as_ptr().wrapping_add(shape.lead_at), shape.lead);
        }
        let mut pass = Pass {
            key,
            at,
            registers: shape.registers,
            first: shape.first,
            last: shape.last,
            counters: V::repeat(op.nonce.as_ptr()).xor(V::load(shape.counts.as_ptr().cast())),
            powers: shape.powers,
            carry,
        };
        let mut long = Long { hash: _mm_setzero_si128(), done: 0 };
        if shape.long {
            long.begin::<V>(key, op.aad);
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
            long.add(key, blocks, core::mem::replace(&mut sums, [V::zero(); 3]));
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
            for i in 0..3 {
                sums[i] = sums[i].xor(a[i].xor(b[i]));
            }
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
            let rest = &mut op.payload[self.done..];
            // As many as have counts that differ in the last octet alone.
            let now = rest.len().min(16 * (256 - count as usize % 256).min(POWERS));
            let blocks = now.div_ceil(16);
            self.done += now;
            pass.at = rest.as_mut_ptr();
            pass.registers = blocks.div_ceil(V::BLOCKS);
            pass.last = octets(now - 16 * V::BLOCKS * pass.registers.saturating_sub(1));
            pass.first = if pass.registers == 1 { pass.last } else { u64::MAX };
            let mut four = [_mm_setzero_si128(); 4];
            for (i, block) in four.iter_mut().enumerate() {
                *block = counter_block(&op.nonce, count.wrapping_add(i as u32));
            }
            pass.counters = V::join(&four[..V::BLOCKS]);
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
            let lengths = _mm_set_epi64x((op.aad.len() as i64) << 3, (op.payload.len() as i64) << 3);
            let (h, k) = key.powers_at(POWERS - 1);
            let last = products(_mm_xor_si128(self.hash, lengths), Vector::load(h), Vector::load(k));
            let mut sums = [V::zero(); 3];
            for (sum, last) in sums.iter_mut().zip(last) {
                let mut blocks = [_mm_setzero_si128(); 4];
                blocks[0] = last;
                *sum = V::join(&blocks[..V::BLOCKS]);
            }
            let mut j0: __m128i = counter_block(&op.nonce, 1).xor(Vector::load(key.round_key(0)));
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

/// Adds what is left of four frames' AAD, and the length blocks; makes E(J0) where that did not lead; and hands out the
/// tags. `ALIKE` are frames of one shape and key.
#[inline(always)]
unsafe fn finish<V: Vector, const ROUNDS: usize, const ALIKE: bool>(group: &Group<V>) -> [__m128i; 4] {
    // SAFETY: the caller has the instructions; the pointers are those of operations of these shapes.
    unsafe {
        let Group { found, keys, aads, nonces, sums: unfolded, mut masks, .. } = *group;
        let shapes = [&*found[0], &*found[1], &*found[2], &*found[3]];
        let keys = [&*keys[0], &*keys[1], &*keys[2], &*keys[3]];
        let shape = shapes[0];
        let mut sums = [[V::zero(); 4]; 3];
        for (sum, unfolded) in sums.iter_mut().zip(unfolded) {
            *sum = V::fold(unfolded);
        }
        let most = if ALIKE {
            shape.left
        } else {
            shapes[0].left.max(shapes[1].left).max(shapes[2].left).max(shapes[3].left)
        };
        for number in 0..most {
            let mut places = [0; 4];
            let mut blocks = [_mm_setzero_si128(); 4];
            for i in 0..4 {
                let shape = if ALIKE { shape } else { shapes[i] };
                if ALIKE || number < shape.left {
                    let before = shape.bulk + number;
                    places[i] = shape.aad_powers + before;
                    blocks[i] = V::block(aads[i].add(16 * before), shape.aad_octets - 16 * before);
                }
            }
            let mut blocks: [V; 4] = gather(blocks);
            for blocks in blocks.iter_mut().take(4 / V::BLOCKS) {
                *blocks = blocks.reverse();
            }
            accumulate_four::<V, ALIKE>(&mut sums, keys, places, blocks);
        }
        let lengths = if ALIKE {
            [V::repeat(shape.lengths.as_ptr().cast()); 4]
        } else {
            let [a, b, c, d] = shapes;
            gather(load_four([&a.lengths, &b.lengths, &c.lengths, &d.lengths]))
        };
        accumulate_four::<V, ALIKE>(&mut sums, keys, [POWERS - 1; 4], lengths);

        let all_packed = if ALIKE {
            shape.packed
        } else {
            shapes[0].packed && shapes[1].packed && shapes[2].packed && shapes[3].packed
        };
        if !all_packed {
            const ONE: [u8; 16] = 1u128.to_be_bytes();
            let mut states: [V; 4] = gather(load_four([&nonces[0], &nonces[1], &nonces[2], &nonces[3]]));
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

        let mut hashes = [V::zero(); 4];
        for i in 0..4 / V::BLOCKS {
            hashes[i] = reduce_all([sums[0][i], sums[1][i], sums[2][i]]).reverse();
        }
        let mut tags = split(hashes);
        for (tag, mask) in tags.iter_mut().zip(masks) {
            *tag = _mm_xor_si128(*tag, mask);
        }
        tags
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

/// Four operations between their two halves.
struct Group<V> {
    found: [*const Shape; 4],
    /// Shapes that were not found.
    own: [MaybeUninit<Shape>; 4],
    keys: [*const ExpandedKey; 4],
    aads: [*const u8; 4],
    nonces: [[u8; 16]; 4],
    sums: [[V; 4]; 3],
    masks: [__m128i; 4],
}

/// Seals or opens the operations, whose keys all have `ROUNDS`. A bit says which operations were authentic; all that
/// were sealed are.
#[inline(always)]
pub(crate) unsafe fn run<V: Vector, const ROUNDS: usize, const SEAL: bool>(
    shapes: &mut Shapes,
    ops: &mut [Op<'_>],
) -> u64 {
    static ZERO: [u8; 16] = [0; 16];
    // SAFETY: the caller has the instructions; each operation is worked on with the shape of its lengths. Of a group is
    // read what was written: all of it, for one of fewer than four.
    unsafe {
        let mut authentic = 0;
        let Some(first) = ops.first() else { return 0 };
        let key: *const ExpandedKey = expanded(first);
        let mut shape = ptr::from_ref(IDLE);
        let mut all_found = true;
        let mut groups = [const { MaybeUninit::<Group<V>>::uninit() }; 2];
        let groups = groups.as_mut_ptr().cast::<Group<V>>();
        let count = ops.len().div_ceil(4);
        // A group is finished when the next one is under way: by then there is nothing to wait for.
        for number in 0..=count {
            if number < count {
                let group = groups.add(number % 2);
                let end = ops.len().min(4 * number + 4);
                let ops = &mut ops[4 * number..end];
                if ops.len() < 4 {
                    (&raw mut (*group).found).write([IDLE; 4]);
                    (&raw mut (*group).keys).write([key; 4]);
                    (&raw mut (*group).aads).write([ZERO.as_ptr(); 4]);
                    (&raw mut (*group).nonces).write([ZERO; 4]);
                    (&raw mut (*group).sums).write([[V::zero(); 4]; 3]);
                    (&raw mut (*group).masks).write([_mm_setzero_si128(); 4]);
                }
                for (i, op) in ops.iter_mut().enumerate() {
                    // The one before, nearly always.
                    if !(*shape).fits(V::BLOCKS, op) {
                        shape = shapes.get(op);
                        if !(*shape).fits(V::BLOCKS, op) {
                            let own = &mut (*group).own[i];
                            shape = own.write(Shape::of(V::BLOCKS, op.aad.len(), op.payload.len()));
                            all_found = false;
                        }
                    }
                    let ([low, middle, high], mask) = frame::<V, ROUNDS, SEAL>(&*shape, op);
                    (&raw mut (*group).found[i]).write(shape);
                    (&raw mut (*group).keys[i]).write(expanded(op));
                    (&raw mut (*group).aads[i]).write(op.aad.as_ptr());
                    (&raw mut (*group).nonces[i]).write(op.nonce);
                    (&raw mut (*group).sums[0][i]).write(low);
                    (&raw mut (*group).sums[1][i]).write(middle);
                    (&raw mut (*group).sums[2][i]).write(high);
                    (&raw mut (*group).masks[i]).write(mask);
                }
                // Those of the group before may be written over.
                if !all_found {
                    shape = IDLE;
                }
            }
            if number > 0 {
                let group = &*groups.add((number - 1) % 2);
                let end = ops.len().min(4 * number);
                let ops = &mut ops[4 * (number - 1)..end];
                let (f, k) = (&group.found, &group.keys);
                let alike = ops.len() == 4
                    && ptr::eq(f[0], f[1])
                    && ptr::eq(f[0], f[2])
                    && ptr::eq(f[0], f[3])
                    && ptr::eq(k[0], k[1])
                    && ptr::eq(k[0], k[2])
                    && ptr::eq(k[0], k[3]);
                let tags =
                    if alike { finish::<V, ROUNDS, true>(group) } else { finish::<V, ROUNDS, false>(group) };
                for (i, op) in ops.iter_mut().enumerate() {
                    let place = op.tag.as_mut_ptr();
                    if SEAL {
                        _mm_storeu_si128(place.cast(), tags[i]);
                    } else {
                        let wrong = _mm_xor_si128(tags[i], _mm_loadu_si128(place.cast()));
                        let right = _mm_testz_si128(wrong, wrong) == 1;
                        authentic |= u64::from(right) << (4 * (number - 1) + i);
                        if !right {
                            op.payload.fill(0);
                        }
                    }
                }
            }
        }
        if !all_found {
            shapes.learn(V::BLOCKS, ops);
        }
        if SEAL { u64::MAX } else { authentic }
    }
}
