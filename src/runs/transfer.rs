//! Moves runs between stores: the rows of a run as JSON values, and its points as lines. A run
//! keeps its identity and gets a new number. Does not know about files.
//!
//! # Invariants
//!
//! - All runs of an import are inserted in one transaction, after each was read back as any other
//!   run: values that this program never writes are refused.
//! - Only columns of this version's tables are inserted; of an older version, the others get their
//!   defaults.

mod points;

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Transaction, TransactionBehavior, params, params_from_iter};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::edits::{self, Field};
use super::rows::{run_name, signed, uid};
use super::schema;
use super::store::{Store, database_error};
use crate::digest::Content;
use crate::error::{Error, Result};
use crate::event::{RunName, RunUid, Timestamp};

/// The tables with rows of a run, and the condition of these rows.
const TABLES: [(&str, &str); 14] = [
    ("params", "run = ?1"),
    ("stages", "run = ?1"),
    ("metrics", "run = ?1"),
    ("series", "run = ?1"),
    ("artifacts", "run = ?1"),
    ("tags", "run = ?1"),
    ("edits", "run = ?1"),
    ("run_inputs", "run = ?1"),
    (
        "datasets",
        "(experiment, name, digest) IN (SELECT runs.experiment, run_inputs.name, digest
             FROM runs JOIN run_inputs ON run = number WHERE number = ?1)",
    ),
    ("models", "run = ?1"),
    ("model_params", "model IN (SELECT id FROM models WHERE run = ?1)"),
    ("model_tags", "model IN (SELECT id FROM models WHERE run = ?1)"),
    ("model_metrics", "run = ?1 AND model IN (SELECT id FROM models WHERE run = ?1)"),
    ("run_models", "run = ?1"),
];
/// Tables whose rows other runs can have brought before.
const SHARED: [&str; 4] = ["datasets", "models", "model_params", "model_tags"];

/// The rows of a run, as they are stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    pub uid: String,
    pub experiment: String,
    run: Map<String, Value>,
    tables: BTreeMap<String, Vec<Map<String, Value>>>,
}

impl Rows {
    /// Returns the identity of the run.
    pub fn uid(&self) -> Result<RunUid> {
        let named = self.run.get("uid").and_then(Value::as_str);
        match named == Some(&self.uid) {
            true => uid(&self.uid),
            false => Err(invalid("two identities")),
        }
    }

    /// Returns the start of the run, by which imported runs are numbered.
    pub fn started(&self) -> i64 {
        self.run.get("started").and_then(Value::as_i64).unwrap_or(0)
    }

    /// Returns the edits of the run with their stamps.
    pub(super) fn edits(&self) -> Result<BTreeMap<Field, (Timestamp, Option<String>)>> {
        let rows = |table: &str| self.tables.get(table).map_or(&[][..], Vec::as_slice);
        edits::of_rows(&self.run, rows("edits"), rows("tags"))
    }

    /// Returns the name that a user has given.
    pub fn name(&self) -> Option<&str> {
        self.run.get("name").and_then(Value::as_str)
    }
}

/// The local names of a run that is inserted.
#[derive(Debug, Clone, Copy)]
struct Owner {
    run: i64,
    experiment: i64,
}

/// A run to be inserted.
#[derive(Debug)]
pub struct Arriving<'a, R> {
    pub number: RunName,
    pub rows: &'a Rows,
    /// The points of its series, if it has any.
    pub points: Option<R>,
}

/// Reports whether the values of a column belong to one store.
fn is_local(table: &str, column: &str) -> bool {
    matches!((table, column), (_, "number" | "run" | "experiment") | ("edits", "base"))
        || (column == "id" && table != "models")
}

fn invalid(what: &str) -> Error {
    Error::usage(format!("a run in the file is not valid: {what}"))
}

impl Store {
    /// Returns the version of the tables, for [`Store::insert`].
    pub fn version() -> i64 {
        schema::VERSION
    }

    /// Returns the run with this identity, deleted or not.
    pub fn with_uid(&self, uid: RunUid) -> Result<Option<RunName>> {
        let sql = "SELECT number FROM runs WHERE uid = ?1";
        self.query_one(sql, (uid.to_string(),), run_name)
    }

    /// Returns the runs that are parts of a run, deleted or not.
    pub fn children(&self, run: RunName) -> Result<Vec<RunName>> {
        let sql = "SELECT number FROM runs \
                   WHERE parent = (SELECT uid FROM runs WHERE number = ?1) ORDER BY number";
        self.query_all(sql, (signed(run),), run_name)
    }

    /// Returns the rows of a run without its points.
    pub fn rows(&self, run: RunName) -> Result<Rows> {
        let info = self.run(run)?.info;
        let mut of_run = self.dump("runs", "number = ?1", run)?;
        let tables = TABLES
            .into_iter()
            .map(|(table, condition)| Ok((table.to_owned(), self.dump(table, condition, run)?)));
        Ok(Rows {
            uid: info.uid.to_string(),
            experiment: info.experiment,
            tables: tables.collect::<Result<_>>()?,
            run: of_run.pop().unwrap_or_default(),
        })
    }

    fn dump(&self, table: &str, condition: &str, run: RunName) -> Result<Vec<Map<String, Value>>> {
        let failed = |err| database_error("read", err);
        let sql = format!("SELECT * FROM {table} WHERE {condition}");
        let mut statement = self.conn.prepare(&sql).map_err(failed)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let row = |row: &rusqlite::Row<'_>| {
            let mut values = Map::new();
            for (at, name) in names.iter().enumerate().filter(|(_, n)| !is_local(table, n)) {
                values.insert(name.clone(), to_json(row.get_ref(at)?));
            }
            Ok(values)
        };
        let rows = statement.query_map((signed(run),), row).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }

    /// Returns those of `names` that an active run has.
    pub fn names_in_use<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<BTreeSet<&'a str>> {
        let mut used = BTreeSet::new();
        for name in names {
            let sql = "SELECT 1 FROM runs WHERE name = ?1 AND lifecycle = 'active'";
            used.extend(self.query_one(sql, (name,), |_| Ok(()))?.map(|()| name));
        }
        Ok(used)
    }

    /// Inserts runs with new numbers, all or none. Those whose name is in `without_name` lose it.
    ///
    /// # Errors
    /// A row has values that this program never writes, or the database cannot be written.
    pub fn insert<'a, R: BufRead>(
        &self,
        runs: impl IntoIterator<Item = Arriving<'a, R>>,
        without_name: &BTreeSet<&str>,
    ) -> Result<()> {
        self.inserting(|| {
            runs.into_iter().try_for_each(|run| self.insert_one(run, without_name))?;
            // A run can have used a model of a run that was not exported.
            let sql = "DELETE FROM run_models WHERE model NOT IN (SELECT id FROM models)";
            self.execute(sql, ()).map(drop)
        })
    }

    /// Inserts a run, unless it has come meanwhile. Returns whether it was inserted.
    ///
    /// # Errors
    /// The same as of [`Store::insert`].
    pub(super) fn insert_unknown<R: BufRead>(
        &self,
        run: Arriving<'_, R>,
        without_name: &BTreeSet<&str>,
    ) -> Result<bool> {
        self.inserting(|| {
            if self.with_uid(run.rows.uid()?)?.is_some() {
                return Ok(false);
            }
            let number = signed(run.number);
            self.insert_one(run, without_name)?;
            let sql = "DELETE FROM run_models
                       WHERE run = ?1 AND model NOT IN (SELECT id FROM models)";
            self.execute(sql, (number,)).map(|_| true)
        })
    }

    fn inserting<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let failed = |err| database_error("write", err);
        let transaction = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate);
        let transaction = transaction.map_err(failed)?;
        // The rows of a run refer to each other.
        self.conn.pragma_update(None, "defer_foreign_keys", true).map_err(failed)?;
        let done = work()?;
        transaction.commit().map_err(|err| match err.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => invalid(&err.to_string()),
            _ => failed(err),
        })?;
        Ok(done)
    }

    fn insert_one<R: BufRead>(
        &self,
        Arriving { number, rows, points }: Arriving<'_, R>,
        without_name: &BTreeSet<&str>,
    ) -> Result<()> {
        let sql = "INSERT OR IGNORE INTO experiments (name, created, updated) VALUES (?1, ?2, ?2)";
        self.execute(sql, params![rows.experiment, rows.started()])?;
        let sql = "SELECT id FROM experiments WHERE name = ?1";
        let experiment = self.query_one(sql, [&rows.experiment], |row| row.get(0))?;
        let owner = Owner { run: signed(number), experiment: experiment.unwrap_or(0) };
        let mut row = rows.run.clone();
        if rows.name().is_some_and(|name| without_name.contains(name)) {
            row.insert("name".to_owned(), Value::Null);
        }
        self.insert_row("runs", owner, &row)?;
        for (table, rows) in &rows.tables {
            if !TABLES.iter().any(|(known, _)| known == table) {
                return Err(invalid("it has an unknown table"));
            }
            for row in rows {
                self.insert_row(table, owner, row)?;
            }
        }
        // They are known where the run comes from.
        rows.edits()?;
        self.execute("UPDATE edits SET base = at WHERE run = ?1", (owner.run,))?;
        if let Some(points) = points {
            self.insert_points(number, points)?;
        }
        // What cannot be read now could not be read later, either.
        let read = self.run(number).and_then(|run| self.series(number).map(|_| run));
        let run = read.map_err(|error| invalid(&error.what))?;
        match run.artifacts.iter().find(|artifact| !is_content(artifact.content.as_ref())) {
            None => Ok(()),
            Some(artifact) => Err(invalid(&format!("`{}` has no digest", artifact.path))),
        }
    }

    fn insert_row(&self, table: &str, owner: Owner, row: &Map<String, Value>) -> Result<()> {
        let sql = format!("SELECT name, type FROM pragma_table_info('{table}')");
        let columns: Vec<(String, String)> =
            self.query_all(&sql, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let owners = columns.iter().filter_map(|(column, _)| match &**column {
            "number" | "run" => Some((column.clone(), Sql::Integer(owner.run))),
            "experiment" => Some((column.clone(), Sql::Integer(owner.experiment))),
            _ => None,
        });
        let (mut names, mut values): (Vec<String>, Vec<Sql>) = owners.unzip();
        for (name, value) in row {
            let known = columns.iter().find(|(column, _)| column == name);
            let Some((_, kind)) = known.filter(|_| !is_local(table, name)) else {
                return Err(invalid(&format!("unknown column `{}`", name.escape_debug())));
            };
            names.push(name.clone());
            values.push(to_sql(value, kind).ok_or_else(|| invalid(name))?);
        }
        let places: Vec<String> = (1..=names.len()).map(|at| format!("?{at}")).collect();
        let or_ignore = if SHARED.contains(&table) { " OR IGNORE" } else { "" };
        let sql = format!(
            "INSERT{or_ignore} INTO {table} ({}) VALUES ({})",
            names.join(", "),
            places.join(", ")
        );
        let inserted = self.conn.prepare_cached(&sql);
        let inserted = inserted.and_then(|mut sql| sql.execute(params_from_iter(values)));
        inserted.map(drop).map_err(|err| match err.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => invalid(&err.to_string()),
            _ => database_error("write", err),
        })
    }
}

/// Reports whether the kind and the digest of an artifact, if it has them, are valid.
fn is_content(content: Option<&(String, String)>) -> bool {
    content.is_none_or(|(kind, digest)| {
        digest.parse().is_ok_and(|digest| Content::from_kind(kind, digest).is_some())
    })
}

/// Converts a value of a column. JSON has no infinite numbers, so they become texts.
fn to_json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
        ValueRef::Integer(integer) => integer.into(),
        ValueRef::Real(real) => match serde_json::Number::from_f64(real) {
            Some(number) => Value::Number(number),
            None => Value::String(real.to_string()),
        },
        ValueRef::Text(text) => Value::String(String::from_utf8_lossy(text).into_owned()),
    }
}

/// Converts a value for a column of a type; `None` if it has another one.
fn to_sql(value: &Value, kind: &str) -> Option<Sql> {
    match (value, kind) {
        (Value::Null, _) => Some(Sql::Null),
        (Value::Number(number), "INTEGER") => number.as_i64().map(Sql::Integer),
        (Value::Number(number), "REAL") => number.as_f64().map(Sql::Real),
        (Value::String(text), "REAL") => {
            text.parse().ok().filter(|real: &f64| real.is_infinite()).map(Sql::Real)
        }
        (Value::String(text), "TEXT") => Some(Sql::Text(text.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_columns() {
        for (value, kind) in [
            (Sql::Null, "TEXT"),
            (Sql::Integer(i64::MIN), "INTEGER"),
            (Sql::Real(0.1), "REAL"),
            (Sql::Real(f64::NEG_INFINITY), "REAL"),
            (Sql::Text("a\u{1b}".to_owned()), "TEXT"),
        ] {
            let json = to_json(ValueRef::from(&value));
            assert_eq!(to_sql(&json, kind), Some(value));
        }
        for (json, kind) in
            [(Value::from("1"), "INTEGER"), (Value::from("1"), "REAL"), (Value::from(1), "TEXT")]
        {
            assert_eq!(to_sql(&json, kind), None);
        }
    }
}
