//! Tests of what MLflow's clients may write.

use super::*;

/// The answers of MLflow 3.17.2.
#[test]
fn grammar_of_mlflow() {
    for (text, expected) in [
        // Superfluous words.
        ("metrics.a > 1 AND", "metrics.a > 1.0"),
        ("AND metrics.a > 1", "metrics.a > 1.0"),
        ("AND", ""),
        ("metrics.a > 1 AND and metrics.b < 2", "metrics.a > 1.0 and metrics.b < 2.0"),
        ("metrics.a > 1 metrics.b < 2", "metrics.a > 1.0 and metrics.b < 2.0"),
        ("params.x='a'AND params.y='b'", "params.x = 'a' and params.y = 'b'"),
        ("run_id IN ('a',)", "uid IN ('a')"),
        // Names.
        ("`metrics`.`a` > 1", "metrics.a > 1.0"),
        ("metrics.order > 1", "metrics.order > 1.0"),
        ("metrics.timestamp > 1", "metrics.timestamp > 1.0"),
        ("metrics.naïve > 1", "metrics.naïve > 1.0"),
        ("\"run name\" = 'x'", "name = 'x'"),
        ("attributes.\"Run Name\" = 'x'", "name = 'x'"),
        ("artifact_uri LIKE '%a'", "artifact_uri LIKE '%a'"),
        ("Created > 1", "started > 1.0"),
        // Values.
        ("metrics.a > 1e999", "metrics.a > inf"),
        ("metrics.a=-.5", "metrics.a = -0.5"),
        ("start_time = 1.5", "started = 1.5"),
        ("params.x = \"a\"", "params.x = 'a'"),
        ("params.x = ''", "params.x = ''"),
        ("params.x = 'a\\'", "params.x = 'a\\'"),
        ("status LIKE 'FIN%'", "status LIKE 'FIN%'"),
        ("params.x IS NULL AND params.y is not null", "params.x IS NULL and params.y IS NOT NULL"),
        ("datasets.digest NOT IN ('a', \"b\")", "datasets.digest NOT IN ('a', 'b')"),
        ("dataset.name ilike 'A%'", "datasets.name ILIKE 'A%'"),
    ] {
        assert_eq!(rendered(text, Mlflow), expected, "{text}");
    }
    for text in [
        " ",
        "metrics.a > +1",
        "metrics.a > - 1",
        "metrics.a > 0x10",
        "metrics.a > '1'",
        "metrics.a > -inf",
        "metrics.a = NaN",
        "metrics.a = 1_000",
        "metrics.a > metrics.b",
        "metrics.a ! = 1",
        "metrics.a > = 1",
        "metrics.a-b > 1",
        "metrics.a/b > 1",
        "metrics.a:b > 1",
        "metrics.a@b > 1",
        "\"metrics\".a > 1",
        "PARAMS.x = 'a'",
        "m.a > 1",
        ".a > 1",
        "tags.``a`` = 'x'",
        "params.x = `a`",
        "params.x = a",
        "params.x = 'a''b'",
        "params.x = 'a' 'b'",
        "params.x RLIKE 'a'",
        "params.x NOT LIKE 'a'",
        "params.x > '1'",
        "params.x == '1'",
        "params.x <> '1'",
        "params.x in ('a')",
        "tags.x IN ('a', 'b')",
        "run name = 'x'",
        "run_id IN ()",
        "run_id IN (a)",
        "run_id IN (1)",
        "run_id IN 'a'",
        "run_name IN ('a')",
        "status IN ('RUNNING')",
        "status > 'R'",
        "status = RUNNING",
        "status = 1",
        "status IS NULL",
        "start_time > '1'",
        "start_time IN (1)",
        "experiment_id = '1'",
        "lifecycle_stage = 'active'",
        "dataset.source = 'x'",
        "dataset.name > 'a'",
        "dataset.name IS NULL",
        "metrics.a IS NULL",
        "metrics.a LIKE '1'",
        "metrics.a IN (1)",
        "metrics.a > 1 OR metrics.b > 1",
        "(metrics.a > 1)",
        "NOT metrics.a > 1",
        "metrics.a > 1 NOT metrics.b > 1",
        "metrics.a BETWEEN 1 AND 2",
        "metrics.a > 1;",
        "metrics.a > 1; metrics.b > 1",
        "metrics.a > 1 -- c",
        "metrics.a > 1 /* c */",
        "metrics.a > 1, metrics.b > 2",
        "1 < metrics.a",
        "metrics.a",
        "metrics.a >",
    ] {
        assert!(Filter::parse(text, Mlflow).is_err(), "{text}");
    }
}

#[test]
fn grammar_of_experiments() {
    let rendered = |text: &str| match Filter::parse_experiments(text) {
        Ok(filter) => filter.to_string(),
        Err(fault) => format!("{fault}; {}", fault.hint.as_deref().unwrap_or_default()),
    };
    for (text, expected) in [
        ("name = 'x' AND attribute.name LIKE 'y%'", "name = 'x' and name LIKE 'y%'"),
        (
            "creation_time > 5 last_update_time<=6",
            "creation_time > 5.0 and last_update_time <= 6.0",
        ),
        ("tags.`a b` = 'x' and tag.c IS NULL", "tags.`a b` = 'x' and tags.c IS NULL"),
        ("experiment_id IN ('1', '02')", "experiment_id IN ('1', '2')"),
        ("experiment_id = 'a'", "`a` is not an integer; "),
        (
            "attributes.name = 'x'",
            "there is no prefix `attributes`; did you mean `attribute.name`?",
        ),
        (
            "params.a = 'x'",
            "`params.a` lacks a prefix that says what it is; the prefixes are attribute, tags, tag",
        ),
        (
            "name IN ('x')",
            "`name` cannot be compared by `IN`; its operators are `=`, `!=`, `LIKE`, `ILIKE`",
        ),
        (
            "name IS NULL",
            "`name` cannot be compared by `IS`; its operators are `=`, `!=`, `LIKE`, `ILIKE`",
        ),
        ("creation_time = '5'", "expected a number; "),
        (
            "run_name = 'x'",
            "there is no attribute `run_name`; the attributes are experiment_id, name, \
             creation_time, last_update_time",
        ),
        (" ", "the filter is blank; "),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
    let order = |text: &str| match Order::parse_experiments(text) {
        Ok(Order { field, direction }) => format!("{field} {direction:?}"),
        Err(fault) => fault.what,
    };
    assert_eq!(order("attribute.name desc"), "name Descending");
    assert_eq!(order("experiment_id"), "experiment_id Ascending");
    assert_eq!(order("start_time"), "there is no attribute `start_time`");
}

#[test]
fn grammar_of_models() {
    let rendered = |text: &str| match Filter::parse_models(text) {
        Ok(filter) => filter.to_string(),
        Err(fault) => fault.what,
    };
    for (text, expected) in [
        ("name = 'x' AND attributes.model_type != 'y'", "name = 'x' and model_type != 'y'"),
        ("creation_time > 5", "creation_timestamp > 5.0"),
        ("creation_timestamp_ms > 5", "creation_timestamp > 5.0"),
        ("last_updated_timestamp <= 5", "last_updated_timestamp <= 5.0"),
        (
            "params.lr = 0.10 and params.`a b` ilike 'x%'",
            "params.lr = '0.10' and params.`a b` ILIKE 'x%'",
        ),
        (
            "tags.t IN ('a', 'b') and model_id not in ('c')",
            "tags.t IN ('a', 'b') and model_id NOT IN ('c')",
        ),
        ("metrics.a >= 1", "metrics.a >= 1.0"),
        ("params.a LIKE 1", "params.a LIKE '1'"),
        ("status = '2' and status != 'READY'", "status = '2' and status != '2'"),
        ("metrics.a LIKE 'x'", "`metrics.a` cannot be compared by `LIKE`"),
        ("params.a > 'x'", "`params.a` cannot be compared by `>`"),
        ("tags.a IS NULL", "`tags.a` cannot be compared by `IS`"),
        ("param.a = 'x'", "there is no prefix `param`"),
        ("datasets.name = 'x'", "`datasets.name` lacks a prefix that says what it is"),
        ("metrics.a > 'x'", "expected a number, found the text `x`"),
        ("name = 'a' OR name = 'b'", "comparisons cannot be joined by `or`"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}
