//! The program as `macsec-gw bench` starts it. How fast anything is, is not asserted.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_macsec-gw-bench")).args(arguments).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// A run that succeeds.
fn output(arguments: &[&str]) -> String {
    let ended = run(arguments);
    assert!(ended.status.success(), "{arguments:?}: {}", text(&ended.stderr));
    text(&ended.stdout)
}

#[test]
fn everyone_has_a_row_for_every_case() {
    let rows: Vec<Value> = output(&["gcm", "--octets", "48,76,imix", "--slices", "2", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let backends = |key: &str, mode: &str| {
        let of = rows.iter().filter(|row| row["mode"] == mode && row["suite"] == "gcm-aes-256");
        let of = of.filter(|row| row.get(key).is_some());
        of.filter(|row| row["direction"] != "open").map(|row| row["backend"].to_string()).collect::<Vec<_>>()
    };
    let all = backends("octets", "encrypt");
    assert!(all.contains(&"\"portable\"".to_owned()) && all.contains(&"\"aws-lc-rs\"".to_owned()), "{all:?}");
    assert_eq!(backends("octets", "integrity"), all);
    assert_eq!(backends("mix", "encrypt"), [&all[..], &all].concat(), "with one key, and with eight");
    assert_eq!(backends("keys", "encrypt"), all);
    let without_limit: Vec<String> = all.into_iter().filter(|name| name != "\"limit\"").collect();
    assert_eq!(backends("ns", "key-setup"), without_limit);
    for row in &rows {
        assert!(row["ns"].as_f64().unwrap() > 0.0, "{row}");
        if row["mode"] != "key-setup" {
            assert!(row["gbit_s"].as_f64().unwrap() > 0.0, "{row}");
            assert!(matches!(row["direction"].as_str(), Some("seal" | "open")), "{row}");
        }
    }
}

#[test]
fn people_get_a_table() {
    let table =
        output(&["gcm", "--octets", "48", "--slices", "1", "--suite", "gcm-aes-128", "--direction", "open"]);
    for word in
        ["bursts of 32", "gcm-aes-128, open", "48 octets", "portable", "cycles/octet", "setting up a key"]
    {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert!(!table.contains("gcm-aes-256") && !table.contains("seal"), "{table}");
}

#[test]
fn bad_usage_is_status_2() {
    for (arguments, says) in [
        (
            &["gcm", "--backend", "openssl"][..],
            &["--backend openssl: no such contender; there are", "portable"][..],
        ),
        (&["gcm", "--core", "100000"], &["--core 100000: this process may use"]),
        (&["gcm", "--mode", "integrity", "--octets", "imix"], &["--mode integrity knows no imix"]),
        (&["gcm", "--burst", "0"], &["--burst"]),
        (&["fly"], &["'fly'", "Usage: macsec-gw bench"]),
    ] {
        let ended = run(arguments);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(says.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
        assert!(ended.stdout.is_empty());
    }
}

#[test]
fn its_name_is_that_of_the_command() {
    for arguments in [&["--help"][..], &["gcm", "--help"]] {
        let help = output(arguments);
        assert!(help.contains("Usage: macsec-gw bench"), "{help}");
    }
}

#[test]
fn a_report_has_what_json_has() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("report");
    let shown = directory.to_str().unwrap();
    let only =
        ["--suite", "gcm-aes-128", "--direction", "seal", "--backend", "portable,limit", "--slices", "1"];
    let ended = run(&[&["gcm", "--json", "--report", shown], &only[..]].concat());
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert!(text(&ended.stderr).contains(&format!("report: {shown}/index.html")));
    assert_eq!(std::fs::read(directory.join("results.jsonl")).unwrap(), ended.stdout);
    let page = std::fs::read_to_string(directory.join("index.html")).unwrap();
    for word in [
        "macsec-gw bench gcm --json --report",
        "<th scope=\"row\">CPU</th>",
        "gcm-aes-128, seal: rate",
        "ns a key",
    ] {
        assert!(page.contains(word), "{word}: {page}");
    }
    // Before anything is measured.
    let refused = run(&["gcm", "--report", directory.join("index.html").to_str().unwrap()]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("index.html: is a file; name a directory") && refused.stdout.is_empty(), "{said}");
}

#[test]
fn an_interrupted_run_shows_what_it_has() {
    let home = tempfile::tempdir().unwrap();
    let report = home.path().to_str().unwrap();
    let line = ["gcm", "--octets", "48,76", "--suite", "gcm-aes-128", "--slices", "3000", "--report", report];
    let mut started = Command::new(env!("CARGO_BIN_EXE_macsec-gw-bench"));
    let mut started = started.args(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert!(started.try_wait().unwrap().is_none());
    let id = started.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let ended = started.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", text(&ended.stderr));
    assert!(text(&ended.stderr).contains("interrupted"), "{}", text(&ended.stderr));
    let page = std::fs::read_to_string(home.path().join("index.html")).unwrap();
    assert!(page.contains("AES-GCM, frame by frame") && page.contains("Time stamp counter"), "{page}");
}
