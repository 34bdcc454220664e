//! Comparisons of many sides: a row for each side, and a column for each param and metric.

use crate::cli::comparison::{change, param_cell, samples};
use crate::runs::compare::{Comparison, MetricRow, Verdict};
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Table};

/// Mark behind the best values of a metric.
const BEST: &str = " *";

/// Returns the table, and a last row with the change from the first side to the last.
pub(super) fn table(compared: &Comparison) -> Table {
    let mut headings = vec![("run".to_owned(), Align::Left)];
    headings.extend(compared.params.iter().map(|row| (row.key.to_string(), Align::Decimal)));
    headings.extend(compared.metrics.iter().map(|row| (row.key(), Align::Decimal)));
    let mut table = Table::new(headings);
    let values = |row: &MetricRow| samples(row, &compared.columns);
    let values: Vec<Vec<String>> = compared.metrics.iter().map(values).collect();
    for (at, column) in compared.columns.iter().enumerate() {
        let mut cells = vec![Cell::styled(&column.label, style::BOLD)];
        cells.extend(compared.params.iter().map(|row| param_cell(&row.values[at])));
        cells.extend(compared.metrics.iter().zip(&values).map(|(row, texts)| {
            match row.best.contains(&at) {
                true => Cell::styled(format!("{}{BEST}", texts[at]), style::GOOD),
                false => texts[at].as_str().into(),
            }
        }));
        table.row(cells);
    }
    if !compared.metrics.is_empty() {
        let blank = compared.params.iter().map(|_| Cell::from(""));
        let changes = compared.metrics.iter().map(change);
        table.row(std::iter::once(Cell::from("change")).chain(blank).chain(changes));
        let blank = compared.params.iter().map(|_| Cell::from(""));
        let verdicts =
            compared.metrics.iter().map(|row| Cell::from(row.verdict.map_or("", Verdict::word)));
        table.row(std::iter::once(Cell::from("")).chain(blank).chain(verdicts));
    }
    table
}

/// Explains the mark, if the table has one.
pub(super) fn legend(compared: &Comparison) -> &'static str {
    match compared.metrics.iter().any(|row| !row.best.is_empty()) {
        true => "* best\n",
        false => "",
    }
}
