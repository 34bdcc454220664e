//! Processes of a stage that leave its process group, close its stdin or lose their parent: none
//! works on beside the next run.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Sandbox, is_gone, untested};

/// Ways to start `work.sh` that drop the stage's stdin, its process group or its environment.
const STARTS: [&str; 9] = [
    "exec sh work.sh < in.txt",
    "exec 0<&-; sh work.sh",
    "exec sh work.sh 0<&- 3<&- 4<&-",
    "sh work.sh & wait",
    "setsid -w sh work.sh < /dev/null",
    "setsid sh work.sh < /dev/null & sleep 600",
    "(setsid sh -c 'sh work.sh & exit' < /dev/null &); sleep 600",
    "exec env -i PATH=\"$PATH\" sh work.sh < /dev/null",
    "env -i PATH=\"$PATH\" setsid -w sh work.sh < /dev/null; true",
];

/// A project with a script that reports its process id, then works on for ever.
fn project(pipeline: &str) -> Sandbox {
    let sandbox = Sandbox::with(pipeline);
    sandbox.write("in.txt", "x\n");
    sandbox.write("work.sh", "echo $$ > pid; echo begun > begun; exec sleep 600");
    sandbox.fifo("begun");
    sandbox
}

/// Waits until `work.sh` runs, and returns its process id.
fn worker(sandbox: &Sandbox) -> Pid {
    assert_eq!(sandbox.read_fifo("begun"), "begun\n");
    Pid::from_raw(sandbox.read("pid").trim().parse().unwrap()).unwrap()
}

fn has_setsid() -> bool {
    let has = std::process::Command::new("setsid").args(["-w", "true"]).status();
    let has = has.is_ok_and(|status| status.success());
    if !has {
        untested("there is no `setsid -w`");
    }
    has
}

/// Kills `repro` while `work.sh` runs, edits the pipeline by `finish`, and runs it again.
fn killed_and_run_again(sandbox: &Sandbox, finish: impl FnOnce(&Sandbox), what: &str) {
    let mut repro = sandbox.command(&["run"]).stderr(Stdio::null()).spawn().unwrap();
    let pid = worker(sandbox);
    repro.kill().unwrap();
    repro.wait().unwrap();
    assert!(!is_gone(pid), "it should outlive its killed engine: {what}");
    finish(sandbox);
    let done = sandbox.ok(&["run"]);
    assert!(is_gone(pid), "{what}\n{done}");
    assert!(done.stderr.contains("ended processes of stage `s"), "{what}\n{done}");
    let left = std::fs::read_dir(sandbox.path("cache/tmp/running")).unwrap().count();
    assert_eq!(left, 0, "{what}");
}

#[test]
fn orphan_without_its_stdin() {
    if !has_setsid() {
        return;
    }
    for start in STARTS {
        let sandbox = project(&format!("[stages.s]\ncmd = '''{start}'''\nouts = ['o']\n"));
        killed_and_run_again(
            &sandbox,
            |sandbox| sandbox.edit("pipeline.toml", start, "touch o"),
            start,
        );
    }
}

#[test]
fn orphaned_item() {
    let start = "exec sh work.sh < {{ item.path }}";
    let sandbox = project(&format!(
        "[stages.s]\neach = 'in.*'\ncmd = '''{start}'''\nouts = ['o/{{{{ item.name }}}}']\n"
    ));
    let finish = |sandbox: &Sandbox| sandbox.edit("pipeline.toml", start, "cp {{ item.path }} o");
    killed_and_run_again(&sandbox, finish, start);
}

#[test]
fn session_ends_with_failed_stage() {
    if !has_setsid() {
        return;
    }
    let background = "setsid sh work.sh < /dev/null & cat begun > /dev/null";
    for (cmd, options) in [
        (format!("{background}; exit 1"), ""),
        // It exits with code 0 without its out.
        (format!("{background}; true"), ""),
        ("setsid -w sh work.sh < /dev/null".to_owned(), "timeout = '1s'\n"),
    ] {
        let sandbox = project(&format!("[stages.s]\ncmd = '''{cmd}'''\nouts = ['o']\n{options}"));
        let repro = sandbox.command(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
        if !options.is_empty() {
            worker(&sandbox);
        }
        let done = sandbox.done(deadline::wait(repro));
        assert_eq!(done.code, 1, "{cmd}\n{done}");
        let pid = Pid::from_raw(sandbox.read("pid").trim().parse().unwrap()).unwrap();
        assert!(is_gone(pid), "{cmd}\n{done}");
    }
}

#[test]
fn session_ends_on_interrupt() {
    if !has_setsid() {
        return;
    }
    let sandbox = project(
        "[stages.s]\ncmd = 'setsid sh work.sh < /dev/null & exec sleep 600'\nouts = ['o']\n",
    );
    let repro = sandbox.command(&["run"]).stderr(Stdio::null()).spawn().unwrap();
    let pid = worker(&sandbox);
    kill_process(Pid::from_child(&repro), Signal::INT).unwrap();
    assert_eq!(deadline::wait(repro).status.code(), Some(130));
    assert!(is_gone(pid));
}

#[test]
fn retry_ends_background_jobs() {
    let sandbox = project(
        "[stages.s]\nretries = 1\nouts = ['o']\n\
         cmd = '''if [ -e pid ]; then touch o; else sh work.sh & cat begun > /dev/null; fi'''\n",
    );
    let done = sandbox.ok(&["run"]);
    let pid = Pid::from_raw(sandbox.read("pid").trim().parse().unwrap()).unwrap();
    assert!(is_gone(pid), "{done}");
}

#[test]
fn background_job_of_succeeded_stage() {
    let sandbox = project(
        "[stages.s]\ncmd = 'sh work.sh & cat begun > /dev/null; touch o'\nouts = ['o']\n\
         [stages.t]\ncmd = 'false'\ndeps = ['o']\n",
    );
    // It outlives the run, a failure of another stage, and the next run.
    assert_eq!(sandbox.repro(&["run"]).code, 1);
    assert_eq!(sandbox.repro(&["run"]).code, 1);
    let pid = Pid::from_raw(sandbox.read("pid").trim().parse().unwrap()).unwrap();
    assert!(!is_gone(pid));
    kill_process(pid, Signal::KILL).unwrap();
}
