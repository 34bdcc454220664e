//! `repro metrics compare` and `repro params diff`: runs, git revisions and the workspace.

use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

/// A project in git: stage `train` writes the params into its metrics.
fn trained() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[params]
seed = 1

[params.train]
epochs = 10
rate = 0.5

[metrics]
accuracy = { goal = "max" }
loss = { goal = "min" }

[stages.train]
cmd = """echo '{\"accuracy\": 0.{{ params.train.epochs }}, \"loss\": 2, \
  \"seen\": {{ params.train.epochs }}}' > m.json"""
params = ["train", "seed"]
metrics = ["m.json"]
"#,
    );
    sandbox.write(".gitignore", "/cache/\n/runs/\n/m.json\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-q", "-m", "no lock"]);
    sandbox.git(&["tag", "empty"]);
    for epochs in ["10", "30"] {
        sandbox.ok(&["params", "set", &format!("epochs={epochs}")]);
        sandbox.ok(&["run"]);
        sandbox.git(&["add", "."]);
        sandbox.git(&["commit", "-q", "-m", epochs]);
    }
    sandbox
}

/// Replaces the ids of commits.
fn without_commits(sandbox: &Sandbox, mut done: Done) -> Done {
    for name in ["HEAD", "HEAD~1", "HEAD~2"] {
        let mut git = std::process::Command::new("git");
        let git = git.args(["rev-parse", name]).current_dir(sandbox.root());
        let id = String::from_utf8(deadline::output(git).stdout).unwrap();
        let short = &id[..10];
        done.stdout = done.stdout.replace(short, "[commit]");
        done.stderr = done.stderr.replace(short, "[commit]");
    }
    done
}

fn json(sandbox: &Sandbox, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&sandbox.ok(args).stdout).unwrap()
}

#[test]
fn revisions_and_workspace() {
    let sandbox = trained();
    let compare = |args: &[&str]| {
        without_commits(&sandbox, sandbox.repro(&[&["metrics", "compare"], args].concat()))
    };
    snapshot!(compare(&["HEAD~1", "HEAD"]), @"
    exit 0
    --- stdout
    run git
    HEAD~1 [commit]
    HEAD [commit]

    param HEAD~1 HEAD
    train.epochs 10 30

    metric HEAD~1 HEAD change
    train.accuracy 0.1 0.3 +0.2 better
    train.seen 10 30 +20 changed

    2 other params are equal, 1 other metric is equal: `--all` lists them
    ");
    sandbox.write("m.json", r#"{"accuracy": 0.25, "loss": 2}"#);
    snapshot!(compare(&["run-2", "workspace"]), @"
    exit 0
    --- stdout
    run status started took git
    run-2 ok [date] [time] [commit] with uncommitted changes
    workspace

    metric run-2 workspace change
    train.accuracy 0.3 0.25 -0.05 worse
    train.seen 30 - -

    all 3 params are equal, 1 other metric is equal: `--all` lists them
    ");
    // As a run has them.
    let values = |a, b| {
        let json = json(&sandbox, &["metrics", "compare", a, b, "--json"]);
        let rows = json["metrics"].as_array().unwrap().clone();
        rows.iter().map(|row| [row["key"].clone(), row["values"].clone()]).collect::<Vec<_>>()
    };
    assert_eq!(values("HEAD~1", "main"), values("run-1", "run-2"));
    // One side is compared with the last run.
    let one = json(&sandbox, &["metrics", "compare", "HEAD~1", "--json"]);
    assert_eq!(one["runs"], serde_json::json!(["HEAD~1", "run-2"]));
    let all = json(&sandbox, &["metrics", "compare", "--json", "--all"]);
    assert_eq!(all["metrics"].as_array().unwrap().len(), 3);
}

#[test]
fn unknown_sides() {
    let sandbox = trained();
    sandbox.ok(&["runs", "rename", "run-1", "baseline"]);
    for (args, error) in [
        (&["baselnie", "run-2"][..], "hint: did you mean `baseline`?"),
        (&["run-1", "HAED"], "`HAED` is neither a run nor a git revision"),
        (&["run-1", "workspcae"], "hint: did you mean `workspace`?"),
        (&["run-1", "mian"], "hint: did you mean `main`?"),
        (&["rnu-1", "HEAD"], "hint: did you mean `run-1`?"),
        (&["run-7", "HEAD"], "there is no run `run-7`"),
        (&["empty", "HEAD"], "empty has no `pipeline.lock`"),
        (&["run-2"], "cannot compare `run-2` with itself"),
        (&["--metric", "acuracy"], "hint: did you mean `accuracy`?"),
        (&["--atol", "-1"], "it must be at least 0"),
        (&["--rtol", "x"], "it is not a number"),
    ] {
        let done = sandbox.repro(&[&["metrics", "compare"], args].concat());
        assert_eq!(done.code, 2, "{args:?} {done}");
        assert!(done.stderr.contains(error), "{args:?} {done}");
    }
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'true'\n");
    let done = sandbox.repro(&["metrics", "compare", "HEAD", "workspace"]);
    assert!(done.stderr.contains("`HEAD` is neither a run nor a git revision"), "{done}");
}

#[test]
fn fail_if_worse() {
    let sandbox = trained();
    let judge =
        |args: &[&str]| sandbox.repro(&[&["metrics", "compare", "--fail-if-worse"], args].concat());
    assert_eq!(judge(&["run-1", "run-2"]).code, 0);
    let worse = judge(&["run-2", "run-1"]);
    assert_eq!(worse.code, 4, "{worse}");
    assert_eq!(worse.stderr, "error: 1 metric is worse in run-1 than in run-2: `train.accuracy`\n");
    // A pass by the tolerance, by the selection, and of unequal runs.
    for args in [
        &["run-2", "run-1", "--atol", "0.25"][..],
        &["run-2", "run-1", "--rtol", "0.75"],
        &["run-2", "run-1", "--metric", "loss"],
        &["run-2", "run-2"],
    ] {
        assert_eq!(judge(args).code, 0, "{args:?}");
    }
    assert_eq!(judge(&["run-2", "run-1", "--metric", "seen"]).code, 2);
    // A metric that is gone, and one that is NaN.
    sandbox.write("m.json", r#"{"accuracy": NaN}"#);
    let worse = judge(&["run-2", "workspace"]);
    assert_eq!(worse.code, 4, "{worse}");
    assert!(worse.stderr.contains(": `train.accuracy`, `train.loss`"), "{worse}");
}

#[test]
fn missing_objects() {
    let sandbox = trained();
    sandbox.remove("cache/objects");
    let compare = |args: &[&str]| {
        without_commits(&sandbox, sandbox.repro(&[&["metrics", "compare"], args].concat()))
    };
    snapshot!(compare(&["HEAD~1", "HEAD", "--metric", "*"]), @"
    exit 0
    --- stdout
    run git
    HEAD~1 [commit]
    HEAD [commit]

    param HEAD~1 HEAD
    train.epochs 10 30

    these runs have no metrics
    2 other params are equal: `--all` lists them
    --- stderr
    warning: HEAD~1: `m.json` has no metrics, because it is neither in the cache nor in git (object 5d65c9dcde); check out commit [commit] and run `repro run train`
    warning: HEAD: `m.json` has no metrics, because it is neither in the cache nor in git (object 61a49dbe56); check out commit [commit] and run `repro run train`
    ");
    snapshot!(compare(&["HEAD~1", "run-2", "--fail-if-worse", "--csv"]), @"
    exit 3
    --- stdout
    kind,key,HEAD~1,run-2,difference,verdict
    param,train.epochs,10,30,,
    metric,train.accuracy,,0.3,,
    metric,train.loss,,2,,
    metric,train.seen,,30,,
    --- stderr
    warning: HEAD~1: `m.json` has no metrics, because it is neither in the cache nor in git (object 5d65c9dcde); check out commit [commit] and run `repro run train`
    error: cannot tell if a metric is worse without 1 file
     hint: the warnings above say how to get them
    ");
    // What git has needs no cache.
    sandbox.write(".gitignore", "/cache/\n/runs/\n");
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-q", "-m", "metrics in git"]);
    let compared = json(&sandbox, &["metrics", "compare", "run-1", "HEAD", "--json"]);
    assert_eq!(compared["warnings"], serde_json::json!([]));
    assert_eq!(compared["metrics"][0]["values"], serde_json::json!([0.1, 0.3]));
}

#[test]
fn params_newer_than_metrics() {
    let sandbox = trained();
    sandbox.ok(&["params", "set", "rate=0.75"]);
    let done = sandbox.ok(&["metrics", "compare", "run-2", "workspace"]);
    assert_eq!(
        done.stderr,
        "warning: workspace: stage `train` is out of date, so its metrics are of other params: \
         train.rate 0.5 → 0.75\n"
    );
}

#[test]
fn csv_and_markdown() {
    let sandbox = trained();
    snapshot!(sandbox.repro(&["metrics", "compare", "run-1", "run-2", "--csv"]), @"
    exit 0
    --- stdout
    kind,key,run-1,run-2,difference,verdict
    param,train.epochs,10,30,,
    metric,train.accuracy,0.1,0.3,0.19999999999999998,better
    metric,train.seen,10,30,20,changed
    ");
    let done = sandbox.repro(&["metrics", "compare", "run-1", "run-2", "--md"]);
    snapshot!(without_commits(&sandbox, done), @"
    exit 0
    --- stdout
    | run | status | started | took | git |
    | --- | --- | --- | ---: | --- |
    | run-1 | ok | [date] | [time] | [commit] |
    | run-2 | ok | [date] | [time] | [commit] with uncommitted changes |

    | param | run-1 | run-2 |
    | --- | ---: | ---: |
    | train.epochs | 10 | 30 |

    | metric | run-1 | run-2 | change | |
    | --- | ---: | ---: | ---: | --- |
    | train.accuracy | 0.1 | 0.3 | +0.2 | better |
    | train.seen | 10 | 30 | +20 | changed |
    ");
}

/// A project whose numbers depend on the seed.
fn seeded() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[params]
seed = 1
size = 10

[metrics]
loss.goal = "min"

[stages.data]
cmd = "echo {{ params.seed }} > data"
params = ["seed"]
outs = ["data"]

[stages.train]
cmd = """echo '{\"loss\": {{ params.size }}.{{ params.seed }}, \"n\": 1}' > m.json; : $SEED"""
env = { SEED = "{{ params.seed }}" }
deps = ["data", "code"]
params = ["size", "seed"]
metrics = ["m.json"]
"#,
    );
    sandbox.write("code", "1");
    for size in ["10", "20", "10"] {
        for seed in ["1", "2", "3"] {
            sandbox.ok(&[
                "run",
                "-f",
                "-p",
                &format!("size={size}"),
                "-p",
                &format!("seed={seed}"),
            ]);
        }
    }
    sandbox
}

#[test]
fn runs_grouped_by_seed() {
    let sandbox = seeded();
    let six = ["run-1", "run-2", "run-3", "run-4", "run-5", "run-6"];
    let compare = |runs: &[&str], args: &[&str]| {
        sandbox.repro(&[&["metrics", "compare"], runs, args].concat())
    };
    snapshot!(compare(&six, &[]), @"
    exit 0
    --- stdout
    run status started took
    run-1 ok [date] [time]
    run-2 ok [date] [time]
    run-3 ok [date] [time]
    run-4 ok [date] [time]
    run-5 ok [date] [time]
    run-6 ok [date] [time]

    run-1 ×3 is the mean ± standard deviation of run-1, run-2, run-3, which differ only in the seed
    run-4 ×3 is the mean ± standard deviation of run-4, run-5, run-6, which differ only in the seed

    param run-1 ×3 run-4 ×3
    size 10 20

    metric run-1 ×3 run-4 ×3 change
    train.loss 10.2 ± 0.1 20.2 ± 0.1 +10 worse

    1 other metric is equal: `--all` lists it
    ");
    let ungrouped = compare(&six, &["--ungrouped", "--json"]).stdout;
    let ungrouped: serde_json::Value = serde_json::from_str(&ungrouped).unwrap();
    assert_eq!(ungrouped["columns"].as_array().unwrap().len(), 6);
    snapshot!(compare(&six, &["--csv"]), @"
    exit 0
    --- stdout
    kind,key,run-1 ×3,run-1 ×3 sd,run-1 ×3 n,run-4 ×3,run-4 ×3 sd,run-4 ×3 n,difference,verdict
    param,size,10,,,20,,,,
    metric,train.loss,10.2,0.10000000000000053,3,20.2,0.09999999999999964,3,10,worse
    ");
    // The same work again, from the cache, adds no samples.
    let again = compare(&["run-1", "run-2", "run-7", "run-4"], &["--json"]).stdout;
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["columns"][0]["runs"], serde_json::json!(["run-2", "run-7"]));
    // Other code makes another group.
    sandbox.write("code", "2");
    sandbox.ok(&["run", "-p", "seed=4"]);
    let other = compare(&["run-1", "run-2", "run-10"], &["--json"]).stdout;
    let other: serde_json::Value = serde_json::from_str(&other).unwrap();
    assert_eq!(other["columns"][1]["label"], "run-10");
}

#[test]
fn many_runs_as_rows() {
    let sandbox = seeded();
    let runs: Vec<String> = (1..=9).map(|number| format!("run-{number}")).collect();
    let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
    snapshot!(sandbox.repro(&[&["metrics", "compare", "--ungrouped"], &runs[..]].concat()), @"
    exit 0
    --- stdout
    run status started took
    run-1 ok [date] [time]
    run-2 ok [date] [time]
    run-3 ok [date] [time]
    run-4 ok [date] [time]
    run-5 ok [date] [time]
    run-6 ok [date] [time]
    run-7 ok [date] [time]
    run-8 ok [date] [time]
    run-9 ok [date] [time]

    run seed size train.loss
    run-1 1 10 10.1 *
    run-2 2 10 10.2
    run-3 3 10 10.3
    run-4 1 20 20.1
    run-5 2 20 20.2
    run-6 3 20 20.3
    run-7 1 10 10.1 *
    run-8 2 10 10.2
    run-9 3 10 10.3
    change +0.2
     worse
    * best

    1 other metric is equal: `--all` lists it
    ");
    snapshot!(sandbox.repro(&["metrics", "compare", "run-1", "run-4", "--transpose", "--md"]), @"
    exit 0
    --- stdout
    | run | status | started | took | git |
    | --- | --- | --- | ---: | --- |
    | run-1 | ok | [date] | [time] | |
    | run-4 | ok | [date] | [time] | |

    | run | size | train.loss |
    | --- | ---: | ---: |
    | run-1 | 10 | 10.1 * |
    | run-4 | 20 | 20.1 |
    | change | | +10 |
    | | | worse |
    ");
}

#[test]
fn matrix_by_variant() {
    let sandbox = Sandbox::with(
        r#"
[params]
n = 1

[metrics]
accuracy = { goal = "max" }

[stages.eval]
matrix = { part = ["a", "b", "c"] }
cmd = "cp {{ matrix.part }}.in {{ matrix.part }}.json; : {{ params.n }}"
deps = ["{{ matrix.part }}.in"]
params = ["n"]
metrics = ["{{ matrix.part }}.json"]

[stages.sum]
cmd = "cp a.in sum.json"
deps = ["a.in"]
metrics = ["sum.json"]
"#,
    );
    for (part, accuracy) in [("a", "0.25"), ("b", "0.5"), ("c", "0.75")] {
        sandbox.write(&format!("{part}.in"), format!("{{\"accuracy\": {accuracy}, \"n\": 1}}"));
    }
    sandbox.ok(&["run"]);
    sandbox.write("a.in", "{\"accuracy\": 0.375, \"n\": 2}");
    sandbox.write("b.in", "{\"accuracy\": 0.375, \"n\": 1, \"extra\": 1}");
    sandbox.ok(&["run"]);
    snapshot!(sandbox.repro(&["metrics", "compare"]), @"
    exit 0
    --- stdout
    run status started took
    run-1 ok [date] [time]
    run-2 ok [date] [time]

    metric run-1 run-2 change
    sum.accuracy 0.25 0.375 +0.125 better
    sum.n 1 2 +1 changed

    eval@*.accuracy run-1 run-2 change
    a 0.25 0.375 +0.125 better
    b 0.5 0.375 -0.125 worse

    eval@*.extra run-1 run-2 change
    b - 1 -

    eval@*.n run-1 run-2 change
    a 1 2 +1 changed

    the only param is equal, 3 other metrics are equal: `--all` lists them
    ");
    snapshot!(sandbox.repro(&["metrics", "compare", "--metric", "eval@*.*c*", "--metric", "n"]), @"
    exit 0
    --- stdout
    run status started took
    run-1 ok [date] [time]
    run-2 ok [date] [time]

    metric run-1 run-2 change
    sum.n 1 2 +1 changed

    eval@* accuracy run-1 run-2 change n run-1 run-2 change
    a 0.25 0.375 +0.125 better 1 2 +1 changed
    b 0.5 0.375 -0.125 worse

    the only param is equal, 3 other metrics are equal: `--all` lists them
    ");
    snapshot!(sandbox.repro(&["metrics", "compare", "--metric", "eval@*.accuracy", "--all"]), @"
    exit 0
    --- stdout
    run status started took
    run-1 ok [date] [time]
    run-2 ok [date] [time]

    param run-1 run-2
    n 1 1

    eval@*.accuracy run-1 run-2 change
    a 0.25 0.375 +0.125 better
    b 0.5 0.375 -0.125 worse
    c 0.75 0.75 0 same
    ");
}

#[test]
fn invalid_pipeline_at_revision() {
    let sandbox = trained();
    let good = sandbox.read("pipeline.toml");
    sandbox.edit("pipeline.toml", "params = [\"train\"", "parms = [\"train\"");
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-q", "-m", "typo"]);
    sandbox.write("pipeline.toml", good);
    let done = sandbox.repro(&["metrics", "compare", "HEAD", "HEAD~1"]);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stderr.contains("`pipeline.toml` of HEAD cannot be used"), "{done}");
    assert!(done.stderr.contains("did you mean `params`?"), "{done}");
    // Runs do not need the present pipeline.
    sandbox.write("pipeline.toml", "[stages");
    sandbox.ok(&["metrics", "compare", "run-1", "run-2"]);
}

#[test]
fn groups_at_a_revision() {
    let sandbox = Sandbox::with(
        "[config]\ngroups = { model = \"small\" }\n\
         [stages.a]\ncmd = \"cp $REPRO_PARAMS a\"\nparams = [\"model\"]\nouts = [\"a\"]\n",
    );
    sandbox.write("conf/model/small.toml", "width = 1\n");
    sandbox.write("conf/model/large.yaml", "width: 2\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-q", "-m", "small"]);
    sandbox.ok(&["params", "set", "model=large"]);
    sandbox.git(&["commit", "-q", "-a", "-m", "large"]);
    let done = sandbox.ok(&["params", "diff", "HEAD~1", "HEAD"]);
    snapshot!(done, @"
    exit 0
    --- stdout
    param HEAD~1 HEAD
    model.width 1 2
    ");
}
