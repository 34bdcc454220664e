//! Requests that the caller waits for, and can give up.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Client as Requests, Response};
use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};
use crate::pipeline::Url;
use crate::remote::backend::FaultKind;
use crate::remote::http_client::{self, Broken, Progress, SILENCE};
use crate::remote::netrc;

/// Interval at which a request asks whether to give up.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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
        let requests = http_client::client(SILENCE)
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
        Ok(match self.wait(|| watched(request.send())) {
            None => Sent::Stopped,
            Some(Ok(answer)) => Sent::Answer(answer),
            Some(Err(broken)) if broken.kind.is_passing() => {
                Sent::Failed(unreachable(url, &broken))
            }
            Some(Err(broken)) => return Err(unreachable(url, &broken)),
        })
    }

    /// Returns the next piece of the content; `None` at its end.
    pub(super) fn chunk(&self, answer: &mut Response, url: &Url) -> Sent<Option<Vec<u8>>> {
        match self.wait(|| watched(answer.chunk())) {
            None => Sent::Stopped,
            Some(Ok(chunk)) => Sent::Answer(chunk.map(|bytes| bytes.to_vec())),
            Some(Err(broken)) => Sent::Failed(
                Error::environment(format!("the connection to `{url}` was cut off"))
                    .because(broken.message)
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

/// Bounds the wait for a step of a request.
async fn watched<T>(step: impl Future<Output = reqwest::Result<T>>) -> Result<T, Broken> {
    Progress::new().watch(SILENCE, step).await
}

fn unreachable(url: &Url, broken: &Broken) -> Error {
    let error = Error::environment(format!("cannot download `{url}`")).because(&broken.message);
    match broken.kind {
        FaultKind::Unavailable => {
            error.hint("check the address and the network, and repeat the command")
        }
        _ => error,
    }
}
