//! Bursts to other cores and back, in order.
//!
//! The owner of a half of a SecY hands whole bursts to its crypto workers in turn, and takes them back in the same
//! turn. So they come back in the order in which they left, whoever is slow: there are no sequence numbers, and there is
//! nothing to sort. A worker that stalls stalls what comes after its burst, and in the end the owner, which then has
//! nothing to hand out.

use crate::{FrameRx, Task};
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use secy::{Batch, Command, Engine, Event, FrameBuf};

/// Bursts that one crypto worker has at most: one in its hands, and enough waiting that it does not wait for the owner,
/// who has a burst of each worker to see to before it comes back.
const DEPTH: usize = 4;

/// Crypto workers of one direction at most.
pub const MAX_CRYPTO_WORKERS: usize = 32;

/// One end of two rings: what goes out, and what comes in.
pub(crate) trait Ends<T> {
    /// Sends. There is always room: no more is on its way than [`DEPTH`].
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

/// The owner's end of all lanes: who is next, and who was first.
pub(crate) struct Turns<E> {
    lanes: Vec<E>,
    depth: usize,
    /// The lane that the next item goes to.
    next: usize,
    /// The lane that has the oldest item.
    oldest: usize,
    on_their_way: usize,
}

impl<E> Turns<E> {
    pub(crate) fn new(lanes: Vec<E>, depth: usize) -> Self {
        Turns { lanes, depth, next: 0, oldest: 0, on_their_way: 0 }
    }

    /// Whether the next one has room. Items are on their way in turns, so all others then have as many or one more.
    #[inline(always)]
    pub(crate) fn has_room(&self) -> bool {
        self.on_their_way < self.depth * self.lanes.len()
    }

    #[inline(always)]
    pub(crate) fn on_their_way(&self) -> usize {
        self.on_their_way
    }

    /// Hands an item to whose turn it is. Only where there [is room](Self::has_room).
    #[inline(always)]
    pub(crate) fn send<T>(&mut self, item: T)
    where
        E: Ends<T>,
    {
        debug_assert!(self.has_room());
        if let Some(lane) = self.lanes.get_mut(self.next) {
            lane.send(item);
            self.on_their_way += 1;
            self.next = after(self.next, self.lanes.len());
        }
    }

    /// Takes the oldest item back, once it is done.
    #[inline(always)]
    pub(crate) fn receive<T>(&mut self) -> Option<T>
    where
        E: Ends<T>,
    {
        if self.on_their_way == 0 {
            return None;
        }
        let item = self.lanes.get_mut(self.oldest)?.receive()?;
        self.on_their_way -= 1;
        self.oldest = after(self.oldest, self.lanes.len());
        Some(item)
    }
}

#[inline(always)]
fn after(lane: usize, lanes: usize) -> usize {
    if lane + 1 == lanes { 0 } else { lane + 1 }
}

/// The owner's end, with the batches that are not on their way. Allocates nothing but at the beginning.
pub(crate) struct FanOut<F> {
    turns: Turns<Rings<Box<Batch<F>>>>,
    spare: Vec<Box<Batch<F>>>,
}

impl<F: FrameBuf + Send + 'static> FanOut<F> {
    /// Lanes to so many crypto workers: this end, and theirs.
    pub(crate) fn new(workers: usize) -> (Self, Vec<Box<dyn Task>>) {
        let workers = workers.min(MAX_CRYPTO_WORKERS);
        let (own, far): (Vec<_>, Vec<_>) = (0..workers).map(|_| Rings::pair(DEPTH)).unzip();
        let spare = (0..workers * DEPTH).map(|_| Box::default()).collect();
        let fan_out = FanOut { turns: Turns::new(own, DEPTH), spare };
        (fan_out, far.into_iter().map(|ends| Box::new(Lane(ends)) as Box<dyn Task>).collect())
    }
}

impl<F: FrameBuf + Send> FanOut<F> {
    /// Bursts on their way.
    #[inline(always)]
    pub(crate) fn on_their_way(&self) -> usize {
        self.turns.on_their_way()
    }

    /// Receives a burst, begins it and sends it, if there is one, and room for it. Says how many frames it had.
    #[inline(always)]
    pub(crate) fn take_in<R: FrameRx<Frame = F>>(
        &mut self,
        rx: &mut R,
        begin: impl FnOnce(&mut Batch<F>),
    ) -> usize {
        if !self.turns.has_room() {
            return 0;
        }
        let Some(mut batch) = self.spare.pop() else { return 0 };
        rx.rx_burst(batch.frames_mut());
        let received = batch.frames_mut().len();
        if received == 0 {
            self.spare.push(batch);
        } else {
            begin(&mut batch);
            self.turns.send(batch);
        }
        received
    }

    /// Takes a batch back whose frames are gone.
    #[inline(always)]
    pub(crate) fn put_back(&mut self, mut batch: Box<Batch<F>>) {
        batch.frames_mut().clear();
        self.spare.push(batch);
    }

    /// The oldest batch, once it is done.
    #[inline(always)]
    pub(crate) fn receive(&mut self) -> Option<Box<Batch<F>>> {
        self.turns.receive()
    }
}

/// A crypto worker's end.
struct Lane<F>(Rings<Box<Batch<F>>>);

impl<F: FrameBuf + Send> Task for Lane<F> {
    fn poll(&mut self, engine: &mut Engine) -> usize {
        let Some(mut batch) = self.0.receive() else { return 0 };
        batch.crypt(engine);
        let frames = batch.frames_mut().len();
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
