//! A store and what a process needs to use it.

use std::path::{Path, PathBuf};

use repro::pipeline::RemoteSpec;
use repro::remote::{Backend, Fault, FaultKind};
use serde::{Deserialize, Serialize};

use crate::{elsewhere, faults, operations, ssh};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setting {
    pub suite: Suite,
    pub spec: RemoteSpec,
    pub variables: Vec<(String, String)>,
    pub home: PathBuf,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Suite {
    /// All operations.
    Writable,
    /// The same, on a server that writes files in place: two writers of one file mix their bytes.
    InPlace,
    /// The operations of a store that cannot be written; its files are prepared.
    ReadOnly,
    /// The place does not exist.
    NoSuchPlace,
    /// The credentials are wrong.
    Denied,
    /// There are no credentials.
    NoCredentials,
    /// A proxy in front of the store sees the requests for data from elsewhere.
    Observed,
    /// The faults of a proxy in front of the store.
    Faults,
    /// The faults of `ssh`.
    Ssh,
}

pub type Test = fn(&Setting) -> Result<(), String>;

impl Suite {
    pub fn tests(self) -> Vec<(&'static str, Test)> {
        match self {
            Suite::Writable => [operations::WRITABLE, operations::WHOLE, elsewhere::ADDED].concat(),
            Suite::InPlace => [operations::WRITABLE, elsewhere::ADDED].concat(),
            Suite::ReadOnly => operations::READ_ONLY.to_vec(),
            Suite::NoSuchPlace => vec![("no such place", operations::no_such_place as Test)],
            Suite::Denied => {
                [&[("wrong credentials", operations::denied as Test)], elsewhere::DENIED].concat()
            }
            Suite::Observed => elsewhere::OBSERVED.to_vec(),
            Suite::NoCredentials => vec![("no credentials", operations::denied as Test)],
            Suite::Faults => faults::ALL.to_vec(),
            Suite::Ssh => [ssh::ALL, elsewhere::BY_SSH].concat(),
        }
    }
}

impl Setting {
    pub fn new(suite: Suite, url: &str) -> Setting {
        let spec = RemoteSpec::new("lab", url);
        Setting { suite, spec, variables: Vec::new(), home: PathBuf::from("/nonexistent") }
    }

    pub fn suite(&self, suite: Suite) -> Setting {
        Setting { suite, ..self.clone() }
    }

    pub fn endpoint(mut self, endpoint: &str) -> Setting {
        self.spec.endpoint = Some(endpoint.to_owned());
        self
    }

    /// Sets variables, and removes those without a value.
    pub fn variables(mut self, variables: &[(&str, &str)]) -> Setting {
        for (name, value) in variables {
            self.variables.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.variables.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        self
    }

    pub fn open(&self) -> Box<dyn Backend> {
        self.open_at(&self.home)
    }

    pub fn open_at(&self, root: &Path) -> Box<dyn Backend> {
        repro::remote::open(&self.spec, root).unwrap()
    }
}

/// Fails with a text unless a verb fails in the expected way.
pub fn expect<T>(result: Result<T, Fault>, kind: FaultKind) -> Result<Fault, String> {
    match result {
        Ok(_) => Err(format!("succeeded instead of {kind:?}")),
        Err(fault) if fault.kind == kind => Ok(fault),
        Err(fault) => Err(format!("{:?} instead of {kind:?}: {fault}", fault.kind)),
    }
}

pub fn text(fault: Fault) -> String {
    format!("{:?}: {fault}", fault.kind)
}
