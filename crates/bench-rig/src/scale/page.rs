//! The page of a run.

use super::case::Case;
use super::report::{self, COLUMNS, Row};
use crate::console::json_lines;
use crate::report::{Facts, Kind, Page, Plot, Scale, Series, Table, command_line};

/// The page; `heading` says how it was measured. Cases of one suite and path stand together.
///
/// # Errors
/// None that a run can cause.
pub(super) fn of(results: &[(Case, Vec<Row>)], heading: &str, facts: Facts) -> serde_json::Result<Page> {
    let mut page = Page::new("Crypto workers", &command_line(), facts).text(&format!("{heading}."));
    page = page.text(
        "One direction of a link, or on path both one after the other, with an owner and as many crypto workers each. \
         Without crypto workers its owner does everything, on one core. With them it receives \
         and transmits, hands them whole bursts in turn, does one itself while all of them are busy, and takes all back in \
         the same order. Rates are of frames in the clear, with preamble and gap. Speed-up is against no crypto worker, \
         per worker it is that by crypto workers; efficiency is what each core is worth beside one that does everything.",
    );
    for cases in results.chunk_by(|a, b| (a.0.suite, a.0.way) == (b.0.suite, b.0.way)) {
        let title = format!("{}, {}", cases[0].0.suite, cases[0].0.way.name());
        let most = cases.iter().map(|(_, rows)| rows.len()).max().unwrap_or(0);
        page = page.heading(&title).plot(rates(&title, cases, most));
        // One number is no plot.
        if most > 2 {
            page = page.plot(efficiencies(&title, cases, most));
        }
        page = page.table(Table::of(&title, &COLUMNS, report::lines(cases)));
        for (_, rows) in cases {
            page = page.results(&json_lines(rows)?);
        }
    }
    Ok(page)
}

/// A series for each size, of what `point` says of each row.
fn series(cases: &[(Case, Vec<Row>)], point: impl Fn(&Row) -> Option<(f64, f64)>) -> Vec<Series> {
    let one = |(case, rows): &(Case, Vec<Row>)| Series {
        name: case.size.to_string(),
        points: rows.iter().filter_map(&point).collect(),
    };
    cases.iter().map(one).collect()
}

fn rates(title: &str, cases: &[(Case, Vec<Row>)], most: usize) -> Plot {
    Plot {
        title: format!("{title}: rate"),
        x: "crypto workers beside the owner".to_owned(),
        y: "Gbit/s, with preamble and gap".to_owned(),
        scale: Scale::Linear,
        kind: Kind::Steps((0..most).map(|workers| workers.to_string()).collect()),
        series: series(cases, |row| Some((row.workers as f64, row.gbit_l1))),
    }
}

fn efficiencies(title: &str, cases: &[(Case, Vec<Row>)], most: usize) -> Plot {
    Plot {
        title: format!("{title}: efficiency"),
        x: "crypto workers beside the owner".to_owned(),
        y: "efficiency, %".to_owned(),
        scale: Scale::Linear,
        kind: Kind::Steps((1..most).map(|workers| workers.to_string()).collect()),
        series: series(cases, |row| Some((row.workers as f64 - 1.0, row.efficiency? * 100.0))),
    }
}
