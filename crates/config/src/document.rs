//! A file's text, its lines, and the problems found in it.

use crate::error::{ConfigError, Errors};
use keys::KeyFileError;
use std::cell::RefCell;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use toml::de::DeTable;
use zeroize::Zeroizing;

/// Octets of the largest file that is read.
const MAX_LEN: u64 = 1 << 20;

/// Syntax errors after this many are mostly echoes of the first.
const MAX_SYNTAX_ERRORS: usize = 5;

/// Hex digits in a row that may be a part of a key, and are not repeated from a configuration.
const LIKE_A_KEY: usize = 24;

/// The same for a file that does hold keys.
const LIKE_A_PIECE_OF_A_KEY: usize = 5;

/// A file that was read. Wiped when dropped.
pub(crate) struct Source {
    /// The file as it was named.
    pub(crate) file: PathBuf,
    /// Its content.
    pub(crate) text: Zeroizing<String>,
    /// What the system says of it.
    pub(crate) meta: Metadata,
}

impl Source {
    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, Errors> {
        let fail = |line, what: String, remedy: &str| {
            let remedy = Some(remedy.to_owned());
            Errors::from(ConfigError { file: path.into(), line, key: String::new(), what, remedy })
        };
        let io = |e: std::io::Error| fail(None, e.to_string(), "name a TOML file that this user can read");
        let file = File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        // Sized beforehand, for a buffer that grows leaves copies of its content behind.
        let mut octets = Zeroizing::new(Vec::with_capacity(meta.len().clamp(4096, MAX_LEN) as usize + 1));
        file.take(MAX_LEN + 1).read_to_end(&mut octets).map_err(io)?;
        if octets.len() as u64 > MAX_LEN {
            return Err(fail(None, format!("longer than {MAX_LEN} octets"), "name a TOML file"));
        }
        match std::str::from_utf8(&octets) {
            Ok(text) => Ok(Source { file: path.into(), text: Zeroizing::new(text.to_owned()), meta }),
            Err(e) => {
                let line = 1 + octets[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
                Err(fail(Some(line), "not UTF-8 text".into(), "save the file as UTF-8"))
            }
        }
    }
}

/// Collects problems and knows which line an octet of the text is on.
pub(crate) struct Report {
    file: PathBuf,
    /// Offsets of line ends, ascending.
    line_ends: Vec<usize>,
    /// Whether the text holds keys, so that no value of it may be repeated.
    secret: bool,
    errors: RefCell<Vec<ConfigError>>,
}

impl Report {
    /// For a file whose values may (`secret` false) or may not be repeated in messages.
    pub(crate) fn new(source: &Source, secret: bool) -> Self {
        let line_ends =
            source.text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect();
        Report { file: source.file.clone(), line_ends, secret, errors: RefCell::default() }
    }

    /// Notes a problem at octet `at`.
    pub(crate) fn add(&self, at: Option<usize>, key: &str, what: String, remedy: Option<String>) {
        let line = at.map(|at| self.line(at));
        self.errors.borrow_mut().push(ConfigError {
            file: self.file.clone(),
            line,
            key: key.to_owned(),
            what,
            remedy,
        });
    }

    /// The line of octet `at`, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < at)
    }

    /// Whether no value may be repeated.
    pub(crate) fn is_secret(&self) -> bool {
        self.secret
    }

    /// `word` where it can be repeated: it is short and no part of a key.
    pub(crate) fn name<'w>(&self, word: &'w str) -> &'w str {
        let limit = if self.secret { LIKE_A_PIECE_OF_A_KEY } else { LIKE_A_KEY };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        let fit = word.len() <= 40 && word.bytes().all(plain) && longest_hex(word) < limit;
        if fit { word } else { "(a long word)" }
    }

    /// Parses the text, or notes why that cannot be done.
    pub(crate) fn parse<'t>(&self, text: &'t str) -> Option<DeTable<'t>> {
        if self.secret {
            // The parser's errors hold a copy of what they are of, which nobody wipes.
            self.parse_as(&keys::masked(text), text)?;
        }
        self.parse_as(text, text)
    }

    /// Parses what has the shape of `text`.
    fn parse_as<'t>(&self, shape: &'t str, text: &str) -> Option<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(shape);
        if errors.is_empty() {
            return Some(table.into_inner());
        }
        for error in errors.iter().take(MAX_SYNTAX_ERRORS) {
            let at = error.span().map_or(0, |s| s.start).min(text.len());
            let key = self.name(key_near(text, at)).to_owned();
            // The parser's messages are fixed texts; its `Display` would quote the line.
            let message = error.message().trim_end_matches(", expected literal string");
            let what = format!("not valid TOML: {message}");
            let remedy = match message {
                m if m.contains("must be quoted") => "put quotes around text:  key = \"text\"",
                m if m.contains("duplicate key") => "write each key and each [table] once",
                _ => "a line is  key = value  or  [table]; text stands in quotes, lists in [ ]",
            };
            self.add(Some(at), &key, what, Some(remedy.into()));
        }
        None
    }

    /// All problems so far.
    pub(crate) fn finish(self) -> Result<(), Errors> {
        Errors::none_in(self.errors.into_inner())
    }

    /// For a file where `finish` found nothing wrong although no value came of it.
    pub(crate) fn unexplained(file: &Path) -> Errors {
        let what = "not a valid configuration".to_owned();
        ConfigError { file: file.into(), line: None, key: String::new(), what, remedy: None }.into()
    }
}

/// What to do where a key file cannot be read; `name_another` where it is the wrong one.
pub(crate) fn readable(error: &KeyFileError, name_another: &str) -> String {
    match error {
        KeyFileError::Io { path, reason } if reason.kind() == ErrorKind::PermissionDenied => format!(
            "run macsec-gw as the user that the file belongs to, or give it to the one that runs this: chown USER {}",
            path.display()
        ),
        _ => name_another.to_owned(),
    }
}

/// Whether `text` may be key material that went astray.
pub(crate) fn like_a_key(text: &str) -> bool {
    longest_hex(text) >= LIKE_A_KEY
}

fn longest_hex(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_hexdigit()).map(str::len).max().unwrap_or(0)
}

/// The key that the line around octet `at` sets, or nothing.
fn key_near(text: &str, at: usize) -> &str {
    let bytes = text.as_bytes();
    let start = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let line = text.get(start..).unwrap_or("").lines().next().unwrap_or("");
    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
    if key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) { key } else { "" }
}
