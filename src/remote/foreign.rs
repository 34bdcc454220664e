//! Remotes that another project declares. Its `pipeline.toml` is foreign input: it must not lead
//! credentials of this machine to a place of its choice.
//!
//! # Rules
//!
//! - A place in the store of one of this project's remotes is asked with the settings of that one.
//! - The variables of a remote, such as `REPRO_REMOTE_LAB_TOKEN`, are those of this project. Only
//!   `REPRO_REMOTE_LAB_URL` counts for others, too: whoever sets it knows the place.
//! - An `endpoint` that this project does not declare gets nothing with which somebody could ask
//!   another server. A signature for S3 is of no use elsewhere.

use std::path::Path;

use super::backend::Backend;
use super::location::{location, open_at};
use super::stores::Access;
use crate::error::Result;
use crate::pipeline::{Location, RemoteSpec};

/// Ends of the names of hosts of Azure, where tokens for Azure are sent anyway.
const AZURE: [&str; 3] = [".core.windows.net", ".core.chinacloudapi.cn", ".core.usgovcloudapi.net"];

/// Opens the store of a remote that another project declares; `own` are those of this project.
///
/// # Errors
/// The URL names no place, or a setting that the store needs is missing.
pub(super) fn open(spec: &RemoteSpec, own: &[RemoteSpec], root: &Path) -> Result<Box<dyn Backend>> {
    let (at, variable) = location(spec)?;
    let (spec, access) = match variable {
        Some(_) => (spec.clone(), Access::Signed),
        None => settings(spec, &at, own),
    };
    open_at(&spec, at, root, access)
}

/// Returns the settings with which a place is asked.
fn settings(spec: &RemoteSpec, at: &Location, own: &[RemoteSpec]) -> (RemoteSpec, Access) {
    let is_same_store = |other: &&RemoteSpec| {
        let of_other = Location::parse(&other.url).ok();
        other.endpoint == spec.endpoint && of_other.is_some_and(|of| of.within(at).is_some())
    };
    if let Some(own) = own.iter().find(is_same_store) {
        return (RemoteSpec { url: spec.url.clone(), ..own.clone() }, Access::Signed);
    }
    let access = match (at, &spec.endpoint) {
        (Location::Gcs { .. }, Some(_)) => Access::Anonymous,
        (Location::Azure { .. }, Some(endpoint)) if !is_azure(endpoint) => Access::Anonymous,
        _ => Access::Signed,
    };
    // Google's host is fixed. A remote without a name has no variables.
    let name = if matches!(at, Location::Drive { .. }) { spec.name.clone() } else { String::new() };
    (RemoteSpec { name, ..spec.clone() }, access)
}

fn is_azure(endpoint: &str) -> bool {
    let Some(rest) = endpoint.strip_prefix("https://") else { return false };
    let host = rest.split(['/', ':', '?', '#']).next().unwrap_or_default();
    !host.contains('@') && AZURE.iter().any(|end| host.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::parse_remotes;

    fn specs(text: &str) -> Vec<RemoteSpec> {
        parse_remotes(text).unwrap()
    }

    #[test]
    fn settings_of_foreign_remotes() {
        let own = specs(
            "[remotes.lab]\nurl = 'webdavs://lab/own'\n[remotes.s]\nurl = 's3://b/x'\n\
             endpoint = 'http://minio'\nprofile = 'p'\n",
        );
        for (foreign, name, is_signed) in [
            ("url = 'webdavs://evil/x'", "", true),
            ("url = 'webdavs://lab/other'", "lab", true),
            ("url = 's3://b/y'", "", true),
            ("url = 's3://b/y'\nendpoint = 'http://minio'", "s", true),
            ("url = 's3://b/y'\nendpoint = 'http://evil'", "", true),
            ("url = 'gs://b'", "", true),
            ("url = 'gs://b'\nendpoint = 'https://evil'", "", false),
            ("url = 'az://b'\nendpoint = 'https://me.blob.core.windows.net'", "", true),
            ("url = 'az://b'\nendpoint = 'https://evil/.core.windows.net'", "", false),
            ("url = 'az://b'\nendpoint = 'http://me.blob.core.windows.net'", "", false),
            ("url = 'gdrive://x'", "lab", true),
        ] {
            let foreign = &specs(&format!("[remotes.lab]\n{foreign}\n"))[0];
            let at = Location::parse(&foreign.url).unwrap();
            let (spec, access) = settings(foreign, &at, &own);
            assert_eq!(spec.name, name, "{foreign:?}");
            assert_eq!(spec.url, foreign.url);
            assert_eq!(access == Access::Signed, is_signed, "{foreign:?}");
        }
    }
}
