//! Finds the run that a user names: `latest`, `run-12`, `12`, the name or the beginning of the
//! identity of a run, or the run with the best value of a metric.

use super::query::no_runs;
use super::rows::run_name;
use super::store::Store;
use crate::error::{Error, Result, did_you_mean};
use crate::event::RunName;
use crate::filter::Filter;
use crate::pipeline::Goals;

/// Minimum length of the beginning of an identity.
const MIN_PREFIX: usize = 4;
/// Maximum number of names in a hint.
const MOST_LISTED: usize = 5;

impl Store {
    /// Returns the run that `text` names. `goals` are asked for `best:METRIC` only.
    ///
    /// # Errors
    /// No run or several runs have that name; the hint lists some that exist.
    pub fn resolve(&self, text: &str, goals: impl FnOnce() -> Goals) -> Result<RunName> {
        if let Some(metric) = text.strip_prefix("best:") {
            let found = self.best(metric, Filter::default(), &self.known()?, &goals(), 1)?;
            return found
                .runs
                .first()
                .copied()
                .ok_or_else(|| Error::usage(format!("metric `{metric}` is NaN in all runs")));
        }
        if matches!(text, "latest" | "last") {
            return self.latest();
        }
        let latest = self.names(MOST_LISTED)?;
        // A number that exists wins over a name, and a name over an identity.
        let numbered = RunName::parse(text);
        if let Some(run) = numbered
            && self.has(run)?
        {
            return Ok(run);
        }
        let found = match self.named(text)? {
            named if named.is_empty() => self.with_prefix(text)?,
            named => named,
        };
        match (&found[..], numbered) {
            ([run], _) => Ok(*run),
            ([], _) if latest.is_empty() => Err(no_runs()),
            ([], Some(run)) => {
                Err(Error::missing(format!("there is no run `{run}`")).hint(latest_hint(&latest)))
            }
            ([], None) => Err(self.unknown(text, &latest)?),
            (several, _) => {
                let listed = list(several);
                Err(Error::usage(format!("`{text}` is the name of several runs: {listed}"))
                    .hint(format!("use `{}`, for example", several[0])))
            }
        }
    }

    /// Returns the latest run that is neither deleted nor a part of another: the sweep after its
    /// trials, and the run of a pipeline after those that its stages logged to MLflow.
    ///
    /// # Errors
    /// There are no runs.
    pub fn latest(&self) -> Result<RunName> {
        let sql = "SELECT number FROM runs
                   WHERE lifecycle = 'active' AND (parent IS NULL OR NOT EXISTS (
                       SELECT 1 FROM runs AS above
                       WHERE above.uid = runs.parent AND above.lifecycle = 'active'))
                   ORDER BY number DESC LIMIT 1";
        self.query_one(sql, (), run_name)?.ok_or_else(no_runs)
    }

    /// Returns the runs with a name given by the user, newest first.
    fn named(&self, name: &str) -> Result<Vec<RunName>> {
        let sql = "SELECT number FROM runs WHERE name = ?1 AND lifecycle = ?2 ORDER BY number DESC";
        let active: Vec<RunName> = self.query_all(sql, (name, "active"), run_name)?;
        // A deleted run can be named to bring it back.
        if active.is_empty() {
            self.query_all(sql, (name, "deleted"), run_name)
        } else {
            Ok(active)
        }
    }

    /// Returns the runs whose identities begin with `prefix`, newest first.
    fn with_prefix(&self, prefix: &str) -> Result<Vec<RunName>> {
        let is_hex = prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex || prefix.len() < MIN_PREFIX {
            return Ok(Vec::new());
        }
        // `g` follows the last hexadecimal digit.
        let sql =
            "SELECT number FROM runs WHERE uid >= ?1 AND uid < ?1 || 'g' ORDER BY number DESC";
        self.query_all(sql, (prefix,), run_name)
    }

    /// Returns the names that users or clients gave to runs.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn given_names(&self) -> Result<Vec<String>> {
        let sql = "SELECT DISTINCT name FROM runs WHERE name NOT NULL AND lifecycle = 'active'";
        self.query_all(sql, (), |row| row.get(0))
    }

    fn unknown(&self, text: &str, latest: &[RunName]) -> Result<Error> {
        let names = self.given_names()?;
        let error = Error::missing(format!("there is no run `{text}`"));
        let known = names.iter().map(String::as_str).chain(["latest"]);
        Ok(match did_you_mean(text, known) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.because(format!(
                "a run is named `latest`, by its number or name, by at least {MIN_PREFIX} digits \
                 of its identity, or as `best:METRIC`"
            ))
            .hint(latest_hint(latest)),
        })
    }
}

fn list(runs: &[RunName]) -> String {
    let more = if runs.len() > MOST_LISTED { ", …" } else { "" };
    let named: Vec<String> = runs.iter().take(MOST_LISTED).map(ToString::to_string).collect();
    format!("{}{more}", named.join(", "))
}

fn latest_hint(latest: &[RunName]) -> String {
    match latest {
        [only] => format!("the only run is {only}"),
        _ => format!(
            "the latest are {}; `repro runs list` shows more",
            list(&latest[..latest.len().min(3)])
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sweep with its trials, and runs that a stage of a pipeline's run logged to MLflow.
    #[test]
    fn latest_is_not_a_part() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::empty(dir.path()).unwrap();
        assert!(store.latest().is_err());
        for (number, kind, parent, lifecycle, latest) in [
            (1, "sweep", None, "active", 1),
            (2, "trial", Some("u1"), "active", 1),
            (3, "pipeline", None, "active", 3),
            (4, "external", Some("u3"), "active", 3),
            (5, "external", Some("u4"), "active", 3),
            (6, "pipeline", None, "deleted", 3),
            // Its parent is elsewhere, or deleted.
            (7, "trial", Some("u99"), "active", 7),
            (8, "trial", Some("u6"), "active", 8),
        ] {
            let sql = "INSERT INTO runs (number, uid, kind, parent, lifecycle, status, started,
                           command, overrides, host)
                       VALUES (?1, 'u' || ?1, ?2, ?3, ?4, 'ok', 0, '[]', '[]', '')";
            store.conn.execute(sql, (number, kind, parent, lifecycle)).unwrap();
            assert_eq!(store.latest().unwrap(), RunName(latest), "after {number}");
        }
    }
}
