//! Tests of queries on a small store.

use std::time::Duration;

use super::*;
use crate::event::RunName;
use crate::filter::{Dialect, Field, Filter, Order};
use crate::pipeline::Goal;
use crate::runs::record::Lifecycle;

/// A store with six runs: a pipeline run, a failed one, a sweep of two trials, and a deleted run.
fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Duration::from_secs(1)).unwrap();
    store.conn.execute_batch(RUNS).unwrap();
    (dir, store)
}

const RUNS: &str = r#"
INSERT INTO experiments (id, name) VALUES (7, 'digits');
INSERT INTO runs (number, uid, status, kind, parent, name, lifecycle, experiment, started, ended,
                  took, pipeline, command, overrides, host, user, git_commit, git_branch, git_tree)
VALUES
    (1, 'a1', 'ok', 'pipeline', NULL, 'first', 'active', 7, 1000, 2000, 1000, 'digits', '[]', '[]',
     'ws-7', 'ada', '3f2a91', 'main', 'clean'),
    (2, 'a2', 'failed', 'pipeline', NULL, NULL, 'active', 0, 1700000000000, NULL, 90000, NULL,
     '[]', '[]', 'ws-8', NULL, NULL, NULL, NULL),
    (3, 'a3', 'ok', 'sweep', NULL, NULL, 'active', 7, 3000, 9000, 6000, 'digits', '[]', '[]',
     'ws-7', 'ada', NULL, NULL, NULL),
    (4, 'a4', 'ok', 'trial', 'a3', NULL, 'active', 7, 4000, 5000, 1000, 'digits', '[]', '[]',
     'ws-7', 'ada', NULL, NULL, NULL),
    (5, 'a5', 'running', 'trial', 'a3', NULL, 'active', 7, 5000, NULL, NULL, 'digits', '[]', '[]',
     'ws-7', 'ada', NULL, NULL, NULL),
    (6, 'a6', 'ok', 'pipeline', NULL, NULL, 'deleted', 7, 6000, 7000, 1000, 'digits', '[]', '[]',
     'ws-7', 'ada', NULL, NULL, NULL);
INSERT INTO params (run, key, value) VALUES
    (1, 'train.epochs', '10'), (2, 'train.epochs', '9.5'), (4, 'train.epochs', '"10"'),
    (5, 'train.epochs', '1e2'), (1, 'model', '"small"'), (2, 'model', '"Small [a]"'),
    (4, 'model', 'true'), (5, 'model', '["x"]');
INSERT INTO tags (run, key, value) VALUES (1, 'team', 'a*'), (2, 'team', 'ab'), (4, 'team', '10');
INSERT INTO metrics (run, stage, key, value) VALUES
    (1, 'evaluate', 'accuracy', 0.5), (2, 'evaluate', 'accuracy', NULL),
    (4, 'evaluate', 'accuracy', 0.75), (6, 'evaluate', 'accuracy', 1),
    (1, 'test@a', 'f1', 0.1), (1, 'test@b', 'f1', 0.9), (4, 'test@a', 'f1', 0.3),
    (4, 'test@b', 'f1', NULL), (1, 'train', 'loss', 2);
INSERT INTO series (run, stage, key, count, last, last_step) VALUES
    (1, 'train', 'loss', 2, 7, 1), (5, 'train', 'loss', 2, 3, 1), (2, 'train', 'loss', 1, NULL, 0);
"#;

fn goals() -> Goals {
    let mut goals = Goals::default();
    goals.insert("f1".to_owned(), Goal::Max);
    goals
}

fn query(filter: &str, sort: &[&str]) -> Query {
    let order = sort.iter().map(|text| {
        let (key, direction) = Order::split(text);
        let field = Field::parse(key, Dialect::Repro).unwrap();
        Order { field, direction: direction.unwrap() }
    });
    Query {
        filter: Filter::parse(filter, Dialect::Repro).unwrap(),
        order: order.collect(),
        lifecycle: Lifecycle::Active,
        level: Level::Any,
        limit: 100,
    }
}

fn numbers(store: &Store, query: &Query) -> String {
    match store.search(query, &store.known().unwrap(), &goals()) {
        Ok(found) => {
            let runs: Vec<String> = found.runs.iter().map(|run| run.0.to_string()).collect();
            runs.join(" ")
        }
        Err(error) => format!("{}; {}", error.what, error.hint.unwrap_or_default()),
    }
}

/// The order by metrics alone is made here, that by something else beside them in SQL.
#[test]
fn metric_order_as_in_sql() {
    let (_dir, store) = store();
    let second = "metrics.evaluate.accuracy:asc";
    for metric in ["evaluate.accuracy", "test.f1", "train.loss", "test@b.f1"] {
        for direction in ["asc", "desc"] {
            let by = format!("metrics.{metric}:{direction}");
            for orders in [vec![by.as_str()], vec![&by, second]] {
                let in_sql = [&orders[..], &["run:desc"]].concat();
                let [here, in_sql] = [&orders, &in_sql].map(|by| numbers(&store, &query("", by)));
                assert_eq!(here, in_sql, "{orders:?}");
            }
        }
    }
    let first = Query { limit: 1, ..query("", &["metrics.evaluate.accuracy:desc"]) };
    let found = store.search(&first, &store.known().unwrap(), &goals()).unwrap();
    assert_eq!((found.runs, found.total), (vec![RunName(4)], 5));
}

#[test]
fn matching_runs() {
    let (_dir, store) = store();
    for (filter, expected) in [
        ("", "5 4 3 2 1"),
        ("metrics.evaluate.accuracy > 0.5", "4"),
        ("metrics.accuracy >= 0.5", "4 1"),
        // NaN differs from every number; a missing metric matches nothing.
        ("metrics.accuracy != 0.5", "4 2"),
        ("metrics.accuracy = 0.5", "1"),
        ("metrics.accuracy < 0.5", ""),
        ("metrics.accuracy IS NULL", "5 3"),
        ("metrics.accuracy IS NOT NULL", "4 2 1"),
        // The final value counts, else the last one of the series.
        ("metrics.loss > 0", "5 1"),
        ("metrics.loss = 2", "1"),
        ("metrics.loss = 3", "5"),
        ("metrics.loss != 3", "2 1"),
        // The best variant of a matrix.
        ("metrics.test.f1 > 0.5", "1"),
        ("metrics.test.f1 = 0.3", "4"),
        ("metrics.test@a.f1 < 0.2", "1"),
        ("params.train.epochs = 10", "1"),
        ("params.epochs > 9", "5 2 1"),
        ("params.epochs != 10", "5 4 2"),
        ("params.epochs = '10'", "4 1"),
        ("params.epochs IN (10, '1e2')", "5 1"),
        ("params.epochs NOT IN (10, '1e2')", "4 2"),
        ("params.epochs LIKE '1%'", "5 4 1"),
        ("params.epochs IS NULL", "3"),
        ("params.model = 'small'", "1"),
        ("params.model != 'small'", "5 4 2"),
        ("params.model = true", "4"),
        ("params.model LIKE 'small%'", "1"),
        ("params.model ILIKE 'SMALL%'", "2 1"),
        ("params.model LIKE '%[a]'", "2"),
        ("params.model = '[\"x\"]'", "5"),
        ("tags.team = 'a*'", "1"),
        ("tags.team LIKE 'a*'", "1"),
        ("tags.team LIKE 'a_'", "2 1"),
        ("tags.team != 'ab'", "4 1"),
        ("tags.team IN ('ab', '10')", "4 2"),
        ("tags.team IS NULL", "5 3"),
        ("run >= 4", "5 4"),
        ("run_id = 'a4'", "4"),
        ("name = 'first'", "1"),
        ("name != 'other'", "1"),
        ("name IS NULL", "5 4 3 2"),
        ("status = 'ok'", "4 3 1"),
        // Its process does not hold the lock.
        ("status = 'interrupted'", "5"),
        ("status = 'running'", ""),
        ("status IN ('failed', 'interrupted')", "5 2"),
        ("status != 'ok'", "5 2"),
        ("kind = 'trial' and parent = 'run-3'", "5 4"),
        ("parent IN ('run-3')", "5 4"),
        ("parent = 'a3'", "5 4"),
        ("parent IS NULL", "3 2 1"),
        ("parent = 'run-9'", ""),
        ("experiment = 'digits' and run < 3", "1"),
        ("experiment = 'default'", "2"),
        ("took > '1m'", "2"),
        ("took <= '1s'", "4 1"),
        ("started > '2023-11-01'", "2"),
        ("started > 3000 and started <= 5000", "5 4"),
        ("ended IS NULL", "5 2"),
        ("user = 'ada' and host LIKE '%-7' and branch = 'main'", "1"),
        ("commit LIKE '3f%'", "1"),
        ("metrics.accuracy > 0.1 and params.epochs = 10 and tags.team = 'a*' and run = 1", "1"),
        ("metrics.acuracy > 1", "no run has a metric `acuracy`; did you mean `accuracy`?"),
        ("tags.tema = 'x'", "no run has a tag `tema`; did you mean `team`?"),
    ] {
        assert_eq!(numbers(&store, &query(filter, &[])), expected, "{filter}");
    }
}

#[test]
fn missing_values_come_last() {
    let (_dir, store) = store();
    for (sort, expected) in [
        (&["metrics.accuracy:asc"][..], "1 4 2 5 3"),
        (&["metrics.accuracy:desc"], "4 1 2 5 3"),
        (&["metrics.test.f1:desc"], "1 4 5 3 2"),
        (&["params.epochs:asc"], "2 1 5 4 3"),
        (&["params.epochs:desc"], "5 1 2 4 3"),
        (&["tags.team:asc"], "4 1 2 5 3"),
        (&["name:asc"], "1 5 4 3 2"),
        (&["status:asc", "run:asc"], "2 5 1 3 4"),
        (&["host:desc", "metrics.loss:asc"], "2 1 5 4 3"),
        (&["took:desc"], "2 3 4 1 5"),
        (&["experiment:desc", "run:asc"], "1 3 4 5 2"),
    ] {
        assert_eq!(numbers(&store, &query("", sort)), expected, "{sort:?}");
    }
}

#[test]
fn levels_limits_and_lifecycles() {
    let (_dir, store) = store();
    let all = || query("", &[]);
    let top = Query { level: Level::Top, ..all() };
    assert_eq!(numbers(&store, &top), "3 2 1");
    let deleted = Query { lifecycle: Lifecycle::Deleted, ..all() };
    assert_eq!(numbers(&store, &deleted), "6");
    let few = Query { limit: 2, ..all() };
    let found = store.search(&few, &store.known().unwrap(), &goals()).unwrap();
    assert_eq!((found.runs.len(), found.total), (2, 5));
    // A trial whose parent is deleted is not lost.
    store.conn.execute("UPDATE runs SET lifecycle = 'deleted' WHERE number = 3", []).unwrap();
    assert_eq!(numbers(&store, &top), "5 4 2 1");
}

#[test]
fn names_in_the_store() {
    let (_dir, store) = store();
    let known = store.known().unwrap();
    let metrics: Vec<String> = known.metrics.iter().map(crate::filter::MetricName::full).collect();
    assert_eq!(metrics, ["evaluate.accuracy", "test@a.f1", "test@b.f1", "train.loss"]);
    assert_eq!(known.params, ["model", "train.epochs"]);
    assert_eq!(known.tags, ["team"]);
    let error = store.search(&query("metrics.f1 > 1", &[]), &known, &Goals::default()).unwrap_err();
    assert_eq!(
        error.hint.as_deref(),
        Some(
            "name one of test@a.f1, test@b.f1, or declare a goal: `f1 = { goal = \"max\" }` under \
             `[metrics]`"
        )
    );
}

#[test]
fn params_that_stages_logged() {
    let (_dir, store) = store();
    let rows = "INSERT INTO params (run, stage, key, value) VALUES
                (4, 'tune', 'lr', '\"0.5\"'), (5, 'tune', 'lr', '\"0.1\"'),
                (1, 'train', 'epochs', '\"99\"')";
    store.conn.execute(rows, []).unwrap();
    let known = store.known().unwrap();
    assert_eq!(known.params, ["model", "train.epochs", "tune.lr"]);
    for (filter, sort, expected) in [
        ("params.tune.lr = '0.5'", "", "4"),
        ("params.lr IS NOT NULL", "", "5 4"),
        ("params.lr IS NOT NULL", "params.lr:asc", "5 4"),
        ("params.lr IS NOT NULL", "params.lr:desc", "4 5"),
        // The pipeline's own param is the one of this name.
        ("params.train.epochs = 10", "", "1"),
        ("params.train.epochs = '99'", "", ""),
    ] {
        let sort: Vec<&str> = Some(sort).filter(|sort| !sort.is_empty()).into_iter().collect();
        assert_eq!(numbers(&store, &query(filter, &sort)), expected, "{filter} {sort:?}");
    }
    let cell = |run, key: &str| {
        let source = crate::runs::cells::Source::Param(key.to_owned());
        store.cells(vec![source]).unwrap().read(RunName(run)).unwrap().remove(0)
    };
    let text = |value: &str| Some(crate::runs::cells::Cell::Param(value.into()));
    assert_eq!(cell(4, "tune.lr"), text("0.5"));
    assert_eq!(cell(1, "tune.lr"), None);
    let epochs = crate::runs::cells::Cell::Param(10.into());
    assert_eq!(cell(1, "train.epochs"), Some(epochs));
}

#[test]
fn cells_of_a_run() {
    use crate::filter::Attribute::{Ended, Experiment, Name, Parent, Run, Status, Took};
    use crate::filter::MetricName;
    use crate::runs::cells::{Cell, Source};

    let (_dir, store) = store();
    let metric = |stage: &str, key: &str| {
        Source::Metric(MetricName { stage: stage.to_owned(), key: key.to_owned() })
    };
    let attributes = [Run, Name, Status, Experiment, Parent, Took, Ended];
    let mut sources: Vec<Source> = attributes.map(Source::Attribute).into();
    sources.extend([
        metric("evaluate", "accuracy"),
        metric("train", "loss"),
        Source::Param("model".to_owned()),
        Source::Tag("team".to_owned()),
    ]);
    // More than one statement reads.
    sources.extend((0..600).map(|n| Source::Tag(format!("none {n}"))));
    let mut cells = store.cells(sources).unwrap();
    let shown = |cells: Vec<Option<Cell>>| {
        assert!(cells[11..].iter().all(Option::is_none));
        let shown = cells[..11].iter().map(|cell| match cell {
            None => "-".to_owned(),
            Some(Cell::Run(run)) => run.to_string(),
            Some(Cell::Text(text)) => text.clone(),
            Some(Cell::Number(number)) => format!("{number:?}"),
            Some(Cell::Param(value)) => value.to_string(),
            Some(Cell::Time { at, local }) => format!("{at} ({})", local.len()),
            Some(Cell::Duration(took)) => took.to_string(),
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    let first = "run-1, first, ok, digits, -, 1.0s, 2000 (19), 0.5, 2.0, \"small\", a*";
    assert_eq!(shown(cells.read(RunName(1)).unwrap()), first);
    let second = "run-2, -, failed, default, -, 1m30s, -, NaN, NaN, \"Small [a]\", ab";
    assert_eq!(shown(cells.read(RunName(2)).unwrap()), second);
    let fifth = "run-5, -, interrupted, digits, run-3, -, -, -, 3.0, [\"x\"], -";
    assert_eq!(shown(cells.read(RunName(5)).unwrap()), fifth);
}
