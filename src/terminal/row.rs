//! The line of a running stage: elapsed time, progress, metrics, and the last line of output.
//! Pure; the screen cuts the line to its width.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{Millis, Work};
use crate::number::Number;
use crate::pipeline::StageName;
use crate::plan::Change;
use crate::terminal::number::number;
use crate::terminal::style::{DIM, LIVELY, STAGE};
use crate::terminal::text::{Pad, pad, truncate};
use crate::terminal::wording::{self, styled};

/// Number of output lines shown for a failed stage.
const TAIL: usize = 10;
/// Number of series kept for display; others are recorded only. A stage may report thousands.
const KEPT_METRICS: usize = 32;
const SHOWN_METRICS: usize = 2;
const BAR: usize = 12;
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

#[derive(Debug)]
pub(super) struct Row {
    name: StageName,
    work: Work,
    reasons: Option<String>,
    /// A bar with its numbers.
    progress: Option<String>,
    /// The newest point of each series, in the order in which the series started.
    metrics: Vec<Point>,
    tail: VecDeque<String>,
    /// The text of a line that is being redrawn.
    redrawn: Option<String>,
}

#[derive(Debug)]
struct Point {
    key: String,
    step: u64,
    value: Number,
}

impl Row {
    pub(super) fn new(name: StageName, work: Work, reasons: &[Change]) -> Row {
        let tail = VecDeque::with_capacity(TAIL);
        Row {
            name,
            work,
            reasons: wording::reasons(reasons),
            progress: None,
            metrics: Vec::new(),
            tail,
            redrawn: None,
        }
    }

    pub(super) fn reasons(&self) -> Option<&str> {
        self.reasons.as_deref()
    }

    /// Returns the last lines of output, oldest first, without blank ones.
    pub(super) fn tail(&self) -> impl Iterator<Item = &str> {
        self.tail.iter().map(String::as_str)
    }

    pub(super) fn redrawn(&mut self, line: &str) {
        self.redrawn = Some(wording::visible(line)).filter(|line| !line.is_empty());
    }

    pub(super) fn printed(&mut self, line: &str) {
        self.redrawn = None;
        let line = wording::visible(line);
        if line.is_empty() {
            return;
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    pub(super) fn progressed(&mut self, done: u64, total: u64) {
        let done = done.min(total);
        self.progress = (total > 0).then(|| format!("{} {done}/{total}", bar(done, total)));
    }

    pub(super) fn transferred(&mut self, done: u64, total: Option<u64>) {
        let amount = wording::transferred(done, total);
        self.progress = Some(match total.filter(|total| *total > 0) {
            Some(total) => format!("{} {amount}", bar(done.min(total), total)),
            None => amount,
        });
    }

    pub(super) fn reported(&mut self, key: &str, step: u64, value: Number) {
        if let Some(point) = self.metrics.iter_mut().find(|point| point.key == key) {
            (point.step, point.value) = (step, value);
        } else if self.metrics.len() < KEPT_METRICS {
            self.metrics.push(Point { key: key.to_owned(), step, value });
        }
    }

    /// Returns the line, `tick` redraws after the start; names take `name_width` columns.
    pub(super) fn render(&self, elapsed: Duration, tick: usize, name_width: usize) -> String {
        let mut parts = vec![
            styled(LIVELY, SPINNER[tick % SPINNER.len()]),
            styled(STAGE, &pad(&truncate(self.name.as_str(), name_width), name_width, Pad::Right)),
            pad(&clock(elapsed), 6, Pad::Left),
        ];
        parts.extend(self.progress.iter().map(|progress| format!(" {progress}")));
        parts.extend(self.shown_metrics().map(|metrics| format!(" {metrics}")));
        let quiet = match self.work {
            Work::Restore => Some("restoring from the cache".to_owned()),
            // Until the stage prints something, the line shows why it runs.
            Work::Run => self
                .redrawn
                .as_ref()
                .or(self.tail.back())
                .cloned()
                .or(self.reasons().map(|why| format!("({why})"))),
        };
        parts.extend(quiet.map(|text| format!(" {}", styled(DIM, text.trim_start()))));
        parts.join(" ")
    }

    /// Formats the metrics to show. Series named `val_…` come first: validation metrics say most
    /// about a training.
    fn shown_metrics(&self) -> Option<String> {
        let (held_out, others): (Vec<_>, Vec<_>) =
            self.metrics.iter().partition(|point| point.key.starts_with("val_"));
        let shown: Vec<&Point> = held_out.into_iter().chain(others).take(SHOWN_METRICS).collect();
        let last = shown.last()?;
        let texts = shown.iter().enumerate().map(|(at, point)| {
            let value = format!("{} {}", point.key, number(point.value));
            // A step shared with the next point is shown once.
            let same = at + 1 < shown.len() && point.step == last.step;
            if same { value } else { format!("{value} @{}", point.step) }
        });
        Some(texts.collect::<Vec<_>>().join("  "))
    }
}

/// Formats an elapsed time in whole seconds.
pub(super) fn clock(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        _ => Millis::from(elapsed).to_string(),
    }
}

fn bar(done: u64, total: u64) -> String {
    let filled =
        usize::try_from(u128::from(done) * BAR as u128 / u128::from(total.max(1))).unwrap_or(BAR);
    format!(
        "{}{}",
        styled(LIVELY, &"━".repeat(filled)),
        styled(DIM, &"─".repeat(BAR - filled.min(BAR)))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::fixtures;

    fn shown(row: &Row, seconds: u64) -> String {
        crate::escape::without_styles(&row.render(Duration::from_secs(seconds), 0, 8))
    }

    #[test]
    fn row_of_running_stage() {
        let mut row = Row::new(fixtures::stage("train"), Work::Run, &[fixtures::epochs()]);
        let mut lines = vec![shown(&row, 0)];
        row.printed("   \u{1b}[32mCompiling\u{1b}[0m model v1\n");
        row.printed("");
        lines.push(shown(&row, 59));
        row.progressed(3, 10);
        lines.push(shown(&row, 62));
        for (key, value) in [("train_loss", 1.25), ("val_loss", 1.5), ("val_f1", 0.55)] {
            row.reported(key, 3, value.into());
        }
        lines.push(shown(&row, 3700));
        row.reported("val_f1", 4, 0.6.into());
        row.progressed(11, 10);
        lines.push(shown(&row, 3700));
        row.progressed(1, 0);
        lines.push(shown(&row, 3700));
        lines.push(shown(&Row::new(fixtures::stage("download"), Work::Restore, &[]), 2));
        insta::assert_snapshot!(lines.join("\n"), @r#"
        ⠋ train        0s  (train.epochs 10 → 30)
        ⠋ train       59s  Compiling model v1
        ⠋ train     1m02s  ━━━───────── 3/10  Compiling model v1
        ⠋ train     1h01m  ━━━───────── 3/10  val_loss 1.5  val_f1 0.55 @3  Compiling model v1
        ⠋ train     1h01m  ━━━━━━━━━━━━ 10/10  val_loss 1.5 @3  val_f1 0.6 @4  Compiling model v1
        ⠋ train     1h01m  val_loss 1.5 @3  val_f1 0.6 @4  Compiling model v1
        ⠋ download     2s  restoring from the cache
        "#);
    }

    #[test]
    fn tail_is_bounded() {
        let mut row = Row::new(fixtures::stage("s"), Work::Run, &[]);
        (0..25).for_each(|at| row.printed(&format!("line {at}")));
        assert_eq!(
            row.tail().collect::<Vec<_>>(),
            (15..25).map(|at| format!("line {at}")).collect::<Vec<_>>()
        );
        (0..1000).for_each(|at| row.reported(&format!("key {at}"), 1, 0.0.into()));
        assert_eq!(row.metrics.len(), KEPT_METRICS);
    }
}
