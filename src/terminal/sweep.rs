//! Shows a sweep: a line that stays for each trial that has ended, and on a terminal a redrawn line
//! for each that is running.

use std::io::IsTerminal as _;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::event::{
    Event, Failure, Millis, RunName, SweepEvent, SweepSubscriber, TrialEnd, TrialName,
};
use crate::number::Number;
use crate::plural::count;
use crate::terminal::json::JsonLines;
use crate::terminal::number::number;
use crate::terminal::row::clock;
use crate::terminal::screen::Screen;
use crate::terminal::style::{DIM, ERROR, GOOD, LIVELY, STAGE, Style, WARNING};
use crate::terminal::text::{Pad, pad};
use crate::terminal::wording::{STOPPING, styled, transferred};
use crate::terminal::{Format, error_text};

const REDRAW: Duration = Duration::from_millis(100);
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const ERASE_ATTEMPTS: u32 = 20;
const ERASE_PAUSE: Duration = Duration::from_millis(5);

/// The display of a sweep.
#[derive(Debug)]
pub enum SweepReporter {
    Lines(Lines),
    Json(Json),
}

impl SweepReporter {
    pub fn choose(format: Format) -> SweepReporter {
        if format == Format::Json {
            return SweepReporter::Json(Json(JsonLines::new(std::io::stdout())));
        }
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let live = format == Format::Text && std::io::stderr().is_terminal() && !dumb;
        SweepReporter::Lines(Lines::new(live.then(Screen::stderr)))
    }

    pub fn subscriber(&mut self) -> &mut dyn SweepSubscriber {
        match self {
            SweepReporter::Lines(lines) => lines,
            SweepReporter::Json(json) => json,
        }
    }

    /// Returns a function for another thread that removes the live display.
    pub fn eraser(&self) -> Box<dyn Fn() + Send> {
        match self {
            SweepReporter::Lines(lines) => {
                let display = Arc::clone(&lines.display);
                Box::new(move || {
                    for _ in 0..ERASE_ATTEMPTS {
                        match display.try_lock() {
                            Ok(mut display) => return display.wipe(),
                            Err(_) => std::thread::sleep(ERASE_PAUSE),
                        }
                    }
                })
            }
            SweepReporter::Json(_) => Box::new(|| ()),
        }
    }

    /// Removes the live display from the terminal.
    pub fn close(self) {}
}

/// JSON lines on stdout.
#[derive(Debug)]
pub struct Json(JsonLines<std::io::Stdout>);

impl SweepSubscriber for Json {
    fn on_event(&mut self, event: &SweepEvent) {
        match event {
            // The stream has whole lines only.
            SweepEvent::OfTrial { of, .. } if matches!(**of, Event::Redrawn { .. }) => {}
            _ => self.0.write(event),
        }
    }
}

/// Lines for people.
#[derive(Debug)]
pub struct Lines {
    display: Arc<Mutex<Display>>,
    /// Dropped to stop the ticker.
    running: Option<Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

impl Lines {
    fn new(screen: Option<Screen>) -> Lines {
        let is_live = screen.is_some();
        let display = Arc::new(Mutex::new(Display::new(screen)));
        let (running, stopped) = channel::<()>();
        let shared = Arc::clone(&display);
        let tick = move || {
            while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
                lock(&shared).redraw();
            }
        };
        let ticker = is_live.then(|| std::thread::Builder::new().spawn(tick).ok()).flatten();
        Lines { display, running: Some(running), ticker }
    }
}

impl SweepSubscriber for Lines {
    fn on_event(&mut self, event: &SweepEvent) {
        lock(&self.display).on_event(event);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.running = None;
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
        lock(&self.display).wipe();
    }
}

/// Locks the display. The state left behind by a panic is still good enough to show.
fn lock(display: &Mutex<Display>) -> MutexGuard<'_, Display> {
    display.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Display {
    /// `None` for plain lines.
    screen: Option<Screen>,
    lines: Vec<String>,
    running: Vec<Running>,
    run: Option<RunName>,
    metric: Option<String>,
    began: Instant,
    ended: usize,
    total: Option<usize>,
    tick: usize,
}

#[derive(Debug)]
struct Running {
    name: TrialName,
    params: String,
    began: Instant,
    /// The present stage, and its last report.
    now: String,
}

impl Display {
    fn new(screen: Option<Screen>) -> Display {
        Display {
            screen,
            lines: Vec::new(),
            running: Vec::new(),
            run: None,
            metric: None,
            began: Instant::now(),
            ended: 0,
            total: None,
            tick: 0,
        }
    }

    fn on_event(&mut self, event: &SweepEvent) {
        match event {
            SweepEvent::SweepStarted { run, trials, finished, metric, .. } => {
                (self.run, self.total, self.ended) = (Some(*run), *trials, *finished);
                self.metric.clone_from(metric);
                let all = trials.map_or(String::new(), |all| format!(" {}", count(all, "trial")));
                let before = match finished {
                    0 => String::new(),
                    _ => format!(", {finished} of them finished before"),
                };
                self.keep(&format!("{run}: sweep of{all}{before}\n"));
            }
            SweepEvent::TrialStarted { trial, params, .. } => {
                let params = params.join(" ");
                if self.screen.is_none() {
                    self.keep(&format!("{trial}: started  {params}\n"));
                }
                let (name, began) = (*trial, Instant::now());
                self.running.push(Running { name, params, began, now: String::new() });
            }
            SweepEvent::OfTrial { trial, of } => self.of_trial(*trial, of),
            SweepEvent::TrialEnded { trial, run, took, end, .. } => {
                let at = self.running.iter().position(|running| running.name == *trial);
                let params = at.map(|at| self.running.remove(at).params).unwrap_or_default();
                self.ended += usize::from(trial.repeat.is_none_or(|repeat| repeat == 1));
                self.end(*trial, *run, *took, end, &params);
            }
            SweepEvent::Warning { text } => {
                self.keep(&format!("{} {text}\n", styled(WARNING, "warning:")));
            }
            SweepEvent::Stopping => self.keep(&format!("{STOPPING}\n")),
            SweepEvent::SweepEnded { stopped, .. } => {
                if let Some(why) = stopped {
                    self.keep(&format!("the sweep stopped: {why}\n"));
                }
                self.wipe();
            }
        }
    }

    fn of_trial(&mut self, name: TrialName, event: &Event) {
        let warning = match event {
            Event::Warning { stage: Some(stage), text } => Some(format!("{stage}: {text}")),
            Event::Warning { stage: None, text } => Some(text.clone()),
            Event::DepChanged { stage, changed, .. } => {
                Some(format!("{stage}: {}", changed.warning()))
            }
            _ => None,
        };
        if let Some(text) = warning {
            self.keep(&format!("{name}: {} {text}\n", styled(WARNING, "warning:")));
        }
        let running = self.running.iter_mut().find(|running| running.name == name);
        let Some(running) = running else { return };
        match event {
            Event::StageStarted { stage, .. } => running.now = stage.to_string(),
            Event::Metric { stage, key, step, value, .. } => {
                running.now = format!("{stage}  {key} {} @{step}", number(*value));
            }
            Event::Progress { stage, done, total } => {
                running.now = format!("{stage}  {done}/{total}");
            }
            Event::Transferred { stage, done, total } => {
                running.now = format!("{stage}  {}", transferred(*done, *total));
            }
            _ => {}
        }
    }

    fn end(
        &mut self,
        name: TrialName,
        run: Option<RunName>,
        took: Millis,
        end: &TrialEnd,
        params: &str,
    ) {
        let run = run.map_or(String::new(), |run| format!(" ({run})"));
        let metric = self.metric.as_deref().unwrap_or_default();
        let (sign, style, text) = match end {
            TrialEnd::Ok { value: None } => ("✓", GOOD, format!("done in {took}{run}")),
            TrialEnd::Ok { value: Some(value) } => {
                let value = number(Number::from(*value));
                ("✓", GOOD, format!("{metric} {value} in {took}{run}"))
            }
            TrialEnd::Halved { value, after } => {
                let value = value.map(|value| number(Number::from(value)));
                let at = [Some("at"), self.metric.as_deref(), value.as_deref()];
                let at: Vec<&str> = at.into_iter().flatten().collect();
                let at = value.as_ref().map_or(String::new(), |_| format!("{} ", at.join(" ")));
                let text = format!("stopped {at}after {after} values, others are better");
                ("■", LIVELY, format!("{text}{run}"))
            }
            TrialEnd::Failed { .. } => ("✗", ERROR, format!("failed after {took}{run}")),
            TrialEnd::Interrupted => ("■", WARNING, format!("interrupted after {took}{run}")),
        };
        self.keep(&self.ended_line(name, (sign, style), &text, params));
        if let TrialEnd::Failed { stage, failure } = end {
            let text = failure_text(name, stage.as_deref(), failure);
            self.keep(&text);
        }
    }

    fn ended_line(
        &self,
        name: TrialName,
        (sign, style): (&str, Style),
        text: &str,
        params: &str,
    ) -> String {
        match &self.screen {
            None => format!("{name}: {text}\n"),
            Some(_) => {
                let sign = styled(style, sign);
                let name = styled(STAGE, &pad(&name.to_string(), 9, Pad::Right));
                format!("{sign} {name} {text}  {}\n", styled(DIM, params))
            }
        }
    }

    /// Writes lines that stay, above the running ones.
    fn keep(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines = self.rendered();
        }
        match &mut self.screen {
            Some(screen) => screen.draw(text, &self.lines),
            None => super::eprint(text),
        }
    }

    fn redraw(&mut self) {
        self.tick += 1;
        self.lines = self.rendered();
        if let Some(screen) = &mut self.screen {
            screen.draw("", &self.lines);
        }
    }

    fn rendered(&self) -> Vec<String> {
        let Some(run) = self.run else { return Vec::new() };
        let row = |running: &Running| {
            let spinner = styled(LIVELY, SPINNER[self.tick % SPINNER.len()]);
            let name = styled(STAGE, &pad(&running.name.to_string(), 9, Pad::Right));
            let elapsed = pad(&clock(running.began.elapsed()), 6, Pad::Left);
            let params = styled(DIM, &running.params);
            format!("{spinner} {name} {elapsed}  {}  {params}", running.now)
        };
        let total = self.total.map_or(String::new(), |total| format!(" of {total}"));
        let elapsed = clock(self.began.elapsed());
        let sum = format!("  {run}  {}{total} trials done  {elapsed}", self.ended);
        self.running.iter().map(row).chain([styled(DIM, &sum)]).collect()
    }

    fn wipe(&mut self) {
        self.run = None;
        self.lines.clear();
        if let Some(screen) = &mut self.screen {
            screen.draw("", &[]);
        }
    }
}

/// Returns the failure of a trial in full.
fn failure_text(name: TrialName, stage: Option<&str>, failure: &Failure) -> String {
    let what = match stage {
        Some(stage) => format!("{name}: stage `{stage}` failed: {}", failure.what),
        None => format!("{name}: {}", failure.what),
    };
    error_text(&what, &failure.causes, failure.hint.as_deref())
}
