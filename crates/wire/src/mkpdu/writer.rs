//! Writing MKPDUs.

use super::sets::set_type;
use super::{
    ADDRESSES_LEN, Announcement, BasicRepr, CknRef, DistributedSak, DistributedSakForm, KeyUse, MemberId,
    ParameterSet, SET_HEADER_LEN, SakUse, WrappedKey, XpnRepr,
};
use crate::{EapolRepr, EapolType, EtherType, ICV_LEN, MacAddr};
use core::fmt;

/// Octets of addresses and ethertype.
const ETHERNET_LEN: usize = 14;
/// Octets up to the first parameter set.
const HEADERS_LEN: usize = ETHERNET_LEN + 4;
/// Octets that are kept free for the ICV and its indicator.
const TRAILER_LEN: usize = SET_HEADER_LEN + ICV_LEN;

/// The buffer, or the 1514 octets of an Ethernet frame, have no room for what was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the MKPDU has no room for it")
    }
}

impl core::error::Error for Full {}

/// An MKPDU that is being written into a buffer, set by set.
///
/// A set that does not fit is left out as a whole, with [`Full`], and others may follow. The order is the
/// caller's: SAK Use before Distributed SAK.
#[derive(Debug)]
pub struct MkpduWriter<'b> {
    /// At least [`HEADERS_LEN`] octets, then `len`, then [`TRAILER_LEN`].
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> MkpduWriter<'b> {
    /// Octets of the longest MKPDU: those of an Ethernet frame without VLAN tags and FCS.
    pub const MAX_FRAME_LEN: usize = 1514;

    /// Begins an MKPDU with its headers and the Basic Parameter Set. At most 1514 octets of `buffer` are used.
    ///
    /// # Errors
    /// [`Full`], for a buffer too small.
    pub fn new(
        buffer: &'b mut [u8],
        source: MacAddr,
        destination: MacAddr,
        eapol_version: u8,
        basic: &BasicRepr<'_>,
    ) -> Result<Self, Full> {
        let room = buffer.len().min(Self::MAX_FRAME_LEN);
        let buffer = buffer.get_mut(..room).ok_or(Full)?;
        let eapol = EapolRepr { version: eapol_version, packet_type: EapolType::Mka, body_len: 0 };
        let mut headers = Body { room: buffer, len: 0 };
        headers.put(&destination.0)?;
        headers.put(&source.0)?;
        headers.put(&EtherType::EAPOL.0.to_be_bytes())?;
        headers.put(&eapol.to_octets())?;
        let len = headers.len;
        let mut writer = MkpduWriter { buffer, len };
        writer.put_set(basic.version, basic.flags(), |body| {
            body.put(&basic.sci.to_bytes())?;
            body.put(&basic.mi.0)?;
            body.put(&basic.mn.to_be_bytes())?;
            body.put(&basic.agility.to_be_bytes())?;
            body.put(&basic.ckn)
        })?;
        Ok(writer)
    }

    /// Adds a Live Peer List, with the low octet of the key server's SSCI where version 3 distributes an XPN
    /// SAK, else 0.
    ///
    /// # Errors
    /// [`Full`].
    pub fn live_peers(
        &mut self,
        key_server_ssci: u8,
        peers: impl IntoIterator<Item = (MemberId, u32)>,
    ) -> Result<(), Full> {
        self.peers(set_type::LIVE_PEER_LIST, key_server_ssci, peers)
    }

    /// Adds a Potential Peer List.
    ///
    /// # Errors
    /// [`Full`].
    pub fn potential_peers(&mut self, peers: impl IntoIterator<Item = (MemberId, u32)>) -> Result<(), Full> {
        self.peers(set_type::POTENTIAL_PEER_LIST, 0, peers)
    }

    fn peers(
        &mut self,
        type_: u8,
        key_server_ssci: u8,
        peers: impl IntoIterator<Item = (MemberId, u32)>,
    ) -> Result<(), Full> {
        self.put_set(type_, [key_server_ssci, 0], |body| {
            peers.into_iter().try_for_each(|(mi, mn)| {
                body.put(&mi.0)?;
                body.put(&mn.to_be_bytes())
            })
        })
    }

    /// Adds MACsec SAK Use, an empty one for `None`.
    ///
    /// # Errors
    /// [`Full`].
    pub fn sak_use(&mut self, sak_use: Option<&SakUse>) -> Result<(), Full> {
        let flags = sak_use.map_or([0; 2], SakUse::flags);
        self.put_set(set_type::SAK_USE, flags, |body| {
            sak_use.iter().flat_map(|s| [&s.latest, &s.old]).try_for_each(|KeyUse { mi, kn, llpn }| {
                body.put(&mi.0)?;
                body.put(&kn.to_be_bytes())?;
                body.put(&llpn.to_be_bytes())
            })
        })
    }

    /// Adds a Distributed SAK.
    ///
    /// # Errors
    /// [`Full`].
    pub fn distributed_sak(&mut self, sak: &DistributedSak<'_>) -> Result<(), Full> {
        self.put_set(set_type::DISTRIBUTED_SAK, sak.flags(), |body| match sak.form {
            DistributedSakForm::PlainText => Ok(()),
            DistributedSakForm::GcmAes128 { kn, wrapped } => {
                body.put(&kn.to_be_bytes())?;
                body.put(wrapped)
            }
            DistributedSakForm::Suite { kn, suite, wrapped } => {
                body.put(&kn.to_be_bytes())?;
                body.put(&suite.map_or_else(|id| id, |suite| suite.id()).to_be_bytes())?;
                body.put(&wrapped)
            }
        })
    }

    /// Adds a Distributed CAK.
    ///
    /// # Errors
    /// [`Full`].
    pub fn distributed_cak(&mut self, wrapped: WrappedKey<'_>, ckn: CknRef<'_>) -> Result<(), Full> {
        self.put_set(set_type::DISTRIBUTED_CAK, [0; 2], |body| {
            body.put(&wrapped)?;
            body.put(&ckn)
        })
    }

    /// Adds the name of a Key Management Domain.
    ///
    /// # Errors
    /// [`Full`].
    pub fn kmd(&mut self, name: &[u8]) -> Result<(), Full> {
        self.unknown(set_type::KMD, [0; 2], name)
    }

    /// Adds an Announcement.
    ///
    /// # Errors
    /// [`Full`].
    pub fn announcement(&mut self, announcement: Announcement<'_>) -> Result<(), Full> {
        self.unknown(set_type::ANNOUNCEMENT, [0; 2], announcement.octets())
    }

    /// Adds an XPN set.
    ///
    /// # Errors
    /// [`Full`].
    pub fn xpn(&mut self, xpn: &XpnRepr) -> Result<(), Full> {
        self.put_set(set_type::XPN, [xpn.suspension_time, 0], |body| {
            body.put(&xpn.latest_lpn_high.to_be_bytes())?;
            body.put(&xpn.old_lpn_high.to_be_bytes())
        })
    }

    /// Adds a set of any type but the ICV Indicator's, which [`finish`](Self::finish) adds. `flags` are the
    /// second octet, and the third, whose four low bits are replaced by bits of the length.
    ///
    /// # Errors
    /// [`Full`].
    pub fn unknown(&mut self, type_: u8, flags: [u8; 2], body: &[u8]) -> Result<(), Full> {
        self.put_set(type_, flags, |room| room.put(body))
    }

    /// Adds a set as it was read. Nothing, for an ICV Indicator: that is for [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`Full`].
    pub fn set(&mut self, set: &ParameterSet<'_>) -> Result<(), Full> {
        match *set {
            ParameterSet::LivePeerList(peers) => self.live_peers(peers.key_server_ssci(), peers.iter()),
            ParameterSet::PotentialPeerList(peers) => self.potential_peers(peers.iter()),
            ParameterSet::SakUse(ref sak_use) => self.sak_use(sak_use.as_ref()),
            ParameterSet::DistributedSak(ref sak) => self.distributed_sak(sak),
            ParameterSet::DistributedCak(cak) => self.unknown(set.type_(), [0; 2], cak.octets()),
            ParameterSet::Kmd(name) => self.kmd(name),
            ParameterSet::Announcement(announcement) => self.announcement(announcement),
            ParameterSet::Xpn(ref xpn) => self.xpn(xpn),
            ParameterSet::IcvIndicator(_) => Ok(()),
            ParameterSet::Unknown { type_, flags, body }
            | ParameterSet::Malformed { type_, flags, body, .. } => self.unknown(type_, flags, body),
        }
    }

    fn put_set(
        &mut self,
        type_: u8,
        flags: [u8; 2],
        fill: impl FnOnce(&mut Body<'_>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let end = self.buffer.len().checked_sub(TRAILER_LEN).ok_or(Full)?;
        let room = self.buffer.get_mut(self.len..end).ok_or(Full)?;
        let (header, room) = room.split_first_chunk_mut::<SET_HEADER_LEN>().ok_or(Full)?;
        let mut body = Body { room, len: 0 };
        fill(&mut body)?;
        let len = body.len;
        body.put(&[0; 3][..len.next_multiple_of(4) - len])?;
        // A frame is shorter than what twelve bits can say.
        *header = [type_, flags[0], flags[1] & 0xf0 | (len >> 8) as u8, len as u8];
        self.len += SET_HEADER_LEN + body.len;
        Ok(())
    }

    /// Completes the MKPDU: the indicator if wanted, EAPOL's length, and the ICV that `icv` computes over the
    /// two addresses and everything from the ethertype up to the ICV. Says where the frame is.
    pub fn finish(self, with_indicator: bool, icv: impl FnOnce([&[u8]; 2]) -> [u8; ICV_LEN]) -> &'b [u8] {
        let MkpduWriter { buffer, mut len } = self;
        if with_indicator {
            let header = [set_type::ICV_INDICATOR, 0, 0, ICV_LEN as u8];
            buffer[len..len + SET_HEADER_LEN].copy_from_slice(&header);
            len += SET_HEADER_LEN;
        }
        let body_len = (len + ICV_LEN - HEADERS_LEN) as u16;
        buffer[HEADERS_LEN - 2..HEADERS_LEN].copy_from_slice(&body_len.to_be_bytes());
        let (authenticated, room) = buffer.split_at_mut(len);
        let (addresses, rest) = authenticated.split_at(ADDRESSES_LEN);
        room[..ICV_LEN].copy_from_slice(&icv([addresses, rest]));
        &buffer[..len + ICV_LEN]
    }
}

/// Octets that are written one after the other.
struct Body<'b> {
    room: &'b mut [u8],
    len: usize,
}

impl Body<'_> {
    fn put(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.len + octets.len();
        self.room.get_mut(self.len..end).ok_or(Full)?.copy_from_slice(octets);
        self.len = end;
        Ok(())
    }
}
