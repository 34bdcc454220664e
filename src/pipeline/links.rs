//! `[cache] link`: kinds of link from the cache to the workspace, in order of preference.

use std::fmt;

use crate::error::did_you_mean;

/// The relation between a file in the workspace and its object in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Link {
    /// Two files that share blocks until one is written; not supported by every file system.
    Reflink,
    /// One read-only file with two names, on the same file system.
    Hardlink,
    /// A symbolic link to the read-only object.
    Symlink,
    /// A full copy.
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

    /// Reports whether writing to the file would write to the object.
    pub fn is_shared(self) -> bool {
        matches!(self, Link::Hardlink | Link::Symlink)
    }
}

/// The kinds of link to try in order, each once; the first that works is used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Links(Vec<Link>);

/// The kinds that give the workspace a writable file of its own.
pub const PRIVATE: [Link; 2] = [Link::Reflink, Link::Copy];

impl Default for Links {
    fn default() -> Links {
        Links(PRIVATE.to_vec())
    }
}

/// The reason that a list of words does not name links.
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

    /// Reports whether the preferred kind shares the object itself with the workspace.
    pub fn prefer_shared(&self) -> bool {
        self.0.first().is_some_and(|link| link.is_shared())
    }
}

impl BadLinks {
    pub fn hint(&self) -> String {
        let words = Link::ALL.map(Link::word);
        match self {
            BadLinks::Unknown(word) if let Some(suggestion) = did_you_mean(word, words) => {
                format!("did you mean `{suggestion}`?")
            }
            _ => format!("the kinds are {}", words.join(", ")),
        }
    }
}

impl fmt::Display for BadLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadLinks::None => f.write_str("must name at least one kind of link"),
            BadLinks::Unknown(word) => {
                write!(f, "names `{}`, which is not a kind of link", word.escape_debug())
            }
            BadLinks::Twice(link) => write!(f, "names `{}` twice", link.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_words() {
        assert_eq!(Links::parse(["reflink", "copy"]), Ok(Links::default()));
        assert_eq!(Links::parse(["symlink"]).unwrap().kinds(), [Link::Symlink]);
        assert_eq!(Links::parse([]), Err(BadLinks::None));
        assert_eq!(Links::parse(["copy", "copy"]), Err(BadLinks::Twice(Link::Copy)));
        let bad = Links::parse(["hardlnk"]).unwrap_err();
        assert_eq!(
            (bad.to_string(), bad.hint()),
            (
                "names `hardlnk`, which is not a kind of link".to_owned(),
                "did you mean `hardlink`?".to_owned(),
            )
        );
        assert!(Links::parse(["hardlink", "copy"]).unwrap().prefer_shared());
        assert!(!Links::default().prefer_shared());
    }
}
