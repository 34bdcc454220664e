//! The SQL of a query. Every value is bound; only names of columns and operators are in the text.

use std::collections::BTreeMap;

use super::binding::Bindings;
use super::query::{Level, Query};
use super::rows::{
    Negated, PARAM_NUMBER, PARAM_TEXT, among, dataset, metric_rows, param_rows, tag_rows,
};
use crate::error::Result;
use crate::event::RunName;
use crate::filter::{
    Attribute, Comparison, Direction, Field, Known, Order, Test, Value, no_column,
};
use crate::pipeline::{Goal, Goals};
use crate::runs::cells::column;
use crate::runs::rows::name_readings;

/// The parts of a query, and the values that are bound in it.
pub(super) struct Builder<'k> {
    known: &'k Known,
    goals: &'k Goals,
    dead: Vec<i64>,
    pub(super) sql: Bindings,
    /// Table expressions of metrics by the name that the user wrote.
    metrics: BTreeMap<String, String>,
    definitions: Vec<String>,
}

/// The order of a query.
pub(super) struct OrderBy {
    pub(super) joins: String,
    pub(super) keys: Vec<String>,
}

impl<'k> Builder<'k> {
    pub(super) fn new(known: &'k Known, goals: &'k Goals, dead: Vec<i64>) -> Builder<'k> {
        let (sql, metrics, definitions) = Default::default();
        Builder { known, goals, dead, sql, metrics, definitions }
    }

    /// Returns the table expressions, to be put before `SELECT`.
    pub(super) fn tables(&self) -> String {
        match self.definitions[..] {
            [] => String::new(),
            _ => format!("WITH {}", self.definitions.join(",\n")),
        }
    }

    pub(super) fn conditions(&mut self, query: &Query) -> Result<String> {
        let lifecycle = self.sql.bind(query.lifecycle.word().to_owned());
        let mut all = vec![format!("runs.lifecycle = {lifecycle}")];
        if query.level == Level::Top {
            all.push(format!(
                "(runs.parent IS NULL OR NOT EXISTS (SELECT 1 FROM runs AS above
                 WHERE above.uid = runs.parent AND above.lifecycle = {lifecycle}))"
            ));
        }
        for comparison in &query.filter.comparisons {
            all.push(self.condition(comparison)?);
        }
        Ok(all.join("\n AND "))
    }

    fn condition(&mut self, Comparison { field, test }: &Comparison) -> Result<String> {
        match field {
            Field::Attribute(Attribute::Parent) => Ok(self.parent(test)),
            Field::Attribute(attribute) => {
                let column = column(*attribute, &self.dead);
                Ok(self.sql.test(&column, test))
            }
            Field::Metric(name) => {
                let table = self.metric(name)?;
                Ok(match test {
                    Test::Null => format!("runs.number NOT IN (SELECT run FROM {table})"),
                    Test::NotNull => format!("runs.number IN (SELECT run FROM {table})"),
                    test => {
                        let test = self.sql.differing_nan("value", test);
                        format!("runs.number IN (SELECT run FROM {table} WHERE {test})")
                    }
                })
            }
            Field::Param(name) => {
                let key = self.known.param(name)?.to_owned();
                let test = self.param(test);
                let rows = param_rows(&mut self.sql, &name_readings(&key));
                Ok(among(&rows, test))
            }
            Field::Dataset(field) => Ok(dataset(&mut self.sql, *field, test)),
            Field::Tag(name) => {
                let key = self.known.tag(name)?.to_owned();
                let test = match test {
                    Test::Null => Err(Negated),
                    Test::NotNull => Ok("1".to_owned()),
                    test => Ok(self.sql.test("value", test)),
                };
                let rows = tag_rows(&mut self.sql, &key);
                Ok(among(&rows, test))
            }
        }
    }

    fn param(&mut self, test: &Test) -> Result<String, Negated> {
        Ok(match test {
            Test::Null => return Err(Negated),
            Test::NotNull => "1".to_owned(),
            Test::Compare(_, Value::Number(_)) => self.sql.differing_nan(PARAM_NUMBER, test),
            Test::In(values) => self.param_among(values),
            Test::NotIn(values) => format!("NOT {}", self.param_among(values)),
            test => self.sql.test(PARAM_TEXT, test),
        })
    }

    fn param_among(&mut self, values: &[Value]) -> String {
        let each = values.iter().map(|value| {
            let (expression, value) = match value {
                Value::Number(number) => (PARAM_NUMBER, self.sql.bind(*number)),
                value => (PARAM_TEXT, self.sql.bound(value)),
            };
            // Not NULL, so that it can be negated.
            format!("({expression}) IS {value}")
        });
        format!("({})", each.collect::<Vec<_>>().join(" OR "))
    }

    /// Compares the parent of a run, which is named like a run or by its identity.
    fn parent(&mut self, test: &Test) -> String {
        let number = |value: &Value| match value {
            Value::Text(text) if text.starts_with("run-") => RunName::parse(text),
            _ => None,
        };
        let mut replaced = test.clone();
        let values: &mut [Value] = match &mut replaced {
            Test::Compare(_, value) => std::slice::from_mut(value),
            Test::In(values) | Test::NotIn(values) => values,
            _ => &mut [],
        };
        if values.iter().any(|value| number(value).is_none()) || values.is_empty() {
            return self.sql.test("runs.parent", test);
        }
        for value in values {
            let run = number(value).map_or(0.0, |RunName(number)| number as f64);
            *value = Value::Number(run);
        }
        self.sql
            .test("SELECT above.number FROM runs AS above WHERE above.uid = runs.parent", &replaced)
    }

    /// Returns the table expression of a metric, with the columns `run` and `value`.
    pub(super) fn metric(&mut self, name: &str) -> Result<String> {
        if let Some(table) = self.metrics.get(name) {
            return Ok(table.clone());
        }
        let metrics = self.known.metric(name)?;
        let rows = metrics.iter();
        let rows = rows.map(|metric| metric_rows(&mut self.sql, &metric.stage, &metric.key));
        let rows = rows.collect::<Vec<_>>().join(" UNION ALL ");
        let table = format!("metric_{}", self.metrics.len());
        self.definitions.push(match Known::pick(name, &metrics, self.goals)? {
            None => format!("{table} (run, value) AS ({rows})"),
            Some(goal) => {
                let best = if goal == Goal::Max { "max" } else { "min" };
                format!(
                    "{table} (run, value) AS (SELECT run, {best}(value) FROM ({rows}) GROUP BY run)"
                )
            }
        });
        self.metrics.insert(name.to_owned(), table.clone());
        Ok(table)
    }

    /// Returns the keys of an order. Missing values come last in both directions, after NaN.
    pub(super) fn order(&mut self, order: &[Order]) -> Result<OrderBy> {
        let mut by = OrderBy { joins: String::new(), keys: Vec::new() };
        for (at, Order { field, direction }) in order.iter().enumerate() {
            let word = if *direction == Direction::Ascending { "ASC" } else { "DESC" };
            let joined = format!("order_{at}");
            match field {
                Field::Attribute(attribute) => {
                    let column = column(*attribute, &self.dead);
                    by.keys.push(format!("({column}) IS NULL, ({column}) {word}"));
                }
                Field::Metric(name) => {
                    let table = self.metric(name)?;
                    by.joins.push_str(&join_by_run(&table, &joined));
                    by.keys.push(format!(
                        "{joined}.run IS NULL, {joined}.value IS NULL, {joined}.value {word}"
                    ));
                }
                Field::Dataset(_) => return Err(no_column(field)),
                Field::Param(name) | Field::Tag(name) => {
                    let rows = match field {
                        Field::Param(_) => {
                            param_rows(&mut self.sql, &name_readings(self.known.param(name)?))
                        }
                        _ => tag_rows(&mut self.sql, self.known.tag(name)?),
                    };
                    by.joins.push_str(&join_by_run(&format!("({rows})"), &joined));
                    let expressions: &[&str] = match field {
                        Field::Param(_) => &[PARAM_NUMBER, PARAM_TEXT],
                        _ => &["value"],
                    };
                    by.keys.push(format!("{joined}.run IS NULL"));
                    for expression in expressions {
                        let value = expression.replace("value", &format!("{joined}.value"));
                        by.keys.push(format!("({value}) IS NULL, ({value}) {word}"));
                    }
                }
            }
        }
        by.keys.push("runs.number DESC".to_owned());
        Ok(by)
    }
}

/// Returns the join of `rows`, at most one for each run. SQLite does not know how many there are,
/// and would read all of them for each run; of grouped rows, it makes an index.
fn join_by_run(rows: &str, name: &str) -> String {
    format!(
        " LEFT JOIN (SELECT run, max(value) AS value FROM {rows} GROUP BY run) AS {name}
          ON {name}.run = number"
    )
}
