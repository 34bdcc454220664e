//! `repro sweep`: grids, resuming, failures, stop rules, optimization.

use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Done, Sandbox, is_gone};
use crate::snapshot;

/// A pipeline whose stages append a line to the file `ran` of the project when they run.
///
/// Its accuracy is `1 - lr`. `train` does what the file `train.sh` says first.
fn project() -> Sandbox {
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

const THREE: [&str; 5] = ["sweep", "-p", "lr=0.1,0.2,0.3", "-j", "1"];

fn sorted_ran(sandbox: &Sandbox) -> Vec<String> {
    let mut ran = sandbox.ran();
    ran.sort();
    ran
}

/// Returns the numbers and params of trials that a sweep started.
fn started(done: &Done) -> Vec<&str> {
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

#[test]
fn failed_trial() {
    let sandbox = project();
    let root = sandbox.root();
    let fail =
        format!("test $lr != 0.2 || test -e {}/fixed || {{ echo bad; exit 3; }}", root.display());
    sandbox.write("train.sh", fail);
    let done = sandbox.repro(&THREE);
    snapshot!(done, @r#"
    exit 1
    --- stderr
    run-1: sweep of 3 trials
    trial 1: started lr=0.1
    trial 1: done in [time] (run-2)
    trial 2: started lr=0.2
    trial 2: failed after [time] (run-3)
    error: trial 2: stage `train` failed: exited with code 3
     caused by: its last line: "bad"
     hint: `repro runs logs run-3 train` shows the whole log
    trial 3: started lr=0.3
    trial 3: done in [time] (run-4)
    run-1: 3 trials in [time]: 2 done, 1 failed
    add `--retry-failed` to the command to run the failed trials again
    "#);
    sandbox.ran();
    sandbox.write("fixed", "");
    assert_eq!(started(&sandbox.repro(&THREE)), Vec::<&str>::new());
    let retried = sandbox.ok(&[&THREE[..], &["--retry-failed"]].concat());
    assert_eq!(started(&retried), ["trial 2: started  lr=0.2"]);
    assert_eq!(sandbox.ran(), ["train 0.2 small"]);
    // The trial that ran twice counts once.
    let list = sandbox.ok(&["runs", "list"]);
    assert!(list.stdout.contains("3 trials"), "{list}");
}

#[test]
fn fail_fast() {
    let sandbox = project();
    sandbox.write("train.sh", "test $lr != 0.1 || exit 1");
    let done = sandbox.repro(&[&THREE[..], &["--fail-fast"]].concat());
    assert_eq!(done.code, 1);
    assert_eq!(started(&done), ["trial 1: started  lr=0.1"]);
    assert!(done.stderr.contains("the sweep stopped: a trial failed"), "{done}");
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

#[test]
fn stop_rules() {
    let rates = "lr=0.5,0.1,0.6,0.7,0.8";
    for (args, expected, why) in [
        (&["--patience", "2"][..], 4, "no improvement in 2 trials"),
        (&["--target", "0.9"], 2, "the target is reached"),
        (&["--max-time", "0s"], 0, "the time is over"),
    ] {
        let sandbox = project();
        let optimize = ["sweep", "-p", rates, "--optimize", "max:acc"];
        let done = sandbox.ok(&[&optimize[..], args].concat());
        assert_eq!(started(&done).len(), expected, "{done}");
        assert!(done.stderr.contains(why), "{done}");
    }
}

#[test]
fn optimization_continues() {
    let sandbox = project();
    let sweep = |trials: &str| {
        sandbox.ok(&[
            "sweep",
            "-p",
            "lr=interval(0,1)",
            "--optimize",
            "max:train.acc",
            "--trials",
            trials,
            "-j2",
        ])
    };
    let done = sweep("12");
    assert_eq!(started(&done).len(), 12);
    assert!(done.stdout.starts_with("best: trial "), "{done}");
    let done = sweep("14");
    assert_eq!(started(&done).len(), 2, "{done}");
    assert!(done.stderr.contains("14 trials, 12 of them finished before"), "{done}");
}

#[test]
fn repeats_vary_the_seed() {
    let sandbox = project();
    let args = ["sweep", "-p", "lr=0.1,0.2", "--repeats", "2", "--optimize", "max:acc"];
    let done = sandbox.ok(&args);
    let mut params: Vec<&str> = started(&done);
    params.sort_unstable();
    assert_eq!(params.len(), 4, "{done}");
    assert!(params.iter().filter(|line| line.ends_with("seed=8")).count() == 2, "{done}");
    assert!(done.stdout.contains("acc 0.9 with lr=0.1"), "{done}");
    assert_eq!(started(&sandbox.ok(&args)), Vec::<&str>::new());
    // With another first seed, the repeats that are recorded are others.
    sandbox.ok(&["params", "set", "seed=8"]);
    let done = sandbox.ok(&args);
    assert_eq!(started(&done).len(), 4, "{done}");
    assert!(started(&done).iter().any(|line| line.ends_with("seed=9")), "{done}");
}

#[test]
fn values_given_twice() {
    let sandbox = project();
    let args = ["sweep", "-p", "lr=0.1,0.2,0.1"];
    assert_eq!(started(&sandbox.ok(&args)).len(), 2);
    assert_eq!(started(&sandbox.ok(&args)), Vec::<&str>::new());
}

/// The series of each trial is its rate; `train` of the rate 0.3 waits to be ended.
const SERIES: &str = r#"
for step in 1 2; do echo '{"metric": "loss", "step": '$step', "value": '$lr'}' >> $REPRO_EVENTS; done
if [ $lr = 0.3 ]; then exec sleep 600; fi
"#;

/// The loss of an ended trial, which is large, is no accuracy.
#[test]
fn halving_by_another_metric() {
    let sandbox = project();
    sandbox.write("train.sh", SERIES);
    let mut args = vec!["sweep", "-p", "lr=0.1,0.3,0.2", "--halving", "min:train.loss"];
    args.extend(["--optimize", "min:acc", "--target", "0.5"]);
    let done = sandbox.ok(&args);
    assert!(done.stderr.contains("trial 2: stopped after 2 values, others"), "{done}");
    assert_eq!(started(&done).len(), 3, "{done}");
    assert!(done.stdout.contains("acc 0.8 with lr=0.2"), "{done}");
    assert_eq!(started(&sandbox.ok(&args)), Vec::<&str>::new());
}

#[test]
fn halving_ends_worse_trials() {
    let sandbox = project();
    sandbox.write("train.sh", SERIES);
    let args = ["sweep", "-p", "lr=0.1,0.3,0.2", "--halving", "min:train.loss"];
    let done = sandbox.ok(&args);
    assert!(done.stderr.contains("trial 2: stopped at 0.3 after 2 values"), "{done}");
    assert!(done.stderr.contains("1 stopped early"), "{done}");
    assert_eq!(started(&sandbox.ok(&args)), Vec::<&str>::new());
}

/// A trial of a later command is compared with those that earlier ones have ended.
#[test]
fn halving_after_a_resume() {
    let sandbox = project();
    sandbox.write("train.sh", SERIES);
    let halving = ["--halving", "min:train.loss", "--name", "rates"];
    sandbox.ok(&[&["sweep", "-p", "lr=0.1,0.2"], &halving[..]].concat());
    let done = sandbox.ok(&[&["sweep", "-p", "lr=0.1,0.2,0.3"], &halving[..]].concat());
    assert_eq!(started(&done), ["trial 3: started  lr=0.3"], "{done}");
    assert!(done.stderr.contains("trial 3: stopped at 0.3 after 2 values"), "{done}");
}

#[test]
fn applied_params() {
    let sandbox = project();
    let args = ["sweep", "-p", "lr=0.4,0.1", "--optimize", "max:acc", "--apply"];
    let done = sandbox.ok(&args);
    assert!(done.stdout.contains("lr 0.5 → 0.1"), "{done}");
    assert!(sandbox.read("pipeline.toml").contains("lr = 0.1  # the rate"));
    assert_eq!(started(&sandbox.ok(&args)), Vec::<&str>::new());
}

#[test]
fn applied_params_beside_json() {
    let sandbox = project();
    let args = ["sweep", "-p", "lr=0.4,0.1", "--optimize", "max:acc", "--apply", "--json"];
    let done = sandbox.ok(&args);
    assert!(done.stdout.lines().all(|line| line.starts_with('{')), "{done}");
    assert!(done.stderr.contains("lr 0.5 → 0.1"), "{done}");
    let args = ["sweep", "-p", "lr=0.4,0.1", "-p", "~seed", "--optimize", "max:acc", "--apply"];
    let refused = sandbox.repro(&args);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.stderr.contains("`--apply` cannot write `-p ~seed`"), "{refused}");
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
fn trials_of_a_dry_run() {
    let sandbox = project();
    sandbox.write("t.csv", "lr,model\n0.1,small\n0.2,\n");
    let trials = |args: &[&str]| sandbox.ok(&[&["sweep", "-n"], args].concat()).stdout;
    let mut all = String::new();
    for args in [
        &["-p", "lr=range(0.1,0.4,0.1)", "-p", "model=a,b", "--where", "params.lr < 0.25"][..],
        &["-z", "lr=0.1,0.2", "-z", "model=a,b", "-p", "seed=1,2"],
        &["--table", "t.csv"],
        &["-p", "model=a,b", "-p", "lr=0.1,0.2", "--when", "lr=params.model == 'b'"],
        &["-p", "lr=loginterval(0.001,0.1)", "--random", "2", "--seed", "3"],
    ] {
        all.push_str(&trials(args));
        all.push('\n');
    }
    snapshot!(all, @"
    lr=0.1 model=a
    lr=0.1 model=b
    lr=0.2 model=a
    lr=0.2 model=b

    lr=0.1 model=a seed=1
    lr=0.1 model=a seed=2
    lr=0.2 model=b seed=1
    lr=0.2 model=b seed=2

    lr=0.1 model=small
    lr=0.2

    model=a
    model=b lr=0.1
    model=b lr=0.2

    lr=0.0153697
    lr=0.081979
    ");
    for (args, is_open) in [
        (&["-p", "lr=0.1,0.2", "--optimize", "acc"][..], false),
        (&["-p", "lr=interval(0,1)", "--optimize", "acc"], true),
    ] {
        let done = sandbox.ok(&[&["sweep", "-n"], args].concat());
        assert_eq!(done.stderr.contains("depend on results"), is_open, "{done}");
    }
    assert!(!sandbox.exists("runs"));
}

#[test]
fn bad_sweeps() {
    let sandbox = project();
    let mut all = String::new();
    for args in [
        &["sweep"][..],
        &["sweep", "-p", "lr=0.1,"],
        &["sweep", "-p", "lr=interval(0,1)"],
        &["sweep", "-p", "lrr=1,2"],
        &["sweep", "-p", "lr=0.1,b"],
        &["sweep", "-p", "model=glob(*)"],
        &["sweep", "-p", "lr=1,2", "--where", "params.lrr > 1"],
        &["sweep", "-p", "lr=1,2", "--when", "model=true"],
        &["sweep", "-p", "lr=1,2", "--optimize", "loss"],
        &["sweep", "-p", "lr=1,2", "--optimize", "train.acx"],
        &["sweep", "-p", "lr=1,2", "--optimize", "maximize:loss"],
        &["sweep", "-p", "lr=1,2", "--patience", "3"],
        &["sweep", "-p", "lr=1,2", "--apply"],
        &["sweep", "-p", "lr=1,2", "--repeats", "2", "--seed-param", "sed"],
        &["sweep", "-p", "lr=1,2", "-p", "lr=3"],
        &["sweep", "-z", "lr=1,2", "-z", "model=a"],
        &["sweep", "status"],
        &["run", "-p", "lr=1,2", "-p", "model=range(3)"],
        &["run", "-p", "model=a,b"],
    ] {
        let done = sandbox.repro(args);
        assert_eq!(done.code, 2, "{args:?}: {done}");
        all.push_str(&done.stderr);
    }
    snapshot!(all, @r#"
    error: a sweep needs params with several values
     hint: for example `repro sweep -p lr=0.1,0.01`
    error: -p lr=0.1,: a value is missing beside a comma
     hint: write an empty text as `''`, and one with a comma in quotes
    error: `lr` is an interval, which has no grid
     hint: add `--random N` or `--optimize max:METRIC`, or list the values
    error: -p lrr=1: there is no param `lrr`
     hint: did you mean `lr`?
    error: -p lr=b: param `lr` must be a finite number, not `b`
     hint: the current value is 0.5
    error: -p model=glob(*): `model` is not a group, so `glob` finds no options
     hint: declare it under `groups` of `[config]`, or list the values
    error: cannot evaluate `params.lrr > 1`: there is no `params.lrr`
     hint: did you mean `params.lr`?
    error: --when model: the sweep does not change `model`
     hint: give its values: `-p model=…`
    error: --optimize loss: the direction is unknown
     hint: write `max:loss` or `min:loss`, or declare it in `[metrics]`
    error: --optimize train.acx: the direction is unknown
     hint: did you mean `train.acc`?
    error: --optimize maximize:loss: `maximize` is not a direction
     hint: did you mean `max:loss`?
    error: `--patience` needs a metric
     hint: add `--optimize max:METRIC`
    error: `--apply` writes the best trial, so it needs a metric
     hint: add `--optimize max:METRIC`
    error: `--repeats` varies the seed, but there is no param `sed`
     hint: name the param of the seed: `--seed-param KEY`
    error: the sweep sets param `lr` twice
    error: --zip: `model` has 1 values, but `lr` has 2
     hint: params of a zip need equally many values
    error: no sweep has run yet
     hint: `repro sweep -p KEY=A,B` starts one
    error: -p lr=1,2: a run takes one value, and these are several
     hint: to run each of them: repro sweep -p lr=1,2 -p 'model=range(3)'; for one text: -p 'lr="1,2"'
    error: -p model=a,b: a run takes one value, and these are several
     hint: to run each of them: repro sweep -p model=a,b; for one text: -p 'model="a,b"'
    "#);
    assert!(!sandbox.exists("runs"), "a sweep that cannot start was recorded");
}

#[test]
fn missing_metric() {
    let sandbox = project();
    let done = sandbox.repro(&[
        "sweep",
        "-p",
        "lr=0.1,0.2",
        "--optimize",
        "max:train.f1_score",
        "--random",
        "2",
    ]);
    snapshot!(done, @"
    exit 2
    --- stderr
    run-1: sweep of 2 trials
    trial 1: started lr=0.2
    trial 1: failed after [time] (run-2)
    error: trial 1: reported no metric `train.f1_score`
    error: no run has a metric `train.f1_score`
     hint: the metrics are train.acc, acc
    ");
}

#[test]
fn declared_sweep() {
    let sandbox = project();
    let text = sandbox.read("pipeline.toml");
    let declared = "[sweeps.rates]\nparams = ['lr=0.1,0.2', 'model=small,large']\n\
                    where = [\"params.lr < 0.15 or params.model == 'small'\"]\n\
                    optimize = 'max:train.acc'\njobs = 2\n";
    sandbox.write("pipeline.toml", format!("{text}{declared}"));
    let done = sandbox.ok(&["sweep", "rates"]);
    assert!(done.stderr.contains("run-1: sweep of 3 trials"), "{done}");
    assert!(done.stdout.contains("train.acc 0.9 with lr=0.1 model=small"), "{done}");
    let more = sandbox.ok(&["sweep", "rates", "-p", "lr=0.05,0.1,0.2", "--jobs", "1"]);
    assert_eq!(started(&more).len(), 2, "{more}");
    let status = sandbox.ok(&["sweep", "status", "rates", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!((&status["name"], &status["best"]), (&"rates".into(), &4.into()));
    assert_eq!(status["trials"].as_array().unwrap().len(), 5);
    let unknown = sandbox.repro(&["sweep", "rate"]);
    assert!(unknown.stderr.contains("did you mean `rates`?"), "{unknown}");
}

#[test]
fn faulty_declarations() {
    let sandbox = project();
    let text = sandbox.read("pipeline.toml");
    let declared = "[sweeps.a]\nparams = ['lr=0.1,', 'lrr=1,2']\nrandom = 0\n\
                    when = ['x']\ntarget = 'much'\n\
                    [sweeps.b]\nparam = ['lr=1']\n";
    sandbox.write("pipeline.toml", format!("{text}{declared}"));
    let done = sandbox.repro(&["status"]);
    snapshot!(done, @r#"
    exit 2
    --- stderr
    error: pipeline.toml:26: sweep `a`: `lr=0.1,`: a value is missing beside a comma
     hint: write an empty text as `''`, and one with a comma in quotes
    error: pipeline.toml:26: sweep `a`: there is no param `lrr`
     hint: did you mean `lr`?
    error: pipeline.toml:27: `random` of sweep `a` must be an integer from 1 to 100000, not 0
    error: pipeline.toml:28: `when` of sweep `a` must be "KEY=CONDITION"
    error: pipeline.toml:29: `target` of sweep `a` must be a number
    error: pipeline.toml:30: sweep `b` has no params
     hint: for example `params = ["lr=0.1,0.01"]`
    error: pipeline.toml:31: unknown key `param` in sweep `b`
     hint: did you mean `params`?
    "#);
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
fn misspelled_metric() {
    let sandbox = project();
    let undeclared =
        sandbox.read("pipeline.toml").replace("[metrics]\nacc = { goal = \"max\" }", "");
    sandbox.write("pipeline.toml", undeclared);
    sandbox.ok(&["run"]);
    sandbox.ran();
    let done = sandbox.repro(&["sweep", "-p", "lr=0.1,0.2", "--optimize", "max:train.ac"]);
    snapshot!(done, @"
    exit 2
    --- stderr
    error: --optimize max:train.ac: no run has reported a metric `train.ac`
     hint: did you mean `train.acc`? A new metric can be declared in `[metrics]`
    ");
    assert_eq!(sandbox.ran(), Vec::<&str>::new());
    // A name that resembles none may be new.
    let done = sandbox.repro(&["sweep", "-p", "lr=0.1,0.2", "--optimize", "max:f1_score", "-n"]);
    assert_eq!(done.code, 0, "{done}");
}

#[test]
fn unclosed_values() {
    let sandbox = project();
    let done = sandbox.repro(&["sweep", "-p", "lr=range(1,2"]);
    snapshot!(done, @r#"
    exit 2
    --- stderr
    error: -p lr=range(1,2: `range(` lacks its `)`
     hint: write a text that begins like this in quotes: "'range(…'"
    "#);
    // It is an ordinary text of one run.
    let done = sandbox.ok(&["run", "-p", "model='range(1,2'"]);
    assert_eq!(sandbox.ran(), ["prepare", "train 0.5 range(1,2"], "{done}");
}

#[test]
fn status_before_the_first_run() {
    let sandbox = project();
    let declared = "\n[sweeps.rates]\nparams = ['lr=0.1,0.2']\n";
    sandbox.write("pipeline.toml", sandbox.read("pipeline.toml") + declared);
    let said = |name: &[&str]| sandbox.repro(&[&["sweep", "status"], name].concat()).stderr;
    let expected = "error: sweep `rates` has not run yet\n  hint: `repro sweep rates` starts it\n";
    for runs in ["none", "one"] {
        assert_eq!(said(&["rates"]), expected, "{runs}");
        let misspelled = "error: there is no sweep `rate`\n  hint: did you mean `rates`?\n";
        assert_eq!(said(&["rate"]), misspelled);
        assert!(said(&[]).starts_with("error: no sweep has run yet\n"), "{}", said(&[]));
        sandbox.ok(&["run"]);
    }
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

#[test]
fn best_trial_in_json() {
    let sandbox = project();
    let done = sandbox.ok(&["sweep", "-p", "lr=0.1,0.2", "--optimize", "train.acc", "--json"]);
    let last: serde_json::Value =
        serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "sweep_ended");
    let best = serde_json::json!({
        "trial": 1, "value": 0.9, "params": ["lr=0.1"], "runs": ["run-2"]
    });
    assert_eq!(last["best"], best);
}
