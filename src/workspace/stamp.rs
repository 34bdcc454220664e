//! Whether files were written in between, whatever they hold now: what is changed and changed back while a stage runs has the
//! content that it had, and the stage may have read the other.

use std::time::Duration;

use super::Workspace;
use super::index::TICK;
use super::scan::Node;
use crate::digest::Digest;
use crate::error::Result;
use crate::pipeline::Pattern;
use crate::repo_path::RepoPath;

/// Which files lie somewhere, of which size, and when they were written last. Equal stamps: nobody has written there.
/// Modes and further names of a file have no part in it: who backs a project up does not disturb it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    files: Digest,
    /// In nanoseconds since 1970; the beginning of time if there is no file.
    newest: i64,
}

impl Stamp {
    /// How long it takes from `now` until a file that is written again has another time: the clock behind them ticks.
    pub fn settles_in(&self, now: i64) -> Duration {
        // A time in the future says nothing about when the file was written.
        let is_recent = self.newest <= now && now < self.newest.saturating_add(TICK);
        let left = if is_recent { self.newest + TICK - now } else { 0 };
        Duration::from_nanos(left as u64)
    }
}

impl Workspace {
    pub fn stamp(&self, path: &RepoPath) -> Result<Stamp> {
        Ok(stamp(self.scan(path)?.as_ref()))
    }

    /// Of what a glob matches, but for what is `ignored`.
    pub fn stamp_glob(&self, glob: &Pattern, ignored: &dyn Fn(&str) -> bool) -> Result<Stamp> {
        Ok(stamp(self.matches(glob, ignored)?.as_ref()))
    }
}

fn stamp(node: Option<&Node>) -> Stamp {
    let (mut bytes, mut newest) = (Vec::new(), i64::MIN);
    if let Some(node) = node {
        write(node, &mut bytes, &mut newest);
    }
    Stamp { files: Digest::of(&bytes), newest }
}

fn write(node: &Node, bytes: &mut Vec<u8>, newest: &mut i64) {
    match node {
        Node::File(stat) => {
            bytes.push(b'f');
            for word in [stat.size, stat.inode, stat.device] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            bytes.extend_from_slice(&stat.mtime.to_le_bytes());
            *newest = stat.mtime.max(*newest);
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
                write(node, bytes, newest);
            }
            bytes.push(b'.');
        }
    }
}
