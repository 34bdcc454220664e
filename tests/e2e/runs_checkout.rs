//! `repro runs checkout`: brings back the params, the lock and the outs of a run.

use crate::sandbox::Sandbox;
use crate::snapshot;

/// Two runs with other params and outs.
fn two_runs() -> Sandbox {
    let sandbox = Sandbox::with(
        "# about\n[params]\nrate = 0.5   # per step\nlayers = [1, 2]\nname = 'a'\n\
         [stages.s]\ncmd = \"echo '{{ params.rate }} {{ params.name }}' > out; echo x > scratch\"\n\
         params = ['rate', 'layers', 'name']\n\
         outs = ['out', { path = 'scratch', cache = false }]\n",
    );
    sandbox.ok(&["run"]);
    sandbox.edit("pipeline.toml", "rate = 0.5", "rate = 0.25");
    sandbox.edit("pipeline.toml", "[1, 2]", "[3]");
    sandbox.edit("pipeline.toml", "'a'", "\"b\"");
    sandbox.ok(&["run"]);
    sandbox
}

#[test]
fn params_lock_and_outs() {
    let sandbox = two_runs();
    let second = (sandbox.read("pipeline.toml"), sandbox.read("pipeline.lock"));
    snapshot!(sandbox.repro(&["runs", "checkout", "run-1"]), @r#"
    exit 0
    --- stdout
    layers [3] → [1,2]
    name "b" → "a"
    rate 0.25 → 0.5
    restored the outs of s: 1 file, 6 B
    pipeline.lock is that of run-1
    `repro runs checkout run-2` brings back the state before
    "#);
    assert_eq!(sandbox.read("out"), "0.5 a\n");
    assert!(sandbox.read("pipeline.toml").starts_with(
        "# about\n[params]\nrate = 0.5   # per step\nlayers = [1, 2]\nname = \"a\"\n"
    ));
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    everything is up to date (1 stage)
    ");
    snapshot!(sandbox.repro(&["runs", "checkout", "run-1"]), @"
    exit 0
    --- stdout
    the project already is as run-1 left it
    ");
    sandbox.ok(&["runs", "checkout", "run-2"]);
    assert_eq!((sandbox.read("pipeline.toml"), sandbox.read("pipeline.lock")), second);
}

#[test]
fn edits_go_to_trash() {
    let sandbox = two_runs();
    sandbox.write("out", "edited");
    sandbox.edit("pipeline.toml", "# about", "# edited");
    let done = sandbox.ok(&["runs", "checkout", "run-1"]);
    assert!(done.stderr.contains("your version of `out` was replaced"), "{done}");
    assert!(sandbox.read("pipeline.toml").starts_with("# edited"));
    assert_eq!(sandbox.read("out"), "0.5 a\n");
    sandbox.ok(&["trash", "restore", "1"]);
    assert_eq!(sandbox.read("out"), "edited");
}

#[test]
fn unknown_lock_is_not_replaced() {
    let sandbox = two_runs();
    let lock = sandbox.read("pipeline.lock");
    sandbox.write("pipeline.lock", lock.replace("rate 0.25", "rate 0.125"));
    let changed = sandbox.read("pipeline.lock");
    snapshot!(sandbox.repro(&["runs", "checkout", "run-1"]), @"
    exit 2
    --- stderr
    error: `pipeline.lock` cannot be brought back
     caused by: it is neither that of a run nor committed to git
     hint: commit it, or move it away if you do not need it
    ");
    assert_eq!(sandbox.read("pipeline.lock"), changed);
    assert_eq!(sandbox.read("out"), "0.25 b\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "x"]);
    sandbox.ok(&["runs", "checkout", "run-1"]);
    assert_eq!(sandbox.read("out"), "0.5 a\n");
}

#[test]
fn nothing_changes_without_objects() {
    let sandbox = two_runs();
    sandbox.ok(&["gc", "--runs", "0", "--yes"]);
    let before = (sandbox.read("pipeline.toml"), sandbox.read("pipeline.lock"));
    snapshot!(sandbox.repro(&["runs", "checkout", "run-1"]), @"
    exit 3
    --- stderr
    error: run-1 cannot be restored
     caused by: the cache does not hold `out` any more
     hint: `repro runs reproduce run-1` makes its outs again
    ");
    assert_eq!((sandbox.read("pipeline.toml"), sandbox.read("pipeline.lock")), before);
    assert_eq!(sandbox.read("out"), "0.25 b\n");
}

#[test]
fn copy_elsewhere() {
    let sandbox = two_runs();
    let before = (sandbox.read("pipeline.toml"), sandbox.read("pipeline.lock"));
    snapshot!(sandbox.repro(&["runs", "checkout", "run-1", "--to", "old"]), @"
    exit 0
    --- stdout
    wrote the outs of run-1 to `old`: 1 file, 6 B
    ");
    assert_eq!((sandbox.read("pipeline.toml"), sandbox.read("pipeline.lock")), before);
    let files = crate::sandbox::files(&sandbox.path("old"));
    assert_eq!(files, ["out", "params.json", "pipeline.lock"]);
    assert_eq!(sandbox.read("old/out"), "0.5 a\n");
    snapshot!(sandbox.repro(&["runs", "checkout", "run-1", "--to", "old"]), @"
    exit 2
    --- stderr
    error: `$ROOT/old` is not empty
     hint: give a new folder, so that nothing in it is replaced
    ");
}

#[test]
fn config_group_of_run() {
    let sandbox = Sandbox::with(
        "config.groups = { model = 'small' }\n[stages.s]\n\
         cmd = 'cp $REPRO_PARAMS out'\nparams = ['model']\nouts = ['out']\n",
    );
    sandbox.write("conf/model/small.toml", "units = 1\n");
    sandbox.write("conf/model/large.toml", "units = 2\n");
    sandbox.ok(&["run", "-p", "model=large"]);
    sandbox.ok(&["run"]);
    snapshot!(sandbox.repro(&["runs", "checkout", "run-1"]), @r#"
    exit 0
    --- stdout
    model "small" → "large"
    restored the outs of s: 1 file, 36 B
    pipeline.lock is that of run-1
    `repro runs checkout run-2` brings back the state before
    "#);
    assert!(sandbox.read("pipeline.toml").contains("model = \"large\""));
    assert_eq!(sandbox.read("conf/model/small.toml"), "units = 1\n");
    let status = sandbox.ok(&["status"]);
    assert!(status.stdout.contains("everything is up to date"), "{status}");
}
