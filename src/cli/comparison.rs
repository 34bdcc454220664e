//! Tables of comparisons, which several commands print: sides, params, metrics.

use serde_json::Value;

use super::common::{run_style, short_commit};
use crate::engine::revision::Revision;
use crate::engine::side::Side;
use crate::event::GitTree;
use crate::number::Number;
use crate::runs::Run;
use crate::runs::compare::{Column, MetricRow, ParamRow, Sample, Verdict};
use crate::terminal::number;
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::text::widest;

/// Maximum width of a line, which every terminal can show.
pub(super) const WIDE: usize = 80;

/// Reports whether a table fits into a line.
pub(super) fn fits(table: &Table) -> bool {
    widest(table.plain("").lines()) <= WIDE
}

/// Returns a line for each side: its status, time and git state.
pub(super) fn heads(sides: &[Side]) -> Table {
    let columns = [
        ("run", Align::Left),
        ("status", Align::Left),
        ("started", Align::Left),
        ("took", Align::Right),
        ("git", Align::Left),
    ];
    let mut table = Table::new(columns);
    for side in sides {
        let name = Cell::styled(side.to_string(), style::BOLD);
        match side {
            Side::Revision(Revision::Run(run)) => table.row(head(name, run)),
            Side::Revision(Revision::Commit { commit, .. }) => {
                let commit = commit.get(..10).unwrap_or(commit);
                table.row([name, "".into(), "".into(), "".into(), commit.into()]);
            }
            Side::Workspace => table.row([name]),
        }
    }
    table
}

/// Says how many rows were left out beside those that are shown; `None` if none were.
pub(super) fn equal_rows(shown: usize, omitted: usize, noun: &str) -> Option<String> {
    match (shown, omitted) {
        (_, 0) => None,
        (0, 1) => Some(format!("the only {noun} is equal")),
        (0, all) => Some(format!("all {all} {noun}s are equal")),
        (_, 1) => Some(format!("1 other {noun} is equal")),
        (_, others) => Some(format!("{others} other {noun}s are equal")),
    }
}

/// Returns the pronoun for so many rows.
pub(super) fn them(rows: usize) -> &'static str {
    if rows == 1 { "it" } else { "them" }
}

fn head(name: Cell, run: &Run) -> [Cell; 5] {
    let git = run.info.git.as_ref().map_or_else(String::new, |git| {
        let dirty = if git.tree == GitTree::Dirty { " with uncommitted changes" } else { "" };
        format!("{}{dirty}", short_commit(git))
    });
    [
        name,
        Cell::styled(run.state.word(), run_style(run.state)),
        run.started_local.as_str().into(),
        run.took.map_or_else(|| "-".to_owned(), |took| took.to_string()).into(),
        git.into(),
    ]
}

/// Returns a row for each param and a column for each side or group.
pub(super) fn params_table<L: AsRef<str>>(
    labels: impl Iterator<Item = L>,
    rows: &[ParamRow],
) -> Table {
    let values = labels.map(|label| (label.as_ref().to_owned(), Align::Decimal));
    let mut table = Table::new(std::iter::once(("param".to_owned(), Align::Left)).chain(values));
    for row in rows {
        let values = row.values.iter().map(param_cell);
        table.row(std::iter::once(row.key.as_str().into()).chain(values));
    }
    table
}

pub(super) fn param_cell(value: &Option<Value>) -> Cell {
    value.as_ref().map_or_else(|| "-".to_owned(), Value::to_string).into()
}

/// Returns a row for each metric and a column for each side or group. `title` heads the names.
pub(super) fn metrics_table<'r>(
    title: &str,
    columns: &[Column],
    rows: impl Iterator<Item = (String, &'r MetricRow)>,
) -> Table {
    let mut headings = vec![(title.to_owned(), Align::Left)];
    headings.extend(columns.iter().map(|column| (column.label.clone(), Align::Decimal)));
    headings.extend([("change".to_owned(), Align::Decimal), (String::new(), Align::Left)]);
    // With two columns, the verdict already says which is better.
    let several = columns.len() > 2;
    if several {
        headings.push(("best".to_owned(), Align::Left));
    }
    let mut table = Table::new(headings);
    for (name, row) in rows {
        let mut cells: Vec<Cell> = vec![name.into()];
        cells.extend(samples(row, columns).into_iter().map(Cell::from));
        cells.extend([change(row), verdict(row.verdict)]);
        if several {
            let best = row.best.iter().map(|at| columns[*at].label.as_str());
            cells.push(best.collect::<Vec<_>>().join(", ").into());
        }
        table.row(cells);
    }
    table
}

/// Formats the values of a metric: `0.625`, or `0.625 ± 0.01` for a mean, with the number of runs
/// if some runs of the group lack the metric.
pub(super) fn samples(row: &MetricRow, columns: &[Column]) -> Vec<String> {
    let means: Vec<Option<Number>> = row.values.iter().map(|value| value.map(|v| v.mean)).collect();
    let texts = number::cells(&means).into_iter().zip(&row.values).zip(columns);
    let text = |((mean, value), column): ((String, &Option<Sample>), &Column)| {
        let Some(Sample { n, sd, .. }) = value else { return mean };
        let sd = sd.map_or_else(String::new, |sd| format!(" ± {}", number::number(sd.into())));
        let of = column.members.len();
        let few = if *n < of { format!(" ({n} of {of})") } else { String::new() };
        format!("{mean}{sd}{few}")
    };
    texts.map(text).collect()
}

pub(super) fn change(row: &MetricRow) -> Cell {
    let Some(difference) = row.difference else { return "-".into() };
    let largest = row.values.iter().flatten().map(|value| value.mean.to_f64().abs());
    number::difference(rounded(difference, largest.fold(0.0, f64::max))).into()
}

/// Rounds a difference to the digits that both numbers had: 20.1 - 10.1 is 10 and not
/// 10.000000000000002.
fn rounded(difference: Number, largest: f64) -> Number {
    let decimals = 14.0 - largest.log10().ceil();
    if !(0.0..300.0).contains(&decimals) || difference.integer().is_some() {
        return difference;
    }
    let text = format!("{:.*}", decimals as usize, difference.to_f64());
    text.parse().map_or(difference, |rounded: f64| match rounded == 0.0 {
        true => difference,
        false => Number::from(rounded),
    })
}

pub(super) fn verdict(verdict: Option<Verdict>) -> Cell {
    let Some(verdict) = verdict else { return "".into() };
    let style = match verdict {
        Verdict::Better => style::GOOD,
        Verdict::Worse => style::BAD,
        Verdict::Same | Verdict::WithinNoise => style::DIM,
        Verdict::Changed => style::Style::new(),
    };
    Cell::styled(verdict.word(), style)
}
