//! Parses `[sweeps.NAME]`: sweeps that `repro sweep NAME` runs.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Value};
use crate::pipeline::{
    BadName, Operation, Override, Params, Problem, SweepSpec, Unresolved, check_name, swept,
};

pub(in crate::pipeline) const KEYS: [&str; 17] = [
    "stages",
    "params",
    "zip",
    "table",
    "where",
    "when",
    "random",
    "optimize",
    "trials",
    "halving",
    "seed",
    "repeats",
    "seed_param",
    "patience",
    "target",
    "max_time",
    "jobs",
];

const MOST: u64 = 100_000;

impl Reader {
    /// Reads `[sweeps]`. The stages and metrics of a sweep are checked when it runs.
    pub(super) fn sweeps(
        &mut self,
        root: &DeTable<'_>,
        params: &Params,
        groups: &BTreeMap<String, String>,
    ) -> BTreeMap<String, SweepSpec> {
        let mut sweeps = BTreeMap::new();
        let table = root.get("sweeps").and_then(|value| self.table(value, "`[sweeps]`"));
        for (name, value) in table.into_iter().flatten() {
            let of = format!("sweep `{}`", name.get_ref());
            if let Err(bad) = check_name(name.get_ref()) {
                let what = bad.to_string().replace("param name", "name of a sweep");
                self.problems.push(Problem::new(self.line(name), what).hint(BadName::HINT));
            }
            let Some(table) = self.table(value, &of) else { continue };
            self.reject_unknown_keys(table, &of, &KEYS);
            let mut spec = self.sweep(table, &of, params, groups);
            if ["params", "zip", "table"].iter().all(|key| table.get(*key).is_none()) {
                let problem = Problem::new(self.line(value), format!("{of} has no params"));
                self.problems.push(problem.hint("for example `params = [\"lr=0.1,0.01\"]`"));
            }
            spec.name = Some(name.get_ref().to_string());
            sweeps.insert(name.get_ref().to_string(), spec);
        }
        sweeps
    }

    fn sweep(
        &mut self,
        table: &DeTable<'_>,
        of: &str,
        params: &Params,
        groups: &BTreeMap<String, String>,
    ) -> SweepSpec {
        let owned = |texts: Vec<(&str, &Value<'_>)>| {
            texts.into_iter().map(|(text, _)| text.to_owned()).collect::<Vec<_>>()
        };
        let stages = owned(self.strings(table, "stages", of));
        let filters = owned(self.strings(table, "where", of));
        let mut conditions = Vec::new();
        for (text, at) in self.strings(table, "when", of) {
            match text.split_once('=') {
                Some((key, condition)) if !key.trim().is_empty() => {
                    conditions.push((key.trim().to_owned(), condition.trim().to_owned()));
                }
                _ => self.problem(at, format!("`when` of {of} must be \"KEY=CONDITION\"")),
            }
        }
        let mut count = |key: &str| {
            let what = format!("`{key}` of {of}");
            let number = table.get(key).and_then(|value| self.integer(value, &what, 1..=MOST));
            number.and_then(|number| usize::try_from(number).ok())
        };
        let [random, trials, repeats, patience, jobs] =
            ["random", "trials", "repeats", "patience", "jobs"].map(&mut count);
        let mut text = |key: &str| {
            let what = format!("`{key}` of {of}");
            table.get(key).and_then(|value| self.string(value, &what)).map(str::to_owned)
        };
        let [csv, optimize, halving, seed_param] =
            ["table", "optimize", "halving", "seed_param"].map(&mut text);
        let seed = table.get("seed").and_then(|value| {
            self.integer(value, &format!("`seed` of {of}"), 0..=u64::from(u32::MAX))
        });
        let max_time = table.get("max_time");
        let max_time =
            max_time.and_then(|value| self.duration(value, &format!("`max_time` of {of}")));
        SweepSpec {
            name: None,
            stages,
            params: self.swept(table, "params", of, params, groups),
            zip: self.swept(table, "zip", of, params, groups),
            table: csv,
            filters,
            conditions,
            random,
            optimize,
            trials,
            halving,
            seed,
            repeats,
            seed_param,
            patience,
            target: self.target(table, of),
            max_time,
            jobs,
        }
    }

    fn target(&mut self, table: &DeTable<'_>, of: &str) -> Option<f64> {
        let value = table.get("target")?;
        let number = match value.get_ref() {
            DeValue::Integer(digits) => digits.as_str().parse().ok(),
            DeValue::Float(digits) => digits.as_str().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number: &f64| number.is_finite());
        if number.is_none() {
            self.problem(value, format!("`target` of {of} must be a number"));
        }
        number
    }

    /// Reads params with their values, as `-p` takes them.
    fn swept(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        of: &str,
        params: &Params,
        groups: &BTreeMap<String, String>,
    ) -> Vec<Override> {
        let mut found = Vec::new();
        for (text, at) in self.strings(table, key, of) {
            match checked(text, params, groups) {
                Ok(given) => found.push(given),
                Err((what, hint)) => {
                    let problem = Problem::new(self.line(at), format!("{of}: {what}"));
                    self.problems.push(match hint {
                        Some(hint) => problem.hint(hint),
                        None => problem,
                    });
                }
            }
        }
        found
    }
}

/// Parses one param of a sweep and checks that it exists.
fn checked(
    text: &str,
    params: &Params,
    groups: &BTreeMap<String, String>,
) -> Result<Override, (String, Option<String>)> {
    let given = Override::parse(text).map_err(|why| (format!("`{text}` {why}"), None))?;
    if !matches!(given.operation, Operation::Remove | Operation::RemoveEqual) {
        swept::parse(&given.raw).map_err(|bad| (format!("`{text}`: {}", bad.what), bad.hint))?;
    }
    let is_known = given.operation != Operation::Set || groups.contains_key(&given.key);
    match params.resolve(&given.key) {
        Err(Unresolved::Unknown { suggestion }) if !is_known => {
            let hint = suggestion.map(|meant| format!("did you mean `{meant}`?"));
            Err((format!("there is no param `{}`", given.key), hint))
        }
        _ => Ok(given),
    }
}
