//! `repro fsck`: reads every object of the cache and follows every reference. Changes nothing.
//!
//! A reference is an out of a stage in `pipeline.lock` or of a trace, an entry of the trash, and
//! everything inside a referenced tree. Listings of deps are not references: without
//! them, a change is only reported less precisely.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::Cache;
use crate::cache::inventory::{EntryKind, FoundTrace, FoundTree, Integrity};
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::engine::size::Tally;
use crate::error::Result;
use crate::parallel;
use crate::pipeline::StageName;
use crate::plan::Trace;
use crate::repo_path::RepoPath;

/// Counts of what was read, and the faults that were found.
#[derive(Debug, Default)]
pub struct Report {
    pub objects: Tally,
    pub traces: usize,
    /// Traces of a newer format version, which were not read.
    pub newer: usize,
    pub faults: BTreeMap<Digest, Fault>,
    /// Names of unreadable traces.
    pub unreadable: Vec<Digest>,
    /// The first line of `cache/trash` that cannot be read.
    pub trash_line: Option<usize>,
    /// Files in `objects` and `traces` whose names are not digests.
    pub strays: Vec<PathBuf>,
}

/// A faulty object and its referrers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub what: Wrong,
    pub referrers: Vec<Referrer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// Its bytes do not match its digest.
    Damaged,
    /// The object cannot be read, for this reason.
    Unreadable(String),
    Missing,
    /// The object is intact, but not a tree, although a reference expects one.
    NotATree,
}

/// A reference to an object, with the path it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    pub by: By,
    pub path: RepoPath,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// A stage in the lock.
    Stage(StageName),
    /// A trace, by its key.
    Trace(Digest),
    /// An entry of the trash, by its id.
    Trash(u64),
}

/// Progress of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub bytes: u64,
    pub of: u64,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
            && self.unreadable.is_empty()
            && self.trash_line.is_none()
            && self.strays.is_empty()
    }
}

/// Reads the whole cache. `progress` is called from many threads.
pub fn check(project: &Project, progress: &(dyn Fn(Progress) + Sync)) -> Result<Report> {
    let cache = &project.cache;
    let listing = cache.list(EntryKind::Objects)?;
    let of = listing.entries.iter().map(|object| object.bytes).sum();
    let done = AtomicU64::new(0);
    let read = |bytes: u64| {
        let before = done.fetch_add(bytes, Ordering::Relaxed);
        progress(Progress { bytes: before + bytes, of });
    };
    let objects: Vec<Digest> = listing.entries.iter().map(|object| object.digest).collect();
    let checked =
        parallel::map(objects, |object| Some((object, wrong(cache.check(&object, &read))?)));
    let unfit: HashMap<Digest, Wrong> = checked.into_iter().flatten().collect();
    let mut report = references(project, unfit)?;
    report.objects = Tally::of(listing.entries.iter().map(|object| object.bytes));
    report.strays.extend(listing.strays);
    report.strays.sort();
    Ok(report)
}

/// Returns the fault of a checked object; `None` if it is intact, or was removed meanwhile. If a
/// removed object is needed, following the references will report it.
fn wrong(health: Integrity) -> Option<Wrong> {
    match health {
        Integrity::Intact | Integrity::Missing => None,
        Integrity::Damaged => Some(Wrong::Damaged),
        Integrity::Unreadable(why) => Some(Wrong::Unreadable(why)),
    }
}

/// Follows every reference, given the objects that are known to be faulty. Reads only trees and
/// traces.
pub(super) fn references(project: &Project, unfit: HashMap<Digest, Wrong>) -> Result<Report> {
    let cache = &project.cache;
    let mut report = Report::default();
    let mut walk = Walk { cache, unfit: &unfit, below: HashMap::new() };
    let mut faults = BTreeMap::new();
    for (name, trace) in &project.lock.stages {
        walk.outs(trace, &By::Stage(name.clone()), &mut faults);
    }
    let trash = project.trash.read()?;
    report.trash_line = trash.damaged;
    for entry in &trash.entries {
        walk.at(&entry.path, &entry.content, &By::Trash(entry.id), &mut faults);
    }
    let listing = cache.list(EntryKind::Traces)?;
    for named in &listing.entries {
        let mut found = BTreeMap::new();
        match cache.check_trace(&named.digest) {
            FoundTrace::Trace(trace) => walk.outs(&trace, &By::Trace(named.digest), &mut found),
            FoundTrace::Newer => report.newer += 1,
            FoundTrace::Unreadable => report.unreadable.push(named.digest),
            FoundTrace::Missing => {}
        }
        // A concurrent `repro gc` removes traces before their objects, so a trace that is gone
        // refers to nothing.
        if !found.is_empty() && !matches!(cache.check_trace(&named.digest), FoundTrace::Missing) {
            for (digest, fault) in found {
                note(&mut faults, digest, fault.what).referrers.extend(fault.referrers);
            }
        }
    }
    for (digest, what) in &unfit {
        note(&mut faults, *digest, what.clone());
    }
    report.traces = listing.entries.len();
    report.strays = listing.strays;
    report.faults = faults;
    Ok(report)
}

type Faults = BTreeMap<Digest, Fault>;

fn note(faults: &mut Faults, digest: Digest, what: Wrong) -> &mut Fault {
    faults.entry(digest).or_insert(Fault { what, referrers: Vec::new() })
}

/// A fault below a tree: the relative path, the object, and its fault.
type Below = (String, Digest, Wrong);

struct Walk<'a> {
    cache: &'a Cache,
    unfit: &'a HashMap<Digest, Wrong>,
    /// Faults inside each tree that was walked, since many traces share trees.
    below: HashMap<Digest, Rc<Vec<Below>>>,
}

impl Walk<'_> {
    fn outs(&mut self, trace: &Trace, by: &By, faults: &mut Faults) {
        trace.outs.iter().for_each(|(path, content)| self.at(path, content, by, faults));
    }

    fn at(&mut self, path: &RepoPath, content: &Content, by: &By, faults: &mut Faults) {
        if let Some(what) = self.object(content) {
            let fault = note(faults, content.digest(), what);
            fault.referrers.push(Referrer { by: by.clone(), path: path.clone() });
        } else if let Content::Tree(digest) = content {
            for (rest, digest, what) in self.inside(digest).iter() {
                let fault = note(faults, *digest, what.clone());
                fault.referrers.push(Referrer { by: by.clone(), path: path.join(rest) });
            }
        }
    }

    /// Returns the fault of the object of `content` itself.
    fn object(&self, content: &Content) -> Option<Wrong> {
        let digest = content.digest();
        if let Some(wrong) = self.unfit.get(&digest) {
            return Some(wrong.clone());
        }
        match content {
            Content::Tree(_) if self.below.contains_key(&digest) => None,
            Content::Tree(_) => match self.cache.check_tree(&digest) {
                FoundTree::Tree(_) => None,
                FoundTree::NotATree => Some(Wrong::NotATree),
                FoundTree::Broken(health) => Some(wrong(health).unwrap_or(Wrong::Missing)),
            },
            _ => (!self.cache.has(&digest)).then_some(Wrong::Missing),
        }
    }

    fn inside(&mut self, tree: &Digest) -> Rc<Vec<Below>> {
        if let Some(known) = self.below.get(tree) {
            return Rc::clone(known);
        }
        let mut found = Vec::new();
        if let FoundTree::Tree(tree) = self.cache.check_tree(tree) {
            for (name, content) in &tree.entries {
                if let Some(what) = self.object(content) {
                    found.push((name.to_string(), content.digest(), what));
                } else if let Content::Tree(digest) = content {
                    let inside = self.inside(digest);
                    found.extend(inside.iter().map(|(rest, digest, what)| {
                        (format!("{name}/{rest}"), *digest, what.clone())
                    }));
                }
            }
        }
        let found = Rc::new(found);
        self.below.insert(*tree, Rc::clone(&found));
        found
    }
}
