//! What a controller tells a SecY, and what it hears back.

use crate::{RxSa, RxSc, TxSa};
use wire::{An, Sci};

/// A change to one half of a SecY. Made on the controller's side, key schedule included.
#[derive(Debug)]
pub enum Command {
    /// Puts a transmit SA in place without using it. Refused for the AN that is in use.
    InstallTxSa {
        /// Its AN.
        an: An,
        /// The SA.
        sa: Box<TxSa>,
    },
    /// Transmits under this AN from the next burst on; `None` stops. Refused when there is no such SA.
    EncodeWith(Option<An>),
    /// Takes a transmit SA away. Refused for the AN that is in use.
    RemoveTxSa(An),
    /// Adds a receive SC. Refused beyond [`MAX_RECEIVE_SCS`](crate::MAX_RECEIVE_SCS) or when it is there already.
    AddRxSc(RxSc),
    /// Takes a receive SC and its SAs away.
    RemoveRxSc(Sci),
    /// Puts a receive SA to use, in place of one with the same AN. Refused when there is no such SC.
    InstallRxSa {
        /// Its SC.
        sci: Sci,
        /// Its AN.
        an: An,
        /// The SA.
        sa: Box<RxSa>,
    },
    /// Takes a receive SA away.
    RemoveRxSa {
        /// Its SC.
        sci: Sci,
        /// Its AN.
        an: An,
    },
    /// Raises the lowest acceptable PN of a receive SA.
    RaiseLowestPn {
        /// Its SC.
        sci: Sci,
        /// Its AN.
        an: An,
        /// The new lowest acceptable PN.
        pn: u64,
    },
}

/// What a SecY has to say to its controller.
#[derive(Debug)]
pub enum Event {
    /// A transmit SA passed its soft limit: time for a successor.
    PnPending(An),
    /// A transmit SA has no packet number left; its frames are dropped.
    PnExhausted(An),
    /// Something was taken out of use. Handed back so that the worker does not free memory.
    Retired(Retired),
    /// The command could not be done; nothing changed.
    Refused(Command),
}

/// What was taken out of use.
#[derive(Debug)]
pub enum Retired {
    /// A transmit SA.
    TxSa(An, Box<TxSa>),
    /// A receive SA.
    RxSa(Sci, An, Box<RxSa>),
    /// A receive SC with its SAs.
    RxSc(RxSc),
}
