//! Whatever happens to a LAN, when it stops its stations agree; and much of what may never happen is looked for
//! meanwhile (`testkit::Lan` says what).
//!
//! `MKA_SEED=n` shows one run again. `MKA_RUNS` says how many there are, `MKA_FIRST` from which seed on; `MKA_HOURS`
//! goes on until so many hours have been simulated, and says how far it is.

#![allow(clippy::unwrap_used, missing_docs)]

use keys::Cak;
use mka::Time;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use testkit::{Faults, Lan};
use wire::{CipherSuite, ConfidentialityOffset};

const SECOND: Time = Time::from_secs(1);
const MINUTE: u64 = 60;
/// Longer than it takes a LAN that is well again to agree: a life time for the dead to be forgotten, one for those that
/// are about to come up, the transmit delay, the old SA's time, and hellos in between.
const PATIENCE: Time = Time::from_secs(45);
/// And for those whose keys are just changing.
const MORE_PATIENCE: u32 = 20;
/// Runs, and at least so many hours in them.
const RUNS: u64 = 1700;
const HOURS: u64 = 4_000;
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// One LAN, from its first frame on.
struct Storm {
    lan: Lan,
    stations: usize,
    /// Nothing makes a key but what happens.
    keeps_keys: bool,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut lan = Lan::new(seed);
        let stations = size(&mut lan);
        let suites = suites(&mut lan, stations);
        let long = one_of(&mut lan, 8);
        let equal = lan.random().bool();
        let periodic = one_of(&mut lan, 3);
        let strangers = one_of(&mut lan, 4);
        let slow = one_of(&mut lan, 4);
        let slow_disks = one_of(&mut lan, 4);
        let bounded = one_of(&mut lan, 4);
        let mut keeps_keys = true;
        let offset = *pick(&mut lan, &[ConfidentialityOffset::None, ConfidentialityOffset::Octets30]);
        for number in 0..stations {
            let mut config = Lan::config(number as u16 + 1);
            // A stranger knows the name, and not the key; two of them are a group of their own.
            let stranger = strangers && one_of(&mut lan, 3);
            config.cak =
                Cak::from_octets(&vec![if stranger { 1 } else { 2 }; if long { 32 } else { 16 }]).unwrap();
            config.suites.clone_from(&suites);
            if one_of(&mut lan, 2) {
                lan.random().shuffle(&mut config.suites);
            }
            config.priority = if equal { 255 } else { lan.random().u8(..) };
            config.version = if one_of(&mut lan, 4) { 1 } else { 3 };
            config.icv_indicator = lan.random().bool();
            // Who is told to leave less in the clear than the key server leaves takes no SAK of it.
            config.confidentiality = lan.random().bool().then_some(offset);
            config.delay_protect = bounded && one_of(&mut lan, 2);
            if periodic && lan.random().bool() {
                config.rekey_period = Some(Time::from_secs(lan.random().u64(8..60)));
                keeps_keys = false;
            }
            let number = lan.add(config);
            let busy = *pick(&mut lan, &[0, 1, 100]);
            lan.stations[number].busy = busy;
            if slow && lan.random().bool() {
                lan.stations[number].secy_delay = Time::from_millis(lan.random().u64(5..2000));
            }
            if slow_disks && lan.random().bool() {
                lan.stations[number].claim_delay = Time::from_millis(lan.random().u64(5..12_000));
            }
            // Some begin with one identifier. Nobody comes back with one that it had: the numbers of its keys would be
            // others' old ones.
            let mi = one_of(&mut lan, 4).then_some([9; 12]);
            lan.start_as(number, mi);
        }
        Storm { lan, stations, keeps_keys }
    }

    /// Frames are lost, and things happen to stations, in quick succession.
    fn rage(&mut self) -> Result<(), String> {
        let lan = &mut self.lan;
        let loss = *pick(lan, &[0, 5, 20, 40]);
        let duplicates = *pick(lan, &[0, loss]);
        let delay = Time::from_millis(*pick(lan, &[1, 50, 700]));
        lan.set_faults(Faults { loss, duplicates, delay });
        // What happens to many at a time takes long to simulate.
        let longest = if self.stations > 10 { 5_000 } else { 20_000 };
        for _ in 0..lan.random().usize(0..16) {
            let time = Time::from_millis(lan.random().u64(0..longest));
            lan.run(time)?;
            let one = lan.random().usize(0..self.stations);
            let other = lan.random().usize(0..self.stations);
            match lan.random().u8(0..16) {
                0 => lan.stop(one),
                1 | 2 => lan.start(one),
                3 => lan.move_to(one, 1),
                4 => lan.move_to(one, 0),
                5 | 6 => lan.rekey(),
                7 | 8 => {
                    let loss = *pick(lan, &[30, 60, 100]);
                    lan.lose_from(one, other, loss);
                }
                9 => lan.lose_from(one, other, 0),
                10 | 11 => use_up(lan, one),
                12 => lan.stations[one].refuses += 1,
                13 => lan.stations[one].mute = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// All is well again, and all are up: they agree before long.
    fn calm(&mut self) -> Result<(), String> {
        self.lan.heal();
        for number in 0..self.stations {
            if self.lan.stations[number].kay.is_none() {
                self.lan.start(number);
            }
        }
        self.lan.run(PATIENCE)?;
        let mut why = Ok(());
        for _ in 0..MORE_PATIENCE {
            why = self.agreed();
            if why.is_ok() {
                break;
            }
            self.lan.run(SECOND)?;
        }
        why.map_err(|why| format!("{why}\n{}", self.lan.tale()))
    }

    /// Each group of stations that know one CAK has a SAK; who knows one that nobody else does has none.
    fn agreed(&self) -> Result<(), String> {
        let stations = &self.lan.stations;
        for (number, station) in stations.iter().enumerate() {
            let mut others = (0..stations.len()).filter(|other| stations[*other].is_with(station));
            match (others.next() == Some(number), others.next()) {
                (true, Some(_)) => drop(self.lan.agreed_around(number)?),
                (true, None) if station.transmits().is_some() => {
                    return Err(format!("{} transmits, and nobody can read it", station.sci()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Hours in which little happens, or none of it at once.
    fn go_on(&mut self) -> Result<(), String> {
        let lan = &mut self.lan;
        let bounded = lan.stations.iter().any(|station| station.config.delay_protect);
        // As many minutes as take about as long to simulate.
        let most = match self.stations {
            2 => 640,
            3 => 240,
            4..=6 => 40,
            7..=10 => 10,
            _ => return Ok(()),
        };
        let minutes = lan.random().u64(0..=most / if bounded { 4 } else { 1 });
        if lan.random().bool() {
            return self.rest(Time::from_secs(minutes * MINUTE));
        }
        let loss = *pick(lan, &[0, 1, 5, 15]);
        let delay = Time::from_millis(*pick(lan, &[1, 20, 200]));
        lan.set_faults(Faults { loss, duplicates: loss, delay });
        let end = lan.now() + Time::from_secs(minutes * MINUTE);
        while lan.now() < end {
            let time = Time::from_secs(lan.random().u64(1..=10 * MINUTE));
            lan.run(time.min(end - lan.now()))?;
            let one = lan.random().usize(0..self.stations);
            match lan.random().u8(0..8) {
                0 => lan.start(one),
                1 => use_up(lan, one),
                2..=4 => lan.rekey(),
                _ => {}
            }
        }
        self.calm()
    }

    /// Nothing happens, and so nothing changes.
    fn rest(&mut self, time: Time) -> Result<(), String> {
        // Under keys whose packet numbers are nowhere near their end.
        self.lan.rekey();
        self.lan.run(PATIENCE)?;
        let before = (self.lan.made, self.lan.delayed);
        self.lan.run(time)?;
        let after = (self.lan.made, self.lan.delayed);
        if self.keeps_keys && before.0 < after.0 {
            return Err(format!("{} keys without a reason\n{}", after.0 - before.0, self.lan.tale()));
        }
        if before.1 < after.1 {
            return Err(format!("the transmit delay ran out on a good LAN\n{}", self.lan.tale()));
        }
        self.calm()
    }

    fn run(&mut self) -> Result<(), String> {
        let rounds = if self.stations > 10 { 1 } else { self.lan.random().u8(1..=3) };
        for _ in 0..rounds {
            self.rage()?;
            self.calm()?;
        }
        self.go_on()
    }
}

fn one_of(lan: &mut Lan, many: u8) -> bool {
    lan.random().u8(0..many) == 0
}

fn pick<'a, T>(lan: &mut Lan, from: &'a [T]) -> &'a T {
    &from[lan.random().usize(0..from.len())]
}

fn size(lan: &mut Lan) -> usize {
    match lan.random().u16(0..2000) {
        0..1000 => 2,
        1000..1500 => 3,
        1500..1700 => 4,
        1700..1860 => 6,
        1860..1984 => 10,
        1984..1998 => 30,
        _ => 100,
    }
}

/// What all take.
fn suites(lan: &mut Lan, stations: usize) -> Vec<CipherSuite> {
    // A frame that names more has no room for an XPN key.
    let fit = CipherSuite::ALL.into_iter().filter(|suite| stations <= 30 || !suite.is_xpn());
    let fit: Vec<CipherSuite> = fit.collect();
    if lan.random().bool() { fit } else { vec![*pick(lan, &fit)] }
}

/// Packet numbers run out, in whatever suite.
fn use_up(lan: &mut Lan, one: usize) {
    let Some(key) = lan.stations[one].transmits() else { return };
    let status = lan.stations[one].kay.as_ref().map(|kay| kay.status(lan.now()));
    let sa = status.and_then(|status| status.sas.into_iter().find(|sa| sa.key == key));
    if let Some(sa) = sa {
        let near_end = if sa.suite.is_xpn() { 0xc000_0000_0000_0000 } else { 0xc000_0000 };
        let pn = near_end - lan.random().u64(0..200);
        lan.use_up(one, pn);
    }
}

/// What one run came to.
#[derive(Default)]
struct Sum {
    seconds: AtomicU64,
    runs: AtomicU64,
    made: AtomicU64,
    delayed: AtomicU64,
}

impl Sum {
    fn hours(&self) -> u64 {
        self.seconds.load(Relaxed) / 3600
    }

    fn add(&self, lan: &Lan) {
        self.seconds.fetch_add(lan.now().as_secs(), Relaxed);
        self.runs.fetch_add(1, Relaxed);
        self.made.fetch_add(lan.made, Relaxed);
        self.delayed.fetch_add(lan.delayed, Relaxed);
    }

    /// To where it is seen although the test passes.
    fn say(&self, next: u64, began: Instant) {
        let (runs, made, delayed) = (&self.runs, &self.made, &self.delayed);
        let (runs, made, delayed) = (runs.load(Relaxed), made.load(Relaxed), delayed.load(Relaxed));
        let hours = self.hours();
        let seconds = began.elapsed().as_secs_f64();
        let line = format!(
            "{hours} hours in {runs} runs, seeds below {next}; {made} SAKs, {delayed} times after the transmit delay; \
             {:.0} hours a second\n",
            hours as f64 / seconds
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}

fn run(seed: u64, sum: &Sum) -> Result<(), String> {
    let mut storm = Storm::new(seed);
    let result = catch_unwind(AssertUnwindSafe(|| storm.run()));
    sum.add(&storm.lan);
    result.unwrap_or_else(|_| Err(format!("panicked\n{}", storm.lan.tale())))
}

fn from_environment(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn storms_pass() {
    let one = from_environment("MKA_SEED");
    let first = one.or_else(|| from_environment("MKA_FIRST")).unwrap_or(0);
    let (runs, hours) = (from_environment("MKA_RUNS"), from_environment("MKA_HOURS"));
    let last = match (one, runs, hours) {
        (Some(seed), ..) => seed,
        (_, None, Some(_)) => u64::MAX,
        (_, runs, _) => first + runs.unwrap_or(RUNS) - 1,
    };
    let (sum, next, began) = (Sum::default(), AtomicU64::new(first), Instant::now());
    let done = || hours.is_some_and(|hours| sum.hours() >= hours);
    let (wrong, stop, said) = (Mutex::new(Vec::new()), AtomicBool::new(false), Mutex::new(began));
    let work = || {
        while !stop.load(Relaxed) && !done() {
            let seed = next.fetch_add(1, Relaxed);
            if seed > last {
                return;
            }
            if let Err(why) = run(seed, &sum) {
                stop.store(true, Relaxed);
                wrong.lock().unwrap_or_else(PoisonError::into_inner).push((seed, why));
            }
            if hours.is_some()
                && let Ok(mut said) = said.try_lock()
                && said.elapsed() > PROGRESS
            {
                *said = Instant::now();
                sum.say(next.load(Relaxed), began);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    sum.say(next.load(Relaxed).min(last.saturating_add(1)), began);
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    if let Some((seed, why)) = wrong.first() {
        panic!("MKA_SEED={seed} shows it again: {why}");
    }
    if one.is_none() && runs.is_none() && hours.is_none() {
        assert!(sum.hours() >= HOURS, "they are shorter than they should be");
    }
}
