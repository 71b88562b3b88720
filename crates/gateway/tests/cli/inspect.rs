//! `inspect`, without a CAK.

use crate::support::{Dir, KEYS, SECRETS, edited, frames, pcap};
use serde_json::Value;
use std::fs;
use testkit::{mka_captures, static_captures};

fn rows(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn mkpdus_and_sectags_are_shown_field_by_field() {
    let dir = Dir::new();
    let capture = mka_captures().pop().unwrap();
    let input = capture.path.to_str().unwrap();
    let ended = dir.run(&["inspect", input]);
    ended.assert(0, &[]);
    assert!(ended.stderr.is_empty(), "{ended:#?}");
    let mkpdu = [
        "frame 14, 3.200767 s, 02:00:00:00:00:01 to 01:80:c2:00:00:03, 246 octets: MKPDU\n",
        "    MN: 8\n",
        "    peer: MI ea3bed894c8b47da55899573, MN 5\n",
        "    wrapped key: 6caf4faf",
        "  ICV: 04a297a59d15bc4dd3547128f692d675\n",
    ];
    let macsec = "frame 13, 3.139978 s, 02:00:00:00:00:01 to 33:33:00:00:00:16, 122 octets: MACsec\n  SecTAG\n    \
        TCI: V 0, ES 0, SC 1, SCB 0, E 1, C 1\n    AN: 1\n    SL: 0\n    PN: 1\n    SCI: 0200000000010001\nframe 14";
    for says in mkpdu.into_iter().chain([macsec]) {
        assert!(ended.stdout.contains(says), "{says}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("verdict"), "{}", ended.stdout);

    let rows = rows(&dir.run(&["inspect", "--json", input]).stdout);
    assert_eq!(rows.len(), capture.frames.len());
    let mkpdu = &rows[13];
    assert_eq!((&mkpdu["frame"], &mkpdu["kind"]), (&14.into(), &"MKPDU".into()));
    assert_eq!(mkpdu["source"], "02:00:00:00:00:01");
    let basic = &mkpdu["mkpdu"]["basic"];
    assert_eq!((&basic["SCI"], &basic["MN"]), (&"0200000000010001".into(), &8.into()));
    let types: Vec<_> =
        mkpdu["mkpdu"]["sets"].as_array().unwrap().iter().map(|s| s["type"].clone()).collect();
    assert_eq!(types, [1, 3, 4, 7, 8]);
    assert_eq!((&mkpdu["icv_verdict"], &mkpdu["sak"]), (&Value::Null, &Value::Null));
    let tag = &rows[12]["sectag"];
    assert_eq!(
        (&tag["SC"], &tag["AN"], &tag["PN"], &tag["SL"]),
        (&true.into(), &1.into(), &1.into(), &0.into())
    );
    assert_eq!((&tag["SCI"], &rows[12]["verdict"]), (&"0200000000010001".into(), &Value::Null));
}

#[test]
fn all_captures_are_read_to_their_end() {
    let dir = Dir::new();
    for capture in mka_captures() {
        let input = capture.path.to_str().unwrap();
        for json in [false, true] {
            let ended = dir.run(&[&["inspect", input][..], if json { &["--json"] } else { &[] }].concat());
            ended.assert(0, &[]);
            let lines = ended.stdout.lines().filter(|l| json || l.starts_with("frame "));
            assert_eq!(lines.count(), capture.frames.len());
        }
    }
    for (name, captured) in testkit::foreign_captures() {
        let dir = Dir::new();
        let octets: Vec<_> = captured.iter().map(|f| f.octets.clone()).collect();
        dir.capture(&name, &octets);
        let ended = dir.run(&["inspect", "--json", &name]);
        ended.assert(0, &[]);
        assert_eq!(rows(&ended.stdout).len(), octets.len());
    }
}

#[test]
fn static_keys_give_verdicts() {
    for link in static_captures() {
        let dir = Dir::new();
        let mut keys = format!("cipher_suite = \"{}\"\n", link.suite);
        for c in &link.channels {
            keys += &format!(
                "[[sa]]\nsci = \"{}\"\nan = {}\nsak = \"{}\"\nnext_pn = {}\n",
                c.sci,
                c.an,
                c.sak.to_hex().as_str(),
                c.first_pn
            );
            if let Some((ssci, salt)) = c.xpn {
                keys += &format!("ssci = {}\nsalt = \"{salt}\"\n", ssci.0);
            }
        }
        dir.key("keys.toml", &keys);
        let ended = dir.run(&["inspect", "--json", "--keys", "keys.toml", link.path.to_str().unwrap()]);
        ended.assert(0, &[]);
        for row in rows(&ended.stdout) {
            let verdict = if row["kind"] == "MACsec" { "InPktsOK".into() } else { Value::Null };
            assert_eq!(row["verdict"], verdict, "{row}");
        }
    }
    let dir = Dir::new();
    dir.run(&["pcap", "protect", "--keys", "keys.toml", "in.pcap", "protected.pcap"]).assert(0, &[]);
    dir.key("keys.toml", &edited(KEYS, SECRETS[0], SECRETS[1]));
    let ended = dir.run(&["inspect", "--keys", "keys.toml", "protected.pcap"]);
    ended.assert(0, &[]);
    assert_eq!(ended.stdout.matches("  verdict: InPktsNotValid\n").count(), 1000);
}

#[test]
fn malformed_frames_take_a_line() {
    let dir = Dir::new();
    let frame = |after: &[u8]| [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], after].concat();
    let mut long = frame(&[0x88, 0x8e, 3, 5, 0, 60]);
    long.resize(60, 0);
    dir.capture(
        "bad.pcap",
        &[
            frame(&[8, 0]),
            frame(&[0x81, 0, 0, 7]),
            frame(&[0x88, 0xe5, 0x80, 0, 0, 0, 0, 1]),
            frame(&[0x88, 0xe5, 0, 0, 0, 0, 0, 1]),
            frame(&[0x88, 0x8e, 3]),
            frame(&[0x88, 0x8e, 3, 1, 0, 0]),
            frame(&[0x88, 0x8e, 3, 5, 0, 0]),
            long,
            vec![1, 2, 3],
        ],
    );
    let ended = dir.run(&["inspect", "bad.pcap"]);
    ended.assert(0, &[]);
    for says in [
        "frame 1, 0.000000 s, 02:00:00:00:00:01 to 02:00:00:00:00:02, 14 octets: ethertype 0800\n",
        "16 octets: frame, malformed: it ends within",
        "20 octets: MACsec, malformed: the version bit is set\n",
        "  malformed: 0 octets after the SecTAG where 64 are needed\n",
        "15 octets: EAPOL, malformed: ",
        "18 octets: EAPOL-Start\n",
        "18 octets: EAPOL-MKA, malformed: an MKPDU of 0 octets",
        "60 octets: EAPOL, malformed: the EAPOL header announces 60 octets",
        "s, 3 octets: frame, malformed: it ends within",
    ] {
        assert!(ended.stdout.contains(says), "{says}: {}", ended.stdout);
    }
    let rows = rows(&dir.run(&["inspect", "--json", "bad.pcap"]).stdout);
    assert_eq!(rows.len(), 9);
    assert_eq!(rows[6]["kind"], "EAPOL-MKA");
    assert!(rows[6]["malformed"].is_string() && rows[5]["malformed"].is_null());
}

#[test]
fn files_that_are_no_capture() {
    let dir = Dir::new();
    let whole = fs::read(dir.path("in.pcap")).unwrap();
    dir.write("text.pcap", "this is no capture at all, however long");
    dir.write("cut.pcap", &whole[..whole.len() - 1]);
    dir.write("wifi.pcap", pcap(105, &frames(1)));
    dir.key("cak.toml", &format!("cak = \"{}\"\nckn = \"01\"\n", SECRETS[2]));
    let keys: [&[&str]; 3] = [&[], &["--keys", "keys.toml"], &["--keys", "cak.toml"]];
    for (input, says) in [
        ("text.pcap", &["text.pcap: ", "a pcap or pcapng capture is needed"][..]),
        ("wifi.pcap", &["wifi.pcap: link type IEEE802_11", "Ethernet is needed"]),
        ("gone.pcap", &["gone.pcap: No such file"]),
        (".", &[".: Is a directory"]),
        ("cut.pcap", &["cut.pcap: the file ends in the middle"]),
    ] {
        for keys in keys {
            let ended = dir.run(&[&["inspect", input][..], keys].concat());
            ended.assert(1, says);
            // What is there before the damage is shown, unless all had to be read first.
            let shown = if input == "cut.pcap" && keys.last() != Some(&"cak.toml") { 999 } else { 0 };
            assert_eq!(ended.stdout.matches("ethertype 0800").count(), shown, "{input} {keys:?}");
        }
        let before = dir.list();
        let arguments = ["pcap", "verify", "--keys", "cak.toml", input, "out.pcap"];
        dir.run(&arguments).assert(1, says);
        assert_eq!(dir.list(), before, "{input}");
    }
}

#[test]
fn keys_that_are_wrong_or_for_others_to_read() {
    let dir = Dir::new();
    dir.run(&["inspect", "--keys", "gone.toml", "in.pcap"])
        .assert(2, &["gone.toml: No such file", "name a TOML file"]);
    dir.mode("keys.toml", 0o644);
    let warned = dir.run(&["inspect", "--keys", "keys.toml", "in.pcap"]);
    warned.assert(0, &["WARN", "keys.toml: others than its owner", "chmod 600"]);
    for (text, says) in [
        (
            format!("cak = \"{}\"\nckn = \"01\"\n", SECRETS[3]),
            &["keys.toml:1: cak: ", "15 octets", "32 or 64 hex digits"],
        ),
        (
            format!("cak = \"{}\"\nckn = 1\n", SECRETS[0]),
            &["keys.toml:2: ckn: ", "text in quotes", "2 to 64 hex digits"],
        ),
        (
            format!("cka = \"{}\"\nckn = \"01\"\n", SECRETS[0]),
            &["keys.toml:1: cka: ", "did you mean cak?", "cak: is missing"],
        ),
    ] {
        dir.key("keys.toml", &text);
        let ended = dir.run(&["inspect", "--keys", "keys.toml", "in.pcap"]);
        ended.assert(2, says);
        assert!(ended.stdout.is_empty(), "{ended:#?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let dir = Dir::new();
    let program = crate::support::PROGRAM;
    let script = format!("{{ {program} inspect in.pcap; echo status $? >&2; }} | head -n 1");
    let ended = crate::support::Running::start(dir.command("sh", &["-c", &script])).end();
    ended.assert(0, &["status 0"]);
    let full = dir.command("sh", &["-c", &format!("{program} inspect in.pcap > /dev/full")]);
    crate::support::Running::start(full).end().assert(1, &["No space left"]);
}
