//! Large files on a remote: only the changed places of a new version are sent.

use std::fs;

use crate::sandbox::{Sandbox, files};
use crate::share::{clone, commit, ok};

const PIPELINE: &str = "\
[remotes.origin]
url = '../store'

[stages.data]
outs = ['data.bin']
";

/// Maximum length of a segment; a change in one place costs the segments around it.
const SEGMENT: usize = 4 << 20;

/// Returns bytes without a pattern.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
    bytes
}

/// Clone `a`, which tracks a large file.
fn with_data(bytes: &[u8]) -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("a/pipeline.toml", PIPELINE);
    sandbox.write("a/.gitignore", "/data.bin\n/cache\n/runs\n");
    sandbox.git(&["init", "-q", "a"]);
    record(&sandbox, bytes);
    sandbox
}

/// Records `bytes` as the present version of the file.
fn record(sandbox: &Sandbox, bytes: &[u8]) {
    sandbox.write("a/data.bin", bytes);
    ok(sandbox, "a", &["run"]);
    commit(sandbox, "a");
}

fn stored(sandbox: &Sandbox) -> usize {
    let packs = sandbox.path("store/packs");
    let length = |file: &String| fs::metadata(packs.join(file)).unwrap().len() as usize;
    files(&packs).iter().map(length).sum()
}

#[test]
fn edits_send_changed_segments() {
    let first = noise(18 << 20);
    let sandbox = with_data(&first);
    ok(&sandbox, "a", &["push"]);
    let mut before = stored(&sandbox);
    assert!(before >= first.len());

    let middle = first.len() / 2;
    let inserted = [&first[..middle], b"one row more\n", &first[middle..]].concat();
    let appended = [&inserted[..], b"the last row\n"].concat();
    for version in [&inserted, &appended] {
        record(&sandbox, version);
        ok(&sandbox, "a", &["push"]);
        let sent = stored(&sandbox) - before;
        assert!((1..2 * SEGMENT).contains(&sent), "{sent}");
        before += sent;
    }

    clone(&sandbox, "b");
    ok(&sandbox, "b", &["pull"]);
    assert!(fs::read(sandbox.path("b/data.bin")).unwrap() == appended);
    sandbox.git(&["-C", "b", "checkout", "-q", "HEAD~2"]);
    ok(&sandbox, "b", &["pull"]);
    assert!(fs::read(sandbox.path("b/data.bin")).unwrap() == first);
}

#[test]
fn repeated_segments_are_sent_once() {
    let sandbox = with_data(&noise(SEGMENT).repeat(3));
    ok(&sandbox, "a", &["push"]);
    assert!(stored(&sandbox) < 2 * SEGMENT, "{}", stored(&sandbox));
    clone(&sandbox, "b");
    ok(&sandbox, "b", &["pull"]);
    assert!(fs::read(sandbox.path("b/data.bin")).unwrap() == noise(SEGMENT).repeat(3));
}

#[test]
fn damaged_object_is_not_sent() {
    let sandbox = with_data(&noise(5 << 20));
    let objects = sandbox.path("a/cache/objects");
    let large = files(&objects).into_iter().map(|name| objects.join(name));
    let large = large.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&large).unwrap();
    bytes[3 << 20] ^= 1;
    fs::remove_file(&large).unwrap();
    fs::write(&large, bytes).unwrap();
    let done = crate::share::repro(&sandbox, "a", &["push"]);
    assert!(done.stderr.contains("damaged"), "{}", done.stderr);
    clone(&sandbox, "b");
    let done = crate::share::repro(&sandbox, "b", &["pull"]);
    assert!(!sandbox.exists("b/data.bin"), "{}", done.stderr);
}
