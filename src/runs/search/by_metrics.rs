//! Sorts runs by metrics. SQLite would group the values by run, make an index of them and look up
//! each run in it; to read both lists and to sort here takes a third of the time.

use std::cmp::Ordering;
use std::collections::HashMap;

use rusqlite::params_from_iter;

use super::query::{Found, Query};
use super::sql::Builder;
use crate::error::Result;
use crate::event::RunName;
use crate::filter::{Direction, Field, Known, Order};
use crate::pipeline::Goals;
use crate::runs::rows::run_name;
use crate::runs::store::Store;

/// A metric of a run, `None` if it has none; the value is `None` for NaN.
type Value = Option<Option<f64>>;

/// Returns the metrics of an order that consists of metrics only.
pub(super) fn metrics(order: &[Order]) -> Option<Vec<(&str, Direction)>> {
    let metrics = order.iter().map(|Order { field, direction }| match field {
        Field::Metric(name) => Some((name.as_str(), *direction)),
        _ => None,
    });
    metrics.collect::<Option<Vec<_>>>().filter(|metrics| !metrics.is_empty())
}

impl Store {
    /// Returns the runs that match a query, sorted by metrics, then newer ones first.
    pub(super) fn sorted_by_metrics(
        &self,
        query: &Query,
        metrics: &[(&str, Direction)],
        known: &Known,
        goals: &Goals,
    ) -> Result<Found> {
        let mut sql = Builder::new(known, goals, self.dead()?);
        let conditions = sql.conditions(query)?;
        let text = format!("{} SELECT runs.number FROM runs WHERE {conditions}", sql.tables());
        let matching = || self.query_all(&text, params_from_iter(&sql.sql.values), run_name);
        let (runs, values) = self.consistently(|| {
            let values = metrics.iter().map(|(name, _)| self.values_by_name(name, known, goals));
            Ok((matching()?, values.collect::<Result<Vec<_>>>()?))
        })?;
        let total = runs.len();
        let row = |run| (run, values.iter().map(|of| of.get(&run).copied()).collect());
        let mut rows: Vec<(RunName, Vec<Value>)> = runs.into_iter().map(row).collect();
        rows.sort_unstable_by(|(a, of_a), (b, of_b)| {
            let pairs = of_a.iter().zip(of_b).zip(metrics);
            let by_value = pairs.map(|((a, b), (_, direction))| compare(*a, *b, *direction));
            by_value.fold(Ordering::Equal, Ordering::then).then(b.cmp(a))
        });
        rows.truncate(query.limit);
        Ok(Found { runs: rows.into_iter().map(|(run, _)| run).collect(), total })
    }

    /// Returns the values of a metric, named as users do.
    fn values_by_name(
        &self,
        name: &str,
        known: &Known,
        goals: &Goals,
    ) -> Result<HashMap<RunName, Option<f64>>> {
        let mut sql = Builder::new(known, goals, Vec::new());
        let table = sql.metric(name)?;
        let text = format!("{} SELECT run, value FROM {table}", sql.tables());
        let values = params_from_iter(&sql.sql.values);
        let rows = self.query_all(&text, values, |row| Ok((run_name(row)?, row.get(1)?)))?;
        Ok(rows.into_iter().collect())
    }
}

/// Compares two values. NaN comes after the numbers in both directions, and no value comes last.
fn compare(a: Value, b: Value, direction: Direction) -> Ordering {
    let place = |value: Value| match value {
        Some(Some(_)) => 0,
        Some(None) => 1,
        None => 2,
    };
    match (a.flatten(), b.flatten(), direction) {
        (Some(a), Some(b), Direction::Ascending) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        (Some(a), Some(b), Direction::Descending) => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
        _ => place(a).cmp(&place(b)),
    }
}
