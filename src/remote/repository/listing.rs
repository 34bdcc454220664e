//! Files and folders in a commit, from the answers of git. A repository is hostile input: names
//! that cannot be files are refused, and so are folders without an end. Pure.

use std::io::BufRead;

use crate::error::{Error, Result};
use crate::plan::tree::is_plain_name;

/// Maximum number of files in a folder. A small repository can have a folder of 10^10 files.
const MOST_FILES: usize = 1 << 20;

/// A file or folder in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: EntryKind,
    pub id: String,
    /// The path in the repository or, in a listing, in the listed folder.
    pub path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Executable,
    Link,
    Folder,
    Submodule,
}

/// Reads the answer of `git ls-tree -z`.
///
/// # Errors
/// The answer cannot be read, is too long, or has a name that cannot be that of a file.
pub(super) fn entries(listed: impl BufRead) -> Result<Vec<Entry>> {
    read(listed, MOST_FILES)
}

fn read(mut listed: impl BufRead, most: usize) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let failed = |err| Error::environment("cannot read from `git`").because(err);
        listed.read_until(0, &mut line).map_err(failed)?;
        let Some(line) = line.strip_suffix(&[0]) else { return Ok(entries) };
        if entries.len() == most {
            return Err(
                Error::usage(format!("it has more than {most} files")).hint("name a folder in it")
            );
        }
        entries.extend(entry(line)?);
    }
}

fn entry(line: &[u8]) -> Result<Option<Entry>> {
    let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { return Ok(None) };
    let (facts, path) = (&line[..tab], &line[tab + 1..]);
    let path = harmless(path)?;
    let facts = String::from_utf8_lossy(facts);
    let mut facts = facts.split(' ');
    let (Some(mode), Some(_), Some(id)) = (facts.next(), facts.next(), facts.next()) else {
        return Ok(None);
    };
    let kind = match mode {
        "100755" => EntryKind::Executable,
        "120000" => EntryKind::Link,
        "040000" => EntryKind::Folder,
        "160000" => EntryKind::Submodule,
        _ => EntryKind::File,
    };
    Ok(Some(Entry { kind, id: id.to_owned(), path: path.to_owned() }))
}

/// Returns the path of a file, unless no file is written there.
fn harmless(path: &[u8]) -> Result<&str> {
    let refused = |why: &str| {
        let shown: String = String::from_utf8_lossy(path).chars().take(200).collect();
        Err(Error::usage(format!("its file `{}` cannot be written", shown.escape_debug()))
            .because(why)
            .hint("rename it there, or name the files beside it one by one"))
    };
    match std::str::from_utf8(path) {
        Err(_) => refused("its name is not UTF-8"),
        Ok(text) if !text.split('/').all(is_plain_name) => {
            refused("it has a name that no file can have, or that leads elsewhere")
        }
        // Every command of git in such a folder may run what the configuration in it says.
        Ok(text) if text.split('/').any(|name| name.eq_ignore_ascii_case(".git")) => {
            refused("git would obey what is in `.git`")
        }
        Ok(text) => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_commit() {
        let listed = "100644 blob 1\ta b|040000 tree 2\td|160000 commit 3\ts|\
                      120000 blob 4\tl|100755 blob 5\tx|";
        let listed = entries(listed.replace('|', "\0").as_bytes()).unwrap();
        let kinds: Vec<EntryKind> = listed.iter().map(|entry| entry.kind).collect();
        let expected = [
            EntryKind::File,
            EntryKind::Folder,
            EntryKind::Submodule,
            EntryKind::Link,
            EntryKind::Executable,
        ];
        assert_eq!(kinds, expected);
        assert_eq!(listed[0].path, "a b");
    }

    #[test]
    fn hostile_names() {
        for path in [
            &b"../x"[..],
            b"a/../x",
            b"/x",
            b"a//x",
            b"./x",
            b".git/config",
            b"a/.GIT/config",
            b"a\nfile 00 x",
            b"\xff",
            b"",
        ] {
            let line = [b"100644 blob 1\t", path, b"\0"].concat();
            assert!(entries(&line[..]).is_err(), "{}", path.escape_ascii());
        }
        assert_eq!(entries(&b"100644 blob 1\t.gitignore\0"[..]).unwrap().len(), 1);
    }

    #[test]
    fn endless_listing() {
        let line = "100644 blob 1\tx\0";
        assert_eq!(read(line.repeat(3).as_bytes(), 3).unwrap().len(), 3);
        let error = read(line.repeat(4).as_bytes(), 3).unwrap_err();
        assert_eq!(error.what, "it has more than 3 files");
    }
}
