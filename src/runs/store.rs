//! Opens `runs/runs.db` and defines the paths of a run's files.
//!
//! # Mechanism
//!
//! The store is an SQLite database in WAL mode, with one writer and any number of readers. A reader
//! that may not write next to the database opens it as immutable, if its WAL is empty. Opening an
//! older database migrates it. A recorder holds the kernel lock `runs/recording.lock` while it
//! records; a run with the status `running` and no such lock has died.
//!
//! # Invariants
//!
//! - Reading creates nothing: if the database is missing, [`Store::open_existing`] returns `None`.
//! - Run numbers increase. One is never reused while a row or a folder with the same or a higher
//!   number exists.
//! - Finding the number of a new run never fails: the history must not stop the work.
//! - A database of a newer version is refused and not changed.
//! - A power cut can lose the last transactions, but does not damage the database
//!   (`synchronous = NORMAL` with a WAL).
//!
//! # Known limits
//!
//! - The recording lock is per store: one run is recorded at a time, under the run lock.
//! - On a file system without shared memory SQLite keeps its rollback journal, so readers and the
//!   writer wait for each other.
//! - If the lock file cannot be read, a dead run is shown as running.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema;
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::pipeline::StageName;
use crate::plan::{Lock, lock};
use crate::regular_file;
use crate::state_folder;

/// Folder of the run store, relative to the project root.
pub const FOLDER: &str = "runs";
pub(super) const DATABASE: &str = "runs/runs.db";
const WAL: &str = "runs/runs.db-wal";
const JOURNAL: &str = "runs/runs.db-journal";
/// Shared memory file in which SQLite coordinates readers and the writer of a WAL database.
pub(super) const SHM: &str = "runs/runs.db-shm";
/// Empty file that is locked while a run is recorded; the kernel releases it when the process dies.
const RECORDING: &str = "runs/recording.lock";
/// Time that a reader waits for another process that has locked the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// Time that finding the number of a new run may take, before any work starts.
const NEXT_RUN_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum size of a text or row in bytes.
const MAX_TEXT: i32 = 16 << 20;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// File in a [`stage_dir`] with the output of the stage's process.
pub const LOG: &str = "log";
/// File in a [`stage_dir`] with the events that the process reported, as JSON lines.
pub const EVENTS: &str = "events.jsonl";
/// File in a [`stage_dir`] with the params that the process received.
pub const PARAMS: &str = "params.json";

/// Returns the folder of a run: `runs/run-12`.
pub fn run_dir(root: &Path, run: RunName) -> PathBuf {
    root.join(FOLDER).join(run.to_string())
}

/// Returns the folder of a stage in a run: `runs/run-12/train`.
pub fn stage_dir(root: &Path, run: RunName, stage: &StageName) -> PathBuf {
    run_dir(root, run).join(stage.as_str())
}

/// Keeps a copy of the lock file at `lock` in the folder of a run, as the record of the outs of all
/// stages. Without it, `artifacts_before` is used.
pub fn keep_lock(history: &Path, run: RunName, lock: &Path) {
    let folder = run_dir(history, run);
    let (new, named) = (folder.join("lock.new"), folder.join(lock::FILE));
    // A stage may have put anything there.
    let _ = fs::create_dir_all(&folder)
        .and_then(|()| fs::read(lock))
        .and_then(|text| regular_file::create(&new)?.write_all(&text))
        .and_then(|()| fs::rename(&new, &named));
}

/// Returns the lock at the end of a run; `None` if it was not kept or cannot be read.
pub fn lock_after(root: &Path, run: RunName) -> Option<Lock> {
    let path = run_dir(root, run).join(lock::FILE);
    path.symlink_metadata().ok().filter(fs::Metadata::is_file)?;
    Lock::decode(&fs::read_to_string(path).ok()?).ok()
}

/// Returns the name for a new run, one above the highest number of the database and the run
/// folders.
///
/// Creates nothing and cannot fail, because the history must not stop the work. If the database
/// cannot be read, only the folders count; the recorder will report the error.
pub fn next_run(root: &Path) -> RunName {
    let recorded = match Store::open_existing_within(root, NEXT_RUN_TIMEOUT) {
        Ok(Some(store)) => store.highest().unwrap_or(0),
        Ok(None) | Err(_) => 0,
    };
    RunName(1 + recorded.max(highest_folder(root)))
}

/// An open run store.
#[derive(Debug)]
pub struct Store {
    pub(super) conn: Connection,
    pub(super) root: PathBuf,
}

impl Store {
    /// Opens the store for writing; creates `runs/` and the database if they are missing.
    ///
    /// Each statement waits at most `timeout` for another process.
    ///
    /// # Errors
    /// I/O errors, a file that is not a database, and a database of a newer version.
    pub fn open(root: &Path, timeout: Duration) -> Result<Store> {
        let folder = root.join(FOLDER);
        state_folder::create(&folder)
            .map_err(|err| Error::io("create", Path::new(FOLDER), &err))?;
        refuse_links(root)?;
        // SQLite would create it with mode 0644; its other files get the mode of this one. An
        // existing one is not opened: closing it would release SQLite's locks of this process.
        drop(File::create_new(root.join(DATABASE)));
        let mut conn =
            Connection::open(root.join(DATABASE)).map_err(|err| database_error("open", err))?;
        let version = configure(&conn, timeout).map_err(|err| database_error("open", err))?;
        refuse_newer(version)?;
        refuse_foreign(&conn, version)?;
        // The mode is stored in the file. On a file system without shared memory SQLite keeps its
        // default mode, which also works.
        conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .map_err(|err| database_error("open", err))?;
        schema::migrate(&mut conn).map_err(|err| database_error("write", err))?;
        Ok(Store { conn, root: root.to_owned() })
    }

    /// Opens the store for reading; `None` if nothing was ever recorded.
    ///
    /// A database of an older version is migrated.
    ///
    /// # Errors
    /// Fails as [`Store::open`] does.
    pub fn open_existing(root: &Path) -> Result<Option<Store>> {
        Store::open_existing_within(root, BUSY_TIMEOUT)
    }

    fn open_existing_within(root: &Path, timeout: Duration) -> Result<Option<Store>> {
        if root.join(DATABASE).symlink_metadata().is_err() {
            return Ok(None);
        }
        refuse_links(root)?;
        let (mut conn, version) =
            connect(root, timeout).map_err(|err| database_error("open", err))?;
        refuse_newer(version)?;
        refuse_foreign(&conn, version)?;
        match version {
            // A recorder has just created the file, or died right after creating it.
            0 => return Ok(None),
            version if version < schema::VERSION => {
                schema::migrate(&mut conn).map_err(|err| database_error("write", err))?;
            }
            _ => {}
        }
        Ok(Some(Store { conn, root: root.to_owned() }))
    }

    /// Returns the name one above the highest number of the database and the folders `runs/run-N`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn next_run(&self) -> Result<RunName> {
        Ok(RunName(1 + self.highest()?.max(highest_folder(&self.root))))
    }

    /// Returns the highest run number in the database, or 0.
    fn highest(&self) -> Result<u64> {
        let highest: Option<i64> = self
            .conn
            .query_row("SELECT max(number) FROM runs", [], |row| row.get(0))
            .map_err(|err| database_error("read", err))?;
        Ok(highest.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
    }
}

/// Fails if one of the files that SQLite opens is not a regular file: it follows links, and waits
/// for a FIFO.
fn refuse_links(root: &Path) -> Result<()> {
    for path in [DATABASE, WAL, SHM, JOURNAL].map(Path::new) {
        regular_file::check(&root.join(path)).map_err(|err| Error::io("open", path, &err))?;
    }
    Ok(())
}

/// Acquires the recording lock, which is held until the file is closed.
pub(super) fn hold_recording(root: &Path, timeout: Duration) -> Result<File> {
    let path = Path::new(RECORDING);
    let file = regular_file::open_or_create(&root.join(path))
        .map_err(|err| Error::io("create", path, &err))?;
    let until = Instant::now() + timeout;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A reader holds the lock only for a moment.
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(POLL_INTERVAL);
            }
            Err(err) => return Err(Error::io("lock", path, &err.into())),
        }
    }
}

/// Reports whether a process is recording a run.
///
/// Returns true if that cannot be determined: showing a dead run as running is better than the
/// reverse.
pub(super) fn is_recording(root: &Path) -> bool {
    match regular_file::open(&root.join(RECORDING)) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        },
        Err(err) => err.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Converts an SQLite error to an error with a hint; `verb` says what failed.
pub(super) fn database_error(verb: &str, err: rusqlite::Error) -> Error {
    let code = err.sqlite_error_code();
    let is_full = is_disk_full(&err);
    let error = Error::environment(format!("cannot {verb} `{DATABASE}`")).because(err);
    if is_full {
        return error.hint(format!("free space on the disk of `{DATABASE}`, which is full"));
    }
    match code {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => error.hint(start_anew()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => error
            .hint("another process has been writing to it for seconds: try again when it is done"),
        _ => error,
    }
}

/// Reports whether the disk is full; SQLite reports a full disk for the shared memory file as an
/// I/O error.
fn is_disk_full(err: &rusqlite::Error) -> bool {
    let extended = err.sqlite_error().map(|err| err.extended_code);
    err.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// Returns the error for a value in the database that this program never writes.
pub(super) fn invalid_value(what: &str, value: &str) -> Error {
    let value: String = value.chars().take(200).collect();
    Error::environment(format!("`{DATABASE}` contains an invalid {what}: `{value}`"))
        .hint(start_anew())
}

fn start_anew() -> String {
    format!("move `{DATABASE}` away: the next run starts a new history, and no work is lost")
}

/// Connects to an existing database and returns its version.
fn connect(root: &Path, timeout: Duration) -> rusqlite::Result<(Connection, i64)> {
    let path = root.join(DATABASE);
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let conn = Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let version = configure(&conn, timeout)?;
        Ok((conn, version))
    };
    let result = open();
    let refused = |err: &rusqlite::Error| {
        matches!(err.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
            || is_disk_full(err)
    };
    // With a WAL even readers write next to the database. If this process cannot, it opens the
    // database as immutable, unless the WAL contains transactions that are not in it yet.
    let is_complete = || fs::metadata(root.join(WAL)).map_or(true, |log| log.len() == 0);
    if !(result.as_ref().is_err_and(refused) && is_complete()) {
        return result;
    }
    let flags = flags | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(immutable_uri(&path), flags)?;
    let version = configure(&conn, timeout)?;
    Ok((conn, version))
}

/// Returns the SQLite URI that opens a database as immutable.
fn immutable_uri(path: &Path) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    let escaped = bytes.map(|&byte| {
        if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }
    });
    format!("file:{}?immutable=1", escaped.collect::<String>())
}

/// Configures a connection and returns the version of the database.
fn configure(conn: &Connection, timeout: Duration) -> rusqlite::Result<i64> {
    conn.busy_timeout(timeout)?;
    // A huge text in a file from elsewhere is an error, and not shown for minutes.
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_TEXT)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // With a WAL, a power cut can lose the last transactions, but does not damage the database.
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    schema::version(conn)
}

fn refuse_newer(version: i64) -> Result<()> {
    let known = schema::VERSION;
    if version <= known {
        return Ok(());
    }
    Err(Error::environment(format!(
        "`{DATABASE}` has version {version}, but this `repro` supports versions up to {known}"
    ))
    .hint(format!(
        "use the newer `repro` that wrote it, or move `{DATABASE}` away to start a new history"
    )))
}

/// Fails if the database is not as this program makes it.
fn refuse_foreign(conn: &Connection, version: i64) -> Result<()> {
    let difference = schema::difference(conn, version);
    match difference.map_err(|err| database_error("open", err))? {
        None => Ok(()),
        Some(difference) => {
            Err(Error::environment(format!("`{DATABASE}` was not made by `repro`"))
                .because(difference)
                .hint(start_anew()))
        }
    }
}

/// Returns the highest number of a folder `runs/run-N`, or 0.
fn highest_folder(root: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(root.join(FOLDER)) else { return 0 };
    // This program never assigns a number of more than 32 bits.
    let number = |name: &str| name.strip_prefix("run-")?.parse::<u32>().ok();
    let numbers = entries.flatten().filter_map(|entry| number(entry.file_name().to_str()?));
    numbers.max().map_or(0, u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_run_exceeds_all_known() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(next_run(root), RunName(1));
        assert!(!root.join(FOLDER).exists(), "asking creates nothing");
        let store = Store::open(root, BUSY_TIMEOUT).unwrap();
        assert_eq!(store.next_run().unwrap(), RunName(1));
        for name in ["run-7", "run-x", "run-18446744073709551615", "notes"] {
            fs::create_dir(root.join(FOLDER).join(name)).unwrap();
        }
        assert_eq!(store.next_run().unwrap(), RunName(8));
        let insert = "INSERT INTO runs (number, status, started, command, overrides, host)
                      VALUES (9, 'ok', 0, '[]', '[]', '')";
        store.conn.execute(insert, []).unwrap();
        assert_eq!(store.next_run().unwrap(), RunName(10));
        assert_eq!(next_run(root), RunName(10));
    }

    #[test]
    fn reading_creates_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Store::open_existing(dir.path()).unwrap().is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn newer_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), BUSY_TIMEOUT).unwrap());
        Connection::open(dir.path().join(DATABASE))
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        for error in [
            Store::open(dir.path(), BUSY_TIMEOUT).unwrap_err(),
            Store::open_existing(dir.path()).unwrap_err(),
        ] {
            assert_eq!(
                error.what,
                "`runs/runs.db` has version 99, but this `repro` supports versions up to 3"
            );
            assert_eq!(error.exit_code(), crate::error::exit::ENVIRONMENT);
        }
    }

    #[test]
    fn database_of_other_format() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("runs/run-3")).unwrap();
        fs::write(
            dir.path().join(DATABASE),
            "these bytes are not a database, by far: ".repeat(100),
        )
        .unwrap();
        let error = Store::open_existing(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), "cannot open `runs/runs.db`: file is not a database");
        assert!(error.hint.unwrap().starts_with("move `runs/runs.db` away"));
        assert_eq!(next_run(dir.path()), RunName(4));
    }

    #[test]
    fn reopen_keeps_version_and_mode() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let store = Store::open(dir.path(), BUSY_TIMEOUT).unwrap();
            let mode: String =
                store.conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
            assert_eq!(
                (schema::version(&store.conn).unwrap(), mode.as_str()),
                (schema::VERSION, "wal")
            );
        }
    }

    #[test]
    fn recording_lock_released_on_drop() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_recording(dir.path()));
        drop(Store::open(dir.path(), BUSY_TIMEOUT).unwrap());
        let held = hold_recording(dir.path(), BUSY_TIMEOUT).unwrap();
        assert!(is_recording(dir.path()));
        assert!(hold_recording(dir.path(), Duration::ZERO).is_err());
        drop(held);
        assert!(!is_recording(dir.path()));
    }

    #[test]
    fn immutable_uri_escapes_special_characters() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("50% off? #1 é&x=y");
        drop(Store::open(&root, BUSY_TIMEOUT).unwrap());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let conn = Connection::open_with_flags(immutable_uri(&root.join(DATABASE)), flags).unwrap();
        assert_eq!(schema::version(&conn).unwrap(), schema::VERSION);
    }
}
