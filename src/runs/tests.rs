//! Tests that send events to a real recorder and query the result. Also provides the recorded runs
//! that the tests of commands display.

mod names;
mod writers;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::digest::{Content, Digest};
use crate::event::{
    Event, Failure, GitDiff, GitState, GitTree, Millis, Outcome, RunInfo, RunKind, RunName,
    RunStatus, RunUid, StageInputs, Subscriber as _, Work,
};
use crate::pipeline::{Goal, Goals, ParamKey, StageName};
use crate::plan::Change;
use crate::repo_path::RepoPath;

fn stage(name: &str) -> StageName {
    StageName::parse(name).unwrap()
}

fn path(text: &str) -> RepoPath {
    RepoPath::parse(text).unwrap()
}

pub(crate) fn info(epochs: u64) -> RunInfo {
    RunInfo {
        uid: RunUid::from_bytes([u8::try_from(epochs).unwrap(); 16]),
        kind: RunKind::Pipeline,
        parent: None,
        name: None,
        experiment: "genres".into(),
        pipeline: Some("genres".into()),
        command: ["repro", "run", "-p", "note=a b"].map(Into::into).to_vec(),
        params: [("seed", json!(42)), ("source", json!("synth")), ("train.epochs", json!(epochs))]
            .map(|(key, value)| (ParamKey::new(key), value))
            .into(),
        overrides: vec!["note=a b".into()],
        overridden: [ParamKey::new("seed")].into(),
        host: "ws-7".into(),
        user: Some("mira".into()),
        git: Some(GitState {
            commit: Some("3f2a91c0d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9".into()),
            branch: Some("main".into()),
            tree: if epochs > 10 { GitTree::Dirty } else { GitTree::Clean },
            diff: (epochs > 10)
                .then(|| GitDiff { digest: Digest::of(b"patch"), lacks: vec!["large.bin".into()] }),
        }),
        fresh: 0,
        tags: std::collections::BTreeMap::new(),
    }
}

fn ended(name: &str, outcome: Outcome, took: u64, outs: &[&str]) -> Event {
    let outs =
        outs.iter().map(|out| (path(out), Content::File(Digest::of(out.as_bytes())))).collect();
    Event::StageEnded {
        stage: stage(name),
        at: 0,
        outcome,
        took: Millis(took),
        outs,
        usage: None,
        artifacts: BTreeMap::new(),
    }
}

fn started(name: &str, reasons: Vec<Change>) -> Event {
    Event::StageStarted {
        stage: stage(name),
        at: 1000,
        work: Work::Run,
        reasons,
        inputs: StageInputs::default(),
    }
}

pub(crate) fn record(root: &Path, events: &[Event]) -> Option<String> {
    let mut recorder = Recorder::start(root, |_| {});
    for event in events {
        recorder.on_event(event);
    }
    recorder.finish().map(|warning| warning.to_string())
}

/// Replaces the local time of a run by a fixed one, independent of the time zone.
pub(crate) fn at_a_fixed_time(run: &mut Run) {
    assert_eq!(run.started_local.len(), "2026-05-09 14:03:22".len());
    run.started_local = "2026-05-09 14:03:22".into();
}

fn first() -> Vec<Event> {
    let failure = Failure {
        what: "exited with code 1".into(),
        causes: vec!["its last line: \"loss is NaN\"".into()],
        hint: Some("look".into()),
    };
    vec![
        // Found to be fresh before the run starts, which happens only if a stage has work to do.
        ended("download", Outcome::Fresh, 0, &["data/audio.bin"]),
        Event::RunStarted { run: RunName(1), at: 1_778_335_402_000, info: Box::new(info(10)) },
        started("train", vec![Change::NeverRan]),
        ended("train", Outcome::Failed(failure), 192_000, &[]),
        ended("evaluate", Outcome::Skipped { because: stage("train"), is_needed: true }, 0, &[]),
        Event::FinalMetrics {
            stage: stage("train"),
            values: [("loss".into(), 2.25.into())].into(),
        },
        Event::RunEnded {
            run: Some(RunName(1)),
            at: 1_778_335_600_000,
            status: RunStatus::Failed,
            took: Millis(193_000),
        },
    ]
}

fn second() -> Vec<Event> {
    let reasons = vec![Change::Param {
        key: ParamKey::new("train.epochs"),
        old: Some(json!(10)),
        new: Some(json!(30)),
    }];
    let many = (0..250).map(|n| Change::OutMissing { path: path(&format!("o/{n}")) }).collect();
    let mut events = vec![
        ended("download", Outcome::Fresh, 0, &["data/audio.bin"]),
        Event::RunStarted { run: RunName(2), at: 1_778_335_700_000, info: Box::new(info(30)) },
        started("train", reasons),
    ];
    events.extend([(1, 2.3), (2, f64::NAN), (3, 0.4), (3, 0.5)].map(|(step, value)| {
        Event::Metric {
            stage: stage("train"),
            at: 1_778_335_701_000,
            key: "loss".into(),
            step,
            value: value.into(),
        }
    }));
    events.extend([
        Event::Artifact { stage: stage("train"), path: path("plots/x.png") },
        Event::Artifact { stage: stage("train"), path: path("models/a.mpk") },
        ended("train", Outcome::Ran, 62_000, &["models/a.mpk"]),
        started("evaluate", many),
        ended("evaluate", Outcome::Ran, 3100, &[]),
        Event::FinalMetrics {
            stage: stage("train"),
            values: [
                ("loss", 0.412_345),
                ("steps", 30.0),
                ("grad", f64::NAN),
                ("top", f64::INFINITY),
            ]
            .map(|(key, value): (&str, f64)| (key.into(), value.into()))
            .into(),
        },
        Event::FinalMetrics {
            stage: stage("evaluate"),
            values: [("accuracy".into(), 0.625.into())].into(),
        },
        Event::RunEnded {
            run: Some(RunName(2)),
            at: 1_778_335_766_000,
            status: RunStatus::Ok,
            took: Millis(66_000),
        },
    ]);
    events
}

/// Creates a project with a failed and a successful run.
pub(crate) fn finished() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for events in [first(), second()] {
        assert_eq!(record(dir.path(), &events), None);
    }
    dir
}

/// Creates a project with a run of one stage, `train`, with the series `loss`: step, time, value.
pub(crate) fn with_series(points: &[(i64, i64, f64)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut events = first()[..3].to_vec();
    events.extend(points.iter().map(|&(step, at, value)| Event::Metric {
        stage: stage("train"),
        at,
        key: "loss".into(),
        step: u64::try_from(step).unwrap(),
        value: value.into(),
    }));
    assert_eq!(record(dir.path(), &events), None);
    dir
}

fn open(root: &Path) -> Store {
    Store::open_existing(root).unwrap().unwrap()
}

#[test]
fn record_round_trip() {
    let dir = finished();
    let store = open(dir.path());
    let run = store.run(RunName(2)).unwrap();
    assert_eq!((run.state, run.took, &run.info), (RunState::Ok, Some(Millis(66_000)), &info(30)));
    let states: Vec<_> =
        run.stages.iter().map(|s| (s.stage.as_str(), s.state.word(), s.took)).collect();
    assert_eq!(
        states,
        [
            ("download", "fresh", Some(Millis(0))),
            ("train", "ran", Some(Millis(62_000))),
            ("evaluate", "ran", Some(Millis(3100)))
        ]
    );
    assert_eq!(run.stages[1].reasons, ["train.epochs 10 → 30"]);
    assert_eq!((run.stages[2].reasons.len(), run.stages[2].reason_count), (100, 250));
    let failed = store.run(RunName(1)).unwrap();
    assert!(matches!(
        &failed.stages[1].state,
        StageState::Failed(f) if f.causes.len() == 1 && f.hint.as_deref() == Some("look")
    ));
    assert_eq!(failed.stages[2].state, StageState::Skipped { because: Some(stage("train")) });
}

#[test]
fn nan_and_infinity_round_trip() {
    let dir = finished();
    let store = open(dir.path());
    let metrics = store.metrics(RunName(2)).unwrap();
    assert!(metrics[&(stage("train"), "grad".into())].is_nan());
    assert_eq!(metrics[&(stage("train"), "top".into())], f64::INFINITY.into());
    assert_eq!(metrics.len(), 5);
    assert_eq!(store.series(RunName(2)).unwrap().len(), 1);
    assert!(points(&store, RunName(2))[1].value.is_nan());
}

#[test]
fn large_integers_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    let large = i128::from(u64::MAX);
    let mut events = first();
    let values = [("loss".into(), (large - 1).into()), ("seen".into(), (-large / 2).into())];
    events.insert(5, Event::FinalMetrics { stage: stage("train"), values: values.clone().into() });
    events.insert(
        3,
        Event::Metric {
            stage: stage("train"),
            at: 0,
            key: "n".into(),
            step: 0,
            value: large.into(),
        },
    );
    // The final value of `loss` is reported again, as a double.
    record(dir.path(), &events);
    let store = open(dir.path());
    let metrics = store.metrics(RunName(1)).unwrap();
    assert_eq!(metrics[&(stage("train"), "seen".into())], values[1].1);
    assert_eq!(metrics[&(stage("train"), "loss".into())], 2.25.into());
    assert_eq!(points(&store, RunName(1))[0].value, large.into());
    store.conn.execute("UPDATE metrics SET exact = '1e5'", []).unwrap();
    let error = store.metrics(RunName(1)).unwrap_err();
    assert!(error.what.contains("contains an invalid number"), "{error}");
}

/// Returns the points of the first series.
fn points(store: &Store, run: RunName) -> Vec<Point> {
    let mut points = Vec::new();
    let series = &store.series(run).unwrap()[0];
    let take = |point| {
        points.push(point);
        ControlFlow::Continue(())
    };
    store.points(run, series, take).unwrap();
    points
}

#[test]
fn every_point_is_kept() {
    let dir = finished();
    let store = open(dir.path());
    let points = points(&store, RunName(2));
    assert_eq!(points.iter().map(|point| point.step).collect::<Vec<_>>(), [1, 2, 3, 3]);
    assert_eq!([points[2].value, points[3].value], [0.4.into(), 0.5.into()]);
    let at = |step, value: f64| StepValue { step, value: value.into() };
    let series = &store.series(RunName(2)).unwrap()[0];
    assert_eq!((series.count, series.last), (4, at(3, 0.5)));
    assert_eq!((series.min, series.max), (Some(at(3, 0.4)), Some(at(1, 2.3))));
}

#[test]
fn samples_of_long_series() {
    let points: Vec<(i64, i64, f64)> =
        (100..1100).flat_map(|step| [step, step]).map(|step| (step, 0, step as f64)).collect();
    let dir = with_series(&points);
    let store = open(dir.path());
    let series = &store.series(RunName(1)).unwrap()[0];
    let steps = |count| {
        let samples = store.samples(RunName(1), series, count).unwrap();
        samples.iter().map(|point| point.step).collect::<Vec<_>>()
    };
    assert_eq!(steps(4), [100, 433, 766, 1099]);
    assert_eq!(steps(0), [100, 1099]);
    assert_eq!((steps(1999).len(), steps(2000).len()), (1000, 2000));
}

#[test]
fn lists_read_no_points() {
    let dir = finished();
    let store = open(dir.path());
    store.conn.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM points").unwrap();
    assert_eq!(store.series(RunName(2)).unwrap()[0].count, 4);
    store.conn.execute_batch("DROP TABLE points").unwrap();
    store.run(RunName(2)).unwrap();
    assert_eq!(store.series(RunName(2)).unwrap()[0].last.value, 0.5.into());
}

#[test]
fn reported_artifact_keeps_out_digest() {
    let dir = finished();
    let artifacts = open(dir.path()).run(RunName(2)).unwrap().artifacts;
    let content = |path: &str| artifacts.iter().find(|a| a.path == path).unwrap().content.clone();
    assert_eq!(
        content("models/a.mpk"),
        Some(("file".into(), Digest::of(b"models/a.mpk").to_string()))
    );
    assert_eq!(content("plots/x.png"), None);
}

#[test]
fn invalid_values_are_errors() {
    let statements = [
        "UPDATE runs SET status = 'odd'",
        "UPDATE runs SET uid = '12'",
        "UPDATE runs SET kind = 'odd'",
        "UPDATE runs SET parent = 'odd'",
        "UPDATE runs SET lifecycle = 'odd'",
        "UPDATE runs SET command = '{'",
        "UPDATE params SET value = '{'",
        "UPDATE stages SET outcome = 'odd'",
        "UPDATE stages SET stage = '../x' WHERE stage = 'train'",
        "UPDATE stages SET reasons = '7'",
        "UPDATE stages SET failure = '{' WHERE stage = 'train'",
        "UPDATE metrics SET stage = '../x'",
    ];
    for sql in statements {
        let dir = tempfile::tempdir().unwrap();
        record(dir.path(), &first());
        let store = open(dir.path());
        store.conn.execute(sql, []).unwrap();
        let error = store.run(RunName(1)).unwrap_err();
        assert!(error.what.starts_with("`runs/runs.db` contains an invalid"), "{sql}: {error}");
    }
}

#[test]
fn deleting_a_run_cascades() {
    let dir = finished();
    let store = open(dir.path());
    log_as_client(&store);
    store.conn.execute("INSERT INTO tags VALUES (2, 'key', 'value')", []).unwrap();
    store.conn.execute("DELETE FROM runs WHERE number = 2", []).unwrap();
    let points = store.conn.query_row("SELECT count(*) FROM points", [], |row| row.get(0));
    assert_eq!(points, Ok(0));
    for table in [
        "params",
        "tags",
        "stages",
        "metrics",
        "series",
        "artifacts",
        "run_inputs",
        "run_models",
        "model_metrics",
    ] {
        let left = format!("SELECT count(*) FROM {table} WHERE run = 2");
        let left: i64 = store.conn.query_row(&left, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

/// Adds what MLflow's clients log to a finished run.
fn log_as_client(store: &Store) {
    let rows = "
        INSERT INTO params (run, stage, key, value) VALUES (2, 'train', 'lr', '\"0.1\"'),
            (2, '', 'depth', '\"3\"');
        INSERT INTO series (id, run, stage, key, count, last, last_step, last_at)
            VALUES (77, 2, '', 'loss', 1, 0.5, -3, 9);
        INSERT INTO points (series, step, at, nth, value) VALUES (77, -3, 9, 0, 0.5);
        INSERT INTO datasets VALUES (1, 'iris', 'd1', 'local', '{}', NULL, NULL);
        INSERT INTO run_inputs VALUES (2, 'iris', 'd1', 'train', '{}');
        INSERT INTO models (id, experiment, run, name, created, updated)
            VALUES ('m-1', 1, 2, 'net', 1, 2), ('m-2', 1, 1, 'other', 1, 2);
        INSERT INTO model_params VALUES ('m-1', 'depth', '3');
        INSERT INTO model_tags VALUES ('m-1', 'kind', 'net');
        INSERT INTO model_metrics (model, run, key, step, at, value)
            VALUES ('m-1', 2, 'loss', 0, 1, NULL);
        INSERT INTO run_models VALUES (2, 'output', 'm-1', 0), (2, 'input', 'm-2', 0);";
    store.conn.execute_batch(rows).unwrap();
}

#[test]
fn client_rows_move_along() {
    let dir = finished();
    let store = open(dir.path());
    log_as_client(&store);
    let rows = store.rows(RunName(2)).unwrap();
    let mut lines = Vec::new();
    store.write_points(RunName(2), &mut lines).unwrap().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Store::open(elsewhere.path(), std::time::Duration::ZERO).unwrap();
    let run = Arriving { number: RunName(5), rows: &rows, points: Some(&lines[..]) };
    other.insert([run], &std::collections::BTreeSet::new()).unwrap();
    let same = |table: &str, columns: &str| {
        let sql = format!("SELECT json_group_array(json_array({columns})) FROM {table}");
        let read =
            |store: &Store| store.conn.query_row(&sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(read(&other), read(&store), "{table}");
    };
    same("datasets", "name, digest, source_type, source");
    same("run_inputs", "name, digest, context, tags");
    same("models WHERE id = 'm-1'", "id, name, status, created");
    same("model_params", "model, key, value");
    same("model_tags", "model, key, value");
    same("model_metrics", "model, key, step, at, value");
    same("run_models WHERE role = 'output'", "role, model, step");
    same("series WHERE stage = ''", "key, count, last, last_step, last_at");
    assert_eq!(
        other.run(RunName(5)).unwrap().info.params,
        store.run(RunName(2)).unwrap().info.params
    );
    // The model of a run that did not come along is not known there.
    let used = "SELECT count(*) FROM run_models WHERE role = 'input'";
    assert_eq!(other.conn.query_row(used, [], |row| row.get(0)), Ok(0));
    let owners = "SELECT count(*) FROM models JOIN run_models ON model = id
                  WHERE models.run = 5 AND run_models.run = 5 AND experiment = 1";
    assert_eq!(other.conn.query_row(owners, [], |row| row.get(0)), Ok(1));
}

#[test]
fn client_rows_are_shown() {
    let dir = finished();
    let store = open(dir.path());
    log_as_client(&store);
    let run = store.run(RunName(2)).unwrap();
    let params: Vec<&str> = run.info.params.keys().map(ParamKey::as_str).collect();
    assert_eq!(params, ["depth", "seed", "source", "train.epochs", "train.lr"]);
    let series = store.series(RunName(2)).unwrap();
    assert_eq!((series[0].stage.name_of("loss"), series[0].last.step), ("loss".into(), -3));
    assert_eq!(points(&store, RunName(2))[0].step, -3);
    assert_eq!(store.samples(RunName(2), &series[0], 0).unwrap().len(), 1);
}
