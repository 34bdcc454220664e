//! The lock and the hooks in linked worktrees, submodules and octopus merges.

use std::path::Path;

use crate::git_merge::git;
use crate::sandbox::Sandbox;
use crate::share::commit;

const PIPELINE: &str = "\
[params]
a = 1

b = 1

c = 1

[stages.a]
cmd = 'echo {{ params.a }} > a'
outs = ['a']

[stages.b]
cmd = 'echo {{ params.b }} > b'
outs = ['b']

[stages.c]
cmd = 'echo {{ params.c }} > c'
outs = ['c']
";

/// Returns a folder with the repository `main`, which has run and has the driver and the hooks.
fn repository() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("main/pipeline.toml", PIPELINE);
    sandbox.git(&["init", "-q", "main"]);
    sandbox.ok(&["-C", "main", "run"]);
    sandbox.ok(&["-C", "main", "git", "install"]);
    commit(&sandbox, "main");
    sandbox
}

/// Changes a param in the project at `place`, runs and commits.
fn change(sandbox: &Sandbox, place: &str, from: &str, to: &str) {
    sandbox.edit(&format!("{place}/pipeline.toml"), from, to);
    sandbox.ok(&["-C", place, "run"]);
    commit(sandbox, place);
}

fn is_fresh(sandbox: &Sandbox, place: &str) -> bool {
    sandbox.repro(&["-C", place, "status", "--check"]).code == 0
}

#[test]
fn linked_worktree() {
    let sandbox = repository();
    git(&sandbox, &["-C", "main", "worktree", "add", "-q", "-b", "other", "../linked"]);
    assert!(sandbox.path("linked/.git").is_file());
    let done = sandbox.ok(&["-C", "linked", "git", "install"]);
    assert_eq!(done.stdout, "already installed\n");
    let status = sandbox.ok(&["-C", "linked", "git", "status"]).stdout;
    assert!(status.contains("pre-push in $ROOT/main/.git/hooks"), "{status}");
    sandbox.ok(&["-C", "linked", "run"]);
    change(&sandbox, "linked", "a = 1", "a = 2");
    change(&sandbox, "main", "b = 1", "b = 2");
    // The hook works in the worktree in which git runs.
    git(&sandbox, &["-C", "linked", "switch", "-q", "--detach", "other~1"]);
    assert_eq!([sandbox.read("linked/a"), sandbox.read("main/b")], ["1\n", "2\n"]);
    git(&sandbox, &["-C", "linked", "switch", "-q", "other"]);
    assert_eq!(sandbox.read("linked/a"), "2\n");
    // So does the driver.
    let done = git(&sandbox, &["-C", "linked", "merge", "-q", "-m", "merge", "main"]);
    assert_eq!(done.code, 0, "{done}");
    let lock = sandbox.read("linked/pipeline.lock");
    assert!(lock.contains("echo 2 > a") && lock.contains("echo 2 > b"), "{lock}");
    sandbox.ok(&["-C", "linked", "run"]);
    assert!(is_fresh(&sandbox, "linked"));
    let done = sandbox.ok(&["-C", "linked", "git", "uninstall"]);
    assert!(done.stdout.contains("removed the hook"), "{done}");
    assert!(!sandbox.exists("main/.git/hooks/pre-push"));
}

#[test]
fn hooks_path_below_the_top() {
    let sandbox = repository();
    sandbox.write("main/sub/pipeline.toml", PIPELINE);
    sandbox.git(&["-C", "main", "config", "core.hooksPath", ".githooks"]);
    sandbox.ok(&["-C", "main/sub", "git", "install"]);
    assert!(sandbox.exists("main/.githooks/post-checkout"));
    assert!(!sandbox.exists("main/sub/.githooks"));
    git(&sandbox, &["-C", "main", "worktree", "add", "-q", "../linked"]);
    sandbox.ok(&["-C", "linked", "git", "install"]);
    assert!(sandbox.exists("linked/.githooks/post-checkout"));
}

#[test]
fn octopus_of_different_stages() {
    let sandbox = repository();
    for (name, from, to) in [("x", "a = 1", "a = 2"), ("y", "b = 1", "b = 2")] {
        sandbox.git(&["-C", "main", "switch", "-qc", name, "main"]);
        change(&sandbox, "main", from, to);
    }
    git(&sandbox, &["-C", "main", "switch", "-q", "main"]);
    change(&sandbox, "main", "c = 1", "c = 2");
    let done = git(&sandbox, &["-C", "main", "merge", "-m", "octopus", "x", "y"]);
    assert_eq!(done.code, 0, "{done}");
    // The hook has restored the outs of the records that came.
    assert!(is_fresh(&sandbox, "main"));
    let outs = ["a", "b", "c"].map(|out| sandbox.read(&format!("main/{out}")));
    assert_eq!(outs, ["2\n", "2\n", "2\n"]);
}

#[test]
fn octopus_of_one_stage() {
    let sandbox = repository();
    for (name, to) in [("x", "a = 2"), ("y", "a = 3")] {
        sandbox.git(&["-C", "main", "switch", "-qc", name, "main"]);
        change(&sandbox, "main", "a = 1", to);
    }
    git(&sandbox, &["-C", "main", "switch", "-q", "main"]);
    change(&sandbox, "main", "b = 1", "b = 2");
    // Git merges the lock as text, without the driver, and gives up.
    let done = git(&sandbox, &["-C", "main", "merge", "-m", "octopus", "x", "y"]);
    assert_ne!(done.code, 0, "{done}");
    assert!(!is_fresh(&sandbox, "main"));
    sandbox.git(&["-C", "main", "checkout", "-q", "--theirs", "pipeline.toml"]);
    sandbox.ok(&["-C", "main", "git", "resolve"]);
    assert!(!sandbox.read("main/pipeline.lock").contains("<<<<"));
    sandbox.ok(&["-C", "main", "run"]);
    assert_eq!(sandbox.read("main/a"), "3\n");
    assert!(is_fresh(&sandbox, "main"));
}

#[test]
fn project_in_a_submodule() {
    let sandbox = repository();
    sandbox.git(&["init", "-q", "super"]);
    let add = ["submodule", "--quiet", "add", "../main", "sub"];
    sandbox.git(&[&["-c", "protocol.file.allow=always", "-C", "super"], &add[..]].concat());
    sandbox.write(
        "super/pipeline.toml",
        "[stages.top]\ncmd = 'cp sub/a top'\ndeps = ['sub/a']\nouts = ['top']\n",
    );
    for place in ["super/sub", "super"] {
        sandbox.ok(&["-C", place, "git", "install"]);
        sandbox.ok(&["-C", place, "run"]);
    }
    commit(&sandbox, "super");
    assert!(sandbox.path("super/.git/modules/sub/hooks/post-checkout").is_file());
    // The submodule follows its own lock, and the project around it sees a changed dep.
    sandbox.git(&["-C", "super/sub", "switch", "-qc", "topic"]);
    change(&sandbox, "super/sub", "a = 1", "a = 2");
    assert!(!is_fresh(&sandbox, "super"));
    sandbox.ok(&["-C", "super", "run"]);
    commit(&sandbox, "super");
    git(&sandbox, &["-C", "super", "switch", "-qc", "back", "HEAD~1"]);
    assert_eq!(sandbox.read("super/top"), "1\n");
    git(&sandbox, &["-C", "super", "submodule", "--quiet", "update"]);
    assert_eq!(sandbox.read("super/sub/a"), "1\n");
    assert!(is_fresh(&sandbox, "super") && is_fresh(&sandbox, "super/sub"));
    // A merge around the submodule.
    sandbox.edit("super/pipeline.toml", "cp sub/a top", "cat sub/a > top");
    sandbox.ok(&["-C", "super", "run"]);
    commit(&sandbox, "super");
    let done = git(&sandbox, &["-C", "super", "merge", "-q", "-m", "merge", "main"]);
    assert_eq!(done.code, 0, "{done}");
    git(&sandbox, &["-C", "super", "submodule", "--quiet", "update"]);
    assert!(!is_fresh(&sandbox, "super"), "neither side ran the merged inputs");
    sandbox.ok(&["-C", "super", "run"]);
    assert_eq!(sandbox.read("super/top"), "2\n");
    assert!(Path::new(&sandbox.path("super/sub/.git")).is_file());
}
