//! Peers that write MKPDUs as deployed implementations do.

#![allow(clippy::unwrap_used, missing_docs)]

use mka::Time;
use testkit::{Lan, Quirk};
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
