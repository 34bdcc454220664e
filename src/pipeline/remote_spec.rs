//! A declared remote: its address, its use and its settings. Does not know about kinds of stores.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A `[remotes.NAME]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteSpec {
    pub name: String,
    /// As it was written: a URL, or the path of a folder.
    pub url: String,
    /// Commands without the name of a remote use this one.
    pub is_default: bool,
    pub auto: Auto,
    pub region: Option<String>,
    pub endpoint: Option<String>,
    pub profile: Option<String>,
    pub path_style: Option<bool>,
    /// Number of transfers at once.
    pub jobs: Option<usize>,
    /// Maximum time for one request.
    pub timeout: Option<Duration>,
}

impl RemoteSpec {
    /// Returns a remote without settings.
    pub fn new(name: &str, url: &str) -> RemoteSpec {
        RemoteSpec {
            name: name.to_owned(),
            url: url.to_owned(),
            is_default: false,
            auto: Auto::Off,
            region: None,
            endpoint: None,
            profile: None,
            path_style: None,
            jobs: None,
            timeout: None,
        }
    }
}

/// Transfers that happen without being asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auto {
    #[default]
    Off,
    /// `repro run` fetches the outs that the remote has.
    Pull,
}
