//! Key files: TOML with hex strings, readable by their owner alone. Other sources of keys hold the same text.
//!
//! A parser's error holds a copy of the text, and its message may quote the line it stumbled over, which here is a key.
//! So it reads a masked text, and tells only where things are.

use crate::{Cak, Ckn, HexError, Sak, Salt, masked};
use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

/// Octets of the largest key file that is read.
const MAX_LEN: u64 = 4096;

/// What is wrong with a key file or what stands for one. Carries names and positions, never content.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Opening or reading failed.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's.
        reason: std::io::Error,
    },
    /// A directory, device or the like.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Group or others have some access.
    #[error("{}: others than its owner can access this key file (mode {mode:04o}); run: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Owned neither by the user this runs as nor by root.
    #[error("{}: belongs to user {owner}; a key file must belong to the user that runs the gateway or to root; run: chown root {}", path.display(), path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Larger than any key file.
    #[error("{origin}: longer than {MAX_LEN} octets, so not a key file")]
    TooLong {
        /// File or variable.
        origin: Origin,
    },
    /// Not TOML.
    #[error("{}: not valid TOML; a key file holds lines such as  {example}", origin.line(*line))]
    Syntax {
        /// File or variable.
        origin: Origin,
        /// Line, from 1.
        line: usize,
        /// A right line.
        example: &'static str,
    },
    /// A key that must be there is not.
    #[error("{origin}: `{key}` is missing; write  {example}")]
    Missing {
        /// File or variable.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// A right line.
        example: &'static str,
    },
    /// A key that has no meaning here.
    #[error("{origin}: unknown key `{key}`; known here: {known}")]
    Unknown {
        /// File or variable.
        origin: Origin,
        /// The key.
        key: String,
        /// What may stand here.
        known: String,
    },
    /// A value that is not a string.
    #[error("{origin}: `{key}` must be a string of hex digits in quotes")]
    NotAString {
        /// File or variable.
        origin: Origin,
        /// The key.
        key: &'static str,
    },
    /// A value that is not the hex form of what it should be.
    #[error("{origin}: `{key}`: {source}")]
    Hex {
        /// File or variable.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        source: HexError,
    },
    /// Not a name that an environment variable can have.
    #[error(
        "`{name}` is not the name of an environment variable; write letters, digits and _ only, no digit first"
    )]
    VariableName {
        /// The name, unless it looks like a key.
        name: String,
    },
    /// The environment has no such variable.
    #[error(
        "environment variable {name} is not set; give it the content of a key file: {name}=\"$(cat KEYFILE)\""
    )]
    NotSet {
        /// The variable.
        name: String,
    },
    /// A variable's octets are not UTF-8.
    #[error(
        "environment variable {name}: not text; give it the content of a key file: {name}=\"$(cat KEYFILE)\""
    )]
    NotText {
        /// The variable.
        name: String,
    },
    /// Not a name that a credential can have.
    #[error(
        "`{name}` is not the name of a credential; write what stands before the colon in LoadCredential=, without a slash"
    )]
    CredentialName {
        /// The name, unless it looks like a key.
        name: String,
    },
    /// Not started by systemd, or by a unit without credentials.
    #[error(
        "credential `{name}`: CREDENTIALS_DIRECTORY is not set, so this was started without credentials of systemd's; {}",
        load(name)
    )]
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// The unit has other credentials.
    #[error("credential `{name}`: not in {}, so the unit has no such credential; {}", directory.display(), load(name))]
    NoSuchCredential {
        /// The credential.
        name: String,
        /// Where credentials are.
        directory: PathBuf,
    },
}

fn load(name: &str) -> String {
    format!("write into the unit, below [Service]:  LoadCredential={name}:/path/of/the/key/file")
}

/// Where the text of a key was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

impl Origin {
    fn line(&self, line: usize) -> String {
        match self {
            Origin::File(_) => format!("{self}:{line}"),
            Origin::Variable(_) => format!("{self}, line {line}"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => path.display().fmt(f),
            Origin::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// Content of a link's static key file.
#[derive(Clone, Debug)]
pub struct SakFile {
    /// `sak`.
    pub sak: Sak,
    /// `salt`, which XPN suites need.
    pub salt: Option<Salt>,
}

/// Content of a link's MKA key file.
#[derive(Clone, Debug)]
pub struct CakFile {
    /// `cak`.
    pub cak: Cak,
    /// `ckn`.
    pub ckn: Ckn,
}

const SAK_EXAMPLE: &str = "sak = \"32 or 64 hex digits\"";
const CAK_EXAMPLE: &str = "cak = \"32 or 64 hex digits\"";
const CKN_EXAMPLE: &str = "ckn = \"2 to 64 hex digits\"";

/// Reads `sak` and, where given, `salt`.
///
/// # Errors
/// [`KeyFileError`]; also when others than the owner can access the file.
pub fn read_sak_file(path: &Path) -> Result<SakFile, KeyFileError> {
    let text = read_private(path, Access::Owner)?;
    let fields = Fields::parse(Origin::File(path.into()), &text, ["sak", "salt"], SAK_EXAMPLE)?;
    let sak = fields.required("sak", SAK_EXAMPLE, Sak::from_hex)?;
    let salt = fields.optional("salt", Salt::from_hex)?;
    Ok(SakFile { sak, salt })
}

/// Reads `cak` and `ckn`.
///
/// # Errors
/// [`KeyFileError`]; also when others than the owner can access the file.
pub fn read_cak_file(path: &Path) -> Result<CakFile, KeyFileError> {
    parse_cak(Origin::File(path.into()), &read_private(path, Access::Owner)?)
}

/// Takes `cak` and `ckn` from a text that stood in `origin`.
pub(crate) fn parse_cak(origin: Origin, text: &str) -> Result<CakFile, KeyFileError> {
    let fields = Fields::parse(origin, text, ["cak", "ckn"], CAK_EXAMPLE)?;
    let cak = fields.required("cak", CAK_EXAMPLE, Cak::from_hex)?;
    let ckn = fields.required("ckn", CKN_EXAMPLE, Ckn::from_hex)?;
    Ok(CakFile { cak, ckn })
}

/// What a key file says, where it stands in its text.
struct Fields<'t> {
    origin: Origin,
    /// Names and, where they are strings, values.
    fields: Vec<(&'t str, Option<&'t str>)>,
}

impl<'t> Fields<'t> {
    fn parse<const N: usize>(
        origin: Origin,
        text: &'t str,
        known: [&'static str; N],
        example: &'static str,
    ) -> Result<Self, KeyFileError> {
        if text.len() as u64 > MAX_LEN {
            return Err(KeyFileError::TooLong { origin });
        }
        let shape = masked(text);
        let table = match DeTable::parse(&shape) {
            Ok(table) => table.into_inner(),
            Err(e) => {
                let at = e.span().map_or(0, |s| s.start).min(text.len());
                let line = 1 + text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count();
                return Err(KeyFileError::Syntax { origin, line, example });
            }
        };
        let word = |span: Range<usize>| text.get(span).unwrap_or("").trim_matches(['"', '\'']);
        let field = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            (word(name.span()), value.get_ref().is_str().then(|| word(value.span())))
        };
        let fields: Vec<_> = table.iter().map(field).collect();
        match fields.iter().find(|(name, _)| !known.contains(name)) {
            Some((name, _)) => {
                // A key pasted without its name, or a part of it, would stand here as a bare word.
                let key =
                    if like_a_key(name) { "(a word like a key)".to_owned() } else { (*name).to_owned() };
                Err(KeyFileError::Unknown { origin, key, known: known.join(", ") })
            }
            None => Ok(Fields { origin, fields }),
        }
    }

    fn optional<T>(
        &self,
        key: &'static str,
        parse: fn(&str) -> Result<T, HexError>,
    ) -> Result<Option<T>, KeyFileError> {
        match self.fields.iter().find(|(name, _)| *name == key) {
            None => Ok(None),
            Some((_, Some(text))) => parse(text).map(Some).map_err(|source| KeyFileError::Hex {
                origin: self.origin.clone(),
                key,
                source,
            }),
            Some((_, None)) => Err(KeyFileError::NotAString { origin: self.origin.clone(), key }),
        }
    }

    fn required<T>(
        &self,
        key: &'static str,
        example: &'static str,
        parse: fn(&str) -> Result<T, HexError>,
    ) -> Result<T, KeyFileError> {
        self.optional(key, parse)?.ok_or(KeyFileError::Missing { origin: self.origin.clone(), key, example })
    }
}

/// Whether five hex digits stand in a row, or it is too long for a name.
fn like_a_key(word: &str) -> bool {
    word.len() > 24 || word.as_bytes().windows(5).any(|w| w.iter().all(u8::is_ascii_hexdigit))
}

/// Who may have access to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner alone.
    Owner,
    /// Its group may read too: so a credential of systemd's looks that an access list opens to the service's user.
    OwnerAndGroup,
}

impl Access {
    fn refused(self) -> u32 {
        match self {
            Access::Owner => 0o077,
            Access::OwnerAndGroup => 0o037,
        }
    }
}

/// The text of a file that no others than `access` says can access.
pub(crate) fn read_private(path: &Path, access: Access) -> Result<Zeroizing<String>, KeyFileError> {
    let io = |reason| KeyFileError::Io { path: path.into(), reason };
    // Without O_NONBLOCK a FIFO would be waited for, which no signal ends.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(io)?;
    // Asked of the open file, so that it cannot be exchanged in between.
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(KeyFileError::NotAFile { path: path.into() });
    }
    if meta.mode() & access.refused() != 0 {
        return Err(KeyFileError::Exposed { path: path.into(), mode: meta.mode() & 0o7777 });
    }
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me && meta.uid() != 0 {
        return Err(KeyFileError::Foreign { path: path.into(), owner: meta.uid() });
    }
    if meta.len() > MAX_LEN {
        return Err(KeyFileError::TooLong { origin: Origin::File(path.into()) });
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_LEN as usize + 1));
    file.take(MAX_LEN).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const SAK: &str = "000102030405060708090a0b0c0d0e0f";

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let f = tempfile::NamedTempFile::new().unwrap();
        fs::write(f.path(), text).unwrap();
        fs::set_permissions(f.path(), fs::Permissions::from_mode(mode)).unwrap();
        f
    }

    #[test]
    fn a_sak_file_is_read() {
        let f = file(&format!("# one\nsak = \"{SAK}\"\nsalt = \"e630e81a48de86a21c66fa6d\"\n"), 0o600);
        let content = read_sak_file(f.path()).unwrap();
        assert_eq!(content.sak.to_hex().as_str(), SAK);
        assert_eq!(content.salt.unwrap().to_string(), "e630e81a48de86a21c66fa6d");
    }

    #[test]
    fn a_cak_file_is_read() {
        let f = file(&format!("cak = \"{SAK}\"\nckn = \"01\"\n"), 0o400);
        assert_eq!(read_cak_file(f.path()).unwrap().ckn.octets(), [1]);
    }

    #[test]
    fn any_toml_of_that_content_is_read() {
        for text in [
            format!("'sak' = '{SAK}'"),
            format!("\"sak\"=\"\"\"{SAK}\"\"\" # no salt\r\n"),
            format!("\u{feff}# \u{e4}\nsak = \"{}\"", SAK.to_uppercase()),
        ] {
            assert_eq!(
                read_sak_file(file(&text, 0o600).path()).unwrap().sak.to_hex().as_str(),
                SAK,
                "{text}"
            );
        }
    }

    #[test]
    fn files_that_others_can_read_are_refused() {
        for mode in [0o640, 0o604, 0o644, 0o620] {
            let f = file(&format!("sak = \"{SAK}\""), mode);
            let error = read_sak_file(f.path()).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
            assert!(error.contains(&format!("{mode:04o}")), "{error}");
        }
    }

    #[test]
    fn errors_name_file_and_remedy_and_keep_the_key() {
        let secret = "c0ffee11c0ffee22c0ffee33c0ffee44";
        for (text, says) in [
            (String::new(), "`sak` is missing"),
            (format!("sak = {secret}"), ":1: not valid TOML"),
            (format!("\n\n{secret}"), ":3: not valid TOML"),
            (format!("sak = \"{secret}00\""), "17 octets"),
            (format!("sak = \"{secret}\"\ncak = \"{secret}\""), "unknown key `cak`"),
            (format!("{secret} = 1"), "(a word like a key)"),
            (format!("k{} = 1", &secret[..20]), "(a word like a key)"),
            (format!("sak = [\"{secret}\"]"), "must be a string"),
            (format!("sak = {{ x = \"{secret}\" }}"), "must be a string"),
            (format!("sak = [\n\"{secret}\",\n]"), "must be a string"),
            ("sak = 12345678123456781234567812345678".into(), "must be a string"),
            (format!("[sak]\nx = \"{secret}\""), "must be a string"),
            (format!("[link]\nsak = \"{secret}\""), "unknown key `link`"),
            (format!("sak = \"{secret}\"\nsak = \"{secret}\""), ":2: not valid TOML"),
            (format!("sak = \"x{}\"", &secret[1..]), "not hex"),
            (format!("sak = \"{secret}\"\nsalt = \"00\""), "`salt`: 1 octet (2 hex digits)"),
        ] {
            let f = file(&text, 0o600);
            let error = read_sak_file(f.path()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(says), "{shown}");
            assert!(shown.contains(f.path().to_str().unwrap()), "{shown}");
            assert!(!shown.contains(&secret[1..20]), "{shown}");
        }
        let error = read_sak_file(Path::new("/nonexistent/x.key")).unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent/x.key: "), "{error}");
        let error = read_sak_file(Path::new("/tmp")).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }

    #[test]
    fn a_fifo_is_refused_rather_than_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(read_sak_file(&path), Err(KeyFileError::NotAFile { .. })));
    }

    #[test]
    fn oversized_files_are_refused() {
        let f = file(&format!("sak = \"{SAK}\"\n#{}", "x".repeat(5000)), 0o600);
        assert!(matches!(read_sak_file(f.path()), Err(KeyFileError::TooLong { .. })));
    }
}
