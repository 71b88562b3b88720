//! The tests of a model: a device and a generator with limits that are known.

use super::super::receiver::{Arrived, latencies};
use super::super::results::Direction;
use super::super::trial::Measured;
use super::*;
use proptest::prelude::*;

/// What is between the ports, and what sends.
#[derive(Clone)]
struct Model {
    /// Frames a second that each direction's device does.
    device: Vec<f64>,
    /// Frames that it keeps.
    room: f64,
    /// Frames a second that the generator does.
    generator: f64,
    /// Of how many trials the rig loses a frame.
    missing: usize,
    /// After how many trials somebody asks for the end.
    patience: usize,
    trials: Vec<Spec>,
}

impl Tester for Model {
    fn trial(&mut self, spec: &Spec) -> Result<Vec<Measured>, TrialError> {
        if self.trials.len() == self.patience {
            return Err(TrialError::Interrupted);
        }
        self.trials.push(*spec);
        let fps = spec.fps.unwrap_or(f64::INFINITY).min(self.generator);
        let (sent, seconds) = match spec.length {
            Length::Seconds(seconds) => (fps * seconds, seconds),
            Length::Frames(frames) => (frames as f64, frames as f64 / fps),
            Length::Nothing => (0.0, 0.0),
        };
        let rig_missed = u64::from(self.missing > 0);
        self.missing = self.missing.saturating_sub(1);
        let measured = |&device: &f64| {
            // Only bursts are short enough for what it keeps to matter.
            let room = if matches!(spec.length, Length::Frames(_)) { self.room } else { 0.0 };
            let frames = (sent.min(device * seconds + room) as u64).saturating_sub(rig_missed);
            let mut latency = latencies();
            latency.record_n(1000, frames).unwrap();
            let arrived = Arrived { frames, octets: frames * 64, ..Arrived::default() };
            Measured { sent: sent as u64, seconds, arrived, rig_missed, latency, ns_per_tick: 1.0 }
        };
        Ok(self.device.iter().map(measured).collect())
    }
}

#[derive(Default)]
struct Seen {
    tests: Vec<Test>,
    rows: Vec<Trial>,
    remarks: Vec<String>,
    /// After how many rows showing them fails.
    full: Option<usize>,
}

impl Watcher for Seen {
    fn test(&mut self, _: FrameSize, test: Test) {
        self.tests.push(test);
    }

    fn trial(&mut self, _: &str) {}

    fn remark(&mut self, line: &str) {
        self.remarks.push(line.to_owned());
    }

    fn found(&mut self, rows: &[Trial]) -> anyhow::Result<()> {
        self.rows.extend_from_slice(rows);
        anyhow::ensure!(self.full.is_none_or(|full| self.rows.len() < full), "full");
        Ok(())
    }
}

const GBIT: f64 = 10.0;

fn plan(tests: &[Test]) -> Plan {
    Plan {
        sizes: vec![FrameSize::Octets(64)],
        tests: tests.to_vec(),
        gbit: Some(GBIT),
        seconds: 1.0,
        tolerance: 0.0,
        resolution: 0.005,
        step: 0.1,
        latency_shares: vec![1.0, 0.5],
        repetitions: 1,
    }
}

/// A device each way of so many shares of the line.
fn model(device: &[f64], generator: f64) -> Model {
    let line = FrameSize::Octets(64).line_fps(GBIT);
    let device = device.iter().map(|share| share * line).collect();
    Model {
        device,
        room: 0.0,
        generator: generator * line,
        missing: 0,
        patience: usize::MAX,
        trials: Vec::new(),
    }
}

fn run(model: &mut Model, plan: &Plan) -> (Seen, Vec<Trial>) {
    let mut seen = Seen::default();
    let mut method = Method { tester: model, plan, watcher: &mut seen, trials: Vec::new() };
    method.run().unwrap();
    let trials = method.trials;
    (seen, trials)
}

proptest! {
    #[test]
    fn the_throughput_is_the_limit_of_either(device in 0.02..1.5, generator in 0.02..1.5) {
        let (seen, trials) = run(&mut model(&[device], generator), &plan(&[Test::Throughput]));
        prop_assert_eq!(seen.rows.len(), 1);
        let row = &seen.rows[0];
        let limit = f64::min(device, generator).min(1.0);
        prop_assert!(row.offered_share <= limit + 1e-6 && row.offered_share >= limit - 0.005 - 1e-6, "{:?}", row);
        prop_assert!(row.passed && row.lost == 0 && row.is_result);
        // The steps are kept beside it.
        prop_assert!(trials.len() > seen.rows.len());
        prop_assert_eq!(trials.iter().filter(|row| row.is_result).count(), 1);
    }
}

#[test]
fn full_rate_takes_one_trial() {
    let mut model = model(&[1.1], 1.1);
    let (seen, _) = run(&mut model, &plan(&[Test::Throughput]));
    assert_eq!(model.trials.len(), 1);
    assert_eq!((seen.rows[0].asked_share, seen.rows[0].kept_up), (Some(1.0), true));
}

#[test]
fn both_ways_pass_or_neither() {
    let (seen, _) = run(&mut model(&[0.9, 0.3], 2.0), &plan(&[Test::Throughput]));
    let directions: Vec<_> = seen.rows.iter().map(|row| row.direction).collect();
    assert_eq!(directions, [Direction::Forward, Direction::Reverse, Direction::Total]);
    for row in &seen.rows {
        assert!((0.295..=0.3).contains(&row.offered_share), "{row:?}");
    }
}

#[test]
fn latency_is_taken_at_shares_of_a_throughput_that_is_found_first() {
    let (seen, _) = run(&mut model(&[0.8], 2.0), &plan(&[Test::Latency]));
    let shares: Vec<_> = seen.rows.iter().map(|row| row.offered_share).collect();
    assert!((0.795..=0.8).contains(&shares[0]) && (shares[1] * 2.0 - shares[0]).abs() < 1e-6, "{shares:?}");
    assert!(seen.rows.iter().all(|row| row.test == Test::Latency && row.latency_ns.is_some()));
}

#[test]
fn trials_of_latency_count_together() {
    let repeated = Plan { repetitions: 20, ..plan(&[Test::Latency]) };
    let mut tried = model(&[0.5, 0.5], 2.0);
    let (seen, _) = run(&mut tried, &repeated);
    let line = FrameSize::Octets(64).line_fps(GBIT);
    // Both ways and their sum, at two shares.
    assert_eq!(seen.rows.len(), 6);
    for row in &seen.rows {
        let ways = if row.direction == Direction::Total { 2.0 } else { 1.0 };
        assert_eq!((row.seconds, row.lost, row.kept_up), (20.0, 0, true));
        assert!((row.sent as f64 - 20.0 * row.offered_share * ways * line).abs() < 60.0, "{row:?}");
    }
    let last: Vec<_> = tried.trials.iter().rev().take(20).map(|spec| spec.fps).collect();
    assert!(last.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn where_nothing_passes_that_is_said() {
    let (seen, _) = run(&mut model(&[0.0], 2.0), &plan(&[Test::Throughput, Test::Latency]));
    assert_eq!((seen.rows.len(), seen.rows[0].passed, seen.rows[0].latency_ns), (1, false, None));
    let said = "64 octets: nothing passes, down to 0.0122 % of the line's rate, 1817 frames a second";
    assert!(seen.remarks[0] == said && seen.remarks[1].contains("no latency"), "{:?}", seen.remarks);
}

/// A device of 10 Mbit/s between ports of 10 Gbit/s has its throughput, too.
#[test]
fn what_is_slower_than_the_resolution_is_found() {
    let (seen, _) = run(&mut model(&[0.001], 2.0), &plan(&[Test::Throughput, Test::Latency]));
    assert_eq!((seen.rows.len(), seen.remarks.len()), (3, 0));
    assert!(seen.rows[0].passed && (0.0005..=0.001).contains(&seen.rows[0].offered_share), "{:?}", seen.rows);
}

/// Latency, and what else is at a share of a throughput, is at a share of what passed.
#[test]
fn a_throughput_is_what_was_offered() {
    let (seen, _) = run(&mut model(&[1.0], 0.993), &plan(&[Test::Throughput, Test::Latency]));
    assert!((seen.rows[0].offered_share - 0.993).abs() < 1e-6, "{:?}", seen.rows[0]);
    let asked: Vec<_> = seen.rows[1..].iter().filter_map(|row| row.asked_share).collect();
    assert!((asked[0] - 0.993).abs() < 1e-6 && (asked[1] - 0.4965).abs() < 1e-6, "{asked:?}");
}

#[test]
fn loss_goes_down_to_two_rates_without() {
    let (seen, _) = run(&mut model(&[0.75], 2.0), &plan(&[Test::Loss]));
    let lost: Vec<_> = seen.rows.iter().map(|row| (row.loss_share * 100.0).round() as u32).collect();
    assert_eq!(lost, [25, 17, 6, 0, 0]);
    // Or to the last step, and not beyond.
    let (seen, _) = run(&mut model(&[0.05], 2.0), &plan(&[Test::Loss]));
    assert_eq!(seen.rows.len(), 10);
    let last = seen.rows[9].asked_share.unwrap();
    assert!((last - 0.1).abs() < 1e-9);
}

#[test]
fn a_tolerated_loss_counts_as_none() {
    let tolerant = Plan { tolerance: 0.25, ..plan(&[Test::Throughput]) };
    let (seen, _) = run(&mut model(&[0.6], 2.0), &tolerant);
    assert!((0.795..=0.8).contains(&seen.rows[0].offered_share), "{:?}", seen.rows);
    assert!(seen.rows[0].lost > 0 && seen.rows[0].passed);
}

#[test]
fn bursts_are_as_long_as_the_device_has_room() {
    let mut small = Model { room: 1000.0, ..model(&[0.5], 1.0) };
    let (seen, _) = run(&mut small, &plan(&[Test::BackToBack]));
    let row = &seen.rows[0];
    // Half of a burst is done while it comes.
    let frames = row.burst_frames.unwrap();
    assert!((1985..=2002).contains(&frames), "{frames}");
    assert_eq!((row.burst_unbounded, row.lost, row.asked_share), (Some(false), 0, Some(1.0)));
    let (seen, _) = run(&mut model(&[1.0], 2.0), &plan(&[Test::BackToBack]));
    assert_eq!((seen.rows[0].burst_frames, seen.rows[0].burst_unbounded), (Some(14_880_952), Some(true)));
    let (seen, _) = run(&mut model(&[0.0], 1.0), &plan(&[Test::BackToBack]));
    assert!(!seen.rows[0].passed);
}

/// A device that has a little more room with each burst that is lost.
struct Growing(Model);

impl Tester for Growing {
    fn trial(&mut self, spec: &Spec) -> Result<Vec<Measured>, TrialError> {
        let measured = self.0.trial(spec)?;
        if measured.iter().any(|measured| measured.lost() > 0) {
            self.0.room += 10.0;
        }
        Ok(measured)
    }
}

#[test]
fn of_bursts_the_mean_counts() {
    let most = plan(&[Test::BackToBack]);
    let search = |room, repetitions| {
        let mut device = Growing(Model { room, ..model(&[0.5], 1.0) });
        let mut seen = Seen::default();
        let plan = Plan { repetitions, ..most.clone() };
        Method { tester: &mut device, plan: &plan, watcher: &mut seen, trials: Vec::new() }.run().unwrap();
        let [row] = &seen.rows[..] else { panic!("one row: {:?}", seen.rows) };
        assert!(row.passed && row.burst_unbounded == Some(false));
        (row.burst_frames.unwrap(), device.0.room)
    };
    let (mut room, mut lengths) = (1000.0, Vec::new());
    for _ in 0..5 {
        let (length, left) = search(room, 1);
        lengths.push(length);
        room = left;
    }
    assert!(lengths.windows(2).all(|pair| pair[0] < pair[1]), "{lengths:?}");
    let mean = (lengths.iter().sum::<u64>() as f64 / 5.0).round() as u64;
    assert_eq!(search(1000.0, 5), (mean, room));
    // And where there is none, that is said.
    let none = Plan { repetitions: 3, ..most };
    let (seen, trials) = run(&mut model(&[0.0], 1.0), &none);
    assert_eq!((seen.rows.len(), seen.rows[0].passed), (1, false));
    assert!(trials.len() > 3);
    // One way alone is none.
    let (seen, _) = run(&mut model(&[1.0, 0.0], 1.0), &none);
    let passed: Vec<_> = seen.rows.iter().map(|row| row.passed).collect();
    assert_eq!(passed, [true, false, false]);
    // It is the shortest that was tried, both ways.
    assert!(seen.rows.iter().all(|row| row.burst_frames == Some(1)), "{:?}", seen.rows);
}

/// Does only a part of its rate the first times that it is asked.
struct Waking {
    model: Model,
    times: usize,
    part: f64,
}

impl Tester for Waking {
    fn trial(&mut self, spec: &Spec) -> Result<Vec<Measured>, TrialError> {
        let rate = self.model.generator;
        if self.times > 0 {
            (self.times, self.model.generator) = (self.times - 1, rate * self.part);
        }
        let measured = self.model.trial(spec);
        self.model.generator = rate;
        measured
    }
}

#[test]
fn a_burst_that_came_too_slowly_does_not_pass() {
    // It takes twice as long as 32 frames may, which are what a hand-over is.
    let mut slow = model(&[1.0], 0.5);
    let (seen, trials) = run(&mut slow, &plan(&[Test::BackToBack]));
    let row = &seen.rows[0];
    assert_eq!((row.burst_frames, row.burst_unbounded, row.passed), (Some(32), Some(false), true), "{row:?}");
    assert!(trials.iter().all(|row| row.passed == (row.burst_frames <= Some(32)) && row.lost == 0));
    let said = "64 octets: bursts of more than 32 frames could not be sent at the line's rate";
    assert!(seen.remarks.len() == 1 && seen.remarks[0].contains(said), "{:?}", seen.remarks);
    // Each was tried again, twice.
    assert!(slow.trials[..3].iter().all(|spec| spec.length == Length::Frames(64)), "{:?}", slow.trials);
    assert_eq!(slow.trials.iter().filter(|spec| spec.length == Length::Frames(64)).count(), 3);
    // Who was held up by chance is not held to it.
    let mut waking = Waking { model: model(&[1.0], 1.0), times: 2, part: 0.2 };
    let mut seen = Seen::default();
    let plan = plan(&[Test::BackToBack]);
    Method { tester: &mut waking, plan: &plan, watcher: &mut seen, trials: Vec::new() }.run().unwrap();
    assert_eq!((seen.rows[0].burst_unbounded, seen.remarks.len()), (Some(true), 0));
    // Where the device is the limit nobody else is.
    let (seen, _) = run(&mut Model { room: 100.0, ..model(&[0.5], 0.99) }, &plan);
    assert!(seen.remarks.is_empty(), "{:?}", seen.remarks);
}

#[test]
fn a_trial_without_a_frame_is_tried_again() {
    let mut waking = Waking { model: model(&[1.0], 1.0), times: 2, part: 0.0 };
    let mut seen = Seen::default();
    let plan = plan(&[Test::Throughput]);
    Method { tester: &mut waking, plan: &plan, watcher: &mut seen, trials: Vec::new() }.run().unwrap();
    assert!(seen.rows[0].passed);
    assert_eq!((waking.model.trials.len(), seen.rows[0].asked_share), (3, Some(1.0)));
}

#[test]
fn what_the_rig_itself_missed_is_tried_again() {
    for test in [Test::Throughput, Test::Loss, Test::BackToBack] {
        let mut twice = Model { missing: 2, ..model(&[1.0], 1.0) };
        let (seen, _) = run(&mut twice, &plan(&[test]));
        assert!(seen.rows.iter().all(|row| row.passed && row.rig_missed == 0), "{:?}", seen.rows);
        assert!(twice.trials[..3].windows(2).all(|pair| pair[0] == pair[1]), "{:?}", twice.trials);
    }
    // And then counts, as what it is.
    let mut often = Model { missing: 3, ..model(&[1.0], 1.0) };
    let (seen, _) = run(&mut often, &plan(&[Test::Loss]));
    assert_eq!((seen.rows[0].lost, seen.rows[0].rig_missed, often.trials.len()), (1, 1, 5));
}

#[test]
fn without_a_rate_it_is_what_the_generator_reaches() {
    let unknown = Plan { gbit: None, ..plan(&[Test::Throughput, Test::BackToBack]) };
    let mut tried = model(&[0.1], 0.25);
    let (seen, _) = run(&mut tried, &unknown);
    assert_eq!((tried.trials[0].fps, tried.trials[0].length), (None, Length::Seconds(0.5)));
    assert!((seen.rows[0].line_fps - tried.generator).abs() < 10.0);
    assert!((0.39..=0.4).contains(&seen.rows[0].offered_share), "{:?}", seen.rows[0]);
    // Bursts are as fast as can be.
    assert_eq!(tried.trials.last().unwrap().fps, None);
    let stuck = Method {
        tester: &mut model(&[1.0], 0.0),
        plan: &unknown,
        watcher: &mut Seen::default(),
        trials: Vec::new(),
    }
    .run();
    assert!(stuck.unwrap_err().to_string().contains("--tx takes no frames of 64 octets"));
}

/// What may be lost is for a throughput; a test of loss goes on to where nothing is.
#[test]
fn loss_that_is_tolerated_is_loss() {
    let tolerant = Plan { tolerance: 0.01, ..plan(&[Test::Loss]) };
    let (seen, _) = run(&mut model(&[0.995], 2.0), &tolerant);
    let lost: Vec<_> = seen.rows.iter().map(|row| row.lost > 0).collect();
    assert_eq!(lost, [true, false, false]);
}

#[test]
fn what_was_found_before_an_error_is_kept() {
    let mut seen = Seen { full: Some(3), ..Seen::default() };
    let mut tried = model(&[0.5], 2.0);
    let plan = plan(&[Test::Loss]);
    let mut method = Method { tester: &mut tried, plan: &plan, watcher: &mut seen, trials: Vec::new() };
    assert!(method.run().is_err());
    assert_eq!(method.trials.iter().filter(|row| row.is_result).count(), 3);
}

/// What there is of a test that is interrupted after so many trials.
fn interrupted(model: Model, patience: usize, plan: &Plan) -> Vec<Trial> {
    let (mut tried, mut seen) = (Model { patience, ..model }, Seen::default());
    let mut method = Method { tester: &mut tried, plan, watcher: &mut seen, trials: Vec::new() };
    let ended = method.run().unwrap_err();
    assert!(matches!(ended.downcast_ref(), Some(TrialError::Interrupted)), "{ended}");
    let kept: Vec<_> = method.trials.into_iter().filter(|row| row.is_result).collect();
    assert_eq!(kept, seen.rows);
    kept
}

#[test]
fn what_an_interrupted_test_found_is_kept() {
    let half = model(&[0.5], 2.0);
    let throughput = plan(&[Test::Throughput]);
    // 100 % fails and 50 % passes.
    let [row] = &interrupted(half.clone(), 3, &throughput)[..] else { panic!("one row") };
    assert!(row.interrupted && row.passed && row.asked_share == Some(0.5), "{row:?}");
    assert!(interrupted(half.clone(), 1, &throughput).is_empty(), "nothing passed yet");
    // Three trials of latency are as good as twenty, but for their number.
    let latency = Plan { repetitions: 20, latency_shares: vec![1.0], ..plan(&[Test::Latency]) };
    let mut whole = half.clone();
    run(&mut whole, &latency);
    let [row] = &interrupted(half.clone(), whole.trials.len() - 17, &latency)[..] else { panic!("one row") };
    assert_eq!((row.interrupted, row.seconds, row.test), (true, 3.0, Test::Latency));
    assert!(interrupted(half.clone(), whole.trials.len() - 20, &latency).is_empty());
    // Of bursts what finished searches found; before any has, the longest so far.
    let device = Model { room: 1000.0, ..model(&[0.5], 1.0) };
    let bursts = Plan { repetitions: 3, ..plan(&[Test::BackToBack]) };
    let mut whole = device.clone();
    let (seen, _) = run(&mut whole, &bursts);
    let [row] = &interrupted(device.clone(), whole.trials.len() - 1, &bursts)[..] else { panic!("one row") };
    assert_eq!((row.interrupted, row.burst_frames), (true, seen.rows[0].burst_frames));
    let [row] = &interrupted(device, 2, &bursts)[..] else { panic!("one row") };
    assert_eq!((row.interrupted, row.passed, row.burst_frames), (true, true, Some(256)));
    assert!(seen.rows.iter().all(|row| !row.interrupted));
}
