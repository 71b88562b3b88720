//! `bench gcm`: AES-GCM per frame, ours beside others and beside what the CPU's ports allow.

mod case;
mod check;
mod contender;
mod frames;
mod measure;
mod ours;
mod page;
mod peers;
mod port_limit;
mod report;

pub(crate) use case::{Direction, Mode, Size, Suite};

use crate::BadUsage;
use crate::clock::Clock;
use crate::console::{Progress, json_lines, print, say};
use crate::cores::pin;
use crate::interrupt;
use crate::report::{Destination, Facts};
use anyhow::{Result, bail};
use case::Filter;
use contender::{Chosen, Kind};
use gcm::limit::PortLoops;
use measure::{Interrupted, Method};
use page::Results;
use std::path::PathBuf;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) suite: Option<Suite>,
    pub(crate) direction: Option<Direction>,
    pub(crate) mode: Option<Mode>,
    /// All where there is none.
    pub(crate) sizes: Vec<Size>,
    /// All where there is none.
    pub(crate) backends: Vec<String>,
    /// Slices of each contender that count.
    pub(crate) slices: usize,
    /// Frames in a burst.
    pub(crate) burst: usize,
    pub(crate) core: Option<usize>,
    pub(crate) json: bool,
    /// The directory for a page.
    pub(crate) report: Option<PathBuf>,
}

/// Measures, prints, and writes a page where one is wanted.
///
/// # Errors
/// [`BadUsage`]; work of a contender that is wrong; what the system says; an interruption, after what was found by then is
/// shown.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Options { suite, direction, mode, .. } = *options;
    let filter = Filter { suite, direction, mode, sizes: &options.sizes };
    let cases = filter.cases();
    if cases.is_empty() {
        return Err(BadUsage("--mode integrity knows no imix; write octets".to_owned()).into());
    }
    let Chosen { kinds, limit, notes } = contender::choose(&options.backends)?;
    let loops = PortLoops::detect();
    if loops.is_none() && limit {
        say("limit: not known for this CPU, which is not x86-64 or has neither AES-NI nor PCLMULQDQ");
    }
    notes.iter().for_each(|note| say(note));
    let report = options.report.as_deref().map(Destination::new).transpose()?;
    // The load of before, and the cores that there are without staying on one.
    let report = report.map(|destination| (destination, Facts::new()));
    let stop = interrupt::listen()?;
    let core = pin(options.core)?;
    let clock = Clock::new();
    let heading = heading(options, core, &clock, loops, &kinds);
    let Options { slices, burst, .. } = *options;
    let method = Method { kinds: &kinds, loops, clock: &clock, slices, burst, stop: &stop };
    if !options.json {
        print(&format!("{heading}\n"))?;
    }
    let mut found = Results::default();
    let outcome = all(options, &filter, &method, limit, &mut found);
    if let Some((destination, facts)) = report {
        let path = page::of(&found, &heading, facts)?.write(&destination)?;
        say(&format!("report: {}", path.display()));
    }
    match outcome {
        Err(e) if e.is::<Interrupted>() => bail!("interrupted; what is shown was finished before"),
        other => other,
    }
}

/// All cases, one after another; what was found before an error is kept, and shown.
fn all(
    options: &Options,
    filter: &Filter<'_>,
    method: &Method<'_>,
    limit: bool,
    found: &mut Results,
) -> Result<()> {
    let cases = filter.cases();
    let progress = Progress::new(cases.len());
    for cases in cases.chunk_by(|a, b| (a.suite, a.direction) == (b.suite, b.direction)) {
        let (mut measured, mut outcome) = (Vec::new(), Ok(()));
        for case in cases {
            progress.at(case);
            let rows = match method.measure(case) {
                Ok(numbers) => report::rows(case, method.kinds, &numbers, method.clock, limit),
                Err(e) => {
                    outcome = Err(e);
                    break;
                }
            };
            if options.json {
                progress.clear();
                print(&json_lines(&rows)?)?;
            }
            measured.push((*case, rows));
        }
        progress.clear();
        if !options.json && !measured.is_empty() {
            let (suite, direction) = (cases[0].suite.name(), cases[0].direction.name());
            print(&format!("\n{suite}, {direction}\n{}\n", report::table(&measured)))?;
        }
        found.cases.extend(measured);
        outcome?;
    }
    for suite in filter.suites() {
        let rows = report::key_setup_rows(suite, method.kinds, &method.key_setup(suite)?);
        if options.json {
            print(&json_lines(&rows)?)?;
        } else {
            let table = report::key_setup_table(&rows);
            print(&format!("\n{}, setting up a key\n{table}\n", suite.name()))?;
        }
        found.keys.push((suite, rows));
    }
    Ok(())
}

/// What numbers depend on.
fn heading(
    options: &Options,
    core: usize,
    clock: &Clock,
    loops: Option<PortLoops>,
    kinds: &[Kind],
) -> String {
    let rate = clock.cycles(1.0).map(|ghz| format!(", cycles at {ghz:.3} GHz")).unwrap_or_default();
    let limit = loops.map(|l| format!(", limit of {}-bit registers", l.register_octets() * 8));
    let limit = limit.unwrap_or_default();
    let (slices, burst) = (options.slices, options.burst);
    #[cfg(feature = "peer-ipsec-mb")]
    let library = match kinds.iter().any(|kind| matches!(kind, Kind::IpsecMb(..))) {
        true => format!(", intel-ipsec-mb {}", ipsec_mb::version()),
        false => String::new(),
    };
    #[cfg(not(feature = "peer-ipsec-mb"))]
    let (library, _) = ("", kinds);
    format!("Core {core}, bursts of {burst} frames, {slices} slices each{rate}{limit}{library}")
}
