//! `repro runs reproduce`: repeats a run in a worktree and compares the results.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use crate::cli::common::{command_line, show_failures, store};
use crate::cli::select;
use crate::cli::sources::sources;
use crate::cli::tracking::tracking;
use crate::engine::elsewhere::Wish;
use crate::engine::reproduce::{Repetition, Sameness, Tolerance, prepare};
use crate::engine::run::{NoSupply, Options, Role, run};
use crate::engine::{OnForeign, Project, processors};
use crate::error::{Error, Result, exit};
use crate::pipeline::{Goals, Override, StageName, StageSet};
use crate::plural::count;
use crate::report;
use crate::report::reproduce::ReproduceReport;
use crate::runs::{Recorder, Run};
use crate::schedule::OnFailure;
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::{self, Format, Reporter, number, stdout, style};

/// Repeat a run in a worktree, and compare its outs byte by byte and its metrics
///
/// The stages that the run executed are executed again, with the files of its commit and the
/// changes that it began with. Nothing in the workspace changes. The exit code is 4 if something
/// differs.
#[derive(Debug, Args)]
pub(super) struct ReproduceArgs {
    /// Run to repeat
    #[arg(value_name = "RUN")]
    run: String,
    /// Stages to execute again [default: those that the run executed]
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// Let metrics differ by X, and do not compare bytes
    #[arg(long, value_name = "X", value_parser = tolerance)]
    atol: Option<f64>,
    /// Let metrics differ by X times the value of the run, and do not compare bytes
    #[arg(long, value_name = "X", value_parser = tolerance)]
    rtol: Option<f64>,
    /// Number of processors that running stages may use in total [default: all]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    jobs: Option<u16>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl ReproduceArgs {
    pub(super) fn execute(&self, root: &Path, goals: &Goals) -> Result<u8> {
        let store = store(root)?;
        let original = store.run(store.resolve(&self.run, || goals.clone())?)?;
        drop(store);
        let overrides = original.info.overrides.iter().map(|text| {
            Override::parse(text).map_err(|why| {
                Error::usage(format!("the override `{text}` of {} {why}", original.name))
            })
        });
        let overrides: Vec<Override> = overrides.collect::<Result<_>>()?;
        let repetition = prepare(root, &original, &overrides, |project, executed| {
            self.select(project, executed)
        })?;
        repetition.worktree.warnings().iter().for_each(|warning| terminal::warn(warning));
        let (report, exit) = self.repeat(&original, &repetition)?;
        match self.json {
            true => stdout::write(&report::json(&report))?,
            false => show(&report)?,
        }
        Ok(match exit {
            exit::OK if !report.is_reproduced => exit::CHECK,
            exit => exit,
        })
    }

    fn select(&self, project: &Project, executed: &[StageName]) -> Result<StageSet> {
        let names: Vec<String> = match self.stages.is_empty() {
            true => executed.iter().map(ToString::to_string).collect(),
            false => self.stages.clone(),
        };
        select::only(&project.pipeline, &names)
    }

    fn tolerance(&self) -> Option<Tolerance> {
        (self.atol.is_some() || self.rtol.is_some()).then(|| Tolerance {
            absolute: self.atol.unwrap_or(0.0),
            relative: self.rtol.unwrap_or(0.0),
        })
    }

    /// Runs the stages, and returns the comparison with the exit code of the run.
    fn repeat(&self, original: &Run, repetition: &Repetition) -> Result<(ReproduceReport, u8)> {
        let project = &repetition.project;
        let (wanted, forced) = repetition.options();
        let names: Vec<StageName> =
            wanted.iter().map(|ix| project.pipeline.stages[ix].name.clone()).collect();
        let options = Options {
            wanted,
            forced,
            cpus: self.jobs.map_or_else(processors, usize::from),
            on_failure: OnFailure::KeepGoing,
            on_foreign: OnForeign::Replace,
            command: command_line(),
            overrides: original.info.overrides.clone(),
            role: Role::Repetition(original.info.uid),
            git: repetition.git.clone(),
            tracking: tracking(&project.history),
            supply: Arc::new(NoSupply),
            sources: sources(),
            origins: Wish::Locked,
        };
        let mut recorder = Recorder::start(&project.history, terminal::note);
        let mut reporter = Reporter::choose(Format::Text, &names);
        let erase = reporter.eraser();
        let ended = run(
            project,
            &repetition.held,
            &options,
            vec![&mut recorder, reporter.subscriber()],
            erase,
        );
        reporter.close();
        if let Some(warning) = recorder.finish() {
            terminal::warn_of(&warning);
        }
        let ended = ended?;
        show_failures(&ended);
        let mut report = ReproduceReport {
            run: original.name,
            reproduced_as: ended.run,
            is_reproduced: false,
            inputs: repetition.inputs.clone(),
            outs: repetition.compare_outs()?,
            metrics: repetition.compare_metrics(original, &ended, self.tolerance()),
        };
        report.judge(self.tolerance());
        report.is_reproduced &= ended.exit == exit::OK;
        Ok((report, ended.exit))
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
    value.ok_or_else(|| "expected a number that is not negative".to_owned())
}

fn show(report: &ReproduceReport) -> Result<()> {
    let mut table = Table::new([
        ("stage", Align::Left),
        ("what", Align::Left),
        ("run", Align::Right),
        ("again", Align::Right),
        ("result", Align::Left),
    ]);
    for change in &report.inputs {
        let reasons = change.reasons.join(", ");
        terminal::warn(&format!("the inputs of stage `{}` differ: {reasons}", change.stage));
    }
    let result = |result: Sameness| match result {
        Sameness::Same => Cell::from("same"),
        Sameness::Differs => Cell::styled("differs", style::BAD),
        Sameness::Missing => Cell::styled("missing", style::BAD),
        Sameness::New => Cell::styled("new", style::BAD),
    };
    for out in report.outs.iter().filter(|out| out.result != Sameness::Same) {
        let empty = || Cell::from("");
        let path = Cell::from(out.path.as_str());
        table.row([Cell::from(out.stage.as_str()), path, empty(), empty(), result(out.result)]);
        for file in &out.files {
            let file = Cell::from(format!("{}/{file}", out.path));
            table.row([empty(), file, empty(), empty(), result(Sameness::Differs)]);
        }
    }
    for metric in &report.metrics {
        let values = number::cells(&[metric.original, metric.reproduced]);
        let differs = metric.original != metric.reproduced || metric.result != Sameness::Same;
        if differs {
            let [before, after] = [&values[0], &values[1]].map(Cell::from);
            let (stage, key) = metric.metric.split_once('.').unwrap_or(("", &metric.metric));
            table.row([Cell::from(stage), Cell::from(key), before, after, result(metric.result)]);
        }
    }
    if !table.is_empty() {
        stdout::write(&table.plain(""))?;
    }
    let run = report.run;
    let again = report.reproduced_as.map_or(String::new(), |again| format!(" by {again}"));
    let (outs, metrics) = (report.outs.len(), report.metrics.len());
    match report.is_reproduced {
        true => stdout::say!(
            "{run} is reproduced{again}: {} and {} compared",
            count(outs, "out"),
            count(metrics, "metric")
        ),
        false => stdout::say!("{run} is not reproduced{again}"),
    }
    Ok(())
}
