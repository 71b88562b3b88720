//! Keys of MACsec and MKA: what is derived from which, how they are wrapped, and the files they are kept in.
//!
//! Every secret is wiped when dropped, says nothing of itself in `Debug`, and is never part of an error; parsers, whose
//! errors are not ours to wipe, get it masked. Key files are refused when others than their owner can read them. The ICK
//! and the KEK leave this crate only as what they make: ICVs and wrapped keys. When keys are made and passed on is
//! elsewhere: `mka`; frames are the business of `gcm` and `secy`.
#![forbid(unsafe_code)]

mod file;
mod hierarchy;
mod masked;
mod secret;
mod source;
#[cfg(test)]
mod tests;
mod wrap;

pub use file::{CakFile, KeyFileError, Origin, SakFile, read_cak_file, read_sak_file};
pub use hierarchy::MskTooShort;
pub use masked::masked;
pub use secret::{Cak, Ckn, HexError, Ick, Kek, KeyId, RandomError, Sak, Salt};
pub use source::CakSource;
pub use wrap::{UnwrapError, WrappedKey};
