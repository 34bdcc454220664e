//! `repro run`: which stages run, which are restored, which are skipped.

use crate::sandbox::{Sandbox, files};
use crate::snapshot;

/// Three stages in a row; each appends its name to `ran`, a file that no stage declares.
pub const CHAIN: &str = r#"
[params]
top = 2
[params.report]
title = "t"   # shown above

[stages.words]
cmd = "tr ' ' '\n' < in.txt > words.txt; echo words >> ran"
deps = ["in.txt"]
outs = ["words.txt"]

[stages.count]
cmd = "mkdir counts; sort words.txt | uniq -c > counts/all; echo count >> ran"
deps = ["words.txt"]
params = ["top"]
outs = ["counts"]

[stages.report]
cmd = "cat counts/all > report.txt; echo '{\"lines\": 3}' > report.json; echo report >> ran"
deps = ["counts"]
params = ["report"]
outs = ["report.txt"]
metrics = ["report.json"]
"#;

pub fn chain() -> Sandbox {
    let sandbox = Sandbox::with(CHAIN);
    sandbox.write("in.txt", "a b c a");
    sandbox
}

#[test]
fn second_run_is_noop() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["words", "count", "report"]);
    let before = files(&sandbox.path("runs"));
    snapshot!(sandbox.repro(&["run"]), @"
    exit 0
    --- stderr
    everything is up to date (3 stages, [time])
    ");
    assert!(sandbox.ran().is_empty());
    assert_eq!(files(&sandbox.path("runs")), before);
}

#[test]
fn changed_param_and_back() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.ok(&["params", "set", "top=3"]);
    sandbox.ok(&["run"]);
    // `count` wrote the same bytes as before, so `report` is fresh.
    assert_eq!(sandbox.ran(), ["count"]);
    sandbox.ok(&["params", "set", "title=\"u\""]);
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["report"]);
    sandbox.ok(&["params", "set", "top=2", "title=t"]);
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
    assert_eq!(sandbox.read("pipeline.toml"), CHAIN);
}

#[test]
fn touch_and_rename_run_nothing() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.write("in.txt", "a b c a");
    sandbox.edit("pipeline.toml", "[stages.words]", "[stages.split]");
    let done = sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty(), "{done}");
    assert!(sandbox.read("pipeline.lock").contains("stage split\n"));
    assert!(!sandbox.read("pipeline.lock").contains("stage words\n"));
}

#[test]
fn checkout_deleted_and_older_outs() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    let (lock, report) = (sandbox.read("pipeline.lock"), sandbox.read("report.txt"));
    for path in ["words.txt", "counts", "report.txt"] {
        sandbox.remove(path);
    }
    sandbox.ok(&["checkout"]);
    assert_eq!(sandbox.read("report.txt"), report);
    assert!(sandbox.exists("counts/all"));

    sandbox.write("in.txt", "z");
    sandbox.ok(&["run"]);
    assert_ne!(sandbox.read("report.txt"), report);
    sandbox.write("pipeline.lock", lock);
    sandbox.ok(&["checkout"]);
    assert_eq!(sandbox.read("report.txt"), report);
    snapshot!(sandbox.repro(&["checkout"]), @"
    exit 0
    --- stdout
    the workspace already matches `pipeline.lock`
    ");
}

#[test]
fn fresh_without_lock_or_history() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    let lock = sandbox.read("pipeline.lock");
    sandbox.ran();
    sandbox.remove("runs");
    sandbox.remove("pipeline.lock");
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
    assert_eq!(sandbox.read("pipeline.lock"), lock);
    sandbox.remove("cache");
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
}

#[test]
fn lock_independent_of_jobs() {
    let mut pipeline = String::new();
    for n in 0..12 {
        pipeline += &format!(
            "[stages.s{n}]\ncmd = \"cat in.txt {} > o{n}\"\ndeps = [\"in.txt\"{}]\n\
             outs = [\"o{n}\"]\n",
            if n > 2 { format!("o{}", n - 3) } else { String::new() },
            if n > 2 { format!(", \"o{}\"", n - 3) } else { String::new() },
        );
    }
    let locks: Vec<String> = ["1", "8"]
        .iter()
        .map(|jobs| {
            let sandbox = Sandbox::with(&pipeline);
            sandbox.write("in.txt", "x\n");
            sandbox.ok(&["run", "-j", jobs]);
            sandbox.read("pipeline.lock")
        })
        .collect();
    assert_eq!(locks[0], locks[1]);
}

#[test]
fn independent_stages_run_concurrently() {
    // Each stage waits for the other, so they cannot end if they run one after the other.
    let wait = "mkfifo p 2>/dev/null; ";
    let sandbox = Sandbox::with(&format!(
        "[stages.a]\ncmd = \"{wait} echo x > p; touch a\"\nouts = [\"a\"]\n\
         [stages.b]\ncmd = \"{wait} read y < p; touch b\"\nouts = [\"b\"]\n"
    ));
    sandbox.ok(&["run", "-j", "2"]);
}

#[test]
fn failure_report_and_skipped_stages() {
    let sandbox = Sandbox::with(
        r#"
[stages.good]
cmd = "echo fine > good"
outs = ["good"]
[stages.bad]
cmd = "echo loss is NaN at step 1200; exit 3"
deps = ["good"]
outs = ["x"]
[stages.after]
cmd = "cp x y"
deps = ["x"]
outs = ["y"]
"#,
    );
    snapshot!(sandbox.repro(&["run", "-j", "1"]), @r#"
    exit 1
    --- stderr
    run-1: started
    good: started (never ran)
    good: ran in [time]
    bad: started (never ran)
    bad | loss is NaN at step 1200
    bad: failed after [time]: exited with code 3
    after: skipped: needs bad
    error: stage `bad` failed after [time]: exited with code 3
     caused by: its last line: "loss is NaN at step 1200"
     hint: `repro runs logs run-1 bad` shows the whole log

    ✓ good ran [time]
    ✗ bad failed [time]
    ⊘ after skipped

    ✗ run-1 failed after [time]: 1 failed, 1 skipped, 1 ran
    "#);
    let text = sandbox.read("pipeline.toml");
    let other = "[stages.other]\ncmd = \"touch other\"\ndeps = [\"good\"]\nouts = [\"other\"]\n";
    sandbox.write("pipeline.toml", text + other);
    let done = sandbox.repro(&["run", "-j", "1", "--keep-going"]);
    assert_eq!(done.code, 1, "{done}");
    for line in
        ["after: skipped: needs bad", "other: ran in", "1 failed, 1 skipped, 1 ran, 1 up to date"]
    {
        assert!(done.stderr.contains(line), "{done}");
    }
    assert!(sandbox.exists("other"));
}

#[test]
fn contract_violation_fails_stage() {
    let cases = [
        ("an out that is not written", "true", "did not write its out `x`"),
        (
            "a dep that is written",
            "touch x; echo more >> in.txt",
            "its dep `in.txt` changed while it ran",
        ),
        ("a missing command", "no-such-command-anywhere", "exited with code 127"),
        ("a signal", "kill -9 $$", "was killed by signal 9"),
    ];
    for (what, cmd, message) in cases {
        let sandbox =
            Sandbox::with(&format!("[stages.s]\ncmd = '{cmd}'\ndeps = ['in.txt']\nouts = ['x']\n"));
        sandbox.write("in.txt", "1");
        let done = sandbox.repro(&["run"]);
        assert_eq!(done.code, 1, "{what}: {done}");
        assert!(done.stderr.contains(message), "{what}: {done}");
        assert!(
            !sandbox.exists("pipeline.lock") || !sandbox.read("pipeline.lock").contains("stage s"),
            "{what}"
        );
    }
}

#[test]
fn process_environment() {
    let sandbox = Sandbox::with(
        r#"
[params]
seed = 7
secret = "no"
[params.train]
epochs = 10
[stages.s]
cmd = """cp $REPRO_PARAMS params.json; \
  echo $REPRO_STAGE $REPRO_RUN $REPRO_ROOT $GREETING > env.txt; pwd > pwd.txt; cat"""
wdir = "sub"
env = { GREETING = "hello" }
params = ["seed", "train"]
outs = ["sub/params.json", "sub/env.txt", "sub/pwd.txt"]
"#,
    );
    std::fs::create_dir(sandbox.path("sub")).unwrap();
    sandbox.ok(&["run"]);
    let params: serde_json::Value = serde_json::from_str(&sandbox.read("sub/params.json")).unwrap();
    assert_eq!(params, serde_json::json!({"seed": 7, "train": {"epochs": 10}}));
    let root = sandbox.root();
    assert_eq!(sandbox.read("sub/env.txt"), format!("s run-1 {} hello\n", root.display()));
    assert_eq!(sandbox.read("sub/pwd.txt"), format!("{}/sub\n", root.display()));
}

#[test]
fn own_path_keeps_shell() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'echo \"$PATH\" > x'\nenv = { PATH = '/nowhere' }\nouts = ['x']\n",
    );
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("x"), "/nowhere\n");
}

#[test]
fn edited_out_stored_before_replacement() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.write("counts/mine", "by hand");
    let digest = blake3::hash(b"by hand").to_string();
    sandbox.ok(&["run"]);
    assert!(!sandbox.exists("counts/mine"));
    let object = sandbox.read(&format!("cache/objects/{}/{}", &digest[..2], &digest[2..]));
    assert_eq!(object, "by hand");
}

#[test]
fn override_and_force() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.ok(&["run", "-p", "top=9"]);
    assert_eq!(sandbox.ran(), ["count"]);
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
    sandbox.ok(&["run", "--force=report"]);
    assert_eq!(sandbox.ran(), ["report"]);
    sandbox.ok(&["run", "words", "--force"]);
    assert_eq!(sandbox.ran(), ["words"]);
    snapshot!(sandbox.repro(&["run", "-p", "tpo=9"]), @"
    exit 2
    --- stderr
    error: -p tpo=9: there is no param `tpo`
     hint: did you mean `top`?
    ");
}

#[test]
fn json_event_lines() {
    let sandbox = Sandbox::with(
        "[stages.s]\n\
         cmd = '''\n\
         echo '{\"metric\":\"loss\",\"step\":1,\"value\":0.5}' >> $REPRO_EVENTS; echo hi'''\n",
    );
    let done = sandbox.ok(&["run", "--json"]);
    let events: Vec<serde_json::Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["stream_started", "run_started"]);
    assert_eq!(names.last(), Some(&"run_ended"));
    for name in ["stage_started", "line", "metric", "stage_ended"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let ended = events.iter().find(|event| event["event"] == "stage_ended").unwrap();
    assert_eq!(ended["outcome"], "ran");
}

#[test]
fn run_names_replaced_out() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'echo 1 > o'\nouts = ['o']\n");
    sandbox.ok(&["run"]);
    for (id, args, text) in [("1", &["run"][..], "edited"), ("2", &["run", "-f"], "again")] {
        sandbox.write("o", text);
        let done = sandbox.ok(args);
        let warning = format!(
            "s: warning: your version of `o` was replaced; `repro trash restore {id}` brings it \
             back"
        );
        assert!(done.stderr.contains(&warning), "{done}");
        sandbox.ok(&["trash", "restore", id]);
        assert_eq!(sandbox.read("o"), text);
    }
}

#[test]
fn out_written_in_wdir() {
    let sandbox = Sandbox::with(
        "[stages.s]\nwdir = 'w'\ncmd = 'echo 1 > m'\ndeps = ['w/in']\nouts = ['m']\n",
    );
    sandbox.write("w/in", "");
    let done = sandbox.repro(&["run"]);
    let hint = "hint: it wrote `w/m`; outs are relative to the project root, the command runs in \
                `w`";
    assert!(done.stderr.contains(hint), "{done}");
}

#[test]
fn independent_stage_skipped() {
    let sandbox = Sandbox::with(
        "[stages.bad]\ncmd = 'exit 1'\nouts = ['x']\n\
         [stages.slow]\ncmd = 'sleep 1; touch s'\nouts = ['s']\n\
         [stages.next]\ncmd = 'touch n'\ndeps = ['s']\nouts = ['n']\n",
    );
    let done = sandbox.repro(&["run", "-j", "2"]);
    assert!(done.stderr.contains("next: skipped: bad failed (-k runs it anyway)"), "{done}");
}

#[test]
fn target_by_out_path() {
    let sandbox = Sandbox::with(
        r#"
        [stages.words]
        cmd = "mkdir -p data/out && echo hi > data/out/b.txt"
        outs = ["data/out"]
        [stages.c]
        cmd = "echo hi > c.txt"
        outs = ["c.txt"]
        "#,
    );
    sandbox.ok(&["run", "data/out/b.txt"]);
    assert!(sandbox.exists("data/out/b.txt") && !sandbox.exists("c.txt"));
    sandbox.ok(&["run", "--only", "./c.txt"]);
    snapshot!(sandbox.repro(&["run", "c.tx"]), @r"
    exit 2
    --- stderr
    error: there is no stage `c.tx`, and no stage has an out of this name
     hint: did you mean `c.txt`?
    ");
}

#[test]
fn logs_without_run_name() {
    let sandbox = Sandbox::with(
        r#"
        [stages.train]
        matrix.seed = [1, 2]
        cmd = "echo seed {{ matrix.seed }} > o{{ matrix.seed }}; echo log {{ matrix.seed }}"
        outs = ["o{{ matrix.seed }}"]
        "#,
    );
    sandbox.ok(&["run"]);
    // The order of the two depends on which started first.
    for args in [&["runs", "logs", "train"][..], &["runs", "logs", "1", "train"]] {
        let logs = sandbox.ok(args).stdout;
        for stage in ["train@1", "train@2"] {
            let (_, seed) = stage.split_once('@').unwrap();
            let heading = format!("==> {stage} (ran in ");
            let (_, log) = logs.split_once(&heading).unwrap_or_else(|| panic!("{logs}"));
            assert_eq!(log.lines().nth(1), Some(&*format!("log {seed}")), "{logs}");
        }
    }
    assert_eq!(sandbox.ok(&["runs", "logs", "train@2"]).stdout, "log 2\n");
    snapshot!(sandbox.repro(&["runs", "logs", "trian@1"]), @r"
    exit 2
    --- stderr
    error: there is no stage `trian@1` in run-1
     hint: did you mean `train@1`?
    ");
}

#[test]
fn plain_progress_on_request() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'echo 1 > o'\nouts = ['o']");
    snapshot!(sandbox.repro(&["run", "--plain", "--json"]), @r"
    exit 2
    --- stderr
    error: the argument '--plain' cannot be used with '--json'

    Usage: repro run --plain [STAGE]...

    For more information, try '--help'.
    ");
    assert!(sandbox.ok(&["run", "--plain"]).stderr.starts_with("run-1: started\n"));
}

#[test]
fn ordinary_output_is_no_cause() {
    let sandbox =
        Sandbox::with("[stages.s]\ncmd = 'echo epoch 3: loss 0.1; exit 1'\nouts = ['o']\n");
    let done = sandbox.repro(&["run"]);
    assert_eq!(done.code, 1, "{done}");
    assert!(!done.stderr.contains("caused by"), "{done}");
    assert!(done.stderr.contains("`repro runs logs run-1 s` shows the whole log"), "{done}");
}

#[test]
fn targets_by_typed_path() {
    let sandbox = Sandbox::with(
        "[stages.a]\ncmd = 'mkdir -p d; echo a > d/a'\nouts = ['d/a']\n\
         [stages.b]\ncmd = 'echo b > b'\nouts = ['b']\n",
    );
    sandbox.write("d/e/x", "");
    let full = sandbox.path("d/a").display().to_string();
    for (folder, target) in [(".", "./d/a"), ("d", "./a"), ("d/e", "../a"), ("d", &full)] {
        for command in ["run", "status", "why", "dag"] {
            let done = sandbox
                .finish(sandbox.command(&[command, target]).current_dir(sandbox.path(folder)));
            assert_eq!(done.code, 0, "{done}");
        }
        let done = sandbox
            .finish(sandbox.command(&["run", "-f", target]).current_dir(sandbox.path(folder)));
        assert!(done.stderr.contains("a: ran in") && !done.stderr.contains("b: ran"), "{done}");
    }
    assert!(!sandbox.exists("b"));
    let done = sandbox.repro(&["run", "../b"]);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stderr.contains("error: `../b` is not inside the project"), "{done}");
}
