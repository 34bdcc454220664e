//! The report of one stage: its declaration, its place in the pipeline, and its history over runs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::pipeline::{PipelineReport, PipelineStage};
use crate::digest::Content;
use crate::engine::Project;
use crate::engine::size::{Tally, measure};
use crate::error::{Error, Result, did_you_mean};
use crate::event::{Failure, Millis, RunKind, RunName, Timestamp};
use crate::pipeline::{ParamKey, ParamValue, Pipeline, Policy, Role, Stage, StageIx, StageName};
use crate::runs::{LOG, Origin, StageInRun, StageState, Store, stage_dir};

/// Greatest number of runs in a history.
const MOST_RUNS: usize = 500;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageReport {
    pub stage: StageName,
    /// `None` if only the history has it.
    pub declared: Option<Declaration>,
    pub status: Option<PipelineStage>,
    pub needed_by: Vec<StageName>,
    /// Newest first.
    pub history: Vec<StageVisit>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Declaration {
    /// The line of `pipeline.toml`.
    pub line: usize,
    pub cmd: Option<String>,
    /// Empty for `sh -c`.
    pub shell: Vec<String>,
    pub wdir: Option<String>,
    pub env: BTreeMap<String, String>,
    pub env_deps: Vec<String>,
    pub tools: Vec<String>,
    pub params: BTreeMap<ParamKey, ParamValue>,
    pub deps: Vec<DeclaredDep>,
    pub outs: Vec<DeclaredOut>,
    /// The glob of its items.
    pub each: Option<String>,
    /// `frozen` or `always`, if it is not simply run when it is out of date.
    pub policy: Option<&'static str>,
    pub timeout: Option<Millis>,
    pub retries: u64,
    pub cpus: u64,
    pub gpus: u64,
    /// Memory in bytes; 0 if none is declared.
    pub memory: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeclaredDep {
    pub path: String,
    /// The stages that write it.
    pub from: Vec<StageName>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeclaredOut {
    pub path: String,
    /// `out`, `metrics` or `plot`.
    pub role: &'static str,
}

/// A stage in a run that reached it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageVisit {
    pub run: RunName,
    pub name: Option<String>,
    pub kind: RunKind,
    /// When the stage started, or else the run.
    pub started: Timestamp,
    pub outcome: &'static str,
    pub took: Option<Millis>,
    pub exit_code: Option<i32>,
    pub cpu: Option<Millis>,
    pub memory: Option<u64>,
    /// The first reasons; `reason_count` counts all.
    pub reasons: Vec<String>,
    pub reason_count: usize,
    pub failure: Option<Failure>,
    /// The outs that the cache has.
    pub outs: Tally,
    pub has_log: bool,
}

impl StageReport {
    /// # Errors
    /// Neither the pipeline nor the history has the stage, or the store cannot be read.
    pub fn read(
        project: &Project,
        pipeline: PipelineReport,
        store: Option<&Store>,
        stage: &StageName,
    ) -> Result<StageReport> {
        let declared = project.pipeline.find(stage.as_str());
        let history = store.map_or(Ok(Vec::new()), |store| store.history_of(stage, MOST_RUNS))?;
        if declared.is_none() && history.is_empty() {
            return Err(unknown(&project.pipeline, stage.as_str()));
        }
        let graph = &project.pipeline.graph;
        let name = |ix: &StageIx| project.pipeline.stages[*ix].name.clone();
        let mut sizes = Sizes { project, known: BTreeMap::new() };
        let visit = |visit: StageInRun| {
            let outs = sizes.of(store, visit.run, stage)?;
            Ok(StageVisit::new(visit, outs, &project.history))
        };
        Ok(StageReport {
            declared: declared.map(|ix| Declaration::new(&project.pipeline, ix)),
            status: pipeline.stages.into_iter().find(|one| one.status.stage == stage.as_str()),
            needed_by: declared
                .map_or_else(Vec::new, |ix| graph.needed_by(ix).iter().map(name).collect()),
            history: history.into_iter().map(visit).collect::<Result<_>>()?,
            stage: stage.clone(),
        })
    }
}

/// Returns the error of a name that no stage has; a matrix is named by the error.
pub fn unknown(pipeline: &Pipeline, name: &str) -> Error {
    let variants = pipeline
        .stages
        .iter()
        .filter(|stage| stage.family.as_ref().is_some_and(|family| family.as_str() == name));
    let error = Error::missing(format!("there is no stage `{name}`"));
    let count = variants.count();
    if count > 0 {
        return error.hint(format!("`{name}` is a matrix of {count} stages"));
    }
    let names = pipeline.stages.iter().map(|stage| stage.name.as_str());
    match did_you_mean(name, names) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error,
    }
}

impl Declaration {
    fn new(pipeline: &Pipeline, ix: StageIx) -> Declaration {
        let stage: &Stage = &pipeline.stages[ix];
        let needs = pipeline.graph.needs(ix);
        let deps = stage.deps.iter().map(|dep| {
            let writes = |stage: &Stage| stage.outs.iter().any(|out| dep.may_read(out.place()));
            let from = needs.iter().map(|&need| &pipeline.stages[need]).filter(|one| writes(one));
            let from = from.map(|stage| stage.name.clone()).collect();
            DeclaredDep { path: dep.path.to_string(), from }
        });
        let outs = stage.outs.iter().map(|out| DeclaredOut {
            path: out.path.to_string(),
            role: match out.role {
                Role::Data => "out",
                Role::Metrics => "metrics",
                Role::Plot => "plot",
            },
        });
        Declaration {
            line: stage.line,
            cmd: stage.cmd.clone(),
            shell: stage.shell.clone(),
            wdir: stage.wdir.as_ref().map(ToString::to_string),
            env: stage.env.clone(),
            env_deps: stage.env_deps.iter().cloned().collect(),
            tools: stage.tools.iter().cloned().collect(),
            params: stage.params.clone(),
            deps: deps.collect(),
            outs: outs.collect(),
            each: stage.each.as_ref().map(|each| each.glob.text().to_string()),
            policy: match stage.policy {
                Policy::WhenStale => None,
                Policy::Frozen => Some("frozen"),
                Policy::Always => Some("always"),
            },
            timeout: stage.timeout.map(Millis::from),
            retries: stage.retries.count,
            cpus: stage.resources.cpus,
            gpus: stage.resources.gpus,
            memory: stage.resources.mem,
        }
    }
}

impl StageVisit {
    fn new(visit: StageInRun, outs: Tally, history: &Path) -> StageVisit {
        /// Reasons that are shown of a run.
        const SHOWN: usize = 5;
        let StageInRun { run, name, kind, started, record } = visit;
        let log = stage_dir(history, run, &record.stage).join(LOG);
        let failure = match &record.state {
            StageState::Failed(failure) | StageState::Unrecorded(failure) => Some(failure.clone()),
            _ => None,
        };
        StageVisit {
            run,
            name,
            kind,
            started: record.started.unwrap_or(started),
            outcome: record.state.word(),
            took: record.took,
            exit_code: record.usage.map(|usage| usage.exit_code),
            cpu: record.usage.map(|usage| usage.cpu),
            memory: record.usage.and_then(|usage| usage.memory),
            reasons: record.reasons.into_iter().take(SHOWN).collect(),
            reason_count: record.reason_count,
            failure,
            outs,
            has_log: log.symlink_metadata().is_ok(),
        }
    }
}

/// Sizes of contents; each is measured once.
struct Sizes<'p> {
    project: &'p Project,
    known: BTreeMap<Content, Tally>,
}

impl Sizes<'_> {
    /// Returns the size of the outs that a stage had in a run.
    fn of(&mut self, store: Option<&Store>, run: RunName, stage: &StageName) -> Result<Tally> {
        let artifacts = store.map_or(Ok(Vec::new()), |store| store.artifacts_of(run, stage))?;
        let mut sum = Tally::default();
        for artifact in artifacts.iter().filter(|artifact| artifact.origin == Origin::Out) {
            let Some((kind, digest)) = &artifact.content else { continue };
            let content = digest.parse().ok().and_then(|digest| Content::from_kind(kind, digest));
            let Some(content) = content else { continue };
            let project = self.project;
            let size = self.known.entry(content).or_insert_with(|| measure(project, &content));
            sum.count += size.count;
            sum.bytes += size.bytes;
        }
        Ok(sum)
    }
}
