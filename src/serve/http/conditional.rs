//! The last step of every response: entity tags, HEAD, and the headers that keep pages safe.

use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use hyper::{Method, StatusCode};

use super::response::{Body, Response};
use crate::digest::Digest;

/// The policy of the dashboard's pages. No text from a run can become code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; media-src 'self'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// Headers of every response. A route may set another policy, but not leave it out.
const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // Every answer may be another one next time; equal ones are recognized by their tags.
    (CACHE_CONTROL, "no-cache"),
];

/// Completes the response to a request with this method and these headers.
pub(in crate::serve) fn finish(
    method: &Method,
    asked: &HeaderMap,
    mut response: Response,
) -> Response {
    for (name, value) in HEADERS {
        response.headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    if is_read && response.status == StatusCode::OK {
        tag(&mut response);
        if is_known(asked, &response.headers) {
            response.status = StatusCode::NOT_MODIFIED;
            response.headers.remove(CONTENT_TYPE);
            response.body = Body::Bytes(Default::default());
        }
    }
    if *method == Method::HEAD {
        let size = hyper::body::Body::size_hint(&response.body).exact();
        if let Some(size) = size.filter(|_| response.status != StatusCode::NOT_MODIFIED) {
            response.headers.insert(CONTENT_LENGTH, size.into());
        }
        response.body = Body::Bytes(Default::default());
    }
    response
}

/// Gives a response whose body is known a tag by its content, unless it has one.
fn tag(response: &mut Response) {
    let Body::Bytes(body) = &response.body else { return };
    if response.headers.contains_key(ETAG) {
        return;
    }
    let digest = Digest::of(body).to_string();
    let tag = format!("\"{}\"", &digest[..32]);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers.insert(ETAG, tag);
    }
}

/// Reports whether the asker has the content with the tag already.
fn is_known(asked: &HeaderMap, headers: &HeaderMap) -> bool {
    let Some(tag) = headers.get(ETAG).and_then(|tag| tag.to_str().ok()) else { return false };
    let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    known.flat_map(|tags| tags.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(method: &Method, known: Option<&str>) -> Response {
        let known = known.map(|tag| (IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap()));
        finish(method, &HeaderMap::from_iter(known), Response::text("content"))
    }

    #[test]
    fn known_content_is_not_sent() {
        let first = answer(&Method::GET, None);
        assert_eq!(first.status, StatusCode::OK);
        let tag = first.headers[ETAG].to_str().unwrap().to_owned();
        let weak = format!("\"x\", W/{tag}");
        for known in [&*tag, &*weak, "*"] {
            let again = answer(&Method::GET, Some(known));
            assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(again.headers[ETAG], tag);
        }
        for known in ["\"x\"", "", &tag[1..]] {
            assert_eq!(answer(&Method::GET, Some(known)).status, StatusCode::OK, "{known}");
        }
        assert_eq!(answer(&Method::POST, Some(&tag)).status, StatusCode::OK);
    }

    #[test]
    fn head_has_the_headers_only() {
        let response = answer(&Method::HEAD, None);
        assert_eq!(response.headers[CONTENT_LENGTH], "7");
        assert!(matches!(&response.body, Body::Bytes(bytes) if bytes.is_empty()));
    }

    #[test]
    fn stricter_policy_is_kept() {
        let strict = Response::text("").with(CONTENT_SECURITY_POLICY, "sandbox");
        let finished = finish(&Method::GET, &HeaderMap::new(), strict);
        assert_eq!(finished.headers[CONTENT_SECURITY_POLICY], "sandbox");
        let usual = finish(&Method::GET, &HeaderMap::new(), Response::text(""));
        assert_eq!(usual.headers[CONTENT_SECURITY_POLICY], POLICY);
    }
}
