use crate::secret::Key;
use crate::{Cak, Ckn, Ick, Kek, Sak, Salt, UnwrapError};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::CipherSuite;

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 16), vec(any::<u8>(), 32)]
}

fn flip(octets: &mut [u8], bit: prop::sample::Index) {
    let bit = bit.index(octets.len() * 8);
    octets[bit / 8] ^= 1 << (bit % 8);
}

proptest! {
    #[test]
    fn what_was_wrapped_is_unwrapped(kek in key(), key in key()) {
        let kek = Kek(Key::from_octets(&kek).unwrap());
        let (sak, cak) = (Sak::from_octets(&key).unwrap(), Cak::from_octets(&key).unwrap());
        let wrapped = kek.wrap_sak(&sak);
        prop_assert_eq!(wrapped.as_ref().len(), key.len() + 8);
        prop_assert_eq!(kek.unwrap_sak(wrapped.as_ref()), Ok(sak));
        prop_assert_eq!(kek.unwrap_cak(kek.wrap_cak(&cak).as_ref()), Ok(cak));
    }

    #[test]
    fn what_was_changed_is_not(kek in key(), key in key(), bit: prop::sample::Index) {
        let kek = Kek(Key::from_octets(&kek).unwrap());
        let mut wrapped = kek.wrap_sak(&Sak::from_octets(&key).unwrap()).as_ref().to_vec();
        flip(&mut wrapped, bit);
        prop_assert_eq!(kek.unwrap_sak(&wrapped), Err(UnwrapError::Integrity));
        prop_assert_eq!(kek.unwrap_cak(&wrapped), Err(UnwrapError::Integrity));
    }

    #[test]
    fn any_octets_are_refused_in_peace(kek in key(), octets in vec(any::<u8>(), 0..80)) {
        let error = Kek(Key::from_octets(&kek).unwrap()).unwrap_sak(&octets).unwrap_err();
        let length = UnwrapError::Length { found: octets.len() };
        prop_assert_eq!(error, if [24, 40].contains(&octets.len()) { UnwrapError::Integrity } else { length });
    }

    #[test]
    fn an_icv_is_of_these_octets_alone(
        ick in key(),
        octets in vec(any::<u8>(), 1..200),
        at: prop::sample::Index,
        bit: prop::sample::Index,
    ) {
        let ick = Ick(Key::from_octets(&ick).unwrap());
        let icv = ick.icv(&[&octets]);
        let (head, tail) = octets.split_at(at.index(octets.len()));
        prop_assert!(ick.verify(&[head, tail], &icv));
        let mut changed = icv;
        flip(&mut changed, bit);
        prop_assert!(!ick.verify(&[&octets], &changed));
        let mut changed = octets.clone();
        flip(&mut changed, bit);
        prop_assert!(!ick.verify(&[&changed], &icv));
    }

    #[test]
    fn a_sak_depends_on_all_that_it_is_made_from(
        nonce in vec(any::<u8>(), 32),
        mis in vec(any::<[u8; 12]>(), 1..5),
        kn in 0..u32::MAX,
        bit: prop::sample::Index,
    ) {
        let cak = Cak::from_octets(&[1; 32]).unwrap();
        let sak = |nonce: &[u8], mis: &[[u8; 12]], kn| cak.derive_sak(CipherSuite::GcmAes256, nonce, mis, kn);
        let right = sak(&nonce, &mis, kn);
        prop_assert_ne!(&right, &sak(&nonce, &mis, kn + 1));
        let mut changed = nonce.clone();
        flip(&mut changed, bit);
        prop_assert_ne!(&right, &sak(&changed, &mis, kn));
        let mut changed = mis.clone();
        flip(changed.as_flattened_mut(), bit);
        prop_assert_ne!(&right, &sak(&nonce, &changed, kn));
    }

    #[test]
    fn salts_of_a_key_server_differ(mi: [u8; 12], a: u32, b: u32) {
        prop_assert_eq!(Salt::for_sak(mi, a) == Salt::for_sak(mi, b), a == b);
        prop_assert_eq!(Salt::for_sak(mi, 0).0, mi);
        prop_assert_eq!(&Salt::for_sak(mi, a).0[4..], &mi[4..]);
    }
}

#[test]
fn the_low_half_of_the_number_comes_first() {
    assert_eq!(Salt::for_sak([0; 12], 0x1122_3344).0[..6], [0x33, 0x44, 0x11, 0x22, 0, 0]);
}

#[test]
#[should_panic(expected = "octets of the nonce")]
fn a_nonce_shorter_than_the_sak_is_a_mistake_of_the_caller() {
    Cak::from_octets(&[1; 16]).unwrap().derive_sak(CipherSuite::GcmAes256, &[0; 16], &[], 1);
}

#[test]
fn derived_keys_say_nothing_of_themselves() {
    let ckn = Ckn::from_octets(b"name").unwrap();
    for (cak, bits) in [([0xab; 32].to_vec(), 256), ([0xab; 16].to_vec(), 128)] {
        let cak = Cak::from_octets(&cak).unwrap();
        assert_eq!(format!("{:?}", cak.ick(&ckn)), format!("Ick({bits} bits, redacted)"));
        assert_eq!(format!("{:?}", cak.kek(&ckn)), format!("Kek({bits} bits, redacted)"));
        let sak = cak.derive_sak(CipherSuite::GcmAes128, &[0; 16], &[], 1);
        assert_eq!(format!("{sak:?}"), "Sak(128 bits, redacted)");
        let file = crate::CakFile { cak, ckn: ckn.clone() };
        assert!(format!("{file:?}").contains("redacted") && !format!("{file:?}").contains("ab"), "{file:?}");
    }
}
