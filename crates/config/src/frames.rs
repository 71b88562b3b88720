//! How frames are protected and verified: what a link and a KEYS file have in common.

use crate::fields::Fields;
use std::fmt;
use wire::{CipherSuite, ConfidentialityOffset, Sci};

/// What becomes of received frames that are not authentic (802.1AE clause 10.7.8, `validateFrames`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ValidateFrames {
    /// Not checked at all; SecTAGs are removed.
    Disabled,
    /// Checked and counted; what fails is delivered where it is readable.
    Check,
    /// What fails is dropped.
    #[default]
    Strict,
}

impl ValidateFrames {
    pub(crate) const WORDS: [(&'static str, ValidateFrames); 3] = [
        ("strict", ValidateFrames::Strict),
        ("check", ValidateFrames::Check),
        ("disabled", ValidateFrames::Disabled),
    ];
}

impl fmt::Display for ValidateFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValidateFrames::Disabled => "disabled",
            ValidateFrames::Check => "check",
            ValidateFrames::Strict => "strict",
        })
    }
}

/// Largest window of the suites with 32-bit packet numbers.
const MAX_WINDOW: u64 = u32::MAX as u64;

/// Largest window of the XPN suites, which recover the upper half of a packet number from the lower (802.1AE
/// clause 10.7.8).
const MAX_WINDOW_XPN: u64 = (1 << 30) - 1;

/// The keys that say how frames are formed and checked.
pub(crate) struct FrameFields {
    pub(crate) cipher_suite: CipherSuite,
    pub(crate) encrypt: bool,
    pub(crate) confidentiality_offset: ConfidentialityOffset,
    pub(crate) replay_protect: bool,
    pub(crate) replay_window: u64,
    pub(crate) send_sci: bool,
    pub(crate) end_station: bool,
    pub(crate) single_copy_broadcast: bool,
    pub(crate) clear_vlan_tags: usize,
}

impl FrameFields {
    /// Reads everything but the suite, which was read before: `None` when it was wrong.
    pub(crate) fn read(fields: &mut Fields<'_>, suite: Option<CipherSuite>) -> Option<Self> {
        let encrypt = fields.or("encrypt", true, |v| v.boolean("encrypt = true"));
        let confidentiality_offset = offset(fields, suite, encrypt);
        let replay_protect = replay_protect(fields);
        let replay_window = window(fields, suite);
        let send_sci = fields.or("send_sci", true, |v| v.boolean("send_sci = true"));
        let end_station = without_sci(fields, "end_station", send_sci);
        let single_copy_broadcast = without_sci(fields, "single_copy_broadcast", send_sci);
        if end_station == Some(true) && single_copy_broadcast == Some(true) {
            let what = "stands beside end_station, and a SecTAG says one of them";
            fields.fail("single_copy_broadcast", what, "remove one of them");
            return None;
        }
        let clear_vlan_tags = clear_vlan_tags(fields);
        Some(FrameFields {
            cipher_suite: suite?,
            encrypt: encrypt?,
            confidentiality_offset: confidentiality_offset?,
            replay_protect: replay_protect?,
            replay_window: replay_window?,
            send_sci: send_sci?,
            end_station: end_station?,
            single_copy_broadcast: single_copy_broadcast?,
            clear_vlan_tags: clear_vlan_tags? as usize,
        })
    }
}

/// Whether the flags that SecTAGs have instead of an SCI stand for this one; a station that names none has one of port 1.
/// With flags that do not, frames would carry the SCI after all.
pub(crate) fn flags_fit(fields: &Fields<'_>, frames: &FrameFields, sci: Option<Sci>) -> bool {
    let port = sci.map_or(Sci::PORT_END_STATION, Sci::port);
    let wanted = [
        (frames.end_station, "end_station", Sci::PORT_END_STATION),
        (frames.single_copy_broadcast, "single_copy_broadcast", Sci::PORT_SINGLE_COPY_BROADCAST),
    ];
    let wrong = wanted.into_iter().find(|(set, _, means)| *set && *means != port);
    let Some((_, key, means)) = wrong else { return true };
    let address = sci.map_or("020000000001".to_owned(), |sci| sci.to_string().chars().take(12).collect());
    fields.fail(
        key,
        format!("it stands for an SCI of port {means}, and this link's is of port {port}"),
        format!("write sci = \"{address}{means:04x}\", or {key} = false"),
    );
    false
}

/// The keys that say how frames are checked whose suite is not known beforehand.
pub(crate) struct CheckFields {
    pub(crate) validate_frames: ValidateFrames,
    pub(crate) replay_protect: bool,
    pub(crate) replay_window: u64,
    pub(crate) clear_vlan_tags: usize,
}

impl CheckFields {
    /// Reads them.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let validate_frames = validate_frames(fields);
        let replay_protect = replay_protect(fields);
        // What fits an XPN suite fits the others too.
        let replay_window = window(fields, Some(CipherSuite::GcmAesXpn128));
        let clear_vlan_tags = clear_vlan_tags(fields);
        Some(CheckFields {
            validate_frames: validate_frames?,
            replay_protect: replay_protect?,
            replay_window: replay_window?,
            clear_vlan_tags: clear_vlan_tags? as usize,
        })
    }
}

/// Reads `validate_frames`.
pub(crate) fn validate_frames(fields: &mut Fields<'_>) -> Option<ValidateFrames> {
    fields.or("validate_frames", ValidateFrames::Strict, |v| v.one_of(&ValidateFrames::WORDS))
}

fn replay_protect(fields: &mut Fields<'_>) -> Option<bool> {
    fields.or("replay_protect", true, |v| v.boolean("replay_protect = true"))
}

fn clear_vlan_tags(fields: &mut Fields<'_>) -> Option<u64> {
    fields.or("clear_vlan_tags", 0, |v| v.whole(0..=2, "clear_vlan_tags = 0"))
}

/// Reads `cipher_suite`.
pub(crate) fn suite(fields: &mut Fields<'_>, default: Option<CipherSuite>) -> Option<CipherSuite> {
    let example = "cipher_suite = \"gcm-aes-xpn-256\"";
    match default {
        Some(default) => fields.or("cipher_suite", default, |v| v.parsed(example)),
        None => fields.required("cipher_suite", example)?.parsed(example),
    }
}

fn offset(
    fields: &mut Fields<'_>,
    suite: Option<CipherSuite>,
    encrypt: Option<bool>,
) -> Option<ConfidentialityOffset> {
    let key = "confidentiality_offset";
    let offset = fields.or(key, ConfidentialityOffset::None, |v| {
        let octets = v.whole(0..=50, "confidentiality_offset = 0")?;
        match ConfidentialityOffset::try_from(octets) {
            Ok(offset) => Some(offset),
            Err(_) => v.wrong("0, 30 or 50", "confidentiality_offset = 0"),
        }
    })?;
    if offset == ConfidentialityOffset::None {
        return Some(offset);
    }
    if let Some(suite) = suite.filter(|suite| suite.is_xpn()) {
        let what = format!("{suite} encrypts everything and knows no offset");
        fields.fail(
            key,
            what,
            "write confidentiality_offset = 0, or cipher_suite = \"gcm-aes-128\" or \"gcm-aes-256\"",
        );
        return None;
    }
    if encrypt == Some(false) {
        fields.fail(
            key,
            "with encrypt = false everything is in the clear anyway",
            "write confidentiality_offset = 0, or encrypt = true",
        );
        return None;
    }
    Some(offset)
}

fn window(fields: &mut Fields<'_>, suite: Option<CipherSuite>) -> Option<u64> {
    let xpn = suite.is_some_and(CipherSuite::is_xpn);
    let max = if xpn { MAX_WINDOW_XPN } else { MAX_WINDOW };
    fields.or("replay_window", 0, |v| v.whole(0..=max, "replay_window = 0"))
}

/// A flag of SecTAGs that carry no SCI (802.1AE clause 9.5).
fn without_sci(fields: &mut Fields<'_>, key: &'static str, send_sci: Option<bool>) -> Option<bool> {
    let flag = fields.or(key, false, |v| v.boolean(&format!("{key} = false")))?;
    if flag && send_sci == Some(true) {
        let what = "a SecTAG says this instead of an SCI, never together with one";
        fields.fail(key, what, format!("write send_sci = false, or {key} = false"));
        return None;
    }
    Some(flag)
}
