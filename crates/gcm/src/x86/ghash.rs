//! GHASH of registers: products, their sums, and what they stand for.

use super::key::{ExpandedKey, POLY};
use super::vector::{Vector, octets};
use core::arch::x86_64::__m128i;

/// Blocks times powers, which are given with the sums of their halves: low, middle, high.
#[inline(always)]
pub(super) unsafe fn products<V: Vector>(blocks: V, h: V, k: V) -> [V; 3] {
    // SAFETY: the caller has the instructions.
    unsafe { V::products(blocks, blocks.xor(blocks.swap()), h, k) }
}

/// Adds blocks times powers.
#[inline(always)]
pub(super) unsafe fn accumulate<V: Vector>(sums: &mut [V; 3], blocks: V, h: V, k: V) {
    // SAFETY: the caller has the instructions.
    unsafe {
        let [low, middle, high] = products(blocks, h, k);
        *sums = [sums[0].xor(low), sums[1].xor(middle), sums[2].xor(high)];
    }
}

/// Adds the blocks of two registers times powers.
#[inline(always)]
pub(super) unsafe fn accumulate_two<V: Vector>(sums: &mut [V; 3], blocks: [V; 2], h: [V; 2], k: [V; 2]) {
    // SAFETY: the caller has the instructions.
    unsafe {
        let [low, middle, high] = V::sums_of_two(blocks, h, k);
        *sums = [sums[0].xor(low), sums[1].xor(middle), sums[2].xor(high)];
    }
}

/// What products stand for, times x^-128, for each block.
#[inline(always)]
pub(super) unsafe fn reduce_all<V: Vector>([low, middle, high]: [V; 3]) -> V {
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

/// Hashes AAD, whole registers but at the end.
#[inline(always)]
pub(super) unsafe fn hash_bulk<V: Vector>(
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
            let two = |at: *const u8| [V::load(at), V::load(at.wrapping_add(step))];
            let [a, b] = two(at);
            accumulate_two(sums, [a.reverse(), b.reverse()], two(h), two(k));
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

/// What the sums over all blocks of registers stand for.
#[inline(always)]
pub(super) unsafe fn close<V: Vector>(sums: [V; 3]) -> __m128i {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut folded = [[V::zero(); 4]; 3];
        for (folded, sum) in folded.iter_mut().zip(sums) {
            *folded = V::fold([sum, V::zero(), V::zero(), V::zero()]);
        }
        reduce_all([folded[0][0], folded[1][0], folded[2][0]]).low()
    }
}
