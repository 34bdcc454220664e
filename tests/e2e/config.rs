//! Params composed from several files, and overrides for one run.

use crate::sandbox::Sandbox;
use crate::snapshot;

fn composed() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[config]
include = ["conf/base.toml"]
groups = { model = "small", "train.optimizer" = "adam" }   # the defaults

[params]
seed = 7

[stages.show]
cmd = "cp $REPRO_PARAMS shown.json; echo show >> ran"
params = ["seed", "train", "model"]
outs = ["shown.json"]
"#,
    );
    sandbox.write("conf/base.toml", "seed = 1\n\n[train]\nepochs = 10   # base\nlayers = [1, 2]\n");
    sandbox.write("conf/model/small.toml", "units = 8\ndropout = 0.5\n");
    sandbox.write("conf/model/large.toml", "units = 64\n");
    sandbox.write("conf/train/optimizer/adam.toml", "lr = 1e-3\n");
    sandbox
}

#[test]
fn config_precedence() {
    let sandbox = composed();
    snapshot!(sandbox.ok(&["params", "show"]), @"
    exit 0
    --- stdout
    model.dropout 0.5
    model.units 8
    seed 7 replaces conf/base.toml
    train.epochs 10
    train.layers [1,2]
    train.optimizer.lr 0.001
    ");
    // A value is changed in the file that defines it, a group in the file that selects it.
    sandbox.ok(&["params", "set", "epochs=30", "lr=1e-4", "model=large", "seed=8"]);
    assert_eq!(
        sandbox.read("conf/base.toml"),
        "seed = 1\n\n[train]\nepochs = 30   # base\nlayers = [1, 2]\n"
    );
    assert_eq!(sandbox.read("conf/train/optimizer/adam.toml"), "lr = 1e-4\n");
    assert!(
        sandbox
            .read("pipeline.toml")
            .contains("{ model = \"large\", \"train.optimizer\" = \"adam\" }   # the")
    );
    snapshot!(sandbox.ok(&["params", "show", "model", "seed"]), @"
    exit 0
    --- stdout
    model.units 64
    seed 8 replaces conf/base.toml
    ");
    let done = sandbox.repro(&["params", "set", "model=huge"]);
    snapshot!(done, @"
    exit 2
    --- stderr
    error: pipeline.toml:4: there is no option `huge` in group `model`
     hint: the options are large, small
    ");
    assert!(sandbox.read("pipeline.toml").contains("model = \"large\""));
}

#[test]
fn overrides_apply_to_one_run() {
    let sandbox = composed();
    let args = [
        "run",
        "-p",
        "model=large",
        "-p",
        "epochs=3",
        "-p",
        "+train.note=quick",
        "-p",
        "~layers",
        "-p",
        "lr=1",
    ];
    sandbox.ok(&args);
    snapshot!(sandbox.read("shown.json"), @r#"
    {
     "model": {
     "units": 64
     },
     "seed": 7,
     "train": {
     "epochs": 3,
     "note": "quick",
     "optimizer": {
     "lr": 1.0
     }
     }
    }
    "#);
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    show is out of date: model.dropout - → 0.5, model.units 64 → 8, train.epochs 3 → 10, train.layers - → [1,2], and 2 more
    ");
    for (wrong, code) in [
        ("epochs=x", 2),
        ("epoch=3", 2),
        ("+epochs=3", 2),
        ("model=big", 2),
        ("train=3", 2),
        ("~nothing", 2),
        ("=3", 2),
    ] {
        let done = sandbox.repro(&["run", "-p", wrong]);
        assert_eq!(done.code, code, "{wrong}: {done}");
    }
    let wrong = ["epochs=x", "+seed=1", "model=larg", "train=3"];
    let args = wrong.iter().flat_map(|arg| ["-p", arg]);
    let args: Vec<&str> = std::iter::once("run").chain(args).collect();
    snapshot!(sandbox.repro(&args), @"
    exit 2
    --- stderr
    error: -p +seed=1: param `seed` already exists
     hint: to change it, omit the `+`: seed=1
    error: -p epochs=x: param `train.epochs` must be an integer, not `x`
     hint: the current value is 10
    error: -p model=larg: there is no option `larg` in group `model`
     hint: did you mean `large`?
    error: -p train=3: `train` is a table of params, not a param
     hint: set one of its params, or give a table: {a = 1}
    ");
    snapshot!(sandbox.repro(&["run", "-p", "~nosuch"]), @"
    exit 2
    --- stderr
    error: -p ~nosuch: there is no param `nosuch`
     hint: `repro params show` lists them
    ");
    // Params of the group option that failed to load cause no errors of their own.
    snapshot!(sandbox.repro(&["run", "-p", "model=larg", "-p", "units=3"]), @"
    exit 2
    --- stderr
    error: -p model=larg: there is no option `larg` in group `model`
     hint: did you mean `large`?
    ");
    sandbox.ok(&["run", "-p", "++train={epochs = 4, note = \"table\"}", "-p", "++train.note=both"]);
    let shown = sandbox.read("shown.json");
    assert!(shown.contains("\"epochs\": 4") && shown.contains("\"note\": \"both\""), "{shown}");
}

#[test]
fn included_file_errors_have_lines() {
    let sandbox = composed();
    sandbox.write("conf/base.toml", "seed = 1\n\"a b\" = 2\nx = nan\n");
    sandbox.write("conf/model/small.toml", "units = \n");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: conf/base.toml:2: `a b` is not a valid param name
     hint: use letters, digits, `_` and `-`
    error: conf/base.toml:3: param `x` must be a finite number
    error: conf/model/small.toml:1: a value is missing
    ");
    sandbox.remove("conf/base.toml");
    sandbox.remove("conf/model/small.toml");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:3: cannot read `conf/base.toml`: No such file or directory (os error 2)
    error: pipeline.toml:4: there is no option `small` in group `model`
     hint: the options are large
    ");
}
