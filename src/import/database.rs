//! Reads an SQLite database of MLflow's, such as `mlflow.db`. Columns and tables that an older
//! version lacks count as empty.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row, params_from_iter};

use super::entity::{
    Experiment, Lifecycle, Model, Place, Registered, Role, Run, Source, Texts, UsedModel, Version,
    model_status,
};
use super::place::{self, folder_of};
use crate::error::{Error, Result};
use crate::runs::DatasetInput;
use crate::runs::tracking::LoggedPoint;

/// An open database of MLflow's.
#[derive(Debug)]
pub(super) struct Database {
    conn: Connection,
    path: PathBuf,
}

impl Database {
    /// Opens a database for reading.
    ///
    /// # Errors
    /// The database is not one of MLflow's.
    pub(super) fn open(path: &Path) -> Result<Database> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |err| {
            Error::usage(format!("cannot read `{}` as an SQLite database", path.display()))
                .because(err)
        };
        let conn = Connection::open_with_flags(path, flags).map_err(failed)?;
        let database = Database { conn, path: path.to_owned() };
        let is_one = ["experiments", "runs", "metrics"]
            .iter()
            .all(|table| database.columns(table).is_ok_and(|columns| !columns.is_empty()));
        match is_one {
            true => Ok(database),
            false => {
                database.columns("runs")?;
                Err(Error::usage(format!("`{}` is not a database of MLflow's", path.display()))
                    .hint("it has no tables `experiments`, `runs` and `metrics`"))
            }
        }
    }

    /// Returns the folder in which relative places are.
    fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn columns(&self, table: &str) -> Result<Vec<String>> {
        let found = || {
            let mut statement = self.conn.prepare("SELECT name FROM pragma_table_info(?1)")?;
            statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()
        };
        found().map_err(|err| self.failed(err))
    }

    fn failed(&self, err: rusqlite::Error) -> Error {
        Error::usage(format!("cannot read `{}`", self.path.display())).because(err)
    }

    /// Passes the rows of a table on. A column that does not exist is NULL; a table that does not
    /// exist has no rows. `rest` follows the name of the table.
    fn each(
        &self,
        (table, columns): (&str, &[&str]),
        rest: &str,
        params: &[&str],
        take: &mut dyn FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let existing = self.columns(table)?;
        if existing.is_empty() {
            return Ok(());
        }
        let columns = columns.iter().map(|column| {
            if existing.iter().any(|one| one == column) {
                format!("\"{column}\"")
            } else {
                "NULL".into()
            }
        });
        let columns: Vec<String> = columns.collect();
        let sql = format!("SELECT {} FROM {table} {rest}", columns.join(", "));
        let mut statement = self.conn.prepare_cached(&sql).map_err(|err| self.failed(err))?;
        let mut rows = statement.query(params_from_iter(params)).map_err(|err| self.failed(err))?;
        while let Some(row) = rows.next().map_err(|err| self.failed(err))? {
            take(row)?;
        }
        Ok(())
    }

    fn all<T>(
        &self,
        from: (&str, &[&str]),
        rest: &str,
        params: &[&str],
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        self.each(from, rest, params, &mut |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    fn texts(&self, from: (&str, &[&str]), rest: &str, params: &[&str]) -> Result<Texts> {
        let pair = |row: &Row<'_>| Ok((text(row, 0).unwrap_or_default(), text(row, 1)));
        let pairs = self.all(from, rest, params, pair)?.into_iter();
        Ok(pairs.map(|(key, value)| (key, value.unwrap_or_default())).collect())
    }

    fn datasets(&self, run: &str) -> Result<Vec<DatasetInput>> {
        const USES: (&str, &[&str]) = ("inputs", &["input_uuid", "source_id"]);
        const DATASETS: (&str, &[&str]) = (
            "datasets",
            &[
                "name",
                "digest",
                "dataset_source_type",
                "dataset_source",
                "dataset_schema",
                "dataset_profile",
            ],
        );
        let of_run = "WHERE destination_id = ?1 AND source_type = 'DATASET'";
        let uses = self.all(USES, of_run, &[run], |row| {
            Ok((text(row, 0).unwrap_or_default(), text(row, 1).unwrap_or_default()))
        })?;
        let mut datasets = Vec::new();
        for (input, dataset) in uses {
            let tags =
                self.texts(("input_tags", &["name", "value"]), "WHERE input_uuid = ?1", &[&input])?;
            datasets.extend(self.all(DATASETS, "WHERE dataset_uuid = ?1", &[&dataset], |row| {
                let given = |column| text(row, column).unwrap_or_default();
                Ok(DatasetInput {
                    name: given(0),
                    digest: given(1),
                    source_type: given(2),
                    source: given(3),
                    schema: text(row, 4),
                    profile: text(row, 5),
                    tags: tags.clone().into_iter().collect(),
                })
            })?);
        }
        Ok(datasets)
    }

    fn used_models(&self, run: &str) -> Result<Vec<UsedModel>> {
        const FROM: (&str, &[&str]) = ("inputs", &["source_type", "destination_id", "step"]);
        let of_run = "WHERE source_id = ?1 AND destination_id LIKE 'm-%'";
        self.all(FROM, of_run, &[run], |row| {
            let is_output = text(row, 0).is_some_and(|kind| kind == "RUN_OUTPUT");
            Ok(UsedModel {
                id: text(row, 1).unwrap_or_default(),
                role: if is_output { Role::Output } else { Role::Input },
                step: number(row, 2),
            })
        })
    }

    fn run(&self, experiment: &str, row: &Row<'_>) -> Result<Run> {
        let id = text(row, 0).unwrap_or_default();
        let tags = self.texts(("tags", &["key", "value"]), "WHERE run_uuid = ?1", &[&id])?;
        let name = text(row, 1).filter(|name| !name.is_empty());
        let usual = self.base().join("mlartifacts").join(experiment).join(&id).join("artifacts");
        Ok(Run {
            name: name.or_else(|| tags.get("mlflow.runName").cloned()).unwrap_or_default(),
            status: text(row, 2).unwrap_or_default(),
            started: number(row, 3),
            ended: text(row, 4).and_then(|time| time.parse().ok()),
            lifecycle: Lifecycle::parse(text(row, 5).as_deref()),
            user: text(row, 6).unwrap_or_default(),
            params: self.texts(("params", &["key", "value"]), "WHERE run_uuid = ?1", &[&id])?,
            datasets: self.datasets(&id)?,
            models: self.used_models(&id)?,
            files: folder_of(usual, text(row, 7), self.base()),
            tags,
            id,
        })
    }

    fn model(&self, experiment: &str, row: &Row<'_>) -> Result<Model> {
        const METRICS: (&str, &[&str]) = (
            "logged_model_metrics",
            &["metric_name", "metric_timestamp_ms", "metric_step", "metric_value", "run_id"],
        );
        let id = text(row, 0).unwrap_or_default();
        let of = "WHERE model_id = ?1";
        let points = self.all(METRICS, of, &[&id], |row| {
            let point = LoggedPoint {
                key: text(row, 0).unwrap_or_default(),
                at: number(row, 1),
                step: number(row, 2),
                value: value(row, 3),
            };
            Ok((text(row, 4).unwrap_or_default(), point))
        })?;
        let usual = self.base().join("mlartifacts").join(experiment).join("models").join(&id);
        Ok(Model {
            name: text(row, 1).unwrap_or_default(),
            kind: text(row, 2),
            run: text(row, 3),
            status: model_status(&text(row, 4).unwrap_or_default()),
            created: number(row, 5),
            updated: number(row, 6),
            params: self.texts(
                ("logged_model_params", &["param_key", "param_value"]),
                of,
                &[&id],
            )?,
            tags: self.texts(("logged_model_tags", &["tag_key", "tag_value"]), of, &[&id])?,
            points,
            files: folder_of(usual.join("artifacts"), text(row, 7), self.base()),
            id,
        })
    }

    fn versions(&self, name: &str) -> Result<Vec<Version>> {
        const FROM: (&str, &[&str]) = (
            "model_versions",
            &[
                "version",
                "description",
                "creation_time",
                "last_updated_time",
                "current_stage",
                "source",
                "run_id",
            ],
        );
        let rest = "WHERE name = ?1 AND current_stage != 'Deleted_Internal' ORDER BY version";
        self.all(FROM, rest, &[name], |row| {
            let version = number(row, 0);
            let tags = ("model_version_tags", &["key", "value"][..]);
            Ok(Version {
                version: version.unsigned_abs(),
                description: text(row, 1),
                created: number(row, 2),
                updated: number(row, 3),
                stage: text(row, 4).unwrap_or_else(|| "None".to_owned()),
                source: text(row, 5).unwrap_or_default(),
                run: text(row, 6).filter(|run| !run.is_empty()),
                tags: self.texts(
                    tags,
                    "WHERE name = ?1 AND version = ?2",
                    &[name, &version.to_string()],
                )?,
            })
        })
    }
}

impl Source for Database {
    fn experiments(&mut self) -> Result<Vec<Experiment>> {
        const FROM: (&str, &[&str]) = (
            "experiments",
            &["experiment_id", "name", "lifecycle_stage", "creation_time", "last_update_time"],
        );
        self.all(FROM, "ORDER BY experiment_id", &[], |row| {
            let id = text(row, 0).unwrap_or_default();
            let tags = ("experiment_tags", &["key", "value"][..]);
            Ok(Experiment {
                name: text(row, 1).unwrap_or_default(),
                lifecycle: Lifecycle::parse(text(row, 2).as_deref()),
                created: number(row, 3),
                updated: number(row, 4),
                tags: self.texts(tags, "WHERE experiment_id = ?1", &[&id])?,
                id,
            })
        })
    }

    fn runs(&mut self, experiment: &Experiment) -> Result<Vec<Run>> {
        const FROM: (&str, &[&str]) = (
            "runs",
            &[
                "run_uuid",
                "name",
                "status",
                "start_time",
                "end_time",
                "lifecycle_stage",
                "user_id",
                "artifact_uri",
            ],
        );
        let rest = "WHERE experiment_id = ?1 ORDER BY start_time, run_uuid";
        let id = &*experiment.id;
        self.all(FROM, rest, &[id], |row| self.run(id, row))
    }

    fn points(&mut self, run: &Run, take: &mut dyn FnMut(LoggedPoint) -> Result<()>) -> Result<()> {
        const FROM: (&str, &[&str]) = ("metrics", &["key", "timestamp", "step", "value", "is_nan"]);
        let rest = "WHERE run_uuid = ?1 ORDER BY key, timestamp, step";
        self.each(FROM, rest, &[&run.id], &mut |row| {
            let is_nan = text(row, 4).is_some_and(|flag| flag != "0");
            take(LoggedPoint {
                key: text(row, 0).unwrap_or_default(),
                at: number(row, 1),
                step: number(row, 2),
                value: if is_nan { f64::NAN } else { value(row, 3) },
            })
        })
    }

    fn models(&mut self, experiment: &Experiment) -> Result<Vec<Model>> {
        const FROM: (&str, &[&str]) = (
            "logged_models",
            &[
                "model_id",
                "name",
                "model_type",
                "source_run_id",
                "status",
                "creation_timestamp_ms",
                "last_updated_timestamp_ms",
                "artifact_location",
            ],
        );
        let rest = "WHERE experiment_id = ?1 AND lifecycle_stage != 'deleted' ORDER BY model_id";
        let id = &*experiment.id;
        self.all(FROM, rest, &[id], |row| self.model(id, row))
    }

    fn registered(&mut self) -> Result<Vec<Registered>> {
        const FROM: (&str, &[&str]) =
            ("registered_models", &["name", "description", "creation_time", "last_updated_time"]);
        const ALIASES: (&str, &[&str]) = ("registered_model_aliases", &["alias", "version"]);
        self.all(FROM, "ORDER BY name", &[], |row| {
            let name = text(row, 0).unwrap_or_default();
            let tags = ("registered_model_tags", &["key", "value"][..]);
            let aliases = self.all(ALIASES, "WHERE name = ?1", &[&name], |row| {
                Ok((text(row, 0).unwrap_or_default(), number(row, 1).unsigned_abs()))
            })?;
            Ok(Registered {
                description: text(row, 1),
                created: number(row, 2),
                updated: number(row, 3),
                tags: self.texts(tags, "WHERE name = ?1", &[&name])?,
                aliases: aliases.into_iter().collect::<BTreeMap<_, _>>(),
                versions: self.versions(&name)?,
                name,
            })
        })
    }

    fn files(&mut self, place: &Place) -> Result<Vec<String>> {
        place::files(place)
    }

    fn open(&mut self, place: &Place, path: &str) -> Result<Box<dyn Read>> {
        place::open(place, path)
    }
}

/// Returns a value as text; `None` for NULL.
fn text(row: &Row<'_>, column: usize) -> Option<String> {
    match row.get(column).unwrap_or(Value::Null) {
        Value::Null | Value::Blob(_) => None,
        Value::Text(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(number.to_string()),
    }
}

fn number(row: &Row<'_>, column: usize) -> i64 {
    row.get(column).unwrap_or(0)
}

/// Returns a value of a metric. MLflow stores infinities as the greatest double.
fn value(row: &Row<'_>, column: usize) -> f64 {
    let value: f64 = row.get(column).unwrap_or(f64::NAN);
    if value.abs() == f64::MAX { value.signum() * f64::INFINITY } else { value }
}
