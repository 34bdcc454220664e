//! Sends what a remote lacks.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::missing::Missing;
use super::reach::{Depth, Reach, reach};
use super::round::{MAX_ROUNDS, Round, unsettled};
use super::select::{Chosen, Extent, Name, Selection, select};
use crate::cache::traces;
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::engine::upkeep::roots::ProjectRoots;
use crate::error::{Error, Result};
use crate::parallel;
use crate::pipeline::Cached;
use crate::plan::{Lock, Trace};
use crate::remote::{Amount, Catalog, Meter, Record, RecordKey, Remote};
use crate::repo_path::RepoPath;

/// The result of a push, or of a look at what one would do.
#[derive(Debug, Default)]
pub struct Pushed {
    /// Objects that were sent, and their bytes when unpacked.
    pub objects: Amount,
    /// Number of traces or runs.
    pub records: usize,
    /// Packs that were written, and their bytes.
    pub packs: Amount,
    /// Number of objects that the selection consists of.
    pub selected: usize,
    /// Outs that are not sent, since they have `cache = false`.
    pub uncached: BTreeSet<RepoPath>,
    /// Outs with objects that are neither in the cache nor on the remote.
    pub missing: Vec<Missing>,
    pub was_stopped: bool,
    pub errors: Vec<Error>,
}

/// Treatment of what the remote lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Send,
    /// Counts what would be sent.
    Count,
}

/// Sends the selected outs with their traces. The remote must have been refreshed.
///
/// After an error or [`Meter::stop`], the remote has all files that were sent until then, and the
/// same push continues there.
///
/// # Errors
/// The selection is not valid.
pub fn push(
    project: &Project,
    remote: &mut Remote,
    (extent, names): (&Extent, &[Name]),
    mode: Mode,
    meter: &Meter,
) -> Result<Pushed> {
    push_selection(project, remote, (extent, &select(project, extent, names)?), mode, meter)
}

/// Sends the outs of `locks` with their traces, as far as the cache has them. The remote must have
/// been refreshed.
///
/// # Errors
/// A tree in the cache is not possible.
pub fn push_locks(
    project: &Project,
    remote: &mut Remote,
    locks: &[&Lock],
    meter: &Meter,
) -> Result<Pushed> {
    let selection = Selection::of_locks(project, locks, &[])?;
    push_selection(project, remote, (&Extent::Lock, &selection), Mode::Send, meter)
}

fn push_selection(
    project: &Project,
    remote: &mut Remote,
    (extent, selection): (&Extent, &Selection),
    mode: Mode,
    meter: &Meter,
) -> Result<Pushed> {
    let mut contents: HashSet<Content> =
        selection.outs.iter().map(|chosen| chosen.content).collect();
    if *extent == Extent::All {
        let traces = local_traces(project, &HashSet::new());
        let roots = ProjectRoots::of(project);
        contents.extend(traces.values().flat_map(|trace| kept_outs(&roots, trace)));
    }
    let reached = reach(&project.cache, contents, Depth::Everything, |_| Ok(()))?;
    let listings = listings(project, selection)?;
    // An incomplete trace is common in a cache, so it is no mistake that some objects are absent.
    let checked = if *extent == Extent::All { &[] } else { &selection.outs[..] };
    let records = |catalog: &Catalog| records(project, catalog, selection, &reached);
    let plan = Plan { reached: &reached, listings: &listings, checked, records: &records };
    let mut pushed = send(project, remote, &plan, mode, meter)?;
    pushed.uncached = selection.uncached.clone();
    Ok(pushed)
}

/// The objects and records of a push.
struct Plan<'p> {
    reached: &'p Reach,
    /// Trees that are sent without the files in them.
    listings: &'p Reach,
    /// Outs whose absence is an error.
    checked: &'p [Chosen],
    /// Returns the records that a remote lacks.
    records: &'p dyn Fn(&Catalog) -> Vec<Record>,
}

fn send(
    project: &Project,
    remote: &mut Remote,
    plan: &Plan<'_>,
    mode: Mode,
    meter: &Meter,
) -> Result<Pushed> {
    let reached = plan.reached;
    let mut pushed = Pushed { selected: reached.digests().count(), ..Pushed::default() };
    for number in 0.. {
        let records = (plan.records)(remote.catalog());
        let round = Round::of(project, remote.catalog(), reached, plan.listings, records);
        pushed.missing =
            Missing::of(&project.cache, plan.checked, &round.absent, remote.catalog())?;
        if mode == Mode::Count {
            pushed.objects = round.amount();
            pushed.records = round.records.len();
            return Ok(pushed);
        }
        // After a round this is a check: another command may have removed what it relied on.
        if round.is_empty() {
            return Ok(pushed);
        }
        if number == MAX_ROUNDS {
            pushed.errors.push(unsettled(&remote.name));
            break;
        }
        let outcome = round.send(project, remote, reached, meter);
        pushed.objects += outcome.objects;
        pushed.packs += outcome.packs;
        pushed.records += outcome.records;
        pushed.errors.extend(outcome.errors);
        pushed.was_stopped = meter.is_stopped();
        if !pushed.errors.is_empty() || pushed.was_stopped {
            break;
        }
    }
    Ok(pushed)
}

/// Returns the trees around selected parts, and those of the deps of traces, by which changed files
/// can be named.
fn listings(project: &Project, selection: &Selection) -> Result<Reach> {
    let traces = selection.traces.iter();
    let deps = traces.flat_map(|trace| trace.fingerprint.deps.values().copied());
    let contents: HashSet<Content> = deps.chain(selection.around.iter().copied()).collect();
    reach(&project.cache, contents, Depth::Listings, |_| Ok(()))
}

/// Returns the outs of a trace but those that the project does not cache.
pub(super) fn kept_outs(roots: &ProjectRoots<'_>, trace: &Trace) -> Vec<Content> {
    let kept = trace.outs.iter().filter(|(path, _)| roots.keeps(path.as_str()) == Cached::Yes);
    kept.map(|(_, content)| *content).collect()
}

/// Returns the traces to send: those of the selected stages, and all others of the cache whose outs
/// are among the selected contents.
fn records(
    project: &Project,
    catalog: &Catalog,
    selection: &Selection,
    reached: &Reach,
) -> Vec<Record> {
    let selected: HashSet<&Digest> = reached.digests().collect();
    let mut traces: BTreeMap<Digest, Trace> = BTreeMap::new();
    for trace in &selection.traces {
        let key = trace.fingerprint.key();
        if catalog.trace(&key).is_none() {
            traces.insert(key, trace.clone());
        }
    }
    let mut known: HashSet<Digest> = catalog.traces().map(|(key, _)| *key).collect();
    known.extend(traces.keys());
    let roots = ProjectRoots::of(project);
    let is_selected = |trace: &Trace| {
        let outs = kept_outs(&roots, trace);
        !outs.is_empty() && outs.iter().all(|out| selected.contains(&out.digest()))
    };
    let others = local_traces(project, &known);
    traces.extend(others.into_iter().filter(|(_, trace)| is_selected(trace)));
    let record = |(key, trace): (Digest, Trace)| {
        let refers = kept_outs(&roots, &trace);
        let bytes = traces::encode(&trace).into_bytes();
        Record { key: RecordKey::Trace(key), bytes, refers }
    };
    traces.into_iter().map(record).collect()
}

/// Returns the traces of the cache but those in `known`.
fn local_traces(project: &Project, known: &HashSet<Digest>) -> HashMap<Digest, Trace> {
    let mut keys = project.cache.trace_keys();
    keys.retain(|key| !known.contains(key));
    let read = parallel::map(keys, |key| Some((key, project.cache.trace(&key)?)));
    read.into_iter().flatten().collect()
}
