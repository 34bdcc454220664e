//! The files of a folder in a store, with the version of each: from a listing, which is hostile
//! input, to a text that is kept and compared. Pure.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::plan::SourceVersion;
use crate::remote::backend::{Entry, EntryKind};

const MOST_FILES: usize = 10_000_000;
/// Longest name that file systems have, in bytes.
const MAX_NAME: usize = 255;

/// The version of each file, by its path below the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) files: BTreeMap<String, SourceVersion>,
}

impl Listing {
    /// Takes the files below `folder`; messages call it `shown`.
    ///
    /// # Errors
    /// A name could lead out of the folder or cannot be a file, or two names exclude each other.
    pub(super) fn of(entries: Vec<Entry>, folder: &str, shown: &str) -> Result<Listing> {
        let refused = |name: &str, what: &str| {
            let name: String = name.chars().take(200).collect();
            Error::usage(format!("`{shown}` is not downloaded"))
                .because(format!("its file `{}` {what}", name.escape_debug()))
                .hint("rename or remove the file there, or add other files one by one")
        };
        if entries.len() > MOST_FILES {
            return Err(Error::usage(format!("`{shown}` is not downloaded"))
                .because(format!("it has more than {MOST_FILES} files")));
        }
        let mut listing = Listing::default();
        for entry in entries {
            let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let Some(name) = entry.path.strip_prefix(&start) else { continue };
            let fault = match entry.kind {
                EntryKind::Folder => continue,
                EntryKind::Odd(reason) => hostile(name).or(Some(reason)),
                EntryKind::File => hostile(name),
            };
            if let Some(what) = fault {
                return Err(refused(name, what));
            }
            if listing.files.insert(name.to_owned(), version(&entry)).is_some() {
                return Err(refused(name, "is listed twice"));
            }
        }
        for name in listing.files.keys() {
            let above = name.match_indices('/').map(|(at, _)| &name[..at]);
            if let Some(file) = above.into_iter().find(|above| listing.files.contains_key(*above)) {
                return Err(refused(file, &format!("is also a folder, that of `{name}`")));
            }
        }
        Ok(listing)
    }

    /// Parses a text that [`Listing::text`] made; `None` for any other.
    pub(super) fn parse(text: &[u8]) -> Option<Listing> {
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let files = lines.map(|line| serde_json::from_slice(line).ok()).collect::<Option<_>>()?;
        Some(Listing { files })
    }

    /// Returns one line of JSON for each file.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for file in &self.files {
            let _ = serde_json::to_writer(&mut text, &file);
            text.push(b'\n');
        }
        text
    }

    /// Returns the version of the folder as a whole.
    pub(super) fn version(&self) -> SourceVersion {
        let bytes = self.files.values().filter_map(|version| version.bytes);
        SourceVersion {
            bytes: Some(bytes.fold(0, u64::saturating_add)),
            listing: Some(Digest::of(&self.text())),
            files: Some(self.files.len() as u64),
            ..SourceVersion::default()
        }
    }
}

/// Returns the version of a file: its ETag, or else the time of its last change.
pub(super) fn version(entry: &Entry) -> SourceVersion {
    let nanos = |time: std::time::SystemTime| match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos().to_string(),
        Err(before) => format!("-{}", before.duration().as_nanos()),
    };
    let modified = entry.modified.filter(|_| entry.etag.is_none()).map(nanos);
    let etag = entry.etag.clone();
    SourceVersion { etag, modified, bytes: Some(entry.bytes), ..SourceVersion::default() }
}

/// Returns the reason for which no file is written at a path below a folder.
fn hostile(path: &str) -> Option<&'static str> {
    if path.chars().any(char::is_control) {
        return Some("has a control character in its name");
    }
    if path.starts_with('/') {
        return Some("is absolute");
    }
    for part in path.split('/') {
        match part {
            ".." => return Some("leads out of the folder"),
            "" | "." => return Some("has an empty name or `.` in its path"),
            part if part.len() > MAX_NAME => return Some("has a name of more than 255 bytes"),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str) -> Entry {
        let etag = Some("\"1\"".to_owned());
        Entry { path: path.to_owned(), kind: EntryKind::File, bytes: 3, etag, modified: None }
    }

    fn listed(paths: &[&str]) -> Result<Vec<String>> {
        let entries = paths.iter().map(|path| file(path)).collect();
        Listing::of(entries, "top", "s3://b/top").map(|it| it.files.into_keys().collect())
    }

    #[test]
    fn hostile_names() {
        for (paths, what) in [
            (&["top/../x"][..], "its file `../x` leads out of the folder"),
            (&["top/a/../../x"], "its file `a/../../x` leads out of the folder"),
            (&["top//etc/passwd"], "its file `/etc/passwd` is absolute"),
            (&["top/a//b"], "its file `a//b` has an empty name or `.` in its path"),
            (&["top/./b"], "its file `./b` has an empty name or `.` in its path"),
            (&["top/a\nb"], "its file `a\\nb` has a control character in its name"),
            (&["top/a", "top/b", "top/a"], "its file `a` is listed twice"),
            (&["top/a/b", "top/a-", "top/a"], "its file `a` is also a folder, that of `a/b`"),
            (&["top/a", "top/a/b/c/d"], "its file `a` is also a folder, that of `a/b/c/d`"),
        ] {
            let error = listed(paths).unwrap_err();
            assert_eq!(error.causes[0], what, "{paths:?}");
        }
        let long = format!("top/{}", "x".repeat(256));
        assert!(listed(&[&long]).unwrap_err().causes[0].ends_with("more than 255 bytes"));
        let odd = Entry { kind: EntryKind::Odd("is a link to nothing"), ..file("top/x") };
        let error = Listing::of(vec![odd], "top", "u").unwrap_err();
        assert_eq!(error.causes[0], "its file `x` is a link to nothing");
    }

    #[test]
    fn harmless_names() {
        let names = ["top/ü x", "top/A", "top/a", "top/-rf", "top/..a/b", "top/.git/config"];
        assert_eq!(listed(&names).unwrap(), ["-rf", "..a/b", ".git/config", "A", "a", "ü x"]);
        assert_eq!(listed(&["else/x", "topping"]).unwrap(), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn any_listing(paths in prop::collection::vec("[a./\\\\ü\u{1}]{0,6}", 0..6)) {
            let entries = paths.iter().map(|path| file(path)).collect();
            if let Ok(listing) = Listing::of(entries, "", "u") {
                for path in listing.files.keys() {
                    prop_assert!(crate::repo_path::RepoPath::parse_canonical(path).is_some());
                }
                prop_assert_eq!(Listing::parse(&listing.text()), Some(listing));
            }
        }
    }
}
