//! What is wrong with a configuration.

use crate::support::{BASE, Dir, SECRETS, edited};

/// `BASE` with `from` replaced by `to` is bad usage, and the one line of the message says all of `says`.
struct Wrong(&'static str, &'static str, &'static [&'static str]);

const WRONG: &[Wrong] = &[
    Wrong("poll = ", "pol = ", &[":3: gateway.pol: unknown key", "did you mean poll?"]),
    Wrong("[dpdk]", "[dpkd]", &[":6: dpkd: unknown table", "did you mean dpdk?"]),
    Wrong("[0]", "\"0\"", &[":2: gateway.worker_cores: \"0\" is not a list", "write worker_cores = [1]"]),
    Wrong(
        "= 128",
        "= \"much\"",
        &[":8: dpdk.memory_mib: \"much\" is not a whole number", "memory_mib = 512"],
    ),
    Wrong("= 128", "= 1", &[":8: dpdk.memory_mib: 1 is not within 16 to", "write memory_mib = 512"]),
    Wrong("= false", "= 0", &[":7: dpdk.hugepages: 0 is not true or false", "write hugepages = true"]),
    Wrong("\"adaptive\"", "adaptive", &[":3: poll: not valid TOML", "key = \"text\""]),
    Wrong(
        "\"gcm-aes-128\"",
        "\"gcm-aes-512\"",
        &[":25: link \"trial\": cipher_suite: \"gcm-aes-512\"", "write cipher_suite = \"gcm-aes-xpn-256\""],
    ),
    Wrong(
        "plain = \"plain0\"",
        "plain = \"plain9\"",
        &[":22: link \"trial\": plain: no port is named \"plain9\"", "ports here: plain0, line0"],
    ),
    Wrong(
        "line = \"line0\"",
        "line = \"plain0\"",
        &[":23: link \"trial\": line: the same port twice: \"plain0\"", "a port of its own"],
    ),
    Wrong(
        "net_pcap1",
        "net_pcap0",
        &[
            ":17: port \"line0\": device: the device name \"net_pcap0\"",
            "\"plain0\" at line 10",
            "of its own",
        ],
    ),
    Wrong(
        "net_pcap1,rx_pcap=DIR/none.pcap,tx_pcap=DIR/out.pcap",
        "line0",
        &[
            ":17: port \"line0\": device: \"line0\" is not a device",
            "0000:3b:00.0",
            "net_af_packet0,iface=veth0",
        ],
    ),
    Wrong("\"socket\"", "1", &[":5: gateway.control_socket: 1 is not text in quotes", "/run/macsec-gw.sock"]),
    Wrong(
        "sak_file = \"tx.key\"",
        "sak_file = \"gone.key\"",
        &[":28: link \"trial\": static.tx.sak_file: gone.key: No such file", "name a file with  sak ="],
    ),
    Wrong(
        "sak_file = \"rx.key\"",
        "sak_file = \"exposed.key\"",
        &[":29: link \"trial\": static.rx[0].sak_file: exposed.key", "(mode 0644)", "chmod 600 exposed.key"],
    ),
    Wrong(
        "sak_file = \"tx.key\"",
        "sak_file = \"short.key\"",
        &[
            ":28: link \"trial\": static.tx.sak_file: short.key: `sak`: 15 octets",
            "write 32 or 64 hex digits",
        ],
    ),
    Wrong(
        "sak_file = \"tx.key\"",
        "sak_file = \"long.key\"",
        &[
            ":28: link \"trial\": static.tx.sak_file: long.key: the sak has 32 octets where gcm-aes-128 needs 16",
            "use a sak of 32 hex digits, or write cipher_suite = \"gcm-aes-256\"",
        ],
    ),
    Wrong(
        "sak_file = \"tx.key\"",
        "sak_file = \"bare.key\"",
        &[
            ":28: link \"trial\": static.tx.sak_file: bare.key:1: not valid TOML",
            "sak = \"32 or 64 hex digits\"",
        ],
    ),
    Wrong(
        "sak_file = \"tx.key\"",
        "sak_file = \"named.key\"",
        &[
            ":28: link \"trial\": static.tx.sak_file: named.key: unknown key `(a word like a key)`",
            "known here: sak, salt",
        ],
    ),
    Wrong(
        "sak_file = \"tx.key\"",
        "sak_file = \".\"",
        &[":28: link \"trial\": static.tx.sak_file: .: not a regular file"],
    ),
    Wrong(
        "sak_file = \"tx.key\"",
        "sak_file = \"pipe.key\"",
        &[":28: link \"trial\": static.tx.sak_file: pipe.key: not a regular file"],
    ),
];

#[test]
fn a_message_names_file_line_key_value_and_remedy() {
    let dir = Dir::new();
    let key = |name, text: &str| dir.key(name, text);
    key("exposed.key", &format!("sak = \"{}\"\n", SECRETS[0]));
    dir.mode("exposed.key", 0o644);
    key("long.key", &format!("sak = \"{}\"\n", SECRETS[2]));
    key("short.key", &format!("sak = \"{}\"\n", SECRETS[3]));
    key("bare.key", &format!("{}\n", SECRETS[0]));
    key("named.key", &format!("{} = 1\n", SECRETS[0]));
    let made = dir.command("mkfifo", &["-m", "600", "pipe.key"]).status();
    assert!(made.unwrap().success());
    for Wrong(from, to, says) in WRONG {
        dir.config(&edited(BASE, from, to));
        for command in ["check", "run"] {
            let ended = dir.run(&[command, "gateway.toml"]);
            ended.assert(2, &[&["macsec-gw: gateway.toml:"], *says].concat());
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
            assert!(ended.stdout.is_empty(), "{ended:#?}");
        }
    }
    assert!(!dir.list().contains(&"state".to_owned()), "nothing was started");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let dir = Dir::new();
    let config =
        edited(&edited(BASE, "poll = ", "pol = "), "sak_file = \"tx.key\"", "sak_file = \"gone.key\"");
    dir.config(&edited(&config, "plain = \"plain0\"", "plain = \"plain9\""));
    let ended = dir.run(&["check", "gateway.toml"]);
    ended.assert(2, &["gateway.toml:3: ", "gateway.toml:22: ", "gateway.toml:28: "]);
    assert_eq!(ended.stderr.lines().count(), 3, "{}", ended.stderr);
}

#[test]
fn files_that_are_no_configuration() {
    let dir = Dir::new();
    dir.write("binary.toml", [0xff, 0xfe, 0]);
    dir.write("empty.toml", "");
    for command in ["check", "run"] {
        dir.run(&[command, "gone.toml"]).assert(2, &["gone.toml: No such file", "name a TOML file"]);
        dir.run(&[command, "."]).assert(2, &[".: Is a directory", "name a TOML file"]);
        dir.run(&[command, "binary.toml"]).assert(2, &["binary.toml:1: not UTF-8", "save the file as UTF-8"]);
        let says = ["gateway.worker_cores: is missing", "there is no [[port]]", "there is no [[link]]"];
        dir.run(&[command, "empty.toml"]).assert(2, &says);
        dir.run(&[command, "in.pcap"]).assert(2, &["in.pcap"]);
    }
}

#[test]
fn a_key_in_the_configuration_is_refused_and_not_repeated() {
    let dir = Dir::new();
    for to in ["sak = \"KEY\"", "sak_file = \"KEY\"", "sak_file = \"tx.key\", KEY = 1", "sak_file = KEY"] {
        dir.config(&edited(BASE, "sak_file = \"tx.key\"", to).replace("KEY", SECRETS[0]));
        dir.run(&["check", "gateway.toml"]).assert(2, &["gateway.toml:28: "]);
    }
}

#[test]
fn a_key_file_of_somebody_else_is_refused() {
    if !crate::support::is_root() {
        crate::support::skip!("only root can give files away");
    }
    let dir = Dir::new();
    dir.config(BASE);
    std::os::unix::fs::chown(dir.path("tx.key"), Some(65534), None).unwrap();
    let says = ["gateway.toml:28: ", "static.tx.sak_file: tx.key: belongs to user 65534", "or to root"];
    dir.run(&["check", "gateway.toml"]).assert(2, &says);
}

#[test]
fn a_key_file_that_may_not_be_read_is_to_be_given_to_who_runs_this() {
    if !crate::support::is_root() {
        crate::support::skip!("only root can run this as somebody else");
    }
    let dir = Dir::new();
    dir.mode("", 0o755);
    // Where it was built others may not get to.
    let program = dir.install(crate::support::PROGRAM, "program");
    let run = |config: &str| {
        dir.config(config);
        let mut command = dir.command(&program, &["check", "gateway.toml"]);
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
        crate::support::Running::start(command).end()
    };
    run(BASE).assert(2, &["static.tx.sak_file: tx.key: Permission denied", "chown USER tx.key"]);
    dir.key("cak.key", "");
    let (config, _) = BASE.split_once("sci = ").unwrap();
    let ended = run(&format!("{config}[link.mka]\ncak_file = \"cak.key\"\n"));
    ended.assert(2, &["mka.cak_file: cak.key: Permission denied", "chown USER cak.key"]);
    assert!(!ended.stderr.contains("name a file"), "{ended:#?}");
}

#[test]
fn a_good_configuration_is_told_in_words() {
    let dir = Dir::new();
    dir.config(BASE);
    let ended = dir.run(&["check", "gateway.toml"]);
    ended.assert(0, &[]);
    for says in ["gateway.toml: good", "\"trial\"", "\"plain0\"", "\"line0\"", "gcm-aes-128", "core 0"] {
        assert!(ended.stdout.contains(says), "{says}: {ended:#?}");
    }
    assert!(ended.stderr.is_empty(), "{ended:#?}");
}

#[cfg(not(feature = "dpdk"))]
#[test]
fn without_dpdk_nothing_runs() {
    let dir = Dir::new();
    dir.config(BASE);
    dir.run(&["run", "gateway.toml"]).assert(1, &["built without DPDK", "feature `dpdk`"]);
    dir.run(&["demo"]).assert(1, &["built without DPDK"]);
}
