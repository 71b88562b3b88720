//! Ports in memory: a wire is a bounded ring, its ends a transmit and a receive queue.

use crate::{FrameRx, FrameTx};
use rtrb::{Consumer, Producer, RingBuffer};
use secy::{Burst, FrameBuf, MemFrame};

/// The transmitting end of a wire.
#[derive(Debug)]
pub struct MemoryTx<F = MemFrame>(Producer<F>);

/// The receiving end of a wire.
#[derive(Debug)]
pub struct MemoryRx<F = MemFrame>(Consumer<F>);

/// A wire that holds up to `frames` frames between its ends. A full one takes no more.
pub fn wire(frames: usize) -> (MemoryTx, MemoryRx) {
    wire_of(frames)
}

/// The same for frames of any kind.
pub fn wire_of<F>(frames: usize) -> (MemoryTx<F>, MemoryRx<F>) {
    let (tx, rx) = RingBuffer::new(frames);
    (MemoryTx(tx), MemoryRx(rx))
}

impl<F: FrameBuf + Send + for<'o> From<&'o [u8]>> FrameTx for MemoryTx<F> {
    type Frame = F;

    fn tx_burst(&mut self, frames: &mut Burst<F>) {
        let room = self.0.slots().min(frames.len());
        if let Ok(slots) = self.0.write_chunk_uninit(room) {
            slots.fill_from_iter(frames.drain(..room));
        }
    }

    fn make_frame(&mut self, octets: &[u8]) -> Option<F> {
        Some(octets.into())
    }
}

impl<F: FrameBuf + Send> FrameRx for MemoryRx<F> {
    type Frame = F;

    fn rx_burst(&mut self, frames: &mut Burst<F>) {
        let ready = self.0.slots().min(frames.remaining_capacity());
        if let Ok(slots) = self.0.read_chunk(ready) {
            frames.extend(slots);
        }
    }
}

impl<F> MemoryRx<F> {
    /// Looks at frames that come next, at most so many.
    pub fn look_ahead(&mut self, most: usize, mut look: impl FnMut(&F)) {
        let ready = self.0.slots().min(most);
        if let Ok(chunk) = self.0.read_chunk(ready) {
            let (first, second) = chunk.as_slices();
            first.iter().chain(second).for_each(&mut look);
        }
    }
}

impl<F> MemoryTx<F> {
    /// Whether the other end is gone.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_abandoned()
    }
}
