//! A project with some runs, which the tests of all pages share.

use crate::sandbox::Sandbox;

const PIPELINE: &str = r#"
[pipeline]
name = "demo"
[params]
seed = 1
[params.train]
lr = 0.1
layers = [64, 32]
optimizer = "adam"
[metrics]
accuracy = { goal = "max" }
loss = { goal = "min" }
[stages.prepare]
cmd = "printf 'a,b\n1,2\n' > data.csv"
outs = ["data.csv"]
[stages.train]
cmd = "sh train.sh {{ params.train.lr }} {{ params.seed }}"
deps = ["train.sh", "data.csv"]
params = ["train", "seed"]
metrics = ["metrics.json"]
plots = ["confusion.json"]
outs = ["report.md"]
"#;

/// A loss that falls by the rate, plus the seed in the third digit.
const TRAIN: &str = r#"
set -e
for step in 0 1 2 3 4 5 6 7 8 9; do
  value=$(awk "BEGIN { print 2 / (1 + $step * $1) + $2 / 1000 }")
  printf '{"metric": "loss", "step": %s, "value": %s}\n' $step $value >> $REPRO_EVENTS
done
printf '{"loss": %s, "accuracy": %s, "clips": 1200}' $value \
  $(awk "BEGIN { print 1 - $value / 3 }") > metrics.json
printf '{"labels": ["rock", "jazz"], "matrix": [[%s, 1], [2, 8]]}' 9 > confusion.json
printf '# Report\n\nThe rate was %s.\n' $1 > report.md
"#;

/// Returns a project without runs.
pub fn demo() -> Sandbox {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.write("train.sh", TRAIN);
    sandbox
}

/// Returns a project with a run per list of overrides.
pub fn demo_with(runs: &[&[&str]]) -> Sandbox {
    let sandbox = demo();
    for overrides in runs {
        let params = overrides.iter().flat_map(|param| ["-p", param]);
        sandbox.ok(&["run"].into_iter().chain(params).collect::<Vec<_>>());
    }
    sandbox
}
