//! Shows a run on a terminal: a redrawn line at the bottom for each running stage, above them
//! lines that stay for finished ones. [`Row`] and [`wording`] decide what a line says, [`Screen`]
//! how it is drawn.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::event::{Event, Millis, Outcome, RunName, Subscriber};
use crate::pipeline::StageName;
use crate::terminal::row::{Row, clock};
use crate::terminal::screen::Screen;
use crate::terminal::style::{DIM, STAGE, WARNING};
use crate::terminal::text::{Pad, pad, widest};
use crate::terminal::wording::{self, styled};

const REDRAW: Duration = Duration::from_millis(100);
const WIDEST_NAME: usize = 24;
const ERASE_ATTEMPTS: u32 = 20;
const ERASE_PAUSE: Duration = Duration::from_millis(5);

/// The live display on stderr.
#[derive(Debug)]
pub struct Live {
    display: Arc<Mutex<Display>>,
    /// Dropped to stop the ticker.
    running: Option<Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

impl Live {
    /// Starts the display. `stages` are all stages of the run: they determine the width of names
    /// and the count in the last line.
    pub fn new(stages: &[StageName]) -> Live {
        Live::on(Screen::stderr(), stages)
    }

    fn on(screen: Screen, stages: &[StageName]) -> Live {
        let display = Arc::new(Mutex::new(Display::new(screen, stages)));
        let (running, stopped) = channel::<()>();
        let shared = Arc::clone(&display);
        let ticker = std::thread::Builder::new().spawn(move || {
            // The first drawing is delayed, so that nothing flashes in a run without work.
            while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
                lock(&shared).redraw();
            }
        });
        Live { display, running: Some(running), ticker: ticker.ok() }
    }

    /// Returns a function for another thread that removes everything but the lines that stay.
    ///
    /// The function gives up after a short time, because a thread that writes to a blocked terminal
    /// never releases the display.
    pub(super) fn eraser(&self) -> impl Fn() + Send + use<> {
        let display = Arc::clone(&self.display);
        move || {
            for _ in 0..ERASE_ATTEMPTS {
                match display.try_lock() {
                    Ok(mut display) => return display.wipe(),
                    Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner().wipe(),
                    Err(TryLockError::WouldBlock) => std::thread::sleep(ERASE_PAUSE),
                }
            }
        }
    }

    /// Removes everything but the lines that stay. Dropping does the same.
    pub fn close(self) {}
}

/// Locks the display. The state left behind by a panic is still good enough to show.
fn lock(display: &Mutex<Display>) -> MutexGuard<'_, Display> {
    display.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Subscriber for Live {
    fn on_event(&mut self, event: &Event) {
        lock(&self.display).on_event(event);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.running = None;
        if let Some(ticker) = self.ticker.take() {
            // A panic of the ticker has already printed its message.
            let _ = ticker.join();
        }
        lock(&self.display).wipe();
    }
}

#[derive(Debug)]
struct Display {
    screen: Screen,
    /// The lines as last drawn.
    lines: Vec<String>,
    /// Running stages in the order in which they started.
    running: Vec<Running>,
    run: Option<RunName>,
    began: Instant,
    ended: usize,
    total: usize,
    name_width: usize,
    tick: usize,
    over: bool,
}

#[derive(Debug)]
struct Running {
    stage: StageName,
    row: Row,
    began: Instant,
}

impl Display {
    fn new(screen: Screen, stages: &[StageName]) -> Display {
        let widest = widest(stages.iter().map(StageName::as_str));
        Display {
            screen,
            lines: Vec::new(),
            running: Vec::new(),
            run: None,
            began: Instant::now(),
            ended: 0,
            total: stages.len(),
            name_width: widest.min(WIDEST_NAME),
            tick: 0,
            over: false,
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { run, .. } => self.run = Some(*run),
            Event::StageStarted { stage, work, reasons, .. } => {
                let row = Row::new(stage.clone(), *work, reasons);
                self.running.push(Running { stage: stage.clone(), row, began: Instant::now() });
            }
            Event::Line { stage, text } => self.with_row(stage, |row| row.printed(text)),
            Event::Redrawn { stage, text } => self.with_row(stage, |row| row.redrawn(text)),
            Event::Progress { stage, done, total } => {
                self.with_row(stage, |row| row.progressed(*done, *total));
            }
            Event::Transferred { stage, done, total } => {
                self.with_row(stage, |row| row.transferred(*done, *total));
            }
            Event::Metric { stage, key, step, value, .. } => {
                self.with_row(stage, |row| row.reported(key, *step, *value));
            }
            Event::DepChanged { stage, changed, .. } => self.warn(Some(stage), &changed.warning()),
            Event::Warning { stage, text } => self.warn(stage.as_ref(), text),
            Event::Stopping => self.keep(&format!("{}\n", wording::STOPPING)),
            Event::StageEnded { stage, outcome, took, .. } => self.end(stage, outcome, *took),
            Event::RunEnded { .. } => self.wipe(),
            Event::Artifact { .. } | Event::FinalMetrics { .. } => {}
        }
    }

    fn with_row(&mut self, stage: &StageName, change: impl FnOnce(&mut Row)) {
        if let Some(running) = self.running.iter_mut().find(|running| running.stage == *stage) {
            change(&mut running.row);
        }
    }

    fn end(&mut self, stage: &StageName, outcome: &Outcome, took: Millis) {
        self.ended += 1;
        let at = self.running.iter().position(|running| running.stage == *stage);
        let row = at.map(|at| self.running.remove(at).row);
        // A stage that never started because the run was interrupted is not mentioned.
        let silent = matches!((outcome, &row), (Outcome::Fresh, _) | (Outcome::Interrupted, None));
        if !silent {
            self.keep(&finished_line(stage, outcome, took, row.as_ref(), self.name_width));
        }
    }

    fn warn(&mut self, stage: Option<&StageName>, text: &str) {
        let sign = styled(WARNING, "!");
        let stage = stage.map_or_else(String::new, |stage| {
            format!("{}  ", styled(STAGE, &pad(stage.as_str(), self.name_width, Pad::Right)))
        });
        self.keep(&format!("{sign} {stage}{} {text}\n", styled(WARNING, "warning:")));
    }

    /// Writes lines that stay, above the running ones.
    fn keep(&mut self, text: &str) {
        // The drawn lines are redrawn at once, without the rows of finished stages.
        if !self.lines.is_empty() {
            self.lines = self.rendered();
        }
        self.screen.draw(text, &self.lines);
    }

    fn redraw(&mut self) {
        if !self.over {
            self.tick += 1;
            self.lines = self.rendered();
            self.screen.draw("", &self.lines);
        }
    }

    fn rendered(&self) -> Vec<String> {
        let rows = self
            .running
            .iter()
            .map(|running| running.row.render(running.began.elapsed(), self.tick, self.name_width));
        rows.chain([self.sum()]).collect()
    }

    fn sum(&self) -> String {
        let what = self.run.map_or("checking".to_owned(), |run| run.to_string());
        let elapsed = clock(self.began.elapsed());
        styled(DIM, &format!("  {what}  {} of {} stages done  {elapsed}", self.ended, self.total))
    }

    fn wipe(&mut self) {
        self.over = true;
        self.lines.clear();
        self.screen.draw("", &[]);
    }
}

/// Returns the lines that stay for a finished stage: its outcome, why it ran, and the last output
/// lines of a failed one.
fn finished_line(
    stage: &StageName,
    outcome: &Outcome,
    took: Millis,
    row: Option<&Row>,
    name_width: usize,
) -> String {
    let (sign, style) = wording::sign(outcome);
    let name = styled(STAGE, &pad(stage.as_str(), name_width, Pad::Right));
    let ended = wording::ended(outcome, took);
    let ended = if outcome.failure().is_some() { styled(style, &ended) } else { ended };
    let mut text = format!("{} {name}  {ended}", styled(style, sign));
    if let (Outcome::Ran, Some(why)) = (outcome, row.and_then(Row::reasons)) {
        text.push_str(&styled(DIM, &format!("  ({why})")));
    }
    text.push('\n');
    if let (Outcome::Failed(_), Some(row)) = (outcome, row) {
        row.tail().for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ChangedDep, ChangedFile, Failure, Work};
    use crate::plan::change::Fate;
    use crate::terminal::fixtures;
    use crate::terminal::fixtures::TestTerminal;
    use anstream::ColorChoice;

    fn live(color: ColorChoice) -> (Live, TestTerminal) {
        let terminal = TestTerminal::default();
        let screen = Screen::new(Box::new(terminal.clone()), || Some((72, 24)), color);
        let stages = ["download", "spectrogram", "train", "export"].map(fixtures::stage);
        (Live::on(screen, &stages), terminal)
    }

    fn kept(events: &[Event], color: ColorChoice) -> String {
        let (mut live, terminal) = live(color);
        events.iter().for_each(|event| live.on_event(event));
        live.close();
        terminal.seen()
    }

    #[test]
    fn kept_lines_of_failing_run() {
        insta::assert_snapshot!(kept(&fixtures::failing_run(), ColorChoice::Never), @r#"
        ↺ download     restored in 12ms
        ! spectrogram  warning: one clip was skipped
        ✓ spectrogram  ran in 1m02s  (never ran)
        ✗ train        failed after 3.0s: exited with code 1
            epoch 4: loss 2.25
            epoch 5: loss 2.25
            epoch 6: loss 2.25
            epoch 7: loss 2.25
            epoch 8: loss 2.25
            epoch 9: loss 2.25
            epoch 10: loss 2.25
            epoch 11: loss 2.25
            epoch 12: loss 2.25
            error: loss is NaN
        ⊘ export       skipped: needs train
        "#);
    }

    #[test]
    fn changed_dep() {
        let path = |text: &str| crate::repo_path::RepoPath::parse(text).unwrap();
        let file = |number| ChangedFile {
            path: path(&format!("src/{number}.py")),
            fate: if number == 1 { Fate::Removed } else { Fate::Added },
        };
        let changed = |numbers: &[usize]| Event::DepChanged {
            stage: fixtures::stage("train"),
            at: 0,
            changed: ChangedDep::new(path("src"), numbers.iter().copied().map(file).collect()),
        };
        let events = [
            fixtures::started("train", Work::Run, vec![]),
            changed(&[1]),
            changed(&[2, 3]),
            changed(&[1, 2, 3, 4, 5]),
        ];
        insta::assert_snapshot!(kept(&events, ColorChoice::Never), @"
        ! train        warning: `src/1.py` in its dep `src` was removed while it runs; its result will not be recorded
        ! train        warning: `src/2.py`, `src/3.py` in its dep `src` were added while it runs; its result will not be recorded unless that is undone
        ! train        warning: `src/1.py`, `src/2.py`, `src/3.py` and 2 more files in its dep `src` changed while it runs; its result will not be recorded
        ");
    }

    #[test]
    fn text_same_without_colors() {
        let colored = kept(&fixtures::failing_run(), ColorChoice::Always);
        assert_eq!(colored, kept(&fixtures::failing_run(), ColorChoice::Never));
    }

    /// [`TestTerminal::seen`] panics on codes that are not ours.
    #[test]
    fn hostile_texts() {
        let hostile = "a\x1b]52;c;cHduZWQ=\x07\u{9b}2J\u{202e}b\r\nc";
        let failure = Failure {
            what: hostile.into(),
            causes: vec![hostile.into()],
            hint: Some(hostile.into()),
        };
        let events = [
            fixtures::started("train", Work::Run, vec![]),
            fixtures::line("train", hostile),
            Event::Warning { stage: None, text: hostile.into() },
            fixtures::ended("train", Outcome::Failed(failure), 3000),
        ];
        let seen = kept(&events, ColorChoice::Always);
        assert!(!seen.contains(['\x1b', '\u{9b}', '\u{202e}']), "{seen:?}");
        assert_eq!(seen.matches("a\\u{1b}]52;c;cHduZWQ=\\u{7}\\u{9b}2J\\u{202e}b").count(), 2);
    }

    #[test]
    fn interrupted_run() {
        let events = [
            fixtures::started("train", Work::Run, vec![]),
            Event::Stopping,
            fixtures::ended("train", Outcome::Interrupted, 3000),
            fixtures::ended("export", Outcome::Interrupted, 0),
            fixtures::line("export", "late"),
        ];
        insta::assert_snapshot!(kept(&events, ColorChoice::Never), @"
        stopping… (press Ctrl-C again to stop at once)
        ■ train        interrupted after 3.0s
        ");
    }

    #[test]
    fn eraser_leaves_kept_lines() {
        let (mut live, terminal) = live(ColorChoice::Never);
        live.on_event(&fixtures::started("train", Work::Run, vec![]));
        live.on_event(&Event::Stopping);
        lock(&live.display).redraw();
        assert!(terminal.seen().contains("stages done"));
        let erase = live.eraser();
        erase();
        assert_eq!(terminal.seen(), "stopping… (press Ctrl-C again to stop at once)\n");
    }

    #[test]
    fn running_stages_below_finished_ones() {
        let terminal = TestTerminal::default();
        let screen =
            Screen::new(Box::new(terminal.clone()), || Some((72, 24)), ColorChoice::Always);
        let mut display =
            Display::new(screen, &["download", "spectrogram", "train"].map(fixtures::stage));
        let mut seen = Vec::new();
        let mut see = |display: &mut Display, events: &[Event]| {
            events.iter().for_each(|event| display.on_event(event));
            display.tick = 9;
            display.redraw();
            seen.push(terminal.seen());
        };
        see(&mut display, &[]);
        see(&mut display, &fixtures::failing_run()[..2]);
        see(&mut display, &[fixtures::started("train", Work::Run, vec![fixtures::epochs()])]);
        see(&mut display, &[fixtures::ended("download", Outcome::Restored { from: None }, 12)]);
        see(
            &mut display,
            &[fixtures::line(
                "train",
                "a line that is much too long for the window, so that it has to be cut",
            )],
        );
        // A slow machine may be a second late.
        insta::with_settings!({ filters => vec![(r"\b\ds\b", "0s")] }, {
        insta::assert_snapshot!(seen.join("\n"), @r#"
          checking  0 of 3 stages done  0s

        ⠋ download        0s  restoring from the cache
          run-12  0 of 3 stages done  0s

        ⠋ download        0s  restoring from the cache
        ⠋ train           0s  (train.epochs 10 → 30)
          run-12  0 of 3 stages done  0s

        ↺ download     restored in 12ms
        ⠋ train           0s  (train.epochs 10 → 30)
          run-12  1 of 3 stages done  0s

        ↺ download     restored in 12ms
        ⠋ train           0s  a line that is much too long for the window, so t…
          run-12  1 of 3 stages done  0s
        "#);
        });
    }
}
