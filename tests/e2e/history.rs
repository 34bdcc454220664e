//! The commands `runs`, `metrics`, `params` and `dag`.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use crate::run::chain;
use crate::sandbox::Sandbox;
use crate::snapshot;

fn trained() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[params.train]
epochs = 10
rate = 0.5

[metrics]
accuracy = { goal = "max" }
loss = { goal = "min" }

[stages.train]
cmd = """echo '{\"accuracy\": 0.{{ params.train.epochs }}, \"loss\": 2, \
  \"seen\": {{ params.train.epochs }}}' > m.json; echo epoch 1"""
params = ["train"]
metrics = ["m.json"]
"#,
    );
    sandbox.ok(&["run"]);
    sandbox.ok(&["params", "set", "epochs=30"]);
    sandbox.ok(&["run"]);
    sandbox
}

#[test]
fn metrics_compare_two_runs() {
    let sandbox = trained();
    snapshot!(sandbox.repro(&["metrics", "compare", "run-1", "run-2"]), @"
    exit 0
    --- stdout
    run status started took
    run-1 ok [date] [time]
    run-2 ok [date] [time]

    param run-1 run-2
    train.epochs 10 30

    metric run-1 run-2 change
    train.accuracy 0.1 0.3 +0.2 better
    train.seen 10 30 +20 changed

    1 other param is equal, 1 other metric is equal: `--all` lists them
    ");
    snapshot!(sandbox.repro(&["metrics", "compare", "run-1", "run-2", "--md"]), @"
    exit 0
    --- stdout
    | run | status | started | took | git |
    | --- | --- | --- | ---: | --- |
    | run-1 | ok | [date] | [time] | |
    | run-2 | ok | [date] | [time] | |

    | param | run-1 | run-2 |
    | --- | ---: | ---: |
    | train.epochs | 10 | 30 |

    | metric | run-1 | run-2 | change | |
    | --- | ---: | ---: | ---: | --- |
    | train.accuracy | 0.1 | 0.3 | +0.2 | better |
    | train.seen | 10 | 30 | +20 | changed |
    ");
    let json = sandbox.ok(&["metrics", "compare", "run-1", "run-2", "--json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&json.stdout).is_ok(), "{json}");
}

#[test]
fn runs_logs_and_show() {
    let sandbox = trained();
    snapshot!(sandbox.repro(&["runs", "logs", "run-2", "train"]), @"
    exit 0
    --- stdout
    epoch 1
    ");
    let show = sandbox.ok(&["runs", "show", "run-2"]);
    for part in ["train.epochs", "30", "accuracy", "0.3", "m.json", "ran"] {
        assert!(show.stdout.contains(part), "`{part}` in {show}");
    }
    let json = sandbox.ok(&["runs", "show", "run-2", "--json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&json.stdout).is_ok(), "{json}");
    assert!(sandbox.ok(&["runs", "list"]).stdout.contains("run-1"));
}

#[test]
fn run_records_git_state() {
    let sandbox = chain();
    sandbox.write(".gitignore", "cache/\nruns/\nran\nwords.txt\ncounts\nreport.*\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "first"]);
    sandbox.ok(&["run"]);
    sandbox.ok(&["params", "set", "top=3"]);
    sandbox.ok(&["run"]);
    let show = |run| sandbox.ok(&["runs", "show", run]).stdout;
    assert!(
        show("run-1").contains("on main") && !show("run-1").contains("uncommitted"),
        "{}",
        show("run-1")
    );
    assert!(show("run-2").contains("on main, with uncommitted changes"), "{}", show("run-2"));
}

#[test]
fn params_set_keeps_layout() {
    let sandbox = Sandbox::with(
        "[params]\nseed = 42 # the answer\n\n[params.train]  # how\nepochs   = 10\nlr = 1e-3\n\
         [params.fine]\nlr = 2.0\n\
         [stages.s]\ncmd = 'true'\n",
    );
    snapshot!(sandbox.repro(&["params", "set", "epochs=30", "seed=7"]), @"
    exit 0
    --- stdout
    train.epochs 10 → 30
    seed 42 → 7
    ");
    snapshot!(sandbox.read("pipeline.toml"), @"
    [params]
    seed = 7 # the answer

    [params.train] # how
    epochs = 30
    lr = 1e-3
    [params.fine]
    lr = 2.0
    [stages.s]
    cmd = 'true'
    ");
    snapshot!(sandbox.repro(&["params", "set", "lr=1"]), @"
    exit 2
    --- stderr
    error: param `lr` is ambiguous
     hint: write one of `fine.lr`, `train.lr`
    ");
    snapshot!(sandbox.repro(&["params", "set", "epohcs=1", "seed=8"]), @"
    exit 2
    --- stderr
    error: there is no param `epohcs`
     hint: did you mean `epochs`?
    ");
    snapshot!(sandbox.repro(&["params", "show"]), @"
    exit 0
    --- stdout
    fine.lr 2.0
    seed 7
    train.epochs 30
    train.lr 0.001
    ");
    assert!(sandbox.read("pipeline.toml").contains("seed = 7 "));
}

#[test]
fn dag_formats() {
    let sandbox = chain();
    snapshot!(sandbox.repro(&["dag"]), @"
    exit 0
    --- stdout
    ○ words
    │
    ○ count
    │
    ○ report
    ");
    snapshot!(sandbox.repro(&["dag", "--dot"]), @r#"
    exit 0
    --- stdout
    digraph "pipeline" {
     node [shape=box, style=rounded, fontname="sans-serif"];
     "words";
     "count";
     "report";
     "words" -> "count";
     "count" -> "report";
    }
    "#);
    snapshot!(sandbox.repro(&["dag", "--mermaid"]), @r#"
    exit 0
    --- stdout
    flowchart TD
     s0["words"]
     s1["count"]
     s2["report"]
     s0 --> s1
     s1 --> s2
    "#);
}

#[test]
fn read_only_history() {
    let sandbox = trained();
    let listed = sandbox.ok(&["runs", "list"]).stdout;
    let mode = |mode: u32, paths: &[&str]| {
        for path in paths {
            std::fs::set_permissions(sandbox.path(path), std::fs::Permissions::from_mode(mode))
                .unwrap();
        }
    };
    let mut command = sandbox.command(&["runs", "list"]);
    if rustix::process::geteuid().is_root() {
        // Root may write everywhere, so another user reads. That user may not have access to the
        // build directory, so the program is passed as an open file. A copy of the program could be
        // "text file busy" if another test forked while the copy was being written.
        let program = std::fs::File::open(command.get_program()).unwrap();
        command = std::process::Command::new("/proc/self/fd/0");
        command.args(["runs", "list"]).current_dir(sandbox.root()).uid(65534).stdin(program);
    }
    mode(0o444, &["runs/runs.db", "pipeline.toml"]);
    mode(0o555, &["runs", "."]);
    let done = sandbox.finish(&mut command);
    mode(0o755, &[".", "runs"]);
    assert_eq!((done.code, &done.stdout), (0, &listed), "{done}");
}
