//! The page of a run.

use super::case::{Case, Mode, Size, Suite};
use super::contender::LIMIT;
use super::report::{self, COLUMNS, KEY_SETUP_COLUMNS, KeySetupRow, Row};
use crate::console::json_lines;
use crate::report::{Facts, Kind, Page, Plot, Scale, Series, Table, command_line};

/// Sizes below which there is no line to be drawn.
const FEWEST_SIZES: usize = 3;

/// What a run measured.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// Those of one suite and direction stand together.
    pub(super) cases: Vec<(Case, Vec<Row>)>,
    pub(super) keys: Vec<(Suite, Vec<KeySetupRow>)>,
}

/// The page; `heading` says how it was measured.
///
/// # Errors
/// None that a run can cause.
pub(super) fn of(results: &Results, heading: &str, facts: Facts) -> serde_json::Result<Page> {
    let mut page = Page::new("AES-GCM, frame by frame", &command_line(), facts).text(&format!("{heading}."));
    page = page.text(
        "Times are nanoseconds a frame on one core, setting up the burst included. Rates are of payload, or of AAD where \
         nothing is encrypted. The limit is what the CPU takes for AES and carry-less multiplication alone; × is how many \
         times the time of the gateway's best back end.",
    );
    let alike =
        |a: &(Case, Vec<Row>), b: &(Case, Vec<Row>)| (a.0.suite, a.0.direction) == (b.0.suite, b.0.direction);
    for cases in results.cases.chunk_by(alike) {
        let title = format!("{}, {}", cases[0].0.suite.name(), cases[0].0.direction.name());
        page = page.heading(&title);
        let (line, rest): (Vec<_>, Vec<_>) = cases.iter().partition(|(case, _)| octets(case).is_some());
        let (line, rest) =
            if line.len() < FEWEST_SIZES { (Vec::new(), cases.iter().collect()) } else { (line, rest) };
        if !line.is_empty() {
            page = page.plot(rates_by_octets(&title, &line)).plot(times_by_octets(&title, &line));
            page = line
                .iter()
                .any(|(_, rows)| rows.iter().any(|row| row.limit_share.is_some()))
                .then(|| shares(&title, &line))
                .into_iter()
                .fold(page, Page::plot);
        }
        if !rest.is_empty() {
            page = page.plot(rates_by_frames(&title, &rest));
        }
        page = page.table(Table::of(&title, &COLUMNS, report::lines(cases)));
        for (_, rows) in cases {
            page = page.results(&json_lines(rows)?);
        }
    }
    if !results.keys.is_empty() {
        page = page.heading("Setting up a key").plot(key_setup(&results.keys));
    }
    for (suite, rows) in &results.keys {
        page = page.table(Table::of(suite.name(), &KEY_SETUP_COLUMNS, report::key_setup_lines(rows)));
        page = page.results(&json_lines(rows)?);
    }
    Ok(page)
}

/// Octets of payload, of encrypted frames that are all alike and have one key.
fn octets(case: &Case) -> Option<usize> {
    match (case.mode, case.size, case.keys) {
        (Mode::Encrypt, Size::Octets(octets), 1) => Some(octets),
        _ => None,
    }
}

/// A series for everyone who has a row: for each case that they are in, its place and what `number` says.
fn series(
    cases: &[&(Case, Vec<Row>)],
    place: impl Fn(usize, &Case) -> f64,
    number: impl Fn(&Row) -> Option<f64>,
) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for (i, (case, rows)) in cases.iter().enumerate() {
        for row in rows {
            let Some(number) = number(row) else { continue };
            let point = (place(i, case), number);
            match all.iter_mut().find(|series| series.name == row.backend) {
                Some(series) => series.points.push(point),
                None => all.push(Series { name: row.backend.to_owned(), points: vec![point] }),
            }
        }
    }
    all
}

fn payload(_: usize, case: &Case) -> f64 {
    octets(case).map_or(f64::NAN, |octets| octets as f64)
}

fn order(i: usize, _: &Case) -> f64 {
    i as f64
}

fn rates_by_octets(title: &str, cases: &[&(Case, Vec<Row>)]) -> Plot {
    Plot {
        title: format!("{title}: rate"),
        x: "payload, octets".to_owned(),
        y: "Gbit/s".to_owned(),
        scale: Scale::Linear,
        kind: Kind::Lines(Scale::Log),
        series: series(cases, payload, |row| Some(row.gbit_s)),
    }
}

fn times_by_octets(title: &str, cases: &[&(Case, Vec<Row>)]) -> Plot {
    Plot {
        title: format!("{title}: time"),
        x: "payload, octets".to_owned(),
        y: "ns a frame".to_owned(),
        scale: Scale::Log,
        kind: Kind::Lines(Scale::Log),
        series: series(cases, payload, |row| Some(row.ns)),
    }
}

fn shares(title: &str, cases: &[&(Case, Vec<Row>)]) -> Plot {
    Plot {
        title: format!("{title}: how near to the limit"),
        x: "payload".to_owned(),
        y: "of limit, %".to_owned(),
        scale: Scale::Linear,
        kind: Kind::Steps(cases.iter().map(|(case, _)| case.frames()).collect()),
        series: series(cases, order, |row| Some(row.limit_share? * 100.0).filter(|_| row.backend != LIMIT)),
    }
}

fn rates_by_frames(title: &str, cases: &[&(Case, Vec<Row>)]) -> Plot {
    Plot {
        title: format!("{title}: rate"),
        x: "frames".to_owned(),
        y: "Gbit/s".to_owned(),
        scale: Scale::Linear,
        kind: Kind::Bars(cases.iter().map(|(case, _)| case.frames()).collect()),
        series: series(cases, order, |row| Some(row.gbit_s)),
    }
}

fn key_setup(keys: &[(Suite, Vec<KeySetupRow>)]) -> Plot {
    let mut all: Vec<Series> = Vec::new();
    for (i, (_, rows)) in keys.iter().enumerate() {
        for row in rows {
            match all.iter_mut().find(|series| series.name == row.backend) {
                Some(series) => series.points.push((i as f64, row.ns)),
                None => all.push(Series { name: row.backend.to_owned(), points: vec![(i as f64, row.ns)] }),
            }
        }
    }
    Plot {
        title: "Setting up a key: time".to_owned(),
        x: "suite".to_owned(),
        y: "ns a key".to_owned(),
        scale: Scale::Linear,
        kind: Kind::Bars(keys.iter().map(|(suite, _)| suite.name().to_owned()).collect()),
        series: all,
    }
}
