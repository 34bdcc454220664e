//! Draws a directed acyclic graph in layers: each box below those that its edges come from. Pure,
//! and unaware of what the boxes stand for.
//!
//! # Mechanism
//!
//! [`layered`] puts each node into a layer and gives an edge a vertex in every layer that it
//! passes. [`order`] sorts the vertices of each layer so that few edges cross. [`place`] finds
//! their horizontal places. The parts of a graph that are not connected are drawn one by one and
//! packed into rows.
//!
//! # Invariants
//!
//! - Boxes do not overlap, and an edge passes through no box.
//! - An edge leaves its box at the bottom, enters the other at the top, and never goes upwards.
//! - The edges that leave one box share their way for as long as they have one.
//! - Equal graphs get equal drawings. Nothing recurses, so no graph is too deep.

mod layered;
mod order;
mod place;
pub(super) mod svg;
#[cfg(test)]
mod tests;

use layered::Layered;

/// Vertical space between two layers, without room for the edges.
const GAP: f64 = 34.0;
/// Space around a part of the graph that is not connected to the others.
const MARGIN: f64 = 28.0;
/// Least width at which a row of unconnected parts ends.
const ROW: f64 = 1100.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Size {
    pub width: f64,
    pub height: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub x: f64,
    pub y: f64,
}

/// A placed box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    pub left: f64,
    pub top: f64,
    pub size: Size,
}

/// The way of an edge. Between two points it is straight if one is below the other, and else a
/// curve that is vertical at both.
pub(super) type Route = Vec<Point>;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawing {
    pub size: Size,
    /// In the order of the given sizes.
    pub frames: Vec<Frame>,
    /// In the order of the given edges; empty for an edge from a box to itself.
    pub routes: Vec<Route>,
}

/// Draws boxes of the given sizes, with edges from one box to another.
///
/// If edges form a cycle, some of them are drawn from their end to their start.
pub(super) fn draw(sizes: &[Size], edges: &[(usize, usize)]) -> Drawing {
    let parts = parts(sizes.len(), edges);
    let mut drawing = Drawing {
        size: Size { width: 0.0, height: 0.0 },
        frames: vec![
            Frame { left: 0.0, top: 0.0, size: Size { width: 0.0, height: 0.0 } };
            sizes.len()
        ],
        routes: vec![Route::new(); edges.len()],
    };
    let drawn: Vec<(Part, Drawing)> = parts
        .into_iter()
        .map(|part| {
            let drawing = part.draw(sizes, edges);
            (part, drawing)
        })
        .collect();
    let widest = drawn.iter().map(|(_, one)| one.size.width).fold(ROW, f64::max);
    let (mut left, mut top, mut height) = (0.0, 0.0, 0.0_f64);
    for (part, one) in drawn {
        if left > 0.0 && left + one.size.width > widest {
            (left, top, height) = (0.0, top + height + MARGIN, 0.0);
        }
        for (&node, frame) in part.nodes.iter().zip(one.frames) {
            drawing.frames[node] = Frame { left: frame.left + left, top: frame.top + top, ..frame };
        }
        for (&edge, route) in part.edges.iter().zip(one.routes) {
            let moved = route.into_iter().map(|at| Point { x: at.x + left, y: at.y + top });
            drawing.routes[edge] = moved.collect();
        }
        height = height.max(one.size.height);
        drawing.size.width = drawing.size.width.max(left + one.size.width);
        drawing.size.height = drawing.size.height.max(top + one.size.height);
        left += one.size.width + MARGIN;
    }
    drawing
}

/// A connected part of a graph.
struct Part {
    nodes: Vec<usize>,
    /// Positions among all edges.
    edges: Vec<usize>,
}

/// Returns the connected parts: the largest first, equal ones in the order of their first nodes.
fn parts(count: usize, edges: &[(usize, usize)]) -> Vec<Part> {
    let mut next_to = vec![Vec::new(); count];
    for &(from, to) in edges {
        next_to[from].push(to);
        next_to[to].push(from);
    }
    let mut part_of = vec![usize::MAX; count];
    let mut parts: Vec<Part> = Vec::new();
    for first in 0..count {
        if part_of[first] != usize::MAX {
            continue;
        }
        let mut open = vec![first];
        part_of[first] = parts.len();
        while let Some(node) = open.pop() {
            for &other in &next_to[node] {
                if part_of[other] == usize::MAX {
                    part_of[other] = parts.len();
                    open.push(other);
                }
            }
        }
        parts.push(Part { nodes: Vec::new(), edges: Vec::new() });
    }
    for (node, &part) in part_of.iter().enumerate() {
        parts[part].nodes.push(node);
    }
    for (edge, &(from, _)) in edges.iter().enumerate() {
        parts[part_of[from]].edges.push(edge);
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.nodes.len()));
    parts
}

impl Part {
    fn draw(&self, sizes: &[Size], edges: &[(usize, usize)]) -> Drawing {
        let own = |node: usize| self.nodes.binary_search(&node).unwrap_or_default();
        let edges: Vec<(usize, usize)> =
            self.edges.iter().map(|&edge| (own(edges[edge].0), own(edges[edge].1))).collect();
        let sizes: Vec<Size> = self.nodes.iter().map(|&node| sizes[node]).collect();
        let mut graph = Layered::new(sizes.len(), &edges);
        order::reduce_crossings(&mut graph);
        let centers = place::centers(&graph, &sizes);
        assemble(&graph, &sizes, &edges, &centers)
    }
}

/// Returns the drawing of a graph whose vertices have their horizontal places.
fn assemble(graph: &Layered, sizes: &[Size], edges: &[(usize, usize)], centers: &[f64]) -> Drawing {
    let half = |vertex: usize| sizes.get(vertex).map_or(0.0, |size| size.width / 2.0);
    let all = || 0..centers.len();
    let left = all().map(|one| centers[one] - half(one)).fold(f64::INFINITY, f64::min);
    let right = all().map(|one| centers[one] + half(one)).fold(0.0, f64::max);
    let bands = bands(graph, sizes);
    let frames = sizes.iter().enumerate().map(|(node, &size)| {
        let (top, bottom) = bands[graph.layer_of[node]];
        let top = top + (bottom - top - size.height) / 2.0;
        Frame { left: centers[node] - left - half(node), top, size }
    });
    let frames: Vec<Frame> = frames.collect();
    let route = |path: &[usize]| -> Route {
        let mut route = Route::new();
        for (at, &vertex) in path.iter().enumerate() {
            let x = centers[vertex] - left;
            let (top, bottom) = bands[graph.layer_of[vertex]];
            let frame = frames.get(vertex);
            let inner = frame.map_or((top, bottom), |one| (one.top, one.top + one.size.height));
            // From the box to the edge of its layer, where no other box is.
            let (enter, leave) = ([top, inner.0], [inner.1, bottom]);
            let ys: &[f64] = match (at == 0, at + 1 == path.len()) {
                (true, _) => &leave,
                (_, true) => &enter,
                _ => &[top, bottom],
            };
            route.extend(ys.iter().map(|&y| Point { x, y }));
        }
        route.dedup_by(|one, other| (one.x - other.x).hypot(one.y - other.y) < 0.01);
        route
    };
    let routes = graph.paths.iter().zip(edges).map(|(path, (from, _))| {
        let mut route = route(path);
        if path.first().is_some_and(|first| first != from) {
            route.reverse();
        }
        route
    });
    Drawing {
        size: Size { width: right - left, height: bands.last().map_or(0.0, |band| band.1) },
        routes: routes.collect(),
        frames,
    }
}

/// Returns the top and the bottom of each layer. Where many edges pass there is more space.
fn bands(graph: &Layered, sizes: &[Size]) -> Vec<(f64, f64)> {
    let mut bands = Vec::with_capacity(graph.layers.len());
    let mut top = 0.0;
    for layer in &graph.layers {
        let heights = layer.iter().filter_map(|&vertex| sizes.get(vertex));
        let height = heights.map(|size| size.height).fold(0.0, f64::max);
        bands.push((top, top + height));
        let edges: usize = layer.iter().map(|&vertex| graph.below[vertex].len()).sum();
        top += height + GAP + (edges as f64 * 1.2).min(50.0);
    }
    bands
}
