//! A KaY at a glance.

use crate::{KeyIdentifier, Time};
use wire::{An, CipherSuite, MemberId, Sci};

/// Who hands out SAKs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// This station.
    Me,
    /// A peer.
    Peer {
        /// Its SCI.
        sci: Sci,
        /// Its member identifier.
        mi: MemberId,
    },
}

/// A KaY at a glance.
#[derive(Clone, Debug)]
pub struct Status {
    /// This station.
    pub sci: Sci,
    /// Its member identifier.
    pub mi: MemberId,
    /// The number of its last MKPDU.
    pub mn: u32,
    /// The key server, where one is elected.
    pub server: Option<Server>,
    /// All that were heard of.
    pub peers: Vec<PeerStatus>,
    /// The SAs, the older one last.
    pub sas: Vec<SaStatus>,
    /// SAKs that were put to use so far.
    pub rekeys: u64,
}

/// A peer at a glance.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// Its SCI.
    pub sci: Sci,
    /// Its member identifier.
    pub mi: MemberId,
    /// The number of its last MKPDU.
    pub mn: u32,
    /// Its key server priority.
    pub priority: u8,
    /// The MKA version that it speaks.
    pub version: u8,
    /// It hears this station.
    pub live: bool,
    /// It receives what this station transmits.
    pub receives: bool,
    /// Time since its last MKPDU.
    pub age: Time,
}

/// An SA at a glance, in both directions.
#[derive(Clone, Copy, Debug)]
pub struct SaStatus {
    /// Its key.
    pub key: KeyIdentifier,
    /// Its AN.
    pub an: An,
    /// Its suite.
    pub suite: CipherSuite,
    /// This station receives under it.
    pub receiving: bool,
    /// This station transmits under it.
    pub transmitting: bool,
}
