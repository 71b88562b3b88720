//! EAPOL, the frames of port access control (802.1X clause 11.3).

use crate::MacAddr;
use crate::octets::octets;
use core::fmt;

/// PAE group address, which no bridge forwards but a two-port MAC relay (802.1X clause 11.1.1).
pub const PAE_GROUP: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0x00, 0x00, 0x03]);

mod field {
    pub(super) const VERSION: usize = 0;
    pub(super) const PACKET_TYPE: usize = 1;
    pub(super) const BODY_LEN: usize = 2;
    pub(super) const BODY: usize = 4;
}

/// What an EAPOL frame carries (802.1X clause 11.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EapolType {
    /// EAPOL-EAP: an EAP packet.
    EapPacket,
    /// EAPOL-Start.
    Start,
    /// EAPOL-Logoff.
    Logoff,
    /// EAPOL-Key.
    Key,
    /// EAPOL-Encapsulated-ASF-Alert.
    EncapsulatedAsfAlert,
    /// EAPOL-MKA: an MKPDU.
    Mka,
    /// EAPOL-Announcement (Generic).
    AnnouncementGeneric,
    /// EAPOL-Announcement (Specific).
    AnnouncementSpecific,
    /// EAPOL-Announcement-Req.
    AnnouncementReq,
    /// A number that has no meaning yet.
    Other(u8),
}

impl EapolType {
    const NAMED: [EapolType; 9] = [
        EapolType::EapPacket,
        EapolType::Start,
        EapolType::Logoff,
        EapolType::Key,
        EapolType::EncapsulatedAsfAlert,
        EapolType::Mka,
        EapolType::AnnouncementGeneric,
        EapolType::AnnouncementSpecific,
        EapolType::AnnouncementReq,
    ];

    /// The octet on the wire.
    pub const fn as_u8(self) -> u8 {
        match self {
            EapolType::EapPacket => 0,
            EapolType::Start => 1,
            EapolType::Logoff => 2,
            EapolType::Key => 3,
            EapolType::EncapsulatedAsfAlert => 4,
            EapolType::Mka => 5,
            EapolType::AnnouncementGeneric => 6,
            EapolType::AnnouncementSpecific => 7,
            EapolType::AnnouncementReq => 8,
            EapolType::Other(octet) => octet,
        }
    }
}

impl From<u8> for EapolType {
    fn from(octet: u8) -> Self {
        EapolType::NAMED.get(usize::from(octet)).copied().unwrap_or(EapolType::Other(octet))
    }
}

impl fmt::Display for EapolType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EapolType::EapPacket => "EAPOL-EAP",
            EapolType::Start => "EAPOL-Start",
            EapolType::Logoff => "EAPOL-Logoff",
            EapolType::Key => "EAPOL-Key",
            EapolType::EncapsulatedAsfAlert => "EAPOL-Encapsulated-ASF-Alert",
            EapolType::Mka => "EAPOL-MKA",
            EapolType::AnnouncementGeneric => "EAPOL-Announcement (Generic)",
            EapolType::AnnouncementSpecific => "EAPOL-Announcement (Specific)",
            EapolType::AnnouncementReq => "EAPOL-Announcement-Req",
            EapolType::Other(octet) => return write!(f, "EAPOL type {octet}"),
        })
    }
}

/// Why octets are no EAPOL packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EapolError {
    /// The octets end within the header.
    Truncated,
    /// The body is said to be longer than what there is of it.
    BodyTooLong {
        /// Octets that the header announces.
        announced: u16,
        /// Octets after the header.
        present: usize,
    },
}

impl fmt::Display for EapolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EapolError::Truncated => f.write_str("the frame ends within the EAPOL header"),
            EapolError::BodyTooLong { announced, present } => {
                write!(f, "the EAPOL header announces {announced} octets and {present} follow")
            }
        }
    }
}

impl core::error::Error for EapolError {}

/// View of an EAPOL packet: what follows the ethertype.
#[derive(Clone, Copy, Debug)]
pub struct Eapol<'a> {
    header: &'a [u8],
    body: &'a [u8],
}

impl<'a> Eapol<'a> {
    /// Octets of version, type and body length.
    pub const HEADER_LEN: usize = field::BODY;

    /// Checks that the whole body is there. Padding may follow it.
    ///
    /// # Errors
    /// [`EapolError`].
    pub fn new_checked(octets: &'a [u8]) -> Result<Self, EapolError> {
        let (header, rest) = octets.split_at_checked(field::BODY).ok_or(EapolError::Truncated)?;
        let announced = u16::from_be_bytes(self::octets(header, field::BODY_LEN));
        let too_long = EapolError::BodyTooLong { announced, present: rest.len() };
        Ok(Eapol { header, body: rest.get(..announced.into()).ok_or(too_long)? })
    }

    fn octet(&self, at: usize) -> u8 {
        let [octet] = octets(self.header, at);
        octet
    }

    /// Protocol version. A receiver takes higher ones than its own as its own (802.1X clause 11.5).
    pub fn version(&self) -> u8 {
        self.octet(field::VERSION)
    }

    /// What the body is.
    pub fn packet_type(&self) -> EapolType {
        self.octet(field::PACKET_TYPE).into()
    }

    /// The body, without the padding that Ethernet may have added.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// An EAPOL header's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EapolRepr {
    /// Protocol version.
    pub version: u8,
    /// What the body is.
    pub packet_type: EapolType,
    /// Octets of the body.
    pub body_len: u16,
}

impl EapolRepr {
    /// The protocol version of 802.1X-2010 and later, which MKA is sent with.
    pub const VERSION: u8 = 3;

    /// Reads a checked view.
    pub fn parse(packet: &Eapol<'_>) -> Self {
        EapolRepr {
            version: packet.version(),
            packet_type: packet.packet_type(),
            // It was read from 16 bits.
            body_len: packet.body.len() as u16,
        }
    }

    /// Octets that [`emit`](Self::emit) writes: those of the header alone.
    pub const fn buffer_len(&self) -> usize {
        field::BODY
    }

    /// The header's octets.
    pub const fn to_octets(&self) -> [u8; field::BODY] {
        let [high, low] = self.body_len.to_be_bytes();
        [self.version, self.packet_type.as_u8(), high, low]
    }

    /// Writes the header to the front of `buffer`. Says `false`, writing nothing, when it does not fit.
    #[must_use]
    pub fn emit(&self, buffer: &mut [u8]) -> bool {
        let room = buffer.first_chunk_mut();
        room.map(|room| *room = self.to_octets()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn body_ends_where_the_header_says() {
        let start = hex::decode("01010000").unwrap();
        let packet = Eapol::new_checked(&start).unwrap();
        assert_eq!((packet.version(), packet.packet_type(), packet.body()), (1, EapolType::Start, &[][..]));
        let padded = hex::decode("030000050101000501".to_string() + &"00".repeat(37)).unwrap();
        let packet = Eapol::new_checked(&padded).unwrap();
        assert_eq!((packet.version(), packet.packet_type()), (3, EapolType::EapPacket));
        assert_eq!(packet.body(), [1, 1, 0, 5, 1]);
        assert_eq!(
            Eapol::new_checked(&padded[..8]).unwrap_err(),
            EapolError::BodyTooLong { announced: 5, present: 4 }
        );
        assert_eq!(Eapol::new_checked(&padded[..3]).unwrap_err(), EapolError::Truncated);
    }

    #[test]
    fn types_are_numbered_as_in_the_standard() {
        for octet in 0..=u8::MAX {
            let packet_type = EapolType::from(octet);
            assert_eq!(packet_type.as_u8(), octet);
            assert_eq!(matches!(packet_type, EapolType::Other(_)), octet > 8);
        }
        assert_eq!(EapolType::from(5), EapolType::Mka);
        assert!(PAE_GROUP.is_group());
    }

    proptest! {
        #[test]
        fn a_header_is_emitted_as_it_was(octets in proptest::collection::vec(any::<u8>(), 0..12), len in 0u16..8) {
            let mut octets = octets;
            if let Some(length) = octets.get_mut(2..4) {
                length.copy_from_slice(&len.to_be_bytes());
            }
            if let Ok(packet) = Eapol::new_checked(&octets) {
                let repr = EapolRepr::parse(&packet);
                let mut out = Vec::from([0xa5; 5]);
                prop_assert!(repr.emit(&mut out) && !repr.emit(&mut [0; 3]));
                prop_assert_eq!(&out[..4], &octets[..4]);
                prop_assert_eq!(out[4], 0xa5);
                prop_assert_eq!(packet.body(), &octets[4..4 + usize::from(len)]);
            }
        }
    }
}
