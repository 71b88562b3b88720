//! One environment for all tests of a process, and small things to put on the wire.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;
use std::sync::OnceLock;

use dpdk::{DEFAULT_DATA_ROOM, Eal, EalOptions, Mbuf, Pool};

/// The environment: ordinary pages, no PCI.
pub(crate) fn eal() -> &'static Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    EAL.get_or_init(|| Eal::init(options()).expect("the EAL comes up without hugepages"))
}

/// How tests bring it up.
pub(crate) fn options() -> EalOptions {
    EalOptions { hugepages: false, memory_mib: Some(256), ..EalOptions::default() }
}

/// A pool of ordinary buffers without caches, so that counts are exact.
pub(crate) fn pool(name: &str, count: u32) -> Pool {
    Pool::new(eal(), name, count, 0, DEFAULT_DATA_ROOM, None).expect("memory for a small pool")
}

/// A frame of `octets`.
pub(crate) fn frame(pool: &Pool, octets: &[u8]) -> Mbuf {
    let mut frame = pool.alloc().expect("a free buffer");
    assert!(frame.extend_from_slice(octets));
    frame
}

/// All octets of a frame.
pub(crate) fn octets(frame: &Mbuf) -> Vec<u8> {
    frame.segments().collect::<Vec<_>>().concat()
}

/// An Ethernet frame of `len` octets, numbered, of a type that nobody else uses.
pub(crate) fn ethernet(number: u8, len: usize) -> Vec<u8> {
    let mut octets = vec![0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x88, 0xb5];
    octets.resize(len, number);
    octets
}

/// Writes a capture file.
pub(crate) fn write_pcap(path: &Path, frames: &[Vec<u8>]) {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend([2_u16, 4].into_iter().flat_map(u16::to_le_bytes));
    file.extend([0_u32, 0, 65535, 1].into_iter().flat_map(u32::to_le_bytes));
    for frame in frames {
        let len = frame.len() as u32;
        file.extend([0, 0, len, len].into_iter().flat_map(u32::to_le_bytes));
        file.extend(frame);
    }
    std::fs::write(path, file).expect("the temporary directory is writable");
}

/// Reads the frames of a capture file as DPDK writes it: little-endian here.
pub(crate) fn read_pcap(path: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read(path).expect("the capture file is there");
    let mut frames = Vec::new();
    let mut rest = &file[24..];
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[8..12].try_into().expect("four octets")) as usize;
        frames.push(rest[16..16 + len].to_vec());
        rest = &rest[16 + len..];
    }
    frames
}
