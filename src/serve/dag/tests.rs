//! Properties of drawings.

use proptest::prelude::*;

use super::*;

/// Returns sizes, and edges that lead from earlier boxes to later ones.
fn graphs() -> impl Strategy<Value = (Vec<Size>, Vec<(usize, usize)>)> {
    (1..40_usize).prop_flat_map(|count| {
        let size = (40.0..260.0, 20.0..80.0).prop_map(|(width, height)| Size { width, height });
        let edge = (0..count, 0..count).prop_map(|(one, other)| (one.min(other), one.max(other)));
        (prop::collection::vec(size, count), prop::collection::vec(edge, 0..2 * count))
    })
}

/// Returns points on the way of an edge, close to each other.
fn along(route: &Route) -> Vec<Point> {
    let mut points = Vec::new();
    for pair in route.windows(2) {
        for step in 0..=20 {
            let t = f64::from(step) / 20.0;
            let s = 1.0 - t;
            let middle = f64::midpoint(pair[0].y, pair[1].y);
            let cubic = |a: f64, b: f64, c: f64, d: f64| {
                s * s * s * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t * t * t * d
            };
            points.push(Point {
                x: cubic(pair[0].x, pair[0].x, pair[1].x, pair[1].x),
                y: cubic(pair[0].y, middle, middle, pair[1].y),
            });
        }
    }
    points
}

fn overlap(one: &Frame, other: &Frame) -> bool {
    one.left < other.left + other.size.width
        && other.left < one.left + one.size.width
        && one.top < other.top + other.size.height
        && other.top < one.top + one.size.height
}

fn is_inside(frame: &Frame, at: Point) -> bool {
    let slack = 0.01;
    at.x > frame.left + slack
        && at.x < frame.left + frame.size.width - slack
        && at.y > frame.top + slack
        && at.y < frame.top + frame.size.height - slack
}

proptest! {
    #[test]
    fn boxes_keep_apart((sizes, edges) in graphs()) {
        let drawing = draw(&sizes, &edges);
        for (at, frame) in drawing.frames.iter().enumerate() {
            prop_assert_eq!(frame.size, sizes[at]);
            prop_assert!(frame.left >= -0.01 && frame.top >= -0.01);
            prop_assert!(frame.left + frame.size.width <= drawing.size.width + 0.01);
            prop_assert!(frame.top + frame.size.height <= drawing.size.height + 0.01);
            for other in &drawing.frames[..at] {
                prop_assert!(!overlap(frame, other), "{frame:?} {other:?}");
            }
        }
    }

    #[test]
    fn edges_lead_down((sizes, edges) in graphs()) {
        let drawing = draw(&sizes, &edges);
        prop_assert_eq!(drawing.routes.len(), edges.len());
        for ((from, to), route) in edges.iter().zip(&drawing.routes) {
            if from == to {
                prop_assert!(route.is_empty());
                continue;
            }
            let (from, to) = (drawing.frames[*from], drawing.frames[*to]);
            let start = Point {
                x: from.left + from.size.width / 2.0,
                y: from.top + from.size.height,
            };
            let end = Point { x: to.left + to.size.width / 2.0, y: to.top };
            let near = |one: Point, other: Point| {
                (one.x - other.x).abs() < 0.01 && (one.y - other.y).abs() < 0.01
            };
            prop_assert!(near(route[0], start) && near(route[route.len() - 1], end));
            for pair in route.windows(2) {
                prop_assert!(pair[0].y < pair[1].y, "{route:?}");
            }
        }
    }

    #[test]
    fn edges_pass_beside_boxes((sizes, edges) in graphs()) {
        let drawing = draw(&sizes, &edges);
        for route in &drawing.routes {
            for at in along(route) {
                let hit = drawing.frames.iter().find(|frame| is_inside(frame, at));
                prop_assert!(hit.is_none(), "{at:?} {hit:?}");
            }
        }
    }

    #[test]
    fn equal_graphs_equal_drawings((sizes, edges) in graphs()) {
        prop_assert_eq!(draw(&sizes, &edges), draw(&sizes, &edges));
    }
}

const BOX: Size = Size { width: 100.0, height: 40.0 };

#[test]
fn diamond() {
    let drawing = draw(&[BOX; 4], &[(0, 1), (0, 2), (1, 3), (2, 3)]);
    let tops: Vec<f64> = drawing.frames.iter().map(|frame| frame.top).collect();
    assert!(tops[0] < tops[1] && tops[1] == tops[2] && tops[2] < tops[3]);
    let center = |at: usize| drawing.frames[at].left + 50.0;
    assert!((center(0) - center(3)).abs() < 1.0, "{:?}", drawing.frames);
    assert!((f64::midpoint(center(1), center(2)) - center(0)).abs() < 1.0);
}

#[test]
fn input_beside_its_reader() {
    // 0 → 1 → 2 → 3, and 4 → 3: the input 4 is right above its only reader.
    let drawing = draw(&[BOX; 5], &[(0, 1), (1, 2), (2, 3), (4, 3)]);
    assert_eq!(drawing.frames[4].top, drawing.frames[2].top);
}

#[test]
fn cycles_are_drawn() {
    let drawing = draw(&[BOX; 3], &[(0, 1), (1, 2), (2, 0), (1, 1)]);
    assert!(drawing.frames[0].top < drawing.frames[1].top);
    let back = &drawing.routes[2];
    assert!(back[0].y > back[back.len() - 1].y);
    assert!(drawing.routes[3].is_empty());
}

#[test]
fn deep_and_dense_graphs() {
    let chain: Vec<(usize, usize)> = (1..20_000).map(|node| (node - 1, node)).collect();
    assert_eq!(draw(&[BOX; 20_000], &chain).routes.len(), chain.len());
    let dense: Vec<(usize, usize)> =
        (0..400).flat_map(|from| (from + 1..400).map(move |to| (from, to))).collect();
    assert_eq!(draw(&[BOX; 400], &dense).routes.len(), dense.len());
    assert_eq!(draw(&[], &[]).frames.len(), 0);
}
