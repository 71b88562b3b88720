//! What one side of a link is told.

use crate::Time;
use core::fmt;
use keys::{Cak, Ckn};
use wire::{CipherSuite, ConfidentialityOffset, MkpduWriter, Sci};

/// Where random octets come from.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;

/// What one KaY is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The SCI of its transmit SC. Its MAC address is where MKPDUs come from.
    pub sci: Sci,
    /// What its stations share.
    pub cak: Cak,
    /// The name of that.
    pub ckn: Ckn,
    /// The lowest wins the election of the key server; 255 wins over none but another 255.
    pub priority: u8,
    /// Suites that it takes from a key server; the first is what it hands out as one.
    pub suites: Vec<CipherSuite>,
    /// What it protects with as a key server: `None` is integrity only.
    pub confidentiality: Option<ConfidentialityOffset>,
    /// Bounds how long a frame may be on its way (802.1X clause 9.10), by hellos that come more often.
    pub delay_protect: bool,
    /// The MKA version that it sends to those that speak it too: 1 to 3.
    pub version: u8,
    /// Sends an ICV Indicator, which some peers cannot read.
    pub icv_indicator: bool,
    /// As a key server, makes a new SAK when one has been in use for so long.
    pub rekey_period: Option<Time>,
    /// Octets of the longest frame that the port sends, without FCS. No MKPDU has more than 1514 all the same.
    pub max_frame: usize,
    /// The protocol's times.
    pub times: Times,
}

impl Config {
    /// With the defaults for everything that need not be said.
    pub fn new(sci: Sci, cak: Cak, ckn: Ckn) -> Self {
        let suites = match cak.octets().len() {
            16 => vec![
                CipherSuite::GcmAesXpn128,
                CipherSuite::GcmAes128,
                CipherSuite::GcmAesXpn256,
                CipherSuite::GcmAes256,
            ],
            _ => vec![
                CipherSuite::GcmAesXpn256,
                CipherSuite::GcmAes256,
                CipherSuite::GcmAesXpn128,
                CipherSuite::GcmAes128,
            ],
        };
        Config {
            sci,
            cak,
            ckn,
            priority: 16,
            suites,
            confidentiality: Some(ConfidentialityOffset::None),
            delay_protect: false,
            version: 3,
            icv_indicator: false,
            rekey_period: None,
            max_frame: MkpduWriter::MAX_FRAME_LEN,
            times: Times::default(),
        }
    }
}

/// The protocol's times (802.1X table 9-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Between MKPDUs, at most: they come up to an eighth sooner, by chance.
    pub hello: Time,
    /// The same, with delay protection.
    pub bounded_hello: Time,
    /// How long a peer lives that is not heard of.
    pub life: Time,
    /// How long an SA stays after the transmitter has left it.
    pub retire: Time,
    /// How long a key server waits for peers to receive before it transmits.
    pub transmit_delay: Time,
    /// No two MKPDUs come closer than this.
    pub gap: Time,
}

impl Default for Times {
    fn default() -> Self {
        let millis = Time::from_millis;
        Times {
            hello: millis(2000),
            bounded_hello: millis(500),
            life: millis(6000),
            retire: millis(3000),
            transmit_delay: millis(6000),
            gap: millis(20),
        }
    }
}

/// Says what it is, not what comes out of it.
pub(crate) struct RandomSource(pub(crate) Random);

impl fmt::Debug for RandomSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RandomSource")
    }
}

impl RandomSource {
    pub(crate) fn octets<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        (self.0)(&mut octets);
        octets
    }
}
