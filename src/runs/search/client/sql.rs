//! The SQL of a client's query.

use std::collections::BTreeMap;

use super::query::ClientQuery;
use crate::error::Result;
use crate::filter::{Attribute, Comparison, Direction, Field, Order, Test, no_column};
use crate::runs::client_run::{TAG_COLUMNS, attribute_column};
use crate::runs::rows::name_readings;
use crate::runs::search::binding::Bindings;
use crate::runs::search::paging::Keys;
use crate::runs::search::rows::{
    Negated, PARAM_TEXT, among, dataset, metric_rows, param_rows, tag_rows,
};
use crate::runs::store::Store;

/// The parts of a query, and the values that are bound in it.
pub(super) struct Builder<'s> {
    store: &'s Store,
    dead: Vec<i64>,
    pub(super) sql: Bindings,
    /// Table expressions of metrics by name.
    metrics: BTreeMap<String, String>,
    definitions: Vec<String>,
}

impl<'s> Builder<'s> {
    pub(super) fn new(store: &'s Store, dead: Vec<i64>) -> Builder<'s> {
        let (sql, metrics, definitions) = Default::default();
        Builder { store, dead, sql, metrics, definitions }
    }

    /// Returns the table expressions, to be put before `SELECT`.
    pub(super) fn tables(&self) -> String {
        match self.definitions[..] {
            [] => String::new(),
            _ => format!("WITH {}", self.definitions.join(",\n")),
        }
    }

    /// Returns the condition that a run is in one of the experiments and in the lifecycle.
    pub(super) fn scope(&mut self, query: &ClientQuery) -> String {
        let experiments = self.sql.bind(serde_json::Value::from(&*query.experiments).to_string());
        let experiments =
            format!("runs.experiment IN (SELECT value FROM json_each({experiments}))");
        match query.lifecycle {
            None => experiments,
            Some(one) => {
                let lifecycle = self.sql.bind(one.word().to_owned());
                format!("{experiments} AND runs.lifecycle = {lifecycle}")
            }
        }
    }

    pub(super) fn condition(&mut self, Comparison { field, test }: &Comparison) -> Result<String> {
        Ok(match field {
            Field::Attribute(attribute) => {
                let column = attribute_column(*attribute, &self.dead);
                self.sql.test(&column, test)
            }
            Field::Metric(name) => {
                let table = self.metric(name)?;
                let test = self.sql.differing_nan("value", test);
                format!("runs.number IN (SELECT run FROM {table} WHERE {test})")
            }
            Field::Param(name) => {
                let rows = self.param(name)?;
                let test = self.row_test(PARAM_TEXT, test);
                among(&rows, test)
            }
            Field::Tag(name) => {
                let rows = self.tag(name);
                let test = self.row_test("value", test);
                among(&rows, test)
            }
            Field::Dataset(field) => dataset(&mut self.sql, *field, test),
        })
    }

    fn row_test(&mut self, expression: &str, test: &Test) -> Result<String, Negated> {
        match test {
            Test::Null => Err(Negated),
            Test::NotNull => Ok("1".to_owned()),
            test => Ok(self.sql.test(expression, test)),
        }
    }

    /// Returns the query for a tag, which can be stored in a column of the run.
    fn tag(&mut self, name: &str) -> String {
        let rows = tag_rows(&mut self.sql, name);
        match TAG_COLUMNS.iter().find(|(key, _)| *key == name) {
            None => rows,
            Some((_, column)) => format!(
                "SELECT number AS run, {column} AS value FROM runs WHERE ({column}) NOT NULL
                 UNION ALL {rows}"
            ),
        }
    }

    fn param(&mut self, name: &str) -> Result<String> {
        let mut readings = name_readings(name);
        let exist = readings.iter().map(|(stage, key)| self.store.has_param(stage, key));
        let mut exist = exist.collect::<Result<Vec<bool>>>()?.into_iter();
        readings.retain(|_| exist.next() == Some(true));
        Ok(param_rows(&mut self.sql, &readings))
    }

    /// Returns the table expression of a metric, with the columns `run` and `value`.
    fn metric(&mut self, name: &str) -> Result<String> {
        if let Some(table) = self.metrics.get(name) {
            return Ok(table.clone());
        }
        let table = format!("metric_{}", self.metrics.len());
        let mut found = Vec::new();
        for (stage, key) in name_readings(name) {
            if self.store.has_metric(stage, key)? {
                found.push(metric_rows(&mut self.sql, stage, key));
            }
        }
        self.definitions.push(match &found[..] {
            [] => format!("{table} (run, value) AS (SELECT NULL, NULL WHERE 0)"),
            [rows] => format!("{table} (run, value) AS ({rows})"),
            several => {
                let ranked = several.iter().enumerate();
                let ranked =
                    ranked.map(|(rank, rows)| format!("SELECT *, {rank} AS rank FROM ({rows})"));
                let ranked = ranked.collect::<Vec<_>>().join(" UNION ALL ");
                // With `min`, SQLite takes the other columns from the row that has the minimum.
                format!(
                    "{table} (run, value, rank) AS
                     (SELECT run, value, min(rank) FROM ({ranked}) GROUP BY run)"
                )
            }
        });
        self.metrics.insert(name.to_owned(), table.clone());
        Ok(table)
    }

    /// Returns the keys of an order. Missing values come last in both directions, after NaN.
    pub(super) fn order(&mut self, order: &[Order]) -> Result<Keys> {
        let mut keys = Keys::default();
        for (at, Order { field, direction }) in order.iter().enumerate() {
            let is_descending = *direction == Direction::Descending;
            let joined = format!("order_{at}");
            keys.name.push_str(&format!("{field} {direction:?}\n"));
            let mut join = |rows: &str| {
                let join = format!(" LEFT JOIN {rows} AS {joined} ON {joined}.run = runs.number");
                keys.joins.push_str(&join);
            };
            let value = match field {
                Field::Attribute(attribute) => attribute_column(*attribute, &self.dead),
                Field::Metric(name) => {
                    join(&self.metric(name)?);
                    keys.push(format!("{joined}.run IS NULL"), false);
                    format!("{joined}.value")
                }
                Field::Param(name) => {
                    join(&format!("({})", self.param(name)?));
                    PARAM_TEXT.replace("value", &format!("{joined}.value"))
                }
                Field::Tag(name) => {
                    join(&format!("({})", self.tag(name)));
                    format!("{joined}.value")
                }
                Field::Dataset(_) => return Err(no_column(field)),
            };
            keys.push(format!("({value}) IS NULL"), false);
            keys.push(value, is_descending);
        }
        let is_by_start = |one: &Order| one.field == Field::Attribute(Attribute::Started);
        if !order.iter().any(is_by_start) {
            keys.push("runs.started", true);
        }
        keys.push("runs.uid", false);
        Ok(keys)
    }
}

impl Store {
    fn has_param(&self, stage: &str, key: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM params WHERE stage = ?1 AND key = ?2)";
        Ok(self.query_one(sql, (stage, key), |row| row.get(0))?.unwrap_or(false))
    }

    fn has_metric(&self, stage: &str, key: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM series WHERE stage = ?1 AND key = ?2)
                   OR EXISTS (SELECT 1 FROM metrics WHERE stage = ?1 AND key = ?2)";
        Ok(self.query_one(sql, (stage, key), |row| row.get(0))?.unwrap_or(false))
    }
}
