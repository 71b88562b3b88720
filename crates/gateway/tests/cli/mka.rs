//! Captures of MKA: `inspect` and `pcap verify` with a CAK.

use crate::support::{Dir, Ended, conceal, counter};
use gateway::association::{Association, CaKeys, Icv};
use keys::{Cak, Ckn, Sak};
use secy::{Burst, Engine, MemFrame, SaParams, SciMode, TxConfig, TxSa, TxSecY, Xpn};
use serde_json::Value;
use testkit::{CapturedFrame, MkaCapture, mka_captures};
use wire::{
    An, BasicRepr, Capability, CipherSuite, CknRef, ConfidentialityOffset, DistributedSak,
    DistributedSakForm, MacAddr, MemberId, Mkpdu, MkpduWriter, Sci, Ssci, WrappedKey,
};

const INSPECT: [&str; 4] = ["inspect", "--json", "--keys", "keys.toml"];
const VERIFY: [&str; 5] = ["pcap", "verify", "--json", "--keys", "keys.toml"];

impl Dir {
    /// Writes the CAK to `keys.toml`.
    fn cak(&self, cak: &Cak, ckn: &Ckn) {
        conceal(&cak.to_hex());
        self.key("keys.toml", &format!("cak = \"{}\"\nckn = \"{ckn}\"\n", cak.to_hex().as_str()));
    }

    fn verify_mka(&self, input: &str) -> Ended {
        self.run(&[&VERIFY[..], &[input, "plain.pcap"]].concat())
    }

    /// What `inspect` says of each frame.
    fn inspected(&self, input: &str) -> Vec<Value> {
        let ended = self.run(&[&INSPECT[..], &[input]].concat());
        ended.assert(0, &[]);
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn name(capture: &MkaCapture) -> &str {
    capture.path.file_stem().unwrap().to_str().unwrap()
}

fn of_type(frames: &[CapturedFrame], ethertype: [u8; 2]) -> usize {
    frames.iter().filter(|f| f.octets[12..14] == ethertype).count()
}

/// Frames in a capture: MKPDUs, distinct SAKs, MACsec.
const EXPECTED: [(&str, u64, u64, usize); 7] = [
    ("eap-tls", 37, 1, 54),
    ("mka-psk-128", 26, 1, 32),
    ("mka-v1-gcm-256", 26, 1, 50),
    ("mka-v1-restart", 65, 2, 81),
    ("mka-v1-three-stations", 65, 1, 65),
    ("mka-v1-xpn-128-rekey", 59, 4, 122),
    ("mka-v3-xpn-256", 31, 1, 51),
];

#[test]
fn every_icv_is_right_and_every_frame_verifies() {
    let captures = mka_captures();
    assert_eq!(captures.len(), EXPECTED.len());
    for (capture, expected) in captures.iter().zip(EXPECTED) {
        let dir = Dir::new();
        dir.cak(&capture.cak, &capture.ckn);
        capture.saks.iter().for_each(|known| conceal(&known.sak.to_hex()));
        let input = capture.path.to_str().unwrap();

        let frames = dir.inspected(input);
        assert_eq!(frames.len(), capture.frames.len());
        let mkpdus: Vec<_> = frames.iter().filter(|f| f["kind"] == "MKPDU").collect();
        let macsec: Vec<_> = frames.iter().filter(|f| f["kind"] == "MACsec").collect();
        for mkpdu in &mkpdus {
            assert_eq!(mkpdu["icv_verdict"], "right", "{mkpdu}");
            assert_ne!(mkpdu["sak"]["unwrapped"], false, "{mkpdu}");
            let distributes = mkpdu["mkpdu"]["sets"].as_array().unwrap().iter().any(|s| s["type"] == 4);
            assert_eq!(mkpdu["sak"]["unwrapped"] == true, distributes, "{mkpdu}");
            for known in capture.saks.iter().filter(|known| mkpdu["sak"]["KN"] == known.kn) {
                let sak = &mkpdu["sak"];
                assert_eq!(sak["AN"], known.an.as_u8());
                assert_eq!(sak["cipher_suite"], known.suite.to_string());
                assert_eq!(sak["salt"].as_str().map(str::to_owned), known.salt.map(|s| s.to_string()));
                for (sci, ssci) in &known.sscis {
                    let mut members = sak["members"].as_array().unwrap().iter();
                    let member = members.find(|m| m["SCI"] == sci.to_string()).unwrap();
                    assert_eq!(member["SSCI"], ssci.0, "{mkpdu}");
                }
            }
        }
        for frame in &macsec {
            assert_eq!(frame["verdict"], "InPktsOK", "{}: {frame}", name(capture));
        }

        let verified = dir.verify_mka(input);
        verified.assert(0, &[]);
        let count = |scope, name| counter(&verified.stdout, &[("scope", scope)], name).unwrap();
        assert_eq!((count("mka", "EapolMkInvalidFramesRx"), count("mka", "EapolMkNoCknFramesRx")), (0, 0));
        let plain = dir.captured("plain.pcap");
        assert!(plain.iter().all(|f| f.octets[12..14] != [0x88, 0xe5]));
        let found = (name(capture), count("mka", "MkpdusRx"), count("mka", "DistributedSaks"), plain.len());
        assert_eq!(found, expected);
        assert_eq!((mkpdus.len() as u64, macsec.len()), (expected.1, expected.3));
        assert_eq!(of_type(&capture.frames, [0x88, 0xe5]), expected.3);
        let ok = |line: &str| serde_json::from_str::<Value>(line).unwrap()["InPktsOK"].as_u64();
        assert_eq!(verified.stdout.lines().filter_map(ok).sum::<u64>(), expected.3 as u64);
    }
}

#[test]
fn saks_are_those_that_the_stations_had() {
    for capture in mka_captures() {
        let keys = CaKeys::new(&capture.cak, &capture.ckn);
        let mut association = Association::default();
        for (number, frame) in (1..).zip(&capture.frames) {
            if let Ok(mkpdu) = Mkpdu::new_checked(&frame.octets) {
                association.learn(number, &mkpdu, keys.hear(&mkpdu));
            }
        }
        assert_eq!((association.heard(Icv::Wrong), association.heard(Icv::OtherCak)), (0, 0));
        for known in &capture.saks {
            let mut found = association.distributions().iter().map(|(_, d)| d).filter(|d| d.kn == known.kn);
            let distribution = found.next().unwrap();
            assert_eq!(found.count(), 0, "{}: KN {} once", name(&capture), known.kn);
            assert_eq!((distribution.an, distribution.suite), (known.an, known.suite));
            assert!(distribution.sak == known.sak, "{}: KN {}", name(&capture), known.kn);
            assert_eq!(distribution.salt(), known.salt);
            for (sci, ssci) in &known.sscis {
                assert_eq!(association.sscis(distribution, *sci), [*ssci]);
            }
        }
    }
}

#[test]
fn another_cak_or_ckn_opens_nothing() {
    for capture in mka_captures() {
        let dir = Dir::new();
        let input = capture.path.to_str().unwrap();
        let others = [
            (
                Cak::generate(capture.cak.octets().len() == 32).unwrap(),
                capture.ckn.clone(),
                "wrong",
                "the right cak?",
            ),
            (capture.cak.clone(), Ckn::from_octets(&[1]).unwrap(), "other CKN", "the right ckn?"),
        ];
        for (cak, ckn, verdict, says) in others {
            dir.cak(&cak, &ckn);
            for frame in dir.inspected(input) {
                match frame["kind"].as_str().unwrap() {
                    "MKPDU" => {
                        assert_eq!((&frame["icv_verdict"], &frame["sak"]), (&verdict.into(), &Value::Null))
                    }
                    "MACsec" => assert_eq!(frame["verdict"], "InPktsNoSCI"),
                    _ => assert_eq!(frame["verdict"], Value::Null),
                }
            }
            dir.run(&[&INSPECT[..], &[input]].concat()).assert(0, &["WARN", says]);
            let verified = dir.verify_mka(input);
            verified.assert(1, &["WARN", says, "none of", "frames verified"]);
            let name = if verdict == "wrong" { "EapolMkInvalidFramesRx" } else { "EapolMkNoCknFramesRx" };
            let of_mka = |name| counter(&verified.stdout, &[("scope", "mka")], name).unwrap();
            let mkpdus = capture.frames.iter().filter(|f| Mkpdu::new_checked(&f.octets).is_ok()).count();
            assert_eq!((of_mka(name), of_mka("MkpdusRx"), of_mka("DistributedSaks")), (mkpdus as u64, 0, 0));
            assert!(!dir.path("plain.pcap").exists());
        }
    }
}

#[test]
fn a_cak_protects_nothing_and_is_for_its_owner() {
    let capture = mka_captures().swap_remove(0);
    let dir = Dir::new();
    dir.cak(&capture.cak, &capture.ckn);
    let before = dir.list();
    let protect = ["pcap", "protect", "--keys", "keys.toml", "in.pcap", "out.pcap"];
    dir.run(&protect).assert(2, &["keys.toml: cak: ", "a SAK", "write cipher_suite and [[sa]]"]);
    dir.mode("keys.toml", 0o640);
    let input = capture.path.to_str().unwrap();
    for arguments in [&INSPECT[..], &["pcap", "verify", "--keys", "keys.toml"], &protect[..4]] {
        let output: &[&str] = if arguments[0] == "pcap" { &["out.pcap"] } else { &[] };
        let ended = dir.run(&[arguments, &[input], output].concat());
        ended.assert(2, &["keys.toml:1: cak: others than its owner", "(mode 0640)", "chmod 600 keys.toml"]);
        assert!(ended.stdout.is_empty(), "{ended:#?}");
        assert_eq!(dir.list(), before);
    }
}

/// A CA of our own making, in whatever order its frames are to come.
struct Ca {
    cak: Cak,
    ckn: Ckn,
    frames: Vec<Vec<u8>>,
    /// What is to become of each frame; an empty text for MKPDUs.
    verdicts: Vec<&'static str>,
}

/// A station until it starts anew.
#[derive(Clone, Copy)]
struct Station {
    sci: Sci,
    mi: MemberId,
}

/// A SAK of a key server.
struct Given {
    key_server: Station,
    kn: u32,
    an: An,
    suite: CipherSuite,
    offset: ConfidentialityOffset,
    sak: Sak,
}

fn station(sci: &str, mi: u8) -> Station {
    Station { sci: sci.parse().unwrap(), mi: MemberId([mi; 12]) }
}

fn given(key_server: Station, kn: u32, suite: CipherSuite) -> Given {
    let sak = Sak::generate(suite.sak_len() == 32).unwrap();
    conceal(&sak.to_hex());
    Given { key_server, kn, an: An::ALL[0], suite, offset: ConfidentialityOffset::None, sak }
}

impl Given {
    /// What a station transmits with.
    fn tx(&self, from: Station, ssci: u32, sci_mode: SciMode) -> TxSecY {
        let xpn = self.suite.is_xpn().then(|| {
            let salt = keys::Salt::for_sak(self.key_server.mi.0, self.kn);
            Xpn { ssci: Ssci(ssci), salt }
        });
        let Given { suite, ref sak, offset, .. } = *self;
        let params = SaParams { suite, sak, sci: from.sci, xpn, offset, first_pn: 1 };
        let mut tx = TxSecY::new(TxConfig {
            sci: from.sci,
            protect_frames: true,
            encrypt: true,
            sci_mode,
            clear_vlan_tags: 0,
            max_frame: 2000,
        });
        let sa = Box::new(TxSa::new(&params, u64::MAX).unwrap());
        tx.apply(secy::Command::InstallTxSa { an: self.an, sa });
        tx.apply(secy::Command::EncodeWith(Some(self.an)));
        tx
    }
}

impl Ca {
    fn new() -> Self {
        let cak = Cak::generate(true).unwrap();
        let ckn = Ckn::from_octets(b"test").unwrap();
        Ca { cak, ckn, frames: Vec::new(), verdicts: Vec::new() }
    }

    fn push(&mut self, frame: Vec<u8>, verdict: &'static str) -> usize {
        self.frames.push(frame);
        self.verdicts.push(verdict);
        self.frames.len() - 1
    }

    fn hello(&mut self, from: Station) {
        self.mkpdu(from, &[], 0, None);
    }

    /// The key server gives out a SAK, and numbers the members where `ks_ssci` is not zero.
    fn distribute(&mut self, given: &Given, live: &[Station], ks_ssci: u8) {
        let wrapped = self.cak.kek(&self.ckn).wrap_sak(&given.sak);
        let form = match (given.suite, wrapped.as_ref().try_into()) {
            (CipherSuite::GcmAes128, Ok(wrapped)) => DistributedSakForm::GcmAes128 { kn: given.kn, wrapped },
            (suite, _) => {
                let wrapped = WrappedKey::new(wrapped.as_ref()).unwrap();
                DistributedSakForm::Suite { kn: given.kn, suite: Ok(suite), wrapped }
            }
        };
        let sak = DistributedSak { an: given.an, confidentiality_offset: Some(given.offset), form };
        self.mkpdu(given.key_server, live, ks_ssci, Some(sak));
    }

    fn mkpdu(&mut self, from: Station, live: &[Station], ks_ssci: u8, sak: Option<DistributedSak<'_>>) {
        let basic = BasicRepr {
            version: 3,
            priority: 16,
            key_server: sak.is_some(),
            macsec_desired: true,
            capability: Capability::ConfidentialityOffsets,
            sci: from.sci,
            mi: from.mi,
            mn: self.frames.len() as u32 + 1,
            agility: BasicRepr::AGILITY,
            ckn: CknRef::new(self.ckn.octets()).unwrap(),
        };
        let mut buffer = [0; 1514];
        let mut writer = MkpduWriter::new(&mut buffer, from.sci.mac(), wire::PAE_GROUP, 3, &basic).unwrap();
        writer.live_peers(ks_ssci, live.iter().map(|peer| (peer.mi, 1))).unwrap();
        if let Some(sak) = sak {
            writer.distributed_sak(&sak).unwrap();
        }
        let ick = self.cak.ick(&self.ckn);
        let frame = writer.finish(false, |parts| ick.icv(&parts)).to_vec();
        self.push(frame, "");
    }

    /// A protected frame, and its place.
    fn send(&mut self, tx: &mut TxSecY, verdict: &'static str) -> usize {
        self.forward(tx, tx.config().sci.mac(), verdict)
    }

    /// The same of another station, behind the one that protects.
    fn forward(&mut self, tx: &mut TxSecY, source: MacAddr, verdict: &'static str) -> usize {
        let mut frame = vec![2, 0, 0, 0, 0, 9];
        frame.extend(source.0);
        frame.extend([8, 0]);
        frame.extend((0..90).map(|i| i ^ self.frames.len() as u8));
        let mut burst: Burst<MemFrame> = Burst::new();
        burst.push(MemFrame::new(&frame));
        tx.protect(&mut Engine::new(), &mut burst);
        self.push(burst[0].to_vec(), verdict)
    }

    /// Checks the verdict on each frame, and what `pcap verify` makes of all.
    fn assert(&self, dir: &Dir) {
        dir.cak(&self.cak, &self.ckn);
        dir.capture("mka.pcap", &self.frames);
        let found = dir.inspected("mka.pcap");
        for ((number, found), verdict) in (1..).zip(&found).zip(&self.verdicts) {
            let wanted = if verdict.is_empty() { Value::Null } else { (*verdict).into() };
            assert_eq!(found["verdict"], wanted, "frame {number}: {found}");
            assert_eq!(verdict.is_empty(), found["icv_verdict"] == "right", "frame {number}: {found}");
        }
        let verified = dir.verify_mka("mka.pcap");
        verified.assert(0, &[]);
        for name in ["InPktsOK", "InPktsLate", "InPktsNotValid", "InPktsNotUsingSA", "InPktsNoSCI"] {
            let of = |line: &str| serde_json::from_str::<Value>(line).unwrap()[name].as_u64();
            let wanted = self.verdicts.iter().filter(|v| **v == name).count();
            assert_eq!(verified.stdout.lines().filter_map(of).sum::<u64>(), wanted as u64, "{name}");
        }
        let ok = self.verdicts.iter().filter(|v| **v == "InPktsOK").count();
        assert_eq!(dir.captured("plain.pcap").len(), ok);
    }
}

#[test]
fn saks_of_one_an_are_told_apart_wherever_their_frames_come() {
    let server = station("0200000000010001", 1);
    let server_again = station("0200000000010001", 3);
    let peer = station("0200000000020001", 2);
    let stranger = station("0200000000090001", 9);
    for suite in CipherSuite::ALL {
        // The greater SCI has SSCI 1, unless the key server says that it has.
        for (ks_ssci, sscis) in [(0, [2, 1]), (1, [1, 2])] {
            let mut ca = Ca::new();
            // A key server that starts anew begins with KN 1 again.
            let first = given(server, 1, suite);
            let second = given(server_again, 1, suite);
            let third = Given { offset: first.offset, ..given(server_again, 2, suite) };
            let [mut from_server, mut from_peer]: [Vec<TxSecY>; 2] = [(server, sscis[0]), (peer, sscis[1])]
                .map(|(from, ssci)| {
                    let saks = [&first, &second, &third];
                    saks.map(|sak| sak.tx(from, ssci, SciMode::Explicit)).into()
                });
            ca.send(&mut from_server[0], "InPktsOK");
            ca.hello(peer);
            ca.distribute(&first, &[peer], ks_ssci);
            let recorded = ca.send(&mut from_peer[0], "InPktsOK");
            ca.distribute(&first, &[peer], ks_ssci);
            ca.send(&mut from_server[0], "InPktsOK");
            ca.send(&mut from_server[1], "InPktsOK");
            ca.distribute(&second, &[peer], ks_ssci);
            ca.send(&mut from_peer[0], "InPktsOK");
            ca.send(&mut from_peer[1], "InPktsOK");
            ca.send(&mut from_peer[2], "InPktsOK");
            ca.send(&mut from_peer[1], "InPktsOK");
            ca.distribute(&third, &[peer], ks_ssci);
            ca.send(&mut from_server[1], "InPktsOK");
            let last = ca.send(&mut from_server[2], "InPktsOK");
            ca.push(ca.frames[recorded].clone(), "InPktsLate");
            ca.push(ca.frames[last].clone(), "InPktsLate");
            let mut forged = ca.frames[last].clone();
            *forged.last_mut().unwrap() ^= 1;
            // Of a packet number that is still to come.
            forged[16..20].copy_from_slice(&77u32.to_be_bytes());
            ca.push(forged, "InPktsNotValid");
            ca.send(
                &mut Given { an: An::ALL[1], ..given(server, 9, suite) }.tx(peer, 1, SciMode::Explicit),
                "InPktsNotUsingSA",
            );
            ca.send(&mut third.tx(stranger, 3, SciMode::Explicit), "InPktsNoSCI");
            ca.assert(&Dir::new());
        }
    }
}

#[test]
fn a_suite_or_an_offset_that_changes_is_followed() {
    let server = station("0200000000010001", 1);
    let peer = station("0200000000020001", 2);
    let mut ca = Ca::new();
    let saks = [
        given(server, 1, CipherSuite::GcmAes128),
        Given { offset: ConfidentialityOffset::Octets30, ..given(server, 2, CipherSuite::GcmAes128) },
        given(server, 3, CipherSuite::GcmAesXpn256),
        Given { an: An::ALL[1], ..given(server, 4, CipherSuite::GcmAes256) },
    ];
    ca.hello(peer);
    for (at, sak) in saks.iter().enumerate() {
        // Without an SCI in the SecTAG, from an end station and from one that does not say so.
        let mut txs = [(server, 2, SciMode::EndStation), (peer, 1, SciMode::Implicit)]
            .map(|(from, ssci, mode)| sak.tx(from, ssci, mode));
        if at % 2 == 0 {
            ca.send(&mut txs[0], "InPktsOK");
        }
        ca.distribute(sak, &[peer], 0);
        for tx in &mut txs {
            ca.send(tx, "InPktsOK");
        }
    }
    ca.assert(&Dir::new());
}

#[test]
fn frames_that_do_not_say_whose_they_are_are_those_of_whoever_protected_them() {
    let server = station("0200000000010001", 1);
    let peer = station("0200000000020001", 2);
    let host = MacAddr([2, 0, 0, 0, 0, 0x44]);
    for suite in CipherSuite::ALL {
        let mut ca = Ca::new();
        let [first, second] = [1, 2].map(|kn| given(server, kn, suite));
        let txs =
            |sak: &Given| [(server, 2), (peer, 1)].map(|(from, ssci)| sak.tx(from, ssci, SciMode::Implicit));
        let [mut from_server, mut from_peer] = txs(&first);
        let [mut from_server_again, mut from_peer_again] = txs(&second);
        ca.hello(peer);
        ca.distribute(&first, &[peer], 0);
        // The peer is tried for what the server sent, far ahead of the peer's own packet numbers.
        let early = ca.forward(&mut from_server, host, "InPktsOK");
        for _ in 0..5 {
            ca.forward(&mut from_server, peer.sci.mac(), "InPktsOK");
        }
        let recorded = ca.forward(&mut from_peer, host, "InPktsOK");
        ca.forward(&mut from_peer, server.sci.mac(), "InPktsOK");
        ca.forward(&mut from_server, host, "InPktsOK");
        ca.forward(&mut from_peer_again, host, "InPktsOK");
        ca.distribute(&second, &[peer], 0);
        ca.forward(&mut from_server_again, host, "InPktsOK");
        ca.forward(&mut from_peer, host, "InPktsOK");
        let last = ca.forward(&mut from_peer_again, host, "InPktsOK");
        ca.push(ca.frames[early].clone(), "InPktsLate");
        ca.push(ca.frames[recorded].clone(), "InPktsLate");
        ca.push(ca.frames[last].clone(), "InPktsLate");
        let mut forged = ca.frames[last].clone();
        *forged.last_mut().unwrap() ^= 1;
        ca.push(forged.clone(), "InPktsNoSCI");
        // Of a packet number that is still to come.
        forged[6..12].copy_from_slice(&peer.sci.mac().0);
        forged[16..20].copy_from_slice(&77u32.to_be_bytes());
        ca.push(forged, "InPktsNotValid");
        ca.forward(&mut from_peer_again, host, "InPktsOK");
        let dir = Dir::new();
        ca.assert(&dir);

        let rows = dir.verify_mka("mka.pcap").stdout;
        let count = |of: Station, kn: u32, name| {
            let is_row = |row: &Value| row["sci"] == of.sci.to_string() && row["kn"] == kn;
            let row = rows.lines().map(|line| serde_json::from_str(line).unwrap()).find(is_row).unwrap();
            row[name].as_u64().unwrap()
        };
        for (of, kn, ok, late, not_valid) in
            [(server, 1, 7, 1, 0), (server, 2, 1, 0, 0), (peer, 1, 3, 1, 0), (peer, 2, 3, 1, 1)]
        {
            let found = ["InPktsOK", "InPktsLate", "InPktsNotValid"].map(|name| count(of, kn, name));
            assert_eq!(found, [ok, late, not_valid], "{suite}: {}, KN {kn}", of.sci);
        }
    }
}

#[test]
fn the_only_station_sent_what_does_not_say_whose_it_is() {
    let server = station("0200000000010001", 1);
    let mut ca = Ca::new();
    let sak = given(server, 1, CipherSuite::GcmAes128);
    ca.distribute(&sak, &[], 0);
    let host = MacAddr([2, 0, 0, 0, 0, 0x44]);
    let other = given(server, 2, CipherSuite::GcmAes128);
    ca.forward(&mut other.tx(server, 1, SciMode::Implicit), host, "InPktsNotValid");
    ca.forward(&mut sak.tx(server, 1, SciMode::Implicit), host, "InPktsOK");
    ca.assert(&Dir::new());
}

#[test]
fn three_stations_share_an_xpn_sak() {
    let [a, b, c] = [("0200000000010001", 1), ("0200000000030001", 2), ("0200000000020001", 3)]
        .map(|(sci, mi)| station(sci, mi));
    // By SCI, and by the list whose second is the key server.
    for (ks_ssci, sscis) in [(0, [3, 1, 2]), (2, [2, 3, 1])] {
        let mut ca = Ca::new();
        let sak = given(a, 1, CipherSuite::GcmAesXpn128);
        ca.hello(b);
        ca.distribute(&sak, &[c, b], ks_ssci);
        for (from, ssci) in [a, b, c].into_iter().zip(sscis) {
            ca.send(&mut sak.tx(from, ssci, SciMode::Explicit), "InPktsOK");
        }
        ca.hello(c);
        ca.assert(&Dir::new());
    }
}

#[test]
fn a_member_that_is_never_heard_leaves_its_peer_readable() {
    let server = station("0200000000010001", 1);
    for (peer, ssci) in [(station("0200000000000001", 2), 1), (station("0200000000020001", 2), 2)] {
        let mut ca = Ca::new();
        let sak = given(server, 1, CipherSuite::GcmAesXpn256);
        ca.distribute(&sak, &[peer], 0);
        ca.send(&mut sak.tx(server, ssci, SciMode::Explicit), "InPktsOK");
        ca.send(&mut sak.tx(peer, 3 - ssci, SciMode::Explicit), "InPktsNoSCI");
        ca.assert(&Dir::new());
    }
}

#[test]
fn what_is_no_sak_is_said() {
    let server = station("0200000000010001", 1);
    let mut ca = Ca::new();
    let mut of_form = |form| {
        let sak = DistributedSak { an: An::ALL[0], confidentiality_offset: None, form };
        ca.mkpdu(server, &[], 0, Some(sak));
    };
    of_form(DistributedSakForm::PlainText);
    of_form(DistributedSakForm::GcmAes128 { kn: 1, wrapped: &[7; 24] });
    let wrapped = WrappedKey::new(&[7; 40]).unwrap();
    of_form(DistributedSakForm::Suite { kn: 2, suite: Err(0x1234), wrapped });
    let dir = Dir::new();
    dir.cak(&ca.cak, &ca.ckn);
    dir.capture("mka.pcap", &ca.frames);
    for (frame, why) in dir.inspected("mka.pcap").iter().zip(["unprotected", "damaged", "0000000000001234"]) {
        assert_eq!(frame["sak"]["unwrapped"], false);
        assert!(frame["sak"]["why"].as_str().unwrap().contains(why), "{frame}");
    }
    let words = dir.run(&["inspect", "--keys", "keys.toml", "mka.pcap"]);
    words.assert(0, &["WARN", "no MKPDU has a SAK that unwraps"]);
    for says in
        ["SAK: none is distributed: frames go unprotected", "SAK: not unwrapped: the wrapped key is damaged"]
    {
        assert!(words.stdout.contains(says), "{}", words.stdout);
    }
}
