//! `repro metrics show`: the numbers of a run, the last ones and each series in a line.

use std::path::Path;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::runs::{json_number, print, print_json, remark, store};
use crate::error::{Result, exit};
use crate::pipeline::{Goal, Goals};
use crate::runs::compare::metric_key;
use crate::runs::{Run, Series};
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Table, number};

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// run-12, 12 or last
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
        let series = store.series(run.name)?;
        match (self.json, run.metrics.is_empty() && series.is_empty()) {
            (true, _) => print_json(&show_json(&run, &series)),
            (false, false) => print(&show(&run, &series, goals)),
            (false, true) => {
                remark(&format!("{} has no metrics", run.name));
                Ok(exit::OK)
            }
        }
    }
}

fn show(run: &Run, series: &[Series], goals: &Goals) -> String {
    let mut finals = Table::new([
        (run.name.to_string(), Align::Left),
        ("value".into(), Align::Decimal),
        ("goal".into(), Align::Left),
    ]);
    for (key, value) in &run.metrics {
        let key = metric_key(key);
        let goal = match goals.of(&key) {
            Some(Goal::Max) => "max",
            Some(Goal::Min) => "min",
            None => "",
        };
        finals.row([key.into(), number(*value).into(), Cell::styled(goal, style::DIM)]);
    }
    let right = ["first", "last", "best"].map(|name| (name, Align::Decimal));
    let mut table = Table::new(
        [("series", Align::Left), ("steps", Align::Right)]
            .into_iter()
            .chain(right)
            .chain([("", Align::Left), ("", Align::Left)]),
    );
    for series in series {
        let key = format!("{}.{}", series.stage, series.key);
        let values: Vec<f64> = series.points.iter().map(|point| point.1).collect();
        let (Some(first), Some(last)) = (series.points.first(), series.points.last()) else {
            continue;
        };
        let best = best_point(series, goals.of(&key));
        let at = best.map_or_else(String::new, |(step, _)| format!("at {step}"));
        let best = best.map_or_else(String::new, |(_, value)| number(value));
        let steps = if first.0 == last.0 {
            first.0.to_string()
        } else {
            format!("{}–{}", first.0, last.0)
        };
        table.row([
            key.into(),
            steps.into(),
            number(first.1).into(),
            number(last.1).into(),
            best.into(),
            at.into(),
            sparkline(&values).into(),
        ]);
    }
    let parts =
        [finals, table].into_iter().filter(|table| !table.is_empty()).map(|table| table.plain(""));
    parts.collect::<Vec<_>>().join("\n")
}

/// The step and value of the first best point.
fn best_point(series: &Series, goal: Option<Goal>) -> Option<(u64, f64)> {
    let goal = goal?;
    let numbers = series.points.iter().filter(|point| !point.1.is_nan());
    let better = |a: f64, b: f64| if goal == Goal::Max { a > b } else { a < b };
    numbers
        .map(|point| (point.0, point.1))
        .reduce(|best, point| if better(point.1, best.1) { point } else { best })
}

/// A series as a line of bars from its least to its greatest value, in at most 24 places; `×` for what is no number.
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
        // The first and the last value always show.
        let value = values[place * (values.len() - 1) / (places - 1)];
        let height =
            if high > low { (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) } else { 0.0 };
        if value.is_finite() { BARS[((height * 7.0).round() as usize).min(7)] } else { '×' }
    };
    (0..places).map(bar).collect()
}

fn show_json(run: &Run, series: &[Series]) -> Value {
    let metrics: Map<String, Value> =
        run.metrics.iter().map(|(key, value)| (metric_key(key), json_number(*value))).collect();
    let points = |series: &Series| -> Value {
        let point = |(step, value, at): &(u64, f64, i64)| json!({ "step": step, "value": json_number(*value), "at": at });
        series.points.iter().map(point).collect()
    };
    let series: Map<String, Value> = series
        .iter()
        .map(|series| (format!("{}.{}", series.stage, series.key), points(series)))
        .collect();
    json!({ "run": run.name, "metrics": metrics, "series": series })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::metrics::tests::{goals, plain};
    use crate::event::RunName;
    use crate::runs::Store;
    use crate::runs::tests::finished;

    #[test]
    fn the_numbers_and_series_of_a_run() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let series = store.series(RunName(2)).unwrap();
        insta::assert_snapshot!(plain(&show(&store.run(RunName(2)).unwrap(), &series, &goals())), @"
        run-2                 value  goal
        evaluate.accuracy    0.625   max
        train.grad         NaN
        train.loss           0.4123  min
        train.steps         30
        train.top          inf

        series      steps  first  last  best
        train.loss    1–3    2.3   0.5   0.5  at 3  █×▁
        ");
        insta::assert_snapshot!(show_json(&store.run(RunName(2)).unwrap(), &series).to_string(), @r#"{"metrics":{"evaluate.accuracy":0.625,"train.grad":"NaN","train.loss":0.412345,"train.steps":30.0,"train.top":"Infinity"},"run":"run-2","series":{"train.loss":[{"at":1778335701000,"step":1,"value":2.3},{"at":1778335701000,"step":2,"value":"NaN"},{"at":1778335701000,"step":3,"value":0.5}]}}"#);
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
