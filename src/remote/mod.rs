//! Remotes: stores of files elsewhere, to which objects, traces and runs travel. Does not know
//! about the cache, the workspace or stages: `engine::share` connects them.

mod backend;
mod catalog;
mod cloud;
mod codec;
mod cut;
mod download;
mod fault;
mod folder;
mod foreign;
mod http;
mod http_client;
mod index;
mod inspect;
mod local;
mod location;
mod meter;
mod netrc;
mod patient;
mod probe;
mod prune;
mod redact;
mod remedy;
pub mod repository;
mod sftp;
mod sink;
pub mod source;
mod store;
mod stores;
mod trouble;
mod upload;

pub use self::backend::{Backend, Entry, EntryKind, Fault, FaultKind, Listed};
pub use self::catalog::{Catalog, Place, RunPlace, TracePlace};
pub use self::download::Fetched;
pub use self::inspect::{FileFault, FileState, Inspection};
pub use self::location::{location, open};
pub use self::meter::{Amount, Meter};
pub use self::patient::{hurry, on_retry};
pub use self::probe::{Probe, probe};
pub use self::prune::{Kept, OwnRoots, PrunePlan, seconds_ago};
pub use self::sink::{Partial, Sink};
pub use self::store::Remote;
pub use self::trouble::error;
pub use self::upload::{Outgoing, Pieces, Record, RecordKey, Sent, Shape, Source};

#[cfg(test)]
mod tests;
