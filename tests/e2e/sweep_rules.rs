//! Sweeps that stop early, optimize, or apply their best params; failed trials, and halving.

use crate::snapshot;
use crate::sweep::{THREE, project, started};

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

/// The series of each trial is its rate; `train` of the rate 0.3 waits to be ended.
const SERIES: &str = r#"
for step in 1 2; do echo '{"metric": "loss", "step": '$step', "value": '$lr'}' >> $REPRO_EVENTS; done
if [ $lr = 0.3 ]; then exec sleep 600; fi
"#;

/// The loss of an ended trial, which is large, is not an accuracy.
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
