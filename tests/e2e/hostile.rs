//! State and folders from elsewhere that were made to do harm: each gives an error.

use std::fs;
use std::os::unix::fs::symlink;

use crate::sandbox::Sandbox;

fn put(sandbox: &Sandbox, bytes: &str) -> String {
    let digest = blake3::hash(bytes.as_bytes()).to_string();
    sandbox.write(&format!("cache/objects/{}/{}", &digest[..2], &digest[2..]), bytes);
    digest
}

/// Stores a tree of trees in each other and makes it the out in the lock.
fn with_tree(levels: usize, names: &[&str]) -> (Sandbox, String) {
    let sandbox =
        Sandbox::with("[stages.s]\ncmd = 'mkdir dir; cp in dir'\ndeps = ['in']\nouts = ['dir']\n");
    sandbox.write("in", "1");
    sandbox.ok(&["run"]);
    let mut inner = format!("file {}", put(&sandbox, "x"));
    for _ in 0..levels {
        let entries: String = names.iter().map(|name| format!("{inner} {name}\n")).collect();
        inner = format!("tree {}", put(&sandbox, &format!("repro.tree 1\n{entries}")));
    }
    let lock = sandbox.read("pipeline.lock");
    let old =
        lock.lines().find_map(|line| line.strip_prefix("out tree ")?.split(' ').next()).unwrap();
    let digest = inner.replace("tree ", "");
    sandbox.write("pipeline.lock", lock.replace(old, &digest));
    (sandbox, digest)
}

#[test]
fn impossible_trees() {
    for (levels, names, why) in [
        (40, &["a", "b"][..], "it repeats few folders millions of times"),
        (20_000, &["a"][..], "it is deeper than any path can be"),
    ] {
        let (sandbox, digest) = with_tree(levels, names);
        for args in [&["checkout"][..], &["checkout", "dir/**/x"], &["checkout", "dir/a/a/a"]] {
            let done = sandbox.repro(args);
            assert_ne!(done.code, 0, "{args:?} {done}");
            if args.len() == 1 {
                assert!(
                    done.stderr.contains(&format!("object {digest} is not the tree of a folder")),
                    "{done}"
                );
                assert!(done.stderr.contains(why), "{done}");
            }
        }
        let found = sandbox.repro(&["fsck"]);
        assert_eq!(found.code, 4, "{found}");
        assert!(found.stdout.contains(why), "{found}");
        sandbox.ok(&["gc"]);
        for args in [&["status"][..], &["why", "s"], &["run", "-n"], &["metrics", "show"]] {
            let done = sandbox.repro(args);
            assert!((0..=4).contains(&done.code), "{args:?} {done}");
        }
        sandbox.repro(&["fsck", "--repair"]);
        sandbox.ok(&["run"]);
        assert_eq!(sandbox.read("dir/in"), "1");
    }
}

#[test]
fn links_that_fan_out() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'true > out'\ndeps = ['in']\nouts = ['out']\n");
    for level in 0..40 {
        fs::create_dir_all(sandbox.path(&format!("d{level}"))).unwrap();
        for name in ["a", "b"] {
            symlink(format!("../d{}", level + 1), sandbox.path(&format!("d{level}/{name}")))
                .unwrap();
        }
    }
    fs::create_dir(sandbox.path("d40")).unwrap();
    symlink("d0", sandbox.path("in")).unwrap();
    for args in [&["status"][..], &["run"]] {
        let done = sandbox.repro(args);
        assert_ne!(done.code, 0, "{args:?} {done}");
        let text = format!("{done}");
        assert!(text.contains("is one of more than 10000 ways to `$ROOT/d1"), "{args:?} {text}");
    }
    // A few are fine.
    sandbox.edit("pipeline.toml", "['in']", "['d30']");
    sandbox.ok(&["run"]);
}

#[test]
fn changed_history_schema() {
    let changes = [
        ("a trigger", "CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM params; END"),
        (
            "an endless view",
            "DROP TABLE params; CREATE VIEW params AS WITH RECURSIVE n(run, key, value) AS \
          (SELECT 1, 'a', '1' UNION ALL SELECT run, key, value FROM n) SELECT * FROM n",
        ),
        ("another table", "DROP TABLE stages; CREATE TABLE stages (a, b)"),
        ("a missing table", "DROP TABLE artifacts"),
    ];
    for (what, sql) in changes {
        let sandbox =
            Sandbox::with("[stages.s]\ncmd = 'cp in out'\ndeps = ['in']\nouts = ['out']\n");
        sandbox.write("in", "1");
        sandbox.ok(&["run"]);
        let database = rusqlite::Connection::open(sandbox.path("runs/runs.db")).unwrap();
        database.execute_batch(sql).unwrap();
        drop(database);
        for args in [&["runs", "list"][..], &["runs", "show"], &["metrics", "show"], &["gc"]] {
            let done = sandbox.repro(args);
            assert_eq!(done.code, 3, "{what}: {args:?} {done}");
            assert!(done.stderr.contains("`runs/runs.db` was not made by `repro`"), "{done}");
        }
        sandbox.write("in", "2");
        let done = sandbox.ok(&["run"]);
        assert!(done.stderr.contains("warning: run-2 is not in the history"), "{what}: {done}");
    }
}

#[test]
fn wrong_values_in_history() {
    let changes = [
        "UPDATE runs SET command = 'no json'",
        "UPDATE runs SET started = 9223372036854775807, took = -5",
        "UPDATE runs SET status = 'x'",
        "UPDATE stages SET stage = '../../x'",
        "UPDATE stages SET reasons = '[[[[' ",
        "UPDATE stages SET outcome = 'failed', failure = 'x'",
        "UPDATE artifacts SET kind = 'tree', digest = 'x'",
        "UPDATE runs SET number = -1",
        "UPDATE runs SET number = 9223372036854775807",
        "INSERT INTO metrics (run, stage, key, value) VALUES (1, 's', 'x', 9e999)",
        "INSERT INTO params (run, key, value) \
         VALUES (1, 'x', replace(hex(zeroblob(100000)), '0', '['))",
        "UPDATE runs SET host = hex(zeroblob(50000000))",
        "UPDATE runs SET fresh = -1",
        "INSERT INTO series (id, run, stage, key, count, last_step) VALUES (9, 1, 's', 'x', -1, -1);
         INSERT INTO points (series, step, at, nth, value) VALUES (9, -1, -1, 0, 1)",
        "INSERT INTO series (run, stage, key, count, last_step)
         VALUES (1, 's', 'x', 9223372036854775807, 9223372036854775807)",
        "UPDATE runs SET experiment = 7, parent = uid, name = '', user = char(27)",
        "UPDATE experiments SET name = char(27) || '[31m'",
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = 'x' WHERE name = 'runs'",
    ];
    for sql in changes {
        let sandbox =
            Sandbox::with("[stages.s]\ncmd = 'cp in out'\ndeps = ['in']\nouts = ['out']\n");
        sandbox.write("in", "1");
        sandbox.ok(&["run"]);
        let database = rusqlite::Connection::open(sandbox.path("runs/runs.db")).unwrap();
        database.pragma_update(None, "foreign_keys", false).unwrap();
        database.execute_batch(sql).unwrap();
        drop(database);
        for args in [
            &["runs", "list"][..],
            &["runs", "show"],
            &["runs", "logs"],
            &["metrics", "show", "--json"],
            &["gc"],
            &["runs", "list", "--json"],
        ] {
            let done = sandbox.repro(args);
            assert!((0..=4).contains(&done.code), "{sql}: {args:?} {done}");
            assert!(!done.stderr.contains("panicked"), "{sql}: {args:?} {done}");
        }
        sandbox.write("in", "2");
        sandbox.ok(&["run"]);
    }
}
