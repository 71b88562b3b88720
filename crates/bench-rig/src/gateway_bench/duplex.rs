//! Both directions at once: protect on one core and verify on another, each beside itself alone.

use super::case::{Case, Path};
use super::lab::{Lab, Runner, plain_frames};
use super::report::{About, Shown, gbit, number, plot, rounded, share};
use super::stations::Keying;
use super::{Bench, Options, Stop, cycles};
use crate::BadUsage;
use crate::clock::{Clock, median};
use crate::console::say;
use crate::cores;
use crate::ethernet::WIRE_OVERHEAD;
use crate::report::Plot;
use anyhow::{Result, anyhow};
use serde::Serialize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

/// Length of a slice, in nanoseconds, and how long before it everybody is told.
const SLICE: f64 = 3e6;
const NOTICE: f64 = 200e3;

/// A direction, on frames of one size: an object in JSON.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    about: About,
    /// Million frames a second, the other direction at rest.
    mpps_alone: f64,
    /// The same while the other direction does its work too.
    mpps_together: f64,
    /// What is left of the rate then.
    kept: f64,
    /// Of frames in the clear, together, with FCS, preamble and gap.
    gbit_l1: f64,
    /// The same, with FCS alone.
    gbit_l2: f64,
    core: usize,
    /// That the direction has: the other one's is beside it.
    cores: usize,
}

/// Two halves of a gateway on two cores.
pub(super) struct Duplex {
    /// Protect's and verify's.
    cores: [usize; 2],
    clock: Clock,
    slices: usize,
    stop: Stop,
}

/// The directions, in the order of their cores.
const PATHS: [Path; 2] = [Path::Protect, Path::Verify];

impl Duplex {
    /// # Errors
    /// [`BadUsage`] where there are not two cores.
    pub(super) fn new(options: &Options, stop: &Stop) -> Result<Self> {
        let core = cores::pick(options.core)?;
        let Some(other) = cores::beside(core) else {
            let text = format!("--duplex takes two cores, and this process may use core {core} alone");
            return Err(BadUsage(text).into());
        };
        if cores::are_siblings(core, other) {
            say(&format!(
                "cores {core} and {other} are hyper-threads of one: both directions together are slower than on two cores"
            ));
        }
        let (slices, stop) = (options.slices, stop.clone());
        Ok(Duplex { cores: [core, other], clock: Clock::new(), slices, stop })
    }
}

/// When to work: from one tick of the clock to another.
#[derive(Clone, Copy, Debug)]
struct Slice {
    start: u64,
    end: u64,
}

/// The end of a thread that works in slices.
struct Hand {
    orders: Sender<Slice>,
    /// Ticks a frame, or what went wrong.
    results: Receiver<Result<f64>>,
}

impl Hand {
    /// A thread on a core that lets frames pass on a path.
    fn new<'s, 'e: 's>(
        scope: &'s Scope<'s, 'e>,
        core: usize,
        path: Path,
        keying: &'e Keying,
        plain: &'e [Vec<u8>],
        clock: &'e Clock,
    ) -> Self {
        let (orders, to_do) = channel::<Slice>();
        let (done, results) = channel();
        scope.spawn(move || {
            // Made where it is used. The first result is that it is ready.
            let mut lab = match cores::stay_on(core).and_then(|()| Lab::new(keying, path, plain)) {
                Ok(lab) => lab,
                Err(e) => return drop(done.send(Err(e))),
            };
            if done.send(Ok(0.0)).is_err() {
                return;
            }
            for slice in to_do {
                if done.send(work(&mut lab, slice, plain.len(), clock)).is_err() {
                    break;
                }
            }
        });
        Hand { orders, results }
    }

    fn begin(&self, slice: Slice) -> Result<()> {
        self.orders.send(slice).map_err(|_| anyhow!("a thread has ended"))
    }

    fn result(&self) -> Result<f64> {
        self.results.recv().map_err(|_| anyhow!("a thread has ended"))?
    }
}

/// Lets frames pass until a slice is over, and says how many ticks one took.
fn work(lab: &mut Lab, slice: Slice, frames: usize, clock: &Clock) -> Result<f64> {
    while clock.now() < slice.start {
        std::hint::spin_loop();
    }
    let (mut ticks, mut passes) = (0, 0);
    // At least once, however late it is.
    while passes == 0 || clock.now() < slice.end {
        ticks += lab.pass(clock)?;
        passes += 1;
    }
    Ok(ticks as f64 / (passes * frames) as f64)
}

/// Ticks a frame in slices, alone and together.
#[derive(Default)]
struct Found {
    alone: Vec<f64>,
    together: Vec<f64>,
}

impl Duplex {
    /// Ticks a frame of both directions, alone and together, in the slices until the end was asked for; none where there are none.
    fn slices(&self, hands: &[Hand; 2]) -> Result<Option<[Found; 2]>> {
        let mut found = [Found::default(), Found::default()];
        for hand in hands {
            hand.result()?;
        }
        for round in 0..=self.slices {
            if self.stop.asked() {
                // The first round does not count.
                return Ok((round > 1).then_some(found));
            }
            for at_work in [&[0][..], &[1], &[0, 1]] {
                let start = self.clock.now() + self.clock.ticks(NOTICE) as u64;
                let slice = Slice { start, end: start + self.clock.ticks(SLICE) as u64 };
                for &direction in at_work {
                    hands[direction].begin(slice)?;
                }
                for &direction in at_work {
                    let ticks = hands[direction].result()?;
                    let Found { alone, together } = &mut found[direction];
                    if round > 0 {
                        if at_work.len() == 1 { alone } else { together }.push(ticks);
                    }
                }
            }
        }
        Ok(Some(found))
    }
}

impl Bench for Duplex {
    type Row = Row;

    const TITLE: &'static str = "Both directions at once, on two cores";
    const ABOUT: &'static str = "Protect is on one core and verify on another, over rings in memory; each alone and both at \
        once, in turns. kept is what is left of a direction's rate when the other works too. Cores must be physical ones: \
        two hyper-threads share one core's units, and lose much of it.";

    fn heading(&self) -> String {
        let [protect, verify] = self.cores;
        format!(
            "Protect on core {protect}, verify on core {verify}, ports in memory, {} slices each{}; the cores must be \
             physical ones, since hyper-threads of one share it",
            self.slices,
            cycles(&self.clock)
        )
    }

    fn measure(&mut self, case: &Case) -> Result<Option<Vec<Row>>> {
        let keying = Keying::new(case.suite)?;
        let plain = plain_frames(case);
        let found = std::thread::scope(|scope| {
            let hand = |i: usize| Hand::new(scope, self.cores[i], PATHS[i], &keying, &plain, &self.clock);
            // When they go, the threads end.
            let hands = [hand(0), hand(1)];
            self.slices(&hands)
        })?;
        let Some(found) = found else { return Ok(None) };
        let row = |(i, Found { alone, together }): (usize, Found)| {
            let [alone, together] = [alone, together].map(|slices| self.clock.ns(median(slices)));
            Row {
                about: About::new(case, PATHS[i]),
                mpps_alone: rounded(1e3 / alone),
                mpps_together: rounded(1e3 / together),
                kept: rounded(alone / together),
                gbit_l1: gbit(case, together, WIRE_OVERHEAD),
                gbit_l2: gbit(case, together, 0),
                core: self.cores[i],
                cores: 1,
            }
        };
        Ok(Some(found.into_iter().enumerate().map(row).collect()))
    }

    fn shown(&self, cases: &[(Case, Vec<Row>)]) -> Shown {
        let columns = ["core", "Mpps alone", "together", "kept", "Gbit/s L1", "L2"];
        let cells = |row: &Row| {
            vec![
                row.core.to_string(),
                number(Some(row.mpps_alone), 2),
                number(Some(row.mpps_together), 2),
                share(Some(row.kept)),
                number(Some(row.gbit_l1), 1),
                number(Some(row.gbit_l2), 1),
            ]
        };
        Shown::new(&columns, cases, |row| &row.about, cells)
    }

    fn plots(&self, title: &str, cases: &[(Case, Vec<Row>)]) -> Vec<Plot> {
        type Part = (&'static str, Path, fn(&Row) -> f64);
        let parts: [Part; 4] = [
            ("protect, alone", Path::Protect, |row| row.mpps_alone),
            ("protect, together", Path::Protect, |row| row.mpps_together),
            ("verify, alone", Path::Verify, |row| row.mpps_alone),
            ("verify, together", Path::Verify, |row| row.mpps_together),
        ];
        let mut points = Vec::new();
        for (name, path, part) in parts {
            for (i, (_, rows)) in cases.iter().enumerate() {
                let of_path = rows.iter().filter(|row| row.about.path == path);
                points.extend(of_path.map(|row| (name, i, part(row))));
            }
        }
        let names = cases.iter().map(|(case, _)| case.size.to_string()).collect();
        vec![plot(format!("{title}: rate"), "Mpps", names, points.into_iter())]
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::FrameSize;
    use super::*;
    use wire::CipherSuite;

    #[test]
    fn both_directions_are_measured_alone_and_together() {
        let Some(core) = cores::pick(None).ok().filter(|core| cores::beside(*core).is_some()) else {
            return say("with one core: --duplex left out");
        };
        let cores = [core, cores::beside(core).unwrap()];
        let stop = Stop::default();
        let mut duplex = Duplex { cores, clock: Clock::new(), slices: 1, stop: stop.clone() };
        let case = Case { suite: CipherSuite::ALL[3], size: FrameSize::Imix };
        let rows = duplex.measure(&case).unwrap().unwrap();
        assert_eq!(rows.iter().map(|row| row.about.path).collect::<Vec<_>>(), PATHS);
        for row in &rows {
            let json = serde_json::to_value(row).unwrap();
            for key in ["mix", "suite", "path", "mpps_alone", "mpps_together", "kept", "cores"] {
                assert!(json.get(key).is_some(), "{key}: {json}");
            }
            assert_eq!(row.cores, 1, "each direction has its own");
            assert!(row.mpps_alone > 0.0 && row.mpps_together > 0.0 && row.kept > 0.0, "{row:?}");
        }
        assert_eq!(duplex.plots("x", &[(case, rows)])[0].series.len(), 4);
        stop.0.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(duplex.measure(&case).unwrap().is_none());
    }
}
