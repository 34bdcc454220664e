//! Reads single values of runs, for tables of chosen columns. The cost of a run depends on the
//! columns that are read, and not on what else it recorded.

use rusqlite::Statement;
use rusqlite::types::Value as Stored;

use super::rows::{name_readings, number, signed, unsigned};
use super::store::{Store, database_error, invalid_value};
use crate::error::Result;
use crate::event::{Millis, RunName, Timestamp};
use crate::filter::{Attribute, MetricName};
use crate::number::Number;
use crate::pipeline::ParamValue;

/// A value that a run can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Attribute(Attribute),
    /// The final value, or else the last one of the series.
    Metric(MetricName),
    Param(String),
    Tag(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Run(RunName),
    Text(String),
    Number(Number),
    Param(ParamValue),
    Time {
        at: Timestamp,
        /// In the time zone of this machine: `2026-05-09 14:03:22`.
        local: String,
    },
    Duration(Millis),
}

/// Reads the same values of many runs.
#[derive(Debug)]
pub struct Cells<'s> {
    sources: Vec<Source>,
    /// One for each [`MOST_AT_ONCE`] sources. Everything but the run is bound.
    statements: Vec<Statement<'s>>,
}

/// Maximum number of values that one statement reads. SQLite has a limit for columns and for values
/// that are bound.
const MOST_AT_ONCE: usize = 500;

impl Store {
    /// Prepares to read these values of runs.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn cells(&self, sources: Vec<Source>) -> Result<Cells<'_>> {
        let dead = self.dead()?;
        let mut statements = Vec::new();
        for chunk in sources.chunks(MOST_AT_ONCE) {
            let mut bound = Vec::new();
            let columns: Vec<String> =
                chunk.iter().map(|source| expression(source, &dead, &mut bound)).collect();
            let sql = format!("SELECT {} FROM runs WHERE number = ?1", columns.join(",\n"));
            let prepare = || {
                let mut statement = self.conn.prepare(&sql)?;
                for (at, name) in bound.iter().enumerate() {
                    statement.raw_bind_parameter(at + 2, name)?;
                }
                Ok(statement)
            };
            statements.push(prepare().map_err(|err| database_error("read", err))?);
        }
        Ok(Cells { sources, statements })
    }
}

impl Cells<'_> {
    /// Returns the values of a run, in the order of the sources; `None` where it has none.
    ///
    /// # Errors
    /// The database cannot be read, or contains something that this program never writes.
    pub fn read(&mut self, run: RunName) -> Result<Vec<Option<Cell>>> {
        let mut cells = Vec::with_capacity(self.sources.len());
        for (chunk, statement) in self.sources.chunks(MOST_AT_ONCE).zip(&mut self.statements) {
            let stored = stored(statement, run, chunk.len());
            let stored = stored.map_err(|err| database_error("read", err))?;
            for (source, stored) in chunk.iter().zip(stored) {
                cells.push(cell(source, stored)?);
            }
        }
        Ok(cells)
    }
}

/// Returns the first `count` columns of a statement for a run.
fn stored(
    statement: &mut Statement<'_>,
    run: RunName,
    count: usize,
) -> rusqlite::Result<Vec<Stored>> {
    statement.raw_bind_parameter(1, signed(run))?;
    let mut rows = statement.raw_query();
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    (0..count).map(|at| row.get(at)).collect()
}

/// Returns the SQL expression of a value; names are bound.
fn expression(source: &Source, dead: &[i64], bound: &mut Vec<String>) -> String {
    let mut bind = |name: &str| {
        bound.push(name.to_owned());
        format!("?{}", bound.len() + 1)
    };
    match source {
        Source::Attribute(Attribute::Parent) => {
            "(SELECT above.number FROM runs AS above WHERE above.uid = runs.parent)".to_owned()
        }
        Source::Attribute(attribute @ (Attribute::Started | Attribute::Ended)) => {
            let column = column(*attribute, dead);
            format!(
                "{column} || coalesce(strftime(' %Y-%m-%d %H:%M:%S', {column} / 1000, 'unixepoch',
                 'localtime'), ' -')"
            )
        }
        Source::Attribute(attribute) => format!("({})", column(*attribute, dead)),
        // NULL is NaN in the table, but a missing metric here.
        Source::Metric(MetricName { stage, key }) => {
            let (stage, key) = (bind(stage), bind(key));
            format!(
                "coalesce(
                    (SELECT coalesce(exact, value, 'NaN') FROM metrics
                     WHERE run = runs.number AND stage = {stage} AND key = {key}),
                    (SELECT coalesce(last_exact, last, 'NaN') FROM series
                     WHERE run = runs.number AND stage = {stage} AND key = {key}))"
            )
        }
        Source::Param(key) => {
            let readings = name_readings(key).into_iter().map(|(stage, key)| {
                let (stage, key) = (bind(stage), bind(key));
                format!(
                    "(SELECT value FROM params
                      WHERE run = runs.number AND stage = {stage} AND key = {key})"
                )
            });
            format!("coalesce({}, NULL)", readings.collect::<Vec<_>>().join(", "))
        }
        Source::Tag(key) => {
            format!("(SELECT value FROM tags WHERE run = runs.number AND key = {})", bind(key))
        }
    }
}

/// Returns the SQL expression of an attribute. `dead` are the runs whose process died.
pub(super) fn column(attribute: Attribute, dead: &[i64]) -> String {
    let column = match attribute {
        Attribute::Run => "number",
        Attribute::Uid => "uid",
        Attribute::Name => "name",
        Attribute::Status => {
            // Numbers, so nothing needs to be bound.
            let dead: Vec<String> = dead.iter().map(ToString::to_string).collect();
            return format!(
                "CASE WHEN runs.status = 'running' AND runs.number IN ({})
                 THEN 'interrupted' ELSE runs.status END",
                dead.join(", ")
            );
        }
        Attribute::Kind => "kind",
        Attribute::Experiment => {
            return "SELECT name FROM experiments WHERE id = runs.experiment".to_owned();
        }
        Attribute::Parent => "parent",
        Attribute::Started => "started",
        Attribute::Ended => "ended",
        Attribute::Took => "took",
        Attribute::Pipeline => "pipeline",
        Attribute::User => "user",
        Attribute::Host => "host",
        Attribute::Branch => "git_branch",
        Attribute::Commit => "git_commit",
        Attribute::Note => "note",
        Attribute::Files => {
            return "rtrim(coalesce((SELECT artifact_location FROM experiments
                                    WHERE id = runs.experiment),
                                   'mlflow-artifacts:/' || runs.experiment), '/')
                    || '/' || runs.uid || '/artifacts'"
                .to_owned();
        }
    };
    format!("runs.{column}")
}

fn cell(source: &Source, stored: Stored) -> Result<Option<Cell>> {
    let cell = match (source, stored) {
        (_, Stored::Null) => return Ok(None),
        (Source::Attribute(Attribute::Run | Attribute::Parent), Stored::Integer(number)) => {
            Cell::Run(RunName(unsigned(number)))
        }
        (Source::Attribute(Attribute::Took), Stored::Integer(took)) => {
            Cell::Duration(Millis(unsigned(took)))
        }
        (Source::Attribute(Attribute::Started | Attribute::Ended), Stored::Text(text)) => {
            let parts = text.split_once(' ').and_then(|(at, local)| {
                Some(Cell::Time { at: at.parse().ok()?, local: local.to_owned() })
            });
            parts.ok_or_else(|| invalid_value("time", &text))?
        }
        (Source::Metric(_), Stored::Real(value)) => Cell::Number(number(Some(value), None)?),
        (Source::Metric(_), Stored::Text(text)) if text == "NaN" => Cell::Number(Number::NAN),
        (Source::Metric(_), Stored::Text(digits)) => Cell::Number(number(None, Some(&digits))?),
        (Source::Param(_), Stored::Text(text)) => {
            let value = serde_json::from_str(&text);
            Cell::Param(value.map_err(|_| invalid_value("param", &text))?)
        }
        (_, Stored::Text(text)) => Cell::Text(text),
        (_, other) => return Err(invalid_value("value", &format!("{other:?}"))),
    };
    Ok(Some(cell))
}
