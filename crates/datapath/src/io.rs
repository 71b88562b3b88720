//! What the frame path needs of a port.

use secy::{Burst, FrameBuf};

/// A receive queue.
pub trait FrameRx: Send {
    /// Its frames.
    type Frame: FrameBuf + Send;

    /// Appends received frames to `frames`, as many as are there and find room.
    fn rx_burst(&mut self, frames: &mut Burst<Self::Frame>);
}

/// A transmit queue.
pub trait FrameTx: Send {
    /// Its frames.
    type Frame: FrameBuf + Send;

    /// Takes frames from the front of `frames`, in order, while the queue has room.
    fn tx_burst(&mut self, frames: &mut Burst<Self::Frame>);

    /// A frame of these octets, to be transmitted here. `None` when there is no memory for it now.
    fn make_frame(&mut self, octets: &[u8]) -> Option<Self::Frame>;
}
