//! `repro import mlflow` and `repro export mlflow`.

use serde_json::{Value, json};

use crate::http_client::Server;
use crate::sandbox::Sandbox;

const RUN: &str = "0123456789abcdef0123456789abcdef";
const MODEL: &str = "m-0123456789abcdef0123456789abcdef";

/// A project beside a folder `mlruns` with a run, a logged model and a registered model.
fn with_mlruns() -> Sandbox {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'true'\n");
    let write = |path: &str, text: &str| sandbox.write(&format!("mlruns/{path}"), text);
    write("77/meta.yaml", "name: genres\nlifecycle_stage: active\ncreation_time: 5\n");
    let run = format!("77/{RUN}");
    let meta = format!(
        "run_id: {RUN}\nrun_name: first\nstatus: 3\nstart_time: 1000\nend_time: 3000\n\
         user_id: ada\nlifecycle_stage: active\nartifact_uri: file:///gone/{RUN}/artifacts\n"
    );
    write(&format!("{run}/meta.yaml"), &meta);
    write(&format!("{run}/params/net/depth"), "3");
    write(&format!("{run}/tags/mlflow.runName"), "first");
    write(&format!("{run}/tags/team"), "audio");
    write(&format!("{run}/metrics/val/loss"), "10 0.5 0\n11 nan 1\n12 inf -1\n11 nan 1\n");
    write(&format!("{run}/artifacts/notes/a b+c.txt"), "hello");
    let output = format!("destination_id: {MODEL}\nstep: 0\n");
    write(&format!("{run}/outputs/{MODEL}/meta.yaml"), &output);
    let model = format!("77/models/{MODEL}");
    let meta = format!("name: model\nstatus: 2\nsource_run_id: {RUN}\ncreation_timestamp: 2000\n");
    write(&format!("{model}/meta.yaml"), &meta);
    write(&format!("{model}/artifacts/MLmodel"), "flavors: {}");
    write("models/genre/meta.yaml", "name: genre\ndescription: text\ncreation_timestamp: 2500\n");
    write("models/genre/aliases/production", "1");
    let version =
        format!("version: 1\nsource: models:/{MODEL}\nrun_id: {RUN}\ncurrent_stage: None\n");
    write("models/genre/version-1/meta.yaml", &version);
    sandbox
}

/// Returns everything that an import is to bring, without what is local.
fn contents(sandbox: &Sandbox) -> Vec<String> {
    let store = rusqlite::Connection::open(sandbox.path("runs/runs.db")).unwrap();
    let mut all = Vec::new();
    for sql in [
        "SELECT json_array(uid, name, status, started, ended, user, lifecycle) FROM runs",
        "SELECT json_array(key, value) FROM params",
        "SELECT json_array(key, value) FROM tags",
        "SELECT json_array(key, at, step, format('%g', value)) FROM points
         JOIN series ON series = series.id ORDER BY key, at, step",
        "SELECT json_array(path, digest) FROM artifacts",
        "SELECT name FROM experiments WHERE id > 0",
    ] {
        let mut rows = store.prepare(sql).unwrap();
        let texts = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
        all.extend(texts.map(Result::unwrap));
    }
    all
}

fn imported(sandbox: &Sandbox, from: &str) -> Value {
    serde_json::from_str(&sandbox.ok(&["import", "mlflow", from, "--json"]).stdout).unwrap()
}

#[test]
fn folder_is_imported_once() {
    let sandbox = with_mlruns();
    let first = imported(&sandbox, "mlruns");
    for (key, count) in [("experiments", 1), ("runs", 1), ("models", 1), ("files", 2)] {
        assert_eq!(first[key], count, "{key}: {first}");
    }
    assert_eq!(first["skipped"], json!([]));
    let before = contents(&sandbox);
    let digest = blake3::hash(b"hello").to_hex();
    assert_eq!(
        before,
        [
            format!(r#"["{RUN}","first","ok",1000,3000,"ada","active"]"#),
            r#"["net/depth","\"3\""]"#.to_owned(),
            r#"["team","audio"]"#.to_owned(),
            r#"["val/loss",10,0,"0.5"]"#.to_owned(),
            r#"["val/loss",11,1,"0"]"#.to_owned(),
            r#"["val/loss",12,-1,"Inf"]"#.to_owned(),
            format!(r#"["notes/a b+c.txt","{digest}"]"#),
            "genres".to_owned(),
        ]
    );
    let again = imported(&sandbox, "mlruns");
    assert_eq!(json!([again["runs"], again["known"], again["files"]]), json!([0, 1, 0]));
    assert_eq!(contents(&sandbox), before);
    sandbox.ok(&["get", "models:genre@production", "-o", "copy"]);
    assert_eq!(sandbox.read("copy/MLmodel"), "flavors: {}");
}

#[test]
fn exported_and_imported_again() {
    let (here, there, back) =
        (with_mlruns(), Sandbox::with("[stages.a]\ncmd = 'true'\n"), with_mlruns());
    imported(&here, "mlruns");
    let server = Server::start(&there);
    let uri = format!("http://{}", server.address);
    for (runs, known) in [(1, 0), (0, 1)] {
        let done = here.ok(&["export", "mlflow", &uri, "--json"]);
        let exported: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(exported["runs"].as_array().unwrap().len(), runs, "{exported}");
        assert_eq!(exported["known"], known, "{exported}");
    }
    imported(&back, &uri);
    assert_eq!(contents(&back), contents(&here));
}

#[test]
fn mistakes_with_sources() {
    let sandbox = with_mlruns();
    sandbox.write("empty/file", "x");
    for (from, what) in [
        ("none", "`none` does not exist"),
        ("empty", "`empty` has no experiments of MLflow"),
        ("empty/file", "`empty/file` is not a database of MLflow's"),
        ("s3://bucket/x", "runs cannot be read from `s3://bucket/x`"),
        ("https://localhost:1", "`https://localhost:1` is not an HTTP address"),
        ("http://127.0.0.1:1", "cannot reach `http://127.0.0.1:1`"),
    ] {
        let done = sandbox.repro(&["import", "mlflow", from]);
        assert_ne!(done.code, 0, "{done}");
        assert!(done.stderr.contains(what), "{done}");
    }
    sandbox.write(&format!("mlruns/77/{RUN}/metrics/val/loss"), "10 x 0\n");
    let done = sandbox.repro(&["import", "mlflow", "mlruns"]);
    assert!(done.stderr.contains("loss:1: expected `TIME VALUE STEP`"), "{done}");
}
