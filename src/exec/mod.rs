//! Processes: starting a stage's command, following what it writes, stopping it. Knows nothing of the graph,
//! of what is up to date, or of where outs go.

mod capture;
mod follow;
mod orphans;
mod process;
pub mod signals;

pub use capture::capture;
pub use follow::{Follower, More, StageMessage};
pub use orphans::kill_orphans;
pub use process::{Exit, Group, Halt, Job, Process};
