//! Published vectors.

use keys::{Sak, Salt};
use serde_json::Value;
use wire::{CipherSuite, EtherType, L2Header, MAX_VLAN_TAGS, Sci, SecTag, SecTagRepr, Ssci};

/// One frame before and after protection, and everything that goes into it.
#[derive(Clone, Debug)]
pub struct Vector {
    /// Name in the source.
    pub id: String,
    /// The suite.
    pub suite: CipherSuite,
    /// The key.
    pub sak: Sak,
    /// XPN suites: SSCI and salt.
    pub xpn: Option<(Ssci, Salt)>,
    /// The whole packet number.
    pub pn: u64,
    /// The SCI, also where the tag leaves it out.
    pub sci: Sci,
    /// The tag; `None` where it is malformed or no SecTAG at all.
    pub tag: Option<SecTagRepr>,
    /// VLAN tags before the SecTAG.
    pub clear_vlan_tags: usize,
    /// The frame before protection, without FCS.
    pub plain: Vec<u8>,
    /// The frame after, without FCS.
    pub protected: Vec<u8>,
}

fn octets(v: &Value, field: &str) -> Vec<u8> {
    hex::decode(v[field].as_str().unwrap_or_else(|| panic!("no {field} in {v}"))).unwrap()
}

fn number(v: &Value, field: &str) -> u64 {
    let text = v[field].as_str().unwrap_or("0");
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

fn vector(
    id: String,
    suite: CipherSuite,
    sak: &[u8],
    xpn: Option<(Ssci, Salt)>,
    high: u64,
    v: [Vec<u8>; 2],
) -> Vector {
    let [plain, protected] = v;
    let header = L2Header::parse(&protected, MAX_VLAN_TAGS).unwrap();
    let at = &protected[header.len..];
    let is_macsec = header.ethertype == EtherType::MACSEC;
    let tag = SecTag::new_checked(at).ok().map(|t| SecTagRepr::parse(&t));
    let source: [u8; 6] = protected[6..12].try_into().unwrap();
    let implied = Sci::new(wire::MacAddr(source), Sci::PORT_END_STATION);
    let explicit = Sci::from_bytes(at[8..16].try_into().unwrap());
    let sci = match &tag {
        Some(t) => t.sci.unwrap_or(implied),
        None => explicit,
    };
    let pn = high << 32 | u64::from(SecTag::new_unchecked(at).pn());
    let clear_vlan_tags = if is_macsec { header.vlan_len() / 4 } else { 0 };
    let sak = Sak::from_octets(sak).unwrap();
    Vector { id, suite, sak, xpn, pn, sci, tag, clear_vlan_tags, plain, protected }
}

/// The 32 cases of 802.1AE Annex C.
pub fn annex_c() -> Vec<Vector> {
    let file: Value = serde_json::from_str(include_str!("../data/ieee8021ae_annexC.json")).unwrap();
    let read = |v: &Value| {
        let suite: CipherSuite = v["suite"].as_str().unwrap().parse().unwrap();
        let xpn = suite.is_xpn().then(|| {
            let salt = Salt::from_hex(v["salt"].as_str().unwrap()).unwrap();
            (Ssci(number(v, "ssci") as u32), salt)
        });
        let high = number(v, "pn64") >> 32;
        let frames = [octets(v, "plain_frame"), octets(v, "protected_frame")];
        vector(v["id"].as_str().unwrap().into(), suite, &octets(v, "key"), xpn, high, frames)
    };
    file["vectors"].as_array().unwrap().iter().map(read).collect()
}

/// A list of DPDK's inline MACsec vectors, such as `list_mcs_vlan_vectors`.
pub fn dpdk(list: &str) -> Vec<Vector> {
    let file: Value = serde_json::from_str(include_str!("../data/dpdk_inline_macsec.json")).unwrap();
    let read = |v: &Value| {
        let suite = match v["alg"].as_str().unwrap() {
            "GCM_128" => CipherSuite::GcmAes128,
            "GCM_XPN_128" => CipherSuite::GcmAesXpn128,
            other => panic!("suite {other}"),
        };
        let xpn = suite.is_xpn().then(|| {
            let salt = Salt::from_hex(v["salt_hex"].as_str().unwrap()).unwrap();
            (Ssci(number(v, "ssci") as u32), salt)
        });
        let high = if suite.is_xpn() { number(v, "xpn") } else { 0 };
        let frames = [octets(v, "plain_pkt_hex"), octets(v, "secure_pkt_hex")];
        let id = format!("{list} {}", v["idx"].as_str().unwrap());
        vector(id, suite, &octets(v, "sa_key_hex"), xpn, high, frames)
    };
    file["lists"][list].as_array().unwrap_or_else(|| panic!("no {list}")).iter().map(read).collect()
}

/// Four frames of a Linux kernel.
pub fn linux_kernel() -> Vec<Vector> {
    let file: Value = serde_json::from_str(include_str!("../data/linux_kernel_frames.json")).unwrap();
    let read = |v: &Value| {
        let frames = [octets(v, "plain_frame"), octets(v, "protected_frame")];
        vector(v["name"].as_str().unwrap().into(), CipherSuite::GcmAes128, &octets(v, "key"), None, 0, frames)
    };
    file["vectors"].as_array().unwrap().iter().map(read).collect()
}
