//! What follows from lengths alone, and the order in which a burst is worked on.

use super::key::POWERS;
use super::vector::{WIDTH, octets};
use crate::burst::{Lengths, MAX_BURST, Op};

/// Shapes that are remembered. A power of two.
const SHAPES: usize = 256;
/// Counts as counter blocks have them, of a register's blocks, from 1 on.
#[repr(C, align(64))]
struct Counts([[u8; 16]; 4]);

/// Those of a frame's first register: from 1 on where J0 leads, which is `packed`, else from 2 on.
#[inline(always)]
pub(super) fn first_counts(packed: bool) -> *const u8 {
    const fn from(first: u8) -> Counts {
        let mut counts = Counts([[0; 16]; 4]);
        let mut block = 0;
        while block < 4 {
            counts.0[block][15] = first + block as u8;
            block += 1;
        }
        counts
    }
    static COUNTS: [Counts; 2] = [from(2), from(1)];
    COUNTS[usize::from(packed)].0.as_ptr().cast()
}

/// Stands for all numbers of registers that are more than are worked on at once.
pub(crate) const BIG: usize = WIDTH + 1;

/// The same, of those whose last registers [share](Shape::shares).
pub(crate) const BIG_SHARED: usize = BIG + 1;

/// What follows from lengths alone.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    lengths_are: Lengths,
    /// Registers of payload, with J0 before it where that leads.
    pub(crate) registers: usize,
    /// Octets between the first register's beginning and the payload: 16 where J0 leads.
    pub(crate) before: usize,
    /// The octets of the first and of the last register that are payload. The same where there is one register.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Where the power of the first register's first block stands.
    pub(crate) powers: usize,
    /// The AAD's last block, where J0 leads: where it is, and its octets, a bit each.
    pub(crate) lead_at: usize,
    pub(crate) lead: u16,
    /// J0 leads.
    pub(crate) packed: bool,
    /// More blocks than there are powers.
    pub(crate) long: bool,
    /// The number of registers, or [`BIG`].
    pub(crate) class: u8,
    /// There are more registers than are worked on at once, and no more than three would be left for the last batch: it
    /// shares with the one before.
    pub(crate) shares: bool,
    /// Fours of one key are worked on together: [side by side](Self::beside), or in a row.
    pub(crate) fours: bool,
    /// There are few registers; and if there are any, AAD is a block at least, and no more than a few.
    pub(crate) beside: bool,
    /// Octets of the other AAD: blocks of it that fill registers, and those that do not.
    pub(crate) aad_octets: usize,
    pub(crate) bulk: usize,
    pub(crate) left: usize,
    /// Where the power of the first block of AAD stands.
    pub(crate) aad_powers: usize,
    /// The length block, reversed.
    pub(crate) lengths: [u64; 2],
}

const NOTHING: Shape = Shape {
    lengths_are: Lengths::NONE,
    registers: 0,
    before: 0,
    first: 0,
    last: 0,
    powers: 0,
    lead_at: 0,
    lead: 0,
    packed: true,
    long: false,
    class: 0,
    shares: false,
    fours: false,
    beside: false,
    aad_octets: 0,
    bulk: 0,
    left: 0,
    aad_powers: 0,
    lengths: [0; 2],
};

impl Shape {
    /// That of no operation, with nothing to do.
    pub(crate) const IDLE: &'static Shape = &NOTHING;

    #[inline(always)]
    pub(crate) fn is_of(&self, lengths: Lengths) -> bool {
        self.lengths_are == lengths
    }

    /// With so many blocks in a register; frames are worked on side by side up to `side` registers, in a row up to `row`.
    #[inline(never)]
    fn of(register: usize, side: usize, row: usize, lengths_are: Lengths) -> Self {
        let (aad, payload) = (lengths_are.aad(), lengths_are.payload());
        let (aad_blocks, blocks) = (aad.div_ceil(16), payload.div_ceil(16));
        // Room for J0, whose place takes a power, and for the length block.
        if aad_blocks + blocks + 2 > POWERS {
            return Shape { lengths_are, long: true, class: BIG as u8, ..NOTHING };
        }
        let packed = !blocks.is_multiple_of(register);
        let lead = usize::from(packed);
        let in_lead = usize::from(packed && aad_blocks > 0);
        let head = aad_blocks - in_lead;
        let registers = (blocks + lead).div_ceil(register);
        // Where it is little, none of it goes by registers.
        let left = if head < 6 { head } else { head % register };
        let step = 16 * register;
        let (first, last) = (
            u64::MAX << (16 * lead),
            octets((payload + 16 * lead).saturating_sub(step * registers.saturating_sub(1))),
        );
        let beside = registers <= side && (registers == 0 || head == left && aad >= 16);
        Shape {
            lengths_are,
            registers,
            before: 16 * lead,
            first: if registers == 1 { first & last } else { first },
            last: if registers == 1 { first & last } else { last },
            powers: POWERS - 1 - blocks - lead,
            lead_at: 16 * head * in_lead,
            lead: if in_lead == 1 { octets(aad - 16 * head) as u16 } else { 0 },
            packed,
            long: false,
            class: registers.min(BIG) as u8,
            shares: registers > WIDTH && (1..=3).contains(&(registers % WIDTH)),
            // There is no code for rows of one or two registers where these may be side by side.
            fours: beside || registers > side.min(2) && registers.min(BIG) <= row,
            beside,
            aad_octets: aad.min(16 * head),
            bulk: head - left,
            left,
            aad_powers: POWERS - 1 - aad_blocks - blocks,
            lengths: [(payload as u64) << 3, (aad as u64) << 3],
        }
    }
}

/// Kinds of operations in a plan: shapes, or numbers of registers with [`BIG`].
const KINDS: usize = BIG + 1;
/// Bits of a count of operations of one kind, of several.
const BITS: u8 = 6;
const MASK: u8 = (1 << BITS) - 1;
const _: () = assert!(MAX_BURST <= 1 << BITS && BITS as usize * KINDS <= 64, "all counts in one number");
const _: () = assert!(POWERS <= 256, "the last octet of a count does not overflow within a frame");

/// What an engine keeps from burst to burst. In two parts, since frames are worked on with shapes borrowed while the
/// plan goes on.
pub(crate) struct Shapes {
    pub(super) known: Known,
    pub(super) plan: Plan,
}

/// Shapes by their lengths: traffic has few, and comes back to them.
pub(super) struct Known {
    /// Blocks of the registers that they are for.
    register: usize,
    /// Registers of frames that are worked on side by side, and in a row.
    side: usize,
    row: usize,
    /// Those that are remembered, each at a place that follows from its lengths, then those of one burst that were not.
    all: [Shape; SHAPES + MAX_BURST],
    /// How many of these there are.
    new: usize,
}

/// The order in which a burst is worked on: operations by their shapes, or, where there are too many, by the number of
/// their registers.
pub(super) struct Plan {
    /// Where the shape of each operation is.
    shapes: [u16; MAX_BURST],
    /// Places of operations, those of one kind together, and what makes four of the last few.
    order: [u8; MAX_BURST + 3],
    /// All are of one kind, and in turn: there is no `order`.
    in_turn: bool,
    /// Of each shape, by its place, which kind it was and in which plan.
    kinds: [(u64, u8); SHAPES + MAX_BURST],
    /// Plans so far.
    made: u64,
    /// How many there are of each kind.
    counts: [u8; KINDS],
    /// The kind that is being worked on, where in the order, and how many of it are left.
    kind: usize,
    next: usize,
    left: usize,
}

/// Operations in turn, and what makes four of the last few.
pub(super) static IN_TURN: [u8; MAX_BURST + 3] = {
    let mut places = [0; MAX_BURST + 3];
    let mut place = 0;
    while place < MAX_BURST {
        places[place] = place as u8;
        place += 1;
    }
    places
};

/// Up to four operations, by their places in the burst.
#[derive(Clone, Copy)]
pub(crate) struct Group {
    /// An octet each, in one number: octets that are written one by one and read together would have to be in the cache
    /// first.
    places: u32,
    count: usize,
}

impl Group {
    /// So many, up to four; as many places are there in any case.
    #[inline(always)]
    pub(crate) unsafe fn of(places: *const u8, count: usize) -> Self {
        // SAFETY: the caller vouches for four octets.
        Group { places: u32::from_le_bytes(unsafe { places.cast::<[u8; 4]>().read() }), count }
    }

    /// How many there are.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The place of operation `i` of four.
    #[inline(always)]
    pub(crate) fn place(&self, i: usize) -> usize {
        (self.places >> (8 * i)) as usize % 256
    }
}

impl std::fmt::Debug for Shapes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shapes")
    }
}

impl Shapes {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Shapes {
            known: Known { register: 0, side: 0, row: 0, all: [NOTHING; SHAPES + MAX_BURST], new: 0 },
            plan: Plan {
                shapes: [0; MAX_BURST],
                order: [0; MAX_BURST + 3],
                in_turn: true,
                kinds: [(0, 0); SHAPES + MAX_BURST],
                made: 0,
                counts: [0; KINDS],
                kind: KINDS - 1,
                next: 0,
                left: 0,
            },
        })
    }
}

impl Known {
    /// Before all else: the number of blocks in a register, and how many registers frames have at most that are worked on
    /// side by side, and in a row.
    #[inline(always)]
    pub(super) fn prepare(&mut self, register: usize, side: usize, row: usize) {
        #[cold]
        #[inline(never)]
        fn forget(known: &mut Known, register: usize, side: usize, row: usize) {
            (known.register, known.side, known.row) = (register, side, row);
            known.all.fill(NOTHING);
        }
        if (self.register, self.side, self.row) != (register, side, row) {
            forget(self, register, side, row);
        }
        self.new = 0;
    }

    /// Where a shape of these lengths is, if it is known.
    #[inline(always)]
    pub(super) fn place(lengths: Lengths) -> usize {
        lengths.hash(SHAPES.trailing_zeros())
    }

    #[inline(always)]
    pub(super) fn at(&self, place: usize) -> &Shape {
        &self.all[place]
    }

    /// Where the shape of these lengths is, from now on if it was not known.
    #[inline(always)]
    fn find(&mut self, lengths: Lengths) -> usize {
        let place = Self::place(lengths);
        if self.all[place].is_of(lengths) {
            return place;
        }
        let place = SHAPES + self.new;
        self.all[place] = Shape::of(self.register, self.side, self.row, lengths);
        self.new += 1;
        place
    }

    /// Remembers the shapes of this burst that were not known, over those that had their places.
    #[inline(always)]
    pub(super) fn learn(&mut self) {
        #[cold]
        #[inline(never)]
        fn learn(known: &mut Known) {
            for new in SHAPES..SHAPES + known.new {
                let shape = known.all[new];
                known.all[Known::place(shape.lengths_are)] = shape;
            }
        }
        if self.new > 0 {
            learn(self);
        }
    }
}

impl Plan {
    /// Where the shape of an operation of the plan is, by the operation's place in the burst.
    #[inline(always)]
    pub(super) fn shape_of(&self, place: usize) -> usize {
        self.shapes[place % MAX_BURST].into()
    }

    /// Plans for the operations from `first` on, of which there are no more than [`MAX_BURST`].
    #[inline(never)]
    pub(super) fn make(&mut self, known: &mut Known, ops: &[Op<'_>], first: usize) {
        let Plan { shapes, order, in_turn, kinds, made, counts, kind, next, left } = self;
        *made += 1;
        let (mut before, mut place) = (Lengths::NONE, 0);
        let (mut shift, mut different) = (0, 0);
        // Counts stay in one register: in memory, each would wait for the one before.
        let (mut all, mut used) = (0u64, 0u64);
        let mut shifts = [0u8; MAX_BURST];
        for ((op, its_shape), its_shift) in ops.iter().zip(shapes.iter_mut()).zip(&mut shifts).skip(first) {
            let lengths = op.lengths();
            if lengths != before {
                before = lengths;
                place = known.find(lengths);
                let its = &mut kinds[place];
                if its.0 != *made {
                    *its = (*made, different);
                    different += 1;
                }
                // Where they are too many, all of this is done anew, below.
                shift = BITS * its.1.min(KINDS as u8 - 1);
                used |= 1 << shift;
            }
            *its_shape = place as u16;
            *its_shift = shift;
            all += 1 << shift;
        }
        if usize::from(different) > KINDS {
            (all, used) = (0, 0);
            for (its_shape, its_shift) in shapes.iter().zip(&mut shifts).take(ops.len()).skip(first) {
                shift = BITS * known.at((*its_shape).into()).class;
                *its_shift = shift;
                all += 1 << shift;
                used |= 1 << shift;
            }
        }
        counts.fill(0);
        *in_turn = used.is_power_of_two();
        *next = 0;
        if *in_turn {
            // Their count may be too large for its bits.
            counts[usize::from(shift / BITS)] = (ops.len() - first) as u8;
            *next = first;
        } else {
            // Each kind begins where those before it end.
            let mut sum = 0;
            let mut nexts = 0;
            for (kind, count) in (0..).zip(&mut *counts) {
                nexts |= sum << (BITS * kind);
                *count = (all >> (BITS * kind)) as u8 & MASK;
                sum += u64::from(*count);
            }
            for (place, shift) in shifts.iter().enumerate().take(ops.len()).skip(first) {
                order[usize::from((nexts >> shift) as u8 & MASK)] = place as u8;
                nexts += 1 << shift;
            }
        }
        (*kind, *left) = (0, counts[0].into());
    }

    /// The places of what is left of the kind that is being worked on, in their order: so many, with some more behind them.
    /// None at the end.
    #[inline(always)]
    pub(super) fn left(&mut self) -> (*const u8, usize) {
        let Plan { order, in_turn, counts, kind, next, left, .. } = self;
        while *left == 0
            && let Some(count) = counts.get(*kind + 1)
        {
            *kind += 1;
            *left = (*count).into();
        }
        let order = if *in_turn { &IN_TURN } else { &*order };
        (order[*next..].as_ptr(), *left)
    }

    /// So many of these are done.
    #[inline(always)]
    pub(super) fn pass(&mut self, count: usize) {
        self.next += count;
        self.left -= count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, Key};

    #[test]
    fn a_plan_has_each_operation_once() {
        let key = Key::with_backend(Backend::PORTABLE, &[1; 16]).unwrap();
        let Shapes { mut known, mut plan } = *Shapes::new();
        let counts = [1, 2, 3, 4, 5, 31, MAX_BURST - 1, MAX_BURST];
        // Miri is slow.
        let all_kinds = (1..12).step_by(if cfg!(miri) { 4 } else { 1 });
        for (count, kinds) in
            counts.into_iter().flat_map(|count| all_kinds.clone().map(move |kinds| (count, kinds)))
        {
            let mut payloads: Vec<_> = (0..count).map(|i| vec![0; 64 * (i * 7 % kinds)]).collect();
            let mut tags = vec![[0; 16]; count];
            let pieces = payloads.iter_mut().zip(&mut tags);
            let ops: Vec<_> =
                pieces.map(|(payload, tag)| Op::new(&key, [0; 12], &[], payload, tag).unwrap()).collect();
            for first in [0, count / 2, count - 1, count] {
                known.prepare(4, 3, 9);
                plan.make(&mut known, &ops, first);
                let (mut places, mut alike) = (Vec::new(), true);
                loop {
                    let (at, left) = plan.left();
                    if left == 0 {
                        break;
                    }
                    // SAFETY: four places are there.
                    let group = unsafe { Group::of(at, left.min(4)) };
                    for place in (0..group.len()).map(|i| group.place(i)) {
                        let shape = known.at(plan.shape_of(place));
                        assert!(shape.is_of(ops[place].lengths()));
                        alike &= shape.class == known.at(plan.shape_of(group.place(0))).class
                            && (kinds > KINDS || ops[place].lengths() == ops[group.place(0)].lengths());
                        places.push(place);
                    }
                    plan.pass(group.len());
                }
                assert!(alike, "{count} of {kinds} kinds from {first} on");
                places.sort_unstable();
                assert!(places.into_iter().eq(first..count), "{count} of {kinds} kinds from {first} on");
                known.learn();
            }
        }
    }
}
