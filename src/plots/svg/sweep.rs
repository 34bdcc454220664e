//! Runs that differ in params, such as the trials of a sweep: parallel coordinates, and a metric
//! over each of the params.

use super::axis::Axis;
use super::canvas::{Anchor, CHAR, Canvas, DIM, GRID, INK, color};
use super::legend::WIDTH;
use crate::number::Number;
use crate::pipeline::ParamValue;
use crate::report::plots::figure::Scale;
use crate::report::plots::{MetricValues, PlotsReport};
use crate::svg_text::cut;

/// Number of runs from which these figures say something.
const LEAST: usize = 3;
/// Maximum number of params that are drawn.
const MOST_PARAMS: usize = 13;
/// Ratio of the ends of positive numbers from which an axis is logarithmic.
const WIDE: f64 = 50.0;
const HEIGHT: f64 = 400.0;
/// Ends of the vertical axes.
const TOP: f64 = 76.0;
const BOTTOM: f64 = HEIGHT - 24.0;
/// Color of the lowest and of the highest value of the metric.
const RAMP: [[f64; 3]; 2] = [[158.0, 202.0, 225.0], [8.0, 48.0, 107.0]];

/// Returns titles and documents; none if too few runs differ in params, or no metric does.
pub(super) fn figures(report: &PlotsReport) -> Vec<(String, String)> {
    let Some(metric) = main_metric(&report.metrics) else { return Vec::new() };
    let differing = report.params.iter().filter(|param| param.differs).take(MOST_PARAMS);
    let params: Vec<(&str, Scaled)> =
        differing.map(|param| (param.key.as_str(), Scaled::of_params(&param.values))).collect();
    if report.runs.len() < LEAST || params.is_empty() {
        return Vec::new();
    }
    let metric = (metric.key.as_str(), Scaled::of_metric(&metric.values));
    let parallel = ("parallel coordinates".to_owned(), parallel(&params, &metric));
    let scatter =
        |param: &(&str, Scaled)| (format!("{} over {}", metric.0, param.0), over(param, &metric));
    std::iter::once(parallel).chain(params.iter().map(scatter)).collect()
}

/// Returns the first metric that differs between runs, rather one with a goal.
fn main_metric(metrics: &[MetricValues]) -> Option<&MetricValues> {
    let differs = |metric: &&MetricValues| {
        let finite = metric.values.iter().flatten().filter(|value| value.is_finite());
        let mut finite = finite.map(|value| value.to_f64());
        let first = finite.next();
        finite.any(|value| Some(value) != first)
    };
    let with_goal = metrics.iter().filter(|metric| metric.goal.is_some());
    with_goal.chain(metrics).find(differs)
}

/// Values of all runs on an axis.
struct Scaled {
    axis: Axis,
    /// The values of an axis without numbers, by their places from 0.
    names: Vec<String>,
    /// `None` for a run without the value.
    values: Vec<Option<f64>>,
}

impl Scaled {
    fn of_metric(values: &[Option<Number>]) -> Scaled {
        Scaled::numeric(values.iter().map(|value| value.map(Number::to_f64)).collect())
    }

    fn of_params(values: &[Option<ParamValue>]) -> Scaled {
        let is_number = |value: &ParamValue| value.is_number() || value.is_null();
        if values.iter().flatten().all(is_number) {
            let number = |value: &Option<ParamValue>| value.as_ref().and_then(ParamValue::as_f64);
            return Scaled::numeric(values.iter().map(number).collect());
        }
        let text = |value: &ParamValue| match value {
            ParamValue::String(text) => text.clone(),
            value => value.to_string(),
        };
        let mut names: Vec<String> = values.iter().flatten().map(text).collect();
        names.sort();
        names.dedup();
        let place = |value: &ParamValue| names.binary_search(&text(value)).ok();
        let values = values.iter().map(|value| Some(place(value.as_ref()?)? as f64)).collect();
        let ends = [-0.25, names.len() as f64 - 0.75];
        Scaled { axis: Axis::new(Scale::Linear, ends.into_iter(), 0.0), names, values }
    }

    fn numeric(values: Vec<Option<f64>>) -> Scaled {
        let values: Vec<Option<f64>> =
            values.into_iter().map(|value| value.filter(|value| value.is_finite())).collect();
        let finite = || values.iter().flatten().copied();
        let (low, high) = (finite().fold(f64::NAN, f64::min), finite().fold(f64::NAN, f64::max));
        let scale = if low > 0.0 && high / low >= WIDE { Scale::Log } else { Scale::Linear };
        Scaled { axis: Axis::new(scale, finite(), 0.05), names: Vec::new(), values }
    }

    /// Returns the places of ticks, on the axis as it lies between two coordinates.
    fn ticks(&self, axis: &Axis) -> Vec<(f64, String)> {
        match &self.names[..] {
            [] => axis.ticks(5).into_iter().map(|(at, text)| (axis.place(at), text)).collect(),
            names => {
                let names = names.iter().enumerate();
                names.map(|(at, name)| (axis.place(at as f64), cut(name, 16))).collect()
            }
        }
    }

    /// Returns the share of the way from the lowest to the highest value.
    fn share(&self, run: usize) -> Option<f64> {
        let value = self.values[run]?;
        Some(self.axis.clone().between(0.0, 1.0).place(value).clamp(0.0, 1.0))
    }
}

fn parallel(params: &[(&str, Scaled)], metric: &(&str, Scaled)) -> String {
    let mut canvas = Canvas::new("parallel coordinates");
    canvas.text([16.0, 22.0], Anchor::Start, INK, &format!("{} by params", cut(metric.0, 60)));
    let columns: Vec<&(&str, Scaled)> = params.iter().chain([metric]).collect();
    let between = (WIDTH - 2.0 * 56.0) / (columns.len() - 1) as f64;
    let at = |column: usize| 56.0 + between * column as f64;
    let axes: Vec<Axis> =
        columns.iter().map(|(_, values)| values.axis.clone().between(BOTTOM, TOP)).collect();
    // Darker lines come last.
    let mut runs: Vec<usize> = (0..metric.1.values.len()).collect();
    let share = |run: usize| metric.1.share(run).unwrap_or(-1.0);
    runs.sort_by(|a, b| share(*a).total_cmp(&share(*b)));
    for run in runs {
        let mut parts: Vec<Vec<[f64; 2]>> = vec![Vec::new()];
        for (column, (_, values)) in columns.iter().enumerate() {
            match (values.values[run], parts.last_mut()) {
                (Some(value), Some(part)) => part.push([at(column), axes[column].place(value)]),
                _ => parts.push(Vec::new()),
            }
        }
        parts.retain(|part| part.len() > 1);
        let stroke = metric.1.share(run).map_or_else(|| GRID.to_owned(), ramp);
        canvas.path(&parts, &stroke, "");
    }
    let longest = (between / CHAR - 1.0).max(7.0) as usize;
    for (column, (key, values)) in columns.iter().enumerate() {
        let x = at(column);
        canvas.line([x, TOP], [x, BOTTOM], DIM);
        // Neighbours would overlap.
        let y = if column % 2 == 0 { TOP - 14.0 } else { TOP - 30.0 };
        canvas.text([x, y], Anchor::Middle, INK, &cut(key, 2 * longest));
        for (y, text) in values.ticks(&axes[column]) {
            canvas.line([x - 3.0, y], [x, y], DIM);
            canvas.text([x - 5.0, y + 4.0], Anchor::End, DIM, &cut(&text, longest));
        }
    }
    canvas.finish(WIDTH, HEIGHT)
}

/// Returns the color of a share.
fn ramp(share: f64) -> String {
    let [low, high] = RAMP;
    let part = |at: usize| (low[at] + share * (high[at] - low[at])).round() as u8;
    format!("#{:02x}{:02x}{:02x}", part(0), part(1), part(2))
}

/// Draws the metric over a param.
fn over((param, x): &(&str, Scaled), (metric, y): &(&str, Scaled)) -> String {
    let title = format!("{} over {}", cut(metric, 40), cut(param, 40));
    let mut canvas = Canvas::new(&title);
    canvas.text([16.0, 22.0], Anchor::Start, INK, &title);
    let [top, bottom, right] = [42.0, HEIGHT - 44.0, WIDTH - 16.0];
    let vertical = y.axis.clone().between(bottom, top);
    let left = 14.0 + vertical.label_width();
    let horizontal = x.axis.clone().between(left, right);
    vertical.draw_y(&mut canvas, left, right);
    for (at, text) in x.ticks(&horizontal) {
        canvas.line([at, top], [at, bottom], GRID);
        let room = (right - left) / x.names.len().max(1) as f64;
        let fitting = cut(&text, (room / CHAR).max(3.0) as usize);
        canvas.text([at, bottom + 16.0], Anchor::Middle, DIM, &fitting);
    }
    canvas.line([left, bottom], [right, bottom], DIM);
    canvas.text([(left + right) / 2.0, bottom + 34.0], Anchor::Middle, INK, &cut(param, 80));
    for (x, y) in x.values.iter().zip(&y.values) {
        if let (Some(x), Some(y)) = (x, y) {
            canvas.dot([horizontal.place(*x), vertical.place(*y)], 3.5, color(0));
        }
    }
    canvas.finish(WIDTH, HEIGHT)
}
