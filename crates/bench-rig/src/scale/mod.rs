//! `bench scale`: what crypto workers are worth to a direction of a link.
//!
//! The owner and its crypto workers are those of the gateway, on cores of their own; ports are in memory, and the one that
//! frames leave by looks whether they are all there, and in order.

mod args;
mod case;
mod measure;
mod page;
mod places;
mod ports;
mod report;
mod team;
#[cfg(test)]
mod tests;

pub(crate) use args::ScaleArgs;

use crate::clock::Clock;
use crate::console::{Progress, json_lines, print, say};
use crate::gateway_bench::FrameSize;
use crate::interrupt::listen;
use crate::report::{Destination, Facts};
use anyhow::{Result, bail};
use case::{Case, Way};
use measure::{Method, is_interruption};
use report::Row;
use std::path::PathBuf;
use std::sync::Arc;
use wire::CipherSuite;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Crypto workers at most; as many as there are cores for where it is not said.
    workers: Option<usize>,
    sizes: Vec<FrameSize>,
    suites: Vec<CipherSuite>,
    ways: Vec<Way>,
    /// The owner's, and those of crypto workers.
    cores: Vec<usize>,
    /// Slices of each number of crypto workers that count.
    slices: usize,
    json: bool,
    /// The directory for a page.
    report: Option<PathBuf>,
}

/// Measures, prints, and writes a page where one is wanted.
///
/// # Errors
/// [`BadUsage`](crate::BadUsage); frames that are lost or out of order; an interruption, after what was found by then
/// is shown.
pub(crate) fn run(options: &Options) -> Result<()> {
    let owners = options.ways.iter().map(|way| way.owners()).max().unwrap_or(1);
    let (cores, workers) = places::choose(options.workers, owners, &options.cores)?;
    let report = options.report.as_deref().map(Destination::new).transpose()?;
    let report = report.map(|destination| (destination, Facts::new()));
    let stop = listen()?;
    let alone = match cores.len() {
        1 => "one core: ",
        _ if workers > 0 && options.ways.iter().any(|way| way.most_workers(cores.len()) == Some(0)) => {
            "path both on so few cores: "
        }
        _ => "",
    };
    let alone = (!alone.is_empty())
        .then(|| format!("{alone}nothing but run to completion can be measured, without crypto workers"));
    let remarks: Vec<_> = alone.into_iter().chain(crate::cores::shared(&cores)).collect();
    remarks.iter().for_each(|line| say(line));
    let clock = Arc::new(Clock::new());
    let heading = heading(&cores, owners, options.slices);
    if !options.json {
        print(&format!("{heading}\n"))?;
    }
    let method = Method { cores: &cores, workers, slices: options.slices, clock: &clock, stop: &stop };
    let mut found = Vec::new();
    let outcome = all(options, &method, &mut found);
    if let Some((destination, facts)) = report {
        let path = page::of(&found, &heading, facts)?.remarks(&remarks).write(&destination)?;
        say(&format!("report: {}", path.display()));
    }
    match outcome {
        Err(e) if is_interruption(&e) => bail!("interrupted; what is shown was finished before"),
        other => other,
    }
}

/// All cases, one after another; what was found before an error is kept, and shown.
fn all(options: &Options, method: &Method<'_>, found: &mut Vec<(Case, Vec<Row>)>) -> Result<()> {
    let progress = Progress::new(options.suites.len() * options.ways.len() * options.sizes.len());
    for &suite in &options.suites {
        for &way in &options.ways {
            let before = found.len();
            let mut outcome = Ok(());
            for &size in &options.sizes {
                let case = Case { suite, way, size };
                progress.at(&case);
                let measured = method.measure(&case);
                progress.clear();
                match measured {
                    Ok(rates) => found.push((case, report::rows(&case, &rates))),
                    Err(e) => {
                        outcome = Err(e);
                        break;
                    }
                }
                if let (true, Some((_, rows))) = (options.json, found.last()) {
                    print(&json_lines(rows)?)?;
                }
            }
            if !options.json && found.len() > before {
                print(&format!("\n{suite}, {}\n{}\n", way.name(), report::table(&found[before..])))?;
            }
            outcome?;
        }
    }
    Ok(())
}

/// What numbers depend on.
fn heading(cores: &[usize], owners: usize, slices: usize) -> String {
    let list: Vec<_> = cores[1..].iter().map(usize::to_string).collect();
    let others = match (owners, list.len()) {
        (_, 0) => String::new(),
        (1, 1) => format!(", crypto worker on core {}", list[0]),
        (1, _) => format!(", crypto workers on cores {}", list.join(", ")),
        // Path both has a second owner, on the first of these.
        _ => format!(", the others on cores {}", list.join(", ")),
    };
    format!("Owner on core {}{others}, ports in memory, {slices} slices each", cores[0])
}
