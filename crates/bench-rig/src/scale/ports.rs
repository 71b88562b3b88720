//! Where frames come from and where they go: between a source and a sink the same buffers go round.
//!
//! They do to a frame what a NIC's driver does on the owner's core, which is to write and read what is known of it beside its
//! octets. There each frame has a stamp, so that the sink knows the next one without a look at its octets: with crypto
//! workers these are in another core's cache, where a NIC would take them from. It does look at one frame of each burst.

use crate::gateway_bench::Buffer;
use datapath::{FrameRx, FrameTx, MemoryRx, MemoryTx, wire_of};
use secy::{Burst, FrameBuf, MAX_BURST};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use wire::EtherType;

/// Octets of the addresses, behind which is the ethertype, or the SecTAG.
const ADDRESSES: usize = 12;
/// Where the ethertype of a frame in the clear ends and its number begins.
pub(super) const PAYLOAD: usize = ADDRESSES + 2;
/// Octets of a SecTAG before its packet number: ethertype, TCI and AN, SL.
const BEFORE_PN: usize = 4;

/// A frame came out that is not the one whose turn it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Another one came.
    #[error("frame {due} was due and frame {came} came out: frames are lost or out of order")]
    Order { due: u64, came: u64 },
    /// It has another number in it than it should.
    #[error("frame {due} came out with number {came} in it")]
    Number { due: u64, came: u32 },
    /// What came has no number.
    #[error("frame {due} was due, and what came out is no such frame")]
    NotAFrame { due: u64 },
}

/// Where the number of a frame that comes out is, and which one it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// The packet number of the SecTAG, from 1 on.
    Packet,
    /// The first octets of the payload, from 0 on and at this number from 0 again.
    Payload(u32),
}

impl Numbers {
    /// That of the frame with this stamp.
    fn of(self, stamp: u64) -> u32 {
        match self {
            // Slices are few enough for 32 bits.
            Numbers::Packet => stamp as u32 + 1,
            Numbers::Payload(count) => (stamp % u64::from(count)) as u32,
        }
    }

    fn read(self, frame: &[u8]) -> Option<u32> {
        let at = match self {
            Numbers::Packet => {
                let ethertype = frame.get(ADDRESSES..PAYLOAD)?;
                if ethertype != EtherType::MACSEC.0.to_be_bytes() {
                    return None;
                }
                ADDRESSES + BEFORE_PN
            }
            Numbers::Payload(_) => PAYLOAD,
        };
        frame.get(at..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
    }
}

/// A count in cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count(AtomicU64);

/// What source and sink, which may be on two threads, tell whoever runs them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    given: Count,
    taken: Count,
    open: AtomicBool,
    written: AtomicU64,
    fault: OnceLock<Fault>,
}

impl Tally {
    /// Lets the source give frames, or no more.
    pub(super) fn open(&self, open: bool) {
        self.open.store(open, Relaxed);
    }

    /// Frames that the source had written when it was opened, where it gives no others; 0 where there is no end to them.
    #[inline(always)]
    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Frames that the source has given.
    pub(super) fn given(&self) -> u64 {
        self.given.0.load(Relaxed)
    }

    /// Frames that the sink has taken.
    #[inline(always)]
    pub(super) fn taken(&self) -> u64 {
        self.taken.0.load(Relaxed)
    }

    /// What was wrong first.
    #[inline(always)]
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get().copied()
    }
}

/// What the source does to a buffer that has come round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refill {
    /// Gives it the length of the frame whose turn it is. What octets it has is no matter.
    Length,
    /// Writes that frame, once the source is closed: when it is opened the next time, into all that are home. These are then
    /// where a NIC would leave them, in the last-level cache, or most of them where a CPU cannot be asked for that: not in
    /// the owner's own, where only it would have them at once. Beyond them the source gives nothing.
    Whole,
    /// Nothing: what comes out is what went in.
    Nothing,
}

/// What the source gives, over and over.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) refill: Refill,
}

/// A receive queue that is never empty while there are buffers, of those that it has written where it writes.
#[derive(Debug)]
pub(super) struct Source {
    home: MemoryRx<Buffer>,
    script: Script,
    next: usize,
    /// What was written, in turn.
    written: VecDeque<Buffer>,
    was_open: bool,
    tally: Arc<Tally>,
}

/// A transmit queue that looks whether each frame is the next one.
#[derive(Debug)]
pub(super) struct Sink {
    home: MemoryTx<Buffer>,
    numbers: Numbers,
    due: u64,
    tally: Arc<Tally>,
}

/// Both, with so many buffers of so many octets between them, which hold the frames of the script in turn. The source is
/// closed.
pub(super) fn ports(
    script: Script,
    numbers: Numbers,
    buffers: usize,
    octets: usize,
) -> (Source, Sink, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let (mut tx, rx) = wire_of(buffers);
    let mut burst = Burst::new();
    for frame in script.frames.iter().cycle().take(buffers) {
        let mut buffer = Buffer::new(octets);
        buffer.fill(frame);
        burst.push(buffer);
        tx.tx_burst(&mut burst);
    }
    let written = VecDeque::with_capacity(if script.refill == Refill::Whole { buffers } else { 0 });
    let source = Source { home: rx, script, next: 0, written, was_open: false, tally: tally.clone() };
    let sink = Sink { home: tx, numbers, due: 0, tally: tally.clone() };
    (source, sink, tally)
}

impl Source {
    /// Writes frames into all buffers that are home.
    #[cold]
    fn write(&mut self) {
        let mut burst = Burst::new();
        loop {
            self.home.rx_burst(&mut burst);
            if burst.is_empty() {
                break;
            }
            for mut buffer in burst.drain(..) {
                buffer.fill(&self.script.frames[self.next]);
                buffer.leave();
                self.turn();
                self.written.push_back(buffer);
            }
        }
        self.tally.written.store(self.written.len() as u64, Relaxed);
    }

    #[inline(always)]
    fn turn(&mut self) {
        self.next = if self.next + 1 == self.script.frames.len() { 0 } else { self.next + 1 };
    }
}

impl FrameRx for Source {
    type Frame = Buffer;

    #[inline]
    fn rx_burst(&mut self, frames: &mut Burst<Buffer>) {
        let is_open = self.tally.open.load(Relaxed);
        let was_open = std::mem::replace(&mut self.was_open, is_open);
        if !is_open {
            return;
        }
        let before = frames.len();
        if self.script.refill == Refill::Whole {
            if !was_open {
                self.write();
            }
            let count = self.written.len().min(frames.remaining_capacity());
            frames.extend(self.written.drain(..count));
        } else {
            self.home.rx_burst(frames);
        }
        let given = &mut frames[before..];
        for (buffer, stamp) in given.iter_mut().zip(self.tally.given()..) {
            buffer.set_stamp(stamp);
            if self.script.refill == Refill::Length {
                buffer.reset(self.script.frames[self.next].len());
                self.turn();
            }
        }
        self.tally.given.0.store(self.tally.given() + given.len() as u64, Relaxed);
        // Another core had them last. Until the next round there is time.
        match self.script.refill {
            Refill::Whole => self.written.iter().take(MAX_BURST).for_each(Buffer::take_over),
            Refill::Length | Refill::Nothing => self.home.look_ahead(MAX_BURST, Buffer::take_over),
        }
    }
}

impl FrameTx for Sink {
    type Frame = Buffer;

    #[inline]
    fn tx_burst(&mut self, frames: &mut Burst<Buffer>) {
        let Sink { home, numbers, due, tally } = self;
        if let Some(first) = frames.first() {
            match numbers.read(first.head()) {
                Some(number) if number == numbers.of(first.stamp()) => {}
                Some(came) => fail(tally, Fault::Number { due: *due, came }),
                None => fail(tally, Fault::NotAFrame { due: *due }),
            }
        }
        for frame in &*frames {
            let came = frame.stamp();
            if came != *due {
                fail(tally, Fault::Order { due: *due, came });
            }
            *due += 1;
        }
        tally.taken.0.store(tally.taken() + frames.len() as u64, Relaxed);
        home.tx_burst(frames);
    }

    fn make_frame(&mut self, _: &[u8]) -> Option<Buffer> {
        None
    }
}

/// Keeps the first fault: those after it follow from it.
#[cold]
fn fail(tally: &Tally, fault: Fault) {
    let _ = tally.fault.set(fault);
}
