//! The horizontal places of the vertices, with their order given.
//!
//! Each layer in turn gets the places that are nearest, by least squares, to the mean places of
//! its neighbors, with the least distances kept. That is an isotonic regression, which pooling
//! adjacent violators solves exactly in linear time. Edges that pass layers weigh more, so they
//! are straight.

use super::Size;
use super::layered::Layered;

/// Least space between two boxes, and between an edge and what is beside it.
const BETWEEN_BOXES: f64 = 26.0;
const BESIDE_EDGE: f64 = 12.0;
const ROUNDS: usize = 20;

/// Returns the center of each vertex.
pub(super) fn centers(graph: &Layered, sizes: &[Size]) -> Vec<f64> {
    let mut centers = vec![0.0; graph.layer_of.len()];
    let offsets: Vec<Vec<f64>> = graph.layers.iter().map(|layer| offsets(layer, sizes)).collect();
    for (layer, offsets) in graph.layers.iter().zip(&offsets) {
        let middle = offsets.last().map_or(0.0, |last| last / 2.0);
        for (&vertex, offset) in layer.iter().zip(offsets) {
            centers[vertex] = offset - middle;
        }
    }
    let count = graph.layers.len();
    let mut settle = |at: usize, sides: &[&[Vec<usize>]]| {
        settle(&graph.layers[at], &offsets[at], sides, sizes.len(), &mut centers);
    };
    for round in 0..ROUNDS {
        let above: [&[Vec<usize>]; 1] = [&graph.above];
        let below: [&[Vec<usize>]; 1] = [&graph.below];
        let both: [&[Vec<usize>]; 2] = [&graph.above, &graph.below];
        let is_late = round * 2 >= ROUNDS;
        (0..count).for_each(|at| settle(at, if is_late { &both } else { &above }));
        (0..count).rev().for_each(|at| settle(at, if is_late { &both } else { &below }));
    }
    centers
}

/// Returns the least distance of each vertex from the first of its layer.
fn offsets(layer: &[usize], sizes: &[Size]) -> Vec<f64> {
    let width = |vertex: usize| sizes.get(vertex).map(|size| size.width);
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(layer.len());
    for (at, &vertex) in layer.iter().enumerate() {
        if at > 0 {
            let (before, own) = (width(layer[at - 1]), width(vertex));
            let space = if before.is_some() && own.is_some() { BETWEEN_BOXES } else { BESIDE_EDGE };
            offset += before.unwrap_or(0.0) / 2.0 + space + own.unwrap_or(0.0) / 2.0;
        }
        offsets.push(offset);
    }
    offsets
}

/// Moves the vertices of a layer as near to the mean places of their neighbors as possible.
fn settle(
    layer: &[usize],
    offsets: &[f64],
    sides: &[&[Vec<usize>]],
    nodes: usize,
    centers: &mut [f64],
) {
    let mut pools: Vec<Pool> = Vec::with_capacity(layer.len());
    for (&vertex, offset) in layer.iter().zip(offsets) {
        // A vertex without neighbors stays, and gives way to all others.
        let (mut sum, mut weight) = (centers[vertex] * 0.01, 0.01);
        for &other in sides.iter().flat_map(|side| &side[vertex]) {
            let pull = match (vertex >= nodes, other >= nodes) {
                (true, true) => 24.0,
                (false, false) => 1.0,
                _ => 2.0,
            };
            sum += pull * centers[other];
            weight += pull;
        }
        let mut pool = Pool { sum: sum - offset * weight, weight, count: 1 };
        while let Some(before) = pools.pop_if(|before| before.mean() > pool.mean()) {
            pool.sum += before.sum;
            pool.weight += before.weight;
            pool.count += before.count;
        }
        pools.push(pool);
    }
    let places = pools.iter().flat_map(|pool| std::iter::repeat_n(pool.mean(), pool.count));
    for ((&vertex, offset), place) in layer.iter().zip(offsets).zip(places) {
        centers[vertex] = place + offset;
    }
}

/// Adjacent vertices that are as close to each other as they may be.
struct Pool {
    /// Sum of the wished places of the first, by weight.
    sum: f64,
    weight: f64,
    count: usize,
}

impl Pool {
    fn mean(&self) -> f64 {
        self.sum / self.weight
    }
}
