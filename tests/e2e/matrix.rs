//! Matrices and templates: many stages from one declaration.

use crate::sandbox::Sandbox;
use crate::snapshot;

const GRID: &str = r#"
[params.small]
units = 8
[params.large]
units = 64

[stages.data]
cmd = "echo data > data.txt"
outs = ["data.txt"]

[stages.train]
desc = "Train the {{ matrix.model }} model"
matrix = { model = ["small", "large"], seed = [0, 1], exclude = [{ model = "large", seed = 1 }] }
cmd = """echo {{ matrix.model }} {{ matrix.seed }} > models/{{ matrix.model }}-{{ matrix.seed }}.txt; \
  echo {{ matrix.model }} >> ran"""
deps = ["data.txt"]
params = ["{{ matrix.model }}"]
outs = ["models/{{ matrix.model }}-{{ matrix.seed }}.txt"]

[stages.report]
cmd = "cat models/*.txt > report.txt"
deps = ["models/*.txt"]
outs = ["report.txt"]
"#;

#[test]
fn matrix_expands_to_stages() {
    let sandbox = Sandbox::with(GRID);
    sandbox.ok(&["run", "-j1"]);
    assert_eq!(sandbox.read("report.txt"), "large 0\nsmall 0\nsmall 1\n");
    snapshot!(sandbox.ok(&["dag"]), @"
    exit 0
    --- stdout
    ○ data
    ├─○ train@small-0 Train the small model
    ├─│─○ train@small-1 Train the small model
    │ │ │
    ○ │ │ train@large-0 Train the large model
    │ │ │
    ○─┴─╯ report
    ");
    sandbox.ran();
    // A param that one combination reads makes only that one run, and the stage that reads its out.
    sandbox.edit("pipeline.toml", "units = 64", "units = 65");
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    train@large-0 is out of date: large.units 64 → 65
    report waits for train@large-0
    3 stages up to date
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["large"]);
    // The declared name selects all its combinations.
    sandbox.ok(&["run", "train", "-f=train"]);
    assert_eq!(sandbox.ran().len(), 3);
    sandbox.ok(&["run", "train@small-1", "-f"]);
    assert_eq!(sandbox.ran(), ["small"]);
}

#[test]
fn invalid_matrices() {
    let sandbox = Sandbox::with(
        r#"
[stages.a]
matrix = { x = [] }
cmd = "true {{ matrix.x }}"
outs = ["a"]

[stages.b]
matrix = { x = ["a b", "a_b"] }
cmd = "true"
outs = ["b-{{ matrix.x }}"]

[stages.c]
matrix = { x = [1, 2], exclude = [{ y = 1 }] }
cmd = "true {{ matrix.z }}"
outs = ["c"]

[stages.d]
matrix = { x = [1], exclude = [{ x = 1 }] }
cmd = "true"
outs = ["d"]
"#,
    );
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:3: `x` in the matrix of stage `a` is empty
    error: pipeline.toml:8: two combinations of the matrix of stage `b` have the same name `b@a_b`
    error: pipeline.toml:13: `exclude` of stage `c` uses axis `y`, which is not in the matrix
    error: pipeline.toml:14: cannot render `cmd` of stage `c`: there is no `matrix.z`
     hint: write one of `matrix.x`
    error: pipeline.toml:15: out `c` of stage `c@2` is also an out of stage `c@1`
     hint: an out belongs to one stage; stage `c@1` is declared on line 12
    error: pipeline.toml:18: the matrix of stage `d` has no combinations
    ");
}

#[test]
fn why_and_accept_of_family() {
    let sandbox = Sandbox::with(GRID);
    sandbox.ok(&["run"]);
    sandbox.edit("pipeline.toml", "units = 8", "units = 9");
    snapshot!(sandbox.repro(&["why", "train"]), @"
    exit 0
    --- stdout
    train@small-0 will run
     small.units 8 → 9
    train@small-1 will run
     small.units 8 → 9
    train@large-0 is up to date: cmd, deps, params and outs are unchanged since it ran
    ");
    let why: serde_json::Value =
        serde_json::from_str(&sandbox.ok(&["why", "train@small-0", "--json"]).stdout).unwrap();
    assert_eq!(
        why,
        serde_json::json!({ "stages": [{
            "stage": "train@small-0", "verdict": "run",
            "changes": [{ "change": "param", "key": "small.units", "old": 8, "new": 9 }],
        }] })
    );
    snapshot!(sandbox.repro(&["accept", "train", "--reason", "x"]), @"
    exit 0
    --- stdout
    train@small-0 accepted as up to date in run-2: x
     small.units 8 → 9
    train@small-1 accepted as up to date in run-2: x
     small.units 8 → 9
    ");
}
