//! Frames as JSON objects, with the standards' names.

use super::{Content, HeardSak, Inspected};
use crate::association::Icv;
use crate::verify::Verdict;
use serde_json::{Map, Value, json};
use wire::{
    BasicRepr, CipherSuite, DistributedCak, DistributedSak, DistributedSakForm, Ethernet, KeyUse, Mkpdu,
    ParameterSet, PeerList, SakUse, SecTagRepr, Tlv, XpnRepr,
};

/// A frame.
pub(super) fn frame(inspected: &Inspected<'_>) -> Value {
    let octets = &inspected.frame.octets;
    let mut object = Map::new();
    object.insert("frame".into(), inspected.number.into());
    object.insert("time".into(), inspected.frame.time.as_secs_f64().into());
    if let Some(ethernet) = Ethernet::new_checked(octets) {
        object.insert("source".into(), text(ethernet.src()));
        object.insert("destination".into(), text(ethernet.dst()));
    }
    object.insert("octets".into(), octets.len().into());
    match &inspected.content {
        Content::Mkpdu { mkpdu, heard } => {
            object.insert("kind".into(), "MKPDU".into());
            object.insert("mkpdu".into(), self::mkpdu(mkpdu));
            if let Some(heard) = heard {
                self::heard(&mut object, heard);
            }
        }
        Content::Macsec { tag, short, verdict } => {
            object.insert("kind".into(), "MACsec".into());
            object.insert("sectag".into(), sectag(tag));
            if let Some(why) = short {
                object.insert("malformed".into(), text(why));
            }
            if let Some(verdict) = verdict {
                self::verdict(&mut object, verdict);
            }
        }
        Content::Other { kind, malformed } => {
            object.insert("kind".into(), kind.as_str().into());
            if let Some(why) = malformed {
                object.insert("malformed".into(), why.as_str().into());
            }
        }
    }
    Value::Object(object)
}

fn text(value: impl ToString) -> Value {
    value.to_string().into()
}

fn hex(octets: &[u8]) -> Value {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>().into()
}

fn sectag(tag: &SecTagRepr) -> Value {
    let tci = tag.tci;
    let mut object = json!({
        "V": false,
        "ES": tci.end_station(),
        "SC": tci.has_sci(),
        "SCB": tci.single_copy_broadcast(),
        "E": tci.encrypted(),
        "C": tci.changed(),
        "AN": tag.an.as_u8(),
        "SL": tag.short_length.as_u8(),
        "PN": tag.pn,
    });
    if let Some(sci) = tag.sci {
        object["SCI"] = text(sci);
    }
    object
}

fn verdict(object: &mut Map<String, Value>, verdict: &Verdict) {
    object.insert("verdict".into(), verdict.counter.into());
    let Some(used) = &verdict.sak else { return };
    let mut sak = json!({ "key_server_MI": text(used.distribution.key_server), "KN": used.distribution.kn });
    if let Some(ssci) = used.ssci {
        sak["SSCI"] = ssci.0.into();
    }
    object.insert("sak".into(), sak);
}

fn heard(object: &mut Map<String, Value>, heard: &HeardSak) {
    let icv = match heard.heard.icv {
        Icv::Right => "right",
        Icv::Wrong => "wrong",
        Icv::OtherCak => "other CKN",
    };
    object.insert("icv_verdict".into(), icv.into());
    let sak = match &heard.heard.sak {
        None => return,
        Some(Err(e)) => json!({ "unwrapped": false, "why": e.to_string() }),
        Some(Ok(sak)) => {
            let members = heard.members.iter().map(|m| {
                let mut member = json!({ "MI": text(m.mi) });
                if let Some(sci) = m.sci {
                    member["SCI"] = text(sci);
                }
                match m.sscis.as_slice() {
                    [] => {}
                    [one] => member["SSCI"] = one.0.into(),
                    several => member["SSCI"] = several.iter().map(|s| s.0).collect(),
                }
                member
            });
            let mut object = json!({
                "unwrapped": true,
                "KN": sak.kn,
                "AN": sak.an.as_u8(),
                "cipher_suite": text(sak.suite),
                "members": members.collect::<Value>(),
            });
            if let Some(salt) = sak.salt() {
                object["salt"] = text(salt);
            }
            object
        }
    };
    object.insert("sak".into(), sak);
}

fn mkpdu(mkpdu: &Mkpdu<'_>) -> Value {
    json!({
        "EAPOL_version": mkpdu.eapol_version(),
        "basic": basic(&mkpdu.basic()),
        "sets": mkpdu.sets().map(|s| set(&s)).collect::<Value>(),
        "ICV": hex(mkpdu.icv()),
    })
}

fn basic(b: &BasicRepr<'_>) -> Value {
    json!({
        "MKA_version": b.version,
        "key_server_priority": b.priority,
        "key_server": b.key_server,
        "MACsec_desired": b.macsec_desired,
        "MACsec_capability": b.capability.bits(),
        "SCI": text(b.sci),
        "MI": text(b.mi),
        "MN": b.mn,
        "algorithm_agility": format!("{:08x}", b.agility),
        "CKN": text(b.ckn),
    })
}

/// A set, with its type's number and name first.
fn set(set: &ParameterSet<'_>) -> Value {
    let (name, fields) = match set {
        ParameterSet::LivePeerList(list) => {
            ("Live Peer List", json!({ "key_server_SSCI": list.key_server_ssci(), "peers": peers(*list) }))
        }
        ParameterSet::PotentialPeerList(list) => ("Potential Peer List", json!({ "peers": peers(*list) })),
        ParameterSet::SakUse(None) => ("MACsec SAK Use", json!({})),
        ParameterSet::SakUse(Some(sak_use)) => ("MACsec SAK Use", self::sak_use(sak_use)),
        ParameterSet::DistributedSak(sak) => ("Distributed SAK", distributed_sak(sak)),
        ParameterSet::DistributedCak(cak) => ("Distributed CAK", distributed_cak(*cak)),
        ParameterSet::Kmd(name) => ("KMD", json!({ "name": text(name.escape_ascii()) })),
        ParameterSet::Announcement(announcement) => {
            ("Announcement", json!({ "TLVs": announcement.tlvs().map(|t| tlv(&t)).collect::<Value>() }))
        }
        ParameterSet::Xpn(xpn) => ("XPN", self::xpn(xpn)),
        ParameterSet::IcvIndicator(icv) => ("ICV Indicator", json!({ "ICV": hex(&icv[..]) })),
        ParameterSet::Unknown { flags, body, .. } => {
            ("unknown", json!({ "flags": hex(flags), "body": hex(body) }))
        }
        ParameterSet::Malformed { flags, body, why, .. } => {
            ("malformed", json!({ "why": text(why), "flags": hex(flags), "body": hex(body) }))
        }
    };
    let mut object = json!({ "type": set.type_(), "name": name });
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
        object.extend(fields);
    }
    object
}

fn peers(list: PeerList<'_>) -> Value {
    list.iter().map(|(mi, mn)| json!({ "MI": text(mi), "MN": mn })).collect()
}

fn sak_use(s: &SakUse) -> Value {
    let key = |an: wire::An, tx: bool, rx: bool, key: &KeyUse| {
        json!({
            "AN": an.as_u8(),
            "TX": tx,
            "RX": rx,
            "key_server_MI": text(key.mi),
            "KN": key.kn,
            "LLPN": key.llpn,
        })
    };
    json!({
        "plain_TX": s.plain_tx,
        "plain_RX": s.plain_rx,
        "delay_protect": s.delay_protect,
        "latest": key(s.latest_an, s.latest_tx, s.latest_rx, &s.latest),
        "old": key(s.old_an, s.old_tx, s.old_rx, &s.old),
    })
}

fn distributed_sak(sak: &DistributedSak<'_>) -> Value {
    let mut object = json!({
        "AN": sak.an.as_u8(),
        "confidentiality": sak.confidentiality_offset.is_some(),
        "confidentiality_offset": sak.confidentiality_offset.map(wire::ConfidentialityOffset::octets),
    });
    let (kn, suite, wrapped) = match &sak.form {
        DistributedSakForm::PlainText => return object,
        DistributedSakForm::GcmAes128 { kn, wrapped } => (*kn, None, &wrapped[..]),
        DistributedSakForm::Suite { kn, suite, wrapped } => (*kn, Some(*suite), wrapped.octets()),
    };
    object["KN"] = kn.into();
    if let Some(suite) = suite {
        object["cipher_suite"] = self::suite(suite);
    }
    object["wrapped"] = hex(wrapped);
    object
}

fn suite(suite: Result<CipherSuite, u64>) -> Value {
    suite.map_or_else(|id| format!("{id:016x}"), |suite| suite.to_string()).into()
}

fn distributed_cak(cak: DistributedCak<'_>) -> Value {
    match [cak.split(16), cak.split(32)] {
        [Some((wrapped, ckn)), None] | [None, Some((wrapped, ckn))] => {
            json!({ "wrapped": hex(wrapped.octets()), "CKN": text(ckn) })
        }
        _ => json!({ "wrapped_and_CKN": hex(cak.octets()) }),
    }
}

fn tlv(tlv: &Tlv<'_>) -> Value {
    match tlv {
        Tlv::AccessInformation(body) => json!({ "access_information": hex(body) }),
        Tlv::CipherSuites(offers) => {
            let offer = |suite, capability: wire::Capability| json!({ "cipher_suite": self::suite(suite), "MACsec_capability": capability.bits() });
            json!({ "cipher_suites": offers.iter().map(|o| offer(o.suite, o.capability)).collect::<Value>() })
        }
        Tlv::Kmd(name) => json!({ "KMD": text(name.escape_ascii()) }),
        Tlv::Nid(name) => json!({ "NID": text(name.escape_ascii()) }),
        Tlv::Unknown { type_, body } => json!({ "type": type_, "body": hex(body) }),
    }
}

fn xpn(xpn: &XpnRepr) -> Value {
    json!({
        "suspension_time": xpn.suspension_time,
        "latest_LPN_high": xpn.latest_lpn_high,
        "old_LPN_high": xpn.old_lpn_high,
    })
}
