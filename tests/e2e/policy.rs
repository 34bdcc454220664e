//! Options of a stage and of a run: frozen, always, persistent and uncached outs, tokens, retries,
//! timeouts, shells, selections.

use std::process::Stdio;

use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn frozen_stage_never_runs() {
    let sandbox = Sandbox::with(
        r#"
[params]
n = 1

[stages.slow]
cmd = "echo {{ params.n }} > slow.txt; echo slow >> ran"
outs = ["slow.txt"]

[stages.next]
cmd = "cat slow.txt > next.txt; echo next >> ran"
deps = ["slow.txt"]
outs = ["next.txt"]
"#,
    );
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.edit("pipeline.toml", "outs = [\"slow.txt\"]", "outs = [\"slow.txt\"]\nfrozen = true");
    sandbox.edit("pipeline.toml", "n = 1", "n = 2");
    sandbox.ok(&["run"]);
    sandbox.ok(&["run", "-f"]);
    assert_eq!(sandbox.ran(), ["next"]);
    assert_eq!(sandbox.read("slow.txt"), "1\n");
    // Without a lock, the trace in the cache is used, forced or not.
    sandbox.edit("pipeline.toml", "n = 2", "n = 1");
    sandbox.remove("pipeline.lock");
    sandbox.ok(&["run", "-f", "slow"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    sandbox.ok(&["run"]);
    sandbox.edit("pipeline.toml", "n = 1", "n = 2");
    sandbox.remove("slow.txt");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("slow.txt"), "1\n");
    sandbox.remove("slow.txt");
    sandbox.remove("cache");
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    run-4: started
    slow: failed: cannot be checked: stage `slow` is frozen, and the cache does not have its outs: out slow.txt is missing
    next: skipped: needs slow
    error: stage `slow` failed: cannot be checked: stage `slow` is frozen, and the cache does not have its outs: out slow.txt is missing
     hint: remove `frozen` from stage `slow` (pipeline.toml:5) and run it once

    ✗ slow failed
    ⊘ next skipped

    ✗ run-4 failed after [time]: 1 failed, 1 skipped
    ");
}

#[test]
fn always_stage_with_same_outs() {
    let sandbox = Sandbox::with(
        r#"
[stages.poll]
always = true
cmd = "cat source > poll.txt; echo poll >> ran"
outs = ["poll.txt"]

[stages.next]
cmd = "cat poll.txt > next.txt; echo next >> ran"
deps = ["poll.txt"]
outs = ["next.txt"]
"#,
    );
    sandbox.write("source", "1");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["poll", "next"]);
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    poll is out of date: always runs
    next waits for poll
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["poll"]);
    sandbox.write("source", "2");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["poll", "next"]);
}

#[test]
fn persist_and_uncached_outs() {
    let sandbox = Sandbox::with(
        r#"
[params]
n = 1

[stages.a]
cmd = "echo {{ params.n }} >> history.txt; echo big > big.bin; echo a >> ran"
outs = [{ path = "history.txt", persist = true }, { path = "big.bin", cache = false }]
"#,
    );
    sandbox.ok(&["run"]);
    sandbox.edit("pipeline.toml", "n = 1", "n = 2");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("history.txt"), "1\n2\n");
    assert_eq!(sandbox.ran().len(), 2);
    // The cached out is restored while the uncached one still exists.
    sandbox.remove("history.txt");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("history.txt"), "1\n2\n");
    assert_eq!(sandbox.ran(), [""; 0]);
    sandbox.remove("history.txt");
    sandbox.remove("big.bin");
    // `checkout` restores the cached out only.
    sandbox.ok(&["checkout"]);
    assert!(sandbox.exists("history.txt") && !sandbox.exists("big.bin"));
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    a is out of date: out big.bin is missing
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["a"]);
}

#[test]
fn token_serializes_stages() {
    let mut text = "[tokens]\ndisk = 1\n".to_owned();
    for name in ["a", "b", "c", "d"] {
        text += &format!(
            "[stages.{name}]\nuses = ['disk']\n\
             cmd = 'mkdir busy && sleep 0.05 && rmdir busy && touch {name}.out'\n\
             outs = ['{name}.out']\n"
        );
    }
    let sandbox = Sandbox::with(&text);
    sandbox.ok(&["run", "-j4"]);
}

#[test]
fn invalid_policy_values() {
    let sandbox = Sandbox::with(
        r#"
[tokens]
gpu = 1

[stages.a]
cmd = "true"
uses = ["gpus", "gpu", "gpu"]
resources = { cpus = 0, mem = "4 apples", time = "soon" }
timeout = "1y"
retries = -1
shell = 3
outs = [{ pth = "x" }, { path = "y", cache = "no" }]
deps = ["a[b"]
frozen = true
always = true
"#,
    );
    snapshot!(sandbox.repro(&["status"]), @r#"
    exit 2
    --- stderr
    error: pipeline.toml:7: stage `a` uses token `gpu` 2 times, but its count is 1
    error: pipeline.toml:7: stage `a` uses token `gpus`, which is not declared
     hint: did you mean `gpu`?
    error: pipeline.toml:8: `cpus` of stage `a` must be an integer from 1 to 4096, not 0
    error: pipeline.toml:8: `mem` of stage `a` must be a size such as "512M" or "4G"
    error: pipeline.toml:8: `time` of stage `a` must be a duration such as "[time]", "30m", "2h" or "1d"
    error: pipeline.toml:9: `timeout` of stage `a` must be a duration such as "[time]", "30m", "2h" or "1d"
    error: pipeline.toml:10: `retries` of stage `a` must be an integer from 0 to 1000, not -1
    error: pipeline.toml:11: `shell` of stage `a` must be a list of strings, not an integer
    error: pipeline.toml:12: `cache` of an entry of `outs` of stage `a` must be true or false, not a string
    error: pipeline.toml:12: an entry of `outs` of stage `a` has no `path`
    error: pipeline.toml:12: unknown key `pth` in an entry of `outs` of stage `a`
     hint: did you mean `path`?
    error: pipeline.toml:13: dep `a[b` of stage `a` is not a valid glob: `[` without `]` (write a literal `[` as `[[]`)
    error: pipeline.toml:15: stage `a` is both `frozen` and `always`
    "#);
}

#[test]
fn failed_command_is_retried() {
    let sandbox = Sandbox::with(
        r#"
[stages.flaky]
cmd = "echo try >> tries; echo attempt; test $(wc -l < tries) -ge 3 && echo ok > flaky.txt"
retries = { count = 3, delay = 1 }
outs = ["flaky.txt"]

[stages.hopeless]
cmd = "echo half > hopeless.txt; false"
retries = 1
outs = ["hopeless.txt"]
"#,
    );
    snapshot!(sandbox.ok(&["run", "flaky"]), @"
    exit 0
    --- stderr
    run-1: started
    flaky: started (never ran)
    flaky | attempt
    flaky: warning: exited with code 1; it will be retried up to 3 more times, after [time]
    flaky | attempt
    flaky: warning: exited with code 1; it will be retried up to 2 more times, after [time]
    flaky | attempt
    flaky: ran in [time]

     flaky.txt by flaky

    ✓ run-1 done in [time]: 1 ran
    ");
    assert_eq!(sandbox.read("tries").lines().count(), 3);
    assert!(sandbox.exists("runs/run-1/flaky/log.2"));
    snapshot!(sandbox.repro(&["run", "hopeless"]), @"
    exit 1
    --- stderr
    run-2: started
    hopeless: started (never ran)
    hopeless: warning: exited with code 1; it will be retried once more, after [time]
    hopeless: failed after [time]: exited with code 1
    error: stage `hopeless` failed after [time]: exited with code 1

    ✗ run-2 failed after [time]: 1 failed
    ");
}

#[test]
fn timeout_ends_command() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'sleep 600'\ntimeout = 1\nouts = ['a']\n");
    snapshot!(sandbox.repro(&["run"]), @"
    exit 1
    --- stderr
    run-1: started
    a: started (never ran)
    a: failed after [time]: took longer than its timeout of [time]
    error: stage `a` failed after [time]: took longer than its timeout of [time]
     hint: `timeout` is set in stage `a` (pipeline.toml:1)

    ✗ run-1 failed after [time]: 1 failed
    ");
}

/// Nothing reads the display until the stage's process has received SIGTERM.
#[test]
fn timeout_with_blocked_display() {
    let sandbox = Sandbox::with(
        r#"
[stages.a]
cmd = """trap 'echo ended > ended; exit 1' TERM; yes line | head -c 3000000; \
  while :; do sleep 0.01; done"""
timeout = "1s"
"#,
    );
    sandbox.fifo("ended");
    let run = sandbox.command(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
    let ended = sandbox.read_fifo("ended");
    let done = sandbox.done(deadline::wait(run));
    assert_eq!(ended, "ended\n");
    assert!(done.stderr.contains("took longer than its timeout of 1.0s"), "no timeout");
    assert_eq!(done.code, 1);
}

#[test]
fn stage_shell() {
    let sandbox = Sandbox::with(
        "[stages.a]\nshell = 'bash -euo pipefail -c'\ncmd = 'false | cat > a.txt'\n\
         outs = ['a.txt']\n",
    );
    snapshot!(sandbox.repro(&["run"]), @"
    exit 1
    --- stderr
    run-1: started
    a: started (never ran)
    a: failed after [time]: exited with code 1
    error: stage `a` failed after [time]: exited with code 1

    ✗ run-1 failed after [time]: 1 failed
    ");
    sandbox.edit("pipeline.toml", "bash -euo pipefail -c", "bash -c");
    sandbox.ok(&["run"]);
}

#[test]
fn only_and_downstream() {
    let mut text = String::new();
    for (name, dep) in [("a", "src"), ("b", "a.out"), ("c", "b.out"), ("d", "src")] {
        text += &format!(
            "[stages.{name}]\ncmd = 'cat {dep} > {name}.out; echo {name} >> ran'\n\
             deps = ['{dep}']\nouts = ['{name}.out']\n"
        );
    }
    let sandbox = Sandbox::with(&text);
    sandbox.write("src", "1");
    sandbox.ok(&["run", "--downstream", "b"]);
    assert_eq!(sandbox.ran(), ["a", "b", "c"]);
    sandbox.write("src", "2");
    sandbox.ok(&["run", "--only", "c"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    sandbox.ok(&["run", "--only", "a"]);
    assert_eq!(sandbox.ran(), ["a"]);
    snapshot!(sandbox.repro(&["run", "b", "-f=d"]), @"
    exit 2
    --- stderr
    error: cannot force stage `d`: it is not selected
     hint: also name it as a stage to run, or name no stages
    ");
    snapshot!(sandbox.repro(&["run", "--only"]), @"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
     <STAGE>...

    Usage: repro run --only <STAGE>...

    For more information, try '--help'.
    ");
}

#[test]
fn folder_of_restored_out_predicted() {
    let sandbox = Sandbox::with(
        r#"
[params]
n = 1

[stages.part]
cmd = "echo {{ params.n }} > data/part.txt; echo part >> ran"
outs = ["data/part.txt"]

[stages.all]
cmd = "cat data/* > all.txt; echo all >> ran"
deps = ["data"]
outs = ["all.txt"]
"#,
    );
    sandbox.write("data/mine.txt", "mine");
    sandbox.ok(&["run"]);
    sandbox.edit("pipeline.toml", "n = 1", "n = 2");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["part", "all", "part", "all"]);
    sandbox.edit("pipeline.toml", "n = 2", "n = 1");
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    part can be restored from the cache: cmd `echo 2 > data/part.txt; echo part >> ran` → `echo 1 > data/part.txt; echo part >> ran`
    all can be restored from the cache: dep data changed
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    // `data` now holds nothing but the out that will be restored.
    sandbox.remove("data");
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    part can be restored from the cache: out data/part.txt is missing
    all is out of date: dep data changed
    ");
}

#[test]
fn older_lock_restores_its_outs() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'date +%s%N > a.txt'\nouts = ['a.txt']\n");
    sandbox.ok(&["run"]);
    let (lock, first) = (sandbox.read("pipeline.lock"), sandbox.read("a.txt"));
    sandbox.ok(&["run", "-f"]);
    assert_ne!(sandbox.read("a.txt"), first);
    sandbox.write("pipeline.lock", lock);
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("a.txt"), first);
}
