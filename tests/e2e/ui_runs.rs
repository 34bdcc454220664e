//! The API of the table of runs: orders, values, mistakes and edits.

use serde_json::{Value, json};

use crate::http_client::Server;
use crate::sandbox::Sandbox;

const PIPELINE: &str = r#"
[params]
lr = 1.0
seed = 1
[metrics]
loss = { goal = "min" }
[stages.train]
cmd = "sh train.sh {{ params.lr }}"
deps = ["train.sh"]
params = ["lr", "seed"]
metrics = ["m.json"]
"#;

const TRAIN: &str = r#"
printf '{"metric": "loss", "step": 1, "value": 9}\n' >> $REPRO_EVENTS
printf '{"metric": "loss", "step": 2, "value": %s}\n' $1 >> $REPRO_EVENTS
printf '{"loss": %s}' $1 > m.json
"#;

/// Three runs, whose losses are their rates.
fn three() -> Sandbox {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.write("train.sh", TRAIN);
    for lr in ["lr=3.0", "lr=1e-2", "lr=2.0"] {
        sandbox.ok(&["run", "-p", lr]);
    }
    sandbox
}

fn get(server: &Server, target: &str) -> Value {
    let reply = server.get(target);
    assert_eq!(reply.status, 200, "{target}: {}", reply.text());
    reply.json()
}

#[test]
fn orders_and_values() {
    let sandbox = three();
    let server = Server::start(&sandbox);
    for (query, runs) in [
        ("", json!([3, 2, 1])),
        ("sort=params.lr", json!([2, 3, 1])),
        ("sort=params.lr:desc", json!([1, 3, 2])),
        ("sort=train.loss", json!([2, 3, 1])),
        ("sort=max:train.loss", json!([3, 2, 1])),
        ("filter=params.lr+%3E+1", json!([3, 1])),
        ("filter=params.lr+%3E+1&sort=best:loss", json!([3, 1])),
        ("deleted=1", json!([])),
    ] {
        assert_eq!(get(&server, &format!("/api/runs?{query}"))["runs"], runs, "{query}");
    }
    let cells = get(&server, "/api/runs/cells?runs=2,1,99&columns=params.lr,max:loss,curve:loss");
    assert_eq!(cells["rows"]["run"], json!([2, 1]));
    assert_eq!(cells["rows"]["values"][0], json!([0.01, 3.0]));
    assert_eq!(cells["rows"]["values"][1], json!([[9.0, 1], [9.0, 1]]));
    let kind = |at: usize| cells["columns"][at]["kind"].clone();
    assert_eq!([0, 1, 2].map(kind), ["param", "best", "curve"]);
    let curves = get(&server, "/api/runs/curves?runs=1,3&key=train.loss&width=2");
    assert_eq!(curves[0]["high"], json!([9.0, 3.0]));
    let groups = get(&server, "/api/runs/groups?by=-seed&columns=train.loss");
    assert_eq!(groups["keys"], json!(["lr"]));
    assert_eq!(groups["groups"][0]["values"][0]["mean"], json!(2.0));
    assert_eq!(get(&server, "/api/runs/values?field=lr"), json!(["0.01", "2.0", "3.0"]));
}

#[test]
fn mistakes_are_explained() {
    let sandbox = three();
    let server = Server::start(&sandbox);
    for (target, message) in [
        ("/api/runs?filter=metrics.los+%3E+1", "no run has a metric `los`; did you mean `loss`?"),
        ("/api/runs?filter=status+%3D", "filter, column 9: expected a value"),
        ("/api/runs?sort=lrr", "there is no field `lrr`; did you mean `lr`?"),
        ("/api/runs?columns=best:los", "no run has a metric `los`; did you mean `loss`?"),
        ("/api/runs?count=x", "`count` must be a number, not `x`"),
        ("/api/runs/cells?runs=x", "`x` is not the number of a run"),
        ("/api/runs/groups?by=lrr", "no run has a param `lrr`; did you mean `lr`?"),
    ] {
        let reply = server.get(target);
        assert_eq!(reply.status, 400, "{target}");
        let text = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(text.starts_with(message), "{target}: {text}");
    }
}

#[test]
fn edits_of_runs() {
    let sandbox = three();
    let server = Server::start(&sandbox);
    let post = |target: &str, body: Value| server.json("POST", target, &body);
    for (edit, body) in [
        ("tags", json!({ "set": { "team": "audio", "x": "" }, "remove": [] })),
        ("tags", json!({ "remove": ["x"] })),
        ("note", json!({ "note": "a\nb" })),
        ("name", json!({ "name": "wide" })),
        ("delete", json!({})),
    ] {
        let answer = post(&format!("/api/runs/run-2/{edit}"), body);
        assert_eq!(answer, (200, json!({})), "{edit}");
    }
    let deleted = get(&server, "/api/runs?deleted=1&count=9");
    assert_eq!(deleted["rows"]["name"], json!(["wide"]));
    assert_eq!(deleted["rows"]["note"], json!(["a\nb"]));
    assert_eq!(deleted["rows"]["tags"], json!([{ "team": "audio" }]));
    for (target, body, status) in [
        ("/api/runs/run-9/note", json!({ "note": "x" }), 404),
        ("/api/runs/run-1/note", json!({ "text": "x" }), 400),
        ("/api/runs/run-1/name", json!({ "name": "run-7" }), 400),
        ("/api/runs/run-1/tags", json!({ "set": { " ": "x" } }), 400),
        ("/api/runs/run-1/tags", json!([]), 400),
        ("/api/runs/run-1/note", json!(["x"]), 400),
    ] {
        assert_eq!(post(target, body).0, status, "{target}");
    }
}
