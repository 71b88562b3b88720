//! The control core: key agreement of links, translated for their SecYs, and the socket on which it can be asked.
//!
//! An [`Agreement`] drives the KaY of one link. It hands the KaY the frames of the link's control path and the time, and
//! makes of each of its actions a command for one of the link's workers; what comes back from these it tells the KaY. It is
//! polled, every few milliseconds, and never waits. [`ControlSocket`] takes questions from other processes, for whoever
//! has the links to answer.
//!
//! Workers, ports and packet numbers of static keys are put together elsewhere; this crate changes no frame.
#![forbid(unsafe_code)]

mod agreement;
mod associations;
mod socket;
mod status;
mod story;
mod workers;

pub use agreement::{Agreement, KeyStore, Settings};
pub use associations::{Associations, RxSaView, RxScView, TxSaView};
pub use socket::{Ask, ControlSocket, Request, SocketError, ask};
pub use status::{LinkStatus, PeerStatus, RxSaStatus, Said, TxSaStatus};
pub use workers::{Mark, TaskAddress, Workers};
