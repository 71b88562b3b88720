//! Parameter sets (802.1X clause 11.11.1).

use super::{Announcement, CknRef, MemberId, SET_HEADER_LEN, WrappedKey, set_body_len};
use crate::octets::octets;
use crate::{An, CipherSuite, ConfidentialityOffset, ICV_LEN};
use core::fmt;

pub(super) mod set_type {
    pub(in super::super) const LIVE_PEER_LIST: u8 = 1;
    pub(in super::super) const POTENTIAL_PEER_LIST: u8 = 2;
    pub(in super::super) const SAK_USE: u8 = 3;
    pub(in super::super) const DISTRIBUTED_SAK: u8 = 4;
    pub(in super::super) const DISTRIBUTED_CAK: u8 = 5;
    pub(in super::super) const KMD: u8 = 6;
    pub(in super::super) const ANNOUNCEMENT: u8 = 7;
    pub(in super::super) const XPN: u8 = 8;
    pub(in super::super) const ICV_INDICATOR: u8 = 255;
}

/// A set whose header is all that was looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawSet<'a> {
    pub(super) type_: u8,
    /// The second octet, and the third without its four bits of length.
    pub(super) flags: [u8; 2],
    pub(super) body: &'a [u8],
}

impl<'a> RawSet<'a> {
    /// The set at the front and what follows it and its padding. `None` when it is longer than `octets`.
    pub(super) fn split(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[type_, flags, high, low], rest) = octets.split_first_chunk::<SET_HEADER_LEN>()?;
        let len = set_body_len(high, low);
        let (padded, rest) = rest.split_at_checked(len.next_multiple_of(4))?;
        Some((RawSet { type_, flags: [flags, high & 0xf0], body: padded.get(..len)? }, rest))
    }
}

/// Iterator over the parameter sets of an MKPDU.
#[derive(Clone, Debug)]
pub struct Sets<'a> {
    rest: &'a [u8],
    indicated: Option<&'a [u8; ICV_LEN]>,
}

impl<'a> Sets<'a> {
    pub(super) fn new(octets: &'a [u8], indicated: Option<&'a [u8; ICV_LEN]>) -> Self {
        Sets { rest: octets, indicated }
    }
}

impl<'a> Iterator for Sets<'a> {
    type Item = ParameterSet<'a>;

    fn next(&mut self) -> Option<ParameterSet<'a>> {
        match RawSet::split(self.rest) {
            Some((set, rest)) => {
                self.rest = rest;
                Some(ParameterSet::read(set))
            }
            None => self.indicated.take().map(ParameterSet::IcvIndicator),
        }
    }
}

/// A parameter set other than the Basic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterSet<'a> {
    /// Peers that the sender has proof of that they are there now.
    LivePeerList(PeerList<'a>),
    /// Peers that have not shown to be live.
    PotentialPeerList(PeerList<'a>),
    /// MACsec SAK Use. `None`, an empty body, when the sender does not do MACsec.
    SakUse(Option<SakUse>),
    /// Distributed SAK, from the key server alone.
    DistributedSak(DistributedSak<'a>),
    /// Distributed CAK, for a group.
    DistributedCak(DistributedCak<'a>),
    /// Key Management Domain: UTF-8 by the standard, unchecked.
    Kmd(&'a [u8]),
    /// Announcement.
    Announcement(Announcement<'a>),
    /// What XPN suites need beside SAK Use.
    Xpn(XpnRepr),
    /// ICV Indicator with the ICV.
    IcvIndicator(&'a [u8; ICV_LEN]),
    /// A set of another type, which is skipped (802.1X clause 11.11).
    Unknown {
        /// Its type.
        type_: u8,
        /// The second octet, and the third without its four bits of length.
        flags: [u8; 2],
        /// Its body.
        body: &'a [u8],
    },
    /// A set of a known type that breaks the rules of that type.
    Malformed {
        /// Its type.
        type_: u8,
        /// The second octet, and the third without its four bits of length.
        flags: [u8; 2],
        /// Its body.
        body: &'a [u8],
        /// The rule.
        why: SetError,
    },
}

impl<'a> ParameterSet<'a> {
    fn read(RawSet { type_, flags, body }: RawSet<'a>) -> Self {
        let set = match type_ {
            set_type::LIVE_PEER_LIST => PeerList::read(flags[0], body).map(ParameterSet::LivePeerList),
            set_type::POTENTIAL_PEER_LIST => PeerList::read(0, body).map(ParameterSet::PotentialPeerList),
            set_type::SAK_USE => SakUse::read(flags, body).map(ParameterSet::SakUse),
            set_type::DISTRIBUTED_SAK => {
                DistributedSak::read(flags[0], body).map(ParameterSet::DistributedSak)
            }
            set_type::DISTRIBUTED_CAK => DistributedCak::new_checked(body).map(ParameterSet::DistributedCak),
            set_type::KMD => Ok(ParameterSet::Kmd(body)),
            set_type::ANNOUNCEMENT => Announcement::new_checked(body).map(ParameterSet::Announcement),
            set_type::XPN => XpnRepr::read(flags[0], body).map(ParameterSet::Xpn),
            _ => Ok(ParameterSet::Unknown { type_, flags, body }),
        };
        set.unwrap_or_else(|why| ParameterSet::Malformed { type_, flags, body, why })
    }

    /// The type on the wire.
    pub const fn type_(&self) -> u8 {
        match self {
            ParameterSet::LivePeerList(_) => set_type::LIVE_PEER_LIST,
            ParameterSet::PotentialPeerList(_) => set_type::POTENTIAL_PEER_LIST,
            ParameterSet::SakUse(_) => set_type::SAK_USE,
            ParameterSet::DistributedSak(_) => set_type::DISTRIBUTED_SAK,
            ParameterSet::DistributedCak(_) => set_type::DISTRIBUTED_CAK,
            ParameterSet::Kmd(_) => set_type::KMD,
            ParameterSet::Announcement(_) => set_type::ANNOUNCEMENT,
            ParameterSet::Xpn(_) => set_type::XPN,
            ParameterSet::IcvIndicator(_) => set_type::ICV_INDICATOR,
            ParameterSet::Unknown { type_, .. } | ParameterSet::Malformed { type_, .. } => *type_,
        }
    }
}

/// Why a set of a known type is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetError {
    /// The body has a number of octets that this type never has.
    BodyLen(usize),
    /// The wrapped SAK does not have the length that its cipher suite takes.
    WrappedLen {
        /// The suite.
        suite: CipherSuite,
        /// Octets of the wrapped key.
        found: usize,
    },
    /// The TLV at this offset goes beyond the end.
    Tlv(usize),
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::BodyLen(len) => write!(f, "a set of this type never has {len} octets"),
            SetError::WrappedLen { suite, found } => {
                let needed = suite.sak_len() + WrappedKey::OVERHEAD;
                write!(f, "a wrapped key of {found} octets; {suite} takes {needed}")
            }
            SetError::Tlv(at) => write!(f, "the TLV at octet {at} goes beyond the end"),
        }
    }
}

impl core::error::Error for SetError {}

/// View of a Live or Potential Peer List.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerList<'a> {
    key_server_ssci: u8,
    peers: &'a [[u8; PeerList::PEER_LEN]],
}

impl<'a> PeerList<'a> {
    pub(super) const PEER_LEN: usize = 16;

    fn read(key_server_ssci: u8, body: &'a [u8]) -> Result<Self, SetError> {
        match body.as_chunks() {
            (peers, []) => Ok(PeerList { key_server_ssci, peers }),
            _ => Err(SetError::BodyLen(body.len())),
        }
    }

    /// In a Live Peer List the low octet of the key server's SSCI, when it distributes an XPN SAK with MKA
    /// version 3; else 0.
    pub const fn key_server_ssci(self) -> u8 {
        self.key_server_ssci
    }

    /// Peers in the list.
    pub const fn len(self) -> usize {
        self.peers.len()
    }

    /// Whether no peer is in the list.
    pub const fn is_empty(self) -> bool {
        self.peers.is_empty()
    }

    /// Each peer and the message number last heard from it, in the order of the list.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (MemberId, u32)> + Clone + use<'a> {
        self.peers.iter().map(|peer| (MemberId(octets(peer, 0)), u32::from_be_bytes(octets(peer, 12))))
    }

    /// The message number that the list has for `member`, the first if it is in it more than once.
    pub fn find(self, member: MemberId) -> Option<u32> {
        self.iter().find(|(mi, _)| *mi == member).map(|(_, mn)| mn)
    }
}

/// A key in SAK Use. Its default, all zeros, stands where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyUse {
    /// The key server that distributed it.
    pub mi: MemberId,
    /// The key's number with that key server.
    pub kn: u32,
    /// Lowest acceptable packet number of the sender, its low 32 bits under an XPN suite.
    pub llpn: u32,
}

impl KeyUse {
    const LEN: usize = 20;

    /// Whether there is no key: it has neither key server nor number. Some senders give it a packet number.
    pub fn is_none(&self) -> bool {
        self.mi == MemberId::default() && self.kn == 0
    }

    fn read(octets: &[u8; KeyUse::LEN]) -> Self {
        KeyUse {
            mi: MemberId(self::octets(octets, 0)),
            kn: u32::from_be_bytes(self::octets(octets, 12)),
            llpn: u32::from_be_bytes(self::octets(octets, 16)),
        }
    }
}

/// MACsec SAK Use: which keys the sender has and uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SakUse {
    /// AN of the latest key.
    pub latest_an: An,
    /// The sender transmits with the latest key.
    pub latest_tx: bool,
    /// The sender receives with the latest key.
    pub latest_rx: bool,
    /// AN of the old key.
    pub old_an: An,
    /// The sender transmits with the old key.
    pub old_tx: bool,
    /// The sender receives with the old key.
    pub old_rx: bool,
    /// The sender transmits unprotected frames.
    pub plain_tx: bool,
    /// The sender receives unprotected frames.
    pub plain_rx: bool,
    /// The sender wants delay bounded by lowest acceptable packet numbers.
    pub delay_protect: bool,
    /// The latest key.
    pub latest: KeyUse,
    /// The key before it.
    pub old: KeyUse,
}

impl SakUse {
    const LATEST_TX: u8 = 0x20;
    const LATEST_RX: u8 = 0x10;
    const OLD_TX: u8 = 0x02;
    const OLD_RX: u8 = 0x01;
    const PLAIN_TX: u8 = 0x80;
    const PLAIN_RX: u8 = 0x40;
    const DELAY_PROTECT: u8 = 0x10;

    fn read([keys, plain]: [u8; 2], body: &[u8]) -> Result<Option<Self>, SetError> {
        let (latest, old) = match body.as_chunks() {
            ([], []) => return Ok(None),
            ([latest, old], []) => (KeyUse::read(latest), KeyUse::read(old)),
            _ => return Err(SetError::BodyLen(body.len())),
        };
        Ok(Some(SakUse {
            latest_an: An::from_tci_bits(keys >> 6),
            latest_tx: keys & Self::LATEST_TX != 0,
            latest_rx: keys & Self::LATEST_RX != 0,
            old_an: An::from_tci_bits(keys >> 2),
            old_tx: keys & Self::OLD_TX != 0,
            old_rx: keys & Self::OLD_RX != 0,
            plain_tx: plain & Self::PLAIN_TX != 0,
            plain_rx: plain & Self::PLAIN_RX != 0,
            delay_protect: plain & Self::DELAY_PROTECT != 0,
            latest,
            old,
        }))
    }

    pub(super) fn flags(&self) -> [u8; 2] {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let latest = bit(self.latest_tx, Self::LATEST_TX) | bit(self.latest_rx, Self::LATEST_RX);
        let old = bit(self.old_tx, Self::OLD_TX) | bit(self.old_rx, Self::OLD_RX);
        let plain = bit(self.plain_tx, Self::PLAIN_TX) | bit(self.plain_rx, Self::PLAIN_RX);
        let ans = self.latest_an.as_u8() << 6 | self.old_an.as_u8() << 2;
        [ans | latest | old, plain | bit(self.delay_protect, Self::DELAY_PROTECT)]
    }
}

/// A Distributed SAK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DistributedSak<'a> {
    /// The AN it is to be used with.
    pub an: An,
    /// From where on frames are encrypted; `None` for integrity only.
    pub confidentiality_offset: Option<ConfidentialityOffset>,
    /// The key.
    pub form: DistributedSakForm<'a>,
}

/// The three kinds of body that a Distributed SAK can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistributedSakForm<'a> {
    /// No key: frames are to be sent unprotected.
    PlainText,
    /// A key for GCM-AES-128, the default suite, which is not named.
    GcmAes128 {
        /// Key number.
        kn: u32,
        /// The key.
        wrapped: &'a [u8; 24],
    },
    /// A key for a suite that is named.
    Suite {
        /// Key number.
        kn: u32,
        /// The suite, or the identifier of one unknown here.
        suite: Result<CipherSuite, u64>,
        /// The key, of the suite's length if that is known.
        wrapped: WrappedKey<'a>,
    },
}

impl<'a> DistributedSak<'a> {
    fn read(flags: u8, body: &'a [u8]) -> Result<Self, SetError> {
        Ok(DistributedSak {
            an: An::from_tci_bits(flags >> 6),
            confidentiality_offset: match flags >> 4 & 3 {
                0 => None,
                1 => Some(ConfidentialityOffset::None),
                2 => Some(ConfidentialityOffset::Octets30),
                _ => Some(ConfidentialityOffset::Octets50),
            },
            form: DistributedSakForm::read(body)?,
        })
    }

    pub(super) const fn flags(&self) -> [u8; 2] {
        let offset = match self.confidentiality_offset {
            None => 0,
            Some(ConfidentialityOffset::None) => 1,
            Some(ConfidentialityOffset::Octets30) => 2,
            Some(ConfidentialityOffset::Octets50) => 3,
        };
        [self.an.as_u8() << 6 | offset << 4, 0]
    }
}

impl<'a> DistributedSakForm<'a> {
    fn read(body: &'a [u8]) -> Result<Self, SetError> {
        let Some((kn, rest)) = body.split_first_chunk() else {
            return if body.is_empty() { Ok(Self::PlainText) } else { Err(SetError::BodyLen(body.len())) };
        };
        let kn = u32::from_be_bytes(*kn);
        if let Ok(wrapped) = rest.try_into() {
            return Ok(Self::GcmAes128 { kn, wrapped });
        }
        let (id, wrapped) = rest.split_first_chunk().ok_or(SetError::BodyLen(body.len()))?;
        let wrapped = WrappedKey::new(wrapped).map_err(|_| SetError::BodyLen(body.len()))?;
        let id = u64::from_be_bytes(*id);
        let suite = CipherSuite::from_id(id).ok_or(id);
        match suite {
            Ok(suite) if suite.sak_len() != wrapped.key_len() => {
                Err(SetError::WrappedLen { suite, found: wrapped.len() })
            }
            _ => Ok(Self::Suite { kn, suite, wrapped }),
        }
    }
}

/// View of a Distributed CAK: the wrapped CAK, then its CKN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DistributedCak<'a>(&'a [u8]);

impl<'a> DistributedCak<'a> {
    /// Checks that the octets hold a wrapped CAK of some length, and a CKN.
    ///
    /// # Errors
    /// [`SetError::BodyLen`].
    pub const fn new_checked(body: &'a [u8]) -> Result<Self, SetError> {
        match body.len() {
            25..=72 => Ok(DistributedCak(body)),
            other => Err(SetError::BodyLen(other)),
        }
    }

    /// The octets of both.
    pub const fn octets(self) -> &'a [u8] {
        self.0
    }

    /// The wrapped CAK and its CKN, given that the CAK has `cak_len` octets: 16 or 32, which the set does not
    /// say. `None` when that cannot be.
    pub fn split(self, cak_len: usize) -> Option<(WrappedKey<'a>, CknRef<'a>)> {
        let (wrapped, ckn) = self.0.split_at_checked(cak_len.checked_add(WrappedKey::OVERHEAD)?)?;
        Some((WrappedKey::new(wrapped).ok()?, CknRef::new(ckn).ok()?))
    }
}

/// An XPN set: what goes with SAK Use under an XPN suite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XpnRepr {
    /// Seconds for which the sender asks MKA to be suspended; 0 for none.
    pub suspension_time: u8,
    /// High 32 bits of the latest key's lowest acceptable packet number.
    pub latest_lpn_high: u32,
    /// High 32 bits of the old key's.
    pub old_lpn_high: u32,
}

impl XpnRepr {
    fn read(suspension_time: u8, body: &[u8]) -> Result<Self, SetError> {
        let [latest_lpn_high, old_lpn_high] = match body.as_chunks() {
            ([latest, old], []) => [latest, old].map(|lpn| u32::from_be_bytes(*lpn)),
            _ => return Err(SetError::BodyLen(body.len())),
        };
        Ok(XpnRepr { suspension_time, latest_lpn_high, old_lpn_high })
    }
}
