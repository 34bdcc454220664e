//! `pipeline.lock` through merges, rebases and other commands of git that merge.

use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

/// Returns a repository with a pipeline of two stages that has run, on branch `main`.
fn repository() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[params]
size = 1

speed = 1

[stages.prepare]
cmd = "echo prepare >> ran; cat raw > clean; echo {{ params.size }} >> clean"
deps = ["raw"]
outs = ["clean"]

[stages.train]
cmd = "echo train >> ran; cat clean train.py > model; echo {{ params.speed }} >> model"
deps = ["clean", "train.py"]
outs = ["model"]
"#,
    );
    sandbox.write("raw", "raw\n");
    sandbox.write("train.py", "py\n");
    sandbox.write(".gitignore", "/cache/\n/runs/\n/ran\n");
    sandbox.git(&["init", "-q"]);
    sandbox.ok(&["run"]);
    sandbox.ok(&["git", "install", "--no-hooks"]);
    commit(&sandbox, "base");
    sandbox.ran();
    sandbox
}

fn commit(sandbox: &Sandbox, title: &str) {
    sandbox.git(&["add", "-A"]);
    sandbox.git(&["commit", "-qm", title]);
}

/// Edits a file on a branch that starts at `from`, runs the pipeline and commits.
fn branch(sandbox: &Sandbox, name: &str, from: &str, file: &str, edit: (&str, &str)) {
    sandbox.git(&["switch", "-qc", name, from]);
    sandbox.edit(file, edit.0, edit.1);
    sandbox.ok(&["run"]);
    commit(sandbox, name);
    sandbox.ran();
}

/// Runs git as a user would, with its exit code and output.
pub fn git(sandbox: &Sandbox, args: &[&str]) -> Done {
    let mut command = std::process::Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(args);
    command.current_dir(sandbox.root()).env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_EDITOR", "true").env("LC_ALL", "C");
    sandbox.finish(&mut command)
}

/// Asserts that a stage's record in the lock is that of a commit.
fn assert_record(sandbox: &Sandbox, stage: &str, commit: &str) {
    let block = |text: &str| {
        let start = format!("stage {stage}\n");
        let block = text.split("\n\n").find(|block| block.starts_with(&start));
        block.map(|block| block.trim_end().to_owned())
    };
    let committed = git(sandbox, &["show", &format!("{commit}:pipeline.lock")]).stdout;
    assert_eq!(block(&sandbox.read("pipeline.lock")), block(&committed), "{stage} of {commit}");
}

#[test]
fn merge_of_different_stages() {
    let sandbox = repository();
    branch(&sandbox, "a", "main", "pipeline.toml", ("size = 1", "size = 2"));
    branch(&sandbox, "b", "main", "pipeline.toml", ("speed = 1", "speed = 2"));
    let done = git(&sandbox, &["merge", "-q", "a"]);
    snapshot!(done, @"
    exit 0
    --- stdout
    Auto-merging pipeline.lock
    Auto-merging pipeline.toml
    --- stderr
    pipeline.lock: `train` out of date: neither side ran the merged inputs
    ");
    assert_record(&sandbox, "prepare", "a");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    prepare can be restored from the cache: out clean differs from what the stage wrote
    train is out of date: dep clean changed
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["train"]);
    assert_eq!(sandbox.read("model"), "raw\n2\npy\n2\n");
}

#[test]
fn record_of_merged_inputs() {
    let sandbox = repository();
    branch(&sandbox, "a", "main", "pipeline.toml", ("size = 1", "size = 2"));
    branch(&sandbox, "b", "main", "pipeline.toml", ("speed = 1", "speed = 2"));
    // `both` has the edits of `a` and `b`, so its records are right for any merge of the three.
    branch(&sandbox, "both", "b", "pipeline.toml", ("size = 1", "size = 2"));
    sandbox.git(&["switch", "-q", "a"]);
    snapshot!(git(&sandbox, &["merge", "-q", "both"]), @"
    exit 0
    --- stdout
    Auto-merging pipeline.lock
    Auto-merging pipeline.toml
    --- stderr
    pipeline.lock: `train` recorded as on their side
    ");
    assert_record(&sandbox, "train", "both");
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
    assert_eq!(sandbox.read("model"), "raw\n2\npy\n2\n");
    assert_eq!(git(&sandbox, &["status", "--porcelain"]).stdout, "");
}

#[test]
fn rebase_pick_and_revert() {
    for command in
        [&["rebase", "-q", "a"][..], &["cherry-pick", "a"], &["revert", "--no-edit", "a"]]
    {
        let sandbox = repository();
        branch(&sandbox, "a", "main", "pipeline.toml", ("size = 1", "size = 2"));
        branch(&sandbox, "b", "main", "train.py", ("py", "python"));
        if command[0] == "revert" {
            // Back to the size of `b`, which `b` has run: its records are in the history only.
            sandbox.git(&["switch", "-qC", "b", "a"]);
            sandbox.edit("train.py", "py", "python");
            sandbox.ok(&["run"]);
            commit(&sandbox, "b after a");
            sandbox.ran();
        }
        let done = git(&sandbox, command);
        assert_eq!(done.code, 0, "{command:?}\n{done}");
        assert!(done.stderr.contains("pipeline.lock: `train` out of date"), "{command:?}\n{done}");
        assert!(!sandbox.read("pipeline.lock").contains("<<<<"), "{command:?}");
        sandbox.ok(&["run"]);
        let size = if command[0] == "revert" { 1 } else { 2 };
        assert_eq!(sandbox.read("model"), format!("raw\n{size}\npython\n1\n"), "{command:?}");
    }
}

#[test]
fn stale_outs_are_replaced() {
    let sandbox = repository();
    branch(&sandbox, "a", "main", "train.py", ("py", "one\npy"));
    branch(&sandbox, "b", "main", "train.py", ("py", "py\ntwo"));
    snapshot!(git(&sandbox, &["merge", "-q", "a"]), @"
    exit 0
    --- stdout
    Auto-merging pipeline.lock
    Auto-merging train.py
    --- stderr
    pipeline.lock: `train` out of date: neither side ran the merged inputs
    ");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    train is out of date: dep train.py changed
    1 stage up to date
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["train"]);
    assert_eq!(sandbox.read("model"), "raw\n1\none\npy\ntwo\n1\n");
}

#[test]
fn merges_in_both_directions() {
    let sandbox = repository();
    branch(&sandbox, "a", "main", "pipeline.toml", ("size = 1", "size = 2"));
    branch(&sandbox, "b", "main", "pipeline.toml", ("speed = 1", "speed = 2"));
    sandbox.git(&["branch", "b0"]);
    git(&sandbox, &["merge", "-q", "a", "-m", "a into b"]);
    sandbox.git(&["switch", "-q", "a"]);
    git(&sandbox, &["merge", "-q", "b0", "-m", "b into a"]);
    sandbox.edit("train.py", "py", "a");
    sandbox.ok(&["run"]);
    commit(&sandbox, "a goes on");
    sandbox.git(&["switch", "-q", "b"]);
    sandbox.ok(&["run"]);
    commit(&sandbox, "b goes on");
    snapshot!(git(&sandbox, &["merge", "-q", "a"]), @"
    exit 0
    --- stdout
    Auto-merging pipeline.lock
    --- stderr
    pipeline.lock: `train` recorded as on their side
    ");
    assert_record(&sandbox, "train", "a");
    sandbox.ok(&["status"]);
    sandbox.ran();
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
}

#[test]
fn tracked_input_of_both_sides() {
    let sandbox = repository();
    sandbox.write("data", "base\n");
    sandbox.ok(&["add", "data"]);
    commit(&sandbox, "data");
    branch(&sandbox, "a", "main", "data", ("base", "of a"));
    sandbox.git(&["switch", "-q", "main"]);
    sandbox.ok(&["checkout", "data"]);
    branch(&sandbox, "b", "main", "data", ("base", "of b"));
    snapshot!(git(&sandbox, &["merge", "-q", "a"]), @"
    exit 1
    --- stdout
    Auto-merging pipeline.lock
    CONFLICT (content): Merge conflict in pipeline.lock
    Automatic merge failed; fix conflicts and then commit the result.
    --- stderr
    warning: pipeline.lock: both sides changed the tracked input `data`; ours is kept
     hint: `git add` the lock to keep it, or first take the other version by `repro git resolve --theirs data`
    ");
    assert_record(&sandbox, "data", "b");
    assert_eq!(sandbox.read("data"), "of b\n");
}

#[test]
fn stage_removed_on_one_side() {
    let sandbox = repository();
    sandbox.git(&["switch", "-qc", "a"]);
    let text = sandbox.read("pipeline.toml");
    sandbox.write("pipeline.toml", text.split("[stages.train]").next().unwrap());
    sandbox.ok(&["run"]);
    commit(&sandbox, "without train");
    branch(&sandbox, "b", "main", "train.py", ("py", "python"));
    snapshot!(git(&sandbox, &["merge", "-q", "a"]), @"
    exit 0
    --- stdout
    Auto-merging pipeline.lock
    ");
    assert!(!sandbox.read("pipeline.lock").contains("stage train"));
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn lock_with_carriage_returns() {
    let sandbox = repository();
    sandbox.git(&["config", "core.autocrlf", "true"]);
    branch(&sandbox, "a", "main", "pipeline.toml", ("size = 1", "size = 2"));
    branch(&sandbox, "b", "main", "pipeline.toml", ("speed = 1", "speed = 2"));
    snapshot!(git(&sandbox, &["merge", "-q", "a"]), @"
    exit 0
    --- stdout
    Auto-merging pipeline.lock
    Auto-merging pipeline.toml
    --- stderr
    pipeline.lock: `train` out of date: neither side ran the merged inputs
    ");
    assert!(sandbox.read("pipeline.lock").contains("\r\n"));
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["train"]);
}

#[test]
fn driver_refuses_other_files() {
    let sandbox = Sandbox::empty();
    sandbox.write("base", "repro.lock 1\n");
    sandbox.write("ours", "repro.lock 1\n\nstage a\nparam v 1\n");
    for (theirs, why) in [
        ("repro.lock 2\n", "written by a newer version of repro"),
        ("hello", "expected `repro.lock 1`"),
        ("repro.lock 1\n\nstage a b\n", "invalid stage name"),
    ] {
        sandbox.write("theirs", theirs);
        let done = sandbox.repro(&["git", "merge-lock", "--", "base", "ours", "theirs"]);
        assert_eq!(done.code, 2, "{done}");
        assert!(done.stderr.contains(why), "{done}");
        assert_eq!(sandbox.read("ours"), "repro.lock 1\n\nstage a\nparam v 1\n");
    }
}

#[test]
fn resolve_of_earlier_conflicts() {
    let sandbox = repository();
    branch(&sandbox, "a", "main", "pipeline.toml", ("size = 1", "size = 2"));
    branch(&sandbox, "b", "main", "pipeline.toml", ("speed = 1", "speed = 2"));
    branch(&sandbox, "both", "b", "pipeline.toml", ("size = 1", "size = 2"));
    snapshot!(sandbox.repro(&["git", "resolve"]), @"
    exit 2
    --- stderr
    error: `pipeline.lock` is not in conflict
    ");
    sandbox.ok(&["git", "uninstall"]);
    commit(&sandbox, "without the driver");
    git(&sandbox, &["merge", "-q", "a"]);
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.lock:10: git left a conflict here
     hint: `repro git resolve` takes the record of each stage from one side
    ");
    snapshot!(sandbox.repro(&["git", "resolve", "--theirs", "trian"]), @"
    exit 2
    --- stderr
    error: stage `trian` was not changed by both sides
     hint: did you mean `train`?
    ");
    snapshot!(sandbox.repro(&["git", "resolve"]), @"
    exit 0
    --- stdout
    resolved `pipeline.lock`; `git add pipeline.lock` tells git
    --- stderr
    pipeline.lock: `train` recorded as on our side
    ");
    assert_record(&sandbox, "train", "both");
    snapshot!(sandbox.repro(&["git", "resolve", "--theirs", "train"]), @"
    exit 0
    --- stdout
    resolved `pipeline.lock`; `git add pipeline.lock` tells git
    ");
    assert_record(&sandbox, "train", "a");
    // The same from the file alone, after someone has told git that it is resolved.
    git(&sandbox, &["checkout", "-q", "--merge", "--", "pipeline.lock"]);
    sandbox.git(&["add", "pipeline.lock"]);
    snapshot!(sandbox.repro(&["git", "resolve"]), @"
    exit 0
    --- stdout
    resolved `pipeline.lock`; `git add pipeline.lock` tells git
    --- stderr
    pipeline.lock: `train` recorded as on our side
    ");
    assert_record(&sandbox, "train", "both");
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
    commit(&sandbox, "resolved");
}

/// Returns a repository without the driver. The branch `other` has changed `features`, which the
/// out does not show, and `main` has changed the mode.
fn merged_as_text() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[params]
mode = "plain"

[stages.train]
cmd = "if [ {{ params.mode }} = fancy ]; then cat features > model; else echo plain > model; fi"
deps = ["data", "features", "labels"]
outs = ["model"]
"#,
    );
    sandbox.write("data", "data\n");
    sandbox.write("features", "one\n");
    sandbox.write("labels", "labels\n");
    sandbox.write(".gitignore", "/cache/\n/runs/\n/ran\n");
    sandbox.git(&["init", "-q", "-b", "main"]);
    sandbox.ok(&["run"]);
    commit(&sandbox, "base");
    branch(&sandbox, "other", "main", "features", ("one", "two"));
    sandbox.git(&["switch", "-q", "main"]);
    sandbox.edit("pipeline.toml", "\"plain\"", "\"fancy\"");
    sandbox.ok(&["run"]);
    commit(&sandbox, "fancy");
    sandbox
}

#[test]
fn text_merge_conflicts() {
    let sandbox = merged_as_text();
    assert_eq!(git(&sandbox, &["merge", "-q", "--no-edit", "other"]).code, 1);
    assert!(sandbox.read("pipeline.lock").contains("<<<<<<<"));
}

#[test]
fn mixed_record_is_stale() {
    let sandbox = merged_as_text();
    let ours = sandbox.read("pipeline.lock");
    let dep = |lock: &str| {
        lock.lines().find(|line| line.ends_with(" features")).map(str::to_owned).unwrap()
    };
    sandbox.git(&["checkout", "-q", "other", "--", "features", "pipeline.lock"]);
    let theirs = sandbox.read("pipeline.lock");
    sandbox.write("pipeline.lock", ours.replace(&dep(&ours), &dep(&theirs)));
    snapshot!(sandbox.repro(&["status", "--check"]), @"
    exit 4
    --- stdout
    train is out of date: its record in pipeline.lock mixes two versions
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("model"), "two\n");
    sandbox.ok(&["status", "--check"]);
}
