//! Two gateways back to back over memory wires, with real worker threads.

#![allow(clippy::unwrap_used)]

use datapath::{
    FrameRx, FrameTx, IdlePolicy, MemoryRx, MemoryTx, PathCounters, Protect, TaskCommand, Verify, Worker,
    WorkerHandle, WorkerSetup, wire as memory_wire,
};
use keys::{Sak, Salt};
use secy::{
    Burst, Command, Event, MAX_BURST, MemFrame, RxConfig, RxSa, RxSc, RxSecY, RxSecYCounters, SaParams,
    SciMode, TxConfig, TxSa, TxSecY, ValidateFrames, Xpn,
};
use std::sync::Arc;
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

struct Gateway {
    worker: WorkerHandle,
    protect: Arc<PathCounters>,
    verify: Arc<PathCounters>,
    received: Arc<RxSecYCounters>,
}

const PROTECT: usize = 0;
const VERIFY: usize = 1;

/// A gateway that transmits as channel `own` and listens to channel `peer`, keyed with key 0 under AN 0.
fn gateway(own: u16, peer: u16, plain: (MemoryRx, MemoryTx), line: (MemoryRx, MemoryTx)) -> Gateway {
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
    let protect = Protect::new(plain.0, tx, line.1);
    let verify = Verify::new(line.0, rx, plain.1, 9622);
    let (protect_counters, verify_counters) = (protect.counters(), verify.counters());
    let worker = Worker::start(WorkerSetup {
        core: None,
        idle: IdlePolicy::Adaptive,
        thread_setup: None,
        tasks: vec![Box::new(protect), Box::new(verify)],
    })
    .unwrap();
    Gateway { worker, protect: protect_counters, verify: verify_counters, received }
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

fn bench() -> Bench {
    let (into_left, left_plain_rx) = memory_wire(CREDIT);
    let (left_plain_tx, from_left) = memory_wire(CREDIT);
    let (into_right, right_plain_rx) = memory_wire(CREDIT);
    let (right_plain_tx, from_right) = memory_wire(CREDIT);
    let (left_line_tx, right_line_rx) = memory_wire(CREDIT);
    let (right_line_tx, left_line_rx) = memory_wire(CREDIT);
    Bench {
        left: gateway(1, 2, (left_plain_rx, left_plain_tx), (left_line_rx, left_line_tx)),
        right: gateway(2, 1, (right_plain_rx, right_plain_tx), (right_line_rx, right_line_tx)),
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
    let mut b = bench();
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
        assert!(g.worker.stop());
    }
}

/// Keys change under full load and replay window 0: receive before transmit, the old one goes later. An AN comes
/// round again only when no frame of its old key can be on its way.
#[test]
fn rekeying_loses_nothing() {
    let mut b = bench();
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
        std::thread::sleep(Duration::from_millis(5));
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

#[test]
fn a_full_transmit_queue_frees_and_counts() {
    let (mut into, plain_rx) = memory_wire(CREDIT);
    let (plain_tx, _from) = memory_wire(1);
    let (_line_in, line_rx) = memory_wire(1);
    let (line_tx, mut line_out) = memory_wire(100);
    let g = gateway(1, 2, (plain_rx, plain_tx), (line_rx, line_tx));
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
    for _ in 0..50 {
        let mut b = bench();
        b.into_left.tx_burst(&mut (0..64).map(frame).collect());
        assert!(b.left.worker.stop());
        assert_eq!(b.left.protect.tx_frames.get(), 64);
        assert!(b.right.worker.stop());
        assert_eq!(b.right.verify.tx_frames.get(), 64);
    }
}

#[test]
fn a_core_that_does_not_exist_is_named() {
    let error = Worker::start(WorkerSetup { core: Some(4095), ..WorkerSetup::default() }).unwrap_err();
    assert!(error.to_string().starts_with("worker core 4095 does not exist"), "{error}");
}
