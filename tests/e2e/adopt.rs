//! `repro adopt`: results that were made elsewhere, or edited, become the outs of a stage.

use crate::run::chain;
use crate::sandbox::Sandbox;
use crate::snapshot;

const TRAIN: &str = "[stages.train]\ncmd = 'echo ran >> ran; mkdir -p model; \
                     cat data > model/weights'\ndeps = ['data']\nouts = ['model', 'log']\n";

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

/// Returns the commands that the warnings of a run name.
fn commands_named(stderr: &str) -> Vec<String> {
    let named = stderr.split('`').filter_map(|part| part.strip_prefix("repro "));
    named.filter(|command| command.starts_with("trash restore")).map(str::to_owned).collect()
}

/// Follows the only command that a run named to bring replaced files back.
fn bring_back(sandbox: &Sandbox, stderr: &str) {
    let commands = commands_named(stderr);
    assert_eq!(commands.len(), 1, "{stderr}");
    sandbox.ok(&commands[0].split(' ').collect::<Vec<_>>());
}

#[test]
fn replaced_adopted_outs_return() {
    for cached in ["", "cache = false, "] {
        let sandbox = Sandbox::with(&format!(
            "[stages.train]\ncmd = 'mkdir -p model; cat data > model/weights'\n\
             deps = ['data']\nouts = [{{ {cached}path = 'model' }}]\n"
        ));
        sandbox.write("data", "d");
        sandbox.write("model/weights", "a week of work");
        sandbox.write("model/log", "epoch 100");
        sandbox.ok(&["adopt", "train", "--reason", "made elsewhere"]);
        sandbox.write("data", "other");
        let done = sandbox.ok(&["run"]);
        assert_eq!(sandbox.read("model/weights"), "other");
        sandbox.ok(&["gc", "--yes", "--runs", "0"]);
        bring_back(&sandbox, &done.stderr);
        assert_eq!(sandbox.read("model/weights"), "a week of work", "{cached}");
        assert_eq!(sandbox.read("model/log"), "epoch 100");
    }
}

#[test]
fn restored_over_adopted_out() {
    let sandbox = Sandbox::with(
        "[params]\nn = 1\n[stages.s]\ncmd = 'echo {{ params.n }} > o'\nouts = ['o']\n",
    );
    sandbox.ok(&["run"]);
    sandbox.write("o", "by hand");
    sandbox.ok(&["params", "set", "n=2"]);
    sandbox.ok(&["adopt", "s", "--reason", "x"]);
    sandbox.ok(&["params", "set", "n=1"]);
    let done = sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("o"), "1\n");
    bring_back(&sandbox, &done.stderr);
    assert_eq!(sandbox.read("o"), "by hand");
}

#[test]
fn replaced_items_return() {
    let sandbox = Sandbox::with(
        "[stages.up]\neach = 'in/*.txt'\ncmd = 'cp {{ item.path }} up/{{ item.name }}'\n\
         outs = ['up/{{ item.name }}']\n",
    );
    for name in ["a", "b"] {
        sandbox.write(&format!("in/{name}.txt"), name);
        sandbox.write(&format!("up/{name}.txt"), format!("{name} by hand"));
    }
    sandbox.ok(&["adopt", "up", "--reason", "x"]);
    sandbox.write("in/b.txt", "B");
    let done = sandbox.ok(&["run"]);
    assert_eq!([sandbox.read("up/a.txt"), sandbox.read("up/b.txt")], ["a by hand", "B"]);
    bring_back(&sandbox, &done.stderr);
    assert_eq!(sandbox.read("up/b.txt"), "b by hand");
}

#[test]
fn edited_part_of_adopted() {
    let sandbox = finished();
    sandbox.write("model/notes", "n");
    sandbox.ok(&["adopt", "train", "--reason", "x"]);
    sandbox.write("model/notes", "edited");
    sandbox.write("data", "other");
    sandbox.edit("pipeline.toml", ", 'log'", "");
    let done = sandbox.ok(&["run"]);
    bring_back(&sandbox, &done.stderr);
    assert_eq!(sandbox.read("model/weights"), "a week of work");
    assert_eq!(sandbox.read("model/notes"), "edited");
}

/// Content that the stage made is not a user's, although the change since was accepted.
#[test]
fn accepted_change_is_no_adoption() {
    for cached in ["", "cache = false, "] {
        let sandbox = Sandbox::with(&format!(
            "[stages.s]\ncmd = 'cat d > o'\ndeps = ['d']\nouts = [{{ {cached}path = 'o' }}]\n"
        ));
        sandbox.write("d", "1");
        sandbox.ok(&["run"]);
        sandbox.write("d", "2");
        sandbox.ok(&["accept", "s", "--reason", "only a comment"]);
        sandbox.write("d", "3");
        let done = sandbox.ok(&["run"]);
        assert_eq!(commands_named(&done.stderr), [""; 0], "{done}");
        assert!(!sandbox.exists("cache/trash"));
    }
}

/// Without the cache, nothing else holds an adopted out.
#[test]
fn adopted_out_without_cache() {
    let sandbox = finished();
    sandbox.ok(&["adopt", "train", "--reason", "x"]);
    sandbox.remove("cache");
    sandbox.edit("pipeline.toml", ", 'log'", "");
    sandbox.write("data", "other");
    let done = sandbox.ok(&["run"]);
    bring_back(&sandbox, &done.stderr);
    assert_eq!(sandbox.read("model/weights"), "a week of work");
}
