//! Links and FIFOs where the program keeps files of its own, and a history that cannot be written.

use std::os::unix::fs::symlink;

use crate::sandbox::Sandbox;
use crate::snapshot;

fn copying() -> Sandbox {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'cp in out'\ndeps = ['in']\nouts = ['out']\n");
    sandbox.write("in", "1");
    sandbox
}

/// Every command that opens state files, in an order in which each has work.
const COMMANDS: [&[&str]; 11] = [
    &["status"],
    &["why", "s"],
    &["run", "-n"],
    &["gc"],
    &["checkout"],
    &["add", "in"],
    &["fsck", "--repair"],
    &["run"],
    &["runs", "list"],
    &["runs", "logs", "last"],
    &["gc", "--yes"],
];

const FILES: [&str; 11] = [
    "cache/run.lock",
    "cache/index",
    "cache/pipeline",
    "cache/unsynced",
    "cache/tmp/running/s",
    "pipeline.lock",
    "runs/run-1/recording.lock",
    "runs/runs.db",
    "runs/runs.db-wal",
    "runs/runs.db-shm",
    "runs/runs.db-journal",
];

#[test]
fn linked_state_is_not_followed() {
    for file in FILES {
        for target in ["precious", "nothing"] {
            let sandbox = copying();
            sandbox.write("precious", "precious");
            sandbox.write(&format!("{file}.x"), "");
            symlink(sandbox.path(target), sandbox.path(file)).unwrap();
            for args in COMMANDS {
                let done = sandbox.repro(args);
                assert_eq!(sandbox.read("precious"), "precious", "{file}: {args:?}\n{done}");
                assert!(!sandbox.exists("nothing"), "{file}: {args:?}\n{done}");
            }
        }
    }
}

#[test]
fn fifo_as_state() {
    for file in FILES {
        let sandbox = copying();
        sandbox.write(&format!("{file}.x"), "");
        sandbox.fifo(file);
        for args in COMMANDS {
            // Each is ended by the time limit if it hangs.
            let done = sandbox.repro(args);
            assert!((0..=4).contains(&done.code), "{file}: {args:?}\n{done}");
        }
    }
}

#[test]
fn linked_run_lock_message() {
    let sandbox = copying();
    sandbox.write("cache/x", "");
    symlink("../in", sandbox.path("cache/run.lock")).unwrap();
    snapshot!(sandbox.repro(&["run"]), @r"
    exit 3
    --- stderr
    error: cannot open `$ROOT/cache/run.lock`
     caused by: it is a symbolic link, and `repro` keeps a file of its own there
     hint: remove it
    ");
    sandbox.remove("cache/run.lock");
    symlink("../in", sandbox.path("pipeline.lock")).unwrap();
    snapshot!(sandbox.repro(&["run"]), @r"
    exit 3
    --- stderr
    error: cannot read `$ROOT/pipeline.lock`
     caused by: it is a symbolic link, and `repro` keeps a file of its own there
     hint: remove it
    ");
}

#[test]
fn fifo_as_object_or_log() {
    let sandbox = copying();
    sandbox.ok(&["run"]);
    let digest = blake3::hash(b"1").to_string();
    let object = format!("cache/objects/{}/{}", &digest[..2], &digest[2..]);
    let trace = crate::sandbox::files(&sandbox.path("cache/traces")).remove(0);
    for path in [&object, &format!("cache/traces/{trace}"), "runs/run-1/s/log"] {
        sandbox.remove(path);
        sandbox.fifo(path);
    }
    for args in [["runs", "logs"], ["fsck", "--json"], ["status", "--json"], ["checkout", "s"]] {
        let done = sandbox.repro(&args);
        assert!((0..=4).contains(&done.code), "{args:?}\n{done}");
    }
    sandbox.remove("out");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("out"), "1");
}

#[test]
fn run_without_writable_history() {
    let sandbox = copying();
    sandbox.edit("pipeline.toml", "cp in out", "cp in out; echo said");
    sandbox.write("runs", "not a folder");
    snapshot!(sandbox.ok(&["run"]), @"
    exit 0
    --- stderr
    run-1: started
    s: started (never ran)
    s | said
    s: ran in [time]
    warning: run-1 is not in the history; its results are kept
     caused by: cannot create `runs`
     caused by: not a directory
     hint: its logs are in `cache/tmp/run-1`

     out by s

    ✓ run-1 done in [time]: 1 ran
    ");
    assert_eq!(sandbox.read("out"), "1");
    assert_eq!(sandbox.read("cache/tmp/run-1/s/log"), "said\n");
    sandbox.ok(&["run"]);
    sandbox.write("in", "2");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("out"), "2");
}

#[test]
fn log_becomes_fifo() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'f=$(dirname $REPRO_EVENTS); rm $f/log $f/events.jsonl; \
         mkfifo $f/log $f/events.jsonl; echo x > o'\nouts = ['o']\n",
    );
    sandbox.ok(&["run"]);
    let done = sandbox.repro(&["runs", "logs"]);
    assert!(done.stderr.contains("it is a FIFO, socket or device"), "{done}");
}

#[test]
fn linked_marker_folder() {
    for (link, target) in [("cache/tmp/running", "precious"), ("cache/tmp", "holder")] {
        let sandbox = copying();
        sandbox.write("precious/file", "precious");
        sandbox.write("holder/running/file", "precious");
        sandbox.write("cache/tmp/x", "");
        if link == "cache/tmp" {
            sandbox.remove("cache/tmp");
        }
        symlink(sandbox.path(target), sandbox.path(link)).unwrap();
        for args in COMMANDS {
            let done = sandbox.repro(args);
            for file in ["precious/file", "holder/running/file"] {
                assert!(sandbox.exists(file), "{link}: {args:?}\n{done}");
            }
        }
    }
}
