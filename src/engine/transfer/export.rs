//! Writes runs to one file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::hashing::Hashing;
use super::manifest::{Entry, MANIFEST, Manifest, PARTS, is_file_of_run};
use crate::cache::Cache;
use crate::digest::{Content, Digest};
use crate::engine::project;
use crate::engine::size::Tally;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::runs::{Run, RunName, RunState, Store, lock_after, run_dir};
use crate::tar::Writer;
use crate::workspace::restore::remove_any;
use crate::workspace::write::{beside, rename_new};

/// Result of an export.
#[derive(Debug)]
pub struct Exported {
    pub runs: Vec<RunName>,
    pub written: Tally,
    /// Objects that the cache does not hold.
    pub missing: usize,
}

/// Writes runs, and the trials of those that are sweeps, to the new file `target`. With a cache,
/// their outs are included.
///
/// # Errors
/// A run has not ended; the target exists.
pub fn export(
    root: &Path,
    store: &Store,
    runs: &[RunName],
    cache: Option<&Cache>,
    target: &Path,
) -> Result<Exported> {
    let runs = with_children(store, runs)?;
    let mut collector = Collector { root, store, cache, parts: Parts::default(), missing: 0 };
    let mut staged = Vec::new();
    let entries: Result<Vec<Entry>> =
        runs.iter().map(|run| collector.entry(*run, &mut staged)).collect();
    let written = entries.and_then(|entries| collector.parts.write(entries, target));
    staged.iter().for_each(|path| drop(remove_any(path)));
    Ok(Exported { runs, written: written?, missing: collector.missing })
}

/// Adds the runs below, each once, parents first.
fn with_children(store: &Store, runs: &[RunName]) -> Result<Vec<RunName>> {
    let mut all: Vec<RunName> = Vec::new();
    let mut open: Vec<RunName> = runs.iter().rev().copied().collect();
    while let Some(run) = open.pop() {
        if !all.contains(&run) {
            all.push(run);
            let mut children = store.children(run)?;
            children.reverse();
            open.extend(children);
        }
    }
    Ok(all)
}

/// The files whose contents become parts, with their sizes, by digest.
#[derive(Default)]
struct Parts(BTreeMap<Digest, (PathBuf, u64)>);

struct Collector<'a> {
    root: &'a Path,
    store: &'a Store,
    cache: Option<&'a Cache>,
    parts: Parts,
    missing: usize,
}

impl Collector<'_> {
    fn entry(&mut self, name: RunName, staged: &mut Vec<PathBuf>) -> Result<Entry> {
        let run = self.store.run(name)?;
        if run.state == RunState::Running {
            return Err(Error::usage(format!("{name} is still running"))
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

    /// Writes the archive and returns the number of its parts and its size.
    fn write(&self, runs: Vec<Entry>, target: &Path) -> Result<Tally> {
        let failed = |err: io::Error| Error::io("write", target, &err);
        if target.symlink_metadata().is_ok() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()).hint("give another name"));
        }
        let sizes = self.0.iter().map(|(digest, (_, size))| (digest.to_string(), *size));
        let manifest = Manifest::new(runs, sizes.collect());
        let text = serde_json::to_vec_pretty(&manifest)
            .unwrap_or_else(|err| panic!("BUG: a manifest is not JSON: {err}"));
        let temporary = beside(target);
        remove_any(&temporary)?;
        let write = || {
            let file = File::create_new(&temporary).map_err(failed)?;
            let mut writer = Writer::new(BufWriter::new(file));
            writer.add(MANIFEST, text.len() as u64, &text[..]).map_err(failed)?;
            for (digest, (path, size)) in &self.0 {
                let failed = |err: io::Error| Error::io_into(target, "copy", path, &err);
                let mut reader = Hashing::of(regular_file::open(path).map_err(failed)?);
                let name = format!("{PARTS}{digest}");
                writer.add(&name, *size, &mut reader).map_err(failed)?;
                if reader.digest() != *digest {
                    let shown = path.display();
                    return Err(Error::damaged(format!("`{shown}` is damaged, or has changed")));
                }
            }
            let file = writer.finish().map_err(failed)?.into_inner();
            let file = file.map_err(|err| failed(err.into_error()))?;
            file.sync_all().map_err(failed)?;
            let bytes = file.metadata().map_err(failed)?.len();
            rename_new(&temporary, target).map_err(failed)?;
            Ok(Tally { count: self.0.len(), bytes })
        };
        write().inspect_err(|_| drop(remove_any(&temporary)))
    }
}
