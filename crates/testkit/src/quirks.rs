//! MKPDUs as deployed stations write them, odd or wrong.

use keys::{Cak, Ckn};
use std::collections::HashMap;
use wire::{
    Announcement, BasicRepr, CipherSuite, DistributedSak, DistributedSakForm, KeyUse, MemberId, Mkpdu,
    MkpduWriter, ParameterSet, Sci, WrappedKey, XpnRepr,
};

/// What is odd about a station's MKPDUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Every other one has no SAK Use.
    OmitsSakUse,
    /// The lowest packet numbers in SAK Use are those of the MKPDU before, or always 1.
    LateLpn,
    /// The only key it has stands in the slot of the old one, even before it transmits with it.
    OldSlotOnly,
    /// Every MKPDU has an Announcement, and sets of types that nobody knows.
    Announces,
    /// It does XPN, but sends no XPN set, and does not say its SSCI.
    XpnUnsaid,
    /// A Distributed SAK for GCM-AES-128 names the suite, which the short form leaves out.
    NamesGcmAes128,
    /// The same, by the number that deployed stations have for it.
    NamesGcmAes128Otherwise,
    /// It hands out nothing.
    Withholds,
    /// It hands out nothing of the SAK with this number: it did once, and the frame was lost.
    WithholdsKey(u32),
    /// It hands out permission to send in the clear, in place of SAKs.
    PlainText,
    /// It gives all stations of an XPN SAK one SSCI: the live list is that of one station, again and again.
    SharesSsci,
    /// It speaks with every regular hello and when it gets a key, and at no other time; takes a new member identifier when
    /// one that is not live to it, and does not list it by a recent number, speaks of a SAK; and ignores those who do the
    /// same for three seconds.
    Touchy,
    /// It lists stations by the numbers that it read last, be it in their own MKPDUs or in the lists of others, which may
    /// have been written before theirs came.
    Hearsay,
}

/// What an odd station last sent and heard.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// When the next is due.
    next: mka::Time,
    /// The numbers of the last two.
    mns: [u32; 2],
    /// Whom it ignores, and until when.
    ignored: HashMap<Sci, mka::Time>,
    /// What the last said of SAKs.
    used: Option<[bool; 4]>,
    /// The number of everybody's last MKPDU, by hearsay.
    mns_of: HashMap<MemberId, u32>,
}

/// What a touchy station does about an MKPDU.
#[derive(Debug)]
pub(crate) enum Touched {
    Takes,
    Ignores,
    /// It takes this one in its place.
    Instead(Vec<u8>),
}

impl Sent {
    /// Nothing before this time.
    pub(crate) fn from(next: mka::Time) -> Self {
        Sent { next, ..Sent::default() }
    }

    /// Remembers the numbers that an MKPDU names.
    pub(crate) fn hear(&mut self, frame: &[u8]) {
        let Ok(pdu) = Mkpdu::new_checked(frame) else { return };
        self.mns_of.insert(pdu.basic().mi, pdu.basic().mn);
        for set in pdu.sets() {
            if let ParameterSet::LivePeerList(list) = set {
                self.mns_of.extend(list.iter());
            }
        }
    }

    /// Whether a touchy station sends this.
    pub(crate) fn sends(&mut self, frame: &[u8], now: mka::Time) -> bool {
        let pdu = Mkpdu::new_checked(frame).unwrap();
        let used = pdu.sets().find_map(|set| match set {
            ParameterSet::SakUse(Some(said)) => {
                Some([said.latest_rx, said.latest_tx, said.old_rx, said.old_tx])
            }
            _ => None,
        });
        let news = used.is_some() && used != self.used;
        if !news && now < self.next {
            return false;
        }
        (self.next, self.used) = (now + mka::Time::from_millis(1700), used);
        self.mns = [self.mns[1], pdu.basic().mn];
        true
    }

    /// What a touchy station makes of a frame; `status` is the station's.
    pub(crate) fn touch(
        &mut self,
        now: mka::Time,
        frame: &[u8],
        status: &mka::Status,
        cak: &Cak,
        ckn: &Ckn,
    ) -> Touched {
        let Ok(pdu) = Mkpdu::new_checked(frame) else { return Touched::Takes };
        let basic = pdu.basic();
        let known = status.peers.iter().find(|peer| peer.sci == basic.sci);
        if known.is_some_and(|peer| peer.mi != basic.mi) {
            let until = *self.ignored.entry(basic.sci).or_insert(now + mka::Time::from_secs(3));
            if now < until {
                return Touched::Ignores;
            }
        }
        self.ignored.remove(&basic.sci);
        if known.is_some_and(|peer| peer.live && peer.mi == basic.mi) {
            return Touched::Takes;
        }
        let (mut listed, mut speaks, mut hands_out) = (None, false, false);
        for set in pdu.sets() {
            match set {
                ParameterSet::LivePeerList(list) | ParameterSet::PotentialPeerList(list) => {
                    listed = listed.or(list.find(status.mi));
                }
                ParameterSet::SakUse(_) => speaks = true,
                ParameterSet::DistributedSak(_) => hands_out = true,
                _ => {}
            }
        }
        if listed.is_some_and(|mn| mn >= self.mns[0]) {
            return Touched::Takes;
        }
        // It meets whoever it is, and no more; or finds one that has its own identifier.
        let basic = match speaks && !hands_out {
            false => basic,
            true => BasicRepr { mi: status.mi, mn: 1, ..basic },
        };
        let mut buffer = [0; MkpduWriter::MAX_FRAME_LEN];
        let writer =
            MkpduWriter::new(&mut buffer, pdu.source(), pdu.destination(), pdu.eapol_version(), &basic);
        let ick = cak.ick(ckn);
        Touched::Instead(writer.unwrap().finish(false, |parts| ick.icv(&parts)).to_vec())
    }
}

impl Quirk {
    /// An MKPDU of a station with this CAK as it sends it.
    pub(crate) fn rewrite(self, frame: &[u8], sent: &Sent, cak: &Cak, ckn: &Ckn) -> Vec<u8> {
        let pdu = Mkpdu::new_checked(frame).unwrap();
        let mut buffer = [0; MkpduWriter::MAX_FRAME_LEN];
        let mut writer =
            MkpduWriter::new(&mut buffer, pdu.source(), pdu.destination(), pdu.eapol_version(), &pdu.basic())
                .unwrap();
        let omits = self == Quirk::OmitsSakUse && pdu.basic().mn % 2 == 0;
        for set in pdu.sets() {
            match (self, set) {
                (Quirk::OmitsSakUse, ParameterSet::SakUse(_) | ParameterSet::Xpn(_)) if omits => {}
                (Quirk::LateLpn, ParameterSet::SakUse(Some(mut said))) => {
                    for slot in [&mut said.latest, &mut said.old] {
                        slot.llpn = slot.llpn.min(1);
                    }
                    writer.sak_use(Some(&said)).unwrap();
                }
                (Quirk::OldSlotOnly, ParameterSet::SakUse(Some(mut said))) if said.old.is_none() => {
                    (said.old_an, said.old_tx, said.old_rx, said.old) =
                        (said.latest_an, said.latest_tx, said.latest_rx, said.latest);
                    (said.latest_tx, said.latest_rx, said.latest) = (false, false, KeyUse::default());
                    writer.sak_use(Some(&said)).unwrap();
                }
                (Quirk::XpnUnsaid, ParameterSet::Xpn(_)) => {}
                (Quirk::XpnUnsaid, ParameterSet::LivePeerList(list)) => {
                    writer.live_peers(0, list.iter()).unwrap();
                }
                (Quirk::Hearsay, ParameterSet::LivePeerList(list)) => {
                    let heard = |(mi, mn)| (mi, sent.mns_of.get(&mi).copied().unwrap_or(mn));
                    writer.live_peers(list.key_server_ssci(), list.iter().map(heard)).unwrap();
                }
                (Quirk::Announces, ParameterSet::Xpn(_)) => writer.xpn(&XpnRepr::default()).unwrap(),
                (Quirk::SharesSsci, ParameterSet::LivePeerList(list)) if list.key_server_ssci() != 0 => {
                    let all: Vec<(MemberId, u32)> = list.iter().collect();
                    let twice = all.iter().chain(all.first());
                    writer.live_peers(list.key_server_ssci(), twice.copied()).unwrap();
                }
                (
                    Quirk::NamesGcmAes128 | Quirk::NamesGcmAes128Otherwise,
                    ParameterSet::DistributedSak(DistributedSak {
                        form: DistributedSakForm::GcmAes128 { kn, wrapped },
                        an,
                        confidentiality_offset,
                    }),
                ) => {
                    let otherwise = self == Quirk::NamesGcmAes128Otherwise;
                    let suite =
                        if otherwise { Err(0x0080_0200_0100_0001) } else { Ok(CipherSuite::GcmAes128) };
                    let wrapped = WrappedKey::new(&wrapped[..]).unwrap();
                    let form = DistributedSakForm::Suite { kn, suite, wrapped };
                    writer.distributed_sak(&DistributedSak { an, confidentiality_offset, form }).unwrap();
                }
                (Quirk::Withholds, ParameterSet::DistributedSak(_)) => {}
                (
                    Quirk::WithholdsKey(withheld),
                    ParameterSet::DistributedSak(DistributedSak {
                        form: DistributedSakForm::GcmAes128 { kn, .. } | DistributedSakForm::Suite { kn, .. },
                        ..
                    }),
                ) if kn == withheld => {}
                (Quirk::PlainText, ParameterSet::DistributedSak(sak)) => {
                    let form = DistributedSakForm::PlainText;
                    writer.distributed_sak(&DistributedSak { form, ..sak }).unwrap();
                }
                (_, ParameterSet::IcvIndicator(_)) => {}
                (_, set) => writer.set(&set).unwrap(),
            }
        }
        if self == Quirk::Announces {
            // Access information, of two octets.
            writer.announcement(Announcement::new_checked(&[111 << 1, 2, 0, 0]).unwrap()).unwrap();
            writer.unknown(200, [0, 0], &[1, 2, 3]).unwrap();
        }
        let ick = cak.ick(ckn);
        writer.finish(pdu.has_icv_indicator(), |parts| ick.icv(&parts)).to_vec()
    }
}
