//! The order of the vertices in each layer, with few crossings: sweeps by barycenter down and up,
//! each followed by exchanges of neighbors, until several in a row bring nothing.

use super::layered::Layered;

/// Most sweeps, and the number of sweeps without a gain after which to stop.
const SWEEPS: usize = 24;
const PATIENCE: usize = 4;

pub(super) fn reduce_crossings(graph: &mut Layered) {
    let mut position = vec![0; graph.layer_of.len()];
    graph.layers.iter().for_each(|layer| note(layer, &mut position));
    let mut best = (crossings(graph, &position), graph.layers.clone());
    let mut idle = 0;
    for sweep in 0..SWEEPS {
        if best.0 == 0 || idle == PATIENCE {
            break;
        }
        let count = graph.layers.len();
        for step in 0..count {
            let (at, towards) = match sweep % 2 {
                0 => (step, &graph.above),
                _ => (count - 1 - step, &graph.below),
            };
            let layer = &mut graph.layers[at];
            let mut keyed: Vec<(f64, usize)> = layer
                .iter()
                .map(|&vertex| (barycenter(vertex, &towards[vertex], &position), vertex))
                .collect();
            keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
            layer.clear();
            layer.extend(keyed.into_iter().map(|(_, vertex)| vertex));
            note(layer, &mut position);
        }
        exchange(graph, &mut position);
        let crossings = crossings(graph, &position);
        if crossings < best.0 {
            best = (crossings, graph.layers.clone());
            idle = 0;
        } else {
            idle += 1;
        }
    }
    graph.layers = best.1;
}

/// Notes the position of each vertex in its layer.
fn note(layer: &[usize], position: &mut [usize]) {
    for (at, &vertex) in layer.iter().enumerate() {
        position[vertex] = at;
    }
}

fn barycenter(vertex: usize, neighbors: &[usize], position: &[usize]) -> f64 {
    if neighbors.is_empty() {
        return position[vertex] as f64;
    }
    let sum: usize = neighbors.iter().map(|&one| position[one]).sum();
    sum as f64 / neighbors.len() as f64
}

/// Exchanges neighbors in a layer where that removes crossings.
fn exchange(graph: &mut Layered, position: &mut [usize]) {
    for layer in &mut graph.layers {
        for at in 1..layer.len() {
            let (left, right) = (layer[at - 1], layer[at]);
            let gain = |edges: &[Vec<usize>]| {
                let (as_is, exchanged) = between(&edges[left], &edges[right], position);
                as_is as isize - exchanged as isize
            };
            if gain(&graph.above) + gain(&graph.below) > 0 {
                layer.swap(at - 1, at);
                position[left] = at;
                position[right] = at - 1;
            }
        }
    }
}

/// Counts the crossings of the edges of two neighbors, as they are and if they were exchanged.
fn between(left: &[usize], right: &[usize], position: &[usize]) -> (usize, usize) {
    let places = |edges: &[usize]| {
        let mut places: Vec<usize> = edges.iter().map(|&one| position[one]).collect();
        places.sort_unstable();
        places
    };
    let (left, right) = (places(left), places(right));
    let inversions = |upper: &[usize], lower: &[usize]| -> usize {
        upper.iter().map(|place| lower.partition_point(|other| other < place)).sum()
    };
    (inversions(&left, &right), inversions(&right, &left))
}

/// Counts the crossings of all edges.
fn crossings(graph: &Layered, position: &[usize]) -> usize {
    let mut count = 0;
    for layer in &graph.layers {
        let mut ends: Vec<(usize, usize)> = layer
            .iter()
            .flat_map(|&upper| graph.below[upper].iter().map(move |&lower| (upper, lower)))
            .map(|(upper, lower)| (position[upper], position[lower]))
            .collect();
        ends.sort_unstable();
        let last = ends.iter().map(|end| end.1).max().unwrap_or(0);
        let mut passed = Counts::new(last + 1);
        for (before, (_, end)) in ends.into_iter().enumerate() {
            count += before - passed.up_to(end);
            passed.add(end);
        }
    }
    count
}

/// Counts of numbers, and sums of them from 0 on (a Fenwick tree).
struct Counts(Vec<usize>);

impl Counts {
    fn new(len: usize) -> Counts {
        Counts(vec![0; len + 1])
    }

    fn add(&mut self, number: usize) {
        let mut at = number + 1;
        while at < self.0.len() {
            self.0[at] += 1;
            at += at & at.wrapping_neg();
        }
    }

    fn up_to(&self, number: usize) -> usize {
        let (mut at, mut sum) = (number + 1, 0);
        while at > 0 {
            sum += self.0[at];
            at -= at & at.wrapping_neg();
        }
        sum
    }
}
