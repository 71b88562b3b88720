//! The command line of `bench gateway`.

use super::case::{FrameSize, LATENCY_SIZES, Path, SIZES};
use super::{Mode, Options};
use crate::BadUsage;
use crate::ports::PortArgs;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use wire::CipherSuite;

/// Slices of each that count, and with `--quick`.
const SLICES: (u32, u32) = (30, 5);
/// Slices at most: 32-bit packet numbers last for them at 60 million frames a second, with --latency at 40.
const MOST_SLICES: u32 = 10_000;

/// Where frames come from and go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PortKind {
    /// Rings in memory, on which nothing is copied
    Memory,
    /// A capture that DPDK's net_pcap repeats, and its net_null
    Replay,
}

#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// Only frames of these sizes, in octets with FCS, or "imix" [default: 64 to 9000 and imix; with --ports replay no
    /// 9000, with --latency 64,1518]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    octets: Vec<FrameSize>,
    /// Only these suites: gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128, gcm-aes-xpn-256
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    suite: Vec<CipherSuite>,
    /// Only these paths [default: all; with --ports replay not both, with --latency not clear]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    path: Vec<Path>,
    /// Where frames come from and go to
    #[arg(long, value_enum, value_name = "PORTS", default_value_t = PortKind::Memory)]
    ports: PortKind,
    /// Latency that the gateway adds, at half of the most that it can do
    #[arg(long, conflicts_with = "duplex")]
    latency: bool,
    /// Protect on one core and verify on another, each alone and both at once; takes two cores
    #[arg(long, conflicts_with = "path")]
    duplex: bool,
    /// Slices for each path of each case, of 1 ms, or of 5 ms with --ports replay, 10 with --latency, 3 with --duplex
    /// [default: 30, or 5 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SLICES)))]
    slices: Option<u32>,
    /// Few slices: seconds, and rough
    #[arg(long)]
    quick: bool,
    /// The core to measure on: the gateway's with --latency, protect's with --duplex; the other one of these is the last
    /// that is left [default: the last one that this process may use]
    #[arg(long)]
    core: Option<usize>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    /// Also write DIR/index.html, a page with tables and plots, and DIR/results.jsonl, what --json prints; they
    /// take the place of those of an earlier report
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    // Last, for its heading.
    #[command(flatten)]
    dpdk: PortArgs,
}

impl TryFrom<GatewayArgs> for Options {
    type Error = BadUsage;

    fn try_from(args: GatewayArgs) -> Result<Self, BadUsage> {
        let bad = |text: &str| Err(BadUsage(text.to_owned()));
        let mode = match (args.ports, args.latency, args.duplex) {
            (PortKind::Replay, true, _) => return bad("--latency takes --ports memory"),
            (PortKind::Replay, _, true) => return bad("--duplex takes --ports memory"),
            (PortKind::Replay, ..) => Mode::Replay,
            (_, true, _) => Mode::Latency,
            (_, _, true) => Mode::Duplex,
            _ => Mode::Memory,
        };
        if mode == Mode::Replay && args.path.contains(&Path::Both) {
            return bad(
                "--path both takes --ports memory: a capture goes one way, on clear, protect or verify",
            );
        }
        let PortArgs { no_huge, memory, eal_args } = &args.dpdk;
        if mode != Mode::Replay && (*no_huge || memory.is_some() || !eal_args.is_empty()) {
            return bad("--no-huge, --memory and --eal-arg are for --ports replay");
        }
        let usual_paths = match mode {
            Mode::Memory => &Path::ALL[..],
            Mode::Replay => &[Path::Clear, Path::Protect, Path::Verify],
            Mode::Latency => &[Path::Protect, Path::Verify, Path::Both],
            Mode::Duplex => &[Path::Protect, Path::Verify],
        };
        let usual_sizes = match mode {
            Mode::Latency => LATENCY_SIZES.to_vec(),
            // Virtual devices have the usual room for a frame.
            Mode::Replay => SIZES.into_iter().filter(|size| *size != FrameSize::Octets(9000)).collect(),
            Mode::Memory | Mode::Duplex => SIZES.to_vec(),
        };
        Ok(Options {
            mode,
            suites: or(args.suite, &CipherSuite::ALL),
            sizes: or(args.octets, &usual_sizes),
            paths: or(args.path, usual_paths),
            slices: args.slices.unwrap_or(if args.quick { SLICES.1 } else { SLICES.0 }) as usize,
            core: args.core,
            json: args.json,
            report: args.report,
            dpdk: args.dpdk,
        })
    }
}

fn or<T: Clone>(given: Vec<T>, usual: &[T]) -> Vec<T> {
    if given.is_empty() { usual.to_vec() } else { given }
}
