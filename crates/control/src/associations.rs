//! What a controller sees of the SAs that it has put in place.

use crate::{RxSaStatus, TxSaStatus};
use mka::KeyIdentifier;
use secy::{PnGate, RxProgress, RxSaCounters, RxScCounters, TxSaCounters, last_pn};
use std::sync::Arc;
use wire::{An, CipherSuite, Sci};

/// A transmit SA.
#[derive(Debug)]
pub struct TxSaView {
    /// Its key, where key agreement has it from.
    pub key: Option<KeyIdentifier>,
    /// Its suite.
    pub suite: CipherSuite,
    /// Its counters.
    pub counters: Arc<TxSaCounters>,
    /// Its packet numbers.
    pub gate: Arc<PnGate>,
}

/// A receive SA.
#[derive(Debug)]
pub struct RxSaView {
    /// Its key, where key agreement has it from.
    pub key: Option<KeyIdentifier>,
    /// Its counters.
    pub counters: Arc<RxSaCounters>,
    /// Its packet numbers.
    pub progress: Arc<RxProgress>,
}

/// A receive SC.
#[derive(Debug)]
pub struct RxScView {
    /// Who sends in it.
    pub sci: Sci,
    /// Its counters beyond those of its SAs.
    pub counters: Arc<RxScCounters>,
    /// By AN.
    pub sas: [Option<RxSaView>; An::COUNT],
}

impl TxSaView {
    /// Whether there is a packet number for the next frame.
    fn has_numbers(&self) -> bool {
        self.gate.next() < self.gate.limit().min(last_pn(self.suite.is_xpn()) + 1)
    }
}

impl RxScView {
    /// A channel without SAs.
    pub fn new(sci: Sci, counters: Arc<RxScCounters>) -> Self {
        RxScView { sci, counters, sas: Default::default() }
    }

    /// All its counts, those of SAs that are gone among them: by name, a name more than once.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let without_sa = self.counters.without_sa.iter().flat_map(RxSaCounters::values);
        let live = self.sas.iter().flatten().flat_map(|sa| sa.counters.values());
        self.counters.retired.values().chain(without_sa).chain(live)
    }
}

/// The SAs of a link.
#[derive(Debug, Default)]
pub struct Associations {
    /// Transmit SAs by AN.
    pub tx: [Option<TxSaView>; An::COUNT],
    /// The one in use.
    pub encoding: Option<An>,
    /// Receive channels.
    pub rx: Vec<RxScView>,
}

impl Associations {
    /// Transmit SAs that are there.
    pub fn tx_sas(&self) -> impl Iterator<Item = (An, &TxSaView)> {
        An::ALL.into_iter().filter_map(|an| Some((an, self.tx[an.index()].as_ref()?)))
    }

    /// A receive channel.
    pub fn channel(&mut self, sci: Sci) -> Option<&mut RxScView> {
        self.rx.iter_mut().find(|sc| sc.sci == sci)
    }

    /// The key of a receive SA.
    pub(crate) fn rx_key(&self, sci: Sci, an: An) -> Option<KeyIdentifier> {
        self.rx.iter().find(|sc| sc.sci == sci)?.sas[an.index()].as_ref()?.key
    }

    /// Whether there is no SA at all.
    pub fn is_empty(&self) -> bool {
        self.tx_sas().next().is_none() && self.rx.iter().all(|sc| sc.sas.iter().all(Option::is_none))
    }

    /// Whether frames go out protected, and somebody's are accepted.
    pub fn is_secured(&self) -> bool {
        let sends =
            self.encoding.and_then(|an| self.tx[an.index()].as_ref()).is_some_and(TxSaView::has_numbers);
        sends && self.rx.iter().any(|sc| sc.sas.iter().any(Option::is_some))
    }

    /// Transmit SAs for people.
    pub fn tx_status(&self) -> Vec<TxSaStatus> {
        let status = |(an, sa): (An, &TxSaView)| TxSaStatus {
            an: an.as_u8(),
            kn: sa.key.map(|key| key.kn),
            key_server_mi: sa.key.map(|key| key.mi.to_string()),
            cipher_suite: sa.suite.to_string(),
            next_pn: sa.gate.next(),
            in_use: self.encoding == Some(an),
        };
        self.tx_sas().map(status).collect()
    }

    /// Receive SAs for people.
    pub fn rx_status(&self) -> Vec<RxSaStatus> {
        let sas = self.rx.iter().flat_map(|sc| {
            An::ALL.into_iter().filter_map(|an| Some((sc.sci, an, sc.sas[an.index()].as_ref()?)))
        });
        sas.map(|(sci, an, sa)| RxSaStatus {
            sci: sci.to_string(),
            an: an.as_u8(),
            kn: sa.key.map(|key| key.kn),
            key_server_mi: sa.key.map(|key| key.mi.to_string()),
            next_pn: sa.progress.next_pn(),
        })
        .collect()
    }
}
