//! Failures of stores behind opendal → kinds of faults. The kind comes from the end of the last
//! request, since a client's own kinds say less than the status and the code of the store.

use http::StatusCode;
use opendal::ErrorKind;

use super::backend::{Fault, FaultKind};
use super::http::{Answer, Ending};
use super::http_client::Broken;
use super::redact::redact;

/// The message of a fault before any request: there is nothing to sign it with.
const NO_CREDENTIALS: &str = "no credentials were found";

/// Reports whether a store was not asked, since no credentials for it were found.
pub(super) fn is_without_credentials(fault: &Fault) -> bool {
    fault.kind == FaultKind::Denied && fault.message.starts_with(NO_CREDENTIALS)
}

/// Returns the fault of a verb.
pub(super) fn fault(err: &opendal::Error, ending: Option<Ending>) -> Fault {
    match ending {
        // A body that is cut short belongs to an answer that began well.
        Some(Ending::Answered(answer)) if !answer.status.is_success() => of_answer(&answer),
        Some(Ending::Broken(Broken { kind, message })) => Fault { kind, message },
        _ => of_client(err),
    }
}

fn of_answer(answer: &Answer) -> Fault {
    let code = code(&answer.text);
    let status = answer.status.as_u16();
    let kind = of_code(code.unwrap_or_default(), answer).unwrap_or_else(|| of_status(answer));
    let reason = answer.status.canonical_reason().unwrap_or_default();
    let words = code.unwrap_or(reason);
    let mut message = format!("{status} {words}").trim_end().to_owned();
    if let Some(text) = explanation(&answer.text).filter(|text| !text.is_empty()) {
        message = format!("{message}: {text}");
    }
    Fault { kind, message: redact(&message) }
}

/// Returns the kind that the code of a store names; the same status means different things.
fn of_code(code: &str, answer: &Answer) -> Option<FaultKind> {
    Some(match code {
        "NoSuchBucket" | "ContainerNotFound" | "ContainerBeingDeleted" | "ResourceNotFound" => {
            FaultKind::NoSuchPlace
        }
        "NoSuchKey" | "BlobNotFound" => FaultKind::Missing,
        "SlowDown"
        | "TooManyRequests"
        | "ServerBusy"
        | "RequestLimitExceeded"
        | "rateLimitExceeded"
        | "userRateLimitExceeded" => FaultKind::Busy(answer.retry_after),
        "QuotaExceeded"
        | "InsufficientStorage"
        | "XMinioStorageFull"
        | "storageQuotaExceeded"
        | "AccountUsageExceeded"
        | "InsufficientCapacity"
        | "CapExceeded"
        | "cap_exceeded" => FaultKind::Full,
        "AccessDenied"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "RequestTimeTooSkewed"
        | "AuthenticationFailed"
        | "AuthorizationFailure"
        | "ExpiredTokenException" => FaultKind::Denied,
        "RequestTimeout" | "InternalError" | "OperationAborted" | "OperationTimedOut" => {
            FaultKind::Unavailable
        }
        "NotImplemented" => FaultKind::Unsupported,
        _ => return None,
    })
}

fn of_status(answer: &Answer) -> FaultKind {
    match answer.status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => FaultKind::Denied,
        StatusCode::NOT_FOUND if is_about_bucket(&answer.text) => FaultKind::NoSuchPlace,
        StatusCode::NOT_FOUND | StatusCode::GONE => FaultKind::Missing,
        StatusCode::RANGE_NOT_SATISFIABLE => FaultKind::Truncated,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            FaultKind::Busy(answer.retry_after)
        }
        StatusCode::INSUFFICIENT_STORAGE => FaultKind::Full,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => FaultKind::Unsupported,
        // A WebDAV server locks a file while it is written.
        StatusCode::LOCKED
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::GATEWAY_TIMEOUT => FaultKind::Unavailable,
        // Those of proxies: the client went away, the origin does not answer.
        status if matches!(status.as_u16(), 499 | 520..=530) => FaultKind::Unavailable,
        _ => FaultKind::Other,
    }
}

/// Reports whether an error without a code, as that of Google's stores, is about the bucket.
fn is_about_bucket(text: &str) -> bool {
    text.contains("The specified bucket does not exist")
}

/// Returns the code of an error in XML (S3, Azure, GCS) or JSON (Google Drive).
fn code(text: &str) -> Option<&str> {
    let code = between(text, "<Code>", "</Code>").or_else(|| {
        let (_, rest) = text.split_once("\"reason\"")?;
        between(rest, "\"", "\"")
    })?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (!code.is_empty() && code.len() <= 60 && code.chars().all(is_word)).then_some(code)
}

/// Returns what an error in XML, JSON or plain text says to people.
fn explanation(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some(message) = between(text, "<Message>", "</Message>") {
        return Some(message.to_owned());
    }
    if text.starts_with('{') {
        let (_, rest) = text.split_once("\"message\"")?;
        return between(rest, "\"", "\"").map(str::to_owned);
    }
    // A page in HTML says nothing that its status does not say.
    let is_plain = !text.starts_with('<') && !text.contains("<html");
    is_plain.then(|| text.lines().next().unwrap_or_default().to_owned())
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}

/// Returns the fault where no answer of the store explains it.
fn of_client(err: &opendal::Error) -> Fault {
    let text = format!("{err}");
    let lower = text.to_ascii_lowercase();
    if lower.contains("credential") || lower.contains("access_token") {
        return Fault { kind: FaultKind::Denied, message: NO_CREDENTIALS.to_owned() };
    }
    if lower.contains("too little data") {
        let message = "the answer ended early".to_owned();
        return Fault { kind: FaultKind::Truncated, message };
    }
    let kind = match err.kind() {
        ErrorKind::NotFound => FaultKind::Missing,
        ErrorKind::PermissionDenied => FaultKind::Denied,
        ErrorKind::RateLimited => FaultKind::Busy(None),
        ErrorKind::Unsupported => FaultKind::Unsupported,
        ErrorKind::RangeNotSatisfied => FaultKind::Truncated,
        _ if err.is_temporary() => FaultKind::Unavailable,
        _ => FaultKind::Other,
    };
    Fault { kind, message: redact(&text) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(status: u16, text: &str) -> Fault {
        let status = StatusCode::from_u16(status).unwrap();
        let retry_after = Some(Duration::from_secs(7));
        of_answer(&Answer { status, retry_after, text: text.to_owned() })
    }

    #[test]
    fn kinds_of_answers() {
        let busy = FaultKind::Busy(Some(Duration::from_secs(7)));
        for (status, text, kind, message) in [
            (
                403,
                "<?xml?><Error><Code>AccessDenied</Code><Message>No.</Message></Error>",
                FaultKind::Denied,
                "403 AccessDenied: No.",
            ),
            (401, "", FaultKind::Denied, "401 Unauthorized"),
            (404, "<Error><Code>NoSuchBucket</Code></Error>", FaultKind::NoSuchPlace, "404 NoSuch"),
            (404, "<Error><Code>NoSuchKey</Code></Error>", FaultKind::Missing, "404 NoSuchKey"),
            (404, "<html><title>404</title></html>", FaultKind::Missing, "404 Not Found"),
            (400, "<Error><Code>ExpiredToken</Code></Error>", FaultKind::Denied, "400 Expired"),
            (429, "", busy, "429 Too Many Requests"),
            (503, "<Error><Code>SlowDown</Code></Error>", busy, "503 SlowDown"),
            (503, "try later\nplease", busy, "503 Service Unavailable: try later"),
            (507, "", FaultKind::Full, "507 Insufficient Storage"),
            (500, "", FaultKind::Unavailable, "500 Internal Server Error"),
            (522, "", FaultKind::Unavailable, "522"),
            (423, "", FaultKind::Unavailable, "423 Locked"),
            (501, "", FaultKind::Unsupported, "501 Not Implemented"),
            (416, "", FaultKind::Truncated, "416 Range Not Satisfiable"),
            (
                403,
                "{\"error\":{\"errors\":[{\"reason\": \"userRateLimitExceeded\"}],\
                 \"message\": \"Too fast\"}}",
                busy,
                "403 userRateLimitExceeded: Too fast",
            ),
            (
                403,
                "{\"error\":{\"errors\":[{\"reason\":\"storageQuotaExceeded\"}]}}",
                FaultKind::Full,
                "403 storageQuotaExceeded",
            ),
            (
                400,
                "<Error><Code>Odd</Code><Message>see https://h/?sig=SECRET</Message></Error>",
                FaultKind::Other,
                "400 Odd: see https://h/?…",
            ),
        ] {
            let fault = answer(status, text);
            assert_eq!(fault.kind, kind, "{status} {text}");
            assert!(fault.message.starts_with(message), "{status} {text}: {}", fault.message);
            assert!(!fault.message.contains("SECRET"), "{}", fault.message);
        }
    }
}
