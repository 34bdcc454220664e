//! One run.

use crate::serve::http::{Answer, Request};
use crate::serve::state::State;

/// Answers requests of this view.
pub(super) async fn route(_state: &State, _request: &Request) -> Option<Answer> {
    None
}
