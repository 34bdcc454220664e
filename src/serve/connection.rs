//! Accepts connections, and answers the requests on them.

use std::convert::Infallible;
use std::net::TcpListener;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONNECTION, LOCATION, SET_COOKIE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::http::guard::Guard;
use super::http::{Answer, Body, Refusal, Request, Response, finish};
use super::state::State;
use super::{api, assets, mlflow, pages};

/// Maximum number of open connections; further ones wait.
const MAX_CONNECTIONS: usize = 512;
/// Maximum size of the head of a request.
const MAX_HEAD: usize = 64 << 10;
/// Time in which the head of the next request must arrive. It also ends idle connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that requests in progress have when the server ends.
const GRACE: Duration = Duration::from_secs(2);
/// Pause after the operating system has refused a connection, for example for lack of files.
const REFUSED: Duration = Duration::from_millis(50);

/// Serves until the state says stop, and ends all connections.
pub(super) async fn serve(listener: TcpListener, state: Arc<State>, guard: Guard) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let guard = Rc::new(guard);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let noticing = Arc::clone(&state);
    tokio::task::spawn_local(async move { noticing.notice_changes().await });
    let mut stopped = pin!(state.until_stopped());
    loop {
        let accept = async {
            // Fails only if the semaphore is closed, which it never is.
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accept => accepted,
            () = &mut stopped => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (state, guard) = (Arc::clone(&state), Rc::clone(&guard));
                tokio::task::spawn_local(async move {
                    converse(stream, &state, &guard).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(REFUSED).await,
        }
    }
    drop(listener);
    // Each connection returns its place when it has ended.
    let all = places.acquire_many(MAX_CONNECTIONS as u32);
    let _ = tokio::time::timeout(GRACE, all).await;
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, state: &Arc<State>, guard: &Rc<Guard>) {
    // Small answers must not wait for the client's acknowledgement of the last ones.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let (state, guard) = (Arc::clone(state), Rc::clone(guard));
        async move { Ok::<_, Infallible>(respond(&state, &guard, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // A connection that breaks needs no message.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = state.until_stopped() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn respond(
    state: &Arc<State>,
    guard: &Guard,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Body> {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let wants_page = wants_page(&request);
    let request = guard.check_source(&method, &headers).and_then(|()| Request::new(request));
    let answer = match &request {
        Ok(request) => admit(state, guard, request).await,
        Err(refusal) => Err(refusal.clone()),
    };
    let mut response = match answer {
        Ok(response) => response,
        Err(refusal) if wants_page => pages::refusal(&refusal),
        Err(refusal) => refusal.response(),
    };
    let is_read = match &request {
        Ok(request) => request.skip_body().await,
        Err(_) => false,
    };
    if !is_read {
        response = response.with(CONNECTION, "close");
    }
    let Response { status, headers, body } = finish(&method, &headers, response);
    let mut response = hyper::Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}

/// Reports whether a person reads the answer: a browser asks for a page, not a script for data.
fn wants_page(request: &hyper::Request<Incoming>) -> bool {
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let path = request.uri().path();
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
        && !["/api/", "/ajax-api/", "/assets/"].iter().any(|data| path.starts_with(data))
}

/// Answers a request that has the token, if there is one.
async fn admit(state: &Arc<State>, guard: &Guard, request: &Request) -> Answer {
    let given = request.query.get("token").filter(|_| request.method == Method::GET);
    if let Some(cookie) = given.and_then(|given| guard.cookie_for(given)) {
        let redirect = Response::empty(StatusCode::SEE_OTHER);
        let place = without_token(request.target());
        return Ok(redirect.with(SET_COOKIE, &cookie).with(LOCATION, &place));
    }
    // The page that asks for the token needs them, and they are no secret.
    if let Some(answer) = assets::route(request) {
        return answer;
    }
    guard.check_token(&request.headers).map_err(|missing| match given {
        Some(_) => Refusal::unauthenticated("the token is wrong"),
        None => missing,
    })?;
    route(state, request).await
}

/// Returns the target of a request without the parameter `token`, relative to this server.
fn without_token(target: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let rest: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("token=")).collect();
    // Two slashes would begin the name of another server.
    let path = format!("/{}", path.trim_start_matches(['/', '\\']));
    if rest.is_empty() { path } else { format!("{path}?{}", rest.join("&")) }
}

async fn route(state: &Arc<State>, request: &Request) -> Answer {
    if let Some(answer) = api::route(state, request).await {
        return answer;
    }
    if let Some(answer) = mlflow::route(state, request).await {
        return answer;
    }
    pages::route(state, request).unwrap_or_else(|| Err(Refusal::no_endpoint(request.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_leaves_the_url() {
        for (target, rest) in [
            ("/?token=x", "/"),
            ("/runs?a=1&token=x&b=2", "/runs?a=1&b=2"),
            ("/runs?a=1", "/runs?a=1"),
            ("//evil.example/?token=x", "/evil.example/"),
            ("/\\evil.example?token=x", "/evil.example"),
        ] {
            assert_eq!(without_token(target), rest);
        }
    }
}
