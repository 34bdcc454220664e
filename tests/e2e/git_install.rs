//! `repro git install`, `uninstall` and `status`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::git_merge::git;
use crate::sandbox::Sandbox;
use crate::snapshot;

fn repository() -> Sandbox {
    let sandbox = Sandbox::with("[stages.a]\ncmd = \"echo 1 > a\"\nouts = [\"a\"]\n");
    sandbox.git(&["init", "-q"]);
    sandbox
}

fn hook(sandbox: &Sandbox, path: &str, text: &str) {
    sandbox.write(path, text);
    fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn install_and_uninstall() {
    let sandbox = repository();
    let config = sandbox.read(".git/config");
    snapshot!(sandbox.repro(&["git", "status"]), @"
    exit 0
    --- stdout
    lock uses the merge driver: no: `repro git install` adds the line to .gitattributes
    merge driver: not set up in this clone: `repro git install` does it
    hooks: none
    ");
    snapshot!(sandbox.repro(&["git", "install", "--pre-commit"]), @"
    exit 0
    --- stdout
    added `pipeline.lock merge=repro` to .gitattributes; commit that file
    set the merge driver `repro` in the configuration of this repository
    created the hook .git/hooks/post-checkout
    created the hook .git/hooks/post-merge
    created the hook .git/hooks/post-rewrite
    created the hook .git/hooks/pre-commit
    created the hook .git/hooks/pre-push
    ");
    snapshot!(sandbox.repro(&["git", "install", "--pre-commit"]), @"
    exit 0
    --- stdout
    already installed
    ");
    snapshot!(sandbox.repro(&["git", "status"]), @"
    exit 0
    --- stdout
    lock uses the merge driver: yes, by .gitattributes
    merge driver: set up
    hooks: post-checkout, post-merge, post-rewrite, pre-commit, pre-push in .git/hooks
    ");
    snapshot!(sandbox.repro(&["git", "uninstall"]), @"
    exit 0
    --- stdout
    removed `pipeline.lock merge=repro` from .gitattributes
    removed the merge driver `repro`
    removed the hook .git/hooks/post-checkout
    removed the hook .git/hooks/post-merge
    removed the hook .git/hooks/post-rewrite
    removed the hook .git/hooks/pre-commit
    removed the hook .git/hooks/pre-push
    ");
    assert!(!sandbox.exists(".gitattributes"));
    assert_eq!(sandbox.read(".git/config"), config);
    snapshot!(sandbox.repro(&["git", "uninstall"]), @"
    exit 0
    --- stdout
    nothing was installed
    ");
}

#[test]
fn install_outside_git() {
    let sandbox = Sandbox::with("");
    let done = sandbox.finish(
        sandbox.command(&["git", "install"]).env("GIT_CEILING_DIRECTORIES", sandbox.root()),
    );
    snapshot!(done, @"
    exit 2
    --- stderr
    error: `$ROOT` is not in a git repository
     caused by: not a git repository (or any of the parent directories): .git
     hint: `git init` creates one
    ");
}

#[test]
fn other_hooks_run_first() {
    let sandbox = repository();
    hook(&sandbox, ".git/hooks/post-checkout", "#!/bin/sh\necho \"theirs $3\" >> hooks\n");
    snapshot!(sandbox.repro(&["git", "install"]), @"
    exit 0
    --- stdout
    added `pipeline.lock merge=repro` to .gitattributes; commit that file
    set the merge driver `repro` in the configuration of this repository
    created the hook .git/hooks/post-checkout; it first runs the hook that was there, now post-checkout.before-repro
    created the hook .git/hooks/post-merge
    created the hook .git/hooks/post-rewrite
    created the hook .git/hooks/pre-push
    ");
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "1"]);
    sandbox.git(&["switch", "-qc", "other"]);
    assert_eq!(sandbox.read("hooks"), "theirs 1\n");
    // A new hook of someone else, as `pre-commit install` writes it.
    sandbox.git(&["config", "x.y", "z"]);
    fs::rename(
        sandbox.path(".git/hooks/post-checkout"),
        sandbox.path(".git/hooks/post-checkout.legacy"),
    )
    .unwrap();
    hook(
        &sandbox,
        ".git/hooks/post-checkout",
        "#!/bin/sh\necho outer >> hooks\nexec \"$0.legacy\" \"$@\"\n",
    );
    snapshot!(sandbox.repro(&["git", "install"]), @"
    exit 0
    --- stdout
    already installed
    ");
    sandbox.git(&["switch", "-q", "main"]);
    assert_eq!(sandbox.read("hooks"), "theirs 1\nouter\ntheirs 1\n");
    snapshot!(sandbox.repro(&["git", "uninstall"]), @"
    exit 0
    --- stdout
    removed `pipeline.lock merge=repro` from .gitattributes
    removed the merge driver `repro`
    removed the hook .git/hooks/post-checkout; the one before it is back
    removed the hook .git/hooks/post-merge
    removed the hook .git/hooks/post-rewrite
    removed the hook .git/hooks/pre-push
    ");
    sandbox.git(&["switch", "-q", "other"]);
    assert_eq!(sandbox.read("hooks"), "theirs 1\nouter\ntheirs 1\nouter\ntheirs 1\n");
}

#[test]
fn folder_of_hooks_elsewhere() {
    let sandbox = repository();
    sandbox.write(".husky/README", "");
    sandbox.git(&["config", "core.hooksPath", ".husky"]);
    snapshot!(sandbox.repro(&["git", "install"]), @"
    exit 0
    --- stdout
    added `pipeline.lock merge=repro` to .gitattributes; commit that file
    set the merge driver `repro` in the configuration of this repository
    created the hook .husky/post-checkout
    created the hook .husky/post-merge
    created the hook .husky/post-rewrite
    created the hook .husky/pre-push
    ");
    assert!(sandbox.exists(".husky/post-checkout"));
    let shared = tempfile::tempdir().unwrap();
    sandbox.git(&["config", "core.hooksPath", shared.path().to_str().unwrap()]);
    let done = sandbox.repro(&["git", "install"]);
    let text = done.to_string().replace(shared.path().to_str().unwrap(), "$SHARED");
    snapshot!(text, @r#"
    exit 0
    --- stderr
    warning: no hooks were installed: `core.hooksPath` is `$SHARED`, outside this repository
     hint: call `repro git hook NAME "$@"` from the hooks there, NAME being post-checkout, post-merge, post-rewrite, pre-push
    "#);
    assert_eq!(fs::read_dir(shared.path()).unwrap().count(), 0);
}

#[test]
fn attribute_of_a_subfolder() {
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "-q"]);
    sandbox.write(".gitattributes", "*.lock merge=union");
    sandbox.write("a b/pipeline.toml", "");
    let mut command = sandbox.command(&["git", "install", "--no-hooks"]);
    snapshot!(sandbox.finish(command.current_dir(sandbox.path("a b"))), @"
    exit 0
    --- stdout
    added `pipeline.lock merge=repro` to .gitattributes; commit that file
    set the merge driver `repro` in the configuration of this repository
    ");
    assert_eq!(sandbox.read("a b/.gitattributes"), "pipeline.lock merge=repro\n");
    let answer = git(&sandbox, &["check-attr", "merge", "a b/pipeline.lock"]);
    assert_eq!(answer.stdout, "a b/pipeline.lock: merge: repro\n");
}
