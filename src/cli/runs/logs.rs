//! `repro runs logs`: the output of the stages of a run.

mod follow;
mod search;
mod stages;

use std::path::Path;

use clap::Args;

use self::stages::{all, find, named, no_log, no_stage, open};
use crate::cli::common::{goals, store};
use crate::error::{Result, exit};
use crate::event::{RunKind, RunName};
use crate::runs::Store;
use crate::terminal::{self, stdout};

/// Print the output of a stage in a run; without STAGE, of every stage
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Run whose logs to print: `run-12`, `latest`, a name; a stage alone means its log in the
    /// latest run
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    /// Stage, or matrix of stages, whose log to print [default: every stage of the run]
    #[arg(value_name = "STAGE")]
    stage: Option<String>,
    /// Go on printing what a running run writes, until it ends
    #[arg(long, short = 'f')]
    follow: bool,
    /// Print only lines that contain TEXT, with stage and line number
    #[arg(long, value_name = "TEXT", conflicts_with = "follow")]
    grep: Option<String>,
}

impl LogsArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let store = store(root)?;
        let (run, stage) = match (store.resolve(&self.run, || goals(root)), self.stage) {
            (Ok(run), stage) => (run, stage),
            (Err(unknown), None) if RunName::parse(&self.run).is_none() => {
                let latest = with_logs(&store, store.latest()?)?;
                match self.follow || !named(&store.run(latest)?, &self.run).is_empty() {
                    true => (latest, Some(self.run)),
                    // It may be a misspelled stage as well as a misspelled run.
                    false => return Err(no_stage(&store.run(latest)?, &self.run, Some(unknown))),
                }
            }
            (Err(unknown), _) => return Err(unknown),
        };
        let run = with_logs(&store, run)?;
        if self.follow {
            return follow::follow(root, &store, run, stage.as_deref());
        }
        let run = store.run(run)?;
        let stages = match &stage {
            Some(name) => find(&run, name)?,
            None => run.stages.iter().collect(),
        };
        match (self.grep, &stages[..]) {
            (Some(text), stages) => search::search(root, &run, stages, &text),
            (None, [only]) if stage.is_some() => {
                let log = open(root, &run, only)?.ok_or_else(|| no_log(&store, &run, only))?;
                stdout::copy(log)?;
                Ok(exit::OK)
            }
            (None, stages) => all(root, &run, stages),
        }
    }
}

/// Returns the run with the logs: of a sweep, which has none itself, the last trial.
fn with_logs(store: &Store, run: RunName) -> Result<RunName> {
    let sweep = store.run(run)?;
    let last = match sweep.info.kind {
        RunKind::Sweep => store.children_in(run, sweep.lifecycle)?.pop(),
        _ => None,
    };
    if let Some(trial) = last {
        terminal::note(&format!("{run} is a sweep: {trial} is its last trial"));
    }
    Ok(last.unwrap_or(run))
}
