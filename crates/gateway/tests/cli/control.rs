//! `status` and `rekey`: what a running gateway can be asked.

use crate::support::{BASE, Dir, edited};
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt;

const ASK: [&str; 2] = ["--socket", "socket"];

#[test]
fn a_gateway_says_how_its_links_are() {
    let dir = Dir::new();
    dir.config(BASE);
    let running = dir.start(&[]);
    let mode = std::fs::metadata(dir.path("socket")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else's business");
    let shown = dir.run(&["status", ASK[0], ASK[1]]);
    shown.assert(0, &[]);
    for part in ["link \"trial\": secured", "static", "0200000000010001", "0200000000020001", "transmit"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    let json = dir.run(&["status", "--json", ASK[0], ASK[1]]);
    json.assert(0, &[]);
    let link: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (&link["link"], &link["secured"], &link["keys"]),
        (&"trial".into(), &true.into(), &"static".into())
    );
    assert_eq!(link["tx_sas"][0]["cipher_suite"], "gcm-aes-128");
    dir.run(&["rekey", "trial", ASK[0], ASK[1]]).assert(1, &["link \"trial\": its keys are static"]);
    dir.run(&["rekey", "other", ASK[0], ASK[1]])
        .assert(1, &["no link is named \"other\"; links here: trial"]);
    dir.run(&["rekey", ASK[0], ASK[1]]).assert(1, &["no link makes a new SAK"]);
    running.signal(Signal::TERM);
    running.end().assert(0, &[]);
    assert!(!dir.path("socket").exists());
    dir.run(&["status", ASK[0], ASK[1]])
        .assert(1, &["control socket socket: No such file", "is a gateway running"]);
}

#[test]
fn what_a_link_takes_from_its_line_is_told() {
    let dir = Dir::new();
    let suite = "cipher_suite = \"gcm-aes-128\"";
    let should = "policy = \"should-secure\"";
    for (keys, says) in [
        (String::new(), "encrypted with gcm-aes-128, nothing else passes"),
        (
            format!("{should}\nvalidate_frames = \"strict\"\n"),
            "encrypted with gcm-aes-128, nothing else passes",
        ),
        (
            format!("{should}\n"),
            "encrypted with gcm-aes-128, frames without MACsec, and what is not authentic but readable, are DELIVERED",
        ),
        (
            format!("{should}\nvalidate_frames = \"disabled\"\nprotect_frames = false\n"),
            "NOT protected, frames are DELIVERED UNVERIFIED",
        ),
    ] {
        dir.config(&edited(BASE, suite, &format!("{keys}{suite}")));
        let ended = dir.run(&["check", "gateway.toml"]);
        ended.assert(0, &[]);
        assert!(ended.stdout.contains(says), "{says}: {}", ended.stdout);
    }
}

#[test]
fn a_link_without_its_peer_says_so_and_sends_nothing() {
    let dir = Dir::new();
    let (head, _) = BASE.split_once("[link.static]").unwrap();
    dir.config(&format!("{head}[link.mka]\ncak_file = \"cak.key\"\n"));
    dir.key("cak.key", &dir.run(&["keygen"]).stdout);
    dir.run(&["check", "gateway.toml"]).assert(0, &[]);
    let mut running = dir.start(&["--counters", "counters.json"]);
    let shown = dir.run(&["status", ASK[0], ASK[1]]);
    shown.assert(0, &[]);
    for part in ["link \"trial\": NOT secured", "no other station is live", "CKN"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    dir.run(&["rekey", "trial", ASK[0], ASK[1]]).assert(1, &["this side is not its key server"]);
    running.wait_for("no MKPDU has come for 10 s: is the other side up");
    running.signal(Signal::INT);
    running.end().assert(0, &["stopping: 0 of "]);
    let sent = dir.captured("out.pcap");
    assert!(sent.len() > 5, "{}", sent.len());
    assert!(
        sent.iter().all(|f| f.octets[..6] == [1, 0x80, 0xc2, 0, 0, 3] && f.octets[12..14] == [0x88, 0x8e])
    );
}

#[test]
fn a_socket_that_cannot_be_had_is_told() {
    let dir = Dir::new();
    dir.config(BASE);
    let running = dir.start(&[]);
    let second = edited(BASE, "state_dir = \"state\"", "state_dir = \"state2\"");
    dir.config(&second.replace("net_pcap0", "net_pcap2").replace("net_pcap1", "net_pcap3"));
    dir.run(&["run", "gateway.toml"]).assert(1, &["control socket socket: another macsec-gw has it"]);
    running.signal(Signal::TERM);
    running.end().assert(0, &[]);
    for (name, says) in
        [("no/such", "No such file"), ("gateway.toml", "a file of this name that is no socket")]
    {
        dir.config(&edited(BASE, "\"socket\"", &format!("\"{name}\"")));
        dir.run(&["run", "gateway.toml"]).assert(2, &["control socket", says, "gateway.control_socket"]);
    }
}
