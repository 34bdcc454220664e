//! MLflow's API: params, tags and batches.

use serde_json::{Value, json};

use crate::mlflow::{Mlflow, value_of};

fn pairs(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

#[test]
fn params_never_change() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let param = |value: Value| json!({ "run_id": run, "key": "lr", "value": value });
    for _ in 0..2 {
        mlflow.post("runs/log-parameter", param(json!("0.1")));
    }
    let (code, message) = mlflow.refused("runs/log-parameter", param(json!("0.2")));
    assert_eq!(code, "INVALID_PARAMETER_VALUE");
    assert!(message.contains("'lr'") && message.contains("'0.1'"), "{message}");
    mlflow.refused("runs/log-parameter", param(json!(0.1)));
    mlflow.post("runs/log-parameter", json!({ "run_id": run, "key": "none" }));
    mlflow.post("runs/log-parameter", json!({ "run_id": run, "key": "empty", "value": "" }));
    let long = json!({ "run_id": run, "key": "long", "value": "é".repeat(6_001) });
    for _ in 0..2 {
        mlflow.post("runs/log-parameter", long.clone());
    }
    let params = mlflow.seen(&run)["data"]["params"].take();
    assert_eq!(value_of(&params, "lr"), Some(&json!("0.1")));
    assert_eq!(value_of(&params, "none"), Some(&json!("")));
    assert_eq!(value_of(&params, "empty"), Some(&json!("")));
    assert_eq!(value_of(&params, "long"), Some(&json!("é".repeat(6_000))));
    for key in ["../x", "/x", "a//b", ".", "", "a\nb", &"x".repeat(251)] {
        mlflow.refused("runs/log-parameter", json!({ "run_id": run, "key": key, "value": "1" }));
    }
}

#[test]
fn tags_change_and_go() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    for value in ["a", "b", &"x".repeat(8_001)] {
        mlflow.post("runs/set-tag", json!({ "run_id": run, "key": "team", "value": value }));
    }
    let tags = mlflow.seen(&run)["data"]["tags"].take();
    assert_eq!(value_of(&tags, "team"), Some(&json!("x".repeat(8_000))));
    for key in ["team", "mlflow.note.content", "mlflow.user"] {
        mlflow.post("runs/set-tag", json!({ "run_id": run, "key": key, "value": "x" }));
        let tag = json!({ "run_id": run, "key": key });
        mlflow.post("runs/delete-tag", tag.clone());
        assert_eq!(mlflow.refused("runs/delete-tag", tag).0, "RESOURCE_DOES_NOT_EXIST");
        assert_eq!(value_of(&mlflow.seen(&run)["data"]["tags"], key), None);
    }
}

#[test]
fn notes_are_tags() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let tag = json!({ "run_id": run, "key": "mlflow.note.content", "value": "a wide net" });
    mlflow.post("runs/set-tag", tag);
    assert!(mlflow.sandbox.ok(&["runs", "show"]).stdout.contains("a wide net"));
    mlflow.sandbox.ok(&["runs", "note", "run-1", "narrow"]);
    let tags = mlflow.seen(&run)["data"]["tags"].take();
    assert_eq!(value_of(&tags, "mlflow.note.content"), Some(&json!("narrow")));
}

#[test]
fn batch_is_all_or_nothing() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let point = json!({ "key": "a", "value": 1, "timestamp": 1, "step": 2 });
    let batch = json!({
        "run_id": run,
        "metrics": [point, point, { "key": "b", "value": "NaN", "timestamp": 1 }],
        "params": pairs(&[("lr", "0.1"), ("model", "wide")]),
        "tags": pairs(&[("team", "a"), ("team", "b")]),
    });
    for _ in 0..2 {
        assert_eq!(mlflow.post("runs/log-batch", batch.clone()), json!({}));
    }
    let seen = mlflow.seen(&run)["data"].take();
    assert_eq!(value_of(&seen["tags"], "team"), Some(&json!("b")));
    assert_eq!(value_of(&seen["params"], "model"), Some(&json!("wide")));
    assert_eq!(mlflow.history(&run, "a"), [(2, json!(1.0))]);
    let before = mlflow.seen(&run);
    let other = json!({ "key": "c", "value": 1, "timestamp": 1 });
    for batch in [
        json!({ "params": pairs(&[("new", "1"), ("lr", "0.2")]) }),
        json!({ "params": pairs(&[("x", "1"), ("x", "1")]) }),
        json!({ "tags": pairs(&[("fine", "1"), ("../x", "1")]) }),
        json!({ "metrics": [{ "key": "d", "value": 1 }] }),
        json!({ "metrics": [{ "key": "d", "value": 1, "timestamp": 1, "model_id": "m-none" }] }),
        json!({ "metrics": "a" }),
        json!({ "params": [1] }),
        json!({ "params": [{ "value": "1" }] }),
    ] {
        let mut body = batch;
        body["run_id"] = run.clone().into();
        if body["metrics"].is_null() {
            body["metrics"] = json!([other]);
        }
        let (code, _) = mlflow.refused("runs/log-batch", body.clone());
        assert_eq!(code, "INVALID_PARAMETER_VALUE", "{body}");
        assert_eq!(mlflow.seen(&run), before, "{body}");
    }
    assert_eq!(mlflow.post("runs/log-batch", json!({ "run_id": run })), json!({}));
}

#[test]
fn limits_of_a_batch() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let metrics = |count: usize| -> Vec<Value> {
        (0..count).map(|n| json!({ "key": "a", "value": n, "timestamp": n })).collect()
    };
    let named = |count: usize| -> Value {
        (0..count).map(|n| json!({ "key": format!("k{n}"), "value": "v" })).collect()
    };
    for (body, is_fine) in [
        (json!({ "metrics": metrics(1_000) }), true),
        (json!({ "metrics": metrics(1_001) }), false),
        (json!({ "params": named(100) }), true),
        (json!({ "params": named(101) }), false),
        (json!({ "tags": named(100) }), true),
        (json!({ "tags": named(101) }), false),
        (json!({ "metrics": metrics(900), "params": named(50), "tags": named(50) }), true),
        (json!({ "metrics": metrics(901), "params": named(50), "tags": named(50) }), false),
    ] {
        let mut body = body;
        body["run_id"] = run.clone().into();
        match is_fine {
            true => drop(mlflow.post("runs/log-batch", body)),
            false => drop(mlflow.refused("runs/log-batch", body)),
        }
    }
    // MLflow counts the keys of a body and not its bytes.
    let large: Value =
        (0..100).map(|n| json!({ "key": format!("t{n}"), "value": "x".repeat(15_000) })).collect();
    mlflow.post("runs/log-batch", json!({ "run_id": run, "tags": large }));
}

#[test]
fn many_clients_at_once() {
    let mlflow = Mlflow::start();
    let runs: Vec<String> = (0..4).map(|_| mlflow.run()).collect();
    std::thread::scope(|scope| {
        for client in 0..16 {
            let (mlflow, runs) = (&mlflow, &runs);
            scope.spawn(move || {
                for step in 0..20 {
                    let point = json!({
                        "run_id": runs[client % 4], "key": format!("m{client}"), "value": step,
                        "timestamp": 1, "step": step,
                    });
                    mlflow.post("runs/log-metric", point);
                }
            });
        }
    });
    for client in 0..16 {
        let history = mlflow.history(&runs[client % 4], &format!("m{client}"));
        assert_eq!(history.len(), 20, "{client}");
    }
}
