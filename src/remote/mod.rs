//! Remotes: stores of files elsewhere, to which objects, traces and runs travel. Does not know
//! about the cache, the workspace or stages: `engine::share` connects them.

mod backend;
mod catalog;
mod codec;
mod cut;
mod download;
mod folder;
mod index;
mod local;
mod location;
mod meter;
mod prune;
pub mod source;
mod store;
mod trouble;
mod upload;

pub use self::backend::{Backend, Fault, FaultKind, Listed};
pub use self::catalog::{Catalog, Place, RunPlace, TracePlace};
pub use self::download::{Fetched, Partial, Sink};
pub use self::meter::{Amount, Meter};
pub use self::prune::{Kept, OwnRoots, PrunePlan, seconds_ago};
pub use self::store::Remote;
pub use self::upload::{Outgoing, Pieces, Record, RecordKey, Sent, Shape, Source};

#[cfg(test)]
mod tests;
