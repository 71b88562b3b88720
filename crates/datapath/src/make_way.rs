//! Receiving while key agreement waits for MKPDUs.
//!
//! Where the line brings more than is verified, the port's receive queue is full, and it loses MKPDUs as it does data. With
//! enough of them lost the stations give each other up, and nothing passes at all. So from when MKPDUs are overdue and the
//! queue is long until they come, data are dropped that wait before others, and the queue stays short: what would be lost at
//! its end is dropped at its beginning, and every EAPOL frame comes in.

use crate::{ControlInlet, FrameRx, PathCounters};
use secy::{Burst, FrameBuf};
use std::sync::Arc;
use wire::{EtherType, Ethernet};

/// Frames of a burst behind which there are most likely others.
const MANY: usize = 32;
/// So many such bursts in a row are half of what a queue holds by default: it overflows, or is about to.
const OVERRUN: u32 = 12;
/// Bursts that are looked at for one that is verified, at most.
const LOOKS: usize = 64;

/// A receive queue of a line.
pub(crate) struct MakeWay<R> {
    rx: R,
    /// Bursts of many frames in a row, while MKPDUs are overdue.
    in_a_row: u32,
    counters: Arc<PathCounters>,
}

impl<R: FrameRx> MakeWay<R> {
    pub(crate) fn new(rx: R, counters: Arc<PathCounters>) -> Self {
        MakeWay { rx, in_a_row: 0, counters }
    }

    /// Receives as [`FrameRx`] does, but less than there is where that helps.
    #[inline(always)]
    pub(crate) fn rx_burst(&mut self, control: Option<&ControlInlet>, frames: &mut Burst<R::Frame>) {
        if control.is_some_and(ControlInlet::is_awaited) {
            self.rx_burst_awaited(frames);
        } else {
            self.in_a_row = 0;
            self.rx.rx_burst(frames);
        }
    }

    #[cold]
    fn rx_burst_awaited(&mut self, frames: &mut Burst<R::Frame>) {
        let mut many = self.receive(frames);
        if self.in_a_row < OVERRUN {
            self.in_a_row = if many { self.in_a_row + 1 } else { 0 };
            return;
        }
        for _ in 1..LOOKS {
            if !many {
                return;
            }
            let before = frames.len();
            frames.retain(|frame| is_eapol(frame));
            self.counters.rx_made_way.add((before - frames.len()) as u64);
            if frames.remaining_capacity() < MANY {
                return;
            }
            many = self.receive(frames);
        }
    }

    /// Whether many frames were there.
    fn receive(&mut self, frames: &mut Burst<R::Frame>) -> bool {
        let before = frames.len();
        self.rx.rx_burst(frames);
        frames.len() - before >= MANY
    }
}

/// As the SecY has it.
fn is_eapol(frame: &impl FrameBuf) -> bool {
    Ethernet::new_checked(frame.head()).is_some_and(|frame| frame.ethertype() == EtherType::EAPOL)
}
