//! The local knowledge about a remote: copies of its index files, and the packs that an interrupted
//! push has sent.
//!
//! ```text
//! cache/remotes/DIGEST-OF-URL/index/NAME     copy of an index file; immutable
//! cache/remotes/DIGEST-OF-URL/journal/NAME   an index of one pack that is sent and in no index yet
//! ```
//! All of it can be deleted at any time: it is fetched again, or sent again.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::index::{Index, Pack};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::unique::unique;

const INDEX: &str = "index";
const JOURNAL: &str = "journal";

#[derive(Debug)]
pub(super) struct LocalState {
    dir: PathBuf,
}

impl LocalState {
    /// Returns the state of the remote at a place, in the folder `remotes`. Creates nothing.
    pub(super) fn of(remotes: &Path, place: &str) -> LocalState {
        LocalState { dir: remotes.join(Digest::of(place.as_bytes()).to_string()) }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the copy of an index file; `None` if it is missing or damaged.
    pub(super) fn index(&self, name: &Digest) -> Option<Vec<u8>> {
        let bytes = regular_file::read(&self.path(INDEX, name)).ok()?;
        (Digest::of(&bytes) == *name).then_some(bytes)
    }

    /// Keeps a copy of an index file. If this fails, the file is fetched again the next time.
    pub(super) fn keep_index(&self, name: &Digest, bytes: &[u8]) {
        let _ = self.write(INDEX, name, bytes);
    }

    /// Removes the copies of index files for which `is_kept` returns false.
    pub(super) fn retain(&self, is_kept: impl Fn(&Digest) -> bool) {
        for name in self.names(INDEX).into_iter().filter(|name| !is_kept(name)) {
            let _ = fs::remove_file(self.path(INDEX, &name));
        }
    }

    /// Reports whether an index file of this remote was read before.
    pub(super) fn is_known(&self) -> bool {
        !self.names(INDEX).is_empty()
    }

    /// Notes a pack that was sent.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn note(&self, pack: &Pack) -> Result<()> {
        let index = Index { packs: vec![pack.clone()], ..Index::default() };
        self.write(JOURNAL, &pack.digest, &index.encode())
    }

    /// Returns the packs that were noted.
    pub(super) fn noted(&self) -> Vec<Pack> {
        let read = |name: Digest| regular_file::read(&self.path(JOURNAL, &name)).ok();
        let bytes = self.names(JOURNAL).into_iter().filter_map(read);
        bytes.filter_map(|bytes| Index::decode(&bytes).ok()).flat_map(|index| index.packs).collect()
    }

    /// Removes the notes of packs.
    pub(super) fn forget(&self, packs: &[Digest]) {
        for pack in packs {
            let _ = fs::remove_file(self.path(JOURNAL, pack));
        }
    }

    fn names(&self, folder: &str) -> Vec<Digest> {
        let entries = fs::read_dir(self.dir.join(folder)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    fn path(&self, folder: &str, name: &Digest) -> PathBuf {
        self.dir.join(folder).join(name.to_string())
    }

    fn write(&self, folder: &str, name: &Digest, bytes: &[u8]) -> Result<()> {
        let path = self.path(folder, name);
        let temporary = self.dir.join(folder).join(format!(".{}", unique()));
        let write = || {
            let mut file = match fs::File::create_new(&temporary) {
                Err(err) if err.kind() == ErrorKind::NotFound => {
                    fs::create_dir_all(self.dir.join(folder))?;
                    fs::File::create_new(&temporary)?
                }
                created => created?,
            };
            file.write_all(bytes)?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|err| {
            let _ = fs::remove_file(&temporary);
            Error::io("write", &path, &err)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_copy_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let state = LocalState::of(dir.path(), "/mnt/store");
        let name = Digest::of(b"index");
        assert!(!state.is_known() && state.index(&name).is_none());
        state.keep_index(&name, b"index");
        assert_eq!(state.index(&name).as_deref(), Some(&b"index"[..]));
        fs::write(state.path(INDEX, &name), "torn").unwrap();
        assert_eq!(state.index(&name), None);
        state.retain(|_| false);
        assert!(!state.is_known());
    }

    #[test]
    fn noted_packs() {
        let dir = tempfile::tempdir().unwrap();
        let state = LocalState::of(dir.path(), "/mnt/store");
        let pack = Pack { digest: Digest::of(b"pack"), bytes: 4, since: 0, blobs: Vec::new() };
        state.note(&pack).unwrap();
        fs::write(state.path(JOURNAL, &Digest::of(b"other")), "torn").unwrap();
        assert_eq!(state.noted(), std::slice::from_ref(&pack));
        state.forget(&[pack.digest]);
        assert!(state.noted().is_empty());
    }
}
