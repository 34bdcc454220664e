//! Changes of the registry. Each is an error if what it names does not exist.

use std::collections::BTreeMap;

use rusqlite::{Params, params};

use super::{ModelVersion, check_alias, check_model_name};
use crate::clock::now_millis;
use crate::digest::Content;
use crate::error::{Error, Result};
use crate::runs::rows::{saturating_i64, unsigned};
use crate::runs::store::Store;

/// A version to be registered.
#[derive(Debug, Clone, Default)]
pub struct NewVersion {
    pub source: String,
    pub description: Option<String>,
    pub user: Option<String>,
    pub run: Option<String>,
    pub run_link: Option<String>,
    pub model: Option<String>,
    /// Path of an out or artifact of the run.
    pub path: Option<String>,
    pub content: Option<Content>,
    pub tags: BTreeMap<String, String>,
}

/// Stages of versions, as older clients know them.
const STAGES: [&str; 4] = ["None", "Staging", "Production", "Archived"];

impl Store {
    /// Registers a model; returns false if one of this name exists.
    ///
    /// # Errors
    /// The name is not valid; the database cannot be written.
    pub fn register_model(
        &self,
        name: &str,
        description: Option<&str>,
        tags: &BTreeMap<String, String>,
    ) -> Result<bool> {
        check_model_name(name)?;
        let sql = "INSERT OR IGNORE INTO registered_models (name, description, created, updated)
                   VALUES (?1, ?2, ?3, ?3)";
        let is_new = self.execute(sql, params![name, description, now_millis()])? == 1;
        if is_new {
            tags.iter().try_for_each(|(key, value)| self.set_model_tag(name, key, value))?;
        }
        Ok(is_new)
    }

    /// Replaces the description of a registered model.
    ///
    /// # Errors
    /// The model does not exist; the database cannot be written. So it is with all changes.
    pub fn describe_model(&self, name: &str, description: &str) -> Result<()> {
        let sql = "UPDATE registered_models SET description = ?2, updated = ?3 WHERE name = ?1";
        self.modify_model(name, sql, params![name, description, now_millis()])
    }

    /// Gives a registered model another name; returns false if the name is taken.
    pub fn rename_model(&self, name: &str, new: &str) -> Result<bool> {
        check_model_name(new)?;
        self.must_have(name)?;
        if name != new && self.registered_model(new)?.is_some() {
            return Ok(false);
        }
        let sql = "UPDATE registered_models SET name = ?2, updated = ?3 WHERE name = ?1";
        self.modify_model(name, sql, params![name, new, now_millis()])?;
        let sql = "UPDATE model_versions SET updated = ?2 WHERE name = ?1";
        self.execute(sql, params![new, now_millis()]).map(|_| true)
    }

    /// Removes a registered model with all its versions. The files stay.
    pub fn remove_model(&self, name: &str) -> Result<()> {
        self.modify_model(name, "DELETE FROM registered_models WHERE name = ?1", params![name])
    }

    pub fn set_model_tag(&self, name: &str, key: &str, value: &str) -> Result<()> {
        self.must_have(name)?;
        let sql = "INSERT OR REPLACE INTO registered_tags (name, key, value) VALUES (?1, ?2, ?3)";
        self.execute(sql, params![name, key, value]).map(drop)
    }

    /// Removes a tag, if the model has it.
    pub fn remove_model_tag(&self, name: &str, key: &str) -> Result<()> {
        self.must_have(name)?;
        let sql = "DELETE FROM registered_tags WHERE name = ?1 AND key = ?2";
        self.execute(sql, params![name, key]).map(drop)
    }

    /// Adds a version and returns its number.
    pub fn register_version(&self, name: &str, new: &NewVersion) -> Result<u64> {
        let sql = "UPDATE registered_models SET highest = highest + 1, updated = ?2
                   WHERE name = ?1";
        self.modify_model(name, sql, params![name, now_millis()])?;
        let sql = "SELECT highest FROM registered_models WHERE name = ?1";
        let version = self.query_one(sql, (name,), |row| Ok(unsigned(row.get(0)?)))?.unwrap_or(1);
        self.insert_version(name, version, new)?;
        Ok(version)
    }

    /// Adds a version under a number that it has elsewhere; returns false if it exists.
    pub fn import_version(&self, name: &str, version: u64, new: &NewVersion) -> Result<bool> {
        if self.model_version(name, version)?.is_some() {
            return Ok(false);
        }
        let sql = "UPDATE registered_models SET highest = max(highest, ?2) WHERE name = ?1";
        self.modify_model(name, sql, params![name, saturating_i64(version)])?;
        self.insert_version(name, version, new).map(|()| true)
    }

    fn insert_version(&self, name: &str, version: u64, new: &NewVersion) -> Result<()> {
        const SQL: &str = "
            INSERT INTO model_versions (name, version, created, updated, description, user,
                source, run, run_link, model, path, kind, digest)
            VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        self.execute(
            SQL,
            params![
                name,
                saturating_i64(version),
                now_millis(),
                new.description,
                new.user,
                new.source,
                new.run,
                new.run_link,
                new.model,
                new.path,
                new.content.map(|content| content.kind()),
                new.content.map(|content| content.digest().to_string()),
            ],
        )?;
        let mut tags = new.tags.iter();
        tags.try_for_each(|(key, value)| self.set_version_tag(name, version, key, value))
    }

    /// Replaces the description of a version.
    pub fn describe_version(&self, name: &str, version: u64, description: &str) -> Result<()> {
        self.must_have_version(name, version)?;
        let sql = "UPDATE model_versions SET description = ?3, updated = ?4
                   WHERE name = ?1 AND version = ?2";
        self.execute(sql, params![name, saturating_i64(version), description, now_millis()])
            .map(drop)
    }

    /// Moves a version to a stage, in any case of its letters. With `Archive::Others`, the other
    /// versions of the stage are archived.
    pub fn set_stage(&self, name: &str, version: u64, stage: &str, others: Archive) -> Result<()> {
        let Some(stage) = STAGES.iter().find(|known| known.eq_ignore_ascii_case(stage)) else {
            return Err(Error::usage(format!("there is no stage `{}`", stage.escape_debug()))
                .hint(format!("the stages are {}", STAGES.join(", "))));
        };
        self.must_have_version(name, version)?;
        let number = saturating_i64(version);
        if others == Archive::Others && matches!(*stage, "Staging" | "Production") {
            let sql = "UPDATE model_versions SET stage = 'Archived', updated = ?4
                       WHERE name = ?1 AND version != ?2 AND stage = ?3";
            self.execute(sql, params![name, number, stage, now_millis()])?;
        }
        let sql = "UPDATE model_versions SET stage = ?3, updated = ?4
                   WHERE name = ?1 AND version = ?2";
        self.execute(sql, params![name, number, stage, now_millis()])?;
        self.touch(name)
    }

    /// Removes a version with its aliases. The files stay.
    pub fn remove_version(&self, name: &str, version: u64) -> Result<()> {
        self.must_have_version(name, version)?;
        let sql = "DELETE FROM model_versions WHERE name = ?1 AND version = ?2";
        self.execute(sql, params![name, saturating_i64(version)])?;
        self.touch(name)
    }

    pub fn set_version_tag(&self, name: &str, version: u64, key: &str, value: &str) -> Result<()> {
        self.must_have_version(name, version)?;
        let sql = "INSERT OR REPLACE INTO version_tags (name, version, key, value)
                   VALUES (?1, ?2, ?3, ?4)";
        self.execute(sql, params![name, saturating_i64(version), key, value]).map(drop)
    }

    /// Removes a tag, if the version has it.
    pub fn remove_version_tag(&self, name: &str, version: u64, key: &str) -> Result<()> {
        self.must_have_version(name, version)?;
        let sql = "DELETE FROM version_tags WHERE name = ?1 AND version = ?2 AND key = ?3";
        self.execute(sql, params![name, saturating_i64(version), key]).map(drop)
    }

    /// Gives an alias to a version, and takes it from the version that has it.
    pub fn set_alias(&self, name: &str, alias: &str, version: u64) -> Result<()> {
        check_alias(alias)?;
        self.must_have_version(name, version)?;
        let sql = "INSERT OR REPLACE INTO aliases (name, alias, version) VALUES (?1, ?2, ?3)";
        self.execute(sql, params![name, alias, saturating_i64(version)])?;
        self.touch(name)
    }

    /// Removes an alias, if the model has it.
    pub fn remove_alias(&self, name: &str, alias: &str) -> Result<()> {
        self.must_have(name)?;
        let sql = "DELETE FROM aliases WHERE name = ?1 AND alias = ?2";
        self.execute(sql, params![name, alias])?;
        self.touch(name)
    }

    /// Replaces the times of a registered model by those that it has elsewhere.
    pub fn set_registered_times(&self, name: &str, created: i64, updated: i64) -> Result<()> {
        let sql = "UPDATE registered_models SET created = ?2, updated = ?3 WHERE name = ?1";
        self.execute(sql, params![name, created, updated]).map(drop)
    }

    /// Replaces the times of a version by those that it has elsewhere.
    pub fn set_version_times(
        &self,
        name: &str,
        version: u64,
        created: i64,
        updated: i64,
    ) -> Result<()> {
        let sql = "UPDATE model_versions SET created = ?3, updated = ?4
                   WHERE name = ?1 AND version = ?2";
        self.execute(sql, params![name, saturating_i64(version), created, updated]).map(drop)
    }

    /// Replaces the times of a logged model by those that it has elsewhere.
    pub fn set_model_times(&self, id: &str, created: i64, updated: i64) -> Result<()> {
        let sql = "UPDATE models SET created = ?2, updated = ?3 WHERE id = ?1";
        self.execute(sql, params![id, created, updated]).map(drop)
    }

    fn touch(&self, name: &str) -> Result<()> {
        let sql = "UPDATE registered_models SET updated = ?2 WHERE name = ?1";
        self.execute(sql, params![name, now_millis()]).map(drop)
    }

    fn must_have(&self, name: &str) -> Result<()> {
        match self.registered_model(name)? {
            Some(_) => Ok(()),
            None => Err(self.no_model(name)?),
        }
    }

    fn must_have_version(&self, name: &str, version: u64) -> Result<ModelVersion> {
        self.must_have(name)?;
        self.model_version(name, version)?.ok_or_else(|| {
            Error::missing(format!("model `{name}` has no version {version}"))
                .hint(format!("`repro models show {name}` lists its versions"))
        })
    }

    fn modify_model(&self, name: &str, sql: &str, params: impl Params) -> Result<()> {
        match self.execute(sql, params)? {
            0 => Err(self.no_model(name)?),
            _ => Ok(()),
        }
    }
}

/// The other versions of a stage when a version is moved there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    Nothing,
    Others,
}
