//! Files of metrics and params in all formats, numbers, and the metrics that a run shows.

use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn params_from_yaml_and_json() {
    let sandbox = Sandbox::with(
        r#"
[config]
include = ["params.yaml", "more.json"]

[stages.a]
cmd = "echo {{ params.train.lr }} {{ params.seed }} > o"
params = ["train", "seed", "depth"]
outs = ["o"]
"#,
    );
    sandbox.write("params.yaml", "seed: 1\ntrain: &t\n  lr: 1e-3\ndepth:\n");
    sandbox.write("more.json", "\u{feff}{\"seed\": 2}");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("o"), "0.001 2\n");
    let planned = sandbox.ok(&["run", "-n", "-p", "depth=3"]);
    assert!(planned.stdout.contains("depth null → 3"), "{planned}");
    sandbox.edit("params.yaml", "1e-3", "0.5");
    let status = sandbox.ok(&["status"]);
    assert!(status.stdout.contains("train.lr 0.001 → 0.5"), "{status}");
    snapshot!(sandbox.repro(&["params", "set", "lr=3"]), @"
    exit 2
    --- stderr
    error: param `train.lr` is defined in `params.yaml`, and YAML is not edited
     hint: edit the file, or give the value to one run: `-p train.lr=…`
    ");
    sandbox.write("params.yaml", "seed: 1\nseed: 2\ntrain: [\n");
    let refused = sandbox.repro(&["status"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.starts_with("error: params.yaml:3: cannot be read as YAML: "),
        "{refused}"
    );
}

/// A project whose stage `a` copies files to its metrics.
fn copying(files: &[&str]) -> Sandbox {
    let list = |prefix: &str| {
        let names = files.iter().map(|file| format!("\"{prefix}{file}\""));
        names.collect::<Vec<_>>().join(", ")
    };
    Sandbox::with(&format!(
        "[stages.a]\ncmd = \"cp -r in/* .\"\ndeps = [{}]\nmetrics = [{}]\n",
        list("in/"),
        list("")
    ))
}

fn metrics(sandbox: &Sandbox) -> serde_json::Value {
    let shown = sandbox.ok(&["metrics", "show", "--json"]);
    serde_json::from_str::<serde_json::Value>(&shown.stdout).unwrap()["metrics"].clone()
}

#[test]
fn metrics_in_all_formats() {
    let sandbox = copying(&["a.json", "b.yaml", "c.toml", "d.csv", "e.tsv"]);
    sandbox.write("in/a.json", r#"{"j": NaN, "k": {"l": -Infinity}, "m": "inf", "n": true}"#);
    sandbox.write("in/b.yaml", "y:\n  nan: .nan\n  big: 9007199254740993\n");
    sandbox.write("in/c.toml", "t = 1.5\n");
    sandbox.write("in/d.csv", ",c,text\n0,0.25,x\n");
    sandbox.write("in/e.tsv", "class\tf1\nrock\t0.5\nblues\t1\n");
    let done = sandbox.ok(&["run"]);
    assert!(!done.stderr.contains("warning"), "{done}");
    let expected = serde_json::json!({
        "a.j": "NaN", "a.k.l": "-Infinity", "a.m": "Infinity", "a.n": 1.0,
        "a.y.nan": "NaN", "a.y.big": 9_007_199_254_740_993_u64,
        "a.t": 1.5, "a.c": 0.25, "a.rock.f1": 0.5, "a.blues.f1": 1.0,
    });
    assert_eq!(metrics(&sandbox), expected);
    let shown = sandbox.ok(&["metrics", "show"]).stdout;
    assert!(shown.contains("9007199254740993"), "{shown}");
}

#[test]
fn utf16_metrics() {
    let sandbox = copying(&["m.json"]);
    let bytes = "\u{feff}{\"a\": 1}".encode_utf16().flat_map(u16::to_le_bytes);
    sandbox.write("in/m.json", bytes.collect::<Vec<u8>>());
    sandbox.ok(&["run"]);
    assert_eq!(metrics(&sandbox), serde_json::json!({"a.a": 1.0}));
    sandbox.write("in/m.json", b"\xff\xfe{\0}\0");
    let done = sandbox.ok(&["run"]);
    assert!(done.stderr.contains("`m.json` contains no number"), "{done}");
}

#[test]
fn faulty_metrics_warn_every_time() {
    for (name, content, warning) in [
        ("m.json", "{\"a\": oops}", "`m.json:1` has no metrics, because it cannot be read as JSON"),
        ("m.yaml", "a: [", "`m.yaml:1` has no metrics, because it cannot be read as YAML"),
        (
            "m.csv",
            "step,loss\n0,1\n1,2\n",
            "`m.csv` has no metrics, because it cannot be read as CSV",
        ),
        ("m.json", "caf\u{e9}", "`m.json:1` has no metrics, because it cannot be read as JSON"),
        ("m.json", "[1]", "`m.json` has no metrics, because it is not a table"),
        ("m.json", "{\"a\": \"1\"}", "`m.json` contains no number"),
        ("m.json", "{\"a\": 1, \"a\": 2}", "`m.json` has two values for `a`"),
        ("m.json", "{\"a.b\": 1, \"a\": {\"b\": 2}}", "`m.json` has two values for `a.b`"),
    ] {
        let sandbox = copying(&[name]);
        sandbox.write(&format!("in/{name}"), content);
        let first = sandbox.ok(&["run"]);
        assert!(first.stderr.contains(warning), "{content}: {first}");
        let again = sandbox.ok(&["run"]);
        assert!(again.stderr.contains(warning), "{content}: {again}");
        let chosen = sandbox.ok(&["run", "a"]);
        assert!(chosen.stderr.contains(warning), "{content}: {chosen}");
    }
}

#[test]
fn folder_and_huge_metrics() {
    let sandbox = copying(&["folder", "huge.json"]);
    sandbox.write("in/folder/m.json", "{}");
    let file = std::fs::File::create(sandbox.path("in/huge.json")).unwrap();
    file.set_len(65 << 20).unwrap();
    let done = sandbox.ok(&["run"]);
    for warning in [
        "`folder` has no metrics, because it is a folder",
        "`huge.json` has no metrics, because it is larger than 64 MiB",
    ] {
        assert!(done.stderr.contains(warning), "{done}");
    }
}

#[test]
fn equal_keys_in_two_files() {
    let sandbox = copying(&["train.json", "test.json"]);
    sandbox.write("in/train.json", r#"{"accuracy": 0.9, "n": 3}"#);
    sandbox.write("in/test.json", r#"{"accuracy": 0.4}"#);
    let done = sandbox.ok(&["run"]);
    assert!(!done.stderr.contains("warning"), "{done}");
    let expected = serde_json::json!({"a.train.accuracy": 0.9, "a.test.accuracy": 0.4, "a.n": 3.0});
    assert_eq!(metrics(&sandbox), expected);
}

#[test]
fn long_keys() {
    let sandbox = Sandbox::with(&format!(
        r#"
[params]
{} = 1

[stages.a]
cmd = 'cp in.json m.json; cat events >> "$REPRO_EVENTS"'
metrics = ["m.json"]
"#,
        "p".repeat(70_000)
    ));
    let key = "k".repeat(70_000);
    sandbox.write("in.json", format!("{{\"{key}\": 1, \"short\": 2}}"));
    sandbox.write("events", format!("{{\"metric\": \"{key}\", \"value\": 1}}\n"));
    let done = sandbox.ok(&["run"]);
    assert!(done.stderr.contains("`m.json` has a key of more than 1000 bytes"), "{done}");
    for args in [
        &["metrics", "show"][..],
        &["metrics", "compare", "run-1", "run-1"],
        &["params", "show"],
        &["runs", "show"],
        &["runs", "list"],
    ] {
        sandbox.ok(args);
    }
    assert_eq!(metrics(&sandbox), serde_json::json!({"a.short": 2.0}));
}

#[test]
fn nan_in_events() {
    let sandbox = Sandbox::with(
        r#"
[stages.a]
cmd = '''echo '{"metric": "loss", "step": 1, "value": NaN}' >> "$REPRO_EVENTS"
echo '{"metric": "n", "step": 1, "value": 18446744073709551615}' >> "$REPRO_EVENTS"'''
"#,
    );
    let done = sandbox.ok(&["run"]);
    assert!(!done.stderr.contains("warning"), "{done}");
    let shown = sandbox.ok(&["metrics", "show", "--json"]).stdout;
    assert!(shown.contains("\"NaN\"") && shown.contains("18446744073709551615"), "{shown}");
}

#[test]
fn close_numbers_look_different() {
    let sandbox = copying(&["m.json"]);
    for accuracy in ["0.99996", "0.99999"] {
        sandbox.write("in/m.json", format!("{{\"accuracy\": {accuracy}}}"));
        let done = sandbox.ok(&["run"]);
        assert!(done.stderr.contains(accuracy), "{done}");
    }
    sandbox.edit("pipeline.toml", "[stages.a]", "metrics.accuracy.goal = 'max'\n[stages.a]");
    for args in [&["metrics", "compare"][..], &["runs", "list"]] {
        let shown = sandbox.ok(args).stdout;
        assert!(shown.contains("0.99996") && shown.contains("0.99999"), "{shown}");
    }
}

#[test]
fn metrics_after_partial_run() {
    let sandbox = Sandbox::with(
        r#"
[params]
rate = 1

[stages.data]
cmd = "cp source data"
deps = ["source"]
outs = ["data"]

[stages.train]
cmd = "echo '{\"loss\": 1}' > train.json"
deps = ["data"]
params = ["rate"]
metrics = ["train.json"]

[stages.other]
cmd = "echo '{\"size\": 1}' > other.json"
deps = ["parts/*.txt"]
metrics = ["other.json"]

[stages.side]
cmd = "cp side.in side"
deps = ["side.in"]
outs = ["side"]
"#,
    );
    for file in ["source", "parts/a.txt", "side.in"] {
        sandbox.write(file, "1");
    }
    sandbox.ok(&["run"]);
    let all = serde_json::json!({"train.loss": 1.0, "other.size": 1.0});
    let size = serde_json::json!({"other.size": 1.0});
    let side = |content: &str| {
        sandbox.write("side.in", content);
        sandbox.ok(&["run", "side"]);
    };
    side("2");
    assert_eq!(metrics(&sandbox), all);
    sandbox.write("side.in", "3");
    sandbox.ok(&["accept", "side", "--reason", "same"]);
    assert_eq!(metrics(&sandbox), all);
    let listed = sandbox.ok(&["runs", "list"]).stdout;
    assert!(listed.lines().nth(1).unwrap().starts_with("run-3  accepted"), "{listed}");

    // `train` is out of date: because of the new data, because of the param, by hand.
    sandbox.write("source", "2");
    sandbox.ok(&["run", "data"]);
    assert_eq!(metrics(&sandbox), size);
    sandbox.ok(&["run", "train"]);
    assert_eq!(metrics(&sandbox), all);
    sandbox.edit("pipeline.toml", "rate = 1", "rate = 2");
    side("4");
    assert_eq!(metrics(&sandbox), size);
    sandbox.edit("pipeline.toml", "rate = 2", "rate = 1");
    sandbox.write("train.json", "{\"loss\": 7}");
    side("5");
    assert_eq!(metrics(&sandbox), size);
}

#[test]
fn matrix_metrics_in_list() {
    let sandbox = Sandbox::with(
        r#"
[metrics]
accuracy = { goal = "max" }

[stages.eval]
matrix = { part = ["a", "b"] }
cmd = "cp {{ matrix.part }}.in {{ matrix.part }}.json"
deps = ["{{ matrix.part }}.in"]
metrics = ["{{ matrix.part }}.json"]
"#,
    );
    sandbox.write("a.in", "{\"accuracy\": 0.25}");
    sandbox.write("b.in", "{\"accuracy\": 0.5}");
    sandbox.ok(&["run"]);
    let listed = sandbox.ok(&["runs", "list"]).stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].contains("best accuracy") && lines[1].contains(" 0.5 "), "{listed}");
}

#[test]
fn git_without_a_commit() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = \"true\"\n");
    sandbox.git(&["init", "-q"]);
    sandbox.ok(&["run"]);
    let shown = sandbox.ok(&["runs", "show"]).stdout;
    assert!(shown.contains("git       no commit yet on main, with uncommitted changes"), "{shown}");
    let json = sandbox.ok(&["runs", "show", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let git = serde_json::json!({"commit": null, "branch": "main", "tree": "dirty"});
    assert_eq!(json["git"], git);
    sandbox.ok(&["run", "-f"]);
    sandbox.ok(&["metrics", "compare"]);
}
