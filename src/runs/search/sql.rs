//! The SQL of a query. Every value is bound; only names of columns and operators are in the text.

use std::collections::BTreeMap;

use rusqlite::types::Value as Bound;

use super::query::{Level, Query};
use crate::error::Result;
use crate::event::RunName;
use crate::filter::{Attribute, Case, Comparison, Direction, Field, Known, Order, Test, Value};
use crate::pipeline::{Goal, Goals};
use crate::runs::cells::column;
use crate::runs::rows::param_readings;

/// A param as a number; NULL if it is not one.
const PARAM_NUMBER: &str = "CASE WHEN value GLOB '[-0-9]*' THEN CAST(value AS REAL) END";
/// A param as a text: a string as it is, anything else as JSON.
const PARAM_TEXT: &str = "CASE WHEN value GLOB '\"*' THEN json_extract(value, '$') ELSE value END";

/// The parts of a query, and the values that are bound in it.
pub(super) struct Builder<'k> {
    known: &'k Known,
    goals: &'k Goals,
    dead: Vec<i64>,
    pub(super) values: Vec<Bound>,
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
        let (values, metrics, definitions) = Default::default();
        Builder { known, goals, dead, values, metrics, definitions }
    }

    /// Returns the table expressions, to be put before `SELECT`.
    pub(super) fn tables(&self) -> String {
        match self.definitions[..] {
            [] => String::new(),
            _ => format!("WITH {}", self.definitions.join(",\n")),
        }
    }

    pub(super) fn conditions(&mut self, query: &Query) -> Result<String> {
        let lifecycle = self.bind(query.lifecycle.word().to_owned());
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

    fn bind(&mut self, value: impl Into<Bound>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    fn condition(&mut self, Comparison { field, test }: &Comparison) -> Result<String> {
        match field {
            Field::Attribute(Attribute::Parent) => Ok(self.parent(test)),
            Field::Attribute(attribute) => {
                let column = column(*attribute, &self.dead);
                Ok(self.test(&column, test))
            }
            Field::Metric(name) => {
                let table = self.metric(name)?;
                Ok(match test {
                    Test::Null => format!("runs.number NOT IN (SELECT run FROM {table})"),
                    Test::NotNull => format!("runs.number IN (SELECT run FROM {table})"),
                    test => {
                        let test = self.differing_nan("value", test);
                        format!("runs.number IN (SELECT run FROM {table} WHERE {test})")
                    }
                })
            }
            Field::Param(name) => {
                let key = self.known.param(name)?.to_owned();
                let test = self.param(test);
                let rows = self.param_rows(&key);
                Ok(among(&rows, test))
            }
            Field::Tag(name) => {
                let key = self.known.tag(name)?.to_owned();
                let test = match test {
                    Test::Null => Err(Negated),
                    Test::NotNull => Ok("1".to_owned()),
                    test => Ok(self.test("value", test)),
                };
                let rows = self.tag_rows(&key);
                Ok(among(&rows, test))
            }
        }
    }

    /// Returns the query for a tag, with the columns `run` and `value`.
    fn tag_rows(&mut self, key: &str) -> String {
        let key = self.bind(key.to_owned());
        format!("SELECT run, value FROM tags WHERE key = {key}")
    }

    /// Returns the query for a param, with the columns `run` and `value`. Of several params of a
    /// run with the name, it has the first.
    fn param_rows(&mut self, name: &str) -> String {
        let mut queries: Vec<String> = Vec::new();
        let mut former: Vec<String> = Vec::new();
        for (stage, key) in param_readings(name) {
            let (stage, key) = (self.bind(stage.to_owned()), self.bind(key.to_owned()));
            let lacks = former.iter().map(|is_former| {
                format!(
                    " AND NOT EXISTS (SELECT 1 FROM params AS former
                      WHERE former.run = params.run AND {is_former})"
                )
            });
            queries.push(format!(
                "SELECT run, value FROM params WHERE stage = {stage} AND key = {key}{}",
                lacks.collect::<String>()
            ));
            former.push(format!("former.stage = {stage} AND former.key = {key}"));
        }
        queries.join(" UNION ALL ")
    }

    fn param(&mut self, test: &Test) -> Result<String, Negated> {
        Ok(match test {
            Test::Null => return Err(Negated),
            Test::NotNull => "1".to_owned(),
            Test::Compare(_, Value::Number(_)) => self.differing_nan(PARAM_NUMBER, test),
            Test::In(values) => self.param_among(values),
            Test::NotIn(values) => format!("NOT {}", self.param_among(values)),
            test => self.test(PARAM_TEXT, test),
        })
    }

    fn param_among(&mut self, values: &[Value]) -> String {
        let each = values.iter().map(|value| {
            let (expression, value) = match value {
                Value::Number(number) => (PARAM_NUMBER, self.bind(*number)),
                value => (PARAM_TEXT, self.bound(value)),
            };
            // Not NULL, so that it can be negated.
            format!("({expression}) IS {value}")
        });
        format!("({})", each.collect::<Vec<_>>().join(" OR "))
    }

    /// Returns the condition that `expression` passes `test`, where NULL stands for something that
    /// differs from every number.
    fn differing_nan(&mut self, expression: &str, test: &Test) -> String {
        match test {
            Test::Compare(crate::filter::Op::Ne, value) => {
                let value = self.bound(value);
                format!("({expression}) IS NOT {value}")
            }
            test => self.test(expression, test),
        }
    }

    fn test(&mut self, expression: &str, test: &Test) -> String {
        let mut list = |values: &[Value]| {
            values.iter().map(|value| self.bound(value)).collect::<Vec<_>>().join(", ")
        };
        match test {
            Test::In(values) => format!("({expression}) IN ({})", list(values)),
            Test::NotIn(values) => format!("({expression}) NOT IN ({})", list(values)),
            Test::Compare(op, value) => {
                let value = self.bound(value);
                format!("({expression}) {} {value}", op.symbol())
            }
            Test::Like(Case::Ignored, pattern) => {
                let pattern = self.bind(pattern.clone());
                format!("({expression}) LIKE {pattern}")
            }
            Test::Like(Case::Sensitive, pattern) => {
                let pattern = self.bind(glob(pattern));
                format!("({expression}) GLOB {pattern}")
            }
            Test::Null => format!("({expression}) IS NULL"),
            Test::NotNull => format!("({expression}) IS NOT NULL"),
        }
    }

    /// Binds a value and returns the expression for it.
    fn bound(&mut self, value: &Value) -> String {
        match value {
            Value::Number(number) => self.bind(*number),
            Value::Text(text) => self.bind(text.clone()),
            Value::Time(time) => {
                let time = self.bind(time.clone());
                format!("unixepoch({time}, 'utc') * 1000")
            }
            Value::Duration(duration) => {
                self.bind(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
            }
        }
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
            return self.test("runs.parent", test);
        }
        for value in values {
            let run = number(value).map_or(0.0, |RunName(number)| number as f64);
            *value = Value::Number(run);
        }
        self.test("SELECT above.number FROM runs AS above WHERE above.uid = runs.parent", &replaced)
    }

    /// Returns the table expression of a metric, with the columns `run` and `value`.
    fn metric(&mut self, name: &str) -> Result<String> {
        if let Some(table) = self.metrics.get(name) {
            return Ok(table.clone());
        }
        let metrics = self.known.metric(name)?;
        let rows: Vec<String> = metrics
            .iter()
            .map(|metric| {
                let (stage, key) = (self.bind(metric.stage.clone()), self.bind(metric.key.clone()));
                format!(
                    "SELECT run, value FROM metrics WHERE stage = {stage} AND key = {key}
                     UNION ALL
                     SELECT run, last FROM series WHERE stage = {stage} AND key = {key}
                     AND NOT EXISTS (SELECT 1 FROM metrics AS final WHERE final.run = series.run
                                     AND final.stage = series.stage AND final.key = series.key)"
                )
            })
            .collect();
        let table = format!("metric_{}", self.metrics.len());
        let rows = rows.join(" UNION ALL ");
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
                    let join = format!(" LEFT JOIN {table} AS {joined} ON {joined}.run = number");
                    by.joins.push_str(&join);
                    by.keys.push(format!(
                        "{joined}.run IS NULL, {joined}.value IS NULL, {joined}.value {word}"
                    ));
                }
                Field::Param(name) | Field::Tag(name) => {
                    let rows = match field {
                        Field::Param(_) => self.param_rows(self.known.param(name)?),
                        _ => self.tag_rows(self.known.tag(name)?),
                    };
                    by.joins.push_str(&format!(
                        " LEFT JOIN ({rows}) AS {joined} ON {joined}.run = number"
                    ));
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

/// Returns the condition that a row for the run passes `test`, or that there is none.
fn among(rows: &str, test: Result<String, Negated>) -> String {
    match test {
        Ok(test) => format!("runs.number IN (SELECT run FROM ({rows}) WHERE {test})"),
        Err(Negated) => format!("runs.number NOT IN (SELECT run FROM ({rows}))"),
    }
}

/// Marks a test that is true where there is no row.
struct Negated;

/// Translates a pattern of LIKE to one of GLOB, which is case-sensitive.
fn glob(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '%' => text.push('*'),
            '_' => text.push('?'),
            '*' | '?' | '[' => text.extend(['[', c, ']']),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_glob() {
        for (pattern, expected) in
            [("re%", "re*"), ("a_b", "a?b"), ("*?[x]", "[*][?][[]x]"), ("", ""), ("é%", "é*")]
        {
            assert_eq!(glob(pattern), expected);
        }
    }
}
