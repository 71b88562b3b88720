//! Files that are right, every way in which they can be wrong, and files that are noise.

mod config;
mod fuzz;
mod keys_file;
mod memory;
mod mistakes;
mod nonces;
mod samples;

use crate::{Config, ConfigError, Errors, KeysFile};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

/// A valid configuration. Every key file it names, and some others, are in [`Dir`].
const BASE: &str = r#"[gateway]
worker_cores = [1, 2]
control_core = 0

[dpdk]
hugepages = true

[[port]]
name = "plain0"
device = "0000:3b:00.0"

[[port]]
name = "line0"
device = "0000:3b:00.1"

[[link]]
name = "dc1-dc2"
plain = "plain0"
line = "line0"
sci = "0200000000010001"
policy = "must-secure"

[link.static]
tx = { an = 0, sak_file = "a.key", ssci = 1 }
rx = [
  { sci = "0200000000020001", an = 0, sak_file = "b.key", ssci = 2 },
]

[[port]]
name = "plain1"
device = "net_tap0"

[[port]]
name = "line1"
device = "net_af_packet0,iface=veth0"

[[link]]
name = "second"
plain = "plain1"
line = "line1"
sci = "0200000000030001"
cipher_suite = "gcm-aes-128"

[link.static]
tx = { an = 0, sak_file = "c.key" }
rx = [{ sci = "0200000000040001", an = 0, sak_file = "d.key" }]
"#;

const KEYS: &str = r#"cipher_suite = "gcm-aes-xpn-128"
replay_window = 16

[[sa]]
sci = "0200000000020001"
an = 0
sak = "c0ffee110badf00d5eedbeefca7a5afe"
salt = "e630e81a48de86a21c66fa6d"
ssci = 1
next_pn = "ffff_fff0"

[[sa]]
sci = "0200000000020001"
an = 1
sak = "1dea5bad2dea6bad3dea7bad4dea8bad"
salt = "0123456789abcdef01234567"
ssci = "7a30c118"
"#;

/// A directory for a configuration and its key files.
struct Dir(TempDir);

impl Dir {
    /// With `a` and `b` for XPN-256, `x` for XPN-128, `c` and `d` for 128 bits, a CAK, and what is wrong with keys.
    fn new() -> Self {
        let dir = Dir(TempDir::new().unwrap());
        let salt = "salt = \"e630e81a48de86a21c66fa6d\"\n";
        let sak = |digit: &str, len: usize| format!("sak = \"{}\"\n", digit.repeat(len * 2));
        dir.key("a.key", &(sak("a", 32) + salt));
        dir.key("b.key", &(sak("b", 32) + salt));
        dir.key("x.key", &(sak("9", 16) + salt));
        dir.key("c.key", &sak("c", 16));
        dir.key("d.key", &sak("d", 16));
        dir.key("cak.key", &format!("cak = \"{}\"\nckn = \"0102\"\n", "8".repeat(32)));
        dir.key("nosalt.key", &sak("e", 32));
        dir.key("odd.key", &sak("f", 7));
        dir.key("exposed.key", &(sak("a", 32) + salt));
        fs::set_permissions(dir.path("exposed.key"), fs::Permissions::from_mode(0o644)).unwrap();
        dir
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn key(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn config(&self, text: &str) -> Result<Config, Errors> {
        fs::write(self.path("gateway.toml"), text).unwrap();
        Config::load(&self.path("gateway.toml"))
    }

    fn keys(&self, text: &[u8]) -> Result<KeysFile, Errors> {
        fs::write(self.path("keys.toml"), text).unwrap();
        KeysFile::load(&self.path("keys.toml"))
    }
}

/// A directory whose `keys.toml` is its owner's alone, and keeps that when it is written again.
fn private() -> Dir {
    let dir = Dir::new();
    dir.key("keys.toml", "");
    dir
}

/// `base` with its one `from` replaced.
fn edited(base: &str, from: &str, to: &str) -> String {
    assert_eq!(base.matches(from).count(), 1, "{from}");
    base.replace(from, to)
}

/// The one error there is.
fn only<T: std::fmt::Debug>(result: Result<T, Errors>) -> ConfigError {
    let errors: Vec<_> = result.unwrap_err().into_iter().collect();
    assert_eq!(errors.len(), 1, "{}", errors.iter().map(|e| format!("{e}\n")).collect::<String>());
    errors.into_iter().next().unwrap()
}

/// One way to be wrong: the text `from` of a base becomes `to`, and one error names the line on which `line`
/// stands first, or some line where that is empty, the `key` path, and all of `says`.
struct Wrong {
    from: &'static str,
    to: &'static str,
    line: &'static str,
    key: &'static str,
    says: &'static [&'static str],
}

impl Wrong {
    fn assert(&self, text: &str, error: &ConfigError, file: &str) {
        let shown = error.to_string();
        let line = match self.line {
            "" => error.line,
            mark => text.lines().position(|l| l.contains(mark)).map(|i| i + 1),
        };
        assert!(line.is_some(), "{shown}");
        assert_eq!(error.line, line, "{shown}");
        assert_eq!(error.key, self.key, "{shown}");
        assert!(error.remedy.is_some(), "{shown}");
        let place = format!("{file}:{}: {}", line.unwrap(), self.key);
        assert!(shown.contains(&place), "{shown}");
        for says in self.says {
            assert!(shown.contains(says), "{shown:?} does not say {says:?}");
        }
    }
}
