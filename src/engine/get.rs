//! `repro get`: finds the content of a path in an old run or at a git revision. Writes nothing.

use std::io::Read;

use super::Project;
use super::revision::{Revision, StageOut};
use super::upkeep::revisions;
use crate::cache::inventory::Integrity;
use crate::digest::Content;
use crate::error::{Error, Result, did_you_mean};
use crate::event::{GitState, GitTree};
use crate::pipeline::{Cached, StageName};
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::runs::{Run, StageState};

/// A path at a revision.
#[derive(Debug)]
pub struct Found {
    pub revision: Revision,
    pub stage: StageName,
    pub path: RepoPath,
    pub content: Content,
}

/// Maximum number of names in a hint.
const MOST_LISTED: usize = 10;

/// Finds `path`, an out or a path inside one, at the revision `name`: a run, or anything that git
/// understands. The cache holds all of it.
///
/// # Errors
/// The revision or the path does not exist, or the cache lacks an object.
pub fn find(project: &Project, name: &str, path: &RepoPath) -> Result<Found> {
    let revision = Revision::find(&project.root, name)?;
    let outs = revision.outs(&project.root)?;
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
    let outs = Revision::find(&project.root, name)?.outs(&project.root)?;
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
            .because("its stage reported it as an artifact, but it could not be read at the end")
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
