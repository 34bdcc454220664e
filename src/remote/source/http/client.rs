//! Requests that the caller waits for, and can give up.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client as Requests, Response};
use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};
use crate::pipeline::Url;
use crate::remote::source::netrc;

/// Time to open a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Time without a byte after which a connection counts as dead.
const STALL: Duration = Duration::from_secs(60);
/// Interval at which a request asks whether to give up.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const MOST_REDIRECTS: usize = 10;

/// A client for the host of one URL.
pub(super) struct Client<'a> {
    runtime: Runtime,
    requests: Requests,
    credentials: Option<(String, String)>,
    is_stopped: &'a (dyn Fn() -> bool + Sync),
}

/// The outcome of something that was sent.
pub(super) enum Sent<T> {
    Answer(T),
    /// The server cannot be reached, or the connection was cut off.
    Failed(Error),
    Stopped,
}

impl<T> Sent<T> {
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self, Sent::Stopped)
    }
}

impl Client<'_> {
    pub(super) fn new<'a>(
        url: &Url,
        is_stopped: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Client<'a>> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|err| Error::thread(&err))?;
        // Another client may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let requests = Requests::builder()
            .user_agent(concat!("repro/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(STALL)
            .redirect(Policy::custom(|attempt| {
                let was_secure =
                    attempt.previous().last().is_some_and(|url| url.scheme() == "https");
                if attempt.previous().len() > MOST_REDIRECTS {
                    attempt.error("there are too many redirects")
                } else if was_secure && attempt.url().scheme() != "https" {
                    attempt.error("it redirects from https to an address that is not secure")
                } else {
                    attempt.follow()
                }
            }))
            .build();
        let requests = requests
            .map_err(|err| Error::environment("cannot create a client of HTTP").because(err))?;
        let host = reqwest::Url::parse(url.as_str())
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned));
        let credentials = host.and_then(|host| netrc::credentials(&host));
        Ok(Client { runtime, requests, credentials, is_stopped })
    }

    /// Sends a request and returns the answer before its content.
    ///
    /// # Errors
    /// The request makes no sense, so that it is useless to repeat it.
    pub(super) fn get(&self, url: &Url, headers: HeaderMap) -> Result<Sent<Response>> {
        let request = self
            .requests
            .get(url.as_str())
            // Compressed bytes have another length and another digest.
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .headers(headers);
        let request = match &self.credentials {
            Some((login, password)) => request.basic_auth(login, Some(password)),
            None => request,
        };
        Ok(match self.wait(|| request.send()) {
            None => Sent::Stopped,
            Some(Ok(answer)) => Sent::Answer(answer),
            Some(Err(err)) if err.is_builder() || err.is_redirect() => {
                return Err(unreachable(url, &err));
            }
            Some(Err(err)) => Sent::Failed(unreachable(url, &err)),
        })
    }

    /// Returns the next piece of the content; `None` at its end.
    pub(super) fn chunk(&self, answer: &mut Response, url: &Url) -> Sent<Option<Vec<u8>>> {
        match self.wait(|| answer.chunk()) {
            None => Sent::Stopped,
            Some(Ok(chunk)) => Sent::Answer(chunk.map(|bytes| bytes.to_vec())),
            Some(Err(err)) => Sent::Failed(
                Error::environment(format!("the connection to `{url}` was cut off"))
                    .because(innermost(&err))
                    .hint("repeat the command: it continues where this one ended"),
            ),
        }
    }

    /// Waits, unless it is stopped.
    pub(super) fn sleep(&self, time: Duration) -> Sent<()> {
        self.wait(|| tokio::time::sleep(time)).map_or(Sent::Stopped, Sent::Answer)
    }

    /// Waits for an end; `None` if it is stopped before.
    fn wait<F: Future>(&self, begin: impl FnOnce() -> F) -> Option<F::Output> {
        self.runtime.block_on(async {
            // Begun here, since timers belong to the runtime.
            let end = begin();
            tokio::pin!(end);
            loop {
                match tokio::time::timeout(LOOK_EVERY, &mut end).await {
                    Ok(value) => return Some(value),
                    Err(_) if (self.is_stopped)() => return None,
                    Err(_) => {}
                }
            }
        })
    }
}

fn unreachable(url: &Url, err: &reqwest::Error) -> Error {
    let error = Error::environment(format!("cannot download `{url}`")).because(innermost(err));
    match err.is_connect() || err.is_timeout() {
        true => error.hint("check the address and the network, and repeat the command"),
        false => error,
    }
}

/// Returns the cause of an error that says most.
fn innermost(err: &dyn std::error::Error) -> String {
    let mut last = err;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
