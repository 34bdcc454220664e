//! The ledger of a run: records the outcome of each stage, reports it to the subscribers, writes
//! the lock, and sums up the run at its end. Unaware of threads and of scheduling.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::message::Spent;
use super::options::{Options, REPRODUCES, Role, TrialOf};
use crate::clock::now_millis;
use crate::digest::Content;
use crate::engine::saved_git::SavedGit;
use crate::engine::{Project, metrics, provenance, started};
use crate::error::{Error, Result, exit};
use crate::event::{
    Event, Millis, Outcome, RunInfo, RunKind, RunName, RunStatus, RunUid, Subscriber, Timestamp,
};
use crate::filter::MetricName;
use crate::number::Number;
use crate::pipeline::{Presence, Stage, StageIx, StageName};
use crate::plan::{Trace, lock};
use crate::repo_path::RepoPath;
use crate::runs;

/// Minimum time between two writes of the lock during a run. The traces in the cache hold the
/// results meanwhile.
const LOCK_EVERY: Duration = Duration::from_secs(1);
/// Limits the time spent on writing the lock to one part in this many: nothing else starts
/// meanwhile, and the disk may be slow.
const LOCK_SHARE: u32 = 20;

/// Result of a run.
#[derive(Debug)]
pub struct Report {
    /// `None` if there was nothing to do.
    pub run: Option<RunName>,
    /// Number of stages that were up to date before the run began.
    pub fresh: usize,
    /// The others, in the order of the graph.
    pub stages: Vec<(StageName, Outcome, Millis)>,
    /// Optional outs that do not exist.
    pub absent: BTreeSet<RepoPath>,
    /// Final metrics.
    pub metrics: Vec<(MetricName, Number)>,
    pub status: RunStatus,
    pub ended: Timestamp,
    pub took: Millis,
    pub exit: u8,
    /// The error that kept the stat index from being written. The next run hashes again and gets
    /// the same result.
    pub index: Option<Error>,
    /// The outs that were added to `.gitignore`.
    pub ignored: Result<Vec<RepoPath>>,
    pub other_folder: Option<OtherFolder>,
}

/// The folder for the files of a run that stands in for one in `runs`, which cannot be written.
#[derive(Debug, Clone)]
pub struct OtherFolder {
    /// As it is shown to users.
    pub path: String,
    pub why: String,
}

pub(super) struct Ledger<'a, 's> {
    project: &'a Arc<Project>,
    options: &'a Options,
    subscribers: Vec<&'s mut dyn Subscriber>,
    began: Instant,
    run: Option<RunName>,
    uid: Option<RunUid>,
    pub(super) other_folder: Option<OtherFolder>,
    /// Events to report once the run has begun.
    pending: Vec<Event>,
    /// Outcome of each stage that has ended.
    ended: Vec<Option<(Outcome, Millis)>>,
    /// Changes to the lock: a new trace, or `None` to remove the stage.
    changes: BTreeMap<StageName, Option<Trace>>,
    lock_due: Instant,
    /// Exit code of the most severe failure.
    exit: u8,
    fatal: Option<Error>,
}

impl<'a, 's> Ledger<'a, 's> {
    pub(super) fn open(
        project: &'a Arc<Project>,
        options: &'a Options,
        subscribers: Vec<&'s mut dyn Subscriber>,
    ) -> Ledger<'a, 's> {
        let began = Instant::now();
        Ledger {
            project,
            options,
            subscribers,
            began,
            run: None,
            uid: None,
            other_folder: None,
            pending: Vec::new(),
            ended: vec![None; project.pipeline.stages.len()],
            changes: BTreeMap::new(),
            lock_due: began + LOCK_EVERY,
            exit: exit::OK,
            fatal: None,
        }
    }

    /// Begins the run in the history, unless it has begun.
    pub(super) fn begin(&mut self) -> RunName {
        if let Some(run) = self.run {
            return run;
        }
        let run = runs::take_number(&self.project.history);
        self.run = Some(run);
        let folder = runs::run_dir(&self.project.history, run);
        let git = match &self.options.git {
            Some(saved) => saved.copy_to(&folder),
            None => SavedGit::of(self.project, &folder).state,
        };
        let info = RunInfo {
            git,
            command: self.options.command.clone(),
            overrides: self.options.overrides.clone(),
            fresh: self.project.up_to_date.count(),
            ..self.base_info()
        };
        self.uid = Some(info.uid);
        let pending = std::mem::take(&mut self.pending);
        self.emit(Event::RunStarted { run, at: now_millis(), info: Box::new(info) });
        pending.into_iter().for_each(|event| self.emit(event));
        run
    }

    fn base_info(&self) -> RunInfo {
        match self.options.role.clone() {
            Role::Ordinary => provenance::run_info(self.project, RunKind::Pipeline),
            Role::Repetition(of) => RunInfo {
                tags: [(REPRODUCES.to_owned(), of.to_string())].into(),
                ..provenance::run_info(self.project, RunKind::Pipeline)
            },
            Role::Trial(TrialOf { parent, tags }) => RunInfo {
                parent: Some(parent),
                tags,
                ..provenance::run_info(self.project, RunKind::Trial)
            },
        }
    }

    /// Returns the name of the run; `None` while there has been no work.
    pub(super) fn run(&self) -> Option<RunName> {
        self.run
    }

    /// Returns the identity of the run; `None` while there has been no work.
    pub(super) fn uid(&self) -> Option<RunUid> {
        self.uid
    }

    /// Reports an event to the subscribers, or keeps it until the run begins.
    pub(super) fn emit(&mut self, event: Event) {
        if self.run.is_none() && !matches!(event, Event::Stopping) {
            self.pending.push(event);
            return;
        }
        self.send(&event);
    }

    fn send(&mut self, event: &Event) {
        for subscriber in &mut self.subscribers {
            subscriber.on_event(event);
        }
    }

    /// Records the outcome of a stage.
    pub(super) fn end(
        &mut self,
        ix: StageIx,
        outcome: Outcome,
        outs: BTreeMap<RepoPath, Content>,
        Spent { took, usage, artifacts }: Spent,
    ) {
        self.ended[ix] = Some((outcome.clone(), took));
        self.emit(Event::StageEnded {
            stage: self.name(ix),
            at: now_millis(),
            outcome,
            took,
            outs,
            usage,
            artifacts,
        });
    }

    /// Raises the exit code of the process to `exit`.
    pub(super) fn exit_with(&mut self, exit: u8) {
        self.exit = self.exit.max(exit);
    }

    /// Returns the first failed stage in the order of the graph.
    pub(super) fn first_failed(&self) -> Option<StageIx> {
        let has_failed = |ix: &StageIx| {
            self.ended[*ix].as_ref().is_some_and(|(outcome, _)| outcome.failure().is_some())
        };
        self.project.pipeline.graph.order().iter().copied().find(has_failed)
    }

    pub(super) fn name(&self, ix: StageIx) -> StageName {
        self.project.pipeline.stages[ix].name.clone()
    }

    /// Records the trace of a stage for the lock.
    pub(super) fn remember(&mut self, ix: StageIx, trace: Trace) {
        let name = self.name(ix);
        if self.project.lock.stages.get(&name) != Some(&trace) {
            self.changes.insert(name, Some(trace));
        }
    }

    pub(super) fn save_lock_now_and_then(&mut self) {
        let began = Instant::now();
        if began >= self.lock_due {
            if let Err(error) = self.project.save_changes(&self.changes) {
                self.fatal.get_or_insert(error);
            }
            self.lock_due = Instant::now() + LOCK_EVERY.max(began.elapsed() * LOCK_SHARE);
        }
    }

    /// Writes the lock, reports the end of the run, and returns the report.
    pub(super) fn close(mut self) -> Result<Report> {
        self.save_lock();
        self.forget_started();
        if let Some(run) = self.run {
            runs::keep_lock(&self.project.history, run, &self.project.root.join(lock::FILE));
        }
        let (status, exit) = self.status();
        let metrics = self.final_metrics();
        if self.run.is_none() {
            // Nothing was done, but a warning holds anyway.
            let pending = std::mem::take(&mut self.pending).into_iter();
            let warnings = pending.filter(|event| matches!(event, Event::Warning { .. }));
            warnings.for_each(|event| self.send(&event));
        }
        let took: Millis = self.began.elapsed().into();
        let ended = now_millis();
        self.emit(Event::RunEnded { run: self.run, at: ended, status, took });
        if let Some(error) = self.fatal {
            return Err(error);
        }
        let order = self.project.pipeline.graph.order().iter();
        let stages = order.filter_map(|&ix| {
            let (outcome, took) = self.ended[ix].clone()?;
            Some((self.name(ix), outcome, took))
        });
        Ok(Report {
            run: self.run,
            fresh: self.project.up_to_date.count(),
            stages: stages.collect(),
            absent: absent(self.project),
            metrics,
            status,
            ended,
            took,
            exit,
            index: None,
            ignored: Ok(Vec::new()),
            other_folder: self.other_folder.clone(),
        })
    }

    fn save_lock(&mut self) {
        let pipeline = &self.project.pipeline;
        // Undeclared stages are dropped; declared stages that were not wanted stay.
        let declared: BTreeSet<&StageName> =
            pipeline.stages.iter().map(|stage| &stage.name).collect();
        let forgotten = self.project.lock.stages.keys().filter(|name| !declared.contains(name));
        self.changes.extend(forgotten.map(|name| (name.clone(), None)));
        let saved = match self.changes.is_empty() {
            true => self.project.cache.sync(),
            false => self.project.save_changes(&self.changes),
        };
        if let Err(error) = saved {
            self.fatal.get_or_insert(error);
        }
    }

    /// Ends the claims of stages that have reached the lock or are no longer declared.
    fn forget_started(&self) {
        if self.fatal.is_some() {
            return;
        }
        let is_done = |ix: &StageIx| {
            let ended = self.ended[*ix].as_ref().map(|(outcome, _)| outcome);
            matches!(ended, Some(Outcome::Fresh | Outcome::Restored { .. } | Outcome::Ran))
        };
        let stages = &self.project.pipeline.stages;
        let done = StageIx::all(stages.len()).filter(is_done);
        let outs: BTreeSet<&RepoPath> =
            done.flat_map(|ix| &stages[ix].outs).map(|out| &out.path).collect();
        started::remove(self.project, &outs);
    }

    fn status(&self) -> (RunStatus, u8) {
        let outcomes = || self.ended.iter().flatten().map(|(outcome, _)| outcome);
        let failed = self.fatal.is_some() || outcomes().any(|outcome| outcome.failure().is_some());
        let interrupted = outcomes().any(|outcome| *outcome == Outcome::Interrupted);
        match (interrupted, failed) {
            (true, _) => (RunStatus::Interrupted, exit::INTERRUPTED),
            (false, true) => (RunStatus::Failed, self.exit.max(exit::STAGE_FAILED)),
            (false, false) => (RunStatus::Ok, exit::OK),
        }
    }

    /// Reports the final metrics of all stages that are up to date now, and what is wrong with
    /// their files.
    fn final_metrics(&mut self) -> Vec<(MetricName, Number)> {
        let mut all = Vec::new();
        let project = self.project;
        for (ix, stage) in StageIx::enumerate(&project.pipeline.stages) {
            let is_current = match &self.ended[ix] {
                Some((outcome, _)) => {
                    matches!(outcome, Outcome::Fresh | Outcome::Restored { .. } | Outcome::Ran)
                }
                None => self.run.is_some() && metrics::is_as_locked(project, stage),
            };
            if is_current {
                self.metrics_of(stage, &mut all);
            }
        }
        // They are left out only if no stage has anything to do.
        for stage in project.up_to_date.with_metrics() {
            self.metrics_of(&stage, &mut all);
        }
        all
    }

    fn metrics_of(&mut self, stage: &Stage, all: &mut Vec<(MetricName, Number)>) {
        let metrics::Found { values, complaints } = metrics::read(&self.project.root, stage);
        for text in complaints {
            self.emit(Event::Warning { stage: Some(stage.name.clone()), text });
        }
        if !values.is_empty() {
            let name =
                |key: &String| MetricName { stage: stage.name.to_string(), key: key.clone() };
            all.extend(values.iter().map(|(key, value)| (name(key), *value)));
            self.emit(Event::FinalMetrics { stage: stage.name.clone(), values });
        }
    }
}

fn absent(project: &Project) -> BTreeSet<RepoPath> {
    let outs = project.pipeline.stages.iter().flat_map(|stage| &stage.outs);
    let optional = outs.filter(|out| out.presence == Presence::Optional).map(|out| &out.path);
    optional
        .filter(|path| path.to_path(&project.root).symlink_metadata().is_err())
        .cloned()
        .collect()
}
