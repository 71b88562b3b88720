//! The other stations (802.1X clause 9.4.3).

use crate::key::{Key, KeyIdentifier};
use crate::{PeerStatus, Time};
use wire::{An, MemberId, SakUse, Sci};

/// Stations that are kept, live or potential, at most. More are ignored: they know the CAK, or replay one who did.
pub(crate) const MAX_PEERS: usize = 256;

/// Another station, as its MKPDUs say.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) mi: MemberId,
    /// The number of its last MKPDU; only higher ones are taken.
    pub(crate) mn: u32,
    pub(crate) sci: Sci,
    pub(crate) priority: u8,
    pub(crate) version: u8,
    /// It listed this station as it is now; else it is a potential peer.
    pub(crate) live: bool,
    /// When its last MKPDU came.
    pub(crate) heard: Time,
    /// When it is forgotten: a live peer a life time after it last listed this station.
    pub(crate) expires: Time,
    /// Whom its last MKPDU listed.
    pub(crate) knows: Vec<MemberId>,
    /// What it last said of SAKs, and the high parts of its packet numbers.
    pub(crate) sak_use: Option<SakUse>,
    pub(crate) pn_high: [u32; 2],
}

impl Peer {
    /// Whether it said that it receives under this key. In which slot does not matter: some keep their only key in the
    /// old one.
    pub(crate) fn receives(&self, key: KeyIdentifier) -> bool {
        self.uses(key).is_some_and(|(receives, _)| receives)
    }

    /// Whether it said that it transmits under this key.
    pub(crate) fn transmits(&self, key: KeyIdentifier) -> bool {
        self.uses(key).is_some_and(|(_, transmits)| transmits)
    }

    /// What it said that it transmits under.
    pub(crate) fn transmit_key(&self) -> Option<KeyIdentifier> {
        let said = self.sak_use.as_ref()?;
        let slots = [(&said.latest, said.latest_tx), (&said.old, said.old_tx)];
        let (used, _) = slots.into_iter().find(|(_, transmits)| *transmits)?;
        Some(KeyIdentifier { mi: used.mi, kn: used.kn })
    }

    fn uses(&self, key: KeyIdentifier) -> Option<(bool, bool)> {
        let said = self.sak_use.as_ref()?;
        let is = |used: &wire::KeyUse| used.mi == key.mi && used.kn == key.kn;
        match (is(&said.latest), is(&said.old)) {
            (false, false) => None,
            (latest, old) => Some((
                latest && said.latest_rx || old && said.old_rx,
                latest && said.latest_tx || old && said.old_tx,
            )),
        }
    }

    /// Whether it said that it receives or transmits under this AN.
    pub(crate) fn has_an(&self, an: An) -> bool {
        self.sak_use.as_ref().is_some_and(|said| {
            let latest = said.latest_an == an && (said.latest_rx || said.latest_tx);
            latest || said.old_an == an && (said.old_rx || said.old_tx)
        })
    }

    /// The packet number that it said it would next transmit with under this key. What an XPN set says of another is
    /// nothing.
    pub(crate) fn next_pn(&self, key: &Key) -> Option<u64> {
        let said = self.sak_use.as_ref()?;
        let KeyIdentifier { mi, kn } = key.identifier;
        let slots = [(&said.latest, self.pn_high[0]), (&said.old, self.pn_high[1])];
        let (used, high) = slots.into_iter().find(|(used, _)| used.mi == mi && used.kn == kn)?;
        let high = if key.suite.is_xpn() { high } else { 0 };
        Some(u64::from(high) << 32 | u64::from(used.llpn))
    }

    /// At a glance; `used` is what this station transmits under.
    pub(crate) fn status(&self, now: Time, used: Option<KeyIdentifier>) -> PeerStatus {
        PeerStatus {
            sci: self.sci,
            mi: self.mi,
            mn: self.mn,
            priority: self.priority,
            version: self.version,
            live: self.live,
            receives: used.is_some_and(|key| self.receives(key)),
            age: now.saturating_sub(self.heard),
        }
    }
}
