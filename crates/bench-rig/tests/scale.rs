//! `bench scale` as users meet it. How fast anything is, is not asserted.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn command(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_macsec-gw-bench"));
    command.arg("scale").args(line.split_whitespace());
    command
}

fn run(line: &str) -> Output {
    command(line).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// Crypto workers that have a core, up to one.
fn workers() -> u64 {
    u64::from(std::thread::available_parallelism().unwrap().get() > 1)
}

#[test]
fn each_number_of_workers_has_a_row_and_a_report_has_them_too() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("report");
    let most = if workers() == 1 { "--workers 1" } else { "" };
    let ended = run(&format!(
        "--octets 64,imix --suite gcm-aes-128 --slices 3 {most} --json --report {}",
        directory.to_str().unwrap()
    ));
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    let rows: Vec<Value> =
        text(&ended.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut found = Vec::new();
    for row in &rows {
        for key in ["mpps", "gbit_l1", "gbit_l2", "speed_up"] {
            assert!(row[key].as_f64().unwrap() > 0.0, "{key}: {row}");
        }
        assert_eq!(
            (&row["suite"], row["efficiency"].is_null()),
            (&"gcm-aes-128".into(), row["workers"] == 0)
        );
        let workers = row["workers"].as_u64().unwrap();
        assert_eq!(row["cores"].as_u64().unwrap(), workers + 1);
        let frames = row.get("frame_octets").unwrap_or(&row["mix"]).to_string();
        found.push((row["path"].as_str().unwrap(), frames, workers));
    }
    let mut expected = Vec::new();
    for path in ["protect", "verify"] {
        for frames in ["64", "\"imix\""] {
            expected.extend((0..=workers()).map(|workers| (path, frames.to_owned(), workers)));
        }
    }
    assert_eq!(found, expected);
    assert_eq!(std::fs::read(directory.join("results.jsonl")).unwrap(), ended.stdout);
    let page = std::fs::read_to_string(directory.join("index.html")).unwrap();
    assert!(page.contains("gcm-aes-128, verify: rate") && page.contains("macsec-gw bench scale --octets"));
}

#[test]
fn people_get_a_table() {
    let ended = run("--octets 1518 --suite gcm-aes-xpn-256 --path verify --slices 3");
    let table = text(&ended.stdout);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    for words in ["Owner on core", "gcm-aes-xpn-256, verify", "1518 octets", "speed-up", "efficiency", "1.00"]
    {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert!(!table.contains("protect"), "{table}");
}

#[test]
fn bad_usage_is_status_2() {
    for (line, says) in [
        ("--workers 2 --cores 0", &["--workers 2: takes 3 cores", "--cores names 1 (0)"][..]),
        ("--cores 0,100000", &["--cores 0,100000: this process may not use 100000"]),
        ("--cores 0,0", &["each core once"]),
        ("--report /dev/null", &["is a file; name a directory"]),
    ] {
        let ended = run(line);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{line}: {said}");
        assert!(says.iter().all(|word| said.contains(word)), "{line}: {said}");
        assert!(ended.stdout.is_empty());
    }
}

#[test]
fn an_interrupted_run_shows_what_it_has() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().to_str().unwrap();
    let mut started =
        command(&format!("--octets 64,64,64,64,64,64,64,64 --slices 1000 --report {directory}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(started.try_wait().unwrap().is_none());
    let id = started.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let ended = started.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("interrupted"), "{}", text(&ended.stderr));
    assert!(home.path().join("index.html").exists());
}
