//! A LAN with MKA stations on it, and a clock that jumps from one thing that happens to the next.
//!
//! Frames may be lost (between all stations, or from one to another only), doubled, held up (and so overtaken), or kept
//! in one part of the LAN. All is drawn from one seed. Each station has a SecY that does what it is told a little later,
//! as a worker core does, and sends frames of its own. Everything that must never happen is looked for at every step:
//!
//! - a packet number that a station uses twice under one SAK, in one life or in two, or a SAK that it begins with twice;
//! - a key server that transmits under a SAK while some peer that it takes for live has never put it in place, unless the
//!   transmit delay ran out;
//! - another station that does before the key server that made it;
//! - a station that no longer takes what a peer is still to send under a SAK;
//! - a peer that does not know the CAK;
//! - on a LAN without faults, an SA that is taken away while somebody still transmits under it, or that is not there
//!   when somebody begins to.

mod secy;

use crate::quirks::{Quirk, Sent, Touched};
use fastrand::Rng;
use keys::{Cak, Ckn};
use mka::{Action, Config, Event, Kay, Key, KeyIdentifier, Server, Time};
use secy::{RxSa, Secy, TxSa};
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use wire::{An, MacAddr, Sci};

/// How long after it was told a SecY has done something, at most, where nothing else is said.
const SECY_DELAY: Time = Time::from_millis(5);
/// Lines of a tale.
const LINES: usize = 600;
/// Times that a station may want to be called at one moment.
const SPINS: u32 = 10_000;

/// What the LAN does to frames.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Of a hundred frames to one station, so many are lost.
    pub loss: u8,
    /// Of a hundred, so many come twice.
    pub duplicates: u8,
    /// A frame is on its way for so long at most; who is held up longer is overtaken.
    pub delay: Time,
}

impl Faults {
    /// A LAN as it should be.
    pub const NONE: Faults = Faults { loss: 0, duplicates: 0, delay: Time::from_micros(50) };

    fn is_none(&self) -> bool {
        self.loss == 0 && self.duplicates == 0 && self.delay <= Faults::NONE.delay
    }
}

/// A station on the LAN.
#[derive(Debug)]
pub struct Station {
    /// What it is told each time it starts.
    pub config: Config,
    /// What it runs; none while it is down.
    pub kay: Option<Kay>,
    /// Where it is on a LAN in pieces.
    pub part: u8,
    /// How its MKPDUs differ from those of its KaY.
    pub quirk: Option<Quirk>,
    /// So many keys it will say it has used before.
    pub refuses: u32,
    /// Its SecY does what it is told, and does not say so before the LAN is well again.
    pub mute: bool,
    /// How long its SecY takes for what it is told, at most.
    pub secy_delay: Time,
    /// How long it takes to know whether it used a key of another station before, at most.
    pub claim_delay: Time,
    /// So many frames it sends, at most, from one thing that happens to it to the next.
    pub busy: u64,
    life: u32,
    secy: Secy,
    /// When the last frame to it comes.
    last_comes: Time,
    /// If it is touchy.
    sent: Sent,
    /// When it is to be called next, as the LAN knows.
    wake: Option<Time>,
}

impl Station {
    /// Its SCI.
    pub fn sci(&self) -> Sci {
        self.config.sci
    }

    /// What it transmits under.
    pub fn transmits(&self) -> Option<KeyIdentifier> {
        self.secy.encodes().map(|sa| sa.key.identifier)
    }

    /// The lowest PN that it takes from anybody under the AN that it transmits with itself.
    pub fn raised_to(&self) -> u64 {
        let Some(an) = self.secy.encoding else { return 1 };
        self.secy.rx.values().filter_map(|ans| Some(ans[an.index()]?.lowest_pn)).max().unwrap_or(1)
    }

    /// Whether it receives what that station transmits under that key.
    pub fn receives(&self, from: Sci, key: KeyIdentifier) -> bool {
        self.secy.rx.get(&from).is_some_and(|ans| ans.iter().flatten().any(|sa| sa.key == key))
    }

    /// Whether both know one CAK.
    pub fn is_with(&self, other: &Station) -> bool {
        self.config.cak == other.config.cak && self.config.ckn == other.config.ckn
    }
}

/// A key that a station is to know of whether it used it before.
#[derive(Debug)]
struct Claimed(Arc<Key>);

impl Claimed {
    fn identifier(&self) -> ([u8; 12], u32) {
        (self.0.identifier.mi.0, self.0.identifier.kn)
    }
}

impl PartialEq for Claimed {
    fn eq(&self, other: &Self) -> bool {
        self.identifier() == other.identifier()
    }
}

impl Eq for Claimed {}

impl PartialOrd for Claimed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Claimed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identifier().cmp(&other.identifier())
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Frame {
        to: usize,
        life: u32,
        octets: Arc<[u8]>,
    },
    /// The SecY has done what it was to have done by then.
    Secy {
        station: usize,
        life: u32,
    },
    /// A station knows whether it used a key before.
    Claim {
        station: usize,
        life: u32,
        key: Claimed,
    },
    /// The KaY wants to be called.
    Wake {
        station: usize,
    },
}

/// A line of the tale, put into words only when somebody asks.
#[derive(Debug)]
enum Line {
    Text(&'static str),
    Event(Event),
    Wrong(String),
}

/// What a station did under a SAK.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    begun: bool,
    highest_pn: u64,
}

/// Everything that is on the LAN.
#[derive(Debug)]
pub struct Lan {
    /// The stations.
    pub stations: Vec<Station>,
    /// What happens to frames.
    pub faults: Faults,
    /// However long a frame to a station is held up, none overtakes it.
    pub in_order: bool,
    /// Everything that happened to be worth a line, the latest last.
    story: VecDeque<(Time, Sci, Line)>,
    /// The first thing that must never happen and did.
    wrong: Option<String>,
    /// SAKs that were made.
    pub made: u64,
    /// Times that somebody transmitted although not all had said that they receive.
    pub delayed: u64,
    now: Time,
    random: Rng,
    order: u64,
    coming: BinaryHeap<Reverse<(Time, u64, What)>>,
    /// Who was to transmit under which SAK, in whatever life: where to look in `used`.
    transmitters: HashMap<(Vec<u8>, Sci), usize>,
    used: Vec<Used>,
    /// Who began to transmit under which SAK.
    began: HashSet<(Sci, KeyIdentifier)>,
    /// Of a hundred frames from the first to the second, so many more are lost.
    pairs: HashMap<(usize, usize), u8>,
    buffer: Box<[u8]>,
    /// Calls at this moment.
    spins: (Time, u32),
    /// Since when nothing has been wrong with the LAN.
    clean_since: Time,
}

impl Lan {
    /// An empty LAN.
    pub fn new(seed: u64) -> Self {
        Lan {
            stations: Vec::new(),
            faults: Faults::NONE,
            in_order: false,
            story: Default::default(),
            wrong: None,
            made: 0,
            delayed: 0,
            now: Time::ZERO,
            random: Rng::with_seed(seed),
            order: 0,
            coming: BinaryHeap::new(),
            transmitters: HashMap::new(),
            used: Vec::new(),
            began: HashSet::new(),
            pairs: HashMap::new(),
            buffer: vec![0; 1514].into(),
            spins: (Time::ZERO, 0),
            clean_since: Time::ZERO,
        }
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Numbers for whoever arranges what happens, from the same seed.
    pub fn random(&mut self) -> &mut Rng {
        &mut self.random
    }

    /// A configuration for station `number`, with a CAK that all have.
    pub fn config(number: u16) -> Config {
        let [high, low] = number.to_be_bytes();
        let sci = Sci::new(MacAddr([2, 0, 0, 0, high, low]), 1);
        Config::new(sci, Cak::from_octets(&[0x5a; 16]).unwrap(), Ckn::from_hex("0123456789abcdef").unwrap())
    }

    /// Adds a station that is down.
    pub fn add(&mut self, config: Config) -> usize {
        self.stations.push(Station {
            config,
            kay: None,
            part: 0,
            quirk: None,
            refuses: 0,
            mute: false,
            secy_delay: SECY_DELAY,
            claim_delay: SECY_DELAY,
            busy: 0,
            life: 0,
            secy: Secy::default(),
            last_comes: Time::ZERO,
            sent: Sent::default(),
            wake: None,
        });
        self.stations.len() - 1
    }

    /// Starts a station, or starts it anew.
    pub fn start(&mut self, number: usize) {
        self.start_as(number, None);
    }

    /// The same; its member identifier may be given.
    pub fn start_as(&mut self, number: usize, mi: Option<[u8; 12]>) {
        let mut random = self.random.fork();
        let mut mi = mi;
        let source = Box::new(move |octets: &mut [u8]| match mi.take() {
            Some(mi) => octets.copy_from_slice(&mi),
            None => random.fill(octets),
        });
        let now = self.now;
        let station = &mut self.stations[number];
        station.life += 1;
        station.secy = Secy::default();
        if station.quirk == Some(Quirk::Touchy) {
            // It listens first.
            station.sent = Sent::from(now + Time::from_millis(self.random.u64(0..2000)));
        }
        station.kay = Some(Kay::new(station.config.clone(), source, now));
        self.tell(number, Line::Text("starts"));
        self.clean_since = self.now;
    }

    /// Takes a station down.
    pub fn stop(&mut self, number: usize) {
        self.stations[number].kay = None;
        self.stations[number].secy = Secy::default();
        self.tell(number, Line::Text("is down"));
        self.clean_since = self.now;
    }

    /// Nothing is wrong with the LAN from now on, nor with SecYs, slow ones apart.
    pub fn heal(&mut self) {
        self.faults = Faults::NONE;
        self.pairs.clear();
        self.clean_since = self.now;
        for number in 0..self.stations.len() {
            let station = &mut self.stations[number];
            (station.part, station.refuses, station.mute) = (0, 0, false);
            station.claim_delay = SECY_DELAY;
            let unsaid = std::mem::take(&mut station.secy.unsaid);
            for done in unsaid {
                self.with(number, |kay, now| kay.handle_done(now, done));
            }
        }
    }

    /// Changes what happens to frames.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.clean_since = self.now;
    }

    /// Puts a station into another part of the LAN.
    pub fn move_to(&mut self, number: usize, part: u8) {
        self.stations[number].part = part;
        self.clean_since = self.now;
    }

    /// Loses more of the frames that one station sends to another: so many of a hundred.
    pub fn lose_from(&mut self, from: usize, to: usize, loss: u8) {
        self.pairs.insert((from, to), loss);
        self.clean_since = self.now;
    }

    /// A station has sent frames until its next packet number, under what it transmits with, is this one.
    pub fn use_up(&mut self, number: usize, pn: u64) {
        if let Some(sa) = self.stations[number].secy.encodes_mut()
            && sa.next_pn < pn
        {
            sa.next_pn = pn;
            self.used[sa.used].highest_pn = pn - 1;
            self.report_pn(number);
            self.drain(number);
        }
    }

    /// Tells a station something.
    pub fn with(&mut self, number: usize, tell: impl FnOnce(&mut Kay, Time)) {
        let now = self.now;
        if let Some(kay) = &mut self.stations[number].kay {
            tell(kay, now);
        }
        self.drain(number);
    }

    /// Asks a key server for a new SAK.
    pub fn rekey(&mut self) {
        for number in 0..self.stations.len() {
            self.with(number, |kay, now| {
                kay.rekey(now);
            });
        }
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// What must never happen and did, with what came before.
    pub fn run(&mut self, time: Time) -> Result<(), String> {
        let end = self.now + time;
        // Others may have spoken to KaYs since.
        (0..self.stations.len()).for_each(|number| self.schedule(number));
        while let Some(Reverse((at, ..))) = self.coming.peek()
            && *at <= end
        {
            let Some(Reverse((at, _, what))) = self.coming.pop() else { break };
            self.now = self.now.max(at);
            if let Some(number) = self.happen(at, what) {
                self.drain(number);
            }
            if let Some(wrong) = &self.wrong {
                return Err(format!("{wrong}\n{}", self.tale()));
            }
        }
        self.now = end;
        Ok(())
    }

    /// Whether all stations that are up have one key server and transmit under one SAK, which all receive.
    ///
    /// # Errors
    /// Why not.
    pub fn agreed(&self) -> Result<KeyIdentifier, String> {
        self.agreed_with(|_| true)
    }

    /// The same, of those that know the CAK that this one knows.
    ///
    /// # Errors
    /// Why not.
    pub fn agreed_around(&self, number: usize) -> Result<KeyIdentifier, String> {
        self.agreed_with(|station| station.is_with(&self.stations[number]))
    }

    fn agreed_with(&self, of: impl Fn(&Station) -> bool) -> Result<KeyIdentifier, String> {
        let up = self.stations.iter().filter(|station| station.kay.is_some() && of(station));
        let up: Vec<&Station> = up.collect();
        let Some(first) = up.first() else { return Err("nobody is up".to_owned()) };
        let key = first.transmits().ok_or_else(|| format!("{} transmits under nothing", first.sci()))?;
        let server = self.server_of(first);
        for station in &up {
            if station.transmits() != Some(key) {
                return Err(format!(
                    "{} transmits under {:?}, not {key}",
                    station.sci(),
                    station.transmits()
                ));
            }
            if self.server_of(station) != server {
                return Err(format!("{} has another key server than {}", station.sci(), first.sci()));
            }
            for other in up.iter().filter(|other| other.sci() != station.sci()) {
                if !other.receives(station.sci(), key) {
                    return Err(format!("{} does not receive {key} from {}", other.sci(), station.sci()));
                }
            }
        }
        Ok(key)
    }

    fn server_of(&self, station: &Station) -> Option<Sci> {
        match station.kay.as_ref()?.status(self.now).server? {
            Server::Me => Some(station.sci()),
            Server::Peer { sci, .. } => Some(sci),
        }
    }

    /// What happened lately.
    pub fn tale(&self) -> String {
        let line = |(now, sci, line): &(Time, Sci, Line)| {
            let now = now.as_secs_f64();
            match line {
                Line::Text(text) => format!("{now:10.3} {sci} {text}\n"),
                Line::Event(event) => format!("{now:10.3} {sci} {event:?}\n"),
                Line::Wrong(wrong) => format!("{now:10.3} {sci} WRONG: {wrong}\n"),
            }
        };
        self.story.iter().map(line).collect()
    }

    fn tell(&mut self, number: usize, line: Line) {
        if self.story.len() == LINES {
            self.story.pop_front();
        }
        self.story.push_back((self.now, self.stations[number].sci(), line));
    }

    fn is_wrong(&mut self, number: usize, wrong: String) {
        let sci = self.stations[number].sci();
        self.wrong.get_or_insert_with(|| format!("{:10.3} {sci} {wrong}", self.now.as_secs_f64()));
        self.tell(number, Line::Wrong(wrong));
    }

    /// Something happens. To whom, if that one has to be asked what it wants now.
    fn happen(&mut self, at: Time, what: What) -> Option<usize> {
        let now = self.now;
        match what {
            What::Frame { to, life, octets } => {
                let station = &mut self.stations[to];
                let kay = station.kay.as_mut().filter(|_| station.life == life)?;
                let Config { cak, ckn, .. } = &station.config;
                if station.quirk == Some(Quirk::Hearsay) {
                    station.sent.hear(&octets);
                }
                let touched = match station.quirk {
                    Some(Quirk::Touchy) => station.sent.touch(now, &octets, &kay.status(now), cak, ckn),
                    _ => Touched::Takes,
                };
                let taken = match &touched {
                    Touched::Takes => &octets[..],
                    Touched::Instead(instead) => instead,
                    Touched::Ignores => return None,
                };
                // What is ignored is ignored.
                kay.handle_frame(now, taken).ok()?;
                Some(to)
            }
            What::Secy { station: number, life } => {
                while self.stations[number].life == life
                    && let Some(action) = self.stations[number].secy.next_due(now)
                {
                    self.act(number, action);
                }
                Some(number)
            }
            What::Claim { station: number, life, key } => {
                if self.stations[number].life == life {
                    self.claim(number, &key.0);
                }
                Some(number)
            }
            What::Wake { station: number } => {
                let station = &mut self.stations[number];
                // It may have changed its mind since.
                station.wake.take_if(|wake| *wake == at)?;
                self.report_pn(number);
                self.stations[number].kay.as_mut()?.handle_timeout(now);
                self.spins = if self.spins.0 == now { (now, self.spins.1 + 1) } else { (now, 0) };
                if self.spins.1 > SPINS {
                    self.is_wrong(number, "wants to be called again and again".to_owned());
                }
                Some(number)
            }
        }
    }

    /// A worker says where its packet numbers are.
    fn report_pn(&mut self, number: usize) {
        let Station { kay: Some(kay), secy, .. } = &mut self.stations[number] else { return };
        for sa in secy.tx.iter().flatten().filter(|sa| sa.next_pn > 1) {
            kay.handle_next_pn(self.now, sa.key.identifier, sa.next_pn);
        }
    }

    /// Sends a few frames.
    fn send(&mut self, number: usize) {
        let Station { secy, busy, .. } = &mut self.stations[number];
        let Some(sa) = secy.encodes_mut().filter(|_| *busy > 0) else { return };
        let first = sa.next_pn;
        sa.next_pn += self.random.u64(0..=*busy);
        if sa.next_pn == first {
            return;
        }
        let before = std::mem::replace(&mut self.used[sa.used].highest_pn, sa.next_pn - 1);
        if before >= first {
            let key = sa.key.identifier;
            self.is_wrong(number, format!("uses PN {first} under {key} again, after {before}"));
        }
    }

    /// Sees to it that a station is called when it wants to be.
    fn schedule(&mut self, number: usize) {
        let station = &mut self.stations[number];
        let wake = station.kay.as_ref().and_then(Kay::poll_timeout);
        if wake != station.wake {
            station.wake = wake;
            if let Some(wake) = wake {
                self.expect(wake, What::Wake { station: number });
            }
        }
    }

    /// Does what a station wants done.
    fn drain(&mut self, number: usize) {
        self.send(number);
        let now = self.now;
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(kay) = &mut self.stations[number].kay {
            if let Some(action) = kay.poll_action() {
                self.ask(number, action);
            } else if let Some(event) = kay.poll_event() {
                self.hear(number, event);
            } else if let Some(len) = kay.poll_transmit(now, &mut buffer) {
                self.transmit_oddly(number, &buffer[..len]);
            } else {
                break;
            }
        }
        self.buffer = buffer;
        self.schedule(number);
    }

    /// Looks whether a station used a key before, in whatever life.
    fn claim(&mut self, number: usize, key: &Arc<Key>) {
        let now = self.now;
        let station = &mut self.stations[number];
        let Some(kay) = &mut station.kay else { return };
        let new = self.used.len();
        let transmitter = (key.sak.octets().to_vec(), station.config.sci);
        let used = *self.transmitters.entry(transmitter).or_insert(new);
        if used == new {
            self.used.push(Used::default());
        }
        let begun = self.used[used].begun;
        if begun || station.refuses > 0 {
            station.refuses = station.refuses.saturating_sub(1);
            kay.handle_refused(now, key.identifier);
        } else {
            station.secy.claimed.insert(key.identifier);
            station.secy.ever_claimed.insert(key.identifier);
            kay.handle_claimed(now, key.identifier);
        }
        if begun {
            self.is_wrong(number, format!("is offered {} a second time", key.identifier));
        }
    }

    /// Tells a SecY something.
    fn ask(&mut self, number: usize, action: Action) {
        let now = self.now;
        let station = &mut self.stations[number];
        if let Action::Claim(key) = action {
            // Of what it made itself it knows that it is new.
            let own = station.kay.as_ref().is_some_and(|kay| kay.status(now).mi == key.identifier.mi);
            if own {
                return self.claim(number, &key);
            }
            let (most, life) = (station.claim_delay.as_micros() as u64, station.life);
            let at = now + Time::from_micros(self.random.u64(0..=most));
            return self.expect(at, What::Claim { station: number, life, key: Claimed(key) });
        }
        let last = station.secy.todo.back().map(|(at, _)| *at);
        let at = match last {
            // What belongs together at once.
            Some(last) if station.secy.told == now => last,
            // And else one thing after the other.
            _ => {
                let most = station.secy_delay.as_micros() as u64;
                let at = (now + Time::from_micros(self.random.u64(0..=most))).max(last.unwrap_or(now));
                let life = station.life;
                self.expect(at, What::Secy { station: number, life });
                at
            }
        };
        let secy = &mut self.stations[number].secy;
        secy.told = now;
        secy.todo.push_back((at, action));
    }

    fn hear(&mut self, number: usize, event: Event) {
        match &event {
            Event::SakMade { .. } => self.made += 1,
            Event::Transmitting { key, delayed } => self.check_start(number, *key, *delayed),
            Event::PeerSeen { sci, .. } => {
                let other = self.stations.iter().find(|station| station.sci() == *sci);
                if other.is_some_and(|other| !other.is_with(&self.stations[number])) {
                    self.is_wrong(number, format!("takes {sci} for a peer"));
                }
            }
            _ => {}
        }
        self.tell(number, Line::Event(event));
    }

    /// Somebody goes over to a key, or is about to.
    fn check_start(&mut self, number: usize, key: KeyIdentifier, delayed: bool) {
        self.delayed += u64::from(delayed);
        let station = &self.stations[number];
        let Some(status) = station.kay.as_ref().map(|kay| kay.status(self.now)) else { return };
        let mut wrong = None;
        self.began.insert((status.sci, key));
        if let Some(Server::Peer { sci, mi }) = status.server
            && mi == key.mi
            && !delayed
            && !self.began.contains(&(sci, key))
        {
            wrong = Some(format!("transmits under {key} before {sci}, which made it"));
        }
        for peer in status.peers.iter().filter(|peer| peer.live) {
            let Some(other) = self.stations.iter().find(|s| s.sci() == peer.sci) else { continue };
            // It may be down, or in another life, and this station not know yet.
            let Some(others) = other.kay.as_ref().map(|kay| kay.status(self.now)) else { continue };
            // Nor that the other one has given it up.
            let knows_me = others.peers.iter().any(|p| p.live && p.sci == status.sci && p.mi == status.mi);
            if others.mi != peer.mi || !knows_me {
                continue;
            }
            let is_server = status.server == Some(Server::Me);
            let said = other.secy.can_have_said(station.sci(), key);
            let missed = is_server && !said || self.is_clean() && !other.receives(station.sci(), key);
            if !delayed && missed {
                wrong = Some(format!("transmits under {key}, which {} does not receive", peer.sci));
            }
        }
        if let Some(wrong) = wrong {
            self.is_wrong(number, wrong);
        }
    }

    /// Nothing was wrong with the LAN for so long that everybody knows.
    fn is_clean(&self) -> bool {
        self.faults.is_none()
            && self.pairs.is_empty()
            && self.now > self.clean_since + Time::from_secs(30)
            && self.stations.iter().all(|station| station.part == 0 && station.claim_delay <= SECY_DELAY)
    }

    /// A SecY does what it was told.
    fn act(&mut self, number: usize, action: Action) {
        let (now, clean) = (self.now, self.is_clean());
        let station = &mut self.stations[number];
        let (me, secy) = (station.config.sci, &mut station.secy);
        match action {
            Action::AddRxSc(sci) => {
                secy.rx.entry(sci).or_default();
            }
            Action::RemoveRxSc(sci) => {
                secy.rx.remove(&sci);
            }
            Action::InstallRxSa { sci, key, lowest_pn } => {
                if !secy.ever_claimed.contains(&key.identifier) {
                    return self
                        .is_wrong(number, format!("receives under {} without a claim", key.identifier));
                }
                if !secy.install_rx(sci, key.an, RxSa { key: key.identifier, lowest_pn }) {
                    return self.is_wrong(number, format!("an SA without a channel for {sci}"));
                }
                self.check_lowest_pn(number, sci, key.an);
            }
            Action::RemoveRxSa { sci, an } => {
                let before = secy.rx.get_mut(&sci).and_then(|ans| ans[an.index()].take());
                // Somebody who is up, and transmits under what is taken away.
                let from = self.stations.iter().find(|s| s.sci() == sci && s.kay.is_some());
                let used = from.and_then(Station::transmits);
                if clean && used.is_some() && used == before.map(|sa| sa.key) {
                    self.is_wrong(number, format!("no longer receives what {sci} transmits under"));
                }
            }
            // A SecY has nothing to do with it.
            Action::Claim(_) => {}
            Action::InstallTxSa(key) => {
                let used = self.transmitters.get(&(key.sak.octets().to_vec(), me)).copied();
                // Each only once.
                let Some(used) = used.filter(|_| secy.claimed.remove(&key.identifier)) else {
                    return self.is_wrong(number, format!("uses {} without a claim", key.identifier));
                };
                secy.tx[key.an.index()] = Some(TxSa { key: key.clone(), next_pn: 1, used });
            }
            Action::RemoveTxSa(an) => {
                secy.tx[an.index()] = None;
                if secy.encoding == Some(an) {
                    self.is_wrong(number, "removes what it transmits under".to_owned());
                }
            }
            Action::EncodeWith(None) => secy.encoding = None,
            Action::EncodeWith(Some(an)) => {
                let Some(sa) = &secy.tx[an.index()] else {
                    return self.is_wrong(number, format!("transmits under AN {an}, which it has not"));
                };
                let key = sa.key.identifier;
                let begun = std::mem::replace(&mut self.used[sa.used].begun, true);
                secy.encoding = Some(an);
                if begun {
                    self.is_wrong(number, format!("begins with {key} a second time"));
                }
            }
            Action::RaiseLowestPn { sci, an, pn } => {
                if let Some(sa) = secy.rx_sa(sci, an) {
                    sa.lowest_pn = sa.lowest_pn.max(pn);
                }
                self.check_lowest_pn(number, sci, an);
            }
            Action::Confirm(done) if station.mute => secy.unsaid.push(done),
            Action::Confirm(done) => {
                station.kay.iter_mut().for_each(|kay| kay.handle_done(now, done));
            }
        }
    }

    /// Whether a station still takes what another is to send.
    fn check_lowest_pn(&mut self, number: usize, sci: Sci, an: An) {
        let Some(sa) = self.stations[number].secy.rx_sa(sci, an).copied() else { return };
        let from = self.stations.iter().find(|station| station.sci() == sci && station.kay.is_some());
        let next_pn = from.and_then(|from| from.secy.tx_sa(sa.key)).map(|sa| sa.next_pn);
        if let Some(next_pn) = next_pn.filter(|next_pn| *next_pn < sa.lowest_pn) {
            let RxSa { key, lowest_pn } = sa;
            self.is_wrong(
                number,
                format!("takes no PN below {lowest_pn} of {key} from {sci}, which is at {next_pn}"),
            );
        }
    }

    fn expect(&mut self, at: Time, what: What) {
        self.order += 1;
        self.coming.push(Reverse((at, self.order, what)));
    }

    fn transmit_oddly(&mut self, from: usize, frame: &[u8]) {
        let now = self.now;
        let Station { quirk, config, sent, .. } = &mut self.stations[from];
        match quirk {
            None => self.transmit(from, frame),
            Some(Quirk::Touchy) if !sent.sends(frame, now) => {}
            Some(quirk) => {
                let frame = quirk.rewrite(frame, sent, &config.cak, &config.ckn);
                self.transmit(from, &frame);
            }
        }
    }

    fn transmit(&mut self, from: usize, frame: &[u8]) {
        let part = self.stations[from].part;
        let octets: Arc<[u8]> = frame.into();
        for to in 0..self.stations.len() {
            let station = &self.stations[to];
            if to == from || station.kay.is_none() || station.part != part {
                continue;
            }
            let life = station.life;
            let Faults { loss, duplicates, delay } = self.faults;
            let more = if self.pairs.is_empty() { None } else { self.pairs.get(&(from, to)).copied() };
            if self.strikes(loss) || more.is_some_and(|more| self.strikes(more)) {
                continue;
            }
            let copies = if self.strikes(duplicates) { 2 } else { 1 };
            for _ in 0..copies {
                let delay = Time::from_micros(self.random.u64(1..=delay.as_micros().max(1) as u64));
                let last = &mut self.stations[to].last_comes;
                let at = if self.in_order { (self.now + delay).max(*last) } else { self.now + delay };
                *last = at;
                self.expect(at, What::Frame { to, life, octets: octets.clone() });
            }
        }
    }

    /// Something that happens so many times of a hundred.
    fn strikes(&mut self, of_a_hundred: u8) -> bool {
        of_a_hundred > 0 && self.random.u8(0..100) < of_a_hundred
    }
}
