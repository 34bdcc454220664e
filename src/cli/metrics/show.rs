//! `repro metrics show`: the final metrics of a run, and a line for each series.

use std::path::Path;

use clap::Args;

use crate::cli::common::store;
use crate::error::{Result, exit};
use crate::pipeline::{Goal, Goals};
use crate::report;
use crate::report::metrics::{MetricSeries, MetricsReport};
use crate::terminal::number::number;
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::{self, stdout, style};

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Run to show: `run-12`, `12` or `last`
    #[arg(default_value = "last")]
    run: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ShowArgs {
    pub(super) fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        let store = store(root)?;
        let run = store.run(store.resolve(&self.run)?)?;
        let report = MetricsReport::new(&run, &store.series(run.name)?, goals);
        match (self.json, report.is_empty()) {
            (true, _) => stdout::write(&report::json(&report))?,
            (false, false) => stdout::write(&show(&report))?,
            (false, true) => terminal::note(&format!("{} has no metrics", run.name)),
        }
        Ok(exit::OK)
    }
}

fn show(report: &MetricsReport) -> String {
    let mut finals = Table::new([
        (report.run.to_string(), Align::Left),
        ("value".into(), Align::Decimal),
        ("goal".into(), Align::Left),
    ]);
    for metric in &report.metrics {
        let goal = match metric.goal {
            Some(Goal::Max) => "max",
            Some(Goal::Min) => "min",
            None => "",
        };
        let key = metric.key.as_str().into();
        finals.row([key, number(metric.value.0).into(), Cell::styled(goal, style::DIM)]);
    }
    let right = ["first", "last", "best"].map(|name| (name, Align::Decimal));
    let mut table = Table::new(
        [("series", Align::Left), ("steps", Align::Right)]
            .into_iter()
            .chain(right)
            .chain([("", Align::Left), ("", Align::Left)]),
    );
    for series in &report.series {
        let values: Vec<f64> = series.points.iter().map(|point| point.value.0).collect();
        let (Some(first), Some(last)) = (series.points.first(), series.points.last()) else {
            continue;
        };
        let best = best_point(series);
        let at = best.map_or_else(String::new, |(step, _)| format!("at {step}"));
        let best = best.map_or_else(String::new, |(_, value)| number(value));
        let steps = if first.step == last.step {
            first.step.to_string()
        } else {
            format!("{}–{}", first.step, last.step)
        };
        table.row([
            series.key.as_str().into(),
            steps.into(),
            number(first.value.0).into(),
            number(last.value.0).into(),
            best.into(),
            at.into(),
            sparkline(&values).into(),
        ]);
    }
    let parts =
        [finals, table].into_iter().filter(|table| !table.is_empty()).map(|table| table.plain(""));
    parts.collect::<Vec<_>>().join("\n")
}

/// Returns the step and value of the first best point; `None` without a goal or numbers.
fn best_point(series: &MetricSeries) -> Option<(u64, f64)> {
    let goal = series.goal?;
    let points = series.points.iter().map(|point| (point.step, point.value.0));
    let better = |a: f64, b: f64| if goal == Goal::Max { a > b } else { a < b };
    points
        .filter(|(_, value)| !value.is_nan())
        .reduce(|best, point| if better(point.1, best.1) { point } else { best })
}

/// Draws a series as bars scaled from its minimum to its maximum, in at most 24 places. `×` stands
/// for NaN and infinities.
fn sparkline(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const PLACES: usize = 24;
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if values.len() < 2 {
        return String::new();
    }
    let places = values.len().min(PLACES);
    let bar = |place: usize| {
        // The first and the last value are always shown.
        let value = values[place * (values.len() - 1) / (places - 1)];
        let height =
            if high > low { (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) } else { 0.0 };
        if value.is_finite() { BARS[((height * 7.0).round() as usize).min(7)] } else { '×' }
    };
    (0..places).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::metrics::tests::{goals, plain};
    use crate::event::RunName;
    use crate::runs::Store;
    use crate::runs::tests::finished;

    #[test]
    fn metrics_and_series() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let (run, series) = (store.run(RunName(2)).unwrap(), store.series(RunName(2)).unwrap());
        insta::assert_snapshot!(plain(&show(&MetricsReport::new(&run, &series, &goals()))), @"
        run-2                 value  goal
        evaluate.accuracy    0.625   max
        train.grad         NaN
        train.loss           0.4123  min
        train.steps         30
        train.top          inf

        series      steps  first  last  best
        train.loss    1–3    2.3   0.5   0.5  at 3  █×▁
        ");
    }

    #[test]
    fn sparklines() {
        let cases: [(&[f64], &str); 6] = [
            (&[], ""),
            (&[1.0], ""),
            (&[0.0, 1.0], "▁█"),
            (&[3.0, 2.0, f64::NAN, 1.0], "█▅×▁"),
            (&[2.0, 2.0, 2.0], "▁▁▁"),
            (&[f64::MIN, 0.0, f64::MAX, f64::INFINITY], "▁▅█×"),
        ];
        for (values, line) in cases {
            assert_eq!(sparkline(values), line, "{values:?}");
        }
        let long: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(sparkline(&long), "▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▆▆▆▆▇▇▇██");
    }
}
