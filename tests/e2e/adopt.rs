//! `repro adopt`: results that were made elsewhere, or edited, become the outs of a stage.

use crate::run::chain;
use crate::sandbox::Sandbox;
use crate::snapshot;

const TRAIN: &str = "[stages.train]\ncmd = 'echo ran >> ran; cat data > model/weights'\n\
                     deps = ['data']\nouts = ['model', 'log']\n";

fn finished() -> Sandbox {
    let sandbox = Sandbox::with(TRAIN);
    sandbox.write("data", "d");
    sandbox.write("model/weights", "a week of work");
    sandbox.write("log", "epoch 100");
    sandbox
}

#[test]
fn adopted_outs_are_stored() {
    let sandbox = finished();
    snapshot!(sandbox.repro(&["adopt", "train", "--reason", "trained on the cluster"]), @"
    exit 0
    --- stdout
    train accepted as up to date in run-1: trained on the cluster
     never ran
    ");
    sandbox.ok(&["status", "--check"]);
    sandbox.remove("model");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("model/weights"), "a week of work");
    assert!(sandbox.ran().is_empty());
    assert!(sandbox.read("pipeline.lock").contains("accepted \"trained on the cluster\"\n"));
}

#[test]
fn adopted_outs_are_linked() {
    let sandbox = finished();
    sandbox.edit("pipeline.toml", "[stages.train]", "[cache]\nlink = ['symlink']\n[stages.train]");
    sandbox.ok(&["commit", "train", "--reason", "x"]);
    assert!(sandbox.path("log").is_symlink());
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn adopt_names_missing_out() {
    let sandbox = finished();
    sandbox.remove("log");
    snapshot!(sandbox.repro(&["adopt", "train", "--reason", "x"]), @"
    exit 2
    --- stderr
    error: out `log` of stage `train` does not exist
     hint: put it in place to accept it, or make it with `repro run train`; set `optional = true` if it may be missing
    ");
    sandbox.edit("pipeline.toml", "'log'", "{ path = 'log', optional = true }");
    sandbox.ok(&["adopt", "train", "--reason", "x"]);
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn edited_outs_are_accepted() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.write("counts/all", "by hand");
    sandbox.write("counts/more", "by hand");
    snapshot!(sandbox.repro(&["accept", "count", "--reason", "corrected"]), @"
    exit 0
    --- stdout
    count accepted as up to date in run-2: corrected
     out counts differs from what the stage wrote
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["report"]);
    sandbox.remove("pipeline.lock");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("counts/all"), "by hand");
    sandbox.ok(&["run", "-f=count", "count"]);
    assert!(!sandbox.exists("counts/more"));
}

#[test]
fn whole_project_moves_in() {
    let made = chain();
    made.ok(&["run"]);
    let sandbox = chain();
    refuse_all(&sandbox);
    for path in ["words.txt", "counts/all", "report.txt", "report.json"] {
        sandbox.write(path, made.read(path));
    }
    let done = sandbox.ok(&["accept", "--all", "--reason", "moved in"]);
    let words: Vec<&str> =
        done.stdout.lines().filter_map(|line| line.split(" accepted").next()).collect();
    assert!(words.contains(&"words") && words.contains(&"report"), "{done}");
    sandbox.ok(&["status", "--check"]);
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
    let runs = sandbox.ok(&["runs", "list"]).stdout;
    assert!(runs.contains("run-1") && !runs.contains("run-2"), "{runs}");
    let again = sandbox.repro(&["accept", "--all", "--reason", "x"]);
    assert!(again.stderr.contains("all these stages are up to date"), "{again}");
}

/// Asserts that all stages are refused, each with its missing out, and that nothing is recorded.
fn refuse_all(sandbox: &Sandbox) {
    sandbox.write("words.txt", "w");
    let done = sandbox.repro(&["accept", "--all", "--reason", "moved in"]);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stderr.contains("out `counts` of stage `count` does not exist"), "{done}");
    assert!(!sandbox.exists("pipeline.lock"));
}

#[test]
fn frozen_stage_is_adopted() {
    let sandbox = finished();
    sandbox.edit("pipeline.toml", "deps =", "frozen = true\ndeps =");
    assert_eq!(sandbox.repro(&["run"]).code, 2);
    sandbox.remove("log");
    let done = sandbox.repro(&["adopt", "train", "--reason", "x"]);
    let hint = "put it in place to accept it (`train` is frozen and does not run); set";
    assert!(done.stderr.contains(hint), "{done}");
    sandbox.write("log", "epoch 100");
    sandbox.ok(&["adopt", "train", "--reason", "x"]);
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
}

#[test]
fn adopt_checks_every_item() {
    let sandbox = Sandbox::with(
        "[stages.up]\neach = 'in/*.txt'\ncmd = 'echo ran >> ran; touch up/{{ item.name }}'\n\
         outs = ['up/{{ item.name }}']\n",
    );
    for name in ["a", "b"] {
        sandbox.write(&format!("in/{name}.txt"), name);
    }
    sandbox.write("up/a.txt", "A");
    let done = sandbox.repro(&["adopt", "up", "--reason", "x"]);
    assert!(done.stderr.contains("out `up/b.txt` of item `in/b.txt` of stage `up`"), "{done}");
    sandbox.write("up/b.txt", "B");
    sandbox.ok(&["adopt", "up", "--reason", "x"]);
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
}
