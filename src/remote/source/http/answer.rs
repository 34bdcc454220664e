//! Reads the head of an answer. Pure.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName,
    LAST_MODIFIED,
};

use crate::error::{Error, Result};
use crate::pipeline::Url;
use crate::plan::SourceVersion;
use crate::remote::source::partial::Head;

/// Age from which a time of the last change identifies a content: before, another change within the
/// same second may follow.
const SETTLED: Duration = Duration::from_secs(60);

/// Returns the version, the size and the encoding of a whole content.
///
/// # Errors
/// The content is encoded in a way that cannot be undone.
pub(super) fn head_of(headers: &HeaderMap, url: &Url) -> Result<Head> {
    let text = |name| text(headers, name).map(str::to_owned);
    let total = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let encoding = text(CONTENT_ENCODING).unwrap_or_default().to_ascii_lowercase();
    let is_gzip = match encoding.trim() {
        "" | "identity" => false,
        "gzip" | "x-gzip" => true,
        other => {
            return Err(Error::environment(format!("`{url}` is sent with the encoding `{other}`"))
                .because("the request asks for the file as it is")
                .hint("let the `cmd` of a stage download the file"));
        }
    };
    // Such a server describes a file as compressed that is an archive of its own.
    let name = url.file_name().to_ascii_lowercase();
    let is_named_so = [".gz", ".tgz", ".gzip"].iter().any(|end| name.ends_with(end));
    let (etag, modified) = (text(ETAG), text(LAST_MODIFIED));
    let version = SourceVersion { etag, modified, bytes: total, ..SourceVersion::default() };
    Ok(Head { validator: validator(headers), version, total, is_gzipped: is_gzip && !is_named_so })
}

/// Returns what `If-Range` accepts.
fn validator(headers: &HeaderMap) -> Option<String> {
    match text(headers, ETAG) {
        Some(etag) if etag.starts_with('"') => return Some(etag.to_owned()),
        _ => {}
    }
    let modified = text(headers, LAST_MODIFIED)?;
    let time = |text: &str| httpdate::parse_http_date(text).ok();
    let age = time(text(headers, DATE)?)?.duration_since(time(modified)?).ok()?;
    (age >= SETTLED).then(|| modified.to_owned())
}

/// Reports whether a partial answer continues at byte `at` of a content of `total` bytes.
pub(super) fn begins_at(headers: &HeaderMap, at: u64, total: Option<u64>) -> bool {
    let range = text(headers, CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes "));
    let Some((range, whole)) = range.and_then(|range| range.split_once('/')) else { return false };
    let start = range.split('-').next().and_then(|start| start.trim().parse().ok());
    let is_whole = whole == "*" || total.is_none() || whole.parse().ok() == total;
    start == Some(at) && is_whole
}

/// Returns the error for a status that is none of success, and whether a later request may succeed.
pub(super) fn refusal(url: &Url, status: StatusCode) -> (Error, bool) {
    let answered = format!("the server answered {}", status.as_u16());
    let may_pass = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    let error = match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            Error::missing(format!("`{url}` does not exist")).because(answered)
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Error::environment(format!("`{url}` may not be read")).because(answered).hint(
                "name a login and a password in `~/.netrc`, or let the `cmd` of a stage download \
                 the file",
            )
        }
        _ if may_pass => Error::environment(format!("cannot download `{url}`"))
            .because(answered)
            .hint("try again later"),
        _ => Error::environment(format!("cannot download `{url}`")).because(answered),
    };
    (error, may_pass)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn validators() {
        let date = ("date", "Tue, 01 Dec 2026 10:00:00 GMT");
        let old = ("last-modified", "Tue, 01 Dec 2026 09:00:00 GMT");
        let new = ("last-modified", "Tue, 01 Dec 2026 09:59:59 GMT");
        for (lines, expected) in [
            (&[("etag", "\"a\""), old, date][..], Some("\"a\"")),
            (&[("etag", "W/\"a\""), old, date], Some(old.1)),
            (&[("etag", "W/\"a\""), new, date], None),
            (&[old], None),
            (&[], None),
        ] {
            assert_eq!(validator(&headers(lines)).as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn ranges() {
        for (range, total, expected) in [
            ("bytes 5-9/10", Some(10), true),
            ("bytes 5-9/*", Some(10), true),
            ("bytes 5-9/11", Some(10), false),
            ("bytes 0-9/10", Some(10), false),
            ("5-9", Some(10), false),
        ] {
            let headers = headers(&[("content-range", range)]);
            assert_eq!(begins_at(&headers, 5, total), expected, "{range}");
        }
    }

    #[test]
    fn encodings() {
        let of = |encoding: &str, url: &str| {
            let head =
                head_of(&headers(&[("content-encoding", encoding)]), &Url::parse(url).unwrap());
            head.map(|head| head.is_gzipped).ok()
        };
        assert_eq!(of("gzip", "https://x/a.csv"), Some(true));
        assert_eq!(of("x-gzip", "https://x/a.tar.gz?b"), Some(false));
        assert_eq!(of("identity", "https://x/a.csv"), Some(false));
        assert_eq!(of("br", "https://x/a.csv"), None);
    }
}
