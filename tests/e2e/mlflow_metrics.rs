//! MLflow's API: metrics and their histories.

use serde_json::{Value, json};

use crate::mlflow::{Mlflow, value_of};

/// Logs points of one metric, each as time, step and value.
fn log(mlflow: &Mlflow, run: &str, key: &str, points: &[(i64, i64, Value)]) {
    for (at, step, value) in points {
        let body =
            json!({ "run_id": run, "key": key, "value": value, "timestamp": at, "step": step });
        mlflow.post("runs/log-metric", body);
    }
}

#[test]
fn equal_points_are_one() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let points = [
        (1, 0, json!(1.0)),
        (1, 0, json!(1.0)),
        (1, 0, json!(2.0)),
        (2, 0, json!(1.0)),
        (1, 1, json!(1.0)),
        (1, 0, json!("NaN")),
        (1, 0, json!("NaN")),
        (1, 0, json!(0.0)),
    ];
    log(&mlflow, &run, "a", &points);
    assert_eq!(
        mlflow.history(&run, "a"),
        [
            (0, json!("NaN")),
            (0, json!(0.0)),
            (0, json!(1.0)),
            (0, json!(2.0)),
            (1, json!(1.0)),
            (0, json!(1.0)),
        ]
    );
}

#[test]
fn latest_value() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    for (key, points, expected) in [
        ("step", &[(1, 5, json!(1.0)), (9, 3, json!(2.0))][..], (json!(1.0), 5, 1)),
        ("time", &[(9, 5, json!(1.0)), (8, 5, json!(2.0))], (json!(1.0), 5, 9)),
        ("value", &[(1, 5, json!(2.0)), (1, 5, json!(1.0))], (json!(2.0), 5, 1)),
        ("above", &[(1, 5, json!("NaN")), (1, 5, json!(1.0))], (json!(1.0), 5, 1)),
        ("below", &[(1, 5, json!(-1.0)), (1, 5, json!("NaN"))], (json!("NaN"), 5, 1)),
        ("negative", &[(1, -2, json!(1.0)), (1, -3, json!(2.0))], (json!(1.0), -2, 1)),
    ] {
        log(&mlflow, &run, key, points);
        let metrics = mlflow.seen(&run)["data"]["metrics"].take();
        let metrics = metrics.as_array().unwrap();
        let found = metrics.iter().find(|metric| metric["key"] == key).unwrap();
        let found = (&found["value"], &found["step"], &found["timestamp"]);
        assert_eq!(found, (&expected.0, &json!(expected.1), &json!(expected.2)), "{key}");
    }
}

#[test]
fn histories_in_order_of_time() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let points = [(3, 1, json!(1.0)), (1, 9, json!(2.0)), (2, -5, json!(3.0)), (1, 2, json!(4.0))];
    log(&mlflow, &run, "val/loss", &points);
    let steps =
        |key: &str| mlflow.history(&run, key).into_iter().map(|(step, _)| step).collect::<Vec<_>>();
    assert_eq!(steps("val/loss"), [2, 9, -5, 1]);
    assert_eq!(mlflow.get(&format!("metrics/get-history?run_id={run}&metric_key=x")), json!({}));
}

#[test]
fn pages_of_a_history() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let metrics: Vec<Value> = (0..25)
        .map(|n| json!({ "key": "a", "value": n % 3, "timestamp": n / 5, "step": n % 2 }))
        .collect();
    mlflow.post("runs/log-batch", json!({ "run_id": run, "metrics": metrics }));
    let whole = mlflow.history(&run, "a");
    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!(
            "metrics/get-history?run_id={run}&metric_key=a&max_results=4&page_token={token}"
        );
        let page = mlflow.get(&path);
        let points = page["metrics"].as_array().unwrap();
        pages
            .extend(points.iter().map(|one| (one["step"].as_i64().unwrap(), one["value"].clone())));
        match page["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
        assert_eq!(points.len(), 4);
    }
    assert_eq!(pages, whole);
    // A page that is exactly full is the last one.
    let path = format!("metrics/get-history?run_id={run}&metric_key=a&max_results={}", whole.len());
    assert_eq!(mlflow.get(&path).get("next_page_token"), None);
    for wrong in ["max_results=0", "max_results=-1", "max_results=x", "page_token=x"] {
        let path = format!("metrics/get-history?run_id={run}&metric_key=a&{wrong}");
        assert_eq!(mlflow.get_refused(&path).0, "INVALID_PARAMETER_VALUE", "{wrong}");
    }
}

#[test]
fn wrong_points() {
    let mlflow = Mlflow::start();
    let run = mlflow.run();
    let whole = json!({ "run_id": run, "key": "a", "value": 1, "timestamp": 1, "step": 0 });
    for (field, value) in [
        ("value", json!(null)),
        ("value", json!("abc")),
        ("key", json!(null)),
        ("key", json!("")),
        ("timestamp", json!(null)),
        ("timestamp", json!(-1)),
        ("timestamp", json!("x")),
        ("step", json!("x")),
        ("key", json!("../x")),
        ("key", json!("/x")),
        ("key", json!("a//b")),
        ("key", json!(".")),
        ("key", json!("a@b")),
        ("key", json!("x".repeat(251))),
    ] {
        let mut body = whole.clone();
        body[field] = value;
        let (code, _) = mlflow.refused("runs/log-metric", body.clone());
        assert_eq!(code, "INVALID_PARAMETER_VALUE", "{body}");
    }
    for key in ["größe", "val/loss", "a b:c-d.e_f", &"x".repeat(250)] {
        let mut body = whole.clone();
        body["key"] = key.into();
        mlflow.post("runs/log-metric", body);
    }
}

#[test]
fn sampled_histories() {
    let mlflow = Mlflow::start();
    let (a, b) = (mlflow.run(), mlflow.run());
    let metrics = |count: i64| -> Vec<Value> {
        (0..count).map(|n| json!({ "key": "a", "value": n, "timestamp": 1, "step": n })).collect()
    };
    mlflow.post("runs/log-batch", json!({ "run_id": a, "metrics": metrics(101) }));
    mlflow.post("runs/log-batch", json!({ "run_id": b, "metrics": metrics(2) }));
    let base = "/ajax-api/2.0/mlflow/metrics/get-history-bulk";
    let steps = |query: &str, run: &str| {
        let answer = mlflow.get(&format!("{base}{query}"));
        let points = answer["metrics"].as_array().unwrap();
        let of_run = points.iter().filter(|point| point["run_id"] == run);
        of_run.map(|point| point["step"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let both = format!("-interval?run_ids={a}&run_ids={b}&metric_key=a&max_results=5");
    // The first of each fifth, and the last.
    assert_eq!(steps(&both, &a), [0, 21, 41, 61, 100]);
    assert_eq!(steps(&both, &b), [0, 1]);
    let part = format!("-interval?run_ids={a}&metric_key=a&max_results=3");
    assert_eq!(steps(&format!("{part}&start_step=10&end_step=20"), &a), [10, 14, 20]);
    for wrong in ["&start_step=1", "&start_step=2&end_step=1"] {
        mlflow.get_refused(&format!("{base}{part}{wrong}"));
    }
    let many = |name: &str| format!("{name}={a}&").repeat(101);
    let [of_interval, of_bulk] = [many("run_ids"), many("run_id")];
    for (query, message) in [
        ("-interval?metric_key=a", "Missing value for required parameter 'run_ids'."),
        (
            &format!("-interval?{of_interval}metric_key=a"),
            "GetMetricHistoryBulkInterval request must specify at most 100 run_ids. Received 101 \
             run_ids.",
        ),
        ("?metric_key=a", "GetMetricHistoryBulk request must specify at least one run_id."),
        (
            &format!("?{of_bulk}metric_key=a"),
            "GetMetricHistoryBulk request cannot specify more than 100 run_ids. Received 101 \
             run_ids.",
        ),
        (&format!("?run_id={a}"), "GetMetricHistoryBulk request must specify a metric_key."),
    ] {
        assert_eq!(mlflow.get_refused(&format!("{base}{query}")).1, message);
    }
    let whole = format!("?run_id={a}&run_id={b}&metric_key=a");
    assert_eq!((steps(&whole, &a).len(), steps(&whole, &b)), (101, vec![0, 1]));
}

#[test]
fn final_metrics_of_a_pipeline() {
    let sandbox = crate::sandbox::Sandbox::with(
        r#"
[stages.train]
metrics = ["m.json"]
cmd = '''echo '{"acc": 0.25}' > m.json
echo '{"metric": "loss", "step": 1, "value": 0.5}' >> "$REPRO_EVENTS"'''
"#,
    );
    sandbox.ok(&["run"]);
    let mlflow = Mlflow::in_project(sandbox);
    let found = mlflow.post("runs/search", json!({ "experiment_ids": ["0"] }));
    let run = &found["runs"][0];
    let id = run["info"]["run_id"].as_str().unwrap();
    assert_eq!(value_of(&run["data"]["metrics"], "train.acc"), Some(&json!(0.25)));
    assert_eq!(mlflow.history(id, "train.loss"), [(1, json!(0.5))]);
    assert_eq!(mlflow.history(id, "train.acc"), [(0, json!(0.25))]);
}
