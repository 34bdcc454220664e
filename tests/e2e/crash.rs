//! Interrupted and killed runs, and two runs at once.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Sandbox, is_gone};
use crate::snapshot;

/// A pipeline with a stage that writes to the FIFO `begun` when it starts, then waits.
fn waiting() -> Sandbox {
    let sandbox = Sandbox::with(
        "[stages.first]\ncmd = 'echo 1 > first'\nouts = ['first']\n\
         [stages.wait]\ncmd = 'echo $$ > pid; echo begun > begun; exec sleep 600'\n\
         deps = ['first']\nouts = ['never']\n\
         [stages.after]\ncmd = 'true'\ndeps = ['never']\n",
    );
    sandbox.fifo("begun");
    sandbox
}

/// Starts a run and returns once its stage has started, with the stage's process id.
fn start(sandbox: &Sandbox) -> (Child, Pid) {
    begun(sandbox, sandbox.command(&["run"]))
}

fn begun(sandbox: &Sandbox, mut command: Command) -> (Child, Pid) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(sandbox.read_fifo("begun"), "begun\n");
    let stage = Pid::from_raw(sandbox.read("pid").trim().parse().unwrap()).unwrap();
    (child, stage)
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

#[test]
fn interrupt_stops_stages() {
    let sandbox = waiting();
    let (child, stage) = start(&sandbox);
    kill_process(pid(&child), Signal::INT).unwrap();
    let done = sandbox.done(deadline::wait(child));
    assert_eq!(done.code, 130, "{done}");
    assert!(is_gone(stage));
    let runs = sandbox.ok(&["runs", "list"]);
    assert!(runs.stdout.contains("interrupted"), "{runs}");
    // The stage that had finished does not run again.
    let status = sandbox.ok(&["status"]);
    assert!(status.stdout.contains("1 stage up to date"), "{status}");
}

#[test]
fn recovery_after_kill_9() {
    let sandbox = waiting();
    let (mut child, stage) = start(&sandbox);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !is_gone(stage),
        "the stage should outlive its killed engine, or this test shows nothing"
    );
    sandbox.edit(
        "pipeline.toml",
        "echo $$ > pid; echo begun > begun; exec sleep 600",
        "touch never",
    );
    let done = sandbox.ok(&["run"]);
    assert!(is_gone(stage), "{done}");
    assert!(done.stderr.contains("ended processes of stage `wait`"), "{done}");
    let runs = sandbox.ok(&["runs", "list"]);
    assert!(runs.stdout.contains("interrupted"), "{runs}");
    let show = sandbox.ok(&["runs", "show", "run-2"]);
    assert!(
        show.stdout.contains("first  up to date"),
        "the first stage was done before the kill: {show}"
    );
}

#[test]
fn second_run_is_refused() {
    let sandbox = waiting();
    let (child, _) = start(&sandbox);
    let second = sandbox.repro(&["run"]);
    assert_eq!(second.code, 3, "{second}");
    assert!(second.stderr.contains(&format!("pid {}", child.id())), "{second}");
    kill_process(pid(&child), Signal::TERM).unwrap();
    assert_eq!(deadline::wait(child).status.code(), Some(130));
}

#[test]
fn checkout_kills_orphans() {
    let sandbox = waiting();
    sandbox.ok(&["run", "first"]);
    let (mut child, stage) = start(&sandbox);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !is_gone(stage),
        "the stage should outlive its killed engine, or this test shows nothing"
    );
    let done = sandbox.ok(&["checkout"]);
    assert!(is_gone(stage), "{done}");
    assert!(done.stderr.contains("ended processes of stage `wait`"), "{done}");
}

#[test]
fn ignored_sighup_keeps_running() {
    let sandbox = waiting();
    sandbox.edit("pipeline.toml", "exec sleep 600", "read go < begun; touch never");
    let repro = sandbox.command(&[]);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "trap '' HUP; exec \"$0\" run"])
        .arg(repro.get_program())
        .current_dir(sandbox.root());
    let (child, _) = begun(&sandbox, command);
    kill_process(pid(&child), Signal::HUP).unwrap();
    let fifo = sandbox.path("begun");
    deadline::within(move || std::fs::write(fifo, "go\n").unwrap());
    let done = sandbox.done(deadline::wait(child));
    assert_eq!(done.code, 0, "{done}");
    assert!(sandbox.exists("never"));
}

#[test]
fn suspended_stage_is_reported() {
    for (cmd, warning) in [
        (
            "kill -TTIN $$",
            "s: warning: is suspended: it waits for the terminal, which a stage does not have",
        ),
        ("kill -STOP $$", "s: warning: is suspended by signal 19; `kill -CONT` resumes it"),
    ] {
        let trap = r#"trap "touch ended; exit 1" TERM"#;
        let sandbox = Sandbox::with(&format!("[stages.s]\ncmd = '{trap}; {cmd}; sleep 600'\n"));
        let mut child = sandbox.command(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = deadline::lines(child.stderr.take().unwrap());
        assert!(lines.any(|line| line == warning), "{warning}");
        // The stage receives SIGTERM although it is suspended.
        kill_process(pid(&child), Signal::INT).unwrap();
        assert!(lines.any(|line| line.contains("interrupted")));
        assert_eq!(deadline::wait(child).status.code(), Some(130));
        assert!(sandbox.exists("ended"), "{cmd}");
    }
}

#[test]
fn interrupt_during_hashing() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'true'\ndeps = ['large']\n");
    // A sparse file of 32 GiB, which takes much longer to read than this test may take.
    std::fs::File::create(sandbox.path("large")).unwrap().set_len(1 << 35).unwrap();
    let child = sandbox.command(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let caught = move || {
        let status = std::fs::read_to_string(&status).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
        u64::from_str_radix(mask, 16).unwrap() >> 1 & 1 == 1
    };
    deadline::within(move || {
        while !caught() {
            std::thread::yield_now();
        }
    });
    kill_process(pid(&child), Signal::INT).unwrap();
    let done = sandbox.done(deadline::wait(child));
    snapshot!(done, @"
    exit 130
    --- stderr
    stopping… (press Ctrl-C again to stop at once)
    interrupted before any stage started (1 stage, [time])
    ");
}

/// The way in which work on items is cut short.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Interrupt,
    KillRepro,
    KillProcess,
}

/// Cuts a run short, and checks that no process is left after the next run.
fn cut(sandbox: &Sandbox, mut child: Child, stages: &[Pid], how: Cut) {
    match how {
        Cut::Interrupt => kill_process(pid(&child), Signal::INT).unwrap(),
        Cut::KillRepro => child.kill().unwrap(),
        Cut::KillProcess => {
            stages.iter().for_each(|stage| kill_process(*stage, Signal::KILL).unwrap());
        }
    }
    let code = deadline::wait(child).status.code();
    match how {
        Cut::Interrupt => assert_eq!(code, Some(130)),
        Cut::KillProcess => assert_eq!(code, Some(1)),
        Cut::KillRepro => {
            assert!(
                stages.iter().all(|stage| !is_gone(*stage)),
                "they should outlive their killed engine"
            );
        }
    }
    sandbox.remove("wait");
    sandbox.ran();
    sandbox.ok(&["run", "-j1"]);
    assert!(stages.iter().all(|stage| is_gone(*stage)), "{how:?}");
}

#[test]
fn cut_batch_keeps_finished_items() {
    for how in [Cut::Interrupt, Cut::KillRepro, Cut::KillProcess] {
        let sandbox = Sandbox::with(
            "[stages.up]\neach = 'in/*'\ncmd = 'sh up.sh'\ndeps = ['up.sh']\n\
             outs = ['up/{{ item.name }}']\n",
        );
        sandbox.write(
            "up.sh",
            r#"
            sed 's/.*"item":"in\/\([^"]*\)".*/\1/' "$REPRO_ITEMS" | while read -r item; do
              cp in/$item up/$item
              echo $item >> ran
              if [ -e wait ] && [ $item = b ]; then sh -c 'echo $PPID > pid'; fi
              echo "{\"item\":\"in/$item\"}" >> "$REPRO_EVENTS"
              if [ -e wait ] && [ $item = b ]; then exec sleep 600; fi
            done
            "#,
        );
        for item in ["a", "b", "c", "d"] {
            sandbox.write(&format!("in/{item}"), item);
        }
        sandbox.write("wait", "");
        let mut child = sandbox.command(&["run", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = deadline::lines(child.stdout.take().unwrap());
        assert!(lines.any(|line| line.contains(r#""done":2"#)), "{how:?}");
        let stage = Pid::from_raw(sandbox.read("pid").trim().parse().unwrap()).unwrap();
        cut(&sandbox, child, &[stage], how);
        assert_eq!(sandbox.ran(), ["c", "d"], "{how:?}");
        assert_eq!(crate::sandbox::files(&sandbox.path("up")), ["a", "b", "c", "d"]);
    }
}

#[test]
fn cut_processes_keep_finished_items() {
    for how in [Cut::Interrupt, Cut::KillRepro, Cut::KillProcess] {
        let sandbox = Sandbox::with(
            r#"
[stages.up]
each = "in/*"
cmd = """[ ! -e wait ] || [ ! -e begun-{{ item.name }} ] || { echo $$ > begun-{{ item.name }}; exec sleep 600; }; \
  cp {{ item.path }} up/; echo {{ item.name }} >> ran"""
outs = ["up/{{ item.name }}"]
"#,
        );
        for item in ["a", "b", "c", "d", "e"] {
            sandbox.write(&format!("in/{item}"), item);
        }
        sandbox.write("wait", "");
        sandbox.fifo("begun-c");
        sandbox.fifo("begun-d");
        let child = sandbox.command(&["run", "-j2"]).stderr(Stdio::piped()).spawn().unwrap();
        // `c` and `d` have begun, so `a` and `b` are done.
        let stages = ["begun-c", "begun-d"]
            .map(|name| Pid::from_raw(sandbox.read_fifo(name).trim().parse().unwrap()).unwrap());
        cut(&sandbox, child, &stages, how);
        assert_eq!(sandbox.ran(), ["c", "d", "e"], "{how:?}");
    }
}
