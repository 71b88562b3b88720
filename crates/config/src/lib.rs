//! Configuration files: what a user writes, checked, with defaults filled in.
//!
//! [`Config`] is the gateway's file, [`KeysFile`] the keys of `macsec-gw pcap` and `inspect`. Both are read in one pass that
//! reports every problem it finds, each with file, line, key path, what is wrong and what to write instead.
//! What comes out holds types, not texts: whoever has a [`Config`] need not check it again.
//!
//! This crate runs nothing. It opens no port, and of the system it asks only for the files named here.
#![forbid(unsafe_code)]

mod config_file;
mod device;
mod document;
mod error;
mod fields;
mod frames;
mod gateway;
mod keys_file;
mod link;
mod mka;
mod nonces;
mod port;
mod static_keys;
mod value;

pub use config_file::Config;
pub use device::Device;
pub use error::{ConfigError, Errors};
pub use frames::ValidateFrames;
pub use gateway::{CONTROL_SOCKET, Dpdk, Gateway, Poll};
pub use keys_file::{KeysFile, MkaKeys, StaticSa, StaticSas};
pub use link::{Link, MAX_CRYPTO_WORKERS, Policy};
pub use mka::Mka;
pub use port::Port;
pub use static_keys::{RxKey, StaticKeys, TxKey, XpnParams};

#[cfg(test)]
mod tests;
