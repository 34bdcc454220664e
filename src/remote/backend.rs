//! The interface to a store of files: five verbs, each with a contract. All stores pass one
//! conformance suite (`tests/remotes`).

use std::fmt;
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// Largest file that is read. A file of a remote is much smaller; a larger one is not ours.
pub(super) const MAX_FILE: u64 = 1 << 30;

/// A store of files named by relative paths, such as `packs/ab/cdef`.
///
/// Paths consist of plain names of ASCII letters, digits, `.`, `_` and `-`, separated by `/`.
/// Every verb may be called from several threads at once, and blocks until it is done. A file fits
/// in memory. No verb is repeated here: a caller that wants to try again looks at [`FaultKind`].
pub trait Backend: Send + Sync + fmt::Debug {
    /// Returns the place as a message shows it, without secrets.
    fn place(&self) -> String;

    /// Lists the files below `folder`, at any depth and in any order; none if it does not exist.
    ///
    /// A file that was written before the call is listed. Temporary files of writers are not.
    ///
    /// # Errors
    /// [`FaultKind::Unsupported`] if the store has no listing.
    fn list(&self, folder: &str) -> Result<Vec<Listed>, Fault>;

    /// Returns the bytes of a file, or those in `range`. No more than [`MAX_FILE`] are read.
    ///
    /// # Errors
    /// [`FaultKind::Missing`] if the file does not exist. A file that ends inside the range, or a
    /// transfer that ends early, is [`FaultKind::Truncated`]; fewer bytes are never returned.
    fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Vec<u8>, Fault>;

    /// Writes a file and the folders that lead to it; replaces an existing one.
    ///
    /// Another reader sees the whole file or none. After an error either may be the case.
    ///
    /// # Errors
    /// [`FaultKind::Denied`] if the credentials may not write; [`FaultKind::Full`].
    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), Fault>;

    /// Deletes a file; succeeds if it does not exist.
    ///
    /// # Errors
    /// [`FaultKind::Denied`] if the credentials may not delete.
    fn delete(&self, path: &str) -> Result<(), Fault>;

    /// Returns the file or folder at a path, which may have any name; `None` if it is missing.
    ///
    /// A store that has no folders of its own returns files only.
    ///
    /// # Errors
    /// The store cannot be asked.
    fn entry(&self, path: &str) -> Result<Option<Entry>, Fault>;

    /// Lists everything below `folder`, at any depth and in any order, whatever its name; nothing
    /// if the folder does not exist. Other programs wrote these files, so nothing is left out
    /// without a word: what cannot be read is [`EntryKind::Odd`].
    ///
    /// # Errors
    /// [`FaultKind::Unsupported`] if the store has no listing; [`FaultKind::Other`] if folders are
    /// nested without an end.
    fn entries(&self, folder: &str) -> Result<Vec<Entry>, Fault>;

    /// Returns the number of calls that the store handles well at once.
    fn parallelism(&self) -> usize;

    /// Returns what a user can do about a fault of this store; `None` if there is nothing to say.
    fn remedy(&self, kind: FaultKind) -> Option<String> {
        let _ = kind;
        None
    }
}

/// A file in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    pub bytes: u64,
    /// Time of the last write by the clock of the store, where it reports one.
    pub modified: Option<SystemTime>,
}

/// A file or folder that any program may have written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path in the store, as the store names it: it may be hostile.
    pub path: String,
    pub kind: EntryKind,
    pub bytes: u64,
    /// Name of the version of a file, where the store has such names.
    pub etag: Option<String>,
    pub modified: Option<SystemTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Folder,
    /// Something that cannot be read, for this reason.
    Odd(&'static str),
}

/// Deepest folder that [`Backend::entries`] lists.
pub(super) const DEEPEST: usize = 128;

/// Returns the fault of a listing whose folders have no end.
pub(super) fn too_deep(folder: &str) -> Fault {
    let message = format!("the folder `{folder}` is nested more than {DEEPEST} folders deep");
    Fault { kind: FaultKind::Other, message }
}

/// The failure of a verb.
#[derive(Debug, Clone)]
pub struct Fault {
    pub kind: FaultKind,
    /// The message of the store or the client, without secrets.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The file does not exist.
    Missing,
    /// The bucket, container, share or top folder does not exist.
    NoSuchPlace,
    /// There are no credentials, or they are wrong or do not suffice.
    Denied,
    /// The disk or the quota is full.
    Full,
    /// The file or the transfer ended early.
    Truncated,
    /// The store asks for fewer requests, perhaps for a pause of this length.
    Busy(Option<Duration>),
    /// The store cannot be reached, did not answer in time, or failed for now.
    Unavailable,
    /// The store does not have the verb.
    Unsupported,
    /// Anything else; to try again is useless.
    Other,
}

impl FaultKind {
    /// Reports whether the same call may succeed later.
    pub fn is_passing(self) -> bool {
        matches!(self, FaultKind::Truncated | FaultKind::Busy(_) | FaultKind::Unavailable)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
