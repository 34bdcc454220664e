//! MLflow's API: runs.

use serde_json::json;

use crate::mlflow::{Mlflow, value_of};
use crate::snapshot;

#[test]
fn new_run() {
    let mlflow = Mlflow::start();
    let body = json!({
        "experiment_id": "0",
        "user_id": "mira",
        "start_time": "1700000000000",
        "tags": [
            { "key": "mlflow.source.name", "value": "train.py" },
            { "key": "mlflow.source.git.commit", "value": "3f2a91c0" },
            { "key": "mlflow.note.content", "value": "wide" },
            { "key": "team", "value": "audio" },
        ],
        "run_name": "first",
    });
    let run = mlflow.post("runs/create", body)["run"].take();
    let id = run["info"]["run_id"].as_str().unwrap();
    assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit() && !c.is_uppercase()));
    assert_eq!(run["info"]["run_uuid"], id);
    assert_eq!(run["info"]["status"], "RUNNING");
    assert_eq!(run["info"]["start_time"], 1_700_000_000_000_i64);
    assert_eq!(run["info"].get("end_time"), None);
    assert_eq!(run["info"]["user_id"], "mira");
    assert_eq!(run["info"]["artifact_uri"], format!("mlflow-artifacts:/0/{id}/artifacts"));
    let tags = run["data"]["tags"].as_array().unwrap().iter();
    let keys: Vec<&str> = tags.map(|tag| tag["key"].as_str().unwrap()).collect();
    assert_eq!(
        keys,
        [
            "mlflow.note.content",
            "mlflow.runName",
            "mlflow.source.git.commit",
            "mlflow.source.name",
            "mlflow.user",
            "team"
        ]
    );
    assert_eq!(run["data"].get("metrics"), None);
    assert_eq!(run["data"].get("params"), None);
    assert_eq!(run["inputs"], json!({}));
    assert_eq!(mlflow.seen(id), run);
    snapshot!(mlflow.sandbox.ok(&["runs", "list", "--columns", "run,name,status,kind,note,commit,user"]), @"
    exit 0
    --- stdout
    run name status kind note commit user
    run-1 first running external wide 3f2a91c0 mira
    ");
}

#[test]
fn names_of_runs() {
    let mlflow = Mlflow::start();
    let create = |name: Option<&str>, tag: Option<&str>| {
        let tags: Vec<_> =
            tag.iter().map(|name| json!({ "key": "mlflow.runName", "value": name })).collect();
        let body = json!({ "experiment_id": "0", "run_name": name, "tags": tags });
        mlflow.post("runs/create", body)["run"]["info"]["run_name"].as_str().unwrap().to_owned()
    };
    assert_eq!(create(Some("a"), None), "a");
    assert_eq!(create(None, Some("b")), "b");
    assert_eq!(create(Some("c"), Some("c")), "c");
    assert_eq!(create(Some("a"), None), "a");
    let random = create(None, None);
    assert_eq!(random.split('-').count(), 3, "{random}");
    let both = json!({
        "experiment_id": "0", "run_name": "a",
        "tags": [{ "key": "mlflow.runName", "value": "b" }],
    });
    assert_eq!(mlflow.refused("runs/create", both).0, "INVALID_PARAMETER_VALUE");
    // Clients may give several runs one name.
    let done = mlflow.sandbox.repro(&["runs", "show", "a"]);
    snapshot!(done, @"
    exit 2
    --- stderr
    error: `a` is the name of several runs: run-4, run-1
     hint: use `run-4`, for example
    ");
    // The name is a tag, and the tag is the name.
    let run = mlflow.run();
    mlflow.post("runs/set-tag", json!({ "run_id": run, "key": "mlflow.runName", "value": "x" }));
    assert_eq!(mlflow.seen(&run)["info"]["run_name"], "x");
    mlflow.post("runs/update", json!({ "run_id": run, "run_name": "y" }));
    let seen = mlflow.seen(&run);
    assert_eq!(seen["info"]["run_name"], "y");
    assert_eq!(value_of(&seen["data"]["tags"], "mlflow.runName"), Some(&json!("y")));
}

#[test]
fn missing_start_is_1970() {
    let mlflow = Mlflow::start();
    let run = mlflow.post("runs/create", json!({ "experiment_id": "0" }))["run"].take();
    assert_eq!(run["info"]["start_time"], 0);
    for body in [json!({}), json!({ "experiment_id": "x" })] {
        assert_eq!(mlflow.refused("runs/create", body).0, "INVALID_PARAMETER_VALUE");
    }
}

#[test]
fn states() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let list = || mlflow.sandbox.ok(&["runs", "list", "--csv", "--columns", "status,took"]).stdout;
    for (status, seen, ours) in [
        (json!("FINISHED"), "FINISHED", "ok"),
        (json!("FAILED"), "FAILED", "failed"),
        (json!("KILLED"), "KILLED", "interrupted"),
        (json!(3), "FINISHED", "ok"),
        (json!("NOT_A_STATUS"), "FINISHED", "ok"),
        (json!("SCHEDULED"), "SCHEDULED", "scheduled"),
        (json!("RUNNING"), "RUNNING", "running"),
    ] {
        let body = json!({ "run_id": run, "status": status });
        let answer = mlflow.post("runs/update", body);
        assert_eq!(answer["run_info"]["status"], seen, "{status}");
        assert!(list().contains(ours), "{status}");
    }
    let body = json!({ "run_id": run, "status": "FINISHED", "end_time": 3500 });
    let answer = mlflow.post("runs/update", body);
    assert_eq!(answer["run_info"]["end_time"], 3500);
    assert_eq!(list(), "status,took\nok,2.5\n");
    // A run that has ended still takes values.
    let point = json!({ "run_id": run, "key": "a", "value": 1, "timestamp": 1 });
    mlflow.post("runs/log-metric", point);
    mlflow.post("runs/log-parameter", json!({ "run_id": run, "key": "a", "value": "1" }));
}

#[test]
fn deleted_runs_are_read_only() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let id = json!({ "run_id": run });
    for _ in 0..2 {
        mlflow.post("runs/delete", id.clone());
    }
    assert_eq!(mlflow.seen(&run)["info"]["lifecycle_stage"], "deleted");
    let body = json!({
        "run_id": run, "key": "a", "value": "1", "timestamp": 1, "status": "FINISHED",
    });
    for action in ["log-metric", "log-parameter", "set-tag", "delete-tag", "log-batch", "update"] {
        let (code, message) = mlflow.refused(&format!("runs/{action}"), body.clone());
        assert_eq!(code, "INVALID_PARAMETER_VALUE", "{action}");
        assert!(message.contains("must be in the 'active' state"), "{message}");
    }
    for _ in 0..2 {
        mlflow.post("runs/restore", id.clone());
    }
    mlflow.post("runs/log-metric", body);
}

#[test]
fn runs_that_do_not_exist() {
    let mlflow = Mlflow::start();
    let unknown = "0".repeat(32);
    for (id, code) in [
        (unknown.as_str(), "RESOURCE_DOES_NOT_EXIST"),
        ("run-1", "RESOURCE_DOES_NOT_EXIST"),
        ("../x", "INVALID_PARAMETER_VALUE"),
        ("", "INVALID_PARAMETER_VALUE"),
    ] {
        assert_eq!(mlflow.get_refused(&format!("runs/get?run_id={id}")).0, code, "{id}");
        let body = json!({ "run_id": id, "key": "a", "value": "1", "timestamp": 1 });
        for action in ["log-metric", "set-tag", "log-batch", "delete", "restore", "update"] {
            assert_eq!(mlflow.refused(&format!("runs/{action}"), body.clone()).0, code, "{id}");
        }
    }
}

#[test]
fn parents() {
    let mlflow = Mlflow::start();
    let (parent, child) = (mlflow.run(), mlflow.run());
    let above = |run: &str, value: &str| {
        let tag = json!({ "run_id": run, "key": "mlflow.parentRunId", "value": value });
        mlflow.post("runs/set-tag", tag);
    };
    above(&child, &parent);
    let tags = mlflow.seen(&child)["data"]["tags"].take();
    assert_eq!(value_of(&tags, "mlflow.parentRunId"), Some(&json!(parent)));
    let args = ["runs", "list", "--csv", "--columns", "run", "--filter", "parent = 'run-1'"];
    assert_eq!(mlflow.sandbox.ok(&args).stdout, "run\nrun-2\n");
    // No run is above itself.
    above(&parent, &child);
    above(&parent, &parent);
    above(&parent, "not an identity");
    mlflow.sandbox.ok(&["runs", "list"]);
    mlflow.sandbox.ok(&["runs", "show", "run-1"]);
}

#[test]
fn killed_server_loses_nothing() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    for step in 0..20 {
        let point =
            json!({ "run_id": run, "key": "a", "value": step, "timestamp": 1, "step": step });
        mlflow.post("runs/log-metric", point);
    }
    // A dropped server is killed.
    let Mlflow { sandbox, server } = mlflow;
    drop(server);
    let mlflow = Mlflow::in_project(sandbox);
    assert_eq!(mlflow.history(&run, "a").len(), 20);
}
