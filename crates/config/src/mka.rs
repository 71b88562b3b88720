//! `[link.mka]`: keys by key agreement.

use crate::document::{like_a_key, readable};
use crate::fields::Fields;
use crate::value::Value;
use keys::{Cak, CakSource, Ckn, KeyFileError};
use std::path::Path;
use std::time::Duration;
use wire::CipherSuite;

/// What a link's KaY is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mka {
    /// What the stations of the link share.
    pub cak: Cak,
    /// The name of that.
    pub ckn: Ckn,
    /// Key server priority: the lowest is elected (802.1X clause 9.5).
    pub priority: u8,
    /// How long a SAK is in use that this side hands out; `None` until packet numbers run out.
    pub rekey_period: Option<Duration>,
    /// Bounds how long a frame may be on its way (802.1X clause 9.10).
    pub delay_protect: bool,
    /// The MKA version that it begins with: 1 to 3.
    pub version: u8,
    /// Ends MKPDUs with an ICV Indicator, which some peers cannot read.
    pub icv_indicator: bool,
}

/// In seconds. Handing a SAK out may take six, and the SA before stays for three more.
const LEAST_REKEY_PERIOD: u64 = 10;
/// In seconds: a month.
const GREATEST_REKEY_PERIOD: u64 = 30 * 24 * 3600;

const FILE_EXAMPLE: &str = "cak_file = \"dc1-dc2.key\"";

/// Reads `[link.mka]` of a link of this suite and, where they are known, with this replay protection.
pub(crate) fn read(
    value: &Value<'_>,
    suite: Option<CipherSuite>,
    replay_protect: Option<bool>,
    dir: &Path,
) -> Option<Mka> {
    let mut fields = value.fields("[link.mka] as the header of a table")?;
    let key = cak(&mut fields, dir);
    let priority = fields.or("priority", 16, |v| v.whole(0..=255, "priority = 16"));
    let rekey_period = fields.optional("rekey_period", |v| {
        v.whole(LEAST_REKEY_PERIOD..=GREATEST_REKEY_PERIOD, "rekey_period = 3600, in seconds")
    });
    let delay_protect = fields.or("delay_protect", false, |v| v.boolean("delay_protect = true"));
    let version = fields.or("version", 3, |v| v.whole(1..=3, "version = 3"));
    let icv_indicator = fields.or("icv_indicator", false, |v| v.boolean("icv_indicator = true"));
    let unbounded = delay_protect == Some(true)
        && version.is_some_and(|version| version < 3)
        && suite.is_some_and(CipherSuite::is_xpn);
    if unbounded {
        let what = "bounds nothing: with this version, high halves of packet numbers, which XPN suites have, are not said";
        fields.fail("delay_protect", what, "write version = 3, or delay_protect = false");
    }
    // What is too old is told by its packet number, which nobody looks at then.
    let unheeded = delay_protect == Some(true) && replay_protect == Some(false);
    if unheeded {
        let what = "bounds nothing: with replay_protect = false, frames are taken however late they are";
        fields.fail("delay_protect", what, "write replay_protect = true, or delay_protect = false");
    }
    fields.finish();
    let (cak, ckn) = key.filter(|_| !unbounded && !unheeded)?;
    Some(Mka {
        cak,
        ckn,
        priority: priority? as u8,
        rekey_period: rekey_period?.map(Duration::from_secs),
        delay_protect: delay_protect?,
        version: version? as u8,
        icv_indicator: icv_indicator?,
    })
}

fn cak(fields: &mut Fields<'_>, dir: &Path) -> Option<(Cak, Ckn)> {
    let remedy = format!("run  macsec-gw keygen > dc1-dc2.key  under umask 077, and write {FILE_EXAMPLE}");
    fields.refuse("cak", "does not stand in the configuration, which others may read", &remedy);
    fields.refuse("ckn", "stands beside the cak, in the key file", &remedy);
    let sources = ["cak_file", "cak_env", "cak_credential"];
    let given: Vec<_> = sources.into_iter().filter(|key| fields.has(key)).collect();
    // All of them are known, whichever is used.
    let values = sources.map(|key| fields.get(key));
    let [key] = given[..] else {
        let what = match given[..] {
            [] => "is missing, and no other source of the CAK is named",
            _ => "is not the only source of the CAK",
        };
        let remedy =
            format!("write one of: {FILE_EXAMPLE}, cak_env = \"DC1_KEY\", cak_credential = \"dc1-dc2\"");
        fields.fail(given.first().copied().unwrap_or("cak_file"), what, remedy);
        return None;
    };
    let value = values.into_iter().flatten().next()?;
    let name = value.text(FILE_EXAMPLE)?;
    if like_a_key(name) && !name.contains('/') {
        return value.fail("looks like a key, not like the name of its place", remedy);
    }
    let source = match key {
        "cak_file" if name.is_empty() || name.contains('\0') => {
            return value.wrong("the name of a file", FILE_EXAMPLE);
        }
        "cak_file" => CakSource::File(dir.join(name)),
        "cak_env" => CakSource::Env(name.to_owned()),
        _ => CakSource::Credential(name.to_owned()),
    };
    match source.read() {
        Ok(file) => Some((file.cak, file.ckn)),
        Err(e @ (KeyFileError::Io { .. } | KeyFileError::NotAFile { .. })) => {
            value.fail(e.to_string(), readable(&e, "name a file that  macsec-gw keygen  has written"))
        }
        Err(e) => {
            let text = e.to_string();
            let hex =
                "write 32 or 64 hex digits for the cak, and 2 to 64 for the ckn, or run  macsec-gw keygen";
            let (what, remedy) = text.rsplit_once("; ").unwrap_or((&text, hex));
            value.fail(what, remedy)
        }
    }
}
