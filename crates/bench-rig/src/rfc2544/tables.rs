//! Results as tables for people.

use super::results::{Test, Trial};
use super::size::FrameSize;
use crate::table::drawn;

/// Columns that hold words.
const WORDS: &[&str] = &["frames", "direction", "remarks"];

/// A test's results: what stands in its table.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    pub(crate) test: Test,
    pub(crate) title: &'static str,
    pub(crate) head: Vec<&'static str>,
    pub(crate) lines: Vec<Vec<String>>,
}

impl Lines {
    fn of<const N: usize>(
        test: Test,
        title: &'static str,
        head: [&'static str; N],
        line: impl Fn(&Trial) -> [String; N],
        trials: &[Trial],
    ) -> Self {
        let lines = results(trials, test).map(|row| line(row).into()).collect();
        Lines { test, title, head: head.into(), lines }
    }
}

/// What a test found, without the steps on the way there.
pub(crate) fn results(trials: &[Trial], test: Test) -> impl Iterator<Item = &Trial> {
    trials.iter().filter(move |row| row.is_result && row.test == test)
}

/// A table for each test that has results.
pub(crate) fn tables(trials: &[Trial]) -> String {
    let draw = |table: Lines| format!("\n{}\n{}\n", table.title, drawn(&table.head, WORDS, table.lines));
    lines(trials).into_iter().map(draw).collect()
}

/// What stands in these tables.
pub(crate) fn lines(trials: &[Trial]) -> Vec<Lines> {
    let mut all = vec![throughput(trials), latency(trials), loss(trials), bursts(trials)];
    all.retain(|table| !table.lines.is_empty());
    all
}

fn throughput(trials: &[Trial]) -> Lines {
    let header = ["frames", "direction", "offered", "Mframes/s", "Gbit/s L1", "Gbit/s L2", "remarks"];
    let line = |row: &Trial| {
        let none = "–".to_owned();
        let or_none = |text: String| if row.passed { text } else { none.clone() };
        [
            frames(row.frame_octets),
            row.direction.name().to_owned(),
            or_none(percent(row.offered_share)),
            or_none(mega(row.received_fps)),
            or_none(gbit(row.gbit_l1)),
            or_none(gbit(row.gbit_l2)),
            remarks(row),
        ]
    };
    Lines::of(Test::Throughput, "Throughput: the greatest rate without loss", header, line, trials)
}

fn latency(trials: &[Trial]) -> Lines {
    let header =
        ["frames", "direction", "offered", "Mframes/s", "median", "99 %", "99.9 %", "most", "remarks"];
    let line = |row: &Trial| {
        let micro = |of: fn(&super::results::Latency) -> f64| {
            row.latency_ns.as_ref().map_or("–".to_owned(), |latency| format!("{:.2}", of(latency) / 1e3))
        };
        [
            frames(row.frame_octets),
            row.direction.name().to_owned(),
            percent(row.offered_share),
            mega(row.received_fps),
            micro(|latency| latency.p50),
            micro(|latency| latency.p99),
            micro(|latency| latency.p999),
            micro(|latency| latency.max),
            remarks(row),
        ]
    };
    Lines::of(Test::Latency, "Latency, at shares of the throughput; microseconds", header, line, trials)
}

fn loss(trials: &[Trial]) -> Lines {
    let header = ["frames", "direction", "offered", "Mframes/s", "received", "lost", "of sent", "remarks"];
    let line = |row: &Trial| {
        [
            frames(row.frame_octets),
            row.direction.name().to_owned(),
            percent(row.offered_share),
            mega(row.offered_fps),
            mega(row.received_fps),
            row.lost.to_string(),
            format!("{:.4} %", row.loss_share * 100.0),
            remarks(&Trial { lost: 0, passed: true, ..row.clone() }),
        ]
    };
    Lines::of(Test::Loss, "Frame loss", header, line, trials)
}

fn bursts(trials: &[Trial]) -> Lines {
    let header = ["frames", "direction", "burst", "ms", "Mframes/s", "remarks"];
    let line = |row: &Trial| {
        let or_none = |text: String| if row.passed { text } else { "–".to_owned() };
        let more =
            if row.passed && row.burst_unbounded == Some(true) { "no longer one was tried; " } else { "" };
        let remarks = format!("{more}{}", remarks(row));
        [
            frames(row.frame_octets),
            row.direction.name().to_owned(),
            or_none(row.burst_frames.unwrap_or(0).to_string()),
            or_none(format!("{:.3}", row.seconds * 1e3)),
            or_none(mega(row.offered_fps)),
            remarks.trim_end_matches("; ").to_owned(),
        ]
    };
    Lines::of(Test::BackToBack, "Back-to-back frames: the longest burst without loss", header, line, trials)
}

/// What the numbers of a row do not say.
fn remarks(row: &Trial) -> String {
    let mut remarks = Vec::new();
    match (row.passed, row.test) {
        (true, _) if row.lost > 0 => remarks.push(format!("{} lost", row.lost)),
        (false, Test::Throughput | Test::BackToBack) => {
            remarks.push(format!("none passed; {} lost", row.lost))
        }
        (false, _) => remarks.push(format!("{} lost", row.lost)),
        _ => {}
    }
    if !row.kept_up {
        let share = row.asked_share.map(|share| format!(" of {}", percent(share))).unwrap_or_default();
        remarks.push(format!("the generator did not keep up: {}{share}", percent(row.offered_share)));
    }
    for (count, what) in [
        (row.reordered, "reordered"),
        (row.duplicates, "twice"),
        (row.stale, "too old to tell whether again"),
        (row.damaged, "cut"),
        (row.foreign, "not of this trial"),
        (row.rig_missed, "missed by the rig"),
    ] {
        if count > 0 {
            remarks.push(format!("{count} {what}"));
        }
    }
    if row.interrupted {
        remarks.push("interrupted before it had all".to_owned());
    }
    remarks.join("; ")
}

/// Frames of a size, in words.
pub(crate) fn frames(size: FrameSize) -> String {
    match size {
        FrameSize::Octets(octets) => format!("{octets} octets"),
        FrameSize::Imix => "imix".to_owned(),
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn mega(fps: f64) -> String {
    format!("{:.4}", fps / 1e6)
}

fn gbit(gbit: f64) -> String {
    format!("{gbit:.3}")
}

#[cfg(test)]
mod tests {
    use super::super::receiver::{Arrived, latencies};
    use super::super::results::{Asked, rows};
    use super::super::trial::Measured;
    use super::*;

    fn result(test: Test, sent: u64, frames: u64, burst: Option<u64>) -> Trial {
        let mut latency = latencies();
        latency.record_n(12_340, frames).unwrap();
        let octets = frames * 64;
        let arrived = Arrived { frames, octets, reordered: 7, stale: 2, foreign: 4, ..Arrived::default() };
        let measured = Measured { sent, seconds: 1.0, arrived, rig_missed: 3, latency, ns_per_tick: 1.0 };
        let size = FrameSize::Octets(64);
        // Bursts as fast as can be.
        let share = burst.is_none().then_some(1.0);
        let asked = Asked { test, size, line_fps: 2e6, share, burst, tolerance: 0.0 };
        Trial { is_result: true, ..rows(&asked, &[measured])[0].clone() }
    }

    #[test]
    fn each_test_has_its_table() {
        let drawn = tables(&[
            result(Test::Throughput, 1_000_000, 1_000_000, None),
            result(Test::Latency, 1_000_000, 1_000_000, None),
            result(Test::Loss, 1_000_000, 750_000, None),
            Trial {
                burst_unbounded: Some(true),
                interrupted: true,
                ..result(Test::BackToBack, 500, 500, Some(500))
            },
        ]);
        for words in [
            "Throughput: ",
            "50.00 %",
            "1.0000",
            "0.512",
            "the generator did not keep up: 50.00 % of 100.00 %",
            "7 reordered; 2 too old to tell whether again; 4 not of this trial; 3 missed by the rig",
            "Latency, ",
            "12.34",
            "Frame loss",
            "250000",
            "25.0000 %",
            "Back-to-back",
            "500",
            "no longer one was tried; 7 reordered; 2 too old to tell whether again; 4 not of this trial; 3 missed by the rig; interrupted before it had all",
            "64 octets",
            "forward",
        ] {
            assert!(drawn.contains(words), "{words}: {drawn}");
        }
    }

    #[test]
    fn steps_on_the_way_are_not_shown_and_failures_are() {
        let step = Trial { is_result: false, ..result(Test::Throughput, 1, 1, None) };
        assert_eq!(tables(&[step]), "");
        let drawn = tables(&[result(Test::Throughput, 1000, 10, None)]);
        assert!(drawn.contains("none passed; 990 lost") && drawn.contains('–'), "{drawn}");
    }
}
