//! The place outside the project from which the outs of a stage come, such as a URL. Does not
//! fetch anything.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::git_url::{BadUrl, GitUrl};
use super::{Location, check_name};
use crate::error::did_you_mean;
use crate::percent;
use crate::repo_path::RepoPath;

/// The schemes of URLs.
const SCHEMES: [&str; 11] =
    ["https", "http", "file", "s3", "gs", "az", "sftp", "ssh", "webdav", "webdavs", "remote"];
/// The schemes of stores, which have folders.
const OF_STORES: [&str; 8] = ["s3", "gs", "az", "sftp", "ssh", "webdav", "webdavs", "remote"];

/// The place from which the outs of a stage without a command come.
///
/// Its JSON is a line of the lock, so the order of the fields is part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Origin {
    Url(UrlOrigin),
    Project(ProjectOrigin),
}

/// An out, or a file that git tracks, of another project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectOrigin {
    /// The git repository of the project.
    pub repo: GitUrl,
    /// The path in the repository.
    pub path: RepoPath,
    /// The revision that a user asks for: a branch, a tag or a commit; without it, `HEAD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<String>,
}

impl fmt::Display for ProjectOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.path, self.repo)?;
        self.rev.iter().try_for_each(|rev| write!(f, " at {rev}"))
    }
}

/// A file at a URL, or the content of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UrlOrigin {
    pub url: Url,
    /// The file is an archive, and the out is the folder of its entries.
    #[serde(default, skip_serializing_if = "is_false")]
    pub extract: bool,
    /// Digests of the file that a user states, in lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !value
}

impl Origin {
    /// Returns the place without options, for messages.
    pub fn place(&self) -> Cow<'_, str> {
        match self {
            Origin::Url(origin) => origin.url.as_str().into(),
            Origin::Project(origin) => origin.to_string().into(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UrlOrigin { url, extract, sha256, md5 } = match self {
            Origin::Url(origin) => origin,
            Origin::Project(origin) => return origin.fmt(f),
        };
        f.write_str(url.as_str())?;
        if *extract {
            f.write_str(" (extracted)")?;
        }
        let sums = [("sha256", sha256), ("md5", md5)];
        let mut sums = sums.into_iter().filter_map(|(name, sum)| Some((name, sum.as_ref()?)));
        sums.try_for_each(|(name, sum)| write!(f, " {name} {}", &sum[..sum.len().min(10)]))
    }
}

/// A URL of a scheme that can be read, without a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Url(Box<str>);

impl TryFrom<String> for Url {
    type Error = BadUrl;

    fn try_from(text: String) -> Result<Url, BadUrl> {
        Url::parse(&text)
    }
}

impl Url {
    /// Parses `SCHEME://…`.
    ///
    /// # Errors
    /// The text is not a URL, its scheme is unknown, or it contains a password.
    pub fn parse(text: &str) -> Result<Url, BadUrl> {
        let bad = |what: &str, hint: String| Err(BadUrl { what: what.to_owned(), hint });
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return bad("contains a blank or a control character", "write a blank as %20".into());
        }
        let example = || "`https://example.org/data.csv` is an example".to_owned();
        let Some((scheme, rest)) = text.split_once("://") else {
            return bad("is not a URL", example());
        };
        if !SCHEMES.contains(&scheme) {
            let meant =
                did_you_mean(scheme, SCHEMES).map(|meant| format!("did you mean `{meant}`?"));
            let hint = meant.unwrap_or_else(|| format!("the schemes are {}", SCHEMES.join(", ")));
            return Err(BadUrl { what: format!("has the unknown scheme `{scheme}`"), hint });
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_of_store = OF_STORES.contains(&scheme);
        match scheme {
            "file" if !host.is_empty() && host != "localhost" => {
                return bad("names a host", "`file:///PATH` names a local file".into());
            }
            "file" => {}
            _ if host.is_empty() => return bad("has no host", example()),
            _ => {}
        }
        if path.trim_matches('/').is_empty() && !is_of_store {
            return bad("names no file", example());
        }
        // A user of HTTP is a token, or needs a password.
        let is_web = matches!(scheme, "http" | "https");
        if host.rsplit_once('@').is_some_and(|(user, _)| is_web || user.contains(':')) {
            let hint = match scheme {
                "sftp" | "ssh" => "use a key: `ssh-copy-id` installs it",
                "s3" | "gs" | "az" => "credentials come from the environment",
                _ => "write the login and the password into `~/.netrc`",
            };
            return bad("contains a password, which git would keep", hint.into());
        }
        if let Some(name) = secret_parameter(path) {
            return Err(BadUrl {
                what: format!("contains a secret, the value of `{name}`, which git would keep"),
                hint:
                    "use the URL of the store, such as `s3://BUCKET/PATH`, with credentials from \
                       the environment; or let the `cmd` of a stage download the file"
                        .to_owned(),
            });
        }
        if is_of_store {
            check_store(scheme, host, path)?;
        }
        Ok(Url(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// Returns the last name of the path, percent-encoded as it is in the URL.
    pub fn file_name(&self) -> &str {
        let path = self.0.split(['?', '#']).next().unwrap_or_default();
        path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }

    /// Reports whether the URL names a file or folder of a store, such as a bucket.
    pub fn is_of_store(&self) -> bool {
        OF_STORES.contains(&self.scheme())
    }

    /// Reports whether the URL ends like that of a folder.
    pub fn names_folder(&self) -> bool {
        self.0.ends_with('/') || self.store_path().is_empty()
    }

    /// Returns the name of the remote in `remote://NAME/PATH`.
    pub fn remote(&self) -> Option<&str> {
        self.0.strip_prefix("remote://").map(|rest| rest.split('/').next().unwrap_or_default())
    }

    /// Returns the URL of the whole store: the bucket, or the folder at which paths start.
    pub fn store(&self) -> String {
        let (scheme, host, path) = self.parts();
        let home = if path == "~" || path.starts_with("~/") { "~/" } else { "" };
        match scheme {
            "sftp" | "ssh" => format!("{scheme}://{host}/{home}"),
            _ => format!("{scheme}://{host}"),
        }
    }

    /// Returns the path in the store, decoded, without `/` around it; empty for the whole store.
    pub fn store_path(&self) -> String {
        let (scheme, _, path) = self.parts();
        let path = match scheme {
            "sftp" | "ssh" if path == "~" => "",
            "sftp" | "ssh" => path.strip_prefix("~/").unwrap_or(path),
            _ => path,
        };
        String::from_utf8_lossy(&percent::decode(path.trim_matches('/'))).into_owned()
    }

    /// Returns the scheme, the host and the path without the `/` before it.
    fn parts(&self) -> (&str, &str, &str) {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        (scheme, host, path)
    }
}

/// Names of the parts of queries that give access, in lower case.
const SECRETS: [&str; 8] = [
    "x-amz-signature",
    "x-amz-security-token",
    "x-goog-signature",
    "signature",
    "sig",
    "access_token",
    "private_token",
    "api_key",
];

/// Returns the name of a part of the query whose value is a secret.
fn secret_parameter(path: &str) -> Option<&str> {
    let (_, query) = path.split_once('?')?;
    let names = query.split('&').filter_map(|part| part.split('=').next());
    names.into_iter().find(|name| SECRETS.contains(&&*name.to_ascii_lowercase()))
}

/// Refuses what no store has.
fn check_store(scheme: &str, host: &str, path: &str) -> Result<(), BadUrl> {
    let bad = |what: &str, hint: &str| Err(BadUrl { what: what.to_owned(), hint: hint.to_owned() });
    if path.contains(['?', '#']) || host.contains(['?', '#']) {
        return bad("has a query or a fragment", "write `?` as %3F and `#` as %23 in a path");
    }
    let path = percent::decode(path.trim_matches('/'));
    let Ok(path) = std::str::from_utf8(&path) else {
        return bad("has a path that is not UTF-8", "rename the file");
    };
    if path.chars().any(char::is_control) {
        return bad("has a control character in its path", "rename the file");
    }
    let is_odd = |part: &str| matches!(part, "" | "." | "..");
    if !path.is_empty() && path.split('/').any(is_odd) {
        return bad("has an empty name, `.` or `..` in its path", "write the path without it");
    }
    match scheme {
        "remote" => match check_name(host) {
            Ok(()) => Ok(()),
            Err(_) => bad("has no valid name of a remote", "`remote://NAME/PATH` is the form"),
        },
        _ => match Location::parse(&format!("{scheme}://{host}/")) {
            Ok(_) => Ok(()),
            Err(at) => Err(BadUrl { what: format!("names no place: {}", at.what), hint: at.hint }),
        },
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reports whether a text that a user typed is meant as a URL and not as a path.
pub fn is_url(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, name) in [
            ("https://example.org/a/b.zip", "b.zip"),
            ("http://[::1]:8080/b.zip?x=/y", "b.zip"),
            ("https://x/b.zip?design=1", "b.zip"),
            ("s3://bucket/a%20b.csv", "a%20b.csv"),
            ("file:///data/x/", "x"),
            ("sftp://user@host/x", "x"),
            ("s3://bucket", "bucket"),
            ("remote://lab/data/", "data"),
        ] {
            assert_eq!(Url::parse(text).unwrap().file_name(), name, "{text}");
        }
        for (text, what) in [
            ("data/x", "is not a URL"),
            ("htps://x/y", "has the unknown scheme `htps`"),
            ("https:///y", "has no host"),
            ("https://x", "names no file"),
            ("https://x/", "names no file"),
            ("file://host/x", "names a host"),
            ("https://a:b@x/y", "contains a password, which git would keep"),
            ("https://token@x/y", "contains a password, which git would keep"),
            (
                "https://x/y?a=1&X-Amz-Signature=0",
                "contains a secret, the value of `X-Amz-Signature`, which git would keep",
            ),
            (
                "https://x/y?sv=1&sig=0",
                "contains a secret, the value of `sig`, which git would keep",
            ),
            ("https://x/a b", "contains a blank or a control character"),
            ("s3://key:secret@b/x", "contains a password, which git would keep"),
            ("s3://b/x?versionId=1", "has a query or a fragment"),
            ("s3://b/a//x", "has an empty name, `.` or `..` in its path"),
            ("sftp://h/%2e%2e/x", "has an empty name, `.` or `..` in its path"),
            ("gs://b/a%0Ab", "has a control character in its path"),
            ("az://b/a%FF", "has a path that is not UTF-8"),
            ("remote://a b/x", "contains a blank or a control character"),
            ("remote://@/x", "has no valid name of a remote"),
            ("s3://b@c/x", "names no place: the URL of `s3://c/` contains a user or a password"),
        ] {
            assert_eq!(Url::parse(text).unwrap_err().what, what, "{text}");
        }
    }

    #[test]
    fn places_in_stores() {
        for (text, store, path, is_folder) in [
            ("s3://b/a%20b/c.csv", "s3://b", "a b/c.csv", false),
            ("s3://b/a/", "s3://b", "a", true),
            ("az://b", "az://b", "", true),
            ("ssh://me@h:22/srv/x", "ssh://me@h:22/", "srv/x", false),
            ("sftp://h/~/x", "sftp://h/~/", "x", false),
            ("webdavs://h/dav/x", "webdavs://h", "dav/x", false),
            ("remote://lab/x/y", "remote://lab", "x/y", false),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.store().as_str(), url.store_path().as_str()), (store, path), "{text}");
            assert_eq!(url.names_folder(), is_folder, "{text}");
        }
    }

    #[test]
    fn json_of_an_origin() {
        let origin = Origin::Url(UrlOrigin {
            url: Url::parse("https://x/y.zip").unwrap(),
            extract: true,
            sha256: None,
            md5: Some("0".repeat(32)),
        });
        let json = serde_json::to_string(&origin).unwrap();
        let zeros = "0".repeat(32);
        assert_eq!(json, format!(r#"{{"url":"https://x/y.zip","extract":true,"md5":"{zeros}"}}"#));
        assert_eq!(serde_json::from_str::<Origin>(&json).unwrap(), origin);
        let origin = Origin::Project(ProjectOrigin {
            repo: GitUrl::parse("../other").unwrap(),
            path: RepoPath::parse("data/x").unwrap(),
            rev: Some("v1".to_owned()),
        });
        let json = serde_json::to_string(&origin).unwrap();
        assert_eq!(json, r#"{"repo":"../other","path":"data/x","rev":"v1"}"#);
        assert_eq!(serde_json::from_str::<Origin>(&json).unwrap(), origin);
        for bad in [
            r#"{"url":"x"}"#,
            r#"{"repo":"a::b","path":"x"}"#,
            r#"{"repo":"x"}"#,
            r#"{"url":"https://x/y","new":1}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<Origin>(bad).is_err(), "{bad}");
        }
    }
}
