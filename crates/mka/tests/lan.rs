//! Stations on a simulated LAN.

#![allow(clippy::unwrap_used, missing_docs)]

use mka::Time;
use testkit::{Faults, Lan};
use wire::CipherSuite;

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

/// Whatever happens to a LAN, when it stops they agree.
fn storm(seed: u64) -> Result<(), String> {
    let mut lan = Lan::new(seed);
    let stations = *[2, 2, 2, 3, 3, 4, 6].get(lan.random().usize(0..7)).unwrap();
    let xpn = lan.random().bool();
    let equal = lan.random().bool();
    for number in 0..stations {
        let mut config = Lan::config(number as u16 + 1);
        config.suites = vec![if xpn { CipherSuite::GcmAesXpn128 } else { CipherSuite::GcmAes128 }];
        config.priority = if equal { 255 } else { lan.random().u8(..) };
        config.version = if lan.random().u8(0..4) == 0 { 1 } else { 3 };
        config.icv_indicator = lan.random().bool();
        config.delay_protect = lan.random().u8(0..4) == 0;
        config.rekey_period = lan.random().bool().then(|| Time::from_secs(lan.random().u64(8..60)));
        let number = lan.add(config);
        // Some begin with one identifier.
        let mi = (lan.random().u8(0..4) == 0).then_some([9; 12]);
        lan.start_as(number, mi);
    }
    let loss = *[0, 5, 20, 40].get(lan.random().usize(0..4)).unwrap();
    let delay = *[1, 50, 700].get(lan.random().usize(0..3)).unwrap();
    lan.set_faults(Faults { loss, duplicates: loss, delay: Time::from_millis(delay) });
    for _ in 0..lan.random().usize(0..12) {
        let time = Time::from_millis(lan.random().u64(0..20_000));
        lan.run(time)?;
        let one = lan.random().usize(0..stations);
        match lan.random().u8(0..6) {
            0 => lan.stop(one),
            1 => lan.start(one),
            2 => lan.move_to(one, 1),
            3 => lan.move_to(one, 0),
            4 => lan.rekey(),
            _ => {}
        }
    }
    lan.heal();
    for number in 0..stations {
        if lan.stations[number].kay.is_none() {
            lan.start(number);
        }
    }
    lan.run(PATIENCE)?;
    // Keys may just be changing: they agree before long, and go on agreeing.
    let mut why = String::new();
    for _ in 0..12 {
        match lan.agreed() {
            Ok(_) => return Ok(()),
            Err(not) => why = not,
        }
        lan.run(SECOND)?;
    }
    Err(format!("{why}\n{}", lan.tale()))
}

#[test]
fn storms_pass() {
    let (first, runs) = match std::env::var("MKA_SEED") {
        Ok(seed) => (seed.parse().unwrap(), 1),
        Err(_) => (0, std::env::var("MKA_RUNS").map_or(1000, |runs| runs.parse().unwrap())),
    };
    for seed in first..first + runs {
        if let Err(wrong) = storm(seed) {
            panic!("MKA_SEED={seed} shows it again: {wrong}");
        }
    }
}
