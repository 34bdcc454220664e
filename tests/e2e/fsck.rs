//! `repro fsck`: damage in the cache is found, and repaired as far as possible.

use std::fs;

use crate::run::chain;
use crate::sandbox::{Sandbox, files};
use crate::snapshot;

/// A project of three stages that has run.
fn ran() -> Sandbox {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox
}

fn object(digest: &str) -> String {
    format!("cache/objects/{}/{}", &digest[..2], &digest[2..64])
}

fn object_of(sandbox: &Sandbox, path: &str) -> String {
    object(&blake3::hash(&fs::read(sandbox.path(path)).unwrap()).to_string())
}

/// Returns the path of the first tree object in the lock, in `chain` that of `counts`.
fn tree(sandbox: &Sandbox) -> String {
    let lock = sandbox.read("pipeline.lock");
    object(lock.lines().find_map(|line| line.strip_prefix("out tree ")).unwrap())
}

/// Replaces the bytes of an object. Its file is read-only, so it is removed first.
fn replace(sandbox: &Sandbox, object: &str, bytes: &[u8]) {
    fs::remove_file(sandbox.path(object)).unwrap();
    sandbox.write(object, bytes);
}

fn flip(sandbox: &Sandbox, object: &str) {
    let mut bytes = fs::read(sandbox.path(object)).unwrap();
    bytes[0] ^= 1;
    replace(sandbox, object, &bytes);
}

#[test]
fn fsck_changes_nothing() {
    let sandbox = ran();
    let before = files(&sandbox.path("cache"));
    snapshot!(sandbox.repro(&["fsck"]), @"
    exit 0
    --- stdout
    the cache is intact: 4 objects (137 B), 3 traces
    ");
    snapshot!(sandbox.repro(&["fsck", "--json"]), @r#"
    exit 0
    --- stdout
    {
     "clean": true,
     "damaged_trash": null,
     "faults": [],
     "newer_traces": 0,
     "objects": {
     "bytes": 137,
     "count": 4
     },
     "strays": [],
     "traces": 3,
     "unreadable_traces": []
    }
    "#);
    flip(&sandbox, &object_of(&sandbox, "words.txt"));
    flip(&sandbox, &tree(&sandbox));
    assert_eq!(sandbox.repro(&["fsck"]).code, 4);
    assert_eq!(files(&sandbox.path("cache")), before);
}

#[test]
fn repair_from_workspace() {
    let sandbox = ran();
    let object = object_of(&sandbox, "words.txt");
    flip(&sandbox, &object);
    snapshot!(sandbox.repro(&["fsck"]), @"
    exit 4
    --- stdout
    damaged object 969a1f3888
     `words.txt` of stage `words` in pipeline.lock
     `words.txt` of trace 0a1ec10722
    the cache is not intact: 1 damaged object; checked 4 objects (137 B), 3 traces
    `repro fsck --repair` rebuilds what it can and moves damaged objects to cache/damaged
    ");
    snapshot!(sandbox.repro(&["fsck", "--repair"]), @"
    exit 0
    --- stdout
    damaged object 969a1f3888
     `words.txt` of stage `words` in pipeline.lock
     `words.txt` of trace 0a1ec10722
    the cache is not intact: 1 damaged object; checked 4 objects (137 B), 3 traces
    moved cache/objects/96/9a1f3888b3eedc63810d1a61900a0aa3f05b6b02a6d36e84a521f94e60967a to cache/damaged/969a1f3888b3eedc63810d1a61900a0aa3f05b6b02a6d36e84a521f94e60967a
    rebuilt object 969a1f3888 from the workspace
    the cache is intact again
    ");
    assert_eq!(sandbox.read(&object), sandbox.read("words.txt"));
    assert_eq!(sandbox.repro(&["fsck"]).code, 0);
    assert_eq!(files(&sandbox.path("cache/damaged")).len(), 1, "nothing is thrown away");
}

#[test]
fn unrepairable_object_names_stages() {
    let sandbox = ran();
    flip(&sandbox, &object_of(&sandbox, "counts/all"));
    // `report.txt` has the same bytes.
    ["counts/all", "report.txt"].iter().for_each(|path| sandbox.write(path, "edited"));
    snapshot!(sandbox.repro(&["fsck", "--repair"]), @"
    exit 4
    --- stdout
    damaged object 27c4b85d32
     `counts/all` of stage `count` in pipeline.lock
     `report.txt` of stage `report` in pipeline.lock
     `counts/all` of trace 1f92c334f6
     and 1 more
    the cache is not intact: 1 damaged object; checked 4 objects (137 B), 3 traces
    moved cache/objects/27/c4b85d3272c8701aabf7bf9e6ad5251455ec406c303ea6d49ef420a4c95219 to cache/damaged/27c4b85d3272c8701aabf7bf9e6ad5251455ec406c303ea6d49ef420a4c95219
    deleted trace 1f92c334f6
    deleted trace 6c572d3be1
    remaining faults:
    missing object 27c4b85d32
     `counts/all` of stage `count` in pipeline.lock
     `report.txt` of stage `report` in pipeline.lock
    `repro run count` makes its outs again
    `repro run report` makes its outs again
    ");
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.repro(&["fsck", "--json"]).stdout).unwrap();
    assert_eq!(json["faults"][0]["fault"], "missing");
    assert_eq!(json["faults"][0]["referrers"][0]["path"], "counts/all");
    sandbox.ok(&["run", "count"]);
    assert_eq!(sandbox.ran(), ["count"]);
    assert_eq!(sandbox.repro(&["fsck"]).code, 0);
}

#[test]
fn repair_truncated_tree() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'mkdir d; echo 1 > d/f'\nouts = ['d']\n");
    sandbox.ok(&["run"]);
    let (tree, below) = (tree(&sandbox), object_of(&sandbox, "d/f"));
    let bytes = fs::read(sandbox.path(&tree)).unwrap();
    replace(&sandbox, &tree, &bytes[..bytes.len() / 2]);
    // fsck cannot know about this object until the tree is readable again.
    sandbox.remove(&below);
    snapshot!(sandbox.repro(&["fsck"]), @"
    exit 4
    --- stdout
    damaged object 751a2513fc
     `d` of stage `s` in pipeline.lock
     `d` of trace 3d334c5af7
    the cache is not intact: 1 damaged object; checked 1 object (42 B), 1 trace
    `repro fsck --repair` rebuilds what it can and moves damaged objects to cache/damaged
    ");
    snapshot!(sandbox.repro(&["fsck", "--repair"]), @"
    exit 0
    --- stdout
    damaged object 751a2513fc
     `d` of stage `s` in pipeline.lock
     `d` of trace 3d334c5af7
    the cache is not intact: 1 damaged object; checked 1 object (42 B), 1 trace
    moved cache/objects/75/1a2513fc08ec35959b668a1ddae70f8689c3356c7a8f2cd9a4fe938cb326e5 to cache/damaged/751a2513fc08ec35959b668a1ddae70f8689c3356c7a8f2cd9a4fe938cb326e5
    rebuilt object 50cc1102b1 from the workspace
    rebuilt object 751a2513fc from the workspace
    the cache is intact again
    ");
    assert_eq!(fs::read(sandbox.path(&tree)).unwrap(), bytes);
    assert_eq!(sandbox.read(&below), "1\n");
}

#[test]
fn missing_object_lists_referrers() {
    let sandbox = ran();
    let object = object_of(&sandbox, "report.txt");
    assert_eq!(object, object_of(&sandbox, "counts/all"), "two outs of the same bytes");
    sandbox.remove(&object);
    snapshot!(sandbox.repro(&["fsck"]), @"
    exit 4
    --- stdout
    missing object 27c4b85d32
     `counts/all` of stage `count` in pipeline.lock
     `report.txt` of stage `report` in pipeline.lock
     `counts/all` of trace 1f92c334f6
     and 1 more
    the cache is not intact: 1 missing object; checked 3 objects (107 B), 3 traces
    `repro fsck --repair` rebuilds what it can and moves damaged objects to cache/damaged
    ");
    sandbox.ok(&["fsck", "--repair"]);
    assert!(sandbox.exists(&object));
}

#[test]
fn repair_removes_dangling_traces() {
    let sandbox = ran();
    sandbox.write("in.txt", "other words");
    sandbox.ok(&["run", "words"]);
    sandbox.remove("cache/objects");
    sandbox.remove("words.txt");
    sandbox.write("in.txt", "a b c a");
    let done = sandbox.repro(&["fsck", "--repair"]);
    assert_eq!(done.code, 4, "{done}");
    assert!(done.stdout.contains("`repro run words` makes its outs again"), "{done}");
    assert!(done.stdout.contains("deleted trace"), "{done}");
    sandbox.ran();
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["words"], "the others have their outs in the workspace");
}

#[test]
fn repair_keeps_newer_traces() {
    let sandbox = ran();
    let traces = files(&sandbox.path("cache/traces"));
    for (trace, text) in traces.iter().zip(["no trace", "repro.trace 2\nof a time to come\n"]) {
        replace(&sandbox, &format!("cache/traces/{trace}"), text.as_bytes());
    }
    let done = sandbox.repro(&["fsck"]);
    assert_eq!(done.code, 4, "{done}");
    assert!(done.stdout.contains("1 unreadable trace; checked"), "{done}");
    assert!(done.stdout.contains("1 trace in a newer format: not checked"), "{done}");
    sandbox.ok(&["fsck", "--repair"]);
    assert!(!sandbox.exists(&format!("cache/traces/{}", traces[0])));
    assert!(sandbox.exists(&format!("cache/traces/{}", traces[1])));
}

#[test]
fn repair_moves_strays() {
    let sandbox = ran();
    sandbox.write("cache/objects/ab/note", "mine");
    sandbox.write("cache/objects/folder/note", "mine too");
    sandbox.write("cache/traces/note", "and this");
    snapshot!(sandbox.repro(&["fsck"]), @"
    exit 4
    --- stdout
    stray cache/objects/ab/note
    stray cache/objects/folder
    stray cache/traces/note
    the cache is not intact: 3 stray files; checked 4 objects (137 B), 3 traces
    `repro fsck --repair` rebuilds what it can and moves damaged objects to cache/damaged
    ");
    snapshot!(sandbox.repro(&["fsck", "--repair"]), @"
    exit 0
    --- stdout
    stray cache/objects/ab/note
    stray cache/objects/folder
    stray cache/traces/note
    the cache is not intact: 3 stray files; checked 4 objects (137 B), 3 traces
    moved cache/objects/ab/note to cache/damaged/note
    moved cache/objects/folder to cache/damaged/folder
    moved cache/traces/note to cache/damaged/note-2
    the cache is intact again
    ");
    assert_eq!(files(&sandbox.path("cache/damaged")), ["folder/note", "note", "note-2"]);
    assert_eq!(sandbox.repro(&["fsck"]).code, 0);
}

#[test]
fn fsck_with_undeclared_stage() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'echo 1 > out'\nouts = ['out']\n");
    sandbox.ok(&["run"]);
    sandbox.remove("cache/objects");
    sandbox.remove("out");
    sandbox.write("pipeline.toml", "[stages.t]\ncmd = 'echo 2 > out'\nouts = ['out']\n");
    let done = sandbox.repro(&["fsck", "--repair"]);
    assert_eq!(done.code, 4, "{done}");
    assert!(done.stdout.contains("stage `s` is no longer in pipeline.toml"), "{done}");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.repro(&["fsck"]).code, 0);
}

/// The bytes of an edited out may equal those of an object that was damaged since.
#[test]
fn edited_out_replaces_damaged_object() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'cp in out'\ndeps = ['in']\nouts = ['out']\n");
    for text in ["first", "second"] {
        sandbox.write("in", text);
        sandbox.ok(&["run"]);
    }
    sandbox.write("out", "first");
    let object = object_of(&sandbox, "out");
    fs::remove_file(sandbox.path(&object)).unwrap();
    fs::write(sandbox.path(&object), "damaged").unwrap();
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("out"), "second");
    assert_eq!(sandbox.read(&object), "first", "the edited out was stored before it was replaced");
}

#[test]
fn uncached_outs_are_not_missing() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'cat in > scratch; mkdir dir; cat in > dir/x; echo 1 > kept'\n\
         deps = ['in']\n\
         outs = [{ path = 'scratch', cache = false }, { path = 'dir', cache = false }, 'kept']\n",
    );
    for input in ["old", "new"] {
        sandbox.write("in", input);
        sandbox.ok(&["run"]);
    }
    let before = files(&sandbox.path("cache/objects"));
    let done = sandbox.ok(&["fsck"]);
    assert!(done.stdout.starts_with("the cache is intact"), "{done}");
    sandbox.ok(&["fsck", "--repair"]);
    assert_eq!(files(&sandbox.path("cache/objects")), before);
    let done = sandbox.ok(&["gc", "--yes"]);
    assert!(done.stdout.ends_with("\nnothing to delete\n"), "{done}");
    // The trace of the second run is still known without the lock.
    sandbox.remove("pipeline.lock");
    sandbox.ok(&["status"]);
    assert!(sandbox.ok(&["status"]).stdout.contains("up to date"));
}
