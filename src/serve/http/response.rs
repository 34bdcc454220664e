//! A response as the routes make it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::StatusCode;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use tokio::sync::mpsc;

/// A response: status, headers and body.
#[derive(Debug)]
pub(in crate::serve) struct Response {
    pub(in crate::serve) status: StatusCode,
    pub(in crate::serve) headers: HeaderMap,
    pub(in crate::serve) body: Body,
}

/// The body of a response.
#[derive(Debug)]
pub(in crate::serve) enum Body {
    Bytes(Bytes),
    /// Pieces as they are made, until the sender is dropped. `left` is the number of bytes that are
    /// still to come, if that is known.
    Stream {
        pieces: mpsc::Receiver<Bytes>,
        left: Option<u64>,
    },
}

impl Response {
    fn new(kind: &'static str, body: impl Into<Bytes>) -> Response {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Response { status: StatusCode::OK, headers, body: Body::Bytes(body.into()) }
    }

    /// Returns a value as JSON.
    pub(in crate::serve) fn json(value: &impl Serialize) -> Response {
        match serde_json::to_vec(value) {
            Ok(body) => Response::new("application/json", body),
            // A map whose keys are not texts, or a `Serialize` that fails.
            Err(err) => panic!("BUG: a report is not valid JSON: {err}"),
        }
    }

    /// Returns plain text, which browsers do not take for anything else.
    pub(in crate::serve) fn text(text: impl Into<String>) -> Response {
        Response::new("text/plain; charset=utf-8", text.into())
    }

    pub(in crate::serve) fn html(page: impl Into<String>) -> Response {
        Response::new("text/html; charset=utf-8", page.into())
    }

    /// Returns content of a media type.
    pub(in crate::serve) fn bytes(kind: &'static str, bytes: impl Into<Bytes>) -> Response {
        Response::new(kind, bytes)
    }

    /// Returns a response without a body.
    pub(in crate::serve) fn empty(status: StatusCode) -> Response {
        Response { status, headers: HeaderMap::new(), body: Body::Bytes(Bytes::new()) }
    }

    /// Returns server-sent events as they are made. Each piece is one event, with its empty line.
    pub(in crate::serve) fn sse(pieces: mpsc::Receiver<Bytes>) -> Response {
        let mut response = Response::new("text/event-stream", Bytes::new());
        response.body = Body::Stream { pieces, left: None };
        response
    }

    #[must_use]
    pub(in crate::serve) fn with_status(mut self, status: StatusCode) -> Response {
        self.status = status;
        self
    }

    /// Sets a header. One whose value no header can have is left out.
    #[must_use]
    pub(in crate::serve) fn with(mut self, name: HeaderName, value: &str) -> Response {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match self.get_mut() {
            Body::Bytes(bytes) if bytes.is_empty() => None,
            Body::Bytes(bytes) => Some(std::mem::take(bytes)),
            Body::Stream { pieces, left } => {
                let Poll::Ready(piece) = pieces.poll_recv(context) else { return Poll::Pending };
                if let (Some(left), Some(piece)) = (left, &piece) {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                piece
            }
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Bytes(bytes) => bytes.is_empty(),
            Body::Stream { left, .. } => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream { left: Some(left), .. } => SizeHint::with_exact(*left),
            Body::Stream { left: None, .. } => SizeHint::default(),
        }
    }
}
