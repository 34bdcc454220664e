//! A question of a client for runs, as a value.

use crate::filter::{Filter, Order};
use crate::runs::record::Lifecycle;

/// A question of a client for runs.
#[derive(Debug, Clone, Default)]
pub struct ClientQuery {
    pub filter: Filter,
    /// The first one counts most. Then the runs that started last come first.
    pub order: Vec<Order>,
    pub experiments: Vec<i64>,
    /// `None` stands for any.
    pub lifecycle: Option<Lifecycle>,
    /// Maximum number of runs in the answer.
    pub limit: usize,
    /// Token of the page before.
    pub after: Option<String>,
}
