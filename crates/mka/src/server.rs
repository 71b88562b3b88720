//! A key server's duties (802.1X clause 9.8).

use crate::action::{Event, Reason, Refused};
use crate::key::{Key, KeyIdentifier, SharedKey, sscis_by_sci};
use crate::status::Server;
use crate::timers::Timer;
use crate::{Kay, Time, mkpdu};
use keys::Salt;
use std::sync::Arc;
use wire::{An, MemberId, Sci};

/// Key servers whose keys are remembered, at most. Each has to have been live and elected.
const MAX_SERVERS: usize = 256;

/// What a key server remembers, and what of others.
#[derive(Debug)]
pub(crate) struct KeyServer {
    /// Why another key is to be made, until it is.
    pub(crate) wanted: Option<Reason>,
    /// The number of the last key.
    pub(crate) kn: u32,
    /// The AN of the last key that this station made.
    pub(crate) last_an: Option<An>,
    /// Of each other key server the last key that was taken: neither that nor an older one is taken again.
    pub(crate) taken: Vec<KeyIdentifier>,
    /// What is being handed out, and to whom.
    pub(crate) handing_out: Option<HandOut>,
    /// When that began, or this station.
    since: Time,
    /// When stations became live, the first since and the last.
    pub(crate) joined: Option<(Time, Time)>,
}

/// A key that is being handed out.
#[derive(Debug)]
pub(crate) struct HandOut {
    pub(crate) key: SharedKey,
    /// Peers that were live when it was made.
    pub(crate) members: Vec<MemberId>,
}

impl KeyServer {
    pub(crate) fn new(now: Time) -> Self {
        KeyServer {
            wanted: None,
            kn: 0,
            last_an: None,
            taken: Vec::new(),
            handing_out: None,
            since: now,
            joined: None,
        }
    }

    /// Another key server's key was taken.
    pub(crate) fn take(&mut self, key: KeyIdentifier) {
        self.taken.retain(|taken| taken.mi != key.mi);
        if self.taken.len() == MAX_SERVERS {
            self.taken.remove(0);
        }
        self.taken.push(key);
    }

    /// Somebody else is the key server now, or nobody.
    pub(crate) fn stop(&mut self) {
        self.wanted = None;
        self.handing_out = None;
        self.joined = None;
    }
}

impl Kay {
    /// A key server is to make another key.
    pub(crate) fn want_key(&mut self, reason: Reason) {
        if self.server == Some(Server::Me) {
            self.key_server.wanted.get_or_insert(reason);
        }
    }

    /// Whether what is handed out is still for exactly those who are there. One who came later, or came back, must not
    /// get it: it may have used it in an earlier life.
    pub(crate) fn hands_out(&self) -> Option<&HandOut> {
        let hand_out = self.key_server.handing_out.as_ref()?;
        let members = &hand_out.members;
        let same = self.live().count() == members.len() && self.live().all(|p| members.contains(&p.mi));
        same.then_some(hand_out)
    }

    /// Makes a key if one is wanted and it is time. Whether it was made.
    pub(crate) fn serve_keys(&mut self, now: Time) -> bool {
        self.timers.stop(Timer::Distribute);
        if self.server != Some(Server::Me) {
            return false;
        }
        let Some(reason) = self.key_server.wanted else { return false };
        // One that was handed out to others than are there now is not worth waiting for.
        let outdated = self.cp.is_open(self.others_transmit()) && self.hands_out().is_none();
        if !(self.cp.is_settled() || outdated) {
            return false;
        }
        // Those who are about to come up are waited for, but not for ever.
        let patience = self.key_server.since + self.config.times.life;
        if self.peers.iter().any(|peer| !peer.live) && now < patience {
            self.timers.set(Timer::Distribute, patience);
            return false;
        }
        // So are those who have not heard of each other. Some have no receive SA for a station that they come to know after
        // a SAK; and some take a new MI when one speaks of a SAK and does not list them, and are a new station then, to
        // which a SAK handed out at once is one more to speak of too soon.
        let life = self.config.times.life;
        if let Some((first, last)) = self.key_server.joined
            && let patience = (last + life).min(first + 3 * life)
            && now < patience
            && !self.all_know_each_other()
        {
            self.timers.set(Timer::Distribute, patience);
            return false;
        }
        let peers = self.live().count();
        if self.config.suites.first().is_some_and(|suite| suite.is_xpn()) && !mkpdu::fits_all(self, peers) {
            // As soon as somebody has gone.
            self.refuse(self.mi, Refused::TooManyStations);
            return false;
        }
        self.key_server.wanted = None;
        self.make_key(now, reason);
        true
    }

    /// Whether every live peer lists every other.
    fn all_know_each_other(&self) -> bool {
        self.live().all(|peer| self.live().all(|other| other.mi == peer.mi || peer.knows.contains(&other.mi)))
    }

    fn make_key(&mut self, now: Time, reason: Reason) {
        let Some(suite) = self.config.suites.first().copied() else { return };
        let members: Vec<MemberId> = self.live().map(|peer| peer.mi).collect();
        let Some(kn) = self.key_server.kn.checked_add(1) else {
            self.take_new_mi(now);
            return;
        };
        self.key_server.kn = kn;
        let newest = self.cp.latest.as_ref().or(self.cp.old.as_ref()).map(|key| key.an);
        let an = newest.or(self.key_server.last_an).map_or(An::ALL[0], An::next);
        // After keys that came to nothing, the next in turn may be one that is in use; after a restart of this station, one
        // that the others use.
        let in_use = |an: &An| {
            let mine = self.cp.old.as_ref().is_some_and(|old| old.an == *an);
            mine || self.live().any(|peer| peer.has_an(*an))
        };
        let turn = [an, an.next(), an.next().next(), an.next().next().next()];
        let free = turn.into_iter().find(|an| !in_use(an));
        // Where all are in use, the one that this station transmits under is the last to take.
        let mine = self.cp.old.as_ref().map(|old| old.an);
        let an = free.or_else(|| turn.into_iter().find(|an| Some(*an) != mine)).unwrap_or(an);
        let mut mis: Vec<[u8; 12]> = members.iter().map(|mi| mi.0).collect();
        mis.push(self.mi.0);
        let nonce: [u8; 32] = self.random.octets();
        let sak = self.config.cak.derive_sak(suite, &nonce[..suite.sak_len()], &mis, kn);
        let scis: Vec<Sci> = self.live().map(|peer| peer.sci).chain([self.config.sci]).collect();
        let key = Arc::new(Key {
            identifier: KeyIdentifier { mi: self.mi, kn },
            an,
            sak,
            suite,
            confidentiality: self.config.confidentiality,
            salt: suite.is_xpn().then(|| Salt::for_sak(self.mi.0, kn)),
            sscis: if suite.is_xpn() { sscis_by_sci(scis) } else { Vec::new() },
        });
        self.out.events.push_back(Event::SakMade { key: key.identifier, an, reason });
        self.key_server.last_an = Some(an);
        (self.key_server.since, self.key_server.joined) = (now, None);
        self.key_server.handing_out = Some(HandOut { key: key.clone(), members });
        self.timers.stop(Timer::Again);
        match self.config.rekey_period {
            Some(period) => self.timers.set(Timer::Rekey, now + period),
            None => self.timers.stop(Timer::Rekey),
        }
        self.cp.offer(key, &mut self.out);
        self.hello_soon(now);
    }
}
