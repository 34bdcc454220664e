//! Errors of stores for people.

use super::backend::{Backend, Fault, FaultKind};
use crate::error::Error;

/// Returns the error `cannot VERB `PATH` …` for a fault that is final.
pub fn error(backend: &dyn Backend, verb: &str, path: &str, fault: &Fault) -> Error {
    let place = backend.place();
    let error = match fault.kind {
        FaultKind::NoSuchPlace => Error::environment(format!("`{place}` cannot be reached")),
        _ => Error::environment(format!("cannot {verb} `{path}` of `{place}`")),
    };
    let error = error.because(fault);
    let default = match fault.kind {
        FaultKind::NoSuchPlace => {
            "create it, mount it, or correct `url` of the remote in `pipeline.toml`"
        }
        FaultKind::Denied => "check who may read and write there",
        FaultKind::Full => "free some space there",
        FaultKind::Truncated | FaultKind::Busy(_) | FaultKind::Unavailable => "try again later",
        FaultKind::Missing | FaultKind::Unsupported | FaultKind::Other => "",
    };
    let remedy = backend.remedy(fault.kind).unwrap_or_else(|| default.to_owned());
    let continues = fault.kind.is_passing() || fault.kind == FaultKind::Full;
    match remedy.as_str() {
        "" => error,
        _ if continues => {
            error.hint(format!("{remedy}; the same command continues where this one stopped"))
        }
        _ => error.hint(remedy),
    }
}
