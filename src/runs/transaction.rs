//! Transactions of callers that write several things at once, and what readers need beside them.

use std::path::Path;

use rusqlite::Connection;

use super::schema;
use super::store::{Store, database_error};
use crate::error::{Error, Result};

impl Store {
    /// Runs `work` in a transaction, which is given up if it fails.
    ///
    /// The transaction takes the write lock first. Inside of another one it is a savepoint of that
    /// one, so failing work gives up only its own changes, and nothing is written before the outer
    /// one ends.
    ///
    /// # Errors
    /// `work` fails, or the database cannot be written.
    pub fn atomically<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, E>,
    ) -> Result<T, E> {
        let [begin, commit, give_up] = if self.conn.is_autocommit() {
            ["BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"]
        } else {
            ["SAVEPOINT change", "RELEASE change", "ROLLBACK TO change; RELEASE change"]
        };
        let failed = |err| E::from(database_error("write", err));
        self.conn.execute_batch(begin).map_err(failed)?;
        let unfinished = Unfinished { conn: &self.conn, give_up };
        let done = work(self)?;
        self.conn.execute_batch(commit).map_err(failed)?;
        std::mem::forget(unfinished);
        Ok(done)
    }

    /// Reads from one state of the database, whatever others write meanwhile. Many small reads take
    /// less time together: SQLite takes its lock once.
    ///
    /// # Errors
    /// `read` fails, or the database cannot be read.
    pub fn consistently<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        // It is part of a transaction already.
        if !self.conn.is_autocommit() {
            return read();
        }
        let reading = self.conn.unchecked_transaction();
        let _reading = reading.map_err(|err| database_error("read", err))?;
        read()
    }

    /// Returns a store in memory without any run, for a project that has none.
    ///
    /// # Errors
    /// SQLite has no memory left.
    pub fn empty(root: &Path) -> Result<Store> {
        let open = || {
            let mut conn = Connection::open_in_memory()?;
            schema::migrate(&mut conn)?;
            Ok(Store { conn, root: root.to_owned() })
        };
        open().map_err(|err| database_error("open", err))
    }

    /// Refuses all further writes through this connection.
    ///
    /// # Errors
    /// SQLite refuses.
    pub fn refuse_writes(&self) -> Result<()> {
        self.conn.pragma_update(None, "query_only", true).map_err(|err| database_error("open", err))
    }

    /// Returns a number that differs from the last one if another connection has written since.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn data_version(&self) -> Result<i64> {
        self.conn
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .map_err(|err| database_error("read", err))
    }
}

/// Gives up a transaction when it is dropped, also by a panic.
struct Unfinished<'a> {
    conn: &'a Connection,
    give_up: &'static str,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // SQLite has given it up itself if the disk is full.
        let _ = self.conn.execute_batch(self.give_up);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(store: &Store, key: &str) -> Result<()> {
        let sql = "INSERT INTO experiments (name) VALUES (?1)";
        store.conn.execute(sql, [key]).map(drop).map_err(|err| database_error("write", err))
    }

    fn experiments(store: &Store) -> Vec<String> {
        let mut rows = store.conn.prepare("SELECT name FROM experiments WHERE id > 0").unwrap();
        let names = rows.query_map([], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    }

    #[test]
    fn failed_part_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::empty(dir.path()).unwrap();
        let outer = store.atomically::<_, Error>(|store| {
            store.atomically(|store| add(store, "kept"))?;
            let inner = store.atomically(|store| {
                add(store, "given up")?;
                Err::<(), _>(Error::usage("no"))
            });
            assert_eq!(inner.unwrap_err().what, "no");
            store.atomically(|store| add(store, "kept, too"))
        });
        outer.unwrap();
        assert_eq!(experiments(&store), ["kept", "kept, too"]);
        let outer = store.atomically(|store| {
            store.atomically(|store| add(store, "lost"))?;
            Err::<(), _>(Error::usage("no"))
        });
        outer.unwrap_err();
        assert_eq!(experiments(&store), ["kept", "kept, too"]);
    }

    #[test]
    fn panic_gives_up() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::empty(dir.path()).unwrap();
        let panicking = std::panic::AssertUnwindSafe(|| {
            store.atomically::<(), Error>(|store| {
                add(store, "lost")?;
                panic!("on purpose");
            })
        });
        assert!(std::panic::catch_unwind(panicking).is_err());
        assert_eq!(experiments(&store), Vec::<String>::new());
        store.atomically(|store| add(store, "kept")).unwrap();
        assert_eq!(experiments(&store), ["kept"]);
    }

    #[test]
    fn one_state_while_others_write() {
        let dir = tempfile::tempdir().unwrap();
        let timeout = std::time::Duration::from_secs(3);
        let [reader, writer] = [(); 2].map(|()| Store::open(dir.path(), timeout).unwrap());
        let names = reader.consistently(|| {
            let before = experiments(&reader);
            writer.atomically(|store| add(store, "x"))?;
            let nested = reader.consistently(|| Ok(experiments(&reader)))?;
            Ok((before, nested))
        });
        assert_eq!(names.unwrap(), (vec![], vec![]));
        assert_eq!(experiments(&reader), ["x"]);
        reader.atomically(|store| add(store, "y")).unwrap();
    }

    #[test]
    fn other_writers_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let timeout = std::time::Duration::from_secs(3);
        let [reader, writer] = [(); 2].map(|()| Store::open(dir.path(), timeout).unwrap());
        reader.refuse_writes().unwrap();
        let before = reader.data_version().unwrap();
        assert_eq!(reader.data_version().unwrap(), before);
        writer.atomically(|store| add(store, "x")).unwrap();
        assert_ne!(reader.data_version().unwrap(), before);
        assert!(reader.atomically(|store| add(store, "y")).is_err());
    }
}
