//! `bench gateway`: the gateway's own loop, from receive to transmit.

mod buffer;
mod case;
mod lab;
mod measure;
mod report;
mod stations;

pub(crate) use buffer::Buffer;
pub(crate) use case::{FCS_LEN, FrameSize, Path, WIRE_OVERHEAD};
pub(crate) use stations::Keying;

use crate::clock::Clock;
use crate::console::{self, Progress, print};
use crate::cores::pin;
use anyhow::Result;
use case::{Case, SIZES};
use report::Row;
use wire::CipherSuite;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// All where there is none.
    pub(crate) suites: Vec<CipherSuite>,
    /// All where there is none.
    pub(crate) sizes: Vec<FrameSize>,
    /// All where there is none.
    pub(crate) paths: Vec<Path>,
    /// Slices of each path that count.
    pub(crate) slices: usize,
    pub(crate) core: Option<usize>,
    pub(crate) json: bool,
}

/// Measures and prints.
///
/// # Errors
/// [`BadUsage`](crate::BadUsage); work that is wrong; what the system says.
pub(crate) fn run(options: &Options) -> Result<()> {
    let or = |given: &[_], all: &[_]| if given.is_empty() { all.to_vec() } else { given.to_vec() };
    let paths = if options.paths.is_empty() { Path::ALL.to_vec() } else { options.paths.clone() };
    let (sizes, suites) = (or(&options.sizes, &SIZES), &options.suites);
    let suites = if suites.is_empty() { CipherSuite::ALL.to_vec() } else { suites.clone() };
    let core = pin(options.core)?;
    let clock = Clock::new();
    let progress = Progress::new(suites.len() * sizes.len());
    if !options.json {
        let rate = clock.cycles(1.0).map(|ghz| format!(", cycles at {ghz:.3} GHz")).unwrap_or_default();
        print(&format!("Core {core}, ports in memory, {} slices each{rate}\n", options.slices))?;
    }
    for suite in suites {
        let mut measured = Vec::new();
        for size in &sizes {
            let case = Case { suite, size: *size };
            progress.at(&case);
            let found = measure::measure(&clock, &case, &paths, options.slices)?;
            let rows: Vec<Row> = found.iter().map(|m| Row::new(&case, m, &clock)).collect();
            progress.clear();
            if options.json {
                print(&console::json_lines(&rows)?)?;
            }
            measured.push((case, rows));
        }
        if !options.json {
            print(&format!("\n{suite}\n{}\n", report::table(&measured)))?;
        }
    }
    Ok(())
}
