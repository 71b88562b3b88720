//! A burst, frame by frame, each in wide registers, and several at a time at their ends.
//!
//! - AES wants eight registers in flight, and GHASH runs on other ports of the core: where a frame has more than eight
//!   registers, the eight before (on open: the same ones) are hashed while the next are encrypted.
//! - Frames that are alike, of one shape and key, are [worked on together](Worker::fours): [four](bare) where they have
//!   no payload, short ones as many [side by side](side) as a register has blocks, else [in a row](row); what is left of
//!   some is done while the next are encrypted.
//! - The counter blocks of a frame are packed from J0 on where the last register has a block to spare: the mask of
//!   the tag costs nothing then, and the last block of AAD is hashed in the place that J0 leaves.
//! - GHASH multiplies each block by its own power of H, so that a frame is one sum without a reduction inside.
//! - What is left of a frame, a few blocks of AAD, the length block, the reduction and at times J0, is done for four
//!   frames together, a block of each in one register.
//! - A burst is worked on in the order of its frames' shapes, or of their numbers of registers, so that what is alike
//!   comes together.
//! - Frames of more blocks than there are powers are hashed in pieces, each carried into the next.
//! - What follows from lengths alone is a [`Shape`], which frames of one length share.
//!
//! All unsafe functions ask of their caller that the CPU has the instructions of the back end. They are inlined into the entry
//! points of the back ends, and into what is [apart](BackEnd) from these. Closures that a library function calls are not
//! inlined for certain, and without that lack the instructions: there are none with vectors in them.

use super::bare::bare;
use super::four::{Loose, lead_block};
use super::ghash::{hash_bulk, products};
use super::key::{ExpandedKey, POWERS};
use super::long::Long;
use super::pass::Pass;
use super::row::row;
use super::shape::{BIG, BIG_SHARED, Group, IN_TURN, Known, Shape, Shapes};
use super::side::side_by_side;
use super::vector::{Vector, WIDTH, unforeseen};
use super::{expanded, like};
use crate::Key;
use crate::burst::Op;
use core::arch::x86_64::*;
use core::mem::{self, MaybeUninit};
use core::{ptr, slice};

/// A back end: the registers it works in, and what is a function of its own, for each number of registers. As one
/// function the compiler takes three times as long over all of them.
pub(super) trait BackEnd: Sized {
    type Register: Vector;
    /// Registers of frames that are worked on in a row, at most; any where that is [`BIG`].
    const ROW: usize;

    /// [`fours`].
    unsafe fn fours<const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
        worker: &Worker<Self>,
        all: *mut Op<'_>,
        places: *const u8,
        fours: usize,
    ) -> u64;

    /// [`frame`], put [in its place](Loose::set).
    unsafe fn frame<const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
        loose: *mut Loose<Self::Register>,
        i: usize,
        shape: &Shape,
        key: &ExpandedKey,
        op: &mut Op<'_>,
        next: *const u8,
    );
}

/// One frame of so many registers, or of more where that is [`BIG`]: its sums over all blocks of the registers, still
/// to be added up, without what [`Loose::finish`] adds; and E(J0), where that leads. Of a long frame the sums are all
/// there is to reduce, in the first block. `next` is where payload comes next.
#[inline(always)]
pub(super) unsafe fn frame<V: Vector, const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
    shape: &Shape,
    key: &ExpandedKey,
    op: &mut Op<'_>,
    next: *const u8,
) -> ([V; 3], __m128i) {
    // SAFETY: the caller has the instructions; the shape is that of the operation's lengths.
    unsafe {
        let mut sums = [V::zero(); 3];
        if shape.bulk > 0 {
            let octets = shape.aad_octets.min(16 * shape.bulk);
            hash_bulk(key, shape.aad_powers, op.aad_at(), octets, &mut sums);
        }
        if const { REGISTERS == 0 } {
            return (sums, _mm_setzero_si128());
        }
        let mut pass = Pass {
            key,
            at: op.payload_at().wrapping_sub(shape.before),
            registers: shape.registers,
            first: shape.first,
            last: shape.last,
            nonces: Pass::first_round(key, V::repeat(op.padded_nonce().as_ptr())),
            counts: key.counts_of_frame(shape.packed),
            powers: shape.powers,
            carry: if shape.packed { lead_block(shape, op) } else { V::zero() },
            next,
        };
        if const { REGISTERS < BIG } {
            let mut pending = [V::zero(); WIDTH];
            let p = &mut pending;
            let lead = match REGISTERS {
                1 => pass.batch::<ROUNDS, SEAL, 1, 0, true, true, false>(0, p, &mut sums),
                2 => pass.batch::<ROUNDS, SEAL, 2, 0, true, true, false>(0, p, &mut sums),
                3 => pass.batch::<ROUNDS, SEAL, 3, 0, true, true, false>(0, p, &mut sums),
                4 => pass.batch::<ROUNDS, SEAL, 4, 0, true, true, false>(0, p, &mut sums),
                5 => pass.batch::<ROUNDS, SEAL, 5, 0, true, true, false>(0, p, &mut sums),
                6 => pass.batch::<ROUNDS, SEAL, 6, 0, true, true, false>(0, p, &mut sums),
                7 => pass.batch::<ROUNDS, SEAL, 7, 0, true, true, false>(0, p, &mut sums),
                _ => pass.batch::<ROUNDS, SEAL, 8, 0, true, true, false>(0, p, &mut sums),
            };
            return (sums, lead.low());
        }
        let mut pending = [V::zero(); WIDTH];
        let mut long = Long { hash: _mm_setzero_si128(), done: 0 };
        if shape.long {
            long.begin::<V>(key, op.aad());
        }
        // Once, but for long frames.
        loop {
            let blocks = if shape.long { long.next(op, &mut pass) } else { 0 };
            if shape.long && blocks == 0 {
                return long.end::<V, ROUNDS>(op);
            }
            let (p, mut nothing) = (&mut pending, [V::zero(); 3]);
            let lead = pass.run::<ROUNDS, SEAL>(false, &mut nothing, p, &mut sums);
            if SEAL {
                pass.hash_last(p, &mut sums);
            }
            if !shape.long {
                return (sums, lead.low());
            }
            long.add(key, blocks, mem::replace(&mut sums, [V::zero(); 3]));
        }
    }
}

/// Seals or opens the first operation, whose key has `ROUNDS`, and those after it up to one of another kind. Hands out
/// how many these are, and a bit each that says whether it was authentic; all that were sealed are. `whole` says that
/// no operation is scattered.
#[inline(always)]
pub(super) unsafe fn run<B: BackEnd, const ROUNDS: usize, const SEAL: bool>(
    shapes: &mut Shapes,
    ops: &mut [Op<'_>],
    whole: bool,
) -> (usize, u64) {
    let Some(first) = ops.first() else { return (0, 0) };
    let lengths = first.lengths();
    let Shapes { known, plan } = shapes;
    known.prepare(B::Register::BLOCKS, B::Register::SHORT, B::ROW);
    let (all, count) = (ops.as_mut_ptr(), ops.len());
    // SAFETY: the caller has the instructions. The plan has each place of its operations once. Of a loose group is read
    // what was written: all of it, for one of fewer than four.
    unsafe {
        let mut worker = Worker::<B>::new();
        // Those that are like the first are in turn, and need no plan.
        let place = Known::place(lengths);
        let (mut done, mut authentic) = (0, 0);
        if whole && known.at(place).fours && known.at(place).is_of(lengths) {
            let fours = alike(all, count, |i| i) / 4;
            if fours > 0 {
                worker.meet(place, &*all, known);
                authentic = worker.fours::<ROUNDS, SEAL>(all, IN_TURN.as_ptr(), fours);
                done = 4 * fours;
            }
        }
        if done == count {
            return (done, if SEAL { u64::MAX } else { authentic });
        }
        let (end, mut begun) = {
            let ops = slice::from_raw_parts(all, count);
            let kind = ops[done..].iter().position(|op| !like(&ops[0], op));
            let end = kind.map_or(count, |kind| done + kind);
            plan.make(known, &ops[..end], done);
            (end, done)
        };
        // Shapes were added: what points to one is to be made anew.
        worker.place = usize::MAX;
        // One that is worked on, and the one before.
        let mut pending = [const { MaybeUninit::<Pending<B::Register>>::uninit() }; 2];
        let pending = pending.as_mut_ptr().cast::<Pending<B::Register>>();
        let mut number = 0;
        loop {
            let (places, left) = plan.left();
            let shape = |i: usize| plan.shape_of((*places.add(i)).into());
            let next = pending.add(number % 2);
            if left >= 4 && known.at(shape(0)).fours {
                let fours = alike(all, left, |i| (*places.add(i)).into()) / 4;
                if fours > 0 {
                    worker.meet(shape(0), &*all.add((*places).into()), known);
                    authentic |= worker.fours::<ROUNDS, SEAL>(all, places, fours);
                    begun += 4 * fours;
                    plan.pass(4 * fours);
                    continue;
                }
            }
            if left > 0 {
                let group = Group::of(places, left.min(4));
                begun += group.len();
                (&raw mut (*next).group).write(group);
                let loose = &raw mut (*next).loose;
                Loose::begin(loose, &group, all);
                for i in 0..group.len() {
                    let place = group.place(i);
                    // Mostly it is the next one in the order, too.
                    let next = (*all.add((place + 1).min(count - 1))).payload_at();
                    let op = &mut *all.add(place);
                    let (shape, key) = worker.look_up(plan.shape_of(place), op, known);
                    match shape.class {
                        0 => B::frame::<ROUNDS, SEAL, 0>(loose, i, shape, key, op, next),
                        1 => B::frame::<ROUNDS, SEAL, 1>(loose, i, shape, key, op, next),
                        2 => B::frame::<ROUNDS, SEAL, 2>(loose, i, shape, key, op, next),
                        3 => B::frame::<ROUNDS, SEAL, 3>(loose, i, shape, key, op, next),
                        4 => B::frame::<ROUNDS, SEAL, 4>(loose, i, shape, key, op, next),
                        5 => B::frame::<ROUNDS, SEAL, 5>(loose, i, shape, key, op, next),
                        6 => B::frame::<ROUNDS, SEAL, 6>(loose, i, shape, key, op, next),
                        7 => B::frame::<ROUNDS, SEAL, 7>(loose, i, shape, key, op, next),
                        8 => B::frame::<ROUNDS, SEAL, 8>(loose, i, shape, key, op, next),
                        _ => B::frame::<ROUNDS, SEAL, BIG>(loose, i, shape, key, op, next),
                    }
                }
                plan.pass(group.len());
            }
            // When the next are under way, there is nothing to wait for in these.
            if number > 0 {
                let last = pending.add((number + 1) % 2);
                let ends = (*last).loose.finish::<ROUNDS>();
                authentic |= ends.close::<SEAL>(&(*last).group, all);
            }
            if left == 0 {
                break;
            }
            number += 1;
        }
        // What is left out would go on in the clear, or be taken for authentic.
        assert_eq!(begun, end, "every operation is in one group");
        known.learn();
        (end, if SEAL { u64::MAX } else { authentic })
    }
}

/// How many operations, each at its place, are like the first of them, from this on.
#[inline(always)]
unsafe fn alike(all: *const Op<'_>, count: usize, place: impl Fn(usize) -> usize) -> usize {
    // SAFETY: the caller vouches for the places.
    unsafe {
        let op = |i: usize| &*all.add(place(i));
        let (lengths, key) = (op(0).lengths(), ptr::from_ref(op(0).key));
        let mut alike = 1;
        while alike < count && op(alike).lengths() == lengths && ptr::eq(op(alike).key, key) {
            alike += 1;
        }
        alike
    }
}

/// A group of which the tags are left to do.
struct Pending<V> {
    group: Group,
    loose: Loose<V>,
}

/// What frames that come after each other mostly share.
///
/// It is compared before it is used, not loaded anew: so the core foresees where the comparison leads and goes on with
/// what it has, in place of waiting for one load after the other before it can begin with a frame.
pub(super) struct Worker<B: BackEnd> {
    /// Where the shape is.
    place: usize,
    shape: *const Shape,
    key: *const Key,
    expanded: *const ExpandedKey,
    /// The length block times H, of which shape and key.
    lengths_of: (usize, *const Key),
    lengths: [B::Register; 3],
}

impl<B: BackEnd> Worker<B> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller has the instructions.
        let zero = unsafe { Vector::zero() };
        Worker {
            place: usize::MAX,
            shape: Shape::IDLE,
            key: ptr::null(),
            expanded: ptr::null(),
            lengths_of: (usize::MAX, ptr::null()),
            lengths: [zero; 3],
        }
    }

    /// The shape and the key of an operation.
    #[inline(always)]
    unsafe fn look_up<'a>(
        &mut self,
        place: usize,
        op: &Op<'a>,
        known: &'a Known,
    ) -> (&'a Shape, &'a ExpandedKey) {
        if self.place != place {
            (self.place, self.shape) = (place, unforeseen(known.at(place)));
        }
        if !ptr::eq(self.key, op.key) {
            (self.key, self.expanded) = (op.key, unforeseen(expanded(op)));
        }
        // SAFETY: they point to what was last looked up.
        unsafe { (&*self.shape, &*self.expanded) }
    }

    /// Makes the shape and the key of this operation the shared ones of those that are worked on together.
    #[inline(always)]
    unsafe fn meet(&mut self, place: usize, op: &Op<'_>, known: &Known) {
        // SAFETY: the caller has the instructions.
        unsafe {
            let (shape, key) = self.look_up(place, op, known);
            if self.lengths_of != (place, ptr::from_ref(op.key)) {
                self.lengths_of = (place, op.key);
                let lengths = B::Register::repeat(shape.lengths.as_ptr().cast());
                let (h, k) = key.powers_at(POWERS - 1);
                self.lengths = products(lengths, Vector::repeat(h), Vector::repeat(k));
            }
        }
    }

    /// So many times four operations, of which the places are given and one of which was [met](Self::meet): all are
    /// alike. A bit each says which are authentic.
    #[inline(always)]
    unsafe fn fours<const ROUNDS: usize, const SEAL: bool>(
        &self,
        all: *mut Op<'_>,
        places: *const u8,
        fours: usize,
    ) -> u64 {
        // SAFETY: the caller has the instructions, and vouches for the places.
        unsafe {
            match (*self.shape).class {
                0 => B::fours::<ROUNDS, SEAL, 0>(self, all, places, fours),
                1 => B::fours::<ROUNDS, SEAL, 1>(self, all, places, fours),
                2 => B::fours::<ROUNDS, SEAL, 2>(self, all, places, fours),
                3 => B::fours::<ROUNDS, SEAL, 3>(self, all, places, fours),
                4 => B::fours::<ROUNDS, SEAL, 4>(self, all, places, fours),
                5 => B::fours::<ROUNDS, SEAL, 5>(self, all, places, fours),
                6 => B::fours::<ROUNDS, SEAL, 6>(self, all, places, fours),
                7 => B::fours::<ROUNDS, SEAL, 7>(self, all, places, fours),
                8 => B::fours::<ROUNDS, SEAL, 8>(self, all, places, fours),
                _ if SEAL && (*self.shape).shares => {
                    B::fours::<ROUNDS, true, BIG_SHARED>(self, all, places, fours)
                }
                _ => B::fours::<ROUNDS, SEAL, BIG>(self, all, places, fours),
            }
        }
    }
}

/// Registers of each of some frames that are worked on side by side, at most. Frames of three are opened a tenth faster in
/// a row, where they are hashed without waiting for anything.
const fn short<V: Vector>(seal: bool) -> usize {
    if V::BLOCKS == 4 && !seal { V::SHORT - 1 } else { V::SHORT }
}

/// So many times four operations that are alike, of so many registers each, of which the places are given. A bit each
/// says which are authentic.
#[inline(always)]
pub(super) unsafe fn fours<B: BackEnd, const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
    worker: &Worker<B>,
    all: *mut Op<'_>,
    places: *const u8,
    fours: usize,
) -> u64 {
    if const { REGISTERS > B::Register::SHORT && (if REGISTERS < BIG { REGISTERS } else { BIG }) > B::ROW } {
        unreachable!("not frames for fours");
    }
    // SAFETY: the caller has the instructions, and vouches for the places; the shape is theirs.
    unsafe {
        let (shape, key, lengths) = (&*worker.shape, &*worker.expanded, worker.lengths);
        let count = 4 * fours;
        if const { REGISTERS > short::<B::Register>(SEAL) } || const { REGISTERS > 2 } && !shape.beside {
            return row::<B::Register, ROUNDS, SEAL, REGISTERS>(shape, key, lengths, all, places, count);
        }
        if const { REGISTERS == 0 } {
            return bare::<B::Register, ROUNDS, SEAL>(shape, key, lengths, all, places, count);
        }
        if const { B::Register::BLOCKS == 2 } {
            side_by_side::<_, 2, ROUNDS, SEAL, REGISTERS>(shape, key, lengths, all, places, count)
        } else {
            side_by_side::<_, 4, ROUNDS, SEAL, REGISTERS>(shape, key, lengths, all, places, count)
        }
    }
}
