//! Finds runs as MLflow's clients ask for them.
//!
//! # Differences from the search of this program
//!
//! - Names are exact: `metrics.train.loss` is the metric `train.loss` that a client has logged, or
//!   else `loss` of the stage `train`. A name that no run has matches nothing.
//! - Params are ordered as texts.
//! - Answers come in pages. A token has the place of the last run of its page in the order, so a
//!   run that is created meanwhile moves no other to another page.

mod query;
mod sql;
#[cfg(test)]
mod tests;

use super::paging::{Page, Paged, check_order};
use crate::error::Result;
use crate::event::RunName;
use crate::runs::rows::run_name;
use crate::runs::store::Store;

pub use query::ClientQuery;

impl Store {
    /// Returns a page of the runs that match a query, in its order.
    ///
    /// # Errors
    /// The token is not that of a page in this order; the order names a field twice or too many of
    /// them; the database cannot be read.
    pub fn client_search(&self, query: &ClientQuery) -> Result<Page<RunName>> {
        check_order(&query.order)?;
        let mut builder = sql::Builder::new(self, self.dead()?);
        let experiments = serde_json::Value::from(&*query.experiments).to_string();
        let experiments = builder.sql.bind(experiments);
        let mut conditions =
            vec![format!("runs.experiment IN (SELECT value FROM json_each({experiments}))")];
        if let Some(lifecycle) = query.lifecycle {
            let lifecycle = builder.sql.bind(lifecycle.word().to_owned());
            conditions.push(format!("runs.lifecycle = {lifecycle}"));
        }
        for comparison in &query.filter.comparisons {
            conditions.push(builder.condition(comparison)?);
        }
        let (values, keys) = builder.order(&query.order)?;
        // Materialized, so that each value is looked up once. Without such values, an index has the
        // order.
        let (tables, table) = match &values[..] {
            [] => (String::new(), "runs"),
            values => {
                let values = values.join(", ");
                let conditions = std::mem::take(&mut conditions).join("\n AND ");
                let ordered = format!(
                    "WITH ordered AS MATERIALIZED
                     (SELECT number, started, uid, {values} FROM runs WHERE {conditions})"
                );
                (ordered, "ordered")
            }
        };
        let paged = Paged {
            tables,
            id: "number",
            table,
            conditions,
            keys,
            sql: builder.sql,
            limit: query.limit,
            after: query.after.as_deref(),
        };
        self.page(paged, run_name)
    }
}
