//! Inputs that are read from a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A file that only its owner can read, in a directory of its own.
#[derive(Debug)]
pub struct TempFile {
    dir: TempDir,
    path: PathBuf,
}

impl TempFile {
    /// An empty file.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("input");
        fs::write(&path, "").expect("a temporary file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod 600");
        TempFile { dir, path }
    }

    /// A file of the same directory.
    pub fn beside(&self, name: &str, content: &str) {
        let path = self.dir.path().join(name);
        fs::write(&path, content).expect("a temporary file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod 600");
    }

    /// The file, now with this content.
    pub fn with(&self, content: &[u8]) -> &Path {
        fs::write(&self.path, content).expect("a temporary file");
        &self.path
    }
}

impl Default for TempFile {
    fn default() -> Self {
        TempFile::new()
    }
}

/// Hex digits in a row that may be a piece of a key.
const PIECE_OF_A_KEY: usize = 8;
/// SCIs that messages give as examples.
const EXAMPLES: [&str; 2] = ["0200000000010001", "0200000000020001"];

/// Fails when `message`, beside the name of the file at `path`, repeats hex digits of `content`.
pub fn assert_quiet(message: &str, path: &Path, content: &[u8]) {
    let content = String::from_utf8_lossy(content).to_lowercase();
    let mut message = message.replace(&path.display().to_string(), "").to_lowercase();
    EXAMPLES.iter().for_each(|sci| message = message.replace(sci, ""));
    for word in message.split(|c: char| !c.is_ascii_hexdigit()).filter(|w| w.len() >= PIECE_OF_A_KEY) {
        assert!(!content.contains(word), "a message repeats {word:?} of a file with keys: {message}");
    }
}
