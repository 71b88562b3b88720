use super::*;
use crate::{Device, Policy, Poll, ValidateFrames};
use std::path::Path;
use wire::{CipherSuite, ConfidentialityOffset, Ssci};

#[test]
fn defaults_are_filled_in() {
    let dir = Dir::new();
    let config = dir.config(BASE).unwrap();
    assert_eq!(config.file, dir.path("gateway.toml"));
    assert_eq!(config.gateway.poll, Poll::Busy);
    assert_eq!(config.gateway.control_core, Some(0));
    assert_eq!(config.gateway.state_dir, Path::new("/var/lib/macsec-gw"));
    assert_eq!(config.gateway.control_socket, None);
    assert_eq!((config.dpdk.hugepages, config.dpdk.memory_mib), (true, None));
    assert_eq!(config.ports[0].device, Device::Pci("0000:3b:00.0".into()));
    assert_eq!(config.ports[3].device.as_str(), "net_af_packet0,iface=veth0");
    assert_eq!((config.ports[0].rx_descriptors, config.ports[0].mtu), (1024, None));
    let [first, second] = config.links.as_slice() else { panic!() };
    assert_eq!((first.plain, first.line, second.plain, second.line), (0, 1, 2, 3));
    assert_eq!((first.protect_core, first.verify_core), (1, 1));
    assert_eq!((second.protect_core, second.verify_core), (2, 2));
    assert_eq!((first.policy, first.validate_frames), (Policy::MustSecure, ValidateFrames::Strict));
    assert_eq!(first.cipher_suite, CipherSuite::GcmAesXpn256);
    assert!(first.protect_frames && first.encrypt && first.replay_protect && first.send_sci);
    assert!(!first.end_station && !first.single_copy_broadcast);
    assert_eq!((first.replay_window, first.clear_vlan_tags), (0, 0));
    assert!(first.protect_crypto_cores.is_empty() && first.verify_crypto_cores.is_empty());
    let keys = first.static_keys.as_ref().unwrap();
    assert_eq!((keys.tx.next_pn, keys.rx[0].next_pn), (1, 1));
    assert_eq!(keys.tx.xpn.unwrap().ssci, Ssci(1));
    assert_eq!(second.static_keys.as_ref().unwrap().tx.xpn, None);
    assert!(!format!("{config:?}").contains("aaaaaaaa"));
}

#[test]
fn what_is_written_is_what_comes_out() {
    let dir = Dir::new();
    let text = edited(
        BASE,
        "policy = \"must-secure\"",
        "policy = \"should-secure\"\ncores = [2, 1]\ncrypto_cores = { protect = [4, 0], verify = [5] }",
    );
    let text = edited(
        &text,
        "an = 0, sak_file = \"a.key\"",
        "an = 3, sak_file = \"a.key\", next_pn = \"0xffff_ffff_ffff_fffe\"",
    );
    let text = edited(
        &text,
        "cipher_suite = \"gcm-aes-128\"",
        "cipher_suite = \"GCM-AES-128\"\nconfidentiality_offset = 30\nreplay_window = 4294967295\nsend_sci = false\nend_station = true\nclear_vlan_tags = 2",
    );
    let text = edited(&text, "hugepages = true", "hugepages = false\neal_args = [\"--log-level=8\"]");
    let text =
        edited(&text, "control_core = 0", "control_core = 1\npoll = \"adaptive\"\nstate_dir = \"state\"");
    let text = edited(&text, "\"0000:3b:00.1\"", "\"3B:00.1\"\nmtu = 9000\nrx_descriptors = 500");
    let config = dir.config(&text).unwrap();
    assert_eq!(config.gateway.state_dir, dir.path("state"));
    assert_eq!(config.dpdk.memory_mib, Some(512));
    assert_eq!(config.dpdk.eal_args, ["--log-level=8"]);
    assert_eq!(config.ports[1].device.to_string(), "0000:3b:00.1");
    assert_eq!((config.ports[1].mtu, config.ports[1].rx_descriptors), (Some(9000), 500));
    let [first, second] = config.links.as_slice() else { panic!() };
    assert_eq!((first.protect_core, first.verify_core), (2, 1));
    assert_eq!((&first.protect_crypto_cores[..], &first.verify_crypto_cores[..]), (&[4, 0][..], &[5][..]));
    assert_eq!((first.policy, first.validate_frames), (Policy::ShouldSecure, ValidateFrames::Check));
    let tx = &first.static_keys.as_ref().unwrap().tx;
    assert_eq!((tx.an.as_u8(), tx.next_pn), (3, u64::MAX - 1));
    assert_eq!(second.confidentiality_offset, ConfidentialityOffset::Octets30);
    assert_eq!((second.replay_window, second.clear_vlan_tags), (u32::MAX.into(), 2));
    assert!(second.end_station && !second.send_sci);
}

#[test]
fn a_link_may_have_its_keys_by_agreement() {
    let dir = Dir::new();
    let keys = "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]";
    let link = |table: &str| {
        let config = dir.config(&edited(BASE, keys, table)).unwrap();
        (config.links[1].static_keys.is_none(), config.links[1].mka.clone().unwrap(), format!("{config:?}"))
    };
    let (alone, mka, shown) = link("[link.mka]\ncak_file = \"cak.key\"");
    assert!(alone && !shown.contains("8888"), "{shown}");
    assert_eq!((mka.cak.octets().len(), mka.ckn.octets()), (16, &[1, 2][..]));
    assert_eq!((mka.priority, mka.version, mka.rekey_period), (16, 3, None));
    assert!(!mka.delay_protect && !mka.icv_indicator);
    let (_, mka, _) = link(
        "[link.mka]\ncak_file = \"cak.key\"\npriority = 255\nrekey_period = 3600\ndelay_protect = true\nversion = 1\nicv_indicator = true",
    );
    assert_eq!((mka.priority, mka.version), (255, 1));
    assert_eq!(mka.rekey_period, Some(std::time::Duration::from_secs(3600)));
    assert!(mka.delay_protect && mka.icv_indicator);
}

#[test]
fn a_link_that_protects_nothing_needs_no_keys() {
    let dir = Dir::new();
    let (head, _) = BASE.split_once("[link.static]\ntx = { an = 0, sak_file = \"c.key\" }").unwrap();
    let text =
        edited(head, "cipher_suite = \"gcm-aes-128\"", "policy = \"should-secure\"\nprotect_frames = false");
    let config = dir.config(&text).unwrap();
    assert_eq!(config.links[1].static_keys, None);
    assert!(!config.links[1].protect_frames);
}

#[test]
fn all_problems_are_reported_at_once_in_order() {
    let dir = Dir::new();
    let text = edited(BASE, "worker_cores = [1, 2]", "worker_cores = 1");
    let text = edited(&text, "device = \"0000:3b:00.1\"", "device = \"eth0\"");
    let text = edited(&text, "sak_file = \"b.key\"", "sak_file = \"none.key\"");
    let text = edited(&text, "line = \"line1\"", "line = \"lin1\"\nencript = true");
    let errors = dir.config(&text).unwrap_err();
    let keys: Vec<_> = errors.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "gateway.worker_cores",
            "port \"line0\": device",
            "link \"dc1-dc2\": static.rx[0].sak_file",
            "link \"second\": line",
            "link \"second\": encript"
        ]
    );
    assert_eq!(errors.to_string().lines().count(), 5);
}

#[test]
fn unreadable_files_are_named() {
    let error = only(Config::load(Path::new("/nonexistent/gateway.toml"))).to_string();
    assert!(error.starts_with("/nonexistent/gateway.toml: No such file"), "{error}");
    let dir = Dir::new();
    fs::write(dir.path("gateway.toml"), b"# \n\xff").unwrap();
    let error = only(Config::load(&dir.path("gateway.toml"))).to_string();
    assert!(error.contains("gateway.toml:2: not UTF-8"), "{error}");
    let error = only(dir.config(&"#".repeat(2 << 20))).to_string();
    assert!(error.contains("longer than"), "{error}");
}

#[test]
fn an_empty_file_is_told_what_it_needs() {
    let errors = Dir::new().config("").unwrap_err().to_string();
    for says in ["gateway.worker_cores: is missing", "no [[port]]", "no [[link]]"] {
        assert!(errors.contains(says), "{errors}");
    }
}

#[test]
fn key_material_that_went_astray_is_not_repeated() {
    let dir = Dir::new();
    let secret = "c0ffee110badf00d5eedbeefca7a5afe";
    for (from, to) in [
        ("sak_file = \"a.key\"", format!("sak_file = \"{secret}\"")),
        ("sak_file = \"a.key\"", format!("sak = \"{secret}\", sak_file = \"a.key\"")),
        ("sak_file = \"a.key\"", format!("salt = \"{secret}\", sak_file = \"a.key\"")),
        ("policy = \"must-secure\"", format!("policy = \"{secret}\"")),
        ("policy = \"must-secure\"", format!("{secret} = 1")),
        ("policy = \"must-secure\"", secret.to_owned()),
        ("policy = \"must-secure\"", format!("cores = [0x{secret}]")),
        ("line = \"line0\"", format!("line = \"{secret}\"")),
        ("name = \"dc1-dc2\"", format!("name = \"{secret}\"\nencript = true")),
    ] {
        let errors = dir.config(&edited(BASE, from, &to)).unwrap_err();
        let shown = format!("{errors} {errors:?}");
        let whole = shown.replace("link \"c0ffee110badf00d5eedbeefca7a5afe\"", "");
        if !to.starts_with("name") {
            assert!(!whole.contains("c0ffee11"), "{to}: {shown}");
        }
    }
}
