//! `[[link]]`: a pair of ports, and what happens between them.

use crate::ValidateFrames;
use crate::fields::Fields;
use crate::frames::{self, FrameFields};
use crate::gateway::{Cores, MAX_CORE};
use crate::mka::{self, Mka};
use crate::port::PortRead;
use crate::static_keys::{self, StaticKeys, StaticRead};
use crate::value::Value;
use std::path::Path;
use wire::{CipherSuite, ConfidentialityOffset, Sci};

/// Crypto workers of one direction of a link at most.
pub const MAX_CRYPTO_WORKERS: usize = 32;

/// Whether frames may pass in the clear. None ever does for want of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// Never: what cannot be protected or verified is dropped.
    #[default]
    MustSecure,
    /// As [`Link::validate_frames`] and [`Link::protect_frames`] have it: what they say is meant.
    ShouldSecure,
}

/// A link: plain Ethernet on one port, MACsec on the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name; unique, and fit for a file's name.
    pub name: String,
    /// Index in `Config::ports` of the port in the clear.
    pub plain: usize,
    /// Index in `Config::ports` of the port with MACsec.
    pub line: usize,
    /// Core of the worker that protects; one of `Gateway::worker_cores`.
    pub protect_core: usize,
    /// Core of the worker that verifies; one of `Gateway::worker_cores`.
    pub verify_core: usize,
    /// Cores of the crypto workers that protect: none leaves it to `protect_core`.
    pub protect_crypto_cores: Vec<usize>,
    /// Cores of the crypto workers that verify: none leaves it to `verify_core`.
    pub verify_crypto_cores: Vec<usize>,
    /// SCI of the transmit SC; `None` derives it from the line port's MAC address.
    pub sci: Option<Sci>,
    /// Whether frames may pass in the clear.
    pub policy: Policy,
    /// What becomes of frames that are not authentic; [`ValidateFrames::Strict`] with [`Policy::MustSecure`].
    pub validate_frames: ValidateFrames,
    /// Whether frames are protected at all (802.1AE clause 10.7.17); always with [`Policy::MustSecure`].
    pub protect_frames: bool,
    /// The cipher suite.
    pub cipher_suite: CipherSuite,
    /// Whether frames are encrypted, and not only integrity-protected.
    pub encrypt: bool,
    /// What an encrypted frame leaves in the clear; only suites with 32-bit packet numbers leave anything.
    pub confidentiality_offset: ConfidentialityOffset,
    /// Whether frames that are late are dropped (802.1AE clause 10.7.8).
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
    /// Key agreement.
    pub mka: Option<Mka>,
    /// Keys by hand; present wherever `protect_frames` is set and `mka` is not.
    pub static_keys: Option<StaticKeys>,
}

/// A link, and where its keys stand.
pub(crate) struct LinkRead {
    pub(crate) link: Link,
    pub(crate) tx_at: Option<usize>,
    pub(crate) rx_at: Vec<Option<usize>>,
}

/// What links are checked against.
pub(crate) struct Surroundings<'s> {
    pub(crate) ports: &'s [PortRead],
    pub(crate) cores: &'s Cores,
    pub(crate) dir: &'s Path,
}

/// Links that were read, as far as later ones must differ from them.
#[derive(Default)]
struct Taken {
    /// Names, and their lines.
    names: Vec<(String, Option<usize>)>,
    /// Ports, and who took them.
    ports: Vec<(usize, String)>,
    /// Cores of crypto workers, and where they stand.
    crypto_cores: Vec<(usize, String)>,
}

/// Reads `[[link]]`; wrong ones are `None`.
pub(crate) fn read_all(root: &mut Fields<'_>, around: &Surroundings<'_>) -> Vec<Option<LinkRead>> {
    let remedy = "write one with name, plain, line and [link.mka]";
    let mut taken = Taken::default();
    let tables = root.tables("link", remedy);
    tables.into_iter().enumerate().map(|(i, fields)| read(fields, i, around, &mut taken)).collect()
}

fn read(
    mut fields: Fields<'_>,
    index: usize,
    around: &Surroundings<'_>,
    taken: &mut Taken,
) -> Option<LinkRead> {
    let name = name(&mut fields, taken);
    let user = name.as_ref().map_or_else(|| format!("link[{index}]"), |name| format!("link \"{name}\""));
    let plain = port(&mut fields, "plain", &user, around, taken);
    let line = port(&mut fields, "line", &user, around, taken);
    let cores = cores(&mut fields, index, &around.cores.workers);
    let crypto_cores = crypto_cores(&mut fields, around.cores, taken);
    let sci = fields.optional("sci", |v| {
        const EXAMPLE: &str = "sci = \"0200000000010001\"";
        let sci: Sci = v.parsed(EXAMPLE)?;
        if sci.mac().0[0] & 1 == 1 {
            let what = format!("{}: begins with a group address, and no frame may come from one", v.shown());
            return v.fail(what, format!("write the address of one station, as in {EXAMPLE}"));
        }
        Some(sci)
    });
    let policy = fields.or("policy", Policy::MustSecure, |v| {
        v.one_of(&[("must-secure", Policy::MustSecure), ("should-secure", Policy::ShouldSecure)])
    });
    let validate_frames = validate_frames(&mut fields, policy);
    let protect_frames = protect_frames(&mut fields, policy);
    let suite = frames::suite(&mut fields, Some(CipherSuite::GcmAesXpn256));
    let frames = FrameFields::read(&mut fields, suite)
        .filter(|frames| sci.is_none_or(|sci| frames::flags_fit(&fields, frames, sci)));
    let replay_protect = frames.as_ref().map(|frames| frames.replay_protect);
    let mka = fields.optional("mka", |v| mka::read(v, suite, replay_protect, around.dir));
    let keys = fields.optional("static", |v| static_keys::read(v, suite, around.dir));
    match (fields.has("mka"), fields.has("static")) {
        (true, true) => {
            let what = "stands beside [link.mka], and a link has its keys from one of them";
            fields.fail("static", what, "remove [link.static], or [link.mka]");
        }
        (false, false) if protect_frames == Some(true) => {
            let what = "is missing, and there is no key to protect frames with";
            let remedy =
                "write [link.mka] with cak_file = \"…\", or [link.static] with tx = { … } and rx = [{ … }]";
            fields.fail("mka", what, remedy);
        }
        _ => {}
    }
    fields.finish();

    let (frames, protect_frames, mka, keys) = (frames?, protect_frames?, mka?, keys?);
    let (protect_core, verify_core) = cores?;
    let CryptoCores { protect: protect_crypto_cores, verify: verify_crypto_cores } = crypto_cores?;
    let (keys, tx_at, rx_at) = match keys {
        Some(StaticRead { keys, tx_at, rx_at }) => (Some(keys), tx_at, rx_at),
        None if protect_frames && mka.is_none() => return None,
        None => (None, None, Vec::new()),
    };
    let link = Link {
        name: name?,
        plain: plain?,
        line: line?,
        protect_core,
        verify_core,
        protect_crypto_cores,
        verify_crypto_cores,
        sci: sci?,
        policy: policy?,
        validate_frames: validate_frames?,
        protect_frames,
        cipher_suite: frames.cipher_suite,
        encrypt: frames.encrypt,
        confidentiality_offset: frames.confidentiality_offset,
        replay_protect: frames.replay_protect,
        replay_window: frames.replay_window,
        send_sci: frames.send_sci,
        end_station: frames.end_station,
        single_copy_broadcast: frames.single_copy_broadcast,
        clear_vlan_tags: frames.clear_vlan_tags,
        mka,
        static_keys: keys,
    };
    Some(LinkRead { link, tx_at, rx_at })
}

fn name(fields: &mut Fields<'_>, taken: &mut Taken) -> Option<String> {
    let example = "name = \"dc1-dc2\"";
    let name = fields.required("name", example)?.identifier(example)?.to_owned();
    fields.rename(format!("link \"{name}\": "));
    if let Some((_, line)) = taken.names.iter().find(|(other, _)| *other == name) {
        let line = line.map_or_else(String::new, |line| format!(" at line {line}"));
        let what = format!("{name:?} is already the name of the link{line}");
        fields.fail("name", what, "give each link a name of its own");
        return None;
    }
    taken.names.push((name.clone(), fields.line(fields.at())));
    Some(name)
}

fn port(
    fields: &mut Fields<'_>,
    side: &'static str,
    user: &str,
    around: &Surroundings<'_>,
    taken: &mut Taken,
) -> Option<usize> {
    let names: Vec<_> = around.ports.iter().filter_map(|p| p.name.as_deref()).collect();
    let example = format!("{side} = \"{}\"", names.first().unwrap_or(&"plain0"));
    let value = fields.required(side, &example)?;
    let name = value.text(&example)?;
    let Some(index) = around.ports.iter().position(|p| p.name.as_deref() == Some(name)) else {
        // Then it may be that one, and what is wrong with it has been said.
        if names.len() < around.ports.len() || names.is_empty() {
            return None;
        }
        let remedy = format!("ports here: {}", names.join(", "));
        return value.fail(format!("no port is named {}", value.shown()), remedy);
    };
    if let Some((_, other)) = taken.ports.iter().find(|(port, _)| *port == index) {
        let remedy = "give each side of each link a port of its own";
        return if other == user {
            value.fail(format!("the same port twice: {name:?} is both sides of this link"), remedy)
        } else {
            value.fail(format!("the same port twice: {name:?} belongs to {other}"), remedy)
        };
    }
    taken.ports.push((index, user.to_owned()));
    Some(index)
}

/// The cores that protect and verify. Without a word, links take the workers in turn.
fn cores(fields: &mut Fields<'_>, index: usize, workers: &[usize]) -> Option<(usize, usize)> {
    let example = format!("cores = [{}]", workers.first().unwrap_or(&1));
    let read = |v: &Value<'_>| {
        let items = v.list(&example)?;
        if items.is_empty() || items.len() > 2 {
            let what = format!("names {} cores", items.len());
            return v.fail(
                what,
                format!("write {example}, or two cores: the first protects, the second verifies"),
            );
        }
        let mut cores = Vec::new();
        for item in &items {
            let core = item.whole(0..=u32::MAX.into(), &example)? as usize;
            // An empty list was reported where it stands.
            if !workers.contains(&core) && !workers.is_empty() {
                let workers: Vec<_> = workers.iter().map(usize::to_string).collect();
                let remedy = format!("worker_cores are {}", workers.join(", "));
                return item.fail(format!("core {core} is not one of worker_cores"), remedy);
            }
            cores.push(core);
        }
        Some((*cores.first()?, *cores.last()?))
    };
    match fields.optional("cores", read)? {
        Some(cores) => Some(cores),
        None => {
            let core = *workers.get(index.checked_rem(workers.len())?)?;
            Some((core, core))
        }
    }
}

#[derive(Default)]
struct CryptoCores {
    protect: Vec<usize>,
    verify: Vec<usize>,
}

/// The cores of crypto workers: each is one worker's, of one direction of one link.
fn crypto_cores(fields: &mut Fields<'_>, cores: &Cores, taken: &mut Taken) -> Option<CryptoCores> {
    let example = "crypto_cores = { protect = [2, 3], verify = [4, 5] }";
    let mut read = |v: &Value<'_>| {
        let mut fields = v.fields(example)?;
        let protect = fields.or("protect", Vec::new(), |v| crypto_list(v, example, cores, taken));
        let verify = fields.or("verify", Vec::new(), |v| crypto_list(v, example, cores, taken));
        fields.finish();
        Some(CryptoCores { protect: protect?, verify: verify? })
    };
    Some(fields.optional("crypto_cores", |v| read(v))?.unwrap_or_default())
}

fn crypto_list(value: &Value<'_>, example: &str, cores: &Cores, taken: &mut Taken) -> Option<Vec<usize>> {
    let items = value.list(example)?;
    if items.len() > MAX_CRYPTO_WORKERS {
        let what = format!("names {} cores", items.len());
        return value.fail(what, format!("name {MAX_CRYPTO_WORKERS} at most"));
    }
    let mut list = Vec::new();
    for item in items {
        let core = item.whole(0..=MAX_CORE, example)? as usize;
        let other = taken.crypto_cores.iter().find(|(c, _)| *c == core).map(|(_, whose)| whose.as_str());
        let whose = match other {
            _ if cores.workers.contains(&core) => Some("gateway.worker_cores"),
            _ if cores.control == Some(core) => Some("gateway.control_core"),
            other => other,
        };
        if let Some(whose) = whose {
            let remedy = "give each crypto worker a core of its own";
            return item.fail(format!("core {core} is taken by {whose}"), remedy);
        }
        taken.crypto_cores.push((core, item.path().to_owned()));
        list.push(core);
    }
    Some(list)
}

fn validate_frames(fields: &mut Fields<'_>, policy: Option<Policy>) -> Option<ValidateFrames> {
    let default = match policy {
        Some(Policy::ShouldSecure) => ValidateFrames::Check,
        _ => ValidateFrames::Strict,
    };
    let key = "validate_frames";
    let validate = fields.or(key, default, |v| v.one_of(&ValidateFrames::WORDS))?;
    if policy == Some(Policy::MustSecure) && validate != ValidateFrames::Strict {
        let what =
            format!("\"{validate}\" lets frames in that are not authentic, which must-secure rules out");
        fields.fail(key, what, "write validate_frames = \"strict\", or policy = \"should-secure\"");
        return None;
    }
    Some(validate)
}

fn protect_frames(fields: &mut Fields<'_>, policy: Option<Policy>) -> Option<bool> {
    let key = "protect_frames";
    let protect = fields.or(key, true, |v| v.boolean("protect_frames = true"))?;
    if policy == Some(Policy::MustSecure) && !protect {
        let what = "false sends everything in the clear, nothing encrypted, which must-secure rules out";
        fields.fail(key, what, "write protect_frames = true, or policy = \"should-secure\"");
        return None;
    }
    Some(protect)
}
