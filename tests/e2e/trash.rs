//! `repro trash`: what is displaced from the workspace can be listed and brought back.

use std::fs;

use crate::sandbox::{Sandbox, files};
use crate::snapshot;

/// A project with one stage that writes `o`.
fn writing() -> Sandbox {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'echo 1 > o'\nouts = ['o']\n");
    sandbox.ok(&["run"]);
    sandbox
}

/// Edits `o` and lets a run replace it.
fn displace(sandbox: &Sandbox, text: &str) {
    sandbox.write("o", text);
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("o"), "1\n");
}

/// Returns ids and paths, newest first.
fn entries(sandbox: &Sandbox) -> Vec<(u64, String)> {
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.ok(&["trash", "--json"]).stdout).unwrap();
    let entry = |entry: &serde_json::Value| {
        (entry["id"].as_u64().unwrap(), entry["path"].as_str().unwrap().to_owned())
    };
    json.as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn restores_edited_out() {
    let sandbox = writing();
    displace(&sandbox, "mine");
    displace(&sandbox, "mine again");
    snapshot!(sandbox.repro(&["trash"]), @"
    exit 0
    --- stdout
    id displaced size path
     2 just now 10 B o
     1 just now 4 B o
    ");
    snapshot!(sandbox.repro(&["trash", "restore", "1"]), @"
    exit 0
    --- stdout
    restored o: 1 file, 4 B
    ");
    assert_eq!(sandbox.read("o"), "mine");
    // The content that stands there now is displaced in its turn.
    snapshot!(sandbox.repro(&["trash", "restore", "2"]), @"
    exit 0
    --- stdout
    restored o: 1 file, 10 B
    --- stderr
    warning: your version of `o` was replaced; `repro trash restore 3` brings it back
    ");
    assert_eq!(sandbox.read("o"), "mine again");
    assert_eq!(entries(&sandbox), [(3, "o".into()), (2, "o".into()), (1, "o".into())]);
}

#[test]
fn restores_elsewhere() {
    let sandbox = writing();
    displace(&sandbox, "mine");
    fs::create_dir(sandbox.path("d")).unwrap();
    sandbox.ok(&["trash", "restore", "1", "-o", "d"]);
    sandbox.ok(&["trash", "restore", "1", "-o", "new/copy"]);
    assert_eq!([sandbox.read("d/o"), sandbox.read("new/copy")], ["mine", "mine"]);
    assert_eq!(sandbox.read("o"), "1\n");
    sandbox.write("d/o", "of mine");
    for target in ["d", "d/o"] {
        let done = sandbox.repro(&["trash", "restore", "1", "-o", target]);
        assert_eq!(done.code, 2, "{done}");
        assert!(done.stderr.contains("error: `d/o` exists"), "{done}");
    }
    let done = sandbox.repro(&["trash", "restore", "1", "-o", "cache/x"]);
    assert!(done.stderr.contains("`cache/x` belongs to `repro` or git"), "{done}");
    assert_eq!(sandbox.read("d/o"), "of mine");
    assert_eq!(files(&sandbox.path("d")), ["o"]);
    // From a subdirectory, the target is relative to it.
    let done = sandbox.finish(
        sandbox.command(&["trash", "restore", "1", "-o", "up"]).current_dir(sandbox.path("d")),
    );
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(sandbox.read("d/up"), "mine");
}

#[test]
fn restores_to_stdout() {
    let sandbox = writing();
    displace(&sandbox, "mine");
    assert_eq!(sandbox.ok(&["trash", "restore", "1", "-o", "-"]).stdout, "mine");
    assert!(!sandbox.exists("-"));
    sandbox.ok(&["trash", "restore", "1"]);
    assert_eq!(sandbox.ok(&["trash", "restore", "1"]).stdout, "o already matches\n");
}

#[test]
fn unknown_entry() {
    let sandbox = writing();
    snapshot!(sandbox.repro(&["trash"]), @"
    exit 0
    --- stderr
    the trash is empty
    ");
    snapshot!(sandbox.repro(&["trash", "restore", "1"]), @"
    exit 2
    --- stderr
    error: the trash has no entry 1
     hint: it is empty
    ");
    displace(&sandbox, "mine");
    snapshot!(sandbox.repro(&["trash", "forget", "1", "7"]), @"
    exit 2
    --- stderr
    error: the trash has no entry 7
     hint: `repro trash` lists the entries
    ");
    assert_eq!(entries(&sandbox).len(), 1);
}

#[test]
fn forgotten_ids_stay_unused() {
    let sandbox = writing();
    displace(&sandbox, "a");
    displace(&sandbox, "b");
    sandbox.ok(&["trash", "forget", "2"]);
    assert_eq!(entries(&sandbox), [(1, "o".into())]);
    displace(&sandbox, "c");
    sandbox.ok(&["trash", "forget", "--all"]);
    displace(&sandbox, "d");
    assert_eq!(entries(&sandbox), [(4, "o".into())]);
}

#[test]
fn folder_is_one_entry() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'mkdir -p o/d; for f in a b d/c; do echo $f > o/$f; done'\n\
         outs = ['o']\n",
    );
    sandbox.ok(&["run"]);
    // One edited file is an entry by itself, a folder of the user's a single one.
    sandbox.write("o/a", "edited");
    sandbox.write("o/mine/x", "x");
    sandbox.write("o/mine/deep/y", "y");
    let done = sandbox.ok(&["run"]);
    assert!(!sandbox.exists("o/mine"));
    for (id, path) in [(1, "o/a"), (2, "o/mine")] {
        let warning = format!(
            "your version of `{path}` was replaced; `repro trash restore {id}` brings it back"
        );
        assert!(done.stderr.contains(&warning), "{done}");
    }
    snapshot!(sandbox.repro(&["trash", "list"]), @"
    exit 0
    --- stdout
    id displaced size path
     2 just now 2 B o/mine/
     1 just now 6 B o/a
    ");
    sandbox.ok(&["trash", "restore", "2"]);
    assert_eq!(sandbox.read("o/mine/deep/y"), "y");
    assert_eq!(sandbox.read("o/a"), "a\n");
    sandbox.ok(&["trash", "restore", "2", "-o", "copy"]);
    assert_eq!(files(&sandbox.path("copy")), ["deep/y", "x"]);
}

#[test]
fn outs_are_not_trash() {
    let sandbox = Sandbox::with(
        "[params]\nn = 1\n[stages.s]\ncmd = 'echo {{ params.n }} > o'\nouts = ['o']\n",
    );
    for n in ["n=1", "n=2", "n=1", "n=3"] {
        sandbox.ok(&["run", "-p", n]);
    }
    sandbox.remove("pipeline.lock");
    sandbox.ok(&["run", "-p", "n=3"]);
    sandbox.ok(&["run", "-p", "n=2"]);
    assert!(entries(&sandbox).is_empty());
    assert!(!sandbox.exists("cache/trash"));
}

/// A content that was the user's before is the user's again, although the cache holds it.
#[test]
fn same_edit_twice() {
    let sandbox = writing();
    displace(&sandbox, "mine");
    displace(&sandbox, "mine");
    assert_eq!(entries(&sandbox).len(), 2);
}

#[test]
fn change_and_edit_together() {
    let sandbox = writing();
    sandbox.write("o", "mine");
    sandbox.edit("pipeline.toml", "echo 1", "echo 2");
    sandbox.ok(&["run"]);
    assert_eq!(entries(&sandbox), [(1, "o".into())]);
    sandbox.ok(&["gc", "--yes", "--runs", "0"]);
    sandbox.ok(&["trash", "restore", "1"]);
    assert_eq!(sandbox.read("o"), "mine");
}

#[test]
fn gc_keeps_young_entries() {
    let sandbox = writing();
    displace(&sandbox, "mine");
    snapshot!(sandbox.repro(&["gc", "--runs", "0", "--yes"]), @"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 1 2 B
    last 0 runs (not counted above) 0 0 B
    trash, 1 entry (not counted above) 1 4 B
    traces of the objects above 1 107 B

    unreferenced count size
    objects 0 0 B
    traces 0 0 B
    temporary files 0 0 B

    nothing to delete
    keeps 1 displaced file (4 B) for up to 30 more days: `repro trash` lists them
    ");
    sandbox.ok(&["trash", "restore", "1", "-o", "copy"]);
    // 29 days later, and a day after that.
    let entry = sandbox.read("cache/trash");
    let age = |days: i64| {
        let mut lines: Vec<String> = entry.lines().map(str::to_owned).collect();
        let line = lines.iter_mut().find(|line| line.starts_with("1 ")).unwrap();
        let at: i64 = line.split(' ').nth(1).unwrap().parse().unwrap();
        *line = line.replacen(&at.to_string(), &(at - days * 86_400).to_string(), 1);
        sandbox.write("cache/trash", lines.join("\n") + "\n");
    };
    age(29);
    let done = sandbox.ok(&["gc", "--runs", "0", "--yes"]);
    assert!(done.stdout.contains("keeps 1 displaced file (4 B) for up to 1 more day"), "{done}");
    age(30);
    snapshot!(sandbox.repro(&["gc", "--runs", "0", "--yes"]), @"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 1 2 B
    last 0 runs (not counted above) 0 0 B
    traces of the objects above 1 107 B

    unreferenced count size
    objects 1 4 B
    traces 0 0 B
    temporary files 0 0 B

    deleted 1 object, 1 entry of the trash: 4 B
    ");
    assert!(entries(&sandbox).is_empty());
    snapshot!(sandbox.repro(&["fsck"]), @"
    exit 0
    --- stdout
    the cache is intact: 1 object (2 B), 1 trace
    ");
}

#[test]
fn time_by_option_and_setting() {
    let sandbox = writing();
    displace(&sandbox, "mine");
    let last =
        |args: &[&str]| sandbox.ok(args).stdout.trim_end().lines().last().unwrap().to_owned();
    let pipeline = sandbox.read("pipeline.toml");
    sandbox.write("pipeline.toml", format!("[cache]\ntrash = '5h'\n{pipeline}"));
    assert!(last(&["gc"]).contains("for up to 5 more hours"), "{}", last(&["gc"]));
    assert!(last(&["gc", "--trash", "7d"]).contains("for up to 7 more days"));
    sandbox.write("pipeline.toml", format!("[cache]\ntrash = 'long'\n{pipeline}"));
    snapshot!(sandbox.repro(&["gc"]), @r#"
    exit 2
    --- stderr
    error: pipeline.toml:2: `trash` of `[cache]` must be a duration such as "[time]", "30m", "2h" or "1d"
    "#);
    snapshot!(sandbox.repro(&["gc", "--trash", "week"]), @"
    exit 2
    --- stderr
    error: invalid value 'week' for '--trash <TIME>': must be a time such as `12h` or `7d`

    For more information, try '--help'.
    ");
    sandbox.write("pipeline.toml", &pipeline);
    let done = sandbox.ok(&["gc", "--trash", "0d", "--yes"]);
    assert!(done.stdout.contains("deleted 1 object, 1 entry of the trash: 4 B"), "{done}");
}

#[test]
fn fsck_follows_trash() {
    let sandbox = writing();
    displace(&sandbox, "mine");
    displace(&sandbox, "other");
    let digest = blake3::hash(b"mine").to_string();
    sandbox.remove(&format!("cache/objects/{}/{}", &digest[..2], &digest[2..]));
    snapshot!(sandbox.repro(&["fsck"]), @"
    exit 4
    --- stdout
    missing object eb3c4771aa
     `o` of entry 1 in the trash
    the cache is not intact: 1 missing object; checked 2 objects (7 B), 1 trace
    `repro fsck --repair` rebuilds what it can and moves damaged objects to cache/damaged
    ");
    snapshot!(sandbox.repro(&["trash"]), @"
    exit 0
    --- stdout
    id displaced size path
     2 just now 5 B o
     1 just now missing o
    ");
    snapshot!(sandbox.repro(&["trash", "restore", "1"]), @"
    exit 3
    --- stderr
    error: the cache does not hold `o` of entry 1 any more
     caused by: object eb3c4771aa is missing or damaged
     hint: `repro fsck` checks the whole cache
    ");
    assert_eq!(sandbox.read("o"), "1\n");
    snapshot!(sandbox.repro(&["fsck", "--repair"]), @"
    exit 0
    --- stdout
    missing object eb3c4771aa
     `o` of entry 1 in the trash
    the cache is not intact: 1 missing object; checked 2 objects (7 B), 1 trace
    removed entry 1 from the trash: its content is lost
    the cache is intact again
    ");
    assert_eq!(entries(&sandbox), [(2, "o".into())]);
}

#[test]
fn damaged_trash() {
    let sandbox = writing();
    displace(&sandbox, "mine");
    displace(&sandbox, "other");
    sandbox.edit("cache/trash", "\n2 ", "\nx ");
    let done = sandbox.repro(&["gc", "--yes"]);
    snapshot!(done, @"
    exit 3
    --- stderr
    error: cache/trash:5 is damaged
     caused by: what it refers to is unknown, so nothing is removed
     hint: delete that line if you do not need what was displaced
    ");
    displace(&sandbox, "third");
    snapshot!(sandbox.repro(&["trash"]), @"
    exit 0
    --- stdout
    id displaced size path
     2 just now 5 B o
     1 just now 4 B o
    --- stderr
    warning: cache/trash:5 is damaged; what it refers to is unknown
    ");
    snapshot!(sandbox.repro(&["fsck"]), @"
    exit 4
    --- stdout
    damaged cache/trash:5
    the cache is not intact: a damaged line of the trash; checked 4 objects (16 B), 1 trace
    `repro fsck --repair` rebuilds what it can and moves damaged objects to cache/damaged
    ");
    snapshot!(sandbox.repro(&["fsck", "--repair"]), @"
    exit 0
    --- stdout
    damaged cache/trash:5
    the cache is not intact: a damaged line of the trash; checked 4 objects (16 B), 1 trace
    moved cache/trash to cache/damaged/trash
    the cache is intact again
    ");
    sandbox.ok(&["fsck"]);
    assert_eq!(entries(&sandbox).len(), 2);
    sandbox.ok(&["gc", "--yes"]);
}

#[test]
fn newer_trash_format() {
    let sandbox = writing();
    sandbox.write("cache/trash", "repro.trash 2\n");
    sandbox.write("o", "mine");
    let done = sandbox.repro(&["run"]);
    assert!(done.stderr.contains("was written by a newer version of repro"), "{done}");
    assert_eq!(sandbox.read("o"), "mine");
}

#[test]
fn trash_is_a_file() {
    let sandbox = writing();
    sandbox.write("o", "mine");
    sandbox.write("victim", "precious");
    for kind in ["a FIFO", "a link", "a folder"] {
        match kind {
            "a FIFO" => sandbox.fifo("cache/trash"),
            "a link" => {
                std::os::unix::fs::symlink("../victim", sandbox.path("cache/trash")).unwrap();
            }
            _ => fs::create_dir(sandbox.path("cache/trash")).unwrap(),
        }
        for args in [&["run"][..], &["trash"], &["gc", "--yes"], &["fsck"]] {
            let done = sandbox.repro(args);
            assert_ne!(done.code, 0, "{kind} {done}");
            let what = "`$ROOT/cache/trash` is not a file";
            assert!(done.to_string().contains(what), "{kind} {done}");
        }
        sandbox.remove("cache/trash");
    }
    assert_eq!([sandbox.read("o"), sandbox.read("victim")], ["mine", "precious"]);
}

/// Cuts the file at every byte, as a kill could.
#[test]
fn torn_line_is_replaced() {
    let sandbox = writing();
    displace(&sandbox, "mine");
    let whole = fs::read(sandbox.path("cache/trash")).unwrap();
    for length in [0, 5, 20, whole.len() - 30, whole.len() - 1] {
        sandbox.write("cache/trash", &whole[..length]);
        assert!(entries(&sandbox).is_empty(), "{length}");
        // After a kill, the file is still in the workspace.
        displace(&sandbox, "mine");
        let announced = length >= whole.len() - 30;
        // Only an announcement tells that a stored content is the user's.
        assert_eq!(entries(&sandbox).len(), usize::from(announced), "{length}");
    }
}

/// Announced, stored, synced and recorded at once, not item by item.
#[test]
fn items_are_displaced_together() {
    let sandbox = Sandbox::with(
        "[stages.up]\neach = 'in/*'\ncmd = 'cp {{ item.path }} up/'\n\
         outs = ['up/{{ item.name }}']\n",
    );
    for item in ["a", "b", "c"] {
        sandbox.write(&format!("in/{item}"), item);
    }
    sandbox.ok(&["run"]);
    for item in ["a", "b", "c"] {
        sandbox.write(&format!("up/{item}"), format!("mine {item}"));
    }
    sandbox.remove("in/c");
    sandbox.ok(&["run"]);
    assert_eq!([sandbox.read("up/a"), sandbox.read("up/b")], ["a", "b"]);
    assert!(!sandbox.exists("up/c"));
    let text = sandbox.read("cache/trash");
    let words: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    // The item that left, then the items to restore.
    assert_eq!(words[1..], ["storing", "1", "storing", "storing", "2", "3"], "{text}");
}
