//! Which instructions do the work.

use crate::KeyLength;
use crate::burst::{Burst, Op, Verdicts};
use crate::portable::{self, PortableKey, Scratch};
use std::sync::OnceLock;

use crate::x86::{Aesni, AesniAvx, ExpandedKey, Shapes, Vaes256, Vaes512};

/// Names a back end for the whole process: `MACSEC_GW_GCM=portable`.
const VARIABLE: &str = "MACSEC_GW_GCM";

/// A back end that this CPU has. There is no way to a value for one that it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    X86(X86),
    Portable,
}

/// Those that share the form of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum X86 {
    Vaes512(Vaes512),
    Vaes256(Vaes256),
    AesniAvx(AesniAvx),
    Aesni(Aesni),
}

/// All names, best first.
const NAMES: [&str; 5] = ["vaes512", "vaes256", "aesni-avx", "aesni", "portable"];

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
    X86(X86, Box<ExpandedKey>),
    Portable(PortableKey),
}

impl Backend {
    /// What runs on any CPU.
    pub const PORTABLE: Backend = Backend(Kind::Portable);

    /// The back ends that this CPU has, best first.
    pub fn available() -> impl Iterator<Item = Backend> {
        let all = [
            Vaes512::detect().map(|cpu| Kind::X86(X86::Vaes512(cpu))),
            Vaes256::detect().map(|cpu| Kind::X86(X86::Vaes256(cpu))),
            AesniAvx::detect().map(|cpu| Kind::X86(X86::AesniAvx(cpu))),
            Aesni::detect().map(|cpu| Kind::X86(X86::Aesni(cpu))),
            Some(Kind::Portable),
        ];
        all.into_iter().flatten().map(Backend)
    }

    /// The name as [`from_name`](Self::from_name) takes it.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::X86(X86::Vaes512(_)) => "vaes512",
            Kind::X86(X86::Vaes256(_)) => "vaes256",
            Kind::X86(X86::AesniAvx(_)) => "aesni-avx",
            Kind::X86(X86::Aesni(_)) => "aesni",
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
            Kind::X86(cpu) => Expanded::X86(cpu, cpu.expand(octets)),
            Kind::Portable => Expanded::Portable(PortableKey::new(octets)?),
        })
    }
}

impl X86 {
    fn expand(self, octets: &[u8]) -> Box<ExpandedKey> {
        match self {
            X86::Vaes512(cpu) => cpu.expand(octets),
            X86::Vaes256(cpu) => cpu.expand(octets),
            X86::AesniAvx(cpu) => cpu.expand(octets),
            X86::Aesni(cpu) => cpu.expand(octets),
        }
    }

    #[inline(always)]
    fn run<const SEAL: bool>(
        self,
        shapes: &mut Shapes,
        rounds: u32,
        ops: &mut [Op<'_>],
        whole: bool,
    ) -> (usize, u64) {
        match self {
            X86::Vaes512(cpu) => cpu.run::<SEAL>(shapes, rounds, ops, whole),
            X86::Vaes256(cpu) => cpu.run::<SEAL>(shapes, rounds, ops, whole),
            X86::AesniAvx(cpu) => cpu.run::<SEAL>(shapes, rounds, ops, whole),
            X86::Aesni(cpu) => cpu.run::<SEAL>(shapes, rounds, ops, whole),
        }
    }
}

/// What an engine keeps from burst to burst.
#[derive(Debug)]
pub(crate) struct Memory {
    scratch: Scratch,
    shapes: Box<Shapes>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Memory { scratch: Scratch::new(), shapes: Shapes::new() }
    }
}

pub(crate) fn seal(memory: &mut Memory, burst: &mut Burst<'_>) {
    run::<true>(memory, burst);
}

pub(crate) fn open(memory: &mut Memory, burst: &mut Burst<'_>) -> Verdicts {
    run::<false>(memory, burst)
}

/// Hands runs of operations in one piece to their back end; scattered ones are brought together first.
fn run<const SEAL: bool>(memory: &mut Memory, burst: &mut Burst<'_>) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let Burst { ops, segments } = burst;
    let mut place = 0;
    let mut rest = &mut ops[..];
    while let Some(first) = rest.first() {
        let run = match &first.key.0 {
            Expanded::X86(cpu, key) if !first.is_scattered() => {
                let (cpu, rounds, whole) = (*cpu, key.rounds(), segments.is_empty());
                let (run, authentic) = cpu.run::<SEAL>(&mut memory.shapes, rounds, rest, whole);
                verdicts.merge(place, authentic);
                run
            }
            _ => {
                let authentic = run_one::<SEAL>(memory, &mut rest[0], segments);
                verdicts.merge(place, authentic.into());
                1
            }
        };
        rest = &mut rest[run..];
        place += run;
    }
    verdicts
}

fn run_one<const SEAL: bool>(memory: &mut Memory, op: &mut Op<'_>, segments: &mut [&mut [u8]]) -> bool {
    let scratch = &mut memory.scratch;
    match &op.key.0 {
        Expanded::X86(cpu, key) => {
            scratch.gather(op, segments);
            let Scratch { aad, payload } = scratch;
            let Some(mut whole) = Op::new(op.key, op.nonce(), aad, payload, op.tag) else {
                unreachable!("a burst takes no message that is too long")
            };
            let ops = std::slice::from_mut(&mut whole);
            let (_, authentic) = cpu.run::<SEAL>(&mut memory.shapes, key.rounds(), ops, true);
            let authentic = authentic & 1 == 1;
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
