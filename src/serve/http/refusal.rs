//! Answers that are errors, in the form that MLflow's clients understand.
//!
//! MLflow's client repeats a request for minutes if the status is 408, 429 or 5xx, so a user's
//! mistake is always a 4xx, and only a fault of this machine is a 500.

use hyper::StatusCode;
use serde_json::json;

use super::response::Response;
use crate::error::{Error, Kind};

/// The outcome of a route.
pub(in crate::serve) type Answer = Result<Response, Refusal>;

/// A request that is not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::serve) struct Refusal {
    pub(in crate::serve) status: StatusCode,
    /// The kind of error, by which programs tell them apart.
    pub(in crate::serve) code: &'static str,
    pub(in crate::serve) message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into() }
    }

    /// Refuses a request that makes no sense: 400.
    pub(in crate::serve) fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE", message)
    }

    /// Refuses a request that has another form than those that are answered: 400.
    pub(in crate::serve) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// Refuses to make what exists: 400.
    pub(in crate::serve) fn exists(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "RESOURCE_ALREADY_EXISTS", message)
    }

    /// Reports that something that the request names does not exist: 404.
    pub(in crate::serve) fn missing(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", message)
    }

    /// Reports that nothing is served at an address: 404.
    pub(in crate::serve) fn no_endpoint(path: &str) -> Refusal {
        let message = format!("nothing is served at `{path}`");
        Refusal::new(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", message)
    }

    /// Refuses a request without a valid token: 401.
    pub(in crate::serve) fn unauthenticated(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message)
    }

    /// Refuses a request that may come from a page of another site: 403.
    pub(in crate::serve) fn forbidden(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message)
    }

    /// Refuses a body that is too long: 413.
    pub(in crate::serve) fn too_large(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "BAD_REQUEST", message)
    }

    /// Declines what this server does not do, and clients can do without: 501.
    pub(in crate::serve) fn not_implemented(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED", message)
    }

    /// Reports a fault of this machine or of the program: 500.
    pub(in crate::serve) fn internal(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message)
    }

    /// Returns the refusal as JSON.
    pub(in crate::serve) fn response(&self) -> Response {
        let body = json!({ "error_code": self.code, "message": self.message });
        Response::json(&body).with_status(self.status)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let message = match &error.hint {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        };
        match error.kind {
            Kind::Usage => Refusal::invalid(message),
            Kind::Missing => Refusal::missing(message),
            Kind::Environment | Kind::Damaged => Refusal::internal(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_not_retried() {
        for (error, status) in [
            (Error::usage("x"), 400),
            (Error::missing("x"), 404),
            (Error::environment("x"), 500),
            (Error::damaged("x"), 500),
        ] {
            assert_eq!(Refusal::from(error).status, status);
        }
        let refusal = Refusal::from(Error::usage("a fact").because("a cause").hint("a remedy"));
        assert_eq!(refusal.message, "a fact: a cause; a remedy");
    }
}
