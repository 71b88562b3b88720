//! What the tests found, as plain data.

use super::generator::BURST;
use super::size::FrameSize;
use super::trial::Measured;
use crate::ethernet::WIRE_OVERHEAD;
use clap::ValueEnum;
use serde::Serialize;

/// Share of the asked-for rate from which a generator has kept up.
const KEPT_UP: f64 = 0.99;

/// The tests of RFC 2544, clauses 26.1 to 26.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Test {
    /// The greatest rate without loss
    Throughput,
    /// How old frames are when they arrive, at the throughput and below
    Latency,
    /// Frame loss at rates from 100 % down
    Loss,
    /// The longest burst at full rate without loss
    BackToBack,
}

/// Which frames a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Direction {
    /// From the port --tx to the port --rx.
    Forward,
    /// From the port --rx to the port --tx.
    Reverse,
    /// Both together.
    Total,
}

impl Direction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Direction::Forward => "forward",
            Direction::Reverse => "reverse",
            Direction::Total => "total",
        }
    }
}

/// Age of frames at their arrival, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// One direction of one trial: an object in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Trial {
    pub(crate) test: Test,
    /// With FCS; "mix" for the mix.
    pub(crate) frame_octets: FrameSize,
    pub(crate) direction: Direction,
    /// Frames a second that 100 % stand for, in this direction.
    pub(crate) line_fps: f64,
    /// Of `line_fps`; none where it was to be as much as can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) asked_share: Option<f64>,
    /// What the generator brought to the port.
    pub(crate) offered_fps: f64,
    /// Of `line_fps`.
    pub(crate) offered_share: f64,
    /// Whether the generator offered what was asked for, within a hundredth; of a burst also all of it, and beside the
    /// hundredth it may take the time of a hand-over to the port.
    pub(crate) kept_up: bool,
    /// Frames that arrived, each once, per second of sending.
    pub(crate) received_fps: f64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    /// Of `sent`.
    pub(crate) loss_share: f64,
    /// Arrivals of frames that were there already.
    pub(crate) duplicates: u64,
    /// Of `received`, those that a later one overtook.
    pub(crate) reordered: u64,
    /// Arrivals of frames so old that nobody knows any more whether they were there; not in `received`.
    pub(crate) stale: u64,
    /// Of `received`, those that came when all were sent.
    pub(crate) late: u64,
    /// Arrivals that were cut on the way; lost, too.
    pub(crate) damaged: u64,
    /// Arrivals of frames that are not of this trial: of others on the link, or of a trial before.
    pub(crate) foreign: u64,
    /// Frames that the receiving port missed, which came faster than the rig received them; lost, too.
    pub(crate) rig_missed: u64,
    /// Of sending.
    pub(crate) seconds: f64,
    /// Whether no more was lost than is tolerated; a burst must have kept up, too.
    pub(crate) passed: bool,
    /// Received, with preamble and gap.
    pub(crate) gbit_l1: f64,
    /// Received, from the first octet of the address to the FCS.
    pub(crate) gbit_l2: f64,
    /// None where nothing arrived.
    pub(crate) latency_ns: Option<Latency>,
    /// In a test of bursts, their length; of several searches the mean, and all else is that of the one nearest to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) burst_frames: Option<u64>,
    /// In a test of bursts, whether no longer one was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) burst_unbounded: Option<bool>,
    /// Whether the test ended before it had all that it was to find.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) interrupted: bool,
    /// Whether all that was to be sent was, and no more lost than is tolerated, at whatever rate.
    #[serde(skip)]
    pub(crate) lossless: bool,
    /// Whether it is what the test found, rather than a step on the way there.
    #[serde(skip)]
    pub(crate) is_result: bool,
}

/// What was asked of a trial, and in which test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) test: Test,
    pub(crate) size: FrameSize,
    /// In each direction.
    pub(crate) line_fps: f64,
    /// Of the line's rate; none for as much as can be.
    pub(crate) share: Option<f64>,
    /// In a test of bursts.
    pub(crate) burst: Option<u64>,
    /// Share of frames that may be lost.
    pub(crate) tolerance: f64,
}

/// A row for each direction of a trial and, with two of them, one for both together.
pub(crate) fn rows(asked: &Asked, measured: &[Measured]) -> Vec<Trial> {
    let one = |direction, measured: &Measured| row(asked, direction, measured, 1.0);
    match measured {
        [forward, reverse] => vec![
            one(Direction::Forward, forward),
            one(Direction::Reverse, reverse),
            total(asked, forward, reverse),
        ],
        _ => measured.iter().map(|measured| one(Direction::Forward, measured)).collect(),
    }
}

/// Both directions together, which have kept up, or passed, if each has.
fn total(asked: &Asked, forward: &Measured, reverse: &Measured) -> Trial {
    let mut sum = forward.clone();
    sum.add(reverse);
    // Both were at once.
    sum.seconds = f64::max(forward.seconds, reverse.seconds);
    let each = [forward, reverse].map(|measured| row(asked, Direction::Total, measured, 1.0));
    Trial {
        kept_up: each.iter().all(|row| row.kept_up),
        passed: each.iter().all(|row| row.passed),
        lossless: each.iter().all(|row| row.lossless),
        ..row(asked, Direction::Total, &sum, 2.0)
    }
}

/// To so many digits after the point: more would be noise.
fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}

fn row(asked: &Asked, direction: Direction, measured: &Measured, ways: f64) -> Trial {
    let arrived = &measured.arrived;
    let line_fps = asked.line_fps * ways;
    let offered_fps = measured.offered_fps();
    let part = |of: f64, whole: f64| if whole > 0.0 { of / whole } else { 0.0 };
    let received_fps = part(arrived.frames as f64, measured.seconds);
    let loss_share = part(measured.lost() as f64, measured.sent as f64);
    let whole = asked.burst.is_none_or(|frames| measured.sent >= frames);
    let hand_over = asked.burst.map_or(0.0, |_| BURST as f64 / asked.line_fps);
    let in_time = |share: f64| {
        let least = KEPT_UP * share * line_fps * (measured.seconds - hand_over);
        measured.sent > 0 && measured.sent as f64 >= least
    };
    let kept_up = whole && asked.share.is_none_or(in_time);
    let lossless = whole && measured.sent > 0 && loss_share <= asked.tolerance;
    let gbit = |octets: u64| rounded(part(octets as f64 * 8.0 / 1e9, measured.seconds), 6);
    let quantile = |q: f64| rounded(measured.latency.value_at_quantile(q) as f64 * measured.ns_per_tick, 1);
    let latency = (!measured.latency.is_empty()).then(|| Latency {
        p50: quantile(0.5),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: quantile(1.0),
    });
    Trial {
        test: asked.test,
        frame_octets: asked.size,
        direction,
        line_fps: rounded(line_fps, 3),
        asked_share: asked.share.map(|share| rounded(share, 9)),
        offered_fps: rounded(offered_fps, 3),
        offered_share: rounded(part(offered_fps, line_fps), 9),
        kept_up,
        received_fps: rounded(received_fps, 3),
        sent: measured.sent,
        received: arrived.frames,
        lost: measured.lost(),
        loss_share: rounded(loss_share, 9),
        duplicates: arrived.duplicates,
        reordered: arrived.reordered,
        stale: arrived.stale,
        late: arrived.late,
        damaged: arrived.damaged,
        foreign: arrived.foreign,
        rig_missed: measured.rig_missed,
        seconds: rounded(measured.seconds, 9),
        passed: lossless && (kept_up || asked.burst.is_none()),
        gbit_l1: gbit(arrived.octets + arrived.frames * WIRE_OVERHEAD as u64),
        gbit_l2: gbit(arrived.octets),
        latency_ns: latency,
        burst_frames: asked.burst,
        burst_unbounded: None,
        interrupted: false,
        lossless,
        is_result: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::receiver::{Arrived, latencies};
    use super::*;

    fn measured(sent: u64, frames: u64, age: u64) -> Measured {
        let mut latency = latencies();
        latency.record_n(age, frames).unwrap();
        let octets = frames * 1000;
        let arrived = Arrived {
            frames,
            octets,
            duplicates: 1,
            reordered: 2,
            late: 3,
            damaged: 4,
            foreign: 6,
            ..Arrived::default()
        };
        Measured { sent, seconds: 2.0, arrived, rig_missed: 5, latency, ns_per_tick: 0.5 }
    }

    fn asked(share: Option<f64>) -> Asked {
        let size = FrameSize::Octets(1000);
        Asked { test: Test::Loss, size, line_fps: 1000.0, share, burst: None, tolerance: 0.0 }
    }

    #[test]
    fn rates_and_shares() {
        let rows = rows(&asked(Some(0.5)), &[measured(1000, 900, 400)]);
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((row.direction, row.offered_fps, row.offered_share), (Direction::Forward, 500.0, 0.5));
        assert_eq!((row.received_fps, row.lost, row.loss_share, row.passed), (450.0, 100, 0.1, false));
        assert!(row.kept_up);
        assert!((row.gbit_l2 - 450.0 * 8e-6).abs() < 1e-12 && (row.gbit_l1 - 450.0 * 8.16e-6).abs() < 1e-12);
        let latency = row.latency_ns.unwrap();
        assert!((199.0..=201.0).contains(&latency.p50) && (199.0..=201.0).contains(&latency.max));
    }

    #[test]
    fn both_directions_are_as_good_as_the_worse() {
        let rows = rows(&asked(Some(0.5)), &[measured(1000, 1000, 10), measured(900, 899, 1000)]);
        let [forward, reverse, total] = &rows[..] else { panic!("{rows:?}") };
        assert!(forward.passed && forward.kept_up && !reverse.passed && !reverse.kept_up);
        assert!(!total.passed && !total.kept_up);
        assert_eq!((total.sent, total.received, total.lost, total.duplicates), (1900, 1899, 1, 2));
        assert_eq!((forward.rig_missed, total.rig_missed), (5, 10));
        assert_eq!((forward.foreign, total.foreign), (6, 12));
        assert_eq!((total.line_fps, total.offered_fps, total.offered_share), (2000.0, 950.0, 0.475));
        assert!(total.latency_ns.unwrap().max > 400.0 && total.latency_ns.unwrap().p50 < 10.0);
    }

    #[test]
    fn a_tolerated_loss_passes_and_an_unfinished_burst_does_not() {
        let tolerant = Asked { tolerance: 0.1, ..asked(None) };
        assert!(rows(&tolerant, &[measured(1000, 900, 1)])[0].passed);
        let burst = Asked { burst: Some(1001), ..tolerant };
        let row = &rows(&burst, &[measured(1000, 1000, 1)])[0];
        assert!(!row.passed && !row.kept_up);
        assert!(!rows(&asked(None), &[measured(0, 0, 1)])[0].passed);
    }

    #[test]
    fn a_burst_passes_only_at_its_rate() {
        let burst = Asked { burst: Some(1000), ..asked(Some(1.0)) };
        let row = |seconds| {
            let sent = Measured { seconds, ..measured(1000, 1000, 1) };
            rows(&burst, &[sent]).remove(0)
        };
        // A second at the line's rate, a hundredth more, and 32 frames.
        let (slow, in_time) = (row(1.043), row(1.042));
        assert!(!slow.kept_up && !slow.passed && slow.lossless, "{slow:?}");
        assert!(in_time.kept_up && in_time.passed, "{in_time:?}");
        // Without a rate it is as fast as can be, however fast that is.
        let unpaced = Asked { share: None, ..burst };
        assert!(rows(&unpaced, &[measured(1000, 1000, 1)])[0].passed);
    }

    #[test]
    fn rows_have_the_keys_that_were_promised() {
        let row = &rows(&Asked { burst: Some(5), ..asked(Some(1.0)) }, &[measured(9, 9, 1)])[0];
        let json = serde_json::to_value(Trial { burst_unbounded: Some(false), ..row.clone() }).unwrap();
        for key in [
            "test",
            "frame_octets",
            "direction",
            "line_fps",
            "asked_share",
            "offered_fps",
            "offered_share",
            "kept_up",
            "received_fps",
            "sent",
            "received",
            "lost",
            "loss_share",
            "duplicates",
            "reordered",
            "stale",
            "late",
            "damaged",
            "foreign",
            "rig_missed",
            "seconds",
            "passed",
            "gbit_l1",
            "gbit_l2",
            "latency_ns",
            "burst_frames",
            "burst_unbounded",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert_eq!(json.as_object().unwrap().len(), 27);
        // Only where it is so.
        let cut = serde_json::to_value(Trial { interrupted: true, ..row.clone() }).unwrap();
        assert_eq!((&cut["interrupted"], json.get("interrupted")), (&true.into(), None));
        assert_eq!((&json["test"], &json["direction"]), (&"loss".into(), &"forward".into()));
        let back_to_back = serde_json::to_value(Test::BackToBack).unwrap();
        assert_eq!(back_to_back, "back-to-back");
        for key in ["p50", "p99", "p999", "max"] {
            assert!(json["latency_ns"][key].is_number(), "{key}");
        }
    }
}
