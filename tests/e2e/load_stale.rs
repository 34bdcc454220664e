//! `status` without stage names uses the fast path, which loads only stages that may be stale;
//! with names it loads and checks every stage. Both must report the same, whatever was edited.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;

use crate::hidden_edits::set_modified;
use crate::sandbox::Sandbox;

/// Names of the stages; an edit can rename the last one to `other` and back.
const STAGES: [&str; 11] = [
    "copy", "folder", "all", "glob", "env", "frozen", "metrics", "files", "asked", "linked",
    "spare",
];

const PIPELINE: &str = r#"
[config]
include = ["more.toml"]
groups = { size = "small" }
[params]
a = 1
[stages.copy]
cmd = "cp in/one copied; echo {{ params.a }} >> copied"
deps = ["in/one"]
outs = ["copied"]
[stages.folder]
cmd = "mkdir -p made/sub && cp in/two made/sub && cp copied made"
deps = ["in/two", "copied"]
outs = ["made"]
[stages.all]
cmd = "ls -R in made | wc -l > count"
deps = ["in", "made"]
outs = ["count"]
[stages.glob]
cmd = "cat in/*.txt > texts"
deps = ["in/*.txt"]
outs = ["texts"]
[stages.env]
cmd = "echo \"$COLOUR\" > colour"
env_deps = ["COLOUR"]
outs = ["colour"]
[stages.frozen]
cmd = "cp copied kept"
deps = ["copied"]
outs = ["kept"]
[stages.metrics]
cmd = "echo '{\"n\": 1}' > m.json"
deps = ["count"]
metrics = ["m.json"]
[stages.files]
cmd = "cp $REPRO_PARAMS files"
params = ["b", "size"]
outs = ["files"]
[stages.asked]
cmd = "cp tool asked"
tools = ["cat tool"]
outs = ["asked"]
[stages.linked]
cmd = "cp -rL link linked"
deps = ["link"]
outs = ["linked"]
[stages.spare]
cmd = "cp in/one spare"
deps = ["in/one"]
outs = ["spare"]
"#;

fn verdicts(sandbox: &Sandbox, stages: &[&str], colour: &str) -> (BTreeMap<String, Value>, i32) {
    let renamed = sandbox.read("pipeline.toml").contains("[stages.other]");
    let present =
        stages.iter().map(|&name| if renamed && name == "spare" { "other" } else { name });
    let args: Vec<&str> = ["status", "--json", "--check"].into_iter().chain(present).collect();
    let done = sandbox.finish(sandbox.command(&args).env("COLOUR", colour));
    let shown: Value = serde_json::from_str(&done.stdout).unwrap_or(Value::Null);
    let stages = shown["stages"].as_array().cloned().unwrap_or_default();
    let named =
        stages.into_iter().map(|stage| (stage["stage"].as_str().unwrap().to_owned(), stage));
    (named.collect(), done.code)
}

/// Applies the edit with this number, modulo the number of edits.
fn edit(sandbox: &Sandbox, choice: u64, colour: &mut String) {
    let text = format!("{choice}\n");
    match choice % 28 {
        0 => sandbox.write("in/one", text),
        1 => sandbox.write("in/two", "2"),
        2 => sandbox.write("in/three.txt", text),
        3 if sandbox.exists("in/three.txt") => sandbox.remove("in/three.txt"),
        4 => sandbox.write("made/sub/more", text),
        5 if sandbox.exists("copied") => sandbox.remove("copied"),
        6 => sandbox.write("count", text),
        7 => *colour = text,
        8 if sandbox.exists("pipeline.lock") => sandbox.remove("pipeline.lock"),
        9 if sandbox.exists("cache/index") => sandbox.remove("cache/index"),
        10 => {
            let pipeline = sandbox.read("pipeline.toml");
            let other = if pipeline.contains("a = 1\n") {
                ("a = 1\n", "a = 2\n")
            } else {
                ("a = 2\n", "a = 1\n")
            };
            sandbox.write("pipeline.toml", pipeline.replace(other.0, other.1));
        }
        11 if sandbox.exists("cache/pipeline") => {
            let mut bytes = std::fs::read(sandbox.path("cache/pipeline")).unwrap();
            let at = choice as usize % bytes.len();
            bytes[at] ^= 1;
            sandbox.write("cache/pipeline", bytes);
        }
        12 => std::fs::set_permissions(sandbox.path("in/one"), PermissionsExt::from_mode(0o755))
            .unwrap(),
        13 if sandbox.exists("made") => sandbox.remove("made"),
        14 => sandbox.write("more.toml", format!("b = {}\n", choice % 3)),
        15 => sandbox.write("conf/size/small.toml", format!("n = {}\n", choice % 3)),
        16 => sandbox.write("conf/size/large.toml", format!("n = {}\n", choice % 3)),
        17 => replace(sandbox, "size = \"small\"", "size = \"large\""),
        18 => replace(sandbox, "[stages.spare]", "[stages.other]"),
        19 => replace(
            sandbox,
            "cmd = \"cp in/one spare\"",
            "always = true\ncmd = \"cp in/one spare\"",
        ),
        20 => sandbox.write("tool", text),
        21 => {
            std::fs::remove_file(sandbox.path("link")).unwrap();
            symlink(["in", "in/one", "in/a.txt"][choice as usize / 28 % 3], sandbox.path("link"))
                .unwrap();
        }
        // Same size and same modification time.
        22 => {
            let before = std::fs::metadata(sandbox.path("in/a.txt")).unwrap();
            sandbox.write("in/a.txt", ["a", "b", "c"][choice as usize / 28 % 3]);
            set_modified(sandbox, "in/a.txt", before.modified().unwrap());
        }
        // `cp -p`.
        23 => {
            sandbox.write("in/one", std::fs::read(sandbox.path("in/two")).unwrap());
            let time = std::fs::metadata(sandbox.path("in/two")).unwrap().modified().unwrap();
            set_modified(sandbox, "in/one", time);
        }
        _ => {
            let done =
                sandbox.finish(sandbox.command(&["run", "--replace"]).env("COLOUR", &*colour));
            assert_eq!(done.code, 0, "{done}");
        }
    }
}

/// Replaces `one` by `other`, or back.
fn replace(sandbox: &Sandbox, one: &str, other: &str) {
    let pipeline = sandbox.read("pipeline.toml");
    let (from, to) = if pipeline.contains(other) { (other, one) } else { (one, other) };
    sandbox.write("pipeline.toml", pipeline.replacen(from, to, 1));
}

#[test]
fn load_stale_matches_full_load() {
    for seed in 1..=6_u64 {
        let sandbox = Sandbox::with(PIPELINE);
        sandbox.write("in/one", "1");
        sandbox.write("in/two", "2");
        sandbox.write("in/a.txt", "a");
        sandbox.write("more.toml", "b = 1\n");
        sandbox.write("conf/size/small.toml", "n = 1\n");
        sandbox.write("conf/size/large.toml", "n = 10\n");
        sandbox.write("tool", "1");
        symlink("in", sandbox.path("link")).unwrap();
        let (mut colour, mut state) = ("red".to_owned(), seed);
        for step in 0..40 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            edit(&sandbox, state >> 33, &mut colour);
            let (all, each) =
                (verdicts(&sandbox, &[], &colour), verdicts(&sandbox, &STAGES, &colour));
            assert_eq!(all, each, "seed {seed}, step {step}, edit {}", (state >> 33) % 28);
        }
    }
}

#[test]
fn missing_input_error_keeps_line() {
    let sandbox =
        Sandbox::with("[stages.a]\ncmd = \"cp in out\"\ndeps = [\"in\"]\nouts = [\"out\"]\n");
    sandbox.write("in", "x");
    sandbox.ok(&["run"]);
    sandbox.remove("in");
    for args in [["status"], ["run"], ["status"]] {
        let done = sandbox.repro(&args);
        assert_eq!(done.code, 2, "{done}");
        assert!(done.stderr.contains("pipeline.toml:3: "), "{done}");
    }
    sandbox.write("in", "x");
    assert!(sandbox.ok(&["status"]).stdout.starts_with("everything is up to date"));
}
