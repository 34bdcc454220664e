//! Tests of the grammar by tables, and by properties.

mod mlflow;

use proptest::prelude::*;

use super::*;
use crate::filter::Dialect::{Mlflow, Repro};

fn rendered(text: &str, dialect: Dialect) -> String {
    match Filter::parse(text, dialect) {
        Ok(filter) => filter.to_string(),
        Err(fault) => {
            let column = text[..fault.at].chars().count() + 1;
            let hint = fault.hint.map_or_else(String::new, |hint| format!(" | {hint}"));
            format!("{column}: {}{hint}", fault.what)
        }
    }
}

#[test]
fn accepted_by_both() {
    for (text, expected) in [
        ("", ""),
        ("metrics.a.b > 0.7", "metrics.a.b > 0.7"),
        ("metric.acc>=-1", "metrics.acc >= -1.0"),
        ("metrics.`val/loss` < 1e-3", "metrics.`val/loss` < 0.001"),
        ("metrics.\"a b\" != .5", "metrics.`a b` != 0.5"),
        ("`metrics`.'5fold' = 5.", "metrics.5fold = 5.0"),
        ("metrics.5fold = 1", "metrics.5fold = 1.0"),
        ("metrics.max = 1e300", "metrics.max = 1e300"),
        ("params.order = 'it''", "20: the quote `'` is not closed"),
        ("params.order = \"it's\"", "params.order = \"it's\""),
        ("parameters.m LIKE 're%'", "params.m LIKE 're%'"),
        ("param.m ilike \"re_\"", "params.m ILIKE 're_'"),
        ("tags.mlflow.source.type != 'x\\'", "tags.mlflow.source.type != 'x\\'"),
        ("tag.`a b` iS nOt NULL", "tags.`a b` IS NOT NULL"),
        ("params.x IS NULL", "params.x IS NULL"),
        ("attributes.run_id IN ('a', \"b\")", "uid IN ('a', 'b')"),
        ("run.run_id not in ('a')", "uid NOT IN ('a')"),
        ("`run name` = 'x' AND attr.user_id = 'me'", "name = 'x' and user = 'me'"),
        ("start_time > 1700000000000", "started > 1700000000000.0"),
        ("created < 5 and end_time >= 6", "started < 5.0 and ended >= 6.0"),
        (
            "datasets.name IN ('iris') and dataset.context != 'test'",
            "datasets.name IN ('iris') and datasets.context != 'test'",
        ),
    ] {
        assert_eq!(rendered(text, Mlflow), expected, "{text}");
        assert_eq!(rendered(text, Repro), expected, "{text}");
    }
}

#[test]
fn additions_to_mlflow() {
    for (text, expected, mlflow) in [
        (
            "params.train.epochs > 10",
            "params.train.epochs > 10.0",
            "21: `params.train.epochs` cannot be compared by `>`",
        ),
        ("params.epochs = 10", "params.epochs = 10.0", "17: expected a text, found the number 10"),
        ("params.on = true", "params.on = 'true'", "13: expected a value, found `true`"),
        ("params.m IN ('a', 2)", "params.m IN ('a', 2.0)", "10: `params.m` cannot be compared"),
        (
            "metrics.evaluate@small.val/acc > 1",
            "metrics.`evaluate@small.val/acc` > 1.0",
            "17: `@` is not part of the grammar",
        ),
        ("metrics.a IS NULL", "metrics.a IS NULL", "11: `metrics.a` cannot be compared by `IS`"),
        ("status = 'Ok'", "status = 'ok'", "status = 'Ok'"),
        ("status = 'FINISHED'", "status = 'ok'", "status = 'FINISHED'"),
        ("status IN ('ok', 'RUNNING')", "status IN ('ok', 'running')", "8: `status` cannot be"),
        ("kind = 'trial'", "kind = 'trial'", "1: there is no attribute `kind`"),
        ("run > 12", "run > 12.0", "1: there is no attribute `run`"),
        ("host = 'ws-7'", "host = 'ws-7'", "1: there is no attribute `host`"),
        ("name IS NULL", "name IS NULL", "1: there is no attribute `name`"),
        ("run_name IN ('a')", "name IN ('a')", "10: `name` cannot be compared by `IN`"),
        ("took >= '2m'", "took >= '120s'", "1: there is no attribute `took`"),
        ("started >= '2026-05-09'", "started >= '2026-05-09'", "1: there is no attribute"),
        (
            "start_time < '2026-05-09 14:03'",
            "started < '2026-05-09 14:03'",
            "14: expected a number",
        ),
    ] {
        assert_eq!(rendered(text, Repro), expected, "{text}");
        let strict = rendered(text, Mlflow);
        assert!(strict.starts_with(mlflow), "{text}: {strict}");
    }
}

#[test]
fn faults_with_places() {
    insta::assert_snapshot!(
        [
            "metrics.a >",
            "metrics.a > 'x'",
            "metrics.a > '0.5'",
            "metrics.a > NaN",
            "metrics.a > +1",
            "metrics.a > 1_000",
            "metrics.a > 1e999",
            "metrics.a == 1",
            "metrics.a <> 1",
            "metrics.a LIKE 'x'",
            "metrics. > 1",
            "metrics.a. > 1",
            "metrics.a 1",
            "metrics.a > 1 or metrics.b > 2",
            "metrics.a > 1, metrics.b > 2",
            "metrics.a > 1 and",
            "and metrics.a > 1",
            "not metrics.a > 1",
            "(metrics.a > 1)",
            "1 < metrics.a",
            "metrics.a > 1;",
            "metrics.ü > 1 & x",
            "evaluate.accuracy > 1",
            "metrisc.a > 1",
            "PARAMS.x = 'a'",
            "datasets.source = 'a'",
            "datasets.name > 'a'",
            "params.a > 'x'",
            "params.a > '10'",
            "params.a = small",
            "params.a = null",
            "params.a NOT LIKE 'x'",
            "params.a LIKE x",
            "params.a IN 'x'",
            "params.a IN ()",
            "params.a IN ('x'",
            "params.a IS 'x'",
            "tags.n = 3",
            "tags.n > 3",
            "tags.`n = 'x'",
            "stat = 'ok'",
            "whatever = 'ok'",
            "status = 'okk'",
            "status = 'FINISED'",
            "status = 'accepted'",
            "kind = 'sweeps'",
            "took > 60",
            "took > '1 hour'",
            "started > 'yesterday'",
            "started = '2026-05-09'",
            "started > '2026-13-09'",
        ]
        .map(|text| format!("{text}\n    {}\n", rendered(text, Repro)))
        .concat(),
        @"
        metrics.a >
            12: expected a number, found the end
        metrics.a > 'x'
            13: expected a number, found the text `x`
        metrics.a > '0.5'
            13: expected a number, found the text `0.5` | write it without quotes: 0.5
        metrics.a > NaN
            13: expected a number, found `NaN`
        metrics.a > +1
            13: `+` is not part of the grammar
        metrics.a > 1_000
            13: `1_000` is not a number | put a text in quotes: '1_000'
        metrics.a > 1e999
            13: `1e999` is too large
        metrics.a == 1
            11: `==` is not an operator | write `=`
        metrics.a <> 1
            11: `<>` is not an operator | write `!=`
        metrics.a LIKE 'x'
            11: `metrics.a` cannot be compared by `LIKE` | its operators are `=`, `!=`, `<`, `<=`, `>`, `>=`, `IS NULL`, `IS NOT NULL`
        metrics. > 1
            9: a name is missing after the dot | put a name with special characters in backticks
        metrics.a. > 1
            11: a name is missing after the dot | put a name with special characters in backticks
        metrics.a 1
            11: expected an operator after `metrics.a`, found the number 1
        metrics.a > 1 or metrics.b > 2
            15: comparisons cannot be joined by `or` | for several values of one field, write `IN ('a', 'b')`
        metrics.a > 1, metrics.b > 2
            14: expected `and`, found `,`
        metrics.a > 1 and
            18: expected the name of a field, found the end | such as metrics.accuracy, params.epochs, tags.team or status
        and metrics.a > 1
            1: expected the name of a field, found `and`
        not metrics.a > 1
            1: a comparison cannot be negated | write `!=`, `NOT IN` or `IS NOT NULL`
        (metrics.a > 1)
            1: the grammar has no parentheses | all comparisons are joined by `and`
        1 < metrics.a
            1: expected the name of a field, found the number 1 | the field comes first: metrics.accuracy > 0.7
        metrics.a > 1;
            14: `;` is not part of the grammar | join comparisons by `and`
        metrics.ü > 1 & x
            15: `&` is not part of the grammar
        evaluate.accuracy > 1
            1: `evaluate.accuracy` lacks a prefix that says what it is | write `metrics.evaluate.accuracy`, `params.evaluate.accuracy` or `tags.evaluate.accuracy`
        metrisc.a > 1
            1: there is no prefix `metrisc` | did you mean `metric.a`?
        PARAMS.x = 'a'
            1: there is no prefix `PARAMS` | did you mean `params.x`?
        datasets.source = 'a'
            1: a dataset has no `source` | it has name, digest and context
        datasets.name > 'a'
            15: `datasets.name` cannot be compared by `>` | its operators are `=`, `!=`, `LIKE`, `ILIKE`, `IN`, `NOT IN`
        params.a > 'x'
            12: `x` is a text, which has no order | compare a text with `=`, `!=`, `LIKE` or `IN`
        params.a > '10'
            12: `10` is a text, which has no order | write the number without quotes: 10
        params.a = small
            12: expected a value, found `small` | put a text in quotes: 'small'
        params.a = null
            12: expected a value, found `null` | write `IS NULL` or `IS NOT NULL`
        params.a NOT LIKE 'x'
            14: expected `IN` after `NOT`, found `LIKE`
        params.a LIKE x
            15: expected a pattern in quotes, found `x` | `%` stands for any text: 'resnet%'
        params.a IN 'x'
            13: expected `(`, found the text `x` | write a list: ('a', 'b')
        params.a IN ()
            14: expected a value, found `)`
        params.a IN ('x'
            17: expected `,` or `)`, found the end
        params.a IS 'x'
            13: expected `NULL`, found the text `x`
        tags.n = 3
            10: expected a text, found the number 3 | put it in quotes: '3'
        tags.n > 3
            8: `tags.n` cannot be compared by `>` | its operators are `=`, `!=`, `LIKE`, `ILIKE`, `IN`, `NOT IN`, `IS NULL`, `IS NOT NULL`
        tags.`n = 'x'
            6: the quote ``` is not closed
        stat = 'ok'
            1: there is no attribute `stat` | did you mean `status`?
        whatever = 'ok'
            1: there is no attribute `whatever` | the attributes are run, uid, name, status, kind, experiment, parent, started, ended, took, pipeline, user, host, branch, commit, note
        status = 'okk'
            10: there is no status `okk` | did you mean `ok`?
        status = 'FINISED'
            10: there is no status `FINISED` | did you mean `FINISHED`?
        status = 'accepted'
            10: there is no status `accepted` | expected one of running, ok, failed, interrupted
        kind = 'sweeps'
            8: there is no kind `sweeps` | did you mean `sweep`?
        took > 60
            8: a duration needs a unit | write a number and a unit: '90s', '30m', '2h' or '1d'
        took > '1 hour'
            8: `1 hour` is not a duration | write a number and a unit: '90s', '30m', '2h' or '1d'
        started > 'yesterday'
            11: `yesterday` is not a time | write a day, '2026-05-09', a day and a time, '2026-05-09 14:03', or milliseconds since 1970
        started = '2026-05-09'
            11: a day or a time has a length, so nothing equals it | compare it with `>=` and `<`
        started > '2026-13-09'
            11: `2026-13-09` is not a time | write a day, '2026-05-09', a day and a time, '2026-05-09 14:03', or milliseconds since 1970
        "
    );
}

#[test]
fn orders_of_lists() {
    let order = |text: &str| {
        let (key, direction) = Order::split(text);
        match Field::parse(key, Repro) {
            Ok(field) => format!("{field} {direction:?}"),
            Err(fault) => fault.what,
        }
    };
    for (text, expected) in [
        ("metrics.evaluate.accuracy", "metrics.evaluate.accuracy None"),
        ("metrics.a:desc", "metrics.a Some(Descending)"),
        ("params.`a:b`:asc", "params.`a:b` Some(Ascending)"),
        ("tags.a:b", "tags.`a:b` None"),
        ("started", "started None"),
        ("started desc", "expected nothing more, found `desc`"),
        ("", "expected the name of a field, found the end"),
    ] {
        assert_eq!(order(text), expected, "{text}");
    }
    let order = |text: &str| match Order::parse_mlflow(text) {
        Ok(Order { field, direction }) => format!("{field} {direction:?}"),
        Err(fault) => fault.what,
    };
    for (text, expected) in [
        ("metrics.a", "metrics.a Ascending"),
        ("metrics.`a b` Desc ", "metrics.`a b` Descending"),
        ("start_time ASC", "started Ascending"),
        ("start_time ASC NULLS LAST", "expected nothing more, found `ASC`"),
        ("experiment_id", "there is no attribute `experiment_id`"),
        ("timestamp desc", "there is no attribute `timestamp`"),
        ("metrics.a foo", "expected nothing more, found `foo`"),
        ("metrics.a, metrics.b", "expected nothing more, found `,`"),
        ("metrics.a-b", "`-b` is not a number"),
        ("run_name", "name Ascending"),
        ("dataset.name", "datasets have no order, since a run can use several"),
    ] {
        assert_eq!(order(text), expected, "{text}");
    }
}

fn known() -> Known {
    let metric = |(stage, key): &(&str, &str)| MetricName {
        stage: (*stage).to_owned(),
        key: (*key).to_owned(),
    };
    let metrics = [
        ("evaluate@large", "accuracy"),
        ("evaluate@small", "accuracy"),
        ("evaluate@small", "only"),
        ("train", "loss"),
        ("train", "val.loss"),
        ("validate", "accuracy"),
        ("", "external"),
    ];
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Known {
        metrics: metrics.iter().map(metric).collect(),
        params: texts(&["epochs", "evaluate.batch", "train.batch", "train.rate"]),
        tags: texts(&["team", "mlflow.source.type"]),
    }
}

#[test]
fn names_of_recorded_metrics() {
    let known = known();
    let shown = |name: &str| match known.metric(name) {
        Ok(found) => found.iter().map(MetricName::full).collect::<Vec<_>>().join(" "),
        Err(error) => format!("{}; {}", error.what, error.hint.unwrap_or_default()),
    };
    for (name, expected) in [
        ("train.val.loss", "train.val.loss"),
        ("val.loss", "train.val.loss"),
        ("train.loss", "train.loss"),
        ("external", "external"),
        ("evaluate.accuracy", "evaluate@large.accuracy evaluate@small.accuracy"),
        ("evaluate@small.accuracy", "evaluate@small.accuracy"),
        ("only", "evaluate@small.only"),
        (
            "accuracy",
            "`accuracy` is the name of several metrics; name one of evaluate.accuracy, \
             validate.accuracy",
        ),
        ("loss", "`loss` is the name of several metrics; name one of train.loss, train.val.loss"),
        (
            "evaluate.acuracy",
            "no run has a metric `evaluate.acuracy`; did you mean \
          `evaluate.accuracy`?",
        ),
        ("los", "no run has a metric `los`; did you mean `loss`?"),
        (
            "xyz",
            "no run has a metric `xyz`; the metrics are evaluate.accuracy, evaluate.only, \
             train.loss, train.val.loss, validate.accuracy, external, …",
        ),
    ] {
        assert_eq!(shown(name), expected, "{name}");
    }
    let few = Known { metrics: vec![known.metrics[0].clone(); 2], ..Known::default() };
    assert_eq!(
        few.metric("xyz").unwrap_err().hint.as_deref(),
        Some("the metrics are evaluate.accuracy, evaluate@large.accuracy, accuracy")
    );
    let error = Known::default().metric("a").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("no run has any metric"));
}

#[test]
fn names_of_recorded_params() {
    let known = known();
    let shown = |found: crate::error::Result<&str>| match found {
        Ok(found) => found.to_owned(),
        Err(error) => format!("{}; {}", error.what, error.hint.unwrap_or_default()),
    };
    for (name, expected) in [
        ("epochs", "epochs"),
        ("rate", "train.rate"),
        ("train.batch", "train.batch"),
        ("batch", "`batch` is the name of several params; name one of evaluate.batch, train.batch"),
        ("bach", "no run has a param `bach`; did you mean `batch`?"),
    ] {
        assert_eq!(shown(known.param(name)), expected, "{name}");
    }
    assert_eq!(shown(known.tag("team")), "team");
    let unknown = "no run has a tag `source.type`; did you mean `mlflow.source.type`?";
    assert_eq!(shown(known.tag("source.type")), unknown);
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z][a-z0-9_.]{0,6}[a-z]", "[^`]{1,8}", "[^'\"]{1,8}", Just("and".to_owned()),]
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[^']{0,8}", "[^\"]{0,8}"]
}

fn comparisons() -> impl Strategy<Value = Comparison> {
    let ops = || prop::sample::select(Op::ALL.to_vec());
    let numbers = || any::<f64>().prop_filter("finite", |number| number.is_finite());
    let equalities = || prop::sample::select(vec![Op::Eq, Op::Ne]);
    let values = || prop_oneof![numbers().prop_map(Value::Number), texts().prop_map(Value::Text)];
    let cases = prop::sample::select(vec![Case::Sensitive, Case::Ignored]);
    prop_oneof![
        (names(), ops(), numbers()).prop_map(|(name, op, number)| Comparison {
            field: Field::Metric(name),
            test: Test::Compare(op, Value::Number(number)),
        }),
        (names(), equalities(), texts()).prop_map(|(name, op, text)| Comparison {
            field: Field::Tag(name),
            test: Test::Compare(op, Value::Text(text)),
        }),
        (names(), cases, texts()).prop_map(|(name, case, text)| Comparison {
            field: Field::Param(name),
            test: Test::Like(case, text),
        }),
        (names(), prop::collection::vec(values(), 1..4), any::<bool>()).prop_map(
            |(name, values, negated)| Comparison {
                field: Field::Param(name),
                test: if negated { Test::NotIn(values) } else { Test::In(values) },
            }
        ),
        (prop::sample::select(Attribute::ALL.to_vec()), any::<bool>())
            .prop_filter("has no form IS", |(attribute, _)| {
                !matches!(attribute, Attribute::Status | Attribute::Kind)
            })
            .prop_map(|(attribute, negated)| Comparison {
                field: Field::Attribute(attribute),
                test: if negated { Test::NotNull } else { Test::Null },
            }),
    ]
}

proptest! {
    #[test]
    fn rendered_filter_is_parsed(comparisons in prop::collection::vec(comparisons(), 0..4)) {
        let filter = Filter { comparisons };
        let text = filter.to_string();
        prop_assert_eq!(Filter::parse(&text, Repro), Ok(filter), "{}", text);
    }

    #[test]
    fn any_text_is_answered(
        text in r"\PC*|([a-z.]{1,6}|[<>=!'`(), -]|[0-9.e+-]{1,4}|metrics\.| and | in | is | é){0,12}"
    ) {
        for dialect in [Repro, Mlflow] {
            match Filter::parse(&text, dialect) {
                Ok(filter) => {
                    let again = Filter::parse(&filter.to_string(), dialect);
                    // Attributes have other names in MLflow's dialect.
                    prop_assert!(dialect == Mlflow || again == Ok(filter), "{}", text);
                }
                Err(fault) => prop_assert!(text.is_char_boundary(fault.at), "{text}"),
            }
            let _ = Field::parse(Order::split(&text).0, dialect);
            let _ = Order::parse_mlflow(&text);
        }
    }
}

#[test]
fn limits_of_filters() {
    let many = |count: usize, one: &str, between: &str| vec![one; count].join(between);
    for (text, expected) in [
        (many(200, "run > 1", " and "), None),
        (many(201, "run > 1", " and "), Some("the filter is too long")),
        (format!("uid IN ({})", many(20_000, "'a'", ",")), None),
        (format!("uid IN ({})", many(20_001, "'a'", ",")), Some("the list is too long")),
        (format!("name LIKE '{}'", "a".repeat(10_000)), None),
        (format!("name LIKE '{}'", "a".repeat(10_001)), Some("the pattern is too long")),
    ] {
        let found = Filter::parse(&text, Repro).err().map(|fault| fault.what);
        assert_eq!(found.as_deref(), expected);
    }
}
