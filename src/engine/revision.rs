//! Sources of old states: a recorded run, or a git revision. Writes nothing.

use std::fmt;
use std::path::Path;

use super::upkeep::revisions;
use super::worktree::place;
use super::{past_outs, project};
use crate::digest::Content;
use crate::error::{Error, Result, did_you_mean};
use crate::event::{RunKind, RunName};
use crate::pipeline::StageName;
use crate::plan::{Lock, lock};
use crate::repo_path::RepoPath;
use crate::runs::{Artifact, Origin, Run, Store, files, lock_after, query};

/// A source of old states.
#[derive(Debug, Clone, PartialEq)]
pub enum Revision {
    Run(Box<Run>),
    /// A commit, and the name that the user gave it.
    Commit {
        commit: String,
        name: String,
    },
}

/// An out of a stage.
pub(super) type StageOut = (StageName, RepoPath, Content);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Revision::Run(run) => run.name.fmt(f),
            Revision::Commit { name, .. } => f.write_str(name),
        }
    }
}

impl Revision {
    /// Finds a run, or anything that git understands, of the project at `root`.
    ///
    /// # Errors
    /// `name` is neither, or the run store cannot be read.
    pub fn find(root: &Path, name: &str) -> Result<Revision> {
        let store = Store::open_existing(&place::home(root))?;
        let is_word = matches!(name, "latest" | "last") || name.starts_with("best:");
        let is_run = is_word || RunName::parse(name).is_some();
        let commit = |name: &str| revisions::commit(root, name);
        let of_git = |commit| Revision::Commit { commit, name: name.to_owned() };
        let run = store
            .as_ref()
            .ok_or_else(query::no_runs)
            .and_then(|store| store.run(store.resolve(name, || project::goals(root))?));
        match run {
            Ok(run) => Ok(Revision::Run(Box::new(run))),
            // Digits can also begin the id of a commit.
            Err(error) if is_run => match commit(name).filter(|_| !name.starts_with("run-")) {
                Some(commit) if !is_word => Ok(of_git(commit)),
                _ => Err(error),
            },
            Err(_) => commit(name).map(of_git).ok_or_else(|| unknown(root, store.as_ref(), name)),
        }
    }

    /// Returns the lock of the revision; `None` if the run's was not kept.
    ///
    /// # Errors
    /// The commit has no lock, or one that cannot be parsed.
    pub fn lock(&self, root: &Path) -> Result<Option<Lock>> {
        match self {
            Revision::Run(run) => lock_after(&place::home(root), run.name),
            Revision::Commit { commit, name } => match revisions::lock_at(root, commit)? {
                Some(lock) => Ok(Some(lock)),
                None => Err(Error::usage(format!("{name} has no `{}`", lock::FILE))),
            },
        }
    }

    /// Returns the outs of all stages, and then the files that a run has kept as artifacts.
    pub(super) fn outs(&self, root: &Path) -> Result<Vec<StageOut>> {
        let Revision::Run(run) = self else {
            return Ok(outs_of_lock(self.lock(root)?.unwrap_or_default()));
        };
        let mut outs = outs_of_run(root, run)?;
        let reported = contents(&run.artifacts, Origin::Reported);
        let history = place::home(root);
        outs.extend(
            reported
                .filter(|(stage, path, _)| !files::is_uploaded(&history, run.name, stage, path)),
        );
        Ok(outs)
    }
}

/// Returns the outs that a lock names.
pub(super) fn outs_of_lock(lock: Lock) -> Vec<StageOut> {
    let outs = lock.stages.into_iter().flat_map(|(stage, trace)| {
        trace.outs.into_iter().map(move |(path, content)| (stage.clone(), path, content))
    });
    outs.collect()
}

/// Returns the outs that the workspace had when a run ended, with those that it did not touch.
///
/// # Errors
/// The run store cannot be read.
pub(super) fn outs_of_run(root: &Path, run: &Run) -> Result<Vec<StageOut>> {
    if run.info.kind == RunKind::External {
        return Ok(Vec::new());
    }
    let history = place::home(root);
    let others = match past_outs::outs_from_lock(&history, run)? {
        Some(others) => others,
        // A run of an older version: an earlier run recorded the stage.
        None => {
            let store = Store::open_existing(&history)?.ok_or_else(query::no_runs)?;
            store.artifacts_before(run.name)?
        }
    };
    Ok(contents(&run.artifacts, Origin::Out).chain(contents(&others, Origin::Out)).collect())
}

fn contents(artifacts: &[Artifact], origin: Origin) -> impl Iterator<Item = StageOut> {
    artifacts.iter().filter(move |artifact| artifact.origin == origin).filter_map(|artifact| {
        let (kind, digest) = artifact.content.as_ref()?;
        let content = Content::from_kind(kind, digest.parse().ok()?)?;
        Some((artifact.stage.clone(), RepoPath::parse_canonical(&artifact.path)?, content))
    })
}

/// Returns the error of a name that is neither, with the one that was most likely meant.
fn unknown(root: &Path, store: Option<&Store>, name: &str) -> Error {
    let error = Error::usage(format!("`{name}` is neither a run nor a git revision"));
    let runs = store.and_then(|store| store.names(100).ok()).unwrap_or_default();
    let mut names: Vec<String> = runs.iter().map(ToString::to_string).collect();
    names.extend(store.and_then(|store| store.given_names().ok()).unwrap_or_default());
    names.extend(["latest", "HEAD"].map(str::to_owned));
    names.extend(revisions::names(root));
    match did_you_mean(name, names.iter().map(String::as_str)) {
        // `HEAD~9` is no misspelt `HEAD`.
        Some(meant) if !name.starts_with(meant) => error.hint(format!("did you mean `{meant}`?")),
        _ => error.hint("`repro runs list` shows the runs"),
    }
}
