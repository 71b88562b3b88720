//! What the ports of the CPU allow at best.
//!
//! AES-GCM needs, for each register full of blocks, the rounds of AES for the counter blocks and three carry-less
//! multiplications for GHASH, by Karatsuba's method. Nobody gets by without these; loads, stores, xors, reductions
//! and all that is per frame come on top, and a contender is the better the less of them it shows. What a register
//! takes is measured, in loops that do nothing else: AES alone, multiplications alone, and both interleaved.
//!
//! A frame takes, in registers, `aes` = (payload blocks + 1) / blocks a register, the one being J0, and `ghash` =
//! (AAD blocks + payload blocks + 1) / blocks a register, the one being the lengths. The quotients are not rounded: a
//! burst can be packed. A frame that is not encrypted has 1 / blocks a register of AES. As many registers as both have
//! can be interleaved; what either has more of comes at its own rate:
//!
//! ```text
//! limit = both * min(aes, ghash) + (aes alone or multiplications alone) * |aes - ghash|
//! ```

use super::case::{Case, Suite};
use crate::clock::{Clock, median};
use gcm::limit::{PortLoops, Rounds, Work};

/// Octets of a block of AES.
const BLOCK: usize = 16;

/// Nanoseconds that a register takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Costs {
    /// All rounds of AES.
    pub(crate) aes: f64,
    /// Three carry-less multiplications.
    pub(crate) clmul: f64,
    /// Both, interleaved.
    pub(crate) both: f64,
}

/// Registers of work that a frame is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Registers {
    /// Of counter blocks.
    pub(crate) aes: f64,
    /// Of GHASH.
    pub(crate) ghash: f64,
}

impl Registers {
    /// Of the mean of these frames, in registers of so many octets.
    pub(crate) fn new(case: &Case, payloads: &[usize], register_octets: usize) -> Self {
        let blocks: usize = payloads.iter().map(|payload| payload.div_ceil(BLOCK)).sum();
        let blocks = blocks as f64 / payloads.len() as f64;
        let aad = case.aad_len().div_ceil(BLOCK) as f64;
        let lanes = (register_octets / BLOCK) as f64;
        Registers { aes: (blocks + 1.0) / lanes, ghash: (aad + blocks + 1.0) / lanes }
    }

    /// Nanoseconds of a frame at least.
    pub(crate) fn limit(self, costs: Costs) -> f64 {
        let Registers { aes, ghash } = self;
        let rest = if aes > ghash { (aes - ghash) * costs.aes } else { (ghash - aes) * costs.clmul };
        costs.both * aes.min(ghash) + rest
    }
}

/// The three loops, measured in slices between those of the contenders.
pub(crate) struct LimitSlices {
    loops: PortLoops,
    rounds: Rounds,
    /// Registers of work in a slice, and nanoseconds a register in each slice so far.
    measured: [(Work, u64, Vec<f64>); 3],
}

impl LimitSlices {
    /// Finds out how much fills a third of a slice of `slice_ns` with each loop.
    pub(crate) fn new(loops: PortLoops, suite: Suite, clock: &Clock, slice_ns: f64) -> Self {
        let rounds = match suite {
            Suite::GcmAes128 => Rounds::Ten,
            Suite::GcmAes256 => Rounds::Fourteen,
        };
        let measured = [Work::Aes, Work::Clmul, Work::Both].map(|work| {
            let probe = (0..3).map(|_| per_register(loops, work, rounds, 4096, clock));
            let ns = probe.fold(f64::INFINITY, f64::min).max(0.01);
            (work, (slice_ns / 3.0 / ns) as u64 + 1, Vec::new())
        });
        LimitSlices { loops, rounds, measured }
    }

    /// Measures one slice.
    pub(crate) fn slice(&mut self, clock: &Clock, counts: bool) {
        for (work, registers, slices) in &mut self.measured {
            let ns = per_register(self.loops, *work, self.rounds, *registers, clock);
            if counts {
                slices.push(ns);
            }
        }
    }

    pub(crate) fn costs(self) -> Costs {
        let [aes, clmul, both] = self.measured.map(|(_, _, slices)| median(slices));
        Costs { aes, clmul, both }
    }
}

fn per_register(loops: PortLoops, work: Work, rounds: Rounds, registers: u64, clock: &Clock) -> f64 {
    let start = clock.now();
    let done = loops.run(work, rounds, registers);
    clock.ns((clock.now() - start) as f64) / done as f64
}

#[cfg(test)]
mod tests {
    use super::super::case::{Direction, Mode, Size};
    use super::*;

    const COSTS: Costs = Costs { aes: 2.0, clmul: 1.0, both: 2.5 };

    fn case(mode: Mode, octets: usize) -> Case {
        Case {
            suite: Suite::GcmAes128,
            direction: Direction::Seal,
            mode,
            size: Size::Octets(octets),
            keys: 1,
        }
    }

    #[test]
    fn a_short_frame_is_one_register_of_aes() {
        // J0 and 3 blocks; 2 blocks of AAD, 3 of payload, the lengths.
        let registers = Registers::new(&case(Mode::Encrypt, 48), &[48], 64);
        assert_eq!(registers, Registers { aes: 1.0, ghash: 1.5 });
        assert_eq!(registers.limit(COSTS), 2.5 + 0.5);
        let narrow = Registers::new(&case(Mode::Encrypt, 48), &[48], 16);
        assert_eq!(narrow, Registers { aes: 4.0, ghash: 6.0 });
    }

    #[test]
    fn a_frame_in_the_clear_is_ghash() {
        let registers = Registers::new(&case(Mode::Integrity, 1528), &[0], 64);
        assert_eq!(registers, Registers { aes: 0.25, ghash: 97.0 / 4.0 });
        assert_eq!(registers.limit(COSTS), 0.25 * 2.5 + 24.0);
    }

    #[test]
    fn a_mix_is_its_mean() {
        let registers = Registers::new(&case(Mode::Encrypt, 1), &[16, 17, 31, 48], 16);
        assert_eq!(registers, Registers { aes: 3.0, ghash: 5.0 });
        assert_eq!(Registers { aes: 3.0, ghash: 1.0 }.limit(COSTS), 2.5 + 2.0 * 2.0);
    }

    #[test]
    fn costs_are_measured() {
        let Some(loops) = PortLoops::detect() else { return };
        let clock = Clock::new();
        let mut slices = LimitSlices::new(loops, Suite::GcmAes256, &clock, 10_000.0);
        slices.slice(&clock, false);
        slices.slice(&clock, true);
        let costs = slices.costs();
        assert!(costs.aes > 0.0 && costs.clmul > 0.0 && costs.both > 0.0, "{costs:?}");
    }
}
