//! What is run: the gateway's two directions over memory, and its engine alone.

use super::buffer::Buffer;
use super::case::{Case, Path};
use super::stations::Keying;
use crate::clock::Clock;
use crate::ethernet::FCS_LEN;
use anyhow::{Result, ensure};
use datapath::{FrameRx, FrameTx, MemoryRx, MemoryTx, Part, Protect, Task, Verify, wire_of as memory_wire};
use secy::{Burst, Engine, FrameBuf, MAX_BURST, Pass};

/// The most that the frames of a case touch, in octets, so that they stay in the second-level cache.
const MOST_OCTETS: usize = 384 * 1024;
/// Frames of a case at most and at least.
const FRAMES: std::ops::RangeInclusive<usize> = MAX_BURST..=1024;
/// Octets of the addresses.
const ADDRESSES: usize = 12;
/// Octets of addresses and SecTAG.
pub(crate) const AAD_LEN: usize = ADDRESSES + 16;

/// Ticks of the clock that each part of a round took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Split {
    pub(crate) receive: u64,
    pub(crate) first: u64,
    pub(crate) crypto: u64,
    pub(crate) third: u64,
    pub(crate) transmit: u64,
}

impl Split {
    /// Receive, first pass, crypto, third pass, transmit.
    pub(crate) fn parts(self) -> [u64; 5] {
        let Split { receive, first, crypto, third, transmit } = self;
        [receive, first, crypto, third, transmit]
    }

    pub(crate) fn part(&mut self, part: Part) -> &mut u64 {
        match part {
            Part::Receive => &mut self.receive,
            Part::Pass(Pass::First) => &mut self.first,
            Part::Pass(Pass::Crypto) => &mut self.crypto,
            Part::Pass(Pass::Third) => &mut self.third,
            Part::Transmit => &mut self.transmit,
        }
    }
}

/// Something that all frames of a case go through once, again and again.
pub(crate) trait Runner {
    /// Puts the frames back, lets them pass, and says how many ticks of the clock they took.
    ///
    /// # Errors
    /// Not all came out as they should.
    fn pass(&mut self, clock: &Clock) -> Result<u64>;
}

/// Octets of a case's frames as they come to a plain port.
pub(crate) fn plain_frames(case: &Case) -> Vec<Vec<u8>> {
    let buffer = |octets: usize| (octets + 2 * AAD_LEN).next_multiple_of(64) + 64;
    let period = case.size.period();
    let touched: usize = case.size.octets().take(period).map(buffer).sum();
    let count = (MOST_OCTETS * period / touched).clamp(*FRAMES.start(), *FRAMES.end());
    // Whole bursts, and for a mix about as many of each kind as it should have.
    let count = count / MAX_BURST * MAX_BURST;
    let frame = |(i, octets): (usize, usize)| {
        let mut frame: Vec<u8> = (0..octets - FCS_LEN).map(|at| ((at * 167 + i * 31) >> 3) as u8).collect();
        frame[..14].copy_from_slice(b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x88\xb5");
        frame
    };
    case.size.octets().take(count).enumerate().map(frame).collect()
}

/// What a peer makes of frames.
pub(crate) fn protected(keying: &Keying, plain: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    let (mut half, mut engine) = (keying.transmit_half(true)?, Engine::new());
    let mut all = Vec::new();
    for plain in plain.chunks(MAX_BURST) {
        let mut burst: Burst<Buffer> = plain.iter().map(|f| Buffer::from(&f[..])).collect();
        half.protect(&mut engine, &mut burst);
        all.extend(burst.iter().map(|f| f.head().to_vec()));
    }
    Ok(all)
}

/// The gateway on one path.
pub(crate) struct Lab {
    path: Path,
    engine: Engine,
    protect: Option<Protect<MemoryRx<Buffer>, MemoryTx<Buffer>>>,
    verify: Option<Verify<MemoryRx<Buffer>, MemoryTx<Buffer>>>,
    source: MemoryTx<Buffer>,
    sink: MemoryRx<Buffer>,
    /// Frames that are not on their way, in order.
    parked: Vec<Buffer>,
    /// What they hold at the beginning.
    frames: Vec<Vec<u8>>,
}

impl Lab {
    /// A gateway that does its work on frames like these.
    ///
    /// # Errors
    /// What it does is wrong.
    pub(crate) fn new(keying: &Keying, path: Path, plain: &[Vec<u8>]) -> Result<Self> {
        let frames = match path {
            Path::Verify => protected(keying, plain)?,
            _ => plain.to_vec(),
        };
        let (source, first) = memory_wire(frames.len());
        let (last, sink) = memory_wire(frames.len());
        let (mut protect, mut verify) = (None, None);
        let transmit_half = keying.transmit_half(path != Path::Clear)?;
        // On path verify the same packet numbers come again and again.
        let receive_half = keying.receive_half(path != Path::Both)?;
        match path {
            Path::Clear | Path::Protect => protect = Some(Protect::new(first, transmit_half, last)),
            Path::Verify => verify = Some(Verify::new(first, receive_half, last, usize::MAX)),
            Path::Both => {
                let (line_tx, line_rx) = memory_wire(frames.len());
                protect = Some(Protect::new(first, transmit_half, line_tx));
                verify = Some(Verify::new(line_rx, receive_half, last, usize::MAX));
            }
        }
        let engine = Engine::new();
        let parked = frames.iter().map(|f| Buffer::from(&f[..])).collect();
        let mut lab = Lab { path, engine, protect, verify, source, sink, parked, frames };
        lab.check(keying, plain)?;
        Ok(lab)
    }

    /// What becomes of the frames.
    fn outcome(&mut self) -> Result<Vec<Vec<u8>>> {
        self.refill();
        while self.round() > 0 {}
        self.collect()?;
        Ok(self.parked.iter().map(|f| f.head().to_vec()).collect())
    }

    /// Whether it does its work, and not another.
    fn check(&mut self, keying: &Keying, plain: &[Vec<u8>]) -> Result<()> {
        let outcome = self.outcome()?;
        let path = self.path.name();
        if self.path != Path::Protect {
            ensure!(outcome == plain, "path {path}: frames are not what they should be");
            return Ok(());
        }
        ensure!(outcome.iter().zip(plain).all(|(o, p)| o.len() == p.len() + 32), "path {path}: lengths");
        let mut half = keying.receive_half(false)?;
        let mut engine = Engine::new();
        for (sealed, plain) in outcome.chunks(MAX_BURST).zip(plain.chunks(MAX_BURST)) {
            let mut burst: Burst<Buffer> = sealed.iter().map(|f| Buffer::from(&f[..])).collect();
            half.verify(&mut engine, &mut burst, &mut Burst::new());
            let verified = burst.iter().map(|f| f.head().to_vec());
            ensure!(verified.eq(plain.iter().cloned()), "path {path}: a peer does not get what was sent");
        }
        Ok(())
    }

    /// Puts all frames back where they come from.
    fn refill(&mut self) {
        let mut burst = Burst::new();
        for (mut buffer, frame) in self.parked.drain(..).zip(&self.frames) {
            match self.path {
                Path::Verify => buffer.fill(frame),
                _ => buffer.begin(&frame[..AAD_LEN], frame.len()),
            }
            burst.push(buffer);
            if burst.is_full() {
                self.source.tx_burst(&mut burst);
            }
        }
        self.source.tx_burst(&mut burst);
    }

    #[inline(always)]
    fn round(&mut self) -> usize {
        let Lab { engine, protect, verify, .. } = self;
        let mut frames = 0;
        if let Some(protect) = protect {
            frames += protect.poll(engine);
        }
        if let Some(verify) = verify {
            frames += verify.poll(engine);
        }
        frames
    }

    /// Takes what came out.
    fn collect(&mut self) -> Result<()> {
        let mut burst = Burst::new();
        loop {
            self.sink.rx_burst(&mut burst);
            if burst.is_empty() {
                break;
            }
            self.parked.extend(burst.drain(..));
        }
        let (out, all) = (self.parked.len(), self.frames.len());
        ensure!(out == all, "path {}: only {out} of {all} frames came out", self.path.name());
        Ok(())
    }

    /// Lets the frames pass once more and adds what each part takes.
    ///
    /// # Errors
    /// Not all came out.
    pub(crate) fn split(&mut self, clock: &Clock, split: &mut Split) -> Result<()> {
        self.refill();
        let Lab { engine, protect, verify, .. } = self;
        loop {
            let mut last = clock.now();
            let mut over = |part| {
                let now = clock.now();
                *split.part(part) += now - last;
                last = now;
            };
            let mut frames = 0;
            if let Some(protect) = protect {
                frames += protect.poll_marked(engine, &mut over);
            }
            if let Some(verify) = verify {
                frames += verify.poll_marked(engine, &mut over);
            }
            if frames == 0 {
                break;
            }
        }
        self.collect()
    }
}

impl Runner for Lab {
    fn pass(&mut self, clock: &Clock) -> Result<u64> {
        self.refill();
        let start = clock.now();
        while self.round() > 0 {}
        let ticks = clock.now() - start;
        self.collect()?;
        Ok(ticks)
    }
}

/// The engine alone, on frames as the gateway hands them to it.
pub(crate) struct EngineAlone {
    engine: Engine,
    key: gcm::Key,
    open: bool,
    /// The next nonce to seal with.
    next: u64,
    buffers: Vec<Buffer>,
    /// As they are sealed, under nonces from 1 on.
    sealed: Vec<Vec<u8>>,
}

fn nonce(pn: u64) -> [u8; gcm::NONCE_LEN] {
    let mut nonce = [0; gcm::NONCE_LEN];
    nonce[4..].copy_from_slice(&pn.to_be_bytes());
    nonce
}

impl EngineAlone {
    /// An engine that opens, or seals, frames of the lengths that these have when they are protected.
    ///
    /// # Errors
    /// It gets its own work wrong.
    pub(crate) fn new(keying: &Keying, open: bool, plain: &[Vec<u8>]) -> Result<Self> {
        let frames = plain.iter().map(|frame| {
            let mut sealed = vec![0; frame.len() + AAD_LEN - ADDRESSES + gcm::TAG_LEN];
            sealed[AAD_LEN..][..frame.len() - ADDRESSES].copy_from_slice(&frame[ADDRESSES..]);
            Buffer::from(&sealed[..])
        });
        let mut alone = EngineAlone {
            engine: Engine::new(),
            key: gcm::Key::new(keying.sak.octets())?,
            open: false,
            next: 1,
            buffers: frames.collect(),
            sealed: Vec::new(),
        };
        alone.run();
        alone.sealed = alone.buffers.iter().map(|b| b.head().to_vec()).collect();
        alone.open = open;
        Ok(alone)
    }

    /// Says how many frames were authentic.
    fn run(&mut self) -> u32 {
        let EngineAlone { engine, key, open, next, buffers, .. } = self;
        let mut authentic = 0;
        let mut pn = if *open { 1 } else { *next };
        for buffers in buffers.chunks_mut(MAX_BURST) {
            let mut burst = gcm::Burst::new();
            let count = buffers.len();
            for buffer in buffers {
                let (aad, body) = buffer.head_mut().split_at_mut(AAD_LEN);
                let Some((payload, tag)) = body.split_last_chunk_mut() else { continue };
                // There is room for as many as a burst has.
                let _ = burst.push(key, nonce(pn), aad, payload, tag);
                pn += 1;
            }
            if *open {
                let verdicts = engine.open(&mut burst);
                authentic += (0..count).map(|i| u32::from(verdicts.is_authentic(i))).sum::<u32>();
            } else {
                engine.seal(&mut burst);
            }
        }
        if !*open {
            *next = pn;
        }
        authentic
    }
}

impl Runner for EngineAlone {
    fn pass(&mut self, clock: &Clock) -> Result<u64> {
        if self.open {
            for (buffer, sealed) in self.buffers.iter_mut().zip(&self.sealed) {
                buffer.fill(sealed);
            }
        }
        let start = clock.now();
        let authentic = self.run();
        let ticks = clock.now() - start;
        let all = self.buffers.len();
        ensure!(
            !self.open || authentic as usize == all,
            "engine: {authentic} of {all} frames were authentic"
        );
        Ok(ticks)
    }
}
