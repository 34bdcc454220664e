//! Files that clients upload to a run or a logged model. They are kept in the history, not in the
//! cache: `runs/run-12/artifacts/PATH` and `runs/models/ID/artifacts/PATH`. What a stage uploads to
//! its run has a path below its name, `train/model.pkl`, as its metrics are called `train.loss`.
//!
//! # Invariants
//!
//! - A file is complete or missing: bytes go to a temporary file in `runs/tmp`, and one rename
//!   gives it its name.
//! - No path leaves the folder of its owner, by its text or by a link in the folder.
//! - Memory does not grow with a file: bytes are digested and written as they arrive.

mod place;

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::params;
use rustix::io::Errno;

pub use self::place::{ARTIFACTS, ModelId, Place, parse_path};
use super::folders::run_dir;
use super::rows::{run_name, signed};
use super::store::{FOLDER, Store};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::pipeline::StageName;
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::state_folder;
use crate::unique::{is_left_over, unique};

/// Folder of the logged models in the history.
const MODELS: &str = "models";
/// Folder of uploads that have not ended.
const TEMPORARY: &str = "tmp";

/// The run or logged model that uploaded files belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Run(RunName),
    Model(ModelId),
}

impl Owner {
    /// Returns the folder of the owner's files, which need not exist.
    pub fn folder(&self, history: &Path) -> PathBuf {
        match self {
            Owner::Run(run) => run_dir(history, *run).join(ARTIFACTS),
            Owner::Model(id) => history.join(FOLDER).join(MODELS).join(id.as_str()).join(ARTIFACTS),
        }
    }
}

/// A file or a folder in the folder of an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The last part of its path.
    pub name: String,
    /// Size of a file in bytes; `None` for a folder.
    pub bytes: Option<u64>,
}

/// A file that is being uploaded. Dropping it removes what has arrived.
#[derive(Debug)]
pub struct Upload {
    temporary: PathBuf,
    file: File,
    hasher: blake3::Hasher,
}

impl Upload {
    /// Begins an upload to the history at `history`.
    ///
    /// # Errors
    /// The folder of the history cannot be written.
    pub fn begin(history: &Path) -> Result<Upload> {
        let folder = history.join(FOLDER).join(TEMPORARY);
        let temporary = folder.join(unique());
        let created = state_folder::create(&history.join(FOLDER))
            .and_then(|()| fs::create_dir_all(&folder))
            .and_then(|()| regular_file::create(&temporary));
        let file = created.map_err(|err| Error::io("write", &temporary, &err))?;
        Ok(Upload { temporary, file, hasher: blake3::Hasher::new() })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The disk is full, for example.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|err| Error::io("write", &self.temporary, &err))
    }

    /// Returns the digest of the bytes that have arrived.
    pub fn digest(&self) -> Digest {
        self.hasher.finalize().into()
    }

    /// Gives the file its name; replaces an older file at `path`.
    fn rename(&self, history: &Path, owner: &Owner, path: &RepoPath) -> Result<()> {
        let folder = owner.folder(history);
        let to = path.to_path(&folder);
        let parent = to.parent().unwrap_or(&folder);
        let renamed = fs::create_dir_all(parent)
            .and_then(|()| inside(&folder, parent))
            .and_then(|()| fs::rename(&self.temporary, &to));
        renamed.map_err(|err| file_error("write", path, &to, &err))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // It has another name if the upload ended well.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Removes uploads that killed processes have left.
pub fn sweep_uploads(history: &Path) {
    let entries = fs::read_dir(history.join(FOLDER).join(TEMPORARY)).into_iter().flatten();
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_left_over) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Opens an uploaded file.
///
/// # Errors
/// The path is a folder, for example. `Ok(None)` if nothing exists there.
pub fn open(history: &Path, owner: &Owner, path: &RepoPath) -> Result<Option<File>> {
    let folder = owner.folder(history);
    let full = path.to_path(&folder);
    let opened =
        inside(&folder, full.parent().unwrap_or(&folder)).and_then(|()| regular_file::open(&full));
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(err) if is_missing(&err) => Ok(None),
        Err(err) => Err(file_error("read", path, &full, &err)),
    }
}

/// Returns where an uploaded file or folder is on disk; `None` if it does not exist.
pub fn existing(history: &Path, owner: &Owner, path: Option<&RepoPath>) -> Option<PathBuf> {
    let folder = owner.folder(history);
    let full = path.map_or_else(|| folder.clone(), |path| path.to_path(&folder));
    inside(&folder, &full).ok().map(|()| full)
}

/// Reports whether a client uploaded the artifact of a run, so that the cache does not have it.
pub fn is_uploaded(history: &Path, run: RunName, stage: &StageName, path: &RepoPath) -> bool {
    let is_below = || path.as_str().split('/').next() == Some(stage.as_str());
    *stage == StageName::outside()
        || is_below() && existing(history, &Owner::Run(run), Some(path)).is_some()
}

/// Lists a folder of uploaded files, by name; `None` stands for the owner's whole folder.
///
/// # Errors
/// The folder cannot be read. A file, or nothing, has no entries.
pub fn list(history: &Path, owner: &Owner, path: Option<&RepoPath>) -> Result<Vec<Listed>> {
    let folder = owner.folder(history);
    let full = path.map_or_else(|| folder.clone(), |path| path.to_path(&folder));
    let entries = match inside(&folder, &full).and_then(|()| fs::read_dir(&full)) {
        Err(err) if is_missing(&err) || err.kind() == ErrorKind::InvalidInput => {
            return Ok(Vec::new());
        }
        read => read.map_err(|err| Error::io("read", &full, &err))?,
    };
    let mut listed: Vec<Listed> = entries
        .flatten()
        .filter_map(|entry| {
            let meta = entry.metadata().ok().filter(|meta| meta.is_file() || meta.is_dir())?;
            let name = entry.file_name().into_string().ok()?;
            Some(Listed { name, bytes: meta.is_file().then_some(meta.len()) })
        })
        .collect();
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}

impl Store {
    /// Returns the owner of files that is called `id`: the identity of a run or of a logged model.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn owner(&self, id: &str) -> Result<Option<Owner>> {
        if let Some(id) = ModelId::parse(id) {
            let sql = "SELECT 1 FROM models WHERE id = ?1";
            let known = self.query_one(sql, (id.as_str(),), |_| Ok(()))?;
            return Ok(known.map(|()| Owner::Model(id)));
        }
        let run = self.query_one("SELECT number FROM runs WHERE uid = ?1", (id,), run_name)?;
        Ok(run.map(Owner::Run))
    }

    /// Returns the URI by which clients name the root of the files of `owner`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn artifact_uri(&self, owner: &Owner) -> Result<String> {
        const RUN: &str = "
            SELECT rtrim(coalesce(artifact_location, 'mlflow-artifacts:/' || experiments.id), '/')
                || '/' || uid || '/artifacts'
            FROM runs JOIN experiments ON experiments.id = experiment WHERE number = ?1";
        const MODEL: &str = "
            SELECT coalesce(models.artifact_location,
                rtrim(coalesce(experiments.artifact_location,
                    'mlflow-artifacts:/' || experiment), '/')
                || '/models/' || models.id || '/artifacts')
            FROM models JOIN experiments ON experiments.id = experiment WHERE models.id = ?1";
        let uri = match owner {
            Owner::Run(run) => self.query_one(RUN, (signed(*run),), |row| row.get(0))?,
            Owner::Model(id) => self.query_one(MODEL, (id.as_str(),), |row| row.get(0))?,
        };
        Ok(uri.unwrap_or_default())
    }

    /// Names a file that `stage`, or nobody's stage, uploaded, and records its digest. Begins no
    /// transaction.
    ///
    /// # Errors
    /// The path is a folder, or leads through a file.
    pub fn keep_upload(
        &self,
        upload: &Upload,
        owner: &Owner,
        stage: &StageName,
        path: &RepoPath,
    ) -> Result<()> {
        if let Owner::Run(run) = owner {
            const SQL: &str = "
                INSERT INTO artifacts (run, stage, path, kind, digest, reported)
                VALUES (?1, ?4, ?2, 'file', ?3, 1)
                ON CONFLICT DO UPDATE SET digest = excluded.digest WHERE reported = 1";
            let digest = upload.digest().to_string();
            let row = params![signed(*run), path.as_str(), digest, stage.as_str()];
            self.execute(SQL, row)?;
        }
        upload.rename(&self.root, owner, path)
    }

    /// Removes an uploaded file or folder, if it exists. Begins no transaction.
    ///
    /// # Errors
    /// The files cannot be removed.
    pub fn remove_upload(&self, owner: &Owner, path: &RepoPath) -> Result<()> {
        if let Owner::Run(run) = owner {
            const SQL: &str = "
                DELETE FROM artifacts WHERE run = ?1 AND reported = 1
                    AND (stage = '' OR substr(path, 1, length(stage) + 1) = stage || '/')
                    AND (path = ?2 OR substr(path, 1, length(?2) + 1) = ?2 || '/')";
            self.execute(SQL, params![signed(*run), path.as_str()])?;
        }
        let folder = owner.folder(&self.root);
        let full = path.to_path(&folder);
        let removed = inside(&folder, full.parent().unwrap_or(&folder)).and_then(|()| {
            match full.symlink_metadata()?.is_dir() {
                true => fs::remove_dir_all(&full),
                false => fs::remove_file(&full),
            }
        });
        match removed {
            Err(err) if !is_missing(&err) => Err(file_error("remove", path, &full, &err)),
            _ => Ok(()),
        }
    }
}

/// Fails if a link leads from `folder` to an `existing` path outside of it.
fn inside(folder: &Path, existing: &Path) -> std::io::Result<()> {
    match existing.canonicalize()?.starts_with(folder.canonicalize()?) {
        true => Ok(()),
        false => Err(ErrorKind::InvalidInput.into()),
    }
}

fn is_missing(err: &std::io::Error) -> bool {
    matches!(
        err.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
    ) || err.raw_os_error() == Some(Errno::NAMETOOLONG.raw_os_error())
}

/// Returns the error of a path that the client chose wrongly, or of the disk.
fn file_error(verb: &str, path: &RepoPath, full: &Path, err: &std::io::Error) -> Error {
    let what = match err.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "it leads through a file",
        ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty => "it is a folder",
        ErrorKind::InvalidInput if full.is_dir() => "it is a folder",
        ErrorKind::InvalidInput => "it is, or leads through, a link or a special file",
        ErrorKind::InvalidFilename => "a name in it is too long",
        _ => return Error::io(verb, full, err),
    };
    Error::usage(format!("cannot {verb} artifact `{path}`: {what}"))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::Duration;

    use super::*;
    use crate::error::Kind;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Duration::from_secs(3)).unwrap();
        let sql = "INSERT INTO runs (number, uid, status, started, command, overrides, host)
                   VALUES (7, ?1, 'running', 0, '[]', '[]', '')";
        store.conn.execute(sql, [&"0".repeat(32)]).unwrap();
        (dir, store)
    }

    fn put(store: &Store, owner: &Owner, path: &str, bytes: &[u8]) -> Result<()> {
        let mut upload = Upload::begin(&store.root)?;
        bytes.chunks(3).try_for_each(|chunk| upload.write(chunk))?;
        store.keep_upload(&upload, owner, &StageName::outside(), &parse_path(path)?)
    }

    fn rows(store: &Store) -> Vec<(String, String)> {
        let sql = "SELECT path, digest FROM artifacts WHERE run = 7 ORDER BY path";
        store.query_all(sql, (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    #[test]
    fn uploaded_listed_and_removed() {
        let (dir, store) = store();
        let owner = store.owner(&"0".repeat(32)).unwrap().unwrap();
        assert_eq!(owner, Owner::Run(RunName(7)));
        put(&store, &owner, "b/two.txt", b"two two").unwrap();
        put(&store, &owner, "one", b"1").unwrap();
        put(&store, &owner, "one", b"").unwrap();
        let digest = |bytes: &[u8]| Digest::of(bytes).to_string();
        let expected =
            [("b/two.txt".to_owned(), digest(b"two two")), ("one".to_owned(), digest(b""))];
        assert_eq!(rows(&store), expected);
        let names = |path: Option<&str>| {
            let path = path.map(|path| parse_path(path).unwrap());
            let listed = list(dir.path(), &owner, path.as_ref()).unwrap();
            listed.into_iter().map(|one| (one.name, one.bytes)).collect::<Vec<_>>()
        };
        assert_eq!(names(None), [("b".to_owned(), None), ("one".to_owned(), Some(0))]);
        assert_eq!(names(Some("b")), [("two.txt".to_owned(), Some(7))]);
        assert_eq!(names(Some("one")), []);
        assert_eq!(names(Some("none/x")), []);
        let mut text = String::new();
        let two = parse_path("b/two.txt").unwrap();
        open(dir.path(), &owner, &two).unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "two two");
        assert!(open(dir.path(), &owner, &parse_path("b/3").unwrap()).unwrap().is_none());
        assert!(open(dir.path(), &owner, &parse_path("one/3").unwrap()).unwrap().is_none());
        for path in ["b", "b", "none"] {
            store.remove_upload(&owner, &parse_path(path).unwrap()).unwrap();
        }
        assert_eq!(rows(&store), expected[1..]);
        assert_eq!(names(None), [("one".to_owned(), Some(0))]);
        assert_eq!(fs::read_dir(dir.path().join("runs/tmp")).unwrap().count(), 0);
    }

    #[test]
    fn mistakes_of_clients() {
        let (dir, store) = store();
        let owner = Owner::Run(RunName(7));
        put(&store, &owner, "a/b", b"x").unwrap();
        let long = "n".repeat(300);
        for path in ["a", "a/b/c", long.as_str()] {
            let error = put(&store, &owner, path, b"y").unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{path}: {error}");
        }
        let error = open(dir.path(), &owner, &parse_path("a").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read artifact `a`: it is a folder");
    }

    #[test]
    fn links_lead_nowhere() {
        let (dir, store) = store();
        let owner = Owner::Run(RunName(7));
        put(&store, &owner, "a", b"x").unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "precious").unwrap();
        let folder = owner.folder(dir.path());
        std::os::unix::fs::symlink(dir.path().join("outside"), folder.join("out")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("outside/secret"), folder.join("link")).unwrap();
        let secret = parse_path("out/secret").unwrap();
        assert!(open(dir.path(), &owner, &secret).is_err());
        assert!(open(dir.path(), &owner, &parse_path("link").unwrap()).is_err());
        assert!(put(&store, &owner, "out/secret", b"y").is_err());
        assert!(store.remove_upload(&owner, &secret).is_err());
        assert_eq!(list(dir.path(), &owner, Some(&parse_path("out").unwrap())).unwrap(), []);
        assert_eq!(list(dir.path(), &owner, None).unwrap().len(), 1);
        assert_eq!(fs::read(dir.path().join("outside/secret")).unwrap(), b"precious");
    }
}
