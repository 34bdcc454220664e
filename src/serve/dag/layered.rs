//! The layers of a graph, and the vertices of edges that pass layers.

use std::collections::BTreeMap;

/// Number of vertices up to which edges get one in each layer that they pass. A graph that needs
/// more is a thicket in any drawing, so its edges take the direct way.
const MOST: usize = 30_000;

/// A graph whose edges lead from one layer to the next. Vertices are the nodes, then the places
/// where edges pass a layer.
pub(super) struct Layered {
    /// The vertices of each layer from left to right.
    pub layers: Vec<Vec<usize>>,
    pub layer_of: Vec<usize>,
    /// Neighbors in the layer above.
    pub above: Vec<Vec<usize>>,
    /// Neighbors in the layer below.
    pub below: Vec<Vec<usize>>,
    /// The vertices of each edge from top to bottom; none for an edge from a node to itself.
    pub paths: Vec<Vec<usize>>,
}

impl Layered {
    pub(super) fn new(count: usize, edges: &[(usize, usize)]) -> Layered {
        let order = topological(count, edges);
        let mut position = vec![0; count];
        for (at, &node) in order.iter().enumerate() {
            position[node] = at;
        }
        let down = |&(from, to): &(usize, usize)| {
            if position[from] <= position[to] { (from, to) } else { (to, from) }
        };
        let edges: Vec<(usize, usize)> = edges.iter().map(down).collect();
        let layer_of = layers(&order, &edges);
        let passed: usize = edges.iter().map(|(from, to)| layer_of[*to] - layer_of[*from]).sum();
        let mut graph = Layered {
            layers: vec![Vec::new(); layer_of.iter().max().map_or(0, |last| last + 1)],
            layer_of,
            above: vec![Vec::new(); count],
            below: vec![Vec::new(); count],
            paths: Vec::with_capacity(edges.len()),
        };
        let mut shared = BTreeMap::new();
        for &(from, to) in &edges {
            let path = match (from == to, passed > MOST) {
                (true, _) => Vec::new(),
                (_, true) => vec![from, to],
                _ => graph.path(from, to, &mut shared),
            };
            for pair in path.windows(2) {
                graph.link(pair[0], pair[1]);
            }
            graph.paths.push(path);
        }
        graph.fill(count);
        graph
    }

    /// Returns the way of an edge, with a vertex for each layer between, which all edges from the
    /// same node share.
    fn path(
        &mut self,
        from: usize,
        to: usize,
        shared: &mut BTreeMap<(usize, usize), usize>,
    ) -> Vec<usize> {
        let mut path = vec![from];
        for layer in self.layer_of[from] + 1..self.layer_of[to] {
            let vertex = *shared.entry((from, layer)).or_insert(self.layer_of.len());
            if vertex == self.layer_of.len() {
                self.layer_of.push(layer);
                self.above.push(Vec::new());
                self.below.push(Vec::new());
            }
            path.push(vertex);
        }
        path.push(to);
        path
    }

    fn link(&mut self, upper: usize, lower: usize) {
        // Only neighbors in adjacent layers influence the order and the places.
        if self.layer_of[upper] + 1 == self.layer_of[lower] && !self.above[lower].contains(&upper) {
            self.above[lower].push(upper);
            self.below[upper].push(lower);
        }
    }

    /// Puts the vertices into their layers, in the order in which walks down from the nodes reach
    /// them: what belongs together is together from the beginning.
    fn fill(&mut self, count: usize) {
        let mut is_placed = vec![false; self.layer_of.len()];
        for first in 0..count {
            let mut open = vec![first];
            while let Some(vertex) = open.pop() {
                if !is_placed[vertex] && (vertex != first || self.above[first].is_empty()) {
                    is_placed[vertex] = true;
                    self.layers[self.layer_of[vertex]].push(vertex);
                    open.extend(self.below[vertex].iter().rev());
                }
            }
        }
    }
}

/// Returns the nodes, each after those that its edges come from, and else the first ones first.
/// In a cycle the first node comes first.
fn topological(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut unmet = vec![0_usize; count];
    let mut after = vec![Vec::new(); count];
    for &(from, to) in edges.iter().filter(|(from, to)| from != to) {
        unmet[to] += 1;
        after[from].push(to);
    }
    let mut ready: std::collections::BTreeSet<usize> =
        (0..count).filter(|&node| unmet[node] == 0).collect();
    let mut left: std::collections::BTreeSet<usize> = (0..count).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(node) = ready.pop_first().or_else(|| left.first().copied()) {
        if !left.remove(&node) {
            continue;
        }
        order.push(node);
        for &next in &after[node] {
            unmet[next] = unmet[next].saturating_sub(1);
            if unmet[next] == 0 {
                ready.insert(next);
            }
        }
    }
    order
}

/// Returns the layer of each node: one below the lowest that its edges come from, and lower where
/// that makes more edges shorter than longer.
fn layers(order: &[usize], edges: &[(usize, usize)]) -> Vec<usize> {
    let mut above = vec![Vec::new(); order.len()];
    let mut below = vec![Vec::new(); order.len()];
    for &(from, to) in edges.iter().filter(|(from, to)| from != to) {
        above[to].push(from);
        below[from].push(to);
    }
    let mut layer = vec![0; order.len()];
    for &node in order {
        layer[node] = above[node].iter().map(|&one| layer[one] + 1).max().unwrap_or(0);
    }
    for &node in order.iter().rev() {
        if let Some(next) = below[node].iter().map(|&one| layer[one]).min()
            && below[node].len() >= above[node].len()
        {
            layer[node] = next - 1;
        }
    }
    // All may have moved down.
    let first = layer.iter().min().copied().unwrap_or(0);
    layer.iter_mut().for_each(|one| *one -= first);
    layer
}
