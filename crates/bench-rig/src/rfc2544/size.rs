//! Frame sizes.

use crate::ethernet::{IMIX, SHORTEST, WIRE_OVERHEAD};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Largest frame, in octets with FCS.
pub(crate) const MAX: usize = 9728;
/// Those of RFC 2544, clause 9.1.
pub(crate) const USUAL: [usize; 7] = [64, 128, 256, 512, 1024, 1280, 1518];

/// Sizes of the mix.
const CLASSES: [usize; 3] = [64, 594, 1518];
/// Which of them each frame has.
const PATTERN: [u8; IMIX.len()] = {
    let mut pattern = [0; IMIX.len()];
    let mut place = 0;
    while place < IMIX.len() {
        while CLASSES[pattern[place] as usize] != IMIX[place] {
            pattern[place] += 1;
        }
        place += 1;
    }
    pattern
};

/// Frames of one size, or a mix. Octets are with FCS, and with the VLAN tag where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameSize {
    Octets(usize),
    /// 7 frames of 64, 4 of 594 and 1 of 1518 octets.
    Imix,
}

impl FrameSize {
    /// The sizes that occur, in octets.
    pub(crate) fn classes(&self) -> &[usize] {
        match self {
            FrameSize::Octets(octets) => std::slice::from_ref(octets),
            FrameSize::Imix => &CLASSES,
        }
    }

    /// In which order the classes come, over and over.
    pub(crate) fn pattern(self) -> &'static [u8] {
        match self {
            FrameSize::Octets(_) => &[0],
            FrameSize::Imix => &PATTERN,
        }
    }

    /// Octets of a frame, on average.
    pub(crate) fn mean(self) -> f64 {
        let pattern = self.pattern();
        let sum: usize = pattern.iter().map(|&class| self.classes()[usize::from(class)]).sum();
        sum as f64 / pattern.len() as f64
    }

    /// Octets of the largest frame.
    pub(crate) fn largest(self) -> usize {
        self.classes().iter().copied().max().unwrap_or(SHORTEST)
    }

    /// Frames a second that fill a line of `gbit` Gbit/s.
    pub(crate) fn line_fps(self, gbit: f64) -> f64 {
        gbit * 1e9 / 8.0 / (self.mean() + WIRE_OVERHEAD as f64)
    }
}

impl fmt::Display for FrameSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameSize::Octets(octets) => write!(f, "{octets}"),
            FrameSize::Imix => f.write_str("imix"),
        }
    }
}

impl FromStr for FrameSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "imix" => Ok(FrameSize::Imix),
            Ok(octets @ SHORTEST..=MAX) => Ok(FrameSize::Octets(octets)),
            _ => Err(format!("write octets with FCS, {SHORTEST} to {MAX}, or imix")),
        }
    }
}

impl Serialize for FrameSize {
    /// A number, or "mix".
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            FrameSize::Octets(octets) => serializer.serialize_u64(*octets as u64),
            FrameSize::Imix => serializer.serialize_str("mix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_has_its_parts() {
        let mut counts = [0; 3];
        FrameSize::Imix.pattern().iter().for_each(|&class| counts[usize::from(class)] += 1);
        assert_eq!(counts, [7, 4, 1]);
        assert!((FrameSize::Imix.mean() - (7.0 * 64.0 + 4.0 * 594.0 + 1518.0) / 12.0).abs() < 1e-9);
    }

    #[test]
    fn a_line_is_full_at_known_rates() {
        assert_eq!(FrameSize::Octets(64).line_fps(10.0) as u64, 14_880_952);
        assert_eq!(FrameSize::Octets(1518).line_fps(1.0) as u64, 81_274);
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!("64".parse(), Ok(FrameSize::Octets(64)));
        assert_eq!("imix".parse(), Ok(FrameSize::Imix));
        for bad in ["63", "9729", "many", "-1"] {
            assert!(bad.parse::<FrameSize>().unwrap_err().contains("64 to 9728"), "{bad}");
        }
        assert_eq!(serde_json::to_string(&[FrameSize::Octets(64), FrameSize::Imix]).unwrap(), "[64,\"mix\"]");
    }
}
