use super::*;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use proptest::prelude::*;

fn oracle(key: &[u8], nonce: &[u8; 12], aad: &[u8], msg: &[u8]) -> Vec<u8> {
    let payload = Payload { msg, aad };
    if key.len() == 16 {
        aes_gcm::Aes128Gcm::new_from_slice(key).unwrap().encrypt(nonce.into(), payload).unwrap()
    } else {
        aes_gcm::Aes256Gcm::new_from_slice(key).unwrap().encrypt(nonce.into(), payload).unwrap()
    }
}

/// A message and where it is cut into pieces.
#[derive(Clone, Debug)]
struct Message {
    key: usize,
    nonce: [u8; 12],
    aad: Vec<u8>,
    payload: Vec<u8>,
    cuts: Vec<usize>,
}

fn message() -> impl Strategy<Value = Message> {
    (
        0usize..4,
        any::<[u8; 12]>(),
        proptest::collection::vec(any::<u8>(), 0..80),
        proptest::collection::vec(any::<u8>(), 0..300),
        proptest::collection::vec(0usize..300, 0..5),
    )
        .prop_map(|(key, nonce, aad, payload, cuts)| Message { key, nonce, aad, payload, cuts })
}

fn pieces<'a>(mut octets: &'a mut [u8], cuts: &[usize]) -> Vec<&'a mut [u8]> {
    let mut out = Vec::new();
    for cut in cuts {
        let (a, b) = octets.split_at_mut(*cut % (octets.len() + 1));
        out.push(a);
        octets = b;
    }
    out.push(octets);
    out
}

fn keys() -> Vec<(Vec<u8>, Key)> {
    (0..4u8)
        .map(|i| {
            let octets = vec![i + 1; if i % 2 == 0 { 16 } else { 32 }];
            let key = Key::new(&octets).unwrap();
            (octets, key)
        })
        .collect()
}

fn run(messages: &mut [Message], tags: &mut [[u8; 16]], keys: &[(Vec<u8>, Key)], seal: bool) -> Verdicts {
    let mut burst = Burst::new();
    for (m, tag) in messages.iter_mut().zip(tags) {
        let Message { key, nonce, aad, payload, cuts } = m;
        if cuts.is_empty() {
            burst.push(&keys[*key].1, *nonce, aad, payload, tag).unwrap();
        } else {
            let (aad, payload) = (pieces(aad, cuts), pieces(payload, cuts));
            burst.push_scattered(&keys[*key].1, *nonce, aad, payload, tag).unwrap();
        }
    }
    let mut engine = Engine::new();
    if seal {
        engine.seal(&mut burst);
        Verdicts::default()
    } else {
        engine.open(&mut burst)
    }
}

proptest! {
    #[test]
    fn mixed_bursts_agree_with_the_oracle(plain in proptest::collection::vec(message(), 0..=16), spoil: prop::sample::Index) {
        let keys = keys();
        let mut sealed = plain.clone();
        let mut tags = vec![[0; 16]; plain.len()];
        run(&mut sealed, &mut tags, &keys, true);
        for ((p, s), tag) in plain.iter().zip(&sealed).zip(&tags) {
            let want = oracle(&keys[p.key].0, &p.nonce, &p.aad, &p.payload);
            prop_assert_eq!([&s.payload[..], tag].concat(), want);
        }
        // One tag is spoilt: that message alone fails, and keeps its ciphertext.
        let bad = (!plain.is_empty()).then(|| spoil.index(plain.len()));
        if let Some(bad) = bad {
            tags[bad][15] ^= 0x80;
        }
        let mut opened = sealed.clone();
        let verdicts = run(&mut opened, &mut tags, &keys, false);
        for (i, ((p, s), o)) in plain.iter().zip(&sealed).zip(&opened).enumerate() {
            prop_assert_eq!(verdicts.is_authentic(i), Some(i) != bad);
            prop_assert_eq!(&o.payload, if Some(i) == bad { &s.payload } else { &p.payload });
        }
        prop_assert!(!verdicts.is_authentic(plain.len()));
    }
}

#[test]
fn keys_have_16_or_32_octets() {
    for n in 0..64 {
        let made = Key::new(&vec![7; n]).map(|_| ());
        assert_eq!(made, if n == 16 || n == 32 { Ok(()) } else { Err(KeyLength(n)) });
    }
    assert_eq!(format!("{:?}", Key::new(&[7; 16]).unwrap()), "Key(redacted)");
}

#[test]
fn a_full_burst_refuses_and_stays_as_it_was() {
    let key = Key::new(&[1; 16]).unwrap();
    let mut tags = [[0u8; 16]; MAX_BURST + 1];
    let mut burst = Burst::new();
    let [tags @ .., last] = &mut tags;
    for tag in tags {
        burst.push(&key, [0; 12], &[], &mut [], tag).unwrap();
    }
    assert_eq!(burst.push_scattered(&key, [0; 12], [], [&mut [][..], &mut []], last), Err(Full));
    assert_eq!(burst.len(), MAX_BURST);
    assert!(burst.segments.is_empty());
}
