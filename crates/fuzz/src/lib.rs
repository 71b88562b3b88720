//! What the fuzz targets share: how octets become links and frames, and what must hold of them.
//!
//! Targets take raw octets rather than structures, so that captured frames can be seeds; `scripts/fuzz` writes
//! these. Every function panics when an invariant is broken.
#![forbid(unsafe_code)]

mod burst;
mod files;
mod frames;
mod input;
mod link;

pub use burst::{Message, Room, octets};
pub use files::{TempFile, assert_quiet};
pub use frames::{Frame, Mutation};
pub use input::Input;
pub use link::{Link, Received};
