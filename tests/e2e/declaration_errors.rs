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
    error: pipeline.toml:22: `cpus` of stage `b` must be an integer from 1 to 4096, not 0
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
    snapshot!(errors, @r#"
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
    error: pipeline.toml:1: stages form a dependency cycle: `a` (line 3) reads `b`, made by `b`; `b` (line 7) reads `a`, made by `a`
     hint: remove one of these deps
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
     hint: join the commands with ` && `, or write a `"""` string of several lines
    "#);
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
    error: pipeline.lock:3: git left a conflict here
     hint: `repro git resolve` takes the record of each stage from one side
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

/// Returns the errors of `repro run` for each text.
fn errors(cases: &[(&str, &str)]) -> String {
    let error = |(what, text): &(&str, &str)| {
        let sandbox = Sandbox::with(text);
        sandbox.write("in.txt", "x");
        sandbox.write("code/in.csv", "x");
        let done = sandbox.repro(&["run", "-n"]);
        format!("# {what}\n{done}\n")
    };
    cases.iter().map(error).collect()
}

#[test]
fn toml_errors_in_plain_words() {
    let cases = [
        ("an open string", "[stages.a]\ncmd = \"true\nouts = ['x']\n"),
        ("an open literal string", "[stages.a]\ncmd = 'true\n"),
        ("no quotes", "[stages.a]\ncmd = python a.py\n"),
        ("no value", "[stages.a]\ncmd =\n"),
        ("a stage twice", "[stages.a]\ncmd = 'x'\n[stages.b]\ncmd = 'x'\n[stages.a]\ncmd = 'y'\n"),
        ("a key twice", "[stages.b]\ncmd = 'x'\n[stages.a]\ncmd = 'x'\n\ncmd = 'y'\n"),
        ("an inline key twice", "[stages]\na = { cmd = 'x', cmd = 'y' }\n"),
    ];
    snapshot!(errors(&cases), @r#"
    # an open string
    exit 2
    --- stderr
    error: pipeline.toml:2: the string that begins here is not closed
    # an open literal string
    exit 2
    --- stderr
    error: pipeline.toml:2: the string that begins here is not closed
    # no quotes
    exit 2
    --- stderr
    error: pipeline.toml:2: a string must be in quotes
     hint: write "python a.py"
    # no value
    exit 2
    --- stderr
    error: pipeline.toml:2: a value is missing
    # a stage twice
    exit 2
    --- stderr
    error: pipeline.toml:5: `[stages.a]` is already declared on line 1
     hint: rename or remove one of them
    # a key twice
    exit 2
    --- stderr
    error: pipeline.toml:6: `cmd` is already declared on line 4
     hint: rename or remove one of them
    # an inline key twice
    exit 2
    --- stderr
    error: pipeline.toml:2: `cmd` is declared twice
    "#);
}

#[test]
fn spellings_of_other_tools() {
    let cases = [
        ("command", "[stages.a]\ncommand = 'x'\ndeps = ['in.txt']\n"),
        ("foreach", "[stages.a]\ncmd = 'x'\nforeach = ['x']\n"),
        ("a list for cmd", "[stages.a]\ncmd = ['x', 'y']\n"),
        ("a string for tools", "[stages.a]\ncmd = 'x'\ntools = 'cc -v'\nouts = 'o'\n"),
        ("URLs", "[stages.a]\ncmd = 'x'\ndeps = ['https://a.b/c']\nouts = ['s3://a/b']\n"),
        ("a home", "[stages.a]\ncmd = 'x'\ndeps = ['~/in.csv']\nouts = ['~']\n"),
        ("variables", "[stages.a]\ncmd = 'x'\ndeps = ['$HOME/in']\nouts = ['${DATA}/o']\n"),
        (
            "params as variables without a shell",
            "[params]\nseed = 1\n[stages.a]\ncmd = 'x'\ndeps = ['${seed}']\n\
             outs = ['o-${seed}']\nenv = { S = '${seed}', T = '${HOME}' }\n",
        ),
        ("item without each", "[stages.a]\ncmd = 'echo {{ item.name }}'\n"),
        (
            "params as shell variables",
            "[params]\nseed = 1\nfetch.rows = 2\n[stages.a]\n\
             cmd = 'x --seed ${seed} seed=${seed} \"${fetch.rows}\"'\n",
        ),
        ("a dep in wdir", "[stages.a]\nwdir = 'code'\ncmd = 'x'\ndeps = ['in.csv', '*.cs']\n"),
        (
            "a misspelled file",
            "[stages.a]\ncmd = 'x'\ndeps = ['in.tx', 'ni.txt', 'code/in.csvv']\n",
        ),
    ];
    snapshot!(errors(&cases), @r#"
    # command
    exit 2
    --- stderr
    error: pipeline.toml:2: unknown key `command` in stage `a`
     hint: did you mean `cmd`?
    # foreach
    exit 2
    --- stderr
    error: pipeline.toml:3: unknown key `foreach` in stage `a`
     hint: use `matrix` for a list of values, or `each` for the files of a glob
    # a list for cmd
    exit 2
    --- stderr
    error: pipeline.toml:2: `cmd` of stage `a` must be a string, not a list
     hint: join the commands with ` && `, or write a `"""` string of several lines
    # a string for tools
    exit 2
    --- stderr
    error: pipeline.toml:3: `tools` of stage `a` must be a list of strings, not a string
     hint: write `tools = ["…"]`
    error: pipeline.toml:4: `outs` of stage `a` must be a list, not a string
     hint: write `outs = ["…"]`
    # URLs
    exit 2
    --- stderr
    error: pipeline.toml:3: dep `https://a.b/c` of stage `a` is a URL, not a path
     hint: `repro add URL` makes a stage that downloads it; the `cmd` of a stage can upload
    error: pipeline.toml:4: out `s3://a/b` of stage `a` is a URL, not a path
     hint: `repro add URL` makes a stage that downloads it; the `cmd` of a stage can upload
    # a home
    exit 2
    --- stderr
    error: pipeline.toml:3: dep `~/in.csv` of stage `a` starts with `~`, which only a shell replaces
     hint: paths are relative to the project root: copy the file there, or create a link to it
    error: pipeline.toml:4: out `~` of stage `a` starts with `~`, which only a shell replaces
     hint: paths are relative to the project root: copy the file there, or create a link to it
    # variables
    exit 2
    --- stderr
    error: pipeline.toml:3: dep `$HOME/in` of stage `a` starts with `$HOME`, which only a shell replaces
     hint: paths are relative to the project root: copy the file there, or create a link to it
    error: pipeline.toml:4: out `${DATA}/o` of stage `a` starts with `${DATA}`, which only a shell replaces
     hint: paths are relative to the project root: copy the file there, or create a link to it
    # params as variables without a shell
    exit 2
    --- stderr
    error: pipeline.toml:5: a dep of stage `a` contains `${seed}`, which nothing replaces
     hint: write `{{ params.seed }}`
    error: pipeline.toml:6: an entry of `outs` of stage `a` contains `${seed}`, which nothing replaces
     hint: write `{{ params.seed }}`
    error: pipeline.toml:7: variable `S` of stage `a` contains `${seed}`, which nothing replaces
     hint: write `{{ params.seed }}`
    # item without each
    exit 2
    --- stderr
    error: pipeline.toml:2: cannot render `cmd` of stage `a`: there is no `item.name`
     hint: `item` exists only in `cmd` and the outs of a stage with `each`
    # params as shell variables
    exit 2
    --- stderr
    error: pipeline.toml:5: `cmd` of stage `a` reads shell variable `${fetch.rows}`, but `fetch.rows` is a param
     hint: write `{{ params.fetch.rows }}`
    error: pipeline.toml:5: `cmd` of stage `a` reads shell variable `${seed}`, but `seed` is a param
     hint: write `{{ params.seed }}`
    # a dep in wdir
    exit 2
    --- stderr
    error: pipeline.toml:4: stage `a` depends on `in.csv`, which does not exist and is not an out of any stage
     hint: paths count from the project root, not from `wdir`: write `code/in.csv`
    # a misspelled file
    exit 2
    --- stderr
    error: pipeline.toml:3: stage `a` depends on `code/in.csvv`, which does not exist and is not an out of any stage
     hint: did you mean `code/in.csv`?
    error: pipeline.toml:3: stage `a` depends on `in.tx`, which does not exist and is not an out of any stage
     hint: did you mean `in.txt`?
    error: pipeline.toml:3: stage `a` depends on `ni.txt`, which does not exist and is not an out of any stage
     hint: did you mean `in.txt`?
    "#);
}

#[test]
fn shell_variables_are_not_params() {
    let params = "[params]\nseed = 1\n";
    for stage in [
        "cmd = 'seed=2; echo ${seed}'",
        "cmd = 'for seed in 1 2; do echo ${seed}; done'",
        "cmd = 'echo 3 | while read seed; do echo ${seed}; done'",
        "cmd = 'true && seed=1 && echo ${seed}'",
        "cmd = 'echo $seed ${other} ${seed:-1}'",
        "cmd = \"echo '${seed}' \\\\${seed}\"",
        "cmd = 'echo ${seed}'\nenv = { seed = '1' }",
        "cmd = 'echo ${seed}'\nenv_deps = ['seed']",
        "cmd = 'echo ${seed}'\nshell = 'perl -e'",
    ] {
        Sandbox::with(&format!("{params}[stages.a]\n{stage}\n")).ok(&["run", "-n"]);
    }
    let text = format!("{params}[stages.a]\ncmd = 'echo ${{seed}}'\nshell = 'bash -c'\n");
    assert_eq!(Sandbox::with(&text).repro(&["run", "-n"]).code, 2);
}

#[test]
fn types_say_what_was_found() {
    let cases = [
        (
            "values",
            "[tokens]\ngpu = 'x'\n[stages.a]\ncmd = 'x'\nfrozen = 'no'\nretries = 5000\n\
             shell = 3\nouts = [3]\n[stages.b]\ncmd = 'x'\nshell = []\n",
        ),
        (
            "matrix",
            "[stages.a]\ncmd = 'x'\nmatrix = { r = 3 }\n[stages.b]\ncmd = 'x'\nmatrix = 3\n",
        ),
        ("a bad name", "[stages.\"a b\"]\ncmd = 'x'\nouts = 3\nmatrix = { r = [1] }\ncpu = 1\n"),
    ];
    snapshot!(errors(&cases), @r#"
    # values
    exit 2
    --- stderr
    error: pipeline.toml:2: token `gpu` must be an integer from 1 to 1000000, not a string
    error: pipeline.toml:5: `frozen` of stage `a` must be true or false, not a string
    error: pipeline.toml:6: `retries` of stage `a` must be an integer from 0 to 1000, not 5000
    error: pipeline.toml:7: `shell` of stage `a` must be a list of strings, not an integer
    error: pipeline.toml:8: an entry of `outs` of stage `a` must be a string or a table, not an integer
    error: pipeline.toml:11: `shell` of stage `b` must be a command such as "bash -euo pipefail -c"
    # matrix
    exit 2
    --- stderr
    error: pipeline.toml:3: `r` in the matrix of stage `a` must be a list of strings, numbers or booleans, not an integer
    error: pipeline.toml:6: `matrix` of stage `b` must be a table, not an integer
    # a bad name
    exit 2
    --- stderr
    error: pipeline.toml:1: `a b` is not a valid stage name
     hint: use up to 100 letters, digits, `_`, `-`, `.` and `@`, not starting with `-` or `.`
    error: pipeline.toml:3: `outs` of stage `a b` must be a list, not an integer
    error: pipeline.toml:5: unknown key `cpu` in stage `a b`
     hint: the keys are cmd, desc, each, shell, wdir, env, env_deps, tools, deps, params, outs, metrics, plots, matrix, frozen, always, resources, uses, retries, timeout, mlflow, url, extract, sha256, md5, import
    "#);
}

#[test]
fn remotes() {
    let sandbox = Sandbox::with(
        "[remotes.a]\nurl = '../store'\ndefault = true\nauto = 'push'\nregoin = 'eu'\n\
         [remotes.b]\nurl = 3\n[remotes.c]\ndefault = true\n\
         [remotes.d]\nurl = ' '\njobs = 0\n[remotes.e]\nurl = 'x'\ndefault = true\n\
         [remotes.\"a b\"]\nurl = 'x'\n[stages.s]\ncmd = 'true'\n",
    );
    snapshot!(sandbox.repro(&["status"]), @r#"
    exit 2
    --- stderr
    error: pipeline.toml:4: `auto` of remote `a` is unknown
     hint: the only value is "pull": `repro run` fetches what the remote has
    error: pipeline.toml:5: unknown key `regoin` in remote `a`
     hint: did you mean `region`?
    error: pipeline.toml:7: `url` of remote `b` must be a string, not an integer
    error: pipeline.toml:8: remote `c` has no `url`
     hint: add one, such as `url = "s3://bucket/project"`
    error: pipeline.toml:11: `url` of remote `d` is neither a URL nor the path of a folder
    error: pipeline.toml:13: remotes `a` and `e` are both the default
     hint: keep `default = true` in one of them
    error: pipeline.toml:16: `a b` is not a valid name of a remote
     hint: use letters, digits, `_` and `-`
    "#);
}
