//! Runs that share the values of some params, or a sweep, with the mean and the range of their
//! metrics.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::columns::{GridColumn, Kind, Reads, columns};
use super::view::{View, find};
use crate::error::Result;
use crate::event::RunName;
use crate::filter::Known;
use crate::number::Number;
use crate::pipeline::Goals;
use crate::report::run_columns::Shows;
use crate::runs::Store;
use crate::runs::cells::Source;

/// The property by which runs are grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The run that they are a part of.
    Sweep,
    Params(Vec<String>),
    /// All params except these.
    AllBut(Vec<String>),
}

/// The groups of a view, in the order of their first runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunGroups {
    /// Number of runs in all groups.
    pub total: usize,
    /// Params that tell the groups apart.
    pub keys: Vec<String>,
    pub columns: Vec<GridColumn>,
    pub groups: Vec<RunGroup>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunGroup {
    /// Number of the sweep; `None` if the runs are grouped by params.
    pub sweep: Option<u64>,
    /// Values of the params, in the order of the keys.
    pub params: Vec<Option<serde_json::Value>>,
    /// Numbers of the runs.
    pub runs: Vec<u64>,
    /// One for each column of a metric; `None` for other columns and without any number.
    pub values: Vec<Option<Spread>>,
}

/// The distribution of a metric over the runs of a group. NaN is counted, and enters nothing else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    pub count: usize,
    pub nan: usize,
    pub mean: Number,
    /// Standard deviation of the sample; `None` with fewer than two numbers.
    pub sd: Option<Number>,
    pub min: Number,
    pub max: Number,
}

impl By {
    /// Parses `sweep`, `train.rate,model`, or `-seed`.
    pub fn parse(text: &str) -> By {
        let names = || text.split(',').map(|name| name.trim_start_matches('-').to_owned());
        match text {
            "sweep" => By::Sweep,
            _ if text.starts_with('-') => By::AllBut(names().collect()),
            _ => By::Params(names().collect()),
        }
    }
}

impl RunGroups {
    /// Reads the groups of a view.
    ///
    /// # Errors
    /// The filter, the order, a param or a column is not valid; the store cannot be read.
    pub fn read(store: &Store, view: &View, by: &By, goals: &Goals) -> Result<RunGroups> {
        let known = store.known()?;
        let mut runs = find(store, view, false, &known, goals)?;
        let columns = match view.columns.as_slice() {
            [] => columns(&super::defaults::default_columns(store, &known, goals)?, &known, goals)?,
            texts => columns(texts, &known, goals)?,
        };
        let mut groups: Vec<(Option<u64>, Vec<RunName>)> = Vec::new();
        let mut keys = Vec::new();
        let mut params: Vec<HashMap<RunName, String>> = Vec::new();
        if *by == By::Sweep {
            let parents = store.parents()?;
            let sweeps: BTreeSet<RunName> = parents.values().copied().collect();
            runs.retain(|run| !sweeps.contains(run));
            groups = grouped(&runs, |run| parents.get(&run).map(|parent| parent.0));
        } else {
            for key in params_of(by, &known)? {
                params.push(store.values_of_param(&key)?);
                keys.push(key);
            }
            let values = |run: RunName| -> Vec<Option<&String>> {
                params.iter().map(|values| values.get(&run)).collect()
            };
            let found = grouped(&runs, values);
            groups.extend(found.into_iter().map(|(_, runs)| (None, runs)));
        }
        let varying = varying(&groups, &params);
        let spreads = columns.iter().map(|column| values_of(store, column));
        let spreads = spreads.collect::<Result<Vec<_>>>()?;
        let group = |(sweep, runs): (Option<u64>, Vec<RunName>)| RunGroup {
            sweep,
            params: varying.iter().map(|at| param(params[*at].get(&runs[0]))).collect(),
            values: spreads.iter().map(|values| spread(values.as_ref()?, &runs)).collect(),
            runs: runs.iter().map(|run| run.0).collect(),
        };
        Ok(RunGroups {
            total: runs.len(),
            keys: varying.iter().map(|at| keys[*at].clone()).collect(),
            columns,
            groups: groups.into_iter().map(group).collect(),
        })
    }
}

/// Returns the params by which runs are grouped.
fn params_of(by: &By, known: &Known) -> Result<Vec<String>> {
    Ok(match by {
        By::Sweep => Vec::new(),
        By::Params(names) => {
            let keys = names.iter().map(|name| known.param(name).map(str::to_owned));
            keys.collect::<Result<_>>()?
        }
        By::AllBut(names) => {
            // The seeds of several stages are all seeds.
            let is_left_out = |key: &&String| {
                names.iter().any(|name| *key == name || key.ends_with(&format!(".{name}")))
            };
            known.params.iter().filter(|key| !is_left_out(key)).cloned().collect()
        }
    })
}

/// Groups runs by a property, in the order of the first run of each group.
fn grouped<K: std::hash::Hash + Eq>(
    runs: &[RunName],
    property: impl Fn(RunName) -> K,
) -> Vec<(K, Vec<RunName>)> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut groups: Vec<Vec<RunName>> = Vec::new();
    for run in runs {
        let place = *places.entry(property(*run)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(*run);
    }
    let mut keyed: Vec<(K, usize)> = places.into_iter().collect();
    keyed.sort_by_key(|(_, place)| *place);
    keyed.into_iter().map(|(key, place)| (key, std::mem::take(&mut groups[place]))).collect()
}

/// Returns the places of params that differ between groups; of all if none does.
fn varying(
    groups: &[(Option<u64>, Vec<RunName>)],
    params: &[HashMap<RunName, String>],
) -> Vec<usize> {
    let differs = |at: &usize| {
        let mut values = groups.iter().map(|(_, runs)| params[*at].get(&runs[0]));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    (0..params.len()).filter(differs).collect()
}

fn param(json: Option<&String>) -> Option<serde_json::Value> {
    serde_json::from_str(json?).ok()
}

/// Returns the values of a column of a metric in all runs; `None` for any other column.
fn values_of(store: &Store, column: &GridColumn) -> Result<Option<HashMap<RunName, f64>>> {
    Ok(match &column.reads {
        Reads::Extreme(extremes) => Some(extremes.best_of_all(store)?),
        Reads::Field(field) if matches!(column.kind, Kind::Metric | Kind::Variant) => {
            match &field.shows {
                Shows::One(Source::Metric(metric)) => Some(store.values_of_metric(metric)?),
                Shows::Best(variants, goal) => {
                    let mut best: BTreeMap<RunName, f64> = BTreeMap::new();
                    for metric in variants {
                        for (run, value) in store.values_of_metric(metric)? {
                            let old = best.entry(run).or_insert(value);
                            *old = match goal {
                                crate::pipeline::Goal::Max => old.max(value),
                                crate::pipeline::Goal::Min => old.min(value),
                            };
                        }
                    }
                    Some(best.into_iter().collect())
                }
                _ => None,
            }
        }
        _ => None,
    })
}

fn spread(values: &HashMap<RunName, f64>, runs: &[RunName]) -> Option<Spread> {
    let all: Vec<f64> = runs.iter().filter_map(|run| values.get(run).copied()).collect();
    let numbers: Vec<f64> = all.iter().copied().filter(|value| !value.is_nan()).collect();
    let count = numbers.len();
    let mean = numbers.iter().sum::<f64>() / count as f64;
    let squares = numbers.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let sd = (count > 1).then(|| Number::from((squares / (count - 1) as f64).sqrt()));
    (!all.is_empty()).then(|| Spread {
        count,
        nan: all.len() - count,
        mean: Number::from(mean),
        sd,
        min: Number::from(numbers.iter().copied().fold(f64::NAN, f64::min)),
        max: Number::from(numbers.iter().copied().fold(f64::NAN, f64::max)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        let values = [(1, 1.0), (2, 3.0), (3, f64::NAN), (4, 5.0)];
        let values = values.into_iter().map(|(run, value)| (RunName(run), value)).collect();
        let of = |runs: &[u64]| {
            let runs: Vec<RunName> = runs.iter().copied().map(RunName).collect();
            spread(&values, &runs).map(|spread| serde_json::to_string(&spread).unwrap())
        };
        for (runs, expected) in [
            (
                &[1, 2, 3, 9][..],
                Some(
                    "{\"count\":2,\"nan\":1,\"mean\":2.0,\"sd\":1.4142135623730951,\"min\":1.0,\
                     \"max\":3.0}",
                ),
            ),
            (
                &[4],
                Some("{\"count\":1,\"nan\":0,\"mean\":5.0,\"sd\":null,\"min\":5.0,\"max\":5.0}"),
            ),
            (
                &[3],
                Some(
                    "{\"count\":0,\"nan\":1,\"mean\":\"NaN\",\"sd\":null,\"min\":\"NaN\",\
                     \"max\":\"NaN\"}",
                ),
            ),
            (&[9], None),
        ] {
            assert_eq!(of(runs).as_deref(), expected, "{runs:?}");
        }
    }

    #[test]
    fn groups_in_order_of_runs() {
        let runs = [5, 4, 3, 2, 1].map(RunName);
        let groups = grouped(&runs, |run| run.0 % 2);
        let shown: Vec<String> = groups
            .iter()
            .map(|(key, runs)| {
                format!("{key}: {:?}", runs.iter().map(|run| run.0).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(shown, ["1: [5, 3, 1]", "0: [4, 2]"]);
    }

    #[test]
    fn properties() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (text, expected) in [
            ("sweep", By::Sweep),
            ("a.b,c", By::Params(names(&["a.b", "c"]))),
            ("-seed,-x", By::AllBut(names(&["seed", "x"]))),
        ] {
            assert_eq!(By::parse(text), expected);
        }
    }
}
