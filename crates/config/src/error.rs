//! What is wrong with a file, in words for the person who wrote it.

use std::fmt;
use std::path::PathBuf;

/// One problem: where it is, what it is, what to write instead. Never carries key material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file as it was named to `load`.
    pub file: PathBuf,
    /// Line, from 1. Absent where the problem is no line's, such as an unreadable file.
    pub line: Option<usize>,
    /// Key path, such as `link "dc1-dc2": replay_window`. Empty where no key is concerned.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// All problems of a file, at least one, in the order of their lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Errors(Vec<ConfigError>);

impl Errors {
    /// `Ok` when there are no errors.
    pub(crate) fn none_in(mut errors: Vec<ConfigError>) -> Result<(), Errors> {
        if errors.is_empty() {
            return Ok(());
        }
        errors.sort_by_key(|e| e.line);
        errors.dedup();
        Err(Errors(errors))
    }

    /// The problems, in the order of their lines.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for Errors {
    fn from(error: ConfigError) -> Self {
        Errors(vec![error])
    }
}

impl IntoIterator for Errors {
    type Item = ConfigError;
    type IntoIter = std::vec::IntoIter<ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Errors {
    /// One problem a line, no newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}
