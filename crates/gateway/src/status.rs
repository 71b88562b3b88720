//! `macsec-gw status` and `macsec-gw rekey`: what a running gateway says of its links.

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use control::{Ask, LinkStatus, SocketError};
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How often `--watch` asks.
const WATCH: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows all links, once or, with `watch`, again and again.
///
/// # Errors
/// When no gateway answers.
pub fn status(socket: &Path, json: bool, watch: bool) -> Result<()> {
    let mut before: Option<(Instant, Vec<LinkStatus>)> = None;
    let in_place = watch && !json && io::stdout().is_terminal();
    loop {
        let links: Result<Vec<LinkStatus>, _> = match control::ask(socket, &Ask::Status) {
            Err(e) if !watch => return Err(e.into()),
            // It may be about to start, or to start again.
            links => links,
        };
        let now = Instant::now();
        let text = match &links {
            Ok(links) if json => Ok(links
                .iter()
                .map(|link| serde_json::to_string(link).map(|l| l + "\n"))
                .collect::<Result<_, _>>()?),
            Ok(links) => {
                let since = before.as_ref().map(|(at, links)| (now.duration_since(*at), links.as_slice()));
                Ok(show(links, since))
            }
            Err(e) => Err(format!("macsec-gw: {e}\n")),
        };
        match put(&mut io::stdout().lock(), &mut io::stderr().lock(), &text, in_place) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        if !watch {
            return Ok(());
        }
        before = links.ok().map(|links| (now, links));
        thread::sleep(WATCH);
    }
}

/// Writes the status, or why there is none. In place of what was there, either: a status of before is no status.
fn put(
    out: &mut impl Write,
    errors: &mut impl Write,
    text: &Result<String, String>,
    in_place: bool,
) -> io::Result<()> {
    match text {
        Ok(text) | Err(text) if in_place => write!(out, "{CLEAR}{text}")?,
        Ok(text) => out.write_all(text.as_bytes())?,
        Err(text) => errors.write_all(text.as_bytes())?,
    }
    out.flush()
}

/// Asks for new SAKs, and says which links make one.
///
/// # Errors
/// When no gateway answers, or the link that was named makes none.
pub fn rekey(socket: &Path, link: Option<String>) -> Result<()> {
    let made: Vec<String> = control::ask(socket, &Ask::Rekey { link })?;
    if made.is_empty() {
        let text = "no link makes a new SAK: this side is the key server of none";
        return Err(SocketError::Refused(text.to_owned()).into());
    }
    for link in made {
        writeln!(io::stdout(), "link {link:?}: a new SAK is on its way")?;
    }
    Ok(())
}

/// All links for people. With what was seen some time ago, also how fast they are.
fn show(links: &[LinkStatus], before: Option<(Duration, &[LinkStatus])>) -> String {
    let mut text = String::new();
    for link in links {
        let earlier =
            before.and_then(|(time, links)| Some((time, links.iter().find(|l| l.link == link.link)?)));
        // Writing to a String cannot fail.
        let _ = show_link(&mut text, link, earlier);
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn show_link(
    text: &mut String,
    link: &LinkStatus,
    before: Option<(Duration, &LinkStatus)>,
) -> std::fmt::Result {
    let state = if link.secured { "secured" } else { "NOT secured" };
    writeln!(text, "link {:?}: {state}", link.link)?;
    let mut facts = table();
    let mut fact = |name: &str, value: String| {
        facts.add_row([name.to_owned(), value]);
    };
    fact("this side", link.sci.clone());
    match link.keys.as_str() {
        "mka" => {
            let server = match &link.key_server {
                Some(_) if link.is_key_server => "this side".to_owned(),
                Some(sci) => sci.clone(),
                None => "none: no other station is live".to_owned(),
            };
            fact("key server", server);
            fact("CKN", link.ckn.clone().unwrap_or_default());
            let (mi, mn) = (link.mi.clone().unwrap_or_default(), link.mn.unwrap_or(0));
            fact("MI, MN", format!("{mi}, {mn}"));
            fact("SAKs used", link.rekeys.to_string());
        }
        keys => fact("keys", keys.to_owned()),
    }
    let rate = |now: u64, then: fn(&LinkStatus) -> u64| match before {
        Some((time, before)) if !time.is_zero() => {
            let rate = now.saturating_sub(then(before)) as f64 / time.as_secs_f64();
            format!(", {rate:.0} a second")
        }
        _ => String::new(),
    };
    let (out, back) = (link.frames_out, link.frames_in);
    fact("frames out", format!("{out}{}; {} dropped", rate(out, |l| l.frames_out), link.dropped_out));
    fact("frames in", format!("{back}{}; {} dropped", rate(back, |l| l.frames_in), link.dropped_in));
    if let Some(error) = &link.last_error {
        fact("last error", format!("{} s ago: {}", error.age_s, error.text));
    }
    writeln!(text, "{facts}")?;
    if !link.peers.is_empty() {
        let mut peers = table();
        peers.set_header(["station", "", "MI", "MN", "priority", "MKA", "heard"]);
        for peer in &link.peers {
            peers.add_row([
                peer.sci.clone(),
                match (peer.live, peer.receives) {
                    (true, true) => "receives",
                    (true, false) => "live",
                    (false, _) => "does not hear",
                }
                .to_owned(),
                peer.mi.clone(),
                peer.mn.to_string(),
                peer.priority.to_string(),
                format!("v{}", peer.version),
                format!("{:.1} s ago", peer.age_ms as f64 / 1000.0),
            ]);
        }
        align(&mut peers, 3);
        writeln!(text, "{peers}")?;
    }
    if !(link.tx_sas.is_empty() && link.rx_sas.is_empty()) {
        let mut sas = table();
        sas.set_header(["SA", "AN", "next PN", "SAK", ""]);
        let sak = |mi: &Option<String>, kn: Option<u32>| match (mi, kn) {
            (Some(mi), Some(kn)) => format!("{mi}/{kn}"),
            _ => "by hand".to_owned(),
        };
        for sa in &link.tx_sas {
            sas.add_row([
                "transmit".to_owned(),
                sa.an.to_string(),
                sa.next_pn.to_string(),
                sak(&sa.key_server_mi, sa.kn),
                if sa.in_use { "in use" } else { "" }.to_owned(),
            ]);
        }
        for sa in &link.rx_sas {
            let sak = sak(&sa.key_server_mi, sa.kn);
            sas.add_row([sa.sci.clone(), sa.an.to_string(), sa.next_pn.to_string(), sak, String::new()]);
        }
        align(&mut sas, 2);
        writeln!(text, "{sas}")?;
    }
    writeln!(text)
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
}

fn align(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::{PeerStatus, RxSaStatus, Said, TxSaStatus};

    fn link() -> LinkStatus {
        let mi = "0102030405060708090a0b0c".to_owned();
        LinkStatus {
            link: "dc1-dc2".to_owned(),
            keys: "mka".to_owned(),
            sci: "0200000000010001".to_owned(),
            secured: true,
            key_server: Some("0200000000010001".to_owned()),
            is_key_server: true,
            ckn: Some("0102".to_owned()),
            mi: Some(mi.clone()),
            mn: Some(7),
            peers: vec![PeerStatus {
                sci: "0200000000020001".to_owned(),
                mi: mi.clone(),
                mn: 9,
                live: true,
                receives: true,
                priority: 16,
                version: 3,
                age_ms: 1234,
            }],
            tx_sas: vec![TxSaStatus {
                an: 1,
                kn: Some(3),
                key_server_mi: Some(mi.clone()),
                cipher_suite: "gcm-aes-xpn-256".to_owned(),
                next_pn: 1000,
                in_use: true,
            }],
            rx_sas: vec![RxSaStatus {
                sci: "0200000000020001".to_owned(),
                an: 1,
                kn: Some(3),
                key_server_mi: Some(mi),
                next_pn: 501,
            }],
            rekeys: 3,
            last_error: Some(Said { text: "a bad thing".to_owned(), age_s: 60 }),
            frames_out: 999,
            frames_in: 500,
            dropped_out: 1,
            dropped_in: 2,
        }
    }

    #[test]
    fn an_error_takes_the_place_of_the_status() {
        let put = |text: Result<&str, &str>, in_place| {
            let (mut out, mut errors) = (Vec::new(), Vec::new());
            let text = text.map(str::to_owned).map_err(str::to_owned);
            super::put(&mut out, &mut errors, &text, in_place).unwrap();
            [out, errors].map(|octets| String::from_utf8(octets).unwrap())
        };
        let cleared = |text: &str| [format!("{CLEAR}{text}"), String::new()];
        assert_eq!(put(Ok("up"), true), cleared("up"));
        assert_eq!(put(Err("gone"), true), cleared("gone"));
        // Nobody else is shown an error between statuses.
        assert_eq!(put(Ok("up"), false), ["up", ""]);
        assert_eq!(put(Err("gone"), false), ["", "gone"]);
    }

    #[test]
    fn everything_that_matters_is_shown() {
        let text = show(&[link()], None);
        for part in [
            "link \"dc1-dc2\": secured",
            "key server  this side",
            "999; 1 dropped",
            "500; 2 dropped",
            "v3",
            "60 s ago: a bad thing",
            "1.2 s ago",
            "0102030405060708090a0b0c/3",
            "in use",
            "1000",
            "receives",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(text.lines().all(|line| line.len() < 100), "{text}");
        let before = LinkStatus { frames_out: 499, frames_in: 500, ..link() };
        let text = show(&[link()], Some((Duration::from_millis(500), &[before])));
        assert!(text.contains("999, 1000 a second") && text.contains("500, 0 a second"), "{text}");
        let alone = LinkStatus { secured: false, key_server: None, peers: Vec::new(), ..link() };
        let text = show(&[alone], None);
        assert!(text.contains("NOT secured") && text.contains("no other station is live"), "{text}");
    }
}
