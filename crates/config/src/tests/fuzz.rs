//! Files that are noise.

use super::*;
use proptest::prelude::*;

/// What means something to TOML or here.
const WORDS: [&str; 9] =
    ["\n[[sa]]\n", "\"\"\"", "sak = ", "0x", "salt", "cak = ", "[link.static]", "\\u", "0o"];

/// Places, octets to remove there, and octets to put there.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, Vec<u8>)>> {
    let octets = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::collection::vec(prop::sample::select(&b"\"'[]{}=.,#\n\r\\_- 0xaf"[..]), 0..4),
        prop::sample::select(&WORDS[..]).prop_map(|s| s.as_bytes().to_vec()),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0usize..6, octets), 1..6)
}

fn mutated(base: &str, edits: &[(prop::sample::Index, usize, Vec<u8>)]) -> Vec<u8> {
    let mut text = base.as_bytes().to_vec();
    for (at, remove, insert) in edits {
        let at = at.index(text.len().max(1)).min(text.len());
        let end = (at + remove).min(text.len());
        text.splice(at..end, insert.iter().copied());
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_keys_file_keeps_its_keys(edits in edits()) {
        let dir = Dir(TempDir::new().unwrap());
        if let Err(errors) = dir.keys(&mutated(KEYS, &edits)) {
            super::keys_file::assert_quiet(&format!("{errors} {errors:?}"));
            prop_assert!(errors.iter().all(|e| !e.to_string().contains('\n')));
        }
    }

    /// Else the parser would get a text with keys that it refuses, and copy it.
    #[test]
    fn what_is_no_toml_is_none_when_masked(edits in edits()) {
        if let Ok(text) = String::from_utf8(mutated(KEYS, &edits)) {
            let is_toml = |text: &str| toml::de::DeTable::parse(text).is_ok();
            prop_assert!(is_toml(&text) || !is_toml(&keys::masked(&text)));
        }
    }

    #[test]
    fn a_damaged_configuration_is_no_reason_to_panic(edits in edits()) {
        let dir = Dir(TempDir::new().unwrap());
        fs::write(dir.path("gateway.toml"), mutated(BASE, &edits)).unwrap();
        let errors = Config::load(&dir.path("gateway.toml")).unwrap_err();
        prop_assert!(errors.iter().all(|e| e.line.is_none_or(|line| line > 0)));
    }

    #[test]
    fn nor_is_noise(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let dir = Dir(TempDir::new().unwrap());
        prop_assert!(dir.keys(&octets).is_err());
        fs::write(dir.path("gateway.toml"), &octets).unwrap();
        prop_assert!(Config::load(&dir.path("gateway.toml")).is_err());
    }
}
