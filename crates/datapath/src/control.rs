//! Frames between a link's line and its control core: key agreement, past the SecY and all data.
//!
//! Two small rings of their own, so that neither waits behind data nor can fill memory.

use rtrb::{Consumer, Producer, RingBuffer};
use secy::{Burst, FrameBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wire::MkpduWriter;

/// Octets of the longest frame that is handed over.
const MAX_LEN: usize = MkpduWriter::MAX_FRAME_LEN;
/// Frames that wait at most, each way: what a hundred stations say when a key changes.
const RING_LEN: usize = 256;
/// Where an EAPOL frame says what it carries, and what it says of an MKPDU (802.1X clause 11.3.2).
const PACKET_TYPE: (usize, u8) = (15, 5);

/// A copy of a frame, on its way.
struct ControlFrame {
    len: u16,
    octets: [u8; MAX_LEN],
}

impl ControlFrame {
    fn new(octets: &[u8]) -> Option<Self> {
        let mut frame = ControlFrame { len: octets.len() as u16, octets: [0; MAX_LEN] };
        frame.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        Some(frame)
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

/// The control core's end.
pub struct ControlPort {
    received: Consumer<ControlFrame>,
    to_send: Producer<ControlFrame>,
    make_way: Arc<AtomicBool>,
}

/// Where [`Verify`](crate::Verify) puts what was set aside.
pub struct ControlInlet {
    frames: Producer<ControlFrame>,
    make_way: Arc<AtomicBool>,
}

/// Where [`Protect`](crate::Protect) finds what is to be sent, before any data.
pub struct ControlOutlet(Consumer<ControlFrame>);

/// The ends of a link's control path.
pub fn control_port() -> (ControlPort, ControlInlet, ControlOutlet) {
    let (frames, received) = RingBuffer::new(RING_LEN);
    let (to_send, outlet) = RingBuffer::new(RING_LEN);
    let make_way = Arc::<AtomicBool>::default();
    let port = ControlPort { received, to_send, make_way: make_way.clone() };
    (port, ControlInlet { frames, make_way }, ControlOutlet(outlet))
}

impl ControlPort {
    /// Hands the next frame from the line to `read`, if there is one.
    pub fn receive<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.received.pop().ok().map(|frame| read(frame.octets()))
    }

    /// Frames that wait to be received.
    pub fn waiting(&self) -> usize {
        self.received.slots()
    }

    /// Whether data of the line make way for its EAPOL frames: where full bursts come one after the other, some are dropped
    /// unread, so that none of these are lost with them before the port's queue.
    pub fn make_way(&self, make_way: bool) {
        self.make_way.store(make_way, Ordering::Relaxed);
    }

    /// Sends a frame of up to 1514 octets to the line. Whether there was room for it.
    pub fn send(&mut self, octets: &[u8]) -> bool {
        ControlFrame::new(octets).is_some_and(|frame| self.to_send.push(frame).is_ok())
    }
}

impl ControlInlet {
    #[inline(always)]
    pub(crate) fn data_make_way(&self) -> bool {
        self.make_way.load(Ordering::Relaxed)
    }

    /// Whether the frame was taken.
    pub fn put(&mut self, frame: &impl FrameBuf) -> bool {
        let head = frame.head();
        // MKPDUs go to groups (802.1X clause 11.11.2). In pieces, or longer, a frame is none either. Others would only
        // take the place of those that are.
        let (at, mka) = PACKET_TYPE;
        let is_mkpdu = head.first().is_some_and(|octet| octet & 1 == 1) && head.get(at) == Some(&mka);
        if !is_mkpdu || self.frames.is_full() || !frame.is_contiguous() {
            return false;
        }
        ControlFrame::new(head).is_some_and(|frame| self.frames.push(frame).is_ok())
    }
}

impl ControlOutlet {
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Offers the frames one after the other until one is not taken, which stays. How many were.
    pub(crate) fn offer(&mut self, mut take: impl FnMut(&[u8]) -> bool) -> usize {
        let mut taken = 0;
        while self.0.peek().is_ok_and(|frame| take(frame.octets())) {
            // It was just looked at.
            let _ = self.0.pop();
            taken += 1;
        }
        taken
    }
}

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
