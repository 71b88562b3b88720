//! Which part of the numbers a plot shows, and where it marks them.

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// Marks of an axis that are wanted, about.
const MARKS: f64 = 6.0;
/// Decades up to which a logarithmic axis is marked at 2 and 5 too.
const FEW_DECADES: f64 = 2.6;

/// How numbers become lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Equal differences look alike.
    Linear,
    /// Equal ratios look alike; what is not above 0 is not shown.
    Log,
}

/// Numbers of one direction of a plot.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    /// First and last number.
    pub(super) range: (f64, f64),
    /// Numbers that are marked.
    marks: Vec<f64>,
    /// What stands at the marks, where that is not the numbers.
    names: Vec<String>,
}

impl Axis {
    /// One that has room for all of `numbers`, to the next marks where `whole`; none where there is nothing to show.
    pub(super) fn of(numbers: impl Iterator<Item = f64>, scale: Scale, whole: bool) -> Option<Self> {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for number in numbers.filter(|n| shown(scale, *n)) {
            (least, most) = (least.min(number), most.max(number));
        }
        if least > most {
            return None;
        }
        let axis = match scale {
            Scale::Linear => linear(least, most),
            Scale::Log => logarithmic(least, most),
        };
        Some(if whole { axis } else { axis.cut(least, most) })
    }

    /// One for names, at 0, 1 and on, each with half a step around it.
    pub(super) fn of_names(names: &[String]) -> Self {
        let marks: Vec<f64> = (0..names.len()).map(|i| i as f64).collect();
        let range = (-0.5, marks.len() as f64 - 0.5);
        Axis { scale: Scale::Linear, range, marks, names: names.to_vec() }
    }

    /// Whether a number has a place.
    pub(super) fn shows(&self, number: f64) -> bool {
        shown(self.scale, number)
    }

    fn place(&self, number: f64) -> f64 {
        match self.scale {
            Scale::Linear => number,
            Scale::Log => number.log10(),
        }
    }

    /// Down to the numbers there are and a little more, so that points are not on the edge.
    fn cut(self, least: f64, most: f64) -> Self {
        let (first, last) = (self.place(least), self.place(most));
        let more = ((last - first) * 0.04).max(if last > first { 0.0 } else { 0.5 });
        let back = |place: f64| if self.scale == Scale::Log { 10f64.powf(place) } else { place };
        let range = (back(first - more), back(last + more));
        let marks = self.marks.into_iter().filter(|mark| (range.0..=range.1).contains(mark)).collect();
        Axis { range, marks, ..self }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, number: &f64, (from, to): (i32, i32)) -> i32 {
        let (first, last) = (self.place(self.range.0), self.place(self.range.1));
        from + (f64::from(to - from) * (self.place(*number) - first) / (last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.0..self.range.1
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(number: &f64) -> String {
        written(*number)
    }

    fn format_ext(&self, number: &f64) -> String {
        self.names.get(number.round() as usize).cloned().unwrap_or_else(|| written(*number))
    }
}

fn shown(scale: Scale, number: f64) -> bool {
    number.is_finite() && (scale == Scale::Linear || number > 0.0)
}

/// From 0, unless all numbers are far from it.
fn linear(least: f64, most: f64) -> Axis {
    let least = if least > 0.0 && least < most * 0.7 || least == most { least.min(0.0) } else { least };
    let most = if least == most { least + 1.0 } else { most };
    let rough = (most - least) / MARKS;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(rough);
    let (first, last) = ((least / step + 1e-9).floor(), (most / step - 1e-9).ceil());
    let marks: Vec<f64> = (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect();
    Axis { scale: Scale::Linear, range: (first * step, last * step), marks, names: Vec::new() }
}

fn logarithmic(least: f64, most: f64) -> Axis {
    let within: &[f64] = if (most / least).log10() <= FEW_DECADES { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let (first, last) = (least.log10().floor() as i32, most.log10().floor() as i32 + 1);
    let all: Vec<f64> = (first..=last).flat_map(|p| within.iter().map(move |n| n * 10f64.powi(p))).collect();
    let below = all.iter().rposition(|mark| *mark <= least * 1.0001).unwrap_or(0);
    let above = all.iter().position(|mark| *mark >= most * 0.9999).unwrap_or(all.len() - 1);
    let above = above.max(below + 1).min(all.len() - 1);
    let marks = all[below..=above].to_vec();
    Axis { scale: Scale::Log, range: (all[below], all[above]), marks, names: Vec::new() }
}

/// A number in five digits at most, without zeros that say nothing.
pub(super) fn written(number: f64) -> String {
    if number.abs() < 1e-12 {
        return "0".to_owned();
    }
    let digits = (4 - number.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{number:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(numbers: &[f64], scale: Scale) -> Axis {
        Axis::of(numbers.iter().copied(), scale, true).unwrap()
    }

    fn labels(axis: &Axis) -> Vec<String> {
        axis.marks.iter().map(|mark| axis.format_ext(mark)).collect()
    }

    #[test]
    fn rates_begin_at_nothing() {
        let rates = axis(&[147.5, 30.5], Scale::Linear);
        assert_eq!(labels(&rates), ["0", "50", "100", "150"]);
        assert_eq!(rates.range, (0.0, 150.0));
        assert_eq!(labels(&axis(&[0.0, 0.031], Scale::Linear)), ["0", "0.01", "0.02", "0.03", "0.04"]);
        assert_eq!(labels(&axis(&[99.9, 100.0], Scale::Linear))[0], "99.9");
    }

    #[test]
    fn logarithms_have_marks_at_1_2_and_5() {
        assert_eq!(
            labels(&axis(&[48.0, 1500.0], Scale::Log)),
            ["20", "50", "100", "200", "500", "1000", "2000"]
        );
        assert_eq!(labels(&axis(&[1e-6, 1.0], Scale::Log)).first().unwrap(), "0.000001");
        assert_eq!(labels(&axis(&[100.0], Scale::Log)), ["100", "200"]);
        let axis = axis(&[0.0, -1.0, 10.0], Scale::Log);
        assert_eq!([0.0, -1.0, f64::NAN, 10.0].map(|n| axis.shows(n)), [false, false, false, true]);
        let axis = Axis { range: (1.0, 100.0), ..axis };
        assert_eq!([1.0, 10.0, 100.0].map(|n| axis.map(&n, (300, 100))), [300, 200, 100]);
    }

    #[test]
    fn an_axis_can_end_where_its_numbers_do() {
        let octets = Axis::of([48.0, 8986.0].into_iter(), Scale::Log, false).unwrap();
        assert!(octets.range.0 > 35.0 && octets.range.1 < 12_000.0, "{octets:?}");
        assert_eq!(labels(&octets), ["50", "100", "200", "500", "1000", "2000", "5000", "10000"]);
        let one = Axis::of([5.0].into_iter(), Scale::Linear, false).unwrap();
        assert!(one.range.0 < 5.0 && one.range.1 > 5.0, "{one:?}");
    }

    #[test]
    fn there_may_be_nothing_to_show() {
        assert!(Axis::of([].into_iter(), Scale::Linear, true).is_none());
        assert!(Axis::of([f64::NAN, f64::INFINITY].into_iter(), Scale::Linear, true).is_none());
        assert!(Axis::of([0.0].into_iter(), Scale::Log, true).is_none());
        let nothing = axis(&[0.0, 0.0], Scale::Linear);
        assert_eq!(nothing.range, (0.0, 1.0));
    }

    #[test]
    fn names_are_a_step_apart() {
        let names = Axis::of_names(&["64".to_owned(), "512".to_owned()]);
        assert_eq!((names.range, labels(&names)), ((-0.5, 1.5), vec!["64".to_owned(), "512".to_owned()]));
    }
}
