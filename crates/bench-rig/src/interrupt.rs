//! The end that somebody asks for, with Ctrl-C or SIGTERM.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A flag that SIGINT and SIGTERM set. The second of them ends the program.
///
/// # Errors
/// What the system says.
pub(crate) fn listen() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset.
        signal_hook::flag::register_conditional_shutdown(signal, 1, stop.clone()).context("a signal")?;
        signal_hook::flag::register(signal, stop.clone()).context("a signal")?;
    }
    Ok(stop)
}
