//! The runs with the best values of a metric.

use super::query::{Found, Level, Query};
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::filter::{
    Comparison, Direction, Field, Filter, Known, MetricName, Op, Order, Test, Value,
};
use crate::pipeline::{Goal, Goals};
use crate::runs::record::Lifecycle;
use crate::runs::rows::{run_name, signed};
use crate::runs::store::Store;

impl Store {
    /// Returns the runs that match `filter` and have a number for `metric`, best first; newer ones
    /// first among equals.
    ///
    /// # Errors
    /// No run has such a metric, or it has no goal; the database cannot be read.
    pub fn best(
        &self,
        metric: &str,
        mut filter: Filter,
        known: &Known,
        goals: &Goals,
        limit: usize,
    ) -> Result<Found> {
        let direction = match goal(&known.metric(metric)?, goals)? {
            Goal::Max => Direction::Descending,
            Goal::Min => Direction::Ascending,
        };
        let field = Field::Metric(metric.to_owned());
        // True of every number but NaN.
        let test = Test::Compare(Op::Ge, Value::Number(f64::NEG_INFINITY));
        filter.comparisons.push(Comparison { field: field.clone(), test });
        let query = Query {
            filter,
            order: vec![Order { field, direction }],
            lifecycle: Lifecycle::Active,
            level: Level::Any,
            limit,
        };
        self.search(&query, known, goals)
    }

    /// Returns the run directly below `run` with the best number for one of `metrics`; the newest
    /// among equals.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn best_below(
        &self,
        run: RunName,
        lifecycle: Lifecycle,
        metrics: &[MetricName],
        goal: Goal,
    ) -> Result<Option<RunName>> {
        // The children are few, whatever the number of runs that have the metric.
        let sql = "SELECT below.number, CASE WHEN final.run IS NULL THEN last ELSE final.value END
                   FROM runs AS above JOIN runs AS below ON below.parent = above.uid
                   LEFT JOIN metrics AS final ON final.run = below.number
                       AND final.stage = ?3 AND final.key = ?4
                   LEFT JOIN series ON series.run = below.number
                       AND series.stage = ?3 AND series.key = ?4
                   WHERE above.number = ?1 AND below.lifecycle = ?2";
        let mut best: Option<(f64, RunName)> = None;
        for MetricName { stage, key } in metrics {
            let values = (signed(run), lifecycle.word(), stage, key);
            let rows = self.query_all(sql, values, |row| Ok((run_name(row)?, row.get(1)?)))?;
            for (run, value) in rows {
                let Some(value): Option<f64> = value else { continue };
                let value = if goal == Goal::Max { value } else { -value };
                if best.is_none_or(|best| (value, run) > best) {
                    best = Some((value, run));
                }
            }
        }
        Ok(best.map(|(_, run)| run))
    }
}

/// Returns the goal of a metric.
fn goal(variants: &[MetricName], goals: &Goals) -> Result<Goal> {
    let Some(metric) = variants.first() else { panic!("BUG: a known metric without a name") };
    let name = metric.of_family();
    goals.of(&name).ok_or_else(|| {
        let declared = format!("`{} = {{ goal = \"max\" }}`", metric.key);
        Error::usage(format!("metric `{name}` has no goal"))
            .hint(format!("declare one in pipeline.toml: {declared} in `[metrics]`"))
    })
}
