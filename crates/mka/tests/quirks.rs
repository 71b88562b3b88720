//! Peers that write MKPDUs as deployed implementations do.

#![allow(clippy::unwrap_used, missing_docs)]

use mka::Time;
use testkit::{Faults, Lan, Quirk};
use wire::CipherSuite;

const SECOND: Time = Time::from_secs(1);

/// Two stations, one of which is odd: the key server, or the other.
fn lan_with(quirk: Quirk, odd: usize, set: impl Fn(&mut mka::Config)) -> Lan {
    let mut lan = Lan::new(3);
    for number in 1..=2 {
        let mut config = Lan::config(number);
        set(&mut config);
        let number = lan.add(config);
        lan.stations[number].quirk = (number == odd).then_some(quirk);
        lan.start(number);
    }
    lan
}

#[test]
fn odd_peers_are_served() {
    let suites = |suite: CipherSuite| move |config: &mut mka::Config| config.suites = vec![suite];
    let quirks = [
        (Quirk::OmitsSakUse, CipherSuite::GcmAesXpn128),
        (Quirk::OmitsSakUse, CipherSuite::GcmAes128),
        (Quirk::LateLpn, CipherSuite::GcmAes128),
        (Quirk::OldSlotOnly, CipherSuite::GcmAes128),
        (Quirk::OldSlotOnly, CipherSuite::GcmAesXpn256),
        (Quirk::Announces, CipherSuite::GcmAesXpn256),
        (Quirk::XpnUnsaid, CipherSuite::GcmAesXpn128),
        (Quirk::NamesGcmAes128, CipherSuite::GcmAes128),
        (Quirk::NamesGcmAes128Otherwise, CipherSuite::GcmAes128),
    ];
    for (quirk, suite) in quirks {
        for version in [1, 3] {
            for icv_indicator in [false, true] {
                for odd in [0, 1] {
                    let what = format!("{quirk:?}, {suite}, version {version}, {icv_indicator}, {odd}");
                    let mut lan = lan_with(quirk, odd, |config| {
                        suites(suite)(config);
                        (config.version, config.icv_indicator) = (version, icv_indicator);
                    });
                    // One that says little is understood a hello or two later.
                    lan.run(20 * SECOND).unwrap_or_else(|why| panic!("{what}: {why}"));
                    let mut before =
                        lan.agreed().unwrap_or_else(|why| panic!("{what}: {why}\n{}", lan.tale()));
                    for _ in 0..6 {
                        lan.rekey();
                        lan.run(20 * SECOND).unwrap_or_else(|why| panic!("{what}: {why}"));
                        let key = lan.agreed().unwrap_or_else(|why| panic!("{what}: {why}\n{}", lan.tale()));
                        assert_eq!((key.mi, key.kn), (before.mi, before.kn + 1), "{what}\n{}", lan.tale());
                        before = key;
                    }
                }
            }
        }
    }
}

/// With delay protection, a peer whose lowest packet numbers are late loses nothing but some of the protection.
#[test]
fn late_packet_numbers_bound_no_frame_away() {
    let mut lan = lan_with(Quirk::LateLpn, 0, |config| {
        (config.delay_protect, config.suites) = (true, vec![CipherSuite::GcmAes128]);
    });
    lan.run(60 * SECOND).unwrap();
    lan.agreed().unwrap();
    assert_eq!(lan.stations[1].raised_to(), 1);
}

#[test]
fn leave_to_send_in_the_clear_is_refused() {
    let mut lan = lan_with(Quirk::PlainText, 0, |config| config.suites = vec![CipherSuite::GcmAes128]);
    lan.run(60 * SECOND).unwrap();
    assert_eq!(lan.stations[1].transmits(), None);
    assert!(lan.tale().contains("SakRefused(PlainText)"), "{}", lan.tale());
}

/// Under such a key two stations would have the same nonces.
#[test]
fn a_key_that_gives_two_stations_one_ssci_is_refused() {
    let mut lan = lan_with(Quirk::SharesSsci, 0, |config| config.suites = vec![CipherSuite::GcmAesXpn128]);
    lan.run(60 * SECOND).unwrap();
    assert_eq!(lan.stations[1].transmits(), None);
    assert!(lan.tale().contains("SakRefused(SharedSsci)"), "{}", lan.tale());
}

/// A key server that has forgotten a station is reminded of it: the station leaves, and comes back as another.
#[test]
fn a_station_that_is_given_no_key_comes_back_as_a_new_one() {
    let mut lan = lan_with(Quirk::Withholds, 0, |config| config.suites = vec![CipherSuite::GcmAes128]);
    lan.run(11 * SECOND).unwrap();
    assert!(!lan.tale().contains("LeftOut"), "it has patience");
    lan.run(4 * SECOND).unwrap();
    assert!(lan.tale().contains("LeftOut"), "{}", lan.tale());
    lan.run(8 * SECOND).unwrap();
    let left = lan.stations[0].kay.as_ref().unwrap().status(lan.now());
    assert!(left.peers.is_empty(), "{}", lan.tale());
    lan.stations[0].quirk = None;
    lan.run(15 * SECOND).unwrap();
    lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
}

/// Three stations, of which the second lost the frame with the next SAK; the key server goes on as one that hands a SAK out
/// once, until its transmit delay is over and the other has had two life times of patience.
fn lan_with_a_lost_key() -> (Lan, mka::KeyIdentifier) {
    let mut lan = lan_of(3);
    lan.run(20 * SECOND).unwrap();
    let before = lan.agreed().unwrap();
    lan.lose_from(0, 1, 100);
    lan.rekey();
    lan.run(Time::from_millis(100)).unwrap();
    lan.lose_from(0, 1, 0);
    lan.stations[0].quirk = Some(Quirk::WithholdsKey(before.kn + 1));
    lan.run(17 * SECOND).unwrap();
    let transmits: Vec<_> =
        lan.stations.iter().map(|station| station.transmits().unwrap().kn - before.kn).collect();
    assert_eq!(transmits, [1, 0, 1], "{}", lan.tale());
    assert!(!lan.tale().contains("LeftOut"), "it has patience");
    lan.run(2 * SECOND).unwrap();
    assert!(lan.tale().contains("LeftOut"), "{}", lan.tale());
    (lan, before)
}

/// What a station that takes GCM-AES-128 alone is told.
fn gcm_aes_128(number: u16) -> mka::Config {
    mka::Config { suites: vec![CipherSuite::GcmAes128], ..Lan::config(number) }
}

/// So many of these, all of them started.
fn lan_of(stations: u16) -> Lan {
    let mut lan = Lan::new(3);
    for number in 1..=stations {
        let number = lan.add(gcm_aes_128(number));
        lan.start(number);
    }
    lan
}

/// Three of these that start one after the other, with pauses up to so many milliseconds; frames take so many at most.
fn three_in_turn(seed: u64, delay: u64, pause: u64, quirk: impl Fn(usize) -> Option<Quirk>) -> Lan {
    let mut lan = Lan::new(seed);
    lan.set_faults(Faults { delay: Time::from_millis(delay), ..Faults::NONE });
    lan.in_order = true;
    for number in 1..=3 {
        let number = lan.add(gcm_aes_128(number));
        lan.stations[number].quirk = quirk(number);
        lan.start(number);
        let pause = lan.random().u64(0..pause);
        lan.run(Time::from_millis(pause)).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    lan
}

/// It would go on with the one before, which nobody else uses.
#[test]
fn a_station_that_lost_its_next_key_comes_back_as_a_new_one() {
    let (mut lan, before) = lan_with_a_lost_key();
    lan.run(20 * SECOND).unwrap();
    let after = lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
    assert!(after.mi == before.mi && after.kn > before.kn + 1, "{after}");
}

#[test]
fn a_station_that_is_given_its_key_while_it_is_silent_stays() {
    let (mut lan, before) = lan_with_a_lost_key();
    lan.stations[0].quirk = None;
    // Longer than it would have been silent.
    lan.run(20 * SECOND).unwrap();
    let after = lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
    assert!(after.mi == before.mi && after.kn == before.kn + 1, "{after}\n{}", lan.tale());
}

/// What was refused may be a key of an earlier life, and the next one get lost: that is no reason to wait for ever.
#[test]
fn a_station_that_refused_a_key_and_is_given_no_other_comes_back_as_a_new_one() {
    let mut lan = lan_of(2);
    lan.stations[1].refuses = 1;
    lan.stations[0].quirk = Some(Quirk::WithholdsKey(2));
    lan.run(30 * SECOND).unwrap();
    assert!(lan.tale().contains("LeftOut"), "{}", lan.tale());
    lan.run(20 * SECOND).unwrap();
    lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
}

/// What the key server gives is refused for want of a third station alone, of which the key server knows and this one has
/// not heard: another start may mend that.
#[test]
fn a_station_that_has_not_heard_of_another_comes_back_as_a_new_one() {
    let mut lan = Lan::new(3);
    for number in 1..=3 {
        let number = lan.add(Lan::config(number));
        lan.stations[number].config.suites = vec![CipherSuite::GcmAesXpn128];
    }
    // Of which the key server waits for a life time that they hear each other.
    lan.lose_from(1, 2, 100);
    lan.lose_from(2, 1, 100);
    (0..3).for_each(|number| lan.start(number));
    lan.run(40 * SECOND).unwrap();
    let tale = lan.tale();
    assert!(tale.contains("SakRefused(UnknownStation)") && tale.contains("LeftOut"), "{tale}");
}

/// With each change of the group a new key may be on its way to one that goes on with its own; but a group that changes
/// again and again does not keep it waiting for ever.
#[test]
fn a_group_that_goes_on_changing_leaves_nobody_out_for_ever() {
    let mut lan = lan_of(3);
    lan.run(20 * SECOND).unwrap();
    lan.lose_from(0, 1, 100);
    lan.rekey();
    lan.run(Time::from_millis(100)).unwrap();
    lan.lose_from(0, 1, 0);
    lan.stations[0].quirk = Some(Quirk::Withholds);
    let began = lan.now();
    let changing = lan.add(gcm_aes_128(4));
    while !lan.tale().contains("LeftOut") {
        assert!(lan.now() < began + 60 * SECOND, "{}", lan.tale());
        lan.start(changing);
        lan.run(5 * SECOND).unwrap();
        lan.stop(changing);
        // Until it is forgotten.
        lan.run(7 * SECOND).unwrap();
    }
    // Twelve seconds after the key server went over to its key, if the group had stayed as it was.
    assert!(lan.now() > began + 30 * SECOND, "{}", lan.tale());
}

/// A newcomer has its key in hand while the key server still transmits under the one before, for as long as somebody does
/// not say that it receives.
#[test]
fn a_station_whose_key_is_not_in_use_yet_is_not_left_out() {
    let mut lan = lan_of(2);
    lan.run(20 * SECOND).unwrap();
    lan.agreed().unwrap();
    let new = lan.add(gcm_aes_128(3));
    lan.stations[1].mute = true;
    // Of which the key server waits for a life time that they hear each other.
    lan.lose_from(1, new, 100);
    lan.lose_from(new, 1, 100);
    lan.start(new);
    lan.run(30 * SECOND).unwrap();
    assert!(!lan.tale().contains("LeftOut"), "{}", lan.tale());
    assert_eq!(lan.stations[new].transmits(), lan.stations[0].transmits(), "{}", lan.tale());
}

/// Where two groups become one, the better key server may wait for long until all know each other; those of the other
/// group have a key that it does not use, and go on with it until then.
#[test]
fn groups_that_become_one_leave_nobody_out() {
    let mut lan = lan_of(3);
    lan.move_to(1, 1);
    lan.move_to(2, 1);
    let more: Vec<usize> = (4..=6)
        .map(|number| {
            let number = lan.add(gcm_aes_128(number));
            lan.move_to(number, 0);
            number
        })
        .collect();
    lan.start(more[0]);
    lan.run(20 * SECOND).unwrap();
    lan.move_to(1, 0);
    lan.move_to(2, 0);
    for (a, b) in [(1, more[0]), (more[0], more[1]), (more[1], more[2])] {
        lan.lose_from(a, b, 100);
        lan.lose_from(b, a, 100);
    }
    lan.run(4 * SECOND).unwrap();
    for number in &more[1..] {
        lan.start(*number);
        lan.run(5 * SECOND).unwrap();
    }
    lan.run(6 * SECOND).unwrap();
    assert!(!lan.tale().contains("LeftOut"), "{}", lan.tale());
}

/// Two of them around a key server of ours: each may hear the other speak of a SAK before that knows it, and begin anew,
/// and be heard of as another station then. This must not go on and on.
#[test]
fn touchy_peers_come_to_rest() {
    const LANS: u64 = 500;
    let mut late = 0;
    for seed in 0..LANS {
        // They take their time to read.
        let mut lan = three_in_turn(seed, 30, 3000, |number| (number > 0).then_some(Quirk::Touchy));
        let started = lan.now();
        while let Err(why) = lan.agreed() {
            assert!(lan.now() < started + 60 * SECOND, "seed {seed}: {why}\n{}", lan.tale());
            lan.run(SECOND).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        }
        let took = lan.now() - started;
        late += u64::from(took > 12 * SECOND);
    }
    // Two that have begun to take it amiss take their time; they are few.
    assert!(late <= LANS / 10, "{late} LANs took long");
}

/// Such stations list one by a number that is old, again and again, if it speaks at one time with one of them.
#[test]
fn what_is_listed_by_hearsay_is_live() {
    for seed in 0..300 {
        let mut lan = three_in_turn(seed, 40, 2000, |number| (number != 1).then_some(Quirk::Hearsay));
        lan.run(120 * SECOND).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        lan.agreed().unwrap_or_else(|why| panic!("seed {seed}: {why}\n{}", lan.tale()));
        assert!(!lan.tale().contains("PeerLost"), "seed {seed}:\n{}", lan.tale());
    }
}

/// More in the clear than was asked for is not for the key server to decide.
#[test]
fn a_greater_offset_than_ones_own_is_refused() {
    use wire::ConfidentialityOffset::{None, Octets30, Octets50};
    for (theirs, ours, taken) in [
        (None, Octets30, true),
        (Octets30, Octets30, true),
        (Octets30, Octets50, true),
        (Octets30, None, false),
        (Octets50, Octets30, false),
    ] {
        let mut lan = Lan::new(2);
        for (number, offset) in [(1, theirs), (2, ours)] {
            let mut config = Lan::config(number);
            (config.suites, config.confidentiality) = (vec![CipherSuite::GcmAes128], Some(offset));
            let number = lan.add(config);
            lan.start(number);
        }
        lan.run(20 * SECOND).unwrap();
        assert_eq!(lan.stations[1].transmits().is_some(), taken, "{theirs:?} {ours:?}\n{}", lan.tale());
        assert_eq!(lan.tale().contains("SakRefused(Offset)"), !taken);
    }
}
