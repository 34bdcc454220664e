//! Deps that change while their stage runs: reported at once, found even if they were changed
//! back, and never recorded. What does not change a dep does not matter.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

/// A stage that reads `src`, and one that needs it.
const TRAIN: &str = r#"
[stages.train]
cmd = "sh src/run.sh"
deps = ["src"]
outs = ["model"]

[stages.report]
cmd = "cp model report"
deps = ["model"]
outs = ["report"]
"#;

fn train(script: &str) -> Sandbox {
    let sandbox = Sandbox::with(TRAIN);
    sandbox.write("src/run.sh", script);
    sandbox.write("src/lib/a.py", "1\n");
    sandbox.write("src/lib/b.py", "1\n");
    sandbox
}

/// A stage that waits for the test while it runs.
fn waiting() -> Sandbox {
    let sandbox = train("cat src/lib/a.py > model; echo ready; cat gate");
    sandbox.fifo("gate");
    sandbox
}

/// Runs a stage that copies `in` to `out` and replaces `in` for a while meanwhile.
fn swapping(swap: &str) -> Done {
    let cmd = format!("set -e; test -e quiet || {{ {swap}; }}; test -e out || cp in out");
    let sandbox =
        Sandbox::with(&format!("[stages.s]\ncmd = '''{cmd}'''\ndeps = ['in']\nouts = ['out']\n"));
    sandbox.write("in", "A\n");
    let done = sandbox.repro(&["run"]);
    assert_eq!(sandbox.read("in"), "A\n");
    if done.code == 1 {
        assert_eq!(sandbox.repro(&["status", "--check"]).code, 4);
        sandbox.write("quiet", "");
        sandbox.ok(&["run"]);
        assert_eq!(sandbox.read("out"), "A\n");
    }
    done
}

fn is_unrecorded(done: &Done, what: &str) {
    assert_eq!(done.code, 1, "{what}: {done}");
    assert!(done.stderr.contains("but is not recorded: "), "{what}: {done}");
    assert!(done.stderr.contains("changed while it ran"), "{what}: {done}");
}

#[test]
fn edit_reported_while_running() {
    let sandbox = waiting();
    let mut run = sandbox.command(&["run"]);
    let mut run = run.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = deadline::lines(run.stderr.take().unwrap());
    let mut until = |end: &str| {
        assert!(lines.any(|line| line.contains(end)), "`{end}` is missing");
    };
    until("ready");
    sandbox.write("src/lib/b.py", "2\n");
    until(
        "train: warning: `src/lib/b.py` in its dep `src` changed while it runs; its result will \
         not be recorded",
    );
    sandbox.write("src/lib/new.py", "3\n");
    until(
        "`src/lib/new.py` in its dep `src` was added while it runs; its result will not be \
         recorded unless that is undone",
    );
    // Changing it back does not help.
    sandbox.remove("src/lib/new.py");
    sandbox.write("src/lib/b.py", "1\n");
    sandbox.write("gate", "");
    until("stage `train` ran in");
    assert_eq!(deadline::wait(run).status.code(), Some(1));
}

#[test]
fn edit_in_stream_of_events() {
    let sandbox = waiting();
    let mut run = sandbox.command(&["run", "--json"]);
    let mut run = run.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = deadline::lines(run.stdout.take().unwrap());
    let mut event = |name: &str| {
        let line = lines.find(|line| line.contains(&format!(r#""event":"{name}""#))).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };
    event("line");
    sandbox.write("src/lib/b.py", "2\n");
    let changed = event("dep_changed");
    assert_eq!((&changed["stage"], &changed["dep"]), (&"train".into(), &"src".into()));
    let file = serde_json::json!({ "path": "src/lib/b.py", "fate": "changed" });
    assert_eq!(changed["files"], serde_json::json!([file]));
    assert_eq!(changed["count"], 1);
    sandbox.write("gate", "");
    assert_eq!(event("stage_ended")["outcome"], "unrecorded");
    assert_eq!(deadline::wait(run).status.code(), Some(1));
}

#[test]
fn temporary_file_in_a_dep() {
    let sandbox = waiting();
    let mut run = sandbox.command(&["run"]);
    let mut run = run.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = deadline::lines(run.stderr.take().unwrap());
    let mut until = |end: &str| assert!(lines.any(|line| line.contains(end)), "{end}");
    until("ready");
    sandbox.write("src/data.lock", "");
    until("`src/data.lock` in its dep `src` was added while it runs");
    sandbox.remove("src/data.lock");
    sandbox.write("gate", "");
    until("done in");
    assert_eq!(deadline::wait(run).status.code(), Some(0));
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn unrecorded_result() {
    let sandbox = train("cat src/lib/*.py > model; echo 2 > src/lib/b.py; rm src/lib/a.py");
    let done = sandbox.repro(&["run"]);
    snapshot!(done, @"
    exit 1
    --- stderr
    run-1: started
    train: started (never ran)
    train: ran in [time], but is not recorded: `src/lib/a.py`, `src/lib/b.py` in its dep `src` changed while it ran
    report: skipped: needs train
    error: stage `train` ran in [time], but is not recorded: `src/lib/a.py`, `src/lib/b.py` in its dep `src` changed while it ran
     hint: its outs stay in the workspace: run again, or record them with `repro accept train --reason TEXT` if the change does not affect them; if the stage itself writes the file, declare it as an out or move it

    ✗ train not recorded [time]
    ⊘ report skipped

    ✗ run-1 failed after [time]: 1 not recorded, 1 skipped
    ");
    assert_eq!(sandbox.read("model"), "1\n1\n");
    assert!(!sandbox.exists("report"));
    let shown = sandbox.ok(&["runs", "show"]).stdout;
    assert!(shown.contains("train   not recorded"), "{shown}");
    let shown = sandbox.ok(&["runs", "show", "--json"]).stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["stages"][0]["outcome"], "unrecorded");
    assert!(sandbox.ok(&["runs", "list"]).stdout.contains("1 not recorded"));
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 4);
    // Nothing stands in the way of the next run.
    sandbox.write("src/run.sh", "cat src/lib/*.py > model");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("report"), "2\n");
}

#[test]
fn harmless_edit_is_accepted() {
    let sandbox = train("cat src/lib/a.py > model; echo '# a comment' >> src/lib/b.py");
    is_unrecorded(&sandbox.repro(&["run"]), "comment");
    sandbox.ok(&["accept", "train", "--reason", "only a comment"]);
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("report"), "1\n");
    sandbox.ok(&["status", "--check"]);
    // The result is kept like any other.
    sandbox.remove("model");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("model"), "1\n");
    assert_eq!(sandbox.read("src/lib/b.py"), "1\n# a comment\n");
}

#[test]
fn unrecorded_is_not_retried() {
    let sandbox = train("echo ran >> ran; echo > model; echo 2 > src/lib/b.py");
    sandbox.edit("pipeline.toml", "outs = [\"model\"]", "outs = [\"model\"]\nretries = 2");
    is_unrecorded(&sandbox.repro(&["run"]), "retries");
    assert_eq!(sandbox.ran().len(), 1);
}

#[test]
fn mtime_set_back() {
    let touch = "touch -r in time; echo B > in; cp in out; echo A > in; touch -r time in";
    is_unrecorded(&swapping(touch), "touch -r");
    let copy = "cp -p in kept; echo B > in; cp in out; cp -p kept in";
    is_unrecorded(&swapping(copy), "cp -p");
}

#[test]
fn renamed_away_and_back() {
    is_unrecorded(&swapping("mv in aside; echo B > in; cp in out; mv aside in"), "rename");
    let exchange = "echo B > other; mv in aside; mv other in; cp in out; rm in; mv aside in";
    is_unrecorded(&swapping(exchange), "replaced by a rename");
}

#[test]
fn folder_renamed_away_and_back() {
    for (dep, parent) in [("a/d", "a/d"), ("a/d/in", "a/d"), ("a/d/in", "a"), ("a/*/in", "a/d")] {
        let cmd = format!(
            "set -e; mv {parent} aside; mkdir -p a/d; echo B > a/d/in; cp a/d/in out; \
             rm -r {parent}; mv aside {parent}"
        );
        let sandbox = Sandbox::with(&format!(
            "[stages.s]\ncmd = '{cmd}'\ndeps = ['{dep}']\nouts = ['out']\n"
        ));
        sandbox.write("a/d/in", "A\n");
        is_unrecorded(&sandbox.repro(&["run"]), &format!("{dep}, {parent}"));
        assert_eq!(sandbox.read("a/d/in") + &sandbox.read("out"), "A\nB\n");
    }
}

#[test]
fn link_redirected_and_back() {
    for (dep, link, old, new) in [
        ("now/in", "now", "old", "new"),
        ("now", "now", "old", "new"),
        ("d", "d/in", "../old/in", "../new/in"),
        ("d", "d/now", "../old", "../new"),
        ("*/in", "now", "old", "new"),
        ("first/in", "now", "old", "new"),
    ] {
        let cmd = format!("ln -sfn {new} {link}; cp {link}* out -rL; ln -sfn {old} {link}");
        let sandbox = Sandbox::with(&format!(
            "[stages.s]\ncmd = '{cmd}'\ndeps = ['{dep}']\nouts = ['out']\n"
        ));
        sandbox.write("old/in", "A\n");
        sandbox.write("new/in", "B\n");
        fs::create_dir(sandbox.path("d")).unwrap();
        std::os::unix::fs::symlink("now", sandbox.path("first")).unwrap();
        std::os::unix::fs::symlink(old, sandbox.path(link)).unwrap();
        is_unrecorded(&sandbox.repro(&["run"]), &format!("{dep}, {link}"));
    }
}

#[test]
fn link_or_mode_added() {
    for harmless in [
        "ln in other",
        "ln in other; rm in; ln other in",
        "chmod 600 in",
        "chmod 700 in; chmod 600 in",
        "cat in; touch -a -c unrelated",
    ] {
        let done = swapping(harmless);
        assert_eq!(done.code, 0, "{harmless}: {done}");
    }
}

#[test]
fn outs_beside_a_dep() {
    let sandbox = Sandbox::with(
        "[stages.s]\n\
         cmd = 'touch -r data time; cp data/in data/out; mkdir data/tmp; touch -r time data'\n\
         deps = ['data/in']\nouts = ['data/out']\n",
    );
    sandbox.write("data/in", "A\n");
    sandbox.ok(&["run"]);
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn outs_that_share_an_object() {
    // `b` reads `a`, a hard link to an object, while `c` removes and adds links to the same object.
    let sandbox = Sandbox::with(
        r#"
[cache]
link = ["hardlink"]

[stages.a]
cmd = "echo same > a"
deps = ["in"]
outs = ["a"]

[stages.b]
cmd = "touch started; until test -e done; do sleep 0.01; done; cp a b; rm started done"
deps = ["a"]
outs = ["b"]

[stages.c]
cmd = "until test -e started; do sleep 0.01; done; echo same > c"
deps = ["in"]
outs = ["c"]

[stages.d]
cmd = "touch done; echo > d"
deps = ["c"]
outs = ["d"]
"#,
    );
    for round in ["1", "2"] {
        sandbox.write("in", round);
        sandbox.write("ran", round);
        let done = deadline::output(&mut sandbox.command(&["run", "--force", "-j", "4"]));
        let done = sandbox.done(done);
        assert_eq!(done.code, 0, "{done}");
        assert!(fs::metadata(sandbox.path("a")).unwrap().nlink() >= 3);
    }
}

#[test]
fn edited_item_is_not_kept() {
    let script = r#"
for item in ${1:-$(sed 's/.*"item":"\([^"]*\)".*/\1/' "$REPRO_ITEMS")}; do
  echo $item >> ran
  cp $item out/
  if test $item = in/a && test ! -e quiet; then echo 2 > in/a; fi
done
"#;
    for cmd in ["sh each.sh {{ item.path }}", "sh each.sh"] {
        let sandbox = Sandbox::with(&format!(
            "[stages.s]\neach = 'in/*'\ncmd = '{cmd}'\nouts = ['out/{{{{ item.name }}}}']\n"
        ));
        sandbox.write("each.sh", script);
        for name in ["a", "b", "c"] {
            sandbox.write(&format!("in/{name}"), name);
        }
        let done = sandbox.repro(&["run", "-k"]);
        is_unrecorded(&done, cmd);
        assert!(done.stderr.contains("`in/a` in its dep `in/*` changed while it ran"), "{done}");
        sandbox.write("quiet", "");
        assert_eq!(sandbox.ran().len(), 3, "{cmd}");
        sandbox.ok(&["run"]);
        assert_eq!(sandbox.ran(), ["in/a"], "{cmd}");
        assert_eq!(sandbox.read("out/a"), "2\n");
    }
}
