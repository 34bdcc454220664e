//! What of the cache is referred to, by whom, and the removal of the rest.
//!
//! A reference is an out of `pipeline.lock`, now or at a revision in git, an artifact of a run, or a link in the workspace. From a tree it reaches
//! everything inside. Of a directory that is a dep, only the listings are kept, as they were put in: enough to name later what
//! changed. A trace stays when all of its outs are referred to.

use std::collections::{HashMap, HashSet};

use super::revisions::{self, Revisions};
use crate::cache::Cache;
use crate::cache::inventory::{Entry, EntryKind, FoundTrace, FoundTree, Integrity, Leftover};
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::engine::size::Tally;
use crate::error::{Error, Result};
use crate::plan::Lock;
use crate::runs::Store;
use crate::workspace::links;
use crate::workspace::run_lock::RunLock;

/// Whose references count besides those of `pipeline.lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    pub runs: KeepRuns,
    pub revisions: Vec<Revisions>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepRuns {
    Last(usize),
    All,
}

/// The cache, told apart.
#[derive(Debug)]
pub struct GcPlan {
    /// What each root keeps that none before it does.
    pub roots: Vec<(Root, Tally)>,
    pub kept_traces: Tally,
    pub objects: Vec<Entry>,
    pub traces: Vec<Entry>,
    pub leftovers: Vec<Leftover>,
    /// Objects that are referred to and not there.
    pub missing: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Lock,
    /// So many revisions in git.
    Revisions(usize),
    /// So many runs.
    Runs(usize),
    /// Links in the workspace that lead to them.
    Links,
}

impl GcPlan {
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.traces.is_empty() && self.leftovers.is_empty()
    }
}

/// Tells apart what is referred to and what is not, and changes nothing.
///
/// # Errors
/// Anything that refers to objects cannot be read: what it keeps is then not known, and nothing may go.
pub fn plan(project: &Project, _held: &RunLock, keep: &Keep) -> Result<GcPlan> {
    let mut marker = Marker::new(&project.cache);
    let mut roots = vec![(Root::Lock, Tally::default())];
    marker.lock(0, &project.lock)?;
    if !keep.revisions.is_empty() {
        let found = revisions::locks(&project.root, &keep.revisions)?;
        for lock in &found.locks {
            marker.lock(roots.len(), lock)?;
        }
        roots.push((Root::Revisions(found.revisions), Tally::default()));
    }
    let (runs, artifacts) = artifacts(project, keep.runs)?;
    for content in &artifacts {
        marker.whole(roots.len(), content)?;
    }
    roots.push((Root::Runs(runs), Tally::default()));
    let linked = links::targets_in(&project.root, &project.cache.objects_dir());
    if !linked.is_empty() {
        for digest in linked.iter().filter_map(|object| project.cache.digest_of_object(object)) {
            marker.kept.entry(digest).or_insert(roots.len());
        }
        roots.push((Root::Links, Tally::default()));
    }

    let mut objects = Vec::new();
    let listed = project.cache.list(EntryKind::Objects)?.entries;
    let there: HashSet<Digest> = listed.iter().map(|object| object.digest).collect();
    for object in listed {
        match marker.kept.get(&object.digest) {
            Some(root) => roots[*root].1.add(object.bytes),
            None => objects.push(object),
        }
    }
    let needed: HashSet<Digest> = marker.needed.iter().map(Content::digest).collect();
    let missing = needed.difference(&there).count();
    let (kept_traces, traces) = traces(&project.cache, &marker.kept)?;
    let leftovers = project.cache.leftovers()?;
    Ok(GcPlan { roots, kept_traces, objects, traces, leftovers, missing })
}

/// Removes what nothing refers to. Traces go before objects: stopped half-way, no trace names an object that is gone.
pub fn sweep(project: &Project, _held: &RunLock, plan: &GcPlan) -> Result<()> {
    let cache = &project.cache;
    plan.traces.iter().try_for_each(|trace| cache.remove(EntryKind::Traces, &trace.digest))?;
    plan.objects.iter().try_for_each(|object| cache.remove(EntryKind::Objects, &object.digest))?;
    plan.leftovers.iter().try_for_each(|leftover| cache.remove_leftover(leftover))
}

/// How many runs count, and the outs of all of them.
fn artifacts(project: &Project, keep: KeepRuns) -> Result<(usize, Vec<Content>)> {
    let limit = match keep {
        KeepRuns::Last(count) => count,
        KeepRuns::All => usize::MAX,
    };
    let Some(store) = Store::open_existing(&project.root)? else {
        return Ok((0, Vec::new()));
    };
    let names = store.names(limit)?;
    let mut contents = HashSet::new();
    let oldest = names.last().map(|oldest| store.artifacts_before(*oldest)).transpose()?;
    for (name, before) in
        names.iter().rev().zip(oldest.into_iter().chain(std::iter::repeat_with(Vec::new)))
    {
        for artifact in store.run(*name)?.artifacts.into_iter().chain(before) {
            let Some((kind, digest)) = artifact.content else { continue };
            let content = digest.parse().ok().and_then(|digest| Content::from_kind(&kind, digest));
            contents.insert(content.ok_or_else(|| {
                Error::environment(format!(
                    "artifact `{}` of {name} has no digest: `{kind} {digest}`",
                    artifact.path
                ))
                .hint("`--runs 0` leaves the runs out of account")
            })?);
        }
    }
    Ok((names.len(), contents.into_iter().collect()))
}

/// The traces that stay, and those that go.
fn traces(cache: &Cache, kept: &HashMap<Digest, usize>) -> Result<(Tally, Vec<Entry>)> {
    let mut stay = Tally::default();
    let mut go = Vec::new();
    for named in cache.list(EntryKind::Traces)?.entries {
        let stays = match cache.check_trace(&named.digest) {
            FoundTrace::Trace(trace) => {
                trace.outs.values().all(|out| kept.contains_key(&out.digest()))
            }
            // What it refers to is not for this version to judge.
            FoundTrace::Newer => true,
            FoundTrace::Unreadable | FoundTrace::Missing => false,
        };
        if stays { stay.add(named.bytes) } else { go.push(named) }
    }
    Ok((stay, go))
}

/// What can be reached from references, and the first of the roots that does.
struct Marker<'a> {
    cache: &'a Cache,
    kept: HashMap<Digest, usize>,
    /// Without listings, which may lack without harm. The same bytes can be a file here and a tree there.
    needed: HashSet<Content>,
    /// Trees whose listings were walked, but not their files.
    listed: HashSet<Digest>,
}

impl Marker<'_> {
    fn new(cache: &Cache) -> Marker<'_> {
        Marker { cache, kept: HashMap::new(), needed: HashSet::new(), listed: HashSet::new() }
    }

    fn lock(&mut self, root: usize, lock: &Lock) -> Result<()> {
        for trace in lock.stages.values() {
            trace.outs.values().try_for_each(|out| self.whole(root, out))?;
            trace.fingerprint.deps.values().try_for_each(|dep| self.listing(root, dep))?;
        }
        Ok(())
    }

    /// Keeps an out with all that is in it.
    fn whole(&mut self, root: usize, content: &Content) -> Result<()> {
        let digest = content.digest();
        self.kept.entry(digest).or_insert(root);
        let is_new = self.needed.insert(*content);
        if !is_new || !matches!(content, Content::Tree(_)) {
            return Ok(());
        }
        self.entries(&digest)?.iter().try_for_each(|entry| self.whole(root, entry))
    }

    /// Keeps the listings of a directory.
    fn listing(&mut self, root: usize, content: &Content) -> Result<()> {
        let Content::Tree(digest) = content else { return Ok(()) };
        self.kept.entry(*digest).or_insert(root);
        if !self.listed.insert(*digest) {
            return Ok(());
        }
        self.entries(digest)?.iter().try_for_each(|entry| self.listing(root, entry))
    }

    /// What a tree refers to; one that is not there, nothing.
    fn entries(&self, digest: &Digest) -> Result<Vec<Content>> {
        match self.cache.check_tree(digest) {
            FoundTree::Tree(tree) => Ok(tree.entries.into_values().collect()),
            // A whole object that is no tree refers to nothing.
            FoundTree::NotATree | FoundTree::Broken(Integrity::Missing) => Ok(Vec::new()),
            FoundTree::Broken(_) => Err(Error::damaged(format!(
                "object {} of the cache, a tree, is damaged",
                digest.short()
            ))
            .because("what it refers to cannot be told, so nothing is removed")
            .hint("`repro fsck --repair` settles it")),
        }
    }
}
