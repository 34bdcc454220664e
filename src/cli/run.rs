//! `repro run`.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::{plan, select};
use crate::engine::Project;
use crate::engine::plan::plan;
use crate::engine::run::{Options, Report, run};
use crate::engine::watch::{Notice, Watched, watch};
use crate::error::{Error, Result};
use crate::event::{Event, Outcome, Subscriber};
use crate::pipeline::{Operation, Override, Pipeline, StageSet};
use crate::runs::Recorder;
use crate::schedule::OnFailure;
use crate::terminal::summary::{self, Summary};
use crate::terminal::{self, Reporter};

/// Bring stages up to date: run what changed, restore what was computed before, skip the rest
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Stages to bring up to date, with all that they need [default: every stage]
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// Bring only the named stages up to date, not what they need
    #[arg(long, requires = "stages")]
    only: bool,
    /// Bring this stage and all that depends on it up to date, with what those need
    #[arg(long, value_name = "STAGE", conflicts_with = "stages")]
    downstream: Vec<String>,
    /// Processors that stages may keep busy together [default: all]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    jobs: Option<u16>,
    /// After a failure go on with what does not need the failed stage
    #[arg(short, long)]
    keep_going: bool,
    /// Run this stage whatever is known of it (`-f=STAGE`); without a name, all that are selected
    #[arg(short, long, value_name = "STAGE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    force: Vec<String>,
    /// Run again when files change that the stages read, until Ctrl-C
    #[arg(short, long, conflicts_with = "plan")]
    watch: bool,
    /// Show what would be done, why, and how long it took last time; do nothing
    #[arg(short = 'n', long)]
    plan: bool,
    /// Give a param another value for this run; `+KEY=VALUE` adds one, `~KEY` removes one, `GROUP=OPTION` chooses
    #[arg(short, long = "param", value_name = "KEY=VALUE", value_parser = assignment)]
    params: Vec<Override>,
    /// Write every event as a line of JSON to stdout, or the plan as JSON
    #[arg(long)]
    json: bool,
}

impl RunArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        if self.plan {
            let project = Project::load(root, &self.params)?;
            let wanted = self.wanted(&project.pipeline)?;
            let forced = self.forced(&project, &wanted)?;
            let cpus = self.cpus();
            return plan::show(&project, &plan(&project, &wanted, &forced, cpus)?, cpus, self.json);
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
        let wanted = self.wanted(&project.pipeline)?;
        let forced = match force {
            Forced::AsAsked => self.forced(&project, &wanted)?,
            Forced::Nothing => StageSet::none(wanted.stage_count()),
        };
        let options = Options {
            wanted,
            forced,
            cpus: self.cpus(),
            on_failure: if self.keep_going { OnFailure::KeepGoing } else { OnFailure::Stop },
            command: std::env::args().collect(),
            overrides: self.params.iter().map(Override::typed).collect(),
        };
        let mut recorder = Recorder::start(root, terminal::note);
        let stages = &project.pipeline.stages;
        let names: Vec<_> = options.wanted.iter().map(|ix| stages[ix].name.clone()).collect();
        let mut reporter = Reporter::choose(self.json, &names);
        let subscribers: Vec<&mut dyn Subscriber> = vec![&mut recorder, reporter.subscriber()];
        let report = run(&project, &held, &options, subscribers);
        if let (true, Ok(report)) = (self.json, &report) {
            tell_end_of_nothing(report, reporter.subscriber());
        }
        reporter.close();
        if let Some(warning) = recorder.finish() {
            terminal::warn_of(&warning);
        }
        let report = report?;
        if let Some(unsaved) = &report.index {
            terminal::warn_of(unsaved);
        }
        if !self.json {
            close(&project, &report);
        }
        Ok(report.exit)
    }

    fn cpus(&self) -> usize {
        self.jobs.map_or_else(all_processors, usize::from)
    }

    /// Nothing on the command line says which stages, or how they are other than declared.
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
                        "stage `{name}` is forced, but not among the stages to run"
                    ))
                    .hint("name it, too, or leave the stages out"));
                }
                forced.insert(ix);
            }
        }
        Ok(forced)
    }
}

/// What `--force` does to a run of several.
#[derive(Debug, Clone, Copy)]
enum Forced {
    AsAsked,
    /// It was done.
    Nothing,
}

/// Runs, one after the other, as files change.
struct Watching<'a> {
    args: &'a RunArgs,
    root: &'a Path,
    forced: Forced,
}

impl Watched for Watching<'_> {
    fn run(&mut self) -> u8 {
        let force = std::mem::replace(&mut self.forced, Forced::Nothing);
        self.args.once(self.root, force).unwrap_or_else(|error| {
            super::show(&error);
            error.exit_code()
        })
    }

    fn wanted(&self, pipeline: &Pipeline) -> Result<StageSet> {
        self.args.wanted(pipeline)
    }

    fn tell(&mut self, notice: Notice) {
        terminal::note(&match notice {
            Notice::Waiting => "watching for changes, until Ctrl-C".to_owned(),
            Notice::Changed(Some(path)) => format!("{path} was touched"),
            Notice::Changed(None) => "files were touched".to_owned(),
        });
    }
}

/// A run that had nothing to do is none, and tells nothing; who reads events waits for an end all the same.
fn tell_end_of_nothing(report: &Report, reader: &mut dyn Subscriber) {
    let Report { run: None, status, took, ended, .. } = report else { return };
    reader.on_event(&Event::RunEnded { run: None, at: *ended, status: *status, took: *took });
}

/// The last words: each failure in full, then the summary.
fn close(project: &Project, report: &Report) {
    tell_failures(report);
    let summary = Summary::of(&project.pipeline, report);
    terminal::tell(&summary::render(&summary));
}

pub(super) fn tell_failures(report: &Report) {
    for (name, outcome, took) in &report.stages {
        if let Outcome::Failed(failure) = outcome {
            let what = format!("stage `{name}` failed after {took}: {}", failure.what);
            terminal::tell(&terminal::error_text(&what, &failure.causes, failure.hint.as_deref()));
        }
    }
}

pub(super) fn all_processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `KEY=VALUE`, `+KEY=VALUE`, `++KEY=VALUE` or `~KEY`, the value in TOML's syntax or a bare string.
fn assignment(text: &str) -> Result<Override, String> {
    let text = text.trim_start();
    if let Some(key) = text.strip_prefix('~') {
        return Ok(Override {
            operation: Operation::Remove,
            key: key.trim().to_owned(),
            raw: String::new(),
        });
    }
    let (operation, rest) = match (text.strip_prefix("++"), text.strip_prefix('+')) {
        (Some(rest), _) => (Operation::Put, rest),
        (None, Some(rest)) => (Operation::Add, rest),
        (None, None) => (Operation::Set, text),
    };
    let (key, value) =
        rest.split_once('=').ok_or("is not KEY=VALUE, +KEY=VALUE, ++KEY=VALUE or ~KEY")?;
    let key = key.trim();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if key.is_empty() || !key.chars().all(plain) || key.split('.').any(str::is_empty) {
        return Err(format!("`{}` cannot name a param", key.escape_debug()));
    }
    Ok(Override { operation, key: key.to_owned(), raw: value.to_owned() })
}
