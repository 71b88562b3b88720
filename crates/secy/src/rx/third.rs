//! The third pass: verdicts in the order of the burst, and SecTAGs taken away.

use super::{ADDRESSES, Fates, Form, Found, Part, Run, RxConfig, RxSecY, Tagged, ValidateFrames, WITH_SCI};
use crate::{FrameBuf, MAX_BURST};
use gcm::Verdicts;

impl RxSecY {
    #[inline(always)]
    pub(super) fn third_pass<F: FrameBuf>(
        &mut self,
        frames: &mut [F],
        found: &mut Found,
        verdicts: Verdicts,
    ) {
        let Found { fates, moved, pending, runs, clear_vlans } = found;
        for vlan in clear_vlans.iter() {
            // Back where they were; what was put there are the addresses, which come first again.
            let head = frames[usize::from(vlan.frame)].head_mut();
            head[..vlan.octets.len()].copy_from_slice(&vlan.octets);
        }
        let mut place = 0;
        for run in runs {
            let Some(pending) = pending.get(place, run.count) else { continue };
            fates.add(self.judge(run, pending, place, verdicts, frames, *moved));
            place += run.count;
        }
    }

    /// The verdicts on frames of one SA, with replay checked again now that earlier frames of the burst have moved the
    /// PN. Strips those that are to be delivered.
    #[inline(always)]
    pub(super) fn judge<F: FrameBuf>(
        &mut self,
        run: &Run,
        pending: Part<'_>,
        first: usize,
        verdicts: Verdicts,
        frames: &mut [F],
        moved: bool,
    ) -> Fates {
        let RxConfig { replay_protect, replay_window, validate_frames, .. } = self.config;
        let sa = self.scs.get_mut(run.place).and_then(|sc| sc.sas[run.an.index()].as_deref_mut());
        let count = pending.pns.len();
        let row = frames.get_mut(run.first..run.first + count);
        let (Some(sa), Some(frames), Some(first_pn), Some(last_pn)) =
            (sa, row, pending.pns.first(), pending.pns.last())
        else {
            return Fates::default();
        };
        let mut replay = sa.replay(replay_window);
        let mut late = 0;
        if *first_pn >= replay.lowest_pn() && pending.ascend() {
            // As they were sent: nothing that an earlier one of them moves can make a later one late.
            replay.advance(*last_pn);
        } else {
            for &pn in pending.pns {
                late += u64::from(pn < replay.lowest_pn());
                replay.advance(pn);
            }
        }
        let (mut octets, mut longest, mut deliver) = (0, 0, 0u64);
        let all_authentic = verdicts.are_authentic(first..first + count);
        if run.usual && all_authentic && (late == 0 || !replay_protect) {
            // As it should be, and worth code of its own.
            deliver = u64::MAX >> (MAX_BURST - count);
            let frames = frames.iter_mut().zip(pending.user_data).map(|(frame, user_data)| {
                octets += u64::from(*user_data);
                longest = longest.max(*user_data);
                cut_usual(frame, *user_data as usize)
            });
            if moved {
                frames.for_each(drop);
            } else {
                frames.for_each(move_addresses);
            }
            sa.counters.in_pkts_ok.add(count as u64 - late);
            sa.counters.in_pkts_delayed.add(late);
        } else {
            replay = sa.replay(replay_window);
            let frames = frames.iter_mut().zip(pending.pns.iter().zip(pending.user_data));
            for (i, (frame, (&pn, &user_data))) in frames.enumerate() {
                let is_late = pn < replay.lowest_pn();
                if is_late && replay_protect {
                    sa.counters.in_pkts_late.inc();
                    continue;
                }
                octets += u64::from(user_data);
                longest = longest.max(user_data);
                if verdicts.is_authentic(first + i) {
                    sa.counters.in_pkts_ok.add(u64::from(!is_late));
                    sa.counters.in_pkts_delayed.add(u64::from(is_late));
                    replay.advance(pn);
                } else if run.encrypted || validate_frames == ValidateFrames::Strict {
                    sa.counters.in_pkts_not_valid.inc();
                    continue;
                } else {
                    sa.counters.in_pkts_invalid.inc();
                }
                if moved {
                    cut_usual(frame, user_data as usize);
                } else {
                    strip(frame, Tagged { form: run.form, user_data });
                }
                deliver |= 1 << i;
            }
        }
        sa.advance(replay);
        if run.encrypted {
            sa.counters.in_octets_decrypted.add(octets);
        } else {
            sa.counters.in_octets_validated.add(octets);
        }
        let longest = usize::from(run.form.header_len) + longest as usize;
        Fates { deliver: deliver << run.first, set_aside: 0, longest }
    }
}

/// Takes SecTAG, ICV and padding away.
pub(super) fn strip<F: FrameBuf>(frame: &mut F, tagged: Tagged) {
    let Form { header_len, tag_len } = tagged.form;
    let (header_len, tag_len) = (usize::from(header_len), usize::from(tag_len));
    frame.head_mut().copy_within(..header_len, tag_len);
    // The SecTAG was read from the first segment, so it can be taken from there.
    let trimmed = frame.trim_front(tag_len);
    debug_assert!(trimmed);
    frame.truncate(header_len + tagged.user_data as usize);
}

/// The same of a frame in one piece with a SecTAG with SCI right behind the addresses, but that these stay where they are.
/// Hands out all that it consisted of.
#[inline(always)]
fn cut_usual<F: FrameBuf>(frame: &mut F, user_data: usize) -> &mut [u8] {
    frame.narrow(WITH_SCI - ADDRESSES, ADDRESSES + user_data)
}

/// Moves the addresses of such a frame over the end of its SecTAG.
#[inline(always)]
pub(super) fn move_addresses(octets: &mut [u8]) {
    if let Some(start) = octets.first_chunk_mut::<WITH_SCI>() {
        let mut addresses = [0; ADDRESSES];
        addresses.copy_from_slice(&start[..ADDRESSES]);
        start[WITH_SCI - ADDRESSES..].copy_from_slice(&addresses);
    }
}
