//! `repro` killed at one system call after another: after the next run, outs, lock and listings
//! equal those of a run that nothing disturbed.
//!
//! `REPRO_CRASH_POINTS` is the number of calls to kill it at, before and after each, or `all`.
//! Needs a C compiler and the permission to trace a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::{Sandbox, files, untested};

/// Calls to kill `repro` at, if the environment says nothing.
const POINTS: usize = 20;

/// One stage to restore, one that reads what is restored, items old and new, and one that is ended.
const PIPELINE: &str = r#"
[params]
seed = 1

[stages.make]
cmd = "mkdir d; for i in 1 2 3; do echo {{ params.seed }}$i > d/$i; done"
outs = ["d"]

[stages.count]
cmd = "find d -type f | sort > n.txt"
deps = ["d"]
outs = ["n.txt"]

[stages.up]
each = "in/*"
cmd = "cp {{ item.path }} up/"
outs = ["up/{{ item.name }}"]
"#;

/// Returns a project in which a run restores, runs and processes items.
fn project() -> Sandbox {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.write("in/a", "a");
    sandbox.ok(&["run"]);
    sandbox.ok(&["run", "-p", "seed=2"]);
    sandbox.write("in/b", "b");
    // The stage that reads the restored folder runs again.
    sandbox.edit("pipeline.toml", "| sort >", "|  sort >");
    sandbox
}

/// Returns the tracer, compiled; `None` if that cannot be done here.
fn tracer(dir: &Path) -> Option<PathBuf> {
    let tracer = dir.join("crash_point");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/crash_point.c");
    let compiled = Command::new("cc").arg("-o").arg(&tracer).arg(source).status();
    if !compiled.is_ok_and(|status| status.success()) {
        untested("there is no C compiler");
        return None;
    }
    let traced = Command::new(&tracer).args(["before", "1000", "/bin/true"]).status();
    if !traced.is_ok_and(|status| status.success()) {
        untested("processes cannot be traced here");
        return None;
    }
    Some(tracer)
}

/// A copy of a project that is killed at one point and then run again.
struct Crash<'a> {
    tracer: &'a Path,
    base: &'a Sandbox,
}

impl Crash<'_> {
    /// Kills a run at the call `number`, and returns the copy with the output of the tracer.
    fn at(&self, when: &str, number: usize) -> (Sandbox, String) {
        let copy = Sandbox::empty();
        let mut cp = Command::new("cp");
        cp.args(["-a", "."]).arg(copy.root()).current_dir(self.base.root());
        assert!(deadline::output(&mut cp).status.success());
        let repro = copy.command(&["run", "-j1"]);
        let mut command = Command::new(self.tracer);
        command.args([when, &number.to_string()]).arg(repro.get_program()).args(repro.get_args());
        command.current_dir(copy.root()).env_clear();
        command.envs(repro.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = String::from_utf8(deadline::output(&mut command).stderr).unwrap();
        (copy, output.lines().last().unwrap_or_default().to_owned())
    }
}

/// Returns everything in a project but its cache and its history, and the names of temporary files.
fn state(sandbox: &Sandbox) -> BTreeMap<String, Vec<u8>> {
    let root = sandbox.root();
    let of_user = |path: &String| !path.starts_with("runs/");
    let mut state = BTreeMap::new();
    for path in files(&root).into_iter().filter(of_user) {
        let bytes = std::fs::read(root.join(&path)).unwrap();
        if !path.starts_with("cache/") {
            state.insert(path, bytes);
        } else if path.starts_with("cache/tmp/") || path.contains("tmp-") {
            state.insert(path, Vec::new());
        }
    }
    state
}

#[test]
fn crash_at_any_call() {
    let dir = tempfile::tempdir().unwrap();
    let Some(tracer) = tracer(dir.path()) else { return };
    let base = project();
    let crash = Crash { tracer: &tracer, base: &base };
    let (undisturbed, calls) = crash.at("before", usize::MAX >> 8);
    let calls: usize = calls.strip_suffix(" calls").unwrap().parse().unwrap();
    let expected = state(&undisturbed);
    assert_eq!(expected["n.txt"], b"d/1\nd/2\nd/3\n");
    assert_eq!(expected["up/b"], b"b");
    let points = match std::env::var("REPRO_CRASH_POINTS").as_deref() {
        Ok("all") => calls,
        Ok(number) => number.parse().unwrap(),
        Err(_) => POINTS,
    };
    let mut killed = 0;
    for point in 0..points {
        let number = 1 + point * calls / points;
        for when in ["before", "after"] {
            let (copy, end) = crash.at(when, number);
            killed += usize::from(end.starts_with("killed"));
            let done = copy.ok(&["run"]);
            let found = state(&copy);
            assert!(
                found == expected,
                "{when} call {number}, {end}: {:?} instead of {:?}\n{done}",
                found.keys(),
                expected.keys()
            );
            copy.ok(&["status", "--check"]);
            copy.ok(&["fsck"]);
        }
    }
    // The number of calls varies a little from run to run.
    assert!(killed * 10 > points * 2 * 9, "killed {killed} of {points} runs");
    eprintln!("killed at {killed} points of {calls} calls");
}
