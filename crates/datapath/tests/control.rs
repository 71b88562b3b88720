//! EAPOL frames between a line and its control core.

#![allow(clippy::unwrap_used, missing_docs)]

use ::wire::CipherSuite;
use datapath::{
    ControlPort, FrameRx, FrameTx, MemoryRx, MemoryTx, PathCounters, Protect, RECEIVED_AT_ONCE, SamplePort,
    Task, Verify, control_port, sample_port, wire,
};
use secy::{Burst, Engine, MemFrame, RxConfig, RxSecY, SciMode, TxConfig, TxSecY, ValidateFrames};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

struct Ends {
    protect: Box<dyn Task>,
    verify: Box<dyn Task>,
    counters: [Arc<PathCounters>; 2],
    control: ControlPort,
    plain: (MemoryTx, MemoryRx),
    line: (MemoryTx, MemoryRx),
}

/// A half that sends data in the clear.
fn unprotected() -> TxSecY {
    TxSecY::new(TxConfig {
        sci: "0200000000010001".parse().unwrap(),
        protect_frames: false,
        encrypt: true,
        sci_mode: SciMode::Explicit,
        clear_vlan_tags: 0,
        max_frame: 1554,
    })
}

fn without_keys() -> RxSecY {
    RxSecY::new(RxConfig {
        suite: CipherSuite::GcmAesXpn256,
        validate_frames: ValidateFrames::Strict,
        replay_protect: true,
        replay_window: 0,
        clear_vlan_tags: 0,
    })
}

/// A link without keys that sends data in the clear, and whose line takes `line` frames.
fn link(line: usize) -> Ends {
    let (tx, rx) = (unprotected(), without_keys());
    let (to_plain, from_plain) = wire(256);
    let (line_out, line_far) = wire(line);
    let (line_near, line_in) = wire(256);
    let (plain_out, plain_far) = wire(256);
    let (control, inlet, outlet) = control_port();
    let protect = Protect::new(from_plain, tx, line_out).with_control(outlet);
    let verify = Verify::new(line_in, rx, plain_out, 1518).with_control(inlet);
    let counters = [protect.counters(), verify.counters()];
    Ends {
        protect: Box::new(protect),
        verify: Box::new(verify),
        counters,
        control,
        plain: (to_plain, plain_far),
        line: (line_near, line_far),
    }
}

fn frame(ethertype: u16, len: usize, fill: u8) -> Vec<u8> {
    let mut frame = vec![fill; len];
    frame[0] = 1;
    frame[12..16].copy_from_slice(&[(ethertype >> 8) as u8, ethertype as u8, 3, 5]);
    frame
}

fn send(tx: &mut MemoryTx, frames: &[Vec<u8>]) {
    for chunk in frames.chunks(secy::MAX_BURST) {
        let mut burst: Burst<MemFrame> = chunk.iter().map(|f| MemFrame::new(f)).collect();
        tx.tx_burst(&mut burst);
        assert!(burst.is_empty());
    }
}

fn receive(rx: &mut MemoryRx) -> Vec<Vec<u8>> {
    let mut burst = Burst::new();
    rx.rx_burst(&mut burst);
    burst.iter().map(MemFrame::to_vec).collect()
}

const EAPOL: u16 = 0x888e;

#[test]
fn eapol_of_the_line_reaches_the_control_core_and_nothing_else_does() {
    let mut ends = link(256);
    let mkpdus = [frame(EAPOL, 60, 1), frame(EAPOL, 1514, 2)];
    send(&mut ends.line.0, &[mkpdus[0].clone(), frame(0x0800, 60, 3), mkpdus[1].clone()]);
    send(&mut ends.line.0, &[frame(EAPOL, 1515, 4)]);
    // To one station, and of another kind of EAPOL.
    let (mut to_one, mut start) = (frame(EAPOL, 60, 5), frame(EAPOL, 60, 6));
    (to_one[0], start[15]) = (2, 1);
    send(&mut ends.line.0, &[to_one, start]);
    ends.verify.poll(&mut Engine::new());
    let got: Vec<_> = std::iter::from_fn(|| ends.control.receive(<[u8]>::to_vec)).collect();
    assert_eq!(got, mkpdus);
    assert!(receive(&mut ends.plain.1).is_empty());
    assert_eq!((ends.counters[1].eapol_frames.get(), ends.counters[1].eapol_dropped.get()), (2, 3));
}

#[test]
fn a_flood_of_eapol_is_dropped_and_counted() {
    let mut ends = link(256);
    for _ in 0..2 {
        send(&mut ends.line.0, &vec![frame(EAPOL, 60, 1); 250]);
        for _ in 0..10 {
            ends.verify.poll(&mut Engine::new());
        }
    }
    let (taken, dropped) = (ends.counters[1].eapol_frames.get(), ends.counters[1].eapol_dropped.get());
    assert!((1..=256).contains(&taken), "{taken}");
    assert_eq!(taken + dropped, 500);
    assert_eq!(std::iter::from_fn(|| ends.control.receive(|_| ())).count() as u64, taken);
}

/// Where more comes than is verified, and the control core says so: of bursts in a row some are verified, and the rest of the
/// queue is looked through.
#[test]
fn data_make_way_for_eapol() {
    let mut ends = link(256);
    let mut engine = Engine::new();
    let data = vec![frame(0x0800, 60, 3); secy::MAX_BURST];
    let mut queue = vec![frame(0x0800, 60, 3); 250];
    queue[200] = frame(EAPOL, 60, 1);
    let (mut sent, mut made_way) = (0, 0);
    let mut poll = |ends: &mut Ends, frames: &[Vec<u8>]| {
        send(&mut ends.line.0, frames);
        ends.verify.poll(&mut engine);
        ends.control.receive(|_| ()).is_some()
    };
    // Of 64 frames each, three are what is verified.
    for (told, full, makes_way) in
        [(false, 10, false), (true, 2, false), (true, 3, true), (true, 3, true), (false, 3, false)]
    {
        ends.control.make_way(told);
        // However long it is that bursts are small: the queue is empty behind them.
        for _ in 0..100 {
            assert!(!poll(&mut ends, &data[..15]));
        }
        for _ in 0..full {
            assert!(!poll(&mut ends, &data));
        }
        assert_eq!(poll(&mut ends, &queue), makes_way, "{told} {full}");
        made_way += if makes_way { 249 } else { 0 };
        // What is left, if anything.
        ends.control.make_way(false);
        assert_eq!(ends.verify.poll(&mut Engine::new()) == 0, makes_way);
        while ends.verify.poll(&mut Engine::new()) > 0 {}
        assert_eq!(ends.control.receive(|_| ()).is_some(), !makes_way);
        sent += (100 * 15 + full * data.len() + queue.len()) as u64;
        let counters = &ends.counters[1];
        assert_eq!(counters.rx_made_way.get(), made_way, "{told} {full}");
        assert_eq!(counters.rx_frames.get() + made_way, sent);
    }
    // As many EAPOL frames as there are, a burst at a time.
    ends.control.make_way(true);
    for _ in 0..3 {
        poll(&mut ends, &data);
    }
    poll(&mut ends, &vec![frame(EAPOL, 60, 1); 250]);
    while ends.verify.poll(&mut Engine::new()) > 0 {}
    assert_eq!(std::iter::from_fn(|| ends.control.receive(|_| ())).count(), 249);
    assert_eq!(ends.counters[1].rx_made_way.get(), made_way);
}

/// A line of middling frames, of which there are always more, and which can be told how many are wanted.
struct Endless(Arc<AtomicUsize>);

impl FrameRx for Endless {
    type Frame = MemFrame;

    fn rx_burst(&mut self, frames: &mut Burst<MemFrame>) {
        let count = self.0.load(Relaxed).min(frames.remaining_capacity());
        frames.extend((0..count).map(|_| MemFrame::new(&frame(0x0800, 508, 7))));
    }

    fn limit(&mut self, frames: usize) {
        self.0.store(frames, Relaxed);
    }
}

/// Bursts of middling frames are short, but not while data make way: the queue is looked through in long ones.
#[test]
fn bursts_are_long_where_data_make_way() {
    let limit = Arc::new(AtomicUsize::new(RECEIVED_AT_ONCE));
    let (plain_out, _plain) = wire(256);
    let (control, inlet, _outlet) = control_port();
    let mut verify = Verify::new(Endless(limit.clone()), without_keys(), plain_out, 1518).with_control(inlet);
    let (counters, mut engine) = (verify.counters(), Engine::new());
    let mut poll = || {
        verify.poll(&mut engine);
        limit.load(Relaxed)
    };
    let few = poll();
    assert!(few < RECEIVED_AT_ONCE && poll() == few);
    control.make_way(true);
    for _ in 0..20 {
        assert_eq!(poll(), RECEIVED_AT_ONCE);
    }
    // Whenever four of them were verified, 64 more were looked through.
    assert!(counters.rx_made_way.get() >= 3 * 64 * RECEIVED_AT_ONCE as u64, "{}", counters.rx_made_way.get());
    control.make_way(false);
    poll();
    assert_eq!(poll(), few);
}

/// A control core that wants one gets a frame of those that come, as it came, and each time another one.
#[test]
fn frames_come_to_be_looked_at() {
    let (mut to_line, from_line) = wire(256);
    let (plain_out, _plain) = wire(256);
    let (mut samples, inlet) = sample_port(1600);
    let mut verify = Verify::new(from_line, without_keys(), plain_out, 1518).with_samples(inlet);
    let mut engine = Engine::new();
    let frames: Vec<_> = (0..3).map(|i| frame(0x88e5, 1600, i)).collect();
    let mut poll = |frames: &[Vec<u8>]| {
        send(&mut to_line, frames);
        verify.poll(&mut engine);
    };
    let look = |samples: &mut SamplePort| samples.read(<[u8]>::to_vec);
    poll(&frames);
    assert_eq!(look(&mut samples), None, "nobody asked");
    let mut seen = Vec::new();
    for _ in 0..3 {
        samples.want(true);
        // Nothing comes, and then what is too long.
        poll(&[]);
        poll(&[frame(0x88e5, 1601, 9)]);
        assert_eq!(look(&mut samples), None);
        poll(&frames);
        poll(&frames);
        seen.extend(look(&mut samples));
        assert_eq!(look(&mut samples), None, "one was asked for");
    }
    assert_eq!(seen, frames);
    // One that nobody took stays, unless it is not wanted any more.
    samples.want(true);
    poll(&frames[..1]);
    samples.want(true);
    poll(&frames[1..2]);
    assert_eq!(look(&mut samples).as_ref(), frames.first());
    poll(&frames[2..]);
    samples.want(false);
    poll(&frames);
    assert_eq!(look(&mut samples), None);
    // In pieces, it comes whole.
    samples.want(true);
    let mut burst: Burst<MemFrame> = Burst::new();
    burst.push(MemFrame::scattered([&frames[0][..100], &frames[0][100..]]));
    to_line.tx_burst(&mut burst);
    verify.poll(&mut engine);
    assert_eq!(look(&mut samples).as_ref(), frames.first());
}

#[test]
fn what_the_control_core_sends_goes_before_data_and_is_not_lost_on_a_full_line() {
    let mut ends = link(4);
    let mut engine = Engine::new();
    let mkpdus: Vec<_> = (0..3).map(|i| frame(EAPOL, 60, i)).collect();
    assert!(ends.control.send(&mkpdus[0]));
    send(&mut ends.plain.0, &vec![frame(0x0800, 60, 9); 10]);
    assert_eq!(ends.protect.poll(&mut engine), 11);
    // The line is full now.
    assert!(ends.control.send(&mkpdus[1]) && ends.control.send(&mkpdus[2]));
    assert_eq!(ends.protect.poll(&mut engine), 1, "there is something to do");
    let first = receive(&mut ends.line.1);
    assert_eq!((first.len(), &first[0]), (4, &mkpdus[0]));
    assert_eq!(ends.protect.poll(&mut engine), 2);
    assert_eq!(receive(&mut ends.line.1), mkpdus[1..]);
    assert_eq!(ends.counters[0].eapol_frames.get(), 3);
    assert_eq!((ends.counters[0].tx_frames.get(), ends.counters[0].tx_dropped.get()), (3, 7));
    assert!(!ends.control.send(&[0; 1515]), "longer than any MKPDU");
}

/// A line that takes nothing is noticed within seconds, and few old MKPDUs come out of it when it works again.
#[test]
fn few_frames_wait_for_the_line() {
    let (mut control, _inlet, _outlet) = control_port();
    let taken = (0..100).take_while(|i| control.send(&frame(EAPOL, 60, *i))).count();
    assert!((2..=4).contains(&taken), "{taken}");
}

/// A line that is slower than what comes, and its transmit queue, in which room comes up while frames are received.
#[derive(Clone, Default)]
struct Saturated(Arc<std::sync::Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    offers: u32,
    room: usize,
    taken: Vec<Vec<u8>>,
    /// Nothing is taken any more.
    dead: bool,
}

impl FrameRx for Saturated {
    type Frame = MemFrame;

    fn rx_burst(&mut self, frames: &mut Burst<MemFrame>) {
        let mut queue = self.0.lock().unwrap();
        queue.room += 32 * usize::from(!queue.dead);
        frames.extend((0..48).map(|_| MemFrame::new(&frame(0x0800, 60, 7))));
    }
}

impl FrameTx for Saturated {
    type Frame = MemFrame;

    fn tx_burst(&mut self, frames: &mut Burst<MemFrame>) {
        let mut queue = self.0.lock().unwrap();
        queue.offers += 1;
        // And now and then otherwise.
        queue.room += usize::from(queue.offers.is_multiple_of(100) && !queue.dead);
        let count = queue.room.min(frames.len());
        queue.room -= count;
        queue.taken.extend(frames.drain(..count).map(|frame| frame.to_vec()));
    }

    fn make_frame(&mut self, octets: &[u8]) -> Option<MemFrame> {
        Some(MemFrame::new(octets))
    }
}

/// What the control core has for a line that is full goes before data that come in; on a line that takes nothing any more
/// these wait a moment, and then are dropped and counted as ever.
#[test]
fn data_wait_for_what_the_control_core_sends_to_a_full_line() {
    let line = Saturated::default();
    let tx = unprotected();
    let (mut control, _inlet, outlet) = control_port();
    let mut protect = Protect::new(line.clone(), tx, line.clone()).with_control(outlet);
    let (counters, mut engine) = (protect.counters(), Engine::new());
    for _ in 0..10 {
        protect.poll(&mut engine);
    }
    let mkpdu = frame(EAPOL, 60, 1);
    assert!(control.send(&mkpdu));
    let (start, received) = (Instant::now(), counters.rx_frames.get());
    while counters.eapol_frames.get() == 0 && start.elapsed() < Duration::from_secs(5) {
        assert!(protect.poll(&mut engine) > 0);
    }
    assert!(line.0.lock().unwrap().taken.contains(&mkpdu));
    // In the round in which it found room, and in none before.
    assert_eq!(counters.rx_frames.get(), received + 48);
    line.0.lock().unwrap().dead = true;
    for round in 1..=2 {
        assert!(control.send(&mkpdu));
        let (start, dropped) = (Instant::now(), counters.tx_dropped.get());
        // It waits once for as long as nothing is taken.
        while counters.tx_dropped.get() == dropped {
            assert!(protect.poll(&mut engine) > 0 && start.elapsed() < Duration::from_secs(5), "{round}");
        }
    }
    assert_eq!(counters.eapol_frames.get(), 1);
}
