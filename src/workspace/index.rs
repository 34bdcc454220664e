//! The stat index: digests of files by path, believed while the file's stat is what it was.
//!
//! A stat is not proof: a file written twice within one tick of the file system's clock keeps its times. So an entry is
//! only kept if, when the file was hashed, its times were already older than a tick could be ("racily clean" in git's words);
//! a file hashed sooner after its last change is hashed again next time. With `ctime` in the stat, setting `mtime` back (`touch -d`,
//! `cp -p`, tar) is no way around it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::scan::{Executable, Stat};
use crate::digest::Digest;
use crate::error::Result;

const HEADER: &[u8] = b"repro.index 1\n";

/// Kernel clocks behind file times tick every 1 to 10 ms; twice that is safe.
pub(super) const TICK: i64 = 20_000_000;
/// File systems that keep whole (FAT: even) seconds show times without a fraction.
const WHOLE_SECONDS_TICK: i64 = 2_000_000_000;

#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    entries: HashMap<Box<str>, Entry>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Saved,
    Changed,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    stat: Stat,
    digest: Digest,
}

impl Index {
    pub fn load(path: &Path) -> Index {
        let entries = std::fs::read(path).ok().and_then(|bytes| decode(&bytes)).unwrap_or_default();
        Index { path: path.to_owned(), entries, state: State::Saved }
    }

    /// The digest of `path` if its stat is still the one it was hashed with.
    pub fn get(&self, path: &str, stat: &Stat) -> Option<Digest> {
        self.entries.get(path).filter(|entry| entry.stat == *stat).map(|entry| entry.digest)
    }

    /// Remembers a digest of content that was read, start to end, after `hashed_at` (nanoseconds since 1970),
    /// with `stat` the same before and after.
    pub fn insert(&mut self, path: &str, stat: Stat, digest: Digest, hashed_at: i64) {
        if is_settled(&stat, hashed_at) {
            self.entries.insert(path.into(), Entry { stat, digest });
            self.state = State::Changed;
        } else if self.entries.remove(path).is_some() {
            self.state = State::Changed;
        }
    }

    /// Writes the index if it has changed. It is not synced: a torn file is noticed and costs a hashing.
    pub fn save(&mut self) -> Result<()> {
        if self.state == State::Changed {
            super::write::atomic(&self.path, &encode(&self.entries), super::write::Durability::Relaxed)?;
            self.state = State::Saved;
        }
        Ok(())
    }
}

fn is_settled(stat: &Stat, hashed_at: i64) -> bool {
    [stat.mtime, stat.ctime].into_iter().all(|time| {
        let tick = if time % 1_000_000_000 == 0 { WHOLE_SECONDS_TICK } else { TICK };
        // A time in the future (a clock set back since) cannot be told from one still to come.
        time.saturating_add(tick) < hashed_at
    })
}

fn encode(entries: &HashMap<Box<str>, Entry>) -> Vec<u8> {
    let mut body = Vec::with_capacity(entries.len() * 128);
    for (path, Entry { stat, digest }) in entries {
        let length = u32::try_from(path.len()).unwrap_or(0);
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(&path.as_bytes()[..length as usize]);
        body.extend_from_slice(digest.as_bytes());
        for word in [stat.size, stat.inode, stat.device] {
            body.extend_from_slice(&word.to_le_bytes());
        }
        for time in [stat.mtime, stat.ctime] {
            body.extend_from_slice(&time.to_le_bytes());
        }
        body.push(u8::from(stat.executable == Executable::Yes));
    }
    let mut bytes = HEADER.to_vec();
    bytes.extend_from_slice(Digest::of(&body).as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// `None` unless every byte is as it was written.
fn decode(bytes: &[u8]) -> Option<HashMap<Box<str>, Entry>> {
    let rest = bytes.strip_prefix(HEADER)?;
    let (checksum, mut rest) = rest.split_first_chunk::<32>()?;
    if Digest::of(rest) != Digest::from_bytes(*checksum) {
        return None;
    }
    let mut entries = HashMap::with_capacity(rest.len() / 120);
    while !rest.is_empty() {
        let length = u32::from_le_bytes(*take(&mut rest)?) as usize;
        let (path, after) = rest.split_at_checked(length)?;
        rest = after;
        let path = std::str::from_utf8(path).ok()?;
        let digest = Digest::from_bytes(*take(&mut rest)?);
        let [size, inode, device] =
            [take(&mut rest)?, take(&mut rest)?, take(&mut rest)?].map(|b| u64::from_le_bytes(*b));
        let [mtime, ctime] = [take(&mut rest)?, take(&mut rest)?].map(|b| i64::from_le_bytes(*b));
        let executable = if take::<1>(&mut rest)? == &[0] { Executable::No } else { Executable::Yes };
        entries.insert(
            path.into(),
            Entry { stat: Stat { size, mtime, ctime, inode, device, executable }, digest },
        );
    }
    Some(entries)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (chunk, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn stat(mtime: i64, ctime: i64) -> Stat {
        Stat { size: 3, mtime, ctime, inode: 7, device: 1, executable: Executable::No }
    }

    #[test]
    fn only_settled_stats_are_believed() {
        let now = 1000 * SECOND + 500;
        let cases = [
            ("long ago", stat(now - SECOND - 1, now - SECOND - 1), true),
            ("just written", stat(now - 1, now - 1), false),
            ("mtime set back just now", stat(now - 90 * SECOND - 1, now - 1), false),
            ("in the future", stat(now + SECOND, now - SECOND - 1), false),
            ("whole seconds, recent", stat(999 * SECOND, 999 * SECOND), false),
            ("whole seconds, old", stat(990 * SECOND, 990 * SECOND), true),
        ];
        for (what, stat, believed) in cases {
            let mut index = Index::load(Path::new("/nonexistent/index"));
            index.insert("a", stat, Digest::of(b"x"), now);
            assert_eq!(index.get("a", &stat).is_some(), believed, "{what}");
        }
    }

    #[test]
    fn an_index_reads_back_and_a_damaged_one_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let mut index = Index::load(&path);
        index.insert("data/é x", stat(5, 6), Digest::of(b"x"), SECOND);
        index.save().unwrap();
        assert_eq!(Index::load(&path).get("data/é x", &stat(5, 6)), Some(Digest::of(b"x")));
        assert_eq!(Index::load(&path).get("data/é x", &stat(5, 7)), None);
        let mut bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(decode(&bytes).is_none(), "byte {at}");
            bytes[at] ^= 1;
            assert!(decode(&bytes[..at]).is_none(), "length {at}");
        }
    }
}
