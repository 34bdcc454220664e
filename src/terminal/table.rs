//! Aligned tables, as plain text and as Markdown.

use std::fmt::Write as _;

use super::style::{BOLD, Style};
use super::text::{Pad, pad, width};
use crate::escape::on_one_line;

/// Alignment of the cells of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
    /// Aligns decimal points.
    Decimal,
}

#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Returns a cell in `style`, which must only repeat what the text says.
    pub fn styled(text: impl AsRef<str>, style: Style) -> Cell {
        Cell { text: on_one_line(text.as_ref()).into_owned(), style }
    }

    fn width(&self) -> usize {
        width(&self.text)
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::styled(text, Style::new())
    }
}

#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<(Cell, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Returns a table with these columns. If all headings are empty, the heading line is omitted.
    pub fn new<T: AsRef<str>>(columns: impl IntoIterator<Item = (T, Align)>) -> Table {
        let columns =
            columns.into_iter().map(|(name, align)| (Cell::styled(name, BOLD), align)).collect();
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row. Missing cells are empty; cells beyond the columns are not shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns lines that start with `indent` and have two spaces between columns.
    ///
    /// A column whose cells are all empty is omitted. Styles are
    /// written only where colors are wanted.
    pub fn plain(&self, indent: &str) -> String {
        let used = |column: &usize| {
            self.rows.iter().any(|row| row.get(*column).is_some_and(|cell| !cell.text.is_empty()))
        };
        let shown: Vec<(usize, Layout)> = (0..self.columns.len())
            .filter(used)
            .map(|column| (column, self.layout(column)))
            .collect();
        let headings: Vec<Cell> = self.columns.iter().map(|(heading, _)| heading.clone()).collect();
        let mut out = String::new();
        if headings.iter().any(|heading| !heading.text.is_empty()) {
            line(&mut out, indent, &shown, &headings, Layout::heading);
        }
        for row in &self.rows {
            line(&mut out, indent, &shown, row, Layout::cell);
        }
        out
    }

    /// Returns the table as GitHub Flavored Markdown, aligned in the source too.
    pub fn markdown(&self) -> String {
        let escaped = |cell: &Cell| cell.text.replace('\\', "\\\\").replace('|', "\\|");
        let cell = |row: &Vec<Cell>, at: usize| row.get(at).map(escaped).unwrap_or_default();
        let mut columns: Vec<Vec<String>> = Vec::new();
        let mut rule = Vec::new();
        for (at, (heading, align)) in self.columns.iter().enumerate() {
            let mut texts: Vec<String> = vec![escaped(heading)];
            texts.extend(self.rows.iter().map(|row| cell(row, at)));
            let wide = texts.iter().map(|text| width(text)).max().unwrap_or(0).max(3);
            let side = if *align == Align::Left { Pad::Right } else { Pad::Left };
            rule.push(match align {
                Align::Left => "-".repeat(wide),
                Align::Right | Align::Decimal => format!("{}:", "-".repeat(wide - 1)),
            });
            columns.push(texts.iter().map(|text| pad(text, wide, side)).collect());
        }
        let mut out = String::new();
        for row in 0..=self.rows.len() {
            let cells: Vec<&str> = columns.iter().map(|column| column[row].as_str()).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
            if row == 0 {
                let _ = writeln!(out, "| {} |", rule.join(" | "));
            }
        }
        out
    }

    fn layout(&self, column: usize) -> Layout {
        let (heading, align) = &self.columns[column];
        let cells = || self.rows.iter().filter_map(|row| row.get(column));
        let before = cells().map(|cell| before_point(&cell.text)).max().unwrap_or(0);
        let after = cells().map(|cell| cell.width() - before_point(&cell.text)).max().unwrap_or(0);
        let content = match align {
            Align::Left | Align::Right => cells().map(Cell::width).max().unwrap_or(0),
            Align::Decimal => before + after,
        };
        Layout { align: *align, after, wide: content.max(heading.width()) }
    }
}

/// Layout of a column: its width, and the part of it reserved for the text after the decimal point.
struct Layout {
    align: Align,
    after: usize,
    wide: usize,
}

impl Layout {
    fn heading(&self, cell: &Cell) -> (usize, usize) {
        let room = self.wide.saturating_sub(cell.width());
        if self.align == Align::Left { (0, room) } else { (room, 0) }
    }

    /// Returns the numbers of spaces before and after a cell.
    fn cell(&self, cell: &Cell) -> (usize, usize) {
        let room = self.wide.saturating_sub(cell.width());
        match self.align {
            Align::Left => (0, room),
            Align::Right => (room, 0),
            Align::Decimal => {
                let behind = self.after.saturating_sub(cell.width() - before_point(&cell.text));
                (room.saturating_sub(behind), behind)
            }
        }
    }
}

fn line(
    out: &mut String,
    indent: &str,
    shown: &[(usize, Layout)],
    cells: &[Cell],
    spaces: fn(&Layout, &Cell) -> (usize, usize),
) {
    let mut text = indent.to_owned();
    // Spaces are written only if something follows: no line ends in spaces.
    let mut owed = 0;
    for (column, layout) in shown {
        let empty = Cell::from("");
        let cell = cells.get(*column).unwrap_or(&empty);
        let (before, behind) = spaces(layout, cell);
        owed += before;
        if !cell.text.is_empty() {
            let style = cell.style;
            let _ = write!(text, "{:owed$}{style}{}{style:#}", "", cell.text);
            owed = 0;
        }
        owed += behind + 2;
    }
    out.push_str(text.trim_end());
    out.push('\n');
}

/// Returns the width of the text before the decimal point, the exponent or the end.
fn before_point(text: &str) -> usize {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
    let end = if is_number { text.find(['.', 'e']) } else { None };
    width(&text[..end.unwrap_or(text.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            ("metric", Align::Left),
            ("run-1", Align::Decimal),
            ("n", Align::Right),
            ("", Align::Left),
        ]);
        table.row(["accuracy".into(), "0.55".into(), "3".into(), "".into()]);
        table.row(["a|b\tc".into(), "40".into(), "1000".into(), "".into()]);
        table.row(["loss".into(), "1.235e-7".into()]);
        table.row(["no".into(), "-".into(), "-".into()]);
        table
    }

    #[test]
    fn plain_table() {
        let text = crate::escape::without_styles(&table().plain("  "));
        insta::assert_snapshot!(text, @r"
        metric        run-1     n
        accuracy   0.55         3
        a|b\tc    40         1000
        loss       1.235e-7
        no         -            -
        ");
    }

    #[test]
    fn markdown_table() {
        insta::assert_snapshot!(table().markdown(), @r"
        | metric   |    run-1 |    n |     |
        | -------- | -------: | ---: | --- |
        | accuracy |     0.55 |    3 |     |
        | a\|b\\tc |       40 | 1000 |     |
        | loss     | 1.235e-7 |      |     |
        | no       |        - |    - |     |
        ");
    }

    #[test]
    fn wide_characters_align() {
        let mut table = Table::new([("metric", Align::Left), ("値", Align::Decimal)]);
        table.row(["検証精度".into(), "0.55".into()]);
        table.row(["accuracy".into(), "1.5".into()]);
        let text = crate::escape::without_styles(&table.plain(""));
        insta::assert_snapshot!(text, @r"
        metric      値
        検証精度  0.55
        accuracy  1.5
        ");
    }

    #[test]
    fn table_without_headings() {
        let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
        table.row(["a".into(), "b".into()]);
        assert_eq!(table.plain("> "), "> a  b\n");
    }
}
