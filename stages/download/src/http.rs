//! Sends one HTTP request and classifies the response: continue, retry, start over or stop.
//!
//! Makes one attempt only; module `retry` decides when to try again.

use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};
use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, ResponseExt as _};

use crate::endpoint::Endpoint;
use crate::retry::retry_after;

/// Error of one attempt.
#[derive(Debug)]
pub(crate) enum TransferError {
    /// May succeed on retry: connection errors, 5xx. Has the wait that the server asks for.
    Transient(anyhow::Error, Option<Duration>),
    /// The server's file changed: the bytes fetched so far cannot be used.
    Changed,
    /// Will fail again on retry: 404, a full disk.
    Permanent(anyhow::Error),
}

/// Headers that identify a version of the content at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Validators {
    /// Returns the validator for `If-Range`: a strong tag, else the date.
    ///
    /// Without one, parts of different responses cannot be combined.
    pub(crate) fn strong(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }

    /// Reports whether a part with validators `other` belongs to other content.
    ///
    /// A part may have no validators: then the server compared them.
    fn are_refuted_by(&self, other: &Validators) -> bool {
        other.strong().is_some() && other.strong() != self.strong()
    }

    fn of(headers: &HeaderMap) -> Validators {
        let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Validators { etag: text("etag"), last_modified: text("last-modified") }
    }
}

/// A response with content.
pub(crate) struct Content {
    pub(crate) extent: Extent,
    pub(crate) validators: Validators,
    pub(crate) body: ureq::BodyReader<'static>,
}

/// Extent of the content in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The requested range, or a prefix of it, of a file of `total` bytes.
    Part { total: u64 },
    /// The whole file, regardless of the requested range; its length if it is known.
    Whole { length: Option<u64> },
}

/// Builds the client for all servers.
///
/// A connection without data for `stall_timeout` counts as broken.
pub(crate) fn agent(stall_timeout: Duration) -> Agent {
    // Use the system's certificates: companies add their own there or in `SSL_CERT_FILE`.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .timeout_connect(Some(stall_timeout))
        .timeout_recv_response(Some(stall_timeout))
        .timeout_per_read(Some(stall_timeout))
        .build();
    Agent::new_with_config(config)
}

/// Client for the file at one endpoint.
pub(crate) struct Client {
    agent: Agent,
    endpoint: Endpoint,
    /// Target of the last redirect, so that each range need not be redirected again.
    redirected: Mutex<Option<String>>,
}

impl Client {
    pub(crate) fn new(agent: Agent, endpoint: Endpoint) -> Client {
        Client { agent, endpoint, redirected: Mutex::new(None) }
    }

    /// Returns the address without secrets, for messages.
    pub(crate) fn shown(&self) -> String {
        self.endpoint.shown()
    }

    /// Requests a range, or the whole file.
    ///
    /// With `expected`, fails with [`TransferError::Changed`] if the content has other validators.
    pub(crate) fn get(
        &self,
        range: Option<&Range<u64>>,
        expected: Option<&Validators>,
    ) -> Result<Content, TransferError> {
        let (response, was_redirected) = self.call(range, expected)?;
        let status = response.status();
        let validators = Validators::of(response.headers());
        let extent = match (status, range) {
            (StatusCode::OK, _) => Extent::Whole { length: response.body().content_length() },
            (StatusCode::PARTIAL_CONTENT, Some(range)) => match content_range(response.headers()) {
                Some((found, total))
                    if found.start == range.start && found.end <= range.end.min(total) =>
                {
                    Extent::Part { total }
                }
                _ => return Err(TransferError::Changed),
            },
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => return Err(TransferError::Changed),
            _ => return Err(self.refused(&response, was_redirected)),
        };
        let changed = match extent {
            Extent::Part { .. } => {
                expected.is_some_and(|expected| expected.are_refuted_by(&validators))
            }
            Extent::Whole { .. } => expected.is_some(),
        };
        if changed {
            return Err(TransferError::Changed);
        }
        Ok(Content { extent, validators, body: response.into_body().into_reader() })
    }

    fn call(
        &self,
        range: Option<&Range<u64>>,
        expected: Option<&Validators>,
    ) -> Result<(Response<ureq::Body>, bool), TransferError> {
        let redirected = self.redirected().clone();
        let address = redirected.as_deref().unwrap_or(&self.endpoint.address);
        // A transfer that starts encrypted must stay encrypted.
        let https_only = self.endpoint.address.starts_with("https:");
        // Lengths and ranges of a compressed transfer would not be those of the file.
        let mut request = self.agent.get(address).header("Accept-Encoding", "identity");
        if let Some(range) = range {
            request = request.header("Range", format!("bytes={}-{}", range.start, range.end - 1));
        }
        if let Some(validator) = expected.and_then(Validators::strong) {
            request = request.header("If-Range", validator);
        }
        // The redirect target must not get the credentials.
        if let Some(secret) = self.endpoint.authorization.as_ref().filter(|_| redirected.is_none())
        {
            request = request.header("Authorization", secret.reveal());
        }
        match request.config().https_only(https_only).build().call() {
            Ok(response) => {
                let target = response.get_uri().to_string();
                if response.status().is_success() && target != address {
                    *self.redirected() = Some(target);
                }
                Ok((response, redirected.is_some()))
            }
            Err(error) => {
                *self.redirected() = None;
                Err(self.unreachable(&error))
            }
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> TransferError {
        let shown = self.shown();
        let (is_final, reason) = match error {
            // The error's own text contains the whole address, including any signature.
            ureq::Error::RequireHttpsOnly(_) => {
                (true, "it redirects to an address without https".to_owned())
            }
            ureq::Error::BadUri(_) => (true, "it is not a valid address".to_owned()),
            ureq::Error::Http(_) | ureq::Error::TooManyRedirects => (true, error.to_string()),
            // The server does not use TLS, or its certificate is not trusted.
            ureq::Error::Io(io) => {
                (io.kind() == std::io::ErrorKind::InvalidData, error.to_string())
            }
            _ => (false, error.to_string()),
        };
        let error = anyhow!("cannot reach `{shown}`: {reason}");
        if is_final {
            TransferError::Permanent(error)
        } else {
            TransferError::Transient(error, None)
        }
    }

    fn refused(&self, response: &Response<ureq::Body>, was_redirected: bool) -> TransferError {
        let status = response.status();
        let error = anyhow!("`{}` answered {status}", self.shown());
        let busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        if busy || status.is_server_error() {
            let asked =
                response.headers().get("retry-after").and_then(|header| header.to_str().ok());
            return TransferError::Transient(
                error,
                asked.and_then(|asked| retry_after(asked, SystemTime::now())),
            );
        }
        if was_redirected {
            // A signed address expires; the original address redirects to a new one.
            *self.redirected() = None;
            return TransferError::Transient(error, None);
        }
        TransferError::Permanent(anyhow!("{error}{}", self.endpoint.hint))
    }

    fn redirected(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.redirected.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

/// Parses `Content-Range: bytes 100-199/1000` into the range and the file's length.
fn content_range(headers: &HeaderMap) -> Option<(Range<u64>, u64)> {
    let range = headers.get("content-range")?.to_str().ok()?;
    let (range, total) = range.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first..last.checked_add(1)?, total.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::HeaderValue;

    #[test]
    fn parses_content_range() {
        for (header, expected) in [
            ("bytes 100-199/1000", Some((100..200, 1000))),
            ("bytes 0-0/1", Some((0..1, 1))),
            ("bytes 5-4/9", None),
            ("bytes 0-99/*", None),
            ("bytes */1000", None),
            ("bytes 0-18446744073709551615/9", None),
            ("lines 0-1/9", None),
        ] {
            let headers: HeaderMap =
                [(ureq::http::header::CONTENT_RANGE, HeaderValue::from_static(header))]
                    .into_iter()
                    .collect();
            assert_eq!(content_range(&headers), expected, "{header}");
        }
    }

    #[test]
    fn weak_etag_is_not_a_validator() {
        let validators = |etag: Option<&str>, date: Option<&str>| Validators {
            etag: etag.map(str::to_owned),
            last_modified: date.map(str::to_owned),
        };
        assert_eq!(validators(Some("\"1\""), Some("d")).strong(), Some("\"1\""));
        assert_eq!(validators(Some("W/\"1\""), Some("d")).strong(), Some("d"));
        assert_eq!(validators(Some("W/\"1\""), None).strong(), None);
        let known = validators(Some("\"1\""), Some("d"));
        for (etag, date, refuted) in [
            (Some("\"1\""), Some("d"), false),
            (Some("\"1\""), Some("another machine's"), false),
            (Some("\"2\""), Some("d"), true),
            (None, None, false),
        ] {
            assert_eq!(known.are_refuted_by(&validators(etag, date)), refuted, "{etag:?} {date:?}");
        }
    }
}
