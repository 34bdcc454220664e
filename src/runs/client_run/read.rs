//! Reads many runs with a fixed number of queries.

use std::collections::{BTreeMap, HashMap};

use super::{ClientMetric, ClientRun, DatasetInput, TAG_COLUMNS, attribute_column};
use crate::error::Result;
use crate::event::RunName;
use crate::filter::Attribute;
use crate::runs::rows::{owner, run_name, signed};
use crate::runs::store::{Store, invalid_value};

impl Store {
    /// Returns runs as clients see them, in the order of `runs`. A run that does not exist is left
    /// out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn client_runs(&self, runs: &[RunName]) -> Result<Vec<ClientRun>> {
        let numbers: Vec<i64> = runs.iter().map(|run| signed(*run)).collect();
        let reader = Reader { store: self, numbers: serde_json::Value::from(numbers).to_string() };
        let mut found = reader.runs()?;
        reader.metrics(&mut found)?;
        reader.params(&mut found)?;
        reader.tags(&mut found)?;
        reader.datasets(&mut found)?;
        reader.models(&mut found)?;
        Ok(runs.iter().filter_map(|run| found.remove(run)).collect())
    }
}

type Runs = HashMap<RunName, ClientRun>;

struct Reader<'s> {
    store: &'s Store,
    /// A JSON list of the numbers of the runs.
    numbers: String,
}

/// The runs that are read.
const AMONG: &str = "IN (SELECT value FROM json_each(?1))";

impl Reader<'_> {
    fn runs(&self) -> Result<Runs> {
        use Attribute::{Files, Name, Status, User};
        let dead = self.store.dead()?;
        let columns = [Name, User, Status, Files].map(|one| attribute_column(one, &dead));
        let tags = TAG_COLUMNS.iter().map(|(_, column)| format!(", {column}"));
        let sql = format!(
            "SELECT number, uid, experiment, started, ended, lifecycle, {}{} FROM runs
             WHERE number {AMONG}",
            columns.join(", "),
            tags.collect::<String>()
        );
        let rows = self.store.query_all(&sql, (&self.numbers,), |row| {
            let lifecycle: String = row.get(5)?;
            let mut run = ClientRun {
                run: run_name(row)?,
                uid: row.get(1)?,
                experiment: row.get(2)?,
                started: row.get(3)?,
                ended: row.get(4)?,
                is_deleted: lifecycle == "deleted",
                name: row.get(6)?,
                user: row.get(7)?,
                status: row.get(8)?,
                artifact_uri: row.get(9)?,
                metrics: Vec::new(),
                params: Vec::new(),
                tags: Vec::new(),
                datasets: Vec::new(),
                model_inputs: Vec::new(),
                model_outputs: Vec::new(),
            };
            for (at, (key, _)) in TAG_COLUMNS.iter().enumerate() {
                let value: Option<String> = row.get(10 + at)?;
                run.tags.extend(value.map(|value| ((*key).to_owned(), value)));
            }
            Ok(run)
        })?;
        Ok(rows.into_iter().map(|run| (run.run, run)).collect())
    }

    /// Reads the latest values. A final metric has the step and the time of the series of its name.
    fn metrics(&self, runs: &mut Runs) -> Result<()> {
        let sql = format!(
            "SELECT run, stage, key, last, last_at, last_step FROM series WHERE run {AMONG}
             AND NOT EXISTS (SELECT 1 FROM metrics AS final WHERE final.run = series.run
                             AND final.stage = series.stage AND final.key = series.key)
             UNION ALL
             SELECT metrics.run, metrics.stage, metrics.key, value,
                    coalesce(last_at, ended, started), coalesce(last_step, 0)
             FROM metrics JOIN runs ON runs.number = metrics.run
             LEFT JOIN series ON series.run = metrics.run AND series.stage = metrics.stage
                             AND series.key = metrics.key
             WHERE metrics.run {AMONG}"
        );
        let rows = self.store.query_all(&sql, (&self.numbers,), |row| {
            let names: (String, String) = (row.get(1)?, row.get(2)?);
            let value: Option<f64> = row.get(3)?;
            Ok((run_name(row)?, names, value.unwrap_or(f64::NAN), row.get(4)?, row.get(5)?))
        })?;
        for (run, (stage, key), value, at, step) in rows {
            let Some(run) = runs.get_mut(&run) else { continue };
            let key = full_name(&stage, key)?;
            run.metrics.push(ClientMetric { key, value, at, step });
        }
        for run in runs.values_mut() {
            run.metrics.sort_by(|a, b| a.key.cmp(&b.key));
            run.metrics.dedup_by(|a, b| a.key == b.key);
        }
        Ok(())
    }

    fn params(&self, runs: &mut Runs) -> Result<()> {
        let sql = format!(
            "SELECT run, stage, key, value FROM params WHERE run {AMONG} ORDER BY run, stage, key"
        );
        let rows = self.store.query_all(&sql, (&self.numbers,), |row| {
            let texts: (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((run_name(row)?, texts))
        })?;
        for (run, (stage, key, json)) in rows {
            let Some(run) = runs.get_mut(&run) else { continue };
            let value = match json.starts_with('"') {
                true => serde_json::from_str(&json).map_err(|_| invalid_value("param", &json))?,
                false => json,
            };
            run.params.push((full_name(&stage, key)?, value));
        }
        for run in runs.values_mut() {
            // A param of the pipeline comes before one of a stage with the same name.
            run.params.sort_by(|a, b| a.0.cmp(&b.0));
            run.params.dedup_by(|a, b| a.0 == b.0);
        }
        Ok(())
    }

    fn tags(&self, runs: &mut Runs) -> Result<()> {
        let sql = format!("SELECT run, key, value FROM tags WHERE run {AMONG} ORDER BY run, key");
        let rows = self.store.query_all(&sql, (&self.numbers,), |row| {
            Ok((run_name(row)?, (row.get::<_, String>(1)?, row.get::<_, String>(2)?)))
        })?;
        for (run, tag) in rows {
            runs.entry(run).and_modify(|run| run.tags.push(tag));
        }
        for run in runs.values_mut() {
            run.tags.sort();
            run.tags.dedup_by(|a, b| a.0 == b.0);
        }
        Ok(())
    }

    fn datasets(&self, runs: &mut Runs) -> Result<()> {
        let sql = format!(
            "SELECT run, datasets.name, datasets.digest, source_type, source, schema, profile, tags
             FROM run_inputs JOIN runs ON runs.number = run_inputs.run
             JOIN datasets ON datasets.experiment = runs.experiment
                 AND datasets.name = run_inputs.name AND datasets.digest = run_inputs.digest
             WHERE run {AMONG} ORDER BY run, datasets.name, datasets.digest"
        );
        let rows = self.store.query_all(&sql, (&self.numbers,), |row| {
            let tags: String = row.get(7)?;
            let input = DatasetInput {
                name: row.get(1)?,
                digest: row.get(2)?,
                source_type: row.get(3)?,
                source: row.get(4)?,
                schema: row.get(5)?,
                profile: row.get(6)?,
                tags: Vec::new(),
            };
            Ok((run_name(row)?, input, tags))
        })?;
        for (run, mut input, tags) in rows {
            let parsed: serde_json::Result<BTreeMap<String, String>> = serde_json::from_str(&tags);
            let parsed = parsed.map_err(|_| invalid_value("list of tags", &tags))?;
            input.tags = parsed.into_iter().collect();
            runs.entry(run).and_modify(|run| run.datasets.push(input));
        }
        Ok(())
    }

    fn models(&self, runs: &mut Runs) -> Result<()> {
        let sql = format!(
            "SELECT run, role, model, step FROM run_models WHERE run {AMONG}
             ORDER BY run, step, model"
        );
        let rows = self.store.query_all(&sql, (&self.numbers,), |row| {
            Ok((run_name(row)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get(3)?))
        })?;
        for (run, role, model, step) in rows {
            let Some(run) = runs.get_mut(&run) else { continue };
            match role == "input" {
                true => run.model_inputs.push(model),
                false => run.model_outputs.push((model, step)),
            }
        }
        Ok(())
    }
}

fn full_name(stage: &str, key: String) -> Result<String> {
    if stage.is_empty() { Ok(key) } else { Ok(owner(stage)?.name_of(&key)) }
}
