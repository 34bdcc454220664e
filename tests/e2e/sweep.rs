//! `repro sweep`: trials and what they share, kills, and continuing.

use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Done, Sandbox, is_gone};
use crate::snapshot;

/// A pipeline whose stages append a line to the file `ran` of the project when they run.
///
/// Its accuracy is `1 - lr`. `train` does what the file `train.sh` says first.
pub fn project() -> Sandbox {
    let sandbox = Sandbox::empty();
    let text = r#"
[params]
lr = 0.5  # the rate
model = "small"
seed = 7

[metrics]
acc = { goal = "max" }

[stages.prepare]
cmd = "echo prepare >> ROOT/ran; cp in data"
deps = ["in"]
outs = ["data"]

[stages.train]
cmd = """
export lr={{ params.lr }} model={{ params.model }} seed={{ params.seed }}
echo train $lr $model >> ROOT/ran
. ./train.sh
awk "BEGIN { print 1 - $lr }" > value
echo "acc = $(cat value)" > m.toml
"""
deps = ["data", "train.sh"]
metrics = ["m.toml"]
"#;
    sandbox.write("pipeline.toml", text.replace("ROOT", sandbox.root().to_str().unwrap()));
    sandbox.write("in", "in");
    sandbox.write("train.sh", "");
    sandbox
}

/// Lets `train` of the rate 0.2 write to the FIFO `begun` and then wait.
fn waiting() -> Sandbox {
    let sandbox = project();
    let root = sandbox.root();
    let root = root.display();
    let wait = format!(
        "if [ $lr = 0.2 ] && [ -e {root}/gate ]; then echo $$ > {root}/begun; exec sleep 600; fi"
    );
    sandbox.write("train.sh", wait);
    sandbox.fifo("begun");
    sandbox.write("gate", "");
    sandbox
}

/// Starts a sweep and returns once the trial of the rate 0.2 waits, with the id of its process.
fn start(sandbox: &Sandbox, args: &[&str]) -> (Child, Pid) {
    let mut command = sandbox.command(args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stage = sandbox.read_fifo("begun");
    (child, Pid::from_raw(stage.trim().parse().unwrap()).unwrap())
}

pub const THREE: [&str; 5] = ["sweep", "-p", "lr=0.1,0.2,0.3", "-j", "1"];

fn sorted_ran(sandbox: &Sandbox) -> Vec<String> {
    let mut ran = sandbox.ran();
    ran.sort();
    ran
}

/// Returns the numbers and params of trials that a sweep started.
pub fn started(done: &Done) -> Vec<&str> {
    done.stderr.lines().filter(|line| line.contains(": started")).collect()
}

#[test]
fn common_stages_run_once() {
    let sandbox = project();
    let done = sandbox.ok(&["sweep", "-p", "lr=0.1,0.2", "-p", "model=small,large", "-j4"]);
    assert!(done.stderr.contains("run-1: 4 trials in"), "{done}");
    let expected =
        ["prepare", "train 0.1 large", "train 0.1 small", "train 0.2 large", "train 0.2 small"];
    assert_eq!(sorted_ran(&sandbox), expected);
    assert!(!sandbox.exists("data"), "a trial wrote into the workspace");
    let left: Vec<_> = std::fs::read_dir(sandbox.path("cache/worktrees")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn one_trial_after_the_other() {
    let sandbox = project();
    let done = sandbox.ok(&["sweep", "-p", "lr=0.1,0.2", "--optimize", "train.acc"]);
    snapshot!(done, @"
    exit 0
    --- stdout
    best: trial 1 (run-2): train.acc 0.9 with lr=0.1
    --- stderr
    run-1: sweep of 2 trials
    trial 1: started lr=0.1
    trial 1: train.acc 0.9 in [time] (run-2)
    trial 2: started lr=0.2
    trial 2: train.acc 0.8 in [time] (run-3)
    run-1: 2 trials in [time]: 2 done
    ");
    let again = sandbox.ok(&["sweep", "-p", "lr=0.1,0.2", "--optimize", "train.acc"]);
    snapshot!(again, @"
    exit 0
    --- stdout
    best: trial 1 (run-2): train.acc 0.9 with lr=0.1
    --- stderr
    run-1: sweep of 2 trials, 2 of them finished before
    run-1: 2 trials in [time]: 2 done
    ");
    assert_eq!(sorted_ran(&sandbox).len(), 3);
}

#[test]
fn resumed_after_kill_9() {
    let sandbox = waiting();
    let (mut child, stage) = start(&sandbox, &THREE);
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.remove("gate");
    let done = sandbox.ok(&THREE);
    assert_eq!(started(&done), ["trial 2: started  lr=0.2", "trial 3: started  lr=0.3"]);
    assert!(done.stderr.contains("sweep of 3 trials, 1 of them finished before"), "{done}");
    let expected =
        ["prepare", "train 0.1 small", "train 0.2 small", "train 0.2 small", "train 0.3 small"];
    assert_eq!(sorted_ran(&sandbox), expected);
    assert!(is_gone(stage), "the killed trial still runs");
    // Nothing is left to do, and further values are the only new trials.
    assert_eq!(started(&sandbox.ok(&THREE)), Vec::<&str>::new());
    let more = sandbox.ok(&["sweep", "-p", "lr=0.05,0.1,0.2,0.3"]);
    assert_eq!(started(&more), ["trial 4: started  lr=0.05"]);
    assert_eq!(sandbox.ran(), ["train 0.05 small"]);
    let status = sandbox.ok(&["sweep", "status"]);
    snapshot!(status, @"
    exit 0
    --- stdout
    run-1 ok
    trial state params runs
     1 ok lr=0.1 run-2
     2 ok lr=0.2 run-4
     3 ok lr=0.3 run-5
     4 ok lr=0.05 run-6
    ");
}

#[test]
fn interrupted_and_continued() {
    let sandbox = waiting();
    let (child, _) = start(&sandbox, &THREE);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let done = sandbox.done(deadline::wait(child));
    assert_eq!(done.code, 130, "{done}");
    assert!(done.stderr.contains("the same command continues the sweep"), "{done}");
    sandbox.remove("gate");
    let done = sandbox.ok(&THREE);
    assert_eq!(started(&done), ["trial 2: started  lr=0.2", "trial 3: started  lr=0.3"]);
}

#[test]
fn stopped_from_outside() {
    let sandbox = waiting();
    let (child, _) = start(&sandbox, &THREE);
    let running = sandbox.ok(&["sweep", "status"]);
    assert!(running.stdout.contains("running"), "{running}");
    let second = sandbox.repro(&THREE);
    assert_eq!(second.code, 2, "{second}");
    assert!(second.stderr.contains("the sweep is already running as run-1"), "{second}");
    let stopped = sandbox.ok(&["sweep", "stop"]);
    assert!(stopped.stdout.contains("asked run-1"), "{stopped}");
    assert_eq!(sandbox.done(deadline::wait(child)).code, 130);
    let done = sandbox.repro(&["sweep", "stop", "run-1"]);
    snapshot!(done, @"
    exit 2
    --- stderr
    error: the sweep run-1 is not running
    ");
}

#[test]
fn equal_trials_of_two_sweeps() {
    let sandbox = project();
    let root = sandbox.root();
    let root = root.display();
    sandbox.fifo("begun");
    sandbox.fifo("goes-on");
    let wait = format!(
        "case $lr in 0.2) echo > {root}/begun; cat {root}/goes-on;; 0.4) echo > {root}/begun;; esac"
    );
    sandbox.write("train.sh", wait);
    let begin = |args: &[&str]| {
        let mut command = sandbox.command(args);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        sandbox.read_fifo("begun");
        child
    };
    let first = begin(&["sweep", "-p", "lr=0.2,0.3", "-j", "1"]);
    let second = begin(&["sweep", "-p", "lr=0.4,0.2", "-p", "model=small", "-j", "1"]);
    // Ends every process that reads it.
    let path = sandbox.path("goes-on");
    deadline::within(move || std::fs::write(path, "").unwrap());
    for child in [first, second] {
        let done = sandbox.done(deadline::wait(child));
        assert_eq!(done.code, 0, "{done}");
    }
    let expected = ["prepare", "train 0.2 small", "train 0.3 small", "train 0.4 small"];
    assert_eq!(sorted_ran(&sandbox), expected);
}

#[test]
fn changed_source() {
    let sandbox = project();
    sandbox.ok(&THREE);
    sandbox.ran();
    sandbox.write("train.sh", "true");
    let done = sandbox.ok(&THREE);
    assert_eq!(started(&done).len(), 3, "{done}");
    assert_eq!(sorted_ran(&sandbox), ["train 0.1 small", "train 0.2 small", "train 0.3 small"]);
    // The results of the former source are in the cache.
    sandbox.write("train.sh", "");
    assert_eq!(started(&sandbox.ok(&THREE)).len(), 3);
    assert_eq!(sandbox.ran(), Vec::<String>::new());
}

/// While a trial holds the token, the other one gets as far as it can without it.
#[test]
fn tokens_hold_across_trials() {
    let sandbox = project();
    let root = sandbox.root();
    let root = root.to_str().unwrap();
    let alone =
        "mkdir ROOT/alone || exit 1; echo $lr > ROOT/begun; cat ROOT/gate; rmdir ROOT/alone";
    sandbox.write("train.sh", alone.replace("ROOT", root));
    let train = "[tokens]\none = 1\n[stages.train]\nuses = [\"one\"]";
    sandbox.edit("pipeline.toml", "[stages.train]", train);
    let free = "[stages.free]\ncmd = 'echo free > ROOT/free-{{ params.lr }}'\ndeps = ['data']\n\
                outs = []\n";
    let text = sandbox.read("pipeline.toml") + &free.replace("ROOT", root);
    sandbox.write("pipeline.toml", text);
    for name in ["begun", "gate", "free-0.1", "free-0.2"] {
        sandbox.fifo(name);
    }
    let mut command = sandbox.command(&["sweep", "-p", "lr=0.1,0.2", "-j2", "--cpus=8"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sandbox.read_fifo("free-0.1");
    sandbox.read_fifo("free-0.2");
    for _ in 0..2 {
        sandbox.read_fifo("begun");
        let gate = sandbox.path("gate");
        deadline::within(move || std::fs::write(gate, "go").unwrap());
    }
    let done = sandbox.done(deadline::wait(child));
    assert_eq!(done.code, 0, "{done}");
}

/// Each trial finds the file that it reads, even one that git ignores.
#[test]
fn deps_named_by_params() {
    let sandbox = Sandbox::empty();
    sandbox.write(
        "pipeline.toml",
        "params = { data = \"x\" }\n\
         [stages.read]\ncmd = \"cp data/{{ params.data }} out\"\n\
         deps = [\"data/{{ params.data }}\"]\nouts = [\"out\"]\n",
    );
    sandbox.write("data/x", "x");
    sandbox.write("data/y", "y");
    sandbox.write(".gitignore", "data\n");
    sandbox.git(&["init", "-q"]);
    sandbox.ok(&["sweep", "-p", "data=x,y"]);
    sandbox.ok(&["sweep", "-p", "data=y,x", "--random", "2", "--name", "drawn"]);
}

#[test]
fn events_as_json() {
    let sandbox = project();
    let done = sandbox.ok(&["sweep", "-p", "lr=0.1", "--json"]);
    let events: Vec<serde_json::Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut names: Vec<&str> = events.iter().map(|one| one["event"].as_str().unwrap()).collect();
    names.dedup();
    assert_eq!(
        names,
        ["stream_started", "sweep_started", "trial_started", "trial", "trial_ended", "sweep_ended"]
    );
    let ended = events.iter().find(|event| event["event"] == "trial_ended").unwrap();
    assert_eq!((&ended["trial"], &ended["state"]), (&1.into(), &"ok".into()));
}

#[test]
fn trials_have_git_of_start() {
    let sandbox = waiting();
    sandbox.write(".gitignore", "/ran\n/gate\n/begun\n/runs\n/cache\n/data\n/m.toml\n/value\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "x"]);
    sandbox.write("early", "a");
    let (child, stage) = start(&sandbox, &THREE);
    sandbox.git(&["add", "early"]);
    sandbox.git(&["commit", "-qm", "y"]);
    kill_process(stage, Signal::TERM).unwrap();
    assert_eq!(sandbox.done(deadline::wait(child)).code, 1);
    let git = |run: &str| {
        let show = sandbox.ok(&["runs", "show", run, "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&show.stdout).unwrap();
        shown["git"].clone()
    };
    assert_eq!(git("run-2")["tree"], "dirty");
    assert_eq!(git("run-4"), git("run-2"));
    assert!(sandbox.read("runs/run-4/git.diff").contains("early"));
}

#[test]
fn gc_counts_sweep_once() {
    let sandbox = project();
    sandbox.ok(&["run"]);
    // So the lock does not keep the first one.
    sandbox.write("in", "another");
    sandbox.ok(&["run"]);
    sandbox.ok(&["sweep", "-p", "lr=0.1,0.2,0.3"]);
    sandbox.ok(&["gc", "--runs", "3", "--yes"]);
    sandbox.ok(&["runs", "checkout", "run-1", "--to", "first"]);
    assert_eq!(sandbox.read("first/data"), "in");
    sandbox.ok(&["gc", "--runs", "2", "--yes"]);
    assert_eq!(sandbox.repro(&["runs", "checkout", "run-1", "--to", "second"]).code, 3);
}

#[test]
fn latest_run_after_a_sweep() {
    let sandbox = project();
    sandbox.ok(&["sweep", "-p", "lr=0.1,0.2"]);
    assert!(sandbox.ok(&["runs", "show", "latest"]).stdout.starts_with("run-1"), "the sweep");
    for args in [&["runs", "logs"][..], &["runs", "logs", "train"]] {
        let done = sandbox.ok(args);
        assert!(done.stderr.contains("run-1 is a sweep: run-3 is its last trial"), "{done}");
    }
    snapshot!(sandbox.repro(&["metrics", "compare"]), @"
    exit 2
    --- stderr
    error: the only run, `run-1`, is a sweep without metrics of its own
     hint: name two of its trials: `repro sweep status run-1` lists them
    ");
    sandbox.ok(&["run", "-p", "lr=0.3"]);
    sandbox.ok(&["sweep", "-p", "lr=0.4,0.5"]);
    let done = sandbox.ok(&["metrics", "compare", "run-2"]);
    assert!(done.stdout.contains("run-4"), "{done}");
}
