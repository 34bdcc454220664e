//! Who needs whom: stage B needs stage A when a dep of B is, lies in, or holds an out of A.

use crate::pipeline::StageIx;

/// The graph of a valid pipeline, without cycles.
#[derive(Debug, Default, Clone)]
pub struct Graph {
    needs: Vec<Vec<StageIx>>,
    needed_by: Vec<Vec<StageIx>>,
    order: Vec<StageIx>,
}

impl Graph {
    /// From the list, for each stage, of the stages that it needs.
    ///
    /// # Errors
    /// A cycle, as the stages on it, each needing the next and the last needing the first.
    pub fn new(needs: Vec<Vec<StageIx>>) -> Result<Graph, Vec<StageIx>> {
        let mut needed_by = vec![Vec::new(); needs.len()];
        for (stage, needed) in needs.iter().enumerate() {
            for &other in needed {
                needed_by[other].push(stage);
            }
        }
        let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
        // The lowest index first: among independent stages the order of declaration is kept.
        let mut ready: std::collections::BTreeSet<StageIx> =
            (0..needs.len()).filter(|&stage| missing[stage] == 0).collect();
        let mut order = Vec::with_capacity(needs.len());
        while let Some(stage) = ready.pop_first() {
            order.push(stage);
            for &dependent in &needed_by[stage] {
                missing[dependent] -= 1;
                if missing[dependent] == 0 {
                    ready.insert(dependent);
                }
            }
        }
        if order.len() < needs.len() {
            return Err(cycle(&needs, &missing));
        }
        Ok(Graph { needs, needed_by, order })
    }

    /// The stages whose outs this one reads, each once, ascending.
    pub fn needs(&self, stage: StageIx) -> &[StageIx] {
        &self.needs[stage]
    }

    /// The stages that read outs of this one, each once, ascending.
    pub fn needed_by(&self, stage: StageIx) -> &[StageIx] {
        &self.needed_by[stage]
    }

    /// All stages, each after those that it needs.
    pub fn order(&self) -> &[StageIx] {
        &self.order
    }

    /// The given stages and all that they need, as a membership list.
    pub fn with_needs(&self, targets: impl IntoIterator<Item = StageIx>) -> Vec<bool> {
        reached(&self.needs, targets)
    }

    /// The given stages and all that need them, as a membership list.
    pub fn with_dependents(&self, targets: impl IntoIterator<Item = StageIx>) -> Vec<bool> {
        reached(&self.needed_by, targets)
    }
}

fn reached(edges: &[Vec<StageIx>], from: impl IntoIterator<Item = StageIx>) -> Vec<bool> {
    let mut reached = vec![false; edges.len()];
    let mut open: Vec<StageIx> = from.into_iter().collect();
    while let Some(stage) = open.pop() {
        if !std::mem::replace(&mut reached[stage], true) {
            open.extend(&edges[stage]);
        }
    }
    reached
}

/// A stage that still misses something always needs another such stage; following them must come round.
fn cycle(needs: &[Vec<StageIx>], missing: &[usize]) -> Vec<StageIx> {
    let mut path: Vec<StageIx> = Vec::new();
    let mut at = missing.iter().position(|&count| count > 0).unwrap_or(0);
    loop {
        if let Some(start) = path.iter().position(|&stage| stage == at) {
            return path.split_off(start);
        }
        path.push(at);
        let Some(&next) = needs[at].iter().find(|&&need| missing[need] > 0) else {
            panic!("BUG: a stage waits for none that waits");
        };
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_keeps_declaration_among_the_independent() {
        let graph = Graph::new(vec![vec![2], vec![], vec![], vec![0, 1]]).unwrap();
        assert_eq!(graph.order(), [1, 2, 0, 3]);
        assert_eq!(graph.needed_by(2), [0]);
        assert_eq!(graph.with_needs([0]), [true, false, true, false]);
    }

    #[test]
    fn a_cycle_is_named() {
        assert_eq!(Graph::new(vec![vec![], vec![0, 3], vec![1], vec![2]]).unwrap_err(), [1, 3, 2]);
        assert_eq!(Graph::new(vec![vec![0]]).unwrap_err(), [0]);
    }
}
