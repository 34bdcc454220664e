//! The state that all requests to a server share: the run store and the project.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::changes::{Changes, Revisions};
use super::readers::Readers;
use super::verdicts::{Assessed, Verdicts};
use super::writer::Writer;
use crate::engine::{self, Project};
use crate::error::{Error, Result};
use crate::event::RunKind;
use crate::runs::Store;

/// The project that is served.
#[derive(Debug)]
pub(super) struct State {
    /// Root of the project.
    pub(super) root: PathBuf,
    /// Root of the project with the run store: the main project for a worktree, else `root`.
    pub(super) history: PathBuf,
    readers: Readers,
    writer: Writer,
    changes: Changes,
    verdicts: Arc<Verdicts>,
    stopping: watch::Receiver<bool>,
}

impl State {
    /// Starts the threads that serve the project at `root`.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(super) fn start(root: PathBuf, stopping: watch::Receiver<bool>) -> Result<State> {
        let history = engine::home(&root);
        Ok(State {
            readers: Readers::new(history.clone()),
            writer: Writer::start(history.clone())?,
            changes: Changes::new(root.clone(), history.clone()),
            verdicts: Arc::default(),
            root,
            history,
            stopping,
        })
    }

    /// Reads the run store; an empty one if nothing was ever recorded.
    ///
    /// # Errors
    /// `work` fails, or the run store cannot be opened.
    pub(super) async fn read<T, E>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.readers.read(work).await
    }

    /// Writes the run store, and returns when the change is committed. If `work` fails, nothing
    /// that it did is kept.
    ///
    /// # Errors
    /// `work` fails, or the run store cannot be opened or written.
    pub(super) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.writer.write(work).await
    }

    /// Runs `work`, which may wait for files, on another thread.
    ///
    /// # Errors
    /// `work` fails.
    pub(super) async fn work<T, E>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Error::panicked().into()))
    }

    /// Loads the project as it is now, takes no lock, and runs `work` with it on another thread.
    ///
    /// # Errors
    /// The pipeline is not valid, or `work` fails.
    pub(super) async fn project<T, E>(
        &self,
        work: impl FnOnce(&Project) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let root = self.root.clone();
        self.work(move || work(&Project::load(&root, &[])?)).await
    }

    /// Returns the project with the verdict on each stage. While a run of the pipeline is in
    /// progress, they are those from before it, if they are known.
    ///
    /// # Errors
    /// The pipeline is not valid, or the run store cannot be read.
    pub(super) async fn assess(&self) -> Result<Arc<Assessed>> {
        let running = self.read(Store::in_progress).await?;
        let is_running = running.iter().any(|(_, kind)| *kind == RunKind::Pipeline);
        let (verdicts, root) = (Arc::clone(&self.verdicts), self.root.clone());
        self.work(move || match is_running {
            true => verdicts.known_or_present(&root),
            false => verdicts.present(&root),
        })
        .await
    }

    /// Returns the revisions of what the pages show, as they change.
    pub(super) async fn revisions(&self) -> watch::Receiver<Revisions> {
        self.changes.subscribe().await
    }

    /// Notices changes for those who listen, until the server ends.
    pub(super) async fn notice_changes(&self) {
        self.changes.notice().await;
    }

    /// Returns when the server is to end.
    pub(super) fn until_stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stopping = self.stopping.clone();
        async move {
            // Without a sender, the server is gone.
            let _ = stopping.wait_for(|stop| *stop).await;
        }
    }
}
