//! Finds keys that would be used with one nonce twice. GCM then gives away plaintext and its own key.
//!
//! Nonces of suites with 32-bit packet numbers begin with the SCI; those of XPN suites with the SSCI xor the
//! first four octets of the salt, followed by any 64 bits (802.1AE clauses 14.5 and 14.7).

use crate::{Link, TxKey, XpnParams};
use keys::Sak;
use wire::Sci;

/// What the nonces of an SA begin with.
enum Nonces {
    Sci([u8; 8]),
    Xpn([u8; 4]),
}

impl Nonces {
    /// `None` where the SCI is not known yet.
    fn of(xpn: Option<&XpnParams>, sci: Option<Sci>) -> Option<Self> {
        Some(match xpn {
            None => Nonces::Sci(sci?.to_bytes()),
            Some(XpnParams { salt, ssci }) => {
                let [a, b, c, d] = ssci.0.to_be_bytes();
                Nonces::Xpn([a ^ salt.0[0], b ^ salt.0[1], c ^ salt.0[2], d ^ salt.0[3]])
            }
        })
    }

    fn overlap(&self, other: &Nonces) -> bool {
        match (self, other) {
            (Nonces::Sci(a), Nonces::Sci(b)) => a == b,
            (Nonces::Xpn(a), Nonces::Xpn(b)) => a == b,
            (Nonces::Sci(sci), Nonces::Xpn(prefix)) | (Nonces::Xpn(prefix), Nonces::Sci(sci)) => {
                sci.starts_with(prefix)
            }
        }
    }
}

/// An SA of a configuration.
struct Sa<'a> {
    sak: &'a Sak,
    xpn: Option<&'a XpnParams>,
    sci: Option<Sci>,
}

impl Sa<'_> {
    fn clashes(&self, other: &Sa<'_>) -> bool {
        let nonces = |sa: &Sa<'_>| Nonces::of(sa.xpn, sa.sci);
        // An SCI that is not known yet is compared when it is.
        let overlap = nonces(self).zip(nonces(other)).is_some_and(|(a, b)| a.overlap(&b));
        self.sak == other.sak && overlap
    }
}

/// Which entry of a link's static keys is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Tx,
    Rx(usize),
}

/// Two SAs that share nonces.
pub(crate) struct Clash {
    /// Index of the link.
    pub(crate) link: usize,
    pub(crate) entry: Entry,
    pub(crate) key: String,
    pub(crate) what: String,
    pub(crate) remedy: &'static str,
}

const OWN_SSCI: &str = "give each transmitter under one SAK an ssci of its own, or each SA a SAK of its own";
const OWN_SAK: &str = "give each SA a SAK of its own";

/// Finds them among `links`, with the transmit SCIs as far as they are known.
pub(crate) fn clashes(links: &[&Link], scis: &[Option<Sci>]) -> Vec<Clash> {
    let mut found = Vec::new();
    let scis = || scis.iter().copied().chain(std::iter::repeat(None));
    for (index, (link, sci)) in links.iter().zip(scis()).enumerate() {
        within(index, link, sci, &mut found);
        let Some(tx) = transmit(link, sci) else { continue };
        for (other, other_sci) in links.iter().zip(scis()).take(index) {
            if transmit(other, other_sci).is_some_and(|other| tx.clashes(&other)) {
                let what = format!(
                    "transmits with the SAK and the {} of link \"{}\", which would use each nonce twice",
                    if tx.xpn.is_some() { "ssci" } else { "SCI" },
                    other.name
                );
                let key = format!("link \"{}\": static.tx.sak_file", link.name);
                found.push(Clash { link: index, entry: Entry::Tx, key, what, remedy: OWN_SAK });
            }
        }
    }
    found
}

fn transmit(link: &Link, sci: Option<Sci>) -> Option<Sa<'_>> {
    let TxKey { sak, xpn, .. } = &link.static_keys.as_ref()?.tx;
    Some(Sa { sak, xpn: xpn.as_ref(), sci })
}

fn within(index: usize, link: &Link, sci: Option<Sci>, found: &mut Vec<Clash>) {
    let Some(keys) = &link.static_keys else { return };
    let receive =
        |i: usize| keys.rx.get(i).map(|k| Sa { sak: &k.sak, xpn: k.xpn.as_ref(), sci: Some(k.sci) });
    let Some(tx) = transmit(link, sci) else { return };
    for i in 0..keys.rx.len() {
        let Some(rx) = receive(i) else { continue };
        let field = if rx.xpn.is_some() { "ssci" } else { "sci" };
        let mut clash = |key: &str, what: String, remedy| {
            let key = format!("link \"{}\": static.rx[{i}].{key}", link.name);
            found.push(Clash { link: index, entry: Entry::Rx(i), key, what, remedy });
        };
        if tx.clashes(&rx) {
            let what = "is that of tx under the same SAK, so that both ends would use the same nonces".into();
            clash(
                field,
                what,
                if field == "ssci" { OWN_SSCI } else { "write the SCI of the peer, not the link's own" },
            );
            continue;
        }
        let Some((j, other)) = (0..i).filter_map(|j| Some((j, receive(j)?))).find(|(_, sa)| sa.clashes(&rx))
        else {
            continue;
        };
        if other.sci == rx.sci {
            let what =
                format!("has the SAK of rx[{j}] under another an, so that packet numbers would repeat");
            clash("sak_file", what, OWN_SAK);
        } else {
            let what =
                format!("is that of rx[{j}] under the same SAK, so that both would use the same nonces");
            clash(field, what, OWN_SSCI);
        }
    }
}
