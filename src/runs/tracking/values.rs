//! Params and metrics of runs.

use crate::error::{Error, Result};
use crate::event::RunName;
use crate::pipeline::StageName;
use crate::runs::record::Point;
use crate::runs::rows::signed;
use crate::runs::series::SeriesWriter;
use crate::runs::store::{Store, database_error};

/// A point of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedPoint {
    pub key: String,
    pub value: f64,
    /// Milliseconds since 1970 UTC.
    pub at: i64,
    pub step: i64,
}

impl Store {
    /// Adds params to a run, for a stage or for the run as a whole. One that it has with this value
    /// stays.
    ///
    /// # Errors
    /// The run has a param with another value; the database cannot be written.
    pub fn log_params(
        &self,
        run: RunName,
        stage: &StageName,
        params: &[(String, String)],
    ) -> Result<()> {
        let insert = "INSERT INTO params (run, stage, key, value) VALUES (?1, ?2, ?3, ?4)
                      ON CONFLICT DO NOTHING";
        for (key, value) in params {
            let json = serde_json::Value::from(value.as_str()).to_string();
            if self.execute(insert, (signed(run), stage.as_str(), key, json))? > 0 {
                continue;
            }
            let sql = "SELECT value FROM params WHERE run = ?1 AND stage = ?2 AND key = ?3";
            let names = (signed(run), stage.as_str(), key);
            let known: Option<String> = self.query_one(sql, names, |row| row.get(0))?;
            let known = known.map(|json| text(&json)).unwrap_or_default();
            if known != *value {
                return Err(Error::usage(format!(
                    "Changing param values is not allowed. Param with key='{key}' was already \
                     logged with value='{known}' for {run}. Attempted logging new value '{value}'"
                )));
            }
        }
        Ok(())
    }

    /// Adds points to the series of a run, for a stage or for the run as a whole. A point that a
    /// series has already is not added again.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn log_points(
        &self,
        run: RunName,
        stage: &StageName,
        points: &[LoggedPoint],
    ) -> Result<()> {
        let write = || {
            let mut series = SeriesWriter::default();
            let mut insert = SeriesWriter::statement(&self.conn)?;
            for LoggedPoint { key, value, at, step } in points {
                let point = Point { step: *step, value: (*value).into(), at: *at };
                series.add_once(&self.conn, &mut insert, signed(run), (stage, key), point)?;
            }
            series.save(&self.conn)
        };
        write().map_err(|err| database_error("write", err))
    }
}

/// Returns a stored param as clients see it.
fn text(json: &str) -> String {
    match serde_json::from_str(json) {
        Ok(serde_json::Value::String(text)) => text,
        _ => json.to_owned(),
    }
}
