//! The SecY of IEEE 802.1AE: frames in, frames out.
//!
//! A SecY is two halves that share nothing. [`TxSecY`] owns the transmit channel: it allocates packet numbers,
//! writes SecTAGs and seals. [`RxSecY`] owns the receive channels: it checks tags, replay and ICVs and strips.
//! Each half belongs to one worker. Both work on bursts in three passes: parse and gather operations, one call
//! of the crypto engine, then judge and finish. Every frame of a burst that is finished ends in exactly one counter.
//!
//! A nonce comes from one place only, the packet number that a transmit SA gives away, and that number is used up by
//! making the nonce; see `pn`. This crate reads no clock, takes no lock and logs nothing. It does not know
//! where frames come from ([`FrameBuf`]) nor who agrees on keys ([`Command`], [`Event`]).
#![forbid(unsafe_code)]

mod batch;
mod command;
mod counters;
mod frame;
mod plan;
mod pn;
mod rx;
mod sa;
mod scatter;
mod tx;

pub use batch::Batch;
pub use command::{Command, Event, Retired};
pub use counters::{
    Counter, RxSaCounters, RxScCounters, RxSecYCounters, TxSaCounters, TxScCounters, TxSecYCounters,
};
pub use frame::{FrameBuf, MemFrame, WholeMemFrame};
pub use pn::{PnGate, SOFT_LIMIT_32, SOFT_LIMIT_XPN, last_pn};
pub use rx::{MAX_RECEIVE_SCS, RxConfig, RxSc, RxSecY, ValidateFrames};
pub use sa::{RxProgress, RxSa, SaError, SaParams, TxSa, Xpn, key_id};
pub use tx::{SciMode, TxConfig, TxSecY};

pub use gcm::Engine;

/// Frames that one call protects or verifies at most.
pub const MAX_BURST: usize = gcm::MAX_BURST;

/// How many frames ahead of the one that is worked on octets are asked for.
const PREFETCH: usize = 6;

/// The same of one that is only parsed, so that the next one's turn comes soon.
const PREFETCH_TO_PARSE: usize = 20;

/// A burst of frames, in order.
pub type Burst<F> = arrayvec::ArrayVec<F, MAX_BURST>;

/// The passes over a burst, for whoever measures them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Parse, look up the SA, allocate packet numbers or check them, gather operations.
    First,
    /// Carry the operations out.
    Crypto,
    /// Judge, strip, count.
    Third,
}

/// Octets that protecting adds to a frame at most: a SecTAG with SCI, and the ICV.
pub const MAX_OVERHEAD: usize = 16 + wire::ICV_LEN;

#[cfg(test)]
mod tests;
