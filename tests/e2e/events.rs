//! The whole event stream of `run --json`, as `docs/reference/events.md` specifies it.

use serde_json::Value;

use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

const PIPELINE: &str = r#"
[params]
n = 1

[stages.a]
cmd = '''
echo to stdout
printf '%s\n' '{"progress": 1, "total": 2}' '{"metric": "loss", "step": 3, "value": 0.5}' '{"artifact": "notes.txt"}' nonsense >> $REPRO_EVENTS
echo '{"lines": {{ params.n }}}' > a.json
'''
params = ["n"]
metrics = ["a.json"]

[stages.b]
cmd = "exit 7"
deps = ["a.json"]
outs = ["b"]

[stages.c]
cmd = "true"
deps = ["b"]
"#;

/// Renders one event per line, its name first, with times masked; leaves out what depends on the
/// machine.
fn golden(done: &Done) -> String {
    let line = |line: &str| {
        let mut event: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        for key in ["at", "took"] {
            if let Some(value) = event.get_mut(key) {
                assert!(value.is_u64(), "{line}");
                *value = "[time]".into();
            }
        }
        if let Some(usage) = event.get_mut("usage") {
            assert!(usage["cpu"].is_u64(), "{line}");
            usage["cpu"] = "[time]".into();
        }
        if let Some(about) = event.get_mut("about").and_then(Value::as_object_mut) {
            assert!(about["command"].is_array() && about["host"].is_string());
            assert_eq!(about["uid"].as_str().unwrap().len(), 32);
            about.retain(|key, _| !matches!(key.as_str(), "command" | "host" | "uid" | "user"));
        }
        let name = event.remove("event").unwrap();
        format!("{} {}", name.as_str().unwrap(), Value::Object(event))
    };
    done.stdout.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn event_stream_of_failed_run() {
    let sandbox = Sandbox::with(PIPELINE);
    let done = sandbox.repro(&["run", "--json", "-p", "n=2"]);
    assert_eq!((done.code, done.stderr.as_str()), (1, ""));
    // Log lines and reported events come through two files, with no order between the two.
    let mut lines: Vec<String> = golden(&done).lines().map(str::to_owned).collect();
    let begin = lines.iter().position(|line| line.starts_with("stage_started")).unwrap() + 1;
    let end = lines.iter().position(|line| line.starts_with("stage_ended")).unwrap();
    lines[begin..end].sort();
    snapshot!(lines.join("\n"), @r#"
    stream_started {"version":1}
    run_started {"about":{"experiment":"default","fresh":0,"git":null,"kind":"pipeline","name":null,"overridden":["n"],"overrides":["n=2"],"params":{"n":2},"parent":null,"pipeline":null},"at":"[time]","run":"run-1"}
    stage_started {"at":"[time]","reasons":[{"change":"never_ran"}],"stage":"a","work":"run"}
    artifact {"path":"notes.txt","stage":"a"}
    line {"stage":"a","text":"to stdout"}
    metric {"at":"[time]","key":"loss","stage":"a","step":3,"value":0.5}
    progress {"done":1,"stage":"a","total":2}
    warning {"stage":"a","text":"wrote a malformed event: nonsense"}
    stage_ended {"at":"[time]","outcome":"ran","outs":{"a.json":"file c4695300100d2d47f3230e3eb71f5a52a70322fe49ee53adccb57cd6d63448b2"},"stage":"a","took":"[time]","usage":{"cpu":"[time]","exit_code":0,"memory":null}}
    stage_started {"at":"[time]","reasons":[{"change":"never_ran"}],"stage":"b","work":"run"}
    stage_ended {"at":"[time]","failure":{"causes":[],"hint":null,"what":"exited with code 7"},"outcome":"failed","outs":{},"stage":"b","took":"[time]","usage":{"cpu":"[time]","exit_code":7,"memory":null}}
    stage_ended {"at":"[time]","because":"b","outcome":"skipped","outs":{},"stage":"c","took":"[time]"}
    final_metrics {"stage":"a","values":{"lines":2.0}}
    run_ended {"at":"[time]","run":"run-1","status":"failed","took":"[time]"}
    "#);
}

#[test]
fn events_of_restored_and_fresh() {
    let sandbox = Sandbox::with(
        "[stages.a]\ncmd = 'echo 1 > a'\nouts = ['a']\n[stages.b]\ncmd = 'cat a > b'\n\
         deps = ['a']\nouts = ['b']\n",
    );
    sandbox.ok(&["run"]);
    sandbox.remove("a");
    snapshot!(golden(&sandbox.ok(&["run", "--json"])), @r#"
    stream_started {"version":1}
    run_started {"about":{"experiment":"default","fresh":0,"git":null,"kind":"pipeline","name":null,"overridden":[],"overrides":[],"params":{},"parent":null,"pipeline":null},"at":"[time]","run":"run-2"}
    stage_started {"at":"[time]","reasons":[{"change":"out_missing","path":"a"}],"stage":"a","work":"restore"}
    stage_ended {"at":"[time]","outcome":"restored","outs":{"a":"file 50cc1102b1c612e6962547aacdcef9a400d4416ef8dd9388e885991853c400c9"},"stage":"a","took":"[time]"}
    stage_ended {"at":"[time]","outcome":"fresh","outs":{"b":"file 50cc1102b1c612e6962547aacdcef9a400d4416ef8dd9388e885991853c400c9"},"stage":"b","took":"[time]"}
    run_ended {"at":"[time]","run":"run-2","status":"ok","took":"[time]"}
    "#);
}

#[test]
fn event_stream_without_work() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'true'\n");
    sandbox.ok(&["run"]);
    snapshot!(golden(&sandbox.ok(&["run", "--json"])), @r#"
    stream_started {"version":1}
    run_ended {"at":"[time]","run":null,"status":"ok","took":"[time]"}
    "#);
}
