//! `[remotes.NAME] auto = "pull"`: `repro run` restores what another clone has computed, and two
//! machines that work on one project.

use std::fs;

use crate::sandbox::{Sandbox, files};
use crate::snapshot;

/// Commands append to the file `ran` beside the clones.
const PIPELINE: &str = "
[remotes.origin]
url = '../remote'
auto = 'pull'

[params]
rate = 1

[stages.data]
outs = ['raw']

[stages.prepare]
cmd = 'echo prepare >> ../ran; mkdir -p clean/deep; cat raw/* > clean/all; cp raw/b clean/deep/b'
deps = ['raw']
outs = ['clean']

[stages.train]
cmd = '''
echo train >> ../ran; cat clean/all > model; echo '{\"y\": {{ params.rate }}}' > m.json'''
deps = ['clean']
params = ['rate']
outs = ['model']
metrics = ['m.json']
";

/// A clone `a` that has run and pushed everything, `b` cloned from it, and what `a` ran.
fn two_clones(pipeline: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    let ran = sandbox.path("ran");
    sandbox.write("a/pipeline.toml", pipeline.replace("../ran", ran.to_str().unwrap()));
    sandbox.write("a/raw/a", "one\n");
    sandbox.write("a/raw/b", "two\n");
    sandbox.git(&["init", "-q", "a"]);
    sandbox.ok(&["-C", "a", "run"]);
    sandbox.write("a/.gitignore", "cache/\nruns/\n/raw\n/clean\n/model\n/m.json\n");
    sandbox.git(&["-C", "a", "add", "."]);
    sandbox.git(&["-C", "a", "commit", "-qm", "first"]);
    sandbox.ok(&["-C", "a", "push", "--runs"]);
    assert!(!sandbox.ran().is_empty());
    sandbox.git(&["clone", "-q", "a", "b"]);
    sandbox
}

#[test]
fn cold_clone_runs_nothing() {
    let sandbox = two_clones(PIPELINE);
    let mut done = sandbox.repro(&["-C", "b", "run"]);
    // A slow transfer reports what has arrived.
    let lines = done.stderr.split_inclusive('\n');
    done.stderr = lines.filter(|line| !line.ends_with(" %)\n")).collect();
    snapshot!(done, @"
    exit 0
    --- stderr
    run-1: started
    data: restored from origin in [time]
    prepare: restored from origin in [time]
    train: restored from origin in [time]

    ↺ data restored [time]
    ↺ prepare restored [time]
    ↺ train restored [time]

     train.y 1

     model by train

    ✓ run-1 done in [time]: 3 restored
    ");
    assert_eq!(sandbox.ran(), [""; 0]);
    for out in ["raw/a", "clean/deep/b", "model", "m.json"] {
        assert_eq!(sandbox.read(&format!("b/{out}")), sandbox.read(&format!("a/{out}")), "{out}");
    }
    let shown = sandbox.ok(&["-C", "b", "runs", "show", "run-1"]).stdout;
    snapshot!(shown.split_once("stages").unwrap().1, @"

     data restored [time] from origin
     out raw is missing
     prepare restored [time] from origin
     out clean is missing
     train restored [time] from origin
     out m.json is missing
     out model is missing

    metrics
     train.y 1

    params
     rate 1

    artifacts
     data raw tree 36b645877a
     prepare clean tree afc0385c29
     train m.json file 519debe396
     model file 04d2649eb7
    ");
    sandbox.ok(&["-C", "b", "pull", "--runs"]);
    let shown = sandbox.ok(&["-C", "b", "metrics", "show", "run-2"]).stdout;
    assert!(shown.contains("train.y"), "{shown}");
}

#[test]
fn cold_clone_pulls() {
    let sandbox = two_clones(&PIPELINE.replace("auto = 'pull'", ""));
    sandbox.ok(&["-C", "b", "pull", "--runs"]);
    assert!(sandbox.ok(&["-C", "b", "run"]).stderr.contains("up to date"));
    assert_eq!(sandbox.ran(), [""; 0]);
    assert_eq!(sandbox.read("b/model"), "one\ntwo\n");
    assert!(sandbox.ok(&["-C", "b", "runs", "logs", "run-1", "train"]).stdout.is_empty());
}

#[test]
fn up_to_date_asks_nobody() {
    let sandbox = two_clones(PIPELINE);
    sandbox.ok(&["-C", "b", "run"]);
    // With its remote broken, a run that asks for anything has a warning.
    fs::remove_dir_all(sandbox.path("remote")).unwrap();
    sandbox.write("remote", "a file");
    assert!(!sandbox.ok(&["-C", "b", "run"]).stderr.contains("warning"));
    for args in [&["status"][..], &["why", "train"], &["run", "--plan"]] {
        sandbox.remove("b/model");
        let done = sandbox.ok(&[&["-C", "b"][..], args].concat());
        assert!(!done.stderr.contains("warning"), "{done}");
        sandbox.ok(&["-C", "b", "checkout"]);
    }
    // What the cache has is restored without a question.
    sandbox.remove("b/model");
    let done = sandbox.ok(&["-C", "b", "run"]);
    assert!(!done.stderr.contains("warning"), "{done}");
    assert_eq!(sandbox.ran(), [""; 0]);
}

#[test]
fn broken_remote_is_one_warning() {
    let sandbox = two_clones(PIPELINE);
    fs::remove_dir_all(sandbox.path("remote")).unwrap();
    sandbox.write("remote", "a file");
    sandbox.write("b/raw/a", "one\n");
    sandbox.write("b/raw/b", "two\n");
    let done = sandbox.ok(&["-C", "b", "run"]);
    assert_eq!(sandbox.ran(), ["prepare", "train"]);
    assert_eq!(done.stderr.matches("warning").count(), 1, "{done}");
    let mut warnings = done.stderr.lines().filter(|line| line.contains("warning"));
    snapshot!(warnings.next().unwrap(), @"
    warning: remote `origin` is not used in this run: cannot list `index` of `$ROOT/remote`: `$ROOT/remote` is not a folder
    ");
}

#[test]
fn remote_can_be_left_out() {
    let sandbox = two_clones(PIPELINE);
    sandbox.write("b/raw/a", "one\n");
    sandbox.write("b/raw/b", "two\n");
    sandbox.ok(&["-C", "b", "run", "--no-remote", "prepare"]);
    assert_eq!(sandbox.ran(), ["prepare"]);
    let mut run = sandbox.command(&["-C", "b", "run"]);
    let done = sandbox.finish(run.env("REPRO_NO_REMOTE", "1"));
    assert_eq!((done.code, sandbox.ran()), (0, vec!["train".to_owned()]), "{done}");
}

#[test]
fn forced_stage_runs_anyway() {
    let sandbox = two_clones(PIPELINE);
    sandbox.ok(&["-C", "b", "run", "-f=train", "train"]);
    assert_eq!(sandbox.ran(), ["train"]);
}

/// A stage whose result only the remote's trace knows, since the lock is that of another state.
#[test]
fn trace_without_lock() {
    let sandbox = two_clones(PIPELINE);
    sandbox.ok(&["-C", "a", "run", "-p", "rate=2"]);
    sandbox.ok(&["-C", "a", "push"]);
    assert_eq!(sandbox.ran(), ["train"]);
    let done = sandbox.ok(&["-C", "b", "run", "-p", "rate=2", "--json"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    let ended = done
        .stdout
        .lines()
        .find(|line| line.contains("\"stage_ended\"") && line.contains("\"stage\":\"train\""));
    assert!(ended.unwrap().contains("\"outcome\":\"restored\",\"from\":\"origin\""), "{done}");
    // The start of a stage is shown when its outs begin to arrive, and not again.
    let is_start = |line: &&str| line.contains("\"stage_started\"") && line.contains("\"train\"");
    let starts: Vec<&str> = done.stdout.lines().filter(is_start).collect();
    assert_eq!(starts.len(), 1, "{done}");
    assert!(starts[0].contains("\"work\":\"restore\""), "{done}");
}

#[test]
fn incomplete_remote_runs() {
    let sandbox = two_clones(PIPELINE);
    // All packs are gone, the index is not.
    fs::remove_dir_all(sandbox.path("remote/packs")).unwrap();
    sandbox.write("b/raw/a", "one\n");
    sandbox.write("b/raw/b", "two\n");
    let done = sandbox.ok(&["-C", "b", "run"]);
    assert_eq!(sandbox.ran(), ["prepare", "train"], "{done}");
    assert_eq!(done.stderr.matches("warning").count(), 1, "{done}");
}

#[test]
fn items_come_from_the_remote() {
    let pipeline = "
[remotes.origin]
url = '../remote'
auto = 'pull'

[stages.each]
cmd = 'echo {{ item.name }} >> ../ran; mkdir -p out; cp {{ item.path }} out/{{ item.name }}'
each = 'raw/*'
outs = ['out/{{ item.name }}']
";
    let sandbox = two_clones(pipeline);
    sandbox.write("b/raw/a", "one\n");
    sandbox.write("b/raw/b", "another\n");
    sandbox.write("b/raw/c", "three\n");
    let done = sandbox.ok(&["-C", "b", "run"]);
    let mut ran = sandbox.ran();
    ran.sort();
    assert_eq!(ran, ["b", "c"], "{done}");
    assert_eq!(sandbox.read("b/out/a"), "one\n");
}

#[test]
fn trials_come_from_the_remote() {
    let sandbox = two_clones(PIPELINE);
    sandbox.ok(&["-C", "a", "sweep", "-p", "rate=1,2,3"]);
    sandbox.ok(&["-C", "a", "push", "--all"]);
    assert_eq!(sandbox.ran().len(), 2);
    sandbox.ok(&["-C", "b", "run"]);
    let done = sandbox.ok(&["-C", "b", "sweep", "-p", "rate=1,2,3"]);
    assert_eq!(sandbox.ran(), [""; 0], "{done}");
}

/// Two people change different stages; neither computes what the other has.
#[test]
fn two_machines() {
    let sandbox = two_clones(PIPELINE);
    let commit = |clone: &str, what: &str| {
        sandbox.git(&["-C", clone, "commit", "-qam", what]);
    };
    sandbox.ok(&["-C", "b", "pull", "--runs"]);
    sandbox.edit("a/pipeline.toml", "mkdir -p clean/deep", "mkdir -p  clean/deep");
    sandbox.ok(&["-C", "a", "run"]);
    // The new command writes the same bytes, so `train` is up to date.
    assert_eq!(sandbox.ran(), ["prepare"]);
    sandbox.ok(&["-C", "a", "push", "--runs"]);
    commit("a", "prepare");
    sandbox.edit("b/pipeline.toml", "rate = 1", "rate = 5");
    sandbox.ok(&["-C", "b", "run"]);
    assert_eq!(sandbox.ran(), ["train"]);
    sandbox.ok(&["-C", "b", "push", "--runs"]);
    commit("b", "train");
    sandbox.git(&["-C", "b", "pull", "-q", "--no-rebase", "-X", "ours", "origin", "main"]);
    let done = sandbox.ok(&["-C", "b", "run"]);
    assert_eq!(sandbox.ran(), [""; 0], "{done}");
    sandbox.ok(&["-C", "b", "pull", "--runs"]);
    sandbox.ok(&["-C", "a", "pull", "--runs"]);
    let uids = |clone: &str| {
        let listed = sandbox.ok(&["-C", clone, "runs", "list", "--json"]).stdout;
        let mut uids: Vec<String> =
            listed.split("\"uid\": \"").skip(1).map(|rest| rest[..32].to_owned()).collect();
        uids.sort();
        uids
    };
    assert!(uids("a").len() >= 3);
    assert!(uids("a").iter().all(|uid| uids("b").contains(uid)));
    assert!(!files(&sandbox.path("remote/packs")).is_empty());
}
