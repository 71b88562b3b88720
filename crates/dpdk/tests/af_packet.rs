//! Ports over network interfaces of the kernel: a veth pair, made and removed here, which takes root.

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use common::{eal, ethernet, frame, octets, pool};
use dpdk::{HEADROOM, Mbuf, MtuOutcome, Pool, Port, PortConfig, PortError, RxQueue, TxQueue};

/// A veth pair without IPv6, so that the kernel says nothing on it by itself.
struct Veth {
    ends: [String; 2],
}

impl Veth {
    /// `None`, having said why, where this cannot be done.
    fn new(tag: &str) -> Option<Self> {
        let ends = ["a", "b"].map(|end| format!("dt{}{tag}{end}", std::process::id()));
        let veth = Self { ends };
        if !ip(&["link", "add", veth.a(), "type", "veth", "peer", "name", veth.b()]) {
            println!("skipped: cannot make a veth pair here (that takes root and iproute2)");
            std::mem::forget(veth);
            return None;
        }
        for end in &veth.ends {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6"), "1").ok();
            veth.set(end, &["up"]);
        }
        Some(veth)
    }

    fn a(&self) -> &str {
        &self.ends[0]
    }

    fn b(&self) -> &str {
        &self.ends[1]
    }

    fn set(&self, end: &str, what: &[&str]) {
        assert!(ip(&[&["link", "set", "dev", end], what].concat()), "ip link set dev {end} {what:?}");
    }

    fn set_mtu(&self, mtu: u16) {
        for end in &self.ends {
            self.set(end, &["mtu", &mtu.to_string()]);
        }
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        ip(&["link", "del", self.a()]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn config(number: u8, interface: &str) -> PortConfig {
    PortConfig::new(format!("net_af_packet{number},iface={interface}"))
}

/// An open port with its only queues.
struct Ends {
    port: Port,
    rx: RxQueue,
    tx: TxQueue,
}

fn open(config: &PortConfig, pool: &Pool) -> Ends {
    let port = Port::open(eal(), config, pool).unwrap_or_else(|error| panic!("{error}"));
    let rx = port.take_rx_queue(0).expect("has queue 0");
    let tx = port.take_tx_queue(0).expect("has queue 0");
    Ends { port, rx, tx }
}

impl Ends {
    fn send(&mut self, pool: &Pool, octets: &[u8]) {
        let mut frames = ArrayVec::<Mbuf, 1>::from([frame(pool, octets)]);
        assert_eq!(self.tx.tx_burst(&mut frames), 1);
    }

    /// The next frame that a test sent.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let start = Instant::now();
        let mut frames = ArrayVec::<Mbuf, 1>::new();
        while start.elapsed() < Duration::from_millis(500) {
            if self.rx.rx_burst(&mut frames) == 1 {
                let octets = octets(&frames[0]);
                if octets.starts_with(&ethernet(0, 12)) {
                    return Some(octets);
                }
                frames.clear();
            }
        }
        None
    }
}

#[test]
fn frames_cross_untouched_in_both_directions() {
    let Some(veth) = Veth::new("x") else { return };
    let pool = pool("veth", 4095);
    let mut a = open(&config(10, veth.a()), &pool);
    let mut b = open(&config(11, veth.b()), &pool);
    assert_eq!(
        (a.port.mtu(), a.port.max_mtu(), a.port.mtu_outcome()),
        (Ok(1500), Ok(1500), MtuOutcome::Unasked)
    );
    assert!(a.port.link().expect("answers").up);

    for len in [60, 64, 590, 1514] {
        let octets = ethernet(len as u8, len);
        a.send(&pool, &octets);
        assert_eq!(b.receive().as_deref(), Some(&octets[..]), "{len}");
        b.send(&pool, &octets);
        assert_eq!(a.receive().as_deref(), Some(&octets[..]), "{len}");
    }
    // One and two VLAN tags, at full size. The kernel takes the outer one out, and the driver puts it back.
    for tags in 1..=2 {
        let mut octets = ethernet(0, 12);
        (0..tags).for_each(|tag| octets.extend([0x81, 0, 0xa1, 0x20 + tag]));
        octets.extend([0x88, 0xb5]);
        octets.resize(1500 + 14 + 4, 0x55);
        a.send(&pool, &octets);
        assert_eq!(b.receive(), Some(octets), "{tags} tags");
    }
    // A chain goes out whole.
    let mut chain = frame(&pool, &ethernet(1, 60));
    assert!(chain.append(chain.tailroom()) && chain.append(20));
    chain.truncate(1514);
    chain.data_mut()[60..].fill(1);
    let mut frames = ArrayVec::<Mbuf, 1>::from([chain]);
    assert_eq!(a.tx.tx_burst(&mut frames), 1);
    assert_eq!(b.receive(), Some(ethernet(1, 1514)));

    let stats = a.port.stats().expect("answers");
    assert_eq!((stats.opackets, stats.imissed), (7, None));
    veth.set(veth.b(), &["down"]);
    // The kernel reports a change of carrier once a second at most.
    let start = Instant::now();
    while a.port.link().expect("answers").up {
        assert!(start.elapsed() < Duration::from_secs(5), "the link stays up");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop((a, b));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn promiscuous_mode_ends_with_the_port() {
    let Some(veth) = Veth::new("p") else { return };
    let pool = pool("promiscuous", 1023);
    let promiscuous = || {
        let flags = std::fs::read_to_string(format!("/sys/class/net/{}/flags", veth.a())).expect("readable");
        u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).expect("hexadecimal") & 0x100 != 0
    };
    let port = open(&config(12, veth.a()), &pool);
    assert!(promiscuous());
    drop(port);
    assert!(!promiscuous());
    let unpromiscuous = PortConfig { promiscuous: false, ..config(12, veth.a()) };
    let port = open(&unpromiscuous, &pool);
    assert!(!promiscuous());
    drop(port);
    veth.set(veth.a(), &["promisc", "on"]);
    drop(open(&unpromiscuous, &pool));
    assert!(promiscuous(), "it was on before");
    drop(open(&config(12, veth.a()), &pool));
    assert!(promiscuous(), "it was on before");
}

#[test]
fn the_interface_decides_about_the_mtu() {
    let Some(veth) = Veth::new("m") else { return };
    let small = pool("small", 255);
    let large = Pool::new(eal(), "large", 255, 0, 9216 + 96, None).expect("memory for a small pool");
    let open_with =
        |mtu: Option<u16>, pool: &Pool| Port::open(eal(), &PortConfig { mtu, ..config(13, veth.a()) }, pool);
    let device = config(13, veth.a()).device;

    let refused = open_with(Some(9000), &large).map(drop);
    let interface = veth.a().to_owned();
    assert_eq!(
        refused,
        Err(PortError::InterfaceMtu { device: device.clone(), interface, requested: 9000, mtu: 1500 })
    );
    let port = open_with(Some(1400), &small).expect("the interface can do more");
    assert_eq!((port.mtu_outcome(), port.mtu()), (MtuOutcome::Set, Ok(1500)));
    drop(port);

    veth.set_mtu(9000);
    let refused = open_with(None, &small).map(drop);
    let needed = 9216 - 32 + u32::from(HEADROOM);
    assert_eq!(refused, Err(PortError::DataRoomTooSmall { device, needed, data_room: small.data_room() }));
    let mut a = open(&config(13, veth.a()), &large);
    let mut b = open(&PortConfig { mtu: Some(9000), ..config(14, veth.b()) }, &large);
    assert_eq!((b.port.mtu_outcome(), b.port.mtu(), b.port.max_mtu()), (MtuOutcome::Set, Ok(9000), Ok(9000)));
    // As many as there are slots, and again, so that every slot of every block is used.
    for number in 0..1100_u16 {
        let octets = ethernet(number as u8, 9014);
        a.send(&large, &octets);
        assert_eq!(b.receive(), Some(octets), "{number}");
    }
    drop((a, b));
    assert_eq!(large.in_use(), 0);
}

/// The driver would send what lies in memory behind the first segment.
#[test]
fn a_chain_goes_nowhere_where_the_driver_takes_one_segment() {
    let Some(veth) = Veth::new("c") else { return };
    let pool = pool("chains", 8191);
    let mut b = open(&config(18, veth.b()), &pool);
    let port = match Port::open(eal(), &PortConfig::new(format!("net_af_xdp18,iface={}", veth.a())), &pool) {
        Err(PortError::ProbeFailed { reason, .. }) => return println!("skipped: no AF_XDP here: {reason}"),
        port => port.unwrap_or_else(|error| panic!("{error}")),
    };
    let mut tx = port.take_tx_queue(0).expect("has queue 0");
    let mut chain = frame(&pool, &ethernet(3, 60));
    assert!(chain.append(chain.tailroom()) && chain.append(20));
    let mut frames = ArrayVec::<Mbuf, 4>::from_iter([
        frame(&pool, &ethernet(1, 60)),
        chain,
        frame(&pool, &ethernet(2, 60)),
    ]);
    tx.tx_burst(&mut frames);
    assert!(frames.is_empty());
    assert_eq!((b.receive(), b.receive()), (Some(ethernet(1, 60)), Some(ethernet(2, 60))));
    assert_eq!(port.stats().expect("answers").oerrors, 1);
    drop((tx, port, b));
}

/// The kernel lets them go, and says that they were sent.
#[test]
fn frames_that_are_longer_than_the_interface_sends_are_counted() {
    let Some(veth) = Veth::new("s") else { return };
    let pool = pool("sent", 4095);
    let mut a = open(&config(19, veth.a()), &pool);
    let mut b = open(&config(20, veth.b()), &pool);
    let tagged = |kind: [u8; 2], len: usize| {
        let mut octets = ethernet(5, 12);
        octets.extend([kind[0], kind[1], 0, 1, 0x88, 0xb5]);
        octets.resize(len, 5);
        octets
    };
    let mut not_sent = 0;
    for (octets, is_sent) in [
        (ethernet(5, 1514), true),
        (ethernet(5, 1515), false),
        (tagged([0x81, 0x00], 1518), true),
        (tagged([0x81, 0x00], 1519), false),
        (tagged([0x88, 0xa8], 1514), true),
        (tagged([0x88, 0xa8], 1518), false),
        // Nothing is out of turn behind them.
        (ethernet(6, 60), true),
    ] {
        not_sent += u64::from(!is_sent);
        a.send(&pool, &octets);
        if is_sent {
            assert_eq!(b.receive().map(|octets| octets.len()), Some(octets.len()));
        }
        let stats = a.port.stats().expect("answers");
        assert_eq!(stats.oerrors, not_sent, "{} octets", octets.len());
    }
    assert_eq!(a.port.stats().expect("answers").opackets, 4);
    drop((a, b));
    assert_eq!(pool.in_use(), 0);
}

/// They would arrive without their ends, and go on like that.
#[test]
fn frames_that_are_longer_than_was_foreseen_are_left_out_and_counted() {
    let Some(veth) = Veth::new("l") else { return };
    let large = Pool::new(eal(), "longer", 1023, 0, 9216 + 96, None).expect("memory for a small pool");
    let send = |a: &mut Ends, len: usize| a.send(&large, &ethernet(7, len));
    veth.set_mtu(9000);
    // Less than the interface has, and then an interface that has got more since.
    let mut a = open(&config(15, veth.a()), &large);
    let mut b = open(&PortConfig { mtu: Some(1500), ..config(16, veth.b()) }, &large);
    send(&mut a, 1514 + 8);
    assert_eq!(b.receive(), Some(ethernet(7, 1514 + 8)));
    for len in [1514 + 9, 5000, 9014] {
        send(&mut a, len);
        send(&mut a, 100);
        assert_eq!(b.receive(), Some(ethernet(7, 100)), "{len}");
    }
    assert_eq!(b.port.stats().expect("answers").ierrors, 3);
    drop(b);
    veth.set(veth.b(), &["mtu", "1500"]);
    let small = pool("shorter", 1023);
    let mut b = open(&config(16, veth.b()), &small);
    veth.set(veth.b(), &["mtu", "9000"]);
    send(&mut a, 1990);
    send(&mut a, 9000);
    send(&mut a, 60);
    assert_eq!(b.receive(), Some(ethernet(7, 60)));
    assert_eq!(b.port.stats().expect("answers").ierrors, 2);
    drop((a, b));
    assert_eq!((large.in_use(), small.in_use()), (0, 0));
}

#[test]
fn a_frame_size_that_is_too_small_for_the_mtu_is_refused() {
    let Some(veth) = Veth::new("f") else { return };
    let large = Pool::new(eal(), "frames", 255, 0, 9216 + 96, None).expect("memory for a small pool");
    veth.set_mtu(9000);
    for (framesz, mtu, does) in [(4096, Some(9000), false), (2048, None, false), (2048, Some(1500), true)] {
        let device = format!("{},framesz={framesz}", config(17, veth.a()).device);
        let opened = Port::open(eal(), &PortConfig { mtu, ..PortConfig::new(&*device) }, &large).map(drop);
        let refused =
            matches!(&opened, Err(PortError::BadDevice { reason, .. }) if reason.contains("for the MTU"));
        assert_eq!((opened.is_ok(), refused), (does, !does), "{framesz} {mtu:?}: {opened:?}");
    }
}
