//! What a KaY waits for.

use crate::Time;

/// Everything that has a time of its own; peers' ages apart, which are theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The next MKPDU.
    Hello,
    /// The transmit delay: peers that have not said that they receive are not waited for any longer.
    Transmit,
    /// The old SA is kept until then.
    Retire,
    /// A key server may make a SAK although some peer may still come up.
    Distribute,
    /// A key server makes a new SAK because the one in use is old.
    Rekey,
    /// A key server makes another SAK because those before were refused.
    Again,
    /// A station that is given no SAK has waited long enough.
    LeftOut,
}

const TIMERS: usize = 7;

/// A table of times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers([Option<Time>; TIMERS]);

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Time) {
        self.0[timer as usize] = Some(at);
    }

    /// Sets a timer that may not come later than it would have.
    pub(crate) fn set_no_later(&mut self, timer: Timer, at: Time) {
        let old = self.get(timer);
        self.set(timer, old.map_or(at, |old| old.min(at)));
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(crate) fn get(&self, timer: Timer) -> Option<Time> {
        self.0[timer as usize]
    }

    /// Whether a timer was set and has run out.
    pub(crate) fn is_due(&self, timer: Timer, now: Time) -> bool {
        self.get(timer).is_some_and(|at| at <= now)
    }

    /// The earliest.
    pub(crate) fn next(&self) -> Option<Time> {
        self.0.iter().flatten().min().copied()
    }
}
