//! Plots, as SVG that a page has in it.

use super::axis::{Axis, written};
use super::escaped;
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Write;

pub(crate) use super::axis::Scale;

/// Size of a plot. Coordinates are whole numbers, so it is drawn at twice the size at which it is shown.
const SIZE: (u32, u32) = (1600, 760);
/// What of it is beside the axes: on the left and below.
const LEFT: u32 = 150;
const BELOW: u32 = 110;
/// Heights of letters.
const LETTERS: i32 = 28;
const SMALLEST_LETTERS: i32 = 19;
/// What the drawing library makes of a height: the height of a line.
const LINE: f64 = 1.24;
/// Width of a letter, as a part of its height, roughly.
const LETTER_WIDTH: f64 = 0.58;
/// What bars take of the room they have.
const BAR: f64 = 0.82;

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
/// Colours of series on light and on dark ground, after Okabe and Ito: those blind to some colours can tell them apart.
const COLOURS: [(RGBColor, &str); 7] = [
    (RGBColor(0x00, 0x72, 0xb2), "#4aa3df"),
    (RGBColor(0xd5, 0x5e, 0x00), "#f0803c"),
    (RGBColor(0x00, 0x9e, 0x73), "#2dc79a"),
    (RGBColor(0xcc, 0x79, 0xa7), "#e29cc4"),
    (RGBColor(0xe6, 0x9f, 0x00), "#f2b632"),
    (RGBColor(0x56, 0xb4, 0xe9), "#9ad7f7"),
    (RGBColor(0x5b, 0x67, 0x70), "#a9b4bc"),
];
/// Corners of the marks of points: with fewer shapes than colours, and no factor in common, 35 series differ.
const SHAPES: [&[(i32, i32)]; 5] = [
    &[(-6, -9), (6, -9), (9, -6), (9, 6), (6, 9), (-6, 9), (-9, 6), (-9, -6)],
    &[(0, -12), (11, 8), (-11, 8)],
    &[(0, -12), (12, 0), (0, 12), (-12, 0)],
    &[
        (-3, -11),
        (3, -11),
        (3, -3),
        (11, -3),
        (11, 3),
        (3, 3),
        (3, 11),
        (-3, 11),
        (-3, 3),
        (-11, 3),
        (-11, -3),
        (-3, -3),
    ],
    &[(0, 12), (-11, -8), (11, -8)],
];

/// What is drawn over what.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Lines over numbers.
    Lines(Scale),
    /// Lines over names, which are at 0, 1 and on.
    Steps(Vec<String>),
    /// Bars side by side over names, which are at 0, 1 and on.
    Bars(Vec<String>),
}

/// Numbers that belong together.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// Across, and up.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A picture of some series.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    pub(crate) title: String,
    /// What is across, with its unit.
    pub(crate) x: String,
    /// What is up, with its unit.
    pub(crate) y: String,
    pub(crate) scale: Scale,
    pub(crate) kind: Kind,
    pub(crate) series: Vec<Series>,
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

impl Plot {
    /// The plot with title and legend, as HTML.
    pub(super) fn html(&self) -> Result<String> {
        let drawn = match self.axes() {
            Some(axes) => self.svg(&axes)?,
            None => "<p>Nothing was measured that could be shown here.</p>\n".to_owned(),
        };
        let title = escaped(&self.title);
        let mut html = format!("<figure>\n<figcaption>{title}</figcaption>\n");
        if self.series.len() > 1 {
            html += "<ul class=\"legend\">\n";
            for (i, series) in self.series.iter().enumerate() {
                writeln!(html, "<li>{}{}</li>", self.swatch(i), escaped(&series.name))?;
            }
            html += "</ul>\n";
        }
        Ok(html + &drawn + "</figure>\n")
    }

    /// What is across and what is up; none where there is nothing to show.
    fn axes(&self) -> Option<(Axis, Axis)> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = match &self.kind {
            Kind::Lines(scale) => Axis::of(points().map(|point| point.0), *scale, false)?,
            Kind::Steps(names) | Kind::Bars(names) => Axis::of_names(names),
        };
        let y = Axis::of(points().map(|point| point.1), self.scale, true)?;
        match (&self.kind, self.scale) {
            // The length of a bar is its number.
            (Kind::Bars(_), Scale::Linear) => {
                let numbers = points().map(|point| point.1).chain([0.0]);
                Some((x, Axis::of(numbers, self.scale, true)?))
            }
            _ => Some((x, y)),
        }
    }

    fn svg(&self, axes: &(Axis, Axis)) -> Result<String> {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        self.draw(&area, axes).map_err(|e| anyhow!("{}: {e}", self.title))?;
        drop(area);
        // Shown at the size that the page has for it, and read out by its title.
        let size = format!("<svg width=\"{}\" height=\"{}\"", SIZE.0, SIZE.1);
        Ok(svg.replacen(&size, &format!("<svg role=\"img\" aria-label=\"{}\"", escaped(&self.title)), 1))
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>, (x, y): &(Axis, Axis)) -> Drawn {
        let mut chart = ChartBuilder::on(area)
            .margin(30)
            .margin_left(6)
            .x_label_area_size(BELOW)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(x.clone(), y.clone())?;
        let mut mesh = chart.configure_mesh();
        let letters = match &self.kind {
            Kind::Lines(_) => LETTERS,
            Kind::Steps(names) | Kind::Bars(names) => {
                mesh.disable_x_mesh();
                fitting(names)
            }
        };
        mesh.axis_style(INK.stroke_width(2))
            .bold_line_style(GRID.stroke_width(2))
            .x_label_style(text(letters))
            .y_label_style(text(LETTERS))
            .axis_desc_style(text(LETTERS))
            .x_desc(&self.x)
            .y_desc(&self.y)
            .draw()?;
        match &self.kind {
            Kind::Bars(names) => self.draw_bars(&mut chart, names.len(), y)?,
            Kind::Lines(_) | Kind::Steps(_) => self.draw_lines(&mut chart, x, y)?,
        }
        area.present()
    }

    fn draw_lines(&self, chart: &mut Chart<'_, '_>, x: &Axis, y: &Axis) -> Drawn {
        for (i, series) in self.series.iter().enumerate() {
            let (colour, shape) = looks(i);
            let shown = || series.points.iter().copied().filter(|point| x.shows(point.0) && y.shows(point.1));
            chart.draw_series(LineSeries::new(shown(), colour.stroke_width(4)))?;
            let mark = |at| EmptyElement::at(at) + Polygon::new(shape.to_vec(), colour.filled());
            chart.draw_series(shown().map(mark))?;
        }
        Ok(())
    }

    fn draw_bars(&self, chart: &mut Chart<'_, '_>, names: usize, y: &Axis) -> Drawn {
        let width = BAR / self.series.len() as f64;
        let bottom = y.range.0.max(if self.scale == Scale::Linear { 0.0 } else { f64::MIN_POSITIVE });
        let numbers = self.series.iter().flat_map(|series| &series.points).map(|point| three_digits(point.1));
        let longest = numbers.map(|digits| digits.len()).max().unwrap_or(0).max(1);
        let room = f64::from(SIZE.0 - LEFT) / names as f64 * width;
        let letters = (room / (longest as f64 * LETTER_WIDTH)) as i32;
        for (i, series) in self.series.iter().enumerate() {
            let (colour, _) = looks(i);
            let left = |at: f64| at - BAR / 2.0 + i as f64 * width;
            let shown = || series.points.iter().copied().filter(|point| y.shows(point.1));
            // A hair of the ground shows between neighbours.
            let bar = |(at, number)| {
                let sides = (left(at) + width * 0.04, left(at) + width * 0.96);
                Rectangle::new([(sides.0, bottom), (sides.1, number)], colour.filled())
            };
            chart.draw_series(shown().map(bar))?;
            let above = |(at, number)| {
                let style = text(letters.min(LETTERS - 4)).pos(Pos::new(HPos::Center, VPos::Bottom));
                Text::new(three_digits(number), (left(at) + width / 2.0, number), style)
            };
            chart.draw_series(shown().filter(|_| letters >= SMALLEST_LETTERS).map(above))?;
        }
        Ok(())
    }

    /// What a series looks like, beside its name.
    fn swatch(&self, series: usize) -> String {
        let (colour, shape) = looks(series);
        let colour = hex(colour);
        let corners =
            |shape: &[(i32, i32)]| shape.iter().fold(String::new(), |s, (x, y)| s + &format!("{x},{y} "));
        let inside = match self.kind {
            Kind::Bars(_) => {
                format!("<rect x=\"-12\" y=\"-12\" width=\"24\" height=\"24\" fill=\"{colour}\"/>")
            }
            Kind::Lines(_) | Kind::Steps(_) => format!(
                "<line x1=\"-28\" y1=\"0\" x2=\"28\" y2=\"0\" stroke=\"{colour}\" stroke-width=\"4\"/>\
                 <polygon points=\"{}\" fill=\"{colour}\"/>",
                corners(shape).trim_end()
            ),
        };
        let wide = if matches!(self.kind, Kind::Bars(_)) { 14 } else { 30 };
        format!(
            "<svg class=\"swatch\" viewBox=\"-{wide} -14 {} 28\" width=\"{wide}\" height=\"14\" aria-hidden=\"true\">\
             {inside}</svg>",
            2 * wide
        )
    }
}

/// Rules that give everything that is drawn its colours on dark ground.
pub(super) fn dark_style() -> String {
    let inks = [(INK, "#e4e6e8"), (GRID, "#3a3f45")];
    let rules = inks.into_iter().chain(COLOURS).map(|(light, dark)| {
        let light = hex(light);
        format!(
            "svg [fill=\"{light}\"] {{ fill: {dark}; }}\nsvg [stroke=\"{light}\"] {{ stroke: {dark}; }}\n"
        )
    });
    rules.collect()
}

/// As the drawing library writes it.
fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

fn looks(series: usize) -> (RGBColor, &'static [(i32, i32)]) {
    (COLOURS[series % COLOURS.len()].0, SHAPES[series % SHAPES.len()])
}

fn text(letters: i32) -> TextStyle<'static> {
    ("sans-serif", f64::from(letters) * LINE).into_font().color(&INK)
}

/// How high letters may be so that names do not run into each other.
fn fitting(names: &[String]) -> i32 {
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(1);
    let room = f64::from(SIZE.0 - LEFT) / names.len().max(1) as f64;
    ((room * 0.95 / (longest as f64 * LETTER_WIDTH)) as i32).clamp(SMALLEST_LETTERS, LETTERS)
}

/// A number as it stands above a bar.
fn three_digits(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => written((number * 10.0).round() / 10.0),
        _ => written((number * 100.0).round() / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, points: &[(f64, f64)]) -> Series {
        Series { name: name.to_owned(), points: points.to_vec() }
    }

    fn plot(kind: Kind, scale: Scale, all: Vec<Series>) -> Plot {
        let words = ["A <plot>", "octets & more", "rate, Gbit/s"].map(str::to_owned);
        let [title, x, y] = words;
        Plot { title, x, y, scale, kind, series: all }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Everything of a kind in a plot, whose HTML is well-formed.
    fn elements(plot: &Plot, tag: &str) -> Vec<String> {
        let html = plot.html().unwrap();
        let document = roxmltree::Document::parse(&html).unwrap_or_else(|e| panic!("{e}: {html}"));
        let drawing = document.descendants().find(|node| node.attribute("role") == Some("img")).unwrap();
        assert_eq!(drawing.attribute("aria-label"), Some("A <plot>"));
        let found =
            drawing.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", tag)));
        found.map(|node| node.text().unwrap_or_default().trim().to_owned()).collect()
    }

    #[test]
    fn lines_have_marks_labels_and_a_legend() {
        let rates = [(48.0, 30.5), (1500.0, 147.5), (f64::NAN, 1.0), (100.0, f64::INFINITY)];
        let plot = plot(
            Kind::Lines(Scale::Log),
            Scale::Linear,
            vec![series("ours", &rates), series("<theirs>", &[(48.0, 10.0), (1500.0, 50.0)])],
        );
        let texts = elements(&plot, "text");
        for word in ["octets & more", "rate, Gbit/s", "0", "150", "50", "1000"] {
            assert!(texts.iter().any(|text| text == word), "{word}: {texts:?}");
        }
        assert_eq!(elements(&plot, "polygon").len(), 4, "a mark for each number that is one");
        let html = plot.html().unwrap();
        assert!(
            html.contains("&lt;theirs&gt;</li>") && html.contains("A &lt;plot&gt;</figcaption>"),
            "{html}"
        );
    }

    #[test]
    fn bars_stand_side_by_side_with_their_numbers() {
        let plot = plot(
            Kind::Bars(names(&["64", "512"])),
            Scale::Linear,
            vec![series("protect", &[(0.0, 40.44), (1.0, 21.0)]), series("verify", &[(1.0, 17.5)])],
        );
        let texts = elements(&plot, "text");
        for word in ["64", "512", "40.4", "21", "17.5"] {
            assert!(texts.iter().any(|text| text == word), "{word}: {texts:?}");
        }
        let html = plot.html().unwrap();
        let bars = |colour| html.matches(&format!("fill=\"{}\" stroke", hex(looks(colour).0))).count();
        assert_eq!((bars(0), bars(1)), (2, 1));
    }

    #[test]
    fn bars_begin_at_nothing() {
        let all = vec![series("a", &[(0.0, 9.96)]), series("b", &[(0.0, 10.0)])];
        let bars = plot(Kind::Bars(names(&["64"])), Scale::Linear, all);
        let (_, y) = bars.axes().unwrap();
        assert_eq!(y.range, (0.0, 10.0));
        assert!(plot(Kind::Bars(names(&["64"])), Scale::Linear, Vec::new()).axes().is_none());
    }

    #[test]
    fn logarithms_leave_out_what_they_cannot_show() {
        let loss = plot(
            Kind::Steps(names(&["50 %", "99 %", "99.9 %"])),
            Scale::Log,
            vec![series("loss", &[(0.0, 0.0), (1.0, 1e-3), (2.0, 0.1)])],
        );
        assert_eq!(elements(&loss, "polygon").len(), 2);
        assert!(!loss.html().unwrap().contains("legend"), "one series needs none");
        let nothing = plot(Kind::Steps(names(&["50 %"])), Scale::Log, vec![series("loss", &[(0.0, 0.0)])]);
        assert!(nothing.html().unwrap().contains("Nothing was measured"));
    }

    #[test]
    fn series_do_not_look_alike() {
        let all: std::collections::HashSet<_> = (0..35).map(|i| (hex(looks(i).0), looks(i).1)).collect();
        assert_eq!(all.len(), 35);
        // Dark ground has a colour for each that is drawn with.
        let style = dark_style();
        assert!((0..7).all(|i| style.contains(&format!("[stroke=\"{}\"]", hex(looks(i).0)))), "{style}");
    }
}
