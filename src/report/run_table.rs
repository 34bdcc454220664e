//! The report of `repro runs list --columns` and `repro runs best`: one row for each run.

use std::cell::RefCell;

use serde::ser::{Error as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::run_columns::{Column, Shows};
use super::run_tree::Node;
use super::streamed::ReadFailure;
use crate::error::Result;
use crate::event::RunName;
use crate::filter::MetricName;
use crate::number::Number;
use crate::pipeline::Goal;
use crate::runs::Store;
use crate::runs::cells::{Cell, Cells, Source};

/// Chosen values of runs. They are read piece by piece: there may be many.
#[derive(Debug)]
pub struct RunTable<'s> {
    pub columns: Vec<Column>,
    pub rows: Vec<Node>,
    pub failure: ReadFailure,
    store: &'s Store,
    cells: RefCell<Cells<'s>>,
}

impl<'s> RunTable<'s> {
    /// # Errors
    /// The store cannot be read.
    pub fn new(store: &'s Store, columns: Vec<Column>, rows: Vec<Node>) -> Result<RunTable<'s>> {
        let mut sources = Vec::new();
        for column in &columns {
            match &column.shows {
                Shows::One(source) => sources.push(source.clone()),
                Shows::Best(variants, _) => {
                    sources.extend(variants.iter().cloned().map(Source::Metric));
                }
                Shows::BestStage => {}
            }
        }
        let cells = RefCell::new(store.cells(sources)?);
        Ok(RunTable { columns, rows, failure: ReadFailure::default(), store, cells })
    }

    /// Returns the values of all runs, in pieces: nothing keeps the database in one state while a
    /// piece is printed.
    pub fn pieces(&self) -> impl Iterator<Item = Result<Vec<Vec<Option<Cell>>>>> {
        let read = |rows: &[Node]| rows.iter().map(|node| self.read(node.run)).collect();
        self.rows.chunks(PIECE).map(move |rows| self.store.consistently(|| read(rows)))
    }

    /// Returns the values of a run, one for each column.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn read(&self, run: RunName) -> Result<Vec<Option<Cell>>> {
        let mut cells = self.cells.borrow_mut().read(run)?.into_iter();
        let mut best_stage = None;
        let mut row = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            row.push(match &column.shows {
                Shows::One(_) => cells.next().flatten(),
                Shows::Best(variants, goal) => {
                    let values = variants.iter().map(|metric| (metric, cells.next().flatten()));
                    let (value, stage) = best(values, *goal).unzip();
                    best_stage = stage;
                    value
                }
                Shows::BestStage => best_stage.take(),
            });
        }
        Ok(row)
    }
}

/// Number of runs that are read at once.
const PIECE: usize = 1000;

/// Returns the best of the values and its stage. NaN is worse than any number.
fn best<'m>(
    values: impl Iterator<Item = (&'m MetricName, Option<Cell>)>,
    goal: Goal,
) -> Option<(Cell, Cell)> {
    let mut best: Option<(&MetricName, Number)> = None;
    for (metric, cell) in values {
        let Some(Cell::Number(value)) = cell else { continue };
        let is_better = best.is_none_or(|(_, old)| match goal {
            _ if old.is_nan() => !value.is_nan(),
            Goal::Max => value > old,
            Goal::Min => value < old,
        });
        if is_better {
            best = Some((metric, value));
        }
    }
    best.map(|(metric, value)| (Cell::Number(value), Cell::Text(metric.stage.clone())))
}

/// Reads the runs while it serializes them. Durations and times are milliseconds.
impl Serialize for RunTable<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut list = s.serialize_seq(Some(self.rows.len()))?;
        let pieces = self.pieces().flat_map(|piece| match piece {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        for cells in pieces {
            let cells = cells.map_err(|error| self.failure.keep(error))?;
            let mut fields = Map::new();
            for (column, cell) in self.columns.iter().zip(cells) {
                fields.insert(column.name.clone(), json(cell).map_err(S::Error::custom)?);
            }
            list.serialize_element(&fields)?;
        }
        list.end()
    }
}

pub(super) fn json(cell: Option<Cell>) -> serde_json::Result<Value> {
    Ok(match cell {
        None => Value::Null,
        Some(Cell::Run(run)) => serde_json::to_value(run)?,
        Some(Cell::Text(text)) => Value::from(text),
        Some(Cell::Number(number)) => serde_json::to_value(number)?,
        Some(Cell::Param(value)) => value,
        Some(Cell::Time { at, .. }) => Value::from(at),
        Some(Cell::Duration(took)) => serde_json::to_value(took)?,
    })
}
