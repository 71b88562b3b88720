//! What tests of several crates share: published vectors and captures of real links.
//!
//! Never a dependency of anything but tests. Its functions panic on damaged data, as a test should.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod captures;
mod lan;
mod quirks;
mod vectors;

pub use captures::{
    Capture, CapturedFrame, Channel, MkaCapture, MkaSak, foreign_captures, mka_captures, static_captures,
};
pub use lan::{Faults, Lan, Station};
pub use quirks::Quirk;
pub use vectors::{Vector, annex_c, dpdk, linux_kernel};
