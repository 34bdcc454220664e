//! The rows of a list of runs: sweeps as trees, with their trials below them or counted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::engine::sweep;
use crate::error::Result;
use crate::event::RunName;
use crate::filter::Known;
use crate::pipeline::{Goal, Goals};
use crate::runs::{Lifecycle, Store};

/// A row of a list of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub run: RunName,
    /// Number of runs above it in the tree.
    pub depth: usize,
    /// The children that the list does not show.
    pub hidden: Option<Children>,
}

/// The children of a run, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Children {
    pub count: usize,
    /// The child with the best value of a metric that has a goal.
    pub best: Option<RunName>,
}

/// Returns one row for each run, in their order.
pub fn flat(runs: &[RunName]) -> Vec<Node> {
    runs.iter().map(|run| Node { run: *run, depth: 0, hidden: None }).collect()
}

/// Returns one row for each run, with its children counted.
///
/// # Errors
/// The store cannot be read.
pub fn collapsed(
    store: &Store,
    runs: &[RunName],
    lifecycle: Lifecycle,
    known: &Known,
    goals: &Goals,
) -> Result<Vec<Node>> {
    let parents = store.with_children(lifecycle)?;
    let row = |run: &RunName| {
        let hidden = match parents.contains(run) {
            false => None,
            true => Some(Children {
                count: store.parts_in(*run, lifecycle)?,
                best: best_child(store, *run, lifecycle, known, goals)?,
            }),
        };
        Ok(Node { run: *run, depth: 0, hidden })
    };
    runs.iter().map(row).collect()
}

/// Returns one row for each run and each run below it, parents first.
///
/// # Errors
/// The store cannot be read.
pub fn expanded(store: &Store, runs: &[RunName], lifecycle: Lifecycle) -> Result<Vec<Node>> {
    let mut rows = Vec::new();
    let mut stack: Vec<(RunName, usize)> = runs.iter().rev().map(|run| (*run, 0)).collect();
    let mut seen = BTreeSet::new();
    while let Some((run, depth)) = stack.pop() {
        // A database from elsewhere may have a run that is its own ancestor.
        if seen.insert(run) {
            rows.push(Node { run, depth, hidden: None });
            let children = store.children_in(run, lifecycle)?;
            stack.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
        }
    }
    Ok(rows)
}

/// Returns one row for each run, below rows for the runs that it is a part of.
///
/// # Errors
/// The store cannot be read.
pub fn grouped(store: &Store, runs: &[RunName]) -> Result<Vec<Node>> {
    let parents = store.parents()?;
    Ok(below_parents(runs, &parents))
}

fn below_parents(runs: &[RunName], parents: &BTreeMap<RunName, RunName>) -> Vec<Node> {
    let mut tops: Vec<RunName> = Vec::new();
    let mut children: BTreeMap<RunName, Vec<RunName>> = BTreeMap::new();
    let mut placed = BTreeSet::new();
    for run in runs {
        let mut at = *run;
        while placed.insert(at) {
            match parents.get(&at).copied() {
                Some(parent) => {
                    children.entry(parent).or_default().push(at);
                    at = parent;
                }
                None => tops.push(at),
            }
        }
    }
    let mut rows = Vec::new();
    let mut stack: Vec<(RunName, usize)> = tops.into_iter().rev().map(|run| (run, 0)).collect();
    while let Some((run, depth)) = stack.pop() {
        rows.push(Node { run, depth, hidden: None });
        let below = children.remove(&run).unwrap_or_default();
        stack.extend(below.into_iter().rev().map(|child| (child, depth + 1)));
    }
    rows
}

/// Returns the child with the best value of the metric that a sweep optimizes. Without one, it is
/// the last metric, by stage and key, that has a goal to maximize, or else one to minimize.
///
/// # Errors
/// The store cannot be read.
pub fn best_child(
    store: &Store,
    run: RunName,
    lifecycle: Lifecycle,
    known: &Known,
    goals: &Goals,
) -> Result<Option<RunName>> {
    let optimized = sweep::objective(&store.tags(run)?).map(|one| (one.metric, one.goal));
    let judged = match optimized {
        Some(judged) => Some(judged),
        None => usual_metric(store, run, lifecycle, goals)?,
    };
    let Some((metric, goal)) = judged else { return Ok(None) };
    // No child may have reported it yet.
    let variants = known.metric(&metric).unwrap_or_default();
    store.best_below(run, lifecycle, &variants, goal)
}

fn usual_metric(
    store: &Store,
    run: RunName,
    lifecycle: Lifecycle,
    goals: &Goals,
) -> Result<Option<(String, Goal)>> {
    let mut names = BTreeSet::new();
    for child in store.children_in(run, lifecycle)?.into_iter().take(SAMPLED) {
        names.extend(store.metrics(child)?.into_keys());
    }
    Ok([Goal::Max, Goal::Min].into_iter().find_map(|wanted| {
        let mut full = names.iter().rev().map(|(stage, key)| stage.name_of(key));
        full.find(|full| goals.of(full) == Some(wanted)).map(|full| (full, wanted))
    }))
}

/// Number of children whose metrics are read to choose one.
const SAMPLED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_below_their_parents() {
        // 1 has 2 and 3, 3 has 4; 5 stands alone.
        let parents: BTreeMap<RunName, RunName> =
            [(2, 1), (3, 1), (4, 3)].map(|(run, parent)| (RunName(run), RunName(parent))).into();
        let shown = |runs: &[u64]| {
            let runs: Vec<RunName> = runs.iter().copied().map(RunName).collect();
            let rows = below_parents(&runs, &parents);
            let rows = rows.iter().map(|row| format!("{}{}", ".".repeat(row.depth), row.run.0));
            rows.collect::<Vec<_>>().join(" ")
        };
        for (runs, expected) in [
            (&[5, 2, 1][..], "5 1 .2"),
            (&[4, 5, 2], "1 .3 ..4 .2 5"),
            (&[2, 4, 3], "1 .2 .3 ..4"),
            (&[], ""),
        ] {
            assert_eq!(shown(runs), expected);
        }
    }
}
