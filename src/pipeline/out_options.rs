//! Options of an out: how it is cached, cleared, required and shown.

use serde::{Deserialize, Serialize};

/// The `cache` option of an out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cached {
    Yes,
    /// The out is not stored: it cannot be restored, only made again.
    No,
}

/// The `optional` option of an out, of a stage or per item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    Required,
    /// An absent out is a valid result.
    Optional,
}

/// The `persist` option of an out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Persist {
    No,
    /// The out stays in place when the stage starts, so that the stage can continue from it.
    Yes,
}

/// The meaning of an out for users; the cache treats all outs alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    Data,
    /// A JSON file whose numbers are the stage's final metrics.
    Metrics,
    /// A file shown as a plot.
    Plot,
}
