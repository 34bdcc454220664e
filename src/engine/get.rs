//! `repro get`: finds the content of a path in an old run or at a git revision. Writes nothing.

use std::fmt;
use std::io::Read;

use super::upkeep::revisions;
use super::{Project, past_outs};
use crate::cache::inventory::Integrity;
use crate::digest::Content;
use crate::error::{Error, Result, did_you_mean};
use crate::event::{GitState, GitTree, RunName};
use crate::pipeline::{Cached, StageName};
use crate::plan::lock;
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::runs::{Run, StageState, Store, query};

/// A source of old outs.
#[derive(Debug)]
pub enum Revision {
    Run(Box<Run>),
    /// A commit, and the name that the user gave it.
    Commit {
        commit: String,
        name: String,
    },
}

/// A path at a revision.
#[derive(Debug)]
pub struct Found {
    pub revision: Revision,
    pub stage: StageName,
    pub path: RepoPath,
    pub content: Content,
}

/// An out of a stage.
type StageOut = (StageName, RepoPath, Content);

/// Maximum number of names in a hint.
const MOST_LISTED: usize = 10;

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Revision::Run(run) => run.name.fmt(f),
            Revision::Commit { name, .. } => f.write_str(name),
        }
    }
}

/// Finds `path`, an out or a path inside one, at the revision `name`: a run, or anything that git
/// understands. The cache holds all of it.
///
/// # Errors
/// The revision or the path does not exist, or the cache lacks an object.
pub fn find(project: &Project, name: &str, path: &RepoPath) -> Result<Found> {
    let revision = revision(project, name)?;
    let outs = outs(project, &revision)?;
    let Some((stage, out, content)) = outs.iter().find(|(_, out, _)| out.contains(path)) else {
        return Err(not_found(project, &revision, &outs, path));
    };
    let missing = |digest| missing(project, &revision, (stage, out), path, digest);
    let mut content = *content;
    let mut folder = out.clone();
    for name in path.strip_prefix(out).into_iter().flat_map(|below| below.split('/')) {
        let Content::Tree(digest) = content else {
            return Err(Error::usage(format!("`{folder}` of {revision} is not a folder")));
        };
        let tree = project.cache.tree(&digest).map_err(|_| missing(digest))?;
        let Some(entry) = tree.entries.get(name) else {
            let names: Vec<String> =
                tree.entries.keys().map(|name| folder.join(name).to_string()).collect();
            let what = format!("`{folder}` of {revision} has no `{name}`");
            return Err(named(Error::usage(what), path, &names));
        };
        content = *entry;
        folder = folder.join(name);
    }
    if let Some(digest) = project.cache.first_missing(&content)? {
        return Err(missing(digest));
    }
    let (stage, path) = (stage.clone(), path.clone());
    Ok(Found { revision, stage, path, content })
}

/// Returns the paths of the outs at a revision, for completion.
pub fn out_paths(project: &Project, name: &str) -> Result<Vec<RepoPath>> {
    let outs = outs(project, &revision(project, name)?)?;
    Ok(outs.into_iter().map(|(_, path, _)| path).collect())
}

/// Opens a file in the cache whose bytes were verified. Errors call it `shown`.
///
/// # Errors
/// The content is a folder or a link, or its object is damaged.
pub fn open(project: &Project, content: &Content, shown: &str) -> Result<impl Read + use<>> {
    if !matches!(content, Content::File(_) | Content::Executable(_)) {
        return Err(
            Error::usage(format!("{shown} is not a file")).hint("`-o PATH` writes a folder")
        );
    }
    let object = project.cache.object_path(&content.digest());
    match project.cache.check(&content.digest(), &|_| {}) {
        Integrity::Intact => {
            regular_file::open(&object).map_err(|err| Error::io("open", &object, &err))
        }
        _ => Err(Error::damaged(format!("the object of {shown} is damaged"))
            .hint("`repro fsck --repair` repairs the cache")),
    }
}

fn revision(project: &Project, name: &str) -> Result<Revision> {
    let store = Store::open_existing(&project.history)?;
    let is_word = matches!(name, "latest" | "last") || name.starts_with("best:");
    let is_run = is_word || RunName::parse(name).is_some();
    let commit = |name: &str| revisions::commit(&project.root, name);
    let of_git = |commit| Revision::Commit { commit, name: name.to_owned() };
    let run = store
        .as_ref()
        .ok_or_else(query::no_runs)
        .and_then(|store| store.run(store.resolve(name, || project.pipeline.goals.clone())?));
    match run {
        Ok(run) => Ok(Revision::Run(Box::new(run))),
        // Digits can also begin the id of a commit.
        Err(error) if is_run => match commit(name).filter(|_| !name.starts_with("run-")) {
            Some(commit) if !is_word => Ok(of_git(commit)),
            _ => Err(error),
        },
        Err(_) => commit(name).map(of_git).ok_or_else(|| unknown(store.as_ref(), name)),
    }
}

fn unknown(store: Option<&Store>, name: &str) -> Error {
    let error = Error::usage(format!("`{name}` is neither a run nor a git revision"));
    let runs = store.and_then(|store| store.names(100).ok()).unwrap_or_default();
    let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
    match did_you_mean(name, runs.iter().map(String::as_str).chain(["latest"])) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint("`repro runs list` shows the runs"),
    }
}

fn outs(project: &Project, revision: &Revision) -> Result<Vec<StageOut>> {
    match revision {
        Revision::Run(run) => outs_of_run(project, run),
        Revision::Commit { commit, name } => {
            let lock = revisions::lock_at(&project.root, commit)?
                .ok_or_else(|| Error::usage(format!("{name} has no `{}`", lock::FILE)))?;
            let outs = lock.stages.into_iter().flat_map(|(stage, trace)| {
                trace.outs.into_iter().map(move |(path, content)| (stage.clone(), path, content))
            });
            Ok(outs.collect())
        }
    }
}

/// Returns the outs that the workspace had when a run ended, with those that it did not touch.
///
/// # Errors
/// The run store cannot be read.
pub(super) fn outs_of_run(project: &Project, run: &Run) -> Result<Vec<StageOut>> {
    let others = match past_outs::outs_from_lock(&project.history, run) {
        Some(others) => others,
        // A run of an older version: an earlier run recorded the stage.
        None => {
            let store = Store::open_existing(&project.history)?.ok_or_else(query::no_runs)?;
            store.artifacts_before(run.name)?
        }
    };
    let artifacts = [&run.artifacts[..], &others].concat();
    let out = |artifact: crate::runs::Artifact| {
        let (kind, digest) = artifact.content?;
        let content = Content::from_kind(&kind, digest.parse().ok()?)?;
        Some((artifact.stage, RepoPath::parse_canonical(&artifact.path)?, content))
    };
    Ok(artifacts.into_iter().filter_map(out).collect())
}

/// Adds the name that was most likely meant, or all names, as a hint.
fn named(error: Error, path: &RepoPath, names: &[String]) -> Error {
    match did_you_mean(path.as_str(), names.iter().map(String::as_str)) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None if names.is_empty() => error,
        None => {
            let more = if names.len() > MOST_LISTED { ", …" } else { "" };
            let names = names[..names.len().min(MOST_LISTED)].join(", ");
            error.hint(format!("it has {names}{more}"))
        }
    }
}

fn not_found(project: &Project, revision: &Revision, outs: &[StageOut], path: &RepoPath) -> Error {
    let below = outs.iter().filter(|(_, out, _)| path.contains(out));
    let below: Vec<String> = below.map(|(_, out, _)| out.to_string()).collect();
    if !below.is_empty() {
        return named(
            Error::usage(format!("`{path}` of {revision} is not an out, but holds some")),
            path,
            &below,
        );
    }
    let error = Error::usage(format!("{revision} has no out at `{path}`"));
    let names: Vec<String> = outs.iter().map(|(_, out, _)| out.to_string()).collect();
    match revision {
        Revision::Commit { commit, name }
            if revisions::has(&project.root, commit, path.as_str()) =>
        {
            error.hint(format!("git has it: `git show {name}:./{path}` prints it"))
        }
        Revision::Run(run) if run.artifacts.iter().any(|one| one.path == path.as_str()) => error
            .because("its stage only reported it as an artifact")
            .hint("declare it in `outs`, so that the cache keeps it"),
        Revision::Run(run) => match unfinished(project, run, path) {
            Some((stage, word)) => error.because(format!("stage `{stage}` {word} in {}", run.name)),
            None => named(error, path, &names),
        },
        Revision::Commit { .. } => named(error, path, &names),
    }
}

/// Returns the stage that makes `path` today, and how it ended in `run`, if it has left no outs.
fn unfinished(project: &Project, run: &Run, path: &RepoPath) -> Option<(StageName, &'static str)> {
    let makes =
        |stage: &&crate::pipeline::Stage| stage.outs.iter().any(|out| out.path.contains(path));
    let stage = project.pipeline.stages.iter().find(makes)?;
    let record = run.stages.iter().find(|record| record.stage == stage.name)?;
    let word = match record.state {
        StageState::Failed(_) => "failed",
        StageState::Skipped { .. } => "was skipped",
        StageState::Interrupted => "was interrupted",
        StageState::Running => "is still running",
        _ => return None,
    };
    Some((stage.name.clone(), word))
}

/// Returns the error of an object that the cache does not hold, with the way to make it again.
fn missing(
    project: &Project,
    revision: &Revision,
    (stage, out): (&StageName, &RepoPath),
    path: &RepoPath,
    digest: crate::digest::Digest,
) -> Error {
    let declared = project.pipeline.stages.iter().flat_map(|stage| &stage.outs);
    let is_uncached = declared.filter(|one| one.path == *out).any(|one| one.cached == Cached::No);
    let why = match is_uncached {
        true => format!("its out `{out}` has `cache = false`"),
        false => format!("the cache does not hold object {}", digest.short()),
    };
    let remedy = match revision {
        Revision::Commit { commit, .. } => {
            format!("check out commit {} and run `repro run {stage}`", short(commit))
        }
        Revision::Run(run) => {
            let overrides: String =
                run.info.overrides.iter().map(|given| format!(" -p {given}")).collect();
            let command = format!("`repro run {stage}{overrides}`");
            match &run.info.git {
                Some(GitState { commit: Some(commit), tree, .. }) => {
                    let changes = match tree {
                        GitTree::Clean => "",
                        GitTree::Dirty => " (it had uncommitted changes)",
                    };
                    format!("check out commit {}{changes} and run {command}", short(commit))
                }
                _ => format!(
                    "{command} makes it again if the inputs are as in {} (`repro runs show {}`)",
                    run.name, run.name
                ),
            }
        }
    };
    Error::damaged(format!("cannot get `{path}` of {revision}")).because(why).hint(remedy)
}

fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}
