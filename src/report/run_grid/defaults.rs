//! The columns of a grid for which the user chose none: metrics with a goal, and params that vary.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::filter::{Known, MetricName};
use crate::pipeline::{Goal, Goals};
use crate::runs::Store;

/// Maximum number of columns of metrics.
const METRICS: usize = 6;
/// Maximum number of columns of params.
const PARAMS: usize = 6;
/// Number of runs that are read to find params that vary and metrics in use.
const SAMPLED: usize = 30;

/// Returns the texts of the columns.
///
/// # Errors
/// The store cannot be read.
pub(super) fn default_columns(store: &Store, known: &Known, goals: &Goals) -> Result<Vec<String>> {
    let mut texts: Vec<String> = ["started", "took"].map(str::to_owned).into();
    texts.extend(metrics(store, known, goals)?.into_iter().map(|name| format!("metrics.{name}")));
    texts.extend(varying_params(store)?.into_iter().map(|key| format!("params.{key}")));
    texts.extend(["tags", "note"].map(str::to_owned));
    Ok(texts)
}

/// Returns metrics that recent runs have: those to maximize, those to minimize, then others.
fn metrics(store: &Store, known: &Known, goals: &Goals) -> Result<Vec<String>> {
    let mut recent = BTreeSet::new();
    for run in store.names(SAMPLED)? {
        recent.extend(store.metrics(run)?.into_keys().map(|(stage, key)| (stage.to_string(), key)));
        let series = store.series(run)?.into_iter();
        recent.extend(series.map(|series| (series.stage.to_string(), series.key)));
    }
    let mut ranked: Vec<(u8, String)> = Vec::new();
    for MetricName { stage, key } in &known.metrics {
        let metric = MetricName { stage: stage.clone(), key: key.clone() };
        let rank = match goals.of(&metric.of_family()) {
            Some(Goal::Max) => 0,
            Some(Goal::Min) => 1,
            // What the program measures about itself is of less interest than what it computes.
            None if key.starts_with("sys.") || key.starts_with("system/") => 3,
            None => 2,
        };
        // The variants of a matrix are one column if they have a goal.
        let name = if rank < 2 { metric.of_family() } else { metric.full() };
        let entry = (rank, name);
        if recent.contains(&(stage.clone(), key.clone())) && !ranked.contains(&entry) {
            ranked.push(entry);
        }
    }
    ranked.sort();
    let has_goals = ranked.iter().any(|(rank, _)| *rank < 2);
    let chosen = ranked.into_iter().filter(|(rank, _)| !has_goals || *rank < 2);
    Ok(chosen.take(METRICS).map(|(_, name)| name).collect())
}

/// Returns params with more than one value among recent runs.
fn varying_params(store: &Store) -> Result<Vec<String>> {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for run in store.names(SAMPLED)? {
        for (key, value) in store.params(run)? {
            values.entry(key.to_string()).or_default().insert(value.to_string());
        }
    }
    let varying = values.into_iter().filter(|(_, values)| values.len() > 1);
    Ok(varying.map(|(key, _)| key).take(PARAMS).collect())
}
