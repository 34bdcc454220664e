//! Everything in a project that refers to objects of the cache. `repro gc` removes nothing that
//! these roots reach. Reads the project; does not know what the cache holds.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::declared;
use super::revisions::{self, Revisions};
use crate::cache::Cache;
use crate::clock::now_millis;
use crate::digest::{Content, Digest};
use crate::engine::trash_file::TrashFile;
use crate::engine::{Project, past_outs, project};
use crate::error::{Error, Result};
use crate::pipeline::{self, Cached, Pipeline};
use crate::plan::Lock;
use crate::plan::trash::Displaced;
use crate::runs::{Origin, Store};
use crate::workspace::links;

/// Roots in addition to `pipeline.lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    pub runs: KeepRuns,
    pub revisions: Vec<Revisions>,
    /// Time for which displaced contents are kept; `None` for that of the pipeline.
    pub trash: Option<Duration>,
}

impl Keep {
    /// Returns the time for which displaced contents of a project are kept.
    pub fn trash_of(&self, pipeline: &Pipeline) -> Duration {
        self.trash.unwrap_or(pipeline.trash)
    }

    /// Returns what is kept of the other projects that use the cache: their whole trash, and no
    /// fewer runs than by default.
    pub fn of_others(&self) -> Keep {
        Keep {
            runs: self.runs.max(KeepRuns::DEFAULT),
            revisions: self.revisions.clone(),
            trash: Some(Duration::MAX),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeepRuns {
    /// The latest runs. The trials of a sweep count as one.
    Last(usize),
    All,
}

impl KeepRuns {
    pub const DEFAULT: KeepRuns = KeepRuns::Last(20);
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    Lock,
    /// This many git revisions.
    Revisions(usize),
    /// This many runs.
    Runs(usize),
    /// This many files that the processes of any run have reported.
    Artifacts(usize),
    /// This many versions of registered models.
    Models(usize),
    /// This many entries of the trash.
    Trash(usize),
    /// Links in the workspace that point into the cache.
    Links,
    /// Everything that another project, which uses the same cache, refers to.
    Project(PathBuf),
}

/// The references of one root.
#[derive(Debug)]
pub enum References<'a> {
    Locks(Vec<Cow<'a, Lock>>),
    /// Outs by their paths.
    Outs(HashSet<(String, Content)>),
    Contents(Vec<Content>),
    Objects(Vec<Digest>),
}

/// The parts of a project in which roots are found.
#[derive(Debug)]
pub struct ProjectRoots<'a> {
    root: &'a Path,
    lock: &'a Lock,
    trash: &'a TrashFile,
    /// `None` if `pipeline.toml` is invalid.
    pipeline: Option<&'a Pipeline>,
    declared: BTreeMap<&'a str, Cached>,
}

/// A project other than the present one.
#[derive(Debug)]
pub struct OtherProject<'a> {
    root: &'a Path,
    lock: Lock,
    trash: TrashFile,
    /// `None` if `pipeline.toml` is invalid.
    pipeline: Option<Pipeline>,
}

impl OtherProject<'_> {
    /// # Errors
    /// The folder has no `pipeline.toml`, or the lock cannot be read.
    pub fn read(root: &Path) -> Result<OtherProject<'_>> {
        let file = root.join(pipeline::FILE);
        std::fs::metadata(&file).map_err(|err| Error::io("read", &file, &err))?;
        let lock = project::load_lock(root)?;
        let trash = project::trash_file(root);
        Ok(OtherProject { root, lock, trash, pipeline: project::load_pipeline(root, &[]).ok() })
    }

    pub fn roots(&self) -> ProjectRoots<'_> {
        let OtherProject { root, lock, trash, pipeline } = self;
        let pipeline = pipeline.as_ref();
        let declared = pipeline.map(declared).unwrap_or_default();
        ProjectRoots { root, lock, trash, pipeline, declared }
    }
}

impl<'a> ProjectRoots<'a> {
    pub fn of(project: &'a Project) -> ProjectRoots<'a> {
        let Project { root, lock, trash, pipeline, .. } = project;
        let declared = declared(pipeline);
        ProjectRoots { root, lock, trash, pipeline: Some(pipeline), declared }
    }

    /// Reports whether the cache is expected to hold the out at `path`.
    pub fn keeps(&self, path: &str) -> Cached {
        self.declared.get(path).copied().unwrap_or(Cached::Yes)
    }

    /// Returns all roots with their references.
    ///
    /// # Errors
    /// A root cannot be read.
    pub fn list(
        &self,
        cache: &Cache,
        keep: &Keep,
        revisions: &[Revisions],
    ) -> Result<Vec<(Root, References<'a>)>> {
        let mut roots = vec![(Root::Lock, References::Locks(vec![Cow::Borrowed(self.lock)]))];
        if !revisions.is_empty() {
            let found = revisions::locks(self.root, revisions)?;
            let locks = found.locks.into_iter().map(Cow::Owned).collect();
            roots.push((Root::Revisions(found.revisions), References::Locks(locks)));
        }
        let (count, artifacts) = artifacts(self.root, keep.runs)?;
        roots.push((Root::Runs(count), References::Outs(artifacts)));
        let reported = reported(self.root, keep.runs)?;
        if !reported.is_empty() {
            roots.push((Root::Artifacts(reported.len()), References::Contents(reported)));
        }
        let registered = registered(self.root)?;
        if !registered.is_empty() {
            roots.push((Root::Models(registered.len()), References::Outs(registered)));
        }
        let time = self.pipeline.map_or(Duration::MAX, |pipeline| keep.trash_of(pipeline));
        let displaced = trash(self.trash, time)?.into_iter();
        let kept = displaced.filter_map(|(entry, left)| left.map(|_| entry.content));
        let kept: Vec<Content> = kept.collect();
        if !kept.is_empty() {
            roots.push((Root::Trash(kept.len()), References::Contents(kept)));
        }
        let linked = links::targets_in(self.root, &cache.objects_dir());
        if !linked.is_empty() {
            let objects = linked.iter().filter_map(|object| cache.digest_of_object(object));
            roots.push((Root::Links, References::Objects(objects.collect())));
        }
        Ok(roots)
    }
}

/// Returns the entries of a trash, each with the time for which it still stays; `None` if it is too
/// old.
///
/// # Errors
/// A line cannot be read.
pub fn trash(file: &TrashFile, kept: Duration) -> Result<Vec<(Displaced, Option<Duration>)>> {
    let trash = file.read()?;
    if let Some(line) = trash.damaged {
        return Err(Error::environment(format!("cache/trash:{line} is damaged"))
            .because("what it refers to is unknown, so nothing is removed")
            .hint("delete that line if you do not need what was displaced"));
    }
    let now = now_millis() / 1000;
    let left = |entry: &Displaced| {
        let left = u64::try_from(entry.until(kept).saturating_sub(now)).ok();
        left.filter(|left| *left > 0).map(Duration::from_secs)
    };
    let with_left = |entry: Displaced| {
        let left = left(&entry);
        (entry, left)
    };
    Ok(trash.entries.into_iter().map(with_left).collect())
}

/// Completes the error for the lock of a run that cannot be read.
fn unknown_roots(error: Error) -> Error {
    error
        .because("what that run refers to is unknown, so nothing is removed")
        .hint("delete the file if you do not need the outs of that run, or use `--runs 0`")
}

/// Returns the contents of the files that processes reported, in all runs that are not deleted;
/// none if runs do not count as roots.
fn reported(root: &Path, keep: KeepRuns) -> Result<Vec<Content>> {
    if keep == KeepRuns::Last(0) {
        return Ok(Vec::new());
    }
    let Some(store) = Store::open_existing(root)? else { return Ok(Vec::new()) };
    store
        .reported()?
        .into_iter()
        .filter_map(|artifact| Some((artifact.path, artifact.content?)))
        .map(|(path, (kind, digest))| recorded_content(&path, &kind, &digest))
        .collect()
}

/// Returns the outs that are versions of registered models, whatever became of their runs.
fn registered(root: &Path) -> Result<HashSet<(String, Content)>> {
    let Some(store) = Store::open_existing(root)? else { return Ok(HashSet::new()) };
    Ok(store.registered_contents()?.into_iter().collect())
}

fn recorded_content(path: &str, kind: &str, digest: &str) -> Result<Content> {
    let content = digest.parse().ok().and_then(|digest| Content::from_kind(kind, digest));
    content.ok_or_else(|| {
        Error::environment(format!("artifact `{path}` of a run has no digest: `{kind} {digest}`"))
            .hint("`--runs 0` ignores runs")
    })
}

/// Returns the number of runs that count as roots, and all their artifacts by path.
fn artifacts(root: &Path, keep: KeepRuns) -> Result<(usize, HashSet<(String, Content)>)> {
    let limit = match keep {
        KeepRuns::Last(count) => count,
        KeepRuns::All => usize::MAX,
    };
    let Some(store) = Store::open_existing(root)? else {
        return Ok((0, HashSet::new()));
    };
    let names = store.in_latest_families(limit)?;
    let mut contents = HashSet::new();
    let oldest = names.last().map(|oldest| store.artifacts_before(*oldest)).transpose()?;
    for (name, before) in
        names.iter().rev().zip(oldest.into_iter().chain(std::iter::repeat_with(Vec::new)))
    {
        let run = store.run(*name)?;
        let others = past_outs::outs_from_lock(root, &run).map_err(unknown_roots)?;
        let others = others.unwrap_or_default();
        let outs = run.artifacts.into_iter().filter(|artifact| artifact.origin == Origin::Out);
        for artifact in outs.chain(others).chain(before) {
            let Some((kind, digest)) = artifact.content else { continue };
            let content = recorded_content(&artifact.path, &kind, &digest)?;
            contents.insert((artifact.path, content));
        }
    }
    Ok((names.len(), contents))
}
