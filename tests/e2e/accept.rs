//! `repro accept`: which changes it accepts and refuses, and what the lock and history record.

use crate::run::chain;
use crate::sandbox::Sandbox;
use crate::snapshot;

const ACCEPT: [&str; 4] = ["accept", "count", "--reason", "top is only printed"];

fn changed() -> Sandbox {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.ok(&["params", "set", "top=3"]);
    sandbox
}

#[test]
fn accepted_change_runs_nothing() {
    let sandbox = changed();
    snapshot!(sandbox.repro(&ACCEPT), @"
    exit 0
    --- stdout
    count accepted as up to date in run-2: top is only printed
     top 2 → 3
    ");
    snapshot!(sandbox.repro(&["why", "count"]), @"
    exit 0
    --- stdout
    count is up to date: the changes since it ran were accepted: top is only printed
    ");
    assert!(sandbox.read("pipeline.lock").contains("accepted \"top is only printed\"\n"));
    sandbox.ok(&["status", "--check"]);
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
    assert!(sandbox.read("pipeline.lock").contains("accepted \"top is only printed\"\n"));
}

#[test]
fn acceptance_survives_lock_removal() {
    let sandbox = changed();
    sandbox.ok(&ACCEPT);
    sandbox.remove("pipeline.lock");
    sandbox.ok(&["run", "count"]);
    assert!(sandbox.ran().is_empty());
    sandbox.ok(&["run", "-f=count", "count"]);
    assert_eq!(sandbox.ran(), ["count"]);
    assert!(!sandbox.read("pipeline.lock").contains("accepted"));
}

#[test]
fn acceptance_is_recorded() {
    let sandbox = changed();
    sandbox.ok(&ACCEPT);
    let shown = sandbox.ok(&["runs", "show"]).stdout;
    let stages = shown.split("\n\n").find(|part| part.starts_with("stages")).unwrap();
    snapshot!(stages, @"
    stages
     count accepted top is only printed
     despite: top 2 → 3
    ");
    let shown: serde_json::Value =
        serde_json::from_str(&sandbox.ok(&["runs", "show", "--json"]).stdout).unwrap();
    assert_eq!(shown["stages"][0]["outcome"], "accepted");
    assert_eq!(shown["stages"][0]["because"], "top is only printed");
    assert_eq!(shown["stages"][0]["reasons"][0], "top 2 → 3");
    sandbox.ok(&["params", "set", "title=u"]);
    sandbox.ok(&["accept", "report", "--reason", "a\n title "]);
    let shown: serde_json::Value =
        serde_json::from_str(&sandbox.ok(&["runs", "show", "--json"]).stdout).unwrap();
    assert_eq!(shown["stages"][0]["because"], "a title");
    assert_eq!((&shown["run"], &shown["metrics"]["report.lines"]), (&"run-3".into(), &3.0.into()));
}

/// Asserts that the command is refused, and that the lock and the history stay as they are.
fn refused(sandbox: &Sandbox, args: &[&str], why: &str) {
    let runs = sandbox.repro(&["runs", "list"]).to_string();
    let lock = sandbox.exists("pipeline.lock").then(|| sandbox.read("pipeline.lock"));
    let done = sandbox.repro(args);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stderr.contains(why), "{why}\n{done}");
    assert_eq!(sandbox.repro(&["runs", "list"]).to_string(), runs);
    assert_eq!(sandbox.exists("pipeline.lock").then(|| sandbox.read("pipeline.lock")), lock);
}

#[test]
fn accept_refuses_missing_outs() {
    let sandbox = chain();
    refused(
        &sandbox,
        &["accept", "words", "--reason", "x"],
        "out `words.txt` of stage `words` does not exist",
    );
    sandbox.ok(&["run"]);
    refused(&sandbox, &ACCEPT, "stage `count` is up to date; there is nothing to accept");
    sandbox.ok(&["params", "set", "top=3"]);
    refused(&sandbox, &["accept", "count", "--reason", " "], "the reason must not be empty");
    refused(&sandbox, &["accept", "cuont", "--reason", "x"], "did you mean `count`?");
    sandbox.remove("counts");
    refused(&sandbox, &ACCEPT, "out `counts` of stage `count` does not exist");
    sandbox.ok(&["params", "set", "top=2"]);
    refused(&sandbox, &ACCEPT, "out `counts` of stage `count` does not exist");
}

#[test]
fn accept_refuses_known_differences() {
    let sandbox = Sandbox::with(
        "[params]\nn = 1\n[stages.s]\ncmd = 'echo {{ params.n }} > out'\nparams = ['n']\n\
         outs = ['out']\n",
    );
    let accept = ["accept", "s", "--reason", "x"];
    sandbox.ok(&["run"]);
    sandbox.ok(&["params", "set", "n=2"]);
    sandbox.ok(&["run"]);
    sandbox.ok(&["params", "set", "n=1"]);
    refused(&sandbox, &accept, "stage `s` has run with this input before and wrote different outs");
    sandbox.edit("pipeline.toml", "['out']", "['out', 'more']");
    refused(&sandbox, &accept, "out `more` of stage `s` does not exist");
    sandbox.edit("pipeline.toml", "['out', 'more']", "['out']\nalways = true");
    refused(&sandbox, &accept, "runs every time, whatever is accepted");
}

#[test]
fn accept_refuses_tracked_input() {
    let sandbox = Sandbox::with("[stages.s]\nouts = ['in']\n");
    sandbox.write("in", "1");
    sandbox.ok(&["run"]);
    sandbox.write("in", "2");
    refused(
        &sandbox,
        &["accept", "s", "--reason", "x"],
        "tracks an input and has nothing to accept",
    );
}

#[test]
fn accept_drops_undeclared_out() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'echo 1 | tee a > b'\nouts = ['a', 'b']\n");
    sandbox.ok(&["run"]);
    sandbox.edit("pipeline.toml", "['a', 'b']", "['a']");
    sandbox.ok(&["accept", "s", "--reason", "b is a log"]);
    sandbox.ok(&["status", "--check"]);
    sandbox.remove("pipeline.lock");
    sandbox.ok(&["status", "--check"]);
}

/// Equal content of another out would bring the target of the link back.
#[test]
fn link_to_missing_object() {
    let sandbox = Sandbox::with(
        "[cache]\nlink = ['symlink', 'copy']\n\
         [stages.pair]\ncmd = 'echo x > a; echo x > b; chmod +x b'\nouts = ['a', 'b']\n",
    );
    sandbox.ok(&["run"]);
    assert!(sandbox.path("a").is_symlink());
    sandbox.remove("cache");
    snapshot!(sandbox.repro(&["accept", "pair", "--reason", "x"]), @"
    exit 2
    --- stderr
    error: `a` is a link to an object that is no longer in the cache
     hint: remove the link, or make the out again by running its stage
    ");
    sandbox.ok(&["run"]);
    sandbox.ok(&["status", "--check"]);
}
