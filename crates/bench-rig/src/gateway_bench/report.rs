//! Rows for people and programs.

use super::case::{Case, FrameSize, Path, WIRE_OVERHEAD};
use super::measure::Measured;
use crate::clock::Clock;
use crate::table::drawn;
use serde::Serialize;

/// A path on frames of one size: an object in JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Of a frame in the clear, with its FCS.
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_octets: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mix: Option<&'static str>,
    suite: String,
    path: Path,
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

fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

impl Row {
    pub(crate) fn new(case: &Case, measured: &Measured, clock: &Clock) -> Self {
        let ns = clock.ns(measured.ticks);
        let gbit = |overhead: usize| rounded((case.size.mean() + overhead as f64) * 8.0 / ns);
        Row {
            frame_octets: if let FrameSize::Octets(octets) = case.size { Some(octets) } else { None },
            mix: (case.size == FrameSize::Imix).then_some("imix"),
            suite: case.suite.to_string(),
            path: measured.path,
            mpps: rounded(1e3 / ns),
            gbit_l1: gbit(WIRE_OVERHEAD),
            gbit_l2: gbit(0),
            cycles: clock.cycles(ns).map(rounded),
            clear_share: rounded(measured.clear / measured.ticks),
            engine_share: measured.engine.map(|engine| rounded(engine / measured.ticks)),
            ns: measured.split.map(|split| {
                let [receive, pass_1, crypto, pass_3, transmit] = split.map(|t| rounded(clock.ns(t)));
                Parts { receive, pass_1, crypto, pass_3, transmit }
            }),
            cores: 1,
        }
    }
}

/// The table of some cases under one suite.
pub(crate) fn table(cases: &[(Case, Vec<Row>)]) -> String {
    let header = [
        "frames",
        "path",
        "Mpps",
        "Gbit/s L1",
        "L2",
        "cycles",
        "of clear",
        "of engine",
        "ns: receive",
        "pass 1",
        "crypto",
        "pass 3",
        "transmit",
    ];
    let number = |number: Option<f64>, digits: usize| match number {
        Some(number) => format!("{number:.digits$}"),
        None => "–".to_owned(),
    };
    let share = |share: Option<f64>| share.map_or("–".to_owned(), |s| format!("{:.0} %", s * 100.0));
    let mut lines = Vec::new();
    for (case, rows) in cases {
        let mut frames = case.size.to_string();
        for row in rows {
            lines.push([
                std::mem::take(&mut frames),
                row.path.name().to_owned(),
                number(Some(row.mpps), 2),
                number(Some(row.gbit_l1), 1),
                number(Some(row.gbit_l2), 1),
                number(row.cycles, 0),
                share(Some(row.clear_share)),
                share(row.engine_share),
                number(row.ns.map(|p| p.receive), 1),
                number(row.ns.map(|p| p.pass_1), 1),
                number(row.ns.map(|p| p.crypto), 1),
                number(row.ns.map(|p| p.pass_3), 1),
                number(row.ns.map(|p| p.transmit), 1),
            ]);
        }
    }
    drawn(&header, &["frames", "path"], lines)
}
