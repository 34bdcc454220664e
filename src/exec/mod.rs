//! Processes: starting a stage's command, following what it writes, stopping it. Knows nothing of the graph,
//! of what is up to date, or of where outs go.

mod ask;
mod follow;
mod orphans;
mod process;
pub mod signals;

pub use ask::ask;
pub use follow::{Follower, More, StageMessage};
pub use orphans::end_orphans;
pub use process::{Ended, Group, Halt, Job, Process};
