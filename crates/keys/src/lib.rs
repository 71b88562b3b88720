//! Keys of MACsec and MKA, and the files they are kept in.
//!
//! Every secret is wiped when dropped, says nothing of itself in `Debug`, and is never part of an error. Key
//! files are refused when others than their owner can read them. What keys are used *for* is elsewhere: frames
//! in `gcm` and `secy`.
#![forbid(unsafe_code)]

mod file;
mod secret;

pub use file::{CakFile, KeyFileError, SakFile, read_cak_file, read_sak_file};
pub use secret::{Cak, Ckn, HexError, KeyId, RandomError, Sak, Salt};
