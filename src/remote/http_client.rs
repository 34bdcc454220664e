//! The rules of every HTTP request of remotes and URLs: how connections are made, which redirects
//! are followed, how long a silence may last, and what a failure means. Does not send anything.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use reqwest::Client;
use reqwest::redirect::{Attempt, Policy};

use super::backend::FaultKind;
use super::redact::redact;

/// Longest time to open a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Longest wait without progress, where no setting says otherwise.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
const MOST_REDIRECTS: usize = 10;

/// Returns a client for servers that may be silent for `silence`. It takes the proxies from the
/// environment and the certificates from the system.
///
/// # Errors
/// The certificates of the system cannot be used.
pub(super) fn client(silence: Duration) -> Result<Client, String> {
    install_tls();
    Client::builder()
        .user_agent(concat!("repro/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT.min(silence))
        // The address before a redirect may contain a signature.
        .referer(false)
        .redirect(Policy::custom(|attempt| match refused(&attempt) {
            Some(reason) => attempt.error(reason),
            None => attempt.follow(),
        }))
        .build()
        .map_err(|err| root_cause(&err))
}

/// Returns the reason for which a redirect is not followed.
fn refused(attempt: &Attempt<'_>) -> Option<&'static str> {
    let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > MOST_REDIRECTS {
        return Some("there are too many redirects");
    }
    (was_secure && attempt.url().scheme() != "https")
        .then_some("it redirects from https to an address that is not secure")
}

/// Makes the provider of cryptography known, once, before the first connection.
fn install_tls() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    // It fails if a provider is installed already, which then serves.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// A request without an answer, or with a part of it only.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    pub(super) kind: FaultKind,
    pub(super) message: String,
}

impl From<&reqwest::Error> for Broken {
    fn from(err: &reqwest::Error) -> Broken {
        let cause = root_cause(err);
        let chain = chain(err);
        let (kind, message) = if chain.contains("certificate") {
            (FaultKind::Other, format!("its certificate is not trusted: {cause}"))
        } else if err.is_connect() {
            (FaultKind::Unavailable, format!("cannot connect: {cause}"))
        } else if err.is_body() || err.is_decode() {
            (FaultKind::Truncated, format!("the answer ended early: {cause}"))
        } else if err.is_builder() || err.is_redirect() {
            (FaultKind::Other, cause)
        } else {
            (FaultKind::Unavailable, format!("the connection broke: {cause}"))
        };
        Broken { kind, message }
    }
}

/// Returns the innermost cause of a failure, which says most, without secrets.
fn root_cause(err: &reqwest::Error) -> String {
    let mut cause = err.source();
    let mut text = err.to_string();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    redact(&text)
}

fn chain(err: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = err.source();
    while let Some(inner) = cause {
        text.push_str(&inner.to_string().to_ascii_lowercase());
        text.push('\n');
        cause = inner.source();
    }
    text
}

/// Returns the pause that an answer asks for.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    pause(headers.get(RETRY_AFTER)?.to_str().ok()?, SystemTime::now())
}

/// Parses the value of `Retry-After`: seconds or a date.
fn pause(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The time of the last progress of a request.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    start: Instant,
    /// Milliseconds after `start`.
    last: Arc<AtomicU64>,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress { start: Instant::now(), last: Arc::default() }
    }

    pub(super) fn step(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// Waits for a step of a request, but no longer than `silence` after the last progress.
    pub(super) async fn watch<T>(
        &self,
        silence: Duration,
        step: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, Broken> {
        let mut step = std::pin::pin!(step);
        loop {
            let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
            let deadline = self.start + last + silence;
            match tokio::time::timeout_at(deadline.into(), &mut step).await {
                Ok(result) => return result.map_err(|err| Broken::from(&err)),
                Err(_) if Duration::from_millis(self.last.load(Ordering::Relaxed)) > last => {}
                Err(_) => {
                    let message = format!("no answer within {}s", silence.as_secs_f64());
                    return Err(Broken { kind: FaultKind::Unavailable, message });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (text, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(pause(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
