//! What a KaY has others do, and what it has to say.

use crate::Time;
use crate::key::{KeyIdentifier, SharedKey};
use crate::status::Server;
use core::fmt;
use wire::{An, CipherSuite, MemberId, Sci};

/// What the SecY is to do. In the order in which they come, actions lose no frame; each may be repeated, which then
/// changes nothing.
#[derive(Clone, Debug)]
pub enum Action {
    /// Receive from this station.
    AddRxSc(Sci),
    /// Receive from it no longer.
    RemoveRxSc(Sci),
    /// Receive under this key from this station.
    InstallRxSa {
        /// The station.
        sci: Sci,
        /// The key, whose AN it is.
        key: SharedKey,
        /// No frame with a lower packet number is taken.
        lowest_pn: u64,
    },
    /// No longer receive under this AN from this station.
    RemoveRxSa {
        /// The station.
        sci: Sci,
        /// The AN.
        an: An,
    },
    /// Make sure that this station has never transmitted under this key, in an earlier life perhaps, and that no later one
    /// will. [`Kay::handle_claimed`](crate::Kay::handle_claimed) says so, or
    /// [`Kay::handle_refused`](crate::Kay::handle_refused) that it has; until then nothing is done with the key, and everything
    /// else goes on. Of two that are claimed only the latter counts.
    Claim(SharedKey),
    /// Make ready to transmit under this key, which was claimed, from the first packet number on.
    InstallTxSa(SharedKey),
    /// No longer be ready to.
    RemoveTxSa(An),
    /// Transmit under this AN from now on; `None` is nothing at all.
    EncodeWith(Option<An>),
    /// Take no frame with a lower packet number from this station.
    RaiseLowestPn {
        /// The station.
        sci: Sci,
        /// The AN.
        an: An,
        /// The lowest acceptable PN.
        pn: u64,
    },
    /// Call [`Kay::handle_done`](crate::Kay::handle_done) with this number once all before is in place.
    Confirm(u64),
}

/// Why a key server makes a SAK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is a station more, or one less.
    Members,
    /// This station became the key server.
    Elected,
    /// Packet numbers run out.
    PacketNumbers,
    /// The key has been in use for the time that it was given.
    Period,
    /// Those before could not be put to use.
    Refused,
    /// Somebody asked.
    Request,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Members => "stations came or went",
            Reason::Elected => "this station became the key server",
            Reason::PacketNumbers => "packet numbers run out",
            Reason::Period => "the rekey period is over",
            Reason::Refused => "those before could not be put to use",
            Reason::Request => "it was asked for",
        })
    }
}

/// Why a SAK, or a frame that claims to carry one, was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The key server wants frames unprotected.
    PlainText,
    /// A suite that this side does not take, or does not know.
    Suite(Option<CipherSuite>),
    /// The wrapped key does not unwrap, or is of the wrong length.
    Unwrap,
    /// Two stations would have one SSCI, and so the same nonces.
    SharedSsci,
    /// Some station of the key has not been heard of.
    UnknownStation,
    /// This station has used it before.
    UsedBefore,
    /// It leaves more of each frame in the clear than is configured here.
    Offset,
    /// The set makes no sense.
    Malformed,
    /// A frame cannot name all its stations.
    TooManyStations,
}

impl Refused {
    /// What the same key server hands out later will be refused, too, as long as both are told what they are told.
    pub(crate) fn is_for_good(self) -> bool {
        match self {
            Refused::PlainText
            | Refused::Suite(_)
            | Refused::Unwrap
            | Refused::Offset
            | Refused::TooManyStations => true,
            Refused::SharedSsci | Refused::UnknownStation | Refused::UsedBefore | Refused::Malformed => false,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::PlainText => f.write_str("the key server wants frames unprotected"),
            Refused::Suite(Some(suite)) => write!(f, "it is for {suite}, which is not configured here"),
            Refused::Suite(None) => f.write_str("it is for a cipher suite that is not known here"),
            Refused::Unwrap => f.write_str("it does not unwrap with this CAK"),
            Refused::SharedSsci => f.write_str("it gives two stations one SSCI"),
            Refused::UnknownStation => f.write_str("one of its stations has not been heard of yet"),
            Refused::UsedBefore => f.write_str("this station has transmitted under it before"),
            Refused::Offset => {
                f.write_str("its confidentiality offset is greater than the one configured here")
            }
            Refused::Malformed => f.write_str("its parameter set is malformed"),
            Refused::TooManyStations => {
                f.write_str("there are more stations than an MKPDU can name, as XPN suites take it")
            }
        }
    }
}

/// Why a frame was not looked at any further. No such frame changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// No well-formed MKPDU.
    Malformed,
    /// Of another CKN.
    OtherCkn,
    /// Its algorithm agility is not known.
    Agility,
    /// Its ICV is wrong: another CAK under the same name, or a forger.
    Icv,
    /// Sent by this station.
    Own,
    /// Sent by another station with this one's SCI.
    SameSci,
    /// Not newer than what its sender sent before.
    Stale,
    /// There are too many peers already.
    TooMany,
}

/// What an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A station is there, but may not hear this one.
    PeerSeen {
        /// The station.
        sci: Sci,
        /// Its member identifier.
        mi: MemberId,
    },
    /// A station is there and hears this one.
    PeerLive {
        /// The station.
        sci: Sci,
        /// Its member identifier.
        mi: MemberId,
    },
    /// A station has not been heard of for its life time.
    PeerLost {
        /// The station.
        sci: Sci,
        /// Its member identifier.
        mi: MemberId,
    },
    /// A station came back with another member identifier.
    PeerRestarted {
        /// The station.
        sci: Sci,
    },
    /// There is another key server.
    KeyServer(Option<Server>),
    /// This key server made a SAK.
    SakMade {
        /// Its name.
        key: KeyIdentifier,
        /// Its AN.
        an: An,
        /// Why.
        reason: Reason,
    },
    /// A SAK came.
    SakReceived {
        /// Its name.
        key: KeyIdentifier,
        /// Its AN.
        an: An,
    },
    /// A SAK was not taken.
    SakRefused(Refused),
    /// Receiving under a SAK.
    Receiving(KeyIdentifier),
    /// Transmitting under a SAK.
    Transmitting {
        /// Its name.
        key: KeyIdentifier,
        /// Not all peers had said that they receive when the transmit delay ran out.
        delayed: bool,
    },
    /// The SA before is gone.
    Retired(KeyIdentifier),
    /// Nobody is left to talk to: nothing is transmitted, and all SAs are gone.
    Disconnected,
    /// The key server gives this station no SAK, or not the one that it uses. It leaves, for so long, to come back as a
    /// new one.
    LeftOut {
        /// The key server.
        sci: Sci,
        /// How long.
        leave: Time,
    },
    /// Somebody else had this station's member identifier; it has another one now.
    NewMemberIdentifier(MemberId),
}
