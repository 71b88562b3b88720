//! Operations that the first pass finds: carried out at once in place, or written down for another core.

use crate::{Burst, FrameBuf, MAX_BURST, PREFETCH, PREFETCH_TO_PARSE, scatter};
use arrayvec::ArrayVec;
use gcm::{Engine, Key, NONCE_LEN, Verdicts};
use std::sync::Arc;
use wire::{Ethernet, ICV_LEN};

const ADDRESSES: usize = Ethernet::<&[u8]>::ADDRESSES_LEN;

/// A nonce.
pub(crate) type Nonce = [u8; NONCE_LEN];

/// Where an operation's octets lie in its frame; the ICV comes right behind them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Octets before the AAD.
    pub(crate) skip: usize,
    pub(crate) aad: usize,
    pub(crate) payload: usize,
}

/// Where the ICV of a frame in pieces is brought together to be checked.
pub(crate) type IcvRoom = [u8; ICV_LEN];

/// A SecTAG right behind the addresses: its first eight octets, as a number, and the SCI where it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsualTag {
    pub(crate) start: u64,
    pub(crate) sci: [u8; 8],
}

impl UsualTag {
    /// Moves the addresses to the front of a frame that grew by the `TAG` octets of the SecTAG and by an ICV, and writes the
    /// SecTAG behind them. `false` where the frame is too short, which does not happen.
    #[inline(always)]
    pub(crate) fn write<const TAG: usize>(self, octets: &mut [u8]) -> bool {
        const { assert!(TAG == 8 || TAG == 16) };
        // The addresses, and four octets that are written over.
        let mut addresses = [0; 16];
        let Some(moved) = octets.get(TAG..TAG + addresses.len()) else { return false };
        addresses.copy_from_slice(moved);
        octets[..addresses.len()].copy_from_slice(&addresses);
        octets[ADDRESSES..ADDRESSES + 8].copy_from_slice(&self.start.to_be_bytes());
        if TAG == 16 {
            octets[ADDRESSES + 8..ADDRESSES + 16].copy_from_slice(&self.sci);
        }
        true
    }
}

/// What takes the operations of a burst. `false` says that a frame cannot be worked on: in too many pieces, or shorter
/// than its parts, which does not happen.
pub(crate) trait Gather<'f, F> {
    /// What stands for a key.
    type Key: Copy;

    /// Whether the octets of frames are worked on here and now.
    const HERE: bool;

    /// Gets to know the key of operations that may come. `None` where there are too many, which does not happen.
    fn key(&mut self, key: &'f Arc<Key>) -> Option<Self::Key>;

    /// What takes operations on frames that follow each other, with less ado.
    type Series<'r>: Series<'f, F>
    where
        Self: 'r;

    /// Begins one, under this key.
    fn series(&mut self, key: Self::Key) -> Self::Series<'_>;

    /// An operation on any frame.
    fn pieces(
        &mut self,
        number: u8,
        frame: &'f mut F,
        key: Self::Key,
        nonce: Nonce,
        place: Place,
        room: Option<&'f mut IcvRoom>,
    ) -> bool;
}

/// What takes operations on frames that follow each other, under one key. `false` is as of [`Gather`].
pub(crate) trait Series<'f, F> {
    /// Gives a frame, which [has room](FrameBuf::has_room) for it, a SecTAG of `TAG` octets and an ICV, and takes the
    /// operation on it. `aad` octets are AAD, the payload is the rest.
    fn tagged<const TAG: usize>(
        &mut self,
        number: u8,
        frame: &'f mut F,
        tag: UsualTag,
        aad: usize,
        nonce: Nonce,
    ) -> bool;

    /// An operation on the first `len` octets of a frame in one piece: AAD of so many octets, payload, ICV.
    fn whole(&mut self, number: u8, frame: &'f mut F, len: usize, aad: usize, nonce: Nonce) -> bool;
}

/// Operations right where the frames are.
pub(crate) struct Now<'f>(pub(crate) gcm::Burst<'f>);

/// Appends an operation on so many octets of AAD, payload and ICV, of which all octets consist.
#[inline(always)]
fn push<'f>(
    append: &mut gcm::Append<'_, 'f>,
    octets: &'f mut [u8],
    aad: usize,
    key: &'f Key,
    nonce: Nonce,
) -> bool {
    split(octets, aad).is_some_and(|(aad, payload, icv)| append.push(key, nonce, aad, payload, icv).is_ok())
}

/// AAD of so many octets, payload and ICV, of which all octets consist.
#[inline(always)]
fn split(octets: &mut [u8], aad: usize) -> Option<(&mut [u8], &mut [u8], &mut IcvRoom)> {
    let payload = octets.len().checked_sub(aad + ICV_LEN)?;
    let (aad, rest) = octets.split_at_mut_checked(aad)?;
    let (payload, icv) = rest.split_at_mut_checked(payload)?;
    Some((aad, payload, icv.first_chunk_mut()?))
}

impl<'f, F: FrameBuf> Gather<'f, F> for Now<'f> {
    type Key = &'f Key;

    const HERE: bool = true;

    #[inline(always)]
    fn key(&mut self, key: &'f Arc<Key>) -> Option<&'f Key> {
        Some(key)
    }

    type Series<'r>
        = (gcm::Append<'r, 'f>, &'f Key)
    where
        Self: 'r;

    #[inline(always)]
    fn series(&mut self, key: &'f Key) -> Self::Series<'_> {
        (self.0.append(), key)
    }

    #[inline(always)]
    fn pieces(
        &mut self,
        _: u8,
        frame: &'f mut F,
        key: &'f Key,
        nonce: Nonce,
        place: Place,
        room: Option<&'f mut IcvRoom>,
    ) -> bool {
        push_pieces(&mut self.0, frame, key, nonce, place, room)
    }
}

impl<'f, F: FrameBuf> Series<'f, F> for (gcm::Append<'_, 'f>, &'f Key) {
    #[inline(always)]
    fn tagged<const TAG: usize>(
        &mut self,
        _: u8,
        frame: &'f mut F,
        tag: UsualTag,
        aad: usize,
        nonce: Nonce,
    ) -> bool {
        let octets = frame.grow(TAG, ICV_LEN);
        tag.write::<TAG>(octets) && push(&mut self.0, octets, aad, self.1, nonce)
    }

    #[inline(always)]
    fn whole(&mut self, _: u8, frame: &'f mut F, len: usize, aad: usize, nonce: Nonce) -> bool {
        frame.head_mut().get_mut(..len).is_some_and(|octets| push(&mut self.0, octets, aad, self.1, nonce))
    }
}

/// An operation that was written down. Small, since it goes from one core's cache to another's.
#[derive(Clone, Copy, Debug)]
struct Later {
    nonce: Nonce,
    aad: u32,
    payload: u32,
    frame: u8,
    key: u8,
    skip: u8,
}

impl Later {
    fn place(&self) -> Place {
        Place { skip: self.skip.into(), aad: self.aad as usize, payload: self.payload as usize }
    }
}

/// Keys that are kept for the next burst at most. A link has one or two in use, and a group of stations some more.
pub(crate) const KEYS_KEPT: usize = 8;

/// Operations of a burst that are carried out elsewhere, with its frames.
pub(crate) struct Plan<F: FrameBuf> {
    operations: ArrayVec<Later, MAX_BURST>,
    /// Frames with an operation that could be located, in their order.
    located: ArrayVec<F::Located, MAX_BURST>,
    /// All others, by their numbers: those without an operation, in pieces, or otherwise not to be located.
    others: ArrayVec<(u8, F), MAX_BURST>,
    /// Those that operations have or may have, or the last ones had: mostly the next burst has the same, and whoever
    /// counted its references anew would have it away from all crypto workers' caches.
    keys: ArrayVec<Arc<Key>, { MAX_BURST + KEYS_KEPT }>,
    verdicts: Verdicts,
    state: State,
}

/// How far a plan has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Made,
    /// All of it was carried out.
    Done,
    /// It did not fit the frames, so that nothing was.
    Failed,
}

impl<F: FrameBuf> Default for Plan<F> {
    fn default() -> Self {
        let (operations, located, others, keys, verdicts, state) = Default::default();
        Plan { operations, located, others, keys, verdicts, state }
    }
}

impl<F: FrameBuf> Plan<F> {
    /// Takes all frames of the burst whose operations were written down.
    #[inline(always)]
    pub(crate) fn take(&mut self, frames: &mut Burst<F>) {
        let mut operations = self.operations.iter().peekable();
        for (number, frame) in (0..).zip(frames.drain(..)) {
            let has_one = operations.next_if(|later| later.frame == number).is_some();
            match if has_one { frame.locate() } else { Err(frame) } {
                Ok(located) => self.located.push(located),
                Err(frame) => self.others.push((number, frame)),
            }
        }
    }

    /// Takes a frame whose operation is still to be found, behind all that it has.
    #[inline(always)]
    pub(crate) fn take_one(&mut self, frame: F) {
        let number = self.len() as u8;
        match frame.locate() {
            Ok(located) => self.located.push(located),
            Err(frame) => self.others.push((number, frame)),
        }
    }

    /// Takes all frames of a burst so, each of which can be located. `false` where it takes none.
    #[inline(always)]
    pub(crate) fn take_whole(&mut self, frames: &mut Burst<F>) -> bool {
        frames.drain(..).for_each(|frame| self.take_one(frame));
        let all = self.others.is_empty();
        if !all {
            self.give_back(frames);
        }
        all
    }

    /// Gets to know the keys of all operations that come, a few, by their places.
    #[inline(always)]
    pub(crate) fn have_keys<'k>(&mut self, keys: impl Iterator<Item = &'k Arc<Key>> + Clone) {
        // Mostly those of the last burst.
        if !self.keys.iter().zip(keys.clone()).all(|(have, key)| Arc::ptr_eq(have, key))
            || self.keys.len() != keys.clone().count()
        {
            self.keys.clear();
            self.keys.extend(keys.take(KEYS_KEPT).cloned());
        }
    }

    /// Finds operations on the frames that were taken as a [whole](Self::take_whole), and opens them, once. `read` says,
    /// of the number of a frame and its octets, which key is to be taken, how many octets there are to work on, and how
    /// many of these are AAD; and the nonce.
    #[inline(always)]
    pub(crate) fn open_as_read(
        &mut self,
        engine: &mut Engine,
        mut read: impl FnMut(usize, &[u8]) -> Option<(usize, usize, usize, Nonce)>,
    ) {
        let Plan { located, keys, verdicts, state, .. } = self;
        if *state != State::Made {
            return;
        }
        *state = State::Failed;
        // Another core had them last.
        located.iter().take(PREFETCH_TO_PARSE).for_each(|soon| gcm::prefetch(soon.as_ref()));
        let mut burst = gcm::Burst::new();
        let mut append = burst.append();
        let mut located = located.iter_mut();
        let mut number = 0;
        while let Some(frame) = located.next() {
            if let Some(soon) = located.as_slice().get(PREFETCH_TO_PARSE) {
                gcm::prefetch(soon.as_ref());
            }
            if let Some((key, len, aad, nonce)) = read(number, frame.as_ref()) {
                let (Some(octets), Some(key)) = (frame.as_mut().get_mut(..len), keys.get(key)) else {
                    return;
                };
                if !push(&mut append, octets, aad, key, nonce) {
                    return;
                }
            }
            number += 1;
        }
        drop(append);
        *verdicts = engine.open(&mut burst);
        *state = State::Done;
    }

    /// Seals all frames, which were taken one by one, under the first key, once. `write` makes what is to be sealed of a
    /// frame's octets, and says how many of these are AAD; and the nonce.
    #[inline(always)]
    pub(crate) fn seal_as_written(
        &mut self,
        engine: &mut Engine,
        mut write: impl FnMut(&mut [u8]) -> Option<(usize, Nonce)>,
    ) {
        let Plan { located, others, keys, state, .. } = self;
        if *state != State::Made {
            return;
        }
        *state = State::Failed;
        let Some(key) = keys.first() else { return };
        let all = located.len() + others.len();
        let (mut located, mut others) = (located.iter_mut(), others.iter_mut().peekable());
        let mut burst = gcm::Burst::new();
        let mut append = burst.append();
        for number in 0..all {
            // Another core had them last.
            if let Some(soon) = located.as_slice().get(PREFETCH) {
                gcm::prefetch(soon.as_ref());
            }
            let octets = match others.next_if(|(other, _)| usize::from(*other) == number) {
                Some((_, frame)) => frame.head_mut(),
                None => match located.next() {
                    Some(located) => located.as_mut(),
                    None => return,
                },
            };
            let Some((aad, nonce)) = write(octets) else { return };
            if !push(&mut append, octets, aad, key, nonce) {
                return;
            }
        }
        drop(append);
        engine.seal(&mut burst);
        *state = State::Done;
    }

    /// The octets of frames that were taken as a whole.
    pub(crate) fn octets_mut(&mut self, of: std::ops::Range<usize>) -> impl Iterator<Item = &mut [u8]> {
        self.located.get_mut(of).into_iter().flatten().map(F::Located::as_mut)
    }

    /// Hands the frames that it has out again, in their order.
    #[inline(always)]
    pub(crate) fn give_back(&mut self, frames: &mut Burst<F>) {
        // As many will be written there again, if the next burst is like this one; another core had a look at them.
        gcm::prefetch_to_write(&self.operations[..]);
        gcm::prefetch_to_write(&self.located[..]);
        let mut located = self.located.drain(..).map(|located| {
            let frame: F = located.into();
            // It has been a while since this core had a look at it.
            frame.expect();
            frame
        });
        for (number, frame) in self.others.drain(..) {
            frames.extend(located.by_ref().take(usize::from(number).saturating_sub(frames.len())));
            frames.push(frame);
        }
        frames.extend(located);
    }

    /// Frames that it has.
    pub(crate) fn len(&self) -> usize {
        self.located.len() + self.others.len()
    }

    /// Forgets everything but a few keys.
    pub(crate) fn clear(&mut self) {
        self.operations.clear();
        self.located.clear();
        self.others.clear();
        if self.keys.len() > KEYS_KEPT {
            self.keys.clear();
        }
        self.verdicts = Verdicts::default();
        self.state = State::Made;
    }

    /// Forgets everything, and lets the keys go.
    pub(crate) fn let_keys_go(&mut self) {
        self.clear();
        self.keys.clear();
    }

    /// Whether the second pass was made, over all operations.
    pub(crate) fn is_carried_out(&self) -> bool {
        self.state == State::Done
    }

    /// Verdicts on what was opened, in the order in which operations came. Nothing is authentic before that.
    pub(crate) fn verdicts(&self) -> Verdicts {
        self.verdicts
    }

    /// The octets of all operations' frames, in the order in which operations came. `None` where some could not
    /// be located.
    #[inline(always)]
    pub(crate) fn all_octets(&mut self) -> Option<impl Iterator<Item = &mut [u8]>> {
        let all = self.located.len() == self.operations.len();
        all.then(|| self.located.iter_mut().map(F::Located::as_mut))
    }

    #[inline(always)]
    fn note(&mut self, frame: u8, key: u8, nonce: Nonce, place: Place) -> bool {
        let Place { skip, aad, payload } = place;
        // No frame comes near; a longer one could not be told from a shorter one.
        let (Ok(skip), Ok(aad), Ok(payload)) = (skip.try_into(), aad.try_into(), payload.try_into()) else {
            return false;
        };
        self.operations.try_push(Later { nonce, aad, payload, frame, key, skip }).is_ok()
    }

    /// Carries the operations out on the frames that were taken, once.
    #[inline(always)]
    pub(crate) fn carry_out(&mut self, engine: &mut Engine, rooms: &mut [IcvRoom; MAX_BURST], seal: bool) {
        let Plan { operations, located, others, keys, verdicts, state } = self;
        if *state != State::Made {
            return;
        }
        *state = State::Failed;
        let mut burst = gcm::Burst::new();
        let mut located = located.iter_mut();
        let mut others = others.iter_mut().peekable();
        for (later, room) in operations.iter().zip(rooms) {
            let Later { nonce, frame, key, .. } = *later;
            // Another core had them last.
            if let Some(soon) = located.as_slice().get(PREFETCH) {
                gcm::prefetch(soon.as_ref());
            }
            let Some(key) = keys.get(usize::from(key)) else { return };
            let place = later.place();
            while others.next_if(|(number, _)| *number < frame).is_some() {}
            // Checked when it was written down.
            let taken = match others.next_if(|(number, _)| *number == frame) {
                Some((_, frame)) => {
                    push_pieces(&mut burst, frame, key, nonce, place, (!seal).then_some(room))
                }
                None => located
                    .next()
                    .is_some_and(|located| push_whole(&mut burst, located.as_mut(), key, nonce, place)),
            };
            if !taken {
                return;
            }
        }
        // Were one left out, it would leave in the clear, or be judged by the next one's verdict.
        if burst.len() != operations.len() || located.next().is_some() {
            return;
        }
        if seal {
            engine.seal(&mut burst);
        } else {
            *verdicts = engine.open(&mut burst);
        }
        *state = State::Done;
    }
}

impl<'f, F: FrameBuf> Gather<'f, F> for &mut Plan<F> {
    type Key = u8;

    const HERE: bool = false;

    #[inline(always)]
    fn key(&mut self, key: &'f Arc<Key>) -> Option<u8> {
        // A burst has few, mostly one.
        if let Some(place) = self.keys.iter().position(|k| Arc::ptr_eq(k, key)) {
            return Some(place as u8);
        }
        if self.operations.is_empty() {
            // Not one of the last burst's, so that none of these is wanted any more.
            self.keys.clear();
        }
        self.keys.try_push(key.clone()).ok()?;
        Some((self.keys.len() - 1) as u8)
    }

    type Series<'r>
        = (&'r mut Plan<F>, u8)
    where
        Self: 'r;

    #[inline(always)]
    fn series(&mut self, key: u8) -> Self::Series<'_> {
        (self, key)
    }

    #[inline(always)]
    fn pieces(
        &mut self,
        number: u8,
        frame: &'f mut F,
        key: u8,
        nonce: Nonce,
        place: Place,
        room: Option<&'f mut IcvRoom>,
    ) -> bool {
        // Tried now: later nobody could drop the frame and count it.
        let Place { skip, aad, payload } = place;
        let sealed = room.is_none();
        let cut = match frame.is_contiguous() {
            true => fits(frame.len(), place),
            false => scatter::cut(frame.segments_mut(), skip, aad, payload)
                .is_some_and(|cut| !sealed || ends_with_icv(&cut)),
        };
        cut && self.note(number, key, nonce, place)
    }
}

impl<'f, F: FrameBuf> Series<'f, F> for (&mut Plan<F>, u8) {
    #[inline(always)]
    fn tagged<const TAG: usize>(
        &mut self,
        number: u8,
        frame: &'f mut F,
        tag: UsualTag,
        aad: usize,
        nonce: Nonce,
    ) -> bool {
        let (plan, key) = self;
        let octets = frame.grow(TAG, ICV_LEN);
        let Some(payload) = octets.len().checked_sub(aad + ICV_LEN) else { return false };
        tag.write::<TAG>(octets) && plan.note(number, *key, nonce, Place { skip: 0, aad, payload })
    }

    #[inline(always)]
    fn whole(&mut self, number: u8, frame: &'f mut F, len: usize, aad: usize, nonce: Nonce) -> bool {
        let (plan, key) = self;
        let Some(payload) = len.checked_sub(aad + ICV_LEN) else { return false };
        let place = Place { skip: 0, aad, payload };
        fits(frame.len(), place) && plan.note(number, *key, nonce, place)
    }
}

#[inline(always)]
fn fits(len: usize, place: Place) -> bool {
    place.skip + place.aad + place.payload + ICV_LEN <= len
}

/// `room`, where there is one, gets the ICV of a frame in pieces; otherwise it is to be written where it is, in one
/// piece.
#[inline(always)]
fn push_pieces<'f, F: FrameBuf>(
    burst: &mut gcm::Burst<'f>,
    frame: &'f mut F,
    key: &'f Key,
    nonce: Nonce,
    place: Place,
    room: Option<&'f mut IcvRoom>,
) -> bool {
    if frame.is_contiguous() {
        return push_whole(burst, frame.head_mut(), key, nonce, place);
    }
    push_scattered(burst, frame, key, nonce, place, room)
}

/// Whether nothing follows the ICV, which is in one piece. Where a driver's segments hold more octets than it says that the frame
/// has, the rest would leave in the clear.
fn ends_with_icv(cut: &scatter::Cut<'_>) -> bool {
    cut.icv.len() == 1 && cut.rest == 0
}

#[inline(always)]
fn push_whole<'f>(
    burst: &mut gcm::Burst<'f>,
    octets: &'f mut [u8],
    key: &'f Key,
    nonce: Nonce,
    place: Place,
) -> bool {
    let Place { skip, aad, payload } = place;
    if !fits(octets.len(), place) {
        return false;
    }
    let (aad, rest) = octets[skip..].split_at_mut(aad);
    let (payload, rest) = rest.split_at_mut(payload);
    let Some(icv) = rest.first_chunk_mut() else { return false };
    burst.push(key, nonce, aad, payload, icv).is_ok()
}

#[inline(never)]
fn push_scattered<'f, F: FrameBuf>(
    burst: &mut gcm::Burst<'f>,
    frame: &'f mut F,
    key: &'f Key,
    nonce: Nonce,
    place: Place,
    room: Option<&'f mut IcvRoom>,
) -> bool {
    let Place { skip, aad, payload } = place;
    let Some(mut cut) = scatter::cut(frame.segments_mut(), skip, aad, payload) else { return false };
    let icv = match room {
        Some(room) => {
            let mut left = &mut room[..];
            for piece in &cut.icv {
                let (now, later) = left.split_at_mut(piece.len());
                now.copy_from_slice(piece);
                left = later;
            }
            room
        }
        None if ends_with_icv(&cut) => match cut.icv.pop().and_then(|icv| icv.try_into().ok()) {
            Some(icv) => icv,
            None => return false,
        },
        None => return false,
    };
    burst.push_scattered(key, nonce, cut.aad, cut.payload, icv).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemFrame;

    /// Frames of so many octets of payload, in one piece or two.
    fn frames(payloads: &[usize], pieces: usize) -> Burst<MemFrame> {
        let frame = |payload: &usize| {
            let octets = vec![5; 28 + payload + ICV_LEN];
            let (head, tail) = octets.split_at(40);
            if pieces == 1 { MemFrame::new(&octets) } else { MemFrame::scattered([head, tail]) }
        };
        payloads.iter().map(frame).collect()
    }

    /// A plan of one operation on each frame, or on all but the first, which it was found in and has not taken.
    fn plan(frames: &mut Burst<MemFrame>, all: bool) -> Plan<MemFrame> {
        let mut plan = Plan::default();
        let key = Arc::new(Key::new(&[7; 16]).unwrap());
        let mut gather = &mut plan;
        for (number, frame) in frames.iter_mut().enumerate().skip(usize::from(!all)) {
            let key = Gather::<MemFrame>::key(&mut gather, &key).unwrap();
            let place = Place { skip: 0, aad: 28, payload: frame.len() - 28 - ICV_LEN };
            assert!(gather.pieces(number as u8, frame, key, [number as u8; 12], place, None));
        }
        plan
    }

    #[test]
    fn nothing_is_sealed_that_octets_follow() {
        let key = Arc::new(Key::new(&[7; 16]).unwrap());
        for (follow, received, is_taken) in
            [(0, false, true), (1, false, false), (40, false, false), (40, true, true)]
        {
            let mut frames = frames(&[200, 200], 2);
            let place = Place { skip: 0, aad: 28, payload: 200 - follow };
            let (now, later) = frames.split_at_mut(1);
            let mut rooms = [[0; ICV_LEN]; 2];
            let [room, other] = rooms.each_mut().map(|room| received.then_some(room));
            let mut burst = gcm::Burst::new();
            assert_eq!(
                push_pieces(&mut burst, &mut now[0], &key, [0; 12], place, room),
                is_taken,
                "{follow}"
            );
            let mut plan = Plan::default();
            let mut gather = &mut plan;
            let number = Gather::<MemFrame>::key(&mut gather, &key).unwrap();
            assert_eq!(gather.pieces(0, &mut later[0], number, [0; 12], place, other), is_taken, "{follow}");
        }
    }

    #[test]
    fn keys_are_kept_for_the_next_burst_and_never_in_the_way_of_others() {
        let key = |n: usize| Arc::new(Key::new(&[n as u8; 16]).unwrap());
        let keys: Vec<_> = (0..2 * MAX_BURST).map(key).collect();
        let mut plan = Plan::default();
        let burst = |plan: &mut Plan<MemFrame>, keys: &[&Arc<Key>]| {
            plan.clear();
            for (number, key) in keys.iter().enumerate() {
                let mut gather = &mut *plan;
                let place = Gather::<MemFrame>::key(&mut gather, key).unwrap();
                let frame = &mut MemFrame::new(&[0; 60]);
                let mut series = Gather::<MemFrame>::series(&mut gather, place);
                assert!(series.whole(number as u8, frame, 60, 28, [0; 12]));
                let later = plan.operations.last().unwrap();
                assert!(Arc::ptr_eq(&plan.keys[usize::from(later.key)], key));
            }
        };
        let counts = |keys: &[Arc<Key>]| keys.iter().map(Arc::strong_count).sum::<usize>() - keys.len();
        for first in [1, KEYS_KEPT, KEYS_KEPT + 1, MAX_BURST] {
            burst(&mut plan, &keys[..first].iter().collect::<Vec<_>>());
            assert_eq!(counts(&keys), first);
            // One of the same, then as many others as there can be.
            let next: Vec<_> = std::iter::once(&keys[0]).chain(&keys[MAX_BURST..2 * MAX_BURST - 1]).collect();
            burst(&mut plan, &next);
            burst(&mut plan, &[&keys[5]]);
            assert_eq!((counts(&keys), Arc::strong_count(&keys[5])), (1, 2));
        }
        // Few are kept, and nothing but letting them go ends that.
        plan.clear();
        assert_eq!(Arc::strong_count(&keys[5]), 2);
        plan.let_keys_go();
        assert_eq!(counts(&keys), 0);
    }

    fn carry_out(plan: &mut Plan<MemFrame>, frames: &mut Burst<MemFrame>, seal: bool) {
        plan.take(frames);
        plan.carry_out(&mut Engine::new(), &mut [[0; ICV_LEN]; MAX_BURST], seal);
        plan.give_back(frames);
    }

    #[test]
    fn a_plan_that_does_not_fit_its_frames_is_not_carried_out_at_all() {
        let few: fn(&mut Burst<MemFrame>) = |frames| drop(frames.pop());
        let many: fn(&mut Burst<MemFrame>) = |frames| frames.insert(0, MemFrame::new(&[5; 94]));
        let first_short: fn(&mut Burst<MemFrame>) = |frames| frames[0].truncate(93);
        let last_short: fn(&mut Burst<MemFrame>) = |frames| frames[1].truncate(93);
        for (pieces, seal) in [(1, true), (1, false), (2, true), (2, false)] {
            for (n, change) in [few, many, first_short, last_short].into_iter().enumerate() {
                let mut frames = frames(&[50, 50], pieces);
                let mut plan = plan(&mut frames, true);
                // Frames are told by their numbers, so that one more only is one that has no operation.
                let fits = n == 1;
                change(&mut frames);
                carry_out(&mut plan, &mut frames, seal);
                assert_eq!(plan.is_carried_out(), fits, "{n} {pieces}");
                assert!(
                    fits || frames.iter().all(|f| f.to_vec().iter().all(|octet| *octet == 5)),
                    "{n} {pieces}"
                );
                assert!(!plan.verdicts().is_authentic(0));
            }
            let mut frames = frames(&[50, 50], pieces);
            let mut sealing = plan(&mut frames, true);
            carry_out(&mut sealing, &mut frames, true);
            let mut opening = plan(&mut frames, true);
            carry_out(&mut opening, &mut frames, false);
            assert!(sealing.is_carried_out() && opening.verdicts().are_authentic(0..2));
            assert!(frames.iter().all(|f| f.to_vec()[28..78] == [5; 50]));
        }
    }

    #[test]
    fn frames_come_back_as_they_were_and_those_with_an_operation_alone_are_changed() {
        let payloads: Vec<_> = (20..20 + MAX_BURST).collect();
        for (pieces, all) in [(1, true), (1, false), (2, true), (2, false)] {
            for every in [1, 2, 7] {
                let mut frames = frames(&payloads, pieces);
                for (number, frame) in frames.iter_mut().enumerate() {
                    frame.not_to_be_located = number % every > 0;
                }
                let before: Vec<_> = frames.iter().map(MemFrame::to_vec).collect();
                let mut plan = plan(&mut frames, all);
                plan.take(&mut frames);
                assert_eq!((plan.len(), frames.len()), (MAX_BURST, 0));
                assert_eq!(plan.all_octets().is_some(), pieces == 1 && every == 1);
                plan.carry_out(&mut Engine::new(), &mut [[0; ICV_LEN]; MAX_BURST], true);
                assert!(plan.is_carried_out());
                plan.give_back(&mut frames);
                assert_eq!((plan.len(), frames.len()), (0, MAX_BURST));
                for (number, (frame, before)) in frames.iter().zip(&before).enumerate() {
                    let (frame, aad) = (frame.to_vec(), 28);
                    assert_eq!((frame.len(), &frame[..aad]), (before.len(), &before[..aad]));
                    assert_eq!(frame[aad..] != before[aad..], all || number > 0, "{number}");
                }
            }
        }
    }
}
