//! Resolves what the user wrote into the space and the strategy of a sweep.

use std::collections::BTreeSet;
use std::path::Path;

use super::objective::{self, Objective};
use crate::digest::Digest;
use crate::engine::worktree::files;
use crate::engine::{home, project};
use crate::error::{Error, Result, did_you_mean};
use crate::filter::Known;
use crate::pipeline::{
    Condition, Declared, Goals, Operation, Override, ParamValue, Pipeline, SweepSpec,
};
use crate::repo_path::RepoPath;
use crate::runs::Store;
use crate::sweep::{self, Axis, BadSpace, Compose, Domain, Point, Space, StopRule, Values};

/// A sweep with resolved params.
#[derive(Debug)]
pub struct Setup {
    pub name: Option<String>,
    pub axes: Vec<Axis>,
    pub filters: Vec<Condition>,
    pub strategy: Strategy,
    pub objective: Option<Objective>,
    pub halving: Option<Objective>,
    pub seed: u64,
    /// The seed of each repeat of a trial, as an override; a single `None` without repeats.
    pub seeds: Vec<Option<Override>>,
    pub rule: StopRule,
    /// The identity by which the same command finds the sweep again.
    pub key: String,
}

/// The way in which trials are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    Grid,
    Random(usize),
    /// Propose this many trials, each after the results of the earlier ones.
    Optimize(usize),
}

/// Number of trials of an optimization over intervals.
const TRIALS: usize = 100;

impl Setup {
    /// Resolves a sweep in the project at `root`.
    ///
    /// # Errors
    /// A value is malformed, a param does not exist, or options contradict each other.
    pub fn new(root: &Path, spec: &SweepSpec) -> Result<Setup> {
        let text = project::text(root)?;
        let declared = project::params(root, &text, &[])?;
        let mut axes = Vec::new();
        if let Some(table) = &spec.table {
            axes.push(read_table(root, table)?);
        }
        if !spec.zip.is_empty() {
            let zipped = spec.zip.iter().map(|given| {
                Ok((given.operation, given.key.clone(), domain(root, &declared, given)?))
            });
            let zipped = zipped.collect::<Result<Vec<_>>>()?;
            axes.push(Axis::zip(&zipped).map_err(|bad| bad_space("--zip", bad))?);
        }
        for given in &spec.params {
            axes.push(axis(root, &declared, given, &spec.conditions)?);
        }
        check_values(root, &text, &axes)?;
        check_conditions(&axes, &spec.conditions)?;
        reject_doubles(&axes)?;
        if axes.is_empty() {
            return Err(Error::usage("a sweep needs params with several values")
                .hint("for example `repro sweep -p lr=0.1,0.01`"));
        }
        let goals = goals(root, &spec.params);
        let optimized = spec
            .optimize
            .as_deref()
            .map(|text| objective::parse("--optimize", text, &goals))
            .transpose()?;
        let halving = match &spec.halving {
            None => None,
            Some(text) => Some(match &optimized {
                Some(known) if known.metric == *text => known.clone(),
                _ => objective::parse("--halving", text, &goals)?,
            }),
        };
        check_metrics(root, &goals, [("--optimize", &optimized), ("--halving", &halving)])?;
        let strategy = strategy(spec, &axes, optimized.as_ref())?;
        let rule = rule(spec, optimized.as_ref())?;
        Ok(Setup {
            name: spec.name.clone(),
            key: key(spec, &axes, strategy),
            filters: spec.filters.iter().map(|text| Condition::new(text.as_str())).collect(),
            seeds: seeds(&declared, spec, &axes)?,
            axes,
            strategy,
            objective: optimized,
            halving,
            seed: spec.seed.unwrap_or(0),
            rule,
        })
    }

    pub(super) fn space<'c>(&self, compose: &'c Compose<'c>) -> Result<Space<'c>> {
        let space = Space { axes: self.axes.clone(), filters: self.filters.clone(), compose };
        space.check_order()?;
        Ok(space)
    }

    /// Returns all points; `None` if each is proposed after the results of the earlier ones.
    pub(super) fn list(&self, space: &Space<'_>) -> Result<Option<Vec<Point>>> {
        Ok(match self.strategy {
            Strategy::Grid => Some(space.grid()?),
            Strategy::Random(count) => Some(space.random(count, self.seed)?),
            Strategy::Optimize(_) => None,
        })
    }
}

fn bad_space(place: &str, bad: BadSpace) -> Error {
    let error = Error::usage(format!("{place}: {}", bad.what));
    match bad.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn read_table(root: &Path, table: &str) -> Result<Axis> {
    let path = root.join(table);
    let text = crate::regular_file::read_text_following(&path)
        .map_err(|err| Error::io("read", Path::new(table), &err))?;
    let separator = if table.ends_with(".tsv") { '\t' } else { ',' };
    sweep::rows(&text, separator).map_err(|bad| bad_space(table, bad))
}

/// Returns the values of one param.
fn domain(root: &Path, declared: &Declared, given: &Override) -> Result<Domain> {
    let place = || format!("-p {}", given.typed());
    let values = match given.operation {
        removes if removes.removes() => Values::One(given.raw.clone()),
        _ => sweep::parse(&given.raw).map_err(|bad| {
            let error = Error::usage(format!("{}: {}", place(), bad.what));
            match bad.hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?,
    };
    let old = declared.params.resolve(&given.key).ok();
    let old = old.and_then(|key| declared.params.get(key.as_str()));
    let is_integer = matches!(old, Some(ParamValue::Number(number)) if !number.is_f64());
    let options = match declared.groups.contains_key(&given.key) {
        true => RepoPath::parse(&format!("conf/{}", given.key.replace('.', "/")))
            .map(|folder| project::options(root, &folder))
            .unwrap_or_default(),
        false => Vec::new(),
    };
    Domain::of(values, &given.key, is_integer, &options).map_err(|bad| bad_space(&place(), bad))
}

fn axis(
    root: &Path,
    declared: &Declared,
    given: &Override,
    conditions: &[(String, String)],
) -> Result<Axis> {
    let when = conditions.iter().find(|(key, _)| *key == given.key);
    Ok(Axis::Param {
        operation: given.operation,
        key: given.key.clone(),
        domain: domain(root, declared, given)?.distinct(),
        when: when.map(|(_, condition)| Condition::new(condition.as_str())),
    })
}

/// Checks each value by itself, so that a mistake is found before the first trial.
fn check_values(root: &Path, text: &str, axes: &[Axis]) -> Result<()> {
    const MOST: usize = 1_000;
    for axis in axes {
        for place in 0..axis.count().unwrap_or(0).min(MOST) {
            project::params(root, text, &axis.overrides(place as f64))?;
        }
    }
    Ok(())
}

/// Returns the files that stages read in any trial, if a swept param names them.
///
/// In a large space, the values of one param at a time are tried beside those of the first trial.
pub(super) fn sources(
    root: &Path,
    space: &Space<'_>,
    list: Option<&[Point]>,
    first: &Point,
) -> BTreeSet<RepoPath> {
    const MOST: usize = 1_000;
    let trials: Vec<Vec<Override>> = match list.filter(|list| list.len() <= MOST) {
        Some(list) => list.iter().map(|point| space.overrides(point)).collect(),
        None => {
            let first = space.overrides(first);
            let with = |axis: &Axis, place: usize| {
                let keys = axis.keys();
                let others = first.iter().filter(|given| !keys.contains(&given.key.as_str()));
                others.cloned().chain(axis.overrides(place as f64)).collect()
            };
            let axes = space.axes.iter();
            let places = |axis: &Axis| 0..axis.count().unwrap_or(0).min(MOST);
            axes.flat_map(|axis| places(axis).map(move |place| with(axis, place))).collect()
        }
    };
    // A trial whose pipeline is not valid fails with the reason.
    let pipelines = trials.iter().filter_map(|trial| project::load_pipeline(root, trial).ok());
    pipelines.flat_map(|pipeline| files::sources(&pipeline).cloned().collect::<Vec<_>>()).collect()
}

fn check_conditions(axes: &[Axis], conditions: &[(String, String)]) -> Result<()> {
    let single = |axis: &Axis| match axis {
        Axis::Param { key, .. } => Some(key.clone()),
        Axis::Rows(_) => None,
    };
    let keys: Vec<String> = axes.iter().filter_map(single).collect();
    match conditions.iter().find(|(key, _)| !keys.contains(key)) {
        None => Ok(()),
        Some((key, _)) => {
            let error = Error::usage(format!("--when {key}: the sweep does not change `{key}`"));
            Err(match did_you_mean(key, keys.iter().map(String::as_str)) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.hint(format!("give its values: `-p {key}=…`")),
            })
        }
    }
}

fn reject_doubles(axes: &[Axis]) -> Result<()> {
    let keys: Vec<&str> = axes.iter().flat_map(Axis::keys).collect();
    let twice = keys.iter().enumerate().find(|(at, key)| keys[..*at].contains(key));
    match twice {
        Some((_, key)) => Err(Error::usage(format!("the sweep sets param `{key}` twice"))),
        None => Ok(()),
    }
}

/// Returns the declared goals; none if the pipeline is valid only with the values of a trial.
fn goals(root: &Path, params: &[Override]) -> Goals {
    let first = |given: &Override| match sweep::parse(&given.raw) {
        Ok(Values::Several(texts) | Values::Steps(texts)) => {
            Override { raw: texts.first().cloned().unwrap_or_default(), ..given.clone() }
        }
        _ => given.clone(),
    };
    let pipeline: Result<Pipeline> = project::load_pipeline(root, &[])
        .or_else(|_| project::load_pipeline(root, &params.iter().map(first).collect::<Vec<_>>()));
    pipeline.map(|pipeline| pipeline.goals).unwrap_or_default()
}

/// Reports metrics whose names are probably misspellings.
fn check_metrics(root: &Path, goals: &Goals, given: [(&str, &Option<Objective>); 2]) -> Result<()> {
    let store = Store::open_existing(&home(root))?;
    let known = store.map_or_else(|| Ok(Known::default()), |store| store.known())?;
    let mut given = given.into_iter().filter_map(|(option, one)| Some((option, one.as_ref()?)));
    given.try_for_each(|(option, one)| objective::check_name(option, one, &known, goals))
}

/// Returns the way to choose trials. A metric alone ranks the trials of a grid.
fn strategy(spec: &SweepSpec, axes: &[Axis], objective: Option<&Objective>) -> Result<Strategy> {
    match (spec.random, objective, spec.trials) {
        (Some(_), _, Some(_)) => {
            Err(Error::usage("`--random` and `--trials` both say how many trials to run")
                .hint("`--random N` draws trials, `--optimize METRIC --trials N` proposes them"))
        }
        (Some(count), _, None) => Ok(Strategy::Random(count)),
        (None, None, Some(_)) => Err(Error::usage("`--trials` needs a metric to optimize")
            .hint("add `--optimize max:METRIC`, or draw trials with `--random N`")),
        (None, Some(_), Some(trials)) => Ok(Strategy::Optimize(trials)),
        (None, Some(_), None) if axes.iter().any(|axis| axis.count().is_none()) => {
            Ok(Strategy::Optimize(TRIALS))
        }
        (None, _, None) => Ok(Strategy::Grid),
    }
}

fn rule(spec: &SweepSpec, objective: Option<&Objective>) -> Result<StopRule> {
    let Some(objective) = objective else {
        let option = match (spec.patience, spec.target) {
            (Some(_), _) => "--patience",
            (None, Some(_)) => "--target",
            (None, None) => return Ok(StopRule::default()),
        };
        return Err(
            Error::usage(format!("`{option}` needs a metric")).hint("add `--optimize max:METRIC`")
        );
    };
    let target = spec.target.map(|target| sweep::score(objective.goal, target));
    Ok(StopRule { patience: spec.patience, target })
}

/// Returns the seed of each repeat: the present one and those after it.
fn seeds(declared: &Declared, spec: &SweepSpec, axes: &[Axis]) -> Result<Vec<Option<Override>>> {
    let repeats = spec.repeats.unwrap_or(1);
    if repeats <= 1 {
        return Ok(vec![None]);
    }
    let name = spec.seed_param.as_deref().unwrap_or("seed");
    let key = declared.params.resolve(name).map_err(|_| {
        Error::usage(format!("`--repeats` varies the seed, but there is no param `{name}`"))
            .hint("name the param of the seed: `--seed-param KEY`")
    })?;
    if axes.iter().flat_map(Axis::keys).any(|swept| swept == name || swept == key.as_str()) {
        return Err(Error::usage(format!("both the sweep and `--repeats` set param `{key}`")));
    }
    let first =
        declared.params.get(key.as_str()).and_then(ParamValue::as_i64).ok_or_else(|| {
            Error::usage(format!("the seed `{key}` is not an integer"))
                .hint("name the param of the seed: `--seed-param KEY`")
        })?;
    let seed = |at: usize| Override {
        operation: Operation::Set,
        key: key.to_string(),
        raw: first.saturating_add(at as i64).to_string(),
    };
    Ok((0..repeats).map(|at| Some(seed(at))).collect())
}

/// Returns the identity of a sweep: its name, or else what it sweeps but not over which values.
fn key(spec: &SweepSpec, axes: &[Axis], strategy: Strategy) -> String {
    if let Some(name) = &spec.name {
        return format!("name {name}");
    }
    let mut keys: Vec<&str> = axes.iter().flat_map(Axis::keys).collect();
    keys.sort_unstable();
    let kind = match strategy {
        Strategy::Grid => "grid",
        Strategy::Random(_) => "random",
        Strategy::Optimize(_) => "optimize",
    };
    let seed = spec.seed.unwrap_or(0);
    let text = format!("{kind} {keys:?} {:?} {:?} {seed}", spec.stages, spec.optimize);
    Digest::of(text.as_bytes()).to_string()[..16].to_owned()
}

impl From<BadSpace> for Error {
    fn from(bad: BadSpace) -> Error {
        let error = Error::usage(bad.what);
        match bad.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
