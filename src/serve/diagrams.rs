//! The graphs of reports as diagrams.

use std::collections::BTreeSet;

use super::dag::svg::{Kind, Node, render};
use crate::plural::count;
use crate::report::fold::{Folded, FoldedNode, fold};
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
