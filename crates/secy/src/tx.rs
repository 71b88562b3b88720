//! The transmit half (802.1AE clause 10.5).

use crate::command::{Command, Event, Retired};
use crate::counters::{TxScCounters, TxSecYCounters};
use crate::plan::{Gather, Now, Place, Series as _, UsualTag};
use crate::pn::{FreshPn, NonceBase, Numbers};
use crate::sa::TxSa;
use crate::{Batch, Burst, FrameBuf, MAX_BURST, PREFETCH, Pass};
use arrayvec::ArrayVec;
use gcm::Engine;
use std::ops::RangeInclusive;
use std::sync::Arc;
use wire::{
    An, ConfidentialityOffset, Ethernet, ICV_LEN, L2Header, MAX_VLAN_TAGS, SHORT_LIMIT, Sci, SecTagRepr,
    ShortLength, Tci, VLAN_TAG_LEN,
};

mod unwritten;

pub(crate) use unwritten::Unwritten;

/// How a receiver learns the SCI (802.1AE clause 9.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SciMode {
    /// Every SecTAG carries it.
    #[default]
    Explicit,
    /// From the source address (ES). Frames of other sources carry it.
    EndStation,
    /// From the source address, as the broadcast channel of an EPON (SCB). Frames of other sources carry it.
    SingleCopyBroadcast,
    /// By knowing the one station at the other end.
    Implicit,
}

/// What a transmit half is told once.
#[derive(Clone, Debug)]
pub struct TxConfig {
    /// The transmit channel.
    pub sci: Sci,
    /// protectFrames: off, frames leave as they came.
    pub protect_frames: bool,
    /// Confidentiality; off, integrity only.
    pub encrypt: bool,
    /// How receivers learn the SCI.
    pub sci_mode: SciMode,
    /// VLAN tags left in the clear before the SecTAG, 0 to 2. Not authenticated.
    pub clear_vlan_tags: usize,
    /// Octets of the longest frame that may leave, header included, FCS not.
    pub max_frame: usize,
}

/// Owner of a transmit channel.
#[derive(Debug)]
pub struct TxSecY {
    config: TxConfig,
    sas: [Option<Box<TxSa>>; An::COUNT],
    encoding: Option<An>,
    counters: Arc<TxSecYCounters>,
    sc_counters: Arc<TxScCounters>,
    events: ArrayVec<Event, 8>,
}

/// Addresses and VLAN tags of a frame whose VLAN tags stay before the SecTAG.
///
/// For the crypto the addresses must stand right before the SecTAG, so these octets are put back afterwards.
struct ClearVlan {
    frame: usize,
    octets: ArrayVec<u8, { ADDRESSES + MAX_VLAN_TAGS * VLAN_TAG_LEN }>,
}

const ADDRESSES: usize = Ethernet::<&[u8]>::ADDRESSES_LEN;

/// What the first pass finds of a burst.
#[derive(Default)]
pub(crate) struct Found {
    /// The AN that it is protected under.
    an: Option<An>,
    /// Frames that may leave, a bit each.
    kept: u64,
    /// Octets of user data in these.
    octets: u64,
    /// The packet number after all of its own.
    next_pn: u64,
    clear_vlans: ArrayVec<ClearVlan, MAX_BURST>,
}

impl Found {
    fn clear(&mut self) {
        (self.an, self.kept, self.octets, self.next_pn) = (None, 0, 0, 0);
        self.clear_vlans.clear();
    }

    /// Keeps no frame at all where there are not as many operations as frames to keep, which does not happen: one without
    /// its operation would leave in the clear.
    #[inline(always)]
    fn expect_operations(&mut self, operations: usize) {
        if self.kept.count_ones() as usize != operations {
            (self.kept, self.octets) = (0, 0);
        }
    }
}

enum Refusal {
    TooLong,
    Malformed,
    NoPn,
}

impl Refusal {
    #[cold]
    fn count(self, counters: &TxSecYCounters) {
        match self {
            Refusal::TooLong => counters.out_pkts_too_long.inc(),
            Refusal::Malformed => counters.out_pkts_malformed.inc(),
            Refusal::NoPn => counters.out_pkts_no_pn.inc(),
        }
    }
}

impl TxSecY {
    /// A transmit half without SAs.
    pub fn new(config: TxConfig) -> Self {
        TxSecY {
            config,
            sas: Default::default(),
            encoding: None,
            counters: Arc::default(),
            sc_counters: Arc::default(),
            events: ArrayVec::new(),
        }
    }

    /// What it was told.
    pub fn config(&self) -> &TxConfig {
        &self.config
    }

    /// Counters of the half.
    pub fn counters(&self) -> Arc<TxSecYCounters> {
        self.counters.clone()
    }

    /// Counters of the channel that outlive its SAs.
    pub fn sc_counters(&self) -> Arc<TxScCounters> {
        self.sc_counters.clone()
    }

    /// Carries out a command. Commands for a receive half are refused.
    pub fn apply(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::InstallTxSa { an, .. } if self.encoding == Some(an) => Some(Event::Refused(command)),
            Command::InstallTxSa { an, sa } => {
                self.sas[an.index()].replace(sa).map(|old| self.retire(an, old))
            }
            Command::EncodeWith(Some(an)) if self.sas[an.index()].is_none() => Some(Event::Refused(command)),
            Command::EncodeWith(an) => {
                self.encoding = an;
                None
            }
            Command::RemoveTxSa(an) if self.encoding == Some(an) => Some(Event::Refused(command)),
            Command::RemoveTxSa(an) => self.sas[an.index()].take().map(|old| self.retire(an, old)),
            other => Some(Event::Refused(other)),
        }
    }

    fn retire(&self, an: An, sa: Box<TxSa>) -> Event {
        self.sc_counters.retired.absorb(&sa.counters);
        Event::Retired(Retired::TxSa(an, sa))
    }

    /// What is to be told since the last call.
    #[inline(always)]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_at(0)
    }

    /// Protects a burst in place. Frames that must not leave are removed and counted.
    #[inline(never)] // Its stack frame is large; an empty poll must not touch it.
    pub fn protect<F: FrameBuf>(&mut self, engine: &mut Engine, frames: &mut Burst<F>) {
        self.protect_marked(engine, frames, |_| ());
    }

    /// The same, saying when each pass is over.
    #[inline(always)]
    pub fn protect_marked<F: FrameBuf>(
        &mut self,
        engine: &mut Engine,
        frames: &mut Burst<F>,
        mut over: impl FnMut(Pass),
    ) {
        let Some(an) = self.admit(frames) else { return };
        let mut found = Found::default();
        {
            let mut now = Now(gcm::Burst::new());
            self.first_pass(an, frames, &mut now, &mut found);
            found.expect_operations(now.0.len());
            over(Pass::First);
            engine.seal(&mut now.0);
            over(Pass::Crypto);
        }
        self.third_pass(frames, &found);
        over(Pass::Third);
    }

    /// The first pass alone: whoever has the batch then carries its operations out ([`Batch::crypt`]), and brings it
    /// back to [`finish`](Self::finish), in the order in which batches were begun. No command may be applied meanwhile.
    ///
    /// Where all frames are as usual, they are given packet numbers only: their octets are left to who has them for the
    /// crypto anyway.
    pub fn begin<F: FrameBuf>(&mut self, batch: &mut Batch<F>) {
        let Batch { frames, work } = batch.begin(true);
        work.sent.clear();
        if let Some(an) = self.admit(frames) {
            if self.leave_unwritten(an, frames, work) {
                return;
            }
            self.first_pass(an, frames, &mut &mut work.plan, &mut work.sent);
        }
        work.plan.take(frames);
    }

    /// The third pass. The batch has the frames that may leave.
    pub fn finish<F: FrameBuf>(&mut self, batch: &mut Batch<F>) {
        let Batch { frames, work, .. } = batch;
        // They would leave in the clear.
        if !work.end(frames, true) {
            frames.clear();
            return;
        }
        if !work.plan.is_carried_out() {
            (work.sent.kept, work.sent.octets) = (0, 0);
        }
        self.third_pass(frames, &work.sent);
        work.plan.clear();
    }

    /// What can be said of all frames: the AN to protect them under, or what becomes of them without.
    #[inline(always)]
    fn admit<F: FrameBuf>(&mut self, frames: &mut Burst<F>) -> Option<An> {
        if frames.is_empty() {
            return None;
        }
        if !self.config.protect_frames {
            self.pass_unprotected(frames);
            return None;
        }
        let an = self.encoding.filter(|an| self.sas[an.index()].is_some());
        if an.is_none() {
            self.counters.out_pkts_no_sa.add(frames.len() as u64);
            frames.clear();
        }
        an
    }

    #[inline(always)]
    fn first_pass<'f, F: FrameBuf>(
        &'f mut self,
        an: An,
        frames: &'f mut [F],
        gather: &mut impl Gather<'f, F>,
        found: &mut Found,
    ) {
        let TxSecY { config, sas, counters, .. } = self;
        let Some(sa) = &mut sas[an.index()] else { return };
        let TxSa { key, nonce, offset, pn, .. } = &mut **sa;
        let Some(key) = gather.key(key) else { return };
        found.an = Some(an);
        let numbers = pn.begin_burst(frames.len());
        let pass = FirstPass { config, counters, an, key, nonce: *nonce, offset: *offset };
        // What most links do is worth code of its own.
        let plain = config.encrypt && *offset == ConfidentialityOffset::None && numbers.are_short();
        let rest = match (config.clear_vlan_tags, config.sci_mode, plain) {
            (0, SciMode::Explicit, true) => pass.all::<F, _, 16, true>(frames, numbers, gather, found),
            (0, SciMode::Explicit, false) => pass.all::<F, _, 16, false>(frames, numbers, gather, found),
            (0, SciMode::Implicit, true) => pass.all::<F, _, 8, true>(frames, numbers, gather, found),
            _ => pass.all::<F, _, ANY, false>(frames, numbers, gather, found),
        };
        pn.end_burst(rest);
        found.next_pn = pn.next();
    }

    #[inline(always)]
    fn third_pass<F: FrameBuf>(&mut self, frames: &mut Burst<F>, found: &Found) {
        for vlan in &found.clear_vlans {
            frames[vlan.frame].head_mut()[..vlan.octets.len()].copy_from_slice(&vlan.octets);
        }
        let Found { an, kept, octets, next_pn, .. } = *found;
        // Without an SA nothing leaves that has to be protected, whatever was done to it.
        let Some((an, sa)) = an.and_then(|an| Some((an, self.sas[an.index()].as_mut()?))) else {
            if self.config.protect_frames {
                frames.clear();
            }
            return;
        };
        sa.pn.leave(next_pn);
        let sealed = u64::from(kept.count_ones());
        if self.config.encrypt {
            sa.counters.out_pkts_encrypted.add(sealed);
            sa.counters.out_octets_encrypted.add(octets);
        } else {
            sa.counters.out_pkts_protected.add(sealed);
            sa.counters.out_octets_protected.add(octets);
        }
        if sa.pn.past_soft_limit() && !sa.exhaustion_told {
            tell_pn_limits(an, sa, &mut self.events);
        }
        if sealed != frames.len() as u64 {
            let mut place = 0;
            frames.retain(|_| {
                place += 1;
                kept >> (place - 1) & 1 == 1
            });
        }
    }

    fn pass_unprotected<F: FrameBuf>(&mut self, frames: &mut Burst<F>) {
        let max = self.config.max_frame;
        let before = frames.len();
        if frames.iter().any(|f| f.len() > max) {
            frames.retain(|f| f.len() <= max);
        }
        self.counters.out_pkts_too_long.add((before - frames.len()) as u64);
        self.counters.out_pkts_untagged.add(frames.len() as u64);
    }
}

#[cold]
fn tell_pn_limits(an: An, sa: &mut TxSa, events: &mut ArrayVec<Event, 8>) {
    // What finds no room now is told after a later burst.
    if !sa.soft_limit_told {
        sa.soft_limit_told = events.try_push(Event::PnPending(an)).is_ok();
    }
    if sa.pn.is_exhausted() && !sa.exhaustion_told {
        sa.exhaustion_told = events.try_push(Event::PnExhausted(an)).is_ok();
    }
}

/// The flags and, where it is sent, the SCI field of a frame (802.1AE clause 9.5).
#[inline(always)]
fn sci_field(config: &TxConfig, head: &[u8]) -> (Tci, Option<Sci>) {
    let tci = Tci::NONE.with_encryption(config.encrypt);
    // Left out where the receiver derives the right one from the source address.
    let derivable = |port| Ethernet::new_checked(head).is_some_and(|e| e.implicit_sci(port) == config.sci);
    match config.sci_mode {
        SciMode::Explicit => (tci, Some(config.sci)),
        SciMode::Implicit => (tci, None),
        SciMode::EndStation if derivable(Sci::PORT_END_STATION) => (tci.with_end_station(true), None),
        SciMode::SingleCopyBroadcast if derivable(Sci::PORT_SINGLE_COPY_BROADCAST) => {
            (tci.with_single_copy_broadcast(true), None)
        }
        SciMode::EndStation | SciMode::SingleCopyBroadcast => (tci, Some(config.sci)),
    }
}

/// What frames of a burst have in common whose SecTAG comes right behind their addresses.
#[derive(Clone, Copy)]
struct Usual {
    /// The SecTAG of frames that are not short, with no packet number.
    tag: UsualTag,
    /// Octets of user data that stay in the clear, at most.
    most_clear: usize,
}

impl Usual {
    #[inline(always)]
    fn new(config: &TxConfig, an: An, offset: ConfidentialityOffset) -> Self {
        let (tci, sci) = sci_field(config, &[]);
        let short_length = ShortLength::for_user_data(usize::MAX);
        let tag = SecTagRepr { tci, an, short_length, pn: 0, sci }.to_octets();
        let (start, sci) = tag.split_at(8);
        let start = u64::from_be_bytes(start.try_into().unwrap_or_default());
        let tag = UsualTag { start, sci: sci.try_into().unwrap_or_default() };
        Usual { tag, most_clear: if config.encrypt { offset.octets() } else { usize::MAX } }
    }

    #[inline(always)]
    fn tag(&self, user_data: usize, pn: &FreshPn) -> UsualTag {
        let short_length = ShortLength::for_user_data(user_data).as_u8();
        let start = self.long_tag(pn).start | u64::from(short_length) << 32;
        UsualTag { start, ..self.tag }
    }

    /// That of frames that are not short.
    #[inline(always)]
    fn long_tag(&self, pn: &FreshPn) -> UsualTag {
        UsualTag { start: self.tag.start | u64::from(pn.low32()), ..self.tag }
    }
}

/// Octets of frames that a SecTAG of so many octets and an ICV can be added to.
#[inline(always)]
fn usual_lengths(config: &TxConfig, tag_len: usize) -> RangeInclusive<usize> {
    ADDRESSES + 2..=config.max_frame.saturating_sub(tag_len + ICV_LEN)
}

/// The first pass over a burst, whose SA's key is `key` to whoever gathers.
#[derive(Clone, Copy)]
struct FirstPass<'p, K> {
    config: &'p TxConfig,
    counters: &'p TxSecYCounters,
    an: An,
    key: K,
    nonce: NonceBase,
    offset: ConfidentialityOffset,
}

/// Has frames come near that follow the first of these, if their octets are worked on here.
#[inline(always)]
fn expect_later<'f, F: FrameBuf + 'f, G: Gather<'f, F>>(frames: &[F]) {
    if G::HERE {
        if let Some(frame) = frames.get(1 + PREFETCH) {
            gcm::prefetch(frame.head());
        }
        // What says where its octets are comes before these.
        if let Some(frame) = frames.get(1 + 2 * PREFETCH) {
            frame.expect();
        }
    }
}

/// Octets of a SecTAG that may have any form.
const ANY: usize = 0;

impl<K: Copy> FirstPass<'_, K> {
    /// All frames. Those that are like most get a SecTAG of `TAG` octets right behind their addresses. `PLAIN` says that
    /// these are encrypted from there to the end, and that packet numbers have 32 bits. Hands back what numbers are left.
    #[inline(always)]
    fn all<'f, F: FrameBuf, G: Gather<'f, F, Key = K>, const TAG: usize, const PLAIN: bool>(
        &self,
        frames: &'f mut [F],
        mut numbers: Numbers,
        gather: &mut G,
        found: &mut Found,
    ) -> Numbers {
        let FirstPass { config, key, nonce, .. } = *self;
        let usual = Usual::new(config, self.an, self.offset);
        // Short ones are few, and have a field more.
        let lengths = ADDRESSES + SHORT_LIMIT..=*usual_lengths(config, TAG).end();
        let all = frames.len();
        let (mut refused, mut sum) = (0u64, 0);
        let mut left = frames.iter_mut();
        loop {
            // As many as are like most, one after the other.
            let mut series = gather.series(key);
            let refusal = loop {
                let number = all - left.len();
                expect_later::<F, G>(left.as_slice());
                let Some(frame) = left.as_slice().first() else { break None };
                let len = frame.len();
                if TAG == ANY || !lengths.contains(&len) || !frame.has_room(TAG, ICV_LEN) {
                    break None;
                }
                let Some(frame) = left.next() else { break None };
                let Some(pn) = (if PLAIN { numbers.allocate_short() } else { numbers.allocate() }) else {
                    break Some(Refusal::NoPn);
                };
                let user_data = len - ADDRESSES;
                let aad = ADDRESSES + TAG + if PLAIN { 0 } else { usual.most_clear.min(user_data) };
                let tag = usual.long_tag(&pn);
                let taken = match TAG {
                    8 => series.tagged::<8>(number as u8, frame, tag, aad, nonce.seal(pn)),
                    _ => series.tagged::<16>(number as u8, frame, tag, aad, nonce.seal(pn)),
                };
                if !taken {
                    break Some(Refusal::Malformed);
                }
                sum += user_data as u64;
            };
            drop(series);
            if let Some(refusal) = refusal {
                refusal.count(self.counters);
                refused |= 1 << (all - left.len() - 1);
                continue;
            }
            let number = all - left.len();
            let Some(frame) = left.next() else { break };
            let prepared;
            (numbers, prepared) = self.prepare(number, frame, numbers, gather, found);
            match prepared {
                Ok(octets) => sum += octets as u64,
                Err(refusal) => {
                    refusal.count(self.counters);
                    refused |= 1 << number;
                }
            }
        }
        found.kept = (u64::MAX >> (MAX_BURST - all)) & !refused;
        found.octets = sum;
        numbers
    }

    /// Any frame: writes the SecTAG and appends the operation. Hands the numbers back, and says how many octets of user
    /// data it protects.
    #[inline(never)]
    fn prepare<'f, F: FrameBuf, G: Gather<'f, F, Key = K>>(
        &self,
        number: usize,
        frame: &'f mut F,
        mut numbers: Numbers,
        gather: &mut G,
        found: &mut Found,
    ) -> (Numbers, Result<usize, Refusal>) {
        let prepared = self.try_prepare(number, frame, &mut numbers, gather, found);
        (numbers, prepared)
    }

    #[inline(always)]
    fn try_prepare<'f, F: FrameBuf, G: Gather<'f, F, Key = K>>(
        &self,
        number: usize,
        frame: &'f mut F,
        numbers: &mut Numbers,
        gather: &mut G,
        found: &mut Found,
    ) -> Result<usize, Refusal> {
        let config = self.config;
        let len = frame.len();
        let header = L2Header::parse(frame.head(), config.clear_vlan_tags).ok_or(Refusal::Malformed)?;
        let (tci, sci) = sci_field(config, frame.head());
        let tag_len = tci.with_sci(sci.is_some()).sectag_len();
        if len + tag_len + ICV_LEN > config.max_frame {
            return Err(Refusal::TooLong);
        }
        if !(frame.prepend(tag_len) && frame.append(ICV_LEN)) {
            return Err(Refusal::Malformed);
        }
        let pn = numbers.allocate().ok_or(Refusal::NoPn)?;
        let user_data = len - header.len;
        let short_length = ShortLength::for_user_data(user_data);
        let sectag = SecTagRepr { tci, an: self.an, short_length, pn: pn.low32(), sci }.to_octets();
        let clear_vlans = &mut found.clear_vlans;
        write_header(frame.head_mut(), header.len, &sectag, tag_len, number, clear_vlans);
        let clear = if config.encrypt { self.offset.octets().min(user_data) } else { user_data };
        let place =
            Place { skip: header.vlan_len(), aad: ADDRESSES + tag_len + clear, payload: user_data - clear };
        match gather.pieces(number as u8, frame, self.key, self.nonce.seal(pn), place, None) {
            true => Ok(user_data),
            false => Err(Refusal::Malformed),
        }
    }
}

/// Moves addresses (and VLAN tags) to the front that was prepended, and writes the SecTAG behind them.
#[inline(always)]
fn write_header(
    head: &mut [u8],
    header_len: usize,
    sectag: &[u8; 16],
    tag_len: usize,
    index: usize,
    clear_vlans: &mut ArrayVec<ClearVlan, MAX_BURST>,
) {
    let mut addresses = [0; ADDRESSES];
    addresses.copy_from_slice(&head[tag_len..tag_len + ADDRESSES]);
    if header_len > ADDRESSES {
        let mut octets = ArrayVec::new();
        octets.extend(head[tag_len..tag_len + header_len].iter().copied());
        clear_vlans.push(ClearVlan { frame: index, octets });
    }
    head[header_len - ADDRESSES..header_len].copy_from_slice(&addresses);
    // Two copies of constant length rather than one of variable length.
    if tag_len == sectag.len() {
        head[header_len..header_len + 16].copy_from_slice(sectag);
    } else {
        head[header_len..header_len + 8].copy_from_slice(&sectag[..8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_where_an_operation_is_missing() {
        for (kept, operations, left) in [(0b1011, 3, 0b1011), (0b1011, 2, 0), (0b1011, 4, 0), (0, 0, 0)] {
            let mut found = Found { kept, octets: 9, ..Found::default() };
            found.expect_operations(operations);
            assert_eq!((found.kept, found.octets > 0), (left, left > 0 || kept == 0), "{operations}");
        }
    }
}
