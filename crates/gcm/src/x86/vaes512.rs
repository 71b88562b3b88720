//! VAES and VPCLMULQDQ on 512-bit registers: four blocks an instruction.
//!
//! A frame's counter blocks are packed from J0 on, so that the mask of the tag costs nothing where the last
//! register has a lane to spare, and a frame of 48 octets is exactly one register. GHASH multiplies each block
//! by its own power of H, so that a frame of up to 2 kB is one sum without a reduction inside; four frames are
//! reduced together.
//!
//! The unsafe functions here ask one thing of their caller: that the CPU has the instructions, which only the
//! token [`Vaes512`] proves. All are inlined into [`run`], which the token's holder calls.

use super::key::{ExpandedKey, POLY, POWERS, multiply, reduce};
use crate::backend::Expanded;
use crate::burst::Op;
use core::arch::x86_64::*;

/// Proof that the CPU has what this back end needs. Made by [`Vaes512::detect`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vaes512(());

impl Vaes512 {
    /// Asks the CPU.
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("vpclmulqdq")
            && is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("bmi2");
        has.then_some(Vaes512(()))
    }

    /// Expands a key of 16 or 32 octets.
    pub(crate) fn expand(self, octets: &[u8]) -> Box<ExpandedKey> {
        // SAFETY: `self` proves that the CPU has these instructions.
        unsafe { ExpandedKey::new(octets) }
    }

    /// Seals, or opens, operations in one piece each, whose keys this back end expanded. A bit says which were
    /// authentic; all that were sealed are.
    #[inline(always)]
    pub(crate) fn run<const SEAL: bool>(self, ops: &mut [Op<'_>]) -> u64 {
        // SAFETY: `self` proves that the CPU has these instructions.
        unsafe { run::<SEAL>(ops) }
    }
}

/// AAD of at most this many octets shares a register with the length block.
const SHORT_AAD: usize = 48;

/// Sums of partial products: low, middle, high.
type Sums = [__m512i; 3];

#[inline(always)]
unsafe fn bswap(v: __m512i) -> __m512i {
    // SAFETY: the caller has the instructions; instructions only.
    unsafe {
        let order =
            _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
        _mm512_shuffle_epi8(v, order)
    }
}

/// The mask of octets `from..to` of a register; `to` may lie beyond it.
#[inline(always)]
fn octets(from: usize, to: usize) -> u64 {
    let high = if to >= 64 { u64::MAX } else { (1u64 << to) - 1 };
    high & (u64::MAX << from)
}

/// Adds blocks times powers to the sums.
#[inline(always)]
unsafe fn accumulate(sums: &mut Sums, blocks: __m512i, (h, k): (__m512i, __m512i)) {
    // SAFETY: the caller has the instructions; instructions only.
    unsafe {
        let halves = _mm512_xor_si512(blocks, _mm512_shuffle_epi32::<0x4e>(blocks));
        sums[0] = _mm512_xor_si512(sums[0], _mm512_clmulepi64_epi128::<0x00>(blocks, h));
        sums[1] = _mm512_xor_si512(sums[1], _mm512_clmulepi64_epi128::<0x00>(halves, k));
        sums[2] = _mm512_xor_si512(sums[2], _mm512_clmulepi64_epi128::<0x11>(blocks, h));
    }
}

#[inline(always)]
unsafe fn powers(key: &ExpandedKey, exponent: usize) -> (__m512i, __m512i) {
    let (h, k) = key.powers(exponent);
    // SAFETY: the caller has the instructions; `ExpandedKey::powers` points to four blocks, padding included.
    unsafe { (_mm512_loadu_si512(h.cast()), _mm512_loadu_si512(k.cast())) }
}

/// One run over consecutive blocks: encrypts or decrypts them and adds them to the sums.
struct Pass<'k> {
    key: &'k ExpandedKey,
    /// Where the first register begins: before the data, where it leads with another block.
    at: *mut u8,
    registers: usize,
    /// The octets of the first and of the last register that are data. The same where there is one register.
    first: u64,
    last: u64,
    /// The first register's counter blocks.
    counters: __m512i,
    /// The power of the first register's first lane.
    exponent: usize,
    /// Added to the first block: what came before.
    carry: __m512i,
}

#[inline(always)]
unsafe fn round_key(key: &ExpandedKey, round: usize) -> __m512i {
    // SAFETY: the caller has the instructions; round keys are 64 aligned octets each.
    unsafe { _mm512_load_si512(key.round_key(round).cast()) }
}

impl Pass<'_> {
    /// Registers `z..z + W`, of which the first may be the data's first and the last the data's last.
    #[inline(always)]
    unsafe fn batch<
        const ROUNDS: usize,
        const SEAL: bool,
        const W: usize,
        const FIRST: bool,
        const LAST: bool,
    >(
        &mut self,
        z: usize,
        sums: &mut Sums,
    ) -> __m512i {
        // SAFETY: the caller has the instructions; the masks, and the number of registers, keep loads and stores
        // within the data that `at` was made from.
        unsafe {
            let key = self.key;
            let mask = |w: usize| match (FIRST && w == 0, LAST && w == W - 1) {
                (true, true) => Some(self.first & self.last),
                (true, false) => Some(self.first),
                (false, true) => Some(self.last),
                (false, false) => None,
            };
            let place = |w: usize| self.at.wrapping_add((z + w) * 64);
            let step = _mm512_maskz_set1_epi32(0x8888, 4 << 24);
            let whiten = round_key(key, 0);
            let mut state = [_mm512_setzero_si512(); W];
            let mut counters = self.counters;
            for s in &mut state {
                *s = _mm512_xor_si512(counters, whiten);
                counters = _mm512_add_epi32(counters, step);
            }
            let mut data = [_mm512_setzero_si512(); W];
            for (w, data) in data.iter_mut().enumerate() {
                *data = match mask(w) {
                    Some(mask) => _mm512_maskz_loadu_epi8(mask, place(w).cast()),
                    None => _mm512_loadu_si512(place(w).cast()),
                };
            }
            for round in 1..ROUNDS {
                let k = round_key(key, round);
                for s in &mut state {
                    *s = _mm512_aesenc_epi128(*s, k);
                }
            }
            let last = round_key(key, ROUNDS);
            for w in 0..W {
                let out = _mm512_aesenclast_epi128(state[w], _mm512_xor_si512(last, data[w]));
                match mask(w) {
                    Some(mask) => _mm512_mask_storeu_epi8(place(w).cast(), mask, out),
                    None => _mm512_storeu_si512(place(w).cast(), out),
                }
                state[w] = out;
            }
            for w in 0..W {
                let cipher = match (SEAL, mask(w)) {
                    (false, _) => data[w],
                    (true, None) => state[w],
                    (true, Some(mask)) => _mm512_maskz_mov_epi8(mask, state[w]),
                };
                let mut blocks = bswap(cipher);
                if FIRST && w == 0 {
                    blocks = _mm512_xor_si512(blocks, self.carry);
                }
                accumulate(sums, blocks, powers(key, self.exponent - 4 * (z + w)));
            }
            self.counters = counters;
            state[0]
        }
    }

    /// All registers. Hands out the first one's result, whose first lane is E(J0) where that leads.
    #[inline(always)]
    unsafe fn run<const ROUNDS: usize, const SEAL: bool>(mut self, sums: &mut Sums) -> __m512i {
        // SAFETY: the caller has the instructions; as for `batch`.
        unsafe {
            match self.registers {
                1 => return self.batch::<ROUNDS, SEAL, 1, true, true>(0, sums),
                2 => return self.batch::<ROUNDS, SEAL, 2, true, true>(0, sums),
                3 => return self.batch::<ROUNDS, SEAL, 3, true, true>(0, sums),
                4 => return self.batch::<ROUNDS, SEAL, 4, true, true>(0, sums),
                _ => {}
            }
            let first = self.batch::<ROUNDS, SEAL, 4, true, false>(0, sums);
            let mut z = 4;
            while z + 4 < self.registers {
                self.batch::<ROUNDS, SEAL, 4, false, false>(z, sums);
                z += 4;
            }
            match self.registers - z {
                1 => self.batch::<ROUNDS, SEAL, 1, false, true>(z, sums),
                2 => self.batch::<ROUNDS, SEAL, 2, false, true>(z, sums),
                3 => self.batch::<ROUNDS, SEAL, 3, false, true>(z, sums),
                _ => self.batch::<ROUNDS, SEAL, 4, false, true>(z, sums),
            };
            first
        }
    }
}

/// Nonce, then zero where the counter goes.
#[inline(always)]
unsafe fn load_nonce(nonce: &[u8; 12]) -> __m128i {
    // SAFETY: the caller has the instructions; both loads are within the twelve octets.
    unsafe {
        let low = _mm_loadl_epi64(nonce.as_ptr().cast());
        let high = nonce.as_ptr().add(8).cast::<i32>().read_unaligned();
        _mm_insert_epi32::<2>(low, high)
    }
}

/// Counter blocks of a register whose first lane counts `first`, and the next three.
#[inline(always)]
unsafe fn counters(nonce: __m128i, first: u32) -> __m512i {
    // SAFETY: the caller has the instructions; instructions only.
    unsafe {
        let count = _mm512_add_epi32(
            _mm512_set1_epi32(first as i32),
            _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0),
        );
        let big_endian = _mm512_broadcast_i32x4(_mm_set_epi8(
            12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
        ));
        _mm512_or_si512(_mm512_broadcast_i32x4(nonce), _mm512_shuffle_epi8(count, big_endian))
    }
}

/// The length block, byte-reversed.
#[inline(always)]
unsafe fn length_block(aad: usize, payload: usize) -> __m128i {
    // SAFETY: the caller has the instructions.
    unsafe { _mm_set_epi64x((aad as i64) << 3, (payload as i64) << 3) }
}

/// What follows from a frame's key and lengths alone. Frames of a burst tend to share it.
struct Shape<'k> {
    key: &'k ExpandedKey,
    aad: usize,
    payload: usize,
    /// More blocks than there are powers.
    long: bool,
    /// J0 takes the first lane of the first register, which otherwise takes a register of its own.
    inline: bool,
    registers: usize,
    first: u64,
    last: u64,
    exponent: usize,
    counters: __m512i,
    /// Octets of AAD that go four blocks at a time, and the power of the first.
    aad_bulk: usize,
    aad_exponent: usize,
    /// The rest of the AAD shares a register with the length block: its octets, its powers.
    aad_rest: u64,
    length: __m512i,
    rest_powers: (__m512i, __m512i),
}

impl<'k> Shape<'k> {
    #[inline(always)]
    unsafe fn of(key: &'k ExpandedKey, aad: usize, payload: usize) -> Self {
        // SAFETY: the caller has the instructions; the exponents are within 1 to `POWERS`.
        unsafe {
            let blocks = payload.div_ceil(16);
            let aad_blocks = aad.div_ceil(16);
            let inline = !blocks.is_multiple_of(4);
            let lead = if inline { 16 } else { 0 };
            let total = payload + lead;
            // A lead takes a power of its own, though its lane is empty.
            let long = (aad_blocks + blocks + 1).max(blocks + 2) > POWERS;
            let registers = total.div_ceil(64);
            let first = octets(lead, total);
            let last = octets(0, total.saturating_sub(64 * registers.saturating_sub(1)));
            // Down to three blocks, which leave a lane for the length.
            let aad_bulk = if aad > SHORT_AAD { (aad - SHORT_AAD).next_multiple_of(64) } else { 0 };
            let aad_exponent = if long { 1 } else { aad_blocks + blocks + 1 };
            let rest_exponent = aad_exponent.saturating_sub(aad_bulk / 16).max(1);
            let (h, k) = powers(key, rest_exponent);
            let (h1, k1) = powers(key, 1);
            let in_last_lane =
                |v, one: __m512i| _mm512_mask_broadcast_i32x4(v, 0xf000, _mm512_castsi512_si128(one));
            Shape {
                key,
                aad,
                payload,
                long,
                inline,
                registers,
                first,
                last,
                exponent: blocks + 1 + usize::from(inline),
                counters: counters(_mm_setzero_si128(), if inline { 1 } else { 2 }),
                aad_bulk,
                aad_exponent,
                aad_rest: octets(0, aad.saturating_sub(aad_bulk)),
                length: _mm512_maskz_broadcast_i32x4(0xf000, length_block(aad, payload)),
                rest_powers: (in_last_lane(h, h1), in_last_lane(k, k1)),
            }
        }
    }

    #[inline(always)]
    fn fits(&self, op: &Op<'_>) -> bool {
        self.aad == op.aad.len() && self.payload == op.payload.len() && core::ptr::eq(self.key, expanded(op))
    }

    /// Adds AAD and length block.
    #[inline(always)]
    unsafe fn header(&self, op: &Op<'_>, sums: &mut Sums) {
        // SAFETY: the caller has the instructions; the masks keep the loads within the AAD, whose length is the shape's.
        unsafe {
            let mut done = 0;
            while done < self.aad_bulk {
                let mask = octets(0, self.aad - done);
                let blocks = _mm512_maskz_loadu_epi8(mask, op.aad.as_ptr().wrapping_add(done).cast());
                accumulate(sums, bswap(blocks), powers(self.key, self.aad_exponent - done / 16));
                done += 64;
            }
            let blocks = _mm512_maskz_loadu_epi8(self.aad_rest, op.aad.as_ptr().wrapping_add(done).cast());
            accumulate(sums, _mm512_or_si512(bswap(blocks), self.length), self.rest_powers);
        }
    }
}

/// E(J0) on its own.
#[inline(always)]
unsafe fn encrypt_j0<const ROUNDS: usize>(key: &ExpandedKey, nonce: __m128i) -> __m128i {
    // SAFETY: the caller has the instructions; round keys are 64 aligned octets each.
    unsafe {
        let narrow = |round| _mm_load_si128(key.round_key(round).cast());
        let mut block = _mm_xor_si128(_mm_insert_epi32::<3>(nonce, 1 << 24), narrow(0));
        for round in 1..ROUNDS {
            block = _mm_aesenc_si128(block, narrow(round));
        }
        _mm_aesenclast_si128(block, narrow(ROUNDS))
    }
}

/// The key of an operation that was handed to this back end.
#[inline(always)]
fn expanded<'a>(op: &Op<'a>) -> &'a ExpandedKey {
    match &op.key.0 {
        Expanded::Vaes512(_, key) => key,
        _ => unreachable!("a key of another back end"),
    }
}

/// One frame: its sums over all lanes, still to be added up and reduced, and E(J0).
#[inline(always)]
unsafe fn frame<const ROUNDS: usize, const SEAL: bool>(
    shape: &Shape<'_>,
    op: &mut Op<'_>,
) -> (Sums, __m128i) {
    // SAFETY: the caller has the instructions; the payload's length is the shape's, so that the masks keep the pass within it.
    unsafe {
        if shape.long {
            return long_frame::<ROUNDS, SEAL>(op);
        }
        let nonce = load_nonce(&op.nonce);
        let zero = _mm512_setzero_si512();
        let mut sums = [zero; 3];
        shape.header(op, &mut sums);
        if shape.registers == 0 {
            return (sums, encrypt_j0::<ROUNDS>(shape.key, nonce));
        }
        let lead = if shape.inline { 16 } else { 0 };
        let pass = Pass {
            key: shape.key,
            at: op.payload.as_mut_ptr().wrapping_sub(lead),
            registers: shape.registers,
            first: shape.first,
            last: shape.last,
            counters: _mm512_or_si512(_mm512_broadcast_i32x4(nonce), shape.counters),
            exponent: shape.exponent,
            carry: zero,
        };
        let out = pass.run::<ROUNDS, SEAL>(&mut sums);
        let j0 =
            if shape.inline { _mm512_castsi512_si128(out) } else { encrypt_j0::<ROUNDS>(shape.key, nonce) };
        (sums, j0)
    }
}

/// Adds up four lanes.
#[inline(always)]
unsafe fn fold(v: __m512i) -> __m128i {
    // SAFETY: the caller has the instructions; instructions only.
    unsafe {
        let half = _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v));
        _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
    }
}

/// A frame of more blocks than there are powers: chunk by chunk, each reduced and carried into the next.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,aes,pclmulqdq,sse4.1,bmi2")]
unsafe fn long_frame<const ROUNDS: usize, const SEAL: bool>(job: &mut Op<'_>) -> (Sums, __m128i) {
    // SAFETY: the caller has the instructions; each chunk and its masks stay within AAD and payload.
    unsafe {
        let key = expanded(job);
        let nonce = load_nonce(&job.nonce);
        let zero = _mm512_setzero_si512();
        let mut carry = zero;
        let close = |sums: Sums| _mm512_zextsi128_si512(reduce(sums.map(|s| fold(s))));

        let (mut at, mut left) = (job.aad.as_ptr(), job.aad.len());
        while left > 0 {
            let now = left.min(16 * POWERS);
            let mut sums = [zero; 3];
            for z in 0..now.div_ceil(64) {
                let blocks = _mm512_maskz_loadu_epi8(octets(0, now - 64 * z), at.wrapping_add(64 * z).cast());
                let blocks = _mm512_xor_si512(bswap(blocks), core::mem::replace(&mut carry, zero));
                accumulate(&mut sums, blocks, powers(key, now.div_ceil(16) - 4 * z));
            }
            carry = close(sums);
            at = at.wrapping_add(now);
            left -= now;
        }

        let (mut at, mut left, mut count) = (job.payload.as_mut_ptr(), job.payload.len(), 2u32);
        while left > 0 {
            // The counter's last octet does not overflow inside a chunk, so that it can be counted as it is.
            let room = POWERS - count as usize % POWERS;
            let now = left.min(16 * room);
            let mut sums = [zero; 3];
            let counters = counters(nonce, count);
            let registers = now.div_ceil(64);
            let last = octets(0, now - 64 * (registers - 1));
            let exponent = now.div_ceil(16);
            let pass = Pass { key, at, registers, first: u64::MAX, last, counters, exponent, carry };
            pass.run::<ROUNDS, SEAL>(&mut sums);
            carry = close(sums);
            at = at.wrapping_add(now);
            left -= now;
            count = count.wrapping_add(room as u32);
        }

        let (h1, k1) = key.powers(1);
        let block =
            _mm_xor_si128(_mm512_castsi512_si128(carry), length_block(job.aad.len(), job.payload.len()));
        let products = multiply(block, _mm_loadu_si128(h1.cast()), _mm_loadu_si128(k1.cast()));
        (products.map(|p| _mm512_zextsi128_si512(p)), encrypt_j0::<ROUNDS>(key, nonce))
    }
}

/// Adds up the lanes of four registers, one result a lane.
#[inline(always)]
unsafe fn fold_four([a, b, c, d]: [__m512i; 4]) -> __m512i {
    // SAFETY: the caller has the instructions; instructions only.
    unsafe {
        let ab = _mm512_xor_si512(_mm512_shuffle_i64x2::<0x44>(a, b), _mm512_shuffle_i64x2::<0xee>(a, b));
        let cd = _mm512_xor_si512(_mm512_shuffle_i64x2::<0x44>(c, d), _mm512_shuffle_i64x2::<0xee>(c, d));
        _mm512_xor_si512(_mm512_shuffle_i64x2::<0x88>(ab, cd), _mm512_shuffle_i64x2::<0xdd>(ab, cd))
    }
}

/// As [`reduce`], a result a lane.
#[inline(always)]
unsafe fn reduce_four([low, middle, high]: Sums) -> __m512i {
    // SAFETY: the caller has the instructions; instructions only.
    unsafe {
        let poly = _mm512_broadcast_i32x4(_mm_set_epi64x(0, POLY as i64));
        let times_x_to_minus_64 =
            |v| _mm512_xor_si512(_mm512_shuffle_epi32::<0x4e>(v), _mm512_clmulepi64_epi128::<0x00>(v, poly));
        let middle = _mm512_ternarylogic_epi64::<0x96>(middle, low, high);
        let low = _mm512_xor_si512(low, _mm512_bslli_epi128::<8>(middle));
        let high = _mm512_xor_si512(high, _mm512_bsrli_epi128::<8>(middle));
        _mm512_xor_si512(times_x_to_minus_64(times_x_to_minus_64(low)), high)
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,aes,pclmulqdq,sse4.1,bmi2")]
unsafe fn run<const SEAL: bool>(ops: &mut [Op<'_>]) -> u64 {
    // SAFETY: the caller has the instructions; tags have sixteen octets; the shape is made for each operation that it is used for.
    unsafe {
        let zero = _mm512_setzero_si512();
        let mut authentic = 0;
        let Some(op) = ops.first() else { return 0 };
        let mut shape = Shape::of(expanded(op), op.aad.len(), op.payload.len());
        for (number, group) in ops.chunks_mut(4).enumerate() {
            let mut sums = [[zero; 4]; 3];
            let mut j0 = [_mm_setzero_si128(); 4];
            for (i, op) in group.iter_mut().enumerate() {
                if !shape.fits(op) {
                    shape = Shape::of(expanded(op), op.aad.len(), op.payload.len());
                }
                let (products, mask) = match shape.key.rounds() {
                    10 => frame::<10, SEAL>(&shape, op),
                    _ => frame::<14, SEAL>(&shape, op),
                };
                for (sum, product) in sums.iter_mut().zip(products) {
                    sum[i] = product;
                }
                j0[i] = mask;
            }
            let hash = bswap(reduce_four(sums.map(|s| fold_four(s))));
            let lanes = [
                _mm512_castsi512_si128(hash),
                _mm512_extracti32x4_epi32::<1>(hash),
                _mm512_extracti32x4_epi32::<2>(hash),
                _mm512_extracti32x4_epi32::<3>(hash),
            ];
            for (i, op) in group.iter_mut().enumerate() {
                let tag = _mm_xor_si128(lanes[i], j0[i]);
                if SEAL {
                    _mm_storeu_si128(op.tag.as_mut_ptr().cast(), tag);
                } else {
                    let wrong = _mm_xor_si128(tag, _mm_loadu_si128(op.tag.as_ptr().cast()));
                    let right = _mm_testz_si128(wrong, wrong) == 1;
                    authentic |= u64::from(right) << (4 * number + i);
                    if !right {
                        op.payload.fill(0);
                    }
                }
            }
        }
        if SEAL { u64::MAX } else { authentic }
    }
}
