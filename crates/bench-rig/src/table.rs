//! Tables for people.

use comfy_table::{CellAlignment, Row, Table, TableComponent, presets};

/// A table without lines between its rows. Columns named in `words` are to the left, numbers to the right.
pub(crate) fn drawn<R: Into<Row>>(
    header: &[&str],
    words: &[&str],
    lines: impl IntoIterator<Item = R>,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(header).add_rows(lines);
    table.remove_style(TableComponent::HorizontalLines).remove_style(TableComponent::MiddleIntersections);
    for (i, name) in header.iter().enumerate() {
        if let (false, Some(column)) = (words.contains(name), table.column_mut(i)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}
