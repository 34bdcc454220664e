//! Shows a run as plain lines without control codes, for logs and pipes.

use std::collections::BTreeMap;
use std::io::Write;

use crate::escape::on_one_line;
use crate::event::{Event, Outcome, Subscriber, Work};
use crate::pipeline::StageName;
use crate::terminal::wording::{self, transferred};

/// The plain display: `train: …` comes from the engine, `train | …` from the stage's process.
///
/// Metrics of running stages are not written: a stage can print them, and the run store keeps every
/// point.
#[derive(Debug)]
pub struct Plain<W = std::io::Stderr> {
    out: W,
    progress: BTreeMap<StageName, Progress>,
}

/// Reported progress of a stage. The log gets a line per tenth.
#[derive(Debug, Default)]
struct Progress {
    total: u64,
    tenth: u128,
}

impl Plain {
    pub fn stderr() -> Plain {
        Plain::new(std::io::stderr())
    }
}

impl<W: Write> Plain<W> {
    pub fn new(out: W) -> Plain<W> {
        Plain { out, progress: BTreeMap::new() }
    }

    /// Writes a line. Errors are ignored: there is no other place to report them.
    fn line(&mut self, line: &str) {
        let _ = self.out.write_all(format!("{}\n", on_one_line(line)).as_bytes());
    }

    fn progress(
        &mut self,
        stage: &StageName,
        done: u64,
        total: u64,
        shown: impl Fn(u64) -> String,
    ) {
        let done = done.min(total);
        let share = |parts: u128| (u128::from(done) * parts).checked_div(u128::from(total));
        let (Some(tenth), Some(percent)) = (share(10), share(100)) else { return };
        let progress = self.progress.entry(stage.clone()).or_default();
        // Reports of several threads may arrive out of order, so a falling count is not a sign of
        // another phase.
        if progress.total != total || done == 0 {
            *progress = Progress { total, tenth: 0 };
        }
        if tenth > progress.tenth {
            progress.tenth = tenth;
            self.line(&format!("{stage}: {} ({percent} %)", shown(done)));
        }
    }
}

impl<W: Write> Subscriber for Plain<W> {
    fn on_event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { run, .. } => self.line(&format!("{run}: started")),
            Event::StageStarted { stage, work: Work::Run, reasons, .. } => {
                let why =
                    wording::reasons(reasons).map(|why| format!(" ({why})")).unwrap_or_default();
                self.line(&format!("{stage}: started{why}"));
            }
            Event::Line { stage, text } => {
                self.line(&format!("{stage} | {}", wording::visible(text)));
            }
            Event::Progress { stage, done, total } => {
                self.progress(stage, *done, *total, |done| format!("{done}/{total}"));
            }
            Event::Transferred { stage, done, total: Some(total) } => {
                self.progress(stage, *done, *total, |done| transferred(done, Some(*total)));
            }
            Event::DepChanged { stage, changed, .. } => {
                self.line(&format!("{stage}: warning: {}", changed.warning()));
            }
            Event::Warning { stage: Some(stage), text } => {
                self.line(&format!("{stage}: warning: {text}"));
            }
            Event::Warning { stage: None, text } => self.line(&format!("warning: {text}")),
            Event::Stopping => self.line(wording::STOPPING),
            Event::StageEnded { outcome: Outcome::Fresh, .. } => {}
            Event::StageEnded { stage, outcome, took, .. } => {
                self.progress.remove(stage);
                self.line(&format!("{stage}: {}", wording::ended(outcome, *took)));
            }
            Event::StageStarted { work: Work::Restore, .. }
            | Event::Redrawn { .. }
            | Event::Transferred { total: None, .. }
            | Event::Metric { .. }
            | Event::Artifact { .. }
            | Event::FinalMetrics { .. }
            | Event::RunEnded { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::fixtures;

    #[test]
    fn log_of_failing_run() {
        let mut bytes = Vec::new();
        let mut plain = Plain::new(&mut bytes);
        fixtures::failing_run().iter().for_each(|event| plain.on_event(event));
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap(), @r#"
        run-12: started
        download: restored in 12ms
        spectrogram: started (never ran)
        spectrogram |    Compiling features v0.1.0
        spectrogram: 5/50 (10 %)
        spectrogram: 10/50 (20 %)
        spectrogram: 15/50 (30 %)
        spectrogram: 20/50 (40 %)
        spectrogram: 25/50 (50 %)
        spectrogram: 30/50 (60 %)
        spectrogram: 35/50 (70 %)
        spectrogram: 40/50 (80 %)
        spectrogram: 45/50 (90 %)
        spectrogram: 50/50 (100 %)
        spectrogram: warning: one clip was skipped
        spectrogram: ran in 1m02s
        train: started (train.epochs 10 → 30, and 1 more)
        train |  30 %
        train | epoch 1: loss 2.25
        train | epoch 2: loss 2.25
        train | epoch 3: loss 2.25
        train | epoch 4: loss 2.25
        train | epoch 5: loss 2.25
        train | epoch 6: loss 2.25
        train | epoch 7: loss 2.25
        train | epoch 8: loss 2.25
        train | epoch 9: loss 2.25
        train | epoch 10: loss 2.25
        train | epoch 11: loss 2.25
        train | epoch 12: loss 2.25
        train | error: loss is NaN
        train: failed after 3.0s: exited with code 1
        export: skipped: needs train
        "#);
    }

    #[test]
    fn progress_line_per_tenth() {
        let stage = StageName::parse("s").unwrap();
        let mut bytes = Vec::new();
        let mut plain = Plain::new(&mut bytes);
        let other = [(600, 1000), (3, 0), (5, 9), (4, 9), (5, 9), (u64::MAX, u64::MAX), (7, 2)];
        let counts = (0..=1000).map(|done| (done, 1000)).chain(other);
        for (done, total) in counts {
            plain.on_event(&Event::Progress { stage: stage.clone(), done, total });
        }
        let text = String::from_utf8(bytes).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 13, "{text}");
        assert_eq!(lines[0], "s: 100/1000 (10 %)");
        assert_eq!(lines[10], "s: 5/9 (55 %)");
        assert_eq!(lines[12], "s: 2/2 (100 %)");
    }
}
