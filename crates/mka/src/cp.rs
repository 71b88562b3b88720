//! The CP machine (802.1X clause 12.4): from one SAK to the next without losing a frame.
//!
//! ```text
//! Idle ──key──▶ Receive ──in place──▶ Receiving ──┬─ key server: all receive, or the delay is over ─▶ Transmitting
//!   ▲              ▲                              └─ others: Ready ── the key server transmits ─────▶ Transmitting
//!   │              └────key────── Retired ◀── the old SA's time is over ───────────────────────────────────┘
//!   └── no peer left (from everywhere)
//! ```
//!
//! A key that comes is claimed first: nobody receives under one that this station may have transmitted under before. Then,
//! if the one in hand was not transmitted with yet, it takes its place; while the old SA is kept it waits. The standard lets a station whose port is still closed transmit at once; here it waits for the others to
//! receive all the same, since nothing is gained by frames that nobody can read.

use crate::action::{Action, Event};
use crate::key::{KeyIdentifier, SharedKey};
use crate::timers::{Timer, Timers};
use crate::{SaStatus, Time, Times};
use std::collections::VecDeque;
use wire::{An, Sci};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No key at all.
    Idle,
    /// The SecY is being told; it has not said yet that it is done.
    Receive(u64),
    /// In place, and said to be.
    Receiving,
    /// The same, of one that is not the key server.
    Ready,
    /// Transmitting, and the old SA is still there.
    Transmitting,
    /// Nothing left to do: the latest key has become the old one.
    Retired,
}

/// What the machine has to know of others.
pub(crate) struct Around<'a> {
    pub(crate) now: Time,
    pub(crate) times: &'a Times,
    /// Live peers.
    pub(crate) live: &'a [Sci],
    /// This station is the key server.
    pub(crate) is_server: bool,
    /// All live peers say that they receive under the latest key.
    pub(crate) all_receive: bool,
    /// Somebody says that it transmits under the latest key.
    pub(crate) others_transmit: bool,
    /// The key server says that it transmits under the latest key.
    pub(crate) server_transmits: bool,
}

/// A key that has come, and waits.
#[derive(Debug)]
struct Next {
    key: SharedKey,
    /// It is certain that this station has not transmitted under it before.
    claimed: bool,
}

/// Where the SAKs of a link are.
#[derive(Debug)]
pub(crate) struct Cp {
    state: State,
    next: Option<Next>,
    pub(crate) latest: Option<SharedKey>,
    pub(crate) old: Option<SharedKey>,
    /// What is transmitted under.
    encoding: Option<An>,
    confirm: u64,
    /// The transmit delay is over.
    delayed: bool,
    /// By AN: what the SecY would next transmit with.
    pub(crate) next_pns: [u64; An::COUNT],
    /// Keys that were put to use.
    pub(crate) rekeys: u64,
}

/// What comes out of a step.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) actions: VecDeque<Action>,
    pub(crate) events: VecDeque<Event>,
}

impl Cp {
    pub(crate) fn new() -> Self {
        Cp {
            state: State::Idle,
            next: None,
            latest: None,
            old: None,
            encoding: None,
            confirm: 0,
            delayed: false,
            next_pns: [1; An::COUNT],
            rekeys: 0,
        }
    }

    /// Whether a key server may make another key.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state, State::Idle | State::Retired) && self.next.is_none()
    }

    /// Whether a key in hand has not been transmitted with: another may take its place. One of a key server that is gone may be
    /// in use already, as others say.
    pub(crate) fn is_open(&self, others_transmit: bool) -> bool {
        let open = match self.state {
            State::Receive(_) | State::Receiving => true,
            State::Ready => !others_transmit,
            State::Idle | State::Transmitting | State::Retired => false,
        };
        open && self.next.is_none()
    }

    /// Whether there is no key at all, nor one on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Idle && self.next.is_none()
    }

    /// Whether this key is here already, or was.
    pub(crate) fn has(&self, key: KeyIdentifier) -> bool {
        self.all().any(|k| k.identifier == key)
    }

    /// All that are here, and what waits.
    pub(crate) fn all(&self) -> impl Iterator<Item = &SharedKey> {
        let next = self.next.as_ref().map(|next| &next.key);
        next.into_iter().chain(self.keys())
    }

    /// Receives under the latest, and transmits under it.
    pub(crate) fn latest_use(&self) -> (bool, bool) {
        match self.state {
            State::Idle | State::Receive(_) | State::Retired => (false, false),
            State::Receiving | State::Ready => (true, false),
            State::Transmitting => (true, true),
        }
    }

    /// Receives under the old one, and transmits under it.
    pub(crate) fn old_use(&self) -> (bool, bool) {
        let transmits = self.old.as_ref().is_some_and(|old| self.encoding == Some(old.an));
        (self.old.is_some(), transmits && self.state != State::Transmitting)
    }

    /// What this station transmits under.
    pub(crate) fn transmit_key(&self) -> Option<&SharedKey> {
        [&self.latest, &self.old].into_iter().flatten().find(|key| self.encoding == Some(key.an))
    }

    /// All that it receives under.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &SharedKey> {
        [&self.latest, &self.old].into_iter().flatten()
    }

    /// A key to go over to.
    pub(crate) fn offer(&mut self, key: SharedKey, out: &mut Out) {
        out.actions.push_back(Action::Claim(key.clone()));
        self.next = Some(Next { key, claimed: false });
    }

    /// The key that waits, if it is this one, is this station's to use.
    pub(crate) fn claimed(&mut self, key: KeyIdentifier) {
        if let Some(next) = self.next.as_mut().filter(|next| next.key.identifier == key) {
            next.claimed = true;
        }
    }

    /// What was asked for up to this number is in place. Whether that is news.
    pub(crate) fn confirmed(&mut self, number: u64, out: &mut Out) -> bool {
        if self.state != State::Receive(number) {
            return false;
        }
        self.state = State::Receiving;
        if let Some(key) = &self.latest {
            out.events.push_back(Event::Receiving(key.identifier));
        }
        true
    }

    /// A key that may never be this station's to use is not waited for any longer.
    pub(crate) fn forget_unclaimed(&mut self) {
        self.next.take_if(|next| !next.claimed);
    }

    /// The key is not to be used: takes it out again. Whether it was there, and not transmitted with.
    pub(crate) fn refuse(&mut self, key: KeyIdentifier, live: &[Sci], out: &mut Out) -> bool {
        if self.next.take_if(|next| next.key.identifier == key).is_some() {
            return true;
        }
        let open = self.latest.as_ref().is_some_and(|latest| latest.identifier == key)
            && self.state != State::Transmitting;
        if open {
            self.abandon(live, out);
        }
        open
    }

    /// Everything is over: no peer is left. Whether there was something.
    pub(crate) fn disconnect(&mut self, timers: &mut Timers, out: &mut Out) -> bool {
        timers.stop(Timer::Transmit);
        timers.stop(Timer::Retire);
        if self.state == State::Idle {
            self.next = None;
            return false;
        }
        out.actions.push_back(Action::EncodeWith(None));
        for key in self.latest.take().into_iter().chain(self.old.take()) {
            out.actions.push_back(Action::RemoveTxSa(key.an));
        }
        (self.state, self.next, self.encoding) = (State::Idle, None, None);
        out.events.push_back(Event::Disconnected);
        true
    }

    /// Goes on as far as it can. Whether others should hear of it.
    pub(crate) fn step(&mut self, around: &Around<'_>, timers: &mut Timers, out: &mut Out) -> bool {
        let mut news = false;
        if timers.is_due(Timer::Transmit, around.now) {
            timers.stop(Timer::Transmit);
            self.delayed = true;
        }
        loop {
            let delayed = self.delayed;
            match self.state {
                State::Receiving if !around.is_server => self.state = State::Ready,
                State::Receiving if around.all_receive || delayed => {
                    self.transmit(!around.all_receive, around, timers, out);
                }
                // One that became the key server waits as a key server does, but where nobody uses the key yet it makes another
                // one for those who may not have got this.
                State::Ready
                    if around.is_server && (around.all_receive || delayed && around.others_transmit) =>
                {
                    self.transmit(!around.all_receive, around, timers, out);
                }
                State::Ready if !around.is_server && around.server_transmits => {
                    self.transmit(false, around, timers, out);
                }
                State::Receive(_) | State::Receiving | State::Ready
                    if self.next.as_ref().is_some_and(|next| next.claimed) =>
                {
                    self.abandon(around.live, out);
                }
                State::Transmitting if self.old.is_none() || timers.is_due(Timer::Retire, around.now) => {
                    timers.stop(Timer::Retire);
                    self.retire(around.live, out);
                }
                State::Idle | State::Retired => {
                    let Some(next) = self.next.take_if(|next| next.claimed) else { return news };
                    self.receive(next.key, around, timers, out);
                }
                _ => return news,
            }
            news = true;
        }
    }

    fn receive(&mut self, key: SharedKey, around: &Around<'_>, timers: &mut Timers, out: &mut Out) {
        // A key server that starts anew may take an AN that is in use.
        if let Some(old) = self.old.take_if(|old| old.an == key.an) {
            if self.encoding == Some(old.an) {
                self.encoding = None;
                out.actions.push_back(Action::EncodeWith(None));
            }
            self.remove(&old, around.live, out);
        }
        for sci in around.live {
            if key.is_for(*sci) {
                out.actions.push_back(Action::InstallRxSa { sci: *sci, key: key.clone(), lowest_pn: 1 });
            }
        }
        out.actions.push_back(Action::InstallTxSa(key.clone()));
        // What was last heard of this AN is of another key.
        self.next_pns[key.an.index()] = 1;
        self.confirm += 1;
        out.actions.push_back(Action::Confirm(self.confirm));
        self.delayed = false;
        timers.set(Timer::Transmit, around.now + around.times.transmit_delay);
        self.latest = Some(key);
        self.state = State::Receive(self.confirm);
    }

    fn transmit(&mut self, delayed: bool, around: &Around<'_>, timers: &mut Timers, out: &mut Out) {
        let Some(key) = &self.latest else { return };
        out.actions.push_back(Action::EncodeWith(Some(key.an)));
        out.events.push_back(Event::Transmitting { key: key.identifier, delayed });
        self.encoding = Some(key.an);
        self.rekeys += 1;
        self.state = State::Transmitting;
        timers.stop(Timer::Transmit);
        timers.set(Timer::Retire, around.now + around.times.retire);
    }

    fn retire(&mut self, live: &[Sci], out: &mut Out) {
        if let Some(old) = self.old.take() {
            self.remove(&old, live, out);
            out.events.push_back(Event::Retired(old.identifier));
        }
        self.old = self.latest.take();
        self.state = State::Retired;
    }

    fn abandon(&mut self, live: &[Sci], out: &mut Out) {
        if let Some(latest) = self.latest.take() {
            self.remove(&latest, live, out);
        }
        self.state = if self.old.is_some() { State::Retired } else { State::Idle };
    }

    fn remove(&self, key: &SharedKey, live: &[Sci], out: &mut Out) {
        out.actions.push_back(Action::RemoveTxSa(key.an));
        for sci in live {
            out.actions.push_back(Action::RemoveRxSa { sci: *sci, an: key.an });
        }
    }

    pub(crate) fn status(&self) -> Vec<SaStatus> {
        let slots = [(&self.latest, self.latest_use()), (&self.old, self.old_use())];
        let status = |(key, (receiving, transmitting)): (&Option<SharedKey>, _)| {
            key.as_ref().map(|key| SaStatus {
                key: key.identifier,
                an: key.an,
                suite: key.suite,
                receiving,
                transmitting,
            })
        };
        slots.into_iter().filter_map(status).collect()
    }
}
