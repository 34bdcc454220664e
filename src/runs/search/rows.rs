//! Queries for the rows of one metric, param, tag or dataset, with the columns `run` and `value`.

use super::binding::Bindings;
use crate::filter::{DatasetField, Test};

/// A param as a number; NULL if it is not one.
pub(super) const PARAM_NUMBER: &str = "CASE WHEN value GLOB '[-0-9]*' THEN CAST(value AS REAL) END";
/// A param as a text: a string as it is, anything else as JSON.
pub(super) const PARAM_TEXT: &str =
    "CASE WHEN value GLOB '\"*' THEN json_extract(value, '$') ELSE value END";

/// Marks a test that is true where there is no row.
pub(super) struct Negated;

/// Returns the query for a metric: its final value, or else the last one of its series.
pub(super) fn metric_rows(sql: &mut Bindings, stage: &str, key: &str) -> String {
    let (stage, key) = (sql.bind(stage.to_owned()), sql.bind(key.to_owned()));
    format!(
        "SELECT run, value FROM metrics WHERE stage = {stage} AND key = {key}
         UNION ALL
         SELECT run, last FROM series WHERE stage = {stage} AND key = {key}
         AND NOT EXISTS (SELECT 1 FROM metrics AS final WHERE final.run = series.run
                         AND final.stage = series.stage AND final.key = series.key)"
    )
}

/// Returns the query for a param with one of these stages and keys: the first that a run has.
pub(super) fn param_rows(sql: &mut Bindings, readings: &[(&str, &str)]) -> String {
    if readings.is_empty() {
        return "SELECT NULL AS run, NULL AS value WHERE 0".to_owned();
    }
    let mut queries: Vec<String> = Vec::new();
    let mut former: Vec<String> = Vec::new();
    for (stage, key) in readings {
        let (stage, key) = (sql.bind((*stage).to_owned()), sql.bind((*key).to_owned()));
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

/// Returns the query for a tag.
pub(super) fn tag_rows(sql: &mut Bindings, key: &str) -> String {
    let key = sql.bind(key.to_owned());
    format!("SELECT run, value FROM tags WHERE key = {key}")
}

/// Returns the condition that a row for the run passes `test`, or that there is none.
pub(super) fn among(rows: &str, test: Result<String, Negated>) -> String {
    match test {
        Ok(test) => format!("runs.number IN (SELECT run FROM ({rows}) WHERE {test})"),
        Err(Negated) => format!("runs.number NOT IN (SELECT run FROM ({rows}))"),
    }
}

/// Returns the condition that one of the datasets of the run passes `test`.
pub(super) fn dataset(sql: &mut Bindings, field: DatasetField, test: &Test) -> String {
    let test = sql.test(field.name(), test);
    format!("runs.number IN (SELECT run FROM run_inputs WHERE {test})")
}
