//! Folds the stages of a matrix into one node of the graph.

use std::collections::{BTreeMap, BTreeSet};

use super::pipeline::PipelineReport;
use crate::pipeline::{Graph, StageIx, StageName};

/// A graph of stages and folded matrices.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    pub nodes: Vec<FoldedNode>,
    /// Pairs of positions in `nodes`, each once.
    pub edges: Vec<(usize, usize)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FoldedNode {
    /// Name of the stage, or of the matrix.
    pub name: StageName,
    /// Positions in the report; several for a matrix.
    pub stages: Vec<usize>,
    /// A matrix, even if only one stage comes from it.
    pub is_folded: bool,
}

/// Folds each matrix of several stages that is not in `open`. A matrix of stages that need each
/// other by way of others stays open: as one node it would need itself.
pub fn fold(report: &PipelineReport, open: &BTreeSet<String>) -> Folded {
    let mut sizes: BTreeMap<&StageName, usize> = BTreeMap::new();
    for family in report.stages.iter().filter_map(|stage| stage.family.as_ref()) {
        *sizes.entry(family).or_default() += 1;
    }
    let mut closed: BTreeSet<&StageName> = sizes
        .into_iter()
        .filter(|(family, size)| *size > 1 && !open.contains(family.as_str()))
        .map(|(family, _)| family)
        .collect();
    loop {
        let folded = fold_only(report, &closed);
        match cycle(&folded) {
            None => return folded,
            Some(cycle) => {
                let on_cycle: BTreeSet<&StageName> =
                    cycle.iter().map(|&node| &folded.nodes[node].name).collect();
                closed.retain(|family| !on_cycle.contains(family));
            }
        }
    }
}

fn fold_only(report: &PipelineReport, closed: &BTreeSet<&StageName>) -> Folded {
    let mut nodes: Vec<FoldedNode> = Vec::new();
    let mut node_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut folded: BTreeMap<&StageName, usize> = BTreeMap::new();
    for (at, stage) in report.stages.iter().enumerate() {
        let family = stage.family.as_ref().filter(|family| closed.contains(family));
        let node = match family {
            Some(family) => *folded.entry(family).or_insert(nodes.len()),
            None => nodes.len(),
        };
        if node == nodes.len() {
            let name = family.cloned().or_else(|| StageName::parse(&stage.status.stage));
            let Some(name) = name else { continue };
            nodes.push(FoldedNode { name, stages: Vec::new(), is_folded: family.is_some() });
        }
        nodes[node].stages.push(at);
        node_of.insert(&stage.status.stage, node);
    }
    let mut edges = BTreeSet::new();
    for stage in &report.stages {
        let needs = stage.needs.iter().filter_map(|need| node_of.get(need.as_str()));
        let Some(to) = node_of.get(stage.status.stage.as_str()) else { continue };
        edges.extend(needs.filter(|from| *from != to).map(|from| (*from, *to)));
    }
    Folded { nodes, edges: edges.into_iter().collect() }
}

/// Returns the nodes of a cycle, if there is one.
fn cycle(folded: &Folded) -> Option<Vec<usize>> {
    let mut needs = vec![Vec::new(); folded.nodes.len()];
    for &(from, to) in &folded.edges {
        needs[to].push(StageIx::new(from));
    }
    let cycle = Graph::new(needs).err()?;
    Some(cycle.into_iter().map(StageIx::position).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{self, FileSource};
    use crate::report::status::StatusReport;

    fn folded(toml: &str, open: &[&str]) -> String {
        let pipeline = pipeline::parse(toml, &[], FileSource::default()).unwrap();
        let status = StatusReport { stages: Vec::new() };
        let report = PipelineReport::new(&pipeline, &status, None).unwrap();
        let folded = fold(&report, &open.iter().map(|&name| name.to_owned()).collect());
        let name = |at: usize| folded.nodes[at].name.as_str();
        let nodes = folded.nodes.iter().map(|node| format!("{}:{}", node.name, node.stages.len()));
        let edges = folded.edges.iter().map(|(from, to)| format!("{}>{}", name(*from), name(*to)));
        nodes.chain(edges).collect::<Vec<_>>().join(" ")
    }

    const MATRIX: &str = "stages.load = { cmd = 'l', outs = ['data'] }\n\
        [stages.train]\nmatrix = { seed = [1, 2, 3] }\ncmd = 't {{ matrix.seed }}'\n\
        deps = ['data']\nouts = ['m{{ matrix.seed }}']\n\
        [stages.report]\ncmd = 'r'\ndeps = ['m1', 'm2', 'm3']\n";

    #[test]
    fn matrix_is_one_node() {
        assert_eq!(folded(MATRIX, &[]), "load:1 train:3 report:1 load>train train>report");
        assert_eq!(folded(MATRIX, &["train"]).matches('>').count(), 6);
    }

    #[test]
    fn matrix_in_cycle_stays_open() {
        // Each stage of `a` needs the one before it by way of `b`.
        let toml = "[stages.a]\nmatrix = { at = [0, 1] }\ncmd = 'a'\n\
            deps = [\"{{ 'start' if matrix.at == 0 else 'b0' }}\"]\nouts = ['a{{ matrix.at }}']\n\
            [stages.b]\ncmd = 'b'\ndeps = ['a0']\nouts = ['b0']\n\
            [stages.start]\ncmd = 's'\nouts = ['start']\n";
        let shown = folded(toml, &[]);
        assert_eq!(shown.matches(":1").count(), 4, "{shown}");
    }
}
