//! Bursts that their owner does not read: it says what frames should be like, and whoever opens them does the first pass,
//! since it has their octets anyway. Frames that are not so are left to the owner, in their turn.

use super::{Fates, Form, Found, Likeness, Run, RxSecY, WITH_SCI, move_addresses};
use crate::batch::Work;
use crate::plan::Plan;
use crate::sa::RxSa;
use crate::{FrameBuf, Pass};
use arrayvec::ArrayVec;
use gcm::{Engine, Verdicts};
use wire::{An, ICV_LEN};

/// Of so many frames of a burst one at most may be unlike the others; with more it is dearer that the owner has these to
/// itself than that it reads all.
const UNLIKE: usize = 8;

/// What frames were like lately: in one piece with a SecTAG with SCI right behind their addresses, and of this channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// The channel.
    place: usize,
    an: An,
    /// Ethertype, TCI and AN.
    kind: u32,
    encrypted: bool,
}

impl Usual {
    /// Of a burst of so many frames.
    #[inline(always)]
    pub(super) fn of(found: &Found, frames: usize) -> Option<Self> {
        let Run { place, an, kind, encrypted, usual, count, .. } = *found.runs.last()?;
        (usual && (frames - count) * UNLIKE <= frames).then_some(Usual { place, an, kind, encrypted })
    }
}

/// What the frames of a burst should be like, by the ANs of a channel. The places of keys are the same.
#[derive(Default)]
pub(crate) struct Unread {
    place: usize,
    encrypted: bool,
    likely: ArrayVec<(An, Likeness), { An::COUNT }>,
}

impl Unread {
    pub(crate) fn is_empty(&self) -> bool {
        self.likely.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.likely.clear();
    }
}

const _: () =
    assert!(An::COUNT <= crate::plan::KEYS_KEPT, "the keys of one channel are kept for the next burst");

impl RxSecY {
    /// Writes down what frames should be like: those of all SAs of the channel, so that a change of SAs makes no difference.
    /// The last one's come first.
    #[inline(always)]
    pub(super) fn expect<F: FrameBuf>(&self, usual: Usual, work: &mut Work<F>) {
        let Usual { place, an, kind, encrypted } = usual;
        let Some(sc) = self.scs.get(place) else { return };
        let sas = An::ALL.into_iter().cycle().skip(an.index()).take(An::COUNT);
        let sas = sas.filter_map(|an| Some((an, sc.sa(an)?)));
        work.plan.have_keys(sas.clone().map(|(_, sa)| &sa.key));
        let Work { unread, .. } = work;
        (unread.place, unread.encrypted) = (place, encrypted);
        let sci = u64::from_be_bytes(sc.sci.to_bytes());
        let kind = |of: An| kind - an.index() as u32 + of.index() as u32;
        let likeness = |sa: &RxSa, an| Likeness::new(&self.config, sa, kind(an), sci, encrypted);
        unread.likely.extend(sas.map(|(an, sa)| (an, likeness(sa, an))));
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
        if (all - place) * UNLIKE > all {
            self.usual = None;
        }
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
    /// The first and the second pass over a burst that its owner has not read.
    pub(crate) fn read<F: FrameBuf>(&mut self, unread: &Unread, plan: &mut Plan<F>, engine: &mut Engine) {
        let Unread { place, encrypted, likely } = unread;
        let Found { pending, runs, .. } = self;
        let mut which = 0;
        let mut next = usize::MAX;
        plan.open_as_read(engine, |number, octets| {
            let mut parsed = likely.get(which)?.1.parse(octets);
            if parsed.is_none() {
                which = likely.iter().position(|(_, like)| like.parse(octets).is_some())?;
                parsed = likely.get(which)?.1.parse(octets);
                next = usize::MAX;
            }
            let ((an, like), (user_data, pn)) = (likely.get(which)?, parsed?);
            if number != next {
                let an = *an;
                let (place, encrypted, form) = (*place, *encrypted, Form::USUAL);
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
        } else if plan.verdicts().are_authentic(0..pending.len()) {
            for run in runs.iter() {
                plan.octets_mut(run.first..run.first + run.count).for_each(move_addresses);
            }
            self.moved = true;
        }
    }
}
