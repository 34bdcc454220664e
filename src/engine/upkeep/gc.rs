//! `repro gc`: marks the cache entries that roots refer to, and removes the others.
//!
//! A root is an out in `pipeline.lock`, now or at a git revision, an artifact of a run, an entry of
//! the trash that is not too old, or a link in the workspace. A reference to a tree keeps
//! everything inside. Only the listings of a directory that is a dep are kept, which suffice to
//! name changed files later. A trace stays if all of its outs are kept.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::revisions::{self, Revisions};
use crate::cache::Cache;
use crate::cache::inventory::{Entry, EntryKind, FoundTrace, FoundTree, Integrity, Leftover};
use crate::clock::now_millis;
use crate::digest::{Content, Digest};
use crate::engine::size::{Tally, measure};
use crate::engine::{Project, past_outs};
use crate::error::{Error, Result};
use crate::plan::Lock;
use crate::plan::trash::Displaced;
use crate::runs::Store;
use crate::workspace::links;
use crate::workspace::run_lock::RunLock;

/// Roots in addition to `pipeline.lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    pub runs: KeepRuns,
    pub revisions: Vec<Revisions>,
    /// Time for which displaced contents are kept; `None` for that of the pipeline.
    pub trash: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepRuns {
    Last(usize),
    All,
}

/// The kept and the unreferenced entries of the cache.
#[derive(Debug)]
pub struct GcPlan {
    /// Each root, with the objects that it keeps and no root before it does.
    pub roots: Vec<(Root, Tally)>,
    pub kept_traces: Tally,
    pub objects: Vec<Entry>,
    pub traces: Vec<Entry>,
    pub leftovers: Vec<Leftover>,
    pub trash: TrashPlan,
    /// Number of referenced objects that are missing.
    pub missing: usize,
}

/// The entries of the trash that stay, and those that are old enough to be forgotten.
#[derive(Debug, Default)]
pub struct TrashPlan {
    pub kept: Vec<Displaced>,
    /// The files of the kept entries.
    pub files: Tally,
    /// Time until the last of them may be forgotten.
    pub left: Duration,
    pub old: BTreeSet<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Lock,
    /// This many git revisions.
    Revisions(usize),
    /// This many runs.
    Runs(usize),
    /// This many entries of the trash.
    Trash(usize),
    /// Links in the workspace that point into the cache.
    Links,
}

impl GcPlan {
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
            && self.traces.is_empty()
            && self.leftovers.is_empty()
            && self.trash.old.is_empty()
    }
}

/// Finds the kept and the unreferenced entries. Changes nothing.
///
/// # Errors
/// If a root or a tree cannot be read: then it is unknown what it keeps, and nothing may be
/// removed.
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
    let trash = trash(project, keep.trash.unwrap_or(project.pipeline.trash))?;
    if !trash.kept.is_empty() {
        trash.kept.iter().try_for_each(|entry| marker.whole(roots.len(), &entry.content))?;
        roots.push((Root::Trash(trash.kept.len()), Tally::default()));
    }
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
    Ok(GcPlan { roots, kept_traces, objects, traces, leftovers, trash, missing })
}

/// Removes the unreferenced entries. Traces go before objects, so that an interrupted removal
/// leaves no trace with a missing object. So do the entries of the trash.
pub fn sweep(project: &Project, held: &RunLock, plan: &GcPlan) -> Result<()> {
    let cache = &project.cache;
    plan.traces.iter().try_for_each(|trace| cache.remove(EntryKind::Traces, &trace.digest))?;
    // On a full disk, the file can be written only when the objects are gone.
    let forgotten = project.trash.forget(held, &plan.trash.old);
    plan.objects.iter().try_for_each(|object| cache.remove(EntryKind::Objects, &object.digest))?;
    plan.leftovers.iter().try_for_each(|leftover| cache.remove_leftover(leftover))?;
    forgotten.or_else(|_| project.trash.forget(held, &plan.trash.old))
}

/// Divides the entries of the trash by age.
fn trash(project: &Project, kept: Duration) -> Result<TrashPlan> {
    let trash = project.trash.read()?;
    if let Some(line) = trash.damaged {
        return Err(Error::environment(format!("cache/trash:{line} is damaged"))
            .because("what it refers to is unknown, so nothing is removed")
            .hint("delete that line if you do not need what was displaced"));
    }
    let now = now_millis() / 1000;
    let mut plan = TrashPlan::default();
    for entry in trash.entries {
        let left = entry.until(kept).saturating_sub(now);
        match u64::try_from(left) {
            Ok(left) if left > 0 => {
                plan.left = plan.left.max(Duration::from_secs(left));
                let files = measure(project, &entry.content);
                plan.files.count += files.count;
                plan.files.bytes += files.bytes;
                plan.kept.push(entry);
            }
            _ => drop(plan.old.insert(entry.id)),
        }
    }
    Ok(plan)
}

/// Returns the number of runs that count as roots, and all their artifacts.
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
        let run = store.run(*name)?;
        let others = past_outs::unrecorded(&project.root, &run).unwrap_or_default();
        for artifact in run.artifacts.into_iter().chain(others).chain(before) {
            let Some((kind, digest)) = artifact.content else { continue };
            let content = digest.parse().ok().and_then(|digest| Content::from_kind(&kind, digest));
            contents.insert(content.ok_or_else(|| {
                Error::environment(format!(
                    "artifact `{}` of {name} has no digest: `{kind} {digest}`",
                    artifact.path
                ))
                .hint("`--runs 0` ignores runs")
            })?);
        }
    }
    Ok((names.len(), contents.into_iter().collect()))
}

/// Returns the size of the kept traces, and the traces to remove.
fn traces(cache: &Cache, kept: &HashMap<Digest, usize>) -> Result<(Tally, Vec<Entry>)> {
    let mut stay = Tally::default();
    let mut go = Vec::new();
    for named in cache.list(EntryKind::Traces)?.entries {
        let stays = match cache.check_trace(&named.digest) {
            FoundTrace::Trace(trace) => {
                trace.outs.values().all(|out| kept.contains_key(&out.digest()))
            }
            // This version cannot read it and keeps it.
            FoundTrace::Newer => true,
            FoundTrace::Unreadable | FoundTrace::Missing => false,
        };
        if stays { stay.add(named.bytes) } else { go.push(named) }
    }
    Ok((stay, go))
}

/// The mark phase: everything reachable, with the first root that reaches it.
struct Marker<'a> {
    cache: &'a Cache,
    kept: HashMap<Digest, usize>,
    /// Content that must exist; listings of deps may be missing without harm. Kept as `Content`,
    /// since the same bytes can be a file in one place and a tree in another.
    needed: HashSet<Content>,
    /// Trees of which only the listings were marked.
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

    /// Marks an out and everything in it.
    fn whole(&mut self, root: usize, content: &Content) -> Result<()> {
        let digest = content.digest();
        self.kept.entry(digest).or_insert(root);
        let is_new = self.needed.insert(*content);
        if !is_new || !matches!(content, Content::Tree(_)) {
            return Ok(());
        }
        self.entries(&digest)?.iter().try_for_each(|entry| self.whole(root, entry))
    }

    /// Marks the listings of a directory.
    fn listing(&mut self, root: usize, content: &Content) -> Result<()> {
        let Content::Tree(digest) = content else { return Ok(()) };
        self.kept.entry(*digest).or_insert(root);
        if !self.listed.insert(*digest) {
            return Ok(());
        }
        self.entries(digest)?.iter().try_for_each(|entry| self.listing(root, entry))
    }

    /// Returns the entries of a tree; none if it is missing.
    fn entries(&self, digest: &Digest) -> Result<Vec<Content>> {
        match self.cache.check_tree(digest) {
            FoundTree::Tree(tree) => Ok(tree.entries.into_values().collect()),
            // An intact object that is not a tree refers to nothing.
            FoundTree::NotATree | FoundTree::Broken(Integrity::Missing) => Ok(Vec::new()),
            FoundTree::Broken(_) => {
                Err(Error::damaged(format!("tree {} in the cache is damaged", digest.short()))
                    .because("its references are unknown, so nothing is removed")
                    .hint("`repro fsck --repair` repairs the cache"))
            }
        }
    }
}
