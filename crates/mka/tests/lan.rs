//! Stations on a simulated LAN.

#![allow(clippy::unwrap_used, missing_docs)]

use mka::{KeyIdentifier, Time};
use std::iter;
use testkit::Lan;
use wire::{CipherSuite, MemberId};

const SECOND: Time = Time::from_secs(1);
/// Longer than it takes a LAN that is well again to agree: a life time for the dead to be forgotten, one for those that
/// are about to come up, the transmit delay, the old SA's time, and hellos in between.
const PATIENCE: Time = Time::from_secs(45);

fn lan_of(stations: u16, seed: u64) -> Lan {
    let mut lan = Lan::new(seed);
    for number in 0..stations {
        let number = lan.add(Lan::config(number + 1));
        lan.start(number);
    }
    lan
}

/// Under XPN suites a station takes no key that has no SSCI for it, or before it has heard of all that have one.
fn three_without_xpn(seed: u64) -> Lan {
    let mut lan = Lan::new(seed);
    for number in 1..=3 {
        let config = mka::Config { suites: vec![CipherSuite::GcmAes128], ..Lan::config(number) };
        let number = lan.add(config);
        lan.start(number);
    }
    lan
}

#[test]
fn two_agree_within_two_seconds() {
    for seed in 0..50 {
        let mut lan = lan_of(2, seed);
        lan.run(2 * SECOND).unwrap();
        let key = lan.agreed().unwrap_or_else(|why| panic!("seed {seed}: {why}\n{}", lan.tale()));
        assert_eq!(key.kn, 1, "seed {seed}: at the first go\n{}", lan.tale());
        lan.run(600 * SECOND).unwrap();
        assert_eq!(lan.agreed().unwrap(), key, "and leave it at that");
    }
}

#[test]
fn any_number_agrees() {
    for stations in [3, 10, 30] {
        let mut lan = lan_of(stations, 7);
        lan.run(PATIENCE).unwrap();
        lan.agreed().unwrap_or_else(|why| panic!("{stations}: {why}\n{}", lan.tale()));
    }
}

#[test]
fn keys_are_made_anew_without_loss() {
    let mut lan = lan_of(3, 3);
    lan.run(40 * SECOND).unwrap();
    let mut before = lan.agreed().unwrap();
    for _ in 0..200 {
        lan.rekey();
        lan.run(8 * SECOND).unwrap();
        let key = lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
        assert_eq!((key.mi, key.kn), (before.mi, before.kn + 1));
        before = key;
    }
    assert_eq!(lan.delayed, 0);
}

/// A hundred, whose lists do not fit a frame: each names some, and others the next time.
#[test]
fn a_hundred_agree() {
    let mut lan = Lan::new(11);
    for number in 0..100 {
        let mut config = Lan::config(number + 1);
        config.suites = vec![CipherSuite::GcmAes128];
        let number = lan.add(config);
        lan.start(number);
    }
    lan.run(PATIENCE).unwrap();
    lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
}

fn two(a: impl FnOnce(&mut mka::Config), b: impl FnOnce(&mut mka::Config)) -> Lan {
    let mut lan = Lan::new(1);
    let (mut first, mut second) = (Lan::config(1), Lan::config(2));
    a(&mut first);
    b(&mut second);
    for config in [first, second] {
        let number = lan.add(config);
        lan.start(number);
    }
    lan
}

fn server(lan: &Lan, number: usize) -> Option<mka::Server> {
    lan.stations[number].kay.as_ref().unwrap().status(lan.now()).server
}

#[test]
fn strangers_stay_strangers() {
    use keys::{Cak, Ckn};
    let other_cak = |config: &mut mka::Config| config.cak = Cak::from_octets(&[1; 16]).unwrap();
    let other_ckn = |config: &mut mka::Config| config.ckn = Ckn::from_hex("01").unwrap();
    for mut lan in [two(|_| (), other_cak), two(|_| (), other_ckn)] {
        lan.run(60 * SECOND).unwrap();
        for station in &lan.stations {
            let status = station.kay.as_ref().unwrap().status(lan.now());
            assert!(
                status.peers.is_empty() && status.sas.is_empty() && status.server.is_none(),
                "{status:?}"
            );
            assert_eq!(station.transmits(), None);
        }
    }
}

#[test]
fn the_key_server_is_who_has_the_lowest_priority_then_the_lowest_sci() {
    let with = |priority: u8| move |config: &mut mka::Config| config.priority = priority;
    for (a, b, first_serves) in
        [(16, 17, true), (17, 16, false), (16, 16, true), (255, 254, false), (0, 255, true), (255, 255, true)]
    {
        let mut lan = two(with(a), with(b));
        lan.run(5 * SECOND).unwrap();
        lan.agreed().unwrap_or_else(|why| panic!("{a} {b}: {why}"));
        assert_eq!(server(&lan, 0) == Some(mka::Server::Me), first_serves, "{a} {b}");
        assert_eq!(server(&lan, 1) == Some(mka::Server::Me), !first_serves, "{a} {b}");
    }
}

#[test]
fn every_suite_and_integrity_only() {
    for suite in CipherSuite::ALL {
        for confidentiality in [None, Some(Default::default())] {
            let set = move |config: &mut mka::Config| {
                (config.suites, config.confidentiality) = (vec![suite], confidentiality);
            };
            let mut lan = two(set, set);
            lan.run(2 * SECOND).unwrap();
            lan.agreed().unwrap_or_else(|why| panic!("{suite}: {why}"));
        }
    }
}

#[test]
fn a_suite_that_is_not_configured_is_not_taken() {
    let only = |suite| move |config: &mut mka::Config| config.suites = vec![suite];
    let mut lan = two(only(CipherSuite::GcmAes128), only(CipherSuite::GcmAes256));
    lan.run(60 * SECOND).unwrap();
    assert_eq!(lan.stations[1].transmits(), None);
    assert!(lan.tale().contains("SakRefused(Suite(Some(GcmAes128)))"), "{}", lan.tale());
}

#[test]
fn other_ports_of_a_mac_address_are_other_stations() {
    let mut lan = two(|_| (), |config| config.sci = wire::Sci::new(Lan::config(1).sci.mac(), 2));
    lan.run(5 * SECOND).unwrap();
    lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
}

#[test]
fn a_station_that_goes_is_noticed_after_its_life_time_and_welcome_again() {
    for (gone, stays) in [(0, 1), (1, 0)] {
        let mut lan = lan_of(2, 5);
        lan.run(20 * SECOND).unwrap();
        let before = lan.agreed().unwrap();
        lan.stop(gone);
        lan.run(4 * SECOND).unwrap();
        assert_eq!(lan.stations[stays].transmits(), Some(before), "not at once");
        lan.run(3 * SECOND).unwrap();
        assert_eq!(lan.stations[stays].transmits(), None, "but then nothing goes out any more");
        lan.start(gone);
        lan.run(3 * SECOND).unwrap();
        let after = lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
        assert_ne!(after, before);
    }
}

/// At once, so that nobody notices that it was gone.
#[test]
fn a_station_that_starts_anew_gets_a_new_sak() {
    for one in 0..3 {
        let mut lan = lan_of(3, 6);
        lan.run(20 * SECOND).unwrap();
        let before = lan.agreed().unwrap();
        lan.start(one);
        for _ in 0..300 {
            lan.run(Time::from_millis(100)).unwrap();
            // The others go on meanwhile, the key server's restart included.
            let others: Vec<_> = lan.stations.iter().enumerate().filter(|(i, _)| *i != one).collect();
            for (i, station) in &others {
                let key = station.transmits().unwrap_or_else(|| panic!("{one}: {i}\n{}", lan.tale()));
                assert!(others.iter().all(|(j, other)| i == j || other.receives(station.sci(), key)));
            }
        }
        let after = lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
        assert_ne!(after, before);
    }
}

/// Those who were there go on meanwhile; and one that nobody but the key server hears is not kept waiting for ever.
#[test]
fn a_newcomer_is_given_a_key_once_the_others_know_it() {
    for (deaf, at_least, at_most) in [(false, 0, 1), (true, 6, 7)] {
        // Those of XPN are refused where a station is not known.
        let config = |number| mka::Config { suites: vec![CipherSuite::GcmAes128], ..Lan::config(number) };
        let mut lan = Lan::new(12);
        for number in 1..=2 {
            let number = lan.add(config(number));
            lan.start(number);
        }
        lan.run(20 * SECOND).unwrap();
        let before = lan.agreed().unwrap();
        let third = lan.add(config(3));
        if deaf {
            lan.lose_from(third, 1, 100);
        }
        lan.start(third);
        lan.run(at_least * SECOND).unwrap();
        assert!(
            lan.stations[..2].iter().all(|station| station.transmits() == Some(before)),
            "{}",
            lan.tale()
        );
        lan.run((at_most - at_least) * SECOND).unwrap();
        let after = lan.stations[third].transmits();
        assert_eq!(after.map(|key| (key.mi, key.kn)), Some((before.mi, before.kn + 1)), "{}", lan.tale());
    }
}

#[test]
fn without_its_key_server_a_group_goes_on_without_a_gap() {
    let mut lan = lan_of(4, 8);
    lan.run(40 * SECOND).unwrap();
    let before = lan.agreed().unwrap();
    lan.stop(0);
    for _ in 0..200 {
        lan.run(Time::from_millis(100)).unwrap();
        for station in &lan.stations[1..] {
            let key = station.transmits().expect("they never stop");
            for other in lan.stations[1..].iter().filter(|other| other.sci() != station.sci()) {
                assert!(other.receives(station.sci(), key), "{}", lan.tale());
            }
        }
    }
    assert_ne!(lan.agreed().unwrap(), before);
    assert_eq!(server(&lan, 1), Some(mka::Server::Me));
}

/// What the key server handed out last not all have got when it dies.
#[test]
fn without_its_key_server_a_group_does_not_go_on_with_a_key_that_some_lack() {
    let mut lan = lan_of(3, 8);
    lan.run(40 * SECOND).unwrap();
    let before = lan.agreed().unwrap();
    lan.lose_from(0, 2, 100);
    lan.rekey();
    lan.run(Time::from_millis(300)).unwrap();
    let lost = mka::KeyIdentifier { mi: before.mi, kn: before.kn + 1 };
    assert!(lan.stations[1].receives(lan.stations[2].sci(), lost), "{}", lan.tale());
    lan.stop(0);
    lan.heal();
    for _ in 0..300 {
        lan.run(Time::from_millis(100)).unwrap();
        for (one, other) in [(1, 2), (2, 1)] {
            let key = lan.stations[one].transmits().expect("they never stop");
            let other = &lan.stations[other];
            assert!(other.receives(lan.stations[one].sci(), key), "{key}\n{}", lan.tale());
        }
    }
    let after = lan.agreed().unwrap();
    assert!(after != before && after != lost, "{after}");
}

#[test]
fn frames_whose_icv_is_wrong_change_nothing() {
    let mut random = fastrand::Rng::with_seed(1);
    let kay = |number| {
        let mut random = fastrand::Rng::with_seed(u64::from(number));
        mka::Kay::new(Lan::config(number), Box::new(move |octets: &mut [u8]| random.fill(octets)), Time::ZERO)
    };
    let (mut one, mut other) = (kay(1), kay(2));
    let mut frames = Vec::new();
    let mut now = Time::ZERO;
    for _ in 0..400 {
        now += Time::from_millis(50);
        for this_one in [true, false] {
            let (from, to) = if this_one { (&mut one, &mut other) } else { (&mut other, &mut one) };
            from.handle_timeout(now);
            let mut buffer = [0; 1514];
            while let Some(action) = from.poll_action() {
                if let mka::Action::Confirm(number) = action {
                    from.handle_done(now, number);
                }
            }
            while let Some(len) = from.poll_transmit(now, &mut buffer) {
                to.handle_frame(now, &buffer[..len]).unwrap();
                frames.push(buffer[..len].to_vec());
            }
        }
    }
    assert!(frames.len() > 10);
    while one.poll_event().is_some() || one.poll_action().is_some() {}
    let before = format!("{:?} {:?}", one.status(now), one.poll_timeout());
    let runs = std::env::var("MKA_MUTATIONS").map_or(100_000, |runs| runs.parse().unwrap());
    for _ in 0..runs {
        let mut frame = frames[random.usize(0..frames.len())].clone();
        match random.u8(0..4) {
            0 => frame.truncate(random.usize(0..frame.len())),
            1 => frame.extend((0..random.usize(1..40)).map(|_| random.u8(..))),
            _ => {}
        }
        for _ in 0..random.usize(1..4) {
            if frame.len() > 14 {
                let at = random.usize(0..frame.len());
                frame[at] ^= 1 << random.u8(0..8);
            }
        }
        // What was added behind the body is padding; a frame that is as it was is stale.
        assert!(one.handle_frame(now, &frame).is_err());
    }
    assert!(one.poll_event().is_none() && one.poll_action().is_none());
    assert_eq!(format!("{:?} {:?}", one.status(now), one.poll_timeout()), before);
}

/// Stations without number, all of which know the CAK, or are played back: memory stays bounded, and who is live stays.
#[test]
fn a_flood_of_stations_is_borne() {
    let mut lan = two(|_| (), |_| ());
    lan.run(20 * SECOND).unwrap();
    let before = lan.agreed().unwrap();
    let now = lan.now();
    let mut buffer = [0; 1514];
    for number in 100..2100 {
        let mut random = fastrand::Rng::with_seed(number.into());
        let fill = Box::new(move |octets: &mut [u8]| random.fill(octets));
        let mut stranger = mka::Kay::new(Lan::config(number), fill, now);
        let len = stranger.poll_transmit(now, &mut buffer).unwrap();
        let kay = lan.stations[0].kay.as_mut().unwrap();
        kay.handle_frame(now, &buffer[..len]).unwrap();
        while kay.poll_event().is_some() {}
    }
    let status = lan.stations[0].kay.as_ref().unwrap().status(now);
    assert!(status.peers.len() <= 256, "{}", status.peers.len());
    assert_eq!(status.peers.iter().filter(|peer| peer.live).count(), 1);
    lan.run(60 * SECOND).unwrap();
    assert_eq!(lan.agreed().unwrap(), before);
}

/// Whoever's packet numbers run out, the key server makes one key.
#[test]
fn packet_numbers_that_run_out_make_one_new_key() {
    for suite in CipherSuite::ALL {
        let near_end = if suite.is_xpn() { 0xc000_0000_0000_0000 } else { 0xc000_0000 };
        for one in [0, 1] {
            let only = move |config: &mut mka::Config| config.suites = vec![suite];
            let mut lan = two(only, only);
            lan.run(20 * SECOND).unwrap();
            let before = lan.agreed().unwrap();
            lan.with(one, |kay, now| kay.handle_next_pn(now, before, near_end - 1));
            lan.run(10 * SECOND).unwrap();
            assert_eq!(lan.agreed().unwrap(), before, "not yet");
            for _ in 0..20 {
                lan.with(one, |kay, now| kay.handle_next_pn(now, before, near_end));
                lan.run(Time::from_millis(20)).unwrap();
            }
            lan.run(20 * SECOND).unwrap();
            let after = lan.agreed().unwrap_or_else(|why| panic!("{suite}: {why}\n{}", lan.tale()));
            assert_eq!((after.mi, after.kn), (before.mi, before.kn + 1), "{suite}, {one}\n{}", lan.tale());
        }
    }
}

/// After the last packet number of 32 bits the next one is none, of which the low 32 bits are not what is said.
#[test]
fn after_the_last_packet_number_no_low_one_is_told() {
    let only = |config: &mut mka::Config| config.suites = vec![CipherSuite::GcmAes128];
    let mut lan = two(only, only);
    lan.run(20 * SECOND).unwrap();
    let (key, now) = (lan.agreed().unwrap(), lan.now());
    let kay = lan.stations[0].kay.as_mut().unwrap();
    kay.handle_next_pn(now, key, 1 << 32);
    let mut buffer = [0; 1514];
    let len = kay.poll_transmit(now + 3 * SECOND, &mut buffer).unwrap();
    let said = wire::Mkpdu::new_checked(&buffer[..len]).unwrap().sets().find_map(|set| match set {
        wire::ParameterSet::SakUse(said) => said,
        _ => None,
    });
    let said = said.unwrap();
    let used = [said.latest, said.old].into_iter().find(|used| (used.mi, used.kn) == (key.mi, key.kn));
    assert_eq!(used.unwrap().llpn, u32::MAX);
}

/// A station that restarts while its key server still hands out a SAK has used it: its former self is the live member,
/// and what it is now, a potential peer, does not take it.
#[test]
fn a_station_that_restarts_does_not_take_what_its_former_self_had() {
    let mut lan = three_without_xpn(4);
    lan.run(20 * SECOND).unwrap();
    let before = lan.agreed().unwrap();
    // It never says that it receives: the key is handed out until it does, and in use once the delay is over.
    lan.stations[1].mute = true;
    lan.rekey();
    lan.run(8 * SECOND).unwrap();
    let used = lan.stations[2].transmits().unwrap();
    assert_ne!(used, before);
    lan.start(2);
    for _ in 0..400 {
        lan.run(Time::from_millis(50)).unwrap();
        assert_ne!(lan.stations[2].transmits(), Some(used), "{}", lan.tale());
    }
    assert_eq!(lan.stations[2].transmits(), lan.stations[0].transmits(), "{}", lan.tale());
}

/// An AN comes around with every fourth key: what was said of the packet numbers of the one before is not said of it.
#[test]
fn packet_numbers_are_those_of_the_key_and_not_of_its_an() {
    let bounded = |config: &mut mka::Config| {
        (config.delay_protect, config.suites) = (true, vec![CipherSuite::GcmAes128]);
    };
    let mut lan = two(bounded, bounded);
    lan.run(20 * SECOND).unwrap();
    let before = lan.agreed().unwrap();
    for number in 0..2 {
        lan.use_up(number, 0xbfff_ffff);
    }
    for _ in 0..4 {
        lan.rekey();
        lan.run(20 * SECOND).unwrap();
    }
    let after = lan.agreed().unwrap();
    assert_eq!(after.kn, before.kn + 4, "{}", lan.tale());
    for number in 0..2 {
        assert_eq!(lan.stations[number].raised_to(), 1, "of the latest key nothing was sent\n{}", lan.tale());
    }
}

/// A key may take the AN of one that is still there, and that the SecY still says numbers of: they are not its own.
#[test]
fn packet_numbers_of_a_key_before_are_not_those_of_its_successor() {
    let bounded = |config: &mut mka::Config| {
        (config.delay_protect, config.suites) = (true, vec![CipherSuite::GcmAes128]);
    };
    let mut lan = two(bounded, bounded);
    // What it is told it does later, and meanwhile says what it said before.
    lan.stations[1].secy_delay = SECOND;
    lan.run(20 * SECOND).unwrap();
    for round in 0..8u64 {
        lan.use_up(1, 1_000_000 * (round + 1));
        // It begins with AN 0 again, whatever the other one has.
        lan.start(0);
        for _ in 0..300 {
            lan.run(Time::from_millis(100)).unwrap();
        }
        lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
        assert!(lan.stations[0].raised_to() < 1_000_000, "{}", lan.tale());
    }
}

/// Whoever becomes the key server does not wait for what it does not know of another one's key.
#[test]
fn a_new_key_server_does_not_wait_for_its_disk() {
    let mut lan = lan_of(3, 11);
    lan.run(20 * SECOND).unwrap();
    let before = lan.agreed().unwrap();
    lan.stations[1].claim_delay = Time::from_secs(1_000_000);
    lan.rekey();
    lan.run(SECOND).unwrap();
    let of = |lan: &Lan, number: usize| lan.stations[number].kay.as_ref().unwrap().status(lan.now());
    assert!(of(&lan, 0).sas.iter().any(|sa| sa.key != before), "{}", lan.tale());
    assert!(of(&lan, 1).sas.iter().all(|sa| sa.key == before), "{}", lan.tale());
    lan.stop(0);
    lan.run(30 * SECOND).unwrap();
    let after = lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
    assert_eq!(after.mi, of(&lan, 1).mi, "{}", lan.tale());
}

/// Keys that come to nothing use up ANs; the one that is transmitted under keeps its own.
#[test]
fn a_new_key_never_takes_the_an_that_is_in_use() {
    let mut lan = lan_of(3, 9);
    lan.run(40 * SECOND).unwrap();
    let before = lan.agreed().unwrap();
    // Nothing that is made now comes into use before the delay is over, and with each restart it is made anew.
    lan.stations[1].mute = true;
    lan.rekey();
    let made = lan.made;
    for _ in 0..8 {
        lan.start(2);
        for _ in 0..20 {
            lan.run(Time::from_millis(100)).unwrap();
            assert_eq!(lan.stations[0].transmits(), Some(before), "{}", lan.tale());
        }
    }
    assert!(lan.made > made + 4, "{}", lan.tale());
}

/// Whoever refuses a key for having used it is given another.
#[test]
fn a_refused_key_is_followed_by_another() {
    let mut lan = lan_of(2, 10);
    lan.stations[1].refuses = 1;
    lan.run(40 * SECOND).unwrap();
    assert_eq!(lan.stations[1].refuses, 0);
    let key = lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
    assert!(key.kn > 1);
}

/// Also where it is the key server that cannot use what it makes, as while its disk is full.
#[test]
fn a_key_server_that_refuses_its_own_keys_goes_on_making_others() {
    for refuses in 1..6 {
        let mut lan = lan_of(3, 10);
        lan.stations[0].refuses = refuses;
        lan.run(3 * SECOND).unwrap();
        let made = lan.made;
        assert!(made <= 2, "in no hurry: {made} keys\n{}", lan.tale());
        lan.run(40 * SECOND).unwrap();
        assert_eq!(lan.stations[0].refuses, 0, "{}", lan.tale());
        lan.agreed().unwrap_or_else(|why| panic!("{refuses}: {why}\n{}", lan.tale()));
        assert!(lan.made <= u64::from(refuses) + 2, "{}", lan.tale());
        assert_eq!(server(&lan, 0), Some(mka::Server::Me));
    }
}

/// A frame that is overtaken by its sender's new identifier takes a station back to the key before, and what it let go
/// for that is not taken again: it has to be given another.
#[test]
fn a_station_that_let_go_of_the_key_in_use_is_given_another() {
    let mut lan = two(|_| (), |_| ());
    lan.run(20 * SECOND).unwrap();
    // It stays where a key can still be let go of.
    lan.stations[1].mute = true;
    let (now, mut late) = (lan.now(), [0; 1514]);
    let kay = lan.stations[0].kay.as_mut().unwrap();
    let before = kay.status(now).sas[0].key;
    kay.rekey(now);
    let len = kay.poll_transmit(now, &mut late).unwrap();
    kay.handle_refused(now, KeyIdentifier { mi: before.mi, kn: before.kn + 1 });
    lan.run(SECOND).unwrap();
    let in_use = lan.stations[0].kay.as_ref().unwrap().status(lan.now()).sas[0].key;
    assert_ne!(in_use.mi, before.mi, "{}", lan.tale());
    lan.with(1, |kay, now| kay.handle_frame(now, &late[..len]).unwrap());
    lan.heal();
    lan.run(30 * SECOND).unwrap();
    let after = lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
    assert_eq!((after.mi, after.kn), (in_use.mi, in_use.kn + 1), "{}", lan.tale());
}

/// Two stations begin with one MI, each apart from the other, and each makes a key: both keys have one name then. Whoever
/// takes another MI lets go of its own, lest what is said of the other be taken for it.
#[test]
fn a_key_goes_with_the_member_identifier_that_names_it() {
    let mut lan = Lan::new(11);
    for number in 0..4 {
        lan.add(Lan::config(number + 1));
        lan.stations[usize::from(number)].mute = true;
    }
    let mi = [0x77; 12];
    for (number, mi, part) in [(0, Some(mi), 1), (1, None, 1), (2, Some(mi), 2), (3, None, 2)] {
        lan.start_as(number, mi);
        lan.move_to(number, part);
    }
    lan.run(2 * SECOND).unwrap();
    let both = KeyIdentifier { mi: MemberId(mi), kn: 1 };
    let keys = |lan: &Lan, number: usize| -> Vec<KeyIdentifier> {
        let status = lan.stations[number].kay.as_ref().unwrap().status(lan.now());
        status.sas.iter().map(|sa| sa.key).collect()
    };
    assert_eq!([0, 2].map(|number| keys(&lan, number)), [[both], [both]], "{}", lan.tale());
    let is_another =
        |lan: &Lan, number: usize| lan.stations[number].kay.as_ref().unwrap().status(lan.now()).mi != both.mi;
    (0..4).for_each(|number| lan.move_to(number, 0));
    let mut changed = 0;
    for _ in 0..100 {
        lan.run(Time::from_millis(30)).unwrap();
        for number in [0, 2].into_iter().filter(|number| is_another(&lan, *number)) {
            changed += 1;
            assert!(!keys(&lan, number).contains(&both), "{number}\n{}", lan.tale());
        }
    }
    assert_ne!(changed, 0, "{}", lan.tale());
    lan.heal();
    lan.run(PATIENCE).unwrap();
    lan.agreed().unwrap_or_else(|why| panic!("{why}\n{}", lan.tale()));
}

/// Of a packet number under XPN frames tell the low half: who begins with one that is far behind takes none.
#[test]
fn a_station_that_is_live_late_is_received_from_where_it_is() {
    let mut lan = three_without_xpn(5);
    lan.lose_from(1, 2, 100);
    lan.run(40 * SECOND).unwrap();
    let key = lan.stations[2].transmits().unwrap();
    assert_eq!(lan.stations[1].transmits(), Some(key));
    assert!(!lan.stations[1].receives(lan.stations[2].sci(), key), "{}", lan.tale());
    lan.use_up(2, 1 << 20);
    lan.heal();
    lan.run(10 * SECOND).unwrap();
    assert_eq!(lan.agreed(), Ok(key), "{}", lan.tale());
    assert!(lan.stations[1].raised_to() >= 1 << 20, "{}", lan.stations[1].raised_to());
}

/// A KaY by itself.
fn kay(lan: &mut Lan, number: u16, now: Time, set: impl Fn(&mut mka::Config)) -> mka::Kay {
    let mut random = lan.random().fork();
    let mut config = Lan::config(number);
    set(&mut config);
    mka::Kay::new(config, Box::new(move |octets: &mut [u8]| random.fill(octets)), now)
}

/// What it has to say, once it has done what there is to do; it is done at once.
fn speaks(kay: &mut mka::Kay, now: Time) -> Vec<Vec<u8>> {
    kay.handle_timeout(now);
    while kay.poll_event().is_some() {}
    while let Some(action) = kay.poll_action() {
        match action {
            mka::Action::Claim(key) => kay.handle_claimed(now, key.identifier),
            mka::Action::Confirm(done) => kay.handle_done(now, done),
            _ => {}
        }
    }
    let mut buffer = [0; 1514];
    let said = iter::from_fn(|| kay.poll_transmit(now, &mut buffer).map(|len| buffer[..len].to_vec()));
    said.collect()
}

/// Two KaYs that speak every 100 ms. Hands out each frame with its sender: 0 or 1.
fn talk(steps: u64, set: impl Fn(&mut mka::Config)) -> Vec<(usize, Vec<u8>)> {
    let mut lan = Lan::new(1);
    let mut kays: Vec<_> = (1..=2).map(|number| kay(&mut lan, number, Time::ZERO, &set)).collect();
    let mut said = Vec::new();
    for step in 0..steps {
        let now = Time::from_millis(100 * step);
        for number in 0..2 {
            for frame in speaks(&mut kays[number], now) {
                // Neither hears the other before each has spoken.
                if step > 0 {
                    kays[1 - number].handle_frame(now, &frame).unwrap();
                }
                said.push((number, frame));
            }
        }
    }
    said
}

/// Whoever kept the last MKPDU of a station from before it restarted cannot put it out with that.
#[test]
fn what_a_station_was_does_not_come_back() {
    let mut lan = Lan::new(2);
    let mut server = kay(&mut lan, 1, Time::ZERO, |_| ());
    let (mut kept, mut mis) = (Vec::new(), Vec::new());
    let mut step = 0;
    for _ in 0..2 {
        let mut station = kay(&mut lan, 2, Time::from_millis(100 * step), |_| ());
        for _ in 0..40 {
            step += 1;
            let now = Time::from_millis(100 * step);
            for frame in speaks(&mut server, now) {
                station.handle_frame(now, &frame).unwrap();
            }
            for frame in speaks(&mut station, now) {
                server.handle_frame(now, &frame).unwrap();
                kept.push(frame);
            }
            // All that was ever said, time and again.
            for frame in &kept {
                assert_eq!(server.handle_frame(now, frame), Err(mka::Ignored::Stale));
            }
        }
        mis.push(station.status(Time::ZERO).mi);
        let peers = server.status(Time::ZERO).peers;
        let peers: Vec<_> = peers.iter().map(|peer| (peer.mi, peer.live)).collect();
        assert_eq!(peers, [(mis[mis.len() - 1], true)]);
    }
    assert_ne!(mis[0], mis[1]);
}

/// Some peers elect those alone who say that they are key servers: so does everybody who knows of none that is better.
#[test]
fn whoever_knows_no_better_key_server_claims_to_be_one() {
    let said = talk(20, |_| ());
    let claims = |of: usize| {
        let pdus = said.iter().filter(move |(number, _)| *number == of);
        pdus.map(|(_, pdu)| wire::Mkpdu::new_checked(pdu).unwrap().basic().key_server).collect::<Vec<_>>()
    };
    assert!(claims(0).iter().all(|claims| *claims), "{:?}", claims(0));
    assert_eq!((claims(1).first(), claims(1).last()), (Some(&true), Some(&false)), "{:?}", claims(1));
}

/// Some peers reject a lowest packet number of zero under delay protection, and with it all of the MKPDU.
#[test]
fn with_delay_protection_no_lowest_packet_number_is_zero() {
    let mut seen = 0;
    for (_, frame) in talk(100, |config| config.delay_protect = true) {
        for set in wire::Mkpdu::new_checked(&frame).unwrap().sets() {
            if let wire::ParameterSet::SakUse(Some(said)) = set {
                assert!(said.delay_protect && said.latest.llpn > 0 && said.old.llpn > 0, "{said:?}");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "hellos come every 500 ms: {seen}");
}
