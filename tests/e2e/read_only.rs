//! Outs with folders that their stage made read-only.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::sandbox::{Done, Sandbox};

const NOBODY: u32 = 65534;

/// Runs `repro` as a user who cannot write into a read-only folder: root can, so another user
/// then owns the project. The program is passed as an open file, since that user may not have
/// access to the build directory.
fn repro(sandbox: &Sandbox, args: &[&str]) -> Done {
    let mut command = sandbox.command(args);
    if rustix::process::geteuid().is_root() {
        own(&sandbox.root());
        let program = std::fs::File::open(command.get_program()).unwrap();
        let variables: Vec<_> =
            command.get_envs().map(|(k, v)| (k.to_owned(), v.unwrap().to_owned())).collect();
        command = Command::new("/proc/self/fd/0");
        command.args(args).current_dir(sandbox.root()).env_clear().envs(variables);
        command.uid(NOBODY).gid(NOBODY).stdin(program);
    }
    sandbox.finish(&mut command)
}

fn own(path: &Path) {
    std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        std::fs::read_dir(path).unwrap().for_each(|entry| own(&entry.unwrap().path()));
    }
}

fn ok(sandbox: &Sandbox, args: &[&str]) {
    let done = repro(sandbox, args);
    assert_eq!(done.code, 0, "{args:?}\n{done}");
}

fn sandbox(link: &str) -> Sandbox {
    let sandbox = Sandbox::with(&format!(
        "[cache]\nlink = ['{link}']\n[stages.s]\n\
         cmd = 'mkdir -p out/mod/deep; cat in > out/mod/deep/f; chmod -R a-w out'\n\
         deps = ['in']\nouts = ['out']\n"
    ));
    sandbox.write("in", "1");
    sandbox
}

#[test]
fn read_only_history() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'true'\n");
    ok(&sandbox, &["run"]);
    let allow = |db: u32, folder: u32| {
        for (path, mode) in [("runs/runs.db", db), ("runs", folder)] {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(sandbox.path(path), mode).unwrap();
        }
    };
    allow(0o444, 0o555);
    for args in [
        &["runs", "tag", "run-1", "a=b"][..],
        &["runs", "note", "run-1", "x"],
        &["runs", "rm", "run-1"],
    ] {
        let done = repro(&sandbox, args);
        assert_ne!(done.code, 0, "{done}");
        let hint = "make `runs` and the files in it writable for this user";
        assert!(done.stderr.contains(hint), "{done}");
    }
    ok(&sandbox, &["runs", "show", "run-1"]);
    allow(0o644, 0o755);
    ok(&sandbox, &["runs", "note", "run-1", "x"]);
}

#[test]
fn read_only_out_is_replaced() {
    for link in ["copy", "symlink", "hardlink"] {
        let sandbox = sandbox(link);
        ok(&sandbox, &["run"]);
        sandbox.write("in", "2");
        ok(&sandbox, &["run"]);
        assert_eq!(sandbox.read("out/mod/deep/f"), "2", "{link}");
        sandbox.write("in", "1");
        ok(&sandbox, &["run"]);
        assert_eq!(sandbox.read("out/mod/deep/f"), "1", "{link}");
    }
}

#[test]
fn read_only_folder_is_repaired() {
    let sandbox = sandbox("copy");
    ok(&sandbox, &["run"]);
    for (damage, back) in [("out/mod/deep/f", "out/mod/deep/f"), ("out/mod/deep", "out")] {
        sandbox.remove(damage);
        ok(&sandbox, &["run", "-n"]);
        let mode = std::fs::Permissions::from_mode(0o555);
        for folder in ["out/mod/deep", "out/mod", "out"].map(|path| sandbox.path(path)) {
            if folder.exists() {
                std::fs::set_permissions(&folder, mode.clone()).unwrap();
            }
        }
        ok(&sandbox, &["checkout", back]);
        assert_eq!(sandbox.read("out/mod/deep/f"), "1");
    }
    ok(&sandbox, &["gc", "--yes"]);
    ok(&sandbox, &["checkout", "--relink"]);
}

/// Returns the message of `repro run` after the mode of a path was changed.
fn denied(path: &str, mode: u32) -> String {
    let sandbox =
        Sandbox::with("[stages.s]\ncmd = 'cp in/f out/o'\ndeps = ['in']\nouts = ['out/o']\n");
    sandbox.write("in/f", "1");
    sandbox.write("out/x", "");
    ok(&sandbox, &["run"]);
    sandbox.write("in/f", "2");
    own(&sandbox.root());
    let path = sandbox.path(path);
    let before = path.metadata().unwrap().permissions();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let done = repro(&sandbox, &["run"]);
    std::fs::set_permissions(&path, before).unwrap();
    assert!(done.code != 0, "{done}");
    done.to_string().replace("$ROOT/", "")
}

#[test]
fn denied_access_has_remedy() {
    for (path, mode, hint) in [
        ("pipeline.toml", 0, "check the owner and mode of `pipeline.toml`"),
        ("pipeline.lock", 0, "check the owner and mode of `pipeline.lock`"),
        ("in/f", 0, "check the owner and mode of `in/f`"),
        ("in", 0, "make it readable (`chmod u+r`)"),
        ("out", 0o555, "check the owner and mode of `out"),
        ("cache", 0o555, "check the owner and mode of `cache"),
        ("cache/objects", 0o555, "check the owner and mode of `cache"),
    ] {
        let message = denied(path, mode);
        assert!(message.contains(&format!("hint: {hint}")), "{path}: {message}");
    }
}
