//! Ports over virtual devices that need nothing from the system.

mod common;

use arrayvec::ArrayVec;
use common::{eal, ethernet, frame, octets, pool, read_pcap, write_pcap};
use dpdk::{
    DEFAULT_DATA_ROOM, Eal, EalError, Mbuf, MtuOutcome, Pool, PoolError, Port, PortConfig, PortError,
    ThreadError,
};

fn open(device: &str, pool: &Pool) -> Result<Port, PortError> {
    Port::open(eal(), &PortConfig::new(device), pool)
}

#[test]
fn every_virtual_device_and_the_ring_mempool_are_there() {
    let pool = pool("drivers", 8191);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("memif.sock");
    let out = dir.path().join("out.pcap");
    let socket = format!("net_memif0,role=server,socket-abstract=no,socket={}", socket.display());
    let out = format!("net_pcap90,tx_pcap={}", out.display());
    for device in ["net_null90", "net_ring90", socket.as_str(), out.as_str()] {
        open(device, &pool).map(drop).unwrap_or_else(|error| panic!("{error}"));
    }
    // These need privileges; without, the driver must at least be what refuses.
    for device in ["net_tap90", "net_af_packet90,iface=lo"] {
        let config = PortConfig { mtu: Some(1500), ..PortConfig::new(device) };
        match Port::open(eal(), &config, &pool).map(drop) {
            Ok(()) => {}
            Err(PortError::ProbeFailed { .. }) => println!("skipped: {device} needs privileges"),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn net_null_gives_and_takes_frames() {
    let pool = pool("null", 255);
    let port = open("net_null1,size=64", &pool).expect("opens");
    let mut rx = port.take_rx_queue(0).expect("has queue 0");
    let mut tx = port.take_tx_queue(0).expect("has queue 0");
    assert!(port.take_rx_queue(0).is_none() && port.take_tx_queue(0).is_none());
    assert!(port.take_rx_queue(1).is_none());

    let mut frames = ArrayVec::<Mbuf, 32>::new();
    frames.push(frame(&pool, b"first"));
    assert_eq!(rx.rx_burst(&mut frames), 31);
    assert!(frames.is_full());
    assert_eq!(frames[0].data(), b"first");
    assert!(frames[1..].iter().all(|frame| frame.len() == 64 && frame.is_contiguous()));
    assert_eq!(rx.rx_burst(&mut frames), 0);
    assert_eq!(tx.tx_burst(&mut frames), 32);
    assert!(frames.is_empty());
    assert_eq!(tx.tx_burst(&mut frames), 0);

    let stats = port.stats().expect("answers");
    assert_eq!((stats.ipackets, stats.opackets), (31, 32));
    assert_eq!(stats.imissed, None, "its driver counts none");
    assert!(port.link().expect("answers").up);
    assert_eq!(port.name(), "net_null1,size=64");
    assert_ne!(port.mac().expect("answers"), [0; 6]);
    drop((rx, tx, port));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn an_exhausted_pool_receives_nothing_and_recovers() {
    let pool = pool("exhausted", 40);
    let port = open("net_null2", &pool).expect("opens");
    let mut rx = port.take_rx_queue(0).expect("has queue 0");
    let mut frames = ArrayVec::<Mbuf, 32>::new();
    let mut more = ArrayVec::<Mbuf, 32>::new();
    assert_eq!(rx.rx_burst(&mut frames), 32);
    assert_eq!(rx.rx_burst(&mut more), 0);
    assert!(!pool.alloc_bulk(9, &mut more) && more.is_empty());
    frames.clear();
    assert_eq!(rx.rx_burst(&mut more), 32);
    drop((more, rx, port));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_full_ring_hands_the_rest_back_in_order() {
    let pool = pool("ring", 4095);
    let port = open("net_ring1", &pool).expect("opens");
    let mut rx = port.take_rx_queue(0).expect("has queue 0");
    let mut tx = port.take_tx_queue(0).expect("has queue 0");
    let numbered = |number: u32| frame(&pool, &number.to_be_bytes());
    let number = |frame: &Mbuf| u32::from_be_bytes(frame.data().try_into().expect("four octets"));

    // The ring of the driver takes 1023 frames: 31 bursts of 32, and all but one of the 32nd.
    let mut next = 0;
    let mut frames = ArrayVec::<Mbuf, 32>::new();
    let mut partial = 0;
    for _ in 0..33 {
        while !frames.is_full() {
            frames.push(numbered(next));
            next += 1;
        }
        let sent = tx.tx_burst(&mut frames);
        assert_eq!(frames.len(), 32 - sent);
        partial += usize::from(sent != 0 && sent != 32);
    }
    assert_eq!((partial, frames.len()), (1, 32));
    let left: Vec<u32> = frames.iter().map(number).collect();
    assert_eq!(left, (1023..1055).collect::<Vec<_>>());

    let mut received = ArrayVec::<Mbuf, 100>::new();
    let mut expected = 0;
    while rx.rx_burst(&mut received) > 0 {
        for frame in received.drain(..) {
            assert_eq!(number(&frame), expected);
            expected += 1;
        }
    }
    assert_eq!(expected, 1023);
    assert_eq!(pool.in_use(), 32);
    assert_eq!(tx.tx_burst(&mut frames), 32);
    assert_eq!(pool.in_use(), 32);
    // Frames still in the ring go with the port.
    drop((rx, tx, port));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn chains_survive_a_ring() {
    let pool = pool("ring-chain", 63);
    let port = open("net_ring2", &pool).expect("opens");
    let mut rx = port.take_rx_queue(0).expect("has queue 0");
    let mut tx = port.take_tx_queue(0).expect("has queue 0");
    let sent: Vec<Vec<u8>> = (0..4).map(|i| ethernet(i, 1500 + 3000 * usize::from(i))).collect();
    let mut frames: ArrayVec<Mbuf, 4> = sent.iter().map(|octets| frame(&pool, octets)).collect();
    assert_eq!(tx.tx_burst(&mut frames), 4);
    assert_eq!(rx.rx_burst(&mut frames), 4);
    assert_eq!(frames.iter().map(octets).collect::<Vec<_>>(), sent);
    assert_eq!(frames[3].segment_count(), 6);
    drop((frames, rx, tx, port));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn captures_are_read_and_written_whole_whatever_their_length() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (from, to) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
    let frames: Vec<Vec<u8>> = (0..100).map(|i| ethernet(i, 60 + usize::from(i) * 91)).collect();
    write_pcap(&from, &frames);
    let pool = pool("pcap", 1023);
    let device = format!("net_pcap1,rx_pcap={},tx_pcap={}", from.display(), to.display());
    let port = open(&device, &pool).expect("opens");
    let mut rx = port.take_rx_queue(0).expect("has queue 0");
    let mut tx = port.take_tx_queue(0).expect("has queue 0");
    let mut burst = ArrayVec::<Mbuf, 7>::new();
    let mut count = 0;
    while rx.rx_burst(&mut burst) > 0 {
        for frame in &burst {
            assert_eq!(octets(frame), frames[count]);
            count += 1;
        }
        tx.tx_burst(&mut burst);
        assert!(burst.is_empty());
    }
    assert_eq!(count, 100);
    assert_eq!(port.stats().expect("answers").imissed, Some(0), "its driver would count them");
    drop((rx, tx, port));
    assert_eq!(pool.in_use(), 0);
    assert_eq!(read_pcap(&to), frames);
}

#[test]
fn a_queue_keeps_its_port_and_the_port_its_device() {
    let pool = pool("lifetime", 255);
    let port = open("net_null3", &pool).expect("opens");
    let mut rx = port.take_rx_queue(0).expect("has queue 0");
    drop(port);
    let mut frames = ArrayVec::<Mbuf, 8>::new();
    assert_eq!(rx.rx_burst(&mut frames), 8);
    let again = open("net_null3", &pool).map(drop);
    assert_eq!(again, Err(PortError::AlreadyInUse { device: "net_null3".into() }));
    let worker = std::thread::spawn(move || {
        let received = rx.rx_burst(&mut frames);
        (received, frames.len())
    });
    assert_eq!(worker.join().expect("does not panic"), (0, 8));
    for _ in 0..3 {
        open("net_null3", &pool).map(drop).expect("the device is free again");
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_port_keeps_its_pool() {
    let pool = pool("kept", 63);
    let port = open("net_null4", &pool).expect("opens");
    let mut rx = port.take_rx_queue(0).expect("has queue 0");
    drop((pool, port));
    let mut frames = ArrayVec::<Mbuf, 8>::new();
    assert_eq!(rx.rx_burst(&mut frames), 8);
    drop(rx);
    // The pool has no handle left, and its frames are as good as ever.
    assert!(frames[0].append(100) && frames[0].extend_from_slice(&[7; 4000]));
    assert_eq!(frames[0].segment_count(), 3);
}

#[test]
fn the_mtu_is_set_refused_or_without_meaning() {
    let pool = pool("mtu", 255);
    let with_mtu = |device: &str, mtu| {
        Port::open(eal(), &PortConfig { mtu: Some(mtu), ..PortConfig::new(device) }, &pool)
    };
    let null = with_mtu("net_null5", 9000).expect("takes any");
    assert_eq!((null.mtu_outcome(), null.mtu()), (MtuOutcome::Set, Ok(9000)));
    assert_eq!(null.max_mtu(), Ok(u16::MAX));
    let ring = with_mtu("net_ring5", 9000).expect("opens all the same");
    assert_eq!(ring.mtu_outcome(), MtuOutcome::NotSettable);
    let ring = open("net_ring6", &pool).expect("opens");
    assert_eq!((ring.mtu_outcome(), ring.mtu()), (MtuOutcome::Unasked, Ok(1500)));

    let dir = tempfile::tempdir().expect("a temporary directory");
    let memif =
        format!("net_memif5,role=server,socket-abstract=no,socket={}", dir.path().join("s").display());
    let refused = with_mtu(&memif, 9000).map(drop);
    assert_eq!(refused, Err(PortError::MtuRefused { device: memif.clone(), requested: 9000, max: 1500 }));
    open(&memif, &pool).map(drop).expect("a refused device is free again");
}

#[test]
fn each_failure_has_its_own_error() {
    let pool = pool("errors", 255);
    let error = |device: &str| open(device, &pool).map(drop).expect_err(device);
    let named = String::from;

    assert_eq!(error("0000:ff:1f.7"), PortError::PciNotFound { device: named("0000:ff:1f.7") });
    assert!(matches!(error("0000:zz:00.0"), PortError::BadDevice { .. }));
    assert!(matches!(error(""), PortError::BadDevice { .. }));
    assert!(matches!(error("not a device"), PortError::BadDevice { .. }));
    assert_eq!(error("eth0"), PortError::NoDriver { device: named("eth0") });
    assert_eq!(error("net_nonsense0"), PortError::NoDriver { device: named("net_nonsense0") });
    let missing = "net_af_packet8,iface=no-such-if0";
    let interface = named("no-such-if0");
    assert_eq!(error(missing), PortError::InterfaceMissing { device: named(missing), interface });
    let missing = "net_pcap8,iface=no-such-if1";
    assert!(matches!(error(missing), PortError::InterfaceMissing { .. }));

    let absent = "net_pcap8,rx_pcap=/nonexistent/in.pcap";
    let PortError::ProbeFailed { device, reason } = error(absent) else { panic!("probed") };
    assert_eq!(device, absent);
    assert!(reason.contains("/nonexistent/in.pcap") && !reason.contains("EAL"), "{reason}");
    let PortError::ProbeFailed { reason, .. } = error("net_null8,no-such-argument=1") else {
        panic!("probed")
    };
    assert!(reason.contains("arguments") || reason.contains("Invalid"), "{reason}");

    let many = PortConfig { rx_queues: 99, ..PortConfig::new("net_ring8") };
    let error = Port::open(eal(), &many, &pool).map(drop).expect_err("too many");
    assert!(matches!(error, PortError::TooManyQueues { requested: 99, direction: "receive", .. }), "{error}");

    let _first = open("net_null8", &pool).expect("a failed probe leaves the name usable");
    let again = open("net_null8,size=128", &pool).map(drop);
    assert_eq!(again, Err(PortError::AlreadyInUse { device: named("net_null8,size=128") }));
}

#[test]
fn a_present_pci_device_that_dpdk_was_not_given_is_left_alone() {
    let Some(address) = std::fs::read_dir("/sys/bus/pci/devices")
        .ok()
        .and_then(|mut devices| devices.next()?.ok())
        .map(|device| device.file_name().to_string_lossy().into_owned())
    else {
        println!("skipped: this machine has no PCI devices");
        return;
    };
    let error = open(&address, &pool("pci", 255)).map(drop);
    assert_eq!(error, Err(PortError::PciNotAllowed { device: address }));
}

#[test]
fn several_queues_each_way() {
    let pool = pool("queues", 1023);
    let config = PortConfig { rx_queues: 3, tx_queues: 3, ..PortConfig::new("net_ring9") };
    let port = Port::open(eal(), &config, &pool).expect("opens");
    let mut queues: Vec<_> = (0..3)
        .map(|i| (port.take_rx_queue(i).expect("has it"), port.take_tx_queue(i).expect("has it")))
        .collect();
    for (i, (rx, tx)) in queues.iter_mut().enumerate() {
        assert_eq!((usize::from(rx.index()), tx.device()), (i, "net_ring9"));
        let mut frames: ArrayVec<Mbuf, 4> = (0..=i).map(|_| frame(&pool, &[i as u8])).collect();
        tx.tx_burst(&mut frames);
    }
    for (i, (rx, _)) in queues.iter_mut().enumerate() {
        let mut frames = ArrayVec::<Mbuf, 4>::new();
        assert_eq!(rx.rx_burst(&mut frames), i + 1);
        assert!(frames.iter().all(|frame| frame.data() == [i as u8]));
    }
    drop((queues, port));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn pools_say_what_is_wrong_with_them() {
    let make = |name: &str, count, cache, room| Pool::new(eal(), name, count, cache, room, None).map(drop);
    let _first = Pool::new(eal(), "taken", 15, 0, DEFAULT_DATA_ROOM, None).expect("memory for a small pool");
    for name in ["", "a\0b", "a name of more than twenty-five octets", "taken"] {
        let error = make(name, 15, 0, DEFAULT_DATA_ROOM);
        assert!(matches!(error, Err(PoolError::BadName { .. })), "{name:?}: {error:?}");
    }
    for (count, cache, room) in [(0, 0, 2176), (15, 11, 2176), (4095, 513, 2176), (15, 0, dpdk::HEADROOM)] {
        assert!(
            matches!(make("size", count, cache, room), Err(PoolError::BadSize { .. })),
            "{count} {cache} {room}"
        );
    }
}

#[test]
fn registered_threads_have_an_lcore_and_a_cache() {
    let pool =
        Pool::new(eal(), "cached", 1023, 64, DEFAULT_DATA_ROOM, None).expect("memory for a small pool");
    let work = |pool: Pool| {
        move || {
            let guard = eal().register_thread().expect("ids are free");
            let again = eal().register_thread().map(drop);
            assert_eq!(again, Err(ThreadError::AlreadyRegistered { lcore: guard.lcore() }));
            let mut frames = ArrayVec::<Mbuf, 32>::new();
            for _ in 0..1000 {
                assert!(pool.alloc_bulk(32, &mut frames));
                frames.clear();
            }
            guard.lcore()
        }
    };
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(work(pool.clone()))).collect();
    for thread in threads {
        assert_ne!(thread.join().expect("does not panic"), 0, "0 is the initialising thread's");
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn dpdk_comes_up_once() {
    let _first = eal();
    assert_eq!(Eal::init(common::options()).map(drop), Err(EalError::AlreadyInitialised));
    assert!(Eal::version().starts_with("DPDK "));
}
