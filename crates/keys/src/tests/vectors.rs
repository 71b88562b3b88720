use super::{json, list, octets};
use crate::hierarchy::kdf;
use crate::secret::Key;
use crate::{Cak, Ckn, Ick, Kek, UnwrapError};
use serde_json::Value;
use wire::CipherSuite;

#[test]
fn annex_g() {
    let file = json(include_str!("../../../testkit/data/ieee8021x_annexG_mka_kdf.json"));
    let mut seen = Vec::new();
    for v in list(&file, "vectors") {
        let [key, context, expected] = ["key", "context", "expected"].map(|field| octets(v, field));
        let label = v["label_ascii"].as_str().unwrap();
        let raw = Key::from_octets(&key).unwrap();
        let derived = match v["out_bits"].as_u64().unwrap() {
            128 => kdf::<16>(&raw, label, &[&context]).to_vec(),
            256 => kdf::<32>(&raw, label, &[&context]).to_vec(),
            bits => panic!("{bits} bits"),
        };
        assert_eq!(derived, expected, "{}", v["id"]);

        let what = v["what"].as_str().unwrap();
        let cak = Cak::from_octets(&key).unwrap();
        let ckn = || Ckn::from_octets(&context).unwrap();
        match what {
            "KDF" => {}
            "KEK" => assert_eq!(cak.kek(&ckn()).0.octets(), expected),
            "ICK" => assert_eq!(cak.ick(&ckn()).0.octets(), expected),
            "SAK" => assert_eq!(sak(&cak, &context, expected.len()), expected),
            other => panic!("{other}"),
        }
        seen.push(what.to_owned());
    }
    assert_eq!(seen, ["KDF", "KDF", "KEK", "KEK", "ICK", "ICK", "SAK", "SAK"]);
}

/// The SAK for a context of nonce, members and number.
fn sak(cak: &Cak, context: &[u8], len: usize) -> Vec<u8> {
    let suite = if len == 32 { CipherSuite::GcmAesXpn256 } else { CipherSuite::GcmAes128 };
    let (nonce, rest) = context.split_at(len);
    let (members, rest) = rest.as_chunks::<12>();
    assert_eq!(members.len(), 2);
    let number = u32::from_be_bytes(rest.try_into().unwrap());
    cak.derive_sak(suite, nonce, members, number).octets().to_vec()
}

fn tests(file: &Value) -> impl Iterator<Item = &Value> {
    list(file, "testGroups").iter().flat_map(|group| list(group, "tests"))
}

#[test]
fn wycheproof_cmac() {
    let file = json(include_str!("../../../testkit/data/wycheproof/aes_cmac_test.json"));
    let [mut valid, mut invalid, mut no_key] = [0; 3];
    for v in tests(&file) {
        let [key, msg, tag] = ["key", "msg", "tag"].map(|field| octets(v, field));
        let Ok(key) = Key::from_octets(&key) else {
            // AES-192 is sound, and not for MKA.
            assert!(key.len() == 24 || v["result"] == "invalid", "{v}");
            no_key += 1;
            continue;
        };
        let ick = Ick(key);
        let right = v["result"] == "valid";
        let tag: [u8; 16] = tag.try_into().unwrap();
        let (head, tail) = msg.split_at(msg.len() / 3);
        for parts in [&[&msg[..]][..], &[head, tail], &[&[], head, &[], tail]] {
            assert_eq!(ick.verify(parts, &tag), right, "{v}");
            assert_eq!(ick.icv(parts) == tag, right, "{v}");
        }
        *(if right { &mut valid } else { &mut invalid }) += 1;
    }
    assert_eq!([valid, invalid, no_key], [42, 162, 107]);
}

#[test]
fn wycheproof_key_wrap() {
    let file = json(include_str!("../../../testkit/data/wycheproof/aes_wrap_test.json"));
    let [mut valid, mut invalid, mut no_key] = [0; 3];
    for v in tests(&file) {
        let [kek, msg, wrapped] = ["key", "msg", "ct"].map(|field| octets(v, field));
        let Ok(kek) = Key::from_octets(&kek) else {
            no_key += 1;
            continue;
        };
        let kek = Kek(kek);
        let right = v["result"] == "valid";
        let of_macsec = [24, 40].contains(&wrapped.len());

        // What leaves this crate.
        match (kek.unwrap_sak(&wrapped), kek.unwrap_cak(&wrapped)) {
            (Ok(sak), Ok(cak)) => {
                assert!(right && of_macsec, "{v}");
                assert_eq!(sak.octets(), msg, "{v}");
                assert_eq!(kek.wrap_sak(&sak).as_ref(), wrapped, "{v}");
                assert_eq!(kek.wrap_cak(&cak).as_ref(), wrapped, "{v}");
            }
            (Err(error), Err(same)) => {
                assert!(!right || !of_macsec, "{v}");
                let length = UnwrapError::Length { found: wrapped.len() };
                assert_eq!(error, if of_macsec { UnwrapError::Integrity } else { length }, "{v}");
                assert_eq!(error, same);
            }
            differ => panic!("{v}: {differ:?}"),
        }

        // What it stands on, in which also other lengths are keys. A block alone and nothing at all, which RFC 3394
        // does not define, are left to the lengths above.
        let mut out = vec![0xa5; wrapped.len().saturating_sub(8)];
        let unwrapped = kek.unwrap_octets(&wrapped, &mut out);
        if right {
            unwrapped.unwrap();
            assert_eq!(out, msg, "{v}");
            let mut again = vec![0xa5; wrapped.len()];
            kek.wrap_octets(&msg, &mut again).unwrap();
            assert_eq!(again, wrapped, "{v}");
            valid += 1;
        } else if v["flags"][0] != "ShortKey" && v["flags"][0] != "EmptyKey" {
            unwrapped.unwrap_err();
            assert!(out.iter().all(|o| [0, 0xa5].contains(o)), "{v}");
            invalid += 1;
        }
    }
    assert_eq!([valid, invalid, no_key], [24, 80, 55]);
}

/// No published vector covers these; the formula written out does.
#[test]
fn keys_of_an_eap_session() {
    let msk: Vec<u8> = (0..64).collect();
    let [low, high] = [[2, 0, 0, 0, 1, 1], [2, 0, 0, 0, 2, 1]];
    for (long, bits) in [(false, [0x00, 0x80]), (true, [0x01, 0x00])] {
        let len = if long { 32 } else { 16 };
        let key = Ick(Key::from_octets(&msk[..len]).unwrap());
        let both = [low, high].concat();
        let block = |i: u8, label: &[u8], context: &[u8], bits: [u8; 2]| {
            key.icv(&[&[i], b"IEEE8021 EAP ", label, &[0], context, &bits])
        };

        let cak = Cak::from_msk(&msk, long, [low, high]).unwrap();
        let blocks = [block(1, b"CAK", &both, bits), block(2, b"CAK", &both, bits)].concat();
        assert_eq!(cak.octets(), &blocks[..len]);
        assert_eq!(cak, Cak::from_msk(&msk[..len], long, [high, low]).unwrap());

        let session = [&[0x0d][..], &[7; 64]].concat();
        let ckn = Ckn::from_msk(&msk, long, &session, [high, low]).unwrap();
        assert_eq!(ckn.octets(), block(1, b"CKN", &[session, both].concat(), [0x00, 0x80]));

        let error = Cak::from_msk(&msk[..len - 1], long, [low, high]).unwrap_err();
        assert_eq!((error.found, error.needed), (len - 1, len));
        assert_eq!(Ckn::from_msk(&[], long, &[], [low, high]).unwrap_err().found, 0);
    }
}

#[test]
fn names_shorter_than_16_octets_are_padded_and_longer_ones_cut() {
    let cak = Cak::from_octets(&[3; 16]).unwrap();
    let kek = |ckn: &[u8]| cak.kek(&Ckn::from_octets(ckn).unwrap()).0.octets().to_vec();
    assert_eq!(kek(b"name"), kek(b"name\0\0\0\0\0\0\0\0\0\0\0\0"));
    assert_eq!(kek(&[7; 16]), kek(&[7; 32]));
    assert_ne!(kek(&[7; 16]), kek(&[7; 15]));
}
