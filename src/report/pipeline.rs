//! The report of the dashboard's pipeline: each stage with its verdict, its place in the graph, and
//! what became of it when a run last reached it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::status::{StageStatus, StatusReport, sentence};
use crate::engine::status::Verdict;
use crate::error::Result;
use crate::event::{Millis, RunKind, RunName, Timestamp};
use crate::pipeline::{Pipeline, StageIx, StageName};
use crate::plan::Change;
use crate::runs::{StageRecord, Store};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PipelineReport {
    pub pipeline: Option<String>,
    /// The run of the pipeline that is in progress.
    pub running: Option<RunName>,
    /// In the order of the graph.
    pub stages: Vec<PipelineStage>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PipelineStage {
    #[serde(flatten)]
    pub status: StageStatus,
    /// The declared name, if a matrix made several stages of it.
    pub family: Option<StageName>,
    pub desc: Option<String>,
    /// Without a command, it tracks files that users make.
    pub is_input: bool,
    pub needs: Vec<StageName>,
    /// The predicate of a sentence about it, as `repro status` prints it.
    pub sentence: String,
    /// The texts of its changes.
    pub reasons: Vec<String>,
    /// State of the stage in the run in progress, else its verdict.
    pub state: &'static str,
    /// The words for people for this state.
    pub words: &'static str,
    /// When a process of the run in progress started for it.
    pub since: Option<Timestamp>,
    /// The last run in which it did not just turn out to be up to date.
    pub last: Option<LastWork>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastWork {
    pub run: RunName,
    pub outcome: &'static str,
    pub started: Option<Timestamp>,
    pub took: Option<Millis>,
}

/// The pipeline with its graph as a page shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PipelinePage {
    #[serde(flatten)]
    pub report: PipelineReport,
    pub nodes: Vec<PageNode>,
    /// The drawn graph.
    pub svg: String,
}

/// A box of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageNode {
    /// Name of the stage, or of the folded matrix.
    pub id: String,
    pub is_folded: bool,
    pub stages: Vec<String>,
}

impl PipelineReport {
    /// Combines the declared stages, their verdicts and the history.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn new(
        pipeline: &Pipeline,
        status: &StatusReport,
        store: Option<&Store>,
    ) -> Result<PipelineReport> {
        let declared = pipeline.stages.iter().map(|stage| stage.name.as_str()).collect();
        let mut last = store.map_or(Ok(BTreeMap::new()), |store| store.last_work(declared))?;
        let running = store.map_or(Ok(None), running)?;
        let now: BTreeMap<&StageName, &StageRecord> = running
            .iter()
            .flat_map(|(_, stages)| stages)
            .map(|record| (&record.stage, record))
            .collect();
        let verdicts: BTreeMap<&str, &Verdict> =
            status.stages.iter().map(|stage| (stage.stage.as_str(), &stage.verdict)).collect();
        let name = |&ix: &StageIx| pipeline.stages[ix].name.clone();
        let stages = pipeline.graph.order().iter().map(|ix| {
            let stage = &pipeline.stages[*ix];
            let verdict = verdicts.get(stage.name.as_str()).copied().cloned();
            let verdict = verdict.unwrap_or(Verdict::Fresh { accepted: None });
            let state = now.get(&stage.name).map(|record| record.state.word());
            let state = state.unwrap_or(verdict.word());
            let record = now.get(&stage.name);
            let last = last.remove(&stage.name);
            PipelineStage {
                sentence: sentence(&verdict),
                reasons: verdict.changes().iter().map(Change::to_string).collect(),
                status: StageStatus { stage: stage.name.to_string(), verdict },
                family: stage.family.clone(),
                desc: stage.desc.clone(),
                is_input: stage.is_tracked_input(),
                needs: pipeline.graph.needs(*ix).iter().map(name).collect(),
                state,
                words: state_words(state),
                since: record.and_then(|record| record.started),
                last: last.map(|(run, record)| LastWork {
                    run,
                    outcome: record.state.word(),
                    started: record.started,
                    took: record.took,
                }),
            }
        });
        let stages = stages.collect();
        let running = running.map(|(run, _)| run);
        Ok(PipelineReport { pipeline: pipeline.name.clone(), running, stages })
    }
}

/// Returns the latest run of the pipeline that is in progress, with its stages so far.
fn running(store: &Store) -> Result<Option<(RunName, Vec<StageRecord>)>> {
    let runs = store.in_progress()?;
    let run = runs.into_iter().find(|(_, kind)| *kind == RunKind::Pipeline);
    let Some((name, _)) = run else { return Ok(None) };
    Ok(Some((name, store.run(name)?.stages)))
}

/// Returns the words for people for the state of a stage.
fn state_words(state: &'static str) -> &'static str {
    match state {
        "fresh" => "up to date",
        "run" => "out of date",
        "restore" => "in the cache",
        "waits" => "waiting",
        "fails" => "cannot run",
        "unrecorded" => "not recorded",
        state => state,
    }
}
