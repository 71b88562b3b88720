//! `bench rfc2544` as users meet it, on a ring of DPDK's that sends everything back. How fast it is, is not asserted.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

/// Without hugepages.
fn program(line: &str) -> Command {
    let arguments = ["rfc2544", "--no-huge", "--memory", "128"].into_iter().chain(line.split_whitespace());
    let mut program = Command::new(env!("CARGO_BIN_EXE_macsec-gw-bench"));
    program.args(arguments);
    program
}

fn run(line: &str) -> Output {
    program(line).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

#[test]
fn bad_usage_is_status_2() {
    for (line, says) in [
        ("--tx net_ring0", &["--rx <PORT>"][..]),
        ("--tx net_ring0 --rx net_ring0 --frame-sizes 32", &["'32'", "64 to 9728"]),
        ("--tx net_ring0 --rx net_ring0 --bidirectional", &["takes two ports"]),
        (
            "--tx net_ring0 --rx net_ring0 --cores 100000",
            &["--cores 100000", "this process may not use 100000"],
        ),
        ("--tx net_ring0 --rx net_ring0 --cores 0,0", &["--cores 0,0"]),
    ] {
        let ended = run(line);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{line}: {said}");
        assert!(says.iter().all(|word| said.contains(word)), "{line}: {said}");
        assert!(ended.stdout.is_empty());
    }
}

#[cfg(not(feature = "dpdk"))]
#[test]
fn without_ports_that_is_said() {
    let ended = run("--tx net_ring0 --rx net_ring0");
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("this build has no ports"));
}

#[cfg(feature = "dpdk")]
mod with_ports {
    use super::{program, run, text};
    use serde_json::Value;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    const LOOP: &str = "--tx net_ring0 --rx net_ring0 --drain 2000 --settle 1";

    fn on_a_ring(line: &str) -> String {
        let ended = run(&format!("{LOOP} {line}"));
        assert!(ended.status.success(), "{line}: {}", text(&ended.stderr));
        text(&ended.stdout)
    }

    fn started(line: &str) -> Child {
        let mut program = program(&format!("{LOOP} {line}"));
        program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn a_ring_loses_nothing() {
        let line = "--frame-sizes 64,1518,imix --trial 0.05 --rate 0.01 --flows 3 --vlans 2 --json";
        let rows: Vec<Value> =
            on_a_ring(line).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for size in [Value::from(64), Value::from(1518), Value::from("mix")] {
            let of = |test: &str| {
                let rows = rows.iter().filter(|row| row["test"] == test && row["frame_octets"] == size);
                rows.collect::<Vec<_>>()
            };
            assert_eq!((of("throughput").len(), of("latency").len(), of("back-to-back").len()), (1, 3, 1));
            assert!(of("loss").len() >= 2, "{rows:?}");
            for row in &rows {
                assert_eq!(
                    (&row["lost"], &row["duplicates"], &row["reordered"]),
                    (&0.into(), &0.into(), &0.into())
                );
                assert_eq!((&row["direction"], &row["passed"]), (&"forward".into(), &true.into()), "{row}");
                let ns = |key: &str| row["latency_ns"][key].as_f64().unwrap();
                assert!(0.0 < ns("p50") && ns("p50") <= ns("p99") && ns("p999") <= ns("max"), "{row}");
            }
            let line_fps = of("throughput")[0]["line_fps"].as_f64().unwrap();
            match size.as_u64() {
                Some(octets) => assert!((line_fps - 0.01e9 / 8.0 / (octets as f64 + 20.0)).abs() < 1.0),
                None => assert!(line_fps > 3000.0),
            }
        }
    }

    #[test]
    fn a_report_has_what_json_has() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("report");
        let shown = directory.to_str().unwrap();
        let line = format!("--frame-sizes 64,imix --trial 0.05 --rate 0.01 --json --report {shown}");
        let printed = on_a_ring(&line);
        assert_eq!(std::fs::read_to_string(directory.join("results.jsonl")).unwrap(), printed);
        let page = std::fs::read_to_string(directory.join("index.html")).unwrap();
        for words in [
            "macsec-gw bench rfc2544 --no-huge",
            "net_ring0 to net_ring0, core",
            "aria-label=\"Throughput",
            "aria-label=\"Latency at 10 % of the throughput\"",
            "aria-label=\"Frame loss",
            "aria-label=\"Back-to-back frames",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
        // Before a port is opened.
        let refused = run(&format!("--tx net_flying0 --rx net_flying0 --report {shown}/index.html"));
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("index.html: is a file; name a directory"), "{said}");
    }

    #[test]
    fn people_get_tables() {
        let table = on_a_ring("--frame-sizes 64 --trial 0.02 --test throughput,back-to-back");
        for words in
            ["net_ring0 to net_ring0", "1 flow", "what the generator reaches", "Throughput", "64 octets"]
        {
            assert!(table.contains(words), "{words}: {table}");
        }
        assert!(table.contains("Back-to-back") && !table.contains("Latency"), "{table}");
    }

    #[test]
    fn ports_between_which_nothing_passes_are_named() {
        let ended = run("--tx net_null0 --rx net_ring0 --settle 1 --drain 10 --wait 1 --frame-sizes 64");
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("nothing that is sent on net_null0 arrives at net_ring0"), "{said}");
        let ended = run("--tx net_flying0 --rx net_flying0");
        let said = text(&ended.stderr);
        assert!(said.contains("--tx: net_flying0") && ended.status.code() == Some(1), "{said}");
        assert_eq!(run("--tx 0000:xx --rx net_ring0").status.code(), Some(2));
    }

    #[test]
    fn who_stops_reading_has_the_report_nevertheless() {
        let home = tempfile::tempdir().unwrap();
        let mut started = started(&format!(
            "--frame-sizes 64 --trial 1 --rate 0.001 --test loss --report {}",
            home.path().display()
        ));
        let mut heading = String::new();
        // It is gone with this line.
        BufReader::new(started.stdout.take().unwrap()).read_line(&mut heading).unwrap();
        assert!(heading.contains("net_ring0 to net_ring0"), "{heading}");
        let ended = started.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{}", text(&ended.stderr));
        let page = std::fs::read_to_string(home.path().join("index.html")).unwrap();
        assert!(page.contains("aria-label=\"Frame loss"), "{page}");
    }

    #[test]
    fn an_interrupted_run_ends_at_once_and_says_so() {
        // Trials that nobody waits for.
        let home = tempfile::tempdir().unwrap();
        let mut started =
            started(&format!("--frame-sizes 64 --trial 3600 --test loss --report {}", home.path().display()));
        std::thread::sleep(Duration::from_secs(2));
        assert!(started.try_wait().unwrap().is_none());
        let id = started.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let ended = started.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        assert!(text(&ended.stderr).contains("interrupted"), "{}", text(&ended.stderr));
        assert!(home.path().join("index.html").exists(), "what there is, here nothing");
    }
}
