//! The command line.

use crate::BadUsage;
use crate::gateway_bench::{self, GatewayArgs};
use crate::gcm_bench::{self, Direction, Mode, Options, Size, Suite};
use crate::rfc2544::{self, Rfc2544Args};
use crate::scale::{self, ScaleArgs};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure what the gateway is made of, and whole links.
#[derive(Debug, Parser)]
#[command(name = "macsec-gw bench", bin_name = "macsec-gw bench", version = crate::VERSION, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// AES-GCM per frame: each back end that this CPU has, other libraries, and the limit of the CPU's ports
    ///
    /// Frames are sealed or opened in place, in bursts, with a nonce each and data in the second-level cache. All
    /// contenders alternate in slices of a millisecond on one core, and the median slice counts; before, the
    /// output of each is compared with the portable back end's. Numbers of different runs do not compare.
    ///
    /// The limit is what AES and carry-less multiplication alone take, in loops that are measured in slices of
    /// their own; `of limit` is how near to it a contender comes. `×` is how many times the best back end's
    /// time a contender takes.
    Gcm(GcmArgs),
    /// The gateway's own loop, from receive to transmit: rates on one core, latency, both directions at once
    ///
    /// Frames come from memory and go to memory. All paths, and the AES-GCM engine alone, alternate in slices of a
    /// millisecond, and the median slice counts; before, what they make of the frames is checked. `of clear` is the rate
    /// as a part of that of the same loop without crypto, `of engine` as a part of what the engine alone would do, in
    /// slices that come soon after each other. The last columns say where the time of a frame goes.
    ///
    /// With --ports replay frames come from DPDK's net_pcap, which repeats a capture, and go to net_null, in slices of
    /// 5 ms; what the gateway counted is checked. `of io` is the rate as a part of that of dpdk-testpmd in io mode, where
    /// that is installed, on devices like these, in turns with the gateway.
    ///
    /// --latency is the time that the gateway adds at half of the most that it can do, from wire to wire, with the gateway
    /// on one core and generator and receiver together on another. `own` is the same with a core in between that only passes
    /// frames on. `core away` is the part of the time that the machine took that core for other things: of frames about twice
    /// that part waits for it.
    ///
    /// --duplex is protect on one core and verify on another, each alone and both at once.
    ///
    /// The first Ctrl-C ends it with what was found so far, and exit status 1.
    Gateway(GatewayArgs),
    /// RFC 2544: throughput, latency, frame loss and back-to-back frames of whatever is between two ports
    ///
    /// Frames are ordinary Ethernet, IPv4 and UDP, with flow, sequence number and time inside, so that loss, duplicates,
    /// order and age are told exactly. A trial begins with learning frames each way and ends when all frames are
    /// there, or after --drain. Frames that the port --tx does not take yet are not lost but offered later: where that
    /// makes a trial offer less than was asked for, it says so.
    ///
    /// Latency is taken at the throughput and below, which is searched for even when it is not asked for. The rig's own
    /// share of it is what it measures with nothing in between: a cable from port to port, or, for the program alone,
    /// --tx net_ring0 --rx net_ring0. Trials of RFC 2544 take --trial 60 --drain 2000 and --rate; those of latency
    /// (clause 26.2) --trial 120 --repetitions 20, and bursts --repetitions 50. The RFC averages over one frame of each
    /// trial of latency; here all frames of all repetitions count together. The defaults are for quick use.
    ///
    /// The first Ctrl-C ends it with what was found so far, and exit status 1.
    Rfc2544(Rfc2544Args),
    /// Crypto workers: how much faster a direction of a link is with some, frames in order
    ///
    /// The gateway's own threads, each on its core: an owner, which receives, hands bursts to crypto workers in turn,
    /// does one itself while all of them are busy, takes all back in the same order and transmits; without crypto workers
    /// it does everything. Frames come from memory and go to memory, more of them than a core's own caches hold. Each must
    /// be the next one, or the run fails.
    ///
    /// On path verify frames are decrypted where they lie, so that once all have been given the owner writes them again,
    /// which does not count, and leaves them in the last-level cache, as a NIC does, if the CPU can be asked for that. Path
    /// both does without: frames are protected by one owner and its crypto workers, and verified, at replay window 0, by
    /// another owner and as many crypto workers, each on a core of its own. Its rate is that of the slower half, and each
    /// frame comes out of another core's cache.
    ///
    /// All numbers of crypto workers alternate in slices of ten milliseconds, and the median slice counts. `speed-up` is
    /// against no crypto worker, `per worker` is that by crypto workers, and `efficiency` is what each core, owners' among
    /// them, is worth beside one that does everything.
    ///
    /// The first Ctrl-C ends it with what was found so far, and exit status 1.
    Scale(ScaleArgs),
}

#[derive(Debug, Args)]
struct GcmArgs {
    /// Only this suite
    #[arg(long)]
    suite: Option<Suite>,
    /// Only this direction
    #[arg(long)]
    direction: Option<Direction>,
    /// Only encrypted frames, or only such as are authenticated in the clear
    #[arg(long)]
    mode: Option<Mode>,
    /// Only frames with these octets of payload (in mode integrity: of AAD), or "imix"; others than the
    /// usual are encrypted, unless --mode says otherwise
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    octets: Vec<Size>,
    /// Only these contenders: back ends, rustcrypto, aws-lc-rs, ipsec-mb, ipsec-mb-avx2, ipsec-mb-sse, limit
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    backend: Vec<String>,
    /// Slices of a millisecond for each contender of each case [default: 30, or 5 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    slices: Option<u32>,
    /// Few slices: seconds, and rough
    #[arg(long)]
    quick: bool,
    /// Frames in a burst, 1 to 64
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u8).range(1..=64))]
    burst: u8,
    /// The core to measure on [default: the last one that this process may use]
    #[arg(long)]
    core: Option<usize>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    /// Also write DIR/index.html, a page with tables and plots, and DIR/results.jsonl, what --json prints; they
    /// take the place of those of an earlier report
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

impl From<GcmArgs> for Options {
    fn from(args: GcmArgs) -> Self {
        Options {
            suite: args.suite,
            direction: args.direction,
            mode: args.mode,
            sizes: args.octets,
            backends: args.backend,
            slices: args.slices.unwrap_or(if args.quick { 5 } else { 30 }) as usize,
            burst: args.burst.into(),
            core: args.core,
            json: args.json,
            report: args.report,
        }
    }
}

/// Runs the command line and says how it went.
pub(crate) fn main() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // Not eprintln: when nobody reads standard error any more, it panics.
            let _ = writeln!(io::stderr(), "macsec-gw bench: {e:#}");
            ExitCode::from(if e.is::<BadUsage>() { 2 } else { 1 })
        }
    }
}

fn execute(cli: Cli) -> Result<()> {
    match cli.command {
        CliCommand::Gcm(args) => gcm_bench::run(&args.into()),
        CliCommand::Gateway(args) => gateway_bench::run(&args.try_into()?),
        CliCommand::Rfc2544(args) => rfc2544::run(&args.try_into()?),
        CliCommand::Scale(args) => scale::run(&args.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn options(line: &str) -> Result<Options, String> {
        let arguments = ["macsec-gw bench", "gcm"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(arguments).map_err(|e| e.to_string())?.command {
            CliCommand::Gcm(args) => Ok(args.into()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Clause 26.2: trials of 120 seconds, 20 of them.
    #[test]
    fn help_says_how_latency_is_taken_by_the_standard() {
        let mut command = Cli::command();
        let help = command.find_subcommand_mut("rfc2544").unwrap().render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("(clause 26.2) --trial 120 --repetitions 20"), "{help}");
        assert!(help.contains("all frames of all repetitions count together"), "{help}");
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let usual = options("").unwrap();
        assert_eq!((usual.slices, usual.burst, usual.json), (30, 32, false));
        assert_eq!(options("--quick").unwrap().slices, 5);
        assert_eq!(options("--quick --slices 7").unwrap().slices, 7);
    }

    #[test]
    fn lists_are_taken_apart() {
        let some = options("--octets 48,imix,1500 --backend portable,limit --suite gcm-aes-256").unwrap();
        assert_eq!(some.sizes, [Size::Octets(48), Size::Imix, Size::Octets(1500)]);
        assert_eq!(some.backends, ["portable", "limit"]);
        assert_eq!(some.suite, Some(Suite::GcmAes256));
    }

    #[test]
    fn mistakes_name_the_value_and_what_would_do() {
        for (line, says) in [
            ("--octets few", &["'few'", "imix"][..]),
            ("--octets 0", &["'0'", "1 to 16384"]),
            ("--octets 100000", &["'100000'", "1 to 16384"]),
            ("--suite gcm-aes-512", &["'gcm-aes-512'", "gcm-aes-128, gcm-aes-256"]),
            ("--direction sideways", &["'sideways'", "seal, open"]),
            ("--mode both", &["'both'", "encrypt, integrity"]),
            ("--burst 65", &["65", "1..=64"]),
            ("--slices 0", &["0", "--slices"]),
            ("--core first", &["'first'", "--core"]),
        ] {
            let said = options(line).unwrap_err();
            assert!(says.iter().all(|word| said.contains(word)), "{line}: {said}");
        }
    }
}
