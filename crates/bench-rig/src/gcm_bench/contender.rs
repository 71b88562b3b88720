//! Who is measured.

use super::case::Suite;
use super::frames::Frame;
use super::ours::Ours;
use super::peers::{AwsLc, OneByOne, RustCrypto128, RustCrypto256};
use crate::BadUsage;
use crate::clock::Clock;
use gcm::Backend;
use std::hint::black_box;

/// The row of what the CPU's ports allow.
pub(crate) const LIMIT: &str = "limit";
/// Names of the rows of intel-ipsec-mb.
const IPSEC_MB: [&str; 3] = ["ipsec-mb", "ipsec-mb-avx2", "ipsec-mb-sse"];
/// The SCI that nonces begin with.
const SCI: u64 = 0x0200_0000_0001_0001;

/// A nonce as MACsec has it.
#[inline(always)]
pub(crate) fn nonce(pn: u32) -> [u8; gcm::NONCE_LEN] {
    let mut nonce = [0; gcm::NONCE_LEN];
    nonce[..8].copy_from_slice(&SCI.to_be_bytes());
    nonce[8..].copy_from_slice(&pn.to_be_bytes());
    nonce
}

/// Seals and opens bursts with keys that it has.
pub(crate) trait Contender {
    /// Seals a burst in place; the first frame has the packet number `first`, and so on.
    fn seal(&mut self, frames: &mut [Frame<'_>], first: u32);

    /// Opens a burst in place and says how many of its frames were authentic.
    fn open(&mut self, frames: &mut [Frame<'_>], first: u32) -> usize;
}

/// Which contender.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A back end of ours.
    Ours(Backend),
    /// The crate `aes-gcm`.
    RustCrypto,
    /// The crate `aws-lc-rs`.
    AwsLc,
    /// The library of that name, limited to some instructions.
    #[cfg(feature = "peer-ipsec-mb")]
    IpsecMb(ipsec_mb::Functions, &'static str),
}

impl Kind {
    /// All that this CPU and this build have: ours, best first, then the others.
    fn all() -> Vec<Kind> {
        let mut all: Vec<Kind> = Backend::available().map(Kind::Ours).collect();
        all.extend([Kind::RustCrypto, Kind::AwsLc]);
        #[cfg(feature = "peer-ipsec-mb")]
        {
            use ipsec_mb::{Arch, Functions};
            let arches = IPSEC_MB.into_iter().zip([Arch::Best, Arch::Avx2, Arch::Sse]);
            all.extend(arches.filter_map(|(name, arch)| Some(Kind::IpsecMb(Functions::new(arch)?, name))));
        }
        all
    }

    /// Its name in rows and in `--backend`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Kind::Ours(backend) => backend.name(),
            Kind::RustCrypto => "rustcrypto",
            Kind::AwsLc => "aws-lc-rs",
            #[cfg(feature = "peer-ipsec-mb")]
            Kind::IpsecMb(_, name) => name,
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Kind::Ours(_))
    }

    /// The contender with these keys of `suite`.
    pub(crate) fn with_keys(&self, suite: Suite, keys: &[Vec<u8>]) -> Box<dyn Contender> {
        match (*self, suite) {
            (Kind::Ours(backend), _) => Box::new(Ours::new(backend, keys)),
            (Kind::RustCrypto, Suite::GcmAes128) => Box::new(OneByOne::new(keys, RustCrypto128::new)),
            (Kind::RustCrypto, Suite::GcmAes256) => Box::new(OneByOne::new(keys, RustCrypto256::new)),
            (Kind::AwsLc, _) => Box::new(OneByOne::new(keys, AwsLc::new)),
            #[cfg(feature = "peer-ipsec-mb")]
            (Kind::IpsecMb(functions, _), _) => {
                Box::new(OneByOne::new(keys, |k| super::peers::ipsec_mb_key(&functions, k)))
            }
        }
    }

    /// Sets up these keys and says how many ticks it took.
    pub(crate) fn set_up(&self, suite: Suite, keys: &[Vec<u8>], clock: &Clock) -> u64 {
        match (*self, suite) {
            (Kind::Ours(backend), _) => timed(clock, keys, |k| super::ours::key(backend, k)),
            (Kind::RustCrypto, Suite::GcmAes128) => timed(clock, keys, RustCrypto128::new),
            (Kind::RustCrypto, Suite::GcmAes256) => timed(clock, keys, RustCrypto256::new),
            (Kind::AwsLc, _) => timed(clock, keys, AwsLc::new),
            #[cfg(feature = "peer-ipsec-mb")]
            (Kind::IpsecMb(functions, _), _) => {
                timed(clock, keys, |k| super::peers::ipsec_mb_key(&functions, k))
            }
        }
    }
}

/// Ticks that setting up the keys takes, without their end.
fn timed<K>(clock: &Clock, keys: &[Vec<u8>], new: impl Fn(&[u8]) -> K) -> u64 {
    let mut made = Vec::with_capacity(keys.len());
    let start = clock.now();
    for octets in keys {
        made.push(new(black_box(octets)));
    }
    let ticks = clock.now() - start;
    drop(black_box(made));
    ticks
}

/// What was asked for, and what was not to be had.
pub(crate) struct Chosen {
    pub(crate) kinds: Vec<Kind>,
    /// Whether the limit has rows.
    pub(crate) limit: bool,
    /// What to say about those that are missing.
    pub(crate) notes: Vec<String>,
}

/// Those of `names`, or all.
///
/// # Errors
/// [`BadUsage`] for a name that is none, or that this CPU or this build lacks.
pub(crate) fn choose(names: &[String]) -> Result<Chosen, BadUsage> {
    let all = Kind::all();
    if names.is_empty() {
        let missing = IPSEC_MB.into_iter().filter(|name| all.iter().all(|kind| kind.name() != *name));
        // One line for all three where none is there.
        let mut notes: Vec<String> = missing.map(ipsec_mb_missing).collect();
        notes.truncate(if cfg!(feature = "peer-ipsec-mb") { notes.len() } else { 1 });
        return Ok(Chosen { kinds: all, limit: true, notes });
    }
    for name in names {
        if name == LIMIT || all.iter().any(|kind| kind.name() == name) {
            continue;
        }
        if let Some(name) = IPSEC_MB.into_iter().find(|known| known == name) {
            return Err(BadUsage(format!("--backend {name}: {}", ipsec_mb_missing(name))));
        }
        let can = all.iter().map(Kind::name).chain([LIMIT]).collect::<Vec<_>>().join(", ");
        return Err(BadUsage(match Backend::from_name(name) {
            Err(e @ gcm::BackendError::Unsupported { .. }) => format!("--backend {name}: {e}"),
            _ => format!("--backend {name}: no such contender; there are {can}"),
        }));
    }
    let kinds = all.into_iter().filter(|kind| names.iter().any(|name| name == kind.name())).collect();
    Ok(Chosen { kinds, limit: names.iter().any(|name| name == LIMIT), notes: Vec::new() })
}

fn ipsec_mb_missing(name: &str) -> String {
    if cfg!(feature = "peer-ipsec-mb") {
        format!("{name}: this CPU lacks what it takes")
    } else {
        format!("{name}: not built in; build with --features peer-ipsec-mb (apt install libipsec-mb-dev)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_sci_and_packet_number() {
        assert_eq!(nonce(0x0102_0304), [2, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4]);
    }

    #[test]
    fn without_names_everyone_takes_part() {
        let chosen = choose(&[]).unwrap();
        let names: Vec<_> = chosen.kinds.iter().map(Kind::name).collect();
        assert!(Backend::available().zip(&names).all(|(backend, name)| backend.name() == *name));
        assert!(names.contains(&"rustcrypto") && names.contains(&"aws-lc-rs"));
        let built_in = names.contains(&"ipsec-mb");
        assert_eq!(built_in, cfg!(feature = "peer-ipsec-mb"));
        assert!(built_in || chosen.notes[0].contains("build with --features peer-ipsec-mb"));
        assert!(chosen.limit);
    }

    #[test]
    fn names_choose() {
        let chosen = choose(&["portable".to_owned()]).unwrap();
        assert_eq!((chosen.kinds.len(), chosen.kinds[0].name(), chosen.limit), (1, "portable", false));
        let chosen = choose(&["limit".to_owned()]).unwrap();
        assert_eq!((chosen.kinds.len(), chosen.limit), (0, true));
        let refused = choose(&["openssl".to_owned()]).err().unwrap().to_string();
        assert!(refused.starts_with("--backend openssl: no such contender; there are "), "{refused}");
        assert!(refused.contains("portable") && refused.ends_with("limit"), "{refused}");
    }

    #[test]
    #[cfg(not(feature = "peer-ipsec-mb"))]
    fn what_is_not_built_in_says_how_to() {
        let refused = choose(&["ipsec-mb-sse".to_owned()]).err().unwrap().to_string();
        assert!(refused.contains("not built in; build with --features peer-ipsec-mb"), "{refused}");
    }
}
