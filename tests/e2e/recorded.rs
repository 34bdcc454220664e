//! Records of a run besides outcomes and numbers: resources, versions, variables, artifacts and
//! uncommitted changes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, files};

fn show(sandbox: &Sandbox, run: &str) -> Value {
    serde_json::from_str(&sandbox.ok(&["runs", "show", run, "--json"]).stdout).unwrap()
}

#[test]
fn exit_code_cpu_and_memory() {
    let sandbox = Sandbox::with(
        "[stages.large]\ncmd = 'dd if=/dev/zero of=/dev/null bs=300M count=1'\n\
         [stages.killed]\ncmd = 'kill -9 $$'\n\
         [stages.failed]\ncmd = 'exit 7'\n\
         [stages.busy]\ncmd = 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'\n\
         [stages.input]\nouts = ['in']\n",
    );
    sandbox.write("in", "1");
    let done = sandbox.repro(&["run", "--keep-going"]);
    assert_eq!(done.code, 1, "{done}");
    let run = show(&sandbox, "latest");
    let stage = |name: &str| {
        let stages = run["stages"].as_array().unwrap();
        stages.iter().find(|stage| stage["stage"] == name).unwrap()
    };
    assert_eq!(stage("large")["exit_code"], 0);
    assert!(stage("large")["memory"].as_u64().unwrap() >= 300 << 20, "{run}");
    assert_eq!(
        (&stage("killed")["exit_code"], &stage("failed")["exit_code"]),
        (&137.into(), &7.into())
    );
    // The shell is smaller than the program that starts it, so its peak is unknown.
    assert_eq!(stage("busy")["memory"], Value::Null);
    assert!(stage("busy")["cpu"].as_u64().unwrap() > 0, "{run}");
    assert_eq!(stage("input")["exit_code"], Value::Null);
    let text = sandbox.ok(&["runs", "show"]).stdout;
    assert!(text.contains("processes"), "{text}");
}

#[test]
fn tools_and_variables() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'true'\ntools = ['echo 1.2']\nenv = { MODE = 'fast' }\n\
         env_deps = ['API_TOKEN', 'SEED', 'UNSET']\n",
    );
    let run = |token: &str| {
        let mut command = sandbox.command(&["run"]);
        command.env("API_TOKEN", token).env("SEED", "7").env_remove("UNSET");
        assert_eq!(sandbox.finish(&mut command).code, 0);
        show(&sandbox, "latest")["stages"][0].clone()
    };
    let first = run("swordfish");
    assert_eq!(first["tools"], json!({ "echo 1.2": "1.2" }));
    let digest = format!("blake3:{}", blake3::hash(b"swordfish").to_hex());
    let env = json!({ "API_TOKEN": digest, "MODE": "fast", "SEED": "7", "UNSET": null });
    assert_eq!(first["env"], env);
    let second = run("halibut");
    assert!(second["reasons"][0].as_str().unwrap().contains(&digest), "{second}");
    let database = Connection::open(sandbox.path("runs/runs.db")).unwrap();
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let bytes = fs::read(sandbox.path("runs/runs.db")).unwrap();
    for secret in ["swordfish", "halibut"] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
}

#[test]
fn overridden_params() {
    let sandbox = Sandbox::with(
        "[params]\na.x = 1\na.y = 2\n[config.groups]\nmodel = 'small'\n\
         [stages.s]\ncmd = 'true'\nparams = ['a', 'model']\n",
    );
    sandbox.write("conf/model/small.toml", "width = 1\n");
    sandbox.write("conf/model/large.toml", "width = 9\n");
    sandbox.ok(&["run", "-p", "a.y=5", "-p", "model=large"]);
    sandbox.ok(&["run"]);
    let database = Connection::open(sandbox.path("runs/runs.db")).unwrap();
    let overridden = |run: u32| {
        let sql = "SELECT key FROM params WHERE run = ?1 AND overridden ORDER BY key";
        let mut keys = database.prepare(sql).unwrap();
        let keys = keys.query_map([run], |row| row.get::<_, String>(0)).unwrap();
        keys.map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(overridden(1), ["a.y", "model.width"]);
    assert!(overridden(2).is_empty());
}

const DRAWING: &str = r#"
[stages.draw]
cmd = '''
mkdir -p plots/deep
cp in plots/a.png; cp in plots/deep/b; cp in out
for path in plots/a.png plots out none.png ../outside; do
  printf '{"artifact": "%s"}\n' "$path" >> "$REPRO_EVENTS"
done
'''
deps = ["in"]
outs = ["out"]
"#;

#[test]
fn params_in_texts() {
    let sandbox = Sandbox::with(
        "[params]\nrate = 0.1\nunused = 1\n\
         [stages.a]\ncmd = 'echo {{ params.rate }} > a'\nouts = ['a']\n\
         [stages.b]\ncmd = 'cat in > b'\ndeps = ['in']\nouts = ['b']\n",
    );
    sandbox.write("in", "1");
    sandbox.ok(&["run"]);
    sandbox.ok(&["run", "-p", "rate=0.2"]);
    assert_eq!(show(&sandbox, "run-2")["params"], json!({ "rate": 0.2 }));
    let done = sandbox.ok(&["params", "diff", "run-1", "run-2"]);
    assert!(done.stdout.contains("rate"), "{done}");
    // The stage with the param is up to date, and its declaration is not read again.
    sandbox.ok(&["run"]);
    sandbox.write("in", "2");
    sandbox.ok(&["run"]);
    assert_eq!(show(&sandbox, "latest")["params"], json!({ "rate": 0.1 }));
}

#[test]
fn reported_artifacts_are_kept() {
    let sandbox = Sandbox::with(DRAWING);
    sandbox.write("in", "first");
    sandbox.ok(&["run"]);
    sandbox.write("in", "second");
    sandbox.ok(&["run"]);
    sandbox.remove("plots");
    // The outs of the first run go, what it pointed out stays.
    let done = sandbox.ok(&["gc", "--runs", "1", "--yes"]);
    assert!(done.stdout.contains("reported artifacts"), "{done}");
    sandbox.ok(&["get", "run-1:plots/a.png"]);
    assert_eq!(sandbox.read("a.png"), "first");
    sandbox.ok(&["get", "run-2:plots/deep", "-o", "deep"]);
    assert_eq!(sandbox.read("deep/b"), "second");
    let artifacts = show(&sandbox, "run-1")["artifacts"].clone();
    let of = |path: &str| {
        let artifacts = artifacts.as_array().unwrap();
        artifacts.iter().find(|artifact| artifact["path"] == path).unwrap()
    };
    let first = blake3::hash(b"first").to_hex();
    assert_eq!(of("plots/a.png")["digest"], first.as_str());
    assert_eq!(
        (&of("plots")["kind"], &of("plots")["origin"]),
        (&"tree".into(), &"reported".into())
    );
    assert_eq!((&of("out")["origin"], &of("none.png")["digest"]), (&"out".into(), &Value::Null));
    // A deleted run keeps nothing.
    let database = Connection::open(sandbox.path("runs/runs.db")).unwrap();
    database.execute("UPDATE runs SET lifecycle = 'deleted' WHERE number = 1", []).unwrap();
    drop(database);
    sandbox.ok(&["gc", "--yes"]);
    assert_eq!(sandbox.repro(&["get", "run-1:plots/a.png", "-o", "x"]).code, 3);
}

#[test]
fn uncommitted_changes_are_kept() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'echo > new-out'\nouts = ['new-out']\n");
    sandbox.write(".gitignore", "cache/\nruns/\nignored\n");
    sandbox.write("tracked", "1\n");
    sandbox.write("gone", "x\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "first"]);
    sandbox.write("tracked", "2\n");
    sandbox.remove("gone");
    sandbox.write("dir/new \u{e9}", "new\n");
    sandbox.write("dir/binary", [0, 255, 1]);
    sandbox.write("tool", "#!/bin/sh\n");
    fs::set_permissions(sandbox.path("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.write("ignored", "no");
    sandbox.write("large", vec![7; 2 << 20]);
    let state = || {
        let mut objects = files(&sandbox.path(".git/objects"));
        let empty = "e6/9de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        objects.retain(|object| object != empty);
        (fs::read(sandbox.path(".git/index")).unwrap(), objects)
    };
    let before = state();
    sandbox.ok(&["run"]);
    assert_eq!(state(), before, "neither the index nor the objects change");
    let diff = show(&sandbox, "run-1")["git"]["diff"].clone();
    assert_eq!(diff["lacks"], json!(["large"]));
    let patch = fs::read(sandbox.path("runs/run-1/git.diff")).unwrap();
    assert_eq!(diff["digest"], blake3::hash(&patch).to_hex().as_str());
    assert_eq!(
        files(&sandbox.path("runs/run-1")),
        ["git.diff", "pipeline.lock", "recording.lock", "s/events.jsonl", "s/log", "s/params.json"]
    );
    let other = Sandbox::empty();
    let at = other.root();
    other.git(&["clone", "-q", sandbox.root().to_str().unwrap(), "."]);
    other.git(&["apply", "--binary", sandbox.path("runs/run-1/git.diff").to_str().unwrap()]);
    assert_eq!(
        (other.read("tracked"), other.read("dir/new \u{e9}")),
        ("2\n".into(), "new\n".into())
    );
    assert_eq!(fs::read(at.join("dir/binary")).unwrap(), [0, 255, 1]);
    assert_eq!(fs::metadata(at.join("tool")).unwrap().permissions().mode() & 0o111, 0o111);
    for absent in ["gone", "ignored", "large", "new-out", "pipeline.lock"] {
        assert!(!other.exists(absent), "{absent}");
    }
}

#[test]
fn run_in_subfolder_of_checkout() {
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "-q"]);
    sandbox.write(".gitignore", "cache/\nruns/\n");
    sandbox.write("project/pipeline.toml", "[stages.s]\ncmd = 'true'\n");
    sandbox.write("beside", "1");
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "first"]);
    sandbox.write("beside", "2");
    sandbox.write("project/new", "1\n");
    let mut command = sandbox.command(&["run"]);
    command.current_dir(sandbox.path("project"));
    assert_eq!(sandbox.finish(&mut command).code, 0);
    let patch = sandbox.read("project/runs/run-1/git.diff");
    assert!(patch.contains("+++ b/new\n") && !patch.contains("beside"), "{patch}");
}
