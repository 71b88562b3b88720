//! The KaY of one link, and what its actions mean to the link's SecY.

use crate::associations::{Associations, RxSaView, RxScView, TxSaView};
use crate::status::{LinkStatus, PeerStatus, Said};
use crate::story::{SILENCE, Story};
use crate::{Mark, TaskAddress, Workers};
use datapath::ControlPort;
use keys::KeyId;
use mka::{Action, Ignored, Kay, Key, KeyIdentifier, Server};
use secy::{Command, Retired, RxProgress, RxSa, RxSaCounters, RxSc, SaParams, TxSa, Xpn};
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{An, ConfidentialityOffset, MkpduWriter, Sci};

/// Time for frames in one poll. A flood of them must not keep this link's timers, or other links, waiting; nor must it fill
/// the ring, in which an MKPDU then finds no room.
const FRAMES_TIME: Duration = Duration::from_millis(1);
/// The clock is looked at after so many.
const FRAMES_A_LOOK: usize = 8;
/// Keys that this process remembers to have transmitted with, the latest. Each key server's are numbered, and refused by
/// the KaY when they come again; this is what remains when the KaY is wrong.
const REMEMBERED: usize = 4096;
/// A store that takes longer to answer is spoken of.
const SLOW_STORE: Duration = Duration::from_secs(2);
/// A store that could not note something is asked again after this.
const STORE_PAUSE: Duration = Duration::from_secs(1);
const NOT_NOTED: &str = "its use could not be noted in the state directory";

/// Remembers over restarts which keys were transmitted with. Under such a key, packet numbers must not begin anew.
///
/// It may take long, as disks do at times, and nobody waits for it: it is asked, and asked again only once it has answered.
pub trait KeyStore: Send {
    /// Has it noted that a key, with its part of nonces, is about to be used.
    fn ask(&mut self, id: KeyId);

    /// Once that is noted for good, whether the key is new; or why it cannot be noted, so that it is not to be used yet. None as
    /// long as there is no answer, or no question.
    fn answer(&mut self) -> Option<Result<bool, String>>;
}

/// What a link's key agreement is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The link's name.
    pub link: String,
    /// Of its KaY.
    pub kay: mka::Config,
    /// The task that protects.
    pub protect: TaskAddress,
    /// The task that verifies.
    pub verify: TaskAddress,
}

/// How far a receive channel that is not there any more had got under a key.
#[derive(Debug)]
struct HeardUpTo {
    sci: Sci,
    an: An,
    key: KeyIdentifier,
    progress: Arc<RxProgress>,
}

/// A key of another key server, of which it is to be known whether it is new.
#[derive(Clone, Copy, Debug)]
struct Claim {
    key: KeyIdentifier,
    id: KeyId,
    since: Instant,
    /// That it takes long, and that it failed, was said.
    slow_told: bool,
    failure_told: bool,
    /// The store failed, and is to be asked again then.
    again: Option<Instant>,
}

/// Key agreement of one link.
pub struct Agreement {
    settings: Settings,
    kay: Kay,
    port: ControlPort,
    store: Box<dyn KeyStore>,
    /// When the KaY's time began.
    epoch: Instant,
    sas: Associations,
    /// Channels that the SecY has yet to hand back.
    departing: Vec<RxScView>,
    /// Counts of those that it has.
    gone: Vec<(&'static str, u64)>,
    /// How far each of them had got under keys that are still in use.
    heard_up_to: Vec<HeardUpTo>,
    confirms: VecDeque<(u64, Mark)>,
    used: VecDeque<KeyId>,
    /// What the store has been asked about, and what it is to be asked about next.
    claim: Option<Claim>,
    next_claim: Option<Claim>,
    story: Story,
    heard: bool,
    silence_told: bool,
    /// Since when stations are heard that do not hear this side, and whether that was said.
    unheard: Option<(Instant, bool)>,
    /// The line took no MKPDU.
    line_full: bool,
    counts: Counts,
}

/// MKPDUs by what became of them.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    sent: u64,
    received: u64,
    wrong_icv: u64,
    other_ckn: u64,
    ignored: u64,
}

impl Agreement {
    /// Begins key agreement over a link's control path.
    pub fn new(settings: Settings, port: ControlPort, store: Box<dyn KeyStore>, now: Instant) -> Self {
        // A member identifier or a key that is not random must not come about, so there is nothing to go on with.
        let random =
            Box::new(|octets: &mut [u8]| getrandom::fill(octets).expect("the system's random numbers"));
        let story = Story::new(&settings.link);
        tracing::info!(
            link = settings.link, sci = %settings.kay.sci, ckn = %settings.kay.ckn, priority = settings.kay.priority,
            "looks for stations with the same CAK"
        );
        Agreement {
            kay: Kay::new(settings.kay.clone(), random, Duration::ZERO),
            settings,
            port,
            store,
            epoch: now,
            sas: Associations::default(),
            departing: Vec::new(),
            gone: Vec::new(),
            heard_up_to: Vec::new(),
            confirms: VecDeque::new(),
            used: VecDeque::new(),
            claim: None,
            next_claim: None,
            story,
            heard: false,
            silence_told: false,
            unheard: None,
            line_full: false,
            counts: Counts::default(),
        }
    }

    /// Takes in what has come, and does what it is time for.
    pub fn poll(&mut self, now: Instant, workers: &mut Workers) {
        self.take_frames(now, workers, Instant::now);
        while let Some((number, mark)) = self.confirms.front()
            && workers.has_reached(mark)
        {
            let number = *number;
            self.confirms.pop_front();
            self.kay.handle_done(self.time(now), number);
            self.drain(now, workers);
        }
        self.mind_claims(now);
        self.drain(now, workers);
        for an in An::ALL {
            self.tell_next_pn(now, an);
        }
        if self.kay.poll_timeout().is_some_and(|at| at <= self.time(now)) {
            self.kay.handle_timeout(self.time(now));
        }
        self.drain(now, workers);
        self.mind_one_way(now);
        if !self.heard && !self.silence_told && now.saturating_duration_since(self.epoch) > SILENCE {
            self.silence_told = true;
            self.story.warning(
                now,
                format!(
                    "no MKPDU has come for {} s: is the other side up, and do bridges between pass 01-80-c2-00-00-03?",
                    SILENCE.as_secs()
                ),
            );
        }
    }

    /// One of the link's tasks has something to say.
    pub fn handle_event(&mut self, now: Instant, workers: &mut Workers, event: secy::Event) {
        match event {
            secy::Event::PnPending(an) => self.tell_next_pn(now, an),
            secy::Event::PnExhausted(an) => {
                let text =
                    format!("the packet numbers of AN {an} are used up: nothing is sent until the next SAK");
                self.story.error(now, text);
            }
            secy::Event::Retired(Retired::RxSc(sc)) => {
                self.catch_up(workers, sc.sci());
                let place = self.departing.iter().position(|view| view.sci == sc.sci());
                if let Some(view) = place.map(|place| self.departing.remove(place)) {
                    add(&mut self.gone, view.values());
                }
            }
            secy::Event::Retired(_) => {}
            secy::Event::Refused(command) => {
                self.story.error(now, format!("the SecY refused a command: {command:?}"));
            }
        }
        self.drain(now, workers);
    }

    /// Somebody wants a new SAK. Whether this side is the one that makes it.
    pub fn rekey(&mut self, now: Instant, workers: &mut Workers) -> bool {
        let made = self.kay.rekey(self.time(now));
        self.drain(now, workers);
        made
    }

    /// How many MKPDUs of a station that lives should have come since its last, the greatest number of any; a quarter of a hello
    /// time is granted.
    pub fn overdue(&self, now: Instant) -> u32 {
        let hello = self.settings.kay.times.hello;
        let status = self.kay.status(self.time(now));
        let oldest = status.peers.iter().filter(|peer| peer.live).map(|peer| peer.age).max();
        oldest.map_or(0, |age| age.saturating_sub(hello / 4).div_duration_f64(hello) as u32)
    }

    /// Whether data of the line make way for MKPDUs: [`ControlPort::make_way`].
    pub fn make_way(&self, make_way: bool) {
        self.port.make_way(make_way);
    }

    /// The SAs in place.
    pub fn associations(&self) -> &Associations {
        &self.sas
    }

    /// Counts of receive channels that are not there any more.
    pub fn gone(&self) -> Vec<(&'static str, u64)> {
        let mut gone = self.gone.clone();
        add(&mut gone, self.departing.iter().flat_map(RxScView::values));
        gone
    }

    /// MKPDUs and keys, by name.
    pub fn counts(&self) -> [(&'static str, u64); 6] {
        let Counts { sent, received, wrong_icv, other_ckn, ignored } = self.counts;
        [
            ("MkpdusTx", sent),
            ("MkpdusRx", received),
            ("MkpdusWrongIcv", wrong_icv),
            ("MkpdusOtherCkn", other_ckn),
            ("MkpdusIgnored", ignored),
            ("Rekeys", self.kay.status(Duration::ZERO).rekeys),
        ]
    }

    /// The link's key agreement at a glance; its counters are somebody else's.
    pub fn status(&self, now: Instant) -> LinkStatus {
        let status = self.kay.status(self.time(now));
        let sci = status.sci;
        LinkStatus {
            link: self.settings.link.clone(),
            keys: "mka".to_owned(),
            sci: sci.to_string(),
            // Of what nobody receives nothing is secured.
            secured: self.sas.is_secured() && status.peers.iter().any(|peer| peer.live && peer.receives),
            key_server: status.server.map(|server| match server {
                Server::Me => sci.to_string(),
                Server::Peer { sci, .. } => sci.to_string(),
            }),
            is_key_server: status.server == Some(Server::Me),
            ckn: Some(self.settings.kay.ckn.to_string()),
            mi: Some(status.mi.to_string()),
            mn: Some(status.mn),
            peers: status
                .peers
                .iter()
                .map(|peer| PeerStatus {
                    sci: peer.sci.to_string(),
                    mi: peer.mi.to_string(),
                    mn: peer.mn,
                    live: peer.live,
                    receives: peer.receives,
                    priority: peer.priority,
                    version: peer.version,
                    age_ms: peer.age.as_millis() as u64,
                })
                .collect(),
            tx_sas: self.sas.tx_status(),
            rx_sas: self.sas.rx_status(),
            rekeys: status.rekeys,
            last_error: self.story.last_error.as_ref().map(|(text, at)| Said {
                text: text.clone(),
                age_s: now.saturating_duration_since(*at).as_secs(),
            }),
            ..LinkStatus::default()
        }
    }

    /// Stations that are heard and do not hear this side for long: frames get lost in one direction.
    fn mind_one_way(&mut self, now: Instant) {
        let status = self.kay.status(self.time(now));
        let unheard = status.peers.first().filter(|_| status.peers.iter().all(|peer| !peer.live));
        self.unheard = match (unheard, self.unheard) {
            (None, _) => None,
            (Some(_), None) => Some((now, false)),
            (Some(peer), Some((since, false))) if now.saturating_duration_since(since) > SILENCE => {
                let sci = peer.sci;
                let text = "do frames get through that way, and does it take MKA of this version?";
                self.story
                    .warning(now, format!("station {sci} is heard, but does not hear this side: {text}"));
                Some((since, true))
            }
            (Some(_), known) => known,
        };
    }

    fn time(&self, now: Instant) -> mka::Time {
        now.saturating_duration_since(self.epoch)
    }

    /// Takes the frames that wait, or as many as there is time for.
    fn take_frames(&mut self, now: Instant, workers: &mut Workers, clock: impl Fn() -> Instant) {
        let start = clock();
        // Those that come meanwhile are for the next poll.
        for n in 1..=self.port.waiting() {
            if !self.take_frame(now) {
                break;
            }
            self.drain(now, workers);
            if n % FRAMES_A_LOOK == 0 && clock().saturating_duration_since(start) >= FRAMES_TIME {
                break;
            }
        }
    }

    /// Whether there was a frame.
    fn take_frame(&mut self, now: Instant) -> bool {
        let time = self.time(now);
        let Agreement { port, kay, story, counts, heard, .. } = self;
        let taken = port.receive(|frame| match kay.handle_frame(time, frame) {
            Ok(()) => {
                counts.received += 1;
                *heard = true;
            }
            Err(why) => {
                match why {
                    Ignored::Icv => counts.wrong_icv += 1,
                    Ignored::OtherCkn => counts.other_ckn += 1,
                    _ => counts.ignored += 1,
                }
                // Somebody is there, and is complained of by what is wrong with it.
                *heard |= matches!(why, Ignored::Icv | Ignored::OtherCkn | Ignored::SameSci);
                story.complain(now, why, frame);
            }
        });
        taken.is_some()
    }

    fn tell_next_pn(&mut self, now: Instant, an: An) {
        let time = self.time(now);
        if let Some(TxSaView { key: Some(key), gate, .. }) = &self.sas.tx[an.index()] {
            // What is said overtakes frames that other cores have: these are not too old.
            self.kay.handle_next_pn(time, *key, gate.lowest());
        }
    }

    /// Does all that the KaY wants done.
    fn drain(&mut self, now: Instant, workers: &mut Workers) {
        loop {
            while let Some(action) = self.kay.poll_action() {
                self.act(now, workers, action);
            }
            let mut buffer = [0; MkpduWriter::MAX_FRAME_LEN];
            while let Some(len) = self.kay.poll_transmit(self.time(now), &mut buffer) {
                let taken = self.port.send(&buffer[..len]);
                self.counts.sent += u64::from(taken);
                if !taken && !self.line_full {
                    self.story.warning(now, "the line takes no MKPDUs: is the port up?".to_owned());
                }
                self.line_full = !taken;
            }
            let Some(event) = self.kay.poll_event() else { return };
            self.story.tell(now, &event);
        }
    }

    fn act(&mut self, now: Instant, workers: &mut Workers, action: Action) {
        let Settings { protect, verify, .. } = self.settings;
        match action {
            Action::AddRxSc(sci) if self.sas.channel(sci).is_none() => {
                let sc = RxSc::new(sci);
                self.sas.rx.push(RxScView::new(sci, sc.counters()));
                workers.send(verify, Command::AddRxSc(sc));
            }
            Action::AddRxSc(_) => {}
            Action::RemoveRxSc(sci) => {
                if let Some(place) = self.sas.rx.iter().position(|sc| sc.sci == sci) {
                    let view = self.sas.rx.swap_remove(place);
                    for (an, sa) in An::ALL.iter().zip(&view.sas) {
                        let Some(RxSaView { key: Some(key), progress, .. }) = sa else { continue };
                        // One of before counts as long as the SecY has it.
                        self.heard_up_to.retain(|heard| {
                            heard.sci != sci || heard.key != *key || Arc::strong_count(&heard.progress) > 1
                        });
                        self.heard_up_to.push(HeardUpTo {
                            sci,
                            an: *an,
                            key: *key,
                            progress: progress.clone(),
                        });
                    }
                    self.departing.push(view);
                    workers.send(verify, Command::RemoveRxSc(sci));
                }
            }
            Action::InstallRxSa { sci, key, lowest_pn } => {
                if self.sas.rx_key(sci, key.an) != Some(key.identifier) {
                    self.install_rx(now, workers, sci, &key, lowest_pn);
                }
            }
            Action::RemoveRxSa { sci, an } => {
                if self.sas.channel(sci).and_then(|sc| sc.sas[an.index()].take()).is_some() {
                    workers.send(verify, Command::RemoveRxSa { sci, an });
                }
            }
            Action::Claim(key) => self.claim(now, &key),
            Action::InstallTxSa(key) => {
                let known = self.sas.tx[key.an.index()].as_ref().and_then(|sa| sa.key);
                if known != Some(key.identifier) {
                    self.install_tx(now, workers, &key);
                }
            }
            Action::RemoveTxSa(an) => {
                // With it goes all that is received under its key.
                self.heard_up_to.retain(|heard| heard.an != an);
                if self.sas.tx[an.index()].take().is_some() {
                    workers.send(protect, Command::RemoveTxSa(an));
                }
            }
            Action::EncodeWith(an) => {
                // Where it could not be put in place, there is nothing to transmit with.
                let an = an.filter(|an| self.sas.tx[an.index()].is_some());
                self.sas.encoding = an;
                workers.send(protect, Command::EncodeWith(an));
            }
            Action::RaiseLowestPn { sci, an, pn } => {
                if self.sas.channel(sci).is_some_and(|sc| sc.sas[an.index()].is_some()) {
                    workers.send(verify, Command::RaiseLowestPn { sci, an, pn });
                }
            }
            Action::Confirm(number) => {
                self.confirms.push_back((number, workers.mark([protect, verify])));
            }
        }
    }

    fn install_rx(&mut self, now: Instant, workers: &mut Workers, sci: Sci, key: &Key, lowest_pn: u64) {
        // What was received before the channel went is not taken again, wherever the station says that it is: some do not say
        // the high part of an XPN.
        let heard = self.heard_up_to.iter().filter(|heard| heard.sci == sci && heard.key == key.identifier);
        let first_pn = heard.map(|heard| heard.progress.next_pn()).max().unwrap_or(1).max(lowest_pn);
        let params = SaParams { first_pn, ..params(key, sci) };
        let sa = match RxSa::new(&params) {
            Ok(sa) => sa,
            Err(e) => {
                return self.story.error(
                    now,
                    format!("nothing is received from {sci} under SAK {}: {e}", key.identifier.kn),
                );
            }
        };
        let Some(channel) = self.sas.channel(sci) else { return };
        channel.sas[key.an.index()] =
            Some(RxSaView { key: Some(key.identifier), counters: sa.counters(), progress: sa.progress() });
        workers.send(self.settings.verify, Command::InstallRxSa { sci, an: key.an, sa: Box::new(sa) });
    }

    /// A channel has gone for good. What came in it after its successor was made is not taken again either.
    fn catch_up(&mut self, workers: &mut Workers, sci: Sci) {
        for HeardUpTo { an, key, progress, .. } in self.heard_up_to.iter().filter(|heard| heard.sci == sci) {
            if self.sas.rx_key(sci, *an) == Some(*key) {
                let raise = Command::RaiseLowestPn { sci, an: *an, pn: progress.next_pn() };
                workers.send(self.settings.verify, raise);
            }
        }
    }

    fn install_tx(&mut self, now: Instant, workers: &mut Workers, key: &Key) {
        let params = params(key, self.settings.kay.sci);
        // Numbers are not reserved as those of static keys are: no later life has this key.
        let sa = match TxSa::new(&params, u64::MAX) {
            Ok(sa) => sa,
            Err(e) => {
                return self
                    .story
                    .error(now, format!("nothing can be sent under SAK {}: {e}", key.identifier.kn));
            }
        };
        self.sas.tx[key.an.index()] = Some(TxSaView {
            key: Some(key.identifier),
            suite: key.suite,
            counters: sa.counters(),
            gate: sa.gate(),
        });
        workers.send(self.settings.protect, Command::InstallTxSa { an: key.an, sa: Box::new(sa) });
    }

    /// This side is about to transmit under a key, which it must never have done before, in this life or an earlier one.
    fn claim(&mut self, now: Instant, key: &Key) {
        // Whatever SSCI it has under it: a key server that hands a SAK out again may list its stations otherwise, and under
        // the SSCI that this one has now another had the same nonces.
        let id = key.sak.id(&self.settings.kay.sci.to_bytes());
        let claim =
            Claim { key: key.identifier, id, since: now, slow_told: false, failure_told: false, again: None };
        if self.used.contains(&id) {
            self.settle(now, claim, false);
        } else if claim.key.mi == self.kay.status(Duration::ZERO).mi {
            // What this side made itself was drawn at random a moment ago.
            self.settle(now, claim, true);
        } else {
            // Of those that wait the KaY wants only the last.
            self.next_claim = Some(claim);
            self.mind_claims(now);
        }
    }

    /// Takes the store's answer, and asks it what is next. A key whose use cannot be noted waits until it can: another one
    /// would fare no better, and be a change of keys for all other stations.
    fn mind_claims(&mut self, now: Instant) {
        if let Some(mut claim) = self.claim.take() {
            if claim.again.is_none() {
                match self.store.answer() {
                    Some(Ok(new)) => {
                        self.settle(now, claim, new);
                    }
                    Some(Err(e)) => {
                        if !mem::replace(&mut claim.failure_told, true) {
                            self.story
                                .error(now, format!("SAK {} waits, since {NOT_NOTED}: {e}", claim.key.kn));
                        }
                        claim.again = Some(now + STORE_PAUSE);
                    }
                    None => {
                        let slow = now.saturating_duration_since(claim.since) > SLOW_STORE;
                        if slow && !mem::replace(&mut claim.slow_told, true) {
                            let text = format!(
                                "SAK {} waits, since for {} s {NOT_NOTED}; does the disk answer?",
                                claim.key.kn,
                                SLOW_STORE.as_secs()
                            );
                            self.story.warning(now, text);
                        }
                        return self.claim = Some(claim);
                    }
                }
            }
            if let Some(again) = claim.again
                && self.next_claim.is_none()
            {
                if again <= now {
                    claim.again = None;
                    self.store.ask(claim.id);
                }
                return self.claim = Some(claim);
            }
        }
        if let Some(next) = self.next_claim.take() {
            self.store.ask(next.id);
            self.claim = Some(next);
        }
    }

    /// Tells the KaY whether a key is new, and so this station's to use.
    fn settle(&mut self, now: Instant, claim: Claim, new: bool) {
        let time = self.time(now);
        if !new {
            return self.kay.handle_refused(time, claim.key);
        }
        if self.used.len() == REMEMBERED {
            self.used.pop_front();
        }
        self.used.push_back(claim.id);
        self.kay.handle_claimed(time, claim.key);
    }
}

/// What makes an SA of `sci` under a key, from the first packet number on.
fn params(key: &Key, sci: Sci) -> SaParams<'_> {
    let xpn = key.ssci(sci).zip(key.salt).map(|(ssci, salt)| Xpn { ssci, salt });
    // Where the key server wants no encryption, frames that are encrypted all the same have no offset.
    let offset = key.confidentiality.unwrap_or(ConfidentialityOffset::None);
    SaParams { suite: key.suite, sak: &key.sak, sci, xpn, offset, first_pn: 1 }
}

/// Adds counts up by name.
fn add(sums: &mut Vec<(&'static str, u64)>, values: impl Iterator<Item = (&'static str, u64)>) {
    if sums.is_empty() {
        sums.extend(RxSaCounters::default().values());
    }
    for (name, n) in values {
        if let Some((_, sum)) = sums.iter_mut().find(|(known, _)| *known == name) {
            *sum += n;
        }
    }
}

#[cfg(test)]
#[path = "agreement_tests.rs"]
mod tests;
