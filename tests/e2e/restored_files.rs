//! Properties of restored files beside their bytes: modes and holes. Also, two users of one group.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use crate::sandbox::{Done, Sandbox, untested};

const ONE_STAGE: &str = "[stages.a]\ncmd = 'cat in > o'\ndeps = ['in']\nouts = ['o']\n";

/// Runs `repro` with a umask.
fn under(umask: &str, sandbox: &Sandbox, args: &str) -> Done {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("umask {umask}; exec \"$0\" {args}"));
    shell.arg(env!("CARGO_BIN_EXE_repro")).current_dir(sandbox.root());
    let done = sandbox.finish(&mut shell);
    assert_eq!(done.code, 0, "{args} with umask {umask}: {done}");
    done
}

fn mode(sandbox: &Sandbox, path: &str) -> String {
    format!("{:o}", fs::metadata(sandbox.path(path)).unwrap().mode() & 0o777)
}

fn objects(sandbox: &Sandbox, cache: &str) -> Vec<String> {
    let mut modes: Vec<String> = crate::sandbox::files(&sandbox.path(cache))
        .iter()
        .map(|object| mode(sandbox, &format!("{cache}/{object}")))
        .collect();
    modes.sort();
    modes
}

#[test]
fn restored_modes_follow_umask() {
    for (umask, file, program) in
        [("022", "644", "755"), ("077", "600", "700"), ("002", "664", "775"), ("007", "660", "770")]
    {
        for link in ["copy", "reflink, copy"] {
            let sandbox = Sandbox::with(
                "[stages.a]\ncmd = 'echo x > file; echo y > program; chmod +x program'\n\
                 outs = ['file', 'program']\n",
            );
            let check = |step: &str| {
                let modes = [mode(&sandbox, "file"), mode(&sandbox, "program")];
                assert_eq!(modes, [file, program], "umask {umask}, {step}");
            };
            under(umask, &sandbox, "run");
            check("written");
            sandbox.remove("file");
            sandbox.remove("program");
            sandbox.edit(
                "pipeline.toml",
                "[stages",
                &format!(
                    "cache.link = [{}]\n[stages",
                    link.split(", ").map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ")
                ),
            );
            under(umask, &sandbox, "checkout");
            check("restored");
        }
    }
}

#[test]
fn private_files_stay_private() {
    let make = "umask 077; echo secret > key; mkdir keys; echo secret2 > keys/a; \
                umask 022; echo open > keys/b; chmod 640 keys/b";
    for link in ["copy", "hardlink", "symlink"] {
        let sandbox = Sandbox::with(&format!(
            "cache.link = ['{link}']\n[stages.a]\ncmd = '{make}'\nouts = ['key', 'keys']\n"
        ));
        under("022", &sandbox, "run");
        let open = "444";
        // Two private files, one for the group, and the tree.
        assert_eq!(objects(&sandbox, "cache/objects"), ["400", "400", "440", open], "{link}");
        sandbox.remove("key");
        sandbox.remove("keys");
        under("022", &sandbox, "checkout");
        let read_only = |mode: u32| if link == "copy" { mode } else { mode & 0o444 };
        for (path, wanted) in [("key", 0o600), ("keys/a", 0o600), ("keys/b", 0o640)] {
            assert_eq!(mode(&sandbox, path), format!("{:o}", read_only(wanted)), "{link} {path}");
        }
    }
}

#[test]
fn linking_opens_no_object() {
    let sandbox =
        Sandbox::with("cache.link = ['hardlink']\n[stages.a]\ncmd = 'echo x > o'\nouts = ['o']\n");
    under("077", &sandbox, "run");
    assert_eq!(objects(&sandbox, "cache/objects"), ["400"]);
    fs::set_permissions(sandbox.path("o"), fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.remove("o");
    under("077", &sandbox, "checkout");
    assert_eq!(
        (mode(&sandbox, "o"), objects(&sandbox, "cache/objects")),
        ("400".into(), vec!["400".into()])
    );
}

/// Two users of one group, and a folder that both can write and that passes its group on.
struct Team {
    sandbox: Sandbox,
    umask: &'static str,
}

impl Team {
    /// Returns `None` on a machine on which this test cannot become another user.
    fn with(pipeline: &str, umask: &'static str) -> Option<Team> {
        let is_root = rustix::process::geteuid().is_root();
        if !is_root
            || !Command::new("setpriv")
                .arg("--version")
                .output()
                .is_ok_and(|it| it.status.success())
        {
            if is_root {
                untested("two users, since there is no setpriv");
            }
            return None;
        }
        let sandbox = Sandbox::with(pipeline);
        sandbox.write("in", "1");
        let program = sandbox.path("repro");
        fs::copy(env!("CARGO_BIN_EXE_repro"), &program).unwrap();
        for (path, mode) in
            [("", 0o2770), ("pipeline.toml", 0o660), ("in", 0o660), ("repro", 0o755)]
        {
            let path = sandbox.path(path);
            std::os::unix::fs::chown(&path, Some(1001), Some(2000)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        Some(Team { sandbox, umask })
    }

    fn run(&self, user: u32, args: &str) -> Done {
        let mut shell = Command::new("setpriv");
        shell.arg(format!("--reuid={user}")).args([
            "--regid=2000",
            "--clear-groups",
            "/bin/sh",
            "-c",
        ]);
        shell
            .arg(format!("umask {}; exec ./repro {args}", self.umask))
            .current_dir(self.sandbox.root());
        shell.env("HOME", "/nowhere");
        self.sandbox.finish(&mut shell)
    }

    fn ok(&self, user: u32, args: &str) -> Done {
        let done = self.run(user, args);
        assert_eq!(
            (done.code, done.stderr.contains("warning")),
            (0, false),
            "user {user}, {args}: {done}"
        );
        done
    }
}

#[test]
fn two_users_share_history() {
    for umask in ["007", "002"] {
        let Some(team) = Team::with(ONE_STAGE, umask) else { return };
        for (user, input) in [(1001, "1"), (1002, "2"), (1001, "3"), (1002, "1")] {
            team.sandbox.write("in", input);
            team.ok(user, "run");
            assert_eq!(team.sandbox.read("o"), input);
        }
        let listed = team.ok(1001, "runs list").stdout;
        assert_eq!(listed.lines().filter(|line| line.starts_with("run-")).count(), 4, "{listed}");
        team.ok(1002, "fsck");
        team.ok(1002, "gc --runs 0 --yes");
        team.ok(1001, "checkout");
    }
}

#[test]
fn private_file_of_other_user() {
    let Some(team) = Team::with(ONE_STAGE, "002") else { return };
    let sandbox = &team.sandbox;
    sandbox.edit("pipeline.toml", "cat in > o", "cat in > o; chmod 600 o");
    team.ok(1001, "run");
    // The other user cannot restore it, and makes it.
    sandbox.remove("o");
    team.ok(1002, "run");
    assert_eq!(fs::metadata(sandbox.path("o")).unwrap().uid(), 1002);
}

#[test]
fn sparse_outs_keep_holes() {
    let sandbox = Sandbox::with(
        "cache.link = ['copy']\n[stages.a]\n\
         cmd = 'truncate -s 256M big; printf x | dd of=big bs=1M seek=100 conv=notrunc'\n\
         outs = ['big']\n",
    );
    sandbox.ok(&["run"]);
    let used = |path: &str| fs::metadata(sandbox.path(path)).unwrap().blocks() * 512;
    let object = crate::sandbox::files(&sandbox.path("cache/objects")).remove(0);
    assert!(used(&format!("cache/objects/{object}")) < 1 << 20);
    let bytes = fs::read(sandbox.path("big")).unwrap();
    sandbox.remove("big");
    sandbox.ok(&["checkout"]);
    assert!(used("big") < 1 << 20);
    assert!(fs::read(sandbox.path("big")).unwrap() == bytes);
}
