//! Packet numbers: the only source of nonces.
//!
//! On transmit a number exists once. [`Numbers::allocate`] hands it out as a [`FreshPn`], which cannot be
//! copied and is used up when [`NonceBase::seal`] makes the nonce. The source never goes back, never passes the
//! end of the number space, and never passes its [`PnGate`]: numbers beyond the gate are not yet known to
//! survive a restart.

use keys::Salt;
use std::sync::atomic::{AtomicU64, Ordering};
use wire::{Sci, Ssci};

/// From here on a 32-bit transmit SA asks for its successor (802.1X clause 9.8).
pub const SOFT_LIMIT_32: u64 = 0xc000_0000;
/// From here on an XPN transmit SA asks for its successor.
pub const SOFT_LIMIT_XPN: u64 = 0xc000_0000_0000_0000;

/// The greatest packet number that is used: 2^32-1, or 2^64-2 under an XPN suite.
///
/// One below what the XPN suites allow, so that "one after the last" is a number too.
pub const fn last_pn(xpn: bool) -> u64 {
    if xpn { u64::MAX - 1 } else { u32::MAX as u64 }
}

/// The first number that has more than 32 bits.
const SHORT_END: u64 = 1 << 32;

/// Shared between a transmit SA and its controller: how far the numbers are used, and how far they may be.
///
/// The controller raises the limit only after it made sure that no number below it is used after a restart.
/// Numbers are 1 to [`last_pn`].
#[derive(Debug)]
pub struct PnGate {
    next: AtomicU64,
    lowest: AtomicU64,
    limit: AtomicU64,
}

impl PnGate {
    /// The number that the next frame will get, as of the last burst: no greater one was used, though some below may be still
    /// on their way.
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// The lowest number that is still to be sent: frames with those below have been handed on, or never will be. Lower than
    /// [`next`](Self::next) while other cores have some.
    pub fn lowest(&self) -> u64 {
        self.lowest.load(Ordering::Acquire)
    }

    /// The first number that may not be used yet.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Acquire)
    }

    /// Allows all numbers below `limit`. A lower limit than before has no effect.
    pub fn raise(&self, limit: u64) {
        self.limit.fetch_max(limit, Ordering::AcqRel);
    }
}

/// A packet number that no frame had before. Neither `Clone` nor `Copy`: making the nonce uses it up.
#[derive(Debug)]
#[must_use]
pub(crate) struct FreshPn(u64);

impl FreshPn {
    /// What the SecTAG carries.
    pub(crate) fn low32(&self) -> u32 {
        self.0 as u32
    }
}

/// Hands out each packet number of one transmit SA once.
#[derive(Debug)]
pub(crate) struct PnSource {
    next: u64,
    gate: std::sync::Arc<PnGate>,
    xpn: bool,
}

/// Numbers that were set aside for one burst. Neither `Clone` nor `Copy`; those that are never
/// [given back](PnSource::end_burst) are lost rather than used again.
#[derive(Debug)]
#[must_use]
pub(crate) struct Numbers {
    next: u64,
    end: u64,
}

impl Numbers {
    /// Whether each has 32 bits at most.
    #[inline(always)]
    pub(crate) fn are_short(&self) -> bool {
        self.end <= SHORT_END
    }

    /// The next number; `None` when none is left or allowed.
    #[inline(always)]
    pub(crate) fn allocate(&mut self) -> Option<FreshPn> {
        let pn = self.next;
        (pn < self.end).then(|| {
            self.next += 1;
            FreshPn(pn)
        })
    }

    /// The same of [short](Self::are_short) ones: what else there is it does not hand out. The compiler then knows that there
    /// is no upper half.
    #[inline(always)]
    pub(crate) fn allocate_short(&mut self) -> Option<FreshPn> {
        let short = u32::try_from(self.next).ok()?;
        self.allocate().map(|_| FreshPn(short.into()))
    }
}

impl PnSource {
    /// Starts at `first`, with numbers below `limit` allowed.
    pub(crate) fn new(xpn: bool, first: u64, limit: u64) -> Self {
        let [next, lowest, limit] = [first, first, limit].map(AtomicU64::new);
        let gate = std::sync::Arc::new(PnGate { next, lowest, limit });
        PnSource { next: first, gate, xpn }
    }

    pub(crate) fn gate(&self) -> &std::sync::Arc<PnGate> {
        &self.gate
    }

    /// Looks at the gate, and sets numbers for so many frames aside, as far as there are any. Once a burst.
    #[inline(always)]
    pub(crate) fn begin_burst(&mut self, frames: usize) -> Numbers {
        let end = self.gate.limit().min(last_pn(self.xpn) + 1);
        let next = self.next;
        self.next = next.saturating_add(frames as u64).min(end).max(next);
        Numbers { next, end: self.next }
    }

    /// Hands numbers for so many frames out for good, or none.
    #[inline(always)]
    pub(crate) fn give_away(&mut self, frames: usize) -> Option<Numbers> {
        let numbers = self.begin_burst(frames);
        if numbers.end - numbers.next < frames as u64 {
            self.end_burst(numbers);
            return None;
        }
        self.gate.next.store(self.next, Ordering::Release);
        Some(numbers)
    }

    /// Takes back what the burst did not need, and tells the gate what is used up. Once a burst.
    #[inline(always)]
    #[allow(clippy::needless_pass_by_value)]
    pub(crate) fn end_burst(&mut self, rest: Numbers) {
        // Always so for the burst that began last.
        if rest.end == self.next {
            self.next = rest.next;
        }
        self.gate.next.store(self.next, Ordering::Release);
    }

    /// The number after all that were handed out.
    #[inline(always)]
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Frames with numbers below this one are about to be sent, before anything else is.
    #[inline(always)]
    pub(crate) fn leave(&self, below: u64) {
        self.gate.lowest.store(below, Ordering::Release);
    }

    /// Whether a successor should be asked for.
    #[inline(always)]
    pub(crate) fn past_soft_limit(&self) -> bool {
        self.next >= if self.xpn { SOFT_LIMIT_XPN } else { SOFT_LIMIT_32 }
    }

    /// Whether no number is left for good.
    #[inline(always)]
    pub(crate) fn is_exhausted(&self) -> bool {
        self.next > last_pn(self.xpn)
    }
}

/// What of a nonce does not change within an SA.
///
/// `SCI || PN` and `(SSCI || PN64) xor Salt` (802.1AE clauses 14.5 and 14.7) are both this base with the
/// 64-bit PN xored into its last eight octets, 32-bit numbers having zeroes above.
///
/// Kept as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NonceBase {
    /// The first eight octets, the first in the lowest place.
    start: u64,
    /// The others.
    end: u32,
}

impl NonceBase {
    pub(crate) fn from_sci(sci: Sci) -> Self {
        NonceBase { start: u64::from_le_bytes(sci.to_bytes()), end: 0 }
    }

    pub(crate) fn from_ssci(ssci: Ssci, salt: Salt) -> Self {
        let [s0, s1, s2, s3, s4, s5, s6, s7, end @ ..] = salt.0;
        let start = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        NonceBase { start: start ^ u64::from(ssci.0.swap_bytes()), end: u32::from_le_bytes(end) }
    }

    /// The nonce for sealing, which uses the number up.
    #[inline(always)]
    #[allow(clippy::needless_pass_by_value)]
    pub(crate) fn seal(&self, pn: FreshPn) -> [u8; gcm::NONCE_LEN] {
        self.with(pn.0)
    }

    /// The nonce for opening: of a number that a sender chose.
    #[inline(always)]
    pub(crate) fn open(&self, pn: u64) -> [u8; gcm::NONCE_LEN] {
        self.with(pn)
    }

    #[inline(always)]
    fn with(&self, pn: u64) -> [u8; gcm::NONCE_LEN] {
        let pn = pn.swap_bytes();
        let mut nonce = [0; gcm::NONCE_LEN];
        nonce[..8].copy_from_slice(&(self.start ^ pn << 32).to_le_bytes());
        nonce[8..].copy_from_slice(&(self.end ^ (pn >> 32) as u32).to_le_bytes());
        nonce
    }
}

/// Completes the low 32 bits of a received XPN from the lowest acceptable PN (802.1AE clause 10.6.2).
///
/// The high half is taken from `lowest`, or one more when the low halves lie on the two sides of a wrap.
#[inline(always)]
pub(crate) fn recover_xpn(lowest: u64, low32: u32) -> u64 {
    const MSB: u32 = 0x8000_0000;
    let wrapped = lowest as u32 & MSB != 0 && low32 & MSB == 0;
    let high = (lowest >> 32).wrapping_add(wrapped.into());
    high << 32 | u64::from(low32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nonces_as_in_annex_c() {
        let sci: Sci = "12153524c0895e81".parse().unwrap();
        let nonce = NonceBase::from_sci(sci).open(0xb2c2_8465);
        assert_eq!(hex::encode(nonce), "12153524c0895e81b2c28465");
        let salt = Salt::from_hex("e630e81a48de86a21c66fa6d").unwrap();
        let nonce = NonceBase::from_ssci(Ssci(0x7a30_c118), salt).open(0xb0df_459c_b2c2_8465);
        assert_eq!(hex::encode(nonce), "9c002902f801c33eaea47e08");
    }

    fn take(numbers: &mut Numbers) -> Option<u32> {
        numbers.allocate().map(|pn| pn.low32())
    }

    #[test]
    fn the_source_stops_at_the_gate_and_goes_on_when_it_is_raised() {
        let mut source = PnSource::new(false, 1, 3);
        let mut numbers = source.begin_burst(3);
        let three = [take(&mut numbers), take(&mut numbers), take(&mut numbers)];
        assert_eq!(three, [Some(1), Some(2), None]);
        assert!(!source.is_exhausted());
        let gate = source.gate().clone();
        gate.raise(5);
        gate.raise(4);
        assert_eq!(take(&mut numbers), None, "looked at once a burst");
        assert_eq!(gate.next(), 1);
        source.end_burst(numbers);
        assert_eq!(gate.next(), 3);
        let mut numbers = source.begin_burst(64);
        let three = [take(&mut numbers), take(&mut numbers), take(&mut numbers)];
        assert_eq!(three, [Some(3), Some(4), None]);
        source.end_burst(numbers);
        assert_eq!(gate.next(), 5);
    }

    #[test]
    fn what_a_burst_does_not_need_the_next_one_gets_and_what_is_kept_back_nobody() {
        let mut source = PnSource::new(false, 1, u64::MAX);
        let mut numbers = source.begin_burst(64);
        assert_eq!(take(&mut numbers), Some(1));
        source.end_burst(numbers);
        let mut kept = source.begin_burst(10);
        assert_eq!(take(&mut kept), Some(2));
        let mut numbers = source.begin_burst(1);
        assert_eq!([take(&mut numbers), take(&mut numbers)], [Some(12), None]);
        source.end_burst(kept);
        assert_eq!(take(&mut source.begin_burst(1)), Some(13), "too late to be given back");
    }

    #[test]
    fn numbers_are_given_away_as_a_whole_and_for_good() {
        let mut source = PnSource::new(false, 1, 10);
        let mut away = source.give_away(6).unwrap();
        assert_eq!((source.gate().next(), take(&mut away)), (7, Some(1)));
        assert!(source.give_away(4).is_none(), "7 to 9 are left");
        assert_eq!(source.gate().next(), 7);
        let mut rest = source.give_away(3).unwrap();
        let four = [take(&mut rest), take(&mut rest), take(&mut rest), take(&mut rest)];
        assert_eq!(four, [Some(7), Some(8), Some(9), None]);
        drop(away);
        assert_eq!(source.gate().next(), 10);
        assert!(source.give_away(1).is_none());
    }

    #[test]
    fn the_last_number_is_used_once_and_none_after() {
        for (xpn, last) in [(false, u64::from(u32::MAX)), (true, u64::MAX - 1)] {
            let mut source = PnSource::new(xpn, last - 1, u64::MAX);
            assert!(source.past_soft_limit());
            let mut numbers = source.begin_burst(1);
            assert_eq!(take(&mut numbers), Some((last - 1) as u32));
            source.end_burst(numbers);
            assert!(!source.is_exhausted());
            let mut numbers = source.begin_burst(64);
            assert_eq!([take(&mut numbers), take(&mut numbers)], [Some(last as u32), None]);
            source.end_burst(numbers);
            assert!(source.is_exhausted());
            assert_eq!(take(&mut source.begin_burst(64)), None);
        }
    }

    #[test]
    fn soft_limits() {
        for (xpn, soft) in [(false, SOFT_LIMIT_32), (true, SOFT_LIMIT_XPN)] {
            assert!(!PnSource::new(xpn, soft - 1, u64::MAX).past_soft_limit());
            assert!(PnSource::new(xpn, soft, u64::MAX).past_soft_limit());
        }
    }

    proptest! {
        #[test]
        fn recovery_finds_every_number_less_than_2_to_31_ahead(lowest in 0u64..u64::MAX - (1 << 31), ahead in 0u64..1 << 31) {
            let pn = lowest + ahead;
            prop_assert_eq!(recover_xpn(lowest, pn as u32), pn);
        }

        #[test]
        fn distinct_numbers_give_distinct_nonces(ssci: u32, salt: [u8; 12], a: u64, b: u64) {
            let base = NonceBase::from_ssci(Ssci(ssci), Salt(salt));
            prop_assert_eq!(base.open(a) == base.open(b), a == b);
        }
    }
}
