//! The report of `repro dag`: stages and the edges between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::pipeline::{Pipeline, StageIx, StageSet};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DagReport {
    pub pipeline: Option<String>,
    /// Each stage after those it needs, and as soon after them as possible. This order keeps the
    /// lanes of a drawing few and short.
    pub stages: Vec<DagStage>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DagStage {
    pub stage: String,
    pub desc: Option<String>,
    /// Position among all stages of the pipeline.
    pub index: usize,
    /// Names of the stages in this report that it needs.
    pub needs: Vec<String>,
}

impl DagReport {
    /// Reports the stages in `wanted`, with the edges between them.
    pub fn new(pipeline: &Pipeline, wanted: &StageSet) -> DagReport {
        let order = deep_order(pipeline, wanted);
        let name = |ix: StageIx| pipeline.stages[ix].name.to_string();
        let stage = |&ix: &StageIx| {
            let needs = pipeline.graph.needs(ix).iter().copied();
            DagStage {
                stage: name(ix),
                desc: pipeline.stages[ix].desc.clone(),
                index: ix.position(),
                needs: needs.filter(|need| wanted.contains(*need)).map(name).collect(),
            }
        };
        DagReport { pipeline: pipeline.name.clone(), stages: order.iter().map(stage).collect() }
    }

    /// Returns the pairs of a stage and one that needs it.
    pub fn edges(&self) -> impl Iterator<Item = (&DagStage, &DagStage)> {
        let stages: BTreeMap<&str, &DagStage> =
            self.stages.iter().map(|stage| (stage.stage.as_str(), stage)).collect();
        let needs =
            self.stages.iter().flat_map(|to| to.needs.iter().map(move |from| (from.as_str(), to)));
        needs.filter_map(move |(from, to)| stages.get(from).map(|from| (*from, to)))
    }
}

fn deep_order(pipeline: &Pipeline, wanted: &StageSet) -> Vec<StageIx> {
    let graph = &pipeline.graph;
    let within = |ix: &&StageIx| wanted.contains(**ix);
    let mut missing: BTreeMap<StageIx, usize> =
        wanted.iter().map(|ix| (ix, graph.needs(ix).iter().filter(within).count())).collect();
    let mut ready: BTreeSet<(Reverse<usize>, StageIx)> = missing
        .iter()
        .filter(|(_, missing)| **missing == 0)
        .map(|(ix, _)| (Reverse(0), *ix))
        .collect();
    let mut order = Vec::new();
    while let Some((_, ix)) = ready.pop_first() {
        order.push(ix);
        for dependent in graph.needed_by(ix) {
            let Some(missing) = missing.get_mut(dependent) else { continue };
            *missing -= 1;
            if *missing == 0 {
                ready.insert((Reverse(order.len()), *dependent));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{self, FileSource};

    #[test]
    fn dag_json() {
        let files = FileSource::default();
        let text = "stages.b = { cmd = 'b', deps = ['a.txt'], outs = ['b.txt'] }\n\
                    stages.a = { cmd = 'a', outs = ['a.txt'], desc = 'Make a' }\n\
                    stages.c = { cmd = 'c', deps = ['b.txt'] }\n";
        let pipeline = pipeline::parse(text, &[], files).unwrap();
        let b = pipeline.find("b").unwrap();
        let report = DagReport::new(&pipeline, &pipeline.graph.with_needs([b]));
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        {
          "pipeline": null,
          "stages": [
            {
              "desc": "Make a",
              "index": 1,
              "needs": [],
              "stage": "a"
            },
            {
              "desc": null,
              "index": 0,
              "needs": [
                "a"
              ],
              "stage": "b"
            }
          ]
        }
        "#);
    }
}
