//! Warnings about files that a command names and that are not deps.

use crate::sandbox::Sandbox;
use crate::snapshot;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[stages.prepare]
cmd = "sh prepare.sh in > data"
deps = ["in"]
outs = ["data"]
[stages.train]
matrix = { n = [1, 2] }
cmd = "cd src && sh train.sh --conf=../conf.txt < ../data > ../model{{ matrix.n }}"
deps = ["src"]
outs = ["model{{ matrix.n }}"]
"#,
    );
    for path in ["prepare.sh", "src/train.sh"] {
        sandbox.write(path, "cat");
    }
    for path in ["in", "conf.txt", "data"] {
        sandbox.write(path, "1");
    }
    sandbox
}

#[test]
fn undeclared_files_are_named() {
    let sandbox = sandbox();
    sandbox.ok(&["run", "--replace", "-j1"]);
    sandbox.write("in", "2");
    sandbox.write("src/train.sh", "cat # 2");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    prepare is out of date: dep in changed
    train@1 is out of date: file src/train.sh changed
    train@2 is out of date: file src/train.sh changed
    --- stderr
    warning: stage `prepare` names `prepare.sh`, which is not a dep: a change to it will not be noticed
     hint: add it to `deps` of stage `prepare` (pipeline.toml:2), or to `outs` if the stage writes it, or list it in `.reproignore`
    warning: stage `train` names `conf.txt`, which is not a dep: a change to it will not be noticed
     hint: add it to `deps` of stage `train` (pipeline.toml:6), or to `outs` if the stage writes it, or list it in `.reproignore`
    warning: stage `train` names `data`, an out of stage `prepare`, which is not a dep: it may run before the file is written
     hint: add it to `deps` of stage `train` (pipeline.toml:6)
    ");
    assert!(sandbox.ok(&["run", "-n"]).stderr.contains("names `prepare.sh`"));
}

#[test]
fn declared_or_ignored_is_silent() {
    let sandbox = sandbox();
    sandbox.remove("data");
    sandbox.edit("pipeline.toml", "deps = [\"in\"]", "deps = [\"in\", \"prep*\"]");
    sandbox.edit("pipeline.toml", "deps = [\"src\"]", "deps = [\"src\", \"data\"]");
    sandbox.write(".reproignore", "conf.txt\n");
    assert!(!sandbox.ok(&["run"]).stderr.contains("warning"));
    assert!(sandbox.ok(&["status"]).stderr.is_empty());
}

#[test]
fn no_op_does_not_warn() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'cp in out'\nouts = ['out']\n");
    sandbox.write("in", "1");
    assert!(sandbox.ok(&["run"]).stderr.contains("names `in`, which is not a dep"));
    assert!(!sandbox.ok(&["run"]).stderr.contains("warning"));
    assert!(sandbox.ok(&["run", "-f"]).stderr.contains("warning"));
}

#[test]
fn other_programs_are_not_read() {
    let sandbox = Sandbox::with(
        "[stages.a]\nshell = 'cat'\ncmd = 'in'\nouts = ['out']\n\
         [stages.b]\ncmd = 'cp in b'\nouts = ['b']\nalways = true\n",
    );
    sandbox.write("in", "1");
    assert!(sandbox.repro(&["status"]).stderr.is_empty());
}

#[test]
fn written_files_are_not_reads() {
    let sandbox = Sandbox::with(
        "[stages.a]\ncmd = 'rm -f old && mkdir -p new; touch mark; echo x | tee log > out'\n\
         outs = ['out']\n",
    );
    for path in ["old", "mark", "log"] {
        sandbox.write(path, "1");
    }
    assert!(!sandbox.ok(&["run"]).stderr.contains("warning"));
}

#[test]
fn one_warning_per_stage() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'cat a b c d e f g > out'\nouts = ['out']\n");
    for path in ["a", "b", "c", "d", "e", "f", "g"] {
        sandbox.write(path, "1");
    }
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    a is out of date: never ran
    --- stderr
    warning: stage `a` names `a`, `b`, `c`, `d`, `e` and 2 more, which are not deps: a change to them will not be noticed
     hint: add them to `deps` of stage `a` (pipeline.toml:1), or to `outs` if the stage writes them, or list them in `.reproignore`
    ");
}
