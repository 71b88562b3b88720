//! Bursts whose owner gives frames room and packet numbers, and leaves their octets to whoever seals them.

use super::{ADDRESSES, SciMode, TxSecY, Usual, usual_lengths};
use crate::batch::Work;
use crate::plan::Plan;
use crate::pn::{NonceBase, Numbers};
use crate::sa::TxSa;
use crate::{Burst, FrameBuf, MAX_BURST};
use gcm::Engine;
use wire::{An, ICV_LEN};

/// What is to be written to the frames of a burst. Its packet numbers are lost with it.
pub(crate) struct Unwritten {
    usual: Usual,
    /// Octets of the SecTAG: 8 or 16.
    tag_len: u8,
    nonce: NonceBase,
    numbers: Numbers,
}

impl TxSecY {
    /// The first pass over a burst of frames that all get a SecTAG right behind their addresses. `false`, changing nothing,
    /// where one is otherwise, or where there are too few packet numbers.
    #[inline(always)]
    pub(super) fn leave_unwritten<F: FrameBuf>(
        &mut self,
        an: An,
        frames: &mut Burst<F>,
        work: &mut Work<F>,
    ) -> bool {
        let TxSecY { config, sas, .. } = self;
        let tag_len = match (config.clear_vlan_tags, config.sci_mode) {
            (0, SciMode::Explicit) => 16,
            (0, SciMode::Implicit) => 8,
            _ => return false,
        };
        let lengths = usual_lengths(config, tag_len);
        let are_usual = frames.iter().all(|f| lengths.contains(&f.len()) && f.has_room(tag_len, ICV_LEN));
        let Some(sa) = sas[an.index()].as_deref_mut().filter(|_| are_usual) else { return false };
        let TxSa { key, nonce, offset, pn, .. } = sa;
        let Some(numbers) = pn.give_away(frames.len()) else { return false };
        let Work { plan, sent, unwritten, .. } = work;
        plan.have_keys(std::iter::once(&*key));
        (sent.an, sent.next_pn) = (Some(an), pn.next());
        sent.kept = u64::MAX >> (MAX_BURST - frames.len());
        for mut frame in frames.drain(..) {
            sent.octets += (frame.len() - ADDRESSES) as u64;
            frame.grow(tag_len, ICV_LEN);
            plan.take_one(frame);
        }
        let usual = Usual::new(config, an, *offset);
        *unwritten = Some(Unwritten { usual, tag_len: tag_len as u8, nonce: *nonce, numbers });
        true
    }
}

impl Unwritten {
    /// Writes SecTAGs, and seals.
    pub(crate) fn write<F: FrameBuf>(self, plan: &mut Plan<F>, engine: &mut Engine) {
        let Unwritten { usual, tag_len, nonce, mut numbers } = self;
        plan.seal_as_written(engine, |octets| {
            let before = ADDRESSES + usize::from(tag_len);
            let user_data = octets.len().checked_sub(before + ICV_LEN)?;
            let pn = numbers.allocate()?;
            let tag = usual.tag(user_data, &pn);
            let written = if tag_len == 8 { tag.write::<8>(octets) } else { tag.write::<16>(octets) };
            written.then(|| (before + usual.most_clear.min(user_data), nonce.seal(pn)))
        });
    }
}
