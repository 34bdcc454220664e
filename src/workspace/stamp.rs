//! Detects that files were written while a stage ran.
//!
//! # Mechanism
//!
//! A [`Stamp`] is taken of each dep before and after the stage. Unlike a digest of the contents, it
//! also changes if a file is modified and then changed back: the content is the same as before, but
//! the stage may have read the other one. A stamp covers names, sizes, mtimes, inodes and devices,
//! and reads no file.
//!
//! # Invariants
//!
//! - Equal stamps mean that no file was written in between, provided that the first one was taken
//!   after [`Stamp::settles_in`] had passed. Until then a second write could leave the same mtime.
//! - ctime, mode and link count are left out on purpose: a backup program that adds a hard link or
//!   changes a mode does not disturb a run.
//!
//! # Known limits
//!
//! - A program that writes a file in place and sets its mtime back is not noticed.

use std::time::Duration;

use super::Workspace;
use super::index::TICK;
use super::scan::Node;
use crate::digest::Digest;
use crate::error::Result;
use crate::pipeline::Glob;
use crate::repo_path::RepoPath;

/// Names, sizes, mtimes and inodes of the files at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Digest of the names and stats.
    digest: Digest,
    /// Newest mtime in nanoseconds since 1970; `i64::MIN` if there is no file.
    newest_mtime: i64,
}

impl Stamp {
    /// Returns the time from `now` until another write is certain to give a file a new mtime.
    ///
    /// Until then the clock of the file system may not have ticked since the last write.
    pub fn settles_in(&self, now: i64) -> Duration {
        // A time in the future does not say when the file was written.
        let is_recent = self.newest_mtime <= now && now < self.newest_mtime.saturating_add(TICK);
        let left = if is_recent { self.newest_mtime + TICK - now } else { 0 };
        Duration::from_nanos(left as u64)
    }
}

impl Workspace {
    /// Returns the stamp of `path`, which need not exist.
    pub fn stamp(&self, path: &RepoPath) -> Result<Stamp> {
        Ok(stamp(self.scan(path)?.as_ref()))
    }

    /// Returns the stamp of the matches of `glob`, except paths for which `ignored` is true.
    pub fn stamp_glob(&self, glob: &Glob, ignored: &dyn Fn(&str) -> bool) -> Result<Stamp> {
        Ok(stamp(self.matches(glob, ignored)?.as_ref()))
    }
}

fn stamp(node: Option<&Node>) -> Stamp {
    let (mut bytes, mut newest_mtime) = (Vec::new(), i64::MIN);
    if let Some(node) = node {
        write(node, &mut bytes, &mut newest_mtime);
    }
    Stamp { digest: Digest::of(&bytes), newest_mtime }
}

/// Appends an unambiguous encoding of `node` to `bytes`.
fn write(node: &Node, bytes: &mut Vec<u8>, newest_mtime: &mut i64) {
    match node {
        Node::File(stat) => {
            bytes.push(b'f');
            for word in [stat.size, stat.inode, stat.device] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            bytes.extend_from_slice(&stat.mtime.to_le_bytes());
            *newest_mtime = stat.mtime.max(*newest_mtime);
        }
        Node::Link(target) => {
            bytes.push(b'l');
            bytes.extend_from_slice(target.as_bytes());
            bytes.push(0);
        }
        Node::Dir(entries) => {
            bytes.push(b'd');
            for (name, node) in entries {
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(0);
                write(node, bytes, newest_mtime);
            }
            bytes.push(b'.');
        }
    }
}
