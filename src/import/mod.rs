//! Moves experiments, runs and models between MLflow and the run store of this project: from a
//! folder `mlruns`, a database of MLflow's or a running server, and to a server. The only network
//! access is that to the server that the user names.

mod database;
mod entity;
mod folder;
mod http;
mod into_store;
mod place;
mod server;
mod to_server;

use std::path::Path;
use std::time::Duration;

use self::database::Database;
use self::entity::Source;
use self::folder::Folder;
use self::http::Client;
use self::server::Server;
use crate::engine::Project;
use crate::error::{Error, Result};
use crate::report::import::Imported;
use crate::runs::Store;

pub use self::to_server::export;

/// Time that a change waits for another process that writes the history.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Imports from a folder `mlruns`, a database or the address of a server. Relative paths start at
/// `here`.
///
/// # Errors
/// `from` is none of these, or cannot be read; the run store cannot be written.
pub fn import(project: &Project, here: &Path, from: &str) -> Result<Imported> {
    let mut source = source(here, from)?;
    let store = Store::open(&project.history, BUSY_TIMEOUT)?;
    into_store::copy(project, &store, source.as_mut())
}

fn source(here: &Path, from: &str) -> Result<Box<dyn Source>> {
    if from.starts_with("http://") || from.starts_with("https://") {
        return Ok(Box::new(Server(Client::new(from)?)));
    }
    let path = from.strip_prefix("sqlite:///").unwrap_or(from);
    let path = place::local(path, here).ok_or_else(|| unknown(from))?;
    let path = match path.strip_prefix(".") {
        Ok(inner) if !inner.as_os_str().is_empty() => inner.to_owned(),
        _ => path,
    };
    if path.is_file() {
        return Ok(Box::new(Database::open(&path)?));
    }
    let inside = path.join("mlruns");
    match path.is_dir() {
        true if Folder::is_one(&path) => Ok(Box::new(Folder::new(&path))),
        true if Folder::is_one(&inside) => Ok(Box::new(Folder::new(&inside))),
        true => Err(Error::usage(format!("`{from}` has no experiments of MLflow"))
            .hint("name the folder `mlruns`, a database such as `mlflow.db`, or a server")),
        false => Err(Error::missing(format!("`{from}` does not exist"))),
    }
}

fn unknown(from: &str) -> Error {
    Error::usage(format!("runs cannot be read from `{from}`"))
        .hint("name the folder `mlruns`, a database such as `mlflow.db`, or a server")
}
