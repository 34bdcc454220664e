//! Creates the tables of `runs/runs.db` and migrates older databases. `docs/reference/runs.md`
//! documents each column.

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior};

/// Migration scripts: a database of version N has had the first N applied.
///
/// A released script is never edited; a change is a new script at the end.
const SCRIPTS: &[&str] = &[FIRST, SECOND, THIRD];

/// Schema version that this program writes.
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

-- The rowid keeps the stages of a run in the order in which the run reached them.
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

-- Here and in `series`, NULL means NaN, which SQLite does not have. Infinities are stored as is.
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

// `exact` is an integer of which `value` is only the nearest double, in decimal digits.
const THIRD: &str = "
ALTER TABLE metrics ADD COLUMN exact TEXT;
ALTER TABLE series ADD COLUMN exact TEXT;
";

/// Returns the version of an open database; 0 for an empty file.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Returns how the schema differs from the one that this program makes; `None` if it does not.
///
/// A trigger or a view in a file from elsewhere can do anything and never end. Tables and views of
/// other names do no harm.
pub(super) fn difference(conn: &Connection, version: i64) -> rusqlite::Result<Option<String>> {
    const TRIGGER: &str = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
    const TABLES: &str = "SELECT name, sql FROM sqlite_schema WHERE type = 'table'";
    let made = Connection::open_in_memory()?;
    for script in SCRIPTS.iter().take(usize::try_from(version).unwrap_or(0)) {
        made.execute_batch(script)?;
    }
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    for table in made.prepare(TABLES)?.query_map([], read)? {
        let (name, sql) = table?;
        let query = "SELECT count(*) FROM sqlite_schema WHERE name = ?1 AND sql = ?2";
        let found: i64 = conn.query_row(query, [&name, &sql], |row| row.get(0))?;
        if found != 1 {
            return Ok(Some(format!("its table `{name}` is missing or another one")));
        }
    }
    let trigger = conn.query_row(TRIGGER, [], |row| row.get::<_, String>(0)).optional()?;
    Ok(trigger.map(|name| format!("it has a trigger, `{}`", name.escape_debug())))
}

/// Migrates an older or empty database to [`VERSION`] in one transaction.
pub(super) fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read the version again under the write lock: another process may have migrated meanwhile.
    let applied = usize::try_from(version(&transaction)?).unwrap_or(0);
    for script in SCRIPTS.iter().skip(applied) {
        transaction.execute_batch(script)?;
    }
    if applied < SCRIPTS.len() {
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn former_versions_are_migrated() {
        for version in 1..SCRIPTS.len() {
            let mut conn = Connection::open_in_memory().unwrap();
            SCRIPTS[..version].iter().for_each(|script| conn.execute_batch(script).unwrap());
            conn.pragma_update(None, "user_version", version as i64).unwrap();
            conn.pragma_update(None, "foreign_keys", false).unwrap();
            let row = "INSERT INTO metrics (run, stage, key, value) VALUES (1, 's', 'k', 0.5)";
            conn.execute(row, []).unwrap();
            migrate(&mut conn).unwrap();
            assert_eq!(super::version(&conn).unwrap(), VERSION);
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let sql = "SELECT value, exact FROM metrics";
            let kept: (f64, Option<String>) = conn.query_row(sql, [], columns).unwrap();
            assert_eq!(kept, (0.5, None));
        }
    }
}
