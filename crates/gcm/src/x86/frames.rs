//! A burst, frame by frame, each in wide registers, and four at a time at their ends.
//!
//! - AES wants eight registers in flight, and GHASH runs on other ports of the core: where a frame has more than eight
//!   registers, the eight before (on open: the same ones) are hashed while the next are encrypted. What is shorter
//!   overlaps by itself: frames do not depend on each other.
//! - The counter blocks of a frame are packed from J0 on where the last register has a block to spare: the mask of
//!   the tag costs nothing then, and the last block of AAD is hashed in the place that J0 leaves.
//! - GHASH multiplies each block by its own power of H, so that a frame is one sum without a reduction inside.
//! - What is left of a frame, a few blocks of AAD, the length block, the reduction and at times J0, is done for four
//!   frames together, a block of each in one register. Short frames of one shape and key are four at a time throughout.
//! - A burst is worked on in the order of its frames' numbers of registers, so that what is alike comes together.
//! - Frames of more blocks than there are powers are hashed in pieces, each carried into the next.
//! - What follows from lengths alone is a [`Shape`], which frames of one length share.
//!
//! All unsafe functions ask of their caller that the CPU has the instructions of `V`. They are inlined into the entry
//! points of the back ends. Closures that a library function calls are not inlined for certain, and without that lack
//! the instructions: there are none with vectors in them.

use super::four::{Ends, Loose};
use super::ghash::{hash_bulk, products};
use super::key::{ExpandedKey, POWERS};
use super::long::Long;
use super::pass::Pass;
use super::quad::quad;
use super::row::row;
use super::shape::{BIG, Counts, Group, Known, Plan, Shape, Shapes};
use super::vector::{Vector, WIDTH};
use crate::Key;
use crate::backend::{expanded, like};
use crate::burst::Op;
use core::arch::asm;
use core::arch::x86_64::*;
use core::mem::{self, MaybeUninit};
use core::{ptr, slice};

/// One frame of so many registers, or of more where that is [`BIG`]: its sums over all blocks of the registers, still
/// to be added up, without what [`Loose::finish`] adds; and E(J0), where that leads. Of a long frame the sums are all
/// there is to reduce, in the first block. `next` is where payload comes next.
#[inline(always)]
unsafe fn frame<V: Vector, const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
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
        if REGISTERS == 0 {
            return (sums, _mm_setzero_si128());
        }
        let mut pass = Pass {
            key,
            at: op.payload_at().wrapping_sub(shape.before),
            registers: shape.registers,
            first: shape.first,
            last: shape.last,
            nonces: V::repeat(op.padded_nonce().as_ptr()).xor(V::load(key.round_key(0))),
            counts: Counts::at(shape.packed, if shape.packed { 1 } else { 2 }),
            powers: shape.powers,
            carry: if shape.packed {
                V::first(op.aad_at().wrapping_add(shape.lead_at), shape.lead)
            } else {
                V::zero()
            },
            next,
        };
        if REGISTERS < BIG {
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
        let mut long = Long { hash: _mm_setzero_si128(), done: 0 };
        if shape.long {
            long.begin::<V>(key, op.aad());
        }
        // Once, but for long frames. They share this call: `run` is much code.
        loop {
            let blocks = if shape.long { long.next(op, &mut pass) } else { 0 };
            if shape.long && blocks == 0 {
                return long.end::<V, ROUNDS>(op);
            }
            let lead = pass.run::<ROUNDS, SEAL>(&mut sums);
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
pub(crate) unsafe fn run<V: Vector, const ROUNDS: usize, const SEAL: bool>(
    shapes: &mut Shapes,
    ops: &mut [Op<'_>],
    whole: bool,
) -> (usize, u64) {
    let Some(first) = ops.first() else { return (0, 0) };
    let (lengths, key) = (first.lengths(), ptr::from_ref(first.key));
    let Shapes { known, plan } = shapes;
    known.prepare(V::BLOCKS, V::SHORT, V::ROW);
    let place = Known::place(lengths);
    // As long as each four are like the first, there is nothing to plan.
    let fours = whole && known.at(place).fours && known.at(place).is_of(lengths);
    let mut end = None;
    let (mut done, mut begun) = (0, 0);
    let mut authentic = 0;
    // SAFETY: the caller has the instructions. Groups consist of places of operations, each in one group. Of a loose
    // group is read what was written: all of it, for one of fewer than four.
    unsafe {
        let (all, count) = (ops.as_mut_ptr(), ops.len());
        // One that is worked on, and the one before.
        let mut pending = [const { MaybeUninit::<Pending<V>>::uninit() }; 2];
        let pending = pending.as_mut_ptr().cast::<Pending<V>>();
        let mut worker = Worker::<V>::new();
        for number in 0.. {
            let in_turn = fours && end.is_none() && count - done >= 4 && {
                let like_first = |i: usize| {
                    let op = &*all.add(done + i);
                    op.lengths() == lengths && ptr::eq(op.key, key)
                };
                like_first(0) && like_first(1) && like_first(2) && like_first(3)
            };
            let group = if in_turn {
                done += 4;
                Some(Group::in_turn(known.at(place).class.into(), done - 4, 4))
            } else {
                if end.is_none() {
                    let ops = slice::from_raw_parts(all, count);
                    let kind = ops[done..].iter().position(|op| !like(&ops[0], op));
                    let its_end = kind.map_or(count, |kind| done + kind);
                    end = Some(its_end);
                    plan.make(known, &ops[..its_end], done);
                    // Shapes were added: what points to one is to be made anew.
                    worker.place = usize::MAX;
                }
                plan.next()
            };
            let next = pending.add(number % 2);
            if let Some(group) = group {
                begun += group.len();
                let alike = in_turn || worker.alike(&group, known, plan, all);
                (&raw mut (*next).group).write(group);
                (&raw mut (*next).alike).write(alike);
                if alike {
                    let op = |i| all.add(group.place(i));
                    let four = [op(0), op(1), op(2), op(3)];
                    let place = if in_turn { place } else { plan.shape_of(group.place(0)) };
                    worker.meet(place, &*four[0], known);
                    // Mostly it is the next one in the order, too.
                    let after = all.add((group.place(3) + 1).min(count - 1));
                    let ends = &raw mut (*next).ends;
                    match group.class {
                        0 => worker.quad::<ROUNDS, SEAL, 0>(four, ends),
                        1 => worker.quad::<ROUNDS, SEAL, 1>(four, ends),
                        2 => worker.quad::<ROUNDS, SEAL, 2>(four, ends),
                        3 => worker.row::<ROUNDS, SEAL, 3>(four, after, ends),
                        4 => worker.row::<ROUNDS, SEAL, 4>(four, after, ends),
                        5 => worker.row::<ROUNDS, SEAL, 5>(four, after, ends),
                        6 => worker.row::<ROUNDS, SEAL, 6>(four, after, ends),
                        7 => worker.row::<ROUNDS, SEAL, 7>(four, after, ends),
                        8 => worker.row::<ROUNDS, SEAL, 8>(four, after, ends),
                        _ => worker.row::<ROUNDS, SEAL, BIG>(four, after, ends),
                    }
                } else {
                    let loose = &raw mut (*next).loose;
                    Loose::begin(loose, &group, all);
                    for i in 0..group.len() {
                        let place = group.place(i);
                        // Mostly it is the next one in the order, too.
                        let next = (*all.add((place + 1).min(count - 1))).payload_at();
                        let op = &mut *all.add(place);
                        let (shape, key) = worker.look_up(plan.shape_of(place), op, known);
                        let (sums, mask) = match group.class {
                            0 => frame::<V, ROUNDS, SEAL, 0>(shape, key, op, next),
                            1 => frame::<V, ROUNDS, SEAL, 1>(shape, key, op, next),
                            2 => frame::<V, ROUNDS, SEAL, 2>(shape, key, op, next),
                            3 => frame::<V, ROUNDS, SEAL, 3>(shape, key, op, next),
                            4 => frame::<V, ROUNDS, SEAL, 4>(shape, key, op, next),
                            5 => frame::<V, ROUNDS, SEAL, 5>(shape, key, op, next),
                            6 => frame::<V, ROUNDS, SEAL, 6>(shape, key, op, next),
                            7 => frame::<V, ROUNDS, SEAL, 7>(shape, key, op, next),
                            8 => frame::<V, ROUNDS, SEAL, 8>(shape, key, op, next),
                            _ => frame::<V, ROUNDS, SEAL, BIG>(shape, key, op, next),
                        };
                        Loose::set(loose, i, shape, key, op, sums, mask);
                    }
                }
            }
            // When the next are under way, there is nothing to wait for in these.
            if number > 0 {
                let last = pending.add((number + 1) % 2);
                if !(*last).alike {
                    Ends::write(&raw mut (*last).ends, (*last).loose.finish::<ROUNDS>());
                }
                authentic |= Ends::read(&raw const (*last).ends).close::<SEAL>(&(*last).group, all);
            }
            if group.is_none() {
                break;
            }
        }
    }
    let end = end.unwrap_or(done);
    // What is left out would go on in the clear, or be taken for authentic.
    assert_eq!(begun, end, "every operation is in one group");
    known.learn();
    (end, if SEAL { u64::MAX } else { authentic })
}

/// A group of which the tags are left to do.
struct Pending<V> {
    group: Group,
    /// They were worked on by [`quad`]; else they are in `loose`, and `ends` is not yet written.
    alike: bool,
    ends: Ends<V>,
    loose: Loose<V>,
}

/// What frames that come after each other mostly share.
///
/// It is compared before it is used, not loaded anew: so the core foresees where the comparison leads and goes on with
/// what it has, in place of waiting for one load after the other before it can begin with a frame.
struct Worker<V> {
    /// Where the shape is.
    place: usize,
    shape: *const Shape,
    key: *const Key,
    expanded: *const ExpandedKey,
    /// The length block times H, of which shape and key.
    lengths_of: (usize, *const Key),
    lengths: [V; 3],
}

/// Keeps the compiler from computing what a branch leads to without the branch.
#[inline(always)]
fn by_branch<T>(pointer: *const T) -> *const T {
    // Miri knows no assembly.
    if cfg!(miri) {
        return pointer;
    }
    let mut address = pointer.addr();
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {} */", inout(reg) address, options(nomem, nostack, preserves_flags)) };
    pointer.with_addr(address)
}

impl<V: Vector> Worker<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller has the instructions.
        let zero = unsafe { V::zero() };
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
            (self.place, self.shape) = (place, by_branch(known.at(place)));
        }
        if !ptr::eq(self.key, op.key) {
            (self.key, self.expanded) = (op.key, by_branch(expanded(op)));
        }
        // SAFETY: they point to what was last looked up.
        unsafe { (&*self.shape, &*self.expanded) }
    }

    /// Makes the shape and the key of this operation the shared ones of quads.
    #[inline(always)]
    unsafe fn meet(&mut self, place: usize, op: &Op<'_>, known: &Known) {
        // SAFETY: the caller has the instructions.
        unsafe {
            let (shape, key) = self.look_up(place, op, known);
            if self.lengths_of != (place, ptr::from_ref(op.key)) {
                self.lengths_of = (place, op.key);
                let lengths = V::repeat(shape.lengths.as_ptr().cast());
                let (h, k) = key.powers_at(POWERS - 1);
                self.lengths = products(lengths, V::repeat(h), V::repeat(k));
            }
        }
    }

    /// Whether these are operations for [`quad`].
    #[inline(always)]
    unsafe fn alike(&self, group: &Group, known: &Known, plan: &Plan, ops: *mut Op<'_>) -> bool {
        let shape = |i| plan.shape_of(group.place(i));
        // SAFETY: the caller vouches for the places.
        let key = |i| unsafe { ptr::from_ref((*ops.add(group.place(i))).key) };
        let has = |i| shape(i) == shape(0) && ptr::eq(key(i), key(0));
        group.len() == 4 && known.at(shape(0)).fours && has(1) && has(2) && has(3)
    }

    #[inline(always)]
    unsafe fn quad<const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
        &self,
        ops: [*mut Op<'_>; 4],
        ends: *mut Ends<V>,
    ) {
        const { assert!(V::SHORT <= 2, "quads of more registers have no code") };
        if REGISTERS > V::SHORT {
            unreachable!("not a short frame");
        }
        // SAFETY: the caller has the instructions, and met one of the operations, which are alike.
        unsafe {
            let four = quad::<V, ROUNDS, SEAL, REGISTERS>(&*self.shape, &*self.expanded, self.lengths, ops);
            Ends::write(ends, four);
        }
    }

    #[inline(always)]
    unsafe fn row<'a, const ROUNDS: usize, const SEAL: bool, const REGISTERS: usize>(
        &self,
        [a, b, c, d]: [*mut Op<'a>; 4],
        after: *mut Op<'a>,
        ends: *mut Ends<V>,
    ) {
        if REGISTERS > V::ROW {
            unreachable!("not a frame for a row");
        }
        let ops = [a, b, c, d, after];
        // SAFETY: the caller has the instructions, and met one of the operations, which are alike.
        unsafe {
            row::<V, ROUNDS, SEAL, REGISTERS>(&*self.shape, &*self.expanded, self.lengths, ops, ends);
        }
    }
}
