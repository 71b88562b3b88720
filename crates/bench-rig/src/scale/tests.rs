//! Short runs on threads without cores of their own, and sinks that are fed what they should not see.

use super::case::{Case, Way};
use super::ports::{Fault, Numbers, PAYLOAD, Refill, Script, Sink, Source, Tally, ports};
use super::report::rows;
use super::team::{SliceError, Team};
use super::{page, report};
use crate::clock::Clock;
use crate::gateway_bench::{Buffer, FrameSize};
use crate::report::{Destination, Facts};
use clap::ValueEnum;
use datapath::{FrameRx, FrameTx, IdlePolicy, Task};
use secy::{Burst, Command, Engine, Event, FrameBuf, MAX_BURST};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use wire::CipherSuite;

fn case(way: Way, size: FrameSize) -> Case {
    Case { suite: CipherSuite::GcmAes128, way, size }
}

/// One slice after another with each number of workers, a few times over.
fn run(
    case: &Case,
    most: usize,
    change: impl Fn(usize, Box<dyn Task>) -> Box<dyn Task>,
) -> Result<(), SliceError> {
    let directions = (0..=most).map(|workers| {
        let mut direction = case.direction(workers, most).unwrap();
        direction.lanes = direction.lanes.into_iter().map(|lane| change(workers, lane)).collect();
        direction
    });
    let clock = Arc::new(Clock::new());
    let team = Team::start(case.way, directions.collect(), &[], IdlePolicy::Adaptive, &clock)?;
    for _ in 0..2 {
        for workers in 0..=most {
            let rate = team.slice(workers, 1e5, 2e6, &AtomicBool::new(false))?;
            assert!(rate.is_finite() && rate >= 0.0, "{rate}");
        }
    }
    Ok(())
}

#[test]
fn frames_stay_in_order_whoever_does_the_crypto() {
    for way in Way::value_variants() {
        for size in [FrameSize::Octets(64), FrameSize::Imix, FrameSize::Octets(9000)] {
            run(&case(*way, size), 3, |_, lane| lane).unwrap();
        }
    }
}

/// A lane that ends its thread.
struct Panicking;

impl Task for Panicking {
    fn poll(&mut self, _: &mut Engine) -> usize {
        panic!("as a worker that goes wrong");
    }

    fn apply(&mut self, command: Command) -> Option<Event> {
        Some(Event::Refused(command))
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }
}

#[test]
fn a_worker_that_is_gone_is_noticed() {
    let change = |workers, lane| if workers == 2 { Box::new(Panicking) as Box<dyn Task> } else { lane };
    let error = run(&case(Way::Protect, FrameSize::Octets(64)), 2, change).unwrap_err();
    assert!(matches!(error, SliceError::Ended { workers: 2, .. }), "{error}");
}

#[test]
fn an_interruption_ends_a_slice() {
    let case = case(Way::Verify, FrameSize::Octets(64));
    let clock = Arc::new(Clock::new());
    let directions = vec![case.direction(0, 0).unwrap()];
    let team = Team::start(case.way, directions, &[], IdlePolicy::Adaptive, &clock).unwrap();
    let error = team.slice(0, 0.0, 3600e9, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(error, SliceError::Interrupted), "{error}");
}

#[test]
fn a_slice_goes_on_over_what_is_written_again() {
    let case = case(Way::Verify, FrameSize::Octets(64));
    let clock = Arc::new(Clock::new());
    let direction = case.direction(0, 0).unwrap();
    let tally = direction.tally.clone();
    let team = Team::start(case.way, vec![direction], &[], IdlePolicy::Adaptive, &clock).unwrap();
    // More than any CPU has done once.
    let mut length = 1e6;
    while tally.given() <= 2 * tally.written() {
        let rate = team.slice(0, 0.0, length, &AtomicBool::new(false)).unwrap();
        assert!(rate.is_finite() && rate > 0.0, "{rate}");
        assert_eq!((tally.given(), tally.fault()), (tally.taken(), None));
        length *= 2.0;
    }
}

/// Frames with these stamps and payloads that are numbers, and what the sink says of them, handed to it in this order.
fn fed(count: u32, stamps: &[u64], number: impl Fn(u64) -> u32) -> (Arc<Tally>, Option<Fault>) {
    let script = Script { frames: vec![vec![0; 60]], refill: Refill::Whole };
    let (_source, mut sink, tally) = ports(script, Numbers::Payload(count), 0, 60);
    for stamps in stamps.chunks(MAX_BURST) {
        let frame = |&stamp: &u64| {
            let mut frame = [0; 60];
            frame[PAYLOAD..PAYLOAD + 4].copy_from_slice(&number(stamp).to_be_bytes());
            let mut buffer = Buffer::from(&frame[..]);
            buffer.set_stamp(stamp);
            buffer
        };
        let mut burst: Burst<Buffer> = stamps.iter().map(frame).collect();
        sink.tx_burst(&mut burst);
    }
    let fault = tally.fault();
    (tally, fault)
}

#[test]
fn a_sink_tells_what_is_swapped_or_missing() {
    let right = |stamp: u64| (stamp % 5) as u32;
    let all: Vec<u64> = (0..200).collect();
    let (tally, fault) = fed(5, &all, right);
    assert_eq!((fault, tally.taken()), (None, 200));
    assert_eq!(fed(5, &[0, 2, 1, 3], right).1, Some(Fault::Order { due: 1, came: 2 }));
    assert_eq!(fed(5, &[0, 1, 3, 4], right).1, Some(Fault::Order { due: 2, came: 3 }));
    assert_eq!(fed(5, &[0, 0], right).1, Some(Fault::Order { due: 1, came: 0 }));
    // What goes wrong first is what is told.
    assert_eq!(fed(5, &[1, 0, 4], right).1, Some(Fault::Order { due: 0, came: 1 }));
    // What stands in the first frame of a burst.
    let wrong = fed(5, &all, |stamp| right(stamp) + u32::from(stamp == 128)).1;
    assert_eq!(wrong, Some(Fault::Number { due: 128, came: 4 }));
    let words = Fault::Order { due: 1, came: 2 }.to_string();
    assert!(
        words.contains("frame 1 was due and frame 2 came out") && words.contains("out of order"),
        "{words}"
    );
}

#[test]
fn packet_numbers_are_read_from_the_sectag() {
    let script = Script { frames: vec![vec![0; 60]], refill: Refill::Length };
    let (_source, mut sink, tally) = ports(script, Numbers::Packet, 0, 60);
    let tagged = |(stamp, pn): (u64, u32)| {
        let mut frame = [0; 60];
        frame[12..16].copy_from_slice(&[0x88, 0xe5, 0x2c, 0]);
        frame[16..20].copy_from_slice(&pn.to_be_bytes());
        let mut buffer = Buffer::from(&frame[..]);
        buffer.set_stamp(stamp);
        buffer
    };
    sink.tx_burst(&mut [(0, 1), (1, 2), (2, 3)].map(tagged).into_iter().collect());
    sink.tx_burst(&mut [(3, 4)].map(tagged).into_iter().collect());
    assert_eq!(tally.fault(), None);
    let mut untagged = Buffer::from(&[0; 60][..]);
    untagged.set_stamp(4);
    sink.tx_burst(&mut std::iter::once(untagged).collect());
    assert_eq!(tally.fault(), Some(Fault::NotAFrame { due: 4 }));
}

#[test]
fn bursts_in_each_others_places_have_other_numbers() {
    for octets in [64, 1518, 9000] {
        let direction = case(Way::Protect, FrameSize::Octets(octets));
        let count = direction.script_len();
        // As far apart as bursts of four workers can be, and the mix is whole.
        assert!(
            (1..15).all(|bursts| !(bursts * MAX_BURST).is_multiple_of(count)) && count.is_multiple_of(12),
            "{count}"
        );
    }
}

/// Three frames that tell each other apart by what they consist of and how long they are.
fn three(refill: Refill) -> Script {
    Script { frames: (0..3_u8).map(|n| vec![n; 60 + usize::from(n)]).collect(), refill }
}

#[test]
fn a_source_gives_what_is_to_be_given_while_it_is_open() {
    let (mut source, mut sink, tally) = ports(three(Refill::Length), Numbers::Packet, 4, 80);
    let mut burst = Burst::new();
    source.rx_burst(&mut burst);
    assert!(burst.is_empty());
    tally.open(true);
    source.rx_burst(&mut burst);
    let seen: Vec<(usize, u8)> = burst.iter().map(|f| (f.len(), f.head()[13])).collect();
    assert_eq!(seen, [(60, 0), (61, 1), (62, 2), (60, 0)]);
    assert!(burst.iter().map(Buffer::stamp).eq(0..4));
    assert_eq!((tally.given(), tally.taken()), (4, 0));
    // There are no more buffers until some come back.
    let mut more = Burst::new();
    source.rx_burst(&mut more);
    assert!(more.is_empty());
    sink.tx_burst(&mut burst);
    source.rx_burst(&mut more);
    assert_eq!((more.len(), more[0].len(), tally.taken()), (4, 61, 4));
    assert_eq!(tally.written(), 0);
}

#[test]
fn a_source_that_writes_gives_each_buffer_once_before_it_writes_again() {
    let (mut source, mut sink, tally) = ports(three(Refill::Whole), Numbers::Payload(3), 4, 80);
    let round = |source: &mut Source, sink: &mut Sink, first: u8| {
        tally.open(true);
        let mut burst = Burst::new();
        source.rx_burst(&mut burst);
        let due = |n: u8| (first + n) % 3;
        let seen: Vec<(usize, u8)> = burst.iter().map(|f| (f.len(), f.head()[13])).collect();
        assert_eq!(seen, [0, 1, 2, 3].map(|n| (60 + usize::from(due(n)), due(n))));
        assert_eq!(tally.written(), 4);
        // As who decrypts in place would.
        burst.iter_mut().for_each(|frame| frame.head_mut().fill(9));
        let back = burst.len();
        sink.tx_burst(&mut burst);
        source.rx_burst(&mut burst);
        assert_eq!((back, burst.len()), (4, 0));
        tally.open(false);
        source.rx_burst(&mut burst);
        assert!(burst.is_empty());
    };
    round(&mut source, &mut sink, 0);
    round(&mut source, &mut sink, 1);
    // What was written and not given is given next, before what was written later.
    tally.open(true);
    let mut few = Burst::new();
    few.extend((0..MAX_BURST - 1).map(|_| Buffer::new(80)));
    source.rx_burst(&mut few);
    assert_eq!((few.len(), few[MAX_BURST - 1].len(), tally.written()), (MAX_BURST, 62, 4));
    tally.open(false);
    source.rx_burst(&mut Burst::new());
    let mut one: Burst<Buffer> = few.drain(MAX_BURST - 1..).collect();
    sink.tx_burst(&mut one);
    tally.open(true);
    source.rx_burst(&mut one);
    assert!(one.iter().map(FrameBuf::len).eq([60, 61, 62, 60]) && tally.written() == 4);
}

#[test]
fn a_report_has_its_plots() {
    let home = tempfile::tempdir().unwrap();
    let mut results = Vec::new();
    for way in Way::value_variants() {
        for size in [FrameSize::Octets(64), FrameSize::Octets(1518), FrameSize::Imix] {
            let case = case(*way, size);
            results.push((case, rows(&case, &[4e6, 6e6, 11e6, 15e6])));
        }
    }
    let page = page::of(&results, "Owner on core 1", Facts::new()).unwrap();
    let path = page.write(&Destination::new(home.path()).unwrap()).unwrap();
    let html = std::fs::read_to_string(path).unwrap();
    for title in ["protect: rate", "protect: efficiency", "verify: rate", "verify: efficiency", "both: rate"]
    {
        assert!(html.contains(&format!("aria-label=\"gcm-aes-128, {title}\"")), "{title}");
    }
    assert_eq!(html.matches("role=\"img\"").count(), 6);
    assert!(html.contains("<li>") && html.contains("1518 octets</li>") && html.contains("Owner on core 1."));
    let lines = std::fs::read_to_string(home.path().join("results.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 36);
    // Of one worker there is one number, which is no plot.
    let one = [(results[0].0, report::rows(&results[0].0, &[4e6, 6e6]))];
    let page = page::of(&one, "", Facts::new()).unwrap();
    let path = page.write(&Destination::new(home.path()).unwrap()).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap().matches("role=\"img\"").count(), 1);
    // After an interruption there may be nothing.
    page::of(&[], "", Facts::new()).unwrap().write(&Destination::new(home.path()).unwrap()).unwrap();
}
