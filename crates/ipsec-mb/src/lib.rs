//! AES-GCM of intel-ipsec-mb, through its direct API, as a peer to measure against.
//!
//! The gateway does not use it, and it is not part of a default build: without the feature `link` there is nothing
//! here, and the library need not be installed.

#[cfg(feature = "link")]
mod link;

#[cfg(feature = "link")]
pub use link::{Arch, Functions, Key, version};
