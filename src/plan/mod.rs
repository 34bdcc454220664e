//! Is a stage up to date, and why not. Pure: facts in, a decision out; the same values
//! decide and explain, so the two cannot disagree. Knows nothing of disks, clocks or threads.

pub mod change;
pub mod decide;
pub mod fingerprint;
pub mod lock;
pub mod lock_template;
pub mod record;
pub mod snapshot;
pub mod trace;
pub mod tree;

pub use change::Change;
pub use decide::{Decision, Facts, Force, decide};
pub use fingerprint::Fingerprint;
pub use lock::Lock;
pub use snapshot::PipelineSnapshot;
pub use trace::{OutContents, Trace};
pub use tree::Tree;
