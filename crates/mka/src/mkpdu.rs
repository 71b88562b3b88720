//! What a KaY sends.

use crate::Kay;
use crate::key::SharedKey;
use crate::peer::Peer;
use crate::status::Server;
use wire::{
    An, BasicRepr, Capability, CipherSuite, CknRef, DistributedSak, DistributedSakForm, EapolRepr, KeyUse,
    MemberId, MkpduWriter, PAE_GROUP, SakUse, WrappedKey, XpnRepr,
};

/// Octets of an MKPDU with everything in it but entries of lists.
const WITHOUT_LISTS: usize = 14 + 4 + (32 + 32) + 2 * 4 + 44 + 12 + 56 + 20;
/// Octets of a peer in a list.
const ENTRY: usize = 16;

/// Whether a frame can name so many peers.
pub(crate) fn fits_all(kay: &Kay, peers: usize) -> bool {
    WITHOUT_LISTS + ENTRY * peers <= kay.config.max_frame.min(MkpduWriter::MAX_FRAME_LEN)
}

/// Writes the next MKPDU, which has its number already.
pub(crate) fn write(kay: &mut Kay, buffer: &mut [u8]) -> Option<usize> {
    let size = buffer.len().min(kay.config.max_frame).min(MkpduWriter::MAX_FRAME_LEN);
    let room = size.saturating_sub(WITHOUT_LISTS) / ENTRY;
    let hand_out = kay.hands_out().filter(|hand_out| {
        let key = hand_out.key.identifier;
        // Until it is in use by all; who loses a frame finds it in the next.
        !kay.live().all(|peer| peer.receives(key))
            || !kay.cp.transmit_key().is_some_and(|k| k.identifier == key)
    });
    let named = |peer: &Peer| (peer.live, peer.mi, peer.mn);
    let mut all: Vec<(bool, MemberId, u32)> = kay.peers.iter().map(named).collect();
    let mut server_ssci = 0;
    if let Some(hand_out) = hand_out.filter(|hand_out| hand_out.key.suite.is_xpn()) {
        // The order of the list is that of SSCIs, and nobody may be missing.
        let ssci =
            |mi: MemberId| kay.live().find(|peer| peer.mi == mi).and_then(|peer| hand_out.key.ssci(peer.sci));
        all.sort_by_key(|(live, mi, _)| (!live, ssci(*mi)));
        server_ssci = hand_out.key.ssci(kay.config.sci).map_or(0, |ssci| ssci.0 as u8);
    } else if all.len() > room {
        // Others find themselves in the next one: those that are live already no sooner than those that wait for it.
        let from = kay.rotation % all.len();
        all.rotate_left(from);
    }
    all.truncate(room);
    let list = |live: bool| {
        let these = all.iter().filter(move |named| named.0 == live);
        these.map(|(_, mi, mn)| (*mi, *mn)).collect::<Vec<_>>()
    };
    let (live, potential) = (list(true), list(false));

    let distributed = match hand_out {
        Some(hand_out) => Some((hand_out.key.clone(), kay.kek.wrap_sak(&hand_out.key.sak))),
        None => None,
    };
    let version = version(kay);
    let basic = BasicRepr {
        version,
        priority: kay.config.priority,
        // Also before anybody is elected: some peers elect only who claims it, or else themselves, and then reject what
        // the better one says until it is dead to them.
        key_server: !matches!(kay.server, Some(Server::Peer { .. })),
        macsec_desired: true,
        capability: Capability::ConfidentialityOffsets,
        sci: kay.config.sci,
        mi: kay.mi,
        mn: kay.mn,
        agility: BasicRepr::AGILITY,
        ckn: CknRef::new(kay.config.ckn.octets()).ok()?,
    };
    let mut writer =
        MkpduWriter::new(&mut buffer[..size], kay.config.sci.mac(), PAE_GROUP, EapolRepr::VERSION, &basic)
            .ok()?;
    if !live.is_empty() {
        writer.live_peers(server_ssci, live.iter().copied()).ok()?;
    }
    if !potential.is_empty() {
        writer.potential_peers(potential.iter().copied()).ok()?;
    }
    // Before a peer is live it takes some amiss to hear of SAKs.
    if !live.is_empty() && kay.cp.keys().next().is_some() {
        let (said, xpn) = sak_use(kay);
        writer.sak_use(Some(&said)).ok()?;
        if version >= 3 && kay.cp.keys().any(|key| key.suite.is_xpn()) {
            writer.xpn(&xpn).ok()?;
        }
    }
    if let Some((key, wrapped)) = &distributed {
        let kn = key.identifier.kn;
        let wrapped = wrapped.as_ref();
        // The form without a suite is the one that everybody takes.
        let form = match (key.suite, wrapped.try_into()) {
            (CipherSuite::GcmAes128, Ok(wrapped)) => DistributedSakForm::GcmAes128 { kn, wrapped },
            (suite, _) => {
                DistributedSakForm::Suite { kn, suite: Ok(suite), wrapped: WrappedKey::new(wrapped).ok()? }
            }
        };
        let sak = DistributedSak { an: key.an, confidentiality_offset: key.confidentiality, form };
        writer.distributed_sak(&sak).ok()?;
    }
    let ick = &kay.ick;
    let frame = writer.finish(kay.config.icv_indicator, |parts| ick.icv(&parts));
    let len = frame.len();
    kay.rotation = kay.rotation.wrapping_add(room);
    Some(len)
}

/// What the others speak, if all speak less than this one: those that are live, where there are any, since an old frame
/// that somebody plays back makes a potential peer.
fn version(kay: &Kay) -> u8 {
    let live = kay.live().map(|peer| peer.version).max();
    let others = live.or_else(|| kay.peers.iter().map(|peer| peer.version).max());
    others.map_or(kay.config.version, |others| others.clamp(1, kay.config.version))
}

fn sak_use(kay: &Kay) -> (SakUse, XpnRepr) {
    let next_pn = |an: An| kay.cp.next_pns[an.index()];
    let slot = |key: &Option<SharedKey>| match key {
        Some(key) => {
            let pn = next_pn(key.an);
            // After the last one that there is: no lower number than that will do.
            let pn = if key.suite.is_xpn() { pn } else { pn.min(u32::MAX.into()) };
            let used = KeyUse { mi: key.identifier.mi, kn: key.identifier.kn, llpn: pn as u32 };
            (key.an, used, (pn >> 32) as u32)
        }
        // Some peers reject a lowest packet number of zero under delay protection, also that of no key.
        None => (An::ALL[0], KeyUse { llpn: kay.config.delay_protect.into(), ..KeyUse::default() }, 0),
    };
    let (latest_an, latest, latest_lpn_high) = slot(&kay.cp.latest);
    let (old_an, old, old_lpn_high) = slot(&kay.cp.old);
    let (latest_rx, latest_tx) = kay.cp.latest_use();
    let (old_rx, old_tx) = kay.cp.old_use();
    let said = SakUse {
        latest_an,
        latest_tx,
        latest_rx,
        old_an,
        old_tx,
        old_rx,
        plain_tx: false,
        plain_rx: false,
        delay_protect: kay.config.delay_protect,
        latest,
        old,
    };
    (said, XpnRepr { suspension_time: 0, latest_lpn_high, old_lpn_high })
}
