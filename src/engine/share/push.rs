//! Sends what a remote lacks.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::exchange::Exchange;
use super::missing::Missing;
use super::reach::{Depth, Reach, reach};
use super::select::{Extent, Name, Selection, select};
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::error::{Error, Result};
use crate::parallel;
use crate::plan::Trace;
use crate::remote::{Amount, Catalog, Meter, Outgoing, Record, RecordKey, Remote, Sent, Shape};
use crate::repo_path::RepoPath;

/// Number of times that a push is repeated while another command removes what it relied on.
const MAX_ROUNDS: usize = 4;

/// The result of a push, or of a look at what one would do.
#[derive(Debug, Default)]
pub struct Pushed {
    /// Objects that were sent, and their bytes when unpacked.
    pub objects: Amount,
    pub traces: usize,
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
    /// Nothing is sent, only counted.
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
    let mut selection = select(project, extent, names)?;
    let mut known = None;
    if *extent == Extent::All {
        let traces = local_traces(project, &HashSet::new());
        let outs = traces.iter().flat_map(|(_, trace)| trace.outs.values().copied());
        known = Some(outs.collect::<Vec<Content>>());
    }
    let contents: HashSet<Content> = selection
        .outs
        .iter()
        .map(|chosen| chosen.content)
        .chain(known.into_iter().flatten())
        .collect();
    let reached = reach(&project.cache, contents, Depth::Everything, |_| Ok(()))?;
    let listings = listings(project, &selection.traces)?;
    let mut pushed = Pushed {
        selected: reached.digests().count(),
        uncached: std::mem::take(&mut selection.uncached),
        ..Pushed::default()
    };
    for _ in 0..MAX_ROUNDS {
        let round = Round::of(project, remote.catalog(), &selection, &reached, &listings);
        pushed.missing = match extent {
            Extent::All => Vec::new(),
            _ => Missing::of(&project.cache, &selection.outs, &round.absent)?,
        };
        if mode == Mode::Count {
            pushed.objects = round.amount();
            pushed.traces = round.records.len();
            return Ok(pushed);
        }
        if round.is_empty() {
            return Ok(pushed);
        }
        let mut sent =
            remote.upload(&round.outgoing, &round.records, &Exchange(&project.cache), meter);
        pushed.count(&round, &sent);
        pushed.errors.append(&mut sent.unreadable);
        pushed.errors.extend(sent.failed.take());
        pushed.was_stopped = meter.is_stopped();
        let lacking = round.lacking(remote.catalog(), &sent, &reached);
        let incomplete = with_folders(project, &reached, lacking);
        let published = remote.publish(sent, &|digest| !incomplete.contains(digest));
        pushed.errors.extend(published.err());
        if !pushed.errors.is_empty() || pushed.was_stopped {
            return Ok(pushed);
        }
    }
    Ok(pushed)
}

impl Pushed {
    fn count(&mut self, round: &Round, sent: &Sent) {
        for outgoing in round.outgoing.iter().filter(|outgoing| sent.has(&outgoing.digest)) {
            self.objects.objects += 1;
            self.objects.bytes += outgoing.bytes;
        }
        let is_sent = |record: &&Record| sent.has(&Digest::of(&record.bytes));
        self.traces += round.records.iter().filter(is_sent).count();
        self.packs.objects += sent.written.objects;
        self.packs.bytes += sent.written.bytes;
    }
}

/// Everything that has to be sent at one moment.
struct Round {
    outgoing: Vec<Outgoing>,
    records: Vec<Record>,
    /// Objects that are neither here nor on the remote.
    absent: HashSet<Digest>,
}

impl Round {
    fn of(
        project: &Project,
        catalog: &Catalog,
        selection: &Selection,
        reached: &Reach,
        listings: &Reach,
    ) -> Round {
        let cache = &project.cache;
        let lacking = |digests: &[Digest], shape| -> Vec<(Digest, Shape)> {
            let lacking = digests.iter().filter(|digest| !catalog.has(digest));
            lacking.map(|digest| (*digest, shape)).collect()
        };
        let mut wanted = lacking(&reached.files, Shape::File);
        wanted.extend(lacking(&reached.trees, Shape::Tree));
        let sized = parallel::map(wanted, |(digest, shape)| match cache.size(&digest) {
            Some(bytes) => Ok(Outgoing { digest, bytes, shape }),
            None => Err(digest),
        });
        let (mut outgoing, mut absent) = (Vec::new(), HashSet::new());
        for sized in sized {
            match sized {
                Ok(content) => outgoing.push(content),
                Err(digest) => drop(absent.insert(digest)),
            }
        }
        let known: HashSet<Digest> = outgoing.iter().map(|content| content.digest).collect();
        let more = listings.trees.iter().filter(|tree| !known.contains(tree) && !catalog.has(tree));
        outgoing.extend(more.filter_map(|digest| {
            Some(Outgoing { digest: *digest, bytes: cache.size(digest)?, shape: Shape::Tree })
        }));
        let mut records = records(project, catalog, selection, reached);
        // Whatever refers to an absent object cannot be named, so it is not sent either.
        let incomplete = with_folders(project, reached, absent.clone());
        if !incomplete.is_empty() {
            outgoing.retain(|content| !incomplete.contains(&content.digest));
            records.retain(|record| {
                !record.refers.iter().any(|content| incomplete.contains(&content.digest()))
            });
        }
        Round { outgoing, records, absent }
    }

    fn is_empty(&self) -> bool {
        self.outgoing.is_empty() && self.records.is_empty()
    }

    fn amount(&self) -> Amount {
        Amount {
            objects: self.outgoing.len() as u64,
            bytes: self.outgoing.iter().map(|content| content.bytes).sum(),
        }
    }

    /// Returns the objects that were neither sent nor on the remote before.
    fn lacking(&self, catalog: &Catalog, sent: &Sent, reached: &Reach) -> HashSet<Digest> {
        let lacks = |digest: &&Digest| !catalog.has(digest) && !sent.has(digest);
        reached.digests().filter(lacks).copied().collect()
    }
}

/// Adds the folders around objects.
fn with_folders(
    project: &Project,
    reached: &Reach,
    mut lacking: HashSet<Digest>,
) -> HashSet<Digest> {
    if lacking.is_empty() {
        return lacking;
    }
    let entries = parallel::map(reached.trees.clone(), |tree| {
        let found = project.cache.tree(&tree).unwrap_or_default();
        (tree, found.entries.values().map(Content::digest).collect::<Vec<_>>())
    });
    // Trees mostly follow those that refer to them.
    loop {
        let before = lacking.len();
        for (tree, inside) in entries.iter().rev() {
            if inside.iter().any(|digest| lacking.contains(digest)) {
                lacking.insert(*tree);
            }
        }
        if lacking.len() == before {
            return lacking;
        }
    }
}

/// Returns the trees of the deps of traces, by which changed files can be named.
fn listings(project: &Project, traces: &[Trace]) -> Result<Reach> {
    let deps = traces.iter().flat_map(|trace| trace.fingerprint.deps.values().copied());
    let deps: HashSet<Content> = deps.collect();
    reach(&project.cache, deps, Depth::Listings, |_| Ok(()))
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
    let on_remote: HashSet<Digest> = catalog.traces().map(|(key, _)| *key).collect();
    let mut known = on_remote;
    known.extend(traces.keys());
    let is_selected = |trace: &Trace| {
        !trace.outs.is_empty() && trace.outs.values().all(|out| selected.contains(&out.digest()))
    };
    let others = local_traces(project, &known);
    traces.extend(others.into_iter().filter(|(_, trace)| is_selected(trace)));
    let record = |(key, trace): (Digest, Trace)| {
        let refers = trace.outs.values().filter(|out| selected.contains(&out.digest()));
        let refers = refers.copied().collect();
        let bytes = crate::cache::traces::encode(&trace).into_bytes();
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
