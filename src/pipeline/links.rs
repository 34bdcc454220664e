//! `[cache] link`: how the content of the cache gets into the workspace, in the order of preference.

use std::fmt;

use crate::error::did_you_mean;

/// How a file in the workspace and its object in the cache are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Link {
    /// Two files that share their blocks until one is written; not every file system can.
    Reflink,
    /// One file with two names: read-only, and on one file system.
    Hardlink,
    /// A name that leads to the object: read-only.
    Symlink,
    Copy,
}

impl Link {
    pub const ALL: [Link; 4] = [Link::Reflink, Link::Hardlink, Link::Symlink, Link::Copy];

    pub fn word(self) -> &'static str {
        match self {
            Link::Reflink => "reflink",
            Link::Hardlink => "hardlink",
            Link::Symlink => "symlink",
            Link::Copy => "copy",
        }
    }

    /// Whether whoever writes the file writes the object.
    pub fn is_shared(self) -> bool {
        matches!(self, Link::Hardlink | Link::Symlink)
    }
}

/// The kinds to try, each once, the first that works wins.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Links(Vec<Link>);

/// A file of its own, which can be written.
pub const PRIVATE: [Link; 2] = [Link::Reflink, Link::Copy];

impl Default for Links {
    fn default() -> Links {
        Links(PRIVATE.to_vec())
    }
}

/// Why words are no links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadLinks {
    None,
    Unknown(String),
    Twice(Link),
}

impl Links {
    pub fn parse<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Links, BadLinks> {
        let mut links = Vec::new();
        for word in words {
            let known = Link::ALL.into_iter().find(|link| link.word() == word);
            let link = known.ok_or_else(|| BadLinks::Unknown(word.to_owned()))?;
            if links.contains(&link) {
                return Err(BadLinks::Twice(link));
            }
            links.push(link);
        }
        if links.is_empty() { Err(BadLinks::None) } else { Ok(Links(links)) }
    }

    pub fn kinds(&self) -> &[Link] {
        &self.0
    }

    /// Whether files in the workspace are to be the objects themselves.
    pub fn prefer_shared(&self) -> bool {
        self.0.first().is_some_and(|link| link.is_shared())
    }
}

impl BadLinks {
    pub fn hint(&self) -> String {
        let words = Link::ALL.map(Link::word);
        match self {
            BadLinks::Unknown(word) if let Some(meant) = did_you_mean(word, words) => {
                format!("did you mean `{meant}`?")
            }
            _ => format!("the kinds are {}", words.join(", ")),
        }
    }
}

impl fmt::Display for BadLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadLinks::None => f.write_str("names no kind of link"),
            BadLinks::Unknown(word) => {
                write!(f, "names `{}`, which is no kind of link", word.escape_debug())
            }
            BadLinks::Twice(link) => write!(f, "names `{}` twice", link.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(Links::parse(["reflink", "copy"]), Ok(Links::default()));
        assert_eq!(Links::parse(["symlink"]).unwrap().kinds(), [Link::Symlink]);
        assert_eq!(Links::parse([]), Err(BadLinks::None));
        assert_eq!(Links::parse(["copy", "copy"]), Err(BadLinks::Twice(Link::Copy)));
        let bad = Links::parse(["hardlnk"]).unwrap_err();
        assert_eq!(
            (bad.to_string(), bad.hint()),
            (
                "names `hardlnk`, which is no kind of link".to_owned(),
                "did you mean `hardlink`?".to_owned(),
            )
        );
        assert!(Links::parse(["hardlink", "copy"]).unwrap().prefer_shared());
        assert!(!Links::default().prefer_shared());
    }
}
