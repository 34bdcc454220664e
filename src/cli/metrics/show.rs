//! `repro metrics show`: the final metrics of a run, and a line for each series.

use std::path::Path;

use clap::Args;

use crate::cli::common::store;
use crate::error::{Result, exit};
use crate::number::Number;
use crate::pipeline::{Goal, Goals};
use crate::report::metrics::MetricsReport;
use crate::report::streamed::write_json;
use crate::terminal::number::numbers;
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
        let report =
            MetricsReport::read(&store, store.resolve(&self.run, || goals.clone())?, goals)?;
        match (self.json, report.is_empty()) {
            (true, _) => stdout::stream(|out| write_json(&report, &report.failure, out))?,
            (false, false) => stdout::write(&show(&report)?)?,
            (false, true) => terminal::note(&format!("{} has no metrics", report.run)),
        }
        Ok(exit::OK)
    }
}

fn show(report: &MetricsReport<'_>) -> Result<String> {
    let mut finals = Table::new([
        (report.run.to_string(), Align::Left),
        ("value".into(), Align::Decimal),
        ("goal".into(), Align::Left),
    ]);
    let values: Vec<Number> = report.metrics.iter().map(|metric| metric.value).collect();
    for (metric, value) in report.metrics.iter().zip(numbers(&values)) {
        let goal = match metric.goal {
            Some(Goal::Max) => "max",
            Some(Goal::Min) => "min",
            None => "",
        };
        finals.row([metric.key.as_str().into(), value.into(), Cell::styled(goal, style::DIM)]);
    }
    let right = ["first", "last", "best"].map(|name| (name, Align::Decimal));
    let mut table = Table::new(
        [("series", Align::Left), ("steps", Align::Right)]
            .into_iter()
            .chain(right)
            .chain([("", Align::Left), ("", Align::Left)]),
    );
    for series in &report.series {
        let samples = report.samples(series, PLACES)?;
        let (Some(first), last) = (samples.first(), series.of.last) else { continue };
        let steps = if first.step == last.step {
            first.step.to_string()
        } else {
            format!("{}–{}", first.step, last.step)
        };
        let best = series.best();
        let at = best.map_or_else(String::new, |best| format!("at {}", best.step));
        let values = [Some(first.value), Some(last.value), best.map(|best| best.value)];
        let values: Vec<Number> = values.into_iter().flatten().collect();
        let mut texts = numbers(&values).into_iter();
        let mut text = || texts.next().unwrap_or_default();
        let (key, first, last, best) = (series.key.as_str(), text(), text(), text());
        let line = sparkline(samples.iter().map(|point| point.value.to_f64()));
        table.row([key, &steps, &first, &last, &best, &at, &line].map(Cell::from));
    }
    let parts =
        [finals, table].into_iter().filter(|table| !table.is_empty()).map(|table| table.plain(""));
    Ok(parts.collect::<Vec<_>>().join("\n"))
}

/// Width of a sparkline.
const PLACES: usize = 24;

/// Draws bars scaled from the minimum to the maximum. `×` stands for NaN and infinities.
fn sparkline(values: impl Iterator<Item = f64> + Clone) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if values.clone().count() < 2 {
        return String::new();
    }
    let finite = values.clone().filter(|value| value.is_finite());
    let low = finite.clone().fold(f64::INFINITY, f64::min);
    let high = finite.fold(f64::NEG_INFINITY, f64::max);
    let bar = |value: f64| {
        let height =
            if high > low { (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) } else { 0.0 };
        if value.is_finite() { BARS[((height * 7.0).round() as usize).min(7)] } else { '×' }
    };
    values.map(bar).collect()
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
        let report = MetricsReport::read(&store, RunName(2), &goals()).unwrap();
        insta::assert_snapshot!(plain(&show(&report).unwrap()), @"
        run-2                 value  goal
        evaluate.accuracy    0.625   max
        train.grad         NaN
        train.loss           0.4123  min
        train.steps         30
        train.top          inf

        series      steps  first  last  best
        train.loss    1–3    2.3   0.5   0.4  at 3  █×▁▁
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
            assert_eq!(sparkline(values.iter().copied()), line, "{values:?}");
        }
    }
}
