//! `[link.static]`: keys by hand, each SAK in a file of its own.

use crate::document::{like_a_key, readable};
use crate::fields::Fields;
use crate::value::Value;
use keys::{KeyFileError, Sak, Salt};
use std::path::Path;
use wire::{An, CipherSuite, Sci, Ssci};

/// What an XPN suite makes its nonces of, beside the packet number (802.1AE clause 14.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XpnParams {
    /// The SAK's salt.
    pub salt: Salt,
    /// Stands for the SCI of whoever transmits.
    pub ssci: Ssci,
}

/// Key of the transmit SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxKey {
    /// Its association number.
    pub an: An,
    /// Its key, as long as the suite asks for.
    pub sak: Sak,
    /// Present exactly with XPN suites.
    pub xpn: Option<XpnParams>,
    /// Packet number of the first frame: at least 1, within the suite's 32 or 64 bits.
    pub next_pn: u64,
}

/// Key of a receive SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RxKey {
    /// The peer's channel.
    pub sci: Sci,
    /// Its association number.
    pub an: An,
    /// Its key, as long as the suite asks for.
    pub sak: Sak,
    /// Present exactly with XPN suites.
    pub xpn: Option<XpnParams>,
    /// Lowest packet number that is acceptable at the start: at least 1, within the suite's 32 or 64 bits.
    pub next_pn: u64,
}

/// Keys of a link without key agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticKeys {
    /// The transmit SA.
    pub tx: TxKey,
    /// The receive SAs: at least one, no two with the same SCI and AN.
    pub rx: Vec<RxKey>,
}

/// Static keys and the lines they are on.
pub(crate) struct StaticRead {
    pub(crate) keys: StaticKeys,
    pub(crate) tx_at: Option<usize>,
    pub(crate) rx_at: Vec<Option<usize>>,
}

const TX_EXAMPLE: &str = "tx = { an = 0, sak_file = \"tx.key\" }";
const RX_EXAMPLE: &str = "rx = [{ sci = \"0200000000020001\", an = 0, sak_file = \"rx.key\" }]";

/// Reads `[link.static]`; `suite` is `None` when it was wrong.
pub(crate) fn read(value: &Value<'_>, suite: Option<CipherSuite>, dir: &Path) -> Option<StaticRead> {
    let mut fields = value.fields("[link.static] as the header of a table")?;
    let tx_value = fields.required("tx", TX_EXAMPLE);
    let tx_at = tx_value.as_ref().and_then(Value::at);
    let tx = tx_value.and_then(|v| {
        let mut fields = v.fields(TX_EXAMPLE)?;
        let numbers = SaNumbers::read(&mut fields, suite);
        let (sak, salt) = sak_file(&mut fields, suite, dir).unzip();
        fields.finish();
        let numbers = numbers?;
        Some(TxKey { an: numbers.an, sak: sak?, xpn: numbers.xpn(salt?), next_pn: numbers.next_pn })
    });
    let rx_list = fields.required("rx", RX_EXAMPLE).and_then(|v| {
        let items = v.list(RX_EXAMPLE)?;
        if items.is_empty() {
            return v.fail("is empty, so nothing could be received", format!("write {RX_EXAMPLE}"));
        }
        Some(items)
    });
    fields.finish();
    let mut rx = Vec::new();
    let mut rx_at = Vec::new();
    let mut seen = Vec::new();
    let mut fit = true;
    for item in rx_list? {
        match read_rx(&item, suite, dir, &mut seen) {
            Some(key) => {
                rx.push(key);
                rx_at.push(item.at());
            }
            None => fit = false,
        }
    }
    if !fit {
        return None;
    }
    Some(StaticRead { keys: StaticKeys { tx: tx?, rx }, tx_at, rx_at })
}

fn read_rx(
    item: &Value<'_>,
    suite: Option<CipherSuite>,
    dir: &Path,
    seen: &mut Vec<(Sci, An, String)>,
) -> Option<RxKey> {
    let mut fields = item.fields(RX_EXAMPLE)?;
    let sci = sci(&mut fields);
    let numbers = SaNumbers::read(&mut fields, suite);
    let (sak, salt) = sak_file(&mut fields, suite, dir).unzip();
    let unique = sci.zip(numbers.as_ref()).is_none_or(|(sci, n)| first(&fields, sci, n.an, seen));
    fields.finish();
    let numbers = numbers?;
    let xpn = numbers.xpn(salt?);
    let key = RxKey { sci: sci?, an: numbers.an, sak: sak?, xpn, next_pn: numbers.next_pn };
    unique.then_some(key)
}

/// Reads the `sci` of a receive SA.
pub(crate) fn sci(fields: &mut Fields<'_>) -> Option<Sci> {
    let example = "sci = \"0200000000020001\"";
    fields.required("sci", example)?.parsed(example)
}

/// Reports an SCI and AN that were there before.
pub(crate) fn first(fields: &Fields<'_>, sci: Sci, an: An, seen: &mut Vec<(Sci, An, String)>) -> bool {
    if let Some((_, _, path)) = seen.iter().find(|(s, a, _)| (*s, *a) == (sci, an)) {
        let what = format!("is also the an of {path}, which has the same sci");
        fields.fail("an", what, "number the SAs of a channel differently, 0 to 3");
        return false;
    }
    seen.push((sci, an, fields.path().to_owned()));
    true
}

/// `an`, `ssci` and `next_pn` of an SA.
pub(crate) struct SaNumbers {
    pub(crate) an: An,
    pub(crate) next_pn: u64,
    ssci: Option<Ssci>,
}

impl SaNumbers {
    pub(crate) fn read(fields: &mut Fields<'_>, suite: Option<CipherSuite>) -> Option<Self> {
        let an = fields.required("an", "an = 0").and_then(|v| v.whole(0..=3, "an = 0"));
        let an = an.and_then(|n| An::new(n as u8).ok());
        let xpn = suite.map(CipherSuite::is_xpn);
        let ssci = fields.optional("ssci", |v| v.whole_or_hex(0..=u32::MAX.into(), "ssci = 1"));
        let fit = match (ssci, xpn) {
            (Some(None), Some(true)) => {
                let what = "is missing; an XPN suite puts it in the nonce in place of the SCI";
                fields.fail("ssci", what, "write ssci = 1, and another number for each other transmitter");
                false
            }
            (Some(Some(_)), Some(false)) => {
                let what = "has a meaning with XPN suites only";
                fields.fail("ssci", what, "remove it, or write cipher_suite = \"gcm-aes-xpn-256\"");
                false
            }
            _ => true,
        };
        // One below the greatest, so that "one after the last" is a number too.
        let max = if xpn == Some(false) { u32::MAX.into() } else { u64::MAX - 1 };
        let next_pn = fields.or("next_pn", 1, |v| v.whole_or_hex(1..=max, "next_pn = 1"));
        let ssci = ssci?.map(|n| Ssci(n as u32));
        fit.then_some(SaNumbers { an: an?, next_pn: next_pn?, ssci })
    }

    /// What goes into nonces beside the packet number, with a salt that [`check_sak`] has seen.
    pub(crate) fn xpn(&self, salt: Option<Salt>) -> Option<XpnParams> {
        Some(XpnParams { salt: salt?, ssci: self.ssci? })
    }
}

/// What does not go together in a SAK, a salt and a suite: the problem and its remedy.
pub(crate) enum Misfit {
    Sak(String, String),
    Salt(String, String),
}

/// Checks length of the SAK and presence of the salt.
pub(crate) fn check_sak(sak: &Sak, has_salt: bool, suite: CipherSuite) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    let (found, needed) = (sak.octets().len(), suite.sak_len());
    if !sak.fits(suite) {
        let what = format!("the sak has {found} octets where {suite} needs {needed}");
        let other = match (found == 32, suite.is_xpn()) {
            (false, false) => CipherSuite::GcmAes128,
            (true, false) => CipherSuite::GcmAes256,
            (false, true) => CipherSuite::GcmAesXpn128,
            (true, true) => CipherSuite::GcmAesXpn256,
        };
        let remedy = format!("use a sak of {} hex digits, or write cipher_suite = \"{other}\"", needed * 2);
        misfits.push(Misfit::Sak(what, remedy));
    }
    if suite.is_xpn() && !has_salt {
        let what = format!("there is no salt, which {suite} needs");
        misfits.push(Misfit::Salt(what, "write salt = \"24 hex digits\" beside the sak".into()));
    }
    if !suite.is_xpn() && has_salt {
        let what = format!("there is a salt, which {suite} has no use for");
        let remedy = "remove the salt, or write cipher_suite = \"gcm-aes-xpn-256\"";
        misfits.push(Misfit::Salt(what, remedy.into()));
    }
    misfits
}

fn sak_file(fields: &mut Fields<'_>, suite: Option<CipherSuite>, dir: &Path) -> Option<(Sak, Option<Salt>)> {
    let example = "sak_file = \"tx.key\"";
    let remedy = format!("move the line into a file that only its owner can read, and write {example}");
    fields.refuse("sak", "does not stand in the configuration, which others may read", &remedy);
    fields.refuse("salt", "stands beside the sak, in the key file", &remedy);
    let value = fields.required("sak_file", example)?;
    let name = value.text(example)?;
    if like_a_key(name) && !name.contains('/') {
        let remedy =
            format!("write it as  sak = \"…\"  in a file that only its owner can read, and {example}");
        return value.fail("looks like a key, not like a file", remedy);
    }
    if name.is_empty() || name.contains('\0') {
        return value.wrong("the name of a file", example);
    }
    let path = dir.join(name);
    let content = match keys::read_sak_file(&path) {
        Ok(content) => content,
        Err(e @ (KeyFileError::Io { .. } | KeyFileError::NotAFile { .. })) => {
            let name_another = "name a file with  sak = \"32 or 64 hex digits\"  in it";
            return value.fail(e.to_string(), readable(&e, name_another));
        }
        Err(e) => {
            let text = e.to_string();
            let hex = "write 32 or 64 hex digits for the sak, and 24 for the salt of an XPN suite";
            let (what, remedy) = text.rsplit_once("; ").unwrap_or((&text, hex));
            return value.fail(what, remedy);
        }
    };
    let misfits = check_sak(&content.sak, content.salt.is_some(), suite?);
    for misfit in &misfits {
        let (Misfit::Sak(what, remedy) | Misfit::Salt(what, remedy)) = misfit;
        value.fail::<()>(format!("{}: {what}", path.display()), remedy);
    }
    misfits.is_empty().then_some((content.sak, content.salt))
}
