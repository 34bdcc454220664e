//! The run and the experiment that a request is about.

use serde_json::Value;

use super::error::{invalid, no_experiment, no_run};
use crate::event::RunUid;
use crate::pipeline::StageName;
use crate::repo_path::RepoPath;
use crate::runs::{ClientRun, Lifecycle, RunName, Store};
use crate::serve::http::{Refusal, Request};

/// Maximum length of the identity of a run.
const LONGEST_ID: usize = 256;

/// The run that a request names.
#[derive(Debug, Clone)]
pub(super) struct Target {
    id: String,
    /// The stage that the sender works for, or none.
    pub(super) stage: StageName,
}

impl Target {
    /// Reads the run that a message names.
    pub(super) fn of(request: &Request, id: &str) -> Result<Target, Refusal> {
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let is_id = id.starts_with(|c: char| c.is_ascii_alphanumeric())
            && id.chars().all(is_plain)
            && id.len() <= LONGEST_ID;
        if !is_id {
            return Err(invalid("run_id", &Value::from(id), "It is not the id of a run."));
        }
        // A stage can make further runs, which are not those of the pipeline.
        let is_own = request.run().is_none_or(|run| run == id);
        let stage = match request.stage().filter(|_| is_own) {
            None => StageName::outside(),
            Some(name) => StageName::parse(name).ok_or_else(|| {
                Refusal::invalid(format!("`{}` is not the name of a stage", name.escape_debug()))
            })?,
        };
        Ok(Target { id: id.to_owned(), stage })
    }

    /// Returns the folder of the files that the sender uploads; `None` for the root.
    pub(super) fn folder(&self) -> Option<RepoPath> {
        RepoPath::parse_canonical(self.stage.as_str())
    }

    /// Returns the run, deleted or not.
    pub(super) fn find(&self, store: &Store) -> Result<RunName, Refusal> {
        let found = match RunUid::parse(&self.id) {
            Some(uid) => store.with_uid(uid)?,
            None => None,
        };
        found.ok_or_else(|| no_run(&self.id))
    }

    /// Returns the run if something can be written about it: deleted ones stay as they are.
    pub(super) fn find_active(&self, store: &Store) -> Result<RunName, Refusal> {
        let run = self.find(store)?;
        match store.kind_and_lifecycle(run)? {
            Some((_, Lifecycle::Deleted)) => Err(Refusal::invalid(format!(
                "The run {} must be in the 'active' state. Current state is deleted.",
                self.id
            ))),
            _ => Ok(run),
        }
    }

    /// Returns a run as the sender sees it. For the sake of a stage, it is only what that stage has
    /// logged, under the names that it was logged by.
    pub(super) fn view(&self, store: &Store, run: RunName) -> Result<ClientRun, Refusal> {
        let mut found = store.client_runs(&[run])?;
        let mut run = found.pop().ok_or_else(|| no_run(&self.id))?;
        if self.stage == StageName::outside() {
            return Ok(run);
        }
        run.artifact_uri = format!("{}/{}", run.artifact_uri, self.stage);
        let prefix = format!("{}.", self.stage);
        run.metrics.retain_mut(|metric| shorten(&mut metric.key, &prefix));
        run.params.retain_mut(|(key, _)| shorten(key, &prefix));
        // What is said about the run as a whole holds for each of its stages.
        let mut own = run.tags.clone();
        own.retain_mut(|(key, _)| shorten(key, &prefix));
        run.tags.retain(|(key, _)| !own.iter().any(|(of_stage, _)| of_stage == key));
        run.tags.extend(own);
        run.tags.sort();
        Ok(run)
    }
}

/// Removes `prefix`; returns false if `name` has another one.
fn shorten(name: &mut String, prefix: &str) -> bool {
    match name.strip_prefix(prefix) {
        Some(rest) => {
            *name = rest.to_owned();
            true
        }
        None => false,
    }
}

/// Parses the id of an experiment.
pub(super) fn experiment_id(text: &str) -> Result<i64, Refusal> {
    text.parse().map_err(|_| {
        let shown = text.escape_debug();
        Refusal::invalid(format!(
            "Invalid experiment ID '{shown}'. Experiment ID must be a valid integer."
        ))
    })
}

/// Returns the experiment that a message names, with its lifecycle.
pub(super) fn experiment(store: &Store, id: i64) -> Result<Lifecycle, Refusal> {
    store.experiment_lifecycle(id)?.ok_or_else(|| no_experiment(&id.to_string()))
}

/// Fails unless there is an experiment that is not deleted.
pub(super) fn active_experiment(store: &Store, id: i64) -> Result<(), Refusal> {
    match experiment(store, id)? {
        Lifecycle::Active => Ok(()),
        Lifecycle::Deleted => Err(Refusal::invalid(format!(
            "The experiment {id} must be in the 'active' state. Current state is deleted."
        ))),
    }
}
