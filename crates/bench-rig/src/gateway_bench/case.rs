//! What is measured: frames, suite, path.

use super::buffer::LONGEST;
use crate::ethernet::{FCS_LEN, IMIX, SHORTEST};
use clap::ValueEnum;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use wire::CipherSuite;

/// Frames, in octets with FCS.
pub(crate) const SIZES: [FrameSize; 9] = [
    FrameSize::Octets(64),
    FrameSize::Octets(128),
    FrameSize::Octets(256),
    FrameSize::Octets(512),
    FrameSize::Octets(1024),
    FrameSize::Octets(1280),
    FrameSize::Octets(1518),
    FrameSize::Octets(9000),
    FrameSize::Imix,
];

/// Frames whose latency is asked for.
pub(crate) const LATENCY_SIZES: [FrameSize; 2] = [FrameSize::Octets(64), FrameSize::Octets(1518)];

/// How long frames are, in octets with FCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameSize {
    /// All alike.
    Octets(usize),
    /// The mix of 7 short, 4 middling and 1 long one.
    Imix,
}

impl FrameSize {
    /// Octets of each frame with FCS, again and again.
    pub(crate) fn octets(self) -> impl Iterator<Item = usize> {
        let (all, one) = match self {
            FrameSize::Imix => (&IMIX[..], 0),
            FrameSize::Octets(octets) => (&IMIX[..1], octets),
        };
        all.iter().cycle().map(move |octets| if one == 0 { *octets } else { one })
    }

    /// Frames after which it repeats itself.
    pub(crate) fn period(self) -> usize {
        if self == FrameSize::Imix { IMIX.len() } else { 1 }
    }

    /// Octets of a frame with FCS, on average.
    pub(crate) fn mean(self) -> f64 {
        let period = self.period();
        self.octets().take(period).sum::<usize>() as f64 / period as f64
    }
}

impl FromStr for FrameSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MOST: usize = LONGEST + FCS_LEN;
        match text.parse() {
            _ if text == "imix" => Ok(FrameSize::Imix),
            Ok(octets @ SHORTEST..=MOST) => Ok(FrameSize::Octets(octets)),
            _ => Err(format!("write octets of a frame with its FCS, {SHORTEST} to {MOST}, or imix")),
        }
    }
}

impl fmt::Display for FrameSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameSize::Octets(octets) => write!(f, "{octets} octets"),
            FrameSize::Imix => f.write_str("imix"),
        }
    }
}

/// What the gateway does with the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Path {
    /// Passes them on as they came: the loop without crypto
    Clear,
    /// Plain in, MACsec out
    Protect,
    /// MACsec in, plain out
    Verify,
    /// Protects and then verifies, both on the same core
    Both,
}

impl Path {
    pub(crate) const ALL: [Path; 4] = [Path::Clear, Path::Protect, Path::Verify, Path::Both];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Path::Clear => "clear",
            Path::Protect => "protect",
            Path::Verify => "verify",
            Path::Both => "both",
        }
    }
}

/// Frames of one size under one suite, on all paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) suite: CipherSuite,
    pub(crate) size: FrameSize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.suite, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_seven_to_four_to_one() {
        let count = |octets: usize| IMIX.iter().filter(|o| **o == octets).count();
        assert_eq!([64, 594, 1518].map(count), [7, 4, 1]);
        assert_eq!(FrameSize::Imix.octets().take(24).filter(|o| *o == 1518).count(), 2);
        assert!((FrameSize::Imix.mean() - 361.83).abs() < 0.01);
        assert_eq!(FrameSize::Octets(1518).octets().take(3).collect::<Vec<_>>(), [1518; 3]);
    }

    #[test]
    fn sizes_are_read_and_mistakes_named() {
        assert_eq!("64".parse(), Ok(FrameSize::Octets(64)));
        assert_eq!("imix".parse(), Ok(FrameSize::Imix));
        for wrong in ["63", "9605", "", "big"] {
            assert!(wrong.parse::<FrameSize>().unwrap_err().contains("64 to 9604"), "{wrong}");
        }
    }
}
