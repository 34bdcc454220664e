//! `repro add`: declares inputs as tracked, in the text of `pipeline.toml`. Their content is kept by the run that follows.

use std::path::Path;

pub use super::provenance::InGit;
use super::{project, provenance};
use crate::error::{Error, Result};
use crate::pipeline::{self, Pipeline, StageName, stage_edit};
use crate::repo_path::RepoPath;
use crate::workspace::ignore::{self, GitignoreChange};
use crate::workspace::run_lock::RunLock;
use crate::workspace::{scan, write};

const HEADING: &str = "# What `repro add` tracks: the cache keeps it.";

/// What the user says of an input besides its path.
#[derive(Debug, Default)]
pub struct Wishes {
    pub name: Option<StageName>,
    pub desc: Option<String>,
}

#[derive(Debug)]
pub struct Tracked {
    pub path: RepoPath,
    pub stage: StageName,
    pub state: TrackingState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackingState {
    New,
    /// Its stage was there before.
    Existing,
}

/// Declares a stage for each path that none tracks yet. All are declared or none.
///
/// # Errors
/// A path is not there, is no input, or a stage has to do with it already.
pub fn declare(
    root: &Path,
    _held: &RunLock,
    paths: &[RepoPath],
    wishes: &Wishes,
) -> Result<Vec<Tracked>> {
    let old = project::text(root)?;
    let mut names = stage_edit::declared(&old);
    let mut claims =
        if names.is_empty() { Vec::new() } else { claims(&project::load_pipeline(root, &[])?) };
    let mut text = old.clone();
    let mut tracked = Vec::new();
    for path in paths {
        check(root, path)?;
        if let Some(stage) = known(&claims, path)? {
            if wishes.name.as_ref().is_some_and(|name| *name != stage) || wishes.desc.is_some() {
                return Err(Error::usage(format!(
                    "`{path}` is tracked already, by stage `{stage}`"
                ))
                .hint(format!("change its name or `desc` in {}", pipeline::FILE)));
            }
            tracked.push(Tracked { path: path.clone(), stage, state: TrackingState::Existing });
            continue;
        }
        let stage = wishes.name.clone().unwrap_or_else(|| stage_edit::name_for(path, &names));
        if !names.insert(stage.to_string()) {
            return Err(Error::usage(format!("there is a stage `{stage}` already"))
                .hint("give it another --name"));
        }
        text = stage_edit::append(&text, &stage, wishes.desc.as_deref(), path);
        claims.push(Claim { path: path.clone(), stage: stage.clone(), by: By::Input });
        tracked.push(Tracked { path: path.clone(), stage, state: TrackingState::New });
    }
    if text != old {
        // What is written must be a pipeline.
        project::parse(root, &text, &[], &|_| true).map_err(|error| {
            Error::usage(format!("a stage cannot be put at the end of {}", pipeline::FILE))
                .because(error)
                .hint("write it there by hand: `outs` and nothing else")
        })?;
        write::replace(&root.join(pipeline::FILE), text.as_bytes())?;
    }
    Ok(tracked)
}

/// Keeps the input out of git, where nothing does yet.
pub fn keep_out_of_git(root: &Path, path: &RepoPath) -> Result<(InGit, GitignoreChange)> {
    let state = provenance::in_git(root, path);
    let ignored = match state {
        InGit::Open | InGit::Tracked => ignore::add(root, HEADING, &[ignore::pattern(path)])?,
        InGit::No | InGit::Ignored => GitignoreChange::Unchanged,
    };
    Ok((state, ignored))
}

/// Refuses what can be no input.
fn check(root: &Path, path: &RepoPath) -> Result<()> {
    if path.is_reserved() {
        return Err(Error::usage(format!("`{path}` belongs to `repro` or git and is no input"))
            .hint("move what is yours out of there, and add it at its new place"));
    }
    if ["{{", "{%", "{#"].iter().any(|mark| path.as_str().contains(mark)) {
        return Err(Error::usage(format!(
            "`{path}` has braces in its name that would be a template"
        ))
        .hint("rename it"));
    }
    match scan::scan(root, path, &|_| true)? {
        Some(scan::Node::Link(target)) => {
            Err(Error::usage(format!("`{path}` is a link to `{target}`, where nothing is"))
                .hint("make what it leads to, or remove it"))
        }
        Some(_) => Ok(()),
        None => Err(Error::usage(format!("there is no `{path}`"))
            .hint("paths count from the folder that you are in")),
    }
}

/// A path that a stage has to do with.
struct Claim {
    path: RepoPath,
    stage: StageName,
    by: By,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// The stage's command writes it.
    Command,
    /// The stage tracks it.
    Input,
}

fn claims(pipeline: &Pipeline) -> Vec<Claim> {
    let stages = pipeline.stages.iter();
    let outs = stages.flat_map(|stage| stage.outs.iter().map(move |out| (stage, out)));
    outs.map(|(stage, out)| Claim {
        path: out.path.clone(),
        stage: stage.name.clone(),
        by: if stage.cmd.is_some() { By::Command } else { By::Input },
    })
    .collect()
}

/// The stage that tracks `path` already.
///
/// # Errors
/// A stage makes it, or tracks or makes something above or below it.
fn known(claims: &[Claim], path: &RepoPath) -> Result<Option<StageName>> {
    for Claim { path: other, stage, by } in claims {
        let (what, hint) = match by {
            By::Input if other == path => return Ok(Some(stage.clone())),
            By::Command if other == path => (
                format!("is an out of stage `{stage}`, which makes it"),
                "there is nothing to add: `repro run` keeps it".to_owned(),
            ),
            By::Input if path.strip_prefix(other).is_some() => (
                format!("lies in `{other}`, which stage `{stage}` tracks"),
                format!("`repro add {other}` takes up what changed in it"),
            ),
            By::Command if path.strip_prefix(other).is_some() => (
                format!("lies in `{other}`, an out of stage `{stage}`"),
                "an input lies where no stage writes: move it out of there".to_owned(),
            ),
            _ if other.strip_prefix(path).is_some() => (
                format!(
                    "holds `{other}`, which stage `{stage}` {}",
                    if *by == By::Input { "tracks" } else { "makes" }
                ),
                "add what lies beside that, path by path".to_owned(),
            ),
            _ => continue,
        };
        return Err(Error::usage(format!("`{path}` {what}")).hint(hint));
    }
    Ok(None)
}
