//! Round keys and powers of H, as the x86 back ends want them.
//!
//! GHASH is computed in the POLYVAL domain (RFC 8452, appendix A): blocks are byte-reversed, H is multiplied by x
//! once, and products need no bit reversal. They are Karatsuba's: three carry-less multiplications a block, for
//! which the sum of each power's halves is kept beside it. Where a CPU can start a 512-bit carry-less multiplication
//! only every other cycle, as Zen 5 does, these three are the wall, and a fourth would cost a third more.
//!
//! ```text
//! low = a0·h0    high = a1·h1    middle = (a0 + a1)·(h0 + h1)
//! ```

use core::arch::x86_64::*;
use zeroize::Zeroize;

/// Powers of H that are kept: as many blocks as are hashed without a reduction inside.
pub(crate) const POWERS: usize = 256;
/// Zeroes after H^1, so that a wide load at the end of the table stays inside it.
const PAD: usize = 4;
/// Counts that a frame has, from 0 on, and a few more.
const COUNTS: usize = 4 + 256 + 4;
const _: () = assert!(POWERS.is_multiple_of(8), "powers are made eight at a time");
/// In place of a number of rounds: what the key says.
pub(super) const ANY: usize = 0;
/// Round keys of AES-256.
const MAX_ROUND_KEYS: usize = 15;
/// x^63 + x^62 + x^57: what the reduction multiplies by.
pub(crate) const POLY: u64 = 0xc200_0000_0000_0000;

/// A block as it is in memory: wiped at once, and not octet by octet.
type Block = u128;

/// A block that a 64-octet register holds four times.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Wide([u8; 64]);

/// An expanded key.
#[repr(C, align(64))]
pub(crate) struct ExpandedKey {
    round_keys: [Wide; MAX_ROUND_KEYS],
    /// H^256, …, H^1, then zeroes.
    h: [Block; POWERS + PAD],
    /// The sum of each one's halves, twice.
    k: [Block; POWERS + PAD],
    /// What each count makes of the first round: with count 2 at a cache line's beginning, and with 1.
    counts: [Counts; 2],
    rounds: u32,
}

/// A block for each count, behind some to align them.
#[repr(C, align(64))]
struct Counts([Block; COUNTS]);

impl Drop for ExpandedKey {
    fn drop(&mut self) {
        self.round_keys.iter_mut().for_each(|k| k.0.zeroize());
        self.h.zeroize();
        self.k.zeroize();
        self.counts.iter_mut().for_each(|counts| counts.0.zeroize());
    }
}

impl ExpandedKey {
    /// Expands a key of 16 or 32 octets; any other is cut or padded with zeroes, so callers check first.
    #[target_feature(enable = "aes,pclmulqdq,ssse3,sse4.1")]
    pub(crate) fn new(octets: &[u8]) -> Box<Self> {
        let mut key = Box::new(ExpandedKey {
            round_keys: [Wide([0; 64]); MAX_ROUND_KEYS],
            h: [0; POWERS + PAD],
            k: [0; POWERS + PAD],
            counts: [const { Counts([0; COUNTS]) }; 2],
            rounds: if octets.len() == 16 { 10 } else { 14 },
        });
        let mut schedule = if octets.len() == 16 { expand128(octets) } else { expand256(octets) };
        for (wide, narrow) in key.round_keys.iter_mut().zip(&schedule) {
            for lane in wide.0.chunks_exact_mut(16) {
                lane.copy_from_slice(&to_octets(*narrow));
            }
        }
        let rounds = key.rounds as usize;
        let mut h = schedule[0];
        for round_key in &schedule[1..rounds] {
            h = _mm_aesenc_si128(h, *round_key);
        }
        h = _mm_aesenclast_si128(h, schedule[rounds]);
        key.fill_powers(h);
        key.fill_counts(schedule[0]);
        schedule.iter_mut().for_each(|k| *k = _mm_setzero_si128());
        // The compiler must not think this away.
        core::hint::black_box(&schedule);
        key
    }

    #[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
    fn fill_powers(&mut self, h: __m128i) {
        let first = double(u128::from_be_bytes(to_octets(h)));
        let first = from_u128(first);
        // Eight at a time, each eight powers from the one before, so that they do not wait for each other.
        let mut powers = [first; 8];
        for i in 1..8 {
            powers[i] = reduce(multiply(powers[i - 1], first, halves(first)));
        }
        let (eighth, sum) = (powers[7], halves(powers[7]));
        for place in (0..POWERS).rev().step_by(8) {
            for (i, power) in powers.iter_mut().enumerate() {
                self.h[place - i] = to_u128(*power);
                self.k[place - i] = to_u128(halves(*power));
                *power = reduce(multiply(*power, eighth, sum));
            }
        }
    }

    #[target_feature(enable = "aes,sse2")]
    fn fill_counts(&mut self, first_key: __m128i) {
        let zero = _mm_setzero_si128();
        let of_none = _mm_aesenc_si128(first_key, zero);
        let [two, one] = &mut self.counts;
        let (two, one) = (&mut two.0[before(false)..], &mut one.0[before(true)..]);
        for (count, block) in two.iter_mut().enumerate() {
            let count = from_u128((count as u128).swap_bytes());
            let round = _mm_aesenc_si128(_mm_xor_si128(first_key, count), zero);
            *block = to_u128(_mm_xor_si128(round, of_none));
        }
        let counts = one.len();
        one.copy_from_slice(&two[..counts]);
    }

    /// 10 or 14.
    #[inline(always)]
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    /// The same, for code that is compiled for `ROUNDS`, or for [`ANY`].
    #[inline(always)]
    pub(super) fn rounds_of<const ROUNDS: usize>(&self) -> usize {
        if ROUNDS == ANY { self.rounds as usize } else { ROUNDS }
    }

    /// Round key `round`, four times in 64 octets.
    #[inline(always)]
    pub(crate) fn round_key(&self, round: usize) -> *const u8 {
        debug_assert!(round < MAX_ROUND_KEYS);
        self.round_keys.as_ptr().wrapping_add(round).cast()
    }

    /// What `count` adds to the first round of a counter block, followed by what the counts after it add, up to 256 at
    /// least. A round changes octets one by one and then mixes them linearly, so that it is the same for every nonce: that
    /// of the nonce without a count, which a frame's blocks have in common, plus this. Of counts of more than one octet the
    /// nonce has the others, but for 256.
    ///
    /// A frame's begin at a cache line: at count 1 where J0 leads, which is `packed`, else at 2.
    #[inline(always)]
    pub(super) fn counts_at(&self, packed: bool, count: usize) -> *const u8 {
        debug_assert!(count <= 256);
        self.counts[usize::from(packed)].0.as_ptr().wrapping_add(before(packed) + count).cast()
    }

    /// The same from where a frame begins.
    #[inline(always)]
    pub(super) fn counts_of_frame(&self, packed: bool) -> *const u8 {
        self.counts_at(packed, if packed { 1 } else { 2 })
    }

    /// Where the power [`POWERS`]` - place` of H stands, followed by the next lower powers; and the sums of their
    /// halves. There are a few zeroes after H^1.
    #[inline(always)]
    pub(crate) fn powers_at(&self, place: usize) -> (*const u8, *const u8) {
        debug_assert!(place < POWERS + PAD);
        let h = self.h.as_ptr().wrapping_add(place).cast();
        (h, self.k.as_ptr().wrapping_add(place).cast())
    }
}

/// Blocks before that of count 0.
const fn before(packed: bool) -> usize {
    if packed { 3 } else { 2 }
}

fn to_octets(v: __m128i) -> [u8; 16] {
    // SAFETY: both are 16 octets without padding, and every bit pattern is valid.
    unsafe { core::mem::transmute(v) }
}

fn to_u128(v: __m128i) -> Block {
    // SAFETY: both are 16 octets without padding, and every bit pattern is valid.
    unsafe { core::mem::transmute(v) }
}

fn from_u128(v: u128) -> __m128i {
    // SAFETY: both are 16 octets without padding, and every bit pattern is valid.
    unsafe { core::mem::transmute(v) }
}

/// Multiplies by x in the POLYVAL field, without a branch on the key.
fn double(v: u128) -> u128 {
    let carry = (v >> 127).wrapping_neg();
    v << 1 ^ carry & ((POLY as u128) << 64 | 1)
}

#[inline]
#[target_feature(enable = "pclmulqdq,sse2")]
fn times_x_to_minus_64(v: __m128i) -> __m128i {
    let poly = _mm_set_epi64x(0, POLY as i64);
    _mm_xor_si128(_mm_shuffle_epi32(v, 0x4e), _mm_clmulepi64_si128(v, poly, 0x00))
}

/// The sum of both halves, in each half.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn halves(v: __m128i) -> __m128i {
    _mm_xor_si128(v, _mm_shuffle_epi32::<0x4e>(v))
}

/// Three partial products: low, middle, high.
pub(crate) type Products = [__m128i; 3];

/// `a` times a power `h`, whose halves add up to `k`.
#[inline]
#[target_feature(enable = "pclmulqdq,sse2")]
pub(crate) fn multiply(a: __m128i, h: __m128i, k: __m128i) -> Products {
    [
        _mm_clmulepi64_si128::<0x00>(a, h),
        _mm_clmulepi64_si128::<0x00>(halves(a), k),
        _mm_clmulepi64_si128::<0x11>(a, h),
    ]
}

/// What the products stand for, times x^-128.
#[inline]
#[target_feature(enable = "pclmulqdq,sse2")]
pub(crate) fn reduce([low, middle, high]: Products) -> __m128i {
    let middle = _mm_xor_si128(middle, _mm_xor_si128(low, high));
    let low = _mm_xor_si128(low, _mm_slli_si128::<8>(middle));
    let high = _mm_xor_si128(high, _mm_srli_si128::<8>(middle));
    _mm_xor_si128(times_x_to_minus_64(times_x_to_minus_64(low)), high)
}

#[inline]
#[target_feature(enable = "sse2")]
fn spread(mut key: __m128i, word: __m128i) -> __m128i {
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    _mm_xor_si128(key, word)
}

#[inline]
#[target_feature(enable = "sse2")]
fn load(octets: &[u8]) -> __m128i {
    let mut block = [0; 16];
    let len = octets.len().min(16);
    block[..len].copy_from_slice(&octets[..len]);
    let v = from_u128(u128::from_le_bytes(block));
    block.zeroize();
    v
}

/// FIPS 197 key expansion.
#[target_feature(enable = "aes,sse2")]
fn expand128(octets: &[u8]) -> [__m128i; MAX_ROUND_KEYS] {
    let mut keys = [_mm_setzero_si128(); MAX_ROUND_KEYS];
    keys[0] = load(octets);
    macro_rules! round {
        ($i:literal, $rcon:literal) => {
            let word = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(keys[$i - 1], $rcon), 0xff);
            keys[$i] = spread(keys[$i - 1], word);
        };
    }
    round!(1, 0x01);
    round!(2, 0x02);
    round!(3, 0x04);
    round!(4, 0x08);
    round!(5, 0x10);
    round!(6, 0x20);
    round!(7, 0x40);
    round!(8, 0x80);
    round!(9, 0x1b);
    round!(10, 0x36);
    keys
}

/// FIPS 197 key expansion.
#[target_feature(enable = "aes,sse2")]
fn expand256(octets: &[u8]) -> [__m128i; MAX_ROUND_KEYS] {
    let mut keys = [_mm_setzero_si128(); MAX_ROUND_KEYS];
    keys[0] = load(octets);
    keys[1] = load(octets.get(16..).unwrap_or_default());
    macro_rules! even {
        ($i:literal, $rcon:literal) => {
            let word = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(keys[$i - 1], $rcon), 0xff);
            keys[$i] = spread(keys[$i - 2], word);
        };
    }
    macro_rules! odd {
        ($i:literal) => {
            let word = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(keys[$i - 1], 0), 0xaa);
            keys[$i] = spread(keys[$i - 2], word);
        };
    }
    even!(2, 0x01);
    odd!(3);
    even!(4, 0x02);
    odd!(5);
    even!(6, 0x04);
    odd!(7);
    even!(8, 0x08);
    odd!(9);
    even!(10, 0x10);
    odd!(11);
    even!(12, 0x20);
    odd!(13);
    even!(14, 0x40);
    keys
}
