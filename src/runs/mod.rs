//! The run store: the inputs, progress and results of each run in `runs/runs.db`, and a folder of
//! logs per run. Does not know how stages are run or whether they are up to date. If `runs/` is
//! deleted, only the history is lost. `docs/reference/runs.md` describes the format.

pub mod cells;
mod client_experiment;
mod client_model;
mod client_run;
pub mod columns;
pub mod compare;
mod edit;
mod edits;
mod family;
pub mod files;
mod folders;
mod inputs;
mod liveness;
mod lock_owner;
pub mod log;
mod makers;
pub mod query;
mod queue;
mod record;
mod recorder;
pub mod registry;
mod resolve;
mod rows;
mod schema;
pub mod search;
mod secrets;
mod series;
mod sharing;
mod stages;
mod store;
pub mod sweeps;
#[cfg(test)]
pub(crate) mod tests;
pub mod tracking;
mod transaction;
mod transfer;
mod write;

pub use crate::event::{RunKind, RunName, RunUid};
pub use client_experiment::ClientExperiment;
pub use client_model::{ClientModel, ModelMetric, ModelPoint, ModelStatus, NewModel};
pub use client_run::{ClientMetric, ClientRun, DatasetInput};
pub use edits::{Conflict, Field, Merged};
pub use folders::{
    ARTIFACTS, EVENTS, GIT_DIFF, LOG, PARAMS, keep_lock, lock_after, lock_naming, run_dir,
    stage_dir, take_number,
};
pub use inputs::DatasetSummary;
pub use liveness::RECORDING;
pub use makers::{CodeState, Maker};
pub use record::{
    Artifact, LastTimes, Lifecycle, Metrics, Origin, Point, Run, RunState, Series, StageRecord,
    StageState, StepValue,
};
pub use recorder::Recorder;
pub use sharing::{Shareable, State, Version};
pub use stages::StageInRun;
pub use store::{FOLDER, Store};
pub use transfer::{Arriving, Rows};
