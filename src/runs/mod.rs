//! The run store: the inputs, progress and results of each run in `runs/runs.db`, and a folder of
//! logs per run. Does not know how stages are run or whether they are up to date. If `runs/` is
//! deleted, only the history is lost. `docs/reference/runs.md` describes the format.

pub mod compare;
mod lock_owner;
pub mod query;
mod record;
mod recorder;
mod rows;
mod schema;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod write;

pub use record::{
    Artifact, LastTimes, Metrics, Point, Run, RunState, Series, StageRecord, StageState,
};
pub use recorder::Recorder;
pub use store::{
    EVENTS, FOLDER, LOG, PARAMS, Store, keep_lock, lock_after, next_run, run_dir, stage_dir,
};
