//! The hook before `git push`: outs that the pushed commits need.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::git_merge::git;
use crate::sandbox::Sandbox;
use crate::share;
use crate::snapshot;

const PIPELINE: &str = "\
[remotes.store]
url = 'store'

[params]
v = 1

[stages.a]
cmd = 'mkdir a; for i in 1 2; do echo $i {{ params.v }} > a/$i; done'
outs = ['a']

[stages.b]
cmd = 'echo b > b'
outs = ['b']
";

/// Returns a repository with the hooks and a remote of git, to which nothing was pushed.
fn repository(install: &[&str]) -> Sandbox {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.write(".gitignore", "/cache/\n/runs/\n/store/\n/git/\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["init", "-q", "--bare", "git"]);
    sandbox.git(&["remote", "add", "origin", "git"]);
    sandbox.ok(&[&["git", "install"], install].concat());
    commit(&sandbox, 1);
    sandbox
}

/// Runs the pipeline with a value of the param, and commits.
fn commit(sandbox: &Sandbox, v: u8) {
    sandbox.write("pipeline.toml", PIPELINE.replace("v = 1", &format!("v = {v}")));
    sandbox.ok(&["run"]);
    share::commit(sandbox, ".");
}

#[test]
fn warning_of_unpushed_outs() {
    let sandbox = repository(&[]);
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main"]), @"
    exit 0
    --- stderr
    warning: 4 objects (167 B) that the pushed commits need are not on remote `store`
     hint: `repro push` sends them
    ");
    // The other side has the commits now.
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main", "main:other"]), @"
    exit 0
    ");
    snapshot!(git(&sandbox, &["push", "-q", "origin", ":other"]), @"
    exit 0
    ");
    commit(&sandbox, 2);
    commit(&sandbox, 3);
    let base = &head(&sandbox, "origin/main")[..10];
    let text = git(&sandbox, &["push", "-q", "origin", "main"]).to_string();
    snapshot!(text.replace(base, "BASE"), @"
    exit 0
    --- stderr
    warning: 7 objects (332 B) that the pushed commits need are not on remote `store`
     hint: `repro push --rev BASE..main` sends them
    ");
    sandbox.ok(&["push", "--rev", "main~2..main"]);
    sandbox.git(&["push", "-q", "-f", "origin", "main~2:main"]);
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main"]), @"
    exit 0
    ");
    // A commit that leaves the lock as it is has no outs of its own, whatever the remote has.
    sandbox.remove("store");
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "empty"]);
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main"]), @"
    exit 0
    ");
}

#[test]
fn commits_instead_of_the_workspace() {
    let sandbox = repository(&[]);
    sandbox.ok(&["push"]);
    sandbox.git(&["push", "-q", "origin", "main"]);
    sandbox.git(&["switch", "-qc", "topic"]);
    commit(&sandbox, 2);
    sandbox.git(&["switch", "-q", "main"]);
    sandbox.ok(&["run"]);
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main", "topic"]), @"
    exit 0
    --- stderr
    warning: 3 objects (165 B) that the pushed commits need are not on remote `store`
     hint: `repro push --rev topic` sends them
    ");
    sandbox.ok(&["push", "--rev", "topic"]);
    sandbox.git(&["push", "-q", "origin", ":topic"]);
    // The workspace has outs that no remote has, and no commit.
    sandbox.write("pipeline.toml", PIPELINE.replace("v = 1", "v = 7"));
    sandbox.ok(&["run"]);
    snapshot!(git(&sandbox, &["push", "-q", "origin", "topic"]), @"
    exit 0
    ");
}

#[test]
fn lost_outs_are_named() {
    let sandbox = repository(&[]);
    sandbox.ok(&["push"]);
    sandbox.git(&["push", "-q", "origin", "main"]);
    commit(&sandbox, 2);
    sandbox.remove("cache/objects");
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main"]), @"
    exit 0
    --- stderr
    warning: `a` of stage `a` is incomplete on `main`: 1 of 1 object is neither in the cache nor on remote `store`
     hint: `repro run a` on `main` makes it again
    ");
    sandbox.git(&["push", "-q", "-f", "origin", "main~1:main"]);
    sandbox.ok(&["git", "install", "--push"]);
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main"]), @"
    exit 1
    --- stderr
    error: `a` of stage `a` is incomplete on `main`: 1 of 1 object is neither in the cache nor on remote `store`
     hint: `repro run a` on `main` makes it again
    error: `git push` is stopped, because its commits need outs that were not sent
     hint: `git push --no-verify` pushes the commits alone
    error: failed to push some refs to 'git'
    ");
    // What the other side lacked before is not the fault of this push.
    sandbox.git(&["push", "-q", "--no-verify", "origin", "main"]);
    sandbox.write("pipeline.toml", PIPELINE.replace("v = 1", "v = 2").replace("echo b", "echo c"));
    sandbox.ok(&["run", "b"]);
    sandbox.git(&["commit", "-qam", "b"]);
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main"]), @"
    exit 0
    --- stderr
    pushed 1 object and 1 trace to `store`: 2 B (132 B sent)
    ");
}

#[test]
fn outs_are_sent_first() {
    let sandbox = repository(&["--push"]);
    commit(&sandbox, 2);
    snapshot!(sandbox.repro(&["git", "status"]), @"
    exit 0
    --- stdout
    lock uses the merge driver: yes, by .gitattributes
    merge driver: set up
    hooks: post-checkout, post-merge, post-rewrite, pre-push (sends outs) in .git/hooks
    ");
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main"]), @"
    exit 0
    --- stderr
    pushed 7 objects and 3 traces to `store`: 332 B (658 B sent)
    ");
    snapshot!(sandbox.repro(&["push", "--rev", "main", "--rev", "main~1", "--dry-run"]), @"
    exit 0
    --- stdout
    `store` has everything: 7 objects
    ");
    commit(&sandbox, 3);
    fs::set_permissions(sandbox.path("store/packs"), fs::Permissions::from_mode(0o555)).unwrap();
    sandbox.remove("store/index");
    sandbox.write("store/index", "");
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main"]), @"
    exit 1
    --- stderr
    error: cannot list `index` of `$ROOT/store`
     caused by: Not a directory (os error 20)
    error: `git push` is stopped, because its commits need outs that were not sent
     hint: `git push --no-verify` pushes the commits alone
    error: failed to push some refs to 'git'
    ");
    assert_ne!(head(&sandbox, "main"), head(&sandbox, "origin/main"));
    snapshot!(git(&sandbox, &["push", "-q", "--no-verify", "origin", "main"]), @"
    exit 0
    ");
    snapshot!(sandbox.repro(&["git", "install"]), @"
    exit 0
    --- stdout
    updated the hook .git/hooks/pre-push
    ");
}

fn head(sandbox: &Sandbox, name: &str) -> String {
    git(sandbox, &["rev-parse", name]).stdout
}

#[test]
fn push_without_a_remote() {
    let sandbox = repository(&[]);
    sandbox.edit("pipeline.toml", "[remotes.store]\nurl = 'store'\n", "");
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main"]), @"
    exit 0
    ");
    sandbox.write("pipeline.toml", "stages = 1");
    snapshot!(git(&sandbox, &["push", "-q", "git", "main:other"]), @"
    exit 0
    --- stderr
    warning: cannot tell whether the outs were pushed: pipeline.toml:1: `[stages]` must be a table, not an integer
    ");
    sandbox.remove("pipeline.toml");
    snapshot!(git(&sandbox, &["push", "-q", "git", "main:third"]), @"
    exit 0
    ");
}

#[test]
fn commits_for_other_hooks() {
    let sandbox = repository(&["--no-hooks"]);
    sandbox.write(".git/hooks/pre-push", "#!/bin/sh\ncut -d' ' -f1 >> seen\n");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(sandbox.path(".git/hooks/pre-push"), mode).unwrap();
    sandbox.ok(&["git", "install"]);
    snapshot!(git(&sandbox, &["push", "-q", "origin", "main"]), @"
    exit 0
    --- stderr
    warning: 4 objects (167 B) that the pushed commits need are not on remote `store`
     hint: `repro push` sends them
    ");
    assert_eq!(sandbox.read("seen"), "refs/heads/main\n");
    sandbox.write(".git/hooks/pre-push.before-repro", "#!/bin/sh\nexit 5\n");
    snapshot!(git(&sandbox, &["push", "-q", "git", "main:other"]), @"
    exit 1
    --- stderr
    error: failed to push some refs to 'git'
    ");
}

#[test]
fn project_below_the_top() {
    let sandbox = Sandbox::empty();
    sandbox.write("sub/pipeline.toml", PIPELINE.replace("'store'", "'../store'"));
    sandbox.write(".gitignore", "cache/\nruns/\n/store/\n/git/\n/sub/a/\n/sub/b\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["init", "-q", "--bare", "git"]);
    sandbox.ok(&["-C", "sub", "run"]);
    sandbox.ok(&["-C", "sub", "git", "install"]);
    sandbox.git(&["add", "-A"]);
    sandbox.git(&["commit", "-qm", "1"]);
    snapshot!(git(&sandbox, &["push", "-q", "git", "main"]), @"
    exit 0
    --- stderr
    warning: in `sub`: 4 objects (167 B) that the pushed commits need are not on remote `store`
     hint: `repro -C sub push` sends them
    ");
    sandbox.ok(&["-C", "sub", "git", "install", "--push"]);
    snapshot!(git(&sandbox, &["push", "-q", "git", "main:other"]), @"
    exit 0
    --- stderr
    in `sub`: pushed 4 objects and 2 traces to `store`: 167 B (404 B sent)
    ");
}
