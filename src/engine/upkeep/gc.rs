//! `repro gc`: marks the cache entries that roots refer to, and removes the others.
//!
//! A [root](super::roots) is an out in `pipeline.lock`, now or at a git revision, an artifact of a
//! run, an entry of the trash that is not too old, or a link in the workspace, of this project or
//! another one that uses the cache. A reference to a tree keeps everything inside. Only the
//! listings of a directory that is a dep are kept, which suffice to name changed files later. A
//! trace stays if all of its outs are kept.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use super::downloads::{self, Unfinished};
use super::revisions;
use super::roots::{self, Keep, OtherProject, ProjectRoots, References, Root};
use crate::cache::Cache;
use crate::cache::inventory::{Entry, EntryKind, FoundTrace, FoundTree, Integrity, Leftover};
use crate::digest::{Content, Digest};
use crate::engine::size::{Tally, measure};
use crate::engine::{Project, elsewhere};
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cached;
use crate::plan::trash::Displaced;
use crate::workspace::restore::remove_any;
use crate::workspace::run_lock::RunLock;

/// The kept and the unreferenced entries of the cache.
#[derive(Debug)]
pub struct GcPlan {
    /// Each root, with the objects that it keeps and no root before it does.
    pub roots: Vec<(Root, Tally)>,
    pub kept_traces: Tally,
    pub objects: Vec<Entry>,
    pub traces: Vec<Entry>,
    pub leftovers: Vec<Leftover>,
    pub downloads: Vec<Unfinished>,
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

impl GcPlan {
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
            && self.traces.is_empty()
            && self.leftovers.is_empty()
            && self.downloads.is_empty()
            && self.trash.old.is_empty()
    }
}

/// Finds the kept and the unreferenced entries. Changes nothing.
///
/// From here on, no other project can use the cache.
///
/// # Errors
/// If a root or a tree cannot be read: then it is unknown what it keeps, and nothing may be
/// removed.
pub fn plan(project: &Project, held: &RunLock, keep: &Keep) -> Result<GcPlan> {
    if let Some(link) = project.cache.linked_folder() {
        return Err(may_be_shared(project, &link));
    }
    project.cache.hold_alone()?;
    let mut marker = Marker::new(&project.cache);
    let mut roots = Vec::new();
    let own = ProjectRoots::of(project);
    for (root, references) in own.list(&project.cache, keep, &keep.revisions)? {
        marker.mark(roots.len(), &own, references)?;
        roots.push((root, Tally::default()));
    }
    let keep_of_others = keep.of_others();
    for path in project.cache.other_projects()? {
        let listed = OtherProject::read(&path).and_then(|other| {
            let found = other.roots();
            let revisions = revisions::known(&path, &keep_of_others.revisions);
            for (_, references) in found.list(&project.cache, &keep_of_others, &revisions)? {
                marker.mark(roots.len(), &found, references)?;
            }
            Ok(())
        });
        listed.map_err(|error| unreadable(&path, error))?;
        roots.push((Root::Project(path), Tally::default()));
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
    let mut leftovers = project.cache.leftovers()?;
    leftovers.extend(files_in(&elsewhere::repositories(&project.root)));
    let downloads = downloads::unfinished(&project.root, held);
    let trash = trash(project, keep)?;
    Ok(GcPlan { roots, kept_traces, objects, traces, leftovers, downloads, trash, missing })
}

/// Returns the error for a cache that is, or contains, a link: other projects may have one too.
fn may_be_shared(project: &Project, link: &Path) -> Error {
    let shown = link.strip_prefix(&project.root).unwrap_or(link).display();
    let target = link.canonicalize().unwrap_or_default();
    let error = Error::usage(format!(
        "`{shown}` is a link to `{}`, which other projects may use as well",
        target.display()
    ))
    .because("what they refer to is unknown, so nothing is removed");
    error.hint(format!(
        "remove the link and set `dir = \"{}\"` in `[cache]`, here and in the others",
        target.display()
    ))
}

fn unreadable(project: &Path, error: Error) -> Error {
    let shown = project.display();
    if error.kind == Kind::Damaged {
        return error.because(format!("the project `{shown}`, which uses this cache, needs it"));
    }
    let what =
        format!("nothing is removed: cannot read the project `{shown}`, which uses the cache");
    let causes = std::iter::once(error.what).chain(error.causes);
    causes
        .fold(Error::environment(what), Error::because)
        .hint(format!("if it is gone for good: `repro gc --forget '{shown}'`"))
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
    plan.downloads.iter().try_for_each(|download| downloads::remove(download, held))?;
    remove_any(&elsewhere::repositories(&project.root))?;
    forgotten.or_else(|_| project.trash.forget(held, &plan.trash.old))
}

/// Returns the files in a folder; none if it does not exist.
fn files_in(folder: &Path) -> impl Iterator<Item = Leftover> + use<> {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    entries.filter(|entry| entry.file_type().is_file()).map(|entry| {
        let bytes = entry.metadata().map(|meta| meta.len()).unwrap_or_default();
        Leftover { path: entry.into_path(), bytes }
    })
}

/// Measures the entries of the trash that stay, and lists the others.
fn trash(project: &Project, keep: &Keep) -> Result<TrashPlan> {
    let mut plan = TrashPlan::default();
    for (entry, left) in roots::trash(&project.trash, keep.trash_of(&project.pipeline))? {
        let Some(left) = left else {
            plan.old.insert(entry.id);
            continue;
        };
        plan.left = plan.left.max(left);
        let files = measure(project, &entry.content);
        plan.files.count += files.count;
        plan.files.bytes += files.bytes;
        plan.kept.push(entry);
    }
    Ok(plan)
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
    /// Content that need not exist.
    uncached: HashSet<Content>,
    /// Trees of which only the listings were marked.
    listed: HashSet<Digest>,
}

impl Marker<'_> {
    fn new(cache: &Cache) -> Marker<'_> {
        Marker {
            cache,
            kept: HashMap::new(),
            needed: HashSet::new(),
            uncached: HashSet::new(),
            listed: HashSet::new(),
        }
    }

    /// Marks what a root of `project` refers to.
    fn mark(
        &mut self,
        root: usize,
        project: &ProjectRoots<'_>,
        references: References<'_>,
    ) -> Result<()> {
        match references {
            References::Locks(locks) => {
                let traces = locks.iter().flat_map(|lock| lock.stages.values());
                for trace in traces {
                    for (path, out) in &trace.outs {
                        self.out(root, project.keeps(path.as_str()), out)?;
                    }
                    for dep in trace.fingerprint.deps.values() {
                        self.listing(root, dep)?;
                    }
                    let listing = trace.version.as_ref().and_then(|version| version.listing);
                    if let Some(listing) = listing {
                        self.kept.entry(listing).or_insert(root);
                    }
                }
                Ok(())
            }
            References::Outs(outs) => outs
                .iter()
                .try_for_each(|(path, content)| self.out(root, project.keeps(path), content)),
            References::Contents(contents) => {
                contents.iter().try_for_each(|content| self.out(root, Cached::Yes, content))
            }
            References::Objects(objects) => {
                for digest in objects {
                    self.kept.entry(digest).or_insert(root);
                }
                Ok(())
            }
        }
    }

    /// Marks an out of a stage and everything in it. An uncached out may be in the cache all the
    /// same: it was cached before, or displaced.
    fn out(&mut self, root: usize, cached: Cached, content: &Content) -> Result<()> {
        let mut pending = vec![*content];
        while let Some(content) = pending.pop() {
            let digest = content.digest();
            self.kept.entry(digest).or_insert(root);
            let seen = match cached {
                Cached::Yes => &mut self.needed,
                Cached::No => &mut self.uncached,
            };
            if seen.insert(content) && matches!(content, Content::Tree(_)) {
                pending.extend(self.entries(&digest)?);
            }
        }
        Ok(())
    }

    /// Marks the listings of a directory.
    fn listing(&mut self, root: usize, content: &Content) -> Result<()> {
        let mut pending = vec![*content];
        while let Some(content) = pending.pop() {
            let Content::Tree(digest) = content else { continue };
            self.kept.entry(digest).or_insert(root);
            if self.listed.insert(digest) {
                pending.extend(self.entries(&digest)?);
            }
        }
        Ok(())
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
