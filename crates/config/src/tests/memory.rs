//! Keys that were read, right or wrong, and are not needed any more are nowhere in memory.

use super::{Dir, private};
use crate::KeysFile;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Hex digits of a key.
const DIGITS: usize = 32;

/// Digit `i` of a key of its own for each `seed`, never all of them in one place.
fn digit(seed: u64, i: usize) -> u8 {
    let mixed = (seed * DIGITS as u64 + i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    b"0123456789abcdef"[(mixed >> 60) as usize]
}

/// `template` with the key in place of each `KEY`.
fn text(template: &str, seed: u64) -> Zeroizing<String> {
    // Sized beforehand, for a buffer that grows leaves copies of its content behind.
    let mut text = Zeroizing::new(String::with_capacity(4096));
    for (i, part) in template.split("KEY").enumerate() {
        if i > 0 {
            text.extend((0..DIGITS).map(|i| char::from(digit(seed, i))));
        }
        text.push_str(part);
    }
    assert!(text.len() < 4096);
    text
}

/// Whether eight digits of the key stand anywhere in this process's memory in a row.
fn is_in_memory(seed: u64) -> bool {
    const ROW: usize = 8;
    let inverted: Vec<u8> = (0..DIGITS).map(|i| !digit(seed, i)).collect();
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let writable = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|m| m.starts_with("rw")));
    for line in writable {
        let range = line.split(' ').next().and_then(|range| range.split_once('-')).unwrap();
        let [from, to] = [range.0, range.1].map(|end| u64::from_str_radix(end, 16).unwrap());
        let mut octets = Zeroizing::new(vec![0; (to - from) as usize]);
        // Another thread may have given it back by now.
        if memory.read_exact_at(&mut octets, from).is_err() {
            continue;
        }
        let is = |row: &[u8], piece: &[u8]| row.iter().zip(piece).all(|(a, b)| *a == !*b);
        let is_piece = |row: &[u8]| is(row, &inverted[..ROW]) || is(row, &inverted[DIGITS / 2..]);
        if octets.windows(ROW).any(is_piece) {
            return true;
        }
    }
    false
}

fn saks(path: &Path) -> bool {
    keys::read_sak_file(path).is_ok()
}

fn cak(path: &Path) -> bool {
    keys::read_cak_file(path).is_ok()
}

fn keys_file(path: &Path) -> bool {
    KeysFile::load(path).is_ok()
}

/// Whether the file is right.
type Read = fn(&Path) -> bool;

/// A file, what reads it, and whether it is right.
const FILES: [(&str, Read, bool); 19] = [
    ("sak = \"KEY\"\n", saks, true),
    ("sak = KEY\n", saks, false),
    ("KEY", saks, false),
    ("sak = \"KEY\n", saks, false),
    ("sak = \"KEY\"\nsak = \"KEY\"\n", saks, false),
    ("sak = [\"KEY\"]\n", saks, false),
    ("sak = { x = [{ y = \"KEY\" }] }\n", saks, false),
    ("KEY = 1\n", saks, false),
    ("sak = \"KEY00\"\n", saks, false),
    ("sak = \"KEY\"\n[sak.x]\n", saks, false),
    ("cak = \"KEY\"\nckn = \"0102\"\n", cak, true),
    ("cak = \"KEY\"\nckn = 0102\n", cak, false),
    ("[x]\ncak = \"KEY\"\nckn = \"0102\"\n", cak, false),
    ("cak = \"KEY\"\nckn = \"0102\"\n", keys_file, true),
    ("cak = \"KEY\"\nckn = 0102\n", keys_file, false),
    ("cak = [\"KEY\"]\nckn = \"01\"\nKEY = \"KEY\"\n", keys_file, false),
    (
        "cipher_suite = \"gcm-aes-128\"\n[[sa]]\nsci = \"0200000000010001\"\nan = 0\nnext_pn = 4294967295\nsak = \"KEY\"\n",
        keys_file,
        true,
    ),
    (
        "cipher_suite = \"gcm-aes-128\"\n[[sa]]\nsci = \"0200000000010001\"\nan = 0\nsak = KEY\n",
        keys_file,
        false,
    ),
    ("cipher_suite = \"gcm-aes-128\"\n[[sa]\nsak = \"KEY\"\n", keys_file, false),
];

/// One test, for what one looks at the memory with is a copy of what another is about to wipe.
#[test]
fn keys_of_files_that_were_read_are_nowhere_any_more() {
    let dir: Dir = private();
    let path = dir.path("keys.toml");
    let held = text("KEY", 999);
    assert!(is_in_memory(999), "what is there is found");
    drop(held);
    for (seed, (template, read, right)) in (0..).zip(FILES) {
        fs::write(&path, text(template, seed).as_bytes()).unwrap();
        assert_eq!(read(&path), right, "{template}");
        assert!(!is_in_memory(seed), "{template}");
    }
}
