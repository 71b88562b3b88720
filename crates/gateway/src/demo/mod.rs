//! `macsec-gw demo`: two gateways back to back on this machine, and traffic across.
//!
//! Each host and each gateway has a network namespace of its own. All of it is gone when the demo ends; what
//! one that was killed leaves, the next one removes.

mod lab;
mod show;
mod traffic;

use crate::signals::Signals;
use crate::{BadUsage, keygen};
use anyhow::{Context, Result, bail, ensure};
use control::{Ask, LinkStatus};
use datapath::pcap::{CaptureReader, Captured};
use lab::{Capture, Lab, Namespace, Process};
use serde_json::Value;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use wire::{CipherSuite, EtherType, L2Header};

const SUITE: CipherSuite = CipherSuite::GcmAesXpn256;
const LEFT_IP: &str = "10.88.0.1";
const RIGHT_IP: &str = "10.88.0.2";
const PINGS: u32 = 5;
/// The key file, the same at both ends.
const CAK_FILE: &str = "demo.key";
/// How long the two may take to agree on a SAK.
const AGREE_LIMIT: Duration = Duration::from_secs(20);

/// Tells a line of the story, which ends where nobody can be told any more: `println` would panic.
macro_rules! say {
    ($($text:tt)*) => { writeln!(io::stdout(), $($text)*).context("standard output")? };
}

/// One of the two ends: a host and its gateway.
struct End {
    name: &'static str,
    ip: &'static str,
    sci: &'static str,
    /// Interfaces in the gateway's namespace.
    plain: &'static str,
    line: &'static str,
}

const LEFT: End =
    End { name: "left", ip: LEFT_IP, sci: "0200000000010001", plain: "plain-l", line: "line-l" };
const RIGHT: End =
    End { name: "right", ip: RIGHT_IP, sci: "0200000000020001", plain: "plain-r", line: "line-r" };

/// Shows two gateways at work, moving `mib` MiB each way.
///
/// # Errors
/// When the machine lacks something, when anything does not work, or on Ctrl-C.
pub fn demo(mib: u32) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(BadUsage(
            "the demo makes network namespaces, which only root may: run it with sudo".into(),
        )
        .into());
    }
    lab::need_tools(&[
        ("ip", "iproute2"),
        ("ping", "iputils-ping"),
        ("ethtool", "ethtool"),
        ("tcpdump", "tcpdump"),
        ("setpriv", "util-linux"),
    ])?;
    let signals = Signals::listen().context("listening to signals")?;
    let lab = Lab::new(signals)?;
    let outcome = story(&lab, mib);
    drop(lab);
    if outcome.is_ok() {
        say!("\nEverything is cleaned up again.");
    }
    outcome
}

fn story(lab: &Lab, mib: u32) -> Result<()> {
    say!("A host, a gateway, a line, a gateway, a host:\n");
    say!("  [{LEFT_IP}]--plain--[gateway left]==MACsec==[gateway right]--plain--[{RIGHT_IP}]\n");
    let Topology { hosts, gateways } = wire_up(lab)?;

    let clear = lab.capture(&gateways[0], LEFT.plain, "icmp")?;
    // Everything but bulk data. Each end shows what arrives there: what a gateway sends passes the taps by.
    let but_bulk = "less 200 or not ether proto 0x88e5";
    let line =
        [lab.capture(&gateways[1], RIGHT.line, but_bulk)?, lab.capture(&gateways[0], LEFT.line, but_bulk)?];
    say!("1. Starting both gateways with a fresh CAK: MKA agrees on {SUITE} keys");
    write_key(&lab.path(CAK_FILE))?;
    let running = [start_gateway(lab, &gateways[0], &LEFT)?, start_gateway(lab, &gateways[1], &RIGHT)?];
    let started = Instant::now();
    let server = agree(lab, 1)?;
    say!(
        "   agreed on a SAK {} ms after both were ready; the {server} is the key server",
        started.elapsed().as_millis()
    );

    say!("\n2. Pinging {RIGHT_IP} from {LEFT_IP}");
    let pinged = lab.output(
        &hosts[0],
        "ping",
        &["-c", &PINGS.to_string(), "-i", "0.2", "-W", "2", "-p", "736563726574", RIGHT_IP],
    )?;
    for text in pinged.lines().filter(|l| l.contains("bytes from") || l.contains("packet loss")) {
        say!("   {text}");
    }
    ensure!(pinged.contains(" 0% packet loss"), "pings were lost");

    say!("\n3. Moving {mib} MiB each way by TCP, with a new SAK on the way");
    for (from, to, end) in [(&hosts[0], &hosts[1], &RIGHT), (&hosts[1], &hosts[0], &LEFT)] {
        let before = agreed(lab)?;
        control::ask::<Vec<String>>(
            &socket(lab, if server == LEFT.name { &LEFT } else { &RIGHT }),
            &Ask::Rekey { link: None },
        )?;
        let moved = traffic::transfer(from, to, end.ip, u64::from(mib) << 20, lab.signals())?;
        say!("   to the {}: {moved}", end.name);
        agree(lab, before.rekeys + 1)?;
    }
    let after = agreed(lab)?;
    say!("   {} SAKs so far, and not a frame lost to a change: see 5.", after.rekeys);

    let [to_right, to_left] = line;
    let [clear, line @ ..] = Capture::finish([clear, to_right, to_left], lab)?;
    say!("\n4. The first ping, as captured before and after the left gateway");
    show_first_ping(&clear, &line[0])?;
    let (mut protected, mut mkpdus, mut all) = (0, 0, 0);
    for file in &line {
        protected += count(file, |f| ethertype(f) == Some(EtherType::MACSEC))?;
        mkpdus += count(file, |f| ethertype(f) == Some(EtherType::EAPOL))?;
        all += count(file, |_| true)?;
    }
    let in_clear = all - protected - mkpdus;
    say!(
        "   On the line, both ways, bulk data left out: {protected} MACsec frames, {mkpdus} of MKA, {in_clear} others."
    );
    ensure!(in_clear == 0, "{in_clear} frames crossed the line in the clear");

    say!("\n5. What the gateways counted");
    let counters = running.into_iter().map(|g| stop_gateway(lab, g)).collect::<Result<Vec<_>>>()?;
    compare(&counters)
}

/// Namespaces, left then right. The gateways do not share one: the AF_PACKET driver numbers its sockets by process
/// and interface, and two processes may come to the same number.
struct Topology {
    hosts: [Namespace; 2],
    gateways: [Namespace; 2],
}

/// Builds the namespaces and the cables between them.
fn wire_up(lab: &Lab) -> Result<Topology> {
    let hosts = [lab.add_namespace("left")?, lab.add_namespace("right")?];
    let gateways = [lab.add_namespace("left-gw")?, lab.add_namespace("right-gw")?];
    // Longer frames on the line: MACsec adds up to 32 octets, VLAN tags 8.
    let line =
        ["link", "add", LEFT.line, "mtu", "1540", "type", "veth", "peer", "name", RIGHT.line, "mtu", "1540"];
    lab.ip(&gateways[0], &[&line[..], &["netns", gateways[1].name()]].concat())?;
    for ((end, host), gateway) in [&LEFT, &RIGHT].into_iter().zip(&hosts).zip(&gateways) {
        let peer = ["link", "add", end.plain, "type", "veth", "peer", "name", "eth0", "netns", host.name()];
        lab.ip(gateway, &peer)?;
        lab.ip(host, &["address", "add", &format!("{}/24", end.ip), "dev", "eth0"])?;
        lab.bring_up(host, "eth0")?;
        lab.bring_up(gateway, end.plain)?;
        lab.bring_up(gateway, end.line)?;
    }
    Ok(Topology { hosts, gateways })
}

struct GatewayProcess {
    end: &'static End,
    process: Process,
}

/// Waits until both transmit under a SAK, have used so many, and have left the one before. Says who is the key server.
fn agree(lab: &Lab, saks: u64) -> Result<&'static str> {
    let end = Instant::now() + AGREE_LIMIT;
    loop {
        lab.unless_stopped()?;
        let mut server = None;
        let mut settled = true;
        for end in [&LEFT, &RIGHT] {
            let status = status(lab, end)?;
            settled &= status.secured && status.rekeys >= saks && status.tx_sas.len() == 1;
            server = if status.is_key_server { Some(end.name) } else { server };
        }
        match server {
            Some(server) if settled => return Ok(server),
            _ => ensure!(Instant::now() < end, "the gateways did not agree on a SAK within {AGREE_LIMIT:?}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn agreed(lab: &Lab) -> Result<LinkStatus> {
    status(lab, &LEFT)
}

fn status(lab: &Lab, end: &End) -> Result<LinkStatus> {
    let links: Vec<LinkStatus> = control::ask(&socket(lab, end), &Ask::Status)?;
    links.into_iter().next().context("the gateway has no link")
}

fn socket(lab: &Lab, end: &End) -> PathBuf {
    lab.path(&format!("{}.sock", end.name))
}

fn start_gateway(lab: &Lab, namespace: &Namespace, end: &'static End) -> Result<GatewayProcess> {
    let file = lab.path(&format!("{}.toml", end.name));
    fs::write(&file, configuration(end))?;
    let exe = std::env::current_exe().context("finding this program")?;
    let counters = lab.path(&format!("{}.counters", end.name));
    let args = ["--log", "warn", "run"].map(str::to_owned);
    let args = args.into_iter().chain([path(&file), "--counters".into(), path(&counters)]);
    let mut process = lab.spawn(namespace, &path(&exe), &args.collect::<Vec<_>>(), end.name)?;
    process.wait_for("READY", Duration::from_secs(30), lab.signals())?;
    say!("   gateway {}: ready", end.name);
    Ok(GatewayProcess { end, process })
}

fn path(p: &Path) -> String {
    p.to_string_lossy().into_owned()
}

fn write_key(file: &Path) -> Result<()> {
    let key = keygen::keygen(keygen::KeyKind::Cak { long: true })?;
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    Ok(std::io::Write::write_all(&mut out, key.as_bytes())?)
}

/// What a user would write, with the parts that a machine without NIC and hugepages needs.
fn configuration(end: &End) -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let core = if end.name == LEFT.name { 0 } else { cores.min(2) - 1 };
    format!(
        r#"[gateway]
worker_cores = [{core}]
poll = "adaptive"
state_dir = "{name}.state"
control_socket = "{name}.sock"

[dpdk]
hugepages = false
memory_mib = 256

[[port]]
name = "plain"
device = "net_af_packet0,iface={plain},framecnt=8192"

[[port]]
name = "line"
device = "net_af_packet1,iface={line},framecnt=8192"

[[link]]
name = "{name}"
plain = "plain"
line = "line"
sci = "{sci}"
cipher_suite = "{SUITE}"

[link.mka]
cak_file = "{CAK_FILE}"
"#,
        name = end.name,
        plain = end.plain,
        line = end.line,
        sci = end.sci,
    )
}

fn ethertype(frame: &Captured) -> Option<EtherType> {
    L2Header::parse(&frame.octets, 0).map(|h| h.ethertype)
}

fn count(file: &Path, matches: impl Fn(&Captured) -> bool) -> Result<usize> {
    let mut reader = CaptureReader::open(file)?;
    let mut n = 0;
    while let Some(frame) = reader.next_frame()? {
        n += usize::from(matches(&frame));
    }
    Ok(n)
}

/// Finds an echo request, and the MACsec frame that it became.
fn show_first_ping(clear: &Path, line: &Path) -> Result<()> {
    const ICMP: u8 = 1;
    const ECHO_REQUEST: u8 = 8;
    let find = |file: &Path, matches: &dyn Fn(&Captured) -> bool| -> Result<Captured> {
        let mut reader = CaptureReader::open(file)?;
        while let Some(frame) = reader.next_frame()? {
            if matches(&frame) {
                return Ok(frame);
            }
        }
        bail!("{}: the frame looked for was not captured", file.display())
    };
    let ping = find(clear, &|f| {
        ethertype(f) == Some(EtherType(0x0800))
            && f.octets.get(23) == Some(&ICMP)
            && f.octets.get(34) == Some(&ECHO_REQUEST)
    })?;
    let protected = find(line, &|f| {
        let same_station = f.octets.get(6..12) == ping.octets.get(6..12);
        same_station && f.octets.len() == ping.octets.len() + secy::MAX_OVERHEAD && f.time >= ping.time
    })?;
    write!(io::stdout(), "{}", show::side_by_side(&ping.octets, &protected.octets))?;
    Ok(())
}

fn stop_gateway(lab: &Lab, mut gateway: GatewayProcess) -> Result<(&'static str, Vec<Value>)> {
    let started = Instant::now();
    gateway.process.terminate()?;
    let file = lab.path(&format!("{}.counters", gateway.end.name));
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let rows = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    say!("   gateway {}: stopped in {} ms", gateway.end.name, started.elapsed().as_millis());
    Ok((gateway.end.name, rows))
}

/// Prints the counters of both, and insists that each accepted every frame that reached it from the other.
fn compare(counters: &[(&'static str, Vec<Value>)]) -> Result<()> {
    let value = |rows: &[Value], scope: &str, name: &str| {
        let in_scope = rows.iter().filter(|r| r["scope"] == scope);
        in_scope.filter_map(|r| r[name].as_u64()).sum::<u64>()
    };
    // Those of MKA left out.
    let arrived = |rows: &[Value]| {
        let verify = rows.iter().filter(|r| r["direction"] == "verify");
        let count = |r: &Value, name: &str| r[name].as_u64().unwrap_or(0);
        verify.map(|r| count(r, "rx_frames") - count(r, "eapol_frames")).sum::<u64>()
    };
    write!(io::stdout(), "{}", show::counters(counters))?;
    for (from, to) in [(&counters[0], &counters[1]), (&counters[1], &counters[0])] {
        let sent = value(&from.1, "tx_sc", "OutPktsEncrypted");
        let (arrived, accepted) = (arrived(&to.1), value(&to.1, "rx_sc", "InPktsOK"));
        ensure!(sent > 0 && accepted == arrived, "{}: {arrived} frames arrived, {accepted} accepted", to.0);
        let lost = sent.saturating_sub(arrived);
        let on_the_way =
            if lost == 0 { String::new() } else { format!("; the machine was too busy for {lost} more") };
        say!("   from the {}: {accepted} frames arrived, all accepted{on_the_way}", from.0);
    }
    Ok(())
}
