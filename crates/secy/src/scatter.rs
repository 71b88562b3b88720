//! Frames in several segments, cut into the pieces of a crypto operation.

use arrayvec::ArrayVec;

/// Pieces that AAD and payload of one frame have at most, together: one first piece each and 16 more.
const MAX_PIECES: usize = gcm::MAX_SEGMENTS / gcm::MAX_BURST + 2;

/// A run of octets in pieces.
pub(crate) type Pieces<'a> = ArrayVec<&'a mut [u8], MAX_PIECES>;

/// A frame in pieces.
#[derive(Default)]
pub(crate) struct Cut<'a> {
    pub(crate) aad: Pieces<'a>,
    pub(crate) payload: Pieces<'a>,
    pub(crate) icv: Pieces<'a>,
    /// Octets that follow.
    pub(crate) rest: usize,
}

/// Cuts `aad` octets after the first `skip`, then `payload` octets, then the ICV. What follows a frame received is padding.
///
/// `None` when there are too many pieces, or too few octets.
pub(crate) fn cut<'a>(
    segments: impl Iterator<Item = &'a mut [u8]>,
    skip: usize,
    aad: usize,
    payload: usize,
) -> Option<Cut<'a>> {
    let mut cut = Cut::default();
    let mut left = [skip, aad, payload, wire::ICV_LEN];
    let mut run = 0;
    for mut segment in segments {
        while !segment.is_empty() {
            while run < left.len() && left[run] == 0 {
                run += 1;
            }
            let Some(want) = left.get_mut(run) else {
                cut.rest += segment.len();
                break;
            };
            let (piece, rest) = segment.split_at_mut((*want).min(segment.len()));
            *want -= piece.len();
            segment = rest;
            match run {
                0 => {}
                1 => cut.aad.try_push(piece).ok()?,
                2 => cut.payload.try_push(piece).ok()?,
                _ => cut.icv.try_push(piece).ok()?,
            }
        }
    }
    // The first piece of either takes no room, even if there is none.
    let fits = cut.aad.len().max(1) + cut.payload.len().max(1) <= MAX_PIECES;
    (fits && left.iter().all(|n| *n == 0)).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_has_room_for_as_many_as_it_holds_of_the_most_scattered() {
        let key = gcm::Key::new(&[7; 16]).unwrap();
        for (aad, payload) in
            (0..=MAX_PIECES).flat_map(|aad| (0..=MAX_PIECES).map(move |payload| (aad, payload)))
        {
            let mut frames = vec![[0; 2 * MAX_PIECES + wire::ICV_LEN]; gcm::MAX_BURST];
            let mut icvs = vec![[0; wire::ICV_LEN]; gcm::MAX_BURST];
            let mut burst = gcm::Burst::new();
            for (octets, icv) in frames.iter_mut().zip(&mut icvs) {
                // An octet in each piece, and the ICV behind them.
                let (pieces, end) = octets.split_at_mut(aad + payload);
                let segments = pieces.chunks_mut(1).chain([end]);
                let Some(cut) = cut(segments, 0, aad, payload) else { break };
                assert!(
                    burst.push_scattered(&key, [0; 12], cut.aad, cut.payload, icv).is_ok(),
                    "{aad} {payload}"
                );
            }
            let few = aad.max(1) + payload.max(1) <= MAX_PIECES;
            assert_eq!(burst.len(), if few { gcm::MAX_BURST } else { 0 }, "{aad} {payload}");
        }
    }

    proptest! {
        #[test]
        fn pieces_add_up(lens in proptest::collection::vec(0usize..40, 1..8), skip in 0usize..20, aad in 0usize..60, payload in 0usize..60) {
            let total: usize = lens.iter().sum();
            let octets: Vec<u8> = (0..total).map(|i| i as u8).collect();
            let mut copy = octets.clone();
            let mut rest = &mut copy[..];
            let mut segments = Vec::new();
            for len in &lens {
                let (a, b) = rest.split_at_mut(*len);
                segments.push(a);
                rest = b;
            }
            let end = skip + aad + payload + wire::ICV_LEN;
            match cut(segments.into_iter(), skip, aad, payload) {
                None => prop_assert!(total < end),
                Some(c) => {
                    let flat = |p: &Pieces<'_>| p.iter().flat_map(|s| s.iter().copied()).collect::<Vec<_>>();
                    prop_assert_eq!(flat(&c.aad), &octets[skip..skip + aad]);
                    prop_assert_eq!(flat(&c.payload), &octets[skip + aad..skip + aad + payload]);
                    prop_assert_eq!(flat(&c.icv), &octets[skip + aad + payload..end]);
                    prop_assert_eq!(c.rest, total - end);
                }
            }
        }
    }

    #[test]
    fn too_many_pieces_are_refused() {
        let mut octets = [0u8; 200];
        assert!(cut(octets.chunks_mut(8), 0, 28, 100).is_some());
        assert!(cut(octets.chunks_mut(4), 0, 28, 100).is_none());
    }
}
