//! Foreign files: content at the outs of a stage that no stage made. A user made it, so a stage
//! must not replace it.
//!
//! A file is a stage's if one of these is known:
//!
//! - The lock names it, or a folder around it, as an out of any stage.
//! - A stage that failed left it there, or a stage that was killed began to write there
//!   ([`started`](super::started)).
//! - What the stage made of the present inputs is known, and includes this content at this path.
//!   That the cache holds the content elsewhere means nothing: a user may have copied it.
//!
//! All other files are foreign. So is a file that git tracks, unless the lock names it; a stage
//! does not replace it even if the user asks for that. Outs with `persist = true` are not replaced.
//!
//! Each fact is read when it is first needed: nothing, if the lock names all outs that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::started::user_link;
use super::{Project, obstacle, provenance, started};
use crate::digest::Content;
use crate::error::{Error, Result};
use crate::event::Failure;
use crate::pipeline::{Out, Persist, Stage};
use crate::plan::{Change, Claims, Decision, Fingerprint, Trace};
use crate::plural::count;
use crate::repo_path::RepoPath;
use crate::workspace::Observed;

/// Treatment of foreign files that are in the way of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnForeign {
    Refuse,
    /// They are stored in the cache and replaced.
    Replace,
}

/// Foreign files that a stage would replace, sorted.
#[derive(Debug)]
struct Foreign {
    paths: Vec<RepoPath>,
    /// Git tracks them.
    in_git: bool,
}

/// Maximum number of files that a message names.
const MOST_NAMED: usize = 3;

fn in_git(project: &Project) -> &Claims {
    let tracked = || provenance::tracked_files(&project.root).into_iter().collect();
    project.makers.in_git.get_or_init(tracked)
}

/// Returns the failure of a stage that would replace foreign files.
pub(super) fn refusal(
    project: &Project,
    stage: &Stage,
    (fingerprint, decision): (&Fingerprint, &Decision),
    outs: &BTreeMap<RepoPath, Option<Observed>>,
    on_foreign: OnForeign,
) -> Result<Option<Failure>> {
    let seen = |path: &RepoPath| outs.get(path).and_then(Option::as_ref);
    let places: Vec<Place<'_>> = match decision {
        Decision::Run(_) => run_places(stage).map(|(path, is)| (path, is, seen(path))).collect(),
        Decision::Restore(trace, _) => {
            let content = |path: &RepoPath| seen(path).map(Observed::content);
            let differing = trace.fingerprint.outs.iter();
            differing
                .filter(|path| content(path) != trace.outs.get(*path).copied())
                .map(|path| (path, Fate::Replaced, seen(path)))
                .collect()
        }
        Decision::Fresh(_) | Decision::Blocked(_) => return Ok(None),
    };
    let known = || match decision {
        Decision::Restore(trace, _) => Some(trace.clone()),
        _ => project.cache.trace(&fingerprint.key()),
    };
    let foreign = find(project, &places, on_foreign, known)?;
    Ok(foreign.map(|foreign| foreign.failure(project, stage)))
}

/// Returns the change that names the foreign files a stage would replace if it ran.
pub(super) fn predicted(project: &Project, stage: &Stage) -> Result<Option<Change>> {
    let locked = project.makers.locked(&project.lock);
    let mut outs: BTreeMap<&RepoPath, Option<Observed>> = BTreeMap::new();
    for (path, _) in run_places(stage).filter(|(path, _)| !locked.cover(path)) {
        outs.insert(path, project.workspace.observe(path)?);
    }
    let seen = |path: &RepoPath| outs.get(path).and_then(Option::as_ref);
    let places: Vec<Place<'_>> =
        run_places(stage).map(|(path, fate)| (path, fate, seen(path))).collect();
    let foreign = find(project, &places, OnForeign::Refuse, || None)?;
    Ok(foreign.map(|Foreign { paths, .. }| Change::WouldReplace { paths }))
}

/// Refuses to restore `path` if a foreign file stands where a folder around it belongs.
pub(super) fn refuse_obstacle(project: &Project, path: &RepoPath) -> Result<()> {
    let places = [(path, Fate::Kept, None)];
    let Some(found) = find(project, &places, OnForeign::Refuse, || None)? else {
        return Ok(());
    };
    let obstacle = &found.paths[0];
    Err(Error::usage(format!("`{obstacle}` is in the way of `{path}`, and no stage made it"))
        .hint(format!("move `{obstacle}` to another place")))
}

/// The fate of the content at an out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Replaced,
    Kept,
}

type Place<'a> = (&'a RepoPath, Fate, Option<&'a Observed>);

fn run_places(stage: &Stage) -> impl Iterator<Item = (&RepoPath, Fate)> {
    let outs = stage.outs.iter().filter(|_| !stage.is_tracked_input());
    outs.map(|Out { path, persist, .. }| match persist {
        Persist::No => (path, Fate::Replaced),
        Persist::Yes => (path, Fate::Kept),
    })
}

/// Finds the foreign files at the places of a result, and those in the way of their folders.
///
/// `known` returns what the stage made of the present inputs.
fn find(
    project: &Project,
    places: &[Place<'_>],
    on_foreign: OnForeign,
    known: impl FnOnce() -> Option<Trace>,
) -> Result<Option<Foreign>> {
    let locked = project.makers.locked(&project.lock);
    let mut files: BTreeMap<RepoPath, Content> = BTreeMap::new();
    for (path, fate, seen) in places {
        if let Some(obstacle) = obstacle::find(project, path) {
            if let Some(seen) = project.workspace.observe(&obstacle)? {
                add_files(project, &obstacle, &seen, locked, &mut files);
            }
        } else if let (Fate::Replaced, Some(seen)) = (fate, seen) {
            add_files(project, path, seen, locked, &mut files);
        }
    }
    if files.is_empty() {
        return Ok(None);
    }
    let in_git = in_git(project);
    let mut paths: Vec<RepoPath> =
        files.keys().filter(|path| in_git.cover(path)).cloned().collect();
    if !paths.is_empty() {
        return Ok(Some(Foreign { paths, in_git: true }));
    }
    if on_foreign == OnForeign::Replace {
        return Ok(None);
    }
    let started = started::earlier(project);
    files.retain(|path, content| !started.cover(path, content));
    if !files.is_empty()
        && let Some(known) = known()
    {
        remove_known(project, &known, places, &mut files);
    }
    paths.extend(files.into_keys());
    Ok((!paths.is_empty()).then_some(Foreign { paths, in_git: false }))
}

/// Adds the files at `path` that the lock does not name.
fn add_files(
    project: &Project,
    path: &RepoPath,
    seen: &Observed,
    locked: &Claims,
    files: &mut BTreeMap<RepoPath, Content>,
) {
    if locked.cover(path) {
        return;
    }
    if let Some(target) = user_link(project, path) {
        files.insert(path.clone(), Content::of_link(&target));
        return;
    }
    let mut open = vec![(path.clone(), seen)];
    while let Some((path, seen)) = open.pop() {
        match seen {
            Observed::Leaf(content) => {
                if !locked.cover(&path) {
                    files.insert(path, *content);
                }
            }
            Observed::Dir { tree, dirs, .. } => {
                open.extend(dirs.iter().map(|(name, dir)| (path.join(name), dir)));
                let leaves = tree.leaves().map(|(name, content)| (path.join(name), *content));
                files.extend(leaves.filter(|(path, _)| !locked.cover(path)));
            }
        }
    }
}

/// Removes the files that the outs of `known` include, with the same content.
fn remove_known(
    project: &Project,
    known: &Trace,
    places: &[Place<'_>],
    files: &mut BTreeMap<RepoPath, Content>,
) {
    let outs = places
        .iter()
        .filter_map(|(path, _, seen)| Some(((*path).clone(), (*seen)?, *known.outs.get(*path)?)));
    let mut open: Vec<(RepoPath, &Observed, Content)> = outs.collect();
    while let Some((path, seen, known)) = open.pop() {
        match (seen, known) {
            (Observed::Leaf(_), _) if files.get(&path) == Some(&known) => {
                files.remove(&path);
            }
            (Observed::Dir { tree, dirs, .. }, Content::Tree(digest)) => {
                let Ok(listing) = project.cache.tree(&digest) else { continue };
                for (name, known) in listing.entries {
                    let path = path.join(&name);
                    match dirs.get(&name) {
                        Some(dir) => open.push((path, dir, known)),
                        None if tree.entries.get(&name) == Some(&known) => {
                            files.remove(&path);
                        }
                        None => {}
                    }
                }
            }
            _ => {}
        }
    }
}

impl Foreign {
    fn failure(&self, project: &Project, stage: &Stage) -> Failure {
        let name = &stage.name;
        let is_around = |out: &&Out| self.paths.iter().any(|path| out.path.overlaps(path));
        let line = stage.outs.iter().find(is_around).map_or(stage.line, |out| out.line);
        let (them, outs) = match self.paths.len() {
            1 => ("it", "an out"),
            _ => ("them", "outs"),
        };
        let owner = match self.in_git {
            false => "that `repro` did not make",
            true => "that git tracks",
        };
        let files = count(self.paths.len(), "file");
        let shown = |path: &RepoPath| match user_link(project, path) {
            Some(target) => format!("`{path}`, a link to `{}`", target.display()),
            None => format!("`{path}`"),
        };
        let mut named: Vec<String> = self.paths.iter().take(MOST_NAMED).map(shown).collect();
        if let Some(more) = self.paths.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
            named.push(format!("and {more} more"));
        }
        let replace = match self.in_git {
            false => format!("`repro run --replace` moves {them} to the trash"),
            true => format!("if the stage should write {them}, use `git rm --cached` first"),
        };
        let accept = match stage.origin {
            Some(_) => String::new(),
            None => {
                format!("`repro accept {name} --reason TEXT` keeps {them} as {outs} of the stage; ")
            }
        };
        let hint = format!(
            "{accept}{replace}; or move {them}, or declare another out (pipeline.toml:{line})"
        );
        Failure {
            what: format!("would replace {files} {owner}: {}", named.join(", ")),
            causes: Vec::new(),
            hint: Some(hint),
        }
    }
}

/// Links at the outs of a stage that a user made, with their targets.
#[derive(Debug, Default)]
pub(super) struct UserLinks(Vec<(RepoPath, PathBuf)>);

impl UserLinks {
    pub(super) fn of(project: &Project, stage: &Stage) -> UserLinks {
        let outs = stage.outs.iter().map(|out| &out.path).collect::<BTreeSet<_>>();
        let links = outs
            .into_iter()
            .filter_map(|path| user_link(project, path).map(|target| (path.clone(), target)));
        UserLinks(links.collect())
    }

    /// Returns warnings that name the links that no longer exist.
    pub(super) fn warnings(&self, project: &Project) -> Vec<String> {
        let gone = self.0.iter().filter(|(path, _)| !path.to_path(&project.root).is_symlink());
        gone.map(|(path, target)| {
            format!("`{path}` was a link to `{}`, and no longer is", target.display())
        })
        .collect()
    }
}
