//! The graphs of reports as diagrams.

use std::collections::BTreeSet;

use super::dag::svg::{Kind, Node, render};
use crate::plural::count;
use crate::report::fold::{Folded, FoldedNode, fold};
use crate::report::lineage::{LineageNode, LineageReport, NodeOf, Place};
use crate::report::pipeline::{PageNode, PipelinePage, PipelineReport, PipelineStage};

/// States of stages; a folded matrix has the first that one of its stages has.
const BY_URGENCY: [&str; 13] = [
    "running",
    "fails",
    "failed",
    "unrecorded",
    "interrupted",
    "run",
    "waits",
    "skipped",
    "restore",
    "ran",
    "restored",
    "accepted",
    "fresh",
];

/// Draws a pipeline. Matrices are folded, except those in `open`.
pub(super) fn pipeline(report: PipelineReport, open: &BTreeSet<String>) -> PipelinePage {
    let folded = fold(&report, open);
    let nodes: Vec<Node> = folded.nodes.iter().map(|node| stage(node, &report)).collect();
    let svg = render("Graph of the stages", &nodes, &folded.edges);
    let Folded { nodes, .. } = folded;
    let nodes = nodes.into_iter().map(|node| PageNode {
        id: node.name.to_string(),
        is_folded: node.is_folded,
        stages: node.stages.iter().map(|&at| report.stages[at].status.stage.clone()).collect(),
    });
    PipelinePage { nodes: nodes.collect(), svg, report }
}

fn stage(node: &FoldedNode, report: &PipelineReport) -> Node {
    let name = node.name.to_string();
    let stages: Vec<&PipelineStage> = node.stages.iter().map(|&at| &report.stages[at]).collect();
    let urgency = |state: &str| BY_URGENCY.iter().position(|one| *one == state);
    let first = stages.iter().min_by_key(|stage| urgency(stage.state).unwrap_or(usize::MAX));
    let (state, words) = first.map_or(("fresh", ""), |stage| (stage.state, stage.words));
    if !node.is_folded {
        let sentence = first.map_or("", |stage| &stage.sentence);
        return Node {
            href: Some(format!("/pipeline/{name}")),
            title: format!("{name} {sentence}"),
            detail: words.to_owned(),
            kind: Kind::Stage,
            id: name.clone(),
            name,
            state,
        };
    }
    let same = stages.iter().filter(|stage| stage.state == state).count();
    let detail = match same == stages.len() {
        true => format!("{same} {words}"),
        false => format!("{same} of {} {words}", stages.len()),
    };
    let title = format!("{name}, a matrix of {}: {detail}", count(stages.len(), "stage"));
    let open = open_link(&name);
    Node { href: Some(open), title, detail, kind: Kind::Stack, id: name.clone(), name, state }
}

/// Returns the address that shows the stages of a matrix. Names of stages need no escapes.
fn open_link(matrix: &str) -> String {
    format!("/pipeline?open={matrix}")
}

/// Draws a lineage.
pub(super) fn lineage(mut report: LineageReport) -> LineageReport {
    let nodes: Vec<Node> =
        report.nodes.iter().enumerate().map(|(at, node)| origin(at, node)).collect();
    report.svg = render("Graph of the lineage", &nodes, &report.edges);
    report
}

fn origin(at: usize, node: &LineageNode) -> Node {
    let state = match node.place {
        Place::Subject => "target",
        _ => "plain",
    };
    let (name, detail, title, href, kind) = match &node.of {
        NodeOf::Execution { stage, run, commit, .. } => {
            let run = run.map(|run| run.to_string());
            let name = if stage.as_str().is_empty() { "a client" } else { stage.as_str() };
            let place = run.clone().unwrap_or_else(|| "workspace".to_owned());
            let commit = commit.as_ref().and_then(|commit| commit.get(..8));
            let detail = commit.map_or(place.clone(), |commit| format!("{place} · {commit}"));
            let title = format!("{name}, executed in {place}");
            let href = run.map(|run| format!("/runs/{run}"));
            (name.to_owned(), detail, title, href, Kind::Stage)
        }
        NodeOf::Data { files } => {
            let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            let name = match &paths[..] {
                [path] => (*path).to_owned(),
                paths => count(paths.len(), "input"),
            };
            let href = match &files[..] {
                [file] => Some(format!("/lineage/{}", file.digest)),
                _ => None,
            };
            (name.clone(), String::new(), format!("{name}: {}", paths.join(", ")), href, Kind::Data)
        }
    };
    Node { id: at.to_string(), href, name, detail, title, state, kind }
}
