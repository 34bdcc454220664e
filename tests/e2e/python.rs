//! The Python package in stages, with the `python3` of this machine.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::sandbox::{Sandbox, untested};
use crate::snapshot;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/src");

/// Reports whether there is a Python that the package supports.
fn has_python() -> bool {
    let check = "import sys; sys.exit(sys.version_info < (3, 9))";
    let status = Command::new("python3").args(["-c", check]).status();
    let has_python = status.is_ok_and(|status| status.success());
    if !has_python {
        untested("the Python package: there is no `python3` of 3.9 or later");
    }
    has_python
}

const TRAIN: &str = "
import json, math
import repro

params = repro.params()
for epoch in repro.track(range(params['train']['epochs'])):
    repro.log_metric('loss', 1 / (epoch + 1))
repro.log_metrics({'seen': 2**63 + 1, 'worst': math.nan}, step=7)
with open('curve.txt', 'w') as file:
    json.dump(params, file)
repro.log_artifact('curve.txt')
";

const CONVERT: &str = "
import repro

for item in repro.items():
    with item:
        text = item.path.read_text()
        assert text != 'bad'
        item.outs[0].write_text(text.upper())
";

fn project() -> Sandbox {
    let sandbox = Sandbox::with(&format!(
        "[params]\nseed = 1\ntrain.epochs = 3\n\
         [stages.train]\ncmd = 'python3 ../train.py'\nwdir = 'work'\nparams = ['train']\n\
         env = {{ PYTHONPATH = '{SOURCES}' }}\n\
         [stages.convert]\ncmd = 'python3 convert.py'\neach = 'in/*'\n\
         outs = ['out/{{{{ item.name }}}}']\nenv = {{ PYTHONPATH = '{SOURCES}' }}\n"
    ));
    sandbox.write("train.py", TRAIN);
    sandbox.write("convert.py", CONVERT);
    sandbox.write("work/.keep", "");
    sandbox.write("in/a", "a");
    sandbox.write("in/b", "b");
    sandbox
}

#[test]
fn reports_of_python_stage() {
    if !has_python() {
        return;
    }
    let sandbox = project();
    sandbox.ok(&["run", "train"]);
    assert_eq!(sandbox.read("work/curve.txt"), r#"{"train": {"epochs": 3}}"#);
    let shown =
        |args: &[&str]| -> Value { serde_json::from_str(&sandbox.ok(args).stdout).unwrap() };
    let series = &shown(&["metrics", "show", "--json"])["series"];
    let points = |key: &str| {
        let point = |point: &Value| format!("{}: {}", point["step"], point["value"]);
        series[key].as_array().unwrap().iter().map(point).collect::<Vec<_>>()
    };
    assert_eq!(points("train.loss"), ["0: 1.0", "1: 0.5", "2: 0.3333333333333333"]);
    assert_eq!(points("train.seen"), ["7: 9223372036854775809"]);
    assert_eq!(points("train.worst"), ["7: \"NaN\""]);
    let artifacts = &shown(&["runs", "show", "--json"])["artifacts"];
    assert_eq!(artifacts[0]["path"], "work/curve.txt");
}

#[test]
fn items_of_python_stage() {
    if !has_python() {
        return;
    }
    let sandbox = project();
    sandbox.write("in/b", "bad");
    assert_eq!(sandbox.repro(&["run", "convert"]).code, 1);
    sandbox.write("in/b", "b");
    sandbox.edit("convert.py", "assert", "print(item); assert");
    let log = sandbox.ok(&["run", "convert"]).stderr;
    assert!(log.contains("in/b") && !log.contains("in/a"), "{log}");
    assert_eq!((&*sandbox.read("out/a"), &*sandbox.read("out/b")), ("A", "B"));
}

#[test]
fn params_outside_a_stage() {
    if !has_python() {
        return;
    }
    let sandbox = project();
    sandbox.write("more.toml", "day = 2024-01-02\nlimit = 0.5\n");
    sandbox.edit("pipeline.toml", "[params]", "[config]\ninclude = ['more.toml']\n[params]");
    let program = Path::new(env!("CARGO_BIN_EXE_repro"));
    let path = std::env::var_os("PATH").unwrap();
    let mut folders = vec![program.parent().unwrap().to_owned()];
    folders.extend(std::env::split_paths(&path));
    let params = |folder: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", "import repro; print(repro.params())"]);
        command.current_dir(sandbox.path(folder)).env("PYTHONPATH", SOURCES);
        command.env("PATH", std::env::join_paths(&folders).unwrap());
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        sandbox.finish(&mut command)
    };
    snapshot!(params("work"), @"
    exit 0
    --- stdout
    {'day': '2024-01-02', 'limit': 0.5, 'seed': 1, 'train': {'epochs': 3}}
    ");
    sandbox.edit("more.toml", "0.5", "inf");
    let done = params(".");
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("RuntimeError: cannot read the params of `$ROOT`"), "{done}");
}
