//! Runs on remotes: sends the versions that a remote lacks, and merges those that are new here.
//!
//! # Mechanism
//!
//! A version of a run is a manifest, named by its digest, and parts: logs, points and other files.
//! Versions never change. A run that is edited gets another version, which shares its parts with
//! the former one. So two people who push at the same time both add a version, and whoever pulls
//! merges them (`runs/edits.rs`).
//!
//! Neither direction reads what both sides have: a push compares the state of each run with the
//! one that was last shared, and a pull reads the versions that it has not merged yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::shelf::Shelf;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::engine::size::Tally;
use crate::engine::transfer::version::{self, Arrived, Version};
use crate::engine::transfer::with_children;
use crate::error::{Error, Kind, Result};
use crate::remote::{Meter, Remote};
use crate::runs::{self, Conflict, Field, Lifecycle, RunName, RunUid, State, Store};

/// Number of versions that are collected before they are sent: their points are files meanwhile.
const BATCH: usize = 2_000;
/// Time to wait for another process that writes to the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// The runs to push.
#[derive(Debug, Clone, Copy)]
pub enum Selection<'a> {
    All,
    /// A run, and the trials of it if it is a sweep.
    Run(&'a str),
}

/// Result of a push of runs.
#[derive(Debug, Default)]
pub struct PushedRuns {
    pub sent: Vec<RunName>,
    /// Number of runs that the remote had in this version.
    pub known: usize,
    pub running: Vec<RunName>,
    /// Parts that the remote lacked.
    pub parts: Tally,
}

/// Sends runs in the versions that the remote lacks.
///
/// # Errors
/// The history cannot be read; the remote refuses.
pub fn push(
    root: &Path,
    remote: &mut Remote,
    selection: Selection<'_>,
    dry_run: DryRun,
    meter: &Meter,
) -> Result<PushedRuns> {
    let shelf = &mut Shelf { remote, meter };
    let mut pushed = PushedRuns::default();
    if Store::open_existing(root)?.is_none() {
        return Ok(pushed);
    }
    let store = Store::open(root, PATIENCE)?;
    let mut push = Push { root, store: &store, id: shelf.id(), on_remote: shelf.versions() };
    let mut waiting: Vec<(RunName, State, Version)> = Vec::new();
    let wanted = match selection {
        Selection::All => None,
        Selection::Run(name) => {
            let run = store.resolve(name, Default::default)?;
            Some(with_children(&store, &[run])?)
        }
    };
    for run in store.shareable(&push.id)? {
        if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&run.run)) {
            continue;
        }
        match push.version(run, &mut pushed)? {
            Some(version) => waiting.push(version),
            None => continue,
        }
        if waiting.len() == BATCH {
            push.send(std::mem::take(&mut waiting), shelf, dry_run, &mut pushed)?;
        }
    }
    push.send(waiting, shelf, dry_run, &mut pushed)?;
    Ok(pushed)
}

/// Choice between work and a count of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    Yes,
    No,
}

struct Push<'a> {
    root: &'a Path,
    store: &'a Store,
    id: String,
    on_remote: BTreeSet<Digest>,
}

impl Push<'_> {
    /// Returns the version to send; `None` if there is nothing to send.
    fn version(
        &self,
        run: runs::Shareable,
        pushed: &mut PushedRuns,
    ) -> Result<Option<(RunName, State, Version)>> {
        if run.is_running {
            pushed.running.push(run.run);
            return Ok(None);
        }
        let is_there =
            |version: &str| version.parse().is_ok_and(|digest| self.on_remote.contains(&digest));
        match &run.shared {
            Some((state, version)) if *state == run.state && is_there(version) => {
                pushed.known += 1;
                return Ok(None);
            }
            // Nobody else knows it.
            None if run.is_deleted => return Ok(None),
            _ => {}
        }
        let version = version::collect(self.root, self.store, run.run)?;
        if self.on_remote.contains(&version.digest) {
            self.note(run.run, &run.state, &version)?;
            pushed.known += 1;
            return Ok(None);
        }
        Ok(Some((run.run, run.state, version)))
    }

    fn send(
        &mut self,
        versions: Vec<(RunName, State, Version)>,
        shelf: &mut Shelf<'_>,
        dry_run: DryRun,
        pushed: &mut PushedRuns,
    ) -> Result<()> {
        let mut parts = BTreeMap::new();
        for (digest, (path, bytes)) in versions.iter().flat_map(|(.., one)| &one.parts) {
            let is_first = parts.insert(*digest, (path.clone(), *bytes)).is_none();
            if is_first && !shelf.has(digest) {
                pushed.parts.count += 1;
                pushed.parts.bytes += bytes;
            }
        }
        if dry_run == DryRun::Yes || versions.is_empty() {
            pushed.sent.extend(versions.iter().map(|(run, ..)| *run));
            return Ok(());
        }
        let versions: Vec<&(RunName, State, Version)> = versions.iter().collect();
        let sent = shelf.send(&parts, &versions);
        // What has arrived before an error need not be sent again.
        let arrived = shelf.versions();
        for (run, state, version) in &versions {
            if arrived.contains(&version.digest) {
                pushed.sent.push(*run);
                self.note(*run, state, version)?;
            }
        }
        sent
    }

    fn note(&self, run: RunName, state: &State, version: &Version) -> Result<()> {
        let version = runs::Version { digest: &version.digest, rows: &version.rows };
        self.store.set_shared(&self.id, run, state, &version)
    }
}

/// Result of a pull of runs.
#[derive(Debug, Default)]
pub struct PulledRuns {
    /// Each with its number where it was pushed.
    pub new: Vec<(RunName, RunName)>,
    /// Runs whose edits were taken, with the fields.
    pub edited: Vec<(RunName, Vec<Field>)>,
    /// Values that were dropped, since both sides edited the field.
    pub conflicts: Vec<(RunName, Conflict)>,
    /// Runs that others deleted.
    pub deleted: Vec<RunName>,
    /// Runs that lost their name, since another run has it.
    pub nameless: Vec<(RunName, String)>,
    /// Versions that were refused, and why.
    pub refused: Vec<(String, Error)>,
}

/// Merges the versions of a remote that are new here.
///
/// # Errors
/// The remote cannot be read; the history cannot be written.
pub fn pull(
    root: &Path,
    cache: &Cache,
    remote: &mut Remote,
    dry_run: DryRun,
    meter: &Meter,
) -> Result<PulledRuns> {
    let shelf = &Shelf { remote, meter };
    let mut pulled = PulledRuns::default();
    let on_remote = shelf.versions();
    if on_remote.is_empty() {
        return Ok(pulled);
    }
    let known = match Store::open_existing(root)? {
        Some(store) => store.versions()?,
        None => BTreeSet::new(),
    };
    let is_new = |version: &Digest| !known.contains(&version.to_string());
    let new: Vec<Digest> = on_remote.into_iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(pulled);
    }
    let mut by_run: BTreeMap<RunUid, Vec<Arrived>> = BTreeMap::new();
    let (manifests, faults) = shelf.manifests(&new)?;
    let faults = faults.into_iter().map(|(digest, error)| (digest.to_string(), error));
    pulled.refused.extend(faults);
    for (digest, manifest) in manifests {
        let parsed = Arrived::parse(digest, &manifest);
        match parsed.and_then(|version| Ok((version.uid()?, version))) {
            Ok((uid, version)) => by_run.entry(uid).or_default().push(version),
            Err(error) => pulled.refused.push((digest.to_string(), error)),
        }
    }
    if meter.is_stopped() {
        return Ok(pulled);
    }
    if dry_run == DryRun::Yes {
        return count(root, by_run, pulled);
    }
    let store = Store::open(root, PATIENCE)?;
    let pull = Pull { root, store: &store, cache };
    let runs = pull.insert_new(shelf, by_run, &mut pulled)?;
    let touched = pull.merge(runs, &mut pulled)?;
    pull.note(&shelf.id(), &touched)?;
    Ok(pulled)
}

/// Reports new and known runs without their numbers here.
fn count(
    root: &Path,
    by_run: BTreeMap<RunUid, Vec<Arrived>>,
    mut pulled: PulledRuns,
) -> Result<PulledRuns> {
    let store = Store::open_existing(root)?;
    for (uid, versions) in by_run {
        let known = store.as_ref().map_or(Ok(None), |store| store.with_uid(uid))?;
        match known {
            Some(run) => pulled.edited.push((run, Vec::new())),
            None => pulled.new.extend(versions.first().map(|one| (one.number(), one.number()))),
        }
    }
    Ok(pulled)
}

struct Pull<'a> {
    root: &'a Path,
    store: &'a Store,
    cache: &'a Cache,
}

impl Pull<'_> {
    /// Inserts the runs that are not known here, parents before their parts, and returns all runs
    /// with the versions to merge.
    fn insert_new(
        &self,
        shelf: &Shelf<'_>,
        by_run: BTreeMap<RunUid, Vec<Arrived>>,
        pulled: &mut PulledRuns,
    ) -> Result<Vec<(RunName, Vec<Arrived>)>> {
        let mut all = Vec::new();
        let mut new = Vec::new();
        for (uid, mut versions) in by_run {
            versions.sort_by_key(|one| one.digest);
            match self.store.with_uid(uid)? {
                Some(run) => all.push((run, versions)),
                None => new.push((uid, versions)),
            }
        }
        new.sort_by_key(|(_, versions)| versions.first().map(|one| one.order()));
        let each = new.iter().flat_map(|(_, versions)| versions);
        let parts = each.flat_map(|one| one.parts()).map(|(digest, size)| (*digest, *size));
        shelf.fetch(self.cache, &parts.collect())?;
        if shelf.meter.is_stopped() {
            return Ok(Vec::new());
        }
        for (uid, versions) in new {
            if let Some(run) = self.insert_one(uid, &versions, pulled)? {
                all.push((run, versions));
            }
        }
        Ok(all)
    }

    /// Inserts a run from the first of its versions that is valid.
    fn insert_one(
        &self,
        uid: RunUid,
        versions: &[Arrived],
        pulled: &mut PulledRuns,
    ) -> Result<Option<RunName>> {
        for version in versions {
            let part = |digest: &Digest| self.cache.object_path(digest);
            match version.insert(self.root, self.store, part) {
                Ok(Some((run, lost))) => {
                    pulled.new.push((run, version.number()));
                    pulled.nameless.extend(lost.map(|name| (run, name)));
                    return Ok(Some(run));
                }
                // Another command has pulled it meanwhile.
                Ok(None) => return self.store.with_uid(uid),
                Err(error) if error.kind == Kind::Environment => return Err(error),
                Err(error) => pulled.refused.push((uid.to_string(), error)),
            }
        }
        Ok(None)
    }

    /// Merges versions, and returns one of them for each run.
    fn merge(
        &self,
        runs: Vec<(RunName, Vec<Arrived>)>,
        pulled: &mut PulledRuns,
    ) -> Result<BTreeMap<RunName, Arrived>> {
        let mut touched = BTreeMap::new();
        for (run, mut versions) in runs {
            let each =
                versions.iter().map(|one| runs::Version { digest: &one.digest, rows: one.rows() });
            let merged = match self.store.merge(run, each) {
                Ok(merged) => merged,
                Err(error) if error.kind == Kind::Environment => return Err(error),
                Err(error) => {
                    pulled.refused.push((run.to_string(), error));
                    continue;
                }
            };
            pulled.conflicts.extend(merged.conflicts.into_iter().map(|one| (run, one)));
            let is_reported = pulled.nameless.iter().any(|(nameless, _)| *nameless == run);
            let lost = merged.lost_name.filter(|_| !is_reported);
            pulled.nameless.extend(lost.map(|name| (run, name)));
            let is_new = pulled.new.iter().any(|(new, _)| *new == run);
            if merged.changed.contains(&Field::Lifecycle)
                && !is_new
                && self.store.run(run)?.lifecycle == Lifecycle::Deleted
            {
                pulled.deleted.push(run);
            }
            if !merged.changed.is_empty() && !is_new {
                pulled.edited.push((run, merged.changed));
            }
            touched.extend(versions.pop().map(|one| (run, one)));
        }
        // The runs were merged by their identities, which mean nothing to people.
        pulled.edited.sort_by_key(|(run, _)| *run);
        pulled.conflicts.sort_by_key(|(run, _)| *run);
        pulled.deleted.sort_unstable();
        Ok(touched)
    }

    /// Notes which runs are now as on the remote.
    fn note(&self, id: &str, touched: &BTreeMap<RunName, Arrived>) -> Result<()> {
        let unshared = self.store.unshared_edits()?;
        for run in self.store.shareable(id)? {
            if let Some(version) = touched.get(&run.run)
                && !unshared.contains_key(&run.run)
            {
                let version = runs::Version { digest: &version.digest, rows: version.rows() };
                self.store.set_shared(id, run.run, &run.state, &version)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
