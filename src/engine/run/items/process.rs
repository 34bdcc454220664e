//! Processes the stale items of a stage, either in one process for all items or in one process per
//! item. A finished item is stored at once, so that a crash loses only unfinished items.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use super::list::{Item, Shared, is_per_item};
use crate::engine::commit;
use crate::engine::observe::{Observation, edits};
use crate::engine::run::dep_watch::DepWatch;
use crate::engine::run::job::{RunContext, retrying};
use crate::engine::run::outcome::{StageResult, Uncommitted, unsuccessful};
use crate::engine::run::outs::{clear_out, written_in_wdir};
use crate::engine::run::processes::{Deliver, execute, while_following};
use crate::error::{Error, Kind, Result};
use crate::event::{ChangedDep, ChangedFile};
use crate::exec::{Job, More, StageMessage};
use crate::parallel;
use crate::pipeline::{Each, Mode, Presence, Stage};
use crate::plan::Trace;
use crate::plan::change::Fate;
use crate::plural::count;
use crate::repo_path::RepoPath;
use crate::workspace::Observed;

/// The processes of a stage's stale items.
pub(super) struct Processing<'a> {
    context: RunContext<'a>,
    stage: &'a Stage,
    each: &'a Each,
    shared: &'a Shared,
    stale: &'a [&'a Item],
    observation: &'a Observation,
    watch: &'a DepWatch<'a>,
    by_path: BTreeMap<&'a str, &'a Item>,
    /// Items whose outs are already in the cache.
    committed: Mutex<BTreeSet<&'a RepoPath>>,
    deliver: &'a Deliver<'a>,
}

impl<'a> Processing<'a> {
    pub(super) fn new(
        context: RunContext<'a>,
        stage: &'a Stage,
        each: &'a Each,
        shared: &'a Shared,
        stale: &'a [&'a Item],
        watch: &'a DepWatch<'a>,
        deliver: &'a Deliver<'a>,
    ) -> Processing<'a> {
        let by_path = stale.iter().map(|item| (item.path.as_str(), *item)).collect();
        Processing {
            context,
            stage,
            each,
            shared,
            stale,
            observation: watch.observation,
            watch,
            by_path,
            committed: Mutex::default(),
            deliver,
        }
    }

    /// Processes all items; returns `Some` if that failed.
    pub(super) fn process_all(&self, job: Job) -> Result<Option<StageResult>, Uncommitted> {
        self.emit_progress();
        let (log, events) = (job.log.clone(), job.events());
        let deliver = |messages: Vec<StageMessage>| {
            let mut finished = Vec::new();
            let mut others = self.watch.check();
            for message in messages {
                match message {
                    StageMessage::Item(path) => finished.push(path),
                    other => others.push(other),
                }
            }
            (self.deliver)(others).wait();
            if !finished.is_empty() {
                parallel::map(finished, |path| self.commit_reported(&path));
                self.emit_progress();
            }
        };
        while_following(&log, &events, &deliver, || match &self.each.mode {
            Mode::Batch => self.run_batch(job),
            Mode::PerItem(_) => self.run_per_item(&job),
        })
    }

    fn run_batch(&self, mut job: Job) -> Result<Option<StageResult>, Uncommitted> {
        let list = job.log.with_file_name("items.jsonl");
        job.env.push(("REPRO_ITEMS".into(), list.clone().into()));
        let prepare = |failures| {
            let unfinished = self.unfinished();
            if failures > 0 {
                for out in self.stage.outs.iter().filter(|out| !is_per_item(self.each, &out.path)) {
                    clear_out(self.context.project, self.stage, out, self.observation, failures)?;
                }
                self.remove_outs(&unfinished)?;
            }
            let mut text = String::new();
            for item in unfinished {
                let line = serde_json::json!({ "item": item.path, "outs": item.outs });
                let _ = writeln!(text, "{line}");
            }
            fs::write(&list, text).map_err(|err| Error::io("write", &list, &err))
        };
        if let Some(result) = self.attempts(&job, prepare)? {
            return Ok(Some(result));
        }
        // Items that the process did not report are committed now. One that cannot be kept does
        // not keep the others from it.
        let committed = parallel::map(self.stale.to_vec(), |item| match self.commit_item(item) {
            Err(Uncommitted::Error(error)) if error.kind != Kind::Usage => Err(error),
            other => Ok(other.err()),
        });
        let uncommitted = committed.into_iter().collect::<Result<Vec<Option<Uncommitted>>>>()?;
        uncommitted.into_iter().flatten().next().map_or(Ok(None), Err)
    }

    /// Runs one process per item, each when the scheduler starts its unit.
    fn run_per_item(&self, job: &Job) -> Result<Option<StageResult>, Uncommitted> {
        let done =
            self.context.units.run_all(self.stale.len(), |number| -> Result<(), BoxedFailure> {
                let item = self.stale[number];
                let job = Job {
                    cmd: self.shared.fingerprint(self.each, item).cmd.unwrap_or_default(),
                    shell: job.shell.clone(),
                    dir: job.dir.clone(),
                    env: job.env.clone(),
                    log: job.log.clone(),
                    marker: job.marker.with_file_name(format!("{}~{number}", self.stage.name)),
                };
                let prepare =
                    |failures| if failures > 0 { self.remove_outs(&[item]) } else { Ok(()) };
                if let Some(result) = self.attempts(&job, prepare)? {
                    return Err(ItemFailure::Process(naming_item(result, item)).into());
                }
                self.commit_item(item)?;
                self.emit_progress();
                Ok(())
            });
        let others = done.failed.len().saturating_sub(1);
        match (done.failed.into_values().next(), done.unstarted) {
            (None, 0) => Ok(None),
            (None, _) if self.context.groups.stops_within(Duration::ZERO) => {
                Ok(Some(StageResult::Stopped))
            }
            (None, _) => Ok(Some(StageResult::Cut)),
            (Some(first), _) => match *first {
                ItemFailure::Process(result) => Ok(Some(with_other_failures(result, others))),
                ItemFailure::Uncommitted(uncommitted) => Err(uncommitted),
            },
        }
    }

    /// Runs one process, with the stage's retries.
    fn attempts(
        &self,
        job: &Job,
        prepare: impl Fn(u64) -> Result<()>,
    ) -> Result<Option<StageResult>> {
        let failure = |result: &Result<Option<StageResult>>| match result {
            Ok(Some(StageResult::Failed { failure, .. })) => Some(failure.what.clone()),
            _ => None,
        };
        let attempt = |failures| {
            prepare(failures)?;
            // One follower reads the output of all items, so there is nothing to do meanwhile.
            let nothing = || More::Later;
            let ended =
                execute(self.context.groups, job, self.stage.timeout, self.deliver, nothing)?;
            self.context.meter.add(&ended);
            Ok(unsuccessful(self.stage, ended.exit, ended.stop))
        };
        retrying(self.context, self.stage, self.deliver, failure, attempt)
            .unwrap_or(Ok(Some(StageResult::Stopped)))
    }

    /// Returns the items that no process has finished yet.
    fn unfinished(&self) -> Vec<&'a Item> {
        let committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        self.stale.iter().copied().filter(|item| !committed.contains(&item.path)).collect()
    }

    /// Removes the remains of a failed attempt, which are not stored.
    fn remove_outs(&self, items: &[&Item]) -> Result<()> {
        let workspace = &self.context.project.workspace;
        items.iter().flat_map(|item| &item.outs).try_for_each(|out| workspace.remove(out))
    }

    /// Handles a process's report that the outs of an item are complete.
    fn commit_reported(&self, path: &str) {
        let Some(item) = self.by_path.get(path) else {
            return self.emit(StageMessage::Warning(format!(
                "reported item `{path}`, which is not in its list"
            )));
        };
        // The stage goes on; a later attempt to commit the item decides.
        let why = match self.commit_item(item) {
            Ok(()) => return,
            Err(Uncommitted::Changed(changed)) => {
                format!("{changed} {} while it ran", changed.predicate())
            }
            Err(Uncommitted::Error(error)) => error.to_string(),
        };
        self.emit(StageMessage::Warning(format!("item `{path}` cannot be stored yet: {why}")));
    }

    fn emit_progress(&self) {
        let done = self.committed.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.emit(StageMessage::Progress { done: done as u64, total: self.stale.len() as u64 });
    }

    fn emit(&self, message: StageMessage) {
        (self.deliver)(vec![message]).wait();
    }

    /// Stores the outs of an item and its trace.
    fn commit_item(&self, item: &'a Item) -> Result<(), Uncommitted> {
        if self.committed.lock().unwrap_or_else(PoisonError::into_inner).contains(&item.path) {
            return Ok(());
        }
        let project = self.context.project;
        let mut outs = BTreeMap::new();
        for (path, out) in item.outs.iter().zip(&self.each.outs) {
            let Some(seen) = project.workspace.observe(path)? else {
                if out.presence == Presence::Optional {
                    continue;
                }
                let error = Error::usage(format!(
                    "exited with code 0, but did not write `{path}`, an out of item `{}`",
                    item.path
                ));
                let error =
                    error.hint(written_in_wdir(project, self.stage, path).unwrap_or_else(|| {
                        format!(
                            "write it, or correct the outs of stage `{}` (pipeline.toml:{}); set \
                         `optional = true` if it may be missing",
                            self.stage.name, self.stage.line
                        )
                    }));
                return Err(error.into());
            };
            commit::check_restorable(project, path, &seen)?;
            commit::store(project, path, &seen)?;
            outs.insert(path.clone(), seen.content());
        }
        if let Some(changed) = self.changed(item)? {
            return Err(Uncommitted::Changed(changed));
        }
        let fingerprint = self.shared.fingerprint(self.each, item);
        project.cache.put_trace(&Trace { fingerprint, outs, accepted: None, version: None })?;
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).insert(&item.path);
        Ok(())
    }

    /// Returns the item, or the dep that all items share, if it changed while it was processed.
    fn changed(&self, item: &Item) -> Result<Option<ChangedDep>> {
        let (project, stage, glob) = (self.context.project, self.stage, self.each.glob.text());
        let is_same = || {
            let before = item.stamp.as_ref()?;
            let is_untouched =
                project.workspace.stamp(&item.path).map(|now| now.changes_since(before).is_empty());
            Some(is_untouched)
        };
        let now = project.workspace.observe(&item.path)?;
        if now.as_ref().map(Observed::content) != Some(item.content)
            || !is_same().transpose()?.unwrap_or_default()
        {
            let file = ChangedFile { path: item.path.clone(), fate: Fate::Changed };
            return Ok(Some(ChangedDep::new(glob.clone(), vec![file])));
        }
        let mut shared_deps = stage.deps.iter().filter(|dep| dep.path != *glob);
        shared_deps
            .find_map(|dep| edits::changed(project, stage, dep, self.observation).transpose())
            .transpose()
    }
}

/// A failure of one item.
enum ItemFailure {
    /// Its process failed or was stopped.
    Process(StageResult),
    /// Its outs could not be committed, or its process could not be started.
    Uncommitted(Uncommitted),
}

/// Boxed, since results with large errors are slow to pass around.
type BoxedFailure = Box<ItemFailure>;

impl From<Error> for BoxedFailure {
    fn from(error: Error) -> BoxedFailure {
        Uncommitted::from(error).into()
    }
}

impl From<Uncommitted> for BoxedFailure {
    fn from(uncommitted: Uncommitted) -> BoxedFailure {
        Box::new(ItemFailure::Uncommitted(uncommitted))
    }
}

fn naming_item(result: StageResult, item: &Item) -> StageResult {
    match result {
        StageResult::Failed { mut failure, exit } => {
            failure.what = format!("{} for item `{}`", failure.what, item.path);
            StageResult::Failed { failure, exit }
        }
        other => other,
    }
}

fn with_other_failures(result: StageResult, others: usize) -> StageResult {
    match result {
        StageResult::Failed { mut failure, exit } if others > 0 => {
            failure.causes.push(format!("{} failed", count(others, "more item")));
            StageResult::Failed { failure, exit }
        }
        other => other,
    }
}
