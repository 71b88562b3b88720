//! `bench gateway` as users meet it. How fast anything is, is not asserted.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

fn program(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_macsec-gw-bench"));
    command.arg("gateway").args(line.split_whitespace());
    command
}

/// Who measures latency wants the cores, and the other tests meanwhile none.
static ALONE: RwLock<()> = RwLock::new(());

fn beside_others() -> RwLockReadGuard<'static, ()> {
    ALONE.read().unwrap_or_else(PoisonError::into_inner)
}

fn run(line: &str) -> Output {
    let _beside = beside_others();
    program(line).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// Objects that a run that succeeds prints.
fn rows(ended: &Output) -> Vec<Value> {
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    text(&ended.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn paths(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["path"].as_str().unwrap()).collect()
}

fn assert_keys(row: &Value, keys: &[&str]) {
    for key in keys {
        assert!(row.get(key).is_some(), "{key}: {row}");
    }
    assert!(row.get("frame_octets").is_some() != row.get("mix").is_some(), "{row}");
}

/// What every row of rates was promised to have.
const RATE: [&str; 10] =
    ["suite", "path", "ports", "mpps", "gbit_l1", "gbit_l2", "cycles", "clear_share", "io_share", "cores"];

#[test]
fn bad_usage_is_status_2() {
    for (line, says) in [
        ("--ports replay --latency", "--latency takes --ports memory"),
        ("--ports replay --duplex", "--duplex takes --ports memory"),
        ("--ports replay --path both --no-huge", "--path both takes --ports memory"),
        ("--ports wire", "memory, replay"),
        ("--no-huge", "for --ports replay"),
        ("--latency --duplex", "cannot be used with"),
        ("--duplex --path protect", "cannot be used with"),
        ("--core 100000", "--core 100000: this process may use"),
        ("--octets 63", "64 to 9604"),
    ] {
        let ended = run(line);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains(says), "{line}: {said}");
        assert!(ended.stdout.is_empty());
    }
}

#[test]
fn a_report_has_what_json_has() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("report");
    let only = "--suite gcm-aes-128 --octets 64,imix --slices 1 --json";
    let ended = run(&format!("{only} --report {}", directory.display()));
    let rows = rows(&ended);
    assert_eq!(paths(&rows), ["clear", "protect", "verify", "both"].repeat(2));
    for row in &rows {
        assert_keys(row, &RATE);
        assert_eq!(
            (&row["ports"], &row["io_share"], &row["cores"]),
            (&"memory".into(), &Value::Null, &1.into())
        );
        assert!(row["mpps"].as_f64().unwrap() > 0.0 && row["clear_share"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert_eq!(std::fs::read(directory.join("results.jsonl")).unwrap(), ended.stdout);
    let page = std::fs::read_to_string(directory.join("index.html")).unwrap();
    for words in [
        "macsec-gw bench gateway --suite",
        "gcm-aes-128: rate",
        "how near to the engine",
        "verify: where the time of a frame goes",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

/// Rows of several runs, so many that each path has told both of its latencies. While a machine has other work, generator and
/// receiver may be kept from theirs in most slices of a run.
fn told(line: &str) -> Vec<Value> {
    let (mut all, mut missing) = (Vec::new(), BTreeSet::new());
    for path in ["protect", "verify", "both"] {
        missing.extend(["latency_ns", "own_ns"].map(|of| (path.to_owned(), of)));
    }
    for _ in 0..30 {
        let ended = program(line).output().unwrap();
        let rows = rows(&ended);
        assert_eq!(paths(&rows), ["protect", "verify", "both"]);
        let is_told = |row: &Value, of: &str| row[of].is_object();
        let has_all = rows.iter().all(|row| is_told(row, "latency_ns") && is_told(row, "own_ns"));
        let said = text(&ended.stderr);
        assert_eq!(has_all, !said.contains("so that there is no latency"), "{said}");
        for row in &rows {
            missing.retain(|(path, of)| row["path"] != **path || !is_told(row, of));
        }
        all.extend(rows);
        if missing.is_empty() {
            return all;
        }
    }
    panic!("this machine has too much other work for {missing:?}");
}

#[test]
fn latency_is_told_with_what_the_rig_has_of_it() {
    let line = "--latency --suite gcm-aes-xpn-128 --octets 64 --slices 5";
    let alone = ALONE.write().unwrap_or_else(PoisonError::into_inner);
    let rows = told(&format!("{line} --json"));
    drop(alone);
    for row in &rows {
        assert_keys(
            row,
            &["suite", "path", "max_mpps", "offered_mpps", "latency_ns", "own_ns", "left_out", "cores"],
        );
        assert!(row["kept_up"].is_number(), "{row}");
        assert_eq!(row["core_away"].is_null(), row["cores"] == 1, "{row}");
        // With one core nobody can tell.
        let limits: [Value; 2] = ["gateway".into(), "generator".into()];
        assert!(
            if row["cores"] == 1 { row["limit"].is_null() } else { limits.contains(&row["limit"]) },
            "{row}"
        );
        for of in ["latency_ns", "own_ns"].into_iter().filter(|of| !row[*of].is_null()) {
            let ns = |key: &str| row[of][key].as_f64().unwrap();
            assert!(ns("p50") > 0.0, "{row}");
            assert!(ns("p50") <= ns("p99") && ns("p99") <= ns("p999") && ns("p999") <= ns("max"), "{row}");
        }
    }
    let home = tempfile::tempdir().unwrap();
    let ended = run(&format!("{line} --path protect --report {}", home.path().display()));
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    let page = std::fs::read_to_string(home.path().join("index.html")).unwrap();
    for shown in [text(&ended.stdout), page] {
        assert!(shown.contains("own: median") && shown.contains("99.9 %"), "{shown}");
    }
}

#[test]
fn both_directions_at_once() {
    let line = "--duplex --suite gcm-aes-256 --octets 64 --slices 1";
    if std::thread::available_parallelism().unwrap().get() < 2 {
        let ended = run(line);
        assert_eq!(ended.status.code(), Some(2));
        assert!(text(&ended.stderr).contains("--duplex takes two cores"), "{}", text(&ended.stderr));
        return eprintln!("SKIPPED: with one core there is no --duplex to test");
    }
    let rows = rows(&run(&format!("{line} --json")));
    assert_eq!(paths(&rows), ["protect", "verify"]);
    for row in &rows {
        assert_keys(
            row,
            &["suite", "path", "mpps_alone", "mpps_together", "kept", "gbit_l1", "gbit_l2", "cores"],
        );
        assert_eq!(row["cores"], 1, "{row}");
        let [alone, together, kept] =
            ["mpps_alone", "mpps_together", "kept"].map(|key| row[key].as_f64().unwrap());
        assert!((together / alone - kept).abs() < 0.01, "{row}");
    }
    let table = text(&run(line).stdout);
    assert!(table.contains("physical ones") && table.contains("kept"), "{table}");
}

#[test]
fn an_interrupted_run_ends_at_once_and_says_so() {
    for mode in ["", "--latency", "--duplex"] {
        if mode == "--duplex" && std::thread::available_parallelism().unwrap().get() < 2 {
            eprintln!("SKIPPED: with one core there is no --duplex to interrupt");
            continue;
        }
        interrupted(&format!("{mode} --octets 64 --slices 10000"));
    }
}

#[test]
fn who_stops_reading_has_the_report_nevertheless() {
    let _beside = beside_others();
    for format in ["", "--json"] {
        let home = tempfile::tempdir().unwrap();
        let line = format!(
            "--suite gcm-aes-128 --octets 64,128 --slices 50 {format} --report {}",
            home.path().display()
        );
        let mut started = program(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The heading, or rows of the first size; then it is gone.
        let mut first = String::new();
        BufReader::new(started.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        let ended = started.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{}", text(&ended.stderr));
        let results = std::fs::read_to_string(home.path().join("results.jsonl")).unwrap();
        assert_eq!(results.lines().count(), 8, "{results}");
    }
}

/// A run that nobody waits for, ended by Ctrl-C; by a later one where a busy machine had measured nothing yet.
fn interrupted(line: &str) {
    let _beside = beside_others();
    for seconds in [2, 4, 8, 16] {
        let ended = interrupted_after(line, Duration::from_secs(seconds));
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains("interrupted; what is printed was found until then"), "{line}: {said}");
        let printed = text(&ended.stdout);
        let Some(row) = printed.lines().next() else { continue };
        // Of the slices until then.
        let remark = "gcm-aes-128, 64 octets: interrupted; medians are of the slices";
        assert!(said.contains(remark), "{line}: {said}");
        let row: Value = serde_json::from_str(row).unwrap();
        let rate = ["mpps", "max_mpps", "mpps_together"].iter().find_map(|key| row[key].as_f64());
        assert!(rate.unwrap() > 0.0, "{line}: {printed}");
        return;
    }
    panic!("{line}: nothing was found in 16 s");
}

fn interrupted_after(line: &str, time: Duration) -> Output {
    let mut program = program(&format!("{line} --json"));
    // Without a forwarder, which takes its time to start.
    program.env("PATH", "").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut started = program.spawn().unwrap();
    std::thread::sleep(time);
    assert!(started.try_wait().unwrap().is_none(), "{line}");
    let id = started.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    started.wait_with_output().unwrap()
}

#[cfg(not(feature = "dpdk"))]
#[test]
fn without_ports_that_is_said() {
    let ended = run("--ports replay --no-huge");
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("this build has no ports"));
}

#[cfg(feature = "dpdk")]
mod replayed {
    use super::{RATE, assert_keys, beside_others, interrupted, paths, program, rows, text};
    use serde_json::Value;

    const REPLAY: &str = "--ports replay --no-huge --memory 128 --slices 2";

    #[test]
    fn captures_come_again_and_again() {
        let line = format!("{REPLAY} --suite gcm-aes-128,gcm-aes-xpn-256 --octets 64,1518,9000,imix --json");
        let _beside = beside_others();
        // Where nothing is installed.
        let ended = program(&line).env("PATH", "").output().unwrap();
        let rows = rows(&ended);
        assert_eq!(paths(&rows), ["clear", "protect", "verify"].repeat(8));
        for row in &rows {
            assert_keys(row, &RATE);
            assert_eq!((&row["ports"], &row["io_share"]), (&"replay".into(), &Value::Null));
            assert!(row["mpps"].as_f64().unwrap() > 0.0, "{row}");
        }
        let said = text(&ended.stderr);
        assert!(said.contains("dpdk-testpmd is not installed"), "{said}");
    }

    #[test]
    fn a_forwarder_beside_it() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|place| place.join("dpdk-testpmd").is_file()) {
            return eprintln!("SKIPPED: dpdk-testpmd is not installed");
        }
        let _beside = beside_others();
        let line = format!("{REPLAY} --suite gcm-aes-128 --octets 64 --path protect");
        let ended = program(&format!("{line} --json")).output().unwrap();
        for row in rows(&ended) {
            let said = text(&ended.stderr);
            // It takes memory too, which there may not be. Then that is said.
            let share = row["io_share"].as_f64();
            assert!(
                share.is_some_and(|share| share > 0.0) || said.contains("dpdk-testpmd: "),
                "{row}: {said}"
            );
        }
        let table = program(&line).env("PATH", "").output().unwrap();
        assert!(text(&table.stdout).contains("of io"), "{}", text(&table.stderr));
    }

    #[test]
    fn an_interrupted_replay_ends_at_once_too() {
        interrupted("--ports replay --no-huge --memory 128 --octets 64 --slices 10000");
    }
}
