//! Files as responses: whole, or the range that the client asks for.
//!
//! A file that a run or a client made may contain anything, so its response forbids scripts even
//! when a browser opens it on its own, and never guesses the type from the content.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, ETAG, IF_RANGE,
    RANGE,
};
use tokio::sync::mpsc;

use super::refusal::{Answer, Refusal};
use super::request::Request;
use super::response::{Body, Response};
use crate::percent::encode;
use crate::report::preview;

/// Policy of content that is not the program's own.
const FOREIGN: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
/// Size of the pieces in which a file is sent.
const PIECE: usize = 256 << 10;

/// A file to be sent.
#[derive(Debug)]
pub(in crate::serve) struct FileResponse {
    file: File,
    kind: &'static str,
    tag: Option<String>,
    download: Option<String>,
}

impl FileResponse {
    /// Sends `file`, whose name `name` determines its media type.
    pub(in crate::serve) fn new(file: File, name: &str) -> FileResponse {
        FileResponse { file, kind: media_type(name), tag: None, download: None }
    }

    /// Sets the tag of a file whose content is known by its digest.
    #[must_use]
    pub(in crate::serve) fn tagged(mut self, tag: impl std::fmt::Display) -> FileResponse {
        self.tag = Some(format!("\"{tag}\""));
        self
    }

    /// Asks the browser to save the file under this name instead of showing it.
    #[must_use]
    pub(in crate::serve) fn saved_as(mut self, name: &str) -> FileResponse {
        self.download = Some(name.to_owned());
        self
    }

    /// Returns the response to a request for the file.
    ///
    /// # Errors
    /// The size of the file cannot be read; the range is outside of the file.
    pub(in crate::serve) fn answer(self, request: &Request) -> Answer {
        let unreadable = |err| Refusal::internal(format!("the file cannot be read: {err}"));
        let size = self.file.metadata().map_err(unreadable)?.len();
        let is_same = request.header(IF_RANGE).is_none_or(|tag| Some(tag) == self.tag.as_deref());
        let range = request
            .header(RANGE)
            .filter(|_| is_same)
            .map_or(Range::All, |text| parse_range(text, size));
        let mut response = Response::bytes(self.kind, Bytes::new())
            .with(CONTENT_SECURITY_POLICY, FOREIGN)
            .with(ACCEPT_RANGES, "bytes");
        if let Some(tag) = &self.tag {
            response = response.with(ETAG, tag);
        }
        if let Some(name) = &self.download {
            response = response.with(CONTENT_DISPOSITION, &disposition(name));
        }
        let (from, to) = match range {
            Range::All => (0, size),
            Range::Part(from, to) => {
                let range = format!("bytes {from}-{}/{size}", to - 1);
                response = response.with(CONTENT_RANGE, &range);
                response.status = StatusCode::PARTIAL_CONTENT;
                (from, to)
            }
            Range::Outside => {
                let response = response.with_status(StatusCode::RANGE_NOT_SATISFIABLE);
                return Ok(response.with(CONTENT_RANGE, &format!("bytes */{size}")));
            }
        };
        if from < to {
            let (sender, pieces) = mpsc::channel(2);
            tokio::task::spawn_local(send(Arc::new(self.file), from, to, sender));
            response.body = Body::Stream { pieces, left: Some(to - from) };
        }
        Ok(response)
    }
}

/// Sends a part of a file. If it cannot be read to its end, the response breaks off.
async fn send(file: Arc<File>, mut from: u64, to: u64, pieces: mpsc::Sender<Bytes>) {
    while from < to {
        let (file, size) = (Arc::clone(&file), (to - from).min(PIECE as u64) as usize);
        let read = tokio::task::spawn_blocking(move || -> io::Result<Vec<u8>> {
            let mut piece = vec![0; size];
            file.read_exact_at(&mut piece, from)?;
            Ok(piece)
        });
        let Ok(Ok(piece)) = read.await else { return };
        from += piece.len() as u64;
        if pieces.send(piece.into()).await.is_err() {
            return;
        }
    }
}

/// The part of a file that a client asks for, as offsets of its first byte and behind its last.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    All,
    Part(u64, u64),
    Outside,
}

/// Parses the header `Range`. What is not one range of bytes asks for the whole file.
fn parse_range(text: &str, size: u64) -> Range {
    let parse = || {
        let (from, to) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
        if !from.bytes().chain(to.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // A number that is too large is behind the end of every file.
        let number =
            |text: &str| (!text.is_empty()).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
        Some(match (number(from), number(to)) {
            (Some(from), Some(to)) if from > to => return None,
            (Some(from), _) if from >= size => Range::Outside,
            (Some(from), to) => {
                Range::Part(from, to.map_or(size, |to| to.saturating_add(1).min(size)))
            }
            (None, Some(0)) => Range::Outside,
            (None, Some(_)) if size == 0 => Range::Outside,
            (None, Some(last)) => Range::Part(size.saturating_sub(last), size),
            (None, None) => return None,
        })
    };
    parse().unwrap_or(Range::All)
}

/// Returns the header by which a browser saves a file under a name, whatever is in it.
fn disposition(name: &str) -> String {
    format!("attachment; filename*=UTF-8''{}", encode(name, b""))
}

/// Returns the media type of a file by the ending of its name. Text that a browser could run, such
/// as HTML, is plain text.
fn media_type(name: &str) -> &'static str {
    if let Some(media) = preview::media_type(name) {
        return media;
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match &*ending {
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "json" => "application/json",
        "txt" | "md" | "log" | "csv" | "tsv" | "toml" | "yaml" | "yml" | "py" | "rs" | "sh"
        | "html" | "htm" | "xml" | "js" | "css" | "diff" | "patch" | "jsonl" => {
            "text/plain; charset=utf-8"
        }
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-3", Range::Part(0, 4)),
            ("bytes=2-", Range::Part(2, 10)),
            ("bytes=-3", Range::Part(7, 10)),
            ("bytes=-30", Range::Part(0, 10)),
            ("bytes=8-99999999999999999999", Range::Part(8, 10)),
            ("bytes=9-18446744073709551615", Range::Part(9, 10)),
            ("bytes=10-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=5-4", Range::All),
            ("bytes=99999999999999999999-4", Range::All),
            ("bytes=99999999999999999999-", Range::Outside),
            ("bytes=-99999999999999999999", Range::Part(0, 10)),
            ("bytes=-", Range::All),
            ("bytes=+1-2", Range::All),
            ("bytes=0-1,3-4", Range::All),
            ("lines=0-1", Range::All),
            ("", Range::All),
        ] {
            assert_eq!(parse_range(text, 10), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=-1", 0), Range::Outside);
    }

    proptest::proptest! {
        #[test]
        fn parts_are_inside_the_file(text in "bytes=[0-9]{0,3}-[0-9]{0,3}", size in 0_u64..300) {
            if let Range::Part(from, to) = parse_range(&text, size) {
                proptest::prop_assert!(from < to && to <= size);
            }
        }
    }

    #[test]
    fn hostile_names_stay_one_header() {
        assert_eq!(
            disposition("a b\"\r\nx: é"),
            "attachment; filename*=UTF-8''a%20b%22%0D%0Ax%3A%20%C3%A9"
        );
    }

    #[test]
    fn active_content_is_text() {
        for (name, kind) in [
            ("a.html", "text/plain; charset=utf-8"),
            ("A.PNG", "image/png"),
            ("model", "application/octet-stream"),
            ("x.js", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(media_type(name), kind);
        }
    }
}
