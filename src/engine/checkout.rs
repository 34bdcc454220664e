//! `repro checkout`: the workspace as the lock says, from the cache, without running anything.

use std::collections::BTreeMap;

use super::{Project, commit, ended_orphan};
use crate::digest::Content;
use crate::error::{Error, Kind, Result};
use crate::exec::end_orphans;
use crate::pipeline::{Kept, StageName};
use crate::plan::Trace;
use crate::repo_path::RepoPath;
use crate::workspace::Seen;
use crate::workspace::run_lock::RunLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It was there.
    Already,
    Brought,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// What is worth knowing beside it.
    pub warnings: Vec<String>,
    pub stages: Vec<(StageName, Checked)>,
}

/// Brings back the outs of every stage in the lock that `wanted` accepts.
///
/// # Errors
/// All stages whose outs the cache does not hold; those of the others are brought back all the same.
pub fn checkout(project: &Project, _held: &RunLock, wanted: &dyn Fn(&StageName) -> bool) -> Result<Report> {
    project.cache.sweep_temporaries();
    // They would write into the outs that are brought back.
    let orphans = end_orphans(&project.markers())?;
    let warnings = orphans.iter().map(|stage| ended_orphan(stage)).collect();
    let mut done = Vec::new();
    let mut errors = Vec::new();
    for (name, trace) in project.lock.stages.iter().filter(|(name, _)| wanted(name)) {
        match bring(project, name, trace) {
            Ok(checked) => done.push((name.clone(), checked)),
            Err(error) => errors.push(about(name, error)),
        }
    }
    // Without an index the next run hashes again, and finds the same.
    let _ = project.workspace.save_index();
    if errors.is_empty() { Ok(Report { warnings, stages: done }) } else { Err(Error::several(errors)) }
}

fn bring(project: &Project, name: &StageName, trace: &Trace) -> Result<Checked> {
    let stage = project.pipeline.find(name.as_str()).map(|ix| &project.pipeline.stages[ix]);
    // What is not kept in the cache stays as it is; only running brings it back.
    let is_kept = |path: &RepoPath| {
        let mut outs = stage.iter().flat_map(|stage| &stage.outs);
        !outs.any(|out| out.path == *path && out.kept == Kept::Nowhere)
    };
    let kept: BTreeMap<RepoPath, Content> =
        trace.outs.iter().filter(|(path, _)| is_kept(path)).map(|(path, out)| (path.clone(), *out)).collect();
    let mut found: BTreeMap<RepoPath, Option<Seen>> = BTreeMap::new();
    for path in kept.keys() {
        found.insert(path.clone(), project.workspace.observe(path)?);
    }
    let differing = |path: &RepoPath| {
        found.get(path).and_then(Option::as_ref).map(Seen::content) != kept.get(path).copied()
    };
    if !kept.keys().any(differing) {
        return Ok(Checked::Already);
    }
    if let Some(digest) =
        kept.iter().filter(|(path, _)| differing(path)).find_map(|(_, out)| project.cache.lacking(out))
    {
        return Err(Error::damaged(format!("the cache does not hold object {}", digest.short())));
    }
    commit::restore(project, &kept, &found)?;
    Ok(Checked::Brought)
}

fn about(name: &StageName, error: Error) -> Error {
    let whole = Error {
        kind: error.kind,
        what: format!("the outs of stage `{name}` cannot be brought back"),
        ..Error::usage("")
    };
    let whole = error.causes.iter().fold(whole.because(&error.what), Error::because);
    match (error.kind, error.hint) {
        (_, Some(hint)) => whole.hint(hint),
        (Kind::Damaged, None) => whole.hint(format!("`repro run {name}` makes them again")),
        (_, None) => whole,
    }
}
