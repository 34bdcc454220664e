//! `.gitignore`: lines of ours below a heading, added once. Asks git nothing.

use std::fs;
use std::path::Path;

use super::write::{self, Durability};
use crate::error::{Error, Result};
use crate::repo_path::RepoPath;

const FILE: &str = ".gitignore";

/// What became of `.gitignore`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitignoreChange {
    Created,
    Extended,
    Unchanged,
}

/// Adds what the `.gitignore` in `dir` does not name yet, below `heading`.
pub fn add(dir: &Path, heading: &str, patterns: &[String]) -> Result<GitignoreChange> {
    let path = dir.join(FILE);
    let old = match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => None,
        Err(err) => return Err(Error::io("read", &path, &err)),
    };
    let text = String::from_utf8_lossy(old.as_deref().unwrap_or_default());
    let Some((at, added)) = addition(&text, heading, patterns) else {
        return Ok(GitignoreChange::Unchanged);
    };
    // What is no UTF-8 stays as it is; only at the end is the place in the text the place in the file.
    let mut bytes = old.clone().unwrap_or_default();
    let at = if bytes == text.as_bytes() { at } else { bytes.len() };
    bytes.splice(at..at, added.into_bytes());
    match old {
        Some(_) => write::replace(&path, &bytes).map(|()| GitignoreChange::Extended),
        None => write::atomic(&path, &bytes, Durability::Synced).map(|()| GitignoreChange::Created),
    }
}

/// The line that keeps this path and nothing else out of git.
pub fn pattern(path: &RepoPath) -> String {
    let mut line = String::from("/");
    for c in path.as_str().chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            line.push('\\');
        }
        line.push(c);
    }
    if line.ends_with(' ') {
        line.insert(line.len() - 1, '\\');
    }
    line
}

/// What is to be put where into a `.gitignore` that is `old`.
fn addition(old: &str, heading: &str, patterns: &[String]) -> Option<(usize, String)> {
    let named = |pattern: &str| {
        let bare = |line: &str| line.trim().trim_matches('/').to_owned();
        old.lines().any(|line| bare(line) == bare(pattern))
    };
    let missing: Vec<&String> = patterns.iter().filter(|pattern| !named(pattern)).collect();
    if missing.is_empty() {
        return None;
    }
    let end = if old.contains("\r\n") { "\r\n" } else { "\n" };
    let lines: String = missing.iter().map(|pattern| format!("{pattern}{end}")).collect();
    if let Some(at) = block_end(old, heading) {
        return Some((at, lines));
    }
    let before = match old {
        "" => String::new(),
        _ if old.ends_with('\n') => end.to_owned(),
        _ => format!("{end}{end}"),
    };
    Some((old.len(), format!("{before}{heading}{end}{lines}")))
}

/// Where the lines below a heading end, if it is there and they do.
fn block_end(old: &str, heading: &str) -> Option<usize> {
    let mut at = 0;
    let mut inside = false;
    for line in old.split_inclusive('\n') {
        if inside && line.trim().is_empty() {
            return Some(at);
        }
        inside |= line.trim_end() == heading;
        at += line.len();
    }
    (inside && old.ends_with('\n')).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(old: &str, patterns: &[&str]) -> String {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let mut text = old.to_owned();
        if let Some((at, added)) = addition(old, "# ours", &patterns) {
            text.insert_str(at, &added);
        }
        text
    }

    #[test]
    fn a_gitignore_is_extended_once_and_in_its_own_way() {
        let fresh = after("", &["/cache/", "/a"]);
        assert_eq!(fresh, "# ours\n/cache/\n/a\n");
        assert_eq!(after(&fresh, &["/a", "/cache/"]), fresh);
        assert_eq!(
            after("/cache\r\nruns", &["/cache/", "/b"]),
            "/cache\r\nruns\r\n\r\n# ours\r\n/b\r\n"
        );
        assert_eq!(after("x\n\n# ours\n/a\n\ny\n", &["/b"]), "x\n\n# ours\n/a\n/b\n\ny\n");
        assert_eq!(after("# ours\n/a\n", &["/b"]), "# ours\n/a\n/b\n");
    }

    #[test]
    fn a_name_is_not_taken_for_a_pattern() {
        let cases = [
            ("data/a b", "/data/a b"),
            ("a*[1]?", "/a\\*\\[1]\\?"),
            ("a ", "/a\\ "),
            ("!a", "/!a"),
        ];
        for (path, expected) in cases {
            assert_eq!(pattern(&RepoPath::parse(path).unwrap()), expected);
        }
    }
}
