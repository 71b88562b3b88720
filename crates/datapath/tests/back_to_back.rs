//! Two gateways back to back over memory wires, with real worker threads.

#![allow(clippy::unwrap_used)]

use datapath::{
    FrameRx, FrameTx, IdlePolicy, MemoryRx, MemoryTx, PathCounters, Protect, Task, TaskCommand, Verify,
    Worker, WorkerHandle, WorkerSetup, bursts_on_their_way, wire as memory_wire,
};
use keys::{Sak, Salt};
use secy::{
    Burst, Command, Engine, Event, MAX_BURST, MemFrame, RxConfig, RxSa, RxSc, RxSecY, RxSecYCounters,
    SaParams, SciMode, TxConfig, TxSa, TxSecY, ValidateFrames, Xpn,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use wire::{An, CipherSuite, ConfidentialityOffset, Sci, Ssci};

const SUITE: CipherSuite = CipherSuite::GcmAesXpn256;

fn sci(end: u16) -> Sci {
    Sci::new("02:00:00:00:00:01".parse().unwrap(), end)
}

/// A SAK that is fresh for each key number.
fn params(key: u8, end: u16, sak: &Sak) -> SaParams<'_> {
    let xpn = Some(Xpn { ssci: Ssci(end.into()), salt: Salt([key; 12]) });
    SaParams { suite: SUITE, sak, sci: sci(end), xpn, offset: ConfidentialityOffset::None, first_pn: 1 }
}

fn sak(key: u8) -> Sak {
    Sak::from_octets(&[key; 32]).unwrap()
}

fn tx_sa(key: u8, end: u16) -> Box<TxSa> {
    Box::new(TxSa::new(&params(key, end, &sak(key)), u64::MAX).unwrap())
}

fn rx_sa(key: u8, end: u16) -> Box<RxSa> {
    Box::new(RxSa::new(&params(key, end, &sak(key))).unwrap())
}

/// Longer than any machine keeps a thread waiting.
const DRAIN_TIME: Duration = Duration::from_secs(20);

struct Gateway {
    worker: WorkerHandle,
    crypto: Vec<WorkerHandle>,
    protect: Arc<PathCounters>,
    verify: Arc<PathCounters>,
    received: Arc<RxSecYCounters>,
}

const PROTECT: usize = 0;
const VERIFY: usize = 1;

impl Gateway {
    /// The owner first, so that crypto workers are there for what it has to bring out.
    fn stop(self) -> bool {
        let owner = self.worker.stop();
        self.crypto.into_iter().fold(owner, |well, worker| well & worker.stop())
    }
}

/// Crypto workers of each direction, and what is wrong with them.
#[derive(Clone)]
struct Crypto {
    workers: usize,
    /// The owner's.
    drain_time: Duration,
    /// Now and then they do nothing for a while.
    stalling: bool,
    /// While set, the first of each direction does nothing at all.
    stuck: Arc<AtomicBool>,
}

impl Default for Crypto {
    fn default() -> Self {
        Crypto { workers: 0, drain_time: DRAIN_TIME, stalling: false, stuck: Arc::default() }
    }
}

impl Crypto {
    fn stalling(workers: usize) -> Self {
        Crypto { workers, stalling: true, ..Crypto::default() }
    }

    fn start(&self, lanes: Vec<Box<dyn Task>>) -> Vec<WorkerHandle> {
        let task = |(number, lane)| Stalling {
            lane,
            random: self.stalling.then(|| fastrand::Rng::with_seed(number as u64)),
            stuck: (number == 0).then(|| self.stuck.clone()),
        };
        let tasks = lanes.into_iter().enumerate().map(task);
        let start = |task| {
            let tasks: Vec<Box<dyn Task>> = vec![Box::new(task)];
            Worker::start(WorkerSetup { idle: IdlePolicy::Adaptive, tasks, ..WorkerSetup::default() })
                .unwrap()
        };
        tasks.map(start).collect()
    }
}

/// A crypto worker that has other things to do.
struct Stalling {
    lane: Box<dyn Task>,
    random: Option<fastrand::Rng>,
    stuck: Option<Arc<AtomicBool>>,
}

impl Task for Stalling {
    fn poll(&mut self, engine: &mut Engine) -> usize {
        if self.stuck.as_ref().is_some_and(|stuck| stuck.load(Relaxed)) {
            return 0;
        }
        if let Some(random) = &mut self.random {
            match random.u8(..) {
                0..4 => std::thread::sleep(Duration::from_micros(random.u64(..300))),
                4..40 => (0..random.u16(..2000)).for_each(|_| std::hint::spin_loop()),
                _ => {}
            }
        }
        self.lane.poll(engine)
    }

    fn apply(&mut self, command: Command) -> Option<Event> {
        self.lane.apply(command)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.lane.poll_event()
    }
}

/// A gateway that transmits as channel `own` and listens to channel `peer`, keyed with key 0 under AN 0.
fn gateway(
    own: u16,
    peer: u16,
    plain: (MemoryRx, MemoryTx),
    line: (MemoryRx, MemoryTx),
    crypto: &Crypto,
) -> Gateway {
    let mut tx = TxSecY::new(TxConfig {
        sci: sci(own),
        protect_frames: true,
        encrypt: true,
        sci_mode: SciMode::Explicit,
        clear_vlan_tags: 0,
        max_frame: 9622,
    });
    let an = An::ALL[0];
    assert!(tx.apply(Command::InstallTxSa { an, sa: tx_sa(0, own) }).is_none());
    assert!(tx.apply(Command::EncodeWith(Some(an))).is_none());
    let mut rx = RxSecY::new(RxConfig {
        suite: SUITE,
        validate_frames: ValidateFrames::Strict,
        replay_protect: true,
        replay_window: 0,
        clear_vlan_tags: 0,
    });
    assert!(rx.apply(Command::AddRxSc(RxSc::new(sci(peer)))).is_none());
    assert!(rx.apply(Command::InstallRxSa { sci: sci(peer), an, sa: rx_sa(0, peer) }).is_none());
    let received = rx.counters();
    let (protect, lanes) = Protect::new(plain.0, tx, line.1).with_crypto_workers(crypto.workers);
    let mut crypto_workers = crypto.start(lanes);
    let (verify, lanes) = Verify::new(line.0, rx, plain.1, 9622).with_crypto_workers(crypto.workers);
    crypto_workers.extend(crypto.start(lanes));
    let (protect_counters, verify_counters) = (protect.counters(), verify.counters());
    let worker = Worker::start(WorkerSetup {
        idle: IdlePolicy::Adaptive,
        drain_time: crypto.drain_time,
        tasks: vec![Box::new(protect), Box::new(verify)],
        ..WorkerSetup::default()
    })
    .unwrap();
    Gateway { worker, crypto: crypto_workers, protect: protect_counters, verify: verify_counters, received }
}

struct Bench {
    left: Gateway,
    right: Gateway,
    into_left: MemoryTx,
    from_left: MemoryRx,
    into_right: MemoryTx,
    from_right: MemoryRx,
}

/// Wires hold so many frames that nothing that is within the senders' credit is ever lost.
const CREDIT: usize = 2048;

fn bench(crypto: &Crypto) -> Bench {
    let (into_left, left_plain_rx) = memory_wire(CREDIT);
    let (left_plain_tx, from_left) = memory_wire(CREDIT);
    let (into_right, right_plain_rx) = memory_wire(CREDIT);
    let (right_plain_tx, from_right) = memory_wire(CREDIT);
    let (left_line_tx, right_line_rx) = memory_wire(CREDIT);
    let (right_line_tx, left_line_rx) = memory_wire(CREDIT);
    Bench {
        left: gateway(1, 2, (left_plain_rx, left_plain_tx), (left_line_rx, left_line_tx), crypto),
        right: gateway(2, 1, (right_plain_rx, right_plain_tx), (right_line_rx, right_line_tx), crypto),
        into_left,
        from_left,
        into_right,
        from_right,
    }
}

fn frame(number: u32) -> MemFrame {
    let mut f = vec![0x02; 12];
    f.extend([0x08, 0x00]);
    f.extend(number.to_be_bytes());
    f.resize(18 + (number as usize * 7) % 1500, number as u8);
    MemFrame::new(&f)
}

/// Sends frames of `numbers` and checks that they arrive whole and in order; calls `between` after each burst.
fn stream(tx: &mut MemoryTx, rx: &mut MemoryRx, numbers: std::ops::Range<u32>, mut between: impl FnMut(u32)) {
    let (mut sent, mut received) = (numbers.start, numbers.start);
    while received < numbers.end {
        let mut burst = Burst::new();
        while sent < numbers.end && burst.len() < MAX_BURST && (sent - received) as usize + MAX_BURST < CREDIT
        {
            burst.push(frame(sent));
            sent += 1;
        }
        tx.tx_burst(&mut burst);
        assert!(burst.is_empty());
        rx.rx_burst(&mut burst);
        if burst.is_empty() {
            std::thread::yield_now();
        }
        for f in burst {
            assert_eq!(f.to_vec(), frame(received).to_vec());
            received += 1;
        }
        between(received);
    }
}

#[test]
fn both_directions_carry_frames_in_order() {
    carry_frames_in_order(&Crypto::default());
}

#[test]
fn crypto_workers_that_stall_change_no_order_and_lose_nothing() {
    for workers in 1..=4 {
        carry_frames_in_order(&Crypto::stalling(workers));
    }
}

fn carry_frames_in_order(crypto: &Crypto) {
    let mut b = bench(crypto);
    std::thread::scope(|s| {
        s.spawn(|| stream(&mut b.into_left, &mut b.from_right, 0..20_000, |_| {}));
        s.spawn(|| stream(&mut b.into_right, &mut b.from_left, 0..20_000, |_| {}));
    });
    for g in [b.left, b.right] {
        for counters in [&g.protect, &g.verify] {
            assert_eq!(counters.rx_frames.get(), 20_000);
            assert_eq!((counters.tx_frames.get(), counters.tx_dropped.get()), (20_000, 0));
        }
        assert!(g.received.values().all(|(_, n)| n == 0));
        assert!(g.stop());
    }
}

/// Keys change under full load and replay window 0: receive before transmit, the old one goes later. An AN comes
/// round again only when no frame of its old key can be on its way.
#[test]
fn rekeying_loses_nothing() {
    rekey_under_load(&Crypto::default());
}

#[test]
fn rekeying_loses_nothing_on_its_way_through_crypto_workers() {
    for workers in [1, 3] {
        rekey_under_load(&Crypto::stalling(workers));
    }
}

fn rekey_under_load(crypto: &Crypto) {
    let mut b = bench(crypto);
    let (left, right) = (&mut b.left.worker, &mut b.right.worker);
    let mut key = 0u8;
    let mut refused = 0;
    let mut retired = 0;
    let mut rekey = || {
        key += 1;
        let an = An::ALL[usize::from(key) % 4];
        let command = |task, command| TaskCommand { task, command };
        let install = Command::InstallRxSa { sci: sci(1), an, sa: rx_sa(key, 1) };
        right.send(command(VERIFY, install)).unwrap();
        // The receiver has it before the sender uses it.
        let sent = right.sent();
        let end = Instant::now() + Duration::from_secs(10);
        while right.applied() < sent {
            assert!(Instant::now() < end, "the receiver never does what it is told");
            std::thread::yield_now();
        }
        left.send(command(PROTECT, Command::InstallTxSa { an, sa: tx_sa(key, 1) })).unwrap();
        left.send(command(PROTECT, Command::EncodeWith(Some(an)))).unwrap();
    };
    let mut next = CREDIT as u32;
    stream(&mut b.into_left, &mut b.from_right, 0..60_000, |received| {
        if received >= next {
            next = received + CREDIT as u32;
            rekey();
        }
    });
    // The last ones may still be on their way.
    let expected = 2 * (usize::from(key) - 3);
    let end = Instant::now() + Duration::from_secs(10);
    while retired < expected && Instant::now() < end {
        for worker in [&mut b.left.worker, &mut b.right.worker] {
            while let Some(event) = worker.poll_event() {
                match event.event {
                    Event::Retired(_) => retired += 1,
                    _ => refused += 1,
                }
            }
        }
        std::thread::yield_now();
    }
    assert!(key > 20, "{key}");
    assert_eq!((refused, retired), (0, expected));
    assert_eq!(b.right.verify.tx_frames.get(), 60_000);
}

/// What does not come back is waited for: nothing overtakes it, and what it holds up stays where it came from.
#[test]
fn a_stuck_crypto_worker_holds_the_link_up_and_loses_nothing() {
    let crypto = Crypto { workers: 2, ..Crypto::default() };
    let mut b = bench(&crypto);
    stream(&mut b.into_left, &mut b.from_right, 0..1000, |_| {});
    crypto.stuck.store(true, Relaxed);
    for start in (1000..3000).step_by(MAX_BURST) {
        b.into_left.tx_burst(&mut (start..(start + MAX_BURST as u32).min(3000)).map(frame).collect());
    }
    let taken = |b: &Bench| b.left.protect.rx_frames.get() - 1000;
    let end = Instant::now() + Duration::from_millis(100);
    while Instant::now() < end {
        std::thread::yield_now();
    }
    let (held, out) = (taken(&b), b.left.protect.tx_frames.get() - 1000);
    // The other worker had at most one burst that was older.
    let most = bursts_on_their_way(2) + 1;
    assert!((1..=(most * MAX_BURST) as u64).contains(&held), "{held}");
    assert!(out <= MAX_BURST as u64, "{out}");
    // Commands wait as well, until nothing is on its way.
    let command = Command::InstallTxSa { an: An::ALL[1], sa: tx_sa(1, 1) };
    b.left.worker.send(TaskCommand { task: PROTECT, command }).unwrap();
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!((b.left.worker.sent(), b.left.worker.applied()), (1, 0));
    crypto.stuck.store(false, Relaxed);
    let mut next = 1000;
    while next < 3000 {
        let mut burst = Burst::new();
        b.from_right.rx_burst(&mut burst);
        for f in burst {
            assert_eq!(f.to_vec(), frame(next).to_vec());
            next += 1;
        }
    }
    assert_eq!((b.left.worker.applied(), b.left.protect.tx_dropped.get()), (1, 0));
    assert!(b.left.stop() && b.right.stop());
}

#[test]
fn a_full_transmit_queue_frees_and_counts() {
    let (mut into, plain_rx) = memory_wire(CREDIT);
    let (plain_tx, _from) = memory_wire(1);
    let (_line_in, line_rx) = memory_wire(1);
    let (line_tx, mut line_out) = memory_wire(100);
    let g = gateway(1, 2, (plain_rx, plain_tx), (line_rx, line_tx), &Crypto::default());
    for start in (0..640).step_by(MAX_BURST) {
        into.tx_burst(&mut (start..start + MAX_BURST as u32).map(frame).collect());
    }
    while g.protect.rx_frames.get() < 640 {
        std::thread::yield_now();
    }
    assert!(g.worker.stop());
    assert_eq!((g.protect.tx_frames.get(), g.protect.tx_dropped.get()), (100, 540));
    let mut seen = 0;
    loop {
        let mut burst = Burst::new();
        line_out.rx_burst(&mut burst);
        if burst.is_empty() {
            break;
        }
        seen += burst.len();
    }
    assert_eq!(seen, 100);
}

#[test]
fn a_stopping_worker_brings_out_what_it_received() {
    for workers in [0, 1, 3] {
        for _ in 0..30 {
            let mut b = bench(&Crypto::stalling(workers));
            (0..4).for_each(|_| b.into_left.tx_burst(&mut (0..64).map(frame).collect()));
            let (protect, verify) = (b.left.protect.clone(), b.right.verify.clone());
            assert!(b.left.stop());
            assert_eq!(protect.tx_frames.get(), 256);
            assert!(b.right.stop());
            assert_eq!(verify.tx_frames.get(), 256);
        }
    }
}

/// A source that never pauses: what was received goes on all the same, whoever has it when the time to drain is over.
#[test]
fn a_worker_that_stops_under_load_brings_out_what_it_received() {
    for workers in [0, 1, 3].repeat(10) {
        let (mut into, plain_rx) = memory_wire(CREDIT);
        let (plain_tx, _from) = memory_wire(1);
        let (_line_in, line_rx) = memory_wire(1);
        let (line_tx, mut line_out) = memory_wire(CREDIT);
        let crypto = Crypto { drain_time: Duration::ZERO, ..Crypto::stalling(workers) };
        let g = gateway(1, 2, (plain_rx, plain_tx), (line_rx, line_tx), &crypto);
        let (counters, done) = (g.protect.clone(), AtomicBool::new(false));
        std::thread::scope(|s| {
            s.spawn(|| {
                while !done.load(Relaxed) {
                    into.tx_burst(&mut (0..MAX_BURST as u32).map(frame).collect());
                    line_out.rx_burst(&mut Burst::new());
                }
            });
            while counters.tx_frames.get() < 5000 {
                std::thread::yield_now();
            }
            assert!(g.stop());
            done.store(true, Relaxed);
        });
        let gone = counters.tx_frames.get() + counters.tx_dropped.get();
        assert_eq!(counters.rx_frames.get(), gone, "{workers} crypto workers");
    }
}

#[test]
fn a_core_that_does_not_exist_is_named() {
    let error = Worker::start(WorkerSetup { core: Some(4095), ..WorkerSetup::default() }).unwrap_err();
    assert!(error.to_string().starts_with("worker core 4095 does not exist"), "{error}");
}
