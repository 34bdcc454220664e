//! Restores entries of the trash: what was displaced from the workspace.

use super::size::Tally;
use super::{Project, commit, ended_orphan};
use crate::error::{Error, Result};
use crate::exec::kill_orphans;
use crate::plan::trash::{Displaced, Trash};
use crate::workspace::Observed;
use crate::workspace::run_lock::RunLock;

/// Returns the entry with the id `id`.
pub fn find(trash: &Trash, id: u64) -> Result<&Displaced> {
    trash.entries.iter().find(|entry| entry.id == id).ok_or_else(|| {
        let error = Error::usage(format!("the trash has no entry {id}"));
        match &trash.entries[..] {
            [] => error.hint("it is empty"),
            _ => error.hint("`repro trash` lists the entries"),
        }
    })
}

/// The result of restoring an entry.
#[derive(Debug)]
pub struct Restored {
    /// `None` if the content was there already.
    pub written: Option<Tally>,
    /// Remarks for the user.
    pub warnings: Vec<String>,
}

/// Restores an entry to its old path. What the user made of the present content goes to the trash
/// first.
pub fn restore(project: &Project, _held: &RunLock, entry: &Displaced) -> Result<Restored> {
    check_stored(project, entry)?;
    // Orphaned processes could write into the restored out.
    let orphans = kill_orphans(&project.markers())?;
    let mut warnings: Vec<String> = orphans.iter().map(|stage| ended_orphan(stage)).collect();
    let seen = project.workspace.observe(&entry.path)?;
    let is_there = seen.as_ref().map(Observed::content) == Some(entry.content);
    let left = [(entry.path.clone(), Some(entry.content))].into();
    let found = [(entry.path.clone(), seen)].into();
    let elsewhere = format!("`repro trash restore {} -o PATH` restores it elsewhere", entry.id);
    let (written, replaced) = commit::restore(project, &left, &found)
        .map_err(|error| if error.hint.is_none() { error.hint(elsewhere) } else { error })?;
    // Without an index, the next run hashes again and gets the same result.
    let _ = project.workspace.save_index();
    warnings.extend(replaced.warnings());
    Ok(Restored { written: (!is_there).then_some(written), warnings })
}

/// Checks that the cache still holds an entry.
pub fn check_stored(project: &Project, entry: &Displaced) -> Result<()> {
    match project.cache.first_missing(&entry.content)? {
        None => Ok(()),
        Some(digest) => Err(Error::damaged(format!(
            "the cache does not hold `{}` of entry {} any more",
            entry.path, entry.id
        ))
        .because(format!("object {} is missing or damaged", digest.short()))
        .hint("`repro fsck` checks the whole cache")),
    }
}
