//! The loop of a sweep: one thread that chooses trials, starts a thread for each, and collects what
//! became of them.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::Scope;
use std::time::Instant;

use super::Options;
use super::chooser::Chooser;
use super::news::{Ended, News};
use super::objective::Objective;
use super::options::OnFailure;
use super::results::{Repeat, value_of};
use super::setup::Setup;
use super::stoppers::Stoppers;
use super::trial::{self, Context, Job};
use crate::clock::now_millis;
use crate::engine::run::{Stopper, TrialOf, prepare};
use crate::error::{Error, Result};
use crate::event::{
    Event, Failure, Millis, RunName, RunStatus, SweepEvent, SweepSubscriber, TrialEnd, TrialName,
};
use crate::filter::MetricName;
use crate::runs::sweeps::{REPEAT, SweepRecord, TRIAL};
use crate::sweep::{self, Fate, Halving};

/// Reason of a sweep that ended by `--max-time`.
const OUT_OF_TIME: &str = "the time is over";

/// The reason that no further trial starts.
#[derive(Debug)]
pub(super) enum Halt {
    Rule(String),
    FailedTrial,
    Signal,
    Fatal(Error),
}

/// The state of a sweep, which one thread owns.
pub(super) struct Driver<'d> {
    pub setup: &'d Setup,
    pub options: &'d Options<'d>,
    pub record: &'d SweepRecord,
    pub chooser: Chooser<'d>,
    pub stoppers: &'d Stoppers,
    pub subscriber: &'d mut dyn SweepSubscriber,
    pub running: BTreeMap<TrialName, Running>,
    pub halving: Halving,
    pub until: Option<Instant>,
    pub halt: Option<Halt>,
    /// Scores in the order in which the trials ended.
    pub scores: Vec<f64>,
}

/// A trial that is running.
pub(super) struct Running {
    at: usize,
    repeat: usize,
    stopper: Stopper,
    began: Instant,
    run: Option<RunName>,
    /// Number of values and the last value of each series.
    series: BTreeMap<MetricName, (usize, f64)>,
    /// Number of values that it had reported when it was stopped for being worse.
    halved: Option<usize>,
}

impl Driver<'_> {
    /// Starts trials and waits for them until there are no more.
    pub(super) fn run<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        context: &'scope Context<'scope>,
        sender: &Sender<News>,
        inbox: &Receiver<News>,
    ) {
        self.judge();
        loop {
            while !self.is_halted() && self.running.len() < self.options.jobs.max(1) {
                match self.chooser.next() {
                    Ok(Some((at, repeat))) => self.start(scope, context, sender, at, repeat),
                    Ok(None) => break,
                    Err(error) => self.stop_all(Halt::Fatal(error)),
                }
            }
            if self.running.is_empty() {
                return;
            }
            if let Some(news) = self.wait(inbox) {
                self.handle(news);
            }
        }
    }

    /// Reports whether no further trial may start.
    fn is_halted(&mut self) -> bool {
        if self.halt.is_none() && self.until.is_some_and(|until| Instant::now() >= until) {
            self.halt = Some(Halt::Rule(OUT_OF_TIME.to_owned()));
        }
        self.halt.is_some()
    }

    /// Waits for news; `None` when the time of the sweep is over.
    fn wait(&mut self, inbox: &Receiver<News>) -> Option<News> {
        let Some(until) = self.until.filter(|_| self.halt.is_none()) else {
            return inbox.recv().ok();
        };
        match inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(news) => Some(news),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                self.halt = Some(Halt::Rule(OUT_OF_TIME.to_owned()));
                None
            }
        }
    }

    fn start<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        context: &'scope Context<'scope>,
        sender: &Sender<News>,
        at: usize,
        repeat: usize,
    ) {
        let trial = &mut self.chooser.trials[at];
        let name = trial.name(repeat);
        let mut overrides = trial.overrides.clone();
        overrides.extend(self.setup.seeds[repeat].clone());
        let mut tags = BTreeMap::from([(TRIAL.to_owned(), trial.number.to_string())]);
        if let Some(repeat) = name.repeat {
            tags.insert(REPEAT.to_owned(), repeat.to_string());
        }
        trial.repeats[repeat] = Repeat::Running;
        let params = overrides.iter().map(crate::pipeline::Override::typed).collect();
        self.subscriber.on_event(&SweepEvent::TrialStarted {
            trial: name,
            at: now_millis(),
            params,
        });
        let (prepared, stopper) = prepare();
        self.stoppers.add(stopper.clone());
        let of = TrialOf { parent: self.record.uid, tags };
        let job = Job { name, overrides, of, prepared };
        let news = sender.clone();
        let run = move || {
            let ended = trial::run_caught(context, job, &news);
            // The driver outlives every trial.
            let _ = news.send(News::Ended(name, ended));
        };
        let spawned = std::thread::Builder::new().spawn_scoped(scope, run);
        if let Err(err) = spawned {
            let _ = sender.send(News::Ended(name, Err(Error::thread(&err))));
        }
        self.running.insert(
            name,
            Running {
                at,
                repeat,
                stopper,
                began: Instant::now(),
                run: None,
                series: BTreeMap::new(),
                halved: None,
            },
        );
    }

    fn handle(&mut self, news: News) {
        match news {
            News::Event(name, event) => {
                self.note(name, &event);
                self.subscriber.on_event(&SweepEvent::OfTrial { trial: name, of: event });
            }
            News::Warning(text) => self.subscriber.on_event(&SweepEvent::Warning { text }),
            News::Signal => {
                self.subscriber.on_event(&SweepEvent::Stopping);
                self.stop_all(Halt::Signal);
            }
            News::Ended(name, ended) => self.end(name, ended),
        }
    }

    fn stop_all(&mut self, halt: Halt) {
        self.halt = Some(halt);
        for running in self.running.values() {
            running.stopper.stop();
        }
    }

    /// Notes the run and the series of a trial, and ends it if it is in the worse half.
    fn note(&mut self, name: TrialName, event: &Event) {
        let Some(running) = self.running.get_mut(&name) else { return };
        match event {
            Event::RunStarted { run, .. } => running.run = Some(*run),
            Event::Metric { stage, key, value, .. } => {
                let name = MetricName { stage: stage.to_string(), key: key.clone() };
                let (count, last) = running.series.entry(name.clone()).or_insert((0, 0.0));
                *count += 1;
                *last = value.to_f64();
                let (count, last) = (*count, *last);
                let Some(objective) = &self.setup.halving else { return };
                if running.halved.is_none() && name.is_called(&objective.metric) {
                    let score = sweep::score(objective.goal, last);
                    if self.halving.report(count, score) == Fate::Stop {
                        running.halved = Some(count);
                        running.stopper.stop();
                    }
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, name: TrialName, ended: Result<Ended>) {
        let Some(running) = self.running.remove(&name) else { return };
        let took: Millis = running.began.elapsed().into();
        let (run, end) = match ended {
            Ok(ended) => (ended.run, self.end_of(&running, ended)),
            Err(error) => {
                (running.run, TrialEnd::Failed { stage: None, failure: trial::failure(error) })
            }
        };
        if let (TrialEnd::Halved { after, .. }, Some(run)) = (&end, run)
            && let Err(error) = self.record.mark_halved(run, *after)
        {
            self.subscriber.on_event(&SweepEvent::Warning { text: error.to_string() });
        }
        let failed = matches!(end, TrialEnd::Failed { .. });
        self.subscriber.on_event(&SweepEvent::TrialEnded {
            trial: name,
            at: now_millis(),
            run,
            took,
            end: end.clone(),
        });
        let trial = &mut self.chooser.trials[running.at];
        trial.repeats[running.repeat] = Repeat::Over { run, took, end };
        if let Some(score) = trial.score(self.setup.objective.as_ref()) {
            self.scores.push(score);
        }
        if failed && self.options.on_failure == OnFailure::Stop && self.halt.is_none() {
            self.stop_all(Halt::FailedTrial);
        }
        self.judge();
    }

    fn end_of(&mut self, running: &Running, ended: Ended) -> TrialEnd {
        let Ended { status, mut metrics, failed, .. } = ended;
        let last = running.series.iter().map(|(key, (_, last))| (key.clone(), *last));
        metrics.extend(last.collect::<Vec<_>>());
        match (status, running.halved, failed) {
            (RunStatus::Ok, _, _) => match &self.setup.objective {
                None => TrialEnd::Ok { value: None },
                Some(objective) => match value_of(&metrics, objective) {
                    Ok(value) => TrialEnd::Ok { value: Some(value) },
                    Err(error) => self.lacks(objective, error, &metrics),
                },
            },
            (RunStatus::Interrupted, Some(after), _) => {
                let judged = self.setup.objective.as_ref().or(self.setup.halving.as_ref());
                let value = judged.and_then(|judged| value_of(&metrics, judged).ok());
                TrialEnd::Halved { value, after }
            }
            (RunStatus::Interrupted, None, _) => TrialEnd::Interrupted,
            (RunStatus::Failed, _, Some((stage, failure))) => {
                TrialEnd::Failed { stage: Some(stage), failure }
            }
            (RunStatus::Failed, _, None) => {
                let what = "could not be recorded".to_owned();
                let failure = Failure { what, causes: Vec::new(), hint: None };
                TrialEnd::Failed { stage: None, failure }
            }
        }
    }

    /// Ends the sweep because its metric does not exist: no other trial will have it, either.
    fn lacks(
        &mut self,
        objective: &Objective,
        error: Error,
        metrics: &[(MetricName, f64)],
    ) -> TrialEnd {
        let what = format!("reported no metric `{}`", objective.metric);
        let error = match metrics {
            [] => error.hint("declare a metrics file in an out of a stage"),
            _ => error,
        };
        if self.halt.is_none() {
            self.stop_all(Halt::Fatal(error));
        }
        TrialEnd::Failed { stage: None, failure: Failure { what, causes: Vec::new(), hint: None } }
    }

    /// Ends the sweep if one of its rules says so.
    fn judge(&mut self) {
        if self.halt.is_none()
            && let Some(stop) = self.setup.rule.judge(&self.scores)
        {
            self.halt = Some(Halt::Rule(stop.to_string()));
        }
    }
}
