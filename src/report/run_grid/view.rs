//! The choices of the user, and the runs that match them.

use std::collections::HashMap;

use super::columns;
use crate::error::Result;
use crate::event::RunName;
use crate::filter::{Dialect, Direction, Filter, Known, Order};
use crate::pipeline::Goals;
use crate::report::run_columns::order;
use crate::report::run_tree::Node;
use crate::runs::search::{Level, Query};
use crate::runs::{Lifecycle, Store};

/// The choices of the user.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub filter: String,
    /// Fields with or without a direction; the first one counts most.
    pub sort: Vec<String>,
    /// Without any, a few are chosen.
    pub columns: Vec<String>,
    pub shape: Shape,
    /// Runs whose children are shown.
    pub open: Vec<RunName>,
    pub is_deleted: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    /// A tree if all runs are shown in their own order, else a list.
    #[default]
    Usual,
    List,
    Tree,
}

/// Returns the runs that match a view, in its order, without those between them in the tree.
///
/// # Errors
/// The filter or the order is not valid; the store cannot be read.
pub(super) fn find(
    store: &Store,
    view: &View,
    is_tree: bool,
    known: &Known,
    goals: &Goals,
) -> Result<Vec<RunName>> {
    let parsed = Filter::parse(&view.filter, Dialect::Repro);
    let filter = parsed.map_err(|fault| known.explain(fault).in_text("filter", &view.filter))?;
    let (mut orders, mut extreme) = (Vec::new(), None);
    for text in &view.sort {
        match columns::extreme_of(Order::split(text).0, known, goals)? {
            Some(column) if orders.is_empty() && extreme.is_none() => {
                extreme = Some((column, Order::split(text).1));
            }
            // Among equals, the best value decides nothing.
            Some(_) => {}
            None => orders.push(order(text, known, goals)?),
        }
    }
    let query = Query {
        filter,
        order: orders,
        lifecycle: if view.is_deleted { Lifecycle::Deleted } else { Lifecycle::Active },
        level: if is_tree && is_whole(view) { Level::Top } else { Level::Any },
        limit: usize::MAX,
    };
    let mut runs = store.search(&query, known, goals)?.runs;
    if let Some((column, direction)) = extreme {
        let values = column.best_of_all(store)?;
        sort_by(&mut runs, &values, direction.unwrap_or(column.usual_direction()));
    }
    Ok(runs)
}

/// Reports whether a view shows every run, so that children can be hidden below their parents.
pub(super) fn is_whole(view: &View) -> bool {
    view.filter.trim().is_empty()
}

/// Sorts runs by their values; those without one come last.
fn sort_by(runs: &mut [RunName], values: &HashMap<RunName, f64>, direction: Direction) {
    runs.sort_by(|a, b| match (values.get(a), values.get(b)) {
        (Some(a), Some(b)) if direction == Direction::Ascending => a.total_cmp(b),
        (Some(a), Some(b)) => b.total_cmp(a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
}

/// Puts the children of open runs below them.
pub(super) fn open(store: &Store, tops: &[RunName], view: &View) -> Result<Vec<Node>> {
    let lifecycle = if view.is_deleted { Lifecycle::Deleted } else { Lifecycle::Active };
    let mut rows = Vec::with_capacity(tops.len());
    let mut stack: Vec<(RunName, usize)> = tops.iter().rev().map(|run| (*run, 0)).collect();
    // A database from elsewhere may have a run that is its own ancestor.
    let mut opened: Vec<RunName> = Vec::new();
    while let Some((run, depth)) = stack.pop() {
        rows.push(Node { run, depth, hidden: None });
        if view.open.contains(&run) && !opened.contains(&run) {
            opened.push(run);
            let children = store.children_in(run, lifecycle)?;
            stack.extend(children.into_iter().map(|child| (child, depth + 1)));
        }
    }
    Ok(rows)
}
