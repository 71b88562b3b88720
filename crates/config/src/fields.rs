//! The keys of one table.

use crate::document::Report;
use crate::value::Value;
use toml::de::{DeTable, DeValue};

/// A table while it is read: knows which keys were asked for, and reports the others.
pub(crate) struct Fields<'a> {
    report: &'a Report,
    /// Leads the key paths, such as `gateway.` or `link "x": `.
    prefix: String,
    /// Offset of the table's header.
    at: Option<usize>,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
    concealed: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(report: &'a Report, prefix: String, at: Option<usize>, table: &'a DeTable<'a>) -> Self {
        Fields { report, prefix, at, table, known: Vec::new(), concealed: Vec::new() }
    }

    /// Offset of the table in the text.
    pub(crate) fn at(&self) -> Option<usize> {
        self.at
    }

    /// Key path of the table itself.
    pub(crate) fn path(&self) -> &str {
        self.prefix.trim_end_matches(['.', ':', ' '])
    }

    /// The line at octet `at`, from 1.
    pub(crate) fn line(&self, at: Option<usize>) -> Option<usize> {
        at.map(|at| self.report.line(at))
    }

    /// Leads the key paths of this table from here on.
    pub(crate) fn rename(&mut self, prefix: String) {
        self.prefix = prefix;
    }

    /// Whether `key` is there, asked for or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of `key`, which is known from here on.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Value<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let node = self.table.get(key)?;
        Some(Value::new(self.report, format!("{}{key}", self.prefix), node))
    }

    /// The value of `key`; its absence is reported.
    pub(crate) fn required(&mut self, key: &'static str, example: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.fail(key, "is missing", format!("write {example}"));
        }
        value
    }

    /// What `read` makes of the value, or `default` where there is none. `None` when it was wrong.
    pub(crate) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.get(key) {
            Some(value) => read(&value),
            None => Some(default),
        }
    }

    /// What `read` makes of the value, `Some(None)` where there is none. `None` when it was wrong.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        self.or(key, None, |value| read(value).map(Some))
    }

    /// Reports a problem with `key`, at its value or, where it is absent, at the table.
    pub(crate) fn fail(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let at = self.table.get(key).map(|node| node.span().start).or(self.at);
        self.report.add(at, &format!("{}{key}", self.prefix), what.into(), Some(remedy.into()));
    }

    /// Refuses a key that is to have a meaning one day.
    pub(crate) fn not_yet(&mut self, key: &'static str, what: &str, remedy: &str) {
        self.refuse(key, &format!("not yet: {what}"), remedy);
    }

    /// Refuses a key for a reason of its own, and does not name it among the known ones.
    pub(crate) fn refuse(&mut self, key: &'static str, what: &str, remedy: &str) {
        if self.get(key).is_some() {
            self.fail(key, what, remedy);
        }
        self.concealed.push(key);
    }

    /// The tables of `[[key]]`. Their absence is reported with `remedy`.
    pub(crate) fn tables(&mut self, key: &'static str, remedy: &str) -> Vec<Fields<'a>> {
        let Some(value) = self.get(key) else {
            self.report.add(None, key, format!("there is no [[{key}]]"), Some(remedy.into()));
            return Vec::new();
        };
        let header = format!("[[{key}]], in two pairs of brackets, above each {key}");
        let items = value.list(&header).unwrap_or_default();
        if items.is_empty() && self.table.get(key).is_some_and(|node| node.get_ref().is_array()) {
            self.fail(key, "is empty", remedy);
        }
        items.iter().filter_map(|item| item.fields(&header)).collect()
    }

    /// The table `[key]`, or `empty` where there is none. `None` when it was wrong.
    pub(crate) fn table(&mut self, key: &'static str, empty: &'a DeTable<'a>) -> Option<Fields<'a>> {
        match self.get(key) {
            Some(value) => value.fields(&format!("[{key}] as the header of a table")),
            None => Some(Fields::new(self.report, format!("{key}."), None, empty)),
        }
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(self) {
        for (key, node) in self.table {
            if self.known.contains(&key.get_ref().as_ref()) {
                continue;
            }
            let name = self.report.name(key.get_ref());
            let what = match node.get_ref() {
                DeValue::Table(_) => "unknown table",
                _ => "unknown key",
            };
            let path = format!("{}{name}", self.prefix);
            self.report.add(Some(key.span().start), &path, what.into(), Some(self.suggest(name)));
        }
    }

    fn suggest(&self, name: &str) -> String {
        let known: Vec<_> = self.known.iter().filter(|known| !self.concealed.contains(known)).collect();
        let near = known.iter().map(|known| (strsim::osa_distance(known, name), known)).min();
        match near {
            Some((distance, known)) if distance <= known.len() / 3 => {
                format!("did you mean {known}?")
            }
            _ => format!("known here: {}", known.into_iter().copied().collect::<Vec<_>>().join(", ")),
        }
    }
}
