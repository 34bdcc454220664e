//! Optional outs, which a stage or an item may omit: absence is a result like any other.

use crate::sandbox::{Sandbox, files};
use crate::snapshot;

const NOTES: &str = r#"
[stages.check]
cmd = "echo run >> ran; cat in > all; if grep -q odd in; then echo odd > notes/odd; fi"
deps = ["in"]
outs = ["all", { path = "notes/odd", optional = true }]

[stages.count]
cmd = "echo count >> ran; find notes -type f 2>/dev/null | wc -l > count"
deps = ["notes/*"]
outs = ["count"]
"#;

fn notes() -> Sandbox {
    let sandbox = Sandbox::with(NOTES);
    sandbox.write("in", "fine");
    sandbox.write("notes/mine", "");
    sandbox
}

#[test]
fn absent_optional_out() {
    let sandbox = notes();
    snapshot!(sandbox.ok(&["run", "check"]), @"
    exit 0
    --- stderr
    run-1: started
    check: started (never ran)
    check: ran in [time]

     all by check

    ✓ run-1 done in [time]: 1 ran
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["run", "count"]);
    assert!(sandbox.read("pipeline.lock").contains("\nabsent notes/odd\n"));
    snapshot!(sandbox.ok(&["run"]), @"
    exit 0
    --- stderr
    everything is up to date (2 stages, [time])
    ");
    sandbox.write("in", "odd");
    sandbox.ok(&["run"]);
    assert_eq!((sandbox.ran().len(), sandbox.read("count").trim()), (2, "2"));
    sandbox.write("in", "fine");
    // Status predicts that nothing will be at that path.
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    check can be restored from the cache: dep in changed
    count can be restored from the cache: dep notes/* changed
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    assert_eq!(files(&sandbox.path("notes")), ["mine"]);
}

#[test]
fn file_at_absent_out_stored() {
    let sandbox = notes();
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.write("notes/odd", "by hand");
    snapshot!(sandbox.ok(&["why", "check"]), @"
    exit 0
    --- stdout
    check will be restored from the cache
     out notes/odd differs from what the stage wrote
    ");
    sandbox.ok(&["checkout", "check"]);
    assert!(!sandbox.exists("notes/odd"));
    sandbox.write("notes/odd", "by hand");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    assert!(!sandbox.exists("notes/odd"));
    let digest = blake3::hash(b"by hand").to_string();
    assert!(sandbox.exists(&format!("cache/objects/{}/{}", &digest[..2], &digest[2..])));
}

#[test]
fn dep_on_absent_optional_out() {
    let sandbox = notes();
    sandbox.edit("pipeline.toml", r#"deps = ["notes/*"]"#, r#"deps = ["notes/odd"]"#);
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    run-1: started
    check: started (never ran)
    check: ran in [time]
    count: failed: cannot be checked: dep `notes/odd` of stage `count` does not exist
    error: stage `count` failed: cannot be checked: dep `notes/odd` of stage `count` does not exist
     hint: it is an optional out of stage `check`, which did not write it; use a folder or a glob for a dep that may be missing

    ✓ check ran [time]
    ✗ count failed

    ✗ run-1 failed after [time]: 1 failed, 1 ran
    ");
}

#[test]
fn item_without_optional_out() {
    let sandbox = Sandbox::with(
        r#"
[stages.decode]
each = "in/*"
cmd = """echo {{ item.stem }} >> ran; \
  if grep -q bad {{ item.path }}; then echo bad > out/{{ item.stem }}.fault; \
  else cp {{ item.path }} out/{{ item.stem }}.ok; fi"""
outs = [
  { path = "out/{{ item.stem }}.ok", optional = true },
  { path = "out/{{ item.stem }}.fault", optional = true },
]
"#,
    );
    for name in ["a", "b", "bad"] {
        sandbox.write(&format!("in/{name}"), name);
    }
    sandbox.ok(&["run", "-j1"]);
    assert_eq!(files(&sandbox.path("out")), ["a.ok", "b.ok", "bad.fault"]);
    sandbox.ran();
    sandbox.write("in/a", "bad now");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["a"]);
    assert_eq!(files(&sandbox.path("out")), ["a.fault", "b.ok", "bad.fault"]);
    // Restored from the cache: a file that the item had not written is removed.
    sandbox.write("in/a", "a");
    sandbox.write("out/bad.ok", "strange");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    assert_eq!(files(&sandbox.path("out")), ["a.ok", "b.ok", "bad.fault"]);
}

#[test]
fn required_out_must_be_written() {
    let sandbox = Sandbox::with(
        r#"
[stages.decode]
each = "in/*"
cmd = "true {{ item.stem }}"
outs = ["out/{{ item.stem }}.ok"]

[stages.input]
outs = [{ path = "in", optional = true }]
"#,
    );
    sandbox.write("in/a", "a");
    snapshot!(sandbox.repro(&["run", "decode"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:8: out `in` of stage `input` is optional, but the stage has no `cmd`
     hint: remove `optional`: a tracked input must exist
    ");
    sandbox.edit("pipeline.toml", ", optional = true", "");
    snapshot!(sandbox.repro(&["run", "decode"]), @"
    exit 1
    --- stderr
    run-1: started
    input: started (never ran)
    input: ran in [time]
    decode: started (never ran)
    decode: failed after [time]: exited with code 0, but did not write `out/a.ok`, an out of item `in/a`
    error: stage `decode` failed after [time]: exited with code 0, but did not write `out/a.ok`, an out of item `in/a`
     hint: write it, or correct the outs of stage `decode` (pipeline.toml:2); set `optional = true` if it may be missing

    ✓ input ran [time]
    ✗ decode failed [time]

    ✗ run-1 failed after [time]: 1 failed, 1 ran
    ");
}

#[test]
fn out_no_longer_optional() {
    let sandbox = notes();
    sandbox.ok(&["run", "check"]);
    sandbox.ran();
    sandbox.edit("pipeline.toml", ", optional = true", "");
    snapshot!(sandbox.ok(&["status", "check"]), @"
    exit 0
    --- stdout
    check is out of date: out notes/odd is missing
    ");
    sandbox.edit("pipeline.toml", "if grep", "touch notes/odd; if grep");
    sandbox.ok(&["run", "check"]);
    assert_eq!(sandbox.ran(), ["run"]);
}

#[test]
fn emptied_folder_still_exists() {
    let sandbox = notes();
    sandbox.edit("pipeline.toml", r#"deps = ["notes/*"]"#, r#"deps = ["notes"]"#);
    sandbox.remove("notes/mine");
    for text in ["fine", "odd"] {
        sandbox.write("in", text);
        sandbox.ok(&["run"]);
    }
    sandbox.ran();
    sandbox.write("in", "fine");
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    check can be restored from the cache: dep in changed
    count can be restored from the cache: dep notes changed
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), [""; 0]);
}
