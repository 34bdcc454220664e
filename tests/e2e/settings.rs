//! Params: keys, overrides, params files, and edits at once.

use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Stdio};

use proptest::prelude::*;

use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

pub const NESTED: &str = r#"
[params]
seed = 42
[params.train]
epochs = 10
cols = ["x"]
[params.train.opt]
lr = 0.1
momentum = 0.9

[stages.a]
cmd = "cp $REPRO_PARAMS p.json"
params = ["train", "seed"]
outs = ["p.json"]
"#;

/// Runs with overrides, each after a `-p`.
pub fn run(sandbox: &Sandbox, overrides: &[&str]) -> Done {
    let overrides = overrides.iter().flat_map(|text| ["-p", text]);
    let args: Vec<&str> = std::iter::once("run").chain(overrides).collect();
    sandbox.repro(&args)
}

pub fn params(sandbox: &Sandbox) -> serde_json::Value {
    serde_json::from_str(&sandbox.read("p.json")).unwrap()
}

#[test]
fn tables_merge_at_every_depth() {
    let sandbox = Sandbox::with(NESTED);
    for given in ["train={opt={lr=0.5}}", "train.opt={lr=0.5}", "train={opt.lr=0.5, opt={}}"] {
        let given = if given.contains("{}") { "++train={opt={lr=0.5}}" } else { given };
        assert_eq!(run(&sandbox, &[given]).code, 0);
        let expected = serde_json::json!({
            "seed": 42,
            "train": { "epochs": 10, "cols": ["x"], "opt": { "lr": 0.5, "momentum": 0.9 } },
        });
        assert_eq!(params(&sandbox), expected, "{given}");
    }
    assert_eq!(run(&sandbox, &["++train={opt={note=\"a\"}, new=1}"]).code, 0);
    let merged = params(&sandbox);
    assert_eq!(merged["train"]["opt"]["momentum"], 0.9);
    assert_eq!(
        (&merged["train"]["opt"]["note"], &merged["train"]["new"]),
        (&"a".into(), &1.into())
    );
    sandbox.ok(&["params", "set", "train={opt={lr=0.25}, epochs=3}"]);
    let text = sandbox.read("pipeline.toml");
    assert!(text.contains("epochs = 3\n") && text.contains("lr = 0.25\nmomentum = 0.9"), "{text}");
}

#[test]
fn shadowed_params_file() {
    let sandbox = Sandbox::with(
        "[config]\ngroups = { train = 'small' }\n[params.train]\nepochs = 5\n[stages.a]\n\
         cmd = 'true'\nparams = ['train']\n",
    );
    sandbox.write("conf/train/small.toml", "epochs = 10\n");
    sandbox.write("conf/train/large.toml", "epochs = 99\nlr = 1\n");
    snapshot!(sandbox.ok(&["params", "show"]), @"
    exit 0
    --- stdout
    train.epochs 5 replaces conf/train/small.toml
    ");
    for _ in 0..2 {
        let done = sandbox.ok(&["run"]);
        assert!(done.stderr.contains("`conf/train/small.toml` has no effect"), "{done}");
    }
    snapshot!(sandbox.ok(&["run", "-n", "-p", "train=large"]), @"
    exit 0
    --- stdout
    a is out of date: train.lr - → 1 ([time] last time)
    estimated at most [time] with -j 2
    --- stderr
    warning: `[params]` replaces `train.epochs` of `conf/train/large.toml`
    ");
}

#[test]
fn headers_in_params_file() {
    let sandbox = Sandbox::with("[config]\ninclude = ['c.toml']\n[stages.a]\ncmd = 'true'\n");
    sandbox.write("c.toml", "[params]\nx = 1\n[stages.b]\ncmd = 'true'\n");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: c.toml:1: `[params]` has no meaning in a file of params
     hint: omit the header: every value in the file is a param
    error: c.toml:3: `[stages]` has no meaning in a file of params
     hint: declare stages in `pipeline.toml`
    ");
    sandbox.write("c.toml", "stages = 4\n");
    sandbox.ok(&["status"]);
}

#[test]
fn required_values() {
    let sandbox = Sandbox::with(
        "[params]\nn = '???'\npath = '???'\nunused = '???'\n[stages.a]\n\
         cmd = 'echo {{ params.path }}'\n\
         params = ['n']\n[stages.b]\ncmd = 'echo b > b'\nouts = ['b']\n\
         [stages.c]\ncmd = 'cp b c'\nenv = { N = '{{ params.n }}' }\ndeps = ['b']\n\
         outs = ['c']\n",
    );
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stdout
    a cannot be checked: param `n` has no value yet: it is `???`
     hint: give it one: `-p n=VALUE` for a run, or in the file
    b is out of date: never ran
    c cannot be checked: param `n` has no value yet: it is `???`
     hint: give it one: `-p n=VALUE` for a run, or in the file
    ");
    // The others run.
    assert_eq!(run(&sandbox, &[]).code, 2);
    let done = sandbox.repro(&["run", "-k"]);
    assert_eq!(done.code, 2, "{done}");
    assert_eq!(sandbox.read("b"), "b\n");
    assert!(!sandbox.exists("c"));
    let done = sandbox.repro(&["accept", "a", "--reason", "x"]);
    assert!(done.stderr.contains("param `n` has no value yet"), "{done}");
    sandbox.ok(&["dag"]);
    assert_eq!(run(&sandbox, &["n=1", "path=x"]).code, 0);
    assert!(sandbox.read("pipeline.lock").contains("param n 1\n"));
    // They can be given one by one.
    sandbox.ok(&["params", "set", "n=2"]);
    sandbox.ok(&["params", "set", "path=some text"]);
    sandbox.ok(&["run"]);
    let text = sandbox.read("pipeline.toml");
    assert!(text.contains("n = 2\npath = \"some text\"\nunused = '???'"), "{text}");
}

/// A text that decides about the graph cannot be rendered without a value.
#[test]
fn required_value_in_path() {
    let sandbox = Sandbox::with(
        "[params]\nn = '???'\n[stages.a]\ncmd = 'true'\nouts = ['o{{ params.n }}']\n",
    );
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:5: cannot render an entry of `outs` of stage `a`: param `n` has no value yet: it is `???`
     hint: give it one: `-p n=VALUE` for a run, or in the file
    ");
    sandbox.edit("pipeline.toml", "'true'", "'touch o1'");
    assert_eq!(run(&sandbox, &["n=1"]).code, 0);
}

#[test]
fn references_in_params() {
    let sandbox = Sandbox::with(
        "[params]\nroot = 'x'\na = '{{ params.root }}/y'\nb = ['${root}']\n\
         prompt = 'Hello {{ name }}, ${HOME}'\n[stages.s]\n\
         cmd = 'echo {{ params.a }}'\nparams = ['b', 'prompt']\n",
    );
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:7: cannot render `cmd` of stage `s`: the value of param `a` contains `{{ params.root }}`, which is not replaced
     hint: params cannot refer to each other: write the value, or join them in the `cmd` of a stage
    error: pipeline.toml:8: the value of param `b` contains `${root}`, which is not replaced, and stage `s` reads it
     hint: params cannot refer to each other: write the value, or join them in the `cmd` of a stage
    ");
}

#[test]
fn empty_table_reaches_stage() {
    let sandbox = Sandbox::with(
        "[params.train]\nx = 1\n[params.train.opt]\n[stages.a]\ncmd = 'cp $REPRO_PARAMS p.json'\n\
         params = ['train']\nouts = ['p.json']\n",
    );
    sandbox.ok(&["run"]);
    assert_eq!(params(&sandbox), serde_json::json!({ "train": { "x": 1, "opt": {} } }));
    snapshot!(sandbox.ok(&["params", "show"]), @"
    exit 0
    --- stdout
    train.opt {}
    train.x 1
    ");
    sandbox.ok(&["status", "--check"]);
    assert_eq!(run(&sandbox, &["+train.opt.lr=1"]).code, 0);
    assert_eq!(params(&sandbox), serde_json::json!({ "train": { "x": 1, "opt": { "lr": 1 } } }));
    sandbox.edit("pipeline.toml", "params = ['train']", "params = ['train.opt']");
    sandbox.ok(&["run"]);
    assert_eq!(params(&sandbox), serde_json::json!({ "train": { "opt": {} } }));
}

#[test]
fn exclude_without_effect() {
    let sandbox = Sandbox::with(
        "[stages.t]\nmatrix = { m = ['a', 'b'], s = [0, 1], exclude = [\n  \
         { m = 'b', s = '1' },\n  \
         { m = 'c' },\n  {},\n  { m = 'a', s = 0 },\n  { m = 'a', s = 0 },\n] }\ncmd = 'true'\n",
    );
    snapshot!(sandbox.repro(&["dag"]), @r#"
    exit 2
    --- stderr
    error: pipeline.toml:3: an entry of `exclude` of stage `t` fits no combination
     hint: write `s = 1`, not `"1"`
    error: pipeline.toml:4: an entry of `exclude` of stage `t` fits no combination
     hint: the values of `m` are "a", "b"
    error: pipeline.toml:5: an entry of `exclude` of stage `t` is empty
    "#);
}

#[test]
fn edits_at_once() {
    let count = 16;
    let keys: String = (0..count).map(|key| format!("k{key} = 0\n")).collect();
    let sandbox = Sandbox::with(&format!("[params]\n{keys}[stages.s]\ncmd = 'true'\n"));
    sandbox.write("data", "x");
    let start = |args: &[&str]| -> Child {
        let mut command = sandbox.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut children: Vec<Child> =
        (0..count).map(|key| start(&["params", "set", &format!("k{key}=1")])).collect();
    children.push(start(&["add", "data"]));
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = sandbox.read("pipeline.toml");
    assert_eq!(text.matches(" = 1\n").count(), count, "{text}");
    assert!(text.contains("[stages.data]"), "{text}");
}

#[test]
fn set_during_run() {
    let sandbox = Sandbox::with(
        "[params]\nx = 1\n[stages.a]\ncmd = 'cat fifo > o'\nouts = ['o']\nparams = ['x']\n",
    );
    sandbox.fifo("fifo");
    let mut command = sandbox.command(&["run"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Opening waits until the stage reads.
    let path = sandbox.path("fifo");
    let fifo = deadline::within(|| std::fs::OpenOptions::new().write(true).open(path).unwrap());
    sandbox.ok(&["params", "set", "x=2"]);
    drop(fifo);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(sandbox.read("pipeline.lock").contains("param x 1\n"));
}

#[test]
fn paths_not_utf8() {
    let sandbox = Sandbox::empty();
    let root = sandbox.root().join(std::ffi::OsStr::from_bytes(b"d\xff"));
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("data"), "x").unwrap();
    std::fs::write(root.join("pipeline.toml"), "[stages.a]\ncmd = 'echo hi > o'\nouts = ['o']\n")
        .unwrap();
    let program = root.join("repro");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_repro"), &program).unwrap();
    for args in [
        &["run"][..],
        &["status"],
        &["add", "data"],
        &["accept", "a", "--reason", "x"],
        &["dag"],
        &["why"],
        &["params", "show"],
        &["metrics", "show"],
        &["runs", "list"],
        &["runs", "show", "last"],
        &["runs", "logs", "last", "a"],
        &["checkout"],
        &["fsck"],
        &["gc"],
        &["plan"],
    ] {
        for (program, here) in [(&program, &root), (&env!("CARGO_BIN_EXE_repro").into(), &root)] {
            let mut command = std::process::Command::new(program);
            command.arg("-C").arg(here).args(args).env("NO_COLOR", "1");
            let output = deadline::output(&mut command);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        }
    }
    assert!(root.join("o").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Written keys can be read: in the file, on the command line, in the lock and in the
    /// history, and what is refused leaves nothing behind.
    #[test]
    fn any_key_or_none(
        key in prop_oneof![
            "[a-zé0-9_-]{1,6}(\\.[a-z0-9_-]{1,4}){0,2}",
            "[ -~\u{e9}\u{7f}\u{202e}\n]{1,8}",
        ],
        in_file in any::<bool>(),
    ) {
        let quoted = serde_json::to_string(&key).unwrap().replace('\u{7f}', "\\u007f");
        let table = if in_file { format!("[params.train]\n{quoted} = 1\n") } else { String::new() };
        let sandbox = Sandbox::with(&format!(
            "{table}[params.train.x]\nx = 1\n[stages.a]\ncmd = 'true'\nparams = ['train']\n"
        ));
        let given = format!("++train={{{quoted} = 2}}");
        let overrides = if in_file { vec![] } else { vec![given.as_str()] };
        let done = run(&sandbox, &overrides);
        let name_rule = "not a valid param name";
        let is_refused = done.code == 2 && done.stderr.contains(name_rule);
        prop_assert!(done.code == 0 || is_refused, "{}", done);
        if done.code == 0 {
            prop_assert_eq!(sandbox.repro(&["status"]).code, 0);
            let shown = sandbox.ok(&["runs", "show", "last", "--json"]);
            prop_assert!(shown.stdout.contains(&format!("train.{key}")), "{}", shown);
        } else {
            prop_assert!(!sandbox.exists("pipeline.lock"));
        }
    }
}

#[test]
fn options_in_every_format() {
    let sandbox = Sandbox::with(
        "[config]\ngroups = { m = 'a' }\n[stages.s]\ncmd = 'echo {{ params.m.lr }} > o'\n\
         params = ['m']\nouts = ['o']\n",
    );
    sandbox.write("conf/m/a.toml", "lr = 1\n");
    sandbox.write("conf/m/b.yaml", "lr: 2\n");
    sandbox.write("conf/m/c.json", "{\"lr\": 3}");
    sandbox.write("conf/m/README.md", "not an option");
    for (option, lr) in [("a", "1\n"), ("b", "2\n"), ("c", "3\n")] {
        assert_eq!(run(&sandbox, &[&format!("m={option}")]).code, 0);
        assert_eq!(sandbox.read("o"), lr);
    }
    let done = run(&sandbox, &["m=README"]);
    assert!(done.stderr.contains("the options are a, b, c"), "{done}");
    sandbox.write("conf/m/b.toml", "lr = 4\n");
    snapshot!(run(&sandbox, &["m=b"]), @"
    exit 2
    --- stderr
    error: -p m=b: option `b` of group `m` has several files
     hint: remove all but one of `conf/m/b.toml`, `conf/m/b.yaml`
    ");
}
