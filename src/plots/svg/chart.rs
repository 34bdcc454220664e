//! Curves and points.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, DIM, INK, color, dashes};
use super::legend::{WIDTH, draw_legend, label};
use crate::report::plots::figure::{Chart, Line, Mark, Scale};
use crate::svg_text::cut;

const HEIGHT: f64 = 400.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 44.0;

/// Returns the chart as a document.
pub(super) fn draw(chart: &Chart, runs: &[String]) -> String {
    let mut canvas = Canvas::new(&chart.title);
    canvas.text([16.0, 22.0], Anchor::Start, INK, &cut(&chart.title, 90));
    let labels: Vec<String> =
        chart.lines.iter().map(|line| label(&line.runs, line.name.as_deref(), runs)).collect();
    let top = draw_legend(&mut canvas, &labels) + 12.0;
    let [right, height] = [WIDTH - RIGHT, HEIGHT + top - 34.0];
    let bottom = height - BOTTOM;
    let values = |pick: fn(&Line) -> &Vec<crate::number::Number>| {
        chart.lines.iter().flat_map(move |line| pick(line).iter().map(|value| value.to_f64()))
    };
    let y = Axis::new(chart.scale, values(|line| &line.y), 0.05).between(bottom, top);
    let left = 14.0 + y.label_width();
    let x = Axis::new(Scale::Linear, values(|line| &line.x), 0.0).between(left, right);
    y.draw_y(&mut canvas, left, right);
    x.draw_x(&mut canvas, top, bottom, &cut(&chart.x, 80));
    for (at, line) in chart.lines.iter().enumerate() {
        draw_line(&mut canvas, chart.mark, line, at, (&x, &y), bottom);
    }
    let thinned = chart.lines.iter().find(|line| line.total > line.x.len() as u64);
    if let Some(line) = thinned {
        let note = format!("{} of {} points", line.x.len(), line.total);
        canvas.text([right, height - 10.0], Anchor::End, DIM, &note);
    }
    canvas.finish(WIDTH, height)
}

fn draw_line(
    canvas: &mut Canvas,
    mark: Mark,
    line: &Line,
    at: usize,
    (x, y): (&Axis, &Axis),
    bottom: f64,
) {
    // Parts between values that are not finite.
    let mut parts: Vec<Vec<[f64; 2]>> = vec![Vec::new()];
    for (step, value) in line.x.iter().zip(&line.y) {
        let (step, value) = (x.place(step.to_f64()), value.to_f64());
        if value.is_finite() {
            parts.last_mut().unwrap_or(&mut Vec::new()).push([step, y.place(value)]);
            continue;
        }
        parts.push(Vec::new());
        let (low, high) = (bottom - 9.0, bottom - 3.0);
        canvas.path(
            &[
                vec![[step - 3.0, low], [step + 3.0, high]],
                vec![[step + 3.0, low], [step - 3.0, high]],
            ],
            color(at),
            "",
        );
    }
    parts.retain(|part| !part.is_empty());
    let (dots, lines): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| mark == Mark::Point || part.len() == 1);
    for point in dots.into_iter().flatten() {
        canvas.dot(point, 2.5, color(at));
    }
    if !lines.is_empty() {
        canvas.path(&lines, color(at), dashes(at));
    }
}
