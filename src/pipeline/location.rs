//! Places of remotes: the text of a URL → its parts. Pure: does not know what a store can do.

use std::fmt;

/// The schemes of URLs that a remote can have, with their usual form.
pub(super) const SCHEMES: [(&str, &str); 10] = [
    ("file", "file:///FOLDER"),
    ("s3", "s3://BUCKET/PREFIX"),
    ("gs", "gs://BUCKET/PREFIX"),
    ("az", "az://CONTAINER/PREFIX"),
    ("sftp", "sftp://USER@HOST:PORT/FOLDER"),
    ("ssh", "ssh://USER@HOST:PORT/FOLDER"),
    ("webdav", "webdav://HOST/FOLDER"),
    ("webdavs", "webdavs://HOST/FOLDER"),
    ("https", "https://HOST/FOLDER"),
    ("gdrive", "gdrive://FOLDER"),
];

/// Returns the name of a remote's own variable, such as `REPRO_REMOTE_LAB_PASSWORD`.
pub fn own_variable(remote: &str, ending: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("REPRO_REMOTE_{}_{ending}", remote.chars().map(plain).collect::<String>())
}

/// The place that a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine, as written: relative paths start at the project root.
    Folder(String),
    S3 {
        bucket: String,
        prefix: String,
    },
    Gcs {
        bucket: String,
        prefix: String,
    },
    Azure {
        container: String,
        prefix: String,
    },
    Sftp(SshPlace),
    /// `origin` is `http://HOST:PORT` or `https://HOST:PORT`.
    WebDav {
        origin: String,
        path: String,
    },
    /// Files behind a web server, which can only be read.
    Http {
        origin: String,
        path: String,
    },
    Drive {
        path: String,
    },
}

/// A folder on a machine that `ssh` reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshPlace {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
    /// Absolute, or relative to the home folder of the user.
    pub path: String,
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLocation {
    pub what: String,
    pub hint: String,
}

impl Location {
    /// Parses a URL, or the path of a folder.
    ///
    /// # Errors
    /// The scheme is unknown, a part is missing, or the URL contains a password. No message
    /// repeats a password.
    pub fn parse(text: &str) -> Result<Location, BadLocation> {
        if text.is_empty() {
            return Err(bad("the URL is empty", usual_forms()));
        }
        if text.chars().any(char::is_control) {
            return Err(bad("the URL contains a control character", "remove it"));
        }
        let Some((scheme, rest)) = text.split_once("://") else { return folder(text) };
        let lower = scheme.to_ascii_lowercase();
        if lower == "file" {
            return file(rest);
        }
        if rest.contains(['?', '#']) {
            let shown = shown(text);
            let what = format!("`{shown}` has a query or a fragment");
            return Err(bad(what, "give the settings as keys beside `url`, such as `endpoint`"));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        reject_password(&lower, authority, text)?;
        match lower.as_str() {
            "s3" | "gs" | "gcs" | "az" | "azblob" => bucket(&lower, authority, path),
            "sftp" | "ssh" => ssh(authority, path, text),
            "webdav" | "webdavs" | "http" | "https" => web(&lower, authority, path, text),
            "gdrive" => Ok(Location::Drive { path: prefix(rest) }),
            _ => Err(unknown(scheme, text)),
        }
    }

    /// Returns the path of this place in the store in which the place `at` is; `None` if it is in
    /// another store, or in none that a host or a bucket names.
    pub fn within(&self, at: &Location) -> Option<String> {
        match (self, at) {
            (Location::S3 { bucket, prefix }, Location::S3 { bucket: other, .. })
            | (Location::Gcs { bucket, prefix }, Location::Gcs { bucket: other, .. })
            | (
                Location::Azure { container: bucket, prefix },
                Location::Azure { container: other, .. },
            ) => (bucket == other).then(|| prefix.clone()),
            (Location::WebDav { origin, path }, Location::WebDav { origin: other, .. })
            | (Location::Http { origin, path }, Location::Http { origin: other, .. }) => {
                (origin == other).then(|| path.clone())
            }
            (Location::Sftp(place), Location::Sftp(other)) => {
                let is_same = (&place.user, &place.host, place.port)
                    == (&other.user, &other.host, other.port);
                is_same.then(|| place.path.trim_matches('/').to_owned())
            }
            _ => None,
        }
    }

    /// Returns the scheme that the documentation uses for such places.
    pub fn scheme(&self) -> &'static str {
        match self {
            Location::Folder(_) => "file",
            Location::S3 { .. } => "s3",
            Location::Gcs { .. } => "gs",
            Location::Azure { .. } => "az",
            Location::Sftp(_) => "sftp",
            Location::WebDav { origin, .. } if origin.starts_with("https:") => "webdavs",
            Location::WebDav { .. } => "webdav",
            Location::Http { origin, .. } if origin.starts_with("https:") => "https",
            Location::Http { .. } => "http",
            Location::Drive { .. } => "gdrive",
        }
    }
}

/// Writes the place as messages show it. It has no secrets: URLs with passwords are not parsed.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |first: &str, rest: &str| match rest {
            "" => first.to_owned(),
            rest => format!("{first}/{rest}"),
        };
        match self {
            Location::Folder(path) => f.write_str(path),
            Location::S3 { bucket: first, prefix }
            | Location::Gcs { bucket: first, prefix }
            | Location::Azure { container: first, prefix } => {
                write!(f, "{}://{}", self.scheme(), join(first, prefix))
            }
            Location::Sftp(place) => place.fmt(f),
            Location::WebDav { origin, path } | Location::Http { origin, path } => {
                let host = origin.split_once("://").map_or(origin.as_str(), |(_, host)| host);
                write!(f, "{}://{}", self.scheme(), join(host, path))
            }
            Location::Drive { path } => write!(f, "gdrive://{path}"),
        }
    }
}

impl fmt::Display for SshPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sftp://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.path.strip_prefix('/') {
            Some(path) => write!(f, "/{path}"),
            None => write!(f, "/~/{}", self.path),
        }
    }
}

fn bad(what: impl Into<String>, hint: impl Into<String>) -> BadLocation {
    BadLocation { what: what.into(), hint: hint.into() }
}

fn usual_forms() -> String {
    let forms: Vec<String> = SCHEMES.iter().map(|(_, form)| format!("`{form}`")).collect();
    format!("write a folder, such as `/mnt/data`, or one of {}", forms.join(", "))
}

/// Returns the URL without what stands before `@`, which may be a password.
fn shown(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = authority.rsplit('@').next().unwrap_or_default();
            let slash = if rest.contains('/') { "/" } else { "" };
            format!("{scheme}://{host}{slash}{path}")
        }
        None => text.to_owned(),
    }
}

fn folder(text: &str) -> Result<Location, BadLocation> {
    let first = text.split('/').next().unwrap_or_default();
    if let Some((host, path)) = first.split_once(':')
        && !host.is_empty()
        && !host.starts_with('.')
    {
        let what = format!("`{text}` is neither a folder nor a URL");
        let rest = &text[host.len() + 1..];
        let is_scheme = SCHEMES.iter().any(|(scheme, _)| *scheme == host);
        return Err(match is_scheme {
            true => bad(what, format!("did you mean `{host}://{}`?", rest.trim_start_matches('/'))),
            false if path.is_empty() && !rest.starts_with('/') => bad(what, usual_forms()),
            false => {
                let home = if rest.starts_with('/') { "" } else { "/~/" };
                let hint = format!("for SSH write `ssh://{host}{home}{rest}`");
                bad(what, format!("{hint}, for a folder `./{text}`"))
            }
        });
    }
    Ok(Location::Folder(text.to_owned()))
}

fn file(rest: &str) -> Result<Location, BadLocation> {
    let rest = rest.strip_prefix("localhost/").map_or(rest.to_owned(), |path| format!("/{path}"));
    match rest.starts_with('/') {
        true => Ok(Location::Folder(rest)),
        false => {
            let what = format!("`file://{rest}` names a host, and only local folders are read");
            Err(bad(what, format!("did you mean `file:///{rest}`?")))
        }
    }
}

fn reject_password(scheme: &str, authority: &str, text: &str) -> Result<(), BadLocation> {
    let Some((user, _)) = authority.rsplit_once('@') else { return Ok(()) };
    let shown = shown(text);
    match scheme {
        "sftp" | "ssh" if !user.contains(':') => Ok(()),
        "sftp" | "ssh" => Err(bad(
            format!("the URL of `{shown}` contains a password"),
            "use a key: `ssh-copy-id` installs it, and `ssh-agent` holds its passphrase",
        )),
        _ => Err(bad(
            format!("the URL of `{shown}` contains a user or a password"),
            "remove it from the file; give it as `REPRO_REMOTE_<NAME>_USER` and \
             `REPRO_REMOTE_<NAME>_PASSWORD` in the environment",
        )),
    }
}

fn unknown(scheme: &str, text: &str) -> BadLocation {
    let what = format!("`{}` has the unknown scheme `{scheme}`", shown(text));
    let known = SCHEMES.iter().map(|(scheme, _)| *scheme);
    let near = known
        .max_by(|a, b| strsim::jaro_winkler(a, scheme).total_cmp(&strsim::jaro_winkler(b, scheme)));
    match near.filter(|near| strsim::jaro_winkler(near, scheme) > 0.66) {
        Some(near) => bad(what, format!("did you mean `{near}://`?")),
        None => bad(what, usual_forms()),
    }
}

/// Returns a path without the slashes around it and without empty or `.` parts.
fn prefix(path: &str) -> String {
    let parts: Vec<&str> =
        path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    parts.join("/")
}

fn bucket(scheme: &str, name: &str, path: &str) -> Result<Location, BadLocation> {
    let prefix = prefix(path);
    let kind = if scheme.starts_with("az") { "container" } else { "bucket" };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if name.is_empty() || !name.chars().all(is_plain) {
        let form = SCHEMES.iter().find(|(known, _)| scheme.starts_with(known));
        let form = form.map_or("s3://BUCKET/PREFIX", |(_, form)| form);
        let what = format!("`{scheme}://{name}` has no valid name of a {kind}");
        return Err(bad(what, format!("write `{form}`")));
    }
    if prefix.split('/').any(|part| part == "..") {
        return Err(bad(format!("the prefix `{prefix}` contains `..`"), "write it without"));
    }
    let name = name.to_owned();
    Ok(match scheme {
        "s3" => Location::S3 { bucket: name, prefix },
        "gs" | "gcs" => Location::Gcs { bucket: name, prefix },
        _ => Location::Azure { container: name, prefix },
    })
}

fn ssh(authority: &str, path: &str, text: &str) -> Result<Location, BadLocation> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, authority),
    };
    let (host, port) = host_and_port(host, text)?;
    // `ssh` would take such a name as an option, which can run a command.
    let plain = |name: &str| !name.is_empty() && !name.starts_with('-') && !name.contains(' ');
    if !plain(&host) || user.as_deref().is_some_and(|user| !plain(user)) {
        let what = format!("`{}` has no valid host or user", shown(text));
        return Err(bad(what, "write `ssh://USER@HOST/FOLDER`"));
    }
    let path = match path.strip_prefix("~/").or((path == "~").then_some("")) {
        Some(path) => prefix(path),
        None => format!("/{}", prefix(path)),
    };
    Ok(Location::Sftp(SshPlace { user, host, port, path }))
}

fn web(scheme: &str, authority: &str, path: &str, text: &str) -> Result<Location, BadLocation> {
    let (host, port) = host_and_port(authority, text)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    if host.is_empty() || !host.chars().all(is_plain) {
        let what = format!("`{}` has no valid host", shown(text));
        return Err(bad(what, format!("write `{scheme}://HOST/FOLDER`")));
    }
    let secure = if matches!(scheme, "webdavs" | "https") { "https" } else { "http" };
    let port = port.map_or(String::new(), |port| format!(":{port}"));
    let origin = format!("{secure}://{host}{port}");
    let path = prefix(&String::from_utf8_lossy(&crate::percent::decode(path)));
    if path.split('/').any(|part| part == "..") {
        return Err(bad(format!("the path `{path}` contains `..`"), "write it without"));
    }
    Ok(match scheme {
        "webdav" | "webdavs" => Location::WebDav { origin, path },
        _ => Location::Http { origin, path },
    })
}

fn host_and_port(text: &str, url: &str) -> Result<(String, Option<u16>), BadLocation> {
    let after_brackets = text.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = text[after_brackets..].rfind(':') else { return Ok((text.to_owned(), None)) };
    let (host, port) = text.split_at(after_brackets + colon);
    match port[1..].parse::<u16>() {
        Ok(port) if port > 0 => Ok((host.to_owned(), Some(port))),
        _ => {
            let what = format!("`{}` has no valid port", shown(url));
            Err(bad(what, "write a number up to 65535 after the host, or nothing"))
        }
    }
}

#[cfg(test)]
mod tests;
