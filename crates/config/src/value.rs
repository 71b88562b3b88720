//! One value of a file: read as what it should be, or reported.

use crate::document::{Report, like_a_key};
use crate::fields::Fields;
use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use toml::Spanned;
use toml::de::DeValue;

/// A value and its key path.
///
/// Each reader gives `None` after reporting what is wrong; `example` is a right line.
pub(crate) struct Value<'a> {
    report: &'a Report,
    path: String,
    node: &'a Spanned<DeValue<'a>>,
}

impl<'a> Value<'a> {
    pub(crate) fn new(report: &'a Report, path: String, node: &'a Spanned<DeValue<'a>>) -> Self {
        Value { report, path, node }
    }

    /// Its key, with those of the tables around it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Offset of the value in the text, in octets.
    pub(crate) fn at(&self) -> Option<usize> {
        Some(self.node.span().start)
    }

    /// Reports a problem with the value.
    pub(crate) fn fail<T>(&self, what: impl Into<String>, remedy: impl Into<String>) -> Option<T> {
        self.report.add(self.at(), &self.path, what.into(), Some(remedy.into()));
        None
    }

    /// Reports that the value is not `expected`.
    pub(crate) fn wrong<T>(&self, expected: impl Display, example: &str) -> Option<T> {
        self.fail(format!("{} is not {expected}", self.shown()), format!("write {example}"))
    }

    /// The value as a message may repeat it.
    pub(crate) fn shown(&self) -> Cow<'static, str> {
        let fixed = match self.node.get_ref() {
            DeValue::String(_) => "this text",
            DeValue::Integer(_) => "this number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(true) => "true",
            DeValue::Boolean(false) => "false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let word = match self.node.get_ref() {
            DeValue::String(s) => format!("{s:?}"),
            DeValue::Integer(n) => n.to_string(),
            _ => return fixed.into(),
        };
        if self.report.is_secret() || like_a_key(&word) || word.len() > 80 {
            fixed.into()
        } else {
            word.into()
        }
    }

    pub(crate) fn boolean(&self, example: &str) -> Option<bool> {
        match self.node.get_ref() {
            DeValue::Boolean(b) => Some(*b),
            _ => self.wrong("true or false", example),
        }
    }

    pub(crate) fn text(&self, example: &str) -> Option<&'a str> {
        match self.node.get_ref() {
            DeValue::String(s) => Some(s),
            _ => self.wrong("text in quotes", example),
        }
    }

    /// A whole number within `range`.
    pub(crate) fn whole(&self, range: RangeInclusive<u64>, example: &str) -> Option<u64> {
        match self.node.get_ref() {
            DeValue::Integer(n) => {
                self.in_range(u64::from_str_radix(n.as_str(), n.radix()).ok(), range, example)
            }
            _ => self.wrong("a whole number", example),
        }
    }

    /// A whole number within `range`, or the hex form of one in a string.
    pub(crate) fn whole_or_hex(&self, range: RangeInclusive<u64>, example: &str) -> Option<u64> {
        let DeValue::String(text) = self.node.get_ref() else {
            return self.whole(range, example);
        };
        let digits = text.strip_prefix("0x").unwrap_or(text).replace('_', "");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return self.wrong("a whole number, or hex digits in quotes", example);
        }
        self.in_range(u64::from_str_radix(&digits, 16).ok(), range, example)
    }

    fn in_range(&self, number: Option<u64>, range: RangeInclusive<u64>, example: &str) -> Option<u64> {
        match number {
            Some(n) if range.contains(&n) => Some(n),
            _ => {
                let what = format!("{} is not within {} to {}", self.shown(), range.start(), range.end());
                self.fail(what, format!("write {example}"))
            }
        }
    }

    /// One of some words.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let found = self.node.get_ref().as_str().and_then(|s| words.iter().find(|(word, _)| *word == s));
        if let Some((_, value)) = found {
            return Some(*value);
        }
        let choice: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let what = format!("{} is not known here", self.shown());
        self.fail(what, format!("write {}", choice.join(" or ")))
    }

    /// Text that a type of ours understands.
    pub(crate) fn parsed<T>(&self, example: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.text(example)?.parse() {
            Ok(value) => Some(value),
            Err(e) => self.fail(format!("{}: {e}", self.shown()), format!("write {example}")),
        }
    }

    /// A name: no longer than 64, and fit for a metric's label and a file's name.
    pub(crate) fn identifier(&self, example: &str) -> Option<&'a str> {
        let name = self.text(example)?;
        let fit = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        if (1..=64).contains(&name.len()) && name.bytes().all(fit) && !name.starts_with(['.', '-']) {
            return Some(name);
        }
        self.wrong("a name of 1 to 64 letters, digits, hyphens, dots and underscores", example)
    }

    /// The values of a list.
    pub(crate) fn list(&self, example: &str) -> Option<Vec<Value<'a>>> {
        let DeValue::Array(items) = self.node.get_ref() else {
            return self.wrong("a list", example);
        };
        let item = |(i, node)| Value::new(self.report, format!("{}[{i}]", self.path), node);
        Some(items.iter().enumerate().map(item).collect())
    }

    /// The fields of a table.
    pub(crate) fn fields(&self, example: &str) -> Option<Fields<'a>> {
        match self.node.get_ref() {
            DeValue::Table(table) => {
                Some(Fields::new(self.report, format!("{}.", self.path), self.at(), table))
            }
            _ => self.wrong("a table", example),
        }
    }
}
