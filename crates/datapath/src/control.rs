//! Frames between a link's line and its control core: key agreement, past the SecY and all data.
//!
//! Two small rings of their own, so that neither waits behind data nor can fill memory.

use rtrb::{Consumer, Producer, RingBuffer};
use secy::FrameBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wire::MkpduWriter;

/// Octets of the longest frame that is handed over.
const MAX_LEN: usize = MkpduWriter::MAX_FRAME_LEN;
/// Frames from the line that wait at most: what a hundred stations say when a key changes.
const RING_LEN: usize = 256;
/// Frames to the line that wait at most. One station says something every two seconds: that a line takes nothing shows after
/// some, and not many old ones come out when it works again.
const TO_SEND_LEN: usize = 4;
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
    let (to_send, outlet) = RingBuffer::new(TO_SEND_LEN);
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

    /// Whether data of the line make way for its EAPOL frames: where more come than are verified, some are dropped unread, so
    /// that none of these are lost with them before the port's queue.
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
