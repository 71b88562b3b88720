//! Captures, frames that are wrong in one way each, and properties.

mod properties;

use super::*;
use crate::{An, CipherSuite, ConfidentialityOffset, EapolRepr, PAE_GROUP};
use std::format;
use std::path::Path;
use std::string::ToString;
use std::vec::Vec;

const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/data/captures");
const MKA_CAPTURES: [(&str, usize); 7] = [
    ("eap-tls", 37),
    ("mka-psk-128", 26),
    ("mka-v1-gcm-256", 26),
    ("mka-v1-restart", 65),
    ("mka-v1-three-stations", 65),
    ("mka-v1-xpn-128-rekey", 59),
    ("mka-v3-xpn-256", 31),
];

/// Frames of a capture file, which are all in little-endian microsecond files.
fn frames(name: &str) -> Vec<Vec<u8>> {
    let file = std::fs::read(Path::new(CAPTURES).join(name).with_extension("pcap")).unwrap();
    assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1], "{name}");
    let mut frames = Vec::new();
    let mut rest = &file[24..];
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let (frame, after) = after.split_at(u32::from_le_bytes(octets(header, 8)) as usize);
        frames.push(frame.to_vec());
        rest = after;
    }
    frames
}

fn mka_frames(name: &str) -> Vec<Vec<u8>> {
    frames(name).into_iter().filter(|f| f[12..14] == [0x88, 0x8e] && f[15] == 5).collect()
}

/// Everything a view offers, read once.
fn read_all(mkpdu: &Mkpdu<'_>) -> usize {
    let [addresses, protected] = mkpdu.authenticated();
    let sets = mkpdu.sets().map(|s| format!("{s:?}").len() + usize::from(s.type_())).sum::<usize>();
    let said = mkpdu.describe().to_string();
    assert!(said.lines().all(|line| !line.chars().any(char::is_control)), "{said}");
    addresses.len() + protected.len() + sets + said.len()
}

/// The frame written anew from what was read.
fn rewritten(mkpdu: &Mkpdu<'_>, buffer: &mut [u8]) -> Result<Vec<u8>, Full> {
    let (source, destination) = (mkpdu.source(), mkpdu.destination());
    let mut writer = MkpduWriter::new(buffer, source, destination, mkpdu.eapol_version(), &mkpdu.basic())?;
    mkpdu.sets().try_for_each(|set| writer.set(&set))?;
    Ok(writer.finish(mkpdu.has_icv_indicator(), |_| *mkpdu.icv()).to_vec())
}

#[test]
fn captured_frames_are_read_and_written_to_the_octet() {
    for (name, count) in MKA_CAPTURES {
        let frames = mka_frames(name);
        assert_eq!(frames.len(), count, "{name}");
        for frame in frames {
            let mkpdu = Mkpdu::new_checked(&frame).unwrap();
            read_all(&mkpdu);
            assert!(!mkpdu.sets().any(|s| matches!(
                s,
                ParameterSet::Malformed { .. } | ParameterSet::Unknown { .. } | ParameterSet::IcvIndicator(_)
            )));
            assert_eq!(mkpdu.destination(), PAE_GROUP);
            assert_eq!(mkpdu.basic().sci, Sci::new(mkpdu.source(), 1));
            assert_eq!(mkpdu.basic().agility, BasicRepr::AGILITY);
            let authenticated = mkpdu.authenticated().concat();
            assert_eq!([&authenticated[..], mkpdu.icv()].concat(), frame);
            assert_eq!(hex::encode(rewritten(&mkpdu, &mut [0xa5; 300]).unwrap()), hex::encode(frame));
        }
    }
}

#[test]
fn captured_eapol_is_read_and_written_to_the_octet() {
    let mut types = Vec::new();
    for frame in frames("eap-tls").into_iter().filter(|f| f[12..14] == [0x88, 0x8e]) {
        let packet = Eapol::new_checked(&frame[14..]).unwrap();
        let repr = EapolRepr::parse(&packet);
        assert_eq!(repr.to_octets(), frame[14..18]);
        assert_eq!(packet.body(), &frame[18..18 + usize::from(repr.body_len)]);
        types.push(repr.packet_type);
        if repr.packet_type != EapolType::Mka {
            assert_eq!(Mkpdu::new_checked(&frame).unwrap_err(), MkpduError::NotMka(repr.packet_type));
        }
    }
    let count = |wanted| types.iter().filter(|found| **found == wanted).count();
    assert_eq!(
        [EapolType::EapPacket, EapolType::Start, EapolType::Mka].map(count),
        [types.len() - 38, 1, 37]
    );
}

/// From a version 3 participant: Live Peer List, SAK Use, Distributed SAK, Announcement and XPN.
fn v3_frame() -> Vec<u8> {
    let distributes = |f: &Vec<u8>| {
        let mkpdu = Mkpdu::new_checked(f).unwrap();
        mkpdu.sets().any(|s| matches!(s, ParameterSet::DistributedSak(_)))
    };
    mka_frames("mka-v3-xpn-256").into_iter().find(distributes).unwrap()
}

#[test]
fn sets_of_a_version_3_participant() {
    let frame = v3_frame();
    let mkpdu = Mkpdu::new_checked(&frame).unwrap();
    let basic = mkpdu.basic();
    assert_eq!((basic.version, mkpdu.eapol_version()), (3, 3));
    assert!(basic.key_server && basic.macsec_desired);
    assert_eq!(basic.capability, Capability::Confidentiality);
    assert_eq!(basic.ckn.to_string(), "96437a93ccf10d9dfe347846cce52c7d0123456789abcdef0123456789abcdef");
    let sets: Vec<_> = mkpdu.sets().collect();
    let [
        ParameterSet::LivePeerList(live),
        ParameterSet::SakUse(Some(sak_use)),
        ParameterSet::DistributedSak(sak),
        ParameterSet::Announcement(announcement),
        ParameterSet::Xpn(xpn),
    ] = sets[..]
    else {
        panic!("{sets:?}")
    };
    assert_eq!(live.len(), 1);
    let (peer, mn) = live.iter().next().unwrap();
    assert_eq!(live.find(peer), Some(mn));
    assert_eq!(live.find(MemberId::default()), None);
    assert_eq!(sak_use.latest, KeyUse { llpn: 1, ..KeyUse::default() });
    assert!(sak_use.latest.is_none() && !sak_use.old.is_none());
    assert_eq!((sak_use.old.mi, sak_use.old.kn), (basic.mi, 1));
    assert_eq!((sak_use.latest_an.as_u8(), sak_use.old_an.as_u8()), (0, 1));
    assert_eq!(
        [sak_use.latest_tx, sak_use.latest_rx, sak_use.old_tx, sak_use.old_rx],
        [false, false, true, true]
    );
    assert_eq!((sak.an.as_u8(), sak.confidentiality_offset), (1, Some(ConfidentialityOffset::None)));
    let DistributedSakForm::Suite { kn: 1, suite, wrapped } = sak.form else { panic!("{sak:?}") };
    assert_eq!((suite, wrapped.key_len()), (Ok(CipherSuite::GcmAesXpn256), 32));
    let tlvs: Vec<_> = announcement.tlvs().collect();
    let [Tlv::CipherSuites(offers)] = tlvs[..] else { panic!("{tlvs:?}") };
    let offer = SuiteOffer { capability: Capability::Confidentiality, suite: Ok(CipherSuite::GcmAesXpn256) };
    assert_eq!(offers.iter().collect::<Vec<_>>(), [offer]);
    assert_eq!(xpn, XpnRepr::default());
}

#[test]
fn description_has_a_line_for_each_field() {
    let octets = frame("0200 0010 0b0a09080706050403020100 00000007 c85a b001 ff000000 ff00 0010");
    let expected = "\
MKPDU
  destination: 01:80:c2:00:00:03
  source: 02:00:00:00:00:01
  EAPOL version: 3
  Basic
    MKA version: 3
    key server priority: 16
    key server: yes
    MACsec desired: yes
    MACsec capability: none
    SCI: 0200000000010001
    MI: 000102030405060708090a0b
    MN: 1
    algorithm agility: 0080c201
    CKN: aa
  Potential Peer List
    peer: MI 0b0a09080706050403020100, MN 7
  Unknown
    type: 200
    flags: 5ab0
    body: ff
  ICV Indicator
  ICV: 00112233445566778899aabbccddeeff
";
    assert_eq!(Mkpdu::new_checked(&octets).unwrap().describe().to_string(), expected);
    let said = Mkpdu::new_checked(&v3_frame()).unwrap().describe().to_string();
    for line in [
        "  Basic",
        "    MACsec capability: integrity, confidentiality",
        "  Live Peer List",
        "    old key",
        "      KN: 1",
        "    confidentiality offset: 0",
        "    cipher suite: gcm-aes-xpn-256",
        "    cipher suite: gcm-aes-xpn-256 (integrity, confidentiality)",
        "    suspension time: 0",
    ] {
        assert!(said.lines().any(|l| l == line), "no {line:?} in\n{said}");
    }
}

// --- Frames by hand -------------------------------------------------------------------------------------------------

const BASIC: &str = "03 10 c0 1d 020000000001 0001 000102030405060708090a0b 00000001 0080c201 aa 000000";
const ICV: &str = "00112233445566778899aabbccddeeff";

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).unwrap()
}

/// A frame with `body` behind a right EAPOL header.
fn frame_with(tags: &str, body: &[u8]) -> Vec<u8> {
    let mut frame = unhex(&format!("0180c2000003 020000000001 {tags} 888e 0305"));
    frame.extend_from_slice(&(body.len() as u16).to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

fn frame(sets: &str) -> Vec<u8> {
    frame_with("", &unhex(&format!("{BASIC}{sets}{ICV}")))
}

fn refusal(frame: &[u8]) -> MkpduError {
    Mkpdu::new_checked(frame).map(|m| m.describe().to_string()).unwrap_err()
}

fn only_set(frame: &[u8]) -> ParameterSet<'_> {
    let mut sets = Mkpdu::new_checked(frame).unwrap().sets();
    let set = sets.next().unwrap();
    assert_eq!(sets.next(), None);
    set
}

#[test]
fn a_frame_of_basic_and_icv() {
    let octets = frame("");
    let mkpdu = Mkpdu::new_checked(&octets).unwrap();
    assert_eq!(mkpdu.sets().count(), 0);
    assert_eq!(mkpdu.icv()[..], unhex(ICV));
    assert!(!mkpdu.has_icv_indicator());
    let basic = mkpdu.basic();
    assert_eq!(basic.buffer_len() + 18 + 16, octets.len());
    assert_eq!((basic.version, basic.priority, basic.mn), (3, 16, 1));
    assert_eq!((basic.key_server, basic.macsec_desired), (true, true));
    assert_eq!(basic.capability, Capability::NotImplemented);
    assert_eq!(basic.sci.to_string(), "0200000000010001");
    assert_eq!(basic.mi.to_string(), "000102030405060708090a0b");
    assert_eq!(basic.ckn.octets(), [0xaa]);
}

#[test]
fn padding_and_vlan_tags_are_no_part_of_the_mkpdu() {
    let mut padded = frame("");
    padded.extend_from_slice(&[0x5a; 7]);
    let tagged = frame_with("88a8 0001 8100 2007", &unhex(&format!("{BASIC}{ICV}")));
    let plain = frame("");
    let plain = Mkpdu::new_checked(&plain).unwrap();
    for octets in [padded, tagged] {
        let mkpdu = Mkpdu::new_checked(&octets).unwrap();
        assert_eq!(mkpdu.authenticated(), plain.authenticated());
        assert_eq!(mkpdu.icv(), plain.icv());
    }
}

#[test]
fn icv_indicator_is_the_last_set() {
    let octets = frame("0100 0000 ff00 0010");
    let mkpdu = Mkpdu::new_checked(&octets).unwrap();
    assert!(mkpdu.has_icv_indicator());
    let sets: Vec<_> = mkpdu.sets().collect();
    assert!(matches!(sets[..], [ParameterSet::LivePeerList(l), ParameterSet::IcvIndicator(icv)]
        if l.is_empty() && icv == mkpdu.icv()));
    // Its header is authenticated, its body is not.
    assert_eq!(mkpdu.authenticated().concat(), octets[..octets.len() - 16]);
    assert_eq!(rewritten(&mkpdu, &mut [0xa5; 1514]).unwrap(), octets);
    assert_eq!(refusal(&frame("ff00 0010 0100 0000")), MkpduError::IcvIndicator(16));
    assert_eq!(refusal(&frame("ff00 0000")), MkpduError::IcvIndicator(0));
    assert_eq!(refusal(&frame("ff00 0018")), MkpduError::IcvIndicator(24));
}

#[test]
fn frames_are_refused_as_a_whole() {
    let good = frame("");
    let changed = |at: usize, octets: &[u8]| {
        let mut frame = good.clone();
        frame[at..at + octets.len()].copy_from_slice(octets);
        refusal(&frame)
    };
    assert_eq!(refusal(&[]), MkpduError::Truncated);
    assert_eq!(refusal(&good[..13]), MkpduError::Truncated);
    assert_eq!(refusal(&good[..17]), MkpduError::Eapol(EapolError::Truncated));
    assert_eq!(changed(12, &[0x88, 0xe5]), MkpduError::NotEapol(EtherType::MACSEC));
    assert_eq!(changed(15, &[1]), MkpduError::NotMka(EapolType::Start));
    assert_eq!(changed(15, &[9]), MkpduError::NotMka(EapolType::Other(9)));
    assert_eq!(
        refusal(&good[..good.len() - 1]),
        MkpduError::Eapol(EapolError::BodyTooLong { announced: 52, present: 51 })
    );
    assert_eq!(changed(16, &[0, 28]), MkpduError::BodyTooShort(28));
    assert_eq!(changed(16, &[0, 51]), MkpduError::BodyNotAligned(51));
    assert_eq!(changed(20, &[0xc0, 27]), MkpduError::BasicTooShort(27));
    assert_eq!(changed(20, &[0xc0, 0]), MkpduError::BasicTooShort(0));
    assert_eq!(changed(20, &[0xc0, 28]), MkpduError::Ckn(InvalidCkn(0)));
    assert_eq!(changed(20, &[0xcf, 0xff]), MkpduError::BasicTooLong(0xfff));
    assert_eq!(changed(20, &[0xc0, 49]), MkpduError::BasicTooLong(49));
    assert_eq!(changed(20, &[0xc0, 48]), MkpduError::NoRoomForIcv);
    assert_eq!(changed(20, &[0xc0, 33]), MkpduError::NoRoomForIcv);
    let mut long_ckn = frame(&"00".repeat(40));
    long_ckn[21] = 28 + 33;
    assert_eq!(refusal(&long_ckn), MkpduError::Ckn(InvalidCkn(33)));
    let too_long = |announced| MkpduError::SetTooLong { type_: 9, announced, present: 4 };
    assert_eq!(refusal(&frame("0900 0005 00000000")), too_long(5));
    assert_eq!(refusal(&frame("0900 0fff 00000000")), too_long(0xfff));
    assert_eq!(refusal(&frame("0100 0000 0900 0005 00000000")), too_long(5));
}

#[test]
fn refusals_are_in_words() {
    assert_eq!(
        refusal(&frame("0900 0005 00000000")).to_string(),
        "parameter set 9 announces 5 octets and has 4 before the ICV"
    );
    assert_eq!(
        refusal(&frame("ff00 0000")).to_string(),
        "an ICV Indicator with 0 octets that are not the MKPDU's last 16"
    );
    let why = SetError::WrappedLen { suite: CipherSuite::GcmAes256, found: 24 };
    assert_eq!(why.to_string(), "a wrapped key of 24 octets; gcm-aes-256 takes 40");
}

#[test]
fn unknown_sets_are_seen_and_kept() {
    let octets = frame("c8 5a b0 05 0102030405 000000");
    let set = only_set(&octets);
    assert_eq!(set, ParameterSet::Unknown { type_: 200, flags: [0x5a, 0xb0], body: &[1, 2, 3, 4, 5] });
    assert_eq!(set.type_(), 200);
    let mkpdu = Mkpdu::new_checked(&octets).unwrap();
    assert_eq!(rewritten(&mkpdu, &mut [0xa5; 100]).unwrap(), octets);
}

#[test]
fn sets_of_wrong_lengths_are_malformed_one_by_one() {
    let right: [(u8, &[usize]); 5] = [
        (1, &[0, 16, 32, 48, 64]),
        (2, &[0, 16, 32, 48, 64]),
        (3, &[0, 40]),
        (4, &[0, 28, 36, 52]),
        (8, &[8]),
    ];
    for (type_, lengths) in right {
        for len in 0usize..80 {
            let octets = frame(&format!("{type_:02x}00 {len:04x} {}", "00".repeat(len.next_multiple_of(4))));
            let set = only_set(&octets);
            match set {
                ParameterSet::Malformed { type_: found, body, why, .. } => {
                    assert_eq!((found, body.len(), why), (type_, len, SetError::BodyLen(len)));
                    assert!(!lengths.contains(&len), "{type_} {len}");
                }
                _ => assert!(lengths.contains(&len), "{type_} {len}"),
            }
            assert_eq!(set.type_(), type_);
            read_all(&Mkpdu::new_checked(&octets).unwrap());
        }
    }
}

#[test]
fn a_malformed_set_does_not_hide_the_next() {
    let octets = frame("0200 0004 00000000 0300 0000");
    let sets: Vec<_> = Mkpdu::new_checked(&octets).unwrap().sets().collect();
    assert!(
        matches!(sets[..], [ParameterSet::Malformed { type_: 2, .. }, ParameterSet::SakUse(None)]),
        "{sets:?}"
    );
}

#[test]
fn distributed_sak_takes_both_names_of_the_default_suite() {
    let form = |id: &str, wrapped: usize| {
        let octets = frame(&format!("04 b0 00 {:02x} 00000007 {id} {}", 12 + wrapped, "ab".repeat(wrapped)));
        match only_set(&octets) {
            ParameterSet::DistributedSak(DistributedSak { an, confidentiality_offset, form }) => {
                assert_eq!((an.as_u8(), confidentiality_offset), (2, Some(ConfidentialityOffset::Octets50)));
                let DistributedSakForm::Suite { kn: 7, suite, .. } = form else { panic!("{form:?}") };
                Ok(suite)
            }
            ParameterSet::Malformed { why, .. } => Err(why),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(form("0080c20001000001", 24), Ok(Ok(CipherSuite::GcmAes128)));
    assert_eq!(form("0080020001000001", 24), Ok(Ok(CipherSuite::GcmAes128)));
    assert_eq!(form("0080c20001000004", 40), Ok(Ok(CipherSuite::GcmAesXpn256)));
    assert_eq!(form("0080c20001000005", 40), Ok(Err(0x0080_c200_0100_0005)));
    let suite = CipherSuite::GcmAesXpn256;
    assert_eq!(form("0080c20001000004", 24), Err(SetError::WrappedLen { suite, found: 24 }));
}

#[test]
fn distributed_cak_is_split_by_the_length_of_the_key() {
    let body = [7; 48];
    let cak = DistributedCak::new_checked(&body).unwrap();
    let lengths = |len| cak.split(len).map(|(wrapped, ckn)| (wrapped.len(), ckn.len()));
    assert_eq!(lengths(16), Some((24, 24)));
    assert_eq!(lengths(32), Some((40, 8)));
    assert_eq!(lengths(24), None);
    assert_eq!(lengths(usize::MAX), None);
    assert_eq!(DistributedCak::new_checked(&body[..24]), Err(SetError::BodyLen(24)));
    assert_eq!(DistributedCak::new_checked(&[0; 73]), Err(SetError::BodyLen(73)));
    assert_eq!(DistributedCak::new_checked(&body[..40]).unwrap().split(32), None);
}

#[test]
fn announcement_tlvs_fill_the_set() {
    let tlvs = unhex("de02 0102 e403 6e6574 e00a 0001 0080c20001000002 e001 00 0000");
    let read: Vec<_> = Announcement::new_checked(&tlvs).unwrap().tlvs().collect();
    let [
        Tlv::AccessInformation([1, 2]),
        Tlv::Nid(b"net"),
        Tlv::CipherSuites(offers),
        Tlv::Unknown { type_: 112, .. },
        _,
    ] = read[..]
    else {
        panic!("{read:?}")
    };
    let offer = SuiteOffer { capability: Capability::Integrity, suite: Ok(CipherSuite::GcmAes256) };
    assert_eq!(offers.iter().collect::<Vec<_>>(), [offer]);
    assert_eq!(Announcement::new_checked(&unhex("e402 6e65 e3")), Err(SetError::Tlv(4)));
    assert_eq!(Announcement::new_checked(&unhex("e403 6e65")), Err(SetError::Tlv(0)));
    let octets = frame("0700 0003 e3ff00 00");
    assert!(matches!(only_set(&octets), ParameterSet::Malformed { type_: 7, why: SetError::Tlv(0), .. }));
}

#[test]
fn text_of_peers_cannot_speak_to_a_terminal() {
    let octets = frame("0600 0004 1b5b324a");
    let said = Mkpdu::new_checked(&octets).unwrap().describe().to_string();
    assert!(said.contains(r#"name: "\x1b[2J""#), "{said}");
}

// --- Writing --------------------------------------------------------------------------------------------------------

fn basic(ckn: &[u8]) -> BasicRepr<'_> {
    BasicRepr {
        version: 3,
        priority: 16,
        key_server: true,
        macsec_desired: true,
        capability: Capability::ConfidentialityOffsets,
        sci: Sci::from_bytes([2, 0, 0, 0, 0, 1, 0, 1]),
        mi: MemberId([9; 12]),
        mn: 1,
        agility: BasicRepr::AGILITY,
        ckn: CknRef::new(ckn).unwrap(),
    }
}

#[test]
fn what_does_not_fit_is_left_out_as_a_whole() {
    let source = MacAddr([2, 0, 0, 0, 0, 1]);
    let mut buffer = [0xa5; 2000];
    let least = 18 + 36 + 20;
    for room in 0..least {
        assert!(MkpduWriter::new(&mut buffer[..room], source, PAE_GROUP, 3, &basic(&[1])).is_err());
    }
    assert!(MkpduWriter::new(&mut buffer[..least], source, PAE_GROUP, 3, &basic(&[1])).is_ok());
    let mut writer = MkpduWriter::new(&mut buffer[..least + 8], source, PAE_GROUP, 3, &basic(&[1])).unwrap();
    assert_eq!(writer.live_peers(0, [(MemberId([1; 12]), 1)]), Err(Full));
    assert_eq!(writer.kmd(b"12345"), Err(Full));
    assert_eq!(writer.kmd(b"1234"), Ok(()));
    assert_eq!(writer.kmd(b""), Err(Full));
    let octets = writer.finish(true, |[addresses, rest]| {
        assert_eq!((addresses.len(), rest.len()), (12, least + 8 - 16 - 12));
        [0x11; 16]
    });
    assert_eq!(octets.len(), least + 8);
    let mkpdu = Mkpdu::new_checked(octets).unwrap();
    assert!(matches!(mkpdu.sets().next(), Some(ParameterSet::Kmd(b"1234"))));
    assert!(mkpdu.has_icv_indicator());

    let endless = core::iter::repeat((MemberId([1; 12]), 1));
    let mut writer = MkpduWriter::new(&mut buffer, source, PAE_GROUP, 3, &basic(&[1])).unwrap();
    assert_eq!(writer.live_peers(0, endless.clone()), Err(Full));
    let fits = (1514 - least - 4) / 16;
    assert_eq!(writer.potential_peers(endless.clone().take(fits + 1)), Err(Full));
    assert_eq!(writer.potential_peers(endless.take(fits)), Ok(()));
    let octets = writer.finish(false, |_| [0; 16]);
    assert!(matches!(only_set(octets), ParameterSet::PotentialPeerList(list) if list.len() == fits));
    assert_eq!(buffer[1514..], [0xa5; 486]);
}
