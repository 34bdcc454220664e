//! Remotes that have lost files, or everything: what is said, and how they become whole again.

use std::fs;

use crate::sandbox::files;
use crate::share::{clone, ok, one, repro};
use crate::share_hostile::{masked, pushed, stored};
use crate::snapshot;

#[test]
fn vanished_folder_is_not_new() {
    let sandbox = one();
    ok(&sandbox, "a", &["push"]);
    fs::rename(sandbox.path("store"), sandbox.path("elsewhere")).unwrap();
    // The mount point of a disk is an empty folder.
    fs::create_dir(sandbox.path("store")).unwrap();
    snapshot!(masked(&repro(&sandbox, "a", &["push"]).to_string()), @"
    exit 3
    --- stderr
    error: remote `origin` is gone
     caused by: `$ROOT/store` is empty, and had an index before
     hint: mount its disk, or correct `url`; if its files were deleted on purpose, `rm -r $ROOT/a/cache/remotes/[digest]` lets `repro push` begin again
    ");
    for command in ["pull", "fetch", "status", "gc"] {
        let remote = if matches!(command, "pull" | "fetch") { "--dry-run" } else { "--remote" };
        let done = repro(&sandbox, "a", &[command, remote]);
        assert!(done.stderr.starts_with("error: remote `origin` is gone\n"), "{done}");
    }
    assert!(files(&sandbox.path("store")).is_empty());
    fs::remove_dir(sandbox.path("store")).unwrap();
    assert_eq!(repro(&sandbox, "a", &["push"]).code, 3);
    assert!(!sandbox.exists("store"));
    // The way to begin again.
    sandbox.remove("a/cache/remotes");
    ok(&sandbox, "a", &["push"]);
}

#[test]
fn lost_and_damaged_packs() {
    let sandbox = pushed();
    let packs = stored(&sandbox, "packs");
    fs::remove_file(&packs[0]).unwrap();
    for pack in &packs[1..] {
        let mut bytes = fs::read(pack).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(pack, bytes).unwrap();
    }
    let done = repro(&sandbox, "b", &["pull"]);
    assert_eq!(done.code, 3, "{done}");
    assert!(!done.stdout.contains("already matches"), "{done}");
    assert!(!done.stderr.contains("neither in the cache nor"), "{done}");
    let hint = "hint: `repro fsck --remote=origin --repair`, and then `repro push`";
    assert!(done.stderr.contains(hint), "{done}");
    let errors: Vec<&str> =
        done.stderr.lines().filter(|line| line.contains("is damaged")).collect();
    assert!(errors.iter().all(|error| done.stderr.matches(error).count() == 1), "{done}");

    let found = repro(&sandbox, "a", &["fsck", "--remote"]);
    assert_eq!(found.code, 4, "{found}");
    assert!(found.stdout.contains("missing  packs/"), "{found}");
    assert!(found.stdout.contains("damaged  packs/"), "{found}");
    assert!(found.stdout.contains("`origin` is not intact: 3 damaged or missing files"), "{found}");
    // Looking has changed nothing.
    ok(&sandbox, "a", &["push"]);
    assert_eq!(repro(&sandbox, "a", &["fsck", "--remote"]).stdout, found.stdout);
    ok(&sandbox, "a", &["fsck", "--remote", "--repair"]);
    let done = ok(&sandbox, "a", &["push"]);
    assert!(done.stdout.starts_with("pushed "), "{done}");
    ok(&sandbox, "b", &["pull"]);
    assert_eq!(sandbox.read("b/total"), sandbox.read("a/total"));
    let done = ok(&sandbox, "b", &["fsck", "--remote=origin"]);
    assert!(done.stdout.starts_with("`origin` is intact: "), "{done}");
}

#[test]
fn damaged_index_with_a_copy() {
    let sandbox = pushed();
    let [index] = &stored(&sandbox, "index")[..] else { panic!("one index") };
    let whole = fs::read(index).unwrap();
    fs::write(index, "torn").unwrap();
    snapshot!(masked(&repro(&sandbox, "a", &["fsck", "--remote"]).to_string()), @"
    exit 4
    --- stdout
    damaged index/[digest], of which this clone has a copy
    `origin` is not intact: 1 damaged or missing file; read 3 packs (1.6 kB)
    `repro fsck --remote=origin --repair` writes the copies
    ");
    ok(&sandbox, "a", &["fsck", "--remote", "--repair"]);
    assert_eq!(fs::read(index).unwrap(), whole);
    ok(&sandbox, "b", &["pull"]);
}

#[test]
fn damaged_index_without_a_copy() {
    let sandbox = pushed();
    let [index] = &stored(&sandbox, "index")[..] else { panic!("one index") };
    fs::write(index, "torn").unwrap();
    clone(&sandbox, "c");
    assert_eq!(repro(&sandbox, "c", &["gc", "--remote", "--yes"]).code, 3);
    ok(&sandbox, "c", &["fsck", "--remote", "--repair"]);
    let done = ok(&sandbox, "c", &["fsck", "--remote"]);
    assert!(done.stderr.is_empty(), "{done}");
    let done = ok(&sandbox, "a", &["push"]);
    assert!(done.stdout.starts_with("pushed "), "{done}");
    ok(&sandbox, "b", &["pull"]);
}

#[test]
fn report_of_a_lost_pack() {
    let sandbox = pushed();
    let sizes = stored(&sandbox, "packs").into_iter();
    let largest = sizes.max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    fs::remove_file(largest).unwrap();
    let done = repro(&sandbox, "a", &["fsck", "--remote", "--json"]);
    let masked = masked(&done.to_string()).replace("$ROOT", "ROOT");
    assert_eq!(done.code, 4);
    for part in ["\"clean\": false", "\"state\": \"missing\"", "\"repaired\": false"] {
        assert!(masked.contains(part), "{masked}");
    }
}

#[test]
fn outs_only_in_the_workspace() {
    let sandbox = one();
    sandbox.remove("a/cache/objects");
    let done = repro(&sandbox, "a", &["push", "sum"]);
    snapshot!(done, @"
    exit 3
    --- stdout
    pushed nothing to `origin`
    --- stderr
    `lines` does not travel: it has `cache = false`
    error: `total` of stage `sum` is incomplete: 1 of 1 object is neither in the cache nor on `origin`
     hint: `repro fsck --repair` takes it from the workspace; if it has changed there, `repro run sum` makes it again
    ");
    ok(&sandbox, "a", &["fsck", "--repair"]);
    ok(&sandbox, "a", &["push", "sum"]);
}

#[test]
fn options_of_push_and_pull() {
    let sandbox = one();
    let help = ok(&sandbox, "a", &["pull", "--help"]).stdout;
    assert!(!help.contains("--run ") && !help.contains("--rev"), "{help}");
    assert_eq!(repro(&sandbox, "a", &["push", "--all", "sum"]).code, 2);
    assert_eq!(repro(&sandbox, "a", &["fetch", "--all", "sum"]).code, 2);
    let done = repro(&sandbox, "a", &["pull", "--run", "run-1"]);
    assert!(done.stderr.contains("hint: use `repro fetch` with these options"), "{done}");
}

#[test]
fn push_before_the_first_run() {
    let sandbox = one();
    for state in ["a/cache", "a/pipeline.lock"] {
        sandbox.remove(state);
    }
    repro(&sandbox, "a", &["push"]);
    assert_eq!(sandbox.read("a/cache/.gitignore"), "*\n");
}

#[test]
fn conflict_in_the_pipeline() {
    let sandbox = one();
    let pipeline = sandbox.read("a/pipeline.toml");
    let conflict = format!("<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> other\n{pipeline}");
    sandbox.write("a/pipeline.toml", conflict);
    snapshot!(repro(&sandbox, "a", &["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:1: a conflict of a merge begins here
     hint: keep one side, and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`
    ");
}
