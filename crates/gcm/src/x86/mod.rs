//! Back ends on x86-64 instructions.

mod key;
mod vaes512;

pub(crate) use key::ExpandedKey;
pub(crate) use vaes512::Vaes512;
