//! KEYS: the keys that `macsec-gw pcap` works with.
//!
//! Here keys stand in the file itself. So no message repeats any of its values.

use crate::ValidateFrames;
use crate::document::{Report, Source};
use crate::error::Errors;
use crate::fields::Fields;
use crate::frames::{self, CheckFields, FrameFields};
use crate::static_keys::{self, Misfit, SaNumbers, XpnParams, check_sak};
use crate::value::Value;
use keys::{Cak, Ckn, HexError, Sak, Salt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use wire::{An, CipherSuite, ConfidentialityOffset, Sci};

/// An SA of a KEYS file, for protecting or verifying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticSa {
    /// Its channel.
    pub sci: Sci,
    /// Its association number.
    pub an: An,
    /// Its key, as long as the suite asks for.
    pub sak: Sak,
    /// Present exactly with XPN suites.
    pub xpn: Option<XpnParams>,
    /// Next packet number when protecting, lowest acceptable one when verifying: at least 1, within the suite's
    /// 32 or 64 bits.
    pub next_pn: u64,
}

/// Content of a KEYS file, in one of its two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysFile {
    /// `cipher_suite` and `[[sa]]`: the keys themselves.
    Static(Box<StaticSas>),
    /// `cak` and `ckn`: what the keys in a capture of MKA were distributed under.
    Mka(MkaKeys),
}

/// A CAK and its name, and how to check frames. The fields that a [`Link`](crate::Link) has too mean the same here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MkaKeys {
    /// The key.
    pub cak: Cak,
    /// Its name.
    pub ckn: Ckn,
    /// What becomes of frames that are not authentic.
    pub validate_frames: ValidateFrames,
    /// Whether frames that are late are dropped.
    pub replay_protect: bool,
    /// How far behind the greatest packet number a frame may be, in frames.
    pub replay_window: u64,
    /// VLAN tags left in the clear in front of the SecTAG: 0 to 2.
    pub clear_vlan_tags: usize,
}

/// SAs, and how to form and check frames. The fields that a [`Link`](crate::Link) has too mean the same here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticSas {
    /// The cipher suite.
    pub cipher_suite: CipherSuite,
    /// What becomes of frames that are not authentic.
    pub validate_frames: ValidateFrames,
    /// Whether frames are encrypted, and not only integrity-protected.
    pub encrypt: bool,
    /// What an encrypted frame leaves in the clear.
    pub confidentiality_offset: ConfidentialityOffset,
    /// Whether frames that are late are dropped.
    pub replay_protect: bool,
    /// How far behind the greatest packet number a frame may be, in frames.
    pub replay_window: u64,
    /// Whether SecTAGs carry the SCI.
    pub send_sci: bool,
    /// Whether SecTAGs have ES set; only without SCI.
    pub end_station: bool,
    /// Whether SecTAGs have SCB set; only without SCI.
    pub single_copy_broadcast: bool,
    /// VLAN tags left in the clear in front of the SecTAG: 0 to 2.
    pub clear_vlan_tags: usize,
    /// The SAs in their order in the file: at least one, no two with the same SCI and AN.
    pub sas: Vec<StaticSa>,
    exposed: bool,
}

impl KeysFile {
    /// Reads and checks the file at `path`. SAs are read whoever else can read them; a CAK, like that of a link, is
    /// for its owner alone.
    ///
    /// # Errors
    /// All problems that could be found; none shows a value of the file.
    pub fn load(path: &Path) -> Result<KeysFile, Errors> {
        let source = Source::read(path)?;
        let report = Report::new(&source, true);
        let exposed = Some(source.meta.mode() & 0o7777).filter(|m| source.meta.is_file() && m & 0o077 != 0);
        let keys = report.parse(&source.text).and_then(|table| {
            let root = Fields::new(&report, String::new(), None, &table);
            if root.has("cak") || root.has("ckn") {
                read_mka(root, exposed, path).map(KeysFile::Mka)
            } else {
                read_static(root, exposed.is_some()).map(|sas| KeysFile::Static(Box::new(sas)))
            }
        });
        report.finish()?;
        keys.ok_or_else(|| Report::unexplained(path))
    }

    /// Whether others than its owner can access the file, which deserves a warning.
    pub fn exposed(&self) -> bool {
        matches!(self, KeysFile::Static(sas) if sas.exposed)
    }
}

fn read_mka(mut root: Fields<'_>, exposed: Option<u32>, path: &Path) -> Option<MkaKeys> {
    let example = "cak = \"32 or 64 hex digits\"";
    let cak = root.required("cak", example).and_then(|v| secret(&v, Cak::from_hex, example));
    let example = "ckn = \"2 to 64 hex digits\"";
    let ckn = root.required("ckn", example).and_then(|v| secret(&v, Ckn::from_hex, example));
    let frames = CheckFields::read(&mut root);
    for key in [
        "cipher_suite",
        "encrypt",
        "confidentiality_offset",
        "send_sci",
        "end_station",
        "single_copy_broadcast",
        "sa",
    ] {
        root.refuse(key, "does not go with cak and ckn, under which it comes with each SAK", "remove it");
    }
    if let Some(mode) = exposed {
        let what = format!("others than its owner can access this file (mode {mode:04o}), which holds a CAK");
        root.fail("cak", what, format!("run: chmod 600 {}", path.display()));
    }
    root.finish();
    let CheckFields { validate_frames, replay_protect, replay_window, clear_vlan_tags } = frames?;
    Some(MkaKeys { cak: cak?, ckn: ckn?, validate_frames, replay_protect, replay_window, clear_vlan_tags })
}

fn read_static(mut root: Fields<'_>, exposed: bool) -> Option<StaticSas> {
    let suite = frames::suite(&mut root, None);
    let frames = FrameFields::read(&mut root, suite);
    let validate_frames = frames::validate_frames(&mut root);
    let mut seen = Vec::new();
    let sas: Vec<_> = root
        .tables("sa", "write [[sa]] with sci, an and sak")
        .into_iter()
        .map(|fields| read_sa(fields, suite, &mut seen))
        .collect();
    root.finish();
    let frames = frames?;
    Some(StaticSas {
        cipher_suite: frames.cipher_suite,
        validate_frames: validate_frames?,
        encrypt: frames.encrypt,
        confidentiality_offset: frames.confidentiality_offset,
        replay_protect: frames.replay_protect,
        replay_window: frames.replay_window,
        send_sci: frames.send_sci,
        end_station: frames.end_station,
        single_copy_broadcast: frames.single_copy_broadcast,
        clear_vlan_tags: frames.clear_vlan_tags,
        sas: sas.into_iter().collect::<Option<_>>()?,
        exposed,
    })
}

fn read_sa(
    mut fields: Fields<'_>,
    suite: Option<CipherSuite>,
    seen: &mut Vec<(Sci, An, String)>,
) -> Option<StaticSa> {
    let sci = static_keys::sci(&mut fields);
    let numbers = SaNumbers::read(&mut fields, suite);
    let example = "sak = \"32 or 64 hex digits\"";
    let sak = fields.required("sak", example).and_then(|v| secret(&v, Sak::from_hex, example));
    let salt = fields.optional("salt", |v| secret(v, Salt::from_hex, "salt = \"24 hex digits\""));
    let unique =
        sci.zip(numbers.as_ref()).is_none_or(|(sci, n)| static_keys::first(&fields, sci, n.an, seen));
    let mut fit = unique;
    if let (Some(sak), Some(salt), Some(suite)) = (&sak, &salt, suite) {
        for misfit in check_sak(sak, salt.is_some(), suite) {
            let (key, what, remedy) = match misfit {
                Misfit::Sak(what, remedy) => ("sak", what, remedy),
                Misfit::Salt(what, remedy) => ("salt", what, remedy),
            };
            fields.fail(key, what, remedy);
            fit = false;
        }
    }
    fields.finish();
    let (sci, numbers, sak, salt) = (sci?, numbers?, sak?, salt?);
    let sa = StaticSa { sci, an: numbers.an, sak, xpn: numbers.xpn(salt), next_pn: numbers.next_pn };
    fit.then_some(sa)
}

fn secret<T>(value: &Value<'_>, parse: fn(&str) -> Result<T, HexError>, example: &str) -> Option<T> {
    match parse(value.text(example)?) {
        Ok(secret) => Some(secret),
        Err(e) => value.fail(e.to_string(), format!("write {example}")),
    }
}
