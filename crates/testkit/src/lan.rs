//! A LAN with MKA stations on it, and a clock that jumps from one thing that happens to the next.
//!
//! Frames may be lost, doubled, held up (and so overtaken), or kept in one half of the LAN. All is drawn from one seed.
//! Each station has a SecY that does what it is told a little later, as a worker core does, and everything that must
//! never happen is looked for at every step:
//!
//! - a SAK that one station transmits under in two lives, or twice in one: its packet numbers would begin anew;
//! - a key server that transmits under a SAK while some peer that it takes for live has never put it in place, unless the
//!   transmit delay ran out;
//! - another station that does before the key server that made it;
//! - on a LAN without faults, an SA that is taken away while somebody still transmits under it, or that is not there
//!   when somebody begins to.

use fastrand::Rng;
use keys::{Cak, Ckn};
use mka::{Action, Config, Event, Kay, Key, KeyIdentifier, Server, Time};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use wire::{An, MacAddr, Sci};

/// How long after its SecY was told a station hears that it is done, at most.
const SECY_DELAY: Time = Time::from_millis(5);

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
    /// So many keys it will say it has used before.
    pub refuses: u32,
    /// Its SecY does what it is told, and never says so.
    pub mute: bool,
    life: u32,
    secy: Secy,
}

/// What a SecY was told.
#[derive(Debug, Default)]
struct Secy {
    rx: BTreeMap<Sci, [Option<KeyIdentifier>; 4]>,
    /// What it received under at some time: it may have said so.
    once: HashSet<(Sci, KeyIdentifier)>,
    tx: [Option<Arc<Key>>; 4],
    encoding: Option<An>,
    /// The lowest PN that it was told to take lately, under the AN that it transmits with.
    raised: [u64; An::COUNT],
}

impl Station {
    /// Its SCI.
    pub fn sci(&self) -> Sci {
        self.config.sci
    }

    /// What it transmits under.
    pub fn transmits(&self) -> Option<KeyIdentifier> {
        let key = self.secy.tx[self.secy.encoding?.index()].as_ref()?;
        Some(key.identifier)
    }

    /// The lowest PN that it takes under the AN that it transmits with itself, of those that delay protection bounds.
    pub fn raised_to(&self) -> u64 {
        self.secy.encoding.map_or(1, |an| self.secy.raised[an.index()].max(1))
    }

    /// Whether it receives what that station transmits under that key.
    pub fn receives(&self, from: Sci, key: KeyIdentifier) -> bool {
        self.secy.rx.get(&from).is_some_and(|ans| ans.contains(&Some(key)))
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Frame { to: usize, life: u32, octets: Vec<u8> },
    Done { station: usize, life: u32, number: u64 },
}

/// Everything that is on the LAN.
#[derive(Debug)]
pub struct Lan {
    /// The stations.
    pub stations: Vec<Station>,
    /// What happens to frames.
    pub faults: Faults,
    /// Everything that happened to be worth a line, the latest last.
    pub story: std::collections::VecDeque<String>,
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
    /// Who transmitted under which SAK, and in which life.
    transmitters: HashMap<(Vec<u8>, Sci), (u32, u64)>,
    installs: u64,
    /// Who began to transmit under which SAK.
    began: HashSet<(Sci, KeyIdentifier)>,
    /// Since when nothing has been wrong with the LAN.
    clean_since: Time,
}

impl Lan {
    /// An empty LAN.
    pub fn new(seed: u64) -> Self {
        Lan {
            stations: Vec::new(),
            faults: Faults::NONE,
            story: Default::default(),
            wrong: None,
            made: 0,
            delayed: 0,
            now: Time::ZERO,
            random: Rng::with_seed(seed),
            order: 0,
            coming: BinaryHeap::new(),
            transmitters: HashMap::new(),
            installs: 0,
            began: HashSet::new(),
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
            refuses: 0,
            mute: false,
            life: 0,
            secy: Secy::default(),
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
        station.kay = Some(Kay::new(station.config.clone(), source, now));
        self.tell(number, "starts".to_owned());
        self.clean_since = self.now;
    }

    /// Takes a station down.
    pub fn stop(&mut self, number: usize) {
        self.stations[number].kay = None;
        self.stations[number].secy = Secy::default();
        self.tell(number, "is down".to_owned());
        self.clean_since = self.now;
    }

    /// Nothing is wrong with the LAN from now on.
    pub fn heal(&mut self) {
        self.faults = Faults::NONE;
        self.stations.iter_mut().for_each(|station| station.part = 0);
        self.clean_since = self.now;
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
        loop {
            let wake = self
                .stations
                .iter()
                .enumerate()
                .filter_map(|(number, station)| Some((station.kay.as_ref()?.poll_timeout()?, number)));
            let wake = wake.min();
            let coming = self.coming.peek().map(|Reverse((at, ..))| *at);
            let next = wake.map(|(at, _)| at).into_iter().chain(coming).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            let number = match (coming, wake) {
                (Some(at), _) if at <= self.now => {
                    let Some(Reverse((_, _, what))) = self.coming.pop() else { break };
                    self.happen(what)
                }
                (_, Some((_, number))) => {
                    let now = self.now;
                    if let Some(kay) = &mut self.stations[number].kay {
                        kay.handle_timeout(now);
                    }
                    Some(number)
                }
                _ => None,
            };
            if let Some(number) = number {
                self.drain(number);
            }
            if let Some(wrong) = &self.wrong {
                return Err(format!("{wrong}\n{}", self.tale()));
            }
        }
        self.now = end;
        Ok(())
    }

    /// Whether all stations that are up, of one part, have one key server and transmit under one SAK, which all receive.
    ///
    /// # Errors
    /// Why not.
    pub fn agreed(&self) -> Result<KeyIdentifier, String> {
        let up: Vec<&Station> = self.stations.iter().filter(|station| station.kay.is_some()).collect();
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
        self.story.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn tell(&mut self, number: usize, line: String) {
        let (now, sci) = (self.now, self.stations[number].sci());
        let wrong = line.starts_with("WRONG");
        let line = format!("{:10.3} {sci} {line}", now.as_secs_f64());
        if wrong {
            self.wrong.get_or_insert_with(|| line.clone());
        }
        self.story.push_back(line);
        if self.story.len() > 400 {
            self.story.pop_front();
        }
    }

    fn happen(&mut self, what: What) -> Option<usize> {
        let now = self.now;
        match what {
            What::Frame { to, life, octets } => {
                let station = &mut self.stations[to];
                let kay = station.kay.as_mut().filter(|_| station.life == life)?;
                // What is ignored is ignored.
                let _ = kay.handle_frame(now, &octets);
                Some(to)
            }
            What::Done { station: number, life, number: done } => {
                let station = &mut self.stations[number];
                station.kay.as_mut().filter(|_| station.life == life)?.handle_done(now, done);
                Some(number)
            }
        }
    }

    /// Does what a station wants done.
    fn drain(&mut self, number: usize) {
        let mut buffer = [0; 4096];
        loop {
            let now = self.now;
            let Some(kay) = &mut self.stations[number].kay else { return };
            let action = kay.poll_action();
            let events: Vec<Event> = std::iter::from_fn(|| kay.poll_event()).collect();
            for event in events {
                self.hear(number, &event);
            }
            if let Some(action) = action {
                self.act(number, action);
                continue;
            }
            let Some(kay) = &mut self.stations[number].kay else { return };
            match kay.poll_transmit(now, &mut buffer) {
                Some(len) => self.transmit(number, &buffer[..len]),
                None => return,
            }
        }
    }

    fn hear(&mut self, number: usize, event: &Event) {
        self.tell(number, format!("{event:?}"));
        match event {
            Event::SakMade { .. } => self.made += 1,
            Event::Transmitting { key, delayed } => self.check_start(number, *key, *delayed),
            _ => {}
        }
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
            wrong = Some(format!("WRONG: transmits under {key} before {sci}, which made it"));
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
            let said = other.secy.once.contains(&(station.sci(), key));
            let missed = is_server && !said || self.is_clean() && !other.receives(station.sci(), key);
            if !delayed && missed {
                wrong = Some(format!("WRONG: transmits under {key}, which {} does not receive", peer.sci));
            }
        }
        if let Some(wrong) = wrong {
            self.tell(number, wrong);
        }
    }

    /// Nothing was wrong with the LAN for so long that everybody knows.
    fn is_clean(&self) -> bool {
        self.faults.is_none()
            && self.now > self.clean_since + Time::from_secs(30)
            && self.stations.iter().all(|station| station.part == 0)
    }

    fn act(&mut self, number: usize, action: Action) {
        let (now, clean) = (self.now, self.is_clean());
        let me = self.stations[number].sci();
        // Somebody who is up, and transmits under what is taken away.
        let user = |lan: &Lan, sci: Sci, key: Option<KeyIdentifier>| {
            let from = lan.stations.iter().find(|s| s.sci() == sci && s.kay.is_some());
            clean && key.is_some() && from.is_some_and(|from| from.transmits() == key)
        };
        match action {
            Action::AddRxSc(sci) => {
                self.stations[number].secy.rx.entry(sci).or_default();
            }
            Action::RemoveRxSc(sci) => {
                self.stations[number].secy.rx.remove(&sci);
            }
            Action::InstallRxSa { sci, key, .. } => match self.stations[number].secy.rx.get_mut(&sci) {
                Some(ans) => {
                    ans[key.an.index()] = Some(key.identifier);
                    self.stations[number].secy.raised[key.an.index()] = 1;
                    self.stations[number].secy.once.insert((sci, key.identifier));
                }
                None => self.tell(number, format!("WRONG: an SA without a channel for {sci}")),
            },
            Action::RemoveRxSa { sci, an } => {
                let before =
                    self.stations[number].secy.rx.get_mut(&sci).and_then(|ans| ans[an.index()].take());
                if user(self, sci, before) {
                    self.tell(number, format!("WRONG: no longer receives what {sci} transmits under"));
                }
            }
            Action::InstallTxSa(key) => {
                self.installs += 1;
                let used = (key.sak.octets().to_vec(), me);
                let station = &mut self.stations[number];
                if station.refuses > 0 {
                    station.refuses -= 1;
                    let kay = station.kay.as_mut();
                    kay.into_iter().for_each(|kay| kay.handle_refused(now, key.identifier));
                } else if self.transmitters.contains_key(&used) {
                    let kay = self.stations[number].kay.as_mut();
                    kay.into_iter().for_each(|kay| kay.handle_refused(now, key.identifier));
                    self.tell(number, format!("WRONG: is offered {} a second time", key.identifier));
                } else {
                    let an = key.an.index();
                    self.stations[number].secy.tx[an] = Some(key);
                }
            }
            Action::RemoveTxSa(an) => {
                let secy = &mut self.stations[number].secy;
                secy.tx[an.index()] = None;
                if secy.encoding == Some(an) {
                    self.tell(number, "WRONG: removes what it transmits under".to_owned());
                }
            }
            Action::EncodeWith(None) => self.stations[number].secy.encoding = None,
            Action::EncodeWith(Some(an)) => {
                let Some(key) = self.stations[number].secy.tx[an.index()].clone() else {
                    self.tell(number, format!("WRONG: transmits under AN {an}, which it has not"));
                    return;
                };
                let life = (self.stations[number].life, self.installs);
                if self.transmitters.insert((key.sak.octets().to_vec(), me), life).is_some() {
                    self.tell(number, format!("WRONG: begins with {} a second time", key.identifier));
                }
                self.stations[number].secy.encoding = Some(an);
            }
            Action::RaiseLowestPn { an, pn, .. } => self.stations[number].secy.raised[an.index()] = pn,
            Action::Confirm(_) if self.stations[number].mute => {}
            Action::Confirm(confirm) => {
                let delay = Time::from_micros(self.random.u64(0..SECY_DELAY.as_micros() as u64));
                let life = self.stations[number].life;
                self.expect(now + delay, What::Done { station: number, life, number: confirm });
            }
        }
    }

    fn expect(&mut self, at: Time, what: What) {
        self.order += 1;
        self.coming.push(Reverse((at, self.order, what)));
    }

    fn transmit(&mut self, from: usize, frame: &[u8]) {
        let part = self.stations[from].part;
        for to in 0..self.stations.len() {
            let station = &self.stations[to];
            if to == from || station.kay.is_none() || station.part != part {
                continue;
            }
            let life = station.life;
            if self.random.u8(0..100) < self.faults.loss {
                continue;
            }
            let copies = if self.random.u8(0..100) < self.faults.duplicates { 2 } else { 1 };
            for _ in 0..copies {
                let delay =
                    Time::from_micros(self.random.u64(1..=self.faults.delay.as_micros().max(1) as u64));
                self.expect(self.now + delay, What::Frame { to, life, octets: frame.to_vec() });
            }
        }
    }
}
