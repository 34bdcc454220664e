//! The input of a sweep: values, declarations, and faults in them.

use crate::snapshot;
use crate::sweep::{project, started};

#[test]
fn values_given_twice() {
    let sandbox = project();
    let args = ["sweep", "-p", "lr=0.1,0.2,0.1"];
    assert_eq!(started(&sandbox.ok(&args)).len(), 2);
    assert_eq!(started(&sandbox.ok(&args)), Vec::<&str>::new());
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
