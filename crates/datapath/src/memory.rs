//! Ports in memory: a wire is a bounded ring, its ends a transmit and a receive queue.

use crate::{FrameRx, FrameTx};
use rtrb::{Consumer, Producer, RingBuffer};
use secy::{Burst, MemFrame};

/// The transmitting end of a wire.
#[derive(Debug)]
pub struct MemoryTx(Producer<MemFrame>);

/// The receiving end of a wire.
#[derive(Debug)]
pub struct MemoryRx(Consumer<MemFrame>);

/// A wire that holds up to `frames` frames between its ends. A full one takes no more.
pub fn wire(frames: usize) -> (MemoryTx, MemoryRx) {
    let (tx, rx) = RingBuffer::new(frames);
    (MemoryTx(tx), MemoryRx(rx))
}

impl FrameTx for MemoryTx {
    type Frame = MemFrame;

    fn tx_burst(&mut self, frames: &mut Burst<MemFrame>) {
        let room = self.0.slots().min(frames.len());
        for frame in frames.drain(..room) {
            // There is room: only this end adds.
            drop(self.0.push(frame));
        }
    }

    fn make_frame(&mut self, octets: &[u8]) -> Option<MemFrame> {
        Some(MemFrame::new(octets))
    }
}

impl FrameRx for MemoryRx {
    type Frame = MemFrame;

    fn rx_burst(&mut self, frames: &mut Burst<MemFrame>) {
        while !frames.is_full() {
            match self.0.pop() {
                Ok(frame) => frames.push(frame),
                Err(_) => break,
            }
        }
    }
}

impl MemoryTx {
    /// Whether the other end is gone.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_abandoned()
    }
}
