//! `repro fsck`: reads every object of the cache and follows every reference. Changes nothing.
//!
//! A reference is an out of a stage in `pipeline.lock` or of a trace, an entry of the trash, and
//! everything inside a referenced tree. Listings of deps are not references: without
//! them, a change is only reported less precisely.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::declared;
use crate::cache::Cache;
use crate::cache::inventory::{EntryKind, FoundTrace, FoundTree, Integrity};
use crate::cache::walk::{Stopped, Walked};
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::engine::size::Tally;
use crate::error::Result;
use crate::parallel;
use crate::pipeline::{Cached, StageName};
use crate::plan::{Trace, Tree};
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
    let declared = declared(&project.pipeline);
    let mut walk = Walk { cache, declared, unfit: &unfit, below: Walked::default() };
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

/// Number of paths in a tree that are kept for a faulty object.
const MAX_PATHS: usize = 16;

struct Walk<'a> {
    cache: &'a Cache,
    declared: BTreeMap<&'a str, Cached>,
    unfit: &'a HashMap<Digest, Wrong>,
    /// Faults inside each tree that was walked, since many traces share trees.
    below: Walked<Rc<Vec<Below>>>,
}

impl Walk<'_> {
    fn outs(&mut self, trace: &Trace, by: &By, faults: &mut Faults) {
        for (path, content) in &trace.outs {
            if self.is_expected(path, by) {
                self.at(path, content, by, faults);
            }
        }
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

    /// Reports whether the cache should hold an out. Outs of traces may be those of another project
    /// that uses the cache, and declared as `cache = false` there.
    fn is_expected(&self, path: &RepoPath, by: &By) -> bool {
        match self.declared.get(path.as_str()) {
            Some(cached) => *cached == Cached::Yes,
            None => matches!(by, By::Stage(_)) || !self.cache.is_shared(),
        }
    }

    /// Returns the fault of the object of `content` itself.
    fn object(&self, content: &Content) -> Option<Wrong> {
        let digest = content.digest();
        if let Some(wrong) = self.unfit.get(&digest) {
            return Some(wrong.clone());
        }
        match content {
            Content::Tree(_) if self.below.get(&digest).is_some() => None,
            Content::Tree(_) => match self.cache.check_tree(&digest) {
                FoundTree::Tree(_) => None,
                FoundTree::NotATree => Some(Wrong::NotATree),
                FoundTree::Broken(health) => Some(wrong(health).unwrap_or(Wrong::Missing)),
            },
            _ => (!self.cache.has(&digest)).then_some(Wrong::Missing),
        }
    }

    /// Returns the faults inside a tree, with some of the paths of each object.
    fn inside(&mut self, tree: &Digest) -> Rc<Vec<Below>> {
        let mut below = std::mem::take(&mut self.below);
        let read = |digest: &Digest| match self.cache.check_tree(digest) {
            FoundTree::Tree(tree) => Ok(tree),
            // Reported by the tree around it.
            FoundTree::NotATree | FoundTree::Broken(_) => Ok::<_, ()>(Tree::default()),
        };
        let close = |tree: &Tree, walked: &Walked<Rc<Vec<Below>>>| {
            let mut found: Vec<Below> = Vec::new();
            let mut times: HashMap<Digest, usize> = HashMap::new();
            let mut is_new = |digest: &Digest| {
                let times = times.entry(*digest).or_default();
                *times += 1;
                *times <= MAX_PATHS
            };
            for (name, content) in &tree.entries {
                if let Some(what) = self.object(content) {
                    let digest = content.digest();
                    found.extend(is_new(&digest).then(|| (name.to_string(), digest, what)));
                } else if let Content::Tree(digest) = content {
                    let inside = walked.get(digest).into_iter().flat_map(|inside| inside.iter());
                    for (rest, digest, what) in inside.filter(|(_, digest, _)| is_new(digest)) {
                        found.push((format!("{name}/{rest}"), *digest, what.clone()));
                    }
                }
            }
            Ok(Rc::new(found))
        };
        let found = match below.walk(tree, read, close) {
            Ok(found) => Rc::clone(found),
            Err(Stopped::By(())) => Rc::default(),
            Err(Stopped::Impossible(why)) => {
                Rc::new(vec![(String::new(), *tree, Wrong::Unreadable(why.to_owned()))])
            }
        };
        self.below = below;
        found
    }
}
