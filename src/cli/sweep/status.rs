//! `repro sweep status` and `repro sweep stop`.

use std::path::Path;

use clap::Args;

use crate::engine::sweep::{Known, Recorded, status, stop};
use crate::error::{Result, exit};
use crate::number::Number;
use crate::report::sweep::{SweepReport, TrialReport};
use crate::runs::RunState;
use crate::sweep::score;
use crate::terminal::number::cells;
use crate::terminal::stdout;
use crate::terminal::table::{Align, Cell, Table};

/// Show the trials of a sweep
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Name or run of a sweep [default: the latest]
    #[arg(value_name = "SWEEP")]
    sweep: Option<String>,
    /// Print the sweep as JSON
    #[arg(long)]
    json: bool,
}

/// End a running sweep, as Ctrl-C does
#[derive(Debug, Args)]
pub(super) struct StopArgs {
    /// Name or run of a sweep [default: the latest]
    #[arg(value_name = "SWEEP")]
    sweep: Option<String>,
}

impl StatusArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let report = report(&status(root, self.sweep.as_deref())?);
        let text = match self.json {
            true => crate::report::json(&report),
            false => text(&report),
        };
        stdout::write(&text)?;
        Ok(exit::OK)
    }
}

impl StopArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let (run, pid) = stop(root, self.sweep.as_deref())?;
        stdout::write(&format!("asked {run} (pid {pid}) to stop\n"))?;
        Ok(exit::OK)
    }
}

fn report(recorded: &Recorded) -> SweepReport {
    let state = |known: &Known| match known.halved {
        Some(_) => "halved",
        None => known.run.state.word(),
    };
    let goal = recorded.objective.as_ref().map(|objective| objective.goal);
    let mut trials: Vec<TrialReport> = Vec::new();
    for known in &recorded.trials {
        let value = recorded.value(known);
        match trials.last_mut().filter(|last| last.trial == known.trial) {
            Some(last) => {
                last.runs.push(known.run.name);
                last.values.push(value);
                if known.run.state != RunState::Ok {
                    last.state = state(known);
                }
            }
            None => trials.push(TrialReport {
                trial: known.trial,
                state: state(known),
                params: known.run.info.overrides.clone(),
                value: None,
                values: vec![value],
                runs: vec![known.run.name],
            }),
        }
    }
    for trial in &mut trials {
        let values: Option<Vec<f64>> = trial.values.iter().copied().collect();
        trial.value = values.map(|all| all.iter().sum::<f64>() / all.len() as f64);
    }
    let scored = trials.iter().filter(|trial| trial.state == RunState::Ok.word());
    let scored = scored.filter_map(|trial| Some((score(goal?, trial.value?), trial.trial)));
    let best = scored.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, trial)| trial);
    SweepReport {
        run: recorded.run.name,
        name: recorded.run.info.name.clone(),
        state: recorded.run.state.word(),
        metric: recorded.objective.as_ref().map(|objective| objective.metric.clone()),
        best,
        trials,
    }
}

fn text(report: &SweepReport) -> String {
    let name = report.name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
    let mut text = format!("{}{name}  {}\n", report.run, report.state);
    let metric = report.metric.as_deref().unwrap_or_default();
    let mut table = Table::new([
        ("trial", Align::Right),
        ("state", Align::Left),
        (metric, Align::Decimal),
        ("", Align::Left),
        ("params", Align::Left),
        ("runs", Align::Left),
    ]);
    let values: Vec<Option<Number>> =
        report.trials.iter().map(|trial| trial.value.map(Number::from)).collect();
    for (trial, value) in report.trials.iter().zip(cells(&values)) {
        let best = if report.best == Some(trial.trial) { "best" } else { "" };
        let runs: Vec<String> = trial.runs.iter().map(ToString::to_string).collect();
        let value = if trial.value.is_some() { value } else { String::new() };
        let cells = [
            trial.trial.to_string(),
            trial.state.to_owned(),
            value,
            best.to_owned(),
            trial.params.join(" "),
            runs.join(" "),
        ];
        table.row(cells.map(Cell::from));
    }
    text.push_str(&table.plain(""));
    text
}
