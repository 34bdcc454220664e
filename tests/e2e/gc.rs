//! `repro gc`: which cache entries are kept, and for which root.

use std::fs;

use crate::run::chain;
use crate::sandbox::{Sandbox, files};
use crate::snapshot;

/// A project with one stage that copies `in` to `out`.
fn copying() -> Sandbox {
    Sandbox::with("[stages.s]\ncmd = 'cp in out; echo s >> ran'\ndeps = ['in']\nouts = ['out']\n")
}

/// Writes `in` and runs.
fn run_with(sandbox: &Sandbox, content: &str) {
    sandbox.write("in", content);
    sandbox.ok(&["run"]);
}

fn object_of(content: &str) -> String {
    let digest = blake3::hash(content.as_bytes()).to_string();
    format!("cache/objects/{}/{}", &digest[..2], &digest[2..])
}

/// Returns those of the contents that the cache holds.
fn held<'a>(sandbox: &Sandbox, contents: &[&'a str]) -> Vec<&'a str> {
    contents.iter().copied().filter(|content| sandbox.exists(&object_of(content))).collect()
}

#[test]
fn gc_keeps_locked_objects() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.write("in.txt", "a b c a d");
    sandbox.ok(&["run"]);
    let before = files(&sandbox.path("cache"));
    snapshot!(sandbox.repro(&["gc", "--runs", "0"]), @"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 4 149 B
    last 0 runs (not counted above) 0 0 B
    traces of the objects above 3 885 B

    unreferenced count size
    objects 3 124 B
    traces 3 885 B
    temporary files 0 0 B

    nothing deleted: `repro gc --yes` with the same options deletes 3 objects, 3 traces: 1.0 kB
    ");
    assert_eq!(files(&sandbox.path("cache")), before);
    snapshot!(sandbox.repro(&["gc", "--runs", "0", "--yes"]), @"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 4 149 B
    last 0 runs (not counted above) 0 0 B
    traces of the objects above 3 885 B

    unreferenced count size
    objects 3 124 B
    traces 3 885 B
    temporary files 0 0 B

    deleted 3 objects, 3 traces: 1.0 kB
    ");
    snapshot!(sandbox.repro(&["gc", "--runs", "0", "--yes"]), @"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 4 149 B
    last 0 runs (not counted above) 0 0 B
    traces of the objects above 3 885 B

    unreferenced count size
    objects 0 0 B
    traces 0 0 B
    temporary files 0 0 B

    nothing to delete
    ");
    // The next run restores all three stages from what was kept.
    for out in ["words.txt", "counts", "report.txt", "report.json"] {
        sandbox.remove(out);
    }
    sandbox.ran();
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
    assert_eq!(sandbox.read("words.txt"), "a\nb\nc\na\nd");
    snapshot!(sandbox.repro(&["fsck"]), @"
    exit 0
    --- stdout
    the cache is intact: 4 objects (149 B), 3 traces
    ");
}

#[test]
fn gc_keeps_recent_runs() {
    let sandbox = copying();
    ["one", "two", "three"].iter().for_each(|content| run_with(&sandbox, content));
    let all = ["one", "two", "three"];
    sandbox.ok(&["gc", "--yes"]);
    sandbox.ok(&["gc", "--runs", "all", "--yes"]);
    assert_eq!(held(&sandbox, &all), all);
    snapshot!(sandbox.repro(&["gc", "--runs", "2", "--yes"]), @"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 1 5 B
    last 2 runs (not counted above) 1 3 B
    traces of the objects above 2 400 B

    unreferenced count size
    objects 1 3 B
    traces 1 200 B
    temporary files 0 0 B

    deleted 1 object, 1 trace: 203 B
    ");
    assert_eq!(held(&sandbox, &all), ["two", "three"]);
    // Kept outs are restored, the removed one is computed again.
    sandbox.ran();
    run_with(&sandbox, "two");
    assert!(sandbox.ran().is_empty());
    run_with(&sandbox, "one");
    assert_eq!(sandbox.ran(), ["s"]);
}

#[test]
fn gc_keeps_git_revisions() {
    let sandbox = Sandbox::empty();
    // The project is a subfolder of its repository.
    fs::create_dir(sandbox.path("project")).unwrap();
    let pipeline = "[stages.s]\ncmd = 'cp in out'\ndeps = ['in']\nouts = ['out']\n";
    sandbox.write("project/pipeline.toml", pipeline);
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "before there was a lock"]);
    sandbox.git(&["branch", "empty"]);
    let all = ["first", "tagged", "side", "tip", "now"];
    for content in all {
        sandbox.write("project/in", content);
        sandbox.ok(&["-C", "project", "run"]);
        sandbox.git(&["add", "project/pipeline.lock"]);
        match content {
            "now" => break,
            "side" => {
                sandbox.git(&["checkout", "-q", "-b", "side"]);
                sandbox.git(&["commit", "-q", "-m", content]);
                sandbox.git(&["checkout", "-q", "main"]);
            }
            _ => sandbox.git(&["commit", "-q", "-m", content]),
        }
        if content == "tagged" {
            sandbox.git(&["tag", "-a", "-m", "v1", "v1"]);
        }
    }
    let kept = |options: &[&str]| {
        let args = [&["-C", "project", "gc", "--runs", "0", "--json"], options].concat();
        let json: serde_json::Value = serde_json::from_str(&sandbox.ok(&args).stdout).unwrap();
        (json["kept"][1]["revisions"].clone(), json["unused"]["objects"]["count"].clone())
    };
    assert_eq!(kept(&[]).1, 4, "only `now` is referred to");
    assert_eq!(kept(&["--git", "main"]), (1.into(), 3.into()));
    assert_eq!(kept(&["--git", "main", "--git", "side"]), (2.into(), 2.into()));
    assert_eq!(kept(&["--git", "empty..main"]), (3.into(), 1.into()));
    assert_eq!(kept(&["--all-branches"]), (3.into(), 2.into()));
    assert_eq!(kept(&["--all-tags"]), (1.into(), 3.into()));
    assert_eq!(kept(&["--git", "empty"]), (1.into(), 4.into()));
    snapshot!(sandbox.repro(&["-C", "project", "gc", "--runs", "0", "--git", "main", "--yes"]), @"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 1 3 B
    1 git revision (not counted above) 1 3 B
    last 0 runs (not counted above) 0 0 B
    traces of the objects above 2 370 B

    unreferenced count size
    objects 3 15 B
    traces 3 555 B
    temporary files 0 0 B

    deleted 3 objects, 3 traces: 570 B
    ");
    let held = |content: &str| sandbox.exists(&format!("project/{}", object_of(content)));
    assert_eq!(all.map(held), [false, false, false, true, true]);
    sandbox.git(&["checkout", "-q", "HEAD", "--", "project/pipeline.lock"]);
    sandbox.ok(&["-C", "project", "checkout"]);
    assert_eq!(sandbox.read("project/out"), "tip");
}

#[test]
fn gc_stops_at_unreadable_root() {
    let sandbox = copying();
    sandbox.git(&["init", "-q"]);
    run_with(&sandbox, "one");
    let lock = sandbox.read("pipeline.lock");
    sandbox.write("pipeline.lock", lock.replace("repro.lock 1", "repro.lock 9"));
    sandbox.git(&["add", "pipeline.lock"]);
    sandbox.git(&["commit", "-q", "-m", "x"]);
    sandbox.write("pipeline.lock", lock);
    run_with(&sandbox, "two");
    snapshot!(sandbox.repro(&["gc", "--git", "nowhere", "--yes"]), @"
    exit 2
    --- stderr
    error: `nowhere` is not a git revision
    ");
    let done = sandbox.repro(&["gc", "--git", "main", "--yes"]);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stderr.contains("written by a newer version"), "{done}");
    let done = sandbox.repro(&["gc", "--git=--output=x", "--yes"]);
    assert_eq!(done.code, 2, "{done}");
    assert!(!sandbox.exists("x"));
    assert_eq!(sandbox.repro(&["gc", "--runs", "few", "--yes"]).code, 2);
    sandbox.write("runs/runs.db", "no database at all ".repeat(1000));
    assert_eq!(sandbox.repro(&["gc", "--yes"]).code, 3);
    assert_eq!(held(&sandbox, &["one", "two"]), ["one", "two"]);
}

#[test]
fn gc_stops_at_damaged_tree() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    let lock = sandbox.read("pipeline.lock");
    let tree = lock.lines().find_map(|line| line.strip_prefix("out tree ")).unwrap();
    let object = format!("cache/objects/{}/{}", &tree[..2], &tree[2..64]);
    fs::remove_file(sandbox.path(&object)).unwrap();
    sandbox.write(&object, "repro.tree 1\n");
    let before = files(&sandbox.path("cache"));
    let done = sandbox.repro(&["gc", "--runs", "0", "--yes"]);
    assert_eq!(done.code, 3, "{done}");
    assert!(done.stderr.contains("`repro fsck --repair` repairs the cache"), "{done}");
    assert_eq!(files(&sandbox.path("cache")), before);
    sandbox.ok(&["fsck", "--repair"]);
    sandbox.ok(&["gc", "--runs", "0", "--yes"]);
}

#[test]
fn gc_stops_at_damaged_lock() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    let kept = "runs/run-1/pipeline.lock";
    let lock = sandbox.read(kept);
    let before = files(&sandbox.path("cache"));
    for damage in ["no lock", "repro.lock 1\n\nstage a\nnonsense\n", "repro.lock 9\n"] {
        sandbox.write(kept, damage);
        let done = sandbox.repro(&["gc", "--yes"]);
        assert_eq!(done.code, 3, "{done}");
        assert!(done.stderr.contains("error: runs/run-1/pipeline.lock:"), "{done}");
        assert!(done.stderr.contains("so nothing is removed"), "{done}");
        assert_eq!(files(&sandbox.path("cache")), before);
        sandbox.ok(&["gc", "--runs", "0"]);
    }
    sandbox.write(kept, lock);
    sandbox.ok(&["gc", "--yes"]);
}

#[test]
fn gc_keeps_dep_listings() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'ls in > out'\ndeps = ['in']\nouts = ['out']\n");
    sandbox.write("in/sub/a", "1");
    sandbox.ok(&["run"]);
    sandbox.ok(&["gc", "--runs", "0", "--yes"]);
    sandbox.write("in/sub/b", "2");
    let status = sandbox.ok(&["status"]);
    assert!(status.stdout.contains("in/sub/b"), "{status}");
}

#[test]
fn gc_removes_dead_temporaries() {
    let sandbox = copying();
    run_with(&sandbox, "one");
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let living = format!("cache/tmp/object-{}-0", std::process::id());
    let left = format!("cache/tmp/object-{}-0", dead.id());
    for path in [&living, &left, "cache/tmp/running/s", "cache/tmp/download"] {
        sandbox.write(path, "abc");
    }
    let done = sandbox.ok(&["gc"]);
    assert!(done.stdout.ends_with("deletes 1 temporary file: 3 B\n"), "{done}");
    sandbox.ok(&["gc", "--yes"]);
    assert!(!sandbox.exists(&left));
    for path in [&living, "cache/tmp/running/s", "cache/tmp/download"] {
        assert!(sandbox.exists(path), "{path}");
    }
}

#[test]
fn gc_keeps_formerly_cached_out() {
    let pipeline = "[stages.s]\ncmd = 'mkdir dir; cp in dir'\ndeps = ['in']\nouts = [OUT]\n";
    let sandbox = Sandbox::with(&pipeline.replace("OUT", "'dir'"));
    run_with(&sandbox, "one");
    sandbox.write("pipeline.toml", pipeline.replace("OUT", "{ path = 'dir', cache = false }"));
    sandbox.ok(&["gc", "--runs", "0", "--yes"]);
    assert_eq!(held(&sandbox, &["one"]), ["one"]);
}
