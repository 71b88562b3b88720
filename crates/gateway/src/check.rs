//! `macsec-gw check`.

use crate::BadUsage;
use anyhow::Result;
use config::ValidateFrames;
use std::fmt::Write;
use std::path::Path;

/// What a link takes from its line that is not authentic.
pub(crate) fn accepted(validate_frames: ValidateFrames) -> Option<&'static str> {
    match validate_frames {
        ValidateFrames::Strict => None,
        ValidateFrames::Check => {
            Some("frames without MACsec, and what is not authentic but readable, are DELIVERED as well")
        }
        ValidateFrames::Disabled => Some("frames are DELIVERED UNVERIFIED"),
    }
}

/// Reads a configuration and its key files and says what they amount to.
///
/// # Errors
/// [`BadUsage`] with everything that is wrong.
pub fn check(file: &Path) -> Result<String> {
    let config = config::Config::load(file).map_err(|e| BadUsage(e.to_string()))?;
    let mut text = format!("{}: good\n", file.display());
    for link in &config.links {
        let [plain, line] = [&config.ports[link.plain], &config.ports[link.line]];
        let protection = match (link.protect_frames, link.encrypt) {
            (false, _) => "NOT protected".to_owned(),
            (true, true) => format!("encrypted with {}", link.cipher_suite),
            (true, false) => format!("integrity only with {}", link.cipher_suite),
        };
        let cores = match (link.protect_core, link.verify_core) {
            (a, b) if a == b => format!("core {a}"),
            (a, b) => format!("cores {a} and {b}"),
        };
        let others = accepted(link.validate_frames);
        let others = others.unwrap_or("nothing else passes");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "link {:?}: {:?} ({}) to {:?} ({}), {protection}, {others}, on {cores}",
            link.name, plain.name, plain.device, line.name, line.device
        );
        if let Some(mka) = &link.mka {
            let bits = mka.cak.octets().len() * 8;
            let _ = writeln!(
                text,
                "  keys by MKA, with a CAK of {bits} bits, CKN {}, priority {}",
                mka.ckn, mka.priority
            );
            if bits / 8 < link.cipher_suite.sak_len() {
                let _ = writeln!(
                    text,
                    "  no stronger than that CAK, whatever the cipher suite; `macsec-gw keygen` makes 256 bits"
                );
            }
        }
        if link.clear_vlan_tags > 0 {
            let _ = writeln!(
                text,
                "  up to {} VLAN tags before the SecTAG are not authenticated: the line can change, add and remove them",
                link.clear_vlan_tags
            );
        }
    }
    Ok(text)
}
