//! Registers of one, two or four blocks, and what the back ends do with them.

use core::arch::asm;
use core::arch::x86_64::*;

/// Registers that are worked on at once: enough to hide an AES round's latency, few enough to stay in registers.
pub(crate) const WIDTH: usize = 8;

/// A register of several blocks of sixteen octets, block 0 first in memory.
///
/// # Safety
/// Every function asks of its caller that the CPU has the instructions that it is made of, which for an
/// implementation are those of one back end. Pointers are good for as many octets as the function touches.
pub(crate) trait Vector: Copy {
    /// Blocks.
    const BLOCKS: usize;
    /// Registers of each of some frames that are worked on side by side, at most; to open them it may be fewer.
    const SHORT: usize;
    /// There are 32 of them, with room for products that are added up two at a time and for payload before it is needed.
    const MANY: bool = Self::BLOCKS == 4;

    /// No bit set.
    unsafe fn zero() -> Self;
    /// All octets.
    unsafe fn load(at: *const u8) -> Self;
    /// One block, in every place.
    unsafe fn repeat(at: *const u8) -> Self;
    /// The octets that `mask` names in the first block, zero elsewhere.
    unsafe fn first(at: *const u8, mask: u16) -> Self;
    /// The same, of one octet at least; the sixteen before are good, too.
    #[inline(always)]
    unsafe fn first_end(at: *const u8, mask: u16) -> Self {
        // SAFETY: as the caller.
        unsafe { Self::first(at, mask) }
    }
    /// Stores all octets.
    unsafe fn store(self, at: *mut u8);
    /// The octets that `mask` names, a bit each; zero for the others, which are not touched.
    ///
    /// Masks are one run of ones here and below.
    unsafe fn load_part(at: *const u8, mask: u64) -> Self;
    /// Stores the octets that `mask` names.
    unsafe fn store_part(self, at: *mut u8, mask: u64);
    /// As [`load_part`](Self::load_part), of octets from the first on, one at least; the sixteen before are good, too.
    #[inline(always)]
    unsafe fn load_end(at: *const u8, mask: u64) -> Self {
        // SAFETY: as the caller.
        unsafe { Self::load_part(at, mask) }
    }
    /// As [`store_part`](Self::store_part), of such octets; those before may be written as they are.
    #[inline(always)]
    unsafe fn store_end(self, at: *mut u8, mask: u64) {
        // SAFETY: as the caller.
        unsafe { self.store_part(at, mask) }
    }
    /// All octets but those of the first block, which are not touched: zero for them.
    #[inline(always)]
    unsafe fn load_rest(at: *const u8) -> Self {
        // SAFETY: as the caller.
        unsafe { Self::load_part(at, u64::MAX << 16) }
    }
    /// Stores all octets but those of the first block.
    #[inline(always)]
    unsafe fn store_rest(self, at: *mut u8) {
        // SAFETY: as the caller.
        unsafe { self.store_part(at, u64::MAX << 16) }
    }
    /// With the first block of another.
    #[inline(always)]
    unsafe fn with_first(self, first: Self) -> Self {
        // SAFETY: as the caller.
        unsafe { self.keep(u64::MAX << 16).xor(first.keep(0xffff)) }
    }
    /// Whether no bit is set.
    unsafe fn is_zero(self) -> bool;
    /// The first block.
    unsafe fn low(self) -> __m128i;
    /// Zero in place of the octets that `mask` does not name.
    unsafe fn keep(self, mask: u64) -> Self;
    unsafe fn xor(self, other: Self) -> Self;
    /// An AES round.
    unsafe fn round(self, key: Self) -> Self;
    /// The last AES round.
    unsafe fn last_round(self, key: Self) -> Self;
    /// Carry-less products: each block's half that bit 0 of `HALVES` names, times the other's of bit 4.
    unsafe fn multiply<const HALVES: i32>(self, other: Self) -> Self;
    /// Blocks times powers, given with the sums of the halves of both: low, middle, high.
    #[inline(always)]
    unsafe fn products(blocks: Self, halves: Self, h: Self, k: Self) -> [Self; 3] {
        // SAFETY: as the caller.
        unsafe { [blocks.multiply::<0x00>(h), halves.multiply::<0x00>(k), blocks.multiply::<0x11>(h)] }
    }
    /// The sums of what [`products`](Self::products) makes of two registers' blocks.
    #[inline(always)]
    unsafe fn sums_of_two([a, b]: [Self; 2], h: [Self; 2], k: [Self; 2]) -> [Self; 3] {
        // SAFETY: as the caller.
        unsafe {
            let a = Self::products(a, a.xor(a.swap()), h[0], k[0]);
            let b = Self::products(b, b.xor(b.swap()), h[1], k[1]);
            [a[0].xor(b[0]), a[1].xor(b[1]), a[2].xor(b[2])]
        }
    }
    /// Each block with its halves swapped.
    unsafe fn swap(self) -> Self;
    /// Each block's octets in another order, which may leave some out, as the instruction has it.
    unsafe fn shuffle(self, order: Self) -> Self;
    /// Each block's octets in reverse.
    #[inline(always)]
    unsafe fn reverse(self) -> Self {
        // SAFETY: the caller has the instructions; the order has sixteen octets.
        unsafe { self.shuffle(Self::repeat(REVERSED.as_ptr())) }
    }
    /// Each block's low half where its high half was, and zero.
    unsafe fn raise(self) -> Self;
    /// Each block's high half where its low half was, and zero.
    unsafe fn lower(self) -> Self;
    /// The sums of four registers' blocks, in as many registers as that takes.
    unsafe fn fold(four: [Self; 4]) -> [Self; 4];
    /// Of four registers the first blocks, then their second ones, and so on, each in as many registers as that takes.
    unsafe fn transpose(four: [Self; 4]) -> [[Self; 4]; 4];
    /// Blocks, side by side.
    unsafe fn join(blocks: &[__m128i]) -> Self;
    /// Writes the blocks side by side.
    unsafe fn split(self, blocks: &mut [__m128i]);
    /// Up to sixteen octets, then zeroes.
    unsafe fn block(at: *const u8, octets: usize) -> __m128i;
    /// As [`block`](Self::block), of one octet at least; the sixteen before are good, too.
    #[inline(always)]
    unsafe fn block_end(at: *const u8, octets: usize) -> __m128i {
        // SAFETY: as the caller.
        unsafe { Self::block(at, octets) }
    }
    /// Keeps the compiler from moving work across, in which it would undo the interleaving of AES and GHASH.
    unsafe fn fence(states: &mut [Self; WIDTH], sums: &mut [Self; 3]);
}

/// The same pointer, but the compiler does not know: what it points to is loaded where it is used. Else it would be
/// loaded before a loop, into registers that there are not, or computed without the branch that leads to it.
#[inline(always)]
pub(crate) fn unforeseen<T>(pointer: *const T) -> *const T {
    // Miri knows no assembly.
    if cfg!(miri) {
        return pointer;
    }
    let mut address = pointer.addr();
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {} */", inout(reg) address, options(nomem, nostack, preserves_flags)) };
    pointer.with_addr(address)
}

/// The mask of `octets` octets from the first on.
#[inline(always)]
pub(crate) fn octets(octets: usize) -> u64 {
    if octets >= 64 { u64::MAX } else { (1 << octets) - 1 }
}

/// Up to sixteen octets, then zeroes.
#[inline(always)]
unsafe fn load_block(at: *const u8, octets: usize) -> __m128i {
    /// From two loads that may overlap. Not inlined: that would be half of all code.
    #[inline(never)]
    unsafe fn load(at: *const u8, octets: usize) -> u128 {
        let two =
            |low: u64, high: u64, size: usize| u128::from(low) | u128::from(high) << (8 * (octets - size));
        // SAFETY: each load lies within the octets, for which the caller vouches.
        unsafe {
            match octets {
                0 => 0,
                1 => u128::from(at.read()),
                2..4 => two(
                    at.cast::<u16>().read_unaligned().into(),
                    at.add(octets - 2).cast::<u16>().read_unaligned().into(),
                    2,
                ),
                4..8 => two(
                    at.cast::<u32>().read_unaligned().into(),
                    at.add(octets - 4).cast::<u32>().read_unaligned().into(),
                    4,
                ),
                _ => two(
                    at.cast::<u64>().read_unaligned(),
                    at.add(octets - 8).cast::<u64>().read_unaligned(),
                    8,
                ),
            }
        }
    }
    // SAFETY: SSE2 is part of x86-64. The caller vouches for the octets.
    unsafe {
        if octets >= 16 {
            return _mm_loadu_si128(at.cast());
        }
        let block = load(at, octets);
        _mm_set_epi64x((block >> 64) as i64, block as i64)
    }
}

/// Stores up to sixteen octets of a block.
#[inline(always)]
unsafe fn store_block(block: __m128i, at: *mut u8, octets: usize) {
    /// With two stores that may overlap. Not inlined, as above.
    #[inline(never)]
    unsafe fn store(low: u64, high: u64, at: *mut u8, octets: usize) {
        let all = u128::from(low) | u128::from(high) << 64;
        let end = |size: usize| (all >> (8 * (octets - size))) as u64;
        // SAFETY: each store lies within the octets, for which the caller vouches.
        unsafe {
            match octets {
                0 => {}
                1 => at.write(low as u8),
                2..4 => {
                    at.cast::<u16>().write_unaligned(low as u16);
                    at.add(octets - 2).cast::<u16>().write_unaligned(end(2) as u16);
                }
                4..8 => {
                    at.cast::<u32>().write_unaligned(low as u32);
                    at.add(octets - 4).cast::<u32>().write_unaligned(end(4) as u32);
                }
                _ => {
                    at.cast::<u64>().write_unaligned(low);
                    at.add(octets - 8).cast::<u64>().write_unaligned(end(8));
                }
            }
        }
    }
    // SAFETY: SSE2 is part of x86-64. The caller vouches for the octets.
    unsafe {
        if octets >= 16 {
            return _mm_storeu_si128(at.cast(), block);
        }
        let low = _mm_cvtsi128_si64(block) as u64;
        let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(block, block)) as u64;
        store(low, high, at, octets);
    }
}

/// An order that moves octets: from `16 + n` on `n` places down, from `16 - n` on as many up, with zeroes for what is not
/// there.
const MOVED: [u8; 48] = {
    let mut moved = [0x80; 48];
    let mut i = 0;
    while i < 16 {
        moved[16 + i] = i as u8;
        i += 1;
    }
    moved
};

/// One to sixteen octets, then zeroes, from one load that ends where they end: the sixteen before are good. No branch
/// and no call, which would put all registers into memory.
#[inline(always)]
unsafe fn load_block_end(at: *const u8, octets: usize) -> __m128i {
    debug_assert!((1..=16).contains(&octets));
    // SAFETY: the caller has SSSE3, and vouches for the octets and those before; the table has those from 16 to 31 on.
    unsafe {
        let down = _mm_loadu_si128(MOVED.as_ptr().add(32 - octets).cast());
        _mm_shuffle_epi8(_mm_loadu_si128(at.wrapping_add(octets).wrapping_sub(16).cast()), down)
    }
}

/// Stores up to sixteen octets of a block with one store that ends where they end, behind the end of `before`, which is
/// what the sixteen octets before are.
#[inline(always)]
unsafe fn store_block_end(before: __m128i, block: __m128i, at: *mut u8, octets: usize) {
    debug_assert!(octets <= 16);
    // SAFETY: the caller has SSSE3, and vouches for the octets and those before; the table has those from 0 to 32 on.
    unsafe {
        let down = _mm_loadu_si128(MOVED.as_ptr().add(16 + octets).cast());
        let up = _mm_loadu_si128(MOVED.as_ptr().add(octets).cast());
        let both = _mm_or_si128(_mm_shuffle_epi8(before, down), _mm_shuffle_epi8(block, up));
        _mm_storeu_si128(at.wrapping_add(octets).wrapping_sub(16).cast(), both);
    }
}

/// Ones, then zeroes: from `16 - n` on, `n` ones and as many zeroes as make a block.
const ONES: [u8; 32] = {
    let mut ones = [0; 32];
    let mut i = 0;
    while i < 16 {
        ones[i] = 0xff;
        i += 1;
    }
    ones
};

/// The first `octets` of a block, then zeroes.
#[inline(always)]
unsafe fn keep_block(block: __m128i, octets: usize) -> __m128i {
    // SAFETY: SSE2 is part of x86-64; sixteen octets from any of the first seventeen places are within the table.
    unsafe { _mm_and_si128(block, _mm_loadu_si128(ONES.as_ptr().add(16 - octets.min(16)).cast())) }
}

/// How many octets of block `number` a mask names.
#[inline(always)]
fn in_block(mask: u64, number: usize) -> usize {
    (mask >> (16 * number) & 0xffff).count_ones() as usize
}

const REVERSED: [u8; 16] = [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];

macro_rules! common {
    (
        $vector:ty: $zero:ident $load:ident $store:ident $xor:ident $round:ident $last:ident $multiply:ident
        $swap:ident $shuffle:ident $raise:ident $lower:ident
    ) => {
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller has the instructions.
            unsafe { $zero() }
        }
        #[inline(always)]
        unsafe fn load(at: *const u8) -> Self {
            // SAFETY: the caller has the instructions, and vouches for the octets.
            unsafe { $load(at.cast()) }
        }
        #[inline(always)]
        unsafe fn store(self, at: *mut u8) {
            // SAFETY: the caller has the instructions, and vouches for the octets.
            unsafe { $store(at.cast(), self) }
        }
        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            // SAFETY: the caller has the instructions.
            unsafe { $xor(self, other) }
        }
        #[inline(always)]
        unsafe fn round(self, key: Self) -> Self {
            // SAFETY: the caller has the instructions.
            unsafe { $round(self, key) }
        }
        #[inline(always)]
        unsafe fn last_round(self, key: Self) -> Self {
            // SAFETY: the caller has the instructions.
            unsafe { $last(self, key) }
        }
        #[inline(always)]
        unsafe fn multiply<const HALVES: i32>(self, other: Self) -> Self {
            // SAFETY: the caller has the instructions.
            unsafe { $multiply::<HALVES>(self, other) }
        }
        #[inline(always)]
        unsafe fn swap(self) -> Self {
            // SAFETY: the caller has the instructions.
            unsafe { $swap::<0x4e>(self) }
        }
        #[inline(always)]
        unsafe fn shuffle(self, order: Self) -> Self {
            // SAFETY: the caller has the instructions.
            unsafe { $shuffle(self, order) }
        }
        #[inline(always)]
        unsafe fn raise(self) -> Self {
            // SAFETY: the caller has the instructions.
            unsafe { $raise::<8>(self) }
        }
        #[inline(always)]
        unsafe fn lower(self) -> Self {
            // SAFETY: the caller has the instructions.
            unsafe { $lower::<8>(self) }
        }
    };
}

impl Vector for __m512i {
    const BLOCKS: usize = 4;
    const SHORT: usize = 3;

    common!(
        __m512i: _mm512_setzero_si512 _mm512_loadu_si512 _mm512_storeu_si512 _mm512_xor_si512 _mm512_aesenc_epi128
        _mm512_aesenclast_epi128 _mm512_clmulepi64_epi128 _mm512_shuffle_epi32 _mm512_shuffle_epi8
        _mm512_bslli_epi128 _mm512_bsrli_epi128
    );

    #[inline(always)]
    unsafe fn repeat(at: *const u8) -> Self {
        // SAFETY: the caller has the instructions, and vouches for the octets.
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(at.cast())) }
    }
    #[inline(always)]
    unsafe fn first(at: *const u8, mask: u16) -> Self {
        // SAFETY: the caller has the instructions, and vouches for the octets.
        unsafe { _mm512_zextsi128_si512(_mm_maskz_loadu_epi8(mask, at.cast())) }
    }
    #[inline(always)]
    unsafe fn load_part(at: *const u8, mask: u64) -> Self {
        // SAFETY: the caller has the instructions, and vouches for the octets of the mask.
        unsafe { _mm512_maskz_loadu_epi8(mask, at.cast()) }
    }
    #[inline(always)]
    unsafe fn store_part(self, at: *mut u8, mask: u64) {
        // SAFETY: the caller has the instructions, and vouches for the octets of the mask.
        unsafe { _mm512_mask_storeu_epi8(at.cast(), mask, self) }
    }
    /// The sums of both registers' halves come from one addition, next to each other.
    #[inline(always)]
    unsafe fn sums_of_two([a, b]: [Self; 2], h: [Self; 2], k: [Self; 2]) -> [Self; 3] {
        // SAFETY: the caller has the instructions.
        unsafe {
            let halves = _mm512_unpacklo_epi64(a, b).xor(_mm512_unpackhi_epi64(a, b));
            let low = a.multiply::<0x00>(h[0]).xor(b.multiply::<0x00>(h[1]));
            let middle = halves.multiply::<0x00>(k[0]).xor(halves.multiply::<0x01>(k[1]));
            let high = a.multiply::<0x11>(h[0]).xor(b.multiply::<0x11>(h[1]));
            [low, middle, high]
        }
    }
    #[inline(always)]
    unsafe fn with_first(self, first: Self) -> Self {
        // SAFETY: the caller has the instructions.
        unsafe { _mm512_mask_mov_epi64(self, 0b11, first) }
    }
    #[inline(always)]
    unsafe fn is_zero(self) -> bool {
        // SAFETY: the caller has the instructions.
        unsafe { _mm512_test_epi64_mask(self, self) == 0 }
    }
    #[inline(always)]
    unsafe fn low(self) -> __m128i {
        // SAFETY: the caller has the instructions.
        unsafe { _mm512_castsi512_si128(self) }
    }
    #[inline(always)]
    unsafe fn keep(self, mask: u64) -> Self {
        // SAFETY: the caller has the instructions.
        unsafe { _mm512_maskz_mov_epi8(mask, self) }
    }
    #[inline(always)]
    unsafe fn fold([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        // SAFETY: the caller has the instructions.
        unsafe {
            let pair = |a, b| {
                _mm512_xor_si512(_mm512_shuffle_i64x2::<0x44>(a, b), _mm512_shuffle_i64x2::<0xee>(a, b))
            };
            let (ab, cd) = (pair(a, b), pair(c, d));
            let all =
                _mm512_xor_si512(_mm512_shuffle_i64x2::<0x88>(ab, cd), _mm512_shuffle_i64x2::<0xdd>(ab, cd));
            [all; 4]
        }
    }
    #[inline(always)]
    unsafe fn transpose([a, b, c, d]: [Self; 4]) -> [[Self; 4]; 4] {
        // SAFETY: the caller has the instructions.
        unsafe {
            let (ab, cd) = (_mm512_shuffle_i64x2::<0x44>(a, b), _mm512_shuffle_i64x2::<0x44>(c, d));
            let (ab_high, cd_high) = (_mm512_shuffle_i64x2::<0xee>(a, b), _mm512_shuffle_i64x2::<0xee>(c, d));
            [
                [_mm512_shuffle_i64x2::<0x88>(ab, cd); 4],
                [_mm512_shuffle_i64x2::<0xdd>(ab, cd); 4],
                [_mm512_shuffle_i64x2::<0x88>(ab_high, cd_high); 4],
                [_mm512_shuffle_i64x2::<0xdd>(ab_high, cd_high); 4],
            ]
        }
    }
    #[inline(always)]
    unsafe fn join(blocks: &[__m128i]) -> Self {
        // SAFETY: the caller has the instructions.
        unsafe {
            let low = _mm256_set_m128i(blocks[1], blocks[0]);
            let high = _mm256_set_m128i(blocks[3], blocks[2]);
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
        }
    }
    #[inline(always)]
    unsafe fn split(self, blocks: &mut [__m128i]) {
        // SAFETY: the caller has the instructions.
        unsafe {
            blocks[0] = _mm512_castsi512_si128(self);
            blocks[1] = _mm512_extracti32x4_epi32::<1>(self);
            blocks[2] = _mm512_extracti32x4_epi32::<2>(self);
            blocks[3] = _mm512_extracti32x4_epi32::<3>(self);
        }
    }
    #[inline(always)]
    unsafe fn block(at: *const u8, octets: usize) -> __m128i {
        // SAFETY: the caller has the instructions, and vouches for the octets.
        unsafe { _mm_maskz_loadu_epi8(self::octets(octets) as u16, at.cast()) }
    }
    #[inline(always)]
    unsafe fn fence(states: &mut [Self; WIDTH], sums: &mut [Self; 3]) {
        #[inline]
        #[target_feature(enable = "avx512f")]
        unsafe fn inner([a, b, c, d, e, f, g, h]: &mut [__m512i; WIDTH], [x, y, z]: &mut [__m512i; 3]) {
            // SAFETY: no instruction at all.
            unsafe {
                asm!(
                    "/* {}{}{}{}{}{}{}{}{}{}{} */",
                    inout(zmm_reg) * a,
                    inout(zmm_reg) * b,
                    inout(zmm_reg) * c,
                    inout(zmm_reg) * d,
                    inout(zmm_reg) * e,
                    inout(zmm_reg) * f,
                    inout(zmm_reg) * g,
                    inout(zmm_reg) * h,
                    inout(zmm_reg) * x,
                    inout(zmm_reg) * y,
                    inout(zmm_reg) * z,
                    options(nomem, nostack, preserves_flags)
                );
            }
        }
        // Miri knows no assembly.
        if cfg!(miri) {
            return;
        }
        // SAFETY: the caller has the instructions.
        unsafe { inner(states, sums) }
    }
}

/// The mask of the second block of two: the first leaves its place to J0.
const SECOND: u32 = 0xffff_0000;

impl Vector for __m256i {
    const BLOCKS: usize = 2;
    const SHORT: usize = 5;

    common!(
        __m256i: _mm256_setzero_si256 _mm256_loadu_si256 _mm256_storeu_si256 _mm256_xor_si256 _mm256_aesenc_epi128
        _mm256_aesenclast_epi128 _mm256_clmulepi64_epi128 _mm256_shuffle_epi32 _mm256_shuffle_epi8
        _mm256_bslli_epi128 _mm256_bsrli_epi128
    );

    #[inline(always)]
    unsafe fn repeat(at: *const u8) -> Self {
        // SAFETY: the caller has the instructions, and vouches for the octets.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(at.cast())) }
    }
    #[inline(always)]
    unsafe fn first(at: *const u8, mask: u16) -> Self {
        // SAFETY: the caller has the instructions, and vouches for the octets.
        unsafe { _mm256_zextsi128_si256(load_block(at, mask.count_ones() as usize)) }
    }
    #[inline(always)]
    unsafe fn first_end(at: *const u8, mask: u16) -> Self {
        // SAFETY: the caller has the instructions, and vouches for the octets and those before.
        unsafe { _mm256_zextsi128_si256(load_block_end(at, mask.trailing_ones() as usize)) }
    }
    #[inline(always)]
    unsafe fn load_part(at: *const u8, mask: u64) -> Self {
        // SAFETY: the caller has the instructions, and vouches for the octets of the mask.
        unsafe {
            if mask as u32 == u32::MAX {
                return Self::load(at);
            }
            if mask as u32 == SECOND {
                return Self::load_rest(at);
            }
            let low = load_block(at, in_block(mask, 0));
            let high = load_block(at.wrapping_add(16), in_block(mask, 1));
            _mm256_set_m128i(high, low)
        }
    }
    #[inline(always)]
    unsafe fn store_part(self, at: *mut u8, mask: u64) {
        // SAFETY: the caller has the instructions, and vouches for the octets of the mask.
        unsafe {
            if mask as u32 == u32::MAX {
                return _mm256_storeu_si256(at.cast(), self);
            }
            if mask as u32 == SECOND {
                return self.store_rest(at);
            }
            store_block(_mm256_castsi256_si128(self), at, in_block(mask, 0));
            store_block(_mm256_extracti128_si256::<1>(self), at.wrapping_add(16), in_block(mask, 1));
        }
    }
    #[inline(always)]
    unsafe fn load_end(at: *const u8, mask: u64) -> Self {
        let octets = (mask as u32).trailing_ones() as usize;
        // SAFETY: the caller has the instructions, and vouches for the octets of the mask and those before; of the second
        // block there are 0 to 16, and the table has those from 16 to 32 on.
        unsafe {
            if mask as u32 == u32::MAX {
                return Self::load(at);
            }
            let (low, high) = (octets.min(16), octets.max(16) - 16);
            // With nothing in the second block, this is what ends where the first does.
            let ends = _mm_loadu_si128(at.wrapping_add(octets).wrapping_sub(16).cast());
            let down = _mm_loadu_si128(MOVED.as_ptr().add(32 - high).cast());
            _mm256_set_m128i(_mm_shuffle_epi8(ends, down), load_block_end(at, low))
        }
    }
    #[inline(always)]
    unsafe fn store_end(self, at: *mut u8, mask: u64) {
        let octets = (mask as u32).trailing_ones() as usize;
        // SAFETY: the caller has the instructions, and vouches for the octets of the mask and those before.
        unsafe {
            if mask as u32 == u32::MAX {
                return _mm256_storeu_si256(at.cast(), self);
            }
            let low = self.low();
            if octets >= 16 {
                _mm_storeu_si128(at.cast(), low);
                let high = _mm256_extracti128_si256::<1>(self);
                store_block_end(low, high, at.wrapping_add(16), octets - 16);
            } else {
                let before = _mm_loadu_si128(at.wrapping_sub(16).cast());
                store_block_end(before, low, at, octets);
            }
        }
    }
    #[inline(always)]
    unsafe fn load_rest(at: *const u8) -> Self {
        // SAFETY: the caller has the instructions, and vouches for the octets.
        unsafe {
            let second = _mm_loadu_si128(at.wrapping_add(16).cast());
            _mm256_inserti128_si256::<1>(_mm256_setzero_si256(), second)
        }
    }
    #[inline(always)]
    unsafe fn store_rest(self, at: *mut u8) {
        // SAFETY: the caller has the instructions, and vouches for the octets.
        unsafe { _mm_storeu_si128(at.wrapping_add(16).cast(), _mm256_extracti128_si256::<1>(self)) }
    }
    #[inline(always)]
    unsafe fn products(mut blocks: Self, mut halves: Self, h: Self, mut k: Self) -> [Self; 3] {
        /// All three next to each other, which the compiler does not leave them: Zen has them in microcode, and goes there
        /// and back each time.
        #[inline]
        #[target_feature(enable = "avx2,vpclmulqdq")]
        fn inner(blocks: &mut __m256i, halves: &mut __m256i, h: __m256i, k: &mut __m256i) {
            // SAFETY: registers alone.
            unsafe {
                asm!(
                    "vpclmulqdq {halves}, {halves}, {k}, 0x00",
                    "vpclmulqdq {k}, {blocks}, {h}, 0x00",
                    "vpclmulqdq {blocks}, {blocks}, {h}, 0x11",
                    blocks = inout(ymm_reg) * blocks,
                    halves = inout(ymm_reg) * halves,
                    h = in(ymm_reg) h,
                    k = inout(ymm_reg) * k,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
        }
        // SAFETY: the caller has the instructions.
        unsafe {
            // Miri knows no assembly.
            if cfg!(miri) {
                return [blocks.multiply::<0x00>(h), halves.multiply::<0x00>(k), blocks.multiply::<0x11>(h)];
            }
            inner(&mut blocks, &mut halves, h, &mut k);
        }
        [k, halves, blocks]
    }
    #[inline(always)]
    unsafe fn with_first(self, first: Self) -> Self {
        // SAFETY: the caller has the instructions.
        unsafe { _mm256_blend_epi32::<0x0f>(self, first) }
    }
    #[inline(always)]
    unsafe fn is_zero(self) -> bool {
        // SAFETY: the caller has the instructions.
        unsafe { _mm256_testz_si256(self, self) != 0 }
    }
    #[inline(always)]
    unsafe fn low(self) -> __m128i {
        // SAFETY: the caller has the instructions.
        unsafe { _mm256_castsi256_si128(self) }
    }
    #[inline(always)]
    unsafe fn keep(self, mask: u64) -> Self {
        /// For each octet of four, where it is in the mask; and its bit there.
        const WHERE: [u8; 32] = {
            let mut place = [0; 32];
            let mut i = 0;
            while i < 32 {
                place[i] = i as u8 / 8;
                i += 1;
            }
            place
        };
        const BITS: [u8; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
        // SAFETY: the caller has the instructions; the table has as many octets as a register.
        unsafe {
            let mask = _mm256_shuffle_epi8(_mm256_set1_epi32(mask as i32), Self::load(WHERE.as_ptr()));
            let bits = _mm256_set1_epi64x(i64::from_le_bytes(BITS));
            let named = _mm256_cmpeq_epi8(_mm256_and_si256(mask, bits), bits);
            _mm256_and_si256(self, named)
        }
    }
    #[inline(always)]
    unsafe fn fold([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        // SAFETY: the caller has the instructions.
        unsafe {
            let pair = |a, b| {
                let (low, high) =
                    (_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b));
                _mm256_xor_si256(low, high)
            };
            let (ab, cd) = (pair(a, b), pair(c, d));
            [ab, cd, ab, cd]
        }
    }
    #[inline(always)]
    unsafe fn transpose([a, b, c, d]: [Self; 4]) -> [[Self; 4]; 4] {
        // SAFETY: the caller has the instructions.
        unsafe {
            let low = |a, b| _mm256_permute2x128_si256::<0x20>(a, b);
            let high = |a, b| _mm256_permute2x128_si256::<0x31>(a, b);
            let first = [low(a, b), low(c, d), low(a, b), low(c, d)];
            let second = [high(a, b), high(c, d), high(a, b), high(c, d)];
            [first, second, first, second]
        }
    }
    #[inline(always)]
    unsafe fn join(blocks: &[__m128i]) -> Self {
        // SAFETY: the caller has the instructions.
        unsafe { _mm256_set_m128i(blocks[1], blocks[0]) }
    }
    #[inline(always)]
    unsafe fn split(self, blocks: &mut [__m128i]) {
        // SAFETY: the caller has the instructions.
        unsafe {
            blocks[0] = _mm256_castsi256_si128(self);
            blocks[1] = _mm256_extracti128_si256::<1>(self);
        }
    }
    #[inline(always)]
    unsafe fn block(at: *const u8, octets: usize) -> __m128i {
        // SAFETY: the caller vouches for the octets.
        unsafe { load_block(at, octets) }
    }
    #[inline(always)]
    unsafe fn block_end(at: *const u8, octets: usize) -> __m128i {
        // SAFETY: the caller has the instructions, and vouches for the octets and those before.
        unsafe { load_block_end(at, octets.min(16)) }
    }
    #[inline(always)]
    unsafe fn fence(states: &mut [Self; WIDTH], sums: &mut [Self; 3]) {
        #[inline]
        #[target_feature(enable = "avx2")]
        unsafe fn inner([a, b, c, d, e, f, g, h]: &mut [__m256i; WIDTH], [x, y, z]: &mut [__m256i; 3]) {
            // SAFETY: no instruction at all.
            unsafe {
                asm!(
                    "/* {}{}{}{}{}{}{}{}{}{}{} */",
                    inout(ymm_reg) * a,
                    inout(ymm_reg) * b,
                    inout(ymm_reg) * c,
                    inout(ymm_reg) * d,
                    inout(ymm_reg) * e,
                    inout(ymm_reg) * f,
                    inout(ymm_reg) * g,
                    inout(ymm_reg) * h,
                    inout(ymm_reg) * x,
                    inout(ymm_reg) * y,
                    inout(ymm_reg) * z,
                    options(nomem, nostack, preserves_flags)
                );
            }
        }
        // Miri knows no assembly.
        if cfg!(miri) {
            return;
        }
        // SAFETY: the caller has the instructions.
        unsafe { inner(states, sums) }
    }
}

impl Vector for __m128i {
    const BLOCKS: usize = 1;
    const SHORT: usize = 0;

    common!(
        __m128i: _mm_setzero_si128 _mm_loadu_si128 _mm_storeu_si128 _mm_xor_si128 _mm_aesenc_si128
        _mm_aesenclast_si128 _mm_clmulepi64_si128 _mm_shuffle_epi32 _mm_shuffle_epi8
        _mm_bslli_si128 _mm_bsrli_si128
    );

    #[inline(always)]
    unsafe fn repeat(at: *const u8) -> Self {
        // SAFETY: the caller vouches for the octets.
        unsafe { _mm_loadu_si128(at.cast()) }
    }
    #[inline(always)]
    unsafe fn first(at: *const u8, mask: u16) -> Self {
        // SAFETY: the caller vouches for the octets.
        unsafe { load_block(at, mask.count_ones() as usize) }
    }
    #[inline(always)]
    unsafe fn load_part(at: *const u8, mask: u64) -> Self {
        // SAFETY: the caller vouches for the octets of the mask.
        unsafe { load_block(at, in_block(mask, 0)) }
    }
    #[inline(always)]
    unsafe fn store_part(self, at: *mut u8, mask: u64) {
        // SAFETY: the caller vouches for the octets of the mask.
        unsafe { store_block(self, at, in_block(mask, 0)) }
    }
    #[inline(always)]
    unsafe fn load_end(at: *const u8, mask: u64) -> Self {
        // SAFETY: the caller has SSSE3, and vouches for the octets of the mask and those before.
        unsafe { load_block_end(at, mask.trailing_ones().min(16) as usize) }
    }
    #[inline(always)]
    unsafe fn store_end(self, at: *mut u8, mask: u64) {
        // SAFETY: the caller has SSSE3, and vouches for the octets of the mask and those before.
        unsafe {
            let before = _mm_loadu_si128(at.wrapping_sub(16).cast());
            store_block_end(before, self, at, mask.trailing_ones().min(16) as usize);
        }
    }
    #[inline(always)]
    unsafe fn is_zero(self) -> bool {
        // SAFETY: the caller has the instructions.
        unsafe { _mm_testz_si128(self, self) != 0 }
    }
    #[inline(always)]
    unsafe fn low(self) -> __m128i {
        self
    }
    #[inline(always)]
    unsafe fn keep(self, mask: u64) -> Self {
        // SAFETY: needs nothing but SSE2.
        unsafe { keep_block(self, in_block(mask, 0)) }
    }
    #[inline(always)]
    unsafe fn fold(four: [Self; 4]) -> [Self; 4] {
        four
    }
    #[inline(always)]
    unsafe fn transpose(four: [Self; 4]) -> [[Self; 4]; 4] {
        [four; 4]
    }
    #[inline(always)]
    unsafe fn join(blocks: &[__m128i]) -> Self {
        blocks[0]
    }
    #[inline(always)]
    unsafe fn split(self, blocks: &mut [__m128i]) {
        blocks[0] = self;
    }
    #[inline(always)]
    unsafe fn block(at: *const u8, octets: usize) -> __m128i {
        // SAFETY: the caller vouches for the octets.
        unsafe { load_block(at, octets) }
    }
    #[inline(always)]
    unsafe fn block_end(at: *const u8, octets: usize) -> __m128i {
        // SAFETY: the caller has SSSE3, and vouches for the octets and those before.
        unsafe { load_block_end(at, octets.min(16)) }
    }
    #[inline(always)]
    unsafe fn fence([a, b, c, d, e, f, g, h]: &mut [Self; WIDTH], [x, y, z]: &mut [Self; 3]) {
        // Miri knows no assembly.
        if cfg!(miri) {
            return;
        }
        // SAFETY: no instruction at all.
        unsafe {
            asm!(
                "/* {}{}{}{}{}{}{}{}{}{}{} */",
                inout(xmm_reg) * a,
                inout(xmm_reg) * b,
                inout(xmm_reg) * c,
                inout(xmm_reg) * d,
                inout(xmm_reg) * e,
                inout(xmm_reg) * f,
                inout(xmm_reg) * g,
                inout(xmm_reg) * h,
                inout(xmm_reg) * x,
                inout(xmm_reg) * y,
                inout(xmm_reg) * z,
                options(nomem, nostack, preserves_flags)
            );
        }
    }
}
