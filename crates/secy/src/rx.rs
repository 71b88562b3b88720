//! The receive half (802.1AE clause 10.6).

use crate::command::{Command, Event, Retired};
use crate::counters::{RxSaCounters, RxScCounters, RxSecYCounters};
use crate::sa::RxSa;
use crate::{Burst, FrameBuf, MAX_BURST, Pass, scatter};
use arrayvec::ArrayVec;
use gcm::Engine;
use rustc_hash::FxBuildHasher;
use std::collections::HashMap;
use std::sync::Arc;
use wire::{
    An, CipherSuite, EtherType, Ethernet, ICV_LEN, L2Header, MAX_VLAN_TAGS, Sci, SecTag, VLAN_TAG_LEN,
};

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
    /// Where ICVs that lie across segments are brought together. Away only while a burst is verified.
    icvs: Option<Box<Icvs>>,
}

type Icvs = [[u8; ICV_LEN]; MAX_BURST];

/// What becomes of a frame.
#[derive(Clone, Copy)]
enum Fate {
    Deliver,
    Drop,
    SetAside,
}

/// What pass 1 found of a frame with a good SecTAG.
#[derive(Clone, Copy)]
struct Tagged {
    /// Octets before the SecTAG.
    header_len: usize,
    tag_len: usize,
    user_data: usize,
}

/// A frame whose operation is in the burst.
struct Pending {
    frame: usize,
    sc: usize,
    an: An,
    pn: u64,
    encrypted: bool,
    tagged: Tagged,
    /// Addresses and VLAN tags, where there are any of the latter.
    clear_vlan: ArrayVec<u8, { ADDRESSES + MAX_VLAN_TAGS * VLAN_TAG_LEN }>,
}

const ADDRESSES: usize = Ethernet::<&[u8]>::ADDRESSES_LEN;

/// Where pass 1 leaves a frame.
enum Parsed {
    Done(Fate),
    /// Nothing to decrypt: strip and deliver.
    Strip(Tagged),
    Open(Pending, [u8; gcm::NONCE_LEN]),
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
            icvs: Some(Box::new([[0; ICV_LEN]; MAX_BURST])),
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
    /// `set_aside` while it has room; all others are removed. Each is counted.
    #[inline(never)] // Its stack frame is large; an empty poll must not touch it.
    pub fn verify<F: FrameBuf>(
        &mut self,
        engine: &mut Engine,
        frames: &mut Burst<F>,
        set_aside: &mut Burst<F>,
    ) {
        self.verify_marked(engine, frames, set_aside, |_| ());
    }

    /// The same, saying when each pass is over.
    #[inline(always)]
    pub fn verify_marked<F: FrameBuf>(
        &mut self,
        engine: &mut Engine,
        frames: &mut Burst<F>,
        set_aside: &mut Burst<F>,
        mut over: impl FnMut(Pass),
    ) {
        let mut fates: ArrayVec<Fate, MAX_BURST> = ArrayVec::new_const();
        let mut pending: ArrayVec<Pending, MAX_BURST> = ArrayVec::new_const();
        let mut icvs = self.icvs.take().unwrap_or_else(|| Box::new([[0; ICV_LEN]; MAX_BURST]));
        let verdicts = {
            let mut burst = gcm::Burst::new();
            for ((i, frame), icv) in frames.iter_mut().enumerate().zip(icvs.iter_mut()) {
                fates.push(match self.parse(i, frame) {
                    Parsed::Done(fate) => fate,
                    Parsed::Strip(tagged) => {
                        strip(frame, tagged, &[]);
                        Fate::Deliver
                    }
                    Parsed::Open(p, nonce) => match self.gather(&p, nonce, frame, icv, &mut burst) {
                        Some(()) => {
                            pending.push(p);
                            Fate::Deliver
                        }
                        None => {
                            self.counters.in_pkts_overrun.inc();
                            Fate::Drop
                        }
                    },
                });
            }
            over(Pass::First);
            engine.open(&mut burst)
        };
        over(Pass::Crypto);
        self.icvs = Some(icvs);
        for (n, p) in pending.iter().enumerate() {
            if self.judge(p, verdicts.is_authentic(n)) {
                strip(&mut frames[p.frame], p.tagged, &p.clear_vlan);
            } else {
                fates[p.frame] = Fate::Drop;
            }
        }
        if fates.iter().any(|f| !matches!(f, Fate::Deliver)) {
            for (frame, fate) in std::mem::take(frames).into_iter().zip(fates) {
                match fate {
                    Fate::Deliver => frames.push(frame),
                    Fate::SetAside => drop(set_aside.try_push(frame)),
                    Fate::Drop => {}
                }
            }
        }
        over(Pass::Third);
    }

    /// Pass 1: everything that can be said before the ICV is checked.
    #[inline(always)]
    fn parse<F: FrameBuf>(&self, index: usize, frame: &F) -> Parsed {
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
        let mut clear_vlan = ArrayVec::new();
        if header.vlan_len() > 0 {
            clear_vlan.extend(head[..header.len].iter().copied());
        }
        let encrypted = tag.tci().encrypted();
        Parsed::Open(
            Pending { frame: index, sc: place, an, pn, encrypted, tagged, clear_vlan },
            sa.nonce.open(pn),
        )
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

    /// Appends the frame's operation. `None` when the frame is in too many pieces for it.
    #[inline(always)]
    fn gather<'a, F: FrameBuf>(
        &'a self,
        p: &Pending,
        nonce: [u8; gcm::NONCE_LEN],
        frame: &'a mut F,
        icv: &'a mut [u8; ICV_LEN],
        burst: &mut gcm::Burst<'a>,
    ) -> Option<()> {
        let Tagged { header_len, tag_len, user_data } = p.tagged;
        let vlan_len = header_len - ADDRESSES;
        if vlan_len > 0 {
            // The AAD is addresses and SecTAG in one run; VLAN tags between them are put back in pass 3.
            frame.head_mut().copy_within(..ADDRESSES, vlan_len);
        }
        let RxSa { key, offset, .. } = &**self.scs[p.sc].sas[p.an.index()].as_ref()?;
        let clear = if p.encrypted { offset.octets().min(user_data) } else { user_data };
        let aad = ADDRESSES + tag_len + clear;
        if frame.is_contiguous() {
            let (aad, rest) = frame.head_mut()[vlan_len..].split_at_mut(aad);
            let (payload, rest) = rest.split_at_mut(user_data - clear);
            burst.push(key, nonce, aad, payload, rest.first_chunk_mut()?).ok()
        } else {
            let cut = scatter::cut(frame.segments_mut(), vlan_len, aad, user_data - clear)?;
            let mut room = &mut icv[..];
            for piece in &cut.icv {
                let (now, later) = room.split_at_mut(piece.len());
                now.copy_from_slice(piece);
                room = later;
            }
            burst.push_scattered(key, nonce, cut.aad, cut.payload, icv).ok()
        }
    }

    /// Pass 3: the verdict, with replay checked again now that earlier frames of the burst have moved the PN.
    #[inline(always)]
    fn judge(&mut self, p: &Pending, authentic: bool) -> bool {
        let RxConfig { replay_protect, replay_window, validate_frames, .. } = self.config;
        let Some(sa) = &mut self.scs[p.sc].sas[p.an.index()] else { return false };
        let counters: &RxSaCounters = &sa.counters;
        let late = p.pn < sa.lowest_pn(replay_window);
        if late && replay_protect {
            counters.in_pkts_late.inc();
            return false;
        }
        let octets = p.tagged.user_data as u64;
        if p.encrypted {
            counters.in_octets_decrypted.add(octets);
        } else {
            counters.in_octets_validated.add(octets);
        }
        if !authentic {
            if p.encrypted || validate_frames == ValidateFrames::Strict {
                counters.in_pkts_not_valid.inc();
                return false;
            }
            counters.in_pkts_invalid.inc();
            return true;
        }
        if late {
            counters.in_pkts_delayed.inc();
        } else {
            counters.in_pkts_ok.inc();
        }
        sa.advance(p.pn);
        true
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
    // Less than an ethertype cannot have been a frame, and would not be one when delivered.
    if user_data < 2 {
        return None;
    }
    Some((tag, Tagged { header_len, tag_len, user_data }))
}

/// Takes SecTAG, ICV and padding away. `clear_vlan` holds addresses and VLAN tags where they were moved.
#[inline(always)]
fn strip<F: FrameBuf>(frame: &mut F, tagged: Tagged, clear_vlan: &[u8]) {
    let Tagged { header_len, tag_len, user_data } = tagged;
    let head = frame.head_mut();
    if header_len == ADDRESSES {
        let mut addresses = [0; ADDRESSES];
        addresses.copy_from_slice(&head[..ADDRESSES]);
        head[tag_len..tag_len + ADDRESSES].copy_from_slice(&addresses);
    } else if clear_vlan.is_empty() {
        head.copy_within(..header_len, tag_len);
    } else {
        head[tag_len..tag_len + header_len].copy_from_slice(clear_vlan);
    }
    // The SecTAG was read from the first segment, so it can be taken from there.
    let trimmed = frame.trim_front(tag_len);
    debug_assert!(trimmed);
    frame.truncate(header_len + user_data);
}
