//! Interrupted, killed, and two at once.

use std::io::Read as _;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::sandbox::Sandbox;

/// A stage that says on a pipe that it has begun, then waits to be stopped.
fn waiting() -> Sandbox {
    let sandbox = Sandbox::with(
        "[stages.first]\ncmd = 'echo 1 > first'\nouts = ['first']\n\
         [stages.wait]\ncmd = 'echo $$ > pid; echo begun > begun; exec sleep 600'\ndeps = ['first']\nouts = ['never']\n\
         [stages.after]\ncmd = 'true'\ndeps = ['never']\n",
    );
    rustix::fs::mknodat(
        rustix::fs::CWD,
        sandbox.path("begun"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    sandbox
}

/// Starts a run and returns when its stage has begun.
fn start(sandbox: &Sandbox) -> (Child, Pid) {
    let child = sandbox.command(&["run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut word = String::new();
    std::fs::File::open(sandbox.path("begun")).unwrap().read_to_string(&mut word).unwrap();
    assert_eq!(word, "begun\n");
    let stage = Pid::from_raw(sandbox.read("pid").trim().parse().unwrap()).unwrap();
    (child, stage)
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn is_gone(stage: Pid) -> bool {
    // A process that is dead but not yet waited for by its adoptive parent counts as gone.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", stage.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(stage).is_err()
        || stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[test]
fn an_interrupt_stops_the_stages_and_is_recorded() {
    let sandbox = waiting();
    let (child, stage) = start(&sandbox);
    kill_process(pid(&child), Signal::INT).unwrap();
    let done = sandbox.done(child.wait_with_output().unwrap());
    assert_eq!(done.code, 130, "{done}");
    assert!(is_gone(stage));
    let runs = sandbox.ok(&["runs", "list"]);
    assert!(runs.stdout.contains("interrupted"), "{runs}");
    // What had finished is not done again.
    let status = sandbox.ok(&["status"]);
    assert!(status.stdout.contains("1 stage up to date"), "{status}");
}

#[test]
fn after_kill_9_nothing_is_lost_stuck_or_left_running() {
    let sandbox = waiting();
    let (mut child, stage) = start(&sandbox);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!is_gone(stage), "the stage should outlive its killed engine, or this test shows nothing");
    sandbox.edit("pipeline.toml", "echo $$ > pid; echo begun > begun; exec sleep 600", "touch never");
    let done = sandbox.ok(&["run"]);
    assert!(is_gone(stage), "{done}");
    assert!(done.stderr.contains("had left running of stage `wait`"), "{done}");
    let runs = sandbox.ok(&["runs", "list"]);
    assert!(runs.stdout.contains("interrupted"), "{runs}");
    let show = sandbox.ok(&["runs", "show", "run-2"]);
    assert!(show.stdout.contains("fresh"), "the first stage was done before the kill: {show}");
}

#[test]
fn a_second_run_is_turned_away_with_the_name_of_the_first() {
    let sandbox = waiting();
    let (child, _) = start(&sandbox);
    let second = sandbox.repro(&["run"]);
    assert_eq!(second.code, 3, "{second}");
    assert!(second.stderr.contains(&format!("pid {}", child.id())), "{second}");
    kill_process(pid(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}
