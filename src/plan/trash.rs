//! `cache/trash`: contents of the user that were displaced from the workspace, and their paths.
//!
//! ```text
//! repro.trash 1
//! storing file 6437b3ac…9d85 "models/genre.mpk"
//! 3 1764512345 file 6437b3ac…9d85 "models/genre.mpk"
//! last 7
//! ```
//!
//! Mechanism: the file only grows, by whole lines. `storing` announces a content that is about to
//! be stored in the cache and to be displaced, or that was adopted as an out. The line of the entry
//! follows when it is stored: id, seconds since 1970, content and path. Paths are JSON, so they
//! never span lines.
//!
//! Invariants: ids increase and are never used again; `last` holds the highest one if its line was
//! removed. What `storing` announced still counts as the user's after a kill between the two lines.
//! A last line without its end is the trace of a kill and does not count. No entry has a path that
//! only `repro` or git may write.
//!
//! Known limits: a damaged line is kept and reported, but what it refers to is unknown.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use crate::digest::Content;
use crate::repo_path::RepoPath;

const FORMAT: &str = "repro.trash ";
const HEADER: &str = "repro.trash 1";

/// A content that was displaced from its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Displaced {
    pub id: u64,
    /// Seconds since 1970-01-01 UTC.
    pub at: i64,
    pub content: Content,
    pub path: RepoPath,
}

impl Displaced {
    /// Returns the time until which the entry is kept, in seconds since 1970.
    pub fn until(&self, kept: Duration) -> i64 {
        self.at.saturating_add(i64::try_from(kept.as_secs()).unwrap_or(i64::MAX))
    }
}

/// A path and its content, before they are an entry.
pub type Found = (RepoPath, Content);

/// The decoded file.
#[derive(Debug, Default)]
pub struct Trash {
    /// In the order of their ids.
    pub entries: Vec<Displaced>,
    /// The first line that cannot be read, counted from 1.
    pub damaged: Option<usize>,
    known: HashSet<Content>,
    last: u64,
}

/// Error: a newer version of this program wrote the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsNewer;

enum Line {
    Header,
    Storing(Found),
    Entry(Displaced),
    Last(u64),
}

impl Trash {
    /// Decodes the complete lines of `text`.
    pub fn decode(text: &[u8]) -> Result<Trash, IsNewer> {
        let mut trash = Trash::default();
        for (number, line) in (1..).zip(lines(text)) {
            match parse(line) {
                Some(Line::Header) => {}
                Some(Line::Storing((_, content))) => drop(trash.known.insert(content)),
                Some(Line::Entry(entry)) => {
                    trash.known.insert(entry.content);
                    trash.last = trash.last.max(entry.id);
                    trash.entries.push(entry);
                }
                Some(Line::Last(id)) => trash.last = trash.last.max(id),
                None if number == 1 && is_newer(line) => return Err(IsNewer),
                None => drop(trash.damaged.get_or_insert(number)),
            }
        }
        trash.entries.sort_by_key(|entry| entry.id);
        Ok(trash)
    }

    /// Returns the contents that were displaced, or were announced.
    pub fn known(&self) -> impl Iterator<Item = &Content> {
        self.known.iter()
    }

    /// Returns entries with new ids for contents displaced at the time `at`.
    pub fn entries_for(&self, found: &[Found], at: i64) -> Vec<Displaced> {
        let entry = |(id, (path, content)): (u64, &Found)| Displaced {
            id,
            at,
            content: *content,
            path: path.clone(),
        };
        (self.last.saturating_add(1)..).zip(found).map(entry).collect()
    }
}

fn is_newer(header: &[u8]) -> bool {
    let version = header.strip_prefix(FORMAT.as_bytes()).and_then(|rest| str::from_utf8(rest).ok());
    version.and_then(|version| version.parse::<u32>().ok()).is_some_and(|version| version > 1)
}

/// Returns the length of the complete lines of `text`, with which an addition has to begin.
pub fn complete(text: &[u8]) -> usize {
    text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)
}

/// Returns the first line of a new file.
pub fn header() -> String {
    format!("{HEADER}\n")
}

/// Returns the lines that announce contents.
pub fn storing(found: &[Found]) -> String {
    let line = |(path, content): &Found| format!("storing {}\n", content_at(path, content));
    found.iter().map(line).collect()
}

/// Returns the lines of entries.
pub fn added(entries: &[Displaced]) -> String {
    let line = |entry: &Displaced| {
        let found = content_at(&entry.path, &entry.content);
        format!("{} {} {found}\n", entry.id, entry.at)
    };
    entries.iter().map(line).collect()
}

/// Returns the text without the entries `ids`, and without announcements of what is stored. Other
/// lines stay as they are.
pub fn without(text: &[u8], ids: &BTreeSet<u64>) -> Result<Vec<u8>, IsNewer> {
    let trash = Trash::decode(text)?;
    let stored: HashSet<Found> =
        trash.entries.iter().map(|entry| (entry.path.clone(), entry.content)).collect();
    let stays = |line: &&[u8]| match parse(line) {
        Some(Line::Entry(entry)) => !ids.contains(&entry.id),
        Some(Line::Storing(found)) => !stored.contains(&found),
        Some(Line::Last(_)) => false,
        Some(Line::Header) | None => true,
    };
    let mut kept: Vec<u8> =
        lines(text).filter(stays).flat_map(|line| [line, b"\n"]).flatten().copied().collect();
    let mut last = String::new();
    let _ = writeln!(last, "last {}", trash.last);
    kept.extend_from_slice(last.as_bytes());
    Ok(kept)
}

/// Returns the text without damaged lines.
pub fn intact(text: &[u8]) -> Vec<u8> {
    let is_header = |line: &&[u8]| matches!(parse(line), Some(Line::Header));
    let others = lines(text).filter(|line| !is_header(line) && parse(line).is_some());
    let others = others.flat_map(|line| [line, b"\n"]).flatten().copied();
    header().into_bytes().into_iter().chain(others).collect()
}

/// Returns the complete lines, without their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = &text[..complete(text)];
    whole.split_inclusive(|&byte| byte == b'\n').map(|line| &line[..line.len() - 1])
}

fn parse(line: &[u8]) -> Option<Line> {
    let line = std::str::from_utf8(line).ok()?;
    if line == HEADER {
        return Some(Line::Header);
    }
    let (word, rest) = line.split_once(' ')?;
    match word {
        "storing" => parse_content_at(rest).map(Line::Storing),
        "last" => rest.parse().ok().map(Line::Last),
        id => {
            let (at, rest) = rest.split_once(' ')?;
            let (path, content) = parse_content_at(rest)?;
            let (id, at) = (id.parse().ok()?, at.parse().ok()?);
            Some(Line::Entry(Displaced { id, at, content, path }))
        }
    }
}

/// Returns `KIND DIGEST "PATH"`.
pub(super) fn content_at(path: &RepoPath, content: &Content) -> String {
    let path = serde_json::Value::from(path.as_str());
    format!("{} {} {path}", content.kind(), content.digest())
}

pub(super) fn parse_content_at(text: &str) -> Option<Found> {
    let mut fields = text.splitn(3, ' ');
    let (kind, digest, path) = (fields.next()?, fields.next()?, fields.next()?);
    let path: RepoPath = serde_json::from_str(path).ok()?;
    let content = Content::from_kind(kind, digest.parse().ok()?)?;
    (!path.is_reserved()).then_some((path, content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use proptest::prelude::*;

    fn found(path: &str) -> Found {
        (RepoPath::parse(path).unwrap(), Content::File(Digest::of(path.as_bytes())))
    }

    fn file(paths: &[&str]) -> Vec<u8> {
        let found: Vec<Found> = paths.iter().map(|path| found(path)).collect();
        let entries = Trash::default().entries_for(&found, 1_764_512_345);
        [header(), storing(&found), added(&entries)].concat().into_bytes()
    }

    fn ids(trash: &Trash) -> Vec<u64> {
        trash.entries.iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn trash_text() {
        insta::assert_snapshot!(String::from_utf8(file(&["a \"b\""])).unwrap(), @r#"
        repro.trash 1
        storing file 6a38875634bd191efed6853217401b8648355eff689b2a9a51016792e96dced0 "a \"b\""
        1 1764512345 file 6a38875634bd191efed6853217401b8648355eff689b2a9a51016792e96dced0 "a \"b\""
        "#);
    }

    #[test]
    fn cut_at_every_byte() {
        let text = file(&["o", "d/p"]);
        for length in 0..=text.len() {
            let trash = Trash::decode(&text[..length]).unwrap();
            assert_eq!(trash.damaged, None, "{length}");
            let whole = text[..length].iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(trash.entries.len(), whole.saturating_sub(3), "{length}");
            assert_eq!(trash.known.contains(&found("o").1), whole >= 2, "{length}");
        }
    }

    #[test]
    fn damaged_lines_are_kept() {
        let mut text = file(&["o"]);
        text.extend_from_slice(b"2 x\n3 5 file 00 \"p\"\n\xff\n");
        let reserved = Digest::of(b"");
        text.extend_from_slice(format!("4 5 file {reserved} \"cache/run.lock\"\n").as_bytes());
        let trash = Trash::decode(&text).unwrap();
        assert_eq!((ids(&trash), trash.damaged), (vec![1], Some(4)));
        let kept = without(&text, &BTreeSet::from([1])).unwrap();
        let trash = Trash::decode(&kept).unwrap();
        assert_eq!((ids(&trash), trash.damaged), (vec![], Some(2)));
        let trash = Trash::decode(&intact(&text)).unwrap();
        assert_eq!((ids(&trash), trash.damaged), (vec![1], None));
        assert_eq!(Trash::decode(b"repro.trash 2\n").unwrap_err(), IsNewer);
        assert_eq!(Trash::decode(b"repro.trash $\n").unwrap().damaged, Some(1));
    }

    #[test]
    fn ids_are_not_reused() {
        let text = file(&["o", "p", "q"]);
        let kept = without(&text, &BTreeSet::from([2, 3])).unwrap();
        let trash = Trash::decode(&kept).unwrap();
        assert_eq!(ids(&trash), [1]);
        assert_eq!(trash.entries_for(&[found("r")], 0)[0].id, 4);
        let empty = without(&kept, &BTreeSet::from([1])).unwrap();
        assert_eq!(String::from_utf8(empty).unwrap(), "repro.trash 1\nlast 3\n");
    }

    proptest! {
        #[test]
        fn any_bytes_decode(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Trash::decode(&text);
            let _ = without(&text, &BTreeSet::new());
        }

        #[test]
        fn trash_round_trip(path in "[a-z \"\\\\é]{1,8}") {
            if let Ok(path) = RepoPath::parse(&path) {
                let found = (path, Content::Tree(Digest::of(b"t")));
                let entries = Trash::default().entries_for(std::slice::from_ref(&found), -1);
                let trash = Trash::decode(added(&entries).as_bytes()).unwrap();
                prop_assert_eq!(trash.entries, entries);
            }
        }
    }
}
