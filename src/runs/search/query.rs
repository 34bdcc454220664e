//! A question for runs and its answer, as values.

use crate::event::RunName;
use crate::filter::{Filter, Order};
use crate::runs::record::Lifecycle;

/// A question for runs.
#[derive(Debug, Clone)]
pub struct Query {
    pub filter: Filter,
    /// The first one counts most. Then newer runs come first.
    pub order: Vec<Order>,
    pub lifecycle: Lifecycle,
    pub level: Level,
    /// Maximum number of runs.
    pub limit: usize,
}

/// The runs of a tree that a query considers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Runs without a parent in the same list.
    Top,
    Any,
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub runs: Vec<RunName>,
    /// Number of runs without the limit.
    pub total: usize,
}
