//! What a CPU's ports allow AES-GCM at best, to be measured: loops of AES and carry-less multiplications and
//! nothing else, and the time stamp counter.
//!
//! No back end uses any of this. It is here because it takes the same instructions as they do.

/// What a loop of [`PortLoops`] does per register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// All rounds of AES.
    Aes,
    /// Three carry-less multiplications: Karatsuba's share of GHASH, without reductions.
    Clmul,
    /// Both, interleaved.
    Both,
}

/// How many rounds AES has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// 10, for keys of 16 octets.
    Ten,
    /// 14, for keys of 32 octets.
    Fourteen,
}

/// Loops on the widest registers for which this CPU has both AES and carry-less multiplication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortLoops(Width);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    #[cfg(target_arch = "x86_64")]
    Octets64,
    #[cfg(target_arch = "x86_64")]
    Octets32,
    #[cfg(target_arch = "x86_64")]
    Octets16,
}

impl PortLoops {
    /// Asks the CPU. There are none for CPUs other than x86-64 with AES-NI and PCLMULQDQ.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let wide = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("vpclmulqdq");
            if wide && is_x86_feature_detected!("avx512f") {
                return Some(PortLoops(Width::Octets64));
            }
            if wide && is_x86_feature_detected!("avx2") {
                return Some(PortLoops(Width::Octets32));
            }
            if is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq") {
                return Some(PortLoops(Width::Octets16));
            }
        }
        None
    }

    /// Octets of a register: 64, 32 or 16.
    pub fn register_octets(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Width::Octets64 => 64,
            #[cfg(target_arch = "x86_64")]
            Width::Octets32 => 32,
            #[cfg(target_arch = "x86_64")]
            Width::Octets16 => 16,
        }
    }

    /// Does the work for `registers` registers, or a few more, and says for how many.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub fn run(self, work: Work, rounds: Rounds, registers: u64) -> u64 {
        match self.0 {
            // SAFETY: only `detect` makes a value of this width, after it saw these features.
            #[cfg(target_arch = "x86_64")]
            Width::Octets64 => unsafe { octets64::run(work, rounds, registers) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Width::Octets32 => unsafe { octets32::run(work, rounds, registers) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Width::Octets16 => unsafe { octets16::run(work, rounds, registers) },
        }
    }
}

/// The time stamp counter, in ticks of its own, which is not the core's clock. `None` on CPUs other than x86-64.
#[inline(always)]
pub fn tsc() -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 CPU has the instruction; it only reads.
        #[allow(unused_unsafe)]
        let ticks = unsafe { core::arch::x86_64::_rdtsc() };
        Some(ticks)
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// `$step!(round, chain)` for every round and, within it, every chain: straight code, whatever the optimiser thinks.
#[cfg(target_arch = "x86_64")]
macro_rules! each_round {
    ($step:ident, $chains:tt) => {
        each_round!($step, [0 1 2 3 4 5 6 7 8 9 10 11 12 13], $chains)
    };
    ($step:ident, [$($round:literal)*], $chains:tt) => {
        $( each_round!(@ $step, $round, $chains); )*
    };
    (@ $step:ident, $round:literal, [$($chain:literal)*]) => {
        $( $step!($round, $chain); )*
    };
}

/// The loops on registers of one width, in a module of that name.
///
/// As many chains of AES run side by side as hide its latency and find room in the registers. A multiplication
/// depends on nothing. Both are kept from the optimiser by assembly without an instruction in it: to it, each
/// register comes from and goes to somewhere unknown.
#[cfg(target_arch = "x86_64")]
macro_rules! loops {
    (
        $name:ident, $features:literal, chains $count:literal $chains:tt,
        $vector:ident in $class:ident, $zero:ident, $aesenc:ident, $clmul:ident
    ) => {
        mod $name {
            use super::{Rounds, Work};
            use core::arch::asm;
            use core::arch::x86_64::{$aesenc, $clmul, $vector, $zero};

            const CHAINS: usize = $count;

            #[target_feature(enable = $features)]
            pub(super) fn run(work: Work, rounds: Rounds, registers: u64) -> u64 {
                let turns = registers.div_ceil(CHAINS as u64);
                match (work, rounds) {
                    (Work::Aes, Rounds::Ten) => turn::<10, true, false>(turns),
                    (Work::Aes, Rounds::Fourteen) => turn::<14, true, false>(turns),
                    (Work::Clmul, _) => turn::<10, false, true>(turns),
                    (Work::Both, Rounds::Ten) => turn::<10, true, true>(turns),
                    (Work::Both, Rounds::Fourteen) => turn::<14, true, true>(turns),
                }
                turns * CHAINS as u64
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn turn<const ROUNDS: usize, const AES: bool, const CLMUL: bool>(turns: u64) {
                let mut states = [$zero(); CHAINS];
                let (mut key, mut factor) = ($zero(), $zero());
                hide(&mut key);
                hide(&mut factor);
                macro_rules! step {
                    ($round:literal, $chain:literal) => {
                        if AES && $round < ROUNDS {
                            states[$chain] = $aesenc(states[$chain], key);
                            hide(&mut states[$chain]);
                        }
                        // Three for as many steps as there are rounds, evenly.
                        let done = $round * CHAINS + $chain;
                        if CLMUL && $round < ROUNDS && (done + 1) * 3 / ROUNDS > done * 3 / ROUNDS {
                            hide(&mut factor);
                            hide(&mut $clmul::<0x10>(factor, key));
                        }
                    };
                }
                for _ in 0..turns {
                    each_round!(step, $chains);
                }
            }

            /// Makes the value an unknown one.
            #[inline]
            #[target_feature(enable = $features)]
            fn hide(value: &mut $vector) {
                // SAFETY: there is no instruction, and the operand stays what it was.
                unsafe { asm!("/* {0} */", inout($class) * value, options(nomem, nostack, preserves_flags)) };
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
loops!(
    octets64, "avx512f,vaes,vpclmulqdq", chains 16 [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15],
    __m512i in zmm_reg, _mm512_setzero_si512, _mm512_aesenc_epi128, _mm512_clmulepi64_epi128
);
#[cfg(target_arch = "x86_64")]
loops!(
    octets32, "avx2,vaes,vpclmulqdq", chains 10 [0 1 2 3 4 5 6 7 8 9],
    __m256i in ymm_reg, _mm256_setzero_si256, _mm256_aesenc_epi128, _mm256_clmulepi64_epi128
);
#[cfg(target_arch = "x86_64")]
loops!(
    octets16, "sse2,aes,pclmulqdq", chains 10 [0 1 2 3 4 5 6 7 8 9],
    __m128i in xmm_reg, _mm_setzero_si128, _mm_aesenc_si128, _mm_clmulepi64_si128
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_that_the_cpu_has_does_its_work() {
        let Some(best) = PortLoops::detect() else { return };
        #[cfg(target_arch = "x86_64")]
        for width in [Width::Octets64, Width::Octets32, Width::Octets16] {
            let loops = PortLoops(width);
            // A CPU that has the wider ones has the narrower ones.
            if loops.register_octets() > best.register_octets() {
                continue;
            }
            for work in [Work::Aes, Work::Clmul, Work::Both] {
                for rounds in [Rounds::Ten, Rounds::Fourteen] {
                    let done = loops.run(work, rounds, 100);
                    assert!((100..116).contains(&done), "{work:?} {rounds:?}: {done}");
                }
            }
        }
    }

    #[test]
    fn the_time_stamp_counter_goes_on() {
        if let (Some(first), Some(later)) = (tsc(), tsc()) {
            assert!(first <= later);
        }
    }
}
