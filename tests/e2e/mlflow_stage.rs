//! MLflow's API: runs of a pipeline, and clients that work for one of its stages.

use serde_json::json;

use crate::mlflow::{Mlflow, value_of};
use crate::sandbox::Sandbox;

const PIPELINE: &str = "
[params]
train.epochs = 3

[stages.train]
cmd = 'true'
params = ['train.epochs']
";

/// Returns a server with one run of a pipeline, and the identity of that run.
fn recorded() -> (Mlflow, String) {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.ok(&["run"]);
    let mlflow = Mlflow::in_project(sandbox);
    let found = mlflow.post("runs/search", json!({ "experiment_ids": ["0"] }));
    let run = found["runs"][0]["info"]["run_id"].as_str().unwrap().to_owned();
    (mlflow, run)
}

fn of_stage(path: &str) -> String {
    format!("/stage/train/api/2.0/mlflow/{path}")
}

#[test]
fn pipeline_run_is_answered() {
    let (mlflow, run) = recorded();
    let seen = mlflow.seen(&run);
    assert_eq!(seen["info"]["status"], "FINISHED");
    assert_eq!(seen["info"]["run_name"], "run-1");
    assert_eq!(value_of(&seen["data"]["params"], "train.epochs"), Some(&json!("3")));
    // Logging the value that it has is no change.
    let param = |value: &str| json!({ "run_id": run, "key": "train.epochs", "value": value });
    mlflow.post("runs/log-parameter", param("3"));
    mlflow.refused("runs/log-parameter", param("4"));
    // The program that recorded the run knows how it ended and where it came from.
    mlflow.post("runs/update", json!({ "run_id": run, "status": "FAILED", "end_time": 5 }));
    let tag = json!({ "run_id": run, "key": "mlflow.source.name", "value": "x.py" });
    mlflow.post("runs/set-tag", tag);
    let seen = mlflow.seen(&run);
    assert_eq!(seen["info"]["status"], "FINISHED");
    assert_ne!(value_of(&seen["data"]["tags"], "mlflow.source.name"), Some(&json!("x.py")));
    assert!(mlflow.sandbox.ok(&["runs", "show"]).stdout.starts_with("run-1  ok"));
}

#[test]
fn stage_owns_what_it_logs() {
    let (mlflow, run) = recorded();
    let batch = json!({
        "run_id": run,
        "metrics": [{ "key": "loss", "value": 0.5, "timestamp": 7, "step": 2 }],
        "params": [{ "key": "epochs", "value": "30" }, { "key": "lr", "value": "0.1" }],
        "tags": [{ "key": "team", "value": "audio" }, { "key": "mlflow.runName", "value": "x" }],
    });
    for _ in 0..2 {
        mlflow.post(&of_stage("runs/log-batch"), batch.clone());
    }
    let seen = mlflow.seen(&run)["data"].take();
    assert_eq!(value_of(&seen["metrics"], "train.loss"), Some(&json!(0.5)));
    assert_eq!(value_of(&seen["params"], "train.lr"), Some(&json!("0.1")));
    // The pipeline has a param of that name.
    assert_eq!(value_of(&seen["params"], "train.epochs"), Some(&json!("3")));
    assert_eq!(value_of(&seen["tags"], "train.team"), Some(&json!("audio")));
    assert_eq!(value_of(&seen["tags"], "mlflow.runName"), Some(&json!("run-1")));
    // The stage sees it by the names that it used.
    let own = mlflow.get(&of_stage(&format!("runs/get?run_id={run}")))["run"]["data"].take();
    assert_eq!(value_of(&own["metrics"], "loss"), Some(&json!(0.5)));
    assert_eq!(value_of(&own["params"], "lr"), Some(&json!("0.1")));
    assert_eq!(value_of(&own["tags"], "team"), Some(&json!("audio")));
    assert_eq!(value_of(&own["tags"], "mlflow.runName"), Some(&json!("x")));
    let history = of_stage(&format!("metrics/get-history?run_id={run}&metric_key=loss"));
    assert_eq!(mlflow.get(&history)["metrics"][0]["step"], 2);
    let done = mlflow.sandbox.ok(&["metrics", "show"]);
    assert!(done.stdout.contains("train.loss"), "{done}");
    let tag = json!({ "run_id": run, "key": "team" });
    mlflow.post(&of_stage("runs/delete-tag"), tag.clone());
    mlflow.refused(&of_stage("runs/delete-tag"), tag);
}

#[test]
fn stage_owns_its_files() {
    let (mlflow, run) = recorded();
    let base = format!("/run/{run}/stage/train");
    let own = mlflow.get(&format!("{base}/api/2.0/mlflow/runs/get?run_id={run}"));
    let root = own["run"]["info"]["artifact_uri"].as_str().unwrap();
    assert_eq!(root, format!("mlflow-artifacts:/0/{run}/artifacts/train"));
    // A client names files by that root.
    let proxy = "api/2.0/mlflow-artifacts/artifacts";
    let place = root.strip_prefix("mlflow-artifacts:/").unwrap();
    let target = format!("{base}/{proxy}/{place}/model/weights.bin");
    assert_eq!(mlflow.server.request("PUT", &target, b"12345").status, 200);
    let other = format!("/{proxy}/0/{run}/artifacts/model/weights.bin");
    assert_eq!(mlflow.server.request("PUT", &other, b"1").status, 200);
    let listed = |base: &str, path: &str| {
        let query = format!("artifacts/list?run_id={run}&path={path}");
        let answer = mlflow.get(&format!("{base}/api/2.0/mlflow/{query}"));
        let files = answer["files"].as_array().cloned().unwrap_or_default();
        let path = |file: &serde_json::Value| file["path"].as_str().unwrap().to_owned();
        (answer["root_uri"].as_str().unwrap().to_owned(), files.iter().map(path).collect())
    };
    let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(listed(&base, ""), (root.to_owned(), files(&["model"])));
    assert_eq!(listed(&base, "model"), (root.to_owned(), files(&["model/weights.bin"])));
    let whole = format!("mlflow-artifacts:/0/{run}/artifacts");
    assert_eq!(listed("", ""), (whole.clone(), files(&["model", "train"])));
    assert_eq!(listed("", "train/model"), (whole, files(&["train/model/weights.bin"])));
    let artifacts = mlflow.get("/api/runs/run-1/artifacts")["artifacts"].take();
    let shown = artifacts.as_array().unwrap().iter();
    let shown = shown.map(|one| (one["stage"].as_str().unwrap(), one["bytes"].as_u64().unwrap()));
    assert_eq!(shown.collect::<Vec<_>>(), [("", 1), ("train", 5)]);
    mlflow.sandbox.ok(&["get", "run-1:train/model/weights.bin", "-o", "weights.bin"]);
    assert_eq!(mlflow.sandbox.read("weights.bin"), "12345");
    assert_eq!(mlflow.server.request("DELETE", &target, b"").status, 200);
    assert_eq!(listed(&base, "model").1, files(&[]));
    assert_eq!(listed("", "model").1, files(&["model/weights.bin"]));
}

#[test]
fn further_runs_of_a_stage() {
    let (mlflow, run) = recorded();
    let create = format!("/run/{run}/stage/train/api/2.0/mlflow/runs/create");
    let made = mlflow.post(&create, json!({ "experiment_id": "0", "start_time": 1 }));
    let tags = &made["run"]["data"]["tags"];
    assert_eq!(value_of(tags, "mlflow.parentRunId"), Some(&json!(run)));
    let below = json!([{ "key": "mlflow.parentRunId", "value": made["run"]["info"]["run_id"] }]);
    let nested = json!({ "experiment_id": "0", "start_time": 2, "tags": below });
    let nested = mlflow.post(&create, nested);
    let tags = &nested["run"]["data"]["tags"];
    assert_eq!(value_of(tags, "mlflow.parentRunId"), Some(&below[0]["value"]));
    // The latest run is that of the pipeline.
    assert!(mlflow.sandbox.ok(&["runs", "show"]).stdout.starts_with("run-1  ok"));
    // A client may have forgotten its run.
    mlflow.sandbox.ok(&["runs", "rm", "run-2"]);
}

#[test]
fn stage_cannot_end_run() {
    let (mlflow, run) = recorded();
    let body = json!({ "run_id": run, "status": "FAILED", "end_time": 5, "run_name": "x" });
    let answer = mlflow.post(&of_stage("runs/update"), body);
    assert_eq!(answer["run_info"]["status"], "FINISHED");
    assert_eq!(answer["run_info"]["run_name"], "run-1");
    for action in ["delete", "restore"] {
        mlflow.refused(&of_stage(&format!("runs/{action}")), json!({ "run_id": run }));
    }
    let path = format!("/stage/-x/api/2.0/mlflow/runs/get?run_id={run}");
    assert_eq!(mlflow.get_refused(&path).0, "INVALID_PARAMETER_VALUE");
}
