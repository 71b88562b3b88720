//! The gateway put together: ports, links, workers and keys from a configuration, and the commands of
//! `macsec-gw` around it.
//!
//! What runs per frame is in `datapath` and `secy`; this crate wires it up, watches it and reports.
#![forbid(unsafe_code)]

pub mod association;
mod astray;
pub mod bench;
pub mod capture;
pub mod check;
pub mod cli;
mod crowd;
#[cfg(feature = "dpdk")]
pub mod demo;
#[cfg(feature = "dpdk")]
mod dpdk_ports;
mod gateway;
pub mod inspect;
pub mod keygen;
mod link;
mod output;
mod ports;
mod report;
#[cfg(feature = "dpdk")]
pub mod run;
mod sak_lock;
mod scribe;
#[cfg(feature = "dpdk")]
mod signals;
mod state;
pub mod status;
mod verify;

#[cfg(test)]
mod mka_tests;
#[cfg(test)]
mod tests;

pub use gateway::{Gateway, StartError};
pub use link::LinkError;
pub use ports::{OpenPort, PortReader, Ports};
pub use report::{Row, table, write_rows};
pub use state::{KeyUse, Reservation, RxMemory, StateDir, StateError};

/// Version and revision.
pub const VERSION: &str = env!("MACSEC_GW_VERSION");

/// The configuration or the command line is wrong, rather than something that happened: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub String);
