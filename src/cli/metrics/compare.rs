//! `repro metrics compare`: differences in params and metrics between runs, better or worse.

mod csv;
mod matrix;
mod text;
mod transposed;

use std::path::Path;

use clap::Args;

use crate::cli::common::show_error;
use crate::engine::side;
use crate::error::{Error, Result, exit};
use crate::pipeline::Goals;
use crate::plural::count;
use crate::report;
use crate::report::compare::{ComparisonReport, Rows};
use crate::runs::compare::{Grouping, MetricNames, Rules, Tolerance};
use crate::terminal::{self, stdout};

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Runs to compare, git revisions, or `workspace` for the present files
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Also list params and metrics that are equal
    #[arg(long)]
    all: bool,
    /// Compare only metrics that match GLOB, as a whole or after a dot
    #[arg(long = "metric", value_name = "GLOB")]
    metrics: Vec<String>,
    /// Take metrics as the same that differ by at most X
    #[arg(long, value_name = "X", default_value = "0", value_parser = not_negative)]
    #[arg(allow_negative_numbers = true)]
    atol: f64,
    /// Take metrics as the same that differ by at most X times the first value; added to `--atol`
    #[arg(long, value_name = "X", default_value = "0", value_parser = not_negative)]
    #[arg(allow_negative_numbers = true)]
    rtol: f64,
    /// Exit with 4 if a metric with a goal is worse in the last run than in the first, or missing
    #[arg(long)]
    fail_if_worse: bool,
    /// Param that is the seed: runs that differ only in it are one column, with their mean
    #[arg(long, value_name = "KEY", default_value = "seed")]
    seed_param: String,
    /// Show each run, also those that differ only in their seed
    #[arg(long)]
    ungrouped: bool,
    /// Show a row for each run
    #[arg(long)]
    transpose: bool,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["md", "csv", "transpose"])]
    json: bool,
    /// Print Markdown
    #[arg(long, conflicts_with = "csv")]
    md: bool,
    /// Print CSV: a row for each param and metric
    #[arg(long, conflicts_with = "transpose")]
    csv: bool,
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    match number >= 0.0 {
        true => Ok(number),
        false => Err("it must be at least 0".to_owned()),
    }
}

impl CompareArgs {
    pub(super) fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        let sides = side::at_least_two(root, &self.runs)?;
        let rules = Rules {
            goals: goals.clone(),
            tolerance: Tolerance { absolute: self.atol, relative: self.rtol },
            grouping: if self.ungrouped {
                Grouping::None
            } else {
                Grouping::BySeed(self.seed_param)
            },
        };
        let rows = if self.all { Rows::All } else { Rows::Differing };
        let names = MetricNames(self.metrics);
        let report = ComparisonReport::read(root, sides, &names, &rules, rows)?;
        for warning in report.unreadable.iter().chain(&report.stale) {
            terminal::warn(warning);
        }
        let layout = if self.transpose { text::Layout::Transposed } else { text::Layout::Fitting };
        stdout::write(&match () {
            () if self.json => report::json(&report),
            () if self.csv => csv::csv(&report),
            () if self.md => text::markdown(&report, layout),
            () => text::text(&report, layout),
        })?;
        if self.fail_if_worse { judge(&report) } else { Ok(exit::OK) }
    }
}

/// Returns the exit code of `--fail-if-worse`, and says which metrics are worse.
///
/// # Errors
/// There is nothing to judge by.
fn judge(report: &ComparisonReport) -> Result<u8> {
    if !report.unreadable.is_empty() {
        let files = count(report.unreadable.len(), "file");
        return Err(Error::damaged(format!("cannot tell if a metric is worse without {files}"))
            .hint("the warnings above say how to get them"));
    }
    if report.judged == 0 {
        return Err(Error::usage("cannot tell if a metric is worse: none has a goal")
            .hint("declare goals in `pipeline.toml`: `[metrics]` and `accuracy.goal = \"max\"`"));
    }
    let keys: Vec<String> = report.worse().map(|row| format!("`{}`", row.key())).collect();
    if keys.is_empty() {
        return Ok(exit::OK);
    }
    let columns = &report.comparison.columns;
    let (first, last) = (&columns[0].label, &columns[columns.len() - 1].label);
    let metrics = count(keys.len(), "metric");
    let are = if keys.len() == 1 { "is" } else { "are" };
    let what = format!("{metrics} {are} worse in {last} than in {first}: {}", keys.join(", "));
    show_error(&Error::usage(what));
    Ok(exit::CHECK)
}
