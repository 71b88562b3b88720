//! Registers of one frame in a row, eight at a time.

use super::ghash::{accumulate, accumulate_two};
use super::key::{ANY, ExpandedKey};
use super::vector::{Vector, WIDTH, unforeseen};
use super::{each, prefetch_block_to_write};

/// Consecutive registers of payload.
pub(super) struct Pass<'k, V> {
    pub(super) key: &'k ExpandedKey,
    /// Where the first register begins: before the payload, where J0 leads.
    pub(super) at: *mut u8,
    pub(super) registers: usize,
    pub(super) first: u64,
    pub(super) last: u64,
    /// The first round of the nonce without a count, in every block; and where what counts add to it stands.
    pub(super) nonces: V,
    pub(super) counts: *const u8,
    /// Where the power of its first block stands.
    pub(super) powers: usize,
    /// Hashed with the first register.
    pub(super) carry: V,
    /// The payload that comes next, of which as much is fetched as is done of this one: no CPU knows where it is, and
    /// another core may have had it last.
    pub(super) next: *const u8,
}

impl<V: Vector> Pass<'_, V> {
    /// The first round of blocks without a count.
    #[inline(always)]
    pub(super) unsafe fn first_round(key: &ExpandedKey, nonces: V) -> V {
        // SAFETY: the caller has the instructions.
        unsafe { nonces.xor(V::load(key.round_key(0))).round(V::load(key.round_key(1))) }
    }

    /// A round of so many registers.
    #[inline(always)]
    unsafe fn round<const W: usize>(state: &mut [V; WIDTH], round_key: V) {
        // SAFETY: the caller has the instructions.
        unsafe {
            each!(w < W; state[w] = state[w].round(round_key));
        }
    }

    /// Works on registers `z..z + W`; of these the first may be the payload's first, and the last its last. On open
    /// they are hashed too. On seal `PREVIOUS` registers are hashed, those before, which are `pending`; before a frame's
    /// first these are the last ones of one of the same key and shape. Of a frame's last ones `HOLD` leaves the hashing
    /// for later.
    #[inline(always)]
    pub(super) unsafe fn batch<
        const ROUNDS: usize,
        const SEAL: bool,
        const W: usize,
        const PREVIOUS: usize,
        const FIRST: bool,
        const LAST: bool,
        const HOLD: bool,
    >(
        &mut self,
        z: usize,
        pending: &mut [V; WIDTH],
        sums: &mut [V; 3],
    ) -> V {
        // SAFETY: the caller has the instructions; the masks, and the number of registers, keep loads and stores
        // within the payload that `at` was made from.
        unsafe {
            let (key, step) = (self.key, 16 * V::BLOCKS);
            let at = self.at.wrapping_add(z * step);
            let (first, last) = (self.first, self.last);
            let mask = |w: usize| match (FIRST && w == 0, LAST && w == W - 1) {
                (true, _) => Some(first),
                (false, true) => Some(last),
                (false, false) => None,
            };
            // Before the last of several there is more of the payload.
            let ends = |w: usize| LAST && w == W - 1 && !(FIRST && w == 0);
            let load = |at: *mut u8, w: usize| {
                let at = at.wrapping_add(w * step);
                match mask(w) {
                    Some(mask) if ends(w) => V::load_end(at, mask),
                    Some(mask) => V::load_part(at, mask),
                    None => V::load(at),
                }
            };
            let round_key = |round: usize| V::load(key.round_key(round));
            let mut state = [V::zero(); WIDTH];
            each!(w < W; state[w] = self.nonces.xor(V::load(self.counts.wrapping_add((z + w) * step))));
            // What is loaded before it is needed: where there are few registers, only what takes more than one load.
            let early = |w: usize| !SEAL && (V::MANY || mask(w).is_some());
            each!(w < W; if early(w) {
                pending[w] = load(at, w);
            });
            // Those before the first are a frame's last ones.
            let before = if FIRST { self.registers } else { z };
            let from = if SEAL { before.wrapping_sub(PREVIOUS) * V::BLOCKS } else { z * V::BLOCKS };
            let (h, k) = key.powers_at(self.powers.wrapping_add(from));
            let rounds = key.rounds_of::<ROUNDS>();
            // Unrolled by hand: left to itself the compiler keeps the loop, or gathers all of one kind.
            macro_rules! rounds {
                ($($round:literal)*) => {$(
                    if const { $round < least(ROUNDS) } || const { ROUNDS == ANY } && rounds > least(ROUNDS) {
                        let k = round_key($round);
                        Self::round::<W>(&mut state, k);
                        if const { hashed_in($round, ROUNDS) < hashed(SEAL, PREVIOUS, W) } {
                            hash!(const { hashed_in($round, ROUNDS) });
                        }
                        if const { W == WIDTH || HOLD } {
                            V::fence(&mut state, sums);
                        }
                    }
                )*};
            }
            let block = |pending: &[V; WIDTH], i: usize| {
                let blocks = if SEAL || early(i) { pending[i] } else { load(at, i) };
                let blocks = if !SEAL && FIRST && i == 0 { blocks.xor(self.carry) } else { blocks };
                blocks.reverse()
            };
            let power = |at: *const u8, i: usize| V::load(at.wrapping_add(i * step));
            macro_rules! hash {
                ($i:expr) => {
                    let i = $i;
                    if const { V::MANY && $i % 2 == 1 } {
                        let two = |at| [power(at, i - 1), power(at, i)];
                        let blocks = [block(pending, i - 1), block(pending, i)];
                        accumulate_two(sums, blocks, two(h), two(k));
                    } else if const { !V::MANY || $i + 1 == hashed(SEAL, PREVIOUS, W) } {
                        accumulate(sums, block(pending, i), power(h, i), power(k, i));
                    }
                };
            }
            rounds!(2 3 4 5 6 7 8 9 10 11 12 13);
            // As much of the next payload, line by line.
            let next = self.next.wrapping_add(z * step);
            macro_rules! prefetches {
                ($($block:literal)*) => {$(
                    if const { $block < W * V::BLOCKS } {
                        prefetch_block_to_write::<$block>(next);
                    }
                )*};
            }
            prefetches!(0 4 8 12 16 20 24 28);
            let last_key = round_key(rounds);
            let mut lead = V::zero();
            // Not the same loads as before: these would be kept, in memory.
            let at = if SEAL || V::MANY { at } else { unforeseen(at).cast_mut() };
            each!(w < W; {
                let data = if early(w) { pending[w] } else { load(at, w) };
                let mut out = state[w].last_round(last_key.xor(data));
                let at = at.wrapping_add(w * step);
                match mask(w) {
                    Some(mask) if ends(w) => out.store_end(at, mask),
                    Some(mask) => out.store_part(at, mask),
                    None => out.store(at),
                }
                if w == 0 {
                    lead = out;
                }
                if const { SEAL } {
                    if let Some(mask) = mask(w) {
                        out = out.keep(mask);
                    }
                    if const { FIRST && w == 0 } {
                        out = out.xor(self.carry);
                    }
                    pending[w] = out;
                }
            });
            if const { SEAL && LAST && !HOLD } {
                self.hash::<W>(z, pending, sums);
            }
            lead
        }
    }

    /// Hashes what became of registers `z..z + W`.
    #[inline(always)]
    pub(super) unsafe fn hash<const W: usize>(&self, z: usize, pending: &[V; WIDTH], sums: &mut [V; 3]) {
        // SAFETY: as for `batch`.
        unsafe {
            let step = 16 * V::BLOCKS;
            let (h, k) = self.key.powers_at(self.powers + z * V::BLOCKS);
            each!(w < W; {
                let power = |at: *const u8, i: usize| V::load(at.wrapping_add(i * step));
                if w % 2 == 1 {
                    let two = |at| [power(at, w & 6), power(at, w)];
                    accumulate_two(sums, [pending[w & 6].reverse(), pending[w].reverse()], two(h), two(k));
                } else if const { w + 1 == W } {
                    accumulate(sums, pending[w].reverse(), power(h, w), power(k, w));
                }
            });
        }
    }

    /// Hashes what is left pending of a frame that has more than [`WIDTH`] registers; of others nothing is.
    #[inline(always)]
    pub(super) unsafe fn hash_last(&self, pending: &[V; WIDTH], sums: &mut [V; 3]) {
        if self.registers <= WIDTH {
            return;
        }
        let last = self.last_ones();
        let z = self.registers - last;
        // SAFETY: as for `batch`.
        unsafe {
            match last {
                1 => self.hash::<1>(z, pending, sums),
                2 => self.hash::<2>(z, pending, sums),
                3 => self.hash::<3>(z, pending, sums),
                4 => self.hash::<4>(z, pending, sums),
                5 => self.hash::<5>(z, pending, sums),
                6 => self.hash::<6>(z, pending, sums),
                7 => self.hash::<7>(z, pending, sums),
                _ => self.hash::<8>(z, pending, sums),
            }
        }
    }

    /// All registers of a frame that has more than [`WIDTH`], or of a piece of one. Hands out what became of the first,
    /// whose first block is E(J0) where that leads.
    ///
    /// On seal the last ones, as many as [`hash_last`](Self::hash_last) takes, are left `pending`. If the frame `follows`
    /// another of its key and shape, of which they are pending, these are added to `before`.
    #[inline(always)]
    pub(super) unsafe fn run<const ROUNDS: usize, const SEAL: bool>(
        &mut self,
        follows: bool,
        before: &mut [V; 3],
        p: &mut [V; WIDTH],
        sums: &mut [V; 3],
    ) -> V {
        // SAFETY: as for `batch`.
        unsafe {
            if self.registers <= WIDTH {
                // The end of a long frame, one at a time: there are few.
                for z in 0..self.registers {
                    self.first = if z + 1 == self.registers { self.last } else { u64::MAX };
                    self.batch::<ROUNDS, SEAL, 1, 0, true, true, false>(z, p, sums);
                    self.carry = V::zero();
                }
                return V::zero();
            }
            let last = self.last_ones();
            let lead = match if SEAL && follows { last } else { 0 } {
                1 => self.batch::<ROUNDS, true, 8, 1, true, false, true>(0, p, before),
                2 => self.batch::<ROUNDS, true, 8, 2, true, false, true>(0, p, before),
                3 => self.batch::<ROUNDS, true, 8, 3, true, false, true>(0, p, before),
                4 => self.batch::<ROUNDS, true, 8, 4, true, false, true>(0, p, before),
                5 => self.batch::<ROUNDS, true, 8, 5, true, false, true>(0, p, before),
                6 => self.batch::<ROUNDS, true, 8, 6, true, false, true>(0, p, before),
                7 => self.batch::<ROUNDS, true, 8, 7, true, false, true>(0, p, before),
                8 => self.batch::<ROUNDS, true, 8, 8, true, false, true>(0, p, before),
                _ => self.batch::<ROUNDS, SEAL, 8, 0, true, false, SEAL>(0, p, sums),
            };
            let mut z = 8;
            while z + 8 < self.registers {
                self.batch::<ROUNDS, SEAL, 8, 8, false, false, SEAL>(z, p, sums);
                z += 8;
            }
            match last {
                1 => self.batch::<ROUNDS, SEAL, 1, 8, false, true, SEAL>(z, p, sums),
                2 => self.batch::<ROUNDS, SEAL, 2, 8, false, true, SEAL>(z, p, sums),
                3 => self.batch::<ROUNDS, SEAL, 3, 8, false, true, SEAL>(z, p, sums),
                4 => self.batch::<ROUNDS, SEAL, 4, 8, false, true, SEAL>(z, p, sums),
                5 => self.batch::<ROUNDS, SEAL, 5, 8, false, true, SEAL>(z, p, sums),
                6 => self.batch::<ROUNDS, SEAL, 6, 8, false, true, SEAL>(z, p, sums),
                7 => self.batch::<ROUNDS, SEAL, 7, 8, false, true, SEAL>(z, p, sums),
                _ => self.batch::<ROUNDS, SEAL, 8, 8, false, true, SEAL>(z, p, sums),
            };
            lead
        }
    }

    /// [`run`](Self::run) on seal where [`Shape::shares`](super::shape::Shape::shares): the last registers, which are one
    /// to three more than [`WIDTH`], in two batches of about as many. In a batch of few the ports of AES would be idle
    /// while eight are hashed, and in the next one those of GHASH.
    #[inline(always)]
    pub(super) unsafe fn run_shared<const ROUNDS: usize>(
        &mut self,
        follows: bool,
        before: &mut [V; 3],
        p: &mut [V; WIDTH],
        sums: &mut [V; 3],
    ) -> V {
        // SAFETY: as for `batch`.
        unsafe {
            let both = self.last_two();
            let (short, mut z) = (self.registers == both, WIDTH);
            let lead = match (short, follows, both) {
                (true, false, 9 | 10) => self.batch::<ROUNDS, true, 5, 0, true, false, true>(0, p, sums),
                (true, false, _) => self.batch::<ROUNDS, true, 6, 0, true, false, true>(0, p, sums),
                (true, true, 9) => self.batch::<ROUNDS, true, 5, 4, true, false, true>(0, p, before),
                (true, true, 10) => self.batch::<ROUNDS, true, 5, 5, true, false, true>(0, p, before),
                (true, true, _) => self.batch::<ROUNDS, true, 6, 5, true, false, true>(0, p, before),
                (false, false, _) => self.batch::<ROUNDS, true, 8, 0, true, false, true>(0, p, sums),
                (false, true, 9) => self.batch::<ROUNDS, true, 8, 4, true, false, true>(0, p, before),
                (false, true, _) => self.batch::<ROUNDS, true, 8, 5, true, false, true>(0, p, before),
            };
            if !short {
                while z + both < self.registers {
                    self.batch::<ROUNDS, true, 8, 8, false, false, true>(z, p, sums);
                    z += 8;
                }
                match both {
                    9 | 10 => self.batch::<ROUNDS, true, 5, 8, false, false, true>(z, p, sums),
                    _ => self.batch::<ROUNDS, true, 6, 8, false, false, true>(z, p, sums),
                };
            }
            z = self.registers - both / 2;
            match both {
                9 => self.batch::<ROUNDS, true, 4, 5, false, true, true>(z, p, sums),
                10 => self.batch::<ROUNDS, true, 5, 5, false, true, true>(z, p, sums),
                _ => self.batch::<ROUNDS, true, 5, 6, false, true, true>(z, p, sums),
            };
            lead
        }
    }

    /// Hashes what that left pending.
    #[inline(always)]
    pub(super) unsafe fn hash_last_shared(&self, pending: &[V; WIDTH], sums: &mut [V; 3]) {
        // SAFETY: as for `batch`.
        unsafe {
            match self.last_two() {
                9 => self.hash::<4>(self.registers - 4, pending, sums),
                _ => self.hash::<5>(self.registers - 5, pending, sums),
            }
        }
    }

    /// The registers in the last two batches where these share, of which the last has half, or the smaller part: 9 to 11.
    #[inline(always)]
    fn last_two(&self) -> usize {
        WIDTH + self.last_ones()
    }

    /// The registers in the last batch of a frame that has more than [`WIDTH`].
    #[inline(always)]
    fn last_ones(&self) -> usize {
        (self.registers - 1) % WIDTH + 1
    }
}

/// The rounds that there are at least.
const fn least(rounds: usize) -> usize {
    if rounds == ANY { 10 } else { rounds }
}

/// The register that is hashed in a round, of a batch that has it; [`WIDTH`] in a round in which none is.
const fn hashed_in(round: usize, rounds: usize) -> usize {
    let mut i = 0;
    while i < WIDTH && i * (least(rounds) - 2) / WIDTH + 2 != round {
        i += 1;
    }
    i
}

/// How many registers a batch of `w` hashes: of those `previous`, or of its own.
const fn hashed(seal: bool, previous: usize, w: usize) -> usize {
    if seal { previous } else { w }
}

const _: () = assert!(WIDTH == 8, "batches are unrolled for eight");
