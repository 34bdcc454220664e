//! Files of metrics and params in all formats, numbers, and the metrics that a run shows.

use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn params_from_yaml_and_json() {
    let sandbox = Sandbox::with(
        r#"
[config]
include = ["params.yaml", "more.json"]

[stages.a]
cmd = "echo {{ params.train.lr }} {{ params.seed }} > o"
params = ["train", "seed", "depth"]
outs = ["o"]
"#,
    );
    sandbox.write("params.yaml", "seed: 1\ntrain: &t\n  lr: 1e-3\ndepth:\n");
    sandbox.write("more.json", "\u{feff}{\"seed\": 2}");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("o"), "0.001 2\n");
    let planned = sandbox.ok(&["run", "-n", "-p", "depth=3"]);
    assert!(planned.stdout.contains("depth null → 3"), "{planned}");
    sandbox.edit("params.yaml", "1e-3", "0.5");
    let status = sandbox.ok(&["status"]);
    assert!(status.stdout.contains("train.lr 0.001 → 0.5"), "{status}");
    snapshot!(sandbox.repro(&["params", "set", "lr=3"]), @"
    exit 2
    --- stderr
    error: param `train.lr` is defined in `params.yaml`, and YAML is not edited
     hint: edit the file, or give the value to one run: `-p train.lr=…`
    ");
    sandbox.write("params.yaml", "seed: 1\nseed: 2\ntrain: [\n");
    let refused = sandbox.repro(&["status"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.starts_with("error: params.yaml:3: is not valid YAML: "), "{refused}");
}
