//! `pcap protect` and `pcap verify`.

use crate::support::{Dir, KEYS, PROGRAM, Running, SECRETS, counter, edited, frames, pcap, skip};
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

const PROTECT: [&str; 4] = ["pcap", "protect", "--keys", "keys.toml"];
const VERIFY: [&str; 4] = ["pcap", "verify", "--keys", "keys.toml"];

impl Dir {
    fn protect(&self, input: &str, output: &str) -> crate::support::Ended {
        self.run(&[&PROTECT[..], &[input, output]].concat())
    }

    fn verify(&self, input: &str, output: &str) -> crate::support::Ended {
        self.run(&[&VERIFY[..], &[input, output]].concat())
    }
}

#[test]
fn protecting_and_verifying_gives_the_same_file() {
    let dir = Dir::new();
    dir.protect("in.pcap", "protected.pcap").assert(0, &[]);
    dir.verify("protected.pcap", "plain.pcap").assert(0, &[]);
    assert_eq!(fs::read(dir.path("plain.pcap")).unwrap(), fs::read(dir.path("in.pcap")).unwrap());
    let protected = dir.captured("protected.pcap");
    for (i, frame) in protected.iter().enumerate() {
        let tag = wire::SecTag::new_checked(&frame.octets[12..]).unwrap();
        assert_eq!(tag.pn() as usize, i + 1);
    }
}

#[test]
fn protected_frames_are_within_the_snap_length_of_their_file() {
    let dir = Dir::new();
    let mut input = pcap(1, &frames(200));
    // As tcpdump -s 260 has it, of which no frame here is longer.
    input[16..20].copy_from_slice(&260u32.to_be_bytes());
    dir.write("in.pcap", input);
    dir.protect("in.pcap", "protected.pcap").assert(0, &[]);
    let header = fs::read(dir.path("protected.pcap")).unwrap();
    let snap_length = u32::from_be_bytes(header[16..20].try_into().unwrap()) as usize;
    let longest = dir.captured("protected.pcap").iter().map(|f| f.octets.len()).max().unwrap();
    assert!(longest > 260 && longest <= snap_length, "{longest} octets, {snap_length}");
}

#[test]
fn frames_of_real_links_survive() {
    for link in testkit::static_captures() {
        let dir = Dir::new();
        let mut keys = format!("cipher_suite = \"{}\"\n", link.suite);
        for channel in &link.channels {
            let (sak, an) = (channel.sak.to_hex(), channel.an.as_u8());
            keys += &format!("[[sa]]\nsci = \"{}\"\nan = {an}\nsak = \"{}\"\n", channel.sci, sak.as_str());
            keys += &format!("next_pn = {}\n", channel.first_pn);
            if let Some((ssci, salt)) = channel.xpn {
                keys += &format!("ssci = {}\nsalt = \"{salt}\"\n", ssci.0);
            }
        }
        dir.key("keys.toml", &keys);
        dir.verify(link.path.to_str().unwrap(), "plain.pcap").assert(0, &[]);
        let plain = dir.captured("plain.pcap");
        let is_protected = |f: &&testkit::CapturedFrame| f.octets[12..14] == [0x88, 0xe5];
        assert_eq!(plain.len(), link.frames.iter().filter(is_protected).count());
        dir.protect("plain.pcap", "protected.pcap").assert(0, &[]);
        dir.verify("protected.pcap", "again.pcap").assert(0, &[]);
        assert_eq!(dir.captured("again.pcap"), plain);
    }
}

#[test]
fn pcapng_is_read_too() {
    let dir = Dir::new();
    let mut editcap = dir.command("editcap", &["-F", "pcapng", "in.pcap", "in.pcapng"]);
    if !editcap.output().is_ok_and(|o| o.status.success()) {
        skip!("there is no editcap to make a pcapng file");
    }
    dir.protect("in.pcapng", "protected.pcap").assert(0, &[]);
    dir.verify("protected.pcap", "plain.pcap").assert(0, &[]);
    assert_eq!(dir.captured("plain.pcap"), dir.captured("in.pcap"));
}

#[test]
fn json_has_the_standards_names() {
    let dir = Dir::new();
    let protected = dir.run(&[&PROTECT[..], &["--json", "in.pcap", "protected.pcap"]].concat());
    let sci = ("sci", "0200000000010001");
    assert_eq!(counter(&protected.stdout, &[("scope", "tx_sc"), sci], "OutPktsEncrypted"), Some(1000));
    let verified = dir.run(&[&VERIFY[..], &["--json", "protected.pcap", "plain.pcap"]].concat());
    verified.assert(0, &[]);
    for name in
        ["InPktsUntagged", "InPktsNoTag", "InPktsBadTag", "InPktsUnknownSCI", "InPktsNoSCI", "InPktsOverrun"]
    {
        assert_eq!(counter(&verified.stdout, &[("scope", "secy")], name), Some(0), "{name}");
    }
    for name in [
        "InPktsUnchecked",
        "InPktsDelayed",
        "InPktsOK",
        "InPktsInvalid",
        "InPktsLate",
        "InPktsNotValid",
        "InPktsNotUsingSA",
        "InPktsUnusedSA",
        "InOctetsValidated",
        "InOctetsDecrypted",
    ] {
        let expected = match name {
            "InPktsOK" => 1000,
            "InOctetsDecrypted" => frames(1000).iter().map(|f| f.len() as u64 - 12).sum(),
            _ => 0,
        };
        assert_eq!(counter(&verified.stdout, &[("scope", "rx_sa"), sci], name), Some(expected), "{name}");
    }
}

#[test]
fn wrong_keys_open_nothing() {
    let dir = Dir::new();
    dir.protect("in.pcap", "protected.pcap").assert(0, &[]);
    dir.key("keys.toml", &edited(KEYS, SECRETS[0], SECRETS[1]));
    let before = dir.list();
    let verify = || dir.run(&[&VERIFY[..], &["--json", "protected.pcap", "plain.pcap"]].concat());
    let ended = verify();
    ended.assert(1, &["macsec-gw: none of 1000 frames verified: the counters say why", "right keys?"]);
    assert_eq!(counter(&ended.stdout, &[("scope", "rx_sa")], "InPktsNotValid"), Some(1000));
    assert_eq!(dir.list(), before);
    dir.write("plain.pcap", "precious");
    verify().assert(1, &[]);
    assert_eq!(fs::read(dir.path("plain.pcap")).unwrap(), b"precious");
    // Nothing came, nothing is wrong.
    dir.verify("none.pcap", "plain.pcap").assert(0, &[]);
    assert!(dir.captured("plain.pcap").is_empty());
}

#[test]
fn bad_keys_are_bad_usage_and_not_repeated() {
    let dir = Dir::new();
    for (from, to, says) in [
        ("an = 0", "an = 4", &["keys.toml:5: ", "an: ", "write an = 0"][..]),
        ("sak = ", "sac = ", &["keys.toml:6: ", "unknown key"]),
        (SECRETS[0], SECRETS[3], &["keys.toml:6: ", "15 octets", "32 or 64 hex digits"]),
        (SECRETS[0], SECRETS[2], &["keys.toml:6: ", "32 octets where gcm-aes-128 needs 16"]),
        ("gcm-aes-128", "aes", &["keys.toml:1: cipher_suite: ", "gcm-aes-128"]),
        (
            "cipher_suite",
            &format!("cak = \"{}\"\ncipher_suite", SECRETS[0]),
            &["keys.toml: ckn: is missing", "keys.toml:2: cipher_suite: does not go with cak", "remove it"],
        ),
    ] {
        dir.key("keys.toml", &edited(KEYS, from, to));
        let before = dir.list();
        dir.protect("in.pcap", "out.pcap").assert(2, says);
        assert_eq!(dir.list(), before);
    }
    let arguments = ["pcap", "verify", "--keys", "gone.toml", "in.pcap", "out.pcap"];
    dir.run(&arguments).assert(2, &["gone.toml: No such file", "name a TOML file"]);
    dir.key("keys.toml", KEYS);
    dir.mode("keys.toml", 0o644);
    dir.protect("in.pcap", "out.pcap").assert(0, &["WARN", "keys.toml: others than its owner", "chmod 600"]);
}

#[test]
fn files_that_are_no_capture_leave_nothing_behind() {
    let dir = Dir::new();
    let whole = fs::read(dir.path("in.pcap")).unwrap();
    dir.write("text.pcap", "this is no capture at all, however long");
    dir.write("empty.pcap", "");
    dir.write("cut-header.pcap", &whole[..20]);
    dir.write("cut.pcap", &whole[..whole.len() - 1]);
    dir.write("wifi.pcap", pcap(105, &frames(1)));
    let mut snapped = pcap(1, &frames(1));
    snapped[39] = 200;
    dir.write("snapped.pcap", snapped);
    let before = dir.list();
    for (input, says) in [
        ("text.pcap", &["text.pcap: ", "a pcap or pcapng capture is needed"][..]),
        ("empty.pcap", &["empty.pcap: ", "a pcap or pcapng capture is needed"]),
        ("cut-header.pcap", &["cut-header.pcap: the file ends in the middle"]),
        ("cut.pcap", &["cut.pcap: the file ends in the middle"]),
        ("wifi.pcap", &["wifi.pcap: link type IEEE802_11", "Ethernet is needed"]),
        ("snapped.pcap", &["snapped.pcap: frame 1 was cut to 60 of 200 octets", "tcpdump -s 0"]),
        ("gone.pcap", &["gone.pcap: No such file"]),
        (".", &[".: Is a directory"]),
    ] {
        for ended in [dir.protect(input, "out.pcap"), dir.verify(input, "out.pcap")] {
            ended.assert(1, says);
            assert!(ended.stdout.is_empty(), "{ended:#?}");
            assert_eq!(dir.list(), before, "{input}");
        }
    }
    dir.write("out.pcap", "precious");
    dir.protect("cut.pcap", "out.pcap").assert(1, &[]);
    assert_eq!(fs::read(dir.path("out.pcap")).unwrap(), b"precious");
}

#[test]
fn an_output_that_cannot_be_is_told_and_the_input_stays() {
    let dir = Dir::new();
    std::os::unix::fs::symlink("in.pcap", dir.path("link.pcap")).unwrap();
    fs::hard_link(dir.path("in.pcap"), dir.path("twin.pcap")).unwrap();
    fs::create_dir(dir.path("folder")).unwrap();
    let (input, before) = (fs::read(dir.path("in.pcap")).unwrap(), dir.list());
    for (output, status, says) in [
        ("in.pcap", 2, &["in.pcap: input and output are the same file"][..]),
        ("./in.pcap", 2, &["in.pcap: input and output are the same file"]),
        ("link.pcap", 2, &["link.pcap: input and output are the same file"]),
        ("twin.pcap", 2, &["twin.pcap: input and output are the same file"]),
        ("gone/out.pcap", 1, &["gone/out.pcap: cannot be written: No such file"]),
        ("folder", 1, &["folder: cannot be written: Is a directory"]),
        ("/dev/full", 1, &["/dev/full: No space left"]),
    ] {
        dir.protect("in.pcap", output).assert(status, says);
        assert_eq!(fs::read(dir.path("in.pcap")).unwrap(), input, "{output}");
        assert_eq!(dir.list(), before, "{output}");
    }
}

#[test]
fn a_symbolic_link_or_a_pipe_as_output_stays_what_it_is() {
    let dir = Dir::new();
    dir.write("old.pcap", "old");
    dir.mode("old.pcap", 0o640);
    for (to, link) in [("old.pcap", "link.pcap"), ("/dev/null", "null.pcap"), ("pipe", "pipe.pcap")] {
        std::os::unix::fs::symlink(to, dir.path(link)).unwrap();
    }
    assert!(dir.command("mkfifo", &["pipe"]).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = dir.path("pipe");
        move || fs::read(pipe).unwrap()
    });
    for output in ["link.pcap", "null.pcap", "pipe.pcap"] {
        dir.protect("in.pcap", output).assert(0, &[]);
        assert!(fs::symlink_metadata(dir.path(output)).unwrap().is_symlink(), "{output}");
    }
    assert_eq!(dir.captured("old.pcap").len(), 1000);
    assert_eq!(fs::metadata(dir.path("old.pcap")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(reader.join().unwrap(), fs::read(dir.path("old.pcap")).unwrap());
    assert!(fs::symlink_metadata(dir.path("pipe")).unwrap().file_type().is_fifo());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn a_pipe_is_read_as_a_file_is() {
    let dir = Dir::new();
    dir.key("mka.toml", &format!("cak = \"{}\"\nckn = \"0102\"\n", SECRETS[0]));
    let pipe = |from: &str, arguments: &str| {
        let script = format!("cat {from} | \"$0\" {arguments}");
        Running::start(dir.command("sh", &["-c", &script, PROGRAM])).end()
    };
    pipe("in.pcap", "pcap protect --keys keys.toml /dev/stdin protected.pcap").assert(0, &[]);
    pipe("protected.pcap", "pcap verify --keys keys.toml /dev/stdin plain.pcap").assert(0, &[]);
    assert_eq!(fs::read(dir.path("plain.pcap")).unwrap(), fs::read(dir.path("in.pcap")).unwrap());
    let inspected = pipe("protected.pcap", "inspect /dev/stdin");
    inspected.assert(0, &[]);
    assert_eq!(inspected.stdout, dir.run(&["inspect", "protected.pcap"]).stdout);
    let before = dir.list();
    let says = ["/dev/stdin: under a CAK it is read twice", "write it to a file and name that"];
    for command in ["pcap verify --keys mka.toml /dev/stdin other.pcap", "inspect --keys mka.toml /dev/stdin"]
    {
        pipe("protected.pcap", command).assert(2, &says);
        assert_eq!(dir.list(), before);
    }
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    use rustix::process::Signal;
    for signal in [Signal::INT, Signal::TERM] {
        let dir = Dir::new();
        // So much that the signal comes well before its end.
        let input = pcap(1, &frames(1000));
        dir.write("long.pcap", [&input[..24], &input[24..].repeat(500)].concat());
        dir.write("out.pcap", "precious");
        let before = dir.list();
        let running = Running::start(dir.program(&[&PROTECT[..], &["long.pcap", "out.pcap"]].concat()));
        let deadline = Instant::now() + Duration::from_secs(30);
        let unfinished = loop {
            let new = dir.list().into_iter().find(|name| !before.contains(name));
            // With something in it: from then on it minds signals.
            if let Some(new) = new.filter(|n| fs::metadata(dir.path(n)).unwrap().len() > 0) {
                break new;
            }
            assert!(Instant::now() < deadline, "{}", running.stderr());
            std::thread::sleep(Duration::from_millis(5));
        };
        let mode = fs::metadata(dir.path(&unfinished)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
        running.signal(signal);
        let ended = running.end();
        assert_eq!(ended.status.signal(), Some(signal.as_raw()), "{ended:#?}");
        assert_eq!(dir.list(), before);
        assert_eq!(fs::read(dir.path("out.pcap")).unwrap(), b"precious");
    }
}

#[test]
fn other_programs_read_what_is_written() {
    let dir = Dir::new();
    dir.protect("in.pcap", "protected.pcap").assert(0, &[]);
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(dir.path("protected.pcap")).args(["-Tfields", "-e", "macsec.PN"]);
    let Ok(output) = tshark.output() else { skip!("there is no tshark") };
    let numbers: Vec<u32> =
        String::from_utf8(output.stdout).unwrap().lines().map(|l| l.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=1000).collect::<Vec<_>>());
}
