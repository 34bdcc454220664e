//! Fetches into the cache what it lacks and a remote has.

use std::collections::{BTreeSet, HashSet};

use super::exchange::Exchange;
use super::missing::Missing;
use super::push::kept_outs;
use super::reach::{Depth, Reach, reach};
use super::select::{Chosen, Extent, Name, Selection, locks, outs_around, select};
use crate::cache::traces;
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::engine::upkeep::roots::ProjectRoots;
use crate::error::{Error, Result};
use crate::plan::Trace;
use crate::remote::{Amount, Catalog, Fetched, Meter, Remote, TracePlace};
use crate::repo_path::RepoPath;
use crate::workspace::run_lock::RunLock;

/// Bytes of the traces that are in memory at once.
const BATCH_BYTES: u64 = 64 << 20;

/// The result of a fetch, or of a look at what one would do.
#[derive(Debug, Default)]
pub struct FetchReport {
    /// Objects that were added, and their bytes.
    pub objects: Amount,
    pub traces: usize,
    /// Bytes that came from the store.
    pub received: u64,
    /// Number of objects that the selection consists of, as far as its folders are known.
    pub selected: usize,
    pub outs: Vec<Chosen>,
    pub uncached: BTreeSet<RepoPath>,
    /// Outs that are incomplete in the cache.
    pub missing: Vec<Missing>,
    pub was_stopped: bool,
    pub errors: Vec<Error>,
}

/// Treatment of what the cache lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Fetch,
    /// Files are only counted; folders are fetched, since they say which files there are.
    Count,
}

/// Fetches the selected outs with their traces. The remote must have been refreshed.
///
/// Everything that has arrived before an error or [`Meter::stop`] stays, and the same fetch
/// continues there.
///
/// # Errors
/// The selection is not valid, or the cache cannot be written.
pub fn fetch(
    project: &Project,
    _held: &RunLock,
    remote: &Remote,
    (extent, names): (&Extent, &[Name]),
    mode: Mode,
    meter: &Meter,
) -> Result<FetchReport> {
    project.cache.sweep_temporaries();
    let mut fetch = Fetch::new(project, remote, meter);
    if names.iter().any(|name| !matches!(name, Name::Stage(_))) {
        fetch.folders_of(outs_around(&locks(project, extent)?, names))?;
    }
    let selection = select(project, extent, names)?;
    let more = if *extent == Extent::All { everything(remote) } else { Vec::new() };
    fetch.contents(&selection, more, mode)?;
    let mut report = fetch.report;
    report.uncached = selection.uncached;
    report.outs = selection.outs;
    report.was_stopped = meter.is_stopped();
    Ok(report)
}

/// Fetches contents and then adds the traces with these keys that the remote has.
///
/// For a run that asks by fingerprint: the result has the traces whose outs are complete.
///
/// # Errors
/// The cache cannot be written.
pub fn fetch_traces(
    project: &Project,
    _held: &RunLock,
    remote: &Remote,
    keys: &[Digest],
    meter: &Meter,
) -> Result<(Vec<Trace>, FetchReport)> {
    project.cache.sweep_temporaries();
    fetch_traces_during_run(project, remote, keys, meter)
}

/// Does the same as [`fetch_traces`] for the holder of the run lock, from any thread.
///
/// # Errors
/// The cache cannot be written.
pub(super) fn fetch_traces_during_run(
    project: &Project,
    remote: &Remote,
    keys: &[Digest],
    meter: &Meter,
) -> Result<(Vec<Trace>, FetchReport)> {
    let mut fetch = Fetch::new(project, remote, meter);
    let found = fetch.read_traces(keys);
    let roots = ProjectRoots::of(project);
    let outs: HashSet<Content> = found.iter().flat_map(|trace| kept_outs(&roots, trace)).collect();
    let reached = fetch.reach(outs)?;
    fetch.files(&reached);
    let complete = |trace: &Trace| {
        let outs = kept_outs(&roots, trace);
        outs.iter().all(|out| matches!(project.cache.first_missing(out), Ok(None)))
    };
    let complete: Vec<Trace> = found.into_iter().filter(complete).collect();
    for trace in &complete {
        project.cache.put_trace(trace)?;
        fetch.report.traces += 1;
    }
    project.cache.sync()?;
    Ok((complete, fetch.report))
}

/// Fetches contents with everything in them into the cache, whoever refers to them.
///
/// # Errors
/// The cache cannot be written; a tree is not possible.
pub fn fetch_contents(
    project: &Project,
    _held: &RunLock,
    remote: &Remote,
    contents: &[Content],
    meter: &Meter,
) -> Result<FetchReport> {
    project.cache.sweep_temporaries();
    fetch_contents_during_run(project, remote, contents, meter)
}

/// Does the same as [`fetch_contents`] for the holder of the run lock, from any thread.
///
/// # Errors
/// The cache cannot be written; a tree is not possible.
pub(super) fn fetch_contents_during_run(
    project: &Project,
    remote: &Remote,
    contents: &[Content],
    meter: &Meter,
) -> Result<FetchReport> {
    let mut fetch = Fetch::new(project, remote, meter);
    let reached = fetch.reach(contents.iter().copied().collect())?;
    fetch.files(&reached);
    project.cache.sync()?;
    Ok(fetch.report)
}

/// Returns the outs of all traces on a remote.
fn everything(remote: &Remote) -> Vec<Content> {
    remote.catalog().traces().flat_map(|(_, trace)| trace.outs.iter().copied()).collect()
}

struct Fetch<'a> {
    project: &'a Project,
    remote: &'a Remote,
    meter: &'a Meter,
    report: FetchReport,
    /// The store or the cache has failed. More calls would fail as well, each after a long time.
    has_failed: bool,
    /// Objects and records whose faults are reported.
    faulty: HashSet<Digest>,
}

impl<'a> Fetch<'a> {
    fn new(project: &'a Project, remote: &'a Remote, meter: &'a Meter) -> Fetch<'a> {
        let report = FetchReport::default();
        Fetch { project, remote, meter, report, has_failed: false, faulty: HashSet::new() }
    }

    /// Fetches objects, unless something has failed before.
    fn download(&mut self, wanted: &[Digest]) {
        if !self.has_failed {
            let sink = Exchange(&self.project.cache);
            let fetched = self.remote.download(wanted, &sink, self.meter);
            self.add(fetched);
        }
    }

    fn add(&mut self, fetched: Fetched) {
        self.report.objects += fetched.added;
        self.report.received += fetched.received;
        // Several segments of one object can be damaged.
        for (digest, error) in fetched.faults {
            if self.faulty.insert(digest) {
                self.report.errors.push(error);
            }
        }
        self.has_failed |= fetched.failed.is_some();
        self.report.errors.extend(fetched.failed);
    }

    /// Fetches the folders of outs, so that paths in them can be looked up.
    fn folders_of(&mut self, outs: HashSet<Content>) -> Result<()> {
        let cache = &self.project.cache;
        reach(cache, outs, Depth::Listings, |trees| {
            self.download(&trees);
            Ok(())
        })?;
        Ok(())
    }

    fn contents(&mut self, selection: &Selection, more: Vec<Content>, mode: Mode) -> Result<()> {
        let cache = &self.project.cache;
        let chosen = selection.outs.iter().map(|chosen| chosen.content);
        let reached = self.reach(chosen.chain(more).collect());
        let reached = reached.map_err(|error| self.named(selection, error))?;
        self.report.selected = reached.digests().count();
        match mode {
            Mode::Count => {
                let lacking: Vec<Digest> = cache
                    .missing(reached.files.clone())
                    .into_iter()
                    .filter(|digest| self.remote.catalog().has(digest))
                    .collect();
                let bytes = lacking.iter().filter_map(|file| self.remote.catalog().bytes(file));
                self.report.objects.objects += lacking.len() as u64;
                self.report.objects.bytes += bytes.sum::<u64>();
            }
            Mode::Fetch => self.files(&reached),
        }
        let lacking = match mode {
            Mode::Fetch => cache.missing(reached.digests().copied().collect()),
            Mode::Count => cache
                .missing(reached.digests().copied().collect())
                .into_iter()
                .filter(|digest| !self.remote.catalog().has(digest))
                .collect(),
        };
        self.report.missing = Missing::of(cache, &selection.outs, &lacking, self.remote.catalog())?;
        if mode == Mode::Fetch && !self.meter.is_stopped() {
            self.listings(&selection.traces)?;
            self.traces(selection, &reached, &lacking)?;
        }
        cache.sync()
    }

    /// Fetches the folders of `contents`, level by level.
    fn reach(&mut self, contents: HashSet<Content>) -> Result<Reach> {
        let cache = &self.project.cache;
        let tops: Vec<Content> = contents.iter().copied().collect();
        let reached = reach(cache, contents, Depth::Everything, |trees| {
            self.download(&trees);
            Ok(())
        })?;
        // Before the first file is fetched: a tree can be small and stand for 2^40 of them.
        tops.iter().try_for_each(|top| cache.check_possible(top))?;
        Ok(reached)
    }

    /// Adds the out in which an impossible tree was found.
    fn named(&mut self, selection: &Selection, error: Error) -> Error {
        let is_broken = |chosen: &&Chosen| self.reach([chosen.content].into()).is_err();
        match selection.outs.iter().find(is_broken) {
            Some(Chosen { stage, path, .. }) => Error {
                what: format!("cannot fetch `{path}` of stage `{stage}`"),
                causes: std::iter::once(error.what).chain(error.causes).collect(),
                ..error
            },
            None => error,
        }
    }

    fn files(&mut self, reached: &Reach) {
        let cache = &self.project.cache;
        let lacking = cache.missing(reached.files.clone());
        // In the order of the folders, in which they were probably sent.
        let lacking: Vec<Digest> =
            reached.files.iter().filter(|file| lacking.contains(file)).copied().collect();
        self.download(&lacking);
    }

    /// Fetches the folders of deps, by which changed files can be named.
    fn listings(&mut self, traces: &[Trace]) -> Result<()> {
        let deps = traces.iter().flat_map(|trace| trace.fingerprint.deps.values().copied());
        let deps: HashSet<Content> = deps.collect();
        let cache = &self.project.cache;
        reach(cache, deps, Depth::Listings, |trees| {
            self.download(&trees);
            Ok(())
        })?;
        Ok(())
    }

    /// Adds traces whose outs are complete: those of the selected stages, and all others on the
    /// remote whose outs are among the selected contents. A trace in the cache stays.
    fn traces(
        &mut self,
        selection: &Selection,
        reached: &Reach,
        lacking: &HashSet<Digest>,
    ) -> Result<()> {
        let cache = &self.project.cache;
        let selected: HashSet<Digest> = reached.digests().copied().collect();
        let mut known: HashSet<Digest> = cache.trace_keys().into_iter().collect();
        let is_complete = |content: &Content| {
            lacking.is_empty() || matches!(cache.first_missing(content), Ok(None))
        };
        for trace in &selection.traces {
            let key = trace.fingerprint.key();
            let kept = trace.outs.values().filter(|out| selected.contains(&out.digest()));
            if !known.contains(&key) && kept.clone().count() > 0 && kept.clone().all(is_complete) {
                cache.put_trace(trace)?;
                known.insert(key);
                self.report.traces += 1;
            }
        }
        let is_wanted = |key: &Digest, place: &TracePlace| {
            !known.contains(key)
                && !place.outs.is_empty()
                && place.outs.iter().all(|out| selected.contains(&out.digest()))
        };
        let traces = self.remote.catalog().traces();
        let wanted = traces.filter(|(key, place)| is_wanted(key, place));
        let wanted: Vec<Digest> = wanted.map(|(key, _)| *key).collect();
        let roots = ProjectRoots::of(self.project);
        for batch in batches(self.remote.catalog(), &wanted) {
            for trace in self.read_traces(batch) {
                let is_selected = |out: &Content| selected.contains(&out.digest());
                let outs = kept_outs(&roots, &trace);
                if outs.iter().all(|out| is_selected(out) && is_complete(out)) {
                    cache.put_trace(&trace)?;
                    self.report.traces += 1;
                }
            }
        }
        Ok(())
    }

    /// Reads traces of the remote. What is not the trace of its key is left out.
    fn read_traces(&mut self, keys: &[Digest]) -> Vec<Trace> {
        if self.has_failed {
            return Vec::new();
        }
        let catalog = self.remote.catalog();
        let found: Vec<(Digest, &TracePlace)> =
            keys.iter().filter_map(|key| Some((*key, catalog.trace(key)?))).collect();
        let places: Vec<_> = found.iter().map(|(_, trace)| (trace.digest, trace.place)).collect();
        let (records, fetched) = self.remote.records(&places, self.meter);
        self.add(fetched);
        let trace = |(position, bytes): (usize, Vec<u8>)| {
            let (key, _) = found.get(position)?;
            traces::decode(&bytes).filter(|trace| trace.fingerprint.key() == *key)
        };
        records.into_iter().filter_map(trace).collect()
    }
}

/// Divides the keys of traces into parts that fit in memory.
fn batches<'k>(catalog: &Catalog, keys: &'k [Digest]) -> Vec<&'k [Digest]> {
    let mut bytes = 0;
    let ends_batch = |key: &Digest| {
        bytes += catalog.trace(key).map_or(0, |trace| trace.place.bytes());
        let is_full = bytes >= BATCH_BYTES;
        if is_full {
            bytes = 0;
        }
        is_full
    };
    keys.split_inclusive(ends_batch).collect()
}
