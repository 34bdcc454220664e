//! The SQL of a client's query.
//!
//! A metric, param or tag is looked up run by run by its primary key, so the cost depends on the
//! number of runs in the experiments and not on the number of runs in the store.

use crate::error::Result;
use crate::filter::{Attribute, Comparison, Direction, Field, Op, Order, Test, no_column};
use crate::runs::client_run::{TAG_COLUMNS, attribute_column};
use crate::runs::rows::name_readings;
use crate::runs::search::binding::Bindings;
use crate::runs::search::paging::Keys;
use crate::runs::search::rows::{PARAM_TEXT, dataset};
use crate::runs::store::Store;

/// The parts of a query, and the values that are bound in it.
pub(super) struct Builder<'s> {
    store: &'s Store,
    dead: Vec<i64>,
    pub(super) sql: Bindings,
}

impl<'s> Builder<'s> {
    pub(super) fn new(store: &'s Store, dead: Vec<i64>) -> Builder<'s> {
        Builder { store, dead, sql: Bindings::default() }
    }

    /// Returns the condition that a run passes a test.
    pub(super) fn condition(&mut self, Comparison { field, test }: &Comparison) -> Result<String> {
        let value = match field {
            Field::Dataset(field) => return Ok(dataset(&mut self.sql, *field, test)),
            Field::Metric(name) => {
                let value = self.metric(name, "value")?;
                return Ok(match test {
                    // NaN, stored as NULL, differs from every number; a missing metric does not.
                    Test::Compare(Op::Ne, _) => {
                        let differs = self.sql.differing_nan(&value, test);
                        format!("EXISTS ({value}) AND {differs}")
                    }
                    test => self.sql.test(&value, test),
                });
            }
            field => self.value(field)?,
        };
        Ok(self.sql.test(&value, test))
    }

    /// Returns the value of a field by which runs are compared and ordered; NULL if it is missing.
    /// That of a metric is the text `NaN` if it is no number.
    fn value(&mut self, field: &Field) -> Result<String> {
        Ok(match field {
            Field::Attribute(attribute) => attribute_column(*attribute, &self.dead),
            Field::Metric(name) => self.metric(name, "coalesce(value, 'NaN')")?,
            Field::Param(name) => self.param(name)?,
            Field::Tag(name) => {
                let key = self.sql.bind(name.clone());
                let stored =
                    format!("SELECT value FROM tags WHERE run = runs.number AND key = {key}");
                match TAG_COLUMNS.iter().find(|(key, _)| *key == name) {
                    Some((_, column)) => format!("coalesce({column}, ({stored}))"),
                    None => stored,
                }
            }
            Field::Dataset(_) => return Err(no_column(field)),
        })
    }

    /// Returns the query for a metric of a run: its final value, or else the last one of its
    /// series.
    fn metric(&mut self, name: &str, shown: &str) -> Result<String> {
        let last = shown.replace("value", "last");
        let mut queries = Vec::new();
        for (stage, key) in self.store.recorded(name, &["metrics", "series"])? {
            let (stage, key) = (self.sql.bind(stage), self.sql.bind(key));
            let place = format!("run = runs.number AND stage = {stage} AND key = {key}");
            queries.push(format!("SELECT {shown} AS value FROM metrics WHERE {place}"));
            queries.push(format!("SELECT {last} FROM series WHERE {place}"));
        }
        Ok(first_of(&queries))
    }

    fn param(&mut self, name: &str) -> Result<String> {
        let mut queries = Vec::new();
        for (stage, key) in self.store.recorded(name, &["params"])? {
            let (stage, key) = (self.sql.bind(stage), self.sql.bind(key));
            let place = format!("run = runs.number AND stage = {stage} AND key = {key}");
            queries.push(format!("SELECT {PARAM_TEXT} AS value FROM params WHERE {place}"));
        }
        Ok(first_of(&queries))
    }

    /// Returns the values that an order goes by, and the keys that it consists of. Missing values
    /// come last in both directions, after NaN.
    pub(super) fn order(&mut self, order: &[Order]) -> Result<(Vec<String>, Keys)> {
        let (mut values, mut keys) = (Vec::new(), Keys::default());
        for (at, Order { field, direction }) in order.iter().enumerate() {
            keys.name.push_str(&format!("{field} {direction:?}\n"));
            values.push(format!("({}) AS key_{at}", self.value(field)?));
            keys.push(format!("key_{at} IS NULL"), false);
            if matches!(field, Field::Metric(_)) {
                keys.push(format!("key_{at} = 'NaN'"), false);
            }
            keys.push(format!("key_{at}"), *direction == Direction::Descending);
        }
        let is_by_start = |one: &Order| one.field == Field::Attribute(Attribute::Started);
        if !order.iter().any(is_by_start) {
            keys.push("started", true);
        }
        keys.push("uid", false);
        Ok((values, keys))
    }
}

/// Returns a query for the first row that one of the queries finds.
fn first_of(queries: &[String]) -> String {
    match queries {
        [] => "SELECT NULL WHERE 0".to_owned(),
        _ => format!("{} LIMIT 1", queries.join(" UNION ALL ")),
    }
}

impl Store {
    /// Returns the stages and keys that a name can stand for and that one of the tables has.
    fn recorded(&self, name: &str, tables: &[&str]) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for (stage, key) in name_readings(name) {
            for table in tables {
                let sql = format!("SELECT 1 FROM {table} WHERE stage = ?1 AND key = ?2 LIMIT 1");
                if self.query_one(&sql, (stage, key), |_| Ok(()))?.is_some() {
                    found.push((stage.to_owned(), key.to_owned()));
                    break;
                }
            }
        }
        Ok(found)
    }
}
