//! `repro runs best`: the runs with the best value of a metric.

use std::path::Path;

use clap::{Args, ValueEnum};

use crate::cli::common::store;
use crate::cli::runs::table;
use crate::error::{Error, Result, exit};
use crate::filter::MetricName;
use crate::pipeline::{Goal, Goals};
use crate::report::run_columns::columns;
use crate::report::run_table::RunTable;
use crate::report::run_tree;

/// Show the run with the best value of a metric
#[derive(Debug, Args)]
pub(super) struct BestArgs {
    /// Metric, such as `evaluate.accuracy`
    #[arg(value_name = "METRIC")]
    metric: String,
    /// Consider only runs that match, such as `params.model = 'small'`
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Show the best N runs; 0 shows all
    #[arg(long = "top", short = 'n', value_name = "N", default_value_t = 1)]
    count: usize,
    /// Look for the highest or the lowest value [default: the goal in
    /// pipeline.toml]
    #[arg(long, value_name = "GOAL")]
    goal: Option<GoalWord>,
    #[command(flatten)]
    format: table::Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GoalWord {
    Max,
    Min,
}

impl BestArgs {
    pub(super) fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        let store = store(root)?;
        let known = store.known()?;
        let filter = table::filter(self.filter.as_deref(), &known)?;
        let mut goals = goals.clone();
        if let Some(goal) = self.goal {
            let family = known.metric(&self.metric)?.first().map(MetricName::of_family);
            let goal = if goal == GoalWord::Max { Goal::Max } else { Goal::Min };
            goals.insert(family.unwrap_or_default(), goal);
        }
        let limit = if self.count == 0 { usize::MAX } else { self.count };
        let found = store.best(&self.metric, filter, &known, &goals, limit)?;
        if found.runs.is_empty() {
            return Err(Error::usage(format!("no run that matches has a `{}`", self.metric)));
        }
        let metric = format!("metrics.`{}`", self.metric);
        let shown = ["run", "status", "started", &metric].map(str::to_owned);
        let columns = columns(&shown, &known, &goals)?;
        let rows = run_tree::flat(&found.runs);
        table::show(&RunTable::new(&store, columns, rows)?, &self.format)?;
        Ok(exit::OK)
    }
}
