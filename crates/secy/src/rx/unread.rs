//! Bursts that their owner does not read: it says what frames should be like, and whoever opens them does the first pass,
//! since it has their octets anyway. Frames that are not so are left to the owner, in their turn.

use super::third::move_addresses;
use super::{Fates, Form, Found, Likeness, Run, RxSecY, WITH_SCI};
use crate::batch::Work;
use crate::plan::{KEYS_KEPT, Plan};
use crate::{Burst, FrameBuf, Pass};
use arrayvec::ArrayVec;
use gcm::{Engine, Verdicts};
use wire::{An, ICV_LEN};

/// Of so many frames of a burst one at most may be unlike what was expected; with more it is dearer that the owner has
/// these to itself than that it reads all.
const UNLIKE: usize = 8;
/// Kinds of frames that are remembered: of stations that send in turns.
const KINDS: usize = 4;
/// What is said of a burst at most: of each of these kinds, what comes under some ANs.
const LIKELY: usize = KEYS_KEPT;
/// Bursts that the owner reads after one with too many unlike frames, at first and at most. By then it knows new kinds, and
/// whatever else was expected too soon has come back.
const READS: [u32; 2] = [64, 1 << 16];

/// Frames in one piece with a SecTAG with SCI right behind their addresses, and of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usual {
    /// The channel.
    pub(super) place: usize,
    /// Ethertype, TCI and AN.
    pub(super) kind: u32,
    pub(super) an: An,
    pub(super) encrypted: bool,
}

/// What frames were like lately. It begins anew with each command, so that channels and SAs are those that there were.
#[derive(Debug)]
pub(super) struct Habits {
    /// What the last frames to be opened were that the owner read, if they were of such a kind.
    pub(super) last: Option<Usual>,
    /// Kinds of frames, the newest last.
    usual: ArrayVec<Usual, KINDS>,
    /// Bursts that the owner still reads itself.
    reads: u32,
    /// How many these are the next time.
    next_reads: u32,
}

impl Default for Habits {
    fn default() -> Self {
        Habits { last: None, usual: ArrayVec::new(), reads: 0, next_reads: READS[0] }
    }
}

impl From<&Run> for Usual {
    #[inline(always)]
    fn from(run: &Run) -> Self {
        let Run { place, an, kind, encrypted, .. } = *run;
        Usual { place, kind, an, encrypted }
    }
}

impl Habits {
    /// The owner read a burst.
    #[inline(always)]
    pub(super) fn note(&mut self, found: &Found) {
        self.last = found.runs.last().filter(|run| run.usual).map(Usual::from);
    }

    /// The owner read so many frames.
    #[inline(always)]
    pub(super) fn learn(&mut self, found: &Found, frames: usize) {
        let mut alike = 0;
        for run in found.runs.iter().filter(|run| run.usual) {
            alike += run.count;
            let usual = Usual::from(run);
            // A change of AN is no other kind.
            let known = |known: &Usual| (known.place, known.encrypted) == (usual.place, usual.encrypted);
            match self.usual.iter().position(known) {
                Some(known) => self.usual[known] = usual,
                None => {
                    if self.usual.is_full() {
                        self.usual.remove(0);
                    }
                    self.usual.push(usual);
                }
            }
        }
        self.reads = self.reads.saturating_sub(1);
        if (frames - alike) * UNLIKE > frames {
            self.reads = self.reads.max(1);
        }
    }

    /// Of so many frames that should be as usual so many were not.
    #[inline(always)]
    fn miss(&mut self, unlike: usize, frames: usize) {
        if unlike * UNLIKE > frames && self.reads == 0 {
            self.reads = self.next_reads;
            self.next_reads = (2 * self.next_reads).min(READS[1]);
        }
    }
}

/// What frames of an SA are like.
struct Likely {
    place: usize,
    an: An,
    encrypted: bool,
    like: Likeness,
}

/// What the frames of a burst should be like. The places of keys are the same.
#[derive(Default)]
pub(crate) struct Unread {
    likely: ArrayVec<Likely, LIKELY>,
}

impl Unread {
    pub(crate) fn is_empty(&self) -> bool {
        self.likely.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.likely.clear();
    }
}

impl RxSecY {
    /// Leaves a burst to who opens it, and writes down what its frames should be like: those of the usual channels, under
    /// all ANs, so that a change of SAs makes no difference. `false`, changing nothing, where that would be of no use.
    #[inline(always)]
    pub(super) fn leave_unread<F: FrameBuf>(&self, frames: &mut Burst<F>, work: &mut Work<F>) -> bool {
        let Habits { usual, reads, .. } = &self.habits;
        if *reads > 0 || usual.is_empty() {
            return false;
        }
        // Those first that came last.
        let sas = (0..An::COUNT).flat_map(|ahead| {
            usual.iter().rev().filter_map(move |usual| {
                let an = An::ALL[(usual.an.index() + ahead) % An::COUNT];
                Some((usual, an, self.scs.get(usual.place)?))
            })
        });
        let sas = sas.filter_map(|(usual, an, sc)| Some((usual, an, sc, sc.sa(an)?))).take(LIKELY);
        let Work { plan, unread, .. } = work;
        plan.have_keys(sas.clone().map(|(_, _, _, sa)| &sa.key));
        unread.likely.extend(sas.map(|(usual, an, sc, sa)| {
            let Usual { place, encrypted, .. } = *usual;
            let kind = usual.kind - usual.an.index() as u32 + an.index() as u32;
            let sci = sc.sci.as_u64();
            Likely { place, an, encrypted, like: Likeness::new(&self.config, sa, kind, sci, encrypted) }
        }));
        let left = !unread.is_empty() && plan.take_whole(frames);
        if !left {
            unread.clear();
        }
        left
    }

    /// The third pass over what whoever opened the burst read, and all passes over what it did not: in their order.
    #[inline(always)]
    pub(super) fn finish_unread<F: FrameBuf>(
        &mut self,
        engine: &mut Engine,
        frames: &mut [F],
        found: &mut Found,
        verdicts: Verdicts,
    ) {
        let (mut place, mut next) = (0, 0);
        for run in &found.runs {
            if run.first > next {
                found.fates.add(self.finish_unlike(engine, frames, next..run.first));
            }
            next = run.first + run.count;
            if let Some(pending) = found.pending.get(place, run.count) {
                found.fates.add(self.judge(run, pending, place, verdicts, frames, found.moved));
            }
            place += run.count;
        }
        let all = frames.len();
        if all > next {
            found.fates.add(self.finish_unlike(engine, frames, next..all));
        }
        self.habits.miss(all - place, all);
    }

    #[inline(never)]
    fn finish_unlike<F: FrameBuf>(
        &mut self,
        engine: &mut Engine,
        frames: &mut [F],
        which: std::ops::Range<usize>,
    ) -> Fates {
        let before = which.start;
        let Some(unlike) = frames.get_mut(which) else { return Fates::default() };
        self.all_passes(engine, unlike, &mut |_: Pass| ()).behind(before)
    }
}

impl Found {
    /// Frames that were read.
    #[cfg(test)]
    pub(crate) fn read_so_far(&self) -> usize {
        self.pending.len()
    }

    /// The first and the second pass over a burst that its owner has not read.
    ///
    /// What XPNs are recovered from is as old as the burst: for frames that are in time that makes no difference.
    pub(crate) fn read<F: FrameBuf>(&mut self, unread: &Unread, plan: &mut Plan<F>, engine: &mut Engine) {
        let likely = &unread.likely;
        let Found { pending, runs, .. } = self;
        let mut which = 0;
        let mut next = usize::MAX;
        plan.open_as_read(engine, |number, octets| {
            let mut parsed = likely.get(which)?.like.parse(octets);
            if parsed.is_none() {
                which = likely.iter().position(|likely| likely.like.parse(octets).is_some())?;
                parsed = likely.get(which)?.like.parse(octets);
                next = usize::MAX;
            }
            let (Likely { place, an, encrypted, like }, (user_data, pn)) = (likely.get(which)?, parsed?);
            if number != next {
                let (place, an, encrypted, form) = (*place, *an, *encrypted, Form::USUAL);
                runs.push(Run {
                    place,
                    an,
                    encrypted,
                    form,
                    usual: true,
                    kind: like.kind,
                    first: number,
                    count: 0,
                });
            }
            next = number + 1;
            if let Some(run) = runs.last_mut() {
                run.count += 1;
            }
            pending.push(pn, user_data);
            let clear = like.most_clear.min(user_data);
            Some((which, WITH_SCI + user_data + ICV_LEN, WITH_SCI + clear, like.nonce.open(pn)))
        });
        if !plan.is_carried_out() {
            // All are left to the owner.
            self.clear();
        } else if !self.moved && plan.verdicts().are_authentic(0..pending.len()) {
            for run in runs.iter() {
                plan.octets_mut(run.first..run.first + run.count).for_each(move_addresses);
            }
            self.moved = true;
        }
    }
}
