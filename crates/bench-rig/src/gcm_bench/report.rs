//! Rows for people and programs.

use super::case::{Case, Direction, Mode, Size, Suite};
use super::contender::{Kind, LIMIT};
use super::measure::Measured;
use crate::clock::Clock;
use crate::table::drawn;
use serde::Serialize;

/// Columns that hold words.
const WORDS: &[&str] = &["frames", "contender"];

/// A contender in a case: an object in JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    suite: Suite,
    direction: Direction,
    /// Of payload, or of AAD in mode integrity.
    #[serde(skip_serializing_if = "Option::is_none")]
    octets: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mix: Option<&'static str>,
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<usize>,
    pub(super) backend: &'static str,
    /// A frame.
    pub(super) ns: f64,
    /// Of payload, or of AAD in mode integrity.
    pub(super) gbit_s: f64,
    /// Of the time stamp counter; none on CPUs without.
    cycles_per_octet: Option<f64>,
    /// The limit's time as a part of this one; none where no limit is known.
    pub(super) limit_share: Option<f64>,
    /// How many times the time of our best back end.
    #[serde(skip)]
    times: Option<f64>,
}

/// How long setting up a key takes: an object in JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeySetupRow {
    suite: Suite,
    mode: &'static str,
    pub(super) backend: &'static str,
    /// A key.
    pub(super) ns: f64,
}

fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// A row for each contender, and where `limit_row` one for the limit.
pub(crate) fn rows(
    case: &Case,
    kinds: &[Kind],
    measured: &Measured,
    clock: &Clock,
    limit_row: bool,
) -> Vec<Row> {
    // The back ends come best first.
    let ours = kinds.iter().position(Kind::is_ours).map(|i| measured.ns[i]);
    let row = |backend, ns: f64| Row {
        suite: case.suite,
        direction: case.direction,
        octets: if let Size::Octets(octets) = case.size { Some(octets) } else { None },
        mix: (case.size == Size::Imix).then_some("imix"),
        mode: case.mode,
        keys: (case.keys != 1).then_some(case.keys),
        backend,
        ns: rounded(ns),
        gbit_s: rounded(measured.octets * 8.0 / ns),
        cycles_per_octet: clock.cycles(ns).map(|cycles| rounded(cycles / measured.octets)),
        limit_share: measured.limit.map(|limit| rounded(limit / ns)),
        times: ours.map(|ours| ns / ours),
    };
    let mut rows: Vec<Row> = kinds.iter().zip(&measured.ns).map(|(kind, ns)| row(kind.name(), *ns)).collect();
    let limit = measured.limit.filter(|_| limit_row);
    rows.extend(limit.map(|limit| Row { times: None, ..row(LIMIT, limit) }));
    rows
}

/// A row for each contender.
pub(crate) fn key_setup_rows(suite: Suite, kinds: &[Kind], ns: &[f64]) -> Vec<KeySetupRow> {
    let row = |(kind, ns): (&Kind, &f64)| KeySetupRow {
        suite,
        mode: "key-setup",
        backend: kind.name(),
        ns: rounded(*ns),
    };
    kinds.iter().zip(ns).map(row).collect()
}

/// What the columns of [`lines`] are.
pub(super) const COLUMNS: [&str; 7] =
    ["frames", "contender", "ns", "Gbit/s", "cycles/octet", "of limit", "×"];
/// What the columns of [`key_setup_lines`] are.
pub(super) const KEY_SETUP_COLUMNS: [&str; 2] = ["contender", "ns"];

/// The table of some cases.
pub(crate) fn table(cases: &[(Case, Vec<Row>)]) -> String {
    drawn(&COLUMNS, WORDS, lines(cases))
}

/// What stands in the table of some cases.
pub(super) fn lines(cases: &[(Case, Vec<Row>)]) -> Vec<[String; COLUMNS.len()]> {
    let number = |number: Option<f64>, digits: usize| match number {
        Some(number) => format!("{number:.digits$}"),
        None => "–".to_owned(),
    };
    let mut lines = Vec::new();
    for (case, rows) in cases {
        let mut frames = case.frames();
        for row in rows {
            lines.push([
                std::mem::take(&mut frames),
                row.backend.to_owned(),
                number(Some(row.ns), 1),
                number(Some(row.gbit_s), 1),
                number(row.cycles_per_octet, 3),
                row.limit_share.map_or_else(|| number(None, 0), |share| format!("{:.0} %", share * 100.0)),
                number(row.times, 2),
            ]);
        }
    }
    lines
}

/// The table of key set-up.
pub(crate) fn key_setup_table(rows: &[KeySetupRow]) -> String {
    drawn(&KEY_SETUP_COLUMNS, WORDS, key_setup_lines(rows))
}

/// What stands in the table of key set-up.
pub(super) fn key_setup_lines(rows: &[KeySetupRow]) -> Vec<[String; KEY_SETUP_COLUMNS.len()]> {
    rows.iter().map(|row| [row.backend.to_owned(), format!("{:.0}", row.ns)]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::case::Filter;
    use super::*;
    use crate::console::json_lines;
    use gcm::Backend;
    use serde_json::Value;

    fn lines(case: &Case, limit: Option<f64>) -> Vec<Value> {
        let kinds = [Kind::AwsLc, Kind::Ours(Backend::PORTABLE)];
        let measured = Measured { ns: vec![40.0, 10.0], limit, octets: 50.0 };
        let rows = rows(case, &kinds, &measured, &Clock::new(), true);
        let text = json_lines(&rows).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn keys(row: &Value) -> Vec<&str> {
        let mut keys: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn rows_have_the_keys_that_were_promised() {
        let cases = Filter::default().cases();
        let lines = |i: usize| lines(&cases[i], Some(5.0));
        let usual =
            ["backend", "cycles_per_octet", "direction", "gbit_s", "limit_share", "mode", "ns", "suite"];
        let with = |more: &[&'static str]| {
            let mut all = [&usual[..], more].concat();
            all.sort_unstable();
            all
        };
        assert_eq!(keys(&lines(0)[0]), with(&["octets"]));
        assert_eq!(keys(&lines(7)[0]), with(&["mix"]));
        assert_eq!(keys(&lines(8)[0]), with(&["mix", "keys"]));
        assert_eq!(keys(&lines(9)[0]), with(&["octets"]));
        let row = &lines(0)[0];
        assert_eq!((&row["suite"], &row["direction"]), (&"gcm-aes-128".into(), &"seal".into()));
        assert_eq!((&row["octets"], &row["mode"]), (&48.into(), &"encrypt".into()));
        assert_eq!((&row["backend"], &row["ns"]), (&"aws-lc-rs".into(), &40.0.into()));
        assert_eq!((&row["gbit_s"], &row["limit_share"]), (&10.0.into(), &0.125.into()));
        assert_eq!(lines(8)[0]["keys"], 8);
        assert_eq!((&lines(9)[0]["mode"], &lines(9)[0]["octets"]), (&"integrity".into(), &76.into()));
        let limit = &lines(0)[2];
        assert_eq!((&limit["backend"], &limit["limit_share"]), (&"limit".into(), &1.0.into()));
    }

    #[test]
    fn without_a_limit_there_is_no_row_of_it() {
        let rows = lines(&Filter::default().cases()[0], None);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["limit_share"], Value::Null);
        assert!(keys(&rows[0]).contains(&"limit_share"));
    }

    #[test]
    fn key_setup_is_a_row_too() {
        let rows = key_setup_rows(Suite::GcmAes256, &[Kind::RustCrypto], &[123.45678]);
        let text = json_lines(&rows).unwrap();
        assert_eq!(
            text,
            "{\"suite\":\"gcm-aes-256\",\"mode\":\"key-setup\",\"backend\":\"rustcrypto\",\"ns\":123.4568}\n"
        );
        assert!(key_setup_table(&rows).contains("123"));
    }

    #[test]
    fn the_table_holds_everyone_against_our_best() {
        let case = Filter::default().cases()[0];
        let kinds = [Kind::Ours(Backend::PORTABLE), Kind::AwsLc];
        let measured = Measured { ns: vec![10.0, 25.0], limit: Some(5.0), octets: 48.0 };
        let rows = rows(&case, &kinds, &measured, &Clock::new(), true);
        let drawn = table(&[(case, rows)]);
        let line = |name: &str| {
            let line = drawn.lines().rev().find(|line| line.contains(name)).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(line("portable").last().unwrap(), "1.00");
        assert_eq!(line("aws-lc-rs").last().unwrap(), "2.50");
        assert!(line("limit ").ends_with(&["100", "%", "–"].map(str::to_owned)));
        assert_eq!(line("48 octets")[..2], ["48", "octets"]);
    }
}
