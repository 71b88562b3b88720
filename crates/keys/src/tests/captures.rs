//! MKPDUs of real stations: every ICV, and every SAK on its way.

use super::{json, octets};
use crate::{Cak, Ckn, Salt, UnwrapError};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

const EAPOL_MKA: u8 = 5;
const DISTRIBUTED_SAK: u8 = 4;

/// A capture, and what its JSON says of it.
struct Capture {
    name: &'static str,
    frames: Vec<Vec<u8>>,
    says: Value,
}

/// What a frame tells of a SAK.
struct Distributed<'a> {
    mi: [u8; 12],
    kn: u32,
    wrapped: &'a [u8],
}

fn capture(name: &'static str) -> Capture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/data/captures").join(name);
    let pcap = std::fs::read(path.with_extension("pcap")).unwrap();
    let says = json(&std::fs::read_to_string(path.with_extension("json")).unwrap());
    assert_eq!(pcap[..4], [0xd4, 0xc3, 0xb2, 0xa1], "{name}: a little-endian pcap");
    let mut frames = Vec::new();
    let mut rest = &pcap[24..];
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        frames.push(rest[16..][..len].to_vec());
        rest = &rest[16 + len..];
    }
    Capture { name, frames, says }
}

/// From the destination to before the ICV, and the ICV; not what pads the frame.
fn mkpdu(frame: &[u8]) -> Option<(&[u8], &[u8; 16])> {
    if frame[12..14] != [0x88, 0x8e] || frame[15] != EAPOL_MKA {
        return None;
    }
    let body = u16::from_be_bytes([frame[16], frame[17]]) as usize;
    frame[..18 + body].split_last_chunk()
}

/// Goes through the parameter sets after the basic one.
fn distributed(pdu: &[u8]) -> Option<Distributed<'_>> {
    let len = |set: &[u8]| usize::from(set[2] & 0x0f) << 8 | usize::from(set[3]);
    let basic = &pdu[18..];
    let mut sets = &basic[4 + len(basic).next_multiple_of(4)..];
    while sets.len() > 4 {
        let (set, len) = (&sets[4..], len(sets));
        if sets[0] == DISTRIBUTED_SAK && len > 0 {
            let kn = u32::from_be_bytes(set[..4].try_into().unwrap());
            let suite = if len == 28 { 0 } else { 8 };
            return Some(Distributed {
                mi: basic[12..24].try_into().unwrap(),
                kn,
                wrapped: &set[4 + suite..len],
            });
        }
        sets = set.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

/// What was found: MKPDUs, those with a SAK, and the numbers of SAKs that the JSON knows.
fn check(name: &'static str) -> (usize, usize, BTreeSet<u32>) {
    let capture = capture(name);
    let cak = Cak::from_octets(&octets(&capture.says, "cak")).unwrap();
    let ckn = Ckn::from_octets(&octets(&capture.says, "ckn")).unwrap();
    let (ick, kek) = (cak.ick(&ckn), cak.kek(&ckn));
    let known = capture.says["saks"].as_array().map_or(&[][..], |saks| saks);
    let [mut pdus, mut with_sak] = [0; 2];
    let mut seen = BTreeSet::new();
    for (at, (pdu, icv)) in capture.frames.iter().filter_map(|f| mkpdu(f)).enumerate() {
        let name = format!("{} MKPDU {at}", capture.name);
        assert_eq!(ick.icv(&[pdu]), *icv, "{name}");
        assert!(ick.verify(&[&pdu[..6], &pdu[6..12], &pdu[12..]], icv), "{name}");
        pdus += 1;

        let Some(found) = distributed(pdu) else { continue };
        let sak = kek.unwrap_sak(found.wrapped).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(kek.wrap_sak(&sak).as_ref(), found.wrapped, "{name}");
        assert_eq!(cak.kek(&Ckn(vec![9])).unwrap_sak(found.wrapped), Err(UnwrapError::Integrity), "{name}");
        with_sak += 1;
        for said in known.iter().filter(|said| said["kn"] == found.kn) {
            assert_eq!(sak.octets(), octets(said, "sak"), "{name}");
            if said["salt"].is_string() {
                assert_eq!(Salt::for_sak(found.mi, found.kn).0[..], octets(said, "salt"), "{name}");
            }
            seen.insert(found.kn);
        }
    }
    assert_eq!(seen.len(), known.len(), "{name}");
    (pdus, with_sak, seen)
}

#[test]
fn a_short_key() {
    assert_eq!(check("mka-psk-128"), (26, 2, [].into()));
}

#[test]
fn a_long_key() {
    assert_eq!(check("mka-v1-gcm-256"), (26, 2, [1].into()));
}

#[test]
fn a_restart() {
    assert_eq!(check("mka-v1-restart"), (65, 4, [1, 2].into()));
}

#[test]
fn three_stations() {
    assert_eq!(check("mka-v1-three-stations"), (65, 2, [1].into()));
}

#[test]
fn salted_keys_in_a_row() {
    assert_eq!(check("mka-v1-xpn-128-rekey"), (59, 5, [1, 2, 3, 4].into()));
}

#[test]
fn a_long_salted_key() {
    assert_eq!(check("mka-v3-xpn-256"), (31, 1, [1].into()));
}

#[test]
fn after_eap() {
    assert_eq!(check("eap-tls"), (37, 2, [1].into()));
}
