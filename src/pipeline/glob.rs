//! Globs such as `src/**/*.py` and `data/{train,test}/*.csv`. Matches paths only; the workspace
//! walks the disk.

use std::fmt;

use crate::repo_path::RepoPath;

/// A path with wildcards: `*` and `?` within a name, `[…]`, `{a,b}`, and `**` for any number of
/// directories.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Glob {
    text: RepoPath,
    /// The directories before the first name with a wildcard.
    base: Option<RepoPath>,
}

/// A syntax error in a glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadGlob {
    Brackets,
    Braces,
}

impl fmt::Display for BadGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadGlob::Brackets => "`[` without `]` (write a literal `[` as `[[]`)",
            BadGlob::Braces => "unbalanced `{` and `}` in one name (write a literal `{` as `[{]`)",
        })
    }
}

impl Glob {
    /// Parses a path; `None` if it has no wildcard.
    pub fn parse(path: &RepoPath) -> Result<Option<Glob>, BadGlob> {
        let names: Vec<&str> = path.as_str().split('/').collect();
        let Some(first) = names.iter().position(|name| name.contains(['*', '?', '[', '{'])) else {
            return Ok(None);
        };
        for name in &names[first..] {
            check_balance(name)?;
        }
        let base = RepoPath::parse(&names[..first].join("/")).ok();
        Ok(Some(Glob { text: path.clone(), base }))
    }

    /// Returns the glob as declared.
    pub fn text(&self) -> &RepoPath {
        &self.text
    }

    /// Returns the directory that contains every match; `None` for the project root.
    pub fn base(&self) -> Option<&RepoPath> {
        self.base.as_ref()
    }

    /// Reports whether the glob matches `path`.
    pub fn matches(&self, path: &str) -> bool {
        fast_glob::glob_match(self.text.as_str(), path)
    }

    /// Reports whether an out at `path` could match, contain a match, or be inside one.
    ///
    /// A name with an extension is assumed to be a file; otherwise a glob with `**` would depend on
    /// every stage of the pipeline.
    pub fn may_overlap(&self, path: &RepoPath) -> bool {
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        if name.trim_start_matches('.').contains('.') {
            return self.matches(path.as_str())
                || path.ancestors().any(|above| self.matches(above));
        }
        let mut patterns = self.text.as_str().split('/');
        for name in path.as_str().split('/') {
            match patterns.next() {
                // The match may be a directory that contains `path`.
                None => return true,
                Some("**") => return true,
                Some(pattern) if !fast_glob::glob_match(pattern, name) => return false,
                Some(_) => {}
            }
        }
        true
    }
}

/// Checks the brackets and braces of one name.
fn check_balance(name: &str) -> Result<(), BadGlob> {
    let mut braces = 0usize;
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            // The first character belongs to the class even if it is `]`.
            '[' if chars.next().is_none() || !chars.by_ref().any(|c| c == ']') => {
                return Err(BadGlob::Brackets);
            }
            '{' => braces += 1,
            '}' => braces = braces.checked_sub(1).ok_or(BadGlob::Braces)?,
            _ => {}
        }
    }
    if braces == 0 { Ok(()) } else { Err(BadGlob::Braces) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> Glob {
        Glob::parse(&RepoPath::parse(text).unwrap()).unwrap().unwrap()
    }

    #[test]
    fn glob_matches() {
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
        for (text, path, expected) in cases {
            assert_eq!(glob(text).matches(path), expected, "{text} {path}");
        }
    }

    #[test]
    fn glob_base() {
        assert_eq!(glob("a/b/*.c").base().map(RepoPath::as_str), Some("a/b"));
        assert_eq!(glob("*/b").base(), None);
        assert_eq!(Glob::parse(&RepoPath::parse("a/b").unwrap()), Ok(None));
        for (bad, why) in
            [("a/[x", BadGlob::Brackets), ("{a,b/c}", BadGlob::Braces), ("a}{", BadGlob::Braces)]
        {
            assert_eq!(Glob::parse(&RepoPath::parse(bad).unwrap()), Err(why), "{bad}");
        }
    }

    #[test]
    fn outs_that_overlap_a_glob() {
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
        for (text, path, expected) in cases {
            assert_eq!(
                glob(text).may_overlap(&RepoPath::parse(path).unwrap()),
                expected,
                "{text} {path}"
            );
        }
    }
}
