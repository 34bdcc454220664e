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
        let mut conditions = vec![builder.scope(query)];
        for comparison in &query.filter.comparisons {
            conditions.push(builder.condition(comparison)?);
        }
        let keys = builder.order(&query.order)?;
        let paged = Paged {
            tables: builder.tables(),
            id: "runs.number",
            table: "runs",
            conditions,
            keys,
            sql: builder.sql,
            limit: query.limit,
            after: query.after.as_deref(),
        };
        self.page(paged, run_name)
    }
}
