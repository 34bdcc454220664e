//! Full disks and a locked database: the errors name the cause, and work continues once there is
//! room again.

use std::process::Command;

use crate::sandbox::{Done, Sandbox, untested};
use crate::snapshot;

/// Runs a script in its own mount namespace, with `$REPRO` set to the binary; `None` if the system
/// does not allow one.
fn with_mounts(sandbox: &Sandbox, script: &str) -> Option<Done> {
    if !Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success())
    {
        untested("`unshare -rm` gives no mount namespace");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script]).current_dir(sandbox.root()).env_clear();
    command
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("REPRO", env!("CARGO_BIN_EXE_repro"));
    Some(sandbox.finish(&mut command))
}

fn copy() -> Sandbox {
    let sandbox =
        Sandbox::with("[stages.s]\ncmd = 'cat in > out'\ndeps = ['in']\nouts = ['out']\n");
    sandbox.write("in", "x".repeat(100_000));
    for folder in ["cache", "runs"] {
        std::fs::create_dir(sandbox.path(folder)).unwrap();
    }
    sandbox
}

#[test]
fn cache_disk_full() {
    let script = "
        mount -t tmpfs -o size=64k none cache; $REPRO run
        mount -o remount,size=20m none cache; $REPRO run; $REPRO fsck";
    let Some(done) = with_mounts(&copy(), script) else { return };
    snapshot!(done, @"
    exit 0
    --- stdout
    the cache is intact: 1 object (100 kB), 1 trace
    --- stderr
    run-1: started
    s: started (never ran)
    s: failed after [time]: ran, but its outs could not be stored
    error: stage `s` failed after [time]: ran, but its outs could not be stored
     caused by: cannot cache `$ROOT/out`
     caused by: No space left on device (os error 28)
     hint: free space on the disk of `$ROOT/cache`, then repeat the command; `repro gc` counts cache entries that can be deleted

    ✗ run-1 failed after [time]: 1 failed
    run-2: started
    s: started (its last run was not recorded)
    s: ran in [time]

     out by s

    ✓ run-2 done in [time]: 1 ran
    ");
}

#[test]
fn history_disk_full() {
    let script = "
        mount -t tmpfs -o size=44k none runs; $REPRO run
        mount -o remount,size=20m none runs; $REPRO run -f 2> stderr
        $REPRO runs list | tail -n +2 | cut -c -9";
    let Some(done) = with_mounts(&copy(), script) else { return };
    snapshot!(done, @"
    exit 0
    --- stdout
    run-2 ok
    --- stderr
    run-1: started
    s: started (never ran)
    s: ran in [time]
    warning: run-1 is not in the history; its results are kept
     caused by: cannot write `runs/runs.db`
     caused by: database or disk is full
     hint: free space on the disk of `runs/runs.db`, which is full

     out by s

    ✓ run-1 done in [time]: 1 ran
    ");
}

#[test]
fn disk_without_size() {
    let Some(done) = with_mounts(&copy(), "mount -t ramfs none runs; $REPRO run") else { return };
    snapshot!(done, @"
    exit 0
    --- stderr
    run-1: started
    s: started (never ran)
    s: ran in [time]

     out by s

    ✓ run-1 done in [time]: 1 ran
    ");
}

#[test]
fn log_disk_full() {
    let sandbox = copy();
    sandbox.edit("pipeline.toml", "cat in > out", "cat in in in in; cat in > out");
    let script =
        "mount -t tmpfs -o size=400k none runs; $REPRO run > /dev/null 2> err; grep -v '|' err";
    let Some(done) = with_mounts(&sandbox, script) else { return };
    snapshot!(done, @"
    exit 0
    --- stdout
    run-1: started
    s: started (never ran)
    s: warning: the disk of `$ROOT/runs/run-1/s/log` is full; the end of its log and its last metrics may be missing
    s: ran in [time]
    warning: run-1 is only partly in the history; its results are kept
     caused by: cannot write `runs/runs.db`
     caused by: database or disk is full
     hint: free space on the disk of `runs/runs.db`, which is full

     out by s

    ✓ run-1 done in [time]: 1 ran
    ");
}

#[test]
fn log_disk_full_warns_once() {
    let sandbox = Sandbox::with(
        r#"
[stages.s]
each = "in/*"
cmd = "cat {{ item.path }}; cp {{ item.path }} up/"
outs = ["up/{{ item.name }}"]
"#,
    );
    for item in ["a", "b", "c"] {
        sandbox.write(&format!("in/{item}"), "x".repeat(400_000));
    }
    let script = "
        mkdir runs; mount -t tmpfs -o size=200k none runs; $REPRO run 2> stderr; echo $?
        grep -c 'log` is full' stderr";
    let Some(done) = with_mounts(&sandbox, script) else { return };
    assert_eq!(done.stdout, "0\n1\n");
}

#[test]
fn lock_disk_full() {
    let sandbox = copy();
    let script = "
        mkdir full; mount -t tmpfs -o size=200k none full; cd full; mkdir cache runs
        mount -t tmpfs none cache; mount -t tmpfs none runs
        printf \"[stages.s]\\ncmd = 'echo ran'\\n\" > pipeline.toml
        head -c 1000000 /dev/zero > filler 2> /dev/null
        $REPRO run; rm filler; $REPRO run";
    let Some(done) = with_mounts(&sandbox, script) else { return };
    snapshot!(done, @"
    exit 0
    --- stderr
    run-1: started
    s: started (never ran)
    s | ran
    s: ran in [time]
    error: cannot write `$ROOT/full/pipeline.lock`
     caused by: No space left on device (os error 28)
     hint: free space on the disk of `$ROOT/full/pipeline.lock`, then repeat the command; `repro gc` counts cache entries that can be deleted
    everything is up to date (1 stage, [time])
    ");
}

#[test]
fn gc_history_on_full_disk() {
    let script = "
        mkdir full; mount -t tmpfs -o size=1m none full; cd full
        cp ../pipeline.toml ../in .; $REPRO run 2> stderr
        rm -r cache/traces pipeline.lock; cat /dev/zero > filler 2> /dev/null
        $REPRO gc --yes; $REPRO runs list | tail -1 | cut -c -9";
    let Some(done) = with_mounts(&copy(), script) else { return };
    snapshot!(done, @"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 0 0 B
    last 1 run (not counted above) 1 100 kB
    traces of the objects above 0 0 B

    unreferenced count size
    objects 0 0 B
    traces 0 0 B
    temporary files 0 0 B

    nothing to delete
    run-1 ok
    ");
}

#[test]
fn locked_history_names_process() {
    let sandbox = copy();
    sandbox.ok(&["run"]);
    let other = rusqlite::Connection::open(sandbox.path("runs/runs.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let done = sandbox.ok(&["run", "-f"]);
    assert!(
        done.stderr.contains(&format!("waiting for process {} (", std::process::id())),
        "{done}"
    );
    snapshot!(done, @"
    exit 0
    --- stderr
    waiting for process [pid] (`[name]`), which is writing to `runs/runs.db`
    run-2: started
    s: started (forced)
    s: ran in [time]
    warning: run-2 is not in the history; its results are kept
     caused by: cannot write `runs/runs.db`
     caused by: database is locked
     hint: another process has been writing to it for seconds: try again when it is done

     out by s

    ✓ run-2 done in [time]: 1 ran
    ");
}
