//! Errors of stores for people.

use super::backend::{Backend, Fault, FaultKind};
use crate::error::Error;

/// Returns the error `cannot VERB `PATH` …` for a fault that is final.
pub(super) fn error(backend: &dyn Backend, verb: &str, path: &str, fault: &Fault) -> Error {
    let place = backend.place();
    let error = match fault.kind {
        FaultKind::NoSuchPlace => Error::environment(format!("`{place}` cannot be reached")),
        _ => Error::environment(format!("cannot {verb} `{path}` of `{place}`")),
    };
    let error = error.because(fault);
    match fault.kind {
        FaultKind::NoSuchPlace => {
            error.hint("create it, mount it, or correct `url` of the remote in `pipeline.toml`")
        }
        FaultKind::Denied => error.hint("check who may read and write there"),
        FaultKind::Full => {
            error.hint("free some space there; the same command continues where this one stopped")
        }
        FaultKind::Truncated | FaultKind::Busy(_) | FaultKind::Unavailable => {
            error.hint("try again later; the same command continues where this one stopped")
        }
        FaultKind::Missing | FaultKind::Unsupported | FaultKind::Other => error,
    }
}
