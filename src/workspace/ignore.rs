//! The block of a `.gitignore` that lists the outs. Everything else in the file is the user's.
//! Does not run git.

use std::collections::BTreeSet;
use std::path::Path;

use super::write::{Durability, Staging};
use crate::error::{Error, Result};
use crate::regular_file;
use crate::repo_path::RepoPath;

const FILE: &str = ".gitignore";
/// The lines around the block.
const BEGIN: &str = "# >>> kept in the cache, added by `repro` >>>";
const END: &str = "# <<< repro <<<";

/// Effect on the `.gitignore`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitignoreChange {
    Created,
    Extended,
    Unchanged,
}

/// Adds `patterns` to the block in `dir`, and removes those that are not in `declared`.
pub fn update_outs(
    dir: &Path,
    patterns: &[String],
    declared: &dyn Fn() -> BTreeSet<String>,
    staging: &Staging,
) -> Result<GitignoreChange> {
    let path = dir.join(FILE);
    let old = match regular_file::read_following(&path) {
        Ok(bytes) => Some(bytes),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => None,
        Err(err) => return Err(Error::io("read", &path, &err)),
    };
    let Some(new) = updated(old.as_deref().unwrap_or_default(), patterns, declared) else {
        return Ok(GitignoreChange::Unchanged);
    };
    match old {
        Some(_) => staging.replace(&path, &new).map(|()| GitignoreChange::Extended),
        None => {
            let written = staging.write(&path, &new, Durability::Synced);
            written.map(|()| GitignoreChange::Created)
        }
    }
}

/// Adds `patterns` to the block in `dir`.
pub fn add_outs(dir: &Path, patterns: &[String], staging: &Staging) -> Result<GitignoreChange> {
    let all = |line: &str| line.starts_with('/');
    let path = dir.join(FILE);
    let old = regular_file::read_following(&path).unwrap_or_default();
    let present = String::from_utf8_lossy(&old);
    let declared = present.lines().map(str::trim_end).filter(|line| all(line)).map(str::to_owned);
    let declared: BTreeSet<String> = declared.chain(patterns.iter().cloned()).collect();
    update_outs(dir, patterns, &|| declared.clone(), staging)
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

/// Returns the new content of the file; `None` if it stays as it is.
fn updated(
    old: &[u8],
    patterns: &[String],
    declared: &dyn Fn() -> BTreeSet<String>,
) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = old.split_inclusive(|&byte| byte == b'\n').collect();
    let position = |text: &str| lines.iter().rposition(|line| trimmed(line) == text.as_bytes());
    let block = position(BEGIN).zip(position(END)).filter(|(begin, end)| begin < end);
    let (before, inside, after) = match block {
        Some((begin, end)) => (&lines[..begin], &lines[begin + 1..end], &lines[end + 1..]),
        None => (&lines[..], &[][..], &[][..]),
    };
    let declared = if inside.is_empty() { BTreeSet::new() } else { declared() };
    let is_out = |line: &[u8]| line.first() == Some(&b'/');
    let is_kept = |line: &&[u8]| {
        let line = trimmed(line);
        !is_out(line) || std::str::from_utf8(line).is_ok_and(|line| declared.contains(line))
    };
    let mut kept: Vec<&[u8]> =
        inside.iter().copied().map(trimmed).filter(|line| is_kept(line)).collect();
    let present: BTreeSet<&[u8]> = lines.iter().map(|line| trimmed(line)).collect();
    let is_same = |line: &[u8], pattern: &str| {
        let bare = |text: &[u8]| text.strip_suffix(b"/").unwrap_or(text).to_vec();
        bare(line) == bare(pattern.as_bytes())
    };
    let new = patterns.iter().filter(|new| !present.iter().any(|line| is_same(line, new)));
    kept.extend(new.map(|line| line.as_bytes()));
    if kept.len() == inside.len()
        && patterns.iter().all(|new| present.iter().any(|line| is_same(line, new)))
    {
        return None;
    }
    kept.sort_by_key(|line| (is_out(line), if is_out(line) { *line } else { &[] }));
    let end: &[u8] = if old.windows(2).any(|pair| pair == b"\r\n") { b"\r\n" } else { b"\n" };
    let mut bytes = before.concat();
    if !kept.is_empty() {
        if block.is_none() && !bytes.is_empty() {
            if !bytes.ends_with(b"\n") {
                bytes.extend_from_slice(end);
            }
            bytes.extend_from_slice(end);
        }
        let whole = std::iter::once(BEGIN.as_bytes()).chain(kept).chain([END.as_bytes()]);
        whole.for_each(|line| bytes.extend([line, end].concat()));
    }
    bytes.extend(after.concat());
    Some(bytes)
}

/// Returns a line without its end.
fn trimmed(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(old: &str, patterns: &[&str], declared: &[&str]) -> String {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let declared = || list(declared).into_iter().collect();
        match updated(old.as_bytes(), &list(patterns), &declared) {
            Some(new) => String::from_utf8(new).unwrap(),
            None => "unchanged".to_owned(),
        }
    }

    fn block(lines: &str) -> String {
        format!("{BEGIN}\n{lines}{END}\n")
    }

    #[test]
    fn updates_by_existing_content() {
        let ab = block("/a\n/b\n");
        assert_eq!(after("", &["/b", "/a"], &[]), ab);
        assert_eq!(after(&ab, &["/a"], &["/a", "/b"]), "unchanged");
        assert_eq!(after(&ab, &["/c"], &["/b", "/c"]), block("/b\n/c\n"));
        assert_eq!(after(&ab, &[], &["/b"]), block("/b\n"));
        assert_eq!(after(&ab, &[], &[]), "");
        assert_eq!(after("x", &["/a"], &[]), format!("x\n\n{}", block("/a\n")));
        assert_eq!(after("/a/\n", &["/a"], &[]), "unchanged");
        assert_eq!(after("x\r\n", &["/a"], &[]).matches("\r\n").count(), 5);
        let own = format!("x\n{}y\n/z\n", block("# mine\n/gone\n*.log\n/b\n"));
        let kept = format!("x\n{}y\n/z\n", block("# mine\n*.log\n/a\n/b\n"));
        assert_eq!(after(&own, &["/a"], &["/a", "/b"]), kept);
        // Without its last line it is not a block.
        let torn = format!("{BEGIN}\n/a\n");
        assert_eq!(after(&torn, &["/b"], &["/b"]), format!("{torn}\n{}", block("/b\n")));
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

    proptest! {
        /// Lines outside of the block stay, in their order, and a second update changes nothing.
        #[test]
        fn lines_of_the_user_stay(
            before in "([a-z/ #\r]{0,4}\n){0,3}",
            after_block in "([a-z/ #\r]{0,4}\n){0,3}",
            inside in proptest::option::of("(/[ab]\n){0,3}"),
            patterns in proptest::collection::vec("/[abc]", 0..3),
        ) {
            let old = match &inside {
                Some(inside) => format!("{before}{}{after_block}", block(inside)),
                None => format!("{before}{after_block}"),
            };
            let declared: BTreeSet<String> = patterns.iter().cloned().collect();
            let update = |old: &[u8]| updated(old, &patterns, &|| declared.clone());
            if let Some(new) = update(old.as_bytes()) {
                let text = String::from_utf8(new.clone()).unwrap();
                let expected = if inside.is_some() { before.clone() } else { old.clone() };
                prop_assert!(text.starts_with(&expected));
                if inside.is_some() {
                    prop_assert!(text.ends_with(&after_block));
                }
                prop_assert_eq!(update(&new), None);
            }
        }
    }
}
