//! What is measured: frames, suite, path, and the direction that does it.

use super::ports::{Numbers, PAYLOAD, Refill, Script, Tally, ports};
use crate::ethernet::FCS_LEN;
use crate::gateway_bench::{Buffer, FrameSize, Keying};
use anyhow::Result;
use clap::ValueEnum;
use datapath::{Protect, Task, Verify, bursts_on_their_way, wire_of};
use secy::{Burst, Engine, FrameBuf, MAX_BURST};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use wire::CipherSuite;

/// Octets that protecting adds to a frame: SecTAG with SCI, and ICV.
const PROTECTION: usize = 32;
/// Bursts that are in ports, beside those on their way.
const IN_PORTS: usize = 2;
/// Frames at least, of usual ones and of long ones: more than a core's own caches hold, whoever does the crypto, so that
/// all take them from where a NIC leaves them.
const BUFFERS: [usize; 2] = [8192, 2048];
/// The part of frames written beforehand that does not count at least, as a divisor: a core that has written them is slower
/// at first. As many as can be on their way do not count in any case.
const UNCOUNTED: usize = 4;
/// Frames after which the source begins again: as many mixes as make whole bursts only after many bursts, so that one
/// burst in another's place has other numbers. Long frames are fewer, for the caches.
const SCRIPT: [usize; 2] = [12 * 13, 12 * 5];
/// Octets of a frame, on average, from which they are fewer.
const LONG: f64 = 2048.0;

/// What the gateway does with the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// Plain in, MACsec out
    Protect,
    /// MACsec in, plain out
    Verify,
    /// Both, one after the other, each with an owner and crypto workers of its own
    Both,
}

impl Way {
    pub(super) fn name(self) -> &'static str {
        match self {
            Way::Protect => "protect",
            Way::Verify => "verify",
            Way::Both => "both",
        }
    }

    /// Owners, each of which has as many crypto workers.
    pub(super) fn owners(self) -> usize {
        1 + usize::from(self == Way::Both)
    }

    /// The most crypto workers that each owner can have on so many cores; none where these are too few for the owners.
    pub(super) fn most_workers(self, cores: usize) -> Option<usize> {
        (cores / self.owners()).checked_sub(1)
    }
}

/// Frames of one size under one suite, one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) suite: CipherSuite,
    pub(super) way: Way,
    pub(super) size: FrameSize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.suite, self.way.name(), self.size)
    }
}

/// A direction with its ports, or two of them, and what others than the owner are to do.
pub(super) struct Direction {
    pub(super) owner: Box<dyn Task>,
    /// Of crypto workers. On path both the second owner comes first, and then one for each owner in turns.
    pub(super) lanes: Vec<Box<dyn Task>>,
    pub(super) tally: Arc<Tally>,
    /// Frames that come out before any counts, each time that the source begins with what it has written.
    pub(super) uncounted: u64,
}

impl Case {
    /// How many different frames there are.
    pub(super) fn script_len(&self) -> usize {
        SCRIPT[usize::from(self.size.mean() >= LONG)]
    }

    /// Frames as a plain port receives them. The payload begins with a frame's number.
    fn plain(&self) -> Vec<Vec<u8>> {
        let frame = |(number, octets): (usize, usize)| {
            let mut frame: Vec<u8> =
                (0..octets - FCS_LEN).map(|at| ((at * 167 + number * 31) >> 3) as u8).collect();
            frame[..PAYLOAD].copy_from_slice(b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x88\xb5");
            frame[PAYLOAD..PAYLOAD + 4].copy_from_slice(&(number as u32).to_be_bytes());
            frame
        };
        self.size.octets().take(self.script_len()).enumerate().map(frame).collect()
    }

    /// A direction with so many crypto workers, which is fresh: its packet numbers begin at 1. `most` others have at
    /// most.
    ///
    /// # Errors
    /// None that could happen.
    pub(super) fn direction(&self, workers: usize, most: usize) -> Result<Direction> {
        let keying = Keying::new(self.suite)?;
        let plain = self.plain();
        let longest = plain.iter().map(Vec::len).max().unwrap_or(0) + PROTECTION;
        let on_their_way = self.way.owners() * bursts_on_their_way(most);
        let least = BUFFERS[usize::from(self.size.mean() >= LONG)];
        // Path verify writes all again once they are used up. It counts neither the first ones nor those that are on their
        // way then.
        let times = if self.way == Way::Verify { 3 } else { 1 };
        let buffers = least.max(times * (on_their_way + IN_PORTS) * MAX_BURST);
        let uncounted = (buffers / UNCOUNTED).max(bursts_on_their_way(workers) * MAX_BURST) as u64;
        let payload = Numbers::Payload(plain.len() as u32);
        match self.way {
            Way::Protect => {
                let script = Script { frames: plain, refill: Refill::Length };
                let (source, sink, tally) = ports(script, Numbers::Packet, buffers, longest);
                let protect = Protect::new(source, keying.transmit_half(true)?, sink);
                let (protect, lanes) = protect.with_crypto_workers(workers);
                Ok(Direction { owner: Box::new(protect), lanes, tally, uncounted })
            }
            Way::Verify => {
                // All of a frame, beforehand: it is decrypted where it lies.
                let script = Script { frames: protected(&keying, &plain)?, refill: Refill::Whole };
                let (source, sink, tally) = ports(script, payload, buffers, longest);
                // The same packet numbers come again and again.
                let verify = Verify::new(source, keying.receive_half(true)?, sink, usize::MAX);
                let (verify, lanes) = verify.with_crypto_workers(workers);
                Ok(Direction { owner: Box::new(verify), lanes, tally, uncounted })
            }
            Way::Both => {
                // Whole rounds, so that frames stay in turn when their buffers have come round.
                let buffers = buffers.next_multiple_of(plain.len());
                let script = Script { frames: plain, refill: Refill::Nothing };
                let (source, sink, tally) = ports(script, payload, buffers, longest);
                let (line_tx, line_rx) = wire_of(buffers);
                let protect = Protect::new(source, keying.transmit_half(true)?, line_tx);
                let (protect, sealing) = protect.with_crypto_workers(workers);
                let verify = Verify::new(line_rx, keying.receive_half(false)?, sink, usize::MAX);
                let (verify, opening) = verify.with_crypto_workers(workers);
                let mut lanes: Vec<Box<dyn Task>> = vec![Box::new(verify)];
                lanes.extend(sealing.into_iter().zip(opening).flat_map(|(seal, open)| [seal, open]));
                Ok(Direction { owner: Box::new(protect), lanes, tally, uncounted })
            }
        }
    }
}

/// What a peer makes of frames.
fn protected(keying: &Keying, plain: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    let (mut half, mut engine) = (keying.transmit_half(true)?, Engine::new());
    let mut all = Vec::new();
    for plain in plain.chunks(MAX_BURST) {
        let mut burst: Burst<Buffer> = plain.iter().map(|frame| Buffer::from(&frame[..])).collect();
        half.protect(&mut engine, &mut burst);
        all.extend(burst.iter().map(|frame| frame.head().to_vec()));
    }
    Ok(all)
}
