use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// The tag of 802.1AE Annex C.1: integrity only, SCI present, AN 2, SL 42.
const ANNEX_C1: &str = "88e5222ab2c2846512153524c0895e81";

fn tag(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

#[test]
fn annex_c1_parses_and_emits_back() {
    let octets = tag(ANNEX_C1);
    let view = SecTag::new_checked(&octets).unwrap();
    let repr = SecTagRepr::parse(&view);
    assert_eq!(repr.an.as_u8(), 2);
    assert_eq!(repr.short_length.as_u8(), 42);
    assert_eq!(repr.pn, 0xb2c2_8465);
    assert_eq!(repr.sci, Some("12153524c0895e81".parse().unwrap()));
    assert!(repr.tci.has_sci() && !repr.tci.encrypted());
    let mut out = vec![0xa5; 20];
    assert!(repr.emit(&mut out));
    assert_eq!(&out[..16], &octets[..]);
    assert_eq!(&out[16..], &[0xa5; 4]);
    assert!(!repr.emit(&mut out[..15]));
}

#[test]
fn tag_without_sci_is_eight_octets() {
    let octets = tag("88e54c0500000001");
    let view = SecTag::new_checked(&octets).unwrap();
    assert_eq!(view.len(), 8);
    assert_eq!(view.sci(), None);
    assert!(view.tci().end_station() && view.tci().encrypted());
    let mut out = [0xa5; 8];
    assert!(SecTagRepr::parse(&view).emit(&mut out));
    assert_eq!(out, octets[..]);
}

#[test]
fn every_rule_of_clause_9_12_has_its_error() {
    let verdict = |hex| SecTag::new_checked(tag(hex)).map(|_| ());
    assert_eq!(verdict("88e5222ab2c284"), Err(Malformed::Truncated));
    assert_eq!(verdict("88e5222ab2c2846512153524c0895e"), Err(Malformed::Truncated));
    assert_eq!(verdict("88e4222ab2c2846512153524c0895e81"), Err(Malformed::NotMacsec(0x88e4)));
    assert_eq!(verdict("88e5a22ab2c2846512153524c0895e81"), Err(Malformed::Version));
    assert_eq!(verdict("88e5282ab2c2846512153524c0895e81"), Err(Malformed::EncryptionBits));
    assert_eq!(verdict("88e5242ab2c2846512153524c0895e81"), Err(Malformed::EncryptionBits));
    assert_eq!(verdict("88e5622ab2c2846512153524c0895e81"), Err(Malformed::SciConflict));
    assert_eq!(verdict("88e5322ab2c2846512153524c0895e81"), Err(Malformed::SciConflict));
    assert_eq!(verdict("88e52230b2c2846512153524c0895e81"), Err(Malformed::ShortLength(48)));
    assert_eq!(verdict("88e52240b2c2846512153524c0895e81"), Err(Malformed::ShortLength(64)));
    assert_eq!(verdict("88e5222fb2c2846512153524c0895e81"), Ok(()));
    assert_eq!(verdict("88e5500000000001"), Ok(()));
}

#[test]
fn short_length_says_where_the_icv_is() {
    assert_eq!(ShortLength::for_user_data(0).as_u8(), 0);
    assert_eq!(ShortLength::for_user_data(47).as_u8(), 47);
    assert_eq!(ShortLength::for_user_data(48).as_u8(), 0);
    assert_eq!(ShortLength(42).user_data_len(58), Ok(42));
    assert_eq!(ShortLength(42).user_data_len(64), Ok(42));
    assert_eq!(ShortLength(42).user_data_len(57), Err(Malformed::FrameTooShort { found: 57, needed: 58 }));
    assert_eq!(ShortLength(0).user_data_len(64), Ok(48));
    assert_eq!(ShortLength(0).user_data_len(63), Err(Malformed::FrameTooShort { found: 63, needed: 64 }));
}

proptest! {
    #[test]
    fn any_octets_parse_or_are_refused(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(view) = SecTag::new_checked(&octets) {
            let repr = SecTagRepr::parse(&view);
            let mut out = vec![0xa5; octets.len()];
            prop_assert!(repr.emit(&mut out));
            prop_assert_eq!(&out[..repr.buffer_len()], &octets[..repr.buffer_len()]);
        }
    }

    #[test]
    fn sl_and_length_agree(user_data in 0usize..9600, padding in 0usize..46) {
        let sl = ShortLength::for_user_data(user_data);
        let short = (1..SHORT_LIMIT).contains(&user_data);
        let after_tag = user_data + ICV_LEN + if short { padding } else { 0 };
        match sl.user_data_len(after_tag) {
            Ok(n) => prop_assert_eq!(n, user_data),
            Err(_) => prop_assert_eq!(user_data, 0),
        }
    }
}
