//! The protocol in all interleavings, on a model of the rings; real threads and frames are in `tests/fan_out.rs`.

use super::*;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::collections::VecDeque;

/// A ring as those in use are: a slot belongs to the reader once it sees the count that includes it, and to the writer
/// once it sees the count that leaves it. What is in slots is not ordered by itself, so that an item which is read too
/// early shows.
struct Ring {
    slots: Vec<AtomicUsize>,
    written: AtomicUsize,
    read: AtomicUsize,
}

struct ModelEnds {
    tx: Arc<Ring>,
    rx: Arc<Ring>,
}

fn ring(len: usize) -> Arc<Ring> {
    let slots = (0..len).map(|_| AtomicUsize::new(0)).collect();
    Arc::new(Ring { slots, written: AtomicUsize::new(0), read: AtomicUsize::new(0) })
}

fn pair(len: usize) -> (ModelEnds, ModelEnds) {
    let (out, back) = (ring(len), ring(len));
    (ModelEnds { tx: out.clone(), rx: back.clone() }, ModelEnds { tx: back, rx: out })
}

impl Ends<usize> for ModelEnds {
    fn send(&mut self, item: usize) {
        let written = self.tx.written.load(Ordering::Relaxed);
        let read = self.tx.read.load(Ordering::Acquire);
        assert!(written - read < self.tx.slots.len(), "there is always room");
        self.tx.slots[written % self.tx.slots.len()].store(item, Ordering::Relaxed);
        self.tx.written.store(written + 1, Ordering::Release);
    }

    fn receive(&mut self) -> Option<usize> {
        let read = self.rx.read.load(Ordering::Relaxed);
        if self.rx.written.load(Ordering::Acquire) == read {
            return None;
        }
        let item = self.rx.slots[read % self.rx.slots.len()].load(Ordering::Relaxed);
        self.rx.read.store(read + 1, Ordering::Release);
        Some(item)
    }
}

/// What a worker makes of an item.
const DONE: usize = 100;

impl ModelEnds {
    /// What a worker does in one round.
    fn work(&mut self) {
        if let Some(item) = self.receive() {
            self.send(item + DONE);
        }
    }
}

/// An owner's rounds, in each of which it takes back what is done and hands one item out.
struct Owner {
    turns: Turns<ModelEnds, usize>,
    items: usize,
    sent: usize,
    back: Vec<usize>,
}

impl Owner {
    fn round(&mut self) {
        while let Some(item) = self.turns.receive() {
            self.back.push(item);
        }
        if self.sent < self.items {
            if self.turns.has_room() {
                self.sent += 1;
                self.turns.send(self.sent);
            } else if self.turns.may_keep() {
                self.sent += 1;
                self.turns.keep(self.sent + DONE);
            }
        }
        assert_eq!(self.turns.on_their_way(), self.sent - self.back.len());
    }
}

/// An owner with so many workers hands `items` out and takes them back, in all interleavings of some rounds of each. In
/// these every thread may stall for as long as the others have something to do; what is left is done after them, as a
/// model must come to an end.
fn all_come_back_in_order(workers: usize, depth: usize, items: usize, rounds: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let (own, far): (Vec<_>, Vec<_>) = (0..workers).map(|_| pair(depth)).unzip();
        let work = |mut ends: ModelEnds| {
            loom::thread::spawn(move || {
                (0..rounds).for_each(|_| ends.work());
                ends
            })
        };
        let threads: Vec<_> = far.into_iter().map(work).collect();
        let mut owner = Owner { turns: Turns::new(own, depth), items, sent: 0, back: Vec::new() };
        (0..=items).for_each(|_| owner.round());
        let mut far: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        for _ in 0..2 * items {
            far.iter_mut().for_each(ModelEnds::work);
            owner.round();
        }
        assert_eq!(owner.back, (1..=items).map(|item| item + DONE).collect::<Vec<_>>());
        assert_eq!(owner.turns.receive(), None);
    });
}

#[test]
fn with_one_worker() {
    all_come_back_in_order(1, 2, 4, 3);
}

#[test]
fn with_two_workers() {
    all_come_back_in_order(2, 1, 3, 2);
}

#[test]
fn with_two_workers_and_rings_that_wrap() {
    all_come_back_in_order(2, 2, 5, 2);
}

/// Ends whose worker is the test.
#[derive(Default)]
struct ByHand {
    out: VecDeque<usize>,
    back: VecDeque<usize>,
}

impl Ends<usize> for ByHand {
    fn send(&mut self, item: usize) {
        self.out.push_back(item);
    }

    fn receive(&mut self) -> Option<usize> {
        self.back.pop_front()
    }
}

#[test]
fn one_that_stalls_holds_up_all_and_in_the_end_the_owner() {
    let mut turns = Turns::new(vec![ByHand::default(), ByHand::default(), ByHand::default()], 2);
    let mut sent = 0;
    while turns.has_room() {
        sent += 1;
        turns.send(sent);
    }
    assert_eq!(sent, 6, "the depth of each lane, and no more");
    // What the owner does itself has its turn after these.
    while turns.may_keep() {
        sent += 1;
        turns.keep(sent);
    }
    assert_eq!(sent, 6 + BURSTS_OF_THE_OWNER);
    // All but the second are done with everything.
    for lane in [0, 2] {
        let ByHand { out, back } = &mut turns.lanes[lane];
        back.extend(out.drain(..));
    }
    assert_eq!([turns.receive(), turns.receive(), turns.receive()], [Some(1), None, None]);
    assert!(turns.has_room() && !turns.may_keep());
    turns.send(sent + 1);
    assert!(!turns.has_room());
    let ByHand { out, back } = &mut turns.lanes[1];
    back.extend(out.drain(..));
    let rest: Vec<_> = std::iter::from_fn(|| turns.receive()).collect();
    assert!(rest.iter().copied().eq(2..=sent), "{rest:?}");
    assert_eq!(turns.on_their_way(), 1);
}
