//! The frames that are sealed and opened, in buffers like a packet pool's.

use super::case::{Case, IMIX_PERIOD, Size};
use gcm::TAG_LEN;

/// Octets of a cache line.
const LINE: usize = 64;
/// Octets of a buffer, which begins with a cache line, before the frame: a pool's headroom, and as it comes.
const HEADROOM: usize = 128 + 2;
/// The most that the frames of a case touch, in octets, so that they stay in the second-level cache.
const MOST_OCTETS: usize = 256 * 1024;
/// Frames of a case at most and at least, but for whole bursts.
const FRAMES: std::ops::RangeInclusive<usize> = 32..=1024;

/// One frame in its buffer.
pub(crate) struct Frame<'a> {
    /// Which of the case's keys.
    pub(crate) key: usize,
    pub(crate) aad: &'a [u8],
    /// Payload and tag.
    pub(crate) body: &'a mut [u8],
}

impl Frame<'_> {
    /// AAD, payload and tag.
    #[inline(always)]
    pub(crate) fn parts(&mut self) -> (&[u8], &mut [u8], &mut [u8; TAG_LEN]) {
        match self.body.split_last_chunk_mut() {
            Some((payload, tag)) => (self.aad, payload, tag),
            None => unreachable!("every body has a tag"),
        }
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.body[..self.body.len() - TAG_LEN]
    }
}

/// The memory of a case's frames.
pub(crate) struct Pool {
    memory: Vec<u8>,
    /// Octets of payload of each frame.
    payloads: Vec<usize>,
    aad_len: usize,
    keys: usize,
}

impl Pool {
    /// As many frames as stay in the cache, in whole bursts and whole periods of a mix.
    pub(crate) fn new(case: &Case, burst: usize) -> Self {
        let aad_len = case.aad_len();
        let period = if case.size == Size::Imix { lcm(IMIX_PERIOD, burst) } else { burst };
        let sample = case.payloads().take(period);
        let touched: usize = sample.map(|payload| touched(aad_len + payload + TAG_LEN)).sum();
        let wanted = (MOST_OCTETS * period / touched).clamp(*FRAMES.start(), *FRAMES.end());
        let count = match wanted / period * period {
            fewer if FRAMES.contains(&fewer) => fewer,
            _ => wanted.next_multiple_of(period),
        };
        let payloads: Vec<usize> = case.payloads().take(count).collect();
        let len: usize = payloads.iter().map(|payload| buffer_len(aad_len + payload + TAG_LEN)).sum();
        // Any octets do as long as they are not all alike.
        let memory = (0..len + LINE).map(|i| ((i * 167) >> 3) as u8).collect();
        Pool { memory, payloads, aad_len, keys: case.keys }
    }

    /// Octets of payload of each frame.
    pub(crate) fn payloads(&self) -> &[usize] {
        &self.payloads
    }

    /// The frames, each in its buffer.
    pub(crate) fn frames(&mut self) -> Vec<Frame<'_>> {
        let start = self.memory.as_ptr().align_offset(LINE);
        let (mut rest, aad_len, keys) = (&mut self.memory[start..], self.aad_len, self.keys);
        let cut = self.payloads.iter().enumerate().map(|(i, payload)| {
            let body_len = payload + TAG_LEN;
            let (buffer, more) = std::mem::take(&mut rest).split_at_mut(buffer_len(aad_len + body_len));
            rest = more;
            let (aad, body) = buffer[HEADROOM..][..aad_len + body_len].split_at_mut(aad_len);
            Frame { key: i % keys, aad, body }
        });
        cut.collect()
    }
}

/// What a frame of `octets` touches, in octets of whole cache lines.
fn touched(octets: usize) -> usize {
    (HEADROOM % LINE + octets).next_multiple_of(LINE)
}

/// Octets of the buffer of a frame of `octets`: an odd number of cache lines, or only every other set of the cache
/// would be used.
fn buffer_len(octets: usize) -> usize {
    ((HEADROOM + octets).div_ceil(LINE) | 1) * LINE
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

/// The bodies of all frames as they were.
pub(crate) struct Snapshot(Vec<u8>);

impl Snapshot {
    pub(crate) fn take(frames: &[Frame<'_>]) -> Self {
        Snapshot(frames.iter().flat_map(|f| f.body.iter().copied()).collect())
    }

    /// Puts the bodies back.
    pub(crate) fn restore(&self, frames: &mut [Frame<'_>]) {
        let mut rest = &self.0[..];
        for frame in frames {
            let (body, more) = rest.split_at(frame.body.len());
            frame.body.copy_from_slice(body);
            rest = more;
        }
    }

    /// The body of each frame.
    pub(crate) fn bodies<'a>(&'a self, frames: &'a [Frame<'_>]) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = &self.0[..];
        frames.iter().map(move |frame| {
            let (body, more) = rest.split_at(frame.body.len());
            rest = more;
            body
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::Filter;
    use super::*;

    #[test]
    fn frames_fill_the_cache_and_no_more() {
        for case in Filter::default().cases() {
            for burst in [1, 7, 32, 64] {
                let mut pool = Pool::new(&case, burst);
                let count = pool.payloads().len();
                assert_eq!(count % burst, 0);
                assert!(count >= 32, "{case}: {count}");
                let octets: usize =
                    pool.payloads().iter().map(|p| touched(case.aad_len() + p + TAG_LEN)).sum();
                assert!(count <= 64 || count <= 1024 && octets <= MOST_OCTETS, "{case}: {count}, {octets}");
                let frames = pool.frames();
                assert_eq!(frames.len(), count);
                for (i, frame) in frames.iter().enumerate() {
                    assert_eq!(frame.aad.as_ptr().align_offset(LINE), LINE - HEADROOM % LINE);
                    assert_eq!((frame.aad.len(), frame.key), (case.aad_len(), i % case.keys));
                }
            }
        }
    }

    #[test]
    fn a_mix_is_in_whole_periods() {
        let cases = Filter { sizes: &[Size::Imix], ..Filter::default() }.cases();
        let pool = Pool::new(&cases[0], 32);
        assert_eq!(pool.payloads().len() % 96, 0);
        assert_eq!(pool.payloads().iter().filter(|p| **p == 1506).count() * 12, pool.payloads().len());
    }

    #[test]
    fn what_was_is_put_back() {
        let cases = Filter { sizes: &[Size::Imix], ..Filter::default() }.cases();
        let mut pool = Pool::new(&cases[0], 32);
        let mut frames = pool.frames();
        let before = Snapshot::take(&frames);
        frames.iter_mut().for_each(|f| f.body.fill(0xa5));
        before.restore(&mut frames);
        assert!(before.bodies(&frames).zip(&frames).all(|(body, frame)| body == &*frame.body));
        assert!(frames.iter().any(|f| f.payload().iter().any(|o| *o != 0xa5)));
    }
}
