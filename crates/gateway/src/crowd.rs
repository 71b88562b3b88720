//! A line that brings more than is verified, while key agreement waits for MKPDUs.
//!
//! A port whose receive queue is full loses MKPDUs as it does data, and of stations that miss three in a row one gives the
//! other up. That some are overdue says little, as does that frames are lost: both together say that data had better make way.
//! Where the port does not count what it loses, two that are overdue in a row have to do: one may be lost for any reason, and a
//! queue that is busy, if not full, loses data by this.

use crate::PortReader;
use std::time::{Duration, Instant};

/// Between two looks at what the port has lost.
const PAUSE: Duration = Duration::from_millis(50);

/// Watches a link's line.
#[derive(Default)]
pub(crate) struct Crowd {
    /// Frames that the port had lost when MKPDUs began to be overdue, if it counts them.
    missed: Option<u64>,
    next_look: Option<Instant>,
}

impl Crowd {
    /// Whether data are to make way from now on, until MKPDUs are not overdue any more. `None`: as before. So many in a row are
    /// overdue of a station.
    pub(crate) fn make_way(&mut self, now: Instant, overdue: u32, line: &PortReader) -> Option<bool> {
        if overdue == 0 {
            *self = Crowd::default();
            return Some(false);
        }
        if self.next_look.is_some_and(|at| now < at) {
            return None;
        }
        self.next_look = Some(now + PAUSE);
        let missed = line().into_iter().find_map(|(name, n)| (name == "rx_missed").then_some(n));
        let loses = match missed {
            Some(missed) => missed > *self.missed.get_or_insert(missed),
            None => overdue > 1,
        };
        loses.then_some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn data_make_way_where_frames_are_lost_while_mkpdus_are_overdue() {
        let missed = Rc::new(Cell::new(7));
        let read = missed.clone();
        let line: PortReader = Box::new(move || vec![("rx_frames", 100), ("rx_missed", read.get())]);
        let (mut crowd, mut now) = (Crowd::default(), Instant::now());
        let mut look = |overdue, lost| {
            missed.set(missed.get() + lost);
            now += PAUSE;
            crowd.make_way(now, overdue, &line)
        };
        assert_eq!(look(0, 100), Some(false), "as long as MKPDUs come, whatever is lost");
        assert_eq!(look(1, 100), None, "what was lost before");
        assert_eq!(look(1, 0), None);
        assert_eq!(look(1, 1), Some(true));
        assert_eq!(look(0, 0), Some(false));
        assert_eq!((look(1, 0), look(2, 0)), (None, None), "nothing is lost this time");
        // Looked at now and then.
        missed.set(1000);
        assert_eq!(crowd.make_way(now + PAUSE / 2, 2, &line), None);
        assert_eq!(crowd.make_way(now + PAUSE, 2, &line), Some(true));
    }

    #[test]
    fn where_the_port_does_not_count_them_two_overdue_mkpdus_are_enough() {
        let line: PortReader = Box::new(|| vec![("rx_frames", 100)]);
        let (mut crowd, now) = (Crowd::default(), Instant::now());
        let looks = [(0, Some(false)), (1, None), (1, None), (2, Some(true)), (0, Some(false))];
        for (i, (overdue, makes_way)) in (0..).zip(looks) {
            assert_eq!(crowd.make_way(now + i * PAUSE, overdue, &line), makes_way, "{i}");
        }
    }
}
