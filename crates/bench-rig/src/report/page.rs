//! The page.

use super::destination::{Destination, MARK};
use super::plot::{Plot, dark_style};
use super::{Facts, escaped};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::PathBuf;

/// What every page looks like: light or dark as its reader has it, and on paper.
const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #222; --soft: #5b6770; --ground: #fff; --line: #ddd; --shade: #f4f6f7; }
html { font-size: 16px; }
body { font: 1rem/1.45 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); }
pre { background: var(--shade); padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
.facts th { font-weight: 400; color: var(--soft); white-space: nowrap; }
.number { text-align: right; padding-left: .8rem; }
figure { margin: 1.5rem 0; }
figcaption { font-weight: 600; }
figure > svg { display: block; width: 100%; height: auto; }
svg text { font-family: system-ui, sans-serif; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; padding: 0; margin: .3rem 0; font-size: .9rem; }
.swatch { vertical-align: -.1rem; margin-right: .4rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
";
/// Colours on dark ground; those of plots come after it.
const DARK: &str =
    ":root { --ink: #e4e6e8; --soft: #a0a8b0; --ground: #16191c; --line: #3a3f45; --shade: #20252a; }\n";
const PAPER: &str = "\
@media print {
html { font-size: 11px; }
body { max-width: none; margin: 0; }
h2, caption, figcaption { break-after: avoid; }
figure, tr { break-inside: avoid; }
.scroll { overflow: visible; }
}
";

/// Rows of text below a head.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

#[derive(Clone, Debug)]
enum Block {
    Heading(String),
    Text(String),
    Table(Table),
    Plot(Plot),
}

/// What was measured, in the order in which it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    title: String,
    command: String,
    facts: Facts,
    blocks: Vec<Block>,
    results: String,
}

impl Page {
    /// One that says what was run, with which command, and on what.
    pub(crate) fn new(title: &str, command: &str, facts: Facts) -> Self {
        let (title, command) = (title.to_owned(), command.to_owned());
        Page { title, command, facts, blocks: Vec::new(), results: String::new() }
    }

    /// A heading.
    #[must_use]
    pub(crate) fn heading(self, text: &str) -> Self {
        self.with(Block::Heading(text.to_owned()))
    }

    /// A paragraph.
    #[must_use]
    pub(crate) fn text(self, text: &str) -> Self {
        self.with(Block::Text(text.to_owned()))
    }

    /// What is to be said of the numbers, a paragraph each.
    #[must_use]
    pub(crate) fn remarks(self, lines: &[String]) -> Self {
        lines.iter().fold(self, |page, line| page.text(&format!("Note: {line}.")))
    }

    /// A table.
    #[must_use]
    pub(crate) fn table(self, table: Table) -> Self {
        self.with(Block::Table(table))
    }

    /// A plot.
    #[must_use]
    pub(crate) fn plot(self, plot: Plot) -> Self {
        self.with(Block::Plot(plot))
    }

    /// Rows as `--json` prints them, an object a line.
    #[must_use]
    pub(crate) fn results(mut self, lines: &str) -> Self {
        self.results += lines;
        self
    }

    /// Writes page and rows, and says where the page is.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn write(&self, destination: &Destination) -> Result<PathBuf> {
        destination.write(&self.html()?, &self.results).context("cannot write the report")
    }

    fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    fn html(&self) -> Result<String> {
        let (title, command) = (escaped(&self.title), escaped(&self.command));
        let dark = format!("@media screen and (prefers-color-scheme: dark) {{\n{DARK}{}}}\n", dark_style());
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{MARK}\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>\n{STYLE}{dark}{PAPER}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<pre>{command}</pre>\n"
        );
        html += "<div class=\"scroll\"><table class=\"facts\">\n";
        for (name, value) in self.facts.iter() {
            writeln!(html, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name), escaped(value))?;
        }
        html += "</table></div>\n";
        for block in &self.blocks {
            match block {
                Block::Heading(text) => writeln!(html, "<h2>{}</h2>", escaped(text))?,
                Block::Text(text) => writeln!(html, "<p>{}</p>", escaped(text))?,
                Block::Table(table) => html += &table.html(),
                Block::Plot(plot) => html += &plot.html()?,
            }
        }
        html += "<footer>results.jsonl beside this page has the same numbers, an object a line.</footer>\n";
        Ok(html + "</body>\n</html>\n")
    }
}

impl Table {
    /// One of columns that are the same in each row.
    pub(crate) fn of<const N: usize>(title: &str, head: &[&str; N], rows: Vec<[String; N]>) -> Self {
        Table {
            title: title.to_owned(),
            head: head.iter().map(|name| (*name).to_owned()).collect(),
            rows: rows.into_iter().map(Vec::from).collect(),
        }
    }

    fn html(&self) -> String {
        let row = |tag: &str, cells: &[String]| {
            let cells = cells.iter().enumerate().map(|(i, cell)| {
                let class = if self.is_number(i) { " class=\"number\"" } else { "" };
                let scope = if tag == "th" { " scope=\"col\"" } else { "" };
                format!("<{tag}{scope}{class}>{}</{tag}>", escaped(cell))
            });
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().map(|cells| row("td", cells)).collect();
        format!(
            "<div class=\"scroll\"><table>\n<caption>{}</caption>\n<thead>\n{}</thead>\n<tbody>\n{rows}</tbody>\n\
             </table></div>\n",
            escaped(&self.title),
            row("th", &self.head)
        )
    }

    /// Whether a column has nothing but numbers, with or without a unit, and such as are not known.
    fn is_number(&self, column: usize) -> bool {
        let number = |cell: &str| {
            let first = cell.split(' ').next().unwrap_or_default();
            ["", "–"].contains(&first) || first.parse::<f64>().is_ok()
        };
        let mut cells = self.rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty());
        column > 0 && cells.all(|cell| number(cell))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Scale, Series};
    use super::*;

    fn cells(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn page() -> Page {
        let table = |title: &str| Table {
            title: title.to_owned(),
            head: cells(&["path", "Mpps", "of testpmd", "note"]),
            rows: vec![cells(&["<clear>", "93.99", "93.6 %", "a"]), cells(&["protect", "40.4", "–", "1"])],
        };
        let plot = |title: &str| Plot {
            title: title.to_owned(),
            x: "frames, octets".to_owned(),
            y: "rate, Mpps".to_owned(),
            scale: Scale::Linear,
            kind: Kind::Bars(cells(&["64"])),
            series: vec![Series { name: "clear".to_owned(), points: vec![(0.0, 1.0)] }],
        };
        Page::new("Rates & <more>", "bench x --only '<a>'", Facts::new().with("Core", "<1>"))
            .heading("First")
            .text("1 < 2")
            .table(table("One"))
            .plot(plot("Another"))
            .table(table("Two"))
            .plot(plot("Yet another"))
            .results("{\"a\":1}\n")
            .results("{\"a\":2}\n")
    }

    /// The page read as XML, which it is but for elements that have no end.
    fn with_document<T>(check: impl FnOnce(&roxmltree::Document<'_>) -> T) -> T {
        let html = page().html().unwrap();
        let xml = html.replace("<!DOCTYPE html>\n", "");
        let xml = xml.lines().map(|line| match line.starts_with("<meta ") {
            true => line.replace("\">", "\"/>") + "\n",
            false => line.to_owned() + "\n",
        });
        let xml: String = xml.collect();
        check(&roxmltree::Document::parse(&xml).unwrap_or_else(|e| panic!("{e}: {xml}")))
    }

    #[test]
    fn everything_is_on_the_page_and_in_order() {
        with_document(|document| {
            let texts = |tag: &str| {
                let nodes = document.descendants().filter(|node| node.tag_name().name() == tag);
                nodes.map(|node| node.text().unwrap_or_default().to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(texts("caption"), ["One", "Two"]);
            assert_eq!(texts("figcaption"), ["Another", "Yet another"]);
            assert_eq!(
                (texts("h1"), texts("title")),
                (cells(&["Rates & <more>"]), cells(&["Rates & <more>"]))
            );
            assert_eq!(texts("pre"), ["bench x --only '<a>'"]);
            assert!(texts("p").contains(&"1 < 2".to_owned()));
            for cell in ["<clear>", "93.99", "<1>"] {
                assert!(texts("td").contains(&cell.to_owned()), "{cell}");
            }
            let body = document.descendants().find(|node| node.has_tag_name("body")).unwrap();
            let order: Vec<_> =
                body.children().filter(|n| n.is_element()).map(|n| n.tag_name().name()).collect();
            assert_eq!(order, ["h1", "pre", "div", "h2", "p", "div", "figure", "div", "figure", "footer"]);
        });
    }

    #[test]
    fn columns_of_numbers_are_on_the_right() {
        let Some(Block::Table(table)) = page().blocks.into_iter().nth(2) else { panic!("no table") };
        assert_eq!([0, 1, 2, 3].map(|i| table.is_number(i)), [false, true, true, false]);
    }

    #[test]
    fn the_page_is_complete_by_itself() {
        let html = page().html().unwrap();
        for word in ["<script", "src=", "href=", "url(", "@import"] {
            assert!(!html.contains(word), "{word}");
        }
        assert_eq!(
            html.matches("http").count(),
            html.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
        );
    }

    #[test]
    fn page_and_results_are_written() {
        let home = tempfile::tempdir().unwrap();
        let destination = Destination::new(home.path()).unwrap();
        // One page: the date may be another one a moment later.
        let page = page();
        let path = page.write(&destination).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), page.html().unwrap());
        assert_eq!(
            std::fs::read_to_string(home.path().join("results.jsonl")).unwrap(),
            "{\"a\":1}\n{\"a\":2}\n"
        );
        Destination::new(home.path()).unwrap();
    }
}
