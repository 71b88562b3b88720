//! Any octets as a SecTAG: what parses is emitted as it was.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use wire::{L2Header, SecTag, SecTagRepr};

fuzz_target!(|octets: &[u8]| {
    for tags in 0..4 {
        if let Some(header) = L2Header::parse(octets, tags) {
            assert!(header.len + 2 <= octets.len() && header.vlan_len() <= 4 * tags);
        }
    }
    let unchecked = SecTag::new_unchecked(octets);
    let _ = (SecTagRepr::parse(&unchecked), unchecked.len());
    if let Ok(tag) = SecTag::new_checked(octets) {
        let repr = SecTagRepr::parse(&tag);
        let mut buffer = [0xa5; 17];
        assert!(repr.emit(&mut buffer) && repr.buffer_len() == tag.len());
        assert_eq!(buffer[..tag.len()], octets[..tag.len()]);
        assert!(buffer[tag.len()..].iter().all(|octet| *octet == 0xa5));
        assert!(!repr.emit(&mut buffer[..tag.len() - 1]));
        let after = octets.len() - tag.len();
        if let Ok(user_data) = tag.short_length().user_data_len(after) {
            assert!(user_data + wire::ICV_LEN <= after);
        }
    }
});
