//! One request to an HTTP server, and what its answer means for a transfer: go on, try again, start over, stop.
//!
//! Knows nothing about files.

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

/// What an attempt can fail of.
#[derive(Debug)]
pub(crate) enum Fault {
    /// May be gone next time: connections, 5xx. With the wait that the server asks for.
    Passing(anyhow::Error, Option<Duration>),
    /// The server has another file than before: nothing of what was fetched can be used.
    Changed,
    /// Will not go away: 404, a full disk.
    Final(anyhow::Error),
}

/// What tells one content behind an address from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Validators {
    /// What `If-Range` may name: a strong tag, else the date. Without one, parts cannot be put together.
    pub(crate) fn strong(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }

    /// Whether a part with other validators is of another content. A part may come without any: then the
    /// server compared.
    fn are_refuted_by(&self, other: &Validators) -> bool {
        other.strong().is_some() && other.strong() != self.strong()
    }

    fn of(headers: &HeaderMap) -> Validators {
        let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Validators { etag: text("etag"), last_modified: text("last-modified") }
    }
}

/// An answer with content.
pub(crate) struct Answer {
    pub(crate) extent: Extent,
    pub(crate) validators: Validators,
    pub(crate) body: ureq::BodyReader<'static>,
}

/// Of what the content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The range that was asked for, or the first part of it, of a file of `total` bytes.
    Part { total: u64 },
    /// The whole file, whatever was asked for; its length if it is known.
    Whole { length: Option<u64> },
}

/// A client for all servers. Without a byte for `patience`, a connection counts as broken.
pub(crate) fn agent(patience: Duration) -> Agent {
    // The system's certificates: companies add their own there, or name them in `SSL_CERT_FILE`.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        .timeout_per_read(Some(patience))
        .build();
    Agent::new_with_config(config)
}

/// The file behind one endpoint.
pub(crate) struct Client {
    agent: Agent,
    endpoint: Endpoint,
    /// Where the last redirect led, so that a hundred ranges do not ask a hundred times.
    moved: Mutex<Option<String>>,
}

impl Client {
    pub(crate) fn new(agent: Agent, endpoint: Endpoint) -> Client {
        Client { agent, endpoint, moved: Mutex::new(None) }
    }

    /// The address for messages.
    pub(crate) fn shown(&self) -> String {
        self.endpoint.shown()
    }

    /// Asks for a range, or for all; of the content with these validators, if they are given.
    pub(crate) fn get(
        &self,
        range: Option<&Range<u64>>,
        same: Option<&Validators>,
    ) -> Result<Answer, Fault> {
        let (response, was_moved) = self.call(range, same)?;
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
                _ => return Err(Fault::Changed),
            },
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => return Err(Fault::Changed),
            _ => return Err(self.refused(&response, was_moved)),
        };
        let changed = match extent {
            Extent::Part { .. } => same.is_some_and(|same| same.are_refuted_by(&validators)),
            Extent::Whole { .. } => same.is_some(),
        };
        if changed {
            return Err(Fault::Changed);
        }
        Ok(Answer { extent, validators, body: response.into_body().into_reader() })
    }

    fn call(
        &self,
        range: Option<&Range<u64>>,
        same: Option<&Validators>,
    ) -> Result<(Response<ureq::Body>, bool), Fault> {
        let moved = self.moved().clone();
        let address = moved.as_deref().unwrap_or(&self.endpoint.address);
        // What begins encrypted stays so.
        let https_only = self.endpoint.address.starts_with("https:");
        // A compressed transfer would have other lengths and ranges than the file.
        let mut request = self.agent.get(address).header("Accept-Encoding", "identity");
        if let Some(range) = range {
            request = request.header("Range", format!("bytes={}-{}", range.start, range.end - 1));
        }
        if let Some(validator) = same.and_then(Validators::strong) {
            request = request.header("If-Range", validator);
        }
        // Where a redirect led, the secret does not belong.
        if let Some(secret) = self.endpoint.authorization.as_ref().filter(|_| moved.is_none()) {
            request = request.header("Authorization", secret.reveal());
        }
        match request.config().https_only(https_only).build().call() {
            Ok(response) => {
                let led_to = response.get_uri().to_string();
                if response.status().is_success() && led_to != address {
                    *self.moved() = Some(led_to);
                }
                Ok((response, moved.is_some()))
            }
            Err(error) => {
                *self.moved() = None;
                Err(self.unreachable(&error))
            }
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Fault {
        let shown = self.shown();
        let (is_final, reason) = match error {
            // Its text has the whole address, with what a signature may be in.
            ureq::Error::RequireHttpsOnly(_) => {
                (true, "it redirects to an address without https".to_owned())
            }
            ureq::Error::BadUri(_) => (true, "it is no address".to_owned()),
            ureq::Error::Http(_) | ureq::Error::TooManyRedirects => (true, error.to_string()),
            // What is no TLS, or a certificate that nobody vouches for.
            ureq::Error::Io(io) => {
                (io.kind() == std::io::ErrorKind::InvalidData, error.to_string())
            }
            _ => (false, error.to_string()),
        };
        let error = anyhow!("cannot reach `{shown}`: {reason}");
        if is_final { Fault::Final(error) } else { Fault::Passing(error, None) }
    }

    fn refused(&self, response: &Response<ureq::Body>, was_moved: bool) -> Fault {
        let status = response.status();
        let error = anyhow!("`{}` answered {status}", self.shown());
        let busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        if busy || status.is_server_error() {
            let asked =
                response.headers().get("retry-after").and_then(|header| header.to_str().ok());
            return Fault::Passing(
                error,
                asked.and_then(|asked| retry_after(asked, SystemTime::now())),
            );
        }
        if was_moved {
            // A signed address runs out; the first one gives a new one.
            *self.moved() = None;
            return Fault::Passing(error, None);
        }
        Fault::Final(anyhow!("{error}{}", self.endpoint.hint))
    }

    fn moved(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.moved.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

/// `Content-Range: bytes 100-199/1000`: the range, and the file's length.
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
    fn a_content_range_names_a_range_and_a_length() {
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
    fn a_weak_tag_does_not_tell_contents_apart() {
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
