//! A store in a folder of this machine or of a network file system.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::backend::{
    Backend, DEEPEST, Entry, EntryKind, Fault, FaultKind, Listed, MAX_FILE, too_deep,
};
use crate::regular_file;
use crate::unique::unique;

/// Start of the names of files that are being written.
const TEMPORARY: &str = ".tmp-";

#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Returns the store in a folder, which the first write creates if the folder above exists.
    pub(super) fn new(root: PathBuf) -> Folder {
        Folder { root }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Fails if neither the folder nor the one above exists: then a disk may not be mounted.
    fn check_place(&self) -> Result<(), Fault> {
        let above = self.root.parent().unwrap_or(&self.root);
        if self.root.is_dir() || (above.is_dir() && !self.root.exists()) {
            return Ok(());
        }
        let (kind, message) = match self.root.exists() {
            true => (FaultKind::Other, format!("`{}` is not a folder", self.root.display())),
            false => {
                (FaultKind::NoSuchPlace, format!("the folder `{}` does not exist", above.display()))
            }
        };
        Err(Fault { kind, message })
    }

    /// Explains an error: a file is not missing if the whole place is.
    fn fault(&self, err: &io::Error) -> Fault {
        match err.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                self.check_place().err().unwrap_or_else(|| fault(err))
            }
            _ => fault(err),
        }
    }

    fn read(&self, path: &Path, range: Option<Range<u64>>) -> io::Result<Vec<u8>> {
        let file = regular_file::open(path)?;
        let mut bytes = Vec::new();
        match range {
            None if file.metadata()?.len() > MAX_FILE => {
                return Err(io::Error::other("the file is larger than any file of a remote"));
            }
            None => drop(file.take(MAX_FILE).read_to_end(&mut bytes)?),
            Some(range) => {
                let length = usize::try_from(range.end.saturating_sub(range.start));
                let length = length.map_err(|_| ErrorKind::InvalidInput)?;
                // The range may come from a damaged index.
                if file.metadata()?.len() < range.end {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                bytes.resize(length, 0);
                file.read_exact_at(&mut bytes, range.start)?;
            }
        }
        Ok(bytes)
    }

    /// Creates a folder of the store and those above it, so that they survive a power cut.
    fn create(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for above in folder.ancestors().skip(1) {
            // A folder above the store may be one that cannot be read.
            match File::open(above) {
                Ok(opened) => opened.sync_all()?,
                Err(_) => break,
            }
            if Some(above) == self.root.parent() {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(path);
        let temporary = folder.join(format!("{TEMPORARY}{}", unique()));
        let create = || OpenOptions::new().write(true).create_new(true).open(&temporary);
        let mut file = match create() {
            Err(err) if err.kind() == ErrorKind::NotFound => {
                self.create(folder)?;
                create()?
            }
            created => created?,
        };
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_data())
            .and_then(|()| fs::rename(&temporary, path))
            .and_then(|()| File::open(folder)?.sync_all());
        written.inspect_err(|_| drop(fs::remove_file(&temporary)))
    }
}

impl Backend for Folder {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, Fault> {
        self.check_place()?;
        let mut listed = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.path(&folder)) {
                Err(err) if err.kind() == ErrorKind::NotFound => continue,
                entries => entries.map_err(|err| self.fault(&err))?,
            };
            for entry in entries {
                let entry = entry.map_err(|err| self.fault(&err))?;
                let name = entry.file_name();
                let Some(name) = plain_name(&name) else { continue };
                let path = below(&folder, name);
                // A file may have been deleted since it was listed.
                let Ok(meta) = entry.metadata() else { continue };
                if meta.is_dir() {
                    folders.push(path);
                } else if meta.is_file() {
                    listed.push(Listed { path, bytes: meta.len(), modified: meta.modified().ok() });
                }
            }
        }
        Ok(listed)
    }

    fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Vec<u8>, Fault> {
        self.read(&self.path(path), range).map_err(|err| self.fault(&err))
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), Fault> {
        let full = self.path(path);
        if !self.root.is_dir() {
            self.check_place()?;
        }
        self.write(&full, bytes).map_err(|err| self.fault(&err))
    }

    fn delete(&self, path: &str) -> Result<(), Fault> {
        match fs::remove_file(self.path(path)) {
            Err(err) if err.kind() != ErrorKind::NotFound => Err(self.fault(&err)),
            _ => Ok(()),
        }
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, Fault> {
        match fs::metadata(self.path(path)) {
            Err(err) => match self.fault(&err) {
                Fault { kind: FaultKind::Missing, .. } => Ok(None),
                fault => Err(fault),
            },
            Ok(meta) => Ok(Some(entry(path.to_owned(), &meta))),
        }
    }

    fn entries(&self, folder: &str) -> Result<Vec<Entry>, Fault> {
        let mut found = Vec::new();
        let mut folders = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            if depth > DEEPEST {
                return Err(too_deep(&folder));
            }
            let listed = match fs::read_dir(self.path(&folder)) {
                Err(err) if err.kind() == ErrorKind::NotFound => continue,
                listed => listed.map_err(|err| self.fault(&err))?,
            };
            for listed in listed {
                let listed = listed.map_err(|err| self.fault(&err))?;
                let path = below(&folder, &listed.file_name().to_string_lossy());
                if listed.file_name().to_str().is_none() {
                    found.push(odd(path, "has a name that is not UTF-8"));
                    continue;
                }
                // A file may have been deleted since it was listed.
                let Ok(meta) = listed.metadata() else { continue };
                if meta.is_symlink() {
                    found.push(odd(path, "is a link, which is not followed"));
                    continue;
                }
                if meta.is_dir() {
                    folders.push((path.clone(), depth + 1));
                }
                found.push(entry(path, &meta));
            }
        }
        Ok(found)
    }

    fn parallelism(&self) -> usize {
        std::thread::available_parallelism().map_or(4, |number| number.get().clamp(4, 16))
    }
}

fn entry(path: String, meta: &fs::Metadata) -> Entry {
    let kind = match (meta.is_file(), meta.is_dir()) {
        (true, _) => EntryKind::File,
        (false, true) => EntryKind::Folder,
        (false, false) => EntryKind::Odd("is neither a file nor a folder"),
    };
    Entry { path, kind, bytes: meta.len(), etag: None, modified: meta.modified().ok() }
}

fn odd(path: String, reason: &'static str) -> Entry {
    Entry { path, kind: EntryKind::Odd(reason), bytes: 0, etag: None, modified: None }
}

/// Returns the path of a name in a folder; the top folder is empty.
pub(super) fn below(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

/// Returns the name of a file of a store; `None` for temporary files, and for names that no store
/// has.
fn plain_name(name: &OsStr) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.to_str().filter(|name| !name.starts_with(TEMPORARY) && name.bytes().all(is_plain))
}

fn fault(err: &io::Error) -> Fault {
    let kind = match err.kind() {
        ErrorKind::NotFound => FaultKind::Missing,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => FaultKind::Denied,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            FaultKind::Full
        }
        ErrorKind::UnexpectedEof => FaultKind::Truncated,
        ErrorKind::TimedOut
        | ErrorKind::StaleNetworkFileHandle
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown => FaultKind::Unavailable,
        _ => FaultKind::Other,
    };
    Fault { kind, message: err.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let kind = |result: Result<(), Fault>| result.map_err(|fault| fault.kind);
        let store = Folder::new(dir.path().join("new"));
        assert!(store.list("index").unwrap().is_empty());
        assert_eq!(kind(store.get("x", None).map(drop)), Err(FaultKind::Missing));
        store.put("a/b", b"x").unwrap();
        let unmounted = Folder::new(dir.path().join("not/mounted"));
        assert_eq!(kind(unmounted.list("index").map(drop)), Err(FaultKind::NoSuchPlace));
        assert_eq!(kind(unmounted.get("x", None).map(drop)), Err(FaultKind::NoSuchPlace));
        assert_eq!(kind(unmounted.put("x", b"x")), Err(FaultKind::NoSuchPlace));
        assert!(!dir.path().join("not").exists());
        let file = Folder::new(dir.path().join("new/a/b"));
        let fault = file.put("x", b"x").unwrap_err();
        assert_eq!(fault.kind, FaultKind::Other);
        assert!(fault.message.ends_with("is not a folder"), "{fault}");
    }

    #[test]
    fn temporary_files_are_not_listed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Folder::new(dir.path().to_owned());
        store.put("index/a", b"123").unwrap();
        fs::write(dir.path().join("index/.tmp-1-2"), "x").unwrap();
        fs::write(dir.path().join("index/with space"), "x").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("index/link")).unwrap();
        let listed = store.list("index").unwrap();
        let paths: Vec<(&str, u64)> =
            listed.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
        assert_eq!(paths, [("index/a", 3)]);
        assert!(store.get("index/link", None).is_err());
    }

    #[test]
    fn ranges() {
        let dir = tempfile::tempdir().unwrap();
        let store = Folder::new(dir.path().to_owned());
        store.put("x", b"0123456789").unwrap();
        assert_eq!(store.get("x", Some(3..6)).unwrap(), b"345");
        assert_eq!(store.get("x", Some(10..10)).unwrap(), b"");
        for range in [5..11, 11..12, 0..u64::MAX / 2] {
            assert_eq!(store.get("x", Some(range)).unwrap_err().kind, FaultKind::Truncated);
        }
    }

    #[test]
    fn endless_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = Folder::new(dir.path().to_owned());
        File::create(dir.path().join("x")).unwrap().set_len(1 << 42).unwrap();
        let fault = store.get("x", None).unwrap_err();
        assert_eq!(fault.message, "the file is larger than any file of a remote");
        assert_eq!(store.get("x", Some(5..7)).unwrap(), [0, 0]);
    }
}
