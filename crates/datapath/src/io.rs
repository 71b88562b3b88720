//! What the frame path needs of a port.

use secy::{Burst, FrameBuf, MAX_BURST};
use std::ops::RangeInclusive;

/// Frames of a burst from a DPDK queue at most. Of more the first ones have left the core's first-level cache before their
/// turn comes; fewer are less often alike.
pub const RECEIVED_AT_ONCE: usize = 48;
const _: () = assert!(RECEIVED_AT_ONCE <= MAX_BURST);

/// The same from a port that copies, where frames are neither short nor long: what it wrote is then still in the first-level
/// cache when it is worked on, which is worth more than the rounds that it takes.
pub(crate) const FEW_AT_ONCE: usize = 16;
/// Octets of such frames.
const MIDDLING: RangeInclusive<usize> = 250..=1100;

/// How many frames to receive at once, after a burst like this.
#[inline(always)]
pub(crate) fn at_once(last: &[impl FrameBuf]) -> usize {
    let is_middling = |frame: &_| MIDDLING.contains(&FrameBuf::len(frame));
    // Of a mix, which is better off in long bursts, the one or the other is mostly no such frame.
    let middling = last.first().is_some_and(is_middling) && last.last().is_some_and(is_middling);
    if middling { FEW_AT_ONCE } else { RECEIVED_AT_ONCE }
}

/// A receive queue.
pub trait FrameRx: Send {
    /// Its frames.
    type Frame: FrameBuf + Send;

    /// Appends received frames to `frames`, as many as are there and find room.
    fn rx_burst(&mut self, frames: &mut Burst<Self::Frame>);

    /// Has it append no more than so many frames at once from now on, where that is of use. No more than a hint.
    fn limit(&mut self, _frames: usize) {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use secy::MemFrame;

    #[test]
    fn few_frames_are_received_at_once_after_middling_ones_at_both_ends() {
        let of = |octets: &[usize]| {
            let frames: Vec<_> = octets.iter().map(|octets| MemFrame::new(&vec![0; *octets])).collect();
            at_once(&frames)
        };
        for octets in [&[250][..], &[1100], &[252, 60, 1052]] {
            assert_eq!(of(octets), FEW_AT_ONCE, "{octets:?}");
        }
        for octets in [&[][..], &[60], &[249], &[1101], &[1514], &[508, 1514], &[60, 508]] {
            assert_eq!(of(octets), RECEIVED_AT_ONCE, "{octets:?}");
        }
    }
}
