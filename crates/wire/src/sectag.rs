//! The SecTAG (802.1AE clause 9).

use crate::{An, EtherType, ICV_LEN, Sci};
use core::fmt;

mod field {
    use core::ops::Range;

    pub(super) const ETHERTYPE: Range<usize> = 0..2;
    pub(super) const TCI_AN: usize = 2;
    pub(super) const SHORT_LENGTH: usize = 3;
    pub(super) const PN: Range<usize> = 4..8;
    pub(super) const SCI: Range<usize> = 8..16;
}

/// Octets of the ethertype, TCI, AN, SL and PN.
const FIXED_LEN: usize = 8;
/// The same and the SCI.
const LEN_WITH_SCI: usize = 16;
/// User data of this many octets and more is announced as SL = 0 (802.1AE clause 9.7).
pub const SHORT_LIMIT: usize = 48;

/// TAG Control Information: the flags in the high six bits of the third octet (802.1AE clause 9.5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tci(u8);

impl Tci {
    const V: u8 = 0x80;
    const ES: u8 = 0x40;
    const SC: u8 = 0x20;
    const SCB: u8 = 0x10;
    const E: u8 = 0x08;
    const C: u8 = 0x04;

    /// No flag set: integrity only, no SCI.
    pub const NONE: Tci = Tci(0);

    /// With or without the SCI in the tag (SC).
    pub const fn with_sci(self, on: bool) -> Self {
        self.with(Tci::SC, on)
    }

    /// End station: the SCI follows from the source address (ES).
    pub const fn with_end_station(self, on: bool) -> Self {
        self.with(Tci::ES, on)
    }

    /// Single copy broadcast of an EPON (SCB).
    pub const fn with_single_copy_broadcast(self, on: bool) -> Self {
        self.with(Tci::SCB, on)
    }

    /// Encrypted, hence changed user data (E and C together: the GCM-AES suites set both or none).
    pub const fn with_encryption(self, on: bool) -> Self {
        self.with(Tci::E | Tci::C, on)
    }

    const fn with(self, bits: u8, on: bool) -> Self {
        Tci(if on { self.0 | bits } else { self.0 & !bits })
    }

    /// ES.
    pub const fn end_station(self) -> bool {
        self.0 & Tci::ES != 0
    }

    /// SC.
    pub const fn has_sci(self) -> bool {
        self.0 & Tci::SC != 0
    }

    /// SCB.
    pub const fn single_copy_broadcast(self) -> bool {
        self.0 & Tci::SCB != 0
    }

    /// E.
    pub const fn encrypted(self) -> bool {
        self.0 & Tci::E != 0
    }

    /// C: the user data is not what the sender was given.
    pub const fn changed(self) -> bool {
        self.0 & Tci::C != 0
    }

    /// Octets of the whole SecTAG that these flags announce: 8 or 16.
    pub const fn sectag_len(self) -> usize {
        if self.has_sci() { LEN_WITH_SCI } else { FIXED_LEN }
    }

    /// The rules of clause 9.12 that the flags can break on their own.
    const fn check(self) -> Result<(), Malformed> {
        if self.0 & Tci::V != 0 {
            Err(Malformed::Version)
        } else if self.encrypted() != self.changed() {
            Err(Malformed::EncryptionBits)
        } else if self.has_sci() && self.0 & (Tci::ES | Tci::SCB) != 0 {
            Err(Malformed::SciConflict)
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for Tci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u8, &str); 6] = [
            (Tci::V, "V"),
            (Tci::ES, "ES"),
            (Tci::SC, "SC"),
            (Tci::SCB, "SCB"),
            (Tci::E, "E"),
            (Tci::C, "C"),
        ];
        f.write_str("Tci(")?;
        let mut first = true;
        for (_, name) in NAMES.iter().filter(|(bit, _)| self.0 & bit != 0) {
            if !core::mem::take(&mut first) {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        f.write_str(")")
    }
}

/// Why a SecTAG is refused (802.1AE clause 9.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The octets end within the tag.
    Truncated,
    /// Not the MACsec ethertype.
    NotMacsec(u16),
    /// V is set: a version that does not exist.
    Version,
    /// E and C differ, which no GCM-AES suite produces.
    EncryptionBits,
    /// The SCI is present and ES or SCB says that it is not.
    SciConflict,
    /// SL is 48 or more, or a reserved bit beside it is set.
    ShortLength(u8),
    /// PN 0, which a 32-bit packet number never takes.
    PacketNumberZero,
    /// Fewer octets after the tag than SL (or 48, when SL is 0) and the ICV need.
    FrameTooShort {
        /// Octets after the SecTAG, ICV included.
        found: usize,
        /// Octets that should be there.
        needed: usize,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Truncated => f.write_str("the frame ends within the SecTAG"),
            Malformed::NotMacsec(t) => write!(f, "ethertype {t:#06x} is not MACsec"),
            Malformed::Version => f.write_str("the version bit is set"),
            Malformed::EncryptionBits => f.write_str("the E and C bits differ"),
            Malformed::SciConflict => f.write_str("SC is set together with ES or SCB"),
            Malformed::ShortLength(sl) => write!(f, "short length {sl} is not below 48"),
            Malformed::PacketNumberZero => f.write_str("packet number 0"),
            Malformed::FrameTooShort { found, needed } => {
                write!(f, "{found} octets after the SecTAG where {needed} are needed")
            }
        }
    }
}

impl core::error::Error for Malformed {}

/// The SL field: octets of user data when there are fewer than 48, else 0 (802.1AE clause 9.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortLength(u8);

impl ShortLength {
    /// SL for `user_data` octets between SecTAG and ICV.
    pub const fn for_user_data(user_data: usize) -> Self {
        ShortLength(if user_data < SHORT_LIMIT { user_data as u8 } else { 0 })
    }

    /// Reads the field.
    ///
    /// # Errors
    /// [`Malformed::ShortLength`].
    #[inline(always)]
    pub const fn from_octet(octet: u8) -> Result<Self, Malformed> {
        if octet as usize >= SHORT_LIMIT {
            Err(Malformed::ShortLength(octet))
        } else {
            Ok(ShortLength(octet))
        }
    }

    /// The field's value, 0 to 47.
    pub const fn as_u8(self) -> u8 {
        self.0
    }

    /// Octets of user data in a frame with `after_tag` octets after its SecTAG, ICV and padding included.
    ///
    /// With SL set the ICV follows right after SL octets, whatever padding comes behind it.
    ///
    /// # Errors
    /// [`Malformed::FrameTooShort`].
    #[inline(always)]
    pub const fn user_data_len(self, after_tag: usize) -> Result<usize, Malformed> {
        let (least, exact) = if self.0 == 0 { (SHORT_LIMIT, false) } else { (self.0 as usize, true) };
        if after_tag < least + ICV_LEN {
            return Err(Malformed::FrameTooShort { found: after_tag, needed: least + ICV_LEN });
        }
        Ok(if exact { least } else { after_tag - ICV_LEN })
    }
}

/// View of a SecTAG, from its ethertype on.
#[derive(Clone, Copy, Debug)]
pub struct SecTag<T>(T);

impl<T: AsRef<[u8]>> SecTag<T> {
    /// Wraps octets that are known to hold a tag. On shorter ones fields read as zero.
    pub const fn new_unchecked(octets: T) -> Self {
        SecTag(octets)
    }

    /// Checks everything about the tag that does not need the frame's length or the cipher suite.
    ///
    /// # Errors
    /// The first rule of clause 9.12 that is broken.
    #[inline(always)]
    pub fn new_checked(octets: T) -> Result<Self, Malformed> {
        let tag = SecTag(octets);
        tag.check()?;
        Ok(tag)
    }

    #[inline(always)]
    fn check(&self) -> Result<(), Malformed> {
        let octets = self.0.as_ref();
        if octets.len() < FIXED_LEN {
            return Err(Malformed::Truncated);
        }
        let ethertype = u16::from_be_bytes(self.octets(field::ETHERTYPE));
        if ethertype != EtherType::MACSEC.0 {
            return Err(Malformed::NotMacsec(ethertype));
        }
        self.tci().check()?;
        if octets.len() < self.len() {
            return Err(Malformed::Truncated);
        }
        ShortLength::from_octet(self.octet(field::SHORT_LENGTH)).map(|_| ())
    }

    #[inline(always)]
    fn octets<const N: usize>(&self, at: core::ops::Range<usize>) -> [u8; N] {
        self.0.as_ref().get(at).and_then(|s| s.try_into().ok()).unwrap_or([0; N])
    }

    #[inline(always)]
    fn octet(&self, at: usize) -> u8 {
        self.0.as_ref().get(at).copied().unwrap_or(0)
    }

    /// Flags.
    #[inline(always)]
    pub fn tci(&self) -> Tci {
        Tci(self.octet(field::TCI_AN) & !3)
    }

    /// Association number.
    #[inline(always)]
    pub fn an(&self) -> An {
        An::from_tci_bits(self.octet(field::TCI_AN))
    }

    /// Short length.
    #[inline(always)]
    pub fn short_length(&self) -> ShortLength {
        ShortLength(self.octet(field::SHORT_LENGTH))
    }

    /// The packet number, or its low 32 bits under an XPN suite.
    #[inline(always)]
    pub fn pn(&self) -> u32 {
        u32::from_be_bytes(self.octets(field::PN))
    }

    /// The SCI, when the tag carries it.
    #[inline(always)]
    pub fn sci(&self) -> Option<Sci> {
        self.tci().has_sci().then(|| Sci::from_bytes(self.octets(field::SCI)))
    }

    /// Octets of the tag, 8 or 16.
    #[inline(always)]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.tci().sectag_len()
    }
}

/// A SecTAG's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecTagRepr {
    /// Flags. SC is taken from `sci`.
    pub tci: Tci,
    /// Association number.
    pub an: An,
    /// Short length.
    pub short_length: ShortLength,
    /// The packet number, or its low 32 bits under an XPN suite.
    pub pn: u32,
    /// The SCI, when it is sent.
    pub sci: Option<Sci>,
}

impl SecTagRepr {
    /// Reads a checked view.
    pub fn parse<T: AsRef<[u8]>>(tag: &SecTag<T>) -> Self {
        SecTagRepr {
            tci: tag.tci(),
            an: tag.an(),
            short_length: tag.short_length(),
            pn: tag.pn(),
            sci: tag.sci(),
        }
    }

    /// Octets that [`emit`](Self::emit) writes: 8 or 16.
    pub const fn buffer_len(&self) -> usize {
        if self.sci.is_some() { LEN_WITH_SCI } else { FIXED_LEN }
    }

    /// The tag's octets, ethertype first; only the first [`buffer_len`](Self::buffer_len) belong to it.
    #[inline(always)]
    pub fn to_octets(&self) -> [u8; LEN_WITH_SCI] {
        let mut octets = [0; LEN_WITH_SCI];
        octets[field::ETHERTYPE].copy_from_slice(&EtherType::MACSEC.0.to_be_bytes());
        octets[field::TCI_AN] = self.tci.with_sci(self.sci.is_some()).0 | self.an.as_u8();
        octets[field::SHORT_LENGTH] = self.short_length.0;
        octets[field::PN].copy_from_slice(&self.pn.to_be_bytes());
        if let Some(sci) = self.sci {
            octets[field::SCI].copy_from_slice(&sci.to_bytes());
        }
        octets
    }

    /// Writes the tag to the front of `buffer`. Says `false`, writing nothing, when it does not fit.
    #[inline(always)]
    #[must_use]
    pub fn emit(&self, buffer: &mut [u8]) -> bool {
        let len = self.buffer_len();
        match buffer.get_mut(..len) {
            Some(room) => {
                room.copy_from_slice(&self.to_octets()[..len]);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
#[path = "sectag_tests.rs"]
mod tests;
