//! Registered models: names for versions of models, with aliases such as `production`.
//!
//! No function here begins or ends a transaction. Versions are counted from 1, and the number of a
//! deleted version is not given again.

mod names;
mod write;

use std::collections::BTreeMap;

use rusqlite::Row;

pub use self::names::{check_alias, check_model_name};
pub use self::write::{Archive, NewVersion};
use super::rows::unsigned;
use super::store::Store;
use crate::digest::Content;
use crate::error::{Error, Result, did_you_mean};

/// A registered model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredModel {
    pub name: String,
    pub description: Option<String>,
    /// Time in milliseconds since 1970, as all times here.
    pub created: i64,
    pub updated: i64,
    pub tags: BTreeMap<String, String>,
    /// Versions by alias.
    pub aliases: BTreeMap<String, u64>,
}

/// A version of a registered model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelVersion {
    pub name: String,
    pub version: u64,
    pub created: i64,
    pub updated: i64,
    /// `created` in the time zone of this machine: `2026-05-09 14:03:22`.
    pub created_local: String,
    pub description: Option<String>,
    pub user: Option<String>,
    /// `None`, `Staging`, `Production` or `Archived`: older clients use stages instead of aliases.
    pub stage: String,
    pub status: String,
    pub status_message: Option<String>,
    /// The place of the files, as the client that registered them has named it.
    pub source: String,
    /// Identity of the run that made the files.
    pub run: Option<String>,
    pub run_link: Option<String>,
    /// Identity of the logged model.
    pub model: Option<String>,
    /// Path of the out or artifact of the run.
    pub path: Option<String>,
    /// Content of the files, if it is known.
    pub content: Option<Content>,
    pub tags: BTreeMap<String, String>,
    pub aliases: Vec<String>,
}

impl ModelVersion {
    /// Returns the name that a copy of the files gets.
    pub fn file_name(&self) -> &str {
        let path = self.path.as_deref().unwrap_or(&self.source).trim_end_matches('/');
        let name = path.rsplit('/').next().unwrap_or_default();
        if matches!(name, "" | "." | "..") { &self.name } else { name }
    }
}

/// The version of a registered model that a text means: `genre@production`, `genre/3`, or `genre`
/// and `genre/latest` for the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionName {
    pub model: String,
    pub which: Which,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    Latest,
    Number(u64),
    Alias(String),
}

impl VersionName {
    /// Parses `genre`, `genre/3`, `genre/latest` or `genre@production`.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<VersionName> {
        let named = |model: &str, which| VersionName { model: model.to_owned(), which };
        let version = match (text.split_once('@'), text.split_once('/')) {
            (Some((model, alias)), None) => named(model, Which::Alias(alias.to_owned())),
            (None, Some((model, "latest"))) => named(model, Which::Latest),
            (None, Some((model, number))) => match number.parse() {
                Ok(number) => named(model, Which::Number(number)),
                Err(_) => return Err(not_a_version(text)),
            },
            (None, None) => named(text, Which::Latest),
            (Some(_), Some(_)) => return Err(not_a_version(text)),
        };
        check_model_name(&version.model).map(|()| version)
    }
}

fn not_a_version(text: &str) -> Error {
    Error::usage(format!("`{text}` does not name a version of a registered model"))
        .hint("`genre`, `genre/3` and `genre@production` are examples")
}

const MODELS: &str = "SELECT name, description, created, updated FROM registered_models";
const VERSIONS: &str = "SELECT name, version, created, updated, description, user, stage, status, \
                            status_message, source, run, run_link, model, path, kind, digest, \
                            datetime(created / 1000, 'unixepoch', 'localtime') \
                        FROM model_versions";

impl Store {
    /// Returns all registered models, by name.
    ///
    /// # Errors
    /// The database cannot be read; so it is with all functions here.
    pub fn registered_models(&self) -> Result<Vec<RegisteredModel>> {
        let models = self.query_all(&format!("{MODELS} ORDER BY name"), (), model_row)?;
        models.into_iter().map(|model| self.with_tags(model)).collect()
    }

    /// Returns a registered model.
    pub fn registered_model(&self, name: &str) -> Result<Option<RegisteredModel>> {
        let model = self.query_one(&format!("{MODELS} WHERE name = ?1"), (name,), model_row)?;
        model.map(|model| self.with_tags(model)).transpose()
    }

    fn with_tags(&self, model: RegisteredModel) -> Result<RegisteredModel> {
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let sql = "SELECT key, value FROM registered_tags WHERE name = ?1";
        let tags: Vec<(String, String)> = self.query_all(sql, (&model.name,), pair)?;
        let sql = "SELECT alias, version FROM aliases WHERE name = ?1";
        let pair = |row: &Row<'_>| Ok((row.get(0)?, unsigned(row.get(1)?)));
        let aliases: Vec<(String, u64)> = self.query_all(sql, (&model.name,), pair)?;
        let (tags, aliases) = (tags.into_iter().collect(), aliases.into_iter().collect());
        Ok(RegisteredModel { tags, aliases, ..model })
    }

    /// Returns all versions of a registered model, the latest first.
    pub fn model_versions(&self, name: &str) -> Result<Vec<ModelVersion>> {
        let sql = format!("{VERSIONS} WHERE name = ?1 ORDER BY version DESC");
        self.versions_by(&sql, (name,))
    }

    /// Returns all versions of all registered models, by name, the latest first.
    pub fn all_model_versions(&self) -> Result<Vec<ModelVersion>> {
        self.versions_by(&format!("{VERSIONS} ORDER BY name, version DESC"), ())
    }

    /// Returns a version.
    pub fn model_version(&self, name: &str, version: u64) -> Result<Option<ModelVersion>> {
        let sql = format!("{VERSIONS} WHERE name = ?1 AND version = ?2");
        let found = self.versions_by(&sql, (name, version.cast_signed()))?;
        Ok(found.into_iter().next())
    }

    fn versions_by(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<ModelVersion>> {
        let versions = self.query_all(sql, params, version_row)?;
        versions
            .into_iter()
            .map(|version| {
                let of = (&version.name, version.version.cast_signed());
                let sql = "SELECT key, value FROM version_tags WHERE name = ?1 AND version = ?2";
                let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
                let tags: Vec<(String, String)> = self.query_all(sql, of, pair)?;
                let sql = "SELECT alias FROM aliases WHERE name = ?1 AND version = ?2";
                let aliases = self.query_all(sql, of, |row| row.get(0))?;
                Ok(ModelVersion { tags: tags.into_iter().collect(), aliases, ..version })
            })
            .collect()
    }

    /// Returns the version that a user means.
    ///
    /// # Errors
    /// The version does not exist; the hint lists those that do.
    pub fn find_version(&self, name: &VersionName) -> Result<ModelVersion> {
        let Some(model) = self.registered_model(&name.model)? else {
            return Err(self.no_model(&name.model)?);
        };
        let model_name = &name.model;
        let number = match &name.which {
            Which::Latest => self.model_versions(model_name)?.first().map(|one| one.version),
            Which::Number(number) => Some(*number),
            Which::Alias(alias) => Some(*model.aliases.get(alias).ok_or_else(|| {
                let error = Error::missing(format!("model `{model_name}` has no alias `{alias}`"));
                match did_you_mean(alias, model.aliases.keys().map(String::as_str)) {
                    Some(meant) => error.hint(format!("did you mean `{model_name}@{meant}`?")),
                    None => error.hint(format!(
                        "`repro models promote {model_name}/latest {alias}` sets it"
                    )),
                }
            })?),
        };
        let found = number.map(|number| self.model_version(model_name, number)).transpose()?;
        found.flatten().ok_or_else(|| match &name.which {
            Which::Number(number) => {
                Error::missing(format!("model `{model_name}` has no version {number}"))
                    .hint(format!("`repro models show {model_name}` lists its versions"))
            }
            _ => Error::missing(format!("model `{model_name}` has no versions")),
        })
    }

    /// Returns the error of a registered model that does not exist.
    pub fn no_model(&self, name: &str) -> Result<Error> {
        let models = self.query_all("SELECT name FROM registered_models", (), |row| row.get(0))?;
        let models: Vec<String> = models;
        let error = Error::missing(format!("there is no registered model `{name}`"));
        Ok(match did_you_mean(name, models.iter().map(String::as_str)) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None if models.is_empty() => {
                error.hint("`repro models register NAME RUN:PATH` registers the first")
            }
            None => error.hint("`repro models list` shows those that exist"),
        })
    }

    /// Returns the identity of the run that has logged a model.
    pub fn run_of_model(&self, id: &str) -> Result<Option<String>> {
        let sql = "SELECT uid FROM runs JOIN models ON run = number WHERE id = ?1";
        self.query_one(sql, (id,), |row| row.get(0))
    }

    /// Returns the paths and contents of all versions that the cache should keep.
    pub fn registered_contents(&self) -> Result<Vec<(String, Content)>> {
        let versions = self.all_model_versions()?.into_iter();
        Ok(versions.filter_map(|version| Some((version.path?, version.content?))).collect())
    }
}

fn model_row(row: &Row<'_>) -> rusqlite::Result<RegisteredModel> {
    Ok(RegisteredModel {
        name: row.get(0)?,
        description: row.get(1)?,
        created: row.get(2)?,
        updated: row.get(3)?,
        tags: BTreeMap::new(),
        aliases: BTreeMap::new(),
    })
}

fn version_row(row: &Row<'_>) -> rusqlite::Result<ModelVersion> {
    let (kind, digest): (Option<String>, Option<String>) = (row.get(14)?, row.get(15)?);
    let content =
        kind.zip(digest).and_then(|(kind, digest)| Content::from_kind(&kind, digest.parse().ok()?));
    Ok(ModelVersion {
        name: row.get(0)?,
        version: unsigned(row.get(1)?),
        created: row.get(2)?,
        updated: row.get(3)?,
        created_local: row.get::<_, Option<String>>(16)?.unwrap_or_default(),
        description: row.get(4)?,
        user: row.get(5)?,
        stage: row.get(6)?,
        status: row.get(7)?,
        status_message: row.get(8)?,
        source: row.get(9)?,
        run: row.get(10)?,
        run_link: row.get(11)?,
        model: row.get(12)?,
        path: row.get(13)?,
        content,
        tags: BTreeMap::new(),
        aliases: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
