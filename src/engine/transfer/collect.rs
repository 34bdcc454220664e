//! Collects what belongs to a run: its rows, the files in its folder, its points and its objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::hashing::Hashing;
use super::manifest::{Entry, is_file_of_run};
use crate::cache::Cache;
use crate::digest::{Content, Digest};
use crate::engine::project;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::runs::{Run, RunName, Store, lock_after, run_dir};

/// The files whose contents become parts, with their sizes, by digest.
#[derive(Debug, Default)]
pub(super) struct Parts(pub(super) BTreeMap<Digest, (PathBuf, u64)>);

/// Reads runs and notes their files.
pub(super) struct Collector<'a> {
    pub(super) root: &'a Path,
    pub(super) store: &'a Store,
    pub(super) cache: Option<&'a Cache>,
    pub(super) parts: Parts,
    pub(super) missing: usize,
}

impl Collector<'_> {
    /// Returns the entry of a run in a manifest. Files that are written for that are added to
    /// `staged`.
    pub(super) fn entry(&mut self, name: RunName, staged: &mut Vec<PathBuf>) -> Result<Entry> {
        let run = self.store.run(name)?;
        if !run.state.is_final() {
            return Err(Error::usage(format!("{name} is still {}", run.state.word()))
                .hint("export it when it has ended"));
        }
        let staging = project::staging(self.root);
        staging
            .create()
            .map_err(|err| Error::io("create", &project::cache_dir(self.root), &err))?;
        let path = staging.new_path();
        staged.push(path.clone());
        let failed = |err| Error::io("write", &path, &err);
        let file = File::create_new(&path).map_err(failed)?;
        let count = self.store.write_points(name, BufWriter::new(file))?.map_err(failed)?;
        Ok(Entry {
            number: name.0,
            rows: self.store.rows(name)?,
            files: self.files(name)?,
            points: if count == 0 { None } else { Some(self.parts.add(&path)?.to_string()) },
            objects: self.objects(&run)?,
        })
    }

    /// Adds the files of the folder of a run, and returns their paths with their digests.
    fn files(&mut self, run: RunName) -> Result<BTreeMap<String, String>> {
        let folder = run_dir(self.root, run);
        let mut files = BTreeMap::new();
        let walk = WalkDir::new(&folder).into_iter().flatten();
        for entry in walk.filter(|entry| entry.file_type().is_file()) {
            let path = entry.path().strip_prefix(&folder).ok().and_then(Path::to_str);
            let Some(path) = path.filter(|path| is_file_of_run(path)) else { continue };
            files.insert(path.to_owned(), self.parts.add(entry.path())?.to_string());
        }
        Ok(files)
    }

    /// Adds the objects of the outs of a run that the cache holds.
    fn objects(&mut self, run: &Run) -> Result<BTreeSet<String>> {
        let Some(cache) = self.cache else { return Ok(BTreeSet::new()) };
        let lock = lock_after(self.root, run.name)?.unwrap_or_default();
        let mut open: Vec<Content> =
            lock.stages.values().flat_map(|trace| trace.outs.values().copied()).collect();
        open.extend(run.artifacts.iter().filter_map(|artifact| {
            let (kind, digest) = artifact.content.as_ref()?;
            Content::from_kind(kind, digest.parse().ok()?)
        }));
        let mut seen = BTreeSet::new();
        let mut held = BTreeSet::new();
        while let Some(content) = open.pop() {
            let digest = content.digest();
            if !seen.insert((digest, matches!(content, Content::Tree(_)))) {
                continue;
            }
            let path = cache.object_path(&digest);
            let Some(meta) = path.metadata().ok().filter(|meta| meta.is_file()) else {
                self.missing += 1;
                continue;
            };
            self.parts.0.insert(digest, (path, meta.len()));
            held.insert(digest.to_string());
            if let Content::Tree(_) = content
                && let Ok(tree) = cache.tree(&digest)
            {
                open.extend(tree.entries.into_values());
            }
        }
        Ok(held)
    }
}

impl Parts {
    /// Adds the content of a file, and returns its digest.
    fn add(&mut self, path: &Path) -> Result<Digest> {
        let failed = |err: io::Error| Error::io("read", path, &err);
        let mut reader = Hashing::of(regular_file::open(path).map_err(failed)?);
        let size = io::copy(&mut reader, &mut io::sink()).map_err(failed)?;
        let digest = reader.digest();
        self.0.insert(digest, (path.to_owned(), size));
        Ok(digest)
    }
}
