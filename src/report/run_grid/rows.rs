//! The values of runs, by column.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::columns::{Extremes, GridColumn, Kind, Reads, columns};
use super::defaults::default_columns;
use crate::error::Result;
use crate::event::RunName;
use crate::filter::{Attribute, Known};
use crate::pipeline::{Goal, Goals};
use crate::report::run_columns::{Column, Shows};
use crate::report::run_table::{self, RunTable};
use crate::report::run_tree;
use crate::runs::cells::{Cell, Source};
use crate::runs::{Lifecycle, Store};

/// Columns, and the values of some runs in them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunCells {
    pub columns: Vec<GridColumn>,
    pub rows: GridRows,
}

/// Values of runs: one list for each property, in the order of the runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GridRows {
    /// Numbers of the runs.
    pub run: Vec<u64>,
    pub uid: Vec<Value>,
    pub name: Vec<Value>,
    pub status: Vec<Value>,
    pub kind: Vec<Value>,
    pub note: Vec<Value>,
    pub tags: Vec<BTreeMap<String, String>>,
    /// Number of runs below each run.
    pub children: Vec<usize>,
    /// Number of the best run below each run without metrics: those shown are its.
    pub best: Vec<Option<u64>>,
    /// One list for each column. A best value is a pair of value and step, or
    /// of value and stage.
    pub values: Vec<Vec<Value>>,
}

/// The attributes that the grid always shows or needs.
const ALWAYS: [Attribute; 5] =
    [Attribute::Uid, Attribute::Name, Attribute::Status, Attribute::Kind, Attribute::Note];

impl RunCells {
    /// Reads the values of runs; of the usual columns if no `texts` choose others. Runs that do not
    /// exist are left out.
    ///
    /// # Errors
    /// A column is not valid; the store cannot be read.
    pub fn read(
        store: &Store,
        runs: &[RunName],
        texts: &[String],
        known: &Known,
        goals: &Goals,
    ) -> Result<RunCells> {
        let columns = match texts {
            [] => columns(&default_columns(store, known, goals)?, known, goals)?,
            texts => columns(texts, known, goals)?,
        };
        let best = |run| match store.children_in(run, Lifecycle::Active)?.is_empty() {
            true => Ok(None),
            false => run_tree::best_child(store, run, Lifecycle::Active, known, goals),
        };
        store.consistently(|| RunCells::read_columns(store, runs, columns.clone(), best))
    }

    fn read_columns(
        store: &Store,
        runs: &[RunName],
        columns: Vec<GridColumn>,
        best: impl Fn(RunName) -> Result<Option<RunName>>,
    ) -> Result<RunCells> {
        let mut fields = Vec::new();
        for column in &columns {
            if let Reads::Field(field) = &column.reads {
                fields.push(field.clone());
            }
            if column.kind == Kind::Variant {
                fields.push(Column { name: String::new(), shows: Shows::BestStage });
            }
        }
        let table = RunTable::new(store, fields, Vec::new())?;
        let mut always = store.cells(ALWAYS.map(Source::Attribute).into())?;
        let mut rows = GridRows { values: vec![Vec::new(); columns.len()], ..GridRows::default() };
        for run in runs.iter().filter(|run| store.has(**run).unwrap_or(true)) {
            let mut own = always.read(*run)?.into_iter().map(value);
            for list in
                [&mut rows.uid, &mut rows.name, &mut rows.status, &mut rows.kind, &mut rows.note]
            {
                list.push(own.next().unwrap_or_default());
            }
            rows.run.push(run.0);
            rows.tags.push(store.tags(*run)?);
            rows.children.push(store.parts_in(*run, Lifecycle::Active)?);
            let mut own = values_of(store, &table, &columns, *run)?;
            let has_own =
                own.iter().zip(&columns).any(|(value, of)| of.is_metric() && !value.is_null());
            let best = if has_own { None } else { best(*run)? };
            rows.best.push(best.map(|best| best.0));
            if let Some(best) = best {
                let metrics = values_of(store, &table, &columns, best)?.into_iter().zip(&columns);
                let shown = own.iter_mut().zip(metrics).filter(|(_, (_, of))| of.is_metric());
                shown.for_each(|(own, (value, _))| *own = value);
            }
            rows.values.iter_mut().zip(own).for_each(|(values, own)| values.push(own));
        }
        Ok(RunCells { columns, rows })
    }
}

/// Returns the values of a run, one for each column.
fn values_of(
    store: &Store,
    table: &RunTable<'_>,
    columns: &[GridColumn],
    run: RunName,
) -> Result<Vec<Value>> {
    let mut cells = table.read(run)?.into_iter();
    let value_of = |column: &GridColumn| {
        Ok(match &column.reads {
            Reads::Field(_) if column.kind == Kind::Variant => {
                let pair = [value(cells.next().flatten()), value(cells.next().flatten())];
                if pair[0].is_null() { Value::Null } else { json!(pair) }
            }
            Reads::Field(_) => value(cells.next().flatten()),
            Reads::Extreme(extremes) => best_of(store, run, extremes)?,
            Reads::Nothing => Value::Null,
        })
    };
    columns.iter().map(value_of).collect()
}

fn value(cell: Option<Cell>) -> Value {
    run_table::json(cell).unwrap_or_default()
}

/// Returns the best value of a run and its step.
fn best_of(store: &Store, run: RunName, Extremes { variants, goal }: &Extremes) -> Result<Value> {
    let mut best: Option<crate::runs::columns::Extreme> = None;
    for metric in variants {
        let Some(new) = store.extreme(run, metric, *goal)? else { continue };
        let is_better = best.is_none_or(|old| match goal {
            Goal::Max => new.value > old.value,
            Goal::Min => new.value < old.value,
        });
        if is_better {
            best = Some(new);
        }
    }
    Ok(best.map_or(Value::Null, |best| json!([best.value, best.step])))
}
