//! The hooks that `repro git install` sets up.

use crate::git_merge::git;
use crate::sandbox::Sandbox;
use crate::snapshot;

/// Returns a repository with branches `main` and `other` whose outs differ, on `main`.
fn repository() -> Sandbox {
    let sandbox = Sandbox::with(
        "[params]\nv = 1\n\
         [stages.a]\ncmd = \"echo a >> ran; echo {{ params.v }} > a\"\nouts = [\"a\"]\n\
         [stages.b]\ncmd = \"echo b >> ran; echo b > b\"\nouts = [\"b\"]\n",
    );
    sandbox.write(".gitignore", "/cache/\n/runs/\n/ran\n");
    sandbox.git(&["init", "-q"]);
    sandbox.ok(&["run"]);
    sandbox.ok(&["git", "install"]);
    sandbox.git(&["add", "-A"]);
    sandbox.git(&["commit", "-qm", "main"]);
    sandbox.git(&["switch", "-qc", "other"]);
    sandbox.edit("pipeline.toml", "v = 1", "v = 2");
    sandbox.ok(&["run"]);
    sandbox.git(&["commit", "-qam", "other"]);
    git(&sandbox, &["switch", "-q", "main"]);
    assert_eq!(sandbox.read("a"), "1\n");
    sandbox.ran();
    sandbox
}

#[test]
fn switch_restores_outs() {
    let sandbox = repository();
    snapshot!(git(&sandbox, &["switch", "-q", "other"]), @"
    exit 0
    --- stderr
    restored the outs of 1 stage: 1 file, 2 B
    ");
    assert_eq!(sandbox.read("a"), "2\n");
    sandbox.ok(&["status", "--check"]);
    // Nothing to do: single files, the same lock, a detached head at the same commit.
    sandbox.write("a", "edited\n");
    git(&sandbox, &["switch", "-qc", "same"]);
    git(&sandbox, &["checkout", "-q", "main", "--", "pipeline.lock"]);
    git(&sandbox, &["checkout", "-q", "HEAD", "--", "."]);
    git(&sandbox, &["checkout", "-q", "--detach"]);
    assert_eq!(sandbox.read("a"), "edited\n");
    assert!(sandbox.ran().is_empty());
}

#[test]
fn switch_keeps_edited_files() {
    let sandbox = repository();
    sandbox.write("a", "edited\n");
    sandbox.write("b", "edited, too\n");
    snapshot!(git(&sandbox, &["switch", "-q", "other"]), @"
    exit 0
    --- stderr
    warning: `a` is edited, and stays as it is
     hint: `repro checkout` replaces it and keeps your version in the trash
    ");
    assert_eq!(sandbox.read("a"), "edited\n");
    assert_eq!(sandbox.read("b"), "edited, too\n");
    // What a stage made on a third branch is not an edit.
    sandbox.ok(&["checkout"]);
    sandbox.git(&["switch", "-qc", "third"]);
    sandbox.edit("pipeline.toml", "v = 2", "v = 3");
    sandbox.ok(&["run"]);
    sandbox.git(&["stash", "-q"]);
    assert_eq!(sandbox.read("a"), "3\n");
    snapshot!(git(&sandbox, &["switch", "-q", "main"]), @"
    exit 0
    --- stderr
    restored the outs of 1 stage: 1 file, 2 B
    ");
    assert_eq!(sandbox.read("a"), "1\n");
}

#[test]
fn switch_without_objects() {
    let sandbox = repository();
    sandbox.remove("cache/objects");
    snapshot!(git(&sandbox, &["switch", "-q", "other"]), @"
    exit 0
    --- stderr
    warning: `a` is not in the cache, and not restored
     hint: `repro run` makes what is missing
    ");
    assert_eq!(sandbox.read("a"), "1\n");
    sandbox.write("pipeline.toml", "stages = 1");
    sandbox.git(&["commit", "-qam", "broken"]);
    snapshot!(git(&sandbox, &["switch", "-q", "main"]), @"
    exit 0
    ");
    snapshot!(git(&sandbox, &["switch", "-q", "other"]), @"
    exit 0
    --- stderr
    warning: outs were not restored: pipeline.toml:1: `[stages]` must be a table, not an integer
    ");
}

#[test]
fn merge_and_rebase_restore_outs() {
    let sandbox = repository();
    snapshot!(git(&sandbox, &["merge", "-q", "other"]), @"
    exit 0
    --- stderr
    restored the outs of 1 stage: 1 file, 2 B
    ");
    assert_eq!(sandbox.read("a"), "2\n");
    sandbox.git(&["switch", "-qc", "topic", "main~1"]);
    assert_eq!(sandbox.read("a"), "1\n");
    sandbox.write("note", "");
    sandbox.git(&["add", "note"]);
    sandbox.git(&["commit", "-qm", "note"]);
    snapshot!(git(&sandbox, &["rebase", "-q", "main"]), @"
    exit 0
    --- stderr
    restored the outs of 1 stage: 1 file, 2 B
    ");
    assert_eq!(sandbox.read("a"), "2\n");
    sandbox.git(&["switch", "-qC", "topic", "main~1"]);
    assert_eq!(sandbox.read("a"), "1\n");
    snapshot!(git(&sandbox, &["rebase", "-q", "main"]), @"
    exit 0
    --- stderr
    restored the outs of 1 stage: 1 file, 2 B
    ");
    assert_eq!(sandbox.read("a"), "2\n");
    assert!(sandbox.ran().is_empty());
}

#[test]
fn commit_of_stale_stages() {
    let sandbox = repository();
    sandbox.ok(&["git", "install", "--pre-commit"]);
    sandbox.edit("pipeline.toml", "v = 1", "v = 5");
    snapshot!(git(&sandbox, &["commit", "-qam", "stale"]), @"
    exit 1
    --- stderr
    a is out of date: cmd `echo a >> ran; echo 1 > a` → `echo a >> ran; echo 5 > a`
    1 stage up to date
    warning: the commit is refused because stages are out of date
     hint: `repro run` brings them up to date; `git commit --no-verify` skips the check
    ");
    sandbox.ok(&["run"]);
    snapshot!(git(&sandbox, &["commit", "-qam", "fresh"]), @"
    exit 0
    --- stderr
    everything is up to date (2 stages)
    ");
}
