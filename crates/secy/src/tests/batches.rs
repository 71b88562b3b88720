//! Bursts whose passes are apart come to the same end as those that are protected and verified in one go.

use super::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::VecDeque;

/// How many bursts are on their way at once, at most.
const ON_THEIR_WAY: usize = 3;

fn batch(frames: &[Vec<u8>], forms: &[usize]) -> Box<Batch<MemFrame>> {
    let mut batch = Box::<Batch<MemFrame>>::default();
    batch.frames_mut().extend(frames.iter().zip(forms.iter().cycle()).map(|(f, form)| formed(f, *form)));
    batch
}

/// Of frames of a burst, in turns: 0 in one piece that can be located, 1 in one that cannot, others in so many pieces.
fn forms() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![3 => Just(0), 2 => 1usize..4], 1..8)
}

/// In so many pieces, the first of which holds all headers.
fn formed(octets: &[u8], pieces: usize) -> MemFrame {
    if pieces <= 1 {
        let mut whole = MemFrame::new(octets);
        // What workers write themselves is in frames like this one alone.
        assert!(whole.is_contiguous() && whole.has_room(16, wire::ICV_LEN));
        whole.not_to_be_located = pieces == 1;
        return whole;
    }
    let (head, rest) = octets.split_at(octets.len().min(44));
    let len = rest.len().div_ceil(pieces).max(1);
    MemFrame::scattered(std::iter::once(head).chain(rest.chunks(len)))
}

/// Begins bursts before those ahead of them are finished, and has the crypto done in another order.
fn through<S>(
    secy: &mut S,
    bursts: Vec<Box<Batch<MemFrame>>>,
    begin: impl Fn(&mut S, &mut Batch<MemFrame>),
    finish: impl Fn(&mut S, &mut Engine, &mut Batch<MemFrame>),
) -> Vec<Vec<u8>> {
    with_so_many(ON_THEIR_WAY, secy, bursts, begin, finish)
}

fn with_so_many<S>(
    on_their_way: usize,
    secy: &mut S,
    bursts: Vec<Box<Batch<MemFrame>>>,
    begin: impl Fn(&mut S, &mut Batch<MemFrame>),
    finish: impl Fn(&mut S, &mut Engine, &mut Batch<MemFrame>),
) -> Vec<Vec<u8>> {
    let mut engine = Engine::new();
    let mut out = Vec::new();
    let mut under_way: VecDeque<Box<Batch<MemFrame>>> = VecDeque::new();
    let mut bursts = bursts.into_iter();
    loop {
        while under_way.len() < on_their_way
            && let Some(mut batch) = bursts.next()
        {
            begin(secy, &mut batch);
            under_way.push_back(batch);
        }
        if under_way.is_empty() {
            return out;
        }
        under_way.iter_mut().rev().for_each(|batch| batch.crypt(&mut engine));
        for mut batch in under_way.drain(..) {
            finish(secy, &mut engine, &mut batch);
            out.extend(batch.frames_mut().iter().map(MemFrame::to_vec));
        }
    }
}

fn finish_tx(tx: &mut TxSecY, _: &mut Engine, batch: &mut Batch<MemFrame>) {
    tx.finish(batch);
}

/// A transmit half, and what its counters and packet numbers say.
fn watched(setup: &Setup) -> (TxSecY, impl Fn() -> Vec<(&'static str, u64)> + use<>) {
    let mut tx = TxSecY::new(TxConfig { max_frame: 300, ..setup.tx().config().clone() });
    let sa = setup.tx_sa();
    let (half, counters, gate) = (tx.counters(), sa.counters(), sa.gate());
    assert!(tx.apply(Command::InstallTxSa { an: setup.an, sa }).is_none());
    assert!(tx.apply(Command::EncodeWith(Some(setup.an))).is_none());
    (tx, move || {
        half.values()
            .chain(counters.values())
            .chain([("next", gate.next()), ("lowest", gate.lowest())])
            .collect()
    })
}

fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let frame = (0usize..5, 0usize..400).prop_map(|(tags, len)| {
        let mut f = frame(len.min(12));
        (0..tags).for_each(|_| f.extend([0x81, 0, 0, 5]));
        f.extend((0..len).map(|i| i as u8));
        f
    });
    proptest::collection::vec(frame, 1..120)
}

/// What the line does to a frame.
#[derive(Clone, Debug)]
enum Mishap {
    None,
    Lost,
    Twice,
    Spoilt(usize),
    Cut(usize),
    Strange(Vec<u8>),
    Eapol,
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        6 => Just(Mishap::None),
        1 => Just(Mishap::Lost),
        1 => Just(Mishap::Twice),
        1 => any::<usize>().prop_map(Mishap::Spoilt),
        1 => any::<usize>().prop_map(Mishap::Cut),
        1 => proptest::collection::vec(any::<u8>(), 0..80).prop_map(Mishap::Strange),
        1 => Just(Mishap::Eapol),
    ]
}

/// Of a line where there are many, or hardly any.
fn mishaps() -> impl Strategy<Value = Vec<Mishap>> {
    let seldom = prop_oneof![40 => Just(Mishap::None), 1 => mishap()];
    prop_oneof![proptest::collection::vec(mishap(), 120), proptest::collection::vec(seldom, 120)]
}

/// Has a key for the AN after that of `setup`, too.
fn with_next(setup: &Setup) -> (Setup, TxSecY, [RxSecY; 2]) {
    let next = Setup {
        an: An::ALL[1],
        sak: Sak::from_octets(&vec![0x5b; setup.suite.sak_len()]).unwrap(),
        ..setup.clone()
    };
    let mut tx = setup.tx();
    assert!(tx.apply(Command::InstallTxSa { an: next.an, sa: next.tx_sa() }).is_none());
    let rx = [(); 2].map(|()| {
        let mut rx = setup.rx();
        let (sci, an, sa) = (next.sci, next.an, next.rx_sa());
        assert!(rx.apply(Command::InstallRxSa { sci, an, sa }).is_none());
        rx
    });
    (next, tx, rx)
}

fn setup(suite: usize, encrypt: bool, offset: usize, mode: usize, clear_vlan_tags: usize) -> Setup {
    use ConfidentialityOffset::{None, Octets30, Octets50};
    let sci_mode = [SciMode::Explicit, SciMode::Implicit, SciMode::EndStation][mode];
    let offset = [None, Octets30, Octets50][offset];
    Setup { encrypt, offset, sci_mode, clear_vlan_tags, ..Setup::with_suite(CipherSuite::ALL[suite]) }
}

proptest! {
    #[test]
    fn protect(
        frames in frames(),
        size in 1usize..=64,
        forms in forms(),
        choices in (0usize..4, any::<bool>(), 0usize..3, 0usize..3, 0usize..3),
    ) {
        let (suite, encrypt, offset, mode, tags) = choices;
        let setup = setup(suite, encrypt, offset, mode, tags);
        let (mut at_once, counts_at_once) = watched(&setup);
        let (mut apart, counts_apart) = watched(&setup);
        let wanted: Vec<_> = frames.chunks(size).flat_map(|f| super::protect(&mut at_once, f)).collect();
        let bursts = frames.chunks(size).map(|f| batch(f, &forms)).collect();
        let found = through(&mut apart, bursts, TxSecY::begin, finish_tx);
        prop_assert_eq!(&found, &wanted);
        prop_assert_eq!(counts_apart(), counts_at_once());
    }

    #[test]
    fn verify(
        frames in frames(),
        mishaps in mishaps(),
        change in 0usize..150,
        size in 1usize..=64,
        forms in forms(),
        window in 0u64..4,
        how in (0usize..3, any::<bool>()),
        choices in (0usize..4, any::<bool>(), 0usize..3, 0usize..3, 0usize..3),
    ) {
        use ValidateFrames::{Check, Disabled, Strict};
        let (suite, encrypt, offset, mode, tags) = choices;
        let validate_frames = [Strict, Check, Disabled][how.0];
        let setup = Setup { validate_frames, replay_protect: how.1, replay_window: window, ..setup(suite, encrypt, offset, mode, tags) };
        let (changed, mut tx, [mut at_once, mut apart]) = with_next(&setup);
        let mut line = Vec::new();
        for ((number, frame), mishap) in frames.iter().enumerate().zip(mishaps) {
            if number == change {
                tx.apply(Command::EncodeWith(Some(changed.an)));
            }
            let Some(mut frame) = super::protect(&mut tx, std::slice::from_ref(frame)).pop() else { continue };
            let len = frame.len();
            match mishap {
                Mishap::None => {}
                Mishap::Lost => continue,
                Mishap::Twice => line.push(frame.clone()),
                Mishap::Spoilt(at) => frame[at % len] ^= 1,
                Mishap::Cut(at) => frame.truncate(at % len),
                Mishap::Strange(octets) => frame = octets,
                Mishap::Eapol => {
                    line.push([&frame[..12], &[0x88, 0x8e, 3], &len.to_be_bytes()].concat());
                }
            }
            line.push(frame);
        }
        let bursts = line.chunks(size).map(|f| batch(f, &forms)).collect();
        let (mut engine, mut wanted_aside, found_aside) = (Engine::new(), Vec::new(), RefCell::new(Vec::new()));
        let mut wanted = Vec::new();
        for octets in line.chunks(size) {
            let (mut frames, mut aside) = (octets.iter().map(|f| MemFrame::new(f)).collect(), Burst::new());
            at_once.verify(&mut engine, &mut frames, &mut aside);
            wanted.extend(frames.iter().map(MemFrame::to_vec));
            wanted_aside.extend(aside.iter().map(MemFrame::to_vec));
        }
        let finish = |rx: &mut RxSecY, engine: &mut Engine, batch: &mut Batch<MemFrame>| {
            let mut aside = Burst::new();
            let longest = rx.finish(engine, batch, &mut aside);
            found_aside.borrow_mut().extend(aside.iter().map(MemFrame::to_vec));
            assert!(batch.frames_mut().iter().all(|f| f.len() <= longest), "none is longer");
        };
        let found = through(&mut apart, bursts, RxSecY::begin, finish);
        prop_assert_eq!(&found, &wanted);
        prop_assert_eq!(found_aside.into_inner(), wanted_aside);
        prop_assert_eq!(moved(&apart), moved(&at_once));
        let octets = |rx: &RxSecY| -> Vec<_> { rx.all_sa_counters().iter().map(|c| c.in_octets_decrypted.get() + c.in_octets_validated.get()).collect() };
        prop_assert_eq!(octets(&apart), octets(&at_once));
        let next = |rx: &RxSecY| [setup.an, changed.an].map(|an| rx.channels()[0].sa(an).unwrap().progress().next_pn());
        prop_assert_eq!(next(&apart), next(&at_once));
    }
}

#[test]
fn without_keys_or_protection_a_batch_comes_to_the_same_end() {
    let mut tx = TxSecY::new(TxConfig { protect_frames: false, ..Setup::default().tx().config().clone() });
    let out =
        through(&mut tx, vec![batch(&[frame(60), frame(9700), frame(70)], &[0])], TxSecY::begin, finish_tx);
    assert_eq!(out, [frame(60), frame(70)]);
    let mut tx = TxSecY::new(Setup::default().tx().config().clone());
    let out = through(&mut tx, vec![batch(&[frame(60)], &[0])], TxSecY::begin, finish_tx);
    assert!(out.is_empty());
    assert_eq!(tx.counters().out_pkts_no_sa.get(), 1);
}

/// Nothing leaves in the clear, and nothing that is not authentic comes in, whoever forgets the second pass.
#[test]
fn a_batch_that_was_never_carried_out_is_dropped() {
    let setup = Setup::default();
    let mut tx = setup.tx();
    let mut forgotten = batch(&[frame(60), frame(80)], &[0]);
    tx.begin(&mut forgotten);
    tx.finish(&mut forgotten);
    assert!(forgotten.is_empty());
    for (encrypt, validate_frames, counter) in [
        (true, ValidateFrames::Strict, "InPktsNotValid"),
        (true, ValidateFrames::Check, "InPktsNotValid"),
        (false, ValidateFrames::Strict, "InPktsNotValid"),
        (false, ValidateFrames::Check, "InPktsInvalid"),
    ] {
        let setup = Setup { encrypt, validate_frames, ..Setup::default() };
        let sealed = super::protect(&mut setup.tx(), &[frame(60), frame(80)]);
        let mut rx = setup.rx();
        let mut batch = batch(&sealed, &[0]);
        rx.begin(&mut batch);
        rx.finish(&mut Engine::new(), &mut batch, &mut Burst::new());
        assert!(batch.is_empty(), "{encrypt} {validate_frames:?}");
        assert_eq!(moved(&rx), [(counter, 2)]);
    }
}

/// A nonce is used once, whoever carries a batch out twice.
#[test]
fn a_batch_is_carried_out_once() {
    let setup = Setup::default();
    let (mut tx, mut engine) = (setup.tx(), Engine::new());
    let mut twice = batch(&[frame(60), frame(80)], &[0]);
    tx.begin(&mut twice);
    twice.crypt(&mut engine);
    twice.crypt(&mut engine);
    tx.finish(&mut twice);
    let sent: Vec<_> = twice.frames_mut().iter().map(MemFrame::to_vec).collect();
    assert_eq!(sent, super::protect(&mut setup.tx(), &[frame(60), frame(80)]));
    assert_eq!(super::verify(&mut setup.rx(), &sent), [frame(60), frame(80)]);
}

/// Nothing leaves or comes in beside the passes: neither in a batch that never began or is finished, nor with frames that
/// others had meanwhile.
#[test]
fn a_batch_that_was_meddled_with_is_dropped() {
    let setup = Setup::default();
    let (mut tx, mut rx, mut engine) = (setup.tx(), setup.rx(), Engine::new());
    let mut never = batch(&[frame(60)], &[0]);
    tx.finish(&mut never);
    assert!(never.is_empty());
    let mut never = batch(&super::protect(&mut setup.tx(), &[frame(60)]), &[0]);
    rx.finish(&mut engine, &mut never, &mut Burst::new());
    assert!(never.is_empty());
    for after_crypt in [false, true] {
        let mut stuffed = batch(&[frame(60)], &[0]);
        tx.begin(&mut stuffed);
        if after_crypt {
            stuffed.crypt(&mut engine);
        }
        stuffed.frames_mut().push(MemFrame::new(&frame(70)));
        stuffed.crypt(&mut engine);
        tx.finish(&mut stuffed);
        assert!(stuffed.is_empty());
    }
    let mut again = batch(&[frame(60)], &[0]);
    tx.begin(&mut again);
    again.crypt(&mut engine);
    tx.finish(&mut again);
    assert_eq!(again.len(), 1);
    tx.finish(&mut again);
    assert!(again.is_empty());
    // Begun in one half, finished in the other.
    let mut other = batch(&[frame(60)], &[0]);
    tx.begin(&mut other);
    other.crypt(&mut engine);
    rx.finish(&mut engine, &mut other, &mut Burst::new());
    assert!(other.is_empty());
    let mut other = batch(&super::protect(&mut setup.tx(), &[frame(60)]), &[0]);
    rx.begin(&mut other);
    other.crypt(&mut engine);
    tx.finish(&mut other);
    assert!(other.is_empty());
}

/// Bursts of an SA that goes on are read by who opens them, a change of SAs and a few others among them included; their
/// owner reads them where the last ones were unlike each other.
#[test]
fn an_owner_leaves_to_others_what_is_as_usual() {
    let (next, mut tx, [mut rx, _]) = with_next(&Setup::default());
    let (mut engine, mut batch) = (Engine::new(), Batch::new());
    let mut out = |rx: &mut RxSecY, frames: &[Vec<u8>], read_elsewhere: bool, delivered: &[Vec<u8>]| {
        batch.frames_mut().clear();
        batch.frames_mut().extend(frames.iter().map(|f| MemFrame::new(f)));
        rx.begin(&mut batch);
        assert_eq!(!batch.work.unread.is_empty(), read_elsewhere);
        batch.crypt(&mut engine);
        // Again it does nothing.
        batch.crypt(&mut engine);
        let mut aside = Burst::new();
        rx.finish(&mut engine, &mut batch, &mut aside);
        let found: Vec<_> = batch.frames_mut().iter().map(MemFrame::to_vec).collect();
        assert_eq!(found, delivered);
        aside.len()
    };
    let plain: Vec<_> = (60..90).map(frame).collect();
    let eapol = [&frame(12)[..], &[0x88, 0x8e, 3, 0, 0, 0]].concat();
    out(&mut rx, &super::protect(&mut tx, &plain), false, &plain);
    out(&mut rx, &super::protect(&mut tx, &plain), true, &plain);
    // Another SA, one that came before and one that is spoilt.
    let mut line = super::protect(&mut tx, &plain[..10]);
    tx.apply(Command::EncodeWith(Some(next.an)));
    line.extend(super::protect(&mut tx, &plain[10..]));
    line.insert(20, line[3].clone());
    line[25][40] ^= 1;
    line.insert(27, eapol.clone());
    let wanted = [&plain[..24], &plain[25..]].concat();
    assert_eq!(out(&mut rx, &line, true, &wanted), 1);
    assert_eq!(moved(&rx), [("InPktsEapol", 1), ("InPktsOK", 89), ("InPktsLate", 1), ("InPktsNotValid", 1)]);
    // Too many that nobody expected.
    for owner_reads in [64, 128] {
        let mut line = super::protect(&mut tx, &plain);
        (0..10).for_each(|n| line.insert(n * 2, eapol.clone()));
        assert_eq!(out(&mut rx, &line, true, &plain), 10);
        assert_eq!(out(&mut rx, &line, false, &[]), 10);
        (1..owner_reads).for_each(|_| _ = out(&mut rx, &super::protect(&mut tx, &plain), false, &plain));
        out(&mut rx, &super::protect(&mut tx, &plain), true, &plain);
    }
    // What the owner finds to be unlike keeps it at it.
    rx.apply(Command::RaiseLowestPn { sci: next.sci, an: next.an, pn: 1 });
    let mut line = super::protect(&mut tx, &plain);
    (0..10).for_each(|n| line.insert(n * 2, eapol.clone()));
    assert_eq!(out(&mut rx, &line, false, &plain), 10);
    out(&mut rx, &super::protect(&mut tx, &plain), false, &plain);
    out(&mut rx, &super::protect(&mut tx, &plain), true, &plain);
    // Another key for the SA that is not in use now.
    let last = Setup { an: An::ALL[0], sak: Sak::from_octets(&[0x5c; 16]).unwrap(), ..next.clone() };
    rx.apply(Command::InstallRxSa { sci: last.sci, an: last.an, sa: last.rx_sa() });
    out(&mut rx, &super::protect(&mut tx, &plain), false, &plain);
    let line = super::protect(&mut tx, &plain[..10]);
    tx.apply(Command::InstallTxSa { an: last.an, sa: last.tx_sa() });
    tx.apply(Command::EncodeWith(Some(last.an)));
    out(&mut rx, &[line, super::protect(&mut tx, &plain[10..])].concat(), true, &plain);
    // A command may have changed everything.
    rx.apply(Command::RemoveRxSa { sci: last.sci, an: last.an });
    out(&mut rx, &super::protect(&mut tx, &plain), false, &[]);
}

/// Stations of one group, and a receiver for all.
struct Group {
    stations: Vec<(Setup, TxSecY)>,
    config: Setup,
}

impl Group {
    /// With so many stations, who begin with this packet number.
    fn new(config: &Setup, stations: usize, first_pn: u64) -> Self {
        let station = |n: usize| {
            let sci = Sci::new("02:00:00:00:00:01".parse().unwrap(), 1 + n as u16);
            let xpn = config.xpn.map(|xpn| Xpn { ssci: Ssci(1 + n as u32), ..xpn });
            let setup = Setup { sci, xpn, tx_pn: first_pn, rx_pn: first_pn, ..config.clone() };
            let tx = setup.tx();
            (setup, tx)
        };
        Group { stations: (0..stations).map(station).collect(), config: config.clone() }
    }

    /// One that knows all of them, and their next SAs, too.
    fn receiver(&self) -> RxSecY {
        let mut rx = RxSecY::new(self.config.rx().config().clone());
        for (setup, _) in &self.stations {
            assert!(rx.apply(Command::AddRxSc(RxSc::new(setup.sci))).is_none());
            for setup in [setup.clone(), Self::next(setup)] {
                let (sci, an, sa) = (setup.sci, setup.an, setup.rx_sa());
                assert!(rx.apply(Command::InstallRxSa { sci, an, sa }).is_none());
            }
        }
        rx
    }

    fn next(setup: &Setup) -> Setup {
        let sak = Sak::from_octets(&vec![0x5b; setup.suite.sak_len()]).unwrap();
        Setup { an: An::ALL[1], sak, ..setup.clone() }
    }

    /// What a station sends.
    fn send(&mut self, station: usize, frame: Vec<u8>) -> Vec<u8> {
        super::protect(&mut self.stations[station].1, &[frame]).remove(0)
    }

    /// A station goes on to its next SA.
    fn change(&mut self, station: usize) {
        let (setup, tx) = &mut self.stations[station];
        let next = Self::next(setup);
        assert!(tx.apply(Command::InstallTxSa { an: next.an, sa: next.tx_sa() }).is_none());
        assert!(tx.apply(Command::EncodeWith(Some(next.an))).is_none());
    }
}

/// How many frames somebody else read, of a batch that was carried out.
fn read_elsewhere(batch: &Batch<MemFrame>) -> usize {
    if batch.work.unread.is_empty() { 0 } else { batch.work.received.read_so_far() }
}

/// Of stations that take turns, burst by burst or frame by frame, the owner opens nothing once it knows them.
#[test]
fn stations_that_take_turns_are_all_as_usual() {
    for burst_by_burst in [true, false] {
        let mut group = Group::new(&Setup::default(), 4, 1);
        let (mut rx, mut engine) = (group.receiver(), Engine::new());
        let mut read = Vec::new();
        for n in 0..200 {
            let line: Vec<_> = (0..16)
                .map(|i| group.send(if burst_by_burst { n % 4 } else { i % 4 }, frame(60 + i)))
                .collect();
            let mut batch = batch(&line, &[0]);
            rx.begin(&mut batch);
            batch.crypt(&mut engine);
            read.push(read_elsewhere(&batch));
            rx.finish(&mut engine, &mut batch, &mut Burst::new());
            assert_eq!(batch.len(), 16);
        }
        let first = read.iter().position(|read| *read > 0).unwrap();
        assert_eq!(first, if burst_by_burst { 66 } else { 1 });
        assert!(read[first..].iter().all(|read| *read == 16), "{read:?}");
    }
}

/// A burst begins like the last frame of the one before, or does not: of a full one, of another station, under the next SA,
/// of a channel that is gone, and of one that came in its place.
#[test]
fn a_burst_may_begin_unlike_the_end_of_the_one_before() {
    for suite in [CipherSuite::GcmAes128, CipherSuite::GcmAesXpn128] {
        let mut group = Group::new(&Setup::with_suite(suite), 3, 1);
        let mut rx = group.receiver();
        let burst = |group: &mut Group, rx: &mut RxSecY, stations: &[usize], gone: Option<usize>| {
            let plain: Vec<_> = (0..MAX_BURST).map(|i| frame(60 + i)).collect();
            let of = |i: usize| stations[i % stations.len()];
            let line: Vec<_> =
                plain.iter().enumerate().map(|(i, plain)| group.send(of(i), plain.clone())).collect();
            let left: Vec<_> = (0..MAX_BURST).filter(|i| Some(of(*i)) != gone).collect();
            assert_eq!(
                super::verify(rx, &line),
                left.into_iter().map(|i| plain[i].clone()).collect::<Vec<_>>()
            );
        };
        for stations in [&[0, 1][..], &[0, 1], &[1, 0], &[1, 0, 2], &[1], &[2], &[2, 1]] {
            burst(&mut group, &mut rx, stations, None);
        }
        assert_eq!(moved(&rx), [("InPktsOK", 7 * MAX_BURST as u64)]);
        group.change(1);
        burst(&mut group, &mut rx, &[1, 2], None);
        burst(&mut group, &mut rx, &[2], None);
        group.change(2);
        burst(&mut group, &mut rx, &[2], None);
        rx.apply(Command::RemoveRxSc(group.stations[2].0.sci));
        burst(&mut group, &mut rx, &[2, 1], Some(2));
        burst(&mut group, &mut rx, &[0], None);
        // The last channel takes its place.
        rx.apply(Command::RemoveRxSc(group.stations[0].0.sci));
        burst(&mut group, &mut rx, &[0, 1], Some(0));
    }
}

/// Bursts that were on their way when one was not as expected are no further surprise.
#[test]
fn a_surprise_is_one_for_all_bursts_on_their_way() {
    let mut group = Group::new(&Setup::default(), 2, 1);
    let (mut rx, mut engine) = (group.receiver(), Engine::new());
    let mut go = |rx: &mut RxSecY, station: usize, count: usize, read_elsewhere: bool| {
        let mut batches: Vec<_> =
            (0..count).map(|_| batch(&[group.send(station, frame(60))], &[0])).collect();
        for batch in &mut batches {
            rx.begin(batch);
            assert_eq!(!batch.work.unread.is_empty(), read_elsewhere);
        }
        for batch in &mut batches {
            batch.crypt(&mut engine);
            rx.finish(&mut engine, batch, &mut Burst::new());
            assert_eq!(batch.len(), 1);
        }
    };
    go(&mut rx, 0, 1, false);
    go(&mut rx, 1, 20, true);
    (0..64).for_each(|_| go(&mut rx, 1, 1, false));
    go(&mut rx, 0, 20, true);
    go(&mut rx, 1, 20, true);
}

/// As [`verify`], of stations that send usual frames, mostly, so that others read nearly all of them.
#[test]
fn verify_where_others_read() {
    let input = (
        (0usize..4, any::<bool>(), 0usize..3, any::<bool>(), any::<bool>()),
        (1usize..6, 0usize..4, prop_oneof![Just(0u64), Just(3), Just(1 << 20)]),
        proptest::collection::vec((0usize..6, 2usize..12, 16usize..200), 30..60),
        (1usize..=64, 1usize..20, any::<bool>(), 0usize..400),
        proptest::collection::vec(prop_oneof![60 => Just(Mishap::None), 1 => mishap()], 700),
    );
    let read = std::cell::Cell::new(0);
    let case =
        |(choices, (stations, first, window), talk, (size, on_their_way, in_turns, change), mishaps)| {
            let (suite, encrypt, offset, replay_protect, check): (_, _, _, _, bool) = choices;
            let config = setup(suite, encrypt, offset, 0, 0);
            // There, a late frame may be recovered from another number, and become not valid in place of late.
            let check = check && !config.suite.is_xpn();
            let validate_frames = if check { ValidateFrames::Check } else { ValidateFrames::Strict };
            let config = Setup { validate_frames, replay_protect, replay_window: window, ..config };
            let firsts = [1, (1 << 31) - 100, (1 << 32) - 100, (3 << 31) - 100];
            let first_pn = firsts[if config.suite.is_xpn() { first } else { first % 2 }];
            let mut group = Group::new(&config, stations, first_pn);
            let (mut line, mut changed) = (Vec::new(), false);
            let mut mishaps: std::vec::IntoIter<Mishap> = Vec::into_iter(mishaps);
            for (station, count, len) in Vec::<(usize, usize, usize)>::into_iter(talk) {
                for i in 0..count {
                    if line.len() >= change && !std::mem::replace(&mut changed, true) {
                        group.change(0);
                    }
                    let station = if in_turns { station + i } else { station } % stations;
                    let frame = group.send(station, frame(len + i % 3));
                    let len = frame.len();
                    match mishaps.next().unwrap_or(Mishap::None) {
                        Mishap::Lost => {}
                        Mishap::Twice => line.extend([frame.clone(), frame]),
                        Mishap::Spoilt(at) => {
                            let mut frame = frame;
                            frame[at % len] ^= 1;
                            line.push(frame);
                        }
                        Mishap::Cut(at) => line.push(frame[..at % len].to_vec()),
                        Mishap::Strange(octets) => line.push(octets),
                        Mishap::Eapol => line.push([&frame[..12], &[0x88, 0x8e, 3, 0, 0, 0]].concat()),
                        Mishap::None => line.push(frame),
                    }
                }
            }
            let (mut at_once, mut apart) = (group.receiver(), group.receiver());
            let wanted: Vec<_> = line.chunks(size).flat_map(|f| super::verify(&mut at_once, f)).collect();
            let bursts = line.chunks(size).map(|f| batch(f, &[0])).collect();
            let finish = |rx: &mut RxSecY, engine: &mut Engine, batch: &mut Batch<MemFrame>| {
                read.set(read.get() + read_elsewhere(batch));
                rx.finish(engine, batch, &mut Burst::new());
            };
            let found = with_so_many(on_their_way, &mut apart, bursts, RxSecY::begin, finish);
            prop_assert_eq!(&found, &wanted);
            prop_assert_eq!(moved(&apart), moved(&at_once));
            Ok(())
        };
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner.run(&input, case).unwrap();
    // Of some 60 000.
    assert!(read.get() > 30_000, "{}", read.get());
}

/// Keys of bursts that others read are let go, too.
#[test]
fn keys_of_unread_bursts_are_let_go() {
    let setup = Setup::default();
    let (mut tx, mut rx, mut engine) = (setup.tx(), setup.rx(), Engine::new());
    let mut batch = Batch::new();
    let key = rx.channels()[0].sa(setup.an).unwrap().key.clone();
    for unread in [false, true] {
        batch.frames_mut().clear();
        batch.frames_mut().extend(super::protect(&mut tx, &[frame(60)]).iter().map(|f| MemFrame::new(f)));
        rx.begin(&mut batch);
        assert_eq!((batch.work.unread.is_empty(), Arc::strong_count(&key)), (!unread, 3));
        batch.crypt(&mut engine);
        rx.finish(&mut engine, &mut batch, &mut Burst::new());
        assert_eq!(batch.len(), 1);
    }
    batch.let_keys_go();
    assert_eq!(Arc::strong_count(&key), 2);
}

/// What nobody opened its owner does.
#[test]
fn frames_are_not_lost_with_who_was_to_read_them() {
    let setup = Setup::default();
    let (mut tx, mut rx, mut engine) = (setup.tx(), setup.rx(), Engine::new());
    let plain = [frame(60), frame(80)];
    for carried_out in [true, false, true] {
        let mut batch = batch(&super::protect(&mut tx, &plain), &[0]);
        rx.begin(&mut batch);
        if carried_out {
            batch.crypt(&mut engine);
        } else {
            assert!(!batch.work.unread.is_empty());
        }
        rx.finish(&mut engine, &mut batch, &mut Burst::new());
        assert!(batch.frames_mut().iter().map(MemFrame::to_vec).eq(plain.clone()));
    }
    assert_eq!(moved(&rx), [("InPktsOK", 6)]);
}

/// Frames that are all as usual get their SecTAGs from who seals them; where one is not, or packet numbers do not
/// suffice, the owner writes all. Both end like what is done in one go.
#[test]
fn an_owner_leaves_sectags_to_who_seals() {
    let mut engine = Engine::new();
    let usual = [frame(60), frame(14), frame(300)];
    let with = |other: Vec<u8>| [&usual[..], &[other]].concat();
    for sci_mode in [SciMode::Explicit, SciMode::Implicit, SciMode::EndStation] {
        for clear_vlan_tags in [0, 1] {
            let setup = Setup { sci_mode, clear_vlan_tags, ..Setup::default() };
            let [mut apart, mut at_once] = [(); 2].map(|()| {
                let config = TxConfig { max_frame: 332, ..setup.tx().config().clone() };
                let mut tx = TxSecY::new(config);
                let sa = Box::new(TxSa::new(&setup.params(1), 14).unwrap());
                assert!(tx.apply(Command::InstallTxSa { an: setup.an, sa }).is_none());
                assert!(tx.apply(Command::EncodeWith(Some(setup.an))).is_none());
                tx
            });
            let can_be = clear_vlan_tags == 0 && sci_mode != SciMode::EndStation;
            let bursts = [
                (can_be, usual.to_vec(), vec![0]),
                (can_be, usual.to_vec(), vec![1, 0]),
                (false, with(frame(317)), vec![0]),
                (false, with(frame(13)), vec![0]),
                (false, usual.to_vec(), vec![0, 2]),
                // Two numbers for three frames are left, and then none.
                (false, usual.to_vec(), vec![0]),
                (false, usual.to_vec(), vec![0]),
            ];
            for (n, (unwritten, frames, forms)) in bursts.into_iter().enumerate() {
                let mut batch = batch(&frames, &forms);
                apart.begin(&mut batch);
                assert_eq!(batch.work.unwritten.is_some(), unwritten, "{n} {sci_mode:?} {clear_vlan_tags}");
                batch.crypt(&mut engine);
                batch.crypt(&mut engine);
                apart.finish(&mut batch);
                let found: Vec<_> = batch.frames_mut().iter().map(MemFrame::to_vec).collect();
                assert_eq!(
                    found,
                    super::protect(&mut at_once, &frames),
                    "{n} {sci_mode:?} {clear_vlan_tags}"
                );
            }
            let counts = |tx: &TxSecY| tx.counters().values().collect::<Vec<_>>();
            assert_eq!(counts(&apart), counts(&at_once));
            assert!(apart.counters().out_pkts_no_pn.get() > 0);
        }
    }
}

/// What others are told of packet numbers overtakes bursts that are on their way: of these it says nothing.
#[test]
fn numbers_on_their_way_are_still_to_come() {
    for tags in [0, 1] {
        let setup = Setup { clear_vlan_tags: tags, ..Setup::default() };
        let sa = setup.tx_sa();
        let (mut tx, gate, mut engine) = (setup.tx(), sa.gate(), Engine::new());
        assert!(tx.apply(Command::EncodeWith(None)).is_none());
        assert!(!matches!(tx.apply(Command::InstallTxSa { an: setup.an, sa }), Some(Event::Refused(_))));
        assert!(tx.apply(Command::EncodeWith(Some(setup.an))).is_none());
        let first = setup.tx_pn;
        let [mut one, mut other] = [3, 2].map(|frames| batch(&vec![frame(60); frames], &[0]));
        let numbers = || (gate.lowest() - first, gate.next() - first);
        tx.begin(&mut one);
        tx.begin(&mut other);
        [&mut one, &mut other].into_iter().for_each(|batch| batch.crypt(&mut engine));
        assert_eq!(numbers(), (0, 5));
        tx.finish(&mut one);
        assert_eq!(numbers(), (3, 5));
        tx.finish(&mut other);
        assert_eq!(numbers(), (5, 5));
        // Of what is sent at once all has left.
        super::protect(&mut tx, &[frame(60)]);
        assert_eq!(numbers(), (6, 6));
    }
}

/// Commands wait until no batch is on its way. Should one not, what is to be protected under an SA that has gone does not
/// leave, least of all what was refused.
#[test]
fn nothing_leaves_without_its_sa() {
    for (clear_vlan_tags, crypt) in [(0, false), (0, true), (1, false), (1, true)] {
        let setup = Setup { clear_vlan_tags, ..Setup::default() };
        let mut tx = TxSecY::new(TxConfig { max_frame: 200, ..setup.tx().config().clone() });
        assert!(tx.apply(Command::InstallTxSa { an: setup.an, sa: setup.tx_sa() }).is_none());
        assert!(tx.apply(Command::EncodeWith(Some(setup.an))).is_none());
        let mut batch = batch(&[frame(100), frame(190)], &[0]);
        tx.begin(&mut batch);
        if crypt {
            batch.crypt(&mut Engine::new());
        }
        assert!(tx.apply(Command::EncodeWith(None)).is_none());
        assert!(matches!(tx.apply(Command::RemoveTxSa(setup.an)), Some(Event::Retired(_))));
        tx.finish(&mut batch);
        assert!(batch.frames_mut().is_empty(), "{clear_vlan_tags} {crypt}");
    }
}

/// Packet numbers of a batch that comes to nothing are not used again.
#[test]
fn packet_numbers_are_lost_with_their_batch() {
    let setup = Setup::default();
    let (mut tx, mut engine) = (setup.tx(), Engine::new());
    let mut batch = batch(&[frame(60), frame(80)], &[0]);
    tx.begin(&mut batch);
    // Which undoes it, and leaves nothing of frames that nobody wrote to the end.
    assert!(batch.frames_mut().is_empty());
    batch.frames_mut().push(MemFrame::new(&frame(60)));
    tx.begin(&mut batch);
    batch.crypt(&mut engine);
    tx.finish(&mut batch);
    let sent = batch.frames_mut()[0].to_vec();
    assert_eq!(sent[16..20], [0, 0, 0, 3]);
}

/// What a batch was to be, and never became, is forgotten, in both halves, when it begins again.
#[test]
fn a_batch_that_begins_again_is_as_new() {
    let setup = Setup::default();
    let (mut tx, mut rx, mut engine) = (setup.tx(), setup.rx(), Engine::new());
    let plain = [frame(60), frame(80)];
    let mut batch = Batch::new();
    let fill = |batch: &mut Batch<MemFrame>, frames: &[Vec<u8>], pieces| {
        batch.frames_mut().clear();
        batch.frames_mut().extend(frames.iter().map(|f| formed(f, pieces)));
    };
    super::verify(&mut rx, &super::protect(&mut tx, &plain));
    for (first_seals, seals, pieces) in [
        (true, true, 2),
        (true, false, 0),
        (true, false, 2),
        (false, false, 2),
        (false, true, 0),
        (false, true, 2),
    ] {
        // The one before, so that this one is as usual.
        fill(&mut batch, &super::protect(&mut tx, &plain), 0);
        rx.begin(&mut batch);
        batch.crypt(&mut engine);
        rx.finish(&mut engine, &mut batch, &mut Burst::new());
        if first_seals {
            fill(&mut batch, &plain, 0);
            tx.begin(&mut batch);
            assert!(batch.work.unwritten.is_some());
        } else {
            fill(&mut batch, &super::protect(&mut tx, &plain), 0);
            rx.begin(&mut batch);
            assert!(!batch.work.unread.is_empty());
        }
        let sent = if seals {
            fill(&mut batch, &plain, pieces);
            tx.begin(&mut batch);
            batch.crypt(&mut engine);
            tx.finish(&mut batch);
            batch.frames_mut().iter().map(MemFrame::to_vec).collect()
        } else {
            super::protect(&mut tx, &plain)
        };
        fill(&mut batch, &sent, pieces);
        rx.begin(&mut batch);
        batch.crypt(&mut engine);
        rx.finish(&mut engine, &mut batch, &mut Burst::new());
        let found: Vec<_> = batch.frames_mut().iter().map(MemFrame::to_vec).collect();
        assert_eq!(found, plain, "{first_seals} {seals} {pieces}");
    }
}
