//! What a station's SecY was told, and what it sends.

use mka::{Action, Key, KeyIdentifier, Time};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use wire::{An, Sci};

/// The two halves of a SecY.
#[derive(Debug, Default)]
pub(super) struct Secy {
    pub(super) rx: BTreeMap<Sci, [Option<RxSa>; An::COUNT]>,
    /// What it received under at some time, and from whom.
    once: HashSet<(Sci, KeyIdentifier)>,
    /// The same, from anybody: it may have said so.
    once_from_any: HashSet<KeyIdentifier>,
    /// Keys that its station may use, and has not begun to.
    pub(super) claimed: HashSet<KeyIdentifier>,
    /// All that it ever might.
    pub(super) ever_claimed: HashSet<KeyIdentifier>,
    pub(super) tx: [Option<TxSa>; An::COUNT],
    pub(super) encoding: Option<An>,
    /// What it has been told and not done yet, and when it will.
    pub(super) todo: VecDeque<(Time, Action)>,
    /// When it was last told anything.
    pub(super) told: Time,
    /// What it keeps to itself while it is mute.
    pub(super) unsaid: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RxSa {
    pub(super) key: KeyIdentifier,
    /// No frame with a lower packet number is taken.
    pub(super) lowest_pn: u64,
}

#[derive(Debug)]
pub(super) struct TxSa {
    pub(super) key: Arc<Key>,
    pub(super) next_pn: u64,
    /// Where the LAN keeps what was used of its packet numbers, in this life or another.
    pub(super) used: usize,
}

impl Secy {
    /// What it has done by now, one thing after the other.
    pub(super) fn next_due(&mut self, now: Time) -> Option<Action> {
        let (at, _) = self.todo.front()?;
        if *at > now {
            return None;
        }
        self.todo.pop_front().map(|(_, action)| action)
    }

    /// Puts an SA in place. The same one again changes nothing. Whether there is a channel for it.
    pub(super) fn install_rx(&mut self, from: Sci, an: An, sa: RxSa) -> bool {
        let Some(ans) = self.rx.get_mut(&from) else { return false };
        let there = &mut ans[an.index()];
        if there.is_none_or(|there| there.key != sa.key) {
            *there = Some(sa);
        }
        self.once.insert((from, sa.key));
        self.once_from_any.insert(sa.key);
        true
    }

    /// Whether it can have said that it receives under this key, and receives from that station too, or will as soon as
    /// it has done what it was told: what it says is of no station in particular.
    pub(super) fn can_have_said(&self, from: Sci, key: KeyIdentifier) -> bool {
        let will = || {
            self.todo.iter().any(|(_, action)| match action {
                Action::InstallRxSa { sci, key: new, .. } => *sci == from && new.identifier == key,
                _ => false,
            })
        };
        self.once.contains(&(from, key)) || self.once_from_any.contains(&key) && will()
    }

    /// What it transmits with.
    pub(super) fn encodes(&self) -> Option<&TxSa> {
        self.tx[self.encoding?.index()].as_ref()
    }

    /// The same, for sending.
    pub(super) fn encodes_mut(&mut self) -> Option<&mut TxSa> {
        self.tx[self.encoding?.index()].as_mut()
    }

    /// Its SA for that key, in use or not.
    pub(super) fn tx_sa(&self, key: KeyIdentifier) -> Option<&TxSa> {
        self.tx.iter().flatten().find(|sa| sa.key.identifier == key)
    }

    /// Its SA for what that station sends under that AN.
    pub(super) fn rx_sa(&mut self, from: Sci, an: An) -> Option<&mut RxSa> {
        self.rx.get_mut(&from)?[an.index()].as_mut()
    }
}
