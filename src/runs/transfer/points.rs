//! The points of a run as lines of JSON.

use std::io::{self, BufRead, Write};

use rusqlite::params;
use rusqlite::types::Value as Sql;
use serde_json::Value;

use super::{invalid, to_json, to_sql};
use crate::error::Result;
use crate::event::RunName;
use crate::runs::rows::signed;
use crate::runs::store::{Store, database_error};

/// Maximum length of a line with a point.
const MAX_LINE: u64 = 1 << 16;

impl Store {
    /// Writes the points of a run as lines of JSON, and returns their number.
    pub fn write_points(&self, run: RunName, mut output: impl Write) -> Result<io::Result<u64>> {
        let failed = |err| database_error("read", err);
        let sql = "SELECT stage, key, step, at, nth, value, exact FROM points \
                   JOIN series ON series = id WHERE run = ?1 \
                   ORDER BY stage, key, step, at, nth";
        let mut statement = self.conn.prepare(sql).map_err(failed)?;
        let mut rows = statement.query((signed(run),)).map_err(failed)?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(failed)? {
            let value = |at| row.get_ref(at).map(to_json);
            let line: Vec<Value> = (0..7).map(value).collect::<Result<_, _>>().map_err(failed)?;
            if let Err(err) = writeln!(output, "{}", Value::Array(line)) {
                return Ok(Err(err));
            }
            count += 1;
        }
        Ok(output.flush().map(|()| count))
    }

    /// Inserts the points of a run from lines of JSON.
    pub(super) fn insert_points(&self, number: RunName, mut points: impl BufRead) -> Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = io::Read::take(&mut points, MAX_LINE).read_line(&mut line);
            match read {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(err) => return Err(invalid("its points are not text").because(err)),
            }
            let values: Vec<Value> =
                serde_json::from_str(&line).map_err(|_| invalid("a point is not JSON"))?;
            let [Value::String(stage), Value::String(key), rest @ ..] = &values[..] else {
                return Err(invalid("a point has no series"));
            };
            let kinds = ["INTEGER", "INTEGER", "INTEGER", "REAL", "TEXT"];
            let rest: Option<Vec<Sql>> =
                rest.iter().zip(kinds).map(|(value, kind)| to_sql(value, kind)).collect();
            let rest = rest.filter(|rest| rest.len() == kinds.len());
            let [step, at, nth, value, exact] = rest
                .and_then(|rest| <[Sql; 5]>::try_from(rest).ok())
                .ok_or_else(|| invalid("a point has other values"))?;
            let sql = "INSERT INTO points (series, step, at, nth, value, exact) VALUES \
                       ((SELECT id FROM series WHERE run = ?1 AND stage = ?2 AND key = ?3), \
                        ?4, ?5, ?6, ?7, ?8)";
            if let Sql::Text(digits) = &exact
                && digits.parse::<i128>().is_err()
            {
                return Err(invalid("a point has no number"));
            }
            let values = params![signed(number), stage, key, step, at, nth, value, exact];
            let inserted = self.conn.prepare_cached(sql);
            inserted.and_then(|mut sql| sql.execute(values)).map_err(|err| {
                match err.sqlite_error_code() {
                    Some(rusqlite::ErrorCode::ConstraintViolation) => invalid(&err.to_string()),
                    _ => database_error("write", err),
                }
            })?;
        }
    }
}
