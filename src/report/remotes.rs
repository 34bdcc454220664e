//! The reports of `repro remote`: the declared remotes, and what works at them.

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::pipeline::{Auto, RemoteSpec};
use crate::remote::{self, Fault, FaultKind};

/// A declared remote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoteEntry {
    pub name: String,
    pub url: String,
    pub default: bool,
    /// `pull` if `repro run` fetches from it.
    pub auto: Option<&'static str>,
    /// The variable that replaces the declared URL.
    pub url_from: Option<String>,
}

/// The verbs that work at a remote.
#[derive(Debug, Clone, Serialize)]
pub struct RemoteCheck {
    pub name: String,
    pub url: String,
    pub list: Verb,
    pub read: Verb,
    pub write: Verb,
    pub delete: Verb,
    pub read_only: bool,
    /// The first failure, unless the remote is read-only.
    #[serde(skip)]
    pub error: Option<Error>,
}

/// The end of an attempt at a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    Works,
    Untried,
    Missing,
    NoSuchPlace,
    Denied,
    Full,
    Truncated,
    Busy,
    Unavailable,
    Unsupported,
    Failed,
}

impl RemoteEntry {
    /// # Errors
    /// The variable that replaces the URL names no place.
    pub fn new(spec: &RemoteSpec) -> Result<RemoteEntry> {
        let (location, variable) = remote::location(spec)?;
        let auto = match spec.auto {
            Auto::Pull => Some("pull"),
            Auto::Off => None,
        };
        Ok(RemoteEntry {
            name: spec.name.clone(),
            url: location.to_string(),
            default: spec.is_default,
            auto,
            url_from: variable,
        })
    }
}

impl RemoteCheck {
    /// Tries a remote.
    ///
    /// # Errors
    /// The remote cannot be opened: a setting or a variable is missing.
    pub fn new(spec: &RemoteSpec, root: &Path) -> Result<RemoteCheck> {
        let store = remote::open(spec, root)?;
        let probe = remote::probe(&*store);
        let read_only = probe.is_read_only();
        let ends = [("write", &probe.write), ("list", &probe.list), ("read", &probe.read)];
        let ends = ends.into_iter().chain(probe.delete.iter().map(|end| ("delete", end)));
        // What the kind of store lacks is no reason why another verb fails.
        let first = ends
            .filter_map(|(verb, end)| Some((verb, end.as_ref().err()?)))
            .find(|(_, fault)| !read_only && fault.kind != FaultKind::Unsupported);
        let error = first.map(|(verb, fault)| remote::error(&*store, verb, "probe", fault));
        Ok(RemoteCheck {
            name: spec.name.clone(),
            url: store.place(),
            list: Verb::of(&probe.list),
            read: Verb::of(&probe.read),
            write: Verb::of(&probe.write),
            delete: probe.delete.as_ref().map_or(Verb::Untried, Verb::of),
            read_only,
            error,
        })
    }
}

impl Verb {
    fn of(end: &Result<(), Fault>) -> Verb {
        match end.as_ref().err().map(|fault| fault.kind) {
            None => Verb::Works,
            Some(FaultKind::Missing) => Verb::Missing,
            Some(FaultKind::NoSuchPlace) => Verb::NoSuchPlace,
            Some(FaultKind::Denied) => Verb::Denied,
            Some(FaultKind::Full) => Verb::Full,
            Some(FaultKind::Truncated) => Verb::Truncated,
            Some(FaultKind::Busy(_)) => Verb::Busy,
            Some(FaultKind::Unavailable) => Verb::Unavailable,
            Some(FaultKind::Unsupported) => Verb::Unsupported,
            Some(FaultKind::Other) => Verb::Failed,
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Verb::Works => "works",
            Verb::Untried => "-",
            Verb::Missing => "missing",
            Verb::NoSuchPlace => "no such place",
            Verb::Denied => "denied",
            Verb::Full => "full",
            Verb::Truncated => "truncated",
            Verb::Busy => "busy",
            Verb::Unavailable => "unavailable",
            Verb::Unsupported => "unsupported",
            Verb::Failed => "fails",
        }
    }
}
