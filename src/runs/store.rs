//! Opens `runs/runs.db`.
//!
//! # Mechanism
//!
//! The store is an SQLite database in WAL mode. Any number of threads and processes read and write
//! it; writers take turns, each with transactions that are short. A reader that may not write next
//! to the database opens it as immutable, if its WAL is empty. Opening an older database migrates
//! it.
//!
//! # Invariants
//!
//! - Reading creates nothing: if the database is missing, [`Store::open_existing`] returns `None`.
//! - A database of a newer version is refused and not changed.
//! - A power cut can lose the last transactions, but does not damage the database
//!   (`synchronous = NORMAL` with a WAL).
//!
//! # Known limits
//!
//! - On a file system without shared memory SQLite keeps its rollback journal, so readers and the
//!   writer wait for each other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, Params};

use super::schema;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::state_folder;

/// Folder of the run store, relative to the project root.
pub const FOLDER: &str = "runs";
pub(super) const DATABASE: &str = "runs/runs.db";
const WAL: &str = "runs/runs.db-wal";
const JOURNAL: &str = "runs/runs.db-journal";
/// Shared memory file in which SQLite coordinates readers and the writer of a WAL database.
pub(super) const SHM: &str = "runs/runs.db-shm";
/// Time that a reader waits for another process that has locked the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// Number of statements that a connection keeps prepared: more than a request has.
const STATEMENTS: usize = 64;
/// Maximum size of a text or row in bytes.
const MAX_TEXT: i32 = 16 << 20;

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
        create_database(root);
        let mut conn =
            Connection::open(root.join(DATABASE)).map_err(|err| database_error("open", err))?;
        configure(&conn, timeout).map_err(|err| database_error("open", err))?;
        supported_version(&conn)?;
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

    pub(super) fn open_existing_within(root: &Path, timeout: Duration) -> Result<Option<Store>> {
        if root.join(DATABASE).symlink_metadata().is_err() {
            return Ok(None);
        }
        refuse_links(root)?;
        let mut conn = connect(root, timeout).map_err(|err| database_error("open", err))?;
        match supported_version(&conn)? {
            // A recorder has just created the file, or died right after creating it.
            0 => return Ok(None),
            version if version < schema::VERSION => {
                schema::migrate(&mut conn).map_err(|err| database_error("write", err))?;
            }
            _ => {}
        }
        Ok(Some(Store { conn, root: root.to_owned() }))
    }

    /// Returns the path of the database of the project at `root`.
    pub fn database(root: &Path) -> PathBuf {
        root.join(DATABASE)
    }

    /// Executes a statement that changes something, and returns the number of changed rows.
    pub(super) fn execute(&self, sql: &str, values: impl Params) -> Result<usize> {
        let done = || self.conn.prepare_cached(sql)?.execute(values);
        done().map_err(|err| database_error("write", err))
    }

    /// Returns the highest run number in the database, or 0.
    pub(super) fn highest(&self) -> Result<u64> {
        let highest: Option<i64> = self
            .conn
            .query_row("SELECT max(number) FROM runs", [], |row| row.get(0))
            .map_err(|err| database_error("read", err))?;
        Ok(highest.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
    }
}

/// Creates an empty database unless it exists. SQLite would create it with mode 0644; its other
/// files get the mode of this one.
fn create_database(root: &Path) {
    // A thread that opened the file before it is closed here would lose its locks.
    static CREATING: Mutex<()> = Mutex::new(());
    let _creating = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    // An existing one is not opened: closing it would release SQLite's locks of this process.
    drop(File::create_new(root.join(DATABASE)));
}

/// Fails if one of the files that SQLite opens is not a regular file: it follows links, and waits
/// for a FIFO.
fn refuse_links(root: &Path) -> Result<()> {
    for path in [DATABASE, WAL, SHM, JOURNAL].map(Path::new) {
        regular_file::check(&root.join(path)).map_err(|err| Error::io("open", path, &err))?;
    }
    Ok(())
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
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            error.hint(format!("make `{FOLDER}` and the files in it writable for this user"))
        }
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

/// Connects to an existing database.
fn connect(root: &Path, timeout: Duration) -> rusqlite::Result<Connection> {
    let path = root.join(DATABASE);
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let conn = Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        configure(&conn, timeout)?;
        Ok(conn)
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
    configure(&conn, timeout)?;
    Ok(conn)
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

/// Configures a connection and reads from it, which shows whether the database can be read.
fn configure(conn: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    conn.busy_timeout(timeout)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise each execution with other values prepares some statements again.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A huge text in a file from elsewhere is an error, and not shown for minutes.
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_TEXT)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // With a WAL, a power cut can lose the last transactions, but does not damage the database.
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    schema::version(conn).map(drop)
}

/// Returns the version of a database that this program can read.
///
/// # Errors
/// The version is newer, or the tables are not those that this program makes.
fn supported_version(conn: &Connection) -> Result<i64> {
    // One transaction, because another process may migrate the database meanwhile.
    let reading = conn.unchecked_transaction().map_err(|err| database_error("open", err))?;
    let version = schema::version(&reading).map_err(|err| database_error("open", err))?;
    refuse_newer(version)?;
    refuse_foreign(&reading, version)?;
    Ok(version)
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

#[cfg(test)]
mod tests {
    use super::*;

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
                "`runs/runs.db` has version 99, but this `repro` supports versions up to 6"
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
    fn immutable_uri_escapes_special_characters() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("50% off? #1 é&x=y");
        drop(Store::open(&root, BUSY_TIMEOUT).unwrap());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let conn = Connection::open_with_flags(immutable_uri(&root.join(DATABASE)), flags).unwrap();
        assert_eq!(schema::version(&conn).unwrap(), schema::VERSION);
    }
}
