//! Latency: how long a frame takes through the gateway, at half of the most that the gateway can do.
//!
//! Generator and receiver are one loop on a core, the gateway is a worker on another; wires between them are rings in memory.
//! Order is kept and nothing is lost, so that times wait in a queue and need no room in frames, which are encrypted.

use super::buffer::Buffer;
use super::case::{Case, Path};
use super::lab::{AAD_LEN, plain_frames, protected};
use super::report::{About, Shown, number, plot, rounded};
use super::stations::{Done, Keying};
use super::{Bench, Options, Stop};
use crate::clock::{Clock, Ticks, median};
use crate::console::say;
use crate::cores;
use crate::report::{Plot, Scale};
use crate::rfc2544::Pacer;
use anyhow::{Result, bail, ensure};
use datapath::{
    FrameRx, FrameTx, MemoryRx, MemoryTx, Protect, Task, Verify, Worker, WorkerHandle, WorkerSetup,
    wire_of as memory_wire,
};
use hdrhistogram::Histogram;
use secy::{Burst, Command, Engine, Event};
use serde::Serialize;
use std::collections::VecDeque;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Length of a slice, in seconds, and of the one right before it in which it is found out how much the gateway can do now:
/// half of what it could do a second ago is more than half where the machine has become slower.
const SLICE: f64 = 10e-3;
const MAX_SLICE: f64 = 5e-3;
/// The load, as a part of the most.
const LOAD: f64 = 0.5;
/// What of that must be offered, or it is said.
const KEPT_UP: f64 = 0.98;
/// From this part of moments on at which the generator found no room it was the gateway that was the limit.
const GATEWAY_IS_THE_LIMIT: f64 = 0.25;
/// Frames that there are, as many as rings of NICs hold: more would leave the caches when the gateway is kept from its work
/// for a moment, and it would then be too slow to catch up.
const FRAMES: usize = 1024;
/// Frames on their way when the gateway is to be as fast as it can: enough for it, and few enough for the caches.
const MOST_AT_ONCE: usize = 256;
/// Frames that are sent at once.
const BURST: usize = 32;
/// Between two looks at the clock generator and receiver take less than this, in seconds, unless their core is taken from
/// them: frames that are on their way then would be received too late, and are not counted.
const HELD_UP: f64 = 4e-6;
/// How long frames may stay away, in seconds.
const PATIENCE: f64 = 5.0;

/// How long frames took: an object in JSON, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Percentiles {
    /// Of ticks of which there are so many in a nanosecond; none where nothing was counted.
    fn of(histogram: &Histogram<u64>, ticks_per_ns: f64) -> Option<Self> {
        let ns = |ticks: u64| tenths(ticks as f64 / ticks_per_ns);
        let at = |quantile| ns(histogram.value_at_quantile(quantile));
        let max = ns(histogram.max());
        (!histogram.is_empty()).then(|| Percentiles { p50: at(0.5), p99: at(0.99), p999: at(0.999), max })
    }

    /// What the slice in the middle had of each, and the most of all: a slice in which a core was taken away says nothing
    /// of the gateway but in its maximum. One in which nothing was counted is left out; where most are such, there is nothing
    /// to tell.
    fn median(slices: &[Option<Percentiles>]) -> Option<Self> {
        let told = || slices.iter().flatten();
        let of = |get: fn(&Percentiles) -> f64| tenths(median(told().map(get).collect()));
        let max = told().map(|slice| slice.max).fold(0.0, f64::max);
        let count = told().count();
        (count > 0 && 2 * count >= slices.len()).then(|| Percentiles {
            p50: of(|s| s.p50),
            p99: of(|s| s.p99),
            p999: of(|s| s.p999),
            max,
        })
    }

    fn cells(of: Option<Self>) -> [String; 4] {
        let parts: [fn(Self) -> f64; 4] = [|of| of.p50, |of| of.p99, |of| of.p999, |of| of.max];
        parts.map(|part| number(of.map(part), 0))
    }
}

/// Nanoseconds to a tenth: more would be noise.
fn tenths(ns: f64) -> f64 {
    (ns * 10.0).round() / 10.0
}

/// Who does no more than the most that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Limit {
    Gateway,
    /// The gateway can do more than it was given.
    Generator,
}

impl Limit {
    /// Of slices in which the generator found no room at this part of its moments.
    fn of(held_back: Vec<f64>) -> Self {
        if median(held_back) < GATEWAY_IS_THE_LIMIT { Limit::Generator } else { Limit::Gateway }
    }
}

/// A path on frames of one size: an object in JSON.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    about: About,
    /// The most that the gateway does, in million frames a second.
    max_mpps: f64,
    /// Million frames a second at which the latency was taken.
    offered_mpps: f64,
    /// What part of the load that was to be offered was; of slices the median.
    kept_up: f64,
    /// Who bounded the most; none where gateway and generator take turns on a core, which bounds both.
    limit: Option<Limit>,
    /// What the gateway adds, with generator and receiver; none where in most slices no frame counted.
    latency_ns: Option<Percentiles>,
    /// The same with a core that passes frames on in place of the gateway; none, too, where the end was asked for before.
    own_ns: Option<Percentiles>,
    /// The part of the frames that is not counted, since generator and receiver were kept from their work meanwhile.
    left_out: f64,
    /// The part of the time that the gateway's core was taken from what passes frames on in its place; none where there was none.
    core_away: Option<f64>,
    cores: usize,
}

/// The gateway between a generator and a receiver.
pub(super) struct Latency {
    core: usize,
    /// Generator's and receiver's, if there is another.
    other: Option<usize>,
    clock: Arc<Clock>,
    paths: Vec<Path>,
    slices: usize,
    stop: Stop,
    remarks: Vec<String>,
}

impl Latency {
    /// Stays on the generator's core.
    ///
    /// # Errors
    /// [`BadUsage`](crate::BadUsage) for a core that this process may not use.
    pub(super) fn new(options: &Options, stop: &Stop) -> Result<Self> {
        let core = cores::pick(options.core)?;
        let other = cores::beside(core);
        match other {
            None => {
                say("with one core generator, gateway and receiver take turns, and latency includes that")
            }
            Some(other) if cores::are_siblings(core, other) => say(&format!(
                "cores {core} and {other} are hyper-threads of one: the gateway has half a core, and latency shows it"
            )),
            Some(_) => {}
        }
        cores::stay_on(other.unwrap_or(core))?;
        let (paths, slices, stop) = (options.paths.clone(), options.slices, stop.clone());
        Ok(Latency { core, other, clock: Arc::new(Clock::new()), paths, slices, stop, remarks: Vec::new() })
    }

    /// Measures a path; none where the end was asked for before there was a slice.
    fn row(&mut self, case: &Case, keying: &Keying, path: Path) -> Result<Option<Row>> {
        let plain = plain_frames(case);
        let frames = if path == Path::Verify { protected(keying, &plain)? } else { plain };
        let whole = path == Path::Verify;
        let (near, first) = memory_wire(FRAMES);
        let (last, far) = memory_wire(FRAMES);
        let (tasks, done) = tasks(keying, path, first, last)?;
        let mut gateway = Gateway::start(tasks, self.other.map(|_| self.core))?;
        let mut rig = Rig::new(&*self.clock, near, far, &frames, whole);
        rig.apart = self.other.is_some();
        let (mut most, mut held_back) = (Vec::new(), Vec::new());
        let (slices, stop) = (self.slices, &self.stop);
        let found = paced(&mut rig, slices, stop, &mut || gateway.turn(), |rig, gateway, counts| {
            let run = rig.run(None, MAX_SLICE, MOST_AT_ONCE, None, gateway)?;
            if counts {
                most.push(run.fps);
                held_back.push(run.held_back);
            }
            Ok(run.fps * LOAD)
        })?;
        let sent = rig.sent;
        gateway.stop()?;
        let Some(found) = found else { return Ok(None) };
        let limit = self.other.map(|_| Limit::of(held_back));
        if limit == Some(Limit::Generator) {
            let path = path.name();
            self.remarks.push(format!(
                "{case}, {path}: the generator was the limit; the gateway can do more than it was given"
            ));
        }
        if found.kept_up < KEPT_UP {
            let (path, part) = (path.name(), found.kept_up * 100.0);
            self.remarks.push(format!(
                "{case}, {path}: at {part:.0} % of the load that was asked for, since the machine had other things to do"
            ));
        }
        let done = done();
        ensure!(sent == done, "path {}: of {sent} frames {done} were done right", path.name());

        // The same with a core in the gateway's place that passes frames on, and has nothing else to do.
        let (near, rx) = memory_wire(FRAMES);
        let (tx, far) = memory_wire(FRAMES);
        let (hop, away) = Hop::new(rx, tx, &self.clock);
        let mut hop = Gateway::start(vec![Box::new(hop)], self.other.map(|_| self.core))?;
        let begun = self.clock.now();
        let mut rig = Rig::new(&*self.clock, near, far, &frames, whole);
        rig.apart = self.other.is_some();
        let own = paced(&mut rig, slices, stop, &mut || hop.turn(), |_, _, _| Ok(found.fps))?;
        let taken = self.clock.now() - begun;
        hop.stop()?;
        // None where the end was asked for.
        let own_latency = own.as_ref().and_then(|own| own.latency);
        if found.latency.is_none() || own.is_some_and(|own| own.latency.is_none()) {
            let path = path.name();
            self.remarks.push(format!(
                "{case}, {path}: generator and receiver were kept from their work in most slices, so that there is no latency"
            ));
        }
        Ok(Some(Row {
            about: About::new(case, path),
            max_mpps: rounded(median(most) / 1e6),
            offered_mpps: rounded(found.fps / 1e6),
            kept_up: rounded(found.kept_up),
            limit,
            latency_ns: found.latency,
            own_ns: own_latency,
            left_out: rounded(found.left_out),
            core_away: self.other.map(|_| rounded(away.load(Ordering::Relaxed) as f64 / taken as f64)),
            cores: 1 + usize::from(self.other.is_some()),
        }))
    }
}

/// So many slices, each at a load of its own, in frames a second, and one before them that does not count; or as many as there
/// were when the end was asked for. None where there were none.
fn paced<'a, C: Ticks>(
    rig: &mut Rig<'a, C>,
    slices: usize,
    stop: &Stop,
    gateway: &mut dyn FnMut(),
    mut load: impl FnMut(&mut Rig<'a, C>, &mut dyn FnMut(), bool) -> Result<f64>,
) -> Result<Option<Paced>> {
    let ticks_per_ns = rig.clock.per_second() / 1e9;
    let (mut rates, mut kept_up, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
    let (mut ages, mut offered) = (histogram(), 0);
    for counts in iter::once(false).chain(iter::repeat_n(true, slices)) {
        if stop.asked() {
            break;
        }
        let fps = load(rig, gateway, counts)?;
        ages.reset();
        let before = rig.sent;
        let run = rig.run(Some(fps), SLICE, FRAMES, Some(&mut ages), gateway)?;
        offered += rig.sent - before;
        if counts {
            rates.push(run.fps);
            kept_up.push(run.fps / fps);
            latencies.push(Percentiles::of(&ages, ticks_per_ns));
        }
    }
    if rates.is_empty() {
        return Ok(None);
    }
    let left_out = rig.left_out as f64 / offered.max(1) as f64;
    let latency = Percentiles::median(&latencies);
    Ok(Some(Paced { fps: median(rates), kept_up: median(kept_up), latency, left_out }))
}

/// What came of slices at a load.
struct Paced {
    /// Frames a second.
    fps: f64,
    /// What part of the load was offered.
    kept_up: f64,
    /// None where in most slices no frame counted.
    latency: Option<Percentiles>,
    /// The part of the frames that is not counted.
    left_out: f64,
}

/// No latencies yet, in ticks.
fn histogram() -> Histogram<u64> {
    // Only bounds out of order and more digits than five are refused.
    Histogram::new_with_bounds(1, 1 << 40, 3).unwrap_or_else(|_| unreachable!())
}

type Tasks = Vec<Box<dyn Task>>;

/// The directions of a path between two wires, and how many frames went all the way as they should.
fn tasks(
    keying: &Keying,
    path: Path,
    first: MemoryRx<Buffer>,
    last: MemoryTx<Buffer>,
) -> Result<(Tasks, Done)> {
    let (transmit_half, sent) = keying.watched_transmit_half(path != Path::Clear)?;
    // On path verify the same packet numbers come again and again.
    let (receive_half, received) = keying.watched_receive_half(path != Path::Both)?;
    Ok(match path {
        Path::Clear | Path::Protect => (vec![Box::new(Protect::new(first, transmit_half, last))], sent),
        Path::Verify => (vec![Box::new(Verify::new(first, receive_half, last, usize::MAX))], received),
        Path::Both => {
            let (line_tx, line_rx) = memory_wire(FRAMES);
            let protect = Protect::new(first, transmit_half, line_tx);
            let verify = Verify::new(line_rx, receive_half, last, usize::MAX);
            (vec![Box::new(protect), Box::new(verify)], received)
        }
    })
}

/// Passes frames on as they are, and notes for how long its core did something else.
struct Hop<C> {
    rx: MemoryRx<Buffer>,
    tx: MemoryTx<Buffer>,
    clock: Arc<C>,
    /// When it was last at work.
    looked: Option<u64>,
    /// How long it is away at most when its core is its own, in ticks.
    own: u64,
    /// Ticks that it was away for longer than that.
    away: Arc<AtomicU64>,
}

impl<C: Ticks> Hop<C> {
    /// Beside it where ticks are counted that its core was taken from it for.
    fn new(rx: MemoryRx<Buffer>, tx: MemoryTx<Buffer>, clock: &Arc<C>) -> (Self, Arc<AtomicU64>) {
        let (clock, away) = (Arc::clone(clock), Arc::default());
        let own = (HELD_UP * clock.per_second()) as u64;
        (Hop { rx, tx, clock, looked: None, own, away: Arc::clone(&away) }, away)
    }
}

impl<C: Ticks + Send> Task for Hop<C> {
    fn poll(&mut self, _: &mut Engine) -> usize {
        let now = self.clock.now();
        let since = now - self.looked.replace(now).unwrap_or(now);
        if since > self.own {
            self.away.fetch_add(since, Ordering::Relaxed);
        }
        let mut frames = Burst::new();
        self.rx.rx_burst(&mut frames);
        let received = frames.len();
        self.tx.tx_burst(&mut frames);
        received
    }

    fn apply(&mut self, command: Command) -> Option<Event> {
        Some(Event::Refused(command))
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }
}

/// On a core of its own, or in turns with generator and receiver.
enum Gateway {
    Worker(WorkerHandle),
    InTurns(Tasks, Box<Engine>),
}

impl Gateway {
    fn start(tasks: Tasks, core: Option<usize>) -> Result<Self> {
        let Some(core) = core else { return Ok(Gateway::InTurns(tasks, Box::new(Engine::new()))) };
        let setup = WorkerSetup { name: "gateway", core: Some(core), tasks, ..WorkerSetup::default() };
        Ok(Gateway::Worker(Worker::start(setup)?))
    }

    #[inline(always)]
    fn turn(&mut self) {
        if let Gateway::InTurns(tasks, engine) = self {
            for task in tasks {
                task.poll(engine);
            }
        }
    }

    fn stop(self) -> Result<()> {
        match self {
            Gateway::Worker(handle) => ensure!(handle.stop(), "the gateway's worker panicked"),
            Gateway::InTurns(..) => {}
        }
        Ok(())
    }
}

/// What a slice came to.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Frames a second that came out at the far end.
    fps: f64,
    /// Of the moments at which frames were due, the part at which too many were on their way for them.
    held_back: f64,
}

/// Generator and receiver.
struct Rig<'a, C> {
    clock: &'a C,
    near: MemoryTx<Buffer>,
    far: MemoryRx<Buffer>,
    /// What frames hold, in turns.
    frames: &'a [Vec<u8>],
    /// Whether all of it, or only the beginning, must be what it was.
    whole: bool,
    place: usize,
    /// Those that are not on their way. The one that came back last goes first, since caches have it.
    free: Vec<Buffer>,
    /// When those on their way were sent, in order.
    times: VecDeque<u64>,
    sent: u64,
    /// The gateway has another core.
    apart: bool,
    /// Frames that were not counted.
    left_out: u64,
}

impl<'a, C: Ticks> Rig<'a, C> {
    fn new(
        clock: &'a C,
        near: MemoryTx<Buffer>,
        far: MemoryRx<Buffer>,
        frames: &'a [Vec<u8>],
        whole: bool,
    ) -> Self {
        let longest = frames.iter().map(Vec::len).max().unwrap_or(0);
        let free = (0..FRAMES).map(|_| Buffer::new(longest)).collect();
        let times = VecDeque::with_capacity(FRAMES);
        Rig { clock, near, far, frames, whole, place: 0, free, times, sent: 0, apart: false, left_out: 0 }
    }

    /// Sends for so many seconds, `fps` frames in each or as many as can be, with `most` of them on their way at once, and
    /// waits for all of them. Calls `gateway` in each turn.
    ///
    /// # Errors
    /// Not all come out.
    fn run(
        &mut self,
        fps: Option<f64>,
        seconds: f64,
        most: usize,
        mut ages: Option<&mut Histogram<u64>>,
        gateway: &mut dyn FnMut(),
    ) -> Result<Run> {
        let per_second = self.clock.per_second();
        let start = self.clock.now();
        let end = start + (seconds * per_second) as u64;
        // Who is held up and then sends all that was due makes a queue that is not the gateway's.
        let mut pacer = Pacer::new(start, fps, per_second).at_most_behind(BURST as u64);
        let most_between = if self.apart { (HELD_UP * per_second) as u64 } else { u64::MAX };
        let (mut looked, mut spoilt) = (start, 0);
        let (mut made, mut turns, mut held_back) = (0, 0u64, 0u64);
        let (mut burst, mut arrived) = (Burst::new(), Burst::new());
        let mut last_arrival = start;
        loop {
            self.far.rx_burst(&mut arrived);
            let now = self.clock.now();
            if now - looked > most_between {
                spoilt = self.times.len();
            }
            looked = now;
            if !arrived.is_empty() {
                last_arrival = now;
                for frame in arrived.drain(..) {
                    let sent = self.times.pop_front().unwrap_or(now);
                    if spoilt > 0 {
                        spoilt -= 1;
                        self.left_out += u64::from(ages.is_some());
                    } else if let Some(ages) = &mut ages {
                        ages.saturating_record(now.saturating_sub(sent));
                    }
                    self.free.push(frame);
                }
            }
            let now = self.clock.now();
            if now < end {
                let due = pacer.due(now, made, BURST);
                let room = most - self.times.len().min(most);
                turns += u64::from(due > 0);
                held_back += u64::from(due > room);
                for _ in 0..due.min(room) {
                    burst.extend(self.next());
                }
                if !burst.is_empty() {
                    let count = burst.len();
                    let now = self.clock.now();
                    self.times.extend(iter::repeat_n(now, count));
                    self.near.tx_burst(&mut burst);
                    ensure!(burst.is_empty(), "a wire that has room for all frames took none");
                    made += count as u64;
                }
            } else if self.times.is_empty() {
                break;
            } else if now > end + (PATIENCE * per_second) as u64 {
                bail!("{} of {made} frames did not come out", self.times.len());
            }
            gateway();
        }
        self.sent += made;
        let taken = last_arrival.max(end) - start;
        let held_back = held_back as f64 / turns.max(1) as f64;
        Ok(Run { fps: made as f64 * per_second / taken as f64, held_back })
    }

    /// A frame to be sent.
    fn next(&mut self) -> Option<Buffer> {
        let mut buffer = self.free.pop()?;
        let frame = &self.frames[self.place];
        self.place = if self.place + 1 < self.frames.len() { self.place + 1 } else { 0 };
        if self.whole {
            buffer.fill(frame);
        } else {
            buffer.begin(&frame[..AAD_LEN], frame.len());
        }
        Some(buffer)
    }
}

impl Bench for Latency {
    type Row = Row;

    const TITLE: &'static str = "Latency that the gateway adds at half load";
    const ABOUT: &'static str = "Nanoseconds from right before a frame is put on one wire until it is taken from the other, \
        with the gateway in between at half of the most that it can do, which is found anew before each slice. Wires are \
        rings in memory; octets count with FCS. \
        own is the same at the same rate with a core in between that passes frames on and does nothing else: what the \
        rig and the machine have of it, whose timers and other work interrupt cores. Frames on their way while generator \
        and receiver, which share a core, were interrupted are left out. core away is the part of the time that the other core, too, \
        was taken, seen without the gateway: frames wait meanwhile, and then in a queue, so that of them about twice \
        that part, at half load, says nothing of the gateway. max is the longest of all, and as a rule the \
        machine's doing.";

    fn heading(&self) -> String {
        let where_to = match self.other {
            Some(other) => {
                format!("Gateway on core {}, generator and receiver together on core {other}", self.core)
            }
            None => format!("Gateway, generator and receiver in turns on core {}", self.core),
        };
        format!("{where_to}, wires in memory, half load, {} slices of {} ms", self.slices, SLICE * 1e3)
    }

    fn measure(&mut self, case: &Case) -> Result<Option<Vec<Row>>> {
        let keying = Keying::new(case.suite)?;
        let mut rows = Vec::new();
        for path in self.paths.clone() {
            match self.row(case, &keying, path)? {
                Some(row) => rows.push(row),
                None => break,
            }
        }
        Ok((!rows.is_empty()).then_some(rows))
    }

    fn remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    fn shown(&self, cases: &[(Case, Vec<Row>)]) -> Shown {
        let columns = [
            "max Mpps",
            "at Mpps",
            "ns: median",
            "99 %",
            "99.9 %",
            "max",
            "own: median",
            "99 %",
            "99.9 %",
            "max",
            "left out",
            "core away",
        ];
        let cells = |row: &Row| {
            let mut cells = vec![number(Some(row.max_mpps), 2), number(Some(row.offered_mpps), 2)];
            cells.extend(Percentiles::cells(row.latency_ns));
            cells.extend(Percentiles::cells(row.own_ns));
            let percent = |part| number(Some(part * 100.0), 1) + " %";
            cells.push(percent(row.left_out));
            cells.push(row.core_away.map_or_else(|| number(None, 1), percent));
            cells
        };
        Shown::new(&columns, cases, |row| &row.about, cells)
    }

    fn plots(&self, title: &str, cases: &[(Case, Vec<Row>)]) -> Vec<Plot> {
        let rows =
            || cases.iter().flat_map(|(case, rows)| rows.iter().map(move |row| (case, row))).enumerate();
        let names = rows().map(|(_, (case, row))| format!("{}, {}", case.size, row.about.path.name()));
        type Part = (&'static str, fn(Percentiles) -> f64);
        let parts: [Part; 4] =
            [("median", |of| of.p50), ("99 %", |of| of.p99), ("99.9 %", |of| of.p999), ("max", |of| of.max)];
        let points = parts.into_iter().flat_map(|(name, part)| {
            rows().filter_map(move |(i, (_, row))| Some((name, i, part(row.latency_ns?) / 1e3)))
        });
        let latency = plot(format!("{title}: latency at half load"), "µs", names.collect(), points);
        vec![Plot { scale: Scale::Log, ..latency }]
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::FrameSize;
    use super::*;
    use wire::CipherSuite;

    /// Ten ticks, of a nanosecond each, go by whenever somebody looks.
    #[derive(Default)]
    struct Looks(AtomicU64);

    impl Ticks for Looks {
        fn now(&self) -> u64 {
            self.0.fetch_add(10, Ordering::Relaxed)
        }

        fn per_second(&self) -> f64 {
            1e9
        }
    }

    /// Keeps each frame for so many ticks.
    struct Delay<'a> {
        clock: &'a Looks,
        ticks: u64,
        rx: MemoryRx<Buffer>,
        tx: MemoryTx<Buffer>,
        kept: VecDeque<(u64, Buffer)>,
    }

    impl<'a> Delay<'a> {
        /// Between the two ends that it is reached by.
        fn new(clock: &'a Looks, ticks: u64) -> (MemoryTx<Buffer>, Self, MemoryRx<Buffer>) {
            let ((near, rx), (tx, far)) = (memory_wire(FRAMES), memory_wire(FRAMES));
            (near, Delay { clock, ticks, rx, tx, kept: VecDeque::new() }, far)
        }

        fn turn(&mut self) {
            let now = self.clock.now();
            let mut burst = Burst::new();
            self.rx.rx_burst(&mut burst);
            self.kept.extend(burst.drain(..).map(|frame| (now + self.ticks, frame)));
            while self.kept.front().is_some_and(|(due, _)| *due <= now) {
                burst.extend(self.kept.pop_front().map(|(_, frame)| frame));
                self.tx.tx_burst(&mut burst);
            }
        }
    }

    #[test]
    fn a_delay_is_found() {
        for ticks in [0, 5_000, 200_000] {
            let clock = Looks::default();
            let (near, mut delay, far) = Delay::new(&clock, ticks);
            let frames = [vec![0; 60]];
            let mut rig = Rig::new(&clock, near, far, &frames, true);
            let mut ages = histogram();
            let kept = Some(&mut ages);
            let run = rig.run(Some(1e6), 2e-3, FRAMES, kept, &mut || delay.turn()).unwrap();
            assert!(ages.len() == rig.sent && (1990..=2000).contains(&rig.sent), "{} sent", rig.sent);
            assert_eq!(run.held_back, 0.0);
            let found = Percentiles::of(&ages, 1.0).unwrap();
            let delay = ticks as f64;
            // A few looks at the clock lie between, and three digits are kept.
            let most = (delay + 200.0) * 1.001;
            assert!(delay <= found.p50 && found.p50 <= found.p999 && found.max <= most, "{ticks}: {found:?}");
        }
    }

    #[test]
    fn who_is_the_limit_is_found() {
        // As many as may be on their way come back in 20 µs, in which the generator looks at its clock hundreds of times; or
        // at once.
        for (ticks, is_held_back) in [(20_000, true), (0, false)] {
            let clock = Looks::default();
            let (near, mut delay, far) = Delay::new(&clock, ticks);
            let frames = [vec![0; 60]];
            let mut rig = Rig::new(&clock, near, far, &frames, false);
            let run = rig.run(None, 2e-3, MOST_AT_ONCE, None, &mut || delay.turn()).unwrap();
            let limit = if is_held_back { Limit::Gateway } else { Limit::Generator };
            assert_eq!(Limit::of(vec![run.held_back]), limit, "{run:?}");
        }
    }

    #[test]
    fn each_slice_has_its_own_load_and_the_first_does_not_count() {
        let clock = Looks::default();
        let (near, mut delay, far) = Delay::new(&clock, 1_000);
        let frames = [vec![0; 60]];
        let mut rig = Rig::new(&clock, near, far, &frames, true);
        let mut loads = [5e6, 1e6, 3e6, 2e6].into_iter();
        let mut counting = Vec::new();
        let stop = Stop::default();
        let found = paced(&mut rig, 3, &stop, &mut || delay.turn(), |_, _, counts| {
            counting.push(counts);
            Ok(loads.next().unwrap())
        });
        let Paced { fps, kept_up, latency, left_out } = found.unwrap().unwrap();
        assert_eq!(counting, [false, true, true, true]);
        assert!((fps / 2e6 - 1.0).abs() < 1e-3 && (kept_up - 1.0).abs() < 1e-3, "{fps} {kept_up}");
        let latency = latency.unwrap();
        assert!((1_000.0..1_200.0).contains(&latency.p50) && left_out == 0.0, "{latency:?} {left_out}");
        assert!((109_900..=110_000).contains(&rig.sent), "{}", rig.sent);
    }

    #[test]
    fn an_end_leaves_the_slices_before_it() {
        for (asked_at, left) in [(1, None), (2, Some(2e6)), (3, Some(3e6))] {
            let clock = Looks::default();
            let (near, mut delay, far) = Delay::new(&clock, 1_000);
            let frames = [vec![0; 60]];
            let mut rig = Rig::new(&clock, near, far, &frames, true);
            let stop = Stop::default();
            let mut slices = 0;
            let found = paced(&mut rig, 30, &stop, &mut || delay.turn(), |_, _, _| {
                slices += 1;
                stop.0.store(slices == asked_at, Ordering::Relaxed);
                Ok([1e6, 2e6, 4e6][slices - 1])
            });
            let fps = found.unwrap().map(|found| found.fps);
            assert_eq!(fps.map(|fps| (fps / 1e4).round() * 1e4), left, "{asked_at}");
        }
    }

    #[test]
    fn what_the_rig_itself_is_held_up_for_is_left_out() {
        for apart in [false, true] {
            let clock = Looks::default();
            let (near, mut delay, far) = Delay::new(&clock, 1_000);
            let frames = [vec![0; 60]];
            let mut rig = Rig::new(&clock, near, far, &frames, true);
            rig.apart = apart;
            let mut ages = histogram();
            let mut turns = 0;
            let mut gateway = || {
                turns += 1;
                if turns % 10_000 == 0 {
                    clock.0.fetch_add(20_000, Ordering::Relaxed);
                }
                delay.turn();
            };
            rig.run(Some(1e7), 2e-3, FRAMES, Some(&mut ages), &mut gateway).unwrap();
            assert_eq!(ages.len() + rig.left_out, rig.sent);
            let found = Percentiles::of(&ages, 1.0).unwrap();
            // Frames that were in between are seen late, or not at all.
            assert_eq!((rig.left_out > 0, found.max < 10_000.0), (apart, apart), "{found:?}");
        }
    }

    #[test]
    fn slices_without_a_frame_that_counts_are_left_out() {
        let slice = |p50| Some(Percentiles { p50, p99: 2.0 * p50, p999: 3.0 * p50, max: 4.0 * p50 });
        let median = |slices: &[_]| Percentiles::median(slices).map(|found| (found.p50, found.max));
        assert_eq!(median(&[None, slice(100.0), None, slice(200.0), slice(300.0)]), Some((200.0, 1200.0)));
        assert_eq!(median(&[None, slice(100.0)]), Some((100.0, 400.0)));
        assert_eq!((median(&[None, slice(100.0), None]), median(&[None]), median(&[])), (None, None, None));
        assert_eq!(Percentiles::of(&histogram(), 1.0), None);
        assert_eq!(Percentiles::cells(None), ["–"; 4]);
        // As where generator and receiver are held up at each look.
        let clock = Looks::default();
        let (near, mut delay, far) = Delay::new(&clock, 1_000);
        let frames = [vec![0; 60]];
        let mut rig = Rig::new(&clock, near, far, &frames, true);
        rig.apart = true;
        let mut gateway = || {
            clock.0.fetch_add(20_000, Ordering::Relaxed);
            delay.turn();
        };
        let found = paced(&mut rig, 3, &Stop::default(), &mut gateway, |_, _, _| Ok(1e5)).unwrap().unwrap();
        assert_eq!((found.latency, found.left_out), (None, 1.0));
    }

    #[test]
    fn a_core_that_was_taken_is_noticed() {
        let clock = Arc::new(Looks::default());
        let (near, rx) = memory_wire(FRAMES);
        let (tx, _far) = memory_wire::<Buffer>(FRAMES);
        let (mut hop, away) = Hop::new(rx, tx, &clock);
        drop(near);
        let mut engine = Engine::new();
        // Each look at the clock takes 10 ns; 3 µs are its own doing.
        for (ticks, sum) in [(0, 0), (0, 0), (3_000, 0), (50_000, 50_010), (0, 50_010), (5_000, 55_020)] {
            clock.0.fetch_add(ticks, Ordering::Relaxed);
            hop.poll(&mut engine);
            assert_eq!(away.load(Ordering::Relaxed), sum, "{ticks}");
        }
    }

    #[test]
    fn frames_that_stay_away_are_missed() {
        let clock = Looks::default();
        let (near, _kept) = memory_wire(FRAMES);
        let (_tx, far) = memory_wire(FRAMES);
        let frames = [vec![0; 60]];
        let mut rig = Rig::new(&clock, near, far, &frames, true);
        // Most of the patience at once.
        let mut leap = || {
            clock.0.fetch_add(1_000_000_000, Ordering::Relaxed);
        };
        let lost = rig.run(None, 1e-6, 8, None, &mut leap).unwrap_err().to_string();
        assert!(lost.contains("of 8 frames did not come out"), "{lost}");
    }

    #[test]
    fn all_paths_bring_frames_through_in_turns_too() {
        let keying = Keying::new(CipherSuite::ALL[2]).unwrap();
        let plain = plain_frames(&Case { suite: CipherSuite::ALL[2], size: FrameSize::Octets(64) });
        let sealed = protected(&keying, &plain).unwrap();
        for path in Path::ALL {
            let clock = Looks::default();
            let (near, first) = memory_wire(FRAMES);
            let (last, far) = memory_wire(FRAMES);
            let (tasks, done) = tasks(&keying, path, first, last).unwrap();
            let mut gateway = Gateway::start(tasks, None).unwrap();
            let frames = if path == Path::Verify { &sealed } else { &plain };
            let mut rig = Rig::new(&clock, near, far, frames, path == Path::Verify);
            let run = rig.run(Some(5e6), 1e-3, FRAMES, None, &mut || gateway.turn()).unwrap();
            assert!(run.fps > 0.0 && rig.sent > 0, "{path:?}: {run:?}");
            assert_eq!(rig.sent, done(), "{path:?}");
            gateway.stop().unwrap();
        }
    }

    #[test]
    fn rows_have_the_keys_that_were_promised() {
        let some = Percentiles { p50: 1.0, p99: 2.0, p999: 3.0, max: 4.0 };
        let case = Case { suite: CipherSuite::ALL[0], size: FrameSize::Octets(64) };
        let about = About::new(&case, Path::Both);
        let (latency_ns, own_ns, left_out) = (Some(some), Some(some), 0.1);
        let row = Row {
            about,
            max_mpps: 2.0,
            offered_mpps: 1.0,
            kept_up: 0.97,
            limit: Some(Limit::Generator),
            latency_ns,
            own_ns,
            left_out,
            core_away: Some(0.02),
            cores: 2,
        };
        let json = serde_json::to_value(row).unwrap();
        assert_eq!((&json["limit"], &json["kept_up"]), (&"generator".into(), &0.97.into()));
        assert_eq!(serde_json::to_value(Limit::Gateway).unwrap(), "gateway");
        for key in
            ["frame_octets", "suite", "path", "max_mpps", "offered_mpps", "left_out", "core_away", "cores"]
        {
            assert!(json.get(key).is_some(), "{key}: {json}");
        }
        for key in ["p50", "p99", "p999", "max"] {
            assert!(json["latency_ns"][key].is_number() && json["own_ns"][key].is_number(), "{key}");
        }
    }
}
