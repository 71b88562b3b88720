//! MKPDUs, the frames of MACsec Key Agreement (802.1X clause 11.11).

mod announcement;
mod describe;
mod ids;
mod sets;
mod writer;

pub use announcement::{Announcement, SuiteOffer, SuiteOffers, Tlv};
pub use ids::{CknBuf, CknRef, InvalidCkn, InvalidWrappedKey, MemberId, WrappedKey};
pub use sets::{
    DistributedCak, DistributedSak, DistributedSakForm, KeyUse, ParameterSet, PeerList, SakUse, SetError,
    Sets, XpnRepr,
};
pub use writer::{Full, MkpduWriter};

use crate::octets::octets;
use crate::{
    Eapol, EapolError, EapolType, EtherType, Ethernet, ICV_LEN, L2Header, MAX_VLAN_TAGS, MacAddr, Sci,
};
use core::fmt;
use sets::{RawSet, set_type};

/// Octets of the header that every parameter set begins with.
const SET_HEADER_LEN: usize = 4;
/// Octets of the shortest MKPDU (802.1X clause 11.11.2).
const LEAST_BODY_LEN: usize = 32;
const ADDRESSES_LEN: usize = Ethernet::<&[u8]>::ADDRESSES_LEN;

/// Fields of a Basic Parameter Set's body.
mod field {
    pub(super) const SCI: usize = 0;
    pub(super) const MI: usize = 8;
    pub(super) const MN: usize = 20;
    pub(super) const AGILITY: usize = 24;
    pub(super) const CKN: usize = 28;
}

/// Why a frame is no MKPDU (802.1X clause 11.11.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MkpduError {
    /// The frame ends within its addresses, VLAN tags or ethertype.
    Truncated,
    /// Not the EAPOL ethertype.
    NotEapol(EtherType),
    /// EAPOL whose length is wrong.
    Eapol(EapolError),
    /// EAPOL, and not EAPOL-MKA.
    NotMka(EapolType),
    /// The EAPOL body has fewer than 32 octets.
    BodyTooShort(usize),
    /// The EAPOL body is no multiple of 4 octets.
    BodyNotAligned(usize),
    /// The Basic Parameter Set's body has fewer than 28 octets.
    BasicTooShort(usize),
    /// The CKN has 0 or more than 32 octets.
    Ckn(InvalidCkn),
    /// The Basic Parameter Set goes beyond the EAPOL body.
    BasicTooLong(usize),
    /// No 16 octets are left for the ICV behind the Basic Parameter Set.
    NoRoomForIcv,
    /// A parameter set goes into the ICV or beyond the EAPOL body.
    SetTooLong {
        /// The set's type.
        type_: u8,
        /// Octets of body that its header announces.
        announced: usize,
        /// Octets there are before the ICV.
        present: usize,
    },
    /// An ICV Indicator whose body, of this many octets, is not the last 16 octets of the MKPDU.
    IcvIndicator(usize),
}

impl fmt::Display for MkpduError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MkpduError::Truncated => f.write_str("the frame ends before its payload"),
            MkpduError::NotEapol(found) => write!(f, "ethertype {:04x}, not EAPOL", found.0),
            MkpduError::Eapol(e) => e.fmt(f),
            MkpduError::NotMka(found) => write!(f, "{found}, not EAPOL-MKA"),
            MkpduError::BodyTooShort(len) => {
                write!(f, "an MKPDU of {len} octets; it has at least {LEAST_BODY_LEN}")
            }
            MkpduError::BodyNotAligned(len) => write!(f, "an MKPDU of {len} octets, no multiple of 4"),
            MkpduError::BasicTooShort(len) => {
                write!(f, "a Basic Parameter Set of {len} octets; it has more than {}", field::CKN)
            }
            MkpduError::Ckn(e) => e.fmt(f),
            MkpduError::BasicTooLong(len) => {
                write!(f, "the Basic Parameter Set's {len} octets go beyond the MKPDU")
            }
            MkpduError::NoRoomForIcv => f.write_str("no room for the ICV"),
            MkpduError::SetTooLong { type_, announced, present } => {
                write!(
                    f,
                    "parameter set {type_} announces {announced} octets and has {present} before the ICV"
                )
            }
            MkpduError::IcvIndicator(len) => {
                write!(f, "an ICV Indicator with {len} octets that are not the MKPDU's last {ICV_LEN}")
            }
        }
    }
}

impl core::error::Error for MkpduError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            MkpduError::Eapol(e) => e.source(),
            MkpduError::Ckn(e) => e.source(),
            _ => None,
        }
    }
}

/// View of a frame that holds an MKPDU, whose parameter sets fill it exactly.
///
/// Nothing in it is authentic before the ICV was compared. Left to the caller: the destination, versions, the
/// algorithm agility, and sets that are [malformed](ParameterSet::Malformed) in themselves.
#[derive(Clone, Copy, Debug)]
pub struct Mkpdu<'a> {
    addresses: &'a [u8; ADDRESSES_LEN],
    /// From the ethertype up to the ICV.
    authenticated: &'a [u8],
    eapol_version: u8,
    basic: BasicRepr<'a>,
    /// From the Basic Parameter Set up to the ICV or its indicator.
    sets: &'a [u8],
    has_icv_indicator: bool,
    icv: &'a [u8; ICV_LEN],
}

impl<'a> Mkpdu<'a> {
    /// Checks a whole frame from the destination address on, without FCS. VLAN tags are stepped over.
    ///
    /// # Errors
    /// The first rule of 802.1X clause 11.11.2 that is broken, of those that need no key.
    pub fn new_checked(frame: &'a [u8]) -> Result<Self, MkpduError> {
        let header = L2Header::parse(frame, MAX_VLAN_TAGS).ok_or(MkpduError::Truncated)?;
        let (addresses, _) = frame.split_first_chunk().ok_or(MkpduError::Truncated)?;
        if header.ethertype != EtherType::EAPOL {
            return Err(MkpduError::NotEapol(header.ethertype));
        }
        let from_ethertype = frame.get(header.len..).ok_or(MkpduError::Truncated)?;
        let payload = from_ethertype.get(2..).ok_or(MkpduError::Truncated)?;
        let eapol = Eapol::new_checked(payload).map_err(MkpduError::Eapol)?;
        if eapol.packet_type() != EapolType::Mka {
            return Err(MkpduError::NotMka(eapol.packet_type()));
        }
        let body = eapol.body();
        if body.len() < LEAST_BODY_LEN {
            return Err(MkpduError::BodyTooShort(body.len()));
        }
        if !body.len().is_multiple_of(4) {
            return Err(MkpduError::BodyNotAligned(body.len()));
        }
        let (before_icv, icv) = body.split_last_chunk().ok_or(MkpduError::NoRoomForIcv)?;
        let (basic, sets) = BasicRepr::split(before_icv, body.len())?;
        let indicator_at = find_icv_indicator(sets)?;
        let authenticated = from_ethertype.get(..2 + Eapol::HEADER_LEN + before_icv.len());
        Ok(Mkpdu {
            addresses,
            authenticated: authenticated.ok_or(MkpduError::Truncated)?,
            eapol_version: eapol.version(),
            basic,
            sets: indicator_at.and_then(|at| sets.get(..at)).unwrap_or(sets),
            has_icv_indicator: indicator_at.is_some(),
            icv,
        })
    }

    /// Destination address. A receiver drops those to an individual one (802.1X clause 11.11.2).
    pub fn destination(&self) -> MacAddr {
        MacAddr(octets(self.addresses, 0))
    }

    /// Source address.
    pub fn source(&self) -> MacAddr {
        MacAddr(octets(self.addresses, 6))
    }

    /// Protocol version of EAPOL.
    pub fn eapol_version(&self) -> u8 {
        self.eapol_version
    }

    /// The Basic Parameter Set.
    pub fn basic(&self) -> BasicRepr<'a> {
        self.basic
    }

    /// The parameter sets after the Basic one, in the order of the frame. The ICV Indicator is the last, if
    /// there is one.
    pub fn sets(&self) -> Sets<'a> {
        Sets::new(self.sets, self.has_icv_indicator.then_some(self.icv))
    }

    /// The last 16 octets of the EAPOL body, with an ICV Indicator before them or not.
    pub fn icv(&self) -> &'a [u8; ICV_LEN] {
        self.icv
    }

    /// Whether there is an ICV Indicator.
    pub fn has_icv_indicator(&self) -> bool {
        self.has_icv_indicator
    }

    /// The octets that the ICV is computed over: the two addresses, then everything from the ethertype up to
    /// the ICV. VLAN tags between them are not part of it (802.1X clause 9.4.1).
    pub fn authenticated(&self) -> [&'a [u8]; 2] {
        [self.addresses, self.authenticated]
    }

    /// All fields, each on a line, the sets' below their names.
    pub fn describe(&self) -> impl fmt::Display + use<'a> {
        describe::Description(*self)
    }
}

/// Where an ICV Indicator begins, once all sets were found to fit.
fn find_icv_indicator(sets: &[u8]) -> Result<Option<usize>, MkpduError> {
    let mut rest = sets;
    while let [type_, _, high, low, after @ ..] = rest {
        let announced = set_body_len(*high, *low);
        if *type_ == set_type::ICV_INDICATOR {
            let last = announced == ICV_LEN && after.is_empty();
            let at = sets.len() - SET_HEADER_LEN;
            return if last { Ok(Some(at)) } else { Err(MkpduError::IcvIndicator(announced)) };
        }
        let too_long = MkpduError::SetTooLong { type_: *type_, announced, present: after.len() };
        (_, rest) = RawSet::split(rest).ok_or(too_long)?;
    }
    Ok(None)
}

/// The twelve bits of length in the third and fourth octet of a set's header.
const fn set_body_len(high: u8, low: u8) -> usize {
    u16::from_be_bytes([high & 0x0f, low]) as usize
}

/// Whether and how a participant can do MACsec (802.1X clause 11.11.1). Each can what those before it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Not at all.
    NotImplemented,
    /// Integrity only.
    Integrity,
    /// Integrity, and confidentiality of everything.
    Confidentiality,
    /// Integrity, and confidentiality from an offset of 0, 30 or 50 octets on.
    ConfidentialityOffsets,
}

impl Capability {
    /// From the two low bits.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Capability::NotImplemented,
            1 => Capability::Integrity,
            2 => Capability::Confidentiality,
            _ => Capability::ConfidentialityOffsets,
        }
    }

    /// 0 to 3.
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Capability::NotImplemented => "none",
            Capability::Integrity => "integrity",
            Capability::Confidentiality => "integrity, confidentiality",
            Capability::ConfidentialityOffsets => "integrity, confidentiality with offsets 0, 30, 50",
        })
    }
}

/// A Basic Parameter Set, the first in every MKPDU (802.1X clause 11.11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicRepr<'a> {
    /// MKA version: 1 to 3.
    pub version: u8,
    /// Key server priority; the lowest is elected.
    pub priority: u8,
    /// The sender takes itself for the key server.
    pub key_server: bool,
    /// The sender wants frames protected.
    pub macsec_desired: bool,
    /// What the sender can do.
    pub capability: Capability,
    /// The sender's transmit channel.
    pub sci: Sci,
    /// The sender.
    pub mi: MemberId,
    /// Message number, which increases with each MKPDU.
    pub mn: u32,
    /// Which algorithms the keys and the ICV are made with; [`AGILITY`](Self::AGILITY) is the only value known.
    pub agility: u32,
    /// Name of the CAK.
    pub ckn: CknRef<'a>,
}

impl<'a> BasicRepr<'a> {
    /// The algorithm agility of 802.1X clause 11.11.1: KDF and ICV from AES-CMAC, AES Key Wrap.
    pub const AGILITY: u32 = 0x0080_c201;

    const KEY_SERVER: u8 = 0x80;
    const MACSEC_DESIRED: u8 = 0x40;

    /// Reads the set at the front of an EAPOL body of `whole` octets without its ICV, and says what follows.
    fn split(before_icv: &'a [u8], whole: usize) -> Result<(Self, &'a [u8]), MkpduError> {
        let [_, _, high, low] = octets(before_icv, 0);
        let announced = set_body_len(high, low);
        let ckn_len = announced.checked_sub(field::CKN).ok_or(MkpduError::BasicTooShort(announced))?;
        if SET_HEADER_LEN + announced > whole {
            return Err(MkpduError::BasicTooLong(announced));
        }
        if !(1..=CknRef::MAX_LEN).contains(&ckn_len) {
            return Err(MkpduError::Ckn(InvalidCkn(ckn_len)));
        }
        let (RawSet { type_: version, flags, body }, rest) =
            RawSet::split(before_icv).ok_or(MkpduError::NoRoomForIcv)?;
        let [priority, flags] = flags;
        let basic = BasicRepr {
            version,
            priority,
            key_server: flags & Self::KEY_SERVER != 0,
            macsec_desired: flags & Self::MACSEC_DESIRED != 0,
            capability: Capability::from_bits(flags >> 4),
            sci: Sci::from_bytes(octets(body, field::SCI)),
            mi: MemberId(octets(body, field::MI)),
            mn: u32::from_be_bytes(octets(body, field::MN)),
            agility: u32::from_be_bytes(octets(body, field::AGILITY)),
            ckn: CknRef::new(body.get(field::CKN..).unwrap_or_default()).map_err(MkpduError::Ckn)?,
        };
        Ok((basic, rest))
    }

    /// Octets of the whole set: header, body and its padding.
    pub const fn buffer_len(&self) -> usize {
        SET_HEADER_LEN + field::CKN + self.ckn.octets().len().next_multiple_of(4)
    }

    /// The two octets of the header that have to do with neither version nor length.
    const fn flags(&self) -> [u8; 2] {
        let key_server = if self.key_server { Self::KEY_SERVER } else { 0 };
        let desired = if self.macsec_desired { Self::MACSEC_DESIRED } else { 0 };
        [self.priority, key_server | desired | self.capability.bits() << 4]
    }
}

#[cfg(test)]
mod tests;
