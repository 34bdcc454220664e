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

    /// Reports whether the first names of the glob match `folder`, so that matches may be inside.
    pub fn leads_into(&self, folder: &str) -> bool {
        let count = folder.split('/').count();
        let names: Vec<&str> = self.text.as_str().split('/').take(count).collect();
        fast_glob::glob_match(names.join("/"), folder)
    }

    /// Returns the same pattern below another directory.
    pub fn rebased(&self, base: &RepoPath) -> Glob {
        let old = self.base().map_or(0, |base| base.as_str().len() + 1);
        let text = format!("{}/{}", escape(base.as_str()), &self.text.as_str()[old..]);
        let text = RepoPath::parse(&text);
        let text = text.unwrap_or_else(|bad| panic!("BUG: a moved glob {bad}"));
        Glob { text, base: Some(base.clone()) }
    }

    /// Reports whether an out at `path` could match, contain a match, or be inside one.
    pub fn may_overlap(&self, path: &RepoPath) -> bool {
        self.overlap(path) != Overlap::No
    }

    /// Returns whether an out at `path` matches, contains a match, or is inside one.
    pub fn overlap(&self, path: &RepoPath) -> Overlap {
        let path = path.as_str();
        if self.matches(path) || path.match_indices('/').any(|(at, _)| self.matches(&path[..at])) {
            return Overlap::Yes;
        }
        let mut patterns = self.text.as_str().split('/');
        let mut last = "";
        for name in path.split('/') {
            match patterns.next() {
                Some("**") => return Overlap::IfFolder,
                Some(pattern) if fast_glob::glob_match(pattern, name) => last = pattern,
                _ => return Overlap::No,
            }
        }
        // A pattern with a dot of its own, such as `out.parquet` and `lr*.*`, names such folders.
        let is_meant = is_literal(last) || last.trim_start_matches('.').contains('.');
        if is_meant { Overlap::Yes } else { Overlap::IfFolder }
    }
}

/// The relation of a glob to a path that may become a file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    No,
    /// There may be matches inside the path if it is a folder.
    IfFolder,
    Yes,
}

/// Returns the glob that matches only `path`.
pub fn escape(path: &str) -> String {
    let mut text = String::new();
    for c in path.chars() {
        match c {
            '*' | '?' | '[' | '{' => text.extend(['[', c, ']']),
            _ => text.push(c),
        }
    }
    text
}

/// Reports whether a name matches only itself; `[[]` is a literal bracket.
fn is_literal(pattern: &str) -> bool {
    let mut rest = pattern;
    while let Some(at) = rest.find(['*', '?', '[', '{']) {
        let class = rest[at..].strip_prefix('[').map(str::as_bytes);
        match class {
            Some([b'*' | b'?' | b'[' | b'{' | b'}', b']', ..]) => rest = &rest[at + 3..],
            _ => return false,
        }
    }
    true
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
    use proptest::prelude::*;

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
        use Overlap::{IfFolder, No, Yes};
        let cases = [
            ("models/*/x.bin", "models/a/x.bin", Yes),
            ("models/*/x.bin", "models/a", IfFolder),
            ("models/*/x.bin", "models/lr0.1", IfFolder),
            ("models/*/x.bin", "models", Yes),
            ("models/*", "models/a/b", Yes),
            ("models/*/x.bin", "models/a/y.bin", No),
            ("models/**/x.bin", "models/a/b/c", IfFolder),
            ("models/*.bin", "data/a.bin", No),
            ("models/*.bin", "models", Yes),
            ("**/*.py", "report.txt", IfFolder),
            ("**/*.py", "made", IfFolder),
            ("**/*.py", "a.py", Yes),
            ("made/*", "made/a/b.txt", Yes),
            ("out.parquet/*.parquet", "out.parquet", Yes),
            ("out.parquet/*.parquet", "out.parquet/x/y", No),
            ("*.parquet/*", "out.parquet", Yes),
            ("out[[]1].zarr/*", "out[1].zarr", Yes),
            ("out[1].zarr/*", "out1.zarr", Yes),
            ("out?/*", "out1", IfFolder),
        ];
        for (text, path, expected) in cases {
            let path = RepoPath::parse(path).unwrap();
            assert_eq!(glob(text).overlap(&path), expected, "{text} {path}");
        }
    }

    #[test]
    fn glob_below_other_base() {
        let path = |text| RepoPath::parse(text).unwrap();
        let moved = glob("in/*.csv").rebased(&path("out[1]/a"));
        assert_eq!(moved.text().as_str(), "out[[]1]/a/*.csv");
        assert_eq!(moved.base(), Some(&path("out[1]/a")));
        assert!(moved.matches("out[1]/a/x.csv"));
        assert_eq!(glob("*/x").rebased(&path("a")).text().as_str(), "a/*/x");
    }

    proptest! {
        /// Whatever matches is at an overlapping path or below one.
        #[test]
        fn matches_overlap(text in "[ab*?./]{1,9}", path in "[ab./]{1,9}") {
            let (Ok(text), Ok(path)) = (RepoPath::parse(&text), RepoPath::parse(&path)) else {
                return Ok(());
            };
            if let Ok(Some(glob)) = Glob::parse(&text)
                && glob.matches(path.as_str())
            {
                let mut above = path.ancestors().map(|above| RepoPath::parse(above).unwrap());
                prop_assert!(above.all(|above| glob.may_overlap(&above)), "{text} {path}");
                prop_assert!(glob.may_overlap(&path));
            }
        }
    }
}
