//! Every mistake that a configuration can hold.

use super::*;

#[test]
fn each_mistake_is_named_with_its_remedy() {
    let dir = Dir::new();
    for wrong in WRONG {
        let text = edited(BASE, wrong.from, wrong.to);
        let error = only(dir.config(&text));
        wrong.assert(&text, &error, "gateway.toml");
        if std::env::var_os("SHOW_ERRORS").is_some() {
            println!("{}", error.to_string().replace(dir.0.path().to_str().unwrap(), ""));
        }
    }
}

macro_rules! wrong {
    ($($from:literal => $to:literal, $line:literal, $key:literal, [$($says:literal),+ $(,)?];)+) => {
        &[$(Wrong { from: $from, to: $to, line: $line, key: $key, says: &[$($says),+] }),+]
    };
}

const WRONG: &[Wrong] = wrong! {
    // Syntax.
    "policy = \"must-secure\"" => "policy = must-secure", "policy =", "policy",
        ["not valid TOML", "put quotes around text"];
    "policy = \"must-secure\"" => "sci = \"\"", "sci = \"\"", "sci", ["duplicate key", "once"];
    "policy = \"must-secure\"" => "policy = \"must", "policy =", "policy", ["not valid TOML", "key = value"];
    // [gateway]
    "worker_cores = [1, 2]" => "worker_cores = 1", "worker_cores", "gateway.worker_cores",
        ["1 is not a list", "write worker_cores = [1]"];
    "worker_cores = [1, 2]" => "worker_cores = []", "worker_cores", "gateway.worker_cores",
        ["no core is named", "write worker_cores = [1]"];
    "worker_cores = [1, 2]" => "worker_cores = [1, 1]", "worker_cores", "gateway.worker_cores[1]",
        ["core 1 is named twice"];
    "worker_cores = [1, 2]" => "worker_cores = [1, -2]", "worker_cores", "gateway.worker_cores[1]",
        ["-2 is not within 0 to 1023"];
    "worker_cores = [1, 2]" => "", "[gateway]", "gateway.worker_cores", ["is missing", "write worker_cores = [1]"];
    "control_core = 0" => "control_core = \"0\"", "control_core", "gateway.control_core",
        ["\"0\" is not a whole number; write control_core = 0"];
    "control_core = 0" => "control_core = 2", "control_core", "gateway.control_core",
        ["core 2 is one of worker_cores", "adaptive"];
    "control_core = 0" => "poll = \"lazy\"", "poll", "gateway.poll",
        ["\"lazy\" is not known here; write \"busy\" or \"adaptive\""];
    "control_core = 0" => "state_dir = 7", "state_dir", "gateway.state_dir", ["7 is not text in quotes", "/var/lib"];
    "control_core = 0" => "state_dir = \"\"", "state_dir", "gateway.state_dir", ["\"\" is not a directory"];
    "control_core = 0" => "control_socket = 1", "control_socket", "gateway.control_socket",
        ["1 is not text in quotes", "write control_socket = \"/run/macsec-gw.sock\""];
    "control_core = 0" => "control_socket = \"\"", "control_socket", "gateway.control_socket",
        ["\"\" is not the name of a socket", "/run/macsec-gw.sock"];
    "control_core = 0" => "control_socket = \"/run/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        "control_socket", "gateway.control_socket", ["longer than the 107 octets"];
    "control_core = 0" => "metrics_listen = \"127.0.0.1:9480\"", "metrics_listen", "gateway.metrics_listen",
        ["not yet: ", "remove the line"];
    "control_core = 0" => "worker_core = [1]", "worker_core =", "gateway.worker_core",
        ["unknown key; did you mean worker_cores?"];
    "control_core = 0" => "colour = 1", "colour", "gateway.colour",
        ["unknown key; known here: worker_cores, control_core, poll"];
    "[dpdk]" => "[dpkd]", "dpkd", "dpkd", ["unknown table; did you mean dpdk?"];
    // [dpdk]
    "hugepages = true" => "hugepages = 1", "hugepages", "dpdk.hugepages", ["1 is not true or false"];
    "hugepages = true" => "memory_mib = 1", "memory_mib", "dpdk.memory_mib", ["1 is not within 16 to", "memory_mib = 512"];
    "hugepages = true" => "eal_args = \"-n 4\"", "eal_args", "dpdk.eal_args", ["\"-n 4\" is not a list"];
    "hugepages = true" => "eal_args = [4]", "eal_args", "dpdk.eal_args[0]", ["4 is not text in quotes"];
    // [[port]]
    "name = \"plain0\"\ndevice" => "device", "[[port]]", "port[0].name", ["is missing", "write name = \"plain0\""];
    "name = \"plain0\"\ndevice" => "name = \"a/b\"\ndevice", "a/b", "port[0].name", ["\"a/b\" is not a name of 1 to 64"];
    "name = \"line1\"\ndevice" => "name = \"line0\"\ndevice", "", "port \"line0\": name",
        ["\"line0\" is already the name of the port \"line0\" at line 12", "name of its own"];
    "device = \"0000:3b:00.1\"" => "", "", "port \"line0\": device", ["is missing", "0000:3b:00.0", "net_af_packet0"];
    "device = \"0000:3b:00.1\"" => "device = \"eth0\"", "eth0", "port \"line0\": device",
        ["\"eth0\" is not a device", "device = \"0000:3b:00.0\"", "device = \"net_af_packet0,iface=veth0\""];
    "device = \"0000:3b:00.1\"" => "device = \"0000:3b:00.9\"", "00.9", "port \"line0\": device", ["is not a device"];
    "device = \"0000:3b:00.1\"" => "device = \"net_tap1, iface=x\"", "net_tap1", "port \"line0\": device",
        ["is not the name and arguments of a virtual device"];
    "device = \"0000:3b:00.1\"" => "device = \"3B:00.0\"", "3B:00.0", "port \"line0\": device",
        ["the PCI device 0000:3b:00.0 already belongs to the port \"plain0\"", "device of its own"];
    "device = \"net_tap0\"" => "device = \"net_af_packet0,iface=veth9\"", "iface=veth0", "port \"line1\": device",
        ["the device name \"net_af_packet0\" already belongs to the port \"plain1\""];
    "device = \"net_tap0\"" => "device = \"net_af_packet1,iface=veth0\"", "net_af_packet0", "port \"line1\": device",
        ["the network interface \"veth0\" already belongs to the port \"plain1\""];
    "device = \"net_tap0\"" => "device = \"eth_af_packet1,iface=veth1\"", "eth_af", "port \"plain1\": device",
        ["called once", "write device = \"net_af_packet1,iface=veth1\""];
    "device = \"net_tap0\"" => "device = \"net_af_packet1\"", "net_af_packet1", "port \"plain1\": device",
        ["does not say which network interface", "write device = \"net_af_packet1,iface=veth0\""];
    "device = \"net_tap0\"" => "device = \"net_tap0\"\nmtu = 67", "mtu", "port \"plain1\": mtu", ["67 is not within 68 to 9600"];
    "device = \"net_tap0\"" => "device = \"net_tap0\"\nrx_descriptors = 70000", "rx_desc", "port \"plain1\": rx_descriptors",
        ["70000 is not within 32 to 32768", "rx_descriptors = 1024"];
    "device = \"net_tap0\"" => "device = \"net_tap0\"\ntx_descriptors = \"many\"", "tx_desc", "port \"plain1\": tx_descriptors",
        ["\"many\" is not a whole number"];
    "device = \"net_tap0\"" => "device = \"net_tap0\"\nspeed = 1", "speed", "port \"plain1\": speed",
        ["unknown key; known here: name, device, mtu"];
    // [[link]]: ports and cores
    "name = \"dc1-dc2\"" => "", "[[link]]", "link[0].name", ["is missing", "write name = \"dc1-dc2\""];
    "name = \"dc1-dc2\"" => "name = \"-x\"", "-x", "link[0].name", ["is not a name"];
    "name = \"second\"" => "name = \"dc1-dc2\" # again", "again", "link \"dc1-dc2\": name",
        ["already the name of the link at line 16"];
    "plain = \"plain0\"" => "", "[[link]]", "link \"dc1-dc2\": plain", ["is missing", "write plain = "];
    "plain = \"plain0\"" => "plain = \"plan0\"", "plan0", "link \"dc1-dc2\": plain",
        ["no port is named \"plan0\"; ports here: plain0, line0, plain1, line1"];
    "line = \"line0\"" => "line = \"plain0\"", "line = ", "link \"dc1-dc2\": line",
        ["the same port twice", "\"plain0\" is both sides of this link"];
    "line = \"line1\"" => "line = \"line0\" # taken", "taken", "link \"second\": line",
        ["the same port twice", "\"line0\" belongs to link \"dc1-dc2\""];
    "policy = \"must-secure\"" => "cores = [1, 2, 1]", "cores = [1, 2, 1]", "link \"dc1-dc2\": cores",
        ["names 3 cores; write cores = [1], or two cores"];
    "policy = \"must-secure\"" => "cores = [3]", "cores = [3]", "link \"dc1-dc2\": cores[0]",
        ["core 3 is not one of worker_cores; worker_cores are 1, 2"];
    "policy = \"must-secure\"" => "crypto_cores = [3]", "crypto_cores", "link \"dc1-dc2\": crypto_cores",
        ["a list is not a table", "write crypto_cores = { protect = [2, 3], verify = [4, 5] }"];
    "policy = \"must-secure\"" => "crypto_cores = { protect = 3 }", "crypto_cores",
        "link \"dc1-dc2\": crypto_cores.protect", ["3 is not a list", "crypto_cores = {"];
    "policy = \"must-secure\"" => "crypto_cores = { both = [3] }", "crypto_cores",
        "link \"dc1-dc2\": crypto_cores.both", ["unknown key; known here: protect, verify"];
    "policy = \"must-secure\"" => "crypto_cores = { protect = [3, 2] }", "crypto_cores",
        "link \"dc1-dc2\": crypto_cores.protect[1]",
        ["core 2 is taken by gateway.worker_cores; give each crypto worker a core of its own"];
    "policy = \"must-secure\"" => "crypto_cores = { verify = [0] }", "crypto_cores",
        "link \"dc1-dc2\": crypto_cores.verify[0]", ["core 0 is taken by gateway.control_core"];
    "policy = \"must-secure\"" => "crypto_cores = { protect = [3], verify = [4, 3] }", "crypto_cores",
        "link \"dc1-dc2\": crypto_cores.verify[1]",
        ["core 3 is taken by link \"dc1-dc2\": crypto_cores.protect[0]"];
    // [[link]]: what happens to frames
    "sci = \"0200000000010001\"" => "sci = \"02:00\"", "02:00", "link \"dc1-dc2\": sci",
        ["\"02:00\": an SCI is 16 hex digits", "write sci = "];
    "sci = \"0200000000010001\"" => "sci = \"0300000000010001\"", "0300", "link \"dc1-dc2\": sci",
        ["\"0300000000010001\": begins with a group address", "the address of one station"];
    "policy = \"must-secure\"" => "policy = \"must_secure\"", "must_secure", "link \"dc1-dc2\": policy",
        ["\"must_secure\" is not known here; write \"must-secure\" or \"should-secure\""];
    "policy = \"must-secure\"" => "validate_frames = \"check\"", "validate", "link \"dc1-dc2\": validate_frames",
        ["\"check\" lets frames in that are not authentic", "validate_frames = \"strict\"", "should-secure"];
    "policy = \"must-secure\"" => "validate_frames = \"no\"", "validate", "link \"dc1-dc2\": validate_frames",
        ["write \"strict\" or \"check\" or \"disabled\""];
    "policy = \"must-secure\"" => "protect_frames = false", "protect", "link \"dc1-dc2\": protect_frames",
        ["in the clear, nothing encrypted", "write protect_frames = true", "should-secure"];
    "policy = \"must-secure\"" => "cipher_suite = \"aes\"", "\"aes\"", "link \"dc1-dc2\": cipher_suite",
        ["\"aes\": a cipher suite is gcm-aes-128", "write cipher_suite = \"gcm-aes-xpn-256\""];
    "policy = \"must-secure\"" => "encrypt = \"yes\"", "encrypt", "link \"dc1-dc2\": encrypt", ["\"yes\" is not true or false"];
    "cipher_suite = \"gcm-aes-128\"" => "cipher_suite = \"gcm-aes-128\"\nconfidentiality_offset = 20", "offset",
        "link \"second\": confidentiality_offset", ["20 is not 0, 30 or 50"];
    "cipher_suite = \"gcm-aes-128\"" => "cipher_suite = \"gcm-aes-128\"\nencrypt = false\nconfidentiality_offset = 30", "offset",
        "link \"second\": confidentiality_offset", ["encrypt = false", "write confidentiality_offset = 0"];
    "policy = \"must-secure\"" => "confidentiality_offset = 50", "offset", "link \"dc1-dc2\": confidentiality_offset",
        ["gcm-aes-xpn-256 encrypts everything", "write confidentiality_offset = 0, or cipher_suite"];
    "policy = \"must-secure\"" => "replay_protect = 0", "replay", "link \"dc1-dc2\": replay_protect", ["0 is not true or false"];
    "policy = \"must-secure\"" => "replay_window = \"many\"", "replay", "link \"dc1-dc2\": replay_window",
        ["\"many\" is not a whole number; write replay_window = 0"];
    "policy = \"must-secure\"" => "replay_window = 0x40000000", "replay", "link \"dc1-dc2\": replay_window",
        ["is not within 0 to 1073741823"];
    "cipher_suite = \"gcm-aes-128\"" => "cipher_suite = \"gcm-aes-128\"\nreplay_window = 4294967296", "replay",
        "link \"second\": replay_window", ["4294967296 is not within 0 to 4294967295"];
    "policy = \"must-secure\"" => "send_sci = 1.5", "send_sci", "link \"dc1-dc2\": send_sci",
        ["a number with a fraction is not true or false"];
    "policy = \"must-secure\"" => "end_station = true", "end_station", "link \"dc1-dc2\": end_station",
        ["instead of an SCI", "write send_sci = false, or end_station = false"];
    "policy = \"must-secure\"" => "single_copy_broadcast = true", "broadcast", "link \"dc1-dc2\": single_copy_broadcast",
        ["write send_sci = false, or single_copy_broadcast = false"];
    "policy = \"must-secure\"" => "send_sci = false\nsingle_copy_broadcast = true", "broadcast",
        "link \"dc1-dc2\": single_copy_broadcast",
        ["an SCI of port 0, and this link's is of port 1", "write sci = \"020000000001", "0000\""];
    "policy = \"must-secure\"" => "send_sci = false\nend_station = true\nsingle_copy_broadcast = true", "broadcast",
        "link \"dc1-dc2\": single_copy_broadcast", ["beside end_station", "remove one of them"];
    "policy = \"must-secure\"" => "clear_vlan_tags = 3", "clear", "link \"dc1-dc2\": clear_vlan_tags", ["3 is not within 0 to 2"];
    "policy = \"must-secure\"" => "encript = true", "encript", "link \"dc1-dc2\": encript", ["did you mean encrypt?"];
    // [link.mka]
    "policy = \"must-secure\"" => "mka = { cak_file = \"cak.key\" }", "[link.static]", "link \"dc1-dc2\": static",
        ["stands beside [link.mka]", "remove [link.static], or [link.mka]"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = 1", "mka = 1", "link \"second\": mka", ["1 is not a table", "[link.mka]"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { priority = 3 }", "mka = {", "link \"second\": mka.cak_file",
        ["is missing, and no other source", "cak_file = \"dc1-dc2.key\", cak_env", "cak_credential"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_file = \"cak.key\", cak_env = \"X\" }", "mka = {", "link \"second\": mka.cak_file",
        ["is not the only source of the CAK", "write one of"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_file = \"none.key\" }", "mka = {", "link \"second\": mka.cak_file",
        ["none.key: No such file", "macsec-gw keygen"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_file = \"exposed.key\" }", "mka = {", "link \"second\": mka.cak_file", ["mode 0644", "chmod 600"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_file = \"c.key\" }", "mka = {", "link \"second\": mka.cak_file",
        ["c.key: unknown key `sak`", "known here: cak, ckn"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_file = \"c0ffee110badf00d5eedbeefca7a5afe\" }", "mka = {", "link \"second\": mka.cak_file",
        ["looks like a key", "macsec-gw keygen"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_file = \"cak.key\", cak = \"c0ffee\" }", "mka = {", "link \"second\": mka.cak",
        ["others may read", "write cak_file"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_env = \"MACSEC_GW_NOBODY_SETS_THIS\" }", "mka = {", "link \"second\": mka.cak_env",
        ["MACSEC_GW_NOBODY_SETS_THIS is not set", "give it the content of a key file"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_file = \"cak.key\", priority = 256 }", "mka = {", "link \"second\": mka.priority",
        ["256 is not within 0 to 255", "write priority = 16"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_file = \"cak.key\", rekey_period = 9 }", "mka = {", "link \"second\": mka.rekey_period",
        ["9 is not within 10 to 2592000", "in seconds"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_file = \"cak.key\", version = 4 }", "mka = {", "link \"second\": mka.version", ["4 is not within 1 to 3"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_file = \"cak.key\", delay_protect = 1 }", "mka = {", "link \"second\": mka.delay_protect",
        ["1 is not true or false"];
    "[link.static]\ntx = { an = 0, sak_file = \"a.key\", ssci = 1 }\nrx = [\n  { sci = \"0200000000020001\", an = 0, sak_file = \"b.key\", ssci = 2 },\n]" =>
        "mka = { cak_file = \"cak.key\", delay_protect = true, version = 2 }", "mka = {", "link \"dc1-dc2\": mka.delay_protect",
        ["bounds nothing", "write version = 3"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "replay_protect = false\nmka = { cak_file = \"cak.key\", delay_protect = true }", "mka = {",
        "link \"second\": mka.delay_protect", ["bounds nothing", "replay_protect = false", "write replay_protect = true"];
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" =>
        "mka = { cak_file = \"cak.key\", prio = 1 }", "mka = {", "link \"second\": mka.prio",
        ["unknown key", "cak_file, cak_env, cak_credential, priority"];
    // [link.static]
    "[link.static]\ntx = { an = 0, sak_file = \"c.key\" }\nrx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" => "",
        "", "link \"second\": mka", ["is missing, and there is no key", "write [link.mka]", "or [link.static]"];
    "tx = { an = 0, sak_file = \"c.key\" }" => "", "", "link \"second\": static.tx", ["is missing", "write tx = {"];
    "tx = { an = 0, sak_file = \"c.key\" }" => "tx = \"c.key\"", "c.key", "link \"second\": static.tx",
        ["\"c.key\" is not a table", "write tx = {"];
    "rx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" => "rx = []", "rx = []", "link \"second\": static.rx",
        ["is empty", "write rx = [{"];
    "rx = [{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }]" => "", "", "link \"second\": static.rx",
        ["is missing", "write rx = [{"];
    "sci = \"0200000000040001\", an = 0" => "an = 0", "d.key", "link \"second\": static.rx[0].sci", ["is missing"];
    "sci = \"0200000000040001\", an = 0" => "sci = \"0200000000040001\"", "d.key", "link \"second\": static.rx[0].an",
        ["is missing", "write an = 0"];
    "an = 0, sak_file = \"c.key\"" => "an = 4, sak_file = \"c.key\"", "c.key", "link \"second\": static.tx.an", ["4 is not within 0 to 3"];
    "an = 0, sak_file = \"c.key\"" => "an = 0", "tx = { an = 0 }", "link \"second\": static.tx.sak_file",
        ["is missing", "write sak_file = "];
    "sak_file = \"c.key\" }" => "sak_file = \"c.key\", next_pn = 0 }", "c.key", "link \"second\": static.tx.next_pn",
        ["0 is not within 1 to 4294967295", "write next_pn = 1"];
    "sak_file = \"c.key\" }" => "sak_file = \"c.key\", next_pn = \"1_0000_0000\" }", "c.key", "link \"second\": static.tx.next_pn",
        ["\"1_0000_0000\" is not within 1 to 4294967295"];
    "sak_file = \"c.key\" }" => "sak_file = \"c.key\", next_pn = \"one\" }", "c.key", "link \"second\": static.tx.next_pn",
        ["\"one\" is not a whole number, or hex digits in quotes"];
    "sak_file = \"c.key\" }" => "sak_file = \"c.key\", ssci = 1 }", "c.key", "link \"second\": static.tx.ssci",
        ["XPN suites only", "remove it, or write cipher_suite"];
    "sak_file = \"a.key\", ssci = 1" => "sak_file = \"a.key\"", "a.key", "link \"dc1-dc2\": static.tx.ssci",
        ["is missing; an XPN suite", "write ssci = 1"];
    "sak_file = \"a.key\", ssci = 1" => "sak_file = \"a.key\", ssci = 4294967296", "a.key", "link \"dc1-dc2\": static.tx.ssci",
        ["4294967296 is not within 0 to 4294967295"];
    "sak_file = \"c.key\" }" => "sak_file = \"c.key\", sak = \"0123\" }", "c.key", "link \"second\": static.tx.sak",
        ["others may read", "write sak_file ="];
    "sak_file = \"c.key\" }" => "sak_file = \"c.key\", pn = 1 }", "c.key", "link \"second\": static.tx.pn",
        ["unknown key; known here: an, ssci, next_pn, sak_file"];
    "{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }" =>
        "{ sci = \"0200000000040001\", an = 0, sak_file = \"d.key\" }, { sci = \"0200000000040001\", an = 0, sak_file = \"c.key\" }",
        "d.key", "link \"second\": static.rx[1].an", ["is also the an of link \"second\": static.rx[0]", "0 to 3"];
    // Key files
    "sak_file = \"a.key\"" => "sak_file = \"none.key\"", "none.key", "link \"dc1-dc2\": static.tx.sak_file",
        ["none.key: No such file", "name a file with  sak ="];
    "sak_file = \"a.key\"" => "sak_file = \"exposed.key\"", "exposed.key", "link \"dc1-dc2\": static.tx.sak_file",
        ["mode 0644", "chmod 600"];
    "sak_file = \"a.key\"" => "sak_file = \"odd.key\"", "odd.key", "link \"dc1-dc2\": static.tx.sak_file",
        ["odd.key: `sak`: 7 octets"];
    "sak_file = \"a.key\"" => "sak_file = \"nosalt.key\"", "nosalt.key", "link \"dc1-dc2\": static.tx.sak_file",
        ["nosalt.key: there is no salt, which gcm-aes-xpn-256 needs", "write salt ="];
    "sak_file = \"a.key\"" => "sak_file = \"x.key\"", "x.key", "link \"dc1-dc2\": static.tx.sak_file",
        ["x.key: the sak has 16 octets where gcm-aes-xpn-256 needs 32", "64 hex digits, or write cipher_suite = \"gcm-aes-xpn-128\""];
    "sak_file = \"c.key\"" => "sak_file = \"x.key\"", "x.key", "link \"second\": static.tx.sak_file",
        ["x.key: there is a salt, which gcm-aes-128 has no use for", "remove the salt"];
    "sak_file = \"c.key\"" => "sak_file = \"nosalt.key\"", "nosalt.key", "link \"second\": static.tx.sak_file",
        ["the sak has 32 octets where gcm-aes-128 needs 16", "write cipher_suite = \"gcm-aes-256\""];
    "sak_file = \"c.key\"" => "sak_file = \"c0ffee110badf00d5eedbeefca7a5afe\"", "c0ffee", "link \"second\": static.tx.sak_file",
        ["looks like a key", "only its owner can read"];
    "sak_file = \"c.key\"" => "sak_file = \"\"", "sak_file = \"\"", "link \"second\": static.tx.sak_file", ["is not the name of a file"];
};
