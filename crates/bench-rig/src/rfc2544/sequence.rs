//! Sequence numbers of a flow: which arrived, which twice, which late.

/// What a sequence number is to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Further than all before.
    New,
    /// One that a further one overtook (RFC 4737, clause 3.3).
    Reordered,
    /// One that was there already.
    Duplicate,
    /// One that is so old that nobody knows any more whether it was there.
    Stale,
}

/// Remembers the newest sequence numbers of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Tracker {
    /// The number after the furthest, of all its bits where frames have the lower 32.
    next: u64,
    /// A bit for each number, at its place modulo their count; zero from `next` to the end of its word.
    seen: Box<[u64]>,
}

/// Sequence numbers that all flows together remember.
const REMEMBERED: usize = 1 << 20;
/// Sequence numbers that a flow remembers at least.
const LEAST: usize = 1 << 10;

impl Tracker {
    /// One of `flows` trackers, which share the memory for them.
    pub(crate) fn one_of(flows: usize) -> Self {
        let numbers = (REMEMBERED / flows.next_power_of_two().max(1)).max(LEAST);
        Tracker { next: 0, seen: vec![0; numbers / 64].into() }
    }

    /// Takes the number of a frame that arrived.
    #[inline]
    pub(crate) fn arrive(&mut self, sequence: u32) -> Arrival {
        let ahead = sequence.wrapping_sub(self.next as u32) as i32;
        let words = self.seen.len() as u64;
        if ahead >= 0 {
            let number = self.next + ahead as u64;
            // Words that are entered hold what is as many numbers old as can be remembered.
            let (first, last) = (self.next.div_ceil(64), number / 64);
            if first <= last {
                (first.max((last + 1).saturating_sub(words))..=last)
                    .for_each(|word| self.seen[(word % words) as usize] = 0);
            }
            self.seen[(last % words) as usize] |= 1 << (number % 64);
            self.next = number + 1;
            return Arrival::New;
        }
        let back = u64::from(ahead.unsigned_abs());
        if back > self.next || back > (words - 1) * 64 {
            return Arrival::Stale;
        }
        let number = self.next - back;
        let word = &mut self.seen[(number / 64 % words) as usize];
        let bit = 1 << (number % 64);
        let before = *word & bit != 0;
        *word |= bit;
        if before { Arrival::Duplicate } else { Arrival::Reordered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn order_gaps_and_repeats() {
        let mut tracker = Tracker::one_of(1);
        let said: Vec<_> = [0, 1, 4, 3, 3, 4, 2, 5, 0].map(|n| tracker.arrive(n)).into();
        use Arrival::{Duplicate, New, Reordered};
        assert_eq!(said, [New, New, New, Reordered, Duplicate, Duplicate, Reordered, New, Duplicate]);
    }

    #[test]
    fn numbers_go_on_after_the_last_of_32_bits() {
        let mut tracker = Tracker { next: u64::from(u32::MAX), ..Tracker::one_of(1) };
        assert_eq!(tracker.arrive(u32::MAX), Arrival::New);
        assert_eq!(tracker.arrive(1), Arrival::New);
        assert_eq!(tracker.arrive(0), Arrival::Reordered);
        assert_eq!(tracker.arrive(0), Arrival::Duplicate);
        assert_eq!(tracker.arrive(u32::MAX), Arrival::Duplicate);
    }

    #[test]
    fn what_is_too_old_is_called_neither_new_nor_a_duplicate() {
        let mut tracker = Tracker::one_of(1 << 14);
        assert_eq!(tracker.arrive(0), Arrival::New);
        assert_eq!(tracker.arrive(100_000), Arrival::New);
        assert_eq!((tracker.arrive(0), tracker.arrive(1)), (Arrival::Stale, Arrival::Stale));
        // And what is remembered is not what was in its place before.
        assert_eq!(tracker.arrive(99_500), Arrival::Reordered);
        assert_eq!(tracker.arrive(99_500), Arrival::Duplicate);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set(steps in proptest::collection::vec(-300_i64..300, 1..2000)) {
            let mut tracker = Tracker::one_of(1 << 14);
            let mut seen = HashSet::new();
            let (mut at, mut furthest) = (0_i64, -1);
            for step in steps {
                at = (at + step).max(0).max(furthest - 900);
                let expected = match (at > furthest, seen.insert(at)) {
                    (true, _) => Arrival::New,
                    (false, true) => Arrival::Reordered,
                    (false, false) => Arrival::Duplicate,
                };
                furthest = furthest.max(at);
                prop_assert_eq!(tracker.arrive(at as u32), expected, "{}", at);
            }
        }
    }
}
