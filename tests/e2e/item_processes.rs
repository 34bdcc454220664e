//! Stages with one process per item: scheduling, failures and retries.

use crate::sandbox::{Sandbox, files};

#[test]
fn command_per_item() {
    let sandbox = Sandbox::with(
        r#"
[stages.upper]
each = "in/*"
cmd = "tr a-z A-Z < {{ item.path }} > up/{{ item.name }} && echo {{ item.stem }} >> ran"
outs = ["up/{{ item.name }}"]
"#,
    );
    for name in ["a b.txt", "c.txt", "it's.txt", "d.txt", "e.txt"] {
        sandbox.write(&format!("in/{name}"), name);
    }
    sandbox.ok(&["run", "-j3"]);
    let mut ran = sandbox.ran();
    ran.sort();
    assert_eq!(ran, ["a b", "c", "d", "e", "it's"]);
    assert_eq!(sandbox.read("up/it's.txt"), "IT'S.TXT");
    sandbox.write("in/f.txt", "f");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["f"]);
    // The failed item is named; the items that succeeded are kept.
    sandbox.edit("pipeline.toml", "tr a-z", "test {{ item.stem }} != d && tr a-z");
    let done = sandbox.repro(&["run", "-j1"]);
    assert_eq!(done.code, 1, "{done}");
    assert!(done.stderr.contains("exited with code 1 for item `in/d.txt`"), "{done}");
    assert_eq!(sandbox.ran(), ["a b", "c"]);
    sandbox.remove("in/d.txt");
    sandbox.ok(&["run", "-j1"]);
    let mut ran = sandbox.ran();
    ran.sort();
    assert_eq!(ran, ["e", "f", "it's"]);
}

#[test]
fn items_run_beside_other_stages() {
    let sandbox = Sandbox::with(
        r#"
[stages.up]
each = "in/*"
cmd = "touch begun; until [ -e other.txt ]; do sleep 0.01; done; cp {{ item.path }} up/"
outs = ["up/{{ item.name }}"]
timeout = "60s"

[stages.other]
cmd = "until [ -e begun ]; do sleep 0.01; done; echo > other.txt"
outs = ["other.txt"]
timeout = "60s"
"#,
    );
    for name in ["a", "b", "c"] {
        sandbox.write(&format!("in/{name}"), name);
    }
    sandbox.ok(&["run", "-j2"]);
    assert_eq!(files(&sandbox.path("up")), ["a", "b", "c"]);
}

#[test]
fn items_share_token_with_stages() {
    let alone = "mkdir busy && touch busy/x && rm busy/x && rmdir busy";
    let sandbox = Sandbox::with(&format!(
        r#"
[tokens]
licence = 1

[stages.up]
each = "in/*"
cmd = "{alone} && cp {{{{ item.path }}}} up/"
outs = ["up/{{{{ item.name }}}}"]
uses = ["licence"]

[stages.other]
cmd = "{alone} && echo > other.txt"
outs = ["other.txt"]
uses = ["licence"]
"#
    ));
    for name in 0..20 {
        sandbox.write(&format!("in/{name}"), "x");
    }
    sandbox.ok(&["run", "-j4"]);
    assert_eq!(files(&sandbox.path("up")).len(), 20);
}

#[test]
fn keep_going_runs_other_items() {
    let sandbox = Sandbox::with(
        r#"
[stages.up]
each = "in/*"
cmd = "test ! -e bad-{{ item.name }} && cp {{ item.path }} up/ && echo {{ item.name }} >> ran"
outs = ["up/{{ item.name }}"]

[stages.next]
cmd = "ls up > next.txt"
deps = ["up"]
outs = ["next.txt"]
"#,
    );
    for name in ["a", "b", "c", "d", "e"] {
        sandbox.write(&format!("in/{name}"), name);
    }
    sandbox.write("bad-b", "");
    sandbox.write("bad-d", "");
    let done = sandbox.repro(&["run", "-j1", "-k"]);
    assert_eq!(done.code, 1, "{done}");
    assert!(done.stderr.contains("exited with code 1 for item `in/b`"), "{done}");
    assert!(done.stderr.contains("1 more item failed"), "{done}");
    assert!(done.stderr.contains("next: skipped: needs up"), "{done}");
    assert_eq!(sandbox.ran(), ["a", "c", "e"]);
    sandbox.remove("bad-b");
    sandbox.remove("bad-d");
    sandbox.ok(&["run", "-j1"]);
    assert_eq!(sandbox.ran(), ["b", "d"]);
}

#[test]
fn item_retry_and_timeout() {
    let sandbox = Sandbox::with(
        r#"
[stages.up]
each = "in/*"
cmd = """echo {{ item.name }} >> ran; \
  test {{ item.name }} != b || test -e tried || { touch tried; exit 1; }; cp {{ item.path }} up/"""
outs = ["up/{{ item.name }}"]
retries = { count = 1, delay = "1s" }
"#,
    );
    for name in ["a", "b", "c"] {
        sandbox.write(&format!("in/{name}"), name);
    }
    let done = sandbox.ok(&["run", "-j1"]);
    assert_eq!(sandbox.ran(), ["a", "b", "b", "c"]);
    assert!(done.stderr.contains("exited with code 1; it will be retried once more"), "{done}");
    sandbox.edit("pipeline.toml", "retries = { count = 1, delay = \"1s\" }", "timeout = \"1s\"");
    sandbox.edit(
        "pipeline.toml",
        "echo {{ item.name }} >> ran;",
        "test {{ item.name }} != b || exec sleep 600;",
    );
    let done = sandbox.repro(&["run", "-j1"]);
    assert!(done.stderr.contains("took longer than its timeout of 1.0s for item `in/b`"), "{done}");
}

#[test]
fn item_that_cannot_be_quoted() {
    for place in ["\"${X:-{{ item.path }}}\"", "`echo {{ item.path }}`", "$'{{ item.path }}'"] {
        let sandbox = Sandbox::with(&format!(
            "[stages.a]\neach = 'in/*'\ncmd = '''echo {place} > out/x'''\n\
             outs = ['out/{{{{ item.name }}}}']\n"
        ));
        sandbox.write("in/a$(touch pwned).txt", "a");
        let done = sandbox.repro(&["run"]);
        assert_eq!(done.code, 2, "{done}");
        let item = "item `in/a$(touch pwned).txt` has characters that cannot be quoted";
        assert!(done.stderr.contains(item), "{done}");
        assert!(!sandbox.path("pwned").exists(), "{place}");
    }
}
