//! `repro fsck --repair`: moves faulty files aside, stores objects again that the workspace still
//! has, and removes unusable traces and entries of the trash. Never removes files that a user made.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use super::fsck::{By, Report, Wrong, references};
use crate::cache::inventory::EntryKind;
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::error::{Error, Result};
use crate::repo_path::RepoPath;
use crate::workspace::Observed;
use crate::workspace::run_lock::RunLock;

/// The repairs made, and the faults that remain.
#[derive(Debug)]
pub struct Repair {
    /// Moved files: old and new path.
    pub moved: Vec<(PathBuf, PathBuf)>,
    /// Objects that were rebuilt from the workspace.
    pub rebuilt: Vec<Digest>,
    pub removed_traces: Vec<Digest>,
    /// Ids of entries of the trash whose content is lost.
    pub forgotten: BTreeSet<u64>,
    /// Errors while rebuilding objects.
    pub troubles: Vec<Error>,
    /// Faults that only a run can repair.
    pub left: Report,
}

/// Repairs the faults in `report`.
pub fn repair(project: &Project, held: &RunLock, report: &Report) -> Result<Repair> {
    let cache = &project.cache;
    let mut moved = Vec::new();
    for (digest, fault) in &report.faults {
        if matches!(fault.what, Wrong::Damaged | Wrong::Unreadable(_)) {
            let path = cache.object_path(digest);
            let aside = cache.set_aside(&path, &digest.to_string())?;
            moved.push((path, aside));
        }
    }
    for stray in &report.strays {
        let name = stray.file_name().unwrap_or_default().to_string_lossy();
        moved.push((stray.clone(), cache.set_aside(stray, &name)?));
    }
    if report.trash_line.is_some() {
        moved.push(project.trash.set_damaged_aside(held, cache)?);
    }
    let wanted: BTreeSet<Digest> =
        report.faults.keys().copied().filter(|digest| !cache.has(digest)).collect();
    let (rebuilt, troubles) = rebuild(project, wanted)?;

    let mut useless: BTreeSet<Digest> = report.unreadable.iter().copied().collect();
    let mut forgotten = BTreeSet::new();
    // Rebuilt objects were verified when they were stored.
    let now = references(project, HashMap::new())?;
    for referrer in now.faults.values().flat_map(|fault| &fault.referrers) {
        match &referrer.by {
            By::Trace(key) => drop(useless.insert(*key)),
            By::Trash(id) => drop(forgotten.insert(*id)),
            By::Stage(_) => {}
        }
    }
    project.trash.forget(held, &forgotten)?;
    useless.iter().try_for_each(|key| cache.remove(EntryKind::Traces, key))?;
    let left = references(project, HashMap::new())?;
    let removed_traces = useless.into_iter().collect();
    Ok(Repair { moved, rebuilt, removed_traces, forgotten, troubles, left })
}

/// Stores those `wanted` objects that the outs and deps in the lock still have in the workspace,
/// and returns them with the errors on the way. A rebuilt tree can reveal further missing objects,
/// so this repeats until nothing more is found.
fn rebuild(project: &Project, mut wanted: BTreeSet<Digest>) -> Result<(Vec<Digest>, Vec<Error>)> {
    let mut rebuilder = Rebuilder { project, wanted: BTreeSet::new(), troubles: Vec::new() };
    let mut tried = BTreeSet::new();
    while !wanted.is_empty() {
        tried.extend(wanted.iter().copied());
        rebuilder.wanted = wanted;
        for trace in project.lock.stages.values() {
            for path in trace.outs.keys().chain(trace.fingerprint.deps.keys()) {
                // An unreadable path cannot contribute objects.
                if let Ok(Some(seen)) = project.workspace.observe(path) {
                    rebuilder.all(path, &seen);
                }
            }
        }
        let faults = references(project, HashMap::new())?.faults;
        wanted = faults.into_keys().filter(|digest| !tried.contains(digest)).collect();
    }
    // Without an index, the next run hashes again and gets the same result.
    let _ = project.workspace.save_index();
    Ok((tried.into_iter().filter(|digest| project.cache.has(digest)).collect(), rebuilder.troubles))
}

struct Rebuilder<'a> {
    project: &'a Project,
    wanted: BTreeSet<Digest>,
    troubles: Vec<Error>,
}

impl Rebuilder<'_> {
    fn all(&mut self, path: &RepoPath, seen: &Observed) {
        match seen {
            Observed::Leaf(content) => self.leaf(path, content),
            Observed::Dir { tree, digest, dirs } => {
                for (name, content) in &tree.entries {
                    match dirs.get(name) {
                        Some(dir) => self.all(&path.join(name), dir),
                        None => self.leaf(&path.join(name), content),
                    }
                }
                if self.wanted.contains(digest) {
                    let put = self.project.cache.put_bytes(&tree.encode());
                    self.troubles.extend(put.err());
                }
            }
        }
    }

    fn leaf(&mut self, path: &RepoPath, content: &Content) {
        if !self.wanted.contains(&content.digest()) {
            return;
        }
        let full = path.to_path(&self.project.root);
        let put = match content {
            Content::Link(_) => std::fs::read_link(&full)
                .map_err(|err| Error::io("read", &full, &err))
                .and_then(|target| {
                    self.project.cache.put_bytes(target.as_os_str().as_encoded_bytes()).map(drop)
                }),
            _ => self.project.cache.put_file(&full, &content.digest()),
        };
        self.troubles.extend(put.err());
    }
}
