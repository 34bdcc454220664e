//! Golden tests of the stored formats, byte by byte: the program writes what `docs/reference/`
//! specifies, and reads what earlier versions wrote.
//!
//! A format that changes gets a new version number, and a second golden text here beside the
//! first one, which stays.

use std::fs;

use rusqlite::Connection;

use crate::sandbox::{Sandbox, files};
use crate::snapshot;

const PIPELINE: &str = r#"
[params]
words.most = 3

[stages.all]
cmd = """mkdir -p ../made/sub && cat ../in/* > ../made/text && cp ../made/text ../made/sub/tool && \
  chmod +x ../made/sub/tool && ln -s nowhere ../made/link"""
shell = ["/bin/sh", "-ec"]
wdir = "in"
deps = ["in", "one.txt"]
env = { MODE = "fast" }
env_deps = ["SEED"]
tools = ["echo 1.0"]
params = ["words"]
outs = ["made", { path = "notes.txt", optional = true }]

[stages.each]
cmd = "cp {{ item.path }} items/{{ item.name }}"
each = "in/*"
outs = ["items/{{ item.name }}"]
"#;

const LOCK: &str = r#"repro.lock 1

stage all
cmd "mkdir -p ../made/sub && cat ../in/* > ../made/text && cp ../made/text ../made/sub/tool && chmod +x ../made/sub/tool && ln -s nowhere ../made/link"
shell ["/bin/sh","-ec"]
wdir in
env MODE "fast"
envdep SEED null
tool ["echo 1.0","1.0"]
dep tree a4ada3d8aff359f3c568fda5eb75f9316cff74afdc028d2c233068159c9e9a4b in
dep file 50cc1102b1c612e6962547aacdcef9a400d4416ef8dd9388e885991853c400c9 one.txt
param words.most 3
out tree 2e3514826a2610d47082e8e4ba28cc3048e57b1084fcf783a625e0e3837c9c4f made
absent notes.txt
sum 42f27d65a9ce213d

stage each
cmd "cp {{ item.path }} items/{{ item.name }}"
each "in/*"
each "items/{{ item.name }}"
dep tree a4ada3d8aff359f3c568fda5eb75f9316cff74afdc028d2c233068159c9e9a4b in/*
out tree a4ada3d8aff359f3c568fda5eb75f9316cff74afdc028d2c233068159c9e9a4b items
sum aacf0b5b9b8cecbb
"#;

/// Tree object of the folder that stage `all` writes.
const TREE: &str = "repro.tree 1
link c7a51aa3268f8f8fb9a67a997b3df4097f135d12ebf1410a780a83324f64011c link
tree ac967c06c703126ba497c3b2faa330ff234940b6e7a35830217deb650f4b5bf7 sub
file 41153ec5e22e7e1d208eec929ef45dcd31fd71283799b0615bb8753491715e5b text
";

/// `blake3` of the fingerprint of stage `all`.
const KEY: &str = "c241191c8955886994ae1e3f3cae181d32667cc2e850e5c0c2bd4c605331e994";

/// Returns the lines of stage `all` in the lock, without the checksum.
fn lines_of_all() -> &'static str {
    let block = LOCK.split("\n\n").nth(1).unwrap().split_once('\n').unwrap().1;
    block.rsplit_once('\n').unwrap().0
}

fn project() -> Sandbox {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.write("in/a.txt", "a\n");
    sandbox.write("in/b.txt", "b\n");
    sandbox.write("one.txt", "1\n");
    sandbox
}

#[test]
fn golden_lock_trace_and_tree() {
    let sandbox = project();
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("pipeline.lock"), LOCK);
    let block = lines_of_all();
    let (shard, name) = KEY.split_at(2);
    assert_eq!(
        sandbox.read(&format!("cache/traces/{shard}/{name}")),
        format!("repro.trace 1\n{block}\n")
    );
    let tree = blake3::hash(TREE.as_bytes()).to_hex();
    assert!(LOCK.contains(&format!("\nout tree {tree} made\n")), "{tree}");
    assert_eq!(sandbox.read(&format!("cache/objects/{}/{}", &tree[..2], &tree[2..])), TREE);
}

#[test]
fn golden_files_are_read() {
    let sandbox = project();
    sandbox.write("pipeline.lock", LOCK);
    let object = |bytes: &str| {
        let digest = blake3::hash(bytes.as_bytes()).to_hex();
        sandbox.write(&format!("cache/objects/{}/{}", &digest[..2], &digest[2..]), bytes);
    };
    let sub = TREE
        .lines()
        .find_map(|line| line.strip_prefix("tree "))
        .unwrap()
        .split_once(' ')
        .unwrap()
        .0;
    let tool = format!("repro.tree 1\nexec {} tool\n", blake3::hash(b"a\nb\n").to_hex());
    assert_eq!(blake3::hash(tool.as_bytes()).to_hex().as_str(), sub);
    for bytes in [TREE, &tool, "a\nb\n", "nowhere"] {
        object(bytes);
    }
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    all can be restored from the cache: out made is missing
    each is out of date: out items is missing, object a4ada3d8af is not in the cache
    ");
    // A trace in the cache is as good as the lock.
    sandbox.remove("pipeline.lock");
    let block = lines_of_all();
    let (shard, name) = KEY.split_at(2);
    sandbox.write(&format!("cache/traces/{shard}/{name}"), format!("repro.trace 1\n{block}\n"));
    let done = sandbox.ok(&["run", "all"]);
    assert!(done.stderr.contains("all: restored"), "{done}");
    assert_eq!(files(&sandbox.path("made")), ["sub/tool", "text"]);
    assert_eq!(fs::read_link(sandbox.path("made/link")).unwrap().to_str(), Some("nowhere"));
}

/// Database schema version 6, with one recorded run.
const HISTORY: &str = include_str!("../fixtures/runs-6.sql");

fn schema(conn: &Connection) -> (i64, Vec<String>) {
    let version = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let mut tables =
        conn.prepare("SELECT sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name").unwrap();
    let tables = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    (version, tables)
}

#[test]
fn golden_history() {
    let sandbox = project();
    sandbox.ok(&["run"]);
    let written = schema(&Connection::open(sandbox.path("runs/runs.db")).unwrap());
    sandbox.remove("runs");
    fs::create_dir(sandbox.path("runs")).unwrap();
    let former = Connection::open(sandbox.path("runs/runs.db")).unwrap();
    former.execute_batch(HISTORY).unwrap();
    assert_eq!(written, schema(&former));
    drop(former);
    snapshot!(sandbox.ok(&["runs", "show", "run-7"]), @r#"
    exit 0
    --- stdout
    run-7 failed in [time]

     started [date]
     command repro run
     pipeline words
     git not a git repository
     host box
     identity 00112233445566778899aabbccddeeff

    stages
     all ran [time] dep one.txt changed
     each failed [time] exited with code 1
     caused by: its last line: "no"
     last skipped each failed
     3 already up to date

    metrics
     all.odd NaN
     all.seen 9007199254740993
     all.words 12.5

    params
     all.lr "0.1"
     words.most 4 overridden

    artifacts
     all made tree 0000000000
    "#);
    snapshot!(sandbox.ok(&["metrics", "show", "run-7"]), @"
    exit 0
    --- stdout
    run-7 value
    all.odd NaN
    all.seen 9007199254740993
    all.words 12.5

    series steps first last
    all.loss 1–2 0.5 0.25 █▁▃
    ");
}

#[test]
fn former_histories_are_migrated() {
    let fixtures = [
        &include_bytes!("../fixtures/runs-1.db")[..],
        include_bytes!("../fixtures/runs-2.db"),
        include_bytes!("../fixtures/runs-3.db"),
        include_bytes!("../fixtures/runs-4.db"),
        include_bytes!("../fixtures/runs-5.db"),
    ];
    let current = Connection::open_in_memory().unwrap();
    current.execute_batch(HISTORY).unwrap();
    for (version, bytes) in (1..).zip(fixtures) {
        let sandbox = Sandbox::with(PIPELINE);
        fs::create_dir(sandbox.path("runs")).unwrap();
        fs::write(sandbox.path("runs/runs.db"), bytes).unwrap();
        let open = || Connection::open(sandbox.path("runs/runs.db")).unwrap();
        let is_version: i64 =
            open().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(is_version, version);
        sandbox.ok(&["runs", "list"]);
        let migrated = open();
        assert_eq!(schema(&migrated), schema(&current), "version {version}");
        let rows = |sql: &str| -> Vec<String> {
            let mut rows = migrated.prepare(sql).unwrap();
            rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let identities = "SELECT concat_ws(' ', number, kind, experiment, lifecycle, length(uid),
                              uid = lower(uid)) FROM runs";
        assert_eq!(
            rows(identities),
            ["1 pipeline 1 active 32 1", "2 pipeline 1 active 32 1", "3 accept 1 active 32 1"]
        );
        assert_eq!(rows("SELECT DISTINCT uid FROM runs").len(), 3);
        let series = rows(
            "SELECT concat_ws(' ', key, count, coalesce(last, 'NaN'), last_exact, last_step,
                 min, min_exact, min_step, max, max_exact, max_step)
             FROM series WHERE run = 2 ORDER BY key",
        );
        let seen = match version {
            3.. => "9007199254740992.0 9007199254740993 1",
            _ => "9007199254740992.0 1",
        };
        assert_eq!(
            series,
            ["loss 4 NaN 4 7.0 3 9.0 1".to_owned(), format!("seen 1 {seen} {seen} {seen}")]
        );
        let points = rows("SELECT nth || ' ' || step FROM points WHERE series = 1 ORDER BY step");
        assert_eq!(points, ["0 1", "1 2", "2 3", "3 4"]);
        let last_at =
            "SELECT CAST(last_at = max(at) AS TEXT) FROM series JOIN points ON series = id
                       WHERE step = last_step GROUP BY id";
        assert_eq!(rows(last_at), ["1"; 4]);
        assert_eq!(rows("SELECT path FROM artifacts WHERE reported"), ["plot.png", "plot.png"]);
        let done = sandbox.ok(&["metrics", "show", "run-1"]);
        assert!(done.stdout.contains("train.odd     NaN"), "{done}");
    }
}

/// Parses the index by its description in docs/reference/cache.md.
#[test]
fn golden_index() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'true'\ndeps = ['in']\n");
    sandbox.write("in/a", "a");
    sandbox.write("in/tool", "tool");
    let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    fs::File::options().write(true).open(sandbox.path("in/a")).unwrap().set_times(old).unwrap();
    // Files that were just written are not in the index yet.
    let written = || {
        sandbox.ok(&["status"]);
        let bytes = fs::read(sandbox.path("cache/index")).ok()?;
        bytes.windows(5).any(|name| name == b"atool").then_some(bytes)
    };
    let bytes = std::iter::repeat_with(written).take(1_000).flatten().next().unwrap();
    let rest = bytes.strip_prefix(b"repro.index 2\n").unwrap();
    let (digest, rest) = rest.split_at(32);
    assert_eq!(digest, blake3::hash(rest).as_bytes());
    let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
    assert_eq!([number(0), number(4), number(8)], [2, 2, 5]);
    assert_eq!(&rest[12..14], b"in");
    let (first, second) = (&rest[14..91], &rest[91..168]);
    assert_eq!((first[0], second[0]), (1, 5));
    assert_eq!(&first[4..36], blake3::hash(b"a").as_bytes());
    assert_eq!(&first[36..44], 1_u64.to_le_bytes());
    assert_eq!(&first[60..68], 0_i64.to_le_bytes());
    assert_eq!(&rest[168..], b"atool");
}
