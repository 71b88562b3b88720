//! MKPDUs for people to read.

use super::{
    Announcement, BasicRepr, DistributedCak, DistributedSak, DistributedSakForm, KeyUse, Mkpdu, ParameterSet,
    PeerList, SakUse, Tlv, XpnRepr,
};
use crate::octets::Hex;
use crate::{An, CipherSuite, ConfidentialityOffset};
use core::fmt::{self, Display, Formatter};

/// An MKPDU, a field a line.
pub(super) struct Description<'a>(pub(super) Mkpdu<'a>);

impl Display for Description<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mkpdu = &self.0;
        writeln!(f, "MKPDU")?;
        field(f, 1, "destination", mkpdu.destination())?;
        field(f, 1, "source", mkpdu.source())?;
        field(f, 1, "EAPOL version", mkpdu.eapol_version())?;
        basic(f, &mkpdu.basic())?;
        mkpdu.sets().try_for_each(|s| set(f, &s))?;
        field(f, 1, "ICV", Hex(mkpdu.icv()))
    }
}

fn field(f: &mut Formatter<'_>, depth: usize, name: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "{:1$}{name}: {value}", "", 2 * depth)
}

fn title(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    writeln!(f, "  {name}")
}

fn yes_or_no(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}

fn basic(f: &mut Formatter<'_>, b: &BasicRepr<'_>) -> fmt::Result {
    title(f, "Basic")?;
    field(f, 2, "MKA version", b.version)?;
    field(f, 2, "key server priority", b.priority)?;
    field(f, 2, "key server", yes_or_no(b.key_server))?;
    field(f, 2, "MACsec desired", yes_or_no(b.macsec_desired))?;
    field(f, 2, "MACsec capability", b.capability)?;
    field(f, 2, "SCI", b.sci)?;
    field(f, 2, "MI", b.mi)?;
    field(f, 2, "MN", b.mn)?;
    field(f, 2, "algorithm agility", format_args!("{:08x}", b.agility))?;
    field(f, 2, "CKN", b.ckn)
}

fn set(f: &mut Formatter<'_>, set: &ParameterSet<'_>) -> fmt::Result {
    match set {
        ParameterSet::LivePeerList(list) => {
            title(f, "Live Peer List")?;
            field(f, 2, "key server SSCI, low octet", list.key_server_ssci())?;
            peers(f, *list)
        }
        ParameterSet::PotentialPeerList(list) => {
            title(f, "Potential Peer List")?;
            peers(f, *list)
        }
        ParameterSet::SakUse(sak_use) => {
            title(f, "MACsec SAK Use")?;
            match sak_use {
                Some(sak_use) => self::sak_use(f, sak_use),
                None => field(f, 2, "MACsec", "not used"),
            }
        }
        ParameterSet::DistributedSak(sak) => distributed_sak(f, sak),
        ParameterSet::DistributedCak(cak) => distributed_cak(f, *cak),
        ParameterSet::Kmd(name) => {
            title(f, "Key Management Domain")?;
            field(f, 2, "name", Text(name))
        }
        ParameterSet::Announcement(announcement) => self::announcement(f, *announcement),
        ParameterSet::Xpn(xpn) => self::xpn(f, xpn),
        // The ICV has its line in the end.
        ParameterSet::IcvIndicator(_) => title(f, "ICV Indicator"),
        ParameterSet::Unknown { type_, flags, body } => {
            title(f, "Unknown")?;
            raw(f, *type_, *flags, body)
        }
        ParameterSet::Malformed { type_, flags, body, why } => {
            title(f, "Malformed")?;
            field(f, 2, "why", why)?;
            raw(f, *type_, *flags, body)
        }
    }
}

fn raw(f: &mut Formatter<'_>, type_: u8, flags: [u8; 2], body: &[u8]) -> fmt::Result {
    field(f, 2, "type", type_)?;
    field(f, 2, "flags", Hex(&flags))?;
    field(f, 2, "body", Hex(body))
}

fn peers(f: &mut Formatter<'_>, list: PeerList<'_>) -> fmt::Result {
    list.iter().try_for_each(|(mi, mn)| field(f, 2, "peer", format_args!("MI {mi}, MN {mn}")))
}

fn sak_use(f: &mut Formatter<'_>, s: &SakUse) -> fmt::Result {
    field(f, 2, "plain transmit", yes_or_no(s.plain_tx))?;
    field(f, 2, "plain receive", yes_or_no(s.plain_rx))?;
    field(f, 2, "delay protect", yes_or_no(s.delay_protect))?;
    key_use(f, "latest key", s.latest_an, [s.latest_tx, s.latest_rx], &s.latest)?;
    key_use(f, "old key", s.old_an, [s.old_tx, s.old_rx], &s.old)
}

fn key_use(f: &mut Formatter<'_>, which: &str, an: An, [tx, rx]: [bool; 2], key: &KeyUse) -> fmt::Result {
    writeln!(f, "    {which}")?;
    field(f, 3, "AN", an)?;
    field(f, 3, "transmit", yes_or_no(tx))?;
    field(f, 3, "receive", yes_or_no(rx))?;
    field(f, 3, "key server MI", key.mi)?;
    field(f, 3, "KN", key.kn)?;
    field(f, 3, "lowest acceptable PN", key.llpn)
}

fn distributed_sak(f: &mut Formatter<'_>, sak: &DistributedSak<'_>) -> fmt::Result {
    title(f, "Distributed SAK")?;
    field(f, 2, "AN", sak.an)?;
    match sak.confidentiality_offset.map(ConfidentialityOffset::octets) {
        Some(octets) => field(f, 2, "confidentiality offset", octets)?,
        None => field(f, 2, "confidentiality offset", "integrity only")?,
    }
    match sak.form {
        DistributedSakForm::PlainText => field(f, 2, "key", "none, unprotected"),
        DistributedSakForm::GcmAes128 { kn, wrapped } => {
            field(f, 2, "KN", kn)?;
            field(f, 2, "wrapped key", Hex(wrapped))
        }
        DistributedSakForm::Suite { kn, suite, wrapped } => {
            field(f, 2, "KN", kn)?;
            field(f, 2, "cipher suite", Suite(suite))?;
            field(f, 2, "wrapped key", wrapped)
        }
    }
}

/// Whose length fits one size of CAK only has its CKN told apart.
fn distributed_cak(f: &mut Formatter<'_>, cak: DistributedCak<'_>) -> fmt::Result {
    title(f, "Distributed CAK")?;
    match [cak.split(16), cak.split(32)] {
        [Some((wrapped, ckn)), None] | [None, Some((wrapped, ckn))] => {
            field(f, 2, "wrapped key", wrapped)?;
            field(f, 2, "CKN", ckn)
        }
        _ => field(f, 2, "wrapped key and CKN", Hex(cak.octets())),
    }
}

fn announcement(f: &mut Formatter<'_>, announcement: Announcement<'_>) -> fmt::Result {
    title(f, "Announcement")?;
    announcement.tlvs().try_for_each(|tlv| match tlv {
        Tlv::AccessInformation(body) => field(f, 2, "access information", Hex(body)),
        Tlv::CipherSuites(offers) => offers.iter().try_for_each(|offer| {
            field(f, 2, "cipher suite", format_args!("{} ({})", Suite(offer.suite), offer.capability))
        }),
        Tlv::Kmd(name) => field(f, 2, "key management domain", Text(name)),
        Tlv::Nid(name) => field(f, 2, "network identity", Text(name)),
        Tlv::Unknown { type_, body } => field(f, 2, "TLV", format_args!("type {type_}, body {}", Hex(body))),
    })
}

fn xpn(f: &mut Formatter<'_>, xpn: &XpnRepr) -> fmt::Result {
    title(f, "XPN")?;
    field(f, 2, "suspension time", xpn.suspension_time)?;
    field(f, 2, "latest lowest acceptable PN, high", xpn.latest_lpn_high)?;
    field(f, 2, "old lowest acceptable PN, high", xpn.old_lpn_high)
}

struct Suite(Result<CipherSuite, u64>);

impl Display for Suite {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(suite) => suite.fmt(f),
            Err(id) => write!(f, "unknown, {id:016x}"),
        }
    }
}

/// Text of a peer's, which may hold what a terminal would act on.
struct Text<'a>(&'a [u8]);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
