//! The tables of `runs/runs.db` and how an older database becomes a current one. Knows nothing of what is written
//! to them. `docs/reference/runs.md` tells users what each column means.

use rusqlite::{Connection, TransactionBehavior};

/// One script a version: the database of version N has had the first N applied. A script that was released is never
/// edited; a change is a new one at the end.
const SCRIPTS: &[&str] = &[FIRST, SECOND];

/// The version that this program writes.
pub(super) const VERSION: i64 = SCRIPTS.len() as i64;

const FIRST: &str = "
CREATE TABLE runs (
    number     INTEGER PRIMARY KEY,
    status     TEXT NOT NULL,
    started    INTEGER NOT NULL,
    ended      INTEGER,
    took       INTEGER,
    pipeline   TEXT,
    command    TEXT NOT NULL,
    overrides  TEXT NOT NULL,
    host       TEXT NOT NULL,
    git_commit TEXT,
    git_branch TEXT,
    git_tree   TEXT
) STRICT;

CREATE TABLE params (
    run   INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;

-- With a rowid, which keeps the stages of a run in the order in which they were reached.
CREATE TABLE stages (
    id           INTEGER PRIMARY KEY,
    run          INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    stage        TEXT NOT NULL,
    outcome      TEXT,
    work         TEXT,
    started      INTEGER,
    took         INTEGER,
    reasons      TEXT NOT NULL DEFAULT '[]',
    reason_count INTEGER NOT NULL DEFAULT 0,
    failure      TEXT,
    because      TEXT,
    UNIQUE (run, stage)
) STRICT;

-- Here and in `series` a value of NULL is NaN: SQLite has no NaN. Infinities are stored as they are.
CREATE TABLE metrics (
    run   INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    key   TEXT NOT NULL,
    value REAL,
    PRIMARY KEY (run, stage, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE series (
    run   INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    key   TEXT NOT NULL,
    step  INTEGER NOT NULL,
    value REAL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (run, stage, key, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
    run    INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    stage  TEXT NOT NULL,
    path   TEXT NOT NULL,
    kind   TEXT,
    digest TEXT,
    PRIMARY KEY (run, stage, path)
) STRICT, WITHOUT ROWID;
";

const SECOND: &str = "ALTER TABLE runs ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0";

/// The version of an open database; 0 for an empty file.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings a database of an older version, or an empty one, up to [`VERSION`]: all of it or none.
pub(super) fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the write lock: another process may have done it while this one waited.
    let applied = usize::try_from(version(&transaction)?).unwrap_or(0);
    for script in SCRIPTS.iter().skip(applied) {
        transaction.execute_batch(script)?;
    }
    if applied < SCRIPTS.len() {
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}
