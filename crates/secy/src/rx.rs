//! The receive half (802.1AE clause 10.6).

use crate::command::{Command, Event, Retired};
use crate::counters::{RxScCounters, RxSecYCounters};
use crate::plan::{Gather, IcvRoom, Now, Place, Plan, Series as _};
use crate::pn::{NonceBase, recover_xpn};
use crate::sa::RxSa;
use crate::{Batch, Burst, FrameBuf, MAX_BURST, PREFETCH, PREFETCH_TO_PARSE, Pass};
use arrayvec::ArrayVec;
use gcm::{Engine, Verdicts};
use rustc_hash::FxBuildHasher;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use wire::{
    An, CipherSuite, EtherType, Ethernet, ICV_LEN, L2Header, MAX_VLAN_TAGS, Sci, SecTag, ShortLength,
    VLAN_TAG_LEN,
};

mod third;
mod unread;

use third::{move_addresses, strip};
pub(crate) use unread::Unread;
use unread::{Habits, Usual};

/// Receive SCs that one half has at most.
pub const MAX_RECEIVE_SCS: usize = 1024;

/// validateFrames (802.1AE clause 10.7.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ValidateFrames {
    /// Frames that are not authentic, or have no SecTAG, are dropped.
    #[default]
    Strict,
    /// They are counted, and delivered where they can be read.
    Check,
    /// ICVs are not looked at.
    Disabled,
}

/// What a receive half is told once.
#[derive(Clone, Debug)]
pub struct RxConfig {
    /// The suite of all its SAs.
    pub suite: CipherSuite,
    /// How strict to be.
    pub validate_frames: ValidateFrames,
    /// replayProtect: frames below the lowest acceptable PN are dropped.
    pub replay_protect: bool,
    /// replayWindow: how many packet numbers a frame may be behind the newest.
    pub replay_window: u64,
    /// VLAN tags that may stand before the SecTAG, 0 to 2. Not authenticated.
    pub clear_vlan_tags: usize,
}

/// A receive channel and its SAs.
#[derive(Debug)]
pub struct RxSc {
    sci: Sci,
    sas: [Option<Box<RxSa>>; An::COUNT],
    counters: Arc<RxScCounters>,
}

impl RxSc {
    /// A channel without SAs.
    pub fn new(sci: Sci) -> Self {
        RxSc { sci, sas: Default::default(), counters: Arc::default() }
    }

    /// Its identifier.
    pub fn sci(&self) -> Sci {
        self.sci
    }

    /// Counters of the channel that outlive its SAs.
    pub fn counters(&self) -> Arc<RxScCounters> {
        self.counters.clone()
    }

    /// The SA in use for `an`.
    pub fn sa(&self, an: An) -> Option<&RxSa> {
        self.sas[an.index()].as_deref()
    }
}

/// Owner of the receive channels.
#[derive(Debug)]
pub struct RxSecY {
    config: RxConfig,
    scs: Vec<RxSc>,
    /// Places in `scs`. Both have room for all channels from the start, so that a worker never allocates.
    places: HashMap<Sci, u16, FxBuildHasher>,
    counters: Arc<RxSecYCounters>,
    /// Away only while a burst is verified, or begun.
    scratch: Option<Box<Scratch>>,
    /// What frames were like lately, for who opens them to read them, too.
    habits: Habits,
}

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Deliver,
    Drop,
    SetAside,
}

/// What a frame with a good SecTAG consists of, in octets.
#[derive(Clone, Copy)]
struct Tagged {
    form: Form,
    user_data: u32,
}

/// What comes before the user data, in octets.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Form {
    /// Before the SecTAG.
    header_len: u8,
    tag_len: u8,
}

impl Form {
    /// Of most frames: addresses and a SecTAG with SCI.
    const USUAL: Form = Form { header_len: ADDRESSES as u8, tag_len: (WITH_SCI - ADDRESSES) as u8 };
}

/// Frames whose operations were gathered. Numbers of one kind lie side by side, to be looked at several at once.
struct Pending {
    len: usize,
    pns: [u64; MAX_BURST],
    /// Octets of user data.
    user_data: [u32; MAX_BURST],
}

impl Default for Pending {
    fn default() -> Self {
        Pending { len: 0, pns: [0; MAX_BURST], user_data: [0; MAX_BURST] }
    }
}

/// Some of them.
#[derive(Clone, Copy)]
struct Part<'a> {
    pns: &'a [u64],
    user_data: &'a [u32],
}

impl Pending {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn push(&mut self, pn: u64, user_data: usize) {
        self.pns[self.len] = pn;
        self.user_data[self.len] = user_data as u32;
        self.len += 1;
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    /// So many from `first` on.
    #[inline(always)]
    fn get(&self, first: usize, count: usize) -> Option<Part<'_>> {
        let all = first..first + count;
        let (pns, user_data) = (self.pns.get(..self.len)?, self.user_data.get(..self.len)?);
        Some(Part { pns: pns.get(all.clone())?, user_data: user_data.get(all)? })
    }
}

impl Part<'_> {
    /// Whether each packet number is greater than the one before. `false` may also mean that there are some of 2^63 or
    /// more.
    #[inline(always)]
    fn ascend(&self) -> bool {
        // Without branches, and by signs: what any CPU can do with several at once.
        let pairs = self.pns.iter().zip(self.pns.iter().skip(1));
        let first = self.pns.first().copied().unwrap_or_default();
        let signs =
            pairs.fold(first, |signs, (one, next)| signs | next | next.wrapping_sub(*one).wrapping_sub(1));
        signs >> 63 == 0
    }
}

/// Frames in a row, of one SA and form, encrypted all or none.
#[derive(Clone, Copy)]
struct Run {
    place: usize,
    an: An,
    encrypted: bool,
    form: Form,
    /// That form is [`Form::USUAL`], and they are in one piece.
    usual: bool,
    /// Ethertype, TCI and AN, where they are.
    kind: u32,
    /// The place of the first, and how many there are.
    first: usize,
    count: usize,
}

/// Addresses and VLAN tags of a frame whose VLAN tags stay before the SecTAG.
struct ClearVlan {
    frame: u8,
    octets: ArrayVec<u8, { ADDRESSES + MAX_VLAN_TAGS * VLAN_TAG_LEN }>,
}

/// What becomes of a burst.
#[derive(Clone, Copy, Default)]
struct Fates {
    /// Frames that are to be delivered, a bit each. All others are not, whatever else happens.
    deliver: u64,
    /// EAPOL frames, a bit each.
    set_aside: u64,
    /// Octets of the longest frame that may be delivered, at most.
    longest: usize,
}

impl Fates {
    #[inline(always)]
    fn add(&mut self, more: Fates) {
        self.deliver |= more.deliver;
        self.set_aside |= more.set_aside;
        self.longest = self.longest.max(more.longest);
    }

    /// Of frames that have so many before them.
    fn behind(self, frames: usize) -> Self {
        Fates { deliver: self.deliver << frames, set_aside: self.set_aside << frames, ..self }
    }

    /// Leaves what is to be delivered, and sets aside what is to be set aside, while there is room.
    #[inline(always)]
    fn apply<F>(&self, frames: &mut Burst<F>, set_aside: &mut Burst<F>) {
        if self.deliver.count_ones() as usize == frames.len() {
            return;
        }
        for (number, frame) in std::mem::take(frames).into_iter().enumerate() {
            if self.deliver >> number & 1 == 1 {
                frames.push(frame);
            } else if self.set_aside >> number & 1 == 1 {
                drop(set_aside.try_push(frame));
            }
        }
    }
}

/// What the first pass finds of a burst.
#[derive(Default)]
pub(crate) struct Found {
    fates: Fates,
    /// Addresses stand where they are to stand when the SecTAG is gone: in all pending frames.
    moved: bool,
    pending: Pending,
    runs: ArrayVec<Run, MAX_BURST>,
    clear_vlans: ArrayVec<ClearVlan, MAX_BURST>,
}

/// What a burst needs on its way through the passes. Kept, since it is too large to be made anew for each.
struct Scratch {
    /// Where ICVs that lie across segments are brought together.
    rooms: [IcvRoom; MAX_BURST],
    found: Found,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch { rooms: [[0; ICV_LEN]; MAX_BURST], found: Found::default() }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl Found {
    fn clear(&mut self) {
        self.fates = Fates::default();
        self.moved = false;
        self.pending.clear();
        self.runs.clear();
        self.clear_vlans.clear();
    }

    /// Moves the addresses of all pending frames to where they are to stand, if all are as they should be: done by who has
    /// their octets anyway. Otherwise that is left to the third pass.
    pub(crate) fn move_addresses<F: FrameBuf>(&mut self, plan: &mut Plan<F>) {
        let all = 0..self.pending.len();
        let usual = self.runs.iter().all(|run| run.usual) && plan.verdicts().are_authentic(all);
        if !usual || self.moved {
            return;
        }
        if let Some(octets) = plan.all_octets() {
            octets.for_each(move_addresses);
            self.moved = true;
        }
    }

    /// So many more frames belong to the last run. One without any is none.
    #[inline(always)]
    fn lengthen_run(&mut self, frames: usize) {
        if let Some(run) = self.runs.last_mut() {
            run.count += frames;
            if run.count == 0 {
                self.runs.pop();
            }
        }
    }

    /// Of a frame of so many octets.
    #[inline(always)]
    fn decide(&mut self, frame: usize, fate: Fate, len: usize) {
        match fate {
            Fate::Deliver => self.fates.add(Fates { deliver: 1 << frame, set_aside: 0, longest: len }),
            Fate::Drop => {}
            Fate::SetAside => self.fates.set_aside |= 1 << frame,
        }
    }
}

const ADDRESSES: usize = Ethernet::<&[u8]>::ADDRESSES_LEN;
/// Octets of addresses and a SecTAG with SCI.
const WITH_SCI: usize = ADDRESSES + 16;

/// Where parsing leaves a frame.
enum Parsed {
    Done(Fate),
    /// Nothing to decrypt: strip and deliver.
    Strip(Tagged),
    /// To be opened.
    Open {
        run: Run,
        user_data: u32,
        pn: u64,
    },
}

/// What frames of an SA have in common, so that only the rest is looked at.
#[derive(Clone, Copy)]
struct Likeness {
    /// Ethertype, TCI and AN.
    kind: u32,
    /// The same and a short length of 0, as they lie in a frame.
    start: u32,
    /// As it lies in a frame.
    sci: u64,
    nonce: NonceBase,
    /// Octets in the clear beyond the SecTAG.
    most_clear: usize,
    /// No packet number below this one is acceptable.
    lowest: u64,
    /// What an XPN is recovered from.
    recover_from: Option<u64>,
}

impl Likeness {
    /// Of frames with their SCI right behind their addresses.
    #[inline(always)]
    fn new(config: &RxConfig, sa: &RxSa, kind: u32, sci: u64, encrypted: bool) -> Self {
        let RxConfig { suite, replay_protect, replay_window, .. } = *config;
        // 0 is no packet number of 32 bits.
        let least = u64::from(!suite.is_xpn());
        let lowest = if replay_protect { sa.lowest_pn(replay_window).max(least) } else { least };
        let recover_from = sa.recover_from(replay_protect, replay_window);
        let (start, sci) = ((kind << 8).to_be(), sci.to_be());
        let most_clear = sa.most_clear(encrypted);
        Likeness { kind, start, sci, nonce: sa.nonce, most_clear, lowest, recover_from }
    }

    /// Octets of user data and packet number of a frame that is like it. `None` where it is not, or is not to be
    /// opened.
    #[inline(always)]
    fn parse(&self, octets: &[u8]) -> Option<(usize, u64)> {
        let tag: &[u8; WITH_SCI] = octets.first_chunk()?;
        let [.., s0, s1, s2, s3, p0, p1, p2, p3, c0, c1, c2, c3, c4, c5, c6, c7] = *tag;
        let unlike = u32::from_ne_bytes([s0, s1, s2, s3]) ^ self.start;
        if u64::from_ne_bytes([c0, c1, c2, c3, c4, c5, c6, c7]) != self.sci {
            return None;
        }
        let after_tag = octets.len() - WITH_SCI;
        let user_data = if unlike == 0 {
            ShortLength::for_user_data(usize::MAX).user_data_len(after_tag).ok()?
        } else {
            short_user_data(unlike, after_tag)?
        };
        let low32 = u32::from_be_bytes([p0, p1, p2, p3]);
        let pn = match self.recover_from {
            Some(lowest) => recover_xpn(lowest, low32),
            None => low32.into(),
        };
        (pn >= self.lowest && user_data >= LEAST_USER_DATA).then_some((user_data, pn))
    }
}

/// Octets of user data of a frame whose SecTAG begins differently from what others have that are not short. `None` where
/// more than the short length makes the difference.
#[cold]
fn short_user_data(unlike: u32, after_tag: usize) -> Option<usize> {
    match unlike.to_ne_bytes() {
        [0, 0, 0, short_length] => ShortLength::from_octet(short_length).ok()?.user_data_len(after_tag).ok(),
        _ => None,
    }
}

/// What frames have in common with one before.
#[derive(Clone, Copy)]
struct Known<'a> {
    like: Likeness,
    sa: &'a RxSa,
}

impl RxSecY {
    /// A receive half without channels.
    pub fn new(config: RxConfig) -> Self {
        RxSecY {
            config,
            scs: Vec::with_capacity(MAX_RECEIVE_SCS),
            // Twice, so that removals leave the table room without growing.
            places: HashMap::with_capacity_and_hasher(2 * MAX_RECEIVE_SCS, FxBuildHasher),
            counters: Arc::default(),
            scratch: Some(Box::default()),
            habits: Habits::default(),
        }
    }

    /// What it was told.
    pub fn config(&self) -> &RxConfig {
        &self.config
    }

    /// Counters of the half.
    pub fn counters(&self) -> Arc<RxSecYCounters> {
        self.counters.clone()
    }

    /// The channels in place.
    pub fn channels(&self) -> &[RxSc] {
        &self.scs
    }

    /// Carries out a command. Commands for a transmit half are refused.
    pub fn apply(&mut self, command: Command) -> Option<Event> {
        self.habits = Habits::default();
        match command {
            Command::AddRxSc(sc) if self.can_add(sc.sci) => {
                self.places.insert(sc.sci, self.scs.len() as u16);
                self.scs.push(sc);
                None
            }
            Command::RemoveRxSc(sci) => {
                let place = self.places.remove(&sci)?;
                let sc = self.scs.swap_remove(place.into());
                if let Some(moved) = self.scs.get(usize::from(place)) {
                    self.places.insert(moved.sci, place);
                }
                Some(Event::Retired(Retired::RxSc(sc)))
            }
            Command::InstallRxSa { sci, an, sa } => match self.channel(sci) {
                Some(sc) => sc.sas[an.index()].replace(sa).map(|old| sc.retire(an, old)),
                None => Some(Event::Refused(Command::InstallRxSa { sci, an, sa })),
            },
            Command::RemoveRxSa { sci, an } => {
                let sc = self.channel(sci)?;
                sc.sas[an.index()].take().map(|old| sc.retire(an, old))
            }
            Command::RaiseLowestPn { sci, an, pn } => {
                match self.channel(sci).and_then(|sc| sc.sas[an.index()].as_mut()) {
                    Some(sa) => {
                        sa.raise_floor(pn);
                        None
                    }
                    None => Some(Event::Refused(command)),
                }
            }
            other => Some(Event::Refused(other)),
        }
    }

    fn can_add(&self, sci: Sci) -> bool {
        self.scs.len() < MAX_RECEIVE_SCS && !self.places.contains_key(&sci)
    }

    fn channel(&mut self, sci: Sci) -> Option<&mut RxSc> {
        let place = *self.places.get(&sci)?;
        self.scs.get_mut(usize::from(place))
    }

    /// Verifies a burst in place. What is to be delivered stays in `frames`, in order; EAPOL frames go to
    /// `set_aside` while it has room; all others are removed. Each is counted. Says how many octets the longest of those
    /// that stay has at most.
    #[inline(never)] // Its stack frame is large; an empty poll must not touch it.
    pub fn verify<F: FrameBuf>(
        &mut self,
        engine: &mut Engine,
        frames: &mut Burst<F>,
        set_aside: &mut Burst<F>,
    ) -> usize {
        self.verify_marked(engine, frames, set_aside, |_| ())
    }

    /// The same, saying when each pass is over.
    #[inline(always)]
    pub fn verify_marked<F: FrameBuf>(
        &mut self,
        engine: &mut Engine,
        frames: &mut Burst<F>,
        set_aside: &mut Burst<F>,
        mut over: impl FnMut(Pass),
    ) -> usize {
        let fates = self.all_passes(engine, frames, &mut over);
        fates.apply(frames, set_aside);
        over(Pass::Third);
        fates.longest
    }

    /// All passes over some frames in a row: what becomes of them.
    #[inline(always)]
    fn all_passes<F: FrameBuf>(
        &mut self,
        engine: &mut Engine,
        frames: &mut [F],
        over: &mut impl FnMut(Pass),
    ) -> Fates {
        let mut scratch = self.scratch.take().unwrap_or_default();
        let Scratch { rooms, found } = &mut *scratch;
        found.clear();
        let verdicts = {
            let mut now = Now(gcm::Burst::new());
            self.first_pass(frames, &mut now, rooms, found);
            over(Pass::First);
            let operations = now.0.len();
            let verdicts = engine.open(&mut now.0);
            // Were one missing, which does not happen, frames would be judged by others' verdicts.
            if operations == found.pending.len() { verdicts } else { Verdicts::default() }
        };
        self.habits.note(found);
        over(Pass::Crypto);
        self.third_pass(frames, found, verdicts);
        let fates = found.fates;
        self.scratch = Some(scratch);
        fates
    }

    /// The first pass alone: whoever has the batch then carries its operations out ([`Batch::crypt`]), and brings it
    /// back to [`finish`](Self::finish), in the order in which batches were begun. No command may be applied meanwhile.
    ///
    /// Where frames were as usual lately, this one does not even look at them: who has their octets for the crypto anyway
    /// is told what they should be like.
    pub fn begin<F: FrameBuf>(&mut self, batch: &mut Batch<F>) {
        let Batch { frames, work } = batch.begin(false);
        work.received.clear();
        if self.leave_unread(frames, work) {
            return;
        }
        let mut scratch = self.scratch.take().unwrap_or_default();
        self.first_pass(frames, &mut &mut work.plan, &mut scratch.rooms, &mut work.received);
        self.scratch = Some(scratch);
        self.habits.note(&work.received);
        self.habits.learn(&work.received, frames.len());
        work.plan.take(frames);
    }

    /// The third pass, and all passes over frames that nobody has looked at. The batch has the frames that are to be
    /// delivered; EAPOL frames go to `set_aside` while it has room. Says how many octets the longest of the former has at
    /// most.
    pub fn finish<F: FrameBuf>(
        &mut self,
        engine: &mut Engine,
        batch: &mut Batch<F>,
        set_aside: &mut Burst<F>,
    ) -> usize {
        let Batch { frames, work } = batch;
        if !work.end(frames, false) {
            frames.clear();
            return 0;
        }
        let verdicts = work.plan.verdicts();
        let is_unread = !work.unread.is_empty();
        if is_unread {
            self.finish_unread(engine, frames, &mut work.received, verdicts);
        } else {
            self.third_pass(frames, &mut work.received, verdicts);
        }
        let fates = work.received.fates;
        fates.apply(frames, set_aside);
        if !is_unread && !work.plan.is_carried_out() {
            // They are counted; but whoever is to have frames that are not valid, too, is not to have these, of which
            // nobody knows anything.
            frames.clear();
        }
        work.plan.clear();
        fates.longest
    }

    #[inline(always)]
    fn first_pass<'f, F: FrameBuf, G: Gather<'f, F>>(
        &'f self,
        frames: &'f mut [F],
        gather: &mut G,
        rooms: &'f mut [IcvRoom; MAX_BURST],
        found: &mut Found,
    ) {
        let all = frames.len();
        if !G::HERE {
            frames.iter().take(PREFETCH_TO_PARSE).for_each(|soon| gcm::prefetch(soon.head()));
        }
        let mut frames = frames.iter_mut();
        let mut rooms = rooms.iter_mut();
        let mut known = self.as_before(found);
        loop {
            match &known {
                // What most links do is worth code of its own.
                Some(known @ Known { like: Likeness { most_clear: 0, recover_from: None, .. }, .. }) => {
                    self.go_on::<F, _, true>(known, all, &mut frames, gather, found);
                }
                Some(known) => self.go_on::<F, _, false>(known, all, &mut frames, gather, found),
                None => {}
            }
            let number = all - frames.len();
            let skipped = number + rooms.len() - MAX_BURST;
            let (Some(frame), Some(room)) = (frames.next(), rooms.nth(skipped)) else { break };
            known = self.first_of_its_kind(number, frame, gather, room, found);
        }
    }

    /// What frames have in common that are like those that were [read last](Habits::last), whose run begins.
    #[inline(always)]
    fn as_before(&self, found: &mut Found) -> Option<Known<'_>> {
        let Usual { place, kind, an, encrypted } = self.habits.last?;
        let sc = self.scs.get(place)?;
        let sa = sc.sa(an)?;
        found.runs.push(Run {
            place,
            an,
            encrypted,
            form: Form::USUAL,
            usual: true,
            kind,
            first: 0,
            count: 0,
        });
        let sci = sc.sci.as_u64();
        Some(Known { like: Likeness::new(&self.config, sa, kind, sci, encrypted), sa })
    }

    /// The first pass over frames as long as they are like the one before, whose run is the last. `PLAIN` says that
    /// nothing is in the clear beyond the SecTAG and that packet numbers have 32 bits.
    #[inline(always)]
    fn go_on<'f, F: FrameBuf, G: Gather<'f, F>, const PLAIN: bool>(
        &self,
        known: &Known<'f>,
        all: usize,
        frames: &mut std::slice::IterMut<'f, F>,
        gather: &mut G,
        found: &mut Found,
    ) {
        let Known { mut like, sa } = *known;
        if PLAIN {
            (like.most_clear, like.recover_from) = (0, None);
        }
        let Some(key) = gather.key(&sa.key) else { return found.lengthen_run(0) };
        let (base, before) = (like.nonce, found.pending.len());
        let mut series = gather.series(key);
        while let Some(frame) = frames.as_slice().first()
            && frame.is_contiguous()
            && let Some((user_data, pn)) = like.parse(frame.head())
        {
            let number = (all - frames.len()) as u8;
            let Some(frame) = frames.next() else { break };
            let ahead = if G::HERE { PREFETCH } else { PREFETCH_TO_PARSE };
            if let Some(later) = frames.as_slice().get(ahead) {
                gcm::prefetch(later.head());
            }
            let clear = like.most_clear.min(user_data);
            let len = WITH_SCI + user_data + ICV_LEN;
            if !series.whole(number, frame, len, WITH_SCI + clear, base.open(pn)) {
                // Which ends the run.
                self.counters.in_pkts_overrun.inc();
                break;
            }
            found.pending.push(pn, user_data);
        }
        found.lengthen_run(found.pending.len() - before);
    }

    /// The first pass over any frame. Says what frames like it have in common, where they may be told by it.
    #[inline(never)]
    fn first_of_its_kind<'f, F: FrameBuf>(
        &'f self,
        number: usize,
        frame: &'f mut F,
        gather: &mut impl Gather<'f, F>,
        room: &'f mut IcvRoom,
        found: &mut Found,
    ) -> Option<Known<'f>> {
        let (run, user_data, pn) = match self.parse(frame) {
            Parsed::Done(fate) => {
                found.decide(number, fate, frame.len());
                return None;
            }
            Parsed::Strip(tagged) => {
                strip(frame, tagged);
                found.decide(number, Fate::Deliver, frame.len());
                return None;
            }
            Parsed::Open { run, user_data, pn } => (run, user_data as usize, pn),
        };
        let Run { place: channel, an, encrypted, form, .. } = run;
        let sa = self.scs[channel].sas[an.index()].as_deref()?;
        let header_len = usize::from(form.header_len);
        let vlan_len = header_len - ADDRESSES;
        if vlan_len > 0 {
            let mut octets = ArrayVec::new();
            octets.extend(frame.head()[..header_len].iter().copied());
            found.clear_vlans.push(ClearVlan { frame: number as u8, octets });
            // The AAD is addresses and SecTAG in one run; VLAN tags between them are put back in pass 3.
            frame.head_mut().copy_within(..ADDRESSES, vlan_len);
        }
        let clear = sa.most_clear(encrypted).min(user_data);
        let aad = ADDRESSES + usize::from(form.tag_len) + clear;
        let place = Place { skip: vlan_len, aad, payload: user_data - clear };
        let usual = form == Form::USUAL && frame.is_contiguous();
        let (kind, sci) =
            frame.head().first_chunk().filter(|_| usual).map_or_else(Default::default, kind_and_sci);
        let known = usual.then(|| Known { like: Likeness::new(&self.config, sa, kind, sci, encrypted), sa });
        let key = gather.key(&sa.key);
        let gathered = key
            .is_some_and(|key| gather.pieces(number as u8, frame, key, sa.nonce.open(pn), place, Some(room)));
        if !gathered {
            self.counters.in_pkts_overrun.inc();
            return None;
        }
        found.pending.push(pn, user_data);
        found.runs.push(Run { usual, kind, first: number, ..run });
        known
    }

    /// Pass 1: everything that can be said before the ICV is checked.
    #[inline(always)]
    fn parse<F: FrameBuf>(&self, frame: &F) -> Parsed {
        let head = frame.head();
        let strict = self.config.validate_frames == ValidateFrames::Strict;
        let Some(header) = L2Header::parse(head, self.config.clear_vlan_tags) else {
            self.counters.in_pkts_no_tag.inc();
            return Parsed::Done(Fate::Drop);
        };
        if header.ethertype != EtherType::MACSEC {
            return Parsed::Done(self.without_tag(&header, strict));
        }
        let (tag, tagged) = match parse_tag(head, &header, frame.len(), self.config.suite) {
            Some(found) => found,
            None => {
                self.counters.in_pkts_bad_tag.inc();
                return Parsed::Done(Fate::Drop);
            }
        };

        // Such a frame can be read without its key, and may be where authenticity is not insisted on.
        let readable = !tag.tci().changed() && !strict;
        let an = tag.an();
        let Some(place) = self.find_channel(&tag, head) else {
            if readable {
                self.counters.in_pkts_unknown_sci.inc();
                return Parsed::Strip(tagged);
            }
            self.counters.in_pkts_no_sci.inc();
            return Parsed::Done(Fate::Drop);
        };
        let sc = &self.scs[place];
        let Some(sa) = &sc.sas[an.index()] else {
            let counters = &sc.counters.without_sa[an.index()];
            if readable {
                counters.in_pkts_unused_sa.inc();
                return Parsed::Strip(tagged);
            }
            counters.in_pkts_not_using_sa.inc();
            return Parsed::Done(Fate::Drop);
        };
        let RxConfig { replay_protect, replay_window, validate_frames, .. } = self.config;
        let pn = sa.recover(tag.pn(), replay_protect, replay_window);
        let late = pn < sa.lowest_pn(replay_window);
        if late && replay_protect {
            sa.counters.in_pkts_late.inc();
            return Parsed::Done(Fate::Drop);
        }
        if validate_frames == ValidateFrames::Disabled {
            if !readable {
                sa.counters.in_pkts_not_valid.inc();
                return Parsed::Done(Fate::Drop);
            }
            if late {
                sa.counters.in_pkts_delayed.inc();
            } else {
                sa.counters.in_pkts_unchecked.inc();
            }
            return Parsed::Strip(tagged);
        }
        let Tagged { form, user_data } = tagged;
        Parsed::Open {
            run: Run {
                place,
                an,
                encrypted: tag.tci().encrypted(),
                form,
                usual: false,
                kind: 0,
                first: 0,
                count: 1,
            },
            user_data,
            pn,
        }
    }

    fn without_tag(&self, header: &L2Header, strict: bool) -> Fate {
        if header.ethertype == EtherType::EAPOL && header.vlan_len() == 0 {
            self.counters.in_pkts_eapol.inc();
            Fate::SetAside
        } else if strict {
            self.counters.in_pkts_no_tag.inc();
            Fate::Drop
        } else {
            self.counters.in_pkts_untagged.inc();
            Fate::Deliver
        }
    }

    /// The place of the frame's receive SC.
    #[inline(always)]
    fn find_channel(&self, tag: &SecTag<&[u8]>, head: &[u8]) -> Option<usize> {
        let sci = match tag.sci() {
            Some(sci) => sci,
            None => {
                let port = if tag.tci().single_copy_broadcast() {
                    Sci::PORT_SINGLE_COPY_BROADCAST
                } else if tag.tci().end_station() {
                    Sci::PORT_END_STATION
                } else {
                    // Nothing in the frame tells: there must be one station at the other end.
                    return (self.scs.len() == 1).then_some(0);
                };
                Ethernet::new_checked(head)?.implicit_sci(port)
            }
        };
        match &self.scs[..] {
            // The usual case needs no hash.
            [only] => (only.sci == sci).then_some(0),
            _ => self.places.get(&sci).map(|p| usize::from(*p)),
        }
    }
}

impl RxSc {
    fn retire(&self, an: An, sa: Box<RxSa>) -> Event {
        self.counters.retired.absorb(&sa.counters);
        Event::Retired(Retired::RxSa(self.sci, an, sa))
    }
}

/// The SecTAG and what follows from it; `None` when a rule of clause 9.12 is broken.
#[inline(always)]
fn parse_tag<'a>(
    head: &'a [u8],
    header: &L2Header,
    frame_len: usize,
    suite: CipherSuite,
) -> Option<(SecTag<&'a [u8]>, Tagged)> {
    let tag = SecTag::new_checked(head.get(header.len..)?).ok()?;
    if tag.pn() == 0 && !suite.is_xpn() {
        return None;
    }
    let (header_len, tag_len) = (header.len, tag.len());
    let user_data = tag.short_length().user_data_len(frame_len - header_len - tag_len).ok()?;
    if user_data < LEAST_USER_DATA {
        return None;
    }
    let user_data = u32::try_from(user_data).ok()?;
    let form = Form { header_len: header_len as u8, tag_len: tag_len as u8 };
    Some((tag, Tagged { form, user_data }))
}

/// Less than an ethertype cannot have been a frame, and would not be one when delivered.
const LEAST_USER_DATA: usize = 2;

/// Of a SecTAG with SCI behind the addresses: ethertype, TCI and AN; SCI.
#[inline(always)]
fn kind_and_sci(start: &[u8; WITH_SCI]) -> (u32, u64) {
    let tag = start.last_chunk().map_or(0, |tag| u128::from_be_bytes(*tag));
    ((tag >> 104) as u32, tag as u64)
}
