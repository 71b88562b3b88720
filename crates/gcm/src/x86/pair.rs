//! Short frames of one shape and key, two at a time, for registers of two blocks.

use super::each;
use super::ghash::{accumulate, reduce_all};
use super::key::ExpandedKey;
use super::pass::Pass;
use super::shape::Shape;
use super::vector::{Vector, unforeseen};
use crate::burst::Op;
use core::arch::x86_64::*;

/// Two frames of so many registers each, on their way, and what they share with those after them.
///
/// All rounds but the last of two frames, and between these all that is left to do of the two before: the core does not
/// look so far ahead as to find that by itself. Two and not four, since for four there are too few registers.
///
/// `PACKED` is the shape's. Frames that are `WHOLE` have payload to the end of their last register; others may have.
struct Pairs<
    'a,
    V,
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
    /// Each register of both frames before the last round; and both E(J0), too, where they do not lead.
    states: [[V; 2]; REGISTERS],
    masks: V,
}

impl<
    V: Vector,
    const ROUNDS: usize,
    const SEAL: bool,
    const REGISTERS: usize,
    const PACKED: bool,
    const WHOLE: bool,
> Pairs<'_, V, ROUNDS, SEAL, REGISTERS, PACKED, WHOLE>
{
    /// Begins with two frames, where `BEGIN` says so, and ends with those before, where `END` does. Says which of these
    /// are authentic; all that were sealed are.
    #[inline(always)]
    unsafe fn turn<const BEGIN: bool, const END: bool>(
        &mut self,
        next: [*mut Op<'_>; 2],
        last: [*mut Op<'_>; 2],
    ) -> [bool; 2] {
        // SAFETY: the caller has the instructions, and vouches for the operations, which are of this shape; that has so
        // many registers, and is `PACKED` and `WHOLE` as it says.
        unsafe {
            let (shape, key) = (&self.shape, &*unforeseen(self.key));
            let rounds = key.rounds_of::<ROUNDS>();
            let mut states = [[V::zero(); 2]; REGISTERS];
            let mut masks = V::zero();
            if const { BEGIN } {
                let counts = key.counts_of_frame(PACKED);
                each!(i in 0 1; {
                    let nonce = Pass::first_round(key, V::repeat((*next[i]).padded_nonce().as_ptr()));
                    each!(register < REGISTERS; {
                        let counts = V::load(counts.wrapping_add(register * 16 * V::BLOCKS));
                        states[register][i] = nonce.xor(counts);
                    }; 0 1 2 3 4);
                });
                if const { !PACKED } {
                    const ONE: [u8; 16] = 1u128.to_be_bytes();
                    let nonce = |i: usize| _mm_loadu_si128((*next[i]).padded_nonce().as_ptr().cast());
                    let nonces = V::join(&[nonce(0), nonce(1)]);
                    masks = Pass::first_round(key, nonces.xor(V::repeat(ONE.as_ptr())));
                }
            }
            // Before the last round, and then what is hashed.
            let mut before = self.states;
            let mut leads = [_mm_setzero_si128(); 2];
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
                        Self::finish_some::<$round>(shape, last, &mut before, &mut leads, last_key);
                        Self::hash_some::<$round>(h, k, &before, &mut sums);
                        if $round == 6 {
                            Self::hash_aad(shape, key, last, &mut sums);
                        }
                    }
                    if const { BEGIN && END } {
                        Self::fence(&mut states, &mut before, &mut sums);
                    }
                )*};
            }
            rounds!(2 3 4 5 6 7 8 9);
            let mut authentic = [true; 2];
            if const { END } {
                let masks = if PACKED { V::join(&leads) } else { self.masks.last_round(last_key) };
                let tags = reduce_all(sums).reverse().xor(masks);
                let mut both = [_mm_setzero_si128(); 2];
                if const { SEAL } {
                    tags.split(&mut both);
                    each!(i in 0 1; _mm_storeu_si128((*last[i]).tag.as_mut_ptr().cast(), both[i]));
                } else {
                    let tag = |i: usize| _mm_loadu_si128((*last[i]).tag.as_ptr().cast());
                    tags.xor(V::join(&[tag(0), tag(1)])).split(&mut both);
                    let any = _mm_or_si128(both[0], both[1]);
                    if _mm_testz_si128(any, any) == 0 {
                        for (i, wrong) in both.into_iter().enumerate() {
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

    /// A round of both frames.
    #[inline(always)]
    unsafe fn round(key: &ExpandedKey, round: usize, states: &mut [[V; 2]; REGISTERS], masks: &mut V) {
        // SAFETY: the caller has the instructions.
        unsafe {
            let round_key = V::load(key.round_key(round));
            each!(register < REGISTERS; each!(i in 0 1; {
                states[register][i] = states[register][i].round(round_key);
            }); 0 1 2 3 4);
            if const { !PACKED } {
                *masks = masks.round(round_key);
            }
        }
    }

    /// Finishes what of both frames has its turn in a round of the next two.
    #[inline(always)]
    unsafe fn finish_some<const ROUND: usize>(
        shape: &Shape,
        ops: [*mut Op<'_>; 2],
        before: &mut [[V; 2]; REGISTERS],
        leads: &mut [__m128i; 2],
        last_key: V,
    ) {
        // SAFETY: as for `finish`.
        unsafe {
            each!(register < REGISTERS; each!(i in 0 1; {
                if const { ROUND == 2 + if REGISTERS > 2 { register } else { 2 * register + i } } {
                    let (state, lead) = (&mut before[register][i], &mut leads[i]);
                    Self::finish(shape, ops[i], register, state, lead, last_key);
                }
            }); 0 1 2 3 4);
        }
    }

    /// Hashes what has its turn, times the powers that stand from there on.
    #[inline(always)]
    unsafe fn hash_some<const ROUND: usize>(
        h: *const u8,
        k: *const u8,
        before: &[[V; 2]; REGISTERS],
        sums: &mut [V; 3],
    ) {
        // SAFETY: the caller has the instructions, and vouches for the powers.
        unsafe {
            each!(register < REGISTERS; each!(block in 0 1; {
                // The compiler asks of frames without registers, too.
                if const { REGISTERS > 0 && ROUND == 4 + 3 * (2 * register + block) / REGISTERS } {
                    let [a, b] = before[register];
                    let blocks = V::transpose([a, b, a, b])[block][0];
                    let at = 16 * (register * V::BLOCKS + block);
                    let (h, k) = (h.wrapping_add(at), k.wrapping_add(at));
                    accumulate(sums, blocks, V::repeat(h), V::repeat(k));
                }
            }); 0 1 2 3 4);
        }
    }

    /// The last round of a register, and what that does to the payload. What is to be hashed takes its place, and E(J0)
    /// is in `lead` where it leads.
    #[inline(always)]
    unsafe fn finish(
        shape: &Shape,
        op: *mut Op<'_>,
        register: usize,
        state: &mut V,
        lead: &mut __m128i,
        last_key: V,
    ) {
        // SAFETY: as for `turn`. Masks keep loads and stores within the payload; the last register of several has the
        // payload's octets before it, and the last block of AAD others of AAD or is a whole one.
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
            let mut hashed = if SEAL { out } else { data };
            if SEAL && ends {
                hashed = hashed.keep(shape.last);
            }
            if begins {
                *lead = out.low();
                let at = (*op).aad_at().wrapping_add(shape.lead_at);
                hashed = hashed.with_first(V::first_end(at, shape.lead));
            }
            *state = hashed.reverse();
        }
    }

    /// Hashes the AAD that is in no lead.
    #[inline(always)]
    unsafe fn hash_aad(shape: &Shape, key: &ExpandedKey, ops: [*mut Op<'_>; 2], sums: &mut [V; 3]) {
        // SAFETY: as for `turn`; the first block is whole.
        unsafe {
            for number in 0..shape.left {
                let octets = shape.aad_octets - 16 * number;
                let block = |i: usize| {
                    let at = (*ops[i]).aad_at().add(16 * number);
                    if number == 0 { V::block(at, 16) } else { V::block_end(at, octets) }
                };
                let blocks = V::join(&[block(0), block(1)]).reverse();
                let (h, k) = key.powers_at(shape.aad_powers + number);
                accumulate(sums, blocks, V::repeat(h), V::repeat(k));
            }
        }
    }

    /// [`Vector::fence`] for frames of two registers. With more not all is in registers; with one there is little to move.
    #[inline(always)]
    unsafe fn fence(states: &mut [[V; 2]; REGISTERS], before: &mut [[V; 2]; REGISTERS], sums: &mut [V; 3]) {
        if let ([[a, b], [c, d]], [[e, f], [g, h]]) = (&mut states[..], &mut before[..]) {
            let mut all = [*a, *b, *c, *d, *e, *f, *g, *h];
            // SAFETY: the caller has the instructions.
            unsafe { V::fence(&mut all, sums) };
            [*a, *b, *c, *d, *e, *f, *g, *h] = all;
        }
    }

    /// Frames of this kind, as [`pairs`].
    #[inline(always)]
    unsafe fn run(mut self, all: *mut Op<'_>, places: *const u8, count: usize) -> u64 {
        // SAFETY: the caller has the instructions, and vouches for the places and for the shape.
        unsafe {
            let op = |n: usize| all.add((*places.add(n)).into());
            let bits = |n: usize, [first, second]: [bool; 2]| {
                u64::from(first) << *places.add(n) | u64::from(second) << *places.add(n + 1)
            };
            let mut last = [op(0), op(1)];
            self.turn::<true, false>(last, last);
            let (mut authentic, mut n) = (0, 2);
            while n < count {
                let next = [op(n), op(n + 1)];
                authentic |= bits(n - 2, self.turn::<true, true>(next, last));
                (last, n) = (next, n + 2);
            }
            authentic | bits(n - 2, self.turn::<false, true>(last, last))
        }
    }
}

/// So many frames of one shape and key, an even number, of so many registers each, at these places; they have AAD of a
/// block at least. A bit each says which are authentic.
#[inline(always)]
pub(super) unsafe fn pairs<V: Vector, const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
    shape: &Shape,
    key: &ExpandedKey,
    lengths: [V; 3],
    all: *mut Op<'_>,
    places: *const u8,
    count: usize,
) -> u64 {
    if const { V::BLOCKS != 2 || REGISTERS > 5 } {
        unreachable!("not frames for pairs");
    }
    // Of two registers are most short frames, of more not worth the compiler's time.
    let whole = REGISTERS == 2 && shape.last >> (16 * V::BLOCKS - 1) & 1 == 1;
    macro_rules! run {
        ($packed:literal, $whole:literal) => {{
            let (states, masks) = ([[V::zero(); 2]; REGISTERS], V::zero());
            let pairs = Pairs::<V, ROUNDS, SEAL, REGISTERS, $packed, $whole> {
                shape: *shape,
                key,
                lengths,
                states,
                masks,
            };
            pairs.run(all, places, count)
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
