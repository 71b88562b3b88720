//! Four frames at their ends, a block of each in one register: what is left of AAD, the length block, the reduction,
//! J0.

use super::each;
use super::expanded;
use super::ghash::{products, reduce_all};
use super::key::{ExpandedKey, POWERS};
use super::shape::{Group, Shape};
use super::vector::Vector;
use crate::burst::Op;
use core::arch::x86_64::*;
use core::marker::PhantomData;
use core::ptr;

/// A block of each of four frames, side by side.
#[inline(always)]
pub(super) unsafe fn gather<V: Vector>(blocks: [__m128i; 4]) -> [V; 4] {
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
pub(super) unsafe fn load_four<T>([a, b, c, d]: [*const T; 4]) -> [__m128i; 4] {
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
pub(super) unsafe fn split<V: Vector>(quad: [V; 4]) -> [__m128i; 4] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut blocks = [_mm_setzero_si128(); 4];
        for (i, v) in quad.into_iter().enumerate().take(4 / V::BLOCKS) {
            v.split(&mut blocks[i * V::BLOCKS..(i + 1) * V::BLOCKS]);
        }
        blocks
    }
}

/// What J0's place is hashed with, where that leads: the last block of AAD.
#[inline(always)]
pub(super) unsafe fn lead_block<V: Vector>(shape: &Shape, op: &Op<'_>) -> V {
    // SAFETY: the caller has the instructions; the shape is that of the operation's lengths.
    unsafe {
        let at = op.aad_at().wrapping_add(shape.lead_at);
        if shape.lead_at > 0 { V::first_end(at, shape.lead) } else { V::first(at, shape.lead) }
    }
}

/// Four frames, a block of each in one register. `ALIKE` are frames of one shape and key; `ONE_KEY` are frames of one key.
pub(super) struct Four<'a, V, const ALIKE: bool, const ONE_KEY: bool> {
    pub(super) shapes: [&'a Shape; 4],
    pub(super) keys: [&'a ExpandedKey; 4],
    pub(super) ops: [&'a Op<'a>; 4],
    pub(super) register: PhantomData<V>,
}

impl<V: Vector, const ALIKE: bool, const ONE_KEY: bool> Four<'_, V, ALIKE, ONE_KEY> {
    /// Adds the AAD that does not fill registers.
    #[inline(always)]
    pub(super) unsafe fn rest_of_aad(&self, sums: &mut [[V; 4]; 3]) {
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
                        let at = ops[i].aad_at().add(16 * before);
                        let octets = shape.aad_octets - 16 * before;
                        blocks[i] = if before == 0 { V::block(at, octets) } else { V::block_end(at, octets) };
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
    pub(super) unsafe fn lengths(&self, sums: &mut [[V; 4]; 3]) {
        // SAFETY: the caller has the instructions.
        unsafe {
            let Four { shapes, keys, .. } = self;
            let lengths = if ALIKE {
                [V::repeat(shapes[0].lengths.as_ptr().cast()); 4]
            } else {
                let [a, b, c, d] = shapes;
                gather(load_four([&a.lengths, &b.lengths, &c.lengths, &d.lengths]))
            };
            // The same power for all, where the key is.
            accumulate_four::<V, ONE_KEY>(sums, *keys, [POWERS - 1; 4], lengths);
        }
    }

    /// Makes E(J0) where that does not lead.
    #[inline(always)]
    pub(super) unsafe fn masks<const ROUNDS: usize>(&self, masks: &mut [__m128i; 4]) {
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
            // Unrolled by hand: left to itself the compiler keeps one of two in memory, round for round.
            each!(i < 4 / V::BLOCKS; states[i] = states[i].xor(V::repeat(ONE.as_ptr())); 0 1 2 3);
            let round_keys = |round: usize| -> [V; 4] {
                if ONE_KEY {
                    [V::load(keys[0].round_key(round)); 4]
                } else {
                    let [a, b, c, d] = keys;
                    let key = |key: &ExpandedKey| key.round_key(round).cast::<[u8; 16]>();
                    gather(load_four([key(a), key(b), key(c), key(d)]))
                }
            };
            let (first, rounds) = (round_keys(0), keys[0].rounds_of::<ROUNDS>());
            each!(i < 4 / V::BLOCKS; states[i] = states[i].xor(first[i]); 0 1 2 3);
            for round in 1..rounds {
                let round_keys = round_keys(round);
                each!(i < 4 / V::BLOCKS; states[i] = states[i].round(round_keys[i]); 0 1 2 3);
            }
            let last = round_keys(rounds);
            each!(i < 4 / V::BLOCKS; states[i] = states[i].last_round(last[i]); 0 1 2 3);
            for (i, block) in split(states).into_iter().enumerate() {
                if ALIKE || !shapes[i].packed {
                    masks[i] = block;
                }
            }
        }
    }
}

/// Of four frames all that there is to reduce, and E(J0).
#[derive(Clone, Copy)]
pub(super) struct Ends<V> {
    pub(super) sums: [[V; 4]; 3],
    pub(super) masks: [__m128i; 4],
}

impl<V: Vector> Ends<V> {
    #[inline(always)]
    pub(super) unsafe fn tags(&self) -> [__m128i; 4] {
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
    pub(super) unsafe fn close<const SEAL: bool>(&self, group: &Group, ops: *mut Op<'_>) -> u64 {
        // SAFETY: the caller has the instructions, and vouches for the places.
        unsafe {
            let mut wrong = [_mm_setzero_si128(); 4];
            let mut authentic = 0;
            for (i, tag) in self.tags().into_iter().enumerate() {
                if i >= group.len() {
                    break;
                }
                let at = (*ops.add(group.place(i))).tag.as_mut_ptr().cast();
                if SEAL {
                    _mm_storeu_si128(at, tag);
                } else {
                    wrong[i] = _mm_xor_si128(tag, _mm_loadu_si128(at));
                    authentic |= 1 << group.place(i);
                }
            }
            let [a, b, c, d] = wrong;
            let any = _mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d));
            if !SEAL && _mm_testz_si128(any, any) == 0 {
                for (i, wrong) in wrong.into_iter().enumerate() {
                    if _mm_testz_si128(wrong, wrong) == 0 {
                        authentic &= !(1 << group.place(i));
                        (*ops.add(group.place(i))).payload_mut().fill(0);
                    }
                }
            }
            authentic
        }
    }
}

/// Adds a block for each of four frames, times the power that stands at its place. `ALIKE` are keys and places of four.
#[inline(always)]
pub(super) unsafe fn accumulate_four<V: Vector, const ALIKE: bool>(
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

/// Up to four frames with less in common than [`side`](super::side) asks for, between their two halves. What is missing of
/// four has nothing to do.
pub(super) struct Loose<V> {
    pub(super) shapes: [*const Shape; 4],
    pub(super) keys: [*const ExpandedKey; 4],
    pub(super) ops: [*const Op<'static>; 4],
    pub(super) sums: [[V; 4]; 3],
    pub(super) masks: [__m128i; 4],
}

impl<V: Vector> Loose<V> {
    /// Writes what a group of fewer than four lacks.
    #[inline(always)]
    pub(super) unsafe fn begin(this: *mut Self, group: &Group, ops: *mut Op<'_>) {
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
    pub(super) unsafe fn set(
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
    pub(super) unsafe fn finish<const ROUNDS: usize>(&self) -> Ends<V> {
        let Loose { shapes: s, keys: k, .. } = self;
        let one_key = ptr::eq(k[0], k[1]) && ptr::eq(k[0], k[2]) && ptr::eq(k[0], k[3]);
        let one_shape = ptr::eq(s[0], s[1]) && ptr::eq(s[0], s[2]) && ptr::eq(s[0], s[3]);
        // SAFETY: the caller has the instructions.
        unsafe {
            match (one_key, one_shape) {
                (true, true) => self.finish_four::<ROUNDS, true, true>(),
                (true, false) => self.finish_four::<ROUNDS, false, true>(),
                (false, _) => self.finish_four::<ROUNDS, false, false>(),
            }
        }
    }

    /// Adds up, and adds what is left of each.
    #[inline(always)]
    pub(super) unsafe fn finish_four<const ROUNDS: usize, const ALIKE: bool, const ONE_KEY: bool>(
        &self,
    ) -> Ends<V> {
        // SAFETY: the caller has the instructions; the pointers are those of operations of these shapes.
        unsafe {
            let Loose { shapes, keys, ops, sums: unfolded, mut masks } = *self;
            let four = Four::<V, ALIKE, ONE_KEY> {
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
