//! Rows for people and programs.

use super::case::{Case, Way};
use crate::ethernet::WIRE_OVERHEAD;
use crate::gateway_bench::FrameSize;
use crate::table::drawn;
use serde::Serialize;

/// A number of crypto workers on frames of one size: an object in JSON.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// Of a frame in the clear, with its FCS.
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_octets: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mix: Option<&'static str>,
    suite: String,
    path: Way,
    /// Crypto workers beside each owner; 0 is run to completion.
    pub(super) workers: usize,
    /// Owners' among them.
    cores: usize,
    /// Million frames a second.
    mpps: f64,
    /// Of frames in the clear, with FCS, preamble and gap.
    pub(super) gbit_l1: f64,
    /// The same, with FCS alone.
    gbit_l2: f64,
    /// The rate as a multiple of that without crypto workers.
    speed_up: f64,
    /// The speed-up, by crypto workers; none without.
    per_worker: Option<f64>,
    /// The rate as a part of that of so many cores that each do everything; none without crypto workers.
    pub(super) efficiency: Option<f64>,
}

fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// What each core is worth beside one that does everything; none without crypto workers. The owner's counts, since it does
/// bursts itself while it has nothing else to do: how much of it goes into crypto depends on how many help.
fn efficiency(rates: &[f64], workers: usize) -> Option<f64> {
    let alone = rates.first().filter(|_| workers > 0)?;
    Some(rates.get(workers)? / ((workers + 1) as f64 * alone))
}

/// A row for each number of crypto workers, from 0 on, with these frames a second.
pub(super) fn rows(case: &Case, rates: &[f64]) -> Vec<Row> {
    let row = |(workers, &fps): (usize, &f64)| {
        let gbit = |overhead: usize| rounded(fps * (case.size.mean() + overhead as f64) * 8.0 / 1e9);
        Row {
            frame_octets: if let FrameSize::Octets(octets) = case.size { Some(octets) } else { None },
            mix: (case.size == FrameSize::Imix).then_some("imix"),
            suite: case.suite.to_string(),
            path: case.way,
            workers,
            cores: case.way.owners() * (workers + 1),
            mpps: rounded(fps / 1e6),
            gbit_l1: gbit(WIRE_OVERHEAD),
            gbit_l2: gbit(0),
            speed_up: rounded(fps / rates[0]),
            per_worker: (workers > 0).then(|| rounded(fps / rates[0] / workers as f64)),
            efficiency: efficiency(rates, workers).map(rounded),
        }
    };
    rates.iter().enumerate().map(row).collect()
}

/// What the columns of [`lines`] are.
pub(super) const COLUMNS: [&str; 9] =
    ["frames", "workers", "cores", "Mpps", "Gbit/s L1", "L2", "speed-up", "per worker", "efficiency"];

/// The table of some cases.
pub(super) fn table(cases: &[(Case, Vec<Row>)]) -> String {
    drawn(&COLUMNS, &["frames"], lines(cases))
}

/// What stands in the table of some cases.
pub(super) fn lines(cases: &[(Case, Vec<Row>)]) -> Vec<[String; COLUMNS.len()]> {
    let mut lines = Vec::new();
    let percent = |share: Option<f64>| share.map_or("–".to_owned(), |s| format!("{:.0} %", s * 100.0));
    for (case, rows) in cases {
        let mut frames = case.size.to_string();
        for row in rows {
            lines.push([
                std::mem::take(&mut frames),
                row.workers.to_string(),
                row.cores.to_string(),
                format!("{:.2}", row.mpps),
                format!("{:.1}", row.gbit_l1),
                format!("{:.1}", row.gbit_l2),
                format!("{:.2}", row.speed_up),
                percent(row.per_worker),
                percent(row.efficiency),
            ]);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use wire::CipherSuite;

    fn case(size: FrameSize) -> Case {
        Case { suite: CipherSuite::GcmAes128, way: Way::Protect, size }
    }

    #[test]
    fn efficiency_is_of_cores() {
        let rates = [4e6, 8e6, 9e6, 12e6];
        assert_eq!([0, 1, 2, 3].map(|n| efficiency(&rates, n)), [None, Some(1.0), Some(0.75), Some(0.75)]);
        assert_eq!((efficiency(&rates, 4), efficiency(&rates[..1], 0)), (None, None));
        let rows = rows(&case(FrameSize::Octets(64)), &rates);
        let speed_ups: Vec<f64> = rows.iter().map(|row| row.speed_up).collect();
        assert_eq!(speed_ups, [1.0, 2.0, 2.25, 3.0]);
        assert_eq!((rows[2].efficiency, rows[2].per_worker), (Some(0.75), Some(1.125)));
        assert_eq!(rows[0].per_worker, None);
        let both = super::rows(&Case { way: Way::Both, ..case(FrameSize::Octets(64)) }, &rates);
        assert!(both.iter().map(|row| row.cores).eq([2, 4, 6, 8]) && both[2].efficiency == Some(0.75));
    }

    #[test]
    fn rows_have_the_keys_that_were_promised() {
        for (size, key) in [(FrameSize::Octets(1518), "frame_octets"), (FrameSize::Imix, "mix")] {
            let rows = serde_json::to_value(rows(&case(size), &[1e6, 2e6])).unwrap();
            let Value::Array(rows) = rows else { panic!("{rows}") };
            for row in &rows {
                let mut keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
                keys.sort_unstable();
                let mut promised = vec![
                    "cores",
                    "efficiency",
                    key,
                    "gbit_l1",
                    "gbit_l2",
                    "mpps",
                    "path",
                    "per_worker",
                    "speed_up",
                    "suite",
                    "workers",
                ];
                promised.sort_unstable();
                assert_eq!(keys, promised);
            }
            assert_eq!((&rows[0]["workers"], &rows[0]["cores"]), (&0.into(), &1.into()));
            assert_eq!((&rows[0]["efficiency"], &rows[1]["efficiency"]), (&Value::Null, &1.0.into()));
            assert_eq!((&rows[1]["suite"], &rows[1]["path"]), (&"gcm-aes-128".into(), &"protect".into()));
        }
        let row = &rows(&case(FrameSize::Octets(1230)), &[1e6])[0];
        assert_eq!((row.gbit_l1, row.gbit_l2, row.mpps), (10.0, 9.84, 1.0));
    }

    #[test]
    fn the_table_has_a_line_for_each_number_of_workers() {
        let case = case(FrameSize::Octets(512));
        let drawn = table(&[(case, rows(&case, &[1e6, 1.5e6, 2.4e6]))]);
        let line =
            drawn.lines().find(|line| line.contains("80 %")).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(line, ["2", "3", "2.40", "10.2", "9.8", "2.40", "120", "%", "80", "%"]);
        assert!(drawn.contains("512 octets") && drawn.contains('–'), "{drawn}");
    }
}
