//! From the URL of data to the store that has it: which remote's settings apply, and the path in
//! the store.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result, did_you_mean};
use crate::pipeline::{Location, RemoteSpec, Url};
use crate::remote::backend::{Backend, Fault};
use crate::remote::fault::is_without_credentials;
use crate::remote::location::{location, open_at};
use crate::remote::stores::Access;

/// The remotes of a project, whose settings and credentials are those of the URLs of their stores.
#[derive(Debug, Clone, Copy)]
pub struct Remotes<'a> {
    pub declared: &'a [RemoteSpec],
    /// Folder at which relative paths start.
    pub root: &'a Path,
}

/// A store, and the path in it that a URL names.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) store: Arc<dyn Backend>,
    pub(super) path: String,
}

/// Calls `look` with the store of a URL. If no credentials for it are found, calls it once more
/// with a store that is asked without.
///
/// # Errors
/// The URL names no declared remote, a setting that the store needs is missing, or `look` fails.
pub(super) fn open<T>(
    url: &Url,
    remotes: Remotes<'_>,
    look: impl Fn(&Arc<dyn Backend>, &str) -> std::result::Result<T, Fault>,
) -> Result<(Place, std::result::Result<T, Fault>)> {
    let (spec, at) = match url.remote() {
        Some(name) => {
            let spec = named(name, url, remotes.declared)?;
            (spec.clone(), location(spec)?.0)
        }
        None => {
            let at = parse(&url.store())?;
            (settings(url, &at, remotes.declared)?, at)
        }
    };
    let path = url.store_path();
    let open = |access| open_at(&spec, at.clone(), remotes.root, access).map(Arc::from);
    let mut store = open(Access::Signed)?;
    let mut found = look(&store, &path);
    if found.as_ref().is_err_and(is_without_credentials) {
        let public = open(Access::Anonymous)?;
        // Where that is refused too, the missing credentials say more.
        if let Ok(seen) = look(&public, &path) {
            (store, found) = (public, Ok(seen));
        }
    }
    Ok((Place { store, path }, found))
}

fn parse(store: &str) -> Result<Location> {
    Location::parse(store).map_err(|bad| Error::usage(bad.what).hint(bad.hint))
}

fn named<'a>(name: &str, url: &Url, declared: &'a [RemoteSpec]) -> Result<&'a RemoteSpec> {
    declared.iter().find(|spec| spec.name == name).ok_or_else(|| {
        let names = declared.iter().map(|spec| spec.name.as_str());
        let error = Error::usage(format!("`{url}` names no declared remote"));
        match did_you_mean(name, names) {
            Some(meant) => error.hint(format!("did you mean `remote://{meant}/…`?")),
            None => error.hint(format!("declare it as `[remotes.{name}]` in pipeline.toml")),
        }
    })
}

/// Returns the settings of the remote in the same store whose URL has the longest part of the path;
/// without one, those of the provider's own tools.
fn settings(url: &Url, at: &Location, declared: &[RemoteSpec]) -> Result<RemoteSpec> {
    let path = url.store_path();
    let mut best: Vec<(usize, &RemoteSpec)> = Vec::new();
    for spec in declared {
        let Some(prefix) = Location::parse(&spec.url).ok().and_then(|of| of.within(at)) else {
            continue;
        };
        let below =
            path.strip_prefix(&prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let length = if below.is_some() { prefix.len() } else { 0 };
        let longest = best.first().map_or(0, |(longest, _)| *longest);
        if length > longest {
            best.clear();
        }
        if length >= longest {
            best.push((length, spec));
        }
    }
    match best[..] {
        // Without a name, it has no variables.
        [] => Ok(RemoteSpec::new("", url.as_str())),
        [(_, first), ref others @ ..] => match others.iter().find(|(_, it)| differ(first, it)) {
            None => Ok(first.clone()),
            Some((_, other)) => Err(Error::usage(format!(
                "`{url}` is in the store of the remotes `{}` and `{}`, whose settings differ",
                first.name, other.name
            ))
            .hint("write `remote://NAME/PATH`, where PATH is below the `url` of the remote")),
        },
    }
}

/// Reports whether two remotes of one store are asked in different ways.
fn differ(one: &RemoteSpec, other: &RemoteSpec) -> bool {
    let of = |spec: &RemoteSpec| {
        let RemoteSpec { region, endpoint, profile, path_style, .. } = spec.clone();
        (region, endpoint, profile, path_style)
    };
    of(one) != of(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, url: &str, endpoint: Option<&str>) -> RemoteSpec {
        let endpoint = endpoint.map(str::to_owned);
        RemoteSpec { endpoint, ..RemoteSpec::new(name, url) }
    }

    #[test]
    fn settings_of_urls() {
        let declared = [
            spec("aws", "s3://bucket/store", None),
            spec("deep", "s3://bucket/store/deep", Some("http://a")),
            spec("lab", "s3://lab/store", Some("http://b")),
            spec("ssh", "ssh://me@host/srv", None),
            spec("dav", "webdavs://host:8443/dav", None),
        ];
        for (url, expected) in [
            ("s3://bucket/store/x", Ok("aws")),
            ("s3://bucket/store/deep/x", Ok("deep")),
            ("s3://bucket/storehouse", Err("settings differ")),
            ("s3://lab/data/x", Ok("lab")),
            ("s3://elsewhere/x", Ok("")),
            ("sftp://me@host/data", Ok("ssh")),
            ("sftp://host/data", Ok("")),
            ("webdavs://host:8443/x", Ok("dav")),
            ("webdav://host:8443/x", Ok("")),
        ] {
            let url = Url::parse(url).unwrap();
            let at = Location::parse(&url.store()).unwrap();
            match (settings(&url, &at, &declared), expected) {
                (Ok(spec), Ok(name)) => assert_eq!(spec.name, name, "{url}"),
                (Err(error), Err(part)) => assert!(error.what.contains(part), "{}", error.what),
                (found, expected) => panic!("{url}: {found:?} instead of {expected:?}"),
            }
        }
    }
}
