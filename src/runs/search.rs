//! Finds runs: a filter and an order become one SQL query with bound values.
//!
//! # Mechanism
//!
//! Each metric that the filter or the order names is a common table expression of two columns,
//! `run` and `value`, which an index on the name of the metric serves. So the cost depends on the
//! number of runs and of named metrics, and neither on the number of all metrics nor on points.
//! The value is the final one, or else the last one of the series; NULL stands for NaN.

mod best;
mod binding;
mod by_metrics;
mod client;
mod experiments;
mod known;
mod models;
mod paging;
mod query;
mod registered;
mod rows;
mod sql;

use rusqlite::params_from_iter;

use super::liveness::is_alive;
use super::rows::{run_name, signed};
use super::store::Store;
use crate::error::Result;
use crate::filter::Known;
use crate::pipeline::Goals;

pub use client::ClientQuery;
pub use experiments::ExperimentQuery;
pub use models::{DatasetChoice, ModelOrder, ModelQuery};
pub use paging::Page;
pub use query::{Found, Level, Query};
pub use registered::RegistryQuery;

impl Store {
    /// Returns the runs that match a query, in its order.
    ///
    /// # Errors
    /// The filter or the order names a metric, param or tag that no run has or that is ambiguous;
    /// the database cannot be read.
    pub fn search(&self, query: &Query, known: &Known, goals: &Goals) -> Result<Found> {
        if let Some(metrics) = by_metrics::metrics(&query.order) {
            return self.sorted_by_metrics(query, &metrics, known, goals);
        }
        let mut sql = sql::Builder::new(known, goals, self.dead()?);
        let conditions = sql.conditions(query)?;
        let order = sql.order(&query.order)?;
        let text = format!(
            "{} SELECT runs.number FROM runs {} WHERE {conditions} ORDER BY {}",
            sql.tables(),
            order.joins,
            order.keys.join(", ")
        );
        // To count the others apart would filter twice.
        let mut runs = self.query_all(&text, params_from_iter(&sql.sql.values), run_name)?;
        let total = runs.len();
        runs.truncate(query.limit);
        Ok(Found { runs, total })
    }

    /// Returns the runs whose process died while they were recorded.
    pub(super) fn dead(&self) -> Result<Vec<i64>> {
        let sql = "SELECT number FROM runs WHERE status = 'running' AND kind != 'external'";
        let running = self.query_all(sql, (), run_name)?;
        Ok(running.into_iter().filter(|run| !is_alive(&self.root, *run)).map(signed).collect())
    }
}

#[cfg(test)]
mod tests;
