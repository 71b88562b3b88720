//! The command line.

use crate::capture::Direction;
use crate::keygen::KeyKind;
use crate::{BadUsage, VERSION, bench, capture, check, inspect, keygen, status, table};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use wire::CipherSuite;

/// MACsec (IEEE 802.1AE) gateway: plain Ethernet on one port, MACsec on the other.
///
/// Exit status: 0 done, 1 failed, 2 bad usage or bad configuration.
///
/// The environment variable MACSEC_GW_GCM names a lesser AES-GCM back end than the best that the CPU has:
/// vaes512, vaes256, aesni-avx, aesni or portable.
#[derive(Debug, Parser)]
#[command(name = "macsec-gw", version = VERSION, max_term_width = 100)]
pub struct Cli {
    /// How much to say on standard error: error, warn, info, debug or trace
    ///
    /// The environment variable MACSEC_GW_LOG says it where this does not; info else
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run the gateway until SIGTERM or Ctrl-C; says READY on standard error when it runs
    Run(RunArgs),
    /// Say what is wrong with a configuration and its key files, and what to write instead
    Check {
        /// The configuration
        config: PathBuf,
    },
    /// Show the links of a running gateway: MKA peers, SAs, packet numbers, frames
    Status(StatusArgs),
    /// Ask a running gateway for new SAKs on the links whose key server it is
    Rekey {
        /// The link; all of them where none is named
        link: Option<String>,
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// Print a fresh key file: a CAK and CKN, or with --sak a static key
    Keygen(KeygenArgs),
    /// Show the MKPDUs and SecTAGs of a capture file, field by field; with keys, say which are authentic
    Inspect(InspectArgs),
    /// Protect or verify the frames of a capture file
    #[command(subcommand)]
    Pcap(PcapCommand),
    /// Two gateways back to back, live, on this machine; needs root, but neither NIC nor hugepages
    Demo(DemoArgs),
    /// Measure, with the program macsec-gw-bench beside this one; `bench --help` says what
    #[command(disable_help_flag = true)]
    Bench {
        /// What macsec-gw-bench is to do
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The configuration
    config: PathBuf,
    /// Write all counters to this file at the end, and on SIGUSR1: JSON, one object a line
    #[arg(long, value_name = "FILE")]
    counters: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct SocketArgs {
    /// The gateway's control_socket
    #[arg(long, value_name = "PATH", default_value = config::CONTROL_SOCKET)]
    socket: PathBuf,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// Print JSON, an object a link, one a line
    #[arg(long)]
    json: bool,
    /// Show it every second, with rates, until Ctrl-C
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Debug, Args)]
struct KeygenArgs {
    /// A SAK (and salt) for [link.static], for this cipher suite: gcm-aes-xpn-256, …
    #[arg(long, value_name = "SUITE")]
    sak: Option<CipherSuite>,
    /// A CAK of 128 bits rather than 256
    #[arg(long, conflicts_with = "sak")]
    short: bool,
}

#[derive(Debug, Subcommand)]
enum PcapCommand {
    /// Write the protected form of each frame
    Protect(PcapArgs),
    /// Write the plain form of each frame that verifies, and say what became of all
    Verify(PcapArgs),
}

#[derive(Debug, Args)]
struct InspectArgs {
    /// TOML: `cak` and `ckn`, to check MKPDUs, unwrap SAKs and verify what they protect; or, for frames alone,
    /// `cipher_suite` and [[sa]] as for `pcap`. No key is ever shown
    #[arg(long)]
    keys: Option<PathBuf>,
    /// Print JSON, an object a frame, one a line
    #[arg(long)]
    json: bool,
    /// A pcap or pcapng file of Ethernet frames
    #[arg(value_name = "FILE.pcap")]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct PcapArgs {
    /// TOML: `cipher_suite` and [[sa]] with `sci`, `an`, `sak`, and for XPN `salt` and `ssci`; to verify also
    /// `cak` and `ckn`, when the capture has the MKPDUs that distribute its SAKs
    #[arg(long)]
    keys: PathBuf,
    /// Print the counters as JSON, one object a line
    #[arg(long)]
    json: bool,
    /// A pcap or pcapng file of Ethernet frames
    input: PathBuf,
    /// A pcap file to write
    output: PathBuf,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// MiB to move each way
    #[arg(long, default_value_t = 64, value_name = "MIB")]
    data: u32,
}

/// Runs the command line and says how it went.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    keep_keys_out_of_cores();
    let outcome = prepare_log(cli.log).and_then(|(log, guard)| {
        let outcome = execute(cli.command, log);
        // Before the last words come those that are still on their way.
        drop(guard);
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // Not eprintln: when nobody reads standard error any more, it panics.
            let _ = writeln!(io::stderr(), "macsec-gw: {e:#}");
            ExitCode::from(if e.is::<BadUsage>() { 2 } else { 1 })
        }
    }
}

/// Most commands hold keys: neither a core file nor a debugger of the same user gets them.
fn keep_keys_out_of_cores() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // What is refused here was forbidden before, in one way or another.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// The log goes out by a thread of its own: whoever reads it, or the disk that it is on, may keep that waiting, and never
/// the control core, whose stations do not wait. What is handed out is for words that come behind those of the log, and sees
/// to the end of it.
fn prepare_log(option: Option<String>) -> Result<(NonBlocking, WorkerGuard)> {
    let (said_by, level) = match (option, std::env::var_os("MACSEC_GW_LOG")) {
        (Some(level), _) => ("--log ", level),
        // One that is empty is how many a script leaves it out.
        (None, Some(level)) if !level.is_empty() => ("MACSEC_GW_LOG=", level.to_string_lossy().into_owned()),
        (None, _) => ("", "info".to_owned()),
    };
    // Not by the type's own rule, which takes numbers and nothing at all.
    let level = match &level[..] {
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => {
            let text = format!("{said_by}{level:?}: no such level; write error, warn, info, debug or trace");
            return Err(BadUsage(text).into());
        }
    };
    let (writer, guard) = tracing_appender::non_blocking(io::stderr());
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(writer.clone())
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false)
        .init();
    Ok((writer, guard))
}

fn execute(command: CliCommand, log: NonBlocking) -> Result<()> {
    let backend = gcm::Backend::from_environment().map_err(|e| BadUsage(format!("MACSEC_GW_GCM: {e}")))?;
    tracing::debug!("AES-GCM back end: {}", backend.name());
    match command {
        CliCommand::Run(args) => run(args, log),
        CliCommand::Check { config } => print(&check::check(&config)?),
        CliCommand::Status(StatusArgs { json, watch, socket }) => status::status(&socket.socket, json, watch),
        CliCommand::Rekey { link, socket } => status::rekey(&socket.socket, link),
        CliCommand::Keygen(args) => {
            let kind = match args.sak {
                Some(suite) => KeyKind::Sak(suite),
                None => KeyKind::Cak { long: !args.short },
            };
            print(&keygen::keygen(kind)?)
        }
        CliCommand::Inspect(args) => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            match inspect::inspect(&args.file, args.keys.as_deref(), args.json, &mut out) {
                Err(e) if inspect::nobody_reads(&e) => Ok(()),
                ended => ended,
            }
        }
        CliCommand::Pcap(PcapCommand::Protect(args)) => convert(Direction::Protect, &args),
        CliCommand::Pcap(PcapCommand::Verify(args)) => convert(Direction::Verify, &args),
        CliCommand::Demo(args) => demo(&args),
        CliCommand::Bench { arguments } => bench::start(&arguments),
    }
}

fn print(text: &str) -> Result<()> {
    io::stdout().write_all(text.as_bytes())?;
    Ok(io::stdout().flush()?)
}

fn convert(direction: Direction, args: &PcapArgs) -> Result<()> {
    let (rows, outcome) = capture::convert(direction, &args.keys, &args.input, &args.output)?;
    if args.json {
        print(&rows.iter().map(|r| format!("{}\n", r.json())).collect::<String>())?;
    } else {
        print(&format!("{}\n", table(&rows)))?;
    }
    Ok(outcome?)
}

#[cfg(feature = "dpdk")]
fn run(args: RunArgs, log: NonBlocking) -> Result<()> {
    crate::run::run(&args.config, args.counters, log)
}

#[cfg(feature = "dpdk")]
fn demo(args: &DemoArgs) -> Result<()> {
    crate::demo::demo(args.data)
}

#[cfg(not(feature = "dpdk"))]
fn run(args: RunArgs, _: NonBlocking) -> Result<()> {
    let RunArgs { config, counters: _ } = args;
    check::check(&config)?;
    Err(without_dpdk())
}

#[cfg(not(feature = "dpdk"))]
fn demo(_args: &DemoArgs) -> Result<()> {
    Err(without_dpdk())
}

#[cfg(not(feature = "dpdk"))]
fn without_dpdk() -> anyhow::Error {
    anyhow::anyhow!(
        "built without DPDK, so without ports; build with the feature `dpdk` (apt install libdpdk-dev)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
