//! Merging of runs with hostile, damaged and conflicting manifests.

use std::fs;

use super::*;
use crate::engine::share::shelf::Shelf;
use crate::pipeline::RemoteSpec;
use crate::remote::{Outgoing, Pieces, Record, RecordKey, Shape, Source};
use crate::runs::tests::finished;

/// A remote in a folder.
fn remote(dir: &Path) -> Remote {
    let url = dir.join("remote").to_str().unwrap().to_owned();
    let spec = serde_json::json!({
        "name": "origin", "url": url, "is_default": false, "auto": "Off"
    });
    let spec: RemoteSpec = serde_json::from_value(spec).unwrap();
    let mut remote = Remote::open(&spec, dir, &dir.join("known")).unwrap();
    remote.refresh().unwrap();
    remote
}

/// Parts in memory.
struct Bytes(BTreeMap<Digest, Vec<u8>>);

impl Source for Bytes {
    fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        Ok(self.0[digest].clone())
    }

    fn open(&self, _: &Digest) -> Result<Box<dyn Pieces + '_>> {
        Err(Error::usage("the parts are short"))
    }
}

/// Puts a manifest on a remote, with parts.
fn put(dir: &Path, manifest: &str, parts: Vec<Vec<u8>>) {
    let mut remote = remote(dir);
    let parts: BTreeMap<Digest, Vec<u8>> =
        parts.into_iter().map(|bytes| (Digest::of(&bytes), bytes)).collect();
    let outgoing = |(digest, bytes): (&Digest, &Vec<u8>)| Outgoing {
        digest: *digest,
        bytes: bytes.len() as u64,
        shape: Shape::File,
    };
    let outgoing: Vec<Outgoing> = parts.iter().map(outgoing).collect();
    let bytes = manifest.as_bytes().to_vec();
    let record = Record { key: RecordKey::Run([7; 16]), bytes, refers: Vec::new() };
    let meter = Meter::default();
    let sent = remote.upload(&outgoing, &[record], &Bytes(parts), &meter);
    assert!(sent.failed.is_none() && sent.unreadable.is_empty());
    remote.publish(sent, &|_| true).unwrap();
}

fn pulled(dir: &Path) -> PulledRuns {
    let cache = Cache::open(&dir.join("cache"));
    pull(dir, &cache, &mut remote(dir), DryRun::No, &Meter::default()).unwrap()
}

#[test]
fn hostile_manifests_are_refused() {
    let project = finished();
    let root = project.path();
    fs::create_dir_all(root.join("runs/run-2/train")).unwrap();
    fs::write(root.join("runs/run-2/train/log"), "a line\n").unwrap();
    let store = Store::open(root, PATIENCE).unwrap();
    let version = version::collect(root, &store, RunName(2)).unwrap();
    let good = String::from_utf8(version.manifest.clone()).unwrap();
    let parts: Vec<Vec<u8>> =
        version.parts.values().map(|(path, _)| fs::read(path).unwrap()).collect();
    let log = Digest::of(b"a line\n").to_string();
    let other = Digest::of(b"other").to_string();
    let uid = version.rows.uid.clone();
    for (from, to, why) in [
        ("\"train/log\"", "\"../../evil\"", "is not a file of a run"),
        ("\"train/log\"", "\"/tmp/evil\"", "is not a file of a run"),
        ("\"train/log\"", "\"recording.lock\"", "is not a file of a run"),
        ("\"objects\":[]", &format!("\"objects\":[\"{log}\"]"), "objects besides its parts"),
        ("\"runs\":[", "\"runs\":[],\"more\":[", "is not that of"),
        ("\"tables\":6", "\"tables\":999", "newer version"),
        (&*log, &*other, "missing or damaged"),
        (&*uid, "0123456789abcdef0123456789abcdef", "two identities"),
        ("\"metrics\":", "\"sqlite_master\":", "unknown table"),
        ("\"host\":", "\"hosts\":", "unknown column"),
        ("\"status\":\"", "\"status\":\"un", ""),
        ("{", "[", "is not that of"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let bad = if from == log { good.replace(from, to) } else { good.replacen(from, to, 1) };
        assert_ne!(bad, good, "{from}");
        put(dir.path(), &bad, parts.clone());
        let found = pulled(dir.path());
        assert_eq!((found.new.len(), found.refused.len()), (0, 1), "{to}: {found:?}");
        let error = &found.refused[0].1;
        let text = format!("{error} {}", error.causes.join(" "));
        assert!(text.contains(why), "{to}: {text}");
        assert!(!dir.path().join("runs/run-1").exists(), "{to}");
        assert!(!dir.path().parent().unwrap().join("evil").exists());
        // The others are merged anyway.
        put(dir.path(), &good, parts.clone());
        let found = pulled(dir.path());
        assert_eq!(found.new.len(), 1, "{to}: {found:?}");
        assert_eq!(fs::read(dir.path().join("runs/run-1/train/log")).unwrap(), b"a line\n");
    }
}

#[test]
fn interrupted_push_continues() {
    let project = finished();
    let root = project.path();
    let dir = tempfile::tempdir().unwrap();
    let mut remote = remote(dir.path());
    let stopped = Meter::default();
    stopped.stop();
    let pushed = push(root, &mut remote, Selection::All, DryRun::No, &stopped).unwrap();
    assert_eq!((pushed.known, pushed.sent.len()), (0, 0));
    assert!(Shelf { remote: &mut remote, meter: &stopped }.versions().is_empty());
    let meter = Meter::default();
    let pushed = push(root, &mut remote, Selection::All, DryRun::No, &meter).unwrap();
    assert_eq!(pushed.sent.len(), 2);
    assert_eq!(Shelf { remote: &mut remote, meter: &meter }.versions().len(), 2);
    let again = push(root, &mut remote, Selection::All, DryRun::No, &meter).unwrap();
    assert_eq!((again.sent.len(), again.known), (0, 2));
}
