//! The KaY: one participant of one association.

use crate::action::{Action, Event, Ignored, Reason, Refused};
use crate::config::{Config, Random, RandomSource};
use crate::cp::{Around, Cp, Out};
use crate::key::{Key, KeyIdentifier, SharedKey, sscis_by_sci};
use crate::peer::{MAX_PEERS, Peer};
use crate::server::KeyServer;
use crate::status::{Server, Status};
use crate::timers::{Timer, Timers};
use crate::{Time, mkpdu};
use keys::{Ick, Kek, Salt};
use std::collections::VecDeque;
use std::sync::Arc;
use wire::{
    BasicRepr, CipherSuite, ConfidentialityOffset, DistributedSak, DistributedSakForm, MemberId, Mkpdu,
    ParameterSet, PeerList, Sci, Ssci, XpnRepr,
};

/// MKPDUs in quick succession after the start, so that others hear soon (milliseconds between them).
const RAMP: [u64; 4] = [100, 200, 400, 800];

/// Hellos come sooner than they have to by a random octet of so many: by an eighth at most.
const SOONER: f64 = 8.0 * 256.0;

/// One station's side of MKA on one link.
#[derive(Debug)]
pub struct Kay {
    pub(crate) config: Config,
    pub(crate) ick: Ick,
    pub(crate) kek: Kek,
    pub(crate) random: RandomSource,
    pub(crate) mi: MemberId,
    /// The one before: frames under it may still come back.
    former_mi: Option<MemberId>,
    /// The number of the last MKPDU.
    pub(crate) mn: u32,
    /// When MKPDUs were sent, and their numbers, for a life time.
    sent: VecDeque<(Time, u32)>,
    pub(crate) ramp: usize,
    pub(crate) peers: Vec<Peer>,
    pub(crate) server: Option<Server>,
    pub(crate) key_server: KeyServer,
    pub(crate) cp: Cp,
    pub(crate) timers: Timers,
    pub(crate) out: Out,
    /// Where lists of peers begin that do not fit a frame.
    pub(crate) rotation: usize,
    /// What stations were that now have another MI, the numbers of their last MKPDUs, and how long these may pass for
    /// recent.
    former_peers: Vec<(MemberId, u32, Time)>,
    /// Stations that went while these keys were in use: what they sent then must not be taken again when they come back.
    gone: Vec<(Sci, KeyIdentifier)>,
    last_sent: Option<Time>,
    /// Until then it says nothing, so that others forget it.
    silent_until: Option<Time>,
    /// Since when it is not given the key that the key server uses, or none.
    left_out: Option<Time>,
    /// What was last said of keys that did not do, and of whose.
    pub(crate) refused: Option<(MemberId, Refused)>,
    /// When it last took a new MI to be given another key.
    came_anew: Option<Time>,
    /// An MKPDU went out, or is about to, only because packet numbers run out.
    told_of_pn: bool,
}

impl Kay {
    /// A KaY that begins now.
    pub fn new(config: Config, random: Random, now: Time) -> Self {
        let mut random = RandomSource(random);
        let mut timers = Timers::default();
        timers.set(Timer::Hello, now);
        let mi = MemberId(random.octets());
        Kay {
            ick: config.cak.ick(&config.ckn),
            kek: config.cak.kek(&config.ckn),
            key_server: KeyServer::new(now),
            config,
            random,
            mi,
            former_mi: None,
            mn: 0,
            sent: VecDeque::new(),
            ramp: 0,
            peers: Vec::new(),
            server: None,
            cp: Cp::new(),
            timers,
            out: Out::default(),
            rotation: 0,
            former_peers: Vec::new(),
            gone: Vec::new(),
            last_sent: None,
            silent_until: None,
            left_out: None,
            refused: None,
            came_anew: None,
            told_of_pn: false,
        }
    }

    /// A frame from the wire, from its destination address on. Frames that are no EAPOL may come too.
    ///
    /// # Errors
    /// Why it was ignored; nothing has changed then.
    pub fn handle_frame(&mut self, now: Time, frame: &[u8]) -> Result<(), Ignored> {
        let pdu = Mkpdu::new_checked(frame).map_err(|_| Ignored::Malformed)?;
        let basic = pdu.basic();
        if basic.ckn.octets() != self.config.ckn.octets() {
            return Err(Ignored::OtherCkn);
        }
        if basic.agility != BasicRepr::AGILITY {
            return Err(Ignored::Agility);
        }
        if !self.ick.verify(&pdu.authenticated(), pdu.icv()) {
            return Err(Ignored::Icv);
        }
        // What a bridge sends back, or what somebody kept from before: nothing to learn from.
        if basic.sci == self.config.sci {
            let own = basic.mi == self.mi || self.former_mi == Some(basic.mi);
            return Err(if own { Ignored::Own } else { Ignored::SameSci });
        }
        if basic.mi == self.mi {
            self.take_new_mi(now);
            self.after(now);
            return Ok(());
        }
        let index = match self.peers.iter().position(|peer| peer.mi == basic.mi) {
            Some(index) => {
                let peer = &mut self.peers[index];
                if basic.mn <= peer.mn || basic.sci != peer.sci {
                    return Err(Ignored::Stale);
                }
                (peer.mn, peer.priority, peer.version, peer.heard) =
                    (basic.mn, basic.priority, basic.version, now);
                index
            }
            None => self.meet(now, &basic)?,
        };
        self.read_sets(now, index, &pdu);
        self.after(now);
        Ok(())
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Time) {
        let lost: Vec<Peer> = self.peers.extract_if(.., |peer| peer.expires <= now).collect();
        // One that never was live is nobody's loss: it may be an old frame that somebody played back.
        for peer in lost.into_iter().filter(|peer| peer.live) {
            self.out.events.push_back(Event::PeerLost { sci: peer.sci, mi: peer.mi });
            self.leave(now, peer.sci);
        }
        self.elect(now);
        if self.timers.is_due(Timer::Rekey, now) {
            self.timers.stop(Timer::Rekey);
            self.want_key(Reason::Period);
        }
        if self.timers.is_due(Timer::Again, now) {
            self.timers.stop(Timer::Again);
            self.want_key(Reason::Refused);
        }
        self.after(now);
    }

    /// The SecY did all that was asked before [`Action::Confirm`] with this number.
    pub fn handle_done(&mut self, now: Time, number: u64) {
        if self.cp.confirmed(number, &mut self.out) {
            self.hello_soon(now);
        }
        self.after(now);
    }

    /// This station has never transmitted under this key, and no later life of it will: what [`Action::Claim`] asked for.
    pub fn handle_claimed(&mut self, now: Time, key: KeyIdentifier) {
        self.cp.claimed(key);
        self.after(now);
    }

    /// This station must not transmit under this key: it has done so before, in an earlier life perhaps. Of a key that is
    /// not there any more this means nothing.
    pub fn handle_refused(&mut self, now: Time, key: KeyIdentifier) {
        let live = self.live_scis();
        if !self.cp.refuse(key, &live, &mut self.out) {
            return;
        }
        self.refuse(key.mi, Refused::UsedBefore);
        self.come_anew(now);
        self.after(now);
    }

    /// Says why a key did not do: once, since it comes again with every hello.
    pub(crate) fn refuse(&mut self, server: MemberId, why: Refused) {
        if self.refused != Some((server, why)) {
            self.refused = Some((server, why));
            self.out.events.push_back(Event::SakRefused(why));
        }
    }

    /// To the key server this is a new station then, which takes a new key. Not in each other's footsteps: where that does
    /// not do either, it is tried again after a life time.
    fn come_anew(&mut self, now: Time) {
        match self.came_anew.map(|last| last + self.config.times.life) {
            // Others are handed their key again with every hello. A key server's own would have been for nobody.
            Some(again) if now < again => self.timers.set(Timer::Again, again),
            _ => {
                self.came_anew = Some(now);
                self.take_new_mi(now);
            }
        }
    }

    /// The SecY would next transmit with this packet number under this key. By the key, not its AN: another one may have
    /// come to that, of which the SecY is still to be told.
    pub fn handle_next_pn(&mut self, now: Time, key: KeyIdentifier, pn: u64) {
        let Some(an) = self.cp.keys().find(|known| known.identifier == key).map(|key| key.an) else { return };
        self.cp.next_pns[an.index()] = pn;
        let used = self.cp.transmit_key().filter(|used| used.identifier == key);
        if used.is_none_or(|key| pn < pn_threshold(key.suite)) {
            return;
        }
        // A key that is on its way already will do.
        if self.cp.is_settled() {
            self.want_key(Reason::PacketNumbers);
        }
        // The key server may be another one, and sees it from what this one says.
        if self.server != Some(Server::Me) && !self.told_of_pn {
            self.told_of_pn = true;
            self.hello_soon(now);
        }
        self.after(now);
    }

    /// An operator wants a new SAK. Whether this station is one that can make it.
    pub fn rekey(&mut self, now: Time) -> bool {
        let is_server = self.server == Some(Server::Me);
        self.want_key(Reason::Request);
        self.after(now);
        is_server
    }

    /// When [`handle_timeout`](Self::handle_timeout) or [`poll_transmit`](Self::poll_transmit) is next to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        let ages = self.peers.iter().map(|peer| peer.expires);
        self.timers.next().into_iter().chain(ages).min()
    }

    /// What the SecY is to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.actions.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// Writes an MKPDU into `buffer`, if it is time, and says how long it is. `buffer` has room for 1514 octets, or as
    /// many as [`Config::max_frame`] allows; in less, some MKPDUs have no room and are not sent.
    pub fn poll_transmit(&mut self, now: Time, buffer: &mut [u8]) -> Option<usize> {
        if !self.timers.is_due(Timer::Hello, now) {
            return None;
        }
        if let Some(until) = self.silent_until {
            if now < until {
                self.timers.set(Timer::Hello, until);
                return None;
            }
            self.silent_until = None;
            self.take_new_mi(now);
        }
        let interval = match RAMP.get(self.ramp) {
            Some(millis) => Time::from_millis(*millis),
            None if self.is_bounded() => self.config.times.bounded_hello,
            None => self.config.times.hello,
        };
        self.ramp += 1;
        // Never long in step with another station. What two write at one time lists each by the MKPDU before, and some that
        // read both take that for the newer one, and list it so themselves: in time nobody has a recent number, and all
        // count as gone.
        let [sooner] = self.random.octets();
        let interval = interval.min(self.config.times.hello).mul_f64(1.0 - f64::from(sooner) / SOONER);
        self.timers.set(Timer::Hello, now + interval);
        self.last_sent = Some(now);
        // A number is never used twice.
        let Some(mn) = self.mn.checked_add(1) else {
            self.take_new_mi(now);
            return None;
        };
        self.mn = mn;
        self.sent.push_back((now, mn));
        let life = self.config.times.life;
        // The first one that is kept is the last that is older than a life time.
        while self.sent.get(1).is_some_and(|(at, _)| *at + life <= now) {
            self.sent.pop_front();
        }
        mkpdu::write(self, buffer)
    }

    /// How things are.
    pub fn status(&self, now: Time) -> Status {
        let used = self.cp.transmit_key().map(|key| key.identifier);
        Status {
            sci: self.config.sci,
            mi: self.mi,
            mn: self.mn,
            server: self.server,
            peers: self.peers.iter().map(|peer| peer.status(now, used)).collect(),
            sas: self.cp.status(),
            rekeys: self.cp.rekeys,
        }
    }

    /// Somebody bounds the time that frames may be on their way.
    fn is_bounded(&self) -> bool {
        let peer_wants = |peer: &Peer| peer.sak_use.as_ref().is_some_and(|said| said.delay_protect);
        self.config.delay_protect || self.peers.iter().any(|peer| peer.live && peer_wants(peer))
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.live)
    }

    pub(crate) fn live_scis(&self) -> Vec<Sci> {
        self.live().map(|peer| peer.sci).collect()
    }

    /// There is something to tell.
    pub(crate) fn hello_soon(&mut self, now: Time) {
        let earliest = self.last_sent.map_or(now, |last| (last + self.config.times.gap).max(now));
        self.timers.set_no_later(Timer::Hello, earliest);
    }

    /// Somebody else has this one's MI, or had it: nothing that names it means this station.
    pub(crate) fn take_new_mi(&mut self, now: Time) {
        // Nor does a key's name mean this one's: whoever has the MI has keys of the same numbers.
        let own = self.cp.all().map(|key| key.identifier).filter(|key| key.mi == self.mi);
        let own: Vec<KeyIdentifier> = own.collect();
        let live = self.live_scis();
        for key in own {
            self.cp.refuse(key, &live, &mut self.out);
        }
        self.former_mi = Some(self.mi);
        self.mi = MemberId(self.random.octets());
        (self.mn, self.ramp) = (0, 0);
        self.sent.clear();
        // What is handed out goes by the old one.
        self.key_server.kn = 0;
        self.key_server.handing_out = None;
        self.want_key(Reason::Members);
        self.out.events.push_back(Event::NewMemberIdentifier(self.mi));
        self.hello_soon(now);
    }

    /// A peer that was not heard before: where it is now.
    fn meet(&mut self, now: Time, basic: &BasicRepr<'_>) -> Result<usize, Ignored> {
        // Played back, it would take the place of what the station is now.
        if self.former_peers.iter().any(|(mi, mn, until)| *mi == basic.mi && basic.mn <= *mn && now < *until)
        {
            return Err(Ignored::Stale);
        }
        if self.peers.len() >= MAX_PEERS {
            // Live ones stay, whatever comes.
            let oldest = self.peers.iter().enumerate().filter(|(_, peer)| !peer.live);
            let (oldest, _) = oldest.min_by_key(|(_, peer)| peer.heard).ok_or(Ignored::TooMany)?;
            self.peers.remove(oldest);
        }
        self.peers.push(Peer {
            mi: basic.mi,
            mn: basic.mn,
            sci: basic.sci,
            priority: basic.priority,
            version: basic.version,
            live: false,
            heard: now,
            expires: now + self.config.times.life,
            knows: Vec::new(),
            sak_use: None,
            pn_high: [0; 2],
        });
        self.out.events.push_back(Event::PeerSeen { sci: basic.sci, mi: basic.mi });
        // It is listed sooner, and knows sooner that it is heard.
        self.hello_soon(now);
        Ok(self.peers.len() - 1)
    }

    fn read_sets(&mut self, now: Time, index: usize, pdu: &Mkpdu<'_>) {
        let mut lists_me = false;
        // As one that gets keys: whoever is only potential there may have had this key in an earlier life.
        let mut lists_me_live = false;
        let mut live_list = None;
        let mut distributed = None;
        // The high parts are those of the numbers beside them, and zero where a peer does not say them.
        let (mut sak_use, mut xpn) = (None, XpnRepr::default());
        let mut knows = std::mem::take(&mut self.peers[index].knows);
        knows.clear();
        for set in pdu.sets() {
            if let ParameterSet::LivePeerList(list) | ParameterSet::PotentialPeerList(list) = &set {
                knows.extend(list.iter().map(|(mi, _)| mi));
            }
            match set {
                ParameterSet::LivePeerList(list) => {
                    lists_me_live = self.lists_me(now, &list);
                    lists_me |= lists_me_live;
                    live_list = Some(list);
                }
                ParameterSet::PotentialPeerList(list) => lists_me |= self.lists_me(now, &list),
                // Some leave it out at times, and mean no change by that.
                ParameterSet::SakUse(Some(said)) => sak_use = Some(said),
                ParameterSet::Xpn(said) => xpn = said,
                ParameterSet::DistributedSak(sak) => distributed = Some(sak),
                _ => {}
            }
        }
        let peer = &mut self.peers[index];
        let mi = peer.mi;
        peer.knows = knows;
        if sak_use.is_some() {
            (peer.sak_use, peer.pn_high) = (sak_use, [xpn.latest_lpn_high, xpn.old_lpn_high]);
        }
        if lists_me {
            self.be_live(now, index);
        } else if !self.peers[index].live {
            self.peers[index].expires = now + self.config.times.life;
        }
        self.elect(now);
        // Those before it may be gone.
        let Some(index) = self.peers.iter().position(|peer| peer.mi == mi) else { return };
        if let Some(sak) = distributed
            && lists_me_live
            && self.server == Some(Server::Peer { sci: self.peers[index].sci, mi })
        {
            match self.accept_key(&self.peers[index], &sak, live_list.as_ref()) {
                Ok(Some(key)) => {
                    self.told_of_pn = false;
                    self.refused = None;
                    self.out.events.push_back(Event::SakReceived { key: key.identifier, an: key.an });
                    self.key_server.take(key.identifier);
                    self.cp.offer(key, &mut self.out);
                    if self.silent_until.take().is_some() {
                        // Nobody has forgotten it.
                        self.hello_soon(now);
                    }
                }
                Ok(None) => {}
                Err(refused) => {
                    self.refuse(mi, refused);
                    // The one in use was let go for another that came out of turn. It goes on being handed out, and to a
                    // new station a new one is.
                    if refused == Refused::UsedBefore {
                        self.come_anew(now);
                    }
                }
            }
        }
        if self.peers[index].live {
            self.take_back(index);
        }
        self.bound_delay(index);
        self.watch_packet_numbers(index);
    }

    /// Whether a list names this station, with a number that was used within a life time.
    fn lists_me(&mut self, now: Time, list: &PeerList<'_>) -> bool {
        let Some(mn) = list.find(self.mi) else { return false };
        if mn > self.mn {
            // Another station's, or this one's from before the last restart, which cannot be told apart.
            self.take_new_mi(now);
            return false;
        }
        let life = self.config.times.life;
        self.sent.iter().any(|(at, sent)| *sent <= mn && *at + life > now)
            || self.sent.back().is_some_and(|(_, last)| *last == mn)
    }

    /// A peer listed this station: it is there, and hears.
    fn be_live(&mut self, now: Time, index: usize) {
        let peer = &mut self.peers[index];
        peer.expires = now + self.config.times.life;
        if peer.live {
            return;
        }
        peer.live = true;
        let (sci, mi) = (peer.sci, peer.mi);
        // One that restarted, or took another MI: its channel stays, with what was received from it, so that nothing from
        // before is taken again, and nothing is lost of what it may still send.
        let has_channel = self.peers.iter().any(|peer| peer.live && peer.sci == sci && peer.mi != mi);
        let until = now + self.config.times.life;
        self.former_peers.retain(|(_, _, until)| now < *until);
        let before = self.peers.len();
        let former = self.peers.extract_if(.., |peer| peer.sci == sci && peer.mi != mi);
        self.former_peers.extend(former.map(|peer| (peer.mi, peer.mn, until)));
        if self.peers.len() < before {
            self.out.events.push_back(Event::PeerRestarted { sci });
        }
        let excess = self.former_peers.len().saturating_sub(MAX_PEERS);
        self.former_peers.drain(..excess);
        self.out.events.push_back(Event::PeerLive { sci, mi });
        if !has_channel {
            self.out.actions.push_back(Action::AddRxSc(sci));
            // It may have sent under a key for long: before it heard this station.
            let peer = self.peers.iter().find(|peer| peer.mi == mi);
            for key in
                self.cp.keys().filter(|key| key.is_for(sci) && !self.gone.contains(&(sci, key.identifier)))
            {
                let lowest_pn = peer.and_then(|peer| peer.next_pn(key)).unwrap_or(1).max(1);
                self.out.actions.push_back(Action::InstallRxSa { sci, key: key.clone(), lowest_pn });
            }
        }
        let (_, last) = self.key_server.joined.get_or_insert((now, now));
        *last = now;
        self.expect_key(now);
        self.want_key(Reason::Members);
        self.hello_soon(now);
    }

    /// One that went and came back is received from again once it says where it is: what it sent before is not taken
    /// again.
    fn take_back(&mut self, index: usize) {
        let peer = &self.peers[index];
        let Kay { cp, gone, out, .. } = self;
        gone.retain(|(sci, identifier)| {
            let key = cp.keys().find(|key| key.identifier == *identifier && key.is_for(peer.sci));
            let key = key.filter(|_| *sci == peer.sci);
            let Some((key, pn)) = key.and_then(|key| Some((key, peer.next_pn(key)?))) else { return true };
            out.actions.push_back(Action::InstallRxSa {
                sci: peer.sci,
                key: key.clone(),
                lowest_pn: pn.max(1),
            });
            false
        });
    }

    /// A live peer is gone.
    fn leave(&mut self, now: Time, sci: Sci) {
        let keys: Vec<KeyIdentifier> = self.cp.keys().map(|key| key.identifier).collect();
        self.gone.retain(|(_, key)| keys.contains(key));
        for key in keys {
            if !self.gone.contains(&(sci, key)) {
                self.gone.push((sci, key));
            }
        }
        self.out.actions.push_back(Action::RemoveRxSc(sci));
        self.expect_key(now);
        self.want_key(Reason::Members);
        self.hello_soon(now);
    }

    /// Elects the key server among the live (802.1X clause 9.5): the lowest priority, then the lowest SCI. 255 is not set
    /// apart: deployed peers have it by default and elect themselves all the same, and where all have it, somebody must.
    fn elect(&mut self, now: Time) {
        let me = (self.config.priority, self.config.sci);
        let best = self.live().min_by_key(|peer| (peer.priority, peer.sci));
        let server = best.map(|peer| {
            if me < (peer.priority, peer.sci) {
                Server::Me
            } else {
                Server::Peer { sci: peer.sci, mi: peer.mi }
            }
        });
        if server == self.server {
            return;
        }
        self.server = server;
        if server == Some(Server::Me) {
            // What another one handed out is not waited for.
            self.cp.forget_unclaimed();
        }
        self.out.events.push_back(Event::KeyServer(server));
        self.key_server.stop();
        self.timers.stop(Timer::Rekey);
        if server == Some(Server::Me) {
            self.want_key(Reason::Elected);
        }
        self.hello_soon(now);
    }

    /// Some key servers hand out nothing to a station that comes up right after they have handed something out, and never
    /// think of it again; some hand a SAK out once, and not again to one that lost the frame. Such a station leaves for as
    /// long as it takes to be forgotten, and for the key server to be ready for the next.
    fn mind_being_left_out(&mut self, now: Time) {
        let times = &self.config.times;
        let sci = match self.server {
            Some(Server::Peer { sci, mi }) if !self.refuses(mi) && self.lacks_key(mi) => sci,
            _ => {
                self.left_out = None;
                self.timers.stop(Timer::LeftOut);
                return;
            }
        };
        if self.timers.is_due(Timer::LeftOut, now) {
            self.left_out = None;
            self.timers.stop(Timer::LeftOut);
            let leave = times.life + times.transmit_delay + times.hello;
            self.silent_until = Some(now + leave);
            self.out.events.push_back(Event::LeftOut { sci, leave });
        } else if self.left_out.is_none() {
            self.left_out = Some(now);
            self.timers.set(Timer::LeftOut, now + 2 * times.life);
        }
    }

    /// What this key server gives is not what is wanted here, and would not be if this station began anew. Of what was
    /// refused for any other reason the next may well be taken; should there be no next, the station has been left out.
    fn refuses(&self, server: MemberId) -> bool {
        self.refused.is_some_and(|(mi, why)| mi == server && why.is_for_good())
    }

    /// There is no key, or the key server transmits under one that has not come here; and none on its way that is newer.
    fn lacks_key(&self, server: MemberId) -> bool {
        if self.cp.is_idle() {
            return true;
        }
        let peer = self.live().find(|peer| peer.mi == server);
        let Some(used) = peer.and_then(Peer::transmit_key) else { return false };
        let newer = |key: KeyIdentifier| key.mi == server && (used.mi != server || key.kn > used.kn);
        !self.cp.all().any(|key| key.identifier == used || newer(key.identifier))
    }

    /// The group is another one now. Its key server makes a key for it, and first may wait for it to be complete; what it
    /// made before it no longer hands out. Who goes on with a key of its own meanwhile waits for that, but not for ever.
    fn expect_key(&mut self, now: Time) {
        let life = self.config.times.life;
        if let Some(since) = self.left_out.filter(|_| !self.cp.is_idle()) {
            self.timers.set(Timer::LeftOut, (now + 2 * life).min(since + 5 * life));
        }
    }

    /// Everything that follows from what has changed.
    fn after(&mut self, now: Time) {
        if self.silent_until.is_none_or(|until| until <= now) {
            self.mind_being_left_out(now);
        }
        if self.server.is_none() {
            let had_keys = self.cp.disconnect(&mut self.timers, &mut self.out);
            self.key_server.stop();
            self.timers.stop(Timer::Distribute);
            self.timers.stop(Timer::Rekey);
            if had_keys {
                // Others may not have noticed, and would not hand out a key anew to one that had it. The one before is
                // gone with its packet numbers, and must not come back.
                self.take_new_mi(now);
            }
            return;
        }
        self.serve_keys(now);
        if self.step(now) {
            self.hello_soon(now);
        }
        // A step may settle what a key server waits for, and make a key.
        if self.serve_keys(now) && self.step(now) {
            self.hello_soon(now);
        }
    }

    /// Whether somebody who is live says that it transmits under the latest key.
    pub(crate) fn others_transmit(&self) -> bool {
        let next = self.cp.latest.as_ref().map(|key| key.identifier);
        next.is_some_and(|key| self.live().any(|peer| peer.transmits(key)))
    }

    fn step(&mut self, now: Time) -> bool {
        let live = self.live_scis();
        let next = self.cp.latest.as_ref().map(|key| key.identifier);
        let all_receive = next.is_some_and(|key| self.live().all(|peer| peer.receives(key)));
        let others_transmit = self.others_transmit();
        let server_transmits = match (self.server, next) {
            (Some(Server::Peer { mi, .. }), Some(key)) => {
                self.live().any(|peer| peer.mi == mi && peer.transmits(key))
            }
            _ => false,
        };
        let around = Around {
            now,
            times: &self.config.times,
            live: &live,
            is_server: self.server == Some(Server::Me),
            all_receive,
            others_transmit,
            server_transmits,
        };
        self.cp.step(&around, &mut self.timers, &mut self.out)
    }

    /// A key from the key server; none, where it is here already.
    fn accept_key(
        &self,
        server: &Peer,
        sak: &DistributedSak<'_>,
        live_list: Option<&PeerList<'_>>,
    ) -> Result<Option<SharedKey>, Refused> {
        let (kn, suite, wrapped) = match &sak.form {
            DistributedSakForm::PlainText => return Err(Refused::PlainText),
            DistributedSakForm::GcmAes128 { kn, wrapped } => (*kn, CipherSuite::GcmAes128, &wrapped[..]),
            DistributedSakForm::Suite { kn, suite, wrapped } => {
                (*kn, suite.map_err(|_| Refused::Suite(None))?, wrapped.octets())
            }
        };
        let identifier = KeyIdentifier { mi: server.mi, kn };
        if self.cp.has(identifier) {
            return Ok(None);
        }
        // A key that was left behind is not taken up again: its packet numbers would begin anew.
        if self.key_server.taken.iter().any(|taken| taken.mi == server.mi && kn <= taken.kn) {
            return Err(Refused::UsedBefore);
        }
        if !self.config.suites.contains(&suite) {
            return Err(Refused::Suite(Some(suite)));
        }
        // More in the clear than this side was told to leave.
        let octets = |offset: Option<ConfidentialityOffset>| offset.map_or(0, ConfidentialityOffset::octets);
        if self.config.confidentiality.is_some()
            && octets(sak.confidentiality_offset) > octets(self.config.confidentiality)
        {
            return Err(Refused::Offset);
        }
        let sscis = if suite.is_xpn() { self.sscis_of(server, live_list)? } else { Vec::new() };
        let unwrapped = self.kek.unwrap_sak(wrapped).map_err(|_| Refused::Unwrap)?;
        if !unwrapped.fits(suite) {
            return Err(Refused::Unwrap);
        }
        Ok(Some(Arc::new(Key {
            identifier,
            an: sak.an,
            sak: unwrapped,
            suite,
            confidentiality: sak.confidentiality_offset,
            salt: suite.is_xpn().then(|| Salt::for_sak(server.mi.0, kn)),
            sscis,
        })))
    }

    /// Who has which SSCI under a key that came beside this list: the list's order tells, where the key server says what
    /// it has itself; else the order of SCIs does.
    fn sscis_of(&self, server: &Peer, live_list: Option<&PeerList<'_>>) -> Result<Vec<(Sci, Ssci)>, Refused> {
        let list = live_list.ok_or(Refused::Malformed)?;
        let sci_of = |mi: MemberId| {
            let peer = self.peers.iter().find(|peer| peer.mi == mi).map(|peer| peer.sci);
            if mi == self.mi { Some(self.config.sci) } else { peer }
        };
        let mut scis = Vec::new();
        for (mi, _) in list.iter() {
            scis.push(sci_of(mi).ok_or(Refused::UnknownStation)?);
        }
        let of_server = u32::from(list.key_server_ssci());
        let sscis: Vec<(Sci, Ssci)> = if of_server == 0 {
            sscis_by_sci(scis.into_iter().chain([server.sci]))
        } else {
            let others = (1..).filter(|ssci| *ssci != of_server).map(Ssci);
            let listed = scis.into_iter().zip(others);
            listed.chain([(server.sci, Ssci(of_server))]).collect()
        };
        let mut seen: Vec<Sci> = sscis.iter().map(|(sci, _)| *sci).collect();
        seen.sort_unstable();
        seen.dedup();
        if seen.len() < sscis.len() {
            return Err(Refused::SharedSsci);
        }
        Ok(sscis)
    }

    /// Delay protection: what the peer would no longer send is no longer taken.
    fn bound_delay(&mut self, index: usize) {
        if !self.config.delay_protect {
            return;
        }
        let peer = &self.peers[index];
        let bounds = self.cp.keys().filter_map(|key| Some((key.an, peer.next_pn(key)?)));
        let raise =
            bounds.filter(|(_, pn)| *pn > 1).map(|(an, pn)| Action::RaiseLowestPn { sci: peer.sci, an, pn });
        self.out.actions.extend(raise);
    }

    /// A key server makes a new key in time for others too.
    fn watch_packet_numbers(&mut self, index: usize) {
        let peer = &self.peers[index];
        let near_end = |key: &SharedKey| peer.next_pn(key).is_some_and(|pn| pn >= pn_threshold(key.suite));
        // Of the older of two it does not matter any more.
        let newest = self.cp.latest.as_ref().or(self.cp.old.as_ref());
        if newest.is_some_and(near_end) {
            self.want_key(Reason::PacketNumbers);
        }
    }
}

/// From this packet number on there has to be another key (802.1X clause 9.8).
pub(crate) fn pn_threshold(suite: CipherSuite) -> u64 {
    if suite.is_xpn() { 0xc000_0000_0000_0000 } else { 0xc000_0000 }
}
