//! Octets on the wire: Ethernet, VLAN tags, the MACsec SecTAG, EAPOL and the MKPDUs of key agreement.
//!
//! Each format has a view (`SecTag<T>`, [`Mkpdu`]) over bytes that were checked once, and an owned `Repr` with
//! `parse`, `buffer_len` and `emit`; MKPDUs, put together from sets, have a writer ([`MkpduWriter`]). Numbers
//! with a meaning of their own ([`Sci`], [`An`], [`Ssci`], [`MemberId`]) are types that cannot hold a wrong value.
//!
//! This crate allocates nothing, panics on no input, and knows neither keys nor state: whether a well-formed
//! frame is authentic or fresh is the business of `secy`, and of `mka` for MKPDUs.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod eapol;
mod ethernet;
mod ids;
mod mkpdu;
mod octets;
mod sectag;
mod suite;

pub use eapol::{Eapol, EapolError, EapolRepr, EapolType, PAE_GROUP};
pub use ethernet::{EtherType, Ethernet, L2Header, MAX_VLAN_TAGS, MacAddr, VLAN_TAG_LEN};
pub use ids::{An, InvalidAn, ParseMacError, ParseSciError, Sci, Ssci};
pub use mkpdu::{
    Announcement, BasicRepr, Capability, CknBuf, CknRef, DistributedCak, DistributedSak, DistributedSakForm,
    Full, InvalidCkn, InvalidWrappedKey, KeyUse, MemberId, Mkpdu, MkpduError, MkpduWriter, ParameterSet,
    PeerList, SakUse, SetError, Sets, SuiteOffer, SuiteOffers, Tlv, WrappedKey, XpnRepr,
};
pub use sectag::{Malformed, SHORT_LIMIT, SecTag, SecTagRepr, ShortLength, Tci};
pub use suite::{CipherSuite, ConfidentialityOffset, UnknownOffset, UnknownSuite};

/// Octets of the integrity check value that every GCM-AES suite appends (802.1AE clause 14).
pub const ICV_LEN: usize = 16;
