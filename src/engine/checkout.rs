//! `repro checkout`: the workspace as the lock says, from the cache, without running anything.

use std::collections::BTreeMap;

use super::{Project, commit};
use crate::error::{Error, Kind, Result};
use crate::pipeline::StageName;
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

/// Brings back the outs of every stage in the lock that `wanted` accepts.
///
/// # Errors
/// All stages whose outs the cache does not hold; those of the others are brought back all the same.
pub fn checkout(
    project: &Project,
    _held: &RunLock,
    wanted: &dyn Fn(&StageName) -> bool,
) -> Result<Vec<(StageName, Checked)>> {
    project.cache.sweep_temporaries();
    let mut done = Vec::new();
    let mut errors = Vec::new();
    for (name, trace) in project.lock.stages.iter().filter(|(name, _)| wanted(name)) {
        match bring(project, trace) {
            Ok(checked) => done.push((name.clone(), checked)),
            Err(error) => errors.push(about(name, error)),
        }
    }
    // Without an index the next run hashes again, and finds the same.
    let _ = project.workspace.save_index();
    if errors.is_empty() { Ok(done) } else { Err(Error::several(errors)) }
}

fn bring(project: &Project, trace: &Trace) -> Result<Checked> {
    let mut found: BTreeMap<RepoPath, Option<Seen>> = BTreeMap::new();
    for path in trace.outs.keys() {
        found.insert(path.clone(), project.workspace.observe(path)?);
    }
    let differing = |path: &RepoPath| {
        found.get(path).and_then(Option::as_ref).map(Seen::content) != trace.outs.get(path).copied()
    };
    if !trace.outs.keys().any(differing) {
        return Ok(Checked::Already);
    }
    if let Some(digest) =
        trace.outs.iter().filter(|(path, _)| differing(path)).find_map(|(_, out)| project.cache.lacking(out))
    {
        return Err(Error::damaged(format!("the cache does not hold object {}", digest.short())));
    }
    commit::restore(project, &trace.outs, &found)?;
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
