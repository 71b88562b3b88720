//! The files in `config/` are right.

use super::*;
use crate::{Poll, ValidateFrames};
use std::path::Path;
use wire::CipherSuite;

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(name);
    fs::read_to_string(&path).unwrap()
}

#[test]
fn gateway_toml_is_the_shortest_way_to_a_secure_link() {
    let dir = Dir::new();
    dir.key("dc1-dc2.key", &format!("cak = \"{}\"\nckn = \"01\"\n", "1".repeat(64)));
    let config = dir.config(&sample("gateway.toml")).unwrap();
    assert!(config.links[0].mka.is_some());
    assert!(config.dpdk.hugepages);
    assert_eq!(config.gateway.poll, Poll::Busy);
    assert_eq!(config.links[0].cipher_suite, CipherSuite::GcmAesXpn256);
    assert_eq!(config.links[0].validate_frames, ValidateFrames::Strict);
}

/// What is commented out may be written as it stands there.
#[test]
fn gateway_toml_with_everything_that_it_shows() {
    let dir = Dir::new();
    dir.key("dc1-dc2.key", &format!("cak = \"{}\"\nckn = \"01\"\n", "1".repeat(64)));
    let key = |digit: &str| format!("sak = \"{}\"\nsalt = \"{}\"\n", digit.repeat(64), digit.repeat(24));
    dir.key("from-dc1.key", &key("1"));
    dir.key("from-dc2.key", &key("2"));
    let setting = |line: &str| {
        let (name, value) = line.strip_prefix("# ")?.split_once(" = ")?;
        let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        (is_name && !value.is_empty()).then(|| line[2..].to_owned())
    };
    let text = sample("gateway.toml");
    let shown: Vec<_> = text.lines().map(|l| setting(l).unwrap_or_else(|| l.to_owned())).collect();
    let (with_mka, by_hand) =
        shown.join("\n").split_once("# [link.static]").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let mka = dir.config(&with_mka).unwrap().links[0].mka.clone().unwrap();
    assert_eq!((mka.priority, mka.version), (16, 3));
    let (head, _) = with_mka.split_once("[link.mka]").unwrap();
    let config = dir.config(&format!("{head}[link.static]{by_hand}")).unwrap();
    assert!(config.links[0].static_keys.is_some() && config.links[0].mka.is_none());
}

#[test]
fn trial_toml_needs_no_nic() {
    let dir = Dir::new();
    dir.key("trial.key", "sak = \"000102030405060708090a0b0c0d0e0f\"\n");
    let config = dir.config(&sample("trial.toml")).unwrap();
    assert!(!config.dpdk.hugepages);
    assert_eq!(config.gateway.poll, Poll::Adaptive);
    assert!(config.ports.iter().all(|p| p.device.as_str().starts_with("net_af_packet")));
}

#[test]
fn pcap_keys_toml_is_a_keys_file() {
    let keys = Dir::new().keys(sample("pcap-keys.toml").as_bytes()).unwrap();
    let KeysFile::Static(sas) = keys else { panic!("{keys:?}") };
    assert_eq!(sas.sas.len(), 1);
}

#[test]
fn no_sample_is_left_untested() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".toml"));
    names.sort();
    assert_eq!(names, ["gateway.toml", "pcap-keys.toml", "trial.toml"]);
}
