//! One trial: an ordinary run of the pipeline in a worktree of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::news::{Ended, News};
use crate::engine::elsewhere::{Sources, Wish};
use crate::engine::run::{self, Prepared, Role, Shared, Supply, Tracking, TrialOf, run_sharing};
use crate::engine::saved_git::SavedGit;
use crate::engine::worktree::Worktree;
use crate::engine::{OnForeign, Project};
use crate::error::{Error, Result};
use crate::event::{Event, Failure, Outcome, Subscriber, TrialName};
use crate::pipeline::{Override, Pipeline, StageSet};
use crate::runs::Recorder;
use crate::schedule::OnFailure;

/// Context that all trials of a sweep have in common.
pub(super) struct Context<'a> {
    /// The root of the worktree from which those of the trials are made.
    pub base: &'a Path,
    /// The git state of the files there.
    pub git: &'a SavedGit,
    pub wanted: &'a (dyn Fn(&Pipeline) -> Result<StageSet> + Sync),
    pub shared: &'a Arc<Shared>,
    pub cpus: usize,
    pub command: &'a [String],
    /// Shows a message of the recorder.
    pub notify: fn(&str),
    pub tracking: &'a Arc<dyn Tracking>,
    pub supply: &'a Arc<dyn Supply>,
    pub sources: &'a Arc<dyn Sources>,
}

/// A trial to run.
pub(super) struct Job {
    pub name: TrialName,
    pub overrides: Vec<Override>,
    pub of: TrialOf,
    pub prepared: Prepared,
}

/// Runs a trial to its end. A panic becomes an error, since the driver waits for the end.
pub(super) fn run_caught(context: &Context<'_>, job: Job, news: &Sender<News>) -> Result<Ended> {
    let run = AssertUnwindSafe(|| run(context, job, news));
    let panicked = || Error::environment("a thread of `repro` panicked: this is a bug");
    catch_unwind(run).unwrap_or_else(|_| Err(panicked()))
}

fn run(context: &Context<'_>, job: Job, news: &Sender<News>) -> Result<Ended> {
    let Job { name, overrides, of, prepared } = job;
    let base = Project::load(context.base, &overrides)?;
    let worktree = Worktree::create(&base)?;
    drop(base);
    let (project, held) = Project::load_exclusively(worktree.root(), &overrides)?;
    let project = Arc::new(project);
    let wanted = (context.wanted)(&project.pipeline)?;
    let options = run::Options {
        forced: StageSet::none(wanted.stage_count()),
        wanted,
        cpus: context.cpus,
        on_failure: OnFailure::Stop,
        // The files in a worktree are copies.
        on_foreign: OnForeign::Replace,
        command: context.command.to_vec(),
        overrides: overrides.iter().map(Override::typed).collect(),
        role: Role::Trial(of),
        git: Some(context.git.clone()),
        tracking: Arc::clone(context.tracking),
        supply: Arc::clone(context.supply),
        sources: Arc::clone(context.sources),
        origins: Wish::Locked,
    };
    let mut recorder = Recorder::start(&project.history, context.notify);
    let mut forward = Forward { name, news };
    let subscribers: Vec<&mut dyn Subscriber> = vec![&mut recorder, &mut forward];
    let report = run_sharing(&project, &held, &options, subscribers, context.shared, prepared);
    if let Some(warning) = recorder.finish() {
        let _ = news.send(News::Warning(format!("{name}: {warning}")));
    }
    let report = report?;
    let failed = report.stages.iter().find_map(|(stage, outcome, _)| {
        let failure = outcome.failure()?.clone();
        Some((stage.to_string(), failure))
    });
    Ok(Ended {
        run: report.run,
        status: report.status,
        metrics: report
            .metrics
            .iter()
            .map(|(name, value)| (name.clone(), value.to_f64()))
            .collect(),
        failed,
    })
}

/// Sends the events of a trial to the driver.
struct Forward<'a> {
    name: TrialName,
    news: &'a Sender<News>,
}

impl Subscriber for Forward<'_> {
    fn on_event(&mut self, event: &Event) {
        let is_fresh = matches!(event, Event::StageEnded { outcome: Outcome::Fresh, .. });
        if !is_fresh {
            let _ = self.news.send(News::Event(self.name, Box::new(event.clone())));
        }
    }
}

/// Turns an error before the run into the failure of a trial.
pub(super) fn failure(error: Error) -> Failure {
    Failure { what: error.what, causes: error.causes, hint: error.hint }
}
