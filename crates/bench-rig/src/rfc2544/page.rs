//! The page of a run.

use super::results::{Direction, Test, Trial};
use super::size::FrameSize;
use super::tables::{self, frames, results};
use crate::console::json_lines;
use crate::ethernet::WIRE_OVERHEAD;
use crate::report::{Facts, Kind, Page, Plot, Scale, Series, Table, command_line};

/// Shares of the frames of which a latency is told.
const PERCENTILES: [&str; 4] = ["50 %", "99 %", "99.9 %", "all"];

/// The page of what was found so far; `heading` says how, and latency is at these shares of the throughput.
///
/// # Errors
/// None that a run can cause.
pub(super) fn of(
    trials: &[Trial],
    latency_shares: &[f64],
    heading: &str,
    facts: Facts,
) -> serde_json::Result<Page> {
    let mut page = Page::new("RFC 2544", &command_line(), facts).text(&format!("{heading}."));
    for found in tables::lines(trials) {
        let rows: Vec<&Trial> = results(trials, found.test).collect();
        page = page.heading(found.title.split([':', ',']).next().unwrap_or_default());
        match found.test {
            Test::Throughput => page = page.plot(throughput(&rows)),
            Test::Latency => {
                for (place, share) in latency_shares.iter().enumerate() {
                    page = latency(&rows, place, *share).into_iter().fold(page, Page::plot);
                }
            }
            Test::Loss => page = page.plot(loss(&rows)),
            Test::BackToBack => page = page.plot(bursts(&rows)),
        }
        page = page.table(Table {
            title: found.title.to_owned(),
            head: found.head.into_iter().map(str::to_owned).collect(),
            rows: found.lines,
        });
    }
    // In the order in which they were found, as they are printed.
    let rows: Vec<&Trial> = trials.iter().filter(|row| row.is_result).collect();
    Ok(page.results(&json_lines(&rows)?))
}

/// Sizes in the order in which they come.
fn sizes(rows: &[&Trial]) -> Vec<FrameSize> {
    let mut sizes = Vec::new();
    for row in rows {
        if !sizes.contains(&row.frame_octets) {
            sizes.push(row.frame_octets);
        }
    }
    sizes
}

fn names(sizes: &[FrameSize]) -> Vec<String> {
    sizes.iter().map(FrameSize::to_string).collect()
}

/// Single directions that there are results of. Both together would hide what each does.
fn directions(rows: &[&Trial]) -> Vec<Direction> {
    let mut both = vec![Direction::Forward, Direction::Reverse];
    both.retain(|direction| rows.iter().any(|row| row.direction == *direction));
    both
}

/// A series for each direction: the place of each size, and what `number` says of its row.
fn by_size(rows: &[&Trial], number: impl Fn(&Trial) -> Option<f64>) -> Vec<Series> {
    let sizes = sizes(rows);
    let place = |row: &Trial| sizes.iter().position(|size| *size == row.frame_octets).map(|at| at as f64);
    let one = |direction: Direction| {
        let of = rows.iter().filter(|row| row.direction == direction);
        let points = of.filter_map(|row| Some((place(row)?, number(row)?))).collect();
        Series { name: direction.name().to_owned(), points }
    };
    directions(rows).into_iter().map(one).collect()
}

/// A series for each size and direction, of the points of its rows.
fn by_row(rows: &[&Trial], points: impl Fn(&[&Trial]) -> Vec<(f64, f64)>) -> Vec<Series> {
    let several = directions(rows).len() > 1;
    let mut all = Vec::new();
    for size in sizes(rows) {
        for direction in directions(rows) {
            let of = |row: &&&Trial| row.frame_octets == size && row.direction == direction;
            let of: Vec<&Trial> = rows.iter().filter(of).copied().collect();
            let which = if several { format!(", {}", direction.name()) } else { String::new() };
            all.push(Series { name: frames(size) + &which, points: points(&of) });
        }
    }
    all.retain(|series| !series.points.is_empty());
    all
}

/// Beside the line's rate, which without --rate is another one for each size.
fn throughput(rows: &[&Trial]) -> Plot {
    let mut series = by_size(rows, |row| Some(if row.passed { row.gbit_l1 } else { 0.0 }));
    let line = |row: &Trial| row.line_fps * (row.frame_octets.mean() + WIRE_OVERHEAD as f64) * 8.0 / 1e9;
    let line = by_size(rows, |row| Some(line(row))).into_iter().next();
    series.extend(line.map(|line| Series { name: "100 %".to_owned(), ..line }));
    Plot {
        title: "Throughput: rate".to_owned(),
        x: "frames, octets".to_owned(),
        y: "Gbit/s, with preamble and gap".to_owned(),
        scale: Scale::Linear,
        kind: Kind::Bars(names(&sizes(rows))),
        series,
    }
}

/// Of the trials that were the `place`-th of their size; none where there was no such trial.
fn latency(rows: &[&Trial], place: usize, share: f64) -> Option<Plot> {
    let series = by_row(rows, |of| {
        let Some(latency) = of.get(place).and_then(|row| row.latency_ns) else { return Vec::new() };
        let ages = [latency.p50, latency.p99, latency.p999, latency.max];
        ages.into_iter().enumerate().map(|(at, ns)| (at as f64, ns / 1e3)).collect()
    });
    (!series.is_empty()).then(|| Plot {
        title: format!("Latency at {} % of the throughput", rounded(share * 100.0)),
        x: "share of the frames that are no older".to_owned(),
        y: "age, µs".to_owned(),
        scale: Scale::Log,
        kind: Kind::Steps(PERCENTILES.map(str::to_owned).into()),
        series,
    })
}

fn loss(rows: &[&Trial]) -> Plot {
    let point = |row: &&Trial| (row.offered_share * 100.0, row.loss_share * 100.0);
    Plot {
        title: "Frame loss over the offered load".to_owned(),
        x: "offered, % of the line's rate".to_owned(),
        y: "lost, % of what was sent".to_owned(),
        scale: Scale::Linear,
        kind: Kind::Lines(Scale::Linear),
        series: by_row(rows, |of| of.iter().map(point).collect()),
    }
}

fn bursts(rows: &[&Trial]) -> Plot {
    let frames = |row: &Trial| row.burst_frames.filter(|_| row.passed).unwrap_or(0);
    Plot {
        title: "Back-to-back frames: the longest burst".to_owned(),
        x: "frames, octets".to_owned(),
        y: "longest burst, thousand frames".to_owned(),
        scale: Scale::Linear,
        kind: Kind::Bars(names(&sizes(rows))),
        series: by_size(rows, |row| Some(frames(row) as f64 / 1e3)),
    }
}

/// Without digits that come from arithmetic alone.
fn rounded(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::super::receiver::{Arrived, latencies};
    use super::super::results::{Asked, rows};
    use super::super::trial::Measured;
    use super::*;
    use crate::report::Destination;

    /// What a device that does so many frames a second makes of a trial, each way.
    fn found(test: Test, size: FrameSize, share: f64, ways: usize) -> Vec<Trial> {
        let line_fps = size.line_fps(10.0);
        let sent = (line_fps * share) as u64;
        let frames = sent.min(5_000_000);
        let mut latency = latencies();
        latency.record_n(2000 + (share * 9000.0) as u64, frames * 99 / 100).unwrap();
        latency.record_n(150_000, frames / 100).unwrap();
        let octets = (frames as f64 * size.mean()) as u64;
        let arrived = Arrived { frames, octets, ..Arrived::default() };
        let measured = Measured { sent, seconds: 1.0, arrived, rig_missed: 0, latency, ns_per_tick: 1.0 };
        let burst = (test == Test::BackToBack).then_some(frames);
        let asked = Asked { test, size, line_fps, share: Some(share), burst, tolerance: 0.0 };
        let mut rows = rows(&asked, &vec![measured; ways]);
        rows.iter_mut().for_each(|row| row.is_result = true);
        rows
    }

    /// A whole run, as it would be.
    fn run(ways: usize) -> Vec<Trial> {
        let mut all = Vec::new();
        for size in [64, 128, 512, 1518].map(FrameSize::Octets).into_iter().chain([FrameSize::Imix]) {
            let best = (5e6 / size.line_fps(10.0)).min(1.0) * 0.99;
            all.extend(found(Test::Throughput, size, best, ways));
            for share in [1.0, 0.5] {
                all.extend(found(Test::Latency, size, best * share, ways));
            }
            for step in 0..8 {
                all.extend(found(Test::Loss, size, 1.0 - f64::from(step) / 10.0, ways));
            }
            all.extend(found(Test::BackToBack, size, best, ways));
        }
        all
    }

    /// The page and the rows beside it.
    fn written(trials: &[Trial]) -> (String, String) {
        let home = tempfile::tempdir().unwrap();
        let page = of(trials, &[1.0, 0.5], "one to another", Facts::new()).unwrap();
        let path = page.write(&Destination::new(home.path()).unwrap()).unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        (read(path), read(home.path().join("results.jsonl")))
    }

    fn plots(html: &str) -> Vec<&str> {
        let labels = html.split("role=\"img\" aria-label=\"").skip(1);
        labels.filter_map(|label| label.split('"').next()).collect()
    }

    #[test]
    fn each_test_has_its_plots() {
        let all = run(1);
        let (html, lines) = written(&all);
        assert_eq!(
            plots(&html),
            [
                "Throughput: rate",
                "Latency at 100 % of the throughput",
                "Latency at 50 % of the throughput",
                "Frame loss over the offered load",
                "Back-to-back frames: the longest burst",
            ]
        );
        assert!(html.contains("100 %</li>") && html.contains("1518 octets</li>"), "{html}");
        assert!(html.contains("one to another.") && !html.contains("64 octets, forward"));
        assert_eq!(lines, json_lines(&all).unwrap());
    }

    #[test]
    fn both_ways_are_told_apart() {
        let (html, _) = written(&run(2));
        for series in ["forward</li>", "reverse</li>", "64 octets, forward</li>", "imix, reverse</li>"] {
            assert!(html.contains(series), "{series}");
        }
        assert!(!html.contains("total</li>"), "each alone says more");
    }

    #[test]
    fn a_run_that_was_interrupted_has_what_there_is() {
        let size = FrameSize::Octets(64);
        let mut some = found(Test::Throughput, size, 0.3, 1);
        some.extend(found(Test::Latency, size, 0.3, 1));
        let step = Trial { is_result: false, ..found(Test::Loss, size, 1.0, 1)[0].clone() };
        some.push(step);
        let (html, lines) = written(&some);
        assert_eq!(plots(&html), ["Throughput: rate", "Latency at 100 % of the throughput"]);
        assert_eq!(lines.lines().count(), 2);
        assert!(plots(&written(&[]).0).is_empty());
    }
}
