//! Whole trials over ports in memory, with devices made here between them and a clock that goes as they say.

use super::frame::{Read, Shape, read};
use super::generator::Length;
use super::method::{Method, Plan, Watcher};
use super::results::{Asked, Test, Trial, rows};
use super::size::FrameSize;
use super::task::{Course, Ticks};
use super::threads::Threads;
use super::trial::{Executor, Group, Habits, Measured, Rig, Spec, Tester, TrialError};
use crate::clock::Clock;
use crate::ethernet::FCS_LEN;
use datapath::{FrameRx, FrameTx, MemoryRx, MemoryTx, wire};
use secy::{Burst, FrameBuf, MemFrame};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Each look at the clock takes 20 ns, or some more, and nothing else takes any.
#[derive(Default)]
struct Virtual {
    now: AtomicU64,
    more: AtomicU64,
}

impl Ticks for Arc<Virtual> {
    fn now(&self) -> u64 {
        self.now.fetch_add(20 + self.more.load(Ordering::Relaxed), Ordering::Relaxed)
    }

    fn per_second(&self) -> f64 {
        1e9
    }
}

/// What a device does with a frame: says when it goes on, in nanoseconds, or not at all.
type Behaviour = Box<dyn FnMut(u64, &mut MemFrame, &mut Vec<(u64, MemFrame)>) + Send>;

/// Something between two ports.
struct Device {
    rx: MemoryRx,
    tx: MemoryTx,
    clock: Arc<Virtual>,
    behaviour: Behaviour,
    /// Frames on their way, with the time at which they go on, in order of it.
    held: VecDeque<(u64, MemFrame)>,
    /// After how many frames it takes none, and for how many nanoseconds.
    stalls: Vec<(u64, u64)>,
    taken: u64,
    stalled_until: u64,
}

impl Device {
    fn turn(&mut self) {
        let mut frames = Burst::new();
        let now = self.clock.now();
        if now >= self.stalled_until {
            self.rx.rx_burst(&mut frames);
        }
        self.taken += frames.len() as u64;
        if self.stalls.first().is_some_and(|(after, _)| self.taken >= *after) {
            self.stalled_until = now + self.stalls.remove(0).1;
        }
        let mut out = Vec::new();
        for mut frame in frames.drain(..) {
            (self.behaviour)(now, &mut frame, &mut out);
        }
        self.held.extend(out);
        while self.held.front().is_some_and(|(due, _)| *due <= now) && !frames.is_full() {
            frames.extend(self.held.pop_front().map(|(_, frame)| frame));
        }
        self.tx.tx_burst(&mut frames);
        assert!(frames.is_empty(), "the wire to the receiver is long enough");
    }
}

/// Everyone in turns on this thread.
struct Inline(RefCell<Vec<Device>>);

impl Executor for Inline {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, mut groups: Vec<Group<'_>>, course: &Course) -> Result<(), TrialError> {
        course.thread_ready();
        loop {
            self.0.borrow_mut().iter_mut().for_each(Device::turn);
            let tasks: Vec<bool> = groups.iter_mut().flatten().map(|task| task.turn()).collect();
            if tasks.iter().all(|&ended| ended) {
                return Ok(());
            }
        }
    }
}

/// What the ports of a rig have missed, way by way.
type Missed = fn(usize) -> u64;
type TestRig = Rig<MemoryRx, MemoryTx, Arc<Virtual>, Inline, Missed>;

/// A rig with a device each way.
fn rig(shape: Shape, behaviours: Vec<Behaviour>) -> TestRig {
    let clock = Arc::new(Virtual::default());
    let (mut rxs, mut txs, mut devices) = (Vec::new(), Vec::new(), Vec::new());
    let bidirectional = behaviours.len() == 2;
    for behaviour in behaviours {
        let (near, far) = (wire(512), wire(4096));
        devices.push(Device {
            rx: near.1,
            tx: far.0,
            clock: clock.clone(),
            behaviour,
            held: VecDeque::new(),
            stalls: Vec::new(),
            taken: 0,
            stalled_until: 0,
        });
        txs.push(near.0);
        rxs.push(far.1);
    }
    let habits = Habits { shape, settle: 0.000_1, drain: 0.005, bidirectional };
    Rig { rxs, txs, missed: |_| 0, clock, executor: Inline(RefCell::new(devices)), habits, number: 250 }
}

/// One that passes everything on at once.
fn plain() -> Behaviour {
    Box::new(|now, frame, out| out.push((now, std::mem::take(frame))))
}

/// Calls `f` for frames that count, by their sequence number; it says how often they are passed on.
fn each(mut f: impl FnMut(u32, &mut MemFrame) -> usize + Send + 'static) -> Behaviour {
    Box::new(move |now, frame, out| {
        let times = match read(frame) {
            Read::Ours(stamp) if !stamp.learning => f(stamp.sequence, frame),
            _ => 1,
        };
        out.extend((0..times).map(|_| (now, frame.clone())));
    })
}

/// One that serves so many frames a second, and keeps no more than `room` waiting.
fn limited(fps: f64, room: f64) -> Behaviour {
    let (gap, mut free_at) = (1e9 / fps, 0.0_f64);
    Box::new(move |now, frame, out| {
        let start = free_at.max(now as f64);
        if start - now as f64 <= room * gap {
            free_at = start + gap;
            out.push((free_at as u64, std::mem::take(frame)));
        }
    })
}

/// Twenty milliseconds at a million frames a second.
const SPEC: Spec = Spec { size: FrameSize::Octets(64), fps: Some(1e6), length: Length::Seconds(0.02) };

fn one(behaviour: Behaviour) -> Measured {
    rig(Shape::default(), vec![behaviour]).trial(&SPEC).unwrap().remove(0)
}

#[test]
fn a_plain_device_loses_nothing() {
    let shapes = [
        Shape::default(),
        Shape { flows: 5, ..Shape::default() },
        Shape { flows: 300, vlans: 7, ..Shape::default() },
    ];
    for (shape, size) in shapes.iter().flat_map(|s| [(s, FrameSize::Octets(64)), (s, FrameSize::Imix)]) {
        let measured = rig(*shape, vec![plain()]).trial(&Spec { size, ..SPEC }).unwrap().remove(0);
        let arrived = measured.arrived;
        assert!((19_990..=20_000).contains(&measured.sent), "{measured:?}");
        assert_eq!((arrived.frames, measured.lost()), (measured.sent, 0));
        assert_eq!((arrived.duplicates, arrived.reordered, arrived.damaged, arrived.foreign), (0, 0, 0, 0));
        assert_eq!(arrived.learning, u64::from(shape.flows.max(64)));
        assert!((measured.offered_fps() - 1e6).abs() < 1e3);
        assert_eq!(measured.latency.len(), measured.sent);
        assert!(measured.latency.max() < 2000, "{}", measured.latency.max());
    }
}

#[test]
fn at_a_low_rate_each_flow_that_is_used_is_learned() {
    for (length, learned) in
        [(Length::Seconds(6.0), 2000), (Length::Seconds(1.0), 399), (Length::Frames(500), 500)]
    {
        let mut rig = rig(Shape { flows: 2000, ..Shape::default() }, vec![plain()]);
        // Or virtual seconds would take real ones.
        rig.clock.more.store(50_000, Ordering::Relaxed);
        let measured = rig.trial(&Spec { fps: Some(400.0), length, ..SPEC }).unwrap().remove(0);
        assert_eq!((measured.arrived.learning, measured.lost()), (learned, 0), "{length:?}");
    }
}

#[test]
fn few_flows_at_a_low_rate_are_learned_for_a_second() {
    // At 0.5 frames a second no frame is due before the end of the trial, so that none has to be learned.
    for (fps, learned) in [(5.0, 4..=6), (0.5, 0..=0)] {
        let mut rig = rig(Shape::default(), vec![plain()]);
        rig.clock.more.store(50_000, Ordering::Relaxed);
        let spec = Spec { fps: Some(fps), length: Length::Seconds(1.0), ..SPEC };
        let start = rig.clock.now();
        let measured = rig.trial(&spec).unwrap().remove(0);
        assert!(learned.contains(&measured.arrived.learning), "{fps}: {}", measured.arrived.learning);
        let seconds = (rig.clock.now() - start) as f64 / 1e9;
        assert!((2.0..2.2).contains(&seconds), "{fps}: {seconds}");
    }
}

#[test]
fn loss_is_counted_to_the_frame() {
    let measured = one(each(|number, _| usize::from(number % 1000 != 999)));
    assert_eq!(measured.lost(), measured.sent / 1000);
    assert_eq!((measured.arrived.duplicates, measured.arrived.reordered), (0, 0));
}

#[test]
fn duplicates_are_counted_and_hide_no_loss() {
    let measured = one(each(|number, _| match number % 100 {
        0 => 3,
        7 => 0,
        _ => 1,
    }));
    let hundreds = measured.sent.div_ceil(100);
    assert_eq!(measured.arrived.duplicates, 2 * hundreds);
    assert_eq!(measured.lost(), (measured.sent + 92) / 100);
}

/// With so many flows each remembers 1024 numbers at least, and 2000 come after the first.
#[test]
fn what_is_too_old_to_tell_hides_no_loss() {
    let flows = 1 << 10;
    let (mut kept, mut frames) = (Vec::new(), 0_u32);
    let behaviour: Behaviour = Box::new(move |now, frame, out| {
        let Read::Ours(stamp) = read(frame) else { return };
        frames += u32::from(!stamp.learning);
        if stamp.flow == 0 && stamp.sequence == 0 && !stamp.learning {
            // Twice, and both after all others of their flow.
            kept = vec![frame.clone(), frame.clone()];
        } else {
            out.push((now, std::mem::take(frame)));
        }
        if frames == 2000 * 1024 {
            out.extend(kept.drain(..).map(|frame| (now, frame)));
        }
    });
    let shape = Shape { flows, ..Shape::default() };
    let spec = Spec { fps: Some(20e6), length: Length::Frames(2000 * u64::from(flows)), ..SPEC };
    let measured = rig(shape, vec![behaviour]).trial(&spec).unwrap().remove(0);
    let arrived = measured.arrived;
    assert_eq!((arrived.stale, arrived.reordered, arrived.duplicates, measured.lost()), (2, 0, 0, 1));
}

#[test]
fn frames_that_were_overtaken_are_counted() {
    let mut kept = None;
    let measured = one(Box::new(move |now, frame, out| {
        let number = match read(frame) {
            Read::Ours(stamp) if !stamp.learning => stamp.sequence,
            _ => 1,
        };
        // Each hundredth goes after the one behind it.
        if number % 100 == 50 {
            kept = Some((now, std::mem::take(frame)));
            return;
        }
        out.push((now, std::mem::take(frame)));
        out.extend(kept.take());
    }));
    assert_eq!((measured.arrived.reordered, measured.lost()), ((measured.sent + 49) / 100, 0));
    assert_eq!(measured.arrived.duplicates, 0);
}

#[test]
fn each_flow_has_the_whole_mix() {
    for flows in [1, 3, 12, 13, 24] {
        let counts = Arc::new(Mutex::new(HashMap::new()));
        let seen = counts.clone();
        let behaviour: Behaviour = Box::new(move |now, frame, out| {
            if let Read::Ours(stamp) = read(frame)
                && !stamp.learning
            {
                *seen.lock().unwrap().entry((stamp.flow, frame.len() + FCS_LEN)).or_insert(0) += 1;
            }
            out.push((now, std::mem::take(frame)));
        });
        let shape = Shape { flows, ..Shape::default() };
        let spec = Spec { size: FrameSize::Imix, length: Length::Frames(144 * u64::from(flows)), ..SPEC };
        assert_eq!(rig(shape, vec![behaviour]).trial(&spec).unwrap()[0].lost(), 0);
        let counts = counts.lock().unwrap();
        for flow in 0..flows {
            let of = |octets| counts.get(&(flow, octets)).copied().unwrap_or(0);
            assert_eq!([64, 594, 1518].map(of), [84, 48, 12], "flow {flow} of {flows}");
        }
    }
}

/// A rate in bits is that of the frames that came, not of those that were sent.
#[test]
fn octets_are_counted_of_what_arrives() {
    let long = |_: u32, frame: &mut MemFrame| usize::from(frame.len() > 1000);
    let spec = Spec { size: FrameSize::Imix, length: Length::Frames(1200), ..SPEC };
    let measured = rig(Shape::default(), vec![each(long)]).trial(&spec).unwrap().remove(0);
    assert_eq!((measured.arrived.frames, measured.arrived.octets), (100, 151_800));
    let asked =
        Asked { test: Test::Loss, size: spec.size, line_fps: 1e6, share: None, burst: None, tolerance: 0.0 };
    let row = rows(&asked, &[Measured { seconds: 0.001, ..measured }]).remove(0);
    assert!((row.gbit_l2 - 1.2144).abs() < 1e-9 && (row.gbit_l1 - 1.2304).abs() < 1e-9, "{row:?}");
}

#[test]
fn latency_is_that_of_the_device() {
    let delay =
        |ns| -> Behaviour { Box::new(move |now, frame, out| out.push((now + ns, std::mem::take(frame)))) };
    let measured = one(delay(50_000));
    for quantile in [0.0, 0.5, 0.99, 1.0] {
        let age = measured.latency.value_at_quantile(quantile);
        assert!((50_000..52_500).contains(&age), "{quantile}: {age}");
    }
    // Three milliseconds: what was under way at the end is late and not lost. Ten: it is lost.
    let measured = one(delay(3_000_000));
    assert_eq!(measured.lost(), 0);
    assert!((2_950..=3_050).contains(&measured.arrived.late), "{}", measured.arrived.late);
    let measured = one(delay(10_000_000));
    assert!((4_900..=5_100).contains(&measured.lost()), "{}", measured.lost());
}

#[test]
fn stragglers_of_a_trial_are_not_taken_for_those_of_the_next() {
    let mut count = 0_u32;
    // The first trial's are all held back until the second runs.
    let mut rig = rig(
        Shape::default(),
        vec![Box::new(move |now, frame, out| {
            count += 1;
            out.push((now + if count < 1000 { 30_000_000 } else { 0 }, std::mem::take(frame)));
        })],
    );
    let spec = Spec { length: Length::Frames(500), ..SPEC };
    assert_eq!(rig.trial(&spec).unwrap()[0].arrived.frames, 0);
    let second = rig.trial(&SPEC).unwrap().remove(0);
    assert!(second.arrived.foreign > 400, "{:?}", second.arrived);
    assert_eq!(second.arrived.duplicates, 0);
}

#[test]
fn cut_frames_are_lost() {
    let measured = one(each(|number, frame| {
        if number % 10 == 0 {
            frame.truncate(59);
        }
        1
    }));
    // One octet of 60 is padding of an untagged frame, and so are three more.
    assert_eq!(measured.lost(), measured.arrived.damaged);
    assert_eq!(measured.arrived.damaged, measured.sent.div_ceil(10));
}

#[test]
fn both_ways_are_told_apart() {
    let mut rig = rig(Shape::default(), vec![plain(), each(|number, _| usize::from(number % 2 == 0))]);
    let both = rig.trial(&SPEC).unwrap();
    assert_eq!((both[0].lost(), both[1].lost()), (0, both[1].sent / 2));
    // What comes back to where it was sent from is not what was to come.
    let reflected = Rig { rxs: rig.rxs.into_iter().rev().collect(), ..rig }.trial(&SPEC).unwrap();
    assert_eq!((reflected[0].arrived.frames, reflected[1].arrived.frames), (0, 0));
    assert!(reflected[0].arrived.foreign > 5000);
}

#[test]
fn what_a_port_missed_counts_where_and_when_it_did() {
    let rig = rig(Shape::default(), vec![plain(), plain()]);
    // Both have counted before; the one at the end of the second way goes on.
    let counts = [RefCell::new(7), RefCell::new(100)];
    let missed = |way: usize| {
        let mut count = counts[way].borrow_mut();
        *count += way as u64 * 20;
        *count
    };
    let Rig { rxs, txs, clock, executor, habits, number, .. } = rig;
    let both = Rig { rxs, txs, missed, clock, executor, habits, number }.trial(&SPEC).unwrap();
    assert_eq!((both[0].rig_missed, both[1].rig_missed), (0, 20));
}

#[test]
fn as_fast_as_can_be_is_held_back_by_a_full_wire() {
    // The device takes what is there, a burst at a time, and nothing is lost.
    let measured = rig(Shape::default(), vec![plain()]).trial(&Spec { fps: None, ..SPEC }).unwrap().remove(0);
    assert!(measured.sent > 40_000 && measured.lost() == 0, "{measured:?}");
    // More than the generator can do is offered as far as it goes.
    let spec = Spec { fps: Some(9e8), ..SPEC };
    let asked = rig(Shape::default(), vec![plain()]).trial(&spec).unwrap().remove(0);
    assert!(asked.offered_fps() < 8e8 && asked.lost() == 0, "{}", asked.offered_fps());
}

#[test]
fn a_burst_has_its_frames() {
    let mut rig = rig(Shape::default(), vec![limited(1e6, 200.0)]);
    let mut burst = |frames| {
        let length = Length::Frames(frames);
        rig.trial(&Spec { fps: Some(10e6), length, ..SPEC }).unwrap().remove(0)
    };
    assert_eq!((burst(200).sent, burst(200).lost()), (200, 0));
    assert!(burst(1000).lost() > 500);
}

/// A port that is slow, and may even take nothing for a while, ends no burst; one that takes no more does.
#[test]
fn a_burst_takes_its_time() {
    let burst = |stalls: Vec<(u64, u64)>| {
        let mut rig = rig(Shape::default(), vec![plain()]);
        rig.executor.0.borrow_mut()[0].stalls = stalls;
        rig.clock.more.store(20_000, Ordering::Relaxed);
        let length = Length::Frames(3000);
        rig.trial(&Spec { fps: None, length, ..SPEC }).unwrap().remove(0)
    };
    let second = 1_000_000_000;
    let slow = burst(vec![(100, 6 * second), (1000, 6 * second), (2000, 6 * second)]);
    assert_eq!((slow.sent, slow.lost()), (3000, 0));
    assert!(slow.seconds > 17.0, "{}", slow.seconds);
    let stuck = burst(vec![(1000, 60 * second)]);
    assert!((1000..3000).contains(&stuck.sent) && (10.0..12.0).contains(&stuck.seconds), "{stuck:?}");
}

#[derive(Default)]
struct Quiet(Vec<Trial>);

impl Watcher for Quiet {
    fn test(&mut self, _: FrameSize, _: Test) {}
    fn trial(&mut self, _: &str) {}
    fn remark(&mut self, _: &str) {}
    fn found(&mut self, rows: &[Trial]) -> anyhow::Result<()> {
        self.0.extend_from_slice(rows);
        Ok(())
    }
}

#[test]
fn all_tests_of_a_device_with_a_limit() {
    let plan = Plan {
        sizes: vec![FrameSize::Octets(64)],
        tests: vec![Test::Throughput, Test::Latency, Test::Loss, Test::BackToBack],
        // 4 million frames a second, of which the device does 2.6 million.
        gbit: Some(4e6 * 84.0 * 8.0 / 1e9),
        seconds: 0.01,
        tolerance: 0.0,
        resolution: 0.01,
        step: 0.1,
        latency_shares: vec![1.0, 0.5],
        repetitions: 2,
    };
    let mut watcher = Quiet::default();
    let mut rig = rig(Shape::default(), vec![limited(2.6e6, 100.0)]);
    Method { tester: &mut rig, plan: &plan, watcher: &mut watcher, trials: Vec::new() }.run().unwrap();
    let of = |test| watcher.0.iter().filter(move |row| row.test == test).collect::<Vec<_>>();
    let [throughput] = of(Test::Throughput)[..] else { panic!("one row") };
    // What the device keeps waiting lets a short trial be a little faster than its limit.
    assert!((0.64..=0.66).contains(&throughput.offered_share), "{throughput:?}");
    assert_eq!((throughput.lost, throughput.passed, throughput.kept_up), (0, true, true));
    let latency = of(Test::Latency);
    assert_eq!(latency.len(), 2);
    let median = |row: &Trial| row.latency_ns.unwrap().p50;
    assert!(median(latency[0]) >= 384.0 && median(latency[1]) >= 384.0 && median(latency[1]) < 2000.0);
    let loss = of(Test::Loss);
    let shares: Vec<_> = loss.iter().map(|row| (row.offered_share * 10.0).round() as u32).collect();
    // Down to two without loss.
    assert_eq!(shares, [10, 9, 8, 7, 6, 5]);
    assert!((loss[0].loss_share - 0.35).abs() < 0.01, "{:?}", loss[0]);
    let [burst] = of(Test::BackToBack)[..] else { panic!("one row") };
    // 100 wait while 1.4 million a second come too many, of 4 million.
    let frames = burst.burst_frames.unwrap();
    assert!((270..=300).contains(&frames), "{frames}");
    assert_eq!(burst.burst_unbounded, Some(false));
}

/// A wire between a rig's own ends, on threads and with the machine's clock.
fn on_threads<T>(threads: &Threads<'_>, f: impl FnOnce(&mut dyn Tester) -> T) -> T {
    let (tx, rx) = wire(1024);
    let habits = Habits { shape: Shape::default(), settle: 0.001, drain: 2.0, bidirectional: false };
    let executor = Threads { cores: threads.cores.clone(), register: threads.register, stop: threads.stop };
    f(&mut Rig {
        rxs: vec![rx],
        txs: vec![tx],
        missed: |_: usize| 0,
        clock: Clock::new(),
        executor,
        habits,
        number: 0,
    })
}

#[test]
fn threads_of_one_core_and_of_two_lose_nothing() {
    let stop = AtomicBool::new(false);
    let all = crate::cores::choose(&[], 2).unwrap();
    for count in 1..=all.len() {
        let threads = Threads { cores: all[..count].to_vec(), register: &|| Ok(Box::new(())), stop: &stop };
        let spec = Spec { fps: Some(50_000.0), ..SPEC };
        let measured = on_threads(&threads, |rig| rig.trial(&spec)).unwrap().remove(0);
        assert!(measured.sent > 0, "{measured:?}");
        assert_eq!(measured.lost(), 0);
    }
}

#[test]
fn a_trial_ends_when_it_is_told_to() {
    let stop = AtomicBool::new(true);
    let cores = crate::cores::choose(&[], 2).unwrap();
    let threads = Threads { cores: cores.clone(), register: &|| Ok(Box::new(())), stop: &stop };
    let ended = on_threads(&threads, |rig| rig.trial(&SPEC)).unwrap_err();
    assert!(matches!(ended, TrialError::Interrupted));
    stop.store(false, Ordering::Relaxed);
    let threads = Threads { cores, register: &|| anyhow::bail!("no more threads"), stop: &stop };
    let ended = on_threads(&threads, |rig| rig.trial(&SPEC)).unwrap_err();
    assert_eq!(ended.to_string(), "no more threads");
}

#[test]
fn a_way_ends_at_the_other_port() {
    assert_eq!([0, 1].map(|way| super::at_end(&["near", "far"], way)), [Some(&"far"), Some(&"near")]);
    // Or at the only one.
    assert_eq!(super::at_end(&["near"], 0), Some(&"near"));
}
