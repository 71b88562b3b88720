//! Ports, memory and rights that are not there.

use crate::support::{BASE, Dir, PROGRAM, Running, edited, is_root, skip};
use std::fs;
use std::process::Command;

const LINE: &str = "net_pcap1,rx_pcap=DIR/none.pcap,tx_pcap=DIR/out.pcap";

fn run(dir: &Dir, config: &str) -> crate::support::Ended {
    dir.config(config);
    let ended = dir.run(&["run", "gateway.toml"]);
    assert!(!ended.stderr.contains("READY"), "{ended:#?}");
    ended
}

#[test]
fn a_port_that_is_not_there() {
    let dir = Dir::new();
    for (device, says) in [
        ("0000:fe:1f.7", &["0000:fe:1f.7: there is no such PCI device", "dpdk-devbind.py"][..]),
        ("net_af_packet0,iface=gone0", &["net_af_packet0", "there is no network interface \"gone0\""]),
        ("net_gone0", &["net_gone0: DPDK has no driver"]),
        ("net_pcap1,rx_pcap=DIR/gone.pcap", &["gone.pcap: No such file"]),
    ] {
        let ended = run(&dir, &edited(BASE, LINE, device));
        ended.assert(1, &[&["macsec-gw: port \"line0\": "], says].concat());
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn a_core_that_is_not_there() {
    let dir = Dir::new();
    run(&dir, &edited(BASE, "[0]", "[1023]")).assert(2, &["worker core 1023 does not exist"]);
    run(&dir, &edited(BASE, "poll", "control_core = 1023\npoll"))
        .assert(2, &["gateway.control_core: control core 1023"]);
}

#[test]
fn memory_that_is_not_there() {
    let dir = Dir::new();
    run(&dir, &edited(BASE, "= 128", "= 16"))
        .assert(1, &["port \"plain0\"", "no memory", "raise dpdk.memory_mib"]);
    run(&dir, &edited(BASE, "= 128", "= 1048576"))
        .assert(2, &["dpdk.memory_mib: 1048576 MiB", "MiB of memory there are"]);
}

#[test]
fn hugepages_that_are_not_there() {
    let dir = Dir::new();
    dir.config(&edited(BASE, "hugepages = false\nmemory_mib = 128", "hugepages = true"));
    let says = ["no free hugepages", "sysctl vm.nr_hugepages"];
    let free = |line: &str| line.strip_prefix("HugePages_Free:").map(|n| n.trim() != "0");
    if !fs::read_to_string("/proc/meminfo").unwrap().lines().find_map(free).unwrap_or(false) {
        dir.run(&["run", "gateway.toml"]).assert(1, &says);
    } else if is_root() {
        // What is told of hugepages is hidden from this one process.
        let script = "mount -t tmpfs none /sys/kernel/mm/hugepages && exec \"$0\" run gateway.toml";
        let ended = Running::start(dir.command("unshare", &["--mount", "sh", "-c", script, PROGRAM])).end();
        if ended.stderr.contains("unshare") || ended.stderr.contains("mount:") {
            skip!("hugepages are free here, and cannot be hidden: {}", ended.stderr);
        }
        ended.assert(1, &says);
    } else {
        skip!("hugepages are free here, and only root can hide them");
    }
}

/// The directory and program given to the user `nobody`, and a command as that user. `None`, where this is not root
/// already, leaves all as it is.
fn as_nobody(dir: &Dir) -> Command {
    if !is_root() {
        return dir.program(&["run", "gateway.toml"]);
    }
    let program = dir.install(PROGRAM, "program");
    for name in dir.list() {
        std::os::unix::fs::chown(dir.path(&name), Some(65534), Some(65534)).unwrap();
    }
    std::os::unix::fs::chown(dir.path("."), Some(65534), Some(65534)).unwrap();
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups", &program];
    dir.command("setpriv", &[&user[..], &["run", "gateway.toml"]].concat())
}

#[test]
fn rights_that_are_not_there() {
    let dir = Dir::new();
    let veth = "net_af_packet1,iface=lo";
    for (config, says) in [
        (edited(BASE, LINE, veth), &["port \"line0\"", "not root", "CAP_NET_RAW", veth][..]),
        (
            edited(BASE, "\"state\"", "\"/proc/nobody\""),
            &["state directory /proc/nobody: ", "make it writable, or set gateway.state_dir"],
        ),
        (
            edited(BASE, "\"state\"", "\"/var/lib/macsec-gw-test/state\""),
            &["state directory /var/lib/macsec-gw-test/state: Permission denied", "make it writable"],
        ),
    ] {
        dir.config(&config);
        let ended = Running::start(as_nobody(&dir)).end();
        ended.assert(1, says);
        assert!(!ended.stderr.contains("READY"), "{ended:#?}");
    }
    dir.config(BASE);
    dir.mode("tx.key", 0o000);
    let ended = Running::start(as_nobody(&dir)).end();
    ended.assert(2, &["gateway.toml:28: ", "tx.key: Permission denied"]);
}

#[test]
fn trial_ports_need_no_root() {
    let dir = Dir::new();
    dir.config(BASE);
    let mut running = Running::start(as_nobody(&dir));
    running.wait_for("READY");
    running.signal(rustix::process::Signal::TERM);
    running.end().assert(0, &[]);
}

fn ip(words: &[&str]) -> bool {
    Command::new("ip").args(words).status().is_ok_and(|status| status.success())
}

/// A network namespace with two pairs of interfaces. Gone when dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Option<Self> {
        let name = format!("macsec-gw-cli-{}", std::process::id());
        if !is_root() || !ip(&["netns", "add", &name]) {
            return None;
        }
        let namespace = Namespace(name);
        let made = ["plain", "line"].iter().all(|side| {
            namespace.ip(&format!("link add {side} type veth peer name {side}-far"))
                && namespace.ip(&format!("link set {side} up"))
                && namespace.ip(&format!("link set {side}-far up"))
        });
        made.then_some(namespace)
    }

    fn ip(&self, words: &str) -> bool {
        ip(&[&["-n", &self.0][..], &words.split(' ').collect::<Vec<_>>()].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.0]);
    }
}

#[test]
fn a_line_that_is_too_narrow() {
    let Some(namespace) = Namespace::new() else { skip!("network namespaces need root and `ip`") };
    let dir = Dir::new();
    let plain = "net_pcap0,rx_pcap=DIR/in.pcap,tx_pcap=DIR/back.pcap";
    let config = edited(BASE, plain, "net_af_packet0,iface=plain");
    let narrow = edited(&config, &format!("{LINE}\""), "net_af_packet1,iface=line\"\nmtu = 1500");
    dir.config(&narrow);
    let run = |dir: &Dir| {
        Running::start(dir.command("ip", &["netns", "exec", &namespace.0, PROGRAM, "run", "gateway.toml"]))
    };
    run(&dir).end().assert(
        2,
        &[
            "link \"trial\": port \"line0\"",
            "1500",
            "grow by 32",
            "set mtu = 1532 on port \"line0\"",
            "1468 on port",
        ],
    );
    dir.config(&edited(&config, LINE, "net_af_packet1,iface=line"));
    run(&dir).end().assert(1, &["port \"line0\"", "MTU 1532 asked for", "`ip link set dev line mtu 1532`"]);
    let narrower = edited(&narrow, "iface=plain\"", "iface=plain\"\nmtu = 1468");
    for (config, line_mtu) in
        [(narrower, "1500"), (config.replace(LINE, "net_af_packet1,iface=line"), "1532")]
    {
        namespace.ip(&format!("link set line mtu {line_mtu}"));
        dir.config(&config);
        let mut running = run(&dir);
        running.wait_for("READY");
        running.signal(rustix::process::Signal::TERM);
        running.end().assert(0, &[]);
    }
}
