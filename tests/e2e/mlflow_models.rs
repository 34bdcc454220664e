//! Logged models of MLflow's clients over HTTP, from their creation to a search.

use serde_json::{Value, json};

use crate::mlflow::{Mlflow, value_of};

fn create(mlflow: &Mlflow, body: Value) -> String {
    let answer = mlflow.post("logged-models", body);
    answer["model"]["info"]["model_id"].as_str().unwrap().to_owned()
}

/// Sends a request other than POST that must succeed.
fn change(mlflow: &Mlflow, method: &str, path: &str, body: &Value) -> Value {
    let (status, answer) = mlflow.server.json(method, &format!("/api/2.0/mlflow/{path}"), body);
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

#[test]
fn versions_of_a_model() {
    let mlflow = Mlflow::start();
    let id = create(&mlflow, json!({ "experiment_id": "0", "name": "net" }));
    mlflow.post("registered-models/create", json!({ "name": "genre" }));
    let tag = || {
        let model = mlflow.get(&format!("logged-models/{id}"))["model"].take();
        value_of(&model["info"]["tags"], "mlflow.modelVersions").cloned()
    };
    assert_eq!(tag(), None);
    for version in ["1", "2"] {
        let source = format!("models:/{id}");
        let new = json!({ "name": "genre", "source": source, "model_id": id });
        let made = mlflow.post("model-versions/create", new);
        assert_eq!(made["model_version"]["version"], version);
    }
    let both = r#"[{"name":"genre","version":"1"},{"name":"genre","version":"2"}]"#;
    assert_eq!(tag(), Some(json!(both)));
    // The fluent API adds the version itself.
    let twice = json!({ "tags": [{ "key": "mlflow.modelVersions", "value": "[1, 2, 3]" }] });
    change(&mlflow, "PATCH", &format!("logged-models/{id}/tags"), &twice);
    assert_eq!(tag(), Some(json!(both)));
}

#[test]
fn life_of_a_model() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let pairs = |key: &str, value: &str| json!([{ "key": key, "value": value }]);
    let body = json!({ "experiment_id": "0", "name": "net", "model_type": "onnx",
                       "source_run_id": run, "params": pairs("lr", "0.1"),
                       "tags": pairs("team", "a") });
    let id = create(&mlflow, body);
    assert!(id.strip_prefix("m-").unwrap().len() == 32, "{id}");
    let path = format!("logged-models/{id}");
    let model = mlflow.get(&path)["model"].clone();
    assert_eq!(model["info"]["status"], "LOGGED_MODEL_PENDING");
    assert_eq!(model["info"]["artifact_uri"], format!("mlflow-artifacts:/0/models/{id}/artifacts"));
    assert_eq!(model["info"]["source_run_id"], run);
    assert_eq!(model["data"]["params"], pairs("lr", "0.1"));

    let ready = json!({ "model_id": id, "status": "LOGGED_MODEL_READY" });
    for _ in 0..2 {
        let answer = change(&mlflow, "PATCH", &path, &ready);
        assert_eq!(answer["model"]["info"]["status"], "LOGGED_MODEL_READY");
        let outputs = json!({ "run_id": run, "models": [{ "model_id": id, "step": 2 }] });
        mlflow.post("runs/outputs", outputs);
        let point = json!({ "run_id": run, "key": "acc", "value": 0.5, "timestamp": 7,
                            "model_id": id });
        mlflow.post("runs/log-metric", point);
        mlflow.post(&format!("{path}/params"), json!({ "params": pairs("depth", "3") }));
        change(&mlflow, "PATCH", &format!("{path}/tags"), &json!({ "tags": pairs("team", "b") }));
    }
    let model = mlflow.get(&path)["model"].clone();
    let point = json!({ "key": "acc", "value": 0.5, "timestamp": 7, "step": 0, "model_id": id,
                        "run_id": run });
    assert_eq!(model["data"]["metrics"], json!([point]));
    assert_eq!(model["info"]["tags"], pairs("team", "b"));
    let found = mlflow.get(&format!("runs/get?run_id={run}"));
    let outputs = json!({ "model_outputs": [{ "model_id": id, "step": 2 }] });
    assert_eq!(found["run"]["outputs"], outputs);
    assert_eq!(found["run"]["data"]["metrics"][0]["key"], "acc");

    change(&mlflow, "DELETE", &format!("{path}/tags/team"), &json!({}));
    change(&mlflow, "DELETE", &path, &json!({}));
    change(&mlflow, "DELETE", &path, &json!({}));
    assert_eq!(mlflow.get_refused(&path).0, "RESOURCE_DOES_NOT_EXIST");
    assert!(mlflow.get(&format!("{path}?allow_deleted=true")).is_object());
    let all = json!({ "experiment_ids": ["0"] });
    assert_eq!(mlflow.post("logged-models/search", all), json!({}));
}

#[test]
fn models_are_found() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    for (name, lr, acc) in [("a", "0.1", 0.5), ("b", "0.2", 0.75), ("c", "0.2", 0.25)] {
        let params = json!([{ "key": "lr", "value": lr }]);
        let id = create(&mlflow, json!({ "experiment_id": "0", "name": name, "params": params }));
        let points = json!([{ "key": "acc", "value": acc, "timestamp": 1, "model_id": id,
                              "dataset_name": name, "dataset_digest": "d" }]);
        mlflow.post("runs/log-batch", json!({ "run_id": run, "metrics": points }));
    }
    let names = |answer: &Value| {
        let found = answer["models"].as_array().cloned().unwrap_or_default();
        found.iter().map(|one| one["info"]["name"].as_str().unwrap().to_owned()).collect::<String>()
    };
    let by_acc = json!([{ "field_name": "metrics.acc", "ascending": false }]);
    let on_a = json!([{ "dataset_name": "a" }]);
    for (filter, order, datasets, expected) in [
        ("params.lr = 0.2", &by_acc, Value::Null, "bc"),
        ("metrics.acc >= 0.5", &by_acc, Value::Null, "ba"),
        ("name IN ('a', 'c') AND status = '1'", &by_acc, Value::Null, "ac"),
        ("", &by_acc, on_a, "a"),
    ] {
        let body = json!({ "experiment_ids": ["0"], "filter": filter, "order_by": order,
                           "datasets": datasets });
        assert_eq!(names(&mlflow.post("logged-models/search", body)), expected, "{filter}");
    }
    let mut body = json!({ "experiment_ids": ["0"], "order_by": by_acc, "max_results": 2 });
    let page = mlflow.post("logged-models/search", body.clone());
    body["page_token"] = page["next_page_token"].clone();
    let last = mlflow.post("logged-models/search", body.clone());
    assert_eq!((names(&page).as_str(), names(&last).as_str()), ("ba", "c"));
    body["filter"] = json!("params.lr = 0.2");
    mlflow.refused("logged-models/search", body);
}

#[test]
fn mistakes_about_models() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    for (body, code) in [
        (json!({}), "INVALID_PARAMETER_VALUE"),
        (json!({ "experiment_id": "x" }), "INVALID_PARAMETER_VALUE"),
        (json!({ "experiment_id": "99" }), "RESOURCE_DOES_NOT_EXIST"),
        (json!({ "experiment_id": "0", "name": "a/b" }), "INVALID_PARAMETER_VALUE"),
        (json!({ "experiment_id": "0", "name": "a.b" }), "INVALID_PARAMETER_VALUE"),
        (json!({ "experiment_id": "0", "params": [{ "value": "x" }] }), "INVALID_PARAMETER_VALUE"),
    ] {
        assert_eq!(mlflow.refused("logged-models", body.clone()).0, code, "{body}");
    }
    let id = create(&mlflow, json!({ "experiment_id": "0" }));
    let other = json!([{ "key": "a", "value": "1" }, { "key": "a", "value": "2" }]);
    mlflow.refused(&format!("logged-models/{id}/params"), json!({ "params": other }));
    for (body, code) in [
        (json!({ "run_id": run }), "INVALID_PARAMETER_VALUE"),
        (json!({ "run_id": run, "models": [{ "model_id": "m-1" }] }), "RESOURCE_DOES_NOT_EXIST"),
        (
            json!({ "run_id": run, "models": [{ "model_id": id, "step": -1 }] }),
            "INVALID_PARAMETER_VALUE",
        ),
    ] {
        assert_eq!(mlflow.refused("runs/outputs", body.clone()).0, code, "{body}");
    }
    for datasets in [
        json!([{}]),
        json!([{ "dataset": { "name": "a", "digest": "", "source_type": "t", "source": "s" } }]),
        json!([{ "dataset": { "name": "a", "digest": "0".repeat(37), "source_type": "t",
                              "source": "s" } }]),
        json!("x"),
    ] {
        let body = json!({ "run_id": run, "datasets": datasets });
        assert_eq!(mlflow.refused("runs/log-inputs", body).0, "INVALID_PARAMETER_VALUE");
    }
    for body in [
        json!({ "experiment_ids": ["0"], "filter": "tags.a IS NULL" }),
        json!({ "experiment_ids": ["0"], "order_by": [{ "field_name": "params.a" }] }),
        json!({ "experiment_ids": ["0"], "order_by": [{}] }),
        json!({ "experiment_ids": ["0"], "datasets": [{}] }),
    ] {
        mlflow.refused("logged-models/search", body);
    }
    let point = json!({ "run_id": run, "key": "a", "value": 1, "timestamp": 1, "model_id": "m-1" });
    assert_eq!(mlflow.refused("runs/log-metric", point).0, "INVALID_PARAMETER_VALUE");
    // Nothing of a refused request is kept.
    let found = mlflow.get(&format!("runs/get?run_id={run}"));
    assert_eq!(found["run"]["data"].get("metrics"), None);
}

/// A run of another server, and a list of models as clients of MLflow 2 keep it.
#[test]
fn models_of_other_clients() {
    let mlflow = Mlflow::start();
    let unknown = "f".repeat(32);
    create(&mlflow, json!({ "experiment_id": "0", "name": "net", "source_run_id": unknown }));
    let run = mlflow.run();
    let model = |path: &str| {
        json!({ "artifact_path": path, "flavors": {}, "run_id": run, "utc_time_created": "t",
                "signature": {} })
    };
    let body = |model: Value| json!({ "run_id": run, "model_json": model.to_string() });
    for path in ["a", "b", "b"] {
        assert_eq!(mlflow.post("runs/log-model", body(model(path))), json!({}));
    }
    let kept = value_of(&mlflow.seen(&run)["data"]["tags"], "mlflow.log-model.history").cloned();
    let kept: Value = serde_json::from_str(kept.unwrap().as_str().unwrap()).unwrap();
    let paths = kept.as_array().unwrap().iter().map(|one| &one["artifact_path"]);
    assert_eq!(paths.collect::<Vec<_>>(), ["a", "b"]);
    assert!(kept[0].get("signature").is_none());
    let (_, message) = mlflow.refused("runs/log-model", body(json!({ "run_id": run })));
    let lacking = "{'artifact_path', 'flavors', 'utc_time_created'}";
    assert_eq!(message, format!("Model json is missing mandatory fields: {lacking}"));
    let (_, message) =
        mlflow.refused("runs/log-model", json!({ "run_id": run, "model_json": "x" }));
    assert_eq!(message, "Malformed model info. \n x \n is not a valid JSON.");
}
