//! Octets on the wire: Ethernet, VLAN tags and the MACsec SecTAG.
//!
//! Each format has a view (`SecTag<T>`) over bytes that were checked once, and an owned `Repr` with `parse`,
//! `buffer_len` and `emit`. Numbers with a meaning of their own ([`Sci`], [`An`], [`Ssci`]) are types that
//! cannot hold a wrong value.
//!
//! This crate allocates nothing, panics on no input, and knows neither keys nor state: whether a well-formed
//! frame is authentic or fresh is the business of `secy`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod ethernet;
mod ids;
mod sectag;
mod suite;

pub use ethernet::{EtherType, Ethernet, L2Header, MAX_VLAN_TAGS, MacAddr, VLAN_TAG_LEN};
pub use ids::{An, InvalidAn, ParseMacError, ParseSciError, Sci, Ssci};
pub use sectag::{Malformed, SecTag, SecTagRepr, ShortLength, Tci};
pub use suite::{CipherSuite, ConfidentialityOffset, UnknownOffset, UnknownSuite};

/// Octets of the integrity check value that every GCM-AES suite appends (802.1AE clause 14).
pub const ICV_LEN: usize = 16;
