//! `macsec-gw-bench`: what the gateway is measured with. Users call it through `macsec-gw bench`.
//!
//! Nothing here is on the frame path, and the gateway does not link it.
#![forbid(unsafe_code)]

mod cli;
mod clock;
mod console;
mod cores;
mod ethernet;
mod gateway_bench;
mod gcm_bench;
mod interrupt;
mod ports;
mod report;
mod rfc2544;
mod scale;
mod table;

use std::process::ExitCode;

/// Version and revision.
const VERSION: &str = env!("MACSEC_GW_VERSION");

/// The command line is wrong, rather than something that happened: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadUsage(String);

fn main() -> ExitCode {
    cli::main()
}
