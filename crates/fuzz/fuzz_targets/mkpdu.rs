//! Any octets as a frame of key agreement: what parses is said in plain text, and written anew reads the same.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use wire::{Eapol, EapolRepr, Full, Mkpdu, MkpduWriter, ParameterSet};

const MAX_FRAME_LEN: usize = MkpduWriter::MAX_FRAME_LEN;
const INDICATOR_LEN: usize = 4;

fuzz_target!(|octets: &[u8]| {
    if let Ok(packet) = Eapol::new_checked(octets) {
        assert_eq!(EapolRepr::parse(&packet).to_octets(), octets[..4]);
    }
    let Ok(mkpdu) = Mkpdu::new_checked(octets) else { return };
    let said = mkpdu.describe().to_string();
    assert!(said.lines().all(|line| !line.is_empty() && !line.contains(char::is_control)));
    for set in mkpdu.sets() {
        read(set);
    }
    let [addresses, protected] = mkpdu.authenticated();
    let len = addresses.len() + protected.len() + mkpdu.icv().len();
    assert!(len <= octets.len() && addresses == &octets[..12]);
    let mut buffer = [0xa5; 2 * MAX_FRAME_LEN];
    match rewritten(&mkpdu, &mut buffer) {
        Ok(frame) => {
            assert_eq!(frame.len(), len);
            let again = Mkpdu::new_checked(frame).expect("what was written is read");
            assert_eq!((again.source(), again.destination()), (mkpdu.source(), mkpdu.destination()));
            assert_eq!((again.basic(), again.icv()), (mkpdu.basic(), mkpdu.icv()));
            assert!(again.sets().eq(mkpdu.sets()));
            assert_eq!(rewritten(&again, &mut [0; MAX_FRAME_LEN]), Ok(frame));
        }
        Err(Full) => assert!(len + INDICATOR_LEN > MAX_FRAME_LEN),
    }
});

fn rewritten<'b>(mkpdu: &Mkpdu<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], Full> {
    let (source, destination) = (mkpdu.source(), mkpdu.destination());
    let mut writer = MkpduWriter::new(buffer, source, destination, mkpdu.eapol_version(), &mkpdu.basic())?;
    mkpdu.sets().try_for_each(|set| writer.set(&set))?;
    Ok(writer.finish(mkpdu.has_icv_indicator(), |_| *mkpdu.icv()))
}

fn read(set: ParameterSet<'_>) {
    match set {
        ParameterSet::LivePeerList(list) | ParameterSet::PotentialPeerList(list) => {
            assert_eq!(list.iter().len(), list.len());
            assert!(list.iter().all(|(mi, _)| list.find(mi).is_some()));
        }
        ParameterSet::DistributedCak(cak) => {
            let splits = [16, 32].map(|len| cak.split(len));
            assert!(splits.iter().any(Option::is_some));
        }
        ParameterSet::Announcement(announcement) => {
            assert!(announcement.tlvs().count() <= announcement.octets().len());
        }
        _ => {}
    }
}
