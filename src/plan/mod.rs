//! Decides whether a stage is up to date, and explains why not.
//!
//! Pure: takes facts and returns a decision. The decision and its explanation are computed from the
//! same values, so they cannot disagree. Does not know about disks, clocks or threads.

pub mod change;
pub mod claims;
pub mod decide;
pub mod difference;
pub mod fingerprint;
pub mod lock;
pub mod lock_conflict;
pub mod lock_merge;
pub mod lock_sum;
pub mod lock_template;
pub mod snapshot;
pub mod source_version;
pub mod trace;
pub mod trace_text;
pub mod trash;
pub mod tree;
pub mod unfinished;

pub use change::Change;
pub use claims::Claims;
pub use decide::{Decision, Facts, Force, decide};
pub use fingerprint::Fingerprint;
pub use lock::Lock;
pub use snapshot::PipelineSnapshot;
pub use source_version::SourceVersion;
pub use trace::{OutContents, Trace};
pub use tree::Tree;
