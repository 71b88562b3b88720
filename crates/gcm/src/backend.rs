//! Which instructions do the work.

use crate::KeyLength;
use crate::burst::{Burst, Op, Verdicts};
use crate::portable::{self, PortableKey, Scratch, is_scattered};
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use crate::x86::{ExpandedKey, Vaes512};

/// Names a back end for the whole process: `MACSEC_GW_GCM=portable`.
const VARIABLE: &str = "MACSEC_GW_GCM";

/// A back end that this CPU has. There is no way to a value for one that it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Vaes512(Vaes512),
    Portable,
}

/// All names, best first.
const NAMES: [&str; 2] = ["vaes512", "portable"];

/// Why there is no such back end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// Not the name of one.
    #[error("{name:?} is no GCM back end; this CPU can do {can}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What would be right.
        can: String,
    },
    /// The CPU lacks its instructions.
    #[error("this CPU, or this build, cannot do the GCM back end {name:?}; it can do {can}")]
    Unsupported {
        /// What was asked for.
        name: String,
        /// What would be right.
        can: String,
    },
}

/// A key as its back end wants it.
pub(crate) enum Expanded {
    #[cfg(target_arch = "x86_64")]
    Vaes512(Vaes512, Box<ExpandedKey>),
    Portable(PortableKey),
}

impl Backend {
    /// What runs on any CPU.
    pub const PORTABLE: Backend = Backend(Kind::Portable);

    /// The back ends that this CPU has, best first.
    pub fn available() -> impl Iterator<Item = Backend> {
        let all = [
            #[cfg(target_arch = "x86_64")]
            Vaes512::detect().map(Kind::Vaes512),
            Some(Kind::Portable),
        ];
        all.into_iter().flatten().map(Backend)
    }

    /// The name as [`from_name`](Self::from_name) takes it.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Vaes512(_) => "vaes512",
            Kind::Portable => "portable",
        }
    }

    /// The process's back end: what `MACSEC_GW_GCM` names, else the best.
    ///
    /// A name that does not do is left to [`from_environment`](Self::from_environment) to complain about.
    pub fn get() -> Self {
        static CHOSEN: OnceLock<Backend> = OnceLock::new();
        *CHOSEN.get_or_init(|| Self::from_environment().unwrap_or(Self::best()))
    }

    fn best() -> Self {
        Self::available().next().unwrap_or(Self::PORTABLE)
    }

    /// What `MACSEC_GW_GCM` names, or the best.
    ///
    /// # Errors
    /// [`BackendError`] for a name that is none, or that this CPU cannot do.
    pub fn from_environment() -> Result<Self, BackendError> {
        match std::env::var(VARIABLE) {
            Ok(name) => Self::from_name(&name),
            Err(_) => Ok(Self::best()),
        }
    }

    /// The back end of that name.
    ///
    /// # Errors
    /// [`BackendError`] for a name that is none, or that this CPU cannot do.
    pub fn from_name(name: &str) -> Result<Self, BackendError> {
        if let Some(backend) = Self::available().find(|b| b.name() == name) {
            return Ok(backend);
        }
        let can = Self::available().map(Self::name).collect::<Vec<_>>().join(", ");
        let known = NAMES.contains(&name);
        let name = name.to_owned();
        Err(if known { BackendError::Unsupported { name, can } } else { BackendError::Unknown { name, can } })
    }

    /// Expands a key of 16 or 32 octets.
    pub(crate) fn expand(self, octets: &[u8]) -> Result<Expanded, KeyLength> {
        Ok(match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Vaes512(cpu) => Expanded::Vaes512(cpu, cpu.expand(octets)),
            Kind::Portable => Expanded::Portable(PortableKey::new(octets)?),
        })
    }
}

pub(crate) fn seal(scratch: &mut Scratch, burst: &mut Burst<'_>) {
    run::<true>(scratch, burst);
}

pub(crate) fn open(scratch: &mut Scratch, burst: &mut Burst<'_>) -> Verdicts {
    run::<false>(scratch, burst)
}

/// Hands runs of operations in one piece to their back end; scattered ones are brought together first.
fn run<const SEAL: bool>(scratch: &mut Scratch, burst: &mut Burst<'_>) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let Burst { ops, segments } = burst;
    let mut place = 0;
    let mut rest = &mut ops[..];
    while let Some(first) = rest.first() {
        let run = match &first.key.0 {
            #[cfg(target_arch = "x86_64")]
            Expanded::Vaes512(cpu, _) if !is_scattered(first) => {
                let same = |op: &Op<'_>| matches!(op.key.0, Expanded::Vaes512(..)) && !is_scattered(op);
                let run = rest.iter().position(|op| !same(op)).unwrap_or(rest.len());
                verdicts.merge(place, cpu.run::<SEAL>(&mut rest[..run]));
                run
            }
            _ => {
                let authentic = run_one::<SEAL>(scratch, &mut rest[0], segments);
                verdicts.merge(place, authentic.into());
                1
            }
        };
        rest = &mut rest[run..];
        place += run;
    }
    verdicts
}

fn run_one<const SEAL: bool>(scratch: &mut Scratch, op: &mut Op<'_>, segments: &mut [&mut [u8]]) -> bool {
    match &op.key.0 {
        #[cfg(target_arch = "x86_64")]
        Expanded::Vaes512(cpu, _) => {
            scratch.gather(op, segments);
            let Scratch { aad, payload } = scratch;
            let mut whole = Op {
                key: op.key,
                nonce: op.nonce,
                aad,
                payload,
                tag: &mut *op.tag,
                aad_more: 0..0,
                payload_more: 0..0,
            };
            let authentic = cpu.run::<SEAL>(std::slice::from_mut(&mut whole)) & 1 == 1;
            if SEAL || authentic {
                scratch.scatter(op, segments);
            }
            authentic
        }
        Expanded::Portable(key) if SEAL => {
            portable::seal(scratch, key, op, segments);
            true
        }
        Expanded::Portable(key) => portable::open(scratch, key, op, segments),
    }
}
