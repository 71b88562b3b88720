//! A link: two ports, a SecY between them, and what is watched of it.

use crate::report::Row;
use crate::{KeyUse, OpenPort, PortReader, Reservation, RxMemory, StateDir, StateError};
use datapath::{FrameRx, FrameTx, PathCounters, Protect, Task, Verify};
use secy::{
    Command, Event, PnGate, RxConfig, RxProgress, RxSa, RxSaCounters, RxSc, RxScCounters, RxSecY,
    RxSecYCounters, SaError, SaParams, SciMode, TxConfig, TxSa, TxSaCounters, TxScCounters, TxSecY,
    TxSecYCounters, ValidateFrames, Xpn,
};
use std::sync::Arc;
use std::time::Instant;
use wire::{An, Sci};

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
fn rx_config(link: &config::Link) -> RxConfig {
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
    sci: Sci,
    protect: Arc<PathCounters>,
    verify: Arc<PathCounters>,
    tx: Arc<TxSecYCounters>,
    tx_sc: Arc<TxScCounters>,
    tx_sa: Option<TxSaWatch>,
    rx: Arc<RxSecYCounters>,
    rx_scs: Vec<RxScWatch>,
    ports: [(String, PortReader); 2],
}

struct TxSaWatch {
    an: An,
    counters: Arc<TxSaCounters>,
    gate: Arc<PnGate>,
    reservation: Reservation,
    failing: bool,
}

struct RxScWatch {
    sci: Sci,
    counters: Arc<RxScCounters>,
    sas: Vec<RxSaWatch>,
}

struct RxSaWatch {
    an: An,
    counters: Arc<RxSaCounters>,
    progress: Arc<RxProgress>,
    memory: RxMemory,
}

/// A link ready to run: its two tasks and what is watched of them.
pub(crate) struct Assembled {
    pub(crate) protect: Box<dyn Task>,
    pub(crate) verify: Box<dyn Task>,
    pub(crate) watch: LinkWatch,
}

/// The transmit channel of a link whose line port has the address `mac`.
pub(crate) fn transmit_sci(link: &config::Link, mac: wire::MacAddr) -> Sci {
    link.sci.unwrap_or(Sci::new(mac, Sci::PORT_END_STATION))
}

/// Joins two open ports by a SecY with the link's static keys.
pub(crate) fn assemble<R, T>(
    link: &config::Link,
    ports: [&config::Port; 2],
    plain: OpenPort<R, T>,
    line: OpenPort<R, T>,
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
    let max_frame = longest(line.mtu) + tags(link.clear_vlan_tags);
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
    let (mut tx_sa, mut rx_scs) = (None, Vec::new());
    if let Some(keys) = &link.static_keys {
        if link.protect_frames {
            tx_sa = Some(key_transmit(link, sci, &keys.tx, &mut tx, state)?);
        }
        for key in &keys.rx {
            key_receive(link, key, &mut rx, &mut rx_scs, state)?;
        }
    }
    let (tx_counters, tx_sc, rx_counters) = (tx.counters(), tx.sc_counters(), rx.counters());
    let protect = Protect::new(plain.rx, tx, line.tx);
    let verify = Verify::new(line.rx, rx, plain.tx, max_plain_frame);
    let watch = LinkWatch {
        name: link.name.clone(),
        sci,
        protect: protect.counters(),
        verify: verify.counters(),
        tx: tx_counters,
        tx_sc,
        tx_sa,
        rx: rx_counters,
        rx_scs,
        ports: [(plain_port.name.clone(), plain.counters), (line_port.name.clone(), line.counters)],
    };
    Ok(Assembled { protect: Box::new(protect), verify: Box::new(verify), watch })
}

fn key_transmit(
    link: &config::Link,
    sci: Sci,
    key: &config::TxKey,
    tx: &mut TxSecY,
    state: &mut StateDir,
) -> Result<TxSaWatch, LinkError> {
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
    // A new half takes any SA.
    tx.apply(Command::InstallTxSa { an: key.an, sa: Box::new(sa) });
    tx.apply(Command::EncodeWith(Some(key.an)));
    Ok(TxSaWatch { an: key.an, counters, gate, reservation, failing: false })
}

fn key_receive(
    link: &config::Link,
    key: &config::RxKey,
    rx: &mut RxSecY,
    watches: &mut Vec<RxScWatch>,
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
    if !watches.iter().any(|w| w.sci == key.sci) {
        let sc = RxSc::new(key.sci);
        let counters = sc.counters();
        if let Some(Event::Refused(_)) = rx.apply(Command::AddRxSc(sc)) {
            return Err(LinkError::Channel { link: link.name.clone(), sci: key.sci });
        }
        watches.push(RxScWatch { sci: key.sci, counters, sas: Vec::new() });
    }
    if let Some(watch) = watches.iter_mut().find(|w| w.sci == key.sci) {
        sa.resume(memory.next_pn().unwrap_or(1));
        let (counters, progress) = (sa.counters(), sa.progress());
        watch.sas.push(RxSaWatch { an: key.an, counters, progress, memory });
    }
    rx.apply(Command::InstallRxSa { sci: key.sci, an: key.an, sa: Box::new(sa) });
    tracing::info!(link = link.name, sci = %key.sci, an = key.an.as_u8(), "receives with a static SAK");
    Ok(())
}

impl LinkWatch {
    /// Reserves packet numbers ahead of use, and remembers those received.
    pub(crate) fn maintain(&mut self, now: Instant) {
        for sa in self.rx_scs.iter_mut().flat_map(|sc| &mut sc.sas) {
            if let Err(e) = sa.memory.maintain(&sa.progress, now) {
                tracing::warn!(link = self.name, "{e}; after a restart old frames could be accepted again");
            }
        }
        let Some(sa) = &mut self.tx_sa else { return };
        match sa.reservation.maintain(&sa.gate, now) {
            Ok(()) => sa.failing = false,
            // Said once, tried again and again: frames are dropped rather than sent with a number that a restart
            // could use again.
            Err(e) if !sa.failing => {
                sa.failing = true;
                tracing::error!(link = self.name, "{e}; no packet numbers beyond those already reserved");
            }
            Err(_) => {}
        }
    }

    /// Gives back unused packet numbers and remembers those received. Only once the workers have ended.
    pub(crate) fn finish(self) -> Result<(), StateError> {
        let mut outcome = match self.tx_sa {
            Some(sa) => sa.reservation.finish(&sa.gate),
            None => Ok(()),
        };
        for mut sa in self.rx_scs.into_iter().flat_map(|sc| sc.sas) {
            outcome = outcome.and(sa.memory.store(&sa.progress));
        }
        outcome
    }

    /// Frames sent, received and lost, for a line of text.
    pub(crate) fn summary(&self) -> String {
        let [sent, received] = [&self.protect, &self.verify].map(|c| (c.tx_frames.get(), c.rx_frames.get()));
        format!(
            "{} of {} frames protected and sent, {} of {} verified and delivered",
            sent.0, sent.1, received.0, received.1
        )
    }

    /// All counters.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let row = |scope| Row::new(&self.name, scope);
        let mut rows = vec![row("secy").counts(self.tx.values()).counts(self.rx.values())];
        let zero: Vec<_> = TxSaCounters::default().values().collect();
        let live = self.tx_sa.iter().flat_map(|sa| sa.counters.values());
        let total = sum(&zero, self.tx_sc.retired.values().chain(live));
        rows.push(row("tx_sc").text("sci", self.sci).counts(total));
        if let Some(sa) = &self.tx_sa {
            let sa_row = row("tx_sa").text("sci", self.sci).number("an", sa.an.as_u8().into());
            rows.push(sa_row.counts(sa.counters.values()).counts([("NextPN", sa.gate.next())]));
        }
        for sc in &self.rx_scs {
            let zero: Vec<_> = RxSaCounters::default().values().collect();
            let without_sa = sc.counters.without_sa.iter().flat_map(RxSaCounters::values);
            let live = sc.sas.iter().flat_map(|sa| sa.counters.values());
            let total = sum(&zero, sc.counters.retired.values().chain(without_sa).chain(live));
            rows.push(row("rx_sc").text("sci", sc.sci).counts(total));
            for sa in &sc.sas {
                let sa_row = row("rx_sa").text("sci", sc.sci).number("an", sa.an.as_u8().into());
                rows.push(sa_row.counts(sa.counters.values()).counts([("NextPN", sa.progress.next_pn())]));
            }
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
