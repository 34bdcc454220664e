//! The table of runs on the dashboard: the order of all runs that a view has, and the values of
//! those that are visible, by column.

mod columns;
mod curves;
mod defaults;
mod groups;
mod names;
mod rows;
mod view;

use serde::Serialize;

pub use self::columns::{GridColumn, Kind};
pub use self::curves::{RunCurve, curves};
pub use self::groups::{By, RunGroups};
pub use self::names::{FieldNames, values_of_field};
pub use self::rows::{GridRows, RunCells};
pub use self::view::{Shape, View};
use super::run_tree;
use crate::error::Result;
use crate::event::RunName;
use crate::pipeline::Goals;
use crate::runs::Store;

/// All runs of a view, in order, with the values of the first ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunGrid {
    /// Number of runs that match, with those below others that are not open, and without parents
    /// that are shown for their children.
    pub total: usize,
    pub is_tree: bool,
    /// Numbers of the runs.
    pub runs: Vec<u64>,
    /// Number of runs above each run in the tree; empty if it is 0 for all.
    pub depths: Vec<usize>,
    #[serde(flatten)]
    pub cells: RunCells,
}

impl RunGrid {
    /// Reads a view and the values of its first `count` runs.
    ///
    /// # Errors
    /// The filter, the order or a column is not valid; the store cannot be read.
    pub fn read(store: &Store, view: &View, count: usize, goals: &Goals) -> Result<RunGrid> {
        let known = store.known()?;
        let is_tree = match view.shape {
            Shape::Usual => view.filter.trim().is_empty() && view.sort.is_empty(),
            Shape::List => false,
            Shape::Tree => true,
        };
        let found = view::find(store, view, is_tree, &known, goals)?;
        let total = match view::is_whole(view) && is_tree && !view.is_deleted {
            true => store.count()?,
            false => found.len(),
        };
        let rows = match is_tree {
            true if view::is_whole(view) => view::open(store, &found, view)?,
            true => run_tree::grouped(store, &found)?,
            false => run_tree::flat(&found),
        };
        let first: Vec<RunName> = rows.iter().take(count).map(|row| row.run).collect();
        let depths = match rows.iter().any(|row| row.depth > 0) {
            true => rows.iter().map(|row| row.depth).collect(),
            false => Vec::new(),
        };
        Ok(RunGrid {
            total,
            is_tree,
            runs: rows.iter().map(|row| row.run.0).collect(),
            depths,
            cells: RunCells::read(store, &first, &view.columns, &known, goals)?,
        })
    }
}
