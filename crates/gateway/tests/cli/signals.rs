//! `run` from READY to its end.

use crate::support::{BASE, Dir, PROGRAM, Running, counter, edited, is_root, rows, skip};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What an end may take.
const SOON: Duration = Duration::from_secs(1);

#[test]
fn sigterm_and_sigint_end_it_at_once_with_its_counters_written() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = Dir::new();
        dir.config(BASE);
        // A machine that is busy with other tests may be late once.
        let mut times = Vec::new();
        while times.len() < 3 && !times.iter().any(|t| *t < SOON) {
            let running = dir.start(&["--counters", "counters.json"]);
            assert!(running.stderr().lines().any(|line| line == "READY trial"), "{}", running.stderr());
            wait_for_frames(&dir, &running, 1000);
            fs::remove_file(dir.path("counters.json")).unwrap();
            let asked = Instant::now();
            running.signal(signal);
            let ended = running.end();
            times.push(asked.elapsed());
            ended.assert(0, &["stopping: 1000 of 1000 frames protected and sent, 0 of 0 verified"]);
            assert!(ended.stdout.is_empty(), "{ended:#?}");
            let counters = rows(&dir.path("counters.json"));
            assert_eq!(counter(&counters, &[("scope", "tx_sc")], "OutPktsEncrypted"), Some(1000));
            assert_eq!(counter(&counters, &[("direction", "protect")], "tx_frames"), Some(1000));
            let mode = fs::metadata(dir.path("counters.json")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o644, "a monitor that is not root reads it");
        }
        assert!(times.iter().any(|t| *t < SOON), "{signal:?}: {times:?}");
    }
}

#[test]
fn sigusr1_writes_counters_and_frames_go_on() {
    let dir = Dir::new();
    dir.config(
        &BASE
            .replace("in.pcap", "in.pcap,infinite_rx=1")
            .replace("tx_pcap=DIR/out.pcap", "tx_pcap=/dev/null"),
    );
    let running = dir.start(&["--counters", "counters.json"]);
    let first = wait_for_frames(&dir, &running, 1);
    let more = wait_for_frames(&dir, &running, first + 1);
    assert!(more > first);
    assert!(running.stderr().contains("frames protected and sent"), "{}", running.stderr());
    running.signal(Signal::HUP);
    wait_for_frames(&dir, &running, more + 1);
    running.signal(Signal::TERM);
    running.end().assert(0, &["SIGHUP: reloading comes in a later release; restart"]);
}

#[test]
fn a_stop_before_ready_is_a_stop_too() {
    let dir = Dir::new();
    dir.config(BASE);
    for delay in [1, 20, 60] {
        let running = Running::start(dir.program(&["run", "gateway.toml"]));
        std::thread::sleep(Duration::from_millis(delay));
        running.signal(Signal::TERM);
        let ended = running.end();
        // Before the program listens to it, the signal just ends it.
        assert!(ended.status.success() || ended.stderr.is_empty(), "{ended:#?}");
    }
}

#[test]
fn a_start_that_waits_for_a_file_says_so_and_can_be_cut_short() {
    let dir = Dir::new();
    dir.config(BASE);
    let config = fs::read_to_string(dir.path("gateway.toml")).unwrap();
    assert!(dir.command("mkfifo", &["pipe.toml"]).status().unwrap().success());
    for cut in [true, false] {
        // Who reads from a pipe waits until somebody writes.
        let mut running = Running::start(dir.program(&["run", "pipe.toml"]));
        running.wait_for_listening(Signal::TERM);
        running.signal(Signal::TERM);
        running.wait_for("asked to stop, but the start waits for a file or a device");
        std::thread::sleep(Duration::from_millis(100));
        assert!(running.goes_on());
        if cut {
            running.signal(Signal::TERM);
            running.end().assert(1, &["Another SIGINT or SIGTERM ends it at once"]);
        } else {
            // What it was asked for it does once it can.
            fs::write(dir.path("pipe.toml"), &config).unwrap();
            running.end().assert(0, &["READY trial", "stopping: "]);
        }
    }
}

#[test]
fn counters_that_could_never_be_written_are_told_before_anything_starts() {
    let dir = Dir::new();
    dir.config(BASE);
    let before = dir.list();
    for (file, reason) in [("gone/counters.json", "No such file"), (".", "Is a directory")] {
        let ended = dir.run(&["run", "gateway.toml", "--counters", file]);
        ended.assert(
            2,
            &[&format!("--counters {file}: {reason}"), "name a file in a directory that is there"],
        );
        assert!(!ended.stderr.contains("READY") && !ended.stderr.contains("/."), "{}", ended.stderr);
        assert_eq!(dir.list(), before);
    }
}

#[test]
fn counters_that_cannot_be_written_any_more_hide_no_other_error() {
    let dir = Dir::new();
    dir.config(BASE);
    fs::create_dir(dir.path("gone")).unwrap();
    let mut running = dir.start(&["--counters", "gone/counters.json"]);
    fs::remove_dir(dir.path("gone")).unwrap();
    running.signal(Signal::USR1);
    running.wait_for("writing counters to gone/counters.json: No such file");
    fs::remove_dir_all(dir.path("state")).unwrap();
    running.signal(Signal::TERM);
    let says = ["\nwriting counters to gone/counters.json: No such file", "macsec-gw: state file state/"];
    running.end().assert(1, &says);
}

#[test]
fn an_end_that_waits_for_a_disk_says_so_and_can_be_cut_short() {
    let dir = Dir::new();
    dir.config(BASE);
    let mut running = dir.start(&["--counters", "counters.json"]);
    wait_for_frames(&dir, &running, 1000);
    let mut files = fs::read_dir(dir.path("state")).unwrap().map(|file| file.unwrap().file_name());
    let numbers = files.find(|name| name.to_string_lossy().ends_with(".pn")).unwrap();
    let numbers = format!("state/{}", numbers.to_string_lossy());
    let reserved = fs::read_to_string(dir.path(&numbers)).unwrap();
    // Who writes to a pipe waits until somebody reads.
    assert!(dir.command("mkfifo", &[&format!("{numbers}.new")]).status().unwrap().success());
    let asked = Instant::now();
    running.signal(Signal::TERM);
    // One Ctrl-C may be several signals.
    std::thread::sleep(Duration::from_millis(50));
    running.signal(Signal::INT);
    running.wait_for("the end waits for packet numbers and counters to be written");
    assert!(asked.elapsed() >= Duration::from_secs(1));
    std::thread::sleep(Duration::from_millis(100));
    assert!(running.goes_on());
    running.signal(Signal::INT);
    running.end().assert(1, &["Another SIGINT or SIGTERM ends it at once"]);
    assert_eq!(fs::read_to_string(dir.path(&numbers)).unwrap(), reserved);
    // The next run goes on behind what was reserved.
    fs::remove_file(dir.path(&format!("{numbers}.new"))).unwrap();
    let running = dir.start(&["--counters", "counters.json"]);
    wait_for_frames(&dir, &running, 1000);
    running.signal(Signal::TERM);
    running.end().assert(0, &["stopping: 1000 of 1000 frames protected and sent"]);
    assert!(fs::read_to_string(dir.path(&numbers)).unwrap() > reserved);
}

#[test]
fn counters_go_to_what_the_file_is() {
    let dir = Dir::new();
    dir.config(BASE);
    for (to, link) in [("old.json", "link"), ("/dev/null", "null"), ("pipe", "piped")] {
        std::os::unix::fs::symlink(to, dir.path(link)).unwrap();
    }
    dir.write("old.json", "old");
    assert!(dir.command("mkfifo", &["pipe"]).status().unwrap().success());
    let mut reader = fs::File::options().read(true).write(true).open(dir.path("pipe")).unwrap();
    for file in ["link", "null", "piped"] {
        let running = dir.start(&["--counters", file]);
        running.signal(Signal::TERM);
        running.end().assert(0, &[]);
        assert!(fs::symlink_metadata(dir.path(file)).unwrap().is_symlink(), "{file}");
    }
    assert!(rows(&dir.path("old.json")).contains("OutPktsEncrypted"));
    let mut start = [0; 8];
    reader.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"{\"link\":");
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    drop(reader);
    let running = dir.start(&["--counters", "pipe"]);
    running.signal(Signal::TERM);
    running.end().assert(1, &["writing counters to pipe: nobody reads this pipe"]);
}

#[test]
fn ready_comes_behind_what_the_start_has_to_say() {
    let dir = Dir::new();
    let suite = "cipher_suite = \"gcm-aes-128\"";
    dir.config(&edited(BASE, suite, &format!("policy = \"should-secure\"\nprotect_frames = false\n{suite}")));
    let running = dir.start(&[]);
    let said = running.stderr();
    let line = |word: &str| said.lines().position(|line| line.contains(word));
    let ready = line("READY trial").unwrap();
    for warning in ["should-secure", "protect_frames is off"] {
        assert!(line(warning).is_some_and(|warning| warning < ready), "{said}");
    }
    running.signal(Signal::TERM);
    running.end().assert(0, &[]);
}

#[test]
fn a_start_whose_words_nobody_takes_is_one_all_the_same() {
    use rustix::fs::{OFlags, fcntl_setfl};
    let dir = Dir::new();
    dir.config(BASE);
    let (_nobody_reads, mut full) = std::io::pipe().unwrap();
    fcntl_setfl(&full, OFlags::NONBLOCK).unwrap();
    while full.write_all(b".").is_ok() {}
    fcntl_setfl(&full, OFlags::empty()).unwrap();
    let mut running = Mortal(dir.program(&["run", "gateway.toml"]).stderr(full).spawn().unwrap());
    wait_for_status(&dir);
    running.signal(Signal::TERM);
    running.wait_for_end();
}

#[test]
fn a_demo_that_nobody_watches_ends() {
    if !is_root() {
        skip!("the demo takes root");
    }
    let dir = Dir::new();
    let ended = Running::start(dir.command("sh", &["-c", "exec \"$0\" demo >/dev/full", PROGRAM])).end();
    if ended.stderr.contains("the demo needs") {
        skip!("{}", ended.stderr);
    }
    ended.assert(1, &["standard output: No space left on device"]);
}

#[test]
fn gateways_of_a_demo_end_with_it_even_when_it_is_killed() {
    /// What it has made, which the next demo would remove.
    struct Made(String);

    impl Made {
        fn namespaces(&self) -> Vec<String> {
            let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
            let names = names.filter_map(|e| e.file_name().into_string().ok());
            names.filter(|name| name.starts_with(&self.0)).collect()
        }

        fn pids(&self) -> Vec<String> {
            let said: Vec<u8> =
                self.namespaces().iter().flat_map(|name| ip(&["netns", "pids", name])).collect();
            String::from_utf8(said).unwrap().split_whitespace().map(str::to_owned).collect()
        }

        fn gateways(&self) -> usize {
            let words = |pid: &String| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            self.pids().iter().filter(|pid| words(pid).contains("\0run\0")).count()
        }
    }

    impl Drop for Made {
        fn drop(&mut self) {
            for pid in self.pids().iter().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
                let _ = kill_process(pid, Signal::KILL);
            }
            self.namespaces().iter().for_each(|name| drop(ip(&["netns", "delete", name])));
        }
    }

    fn ip(words: &[&str]) -> Vec<u8> {
        Command::new("ip").args(words).output().unwrap().stdout
    }

    if !is_root() {
        skip!("the demo takes root");
    }
    let dir = Dir::new();
    let mut demo = Running::start(dir.program(&["demo"]));
    let made = Made(format!("macsec-gw-demo-{}-", demo.id()));
    let deadline = Instant::now() + Duration::from_secs(60);
    while made.gateways() < 2 {
        if !demo.goes_on() {
            let ended = demo.end();
            assert!(ended.stderr.contains("the demo needs"), "{ended:#?}");
            skip!("{}", ended.stderr);
        }
        assert!(Instant::now() < deadline, "no gateways: {}", demo.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
    demo.signal(Signal::KILL);
    let deadline = Instant::now() + Duration::from_secs(60);
    while made.gateways() > 0 {
        assert!(Instant::now() < deadline, "a gateway goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nobody_reading_its_messages_is_no_reason_to_panic() {
    let dir = Dir::new();
    dir.config(BASE);
    for redirection in ["2>&-", "2>/dev/full", "2>&1 | true"] {
        let script = format!(
            "{{ timeout --preserve-status -s TERM 2 \"$0\" run gateway.toml; echo $? >status; }} {redirection}"
        );
        Running::start(dir.command("sh", &["-c", &script, PROGRAM])).end();
        assert_eq!(fs::read_to_string(dir.path("status")).unwrap(), "0\n", "{redirection}");
    }
}

/// Nor is one who has the log and does not read it, which is what a disk in trouble is like.
#[test]
fn a_log_that_nobody_takes_keeps_nothing_waiting() {
    let dir = Dir::new();
    dir.config(BASE);
    let mut running = Mortal(dir.program(&["run", "gateway.toml"]).stderr(Stdio::piped()).spawn().unwrap());
    wait_for_status(&dir);
    // More lines than a pipe has room for.
    for _ in 0..1000 {
        running.signal(Signal::USR1);
        std::thread::sleep(Duration::from_millis(6));
    }
    asked(&dir).assert(0, &[]);
    running.signal(Signal::TERM);
    running.wait_for_end();
    let mut said = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.len() > 65_000, "a pipe takes more than {} octets", said.len());
}

fn asked(dir: &Dir) -> crate::support::Ended {
    Running::start(dir.command("timeout", &["9", PROGRAM, "status", "--socket", "socket"])).end()
}

/// Waits until a gateway answers.
fn wait_for_status(dir: &Dir) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let ended = asked(dir);
        if ended.status.code() == Some(0) {
            return;
        }
        assert!(Instant::now() < deadline, "{ended:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A gateway whose standard error is a pipe. Killed when dropped.
struct Mortal(Child);

impl Mortal {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn wait_for_end(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Asks for counters until at least `least` frames were sent, and says how many.
pub(crate) fn wait_for_frames(dir: &Dir, running: &Running, least: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        running.signal(Signal::USR1);
        std::thread::sleep(Duration::from_millis(30));
        let counters = rows(&dir.path("counters.json"));
        match counter(&counters, &[("direction", "protect")], "tx_frames") {
            Some(sent) if sent >= least => return sent,
            _ => assert!(Instant::now() < deadline, "{least} frames do not come: {}", running.stderr()),
        }
    }
}
