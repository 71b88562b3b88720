//! Packet numbers across restarts, on real files.

use super::*;
use secy::{SaParams, TxSa};
use std::sync::Arc;
use wire::{CipherSuite, ConfidentialityOffset, Ssci};

/// Keys are locked across directories: each test has its own.
fn key<'a>(sak: &'a Sak, xpn: Option<Xpn>) -> KeyUse<'a> {
    KeyUse { link: "a \"link\"", sak, sci: Sci::from_bytes([1; 8]), xpn }
}

fn gate(r: &Reservation, sak: &Sak) -> Arc<PnGate> {
    TxSa::new(&params(sak, r.first_pn()), r.limit()).unwrap().gate()
}

fn params(sak: &Sak, first_pn: u64) -> SaParams<'_> {
    let (suite, offset) = (CipherSuite::GcmAes128, ConfidentialityOffset::None);
    SaParams { suite, sak, sci: Sci::from_bytes([1; 8]), xpn: None, offset, first_pn }
}

fn take(used: &mut UsedKeys, id: KeyId) -> Result<bool, String> {
    used.ask(id);
    soon(|| used.answer())
}

/// What comes of something that another thread does.
fn soon<T>(mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(outcome) = poll() {
            return outcome;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "nothing comes of it");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Maintains as a control core does until nothing is on its way to the disk.
fn maintain(r: &mut Reservation, gate: &PnGate, now: Instant) {
    let outcome = |r: &mut Reservation| r.maintain(gate, now).transpose().unwrap();
    outcome(r);
    soon(|| {
        outcome(r);
        r.writing.is_none().then_some(())
    });
}

fn remember(memory: &mut RxMemory, progress: &RxProgress, now: Instant) {
    memory.maintain(progress, now).transpose().unwrap();
    soon(|| {
        memory.maintain(progress, now).transpose().unwrap();
        memory.writing.is_none().then_some(())
    });
}

/// A file that takes nothing before somebody reads it.
fn stall(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
}

#[test]
fn keys_that_were_used_are_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let id = |n: u8| Sak::from_octets(&[n; 16]).unwrap().id(&[]);
    for (n, new) in [(1, true), (1, false), (2, true), (1, false)] {
        // Each time another life.
        let mut used = StateDir::open(dir.path()).unwrap().used_keys("l");
        assert_eq!(take(&mut used, id(n)), Ok(new));
        assert_eq!(take(&mut used, id(n)), Ok(false));
    }
    // The link has another name now.
    let mut renamed = StateDir::open(dir.path()).unwrap().used_keys("m");
    assert_eq!([2, 101].map(|n| take(&mut renamed, id(n))), [Ok(false), Ok(true)]);
    let mut used = StateDir::open(dir.path()).unwrap().used_keys("l");
    assert_eq!(take(&mut used, id(101)), Ok(false));
    (3..=100).for_each(|n| assert_eq!(take(&mut used, id(n)), Ok(true)));
    let text = fs::read_to_string(dir.path().join("l.used")).unwrap();
    assert_eq!(text.lines().count(), 1 + USED_KEYS);
    assert!(!text.contains("0303030303"), "digests, not keys");
    fs::remove_file(dir.path().join("l.used")).unwrap();
    fs::create_dir(dir.path().join("l.used")).unwrap();
    let refused = take(&mut used, id(102)).unwrap_err();
    assert!(refused.contains("l.used"), "{refused}");
}

#[test]
fn a_crash_skips_what_was_reserved_and_an_end_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let sak = Sak::from_octets(&[2; 16]).unwrap();
    let reserve = |first| StateDir::open(dir.path()).unwrap().reserve(&key(&sak, None), first).unwrap();
    let r = reserve(100);
    assert_eq!((r.first_pn(), r.limit()), (100, 100 + FIRST_RESERVATION));
    drop(r);
    let r = reserve(1);
    assert_eq!(r.first_pn(), 100 + FIRST_RESERVATION, "after a crash");
    let gate = gate(&r, &sak);
    r.finish(&gate).unwrap();
    let r = reserve(1);
    assert_eq!(r.first_pn(), 100 + FIRST_RESERVATION, "after an end without a frame");
    assert_eq!(reserve(1 << 30).first_pn(), 1 << 30, "a higher number in the configuration counts");
}

#[test]
fn reservations_grow_with_the_rate() {
    let dir = tempfile::tempdir().unwrap();
    let sak = Sak::from_octets(&[3; 16]).unwrap();
    let mut state = StateDir::open(dir.path()).unwrap();
    let mut r = state.reserve(&key(&sak, None), 1).unwrap();
    let file = dir.path().join(format!("{}.pn", key(&sak, None).id()));
    let gate = gate(&r, &sak);
    let start = Instant::now();
    maintain(&mut r, &gate, start);
    assert_eq!(r.limit(), 1 + FIRST_RESERVATION, "nothing is used yet");
    // As if all had been used at once, and again.
    r.limit = 1;
    maintain(&mut r, &gate, start + Duration::from_millis(1));
    assert_eq!((r.size, r.limit()), (2 * FIRST_RESERVATION, 1 + 2 * FIRST_RESERVATION));
    assert_eq!(read(&file).unwrap().map(|s| s.next_pn), Some(r.limit()), "written before the gate opens");
    assert_eq!(gate.limit(), r.limit());
    r.limit = 1;
    maintain(&mut r, &gate, start + Duration::from_secs(600));
    assert_eq!(r.size, FIRST_RESERVATION);
}

#[test]
fn a_disk_that_does_not_answer_keeps_nobody_waiting_and_opens_no_gate() {
    let dir = tempfile::tempdir().unwrap();
    let sak = Sak::from_octets(&[11; 16]).unwrap();
    let mut state = StateDir::open(dir.path()).unwrap();
    let mut r = state.reserve(&key(&sak, None), 1).unwrap();
    let gate = gate(&r, &sak);
    let path = dir.path().join(format!("{}.pn.new", key(&sak, None).id()));
    stall(&path);
    let limit = r.limit();
    r.limit = 1;
    let start = Instant::now();
    for _ in 0..100 {
        assert!(r.maintain(&gate, start).is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(r.writing.is_some());
    assert_eq!((r.limit(), gate.limit()), (1, limit));
    // What it took is not on any disk: the next one has to be.
    let (read, write) = (File::open(&path).unwrap(), &mut r);
    let refused = soon(|| write.maintain(&gate, start)).unwrap_err();
    assert!(refused.to_string().contains(".pn"), "{refused}");
    drop(read);
    // Not again and again at once.
    assert!(r.maintain(&gate, start).is_none() && r.writing.is_none());
    let start = start + PAUSE;
    assert_eq!((r.limit(), gate.limit()), (1, limit));
    fs::remove_file(&path).unwrap();
    maintain(&mut r, &gate, start);
    assert!(r.limit() == gate.limit() && gate.limit() > limit);
    // Nor does an end overtake what is on its way.
    r.limit = 1;
    assert!(r.maintain(&gate, start).is_none() && r.writing.is_some());
    r.finish(&gate).unwrap();
    drop(state);
    let mut state = StateDir::open(dir.path()).unwrap();
    assert_eq!(state.reserve(&key(&sak, None), 1).unwrap().first_pn(), 1);
}

#[test]
fn the_last_number_is_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let sak = Sak::from_octets(&[4; 16]).unwrap();
    let r = StateDir::open(dir.path()).unwrap().reserve(&key(&sak, None), u64::from(u32::MAX)).unwrap();
    assert_eq!(r.limit(), 1 << 32);
    drop(r);
    let used_up = StateDir::open(dir.path()).unwrap().reserve(&key(&sak, None), 1).unwrap_err();
    assert!(matches!(used_up, StateError::UsedUp { .. }), "{used_up}");
    // The same key with other nonces has its own numbers.
    let xpn = Some(Xpn { ssci: Ssci(1), salt: Salt([0; 12]) });
    let r = StateDir::open(dir.path()).unwrap().reserve(&key(&sak, xpn), u64::MAX - 1).unwrap();
    assert_eq!(r.limit(), u64::MAX);
}

#[test]
fn what_cannot_be_trusted_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let sak = Sak::from_octets(&[5; 16]).unwrap();
    let mut state = StateDir::open(dir.path()).unwrap();
    assert!(matches!(StateDir::open(dir.path()), Err(StateError::Locked { .. })));
    drop(state.reserve(&key(&sak, None), 1).unwrap());
    assert!(matches!(state.reserve(&key(&sak, None), 1), Err(StateError::SameNonces { .. })));
    drop(state);
    let file = dir.path().join(format!("{}.pn", key(&sak, None).id()));
    for damaged in
        ["", "next_pn = 5", "next_pn = \"0x00000000008000\"", "next_pn = \"0x0000000000000000\"", "\0"]
    {
        fs::write(&file, damaged).unwrap();
        let e = StateDir::open(dir.path()).unwrap().reserve(&key(&sak, None), 1).unwrap_err();
        assert!(matches!(e, StateError::Damaged { .. }), "{damaged:?}: {e}");
    }
    let blocked = dir.path().join("lock").join("below-a-file");
    let e = StateDir::open(&blocked).unwrap_err().to_string();
    assert!(e.contains("below-a-file") && e.contains("state_dir"), "{e}");
}

#[test]
fn xpn_keys_are_the_same_where_their_nonces_are() {
    let sak = Sak::from_octets(&[6; 32]).unwrap();
    let id = |ssci, first| {
        let mut salt = [0; 12];
        salt[3] = first;
        key(&sak, Some(Xpn { ssci: Ssci(ssci), salt: Salt(salt) })).id()
    };
    assert_eq!(id(1, 2), id(2, 1));
    assert_ne!(id(1, 2), id(1, 1));
}

#[test]
fn a_new_salt_alone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let sak = Sak::from_octets(&[7; 32]).unwrap();
    let salted = |last| {
        let mut salt = [3; 12];
        salt[11] = last;
        Some(Xpn { ssci: Ssci(1), salt: Salt(salt) })
    };
    let reserve = |last| StateDir::open(dir.path()).unwrap().reserve(&key(&sak, salted(last)), 1).map(drop);
    reserve(0).unwrap();
    assert!(matches!(reserve(1), Err(StateError::SaltChanged { .. })));
    reserve(0).unwrap();
}

#[test]
fn two_directories_do_not_share_a_key() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let sak = Sak::from_octets(&[8; 16]).unwrap();
    let mut states = dirs.each_ref().map(|d| StateDir::open(d.path()).unwrap());
    drop(states[0].reserve(&key(&sak, None), 1).unwrap());
    let second = states[1].reserve(&key(&sak, None), 1);
    assert!(matches!(second, Err(StateError::SameNonces { .. })));
    let [first, mut second] = states;
    drop(first);
    drop(second.reserve(&key(&sak, None), 1).unwrap());
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open_to = |mode| {
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        StateDir::open(dir.path()).map(drop)
    };
    assert!(matches!(open_to(0o770), Err(StateError::Exposed { .. })));
    assert!(matches!(open_to(0o702), Err(StateError::Exposed { .. })));
    let me = rustix::process::geteuid().as_raw();
    let me = if me == 0 { "root".to_owned() } else { me.to_string() };
    let says = |mode| open_to(mode).unwrap_err().to_string();
    assert!(says(0o770).contains(&format!("; run: chown {me} {0} && chmod 700 {0}", dir.path().display())));
    assert!(says(0o1777).ends_with("; name another one in gateway.state_dir"), "{}", says(0o1777));
    open_to(0o755).unwrap();
}

#[test]
fn a_file_that_cannot_be_read_comes_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let sak = Sak::from_octets(&[12; 16]).unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    let key = key(&sak, None);
    fs::create_dir(dir.path().join(format!("{}.rx", key.id()))).unwrap();
    let text = state.recall(&key).unwrap_err().to_string();
    assert!(
        text.contains("Is a directory") && text.contains("; make it readable, and its directory writable"),
        "{text}"
    );
}

#[test]
fn reception_is_remembered_and_never_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let sak = Sak::from_octets(&[10; 16]).unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    let key = key(&sak, None);
    let at = |pn| secy::RxSa::new(&params(&sak, pn)).unwrap().progress();
    let mut memory = state.recall(&key).unwrap();
    let mut of_another_link = state.recall(&key).unwrap();
    assert_eq!(memory.next_pn(), None);
    remember(&mut memory, &at(1), Instant::now() + RX_LAG_TIME);
    assert_eq!(state.recall(&key).unwrap().next_pn(), None, "nothing was received");
    remember(&mut memory, &at(50), Instant::now());
    assert_eq!(state.recall(&key).unwrap().next_pn(), None, "not every number is worth a write");
    remember(&mut memory, &at(40), Instant::now() + PAUSE);
    assert_eq!(state.recall(&key).unwrap().next_pn(), Some(40), "the first soon");
    remember(&mut memory, &at(50), Instant::now() + 3 * PAUSE);
    assert_eq!(state.recall(&key).unwrap().next_pn(), Some(40));
    remember(&mut memory, &at(50), Instant::now() + 2 * RX_LAG_TIME);
    assert_eq!(state.recall(&key).unwrap().next_pn(), Some(50));
    remember(&mut memory, &at(50 + RX_LAG), Instant::now() + 2 * RX_LAG_TIME + 2 * PAUSE);
    remember(&mut memory, &at(7), Instant::now() + 4 * RX_LAG_TIME);
    memory.finish(&at(8)).unwrap();
    remember(&mut of_another_link, &at(60), Instant::now() + RX_LAG_TIME);
    assert_eq!(state.recall(&key).unwrap().next_pn(), Some(50 + RX_LAG));
    of_another_link.finish(&at(51 + RX_LAG)).unwrap();
    assert_eq!(state.recall(&key).unwrap().next_pn(), Some(51 + RX_LAG));
}
