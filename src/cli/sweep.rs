//! `repro sweep`: runs the pipeline for many values of its params, and shows and stops sweeps.

mod status;

use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::common::{command_line, show_error};
use super::sources::sources;
use super::supply::{Remotes, supply};
use super::tracking::tracking;
use super::{params, select};
use crate::engine::sweep::{
    OnFailedBefore, OnFailure, Options, Results, Setup, Strategy, Trial, TrialState, dry_run, sweep,
};
use crate::engine::{Project, processors, project};
use crate::error::{Error, Result, did_you_mean, exit};
use crate::event::RunStatus;
use crate::number::Number;
use crate::pipeline::{Override, Pipeline, SweepSpec, parse_duration};
use crate::plural::count;
use crate::terminal::number::number;
use crate::terminal::sweep::SweepReporter;
use crate::terminal::{self, Format, stdout};

/// Run the pipeline for many values of its params, each trial in a worktree of its own
///
/// A param with several values is swept: `-p lr=0.1,0.01`, `-p 'depth=range(2,8,2)'`,
/// `-p 'model=glob(*)'`. The same command continues a sweep that was interrupted.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SweepArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: StartArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(status::StatusArgs),
    Stop(status::StopArgs),
}

#[derive(Debug, Args)]
struct StartArgs {
    /// A sweep of `[sweeps]`, or stages to bring up to date in each trial, including the stages
    /// they need [default: all]
    #[arg(value_name = "SWEEP|STAGE")]
    stages: Vec<String>,
    /// A param and its values, in the grammar of Hydra; the first one varies slowest
    #[arg(short, long = "param", value_name = "KEY=VALUES", value_parser = Override::parse)]
    params: Vec<Override>,
    /// A param whose values advance together with those of the other `--zip`
    #[arg(short, long, value_name = "KEY=VALUES", value_parser = Override::parse)]
    zip: Vec<Override>,
    /// A CSV file with a trial in each row and the keys of params in the first line
    #[arg(long, value_name = "FILE")]
    table: Option<String>,
    /// Leave out the trials for which this is false: `params.lr < 0.1 or params.depth > 2`
    #[arg(long = "where", value_name = "CONDITION")]
    filters: Vec<String>,
    /// Sweep a param only where a condition holds, and leave it alone elsewhere
    #[arg(long, value_name = "KEY=CONDITION", value_parser = condition)]
    when: Vec<(String, String)>,
    /// Draw N trials at random
    #[arg(long, value_name = "N", value_parser = positive)]
    random: Option<usize>,
    /// Seed of the random numbers [default: 0]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// The metric by which trials are ranked, `max:evaluate.accuracy` or `min:train.loss`
    ///
    /// With `--trials` or an interval, trials are proposed that make it best (TPE).
    #[arg(long, value_name = "METRIC")]
    optimize: Option<String>,
    /// Number of trials to propose for `--optimize` [default: 100 for intervals, else the grid]
    #[arg(long, value_name = "N", value_parser = positive)]
    trials: Option<usize>,
    /// End the worse half of the trials early, by the live series of a metric
    #[arg(long, value_name = "METRIC")]
    halving: Option<String>,
    /// Run each trial with N seeds and use the mean of the metric
    #[arg(long, value_name = "N", value_parser = positive)]
    repeats: Option<usize>,
    /// The param that `--repeats` varies [default: seed]
    #[arg(long, value_name = "KEY")]
    seed_param: Option<String>,
    /// Stop after N trials without improvement
    #[arg(long, value_name = "N", value_parser = positive)]
    patience: Option<usize>,
    /// Stop when the metric has reached VALUE
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    target: Option<f64>,
    /// Start no trial after this time, such as `2h`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    max_time: Option<Duration>,
    /// Number of trials that run at once [default: 1]
    #[arg(short, long, value_name = "N", value_parser = positive)]
    jobs: Option<usize>,
    /// Number of processors that the stages of all trials may use in total [default: all]
    #[arg(long, value_name = "N", value_parser = positive)]
    cpus: Option<usize>,
    /// Name of the sweep, by which it is continued
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Run the trials again that failed
    #[arg(long)]
    retry_failed: bool,
    /// Stop the sweep when a trial fails
    #[arg(long)]
    fail_fast: bool,
    /// Write the params of the best trial to `pipeline.toml` at the end
    #[arg(long)]
    apply: bool,
    /// Show the trials without running any
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not fetch from remotes with `auto = "pull"`; `REPRO_NO_REMOTE=1` does the same
    #[arg(long)]
    no_remote: bool,
    /// Show progress as plain lines, as in a log, instead of redrawing lines
    #[arg(long, conflicts_with = "json")]
    plain: bool,
    /// Print events as JSON lines; with `--dry-run`, print the trials as JSON
    #[arg(long)]
    json: bool,
}

impl SweepArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        match self.command {
            Some(Command::Status(args)) => args.execute(root),
            Some(Command::Stop(args)) => args.execute(root),
            None => self.start.execute(root),
        }
    }
}

impl StartArgs {
    fn execute(self, root: &Path) -> Result<u8> {
        let spec = self.spec(root)?;
        let setup = Setup::new(root, &spec)?;
        if self.apply && setup.objective.is_none() {
            return Err(Error::usage("`--apply` writes the best trial, so it needs a metric")
                .hint("add `--optimize max:METRIC`"));
        }
        if self.apply
            && let Some(given) = self.params.iter().find(|given| given.operation.removes())
        {
            return Err(Error::usage(format!("`--apply` cannot write `-p {}`", given.typed()))
                .hint("it changes the values of params, and removes none"));
        }
        if self.dry_run {
            return self.show_trials(root, &setup);
        }
        let format = match (self.json, self.plain) {
            (true, _) => Format::Json,
            (false, true) => Format::Plain,
            (false, false) => Format::Text,
        };
        let stages = spec.stages.clone();
        let options = Options {
            wanted: &|pipeline: &Pipeline| select::with_needs(pipeline, &stages),
            jobs: spec.jobs.unwrap_or(1),
            cpus: self.cpus.unwrap_or_else(processors),
            on_failure: if self.fail_fast { OnFailure::Stop } else { OnFailure::Continue },
            on_failed_before: match self.retry_failed {
                true => OnFailedBefore::Retry,
                false => OnFailedBefore::Leave,
            },
            max_time: spec.max_time,
            command: command_line(),
            notify: terminal::note,
            tracking: tracking(root),
            sources: sources(),
            supply: supply(&Project::load(root, &[])?, Remotes::of(self.no_remote)),
        };
        let mut reporter = SweepReporter::choose(format);
        let erase = reporter.eraser();
        let results = sweep(root, &setup, &options, reporter.subscriber(), erase);
        reporter.close();
        let results = results?;
        if let Some(fatal) = &results.fatal {
            show_error(fatal);
            return Ok(fatal.exit_code());
        }
        if !self.json {
            summarize(&results)?;
        }
        if self.apply && results.status != RunStatus::Interrupted {
            let written = apply(root, &results)?;
            match self.json {
                true => terminal::eprint(&written),
                false => stdout::write(&written)?,
            }
        }
        Ok(match results.status {
            RunStatus::Ok => exit::OK,
            RunStatus::Failed => exit::STAGE_FAILED,
            RunStatus::Interrupted => exit::INTERRUPTED,
        })
    }

    /// Lays the options over the declared sweep, if the first name is one.
    fn spec(&self, root: &Path) -> Result<SweepSpec> {
        let mut declared = project::params(root, &project::text(root)?, &[])?.sweeps;
        let mut stages = self.stages.clone();
        let known: Vec<String> = declared.keys().cloned().collect();
        let base = stages.first().and_then(|name| declared.remove(name));
        match &base {
            Some(_) => drop(stages.remove(0)),
            None => self.check_name(root, &known)?,
        }
        Ok(base.unwrap_or_default().overlaid(self.given(stages)))
    }

    /// Reports a name that is neither a stage nor a sweep as such.
    fn check_name(&self, root: &Path, sweeps: &[String]) -> Result<()> {
        let Some(name) = self.stages.first() else { return Ok(()) };
        let Ok(pipeline) = project::load_pipeline(root, &[]) else { return Ok(()) };
        let Err(error) = select::find_all(&pipeline, name) else { return Ok(()) };
        let what = format!("there is no stage or sweep `{name}`");
        Err(match did_you_mean(name, sweeps.iter().map(String::as_str)) {
            Some(meant) => Error::usage(what).hint(format!("did you mean `{meant}`?")),
            None if sweeps.is_empty() || error.hint.is_some() => error,
            None => Error::usage(what).hint(format!("the sweeps are {}", sweeps.join(", "))),
        })
    }

    fn given(&self, stages: Vec<String>) -> SweepSpec {
        SweepSpec {
            name: self.name.clone(),
            stages,
            params: self.params.clone(),
            zip: self.zip.clone(),
            table: self.table.clone(),
            filters: self.filters.clone(),
            conditions: self.when.clone(),
            random: self.random,
            optimize: self.optimize.clone(),
            trials: self.trials,
            halving: self.halving.clone(),
            seed: self.seed,
            repeats: self.repeats,
            seed_param: self.seed_param.clone(),
            patience: self.patience,
            target: self.target,
            max_time: self.max_time,
            jobs: self.jobs,
        }
    }

    fn show_trials(&self, root: &Path, setup: &Setup) -> Result<u8> {
        let trials = dry_run(root, setup)?;
        let trials: Vec<Vec<String>> =
            trials.iter().map(|trial| trial.iter().map(Override::typed).collect()).collect();
        let text = match self.json {
            true => crate::report::json(&trials),
            false => trials.iter().map(|trial| format!("{}\n", trial.join(" "))).collect(),
        };
        stdout::write(&text)?;
        if matches!(setup.strategy, Strategy::Optimize(_)) && !self.json {
            terminal::note("the further trials depend on results");
        }
        Ok(exit::OK)
    }
}

/// Prints the number of trials by state, and the best one.
fn summarize(results: &Results) -> Result<()> {
    use TrialState::{Failed, Halved, Interrupted, Ok as Done};
    let states = [(Done, "done"), (Halved, "stopped early"), (Failed, "failed")];
    let states = states.into_iter().chain([(Interrupted, "interrupted")]);
    let parts = states.map(|(state, word)| (results.count(state), word));
    let parts: Vec<String> = parts
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let run = results.run;
    let total = count(results.trials.len(), "trial");
    terminal::eprint(&format!("{run}: {total} in {}: {}\n", results.took, parts.join(", ")));
    if let Some(best) = results.best() {
        stdout::write(&format!("{}\n", best_line(results, best)))?;
    }
    match results.status {
        RunStatus::Interrupted => terminal::note("the same command continues the sweep"),
        _ if results.count(Failed) > 0 => {
            terminal::note("add `--retry-failed` to the command to run the failed trials again");
        }
        _ => {}
    }
    Ok(())
}

fn best_line(results: &Results, best: &Trial) -> String {
    let metric = results.objective.as_ref().map_or("", |objective| objective.metric.as_str());
    let value = best.value().map(|value| number(Number::from(value))).unwrap_or_default();
    let params: Vec<String> = best.overrides.iter().map(Override::typed).collect();
    let runs: Vec<String> = best.runs().map(|run| run.to_string()).collect();
    let trial = best.number;
    format!("best: trial {trial} ({}): {metric} {value} with {}", runs.join(", "), params.join(" "))
}

/// Writes the params of the best trial to the files that define them, and describes the changes.
fn apply(root: &Path, results: &Results) -> Result<String> {
    let Some(best) = results.best() else {
        return Err(Error::usage("there is no best trial to apply"));
    };
    let set: Vec<String> =
        best.overrides.iter().map(|given| format!("{}={}", given.key, given.raw)).collect();
    params::set(root, &set)
}

/// Parses `KEY=CONDITION`.
fn condition(text: &str) -> Result<(String, String), String> {
    let (key, condition) = text.split_once('=').ok_or("must be KEY=CONDITION")?;
    if key.trim().is_empty() || condition.trim().is_empty() {
        return Err("must be KEY=CONDITION".to_owned());
    }
    Ok((key.trim().to_owned(), condition.trim().to_owned()))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a time such as `90s`, `30m` or `2h`".to_owned())
}

fn positive(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number: &usize| (1..=100_000).contains(number));
    number.ok_or_else(|| "expected a number from 1 to 100000".to_owned())
}
