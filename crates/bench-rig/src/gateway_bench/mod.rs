//! `bench gateway`: the gateway's own loop, from receive to transmit.

mod args;
mod buffer;
mod case;
mod duplex;
mod forwarder;
mod lab;
mod latency;
mod measure;
mod memory;
mod replay;
mod report;
mod stations;

pub(crate) use args::GatewayArgs;
pub(crate) use buffer::Buffer;
pub(crate) use case::{FrameSize, Path};
pub(crate) use stations::Keying;

use crate::clock::Clock;
use crate::console::{Progress, json_lines, print, say};
use crate::interrupt;
use crate::ports::PortArgs;
use crate::report::{Destination, Facts, Page, Plot, command_line};
use anyhow::{Result, anyhow};
use case::Case;
use report::Shown;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wire::CipherSuite;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Rates over ports in memory.
    Memory,
    /// Rates over DPDK ports that replay captures.
    Replay,
    /// Latency at half load.
    Latency,
    /// Both directions at once.
    Duplex,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    mode: Mode,
    suites: Vec<CipherSuite>,
    sizes: Vec<FrameSize>,
    paths: Vec<Path>,
    /// Slices of each path that count.
    slices: usize,
    core: Option<usize>,
    json: bool,
    /// The directory for a page.
    report: Option<PathBuf>,
    dpdk: PortArgs,
}

/// Whether somebody asked for the end.
#[derive(Clone, Debug, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of the things that can be measured.
trait Bench {
    /// An object in JSON.
    type Row: Serialize;

    /// Title of a report.
    const TITLE: &'static str;
    /// What numbers of a report mean.
    const ABOUT: &'static str;

    /// What numbers depend on.
    fn heading(&self) -> String;

    /// Rows of a case, of the slices until the end was asked for; none where it was before there were any.
    ///
    /// # Errors
    /// Work that is wrong; what the system says.
    fn measure(&mut self, case: &Case) -> Result<Option<Vec<Self::Row>>>;

    /// What is to be said of what was measured last, or before anything is.
    fn remarks(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// The table of some cases under one suite.
    fn shown(&self, cases: &[(Case, Vec<Self::Row>)]) -> Shown;

    /// Pictures of them.
    fn plots(&self, title: &str, cases: &[(Case, Vec<Self::Row>)]) -> Vec<Plot>;
}

/// Measures, prints, and writes a page where one is wanted.
///
/// # Errors
/// [`BadUsage`](crate::BadUsage); work that is wrong; what the system says; an interruption, after what was found by then is
/// printed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let stop = Stop(interrupt::listen()?);
    let report = options.report.as_deref().map(Destination::new).transpose()?;
    // The load of before, and the cores that there are without staying on one.
    let report = report.map(|destination| (destination, Facts::new()));
    match options.mode {
        Mode::Memory => drive(memory::Memory::new(options, &stop)?, options, &stop, report),
        Mode::Replay => drive(replay::Replay::new(options, &stop)?, options, &stop, report),
        Mode::Latency => drive(latency::Latency::new(options, &stop)?, options, &stop, report),
        Mode::Duplex => drive(duplex::Duplex::new(options, &stop)?, options, &stop, report),
    }
}

fn drive<B: Bench>(
    mut bench: B,
    options: &Options,
    stop: &Stop,
    report: Option<(Destination, Facts)>,
) -> Result<()> {
    let progress = Progress::new(options.suites.len() * options.sizes.len());
    let heading = bench.heading();
    let mut remarks = Vec::new();
    let mut say_all = |lines: Vec<String>| {
        lines.iter().for_each(|line| say(line));
        remarks.extend(lines);
    };
    say_all(bench.remarks());
    if !options.json {
        print(&format!("{heading}\n"))?;
    }
    let mut suites = Vec::new();
    // What was found before an error is kept, and shown.
    let mut outcome = Ok(());
    for suite in &options.suites {
        let mut measured = Vec::new();
        for size in &options.sizes {
            let case = Case { suite: *suite, size: *size };
            progress.at(&case);
            let rows = if stop.asked() { Ok(None) } else { bench.measure(&case) };
            progress.clear();
            say_all(bench.remarks());
            outcome = match rows {
                Ok(Some(rows)) => {
                    if stop.asked() {
                        say_all(vec![format!("{case}: interrupted; medians are of the slices until then")]);
                    }
                    let printed = if options.json { print_rows(&rows) } else { Ok(()) };
                    // Who does not read them may still want the page.
                    measured.push((case, rows));
                    printed
                }
                Ok(None) => Ok(()),
                Err(e) => Err(e),
            };
            if outcome.is_ok() && stop.asked() {
                outcome = Err(anyhow!("interrupted; what is printed was found until then"));
            }
            if outcome.is_err() {
                break;
            }
        }
        if !options.json && !measured.is_empty() {
            let printed = print(&format!("\n{suite}\n{}\n", bench.shown(&measured).drawn()));
            outcome = outcome.and(printed.map_err(Into::into));
        }
        suites.push((*suite, measured));
        if outcome.is_err() {
            break;
        }
    }
    if let Some((destination, facts)) = report {
        let path = page(&bench, &suites, &heading, &remarks, facts)?.write(&destination)?;
        say(&format!("report: {}", path.display()));
    }
    outcome
}

/// As JSON.
fn print_rows(rows: &[impl Serialize]) -> Result<()> {
    Ok(print(&json_lines(rows)?)?)
}

type Cases<R> = Vec<(Case, Vec<R>)>;

fn page<B: Bench>(
    bench: &B,
    suites: &[(CipherSuite, Cases<B::Row>)],
    heading: &str,
    remarks: &[String],
    facts: Facts,
) -> serde_json::Result<Page> {
    let mut page = Page::new(B::TITLE, &command_line(), facts).text(&format!("{heading}.")).text(B::ABOUT);
    page = page.remarks(remarks);
    for (suite, cases) in suites.iter().filter(|(_, cases)| !cases.is_empty()) {
        let title = suite.to_string();
        page = page.heading(&title);
        page = bench.plots(&title, cases).into_iter().fold(page, Page::plot);
        page = page.table(bench.shown(cases).table(&title));
        for (_, rows) in cases {
            page = page.results(&json_lines(rows)?);
        }
    }
    Ok(page)
}

/// Says how fast the counter is that cycles are taken from.
fn cycles(clock: &Clock) -> String {
    clock.cycles(1.0).map(|ghz| format!(", cycles at {ghz:.3} GHz")).unwrap_or_default()
}
