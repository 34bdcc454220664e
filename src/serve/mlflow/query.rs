//! Fields that all searches have.

use super::error::invalid;
use super::wire::Message;
use crate::error::Error;
use crate::filter::Fault;
use crate::serve::http::Refusal;

/// Returns the number of results on a page; `usual` if the request does not say.
pub(super) fn limit(message: &Message, usual: i64, most: i64) -> Result<usize, Refusal> {
    let count = message.int("max_results")?.unwrap_or(usual);
    match usize::try_from(count) {
        Ok(limit) if (1..=most).contains(&count) => Ok(limit),
        _ => {
            let why = format!("It must be at least 1 and at most {most}.");
            Err(invalid(&message.path("max_results"), &count.into(), &why))
        }
    }
}

/// Refuses a filter or an order for a mistake in it.
pub(super) fn refused(fault: Fault, name: &str, text: &str) -> Refusal {
    let error: Error = fault.in_text(name, text);
    error.into()
}
