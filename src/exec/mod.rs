//! Processes: starts a stage's command, follows its output and stops it. Does not know about the
//! graph, about what is up to date, or about outs.

mod capture;
pub mod event_file;
mod family;
mod follow;
mod orphans;
mod process;
pub mod signals;

pub use capture::capture;
pub use follow::{Follower, More, StageMessage};
pub use orphans::kill_orphans;
pub use process::{Exit, Group, Halt, Job, Process, Usage};
