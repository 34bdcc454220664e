//! The server to which the commands of stages with `mlflow` log.

use std::path::Path;
use std::sync::Arc;

use crate::engine::run::Tracking;

/// Returns what gives these commands the address of a server on the project at `root`.
#[cfg(not(feature = "ui"))]
pub(super) fn tracking(_root: &Path) -> Arc<dyn Tracking> {
    Arc::new(crate::engine::run::NoTracking)
}

/// Returns what gives these commands the address of a server on the project at `root`.
#[cfg(feature = "ui")]
pub(super) fn tracking(root: &Path) -> Arc<dyn Tracking> {
    Arc::new(own_server::OwnServer::new(root))
}

#[cfg(feature = "ui")]
mod own_server {
    use std::net::{Ipv4Addr, TcpListener};
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, PoisonError};

    use crate::engine;
    use crate::engine::run::Tracking;
    use crate::error::{Error, Result};
    use crate::event::RunUid;
    use crate::pipeline::StageName;
    use crate::runs::Store;
    use crate::serve::{Options, Server, Token};

    /// A server on a free port of the loopback interface, started by the first command that needs
    /// it. It ends when this is dropped.
    #[derive(Debug)]
    pub(super) struct OwnServer {
        root: PathBuf,
        running: Mutex<Option<Running>>,
    }

    #[derive(Debug)]
    struct Running {
        server: Server,
        token: String,
    }

    impl OwnServer {
        pub(super) fn new(root: &Path) -> OwnServer {
            OwnServer { root: root.to_owned(), running: Mutex::new(None) }
        }

        fn start(&self) -> Result<Running> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|err| {
                Error::environment("cannot listen on a port of 127.0.0.1").because(err)
            })?;
            // Other users of this machine cannot log here.
            let (secret, token) = Token::random()?;
            let options = Options { root: self.root.clone(), listener, token: Some(secret) };
            Ok(Running { server: Server::start(options)?, token })
        }
    }

    impl Tracking for OwnServer {
        fn environment(&self, run: RunUid, stage: &StageName) -> Result<Vec<(String, String)>> {
            let store = Store::open_existing(&engine::home(&self.root))?;
            let experiment = store.map(|store| store.experiment_of(run)).transpose()?.flatten();
            let Some(experiment) = experiment else {
                return Err(Error::environment(
                    "its `mlflow` needs the history, which the run could not be written to",
                ));
            };
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let running = match &mut *running {
                Some(running) if !running.server.has_ended() => running,
                none => none.insert(self.start()?),
            };
            let address = running.server.address();
            let uri = format!("http://{address}/run/{run}/stage/{}", in_url(stage));
            Ok([
                ("MLFLOW_TRACKING_URI", uri),
                ("MLFLOW_TRACKING_TOKEN", running.token.clone()),
                ("MLFLOW_RUN_ID", run.to_string()),
                ("MLFLOW_EXPERIMENT_ID", experiment.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into())
        }
    }

    /// Returns a stage's name as a segment of a URL.
    fn in_url(stage: &StageName) -> String {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@=".contains(&byte);
        let escaped = stage.as_str().bytes().map(|byte| match is_plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        });
        escaped.collect()
    }
}
