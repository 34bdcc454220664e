//! The HTTP client of all stores behind HTTP: no wait without an end, no endless answer, and a
//! record of how each request ended, from which `fault` makes the kind of a failure.

use std::cell::RefCell;
use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use opendal::raw::Operation;
use opendal::{Buffer, ErrorKind, HttpBody, HttpTransport};

use super::backend::FaultKind;
use super::redact::redact;

const CONNECT: Duration = Duration::from_secs(10);
/// Patience with the servers that hand credentials to machines of a cloud. Elsewhere they do not
/// exist, and each command would wait for them.
const METADATA: Duration = Duration::from_secs(1);
const METADATA_HOSTS: [&str; 3] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];
/// Largest answer. A file of a remote is much smaller; a store that sends more is not ours.
const MAX_BODY: usize = 512 << 20;
/// Size of the pieces of an upload, between which progress is noticed.
const PIECE: usize = 64 << 10;

/// The end of a request to a store.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    Answered(Answer),
    /// The connection or the transfer failed.
    Broken(FaultKind, String),
}

/// The head of an answer, and the start of its body if it reports an error.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) text: String,
}

tokio::task_local! {
    /// The end of the last request of the present verb.
    static ENDING: RefCell<Option<Ending>>;
}

/// Runs a verb and returns its result with the end of its last request.
pub(super) async fn observed<T>(verb: impl Future<Output = T>) -> (T, Option<Ending>) {
    ENDING
        .scope(RefCell::new(None), async {
            let result = verb.await;
            (result, ENDING.with(|ending| ending.borrow_mut().take()))
        })
        .await
}

fn record(ending: Option<Ending>) {
    // A request of a background task belongs to no verb.
    let _ = ENDING.try_with(|last| *last.borrow_mut() = ending);
}

/// Sends the requests of stores.
pub(super) struct Transport {
    client: reqwest::Client,
    /// Longest wait without progress.
    timeout: Duration,
}

impl Transport {
    /// # Errors
    /// The certificates of the system cannot be used.
    pub(super) fn new(timeout: Duration) -> Result<Transport, String> {
        install_tls();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT.min(timeout))
            .user_agent(concat!("repro/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|err| redact(&root_cause(&err)))?;
        Ok(Transport { client, timeout })
    }

    async fn send(&self, request: Request<Buffer>) -> Result<Response<Bytes>, Ending> {
        let (parts, body) = request.into_parts();
        let is_metadata = parts.uri.host().is_some_and(|host| METADATA_HOSTS.contains(&host));
        let timeout = if is_metadata { METADATA } else { self.timeout };
        let progress = Progress::new();
        let url = parts.uri.to_string();
        let mut builder = self.client.request(parts.method, url).headers(parts.headers);
        if !body.is_empty() {
            let upload = Upload { rest: body.to_bytes(), progress: progress.clone() };
            builder = builder.body(reqwest::Body::wrap(upload));
        }
        let sent = progress.watch(timeout, builder.send()).await?;
        let mut response = sent.map_err(|err| broken(&err))?;
        let mut head = Response::builder().status(response.status()).version(response.version());
        if let Some(headers) = head.headers_mut() {
            *headers = std::mem::take(response.headers_mut());
        }
        let mut body = BytesMut::new();
        loop {
            progress.step();
            let piece = progress.watch(timeout, response.chunk()).await?;
            let Some(piece) = piece.map_err(|err| broken(&err))? else { break };
            if body.len() + piece.len() > MAX_BODY {
                let what = "the answer is larger than any file of a remote".to_owned();
                return Err(Ending::Broken(FaultKind::Other, what));
            }
            body.extend_from_slice(&piece);
        }
        head.body(body.freeze()).map_err(|err| Ending::Broken(FaultKind::Other, err.to_string()))
    }
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        // Requests for credentials are not marked: their ends are not those of the verb.
        let is_of_verb = request.extensions().get::<Operation>().is_some();
        let uri = request.uri().clone();
        let wanted = request.headers().get(RANGE).cloned();
        let is_head = request.method() == http::Method::HEAD;
        let result = self.send(request).await;
        if is_of_verb {
            record(Some(match &result {
                Ok(answer) => Ending::Answered(Answer::of(answer)),
                Err(ending) => ending.clone(),
            }));
        }
        match result {
            Ok(answer) => {
                let (mut parts, mut body) = answer.into_parts();
                if let Some(range) = wanted.filter(|_| parts.status == StatusCode::OK)
                    && let Some(part) = part(&body, range.to_str().unwrap_or_default())
                {
                    // A server may ignore the range and send the whole file.
                    body = part;
                    parts.status = StatusCode::PARTIAL_CONTENT;
                }
                // Servers write nonsense into it if the range begins at the end of the file, and
                // `Cloud` compares the lengths.
                parts.headers.remove(CONTENT_RANGE);
                if !is_head {
                    parts.headers.insert(CONTENT_LENGTH, body.len().into());
                }
                parts.extensions.insert(uri);
                let size = body.len() as u64;
                let stream = futures_util::stream::iter([Ok(Buffer::from(body))]);
                Ok(Response::from_parts(parts, HttpBody::new(stream, Some(size))))
            }
            Err(Ending::Broken(_, text)) => {
                Err(opendal::Error::new(ErrorKind::Unexpected, text).set_temporary())
            }
            Err(Ending::Answered(_)) => unreachable!("BUG: an answer as an error"),
        }
    }
}

impl Answer {
    fn of(answer: &Response<Bytes>) -> Answer {
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let text = match answer.status().is_success() {
            true => String::new(),
            false => {
                let start = &answer.body()[..answer.body().len().min(16 << 10)];
                String::from_utf8_lossy(start).into_owned()
            }
        };
        Answer {
            status: answer.status(),
            retry_after: retry_after.and_then(|text| pause(text, SystemTime::now())),
            text,
        }
    }
}

/// Makes the provider of cryptography known, once, before the first connection.
pub(super) fn install_tls() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    // It fails if a provider is installed already, which then serves.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
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

/// Returns the part of a whole file that a value of `Range` names.
fn part(body: &Bytes, range: &str) -> Option<Bytes> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last: usize = if last.is_empty() { usize::MAX } else { last.parse().ok()? };
    let end = last.saturating_add(1).min(body.len());
    Some(body.slice(first.min(end)..end))
}

fn broken(err: &reqwest::Error) -> Ending {
    let cause = redact(&root_cause(err));
    let chain = chain(err);
    if chain.contains("certificate") || chain.contains("InvalidCertificate") {
        let what = format!("its certificate is not trusted: {cause}");
        return Ending::Broken(FaultKind::Other, what);
    }
    if err.is_connect() {
        return Ending::Broken(FaultKind::Unavailable, format!("cannot connect: {cause}"));
    }
    if err.is_body() || err.is_decode() {
        return Ending::Broken(FaultKind::Truncated, format!("the answer ended early: {cause}"));
    }
    if err.is_builder() || err.is_redirect() {
        return Ending::Broken(FaultKind::Other, cause);
    }
    Ending::Broken(FaultKind::Unavailable, format!("the connection broke: {cause}"))
}

fn root_cause(err: &reqwest::Error) -> String {
    let mut cause = err.source();
    let mut text = err.to_string();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

fn chain(err: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = err.source();
    while let Some(inner) = cause {
        text.push_str(&inner.to_string());
        text.push('\n');
        cause = inner.source();
    }
    text
}

/// The time of the last progress of a request.
#[derive(Debug, Clone)]
struct Progress {
    start: Instant,
    /// Milliseconds after `start`.
    last: Arc<AtomicU64>,
}

impl Progress {
    fn new() -> Progress {
        Progress { start: Instant::now(), last: Arc::default() }
    }

    fn step(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// Waits for a step of a request, but no longer than `timeout` after the last progress.
    async fn watch<T>(
        &self,
        timeout: Duration,
        step: impl Future<Output = T>,
    ) -> Result<T, Ending> {
        let mut step = std::pin::pin!(step);
        loop {
            let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
            let deadline = self.start + last + timeout;
            match tokio::time::timeout_at(deadline.into(), &mut step).await {
                Ok(result) => return Ok(result),
                Err(_) if Duration::from_millis(self.last.load(Ordering::Relaxed)) > last => {}
                Err(_) => {
                    let what = format!("no answer within {}s", timeout.as_secs_f64());
                    return Err(Ending::Broken(FaultKind::Unavailable, what));
                }
            }
        }
    }
}

/// The body of an upload, which notes when a piece of it is taken.
struct Upload {
    rest: Bytes,
    progress: Progress,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.progress.step();
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(http_body::Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.rest.len() as u64)
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

    #[test]
    fn parts_of_a_whole_file() {
        let body = Bytes::from_static(b"0123456789");
        for (range, expected) in [
            ("bytes=2-4", Some(&b"234"[..])),
            ("bytes=8-20", Some(b"89")),
            ("bytes=7-", Some(b"789")),
            ("bytes=20-30", Some(b"")),
            ("bytes=x-1", None),
            ("bytes=-5", None),
        ] {
            assert_eq!(part(&body, range).as_deref(), expected, "{range}");
        }
    }
}
