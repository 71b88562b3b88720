//! Where frames come from and where they go: between a source and a sink the same buffers go round.
//!
//! Both belong to the owner of a direction and live on its thread. What they do to a frame, writing it anew and reading its
//! number, is what a NIC would do, and the owner pays for it, with and without crypto workers.

use crate::gateway_bench::Buffer;
use datapath::{FrameRx, FrameTx, MemoryRx, MemoryTx, wire_of};
use secy::{Burst, FrameBuf};
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
    Order { due: u32, came: u32 },
    /// What came has no number.
    #[error("frame {due} was due, and what came out is no such frame")]
    NotAFrame { due: u32 },
}

/// Where the number of a frame that comes out is, and how numbers go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// The packet number of the SecTAG, from 1 on.
    Packet,
    /// The first octets of the payload, from 0 on and at this number from 0 again.
    Payload(u32),
}

impl Numbers {
    fn first(self) -> u32 {
        u32::from(self == Numbers::Packet)
    }

    #[inline(always)]
    fn after(self, number: u32) -> u32 {
        match self {
            Numbers::Payload(count) if number + 1 == count => 0,
            _ => number + 1,
        }
    }

    #[inline(always)]
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

/// What source and sink tell whoever runs the direction. All of them are on one thread; only that is not known to the
/// compiler.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Tally {
    open: AtomicBool,
    given: AtomicU64,
    taken: AtomicU64,
    fault: OnceLock<Fault>,
}

impl Tally {
    /// Lets the source give frames, or no more.
    pub(super) fn open(&self, open: bool) {
        self.open.store(open, Relaxed);
    }

    /// Frames that the source has given.
    pub(super) fn given(&self) -> u64 {
        self.given.load(Relaxed)
    }

    /// Frames that the sink has taken.
    #[inline(always)]
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// What was wrong first.
    #[inline(always)]
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get().copied()
    }
}

/// What the source gives, over and over.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) frames: Vec<Vec<u8>>,
    /// Octets of a frame that are written; none for all.
    pub(super) written: Option<usize>,
}

/// A receive queue that is never empty while there are buffers.
#[derive(Debug)]
pub(super) struct Source {
    home: MemoryRx<Buffer>,
    script: Script,
    next: usize,
    tally: Arc<Tally>,
}

/// A transmit queue that looks at each frame's number.
#[derive(Debug)]
pub(super) struct Sink {
    home: MemoryTx<Buffer>,
    numbers: Numbers,
    due: u32,
    tally: Arc<Tally>,
}

/// Both, with so many buffers of so many octets between them. The source is closed.
pub(super) fn ports(
    script: Script,
    numbers: Numbers,
    buffers: usize,
    octets: usize,
) -> (Source, Sink, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let (mut tx, rx) = wire_of(buffers);
    let mut burst = Burst::new();
    for _ in 0..buffers {
        burst.push(Buffer::new(octets));
        tx.tx_burst(&mut burst);
    }
    let source = Source { home: rx, script, next: 0, tally: tally.clone() };
    let sink = Sink { home: tx, numbers, due: numbers.first(), tally: tally.clone() };
    (source, sink, tally)
}

impl FrameRx for Source {
    type Frame = Buffer;

    #[inline]
    fn rx_burst(&mut self, frames: &mut Burst<Buffer>) {
        let Source { home, script, next, tally } = self;
        if !tally.open.load(Relaxed) {
            return;
        }
        let before = frames.len();
        home.rx_burst(frames);
        let given = &mut frames[before..];
        for buffer in &mut *given {
            let frame = &script.frames[*next];
            match script.written {
                Some(octets) => buffer.begin(&frame[..octets], frame.len()),
                None => buffer.fill(frame),
            }
            *next = if *next + 1 == script.frames.len() { 0 } else { *next + 1 };
        }
        tally.given.store(tally.given() + given.len() as u64, Relaxed);
    }
}

impl FrameTx for Sink {
    type Frame = Buffer;

    #[inline]
    fn tx_burst(&mut self, frames: &mut Burst<Buffer>) {
        let Sink { home, numbers, due, tally } = self;
        for frame in &*frames {
            let came = numbers.read(frame.head());
            if came != Some(*due) {
                fail(tally, *due, came);
            }
            *due = numbers.after(*due);
        }
        tally.taken.store(tally.taken() + frames.len() as u64, Relaxed);
        home.tx_burst(frames);
    }

    fn make_frame(&mut self, _: &[u8]) -> Option<Buffer> {
        None
    }
}

/// Keeps the first fault: those after it follow from it.
#[cold]
fn fail(tally: &Tally, due: u32, came: Option<u32>) {
    let _ = tally.fault.set(match came {
        Some(came) => Fault::Order { due, came },
        None => Fault::NotAFrame { due },
    });
}
