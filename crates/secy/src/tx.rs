//! The transmit half (802.1AE clause 10.5).

use crate::command::{Command, Event, Retired};
use crate::counters::{TxScCounters, TxSecYCounters};
use crate::pn::{NonceBase, PnSource};
use crate::sa::TxSa;
use crate::{Burst, FrameBuf, MAX_BURST, Pass, scatter};
use arrayvec::ArrayVec;
use gcm::Engine;
use std::sync::Arc;
use wire::{
    An, ConfidentialityOffset, Ethernet, ICV_LEN, L2Header, MAX_VLAN_TAGS, Sci, SecTagRepr, ShortLength, Tci,
    VLAN_TAG_LEN,
};

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

enum Refusal {
    TooLong,
    Malformed,
    NoPn,
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
        if frames.is_empty() {
            return;
        }
        if !self.config.protect_frames {
            self.pass_unprotected(frames);
            return;
        }
        let sa = self.encoding.and_then(|an| Some((an, self.sas[an.index()].as_deref_mut()?)));
        let Some((an, sa)) = sa else {
            self.counters.out_pkts_no_sa.add(frames.len() as u64);
            frames.clear();
            return;
        };

        sa.pn.begin_burst();
        let mut kept = 0u64;
        let (mut sealed_frames, mut sealed_octets) = (0, 0);
        let mut clear_vlans: ArrayVec<ClearVlan, MAX_BURST> = ArrayVec::new_const();
        {
            let TxSa { key, nonce, offset, pn, .. } = &mut *sa;
            let mut burst = gcm::Burst::new();
            for (i, frame) in frames.iter_mut().enumerate() {
                match prepare(
                    &self.config,
                    an,
                    key,
                    *nonce,
                    *offset,
                    pn,
                    frame,
                    i,
                    &mut burst,
                    &mut clear_vlans,
                ) {
                    Ok(octets) => {
                        kept |= 1 << i;
                        sealed_frames += 1;
                        sealed_octets += octets as u64;
                    }
                    Err(Refusal::TooLong) => self.counters.out_pkts_too_long.inc(),
                    Err(Refusal::Malformed) => self.counters.out_pkts_malformed.inc(),
                    Err(Refusal::NoPn) => self.counters.out_pkts_no_pn.inc(),
                }
            }
            over(Pass::First);
            engine.seal(&mut burst);
            over(Pass::Crypto);
        }
        sa.pn.end_burst();

        for vlan in &clear_vlans {
            frames[vlan.frame].head_mut()[..vlan.octets.len()].copy_from_slice(&vlan.octets);
        }
        if self.config.encrypt {
            sa.counters.out_pkts_encrypted.add(sealed_frames);
            sa.counters.out_octets_encrypted.add(sealed_octets);
        } else {
            sa.counters.out_pkts_protected.add(sealed_frames);
            sa.counters.out_octets_protected.add(sealed_octets);
        }
        if sa.pn.past_soft_limit() && !sa.exhaustion_told {
            tell_pn_limits(an, sa, &mut self.events);
        }
        if sealed_frames != frames.len() as u64 {
            let mut place = 0;
            frames.retain(|_| {
                place += 1;
                kept >> (place - 1) & 1 == 1
            });
        }
        over(Pass::Third);
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

/// Writes the SecTAG and appends the operation. Says how many octets of user data it protects.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn prepare<'a, F: FrameBuf>(
    config: &TxConfig,
    an: An,
    key: &'a gcm::Key,
    nonce: NonceBase,
    offset: ConfidentialityOffset,
    pn: &mut PnSource,
    frame: &'a mut F,
    index: usize,
    burst: &mut gcm::Burst<'a>,
    clear_vlans: &mut ArrayVec<ClearVlan, MAX_BURST>,
) -> Result<usize, Refusal> {
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
    let pn = pn.allocate().ok_or(Refusal::NoPn)?;
    let user_data = len - header.len;
    let short_length = ShortLength::for_user_data(user_data);
    let sectag = SecTagRepr { tci, an, short_length, pn: pn.low32(), sci }.to_octets();
    let nonce = nonce.seal(pn);
    write_header(frame.head_mut(), header.len, &sectag, tag_len, index, clear_vlans);

    let clear = if config.encrypt { offset.octets().min(user_data) } else { user_data };
    let aad = ADDRESSES + tag_len + clear;
    if frame.is_contiguous() {
        let (aad, rest) = frame.head_mut()[header.vlan_len()..].split_at_mut(aad);
        let (payload, icv) = rest.split_at_mut(user_data - clear);
        let icv = icv.try_into().map_err(|_| Refusal::Malformed)?;
        burst.push(key, nonce, aad, payload, icv).map_err(|_| Refusal::Malformed)?;
    } else {
        let cut = scatter::cut(frame.segments_mut(), header.vlan_len(), aad, user_data - clear);
        let mut cut = cut.ok_or(Refusal::Malformed)?;
        // `append` grows the frame in one piece, so the ICV is one.
        let icv = cut.icv.pop().and_then(|icv| icv.try_into().ok()).ok_or(Refusal::Malformed)?;
        burst.push_scattered(key, nonce, cut.aad, cut.payload, icv).map_err(|_| Refusal::Malformed)?;
    }
    Ok(user_data)
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
