//! `repro push`, `repro fetch` and `repro pull`: what one clone has computed reaches another one.

use std::fs;
use std::process::Stdio;

use crate::sandbox::{Done, Sandbox, files};
use crate::snapshot;

const PIPELINE: &str = "\
[remotes.origin]
url = '../store'

[stages.list]
cmd = 'echo list >> ../ran; mkdir -p data/sub; for i in 1 2 3; do echo $i > data/$i.txt; done; \
       cp in data/sub/copy'
deps = ['in']
outs = ['data']

[stages.sum]
cmd = 'echo sum >> ../ran; cat data/*.txt data/sub/* > total; wc -l < total > lines'
deps = ['data']
outs = ['total']
metrics = [{ path = 'lines', cache = false }]

[stages.each]
each = 'data/*.txt'
cmd = 'echo {{ item.name }} >> ../ran; cp {{ item.path }} copies/{{ item.name }}'
outs = ['copies/{{ item.name }}']
";

/// Clone `a`, which has run everything, beside an empty remote.
pub fn one() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("a/pipeline.toml", PIPELINE);
    sandbox.write("a/in", "x\n");
    sandbox.write("a/.gitignore", "/data\n/total\n/copies\n/cache\n/runs\n");
    sandbox.git(&["init", "-q", "a"]);
    ok(&sandbox, "a", &["run"]);
    sandbox.ran();
    commit(&sandbox, "a");
    sandbox
}

pub fn commit(sandbox: &Sandbox, clone: &str) {
    sandbox.git(&["-C", clone, "add", "-A"]);
    sandbox.git(&["-C", clone, "commit", "-qm", "x"]);
}

/// Clones `a` to `name`.
pub fn clone(sandbox: &Sandbox, name: &str) {
    sandbox.git(&["clone", "-q", "a", name]);
}

pub fn repro(sandbox: &Sandbox, clone: &str, args: &[&str]) -> Done {
    sandbox.repro(&[&["-C", clone], args].concat())
}

pub fn ok(sandbox: &Sandbox, clone: &str, args: &[&str]) -> Done {
    sandbox.ok(&[&["-C", clone], args].concat())
}

#[test]
fn second_clone_runs_nothing() {
    let sandbox = one();
    snapshot!(repro(&sandbox, "a", &["push"]), @"
    exit 0
    --- stdout
    pushed 8 objects and 6 traces to `origin`: 660 B (1.6 kB sent)
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    clone(&sandbox, "b");
    snapshot!(repro(&sandbox, "b", &["pull"]), @"
    exit 0
    --- stdout
    fetched 8 objects and 6 traces from `origin`: 660 B (1.4 kB received)
    restored the outs of each, list, sum: 8 files, 22 B
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    assert_eq!(sandbox.read("b/total"), sandbox.read("a/total"));
    assert_eq!(sandbox.read("b/data/sub/copy"), "x\n");
    snapshot!(repro(&sandbox, "b", &["status"]), @"
    exit 0
    --- stdout
    everything is up to date (3 stages)
    ");
    ok(&sandbox, "b", &["run"]);
    assert!(sandbox.ran().is_empty());
    ok(&sandbox, "b", &["fsck"]);
}

#[test]
fn repeated_push_and_pull() {
    let sandbox = one();
    ok(&sandbox, "a", &["push"]);
    let before = files(&sandbox.path("store"));
    snapshot!(repro(&sandbox, "a", &["push"]), @"
    exit 0
    --- stdout
    `origin` has everything: 8 objects
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    assert_eq!(files(&sandbox.path("store")), before);
    clone(&sandbox, "b");
    ok(&sandbox, "b", &["pull"]);
    snapshot!(repro(&sandbox, "b", &["pull"]), @"
    exit 0
    --- stdout
    nothing to fetch from `origin`: the cache has 8 objects
    the workspace already matches `pipeline.lock`
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    snapshot!(repro(&sandbox, "b", &["push"]), @"
    exit 0
    --- stdout
    `origin` has everything: 8 objects
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    assert_eq!(files(&sandbox.path("store")), before);
}

#[test]
fn errors_about_remotes() {
    let sandbox = one();
    let mut done = vec![repro(&sandbox, "a", &["fetch"])];
    done.push(repro(&sandbox, "a", &["push", "-r", "orgin"]));
    done.push(repro(&sandbox, "a", &["push", "lst"]));
    done.push(repro(&sandbox, "a", &["push", "total/x"]));
    sandbox.edit("a/pipeline.toml", "url = '../store'", "url = '../not/mounted'");
    done.push(repro(&sandbox, "a", &["push"]));
    sandbox.edit("a/pipeline.toml", "url = '../not/mounted'", "url = 'x://y'");
    done.push(repro(&sandbox, "a", &["push"]));
    sandbox.edit("a/pipeline.toml", "[remotes.origin]\nurl = 'x://y'", "");
    done.push(repro(&sandbox, "a", &["push"]));
    let two = "[remotes.one]\nurl = '/a'\n[remotes.two]\nurl = '/b'\n";
    sandbox.edit("a/pipeline.toml", "[stages.list]", &format!("{two}[stages.list]"));
    done.push(repro(&sandbox, "a", &["pull"]));
    let done: Vec<String> = done.iter().map(ToString::to_string).collect();
    snapshot!(done.join("\n\n"), @r#"
    exit 2
    --- stderr
    error: remote `origin` is empty: `$ROOT/store`
     hint: `repro push` in a clone that has the outs fills it

    exit 2
    --- stderr
    error: there is no remote `orgin`
     hint: did you mean `origin`?

    exit 2
    --- stderr
    error: `pipeline.lock` has no stage and no out `lst`
     hint: did you mean `list`?

    exit 2
    --- stderr
    error: `pipeline.lock` has no stage and no out `total/x`
     hint: did you mean `total`?

    exit 3
    --- stderr
    error: `$ROOT/not/mounted` cannot be reached
     caused by: the folder `$ROOT/not` does not exist
     hint: `mkdir -p $ROOT/not/mounted` creates it, or mount its disk

    exit 2
    --- stderr
    error: pipeline.toml:2: remote `origin`: `x://y` has the unknown scheme `x`
     hint: write a folder, such as `/mnt/data`, or one of `file:///FOLDER`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`, `sftp://USER@HOST:PORT/FOLDER`, `ssh://USER@HOST:PORT/FOLDER`, `webdav://HOST/FOLDER`, `webdavs://HOST/FOLDER`, `https://HOST/FOLDER`, `gdrive://FOLDER`

    exit 2
    --- stderr
    error: this project has no remote
     hint: add one to `pipeline.toml`, such as `[remotes.origin]` with `url = "/mnt/store"` or `url = "s3://bucket/project"`

    exit 2
    --- stderr
    error: there are several remotes, and none is the default
     hint: name one of `one`, `two` with `-r`, or set `default = true` in one of them
    "#);
    assert!(!sandbox.exists("not"));
}

#[test]
fn outs_that_were_never_pushed() {
    let sandbox = one();
    ok(&sandbox, "a", &["push", "list"]);
    clone(&sandbox, "b");
    snapshot!(repro(&sandbox, "b", &["pull"]), @"
    exit 3
    --- stdout
    fetched 6 objects and 4 traces from `origin`: 411 B (952 B received)
    restored the outs of list: 4 files, 8 B
    --- stderr
    `lines` does not travel: it has `cache = false`
    error: `copies` of stage `each` is incomplete: 1 of 1 object is neither in the cache nor on `origin`
     hint: `repro push each` where it was run, or `repro run each` here
    error: `total` of stage `sum` is incomplete: 1 of 1 object is neither in the cache nor on `origin`
     hint: `repro push sum` where it was run, or `repro run sum` here
    ");
    assert_eq!(sandbox.read("b/data/1.txt"), "1\n");
    ok(&sandbox, "b", &["pull", "list"]);
}

#[test]
fn lost_object_is_named() {
    let sandbox = one();
    fs::remove_dir_all(sandbox.path("a/cache/objects")).unwrap();
    snapshot!(repro(&sandbox, "a", &["push"]), @"
    exit 3
    --- stdout
    pushed nothing to `origin`
    --- stderr
    `lines` does not travel: it has `cache = false`
    error: `copies` of stage `each` is incomplete: 1 of 1 object is neither in the cache nor on `origin`
     hint: `repro fsck --repair` takes it from the workspace; if it has changed there, `repro run each` makes it again
    error: `data` of stage `list` is incomplete: 1 of 1 object is neither in the cache nor on `origin`
     hint: `repro fsck --repair` takes it from the workspace; if it has changed there, `repro run list` makes it again
    error: `total` of stage `sum` is incomplete: 1 of 1 object is neither in the cache nor on `origin`
     hint: `repro fsck --repair` takes it from the workspace; if it has changed there, `repro run sum` makes it again
    ");
    clone(&sandbox, "b");
    let done = repro(&sandbox, "b", &["pull"]);
    assert_ne!(done.code, 0, "{done}");
}

/// Number of objects in the cache of a clone.
fn objects(sandbox: &Sandbox, clone: &str) -> usize {
    files(&sandbox.path(&format!("{clone}/cache/objects"))).len()
}

#[test]
fn selected_parts() {
    let sandbox = one();
    ok(&sandbox, "a", &["push", "data/sub"]);
    clone(&sandbox, "b");
    snapshot!(repro(&sandbox, "b", &["fetch", "data/sub"]), @"
    exit 0
    --- stdout
    fetched 3 objects from `origin`: 405 B (305 B received)
    ");
    ok(&sandbox, "a", &["push"]);
    snapshot!(repro(&sandbox, "b", &["fetch", "data/sub/copy", "--dry-run"]), @"
    exit 0
    --- stdout
    nothing to fetch from `origin`: the cache has 1 object
    ");
    ok(&sandbox, "b", &["pull", "data/sub/copy"]);
    assert_eq!(sandbox.read("b/data/sub/copy"), "x\n");
    assert!(!sandbox.exists("b/data/1.txt") && !sandbox.exists("b/total"));
    ok(&sandbox, "b", &["pull", "./total", "each"]);
    assert!(sandbox.exists("b/total") && sandbox.exists("b/copies/1.txt"));
}

#[test]
fn earlier_states() {
    let sandbox = one();
    sandbox.write("a/in", "y\n");
    ok(&sandbox, "a", &["run"]);
    commit(&sandbox, "a");
    sandbox.write("a/in", "z\n");
    ok(&sandbox, "a", &["run"]);
    snapshot!(repro(&sandbox, "a", &["push", "--rev", "HEAD"]), @"
    exit 0
    --- stdout
    pushed 8 objects and 6 traces to `origin`: 660 B (1.6 kB sent)
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    // The size of a run depends on how long its stages took.
    let sent = repro(&sandbox, "a", &["push", "--run", "run-1"]).to_string();
    let (before, size) = sent.split_once("3 files, ").unwrap();
    let after = size.split_once('\n').unwrap().1;
    snapshot!(format!("{before}3 files, SIZE\n{after}"), @"
    exit 0
    --- stdout
    pushed 4 objects and 2 traces to `origin`: 413 B (840 B sent)
    pushed 1 run to `origin`: 3 files, SIZE
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    snapshot!(repro(&sandbox, "a", &["push"]), @"
    exit 0
    --- stdout
    pushed 4 objects and 2 traces to `origin`: 413 B (840 B sent)
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    clone(&sandbox, "b");
    snapshot!(repro(&sandbox, "b", &["pull"]), @"
    exit 0
    --- stdout
    fetched 8 objects and 6 traces from `origin`: 660 B (1.4 kB received)
    restored the outs of each, list, sum: 8 files, 22 B
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    // What is on the remote without being in the lock is restored as well.
    snapshot!(repro(&sandbox, "b", &["fetch", "--all"]), @"
    exit 0
    --- stdout
    fetched 8 objects and 4 traces from `origin`: 826 B (1.6 kB received)
    ");
    sandbox.ran();
    for text in ["x\n", "z\n"] {
        sandbox.write("b/in", text);
        ok(&sandbox, "b", &["run"]);
        assert_eq!(sandbox.read("b/data/sub/copy"), text);
    }
    // `lines`, which does not travel, is the same in all states.
    assert!(sandbox.ran().is_empty());
    ok(&sandbox, "b", &["fsck"]);
}

#[test]
fn everything_in_the_cache() {
    let sandbox = one();
    sandbox.write("a/in", "y\n");
    ok(&sandbox, "a", &["run"]);
    snapshot!(repro(&sandbox, "a", &["push", "--all", "--dry-run"]), @"
    exit 0
    --- stdout
    would push 12 objects and 8 traces to `origin`: 1.1 kB
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    snapshot!(repro(&sandbox, "a", &["push", "--all"]), @"
    exit 0
    --- stdout
    pushed 12 objects and 8 traces to `origin`: 1.1 kB (2.4 kB sent)
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    clone(&sandbox, "b");
    ok(&sandbox, "b", &["fetch", "--all"]);
    assert_eq!(objects(&sandbox, "b"), objects(&sandbox, "a"));
    assert_eq!(files(&sandbox.path("b/cache/traces")), files(&sandbox.path("a/cache/traces")));
}

#[test]
fn counted_only() {
    let sandbox = one();
    snapshot!(repro(&sandbox, "a", &["push", "--dry-run"]), @"
    exit 0
    --- stdout
    would push 8 objects and 6 traces to `origin`: 660 B
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    assert!(!sandbox.exists("store"));
    snapshot!(repro(&sandbox, "a", &["push", "--json"]), @r#"
    exit 0
    --- stdout
    {
     "bytes": 660,
     "dry_run": false,
     "interrupted": false,
     "missing": [],
     "objects": 8,
     "place": "$ROOT/store",
     "remote": "origin",
     "selected": 8,
     "traces": 6,
     "transferred": 1593,
     "uncached": [
     "lines"
     ]
    }
    "#);
    clone(&sandbox, "b");
    snapshot!(repro(&sandbox, "b", &["fetch", "--dry-run", "--json"]), @r#"
    exit 0
    --- stdout
    {
     "bytes": 660,
     "dry_run": true,
     "interrupted": false,
     "missing": [],
     "objects": 8,
     "place": "$ROOT/store",
     "remote": "origin",
     "selected": 8,
     "traces": 0,
     "transferred": 471,
     "uncached": [
     "lines"
     ]
    }
    "#);
    snapshot!(repro(&sandbox, "b", &["pull", "--dry-run"]), @"
    exit 0
    --- stdout
    would fetch 5 objects from `origin`: 16 B
    --- stderr
    `lines` does not travel: it has `cache = false`
    ");
    assert!(!sandbox.exists("b/total"));
}

#[test]
fn remote_status() {
    let sandbox = one();
    ok(&sandbox, "a", &["push", "sum"]);
    snapshot!(repro(&sandbox, "a", &["status", "--remote"]), @"
    exit 0
    --- stdout
    each 4 objects not pushed (247 B)
    list 4 objects not pushed (8 B)
    ");
    assert_eq!(repro(&sandbox, "a", &["status", "--remote=origin", "--check"]).code, 4);
    ok(&sandbox, "a", &["status", "--remote", "--check", "sum"]);
    ok(&sandbox, "a", &["push"]);
    snapshot!(repro(&sandbox, "a", &["status", "--remote", "--check"]), @"
    exit 0
    --- stdout
    `origin` has everything: 11 objects
    ");
    clone(&sandbox, "b");
    snapshot!(repro(&sandbox, "b", &["status", "--remote", "--check"]), @"
    exit 0
    --- stdout
    each not fetched
    list not fetched
    sum 1 object not fetched (8 B)
    ");
    snapshot!(repro(&sandbox, "b", &["status", "--remote", "--json", "sum"]), @r#"
    exit 0
    --- stdout
    {
     "objects": 1,
     "place": "$ROOT/store",
     "remote": "origin",
     "stages": [
     {
     "missing": 0,
     "of": 1,
     "stage": "sum",
     "unfetched": 1,
     "unfetched_bytes": 8,
     "unknown_folders": false,
     "unpushed": 0,
     "unpushed_bytes": 0,
     "unpushed_trace": false
     }
     ]
    }
    "#);
    snapshot!(repro(&sandbox, "b", &["status", "--remote=orgin"]), @"
    exit 2
    --- stderr
    error: there is no remote `orgin`
     hint: did you mean `origin`?
    ");
}

#[test]
fn interrupted_push_says_so() {
    let sandbox = Sandbox::with(
        "[remotes.origin]\nurl = 'store'\n[stages.s]\ncmd = 'truncate -s 1G out'\nouts = ['out']\n",
    );
    ok(&sandbox, ".", &["run"]);
    let mut push = sandbox.command(&["push"]);
    let child = push.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The marker is the first file that a push writes.
    deadline::within({
        let marker = sandbox.path("store/repro-remote");
        move || {
            while !marker.exists() {
                std::thread::yield_now();
            }
        }
    });
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let done = sandbox.done(child.wait_with_output().unwrap());
    assert_eq!(done.code, 130, "{done}");
    assert_eq!(done.stdout, "pushed nothing to `origin`\n");
    assert!(done.stderr.ends_with("interrupted; the same command continues\n"), "{done}");
}

/// Number and bytes of the files of the remote.
fn stored(sandbox: &Sandbox) -> (usize, u64) {
    let root = sandbox.path("store");
    let files = files(&root);
    let bytes = files.iter().map(|file| root.join(file).metadata().unwrap().len()).sum();
    (files.len(), bytes)
}

#[test]
fn only_changes_are_sent() {
    let sandbox = Sandbox::empty();
    let cmd = "mkdir -p data/a data/b; for i in $(seq 500); do echo a$i > data/a/$i; \
               echo b$i > data/b/$i; done; cat in > data/a/3";
    sandbox.write(
        "a/pipeline.toml",
        format!(
            "[remotes.origin]\nurl = '../store'\n[stages.s]\ncmd = '{cmd}'\ndeps = ['in']\n\
             outs = [{{ path = 'data', persist = true }}]\n"
        ),
    );
    sandbox.write("a/in", "1");
    sandbox.git(&["init", "-q", "a"]);
    ok(&sandbox, "a", &["run"]);
    ok(&sandbox, "a", &["push"]);
    let (count, bytes) = stored(&sandbox);
    // Marker, heads, one index, and a pack each of files, folders and traces.
    assert_eq!(count, 6, "{:?}", files(&sandbox.path("store")));
    sandbox.write("a/in", "2");
    ok(&sandbox, "a", &["run"]);
    let done = ok(&sandbox, "a", &["push"]);
    // The file, its folder and the folder above.
    assert!(done.stdout.starts_with("pushed 3 objects and 1 trace to `origin`"), "{done}");
    let (more_count, more_bytes) = stored(&sandbox);
    assert_eq!(more_count, count + 4);
    let folder = 500 * 75;
    assert!(more_bytes - bytes < folder, "{} of {bytes}", more_bytes - bytes);
    let done = ok(&sandbox, "a", &["push"]);
    assert_eq!(done.stdout, "`origin` has everything: 1003 objects\n");
    assert_eq!(stored(&sandbox), (more_count, more_bytes));
}
