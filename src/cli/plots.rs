//! `repro plots`: the curves, plots and metrics of runs, as one HTML page.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;

use super::browser::open_in_browser;
use super::common::store;
use super::get::shown;
use crate::engine::project::staging;
use crate::engine::{Project, plots};
use crate::error::{Error, Result, exit};
use crate::event::{RunKind, RunName};
use crate::pipeline::Goals;
use crate::plots::{page, svg};
use crate::plural::count;
use crate::regular_file;
use crate::report;
use crate::report::plots::PlotsReport;
use crate::runs::compare::{MetricNames, metric_key};
use crate::runs::{Run, Store};
use crate::terminal::{self, stdout};
use crate::workspace::write::Durability;

/// The page that is written without `-o`, relative to the project root.
const PAGE: &str = "runs/plots.html";

/// Draw the curves, plots and metrics of runs, as one HTML page that needs no network
///
/// Several runs are drawn together. With three or more that differ in params, the page also has
/// parallel coordinates. Files declared under `plots` appear as each run made them.
#[derive(Debug, Args)]
pub(super) struct PlotsArgs {
    /// Runs to draw: `run-12`, a name, `last`, `best:METRIC`, or a sweep for all its trials
    /// [default: the last run or sweep]
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Draw the last N runs
    #[arg(long, value_name = "N", conflicts_with = "runs")]
    last: Option<NonZeroUsize>,
    /// Draw only metrics and series that match GLOB, as a whole or after a dot: `train.*`, `*loss`
    #[arg(long, value_name = "GLOB")]
    metric: Vec<String>,
    /// Page to write [default: runs/plots.html]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the figures as SVG files into DIR instead, for papers
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "open", "json"])]
    svg: Option<PathBuf>,
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
    /// Print the data as JSON and write no page
    #[arg(long, conflicts_with_all = ["output", "open"])]
    json: bool,
}

impl PlotsArgs {
    /// Runs the command. Relative paths start at `here`.
    ///
    /// # Errors
    /// A named run does not exist, or the page cannot be written.
    pub(super) fn execute(self, here: &Path, root: &Path, goals: &Goals) -> Result<u8> {
        let store = store(root)?;
        let runs = self.chosen(&store, goals)?;
        let files = match Project::load(root, &[]) {
            Ok(project) => plots::files(&project, &runs)?,
            Err(error) => {
                terminal::warn_of(&error);
                terminal::note("declared plots are left out, since they cannot be read");
                Vec::new()
            }
        };
        let selection = MetricNames(self.metric.clone());
        selection.check(keys(&store, &runs)?.iter().map(String::as_str))?;
        let is_selected = |key: &str| selection.select(key);
        let report = PlotsReport::read(&store, &runs, &files, goals, &is_selected)?;
        if self.json {
            stdout::write(&report::json(&report))?;
            return Ok(exit::OK);
        }
        if report.is_empty() {
            let of = if self.metric.is_empty() { "" } else { " that match" };
            return Err(Error::usage(format!("there are no metrics or plots{of}")).hint(
                "a stage reports series through `$REPRO_EVENTS` and declares files under \
                 `metrics` or `plots`",
            ));
        }
        if let Some(folder) = &self.svg {
            return write_figures(root, &here.join(folder), &report);
        }
        let target = match &self.output {
            Some(output) => here.join(output),
            None => root.join(PAGE),
        };
        refuse_other_file(&target, page::MARK)?;
        let page = page::page(&report);
        staging(root).write(&target, page.as_bytes(), Durability::Relaxed)?;
        stdout::say!("wrote {}", shown(&target));
        if self.open {
            open_in_browser(target.as_os_str())?;
        }
        Ok(exit::OK)
    }

    /// Returns the runs to draw, each once: those named, in this order, or else the latest, oldest
    /// first. A sweep stands for its trials.
    fn chosen(&self, store: &Store, goals: &Goals) -> Result<Vec<Run>> {
        let names = match self.last {
            Some(count) => store.names(count.get())?.into_iter().rev().collect(),
            None if self.runs.is_empty() => vec![store.latest()?],
            None => {
                let named = |run: &String| store.resolve(run, || goals.clone());
                self.runs.iter().map(named).collect::<Result<Vec<RunName>>>()?
            }
        };
        let mut runs = Vec::new();
        for name in names {
            let run = store.run(name)?;
            match (run.info.kind, run.info.parent) {
                (RunKind::Sweep, _) => runs.extend(store.trials(run.info.uid)?),
                _ => runs.push(run),
            }
        }
        let mut seen = BTreeSet::new();
        runs.retain(|run| seen.insert(run.name));
        if runs.is_empty() { Err(crate::runs::query::no_runs()) } else { Ok(runs) }
    }
}

/// Returns the keys of the metrics and series of `runs`.
fn keys(store: &Store, runs: &[Run]) -> Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    for run in runs {
        keys.extend(run.metrics.keys().map(metric_key));
        let series = store.series(run.name)?.into_iter();
        keys.extend(series.map(|series| series.stage.name_of(&series.key)));
    }
    Ok(keys)
}

/// Writes the figures of a report into a folder.
fn write_figures(root: &Path, folder: &Path, report: &PlotsReport) -> Result<u8> {
    let files = svg::files(report);
    if files.is_empty() {
        return Err(Error::usage("there are no charts to write")
            .hint("tables and images are files already: `repro get RUN:PATH` copies them"));
    }
    let path = |file: &svg::SvgFile| folder.join(format!("{}.svg", file.name));
    files.iter().try_for_each(|file| refuse_other_file(&path(file), svg::MARK))?;
    let staging = staging(root);
    for file in &files {
        staging.write(&path(file), file.text.as_bytes(), Durability::Relaxed)?;
    }
    stdout::say!("wrote {} to {}", count(files.len(), "figure"), shown(folder));
    Ok(exit::OK)
}

/// Fails if a file exists that this command did not write: it does not begin with `mark`.
fn refuse_other_file(target: &Path, mark: &str) -> Result<()> {
    let mut start = Vec::new();
    match regular_file::open(target) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened.and_then(|file| file.take(mark.len() as u64).read_to_end(&mut start)),
    }
    .map_err(|err| Error::io("read", target, &err))?;
    if start == mark.as_bytes() {
        return Ok(());
    }
    Err(Error::usage(format!("`{}` exists, and `repro plots` did not write it", shown(target)))
        .hint("remove it, or choose another place"))
}
