//! Counters for people and programs.

use crate::output::Output;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

/// One set of counters and what it belongs to: an object a line in JSON.
#[derive(Clone, Debug)]
pub struct Row {
    head: Map<String, Value>,
    counts: Vec<(&'static str, u64)>,
}

impl Row {
    /// Counters of `link` at `scope`: `secy`, `tx_sc`, `rx_sa`, `port`, ….
    pub fn new(link: &str, scope: &str) -> Self {
        let head = Map::from_iter([("link".to_owned(), link.into()), ("scope".to_owned(), scope.into())]);
        Row { head, counts: Vec::new() }
    }

    /// Adds a word that tells which.
    #[must_use]
    pub fn text(mut self, name: &str, value: impl Display) -> Self {
        self.head.insert(name.to_owned(), value.to_string().into());
        self
    }

    /// Adds a number that tells which.
    #[must_use]
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.head.insert(name.to_owned(), value.into());
        self
    }

    /// Adds counters.
    #[must_use]
    pub fn counts(mut self, values: impl IntoIterator<Item = (&'static str, u64)>) -> Self {
        self.counts.extend(values);
        self
    }

    /// A counter's value.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.counts.iter().find(|(known, _)| *known == name).map(|(_, n)| *n)
    }

    /// Whether this is of `scope`.
    pub fn is(&self, scope: &str) -> bool {
        self.head.get("scope").and_then(Value::as_str) == Some(scope)
    }

    /// As a JSON object.
    pub fn json(&self) -> Value {
        let mut object = self.head.clone();
        object.extend(self.counts.iter().map(|(name, n)| ((*name).to_owned(), Value::from(*n))));
        Value::Object(object)
    }

    fn title(&self) -> String {
        let words = self.head.iter().filter(|(name, _)| *name != "link").map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match name.as_str() {
                "scope" => value,
                name => format!("{name} {value}"),
            }
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

/// Replaces `path` with the rows, one JSON object a line. A reader sees the old file or the new one, whole; a pipe or
/// device gets them as they come.
///
/// # Errors
/// The system's.
pub fn write_rows(path: &Path, rows: &[Row]) -> io::Result<()> {
    let output = Output::open_at_once(path, 0o644)?;
    let text: String = rows.iter().map(|row| format!("{}\n", row.json())).collect();
    output.file().write_all(text.as_bytes())?;
    output.finish()
}

/// The counters that have moved, as a table.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(["of", "counter", "value"]);
    for row in rows {
        let mut title = row.title();
        for (name, n) in row.counts.iter().filter(|(_, n)| *n > 0) {
            table.add_row([std::mem::take(&mut title), (*name).to_owned(), n.to_string()]);
        }
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn rows() -> Vec<Row> {
        vec![
            Row::new("l1", "secy").counts([("InPktsNoTag", 0), ("InPktsBadTag", 3)]),
            Row::new("l1", "rx_sa").text("sci", "0200000000010001").number("an", 2).counts([("InPktsOK", 7)]),
        ]
    }

    #[test]
    fn a_line_is_an_object_with_the_standards_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        write_rows(&path, &rows()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"link\":\"l1\",\"scope\":\"secy\",\"InPktsNoTag\":0,\"InPktsBadTag\":3}\n\
             {\"link\":\"l1\",\"scope\":\"rx_sa\",\"sci\":\"0200000000010001\",\"an\":2,\"InPktsOK\":7}\n"
        );
        assert!(write_rows(&dir.path().join("no/such/dir"), &rows()).is_err());
    }

    #[test]
    fn the_table_shows_what_moved() {
        let text = table(&rows());
        assert!(
            text.contains("rx_sa, sci 0200000000010001, an 2") && text.contains("InPktsBadTag"),
            "{text}"
        );
        assert!(!text.contains("InPktsNoTag"), "{text}");
    }
}
