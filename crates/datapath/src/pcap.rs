//! Capture files, and ports made of them.

mod pcapng;

use crate::{FrameRx, FrameTx};
use pcap_file::pcap::{PcapHeader, PcapReader, PcapWriter, RawPcapPacket};
use pcap_file::pcapng::PcapNgReader;
use pcap_file::{DataLink, PcapError, TsResolution};
use secy::{Burst, MemFrame};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Chain, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What goes wrong with a capture file.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Opening, reading or writing failed.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// Not a capture, or a damaged one.
    #[error("{}: {what}; a pcap or pcapng capture is needed", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Not Ethernet.
    #[error("{}: link type {link_type:?}, where Ethernet is needed", path.display())]
    LinkType {
        /// The file.
        path: PathBuf,
        /// Found.
        link_type: DataLink,
    },
    /// An FCS that Ethernet has not.
    #[error("{}: frames that end with an FCS of {octets} octets, where 4 are Ethernet's; capture without FCS", path.display())]
    Fcs {
        /// The file.
        path: PathBuf,
        /// As the file says.
        octets: u32,
    },
    /// A frame of which only a part was captured.
    #[error("{}: frame {number} was cut to {captured} of {original} octets when it was captured; capture whole frames (tcpdump -s 0)", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        number: u64,
        /// Octets in the file.
        captured: usize,
        /// Octets on the wire.
        original: usize,
    },
}

/// A frame of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Since the epoch.
    pub time: Duration,
    /// Octets without FCS.
    pub octets: Vec<u8>,
}

/// Reads a pcap or pcapng file, frame by frame.
pub struct CaptureReader {
    path: PathBuf,
    number: u64,
    format: Format,
}

/// The file, its first octets already read.
type Source = BufReader<Chain<Cursor<Vec<u8>>, File>>;

enum Format {
    Pcap(PcapReader<Source>),
    PcapNg(Box<PcapNgReader<Source>>),
}

/// What pcapng files begin with, in either byte order.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

fn format_error(path: &Path, error: PcapError) -> CaptureError {
    match error {
        PcapError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            format_error(path, PcapError::IncompleteBuffer)
        }
        PcapError::IoError(reason) => CaptureError::Io { path: path.into(), reason },
        PcapError::IncompleteBuffer => {
            CaptureError::Format { path: path.into(), what: "the file ends in the middle".into() }
        }
        other => CaptureError::Format { path: path.into(), what: other.to_string() },
    }
}

impl CaptureReader {
    /// Opens a capture of Ethernet frames.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let io = |reason| CaptureError::Io { path: path.into(), reason };
        let file = File::open(path).map_err(io)?;
        let mut magic = Vec::new();
        (&file).take(PCAPNG_MAGIC.len() as u64).read_to_end(&mut magic).map_err(io)?;
        let is_pcapng = magic == PCAPNG_MAGIC;
        // A pipe has no way back.
        let file = BufReader::new(Cursor::new(magic).chain(file));
        let format = if is_pcapng {
            Format::PcapNg(Box::new(PcapNgReader::new(file).map_err(|e| format_error(path, e))?))
        } else {
            let reader = PcapReader::new(file).map_err(|e| format_error(path, e))?;
            check_link_type(path, link_type(&reader.header()).0)?;
            Format::Pcap(reader)
        };
        Ok(CaptureReader { path: path.into(), number: 0, format })
    }

    /// The header of a file that a [`CaptureWriter`] makes from this one: the same resolution of time.
    pub fn header(&self) -> PcapHeader {
        match &self.format {
            Format::Pcap(reader) => PcapHeader { datalink: DataLink::ETHERNET, ..reader.header() },
            Format::PcapNg(_) => {
                PcapHeader { ts_resolution: TsResolution::NanoSecond, ..PcapHeader::default() }
            }
        }
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// [`CaptureError`]; also for a frame that was not captured whole.
    pub fn next_frame(&mut self) -> Result<Option<Captured>, CaptureError> {
        let path = &self.path;
        let found = match &mut self.format {
            Format::Pcap(reader) => next_pcap(path, reader)?,
            Format::PcapNg(reader) => pcapng::next(path, reader)?,
        };
        let Some(found) = found else { return Ok(None) };
        let (frame, original) = found.map_err(|e| format_error(path, e))?;
        self.number += 1;
        let captured = frame.octets.len();
        if captured < original {
            return Err(CaptureError::Truncated {
                path: path.clone(),
                number: self.number,
                captured,
                original,
            });
        }
        Ok(Some(frame))
    }
}

fn check_link_type(path: &Path, link_type: DataLink) -> Result<(), CaptureError> {
    match link_type {
        DataLink::ETHERNET => Ok(()),
        link_type => Err(CaptureError::LinkType { path: path.into(), link_type }),
    }
}

/// A frame and its length on the wire.
type Found = Result<(Captured, usize), PcapError>;

/// The frame without the FCS that it ends with, of so many octets. One that was cut stays so.
fn without_fcs(
    path: &Path,
    (mut frame, original): (Captured, usize),
    fcs: u32,
) -> Result<(Captured, usize), CaptureError> {
    match fcs {
        0 => return Ok((frame, original)),
        4 => {}
        octets => return Err(CaptureError::Fcs { path: path.into(), octets }),
    }
    if frame.octets.len() < original {
        return Ok((frame, original));
    }
    let Some(len) = frame.octets.len().checked_sub(4) else {
        let what = format!("a frame of {} octets, shorter than its FCS", frame.octets.len());
        return Err(CaptureError::Format { path: path.into(), what });
    };
    frame.octets.truncate(len);
    Ok((frame, len))
}

/// What the link type in the header of a pcap file says besides: with this bit, the number of octets of FCS that frames
/// end with, halved, in the uppermost four.
const FCS_LEN_PRESENT: u32 = 1 << 26;

/// The link type by itself, and the octets of FCS.
fn link_type(header: &PcapHeader) -> (DataLink, u32) {
    let word = u32::from(header.datalink);
    let fcs = if word & FCS_LEN_PRESENT == 0 { 0 } else { (word >> 28) * 2 };
    (DataLink::from(word & 0xffff), fcs)
}

/// Raw packets: the checked ones refuse captures with a snap length of 0 or below a frame's length, which exist.
fn next_pcap(path: &Path, reader: &mut PcapReader<Source>) -> Result<Option<Found>, CaptureError> {
    let header = reader.header();
    let unit = match header.ts_resolution {
        TsResolution::MicroSecond => 1000,
        TsResolution::NanoSecond => 1,
    };
    let packet = match reader.next_raw_packet() {
        None => return Ok(None),
        Some(Ok(packet)) => packet,
        Some(Err(e)) => return Ok(Some(Err(e))),
    };
    let time =
        Duration::from_secs(packet.ts_sec.into()) + Duration::from_nanos(u64::from(packet.ts_frac) * unit);
    let frame = (Captured { time, octets: packet.data.into_owned() }, packet.orig_len as usize);
    let (_, fcs) = link_type(&header);
    Ok(Some(Ok(without_fcs(path, frame, fcs)?)))
}

/// The least snap length of a file that is written: what libpcap takes for no limit. Protected frames may be longer than
/// those of the capture they were made of, and readers cut frames to the snap length.
const SNAPLEN: u32 = 262_144;

/// Writes a pcap file.
pub struct CaptureWriter {
    path: PathBuf,
    unit: u32,
    writer: PcapWriter<BufWriter<File>>,
}

impl CaptureWriter {
    /// Creates `path`, with the byte order and resolution of `header`, for frames of any length.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn create(path: &Path, header: PcapHeader) -> Result<Self, CaptureError> {
        let file = File::create(path).map_err(|reason| CaptureError::Io { path: path.into(), reason })?;
        Self::new(file, path, header)
    }

    /// The same for an empty file that is open already; messages call it `path`.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn new(file: File, path: &Path, header: PcapHeader) -> Result<Self, CaptureError> {
        let unit = match header.ts_resolution {
            TsResolution::MicroSecond => 1000,
            TsResolution::NanoSecond => 1,
        };
        let header = PcapHeader { snaplen: header.snaplen.max(SNAPLEN), ..header };
        let writer = PcapWriter::with_header(BufWriter::new(file), header);
        Ok(CaptureWriter { path: path.into(), unit, writer: writer.map_err(|e| format_error(path, e))? })
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn write(&mut self, time: Duration, octets: &[u8]) -> Result<(), CaptureError> {
        let packet = RawPcapPacket {
            ts_sec: time.as_secs() as u32,
            ts_frac: time.subsec_nanos() / self.unit,
            incl_len: octets.len() as u32,
            orig_len: octets.len() as u32,
            data: octets.into(),
        };
        self.writer.write_raw_packet(&packet).map(drop).map_err(|e| format_error(&self.path, e))
    }

    /// Brings everything to the file.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn finish(self) -> Result<(), CaptureError> {
        let path = self.path;
        self.writer.into_writer().flush().map_err(|reason| CaptureError::Io { path, reason })
    }
}

/// A receive queue that a capture file fills, once. A file that turns out damaged ends there.
pub struct CaptureRx {
    reader: CaptureReader,
    ended: Option<Result<(), CaptureError>>,
}

impl CaptureRx {
    /// Receives the frames of a capture.
    pub fn new(reader: CaptureReader) -> Self {
        CaptureRx { reader, ended: None }
    }

    /// How the file ended, once it has.
    pub fn ended(&self) -> Option<&Result<(), CaptureError>> {
        self.ended.as_ref()
    }
}

impl FrameRx for CaptureRx {
    type Frame = MemFrame;

    fn rx_burst(&mut self, frames: &mut Burst<MemFrame>) {
        while self.ended.is_none() && !frames.is_full() {
            match self.reader.next_frame() {
                Ok(Some(frame)) => frames.push(MemFrame::new(&frame.octets)),
                Ok(None) => self.ended = Some(Ok(())),
                Err(e) => self.ended = Some(Err(e)),
            }
        }
    }
}

/// A transmit queue that ends in a capture file. A file that cannot be written is a queue that stays full.
pub struct CaptureTx {
    writer: Option<CaptureWriter>,
    started: Instant,
}

impl CaptureTx {
    /// Transmits into a capture, which is complete when this is dropped.
    pub fn new(writer: CaptureWriter) -> Self {
        CaptureTx { writer: Some(writer), started: Instant::now() }
    }
}

impl FrameTx for CaptureTx {
    type Frame = MemFrame;

    fn tx_burst(&mut self, frames: &mut Burst<MemFrame>) {
        let Some(writer) = &mut self.writer else { return };
        let time = self.started.elapsed();
        let written = frames.iter().take_while(|f| writer.write(time, &f.to_vec()).is_ok()).count();
        frames.drain(..written);
        if !frames.is_empty() {
            self.writer = None;
        }
    }

    fn make_frame(&mut self, octets: &[u8]) -> Option<MemFrame> {
        Some(MemFrame::new(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::Endianness;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pcap");
        let frames: Vec<_> = (0..3u8)
            .map(|i| Captured {
                time: Duration::new(1_700_000_000, 1000 * u32::from(i)),
                octets: vec![i; 60],
            })
            .collect();
        let mut writer = CaptureWriter::create(&path, PcapHeader::default()).unwrap();
        frames.iter().for_each(|f| writer.write(f.time, &f.octets).unwrap());
        writer.finish().unwrap();
        let mut reader = CaptureReader::open(&path).unwrap();
        let read: Vec<_> = std::iter::from_fn(|| reader.next_frame().unwrap()).collect();
        assert_eq!(read, frames);
    }

    #[test]
    fn no_frame_exceeds_the_snap_length_that_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pcap");
        for (snaplen, written) in
            [(0, 262_144), (1514, 262_144), (65_535, 262_144), (262_144, 262_144), (1 << 20, 1 << 20)]
        {
            for endianness in [Endianness::Big, Endianness::Little] {
                let header = PcapHeader { snaplen, endianness, ..PcapHeader::default() };
                CaptureWriter::create(&path, header).unwrap().finish().unwrap();
                let (_, found) = PcapHeader::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                assert_eq!(found, PcapHeader { snaplen: written, ..header });
            }
        }
    }

    #[test]
    fn the_fcs_that_a_header_tells_of_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pcap");
        let write = |link_type: u32| {
            let header = PcapHeader { datalink: link_type.into(), ..PcapHeader::default() };
            let mut writer = CaptureWriter::create(&path, header).unwrap();
            writer.write(Duration::ZERO, &[7; 64]).unwrap();
            writer.finish().unwrap();
            CaptureReader::open(&path)
        };
        for (link_type, len) in [(1, 64), (0x0400_0001, 64), (0x2000_0001, 64), (0x2400_0001, 60)] {
            let mut reader = write(link_type).unwrap();
            assert_eq!(reader.header().datalink, DataLink::ETHERNET);
            assert_eq!(reader.next_frame().unwrap().unwrap().octets, vec![7; len], "{link_type:x}");
        }
        let error = write(0x1400_0001).unwrap().next_frame().unwrap_err().to_string();
        assert!(error.contains("a.pcap: frames that end with an FCS of 2 octets"), "{error}");
        let error = write(0x2400_0069).map(drop).unwrap_err().to_string();
        assert!(error.contains("link type IEEE802_11, "), "{error}");
    }

    #[test]
    fn what_is_no_capture_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let error = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            let opened = CaptureReader::open(&path).map(|mut r| r.next_frame().map(drop));
            opened.map_or_else(|e| e.to_string(), |r| r.unwrap_err().to_string())
        };
        for content in [&b""[..], b"hello, this is no capture at all", &[0x0a, 0x0d, 0x0d, 0x0a, 1]] {
            let e = error(content);
            assert!(e.contains(path.to_str().unwrap()) && e.contains("pcap"), "{e}");
        }
        let missing = CaptureReader::open(&dir.path().join("none")).map(drop).unwrap_err().to_string();
        assert!(missing.contains("none: No such file"), "{missing}");
    }
}
