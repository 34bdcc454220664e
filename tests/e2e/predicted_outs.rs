//! Verdicts about stages that read outs which a run would restore first.

use crate::sandbox::Sandbox;

/// Returns the verdict of a stage, and the outcome of a run.
fn verdict_and_outcome(sandbox: &Sandbox, stage: &str) -> (String, String) {
    let word = |args: &[&str], key: &str| {
        let text = sandbox.repro(args).stdout;
        let of_stage = |line: &serde_json::Value| {
            (line["stage"] == stage).then(|| line[key].as_str().map(str::to_owned)).flatten()
        };
        let lines = text.lines().map(serde_json::from_str::<serde_json::Value>);
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(whole) => whole["stages"].as_array().unwrap().iter().find_map(of_stage),
            Err(_) => lines.filter_map(|line| of_stage(&line.unwrap())).next_back(),
        }
    };
    let verdict = word(&["status", "--json"], "verdict").unwrap();
    (verdict, word(&["run", "-k", "--json"], "outcome").unwrap_or_else(|| "fresh".to_owned()))
}

#[test]
fn name_that_restored_tree_lacks() {
    let sandbox = Sandbox::with(
        r#"
[params]
name = "x"

[stages.make]
cmd = "mkdir -p d/inner; echo {{ params.name }} > d/{{ params.name }}; cp d/{{ params.name }} d/inner/"
params = ["name"]
outs = ["d"]

[stages.file]
cmd = "cp d/x file"
deps = ["d/x"]
outs = ["file"]

[stages.below]
cmd = "cp d/inner/x below"
deps = ["d/inner/x"]
outs = ["below"]

[stages.some]
cmd = "cat d/x* > some"
deps = ["d/x*"]
outs = ["some"]
"#,
    );
    sandbox.ok(&["run"]);
    sandbox.ok(&["params", "set", "name=y"]);
    assert_eq!(sandbox.repro(&["run", "-k"]).code, 2);
    sandbox.ok(&["params", "set", "name=x"]);
    sandbox.ok(&["run"]);
    // `make` will be restored without `x`, which exists now.
    for stage in ["file", "below", "some"] {
        sandbox.ok(&["params", "set", "name=x"]);
        sandbox.ok(&["run"]);
        sandbox.ok(&["params", "set", "name=y"]);
        let found = verdict_and_outcome(&sandbox, stage);
        assert_eq!((&*found.0, &*found.1), ("fails", "failed"), "{stage}");
    }
}

#[test]
fn path_below_a_restored_file() {
    let sandbox = Sandbox::with(
        r#"
[params]
kind = "folder"

[stages.make]
cmd = "if test {{ params.kind }} = folder; then mkdir d; echo x > d/x; else echo x > d; fi"
params = ["kind"]
outs = ["d"]

[stages.file]
cmd = "cp d/x file"
deps = ["d/x"]
outs = ["file"]
"#,
    );
    sandbox.ok(&["run"]);
    sandbox.ok(&["params", "set", "kind=file"]);
    assert_eq!(sandbox.repro(&["run"]).code, 2);
    sandbox.ok(&["params", "set", "kind=folder"]);
    sandbox.ok(&["run"]);
    sandbox.ok(&["params", "set", "kind=file"]);
    let found = verdict_and_outcome(&sandbox, "file");
    assert_eq!((&*found.0, &*found.1), ("fails", "failed"));
}
