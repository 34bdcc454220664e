//! Sharing: what a project has computed travels to a remote and back. Connects the cache with
//! `remote`, and decides what is sent and fetched.
//!
//! Objects come before what refers to them: a push names them on the remote first, and a fetch adds
//! them to the cache before traces.
//!
//! Other commands use remotes in these steps:
//!
//! - [`open`] a remote of a project by its name, then [`Remote::refresh`] it: one listing.
//! - Ask [`Remote::catalog`] which objects, traces and runs it has; this makes no request.
//! - [`fetch::fetch_contents`] and [`fetch::fetch_traces`] fetch by digest and by key.

mod ask;
pub mod auto;
mod exchange;
pub mod fetch;
pub mod gc;
pub mod missing;
pub mod other_project;
pub mod push;
mod reach;
mod round;
pub mod runs;
pub mod select;
mod shelf;
pub mod status;
pub mod unpushed;

use std::path::PathBuf;

use super::Project;
use crate::error::{Error, Result, did_you_mean};
use crate::pipeline::{FILE, Pipeline, RemoteSpec};
use crate::remote::Remote;

/// Folder in the cache with the local knowledge about remotes.
const REMOTES: &str = "remotes";

/// Opens the remote `name` of a project, or the default one. Makes no request: call
/// [`Remote::refresh`] next. `jobs` replaces the number of calls at once.
///
/// # Errors
/// The remote is not declared, or several are and `name` does not choose one.
pub fn open(project: &Project, name: Option<&str>, jobs: Option<usize>) -> Result<Remote> {
    let mut spec = declared(&project.pipeline, name)?.clone();
    spec.jobs = jobs.or(spec.jobs);
    Remote::open(&spec, &project.history, &remotes_folder(project))
}

/// Does the same as [`open`] and then refreshes the remote, for a caller that does not wait for
/// long.
///
/// # Errors
/// In addition to those of [`open`]: the remote does not answer in time, or fails.
pub fn ask(project: &Project, name: Option<&str>) -> Result<Remote> {
    let spec = declared(&project.pipeline, name)?;
    let folder = remotes_folder(project);
    let mut answers = ask::ask_all(std::slice::from_ref(spec), &project.history, &folder);
    answers.pop().map_or_else(|| Err(Error::panicked()), |(_, answer)| answer)
}

/// Returns the folder with the local knowledge about remotes.
pub(super) fn remotes_folder(project: &Project) -> PathBuf {
    project.cache.dir().join(REMOTES)
}

/// Returns the remote `name`; without a name, the only one or the default.
///
/// # Errors
/// The remote is not declared, or several are and `name` does not choose one.
pub fn declared<'p>(pipeline: &'p Pipeline, name: Option<&str>) -> Result<&'p RemoteSpec> {
    let remotes = &pipeline.remotes;
    let listed = || {
        let names: Vec<String> =
            remotes.iter().map(|remote| format!("`{}`", remote.name)).collect();
        names.join(", ")
    };
    let found = match (name, &remotes[..]) {
        (_, []) => {
            return Err(Error::usage("this project has no remote").hint(format!(
                "add one to `{FILE}`, such as `[remotes.origin]` with `url = \"/mnt/store\"` or \
                 `url = \"s3://bucket/project\"`"
            )));
        }
        (Some(name), remotes) => remotes.iter().find(|remote| remote.name == name),
        (None, [only]) => Some(only),
        (None, remotes) => remotes.iter().find(|remote| remote.is_default),
    };
    found.ok_or_else(|| match name {
        Some(name) => {
            let error = Error::usage(format!("there is no remote `{name}`"));
            match did_you_mean(name, remotes.iter().map(|remote| remote.name.as_str())) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.hint(format!("the remotes are {}", listed())),
            }
        }
        None => Error::usage("there are several remotes, and none is the default").hint(format!(
            "name one of {} with `-r`, or set `default = true` in one of them",
            listed()
        )),
    })
}
