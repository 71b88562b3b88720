//! What is measured: suite, direction, frames.

use clap::ValueEnum;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Octets of the AAD of an encrypted frame: addresses, and a SecTAG with SCI.
pub(crate) const AAD_LEN: usize = 28;

/// Payloads of encrypted frames, in octets.
const ENCRYPT: [usize; 7] = [48, 112, 242, 498, 1010, 1500, 8986];
/// AADs of frames in the clear, in octets.
const INTEGRITY: [usize; 2] = [76, 1528];
/// Payloads of the mix and how many of twelve frames have them: frames of 64, 594 and 1518 octets less their
/// addresses.
const IMIX: [(usize, usize); 3] = [(64 - 12, 7), (594 - 12, 4), (1518 - 12, 1)];
/// Frames after which the mix repeats its proportions.
pub(crate) const IMIX_PERIOD: usize = 12;
/// Keys of the case with several.
const KEYS: usize = 8;
/// The longest frames that can be asked for, in octets.
const LONGEST: usize = 16 * 1024;

/// The keys' length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum Suite {
    /// Keys of 16 octets
    #[value(name = "gcm-aes-128")]
    #[serde(rename = "gcm-aes-128")]
    GcmAes128,
    /// Keys of 32 octets
    #[value(name = "gcm-aes-256")]
    #[serde(rename = "gcm-aes-256")]
    GcmAes256,
}

impl Suite {
    pub(crate) const ALL: [Suite; 2] = [Suite::GcmAes128, Suite::GcmAes256];

    /// Octets of a key.
    pub(crate) fn key_len(self) -> usize {
        match self {
            Suite::GcmAes128 => 16,
            Suite::GcmAes256 => 32,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Suite::GcmAes128 => "gcm-aes-128",
            Suite::GcmAes256 => "gcm-aes-256",
        }
    }
}

/// What is done to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Direction {
    /// Encrypt, and make the tag
    Seal,
    /// Check the tag, and decrypt
    Open,
}

impl Direction {
    const ALL: [Direction; 2] = [Direction::Seal, Direction::Open];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Direction::Seal => "seal",
            Direction::Open => "open",
        }
    }
}

/// Whether frames are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// All but addresses and SecTAG
    Encrypt,
    /// Nothing: all octets are AAD
    Integrity,
}

impl Mode {
    const ALL: [Mode; 2] = [Mode::Encrypt, Mode::Integrity];

    fn usual(self) -> &'static [usize] {
        match self {
            Mode::Encrypt => &ENCRYPT,
            Mode::Integrity => &INTEGRITY,
        }
    }
}

/// How long frames are: octets of payload, or of AAD where they are in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// All alike.
    Octets(usize),
    /// The mix of 7 short, 4 middling and 1 long one.
    Imix,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "imix" => Ok(Size::Imix),
            Ok(octets @ 1..=LONGEST) => Ok(Size::Octets(octets)),
            _ => Err(format!("write a number of octets, 1 to {LONGEST}, or imix")),
        }
    }
}

/// One thing to measure with all contenders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) suite: Suite,
    pub(crate) direction: Direction,
    pub(crate) mode: Mode,
    pub(crate) size: Size,
    /// Keys, which the frames take in turn.
    pub(crate) keys: usize,
}

impl Case {
    /// Octets of AAD of every frame.
    pub(crate) fn aad_len(&self) -> usize {
        match (self.mode, self.size) {
            (Mode::Integrity, Size::Octets(octets)) => octets,
            _ => AAD_LEN,
        }
    }

    /// Octets of payload of each frame, in order; the same for every contender and run.
    pub(crate) fn payloads(&self) -> Box<dyn Iterator<Item = usize>> {
        match (self.mode, self.size) {
            (Mode::Integrity, _) => Box::new(std::iter::repeat(0)),
            (Mode::Encrypt, Size::Octets(octets)) => Box::new(std::iter::repeat(octets)),
            (Mode::Encrypt, Size::Imix) => Box::new(imix()),
        }
    }

    /// The frames in words.
    pub(crate) fn frames(&self) -> String {
        let size = match self.size {
            Size::Octets(octets) => format!("{octets} octets"),
            Size::Imix => "imix".to_owned(),
        };
        let mode = if self.mode == Mode::Integrity { ", integrity" } else { "" };
        let keys = if self.keys > 1 { format!(", {} keys", self.keys) } else { String::new() };
        format!("{size}{mode}{keys}")
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.suite.name(), self.direction.name(), self.frames())
    }
}

/// The mix: every twelve frames in the same proportions, each time in another order.
fn imix() -> impl Iterator<Item = usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        let mut twelve: Vec<usize> =
            IMIX.iter().flat_map(|&(octets, count)| std::iter::repeat_n(octets, count)).collect();
        for i in (1..twelve.len()).rev() {
            // Xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            twelve.swap(i, (state >> 32) as usize % (i + 1));
        }
        twelve
    })
    .flatten()
}

/// What remains of all cases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter<'a> {
    pub(crate) suite: Option<Suite>,
    pub(crate) direction: Option<Direction>,
    pub(crate) mode: Option<Mode>,
    pub(crate) sizes: &'a [Size],
}

impl Filter<'_> {
    /// The suites, in order.
    pub(crate) fn suites(&self) -> impl Iterator<Item = Suite> {
        let only = self.suite;
        Suite::ALL.into_iter().filter(move |s| only.is_none_or(|o| o == *s))
    }

    /// The cases, in order.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for suite in self.suites() {
            for direction in Direction::ALL.into_iter().filter(|d| self.direction.is_none_or(|o| o == *d)) {
                let kinds = self.kinds().into_iter();
                cases.extend(kinds.map(|(mode, size, keys)| Case { suite, direction, mode, size, keys }));
            }
        }
        cases
    }

    fn kinds(&self) -> Vec<(Mode, Size, usize)> {
        let modes: Vec<Mode> =
            Mode::ALL.into_iter().filter(|m| self.mode.is_none_or(|only| only == *m)).collect();
        let all = || {
            let usual = |m: &Mode| m.usual().iter().map(|n| Size::Octets(*n)).collect::<Vec<_>>();
            let mut all: Vec<_> = usual(&Mode::Encrypt).into_iter().map(|s| (Mode::Encrypt, s, 1)).collect();
            all.extend([1, KEYS].map(|keys| (Mode::Encrypt, Size::Imix, keys)));
            all.extend(usual(&Mode::Integrity).into_iter().map(|s| (Mode::Integrity, s, 1)));
            all.retain(|(mode, ..)| modes.contains(mode));
            all
        };
        if self.sizes.is_empty() {
            return all();
        }
        let mut kinds = Vec::new();
        for wanted in self.sizes {
            let before = kinds.len();
            kinds.extend(all().into_iter().filter(|(_, size, _)| size == wanted));
            if kinds.len() == before && matches!(wanted, Size::Octets(_)) {
                kinds.push((self.mode.unwrap_or(Mode::Encrypt), *wanted, 1));
            }
        }
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_seven_four_and_one_and_never_the_same_twelve() {
        let frames: Vec<usize> = imix().take(12 * 100).collect();
        for twelve in frames.chunks(12) {
            let count = |octets| twelve.iter().filter(|n| **n == octets).count();
            assert_eq!([count(52), count(582), count(1506)], [7, 4, 1]);
        }
        assert_ne!(frames[..12], frames[12..24]);
        // The long frame comes at every place.
        let places: std::collections::HashSet<usize> =
            frames.chunks(12).filter_map(|t| t.iter().position(|n| *n == 1506)).collect();
        assert_eq!(places.len(), 12);
        assert_eq!(frames, imix().take(12 * 100).collect::<Vec<_>>(), "the same for every contender");
    }

    #[test]
    fn without_a_filter_there_is_everything() {
        let cases = Filter::default().cases();
        assert_eq!(cases.len(), 2 * 2 * (7 + 2 + 2));
        assert_eq!(cases[0].to_string(), "gcm-aes-128, seal, 48 octets");
        assert_eq!(cases[10].to_string(), "gcm-aes-128, seal, 1528 octets, integrity");
        assert_eq!(cases[43 - 2].to_string(), "gcm-aes-256, open, imix, 8 keys");
        assert_eq!(cases[10].aad_len(), 1528);
        assert_eq!(cases[10].payloads().next(), Some(0));
        assert_eq!((cases[0].aad_len(), cases[0].payloads().nth(40)), (28, Some(48)));
    }

    #[test]
    fn filters_leave_what_they_name() {
        let names = |filter: Filter<'_>| filter.cases().iter().map(Case::to_string).collect::<Vec<_>>();
        let base =
            Filter { suite: Some(Suite::GcmAes256), direction: Some(Direction::Open), ..Filter::default() };
        let sizes = [Size::Octets(76), Size::Octets(48), Size::Imix, Size::Octets(100)];
        let open = |rest: &str| format!("gcm-aes-256, open, {rest}");
        assert_eq!(
            names(Filter { sizes: &sizes, ..base.clone() }),
            ["76 octets, integrity", "48 octets", "imix", "imix, 8 keys", "100 octets"].map(open)
        );
        let clear = Filter { mode: Some(Mode::Integrity), ..base };
        assert_eq!(names(clear.clone()), ["76 octets, integrity", "1528 octets, integrity"].map(open));
        let sizes = [Size::Octets(48), Size::Imix];
        assert_eq!(names(Filter { sizes: &sizes, ..clear }), ["48 octets, integrity"].map(open));
    }
}
