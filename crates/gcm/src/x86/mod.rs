//! Back ends on x86-64 instructions.
//!
//! One way to go over [frames], in registers of one, two or four blocks. A back end is a token that proves that the CPU
//! has its instructions, and the functions that are compiled for them.

mod bare;
mod four;
mod frames;
mod ghash;
mod key;
mod long;
mod pass;
mod row;
mod shape;
mod side;
mod vector;

use four::Loose;
use frames::{BackEnd, Worker};
use key::ANY;
pub(crate) use key::ExpandedKey;
pub(crate) use shape::Shapes;
use shape::{BIG, Shape};

use crate::backend::Expanded;
use crate::burst::Op;
use core::arch::asm;
use core::arch::x86_64::*;

/// Asks the CPU to have the cache line of an address to itself soon.
///
/// The intrinsic with this hint becomes a prefetch to read, unless the compiler is told that the CPU has another.
#[inline(always)]
pub(crate) fn prefetch_to_write(at: *const u8) {
    prefetch_block_to_write::<0>(at);
}

/// The same of so many blocks behind an address.
#[inline(always)]
pub(crate) fn prefetch_block_to_write<const BLOCKS: usize>(at: *const u8) {
    // Miri knows no assembly.
    if cfg!(miri) {
        return;
    }
    // SAFETY: nothing faults on any address, and a 64-bit CPU that has no such prefetch does nothing.
    unsafe {
        asm!(
            "prefetchw [{} + {}]", in(reg) at.addr(), const 16 * BLOCKS,
            options(nomem, nostack, preserves_flags)
        );
    }
}

/// Asks the CPU to move the cache line of an address out of this core's own caches.
pub(crate) fn leave_to_all(at: *const u8) {
    // Miri knows no assembly.
    if cfg!(miri) {
        return;
    }
    // SAFETY: a hint, which changes no memory. To a CPU that does not know it, it is an instruction that does nothing.
    unsafe {
        asm!("cldemote [{}]", in(reg) at.addr(), options(readonly, nostack, preserves_flags));
    }
}

/// The key of an operation that was handed to an x86 back end.
#[inline(always)]
fn expanded<'a>(op: &Op<'a>) -> &'a ExpandedKey {
    match &op.key.0 {
        Expanded::X86(_, key) => key,
        Expanded::Portable(_) => unreachable!("a key of another back end"),
    }
}

/// Whether an operation is of the same kind as one in one piece: so too, with a key of the same back end and length.
#[inline(always)]
fn like(first: &Op<'_>, op: &Op<'_>) -> bool {
    // The same key it is nearly always.
    let same = core::ptr::eq(op.key, first.key)
        || match (&op.key.0, &first.key.0) {
            (Expanded::X86(a, k), Expanded::X86(b, l)) => a == b && k.rounds() == l.rounds(),
            _ => false,
        };
    same && !op.is_scattered()
}

/// Does so for each number below a constant that is no more than eight; the number is a constant, too. Unrolled by hand:
/// of loops there would be thousands, on which the compiler spends minutes, and those that it leaves as loops keep
/// registers in memory.
///
/// Here and wherever so many copies are made, what depends on constants alone says so: of `if const { … }` the compiler
/// makes only what is left, while of any other condition it makes both sides first and throws one away later.
macro_rules! each {
    ($i:ident < $n:expr; $body:expr) => { each!($i < $n; $body; 0 1 2 3 4 5 6 7) };
    ($i:ident < $n:expr; $body:expr; $($number:literal)*) => {$(
        if const { $number < $n } {
            each!($i in $number; $body);
        }
    )*};
    ($i:ident in $($number:literal)*; $body:expr) => {$(
        {
            #[allow(non_upper_case_globals, dead_code)]
            const $i: usize = $number;
            $body;
        }
    )*};
}
use each;

/// Whether a build for Valgrind, which knows no VAES, does without a back end's code.
const fn left_out<V>() -> bool {
    cfg!(for_valgrind) && size_of::<V>() > size_of::<__m128i>()
}

/// A back end: what it is, the registers it works in and how many of a frame in a row, by rounds what code there is, and
/// what the CPU must have for it. Each in a module of its own: in development the compiler works on several modules at once,
/// and most of the time that it takes for this crate is theirs.
macro_rules! back_end {
    (
        $(#[$doc:meta])* $module:ident, $name:ident, $vector:ty, $row:expr, [$($rounds:pat => $code:tt),*], $features:literal,
        [$($feature:tt)*]
    ) => {
        pub(crate) use $module::$name;

        mod $module {
            use super::*;

            $(#[$doc])*
            ///
            /// The value proves that the CPU has what it needs; `detect` alone makes one.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub(crate) struct $name(());

            impl BackEnd for $name {
                type Register = $vector;
                const ROW: usize = $row;

                #[target_feature(enable = $features)]
                #[inline(never)]
                unsafe fn fours<const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
                    worker: &Worker<Self>,
                    all: *mut Op<'_>,
                    places: *const u8,
                    fours: usize,
                ) -> u64 {
                    // SAFETY: as the caller of both.
                    unsafe { frames::fours::<_, ROUNDS, SEAL, REGISTERS>(worker, all, places, fours) }
                }

                #[target_feature(enable = $features)]
                #[inline(never)]
                unsafe fn frame<const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
                    loose: *mut Loose<$vector>,
                    i: usize,
                    shape: &Shape,
                    key: &ExpandedKey,
                    op: &mut Op<'_>,
                    next: *const u8,
                ) {
                    // SAFETY: as the caller of both.
                    unsafe {
                        let (sums, mask) = frames::frame::<$vector, ROUNDS, SEAL, REGISTERS>(shape, key, op, next);
                        Loose::set(loose, i, shape, key, op, sums, mask);
                    }
                }
            }

            impl $name {
                /// Asks the CPU.
                pub(crate) fn detect() -> Option<Self> {
                    let has = !left_out::<$vector>() $(&& is_x86_feature_detected!($feature))*;
                    has.then_some($name(()))
                }

                /// Expands a key of 16 or 32 octets.
                pub(crate) fn expand(self, octets: &[u8]) -> Box<ExpandedKey> {
                    // SAFETY: `self` proves that the CPU has these instructions.
                    unsafe { ExpandedKey::new(octets) }
                }

                /// Seals, or opens, the first operation, which is in one piece and whose key an x86 back end expanded and
                /// has so many rounds, and those after it up to one of another kind. Hands out how many these are, and a
                /// bit each that says whether it was authentic; all that were sealed are. `whole` says that none is
                /// scattered.
                #[inline(always)]
                pub(crate) fn run<const SEAL: bool>(
                    self,
                    shapes: &mut Shapes,
                    rounds: u32,
                    ops: &mut [Op<'_>],
                    whole: bool,
                ) -> (usize, u64) {
                    #[target_feature(enable = $features)]
                    unsafe fn run<const ROUNDS: usize, const SEAL: bool>(
                        shapes: &mut Shapes,
                        ops: &mut [Op<'_>],
                        whole: bool,
                    ) -> (usize, u64) {
                        // SAFETY: the caller has the instructions.
                        unsafe { frames::run::<$name, ROUNDS, SEAL>(shapes, ops, whole) }
                    }
                    if const { left_out::<$vector>() } {
                        unreachable!("not in this build")
                    }
                    // SAFETY: `self` proves that the CPU has these instructions.
                    unsafe {
                        match rounds {
                            $($rounds => run::<$code, SEAL>(shapes, ops, whole),)*
                        }
                    }
                }
            }
        }
    };
}

back_end!(
    /// VAES and VPCLMULQDQ on AVX-512.
    vaes512,
    Vaes512,
    __m512i,
    BIG,
    [10 => 10, _ => 14],
    "avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,aes,pclmulqdq,sse4.1,bmi2",
    ["avx512f" "avx512bw" "avx512vl" "avx512dq" "vaes" "vpclmulqdq" "aes" "pclmulqdq" "ssse3" "sse4.1" "bmi2"]
);

back_end!(
    /// VAES and VPCLMULQDQ on AVX2.
    vaes256,
    Vaes256,
    __m256i,
    BIG,
    [_ => ANY],
    "avx2,vaes,vpclmulqdq,aes,pclmulqdq,sse4.1",
    ["avx2" "vaes" "vpclmulqdq" "aes" "pclmulqdq" "ssse3" "sse4.1"]
);

back_end!(
    /// AES-NI and PCLMULQDQ in AVX's form, which leaves both operands as they are.
    aesni_avx,
    AesniAvx,
    __m128i,
    BIG,
    [_ => ANY],
    "avx,aes,pclmulqdq,ssse3,sse4.1",
    ["avx" "aes" "pclmulqdq" "ssse3" "sse4.1"]
);

back_end!(
    /// AES-NI and PCLMULQDQ.
    aesni,
    Aesni,
    __m128i,
    0,
    [_ => ANY],
    "aes,pclmulqdq,ssse3,sse4.1",
    ["aes" "pclmulqdq" "ssse3" "sse4.1"]
);
