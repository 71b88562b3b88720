//! Any octets as a capture: an end, no panic, and no more memory or frames than the file can account for.
#![no_main]
#![forbid(unsafe_code)]

use cap::Cap;
use datapath::pcap::CaptureReader;
use fuzz::TempFile;
use libfuzzer_sys::fuzz_target;
use std::alloc::System;
use std::sync::LazyLock;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 64 << 20);

static FILE: LazyLock<TempFile> = LazyLock::new(TempFile::new);

fuzz_target!(|octets: &[u8]| {
    let Ok(mut reader) = CaptureReader::open(FILE.with(octets)) else { return };
    let _ = reader.header();
    let mut found = 0;
    while let Ok(Some(frame)) = reader.next_frame() {
        // A frame has at least twelve octets of header in the file.
        found += 12 + frame.octets.len();
        assert!(found <= octets.len());
    }
});
