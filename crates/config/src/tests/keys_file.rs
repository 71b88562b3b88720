use super::*;
use crate::{MkaKeys, StaticSas, ValidateFrames};
use wire::{CipherSuite, Ssci};

fn sas(keys: KeysFile) -> StaticSas {
    let KeysFile::Static(sas) = keys else { panic!("{keys:?}") };
    *sas
}

fn mka(keys: KeysFile) -> MkaKeys {
    let KeysFile::Mka(keys) = keys else { panic!("{keys:?}") };
    keys
}

#[test]
fn a_keys_file_is_read() {
    let dir = Dir::new();
    let keys = sas(dir.keys(KEYS.as_bytes()).unwrap());
    assert_eq!(keys.cipher_suite, CipherSuite::GcmAesXpn128);
    assert_eq!((keys.replay_window, keys.validate_frames), (16, ValidateFrames::Strict));
    assert!(keys.encrypt && keys.send_sci && keys.replay_protect);
    let [first, second] = keys.sas.as_slice() else { panic!() };
    assert_eq!((first.next_pn, first.xpn.unwrap().ssci), (0xffff_fff0, Ssci(1)));
    assert_eq!((second.next_pn, second.xpn.unwrap().ssci), (1, Ssci(0x7a30_c118)));
    assert_eq!((first.sci.to_string().as_str(), second.an.as_u8()), ("0200000000020001", 1));
    assert!(!format!("{keys:?}").contains("c0ffee"));
}

#[test]
fn it_is_known_who_else_can_read_it() {
    let dir = Dir::new();
    dir.keys(KEYS.as_bytes()).unwrap();
    for (mode, exposed) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        fs::set_permissions(dir.path("keys.toml"), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(KeysFile::load(&dir.path("keys.toml")).unwrap().exposed(), exposed, "{mode:o}");
    }
}

#[test]
fn a_cak_and_its_name_are_read() {
    let dir = private();
    let keys = mka(dir.keys(MKA.as_bytes()).unwrap());
    assert_eq!((keys.cak.octets().len(), keys.ckn.octets()), (16, &[0x0b, 0xad][..]));
    assert_eq!((keys.validate_frames, keys.replay_protect), (ValidateFrames::Strict, true));
    assert_eq!((keys.replay_window, keys.clear_vlan_tags), (0, 0));
    let more =
        "validate_frames = \"check\"\nreplay_protect = false\nreplay_window = 9\nclear_vlan_tags = 1\n";
    let keys = mka(dir.keys(format!("{MKA}{more}").as_bytes()).unwrap());
    assert_eq!((keys.validate_frames, keys.replay_protect), (ValidateFrames::Check, false));
    assert_eq!((keys.replay_window, keys.clear_vlan_tags), (9, 1));
    assert!(!format!("{keys:?}").contains("c0ffee"));
}

#[test]
fn a_cak_that_others_can_read_is_refused() {
    let dir = private();
    dir.key("keys.toml", MKA);
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(dir.path("keys.toml"), fs::Permissions::from_mode(mode)).unwrap();
        let error = only(KeysFile::load(&dir.path("keys.toml"))).to_string();
        for says in
            ["keys.toml:1: cak: others than its owner", &format!("(mode {mode:04o})"), "run: chmod 600 "]
        {
            assert!(error.contains(says), "{error}");
        }
        assert_quiet(&error);
    }
}

#[test]
fn each_mistake_beside_a_cak_is_named_with_its_remedy() {
    let dir = private();
    for wrong in WRONG_MKA {
        let text = edited(MKA, wrong.from, wrong.to);
        let error = only(dir.keys(text.as_bytes()));
        wrong.assert(&text, &error, "keys.toml");
        assert_quiet(&error.to_string());
    }
    for (missing, there) in [("cak", CKN), ("ckn", &MKA[..MKA.len() - CKN.len()])] {
        let error = only(dir.keys(there.as_bytes())).to_string();
        assert!(error.contains(&format!("keys.toml: {missing}: is missing; write {missing} = ")), "{error}");
    }
}

#[test]
fn each_mistake_is_named_with_its_remedy() {
    let dir = Dir::new();
    for wrong in WRONG {
        let text = edited(KEYS, wrong.from, wrong.to);
        let error = only(dir.keys(text.as_bytes()));
        wrong.assert(&text, &error, "keys.toml");
        assert_quiet(&error.to_string());
    }
}

#[test]
fn what_must_be_there_is_asked_for() {
    let errors = Dir::new().keys(b"").unwrap_err().to_string();
    for says in ["cipher_suite: is missing; write cipher_suite = ", "there is no [[sa]]; write [[sa]]"] {
        assert!(errors.contains(says), "{errors}");
    }
}

/// Asserts that eight digits in a row of no key are in `shown`.
pub(super) fn assert_quiet(shown: &str) {
    for key in KEYS.lines().filter_map(|l| l.strip_prefix("sak = \"")).map(|l| l.trim_end_matches('"')) {
        assert_eq!(key.len(), 32);
        for i in 0..=key.len() - 8 {
            assert!(!shown.to_lowercase().contains(&key[i..i + 8]), "{shown}");
        }
    }
}

const SAK: &str = "sak = \"c0ffee110badf00d5eedbeefca7a5afe\"";

const WRONG: &[Wrong] = &[
    wrong(
        "cipher_suite = \"gcm-aes-xpn-128\"",
        "cipher_suite = \"c0ffee110badf00d\"",
        "cipher",
        "cipher_suite",
        &["this text: a cipher suite is", "write cipher_suite ="],
    ),
    wrong(
        "replay_window = 16",
        "replay_window = 99999999999",
        "replay",
        "replay_window",
        &["this number is not within 0 to 1073741823"],
    ),
    wrong(
        "replay_window = 16",
        "replay_windw = 16",
        "replay",
        "replay_windw",
        &["did you mean replay_window?"],
    ),
    wrong(
        "replay_window = 16",
        "c0ffee110badf00d = 16",
        "c0ffee110badf00d = 16",
        "(a long word)",
        &["known here: cipher_suite"],
    ),
    wrong(
        "replay_window = 16",
        "validate_frames = \"none\"",
        "validate",
        "validate_frames",
        &["write \"strict\" or"],
    ),
    wrong(
        "replay_window = 16",
        "confidentiality_offset = 30",
        "offset",
        "confidentiality_offset",
        &["knows no offset"],
    ),
    wrong(
        "replay_window = 16",
        "end_station = true",
        "end_station",
        "end_station",
        &["write send_sci = false"],
    ),
    wrong(
        "next_pn = \"ffff_fff0\"",
        "next_pn = 0",
        "next_pn",
        "sa[0].next_pn",
        &["this number is not within 1 to", "write next_pn = 1"],
    ),
    wrong("next_pn = \"ffff_fff0\"", "pn = 1", "pn = 1", "sa[0].pn", &["unknown key"]),
    wrong("an = 0", "an = 9", "an = 9", "sa[0].an", &["this number is not within 0 to 3"]),
    wrong(
        "an = 1\n",
        "an = 0 # x\n",
        "# x",
        "sa[1].an",
        &["is also the an of sa[0], which has the same sci"],
    ),
    wrong("ssci = 1\n", "", "[[sa]]", "sa[0].ssci", &["is missing; an XPN suite"]),
    wrong(
        "salt = \"e630e81a48de86a21c66fa6d\"\n",
        "",
        "[[sa]]",
        "sa[0].salt",
        &["there is no salt", "write salt ="],
    ),
    wrong(
        "salt = \"e630e81a48de86a21c66fa6d\"",
        "salt = \"00\"",
        "salt",
        "sa[0].salt",
        &["1 octet ", "write salt ="],
    ),
    wrong(SAK, "sak = \"c0ffee110badf00d\"", "sak", "sa[0].sak", &["8 octets", "write sak ="]),
    wrong(SAK, "sak = c0ffee110badf00d5eedbeefca7a5afe", "sak", "sak", &["not valid TOML", "quotes"]),
    wrong(SAK, "sak = 0xc0ffee110badf00d", "sak", "sa[0].sak", &["this number is not text in quotes"]),
    wrong(SAK, "sak = \"c0ffee110badf00d5eedbeefca7a5afg\"", "sak", "sa[0].sak", &["not hex"]),
    wrong(
        SAK,
        "sak = [\"c0ffee110badf00d5eedbeefca7a5afe\"]",
        "sak",
        "sa[0].sak",
        &["a list is not text in quotes"],
    ),
    wrong(
        SAK,
        "sak = \"c0ffee110badf00d5eedbeefca7a5afec0ffee110badf00d5eedbeefca7a5afe\"",
        "sak",
        "sa[0].sak",
        &["32 octets where gcm-aes-xpn-128 needs 16", "\"gcm-aes-xpn-256\""],
    ),
    wrong(SAK, "", "[[sa]]", "sa[0].sak", &["is missing", "write sak ="]),
];

const MKA: &str = "cak = \"c0ffee110badf00d5eedbeefca7a5afe\"\nckn = \"0bad\"\n";
const CKN: &str = "ckn = \"0bad\"\n";

const WRONG_MKA: &[Wrong] = &[
    wrong("cak = \"c0", "cak = \"", "cak", "cak", &["15 octets", "write cak = "]),
    wrong("5afe\"", "5afg\"", "cak", "cak", &["not hex"]),
    wrong(CKN, "ckn = \"\"\n", "ckn", "ckn", &["0 octets", "2 to 64 hex digits"]),
    wrong(CKN, "ckn = 0\n", "ckn", "ckn", &["this number is not text"]),
    wrong(CKN, "ckn = \"0bad\"\ncknn = 1\n", "cknn", "cknn", &["unknown key", "did you mean ckn?"]),
    wrong(
        CKN,
        "ckn = \"0bad\"\ncipher_suite = \"gcm-aes-128\"\n",
        "cipher",
        "cipher_suite",
        &["does not go with cak and ckn", "remove it"],
    ),
    wrong(CKN, "ckn = \"0bad\"\nsa = []\n", "sa =", "sa", &["does not go with cak and ckn"]),
    wrong(
        CKN,
        "ckn = \"0bad\"\nreplay_window = 1073741824\n",
        "replay",
        "replay_window",
        &["not within 0 to 1073741823"],
    ),
];

const fn wrong(
    from: &'static str,
    to: &'static str,
    line: &'static str,
    key: &'static str,
    says: &'static [&'static str],
) -> Wrong {
    Wrong { from, to, line, key, says }
}
