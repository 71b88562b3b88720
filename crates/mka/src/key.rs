//! A SAK and all that goes with it.

use core::fmt;
use keys::{Sak, Salt};
use std::sync::Arc;
use wire::{An, CipherSuite, ConfidentialityOffset, MemberId, Sci, Ssci};

/// What names a SAK (802.1X clause 9.8): the key server that made it, and a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyIdentifier {
    /// The key server's MI.
    pub mi: MemberId,
    /// Its key number.
    pub kn: u32,
}

impl fmt::Display for KeyIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.mi, self.kn)
    }
}

impl fmt::Debug for KeyIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyIdentifier({self})")
    }
}

/// A SAK that the stations of a link share.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub identifier: KeyIdentifier,
    /// The AN that it is used with.
    pub an: An,
    /// The key.
    pub sak: Sak,
    /// What it is used in.
    pub suite: CipherSuite,
    /// `None` is integrity only: what the key server said, which each side may overrule for what it sends.
    pub confidentiality: Option<ConfidentialityOffset>,
    /// XPN suites' salt.
    pub salt: Option<Salt>,
    /// XPN suites' SSCIs, all different. Empty for the others.
    pub sscis: Vec<(Sci, Ssci)>,
}

impl Key {
    /// A station's SSCI under this key; none where it has no part in it, or the suite needs none.
    pub fn ssci(&self, sci: Sci) -> Option<Ssci> {
        self.sscis.iter().find(|(of, _)| *of == sci).map(|(_, ssci)| *ssci)
    }

    /// Whether a station can use this key.
    pub(crate) fn is_for(&self, sci: Sci) -> bool {
        !self.suite.is_xpn() || self.ssci(sci).is_some()
    }
}

/// SSCIs as key servers give them: the greatest SCI has 1, and so on downwards (802.1AE clause 10.7.13).
pub(crate) fn sscis_by_sci(scis: impl IntoIterator<Item = Sci>) -> Vec<(Sci, Ssci)> {
    let mut scis: Vec<Sci> = scis.into_iter().collect();
    scis.sort_unstable();
    scis.into_iter().rev().zip((1..).map(Ssci)).collect()
}

/// A key on its way through the CP machine.
pub(crate) type SharedKey = Arc<Key>;
