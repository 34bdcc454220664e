//! The runs with the best values of a metric.

use super::query::{Found, Level, Query};
use crate::error::{Error, Result};
use crate::filter::{
    Comparison, Direction, Field, Filter, Known, MetricName, Op, Order, Test, Value,
};
use crate::pipeline::{Goal, Goals};
use crate::runs::record::Lifecycle;
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
