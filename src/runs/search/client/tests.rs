//! Tests of clients' queries: the meaning of MLflow's filters and orders, row by row.

use std::time::Duration;

use super::*;
use crate::filter::{Dialect, Filter, Order};
use crate::runs::record::Lifecycle;

const RUNS: &str = r#"
INSERT INTO experiments (id, name, artifact_location) VALUES (1, 'one', 's3://x/'), (2, 'two', NULL);
INSERT INTO runs (number, uid, status, kind, name, lifecycle, experiment, started, ended, command,
                  overrides, host, user, parent, note)
VALUES
    (1, 'e', 'ok', 'external', 'calm-cat-1', 'active', 1, 1000, 2000, '[]', '[]', '', 'ada', NULL, 'n'),
    (2, 'd', 'failed', 'external', 'Calm', 'active', 1, 1000, 3000, '[]', '[]', '', 'bob', 'e', NULL),
    (3, 'c', 'running', 'external', '100%', 'active', 1, 3000, NULL, '[]', '[]', '', 'ada', 'e', NULL),
    (4, 'b', 'interrupted', 'pipeline', NULL, 'active', 2, 4000, 5000, '[]', '[]', '', NULL, NULL, NULL),
    (5, 'a', 'ok', 'external', 'gone', 'deleted', 1, 5000, 6000, '[]', '[]', '', 'ada', NULL, NULL);
INSERT INTO series (run, stage, key, count, last, last_step, last_at) VALUES
    (1, '', 'loss', 1, 0.5, 3, 10), (2, '', 'loss', 1, NULL, 0, 10), (5, '', 'loss', 1, 0.1, 0, 10),
    (4, 'train', 'loss', 1, 0.25, 7, 10), (1, '', 'train.loss', 1, 9, 0, 10),
    (1, '', 'val/loss', 1, -1, 0, 10), (2, '', 'zero', 1, 0, 0, 10), (3, '', 'zero', 1, NULL, 0, 10);
INSERT INTO metrics (run, stage, key, value) VALUES (4, 'train', 'accuracy', 0.75);
INSERT INTO params (run, stage, key, value) VALUES
    (1, '', 'lr', '"10"'), (2, '', 'lr', '"9"'), (3, '', 'lr', '"Ten"'), (4, '', 'lr', '10'),
    (4, 'train', 'on', 'true'), (1, '', 'quoted', '"it''s"');
INSERT INTO tags (run, key, value) VALUES
    (1, 'team', 'a_b'), (2, 'team', 'axb'), (1, 'mlflow.source.type', 'LOCAL'), (3, 'n', '2');
INSERT INTO datasets (experiment, name, digest, source_type, source) VALUES
    (1, 'iris', 'd1', 'local', 's'), (1, 'digits', 'd2', 'local', 's');
INSERT INTO run_inputs (run, name, digest, context, tags) VALUES
    (1, 'iris', 'd1', 'training', '{"mlflow.data.context":"training"}'),
    (1, 'digits', 'd2', 'testing', '{"mlflow.data.context":"testing"}'),
    (2, 'digits', 'd2', NULL, '{}');
INSERT INTO models (id, experiment, name, created, updated) VALUES ('m-1', 1, 'm', 0, 0);
INSERT INTO run_models (run, role, model, step) VALUES (1, 'output', 'm-1', 4), (2, 'input', 'm-1', 0);
"#;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Duration::from_secs(1)).unwrap();
    store.conn.execute_batch(RUNS).unwrap();
    (dir, store)
}

fn query(filter: &str, order: &[&str]) -> ClientQuery {
    ClientQuery {
        filter: Filter::parse(filter, Dialect::Mlflow).unwrap(),
        order: order.iter().map(|text| Order::parse_mlflow(text).unwrap()).collect(),
        experiments: vec![0, 1, 2],
        lifecycle: Some(Lifecycle::Active),
        limit: 100,
        after: None,
    }
}

fn numbers(page: &Page<RunName>) -> String {
    page.found.iter().map(|run| run.0.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn meaning_of_filters() {
    let (_dir, store) = store();
    for (filter, expected) in [
        // The run that started last comes first, then the smaller id.
        ("", "4 3 2 1"),
        ("metrics.loss = 0.5", "1"),
        // Only `!=` is true of NaN, and nothing of a missing metric.
        ("metrics.loss != 0.5", "2"),
        ("metrics.loss != 7", "2 1"),
        ("metrics.loss <= 1e999", "1"),
        ("metrics.zero = 0", "2"),
        ("metrics.zero >= 0", "2"),
        ("metrics.`val/loss` < 0", "1"),
        // A client's own metric comes before that of a stage.
        ("metrics.train.loss > 0", "4 1"),
        ("metrics.train.loss = 0.25", "4"),
        ("metrics.train.accuracy = 0.75", "4"),
        ("metrics.accuracy > 0", ""),
        ("metrics.nothing != 1", ""),
        ("params.lr = '10'", "4 1"),
        ("params.lr != '10'", "3 2"),
        ("params.lr LIKE 't%'", ""),
        ("params.lr ILIKE 't%'", "3"),
        ("params.train.on = 'true'", "4"),
        ("params.quoted = \"it's\"", "1"),
        ("params.nothing != 'x'", ""),
        ("params.nothing IS NULL", "4 3 2 1"),
        ("params.lr IS NOT NULL and params.quoted IS NULL", "4 3 2"),
        ("tags.team LIKE 'a_b'", "2 1"),
        ("tags.team = 'a_b'", "1"),
        ("tags.team != 'a_b'", "2"),
        ("tags.team IS NULL", "4 3"),
        ("tags.n = '2'", "3"),
        ("tags.mlflow.runName = 'Calm'", "2"),
        ("tags.mlflow.parentRunId = 'e'", "3 2"),
        ("tags.mlflow.note.content LIKE '%n%'", "1"),
        ("tags.mlflow.user != 'ada'", "2"),
        ("tags.mlflow.source.type = 'PROJECT'", "4"),
        ("tags.mlflow.source.type = 'LOCAL'", "1"),
        ("tags.mlflow.parentRunId IS NULL", "4 1"),
        ("run_name LIKE 'Calm%'", "2"),
        ("run_name ILIKE 'Calm%'", "2 1"),
        ("run_name LIKE '100%'", "3"),
        ("run_name = 'run-4'", "4"),
        ("run_id IN ('a', 'b', 'c')", "4 3"),
        ("run_id NOT IN ('a', 'b', 'c')", "2 1"),
        ("user_id = 'ada'", "3 1"),
        ("status = 'FINISHED'", "1"),
        ("status != 'FINISHED'", "4 3 2"),
        ("status LIKE '%ED'", "4 2 1"),
        ("status = 'finished'", ""),
        ("status = 'ok'", ""),
        ("start_time > 1000 and end_time < 6000", "4"),
        ("end_time != 2000", "4 2"),
        ("artifact_uri LIKE 's3://x%'", "3 2 1"),
        ("artifact_uri = 'mlflow-artifacts:/2/b/artifacts'", "4"),
        ("datasets.name = 'digits'", "2 1"),
        ("datasets.name != 'digits'", "1"),
        ("dataset.digest IN ('d1', 'd9')", "1"),
        ("datasets.context NOT IN ('testing')", "1"),
        ("datasets.context LIKE 'test%' and datasets.name = 'iris'", "1"),
        ("datasets.name = 'd1'", ""),
        ("metrics.loss > 0 params.lr = '10' and user_id = 'ada'", "1"),
    ] {
        let found = store.client_search(&query(filter, &[])).unwrap();
        assert_eq!(numbers(&found), expected, "{filter}");
    }
}

#[test]
fn meaning_of_orders() {
    let (_dir, store) = store();
    for (order, expected) in [
        // Values, then NaN, then missing ones, in both directions.
        (&["metrics.loss"][..], "1 2 4 3"),
        (&["metrics.loss DESC"], "1 2 4 3"),
        (&["metrics.zero DESC"], "2 3 4 1"),
        (&["metrics.train.loss"], "4 1 3 2"),
        (&["metrics.train.loss desc"], "1 4 3 2"),
        // As texts.
        (&["params.lr"], "4 1 2 3"),
        (&["params.lr DESC"], "3 2 4 1"),
        (&["tags.team"], "1 2 4 3"),
        (&["tags.team desc"], "2 1 4 3"),
        (&["start_time", "run_id desc"], "1 2 3 4"),
        (&["start_time DESC"], "4 3 2 1"),
        (&["end_time desc"], "4 2 1 3"),
        (&["user_id", "start_time"], "4 1 3 2"),
        (&["status"], "2 1 4 3"),
        (&["tags.`mlflow.runName`"], "3 2 1 4"),
        (&["metrics.nothing", "params.nothing"], "4 3 2 1"),
    ] {
        let found = store.client_search(&query("", order)).unwrap();
        assert_eq!(numbers(&found), expected, "{order:?}");
    }
    let twice = store.client_search(&query("", &["status", "status DESC"])).unwrap_err();
    assert_eq!(twice.what, "the order has `status` twice");
    let many: Vec<String> = (0..21).map(|n| format!("metrics.m{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(store.client_search(&query("", &many)).is_err());
    assert!(store.client_search(&query("", &many[..20])).is_ok());
}

#[test]
fn experiments_and_lifecycles() {
    let (_dir, store) = store();
    for (experiments, lifecycle, expected) in [
        (vec![1], Some(Lifecycle::Active), "3 2 1"),
        (vec![2, 9], Some(Lifecycle::Active), "4"),
        (vec![], Some(Lifecycle::Active), ""),
        (vec![1, 2], Some(Lifecycle::Deleted), "5"),
        (vec![1, 2], None, "5 4 3 2 1"),
    ] {
        let query = ClientQuery { experiments, lifecycle, ..query("", &[]) };
        assert_eq!(numbers(&store.client_search(&query).unwrap()), expected);
    }
}

#[test]
fn pages_are_stable() {
    let (_dir, store) = store();
    let insert = "INSERT INTO runs (number, uid, status, kind, name, experiment, started, command,
                                    overrides, host)
                  VALUES (?1, ?2, 'ok', 'external', 'x', 1, ?3, '[]', '[]', '')";
    for order in [
        &[][..],
        &["metrics.loss DESC"],
        &["metrics.zero"],
        &["params.lr"],
        &["tags.team desc", "metrics.loss"],
        &["end_time"],
        &["status desc", "run_name"],
    ] {
        let whole = numbers(&store.client_search(&query("", order)).unwrap());
        for limit in 1..5 {
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let query = ClientQuery { limit, after, ..query("", order) };
                let page = store.client_search(&query).unwrap();
                pages.push(numbers(&page));
                // A run that comes first arrives between two pages.
                store.conn.execute(insert, (99, "Z", 99_000)).unwrap();
                store.conn.execute("DELETE FROM runs WHERE number = 99", []).unwrap();
                match page.next {
                    Some(token) => after = Some(token),
                    None => break,
                }
            }
            assert_eq!(pages.len(), 4_usize.div_ceil(limit), "{order:?} {limit}");
            assert_eq!(pages.join(" "), whole, "{order:?} {limit}");
        }
    }
    let first = ClientQuery { limit: 2, ..query("", &[]) };
    let after = store.client_search(&first).unwrap().next;
    store.conn.execute(insert, (99, "Z", 99_000)).unwrap();
    let second = store.client_search(&ClientQuery { after: after.clone(), ..first }).unwrap();
    assert_eq!((numbers(&second).as_str(), second.next), ("2 1", None));
    let other = ClientQuery { after, ..query("", &["status"]) };
    let error = store.client_search(&other).unwrap_err();
    assert_eq!(error.what, "the page token is not one of this search");
}

#[test]
fn runs_of_clients() {
    let (_dir, store) = store();
    let runs = store.client_runs(&[RunName(4), RunName(77), RunName(1)]).unwrap();
    let [pipeline, client] = &runs[..] else { panic!("{runs:?}") };
    let tags = |run: &crate::runs::ClientRun| {
        run.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(pipeline.name, "run-4");
    assert_eq!(pipeline.status, "KILLED");
    assert_eq!(
        tags(pipeline),
        "mlflow.runName=run-4 mlflow.source.type=PROJECT repro.kind=pipeline"
    );
    let metrics = pipeline.metrics.iter();
    let metrics: Vec<_> =
        metrics.map(|one| (one.key.as_str(), one.value, one.at, one.step)).collect();
    assert_eq!(metrics, [("train.accuracy", 0.75, 5000, 0), ("train.loss", 0.25, 10, 7)]);
    let params = [("lr", "10"), ("train.on", "true")];
    assert_eq!(pipeline.params, params.map(|(key, value)| (key.to_owned(), value.to_owned())));

    assert_eq!((client.uid.as_str(), client.experiment, client.ended), ("e", 1, Some(2000)));
    assert_eq!(client.artifact_uri, "s3://x/e/artifacts");
    assert_eq!(
        tags(client),
        "mlflow.note.content=n mlflow.runName=calm-cat-1 mlflow.source.type=LOCAL \
         mlflow.user=ada team=a_b"
    );
    assert_eq!(client.params[1], ("quoted".to_owned(), "it's".to_owned()));
    let datasets: Vec<_> = client.datasets.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(datasets, ["digits", "iris"]);
    let context = ("mlflow.data.context".to_owned(), "testing".to_owned());
    assert_eq!(client.datasets[0].tags, [context]);
    assert_eq!(client.model_outputs, [("m-1".to_owned(), 4)]);
    assert!(client.model_inputs.is_empty());
}
