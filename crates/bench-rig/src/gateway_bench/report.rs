//! Rows for people and programs, and pictures of them.

use super::case::{Case, FrameSize, Path};
use super::measure::Measured;
use crate::clock::Clock;
use crate::ethernet::WIRE_OVERHEAD;
use crate::report::{Kind, Plot, Scale, Series, Table};
use crate::table::drawn;
use serde::Serialize;

/// Columns of words.
const WORDS: [&str; 2] = ["frames", "path"];

/// Which frames a row is about; part of each object in JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct About {
    /// Of a frame in the clear, with its FCS.
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_octets: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mix: Option<&'static str>,
    suite: String,
    pub(crate) path: Path,
}

impl About {
    pub(crate) fn new(case: &Case, path: Path) -> Self {
        About {
            frame_octets: if let FrameSize::Octets(octets) = case.size { Some(octets) } else { None },
            mix: (case.size == FrameSize::Imix).then_some("imix"),
            suite: case.suite.to_string(),
            path,
        }
    }
}

/// A path on frames of one size: an object in JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    about: About,
    /// Where frames come from and go to.
    ports: &'static str,
    /// Million frames a second; on path both, frames that went both ways.
    mpps: f64,
    /// Of frames in the clear, with FCS, preamble and gap.
    gbit_l1: f64,
    /// The same, with FCS alone.
    gbit_l2: f64,
    /// Of the time stamp counter, a frame; none on CPUs without.
    cycles: Option<f64>,
    /// The rate as a part of the loop's without crypto.
    clear_share: f64,
    /// The rate as a part of a forwarder's on devices like these; none where there is none.
    io_share: Option<f64>,
    /// The rate as a part of the engine's alone.
    engine_share: Option<f64>,
    /// Nanoseconds a frame of each part.
    #[serde(skip_serializing_if = "Option::is_none")]
    ns: Option<Parts>,
    cores: usize,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Parts {
    receive: f64,
    pass_1: f64,
    crypto: f64,
    pass_3: f64,
    transmit: f64,
}

/// What a part of a frame's time is called, and how long it is.
type NamedPart = (&'static str, fn(&Parts) -> f64);
const PARTS: [NamedPart; 5] = [
    ("receive", |parts| parts.receive),
    ("pass 1", |parts| parts.pass_1),
    ("crypto", |parts| parts.crypto),
    ("pass 3", |parts| parts.pass_3),
    ("transmit", |parts| parts.transmit),
];

pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// Gbit/s of frames that take so many nanoseconds each, with so many octets beside each.
pub(crate) fn gbit(case: &Case, ns: f64, overhead: usize) -> f64 {
    rounded((case.size.mean() + overhead as f64) * 8.0 / ns)
}

impl Row {
    pub(crate) fn new(case: &Case, ports: &'static str, measured: &Measured, clock: &Clock) -> Self {
        let ns = clock.ns(measured.ticks);
        Row {
            about: About::new(case, measured.path),
            ports,
            mpps: rounded(1e3 / ns),
            gbit_l1: gbit(case, ns, WIRE_OVERHEAD),
            gbit_l2: gbit(case, ns, 0),
            cycles: clock.cycles(ns).map(rounded),
            clear_share: rounded(measured.clear),
            io_share: measured.io.map(rounded),
            engine_share: measured.engine.map(rounded),
            ns: measured.split.map(|split| {
                let [receive, pass_1, crypto, pass_3, transmit] = split.map(|t| rounded(clock.ns(t)));
                Parts { receive, pass_1, crypto, pass_3, transmit }
            }),
            cores: 1,
        }
    }
}

/// A table, to be printed or to be put on a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    head: Vec<&'static str>,
    lines: Vec<Vec<String>>,
}

impl Shown {
    /// One with these columns, after those for frames and path, and what `cells` says of each row.
    pub(crate) fn new<R>(
        columns: &[&'static str],
        cases: &[(Case, Vec<R>)],
        about: impl Fn(&R) -> &About,
        cells: impl Fn(&R) -> Vec<String>,
    ) -> Self {
        let mut lines = Vec::new();
        for (case, rows) in cases {
            let mut frames = case.size.to_string();
            for row in rows {
                let mut line = vec![std::mem::take(&mut frames), about(row).path.name().to_owned()];
                line.extend(cells(row));
                lines.push(line);
            }
        }
        Shown { head: WORDS.iter().chain(columns).copied().collect(), lines }
    }

    pub(crate) fn drawn(&self) -> String {
        drawn(&self.head, &WORDS, self.lines.clone())
    }

    pub(crate) fn table(&self, title: &str) -> Table {
        let head = self.head.iter().map(|name| (*name).to_owned()).collect();
        Table { title: title.to_owned(), head, rows: self.lines.clone() }
    }
}

/// A number with so many digits, or a dash.
pub(crate) fn number(number: Option<f64>, digits: usize) -> String {
    number.map_or("–".to_owned(), |number| format!("{number:.digits$}"))
}

/// A part of a whole in percent, or a dash.
pub(crate) fn share(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// The table of rates; `io` is whether a forwarder's rate is known.
pub(crate) fn rates(cases: &[(Case, Vec<Row>)], io: bool) -> Shown {
    let mut columns = vec!["Mpps", "Gbit/s L1", "L2", "cycles", "of clear"];
    columns.extend(io.then_some("of io"));
    columns.extend(["of engine", "ns: receive", "pass 1", "crypto", "pass 3", "transmit"]);
    let cells = |row: &Row| {
        let mut cells = vec![
            number(Some(row.mpps), 2),
            number(Some(row.gbit_l1), 1),
            number(Some(row.gbit_l2), 1),
            number(row.cycles, 0),
            share(Some(row.clear_share)),
        ];
        cells.extend(io.then(|| share(row.io_share)));
        cells.push(share(row.engine_share));
        cells.extend(PARTS.map(|(_, part)| number(row.ns.as_ref().map(part), 1)));
        cells
    };
    Shown::new(&columns, cases, |row| &row.about, cells)
}

/// Bars over frames; a series for each path, of what `number` says of its rows.
pub(crate) fn bars<R>(
    title: String,
    up: &str,
    cases: &[(Case, Vec<R>)],
    about: impl Fn(&R) -> &About,
    number: impl Fn(&R) -> Option<f64>,
) -> Plot {
    let names = cases.iter().map(|(case, _)| case.size.to_string()).collect();
    let rows = cases.iter().enumerate().flat_map(|(i, (_, rows))| rows.iter().map(move |row| (i, row)));
    let points = rows.filter_map(|(i, row)| Some((about(row).path.name(), i, number(row)?)));
    plot(title, up, names, points)
}

/// Bars over names; a series for each name of a point, whose place and height follow.
pub(crate) fn plot<'a>(
    title: String,
    up: &str,
    names: Vec<String>,
    points: impl Iterator<Item = (&'a str, usize, f64)>,
) -> Plot {
    let mut series: Vec<Series> = Vec::new();
    for (name, place, number) in points {
        let point = (place as f64, number);
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => series.push(Series { name: name.to_owned(), points: vec![point] }),
        }
    }
    let (x, y) = ("frames".to_owned(), up.to_owned());
    Plot { title, x, y, scale: Scale::Linear, kind: Kind::Bars(names), series }
}

/// Pictures of rates: how many frames, how near to the engine and to a forwarder, and where the time goes.
pub(crate) fn rate_plots(title: &str, cases: &[(Case, Vec<Row>)]) -> Vec<Plot> {
    let rows = || cases.iter().flat_map(|(_, rows)| rows);
    let mut plots =
        vec![bars(format!("{title}: rate"), "Mpps", cases, |row| &row.about, |row| Some(row.mpps))];
    if rows().any(|row| row.engine_share.is_some()) {
        let of_engine = |row: &Row| Some(row.engine_share? * 100.0);
        let title = format!("{title}: how near to the engine alone");
        plots.push(bars(title, "of engine, %", cases, |row| &row.about, of_engine));
    }
    if rows().any(|row| row.io_share.is_some()) {
        let of_io = |row: &Row| Some(row.io_share? * 100.0);
        let title = format!("{title}: how near to a forwarder that does nothing");
        plots.push(bars(title, "of io, %", cases, |row| &row.about, of_io));
    }
    for path in Path::ALL {
        let of_path = |row: &&Row| row.about.path == path && row.ns.is_some();
        if !rows().any(|row| of_path(&row)) {
            continue;
        }
        let names = cases.iter().map(|(case, _)| case.size.to_string()).collect();
        let mut points = Vec::new();
        for (name, part) in PARTS {
            for (i, (_, rows)) in cases.iter().enumerate() {
                let ns = rows.iter().filter(of_path).filter_map(|row| row.ns.as_ref());
                points.extend(ns.map(|parts| (name, i, part(parts))));
            }
        }
        let title = format!("{title}, {}: where the time of a frame goes", path.name());
        plots.push(plot(title, "ns a frame", names, points.into_iter()));
    }
    plots
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::CipherSuite;

    fn row(size: FrameSize, io: Option<f64>) -> Row {
        let case = Case { suite: CipherSuite::ALL[0], size };
        let split = Some([1.0, 2.0, 3.0, 4.0, 5.0]);
        let measured =
            Measured { path: Path::Protect, ticks: 100.0, clear: 0.25, engine: Some(0.5), io, split };
        Row::new(&case, "replay", &measured, &Clock::new())
    }

    #[test]
    fn rows_have_the_keys_that_were_promised() {
        for (size, key) in [(FrameSize::Octets(64), "frame_octets"), (FrameSize::Imix, "mix")] {
            let json = serde_json::to_value(row(size, Some(0.1))).unwrap();
            for key in [key, "suite", "path", "ports", "mpps", "gbit_l1", "gbit_l2", "ns", "cores"] {
                assert!(json.get(key).is_some(), "{key}: {json}");
            }
            assert_eq!(json["cycles"].is_number(), gcm::limit::tsc().is_some());
            let shares = (&json["clear_share"], &json["io_share"], &json["engine_share"]);
            assert_eq!(shares, (&0.25.into(), &0.1.into(), &0.5.into()));
            assert_eq!(json.as_object().unwrap().len(), 13);
        }
        let json = serde_json::to_value(row(FrameSize::Imix, None)).unwrap();
        assert_eq!(json.get("io_share"), Some(&serde_json::Value::Null), "said, also where there is none");
    }

    #[test]
    fn a_column_of_a_forwarder_only_where_one_was_to_run() {
        let case = Case { suite: CipherSuite::ALL[0], size: FrameSize::Octets(64) };
        let cases = [(case, vec![row(case.size, Some(0.1)), row(case.size, None)])];
        let (with, without) = (rates(&cases, true).drawn(), rates(&cases, false).drawn());
        assert!(with.contains("of io") && with.contains("10 %") && with.contains('–'), "{with}");
        assert!(!without.contains("of io") && without.contains("64 octets"), "{without}");
        let titles: Vec<String> = rate_plots("suite", &cases).into_iter().map(|plot| plot.title).collect();
        assert_eq!(titles.len(), 4, "{titles:?}");
    }
}
