//! `repro run`: connects the engine with the recorder and a display, then prints the summary.
//! `--plan` only predicts, and `--watch` runs again when files change.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::common::{
    command_line, show_error, show_failures, show_ignored, show_warnings, warn_of_undeclared,
};
use super::sources::sources;
use super::supply::{Remotes, supply};
use super::tracking::tracking;
use super::{plan, select};
use crate::engine::elsewhere::Wish;
use crate::engine::plan::plan;
use crate::engine::run::{Options, OtherFolder, Report, Role, run};
use crate::engine::watch::{Notice, Watched, watch};
use crate::engine::{OnForeign, Project, processors, undeclared};
use crate::error::{Error, Result};
use crate::event::{Event, Outcome, Subscriber};
use crate::pipeline::{Override, Pipeline, StageName, StageSet, params_edit};
use crate::report;
use crate::report::plan::PlanReport;
use crate::runs::Recorder;
use crate::schedule::OnFailure;
use crate::sweep;
use crate::terminal::summary::{self, Summary};
use crate::terminal::{self, Format, Reporter, stdout};

/// Bring stages up to date: run what changed, restore what the cache has, skip the rest
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Stages to bring up to date, including the stages they need; the path of an out stands for
    /// its stage [default: all stages]
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// Bring only the named stages up to date, not the stages they need
    #[arg(long, requires = "stages")]
    only: bool,
    /// Bring STAGE and its dependents up to date, including the stages they need
    #[arg(long, value_name = "STAGE", conflicts_with = "stages")]
    downstream: Vec<String>,
    /// Number of processors that running stages may use in total [default: all]
    #[arg(short, long, value_name = "N", value_parser = jobs)]
    jobs: Option<u16>,
    /// Keep running stages that do not depend on a failed one
    #[arg(short, long)]
    keep_going: bool,
    /// Rerun STAGE even if it is up to date (`-f=STAGE`); without a value, rerun all selected
    /// stages
    #[arg(
        short,
        long,
        value_name = "STAGE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    force: Vec<String>,
    /// Run again whenever a file that the stages read changes, until Ctrl-C
    #[arg(short, long, conflicts_with = "plan")]
    watch: bool,
    /// Show what would run, why, and how long it took last time, without running anything
    #[arg(short = 'n', long)]
    plan: bool,
    /// Replace files at the outs that `repro` did not make; they go to the trash first
    #[arg(long)]
    replace: bool,
    /// Override a param for this run; `+KEY=VALUE` adds one, `++KEY=VALUE` sets or adds one, `~KEY`
    /// removes one, `GROUP=OPTION` selects a config file
    #[arg(short, long = "param", value_name = "KEY=VALUE", value_parser = Override::parse)]
    params: Vec<Override>,
    /// Do not fetch from remotes with `auto = "pull"`; `REPRO_NO_REMOTE=1` does the same
    #[arg(long)]
    no_remote: bool,
    /// Show progress as plain lines, as in a log, instead of redrawing lines
    #[arg(long, conflicts_with = "json")]
    plain: bool,
    /// Print events as JSON lines; with `--plan`, print the plan as JSON
    #[arg(long)]
    json: bool,
}

impl RunArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(mut self, here: &Path, root: &Path) -> Result<u8> {
        for targets in [&mut self.stages, &mut self.downstream, &mut self.force] {
            *targets = select::from_root(root, here, targets)?;
        }
        reject_sweeps(&self.params)?;
        if self.plan {
            let project = Project::load(root, &self.params)?;
            show_warnings(&project);
            let wanted = self.wanted(&project.pipeline)?;
            let forced = self.forced(&project, &wanted)?;
            let cpus = self.cpus();
            let plan = plan(&project, &wanted, &forced, self.on_foreign(), cpus)?;
            let stale = plan.stages.iter().filter(|planned| !planned.verdict.is_fresh());
            let stages = &project.pipeline.stages;
            let stale = stale.map(|planned| &stages[planned.ix]);
            warn_of_undeclared(undeclared::find(&project, stale), |_| true);
            // Errors are ignored: a read-only checkout has a plan too, only the index is not kept.
            let _ = project.workspace.save_index();
            let report = PlanReport::new(&project, plan, cpus);
            match self.json {
                true => stdout::write(&report::json(&report))?,
                false => plan::show(&report)?,
            }
            return Ok(report.exit_code());
        }
        if self.watch {
            return watch(
                root,
                &self.params,
                &mut Watching { args: &self, root, forced: Forced::AsAsked },
            );
        }
        self.once(root, Forced::AsAsked)
    }

    fn once(&self, root: &Path, force: Forced) -> Result<u8> {
        let (project, held) = match self.selects_all() {
            true => Project::load_stale_exclusively(root)?,
            false => Project::load_exclusively(root, &self.params)?,
        };
        let project = Arc::new(project);
        show_warnings(&project);
        let wanted = self.wanted(&project.pipeline)?;
        let forced = match force {
            Forced::AsAsked => self.forced(&project, &wanted)?,
            Forced::Nothing => StageSet::none(wanted.stage_count()),
        };
        let stages = &project.pipeline.stages;
        let undeclared = undeclared::find(&project, wanted.iter().map(|ix| &stages[ix]));
        let options = Options {
            wanted,
            forced,
            cpus: self.cpus(),
            on_failure: if self.keep_going { OnFailure::KeepGoing } else { OnFailure::Stop },
            on_foreign: self.on_foreign(),
            command: command_line(),
            overrides: self.params.iter().map(Override::typed).collect(),
            role: Role::Ordinary,
            git: None,
            tracking: tracking(root),
            sources: sources(),
            origins: Wish::Locked,
            supply: supply(&project, Remotes::of(self.no_remote)),
        };
        let mut recorder = Recorder::start(&project.history, terminal::note);
        let names: Vec<_> = options.wanted.iter().map(|ix| stages[ix].name.clone()).collect();
        let format = match (self.json, self.plain) {
            (true, _) => Format::Json,
            (false, true) => Format::Plain,
            (false, false) => Format::Text,
        };
        let mut reporter = Reporter::choose(format, &names);
        let erase = reporter.eraser();
        let subscribers: Vec<&mut dyn Subscriber> = vec![&mut recorder, reporter.subscriber()];
        let report = run(&project, &held, &options, subscribers, erase);
        if let (true, Ok(report)) = (self.json, &report) {
            end_idle_run(report, reporter.subscriber());
        }
        reporter.close();
        let other_folder = report.as_ref().ok().and_then(|report| report.other_folder.as_ref());
        warn_of_history(recorder.finish(), other_folder);
        let report = report?;
        if let Some(unsaved) = &report.index {
            terminal::warn_of(unsaved);
        }
        if !self.json {
            close(&project, &report);
        }
        show_ignored(&report.ignored);
        let has_run = |stage: &StageName| {
            report.stages.iter().any(|(name, outcome, _)| {
                name == stage && matches!(outcome, Outcome::Ran | Outcome::Failed(_))
            })
        };
        warn_of_undeclared(undeclared, has_run);
        Ok(report.exit)
    }

    fn on_foreign(&self) -> OnForeign {
        if self.replace { OnForeign::Replace } else { OnForeign::Refuse }
    }

    fn cpus(&self) -> usize {
        self.jobs.map_or_else(processors, usize::from)
    }

    /// Returns whether the command line selects all stages and overrides nothing.
    fn selects_all(&self) -> bool {
        let lists = [&self.stages, &self.downstream, &self.force];
        lists.iter().all(|list| list.is_empty()) && self.params.is_empty()
    }

    fn wanted(&self, pipeline: &Pipeline) -> Result<StageSet> {
        match (&self.downstream[..], self.only) {
            ([], true) => select::only(pipeline, &self.stages),
            ([], false) => select::with_needs(pipeline, &self.stages),
            (stages, _) => select::downstream(pipeline, stages),
        }
    }

    fn forced(&self, project: &Project, wanted: &StageSet) -> Result<StageSet> {
        let mut forced = StageSet::none(wanted.stage_count());
        for name in &self.force {
            if name.is_empty() {
                return Ok(wanted.clone());
            }
            for ix in select::find_all(&project.pipeline, name)? {
                if !wanted.contains(ix) {
                    let name = &project.pipeline.stages[ix].name;
                    return Err(Error::usage(format!(
                        "cannot force stage `{name}`: it is not selected"
                    ))
                    .hint("also name it as a stage to run, or name no stages"));
                }
                forced.insert(ix);
            }
        }
        Ok(forced)
    }
}

/// Effect of `--force` on one of several runs.
#[derive(Debug, Clone, Copy)]
enum Forced {
    AsAsked,
    /// An earlier run did it.
    Nothing,
}

/// Runs again whenever files change.
struct Watching<'a> {
    args: &'a RunArgs,
    root: &'a Path,
    forced: Forced,
}

impl Watched for Watching<'_> {
    fn run(&mut self) -> u8 {
        let force = std::mem::replace(&mut self.forced, Forced::Nothing);
        self.args.once(self.root, force).unwrap_or_else(|error| {
            show_error(&error);
            error.exit_code()
        })
    }

    fn wanted(&self, pipeline: &Pipeline) -> Result<StageSet> {
        self.args.wanted(pipeline)
    }

    fn notify(&mut self, notice: Notice) {
        terminal::note(&match notice {
            Notice::Waiting => "watching for changes; press Ctrl-C to stop".to_owned(),
            Notice::Changed(Some(path)) => format!("`{path}` changed"),
            Notice::Changed(None) => "files changed".to_owned(),
        });
    }
}

/// Sends the final event of an invocation without work. The engine sends no events for it, but
/// readers of the event stream wait for an end.
fn end_idle_run(report: &Report, reader: &mut dyn Subscriber) {
    let Report { run: None, status, took, ended, .. } = report else { return };
    reader.on_event(&Event::RunEnded { run: None, at: *ended, status: *status, took: *took });
}

/// Shows one warning for a run that could not be recorded, or whose files are elsewhere.
fn warn_of_history(unrecorded: Option<Error>, other_folder: Option<&OtherFolder>) {
    match (unrecorded, other_folder) {
        (Some(warning), Some(OtherFolder { path, .. })) => {
            let logs = format!("its logs are in `{path}`");
            let hint = match &warning.hint {
                Some(hint) => format!("{hint}; {logs}"),
                None => logs,
            };
            terminal::warn_of(&warning.hint(hint));
        }
        (Some(warning), None) => terminal::warn_of(&warning),
        (None, Some(OtherFolder { path, why })) => {
            terminal::warn(&format!("cannot write `runs`: {why}; the logs are in `{path}`"));
        }
        (None, None) => {}
    }
}

/// Shows each failure in full, then the summary.
fn close(project: &Project, report: &Report) {
    show_failures(report);
    let summary = Summary::of(&project.pipeline, report);
    terminal::eprint(&summary::render(&summary));
}

/// Refuses params with several values, which one run cannot have.
fn reject_sweeps(params: &[Override]) -> Result<()> {
    let Some(given) = params.iter().find(|given| sweep::is_sweep(&given.raw)) else {
        return Ok(());
    };
    let all: Vec<String> =
        params.iter().map(|given| format!("-p {}", shell_word(&given.typed()))).collect();
    let quoted = Override { raw: params_edit::quoted(given.raw.trim()), ..given.clone() };
    let error = format!("-p {}: a run takes one value, and these are several", given.typed());
    Err(Error::usage(error).hint(format!(
        "to run each of them: repro sweep {}; for one text: -p {}",
        all.join(" "),
        shell_word(&quoted.typed())
    )))
}

/// Quotes a word for the shell, if it has to be.
fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.,=+/:@%~".contains(c);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn jobs(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|jobs| (1..=4096).contains(jobs))
        .ok_or_else(|| "expected a number from 1 to 4096".to_owned())
}
