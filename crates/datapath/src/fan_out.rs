//! Bursts to other cores and back, in order.
//!
//! The owner of a half of a SecY hands whole bursts to its crypto workers in turn, and takes them back in the same
//! turn. So they come back in the order in which they left, whoever is slow: there are no sequence numbers, and there is
//! nothing to sort. While all workers have as much as they may, the owner does a burst itself rather than wait; its turn
//! comes like any other's. A worker that stalls stalls what comes after its burst, and in the end the owner, which then
//! has nothing to do.

use crate::Task;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use secy::{Batch, Burst, Command, Engine, Event, FrameBuf};
use std::collections::VecDeque;

/// Bursts that one crypto worker has at most: one in its hands, and enough waiting that it does not wait for the owner,
/// who has a burst of each worker, and one of its own, to see to before it comes back.
pub(crate) const BURSTS_A_CRYPTO_WORKER: usize = 4;

/// Bursts that the owner did and whose turn has not come, at most: as many as one crypto worker has, which it can keep up
/// with where it has little else to do.
pub(crate) const BURSTS_OF_THE_OWNER: usize = 4;

/// How many bursts of a direction are on their way at once, at most, where so many crypto workers have a part in it.
pub const fn bursts_on_their_way(crypto_workers: usize) -> usize {
    match crypto_workers {
        0 => 0,
        workers => workers * BURSTS_A_CRYPTO_WORKER + BURSTS_OF_THE_OWNER,
    }
}

/// Crypto workers of one direction at most.
pub const MAX_CRYPTO_WORKERS: usize = 32;

/// One end of two rings: what goes out, and what comes in.
pub(crate) trait Ends<T> {
    /// Sends. There is always room: no more is on its way than [`BURSTS_A_CRYPTO_WORKER`].
    fn send(&mut self, item: T);

    /// What has come.
    fn receive(&mut self) -> Option<T>;
}

/// Ends of rings between threads.
pub(crate) struct Rings<T> {
    tx: Producer<T>,
    rx: Consumer<T>,
}

impl<T> Rings<T> {
    fn pair(len: usize) -> (Self, Self) {
        let ((tx, far_rx), (far_tx, rx)) = (RingBuffer::new(len), RingBuffer::new(len));
        (Rings { tx, rx }, Rings { tx: far_tx, rx: far_rx })
    }
}

impl<T> Ends<T> for Rings<T> {
    #[inline(always)]
    fn send(&mut self, item: T) {
        if let Err(PushError::Full(item)) = self.tx.push(item) {
            debug_assert!(false, "more on its way than there may be");
            drop(item);
        }
    }

    #[inline(always)]
    fn receive(&mut self) -> Option<T> {
        self.rx.pop().ok()
    }
}

/// Whose turn it is to be received.
#[derive(Clone, Copy)]
enum Whose {
    Lane(usize),
    Own,
}

/// The owner's end of all lanes, and the order of what is on its way.
pub(crate) struct Turns<E, T> {
    lanes: Vec<E>,
    depth: usize,
    /// The lane that the next item goes to.
    next: usize,
    /// All that is on its way, oldest first.
    order: VecDeque<Whose>,
    /// What the owner did itself.
    own: VecDeque<T>,
}

impl<E: Ends<T>, T> Turns<E, T> {
    /// With so many items a lane at most.
    pub(crate) fn new(lanes: Vec<E>, depth: usize) -> Self {
        let most = depth * lanes.len() + BURSTS_OF_THE_OWNER;
        let (order, own) = (VecDeque::with_capacity(most), VecDeque::with_capacity(BURSTS_OF_THE_OWNER));
        Turns { lanes, depth, next: 0, order, own }
    }

    /// Whether the next lane has room. Lanes have their items in turns, so all others then have as many or one more.
    #[inline(always)]
    pub(crate) fn has_room(&self) -> bool {
        self.order.len() - self.own.len() < self.depth * self.lanes.len()
    }

    /// Whether the owner may do one more itself.
    #[inline(always)]
    pub(crate) fn may_keep(&self) -> bool {
        self.own.len() < BURSTS_OF_THE_OWNER
    }

    #[inline(always)]
    pub(crate) fn on_their_way(&self) -> usize {
        self.order.len()
    }

    /// Hands an item to the lane whose turn it is. Only where there [is room](Self::has_room).
    #[inline(always)]
    pub(crate) fn send(&mut self, item: T) {
        debug_assert!(self.has_room());
        if let Some(lane) = self.lanes.get_mut(self.next) {
            lane.send(item);
            self.order.push_back(Whose::Lane(self.next));
            self.next = after(self.next, self.lanes.len());
        }
    }

    /// Keeps an item that is done until its turn. Only where the owner [may](Self::may_keep).
    #[inline(always)]
    pub(crate) fn keep(&mut self, item: T) {
        debug_assert!(self.may_keep());
        self.order.push_back(Whose::Own);
        self.own.push_back(item);
    }

    /// Takes the oldest item back, once it is done.
    #[inline(always)]
    pub(crate) fn receive(&mut self) -> Option<T> {
        let item = match *self.order.front()? {
            Whose::Lane(lane) => self.lanes.get_mut(lane)?.receive()?,
            Whose::Own => self.own.pop_front()?,
        };
        self.order.pop_front();
        Some(item)
    }
}

#[inline(always)]
fn after(lane: usize, lanes: usize) -> usize {
    if lane + 1 == lanes { 0 } else { lane + 1 }
}

/// The owner's end, with the batches that are not on their way. Allocates nothing but at the beginning.
pub(crate) struct FanOut<F: FrameBuf> {
    turns: Turns<Rings<Box<Batch<F>>>, Box<Batch<F>>>,
    spare: Vec<Box<Batch<F>>>,
}

impl<F: FrameBuf + Send + 'static> FanOut<F> {
    /// Lanes to so many crypto workers: this end, and theirs.
    pub(crate) fn new(workers: usize) -> (Self, Vec<Box<dyn Task>>) {
        let workers = workers.min(MAX_CRYPTO_WORKERS);
        let (own, far): (Vec<_>, Vec<_>) = (0..workers).map(|_| Rings::pair(BURSTS_A_CRYPTO_WORKER)).unzip();
        let most = workers * BURSTS_A_CRYPTO_WORKER + BURSTS_OF_THE_OWNER;
        let spare = (0..most).map(|_| Box::default()).collect();
        let fan_out = FanOut { turns: Turns::new(own, BURSTS_A_CRYPTO_WORKER), spare };
        (fan_out, far.into_iter().map(|ends| Box::new(Lane(ends)) as Box<dyn Task>).collect())
    }
}

impl<F: FrameBuf + Send> FanOut<F> {
    /// Bursts on their way.
    #[inline(always)]
    pub(crate) fn on_their_way(&self) -> usize {
        self.turns.on_their_way()
    }

    /// Receives a burst and begins it, if there is one and somebody has time for it: a crypto worker, or else the owner.
    /// Says how many frames it had.
    #[inline(always)]
    pub(crate) fn take_in(
        &mut self,
        receive: impl FnOnce(&mut Burst<F>),
        engine: &mut Engine,
        begin: impl FnOnce(&mut Batch<F>),
    ) -> usize {
        let send = self.turns.has_room();
        if !send && !self.turns.may_keep() {
            return 0;
        }
        let Some(mut batch) = self.spare.pop() else { return 0 };
        receive(batch.frames_mut());
        let received = batch.len();
        if received == 0 {
            self.spare.push(batch);
            return 0;
        }
        begin(&mut batch);
        if send {
            self.turns.send(batch);
        } else {
            batch.crypt(engine);
            self.turns.keep(batch);
        }
        received
    }

    /// Takes a batch back whose frames are gone.
    #[inline(always)]
    pub(crate) fn put_back(&mut self, mut batch: Box<Batch<F>>) {
        batch.frames_mut().clear();
        self.spare.push(batch);
    }

    /// Lets all keys go. Nothing may be on its way.
    pub(crate) fn let_keys_go(&mut self) {
        debug_assert_eq!(self.on_their_way(), 0);
        self.spare.iter_mut().for_each(|batch| batch.let_keys_go());
    }

    /// The oldest batch, once it is done.
    #[inline(always)]
    pub(crate) fn receive(&mut self) -> Option<Box<Batch<F>>> {
        self.turns.receive()
    }
}

/// A crypto worker's end.
struct Lane<F: FrameBuf>(Rings<Box<Batch<F>>>);

impl<F: FrameBuf + Send> Task for Lane<F> {
    fn poll(&mut self, engine: &mut Engine) -> usize {
        let Some(mut batch) = self.0.receive() else { return 0 };
        batch.crypt(engine);
        let frames = batch.len();
        self.0.send(batch);
        frames
    }

    fn apply(&mut self, command: Command) -> Option<Event> {
        Some(Event::Refused(command))
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }
}

#[cfg(test)]
mod tests;
