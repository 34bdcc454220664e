//! The report behind a page that compares runs: params, metrics, curves and artifacts of up to
//! [`MOST`] sides, each next to a baseline.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::digest::Content;
use crate::engine::side::{self, Side};
use crate::engine::{self, project};
use crate::error::{Error, Result};
use crate::event::{Millis, RunName, RunUid, Timestamp};
use crate::number::Number;
use crate::pipeline::{Goal, ParamKey, ParamValue, StageName};
use crate::repo_path::RepoPath;
use crate::runs::compare::{
    Change, Column, Grouping, MetricRow, ParamRow, Rules, Values, Verdict, compare, compare_params,
    metric_key,
};
use crate::runs::{Metrics, Store};

/// Maximum number of sides.
pub const MOST: usize = 50;

/// Sides of a comparison, with everything that differs between them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedReport {
    pub sides: Vec<ComparedSide>,
    pub columns: Vec<ComparedColumn>,
    /// Position of the column to which the others are compared.
    pub baseline: usize,
    /// In the order of the sides.
    pub params: Vec<ComparedParam>,
    pub metrics: Vec<ComparedMetric>,
    /// Sorted by stage and key.
    pub series: Vec<ComparedSeries>,
    pub artifacts: Vec<ComparedArtifact>,
    pub warnings: Vec<String>,
}

/// A run, a git revision, or the workspace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedSide {
    /// `run-12`, `HEAD~1` or `workspace`.
    pub label: String,
    pub run: Option<ComparedRun>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedRun {
    pub number: RunName,
    pub uid: RunUid,
    /// The name given by the user.
    pub name: Option<String>,
    pub status: &'static str,
    pub started: Timestamp,
    pub took: Option<Millis>,
    pub note: Option<String>,
}

/// A side, or sides that differ only in their seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedColumn {
    pub label: String,
    /// Positions of the sides.
    pub sides: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedParam {
    pub key: ParamKey,
    pub differs: bool,
    /// In the order of the sides.
    pub values: Vec<Option<ParamValue>>,
}

/// A metric. `each` is in the order of the sides, the other lists are in that of the columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedMetric {
    pub key: String,
    pub goal: Option<Goal>,
    pub differs: bool,
    pub each: Vec<Option<Number>>,
    pub means: Vec<Option<Number>>,
    /// Numbers of values of which the means are.
    pub n: Vec<usize>,
    /// Standard deviations; `None` for a single value.
    pub sd: Vec<Option<f64>>,
    /// The means minus that of the baseline.
    pub differences: Vec<Option<Number>>,
    pub verdicts: Vec<Option<&'static str>>,
    /// Positions of the columns with the best value.
    pub best: Vec<usize>,
}

/// The series of one key, in all sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedSeries {
    pub stage: StageName,
    /// Key within the stage.
    pub key: String,
    /// The full name: `train.val_loss`.
    pub name: String,
    pub goal: Option<Goal>,
    /// Positions of the sides that have it.
    pub sides: Vec<usize>,
}

/// An out, or a file that a run kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedArtifact {
    pub stage: StageName,
    pub path: RepoPath,
    pub differs: bool,
    /// In the order of the sides.
    pub contents: Vec<Option<ArtifactContent>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactContent {
    /// `file`, `exec`, `tree` or `link`.
    pub kind: &'static str,
    pub digest: String,
}

impl ComparedReport {
    /// Reads the sides that are named, or the last two runs, and compares each with `baseline`, by
    /// default the first.
    ///
    /// # Errors
    /// A name stands for nothing, a side cannot be read, or there are too many.
    pub fn read(
        root: &Path,
        names: &[String],
        baseline: Option<&str>,
        grouping: Grouping,
    ) -> Result<ComparedReport> {
        if names.len() > MOST {
            let what = format!("cannot compare {} runs: at most {MOST} fit on a page", names.len());
            return Err(Error::usage(what).hint("`repro metrics compare --csv` takes any number"));
        }
        let sides = side::at_least_two(root, names)?;
        let rules = Rules { goals: project::goals(root), grouping, ..Rules::default() };
        let (mut warnings, mut values) = (Vec::new(), Vec::with_capacity(sides.len()));
        for side in &sides {
            let numbers = side.metrics(root)?;
            warnings.extend(numbers.unreadable.into_iter().chain(numbers.stale));
            let may_group = rules.grouping != Grouping::None && sides.len() > 2;
            let lock = if may_group { side.lock(root)? } else { None };
            let params = side.params(root)?;
            values.push(Values { label: side.to_string(), params, metrics: numbers.metrics, lock });
        }
        let comparison = compare(&values, &rules);
        let baseline = baseline_column(root, &sides, &comparison.columns, baseline)?;
        let params = compare_params(&values.iter().map(|side| &side.params).collect::<Vec<_>>());
        let metric = |row: MetricRow| ComparedMetric::new(row, &values, baseline, &rules);
        Ok(ComparedReport {
            columns: comparison.columns.into_iter().map(ComparedColumn::from).collect(),
            baseline,
            params: params.into_iter().map(ComparedParam::from).collect(),
            metrics: comparison.metrics.into_iter().map(metric).collect(),
            series: series(root, &sides, &rules)?,
            artifacts: artifacts(root, &sides)?,
            warnings,
            sides: sides.iter().map(ComparedSide::from).collect(),
        })
    }
}

/// Returns the column that has the side with this name.
fn baseline_column(
    root: &Path,
    sides: &[Side],
    columns: &[Column],
    name: Option<&str>,
) -> Result<usize> {
    let Some(name) = name else { return Ok(0) };
    let label = Side::find(root, name)?.to_string();
    let at = sides.iter().position(|side| side.to_string() == label);
    let column = at.and_then(|at| columns.iter().position(|column| column.members.contains(&at)));
    column.ok_or_else(|| Error::usage(format!("the baseline `{name}` is not among the runs")))
}

/// Returns the series that any run has.
fn series(root: &Path, sides: &[Side], rules: &Rules) -> Result<Vec<ComparedSeries>> {
    let mut found: BTreeMap<(StageName, String), Vec<usize>> = BTreeMap::new();
    let Some(store) = Store::open_existing(&engine::home(root))? else {
        return Ok(Vec::new());
    };
    for (at, run) in sides.iter().enumerate().filter_map(|(at, side)| Some((at, side.run()?))) {
        for series in store.series(run.name)? {
            found.entry((series.stage, series.key)).or_default().push(at);
        }
    }
    let compared = |(of, sides): ((StageName, String), Vec<usize>)| {
        let name = metric_key(&of);
        let (stage, key) = of;
        ComparedSeries { stage, key, goal: rules.goals.of(&name), name, sides }
    };
    Ok(found.into_iter().map(compared).collect())
}

/// Returns the artifacts that any side has.
fn artifacts(root: &Path, sides: &[Side]) -> Result<Vec<ComparedArtifact>> {
    let mut found: BTreeMap<(StageName, RepoPath), Vec<Option<ArtifactContent>>> = BTreeMap::new();
    for (at, side) in sides.iter().enumerate() {
        for (stage, outs) in side.outs(root)? {
            for (path, content) in outs {
                let contents = found.entry((stage.clone(), path));
                contents.or_insert_with(|| vec![None; sides.len()])[at] = Some(content.into());
            }
        }
    }
    let compared = |((stage, path), contents): (_, Vec<_>)| ComparedArtifact {
        stage,
        path,
        differs: contents.windows(2).any(|pair| pair[0] != pair[1]),
        contents,
    };
    Ok(found.into_iter().map(compared).collect())
}

impl ComparedMetric {
    fn new(row: MetricRow, sides: &[Values], baseline: usize, rules: &Rules) -> ComparedMetric {
        let key = (row.stage.clone(), row.name.clone());
        let value = |metrics: &Metrics| metrics.get(&key).copied();
        let changes = row.changes_from(baseline, rules.tolerance);
        let samples = row.values.iter();
        ComparedMetric {
            key: row.key(),
            goal: row.goal,
            each: sides.iter().map(|side| value(&side.metrics)).collect(),
            means: samples.clone().map(|sample| Some((*sample)?.mean)).collect(),
            n: samples.clone().map(|sample| sample.map_or(0, |sample| sample.n)).collect(),
            sd: samples.map(|sample| (*sample)?.sd).collect(),
            differences: changes.iter().map(|change| Some((*change)?.difference)).collect(),
            verdicts: changes
                .iter()
                .map(|change| change.map(|Change { verdict, .. }| Verdict::word(verdict)))
                .collect(),
            best: row.best,
            differs: row.differs,
        }
    }
}

impl From<&Side> for ComparedSide {
    fn from(side: &Side) -> ComparedSide {
        let run = side.run().map(|run| ComparedRun {
            number: run.name,
            uid: run.info.uid,
            name: run.info.name.clone(),
            status: run.state.word(),
            started: run.started,
            took: run.took,
            note: run.note.clone(),
        });
        ComparedSide { label: side.to_string(), run }
    }
}

impl From<Column> for ComparedColumn {
    fn from(column: Column) -> ComparedColumn {
        ComparedColumn { label: column.label, sides: column.members }
    }
}

impl From<ParamRow> for ComparedParam {
    fn from(row: ParamRow) -> ComparedParam {
        ComparedParam { differs: row.differs(), key: row.key, values: row.values }
    }
}

impl From<Content> for ArtifactContent {
    fn from(content: Content) -> ArtifactContent {
        let digest = content.digest().to_hex().to_string();
        ArtifactContent { kind: content.kind(), digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::tests::finished;

    fn read(names: &[&str], baseline: Option<&str>) -> Result<ComparedReport> {
        let dir = finished();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        ComparedReport::read(dir.path(), &names, baseline, Grouping::default())
    }

    #[test]
    fn changes_from_the_baseline() {
        let of = |baseline| {
            let report = read(&["run-1", "run-2"], baseline).unwrap();
            let loss = report.metrics.into_iter().find(|metric| metric.key == "train.loss");
            let loss = loss.unwrap();
            let differences = loss.differences.iter().map(|value| value.unwrap().to_f64());
            (report.baseline, differences.collect::<Vec<_>>(), loss.verdicts)
        };
        // Without goals nothing is better.
        let (same, changed) = (Some("same"), Some("changed"));
        assert_eq!(of(None), (0, vec![0.0, -1.837655], vec![same, changed]));
        assert_eq!(of(Some("2")), (1, vec![1.837655, 0.0], vec![changed, same]));
    }

    #[test]
    fn series_and_artifacts_by_side() {
        let report = read(&[], None).unwrap();
        let series = report.series.iter().map(|series| (series.name.as_str(), &series.sides[..]));
        assert_eq!(series.collect::<Vec<_>>(), [("train.loss", &[1][..])]);
        let artifacts = report.artifacts.iter().map(|artifact| {
            let has = artifact.contents.iter().map(Option::is_some);
            (artifact.path.as_str(), artifact.differs, has.collect::<Vec<_>>())
        });
        assert_eq!(
            artifacts.collect::<Vec<_>>(),
            [
                ("data/audio.bin", false, vec![true, true]),
                ("models/a.mpk", true, vec![false, true])
            ]
        );
        let differing = report.params.iter().filter(|param| param.differs);
        let keys: Vec<&str> = differing.map(|param| param.key.as_str()).collect();
        assert_eq!(keys, ["train.epochs"]);
    }

    #[test]
    fn refused_choices() {
        for (names, baseline, expected) in [
            (&["run-1"; 51][..], None, "cannot compare 51 runs: at most 50 fit on a page"),
            (&["run-2"], None, "cannot compare `run-2` with itself: it is the last run"),
            (&["run-1", "run-9"], None, "there is no run `run-9`"),
            (
                &["run-1", "run-2"],
                Some("workspace"),
                "the baseline `workspace` is not among the runs",
            ),
        ] {
            assert_eq!(read(names, baseline).unwrap_err().what, expected);
        }
    }
}
