//! The story of a link in words that an operator understands. Never a key.

use mka::{Event, Ignored, Refused, Server};
use std::time::{Duration, Instant};
use wire::{Mkpdu, Sci};

/// What repeats is said again after so long.
const AGAIN: Duration = Duration::from_secs(60);
/// Complaints within that time, at most. More come only from somebody who makes addresses up.
const MAX_COMPLAINTS: usize = 16;
/// A link that hears nobody for so long is worth a line.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);

/// Tells what happens to one link.
#[derive(Debug)]
pub(crate) struct Story {
    link: String,
    /// The last thing that went wrong, and when.
    pub(crate) last_error: Option<(String, Instant)>,
    complaints: Vec<(Ignored, Option<Sci>, Instant)>,
}

impl Story {
    pub(crate) fn new(link: &str) -> Self {
        Story { link: link.to_owned(), last_error: None, complaints: Vec::new() }
    }

    /// Something is wrong, and somebody should know.
    pub(crate) fn error(&mut self, now: Instant, text: String) {
        tracing::error!(link = self.link, "{text}");
        self.last_error = Some((text, now));
    }

    /// Something is not as it should be, and may mend itself.
    pub(crate) fn warning(&mut self, now: Instant, text: String) {
        tracing::warn!(link = self.link, "{text}");
        self.last_error = Some((text, now));
    }

    pub(crate) fn tell(&mut self, now: Instant, event: &Event) {
        let link = self.link.as_str();
        match event {
            Event::PeerSeen { sci, .. } => {
                tracing::debug!(link, %sci, "a station is heard, and has yet to hear this one");
            }
            Event::PeerLive { sci, mi } => tracing::info!(link, %sci, %mi, "a station is live"),
            Event::PeerLost { sci, .. } => {
                self.warning(now, format!("station {sci} has not been heard of for its life time"));
            }
            Event::PeerRestarted { sci } => tracing::info!(link, %sci, "a station started anew"),
            Event::KeyServer(Some(Server::Me)) => tracing::info!(link, "this side is the key server"),
            Event::KeyServer(Some(Server::Peer { sci, .. })) => {
                tracing::info!(link, %sci, "another station is the key server")
            }
            Event::KeyServer(None) => tracing::info!(link, "there is no key server any more"),
            Event::SakMade { key, an, reason } => {
                tracing::info!(link, kn = key.kn, an = an.as_u8(), "a new SAK: {reason}");
            }
            Event::SakReceived { key, an } => {
                tracing::info!(link, kn = key.kn, an = an.as_u8(), "a new SAK from the key server");
            }
            // The station has only not been heard yet: the SAK comes again.
            Event::SakRefused(refused @ Refused::UnknownStation) => {
                tracing::info!(link, "a SAK is not taken yet: {refused}");
            }
            Event::SakRefused(refused @ Refused::TooManyStations) => {
                self.error(now, format!("no SAK is made: {refused}; other suites have no such limit"));
            }
            Event::SakRefused(refused) => self.error(now, format!("a SAK was refused: {refused}")),
            Event::LeftOut { sci, leave } => {
                let leave = leave.as_secs();
                self.warning(
                    now,
                    format!(
                        "the key server {sci} has given no SAK to this side, or not the one that it uses; this side \
                         keeps silent for {leave} s now and comes back as a new station"
                    ),
                );
            }
            Event::Receiving(key) => tracing::debug!(link, kn = key.kn, "receives under the new SAK"),
            Event::Transmitting { key, delayed: false } => {
                tracing::info!(link, kn = key.kn, "transmits under the new SAK");
            }
            Event::Transmitting { key, delayed: true } => {
                let kn = key.kn;
                let text = "not every station has said that it receives under it";
                self.warning(now, format!("transmits under SAK {kn} now, although {text}"));
            }
            Event::Retired(key) => tracing::debug!(link, kn = key.kn, "the SAK before is gone"),
            Event::Disconnected => {
                self.warning(now, "no station is left: nothing is sent until one comes back".to_owned());
            }
            Event::NewMemberIdentifier(mi) => tracing::info!(link, %mi, "a new member identifier"),
        }
    }

    /// A frame was ignored. Most of what is, is nobody's business.
    pub(crate) fn complain(&mut self, now: Instant, why: Ignored, frame: &[u8]) {
        let pdu = Mkpdu::new_checked(frame).ok();
        let sci = pdu.as_ref().map(|pdu| pdu.basic().sci);
        let station = sci.map_or_else(|| "a station".to_owned(), |sci| format!("station {sci}"));
        let text = match why {
            Ignored::OtherCkn => {
                let ckn = pdu.map_or_else(String::new, |pdu| pdu.basic().ckn.to_string());
                format!("{station} uses another CKN, {ckn}: is the key file right, here and there?")
            }
            Ignored::Icv => format!(
                "{station} has this link's CKN, but its MKPDUs have a wrong ICV: is the CAK right, here and there?"
            ),
            Ignored::Agility => format!("{station} uses algorithms that are not known here"),
            Ignored::TooMany => "there are too many stations on this link".to_owned(),
            Ignored::Malformed => "a malformed MKPDU came".to_owned(),
            Ignored::SameSci => {
                format!("another {station} has this side's SCI: give each its own, with `sci` in [[link]]")
            }
            Ignored::Own | Ignored::Stale => return,
        };
        // Whoever is on the line can make senders up, without end and without a key.
        self.complaints.retain(|(.., said)| now.saturating_duration_since(*said) < AGAIN);
        let known = self.complaints.iter().any(|(w, s, _)| (*w, *s) == (why, sci));
        if !known && self.complaints.len() < MAX_COMPLAINTS {
            self.complaints.push((why, sci, now));
            self.warning(now, text);
        }
    }
}
