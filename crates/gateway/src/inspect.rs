//! `macsec-gw inspect`: MKPDUs and SecTAGs of a capture, field by field.

mod json;

use crate::association::{Association, Heard, Icv, NoSak};
use crate::capture::load_keys;
use crate::verify::{UsedSak, Verdict, Verifier};
use anyhow::Result;
use datapath::pcap::{CaptureReader, Captured};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;
use wire::{
    Eapol, EapolType, EtherType, Ethernet, L2Header, MAX_VLAN_TAGS, Malformed, MemberId, Mkpdu, SecTag,
    SecTagRepr,
};

/// A frame, as far as it could be read.
struct Inspected<'a> {
    number: u64,
    frame: &'a Captured,
    content: Content<'a>,
}

/// What is in a frame.
enum Content<'a> {
    Mkpdu {
        mkpdu: Mkpdu<'a>,
        /// With a CAK only.
        heard: Option<HeardSak>,
    },
    Macsec {
        tag: SecTagRepr,
        /// Why it is malformed although the SecTAG is not.
        short: Option<Malformed>,
        /// With keys only.
        verdict: Option<Verdict>,
    },
    /// In one line.
    Other { kind: String, malformed: Option<String> },
}

/// What an MKPDU says, and who of those that have its SAK has which SSCI.
struct HeardSak {
    heard: Heard,
    members: Vec<Member>,
}

struct Member {
    mi: MemberId,
    sci: Option<wire::Sci>,
    /// Several where it is not certain which; none without XPN.
    sscis: Vec<wire::Ssci>,
}

/// Writes what is in each frame of `input` to `out`: in words, or an object a line.
///
/// # Errors
/// [`BadUsage`](crate::BadUsage) for bad KEYS; anything else for the capture, after the frames before the damage, and
/// for `out`.
pub fn inspect(input: &Path, keys: Option<&Path>, json: bool, out: &mut dyn Write) -> Result<()> {
    let keys = keys.map(load_keys).transpose()?;
    let mut reader = CaptureReader::open(input)?;
    let mut verifier = keys.map(|keys| Verifier::new(&keys, input)).transpose()?;
    let mut start = None;
    let mut number = 0;
    let mut frames = || -> Result<()> {
        while let Some(frame) = reader.next_frame()? {
            number += 1;
            let start = *start.get_or_insert(frame.time);
            let content = read(number, &frame.octets, verifier.as_mut());
            let inspected = Inspected { number, frame: &frame, content };
            if json {
                writeln!(out, "{}", json::frame(&inspected))?;
            } else {
                out.write_all(inspected.words(start).as_bytes())?;
            }
        }
        Ok(())
    };
    let ended = frames();
    let flushed = out.flush();
    ended?;
    Ok(flushed?)
}

fn read<'a>(number: u64, octets: &'a [u8], verifier: Option<&mut Verifier>) -> Content<'a> {
    let other = |kind: &str, malformed: Option<String>| Content::Other { kind: kind.to_owned(), malformed };
    let Some(header) = L2Header::parse(octets, MAX_VLAN_TAGS) else {
        return other("frame", Some("it ends within its addresses or VLAN tags".into()));
    };
    let payload = &octets[header.len..];
    match header.ethertype {
        EtherType::MACSEC => {
            let tag = match SecTag::new_checked(payload) {
                Ok(tag) => tag,
                Err(e) => return other("MACsec", Some(e.to_string())),
            };
            let short = tag.short_length().user_data_len(payload.len() - tag.len()).err();
            let verdict = verifier.map(|v| v.judge(number, octets));
            Content::Macsec { tag: SecTagRepr::parse(&tag), short, verdict }
        }
        EtherType::EAPOL => match (Eapol::new_checked(&payload[2..]), Mkpdu::new_checked(octets)) {
            (_, Ok(mkpdu)) => Content::Mkpdu { mkpdu, heard: verifier.and_then(|v| hear(v, &mkpdu)) },
            (Ok(eapol), Err(e)) if eapol.packet_type() == EapolType::Mka => {
                other("EAPOL-MKA", Some(e.to_string()))
            }
            (Ok(eapol), Err(_)) => other(&eapol.packet_type().to_string(), None),
            (Err(e), Err(_)) => other("EAPOL", Some(e.to_string())),
        },
        ethertype => other(&format!("ethertype {:04x}", ethertype.0), None),
    }
}

fn hear(verifier: &Verifier, mkpdu: &Mkpdu<'_>) -> Option<HeardSak> {
    let (keys, association) = verifier.mka()?;
    let heard = keys.hear(mkpdu);
    let members = match &heard.sak {
        Some(Ok(distribution)) => distribution.members().map(|mi| member(association, &heard, mi)).collect(),
        _ => Vec::new(),
    };
    Some(HeardSak { heard, members })
}

fn member(association: &Association, heard: &Heard, mi: MemberId) -> Member {
    let sci = association.sci(mi);
    let sscis = match (&heard.sak, sci) {
        (Some(Ok(sak)), Some(sci)) if sak.suite.is_xpn() => association.sscis(sak, sci),
        _ => Vec::new(),
    };
    Member { mi, sci, sscis }
}

impl Icv {
    /// As `inspect` says it.
    fn words(self) -> &'static str {
        match self {
            Icv::Right => "right",
            Icv::Wrong => "wrong: another CAK, or changed on the way",
            Icv::OtherCak => "not checked: the CKN names another CAK",
        }
    }
}

impl Inspected<'_> {
    /// A line, and below it the fields of what MACsec has to do with.
    fn words(&self, start: Duration) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, start);
        text
    }

    fn write(&self, f: &mut String, start: Duration) -> std::fmt::Result {
        let Captured { time, octets } = self.frame;
        // A clock that was set back makes times before the first frame's.
        let (sign, since) = match time.checked_sub(start) {
            Some(since) => ("", since),
            None => ("-", start - *time),
        };
        write!(f, "frame {}, {sign}{:.6} s", self.number, since.as_secs_f64())?;
        if let Some(ethernet) = Ethernet::new_checked(octets) {
            write!(f, ", {} to {}", ethernet.src(), ethernet.dst())?;
        }
        write!(f, ", {} octets: ", octets.len())?;
        match &self.content {
            Content::Mkpdu { mkpdu, heard } => {
                write!(f, "{}", mkpdu.describe())?;
                heard.iter().try_for_each(|heard| heard.write(f))
            }
            Content::Macsec { tag, short, verdict } => {
                writeln!(f, "MACsec")?;
                write_tag(f, tag)?;
                short.iter().try_for_each(|why| writeln!(f, "  malformed: {why}"))?;
                verdict.iter().try_for_each(|verdict| verdict.write(f))
            }
            Content::Other { kind, malformed: None } => writeln!(f, "{kind}"),
            Content::Other { kind, malformed: Some(why) } => writeln!(f, "{kind}, malformed: {why}"),
        }
    }
}

fn write_tag(f: &mut String, tag: &SecTagRepr) -> std::fmt::Result {
    let tci = tag.tci;
    let bit = u8::from;
    writeln!(f, "  SecTAG")?;
    writeln!(
        f,
        "    TCI: V 0, ES {}, SC {}, SCB {}, E {}, C {}",
        bit(tci.end_station()),
        bit(tci.has_sci()),
        bit(tci.single_copy_broadcast()),
        bit(tci.encrypted()),
        bit(tci.changed())
    )?;
    writeln!(f, "    AN: {}", tag.an)?;
    writeln!(f, "    SL: {}", tag.short_length.as_u8())?;
    writeln!(f, "    PN: {}", tag.pn)?;
    tag.sci.iter().try_for_each(|sci| writeln!(f, "    SCI: {sci}"))
}

impl HeardSak {
    fn write(&self, f: &mut String) -> std::fmt::Result {
        writeln!(f, "  ICV verdict: {}", self.heard.icv.words())?;
        match &self.heard.sak {
            None => Ok(()),
            Some(Err(e @ NoSak::PlainText)) => writeln!(f, "  SAK: {e}"),
            Some(Err(e)) => writeln!(f, "  SAK: not unwrapped: {e}"),
            Some(Ok(sak)) => {
                writeln!(f, "  SAK: unwrapped, KN {}, AN {}, {}", sak.kn, sak.an, sak.suite)?;
                sak.salt().iter().try_for_each(|salt| writeln!(f, "    salt: {salt}"))?;
                self.members.iter().try_for_each(|m| {
                    let sci = m.sci.map_or("SCI unknown".into(), |sci| format!("SCI {sci}"));
                    let sscis: Vec<_> = m.sscis.iter().map(|ssci| ssci.0.to_string()).collect();
                    let ssci = if sscis.is_empty() {
                        String::new()
                    } else {
                        format!(", SSCI {}", sscis.join(" or "))
                    };
                    writeln!(f, "    member: MI {}, {sci}{ssci}", m.mi)
                })
            }
        }
    }
}

impl Verdict {
    fn write(&self, f: &mut String) -> std::fmt::Result {
        write!(f, "  verdict: {}", self.counter)?;
        if let Some(UsedSak { distribution, ssci }) = self.sak.as_deref() {
            write!(f, " under KN {} of key server MI {}", distribution.kn, distribution.key_server)?;
            ssci.iter().try_for_each(|ssci| write!(f, ", SSCI {}", ssci.0))?;
        }
        writeln!(f)
    }
}

/// Whether writing failed because nobody reads any more, as when `head` has seen enough.
pub(crate) fn nobody_reads(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
