//! `http://` and `https://`.
//!
//! # Mechanism
//!
//! A transfer that was cut off continues with `Range` and `If-Range`, if the server named a strong
//! ETag, or a time of the last change that is at least a minute old. Otherwise it starts again. It
//! is tried again as long as bytes arrive, and a few times without any.
//!
//! # Known limits
//!
//! An answer of HTTP/1.0 without `Content-Length` may have been cut off without notice; a stated
//! digest finds that.

mod answer;
mod client;

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE,
};

use self::answer::{begins_at, head_of, refusal};
use self::client::{Client, Sent};
use super::archive;
use super::partial::{Head, Partial};
use super::wanted::{Arrived, Compared, Wanted};
use crate::error::{Error, Result};
use crate::pipeline::{Url, UrlOrigin};
use crate::plan::SourceVersion;
use crate::remote::http_client::retry_after;

/// Number of attempts in a row in which not one byte arrives.
const TRIES: u32 = 4;
/// Pause before the second attempt; it doubles each time.
const PAUSE: Duration = Duration::from_millis(300);
/// Longest pause that a server may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Transfers the file; `None` if it was stopped.
pub(super) fn fetch(wanted: &Wanted<'_>) -> Result<Option<Arrived>> {
    let url = &wanted.origin.url;
    let client = Client::new(url, wanted.is_stopped)?;
    let mut partial = Partial::open(wanted.folder);
    if partial.is_whole() && !is_current(&client, url, partial.head())? {
        partial.restart(Head::default())?;
    }
    let mut failures = 0;
    while !partial.is_whole() {
        let before = partial.length();
        match attempt(&client, wanted, &mut partial)? {
            Attempt::Stopped => return Ok(None),
            Attempt::Whole => break,
            Attempt::Failed(error, pause) => {
                failures = if partial.length() > before { 1 } else { failures + 1 };
                if failures >= TRIES {
                    return Err(error);
                }
                let pause = pause.unwrap_or(PAUSE * 2_u32.pow(failures - 1)).min(MAX_PAUSE);
                if client.sleep(pause).is_stopped() {
                    return Ok(None);
                }
            }
        }
    }
    (wanted.progress)(partial.length(), Some(partial.length()));
    let mut version = partial.head().version.clone();
    version.bytes = Some(partial.length());
    let mut path = partial.path().to_owned();
    if partial.head().is_gzipped {
        let unpacked = wanted.folder.join("unzipped");
        archive::gunzip(&path, url.as_str(), &unpacked)?;
        std::fs::remove_file(&path).map_err(|err| Error::io("remove", &path, &err))?;
        path = unpacked;
    }
    Ok(Some(Arrived::File { path, version }))
}

/// Compares the version with a conditional request, whose answer is not read.
pub(super) fn compare(origin: &UrlOrigin, known: &SourceVersion) -> Result<Compared> {
    let url = &origin.url;
    let client = Client::new(url, &|| false)?;
    let mut failures = 0;
    loop {
        let answer = client.get(url, conditions(known))?;
        let (error, pause) = match answer {
            Sent::Answer(answer) => match answer.status() {
                StatusCode::NOT_MODIFIED => return Ok(Compared::Same),
                status if status.is_success() => {
                    return Ok(compared(known, head_of(answer.headers(), url)?.version));
                }
                status => match refusal(url, status) {
                    (error, true) => (error, retry_after(answer.headers())),
                    (error, false) => return Err(error),
                },
            },
            Sent::Failed(error) => (error, None),
            Sent::Stopped => panic!("BUG: nobody stops this request"),
        };
        failures += 1;
        if failures >= TRIES {
            return Err(error);
        }
        client.sleep(pause.unwrap_or(PAUSE * 2_u32.pow(failures - 1)).min(MAX_PAUSE));
    }
}

/// Compares what a server names instead of answering that nothing has changed.
fn compared(known: &SourceVersion, now: SourceVersion) -> Compared {
    let is_same = match (&known.etag, &now.etag) {
        (Some(known), Some(now)) => known == now,
        (None, None) => match (&known.modified, &now.modified) {
            (Some(before), Some(after)) => before == after && known.bytes == now.bytes,
            (None, None) => return Compared::Unknown,
            _ => false,
        },
        _ => false,
    };
    if is_same { Compared::Same } else { Compared::Other(now) }
}

/// Reports whether a transferred file that was not used yet is still what the server has.
fn is_current(client: &Client<'_>, url: &Url, head: &Head) -> Result<bool> {
    match client.get(url, conditions(&head.version))? {
        Sent::Answer(answer) => Ok(answer.status() == StatusCode::NOT_MODIFIED),
        Sent::Failed(_) | Sent::Stopped => Ok(false),
    }
}

fn conditions(version: &SourceVersion) -> HeaderMap {
    let texts = [(IF_NONE_MATCH, &version.etag), (IF_MODIFIED_SINCE, &version.modified)];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
    headers(texts)
}

fn headers<'t>(texts: impl IntoIterator<Item = (HeaderName, &'t str)>) -> HeaderMap {
    let valid = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name, HeaderValue::from_bytes(text.as_bytes()).ok()?)));
    valid.collect()
}

/// The end of one request for the content.
enum Attempt {
    Whole,
    Stopped,
    /// A failure that may pass, perhaps after the pause that the server asks for.
    Failed(Error, Option<Duration>),
}

fn attempt(client: &Client<'_>, wanted: &Wanted<'_>, partial: &mut Partial) -> Result<Attempt> {
    let url = &wanted.origin.url;
    let resumed = partial.resumable().map(|(at, validator)| (at, validator.to_owned()));
    let range = resumed.as_ref().map(|(at, _)| format!("bytes={at}-"));
    let texts = range.iter().map(|range| (RANGE, range.as_str()));
    let texts = texts.chain(resumed.iter().map(|(_, validator)| (IF_RANGE, validator.as_str())));
    let mut answer = match client.get(url, headers(texts))? {
        Sent::Answer(answer) => answer,
        Sent::Failed(error) => return Ok(Attempt::Failed(error, None)),
        Sent::Stopped => return Ok(Attempt::Stopped),
    };
    match (answer.status(), &resumed) {
        (StatusCode::OK, _) => partial.restart(head_of(answer.headers(), url)?)?,
        (StatusCode::PARTIAL_CONTENT, Some((at, _)))
            if begins_at(answer.headers(), *at, partial.head().total) => {}
        // The server has misunderstood the range, or the file is now shorter.
        (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => {
            partial.restart(Head::default())?;
            let error = Error::environment(format!("`{url}` changed while it was downloaded"));
            return Ok(Attempt::Failed(error, None));
        }
        (status, _) => {
            let pause = retry_after(answer.headers());
            return match refusal(url, status) {
                (error, true) => Ok(Attempt::Failed(error, pause)),
                (error, false) => Err(error),
            };
        }
    }
    let total = partial.head().total;
    let mut appending = partial.append()?;
    loop {
        match client.chunk(&mut answer, url) {
            Sent::Answer(Some(bytes)) => {
                appending.write(&bytes)?;
                (wanted.progress)(appending.length(), total);
            }
            Sent::Answer(None) => break,
            Sent::Failed(error) => {
                let so_far = appending.length();
                let error = match total {
                    Some(total) => error.because(format!("{so_far} of {total} bytes arrived")),
                    None => error.because(format!("{so_far} bytes arrived")),
                };
                return Ok(Attempt::Failed(error, None));
            }
            Sent::Stopped => return Ok(Attempt::Stopped),
        }
    }
    match total {
        Some(total) if appending.length() != total => {
            let what = format!("`{url}` sent {} bytes instead of {total}", appending.length());
            if appending.length() > total {
                partial.restart(Head::default())?;
            }
            Ok(Attempt::Failed(Error::environment(what), None))
        }
        _ => Ok(Attempt::Whole),
    }
}
