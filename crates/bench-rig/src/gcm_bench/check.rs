//! Whoever is wrong is not measured.

use super::case::Case;
use super::contender::{Contender, Kind};
use super::frames::{Frame, Snapshot};
use anyhow::{Result, bail};
use gcm::Backend;

/// The packet number of the first frame wherever frames have to be the same.
pub(crate) const FIRST_PN: u32 = 1;

/// Seals all frames, burst by burst, and says what the next packet number is.
#[inline(always)]
pub(crate) fn seal_all(
    contender: &mut dyn Contender,
    frames: &mut [Frame<'_>],
    burst: usize,
    first: u32,
) -> u32 {
    let mut pn = first;
    for frames in frames.chunks_mut(burst) {
        contender.seal(frames, pn);
        pn = pn.wrapping_add(frames.len() as u32);
    }
    pn
}

/// Opens all frames, burst by burst, and says how many were authentic.
#[inline(always)]
pub(crate) fn open_all(contender: &mut dyn Contender, frames: &mut [Frame<'_>], burst: usize) -> usize {
    let (mut pn, mut authentic) = (FIRST_PN, 0);
    for frames in frames.chunks_mut(burst) {
        authentic += contender.open(frames, pn);
        pn = pn.wrapping_add(frames.len() as u32);
    }
    authentic
}

/// The frames of a case before and after they are sealed, as the portable back end does it.
pub(crate) struct Reference {
    plain: Snapshot,
    pub(crate) sealed: Snapshot,
}

impl Reference {
    pub(crate) fn new(case: &Case, keys: &[Vec<u8>], frames: &mut [Frame<'_>], burst: usize) -> Self {
        let plain = Snapshot::take(frames);
        let mut portable = Kind::Ours(Backend::PORTABLE).with_keys(case.suite, keys);
        seal_all(&mut *portable, frames, burst, FIRST_PN);
        let sealed = Snapshot::take(frames);
        plain.restore(frames);
        Reference { plain, sealed }
    }

    /// Holds a contender's work on every frame against the portable back end's.
    ///
    /// # Errors
    /// Names the first frame that differs.
    pub(crate) fn check(
        &self,
        name: &str,
        contender: &mut dyn Contender,
        frames: &mut [Frame<'_>],
        burst: usize,
    ) -> Result<()> {
        self.plain.restore(frames);
        seal_all(contender, frames, burst, FIRST_PN);
        let wrong = self.sealed.bodies(frames).zip(&*frames).position(|(right, frame)| right != &*frame.body);
        if let Some(frame) = wrong {
            bail!("{name} seals frame {frame} otherwise than the portable back end");
        }
        let authentic = open_all(contender, frames, burst);
        if authentic != frames.len() {
            bail!("{name} takes only {authentic} of {} frames for authentic", frames.len());
        }
        let wrong = self.plain.bodies(frames).zip(&*frames).position(|(right, frame)| {
            let payload = frame.payload();
            right[..payload.len()] != *payload
        });
        if let Some(frame) = wrong {
            bail!("{name} opens frame {frame} to something other than its plaintext");
        }
        self.sealed.restore(frames);
        for (i, frame) in frames.iter_mut().enumerate() {
            let (_, _, tag) = frame.parts();
            tag[i / 8 % tag.len()] ^= 1 << (i % 8);
        }
        match open_all(contender, frames, burst) {
            0 => Ok(()),
            accepted => bail!("{name} takes {accepted} frames with a bit of the tag flipped for authentic"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::{Filter, Size};
    use super::super::frames::Pool;
    use super::*;

    /// The portable back end, but for one mistake.
    struct Faulty(Box<dyn Contender>, Fault);

    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        Ciphertext,
        Plaintext,
        Rejects,
        Accepts,
    }

    impl Contender for Faulty {
        fn seal(&mut self, frames: &mut [Frame<'_>], first: u32) {
            self.0.seal(frames, first);
            if self.1 == Fault::Ciphertext {
                frames[3].body[0] ^= 1;
            }
        }

        fn open(&mut self, frames: &mut [Frame<'_>], first: u32) -> usize {
            let authentic = self.0.open(frames, first);
            match self.1 {
                Fault::Plaintext => frames[3].body[0] ^= 1,
                Fault::Rejects => return authentic.saturating_sub(1),
                Fault::Accepts => return frames.len(),
                _ => {}
            }
            authentic
        }
    }

    #[test]
    fn mistakes_are_found() {
        for size in [Size::Octets(48), Size::Imix] {
            let case = Filter { sizes: &[size], ..Filter::default() }.cases()[0];
            let keys = vec![vec![1; 16]];
            let mut pool = Pool::new(&case, 8);
            let mut frames = pool.frames();
            let reference = Reference::new(&case, &keys, &mut frames, 8);
            for (fault, says) in [
                (Fault::None, None),
                (Fault::Ciphertext, Some("x seals frame 3 otherwise")),
                (Fault::Plaintext, Some("x opens frame 3 to something other")),
                (Fault::Rejects, Some("x takes only")),
                (Fault::Accepts, Some("flipped for authentic")),
            ] {
                let portable = Kind::Ours(Backend::PORTABLE).with_keys(case.suite, &keys);
                let found = reference.check("x", &mut Faulty(portable, fault), &mut frames, 8);
                match (found.map_err(|e| e.to_string()), says) {
                    (Ok(()), None) => {}
                    (Err(said), Some(says)) => assert!(said.contains(says), "{said}"),
                    (found, _) => panic!("{says:?}: {found:?}"),
                }
            }
        }
    }
}
