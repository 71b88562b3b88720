//! Frames of a capture through the receive half of a SecY, under keys of a file or keys that MKA distributed.

use crate::association::{Association, CaKeys, Distribution, Icv};
use crate::capture::params;
use crate::link::validate_frames;
use crate::{BadUsage, Row};
use anyhow::{Context, Result};
use config::{KeysFile, MkaKeys, StaticSas};
use datapath::pcap::CaptureReader;
use secy::{
    Burst, Command, Engine, Event, FrameBuf, MemFrame, Retired, RxConfig, RxSa, RxSaCounters, RxSc, RxSecY,
    SaParams, ValidateFrames, Xpn,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use wire::{An, CipherSuite, EtherType, Ethernet, L2Header, Mkpdu, Sci, SecTag, Ssci};

/// Verifies the frames of a capture, in their order.
pub(crate) enum Verifier {
    /// Under keys of a file.
    Static(Box<StaticVerifier>),
    /// Under keys that the capture itself distributes.
    Mka(Box<MkaVerifier>),
}

/// What became of a frame.
pub(crate) struct Verdict {
    /// The counter that it ended in.
    pub(crate) counter: &'static str,
    /// The SAK it was tried with last, where MKA distributed that.
    pub(crate) sak: Option<Arc<UsedSak>>,
}

/// A SAK that MKA distributed, and who uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsedSak {
    pub(crate) distribution: Distribution,
    pub(crate) ssci: Option<Ssci>,
}

impl Verifier {
    /// For `keys`; reads all of `input` once where it distributes the SAKs itself.
    pub(crate) fn new(keys: &KeysFile, input: &Path) -> Result<Self> {
        Ok(match keys {
            KeysFile::Static(sas) => Verifier::Static(Box::new(StaticVerifier::new(sas)?)),
            KeysFile::Mka(keys) => Verifier::Mka(Box::new(MkaVerifier::new(keys, input)?)),
        })
    }

    /// What a frame becomes, if it is delivered. `number` is its number in the capture, from 1.
    pub(crate) fn verify(&mut self, number: u64, octets: &[u8]) -> Option<Vec<u8>> {
        match self {
            Verifier::Static(v) => v.half.verify(octets),
            Verifier::Mka(v) => {
                let place = v.place(number, octets);
                v.half(place).verify(octets)
            }
        }
    }

    /// The same, and what became of it.
    pub(crate) fn judge(&mut self, number: u64, octets: &[u8]) -> Verdict {
        match self {
            Verifier::Static(v) => Verdict { counter: v.half.judge(octets), sak: None },
            Verifier::Mka(v) => {
                let place = v.place(number, octets);
                let sak = v.sak(place, octets);
                Verdict { counter: v.half(place).judge(octets), sak }
            }
        }
    }

    /// All counters.
    pub(crate) fn rows(&self) -> Vec<Row> {
        match self {
            Verifier::Static(v) => v.rows(),
            Verifier::Mka(v) => v.rows(),
        }
    }

    /// What was learnt of the CA, where that is where keys come from.
    pub(crate) fn mka(&self) -> Option<(&CaKeys, &Association)> {
        match self {
            Verifier::Static(_) => None,
            Verifier::Mka(v) => Some((&v.keys, &v.association)),
        }
    }
}

/// A receive half and what it works with.
struct Half {
    rx: RxSecY,
    engine: Engine,
    set_aside: Burst<MemFrame>,
}

impl Half {
    fn new(config: RxConfig) -> Self {
        Half { rx: RxSecY::new(config), engine: Engine::new(), set_aside: Burst::new() }
    }

    fn verify(&mut self, octets: &[u8]) -> Option<Vec<u8>> {
        let mut burst: Burst<MemFrame> = Burst::new();
        burst.push(MemFrame::new(octets));
        self.rx.verify(&mut self.engine, &mut burst, &mut self.set_aside);
        self.set_aside.clear();
        let out = burst.first()?;
        debug_assert!(out.len() <= octets.len());
        Some(out.to_vec())
    }

    /// The counter that the frame ends in.
    fn judge(&mut self, octets: &[u8]) -> &'static str {
        let before = self.counts();
        self.verify(octets);
        let moved = self
            .counts()
            .into_iter()
            .zip(before)
            .find(|((name, after), (_, before))| after > before && !name.contains("Octets"));
        moved.map_or("uncounted", |((name, _), _)| name)
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let mut counts: Vec<_> = self.rx.counters().values().collect();
        for sc in self.rx.channels() {
            counts.extend(An::ALL.iter().filter_map(|an| sc.sa(*an)).flat_map(|sa| {
                let counters = sa.counters();
                counters.values().collect::<Vec<_>>()
            }));
            counts.extend(sc.counters().without_sa.iter().flat_map(RxSaCounters::values));
        }
        counts
    }
}

/// The counters of ANs without an SA, where any moved.
fn rows_without_sa(sc: &RxSc) -> impl Iterator<Item = Row> {
    let (sci, counters) = (sc.sci(), sc.counters());
    An::ALL.into_iter().filter_map(move |an| {
        let counters = &counters.without_sa[an.index()];
        let row = Row::new("capture", "rx_sa").text("sci", sci).number("an", an.as_u8().into());
        counters.values().any(|(_, n)| n > 0).then(|| row.counts(counters.values()))
    })
}

/// One receive half with all SAs of a file.
pub(crate) struct StaticVerifier {
    half: Half,
    sas: Vec<(Sci, An)>,
}

impl StaticVerifier {
    fn new(keys: &StaticSas) -> Result<Self> {
        let mut half = Half::new(RxConfig {
            suite: keys.cipher_suite,
            validate_frames: validate_frames(keys.validate_frames),
            replay_protect: keys.replay_protect,
            replay_window: keys.replay_window,
            clear_vlan_tags: keys.clear_vlan_tags,
        });
        let rx = &mut half.rx;
        for sa in &keys.sas {
            let rx_sa = RxSa::new(&params(keys, sa)).map_err(|e| BadUsage(e.to_string()))?;
            if !rx.channels().iter().any(|c| c.sci() == sa.sci)
                && rx.apply(Command::AddRxSc(RxSc::new(sa.sci))).is_some()
            {
                return Err(BadUsage(format!("more than {} channels", secy::MAX_RECEIVE_SCS)).into());
            }
            rx.apply(Command::InstallRxSa { sci: sa.sci, an: sa.an, sa: Box::new(rx_sa) });
        }
        Ok(StaticVerifier { half, sas: keys.sas.iter().map(|sa| (sa.sci, sa.an)).collect() })
    }

    fn rows(&self) -> Vec<Row> {
        let rx = &self.half.rx;
        let mut rows = vec![Row::new("capture", "secy").counts(rx.counters().values())];
        for sc in rx.channels() {
            for (sci, an) in self.sas.iter().filter(|(sci, _)| *sci == sc.sci()) {
                let Some(counters) = sc.sa(*an).map(RxSa::counters) else { continue };
                let row = Row::new("capture", "rx_sa").text("sci", sci).number("an", an.as_u8().into());
                rows.push(row.counts(counters.values()));
            }
            rows.extend(rows_without_sa(sc));
        }
        rows
    }
}

/// A receive half for each station, as each of its peers has one, with SAs that change as SAKs do.
pub(crate) struct MkaVerifier {
    config: RxConfig,
    keys: CaKeys,
    association: Association,
    /// For what is of no station.
    others: Half,
    stations: BTreeMap<Sci, Station>,
}

struct Station {
    /// One for each suite and offset in use, and one at least.
    halves: Vec<Half>,
    /// Beside each, one where an SA can be tried and nothing counts.
    trials: Vec<Half>,
    /// The SAKs of each AN, in the order of their distribution.
    sas: [Vec<Sa>; An::COUNT],
}

/// An SA, in use or waiting for its turn.
struct Sa {
    /// The number of the frame that distributed its SAK first.
    from: u64,
    used: Arc<UsedSak>,
    half: usize,
    /// `None` while it is in its half.
    waiting: Option<Box<RxSa>>,
    counters: Arc<RxSaCounters>,
    progress: Arc<secy::RxProgress>,
}

/// Where a frame belongs.
#[derive(Clone, Copy)]
enum Place {
    Others,
    Station(Sci, usize),
}

/// What the SecTAG of a frame says of it.
struct Address {
    /// `None` where nothing in the frame tells.
    sci: Option<Sci>,
    an: An,
}

impl MkaVerifier {
    fn new(keys: &MkaKeys, input: &Path) -> Result<Self> {
        if !fs::metadata(input).with_context(|| input.display().to_string())?.is_file() {
            let input = input.display();
            let text = format!(
                "{input}: under a CAK it is read twice, for MKPDUs first; write it to a file and name that"
            );
            return Err(BadUsage(text).into());
        }
        let ca = CaKeys::new(&keys.cak, &keys.ckn);
        let mut association = Association::default();
        let mut reader = CaptureReader::open(input)?;
        let mut number = 0;
        while let Some(frame) = reader.next_frame()? {
            number += 1;
            if let Ok(mkpdu) = Mkpdu::new_checked(&frame.octets) {
                association.learn(number, &mkpdu, ca.hear(&mkpdu));
            }
        }
        warn_of(&association);
        let config = RxConfig {
            suite: CipherSuite::default(),
            validate_frames: validate_frames(keys.validate_frames),
            replay_protect: keys.replay_protect,
            replay_window: keys.replay_window,
            clear_vlan_tags: keys.clear_vlan_tags,
        };
        let station = |sci| Ok((sci, Station::new(sci, &association, &config)?));
        let stations = association.scis().into_iter().map(station).collect::<Result<_>>()?;
        let others = Half::new(config.clone());
        Ok(MkaVerifier { config, keys: ca, association, others, stations })
    }

    fn half(&mut self, place: Place) -> &mut Half {
        match place {
            Place::Others => &mut self.others,
            Place::Station(sci, half) => match self.stations.get_mut(&sci) {
                Some(station) => &mut station.halves[half],
                None => &mut self.others,
            },
        }
    }

    /// Finds where a frame belongs, and puts the SA that it verifies under in use there: the one of its AN whose SAK
    /// was distributed last before the frame, or the nearest to that; that one itself where none fits.
    fn place(&mut self, number: u64, octets: &[u8]) -> Place {
        let Some(Address { sci, an }) = self.address(octets) else { return Place::Others };
        let Some(sci) = sci.or_else(|| self.sender(number, an, octets)) else { return Place::Others };
        let Some(station) = self.stations.get_mut(&sci) else { return Place::Others };
        let which = match station.sas[an.index()].len() {
            0 => return Place::Station(sci, 0),
            1 => 0,
            _ => {
                let fitting = station.fitting(sci, an, number, octets);
                fitting.unwrap_or_else(|| station.current(an, number))
            }
        };
        station.put_in_use(sci, an, which);
        Place::Station(sci, station.sas[an.index()][which].half)
    }

    /// Whose a frame is that does not say: the station under whose SA it verifies. A live station has one peer, here are
    /// both; and what a gateway sends for others has their source address. If none fits, the station with that address,
    /// or the only one that there is.
    fn sender(&mut self, number: u64, an: An, octets: &[u8]) -> Option<Sci> {
        let source = Ethernet::new_checked(octets)?.src();
        let is_source = |sci: &Sci| sci.mac() == source;
        let mut order: Vec<Sci> = self.stations.keys().copied().collect();
        order.sort_by_key(|sci| !is_source(sci));
        let likeliest = *order.first()?;
        let count = order.len();
        let mut fits = |sci: &Sci| {
            let station = self.stations.get_mut(sci);
            station.is_some_and(|station| station.fitting(*sci, an, number, octets).is_some())
        };
        let fitting = order.into_iter().find(|sci| fits(sci));
        fitting.or_else(|| (count == 1 || is_source(&likeliest)).then_some(likeliest))
    }

    /// Channel and AN of a MACsec frame that is not malformed.
    fn address(&self, octets: &[u8]) -> Option<Address> {
        let header = L2Header::parse(octets, self.config.clear_vlan_tags)?;
        if header.ethertype != EtherType::MACSEC {
            return None;
        }
        let tag = SecTag::new_checked(octets.get(header.len..)?).ok()?;
        let ethernet = Ethernet::new_checked(octets)?;
        let sci = match tag.sci() {
            Some(sci) => Some(sci),
            None if tag.tci().single_copy_broadcast() => {
                Some(ethernet.implicit_sci(Sci::PORT_SINGLE_COPY_BROADCAST))
            }
            None if tag.tci().end_station() => Some(ethernet.implicit_sci(Sci::PORT_END_STATION)),
            None => None,
        };
        Some(Address { sci, an: tag.an() })
    }

    /// The SAK in use where a frame belongs.
    fn sak(&self, place: Place, octets: &[u8]) -> Option<Arc<UsedSak>> {
        let Place::Station(sci, half) = place else { return None };
        let an = self.address(octets)?.an;
        let sas = &self.stations.get(&sci)?.sas[an.index()];
        sas.iter().find(|sa| sa.half == half && sa.waiting.is_none()).map(|sa| sa.used.clone())
    }

    fn rows(&self) -> Vec<Row> {
        let mut secy: Vec<_> = self.others.rx.counters().values().collect();
        for half in self.stations.values().flat_map(|s| &s.halves) {
            for ((_, sum), (_, n)) in secy.iter_mut().zip(half.rx.counters().values()) {
                *sum += n;
            }
        }
        let heard = |icv| self.association.heard(icv);
        let mut rows = vec![
            Row::new("capture", "mka").counts([
                ("MkpdusRx", heard(Icv::Right)),
                ("EapolMkInvalidFramesRx", heard(Icv::Wrong)),
                ("EapolMkNoCknFramesRx", heard(Icv::OtherCak)),
                ("DistributedSaks", self.association.saks()),
            ]),
            Row::new("capture", "secy").counts(secy),
        ];
        for (sci, station) in &self.stations {
            for sa in station.sas.iter().flatten() {
                let d = &sa.used.distribution;
                let row = Row::new("capture", "rx_sa").text("sci", sci).number("an", d.an.as_u8().into());
                let row = row.text("key_server_mi", d.key_server).number("kn", d.kn.into());
                rows.push(row.counts(sa.counters.values()));
            }
            rows.extend(station.halves.iter().flat_map(|half| half.rx.channels()).flat_map(rows_without_sa));
        }
        rows
    }
}

fn warn_of(association: &Association) {
    let [right, wrong, other] = [Icv::Right, Icv::Wrong, Icv::OtherCak].map(|icv| association.heard(icv));
    match (right, wrong, other) {
        (0, 0, 0) => tracing::warn!("there is no MKPDU in this capture, so no SAK is distributed"),
        (0, 0, n) => tracing::warn!("all {n} MKPDUs name other CAKs; is this the right ckn?"),
        (0, n, _) => {
            tracing::warn!("none of {n} MKPDUs with this ckn has a right ICV; is this the right cak?")
        }
        _ if association.distributions().is_empty() => {
            tracing::warn!("no MKPDU has a SAK that unwraps; capture from before the stations begin");
        }
        _ => {}
    }
}

impl Station {
    fn new(sci: Sci, association: &Association, config: &RxConfig) -> Result<Self> {
        let mut station = Station { halves: Vec::new(), trials: Vec::new(), sas: Default::default() };
        for (from, distribution) in association.distributions() {
            let sscis: Vec<_> = if distribution.suite.is_xpn() {
                association.sscis(distribution, sci).into_iter().map(Some).collect()
            } else {
                // Whoever is there: a frame may show that a member has the SAK though no list names it.
                vec![None]
            };
            for ssci in sscis {
                let used = Arc::new(UsedSak { distribution: distribution.clone(), ssci });
                let sas = &station.sas[distribution.an.index()];
                if sas.iter().any(|sa| sa.used.is_same(&used)) {
                    continue;
                }
                let sa = Box::new(used.rx_sa(sci)?);
                let half = station.half_for(sci, distribution, config);
                let (counters, progress) = (sa.counters(), sa.progress());
                let sa = Sa { from: *from, used, half, waiting: Some(sa), counters, progress };
                station.sas[distribution.an.index()].push(sa);
            }
        }
        if station.halves.is_empty() {
            station.add_half(sci, config.clone());
        }
        Ok(station)
    }

    /// The half for a SAK's suite, made where it is missing.
    fn half_for(&mut self, sci: Sci, distribution: &Distribution, config: &RxConfig) -> usize {
        let config = RxConfig { suite: distribution.suite, ..config.clone() };
        let same = |half: &Half| half.rx.config().suite == config.suite;
        self.halves.iter().position(same).unwrap_or_else(|| {
            self.add_half(sci, config);
            self.halves.len() - 1
        })
    }

    fn add_half(&mut self, sci: Sci, config: RxConfig) {
        let strict =
            RxConfig { validate_frames: ValidateFrames::Strict, replay_protect: false, ..config.clone() };
        self.halves.push(half_of(sci, config));
        self.trials.push(half_of(sci, strict));
    }

    /// The SA of an AN whose SAK was distributed last before frame `number`, or the first.
    fn current(&self, an: An, number: u64) -> usize {
        self.sas[an.index()].iter().rposition(|sa| sa.from <= number).unwrap_or(0)
    }

    /// The SA of an AN that a frame verifies under, the nearest to the current one. Nothing is counted.
    fn fitting(&mut self, sci: Sci, an: An, number: u64, octets: &[u8]) -> Option<usize> {
        let current = self.current(an, number);
        let Station { sas, trials, .. } = self;
        let sas = &sas[an.index()];
        let mut order: Vec<_> = (0..sas.len()).collect();
        order.sort_by_key(|i| i.abs_diff(current));
        order.into_iter().find(|i| sas[*i].fits(sci, an, &mut trials[sas[*i].half], octets))
    }

    /// Puts one SA of an AN in use in place of the other of its half.
    fn put_in_use(&mut self, sci: Sci, an: An, which: usize) {
        let sas = &mut self.sas[an.index()];
        let half = sas[which].half;
        let Some(sa) = sas[which].waiting.take() else { return };
        let before =
            (0..sas.len()).find(|i| *i != which && sas[*i].half == half && sas[*i].waiting.is_none());
        let event = self.halves[half].rx.apply(Command::InstallRxSa { sci, an, sa });
        if let (Some(Event::Retired(Retired::RxSa(.., old))), Some(before)) = (event, before) {
            sas[before].waiting = Some(old);
        }
    }
}

fn half_of(sci: Sci, config: RxConfig) -> Half {
    let mut half = Half::new(config);
    half.rx.apply(Command::AddRxSc(RxSc::new(sci)));
    half
}

impl Sa {
    /// Whether the frame is authentic under this SA, which stays as it is.
    fn fits(&self, sci: Sci, an: An, trial: &mut Half, octets: &[u8]) -> bool {
        let Ok(mut sa) = self.used.rx_sa(sci) else { return false };
        sa.resume(self.progress.next_pn());
        trial.rx.apply(Command::InstallRxSa { sci, an, sa: Box::new(sa) });
        trial.verify(octets).is_some()
    }
}

impl UsedSak {
    fn rx_sa(&self, sci: Sci) -> Result<RxSa> {
        let Distribution { suite, sak, offset, .. } = &self.distribution;
        // Where the key server wants no encryption, frames that are encrypted all the same have no offset.
        let offset = offset.unwrap_or_default();
        let xpn = self.ssci.zip(self.distribution.salt()).map(|(ssci, salt)| Xpn { ssci, salt });
        Ok(RxSa::new(&SaParams { suite: *suite, sak, sci, xpn, offset, first_pn: 1 })?)
    }

    /// Whether frames verify under both alike.
    fn is_same(&self, other: &Self) -> bool {
        let key = |used: &Self| {
            let d = &used.distribution;
            (d.suite, d.offset, d.salt(), used.ssci)
        };
        key(self) == key(other) && self.distribution.sak == other.distribution.sak
    }
}
