//! In place of the back ends on x86-64 instructions, where there are none: no value of them can exist.

use crate::burst::Op;

/// Any of the back ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {}

pub(crate) use Nothing as Aesni;
pub(crate) use Nothing as AesniAvx;
pub(crate) use Nothing as Vaes256;
pub(crate) use Nothing as Vaes512;

impl Nothing {
    pub(crate) fn detect() -> Option<Self> {
        None
    }

    pub(crate) fn expand(self, _: &[u8]) -> Box<ExpandedKey> {
        match self {}
    }

    pub(crate) fn run<const SEAL: bool>(
        self,
        _: &mut Shapes,
        _: u32,
        _: &mut [Op<'_>],
        _: bool,
    ) -> (usize, u64) {
        match self {}
    }
}

/// A key of theirs.
pub(crate) enum ExpandedKey {}

impl ExpandedKey {
    pub(crate) fn rounds(&self) -> u32 {
        match *self {}
    }
}

/// What they keep from burst to burst.
#[derive(Debug)]
pub(crate) struct Shapes;

impl Shapes {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Shapes)
    }
}

/// No hint is given.
pub(crate) fn prefetch_to_write(_: *const u8) {}

/// Here neither.
pub(crate) fn leave_to_all(_: *const u8) {}
