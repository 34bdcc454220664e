//! `status`, `why` and `run --plan`: they report the verdicts of a run, and change nothing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::run::chain;
use crate::sandbox::{Sandbox, files};
use crate::snapshot;

#[test]
fn status_reasons_and_waiting() {
    let sandbox = chain();
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    words is out of date: never ran
    count is out of date: never ran; waits for words
    report is out of date: never ran; waits for count
    ");
    sandbox.ok(&["run"]);
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    everything is up to date (3 stages)
    ");
    sandbox.ok(&["params", "set", "top=3"]);
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    count is out of date: top 2 → 3
    report waits for count
    1 stage up to date
    ");
    snapshot!(sandbox.repro(&["why", "count"]), @"
    exit 0
    --- stdout
    count will run
     top 2 → 3
    ");
    snapshot!(sandbox.repro(&["why", "report"]), @"
    exit 0
    --- stdout
    report will be decided once the stages it waits for have finished
     waits for count
    ");
    snapshot!(sandbox.repro(&["why", "words"]), @"
    exit 0
    --- stdout
    words is up to date: cmd, deps, params and outs are unchanged since it ran
    ");
    snapshot!(sandbox.repro(&["run", "--plan", "-j", "2"]), @"
    exit 0
    --- stdout
    count is out of date: top 2 → 3 ([time] last time)
    report waits for count ([time] last time)
    1 stage up to date
    estimated at most [time] with -j 2
    ");
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 4);
    assert_eq!(sandbox.repro(&["status", "--check", "words"]).code, 0);
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 0);
    sandbox.ok(&["params", "set", "top=2"]);
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    everything is up to date (3 stages)
    ");
}

#[test]
fn why_lists_changed_files() {
    let sandbox = crate::sandbox::Sandbox::with(
        "[stages.s]\ncmd = 'cat src/*.txt > out'\ndeps = ['src']\nouts = ['out']\n",
    );
    for name in ["a", "b", "c"] {
        sandbox.write(&format!("src/{name}.txt"), name);
    }
    sandbox.write("src/deep/d.txt", "d");
    sandbox.ok(&["run"]);
    sandbox.write("src/a.txt", "changed");
    sandbox.remove("src/b.txt");
    sandbox.write("src/deep/e.txt", "new");
    snapshot!(sandbox.repro(&["why", "s"]), @"
    exit 0
    --- stdout
    s will run
     file src/a.txt changed
     file src/b.txt removed
     file src/deep/e.txt added
    ");
}

#[test]
fn queries_change_nothing() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.ok(&["params", "set", "top=3"]);
    // The index may store digests that were computed on the way.
    let state = || {
        files(&sandbox.root()).into_iter().filter(|path| path != "cache/index").collect::<Vec<_>>()
    };
    let before = state();
    for args in [
        &["status"][..],
        &["why", "count"],
        &["run", "-n"],
        &["dag"],
        &["metrics", "show"],
        &["runs", "list"],
    ] {
        sandbox.ok(args);
    }
    assert_eq!(state(), before);
    assert!(sandbox.ran().len() == 3);
}

#[test]
fn status_json() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.ok(&["params", "set", "top=3"]);
    let done = sandbox.ok(&["status", "--json"]);
    let verdicts: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        verdicts["stages"][1],
        serde_json::json!({
            "stage": "count", "verdict": "run",
            "changes": [{"change": "param", "key": "top", "old": 2, "new": 3}]
        })
    );
    assert_eq!(verdicts["stages"][2]["verdict"], "waits");
}

#[test]
fn edited_and_missing_outs() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.write("words.txt", "edited");
    sandbox.remove("report.txt");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    words can be restored from the cache: out words.txt differs from what the stage wrote
    report can be restored from the cache: out report.txt is missing
    1 stage up to date
    ");
    sandbox.ran();
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 0);
}

#[test]
fn present_out_needs_no_object() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'mkdir -p d; echo 1 > d/a.x; echo 2 > lost'\nouts = ['d', 'lost']\n\
         [stages.t]\ncmd = 'cat d/*.x > all'\ndeps = ['d/*.x']\nouts = ['all']\n",
    );
    sandbox.ok(&["run"]);
    let lock = sandbox.read("pipeline.lock");
    let line =
        lock.lines().find(|line| line.starts_with("out tree ") && line.ends_with(" d")).unwrap();
    let digest = line.split(' ').nth(2).unwrap();
    sandbox.remove(&format!("cache/objects/{}/{}", &digest[..2], &digest[2..]));
    sandbox.remove("lost");
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    s can be restored from the cache: out lost is missing
    1 stage up to date
    ");
}

#[test]
fn predicted_glob_without_match() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'mkdir -p d; echo 1 > d/a.x'\nouts = ['d']\n\
         [stages.t]\ncmd = 'touch all'\ndeps = ['d/*.y']\nouts = ['all']\n",
    );
    sandbox.ok(&["run", "s"]);
    sandbox.remove("d");
    let done = sandbox.repro(&["status"]);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stdout.contains("dep `d/*.y` of stage `t` matches nothing"), "{done}");
}

/// A project of three stages; `join` reads a folder, `count` reads the out of `join`.
fn folder_and_file() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[stages.join]
cmd = "cat in/* > joined"
deps = ["in"]
outs = ["joined"]

[stages.count]
cmd = "wc -l < joined > count"
deps = ["joined"]
outs = ["count"]

[stages.other]
cmd = "cp o other"
deps = ["o"]
outs = ["other"]
"#,
    );
    sandbox.write("in/a", "a\n");
    sandbox.write("o", "1");
    sandbox.ok(&["run"]);
    sandbox
}

#[test]
fn unobservable_stage_fails_alone() {
    let sandbox = folder_and_file();
    sandbox.write("o", "2");
    sandbox.fifo("in/pipe");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stdout
    join cannot be checked: `$ROOT/in/pipe` is neither a file nor a directory
     hint: move it out of the directory: sockets, pipes and devices have no content
    count would be skipped: it needs join, which cannot run
    other is out of date: dep o changed
    ");
    // A failing stage exits with 2, not with 4, the code for "out of date".
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 2);
    snapshot!(sandbox.repro(&["why", "join"]), @"
    exit 2
    --- stdout
    join cannot be checked: `$ROOT/in/pipe` is neither a file nor a directory
     hint: move it out of the directory: sockets, pipes and devices have no content
    ");
    snapshot!(sandbox.repro(&["why", "count"]), @"
    exit 0
    --- stdout
    count would be skipped: it needs join, which cannot run
    ");
    snapshot!(sandbox.repro(&["run", "--plan"]), @"
    exit 2
    --- stdout
    join cannot be checked: `$ROOT/in/pipe` is neither a file nor a directory
     hint: move it out of the directory: sockets, pipes and devices have no content
    count would be skipped: it needs join, which cannot run
    other is out of date: dep o changed ([time] last time)
    estimated at most [time] with -j 2
    ");
    snapshot!(sandbox.repro(&["run", "-k"]), @"
    exit 2
    --- stderr
    run-2: started
    other: started (dep o changed)
    join: failed: cannot be checked: `$ROOT/in/pipe` is neither a file nor a directory
    count: skipped: needs join
    other: ran in [time]
    error: stage `join` failed: cannot be checked: `$ROOT/in/pipe` is neither a file nor a directory
     hint: move it out of the directory: sockets, pipes and devices have no content

    ✗ join failed
    ⊘ count skipped
    ✓ other ran [time]

    ✗ run-2 failed after [time]: 1 failed, 1 skipped, 1 ran
    ");
}

#[test]
fn status_predicts_failures_of_run() {
    let sandbox = folder_and_file();
    sandbox.fifo("in/pipe");
    join_fails(&sandbox, 2);
    sandbox.remove("in/pipe");

    let unnameable = sandbox.path("in").join(OsStr::from_bytes(b"b\xffd"));
    fs::write(&unnameable, "").unwrap();
    join_fails(&sandbox, 2);
    fs::remove_file(unnameable).unwrap();

    symlink("loop", sandbox.path("in/loop")).unwrap();
    join_fails(&sandbox, 3);
    fs::remove_file(sandbox.path("in/loop")).unwrap();

    sandbox.remove("joined");
    sandbox.fifo("joined");
    join_fails(&sandbox, 2);
}

fn join_fails(sandbox: &Sandbox, code: i32) {
    let status = sandbox.repro(&["status", "--json"]);
    let run = sandbox.repro(&["run", "-k", "--json"]);
    assert_eq!((status.code, run.code), (code, code), "{status}");
    let values = |text: &str| -> Vec<Value> {
        serde_json::Deserializer::from_str(text).into_iter().map(Result::unwrap).collect()
    };
    let words = |items: &[Value], key: &str| -> BTreeMap<String, String> {
        let word = |item: &Value, key: &str| item[key].as_str().map(str::to_owned);
        items.iter().filter_map(|item| Some((word(item, "stage")?, word(item, key)?))).collect()
    };
    let stages = values(&status.stdout)[0]["stages"].as_array().unwrap().clone();
    let (verdicts, outcomes) = (words(&stages, "verdict"), words(&values(&run.stdout), "outcome"));
    assert_eq!((&*verdicts["join"], &*outcomes["join"]), ("fails", "failed"));
    assert_eq!((&*verdicts["count"], &*outcomes["count"]), ("skipped", "skipped"));
    assert_eq!(verdicts["other"], "fresh");
    let join = stages.iter().find(|stage| stage["stage"] == "join").unwrap();
    assert!(join["failure"]["what"].as_str().unwrap().starts_with("cannot be checked: "), "{join}");
    assert!(join["failure"]["hint"].is_string(), "{join}");
}

#[test]
fn unrecorded_run_is_a_reason() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'test -e x && touch o'\nouts = ['o']\n");
    let reason = || sandbox.ok(&["status"]).stdout;
    assert!(reason().contains("s  is out of date: never ran"), "{}", reason());
    assert_eq!(sandbox.repro(&["run"]).code, 1);
    assert!(reason().contains("s  is out of date: its last run was not recorded"), "{}", reason());
    sandbox.write("x", "");
    sandbox.ok(&["run"]);
    sandbox.remove("pipeline.lock");
    sandbox.edit("pipeline.toml", "touch o", "touch o o");
    let done = sandbox.repro(&["status"]);
    assert!(!done.stdout.contains("not recorded"), "{done}");
}
