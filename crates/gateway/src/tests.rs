//! Whole gateways from configuration files, over ports in memory: no root, no DPDK.

use crate::state::FIRST_RESERVATION;
use crate::{Gateway, LinkError, OpenPort, Ports, Row, StartError, keygen};
use datapath::pcap::{CaptureReader, CaptureRx, CaptureTx, CaptureWriter};
use datapath::{FrameRx, FrameTx, MemoryRx, MemoryTx, ThreadSetup, wire as memory_wire};
use secy::{Burst, MemFrame};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};
use wire::{CipherSuite, MacAddr, SecTag};

/// A gateway whose line is a capture and whose plain port writes one.
struct Files {
    line: std::path::PathBuf,
    plain: std::path::PathBuf,
}

impl Ports for Files {
    type Rx = CaptureRx;
    type Tx = CaptureTx;

    fn open(
        &mut self,
        port: &config::Port,
        mtu: Option<u16>,
    ) -> anyhow::Result<OpenPort<CaptureRx, CaptureTx>> {
        // Each port replays and records; only one of the two matters at either end.
        let [replayed, recorded] = match port.name.as_str() {
            "line" => [self.line.clone(), self.plain.with_extension("line.pcap")],
            _ => [self.plain.with_extension("none.pcap"), self.plain.clone()],
        };
        if !replayed.exists() {
            CaptureWriter::create(&replayed, CaptureReader::open(&self.line)?.header())?.finish()?;
        }
        let reader = CaptureReader::open(&replayed)?;
        let writer = CaptureWriter::create(&recorded, reader.header())?;
        let (rx, tx) = (CaptureRx::new(reader), CaptureTx::new(writer));
        Ok(OpenPort { rx, tx, mac: MacAddr([2, 0, 0, 0, 0, 9]), mtu, counters: Box::new(Vec::new) })
    }

    fn thread_setup(&self) -> Option<ThreadSetup> {
        None
    }
}

/// Frames that a wire holds.
const WIRE: usize = 1024;

/// The other ends of a gateway's ports, by port name.
#[derive(Default)]
struct Lab {
    cables: BTreeMap<String, Cable>,
    mtu: BTreeMap<String, u16>,
}

struct Cable {
    tx: MemoryTx,
    rx: MemoryRx,
}

impl Ports for Lab {
    type Rx = MemoryRx;
    type Tx = MemoryTx;

    fn open(
        &mut self,
        port: &config::Port,
        mtu: Option<u16>,
    ) -> anyhow::Result<OpenPort<MemoryRx, MemoryTx>> {
        let (far_tx, rx) = memory_wire(WIRE);
        let (tx, far_rx) = memory_wire(WIRE);
        self.cables.insert(port.name.clone(), Cable { tx: far_tx, rx: far_rx });
        let mtu = self.mtu.get(&port.name).copied().or(mtu).or(Some(1500));
        Ok(OpenPort { rx, tx, mac: MacAddr([2, 0, 0, 0, 0, 9]), mtu, counters: Box::new(Vec::new) })
    }

    fn thread_setup(&self) -> Option<ThreadSetup> {
        None
    }
}

impl Lab {
    fn send(&mut self, port: &str, frames: &[Vec<u8>]) {
        send(&mut self.cables.get_mut(port).unwrap().tx, frames);
    }

    /// What arrives at the far end of a port until `count` frames came, or for a while when fewer do.
    fn receive(&mut self, port: &str, count: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let end = Instant::now() + Duration::from_secs(5);
        while frames.len() < count && Instant::now() < end {
            let mut burst = Burst::new();
            self.cables.get_mut(port).unwrap().rx.rx_burst(&mut burst);
            frames.extend(burst.iter().map(MemFrame::to_vec));
            std::thread::yield_now();
        }
        frames
    }

    /// Carries frames from one gateway's port to another's.
    fn carry(&mut self, port: &str, count: usize, to: &mut Lab, to_port: &str) {
        let frames = self.receive(port, count);
        assert_eq!(frames.len(), count);
        to.send(to_port, &frames);
    }
}

fn frame(number: usize) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    f.extend((0..50 + number % 1000).map(|i| (i + number) as u8));
    f
}

fn frames(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(frame).collect()
}

/// Two sites of one link, as the sample configuration has them.
fn configuration(dir: &Path, own: u8, peer: u8, link: &str) -> config::Config {
    for site in [own, peer] {
        let key = dir.join(format!("from-{site}.key"));
        if !key.exists() {
            std::fs::write(
                &key,
                keygen::keygen(keygen::KeyKind::Sak(CipherSuite::GcmAesXpn256)).unwrap().as_bytes(),
            )
            .unwrap();
            std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
    let link = format!(
        r#"sci = "020000000000000{own}"
{link}

[link.static]
tx = {{ an = 1, sak_file = "from-{own}.key", ssci = {own} }}
rx = [{{ sci = "020000000000000{peer}", an = 1, sak_file = "from-{peer}.key", ssci = {peer} }}]
"#
    );
    one_link(dir, own, 0, &link)
}

/// The configuration of a site with one link, `link` being all of it beyond its name and ports.
pub(crate) fn one_link(dir: &Path, site: u8, core: usize, link: &str) -> config::Config {
    let text = format!(
        r#"
[gateway]
worker_cores = [{core}]
poll = "adaptive"
state_dir = "state-{site}"

[[port]]
name = "plain"
device = "net_null0"

[[port]]
name = "line"
device = "net_null1"

[[link]]
name = "l"
plain = "plain"
line = "line"
{link}"#
    );
    let file = dir.join(format!("{site}.toml"));
    std::fs::write(&file, text).unwrap();
    config::Config::load(&file).unwrap()
}

/// Puts frames on a wire that has room for them.
pub(crate) fn send(tx: &mut MemoryTx, frames: &[Vec<u8>]) {
    for chunk in frames.chunks(secy::MAX_BURST) {
        let mut burst: Burst<MemFrame> = chunk.iter().map(|f| MemFrame::new(f)).collect();
        tx.tx_burst(&mut burst);
        assert!(burst.is_empty(), "the wire is full");
    }
}

/// Stops a gateway that must end well.
pub(crate) fn stop(gateway: Gateway) -> Vec<Row> {
    let (rows, well, outcome) = gateway.stop();
    assert!(well);
    outcome.unwrap();
    rows
}

pub(crate) fn count(rows: &[Row], scope: &str, name: &str) -> u64 {
    rows.iter().filter(|r| r.is(scope)).filter_map(|r| r.get(name)).sum()
}

#[test]
fn two_sites_carry_frames_both_ways_and_count_each() {
    carry_both_ways(["", ""]);
}

#[test]
fn so_they_do_with_crypto_workers() {
    if core_affinity::get_core_ids().unwrap_or_default().len() < 2 {
        eprintln!("skipped: crypto workers take a second core");
        return;
    }
    carry_both_ways(["crypto_cores = { protect = [1] }", "crypto_cores = { verify = [1] }"]);
}

fn carry_both_ways(links: [&str; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let (mut a, mut b) = (Lab::default(), Lab::default());
    let left = Gateway::start(&configuration(dir.path(), 1, 2, links[0]), &mut a).unwrap();
    let right = Gateway::start(&configuration(dir.path(), 2, 1, links[1]), &mut b).unwrap();
    let sent = frames(700);
    a.send("plain", &sent);
    a.carry("line", 700, &mut b, "line");
    assert_eq!(b.receive("plain", 700), sent);
    b.send("plain", &sent[..300]);
    b.carry("line", 300, &mut a, "line");
    assert_eq!(a.receive("plain", 300), sent[..300]);

    let (left, right) = (stop(left), stop(right));
    for (rows, sent, received) in [(&left, 700, 300), (&right, 300, 700)] {
        assert_eq!(count(rows, "tx_sc", "OutPktsEncrypted"), sent);
        assert_eq!(count(rows, "tx_sa", "NextPN"), sent + 1);
        assert_eq!(count(rows, "rx_sc", "InPktsOK"), received);
        assert_eq!(count(rows, "rx_sa", "InPktsOK"), received);
        assert_eq!(count(rows, "path", "tx_dropped") + count(rows, "path", "tx_too_long"), 0);
        assert_eq!(count(rows, "path", "rx_frames"), sent + received);
    }
}

#[test]
fn must_secure_lets_nothing_pass_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::default();
    let gateway = Gateway::start(&configuration(dir.path(), 1, 2, ""), &mut lab).unwrap();
    let eapol = [&frame(0)[..12], &[0x88, 0x8e, 3, 5, 0, 0]].concat();
    lab.send("line", &[frame(1), eapol, frame(2)]);
    lab.send("plain", &[frame(3)]);
    assert!(lab.receive("line", 1).iter().all(|f| f[12..14] == [0x88, 0xe5]));
    let rows = stop(gateway);
    assert!(lab.receive("plain", 0).is_empty());
    assert_eq!(count(&rows, "secy", "InPktsNoTag"), 2);
    assert_eq!(count(&rows, "secy", "InPktsEapol"), 1);
    assert_eq!(count(&rows, "path", "eapol_dropped"), 1);
}

#[test]
fn should_secure_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::default();
    let config = configuration(dir.path(), 1, 2, "policy = \"should-secure\"\nprotect_frames = false");
    let gateway = Gateway::start(&config, &mut lab).unwrap();
    lab.send("line", &frames(3));
    lab.send("plain", &frames(2));
    assert_eq!(lab.receive("plain", 3), frames(3));
    assert_eq!(lab.receive("line", 2), frames(2));
    // VLAN tags come on top of a port's MTU, as long as nothing is before them.
    let mut tagged = vec![2; 12];
    tagged.extend([0x81, 0, 0, 5, 0x88, 0xa8, 0, 6, 8, 0]);
    tagged.resize(1500 + 14 + 8, 3);
    lab.send("plain", std::slice::from_ref(&tagged));
    assert_eq!(lab.receive("line", 1), [tagged]);
    let rows = stop(gateway);
    assert_eq!(count(&rows, "secy", "InPktsUntagged"), 3);
    assert_eq!(count(&rows, "secy", "OutPktsUntagged"), 3);
}

/// A gateway in place of one end of a real Linux link recovers what the other end sent.
#[test]
fn a_captured_link_replays_through_the_whole_gateway() {
    for capture in testkit::static_captures() {
        let dir = tempfile::tempdir().unwrap();
        let mut text = format!(
            "[gateway]\nworker_cores = [0]\npoll = \"adaptive\"\nstate_dir = \"state\"\n\
             [[port]]\nname = \"plain\"\ndevice = \"net_null0\"\n[[port]]\nname = \"line\"\ndevice = \"net_null1\"\n\
             [[link]]\nname = \"l\"\nplain = \"plain\"\nline = \"line\"\ncipher_suite = \"{}\"\nsci = \"{}\"\n[link.static]\n",
            capture.suite, capture.channels[0].sci
        );
        for (i, c) in capture.channels.iter().enumerate() {
            let salt = c.xpn.map_or(String::new(), |(_, salt)| format!("salt = \"{salt}\"\n"));
            let key = dir.path().join(format!("{i}.key"));
            std::fs::write(&key, format!("sak = \"{}\"\n{salt}", c.sak.to_hex().as_str())).unwrap();
            std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            let ssci = c.xpn.map_or(String::new(), |(ssci, _)| format!(", ssci = {}", ssci.0));
            let common = format!("an = {}, sak_file = \"{i}.key\", next_pn = {}{ssci}", c.an, c.first_pn);
            match i {
                0 => text += &format!("tx = {{ {common} }}\n"),
                _ => text += &format!("rx = [{{ sci = \"{}\", {common} }}]\n", c.sci),
            }
        }
        let file = dir.path().join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        let plain = dir.path().join("plain.pcap");
        let mut ports = Files { line: capture.path.clone(), plain: plain.clone() };
        let gateway = Gateway::start(&config::Config::load(&file).unwrap(), &mut ports).unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        let received = |rows: &[Row]| count(rows, "path", "rx_frames");
        while received(&gateway.rows()) < capture.frames.len() as u64 && Instant::now() < end {
            std::thread::yield_now();
        }
        let rows = stop(gateway);
        let peer = capture.channels[1].sci;
        let sent_by_peer = capture
            .frames
            .iter()
            .filter(|f| SecTag::new_checked(&f.octets[12..]).is_ok_and(|t| t.sci() == Some(peer)));
        let mut reader = CaptureReader::open(&plain).unwrap();
        for f in sent_by_peer.clone() {
            let out = reader.next_frame().unwrap().unwrap();
            assert_eq!((out.octets.len(), &out.octets[..12]), (f.octets.len() - 32, &f.octets[..12]));
        }
        assert!(reader.next_frame().unwrap().is_none());
        assert_eq!(count(&rows, "rx_sc", "InPktsOK"), sent_by_peer.count() as u64);
        assert_eq!(received(&rows), capture.frames.len() as u64);
    }
}

#[test]
fn several_links_share_workers_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    configuration(dir.path(), 1, 2, "");
    let mut text =
        "[gateway]\nworker_cores = [0, 1]\npoll = \"adaptive\"\nstate_dir = \"state\"\n".to_owned();
    for i in 0..6 {
        text += &format!("[[port]]\nname = \"p{i}\"\ndevice = \"net_null{i}\"\n");
    }
    // The first takes both cores, the others one each.
    for (i, cores) in ["cores = [0, 1]", "cores = [1]", ""].iter().enumerate() {
        text += &format!(
            "[[link]]\nname = \"l{i}\"\nplain = \"p{}\"\nline = \"p{}\"\nsci = \"02000000000{i}0001\"\n{cores}\n\
             [link.static]\ntx = {{ an = 0, sak_file = \"from-1.key\", ssci = {} }}\n\
             rx = [{{ sci = \"02000000000{i}0002\", an = 0, sak_file = \"from-2.key\", ssci = 9 }}]\n",
            2 * i,
            2 * i + 1,
            i + 1
        );
    }
    let file = dir.path().join("links.toml");
    std::fs::write(&file, text).unwrap();
    let config = config::Config::load(&file).unwrap();
    if std::thread::available_parallelism().unwrap().get() < 2 {
        println!("skipped: this machine has a single core");
        return;
    }
    let mut lab = Lab::default();
    let gateway = Gateway::start(&config, &mut lab).unwrap();
    for i in 0..3 {
        lab.send(&format!("p{}", 2 * i), &frames(100 + i));
        let sealed = lab.receive(&format!("p{}", 2 * i + 1), 100 + i);
        let sci: wire::Sci = format!("02000000000{i}0001").parse().unwrap();
        assert_eq!(sealed.len(), 100 + i);
        assert!(sealed.iter().all(|f| SecTag::new_checked(&f[12..]).unwrap().sci() == Some(sci)));
        // Back into the line, a frame of its own is a stranger's.
        lab.send(&format!("p{}", 2 * i + 1), &sealed);
    }
    std::thread::sleep(Duration::from_millis(50));
    let rows = stop(gateway);
    assert_eq!(count(&rows, "tx_sc", "OutPktsEncrypted"), 303);
    assert_eq!(count(&rows, "secy", "InPktsNoSCI"), 303);
}

fn packet_numbers(frames: &[Vec<u8>]) -> Vec<u32> {
    frames.iter().map(|f| SecTag::new_checked(&f[12..]).unwrap().pn()).collect()
}

#[test]
fn no_packet_number_is_used_twice_over_restarts_and_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let config = configuration(dir.path(), 1, 2, "");
    let mut seen = BTreeSet::new();
    let mut highest = 0;
    for crash in [false, false, true, false, true, true, false] {
        let mut lab = Lab::default();
        let gateway = Gateway::start(&config, &mut lab).unwrap();
        lab.send("plain", &frames(10));
        let numbers = packet_numbers(&lab.receive("line", 10));
        assert_eq!(numbers.len(), 10);
        for pn in &numbers {
            assert!(seen.insert(*pn), "PN {pn} twice");
        }
        assert!(numbers[0] > highest);
        highest = numbers[9];
        if crash {
            drop(gateway);
        } else {
            let rows = stop(gateway);
            // An orderly end wastes none.
            assert_eq!(count(&rows, "tx_sa", "NextPN"), u64::from(highest) + 1);
        }
    }
    assert!(highest > 70, "crashes skip what was reserved");
}

#[test]
fn numbers_are_reserved_on_while_frames_pass() {
    let dir = tempfile::tempdir().unwrap();
    let config = configuration(dir.path(), 1, 2, "");
    let mut lab = Lab::default();
    let mut gateway = Gateway::start(&config, &mut lab).unwrap();
    let reserved = || {
        let files = std::fs::read_dir(&config.gateway.state_dir).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        let file = files.find(|path| path.extension().is_some_and(|e| e == "pn")).unwrap();
        std::fs::read_to_string(file).unwrap()
    };
    let first = reserved();
    let tick_until = |gateway: &mut Gateway, limit: Duration, done: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !done() && start.elapsed() < limit {
            assert!(gateway.tick(Instant::now()));
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let (batch, mut highest, mut sent, mut waited) = (500, 0, 0, false);
    while highest <= FIRST_RESERVATION {
        lab.send("plain", &frames(batch));
        let numbers = packet_numbers(&lab.receive("line", batch));
        assert_eq!(numbers.len(), batch, "after PN {highest}");
        highest = u64::from(numbers[batch - 1]);
        sent += batch as u64;
        assert!(gateway.tick(Instant::now()));
        if highest > FIRST_RESERVATION * 3 / 4 && !waited {
            // The disk has time. Once the file is there its directory is written, and then a tick opens the gate.
            waited = true;
            tick_until(&mut gateway, Duration::from_secs(10), &|| reserved() != first);
            tick_until(&mut gateway, Duration::from_millis(300), &|| false);
        }
    }
    let rows = stop(gateway);
    assert_eq!(count(&rows, "tx_sc", "OutPktsEncrypted"), sent);
    assert_eq!(count(&rows, "tx_sa", "NextPN"), highest + 1);
    assert_eq!(count(&rows, "secy", "OutPktsNoPN"), 0);
}

/// A site that was away while the other sent 2^33 frames and more.
#[test]
fn packet_numbers_that_went_on_unheard_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let (mut a, mut b) = (Lab::default(), Lab::default());
    let [mut sending, receiving] = [configuration(dir.path(), 1, 2, ""), configuration(dir.path(), 2, 1, "")];
    let left = Gateway::start(&sending, &mut a).unwrap();
    a.send("plain", &frames(1));
    let old = a.receive("line", 1);
    stop(left);
    sending.links[0].static_keys.as_mut().unwrap().tx.next_pn = (2 << 32) + 7;
    let left = Gateway::start(&sending, &mut a).unwrap();
    let mut right = Gateway::start(&receiving, &mut b).unwrap();
    let sent = frames(2);
    b.send("line", &old);
    assert_eq!(b.receive("plain", 1), sent[..1]);

    let (start, mut failed) = (Instant::now(), 0);
    let delivered = loop {
        a.send("plain", &sent[1..]);
        a.carry("line", 1, &mut b, "line");
        let frame = loop {
            assert!(start.elapsed() < Duration::from_secs(30), "{failed} frames failed");
            right.tick(Instant::now());
            let mut burst = Burst::new();
            b.cables.get_mut("plain").unwrap().rx.rx_burst(&mut burst);
            if !burst.is_empty() || count(&right.rows(), "rx_sc", "InPktsNotValid") > failed {
                break burst.pop();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        match frame {
            Some(frame) => break frame.to_vec(),
            None => failed += 1,
        }
    };
    assert_eq!(delivered, sent[1]);
    b.send("line", &old);
    a.send("plain", &sent);
    a.carry("line", 2, &mut b, "line");
    assert_eq!(b.receive("plain", 2), sent);
    let rows = [left, right].map(stop);
    assert_eq!(count(&rows[1], "rx_sa", "NextPN"), count(&rows[0], "tx_sa", "NextPN"));
    assert_eq!(count(&rows[1], "rx_sc", "InPktsNotValid"), failed);
    assert_eq!(count(&rows[1], "rx_sc", "InPktsLate"), 1);
}

#[test]
fn a_line_that_is_too_narrow_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = configuration(dir.path(), 1, 2, "");
    for (line, fits) in [(1531, false), (1532, true)] {
        let mut lab = Lab { mtu: [("line".into(), line)].into(), ..Lab::default() };
        match Gateway::start(&config, &mut lab) {
            Ok(gateway) => {
                assert!(fits);
                stop(gateway);
            }
            Err(e) => {
                assert!(!fits);
                assert!(matches!(e, StartError::Link(LinkError::Mtu { .. })));
                let e = e.to_string();
                for part in ["\"l\"", "\"line\"", "1531", "1500", "grow by 32", "mtu = 1532", "mtu = 1499"] {
                    assert!(e.contains(part), "{part}: {e}");
                }
            }
        }
    }
}

#[test]
fn frames_too_long_for_the_line_are_dropped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::default();
    let gateway = Gateway::start(&configuration(dir.path(), 1, 2, ""), &mut lab).unwrap();
    let of_len = |len: usize| [&frame(0)[..14], &vec![0; len - 14]].concat();
    // Two VLAN tags fit on top of 1500 octets of payload.
    lab.send("plain", &[of_len(1522), of_len(1523)]);
    assert_eq!(lab.receive("line", 1).len(), 1);
    let rows = stop(gateway);
    assert_eq!(count(&rows, "secy", "OutPktsTooLong"), 1);
}

#[test]
fn without_a_writable_state_there_is_no_start() {
    let dir = tempfile::tempdir().unwrap();
    let config = configuration(dir.path(), 1, 2, "");
    std::fs::write(&config.gateway.state_dir, "a file in its place").unwrap();
    let error = Gateway::start(&config, &mut Lab::default()).err().unwrap();
    assert!(matches!(error, StartError::State(_)), "{error}");
    assert!(error.to_string().contains("state-1"), "{error}");
}
