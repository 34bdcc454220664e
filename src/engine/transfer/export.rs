//! Writes runs to one file.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use super::collect::{Collector, Parts};
use super::hashing::Hashing;
use super::manifest::{Entry, MANIFEST, Manifest, PARTS};
use crate::cache::Cache;
use crate::engine::size::Tally;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::runs::{RunName, Store};
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
    let written = entries.and_then(|entries| write(&collector.parts, entries, target));
    staged.iter().for_each(|path| drop(remove_any(path)));
    Ok(Exported { runs, written: written?, missing: collector.missing })
}

/// Adds the runs below, each once, parents first.
pub(in crate::engine) fn with_children(store: &Store, runs: &[RunName]) -> Result<Vec<RunName>> {
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

/// Writes the archive and returns the number of its parts and its size.
fn write(parts: &Parts, runs: Vec<Entry>, target: &Path) -> Result<Tally> {
    let failed = |err: io::Error| Error::io("write", target, &err);
    if target.symlink_metadata().is_ok() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()).hint("give another name"));
    }
    let sizes = parts.0.iter().map(|(digest, (_, size))| (digest.to_string(), *size));
    let manifest = Manifest::new(runs, sizes.collect());
    let text = serde_json::to_vec_pretty(&manifest)
        .unwrap_or_else(|err| panic!("BUG: a manifest is not JSON: {err}"));
    let temporary = beside(target);
    remove_any(&temporary)?;
    let write = || {
        let file = File::create_new(&temporary).map_err(failed)?;
        let mut writer = Writer::new(BufWriter::new(file));
        writer.add(MANIFEST, text.len() as u64, &text[..]).map_err(failed)?;
        for (digest, (path, size)) in &parts.0 {
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
        Ok(Tally { count: parts.0.len(), bytes })
    };
    write().inspect_err(|_| drop(remove_any(&temporary)))
}
