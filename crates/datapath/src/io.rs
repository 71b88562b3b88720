//! What the frame path needs of a port.

use secy::{Burst, FrameBuf, MAX_BURST};

/// Frames of a burst from a DPDK queue at most. Of more the first ones have left the core's first-level cache before their
/// turn comes; fewer are less often alike.
pub const RECEIVED_AT_ONCE: usize = 48;
const _: () = assert!(RECEIVED_AT_ONCE <= MAX_BURST);

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
