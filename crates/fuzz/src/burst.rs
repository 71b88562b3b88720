//! Bursts of an input for AES-GCM, in memory that shows where they were written.

use crate::Input;
use gcm::{Burst, Full, Key, MAX_BURST, NONCE_LEN, TAG_LEN};
use std::ops::Range;

/// Octets of the longest payload and AAD that are likely.
const LONG: usize = 9700;
/// Octets up to which the x86 back ends take a message whole.
const PART: usize = 254 * 16;
/// Operations that are tried: a few more than there is room for.
const TRIED: usize = MAX_BURST + 2;

/// What an input says of a message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Which of the keys.
    pub key: usize,
    /// Never the same twice in a burst.
    pub nonce: [u8; NONCE_LEN],
    /// What is only authenticated.
    pub aad: Vec<u8>,
    /// What is encrypted.
    pub payload: Vec<u8>,
    /// Comes with the ciphertext.
    pub tag: [u8; TAG_LEN],
    spoil: Spoil,
    /// Pieces of AAD and of payload; otherwise in one piece.
    scattered: Option<[usize; 2]>,
    /// Where it is cut and what is between, as far as chance has it.
    seed: u64,
}

/// What of a sealed message is to be changed before it is opened.
#[derive(Clone, Copy, Debug)]
enum Spoil {
    Nothing,
    Tag(usize),
    Payload(usize),
    Aad(usize),
}

/// Splitmix64: octets enough to fill messages, which say nothing to a fuzzer.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// So many octets of a seed's own.
pub fn octets(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut octets: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| random(&mut state).to_le_bytes()).collect();
    octets.truncate(len);
    octets
}

/// A length of a message, likely one beside which something changes.
fn length(input: &mut Input<'_>) -> usize {
    let (kind, number) = (input.octet(), usize::from(input.short()));
    let around =
        |step: usize, most: usize| (number / 3 % (most / step + 1) * step + number % 3).saturating_sub(1);
    match kind % 8 {
        0 => number % (LONG + 1),
        1 => number % 160,
        2 => around(16, 600),
        3 => around(64, 2100),
        4 => around(512, LONG),
        5 => around(16, LONG),
        6 => (around(PART, 2 * PART) + usize::from(kind & 8) * 2).saturating_sub(16 * (number % 5)),
        _ => [0, 12, 20, 28, 48, 112, 242, 1500][number % 8],
    }
}

impl Message {
    /// Reads what an input asks for, up to a few messages more than a burst holds.
    pub fn read_all(input: &mut Input<'_>) -> Vec<Self> {
        let keys = input.pick(&[1, 2, 4, usize::MAX]);
        let mut messages = Vec::new();
        while !input.is_empty() && messages.len() < TRIED {
            let how = input.octet();
            let key = usize::from(input.octet()) % keys;
            let lengths = [length(input), length(input)];
            let spoil = match how & 7 {
                1 => Spoil::Tag(input.short().into()),
                2 => Spoil::Payload(input.short().into()),
                3 => Spoil::Aad(input.short().into()),
                _ => Spoil::Nothing,
            };
            let scattered = (how & 0x18 == 0x18).then(|| [0; 2].map(|_| usize::from(input.octet() % 20)));
            let alike = if how & 0x20 != 0 { usize::from(input.octet()) % TRIED } else { 1 };
            for _ in 0..alike.min(TRIED - messages.len()) {
                let seed = messages.len() as u64;
                let mut nonce = [how; NONCE_LEN];
                nonce[4..].copy_from_slice(&seed.to_be_bytes());
                messages.push(Message {
                    key,
                    nonce,
                    aad: octets(!seed, lengths[0]),
                    payload: octets(seed, lengths[1]),
                    tag: [0; TAG_LEN],
                    // Of messages that are alike, every other one.
                    spoil: if seed.is_multiple_of(2) || alike == 1 { spoil } else { Spoil::Nothing },
                    scattered,
                    seed: seed << 8 | u64::from(how),
                });
            }
        }
        messages
    }

    /// Changes a bit of a sealed message, if the input says so. Says whether it did.
    pub fn spoil(&mut self) -> bool {
        let (octets, at) = match self.spoil {
            Spoil::Nothing => return false,
            Spoil::Payload(at) if !self.payload.is_empty() => (&mut self.payload[..], at),
            Spoil::Aad(at) if !self.aad.is_empty() => (&mut self.aad[..], at),
            Spoil::Tag(at) | Spoil::Payload(at) | Spoil::Aad(at) => (&mut self.tag[..], at),
        };
        octets[at / 8 % octets.len()] ^= 1 << (at % 8);
        true
    }
}

/// Where a message's pieces are in a [`Room`].
#[derive(Clone, Debug)]
struct Place {
    aad: Vec<Range<usize>>,
    payload: Vec<Range<usize>>,
    tag: Range<usize>,
}

/// Memory in which messages lie, at any alignment, with octets between them that must stay as they are.
#[derive(Clone, Debug)]
pub struct Room {
    /// Messages and what is between them.
    pub octets: Vec<u8>,
    places: Vec<Place>,
}

impl Room {
    /// Lays out messages. Equal inputs make equal rooms.
    pub fn of(messages: &[Message]) -> Self {
        let mut end = 0;
        let places = messages.iter().map(|m| Place::of(m, &mut end)).collect();
        // Unlike what is in any message, and nowhere zero for long.
        let mut room = Room { octets: octets(u64::MAX / 3, end + 64), places };
        room.write(messages);
        room
    }

    fn write(&mut self, messages: &[Message]) {
        for (place, message) in self.places.iter().zip(messages) {
            for (ranges, from) in [(&place.aad, &message.aad), (&place.payload, &message.payload)] {
                let mut from = &from[..];
                for range in ranges {
                    let (now, later) = from.split_at(range.len());
                    self.octets[range.clone()].copy_from_slice(now);
                    from = later;
                }
            }
            self.octets[place.tag.clone()].copy_from_slice(&message.tag);
        }
    }

    /// A message's payload and tag as they are now.
    pub fn read(&self, index: usize) -> (Vec<u8>, [u8; TAG_LEN]) {
        let place = &self.places[index];
        let payload = place.payload.iter().flat_map(|r| &self.octets[r.clone()]).copied().collect();
        (payload, self.octets[place.tag.clone()].try_into().expect("the length of a tag"))
    }

    /// Makes a burst of the messages here, whose keys `key` gives, and hands out which are in it: all but those that
    /// found no room.
    pub fn burst<'a, 'k: 'a>(
        &'a mut self,
        messages: &[Message],
        key: impl Fn(usize) -> &'k Key,
    ) -> (Burst<'a>, Vec<usize>) {
        let (mut burst, mut pushed) = (Burst::new(), Vec::new());
        let mut pieces = Pieces { rest: &mut self.octets, at: 0 };
        for (index, (place, message)) in self.places.iter().zip(messages).enumerate() {
            let mut aad: Vec<_> = place.aad.iter().map(|r| pieces.take(r)).collect();
            let mut payload: Vec<_> = place.payload.iter().map(|r| pieces.take(r)).collect();
            let tag = pieces.take(&place.tag).try_into().expect("the length of a tag");
            let (key, before) = (key(index), burst.len());
            let result = match message.scattered {
                Some(_) => burst.push_scattered(key, message.nonce, aad, payload, tag),
                None => burst.push(key, message.nonce, aad.remove(0), payload.remove(0), tag),
            };
            assert!(burst.len() == before + usize::from(result.is_ok()) && burst.len() <= MAX_BURST);
            match result {
                Ok(()) => pushed.push(index),
                Err(Full) => assert!(before == MAX_BURST || message.scattered.is_some()),
            }
        }
        (burst, pushed)
    }
}

impl Place {
    fn of(message: &Message, end: &mut usize) -> Self {
        let mut state = message.seed;
        let mut place = |len: usize| {
            let start = *end + 16 + (random(&mut state) % 65) as usize;
            *end = start + len;
            start..*end
        };
        let [aad, payload] = message.scattered.unwrap_or([1, 1]);
        let mut cuts = message.seed;
        let mut scatter = |mut len: usize, pieces: usize| -> Vec<Range<usize>> {
            // None at all is for what is empty; the last piece takes what is left.
            let pieces = if len == 0 { pieces } else { pieces.max(1) };
            (1..=pieces)
                .map(|n| {
                    // Blocks, short ones, or nothing among them.
                    let cut = random(&mut cuts) as usize;
                    let cut = [cut % 20, cut % 4 * 16, cut % 600][cut / 600 % 3].min(len);
                    let now = if n == pieces { len } else { cut };
                    len -= now;
                    place(now)
                })
                .collect()
        };
        let (aad, payload) = (scatter(message.aad.len(), aad), scatter(message.payload.len(), payload));
        Place { aad, payload, tag: place(TAG_LEN) }
    }
}

/// Memory of which pieces are handed out in order.
struct Pieces<'a> {
    rest: &'a mut [u8],
    at: usize,
}

impl<'a> Pieces<'a> {
    fn take(&mut self, range: &Range<usize>) -> &'a mut [u8] {
        let (_, later) = std::mem::take(&mut self.rest).split_at_mut(range.start - self.at);
        let (now, later) = later.split_at_mut(range.len());
        (self.rest, self.at) = (later, range.end);
        now
    }
}
