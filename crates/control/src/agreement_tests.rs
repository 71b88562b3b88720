//! Agreements without a line, told what to do.

use super::*;
use datapath::{ControlInlet, ControlOutlet, FrameRx, Protect, Task};
use keys::{Cak, Ckn, Sak, Salt};
use secy::{Burst, Engine, Event, MemFrame, SciMode, TxConfig, TxSecY};
use std::sync::Mutex;
use wire::{CipherSuite, MacAddr, MemberId, Ssci};

/// What a store was asked, and what it answers.
#[derive(Default)]
struct Notes {
    asked: Vec<KeyId>,
    answers: VecDeque<Result<bool, String>>,
}

type Store = Arc<Mutex<Notes>>;

struct Shared(Store);

impl KeyStore for Shared {
    fn ask(&mut self, id: KeyId) {
        self.0.lock().unwrap().asked.push(id);
    }

    fn answer(&mut self) -> Option<Result<bool, String>> {
        self.0.lock().unwrap().answers.pop_front()
    }
}

fn sci(number: u8) -> Sci {
    Sci::new(MacAddr([2, 0, 0, 0, 0, number]), 1)
}

fn kay(number: u8, ckn: u8) -> mka::Config {
    mka::Config::new(sci(number), Cak::from_octets(&[1; 16]).unwrap(), Ckn::from_octets(&[ckn]).unwrap())
}

fn agreement() -> (Agreement, Store) {
    let (agreement, store, ..) = agreement_on_a_line();
    (agreement, store)
}

fn agreement_on_a_line() -> (Agreement, Store, ControlInlet, ControlOutlet) {
    let task = TaskAddress { worker: 0, task: 0 };
    let settings = Settings { link: "l".to_owned(), kay: kay(1, 1), protect: task, verify: task };
    let (port, inlet, outlet) = datapath::control_port();
    let store = Store::default();
    (Agreement::new(settings, port, Box::new(Shared(store.clone())), Instant::now()), store, inlet, outlet)
}

/// The first MKPDU of another station.
fn mkpdu(number: u8, ckn: u8) -> MemFrame {
    let mut kay = Kay::new(kay(number, ckn), Box::new(move |octets| octets.fill(number)), Duration::ZERO);
    let mut buffer = [0; MkpduWriter::MAX_FRAME_LEN];
    let soon = Duration::from_secs(2);
    kay.handle_timeout(soon);
    let len = kay.poll_transmit(soon, &mut buffer).unwrap();
    MemFrame::new(&buffer[..len])
}

/// As many frames as there is room for, ever again, keep nobody from being heard, and do not hold up what else is to be done.
#[test]
fn a_flood_of_frames_keeps_no_mkpdu_out() {
    let (mut agreement, _, mut inlet, _) = agreement_on_a_line();
    let (now, workers) = (Instant::now(), &mut Workers::default());
    let (flood, genuine) = (mkpdu(3, 3), mkpdu(2, 1));
    let mut room = 0;
    while inlet.put(&flood) {
        room += 1;
    }
    assert!(room > 100 && !inlet.put(&genuine));
    agreement.take_frames(now, workers, || now);
    for _ in 0..room - 1 {
        assert!(inlet.put(&flood), "there is room for as many again");
    }
    assert!(inlet.put(&genuine));
    agreement.take_frames(now, workers, || now);
    let status = agreement.status(now);
    assert_eq!((status.peers.len(), agreement.port.waiting()), (1, 0));
    assert_eq!(status.peers[0].sci, sci(2).to_string());
    assert_eq!((agreement.counts.other_ckn, agreement.counts.received), (2 * room - 1, 1));
    // Where each takes long, some wait for the next poll.
    while inlet.put(&flood) {}
    let time = std::cell::Cell::new(now);
    let slow = || time.replace(time.get() + FRAMES_TIME / 2);
    agreement.take_frames(now, workers, slow);
    assert_eq!(agreement.port.waiting() as u64, room - 2 * FRAMES_A_LOOK as u64);
    // And by the machine's clock, however fast it is, some are taken in each.
    for _ in 0..room {
        agreement.poll(now, workers);
    }
    assert_eq!(agreement.port.waiting(), 0);
}

/// Those of a station that lives are overdue from a quarter of a hello time after the next should have come.
#[test]
fn mkpdus_are_overdue_until_they_come_or_the_station_is_given_up() {
    let (mut agreement, _, mut inlet, outlet) = agreement_on_a_line();
    let (start, workers) = (agreement.epoch, &mut Workers::default());
    // What this side sends comes out of its line.
    let (_plain, from_plain) = datapath::wire(1);
    let (to_line, mut line) = datapath::wire(8);
    let secy = TxSecY::new(TxConfig {
        sci: sci(1),
        protect_frames: true,
        encrypt: true,
        sci_mode: SciMode::Explicit,
        clear_vlan_tags: 0,
        max_frame: 1522,
    });
    let mut protect = Protect::new(from_plain, secy, to_line).with_control(outlet);
    let mut other = Kay::new(kay(2, 1), Box::new(|octets| octets.fill(2)), Duration::ZERO);
    let mut buffer = [0; MkpduWriter::MAX_FRAME_LEN];
    let (step, hello) = (Duration::from_millis(50), mka::Times::default().hello);
    let (mut time, mut last, mut lived, mut most) = (Duration::ZERO, Duration::ZERO, false, 0);
    while lived || time < 6 * hello {
        // Speaks for so long, and once more when it is overdue.
        if time < 4 * hello || last + hello + hello / 2 == time && time < 6 * hello {
            if other.poll_timeout().is_some_and(|at| at <= time) {
                other.handle_timeout(time);
            }
            while let Some(len) = other.poll_transmit(time, &mut buffer) {
                assert!(inlet.put(&MemFrame::new(&buffer[..len])));
                last = time;
            }
        }
        agreement.poll(start + time, workers);
        protect.poll(&mut Engine::new());
        let mut burst = Burst::<MemFrame>::new();
        line.rx_burst(&mut burst);
        burst.iter().for_each(|frame| assert_eq!(other.handle_frame(time, &frame.to_vec()), Ok(())));
        let lives = agreement.status(start + time).peers.iter().any(|peer| peer.live);
        let overdue = (time - last).saturating_sub(hello / 4).as_millis() / hello.as_millis();
        let overdue = if lives { overdue as u32 } else { 0 };
        assert_eq!(agreement.overdue(start + time), overdue, "{time:?}, last heard at {last:?}");
        most = most.max(overdue);
        lived = lives;
        time += step;
    }
    assert!(last > 4 * hello && time > last + mka::Times::default().life, "{last:?} {time:?}");
    assert_eq!(most, 2);
}

/// An XPN key of another station; this one has an SSCI under it.
fn key(kn: u32, an: usize, sak: u8, ssci: u32) -> Arc<Key> {
    Arc::new(Key {
        identifier: KeyIdentifier { mi: MemberId([7; 12]), kn },
        an: An::ALL[an],
        sak: Sak::from_octets(&[sak; 16]).unwrap(),
        suite: CipherSuite::GcmAesXpn128,
        confidentiality: Some(ConfidentialityOffset::None),
        salt: Some(Salt::for_sak([7; 12], kn)),
        sscis: vec![(sci(1), Ssci(ssci)), (sci(2), Ssci(3))],
    })
}

#[test]
fn a_station_that_comes_back_is_received_from_where_it_was() {
    let (mut agreement, _) = agreement();
    /// And its SecY with it.
    fn does(agreement: &mut Agreement, action: Action) {
        let (now, workers) = (Instant::now(), &mut Workers::default());
        let gone = matches!(action, Action::RemoveRxSc(_));
        agreement.act(now, workers, action);
        if gone {
            agreement.handle_event(now, workers, Event::Retired(Retired::RxSc(RxSc::new(sci(2)))));
        }
    }
    let mut act = |action| does(&mut agreement, action);
    let far = 5 << 32;
    act(Action::AddRxSc(sci(2)));
    for (an, lowest_pn) in [(0, far), (1, 9)] {
        act(Action::InstallRxSa { sci: sci(2), key: key(1 + an as u32, an, 1, 1), lowest_pn });
    }
    act(Action::RemoveRxSc(sci(2)));
    // It says less than it should, and then more than is known.
    act(Action::AddRxSc(sci(2)));
    for (an, lowest_pn) in [(0, 77), (1, 10)] {
        act(Action::InstallRxSa { sci: sci(2), key: key(1 + an as u32, an, 1, 1), lowest_pn });
    }
    let next = |agreement: &Agreement| {
        let sas = agreement.sas.rx[0].sas.iter();
        sas.map(|sa| sa.as_ref().map_or(0, |sa| sa.progress.next_pn())).collect::<Vec<_>>()
    };
    assert_eq!(next(&agreement), [far, 10, 0, 0]);
    let mut act = |action| does(&mut agreement, action);
    // Another key's numbers are others, and nothing is kept for longer than the key.
    act(Action::RemoveRxSc(sci(2)));
    act(Action::RemoveTxSa(An::ALL[1]));
    act(Action::AddRxSc(sci(2)));
    act(Action::InstallRxSa { sci: sci(2), key: key(3, 1, 3, 1), lowest_pn: 1 });
    act(Action::InstallRxSa { sci: sci(2), key: key(4, 2, 4, 1), lowest_pn: 1 });
    assert_eq!(next(&agreement), [0, 1, 1, 0]);
    does(&mut agreement, Action::RemoveRxSc(sci(2)));
    let left: Vec<_> = agreement.heard_up_to.iter().map(|heard| heard.key.kn).collect();
    assert_eq!(left, [1, 3, 4], "one for each key");
}

#[test]
fn a_sak_is_the_same_under_another_ssci() {
    let (mut agreement, store) = agreement();
    let mut claim = |key| {
        agreement.act(Instant::now(), &mut Workers::default(), Action::Claim(key));
        let asked = store.lock().unwrap().asked.len();
        store.lock().unwrap().answers.push_back(Ok(true));
        agreement.poll(Instant::now(), &mut Workers::default());
        store.lock().unwrap().answers.clear();
        (agreement.used.len(), asked)
    };
    assert_eq!(claim(key(1, 0, 1, 1)), (1, 1));
    assert_eq!(claim(key(2, 1, 1, 2)), (1, 1), "used before, as is known here");
    assert_eq!(claim(key(3, 1, 2, 2)), (2, 2));
    let asked = &store.lock().unwrap().asked;
    assert_eq!(asked[0], key(9, 3, 1, 9).sak.id(&sci(1).to_bytes()));
    assert_ne!(asked[0], asked[1]);
}

/// One question at a time; of those that wait the last alone counts; and nothing goes on before the answer.
#[test]
fn a_store_that_is_slow_or_fails_is_waited_for_and_spoken_of() {
    let (mut agreement, store) = agreement();
    let start = Instant::now();
    let keys: Vec<_> = (1..=4u8).map(|n| key(n.into(), 0, n, 1)).collect();
    let ids: Vec<_> = keys.iter().map(|key| key.sak.id(&sci(1).to_bytes())).collect();
    let asked = || store.lock().unwrap().asked.clone();
    for key in &keys[..3] {
        agreement.act(start, &mut Workers::default(), Action::Claim(key.clone()));
    }
    assert_eq!(asked(), ids[..1]);
    let mut poll = |after: Duration, answer: Option<Result<bool, String>>| {
        store.lock().unwrap().answers.extend(answer);
        agreement.poll(start + after, &mut Workers::default());
        let error = agreement.story.last_error.as_ref().map(|(text, _)| text.clone());
        (agreement.used.iter().copied().collect::<Vec<_>>(), error)
    };
    assert_eq!(poll(SLOW_STORE, None), (vec![], None));
    let (used, said) = poll(2 * SLOW_STORE, None);
    assert!(used.is_empty() && said.as_ref().is_some_and(|said| said.contains("SAK 1 waits")), "{said:?}");
    assert_eq!(poll(3 * SLOW_STORE, Some(Ok(true))).0, ids[..1]);
    assert_eq!(asked(), [ids[0], ids[2]], "the second is not wanted any more");
    // Another SAK would fare no better: this one waits, and is asked about again now and then.
    let failed = || Some(Err("no room".to_owned()));
    let (used, said) = poll(3 * SLOW_STORE, failed());
    assert_eq!(used, ids[..1]);
    let why = "SAK 3 waits, since its use could not be noted in the state directory: no room";
    assert_eq!(said.as_deref(), Some(why));
    poll(3 * SLOW_STORE + STORE_PAUSE / 2, None);
    assert_eq!(asked().len(), 2);
    poll(3 * SLOW_STORE + STORE_PAUSE, None);
    assert_eq!(asked(), [ids[0], ids[2], ids[2]]);
    assert_eq!(poll(3 * SLOW_STORE + STORE_PAUSE, Some(Ok(true))).0, [ids[0], ids[2]]);
    // One that comes meanwhile takes its place at once.
    let later = start + 4 * SLOW_STORE;
    let mut claim = |key: usize, answer| {
        agreement.act(later, &mut Workers::default(), Action::Claim(keys[key].clone()));
        store.lock().unwrap().answers.push_back(answer);
        agreement.poll(later, &mut Workers::default());
        (agreement.used.len(), asked().len())
    };
    assert_eq!(claim(1, Err("no room".to_owned())), (2, 4));
    assert_eq!(claim(3, Ok(true)), (3, 5));
    assert_eq!(asked()[4], ids[3]);
    // What was used before, according to the store, is not used again.
    assert_eq!(claim(1, Ok(false)), (3, 6));
    assert_eq!(claim(1, Ok(true)), (4, 7));
}
