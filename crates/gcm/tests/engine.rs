//! The engine, on every back end that the CPU has, beside an independent implementation. As users see it, so that its code
//! is compiled once.
#![allow(clippy::unwrap_used)]

use aes_gcm::aead::{Aead, KeyInit, Payload};
use gcm::{Backend, Burst, Engine, Full, Key, KeyLength, MAX_BURST, MAX_SEGMENTS, Verdicts};
use proptest::prelude::*;
use proptest::sample::select;
use std::ops::Range;

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

fn keys(backend: Backend) -> Vec<(Vec<u8>, Key)> {
    (0..4u8)
        .map(|i| {
            let octets = vec![i + 1; if i % 2 == 0 { 16 } else { 32 }];
            let key = Key::with_backend(backend, &octets).unwrap();
            (octets, key)
        })
        .collect()
}

fn run(
    engine: &mut Engine,
    messages: &mut [Message],
    tags: &mut [[u8; 16]],
    keys: &[(Vec<u8>, Key)],
    seal: bool,
) -> Verdicts {
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
    if seal {
        engine.seal(&mut burst);
        Verdicts::default()
    } else {
        engine.open(&mut burst)
    }
}

proptest! {
    #[test]
    fn mixed_bursts_agree_with_the_oracle(backend in select(back_ends().collect::<Vec<_>>()), plain in proptest::collection::vec(message(), 0..=16), spoil: prop::sample::Index) {
        let (keys, mut engine) = (keys(backend), Engine::new());
        let mut sealed = plain.clone();
        let mut tags = vec![[0; 16]; plain.len()];
        run(&mut engine, &mut sealed, &mut tags, &keys, true);
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
        let verdicts = run(&mut engine, &mut opened, &mut tags, &keys, false);
        for (i, ((p, s), o)) in plain.iter().zip(&sealed).zip(&opened).enumerate() {
            prop_assert_eq!(verdicts.is_authentic(i), Some(i) != bad);
            if Some(i) == bad {
                prop_assert!(o.payload == s.payload || o.payload.iter().all(|b| *b == 0), "plaintext left behind");
            } else {
                prop_assert_eq!(&o.payload, &p.payload);
            }
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

    // The first piece takes no room. What was refused takes none either.
    let mut tags = [[0u8; 16]; 3];
    let sizes = [(MAX_SEGMENTS + 2, Err(Full)), (MAX_SEGMENTS + 1, Ok(())), (2, Err(Full))];
    let mut octets = sizes.map(|(pieces, _)| vec![[0u8; 1]; pieces]);
    let mut burst = Burst::new();
    for (((_, expected), octets), tag) in sizes.iter().zip(&mut octets).zip(&mut tags) {
        let pieces = octets.iter_mut().map(|octet| &mut octet[..]);
        assert_eq!(burst.push_scattered(&key, [0; 12], [], pieces, tag), *expected);
    }
    assert_eq!(burst.len(), 1);
}

#[test]
fn what_is_appended_one_by_one_is_sealed_with_the_rest() {
    let key = Key::new(&[1; 16]).unwrap();
    let seal = |append: bool| {
        let mut messages: Vec<_> = (0..MAX_BURST as u8 + 1).map(|n| ([n; 70], [0u8; 16])).collect();
        let mut burst = Burst::new();
        let (first, rest) = messages.split_at_mut(if append { 5 } else { MAX_BURST + 1 });
        let mut all = (0u8..).map(|n| ([n; 12], if usize::from(n) < MAX_BURST { Ok(()) } else { Err(Full) }));
        for ((octets, tag), (nonce, expected)) in first.iter_mut().zip(&mut all) {
            assert_eq!(burst.push(&key, nonce, &[], octets, tag), expected);
        }
        let mut append = burst.append();
        for ((octets, tag), (nonce, expected)) in rest.iter_mut().zip(all) {
            assert_eq!(append.push(&key, nonce, &[], octets, tag), expected);
        }
        drop(append);
        assert_eq!(burst.len(), MAX_BURST);
        Engine::new().seal(&mut burst);
        drop(burst);
        messages
    };
    let (appended, pushed) = (seal(true), seal(false));
    assert!(appended == pushed && appended[63].0 != [63; 70] && appended[64].0 == [64; 70]);
}

#[test]
#[cfg(target_pointer_width = "64")]
fn messages_of_2_gib_are_refused() {
    let key = Key::new(&[1; 16]).unwrap();
    // Nobody writes there, so that it takes no memory.
    let mut octets = vec![0; 1 << 31];
    for (len, expected) in [(octets.len() - 1, Ok(())), (octets.len(), Err(Full))] {
        let mut tag = [0; 16];
        assert_eq!(Burst::new().push(&key, [0; 12], &octets[..len], &mut [], &mut tag), expected);
        assert_eq!(Burst::new().push(&key, [0; 12], &[], &mut octets[..len], &mut tag), expected);
        for of_aad in [true, false] {
            let (a, b) = octets[..len].split_at_mut(7);
            let (aad, payload) = if of_aad { (vec![a, b], vec![]) } else { (vec![], vec![a, b]) };
            let mut burst = Burst::new();
            assert_eq!(burst.push_scattered(&key, [0; 12], aad, payload, &mut tag), expected);
            assert_eq!(burst.len(), usize::from(expected.is_ok()));
        }
    }
}

/// A message of its own for each pair of lengths.
fn numbered(key: usize, aad: usize, payload: usize) -> Message {
    let octets = |n: usize, seed: usize| (0..n).map(|i| (i * 7 + seed * 13 + (i >> 8)) as u8).collect();
    let mut nonce = [0x5a; 12];
    nonce[4..].copy_from_slice(&((aad << 20 | payload) as u64).to_be_bytes());
    Message { key, nonce, aad: octets(aad, payload), payload: octets(payload, aad), cuts: Vec::new() }
}

/// Seals, compares with the oracle, opens, spoils, and looks that no plaintext is left.
fn check(engine: &mut Engine, plain: &[Message], keys: &[(Vec<u8>, Key)]) {
    let mut sealed = plain.to_vec();
    let mut tags = vec![[0; 16]; plain.len()];
    run(engine, &mut sealed, &mut tags, keys, true);
    for ((p, s), tag) in plain.iter().zip(&sealed).zip(&tags) {
        let want = oracle(&keys[p.key].0, &p.nonce, &p.aad, &p.payload);
        let lengths = (p.aad.len(), p.payload.len());
        assert!(s.payload == want[..p.payload.len()], "ciphertext of {lengths:?}");
        assert!(tag[..] == want[p.payload.len()..], "tag of {lengths:?}");
    }
    let mut opened = sealed.clone();
    let verdicts = run(engine, &mut opened, &mut tags, keys, false);
    for (i, (p, o)) in plain.iter().zip(&opened).enumerate() {
        assert!(verdicts.is_authentic(i) && p.payload == o.payload, "{:?}", (p.aad.len(), p.payload.len()));
    }
    let mut opened = sealed.clone();
    tags.iter_mut().for_each(|t| t[3] ^= 4);
    let verdicts = run(engine, &mut opened, &mut tags, keys, false);
    for (i, (s, o)) in sealed.iter().zip(&opened).enumerate() {
        assert!(!verdicts.is_authentic(i));
        assert!(o.payload == s.payload || o.payload.iter().all(|b| *b == 0), "plaintext left behind");
    }
}

#[test]
fn every_payload_length() {
    for backend in back_ends() {
        let (keys, mut engine) = (keys(backend), Engine::new());
        let lengths = (0..=2100).chain((2100..9700).step_by(89)).chain(4000..4200);
        // The last piece of a long frame has few registers, at the end of one of several.
        let lengths: Vec<_> = lengths.chain((4200..4600).step_by(7)).chain((8150..8700).step_by(7)).collect();
        for (n, chunk) in lengths.chunks(31).enumerate() {
            for key in 0..2 {
                let aads = [28, 20, 12, 0, 58, 78, 48, 49, 64, 65, 112, 113];
                let messages = chunk.iter().enumerate().map(|(i, len)| {
                    // The usual AAD for half of them, and all lengths of AAD in turn.
                    numbered(key, if i % 2 == 0 { 28 } else { aads[(i + n) % aads.len()] }, *len)
                });
                check(&mut engine, &messages.collect::<Vec<_>>(), &keys);
            }
        }
    }
}

#[test]
fn every_length_of_aad() {
    for backend in back_ends() {
        let (keys, mut engine) = (keys(backend), Engine::new());
        let lengths: Vec<_> = (0..=2200).chain((2200..9700).step_by(97)).collect();
        for chunk in lengths.chunks(MAX_BURST) {
            for payload in [0, 1, 48, 64, 200] {
                check(
                    &mut engine,
                    &chunk.iter().map(|aad| numbered(payload % 2, *aad, payload)).collect::<Vec<_>>(),
                    &keys,
                );
            }
        }
    }
}

/// What is tested. For Miri those in registers of one block are the same code, but in which functions it is, and nothing of
/// the portable one is unsafe.
fn back_ends() -> impl Iterator<Item = Backend> {
    Backend::available().filter(|backend| !cfg!(miri) || !["aesni", "portable"].contains(&backend.name()))
}

/// Little enough for Miri, which runs it: one piece and several, both lengths of key, a block and more, nothing.
#[test]
fn a_small_burst() {
    for backend in back_ends() {
        let lengths = [(0, 28, 48), (1, 3, 17), (2, 0, 0), (2, 20, 33), (0, 12, 16)];
        let mut plain = lengths.map(|(key, aad, payload)| numbered(key, aad, payload));
        plain[1].cuts = vec![1, 0, 9];
        check(&mut Engine::new(), &plain, &keys(backend));
    }
}

/// Short messages that are alike, then others: some lengths are known from the burst before, some are not. For Miri too.
#[test]
fn a_burst_that_changes() {
    for backend in back_ends() {
        let (keys, mut engine) = (keys(backend), Engine::new());
        for odd in [1, 17, 33] {
            let mut plain = vec![numbered(0, 28, 16); 5];
            plain.extend([numbered(2, 28, 16), numbered(0, 20, odd), numbered(0, 28, 16)]);
            plain.extend(vec![numbered(0, 5, 0); 4]);
            check(&mut engine, &plain, &keys);
        }
    }
}

/// Messages of one key and the same lengths, no two of them the same.
fn alike(key: usize, aad: usize, payload: usize, numbers: Range<u8>) -> Vec<Message> {
    let message = |number: u8| {
        let mut message = numbered(key, aad, payload);
        message.nonce[0] = number;
        let octets = message.aad.iter_mut().chain(&mut message.payload);
        octets.for_each(|octet| *octet ^= number.wrapping_mul(0x9d) ^ 0x31);
        message
    };
    numbers.map(message).collect()
}

/// Seals, spoils those tags that `bad` has a bit for, and looks that these alone are found, and leave nothing.
fn check_forged(engine: &mut Engine, plain: &[Message], keys: &[(Vec<u8>, Key)], bad: u64) {
    let (mut sealed, mut tags) = (plain.to_vec(), vec![[0; 16]; plain.len()]);
    run(engine, &mut sealed, &mut tags, keys, true);
    let is_bad = |i: usize| bad >> i & 1 == 1;
    for (i, tag) in tags.iter_mut().enumerate().filter(|(i, _)| is_bad(*i)) {
        tag[i % 16] ^= 1 << (i % 8);
    }
    let mut opened = sealed.clone();
    let verdicts = run(engine, &mut opened, &mut tags, keys, false);
    for (i, ((p, s), o)) in plain.iter().zip(&sealed).zip(&opened).enumerate() {
        let lengths = (p.aad.len(), p.payload.len());
        assert_eq!(verdicts.is_authentic(i), !is_bad(i), "{i} of {lengths:?}, {bad:b}");
        if is_bad(i) {
            assert!(o.payload == s.payload || o.payload.iter().all(|b| *b == 0), "{i} of {lengths:?}");
        } else {
            assert!(o.payload == p.payload, "{i} of {lengths:?}, {bad:b}");
        }
    }
}

/// Messages that are alike take paths of their own: what is computed for one is kept for the next.
#[test]
fn uniform_bursts() {
    for backend in back_ends() {
        let (keys, mut engine) = (keys(backend), Engine::new());
        let long = [(28, 1500), (28, 4032), (28, 4033), (0, 4064), (28, 9000)];
        let short = [(28, 48), (28, 112), (28, 242), (76, 0), (104, 0), (1528, 0), (58, 20)];
        for (aad, payload) in short.into_iter().chain(long) {
            for count in [1, 2, 3, 4, 5, 63, 64] {
                check(&mut engine, &alike(1, aad, payload, 0..count), &keys);
            }
        }
    }
}

/// All numbers of registers, with as many in the last batch as there can be; AAD that fills registers and that does not.
/// Lengths that are new are planned for, those that are known are not.
#[test]
fn uniform_bursts_of_every_number_of_blocks() {
    for backend in back_ends() {
        let keys = keys(backend);
        for blocks in 0..=100 {
            for (cut, aad) in [(0, 28), (5, 28), (0, 20), (11, 64), (0, 76), (3, 160)] {
                let payload = (16usize * blocks).saturating_sub(cut);
                for key in 0..2 {
                    let mut engine = Engine::new();
                    check(&mut engine, &alike(key, aad, payload, 0..9), &keys);
                    check(&mut engine, &alike(key, aad, payload, 9..23), &keys);
                }
            }
        }
    }
}

/// Some that are not authentic, among those that are.
#[test]
fn forged_ones_among_others_that_are_alike() {
    for backend in back_ends() {
        let (keys, mut engine) = (keys(backend), Engine::new());
        let lengths =
            [(28, 48), (28, 112), (28, 242), (76, 242), (28, 498), (28, 1010), (28, 1130), (28, 1500)];
        // Room for J0 or none, the last register full or not, of one register to three.
        let short = [16, 60, 64, 80, 120, 128, 150, 176].map(|payload| (28, payload));
        for (aad, payload) in lengths.into_iter().chain(short).chain([(76, 0), (104, 0), (1528, 0)]) {
            for key in 0..2 {
                let plain = alike(key, aad, payload, 0..14);
                for bad in (0..14).map(|i| 1 << i).chain([0x0f, 0xf0, 0x1009, 0x3fff]) {
                    check_forged(&mut engine, &plain, &keys, bad);
                }
            }
        }
    }
}

/// Runs of messages that are alike after each other and among others, of keys in turns, and beside one in pieces.
#[test]
fn runs_of_messages_that_are_alike() {
    for backend in back_ends() {
        let (keys, mut engine) = (keys(backend), Engine::new());
        for long in [1450, 562, 498, 242, 112] {
            let mut plain = alike(0, 28, long, 0..1);
            plain.extend(alike(2, 28, long, 1..10));
            plain.extend(alike(2, 28, long - 50, 10..18));
            plain.extend(alike(0, 20, 20, 18..21));
            plain.extend(alike(0, 28, 300, 21..26));
            plain.extend((26..38).flat_map(|n| alike(usize::from(n % 2) * 2, 28, long, n..n + 1)));
            plain.extend((38..52).flat_map(|n| alike(0, 28, 40 * usize::from(n), n..n + 1)));
            // What was learnt of the lengths changes the way.
            for _ in 0..2 {
                check(&mut engine, &plain, &keys);
                check_forged(&mut engine, &plain, &keys, 0x9_2040_8102_0411);
            }
            plain[30].cuts = vec![7, 0, 9];
            check(&mut engine, &plain, &keys);
        }
    }
}

#[test]
fn back_ends_side_by_side() {
    // Two keys of each, and some of them again after the others.
    let keys: Vec<_> = back_ends().flat_map(|backend| keys(backend).into_iter().step_by(2)).collect();
    let which = (0..keys.len()).cycle().take(12).zip(0u8..);
    assert!(keys.len() < 12);
    let plain: Vec<_> = which.flat_map(|(key, n)| alike(key, 28, 242, 5 * n..5 * n + 5)).collect();
    check(&mut Engine::new(), &plain, &keys);
}

/// Little enough for Miri: a few registers, with AAD that fills some and that does not.
#[test]
fn a_small_row() {
    for backend in back_ends() {
        for (aad, payload) in [(20, 80), (76, 80), (116, 80)] {
            check(&mut Engine::new(), &alike(0, aad, payload, 0..5), &keys(backend));
        }
    }
}

/// Little enough for Miri, too, of the first back end: one, two, four and five registers of two blocks, full and not, with
/// room for J0 and without, and none to three blocks of AAD beside.
#[test]
fn a_few_short_fours() {
    let keys = keys(Backend::available().next().unwrap());
    for (aad, payload) in [(16, 1), (33, 17), (48, 31), (64, 48), (17, 49), (48, 128), (16, 145)] {
        check(&mut Engine::new(), &alike(payload % 4, aad, payload, 0..4), &keys);
    }
}

#[test]
fn short_fours_of_every_length() {
    for backend in back_ends() {
        let (keys, mut engine) = (keys(backend), Engine::new());
        for aad in [1, 15, 16, 17, 28, 32, 33, 48, 49, 64, 78, 80, 81, 95, 96, 97] {
            for payload in 1..=200 {
                check(&mut engine, &alike((aad + payload) % 4, aad, payload, 0..8), &keys);
            }
        }
    }
}

/// Places of those that are alike do not follow each other.
#[test]
fn forged_ones_of_several_lengths_in_turn() {
    for backend in back_ends() {
        let (keys, mut engine) = (keys(backend), Engine::new());
        for kinds in [
            [(28, 48), (28, 62), (20, 100)],
            [(28, 16), (40, 130), (28, 151)],
            [(16, 33), (28, 80), (28, 300)],
        ] {
            let in_turn = (0..30).zip(kinds.into_iter().cycle());
            let plain: Vec<_> =
                in_turn.flat_map(|(n, (aad, payload))| alike(0, aad, payload, n..n + 1)).collect();
            check(&mut engine, &plain, &keys);
            for bad in [1, 1 << 29, 0x1249_2492, 0x2aaa_5555, 0x3fff_ffff] {
                check_forged(&mut engine, &plain, &keys, bad);
            }
        }
    }
}

/// Messages that end right before a page that cannot be read, or begin right behind one.
#[test]
fn nothing_outside_the_message_is_touched() {
    use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
    const PAGE: usize = 4096;
    const ROOM: usize = 4 * PAGE;
    let (size, rw) = (ROOM + 2 * PAGE, ProtFlags::READ | ProtFlags::WRITE);
    // SAFETY: a fresh mapping that nothing else knows of; its outer pages are made inaccessible before use.
    let room = unsafe {
        let start = mmap_anonymous(std::ptr::null_mut(), size, rw, MapFlags::PRIVATE).unwrap();
        mprotect(start, PAGE, MprotectFlags::empty()).unwrap();
        mprotect(start.byte_add(PAGE + ROOM), PAGE, MprotectFlags::empty()).unwrap();
        std::slice::from_raw_parts_mut(start.byte_add(PAGE).cast::<u8>(), ROOM)
    };
    for backend in back_ends() {
        let keys = keys(backend);
        // J0 leads with the last block of AAD, which may be the first one, too, and short.
        let short = (1..=16).flat_map(|n| [(n, 16), (n, 48)]);
        let lengths = (0..=300).map(|n| (28, n)).chain((0..=200).map(|n| (n, 0))).chain([(28, 9000)]);
        let aads = [17, 31, 32, 33, 80, 81, 96, 97];
        let more = aads.into_iter().flat_map(|n| [16, 48, 60, 64, 112, 128, 176].map(|payload| (n, payload)));
        for (aad_len, payload_len) in lengths.chain(short).chain(more) {
            for at_end in [false, true] {
                // One alone, and one of several that are alike.
                for (which, count) in
                    [1, 4, 8].into_iter().flat_map(|count| [(0, count), (1, count), (2, count)])
                {
                    // One of AAD, payload and tag touches the edge of the room; the others are elsewhere.
                    let plain = numbered(which % 2, aad_len, payload_len);
                    let Message { mut aad, mut payload, .. } = plain.clone();
                    let mut tag = [0; 16];
                    let mut others = vec![(payload.clone(), tag); count - 1];
                    let place = (aad_len + payload_len) % count;
                    let len = [aad_len, payload_len, 16][which];
                    let at = if at_end { ROOM - len } else { 0 };
                    let edge = &mut room[at..at + len];
                    let mut engine = Engine::new();
                    for seal in [true, false] {
                        let key = &keys[plain.key].1;
                        let authentic = {
                            let mut burst = Burst::new();
                            let (before, after) = others.split_at_mut(place);
                            for (payload, tag) in before {
                                burst.push(key, plain.nonce, &plain.aad, payload, tag).unwrap();
                            }
                            match which {
                                0 => {
                                    edge.copy_from_slice(&aad);
                                    burst.push(key, plain.nonce, &*edge, &mut payload, &mut tag).unwrap();
                                }
                                1 => {
                                    edge.copy_from_slice(&payload);
                                    burst.push(key, plain.nonce, &aad, &mut *edge, &mut tag).unwrap();
                                }
                                _ => {
                                    edge.copy_from_slice(&tag);
                                    let edge = edge.first_chunk_mut().unwrap();
                                    burst.push(key, plain.nonce, &aad, &mut payload, edge).unwrap();
                                }
                            }
                            for (payload, tag) in after {
                                burst.push(key, plain.nonce, &plain.aad, payload, tag).unwrap();
                            }
                            // The second time the shape is known.
                            if seal {
                                engine.seal(&mut burst);
                                count
                            } else {
                                let verdicts = engine.open(&mut burst);
                                (0..count).filter(|i| verdicts.is_authentic(*i)).count()
                            }
                        };
                        match which {
                            0 => aad.copy_from_slice(edge),
                            1 => payload.copy_from_slice(edge),
                            _ => tag.copy_from_slice(edge),
                        }
                        let name = backend.name();
                        assert!(authentic == count, "{name} {aad_len} {payload_len} {which} {count}");
                    }
                    assert!(payload == plain.payload && aad == plain.aad);
                    assert!(others.iter().all(|(payload, _)| *payload == plain.payload));
                }
            }
        }
    }
    // SAFETY: the mapping from above, of which no slice is used any more.
    unsafe { munmap(room.as_mut_ptr().byte_sub(PAGE).cast(), size).unwrap() };
}

/// Wycheproof's AES-GCM and GMAC vectors with nonces of 96 bits and full tags.
#[test]
fn wycheproof() {
    let aead: serde_json::Value =
        serde_json::from_str(include_str!("../data/wycheproof_aes_gcm.json")).unwrap();
    let gmac: serde_json::Value =
        serde_json::from_str(include_str!("../data/wycheproof_aes_gmac.json")).unwrap();
    let groups = |file: &serde_json::Value| file["testGroups"].as_array().unwrap().clone();
    for backend in back_ends() {
        let mut tested = 0;
        for group in groups(&aead).iter().chain(&groups(&gmac)) {
            if group["ivSize"] != 96 || group["tagSize"] != 128 || group["keySize"] == 192 {
                continue;
            }
            for test in group["tests"].as_array().unwrap() {
                let field = |name: &str| hex::decode(test[name].as_str().unwrap()).unwrap();
                let key = Key::with_backend(backend, &field("key")).unwrap();
                let nonce: [u8; 12] = field("iv").try_into().unwrap();
                // GMAC's message is what is only authenticated.
                let is_gmac = test["aad"].is_null();
                let aad = field(if is_gmac { "msg" } else { "aad" });
                let (msg, ct) = if is_gmac { Default::default() } else { (field("msg"), field("ct")) };
                let mut tag: [u8; 16] = field("tag").try_into().unwrap();
                let mut payload = ct.clone();
                let authentic = {
                    let mut burst = Burst::new();
                    burst.push(&key, nonce, &aad, &mut payload, &mut tag).unwrap();
                    Engine::new().open(&mut burst).is_authentic(0)
                };
                let valid = test["result"] == "valid";
                assert_eq!(authentic, valid, "{} {}", backend.name(), test["tcId"]);
                if valid {
                    assert_eq!(payload, msg);
                    {
                        let mut burst = Burst::new();
                        burst.push(&key, nonce, &aad, &mut payload, &mut tag).unwrap();
                        Engine::new().seal(&mut burst);
                    }
                    assert_eq!((payload, tag.to_vec()), (ct, field("tag")));
                }
                tested += 1;
            }
        }
        assert!(tested > 100, "{tested}");
    }
}

#[test]
fn back_ends_by_name() {
    assert_eq!(Backend::from_name("portable"), Ok(Backend::PORTABLE));
    for backend in Backend::available() {
        assert_eq!(Backend::from_name(backend.name()), Ok(backend));
    }
    for name in ["vaes512", "vaes256", "aesni-avx", "aesni"] {
        if let Err(error) = Backend::from_name(name) {
            // Past what the test harness keeps to itself.
            use std::io::Write;
            writeln!(std::io::stderr(), "skipped: everything of {name}: {error}").unwrap();
        }
    }
    let error = Backend::from_name("fast").unwrap_err().to_string();
    assert!(error.contains("\"fast\"") && error.contains("portable"), "{error}");
}

#[test]
fn hints_neither_fault_nor_change_anything() {
    let octets: Vec<u8> = (0..400).map(|at| at as u8).collect();
    let before = octets.clone();
    for (from, to) in (0..130).flat_map(|from| [from, from + 1, from + 64, 400].map(|to| (from, to))) {
        gcm::prefetch(&octets[from..to]);
        gcm::prefetch_to_write(&octets[from..to]);
        gcm::leave_to_all(&octets[from..to]);
    }
    assert_eq!(octets, before);
    // Where nothing is mapped.
    gcm::prefetch(&[0u64; 0]);
    gcm::prefetch_to_write(&[0u64; 0]);
    gcm::leave_to_all(&[0u64; 0]);
    gcm::leave_to_all::<[u8]>(&[]);
}
