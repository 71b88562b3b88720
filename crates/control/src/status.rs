//! A link at a glance, as `macsec-gw status` hands it out.

use serde::{Deserialize, Serialize};

/// A link at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Its name.
    pub link: String,
    /// Where its keys come from: `mka`, `static` or `none`.
    pub keys: String,
    /// SCI of the transmit SC, 16 hex digits.
    pub sci: String,
    /// Frames are protected on the way out, some station receives them, and somebody's are accepted on the way in.
    pub secured: bool,
    /// SCI of the key server, once one is elected.
    pub key_server: Option<String>,
    /// This side is the key server.
    pub is_key_server: bool,
    /// CKN, in hex.
    pub ckn: Option<String>,
    /// This side's member identifier, in hex.
    pub mi: Option<String>,
    /// Number of the last MKPDU that this side sent.
    pub mn: Option<u32>,
    /// Stations that were heard of.
    pub peers: Vec<PeerStatus>,
    /// Transmit SAs.
    pub tx_sas: Vec<TxSaStatus>,
    /// Receive SAs.
    pub rx_sas: Vec<RxSaStatus>,
    /// SAKs that were put to use.
    pub rekeys: u64,
    /// The last thing that went wrong.
    pub last_error: Option<Said>,
    /// Frames protected and sent.
    pub frames_out: u64,
    /// Frames accepted and delivered.
    pub frames_in: u64,
    /// Frames from the plain port that were dropped.
    pub dropped_out: u64,
    /// Frames from the line that were dropped.
    pub dropped_in: u64,
}

/// Another station of the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its SCI.
    pub sci: String,
    /// Its member identifier.
    pub mi: String,
    /// Number of its last MKPDU.
    pub mn: u32,
    /// It hears this side.
    pub live: bool,
    /// It said that it receives what this side transmits.
    pub receives: bool,
    /// Key server priority.
    pub priority: u8,
    /// The MKA version that it speaks.
    pub version: u8,
    /// Milliseconds since its last MKPDU.
    pub age_ms: u64,
}

/// A transmit SA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxSaStatus {
    /// Association number.
    pub an: u8,
    /// Key number, with keys by agreement.
    pub kn: Option<u32>,
    /// Member identifier of the key server that made the key.
    pub key_server_mi: Option<String>,
    /// Cipher suite.
    pub cipher_suite: String,
    /// Packet number of the next frame.
    pub next_pn: u64,
    /// Frames are protected with it.
    pub in_use: bool,
}

/// A receive SA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RxSaStatus {
    /// SCI of the sender.
    pub sci: String,
    /// Association number.
    pub an: u8,
    /// Key number, with keys by agreement.
    pub kn: Option<u32>,
    /// Member identifier of the key server that made the key.
    pub key_server_mi: Option<String>,
    /// One more than the greatest packet number received.
    pub next_pn: u64,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// In words.
    pub text: String,
    /// Seconds since.
    pub age_s: u64,
}
