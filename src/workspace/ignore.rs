//! Adds lines to a `.gitignore` below a heading of ours, each line once. Does not run git.

use std::fs;
use std::path::Path;

use super::write::{Durability, Staging};
use crate::error::{Error, Result};
use crate::repo_path::RepoPath;

const FILE: &str = ".gitignore";

/// Effect of [`add`] on the `.gitignore`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitignoreChange {
    Created,
    Extended,
    Unchanged,
}

/// Adds below `heading` the `patterns` that the `.gitignore` in `dir` does not have yet.
pub fn add(
    dir: &Path,
    heading: &str,
    patterns: &[String],
    staging: &Staging,
) -> Result<GitignoreChange> {
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
    // In a file that is not UTF-8, offsets in the lossy text are wrong, so lines go to its end.
    let mut bytes = old.clone().unwrap_or_default();
    let at = if bytes == text.as_bytes() { at } else { bytes.len() };
    bytes.splice(at..at, added.into_bytes());
    match old {
        Some(_) => staging.replace(&path, &bytes).map(|()| GitignoreChange::Extended),
        None => {
            let written = staging.write(&path, &bytes, Durability::Synced);
            written.map(|()| GitignoreChange::Created)
        }
    }
}

/// Returns the line that ignores `path` and nothing else.
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

/// Returns the byte offset and text to insert into `old`; `None` if every pattern is present.
fn addition(old: &str, heading: &str, patterns: &[String]) -> Option<(usize, String)> {
    let is_present = |pattern: &str| {
        let bare = |line: &str| line.trim().trim_matches('/').to_owned();
        old.lines().any(|line| bare(line) == bare(pattern))
    };
    let missing: Vec<&String> = patterns.iter().filter(|pattern| !is_present(pattern)).collect();
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

/// Returns the offset at which the lines below `heading` end.
///
/// `None` if there is no heading, or if its lines run to the end of a file without a final newline.
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
    fn additions_by_existing_content() {
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
    fn pattern_escapes_special_characters() {
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
