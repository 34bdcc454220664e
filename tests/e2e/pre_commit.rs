//! The hooks for `pre-commit`, with the real program that `REPRO_PRE_COMMIT` names.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::{Done, Sandbox, untested};
use crate::snapshot;

/// Runs a program with `repro` on PATH, as `pre-commit` and git need it.
fn run(sandbox: &Sandbox, program: &Path, args: &[&str]) -> Done {
    let folder = Path::new(env!("CARGO_BIN_EXE_repro")).parent().unwrap().to_owned();
    let old = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&old)));
    let mut command = Command::new(program);
    command.args(args).current_dir(sandbox.root()).env("PATH", path.unwrap());
    command
        .env("PRE_COMMIT_HOME", sandbox.path(".git/pre-commit-home"))
        .env("HOME", sandbox.root());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("LC_ALL", "C").env("NO_COLOR", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "t").env(format!("GIT_{role}_EMAIL"), "t@e.org");
    }
    sandbox.finish(&mut command)
}

#[test]
fn hooks_of_pre_commit() {
    let Some(program) = std::env::var_os("REPRO_PRE_COMMIT").map(PathBuf::from) else {
        return untested("REPRO_PRE_COMMIT does not name pre-commit");
    };
    let source = Sandbox::empty();
    source.write(".pre-commit-hooks.yaml", include_str!("../../.pre-commit-hooks.yaml"));
    source.git(&["init", "-q"]);
    source.git(&["add", "-A"]);
    source.git(&["commit", "-qm", "hooks"]);
    source.git(&["tag", "v1"]);

    let sandbox = Sandbox::with(
        "[remotes.store]\nurl = \"store\"\n\
         [params]\nv = 1\n[stages.a]\ncmd = \"echo {{ params.v }} > a\"\nouts = [\"a\"]\n",
    );
    sandbox.write(".gitignore", "/cache/\n/runs/\n/store/\n/git/\n");
    let hooks = ["repro-status", "repro-checkout", "repro-push"];
    let hooks: String = hooks.iter().map(|id| format!("      - id: {id}\n")).collect();
    let url = source.root();
    let config = format!("repos:\n  - repo: {}\n    rev: v1\n    hooks:\n{hooks}", url.display());
    sandbox.write(".pre-commit-config.yaml", config);
    sandbox.git(&["init", "-q"]);
    sandbox.ok(&["run"]);
    let git = |args: &[&str]| run(&sandbox, Path::new("git"), args);
    let types = ["pre-commit", "post-checkout", "post-merge", "post-rewrite", "pre-push"];
    let types: Vec<&str> = types.iter().flat_map(|kind| ["-t", kind]).collect();
    let done = run(&sandbox, &program, &[&["install"], &types[..]].concat());
    assert_eq!(done.code, 0, "{done}");
    git(&["add", "-A"]);
    let done = git(&["commit", "-qm", "main"]);
    assert_eq!(done.code, 0, "{done}");

    git(&["switch", "-qc", "other"]);
    sandbox.edit("pipeline.toml", "v = 1", "v = 2");
    let refused = git(&["commit", "-qam", "stale"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.to_string().contains("stages are out of date"), "{refused}");
    sandbox.ok(&["run"]);
    let done = git(&["commit", "-qam", "other"]);
    assert_eq!(done.code, 0, "{done}");

    let done = git(&["switch", "-q", "main"]);
    assert_eq!(sandbox.read("a"), "1\n", "{done}");
    assert!(done.to_string().contains("restored the outs of 1 stage"), "{done}");
    let done = git(&["merge", "-q", "other"]);
    assert_eq!(sandbox.read("a"), "2\n", "{done}");

    // A new branch on a new remote, then one that moves.
    sandbox.git(&["init", "-q", "--bare", "git"]);
    git(&["remote", "add", "origin", "git"]);
    let done = git(&["push", "-q", "origin", "main~1:refs/heads/main"]);
    assert!(done.to_string().contains("pushed 1 object and 1 trace to `store`"), "{done}");
    sandbox.edit("pipeline.toml", "v = 2", "v = 3");
    sandbox.ok(&["run"]);
    git(&["commit", "-qam", "third"]);
    let done = git(&["push", "-q", "origin", "main"]);
    assert!(done.to_string().contains("pushed 2 objects and 2 traces to `store`"), "{done}");
    sandbox.remove("store");
    sandbox.write("store", "not a folder");
    git(&["commit", "-q", "--allow-empty", "-m", "same lock"]);
    assert_eq!(git(&["push", "-q", "origin", "main"]).code, 0);
    let done = git(&["push", "-q", "git", "main:refs/heads/other"]);
    assert_eq!(done.code, 1, "{done}");
    assert!(done.to_string().contains("`git push` is stopped"), "{done}");

    // Both installers together, in either order, run each hook once.
    sandbox.ok(&["git", "install"]);
    let done = run(&sandbox, &program, &[&["install"], &types[..]].concat());
    assert_eq!(done.code, 0, "{done}");
    snapshot!(sandbox.ok(&["git", "install"]), @"
    exit 0
    --- stdout
    already installed
    ");
    git(&["switch", "-q", "--detach", "main~3"]);
    assert_eq!(sandbox.read("a"), "1\n");
}
