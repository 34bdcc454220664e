//! `repro gc --remote`: what it keeps, and what it deletes when.

use std::fs;
use std::path::PathBuf;

use crate::sandbox::{Sandbox, files};
use crate::share::{clone, commit, ok, one, repro};
use crate::snapshot;

/// Clone `a` with three states pushed, of which the first is in git's branch `old`.
fn three() -> Sandbox {
    let sandbox = one();
    ok(&sandbox, "a", &["push"]);
    sandbox.git(&["-C", "a", "branch", "old"]);
    for text in ["y\n", "z\n"] {
        sandbox.write("a/in", text);
        ok(&sandbox, "a", &["run"]);
        ok(&sandbox, "a", &["push"]);
    }
    commit(&sandbox, "a");
    sandbox
}

#[test]
fn grace_period_keeps_all() {
    let sandbox = three();
    let before = files(&sandbox.path("store"));
    snapshot!(repro(&sandbox, "a", &["gc", "--remote"]), @"
    exit 0
    --- stdout
    `origin` keeps 16 objects and 10 traces, 1.5 kB, for pipeline.lock and the grace period
    nothing to delete
    ");
    snapshot!(repro(&sandbox, "a", &["gc", "--remote", "--yes"]), @"
    exit 0
    --- stdout
    `origin` keeps 16 objects and 10 traces, 1.5 kB, for pipeline.lock and the grace period
    nothing to delete
    ");
    assert_eq!(files(&sandbox.path("store")), before);
}

#[test]
fn unreferenced_parts_go() {
    let sandbox = three();
    let packs = || files(&sandbox.path("store/packs")).len();
    let before = packs();
    let dry = repro(&sandbox, "a", &["gc", "--remote", "--grace=0s", "--git=old"]);
    snapshot!(dry, @"
    exit 0
    --- stdout
    `origin` keeps 12 objects and 8 traces, 1.1 kB, for pipeline.lock, 1 git revision and the grace period
    nothing deleted: `repro gc --remote=origin --yes` with the same options deletes 4 objects and 2 traces, 413 B
    ");
    snapshot!(repro(&sandbox, "a", &["gc", "--remote", "--grace=0s", "--git=old", "--yes"]), @"
    exit 0
    --- stdout
    `origin` keeps 12 objects and 8 traces, 1.1 kB, for pipeline.lock, 1 git revision and the grace period
    deleted 4 objects and 2 traces, 413 B
    3 packs (840 B) can be deleted by `repro gc --remote` after the grace period
    ");
    assert_eq!(files(&sandbox.path("store/index")).len(), 1);
    // Another command may have read an index that names these packs.
    assert_eq!(packs(), before);
    clone(&sandbox, "b");
    ok(&sandbox, "b", &["pull"]);
    assert_eq!(sandbox.read("b/data/sub/copy"), "z\n");
    sandbox.git(&["-C", "b", "checkout", "-q", "origin/old"]);
    ok(&sandbox, "b", &["pull"]);
    assert_eq!(sandbox.read("b/data/sub/copy"), "x\n");
    // The packs of the second state were noted; after the grace period they go.
    ok(&sandbox, "a", &["gc", "--remote", "--git=old", "--yes"]);
    assert_eq!(packs(), before);
    ok(&sandbox, "a", &["gc", "--remote", "--grace=0s", "--git=old", "--yes"]);
    assert!(packs() < before);
    sandbox.remove("b");
    clone(&sandbox, "b");
    ok(&sandbox, "b", &["pull"]);
    // What was collected can be pushed again.
    sandbox.write("a/in", "y\n");
    ok(&sandbox, "a", &["run"]);
    let done = ok(&sandbox, "a", &["push"]);
    assert!(done.stdout.starts_with("pushed "), "{done}");
}

#[test]
fn damaged_folder_in_the_cache() {
    let sandbox = one();
    ok(&sandbox, "a", &["push"]);
    let objects = sandbox.path("a/cache/objects");
    let objects = || files(&objects).into_iter().map(|name| objects.join(name));
    let is_tree = |path: &PathBuf| fs::read(path).unwrap().starts_with(b"repro.tree");
    for tree in objects().filter(is_tree).collect::<Vec<_>>() {
        fs::remove_file(&tree).unwrap();
        fs::write(&tree, "repro.tree 1\n").unwrap();
    }
    // What is in them is kept, and they come back.
    let done = ok(&sandbox, "a", &["gc", "--remote", "--grace=0s", "--yes"]);
    assert!(done.stdout.ends_with("nothing to delete\n"), "{done}");
    ok(&sandbox, "a", &["fsck"]);
}

#[test]
fn damaged_index() {
    let sandbox = one();
    ok(&sandbox, "a", &["push"]);
    let [name] = &files(&sandbox.path("store/index"))[..] else { panic!("one index") };
    sandbox.write(&format!("store/index/{name}"), "torn");
    clone(&sandbox, "b");
    let before = files(&sandbox.path("store"));
    let mut done = repro(&sandbox, "b", &["gc", "--remote", "--yes"]);
    done.stderr = done.stderr.replace(name, "NAME");
    snapshot!(done, @"
    exit 3
    --- stderr
    warning: ignored `index/NAME` of remote `origin`: its bytes do not match its name
    error: an index of remote `origin` is damaged
     caused by: what it names is unknown, so nothing is deleted
     hint: `repro fsck --remote=origin` says what is lost
    ");
    assert_eq!(files(&sandbox.path("store")), before);
}

#[test]
fn gc_options_of_remotes() {
    let sandbox = one();
    assert_eq!(repro(&sandbox, "a", &["gc", "--grace=1d"]).code, 2);
    assert_eq!(repro(&sandbox, "a", &["gc", "--remote", "--runs=3"]).code, 2);
    snapshot!(repro(&sandbox, "a", &["gc", "--remote=x"]), @"
    exit 2
    --- stderr
    error: there is no remote `x`
     hint: the remotes are `origin`
    ");
    snapshot!(repro(&sandbox, "a", &["gc", "--remote"]), @"
    exit 0
    --- stdout
    `origin` keeps 0 objects, 0 B, for pipeline.lock and the grace period
    nothing to delete
    ");
}
