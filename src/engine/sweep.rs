//! `repro sweep`: runs the pipeline once for each trial, in worktrees that share the cache.
//!
//! # Mechanism
//!
//! The [driver] asks a strategy of [`crate::sweep`] for the next trial while fewer than `jobs` are
//! running, and gives it to a [thread of its own](trial). A trial is an ordinary run in a worktree,
//! made from one worktree that the sweep takes when it starts, so edits during the sweep do not
//! reach it. All trials share the processors, memory and tokens, and a stage waits while another
//! trial computes the same ([`super::run::Shared`]): what trials have in common runs once. Trials
//! are threads and not processes for this reason.
//!
//! A sweep is a run, whose children are the trials. Its bookkeeping is the history: a trial that is
//! [recorded](known) with the same params counts as finished as long as its stages would find the
//! same inputs now. So the same command continues a sweep that was killed.
//!
//! # Known limits
//!
//! - The rules that end a sweep early act between trials: those that run come to their end.
//! - A trial that failed is not run again when files change, but only on request.
//! - Of a trial that was ended early, the stage that was running is not compared with its inputs.

mod chooser;
mod driver;
mod known;
mod news;
mod objective;
mod options;
mod results;
mod setup;
mod status;
mod stoppers;
mod trial;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use self::chooser::{Chooser, recorded};
use self::driver::{Driver, Halt};
pub use self::known::Known;
use self::news::News;
pub use self::objective::Objective;
pub use self::options::{OnFailedBefore, OnFailure, Options};
pub use self::results::{Repeat, Results, Trial, TrialState};
pub use self::setup::{Setup, Strategy};
pub use self::status::{Recorded, find, objective, status, stop};
use self::stoppers::Stoppers;
use self::trial::Context;
use super::run::Shared;
use super::saved_git::SavedGit;
use super::worktree::Worktree;
use super::worktree::place::STATE;
use super::{Project, project, provenance, resources};
use crate::clock::now_millis;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::{BestTrial, RunInfo, RunKind, RunStatus, SweepEvent, SweepSubscriber};
use crate::pipeline::Override;
use crate::runs::sweeps::{KEY, METRIC, SweepRecord, already_running};
use crate::runs::{Run, Store};
use crate::sweep::{Axis, BadSpace, Halving, Point, Space};

/// Runs a sweep of the project at `root`, or continues it.
///
/// `at_exit` is called before a second signal exits the process; it may not wait.
///
/// # Errors
/// The space has no meaning, or the sweep cannot be started or recorded. The failure of a trial is
/// part of the results.
pub fn sweep(
    root: &Path,
    setup: &Setup,
    options: &Options<'_>,
    subscriber: &mut dyn SweepSubscriber,
    at_exit: impl Fn() + Send + 'static,
) -> Result<Results> {
    let began = Instant::now();
    let text = project::text(root)?;
    let compose = |overrides: &[Override]| composed(root, &text, overrides);
    let space = setup.space(&compose)?;
    let list = setup.list(&space)?;
    let first = match &list {
        Some(list) => list.first().cloned(),
        None => crate::sweep::ask(&space, &[], &[], setup.seed)?,
    };
    let first = first.ok_or_else(|| Error::usage("no trial fulfils the conditions"))?;
    // Worktrees and processes that a killed sweep has left; another run may be at work meanwhile.
    drop(project::hold(root));
    let project = Project::load(root, &space.overrides(&first))?;
    let driving = project.cache.claim(&Digest::of(setup.key.as_bytes()));
    let earlier = earlier(&project.history, setup)?;
    let _driving =
        driving.map_err(|_| already_running(earlier.as_ref().map(|(_, run)| run.name)))?;
    let known = match &earlier {
        Some((store, run)) => known::read(store, run)?,
        None => Vec::new(),
    };
    let trials = trials(root, &project, setup, options, &space, list.as_deref(), &known);
    let mut chooser = Chooser {
        setup,
        space: &space,
        list,
        taken: 0,
        trials,
        next_number: known.iter().map(|one| one.trial).max().unwrap_or(0) + 1,
    };
    // The worktree comes first: without it, there is nothing to record.
    let base = match chooser.next()? {
        Some(_) => {
            let read = setup::sources(root, &space, chooser.list.as_deref(), &first);
            Some(Worktree::create_with(&project, &read)?)
        }
        None => None,
    };
    let record = match &earlier {
        Some((_, run)) => SweepRecord::resume(&project.history, run)?,
        None => start(&project, setup, options)?,
    };
    let stoppers = Stoppers::default();
    let (sender, inbox) = channel::<News>();
    let _signals = stoppers.watch_signals(sender.clone(), at_exit)?;
    let scores = chooser.trials.iter();
    let scores: Vec<f64> =
        scores.filter_map(|trial| trial.score(setup.objective.as_ref())).collect();
    subscriber.on_event(&SweepEvent::SweepStarted {
        run: record.run,
        at: now_millis(),
        trials: chooser.total(),
        finished: scores.len(),
        metric: setup.objective.as_ref().map(|objective| objective.metric.clone()),
    });
    let mut halving = Halving::default();
    if let (Some(objective), Some((store, _))) = (&setup.halving, &earlier) {
        known::replay(store, &known, objective, &mut halving)?;
    }
    let mut driver = Driver {
        setup,
        options,
        record: &record,
        chooser,
        stoppers: &stoppers,
        subscriber: &mut *subscriber,
        running: BTreeMap::new(),
        halving,
        until: options.max_time.map(|time| began + time),
        halt: None,
        scores,
    };
    if let Some(base) = base {
        run_trials(&base, &project, &mut driver, (&sender, &inbox));
    }
    let Driver { chooser, halt, .. } = driver;
    // The last one may have been chosen and not started.
    let trials: Vec<Trial> = chooser.trials.into_iter().filter(Trial::has_begun).collect();
    let (status, stopped, fatal) = conclude(&trials, halt);
    let (at, took) = (now_millis(), began.elapsed().into());
    let run = record.run;
    record.end(at, status, took)?;
    let objective = setup.objective.clone();
    let results = Results { run, trials, objective, status, took, stopped, fatal };
    let best = results.best().map(|best| BestTrial {
        trial: best.number,
        value: best.value(),
        params: best.overrides.iter().map(Override::typed).collect(),
        runs: best.runs().collect(),
    });
    let stopped = results.stopped.clone();
    subscriber.on_event(&SweepEvent::SweepEnded { run, at, status, took, stopped, best });
    Ok(results)
}

fn composed(
    root: &Path,
    text: &str,
    overrides: &[Override],
) -> Result<crate::pipeline::Params, BadSpace> {
    let declared = project::params(root, text, overrides);
    declared
        .map(|declared| declared.params)
        .map_err(|error| BadSpace { what: error.to_string(), hint: error.hint.clone() })
}

/// Returns the overrides of each trial, without running any.
///
/// # Errors
/// The space has no meaning.
pub fn dry_run(root: &Path, setup: &Setup) -> Result<Vec<Vec<Override>>> {
    let text = project::text(root)?;
    let compose = |overrides: &[Override]| composed(root, &text, overrides);
    let space = setup.space(&compose)?;
    let points = match setup.list(&space)? {
        Some(list) => list,
        // The others depend on results.
        None => crate::sweep::ask(&space, &[], &[], setup.seed)?.into_iter().collect(),
    };
    Ok(points.iter().map(|point| space.overrides(point)).collect())
}

/// Finds the sweep in the history.
fn earlier(history: &Path, setup: &Setup) -> Result<Option<(Store, Run)>> {
    let Some(store) = Store::open_existing(history)? else { return Ok(None) };
    let run = store.sweep(&setup.key)?;
    Ok(run.map(|run| (store, run)))
}

/// Records a new sweep.
fn start(project: &Project, setup: &Setup, options: &Options<'_>) -> Result<SweepRecord> {
    let mut tags = BTreeMap::from([(KEY.to_owned(), setup.key.clone())]);
    tags.extend(setup.objective.iter().map(|metric| (METRIC.to_owned(), metric.to_string())));
    let mut info = RunInfo {
        name: setup.name.clone(),
        command: options.command.clone(),
        tags,
        git: provenance::git(&project.history),
        ..provenance::run_info(project, RunKind::Sweep)
    };
    let swept: Vec<&str> = setup.axes.iter().flat_map(Axis::keys).collect();
    info.params.retain(|key, _| !swept.contains(&key.as_str()));
    SweepRecord::start(&project.history, &info, now_millis())
}

/// Returns the recorded trials that the sweep still contains.
fn trials(
    root: &Path,
    project: &Project,
    setup: &Setup,
    options: &Options<'_>,
    space: &Space<'_>,
    list: Option<&[Point]>,
    known: &[Known],
) -> Vec<Trial> {
    let seed = setup.seeds[0].as_ref().map(|seed| seed.key.clone());
    let mut trials: Vec<Trial> = Vec::new();
    for one in known {
        let is_seed = |given: &Override| Some(&given.key) == seed.as_ref();
        let (seeds, own): (Vec<Override>, Vec<Override>) =
            one.overrides.iter().cloned().partition(is_seed);
        let Some(point) = space.locate(&own) else { continue };
        if list.is_some_and(|list| !list.contains(&point)) || one.repeat > setup.seeds.len() {
            continue;
        }
        // A single run took the seed that is declared, which is the first.
        let has_seed = seeds.is_empty() || seeds.first() == setup.seeds[one.repeat - 1].as_ref();
        let is_current = has_seed && known::is_current(root, &project.history, one, options.wanted);
        let objective = setup.objective.as_ref();
        let repeat = recorded(one, is_current, objective, options.on_failed_before);
        if !trials.iter().any(|trial| trial.number == one.trial) {
            trials.push(Trial {
                number: one.trial,
                overrides: own,
                repeats: vec![Repeat::Waiting; setup.seeds.len()],
                point,
            });
        }
        if let Some(trial) = trials.iter_mut().find(|trial| trial.number == one.trial) {
            trial.repeats[one.repeat - 1] = repeat;
        }
    }
    trials
}

fn run_trials(
    base: &Worktree,
    project: &Project,
    driver: &mut Driver<'_>,
    (sender, inbox): (&Sender<News>, &Receiver<News>),
) {
    for text in base.warnings() {
        driver.subscriber.on_event(&SweepEvent::Warning { text: text.clone() });
    }
    let options = driver.options;
    let shared = Shared::new(resources::capacity(&project.pipeline, options.cpus).limits);
    let git = SavedGit::of(project, &base.root().join(STATE));
    let context = Context {
        base: base.root(),
        git: &git,
        wanted: options.wanted,
        shared: &shared,
        cpus: options.cpus,
        command: &options.command,
        notify: options.notify,
        tracking: &options.tracking,
        supply: &options.supply,
        sources: &options.sources,
    };
    std::thread::scope(|scope| driver.run(scope, &context, sender, inbox));
}

/// Returns the status, the reason of an early end, and the error that caused it.
fn conclude(trials: &[Trial], halt: Option<Halt>) -> (RunStatus, Option<String>, Option<Error>) {
    let has_failed = trials.iter().any(|trial| trial.state() == TrialState::Failed);
    let status = if has_failed { RunStatus::Failed } else { RunStatus::Ok };
    match halt {
        None => (status, None, None),
        Some(Halt::Rule(why)) => (status, Some(why), None),
        Some(Halt::FailedTrial) => (status, Some("a trial failed".to_owned()), None),
        Some(Halt::Signal) => (RunStatus::Interrupted, Some("it was interrupted".to_owned()), None),
        Some(Halt::Fatal(error)) => (RunStatus::Failed, None, Some(error)),
    }
}
