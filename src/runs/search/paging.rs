//! Pages of what a query finds.
//!
//! A token has the place of the last row of its page in the order. The next page begins after this
//! place, so rows that arrive or go meanwhile move no other row to another page.

mod token;

use rusqlite::types::Value as Bound;
use rusqlite::{Row, params_from_iter};

use super::binding::Bindings;
use crate::error::{Error, Result};
use crate::filter::{Order, Subject};
use crate::runs::store::Store;

/// A page of things that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub found: Vec<T>,
    /// Token of the next page, if there is one.
    pub next: Option<String>,
}

/// A query that is answered by pages.
pub(super) struct Paged<'q> {
    /// Table expressions, with `WITH`; may be empty.
    pub(super) tables: String,
    /// The column that the answer consists of.
    pub(super) id: &'static str,
    pub(super) table: &'static str,
    pub(super) conditions: Vec<String>,
    pub(super) keys: Keys,
    pub(super) sql: Bindings,
    pub(super) limit: usize,
    pub(super) after: Option<&'q str>,
}

impl Store {
    /// Returns a page; `read` reads the id from the first column.
    ///
    /// # Errors
    /// The token is not that of a page in this order; the database cannot be read.
    pub(super) fn page<T>(
        &self,
        paged: Paged<'_>,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Page<T>> {
        let Paged { tables, id, table, mut conditions, keys, mut sql, limit, after } = paged;
        if let Some(token) = after {
            let place = token::read(token, &keys.name, keys.keys.len())?;
            conditions.push(keys.after(&place, &mut sql));
        }
        conditions.push("1".to_owned());
        // One more than is answered tells whether there is another page.
        let most = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
        let text = format!(
            "{tables} SELECT {id}, {} FROM {table} WHERE {} ORDER BY {} LIMIT {most}",
            keys.columns(),
            conditions.join("\n AND "),
            keys.text(),
        );
        let count = keys.keys.len();
        let mut rows = self.query_all(&text, params_from_iter(&sql.values), |row| {
            let place = (1..=count).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?;
            Ok((read(row)?, place))
        })?;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| has_more);
        let next = last.map(|(_, place): &(T, Vec<Bound>)| token::write(place, &keys.name));
        Ok(Page { found: rows.into_iter().map(|(found, _)| found).collect(), next })
    }
}

/// Maximum number of fields in an order.
const MOST_ORDERS: usize = 20;

/// Checks that an order names no field twice.
pub(super) fn check_order<A: Subject>(order: &[Order<A>]) -> Result<()> {
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
    pub(super) name: String,
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
        // An index finds the place by the first key alone.
        match (self.keys.first(), place.first()) {
            (Some(Key { expression, is_descending }), Some(value)) if *value != Bound::Null => {
                let bound = sql.bind(value.clone());
                let operator = if *is_descending { "<=" } else { ">=" };
                format!("({expression}) {operator} {bound} AND {after}")
            }
            _ => after,
        }
    }
}
