//! MLflow's API: experiments.

use serde_json::json;

use crate::mlflow::{Mlflow, value_of};

#[test]
fn first_experiment_exists() {
    let mlflow = Mlflow::start();
    let found = mlflow.get("experiments/get?experiment_id=0")["experiment"].take();
    assert_eq!(found["experiment_id"], "0");
    assert_eq!(found["name"], "Default");
    assert_eq!(found["artifact_location"], "mlflow-artifacts:/0");
    assert_eq!(found["lifecycle_stage"], "active");
    assert_eq!(found.get("tags"), None);
    let by_name = mlflow.get("experiments/get-by-name?experiment_name=Default");
    assert_eq!(by_name["experiment"], found);
    // Reading has made nothing.
    assert!(!mlflow.sandbox.exists("runs"));
}

#[test]
fn experiments_that_do_not_exist() {
    let mlflow = Mlflow::start();
    for (path, code) in [
        ("experiments/get?experiment_id=7", "RESOURCE_DOES_NOT_EXIST"),
        ("experiments/get?experiment_id=abc", "INVALID_PARAMETER_VALUE"),
        ("experiments/get?experiment_id=", "INVALID_PARAMETER_VALUE"),
        ("experiments/get-by-name?experiment_name=x", "RESOURCE_DOES_NOT_EXIST"),
        ("experiments/get-by-name", "INVALID_PARAMETER_VALUE"),
    ] {
        assert_eq!(mlflow.get_refused(path).0, code, "{path}");
    }
    let unknown = json!({ "experiment_id": "7", "new_name": "x", "key": "a", "value": "b" });
    for action in ["delete", "restore", "update", "set-experiment-tag", "delete-experiment-tag"] {
        let (code, _) = mlflow.refused(&format!("experiments/{action}"), unknown.clone());
        assert_eq!(code, "RESOURCE_DOES_NOT_EXIST", "{action}");
    }
    let (code, _) = mlflow.refused("runs/create", json!({ "experiment_id": "7" }));
    assert_eq!(code, "RESOURCE_DOES_NOT_EXIST");
}

#[test]
fn names_are_taken_once() {
    let mlflow = Mlflow::start();
    let body = json!({ "name": "größe 1", "tags": [{ "key": "team", "value": "audio" }] });
    assert_eq!(mlflow.post("experiments/create", body.clone()), json!({ "experiment_id": "1" }));
    let found = mlflow.get("experiments/get?experiment_id=1")["experiment"].take();
    assert_eq!(value_of(&found["tags"], "team"), Some(&json!("audio")));
    assert!(found["creation_time"].as_i64() > Some(1_600_000_000_000));
    for name in ["größe 1", "Default", "default"] {
        let (code, _) = mlflow.refused("experiments/create", json!({ "name": name }));
        assert_eq!(code, "RESOURCE_ALREADY_EXISTS", "{name}");
    }
    // The name of a deleted one is taken as well. Asking twice is no mistake.
    for _ in 0..2 {
        mlflow.post("experiments/delete", json!({ "experiment_id": "1" }));
    }
    let (code, message) = mlflow.refused("experiments/create", body);
    assert_eq!(code, "RESOURCE_ALREADY_EXISTS");
    assert!(message.contains("deleted"), "{message}");
    for name in ["", &"x".repeat(501)] {
        mlflow.refused("experiments/create", json!({ "name": name }));
    }
    for location in ["runs:/x", "s3://a?b=c", "s3://a#b"] {
        mlflow.refused("experiments/create", json!({ "name": "x", "artifact_location": location }));
    }
}

#[test]
fn deleted_experiment_comes_back() {
    let mlflow = Mlflow::start();
    mlflow.post("experiments/create", json!({ "name": "x" }));
    let run = mlflow.post("runs/create", json!({ "experiment_id": "1" }));
    let run = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let id = json!({ "experiment_id": "1" });
    mlflow.post("experiments/delete", id.clone());
    let found = mlflow.get("experiments/get?experiment_id=1");
    assert_eq!(found["experiment"]["lifecycle_stage"], "deleted");
    assert_eq!(mlflow.seen(&run)["info"]["lifecycle_stage"], "deleted");
    for (path, body) in [
        ("runs/create", id.clone()),
        ("experiments/update", json!({ "experiment_id": "1", "new_name": "y" })),
        ("experiments/set-experiment-tag", json!({ "experiment_id": "1", "key": "a" })),
    ] {
        assert_eq!(mlflow.refused(path, body).0, "INVALID_PARAMETER_VALUE", "{path}");
    }
    for _ in 0..2 {
        mlflow.post("experiments/restore", id.clone());
    }
    assert_eq!(mlflow.seen(&run)["info"]["lifecycle_stage"], "active");
    mlflow.post("runs/create", id);
}

#[test]
fn renamed_and_tagged() {
    let mlflow = Mlflow::start();
    mlflow.post("experiments/create", json!({ "name": "x" }));
    for _ in 0..2 {
        mlflow.post("experiments/update", json!({ "experiment_id": "1", "new_name": "y" }));
        let tag = json!({ "experiment_id": "1", "key": "a/b", "value": "v".repeat(20_000) });
        mlflow.post("experiments/set-experiment-tag", tag);
    }
    mlflow.get("experiments/get-by-name?experiment_name=y");
    let taken = json!({ "experiment_id": "1", "new_name": "Default" });
    assert_eq!(mlflow.refused("experiments/update", taken).0, "RESOURCE_ALREADY_EXISTS");
    for (key, value) in [("a//b", "v".to_owned()), ("a", "v".repeat(20_001)), ("", String::new())] {
        let tag = json!({ "experiment_id": "1", "key": key, "value": value });
        mlflow.refused("experiments/set-experiment-tag", tag);
    }
    let tag = json!({ "experiment_id": "1", "key": "a/b" });
    mlflow.post("experiments/delete-experiment-tag", tag.clone());
    let (code, _) = mlflow.refused("experiments/delete-experiment-tag", tag);
    assert_eq!(code, "RESOURCE_DOES_NOT_EXIST");
}

#[test]
fn experiment_of_a_pipeline() {
    let sandbox =
        crate::sandbox::Sandbox::with("[pipeline]\nname = 'digits'\n\n[stages.a]\ncmd = 'true'\n");
    sandbox.ok(&["run"]);
    let mlflow = Mlflow::in_project(sandbox);
    let found = mlflow.get("experiments/get-by-name?experiment_name=digits");
    assert_eq!(found["experiment"]["experiment_id"], "1");
    assert!(found["experiment"]["creation_time"].as_i64() > Some(1_600_000_000_000));
}
