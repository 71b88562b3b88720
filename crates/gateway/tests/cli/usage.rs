//! The command line itself, and `keygen`.

use crate::support::{BASE, Dir, edited};
use wire::CipherSuite;

#[test]
fn every_command_has_help() {
    let dir = Dir::new();
    for (command, says) in [
        (&[][..], "gateway"),
        (&["run"], "<CONFIG>"),
        (&["check"], "<CONFIG>"),
        (&["keygen"], "--sak <SUITE>"),
        (&["inspect"], "<FILE.pcap>"),
        (&["inspect"], "--keys <KEYS>"),
        (&["pcap"], "protect"),
        (&["pcap", "protect"], "--keys <KEYS>"),
        (&["pcap", "verify"], "--keys <KEYS>"),
        (&["demo"], "--data <MIB>"),
        (&[], "bench"),
    ] {
        for flag in ["--help", "-h"] {
            let ended = dir.run(&[command, &[flag]].concat());
            ended.assert(0, &[]);
            assert!(ended.stdout.contains(says) && ended.stdout.contains("Usage: macsec-gw"), "{ended:#?}");
            assert!(ended.stderr.is_empty(), "{ended:#?}");
        }
    }
    let version = dir.run(&["--version"]);
    version.assert(0, &[]);
    assert!(version.stdout.starts_with("macsec-gw 0."), "{version:#?}");
}

#[test]
fn bad_usage_is_status_2() {
    let dir = Dir::new();
    for (arguments, says) in [
        (&[][..], &["Usage"][..]),
        (&["fly"], &["'fly'", "--help"]),
        (&["pcap", "fly"], &["'fly'", "--help"]),
        (&["run"], &["<CONFIG>", "--help"]),
        (&["run", "a", "b"], &["'b'"]),
        (&["run", "gateway.toml", "--fly"], &["'--fly'", "--help"]),
        (&["check"], &["<CONFIG>"]),
        (&["keygen", "--sak", "gcm-aes-512"], &["'gcm-aes-512'", "--sak", "gcm-aes-xpn-256"]),
        (&["keygen", "--short", "--sak", "gcm-aes-128"], &["--short", "--sak"]),
        (&["inspect"], &["<FILE.pcap>"]),
        (&["inspect", "in.pcap", "--keys"], &["--keys <KEYS>"]),
        (&["inspect", "in.pcap", "out.pcap"], &["'out.pcap'"]),
        (&["pcap", "protect", "in.pcap", "out.pcap"], &["--keys"]),
        (&["pcap", "protect", "--keys", "keys.toml", "in.pcap"], &["<OUTPUT>"]),
        (&["demo", "--data", "much"], &["'much'", "--data"]),
        (&["--log", "a=b=c", "keygen"], &["a=b=c", "write error, warn, info, debug or trace"]),
        (&["--log", "", "keygen"], &["--log \"\": ", "write error, warn, info, debug or trace"]),
        (&["--log", "3", "keygen"], &["--log \"3\": ", "write error, warn, info, debug or trace"]),
        (&["keygen", "--log", "off"], &["--log \"off\": ", "write error, warn, info, debug or trace"]),
    ] {
        let ended = dir.run(arguments);
        ended.assert(2, says);
        assert!(ended.stdout.is_empty(), "{ended:#?}");
    }
}

#[test]
fn what_keygen_prints_is_a_key_file() {
    let dir = Dir::new();
    for suite in CipherSuite::ALL {
        let [first, second] = [(); 2].map(|()| dir.run(&["keygen", "--sak", suite.name()]));
        first.assert(0, &[]);
        assert_ne!(first.stdout, second.stdout, "each key is a fresh one");
        dir.key("tx.key", &first.stdout);
        dir.key("rx.key", &second.stdout);
        let mut config = edited(BASE, "\"gcm-aes-128\"", &format!("\"{}\"", suite.name()));
        if suite.is_xpn() {
            config = config.replace("an = 0,", "an = 0, ssci = 1,");
            config = edited(
                &config,
                "0200000000020001\", an = 0, ssci = 1",
                "0200000000020001\", an = 0, ssci = 2",
            );
        }
        dir.config(&config);
        dir.run(&["check", "gateway.toml"]).assert(0, &[]);
    }
    for (arguments, octets) in [(&["keygen"][..], 32), (&["keygen", "--short"], 16)] {
        let ended = dir.run(arguments);
        ended.assert(0, &[]);
        dir.key("cak.key", &ended.stdout);
        let file = keys::read_cak_file(&dir.path("cak.key")).unwrap();
        assert_eq!((file.cak.octets().len(), file.ckn.octets().len()), (octets, 32));
    }
}

#[test]
fn the_log_level_of_the_environment() {
    let dir = Dir::new();
    let run = |level: &str, arguments: &[&str]| {
        let mut command = dir.program(arguments);
        command.env("MACSEC_GW_LOG", level);
        crate::support::Running::start(command).end()
    };
    for level in ["", "error", "warn", "info"] {
        let ended = run(level, &["keygen"]);
        ended.assert(0, &[]);
        assert!(ended.stderr.is_empty(), "{ended:#?}");
    }
    run("debug", &["keygen"]).assert(0, &["DEBUG"]);
    run("debug", &["--log", "trace", "keygen"]).assert(0, &["DEBUG"]);
    for level in ["3", "loud", "INFO"] {
        let says = format!("MACSEC_GW_LOG={level:?}: no such level");
        run(level, &["keygen"]).assert(2, &[&says, "write error, warn, info, debug or trace"]);
    }
    assert!(run("3", &["--log", "error", "keygen"]).stderr.is_empty());
}

#[test]
fn a_gcm_back_end_that_is_none() {
    let dir = Dir::new();
    let command = dir.command("env", &["MACSEC_GW_GCM=fast", crate::support::PROGRAM, "keygen"]);
    let ended = crate::support::Running::start(command).end();
    ended.assert(2, &["MACSEC_GW_GCM: \"fast\" is no GCM back end", "portable"]);
}

#[test]
fn keygen_says_when_nobody_takes_the_key() {
    let dir = Dir::new();
    let ended = dir.command("sh", &["-c", &format!("{} keygen > /dev/full", crate::support::PROGRAM)]);
    crate::support::Running::start(ended).end().assert(1, &["No space left"]);
}
