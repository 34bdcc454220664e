//! Tags of runs. Some are kept in columns of `runs`, where the rest of the program reads them.

use crate::error::{Error, Result};
use crate::event::{RunKind, RunName, RunUid};
use crate::pipeline::StageName;
use crate::runs::edits::Field;
use crate::runs::rows::signed;
use crate::runs::store::Store;

/// The tags that are columns, with the names of the columns.
const COLUMNS: [(&str, &str); 6] = [
    ("mlflow.note.content", "note"),
    ("mlflow.parentRunId", "parent"),
    ("mlflow.runName", "name"),
    ("mlflow.source.git.branch", "git_branch"),
    ("mlflow.source.git.commit", "git_commit"),
    ("mlflow.user", "user"),
];
/// Tags that say where a run comes from. A run that this program made knows that itself.
const ORIGIN: [&str; 7] = [
    "mlflow.parentRunId",
    "mlflow.source.git.branch",
    "mlflow.source.git.commit",
    "mlflow.source.name",
    "mlflow.source.type",
    "mlflow.user",
    "repro.kind",
];
/// Maximum number of runs above a run.
const DEEPEST: usize = 1_000;

impl Store {
    /// Sets a tag of a run, for a stage or for the run as a whole.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn set_client_tag(
        &self,
        run: RunName,
        stage: &StageName,
        key: &str,
        value: &str,
    ) -> Result<()> {
        let number = signed(run);
        let key = stage.name_of(key);
        if ORIGIN.contains(&&*key) && !self.is_external(run)? {
            return Ok(());
        }
        let column = match column(&key) {
            Some("parent") if !self.can_be_parent(run, value)? => None,
            column => column,
        };
        self.mark_tag_edited(run, &key)?;
        if let Some(column) = column {
            let sql = format!("UPDATE runs SET {column} = ?2 WHERE number = ?1");
            self.execute(&sql, (number, value))?;
            return Ok(());
        }
        if key == "mlflow.source.name" {
            let command = serde_json::Value::from(vec![value]).to_string();
            self.execute("UPDATE runs SET command = ?2 WHERE number = ?1", (number, command))?;
        }
        let sql = "INSERT INTO tags (run, key, value) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO UPDATE SET value = excluded.value";
        self.execute(sql, (number, key, value)).map(drop)
    }

    /// Removes a tag of a run, for a stage or for the run as a whole.
    ///
    /// # Errors
    /// The run has no such tag; the database cannot be written.
    pub fn delete_client_tag(&self, run: RunName, stage: &StageName, key: &str) -> Result<()> {
        let number = signed(run);
        let name = stage.name_of(key);
        self.mark_tag_edited(run, &name)?;
        let mut removed =
            self.execute("DELETE FROM tags WHERE run = ?1 AND key = ?2", (number, &name))?;
        if let Some(column) = column(&name)
            && (!ORIGIN.contains(&&*name) || self.is_external(run)?)
        {
            let sql =
                format!("UPDATE runs SET {column} = NULL WHERE number = ?1 AND {column} NOT NULL");
            removed += self.execute(&sql, (number,))?;
        }
        match removed {
            0 => Err(Error::missing(format!("No tag with name: {key} in {run}"))),
            _ => Ok(()),
        }
    }

    fn mark_tag_edited(&self, run: RunName, key: &str) -> Result<()> {
        match column(key) {
            Some("name") => self.mark_edited(run, &Field::Name),
            Some("note") => self.mark_edited(run, &Field::Note),
            // The others say where a run comes from, and are part of its record.
            Some(_) => Ok(()),
            None => self.mark_edited(run, &Field::Tag(key.to_owned())),
        }
    }

    fn is_external(&self, run: RunName) -> Result<bool> {
        let found = self.kind_and_lifecycle(run)?;
        Ok(found.is_some_and(|(kind, _)| kind == RunKind::External))
    }

    /// Reports whether `text` names a run that is not below `run`. The parent may come later.
    fn can_be_parent(&self, run: RunName, text: &str) -> Result<bool> {
        if RunUid::parse(text).is_none() {
            return Ok(false);
        }
        let mut above = text.to_owned();
        for _ in 0..DEEPEST {
            let sql = "SELECT number, parent FROM runs WHERE uid = ?1";
            let found = self.query_one(sql, (&above,), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
            })?;
            match found {
                Some((number, _)) if number == signed(run) => return Ok(false),
                Some((_, Some(next))) => above = next,
                _ => return Ok(true),
            }
        }
        Ok(false)
    }
}

fn column(key: &str) -> Option<&'static str> {
    COLUMNS.iter().find(|(tag, _)| *tag == key).map(|(_, column)| *column)
}
