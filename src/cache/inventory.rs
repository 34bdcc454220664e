//! Lists, checks and removes cache entries, for `gc` and `fsck`. Unlike the rest of the cache,
//! reading never changes anything here: a damaged object stays until the caller removes it. Does
//! not know what refers to an entry.

use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Cache;
use super::transfer::PARTIAL;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::parallel;
use crate::plan::{Trace, Tree};
use crate::regular_file;
use crate::unique::is_left_over;

/// Time for which an unfinished object waits for a fetch that continues it.
const PARTIAL_KEPT: Duration = Duration::from_secs(14 * 86_400);

/// Kind of cache entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    Objects,
    Traces,
}

impl EntryKind {
    fn folder(self) -> &'static str {
        match self {
            EntryKind::Objects => "objects",
            EntryKind::Traces => "traces",
        }
    }
}

/// The files of one kind, sorted.
#[derive(Debug, Default)]
pub struct Listing {
    pub entries: Vec<Entry>,
    /// Files and folders that this program never creates there: their names are not digests.
    pub strays: Vec<PathBuf>,
}

/// An object or trace file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub digest: Digest,
    pub bytes: u64,
}

/// A temporary file of a process that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub path: PathBuf,
    pub bytes: u64,
}

/// Result of checking an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    Intact,
    /// Its bytes do not match its digest.
    Damaged,
    /// Reading it failed, for this reason.
    Unreadable(String),
    Missing,
}

/// Result of checking a tree object.
#[derive(Debug)]
pub enum FoundTree {
    Tree(Tree),
    /// Intact, but not the encoding of a tree.
    NotATree,
    Broken(Integrity),
}

/// Result of checking a trace.
#[derive(Debug)]
pub enum FoundTrace {
    Trace(Box<Trace>),
    /// Written by a newer version of this program.
    Newer,
    Unreadable,
    Missing,
}

impl Cache {
    /// Lists the entries of a kind by name and size. A missing folder counts as empty.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn list(&self, kind: EntryKind) -> Result<Listing> {
        let mut listing = Listing::default();
        for shard in entries(&self.dir.join(kind.folder()))? {
            let name = shard.file_name();
            let prefix = name.to_str().filter(|name| is_shard(name) && is_dir(&shard));
            let Some(prefix) = prefix else {
                listing.strays.push(shard.path());
                continue;
            };
            for entry in entries(&shard.path())? {
                match entry_of(prefix, &entry) {
                    Some(found) => listing.entries.push(found),
                    // Skip what was removed since it was listed.
                    None if entry.path().symlink_metadata().is_ok() => {
                        listing.strays.push(entry.path());
                    }
                    None => {}
                }
            }
        }
        listing.entries.sort();
        listing.strays.sort();
        Ok(listing)
    }

    /// Returns the temporary files of processes that have ended, and unfinished objects that no
    /// fetch will continue: the object is there, or nobody has continued it for long.
    ///
    /// Files of running processes, which may be writing them, are skipped, and so is everything
    /// else. Call it only while no other process uses the cache.
    pub fn leftovers(&self) -> Result<Vec<Leftover>> {
        let mut leftovers = Vec::new();
        for entry in entries(&self.dir.join("tmp"))? {
            let name = entry.file_name();
            let unique = name.to_str().and_then(|name| name.strip_prefix("object-"));
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_file() && unique.is_some_and(is_left_over) {
                leftovers.push(Leftover { path: entry.path(), bytes: meta.len() });
            }
        }
        for entry in entries(&self.dir.join(PARTIAL))? {
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| name.parse::<Digest>().ok());
            let Ok(meta) = entry.metadata() else { continue };
            let age = meta.modified().ok().and_then(|time| time.elapsed().ok());
            let continues = digest.is_some_and(|digest| !self.has(&digest))
                && age.is_none_or(|age| age < PARTIAL_KEPT);
            if meta.is_file() && !continues {
                let bytes = meta.blocks() * 512;
                leftovers.push(Leftover { path: entry.path(), bytes });
            }
        }
        leftovers.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(leftovers)
    }

    /// Deletes an entry; succeeds if it does not exist.
    pub fn remove(&self, kind: EntryKind, digest: &Digest) -> Result<()> {
        remove_file(&self.path_of(kind.folder(), digest))
    }

    /// Deletes a temporary file; succeeds if it does not exist.
    pub fn remove_leftover(&self, leftover: &Leftover) -> Result<()> {
        remove_file(&leftover.path)
    }

    /// Returns the folder of the cache, or one in it, that is a link; `None` if none is.
    ///
    /// The folder of a shared cache was resolved when it was opened.
    pub fn linked_folder(&self) -> Option<PathBuf> {
        let inside =
            [EntryKind::Objects, EntryKind::Traces].map(|kind| self.dir.join(kind.folder()));
        std::iter::once(self.dir.clone()).chain(inside).find(|folder| folder.is_symlink())
    }

    /// Returns the folder that contains all objects.
    pub fn objects_dir(&self) -> PathBuf {
        self.dir.join(EntryKind::Objects.folder())
    }

    /// Returns the digest that the path of an object stands for; `None` if it is not one.
    pub fn digest_of_object(&self, path: &Path) -> Option<Digest> {
        let shard = path.parent()?.file_name()?.to_str()?;
        format!("{shard}{}", path.file_name()?.to_str()?).parse().ok()
    }

    /// Returns the path of the object `digest`, which need not exist.
    pub fn object_path(&self, digest: &Digest) -> PathBuf {
        self.path_of(EntryKind::Objects.folder(), digest)
    }

    /// Moves a file that does not belong in the cache to `damaged/` and returns its new path.
    ///
    /// The file is called `name` or, if that exists, `name-2` and so on.
    pub fn set_aside(&self, path: &Path, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join("damaged");
        fs::create_dir_all(&dir).map_err(|err| Error::io("create", &dir, &err))?;
        let names = std::iter::once(name.to_owned())
            .chain((2u64..).map(|number| format!("{name}-{number}")));
        let free = names.map(|name| dir.join(name)).find(|path| path.symlink_metadata().is_err());
        let target = free.unwrap_or_else(|| panic!("BUG: no free name in `damaged/`"));
        let moved = match fs::rename(path, &target) {
            // A file of the project's own state, and a shared cache.
            Err(err) if err.kind() == ErrorKind::CrossesDevices => {
                fs::copy(path, &target).and_then(|_| fs::remove_file(path))
            }
            moved => moved,
        };
        moved.map_err(|err| Error::io("move", path, &err))?;
        Ok(target)
    }

    /// Reads a whole object and checks its digest. `read` is called with the size of each chunk
    /// read.
    pub fn check(&self, digest: &Digest, read: &dyn Fn(u64)) -> Integrity {
        match hash(&self.object_path(digest), read) {
            Ok(found) if found == *digest => Integrity::Intact,
            Ok(_) => Integrity::Damaged,
            Err(err) => io_integrity(&err),
        }
    }

    /// Reads and checks a tree object.
    pub fn check_tree(&self, digest: &Digest) -> FoundTree {
        match regular_file::read(&self.object_path(digest)) {
            Err(err) => FoundTree::Broken(io_integrity(&err)),
            Ok(bytes) if Digest::of(&bytes) != *digest => FoundTree::Broken(Integrity::Damaged),
            Ok(bytes) => Tree::decode(&bytes).map_or(FoundTree::NotATree, FoundTree::Tree),
        }
    }

    /// Reads and checks a trace.
    pub fn check_trace(&self, key: &Digest) -> FoundTrace {
        if let Some(trace) = self.trace(key) {
            return FoundTrace::Trace(Box::new(trace));
        }
        match regular_file::read(&self.path_of(EntryKind::Traces.folder(), key)) {
            Err(err) if err.kind() == ErrorKind::NotFound => FoundTrace::Missing,
            Ok(bytes) if is_newer_trace(&bytes) => FoundTrace::Newer,
            _ => FoundTrace::Unreadable,
        }
    }
}

fn entries(dir: &Path) -> Result<Vec<DirEntry>> {
    let listed = fs::read_dir(dir).and_then(Iterator::collect);
    match listed {
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|err| Error::io("read", dir, &err)),
    }
}

fn is_shard(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_dir(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

fn entry_of(prefix: &str, entry: &DirEntry) -> Option<Entry> {
    let digest = format!("{prefix}{}", entry.file_name().to_str()?).parse().ok()?;
    let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
    Some(Entry { digest, bytes: meta.len() })
}

fn is_newer_trace(bytes: &[u8]) -> bool {
    let version = bytes
        .strip_prefix(b"repro.trace ")
        .and_then(|rest| rest.split(|byte| *byte == b'\n').next());
    let version = version
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.parse::<u32>().ok());
    version.is_some_and(|version| version > 1)
}

fn io_integrity(err: &io::Error) -> Integrity {
    match err.kind() {
        ErrorKind::NotFound => Integrity::Missing,
        _ => Integrity::Unreadable(err.to_string()),
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(err) if err.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, &err)),
        _ => Ok(()),
    }
}

fn hash(path: &Path, read: &dyn Fn(u64)) -> io::Result<Digest> {
    let mut file = regular_file::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(count) => {
                // Hash in parallel, so that a single large object also uses all cores.
                parallel::update(&mut hasher, &chunk[..count]);
                read(count as u64);
            }
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_ended_processes_only() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        fs::create_dir_all(dir.path().join("tmp/running")).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        for pid in [std::process::id(), child.id()] {
            fs::write(dir.path().join(format!("tmp/object-{pid}-0")), "abc").unwrap();
        }
        let path = dir.path().join(format!("tmp/object-{}-0", child.id()));
        assert_eq!(cache.leftovers().unwrap(), [Leftover { path, bytes: 3 }]);
    }

    #[test]
    fn leftovers_of_fetches() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let there = cache.put_bytes(b"there").unwrap();
        let [new, old] = [b"new", b"old"].map(|bytes| Digest::of(bytes));
        fs::create_dir(dir.path().join("partial")).unwrap();
        let path = |name: String| dir.path().join("partial").join(name);
        let long_ago = std::time::SystemTime::now() - 2 * PARTIAL_KEPT;
        for (name, time) in [
            (there.to_string(), None),
            (new.to_string(), None),
            (old.to_string(), Some(long_ago)),
            (format!("{new}-1-2"), None),
        ] {
            let file = fs::File::create(path(name)).unwrap();
            file.set_len(3).unwrap();
            time.into_iter().for_each(|time| file.set_modified(time).unwrap());
        }
        let found = cache.leftovers().unwrap().into_iter().map(|leftover| leftover.path);
        let mut expected = [there.to_string(), old.to_string(), format!("{new}-1-2")].map(path);
        expected.sort();
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn list_separates_strays() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        assert!(
            cache.list(EntryKind::Objects).unwrap().entries.is_empty(),
            "a cache that does not exist is empty"
        );
        let digest = cache.put_bytes(b"abc").unwrap();
        let hex = digest.to_string();
        let strays = ["AB/x", "note", "zz", &format!("{}/{}x", &hex[..2], &hex[2..])];
        for stray in strays {
            let path = dir.path().join("objects").join(stray);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let found = cache.list(EntryKind::Objects).unwrap();
        assert_eq!(found.entries, [Entry { digest, bytes: 3 }]);
        let mut expected: Vec<PathBuf> = ["AB", "note", "zz", strays[3]]
            .iter()
            .map(|name| dir.path().join("objects").join(name))
            .collect();
        expected.sort();
        assert_eq!(found.strays, expected);
    }

    #[test]
    fn set_aside_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        for text in ["one", "two", "three"] {
            let path = dir.path().join("x");
            fs::write(&path, text).unwrap();
            cache.set_aside(&path, "x").unwrap();
        }
        let read = |name: &str| fs::read_to_string(dir.path().join("damaged").join(name)).unwrap();
        assert_eq!([read("x"), read("x-2"), read("x-3")], ["one", "two", "three"]);
    }

    #[test]
    fn newer_trace_versions() {
        for (text, newer) in
            [("repro.trace 2\n", true), ("repro.trace 1\n", false), ("repro.trace x\n", false)]
        {
            assert_eq!(is_newer_trace(text.as_bytes()), newer, "{text}");
        }
    }
}
