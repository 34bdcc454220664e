//! `repro runs diff` and `repro params diff`: changes down to files, keys and lines.

use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

/// Two runs that differ in code, a param, a tool, a variable and data; the second also in a stage.
fn two_runs() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[params.train]
epochs = 10
rate = 0.5

[stages.data]
cmd = "mkdir -p data; cp raw/* data"
deps = ["raw"]
outs = ["data"]

[stages.train]
cmd = "python3 -c '' || true; echo \"{\\\"loss\\\": $(cat code/*.py | wc -l)}\" > m.json"
deps = ["data", "code/**/*.py"]
params = ["train"]
env_deps = ["MODE"]
tools = ["cat version"]
metrics = ["m.json"]

[stages.old]
cmd = "echo 1 > old"
outs = ["old"]
"#,
    );
    sandbox.write(".gitignore", "/cache/\n/runs/\n/data\n/m.json\n/old\n/new\n");
    sandbox.write("raw/a", "1");
    sandbox.write("raw/b", "1");
    sandbox.write("code/a.py", "one\ntwo\nthree\n");
    sandbox.write("code/gone.py", "gone\n");
    sandbox.write("version", "1.0");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-q", "-m", "first"]);
    sandbox.ok(&["run"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-q", "-m", "lock"]);
    sandbox.write("raw/a", "2");
    sandbox.write("raw/c", "1");
    sandbox.write("code/a.py", "one\n2\nthree\n\tfour\n");
    sandbox.remove("code/gone.py");
    sandbox.write("code/sub/new.py", "new\n");
    sandbox.write("code/binary.py", b"\0\n");
    sandbox.write("version", "2.0");
    sandbox.edit("pipeline.toml", "[stages.old]", "[stages.new]");
    sandbox.edit("pipeline.toml", "echo 1 > old", "echo 1 > new");
    sandbox.edit("pipeline.toml", "outs = [\"old\"]", "outs = [\"new\"]");
    sandbox.edit("pipeline.toml", "rate = 0.5", "rate = 0.75");
    sandbox.finish(sandbox.command(&["run"]).env("MODE", "fast"));
    sandbox
}

fn without_commits(mut done: Done) -> Done {
    let is_commit = |word: &str| word.len() == 10 && word.chars().all(|c| c.is_ascii_hexdigit());
    let words: Vec<String> = done.stdout.split([' ', '\n']).map(str::to_owned).collect();
    for word in words.iter().filter(|word| is_commit(word)) {
        done.stdout = done.stdout.replace(word, "[commit]");
    }
    done
}

#[test]
fn stage_by_stage() {
    let sandbox = two_runs();
    let diff = |args: &[&str]| without_commits(sandbox.repro(&[&["runs", "diff"], args].concat()));
    snapshot!(diff(&["run-1", "run-2"]), @r#"
    exit 0
    --- stdout
     run-1 run-2
    git [commit] [commit] with uncommitted changes

    param run-1 run-2
    train.rate 0.5 0.75

    data
     file raw/a changed
     file raw/c added
     out data changed
     file data/a changed
     file data/c added

    new only in run-2

    old only in run-1

    train
     train.rate 0.5 → 0.75
     env MODE - → "fast"
     tool `cat version` "1.0" → "2.0"
     file code/a.py changed
     file code/binary.py added
     file code/gone.py removed
     file code/sub/new.py added
     file data/a changed
     file data/c added
     out m.json changed

    metric run-1 run-2 change
    train.loss 4 5 +1 changed
    "#);
    snapshot!(diff(&["run-2", "run-2"]), @"
    exit 0
    --- stdout
    run-2 and run-2 have the same params, stages, outs and metrics
    ");
    // The second side is the latest run.
    assert_eq!(diff(&["run-1"]).stdout, diff(&["run-1", "run-2"]).stdout);
    let json = sandbox.ok(&["runs", "diff", "run-1", "run-2", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let stages = json["stages"].as_array().unwrap().iter();
    let stages: Vec<_> = stages.map(|stage| [&stage["stage"], &stage["fate"]]).collect();
    let expected =
        [["data", "changed"], ["new", "added"], ["old", "removed"], ["train", "changed"]];
    assert_eq!(serde_json::json!(stages), serde_json::json!(expected));
}

#[test]
fn lines_of_code() {
    let sandbox = two_runs();
    let done = sandbox.ok(&["runs", "diff", "run-1", "run-2", "--patch"]);
    let (_, patches) = done.stdout.split_once("out m.json changed\n").unwrap();
    snapshot!(patches, @r"
    code/a.py
    @@ -1,3 +1,4 @@
     one
    -two
    +2
     three
    +	four

    code/binary.py: no lines are shown, because it is not a text

    code/gone.py
    @@ -1 +0,0 @@
    -gone

    code/sub/new.py
    @@ -0,0 +1 @@
    +new

    raw/a
    @@ -1 +1 @@
    -1
    \ No newline at end of file
    +2
    \ No newline at end of file

    raw/c
    @@ -0,0 +1 @@
    +1
    \ No newline at end of file

    metric run-1 run-2 change
    train.loss 4 5 +1 changed
    ");
    // The code of both runs is gone from the workspace; git has the first.
    sandbox.write("code/a.py", "other\n");
    let done = sandbox.ok(&["runs", "diff", "run-1", "run-2", "--patch"]);
    assert!(
        done.stdout.contains("code/a.py: no lines are shown, because its bytes in run-2"),
        "{done}"
    );
}

#[test]
fn revisions_and_workspace() {
    let sandbox = two_runs();
    let diff = |a: &str, b: &str| sandbox.ok(&["runs", "diff", a, b]).stdout;
    let of_stages = |text: String| {
        let (_, stages) = text.split_once("\ndata\n").unwrap();
        stages.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        of_stages(diff("HEAD", "run-2")),
        of_stages(diff("run-1", "run-2")).replace("run-1", "HEAD")
    );
    let same = diff("run-2", "workspace");
    assert!(same.contains("run-2 and workspace have the same params, stages, outs"), "{same}");
    sandbox.edit("pipeline.toml", "epochs = 10", "epochs = 20");
    let changed = diff("run-2", "workspace");
    assert!(changed.contains("train.epochs"), "{changed}");
}

#[test]
fn lock_not_kept() {
    let sandbox = two_runs();
    sandbox.remove("runs/run-1/pipeline.lock");
    snapshot!(without_commits(sandbox.repro(&["runs", "diff", "run-1", "run-2"])), @"
    exit 0
    --- stdout
     run-1 run-2
    git [commit] [commit] with uncommitted changes

    param run-1 run-2
    train.rate 0.5 0.75

    data
     out data changed
     file data/a changed
     file data/c added

    new only in run-2

    old only in run-1

    train
     out m.json changed

    metric run-1 run-2 change
    train.loss 4 5 +1 changed
    --- stderr
    the lock of run-1 was not kept, so commands, deps, tools and variables of stages cannot be compared
    ");
}

#[test]
fn listings_gone_from_the_cache() {
    let sandbox = two_runs();
    sandbox.remove("cache/objects");
    let done = sandbox.ok(&["runs", "diff", "run-1", "run-2"]);
    for line in ["  dep raw changed\n", "  out data changed\n", "  dep code/**/*.py changed\n"] {
        assert!(done.stdout.contains(line), "{line} {done}");
    }
}

#[test]
fn failed_stage() {
    let sandbox = two_runs();
    sandbox.edit("pipeline.toml", "python3 -c '' || true;", "exit 1;");
    sandbox.repro(&["run"]);
    let done = sandbox.ok(&["runs", "diff", "run-2", "run-3"]);
    assert!(done.stderr.contains("stage `train` failed in run-3"), "{done}");
}

#[test]
fn unknown_runs() {
    let sandbox = two_runs();
    for (args, error) in [
        (["run-1", "run-9"], "there is no run `run-9`"),
        (["rnu-1", "run-2"], "hint: did you mean `run-1`?"),
        (["run-1", "workspcae"], "hint: did you mean `workspace`?"),
    ] {
        for command in [&["runs", "diff"], &["params", "diff"]] {
            let done = sandbox.repro(&[&command[..], &args[..]].concat());
            assert_eq!(done.code, 2, "{done}");
            assert!(done.stderr.contains(error), "{done}");
        }
    }
}

#[test]
fn params_diff() {
    let sandbox = two_runs();
    let diff = |args: &[&str]| sandbox.repro(&[&["params", "diff"], args].concat());
    snapshot!(diff(&["run-1", "HEAD", "run-2"]), @"
    exit 0
    --- stdout
    param run-1 HEAD run-2
    train.rate 0.5 0.5 0.75
    --- stderr
    1 other param is equal: `--all` lists it
    ");
    snapshot!(diff(&[]), @"
    exit 0
    --- stderr
    all 2 params are equal: `--all` lists them
    ");
    sandbox.edit("pipeline.toml", "epochs = 10", "epochs = 20");
    snapshot!(diff(&[]), @"
    exit 0
    --- stdout
    param run-2 workspace
    train.epochs 10 20
    --- stderr
    1 other param is equal: `--all` lists it
    ");
    snapshot!(diff(&["HEAD", "--all"]), @"
    exit 0
    --- stdout
    param HEAD workspace
    train.epochs 10 20
    train.rate 0.5 0.75
    ");
    let json: serde_json::Value = serde_json::from_str(&diff(&["--json"]).stdout).unwrap();
    let expected = serde_json::json!({
        "runs": ["run-2", "workspace"],
        "params": [{ "key": "train.epochs", "values": [10, 20] }],
    });
    assert_eq!(json, expected);
    // A revision without a lock has params.
    let done = diff(&["HEAD~1", "HEAD"]);
    assert!(done.stderr.contains("all 2 params are equal"), "{done}");
}
