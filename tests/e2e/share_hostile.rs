//! A damaged or hostile remote is refused by name and harms nothing.

use std::fs;
use std::path::PathBuf;

use crate::sandbox::{Sandbox, files};
use crate::share::{clone, ok, one, repro};
use crate::snapshot;

/// Clone `b` of a project that `a` has pushed.
pub fn pushed() -> Sandbox {
    let sandbox = one();
    ok(&sandbox, "a", &["push"]);
    clone(&sandbox, "b");
    sandbox
}

/// Returns the files below a folder of the remote.
pub fn stored(sandbox: &Sandbox, folder: &str) -> Vec<PathBuf> {
    let root = sandbox.path("store").join(folder);
    files(&root).iter().map(|file| root.join(file)).collect()
}

/// Checks that no damaged object got into the cache of `b`.
fn assert_intact(sandbox: &Sandbox) {
    let done = repro(sandbox, "b", &["fsck"]);
    let mut faults = done.stdout.lines().filter(|line| line.contains(" object "));
    assert!(faults.all(|line| line.starts_with("missing ")), "{done}");
}

/// Masks the names of files on the remote.
pub fn masked(text: &str) -> String {
    let mut masked = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
        let digits = word.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        match digits.len() {
            10.. => masked.push_str(&word.replace(digits, "[digest]")),
            _ => masked.push_str(word),
        }
    }
    masked
}

#[test]
fn damaged_packs() {
    let sandbox = pushed();
    for pack in stored(&sandbox, "packs") {
        let mut bytes = fs::read(&pack).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&pack, bytes).unwrap();
    }
    let done = repro(&sandbox, "b", &["pull"]);
    assert_eq!(done.code, 3, "{done}");
    let damaged = done.stderr.matches("is damaged").count();
    assert!(damaged > 0, "{done}");
    assert!(done.stderr.contains("of `$ROOT/store` has other bytes"), "{done}");
    assert_intact(&sandbox);
    // A clone with the outs cannot know; the damage is repaired with packs from elsewhere.
    for pack in stored(&sandbox, "packs") {
        let mut bytes = fs::read(&pack).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&pack, bytes).unwrap();
    }
    ok(&sandbox, "b", &["pull"]);
}

#[test]
fn lost_and_truncated_packs() {
    for damage in [
        |_: &PathBuf| None,
        |pack: &PathBuf| {
            let bytes = fs::read(pack).unwrap();
            Some(bytes[..20].to_vec())
        },
    ] {
        let sandbox = pushed();
        for pack in stored(&sandbox, "packs") {
            match damage(&pack) {
                None => fs::remove_file(&pack).unwrap(),
                Some(bytes) => fs::write(&pack, bytes).unwrap(),
            }
        }
        let done = repro(&sandbox, "b", &["pull"]);
        assert_eq!(done.code, 3, "{done}");
        assert!(done.stderr.contains("error: cannot read `packs/"), "{done}");
        assert!(!sandbox.exists("b/total"));
        assert_intact(&sandbox);
    }
}

#[test]
fn damaged_index() {
    let sandbox = pushed();
    let [index] = &stored(&sandbox, "index")[..] else { panic!("one index") };
    let whole = fs::read(index).unwrap();
    for (bytes, why) in [
        (whole[..whole.len() - 1].to_vec(), "its bytes do not match its name"),
        (Vec::new(), "its bytes do not match its name"),
    ] {
        fs::write(index, bytes).unwrap();
        let done = repro(&sandbox, "b", &["fetch"]);
        assert_eq!(done.code, 3, "{done}");
        let warning = "warning: ignored `index/";
        assert!(done.stderr.contains(warning) && done.stderr.contains(why), "{done}");
    }
    // Whoever has the outs makes the remote whole again.
    let done = ok(&sandbox, "a", &["push"]);
    assert!(done.stdout.starts_with("`origin` has everything"), "{done}");
    sandbox.remove("a/cache/remotes");
    ok(&sandbox, "a", &["push"]);
    ok(&sandbox, "b", &["pull"]);
    assert_eq!(sandbox.read("b/total"), sandbox.read("a/total"));
}

#[test]
fn files_that_are_no_index() {
    let sandbox = pushed();
    for bytes in ["", "repro.index 1\n", "repro.index 1\n\x01\0\0\0\0\0\0\0\x7f", "x"] {
        let name = blake3::hash(bytes.as_bytes()).to_string();
        sandbox.write(&format!("store/index/{name}"), bytes);
        let done = ok(&sandbox, "b", &["fetch"]);
        assert!(done.stderr.contains(": it is not an index"), "{done}");
    }
}

#[test]
fn newer_formats() {
    let sandbox = pushed();
    let bytes = "repro.index 2\nx";
    let name = blake3::hash(bytes.as_bytes()).to_string();
    sandbox.write(&format!("store/index/{name}"), bytes);
    let newer = repro(&sandbox, "b", &["pull"]);
    sandbox.remove(&format!("store/index/{name}"));
    sandbox.remove("b/cache/remotes");
    sandbox.write("store/repro-remote", "repro.remote 2\n");
    let marker = repro(&sandbox, "b", &["pull"]);
    sandbox.write("store/repro-remote", "holiday pictures\n");
    let other = repro(&sandbox, "b", &["pull"]);
    snapshot!(masked(&format!("{newer}\n\n{marker}\n\n{other}")), @"
    exit 3
    --- stderr
    error: `index/[digest]` of remote `origin` was written by a newer version of repro
     hint: update repro

    exit 3
    --- stderr
    error: `repro-remote` of remote `origin` was written by a newer version of repro
     hint: update repro

    exit 3
    --- stderr
    error: `repro-remote` of `$ROOT/store` is not the marker of a remote
     hint: check `url` of the remote in `pipeline.toml`
    ");
    assert!(!sandbox.exists("b/total"));
}

#[test]
fn file_in_place_of_folder() {
    let sandbox = pushed();
    let lock = sandbox.read("b/pipeline.lock");
    let of = |path: &str| {
        let line = lock.lines().find(|line| line.starts_with("out") && line.ends_with(path));
        line.unwrap().split(' ').nth(2).unwrap().to_owned()
    };
    let (folder, file) = (of(" data"), of(" total"));
    sandbox.write("b/pipeline.lock", lock.replace(&folder, &file));
    let done = repro(&sandbox, "b", &["pull"]);
    snapshot!(masked(&done.to_string()), @"
    exit 3
    --- stderr
    error: cannot fetch `data` of stage `list`
     caused by: object [digest] is not the tree of a folder
    ");
    assert!(!sandbox.exists("b/data"));
}

#[test]
fn impossible_folders() {
    let sandbox = one();
    let store = |clone: &str, bytes: &str| {
        let digest = blake3::hash(bytes.as_bytes()).to_string();
        let (shard, rest) = digest.split_at(2);
        sandbox.write(&format!("{clone}/cache/objects/{shard}/{rest}"), bytes);
        digest
    };
    let lock = sandbox.read("a/pipeline.lock");
    let out = lock.lines().find(|line| line.starts_with("out") && line.ends_with(" data"));
    let folder = out.unwrap().split(' ').nth(2).unwrap().to_owned();
    // 40 folders in each other, of two names each, stand for 2^40 files.
    let mut wide = store("a", "x");
    for level in 0..40 {
        let kind = if level == 0 { "file" } else { "tree" };
        wide = store("a", &format!("repro.tree 1\n{kind} {wide} a\n{kind} {wide} b\n"));
    }
    let file = store("a", "x");
    let escaping = store("a", &format!("repro.tree 1\nfile {file} ../escaped\n"));
    for (tree, why) in [
        (&wide, "it repeats few folders millions of times"),
        (&escaping, "is not the tree of a folder"),
    ] {
        clone(&sandbox, "b");
        sandbox.write("a/pipeline.lock", lock.replace(&folder, tree));
        // The sender refuses what is not a tree, and does not look further.
        let sent = repro(&sandbox, "a", &["push", "list"]);
        assert_eq!(sent.code == 0, tree == &wide, "{sent}");
        sandbox.write("b/pipeline.lock", lock.replace(&folder, tree));
        let done = repro(&sandbox, "b", &["pull", "list"]);
        assert_eq!(done.code, 3, "{done}");
        if tree == &wide {
            assert!(done.stderr.contains(why), "{done}");
        }
        assert!(!sandbox.exists("b/data") && !sandbox.exists("escaped"));
        sandbox.remove("b");
    }
}
