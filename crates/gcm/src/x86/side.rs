//! Short frames of one shape and key, as many at a time as a register has blocks, which are two or four.

use super::each;
use super::ghash::{accumulate, accumulate_two, reduce_all};
use super::key::ExpandedKey;
use super::pass::Pass;
use super::shape::{Shape, first_counts};
use super::vector::{Vector, unforeseen};
use crate::burst::Op;
use core::arch::x86_64::*;
use core::mem;

/// `N` frames of so many registers each, on their way, and what they share with those after them.
///
/// All rounds but the last of these frames, and between them all that is left to do of those before: the core does not
/// look so far ahead as to find that by itself. On AVX2 two and not four, since for four there are too few registers.
///
/// `PACKED` is the shape's. Frames that are `WHOLE` have payload to the end of their last register; others may have.
struct Side<
    'a,
    V,
    const N: usize,
    const ROUNDS: usize,
    const SEAL: bool,
    const REGISTERS: usize,
    const PACKED: bool,
    const WHOLE: bool,
> {
    /// Not behind a pointer, to which stores of payload might go as far as the compiler knows.
    shape: Shape,
    key: &'a ExpandedKey,
    /// What the length block adds to each.
    lengths: [V; 3],
    /// Each register of all frames before the last round; and their E(J0), too, where they do not lead.
    states: [[V; N]; REGISTERS],
    masks: V,
}

impl<
    V: Vector,
    const N: usize,
    const ROUNDS: usize,
    const SEAL: bool,
    const REGISTERS: usize,
    const PACKED: bool,
    const WHOLE: bool,
> Side<'_, V, N, ROUNDS, SEAL, REGISTERS, PACKED, WHOLE>
{
    /// Begins with some frames, where `BEGIN` says so, and ends with those before, where `END` does. Says which of these
    /// are authentic; all that were sealed are.
    #[inline(always)]
    unsafe fn turn<const BEGIN: bool, const END: bool>(
        &mut self,
        next: [*mut Op<'_>; N],
        last: [*mut Op<'_>; N],
    ) -> [bool; N] {
        // SAFETY: the caller has the instructions, and vouches for the operations, which are of this shape; that has so
        // many registers, and is `PACKED` and `WHOLE` as it says.
        unsafe {
            const { Self::IN_ORDER };
            let (shape, key) = (&self.shape, &*unforeseen(self.key));
            let rounds = key.rounds_of::<ROUNDS>();
            let mut states = [[V::zero(); N]; REGISTERS];
            let mut masks = V::zero();
            if const { BEGIN } {
                // One round for all registers of a frame; for one it is nothing saved.
                let counts = if REGISTERS == 1 { first_counts(PACKED) } else { key.counts_of_frame(PACKED) };
                each!(i < N; {
                    let nonce = V::repeat((*next[i]).padded_nonce().as_ptr());
                    if const { REGISTERS == 1 } {
                        states[0][i] = Pass::first_round(key, nonce.xor(V::load(counts)));
                    } else {
                        let nonce = Pass::first_round(key, nonce);
                        each!(register < REGISTERS; {
                            let counts = V::load(counts.wrapping_add(register * 16 * V::BLOCKS));
                            states[register][i] = nonce.xor(counts);
                        }; 0 1 2 3 4);
                    }
                }; 0 1 2 3);
                if const { !PACKED } {
                    const ONE: [u8; 16] = 1u128.to_be_bytes();
                    let mut nonces = [_mm_setzero_si128(); N];
                    each!(i < N; {
                        nonces[i] = _mm_loadu_si128((*next[i]).padded_nonce().as_ptr().cast());
                    }; 0 1 2 3);
                    let nonces = V::join(&nonces);
                    masks = Pass::first_round(key, nonces.xor(V::repeat(ONE.as_ptr())));
                }
            }
            // Before the last round, and then what is hashed.
            let mut before = self.states;
            // Before anything is stored: a store by a mask keeps loads waiting that reach into where it may have stored.
            let mut leads = V::zero();
            if const { END && PACKED } {
                leads = Self::lead_blocks(shape, last);
            }
            let mut sums = self.lengths;
            let last_key = V::load(key.round_key(rounds));
            let (h, k) = key.powers_at(shape.powers);
            macro_rules! rounds {
                ($($round:literal)*) => {$(
                    if const { BEGIN } {
                        Self::round(key, $round, &mut states, &mut masks);
                    }
                    if const { END } {
                        // All of it spread over the rounds.
                        // Before anything is stored by a mask, see above; on AVX2 nothing is.
                        if const { $round == if N == 2 { 6 } else { 2 } } {
                            Self::hash_aad(shape, key, last, &mut sums);
                        }
                        Self::finish_some::<$round>(shape, last, &mut before, &mut leads, last_key);
                        Self::hash_some::<$round>(h, k, &before, &mut sums);
                    }
                    if const { BEGIN && END } {
                        Self::fence(&mut states, &mut before, &mut sums);
                    }
                )*};
            }
            rounds!(2 3 4 5 6 7 8 9);
            let mut authentic = [true; N];
            if const { END } {
                let masks = if PACKED { leads } else { self.masks.last_round(last_key) };
                let tags = reduce_all(sums).reverse().xor(masks);
                let mut each_one = [_mm_setzero_si128(); N];
                if const { SEAL } {
                    tags.split(&mut each_one);
                    each!(i < N; _mm_storeu_si128((*last[i]).tag.as_mut_ptr().cast(), each_one[i]); 0 1 2 3);
                } else {
                    each!(i < N; each_one[i] = _mm_loadu_si128((*last[i]).tag.as_ptr().cast()); 0 1 2 3);
                    let wrong = tags.xor(V::join(&each_one));
                    if !wrong.is_zero() {
                        wrong.split(&mut each_one);
                        for (i, wrong) in each_one.into_iter().enumerate() {
                            if _mm_testz_si128(wrong, wrong) == 0 {
                                authentic[i] = false;
                                (*last[i]).payload_mut().fill(0);
                            }
                        }
                    }
                }
            }
            if const { BEGIN } {
                for round in 10..rounds {
                    Self::round(key, round, &mut states, &mut masks);
                }
                (self.states, self.masks) = (states, masks);
            }
            authentic
        }
    }

    /// A round of all frames.
    #[inline(always)]
    unsafe fn round(key: &ExpandedKey, round: usize, states: &mut [[V; N]; REGISTERS], masks: &mut V) {
        // SAFETY: the caller has the instructions.
        unsafe {
            let round_key = V::load(key.round_key(round));
            each!(register < REGISTERS; each!(i < N; {
                states[register][i] = states[register][i].round(round_key);
            }; 0 1 2 3); 0 1 2 3 4);
            if const { !PACKED } {
                *masks = masks.round(round_key);
            }
        }
    }

    /// Finishes what of all frames has its turn in a round of the next ones. `leads` is what is hashed in the place of E(J0),
    /// and then these, where they lead.
    #[inline(always)]
    unsafe fn finish_some<const ROUND: usize>(
        shape: &Shape,
        ops: [*mut Op<'_>; N],
        before: &mut [[V; N]; REGISTERS],
        leads: &mut V,
        last_key: V,
    ) {
        // SAFETY: as for `finish`.
        unsafe {
            each!(register < REGISTERS; each!(i < N; {
                if const { ROUND == Self::finished_in(register, i) } {
                    Self::finish(shape, ops[i], register, &mut before[register][i], last_key);
                    if const { i + 1 == N } {
                        // Their first blocks side by side, then their second ones, and so on.
                        let all = before[register];
                        let blocks = V::transpose([all[0], all[1], all[2 % N], all[3 % N]]);
                        each!(block < N; {
                            before[register][block] = if const { register == 0 && block == 0 && PACKED } {
                                mem::replace(leads, blocks[block][0])
                            } else {
                                blocks[block][0].reverse()
                            };
                        }; 0 1 2 3);
                    }
                }
            }; 0 1 2 3); 0 1 2 3 4);
        }
    }

    /// Hashes what has its turn, times the powers that stand from there on.
    #[inline(always)]
    unsafe fn hash_some<const ROUND: usize>(
        h: *const u8,
        k: *const u8,
        before: &[[V; N]; REGISTERS],
        sums: &mut [V; 3],
    ) {
        // SAFETY: the caller has the instructions, and vouches for the powers.
        unsafe {
            each!(register < REGISTERS; each!(block < N; {
                // The compiler asks of frames without registers, too.
                if const { REGISTERS > 0 && ROUND == Self::hashed_in(register, block) } {
                    let power = |at: *const u8, of: usize| {
                        V::repeat(at.wrapping_add(16 * (register * V::BLOCKS + of)))
                    };
                    if const { N == 2 } {
                        accumulate(sums, before[register][block], power(h, block), power(k, block));
                    } else if const { block % 2 == 1 } {
                        let two = |at| [power(at, block & 2), power(at, block)];
                        let blocks = [before[register][block & 2], before[register][block]];
                        accumulate_two(sums, blocks, two(h), two(k));
                    }
                }
            }; 0 1 2 3); 0 1 2 3 4);
        }
    }

    /// The round in which a register of a frame is finished.
    const fn finished_in(register: usize, i: usize) -> usize {
        match (N, REGISTERS) {
            (2, 1 | 2) => 2 + 2 * register + i,
            (2, _) => 2 + register,
            _ => 2 + (N * register + i) / 2,
        }
    }

    /// The round in which a block of all frames is hashed; of four two are together, in that of the second.
    const fn hashed_in(register: usize, block: usize) -> usize {
        let block = if N == 4 { block | 1 } else { block };
        match N {
            2 => 4 + 3 * (2 * register + block) / REGISTERS,
            _ if REGISTERS == 1 => 4 + block,
            _ if REGISTERS == 2 => 5 + (N * register + block) / 2,
            _ => 4 + 6 * (N * register + block) / (N * REGISTERS),
        }
    }

    /// Everything has its turn, and no block is hashed before its register is finished in all frames.
    const IN_ORDER: () = {
        // The compiler asks of others, too.
        let mut at = if N == V::BLOCKS && REGISTERS <= V::SHORT { 0 } else { N * REGISTERS };
        while at < N * REGISTERS {
            let hashed = Self::hashed_in(at / N, at % N);
            assert!(Self::finished_in(at / N, N - 1) <= hashed && hashed <= 9);
            at += 1;
        }
    };

    /// The last round of a register, and what that does to the payload. What is to be hashed takes its place, and E(J0) that
    /// of what is hashed there, where it leads.
    #[inline(always)]
    unsafe fn finish(shape: &Shape, op: *mut Op<'_>, register: usize, state: &mut V, last_key: V) {
        // SAFETY: as for `turn`. Masks keep loads and stores within the payload; the last register of several has the
        // payload's octets before it.
        unsafe {
            let begins = register == 0 && PACKED;
            let ends = register + 1 == REGISTERS && !WHOLE;
            let at = (*op).payload_at().wrapping_sub(if PACKED { 16 } else { 0 });
            let at = at.wrapping_add(register * 16 * V::BLOCKS);
            let data = match (begins, ends) {
                (false, false) => V::load(at),
                (true, false) => V::load_rest(at),
                (false, true) if register > 0 => V::load_end(at, shape.last),
                (_, true) => V::load_part(at, shape.last),
            };
            let out = state.last_round(last_key.xor(data));
            match (begins, ends) {
                (false, false) => out.store(at),
                (true, false) => out.store_rest(at),
                (false, true) if register > 0 => out.store_end(at, shape.last),
                (_, true) => out.store_part(at, shape.last),
            }
            let mut hashed = match (SEAL, begins) {
                (true, _) => out,
                (false, true) => data.with_first(out),
                (false, false) => data,
            };
            if SEAL && ends {
                hashed = hashed.keep(if begins { shape.last | 0xffff } else { shape.last });
            }
            *state = hashed;
        }
    }

    /// The last block of the AAD of all frames, reversed.
    #[inline(always)]
    unsafe fn lead_blocks(shape: &Shape, ops: [*mut Op<'_>; N]) -> V {
        /// Reverses the last octets of a block: so many as the place has that one begins at.
        const REVERSED: [u8; 32] = {
            let mut from = [0x80; 32];
            let mut i = 16;
            while i < 32 {
                from[i] = 31 - i as u8;
                i += 1;
            }
            from
        };
        // SAFETY: as for `turn`; there is AAD of a block at least, of which this has 1 to 16 octets.
        unsafe {
            let octets = shape.lead.trailing_ones() as usize;
            let end = shape.lead_at + octets;
            let mut blocks = [_mm_setzero_si128(); N];
            each!(i < N; {
                blocks[i] = _mm_loadu_si128((*ops[i]).aad_at().wrapping_add(end).wrapping_sub(16).cast());
            }; 0 1 2 3);
            V::join(&blocks).shuffle(V::repeat(REVERSED.as_ptr().add(octets)))
        }
    }

    /// Hashes the AAD that is in no lead.
    #[inline(always)]
    unsafe fn hash_aad(shape: &Shape, key: &ExpandedKey, ops: [*mut Op<'_>; N], sums: &mut [V; 3]) {
        // SAFETY: as for `turn`; the first block is whole.
        unsafe {
            for number in 0..shape.left {
                let octets = shape.aad_octets - 16 * number;
                let mut blocks = [_mm_setzero_si128(); N];
                each!(i < N; {
                    let at = (*ops[i]).aad_at().add(16 * number);
                    blocks[i] = if number == 0 { V::block(at, 16) } else { V::block_end(at, octets) };
                }; 0 1 2 3);
                let blocks = V::join(&blocks).reverse();
                let (h, k) = key.powers_at(shape.aad_powers + number);
                accumulate(sums, blocks, V::repeat(h), V::repeat(k));
            }
        }
    }

    /// [`Vector::fence`], where there is enough to move and room for it in registers.
    #[inline(always)]
    unsafe fn fence(states: &mut [[V; N]; REGISTERS], before: &mut [[V; N]; REGISTERS], sums: &mut [V; 3]) {
        let (states, before) = (states.as_flattened_mut(), before.as_flattened_mut());
        // SAFETY: the caller has the instructions.
        unsafe {
            if let ([a, b, c, d], [e, f, g, h]) = (&mut *states, before) {
                let mut all = [*a, *b, *c, *d, *e, *f, *g, *h];
                V::fence(&mut all, sums);
                [*a, *b, *c, *d, *e, *f, *g, *h] = all;
            } else if let (4, [a, b, c, d, e, f, g, h]) = (N, states) {
                let mut all = [*a, *b, *c, *d, *e, *f, *g, *h];
                V::fence(&mut all, sums);
                [*a, *b, *c, *d, *e, *f, *g, *h] = all;
            }
        }
    }

    /// Frames of this kind, as [`side_by_side`].
    #[inline(always)]
    unsafe fn run(mut self, all: *mut Op<'_>, places: *const u8, count: usize) -> u64 {
        // SAFETY: the caller has the instructions, and vouches for the places and for the shape.
        unsafe {
            let ops = |n: usize| {
                let mut ops = [all; N];
                for (i, op) in ops.iter_mut().enumerate() {
                    *op = all.add((*places.add(n + i)).into());
                }
                ops
            };
            let bits = |n: usize, authentic: [bool; N]| {
                let mut bits = 0;
                for (i, authentic) in authentic.into_iter().enumerate() {
                    bits |= u64::from(authentic) << *places.add(n + i);
                }
                bits
            };
            let mut last = ops(0);
            self.turn::<true, false>(last, last);
            let (mut authentic, mut n) = (0, N);
            while n < count {
                let next = ops(n);
                authentic |= bits(n - N, self.turn::<true, true>(next, last));
                (last, n) = (next, n + N);
            }
            authentic | bits(n - N, self.turn::<false, true>(last, last))
        }
    }
}

/// So many frames of one shape and key, a multiple of `N`, which is the number of blocks that a register has, of so many
/// registers each, at these places; they have AAD of a block at least. A bit each says which are authentic.
#[inline(always)]
pub(super) unsafe fn side_by_side<
    V: Vector,
    const N: usize,
    const ROUNDS: usize,
    const SEAL: bool,
    const REGISTERS: usize,
>(
    shape: &Shape,
    key: &ExpandedKey,
    lengths: [V; 3],
    all: *mut Op<'_>,
    places: *const u8,
    count: usize,
) -> u64 {
    if const { V::BLOCKS != N || REGISTERS > V::SHORT } {
        unreachable!("not frames to be side by side");
    }
    // Most short frames have two registers of two blocks, or one or two of four; of more it is not worth the compiler's time.
    let whole = (REGISTERS == 2 || N == 4 && REGISTERS == 1) && shape.last >> (16 * V::BLOCKS - 1) & 1 == 1;
    macro_rules! run {
        ($packed:literal, $whole:literal) => {{
            let (states, masks) = ([[V::zero(); N]; REGISTERS], V::zero());
            let side = Side::<V, N, ROUNDS, SEAL, REGISTERS, $packed, $whole> {
                shape: *shape,
                key,
                lengths,
                states,
                masks,
            };
            side.run(all, places, count)
        }};
    }
    // SAFETY: as the caller of both; the shape is as it says.
    unsafe {
        match (shape.packed, whole) {
            (true, true) => run!(true, true),
            (true, false) => run!(true, false),
            (false, true) => run!(false, true),
            (false, false) => run!(false, false),
        }
    }
}
