//! `macsec-gw bench`: another program, so that nothing that only measures is in this one.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The program that measures.
const PROGRAM: &str = "macsec-gw-bench";

/// Becomes the program beside this one that measures.
///
/// # Errors
/// It is not there, or cannot be run. Otherwise this does not return.
pub fn start(arguments: &[OsString]) -> Result<()> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let program = own.with_file_name(PROGRAM);
    if !program.exists() {
        bail!("{}: not there; `cargo build --release` makes it together with macsec-gw", program.display());
    }
    tracing::debug!("becoming {}", program.display());
    let error = Command::new(&program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}
