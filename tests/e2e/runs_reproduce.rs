//! `repro runs reproduce`: a run is repeated in a worktree.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

/// A project with an input that git ignores, and stages that note in `ran` that they ran.
fn project() -> Sandbox {
    let sandbox = Sandbox::empty();
    let ran = sandbox.path("ran");
    let ran = ran.display();
    sandbox.write(
        "pipeline.toml",
        format!(
            "[params]\nrate = 0.5\n[stages.first]\ncmd = 'cat data code > a; echo first >> {ran}'\n\
             deps = ['data', 'code']\nouts = ['a']\n[stages.second]\n\
             cmd = \"cat a > b; cat chance >> b; \
             echo '{{\\\"x\\\": {{{{ params.rate }}}}}}' > m.json; \
             echo second >> {ran}\"\n\
             deps = ['a', 'chance']\nparams = ['rate']\n\
             outs = ['b']\nmetrics = ['m.json']\n"
        ),
    );
    sandbox.write("data", "input\n");
    sandbox.write("code", "1\n");
    sandbox.write("chance", "");
    sandbox.write(".gitignore", "/data\n/ran\n/a\n/b\n/m.json\n");
    sandbox
}

fn in_git(sandbox: &Sandbox) {
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "x"]);
}

fn reproduce(sandbox: &Sandbox, args: &[&str]) -> Done {
    sandbox.repro(&[&["runs", "reproduce"], args].concat())
}

#[test]
fn repeats_commit() {
    let sandbox = project();
    in_git(&sandbox);
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["first", "second"]);
    // The present state differs from that of the run.
    sandbox.write("code", "2\n");
    sandbox.edit("pipeline.toml", "rate = 0.5", "rate = 0.7");
    sandbox.ok(&["run"]);
    sandbox.ran();
    let before = (sandbox.read("b"), sandbox.read("pipeline.lock"));
    snapshot!(reproduce(&sandbox, &["run-1"]), @"
    exit 0
    --- stdout
    run-1 is reproduced by run-3: 3 outs and 1 metric compared
    --- stderr
    run-3: started
    first: started (forced)
    first: ran in [time]
    second: started (forced)
    second: ran in [time]
    ");
    assert_eq!(sandbox.ran(), ["first", "second"]);
    assert_eq!((sandbox.read("b"), sandbox.read("pipeline.lock")), before);
    assert_eq!(fs::read_dir(sandbox.path("cache/worktrees")).unwrap().count(), 0);
    // The user's git is as it was.
    assert!(!sandbox.exists(".git/worktrees"));
    // One stage, with the others restored.
    snapshot!(reproduce(&sandbox, &["1", "second", "--json"]), @r#"
    exit 0
    --- stdout
    {
     "inputs": [],
     "is_reproduced": true,
     "metrics": [
     {
     "metric": "second.x",
     "original": 0.5,
     "reproduced": 0.5,
     "result": "same"
     }
     ],
     "outs": [
     {
     "path": "b",
     "result": "same",
     "stage": "second"
     },
     {
     "path": "m.json",
     "result": "same",
     "stage": "second"
     }
     ],
     "reproduced_as": "run-4",
     "run": "run-1"
    }
    --- stderr
    run-4: started
    first: restored in [time]
    second: started (forced)
    second: ran in [time]
    "#);
    assert_eq!(sandbox.ran(), ["second"]);
    sandbox.ok(&["fsck"]);
}

#[test]
fn override_is_repeated() {
    let sandbox = project();
    in_git(&sandbox);
    sandbox.ok(&["run", "-p", "rate=0.9"]);
    sandbox.write("data", "another\n");
    sandbox.ok(&["run"]);
    sandbox.write("data", "input\n");
    let done = reproduce(&sandbox, &["run-1"]);
    assert_eq!(done.code, 0, "{done}");
}

#[test]
fn dirty_tree_is_repeated() {
    let sandbox = project();
    in_git(&sandbox);
    sandbox.write("code", "edited\n");
    sandbox.remove("chance");
    sandbox.write("new", "untracked\n");
    sandbox.edit("pipeline.toml", "'chance'", "'new'");
    sandbox.edit("pipeline.toml", "cat chance", "cat new");
    sandbox.ok(&["run"]);
    sandbox.remove("new");
    sandbox.git(&["checkout", "-q", "."]);
    let done = reproduce(&sandbox, &["run-1"]);
    assert_eq!(done.code, 0, "{done}");
    sandbox.remove("runs/run-1/git.diff");
    snapshot!(reproduce(&sandbox, &["run-1"]), @"
    exit 2
    --- stderr
    error: run-1 cannot be repeated: inputs are gone
     caused by: `code`, as it was then, is neither in the workspace nor in the cache
     caused by: it began with changes that were not recorded
    ");
}

#[test]
fn missing_input_is_named() {
    let sandbox = project();
    in_git(&sandbox);
    sandbox.ok(&["run"]);
    sandbox.write("data", "another\n");
    snapshot!(reproduce(&sandbox, &["last"]), @"
    exit 2
    --- stderr
    error: run-1 cannot be repeated: inputs are gone
     caused by: `data`, as it was then, is neither in the workspace nor in the cache
    ");
    assert_eq!(fs::read_dir(sandbox.path("cache/worktrees")).unwrap().count(), 0);
}

#[test]
fn chance_is_noticed() {
    let sandbox = project();
    sandbox.edit("pipeline.toml", "cat chance >> b", "date +%N >> b; mkdir -p d; date +%N > d/x");
    sandbox.edit("pipeline.toml", "outs = ['b']", "outs = ['b', 'd']");
    sandbox.edit("pipeline.toml", "{{ params.rate }}", "1'$(date +%N)'");
    in_git(&sandbox);
    sandbox.ok(&["run"]);
    let done = reproduce(&sandbox, &["run-1"]);
    assert_eq!(done.code, 4, "{done}");
    for expected in ["second  b  ", "d/x  ", "differs", "run-1 is not reproduced by run-2\n"] {
        assert!(done.stdout.contains(expected), "{done}");
    }
    assert_eq!(reproduce(&sandbox, &["run-1", "--atol", "0"]).code, 4);
    assert_eq!(reproduce(&sandbox, &["run-1", "--rtol", "1"]).code, 0);
    assert_eq!(reproduce(&sandbox, &["run-1", "--atol", "1e10"]).code, 0);
    assert_eq!(reproduce(&sandbox, &["run-1", "--atol", "-1"]).code, 2);
    assert_eq!(reproduce(&sandbox, &["run-1", "first"]).code, 0);
}

#[test]
fn without_git() {
    let sandbox = project();
    sandbox.ok(&["run"]);
    sandbox.ran();
    let done = reproduce(&sandbox, &["run-1"]);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(sandbox.ran(), ["first", "second"]);
    sandbox.write("code", "2\n");
    sandbox.edit("pipeline.toml", "rate = 0.5", "rate = 0.7");
    snapshot!(reproduce(&sandbox, &["run-1"]), @"
    exit 2
    --- stderr
    error: run-1 cannot be repeated: inputs are gone
     caused by: `code`, as it was then, is neither in the workspace nor in the cache
     caused by: it was recorded outside of git, or before the first commit
    ");
}

#[test]
fn failed_stage() {
    let sandbox = project();
    let ok = sandbox.path("ok");
    sandbox.edit("pipeline.toml", "cat a > b;", &format!("cat {} a > b || exit 3;", ok.display()));
    sandbox.write("ok", "");
    in_git(&sandbox);
    sandbox.ok(&["run"]);
    sandbox.remove("ok");
    let done = reproduce(&sandbox, &["run-1"]);
    assert_eq!(done.code, 1, "{done}");
    assert!(done.stdout.contains("run-1 is not reproduced by run-2\n"), "{done}");
}

#[test]
fn killed_repetition_is_removed() {
    let sandbox = project();
    sandbox.fifo("started");
    let started = sandbox.path("started");
    let wait = format!("echo > {}; sleep 1000; cat data", started.display());
    sandbox.edit(
        "pipeline.toml",
        "cat data",
        &format!("if test -e wait; then {wait}; fi; cat data"),
    );
    sandbox.write("wait", "");
    sandbox.ok(&["status"]);
    sandbox.remove("wait");
    sandbox.ok(&["run"]);
    sandbox.write("wait", "");
    let mut command = sandbox.command(&["runs", "reproduce", "run-1"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().unwrap();
    sandbox.read_fifo("started");
    let worktrees = || fs::read_dir(sandbox.path("cache/worktrees")).unwrap().count();
    assert_eq!(worktrees(), 2);
    assert_eq!(sandbox.repro(&["gc", "--yes"]).code, 3);
    // While it is alive, it stays.
    sandbox.remove("wait");
    sandbox.ok(&["run"]);
    assert_eq!(worktrees(), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.ok(&["run"]);
    assert_eq!(worktrees(), 0);
    sandbox.ok(&["gc", "--yes"]);
}

#[test]
fn git_state_of_repeated_run() {
    let sandbox = project();
    in_git(&sandbox);
    sandbox.write("code", "edited\n");
    sandbox.ok(&["run"]);
    sandbox.git(&["commit", "-qam", "y"]);
    let done = reproduce(&sandbox, &["run-1"]);
    assert_eq!(done.code, 0, "{done}");
    let shown = |run: &str| -> serde_json::Value {
        let done = sandbox.ok(&["runs", "show", run, "--json"]);
        serde_json::from_str(&done.stdout).unwrap()
    };
    let (first, second) = (shown("run-1"), shown("run-2"));
    assert_eq!(first["git"]["tree"], "dirty");
    assert_eq!(second["git"], first["git"]);
    assert_eq!(second["tags"]["reproduces"], first["uid"]);
    // So the repetition can be repeated.
    let done = reproduce(&sandbox, &["run-2"]);
    assert_eq!(done.code, 0, "{done}");
}
