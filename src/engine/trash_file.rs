//! The file `cache/trash` of the project: reads its entries, adds to them and removes some.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;

use crate::cache::Cache;
use crate::clock::now_millis;
use crate::error::{Error, Result};
use crate::plan::trash::{self, Displaced, Found, IsNewer, Trash};
use crate::workspace::run_lock::RunLock;
use crate::workspace::write::{self, Durability};

/// The file with the entries. Who changes it holds the run lock; threads of one process take turns.
#[derive(Debug)]
pub struct TrashFile {
    path: PathBuf,
    turn: Mutex<()>,
}

impl TrashFile {
    pub(super) fn at(path: PathBuf) -> TrashFile {
        TrashFile { path, turn: Mutex::new(()) }
    }

    /// Returns the entries; none if the file is missing.
    pub fn read(&self) -> Result<Trash> {
        Trash::decode(&self.bytes()?).map_err(|IsNewer| self.newer())
    }

    /// Announces contents that are about to be stored and displaced, or adopted.
    pub(super) fn announce(&self, found: &[Found]) -> Result<()> {
        self.append(|_| trash::storing(found))
    }

    /// Adds entries for contents that are stored and are about to be displaced.
    pub(super) fn add(&self, found: &[Found]) -> Result<Vec<Displaced>> {
        let mut entries = Vec::new();
        self.append(|trash| {
            entries = trash.entries_for(found, now_millis() / 1000);
            trash::added(&entries)
        })?;
        Ok(entries)
    }

    /// Removes entries. Their objects stay until `repro gc`.
    pub fn forget(&self, _held: &RunLock, ids: &BTreeSet<u64>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let left = trash::without(&self.bytes()?, ids).map_err(|IsNewer| self.newer())?;
        write::atomic(&self.path, &left, Durability::Synced)
    }

    /// Moves the file to `damaged/` and keeps the lines that can be read. Returns both paths.
    pub(super) fn set_damaged_aside(
        &self,
        _held: &RunLock,
        cache: &Cache,
    ) -> Result<(PathBuf, PathBuf)> {
        let intact = trash::intact(&self.bytes()?);
        let aside = cache.set_aside(&self.path, "trash")?;
        write::atomic(&self.path, &intact, Durability::Synced)?;
        Ok((self.path.clone(), aside))
    }

    /// Appends whole lines and syncs them. A line that a kill tore is removed first.
    fn append(&self, lines: impl FnOnce(&Trash) -> String) -> Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir).map_err(|err| Error::io("create", dir, &err))?;
        }
        let mut file = self.open(OpenOptions::new().read(true).write(true).create(true))?;
        let failed = |err: std::io::Error| Error::io("write", &self.path, &err);
        let mut old = Vec::new();
        file.read_to_end(&mut old).map_err(failed)?;
        let end = trash::complete(&old);
        let trash = Trash::decode(&old).map_err(|IsNewer| self.newer())?;
        let mut text = if end == 0 { trash::header() } else { String::new() };
        text.push_str(&lines(&trash));
        file.set_len(end as u64)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .and_then(|_| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        if end == 0 {
            write::sync_dir(&self.path);
        }
        Ok(())
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if self.path.symlink_metadata().is_err_and(|err| err.kind() == ErrorKind::NotFound) {
            return Ok(bytes);
        }
        self.open(OpenOptions::new().read(true))?
            .read_to_end(&mut bytes)
            .map_err(|err| Error::io("read", &self.path, &err))?;
        Ok(bytes)
    }

    /// Opens the file; a link is not followed and a FIFO is not waited for.
    fn open(&self, options: &mut OpenOptions) -> Result<File> {
        // Opening a FIFO for writing fails before anything can be known about it.
        if self.path.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
            return Err(self.not_a_file());
        }
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let failed = |err: std::io::Error| Error::io("open", &self.path, &err);
        let file = options.custom_flags(flags.cast_signed()).open(&self.path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_file() {
            return Ok(file);
        }
        Err(self.not_a_file())
    }

    fn not_a_file(&self) -> Error {
        Error::environment(format!("`{}` is not a file", self.path.display()))
            .hint("move it away: `repro` keeps its list of displaced files there")
    }

    fn newer(&self) -> Error {
        let path = self.path.display();
        Error::environment(format!("`{path}` was written by a newer version of repro"))
            .hint("use that version, so that no displaced file is lost")
    }
}
