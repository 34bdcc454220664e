//! The run store: what each run was given, what it did, and what came of it, in `runs/runs.db`, with a folder of logs a
//! run. Knows nothing of how stages are run or whether they are up to date; delete `runs/` and only the history is lost.
//! The format is described in `docs/reference/runs.md`.

pub mod compare;
mod lock_owner;
pub mod query;
mod recorder;
mod schema;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod write;

pub use query::{Artifact, LastTimes, Run, RunState, Series, StageRecord, StageState};
pub use recorder::Recorder;
pub use store::{EVENTS, LOG, PARAMS, Store, next_run, run_dir, stage_dir};
