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
    error: pipeline.toml:6: `bad key` cannot name a param: use letters, digits, `_` and `-`
    error: pipeline.toml:7: param `huge` is not a finite number, which JSON cannot hold
    error: pipeline.toml:10: `goal` of metric `loss` is neither "max" nor "min"
    error: pipeline.toml:14: unknown key `dep` in stage `a`
     hint: did you mean `deps`?
    error: pipeline.toml:15: out `../escape` of stage `a` leaves the project root
    error: pipeline.toml:15: out `/abs` of stage `a` is absolute: paths are relative to the project root
    error: pipeline.toml:15: out `out` of stage `a` is declared twice
    error: pipeline.toml:18: `cmd` of stage `b` is a template that cannot be rendered: there is no `params.epohcs`
     hint: did you mean `params.epochs`?
    error: pipeline.toml:19: dep `dta` of stage `b` is made by no stage and does not exist
     hint: did you mean `data`, an out of stage `c`?
    error: pipeline.toml:20: param `epoch` of stage `b` does not exist
     hint: did you mean `epochs`?
    error: pipeline.toml:20: param `nothing` of stage `b` does not exist
     hint: declare it under `[params]`
    error: pipeline.toml:21: out `out/inner` of stage `b` lies inside `out`, an out of stage `a`
     hint: give one of the two another folder
    error: pipeline.toml:22: `cpus` of stage `b` is not a number from 1 to 4096
    error: pipeline.toml:24: `bad name` cannot name a stage: use letters, digits, `_`, `-`, `.`
    error: pipeline.toml:27: stage `c` has no `cmd`, but `env`
     hint: say what it runs: cmd = "…"; a stage that only tracks an input has `outs` and nothing else
    error: pipeline.toml:28: out `data` of stage `c` is also an out of stage `b`
     hint: each out has one maker; stage `b` is declared in line 17
    error: pipeline.toml:29: an entry of `deps` of stage `c` is an integer, not a string
    error: pipeline.toml:30: `a b` cannot name a variable
    error: pipeline.toml:30: variable `N` of stage `c` is an integer, not a string
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
    let mut told = String::new();
    for (what, bytes) in cases {
        let sandbox = Sandbox::with("");
        sandbox.write("pipeline.toml", bytes);
        let done = sandbox.repro(&["run"]);
        assert_eq!(files(&sandbox.root()), ["pipeline.toml"], "{what}");
        told += &format!("# {what}\n{done}\n");
    }
    snapshot!(told, @"
    # an empty file
    exit 2
    --- stderr
    error: pipeline.toml:1: declares no stage
     hint: add a `[stages.NAME]` with a `cmd`; in an empty folder, `repro init` writes an example
    # no stage
    exit 2
    --- stderr
    error: pipeline.toml:1: declares no stage
     hint: add a `[stages.NAME]` with a `cmd`; in an empty folder, `repro init` writes an example
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
    error: pipeline.toml:1: stages need each other in a circle: `a` needs `b` needs `a`
    # its own out
    exit 2
    --- stderr
    error: pipeline.toml:3: stage `a` reads its own out `d/x`
     hint: a stage cannot depend on what it writes; remove one of the two
    # a dep that nothing makes
    exit 2
    --- stderr
    error: pipeline.toml:3: unknown key `outS` in stage `a`
     hint: did you mean `outs`?
    error: pipeline.toml:7: dep `data/spectrogram` of stage `b` is made by no stage and does not exist
     hint: did you mean `data/spectrograms`, an out of stage `a`?
    # stages is no table
    exit 2
    --- stderr
    error: pipeline.toml:1: `[stages]` is an integer, not a table
    # a list for a command
    exit 2
    --- stderr
    error: pipeline.toml:2: `cmd` of stage `a` is a list, not a string
    ");
}

#[test]
fn no_project_and_unknown_names() {
    let sandbox = Sandbox::empty();
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    error: no `pipeline.toml` in `$ROOT` or above it
     hint: `repro init` starts a pipeline here
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
    error: `pipeline.lock` names no outs yet
     hint: `repro run` makes them
    ");
    snapshot!(sandbox.repro(&["runs", "show", "run-9"]), @"
    exit 2
    --- stderr
    error: there are no runs yet
     hint: `repro run` makes the first
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
    error: pipeline.lock:3: has a line outside of a stage
     hint: settle it in git, or delete the file: the next `repro run` writes it anew, mostly from the cache
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
fn zero_byte_in_cmd_and_env() {
    let sandbox = Sandbox::with(
        "[params]\nodd = \"a\\u0000b\"\n[stages.s]\ncmd = \"true {{ params.odd }}\"\n\
         env = { A = \"x\\u0000\", B = \"{{ params.odd }}\" }\n",
    );
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:4: `cmd` of stage `s` has a zero byte in it
    error: pipeline.toml:5: variable `A` of stage `s` has a zero byte in it
    error: pipeline.toml:5: variable `B` of stage `s` has a zero byte in it
    ");
}
