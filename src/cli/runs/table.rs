//! Tables of chosen columns, as text, Markdown, CSV and JSON.

use clap::Args;

use crate::error::Result;
use crate::filter::{Attribute, Dialect, Filter, Known};
use crate::number::Number;
use crate::report::run_columns::Shows;
use crate::report::run_table::RunTable;
use crate::report::streamed;
use crate::runs::cells::{Cell, Source};
use crate::terminal::number;
use crate::terminal::stdout;
use crate::terminal::style;
use crate::terminal::table::{Align, Cell as Shown, Table};
use crate::terminal::text::{truncate, widest};

/// The form in which a table is printed.
#[derive(Debug, Args)]
pub(super) struct Format {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print Markdown
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    pub(super) md: bool,
}

impl Format {
    pub(super) fn is_csv(&self) -> bool {
        self.csv
    }

    pub(super) fn is_text(&self) -> bool {
        !(self.json || self.csv || self.md)
    }
}

/// Parses the value of `--filter`.
///
/// # Errors
/// The text is not a filter.
pub(super) fn filter(text: Option<&str>, known: &Known) -> Result<Filter> {
    let text = text.unwrap_or_default();
    let parsed = Filter::parse(text, Dialect::Repro);
    parsed.map_err(|fault| known.explain(fault).in_text("--filter", text))
}

/// Longest text in a cell for people: the first one with which a line fits into [`WIDE`] columns.
const LONGEST_TEXTS: [usize; 3] = [40, 24, 16];
/// Width of a line that every terminal can show.
const WIDE: usize = 80;
/// Prints a table.
///
/// # Errors
/// The store cannot be read, or stdout cannot be written.
pub(super) fn show(table: &RunTable<'_>, format: &Format) -> Result<()> {
    if format.json {
        return stdout::stream(|out| streamed::write_json(table, &table.failure, out));
    }
    if format.csv {
        return show_csv(table);
    }
    let rows = table.pieces().collect::<Result<Vec<_>>>()?.concat();
    stdout::write(&match format.md {
        true => crate::escape::without_styles(&aligned(table, &rows, usize::MAX).markdown()),
        false => fitting(table, &rows),
    })
}

/// Renders the table with texts cut to fit into a line; as far as useful if it has too many
/// columns for that.
fn fitting(table: &RunTable<'_>, rows: &[Vec<Option<Cell>>]) -> String {
    let texts = LONGEST_TEXTS.map(|limit| aligned(table, rows, limit).plain(""));
    let fits = |text: &&String| widest(text.lines()) <= WIDE;
    texts.iter().find(fits).unwrap_or(&texts[0]).clone()
}

fn aligned(table: &RunTable<'_>, rows: &[Vec<Option<Cell>>], limit: usize) -> Table {
    let headings: Vec<&str> = table.columns.iter().map(|column| column.heading()).collect();
    // Two columns with one heading differ by their prefixes.
    let heading = |at: usize| match headings.iter().filter(|it| **it == headings[at]).count() {
        1 => headings[at],
        _ => table.columns[at].name.as_str(),
    };
    let columns = (0..headings.len()).map(|at| (heading(at), align(&table.columns[at].shows)));
    let mut shown = Table::new(columns);
    let texts = (0..headings.len()).map(|at| column_texts(rows, at, limit).into_iter());
    let mut texts: Vec<_> = texts.collect();
    for (row, node) in rows.iter().zip(&table.rows) {
        let cells = texts.iter_mut().enumerate().map(|(at, texts)| {
            let text = texts.next().unwrap_or_default();
            match &row[at] {
                Some(Cell::Run(run)) if *run == node.run => {
                    Shown::styled(format!("{:1$}{text}", "", 2 * node.depth), style::BOLD)
                }
                _ => Shown::from(text),
            }
        });
        shown.row(cells);
    }
    shown
}

fn align(shows: &Shows) -> Align {
    match shows {
        Shows::Best(..) | Shows::One(Source::Metric(_) | Source::Param(_)) => Align::Decimal,
        Shows::One(Source::Attribute(Attribute::Took)) => Align::Right,
        Shows::One(_) | Shows::BestStage => Align::Left,
    }
}

/// Returns the texts of a column. Numbers that differ look different.
fn column_texts(rows: &[Vec<Option<Cell>>], at: usize, limit: usize) -> Vec<String> {
    let number = |row: &Vec<Option<Cell>>| match row[at] {
        Some(Cell::Number(number)) => Some(number),
        _ => None,
    };
    let numbers = number::cells(&rows.iter().map(number).collect::<Vec<_>>());
    let texts = rows.iter().zip(numbers).map(|(row, number)| match &row[at] {
        None => "-".to_owned(),
        Some(Cell::Number(_)) => number,
        Some(Cell::Run(run)) => run.to_string(),
        Some(Cell::Text(text)) => truncate(text, limit),
        Some(Cell::Param(value)) => match value.as_str() {
            Some(text) => truncate(text, limit),
            None => truncate(&value.to_string(), limit),
        },
        Some(Cell::Time { local, .. }) => local.get(..16).unwrap_or(local).to_owned(),
        Some(Cell::Duration(took)) => took.to_string(),
    });
    texts.collect()
}

/// Prints CSV with all digits. Times are local, durations are seconds, a missing value is empty.
fn show_csv(table: &RunTable<'_>) -> Result<()> {
    let names = table.columns.iter().map(|column| field(&column.name));
    let mut text = format!("{}\n", names.collect::<Vec<_>>().join(","));
    for rows in table.pieces() {
        for cells in rows? {
            let fields = cells.into_iter().map(|cell| field(&csv_text(cell)));
            text.push_str(&fields.collect::<Vec<_>>().join(","));
            text.push('\n');
        }
        stdout::write(&text)?;
        text.clear();
    }
    Ok(())
}

fn csv_text(cell: Option<Cell>) -> String {
    match cell {
        None => String::new(),
        Some(Cell::Run(run)) => run.to_string(),
        Some(Cell::Text(text)) => text,
        Some(Cell::Number(number)) => all_digits(number),
        Some(Cell::Param(serde_json::Value::String(text))) => text,
        Some(Cell::Param(value)) => value.to_string(),
        Some(Cell::Time { local, .. }) => local,
        Some(Cell::Duration(took)) => format!("{}", took.0 as f64 / 1000.0),
    }
}

fn all_digits(number: Number) -> String {
    match number.integer() {
        Some(integer) => integer.to_string(),
        None => number.to_f64().to_string(),
    }
}

/// Quotes a field of CSV where necessary.
fn field(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
