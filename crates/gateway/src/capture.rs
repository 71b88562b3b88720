//! `macsec-gw pcap protect|verify`: the same SecY over capture files.

use crate::link::xpn;
use crate::output::{Output, REMEDY};
use crate::verify::Verifier;
use crate::{BadUsage, KeyUse, Row};
use anyhow::{Context, Result, anyhow, bail};
use config::{KeysFile, StaticSa, StaticSas};
use datapath::pcap::{CaptureReader, CaptureWriter};
use secy::{Burst, Command, Engine, MemFrame, SaParams, SciMode, TxConfig, TxSa, TxSecY};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use wire::{Ethernet, MacAddr, Sci};

/// Octets of the longest frame that is made: a jumbo frame with tags, and what protection adds.
const MAX_FRAME: usize = 9600 + 22 + secy::MAX_OVERHEAD;

/// What to do with each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Protect plain frames.
    Protect,
    /// Verify protected frames.
    Verify,
}

/// Frames came and none of them verified.
#[derive(Debug, thiserror::Error)]
#[error("none of {frames} frames verified: the counters say why; are these the right keys?")]
pub struct NoneVerified {
    /// How many came.
    frames: u64,
}

/// Reads `input`, writes what comes out to `output`, and says what was counted. Where nothing verified of what came, a
/// file at `output` is as it was.
///
/// # Errors
/// [`BadUsage`] for bad KEYS; anything else for files. `output` is then as it was.
pub fn convert(
    direction: Direction,
    keys: &Path,
    input: &Path,
    output: &Path,
) -> Result<(Vec<Row>, Result<(), NoneVerified>)> {
    let keys_file = load_keys(keys)?;
    if let (Direction::Protect, KeysFile::Mka(_)) = (direction, &keys_file) {
        let file = keys.display();
        let text = format!(
            "{file}: cak: frames are protected with a SAK, which each key server makes anew; write cipher_suite and [[sa]]"
        );
        return Err(BadUsage(text).into());
    }
    let mut reader = CaptureReader::open(input)?;
    let replaced = fs::metadata(output).ok();
    let source = fs::metadata(input).with_context(|| input.display().to_string())?;
    if replaced.as_ref().is_some_and(|o| (o.dev(), o.ino()) == (source.dev(), source.ino())) {
        return Err(BadUsage(format!("{}: input and output are the same file", output.display())).into());
    }
    let failed = |reason: io::Error| anyhow!("{}: cannot be written: {reason}; {REMEDY}", output.display());
    let unfinished = Output::open(output, mode_of_new()).map_err(failed)?;
    unfinished.remove_when_interrupted().map_err(failed)?;
    let file = unfinished.file().try_clone().map_err(failed)?;
    let mut writer = CaptureWriter::new(file, output, reader.header())?;
    let (rows, outcome) = pump(direction, &keys_file, input, &mut reader, &mut writer)?;
    writer.finish()?;
    if outcome.is_ok() {
        unfinished.finish().map_err(failed)?;
    }
    Ok((rows, outcome))
}

/// The mode of a file that is not there yet.
fn mode_of_new() -> u32 {
    use rustix::fs::Mode;
    // The system tells it only by setting it.
    let umask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    rustix::process::umask(umask);
    0o666 & !umask.as_raw_mode()
}

/// Reads KEYS, and warns of what deserves it.
///
/// # Errors
/// [`BadUsage`].
pub(crate) fn load_keys(path: &Path) -> Result<KeysFile, BadUsage> {
    let keys = KeysFile::load(path).map_err(|e| BadUsage(e.to_string()))?;
    if keys.exposed() {
        tracing::warn!("{0}: others than its owner can read these keys; run: chmod 600 {0}", path.display());
    }
    Ok(keys)
}

fn pump(
    direction: Direction,
    keys: &KeysFile,
    input: &Path,
    reader: &mut CaptureReader,
    writer: &mut CaptureWriter,
) -> Result<(Vec<Row>, Result<(), NoneVerified>)> {
    match (direction, keys) {
        (Direction::Verify, keys) => verify(keys, input, reader, writer),
        (Direction::Protect, KeysFile::Static(keys)) => Ok((protect(keys, reader, writer)?, Ok(()))),
        (Direction::Protect, KeysFile::Mka(_)) => bail!("a CAK protects no frames"),
    }
}

/// What makes an SA of a KEYS file.
pub(crate) fn params<'a>(keys: &StaticSas, sa: &'a StaticSa) -> SaParams<'a> {
    SaParams {
        suite: keys.cipher_suite,
        sak: &sa.sak,
        sci: sa.sci,
        xpn: xpn(sa.xpn),
        offset: keys.confidentiality_offset,
        first_pn: sa.next_pn,
    }
}

fn protect(keys: &StaticSas, reader: &mut CaptureReader, writer: &mut CaptureWriter) -> Result<Vec<Row>> {
    let sci_mode = match keys {
        k if k.send_sci => SciMode::Explicit,
        k if k.end_station => SciMode::EndStation,
        k if k.single_copy_broadcast => SciMode::SingleCopyBroadcast,
        _ => SciMode::Implicit,
    };
    let mut channels: Vec<(Sci, TxSecY, Arc<secy::TxSaCounters>)> = Vec::new();
    let mut used = BTreeSet::new();
    // Of a channel with several SAs the first transmits.
    for sa in &keys.sas {
        if channels.iter().any(|(sci, ..)| *sci == sa.sci) {
            continue;
        }
        let id = KeyUse { link: "capture", sak: &sa.sak, sci: sa.sci, xpn: xpn(sa.xpn) }.id();
        if !used.insert(id) {
            let text = format!(
                "sci {}: another [[sa]] has the same sak, salt and ssci, so nonces would repeat",
                sa.sci
            );
            return Err(BadUsage(text).into());
        }
        let tx_sa = TxSa::new(&params(keys, sa), u64::MAX).map_err(|e| BadUsage(e.to_string()))?;
        let counters = tx_sa.counters();
        let mut tx = TxSecY::new(TxConfig {
            sci: sa.sci,
            protect_frames: true,
            encrypt: keys.encrypt,
            sci_mode,
            clear_vlan_tags: keys.clear_vlan_tags,
            max_frame: MAX_FRAME,
        });
        tx.apply(Command::InstallTxSa { an: sa.an, sa: Box::new(tx_sa) });
        tx.apply(Command::EncodeWith(Some(sa.an)));
        channels.push((sa.sci, tx, counters));
    }
    let mut engine = Engine::new();
    let mut strangers = 0u64;
    let mut number = 0u64;
    while let Some(frame) = reader.next_frame()? {
        number += 1;
        let source = Ethernet::new_checked(&frame.octets).map(|e| e.src());
        let Some(tx) = channel_of(&mut channels, source) else {
            strangers += 1;
            continue;
        };
        let mut burst: Burst<MemFrame> = Burst::new();
        burst.push(MemFrame::new(&frame.octets));
        tx.protect(&mut engine, &mut burst);
        match burst.first() {
            Some(out) => writer.write(frame.time, &out.to_vec())?,
            None if tx.counters().out_pkts_no_pn.get() > 0 => {
                bail!("frame {number}: the packet numbers of channel {} are used up", tx.config().sci)
            }
            None => {}
        }
    }
    if strangers > 0 {
        tracing::warn!("{strangers} frames left out: no [[sa]] has an SCI with their source address");
    }
    let mut rows = Vec::new();
    for (sci, tx, sa) in &channels {
        rows.push(
            Row::new("capture", "tx_sc").text("sci", sci).counts(sa.values()).counts(tx.counters().values()),
        );
    }
    rows.push(Row::new("capture", "secy").counts([("OutPktsNoSA", strangers)]));
    Ok(rows)
}

/// The channel of a frame: the only one there is, or the one with its source address.
fn channel_of<C>(channels: &mut [(Sci, TxSecY, C)], source: Option<MacAddr>) -> Option<&mut TxSecY> {
    match channels {
        [(_, tx, _)] => Some(tx),
        _ => channels.iter_mut().find(|(sci, ..)| Some(sci.mac()) == source).map(|(_, tx, _)| tx),
    }
}

fn verify(
    keys: &KeysFile,
    input: &Path,
    reader: &mut CaptureReader,
    writer: &mut CaptureWriter,
) -> Result<(Vec<Row>, Result<(), NoneVerified>)> {
    let mut verifier = Verifier::new(keys, input)?;
    let (mut frames, mut verified) = (0u64, 0u64);
    while let Some(frame) = reader.next_frame()? {
        frames += 1;
        if let Some(octets) = verifier.verify(frames, &frame.octets) {
            verified += 1;
            writer.write(frame.time, &octets)?;
        }
    }
    let outcome = if frames > 0 && verified == 0 { Err(NoneVerified { frames }) } else { Ok(()) };
    Ok((verifier.rows(), outcome))
}
