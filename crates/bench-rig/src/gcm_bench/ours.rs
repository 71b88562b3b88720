//! Our own back ends, driven as the SecY drives them.

use super::contender::{Contender, nonce};
use super::frames::Frame;
use gcm::{Backend, Burst, Engine, Key, MAX_BURST};

/// An engine, and keys for one back end.
pub(crate) struct Ours {
    engine: Engine,
    keys: Vec<Key>,
}

impl Ours {
    pub(crate) fn new(backend: Backend, keys: &[Vec<u8>]) -> Self {
        Ours { engine: Engine::new(), keys: keys.iter().map(|k| key(backend, k)).collect() }
    }
}

pub(crate) fn key(backend: Backend, octets: &[u8]) -> Key {
    match Key::with_backend(backend, octets) {
        Ok(key) => key,
        Err(e) => unreachable!("{e}"),
    }
}

/// Appends the frames to a burst, which is filled where it is: it is large, and moving it takes longer than a frame.
#[inline(always)]
fn push_all<'a>(burst: &mut Burst<'a>, keys: &'a [Key], frames: &'a mut [Frame<'_>], first: u32) {
    assert!(frames.len() <= MAX_BURST);
    let mut pn = first;
    for frame in frames {
        let key = &keys[frame.key];
        let (aad, payload, tag) = frame.parts();
        let pushed = burst.push(key, nonce(pn), aad, payload, tag);
        debug_assert!(pushed.is_ok());
        pn = pn.wrapping_add(1);
    }
}

impl Contender for Ours {
    fn seal(&mut self, frames: &mut [Frame<'_>], first: u32) {
        let mut burst = Burst::new();
        push_all(&mut burst, &self.keys, frames, first);
        self.engine.seal(&mut burst);
    }

    fn open(&mut self, frames: &mut [Frame<'_>], first: u32) -> usize {
        let mut burst = Burst::new();
        push_all(&mut burst, &self.keys, frames, first);
        let verdicts = self.engine.open(&mut burst);
        (0..burst.len()).filter(|i| verdicts.is_authentic(*i)).count()
    }
}
