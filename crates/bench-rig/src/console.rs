//! What is shown while and after it is measured.

use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Text on standard output, at once.
///
/// # Errors
/// Nobody reads it.
pub(crate) fn print(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())?;
    io::stdout().flush()
}

/// A line on standard error; whether anyone reads it does not matter.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Rows as JSON, an object a line.
///
/// # Errors
/// One is no JSON.
pub(crate) fn json_lines(rows: &[impl Serialize]) -> serde_json::Result<String> {
    rows.iter().map(|row| Ok(serde_json::to_string(row)? + "\n")).collect()
}

/// Says what is being measured, where a person watches.
pub(crate) struct Progress {
    shown: bool,
    cases: usize,
    done: std::cell::Cell<usize>,
}

impl Progress {
    pub(crate) fn new(cases: usize) -> Self {
        Progress { shown: io::stderr().is_terminal(), cases, done: 0.into() }
    }

    pub(crate) fn at(&self, case: &dyn Display) {
        self.done.set(self.done.get() + 1);
        self.within(case);
    }

    /// Says more of the case that it is at.
    pub(crate) fn within(&self, case: &dyn Display) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K{}/{} {case}", self.done.get(), self.cases);
        }
    }

    pub(crate) fn clear(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
