//! Searches of MLflow's clients over HTTP: what is accepted, refused, found and answered.

use serde_json::{Value, json};

use crate::mlflow::Mlflow;

/// Three runs with metrics, params, tags and datasets.
fn with_runs() -> Mlflow {
    let mlflow = Mlflow::start();
    for (name, started, metric, param) in [
        ("first", 1_000, json!(0.5), "10"),
        ("second", 2_000, json!("NaN"), "9"),
        ("third", 3_000, json!(2), "a"),
    ] {
        let run = json!({ "experiment_id": "0", "run_name": name, "start_time": started });
        let answer = mlflow.post("runs/create", run);
        let id = answer["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        let metrics = [json!({ "key": "val/loss", "value": metric, "timestamp": 1, "step": 3 })];
        let params = [json!({ "key": "lr", "value": param })];
        let batch = json!({ "run_id": id, "metrics": metrics, "params": params });
        mlflow.post("runs/log-batch", batch);
        if name == "first" {
            let dataset =
                json!({ "name": "iris", "digest": "d", "source_type": "t", "source": "s" });
            let tags = [json!({ "key": "mlflow.data.context", "value": "training" })];
            let datasets = [json!({ "dataset": dataset, "tags": tags })];
            let inputs = json!({ "run_id": id, "datasets": datasets });
            mlflow.post("runs/log-inputs", inputs.clone());
            mlflow.post("runs/log-inputs", inputs);
        }
    }
    mlflow
}

fn search(filter: &str, order: &[&str]) -> Value {
    json!({ "experiment_ids": ["0"], "filter": filter, "order_by": order })
}

fn names(answer: &Value) -> Vec<&str> {
    let runs = answer["runs"].as_array().map_or(&[][..], Vec::as_slice);
    runs.iter().map(|run| run["info"]["run_name"].as_str().unwrap()).collect()
}

#[test]
fn runs_are_found_and_ordered() {
    let mlflow = with_runs();
    for (filter, order, expected) in [
        ("", &[][..], &["third", "second", "first"][..]),
        ("metrics.`val/loss` > 0", &[], &["third", "first"]),
        ("metrics.`val/loss` != 2 AND", &["metrics.\"val/loss\""], &["first", "second"]),
        ("", &["metrics.`val/loss` DESC"], &["third", "first", "second"]),
        ("", &["params.lr"], &["first", "second", "third"]),
        ("run_name LIKE 's%'", &[], &["second"]),
        ("datasets.context = 'training'", &[], &["first"]),
        ("status = 'RUNNING'", &["start_time"], &["first", "second", "third"]),
        ("params.none = 'x'", &[], &[]),
    ] {
        let answer = mlflow.post("runs/search", search(filter, order));
        assert_eq!(names(&answer), expected, "{filter} {order:?}");
    }
    // No experiment and unknown ones have no runs.
    assert_eq!(mlflow.post("runs/search", json!({})), json!({}));
    let unknown = json!({ "experiment_ids": ["77"] });
    assert_eq!(mlflow.post("/ajax-api/2.0/mlflow/runs/search", unknown), json!({}));
}

#[test]
fn whole_runs_are_answered() {
    let mlflow = with_runs();
    let answer = mlflow.post("runs/search", search("run_name = 'first'", &[]));
    let run = &answer["runs"][0];
    assert_eq!(run["info"]["run_id"], run["info"]["run_uuid"]);
    assert_eq!(run["info"]["lifecycle_stage"], "active");
    assert_eq!(run["info"].get("end_time"), None);
    let metric = json!({ "key": "val/loss", "value": 0.5, "timestamp": 1, "step": 3 });
    assert_eq!(run["data"]["metrics"], json!([metric]));
    assert_eq!(run["data"]["params"], json!([{ "key": "lr", "value": "10" }]));
    assert_eq!(run["data"]["tags"], json!([{ "key": "mlflow.runName", "value": "first" }]));
    let dataset = json!({ "name": "iris", "digest": "d", "source_type": "t", "source": "s" });
    let tags = json!([{ "key": "mlflow.data.context", "value": "training" }]);
    let inputs = json!({ "dataset_inputs": [{ "tags": tags, "dataset": dataset }] });
    assert_eq!((&run["inputs"], &run["outputs"]), (&inputs, &json!({})));
    let second = mlflow.post("runs/search", search("run_name = 'second'", &[]));
    assert_eq!(second["runs"][0]["data"]["metrics"][0]["value"], "NaN");
    for (ids, why) in [(0, "at least one experiment_id"), (21, "more than 20 experiment_ids")] {
        let body = json!({ "experiment_ids": vec!["0"; ids] });
        let (code, message) = mlflow.refused("experiments/search-datasets", body);
        assert_eq!(code, "INVALID_PARAMETER_VALUE");
        assert!(message.contains(why), "{message}");
    }
    let summaries = mlflow.post("experiments/search-datasets", json!({ "experiment_ids": ["0"] }));
    let summary =
        json!({ "experiment_id": "0", "name": "iris", "digest": "d", "context": "training" });
    assert_eq!(summaries["dataset_summaries"], json!([summary]));
}

#[test]
fn mistakes_of_searches() {
    let mlflow = Mlflow::start();
    let long = format!("params.a LIKE '{}'", "%a".repeat(40_000));
    for body in [
        search("metrics.a > 1 OR metrics.b > 1", &[]),
        search("PARAMS.a = 'x'", &[]),
        search("metrics.val/loss < 1", &[]),
        search(" ", &[]),
        search("experiment_id = '0'", &[]),
        search(&long, &[]),
        search(&"metrics.a > 1 ".repeat(300), &[]),
        search("", &["metrics.a DESC NULLS LAST"]),
        search("", &["metrics.a", "metrics.a DESC"]),
        search("", &["experiment_id"]),
        json!({ "experiment_ids": ["x"] }),
        json!({ "experiment_ids": "0" }),
        json!({ "experiment_ids": ["0"], "max_results": 0 }),
        json!({ "experiment_ids": ["0"], "max_results": -1 }),
        json!({ "experiment_ids": ["0"], "max_results": 50_001 }),
        json!({ "experiment_ids": ["0"], "page_token": "x" }),
        json!({ "experiment_ids": ["0"], "page_token": "eyJvZmZzZXQiOiAxfQ==" }),
        json!({ "experiment_ids": ["0"], "filter": 5 }),
        json!({ "experiment_ids": ["0"], "order_by": [5] }),
    ] {
        let (code, message) = mlflow.refused("runs/search", body);
        assert_eq!(code, "INVALID_PARAMETER_VALUE", "{message}");
    }
    let (_, message) = mlflow.refused("runs/search", search("metrics.a = 'x'", &[]));
    assert_eq!(message, "filter, column 13: expected a number, found the text `x`");
    for body in [
        json!({}),
        json!({ "max_results": 0 }),
        json!({ "max_results": 9, "filter": "attributes.name = 'x'" }),
        json!({ "max_results": 9, "filter": "name IN ('x')" }),
        json!({ "max_results": 9, "order_by": ["start_time"] }),
        json!({ "max_results": 9, "order_by": ["tags.a"] }),
    ] {
        let (code, message) = mlflow.refused("experiments/search", body);
        assert_eq!(code, "INVALID_PARAMETER_VALUE", "{message}");
    }
}

#[test]
fn pages_while_runs_arrive() {
    let mlflow = with_runs();
    let page = |token: &str| {
        let body = json!({ "experiment_ids": ["0"], "max_results": 1, "page_token": token,
                           "order_by": ["metrics.`val/loss`"] });
        mlflow.post("runs/search", body)
    };
    let first = page("");
    assert_eq!(names(&first), ["first"]);
    let run = json!({ "experiment_id": "0", "run_name": "late", "start_time": 9_000 });
    let id = mlflow.post("runs/create", run)["run"]["info"]["run_id"].clone();
    let point = json!({ "run_id": id, "key": "val/loss", "value": -1, "timestamp": 1 });
    mlflow.post("runs/log-metric", point);
    let second = page(first["next_page_token"].as_str().unwrap());
    assert_eq!(names(&second), ["third"]);
    let third = page(second["next_page_token"].as_str().unwrap());
    assert_eq!((names(&third), third.get("next_page_token")), (vec!["second"], None));
    // No token where the page is exactly full.
    let body = json!({ "experiment_ids": ["0"], "max_results": 4 });
    assert_eq!(mlflow.post("runs/search", body).get("next_page_token"), None);
}

#[test]
fn deleted_runs_and_views() {
    let mlflow = with_runs();
    let found = mlflow.post("runs/search", search("run_name = 'second'", &[]));
    mlflow.post("runs/delete", json!({ "run_id": found["runs"][0]["info"]["run_id"] }));
    for (view, expected) in [
        (json!("ACTIVE_ONLY"), &["third", "first"][..]),
        (json!("DELETED_ONLY"), &["second"]),
        (json!(2), &["second"]),
        (json!("ALL"), &["third", "second", "first"]),
        (json!("all"), &["third", "second", "first"]),
        (Value::Null, &["third", "first"]),
    ] {
        let body = json!({ "experiment_ids": ["0"], "run_view_type": view });
        assert_eq!(names(&mlflow.post("runs/search", body)), expected, "{view}");
    }
}

#[test]
fn experiments_are_found() {
    let mlflow = Mlflow::start();
    for name in ["digits", "Digits 2"] {
        let tags = json!([{ "key": "team", "value": name }]);
        mlflow.post("experiments/create", json!({ "name": name, "tags": tags }));
    }
    let names = |answer: &Value| {
        let found = answer["experiments"].as_array().cloned().unwrap_or_default();
        let names = found.iter().map(|one| one["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>().join(", ")
    };
    for (filter, order, expected) in [
        ("name ILIKE 'dig%'", json!(["name"]), "Digits 2, digits"),
        ("name LIKE 'dig%'", json!([]), "digits"),
        ("tags.team = 'Digits 2'", json!([]), "Digits 2"),
        ("experiment_id IN ('0')", json!([]), "Default"),
        ("name = 'Default'", json!([]), "Default"),
        ("name != 'Default'", json!(["experiment_id DESC"]), "Digits 2, digits"),
    ] {
        let body = json!({ "max_results": 10, "filter": filter, "order_by": order });
        assert_eq!(names(&mlflow.post("experiments/search", body)), expected, "{filter}");
    }
    let page = mlflow.get("experiments/search?max_results=1&order_by=experiment_id");
    assert_eq!(names(&page), "Default");
    let token = page["next_page_token"].as_str().unwrap();
    let target =
        format!("experiments/search?max_results=1&order_by=experiment_id&page_token={token}");
    assert_eq!(names(&mlflow.get(&target)), "digits");
}
