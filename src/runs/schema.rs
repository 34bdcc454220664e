//! Creates the tables of `runs/runs.db` and migrates older databases. `docs/reference/runs.md`
//! documents each column.

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior};

/// Migration scripts: a database of version N has had the first N applied.
///
/// A released script is never edited; a change is a new script at the end.
const SCRIPTS: &[&str] = &[FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH];

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

// Adds columns instead of making the tables again: if a table is dropped, the rows of others that
// refer to it go, too. `nth` counts the points of a series from 0, in the order in which they were
// reported.
const FOURTH: &str = "
CREATE TABLE experiments (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    lifecycle TEXT NOT NULL DEFAULT 'active'
) STRICT;

INSERT INTO experiments (id, name) VALUES (0, 'default');
INSERT INTO experiments (name)
    SELECT pipeline FROM runs WHERE pipeline NOT NULL AND pipeline != 'default'
    GROUP BY pipeline ORDER BY min(number);

ALTER TABLE runs ADD COLUMN uid TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN name TEXT;
ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'pipeline';
ALTER TABLE runs ADD COLUMN parent TEXT;
ALTER TABLE runs ADD COLUMN experiment INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN user TEXT;
ALTER TABLE runs ADD COLUMN lifecycle TEXT NOT NULL DEFAULT 'active';
ALTER TABLE runs ADD COLUMN note TEXT;
ALTER TABLE runs ADD COLUMN git_diff TEXT;
ALTER TABLE runs ADD COLUMN git_diff_lacks TEXT;

UPDATE runs SET uid = lower(hex(randomblob(16))),
    experiment = (SELECT id FROM experiments WHERE name = coalesce(pipeline, 'default')),
    kind = CASE WHEN EXISTS (
        SELECT 1 FROM stages WHERE run = number AND outcome = 'accepted'
    ) THEN 'accept' ELSE 'pipeline' END;

CREATE UNIQUE INDEX runs_by_uid ON runs (uid);
CREATE INDEX runs_by_name ON runs (name) WHERE name NOT NULL;
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent NOT NULL;
CREATE INDEX runs_by_experiment ON runs (experiment);

CREATE TABLE tags (
    run   INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_key ON tags (key);

ALTER TABLE params ADD COLUMN overridden INTEGER NOT NULL DEFAULT 0;
CREATE INDEX params_by_key ON params (key);

ALTER TABLE stages ADD COLUMN exit_code INTEGER;
ALTER TABLE stages ADD COLUMN cpu INTEGER;
ALTER TABLE stages ADD COLUMN memory INTEGER;
ALTER TABLE stages ADD COLUMN tools TEXT NOT NULL DEFAULT '{}';
ALTER TABLE stages ADD COLUMN env TEXT NOT NULL DEFAULT '{}';

CREATE INDEX metrics_by_name ON metrics (stage, key, value);

ALTER TABLE artifacts ADD COLUMN reported INTEGER NOT NULL DEFAULT 0;
UPDATE artifacts SET reported = 1 WHERE digest IS NULL;

ALTER TABLE series RENAME TO series_3;
CREATE TABLE series (
    id         INTEGER PRIMARY KEY,
    run        INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    stage      TEXT NOT NULL,
    key        TEXT NOT NULL,
    count      INTEGER NOT NULL,
    last       REAL,
    last_exact TEXT,
    last_step  INTEGER NOT NULL,
    min        REAL,
    min_exact  TEXT,
    min_step   INTEGER,
    max        REAL,
    max_exact  TEXT,
    max_step   INTEGER,
    UNIQUE (run, stage, key)
) STRICT;
CREATE INDEX series_by_name ON series (stage, key);

CREATE TABLE points (
    series INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    step   INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    nth    INTEGER NOT NULL,
    value  REAL,
    exact  TEXT,
    PRIMARY KEY (series, step, at, nth)
) STRICT, WITHOUT ROWID;

INSERT INTO series (run, stage, key, count, last_step)
    SELECT run, stage, key, count(*), max(step) FROM series_3 GROUP BY run, stage, key;
INSERT INTO points (series, step, at, nth, value, exact)
    SELECT id, step, at, row_number() OVER (PARTITION BY id ORDER BY step) - 1, value, exact
    FROM series JOIN series_3 USING (run, stage, key);
UPDATE series SET
    (last, last_exact) = (SELECT value, exact FROM points WHERE series = id AND step = last_step),
    (min, min_exact, min_step) = (
        SELECT value, exact, step FROM points WHERE series = id AND value NOT NULL
        ORDER BY value, step LIMIT 1
    ),
    (max, max_exact, max_step) = (
        SELECT value, exact, step FROM points WHERE series = id AND value NOT NULL
        ORDER BY value DESC, step LIMIT 1
    );
DROP TABLE series_3;
";

// Makes `params` again, because SQLite cannot change a primary key. No table refers to it.
const FIFTH: &str = "
DROP INDEX params_by_key;
ALTER TABLE params RENAME TO params_4;
CREATE TABLE params (
    run        INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    stage      TEXT NOT NULL DEFAULT '',
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    overridden INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, stage, key)
) STRICT, WITHOUT ROWID;
INSERT INTO params (run, key, value, overridden) SELECT run, key, value, overridden FROM params_4;
DROP TABLE params_4;
CREATE INDEX params_by_name ON params (stage, key);

ALTER TABLE series ADD COLUMN last_at INTEGER NOT NULL DEFAULT 0;
UPDATE series SET last_at = coalesce(
    (SELECT max(at) FROM points WHERE series = id AND step = last_step), 0);

DROP INDEX runs_by_experiment;
CREATE INDEX runs_by_experiment ON runs (experiment, started DESC, uid);

ALTER TABLE experiments ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
ALTER TABLE experiments ADD COLUMN updated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE experiments ADD COLUMN artifact_location TEXT;
UPDATE experiments SET
    created = coalesce((SELECT min(started) FROM runs WHERE experiment = id), 0),
    updated = coalesce((SELECT max(started) FROM runs WHERE experiment = id), 0);

CREATE INDEX artifacts_by_digest ON artifacts (digest) WHERE digest NOT NULL;

CREATE TABLE experiment_tags (
    experiment INTEGER NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (experiment, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE datasets (
    experiment  INTEGER NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    digest      TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source      TEXT NOT NULL,
    schema      TEXT,
    profile     TEXT,
    PRIMARY KEY (experiment, name, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_inputs (
    run     INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    name    TEXT NOT NULL,
    digest  TEXT NOT NULL,
    context TEXT,
    tags    TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (run, name, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_inputs_by_name ON run_inputs (name, digest);

CREATE TABLE models (
    id                TEXT PRIMARY KEY,
    experiment        INTEGER NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
    run               INTEGER REFERENCES runs (number) ON DELETE SET NULL,
    name              TEXT NOT NULL,
    type              TEXT,
    status            TEXT NOT NULL DEFAULT 'pending',
    status_message    TEXT,
    lifecycle         TEXT NOT NULL DEFAULT 'active',
    created           INTEGER NOT NULL,
    updated           INTEGER NOT NULL,
    artifact_location TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX models_by_experiment ON models (experiment, created DESC, id);
CREATE INDEX models_by_run ON models (run) WHERE run NOT NULL;

CREATE TABLE model_params (
    model TEXT NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_tags (
    model TEXT NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_metrics (
    id             INTEGER PRIMARY KEY,
    model          TEXT NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    run            INTEGER REFERENCES runs (number) ON DELETE CASCADE,
    key            TEXT NOT NULL,
    step           INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    value          REAL,
    dataset_name   TEXT,
    dataset_digest TEXT
) STRICT;
CREATE INDEX model_metrics_by_key ON model_metrics (model, key, step, at);
CREATE INDEX model_metrics_by_run ON model_metrics (run) WHERE run NOT NULL;

CREATE TABLE run_models (
    run   INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    role  TEXT NOT NULL,
    model TEXT NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    step  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, role, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_models_by_model ON run_models (model);

CREATE TABLE registered_models (
    name        TEXT PRIMARY KEY,
    description TEXT,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    highest     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE registered_tags (
    name  TEXT NOT NULL REFERENCES registered_models (name) ON DELETE CASCADE ON UPDATE CASCADE,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_versions (
    name           TEXT NOT NULL
        REFERENCES registered_models (name) ON DELETE CASCADE ON UPDATE CASCADE,
    version        INTEGER NOT NULL,
    created        INTEGER NOT NULL,
    updated        INTEGER NOT NULL,
    description    TEXT,
    user           TEXT,
    stage          TEXT NOT NULL DEFAULT 'None',
    status         TEXT NOT NULL DEFAULT 'ready',
    status_message TEXT,
    source         TEXT NOT NULL,
    run            TEXT,
    run_link       TEXT,
    model          TEXT,
    path           TEXT,
    kind           TEXT,
    digest         TEXT,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX model_versions_by_run ON model_versions (run) WHERE run NOT NULL;

CREATE TABLE version_tags (
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (name, version, key),
    FOREIGN KEY (name, version) REFERENCES model_versions (name, version)
        ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
    name    TEXT NOT NULL,
    alias   TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (name, alias),
    FOREIGN KEY (name, version) REFERENCES model_versions (name, version)
        ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
";

// `versions` has the versions of runs on remotes that are part of the rows, and `shared` what was
// last sent to a remote or taken from it.
const SIXTH: &str = "
CREATE TABLE edits (
    run   INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    field TEXT NOT NULL,
    at    INTEGER NOT NULL,
    base  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, field)
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
    version TEXT PRIMARY KEY,
    run     INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_by_run ON versions (run);

CREATE TABLE shared (
    remote  TEXT NOT NULL,
    run     INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    record  TEXT NOT NULL,
    edits   TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (remote, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX shared_by_run ON shared (run);
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
