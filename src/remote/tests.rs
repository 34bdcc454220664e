//! Transfers over a folder: interrupted, repeated, failing and at the same time as others.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::backend::{Backend, Fault, FaultKind, Listed};
use super::folder::Folder;
use super::index::{Blob, Index, Kind, Large, Pack, Segment, Slice};
use super::local::LocalState;
use super::store::{index_path, pack_path};
use super::*;
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use codec::Codec;

/// A folder that does something before each write.
#[derive(Debug)]
struct Watched {
    folder: Folder,
    before_put: PutHook,
    gets: Arc<AtomicUsize>,
}

type OnPut = dyn Fn(&str) -> std::result::Result<(), Fault> + Send + Sync;

struct PutHook(Box<OnPut>);

impl std::fmt::Debug for PutHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PutHook")
    }
}

impl Backend for Watched {
    fn place(&self) -> String {
        self.folder.place()
    }

    fn list(&self, folder: &str) -> std::result::Result<Vec<Listed>, Fault> {
        self.folder.list(folder)
    }

    fn get(&self, path: &str, range: Option<Range<u64>>) -> std::result::Result<Vec<u8>, Fault> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.folder.get(path, range)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> std::result::Result<(), Fault> {
        (self.before_put.0)(path)?;
        self.folder.put(path, bytes)
    }

    fn delete(&self, path: &str) -> std::result::Result<(), Fault> {
        self.folder.delete(path)
    }

    fn entry(&self, path: &str) -> std::result::Result<Option<Entry>, Fault> {
        self.folder.entry(path)
    }

    fn entries(&self, folder: &str) -> std::result::Result<Vec<Entry>, Fault> {
        self.folder.entries(folder)
    }

    fn parallelism(&self) -> usize {
        3
    }
}

/// Contents in memory, as a source and a sink.
#[derive(Default)]
struct Contents {
    of: Mutex<HashMap<Digest, Vec<u8>>>,
    reads: AtomicUsize,
    /// Number of contents that are being assembled, and the largest so far.
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl Contents {
    fn add(&self, bytes: Vec<u8>) -> Outgoing {
        let digest = Digest::of(&bytes);
        let length = bytes.len() as u64;
        self.of.lock().unwrap().insert(digest, bytes);
        Outgoing { digest, bytes: length, shape: Shape::File }
    }

    fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.of.lock().unwrap().get(digest).cloned()
    }
}

impl Source for Contents {
    fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.get(digest).ok_or_else(|| Error::damaged("gone"))
    }

    fn open(&self, digest: &Digest) -> Result<Box<dyn Pieces + '_>> {
        Ok(Box::new(Opened(*digest, self.read(digest)?)))
    }
}

struct Opened(Digest, Vec<u8>);

impl Pieces for Opened {
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        Ok(self.1[offset as usize..offset as usize + length].to_vec())
    }

    fn verify(&self, _: &dyn Fn() -> bool) -> Result<bool> {
        if Digest::of(&self.1) == self.0 { Ok(true) } else { Err(Error::damaged("changed")) }
    }
}

impl Sink for Contents {
    fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<bool> {
        let is_right = Digest::of(bytes) == *digest;
        if is_right {
            self.add(bytes.to_vec());
        }
        Ok(is_right)
    }

    fn partial(&self, digest: &Digest, bytes: u64) -> Result<Box<dyn Partial + '_>> {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_open.fetch_max(open, Ordering::Relaxed);
        Ok(Box::new(Assembled {
            to: self,
            digest: *digest,
            bytes: Mutex::new(vec![0; bytes as usize]),
        }))
    }
}

struct Assembled<'c> {
    to: &'c Contents,
    digest: Digest,
    bytes: Mutex<Vec<u8>>,
}

impl Drop for Assembled<'_> {
    fn drop(&mut self) {
        self.to.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Partial for Assembled<'_> {
    fn has(&self, _: u64, _: u64, _: &Digest) -> bool {
        false
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.bytes.lock().unwrap()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&self, _: &dyn Fn() -> bool) -> Result<Option<bool>> {
        self.to.put(&self.digest, &self.bytes.lock().unwrap()).map(Some)
    }
}

/// Length of contents of which four fit in a pack.
const FOURTH: usize = 4_100_000;

/// Opens the remote at `dir/store` with the local state `dir/NAME`.
fn remote(
    dir: &Path,
    name: &str,
    before_put: impl Fn(&str) -> std::result::Result<(), Fault> + Send + Sync + 'static,
) -> Remote {
    let folder = Folder::new(dir.join("store"));
    let local = LocalState::of(&dir.join(name), "store");
    let gets = Arc::default();
    let backend = Watched { folder, before_put: PutHook(Box::new(before_put)), gets };
    let mut remote = Remote::over("origin", Box::new(backend), local);
    remote.refresh().unwrap();
    remote
}

fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Sends contents and publishes them; returns what was sent and the bytes written.
fn send(remote: &mut Remote, contents: &[Outgoing], source: &Contents, meter: &Meter) -> Amount {
    let mut sent = remote.upload(contents, &[], source, meter);
    let written = sent.written;
    let failed = sent.failed.take();
    remote.publish(sent, &|_| true).unwrap();
    assert!(failed.is_none() || meter.is_stopped(), "{failed:?}");
    written
}

fn packs(dir: &Path) -> usize {
    Folder::new(dir.join("store")).list("packs").unwrap().len()
}

#[test]
fn many_small_contents_share_packs() {
    let dir = tempfile::tempdir().unwrap();
    let source = Contents::default();
    let outgoing: Vec<Outgoing> = (0..4000).map(|at| source.add(noise(at, 10_000))).collect();
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    send(&mut one, &outgoing, &source, &Meter::default());
    assert_eq!(packs(dir.path()), 3);
    let two = remote(dir.path(), "two", |_| Ok(()));
    let sink = Contents::default();
    let wanted: Vec<Digest> = outgoing.iter().map(|content| content.digest).collect();
    let fetched = two.download(&wanted, &sink, &Meter::default());
    assert!(fetched.failed.is_none() && fetched.faults.is_empty());
    assert_eq!(fetched.added, Amount { objects: 4000, bytes: 40_000_000 });
    assert!(*sink.of.lock().unwrap() == *source.of.lock().unwrap());
}

#[test]
fn large_contents_travel_in_segments() {
    let dir = tempfile::tempdir().unwrap();
    let source = Contents::default();
    let mut long = noise(1, 40 << 20);
    let before = source.add(long.clone());
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    send(&mut one, &[before], &source, &Meter::default());
    // Only the last segments of a file that grew are sent.
    long.extend(noise(2, 100));
    let after = source.add(long);
    let written = send(&mut one, &[after], &source, &Meter::default());
    assert!(written.bytes < 9 << 20, "{written:?}");
    // All segments of a file of zeros are the same.
    let zeros = source.add(vec![0; 100 << 20]);
    let written = send(&mut one, &[zeros], &source, &Meter::default());
    assert!(written.bytes < 100_000, "{written:?}");
    let two = remote(dir.path(), "two", |_| Ok(()));
    let sink = Contents::default();
    let wanted = [before.digest, after.digest, zeros.digest];
    let fetched = two.download(&wanted, &sink, &Meter::default());
    assert!(fetched.failed.is_none() && fetched.faults.is_empty(), "{fetched:?}");
    assert!(*sink.of.lock().unwrap() == *source.of.lock().unwrap());
}

#[test]
fn few_large_contents_are_open() {
    let dir = tempfile::tempdir().unwrap();
    let source = Contents::default();
    let outgoing: Vec<Outgoing> =
        (1..40).map(|more| source.add(vec![0; (4 << 20) + more])).collect();
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    send(&mut one, &outgoing, &source, &Meter::default());
    let sink = Contents::default();
    let wanted: Vec<Digest> = outgoing.iter().map(|content| content.digest).collect();
    let fetched = one.download(&wanted, &sink, &Meter::default());
    assert_eq!(fetched.added.objects, 39, "{fetched:?}");
    assert_eq!(sink.most_open.into_inner(), 32);
}

#[test]
fn stopped_push_continues() {
    let dir = tempfile::tempdir().unwrap();
    let source = Contents::default();
    let outgoing: Vec<Outgoing> = (0..40).map(|at| source.add(noise(at, FOURTH))).collect();
    let meter = Arc::new(Meter::default());
    let puts = AtomicUsize::new(0);
    let stop = meter.clone();
    let hook = move |path: &str| {
        if path.starts_with("packs/") && puts.fetch_add(1, Ordering::Relaxed) == 3 {
            stop.stop();
        }
        Ok(())
    };
    let mut one = remote(dir.path(), "one", hook);
    send(&mut one, &outgoing, &source, &meter);
    let first = packs(dir.path());
    assert!((4..10).contains(&first), "{first} packs");
    // What was sent is published: another clone can use it.
    let has = |remote: &Remote| {
        outgoing.iter().filter(|content| remote.catalog().has(&content.digest)).count()
    };
    let published = has(&remote(dir.path(), "two", |_| Ok(())));
    assert!((16..40).contains(&published), "{published} contents");
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    let written = send(&mut one, &outgoing, &source, &Meter::default());
    assert!(written.bytes < (40 - published as u64) * FOURTH as u64 + 10_000, "{written:?}");
    assert_eq!(has(&remote(dir.path(), "two", |_| Ok(()))), 40);
}

#[test]
fn killed_push_continues() {
    let dir = tempfile::tempdir().unwrap();
    let source = Contents::default();
    let outgoing: Vec<Outgoing> = (0..24).map(|at| source.add(noise(at, FOURTH))).collect();
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    // Nothing is published.
    drop(one.upload(&outgoing[..16], &[], &source, &Meter::default()));
    assert!(remote(dir.path(), "two", |_| Ok(())).catalog().is_empty());
    let lost = Folder::new(dir.path().join("store")).list("packs").unwrap()[0].path.clone();
    std::fs::remove_file(dir.path().join("store").join(lost)).unwrap();
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    let written = send(&mut one, &outgoing, &source, &Meter::default());
    assert_eq!(written.objects, 3, "two new packs, and the one that was lost");
    let two = remote(dir.path(), "two", |_| Ok(()));
    assert!(outgoing.iter().all(|content| two.catalog().has(&content.digest)));
}

/// A tree with a content in it, and a trace of it.
fn tree_and_trace(source: &Contents) -> (Outgoing, Record) {
    let tree = Outgoing { shape: Shape::Tree, ..source.add(b"tree".to_vec()) };
    let (key, refers) = (Digest::of(b"key"), vec![Content::Tree(tree.digest)]);
    (tree, Record { key: RecordKey::Trace(key), bytes: b"trace".to_vec(), refers })
}

#[test]
fn noted_trees_of_other_pushes() {
    let dir = tempfile::tempdir().unwrap();
    let source = Contents::default();
    let (tree, trace) = tree_and_trace(&source);
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    // An interrupted push, which has not sent the files in the tree.
    drop(one.upload(&[tree], std::slice::from_ref(&trace), &source, &Meter::default()));
    let other = source.add(b"other".to_vec());
    send(&mut one, &[other], &source, &Meter::default());
    assert!(one.catalog().has(&other.digest) && !one.catalog().has(&tree.digest));
    assert_eq!(one.catalog().traces().count(), 0);
    // The push that knows them names them, and sends nothing again.
    let sent = one.upload(&[tree], &[trace], &source, &Meter::default());
    assert_eq!(sent.written.objects, 0);
    one.publish(sent, &|_| true).unwrap();
    assert!(one.catalog().has(&tree.digest));
    assert_eq!(one.catalog().traces().count(), 1);
}

#[test]
fn noted_packs_and_gc() {
    let dir = tempfile::tempdir().unwrap();
    let source = Contents::default();
    let content = source.add(noise(1, 1000));
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    drop(one.upload(&[content], &[], &source, &Meter::default()));
    let mut two = remote(dir.path(), "two", |_| Ok(()));
    let kept = std::collections::HashSet::new();
    let plan =
        |remote: &mut Remote| remote.plan_prune(Kept { contents: &kept, since: seconds_ago(0) });
    let first = plan(&mut two).unwrap();
    two.prune(first, plan).unwrap();
    assert_eq!(packs(dir.path()), 1);
    // Another command may delete the pack before this one names it.
    let sent = one.upload(&[content], &[], &source, &Meter::default());
    assert_eq!(sent.written.objects, 1);
    one.publish(sent, &|_| true).unwrap();
    let third = plan(&mut two).unwrap();
    two.prune(third, plan).unwrap();
    assert_eq!(packs(dir.path()), 1);
    let fetched = one.download(&[content.digest], &Contents::default(), &Meter::default());
    assert!(fetched.faults.is_empty() && fetched.added.objects == 1, "{fetched:?}");
}

#[test]
fn region_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    let source = Unreadable(Contents::default());
    let content = source.0.add(vec![0; 5 << 20]);
    let sent = one.upload(&[content], &[], &source, &Meter::default());
    assert!(!sent.has(&content.digest));
    let errors: Vec<&str> = sent.unreadable.iter().map(|error| error.what.as_str()).collect();
    assert_eq!(errors, ["cannot read a piece"]);
}

/// Contents that are intact when they are verified, and cannot be read then.
struct Unreadable(Contents);

impl Source for Unreadable {
    fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.0.read(digest)
    }

    fn open(&self, _: &Digest) -> Result<Box<dyn Pieces + '_>> {
        Ok(Box::new(UnreadablePieces))
    }
}

struct UnreadablePieces;

impl Pieces for UnreadablePieces {
    fn read(&self, _: u64, _: usize) -> Result<Vec<u8>> {
        Err(Error::environment("cannot read a piece"))
    }

    fn verify(&self, _: &dyn Fn() -> bool) -> Result<bool> {
        Ok(true)
    }
}

#[test]
fn full_store() {
    let dir = tempfile::tempdir().unwrap();
    let source = Contents::default();
    let outgoing: Vec<Outgoing> = (0..24).map(|at| source.add(noise(at, FOURTH))).collect();
    let puts = AtomicUsize::new(0);
    let hook = move |path: &str| match path.starts_with("packs/") {
        true if puts.fetch_add(1, Ordering::Relaxed) >= 2 => {
            Err(Fault { kind: FaultKind::Full, message: "no space left".into() })
        }
        _ => Ok(()),
    };
    let mut one = remote(dir.path(), "one", hook);
    let sent = one.upload(&outgoing, &[], &source, &Meter::default());
    let error = sent.failed.as_ref().unwrap();
    assert!(error.what.starts_with("cannot write `packs/"), "{error:?}");
    assert_eq!(error.causes, ["no space left"]);
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    // Two packs were sent before.
    let written = send(&mut one, &outgoing, &source, &Meter::default());
    assert!(written.bytes < 16 * FOURTH as u64 + 10_000, "{written:?}");
}

#[test]
fn two_pushes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let source = Contents::default();
    let outgoing: Vec<Outgoing> = (0..20).map(|at| source.add(noise(at, 1000))).collect();
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    let mut two = remote(dir.path(), "two", |_| Ok(()));
    let first = one.upload(&outgoing[..12], &[], &source, &Meter::default());
    let second = two.upload(&outgoing[8..], &[], &source, &Meter::default());
    one.publish(first, &|_| true).unwrap();
    two.publish(second, &|_| true).unwrap();
    one.refresh().unwrap();
    let third = remote(dir.path(), "three", |_| Ok(()));
    for remote in [&one, &two, &third] {
        assert!(outgoing.iter().all(|content| remote.catalog().has(&content.digest)));
    }
    let heads = std::fs::read_to_string(dir.path().join("store/heads")).unwrap();
    assert_eq!(heads.lines().count(), 3, "{heads}");
}

#[test]
fn push_during_gc() {
    let dir = tempfile::tempdir().unwrap();
    let source = Contents::default();
    let (old, new) = (source.add(noise(1, 1000)), source.add(noise(2, 1000)));
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    send(&mut one, &[old], &source, &Meter::default());
    // A push relies on the old content while another command removes it.
    let sent = one.upload(&[new], &[], &source, &Meter::default());
    let mut two = remote(dir.path(), "two", |_| Ok(()));
    let kept = std::collections::HashSet::new();
    let since = seconds_ago(0);
    let plan = |remote: &mut Remote| remote.plan_prune(Kept { contents: &kept, since });
    let first = plan(&mut two).unwrap();
    two.prune(first, plan).unwrap();
    one.publish(sent, &|_| true).unwrap();
    assert!(!one.catalog().has(&old.digest), "the push finds out that it has to send it again");
    assert!(one.catalog().has(&new.digest));
    assert_eq!(send(&mut one, &[old], &source, &Meter::default()).objects, 1);
}

/// Writes an index file and a pack with these bytes, whatever the index says about them.
fn forge(dir: &Path, index: &Index, bytes: &[u8]) {
    let store = Folder::new(dir.join("store"));
    let file = index.encode();
    for pack in &index.packs {
        store.put(&pack_path(&pack.digest), bytes).unwrap();
    }
    store.put(&index_path(&Digest::of(&file)), &file).unwrap();
}

#[test]
fn index_that_lies() {
    let bomb = zstd::bulk::compress(&vec![0; 8 << 20], 1).unwrap();
    let length = u32::try_from(bomb.len()).unwrap();
    let zeros = Digest::of(&vec![0; 8 << 20]);
    let whole = Slice { offset: 0, stored: length, raw: 8 << 20, codec: Codec::Zstd };
    for (slice, digest, is_intact) in [
        (whole, zeros, true),
        (whole, Digest::of(b"other"), false),
        (Slice { raw: 4096, ..whole }, zeros, false),
        (Slice { raw: (8 << 20) + 1, ..whole }, zeros, false),
        (Slice { stored: length - 1, ..whole }, zeros, false),
        (Slice { raw: length, codec: Codec::Stored, ..whole }, zeros, false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::default();
        let blobs = vec![Blob { digest, kind: Kind::Content, slice }];
        index.packs.push(Pack { digest: Digest::of(b"pack"), bytes: length, since: 0, blobs });
        forge(dir.path(), &index, &bomb);
        let remote = remote(dir.path(), "one", |_| Ok(()));
        let sink = Contents::default();
        let fetched = remote.download(&[digest], &sink, &Meter::default());
        assert_eq!(fetched.faults.is_empty(), is_intact, "{slice:?}");
        assert_eq!(sink.of.lock().unwrap().len(), usize::from(is_intact));
        assert!(fetched.failed.is_none());
    }
}

#[test]
fn segments_that_do_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = b"abcdef";
    let slice = Slice { offset: 0, stored: 6, raw: 6, codec: Codec::Stored };
    let segment = Digest::of(bytes);
    let mut index = Index::default();
    let blobs = vec![Blob { digest: segment, kind: Kind::Content, slice }];
    index.packs.push(Pack { digest: Digest::of(b"pack"), bytes: 6, since: 0, blobs });
    let digest = Digest::of(b"large");
    // Each is declared shorter or longer than it is, and one twice.
    for lengths in [vec![3, 6], vec![6], vec![7], vec![6, 6]] {
        let segments = lengths.iter().map(|bytes| Segment { digest: segment, bytes: *bytes });
        let large = Large { digest, is_tree: false, segments: segments.collect() };
        forge(dir.path(), &Index { larges: vec![large], ..index.clone() }, bytes);
        let remote = remote(dir.path(), &format!("{lengths:?}"), |_| Ok(()));
        let sink = Contents::default();
        let fetched = remote.download(&[digest], &sink, &Meter::default());
        assert!(!fetched.faults.is_empty() || fetched.failed.is_some(), "{lengths:?}");
        assert!(sink.of.lock().unwrap().is_empty());
        std::fs::remove_dir_all(dir.path().join("store/index")).unwrap();
    }
}

#[test]
fn records_with_references() {
    let dir = tempfile::tempdir().unwrap();
    let source = Contents::default();
    let content = source.add(noise(1, 100));
    let refers = vec![Content::File(content.digest)];
    let bytes = b"manifest".to_vec();
    let run = Record { key: RecordKey::Run([7; 16]), bytes, refers: refers.clone() };
    let mut one = remote(dir.path(), "one", |_| Ok(()));
    let sent = one.upload(&[], std::slice::from_ref(&run), &source, &Meter::default());
    one.publish(sent, &|digest| *digest != content.digest).unwrap();
    assert!(one.catalog().runs().is_empty(), "what it refers to is missing");
    let sent = one.upload(&[content], &[run], &source, &Meter::default());
    one.publish(sent, &|_| true).unwrap();
    let two = remote(dir.path(), "two", |_| Ok(()));
    let [found] = two.catalog().runs() else { panic!("one run") };
    assert_eq!((found.uid, &found.refers), ([7; 16], &refers));
    let (records, _) = two.records(&[(found.digest, found.place)], &Meter::default());
    assert_eq!(records, [(0, b"manifest".to_vec())]);
}
