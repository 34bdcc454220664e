//! The dependency graph: stage B needs stage A if a dep of B equals, contains or is inside an out
//! of A.

use crate::pipeline::{StageIx, StageSet};

/// The acyclic graph of a valid pipeline.
#[derive(Debug, Default, Clone)]
pub struct Graph {
    needs: Vec<Vec<StageIx>>,
    needed_by: Vec<Vec<StageIx>>,
    order: Vec<StageIx>,
}

impl Graph {
    /// Builds the graph from the list of needed stages for each stage.
    ///
    /// # Errors
    /// The stages of a cycle: each needs the next, and the last needs the first.
    pub fn new(needs: Vec<Vec<StageIx>>) -> Result<Graph, Vec<StageIx>> {
        let mut needed_by = vec![Vec::new(); needs.len()];
        for (stage, needed) in StageIx::enumerate(&needs) {
            for &other in needed {
                needed_by[other].push(stage);
            }
        }
        let mut unmet: Vec<usize> = needs.iter().map(Vec::len).collect();
        // Lowest index first, so independent stages keep the order of declaration.
        let mut ready: std::collections::BTreeSet<StageIx> =
            StageIx::all(needs.len()).filter(|&stage| unmet[stage] == 0).collect();
        let mut order = Vec::with_capacity(needs.len());
        while let Some(stage) = ready.pop_first() {
            order.push(stage);
            for &dependent in &needed_by[stage] {
                unmet[dependent] -= 1;
                if unmet[dependent] == 0 {
                    ready.insert(dependent);
                }
            }
        }
        if order.len() < needs.len() {
            return Err(cycle(&needs, &unmet));
        }
        Ok(Graph { needs, needed_by, order })
    }

    /// Returns the stages that write the deps of `stage`, each once, ascending.
    pub fn needs(&self, stage: StageIx) -> &[StageIx] {
        &self.needs[stage]
    }

    /// Returns the stages that read the outs of `stage`, each once, ascending.
    pub fn needed_by(&self, stage: StageIx) -> &[StageIx] {
        &self.needed_by[stage]
    }

    /// Returns all stages, each after those that it needs.
    pub fn order(&self) -> &[StageIx] {
        &self.order
    }

    /// Returns the given stages and all stages that they need.
    pub fn with_needs(&self, targets: impl IntoIterator<Item = StageIx>) -> StageSet {
        reached(&self.needs, targets)
    }

    /// Returns the given stages and all stages that need them.
    pub fn with_dependents(&self, targets: impl IntoIterator<Item = StageIx>) -> StageSet {
        reached(&self.needed_by, targets)
    }
}

fn reached(edges: &[Vec<StageIx>], from: impl IntoIterator<Item = StageIx>) -> StageSet {
    let mut reached = StageSet::none(edges.len());
    let mut open: Vec<StageIx> = from.into_iter().collect();
    while let Some(stage) = open.pop() {
        if reached.insert(stage) {
            open.extend(&edges[stage]);
        }
    }
    reached
}

/// Finds a cycle. A stage with unmet needs always needs another such stage, so following them must
/// return to an earlier one.
fn cycle(needs: &[Vec<StageIx>], unmet: &[usize]) -> Vec<StageIx> {
    let mut path: Vec<StageIx> = Vec::new();
    let mut at = StageIx::new(unmet.iter().position(|&count| count > 0).unwrap_or(0));
    loop {
        if let Some(start) = path.iter().position(|&stage| stage == at) {
            return path.split_off(start);
        }
        path.push(at);
        let Some(&next) = needs[at].iter().find(|&&need| unmet[need] > 0) else {
            panic!("BUG: a stage with unmet needs does not need another such stage");
        };
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(needs: &[&[usize]]) -> Result<Graph, Vec<StageIx>> {
        let list = |needs: &&[usize]| needs.iter().copied().map(StageIx::new).collect();
        Graph::new(needs.iter().map(list).collect())
    }

    #[test]
    fn order_keeps_declaration_order() {
        let graph = graph(&[&[2], &[], &[], &[0, 1]]).unwrap();
        assert_eq!(graph.order(), [1, 2, 0, 3].map(StageIx::new));
        assert_eq!(graph.needed_by(StageIx::new(2)), [StageIx::new(0)]);
        let set = graph.with_needs([StageIx::new(0)]);
        assert_eq!(set, StageSet::of(4, [0, 2].map(StageIx::new)));
    }

    #[test]
    fn cycle_is_reported() {
        assert_eq!(graph(&[&[], &[0, 3], &[1], &[2]]).unwrap_err(), [1, 3, 2].map(StageIx::new));
        assert_eq!(graph(&[&[0]]).unwrap_err(), [StageIx::new(0)]);
    }
}
