//! The server behind `repro ui`: the dashboard, its JSON API, server-sent events, and MLflow's
//! tracking API. It renders the values of [`crate::report`] and writes nothing but the run store
//! and the files that clients upload. Async code exists only here.
//!
//! # Mechanism
//!
//! One thread speaks HTTP and never waits for a disk. Reads of the run store run on a few threads
//! with a connection each, writes on one thread, which commits those that have queued up together
//! and only then answers them.

mod api;
mod assets;
mod changes;
mod connection;
mod dag;
mod diagrams;
mod http;
mod mlflow;
mod pages;
mod readers;
mod state;
mod verdicts;
mod writer;

use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

use self::http::guard::Guard;
pub use self::http::guard::Token;
use self::state::State;
use crate::error::{Error, Result};

/// Maximum number of threads for files and the run store.
const MAX_THREADS: usize = 8;

/// The place and the rules of a server.
#[derive(Debug)]
pub struct Options {
    /// Root of the project.
    pub root: PathBuf,
    /// Where the server listens.
    pub listener: TcpListener,
    /// The secret that every request must know.
    pub token: Option<Token>,
}

/// A running server. When it is dropped, it finishes the requests that it has begun, and all that
/// it has answered is stored.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server on a thread of its own.
    ///
    /// # Errors
    /// The operating system refuses threads or the listener.
    pub fn start(options: Options) -> Result<Server> {
        Server::start_and_tell(options, || ())
    }

    /// Starts a server, and calls `at_end` when its thread ends, for whatever reason.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_and_tell(
        options: Options,
        at_end: impl FnOnce() + Send + 'static,
    ) -> Result<Server> {
        let cannot = |err| Error::environment("cannot start the server").because(err);
        let Options { root, listener, token } = options;
        let address = listener.local_addr().map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(MAX_THREADS)
            .build()
            .map_err(cannot)?;
        let (stop, stopping) = watch::channel(false);
        let state = Arc::new(State::start(root, stopping)?);
        let guard = Guard::new(token, address.port());
        let serve = move || {
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, connection::serve(listener, Arc::clone(&state), guard));
            // The tasks hold the state; the writer ends with it.
            drop(tasks);
            drop(runtime);
            drop(state);
        };
        let thread = spawn(serve, at_end)?;
        Ok(Server { address, stop, thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reports whether the server has ended because it could not go on.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // A panic has been reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Runs `serve` on a thread, and then `at_end`, also after a panic.
fn spawn(
    serve: impl FnOnce() + Send + 'static,
    at_end: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>> {
    let work = move || {
        let served = catch_unwind(AssertUnwindSafe(serve));
        at_end();
        if let Err(panic) = served {
            resume_unwind(panic);
        }
    };
    let thread = thread::Builder::new().name("server".into()).spawn(work);
    thread.map_err(|err| Error::thread(&err))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn end_is_told_after_panic() {
        for serve in [|| (), || panic!("on purpose")] {
            let (tell, told) = mpsc::channel();
            let thread = spawn(serve, move || tell.send(()).unwrap()).unwrap();
            told.recv().unwrap();
            let _ = thread.join();
        }
    }
}
