//! The file format of the stat index. The file is read in one piece and entries are looked up in
//! its bytes; nothing is parsed before it is needed. Does not know when an entry is valid.
//!
//! ```text
//! repro.index 2
//! digest of the rest           32 bytes
//! then for each folder, sorted by path:
//!   length of the path, number of files, length of all names   u32 each
//!   path
//!   for each file, sorted by name: end offset of its name (u32), digest, stat
//!   names, concatenated
//! ```
//! All integers are little-endian.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::digest::Digest;
use crate::workspace::scan::{Executable, Stat};

/// Differences from the stored entries, by folder and name; `None` for a removed entry.
pub(super) type Changes = BTreeMap<Box<str>, BTreeMap<Box<str>, Option<Entry>>>;

const HEADER: &[u8] = b"repro.index 2\n";
/// Offset of the first folder, after the header and the digest.
const START: usize = HEADER.len() + 32;
/// Bytes per file: end offset of the name, digest, five words of the stat, executable flag.
const RECORD: usize = 4 + 32 + 5 * 8 + 1;

/// The recorded stat and digest of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub stat: Stat,
    pub digest: Digest,
}

/// An index file in memory.
#[derive(Debug, Default)]
pub(super) struct Stored {
    bytes: Vec<u8>,
    folders: Vec<FolderSpan>,
}

/// Byte ranges of a folder in the file.
#[derive(Debug)]
struct FolderSpan {
    whole: Range<usize>,
    path: Range<usize>,
    records: Range<usize>,
}

/// The files of one folder.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Folder<'a> {
    records: &'a [u8],
    names: &'a [u8],
}

/// A file whose entry is not decoded yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub name: &'a [u8],
    rest: &'a [u8],
}

impl Stored {
    /// Locates the folders in an index file; `None` if its checksum or structure is wrong.
    pub(super) fn decode(bytes: Vec<u8>) -> Option<Stored> {
        let (checksum, body) = bytes.strip_prefix(HEADER)?.split_first_chunk::<32>()?;
        if Digest::of(body) != Digest::from_bytes(*checksum) {
            return None;
        }
        let mut folders = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let start = bytes.len() - rest.len();
            let [path, count, names] =
                [take_bytes(&mut rest)?, take_bytes(&mut rest)?, take_bytes(&mut rest)?]
                    .map(|length| u32::from_le_bytes(length) as usize);
            let path = start + 12..start + 12 + path;
            let records = path.end..path.end.checked_add(count.checked_mul(RECORD)?)?;
            let whole = start..records.end.checked_add(names)?;
            std::str::from_utf8(bytes.get(path.clone())?).ok()?;
            rest = bytes.get(whole.end..)?;
            folders.push(FolderSpan { whole, path, records });
        }
        Some(Stored { bytes, folders })
    }

    fn path(&self, span: &FolderSpan) -> &str {
        // `decode` checked that it is UTF-8.
        std::str::from_utf8(&self.bytes[span.path.clone()]).unwrap_or_default()
    }

    /// Returns the files of the folder at `path`; none if the index does not have it.
    pub(super) fn folder(&self, path: &str) -> Folder<'_> {
        let found = self.folders.binary_search_by(|span| self.path(span).cmp(path));
        found.map_or_else(|_| Folder::default(), |at| self.folder_at(&self.folders[at]))
    }

    fn folder_at(&self, span: &FolderSpan) -> Folder<'_> {
        Folder {
            records: &self.bytes[span.records.clone()],
            names: &self.bytes[span.records.end..span.whole.end],
        }
    }

    /// Returns the paths of the folder at `path` and of all folders below it.
    pub(super) fn folders_from<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.folders.partition_point(|span| self.path(span) < path);
        let following = self.folders[from..].iter().map(|span| self.path(span));
        // `a.b` sorts between `a` and `a/b`.
        following.take_while(move |other| other.starts_with(path)).filter(move |other| {
            let below = &other[path.len()..];
            below.is_empty() || below.starts_with('/')
        })
    }

    /// Encodes the index with `changes` applied; `None` in them removes a file.
    pub(super) fn with(&self, changes: &Changes) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes.len().max(START) + (64 << 10));
        bytes.extend_from_slice(HEADER);
        bytes.extend_from_slice(&[0; 32]);
        let mut changes = changes.iter().peekable();
        for span in &self.folders {
            let path = self.path(span);
            while let Some((before, changed)) = changes.next_if(|(other, _)| ***other < *path) {
                write_folder(&mut bytes, before, Folder::default(), changed);
            }
            match changes.next_if(|(other, _)| ***other == *path) {
                Some((_, changed)) => write_folder(&mut bytes, path, self.folder_at(span), changed),
                None => bytes.extend_from_slice(&self.bytes[span.whole.clone()]),
            }
        }
        changes
            .for_each(|(path, changed)| write_folder(&mut bytes, path, Folder::default(), changed));
        let digest = Digest::of(&bytes[START..]);
        bytes[HEADER.len()..START].copy_from_slice(digest.as_bytes());
        bytes
    }
}

impl<'a> Folder<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = Record<'a>> {
        (0..self.count()).map(move |at| self.record(at))
    }

    pub(super) fn find(self, name: &str) -> Option<Entry> {
        let (mut from, mut to) = (0, self.count());
        while from < to {
            let middle = from.midpoint(to);
            let record = self.record(middle);
            match record.name.cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return Some(record.entry()),
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        None
    }

    fn count(self) -> usize {
        self.records.len() / RECORD
    }

    fn record(self, at: usize) -> Record<'a> {
        let end = |at: usize| {
            let mut bytes = &self.records[at * RECORD..];
            u32::from_le_bytes(take_bytes(&mut bytes).unwrap_or_default()) as usize
        };
        let start = if at == 0 { 0 } else { end(at - 1) };
        Record {
            name: self.names.get(start..end(at)).unwrap_or_default(),
            rest: &self.records[at * RECORD + 4..(at + 1) * RECORD],
        }
    }
}

impl Record<'_> {
    pub(super) fn entry(&self) -> Entry {
        let mut rest = self.rest;
        let digest = Digest::from_bytes(take_bytes(&mut rest).unwrap_or_default());
        let mut word = || take_bytes(&mut rest).unwrap_or_default();
        let [size, inode, device] = [word(), word(), word()].map(u64::from_le_bytes);
        let [mtime, ctime] = [word(), word()].map(i64::from_le_bytes);
        let executable = if rest == [0] { Executable::No } else { Executable::Yes };
        Entry { stat: Stat { size, mtime, ctime, inode, device, executable }, digest }
    }
}

/// Appends a folder with `changes` merged into its `stored` files, both sorted by name.
///
/// A folder without files is omitted.
fn write_folder(
    bytes: &mut Vec<u8>,
    path: &str,
    stored: Folder<'_>,
    changes: &BTreeMap<Box<str>, Option<Entry>>,
) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 12]);
    bytes.extend_from_slice(path.as_bytes());
    let (mut names, mut count) = (Vec::new(), 0);
    let mut write = |name: &[u8], rest: &dyn Fn(&mut Vec<u8>)| {
        names.extend_from_slice(name);
        bytes.extend_from_slice(&encode_length(names.len()));
        rest(bytes);
        count += 1;
    };
    let mut changes = changes.iter().peekable();
    let mut stored = stored.iter().peekable();
    loop {
        let next = changes.peek().map(|(name, _)| name.as_bytes());
        if let Some(same) = stored.next_if(|record| next.is_none_or(|next| *record.name < *next)) {
            write(same.name, &|bytes| bytes.extend_from_slice(same.rest));
            continue;
        }
        let Some((name, entry)) = changes.next() else { break };
        stored.next_if(|record| *record.name == *name.as_bytes());
        if let Some(entry) = entry {
            write(name.as_bytes(), &|bytes| write_entry(bytes, entry));
        }
    }
    if count == 0 {
        return bytes.truncate(start);
    }
    bytes.extend_from_slice(&names);
    for (at, length) in [path.len(), count, names.len()].into_iter().enumerate() {
        bytes[start + 4 * at..start + 4 * at + 4].copy_from_slice(&encode_length(length));
    }
}

fn write_entry(bytes: &mut Vec<u8>, Entry { stat, digest }: &Entry) {
    bytes.extend_from_slice(digest.as_bytes());
    for word in [stat.size, stat.inode, stat.device] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for time in [stat.mtime, stat.ctime] {
        bytes.extend_from_slice(&time.to_le_bytes());
    }
    bytes.push(u8::from(stat.executable == Executable::Yes));
}

/// Encodes a length. One above `u32::MAX` makes the file invalid, so the next load ignores it.
fn encode_length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn take_bytes<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*chunk)
}
