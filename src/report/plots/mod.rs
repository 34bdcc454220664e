//! The report of `repro plots`: runs, their curves, and their plotted outs, as figures.

mod choose;
pub mod figure;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Serialize;

use self::choose::Version;
use self::figure::{Chart, Figure, Image, Line, Mark, Runs};
use super::decimate::{Decimator, EqualParts, points_per_line};
use crate::data::{self, Format, Grid};
use crate::engine::plots::PlotFile;
use crate::error::Result;
use crate::event::{RunName, Timestamp};
use crate::number::Number;
use crate::pipeline::{Drawing, Goal, Goals, ParamKey, ParamValue, StageName};
use crate::repo_path::RepoPath;
use crate::runs::compare::{Grouping, MetricRow, Rules, Values, compare, metric_key};
use crate::runs::{Run, Series, Store};

/// Everything that a page of plots shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlotsReport {
    /// Name of the pipeline.
    pub project: Option<String>,
    pub runs: Vec<PlottedRun>,
    pub params: Vec<ParamValues>,
    pub metrics: Vec<MetricValues>,
    /// Sorted by key.
    pub curves: Vec<Curve>,
    pub outs: Vec<PlottedOut>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlottedRun {
    pub run: RunName,
    /// The name given by the user.
    pub name: Option<String>,
    pub status: &'static str,
    pub started: Timestamp,
}

/// Values of a param, in the order of the runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParamValues {
    pub key: ParamKey,
    pub differs: bool,
    pub values: Vec<Option<ParamValue>>,
}

/// Final values of a metric, in the order of the runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricValues {
    /// Stage and key of the metric: `train.val_loss`.
    pub key: String,
    pub goal: Option<Goal>,
    pub values: Vec<Option<Number>>,
    /// Positions of the best value.
    pub best: Vec<usize>,
}

/// The chart of the series of one key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    pub stage: StageName,
    /// The key without its last part: `sys` of `sys.memory`.
    pub group: Option<String>,
    #[serde(flatten)]
    pub chart: Chart,
}

/// An out that the pipeline declares under `plots`, with the figures of all its files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlottedOut {
    pub stage: StageName,
    pub path: RepoPath,
    pub title: Option<String>,
    pub figures: Vec<Figure>,
    pub lacks: Vec<Lack>,
}

/// A reason that runs are absent from the figures of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lack {
    pub runs: Runs,
    pub path: RepoPath,
    pub why: String,
}

/// Selects metrics and series by their full keys.
pub type Selection<'a> = &'a dyn Fn(&str) -> bool;

impl PlotsReport {
    /// Reads the series of the runs, and draws up the figures of the files.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn read(
        store: &Store,
        runs: &[Run],
        files: &[PlotFile],
        goals: &Goals,
        is_selected: Selection<'_>,
    ) -> Result<PlotsReport> {
        let rules = Rules { goals: goals.clone(), grouping: Grouping::None, ..Rules::default() };
        let compared = compare(&runs.iter().map(Values::from).collect::<Vec<_>>(), &rules);
        let params = compared.params.into_iter();
        let metrics = compared.metrics.into_iter().filter(|row| is_selected(&row.key()));
        let means = |row: &MetricRow| row.values.iter().map(|value| Some((*value)?.mean)).collect();
        Ok(PlotsReport {
            project: runs.iter().rev().find_map(|run| run.info.pipeline.clone()),
            runs: runs.iter().map(PlottedRun::from).collect(),
            params: params
                .map(|row| ParamValues { differs: row.differs(), key: row.key, values: row.values })
                .collect(),
            metrics: metrics
                .map(|row| MetricValues {
                    goal: row.goal,
                    key: row.key(),
                    values: means(&row),
                    best: row.best,
                })
                .collect(),
            curves: curves(store, runs, is_selected)?,
            outs: files.chunk_by(|a, b| a.out == b.out).map(plotted).collect(),
        })
    }

    /// Returns all charts of series and figures of outs.
    pub fn figures(&self) -> impl Iterator<Item = Figure> + '_ {
        let curves = self.curves.iter().map(|curve| Figure::Chart(curve.chart.clone()));
        curves.chain(self.outs.iter().flat_map(|out| out.figures.iter().cloned()))
    }

    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty() && self.curves.is_empty() && self.outs.is_empty()
    }
}

impl PlottedRun {
    /// Returns the run as it is shown: several runs can have the same name.
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} ({})", self.run),
            None => self.run.to_string(),
        }
    }
}

impl From<&Run> for PlottedRun {
    fn from(run: &Run) -> PlottedRun {
        let (run, name) = (&run, run.info.name.clone());
        PlottedRun { run: run.name, name, status: run.state.word(), started: run.started }
    }
}

fn curves(store: &Store, runs: &[Run], is_selected: Selection<'_>) -> Result<Vec<Curve>> {
    let mut by_key: BTreeMap<(StageName, String), Vec<(usize, Series)>> = BTreeMap::new();
    for (at, run) in runs.iter().enumerate() {
        for series in store.series(run.name)? {
            let key = (series.stage.clone(), series.key.clone());
            if is_selected(&metric_key(&key)) {
                by_key.entry(key).or_default().push((at, series));
            }
        }
    }
    let chart = |(key, all): ((StageName, String), Vec<(usize, Series)>)| {
        let limit = points_per_line(all.len());
        let lines =
            all.iter().map(|(at, series)| curve(store, (*at, runs[*at].name), series, limit));
        let lines = lines.collect::<Result<Vec<Line>>>()?;
        let title = metric_key(&key);
        let chart = Chart {
            scale: Chart::scale_of(&title, &lines),
            y: title.clone(),
            title,
            x: "step".to_owned(),
            mark: Mark::Line,
            lines,
        };
        let (stage, key) = key;
        let group = key.rsplit_once('.').map(|(group, _)| group.to_owned());
        Ok(Curve { stage, group, chart })
    };
    by_key.into_iter().map(chart).collect()
}

fn curve(
    store: &Store,
    (at, run): (usize, RunName),
    series: &Series,
    limit: usize,
) -> Result<Line> {
    let (mut parts, mut decimator) = (EqualParts::new(series.count, limit), Decimator::new());
    store.points(run, series, |point| {
        let place = Number::from(i128::from(point.step));
        decimator.push(parts.next_bucket(), point.value, (place, point.value));
        ControlFlow::Continue(())
    })?;
    let (x, y) = decimator.finish().into_iter().unzip();
    Ok(Line { runs: vec![at], name: None, total: series.count, x, y })
}

/// Draws up the figures of the files of one out.
fn plotted(files: &[PlotFile]) -> PlottedOut {
    let PlotFile { stage, out, drawing, .. } = &files[0];
    let (mut figures, mut lacks) = (Vec::new(), Vec::new());
    for file in files {
        let (more, less) = of_file(file);
        figures.extend(more);
        lacks.extend(less);
    }
    let (stage, path, title) = (stage.clone(), out.clone(), drawing.title.clone());
    PlottedOut { stage, path, title, figures, lacks }
}

fn of_file(file: &PlotFile) -> (Vec<Figure>, Vec<Lack>) {
    let PlotFile { path, drawing, versions, .. } = file;
    let (mut absent, mut images, mut grids) = (Vec::new(), Vec::new(), Vec::new());
    for version in versions {
        let runs = version.runs.clone();
        match version.content.clone().and_then(|bytes| read(path, bytes)) {
            Ok(Content::Image(media, data)) => {
                images.push(Figure::Image(image(path, drawing, runs, media, data)));
            }
            Ok(Content::Grid(grid)) => grids.push(Version { runs, grid }),
            Err(why) => absent.push((runs, why)),
        }
    }
    let (mut figures, others) = choose::figures(path.as_str(), drawing, &grids);
    figures.extend(images);
    absent.extend(others);
    let lack = |(runs, why)| Lack { runs, path: path.clone(), why };
    (figures, absent.into_iter().map(lack).collect())
}

fn image(
    path: &RepoPath,
    drawing: &Drawing,
    runs: Runs,
    media: &'static str,
    data: Vec<u8>,
) -> Image {
    let title = drawing.title.clone().unwrap_or_else(|| path.to_string());
    Image { title, runs, media, data }
}

enum Content {
    Image(&'static str, Vec<u8>),
    Grid(Grid),
}

/// Reads the content of a file by its extension.
fn read(path: &RepoPath, bytes: Vec<u8>) -> Result<Content, String> {
    let (_, extension) = path.as_str().rsplit_once('.').unwrap_or_default();
    let media = match extension.to_ascii_lowercase().as_str() {
        "png" => Some("image/png"),
        "svg" => Some("image/svg+xml"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "gif" => Some("image/gif"),
        "webp" => Some("image/webp"),
        _ => None,
    };
    if let Some(media) = media {
        return Ok(Content::Image(media, bytes));
    }
    let format = Format::of(path.as_str()).ok_or_else(|| {
        "is not a format that can be drawn: CSV, TSV, JSON, YAML, TOML, PNG, SVG, JPEG, GIF or \
         WebP"
            .to_owned()
    })?;
    let grid = data::decode(&bytes).and_then(|text| Grid::parse(format, &text));
    grid.map(Content::Grid).map_err(|fault| match fault.line {
        Some(line) => format!("line {line}: {}", fault.what),
        None => fault.what,
    })
}
