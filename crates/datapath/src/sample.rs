//! Frames of a line for a control core to look at, beside what becomes of them.

use rtrb::{Consumer, Producer, RingBuffer};
use secy::{Burst, FrameBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where a control core gets frames of a line to look at, as they came: one at a time, in memory of its own.
pub struct SamplePort {
    empty: Producer<Vec<u8>>,
    filled: Consumer<Vec<u8>>,
    wanted: Arc<AtomicBool>,
}

/// Where [`Verify`](crate::Verify) puts them.
pub struct SampleInlet {
    empty: Consumer<Vec<u8>>,
    filled: Producer<Vec<u8>>,
    wanted: Arc<AtomicBool>,
    /// The next is taken from this place of its burst, or one after it.
    place: usize,
}

/// The ends of a way for frames of up to so many octets.
pub fn sample_port(max_frame: usize) -> (SamplePort, SampleInlet) {
    let (mut empty, to_fill) = RingBuffer::new(1);
    let (inlet, filled) = RingBuffer::new(1);
    // There is room for one.
    let _ = empty.push(Vec::with_capacity(max_frame));
    let wanted = Arc::<AtomicBool>::default();
    let port = SamplePort { empty, filled, wanted: wanted.clone() };
    (port, SampleInlet { empty: to_fill, filled: inlet, wanted, place: 0 })
}

impl SamplePort {
    /// Whether a frame is wanted: one that comes, once and some time later, can then be [read](Self::read).
    pub fn want(&mut self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
        if !wanted {
            self.read(|_| ());
        }
    }

    /// Hands the frame that has come to `read`.
    pub fn read<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let octets = self.filled.pop().ok()?;
        let what = read(&octets);
        // It came from there.
        let _ = self.empty.push(octets);
        Some(what)
    }
}

impl SampleInlet {
    #[inline(always)]
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Copies one of the frames, if one will do.
    #[cold]
    pub(crate) fn put(&mut self, frames: &mut Burst<impl FrameBuf>) {
        let Ok(room) = self.empty.peek().map(Vec::capacity) else { return };
        // Frames of one station may always have the same place.
        let start = self.place.checked_rem(frames.len()).unwrap_or(0);
        let (before, after) = frames.split_at_mut(start);
        let frame = after.iter_mut().chain(before).find(|frame| frame.len() <= room);
        if let Some(frame) = frame
            && let Ok(mut octets) = self.empty.pop()
        {
            octets.clear();
            frame.segments_mut().for_each(|segment| octets.extend_from_slice(segment));
            self.place = self.place.wrapping_add(1);
            self.wanted.store(false, Ordering::Relaxed);
            // There is one, and so room for it.
            let _ = self.filled.push(octets);
        }
    }
}
