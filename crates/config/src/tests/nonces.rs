//! One nonce must not be used twice with one key.

use super::*;
use wire::Sci;

const A: &str = "tx = { an = 0, sak_file = \"a.key\", ssci = 1 }";
const B: &str = "{ sci = \"0200000000020001\", an = 0, sak_file = \"b.key\", ssci = 2 },";
const C: &str = "tx = { an = 0, sak_file = \"c.key\" }";
const D: &str = "rx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]";

fn error(dir: &Dir, text: &str) -> String {
    only(dir.config(text)).to_string()
}

#[test]
fn one_sak_for_both_directions_needs_two_sscis() {
    let dir = Dir::new();
    let shared = edited(BASE, "sak_file = \"b.key\"", "sak_file = \"a.key\"");
    dir.config(&shared).unwrap();
    let error = error(&dir, &edited(&shared, "ssci = 2", "ssci = 1 "));
    assert!(error.contains(":26: link \"dc1-dc2\": static.rx[0].ssci: is that of tx"), "{error}");
    assert!(error.contains("same nonces; give each transmitter"), "{error}");
}

#[test]
fn one_ssci_for_two_peers_under_one_sak_is_refused() {
    let dir = Dir::new();
    let other = |key: &str, ssci: &str| {
        let more =
            format!("{B}\n{{ sci = \"0200000000050001\", an = 0, sak_file = \"{key}\", ssci = {ssci} }}");
        edited(BASE, B, &more)
    };
    dir.config(&other("b.key", "3")).unwrap();
    dir.config(&other("nosalt.key", "3")).unwrap_err();
    dir.config(&other("a.key", "2")).unwrap();
    let error = error(&dir, &other("b.key", "2"));
    assert!(
        error.contains(":27: link \"dc1-dc2\": static.rx[1].ssci: is that of rx[0] under the same SAK"),
        "{error}"
    );
}

#[test]
fn one_sak_under_two_ans_is_refused() {
    let dir = Dir::new();
    let two = "rx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }, { sci = \"0200000000040001\", an = 1, sak_file = \"d.key\" }]";
    let error = error(&dir, &edited(BASE, D, two));
    assert!(error.contains("static.rx[1].sak_file: has the SAK of rx[0] under another an"), "{error}");
}

#[test]
fn one_sak_for_both_directions_needs_two_scis() {
    let dir = Dir::new();
    let shared = edited(BASE, "sak_file = \"d.key\"", "sak_file = \"c.key\"");
    dir.config(&shared).unwrap();
    let own = edited(&shared, "0200000000040001", "0200000000030001 ").replace("0001 \"", "0001\"");
    let shown = error(&dir, &own);
    assert!(shown.contains("link \"second\": static.rx[0].sci: is that of tx under the same SAK"), "{shown}");
    assert!(shown.contains("write the SCI of the peer"), "{shown}");
    // Without a word on the SCI it takes the port's MAC address to know.
    let unknown = own.replace("sci = \"0200000000030001\"\ncipher", "cipher");
    let config = dir.config(&unknown).unwrap();
    let sci = |text: &str| text.parse::<Sci>().unwrap();
    config.check_nonces(&[sci("0200000000010001"), sci("0200000000060001")]).unwrap();
    let shown = only(config.check_nonces(&[sci("0200000000010001"), sci("0200000000030001")])).to_string();
    assert!(shown.contains("gateway.toml: link \"second\": static.rx[0].sci: is that of tx"), "{shown}");
}

#[test]
fn two_links_do_not_transmit_with_the_same_nonces() {
    let dir = Dir::new();
    let xpn = edited(BASE, "cipher_suite = \"gcm-aes-128\"\n", "");
    let xpn =
        edited(&xpn, D, "rx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"b.key\", ssci = 2 }]");
    dir.config(&edited(&xpn, C, "tx = { an = 0, sak_file = \"a.key\", ssci = 3 }")).unwrap();
    let shown = error(&dir, &edited(&xpn, C, "tx = { an = 1, sak_file = \"a.key\", ssci = 1, next_pn = 9 }"));
    assert!(
        shown.contains(
            "link \"second\": static.tx.sak_file: transmits with the SAK and the ssci of link \"dc1-dc2\""
        ),
        "{shown}"
    );
    assert!(shown.contains("each nonce twice; give each SA a SAK of its own"), "{shown}");

    // Another salt does not help where ssci and salt cancel out.
    let sak = format!("sak = \"{}\"\n", "a".repeat(64));
    dir.key("shifted.key", &format!("{sak}salt = \"e630e81b48de86a21c66fa6d\"\n"));
    let shown = error(&dir, &edited(&xpn, C, "tx = { an = 0, sak_file = \"shifted.key\", ssci = 0 }"));
    assert!(shown.contains("would use each nonce twice"), "{shown}");

    // 32-bit packet numbers: the SCI tells them apart.
    let narrow = edited(BASE, "policy = \"must-secure\"", "cipher_suite = \"gcm-aes-128\"");
    let narrow = edited(&narrow, A, "tx = { an = 1, sak_file = \"c.key\" }");
    let narrow = edited(&narrow, B, "{ sci = \"0200000000020001\", an = 0, sak_file = \"d.key\" }");
    dir.config(&narrow).unwrap();
    let shown = error(&dir, &edited(&narrow, "sci = \"0200000000030001\"", "sci = \"0200000000010001\" "));
    assert!(shown.contains("transmits with the SAK and the SCI of link \"dc1-dc2\""), "{shown}");
}
