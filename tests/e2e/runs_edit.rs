//! Facts that users add to runs: tags, notes, names, deletion; and the logs of a running run.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::runs_list::three_runs;
use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn tags_of_a_run() {
    let sandbox = three_runs();
    let tag = |args: &[&str]| sandbox.repro(&[&["runs", "tag"], args].concat());
    sandbox.ok(&["runs", "tag", "run-1", "team=audio lab", "good=yes", "x=a=b"]);
    snapshot!(tag(&["run-1"]), @"
    exit 0
    --- stdout
    good=yes
    team=audio lab
    x=a=b
    ");
    sandbox.ok(&["runs", "tag", "run-1", "good=no", "--remove", "x"]);
    snapshot!(tag(&["run-1"]), @"
    exit 0
    --- stdout
    good=no
    team=audio lab
    ");
    snapshot!(tag(&["run-1", "a=1", "--remove", "god"]), @"
    exit 2
    --- stderr
    error: run-1 has no tag `god`
     hint: did you mean `good`?
    ");
    snapshot!(tag(&["run-1", "good"]), @"
    exit 2
    --- stderr
    error: `good` is not a tag
     hint: write NAME=VALUE, such as `good=yes`
    ");
    snapshot!(tag(&["run-1", "=x"]), @"
    exit 2
    --- stderr
    error: `=x` has no name before `=`
    ");
    snapshot!(tag(&["run-1", "a=1", "--remove", "a"]), @"
    exit 2
    --- stderr
    error: tag `a` is both set and removed
    ");
    snapshot!(tag(&["run-9", "a=1"]), @"
    exit 2
    --- stderr
    error: there is no run `run-9`
     hint: the latest are run-3, run-2, run-1; `repro runs list` shows more
    ");
    let found = ["--columns", "run,tags.*", "--filter", "tags.team LIKE 'audio%'"];
    snapshot!(sandbox.repro(&[&["runs", "list"], &found[..]].concat()), @"
    exit 0
    --- stdout
    run good team
    run-1 no audio lab
    ");
}

#[test]
fn notes_of_a_run() {
    let sandbox = three_runs();
    snapshot!(sandbox.repro(&["runs", "note", "latest"]), @"
    exit 0
    --- stderr
    run-3 has no note
    ");
    sandbox.ok(&["runs", "note", "latest", "too many\nepochs"]);
    snapshot!(sandbox.repro(&["runs", "note", "run-3"]), @"
    exit 0
    --- stdout
    too many
    epochs
    ");
    let mut piped = sandbox.command(&["runs", "note", "run-3", "-"]);
    sandbox.write("note.txt", "from a file\n");
    let file = std::fs::File::open(sandbox.path("note.txt")).unwrap();
    assert_eq!(sandbox.finish(piped.stdin(file)).code, 0);
    snapshot!(sandbox.repro(&["runs", "note", "run-3"]), @"
    exit 0
    --- stdout
    from a file
    ");
    sandbox.ok(&["runs", "note", "run-3", ""]);
    snapshot!(sandbox.repro(&["runs", "note", "run-3"]), @"
    exit 0
    --- stderr
    run-3 has no note
    ");
    snapshot!(sandbox.repro(&["runs", "note", "run-3", "--edit"]), @"
    exit 2
    --- stderr
    error: an editor needs a terminal
     hint: write the text on the command line, or pass it on stdin: `repro runs note RUN -`
    ");
}

#[test]
fn names_of_runs() {
    let sandbox = three_runs();
    let rename = |run: &str, name: &str| sandbox.repro(&["runs", "rename", run, name]);
    assert_eq!(rename("run-1", "baseline").code, 0);
    snapshot!(rename("run-2", "baseline"), @"
    exit 2
    --- stderr
    error: run-1 has the name `baseline`
     hint: `repro runs rename run-1 NEW` gives it another one
    ");
    snapshot!(rename("run-2", "run-7"), @"
    exit 2
    --- stderr
    error: `run-7` cannot name a run: it is the number of a run
     hint: choose a name such as `wide-network`
    ");
    snapshot!(rename("run-2", "best:x"), @"
    exit 2
    --- stderr
    error: `best:x` cannot name a run: it contains `:`, as in `best:METRIC` and `RUN:PATH`
     hint: choose a name such as `wide-network`
    ");
    snapshot!(sandbox.repro(&["runs", "list", "--columns", "run,name"]), @"
    exit 0
    --- stdout
    run name
    run-3 -
    run-2 -
    run-1 baseline
    ");
    for args in [
        &["runs", "show", "baseline"][..],
        &["runs", "logs", "baseline", "train"],
        &["runs", "tag", "baseline", "a=1"],
        &["metrics", "show", "baseline"],
        &["metrics", "compare", "baseline", "best:evaluate@dev.accuracy"],
        &["get", "baseline:loss.json", "-o", "old.json"],
    ] {
        sandbox.ok(args);
    }
    snapshot!(sandbox.repro(&["runs", "show", "baselin"]), @"
    exit 2
    --- stderr
    error: there is no run `baselin`
     hint: did you mean `baseline`?
    ");
    assert_eq!(rename("baseline", "").code, 0);
    assert_eq!(sandbox.repro(&["runs", "show", "baseline"]).code, 2);
}

#[test]
fn deleted_runs_come_back() {
    let sandbox = three_runs();
    snapshot!(sandbox.repro(&["runs", "rm", "run-1", "run-3"]), @"
    exit 0
    --- stderr
    deleted 2 runs; `repro runs undelete run-1 run-3` brings them back
    ");
    snapshot!(sandbox.repro(&["runs", "list", "--columns", "run"]), @"
    exit 0
    --- stdout
    run
    run-2
    ");
    snapshot!(sandbox.repro(&["runs", "list", "--columns", "run", "--deleted"]), @"
    exit 0
    --- stdout
    run
    run-3
    run-1
    ");
    snapshot!(sandbox.repro(&["runs", "rm", "run-1"]), @"
    exit 2
    --- stderr
    error: run-1 is already deleted
     hint: `repro runs undelete run-1` brings it back
    ");
    snapshot!(sandbox.repro(&["runs", "undelete", "run-2"]), @"
    exit 2
    --- stderr
    error: run-2 is not deleted
     hint: `repro runs list --deleted` lists the deleted runs
    ");
    snapshot!(sandbox.repro(&["runs", "undelete", "run-1"]), @"
    exit 0
    --- stderr
    brought 1 run back
    ");
    snapshot!(sandbox.repro(&["runs", "list", "--columns", "run"]), @"
    exit 0
    --- stdout
    run
    run-2
    run-1
    ");
    // A number is not used again.
    sandbox.ok(&["run", "-p", "epochs=11"]);
    assert!(sandbox.ok(&["runs", "list"]).stdout.contains("run-4"));
}

#[test]
fn control_characters_are_escaped() {
    let sandbox = three_runs();
    let evil = "\x1b]0;x\x07\u{202e}";
    sandbox.ok(&["runs", "rename", "run-1", evil]);
    sandbox.ok(&["runs", "tag", "run-1", &format!("k{evil}={evil}\nv")]);
    sandbox.ok(&["runs", "note", "run-1", evil]);
    for args in [
        &["runs", "list"][..],
        &["runs", "list", "--columns", "name,tags.*,note"],
        &["runs", "list", "--columns", "name,tags.*,note", "--md"],
        &["runs", "list", "--columns", "name,tags.*,note", "--csv"],
        &["runs", "list", "--json"],
        &["runs", "list", "--columns", "name,tags.*,note", "--json"],
        &["runs", "show", "run-1"],
        &["runs", "tag", "run-1"],
        &["runs", "note", "run-1"],
        &["runs", "list", "--filter", &format!("name = '{evil}' x")],
        &["runs", "show", &format!("{evil}x")],
        &["runs", "logs", "--grep", evil],
    ] {
        let done = sandbox.repro(args);
        let text = format!("{}{}", done.stdout, done.stderr);
        assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{args:?}: {text:?}");
    }
}

#[test]
fn search_in_logs() {
    let sandbox = three_runs();
    snapshot!(sandbox.repro(&["runs", "logs", "run-1", "--grep", "epoch"]), @"
    exit 0
    --- stdout
    train:1: epoch 10 of small
    ");
    snapshot!(sandbox.repro(&["runs", "logs", "run-1", "train", "--grep", "nothing"]), @"
    exit 0
    --- stderr
    no line contains `nothing`
    ");
    sandbox.ok(&["run"]);
    snapshot!(sandbox.repro(&["runs", "logs", "latest", "train"]), @"
    exit 2
    --- stderr
    error: stage `train` has no log in run-4: it was restored
     hint: it last ran in run-3: `repro runs logs run-3 train`
    ");
    snapshot!(sandbox.repro(&["runs", "logs", "run-3", "evaluate"]), @"
    exit 0
    --- stderr
    no log in run-3: `evaluate@dev` was skipped, `evaluate@test` was skipped
    ");
    snapshot!(sandbox.repro(&["runs", "logs", "trian"]), @"
    exit 2
    --- stderr
    error: there is no stage `trian` in run-4
     hint: did you mean `train`?
    ");
}

#[test]
fn followed_logs_end_with_run() {
    let sandbox = Sandbox::with(
        "[stages.a]\ncmd = 'echo one; echo > begun; cat go; echo two | tee out'\nouts = ['out']\n\
         [stages.b]\ndeps = ['out']\ncmd = 'echo three'\n",
    );
    sandbox.fifo("go");
    sandbox.fifo("begun");
    let mut run = sandbox.command(&["run"]).stdout(Stdio::null()).spawn().unwrap();
    sandbox.read_fifo("begun");
    // The stage has begun, so the run is recorded soon.
    let mut follow = loop {
        let follow = sandbox.command(&["runs", "logs", "--follow"]);
        if sandbox.repro(&["runs", "show"]).code == 0 {
            break follow;
        }
    };
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut followed = BufReader::new(follow.stdout.take().unwrap()).lines();
    let go = sandbox.path("go");
    let rest: Vec<String> = deadline::within(move || {
        assert!(followed.any(|line| line.unwrap() == "one"));
        std::fs::write(go, "").unwrap();
        followed.map(Result::unwrap).collect()
    });
    assert_eq!(rest, ["two", "", "==> b", "three"]);
    assert!(follow.wait().unwrap().success());
    assert!(run.wait().unwrap().success());
}
