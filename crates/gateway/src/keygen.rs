//! `macsec-gw keygen`.

use anyhow::Result;
use keys::{Cak, Ckn, Sak, Salt};
use wire::CipherSuite;
use zeroize::Zeroizing;

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A CAK and CKN for key agreement; 32 octets, or 16.
    Cak {
        /// 32 octets.
        long: bool,
    },
    /// A static SAK, with a salt where the suite has one.
    Sak(CipherSuite),
}

/// The text of a key file.
///
/// # Errors
/// When the system has no random octets.
pub fn keygen(kind: KeyKind) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(256));
    match kind {
        KeyKind::Cak { long } => {
            text.push_str("cak = \"");
            text.push_str(&Cak::generate(long)?.to_hex());
            text.push_str(&format!("\"\nckn = \"{}\"\n", Ckn::generate()?));
        }
        KeyKind::Sak(suite) => {
            text.push_str("sak = \"");
            text.push_str(&Sak::generate(suite.sak_len() == 32)?.to_hex());
            text.push_str("\"\n");
            if suite.is_xpn() {
                text.push_str(&format!("salt = \"{}\"\n", Salt::generate()?));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_made_is_read_as_a_key_file() {
        let file = |kind| {
            let f = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(f.path(), keygen(kind).unwrap().as_bytes()).unwrap();
            std::fs::set_permissions(f.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
            f
        };
        for suite in CipherSuite::ALL {
            let f = keys::read_sak_file(file(KeyKind::Sak(suite)).path()).unwrap();
            assert!(f.sak.fits(suite));
            assert_eq!(f.salt.is_some(), suite.is_xpn());
        }
        for long in [false, true] {
            let f = keys::read_cak_file(file(KeyKind::Cak { long }).path()).unwrap();
            assert_eq!(f.cak.octets().len(), if long { 32 } else { 16 });
            assert_eq!(f.ckn.octets().len(), 32);
        }
    }
}
