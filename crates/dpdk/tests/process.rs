//! What takes a process of its own: coming up beside others, going down, and what is left behind. Each test runs
//! itself again as a child.

mod common;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use arrayvec::ArrayVec;
use common::{frame, octets, options};
use dpdk::{DEFAULT_DATA_ROOM, Eal, EalError, EalOptions, Mbuf, Pool, PoolError, Port, PortConfig};

const CHILD: &str = "DPDK_TEST_CHILD";

/// Runs test `name` of this binary again, with [`CHILD`] set.
fn spawn(name: &str) -> Child {
    Command::new(std::env::current_exe().expect("has a path"))
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("can be run again")
}

fn finish(child: Child) -> Output {
    let output = child.wait_with_output().expect("ends");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    output
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

fn runtime_dirs(pid: u32) -> impl Iterator<Item = std::path::PathBuf> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(std::path::PathBuf::from);
    let bases = [Some("/var/run".into()), Some("/tmp".into()), own];
    bases.into_iter().flatten().map(move |base| Path::new(&base).join(format!("dpdk/macsec-gw-{pid}")))
}

#[test]
fn processes_come_up_side_by_side_quietly_and_leave_nothing() {
    if is_child() {
        let before = affinity();
        let eal = Eal::init(options()).expect("comes up");
        assert_eq!(affinity(), before, "without a control core the affinity stays");
        let pool =
            Pool::new(&eal, "pool", 1023, 0, DEFAULT_DATA_ROOM, None).expect("memory for a small pool");
        let port = Port::open(&eal, &PortConfig::new("net_null0"), &pool).expect("opens");
        let mut rx = port.take_rx_queue(0).expect("has queue 0");
        let mut frames = ArrayVec::<Mbuf, 32>::new();
        for _ in 0..1000 {
            assert_eq!(rx.rx_burst(&mut frames), 32);
            frames.clear();
        }
        return;
    }
    let children: Vec<Child> =
        (0..3).map(|_| spawn("processes_come_up_side_by_side_quietly_and_leave_nothing")).collect();
    for child in children {
        let pid = child.id();
        let output = finish(child);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "DPDK was not quiet");
        for dir in runtime_dirs(pid) {
            assert!(!dir.exists(), "{} is left", dir.display());
        }
    }
}

/// A pool that is too large takes all there is before it fails: nobody else may want any meanwhile.
#[test]
fn a_pool_too_large_is_refused_and_gives_all_back() {
    if is_child() {
        let eal = Eal::init(options()).expect("comes up");
        let make = |name: &str, count| Pool::new(&eal, name, count, 0, DEFAULT_DATA_ROOM, None).map(drop);
        // The second takes most of the 256 MiB, a page a frame: what the first took must be back.
        for _ in 0..3 {
            let error = make("huge", 10_000_000);
            assert!(matches!(error, Err(PoolError::NoMemory { .. })), "{error:?}");
            make("again", 40_959).expect("the last one was freed");
        }
        return;
    }
    finish(spawn("a_pool_too_large_is_refused_and_gives_all_back"));
}

#[test]
fn frames_outlive_everything() {
    if is_child() {
        let eal = Eal::init(options()).expect("comes up");
        let pool = Pool::new(&eal, "pool", 63, 0, DEFAULT_DATA_ROOM, None).expect("memory for a small pool");
        let mut frame = frame(&pool, &[1; 3000]);
        drop((pool, eal));
        assert!(frame.extend_from_slice(&[2; 3000]));
        assert_eq!(octets(&frame), [[1; 3000], [2; 3000]].concat());
        drop(frame);
        return;
    }
    finish(spawn("frames_outlive_everything"));
}

#[test]
fn once_gone_it_stays_gone() {
    if is_child() {
        let eal = Eal::init(options()).expect("comes up");
        let pool = Pool::new(&eal, "pool", 63, 0, DEFAULT_DATA_ROOM, None).expect("memory for a small pool");
        let port = Port::open(&eal, &PortConfig::new("net_ring0"), &pool).expect("opens");
        let mut tx = port.take_tx_queue(0).expect("has queue 0");
        tx.tx_burst(&mut ArrayVec::<Mbuf, 1>::from([frame(&pool, b"x")]));
        drop((eal, pool, port));
        drop(tx);
        assert_eq!(Eal::init(options()).map(drop), Err(EalError::AlreadyInitialised));
        return;
    }
    finish(spawn("once_gone_it_stays_gone"));
}

#[test]
fn options_are_checked_before_dpdk_sees_them() {
    if is_child() {
        let error = |options| Eal::init(options).map(drop).expect_err("refused");
        let bad = EalOptions { allowed_pci: vec!["net_null0".into()], ..options() };
        assert_eq!(error(bad), EalError::BadPciAddress { device: "net_null0".into() });
        let bad = EalOptions { extra_args: vec!["a\0b".into()], ..options() };
        assert_eq!(error(bad), EalError::BadArgument { argument: "a\0b".into() });
        for core in [1023, 5000] {
            let bad = EalOptions { control_core: Some(core), ..options() };
            assert!(matches!(error(bad), EalError::BadCore { .. }));
        }
        let core = core_affinity::get_core_ids().expect("known").last().expect("one at least").id;
        let good = EalOptions { control_core: Some(core), ..options() };
        let _eal = Eal::init(good).expect("nothing was used up");
        assert_eq!(affinity(), [core]);
        return;
    }
    finish(spawn("options_are_checked_before_dpdk_sees_them"));
}

#[test]
fn a_failure_says_why() {
    if is_child() {
        let bad = EalOptions { extra_args: vec!["--no-such-option".into()], ..options() };
        let error = Eal::init(bad).map(drop).expect_err("refused");
        assert!(matches!(&error, EalError::Init { reason } if reason.contains("command line")), "{error}");
        assert_eq!(Eal::init(options()).map(drop), Err(EalError::AlreadyInitialised));
        return;
    }
    let child = spawn("a_failure_says_why");
    let pid = child.id();
    finish(child);
    for dir in runtime_dirs(pid) {
        assert!(!dir.exists(), "{} is left", dir.display());
    }
}

#[test]
fn hugepages_work_where_there_are_some() {
    if is_child() {
        let options = EalOptions { hugepages: true, ..options() };
        match Eal::init(EalOptions { memory_mib: None, ..options }) {
            Ok(eal) => {
                Pool::new(&eal, "pool", 1023, 0, DEFAULT_DATA_ROOM, None).expect("memory for a small pool");
            }
            Err(EalError::NoHugepages) => println!("skipped: no free hugepages"),
            Err(error) => panic!("{error}"),
        }
        return;
    }
    let output = finish(spawn("hugepages_work_where_there_are_some"));
    if String::from_utf8_lossy(&output.stdout).contains("skipped:") {
        println!("skipped: no free hugepages");
    }
}

fn affinity() -> Vec<usize> {
    core_affinity::get_core_ids().expect("known").into_iter().map(|core| core.id).collect()
}
