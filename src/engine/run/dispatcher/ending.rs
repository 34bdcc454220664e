//! The ends of stages: their outcomes, and what is reported about failures.

use std::collections::BTreeMap;

use super::super::last_line::names_a_problem;
use super::super::message::Spent;
use super::super::outcome::StageResult;
use super::Dispatcher;
use crate::error::exit;
use crate::event::{Failure, Outcome, Work};
use crate::pipeline::StageIx;
use crate::schedule::{Effect, End, Input};

impl Dispatcher<'_, '_> {
    /// Records the result of a stage and returns the effects that follow.
    pub(super) fn end_stage(
        &mut self,
        ix: StageIx,
        result: StageResult,
        mut spent: Spent,
    ) -> Vec<Effect> {
        let supplied = self.stages[ix].supplied.take();
        let (outcome, outs, end) = match result {
            StageResult::Done(trace, work) => {
                let outs = trace.outs.clone();
                self.ledger.remember(ix, *trace);
                self.ledger.save_lock_now_and_then();
                let outcome = match work {
                    Work::Restore => {
                        let (from, took) = supplied.unwrap_or_default();
                        spent.took.0 += took.0;
                        Outcome::Restored { from }
                    }
                    Work::Run => Outcome::Ran,
                };
                (outcome, outs, End::Success)
            }
            StageResult::Failed { failure, exit } | StageResult::Unstarted { failure, exit } => {
                self.ledger.exit_with(exit);
                (Outcome::Failed(self.with_last_line(ix, failure)), BTreeMap::new(), End::Failure)
            }
            StageResult::Unrecorded(failure) => {
                self.ledger.exit_with(exit::STAGE_FAILED);
                (Outcome::Unrecorded(failure), BTreeMap::new(), End::Failure)
            }
            StageResult::Stopped => (Outcome::Interrupted, BTreeMap::new(), End::Failure),
            StageResult::Cut => {
                let outcome = match self.ledger.first_failed() {
                    Some(because) => self.skipped(ix, because),
                    None => Outcome::Interrupted,
                };
                (outcome, BTreeMap::new(), End::Failure)
            }
            StageResult::Damaged(_) => panic!("BUG: damage reaches `end_stage`"),
        };
        self.stages[ix].claim = None;
        self.ledger.end(ix, outcome, outs, spent);
        self.advance(Input::Ended(ix, end))
    }

    /// Returns the outcome of a stage that does not run because `failed` failed.
    pub(super) fn skipped(&self, stage: StageIx, failed: StageIx) -> Outcome {
        let is_needed = self.project.pipeline.graph.with_needs([stage]).contains(failed);
        Outcome::Skipped { because: self.ledger.name(failed), is_needed }
    }

    /// Adds the last line that the process printed, if it names a problem, and a hint at its log.
    pub(super) fn with_last_line(&self, ix: StageIx, mut failure: Failure) -> Failure {
        if let Some(line) = self.stages[ix].output.last_line() {
            if names_a_problem(line) {
                failure.causes.push(format!("its last line: \"{}\"", line.trim()));
            }
            if failure.hint.is_none() {
                let run = self.ledger.run().map(|run| run.to_string()).unwrap_or_default();
                failure.hint = Some(format!(
                    "`repro runs logs {run} {}` shows the whole log",
                    self.ledger.name(ix)
                ));
            }
        }
        failure
    }
}
