//! `repro log`: reports from the command of a stage.

use serde_json::Value;

use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

/// A function `log` for the commands of stages.
const LOG: &str = concat!("log() { '", env!("CARGO_BIN_EXE_repro"), "' log \"$@\"; }");

/// Returns a pipeline with one stage, in the folder `sub`.
fn stage(script: &str) -> Sandbox {
    let sandbox = Sandbox::with(&format!(
        "[stages.s]\nwdir = 'sub'\ncmd = \"\"\"\nset -e\n{LOG}\n{script}\n\"\"\"\n"
    ));
    sandbox.write("sub/a.txt", "a");
    sandbox
}

/// Returns the events of a run that its stage reported.
fn reported(done: &Done) -> Vec<String> {
    let event = |line: &str| {
        let mut event: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        let name = event.remove("event").unwrap();
        event.retain(|key, _| key != "at" && key != "stage");
        let is_reported =
            ["metric", "progress", "artifact", "warning", "line"].contains(&name.as_str().unwrap());
        is_reported.then(|| format!("{} {}", name.as_str().unwrap(), Value::Object(event)))
    };
    done.stdout.lines().filter_map(event).collect()
}

#[test]
fn reports_of_a_stage() {
    let sandbox = stage(
        "log metric loss=0.5 'top 3=1e-3' --step 7\n\
         log metric n=9223372036854775807 max=18446744073709551615 nan=nan inf=-inf\n\
         log progress 3 100\n\
         log artifact a.txt ./../sub",
    );
    let done = sandbox.ok(&["run", "--json"]);
    snapshot!(reported(&done).join("\n"), @r#"
    metric {"key":"loss","step":7,"value":0.5}
    metric {"key":"top 3","step":7,"value":0.001}
    metric {"key":"n","step":0,"value":9223372036854775807}
    metric {"key":"max","step":0,"value":18446744073709551615}
    metric {"key":"nan","step":0,"value":null}
    metric {"key":"inf","step":0,"value":null}
    progress {"done":3,"total":100}
    artifact {"path":"sub/a.txt"}
    artifact {"path":"sub"}
    "#);
}

#[test]
fn reports_outside_a_stage() {
    let sandbox = Sandbox::empty();
    sandbox.write("plot.png", "");
    for (args, expected) in [
        (&["metric", "loss=0.5", "n=3", "--step", "7"][..], "loss = 0.5, step 7"),
        (&["metric", "n=9007199254740993"], "n = 9007199254740993"),
        (&["progress", "3", "100"], "progress 3 of 100"),
        (&["artifact", "plot.png"], "artifact plot.png"),
        (&["item", "in/\u{1b}[31m.wav"], "item in/\\u{1b}[31m.wav"),
    ] {
        let args = [&["log"], args].concat();
        let done = sandbox.ok(&args);
        assert_eq!(done.stdout, "");
        let line = format!("{expected} (not recorded: not in a stage)");
        assert_eq!(done.stderr.lines().next(), Some(&*line), "{args:?}");
    }
}

#[test]
fn mistyped_reports() {
    let sandbox = Sandbox::with("");
    let mut answers = String::new();
    for args in [
        &["metric", "loss"][..],
        &["metric", "accuracy=0.5", "loss=0,41"],
        &["metric", "loss=1", "--step", "-1"],
        &["progress", "0.5", "1"],
        &["artifact", "none.png"],
        &["artifact", "/"],
    ] {
        let args = [&["log"], args].concat();
        let mut command = sandbox.command(&args);
        command.env("REPRO_EVENTS", sandbox.path("events")).env("REPRO_ROOT", sandbox.root());
        let done = sandbox.finish(&mut command);
        assert_eq!(done.code, 2, "{args:?}\n{done}");
        answers += &format!("# {}\n{done}\n", args.join(" "));
    }
    assert!(!sandbox.exists("events"));
    snapshot!(answers, @"
    # log metric loss
    exit 2
    --- stderr
    error: `loss` does not give a metric and its value
     hint: write `KEY=VALUE`, for example `accuracy=0.8`
    # log metric accuracy=0.5 loss=0,41
    exit 2
    --- stderr
    error: `0,41`, the value of `loss`, is not a number
     hint: write `loss=0.41`
    # log metric loss=1 --step -1
    exit 2
    --- stderr
    error: invalid value '-1' for '--step <N>': it is not a whole number from 0

    For more information, try '--help'.
    # log progress 0.5 1
    exit 2
    --- stderr
    error: invalid value '0.5' for '<DONE>': it is not a whole number from 0

    For more information, try '--help'.
    # log artifact none.png
    exit 2
    --- stderr
    error: `none.png` does not exist
     hint: report an artifact after writing it
    # log artifact /
    exit 2
    --- stderr
    error: `/` is not inside the project, `$ROOT`
    ");
}

#[test]
fn unwritable_events_are_warnings() {
    let sandbox = Sandbox::empty();
    sandbox.fifo("fifo");
    for file in ["none/events", "fifo", "."] {
        let mut command = sandbox.command(&["log", "metric", "loss=1"]);
        let done = sandbox.finish(command.env("REPRO_EVENTS", sandbox.path(file)));
        assert_eq!((done.code, &*done.stdout), (0, ""), "{file}");
        let begin = format!("warning: cannot write `$ROOT/{file}`\n  caused by: ");
        assert!(done.stderr.starts_with(&begin), "{done}");
    }
    let mut command = sandbox.command(&["log", "metric", "loss=1"]);
    let done = sandbox.finish(command.env("REPRO_EVENTS", "/dev/null"));
    assert_eq!(done.to_string(), "exit 0");
}

#[test]
fn concurrent_reports_are_whole() {
    let key = "k".repeat(3000);
    let sandbox = stage(&format!(
        "for p in 0 1 2 3; do\n  for step in 0 1 2 3 4 5 6 7; do\n\
         log metric {key}$p=$step {key}$p.b=$step --step $step\ndone &\ndone\nwait"
    ));
    let done = sandbox.ok(&["run", "--json"]);
    let mut reports = reported(&done);
    assert_eq!(reports.len(), 4 * 8 * 2, "{reports:#?}");
    assert!(reports.iter().all(|report| report.starts_with("metric ")), "{reports:#?}");
    reports.sort();
    reports.dedup();
    assert_eq!(reports.len(), 4 * 8 * 2);
}

#[test]
fn items_reported_by_shell() {
    let sandbox = Sandbox::with(&format!(
        "[stages.s]\neach = 'in/*'\nouts = ['out/{{{{ item.name }}}}']\ncmd = \"\"\"\n{LOG}\n\
         cat $REPRO_ITEMS >> ran; cp in/a out/a; log item in/a; exit 1\n\"\"\"\n"
    ));
    sandbox.write("in/a", "a");
    sandbox.write("in/b", "b");
    assert_eq!(sandbox.repro(&["run"]).code, 1);
    assert_eq!(sandbox.ran().len(), 2);
    assert_eq!(sandbox.repro(&["run"]).code, 1);
    assert_eq!(sandbox.ran(), [r#"{"item":"in/b","outs":["out/b"]}"#]);
}
