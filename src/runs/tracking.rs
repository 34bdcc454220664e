//! Experiments and runs as MLflow's clients write them, and the points that they read back. No
//! operation begins or commits a transaction. Does not know about HTTP.
//!
//! A client that works for a stage of a pipeline's run owns the params, metrics and tags of that
//! stage only: they are called `STAGE.KEY` for everybody else.

mod experiment;
mod history;
mod run;
mod tags;
mod values;

pub use history::{HistoryPoint, Place};
pub use run::{NewRun, Update};
pub use values::LoggedPoint;
