//! `repro push --runs` and `repro pull --runs`: histories are merged by the identities of runs.

use std::fs;

use crate::sandbox::{Done, Sandbox, files};
use crate::snapshot;

/// Projects `a` with two runs, and `b` and `c` without any, with one remote.
fn three() -> Sandbox {
    let sandbox = Sandbox::empty();
    for project in ["a", "b", "c"] {
        sandbox.write(
            &format!("{project}/pipeline.toml"),
            "[remotes.origin]\nurl = '../remote'\n[params]\nrate = 0.5\n[stages.s]\n\
             cmd = '''echo said {{ params.rate }}; mkdir -p out; echo {{ params.rate }} > \
             out/x; echo '{\"y\": {{ params.rate }}}' > m.json\n\
             for i in 1 2 3; do echo '{\"metric\":\"loss\",\"step\":'$i',\"value\":0.'$i'}' \
             >> $REPRO_EVENTS; done'''\n\
             params = ['rate']\nouts = ['out']\nmetrics = ['m.json']\n",
        );
    }
    sandbox.ok(&["-C", "a", "run"]);
    sandbox.ok(&["-C", "a", "run", "-p", "rate=0.25"]);
    sandbox
}

impl Sandbox {
    fn at(&self, project: &str, args: &[&str]) -> Done {
        self.ok(&[&["-C", project], args].concat())
    }
}

fn runs(sandbox: &Sandbox, project: &str) -> String {
    sandbox.at(project, &["runs", "list", "--json"]).stdout
}

/// Returns the lines of an output that are about runs.
fn about_runs(done: &Done) -> String {
    let text = done.to_string();
    text.lines().filter(|line| line.contains("run")).collect::<Vec<_>>().join("\n")
}

#[test]
fn history_travels() {
    let sandbox = three();
    snapshot!(sandbox.at("a", &["push", "--runs", "--dry-run"]), @"
    exit 0
    --- stdout
    would push 3 objects and 1 trace to `origin`: 102 B
    would push 2 runs to `origin`: 9 files, 1.2 kB
    ");
    assert!(!sandbox.exists("remote/index"));
    let pushed = about_runs(&sandbox.at("a", &["push", "--runs"]));
    snapshot!(pushed, @"pushed 2 runs to `origin`: 9 files, 1.2 kB");
    let before = files(&sandbox.path("remote"));
    snapshot!(sandbox.at("a", &["push", "--runs"]), @"
    exit 0
    --- stdout
    `origin` has everything: 3 objects
    `origin` has all 2 runs
    ");
    assert_eq!(files(&sandbox.path("remote")), before);
    snapshot!(sandbox.at("b", &["pull", "--runs", "--dry-run"]), @"
    exit 0
    --- stdout
    would add 2 runs from `origin` and merge 0 known runs
    ");
    snapshot!(sandbox.at("b", &["pull", "--runs"]), @"
    exit 0
    --- stdout
    2 new runs from `origin`: run-1, run-2
    the workspace already matches `pipeline.lock`
    ");
    for run in ["run-1", "run-2"] {
        let show = |project| sandbox.at(project, &["runs", "show", run, "--json"]).stdout;
        assert_eq!(show("a"), show("b"));
        let logs = |project| sandbox.at(project, &["runs", "logs", run, "s"]).stdout;
        assert_eq!(logs("a"), logs("b"));
        assert!(logs("b").starts_with("said 0."));
    }
    assert!(sandbox.at("b", &["metrics", "show", "run-2"]).stdout.contains("s.loss"));
    let history = runs(&sandbox, "b");
    snapshot!(sandbox.at("b", &["pull", "--runs"]), @"
    exit 0
    --- stdout
    no new runs on `origin`
    the workspace already matches `pipeline.lock`
    ");
    assert_eq!(runs(&sandbox, "b"), history);
    // What was pulled need not be pushed.
    sandbox.at("b", &["push", "--runs"]);
    assert_eq!(files(&sandbox.path("remote")), before);
}

#[test]
fn edits_travel() {
    let sandbox = three();
    sandbox.at("a", &["push", "--runs"]);
    sandbox.at("b", &["pull", "--runs"]);
    sandbox.at("a", &["runs", "tag", "run-1", "team=audio"]);
    sandbox.at("a", &["runs", "note", "run-1", "from a"]);
    sandbox.at("b", &["runs", "tag", "run-1", "quality=good"]);
    sandbox.at("b", &["runs", "note", "run-1", "from b"]);
    sandbox.at("b", &["runs", "rename", "run-2", "best"]);
    let before = files(&sandbox.path("remote")).len();
    sandbox.at("a", &["push", "--runs"]);
    // Only the manifest is new, and the index that names it.
    assert_eq!(files(&sandbox.path("remote")).len(), before + 2);
    snapshot!(sandbox.at("b", &["pull", "--runs"]), @"
    exit 0
    --- stdout
    run-1 was edited elsewhere: tag `team`
    the workspace already matches `pipeline.lock`
    --- stderr
    warning: run-1: note was edited here and elsewhere; it is now `from b`, and was also `from a`
    ");
    sandbox.at("b", &["push", "--runs"]);
    snapshot!(sandbox.at("a", &["pull", "--runs"]), @"
    exit 0
    --- stdout
    nothing to fetch from `origin`: the cache has 3 objects
    run-1 was edited elsewhere: note, tag `quality`
    run-2 was edited elsewhere: name
    the workspace already matches `pipeline.lock`
    ");
    sandbox.at("c", &["pull", "--runs"]);
    assert_eq!(runs(&sandbox, "a"), runs(&sandbox, "b"));
    assert_eq!(runs(&sandbox, "a"), runs(&sandbox, "c"));
    assert_eq!(sandbox.at("c", &["runs", "tag", "run-1"]).stdout, "quality=good\nteam=audio\n");
    assert_eq!(sandbox.at("a", &["runs", "note", "run-1"]).stdout, "from b\n");
    for project in ["a", "b", "c"] {
        let before = files(&sandbox.path("remote"));
        sandbox.at(project, &["push", "--runs"]);
        assert_eq!(files(&sandbox.path("remote")), before, "{project}");
    }
}

#[test]
fn deletion_travels() {
    let sandbox = three();
    sandbox.at("a", &["push", "--runs"]);
    sandbox.at("b", &["pull", "--runs"]);
    sandbox.at("a", &["runs", "rm", "run-1"]);
    sandbox.at("a", &["push", "--runs"]);
    snapshot!(sandbox.at("b", &["pull", "--runs"]), @"
    exit 0
    --- stdout
    the workspace already matches `pipeline.lock`
    --- stderr
    run-1 was deleted elsewhere; `repro runs undelete run-1` brings it back
    ");
    sandbox.at("b", &["runs", "undelete", "run-1"]);
    sandbox.at("b", &["push", "--runs"]);
    sandbox.at("a", &["pull", "--runs"]);
    assert_eq!(sandbox.at("a", &["runs", "show", "run-1"]).stderr, "");
    assert_eq!(runs(&sandbox, "a"), runs(&sandbox, "b"));
    // A run that was deleted before anybody knew it does not travel.
    sandbox.at("b", &["run"]);
    sandbox.at("b", &["runs", "rm", "run-3"]);
    sandbox.at("b", &["push", "--runs"]);
    sandbox.at("c", &["pull", "--runs"]);
    assert!(!sandbox.exists("c/runs/run-3"));
}

#[test]
fn names_are_unique() {
    let sandbox = three();
    sandbox.at("b", &["run", "-p", "rate=0.125"]);
    sandbox.at("b", &["runs", "rename", "run-1", "best"]);
    sandbox.at("a", &["runs", "rename", "run-1", "best"]);
    sandbox.at("a", &["push", "--runs"]);
    snapshot!(sandbox.at("b", &["pull", "--runs"]), @"
    exit 0
    --- stdout
    nothing to fetch from `origin`: the cache has 3 objects
    2 new runs from `origin`: run-2, run-3
    the workspace already matches `pipeline.lock`
    --- stderr
    warning: another run has the name `best`, so run-2 has none; `repro runs rename run-2 NAME` gives it one
    ");
    sandbox.at("b", &["push", "--runs"]);
    // Each keeps the name that it gave.
    sandbox.at("a", &["pull", "--runs"]);
    let name = |project, run| {
        let shown = sandbox.at(project, &["runs", "show", run, "--json"]).stdout;
        shown.lines().any(|line| line.trim() == "\"name\": \"best\",")
    };
    assert!(name("a", "run-1") && name("b", "run-1") && !name("a", "run-3"));
}

#[test]
fn sweep_travels_with_trials() {
    let sandbox = three();
    sandbox.at("a", &["sweep", "-p", "rate=1,2", "--name", "rates"]);
    sandbox.at("a", &["push", "--run", "rates"]);
    sandbox.at("b", &["pull", "--runs"]);
    assert_eq!(files(&sandbox.path("b/runs")).iter().filter(|f| f.ends_with("s/log")).count(), 2);
    snapshot!(sandbox.at("b", &["runs", "list"]), @"
    exit 0
    --- stdout
    run name status started took changed
    run-1 rates ok [date] [time] 2 trials
    ");
    let done = sandbox.repro(&["-C", "a", "push", "--run", "nothing"]);
    assert_eq!(done.code, 2, "{done}");
}

#[test]
fn two_push_at_once() {
    let sandbox = three();
    sandbox.at("b", &["run", "-p", "rate=3"]);
    sandbox.at("b", &["run", "-p", "rate=4"]);
    std::thread::scope(|scope| {
        for project in ["a", "b"] {
            let sandbox = &sandbox;
            scope.spawn(move || sandbox.at(project, &["push", "--runs"]));
        }
    });
    sandbox.at("c", &["pull", "--runs"]);
    assert_eq!(runs(&sandbox, "c").matches("\"uid\"").count(), 4);
    // Two pulls at once add each run once.
    fs::remove_dir_all(sandbox.path("c/runs")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let sandbox = &sandbox;
            scope.spawn(move || sandbox.repro(&["-C", "c", "fetch", "--runs"]));
        }
    });
    sandbox.at("c", &["pull", "--runs"]);
    assert_eq!(runs(&sandbox, "c").matches("\"uid\"").count(), 4);
}

#[test]
fn running_run_stays() {
    let sandbox = three();
    sandbox.fifo("started");
    sandbox.edit("a/pipeline.toml", "echo said", "echo > ../started; sleep 600; echo said");
    let mut command = sandbox.command(&["-C", "a", "run", "-p", "rate=9"]);
    let mut running = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    sandbox.read_fifo("started");
    let done = sandbox.at("a", &["push", "--runs"]);
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&running),
        rustix::process::Signal::INT,
    )
    .unwrap();
    running.wait().unwrap();
    snapshot!(about_runs(&done), @"
    pushed 2 runs to `origin`: 9 files, 1.2 kB
    run-3 is still running and can be pushed when ended
    ");
    let done = sandbox.at("a", &["push", "--runs"]);
    assert!(done.stdout.contains("pushed 1 run"), "{done}");
}
