//! A request as the routes see it.

use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, Uri};

use super::query::Query;
use super::refusal::Refusal;
use crate::percent::decode;

/// Maximum size of a body that is held in memory.
const MAX_BODY: usize = 64 << 20;
/// Time without a byte after which a body counts as lost.
const STALLED: Duration = Duration::from_secs(30);

/// A request. HEAD is GET: what it asks for is made, and then only the headers are sent.
#[derive(Debug)]
pub(in crate::serve) struct Request {
    pub(in crate::serve) method: Method,
    pub(in crate::serve) headers: HeaderMap,
    pub(in crate::serve) query: Query,
    uri: Uri,
    /// The path, split at slashes and then decoded; a segment may contain an encoded slash.
    segments: Vec<String>,
    sender: Sender,
    body: RefCell<Option<Incoming>>,
}

impl Request {
    /// Reads the head of a request.
    ///
    /// # Errors
    /// The path is not UTF-8.
    pub(in crate::serve) fn new(request: hyper::Request<Incoming>) -> Result<Request, Refusal> {
        let (Parts { method, uri, headers, .. }, body) = request.into_parts();
        let method = if method == Method::HEAD { Method::GET } else { method };
        let mut segments = segments(uri.path())?;
        let sender = sender(&mut segments);
        let query = Query::parse(uri.query().unwrap_or(""));
        let body = RefCell::new(Some(body));
        Ok(Request { method, headers, query, uri, segments, sender, body })
    }

    /// Returns the path, decoded and without what [`Request::stage`] returns.
    pub(in crate::serve) fn segments(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    /// Returns the path as it was sent.
    pub(in crate::serve) fn path(&self) -> &str {
        self.uri.path()
    }

    /// Returns the path and the query as they were sent.
    pub(in crate::serve) fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    /// Returns the stage that the sender runs in: its base URL ends in `/stage/NAME`.
    pub(in crate::serve) fn stage(&self) -> Option<&str> {
        self.sender.stage.as_deref()
    }

    /// Returns the run of that stage: the base URL ends in `/run/UID/stage/NAME`.
    pub(in crate::serve) fn run(&self) -> Option<&str> {
        self.sender.run.as_deref()
    }

    /// Returns a header as text; `None` if it is missing or not ASCII.
    pub(in crate::serve) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the whole body; it can be read once.
    ///
    /// # Errors
    /// The body is longer than [`MAX_BODY`], or the connection breaks.
    pub(in crate::serve) async fn body(&self) -> Result<Bytes, Refusal> {
        let mut stream = self.body_stream();
        let too_large =
            || Refusal::too_large(format!("a request is at most {} MB long", MAX_BODY >> 20));
        if stream.expected().is_some_and(|size| size > MAX_BODY as u64) {
            return Err(too_large());
        }
        let Some(first) = stream.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = stream.next().await? else { return Ok(first) };
        let mut whole = Vec::from(first);
        whole.extend_from_slice(&second);
        while let Some(chunk) = stream.next().await? {
            if whole.len() + chunk.len() > MAX_BODY {
                return Err(too_large());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.into())
    }

    /// Reads what no route has read, so that the client can send its next request on the same
    /// connection. Reports whether nothing is left. A client that still sends an upload when the
    /// connection ends does not read why it was refused, and tries again.
    pub(in crate::serve) async fn skip_body(&self) -> bool {
        let mut rest = self.body_stream();
        loop {
            match rest.next().await {
                Ok(None) => return self.body.borrow().is_some(),
                Ok(Some(_)) => {}
                Err(_) => return false,
            }
        }
    }

    /// Returns what has not been read of the body, piece by piece.
    pub(in crate::serve) fn body_stream(&self) -> BodyStream<'_> {
        BodyStream(&self.body)
    }
}

/// The body of a request as it arrives.
#[derive(Debug)]
pub(in crate::serve) struct BodyStream<'r>(&'r RefCell<Option<Incoming>>);

impl BodyStream<'_> {
    /// Returns the size that the sender announced.
    pub(in crate::serve) fn expected(&self) -> Option<u64> {
        self.0.borrow().as_ref().map_or(Some(0), |body| body.size_hint().exact())
    }

    /// Returns the next piece; `None` at the end.
    ///
    /// # Errors
    /// The connection breaks or stalls.
    pub(in crate::serve) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        // A body that breaks off or stalls is not read further.
        let Some(mut body) = self.0.take() else { return Ok(None) };
        loop {
            let frame = tokio::time::timeout(STALLED, pin!(body.frame())).await;
            let frame = frame.map_err(|_| Refusal::invalid("the body did not arrive in time"))?;
            match frame {
                None => {
                    self.0.replace(Some(body));
                    return Ok(None);
                }
                Some(Ok(frame)) => {
                    // Trailers are not used.
                    if let Ok(data) = frame.into_data() {
                        self.0.replace(Some(body));
                        return Ok(Some(data));
                    }
                }
                Some(Err(err)) => {
                    return Err(Refusal::invalid(format!("the body broke off: {err}")));
                }
            }
        }
    }
}

/// Splits a path at its slashes. A slash at the end adds no segment.
fn segments(path: &str) -> Result<Vec<String>, Refusal> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Vec::new());
    }
    path.split('/')
        .map(|segment| {
            String::from_utf8(decode(segment).into_owned())
                .map_err(|_| Refusal::invalid("the path is not UTF-8"))
        })
        .collect()
}

/// The command that sends a request, as its base URL says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sender {
    run: Option<String>,
    stage: Option<String>,
}

/// Takes `run/UID/stage/NAME`, or only `stage/NAME`, away from the start of a path.
fn sender(segments: &mut Vec<String>) -> Sender {
    let (length, run, stage) = match &segments[..] {
        [run, uid, stage, name, ..] if run == "run" && stage == "stage" => {
            (4, Some(uid.clone()), Some(name.clone()))
        }
        [stage, name, ..] if stage == "stage" => (2, None, Some(name.clone())),
        _ => return Sender::default(),
    };
    segments.drain(..length);
    Sender { run, stage }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/", &[][..]),
            ("/runs", &["runs"]),
            ("/runs/", &["runs"]),
            ("/runs//", &["runs", ""]),
            ("//x", &["", "x"]),
            ("/a%2Fb/%2e%2e/c%20d", &["a/b", "..", "c d"]),
            ("*", &["*"]),
        ] {
            assert_eq!(segments(path).unwrap(), expected, "{path}");
        }
        assert!(segments("/%ff").is_err());
    }

    #[test]
    fn sender_by_base_url() {
        for (path, run, stage, rest) in [
            ("/stage/train/api/2.0", None, Some("train"), &["api", "2.0"][..]),
            ("/run/ab/stage/train%40x=1", Some("ab"), Some("train@x=1"), &[]),
            ("/run/ab/stage", None, None, &["run", "ab", "stage"]),
            ("/stage", None, None, &["stage"]),
            ("/api/stage/train", None, None, &["api", "stage", "train"]),
        ] {
            let mut path = segments(path).unwrap();
            let [run, stage] = [run, stage].map(|text| text.map(str::to_owned));
            assert_eq!(sender(&mut path), Sender { run, stage });
            assert_eq!(path, rest);
        }
    }
}
