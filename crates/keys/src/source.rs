//! Where a CAK comes from: a file, an environment variable, or a credential of systemd's.

use crate::file::{Access, CakFile, KeyFileError, Origin, parse_cak, read_private};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

/// Where the directory of a service's credentials stands (systemd.exec).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Where a CAK and its name are read from.
///
/// What stands there is the same everywhere: the text of a key file, with `cak` and `ckn` by name. So neither is
/// mistaken for the other, which MKPDUs carry in the clear, and `macsec-gw keygen` writes for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CakSource {
    /// A file that its owner alone can access.
    File(PathBuf),
    /// The environment variable of this name. The weakest: it stays in the environment of this process, which others
    /// of the same user can read, and of those that it starts.
    Env(String),
    /// The credential that systemd passes to the service under this name, with `LoadCredential=` or a relative of it.
    Credential(String),
}

impl CakSource {
    /// Reads CAK and CKN.
    ///
    /// # Errors
    /// [`KeyFileError`], which names the file or variable and never repeats its content.
    pub fn read(&self) -> Result<CakFile, KeyFileError> {
        self.read_in(|name| std::env::var_os(name))
    }

    /// Reads with `variable` for the environment.
    fn read_in(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<CakFile, KeyFileError> {
        match self {
            CakSource::File(path) => crate::read_cak_file(path),
            CakSource::Env(name) => {
                let name = checked(name, is_variable).map_err(|name| KeyFileError::VariableName { name })?;
                let value = variable(name).ok_or_else(|| KeyFileError::NotSet { name: name.into() })?;
                let text = text(value).ok_or_else(|| KeyFileError::NotText { name: name.into() })?;
                parse_cak(Origin::Variable(name.into()), &text)
            }
            CakSource::Credential(name) => {
                let name =
                    checked(name, is_credential).map_err(|name| KeyFileError::CredentialName { name })?;
                let directory = variable(CREDENTIALS_DIRECTORY).filter(|d| !d.is_empty());
                let directory = directory.ok_or_else(|| KeyFileError::NoCredentials { name: name.into() })?;
                read_credential(Path::new(&directory), name)
            }
        }
    }
}

fn read_credential(directory: &Path, name: &str) -> Result<CakFile, KeyFileError> {
    let path = directory.join(name);
    let text = read_private(&path, Access::OwnerAndGroup).map_err(|error| match error {
        KeyFileError::Io { reason, .. } if reason.kind() == std::io::ErrorKind::NotFound => {
            KeyFileError::NoSuchCredential { name: name.into(), directory: directory.into() }
        }
        other => other,
    })?;
    parse_cak(Origin::File(path), &text)
}

/// The value as text; wiped where it is none.
fn text(value: OsString) -> Option<Zeroizing<String>> {
    match value.into_string() {
        Ok(text) => Some(Zeroizing::new(text)),
        Err(value) => {
            value.into_encoded_bytes().zeroize();
            None
        }
    }
}

/// The name, or what an error may show of it: a key may have been written where its name belongs.
fn checked(name: &str, right: fn(&str) -> bool) -> Result<&str, String> {
    const HEX_DIGITS: usize = 16;
    let secret = name.as_bytes().windows(HEX_DIGITS).any(|w| w.iter().all(u8::is_ascii_hexdigit));
    match right(name) {
        _ if secret => Err("(a word like a key)".into()),
        false => Err(name.escape_default().take(64).collect()),
        true => Ok(name),
    }
}

/// Names that every shell can set.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Names that systemd takes, and that stay in the directory.
fn is_credential(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::PermissionsExt;

    const CAK: &str = "c0ffee11c0ffee22c0ffee33c0ffee44";

    fn good() -> String {
        format!("# dc1 to dc2\ncak = \"{CAK}\"\nckn = \"0102\"\n")
    }

    fn env(name: &str, value: impl Into<OsString>) -> Result<CakFile, KeyFileError> {
        let value = value.into();
        CakSource::Env(name.into()).read_in(|asked| (asked == name).then(|| value.clone()))
    }

    /// A directory with the credential `dc1`.
    fn directory(text: &str, mode: u32) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dc1");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        directory
    }

    fn credential(directory: &tempfile::TempDir, name: &str) -> Result<CakFile, KeyFileError> {
        let path = directory.path().as_os_str().to_owned();
        CakSource::Credential(name.into())
            .read_in(|asked| (asked == CREDENTIALS_DIRECTORY).then(|| path.clone()))
    }

    fn assert_right(file: CakFile) {
        assert_eq!(file.cak.to_hex().as_str(), CAK);
        assert_eq!(file.ckn.octets(), [1, 2]);
    }

    /// Says what it should, and nothing of the key in either form.
    fn assert_says(result: Result<CakFile, KeyFileError>, says: &[&str]) {
        let error = result.unwrap_err();
        let message = error.to_string();
        for part in says {
            assert!(message.contains(part), "{message}: lacks {part}");
        }
        let shown = format!("{message} {error:?}");
        assert!(!shown.contains(&CAK[..8]) && !shown.contains(&CAK[8..16]), "{shown}");
    }

    #[test]
    fn all_sources_hold_the_same_text() {
        assert_right(env("DC1_KEY", good()).unwrap());
        let directory = directory(&good(), 0o400);
        assert_right(credential(&directory, "dc1").unwrap());
        assert_right(CakSource::File(directory.path().join("dc1")).read().unwrap());
    }

    #[test]
    fn mistakes_in_a_variable_name_it_and_the_remedy() {
        let source = CakSource::Env("DC1_KEY".into());
        assert_says(
            source.read_in(|_| None),
            &["environment variable DC1_KEY is not set", "DC1_KEY=\"$(cat KEYFILE)\""],
        );
        let line = "environment variable DC1_KEY, line ";
        for (value, says) in [
            (
                String::new(),
                ["environment variable DC1_KEY: `cak` is missing", "cak = \"32 or 64 hex digits\""],
            ),
            (format!("cak = \"{CAK}\""), ["environment variable DC1_KEY: `ckn` is missing", "ckn = \""]),
            (CAK.into(), [line, "1: not valid TOML"]),
            (format!("0102:{CAK}"), [line, "cak = \"32 or 64 hex digits\""]),
            (format!("cak = \"{CAK}\" ckn = \"0102\""), [line, "1: not valid TOML"]),
            (format!("ckn = \"0102\"\ncak = {CAK}"), [line, "2: not valid TOML"]),
            (
                format!("cak = \"{CAK}00\"\nckn = \"0102\""),
                ["environment variable DC1_KEY: `cak`", "17 octets"],
            ),
            (format!("cak = [\"{CAK}\"]"), ["environment variable DC1_KEY: `cak`", "in quotes"]),
            (format!("sak = \"{CAK}\""), ["environment variable DC1_KEY: unknown key `sak`", "cak, ckn"]),
            (format!("{CAK} = 1"), ["environment variable DC1_KEY: unknown key", "cak, ckn"]),
            (format!("{}#{}", good(), "x".repeat(5000)), ["environment variable DC1_KEY: longer", "4096"]),
        ] {
            assert_says(env("DC1_KEY", value), &says);
        }
        let octets = [CAK.as_bytes(), &[0xff]].concat();
        assert_says(
            env("DC1_KEY", OsString::from_vec(octets)),
            &["environment variable DC1_KEY: not text", "$(cat KEYFILE)"],
        );
    }

    #[test]
    fn names_that_no_variable_has_are_refused() {
        for name in ["", "A=B", "1ST", "DC1-KEY", "A B", "A\0", "ä"] {
            assert_says(
                env(name, good()),
                &["not the name of an environment variable", "letters, digits and _"],
            );
        }
        // Whoever writes the key in place of its name, or all of the key file.
        for name in [CAK.into(), format!("K{CAK}"), good()] {
            assert_says(env(&name, good()), &["(a word like a key)"]);
        }
    }

    #[test]
    fn the_real_environment_is_read() {
        let name = "MACSEC_GW_TEST_OF_A_VARIABLE_THAT_NOBODY_SETS";
        assert_says(CakSource::Env(name.into()).read(), &[name, "is not set"]);
        // The build tool sets this one, to something else than a key.
        let error = CakSource::Env("CARGO_PKG_NAME".into()).read().unwrap_err();
        assert!(matches!(error, KeyFileError::Syntax { line: 1, .. }), "{error:?}");
    }

    #[test]
    fn mistakes_with_a_credential_name_it_and_the_remedy() {
        let source = CakSource::Credential("dc1".into());
        let says = ["`dc1`", "CREDENTIALS_DIRECTORY is not set", "LoadCredential=dc1:/"];
        assert_says(source.read_in(|_| None), &says);
        assert_says(source.read_in(|_| Some(OsString::new())), &says);

        let given = directory(&good(), 0o400);
        let path = given.path().to_str().unwrap();
        assert_says(credential(&given, "dc2"), &["`dc2`", path, "LoadCredential=dc2:/"]);
        for name in ["", ".", "..", "../dc1", "sub/dc1", "/etc/passwd", "a:b", "a b", "a\n"] {
            assert_says(credential(&given, name), &["not the name of a credential", "without a slash"]);
        }
        assert_says(credential(&given, CAK), &["(a word like a key)"]);

        let wrong = directory(&format!("cak = {CAK}"), 0o400);
        let path = wrong.path().join("dc1");
        assert_says(credential(&wrong, "dc1"), &[path.to_str().unwrap(), ":1: not valid TOML"]);
    }

    /// With an access list for the service's user, the bits of the group are the most that the list allows.
    #[test]
    fn the_group_may_read_a_credential_and_no_more() {
        for mode in [0o400, 0o600, 0o440, 0o640] {
            assert_right(credential(&directory(&good(), mode), "dc1").unwrap());
        }
        for mode in [0o444, 0o404, 0o460, 0o620] {
            assert_says(credential(&directory(&good(), mode), "dc1"), &["dc1", &format!("mode {mode:04o}")]);
        }
        let directory = directory(&good(), 0o440);
        assert!(CakSource::File(directory.path().join("dc1")).read().is_err());
    }
}
