//! A link: two ports, a SecY between them, and what is watched of it.

use crate::astray::{Astray, Found};
use crate::crowd::Crowd;
use crate::report::Row;
use crate::{KeyUse, OpenPort, PortReader, Reservation, RxMemory, StateDir, StateError};
use control::{
    Agreement, Associations, LinkStatus, RxSaView, RxScView, Said, Settings, TaskAddress, TxSaView, Workers,
};
use datapath::{
    ControlPort, FrameRx, FrameTx, PathCounters, Protect, Task, Verify, control_port, sample_port,
};
use secy::{
    Command, Event, PnGate, RxConfig, RxProgress, RxSa, RxSaCounters, RxSc, RxSecY, RxSecYCounters, SaError,
    SaParams, SciMode, TxConfig, TxSa, TxSaCounters, TxScCounters, TxSecY, TxSecYCounters, ValidateFrames,
    Xpn,
};
use std::mem;
use std::sync::Arc;
use std::time::Instant;
use wire::Sci;

/// Octets of an Ethernet header. FCS is not counted anywhere here.
const L2_HEADER: usize = 14;
/// Octets of two VLAN tags, which come on top of a plain port's MTU, but on the line are payload.
pub(crate) const VLAN_TAGS: u16 = (wire::MAX_VLAN_TAGS * wire::VLAN_TAG_LEN) as u16;
/// Octets of the largest payload where no port sets a limit.
const LARGEST_MTU: u16 = 9600 + secy::MAX_OVERHEAD as u16 + VLAN_TAGS;

/// Why a link cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Protected frames do not fit the line.
    #[error(
        "link {link:?}: port {line:?} carries payloads of {line_mtu} octets, but those of port {plain:?}, of up to \
         {plain_mtu}, grow by {growth}: set mtu = {} on port {line:?}, or mtu = {} on port {plain:?}",
        plain_mtu.saturating_add(*growth), line_mtu.saturating_sub(*growth)
    )]
    Mtu {
        /// The link.
        link: String,
        /// Its plain port.
        plain: String,
        /// Its line port.
        line: String,
        /// Octets of the plain port's largest payload.
        plain_mtu: u16,
        /// Octets of the line port's largest payload.
        line_mtu: u16,
        /// Octets that protection adds.
        growth: u16,
    },
    /// A key does not fit the suite.
    #[error("link {link:?}: {reason}")]
    Sa {
        /// The link.
        link: String,
        /// What is wrong.
        reason: SaError,
    },
    /// Packet numbers cannot be reserved.
    #[error(transparent)]
    State(#[from] StateError),
    /// The SecY would not take a key.
    #[error(
        "link {link:?}: receive channel {sci} is there twice, or there are more than {}",
        secy::MAX_RECEIVE_SCS
    )]
    Channel {
        /// The link.
        link: String,
        /// The channel.
        sci: Sci,
    },
}

/// Octets that protecting adds to a frame of this link.
pub(crate) fn growth(link: &config::Link) -> u16 {
    match sci_mode(link) {
        _ if !link.protect_frames => 0,
        SciMode::Implicit => secy::MAX_OVERHEAD as u16 - 8,
        // Frames of foreign stations carry the SCI in any case.
        _ => secy::MAX_OVERHEAD as u16,
    }
}

fn sci_mode(link: &config::Link) -> SciMode {
    if link.send_sci {
        SciMode::Explicit
    } else if link.end_station {
        SciMode::EndStation
    } else if link.single_copy_broadcast {
        SciMode::SingleCopyBroadcast
    } else {
        SciMode::Implicit
    }
}

pub(crate) fn validate_frames(mode: config::ValidateFrames) -> ValidateFrames {
    match mode {
        config::ValidateFrames::Strict => ValidateFrames::Strict,
        config::ValidateFrames::Check => ValidateFrames::Check,
        config::ValidateFrames::Disabled => ValidateFrames::Disabled,
    }
}

pub(crate) fn xpn(params: Option<config::XpnParams>) -> Option<Xpn> {
    params.map(|x| Xpn { ssci: x.ssci, salt: x.salt })
}

/// The receive half that a link's configuration describes.
pub(crate) fn rx_config(link: &config::Link) -> RxConfig {
    RxConfig {
        suite: link.cipher_suite,
        validate_frames: validate_frames(link.validate_frames),
        replay_protect: link.replay_protect,
        replay_window: link.replay_window,
        clear_vlan_tags: link.clear_vlan_tags,
    }
}

/// Checks that protected frames fit the line.
pub(crate) fn check_mtu(
    link: &config::Link,
    ports: [&config::Port; 2],
    plain_mtu: Option<u16>,
    line_mtu: Option<u16>,
) -> Result<(), LinkError> {
    let growth = growth(link);
    let [plain, line] = ports.map(|p| p.name.clone());
    let (Some(plain_mtu), Some(line_mtu)) = (plain_mtu, line_mtu) else { return Ok(()) };
    if line_mtu < plain_mtu.saturating_add(growth) {
        return Err(LinkError::Mtu { link: link.name.clone(), plain, line, plain_mtu, line_mtu, growth });
    }
    if link.protect_frames && line_mtu < plain_mtu.saturating_add(growth + VLAN_TAGS) {
        tracing::info!(
            link = link.name,
            "port {line:?} carries payloads of {line_mtu} octets: enough for those of {plain_mtu} of port {plain:?}, \
             but with VLAN tags the longest do not fit (OutPktsTooLong); for these {} are needed",
            plain_mtu.saturating_add(growth + VLAN_TAGS)
        );
    }
    Ok(())
}

/// What is watched of a link that runs.
pub(crate) struct LinkWatch {
    pub(crate) name: String,
    /// Who protects, and who verifies.
    pub(crate) tasks: [TaskAddress; 2],
    pub(crate) agreement: Option<Agreement>,
    sci: Sci,
    protects: bool,
    protect: Arc<PathCounters>,
    verify: Arc<PathCounters>,
    tx: Arc<TxSecYCounters>,
    tx_sc: Arc<TxScCounters>,
    rx: Arc<RxSecYCounters>,
    keys: StaticKeys,
    ports: [(String, PortReader); 2],
    crowd: Crowd,
}

/// The SAs of static keys, and what a restart must know of them.
#[derive(Default)]
struct StaticKeys {
    sas: Associations,
    sending: Option<Sending>,
    memories: Vec<Remembering>,
    /// Under an XPN suite.
    astray: Option<Astray>,
    /// What went wrong last, and when.
    last_error: Option<(String, Instant)>,
}

/// Whether what is tried again and again fails, which is said once.
#[derive(Default)]
struct Failing(bool);

impl Failing {
    /// What is to be said of an outcome, if there is one.
    fn news(&mut self, outcome: Option<Result<(), StateError>>) -> Option<StateError> {
        let error = outcome?.err();
        let before = mem::replace(&mut self.0, error.is_some());
        error.filter(|_| !before)
    }
}

/// Packet numbers of a static receive SA.
struct Remembering {
    progress: Arc<RxProgress>,
    memory: RxMemory,
    failing: Failing,
}

/// Packet numbers of a static transmit SA.
struct Sending {
    gate: Arc<PnGate>,
    reservation: Reservation,
    failing: Failing,
}

const _: () = assert!(config::MAX_CRYPTO_WORKERS == datapath::MAX_CRYPTO_WORKERS);

/// A link ready to run: its tasks, what is watched of them, and the path of its key agreement.
pub(crate) struct Assembled {
    pub(crate) protect: Box<dyn Task>,
    pub(crate) verify: Box<dyn Task>,
    /// Crypto workers' tasks, and their cores.
    pub(crate) crypto: Vec<(usize, Box<dyn Task>)>,
    pub(crate) watch: LinkWatch,
    pub(crate) control: Option<ControlPath>,
}

/// Key agreement that is to begin.
pub(crate) struct ControlPath {
    port: ControlPort,
    kay: mka::Config,
}

impl ControlPath {
    /// Begins it.
    pub(crate) fn begin(
        self,
        link: &str,
        [protect, verify]: [TaskAddress; 2],
        state: &StateDir,
    ) -> Agreement {
        let settings = Settings { link: link.to_owned(), kay: self.kay, protect, verify };
        Agreement::new(settings, self.port, Box::new(state.used_keys(link)), Instant::now())
    }
}

/// What a link's KaY is told. Its MKPDUs have up to `max_frame` octets.
fn kay_config(
    link: &config::Link,
    mka: &config::Mka,
    sci: Sci,
    max_frame: usize,
    times: mka::Times,
) -> mka::Config {
    mka::Config {
        priority: mka.priority,
        suites: vec![link.cipher_suite],
        confidentiality: link.encrypt.then_some(link.confidentiality_offset),
        delay_protect: mka.delay_protect,
        version: mka.version,
        icv_indicator: mka.icv_indicator,
        rekey_period: mka.rekey_period,
        max_frame,
        times,
        ..mka::Config::new(sci, mka.cak.clone(), mka.ckn.clone())
    }
}

/// The transmit channel of a link whose line port has the address `mac`.
pub(crate) fn transmit_sci(link: &config::Link, mac: wire::MacAddr) -> Sci {
    link.sci.unwrap_or(Sci::new(mac, Sci::PORT_END_STATION))
}

/// Joins two open ports by a SecY, with the link's static keys or, in time, those of its key agreement.
pub(crate) fn assemble<R, T>(
    link: &config::Link,
    ports: [&config::Port; 2],
    plain: OpenPort<R, T>,
    line: OpenPort<R, T>,
    times: mka::Times,
    state: &mut StateDir,
) -> Result<Assembled, LinkError>
where
    R: FrameRx + 'static,
    T: FrameTx<Frame = R::Frame> + 'static,
{
    let [plain_port, line_port] = ports;
    let sci = transmit_sci(link, line.mac);
    // VLAN tags come on top of a port's MTU only where it sees them: behind the SecTAG they are payload.
    let tags = |n: usize| n * wire::VLAN_TAG_LEN;
    let longest = |mtu: Option<u16>| usize::from(mtu.unwrap_or(LARGEST_MTU)) + L2_HEADER;
    let seen = if link.protect_frames { link.clear_vlan_tags } else { wire::MAX_VLAN_TAGS };
    let max_frame = longest(line.mtu) + tags(seen);
    let max_plain_frame = longest(plain.mtu) + tags(wire::MAX_VLAN_TAGS);
    let mut tx = TxSecY::new(TxConfig {
        sci,
        protect_frames: link.protect_frames,
        encrypt: link.encrypt,
        sci_mode: sci_mode(link),
        clear_vlan_tags: link.clear_vlan_tags,
        max_frame,
    });
    let mut rx = RxSecY::new(rx_config(link));
    let mut keys = StaticKeys::default();
    let mut inlet = None;
    if let Some(static_keys) = &link.static_keys {
        // Where ICVs are not looked at, nothing can be found out.
        if link.cipher_suite.is_xpn() && link.validate_frames != config::ValidateFrames::Disabled {
            let (samples, far) = sample_port(max_frame);
            (keys.astray, inlet) = (Some(Astray::new(samples)), Some(far));
        }
        for key in &static_keys.rx {
            key_receive(link, key, &mut rx, &mut keys, state)?;
        }
        // Last, since what fails after it costs packet numbers.
        if link.protect_frames {
            key_transmit(link, sci, &static_keys.tx, &mut tx, &mut keys, state)?;
        }
    }
    let (tx_counters, tx_sc, rx_counters) = (tx.counters(), tx.sc_counters(), rx.counters());
    let (mut protect, protect_tasks) =
        Protect::new(plain.rx, tx, line.tx).with_crypto_workers(link.protect_crypto_cores.len());
    let (mut verify, verify_tasks) = Verify::new(line.rx, rx, plain.tx, max_plain_frame)
        .with_crypto_workers(link.verify_crypto_cores.len());
    if let Some(inlet) = inlet {
        verify = verify.with_samples(inlet);
    }
    let crypto_cores = link.protect_crypto_cores.iter().chain(&link.verify_crypto_cores).copied();
    let crypto = crypto_cores.zip(protect_tasks.into_iter().chain(verify_tasks)).collect();
    let mut control = None;
    if let Some(mka) = &link.mka {
        let (port, inlet, outlet) = control_port();
        (protect, verify) = (protect.with_control(outlet), verify.with_control(inlet));
        control = Some(ControlPath { port, kay: kay_config(link, mka, sci, longest(line.mtu), times) });
    }
    let watch = LinkWatch {
        name: link.name.clone(),
        tasks: [TaskAddress { worker: usize::MAX, task: usize::MAX }; 2],
        agreement: None,
        sci,
        protects: link.protect_frames,
        protect: protect.counters(),
        verify: verify.counters(),
        tx: tx_counters,
        tx_sc,
        rx: rx_counters,
        keys,
        ports: [(plain_port.name.clone(), plain.counters), (line_port.name.clone(), line.counters)],
        crowd: Crowd::default(),
    };
    Ok(Assembled { protect: Box::new(protect), verify: Box::new(verify), crypto, watch, control })
}

fn key_transmit(
    link: &config::Link,
    sci: Sci,
    key: &config::TxKey,
    tx: &mut TxSecY,
    keys: &mut StaticKeys,
    state: &mut StateDir,
) -> Result<(), LinkError> {
    let xpn = xpn(key.xpn);
    let key_use = KeyUse { link: &link.name, sak: &key.sak, sci, xpn };
    let reservation = state.reserve(&key_use, key.next_pn)?;
    let params = SaParams {
        suite: link.cipher_suite,
        sak: &key.sak,
        sci,
        xpn,
        offset: link.confidentiality_offset,
        first_pn: reservation.first_pn(),
    };
    let sa = TxSa::new(&params, reservation.limit())
        .map_err(|reason| LinkError::Sa { link: link.name.clone(), reason })?;
    tracing::info!(
        link = link.name, %sci, an = key.an.as_u8(), pn = reservation.first_pn(), suite = %link.cipher_suite,
        "transmits with a static SAK"
    );
    let (counters, gate) = (sa.counters(), sa.gate());
    let view = TxSaView { key: None, suite: link.cipher_suite, counters, gate: gate.clone() };
    keys.sas.tx[key.an.index()] = Some(view);
    keys.sas.encoding = Some(key.an);
    keys.sending = Some(Sending { gate, reservation, failing: Failing::default() });
    // A new half takes any SA.
    tx.apply(Command::InstallTxSa { an: key.an, sa: Box::new(sa) });
    tx.apply(Command::EncodeWith(Some(key.an)));
    Ok(())
}

fn key_receive(
    link: &config::Link,
    key: &config::RxKey,
    rx: &mut RxSecY,
    keys: &mut StaticKeys,
    state: &StateDir,
) -> Result<(), LinkError> {
    let key_use = KeyUse { link: &link.name, sak: &key.sak, sci: key.sci, xpn: xpn(key.xpn) };
    let memory = state.recall(&key_use)?;
    let params = SaParams {
        suite: link.cipher_suite,
        sak: &key.sak,
        sci: key.sci,
        xpn: xpn(key.xpn),
        offset: link.confidentiality_offset,
        first_pn: key.next_pn,
    };
    let mut sa = RxSa::new(&params).map_err(|reason| LinkError::Sa { link: link.name.clone(), reason })?;
    if keys.sas.channel(key.sci).is_none() {
        let sc = RxSc::new(key.sci);
        let counters = sc.counters();
        if let Some(Event::Refused(_)) = rx.apply(Command::AddRxSc(sc)) {
            return Err(LinkError::Channel { link: link.name.clone(), sci: key.sci });
        }
        keys.sas.rx.push(RxScView::new(key.sci, counters));
    }
    if let Some(channel) = keys.sas.channel(key.sci) {
        sa.resume(memory.next_pn().unwrap_or(1));
        let (counters, progress) = (sa.counters(), sa.progress());
        keys.memories.push(Remembering { progress: progress.clone(), memory, failing: Failing::default() });
        if let Some(astray) = &mut keys.astray {
            astray.watch(link, key, progress.clone(), counters.clone());
        }
        channel.sas[key.an.index()] = Some(RxSaView { key: None, counters, progress });
    }
    rx.apply(Command::InstallRxSa { sci: key.sci, an: key.an, sa: Box::new(sa) });
    tracing::info!(link = link.name, sci = %key.sci, an = key.an.as_u8(), "receives with a static SAK");
    Ok(())
}

impl StaticKeys {
    /// Has packet numbers reserved ahead of use, and those received remembered.
    fn maintain(&mut self, link: &str, now: Instant) {
        for Remembering { progress, memory, failing } in &mut self.memories {
            if let Some(e) = failing.news(memory.maintain(progress, now)) {
                let text = format!("{e}; after a restart old frames could be accepted again");
                tracing::warn!(link, "{text}");
                self.last_error = Some((text, now));
            }
        }
        if let Some(Found { sci, an, missed }) = self.astray.as_mut().and_then(|astray| astray.maintain(now))
        {
            let an = an.as_u8();
            tracing::warn!(link, %sci, an, missed, "receives again: 2^31 packet numbers and more had been missed");
        }
        let Some(Sending { gate, reservation, failing }) = &mut self.sending else { return };
        // Frames are dropped rather than sent with a number that a restart could use again.
        if let Some(e) = failing.news(reservation.maintain(gate, now)) {
            let text = format!("{e}; no packet numbers beyond those already reserved");
            tracing::error!(link, "{text}");
            self.last_error = Some((text, now));
        }
    }

    /// What a SecY has to say.
    fn handle_event(&mut self, link: &str, now: Instant, event: &Event) {
        match event {
            Event::PnPending(an) => {
                tracing::warn!(
                    link,
                    an = an.as_u8(),
                    "three quarters of the SAK's packet numbers are used: renew it"
                );
            }
            Event::PnExhausted(an) => {
                const TEXT: &str = "the SAK's packet numbers are used up: nothing is sent any more";
                tracing::error!(link, an = an.as_u8(), "{TEXT}");
                self.last_error = Some((TEXT.to_owned(), now));
            }
            Event::Retired(_) => {}
            Event::Refused(command) => tracing::error!(link, ?command, "a SecY refused a command"),
        }
    }

    fn finish(self) -> Result<(), StateError> {
        let mut outcome = match self.sending {
            Some(Sending { gate, reservation, .. }) => reservation.finish(&gate),
            None => Ok(()),
        };
        for Remembering { progress, memory, .. } in self.memories {
            outcome = outcome.and(memory.finish(&progress));
        }
        outcome
    }
}

impl LinkWatch {
    /// What is to be done every few milliseconds.
    pub(crate) fn maintain(&mut self, now: Instant, workers: &mut Workers) {
        match &mut self.agreement {
            Some(agreement) => {
                agreement.poll(now, workers);
                let [_, (_, line)] = &self.ports;
                if let Some(make_way) = self.crowd.make_way(now, agreement.overdue(now), line) {
                    agreement.make_way(make_way);
                }
            }
            None => self.keys.maintain(&self.name, now),
        }
    }

    /// One of its tasks has something to say.
    pub(crate) fn handle_event(&mut self, now: Instant, workers: &mut Workers, event: Event) {
        match &mut self.agreement {
            Some(agreement) => agreement.handle_event(now, workers, event),
            None => self.keys.handle_event(&self.name, now, &event),
        }
    }

    /// Makes a new SAK.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn rekey(&mut self, now: Instant, workers: &mut Workers) -> Result<(), String> {
        match &mut self.agreement {
            None => Err("its keys are static".to_owned()),
            Some(agreement) => match agreement.rekey(now, workers) {
                true => Ok(()),
                false => Err("this side is not its key server".to_owned()),
            },
        }
    }

    /// Gives back unused packet numbers and remembers those received. Only once the workers have ended.
    pub(crate) fn finish(self) -> Result<(), StateError> {
        self.keys.finish()
    }

    fn associations(&self) -> &Associations {
        self.agreement.as_ref().map_or(&self.keys.sas, Agreement::associations)
    }

    /// Frames sent, received and lost, for a line of text.
    pub(crate) fn summary(&self) -> String {
        let [out, back] = [&self.protect, &self.verify]
            .map(|c| (c.tx_frames.get(), c.rx_frames.get() + c.rx_made_way.get()));
        let data = back.1.saturating_sub(self.rx.in_pkts_eapol.get());
        format!(
            "{} of {} frames protected and sent, {} of {data} verified and delivered",
            out.0, out.1, back.0
        )
    }

    /// The link at a glance.
    pub(crate) fn status(&self, now: Instant) -> LinkStatus {
        let status = match &self.agreement {
            Some(agreement) => agreement.status(now),
            None => LinkStatus {
                link: self.name.clone(),
                keys: if self.keys.sas.is_empty() { "none" } else { "static" }.to_owned(),
                sci: self.sci.to_string(),
                secured: self.keys.sas.is_secured(),
                tx_sas: self.keys.sas.tx_status(),
                rx_sas: self.keys.sas.rx_status(),
                last_error: self.keys.last_error.as_ref().map(|(text, at)| Said {
                    text: text.clone(),
                    age_s: now.saturating_duration_since(*at).as_secs(),
                }),
                ..LinkStatus::default()
            },
        };
        let eapol = self.rx.in_pkts_eapol.get();
        let [out, back] = [&self.protect, &self.verify]
            .map(|c| (c.rx_frames.get() + c.rx_made_way.get(), c.tx_frames.get()));
        LinkStatus {
            secured: status.secured && self.protects,
            frames_out: out.1,
            frames_in: back.1,
            dropped_out: out.0.saturating_sub(out.1),
            dropped_in: back.0.saturating_sub(back.1 + eapol),
            ..status
        }
    }

    /// All counters.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let row = |scope| Row::new(&self.name, scope);
        let sas = self.associations();
        let mut rows = vec![row("secy").counts(self.tx.values()).counts(self.rx.values())];
        let zero: Vec<_> = TxSaCounters::default().values().collect();
        let live = sas.tx_sas().flat_map(|(_, sa)| sa.counters.values());
        let total = sum(&zero, self.tx_sc.retired.values().chain(live));
        rows.push(row("tx_sc").text("sci", self.sci).counts(total));
        for (an, sa) in sas.tx_sas() {
            let sa_row = row("tx_sa").text("sci", self.sci).number("an", an.as_u8().into());
            rows.push(sa_row.counts(sa.counters.values()).counts([("NextPN", sa.gate.next())]));
        }
        for sc in &sas.rx {
            let zero: Vec<_> = RxSaCounters::default().values().collect();
            rows.push(row("rx_sc").text("sci", sc.sci).counts(sum(&zero, sc.values())));
            for (an, sa) in wire::An::ALL.iter().zip(&sc.sas) {
                let Some(sa) = sa else { continue };
                let sa_row = row("rx_sa").text("sci", sc.sci).number("an", an.as_u8().into());
                rows.push(sa_row.counts(sa.counters.values()).counts([("NextPN", sa.progress.next_pn())]));
            }
        }
        if let Some(agreement) = &self.agreement {
            // Channels of stations that went: every frame stays in a counter.
            rows.push(row("rx_sc_gone").counts(agreement.gone()));
            rows.push(row("mka").counts(agreement.counts()));
        }
        for (direction, counters) in [("protect", &self.protect), ("verify", &self.verify)] {
            rows.push(row("path").text("direction", direction).counts(counters.values()));
        }
        for (name, read) in &self.ports {
            rows.push(row("port").text("port", name).counts(read()));
        }
        rows
    }
}

/// Adds up values by name.
fn sum(
    zero: &[(&'static str, u64)],
    values: impl Iterator<Item = (&'static str, u64)>,
) -> Vec<(&'static str, u64)> {
    let mut totals = zero.to_vec();
    for (name, n) in values {
        if let Some((_, total)) = totals.iter_mut().find(|(known, _)| *known == name) {
            *total += n;
        }
    }
    totals
}
