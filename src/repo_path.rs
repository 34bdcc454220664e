//! A path inside the project. Does not access the disk: a symbolic link that leads out of the
//! project is detected where files are accessed.

use std::borrow::Borrow;
use std::fmt;
use std::path::{Path, PathBuf};

/// A path relative to the project root: UTF-8, `/` between names, never empty, without `.`,
/// `..`, empty names or control characters. The text of such a path cannot lead out of the root.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Box<str>);

/// The reason that a text is not a [`RepoPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPath {
    Empty,
    Absolute,
    Leaves,
    Root,
    Control,
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadPath::Empty => "is empty",
            BadPath::Absolute => "is absolute: paths are relative to the project root",
            BadPath::Leaves => "leaves the project root",
            BadPath::Root => "is the project root itself: name something inside it",
            BadPath::Control => "contains a control character",
        })
    }
}

impl RepoPath {
    /// Parses a path as a user writes it.
    ///
    /// Removes `./`, repeated and trailing slashes, and inner `..`.
    pub fn parse(text: &str) -> Result<RepoPath, BadPath> {
        if text.is_empty() {
            return Err(BadPath::Empty);
        }
        if text.starts_with('/') {
            return Err(BadPath::Absolute);
        }
        if text.chars().any(char::is_control) {
            return Err(BadPath::Control);
        }
        let mut names: Vec<&str> = Vec::new();
        for name in text.split('/') {
            match name {
                "" | "." => {}
                ".." => {
                    names.pop().ok_or(BadPath::Leaves)?;
                }
                _ => names.push(name),
            }
        }
        if names.is_empty() {
            return Err(BadPath::Root);
        }
        Ok(RepoPath(names.join("/").into()))
    }

    /// Parses a path that `repro` wrote itself; `None` unless it is in canonical form.
    pub fn parse_canonical(text: &str) -> Option<RepoPath> {
        let plain = |name: &str| !matches!(name, "" | "." | "..");
        let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        let canonical = text.bytes().all(printable) || !text.chars().any(char::is_control);
        (canonical && text.split('/').all(plain)).then(|| RepoPath(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path on disk, below `root`.
    pub fn to_path(&self, root: &Path) -> PathBuf {
        root.join(&*self.0)
    }

    /// Returns the path of `name`, a single file name, inside this directory.
    pub fn join(&self, name: &str) -> RepoPath {
        RepoPath(format!("{}/{name}", self.0).into())
    }

    /// Reports whether the path is, or is inside, something that only `repro` or git may write.
    pub fn is_reserved(&self) -> bool {
        const RESERVED: [&str; 5] = [".git", "cache", "runs", "pipeline.toml", "pipeline.lock"];
        RESERVED.contains(&self.0.split('/').next().unwrap_or_default())
    }

    /// Returns the path relative to `dir`; `None` if it is not inside `dir`.
    pub fn strip_prefix(&self, dir: &RepoPath) -> Option<&str> {
        self.0.strip_prefix(&*dir.0)?.strip_prefix('/')
    }

    /// Reports whether `path` is this path or is inside it.
    pub fn contains(&self, path: &RepoPath) -> bool {
        self == path || path.strip_prefix(self).is_some()
    }

    /// Reports whether one of the two paths contains the other.
    pub fn overlaps(&self, other: &RepoPath) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// Returns the directories above this path, nearest first, without the root.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let text: &str = &self.0;
        text.rmatch_indices('/').map(move |(at, _)| &text[..at])
    }
}

impl Borrow<str> for RepoPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl serde::Serialize for RepoPath {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for RepoPath {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<RepoPath, D::Error> {
        let text = String::deserialize(d)?;
        RepoPath::parse_canonical(&text)
            .ok_or_else(|| serde::de::Error::custom("not a path inside the project"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings() {
        let cases: &[(&str, Result<&str, BadPath>)] = &[
            ("data/audio", Ok("data/audio")),
            ("./data//audio/", Ok("data/audio")),
            ("a/../b", Ok("b")),
            ("a b/ç.txt", Ok("a b/ç.txt")),
            ("...", Ok("...")),
            ("", Err(BadPath::Empty)),
            (".", Err(BadPath::Root)),
            ("a/..", Err(BadPath::Root)),
            ("..", Err(BadPath::Leaves)),
            ("a/../../b", Err(BadPath::Leaves)),
            ("/etc/passwd", Err(BadPath::Absolute)),
            ("a\nb", Err(BadPath::Control)),
        ];
        for (text, expected) in cases {
            let got = RepoPath::parse(text);
            assert_eq!(got.as_ref().map(RepoPath::as_str).map_err(|e| *e), *expected, "{text:?}");
        }
    }

    #[test]
    fn strip_prefix_compares_whole_names() {
        let path = |text| RepoPath::parse(text).unwrap();
        assert_eq!(path("a/b/c").strip_prefix(&path("a")), Some("b/c"));
        assert_eq!(path("ab/c").strip_prefix(&path("a")), None);
        assert_eq!(path("a").strip_prefix(&path("a")), None);
        assert_eq!(path("a/b/c").ancestors().collect::<Vec<_>>(), ["a/b", "a"]);
    }

    #[test]
    fn contains_and_overlaps() {
        let path = |text| RepoPath::parse(text).unwrap();
        let cases = [
            ("a", "a", true, true),
            ("a", "a/b/c", true, true),
            ("a/b/c", "a", false, true),
            ("a", "ab/c", false, false),
            ("a/b", "a/bc", false, false),
            ("a/b", "a/c", false, false),
        ];
        for (one, other, contains, overlaps) in cases {
            assert_eq!(path(one).contains(&path(other)), contains, "{one} contains {other}");
            assert_eq!(path(one).overlaps(&path(other)), overlaps, "{one} overlaps {other}");
            assert_eq!(path(other).overlaps(&path(one)), overlaps, "{other} overlaps {one}");
        }
    }

    proptest! {
        #[test]
        fn parsed_path_is_canonical(text in "[a./ ]{0,12}") {
            if let Ok(path) = RepoPath::parse(&text) {
                prop_assert!(path.as_str().split('/').all(|n| !matches!(n, "" | "." | "..")));
                prop_assert_eq!(RepoPath::parse_canonical(path.as_str()), Some(path));
            }
        }
    }
}
