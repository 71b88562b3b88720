//! Rates over DPDK ports: captures that come again and again, and ports that take everything.

use super::case::{Case, Path};
use super::forwarder::{self, Forwarder};
use super::lab::{AAD_LEN, EngineAlone, Runner, Split, plain_frames, protected};
use super::measure::{Measured, engine_of};
use super::report::{Row, Shown, rate_plots, rates};
use super::stations::{Done, Keying};
use super::{Bench, Options, Stop, cycles};
use crate::clock::{Clock, median, median_ratio};
use crate::cores;
use crate::ports::{PortArgs, PortWatch, Ports, Rx, Tx};
use crate::report::Plot;
use anyhow::{Context, Result, ensure};
use datapath::pcap::CaptureWriter;
use datapath::{Part, PathCounters, Protect, Task, Verify};
use secy::Engine;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Length of a slice, in nanoseconds, and how long before it the same is done without being counted: another one was at
/// work before, and left its own in the caches.
const SLICE: f64 = 5e6;
const WARM_UP: f64 = 1e6;
/// How long the parts of rounds are watched after each slice, in nanoseconds.
const SPLIT: f64 = 1e6;
/// Rounds of the task between two looks at the clock.
const POLLS: usize = 16;
/// Rounds of the slices after which the forwarder has its turn.
const FORWARDER_EVERY: usize = 2;
/// Buffers of a port that replays, beside those that hold the capture: caches, and what is in hand. And of one that only
/// takes.
const SOURCE_BUFFERS: u32 = (1 << 10) - 1;
const SINK_BUFFERS: u32 = (1 << 9) - 1;
/// Octets that protecting adds, and the FCS.
const ADDED: usize = 2 * AAD_LEN;

/// The gateway between DPDK ports in this process.
pub(super) struct Replay {
    core: usize,
    control: usize,
    clock: Clock,
    paths: Vec<Path>,
    slices: usize,
    dpdk: PortArgs,
    stop: Stop,
    ports: Ports,
    home: TempDir,
    /// Whether there is a forwarder, as far as is known.
    has_forwarder: bool,
    /// Ports opened so far, for names that differ.
    opened: usize,
    remarks: Vec<String>,
}

impl Replay {
    /// Brings DPDK up and stays on the core.
    ///
    /// # Errors
    /// [`BadUsage`](crate::BadUsage) for a core that this process may not use; what DPDK says.
    pub(super) fn new(options: &Options, stop: &Stop) -> Result<Self> {
        let core = cores::pick(options.core)?;
        let control = cores::beside(core).unwrap_or(core);
        let ports = Ports::start(&options.dpdk, &[])?;
        let home = tempfile::Builder::new().prefix("macsec-gw-bench-").tempdir();
        let home = home.context("a directory for captures")?;
        cores::stay_on(core)?;
        let has_forwarder = forwarder::installed();
        let mut remarks = Vec::new();
        if !has_forwarder {
            let text =
                "dpdk-testpmd is not installed (Debian has it in dpdk-dev), so that there is no share of io";
            remarks.push(text.to_owned());
        }
        let (paths, slices, stop) = (options.paths.clone(), options.slices, stop.clone());
        let (clock, dpdk) = (Clock::new(), options.dpdk.clone());
        Ok(Replay {
            core,
            control,
            clock,
            paths,
            slices,
            dpdk,
            stop,
            ports,
            home,
            has_forwarder,
            opened: 0,
            remarks,
        })
    }

    /// A gateway on one path, between ports of its own.
    fn way(&mut self, keying: &Keying, path: Path, capture: &Capture) -> Result<Way> {
        let number = self.opened;
        self.opened += 1;
        let source = format!("net_pcap{number},rx_pcap={},infinite_rx=1", capture.path.display());
        let (octets, held) = (capture.octets, capture.frames as u32);
        let source = self.ports.open_virtual(&source, octets, held + SOURCE_BUFFERS)?;
        let sink = self.ports.open_virtual(&format!("net_null{number},no-rx=1"), octets, SINK_BUFFERS)?;
        let (direction, counters, done) = if path == Path::Verify {
            // Packet numbers come again with the capture.
            let (half, done) = keying.watched_receive_half(true)?;
            let verify = Verify::new(source.rx, half, sink.tx, usize::MAX);
            let counters = verify.counters();
            (Direction::Verify(verify.into()), counters, done)
        } else {
            let (half, done) = keying.watched_transmit_half(path == Path::Protect)?;
            let protect = Protect::new(source.rx, half, sink.tx);
            let counters = protect.counters();
            (Direction::Protect(protect.into()), counters, done)
        };
        let ports = [source.watch, sink.watch];
        Ok(Way { path, engine: Engine::new(), direction, counters, done, _ports: ports })
    }

    /// The forwarder, or a word on why there is none.
    fn forwarder(&mut self, capture: &Capture) -> Option<Forwarder> {
        if !self.has_forwarder {
            return None;
        }
        let started = Forwarder::start(&capture.path, capture.octets, (self.control, self.core), &self.dpdk);
        started.map_err(|why| self.give_up(&why)).ok()
    }

    fn give_up(&mut self, why: &str) {
        self.has_forwarder = false;
        self.remarks.push(format!("dpdk-testpmd: {why}; from here on there is no share of io"));
    }
}

/// A file of frames.
struct Capture {
    path: PathBuf,
    frames: usize,
    /// Of the longest frame, and what protecting it may add.
    octets: usize,
}

impl Capture {
    fn new(home: &FilePath, name: &str, frames: &[Vec<u8>]) -> Result<Self> {
        let path = home.join(name);
        let mut writer = CaptureWriter::create(&path, Default::default())?;
        for (second, frame) in frames.iter().enumerate() {
            writer.write(Duration::from_secs(second as u64), frame)?;
        }
        writer.finish()?;
        let octets = frames.iter().map(Vec::len).max().unwrap_or(0) + ADDED;
        Ok(Capture { path, frames: frames.len(), octets })
    }
}

enum Direction {
    Protect(Box<Protect<Rx, Tx>>),
    Verify(Box<Verify<Rx, Tx>>),
}

/// The gateway on one path.
struct Way {
    path: Path,
    engine: Engine,
    // Before the ports, which close when nobody has their queues.
    direction: Direction,
    counters: Arc<PathCounters>,
    done: Done,
    _ports: [PortWatch; 2],
}

impl Way {
    /// Lets frames pass for a slice, and says how many ticks one takes.
    fn slice(&mut self, clock: &Clock) -> Result<f64> {
        let Way { direction, engine, .. } = self;
        match direction {
            Direction::Protect(task) => slice(&mut **task, engine, clock),
            Direction::Verify(task) => slice(&mut **task, engine, clock),
        }
        .with_context(|| format!("path {}", self.path.name()))
    }

    /// What the parts of a round take, a frame, for a while.
    fn split(&mut self, clock: &Clock) -> [f64; 5] {
        let mut split = Split::default();
        let mut frames = 0;
        let Way { direction, engine, .. } = self;
        let end = clock.now() + clock.ticks(SPLIT) as u64;
        while clock.now() < end {
            let mut last = clock.now();
            let over = |part: Part| {
                let now = clock.now();
                *split.part(part) += now - last;
                last = now;
            };
            frames += match direction {
                Direction::Protect(task) => task.poll_marked(engine, over),
                Direction::Verify(task) => task.poll_marked(engine, over),
            };
        }
        split.parts().map(|ticks| ticks as f64 / frames.max(1) as f64)
    }

    /// Whether all frames so far were done right, and none dropped.
    fn check(&self) -> Result<()> {
        let (received, sent) = (self.counters.rx_frames.get(), self.counters.tx_frames.get());
        let done = (self.done)();
        ensure!(
            received == sent && sent == done,
            "path {}: of {received} frames {sent} were handed on and {done} done right",
            self.path.name()
        );
        Ok(())
    }
}

fn slice(task: &mut impl Task, engine: &mut Engine, clock: &Clock) -> Result<f64> {
    let mut run = |length: f64| {
        let start = clock.now();
        let end = start + clock.ticks(length) as u64;
        let (mut now, mut frames) = (start, 0);
        while now < end {
            for _ in 0..POLLS {
                frames += task.poll(engine);
            }
            now = clock.now();
        }
        (now - start, frames)
    };
    run(WARM_UP);
    let (ticks, frames) = run(SLICE);
    ensure!(frames > 0, "the port hands over no frames");
    Ok(ticks as f64 / frames as f64)
}

/// The engine alone for a slice: ticks a frame.
fn engine_slice(engine: &mut EngineAlone, frames: usize, clock: &Clock) -> Result<f64> {
    let mut run = |length: f64| {
        let (mut ticks, mut passes) = (0, 0);
        while (ticks as f64) < clock.ticks(length) {
            ticks += engine.pass(clock)?;
            passes += 1;
        }
        anyhow::Ok(ticks as f64 / (passes * frames) as f64)
    };
    run(WARM_UP)?;
    run(SLICE)
}

impl Bench for Replay {
    type Row = Row;

    const TITLE: &'static str = "The gateway's loop, over replayed captures";
    const ABOUT: &'static str = "Frames are captures that DPDK's net_pcap repeats, and go to net_null, on one core; their \
        octets count with FCS. Mpps are million frames a second. of clear is the rate as a part of that of the same loop \
        without crypto, of io as a part of that of dpdk-testpmd in io mode on devices like these with the same capture, which \
        does nothing to frames, of engine as a part of what the AES-GCM engine alone would do with the same frames in its caches. The \
        last columns say where the time of a frame goes.";

    fn heading(&self) -> String {
        let Replay { core, slices, clock, dpdk, .. } = self;
        let memory = if dpdk.no_huge { "ordinary memory" } else { "hugepages" };
        format!("Core {core}, replayed captures in {memory}, {slices} slices each{}", cycles(clock))
    }

    fn measure(&mut self, case: &Case) -> Result<Option<Vec<Row>>> {
        let keying = Keying::new(case.suite)?;
        let plain = plain_frames(case);
        let plain_capture = Capture::new(self.home.path(), "plain.pcap", &plain)?;
        let sealed = protected(&keying, &plain)?;
        let sealed_capture = Capture::new(self.home.path(), "protected.pcap", &sealed)?;
        let mut ways = Vec::new();
        for path in [Path::Clear, Path::Protect, Path::Verify] {
            if path == Path::Clear || self.paths.contains(&path) {
                let from = if path == Path::Verify { &sealed_capture } else { &plain_capture };
                ways.push(self.way(&keying, path, from)?);
            }
        }
        let mut engines =
            [EngineAlone::new(&keying, false, &plain)?, EngineAlone::new(&keying, true, &plain)?];
        let has = |path| ways.iter().any(|way: &Way| way.path == path);
        let captures = [Some(&plain_capture), has(Path::Verify).then_some(&sealed_capture)];
        let mut forwarders = captures.map(|capture| self.forwarder(capture?));

        let entrants = ways.len() + engines.len();
        // What a frame takes, slice by slice; and what it took the forwarders when these had their last turn.
        let (mut slices, mut io) = (vec![Vec::new(); entrants], [const { Vec::new() }; 2]);
        let mut parts = vec![<[Vec<f64>; 5]>::default(); ways.len()];
        let mut io_now = [None; 2];
        for round in 0..=self.slices {
            if self.stop.asked() {
                // The first round does not count.
                match round {
                    0 | 1 => return Ok(None),
                    _ => break,
                }
            }
            if round % FORWARDER_EVERY == 0 {
                for (place, now) in forwarders.iter_mut().zip(&mut io_now) {
                    match place.as_mut().map(Forwarder::rate) {
                        Some(Ok(rate)) => *now = Some(self.clock.ticks(1e9 / rate)),
                        Some(Err(why)) => {
                            self.give_up(&why);
                            (*place, *now) = (None, None);
                        }
                        None => {}
                    }
                }
            }
            // There and back, so that nobody always comes after the same one.
            let order: Vec<usize> = match round % 2 {
                0 => (0..entrants).collect(),
                _ => (0..entrants).rev().collect(),
            };
            for i in order {
                let ticks = match i.checked_sub(ways.len()) {
                    None => ways[i].slice(&self.clock)?,
                    Some(engine) => engine_slice(&mut engines[engine], plain.len(), &self.clock)?,
                };
                if round == 0 {
                    continue;
                }
                slices[i].push(ticks);
                if let Some((way, parts)) = ways.get_mut(i).zip(parts.get_mut(i)) {
                    parts.iter_mut().zip(way.split(&self.clock)).for_each(|(all, now)| all.push(now));
                }
            }
            if round > 0 {
                io.iter_mut().zip(io_now).for_each(|(all, now)| all.extend(now));
            }
        }
        drop(forwarders);
        let (seal, open) = (&slices[ways.len()], &slices[ways.len() + 1]);
        let mut rows = Vec::new();
        for ((way, parts), taken) in ways.iter().zip(parts).zip(&slices) {
            let path = way.path;
            let split = (path != Path::Clear).then(|| parts.map(median));
            way.check()?;
            if self.paths.contains(&path) {
                let (clear, engine) = (median_ratio(&slices[0], taken), engine_of(path, seal, open, taken));
                let io = &io[usize::from(path == Path::Verify)];
                // Of one that gave up there are too few.
                let io = (io.len() == taken.len()).then(|| median_ratio(io, taken));
                let measured = Measured { path, ticks: median(taken.clone()), clear, engine, io, split };
                rows.push(Row::new(case, "replay", &measured, &self.clock));
            }
        }
        Ok(Some(rows))
    }

    fn remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    fn shown(&self, cases: &[(Case, Vec<Row>)]) -> Shown {
        rates(cases, true)
    }

    fn plots(&self, title: &str, cases: &[(Case, Vec<Row>)]) -> Vec<Plot> {
        rate_plots(title, cases)
    }
}
