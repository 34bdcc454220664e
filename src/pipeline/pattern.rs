//! Globs: `src/**/*.py`, `data/{train,test}/*.csv`. Pure matching of paths; walking the disk is the workspace's.

use std::fmt;

use crate::repo_path::RepoPath;

/// A path with wildcards: `*` and `?` within a name, `[…]`, `{a,b}`, and `**` for any number of folders.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pattern {
    text: RepoPath,
    /// The names before the first one with a wildcard in it.
    base: Option<RepoPath>,
}

/// Why a text with wildcards is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPattern {
    Brackets,
    Braces,
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadPattern::Brackets => {
                "a `[` without its `]` (a `[` of a file's name is written `[[]`)"
            }
            BadPattern::Braces => {
                "a `{` without its `}` in the same name (a `{` of a file's name is written `[{]`)"
            }
        })
    }
}

impl Pattern {
    /// `None` if there is no wildcard in it.
    pub fn parse(path: &RepoPath) -> Result<Option<Pattern>, BadPattern> {
        let names: Vec<&str> = path.as_str().split('/').collect();
        let Some(first) = names.iter().position(|name| name.contains(['*', '?', '[', '{'])) else {
            return Ok(None);
        };
        for name in &names[first..] {
            balanced(name)?;
        }
        let base = RepoPath::parse(&names[..first].join("/")).ok();
        Ok(Some(Pattern { text: path.clone(), base }))
    }

    /// The pattern as a path.
    pub fn text(&self) -> &RepoPath {
        &self.text
    }

    /// The folder that holds every match; `None` is the project root.
    pub fn base(&self) -> Option<&RepoPath> {
        self.base.as_ref()
    }

    pub fn matches(&self, path: &str) -> bool {
        fast_glob::glob_match(self.text.as_str(), path)
    }

    /// Whether what a stage writes at `path` could match, or hold a match, or lie in one. A name with an extension is taken for
    /// a file's: else `**` would hang on every stage of a pipeline.
    pub fn concerns(&self, path: &RepoPath) -> bool {
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        if name.trim_start_matches('.').contains('.') {
            return self.matches(path.as_str())
                || path.ancestors().any(|above| self.matches(above));
        }
        let mut wanted = self.text.as_str().split('/');
        for name in path.as_str().split('/') {
            match wanted.next() {
                // What is matched may be a folder that `path` lies in.
                None => return true,
                Some("**") => return true,
                Some(pattern) if !fast_glob::glob_match(pattern, name) => return false,
                Some(_) => {}
            }
        }
        true
    }
}

fn balanced(name: &str) -> Result<(), BadPattern> {
    let mut braces = 0usize;
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            // The first character belongs to the class even if it is `]`.
            '[' if chars.next().is_none() || !chars.by_ref().any(|c| c == ']') => {
                return Err(BadPattern::Brackets);
            }
            '{' => braces += 1,
            '}' => braces = braces.checked_sub(1).ok_or(BadPattern::Braces)?,
            _ => {}
        }
    }
    if braces == 0 { Ok(()) } else { Err(BadPattern::Braces) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(&RepoPath::parse(text).unwrap()).unwrap().unwrap()
    }

    #[test]
    fn what_matches() {
        let cases = [
            ("data/*.csv", "data/a.csv", true),
            ("data/*.csv", "data/x/a.csv", false),
            ("data/**/*.csv", "data/a.csv", true),
            ("data/**/*.csv", "data/x/y/a.csv", true),
            ("data/{train,test}.csv", "data/test.csv", true),
            ("data/?[0-9].csv", "data/a7.csv", true),
            ("data/?[0-9].csv", "data/ab.csv", false),
            ("a[[]1].txt", "a[1].txt", true),
        ];
        for (glob, path, expected) in cases {
            assert_eq!(pattern(glob).matches(path), expected, "{glob} {path}");
        }
    }

    #[test]
    fn the_base_has_no_wildcard() {
        assert_eq!(pattern("a/b/*.c").base().map(RepoPath::as_str), Some("a/b"));
        assert_eq!(pattern("*/b").base(), None);
        assert_eq!(Pattern::parse(&RepoPath::parse("a/b").unwrap()), Ok(None));
        for (bad, why) in [
            ("a/[x", BadPattern::Brackets),
            ("{a,b/c}", BadPattern::Braces),
            ("a}{", BadPattern::Braces),
        ] {
            assert_eq!(Pattern::parse(&RepoPath::parse(bad).unwrap()), Err(why), "{bad}");
        }
    }

    #[test]
    fn makers_of_anything_near_a_match_concern_it() {
        let cases = [
            ("models/*/x.bin", "models/a/x.bin", true),
            ("models/*/x.bin", "models/a", true),
            ("models/*/x.bin", "models", true),
            ("models/*", "models/a/b", true),
            ("models/*/x.bin", "models/a/y.bin", false),
            ("models/**/x.bin", "models/a/b/c", true),
            ("models/*.bin", "data/a.bin", false),
            ("**/*.py", "report.txt", false),
            ("**/*.py", "made", true),
            ("made/*", "made/a/b.txt", true),
        ];
        for (glob, path, expected) in cases {
            assert_eq!(
                pattern(glob).concerns(&RepoPath::parse(path).unwrap()),
                expected,
                "{glob} {path}"
            );
        }
    }
}
