//! The transport of all stores behind HTTP: no wait without an end, no endless answer, and a record
//! of how each request ended, from which `fault` makes the kind of a failure.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{Request, Response, StatusCode};
use opendal::raw::Operation;
use opendal::{Buffer, ErrorKind, HttpBody, HttpTransport};

use super::backend::{FaultKind, MAX_FILE};
use super::http_client::{self, Broken, Progress};

/// Patience with the servers that hand credentials to machines of a cloud. Elsewhere they do not
/// exist, and each command would wait for them.
const METADATA: Duration = Duration::from_secs(1);
const METADATA_HOSTS: [&str; 3] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];
/// Size of the pieces of an upload, between which progress is noticed.
const PIECE: usize = 64 << 10;

/// The end of a request to a store.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    Answered(Answer),
    /// The connection or the transfer failed.
    Broken(Broken),
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
        Ok(Transport { client: http_client::client(timeout)?, timeout })
    }

    async fn send(&self, request: Request<Buffer>) -> Result<Response<Bytes>, Broken> {
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
        let mut response = progress.watch(timeout, builder.send()).await?;
        let mut head = Response::builder().status(response.status()).version(response.version());
        if let Some(headers) = head.headers_mut() {
            *headers = std::mem::take(response.headers_mut());
        }
        let mut body = BytesMut::new();
        loop {
            progress.step();
            let Some(piece) = progress.watch(timeout, response.chunk()).await? else { break };
            if (body.len() + piece.len()) as u64 > MAX_FILE {
                let message = "the answer is larger than any file of a remote".to_owned();
                return Err(Broken { kind: FaultKind::Other, message });
            }
            body.extend_from_slice(&piece);
        }
        head.body(body.freeze())
            .map_err(|err| Broken { kind: FaultKind::Other, message: err.to_string() })
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
                Err(broken) => Ending::Broken(broken.clone()),
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
            Err(Broken { message, .. }) => {
                Err(opendal::Error::new(ErrorKind::Unexpected, message).set_temporary())
            }
        }
    }
}

impl Answer {
    fn of(answer: &Response<Bytes>) -> Answer {
        let text = match answer.status().is_success() {
            true => String::new(),
            false => {
                let start = &answer.body()[..answer.body().len().min(16 << 10)];
                String::from_utf8_lossy(start).into_owned()
            }
        };
        Answer {
            status: answer.status(),
            retry_after: http_client::retry_after(answer.headers()),
            text,
        }
    }
}

/// Returns the part of a whole file that a value of `Range` names.
fn part(body: &Bytes, range: &str) -> Option<Bytes> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last: usize = if last.is_empty() { usize::MAX } else { last.parse().ok()? };
    let end = last.saturating_add(1).min(body.len());
    Some(body.slice(first.min(end)..end))
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
