//! `bench rfc2544`: the tests of RFC 2544, clauses 26.1 to 26.4, of any device between two ports.
//!
//! Frames carry what loss, order and age are told from, so that nothing is taken from counters of a device.

mod args;
mod frame;
mod generator;
mod method;
mod pace;
mod page;
mod receiver;
mod results;
mod search;
mod sequence;
mod size;
mod tables;
mod task;
#[cfg(test)]
mod tests;
mod threads;
mod trial;

pub(crate) use args::Rfc2544Args;
pub(crate) use pace::Pacer;

use crate::clock::Clock;
use crate::console::{Progress, print, say};
use crate::cores;
use crate::ethernet::SHORTEST;
use crate::interrupt::listen;
use crate::ports::{OpenPort, PortArgs, PortWatch, Ports, Rx, Tx};
use crate::report::{Destination, Facts};
use anyhow::{Result, bail};
use generator::Length;
use method::{Method, Plan, Watcher};
use results::{Test, Trial};
use size::FrameSize;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use threads::Threads;
use trial::{Habits, Rig, Spec, Tester, TrialError};

/// Frames that find out whether anything comes through, and how many of them a second.
const SCOUTS: u64 = 16;
const SCOUTS_FPS: f64 = 1000.0;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) tx: String,
    pub(crate) rx: String,
    pub(crate) ports: PortArgs,
    pub(crate) plan: Plan,
    pub(crate) habits: Habits,
    /// As many as there is use for where there is none.
    pub(crate) cores: Vec<usize>,
    /// How long to wait for the first frame to come through, in seconds.
    pub(crate) wait: f64,
    pub(crate) json: bool,
    /// The directory for a page.
    pub(crate) report: Option<PathBuf>,
}

/// Measures, prints, and writes a page where one is wanted.
///
/// # Errors
/// [`BadUsage`](crate::BadUsage); ports that do not open or between which nothing passes; an interruption, after what
/// was found by then is shown.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cores = cores::choose(&options.cores, if options.habits.bidirectional { 4 } else { 2 })?;
    let report = options.report.as_deref().map(Destination::new).transpose()?;
    // The load of before.
    let report = report.map(|destination| (destination, Facts::new()));
    let stop = listen()?;
    let is_loop = options.tx == options.rx;
    let devices = [&*options.tx, &*options.rx];
    let ports = Ports::start(&options.ports, &devices[..if is_loop { 1 } else { 2 }])?;
    let largest = options.plan.sizes.iter().map(|size| size.largest()).max().unwrap_or(SHORTEST);
    let tagged = options.habits.shape.vlans > 0;
    let open = |option, device| ports.open(option, device, largest, tagged);
    let near = open("--tx", &options.tx)?;
    let far = if is_loop { None } else { Some(open("--rx", &options.rx)?) };
    let (rxs, txs, watches) = ends(near, far);
    let register = || ports.register();
    let mut rig = Rig {
        rxs,
        txs,
        missed: |way: usize| at_end(&watches, way).map_or(0, PortWatch::missed),
        clock: Clock::new(),
        executor: Threads { cores, register: &register, stop: &stop },
        habits: options.habits,
        number: 0,
    };
    let mut shown = Shown::new(&options.plan, options.json);
    if let Some(line) = cores::shared(&rig.executor.cores) {
        shown.remark(&line);
    }
    shown.trial("waiting for the first frame to come through");
    let opened = open_way(&mut rig, options, &watches);
    shown.progress.clear();
    opened?;
    let mut plan = options.plan.clone();
    // A link's rate is known when it is up.
    plan.gbit = plan.gbit.or_else(|| slowest(&watches));
    let heading = heading(options, &plan, &rig.executor.cores);
    if !options.json {
        print(&format!("{heading}\n"))?;
    }
    let mut method = Method { tester: &mut rig, plan: &plan, watcher: &mut shown, trials: Vec::new() };
    let outcome = method.run();
    let trials = method.trials;
    shown.progress.clear();
    // Who does not read the tables may still want the page.
    let printed = if options.json { Ok(()) } else { print(&tables::tables(&trials)) };
    let missed = |watch: &PortWatch| match watch.missed() {
        0 => None,
        missed => {
            let device = watch.device();
            Some(format!(
                "{device}: {missed} frames in all came faster than this rig received them; in a trial, those of it count \
                 as lost"
            ))
        }
    };
    let missed: Vec<_> = watches.iter().filter_map(missed).collect();
    missed.iter().for_each(|line| shown.remark(line));
    if let Some((destination, facts)) = report {
        let page = page::of(&trials, &plan.latency_shares, &heading, facts)?.remarks(&shown.remarks);
        let path = page.write(&destination)?;
        say(&format!("report: {}", path.display()));
    }
    match outcome {
        Err(e) if matches!(e.downcast_ref(), Some(TrialError::Interrupted)) => {
            bail!("interrupted; what is shown was found until then")
        }
        other => other.and(printed.map_err(Into::into)),
    }
}

/// Of each way the receive queue at its end and the transmit queue at its beginning.
fn ends(near: OpenPort, far: Option<OpenPort>) -> (Vec<Rx>, Vec<Tx>, Vec<PortWatch>) {
    match far {
        None => (vec![near.rx], vec![near.tx], vec![near.watch]),
        Some(far) => (vec![far.rx, near.rx], vec![near.tx, far.tx], vec![near.watch, far.watch]),
    }
}

/// Of ports in this order, the one that a way ends at.
fn at_end<W>(watches: &[W], way: usize) -> Option<&W> {
    watches.iter().rev().nth(way)
}

/// The rate of the slower port in Gbit/s, if both have one.
fn slowest(watches: &[PortWatch]) -> Option<f64> {
    let rates: Option<Vec<f64>> = watches.iter().map(PortWatch::gbit).collect();
    rates?.into_iter().reduce(f64::min)
}

/// Waits until frames come through each way.
fn open_way(rig: &mut impl Tester, options: &Options, watches: &[PortWatch]) -> Result<()> {
    let size = options.plan.sizes.first().copied().unwrap_or(FrameSize::Imix);
    let end = Instant::now() + Duration::from_secs_f64(options.wait);
    let spec = Spec { size, fps: Some(SCOUTS_FPS), length: Length::Frames(SCOUTS) };
    loop {
        let ways = rig.trial(&spec)?;
        let Some(blocked) = ways.iter().position(|way| way.arrived.frames == 0) else { return Ok(()) };
        if Instant::now() < end {
            continue;
        }
        let (from, to) = match blocked {
            0 => (&options.tx, &options.rx),
            _ => (&options.rx, &options.tx),
        };
        let why = if ways[blocked].sent == 0 {
            format!("{from} takes no frames")
        } else if ways[blocked].arrived.damaged > 0 {
            format!("frames of {size} octets from {from} arrive at {to} cut; is an MTU too small on the way?")
        } else {
            format!(
                "nothing that is sent on {from} arrives at {to}; is what is between them up and forwarding?"
            )
        };
        let down: Vec<_> = watches.iter().filter(|watch| !watch.is_up()).map(PortWatch::device).collect();
        let links = if down.is_empty() {
            String::new()
        } else {
            format!(" The link is down at {}.", down.join(", "))
        };
        bail!("in {} s (--wait): {why}{links}", options.wait);
    }
}

/// What numbers depend on.
fn heading(options: &Options, plan: &Plan, cores: &[usize]) -> String {
    let both = if options.habits.bidirectional { "to and from" } else { "to" };
    let (tx, rx, seconds) = (&options.tx, &options.rx, plan.seconds);
    let list: Vec<_> = cores.iter().map(usize::to_string).collect();
    let cores = format!("core{} {}", if cores.len() == 1 { "" } else { "s" }, list.join(", "));
    let shape = options.habits.shape;
    let flows = format!("{} flow{}", shape.flows, if shape.flows == 1 { "" } else { "s" });
    let vlans = if shape.vlans > 0 { format!(" in {} VLANs", shape.vlans) } else { String::new() };
    let whole = match plan.gbit {
        Some(gbit) => format!("{gbit} Gbit/s"),
        None => "what the generator reaches".to_owned(),
    };
    let repetitions = match plan.repetitions {
        1 => String::new(),
        many => format!(", {many} of each for latency and bursts"),
    };
    format!("{tx} {both} {rx}, {cores}, trials of {seconds} s{repetitions}, {flows}{vlans}; 100 % is {whole}")
}

/// Shows how far it is, and in JSON what was found.
struct Shown {
    progress: Progress,
    json: bool,
    at: String,
    /// All of them, for a page.
    remarks: Vec<String>,
}

impl Shown {
    fn new(plan: &Plan, json: bool) -> Self {
        let latency_alone = plan.tests.contains(&Test::Latency) && !plan.tests.contains(&Test::Throughput);
        let tests = plan.tests.len() + usize::from(latency_alone) + usize::from(plan.gbit.is_none());
        Shown {
            progress: Progress::new(plan.sizes.len() * tests),
            json,
            at: String::new(),
            remarks: Vec::new(),
        }
    }
}

impl Watcher for Shown {
    fn test(&mut self, size: FrameSize, test: Test) {
        let name = match test {
            Test::Throughput => "throughput",
            Test::Latency => "latency",
            Test::Loss => "loss",
            Test::BackToBack => "back-to-back",
        };
        self.at = format!("{size}, {name}: ");
        self.progress.at(&self.at);
    }

    fn trial(&mut self, what: &str) {
        self.progress.within(&format_args!("{}{what}", self.at));
    }

    fn remark(&mut self, line: &str) {
        self.progress.clear();
        say(line);
        self.remarks.push(line.to_owned());
    }

    fn found(&mut self, rows: &[Trial]) -> Result<()> {
        if self.json {
            self.progress.clear();
            for row in rows {
                print(&(serde_json::to_string(row)? + "\n"))?;
            }
        }
        Ok(())
    }
}
