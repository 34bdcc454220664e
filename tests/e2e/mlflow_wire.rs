//! MLflow's API: how requests are read and errors are written.

use std::io::{BufReader, Write as _};

use serde_json::{Value, json};

use crate::http_client::Reply;
use crate::mlflow::Mlflow;

#[test]
fn base_paths() {
    let mlflow = Mlflow::start();
    assert_eq!(mlflow.server.get("/health").text(), "OK");
    assert_eq!(mlflow.server.get("/version").text(), "3.17.2");
    for base in ["/api/2.0", "/ajax-api/2.0", "/api/3.0", "/ajax-api/3.0"] {
        let answer = mlflow.get(&format!("{base}/mlflow/experiments/get?experiment_id=0"));
        assert_eq!(answer["experiment"]["name"], "Default", "{base}");
        assert!(mlflow.get(&format!("{base}/mlflow/server-info"))["store_type"].is_string());
    }
    for path in ["/api/2.0/preview/mlflow/runs/get", "/api/2.0/mlflow/nothing", "/api/4.0/mlflow"] {
        let (code, _) = mlflow.get_refused(path);
        assert_eq!(code, "ENDPOINT_NOT_FOUND", "{path}");
    }
}

#[test]
fn content_types() {
    let mlflow = Mlflow::start();
    let body = r#"{"name": "x"}"#;
    for (kind, status) in [
        ("text/plain", 400),
        ("", 400),
        ("application/x-www-form-urlencoded", 400),
        ("application/jsonx", 400),
        ("application/json; charset=utf-8", 200),
    ] {
        assert_eq!(mlflow.send("experiments/create", kind, body).0, status, "{kind}");
    }
    let (_, answer) = mlflow.send("experiments/create", "text/plain", body);
    assert_eq!(answer["error_code"], "BAD_REQUEST");
}

#[test]
fn unreadable_bodies_are_empty() {
    let mlflow = Mlflow::start();
    for body in ["", "{", "[1, 2]", "7", "null", "\"{\"", "\u{1}", "{\"run_id\": 1e999}"] {
        let (status, answer) = mlflow.send("runs/log-batch", "application/json", body);
        assert_eq!(status, 400, "{body}");
        assert_eq!(answer["message"], "Missing value for required parameter 'run_id'.", "{body}");
    }
    let twice = Value::from(r#"{"name": "twice"}"#).to_string();
    assert_eq!(mlflow.send("experiments/create", "application/json", &twice).0, 200);
    mlflow.get("experiments/get-by-name?experiment_name=twice");
}

#[test]
fn spellings_of_fields() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    for path in ["runs/log-metric", "runs/log-parameter", "runs/set-tag", "runs/update"] {
        let body = json!({
            "run_uuid": run, "key": "a", "value": "1", "timestamp": "5", "step": "3",
            "status": "RUNNING", "unknown": [1], "run_name": null,
        });
        mlflow.post(path, body);
        let (_, message) = mlflow.refused(path, json!({ "runId": run }));
        assert!(message.starts_with("Missing value for required parameter 'run_id'"), "{message}");
        mlflow.refused(path, json!({ "run_id": run, "runId": run, "key": "a" }));
    }
    assert_eq!(mlflow.get(&format!("runs/get?run_uuid={run}"))["run"]["info"]["run_id"], *run);
    // These take one name only.
    for path in ["runs/log-batch", "runs/delete", "runs/restore", "runs/delete-tag"] {
        mlflow.refused(path, json!({ "run_uuid": run, "key": "a" }));
    }
    assert_eq!(mlflow.history(&run, "a"), [(3, json!(1.0))]);
}

#[test]
fn numbers_in_answers() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let point = |key: &str, value: &str| {
        let body =
            format!(r#"{{"run_id": "{run}", "key": "{key}", "value": {value}, "timestamp": 1}}"#);
        mlflow.send("runs/log-metric", "application/json", &body)
    };
    for (value, expected) in [
        ("1", json!(1.0)),
        ("true", json!(1.0)),
        ("\"2.5\"", json!(2.5)),
        ("\"NaN\"", json!("NaN")),
        ("NaN", json!("NaN")),
        ("-Infinity", json!("-Infinity")),
        ("\"Infinity\"", json!("Infinity")),
    ] {
        let key = format!("k{}", value.replace(['"', '-'], "x"));
        assert_eq!(point(&key, value).0, 200, "{value}");
        assert_eq!(mlflow.history(&run, &key), [(0, expected)], "{value}");
    }
    for value in ["\"abc\"", "null", "[]", "{}"] {
        assert_eq!(point("k", value).0, 400, "{value}");
    }
    // `1` and `1.0` are the same for most programs, but not for all.
    let reply = mlflow.reply(&format!("metrics/get-history?run_id={run}&metric_key=k1"));
    assert_eq!(reply.text(), r#"{"metrics":[{"key":"k1","value":1.0,"timestamp":1,"step":0}]}"#);
}

#[test]
fn queries_and_bodies_of_get() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let body = json!({ "run_id": run });
    let (status, answer) = mlflow.server.json("GET", "/api/2.0/mlflow/runs/get", &body);
    assert_eq!((status, &answer["run"]["info"]["run_id"]), (200, &json!(run)));
    let (code, message) = mlflow.get_refused("runs/get");
    assert_eq!(code, "INVALID_PARAMETER_VALUE");
    assert_eq!(message, "Missing value for required parameter 'run_id'.");
}

#[test]
fn mistakes_are_never_500() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let values = [
        json!(null),
        json!(""),
        json!(-1e300),
        json!("x\u{0}'\"; DROP TABLE runs"),
        json!("é".repeat(9_000)),
        json!([{}]),
        json!({ "a": {} }),
        json!(true),
    ];
    let fields = [
        "run_id",
        "key",
        "value",
        "timestamp",
        "step",
        "model_id",
        "experiment_id",
        "name",
        "tags",
        "metrics",
        "params",
        "status",
        "end_time",
        "run_name",
        "start_time",
        "user_id",
        "new_name",
        "artifact_location",
        "metric_key",
        "max_results",
        "page_token",
        "run_ids",
        "experiment_name",
    ];
    let paths = [
        "experiments/create",
        "experiments/update",
        "experiments/delete",
        "experiments/restore",
        "experiments/set-experiment-tag",
        "experiments/delete-experiment-tag",
        "runs/create",
        "runs/update",
        "runs/delete",
        "runs/restore",
        "runs/log-metric",
        "runs/log-parameter",
        "runs/log-batch",
        "runs/set-tag",
        "runs/delete-tag",
    ];
    let ask = |method: &str, path: &str, body: &Value| {
        let target = format!("/api/2.0/mlflow/{path}");
        let (status, answer) = mlflow.server.json(method, &target, body);
        assert!(status < 500, "{path} {body}: {answer}");
    };
    for field in fields {
        for value in &values {
            let mut body = json!({
                "run_id": run, "experiment_id": "0", "key": "k", "value": "1", "timestamp": 1,
                "name": "n", "new_name": "Default",
            });
            body[field] = value.clone();
            for path in paths {
                ask("POST", path, &body);
            }
            for path in ["runs/get", "metrics/get-history", "experiments/get"] {
                ask("GET", path, &body);
            }
        }
    }
    assert_eq!(mlflow.server.get("/health").text(), "OK");
}

#[test]
fn refused_bodies_are_read() {
    // More than the operating system buffers.
    const SIZE: usize = 16 << 20;
    let mlflow = Mlflow::start();
    let address = &mlflow.server.address;
    let mut stream = BufReader::new(mlflow.server.connect());
    let artifacts = "/api/2.0/mlflow-artifacts/artifacts/0";
    let of_nobody = format!("{artifacts}/{}/artifacts/x", "0".repeat(32));
    let nowhere = format!("{artifacts}/x");
    for (method, path, status) in [
        ("POST", "/api/2.0/mlflow/nothing", 404),
        ("POST", "/api/2.0/mlflow/runs/create", 400),
        ("PUT", of_nobody.as_str(), 404),
        ("PUT", nowhere.as_str(), 400),
    ] {
        let fields = format!("Host: {address}\r\nContent-Length: {SIZE}");
        let head = format!("{method} {path} HTTP/1.1\r\n{fields}\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        stream.get_mut().write_all(&vec![b'x'; SIZE]).unwrap();
        assert_eq!(Reply::read(&mut stream, method).status, status, "{method} {path}");
    }
    let head = format!("GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut stream, "GET").text(), "OK");
}
