//! Announcements: what a participant can do, in TLVs (802.1X clause 11.12).

use super::sets::SetError;
use super::{Capability, set_body_len};
use crate::CipherSuite;
use crate::octets::octets;

mod tlv_type {
    pub(super) const ACCESS_INFORMATION: u8 = 111;
    pub(super) const CIPHER_SUITES: u8 = 112;
    pub(super) const KMD: u8 = 113;
    pub(super) const NID: u8 = 114;
}

/// Octets of a TLV's type and length.
const HEADER_LEN: usize = 2;
/// Octets of a cipher suite in a TLV: two of capability, eight of identifier.
const OFFER_LEN: usize = 10;

/// View of an Announcement's TLVs, which fill it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement<'a>(&'a [u8]);

impl<'a> Announcement<'a> {
    /// Checks that TLVs fill the octets. Their contents are not looked at.
    ///
    /// # Errors
    /// [`SetError::Tlv`] with the offset of the first TLV that goes beyond the end.
    pub fn new_checked(tlvs: &'a [u8]) -> Result<Self, SetError> {
        let mut rest = tlvs;
        while !rest.is_empty() {
            (_, rest) = split(rest).ok_or(SetError::Tlv(tlvs.len() - rest.len()))?;
        }
        Ok(Announcement(tlvs))
    }

    /// The octets of all TLVs.
    pub const fn octets(self) -> &'a [u8] {
        self.0
    }

    /// The TLVs in order.
    pub fn tlvs(self) -> impl Iterator<Item = Tlv<'a>> + Clone {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (tlv, after) = split(rest)?;
            rest = after;
            Some(tlv)
        })
    }
}

fn split(octets: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    // Seven bits of type, nine of length.
    let (&[high, low], rest) = octets.split_first_chunk::<HEADER_LEN>()?;
    let (body, rest) = rest.split_at_checked(set_body_len(high & 1, low))?;
    Some((Tlv::new(high >> 1, body), rest))
}

/// A TLV of an Announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tlv<'a> {
    /// Access Information.
    AccessInformation(&'a [u8]),
    /// MACsec Cipher Suites.
    CipherSuites(SuiteOffers<'a>),
    /// Key Management Domain: UTF-8 by the standard, unchecked.
    Kmd(&'a [u8]),
    /// Network Identity: UTF-8 by the standard, unchecked.
    Nid(&'a [u8]),
    /// Another type, or cipher suites that are cut short.
    Unknown {
        /// 0 to 127.
        type_: u8,
        /// What it holds.
        body: &'a [u8],
    },
}

impl<'a> Tlv<'a> {
    fn new(type_: u8, body: &'a [u8]) -> Self {
        match (type_, body.as_chunks()) {
            (tlv_type::ACCESS_INFORMATION, _) => Tlv::AccessInformation(body),
            (tlv_type::CIPHER_SUITES, (offers, [])) => Tlv::CipherSuites(SuiteOffers(offers)),
            (tlv_type::KMD, _) => Tlv::Kmd(body),
            (tlv_type::NID, _) => Tlv::Nid(body),
            _ => Tlv::Unknown { type_, body },
        }
    }
}

/// The cipher suites of a TLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuiteOffers<'a>(&'a [[u8; OFFER_LEN]]);

impl<'a> SuiteOffers<'a> {
    /// The suites in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = SuiteOffer> + Clone + use<'a> {
        self.0.iter().map(|offer| {
            let id = u64::from_be_bytes(octets(offer, 2));
            SuiteOffer {
                capability: Capability::from_bits(offer[1]),
                suite: CipherSuite::from_id(id).ok_or(id),
            }
        })
    }
}

/// A cipher suite that a participant implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuiteOffer {
    /// What it can do with it.
    pub capability: Capability,
    /// The suite, or the identifier of one unknown here.
    pub suite: Result<CipherSuite, u64>,
}
