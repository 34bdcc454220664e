//! The address of a git repository, as git takes it. Does not access it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::percent;

/// A URL, a place such as `git@host:project.git`, or the path of a folder; without a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct GitUrl(Box<str>);

/// The reason that a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadUrl {
    pub what: String,
    pub hint: String,
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl TryFrom<String> for GitUrl {
    type Error = BadUrl;

    fn try_from(text: String) -> Result<GitUrl, BadUrl> {
        GitUrl::parse(&text)
    }
}

impl GitUrl {
    /// Parses an address.
    ///
    /// # Errors
    /// The text is empty, would be an option or a command for git, or contains a password.
    pub fn parse(text: &str) -> Result<GitUrl, BadUrl> {
        let bad =
            |what: &str, hint: &str| Err(BadUrl { what: what.to_owned(), hint: hint.to_owned() });
        let example = "`https://example.org/project.git` and `../project` are examples";
        if text.trim().is_empty() {
            return bad("is empty", example);
        }
        if text.chars().any(char::is_control) {
            return bad("contains a control character", example);
        }
        if text.starts_with('-') {
            return bad("begins with a dash", "write `./` before the name of a folder");
        }
        // `ext::COMMAND` would run the command.
        if text.split_once("::").is_some_and(|(helper, _)| !helper.contains(['/', '['])) {
            return bad("names a helper of git", example);
        }
        let host = text.split_once("://").and_then(|(_, rest)| rest.split('/').next());
        let user = host.and_then(|host| host.rsplit_once('@'));
        if user.is_some_and(|(user, _)| user.contains(':') || is_token(user)) {
            return bad(
                "contains a password, which git would keep",
                "leave it out: git asks its credential helper",
            );
        }
        Ok(GitUrl(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path of a repository on this machine, relative or absolute; `None` for others.
    pub fn local_path(&self) -> Option<PathBuf> {
        if let Some(rest) = self.0.strip_prefix("file://") {
            let path = rest.strip_prefix("localhost").unwrap_or(rest);
            let bytes = percent::decode(path);
            return Some(PathBuf::from(String::from_utf8_lossy(&bytes).into_owned()));
        }
        self.is_path().then(|| PathBuf::from(&*self.0))
    }

    /// Reports whether git reaches it by `ssh`.
    pub fn is_ssh(&self) -> bool {
        match self.0.split_once("://") {
            Some((scheme, _)) => matches!(scheme, "ssh" | "git+ssh" | "ssh+git"),
            None => !self.is_path(),
        }
    }

    /// Reports whether it is a path, which git reads without a transfer.
    pub fn is_path(&self) -> bool {
        // As git decides it: `host:path` is a place on a host, `./host:path` is a path.
        let before = self.0.split(':').next().unwrap_or_default();
        !self.0.contains("://") && (before.len() == self.0.len() || before.contains('/'))
    }
}

/// Beginnings of the tokens of hosts of repositories, which serve as users without a password.
const TOKENS: [&str; 9] =
    ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "hf_", "ATCTT"];

fn is_token(user: &str) -> bool {
    TOKENS.iter().any(|start| user.starts_with(start))
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, path) in [
            ("https://example.org/a.git", None),
            ("https://user@example.org/a.git", None),
            ("ssh://git@[::1]:22/a.git", None),
            ("git@example.org:a/b.git", None),
            ("host:a", None),
            ("file:///srv/a%20b", Some("/srv/a b")),
            ("file://localhost/srv/a", Some("/srv/a")),
            ("../other", Some("../other")),
            ("./host:a", Some("./host:a")),
            ("/srv/a:b", Some("/srv/a:b")),
            ("mlflow", Some("mlflow")),
        ] {
            let url = GitUrl::parse(text).unwrap();
            assert_eq!(url.local_path(), path.map(PathBuf::from), "{text}");
            let is_ssh =
                text.starts_with("ssh:") || matches!(text, "git@example.org:a/b.git" | "host:a");
            assert_eq!(url.is_ssh(), is_ssh, "{text}");
        }
        for (text, what) in [
            ("", "is empty"),
            (" ", "is empty"),
            ("-x", "begins with a dash"),
            ("ext::sh -c id", "names a helper of git"),
            ("a\nb", "contains a control character"),
            ("https://a:b@x/y", "contains a password, which git would keep"),
            ("https://ghp_0123@x/y", "contains a password, which git would keep"),
        ] {
            assert_eq!(GitUrl::parse(text).unwrap_err().what, what, "{text}");
        }
    }
}
