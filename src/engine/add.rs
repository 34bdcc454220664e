//! `repro add`: declares inputs as tracked in the text of `pipeline.toml`. The run that follows
//! stores their content.

use std::path::Path;

pub use super::provenance::InGit;
use super::{project, provenance};
use crate::error::{Error, Result};
use crate::pipeline::{self, Origin, Pipeline, StageName, stage_edit};
use crate::repo_path::RepoPath;
use crate::workspace::edit_lock::EditLock;
use crate::workspace::filter::{Context, Named};
use crate::workspace::ignore::{self, GitignoreChange};
use crate::workspace::reproignore::Ignores;
use crate::workspace::run_lock::RunLock;
use crate::workspace::scan;

/// The user's options for an input, besides its path.
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
    /// The stage was declared before.
    Existing,
}

/// Declares a stage for each path that no stage tracks yet. Either all are declared or none.
///
/// # Errors
/// If a path does not exist, cannot be an input, or overlaps an out or a tracked path of a stage.
pub fn declare(
    root: &Path,
    _held: &RunLock,
    paths: &[RepoPath],
    wishes: &Wishes,
) -> Result<Vec<Tracked>> {
    let edits = project::hold_edits(root)?;
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
                    "`{path}` is already tracked by stage `{stage}`"
                ))
                .hint(format!("change the name or `desc` of the stage in {}", pipeline::FILE)));
            }
            tracked.push(Tracked { path: path.clone(), stage, state: TrackingState::Existing });
            continue;
        }
        let stage = wishes.name.clone().unwrap_or_else(|| stage_edit::name_for(path, &names));
        if !names.insert(stage.to_string()) {
            return Err(Error::usage(format!("stage `{stage}` already exists"))
                .hint("choose another name with --name"));
        }
        text = stage_edit::append(&text, &stage, wishes.desc.as_deref(), path, None);
        claims.push(Claim { path: path.clone(), stage: stage.clone(), by: By::Input });
        tracked.push(Tracked { path: path.clone(), stage, state: TrackingState::New });
    }
    if text != old {
        replace(root, &edits, &text, "write the stage by hand: a table with `outs` alone")?;
    }
    Ok(tracked)
}

/// Replaces the text of `pipeline.toml`, which must parse as a pipeline.
fn replace(root: &Path, edits: &EditLock, text: &str, hint: &str) -> Result<()> {
    project::parse(root, text, &[], &|_| true).map_err(|error| {
        Error::usage(format!("cannot append a stage to {}", pipeline::FILE))
            .because(error)
            .hint(hint)
    })?;
    edits.replace(&root.join(pipeline::FILE), text.as_bytes())
}

/// A stage with an origin that was declared, and the texts of `pipeline.toml` before and after.
#[derive(Debug)]
pub struct DeclaredOrigin {
    pub tracked: Tracked,
    before: String,
    after: String,
}

/// Declares a stage that downloads `path`, unless there is one with this origin.
///
/// # Errors
/// The path cannot be an out, or overlaps an out or a tracked path of a stage.
pub fn declare_origin(
    root: &Path,
    _held: &RunLock,
    path: &RepoPath,
    origin: &Origin,
    wishes: &Wishes,
) -> Result<DeclaredOrigin> {
    let edits = project::hold_edits(root)?;
    let before = project::text(root)?;
    let mut names = stage_edit::declared(&before);
    let pipeline = match names.is_empty() {
        true => None,
        false => Some(project::load_pipeline(root, &[])?),
    };
    check_name(path)?;
    let has_braces = |text: &str| ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark));
    if has_braces(&origin.place()) {
        return Err(Error::usage(format!(
            "`{}` contains braces that would be read as a template",
            origin.place()
        ))
        .hint("write a brace as %7B"));
    }
    let stages = pipeline.iter().flat_map(|pipeline| &pipeline.stages);
    let same = stages.clone().find(|stage| {
        stage.origin.as_ref() == Some(origin) && stage.outs.iter().any(|out| out.path == *path)
    });
    if let Some(stage) = same {
        let (path, stage) = (path.clone(), stage.name.clone());
        let tracked = Tracked { path, stage, state: TrackingState::Existing };
        return Ok(DeclaredOrigin { tracked, before: before.clone(), after: before });
    }
    if let Some(stage) = known(&pipeline.as_ref().map_or_else(Vec::new, claims), path)? {
        return Err(Error::usage(format!("`{path}` is already tracked by stage `{stage}`"))
            .hint(format!("remove the stage from {}, or choose another path", pipeline::FILE)));
    }
    let stage = wishes.name.clone().unwrap_or_else(|| stage_edit::name_for(path, &names));
    if !names.insert(stage.to_string()) {
        return Err(Error::usage(format!("stage `{stage}` already exists"))
            .hint("choose another name with --name"));
    }
    let after = stage_edit::append(&before, &stage, wishes.desc.as_deref(), path, Some(origin));
    replace(root, &edits, &after, "write the stage by hand: a table with `url` and `outs`")?;
    let tracked = Tracked { path: path.clone(), stage, state: TrackingState::New };
    Ok(DeclaredOrigin { tracked, before, after })
}

impl DeclaredOrigin {
    /// Removes the declaration again, unless the file has changed meanwhile.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn undo(&self, root: &Path) -> Result<()> {
        let edits = project::hold_edits(root)?;
        if self.before == self.after || project::text(root)? != self.after {
            return Ok(());
        }
        edits.replace(&root.join(pipeline::FILE), self.before.as_bytes())
    }
}

/// Adds the input to the `.gitignore` of the project, unless git ignores it already or there is no
/// git checkout. An input that git tracks is added too.
pub fn keep_out_of_git(root: &Path, path: &RepoPath) -> Result<(InGit, GitignoreChange)> {
    let state = provenance::in_git(root, path);
    let ignored = match state {
        InGit::Open | InGit::Tracked => {
            ignore::add_outs(root, &[ignore::pattern(path)], &project::staging(root))?
        }
        InGit::No | InGit::Ignored => GitignoreChange::Unchanged,
    };
    Ok((state, ignored))
}

/// Refuses names that cannot be declared.
fn check_name(path: &RepoPath) -> Result<()> {
    if path.is_reserved() {
        return Err(Error::usage(format!(
            "`{path}` belongs to `repro` or git and cannot be an input"
        ))
        .hint("move your files out of there and add them at their new place"));
    }
    if ["{{", "{%", "{#"].iter().any(|mark| path.as_str().contains(mark)) {
        return Err(Error::usage(format!(
            "`{path}` contains braces that would be read as a template"
        ))
        .hint("rename the path"));
    }
    Ok(())
}

/// Refuses paths that cannot be inputs.
fn check(root: &Path, path: &RepoPath) -> Result<()> {
    check_name(path)?;
    // All of it is stored, as in an out.
    let context = Context {
        root,
        ignores: &Ignores::of(root),
        is_out: &|_| true,
        has_outs: &|_| true,
        on_link: &|_| {},
    };
    match scan::scan::<scan::Stat>(context, path, Named::Explicitly)? {
        Some(scan::Node::Link(target)) => {
            Err(Error::usage(format!("`{path}` is a link to `{target}`, which does not exist"))
                .hint("create the target, or remove the link"))
        }
        Some(_) => Ok(()),
        None => Err(Error::usage(format!("`{path}` does not exist"))
            .hint("paths are relative to the current directory")),
    }
}

/// A path that a stage tracks or writes.
struct Claim {
    path: RepoPath,
    stage: StageName,
    by: By,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// The stage's command writes the path.
    Command,
    /// The stage tracks the path.
    Input,
}

fn claims(pipeline: &Pipeline) -> Vec<Claim> {
    let stages = pipeline.stages.iter();
    let outs = stages.flat_map(|stage| stage.outs.iter().map(move |out| (stage, out)));
    outs.map(|(stage, out)| Claim {
        path: out.path.clone(),
        stage: stage.name.clone(),
        by: if stage.is_tracked_input() { By::Input } else { By::Command },
    })
    .collect()
}

/// Returns the stage that already tracks `path`.
///
/// # Errors
/// If a stage writes `path`, or tracks or writes a path above or below it.
fn known(claims: &[Claim], path: &RepoPath) -> Result<Option<StageName>> {
    for Claim { path: other, stage, by } in claims {
        let (what, hint) = match by {
            By::Input if other == path => return Ok(Some(stage.clone())),
            By::Command if other == path => (
                format!("is an out of stage `{stage}`"),
                "there is nothing to add; `repro run` stores it".to_owned(),
            ),
            By::Input if other.contains(path) => (
                format!("is inside `{other}`, which stage `{stage}` tracks"),
                format!("`repro add {other}` records what changed in it"),
            ),
            By::Command if other.contains(path) => (
                format!("is inside `{other}`, an out of stage `{stage}`"),
                "an input must be outside of all outs; move it out of there".to_owned(),
            ),
            _ if path.contains(other) => (
                format!(
                    "contains `{other}`, which stage `{stage}` {}",
                    if *by == By::Input { "tracks" } else { "writes" }
                ),
                "add the other paths in it one by one".to_owned(),
            ),
            _ => continue,
        };
        return Err(Error::usage(format!("`{path}` {what}")).hint(hint));
    }
    Ok(None)
}
