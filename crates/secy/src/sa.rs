//! Secure associations.

use crate::counters::{RxSaCounters, TxSaCounters};
use crate::pn::{NonceBase, PnGate, PnSource, last_pn, recover_xpn};
use keys::{KeyId, Sak, Salt};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wire::{CipherSuite, ConfidentialityOffset, Sci, Ssci};

/// What an XPN suite needs beside the SAK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xpn {
    /// Stands for the SCI in the nonce.
    pub ssci: Ssci,
    /// The SAK's salt.
    pub salt: Salt,
}

/// What makes an SA.
#[derive(Clone, Copy, Debug)]
pub struct SaParams<'a> {
    /// The suite.
    pub suite: CipherSuite,
    /// The key.
    pub sak: &'a Sak,
    /// The channel.
    pub sci: Sci,
    /// For XPN suites, and only for these.
    pub xpn: Option<Xpn>,
    /// Octets that stay in the clear in an encrypted frame: what goes with the SAK, not with the station.
    pub offset: ConfidentialityOffset,
    /// Transmit: the first PN to use. Receive: the lowest acceptable PN. At least 1.
    pub first_pn: u64,
}

/// Why an SA cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaError {
    /// The SAK's length is not the suite's.
    #[error("{suite} needs a SAK of {} octets, not {octets}", suite.sak_len())]
    SakLength {
        /// The suite.
        suite: CipherSuite,
        /// Octets of the SAK.
        octets: usize,
    },
    /// An XPN suite without SSCI and salt, or another suite with them.
    #[error("{0} and SSCI with salt: XPN suites need them, the others have none")]
    Xpn(CipherSuite),
    /// A PN outside the suite's range.
    #[error("packet number {0} is outside the suite's range")]
    PacketNumber(u64),
}

/// Names a SAK with that part of its nonces that no packet number reaches. SAs of one name share their nonces.
pub fn key_id(sak: &Sak, sci: Sci, xpn: Option<Xpn>) -> KeyId {
    match xpn {
        None => sak.id(&sci.to_bytes()),
        Some(Xpn { ssci, salt }) => {
            // The two meet in the nonce by xor, so pairs with the same xor are the same.
            let [a, b, c, d, ..] = salt.0;
            sak.id(&(ssci.0 ^ u32::from_be_bytes([a, b, c, d])).to_be_bytes())
        }
    }
}

impl SaParams<'_> {
    /// Names the SAK with its part of nonces: [`key_id`].
    pub fn id(&self) -> KeyId {
        key_id(self.sak, self.sci, self.xpn)
    }

    fn build(&self) -> Result<(Arc<gcm::Key>, NonceBase), SaError> {
        let nonce = match self.xpn {
            Some(Xpn { ssci, salt }) if self.suite.is_xpn() => NonceBase::from_ssci(ssci, salt),
            None if !self.suite.is_xpn() => NonceBase::from_sci(self.sci),
            _ => return Err(SaError::Xpn(self.suite)),
        };
        if !(1..=last_pn(self.suite.is_xpn())).contains(&self.first_pn) {
            return Err(SaError::PacketNumber(self.first_pn));
        }
        let octets = self.sak.octets().len();
        let wrong_length = SaError::SakLength { suite: self.suite, octets };
        if !self.sak.fits(self.suite) {
            return Err(wrong_length);
        }
        Ok((Arc::new(gcm::Key::new(self.sak.octets()).map_err(|_| wrong_length)?), nonce))
    }
}

/// A transmit SA, in one cache line. Not `Clone`: two of them would use the same nonces.
#[repr(align(64))]
pub struct TxSa {
    /// Shared with bursts that are on their way through other cores.
    pub(crate) key: Arc<gcm::Key>,
    pub(crate) nonce: NonceBase,
    pub(crate) offset: ConfidentialityOffset,
    pub(crate) pn: PnSource,
    pub(crate) counters: Arc<TxSaCounters>,
    pub(crate) soft_limit_told: bool,
    pub(crate) exhaustion_told: bool,
}

impl TxSa {
    /// Makes an SA that uses packet numbers from `params.first_pn` and below `limit`, until its
    /// [gate](Self::gate) is raised.
    ///
    /// # Errors
    /// [`SaError`].
    pub fn new(params: &SaParams<'_>, limit: u64) -> Result<Self, SaError> {
        let (key, nonce) = params.build()?;
        Ok(TxSa {
            key,
            nonce,
            offset: params.offset,
            pn: PnSource::new(params.suite.is_xpn(), params.first_pn, limit),
            counters: Arc::default(),
            soft_limit_told: false,
            exhaustion_told: false,
        })
    }

    /// How far the numbers are used and may be used.
    pub fn gate(&self) -> Arc<PnGate> {
        self.pn.gate().clone()
    }

    /// The SA's counters.
    pub fn counters(&self) -> Arc<TxSaCounters> {
        self.counters.clone()
    }
}

impl fmt::Debug for TxSa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxSa").field("pn", &self.pn).finish_non_exhaustive()
    }
}

/// A receive SA, in one cache line.
#[repr(align(64))]
pub struct RxSa {
    /// Shared with bursts that are on their way through other cores.
    pub(crate) key: Arc<gcm::Key>,
    pub(crate) nonce: NonceBase,
    pub(crate) offset: ConfidentialityOffset,
    pub(crate) counters: Arc<RxSaCounters>,
    xpn: bool,
    /// One more than the greatest PN that was authentic, or what it was raised to.
    next_pn: u64,
    /// The same for others to see.
    progress: Arc<RxProgress>,
    /// Never accept less, whatever the window.
    floor: u64,
}

/// How far a receive SA has got, while frames are judged.
#[derive(Clone, Copy)]
pub(crate) struct Replay {
    next_pn: u64,
    floor: u64,
    window: u64,
}

impl Replay {
    /// The lowest acceptable PN.
    #[inline(always)]
    pub(crate) fn lowest_pn(&self) -> u64 {
        self.next_pn.saturating_sub(self.window).max(self.floor)
    }

    /// An authentic frame had this PN.
    #[inline(always)]
    pub(crate) fn advance(&mut self, pn: u64) {
        self.next_pn = self.next_pn.max(pn.saturating_add(1));
    }
}

/// How far a receive SA has got, for its controller to remember over a restart, and to correct where too many frames were
/// missed.
#[derive(Debug)]
pub struct RxProgress {
    next_pn: AtomicU64,
    recover_from: AtomicU64,
}

impl RxProgress {
    fn new(next_pn: u64) -> Arc<Self> {
        Arc::new(RxProgress { next_pn: AtomicU64::new(next_pn), recover_from: AtomicU64::new(0) })
    }

    /// One more than the greatest packet number that was authentic, or what it was raised to.
    pub fn next_pn(&self) -> u64 {
        self.next_pn.load(Ordering::Relaxed)
    }

    /// Has XPNs completed (802.1AE clause 10.6.2) as if the lowest acceptable one were at least `pn`. A lower number than
    /// before has no effect.
    ///
    /// For a receiver that missed 2^31 frames and learnt by other means of one that is authentic: its number. It has no effect
    /// any more once frames are received whose window is beyond it. Where it is wrong, frames are not authentic that were
    /// without it.
    pub fn recover_from(&self, pn: u64) {
        self.recover_from.fetch_max(pn, Ordering::Relaxed);
    }
}

const _: () =
    assert!(size_of::<TxSa>() == 64 && size_of::<RxSa>() == 64 || cfg!(not(target_pointer_width = "64")));

/// How far behind the newest PN an XPN frame is recovered when replayProtect, hence its window, is off.
const UNPROTECTED_XPN_REACH: u64 = 1 << 30;

impl RxSa {
    /// Makes an SA whose lowest acceptable PN is `params.first_pn`.
    ///
    /// # Errors
    /// [`SaError`].
    pub fn new(params: &SaParams<'_>) -> Result<Self, SaError> {
        let (key, nonce) = params.build()?;
        Ok(RxSa {
            key,
            nonce,
            offset: params.offset,
            counters: Arc::default(),
            xpn: params.suite.is_xpn(),
            next_pn: params.first_pn,
            progress: RxProgress::new(params.first_pn),
            floor: params.first_pn,
        })
    }

    /// Goes on where an earlier SA with the same key had got to: packet numbers from `next_pn` on are new, those
    /// the replay window before it may still come. A lower number than the first has no effect.
    ///
    /// Without it a restart would accept recorded frames again, and lose the high half of an XPN.
    pub fn resume(&mut self, next_pn: u64) {
        self.next_pn = self.next_pn.max(next_pn);
        self.publish();
    }

    /// How far it has got.
    pub fn progress(&self) -> Arc<RxProgress> {
        self.progress.clone()
    }

    #[inline(always)]
    fn publish(&self) {
        self.progress.next_pn.store(self.next_pn, Ordering::Relaxed);
    }

    /// The SA's counters.
    pub fn counters(&self) -> Arc<RxSaCounters> {
        self.counters.clone()
    }

    /// Octets of user data that stay in the clear, at most, in a frame that is encrypted or not.
    #[inline(always)]
    pub(crate) fn most_clear(&self, encrypted: bool) -> usize {
        if encrypted { self.offset.octets() } else { usize::MAX }
    }

    /// The lowest acceptable PN under a replay window of `window` packet numbers (802.1AE clause 10.6.2).
    #[inline(always)]
    pub(crate) fn lowest_pn(&self, window: u64) -> u64 {
        self.replay(window).lowest_pn()
    }

    /// What the high half of a frame's PN is recovered from; none where PNs have 32 bits.
    #[inline(always)]
    pub(crate) fn recover_from(&self, replay_protect: bool, window: u64) -> Option<u64> {
        let window = if replay_protect { window } else { window.max(UNPROTECTED_XPN_REACH) };
        self.xpn.then(|| self.lowest_pn(window).max(self.progress.recover_from.load(Ordering::Relaxed)))
    }

    /// The whole PN of a frame that carries `low32`.
    #[inline(always)]
    pub(crate) fn recover(&self, low32: u32, replay_protect: bool, window: u64) -> u64 {
        self.recover_from(replay_protect, window).map_or(low32.into(), |lowest| recover_xpn(lowest, low32))
    }

    /// Replay protection over some frames, in registers.
    #[inline(always)]
    pub(crate) fn replay(&self, window: u64) -> Replay {
        Replay { next_pn: self.next_pn, floor: self.floor, window }
    }

    /// Takes note of what was authentic.
    #[inline(always)]
    pub(crate) fn advance(&mut self, replay: Replay) {
        self.next_pn = self.next_pn.max(replay.next_pn);
        self.publish();
    }

    /// Raises the lowest acceptable PN, as key agreement does under delay protection (802.1AE clause 10.7.15).
    pub(crate) fn raise_floor(&mut self, pn: u64) {
        self.floor = self.floor.max(pn);
        self.next_pn = self.next_pn.max(pn);
        self.publish();
    }
}

impl fmt::Debug for RxSa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RxSa").field("next_pn", &self.next_pn).finish_non_exhaustive()
    }
}
