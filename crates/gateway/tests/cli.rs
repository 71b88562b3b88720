//! The program as its users meet it: exit status, messages, files, signals.
//!
//! Messages name the file, the line or key, the value and the remedy, and are free of keys; that none has keys,
//! a panic or a backtrace in it is checked of every run. What a machine cannot do is skipped, aloud.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

#[path = "cli/support.rs"]
mod support;

#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/captures.rs"]
mod captures;
#[cfg(feature = "dpdk")]
#[path = "cli/control.rs"]
mod control;
#[path = "cli/inspect.rs"]
mod inspect;
#[path = "cli/mistakes.rs"]
mod mistakes;
#[path = "cli/mka.rs"]
mod mka;
#[cfg(feature = "dpdk")]
#[path = "cli/numbers.rs"]
mod numbers;
#[cfg(feature = "dpdk")]
#[path = "cli/ports.rs"]
mod ports;
#[cfg(feature = "dpdk")]
#[path = "cli/signals.rs"]
mod signals;
#[path = "cli/usage.rs"]
mod usage;
