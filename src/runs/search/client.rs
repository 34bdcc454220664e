//! Finds runs as MLflow's clients ask for them.
//!
//! # Differences from the search of this program
//!
//! - Names are exact: `metrics.train.loss` is the metric `train.loss` that a client has logged, or
//!   else `loss` of the stage `train`. A name that no run has matches nothing.
//! - Params are ordered as texts.
//! - Answers come in pages. A token has the place of the last run of its page in the order, so a
//!   run that is created meanwhile moves no other to another page.

mod sql;
#[cfg(test)]
mod tests;
mod token;

use rusqlite::params_from_iter;
use rusqlite::types::Value as Bound;

use super::binding::Bindings;
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::filter::{Filter, Order};
use crate::runs::record::Lifecycle;
use crate::runs::rows::run_name;
use crate::runs::store::Store;

/// A question of a client for runs.
#[derive(Debug, Clone, Default)]
pub struct ClientQuery {
    pub filter: Filter,
    /// The first one counts most. Then the runs that started last come first.
    pub order: Vec<Order>,
    pub experiments: Vec<i64>,
    /// `None` stands for any.
    pub lifecycle: Option<Lifecycle>,
    /// Maximum number of runs in the answer.
    pub limit: usize,
    /// Token of the page before.
    pub after: Option<String>,
}

/// A page of things that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub found: Vec<T>,
    /// Token of the next page, if there is one.
    pub next: Option<String>,
}

/// Maximum number of fields in an order: SQLite joins at most 64 tables.
const MOST_ORDERS: usize = 20;

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
        let order = builder.order(&query.order)?;
        if let Some(token) = &query.after {
            let place = token::read(token, &order)?;
            conditions.push(order.after(&place, &mut builder.sql));
        }
        let limit = i64::try_from(query.limit.saturating_add(1)).unwrap_or(i64::MAX);
        let text = format!(
            "{} SELECT runs.number, {} FROM runs {} WHERE {} ORDER BY {} LIMIT {limit}",
            builder.tables(),
            order.columns(),
            order.joins,
            conditions.join("\n AND "),
            order.text(),
        );
        let count = order.keys.len();
        let mut rows = self.query_all(&text, params_from_iter(&builder.sql.values), |row| {
            let place = (1..=count).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?;
            Ok((run_name(row)?, place))
        })?;
        let has_more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let last = rows.last().filter(|_| has_more);
        let next = last.map(|(_, place): &(RunName, Vec<Bound>)| token::write(place, &order));
        Ok(Page { found: rows.into_iter().map(|(run, _)| run).collect(), next })
    }
}

fn check_order(order: &[Order]) -> Result<()> {
    if order.len() > MOST_ORDERS {
        return Err(Error::usage(format!("an order has at most {MOST_ORDERS} fields")));
    }
    for (at, one) in order.iter().enumerate() {
        if order[..at].iter().any(|former| former.field == one.field) {
            return Err(Error::usage(format!("the order has `{}` twice", one.field)));
        }
    }
    Ok(())
}

/// An order of rows in which no two are equal.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Distinguishes the order from others.
    name: String,
    joins: String,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    expression: String,
    is_descending: bool,
}

impl Keys {
    pub(super) fn push(&mut self, expression: impl Into<String>, is_descending: bool) {
        self.keys.push(Key { expression: expression.into(), is_descending });
    }

    /// Returns the columns by which the order goes.
    fn columns(&self) -> String {
        let columns = self.keys.iter().map(|key| format!("({})", key.expression));
        columns.collect::<Vec<_>>().join(", ")
    }

    fn text(&self) -> String {
        let keys = self.keys.iter().map(|Key { expression, is_descending }| {
            format!("({expression}) {}", if *is_descending { "DESC" } else { "ASC" })
        });
        keys.collect::<Vec<_>>().join(", ")
    }

    /// Returns the condition that a row comes after the one at `place`.
    fn after(&self, place: &[Bound], sql: &mut Bindings) -> String {
        let mut after = "0".to_owned();
        for (Key { expression, is_descending }, value) in self.keys.iter().zip(place).rev() {
            let bound = sql.bind(value.clone());
            let operator = if *is_descending { "<" } else { ">" };
            after = match value {
                // A row with a value is not among those where it is missing: a key before this one
                // tells them apart.
                Bound::Null => after,
                _ => format!(
                    "(({expression}) {operator} {bound} OR ({expression}) IS {bound} AND {after})"
                ),
            };
        }
        after
    }
}
