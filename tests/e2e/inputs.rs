//! Dependencies other than plain files: globs, variables, tools, tracked inputs.

use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn glob_dep_is_match_set() {
    let sandbox = Sandbox::with(
        r#"
[stages.count]
cmd = "ls src/*.txt | wc -l > count.txt; echo count >> ran"
deps = ["src/**/*.txt"]
outs = ["count.txt"]
"#,
    );
    sandbox.write("src/a.txt", "a");
    sandbox.write("src/x/b.txt", "b");
    sandbox.write("src/c.md", "c");
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.write("src/c.md", "other");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    sandbox.write("src/x/d.txt", "d");
    sandbox.remove("src/a.txt");
    sandbox.write("src/x/b.txt", "changed");
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    count is out of date: file src/a.txt removed, file src/x/b.txt changed, file src/x/d.txt added
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["count"]);
    sandbox.remove("src/x");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stdout
    count cannot be checked: dep `src/**/*.txt` of stage `count` matches nothing
     hint: correct the pattern at pipeline.toml:4, or create files that it matches
    ");
}

#[test]
fn root_glob_ignores_cache() {
    let sandbox = Sandbox::with(
        "[stages.all]\ncmd = 'cat *.py > all.txt; echo all >> ran'\ndeps = ['**/*.py']\n\
         outs = ['all.txt']\n",
    );
    sandbox.write("a.py", "a");
    sandbox.write("cache/x.py", "x");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["all"]);
    sandbox.write("cache/x.py", "y");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    sandbox.write("b/c.py", "c");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["all"]);
}

#[test]
fn glob_dep_orders_stages() {
    let sandbox = Sandbox::with(
        r#"
[stages.b]
cmd = "cat parts/*/x.txt > all.txt"
deps = ["parts/*/x.txt"]
outs = ["all.txt"]

[stages.a]
cmd = "mkdir -p parts/one; echo one > parts/one/x.txt; echo z > parts/one/z.txt"
outs = ["parts"]
"#,
    );
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("all.txt"), "one\n");
    // An out that will be restored matches the glob, too.
    sandbox.remove("parts");
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    a can be restored from the cache: out parts is missing
    1 stage up to date
    ");
    sandbox.ok(&["run"]);
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    everything is up to date (2 stages)
    ");
}

#[test]
fn env_deps_and_tools() {
    let sandbox = Sandbox::with(
        r#"
[stages.a]
cmd = "echo $MODE > a.txt; echo a >> ran"
env_deps = ["MODE"]
tools = ["cat version"]
outs = ["a.txt"]
"#,
    );
    sandbox.write("version", "tool 1.0\n");
    sandbox.ok(&["run"]);
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["a"]);
    sandbox.write("version", "tool 1.1\n");
    snapshot!(sandbox.finish(sandbox.command(&["status"]).env("MODE", "fast")), @r#"
    exit 0
    --- stdout
    a is out of date: env MODE - → "fast", tool `cat version` "tool 1.0" → "tool 1.1"
    "#);
    sandbox.remove("version");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stdout
    a cannot be checked: `cat version`, which it depends on, exited with code 1: cat: version: No such file or directory
     hint: `tools` of stage `a` (pipeline.toml:2) takes installed commands that print a version
    ");
}

#[test]
fn tool_built_by_other_stage() {
    let sandbox = Sandbox::with(
        r#"
[stages.build]
cmd = "cp src tool; chmod +x tool"
deps = ["src"]
outs = ["tool"]

[stages.use]
cmd = "./tool > out.txt"
deps = ["tool"]
tools = ["./tool"]
outs = ["out.txt"]
"#,
    );
    sandbox.write("src", "echo 1\n");
    sandbox.ok(&["run"]);
    sandbox.remove("tool");
    sandbox.write("src", "echo 2\n");
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    build is out of date: dep src changed
    use waits for build
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("out.txt"), "2\n");
}

#[test]
fn tracked_input() {
    let sandbox = Sandbox::with(
        r#"
[stages.raw]
desc = "Measured by hand"
outs = ["raw"]

[stages.sum]
cmd = "cat raw/* > sum.txt; echo sum >> ran"
deps = ["raw"]
outs = ["sum.txt"]
"#,
    );
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    run-1: started
    raw: failed: cannot be checked: the input tracked by stage `raw` is unavailable: out raw is missing
    sum: skipped: needs raw
    error: stage `raw` failed: cannot be checked: the input tracked by stage `raw` is unavailable: out raw is missing
     hint: put the file in place, or remove the stage from pipeline.toml

    ✗ raw failed
    ⊘ sum skipped

    ✗ run-1 failed after [time]: 1 failed, 1 skipped
    ");
    sandbox.write("raw/a", "1\n");
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    raw is out of date: never ran
    sum is out of date: never ran; waits for raw
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["sum"]);
    snapshot!(sandbox.ok(&["run"]), @"
    exit 0
    --- stderr
    everything is up to date (2 stages, [time])
    ");
    // After an edit, the run updates the lock.
    sandbox.write("raw/a", "2\n");
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    raw is out of date: input raw changed
    sum waits for raw
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["sum"]);
    // After a loss, the input is restored from the cache.
    sandbox.remove("raw");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("raw/a"), "2\n");
    assert_eq!(sandbox.ran(), [""; 0]);
}

#[test]
fn tracked_input_edited_while_waiting() {
    // Stage `edit` plays a user who edits the input during the run. With one processor, `raw` waits
    // for `edit`, unless `raw` comes first.
    let sandbox = Sandbox::with(
        r#"
[stages.edit]
cmd = "head -n1 to > raw/a; cp to edited"
deps = ["to"]
outs = ["edited"]

[stages.raw]
outs = ["raw"]

[stages.sum]
cmd = "cat raw/a > sum.txt"
deps = ["raw", "edited"]
outs = ["sum.txt"]
"#,
    );
    sandbox.write("raw/a", "one\n");
    // In the third round, the cache already holds the edited content.
    for (round, to) in ["two\n", "three\n", "two\n"].into_iter().enumerate() {
        sandbox.write("to", format!("{to}{round}"));
        sandbox.write("raw/b", to);
        sandbox.ok(&["run", "-j1"]);
        assert_eq!(sandbox.read("sum.txt"), to);
        // If the input was observed and stored before the edit, the next run notices the edit.
        sandbox.ok(&["run", "-j1"]);
        sandbox.ok(&["status", "--check"]);
    }
}

#[test]
fn stage_without_cmd() {
    let sandbox =
        Sandbox::with("[stages.raw]\ndeps = ['x']\nouts = ['raw']\n\n[stages.none]\ndesc = 'x'\n");
    snapshot!(sandbox.repro(&["status"]), @r#"
    exit 2
    --- stderr
    error: pipeline.toml:1: stage `raw` has `deps` but no `cmd`
     hint: add cmd = "…"; a tracked input can only have `outs`, `desc` and `frozen`
    error: pipeline.toml:2: stage `raw` depends on `x`, which does not exist and is not an out of any stage
     hint: create it, or correct the path
    error: pipeline.toml:5: stage `none` has no `cmd`
     hint: add cmd = "…"
    "#);
}
