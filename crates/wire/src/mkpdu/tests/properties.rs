//! What is written is read again, and nothing that is read makes the reader panic.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::string::String;
use std::vec;

/// A set with what it borrows.
#[derive(Clone, Debug)]
enum Owned {
    Live(u8, Vec<(MemberId, u32)>),
    Potential(Vec<(MemberId, u32)>),
    SakUse(Option<SakUse>),
    PlainText(An),
    GcmAes128(An, Option<ConfidentialityOffset>, u32, [u8; 24]),
    Suite(An, u32, Result<CipherSuite, u64>, Vec<u8>),
    Cak(Vec<u8>, Vec<u8>),
    Kmd(Vec<u8>),
    Announcement(Vec<(u8, Vec<u8>)>),
    Xpn(XpnRepr),
    Unknown(u8, [u8; 2], Vec<u8>),
}

impl Owned {
    /// Writes the set, through the method that is made for it.
    fn write(&self, writer: &mut MkpduWriter<'_>) -> Result<(), Full> {
        match self {
            Owned::Live(ssci, peers) => writer.live_peers(*ssci, peers.iter().copied()),
            Owned::Potential(peers) => writer.potential_peers(peers.iter().copied()),
            Owned::SakUse(sak_use) => writer.sak_use(sak_use.as_ref()),
            Owned::PlainText(..) | Owned::GcmAes128(..) | Owned::Suite(..) => {
                writer.distributed_sak(&self.sak())
            }
            Owned::Cak(wrapped, ckn) => {
                writer.distributed_cak(WrappedKey::new(wrapped).unwrap(), CknRef::new(ckn).unwrap())
            }
            Owned::Kmd(name) => writer.kmd(name),
            Owned::Announcement(_) => writer.announcement(Announcement::new_checked(&self.tlvs()).unwrap()),
            Owned::Xpn(xpn) => writer.xpn(xpn),
            Owned::Unknown(type_, flags, body) => writer.unknown(*type_, *flags, body),
        }
    }

    fn sak(&self) -> DistributedSak<'_> {
        match self {
            Owned::GcmAes128(an, confidentiality_offset, kn, wrapped) => DistributedSak {
                an: *an,
                confidentiality_offset: *confidentiality_offset,
                form: DistributedSakForm::GcmAes128 { kn: *kn, wrapped },
            },
            Owned::Suite(an, kn, suite, wrapped) => {
                let wrapped = WrappedKey::new(wrapped).unwrap();
                let form = DistributedSakForm::Suite { kn: *kn, suite: *suite, wrapped };
                DistributedSak { an: *an, confidentiality_offset: Some(ConfidentialityOffset::None), form }
            }
            Owned::PlainText(an) => {
                DistributedSak { an: *an, confidentiality_offset: None, form: DistributedSakForm::PlainText }
            }
            other => panic!("{other:?}"),
        }
    }

    fn tlvs(&self) -> Vec<u8> {
        let Owned::Announcement(tlvs) = self else { panic!("{self:?}") };
        let octets = |(type_, body): &(u8, Vec<u8>)| {
            let header = u16::from(*type_) << 9 | body.len() as u16;
            [&header.to_be_bytes()[..], body].concat()
        };
        tlvs.iter().flat_map(octets).collect()
    }

    fn is(&self, set: &ParameterSet<'_>) -> bool {
        match (self, set) {
            (Owned::Live(ssci, peers), ParameterSet::LivePeerList(list)) => {
                *ssci == list.key_server_ssci() && list.iter().eq(peers.iter().copied())
            }
            (Owned::Potential(peers), ParameterSet::PotentialPeerList(list)) => {
                list.iter().eq(peers.iter().copied())
            }
            (Owned::SakUse(written), ParameterSet::SakUse(read)) => written == read,
            (
                Owned::PlainText(..) | Owned::GcmAes128(..) | Owned::Suite(..),
                ParameterSet::DistributedSak(read),
            ) => self.sak() == *read,
            (Owned::Cak(wrapped, ckn), ParameterSet::DistributedCak(read)) => read
                .split(wrapped.len() - WrappedKey::OVERHEAD)
                .is_some_and(|(w, c)| w.octets() == wrapped && c.octets() == ckn),
            (Owned::Kmd(written), ParameterSet::Kmd(read)) => written == read,
            (Owned::Announcement(_), ParameterSet::Announcement(read)) => self.tlvs() == read.octets(),
            (Owned::Xpn(written), ParameterSet::Xpn(read)) => written == read,
            (Owned::Unknown(type_, flags, body), ParameterSet::Unknown { type_: t, flags: f, body: b }) => {
                type_ == t && flags == f && body == b
            }
            _ => false,
        }
    }
}

fn octets_of(len: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), len)
}

fn peers() -> impl Strategy<Value = Vec<(MemberId, u32)>> {
    vec((any::<[u8; 12]>().prop_map(MemberId), any::<u32>()), 0..5)
}

fn ans() -> impl Strategy<Value = An> {
    proptest::sample::select(&An::ALL[..])
}

fn keys() -> impl Strategy<Value = KeyUse> {
    any::<([u8; 12], u32, u32)>().prop_map(|(mi, kn, llpn)| KeyUse { mi: MemberId(mi), kn, llpn })
}

fn sak_uses() -> impl Strategy<Value = SakUse> {
    (ans(), ans(), any::<[bool; 7]>(), keys(), keys()).prop_map(|(latest_an, old_an, bits, latest, old)| {
        let [latest_tx, latest_rx, old_tx, old_rx, plain_tx, plain_rx, delay_protect] = bits;
        SakUse {
            latest_an,
            latest_tx,
            latest_rx,
            old_an,
            old_tx,
            old_rx,
            plain_tx,
            plain_rx,
            delay_protect,
            latest,
            old,
        }
    })
}

fn offsets() -> impl Strategy<Value = Option<ConfidentialityOffset>> {
    use ConfidentialityOffset::{None as Octets0, Octets30, Octets50};
    proptest::sample::select(&[None, Some(Octets0), Some(Octets30), Some(Octets50)][..])
}

fn suites() -> impl Strategy<Value = (Result<CipherSuite, u64>, Vec<u8>)> {
    const UNKNOWN: Result<CipherSuite, u64> = Err(0x0080_c200_0100_0005);
    prop_oneof![
        proptest::sample::select(&CipherSuite::ALL[..]).prop_map(|s| (Ok(s), s.sak_len() + 8)),
        proptest::sample::select(&[(UNKNOWN, 24), (UNKNOWN, 40)][..]),
    ]
    .prop_flat_map(|(suite, len)| (Just(suite), octets_of(len)))
}

fn sets() -> impl Strategy<Value = Owned> {
    let wrapped = prop_oneof![octets_of(24), octets_of(40)];
    let high = (0u8..16).prop_map(|high| high << 4);
    prop_oneof![
        (any::<u8>(), peers()).prop_map(|(ssci, peers)| Owned::Live(ssci, peers)),
        peers().prop_map(Owned::Potential),
        proptest::option::of(sak_uses()).prop_map(Owned::SakUse),
        ans().prop_map(Owned::PlainText),
        (ans(), offsets(), any::<u32>(), any::<[u8; 24]>())
            .prop_map(|(an, offset, kn, wrapped)| Owned::GcmAes128(an, offset, kn, wrapped)),
        (ans(), any::<u32>(), suites()).prop_map(|(an, kn, (suite, key))| Owned::Suite(an, kn, suite, key)),
        (wrapped, octets_of(1..=32)).prop_map(|(wrapped, ckn)| Owned::Cak(wrapped, ckn)),
        octets_of(0..60).prop_map(Owned::Kmd),
        vec((0u8..128, octets_of(0..30)), 0..4).prop_map(Owned::Announcement),
        any::<(u8, u32, u32)>().prop_map(|(suspension_time, latest_lpn_high, old_lpn_high)| {
            Owned::Xpn(XpnRepr { suspension_time, latest_lpn_high, old_lpn_high })
        }),
        (9u8..255, any::<u8>(), high, octets_of(0..300)).prop_map(|(t, a, b, body)| Owned::Unknown(
            t,
            [a, b],
            body
        )),
    ]
}

/// Fields of a Basic Parameter Set but its CKN.
type BasicFields = (u8, u8, bool, bool, u8, u64, [u8; 12], u32, u32);

fn basic_of(fields: BasicFields, ckn: &[u8]) -> BasicRepr<'_> {
    let (version, priority, key_server, macsec_desired, capability, sci, mi, mn, agility) = fields;
    BasicRepr {
        version,
        priority,
        key_server,
        macsec_desired,
        capability: Capability::from_bits(capability),
        sci: Sci::from_bytes(sci.to_be_bytes()),
        mi: MemberId(mi),
        mn,
        agility,
        ckn: CknRef::new(ckn).unwrap(),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        fields: BasicFields,
        ckn in octets_of(1..=32),
        addresses: [[u8; 6]; 2],
        eapol_version: u8,
        sets in vec(sets(), 0..8),
        with_indicator: bool,
        icv: [u8; 16],
        room in 122usize..1600,
    ) {
        let [source, destination] = addresses.map(MacAddr);
        let basic = basic_of(fields, &ckn);
        let mut buffer = vec![0xa5; room];
        let mut writer = MkpduWriter::new(&mut buffer, source, destination, eapol_version, &basic).unwrap();
        let written: Vec<_> = sets.iter().filter(|set| set.write(&mut writer).is_ok()).collect();
        let mut authenticated = Vec::new();
        let frame = writer.finish(with_indicator, |octets| {
            authenticated = octets.concat();
            icv
        });
        let mkpdu = Mkpdu::new_checked(frame).unwrap();
        prop_assert_eq!((mkpdu.source(), mkpdu.destination()), (source, destination));
        prop_assert_eq!(mkpdu.eapol_version(), eapol_version);
        prop_assert_eq!(mkpdu.basic(), basic);
        prop_assert_eq!(mkpdu.icv(), &icv);
        prop_assert_eq!(mkpdu.has_icv_indicator(), with_indicator);
        prop_assert_eq!(mkpdu.authenticated().concat(), authenticated);
        let read: Vec<_> = mkpdu.sets().filter(|s| !matches!(s, ParameterSet::IcvIndicator(_))).collect();
        prop_assert_eq!(read.len(), written.len());
        for (written, read) in written.iter().zip(&read) {
            prop_assert!(written.is(read), "{written:?} became {read:?}");
        }
        read_all(&mkpdu);
        prop_assert_eq!(&rewritten(&mkpdu, &mut vec![0x5a; 1514]).unwrap(), frame);
    }

    #[test]
    fn any_octets_are_read_or_refused(octets in octets_of(0..200)) {
        if let Ok(mkpdu) = Mkpdu::new_checked(&octets) {
            read_all(&mkpdu);
        }
        let framed = frame_with("", &octets);
        if let Ok(mkpdu) = Mkpdu::new_checked(&framed) {
            read_all(&mkpdu);
        }
        let behind_basic = frame(&hex::encode(&octets));
        if let Ok(mkpdu) = Mkpdu::new_checked(&behind_basic) {
            read_all(&mkpdu);
        }
    }

    #[test]
    fn damaged_frames_are_read_or_refused(
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.1, any::<proptest::sample::Index>()),
    ) {
        let mut octets = v3_frame();
        for (at, value) in damage {
            let at = at.index(octets.len());
            octets[at] = value;
        }
        if let Some(cut) = cut {
            octets.truncate(cut.index(octets.len()));
        }
        match Mkpdu::new_checked(&octets) {
            Ok(mkpdu) => {
                read_all(&mkpdu);
                // Reserved bits may differ; what is read does not.
                let again = rewritten(&mkpdu, &mut [0; 1514]).unwrap();
                let again = Mkpdu::new_checked(&again).unwrap();
                prop_assert_eq!(again.basic(), mkpdu.basic());
                prop_assert!(again.sets().eq(mkpdu.sets()));
            }
            Err(e) => drop::<String>(e.to_string()),
        }
    }
}
