//! Errors in a pipeline file: all are reported at once, each with its line, and no file changes.

use crate::sandbox::{Sandbox, files};
use crate::snapshot;

#[test]
fn all_errors_reported_at_once() {
    let sandbox = Sandbox::with(
        r#"[pipeline]
nmae = "x"

[params]
epochs = 10
"bad key" = 1
huge = nan

[metrics]
loss = { goal = "least" }

[stages.a]
cmd = "true"
dep = ["x"]
outs = ["out", "../escape", "/abs", "out"]

[stages.b]
cmd = "true {{ params.epohcs }}"
deps = ["dta"]
params = ["epoch", "nothing"]
outs = ["out/inner", "data"]
resources = { cpus = 0 }

[stages."bad name"]
cmd = "true"

[stages.c]
outs = ["data"]
deps = [3]
env = { "a b" = "x", N = 1 }
"#,
    );
    snapshot!(sandbox.repro(&["run"]), @r#"
    exit 2
    --- stderr
    error: pipeline.toml:2: unknown key `nmae` in `[pipeline]`
     hint: did you mean `name`?
    error: pipeline.toml:6: `bad key` is not a valid param name
     hint: use letters, digits, `_` and `-`
    error: pipeline.toml:7: param `huge` must be a finite number
    error: pipeline.toml:10: `goal` of metric `loss` must be "max" or "min"
    error: pipeline.toml:14: unknown key `dep` in stage `a`
     hint: did you mean `deps`?
    error: pipeline.toml:15: out `../escape` of stage `a` leaves the project root
    error: pipeline.toml:15: out `/abs` of stage `a` is absolute: paths are relative to the project root
    error: pipeline.toml:15: out `out` of stage `a` is declared twice
    error: pipeline.toml:18: cannot render `cmd` of stage `b`: there is no `params.epohcs`
     hint: did you mean `params.epochs`?
    error: pipeline.toml:19: stage `b` depends on `dta`, which does not exist and is not an out of any stage
     hint: did you mean `data`, an out of stage `c`?
    error: pipeline.toml:20: stage `b` reads param `epoch`, which does not exist
     hint: did you mean `epochs`?
    error: pipeline.toml:20: stage `b` reads param `nothing`, which does not exist
     hint: declare it under `[params]`
    error: pipeline.toml:21: out `out/inner` of stage `b` is inside `out`, an out of stage `a`
     hint: move one of them to another directory
    error: pipeline.toml:22: `cpus` of stage `b` must be an integer from 1 to 4096
    error: pipeline.toml:24: `bad name` is not a valid stage name
     hint: use up to 100 letters, digits, `_`, `-`, `.` and `@`, not starting with `-` or `.`
    error: pipeline.toml:27: stage `c` has `env` but no `cmd`
     hint: add cmd = "…"; a tracked input can only have `outs`, `desc` and `frozen`
    error: pipeline.toml:28: out `data` of stage `c` is also an out of stage `b`
     hint: an out belongs to one stage; stage `b` is declared on line 17
    error: pipeline.toml:29: `deps` of stage `c` must contain only strings, not an integer
    error: pipeline.toml:30: `a b` is not a valid variable name
     hint: use letters, digits and `_`
    error: pipeline.toml:30: variable `N` of stage `c` must be a string, not an integer
    "#);
    assert_eq!(files(&sandbox.root()), ["pipeline.toml"]);
}

#[test]
fn single_declaration_errors() {
    let cases: &[(&str, &[u8])] = &[
        ("an empty file", b""),
        ("no stage", b"[params]\nx = 1\n"),
        ("no UTF-8", b"[stages.a]\ncmd = 'x'\ndesc = '\xff'\n"),
        ("no TOML", b"[stages.a\ncmd = \n"),
        (
            "a cycle",
            b"[stages.a]\ncmd = 'x'\ndeps = ['b']\nouts = ['a']\n[stages.b]\ncmd = 'x'\n\
            deps = ['a']\nouts = ['b']\n",
        ),
        ("its own out", b"[stages.a]\ncmd = 'x'\ndeps = ['d/x']\nouts = ['d']\n"),
        (
            "a dep that nothing makes",
            b"[stages.a]\ncmd = 'x'\noutS = ['data/spectrograms']\n\
            outs = ['data/spectrograms']\n[stages.b]\ncmd = 'x'\ndeps = ['data/spectrogram']\n",
        ),
        ("stages is no table", b"stages = 3\n"),
        ("a list for a command", b"[stages.a]\ncmd = ['x']\n"),
    ];
    let mut errors = String::new();
    for (what, bytes) in cases {
        let sandbox = Sandbox::with("");
        sandbox.write("pipeline.toml", bytes);
        let done = sandbox.repro(&["run"]);
        assert_eq!(files(&sandbox.root()), ["pipeline.toml"], "{what}");
        errors += &format!("# {what}\n{done}\n");
    }
    snapshot!(errors, @"
    # an empty file
    exit 2
    --- stderr
    error: pipeline.toml:1: no stage is declared
     hint: add a table `[stages.NAME]` with a `cmd`; in an empty directory, `repro init` writes an example
    # no stage
    exit 2
    --- stderr
    error: pipeline.toml:1: no stage is declared
     hint: add a table `[stages.NAME]` with a `cmd`; in an empty directory, `repro init` writes an example
    # no UTF-8
    exit 2
    --- stderr
    error: pipeline.toml:3: is not UTF-8
     hint: save the file as UTF-8
    # no TOML
    exit 2
    --- stderr
    error: pipeline.toml:1: unclosed table, expected `]`
    # a cycle
    exit 2
    --- stderr
    error: pipeline.toml:1: stages form a dependency cycle: `a` needs `b` needs `a`
    # its own out
    exit 2
    --- stderr
    error: pipeline.toml:3: stage `a` depends on its own out `d/x`
     hint: remove the dep or the out
    # a dep that nothing makes
    exit 2
    --- stderr
    error: pipeline.toml:3: unknown key `outS` in stage `a`
     hint: did you mean `outs`?
    error: pipeline.toml:7: stage `b` depends on `data/spectrogram`, which does not exist and is not an out of any stage
     hint: did you mean `data/spectrograms`, an out of stage `a`?
    # stages is no table
    exit 2
    --- stderr
    error: pipeline.toml:1: `[stages]` must be a table, not an integer
    # a list for a command
    exit 2
    --- stderr
    error: pipeline.toml:2: `cmd` of stage `a` must be a string, not a list
    ");
}

#[test]
fn no_project_and_unknown_names() {
    let sandbox = Sandbox::empty();
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    error: there is no `pipeline.toml` in `$ROOT` or its parent directories
     hint: run `repro init` to create a pipeline here
    ");
    snapshot!(sandbox.repro(&["-C", "absent", "run"]), @"
    exit 2
    --- stderr
    error: `absent` does not exist
    ");
    let sandbox = crate::run::chain();
    snapshot!(sandbox.repro(&["run", "coutn"]), @"
    exit 2
    --- stderr
    error: there is no stage `coutn`
     hint: did you mean `count`?
    ");
    snapshot!(sandbox.repro(&["why", "zzz"]), @"
    exit 2
    --- stderr
    error: there is no stage `zzz`
     hint: the stages are words, count, report
    ");
    snapshot!(sandbox.repro(&["checkout"]), @"
    exit 2
    --- stderr
    error: `pipeline.lock` records no outs yet
     hint: `repro run` makes the outs
    ");
    snapshot!(sandbox.repro(&["runs", "show", "run-9"]), @"
    exit 2
    --- stderr
    error: there are no runs yet
     hint: run `repro run` to create the first
    ");
    sandbox.ok(&["run"]);
    snapshot!(sandbox.repro(&["runs", "show", "9"]), @"
    exit 2
    --- stderr
    error: there is no run `run-9`
     hint: the only run is run-1
    ");
}

#[test]
fn unreadable_lock_error_has_line() {
    let sandbox = crate::run::chain();
    sandbox.ok(&["run"]);
    let lock = sandbox.read("pipeline.lock");
    sandbox.write("pipeline.lock", lock.replacen("\nstage", "\n<<<<<<< HEAD\nstage", 1));
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    error: pipeline.lock:3: line outside a stage
     hint: fix the file with git, or delete it: the next `repro run` rebuilds it, mostly from the cache
    ");
}

#[test]
fn init_pipeline_runs() {
    let sandbox = Sandbox::empty();
    sandbox.ok(&["init"]);
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 0);
    let again = sandbox.repro(&["init"]);
    assert_eq!(again.code, 2, "{again}");
}

#[test]
fn zero_byte_in_declaration() {
    let sandbox = Sandbox::with(
        "[params]\nodd = \"a\\u0000b\"\n[stages.s]\ncmd = \"true {{ params.odd }}\"\n\
         env = { A = \"x\\u0000\", B = \"{{ params.odd }}\" }\n",
    );
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:4: `cmd` of stage `s` contains a zero byte
    error: pipeline.toml:5: variable `A` of stage `s` contains a zero byte
    error: pipeline.toml:5: variable `B` of stage `s` contains a zero byte
    ");
}
