//! Frames by somebody who wishes us ill.

use super::*;
use proptest::prelude::*;

/// Ways to spoil a frame.
#[derive(Clone, Debug)]
enum Spoil {
    Keep,
    Flip(usize),
    Cut(usize),
    Grow(usize),
    Tci(u8),
    ShortLength(u8),
    Pn(u32),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        Just(Spoil::Keep),
        (0usize..2000).prop_map(Spoil::Flip),
        (0usize..200).prop_map(Spoil::Cut),
        (1usize..100).prop_map(Spoil::Grow),
        any::<u8>().prop_map(Spoil::Tci),
        any::<u8>().prop_map(Spoil::ShortLength),
        any::<u32>().prop_map(Spoil::Pn),
    ]
}

fn apply(spoil: &Spoil, f: &mut Vec<u8>) {
    match *spoil {
        Spoil::Keep => {}
        Spoil::Flip(bit) => {
            let at = bit / 8 % f.len();
            f[at] ^= 1 << (bit % 8);
        }
        Spoil::Cut(to) => f.truncate(to),
        Spoil::Grow(by) => f.resize(f.len() + by, 0),
        Spoil::Tci(tci) => f[14] = tci,
        Spoil::ShortLength(sl) => f[15] = sl,
        Spoil::Pn(pn) => f[16..20].copy_from_slice(&pn.to_be_bytes()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever comes in: one counter a frame, and under strict validation only what was sent comes out.
    #[test]
    fn every_frame_ends_in_one_counter(
        suite in prop::sample::select(&CipherSuite::ALL),
        encrypt: bool,
        mode in prop::sample::select(&[ValidateFrames::Strict, ValidateFrames::Check, ValidateFrames::Disabled]),
        clear_vlan_tags in 0usize..3,
        frames in proptest::collection::vec((spoil(), 14usize..160), 1..MAX_BURST),
        noise in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..8),
    ) {
        let setup = Setup { encrypt, clear_vlan_tags, validate_frames: mode, ..Setup::with_suite(suite) };
        let plain: Vec<_> = frames.iter().map(|(_, len)| frame(*len)).collect();
        let mut sealed = protect(&mut setup.tx(), &plain);
        for (f, (s, _)) in sealed.iter_mut().zip(&frames) {
            apply(s, f);
        }
        sealed.extend(noise);
        sealed.truncate(MAX_BURST);
        let mut rx = setup.rx();
        let delivered = verify(&mut rx, &sealed);
        let counted: u64 = moved(&rx).iter().map(|(_, n)| n).sum();
        prop_assert_eq!(counted, sealed.len() as u64);
        if mode == ValidateFrames::Strict {
            prop_assert!(delivered.iter().all(|f| plain.contains(f)));
        }
    }

    #[test]
    fn protecting_anything_counts_it_once(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 0..MAX_BURST),
        clear_vlan_tags in 0usize..3,
    ) {
        let setup = Setup { clear_vlan_tags, ..Setup::default() };
        let mut tx = setup.tx();
        let sent = protect(&mut tx, &frames).len() as u64;
        let dropped: u64 = tx.counters().values().map(|(_, n)| n).sum();
        prop_assert_eq!(sent + dropped, frames.len() as u64);
    }
}
