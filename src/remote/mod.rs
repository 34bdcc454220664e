//! Remotes: stores of files elsewhere, to which objects, traces and runs travel. Does not know
//! about the cache, the workspace or stages: `engine::share` connects them.

mod backend;
mod cut;

pub use self::backend::{Backend, Fault, FaultKind, Listed};
pub use self::cut::{MAX_SEGMENT, first_segment};
