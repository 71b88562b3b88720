//! Captures of real links.

use keys::{Cak, Ckn, Sak, Salt};
use pcap_file::pcap::PcapReader;
use serde_json::Value;
use std::path::{Path, PathBuf};
use wire::{An, CipherSuite, Sci, SecTag, Ssci};

/// A captured link with its keys.
#[derive(Debug)]
pub struct Capture {
    /// The capture file.
    pub path: PathBuf,
    /// The suite.
    pub suite: CipherSuite,
    /// Transmit channels of both ends.
    pub channels: Vec<Channel>,
    /// What was on the wire, in order.
    pub frames: Vec<CapturedFrame>,
}

/// A channel of a captured link.
#[derive(Debug)]
pub struct Channel {
    /// Its identifier.
    pub sci: Sci,
    /// The AN in use.
    pub an: An,
    /// The key.
    pub sak: Sak,
    /// XPN suites: SSCI and salt.
    pub xpn: Option<(Ssci, Salt)>,
    /// The packet number of its first frame.
    pub first_pn: u64,
}

/// A captured frame.
#[derive(Clone, Debug)]
pub struct CapturedFrame {
    /// Octets without FCS.
    pub octets: Vec<u8>,
}

/// A captured CA: MKA, and the links that it keys.
#[derive(Debug)]
pub struct MkaCapture {
    /// The capture file.
    pub path: PathBuf,
    /// What all MKPDUs are authenticated with.
    pub cak: Cak,
    /// Its name.
    pub ckn: Ckn,
    /// SAKs that a station of the CA wrote down; not of all captures.
    pub saks: Vec<MkaSak>,
    /// What was on the wire, in order.
    pub frames: Vec<CapturedFrame>,
}

/// A SAK as a station of the CA knew it.
#[derive(Debug)]
pub struct MkaSak {
    /// Its number.
    pub kn: u32,
    /// Its association number.
    pub an: An,
    /// What it is for.
    pub suite: CipherSuite,
    /// The key.
    pub sak: Sak,
    /// XPN suites: the salt.
    pub salt: Option<Salt>,
    /// XPN suites: the SSCI of each station.
    pub sscis: Vec<(Sci, Ssci)>,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// Raw packets: the reader's checked ones refuse captures whose snap length is 0 or below a frame's length.
fn read_pcap(path: &Path) -> Vec<CapturedFrame> {
    let mut reader = PcapReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_raw_packet() {
        let packet = packet.unwrap();
        frames.push(CapturedFrame { octets: packet.data.into_owned() });
    }
    frames
}

/// Links between two Linux kernels with keys set by hand.
pub fn static_captures() -> Vec<Capture> {
    ["static-gcm-aes-128", "static-gcm-aes-xpn-128"].into_iter().map(static_capture).collect()
}

fn static_capture(name: &str) -> Capture {
    let path = data(&format!("captures/{name}.pcap"));
    let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
    let keys: Value = serde_json::from_str(&text).unwrap();
    let suite: CipherSuite = keys["cipher_suite"].as_str().unwrap().parse().unwrap();
    let frames = read_pcap(&path);
    let channel = |c: &Value| Channel {
        sci: c["sci"].as_str().unwrap().parse().unwrap(),
        an: An::new(c["an"].as_u64().unwrap() as u8).unwrap(),
        sak: Sak::from_hex(c["sak"].as_str().unwrap()).unwrap(),
        xpn: suite.is_xpn().then(|| {
            let salt = Salt::from_hex(c["salt"].as_str().unwrap()).unwrap();
            (Ssci(c["ssci"].as_u64().unwrap() as u32), salt)
        }),
        first_pn: first_pn(&frames, c["sci"].as_str().unwrap().parse().unwrap()),
    };
    let channels = keys["channels"].as_array().unwrap().iter().map(channel).collect();
    Capture { frames, path, suite, channels }
}

/// Captures of MKA between two stations or three.
pub fn mka_captures() -> Vec<MkaCapture> {
    let names = [
        "eap-tls",
        "mka-psk-128",
        "mka-v1-gcm-256",
        "mka-v1-restart",
        "mka-v1-three-stations",
        "mka-v1-xpn-128-rekey",
        "mka-v3-xpn-256",
    ];
    names.into_iter().map(mka_capture).collect()
}

fn mka_capture(name: &str) -> MkaCapture {
    let path = data(&format!("captures/{name}.pcap"));
    let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
    let said: Value = serde_json::from_str(&text).unwrap();
    MkaCapture {
        cak: Cak::from_hex(said["cak"].as_str().unwrap()).unwrap(),
        ckn: Ckn::from_hex(said["ckn"].as_str().unwrap()).unwrap(),
        saks: said["saks"].as_array().map_or(Vec::new(), |saks| saks.iter().map(mka_sak).collect()),
        frames: read_pcap(&path),
        path,
    }
}

fn mka_sak(said: &Value) -> MkaSak {
    let suite = said["cipher"].as_str().unwrap();
    let ssci = |(sci, n): (&String, &Value)| (sci.parse().unwrap(), Ssci(n.as_u64().unwrap() as u32));
    MkaSak {
        kn: said["kn"].as_u64().unwrap() as u32,
        an: An::new(said["an"].as_u64().unwrap() as u8).unwrap(),
        // The year tells the default suite's two identifiers apart.
        suite: suite.trim_end_matches("(2006)").parse().unwrap(),
        sak: Sak::from_hex(said["sak"].as_str().unwrap()).unwrap(),
        salt: said["salt"].as_str().map(|salt| Salt::from_hex(salt).unwrap()),
        sscis: said["ssci"].as_object().map_or(Vec::new(), |map| map.iter().map(ssci).collect()),
    }
}

fn first_pn(frames: &[CapturedFrame], sci: Sci) -> u64 {
    let tag = |f: &CapturedFrame| SecTag::new_checked(&f.octets[12..]).map(|t| (t.sci(), t.pn())).ok();
    let first = frames.iter().filter_map(tag).find(|(found, _)| *found == Some(sci));
    first.unwrap_or_else(|| panic!("no frame of {sci}")).1.into()
}

/// Frames of foreign captures with unknown keys, by file name.
pub fn foreign_captures() -> Vec<(String, Vec<CapturedFrame>)> {
    let mut files: Vec<_> = std::fs::read_dir(data("tcpdump")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), read_pcap(p))).collect()
}
