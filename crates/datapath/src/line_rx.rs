//! A line's receive queue, and what the control core may want of it beside its frames.
//!
//! Where the line brings more than is verified, the port's receive queue is full, and it loses MKPDUs as it does data. With
//! enough of them lost the stations give each other up, and nothing passes at all. So when that is about to happen the queue
//! is kept short: what would be lost at its end is dropped at its beginning, and EAPOL frames come in.

use crate::{ControlInlet, FrameRx, PathCounters, RECEIVED_AT_ONCE, SampleInlet};
use secy::{Burst, FrameBuf};
use std::sync::Arc;
use wire::{EtherType, Ethernet};

/// Frames of a burst behind which there may be others: drivers hand out fewer than they are asked for.
const SEVERAL: usize = 16;
/// Frames of such bursts in a row that are verified before the queue is looked through. A queue of 1024 frames then does not
/// overflow where five times as much comes as is verified.
const VERIFIED: usize = 192;
/// Bursts that are looked through at a time, at most.
const LOOKS: usize = 64;

pub(crate) struct LineRx<R> {
    rx: R,
    samples: Option<SampleInlet>,
    /// Frames in such bursts in a row, while data make way.
    in_a_row: usize,
    counters: Arc<PathCounters>,
}

impl<R: FrameRx> LineRx<R> {
    pub(crate) fn new(rx: R, counters: Arc<PathCounters>) -> Self {
        LineRx { rx, samples: None, in_a_row: 0, counters }
    }

    pub(crate) fn with_samples(self, samples: SampleInlet) -> Self {
        LineRx { samples: Some(samples), ..self }
    }

    /// Receives as [`FrameRx`] does, but less than there is where that is to be.
    #[inline(always)]
    pub(crate) fn rx_burst(&mut self, control: Option<&ControlInlet>, frames: &mut Burst<R::Frame>) {
        self.rx.rx_burst(frames);
        if control.is_some_and(ControlInlet::data_make_way) {
            self.make_way(frames);
        } else {
            self.in_a_row = 0;
        }
        if let Some(samples) = &mut self.samples
            && samples.is_wanted()
        {
            samples.put(frames);
        }
    }

    /// As [`FrameRx`] has it, unless data make way: the queue is looked through as fast as may be then, and a small burst
    /// would say that it is empty behind it.
    #[inline(always)]
    pub(crate) fn limit(&mut self, control: Option<&ControlInlet>, frames: usize) {
        let data_make_way = control.is_some_and(ControlInlet::data_make_way);
        self.rx.limit(if data_make_way { RECEIVED_AT_ONCE } else { frames });
    }

    #[cold]
    fn make_way(&mut self, frames: &mut Burst<R::Frame>) {
        self.in_a_row = if frames.len() < SEVERAL { 0 } else { self.in_a_row + frames.len() };
        if self.in_a_row <= VERIFIED {
            return;
        }
        self.in_a_row = 0;
        for _ in 0..LOOKS {
            let before = frames.len();
            frames.retain(|frame| is_eapol(frame));
            self.counters.rx_made_way.add((before - frames.len()) as u64);
            if frames.remaining_capacity() < RECEIVED_AT_ONCE {
                return;
            }
            let kept = frames.len();
            self.rx.rx_burst(frames);
            if frames.len() - kept < SEVERAL {
                return;
            }
        }
    }
}

/// As the SecY has it.
fn is_eapol(frame: &impl FrameBuf) -> bool {
    Ethernet::new_checked(frame.head()).is_some_and(|frame| frame.ethertype() == EtherType::EAPOL)
}
