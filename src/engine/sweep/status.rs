//! Recorded sweeps: their trials, and ending one that is running.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::known::{self, Known};
use super::objective::{self, Objective};
use super::results::value_of;
use crate::engine::{home, project};
use crate::error::{Error, Result, did_you_mean};
use crate::event::{RunKind, RunName};
use crate::pipeline::Goals;
use crate::runs::query::no_runs;
use crate::runs::sweeps::METRIC;
use crate::runs::{Run, Store};

/// A recorded sweep.
#[derive(Debug)]
pub struct Recorded {
    pub run: Run,
    pub objective: Option<Objective>,
    /// The latest run of each repeat of each trial.
    pub trials: Vec<Known>,
}

impl Recorded {
    /// Returns the value of the metric in a run of a trial.
    pub fn value(&self, trial: &Known) -> Option<f64> {
        value_of(&trial.metrics, self.objective.as_ref()?).ok()
    }
}

/// Finds a sweep by its name or its run; the latest one without a name.
///
/// # Errors
/// There is no such sweep.
pub fn find(root: &Path, name: Option<&str>) -> Result<(Store, RunName)> {
    let store = Store::open_existing(&home(root))?;
    let none = || Error::usage("no sweep has run yet").hint("`repro sweep -p KEY=A,B` starts one");
    let Some(name) = name else {
        let store = store.ok_or_else(none)?;
        let run = store.latest_sweep()?.ok_or_else(none)?;
        return Ok((store, run));
    };
    let Some(store) = store else { return Err(never_ran(root, name).unwrap_or_else(no_runs)) };
    if let Some(run) = store.sweep(&format!("name {name}"))? {
        return Ok((store, run.name));
    }
    let run = store
        .resolve(name, Goals::default)
        .map_err(|error| never_ran(root, name).unwrap_or(error))?;
    if store.run(run)?.info.kind != RunKind::Sweep {
        return Err(Error::usage(format!("{run} is not a sweep"))
            .hint("`repro sweep status` without a name shows the latest one"));
    }
    Ok((store, run))
}

/// Returns the error for the name of a declared sweep, or one that resembles it, without a run.
fn never_ran(root: &Path, name: &str) -> Option<Error> {
    let text = project::text(root).ok()?;
    let declared = project::params(root, &text, &[]).ok()?.sweeps;
    if declared.contains_key(name) {
        return Some(
            Error::usage(format!("sweep `{name}` has not run yet"))
                .hint(format!("`repro sweep {name}` starts it")),
        );
    }
    let meant = did_you_mean(name, declared.keys().map(String::as_str))?;
    Some(
        Error::usage(format!("there is no sweep `{name}`"))
            .hint(format!("did you mean `{meant}`?")),
    )
}

/// Reads a sweep and its trials.
///
/// # Errors
/// There is no such sweep.
pub fn status(root: &Path, name: Option<&str>) -> Result<Recorded> {
    let (store, run) = find(root, name)?;
    let run = store.run(run)?;
    let trials = known::read(&store, &run)?;
    let objective = objective(&run.tags);
    Ok(Recorded { run, objective, trials })
}

/// Returns the metric that the sweep with these tags optimizes.
pub fn objective(tags: &BTreeMap<String, String>) -> Option<Objective> {
    objective::parse(METRIC, tags.get(METRIC)?, &Goals::default()).ok()
}

/// Asks the process that drives a sweep to stop, as Ctrl-C does, and returns its id.
///
/// # Errors
/// There is no such sweep, or no process drives it.
pub fn stop(root: &Path, name: Option<&str>) -> Result<(RunName, u32)> {
    let (store, run) = find(root, name)?;
    let not_running = || Error::usage(format!("the sweep {run} is not running"));
    let id = store.driver(run).ok_or_else(not_running)?;
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or_else(not_running)?;
    kill_process(pid, Signal::TERM)
        .map_err(|err| Error::environment(format!("cannot signal process {id}")).because(err))?;
    Ok((run, id))
}
