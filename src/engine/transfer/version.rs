//! Versions of runs: a manifest with one run, whose parts are files elsewhere. The bytes of a
//! manifest name the version.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::collect::{Collector, Parts};
use super::hashing::Hashing;
use super::manifest::{Entry, Manifest, refused};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::runs::{Arriving, Rows, RunName, RunUid, Store, lock_after, run_dir};
use crate::workspace::restore::remove_any;

/// A version of a run in this store. Temporary files of it are removed when it is dropped.
#[derive(Debug)]
pub(in crate::engine) struct Version {
    pub(in crate::engine) digest: Digest,
    pub(in crate::engine) manifest: Vec<u8>,
    pub(in crate::engine) rows: Rows,
    /// The files with its parts, and their sizes.
    pub(in crate::engine) parts: BTreeMap<Digest, (PathBuf, u64)>,
    staged: Vec<PathBuf>,
}

impl Drop for Version {
    fn drop(&mut self) {
        self.staged.iter().for_each(|path| drop(fs::remove_file(path)));
    }
}

/// Returns the present version of a run that has ended.
///
/// # Errors
/// The run is running; a file of it cannot be read.
pub(in crate::engine) fn collect(root: &Path, store: &Store, run: RunName) -> Result<Version> {
    let mut collector = Collector { root, store, cache: None, parts: Parts::default(), missing: 0 };
    let mut staged = Vec::new();
    let entry = collector
        .entry(run, &mut staged)
        .inspect_err(|_| staged.iter().for_each(|path| drop(fs::remove_file(path))))?;
    let rows = entry.rows.clone();
    let parts = collector.parts.0;
    let sizes = parts.iter().map(|(digest, (_, size))| (digest.to_string(), *size));
    let manifest = serde_json::to_vec(&Manifest::new(vec![entry], sizes.collect()))
        .unwrap_or_else(|err| panic!("BUG: a manifest is not JSON: {err}"));
    Ok(Version { digest: Digest::of(&manifest), manifest, rows, parts, staged })
}

/// A version that has arrived.
#[derive(Debug)]
pub(in crate::engine) struct Arrived {
    pub(in crate::engine) digest: Digest,
    entry: Entry,
    sizes: BTreeMap<Digest, u64>,
}

impl Arrived {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// The manifest does not describe exactly one run, or this program did not write it.
    pub(in crate::engine) fn parse(digest: Digest, manifest: &[u8]) -> Result<Arrived> {
        let Manifest { mut runs, parts, .. } = Manifest::parse(manifest, u64::MAX)?;
        let (Some(entry), true) = (runs.pop(), runs.is_empty()) else {
            return Err(refused("it does not have exactly one run"));
        };
        if !entry.objects.is_empty() {
            return Err(refused("it has objects besides its parts"));
        }
        let size = |(digest, size): (String, u64)| Some((digest.parse().ok()?, size));
        let sizes = parts.into_iter().filter_map(size).collect();
        Ok(Arrived { digest, entry, sizes })
    }

    pub(in crate::engine) fn uid(&self) -> Result<RunUid> {
        self.entry.rows.uid()
    }

    pub(in crate::engine) fn rows(&self) -> &Rows {
        &self.entry.rows
    }

    /// Returns the number of the run where the version was made.
    pub(in crate::engine) fn number(&self) -> RunName {
        RunName(self.entry.number)
    }

    /// Returns the key by which runs that arrive together are numbered.
    pub(in crate::engine) fn order(&self) -> (i64, u64) {
        (self.entry.rows.started(), self.entry.number)
    }

    /// Returns the digests and sizes of its parts.
    pub(in crate::engine) fn parts(&self) -> &BTreeMap<Digest, u64> {
        &self.sizes
    }

    /// Adds the run to the history with a new number, unless it has come meanwhile. `part` returns
    /// the path of a file with the bytes of a part. Returns the number, and the name that the run
    /// lost to another one.
    ///
    /// # Errors
    /// A part does not match its digest; the rows have values that this program never writes; a
    /// file or the database cannot be written. Then nothing is added.
    pub(in crate::engine) fn insert(
        &self,
        root: &Path,
        store: &Store,
        part: impl Fn(&Digest) -> PathBuf,
    ) -> Result<Option<(RunName, Option<String>)>> {
        let folder = Folder { root, run: Some(store.take_number()?) };
        let Some(run) = folder.run else { return Ok(None) };
        let at = run_dir(root, run);
        for (path, digest) in &self.entry.files {
            let path =
                RepoPath::parse_canonical(path).unwrap_or_else(|| panic!("BUG: an unchecked path"));
            copy(&part(&parsed(digest)?), &parsed(digest)?, &path.to_path(&at))?;
        }
        lock_after(root, run).map_err(|bad| refused("its lock is damaged").because(bad.what))?;
        let points = match &self.entry.points {
            Some(digest) => {
                let digest = parsed(digest)?;
                let path = part(&digest);
                check(&path, &digest)?;
                let failed = |err| Error::io("read", &path, &err);
                Some(BufReader::new(regular_file::open(&path).map_err(failed)?))
            }
            None => None,
        };
        let arriving = Arriving { number: run, rows: &self.entry.rows, points };
        let inserted = store.insert_shared(arriving, &self.digest)?;
        Ok(inserted.map(|lost_name| {
            folder.keep();
            (run, lost_name)
        }))
    }
}

fn parsed(digest: &str) -> Result<Digest> {
    digest.parse().map_err(|_| refused("a part has no digest"))
}

fn damaged() -> Error {
    refused("a part does not match its digest")
}

/// Copies a part to a new file.
fn copy(part: &Path, digest: &Digest, target: &Path) -> Result<()> {
    let failed = |err: io::Error| Error::io("write", target, &err);
    let mut reader = open(part)?;
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = File::create_new(target).map_err(failed)?;
    io::copy(&mut reader, &mut file).map_err(failed)?;
    if reader.digest() == *digest { Ok(()) } else { Err(damaged()) }
}

fn check(part: &Path, digest: &Digest) -> Result<()> {
    let mut reader = open(part)?;
    io::copy(&mut reader, &mut io::sink()).map_err(|err| Error::io("read", part, &err))?;
    if reader.digest() == *digest { Ok(()) } else { Err(damaged()) }
}

fn open(part: &Path) -> Result<Hashing<BufReader<File>>> {
    match regular_file::open(part) {
        Ok(file) => Ok(Hashing::of(file)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            Err(refused("a part is missing or damaged"))
        }
        Err(err) => Err(Error::io("read", part, &err)),
    }
}

/// The folder of a run that is arriving, which is removed if the run does not come.
struct Folder<'a> {
    root: &'a Path,
    run: Option<RunName>,
}

impl Folder<'_> {
    fn keep(mut self) {
        self.run = None;
    }
}

impl Drop for Folder<'_> {
    fn drop(&mut self) {
        if let Some(run) = self.run {
            let _ = remove_any(&run_dir(self.root, run));
        }
    }
}
