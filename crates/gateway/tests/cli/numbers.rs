//! Packet numbers over runs that end in every way.

use crate::signals::wait_for_frames;
use crate::support::{BASE, Dir, edited};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use wire::SecTag;

/// Runs the gateway until it is sent `signal`, and says which packet numbers it used.
fn run(dir: &Dir, signal: Signal, endless: bool) -> RangeInclusive<u32> {
    let input = if endless { "in.pcap,infinite_rx=1" } else { "in.pcap" };
    dir.config(&BASE.replace("in.pcap", input));
    drop(fs::remove_file(dir.path("counters.json")));
    let running = dir.start(&["--counters", "counters.json"]);
    wait_for_frames(dir, &running, 1000);
    running.signal(signal);
    let ended = running.end();
    assert!(ended.status.success() || signal == Signal::KILL, "{ended:#?}");
    let number = |octets: &[u8]| SecTag::new_checked(&octets[12..]).unwrap().pn();
    let numbers: Vec<_> = dir.captured("out.pcap").iter().map(|f| number(&f.octets)).collect();
    let (first, last) = (numbers[0], *numbers.last().unwrap());
    assert!(numbers.len() >= 1000 && numbers.iter().copied().eq(first..=last), "{first} to {last} with gaps");
    first..=last
}

#[test]
fn no_number_is_used_twice_whatever_ends_a_run() {
    let dir = Dir::new();
    let mut runs: Vec<(Signal, RangeInclusive<u32>)> = Vec::new();
    for (signal, endless) in [
        (Signal::TERM, false),
        (Signal::INT, true),
        (Signal::TERM, false),
        (Signal::KILL, true),
        (Signal::KILL, false),
        (Signal::TERM, true),
        (Signal::TERM, false),
    ] {
        let used = run(&dir, signal, endless);
        match runs.last() {
            None => assert_eq!(*used.start(), 1),
            Some((Signal::KILL, before)) => assert!(used.start() > before.end(), "{before:?}, then {used:?}"),
            Some((_, before)) => assert_eq!(*used.start(), before.end() + 1, "no gap after an orderly end"),
        }
        runs.push((signal, used));
    }
    let all: BTreeSet<u32> = runs.iter().flat_map(|(_, used)| used.clone()).collect();
    assert_eq!(all.len(), runs.iter().map(|(_, used)| used.clone().count()).sum::<usize>());
}

#[test]
fn a_state_directory_that_is_a_file_is_a_mistake_of_the_configuration() {
    let dir = Dir::new();
    dir.config(&edited(BASE, "state_dir = \"state\"", "state_dir = \"tx.key\""));
    let says = ["state directory tx.key: this is no directory", "name one in gateway.state_dir"];
    dir.run(&["run", "gateway.toml"]).assert(2, &says);
}

#[test]
fn the_state_directory_belongs_to_one_run() {
    let dir = Dir::new();
    dir.config(BASE);
    let running = dir.start(&[]);
    let says = ["state directory state: another macsec-gw uses it", "give each its own gateway.state_dir"];
    let second = edited(BASE, "\"socket\"", "\"other-socket\"");
    dir.config(&second);
    dir.run(&["run", "gateway.toml"]).assert(1, &says);
    let other = edited(&second, "\"state\"", "\"other-state\"");
    dir.config(&other);
    let says = ["link \"trial\": another link, or another macsec-gw here", "use a SAK of its own"];
    dir.run(&["run", "gateway.toml"]).assert(1, &says);
    running.signal(Signal::TERM);
    running.end().assert(0, &[]);
}

#[test]
fn a_state_directory_that_others_can_write_to_is_refused() {
    let dir = Dir::new();
    dir.config(BASE);
    fs::create_dir(dir.path("state")).unwrap();
    for mode in [0o777, 0o720] {
        dir.mode("state", mode);
        dir.run(&["run", "gateway.toml"])
            .assert(1, &["state directory state: others than its owner", "chmod 700 state"]);
    }
}

#[test]
fn a_new_salt_does_not_make_a_sak_new() {
    let dir = Dir::new();
    let config = BASE.replace("gcm-aes-128", "gcm-aes-xpn-128").replace("an = 0,", "an = 0, ssci = 1,");
    dir.config(&edited(&config, "20001\", an = 0, ssci = 1", "20001\", an = 0, ssci = 2"));
    let key = fs::read_to_string(dir.path("tx.key")).unwrap();
    for name in ["tx.key", "rx.key"] {
        let sak = fs::read_to_string(dir.path(name)).unwrap();
        dir.key(name, &format!("{sak}salt = \"e630e81a48de86a21c66fa6d\"\n"));
    }
    let running = dir.start(&[]);
    running.signal(Signal::TERM);
    running.end().assert(0, &[]);
    dir.key("tx.key", &format!("{key}salt = \"e630e81a48de86a21c66fa6e\"\n"));
    let says = ["link \"trial\": its SAK was used before with another salt", "use a new SAK"];
    dir.run(&["run", "gateway.toml"]).assert(1, &says);
}

#[test]
fn a_damaged_state_file_stops_the_start() {
    let dir = Dir::new();
    run(&dir, Signal::TERM, false);
    let state = fs::read_dir(dir.path("state")).unwrap().map(|e| e.unwrap().path());
    let files: Vec<_> = state.filter(|p| p.extension().is_some_and(|e| e == "pn")).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let name = format!("state file state/{}: damaged", file.file_name().unwrap().to_str().unwrap());
    for content in ["", "next_pn = 5\n", "next_pn = \"0x0000000000000000\"\n", "\0\0\0\0"] {
        fs::write(file, content).unwrap();
        let ended = dir.run(&["run", "gateway.toml"]);
        ended.assert(1, &[&name, "use a new SAK for this link, then delete the file"]);
        assert!(!ended.stderr.contains("READY"), "{ended:#?}");
        assert_eq!(fs::read_to_string(file).unwrap(), content, "left as it was");
    }
}

#[test]
fn used_up_numbers_stop_the_start() {
    let dir = Dir::new();
    dir.config(&BASE.replace("sak_file = \"tx.key\"", "sak_file = \"tx.key\", next_pn = 4294967290"));
    let running = dir.start(&["--counters", "counters.json"]);
    wait_for_frames(&dir, &running, 6);
    let status = dir.run(&["status", "--json", "--socket", "socket"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["secured"], false, "{status}");
    let error = status["last_error"]["text"].as_str();
    assert_eq!(error, Some("the SAK's packet numbers are used up: nothing is sent any more"));
    running.signal(Signal::TERM);
    running.end().assert(0, &["the SAK's packet numbers are used up"]);
    assert_eq!(dir.captured("out.pcap").len(), 6);
    let says = ["link \"trial\": all packet numbers of its SAK are used up", "use a new SAK at both ends"];
    dir.run(&["run", "gateway.toml"]).assert(1, &says);
}
