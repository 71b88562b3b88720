//! The rules of clauses 9 and 10, one by one.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;

/// A channel that does not exist at the receiver.
const STRANGER: &str = "020000000009000a";

fn one(rx: &mut RxSecY, f: &[u8]) -> Option<Vec<u8>> {
    verify(rx, &[f.to_vec()]).pop()
}

fn setups() -> impl Strategy<Value = Setup> {
    let offsets =
        [ConfidentialityOffset::None, ConfidentialityOffset::Octets30, ConfidentialityOffset::Octets50];
    let modes = [SciMode::Explicit, SciMode::EndStation, SciMode::Implicit];
    let choices =
        (select(&CipherSuite::ALL), select(offsets.to_vec()), select(modes.to_vec()), select(&An::ALL));
    (choices, any::<bool>(), 0usize..3, 1u64..1 << 40).prop_map(|(choices, encrypt, clear_vlan_tags, pn)| {
        let (suite, offset, sci_mode, an) = choices;
        let pn = if suite.is_xpn() { pn } else { u64::from(pn as u32) & 0xffff_fff0 | 1 };
        Setup {
            encrypt,
            offset,
            sci_mode,
            an,
            clear_vlan_tags,
            tx_pn: pn,
            rx_pn: pn,
            ..Setup::with_suite(suite)
        }
    })
}

/// A frame with up to two VLAN tags, then `len` octets.
fn tagged_frame(tags: usize, mut content: Vec<u8>) -> Vec<u8> {
    let mut f = frame(12);
    for _ in 0..tags {
        f.extend([0x81, 0, 0, 5]);
    }
    f.extend([8, 0]);
    f.append(&mut content);
    f
}

fn scatter(octets: &[u8], cuts: &[usize]) -> MemFrame {
    let (mut pieces, mut rest) = (Vec::new(), octets);
    for (i, cut) in cuts.iter().enumerate() {
        // The first piece holds all headers.
        let at = if i == 0 { cut + 44 } else { *cut }.min(rest.len());
        let (a, b) = rest.split_at(at);
        pieces.push(a);
        rest = b;
    }
    pieces.push(rest);
    MemFrame::scattered(pieces)
}

proptest! {
    #[test]
    fn verify_undoes_protect(
        setup in setups(),
        frames in proptest::collection::vec((0usize..3, proptest::collection::vec(any::<u8>(), 0..300)), 1..20),
        cuts in proptest::collection::vec(0usize..80, 0..4),
        padding in 0usize..40,
    ) {
        let frames: Vec<_> = frames.into_iter().map(|(tags, content)| tagged_frame(tags, content)).collect();
        let in_one = protect(&mut setup.tx(), &frames);
        prop_assert_eq!(in_one.len(), frames.len());
        // Scattered over segments, protection gives the same octets.
        let mut burst: Burst<MemFrame> = frames.iter().map(|f| scatter(f, &cuts)).collect();
        setup.tx().protect(&mut Engine::new(), &mut burst);
        prop_assert_eq!(&burst.iter().map(MemFrame::to_vec).collect::<Vec<_>>(), &in_one);

        let mut rx = setup.rx();
        let mut burst: Burst<MemFrame> = in_one.iter().map(|f| {
            let mut f = f.clone();
            // The padding of the medium, which follows only short frames.
            let tag = wire::L2Header::parse(&f, setup.clear_vlan_tags).unwrap().len;
            if f[tag + 3] != 0 {
                f.resize(f.len() + padding, 0xa5);
            }
            scatter(&f, &cuts)
        }).collect();
        rx.verify(&mut Engine::new(), &mut burst, &mut Burst::new());
        prop_assert_eq!(burst.iter().map(MemFrame::to_vec).collect::<Vec<_>>(), frames);
        prop_assert_eq!(moved(&rx), [("InPktsOK", in_one.len() as u64)]);
    }

    /// The receive SA against the standard's own words, frame by frame.
    #[test]
    fn replay_follows_the_lowest_acceptable_pn(
        window in 0u64..20,
        protect_replay: bool,
        pns in proptest::collection::vec(1u64..40, 1..60),
        size in 1usize..9,
    ) {
        let sealed: Vec<_> = {
            let mut tx = Setup::default().tx();
            (1..40).map(|_| protect(&mut tx, &[frame(70)]).remove(0)).collect()
        };
        let setup = Setup { replay_protect: protect_replay, replay_window: window, ..Setup::default() };
        let mut rx = setup.rx();
        let (mut ok, mut late, mut delayed, mut next) = (0, 0, 0, 1u64);
        for pn in &pns {
            let lowest = next.saturating_sub(window).max(1);
            match (*pn < lowest, protect_replay) {
                (true, true) => { late += 1; continue }
                (true, false) => delayed += 1,
                (false, _) => ok += 1,
            }
            next = next.max(pn + 1);
        }
        for burst in pns.chunks(size) {
            verify(&mut rx, &burst.iter().map(|pn| sealed[*pn as usize - 1].clone()).collect::<Vec<_>>());
        }
        let mut want = vec![("InPktsDelayed", delayed), ("InPktsOK", ok), ("InPktsLate", late)];
        want.retain(|(_, n)| *n > 0);
        prop_assert_eq!(moved(&rx), want);
    }

    /// XPN frames arrive in order, some lost, over a wrap of the low 32 bits.
    #[test]
    fn xpn_crosses_the_wrap(start in (1u64 << 32) - 40..(1u64 << 32) + 5, keep in proptest::collection::vec(any::<bool>(), 60), window in select(&[0u64, 16])) {
        let suite = CipherSuite::GcmAesXpn256;
        let setup = Setup { tx_pn: start, rx_pn: start, replay_window: window, ..Setup::with_suite(suite) };
        let (mut tx, mut rx) = (setup.tx(), setup.rx());
        for keep in keep {
            let sealed = protect(&mut tx, &[frame(64)]);
            if keep {
                prop_assert_eq!(verify(&mut rx, &sealed), [frame(64)]);
            }
        }
    }
}

#[test]
fn what_becomes_of_each_kind_of_frame() {
    use ValidateFrames::{Check, Disabled, Strict};
    let plain = frame(100);
    let clear = Setup { encrypt: false, ..Setup::default() };
    let crypt = Setup::default();
    let stranger = |s: &Setup| Setup { sci: STRANGER.parse().unwrap(), ..s.clone() };
    let unused = |s: &Setup| Setup { an: An::ALL[2], ..s.clone() };
    let spoilt = |s: &Setup| {
        let mut f = protect(&mut s.tx(), &[frame(100)]).remove(0);
        f[50] ^= 1;
        f
    };
    let sealed = |s: &Setup| protect(&mut s.tx(), &[frame(100)]).remove(0);
    let no_macsec = |t: u16| [&plain[..12], &t.to_be_bytes(), &plain[14..]].concat();
    // Frame; under strict, check and disabled: the counter, and whether it is delivered.
    type Verdicts = [(&'static str, bool); 3];
    let table: Vec<(&str, Vec<u8>, Verdicts)> = vec![
        ("encrypted", sealed(&crypt), [("InPktsOK", true), ("InPktsOK", true), ("InPktsNotValid", false)]),
        ("integrity", sealed(&clear), [("InPktsOK", true), ("InPktsOK", true), ("InPktsUnchecked", true)]),
        (
            "untagged",
            no_macsec(0x800),
            [("InPktsNoTag", false), ("InPktsUntagged", true), ("InPktsUntagged", true)],
        ),
        ("spoilt encrypted", spoilt(&crypt), [("InPktsNotValid", false); 3]),
        (
            "spoilt integrity",
            spoilt(&clear),
            [("InPktsNotValid", false), ("InPktsInvalid", true), ("InPktsUnchecked", true)],
        ),
        ("stranger encrypted", sealed(&stranger(&crypt)), [("InPktsNoSCI", false); 3]),
        (
            "stranger integrity",
            sealed(&stranger(&clear)),
            [("InPktsNoSCI", false), ("InPktsUnknownSCI", true), ("InPktsUnknownSCI", true)],
        ),
        ("unused AN encrypted", sealed(&unused(&crypt)), [("InPktsNotUsingSA", false); 3]),
        (
            "unused AN integrity",
            sealed(&unused(&clear)),
            [("InPktsNotUsingSA", false), ("InPktsUnusedSA", true), ("InPktsUnusedSA", true)],
        ),
        ("EAPOL", no_macsec(0x888e), [("InPktsEapol", false); 3]),
        ("runt", plain[..13].to_vec(), [("InPktsNoTag", false); 3]),
        ("cut tag", sealed(&crypt)[..20].to_vec(), [("InPktsBadTag", false); 3]),
    ];
    for (what, f, verdicts) in table {
        for (validate_frames, (counter, delivered)) in [Strict, Check, Disabled].into_iter().zip(verdicts) {
            let mut rx = Setup { validate_frames, ..Setup::default() }.rx();
            let out = one(&mut rx, &f);
            assert_eq!(moved(&rx), [(counter, 1)], "{what} {validate_frames:?}");
            assert_eq!(out.is_some(), delivered, "{what} {validate_frames:?}");
            if let Some(out) = out {
                assert!(!out.windows(2).take(13).any(|w| w == [0x88, 0xe5]), "{what}: tag left");
                assert_eq!(out.len(), 100, "{what}");
            }
        }
    }
}

#[test]
fn eapol_is_set_aside_and_never_delivered() {
    let mut rx = Setup::default().rx();
    let eapol = [&frame(12)[..], &[0x88, 0x8e, 3, 5, 0, 0]].concat();
    let mut burst: Burst<MemFrame> = [MemFrame::new(&eapol), MemFrame::new(&frame(60))].into_iter().collect();
    let mut aside = Burst::new();
    rx.verify(&mut Engine::new(), &mut burst, &mut aside);
    assert!(burst.is_empty());
    assert_eq!(aside.iter().map(MemFrame::to_vec).collect::<Vec<_>>(), [eapol]);
}

#[test]
fn end_stations_send_the_sci_for_others() {
    let setup = Setup { sci_mode: SciMode::EndStation, ..Setup::default() };
    let mine = frame(60);
    let mut other = frame(60);
    other[11] ^= 0xff;
    let sealed = protect(&mut setup.tx(), &[mine.clone(), other.clone()]);
    assert_eq!(sealed.iter().map(Vec::len).collect::<Vec<_>>(), [60 + 24, 60 + 32]);
    assert_eq!([sealed[0][14] & 0x60, sealed[1][14] & 0x60], [0x40, 0x20]);
    assert_eq!(verify(&mut setup.rx(), &sealed), [mine, other]);
}

#[test]
fn single_copy_broadcast_is_port_0() {
    let sci = Sci::new("02:00:00:00:00:01".parse().unwrap(), 0);
    let setup = Setup { sci, sci_mode: SciMode::SingleCopyBroadcast, ..Setup::default() };
    let sealed = protect(&mut setup.tx(), &[frame(60)]);
    assert_eq!((sealed[0].len(), sealed[0][14] & 0x70), (84, 0x10));
    let mut rx = setup.rx();
    assert!(rx.apply(Command::AddRxSc(RxSc::new(STRANGER.parse().unwrap()))).is_none());
    assert_eq!(verify(&mut rx, &sealed), [frame(60)]);
    // An end station's port is 1, so this is nobody's end station.
    let end_station = Setup { sci, sci_mode: SciMode::EndStation, ..Setup::default() };
    assert_eq!(protect(&mut end_station.tx(), &[frame(60)])[0].len(), 92);
}

#[test]
fn an_implicit_sci_needs_a_single_channel() {
    let setup = Setup { sci_mode: SciMode::Implicit, ..Setup::default() };
    let sealed = protect(&mut setup.tx(), &[frame(60), frame(61)]);
    let mut rx = setup.rx();
    assert_eq!(verify(&mut rx, &sealed[..1]), [frame(60)]);
    assert!(rx.apply(Command::AddRxSc(RxSc::new(STRANGER.parse().unwrap()))).is_none());
    assert!(verify(&mut rx, &sealed[1..]).is_empty());
    assert_eq!(moved(&rx), [("InPktsNoSCI", 1), ("InPktsOK", 1)]);
}

#[test]
fn the_last_packet_number_is_the_last_frame() {
    let setup = Setup { tx_pn: u64::from(u32::MAX) - 1, ..Setup::default() };
    let mut tx = setup.tx();
    assert_eq!(protect(&mut tx, &vec![frame(60); 5]).len(), 2);
    assert!(protect(&mut tx, &[frame(60)]).is_empty());
    assert_eq!(tx.counters().out_pkts_no_pn.get(), 4);
    assert!(matches!(tx.poll_event(), Some(Event::PnPending(an)) if an == setup.an));
    assert!(matches!(tx.poll_event(), Some(Event::PnExhausted(an)) if an == setup.an));
    assert!(tx.poll_event().is_none(), "each is told once");
}

/// In one burst, of which some numbers have 32 bits and others more.
#[test]
fn a_burst_crosses_the_end_of_32_bits() {
    for before in [0, 1, 7, 63, 64] {
        let first = (1 << 32) - before;
        let suite = CipherSuite::GcmAesXpn256;
        let setup = Setup { tx_pn: first, rx_pn: first, ..Setup::with_suite(suite) };
        let plain: Vec<_> = (0..MAX_BURST).map(|i| frame(58 + i)).collect();
        let sent = protect(&mut setup.tx(), &plain);
        assert_eq!(sent.len(), MAX_BURST, "{before}");
        // The receiver takes the upper half from the number that it expects, and the nonce is made of all of it.
        assert_eq!(verify(&mut setup.rx(), &sent), plain, "{before}");
    }
}

#[test]
fn the_soft_limit_is_told_once_and_frames_go_on() {
    let mut tx = Setup { tx_pn: SOFT_LIMIT_32 - 2, ..Setup::default() }.tx();
    assert_eq!(protect(&mut tx, &[frame(60)]).len(), 1);
    assert!(tx.poll_event().is_none());
    assert_eq!(protect(&mut tx, &vec![frame(60); 3]).len(), 3);
    assert!(matches!(tx.poll_event(), Some(Event::PnPending(_))));
    assert_eq!(protect(&mut tx, &vec![frame(60); 3]).len(), 3);
    assert!(tx.poll_event().is_none());
}

#[test]
fn nothing_passes_the_gate() {
    let setup = Setup::default();
    let sa = TxSa::new(&setup.params(1), 3).unwrap();
    let gate = sa.gate();
    let mut tx = setup.tx();
    let an = An::ALL[1];
    tx.apply(Command::InstallTxSa { an, sa: Box::new(sa) });
    tx.apply(Command::EncodeWith(Some(an)));
    assert_eq!(protect(&mut tx, &vec![frame(60); 5]).len(), 2);
    assert_eq!(gate.next(), 3);
    gate.raise(10);
    let sealed = protect(&mut tx, &[frame(60)]);
    assert_eq!(sealed[0][19], 3, "the PN after the gate opened");
    assert_eq!(tx.counters().out_pkts_no_pn.get(), 3);
    assert!(tx.poll_event().is_none(), "a shut gate is not exhaustion");
}

#[test]
fn frames_that_cannot_leave_are_dropped_and_counted() {
    let mut tx = Setup::default().tx();
    let out = protect(&mut tx, &[frame(13), frame(14), frame(9622 - 32), frame(9622 - 31)]);
    assert_eq!(out.iter().map(Vec::len).collect::<Vec<_>>(), [46, 9622]);
    assert_eq!((tx.counters().out_pkts_malformed.get(), tx.counters().out_pkts_too_long.get()), (1, 1));
    assert!(tx.apply(Command::EncodeWith(None)).is_none());
    assert!(protect(&mut tx, &[frame(60)]).is_empty());
    assert_eq!(tx.counters().out_pkts_no_sa.get(), 1);
}

#[test]
fn without_protection_frames_leave_as_they_came() {
    let mut tx = TxSecY::new(TxConfig {
        protect_frames: false,
        max_frame: 100,
        ..Setup::default().tx().config().clone()
    });
    assert_eq!(protect(&mut tx, &[frame(100), frame(101), frame(60)]), [frame(100), frame(60)]);
    assert_eq!((tx.counters().out_pkts_untagged.get(), tx.counters().out_pkts_too_long.get()), (2, 1));
}

#[test]
fn four_associations_overlap() {
    let base = Setup::default();
    let keyed = |an: An| Setup { an, sak: Sak::from_octets(&[an.as_u8() + 1; 16]).unwrap(), ..base.clone() };
    let mut rx = keyed(An::ALL[0]).rx();
    for an in &An::ALL[1..] {
        rx.apply(Command::InstallRxSa { sci: base.sci, an: *an, sa: keyed(*an).rx_sa() });
    }
    let mut txs: Vec<_> = An::ALL.iter().map(|an| keyed(*an).tx()).collect();
    let sealed: Vec<_> = (0..16).map(|i| protect(&mut txs[i % 4], &[frame(60 + i)]).remove(0)).collect();
    assert_eq!(verify(&mut rx, &sealed), (0..16).map(|i| frame(60 + i)).collect::<Vec<_>>());
    // The old one goes; its counts stay with the channel.
    let gone = rx.apply(Command::RemoveRxSa { sci: base.sci, an: An::ALL[0] });
    assert!(matches!(gone, Some(Event::Retired(Retired::RxSa(..)))));
    assert!(verify(&mut rx, &protect(&mut txs[0], &[frame(60)])).is_empty());
    assert_eq!(moved(&rx), [("InPktsOK", 16), ("InPktsNotUsingSA", 1)]);
}

#[test]
fn a_thousand_channels_are_told_apart() {
    let setup = |i: u16| Setup {
        sci: Sci::new("02:00:00:00:00:05".parse().unwrap(), i),
        sak: Sak::from_octets(&[i as u8; 16]).unwrap(),
        ..Setup::default()
    };
    let mut rx = setup(0).rx();
    for i in 1..MAX_RECEIVE_SCS as u16 {
        let s = setup(i);
        assert!(rx.apply(Command::AddRxSc(RxSc::new(s.sci))).is_none());
        assert!(rx.apply(Command::InstallRxSa { sci: s.sci, an: s.an, sa: s.rx_sa() }).is_none());
    }
    let full = rx.apply(Command::AddRxSc(RxSc::new(STRANGER.parse().unwrap())));
    assert!(matches!(full, Some(Event::Refused(_))));
    assert!(matches!(rx.apply(Command::RemoveRxSc(setup(7).sci)), Some(Event::Retired(Retired::RxSc(_)))));
    for i in (0..MAX_RECEIVE_SCS as u16).step_by(31).chain([7]) {
        let out = verify(&mut rx, &protect(&mut setup(i).tx(), &[frame(60)]));
        assert_eq!(out.len(), usize::from(i != 7), "{i}");
        rx.apply(Command::RemoveRxSc(setup(i).sci));
    }
}

#[test]
fn commands_that_make_no_sense_are_handed_back() {
    let setup = Setup::default();
    let mut tx = setup.tx();
    let mut refused = |c| assert!(matches!(tx.apply(c), Some(Event::Refused(_))));
    refused(Command::InstallTxSa { an: setup.an, sa: setup.tx_sa() });
    refused(Command::RemoveTxSa(setup.an));
    refused(Command::EncodeWith(Some(An::ALL[3])));
    refused(Command::RemoveRxSc(setup.sci));
    let mut rx = setup.rx();
    let stranger = STRANGER.parse().unwrap();
    let mut refused = |c| assert!(matches!(rx.apply(c), Some(Event::Refused(_))));
    refused(Command::AddRxSc(RxSc::new(setup.sci)));
    refused(Command::InstallRxSa { sci: stranger, an: setup.an, sa: setup.rx_sa() });
    refused(Command::RaiseLowestPn { sci: stranger, an: setup.an, pn: 1 });
    refused(Command::EncodeWith(None));
    // The refused SA is unused: the one in place goes on.
    assert_eq!(verify(&mut rx, &protect(&mut tx, &[frame(60)])), [frame(60)]);
}

#[test]
fn a_raised_floor_makes_frames_late() {
    let setup = Setup { replay_window: 100, ..Setup::default() };
    let (mut tx, mut rx) = (setup.tx(), setup.rx());
    let sealed = protect(&mut tx, &vec![frame(60); 8]);
    assert!(rx.apply(Command::RaiseLowestPn { sci: setup.sci, an: setup.an, pn: 5 }).is_none());
    assert_eq!(verify(&mut rx, &sealed).len(), 4);
    assert_eq!(moved(&rx), [("InPktsOK", 4), ("InPktsLate", 4)]);
}

/// What a receiver knew when it stopped counts when it starts again.
#[test]
fn a_resumed_sa_knows_what_came_before() {
    for (suite, start) in [(CipherSuite::GcmAes128, 1000), (CipherSuite::GcmAesXpn256, (5 << 32) + 7)] {
        for (window, late) in [(0, 4), (2, 2)] {
            let setup = Setup { tx_pn: start, replay_window: window, ..Setup::with_suite(suite) };
            let sealed = protect(&mut setup.tx(), &vec![frame(60); 8]);
            let mut sa = setup.rx_sa();
            sa.resume(start + 4);
            sa.resume(1);
            let progress = sa.progress();
            let mut rx = setup.rx();
            rx.apply(Command::InstallRxSa { sci: setup.sci, an: setup.an, sa });
            assert_eq!(progress.next_pn(), start + 4);
            assert_eq!(verify(&mut rx, &sealed).len(), 8 - late);
            assert_eq!(moved(&rx), [("InPktsOK", 8 - late as u64), ("InPktsLate", late as u64)]);
            assert_eq!(progress.next_pn(), start + 8);
        }
    }
}

/// Told where to look, a receiver finds frames of which it missed the 2^31 before, and nothing else.
#[test]
fn what_was_missed_is_found_by_a_hint() {
    let setup = Setup::with_suite(CipherSuite::GcmAesXpn128);
    let (mut rx, sa) = (setup.rx(), setup.rx_sa());
    let progress = sa.progress();
    rx.apply(Command::InstallRxSa { sci: setup.sci, an: setup.an, sa });
    let from = |tx_pn| protect(&mut Setup { tx_pn, ..setup.clone() }.tx(), &vec![frame(60); 4]);
    let (old, far, next) = (from(1), from(3 << 32 | 1), from(3 << 32 | 1 << 31 | 1));
    assert_eq!(verify(&mut rx, &old[..1]).len(), 1);
    for (hint, delivered) in [(0, 0), (1 << 32, 0), (2 << 32, 0), (2 << 32 | 1 << 31, 2)] {
        progress.recover_from(hint);
        assert_eq!(verify(&mut rx, &far[..2]).len(), delivered, "{hint:x}");
    }
    assert_eq!(progress.next_pn(), 3 << 32 | 3);
    // It goes on by what was received, and nothing comes a second time. A lower hint is none.
    assert_eq!(verify(&mut rx, &far[2..]).len(), 2);
    assert_eq!(verify(&mut rx, &next[..2]).len(), 2);
    progress.recover_from(1);
    assert_eq!(verify(&mut rx, &next[2..]).len(), 2);
    assert_eq!(progress.next_pn(), 3 << 32 | 1 << 31 | 5);
    assert_eq!(verify(&mut rx, &[old, far, next].concat()).len(), 0);
}

#[test]
fn less_than_an_ethertype_is_no_frame() {
    for sl in [1, 2] {
        let mut f = [&frame(12)[..], &[0x88, 0xe5, 0x20, sl, 0, 0, 0, 1]].concat();
        f.extend(STRANGER.as_bytes().iter().take(8));
        f.resize(64, 0);
        let mut rx = Setup { validate_frames: ValidateFrames::Check, ..Setup::default() }.rx();
        assert_eq!(one(&mut rx, &f).map(|f| f.len()), (sl == 2).then_some(14));
        assert_eq!(moved(&rx), [(if sl == 1 { "InPktsBadTag" } else { "InPktsUnknownSCI" }, 1)]);
    }
}

#[test]
fn sas_are_made_of_what_fits() {
    let sak16 = Sak::from_octets(&[1; 16]).unwrap();
    let sci = Setup::default().sci;
    let xpn = Some(Xpn { ssci: Ssci(1), salt: Salt([0; 12]) });
    let offset = ConfidentialityOffset::None;
    let make = |suite, xpn, first_pn| {
        RxSa::new(&SaParams { suite, sak: &sak16, sci, xpn, offset, first_pn }).map(drop)
    };
    use CipherSuite::{GcmAes128, GcmAes256, GcmAesXpn128};
    assert_eq!(make(GcmAes128, None, 1), Ok(()));
    assert_eq!(make(GcmAesXpn128, xpn, u64::MAX - 1), Ok(()));
    assert_eq!(make(GcmAes256, None, 1), Err(SaError::SakLength { suite: GcmAes256, octets: 16 }));
    assert_eq!(make(GcmAes128, xpn, 1), Err(SaError::Xpn(GcmAes128)));
    assert_eq!(make(GcmAesXpn128, None, 1), Err(SaError::Xpn(GcmAesXpn128)));
    assert_eq!(make(GcmAes128, None, 0), Err(SaError::PacketNumber(0)));
    assert_eq!(make(GcmAes128, None, 1 << 32), Err(SaError::PacketNumber(1 << 32)));
    assert_eq!(make(GcmAesXpn128, xpn, u64::MAX), Err(SaError::PacketNumber(u64::MAX)));
    assert!(!format!("{:?}", Setup::default().tx_sa()).contains("5a5a"));
}

#[test]
fn octets_of_user_data_are_counted() {
    for (encrypt, counters) in [(true, [0, 46, 0, 46]), (false, [46, 0, 46, 0])] {
        let setup = Setup { encrypt, ..Setup::default() };
        let sa = setup.tx_sa();
        let tx_counters = sa.counters();
        let mut tx = setup.tx();
        tx.apply(Command::InstallTxSa { an: An::ALL[1], sa });
        tx.apply(Command::EncodeWith(Some(An::ALL[1])));
        let mut rx = setup.rx();
        rx.apply(Command::InstallRxSa { sci: setup.sci, an: An::ALL[1], sa: setup.rx_sa() });
        verify(&mut rx, &protect(&mut tx, &[frame(58)]));
        let received = rx.channels()[0].sa(An::ALL[1]).unwrap().counters();
        let found = [
            tx_counters.out_octets_protected.get(),
            tx_counters.out_octets_encrypted.get(),
            received.in_octets_validated.get(),
            received.in_octets_decrypted.get(),
        ];
        assert_eq!(found, counters);
    }
}
