//! Limits of the system: `repro` ends in order when there are no more threads, or no larger files.

use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use crate::sandbox::{Done, Sandbox, untested};

/// A user id that owns no other process, so that a limit on processes counts only this test's.
const USER: &str = "54329";

/// Runs `repro` as another user with a limit on processes; `None` if this process may not do that.
fn with_processes(sandbox: &Sandbox, limit: usize, args: &[&str]) -> Option<Done> {
    let shown = Command::new("setpriv").args(["--reuid", USER, "--clear-groups", "true"]).status();
    if !rustix::process::geteuid().is_root() || !shown.is_ok_and(|status| status.success()) {
        return None;
    }
    let root = sandbox.root();
    std::fs::copy(env!("CARGO_BIN_EXE_repro"), root.join("repro")).unwrap();
    assert!(Command::new("chown").args(["-R", USER]).arg(&root).status().unwrap().success());
    let repro = sandbox.command(args);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--clear-groups", "prlimit", &format!("--nproc={limit}")]);
    command.arg(root.join("repro")).args(args).current_dir(&root).env_clear();
    command.envs(repro.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(sandbox.finish(&mut command))
}

#[test]
fn no_more_threads() {
    let stages: String = (0..6)
        .map(|number| {
            format!(
                "[stages.s{number}]\ncmd = 'mkdir o{number}; echo 1 > o{number}/a; \
                 echo 2 > o{number}/b'\nouts = ['o{number}']\n"
            )
        })
        .collect();
    let mut ends = std::collections::BTreeSet::new();
    for limit in (1..16).chain([60]) {
        let sandbox = Sandbox::with(&stages);
        let Some(done) = with_processes(&sandbox, limit, &["run", "-j4"]) else {
            return untested("no other user can be had for a limit on processes");
        };
        ends.insert(done.code);
        assert!([0, 1, 3].contains(&done.code), "limit {limit}: {done}");
        assert!(!done.stderr.contains("panicked"), "limit {limit}: {done}");
        if done.code == 3 {
            assert!(done.stderr.contains("the limit on processes"), "limit {limit}: {done}");
        }
        let runs = sandbox.repro(&["runs", "list"]);
        assert!(!runs.stdout.contains("running"), "limit {limit}: {runs}");
        assert!(!sandbox.exists("cache/tmp/running/s0"), "limit {limit}");
        sandbox.ok(&["run"]);
        sandbox.ok(&["status", "--check"]);
    }
    assert!(ends.contains(&0) && ends.contains(&3), "{ends:?}");
}

#[test]
fn too_long_for_a_process() {
    let long = "z".repeat(200_000);
    for (stage, hint) in [
        (format!("cmd = 'true'\nenv = {{ BIG = '{long}' }}"), "variable `BIG` is too long (200000"),
        (format!("cmd = 'true {long}'"), "the command is too long (200005 bytes): move it to"),
    ] {
        let sandbox = Sandbox::with(&format!("[stages.s]\n{stage}\n"));
        let done = sandbox.repro(&["run"]);
        assert_eq!(done.code, 3, "{hint}");
        assert!(done.stderr.contains(hint), "{done}");
        assert!(!sandbox.exists("cache/tmp/running/s"));
    }
}

#[test]
fn file_size_limit() {
    let sandbox = Sandbox::with("[stages.data]\nouts = ['big']\n");
    sandbox.write("big", "x".repeat(1 << 20));
    let repro = sandbox.command(&["run"]);
    let mut limited = Command::new("/bin/sh");
    limited.args(["-c", "ulimit -f 1000; exec \"$0\" run"]).arg(repro.get_program());
    limited.current_dir(sandbox.root()).env_clear();
    limited.envs(repro.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let done = sandbox.finish(&mut limited);
    assert_eq!(done.code, 3, "{done}");
    assert!(done.stderr.contains("the file size limit is reached"), "{done}");
    let runs = sandbox.ok(&["runs", "list"]);
    assert!(runs.stdout.contains("failed"), "{runs}");
    sandbox.ok(&["run"]);
    sandbox.ok(&["fsck"]);
}

#[test]
fn stage_beyond_file_size_limit() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'kill -XFSZ $$'\n");
    let done = sandbox.repro(&["run"]);
    assert_eq!(done.code, 1, "{done}");
    assert!(done.stderr.contains("the file size limit is reached"), "{done}");
}

/// A stage puts FIFOs and links in place of the files of its run.
#[test]
fn fifo_in_folder_of_run() {
    for (replace, file) in
        [("mkfifo", "log"), ("mkfifo", "events.jsonl"), ("ln -s /dev/zero", "log")]
    {
        let cmd = format!(
            "f=$(dirname $REPRO_EVENTS)/{file}; rm $f; {replace} $f; echo x > o; [ -e ok ]"
        );
        let sandbox = Sandbox::with(&format!(
            "[stages.s]\ncmd = '''{cmd}'''\nouts = ['o']\nretries = 1\n\
             [stages.i]\neach = 'in/*'\ncmd = '''{cmd}; cp {{{{ item.path }}}} out/'''\n\
             outs = ['out/{{{{ item.name }}}}']\n"
        ));
        sandbox.write("in/a", "");
        sandbox.write("in/b", "");
        let done = sandbox.repro(&["run", "-k", "-j1"]);
        assert!([1, 3].contains(&done.code), "{cmd}\n{done}");
        sandbox.repro(&["runs", "logs", "run-1", "s"]);
        sandbox.repro(&["runs", "show", "run-1"]);
        sandbox.write("ok", "");
        sandbox.repro(&["run", "-k", "-j1"]);
        sandbox.ok(&["run", "-k", "-j1", "s"]);
    }
}

#[test]
fn bytes_that_are_not_text() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'printf %s \"$FOO\" > o'\nenv_deps = ['FOO']\nouts = ['o']\n\
         tools = ['cat version']\n",
    );
    let run = |args: &[&str], foo: &[u8]| {
        let mut command = sandbox.command(args);
        sandbox.finish(command.env("FOO", std::ffi::OsStr::from_bytes(foo)))
    };
    sandbox.write("version", b"\xff");
    assert_eq!(run(&["run"], b"\xff").code, 0);
    assert_eq!(run(&["status", "--check"], b"\xff").code, 0);
    assert_eq!(run(&["status", "--check"], b"\xfe").code, 4);
    assert_eq!(run(&["status", "--check"], b"\\xff").code, 4);
    sandbox.write("version", b"\xfe");
    assert_eq!(run(&["status", "--check"], b"\xff").code, 4);
    assert!(sandbox.read("pipeline.lock").contains("envdep FOO \"\\\\xff\""));
}
