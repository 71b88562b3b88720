//! Any burst to AES-GCM: all back ends seal it alike, open what is authentic and nothing else, and touch no octet
//! around it.
#![no_main]
#![forbid(unsafe_code)]

use fuzz::{Input, Message, Room};
use gcm::{Backend, Engine, Key, MAX_BURST};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const KEYS: usize = 16;

/// The keys of each back end, the portable one first.
static KEYS_OF: LazyLock<Vec<(&str, Vec<Key>)>> = LazyLock::new(|| {
    let mut backends: Vec<_> = Backend::available().collect();
    backends.reverse();
    assert_eq!(backends[0], Backend::PORTABLE);
    let key = |n: usize| fuzz::octets(!(n as u64), if n.is_multiple_of(2) { 16 } else { 32 });
    let expand = |b, n| Key::with_backend(b, &key(n)).expect("a length of a key");
    backends.into_iter().map(|b| (b.name(), (0..KEYS).map(|n| expand(b, n)).collect())).collect()
});

fuzz_target!(|octets: &[u8]| {
    let mut input = Input::new(octets);
    let stride = usize::from(input.octet());
    let plain = Message::read_all(&mut input);
    let mut engine = Engine::new();

    let mut sealed = plain.clone();
    let mut room = Room::of(&plain);
    let pushed = {
        let (mut burst, pushed) = room.burst(&plain, |i| &KEYS_OF[0].1[plain[i].key % KEYS]);
        engine.seal(&mut burst);
        pushed
    };
    pushed.iter().for_each(|i| (sealed[*i].payload, sealed[*i].tag) = room.read(*i));

    let mut offered = sealed.clone();
    let spoiled: Vec<bool> = offered.iter_mut().map(Message::spoil).collect();

    // After each of the back ends, keys of all of them in one burst.
    for turn in 0..=KEYS_OF.len() {
        let name = KEYS_OF.get(turn).map_or("mixed", |(name, _)| name);
        let key = |i: usize| {
            let which = if turn < KEYS_OF.len() { turn } else { (i * stride + i / 3) % KEYS_OF.len() };
            &KEYS_OF[which].1[plain[i].key % KEYS]
        };

        let mut room = Room::of(&plain);
        engine.seal(&mut room.burst(&plain, key).0);
        assert_room(name, "sealed", &room, &Room::of(&sealed), &plain);

        let mut room = Room::of(&offered);
        let verdicts = engine.open(&mut room.burst(&offered, key).0);
        let mut expected = offered.clone();
        for (place, &i) in pushed.iter().enumerate() {
            assert!(verdicts.is_authentic(place) != spoiled[i], "{name}, verdict of {:?}", shape(&plain[i]));
            if !spoiled[i] {
                expected[i].payload.clone_from(&plain[i].payload);
            } else if room.read(i).0.iter().all(|octet| *octet == 0) {
                expected[i].payload.fill(0);
            }
        }
        assert!((pushed.len()..=MAX_BURST).all(|place| !verdicts.is_authentic(place)));
        assert_room(name, "opened", &room, &Room::of(&expected), &plain);
    }
});

/// What of a message to tell of.
fn shape(message: &Message) -> (usize, usize, usize) {
    (message.key % KEYS, message.aad.len(), message.payload.len())
}

/// Fails where a message, or what is around it, is not as expected.
fn assert_room(name: &str, done: &str, room: &Room, expected: &Room, messages: &[Message]) {
    if room.octets == expected.octets {
        return;
    }
    let wrong = (0..messages.len()).find(|i| room.read(*i) != expected.read(*i));
    let shapes: Vec<_> = messages.iter().map(shape).collect();
    let what = wrong.map_or("around the messages".to_owned(), |i| format!("message {i}"));
    panic!("{name} {done} wrong: {what}; key, AAD, payload: {shapes:?}");
}
