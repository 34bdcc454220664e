//! `repro runs list` and `repro runs best`: filters, orders, columns, forms, and empty stores.

use crate::sandbox::Sandbox;
use crate::snapshot;

/// Three runs: `small` with 10 epochs, `large` with 20, and `small` with 30, which failed.
pub fn three_runs() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[params]
model = "small"
epochs = 10

[metrics]
accuracy = { goal = "max" }

[stages.train]
cmd = """echo "epoch {{ params.epochs }} of {{ params.model }}"; test {{ params.epochs }} -lt 30 || exit 1; \
  echo '{"loss": {{ params.epochs }}.5}' > loss.json"""
params = ["epochs", "model"]
metrics = ["loss.json"]

[stages.evaluate]
matrix = { on = ["dev", "test"] }
cmd = """echo '{"accuracy": 0.{{ params.epochs }}, "clips": 4}' > {{ matrix.on }}.json; \
  test {{ matrix.on }} = dev || echo '{"accuracy": 0.15, "clips": 5}' > {{ matrix.on }}.json"""
deps = ["loss.json"]
metrics = ["{{ matrix.on }}.json"]
"#,
    );
    sandbox.ok(&["run"]);
    sandbox.ok(&["run", "-p", "model=large", "-p", "epochs=20"]);
    assert_eq!(sandbox.repro(&["run", "-p", "epochs=30"]).code, 1);
    sandbox
}

#[test]
fn filtered_and_sorted_runs() {
    let sandbox = three_runs();
    let runs = |args: &[&str]| {
        let done = sandbox.ok(&[&["runs", "list", "--columns", "run"], args].concat());
        done.stdout.lines().skip(1).map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    for (args, expected) in [
        (&[][..], "run-3 run-2 run-1"),
        (&["-n", "1"], "run-3"),
        (&["--last", "2"], "run-3 run-2"),
        (&["--failed"], "run-3"),
        (&["--kind", "trial"], ""),
        (&["--filter", "params.model = 'small' and status = 'ok'"], "run-1"),
        (&["--filter", "params.epochs >= 20"], "run-3 run-2"),
        (&["--filter", "metrics.evaluate.accuracy > 0.15"], "run-2"),
        (&["--filter", "metrics.evaluate@test.accuracy = 0.15"], "run-2 run-1"),
        (&["--filter", "metrics.train.loss IS NULL"], "run-3"),
        (&["--filter", "status = 'FINISHED'"], "run-2 run-1"),
        (&["--sort", "accuracy"], "run-2 run-1 run-3"),
        (&["--sort", "accuracy:asc"], "run-1 run-2 run-3"),
        (&["--sort", "params.model,epochs:desc"], "run-2 run-3 run-1"),
        (&["--sort", "run:asc"], "run-1 run-2 run-3"),
    ] {
        assert_eq!(runs(args), expected, "{args:?}");
    }
}

#[test]
fn chosen_columns() {
    let sandbox = three_runs();
    let list = |columns: &str| sandbox.repro(&["runs", "list", "--columns", columns]);
    snapshot!(list("run,status,epochs,metrics.train.loss,evaluate.accuracy"), @"
    exit 0
    --- stdout
    run status epochs train.loss evaluate.accuracy stage
    run-3 failed 30 - - -
    run-2 ok 20 20.5 0.2 evaluate@dev
    run-1 ok 10 10.5 0.15 evaluate@test
    ");
    // Without a goal, each variant of the matrix has a column.
    snapshot!(list("run,metrics.*clips,params.*"), @"
    exit 0
    --- stdout
    run evaluate@dev.clips evaluate@test.clips epochs model
    run-3 - - 30 small
    run-2 4 5 20 large
    run-1 4 5 10 small
    ");
    let best = sandbox.repro(&["runs", "best", "evaluate.accuracy", "--filter", "epochs < 20"]);
    assert_eq!(best.code, 2, "{best}");
    snapshot!(sandbox.repro(&["runs", "best", "evaluate.accuracy"]), @"
    exit 0
    --- stdout
    run status started evaluate.accuracy stage
    run-2 ok [date] 0.2 evaluate@dev
    ");
    snapshot!(sandbox.repro(&["runs", "best", "train.loss", "--goal", "min", "-n", "2"]), @"
    exit 0
    --- stdout
    run status started train.loss
    run-1 ok [date] 10.5
    run-2 ok [date] 20.5
    ");
    snapshot!(sandbox.repro(&["runs", "show", "best:accuracy", "--json"]).code, @"0");
}

#[test]
fn used_fields_are_shown() {
    let sandbox = three_runs();
    let used = ["runs", "list", "--sort", "train.loss", "--filter", "params.epochs < 30"];
    snapshot!(sandbox.repro(&used), @"
    exit 0
    --- stdout
    run status started took train.loss epochs
    run-2 ok [date] [time] 20.5 20
    run-1 ok [date] [time] 10.5 10
    ");
    // The overview has the attributes.
    let overview = sandbox.ok(&["runs", "list", "--sort", "status", "--filter", "run < 3"]);
    assert!(overview.stdout.lines().next().unwrap().contains("changed"), "{overview}");
    let json = sandbox.ok(&["runs", "list", "--sort", "train.loss", "--json"]);
    assert!(json.stdout.contains("\"changed\""), "{json}");
}

#[test]
fn long_texts_are_cut() {
    let sandbox = three_runs();
    let long = "a text of some length ".repeat(5);
    for key in ["first", "second", "third"] {
        sandbox.ok(&["runs", "tag", "run-3", &format!("{key}={long}")]);
    }
    let done = sandbox.ok(&["runs", "list", "--columns", "run,status,epochs,tags.*", "-n", "1"]);
    snapshot!(done, @"
    exit 0
    --- stdout
    run status epochs first second third
    run-3 failed 30 a text of some … a text of some … a text of some …
    --- stderr
    2 older runs: `repro runs list -n 0` shows all
    ");
    assert!(done.stdout.lines().all(|line| line.chars().count() <= 80), "{done}");
}

#[test]
fn forms_of_a_list() {
    let sandbox = three_runs();
    let columns = ["--columns", "run,model,train.loss,evaluate.accuracy"];
    let list = |form: &str| sandbox.repro(&[&["runs", "list", form], &columns[..]].concat());
    snapshot!(list("--csv"), @"
    exit 0
    --- stdout
    run,params.model,metrics.train.loss,metrics.evaluate.accuracy,metrics.evaluate.accuracy.stage
    run-3,small,,,
    run-2,large,20.5,0.2,evaluate@dev
    run-1,small,10.5,0.15,evaluate@test
    ");
    snapshot!(list("--md"), @"
    exit 0
    --- stdout
    | run | model | train.loss | evaluate.accuracy | stage |
    | --- | ---: | ---: | ---: | --- |
    | run-3 | small | - | - | - |
    | run-2 | large | 20.5 | 0.2 | evaluate@dev |
    | run-1 | small | 10.5 | 0.15 | evaluate@test |
    ");
    snapshot!(list("--json"), @r#"
    exit 0
    --- stdout
    [
     {
     "metrics.evaluate.accuracy": null,
     "metrics.evaluate.accuracy.stage": null,
     "metrics.train.loss": null,
     "params.model": "small",
     "run": "run-3"
     },
     {
     "metrics.evaluate.accuracy": 0.2,
     "metrics.evaluate.accuracy.stage": "evaluate@dev",
     "metrics.train.loss": 20.5,
     "params.model": "large",
     "run": "run-2"
     },
     {
     "metrics.evaluate.accuracy": 0.15,
     "metrics.evaluate.accuracy.stage": "evaluate@test",
     "metrics.train.loss": 10.5,
     "params.model": "small",
     "run": "run-1"
     }
    ]
    "#);
    // The table of a terminal has the best of the variants as well.
    let list = sandbox.ok(&["runs", "list", "-n", "2"]).stdout;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> = list.lines().map(words).collect();
    assert_eq!(lines[0][4..6], ["best", "accuracy"], "{list}");
    assert_eq!(lines[2][5], "0.2", "{list}");
    let csv = sandbox.ok(&["runs", "list", "--csv", "-n", "1"]).stdout;
    let head = "run,name,status,started,took,params.epochs,params.model,metrics.evaluate.accuracy,";
    assert!(csv.starts_with(head), "{csv}");
}

#[test]
fn mistakes_in_a_list() {
    let sandbox = three_runs();
    let list = |args: &[&str]| {
        let done = sandbox.repro(&[&["runs", "list"], args].concat());
        format!("{}\n{done}\n", args.join(" "))
    };
    let mistakes: &[&[&str]] = &[
        &["--filter", "metrics.evaluate.acuracy > 0.7"],
        &["--filter", "metrics.accuracy > 'x'"],
        &["--filter", "params.mode = 'small'"],
        &["--filter", "stauts = 'ok'"],
        &["--filter", "status = 'okay'"],
        &["--filter", "epochs > 1 or model = 'x'"],
        &["--filter", "evaluate.accuracy > 0.7"],
        &["--filter", "tags.team = 'a'"],
        &["--filter", "metrics.clips > 4"],
        &["--columns", "run,acuracy"],
        &["--columns", "*"],
        &["--sort", "los"],
        &["--sort", "train.loss:up"],
        &["--sort", "train.loss desc"],
        &["--kind", "sweeps"],
    ];
    snapshot!(mistakes.iter().map(|args| list(args)).collect::<String>(), @r#"
    --filter metrics.evaluate.acuracy > 0.7
    exit 2
    --- stderr
    error: no run has a metric `evaluate.acuracy`
     hint: did you mean `evaluate.accuracy`?
    --filter metrics.accuracy > 'x'
    exit 2
    --- stderr
    error: --filter, column 20: expected a number, found the text `x`
    --filter params.mode = 'small'
    exit 2
    --- stderr
    error: no run has a param `mode`
     hint: did you mean `model`?
    --filter stauts = 'ok'
    exit 2
    --- stderr
    error: --filter, column 1: there is no attribute `stauts`
     hint: did you mean `status`?
    --filter status = 'okay'
    exit 2
    --- stderr
    error: --filter, column 10: there is no status `okay`
     hint: expected one of running, ok, failed, interrupted
    --filter epochs > 1 or model = 'x'
    exit 2
    --- stderr
    error: --filter, column 1: there is no attribute `epochs`
     hint: did you mean `params.epochs`?
    --filter evaluate.accuracy > 0.7
    exit 2
    --- stderr
    error: --filter, column 1: `evaluate.accuracy` lacks a prefix that says what it is
     hint: did you mean `metrics.evaluate.accuracy`?
    --filter tags.team = 'a'
    exit 2
    --- stderr
    error: no run has a tag `team`
     hint: no run has any tag
    --filter metrics.clips > 4
    exit 2
    --- stderr
    error: `clips` is the name of several metrics
     hint: name one of evaluate@dev.clips, evaluate@test.clips, or declare a goal: `clips = { goal = "max" }` under `[metrics]`
    --columns run,acuracy
    exit 2
    --- stderr
    error: there is no field `acuracy`
     hint: did you mean `accuracy`?
    --columns *
    exit 2
    --- stderr
    error: `*` lacks a prefix
     hint: write `metrics.*`, `params.*` or `tags.*`
    --sort los
    exit 2
    --- stderr
    error: there is no field `los`
     hint: did you mean `loss`?
    --sort train.loss:up
    exit 2
    --- stderr
    error: there is no field `train.loss:up`
     hint: did you mean `train.loss`?
    --sort train.loss desc
    exit 2
    --- stderr
    error: there is no field `train.loss desc`
     hint: write the direction after a colon: `train.loss:desc`
    --kind sweeps
    exit 2
    --- stderr
    error: invalid value 'sweeps' for '--kind <KIND>': must be pipeline, sweep, trial, external or accept

    For more information, try '--help'.
    "#);
}

#[test]
fn lists_without_runs() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'true'\n");
    snapshot!(sandbox.repro(&["runs", "list", "--filter", "status = 'ok'"]), @"
    exit 0
    --- stderr
    no run matches
    ");
    snapshot!(sandbox.repro(&["runs", "list", "--json"]), @"
    exit 0
    --- stdout
    []
    ");
    snapshot!(sandbox.repro(&["runs", "list", "--filter", "status = 'okay'"]), @"
    exit 2
    --- stderr
    error: --filter, column 10: there is no status `okay`
     hint: expected one of running, ok, failed, interrupted
    ");
    snapshot!(sandbox.repro(&["runs", "best", "x"]), @"
    exit 2
    --- stderr
    error: there are no runs yet
     hint: run `repro run` to create the first
    ");
    assert!(!sandbox.exists("runs"));
    sandbox.ok(&["run"]);
    snapshot!(sandbox.repro(&["runs", "list", "--failed"]), @"
    exit 0
    --- stderr
    no run matches
    ");
    snapshot!(sandbox.repro(&["runs", "list", "--deleted"]), @"
    exit 0
    --- stderr
    no run is deleted
    ");
    snapshot!(sandbox.repro(&["runs", "best", "x"]), @"
    exit 2
    --- stderr
    error: no run has a metric `x`
     hint: no run has any metric
    ");
}
