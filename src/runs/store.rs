//! Opens `runs/runs.db` and knows where the files of a run lie. Knows nothing of what the tables hold.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema;
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::pipeline::StageName;

/// The folder of the run store, below the project root.
const FOLDER: &str = "runs";
pub(super) const DATABASE: &str = "runs/runs.db";
const LOG_AHEAD: &str = "runs/runs.db-wal";
/// Where its readers and its writer tell each other of their locks.
pub(super) const SHARED: &str = "runs/runs.db-shm";
/// An empty file that is locked for as long as a run is being recorded; the kernel lets go of it when the process dies.
const RECORDING: &str = "runs/recording.lock";
/// How long a reader waits for another process that keeps the database to itself.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the number of a new run may take to be found, before any work begins.
const PATIENCE_FOR_A_NUMBER: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a stage's process wrote, in its [`stage_dir`].
pub const LOG: &str = "log";
/// The JSON lines that it reported.
pub const EVENTS: &str = "events.jsonl";
/// The params that it was given.
pub const PARAMS: &str = "params.json";

/// `runs/run-12`
pub fn run_dir(root: &Path, run: RunName) -> PathBuf {
    root.join(FOLDER).join(run.to_string())
}

/// `runs/run-12/train`, which holds [`LOG`], [`EVENTS`] and [`PARAMS`].
pub fn stage_dir(root: &Path, run: RunName, stage: &StageName) -> PathBuf {
    run_dir(root, run).join(stage.as_str())
}

/// The name for a run that is about to begin, without creating anything: one more than the highest that the
/// database or a folder bears. It cannot fail, since the history must not stop the work: of a database that cannot be
/// read, the folders still tell; the recorder will say what is wrong with it.
pub fn next_run(root: &Path) -> RunName {
    let recorded = match Store::open_existing_within(root, PATIENCE_FOR_A_NUMBER) {
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
    /// Opens the store for writing; creates `runs/` and the database if they are not there. A statement waits for
    /// another process for as long as `patience` says.
    ///
    /// # Errors
    /// The disk, a file that is no database, or one that a newer version of this program wrote.
    pub fn open(root: &Path, patience: Duration) -> Result<Store> {
        let folder = root.join(FOLDER);
        fs::create_dir_all(&folder).map_err(|err| Error::io("create", Path::new(FOLDER), &err))?;
        let mut conn = Connection::open(root.join(DATABASE)).map_err(|err| failed("open", err))?;
        refuse_newer(settle(&conn, patience).map_err(|err| failed("open", err))?)?;
        // Cached by the file. On a file system without shared memory SQLite keeps its old mode, which works as well.
        conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .map_err(|err| failed("open", err))?;
        schema::migrate(&mut conn).map_err(|err| failed("write", err))?;
        Ok(Store { conn, root: root.to_owned() })
    }

    /// Opens the store for reading; `None` when nothing was ever recorded. A database of an older version is
    /// brought up to date.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_existing(root: &Path) -> Result<Option<Store>> {
        Store::open_existing_within(root, PATIENCE)
    }

    fn open_existing_within(root: &Path, patience: Duration) -> Result<Option<Store>> {
        if !root.join(DATABASE).exists() {
            return Ok(None);
        }
        let (mut conn, version) = connect(root, patience).map_err(|err| failed("open", err))?;
        match version {
            // A recorder has created the file this instant, or died when it had.
            0 => return Ok(None),
            version if version < schema::VERSION => {
                schema::migrate(&mut conn).map_err(|err| failed("write", err))?;
            }
            version => refuse_newer(version)?,
        }
        Ok(Some(Store { conn, root: root.to_owned() }))
    }

    /// One more than the highest number that the database or a folder `runs/run-N` bears.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn next_run(&self) -> Result<RunName> {
        Ok(RunName(1 + self.highest()?.max(highest_folder(&self.root))))
    }

    fn highest(&self) -> Result<u64> {
        let highest: Option<i64> = self
            .conn
            .query_row("SELECT max(number) FROM runs", [], |row| row.get(0))
            .map_err(|err| failed("read", err))?;
        Ok(highest.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
    }
}

/// Held by the one process that records a run.
pub(super) fn hold_recording(root: &Path, patience: Duration) -> Result<File> {
    let at = Path::new(RECORDING);
    let file = File::create(root.join(at)).map_err(|err| Error::io("create", at, &err))?;
    let until = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // Readers hold it for the moment of a question only.
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(LOOK_EVERY)
            }
            Err(err) => return Err(Error::io("lock", at, &err.into())),
        }
    }
}

/// Whether some process records a run now. When that cannot be told, `true`: better a dead run that is shown as
/// running than the reverse.
pub(super) fn is_recording(root: &Path) -> bool {
    match File::open(root.join(RECORDING)) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        },
        Err(err) => err.kind() != std::io::ErrorKind::NotFound,
    }
}

/// An SQLite error as the user sees it.
pub(super) fn failed(verb: &str, err: rusqlite::Error) -> Error {
    let code = err.sqlite_error_code();
    let is_full = has_no_room(&err);
    let error = Error::environment(format!("cannot {verb} `{DATABASE}`")).because(err);
    if is_full {
        return error.hint(format!("free some room on the disk of `{DATABASE}`, which is full"));
    }
    match code {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => error.hint(format!(
            "move `{DATABASE}` away: the next run begins a new history, and no work is lost"
        )),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => error.hint(
            "another process has been writing to it for seconds: try again when it has ended",
        ),
        _ => error,
    }
}

/// Also without room for what its readers share: that is told as a fault of the disk.
fn has_no_room(err: &rusqlite::Error) -> bool {
    let extended = err.sqlite_error().map(|err| err.extended_code);
    err.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// A value in the database that this program never writes.
pub(super) fn damaged(what: &str, value: &str) -> Error {
    Error::environment(format!("`{DATABASE}` holds a {what} that is none: `{value}`")).hint(
        format!("move `{DATABASE}` away: the next run begins a new history, and no work is lost"),
    )
}

/// A connection to a database that is there, and its version.
fn connect(root: &Path, patience: Duration) -> rusqlite::Result<(Connection, i64)> {
    let path = root.join(DATABASE);
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let conn = Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let version = settle(&conn, patience)?;
        Ok((conn, version))
    };
    let result = open();
    let refused = |err: &rusqlite::Error| {
        matches!(err.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
            || has_no_room(err)
    };
    // With a write-ahead log even readers write beside the database. Where they cannot, nobody else can either, and
    // the database is all there is, unless a log holds what never came into it.
    let is_whole = || fs::metadata(root.join(LOG_AHEAD)).map_or(true, |log| log.len() == 0);
    if !(result.as_ref().is_err_and(refused) && is_whole()) {
        return result;
    }
    let flags = flags | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(unchanging(&path), flags)?;
    let version = settle(&conn, patience)?;
    Ok((conn, version))
}

/// The URI by which SQLite takes a database for one that nobody changes.
fn unchanging(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    let escaped =
        bytes.map(
            |&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") },
        );
    format!("file:{}?immutable=1", escaped.collect::<String>())
}

/// Makes the settings that hold for a connection, and tells the version of the database.
fn settle(conn: &Connection, patience: Duration) -> rusqlite::Result<i64> {
    conn.busy_timeout(patience)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // With WAL a power cut can lose the last transactions, but not the database.
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    schema::version(conn)
}

fn refuse_newer(version: i64) -> Result<()> {
    let known = schema::VERSION;
    if version <= known {
        return Ok(());
    }
    Err(Error::environment(format!(
        "`{DATABASE}` is of version {version}, and this `repro` knows versions up to {known}"
    ))
    .hint(format!(
        "use the newer `repro` that wrote it, or move `{DATABASE}` away to begin a new history"
    )))
}

fn highest_folder(root: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(root.join(FOLDER)) else { return 0 };
    // A number beyond 32 bits is not one that this program gave.
    let number = |name: &str| name.strip_prefix("run-")?.parse::<u32>().ok();
    let numbers = entries.flatten().filter_map(|entry| number(entry.file_name().to_str()?));
    numbers.max().map_or(0, u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_is_above_both_the_database_and_the_folders() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(next_run(root), RunName(1));
        assert!(!root.join(FOLDER).exists(), "asking creates nothing");
        let store = Store::open(root, PATIENCE).unwrap();
        assert_eq!(store.next_run().unwrap(), RunName(1));
        for name in ["run-7", "run-x", "run-18446744073709551615", "notes"] {
            fs::create_dir(root.join(FOLDER).join(name)).unwrap();
        }
        assert_eq!(store.next_run().unwrap(), RunName(8));
        let insert = "INSERT INTO runs (number, status, started, command, overrides, host) VALUES (9, 'ok', 0, '[]', '[]', '')";
        store.conn.execute(insert, []).unwrap();
        assert_eq!(store.next_run().unwrap(), RunName(10));
        assert_eq!(next_run(root), RunName(10));
    }

    #[test]
    fn a_reader_creates_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Store::open_existing(dir.path()).unwrap().is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_database_of_a_newer_version_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), PATIENCE).unwrap());
        Connection::open(dir.path().join(DATABASE))
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        for error in [
            Store::open(dir.path(), PATIENCE).unwrap_err(),
            Store::open_existing(dir.path()).unwrap_err(),
        ] {
            assert_eq!(
                error.what,
                "`runs/runs.db` is of version 99, and this `repro` knows versions up to 2"
            );
            assert_eq!(error.exit_code(), crate::error::exit::ENVIRONMENT);
        }
    }

    #[test]
    fn a_file_that_is_no_database_is_said_to_be_so_and_does_not_stop_the_numbers() {
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
    fn a_store_opens_again_and_keeps_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let store = Store::open(dir.path(), PATIENCE).unwrap();
            let mode: String =
                store.conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
            assert_eq!(
                (schema::version(&store.conn).unwrap(), mode.as_str()),
                (schema::VERSION, "wal")
            );
        }
    }

    #[test]
    fn the_recording_lock_ends_with_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_recording(dir.path()));
        drop(Store::open(dir.path(), PATIENCE).unwrap());
        let held = hold_recording(dir.path(), PATIENCE).unwrap();
        assert!(is_recording(dir.path()));
        assert!(hold_recording(dir.path(), Duration::ZERO).is_err());
        drop(held);
        assert!(!is_recording(dir.path()));
    }

    #[test]
    fn an_unchanging_database_is_found_under_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("50% off? #1 é&x=y");
        drop(Store::open(&root, PATIENCE).unwrap());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let conn = Connection::open_with_flags(unchanging(&root.join(DATABASE)), flags).unwrap();
        assert_eq!(schema::version(&conn).unwrap(), schema::VERSION);
    }
}
